/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The refill ring: the user produces, the kernel consumes
 *
 *	user (any thread)			kernel (zcrx_refill.lock)
 *
 *	load head	 (A)			load tail	 (C)
 *	write entries				read entries
 *	store tail	 (B)			store head	 (D)
 *
 * (B) is a store-release that pairs with the load-acquire (C): the kernel sees
 * whole entries. (D) is a store-release that pairs with the load-acquire (A): the
 * user does not overwrite an entry that the kernel has yet to read.
 *
 * Nothing that the user writes is trusted. The kernel keeps its own head, takes
 * the tail for at most a ring ahead of it, and copies an entry once before it
 * looks at it. The worst that a wrong entry can do is to give back a piece that
 * the same user holds.
 */
#ifndef IOU_ZCRX_REFILL_H
#define IOU_ZCRX_REFILL_H

#include <linux/spinlock.h>
#include <linux/types.h>

struct io_uring_zcrx_offsets;
struct page_pool;
struct zcrx_ifq;
struct zcrx_region;

/**
 * struct zcrx_refill - the kernel's end of a refill ring
 * @lock: protects the other members
 * @head: shared
 * @tail: shared
 * @entries: shared, in the format of the ifq
 * @mask: number of entries - 1
 * @cached_head: the kernel's own
 * @nr_taken: pieces that were given back
 * @nr_invalid: entries that gave nothing back
 * @open: the region is there
 */
struct zcrx_refill {
	spinlock_t	lock;	/* see above */
	u32		*head;
	u32		*tail;
	void		*entries;
	u32		mask;
	u32		cached_head;
	u64		nr_taken;
	u64		nr_invalid;
	bool		open;
};

/* What is before the entries, in bytes, and its alignment */
#define ZCRX_REFILL_HDR_SIZE	128
#define ZCRX_REFILL_HDR_ALIGN	64

size_t zcrx_refill_size(u32 nr_entries);
void zcrx_refill_offsets(struct io_uring_zcrx_offsets *offsets);
void zcrx_refill_open(struct zcrx_refill *refill,
		      const struct zcrx_region *region, u32 nr_entries,
		      struct io_uring_zcrx_offsets *offsets);
void zcrx_refill_close(struct zcrx_refill *refill);
void zcrx_refill_take(struct zcrx_ifq *ifq, struct page_pool *pool,
		      unsigned int nr);
void zcrx_refill_flush_some(struct zcrx_ifq *ifq);
void zcrx_refill_flush(struct zcrx_ifq *ifq);

#endif /* IOU_ZCRX_REFILL_H */
