/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Registration of an interface queue, and the rings shared with the kernel.
 */
#ifndef ZCRX_SELFTEST_IFQ_H
#define ZCRX_SELFTEST_IFQ_H

#include <linux/io_uring/zcrx.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "uring.h"

#define IFQ_MAX_AREAS	1024

/**
 * struct ifq_args - arguments of a registration, ready for the system call
 * @reg: the argument; points to the rest
 * @ext: further ones, if @reg has a flag that needs them
 * @areas: memory to receive into
 * @refill: memory of the refill ring
 * @rbuf: memory of the rbuf ring
 * @events: which events to post, if @reg points to it
 */
struct ifq_args {
	struct io_uring_zcrx_ifq_reg	reg;
	struct io_uring_zcrx_ext_reg	ext;
	struct io_uring_zcrx_area_reg	areas[IFQ_MAX_AREAS];
	struct io_uring_region_desc	refill;
	struct io_uring_region_desc	rbuf;
	struct zcrx_event_desc		events;
};

/* Memory of a ring that was mapped through the io_uring */
struct ifq_map {
	void	*addr;
	size_t	size;
};

/**
 * struct ifq - a registered interface queue
 * @ring: registered with
 * @id: the kernel's name for it
 * @has_rbuf: completions come by the rbuf ring
 * @areas: memory that is received into
 * @refill_tail: what we produced
 * @hdr: head of the rbuf ring, or NULL
 * @consumer: what we consumed of the rbuf ring
 * @stats: the kernel's, behind the refill ring, or NULL
 * @maps: what ifq_unmap() unmaps
 * @nr_maps: their number
 */
struct ifq {
	struct uring			*ring;
	__u32				id;
	bool				has_rbuf;
	struct io_uring_zcrx_area_reg	areas[IFQ_MAX_AREAS];

	__u32				*refill_uhead;
	__u32				*refill_utail;
	void				*refill_rqes;
	__u32				refill_mask;
	__u32				refill_tail;

	struct io_uring_rbuf_hdr	*hdr;
	struct io_uring_rbuf_cqe	*cqes;
	__u32				rbuf_mask;
	__u32				consumer;

	const volatile struct zcrx_stats *stats;
	struct ifq_map			maps[2];
	unsigned int			nr_maps;
};

/* An ifq, as the fdinfo of its ring shows it */
struct ifq_stats {
	char			state[16];
	bool			copying;
	unsigned long long	if_idx;
	unsigned long long	rxq;
	unsigned long long	areas;
	unsigned long long	chunks;
	unsigned long long	free;
	unsigned long long	held;
	unsigned long long	lent_pages;
	unsigned long long	lent_now;
	unsigned long long	invalid_refills;
	unsigned long long	pauses;
	unsigned long long	ends;
	unsigned long long	state_changes;
	unsigned long long	zc_bytes;
	unsigned long long	copies;
	unsigned long long	copied_linear;
	unsigned long long	copied_page;
	unsigned long long	copied_foreign;
};

static inline unsigned long long ifq_stats_copied(const struct ifq_stats *stats)
{
	return stats->copied_linear + stats->copied_page +
	       stats->copied_foreign;
}

void *ifq_mmap(size_t size);
void *ifq_mmap_huge(size_t size);
void ifq_args_init(struct ifq_args *args, unsigned int ifindex,
		   unsigned int rxq, bool rbuf, size_t area_size,
		   __u32 entries);
void ifq_args_set_area(struct ifq_args *args, unsigned int idx, void *addr,
		       size_t size);
void ifq_args_add_flags(struct ifq_args *args, __u32 flags);
void ifq_args_set_nodev(struct ifq_args *args);
void ifq_args_set_events(struct ifq_args *args, __u64 user_data,
			 __u32 type_mask);
void ifq_args_use_kernel_memory(struct ifq_args *args);
void ifq_args_free(struct ifq_args *args);
int ifq_register(struct ifq *ifq, struct uring *ring, struct ifq_args *args);
void ifq_args_init_import(struct ifq_args *args, int fd, bool rbuf);
int ifq_import(struct ifq *ifq, struct uring *ring, struct ifq_args *args,
	       const struct ifq *exported);
void ifq_unmap(struct ifq *ifq);

void *ifq_addr(const struct ifq *ifq, __u64 off);
bool ifq_give_back(struct ifq *ifq, __u64 off);
void ifq_refill_submit(struct ifq *ifq);
__u32 ifq_rbuf_available(const struct ifq *ifq);
struct io_uring_rbuf_cqe ifq_rbuf_read(struct ifq *ifq);
void ifq_rbuf_release(struct ifq *ifq);
bool ifq_rbuf_may_sleep(struct ifq *ifq);
bool ifq_needs_kick(const struct ifq *ifq);
int ifq_kick(struct ifq *ifq);
int ifq_flush(struct ifq *ifq);
int ifq_export(struct ifq *ifq);
int ifq_arm_event(struct ifq *ifq, __u32 type);
int ifq_add_area(struct ifq *ifq, struct io_uring_zcrx_area_reg *area);
bool ifq_read_stats(const struct ifq *ifq, struct ifq_stats *stats);
bool ifq_read_stats_of(int fd, __u32 id, struct ifq_stats *stats);

#endif
