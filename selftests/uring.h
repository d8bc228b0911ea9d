/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A minimal io_uring: system calls and shared rings, nothing in between, so
 * that what the tests see is the interface of the kernel itself.
 */
#ifndef ZCRX_SELFTEST_URING_H
#define ZCRX_SELFTEST_URING_H

#include <linux/io_uring.h>
#include <linux/types.h>
#include <stdbool.h>

/*
 * Numbers that are part of the interface but not of the headers of the
 * distributions.
 */
#define OP_RECV_ZC			58
#define REGISTER_ZCRX_IFQ		32
#define REGISTER_RESIZE_RINGS		33
#define REGISTER_MEM_REGION		34
#define REGISTER_QUERY			35
#define REGISTER_ZCRX_CTRL		36

/* A ring for one 32-byte CQE per received buffer */
#define URING_CQE32_FLAGS	(IORING_SETUP_SINGLE_ISSUER | \
				 IORING_SETUP_DEFER_TASKRUN | \
				 IORING_SETUP_CQE32)

/**
 * struct uring - one io_uring
 * @fd: its file
 * @flags: it was set up with
 * @to_submit: SQEs filled since the last enter
 */
struct uring {
	int			fd;
	__u32			flags;
	__u32			sq_mask;
	__u32			cq_mask;
	__u32			*sq_tail;
	__u32			*sq_array;
	__u32			*sq_flags;
	__u32			*cq_head;
	__u32			*cq_tail;
	struct io_uring_sqe	*sqes;
	struct io_uring_cqe	*cqes;
	unsigned int		to_submit;
	void			*rings;
	size_t			rings_size;
	size_t			sqes_size;
};

int uring_init(struct uring *ring, __u32 flags, __u32 cq_entries);
void uring_exit(struct uring *ring);
struct io_uring_sqe *uring_sqe(struct uring *ring);
int uring_enter(struct uring *ring, unsigned int wait_nr, int timeout_ms);
bool uring_pop(struct uring *ring, struct io_uring_cqe *cqe, __u64 extra[2]);
int uring_register(const struct uring *ring, unsigned int op, void *arg,
		   unsigned int nr_args);
bool uring_has_recv_zc(void);

#endif
