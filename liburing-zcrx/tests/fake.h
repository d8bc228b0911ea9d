/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A kernel to test the library against: it answers the system calls, and is
 * the other side of the rings.
 */
#ifndef ZCRX_TEST_FAKE_H
#define ZCRX_TEST_FAKE_H

#include <liburing-zcrx.h>

enum fake_kind {
	FAKE_OURS,
	FAKE_MAINLINE,		/* zero-copy receive, but no rbuf ring */
	FAKE_OLD_MAINLINE,	/* nor a size of chunks, nor control operations */
	FAKE_NONE,		/* no zero-copy receive */
	FAKE_ENOSYS,		/* no io_uring */
};

/**
 * struct fake - the kernel
 * @kind: what it can do
 * @privileged: the caller has CAP_NET_ADMIN
 * @register_err: registration fails with it after the arguments were read
 * @err_ifindex: of that interface only; 0: of any
 * @max_chunk: what the driver can
 * @chunk_err: registration fails with it if chunks are larger
 * @ring_flags: of the ring that is being used
 * @nr_calls: of io_uring_register()
 * @fd: of the last one
 * @opcode: of the last one
 * @reg: last registration's arguments, as given; rings as below
 * @ctrl: argument of the last control operation
 * @rings_fd: a file, the rings that were registered without memory, or imported
 * @head: position in the refill ring
 * @producer: position in the rbuf ring
 */
struct fake {
	enum fake_kind			kind;
	bool				privileged;
	int				register_err;
	__u32				err_ifindex;
	unsigned int			max_chunk;
	int				chunk_err;
	unsigned int			ring_flags;

	unsigned int			nr_calls;
	int				fd;
	unsigned int			opcode;
	struct zcrx_abi_ifq_reg		reg;
	struct zcrx_abi_ext_reg		ext;
	struct zcrx_abi_area_reg	areas[8];
	struct zcrx_abi_ctrl		ctrl;

	int				rings_fd;
	char				*refill;
	__u32				refill_mask;
	__u32				head;
	struct zcrx_rbuf_hdr		*rbuf_hdr;
	struct zcrx_rbuf_cqe		*rbuf_cqes;
	__u32				rbuf_mask;
	__u32				producer;
};

extern struct fake fake;

void fake_reset(enum fake_kind kind);
void fake_start_at(struct zcrx_ifq *ifq, __u32 pos);
bool fake_post(const struct zcrx_rbuf_cqe *cqe);
bool fake_take(void *rqe);

#endif
