/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IOU_ZCRX_IFQ_H
#define IOU_ZCRX_IFQ_H

#include <linux/atomic.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/io_uring/zcrx.h>

#include "copy.h"
#include "rbuf.h"
#include "refill.h"
#include "region.h"

struct device;
struct io_ring_ctx;
struct net_device;
struct zcrx_area;

/**
 * struct zcrx_counters - what an ifq has delivered; protected by uring_lock
 * @zc_bytes: in place
 * @copied_bytes: by a copy, for each reason
 * @pauses: how often receiving paused for want of ring space or chunks
 */
struct zcrx_counters {
	u64	zc_bytes;
	u64	copied_bytes[IORING_ZCRX_COPY_NR];
	u64	pauses;
};

/**
 * struct zcrx_ifq - an interface queue: areas and rings, bound to a NIC's queue
 * @refs: one for the ring, from registration to io_zcrx_free(); one for each
 *	page pool that takes memory from here. The last one frees the areas.
 * @id: names the ifq in its ring
 * @flags: enum io_uring_zcrx_reg_flags
 * @chunk_shift: binary logarithm of the chunks' size in bytes
 * @rxq: index of the receive queue
 * @netdev: the NIC; NULL when the queue is not bound (any more). RTNL.
 * @dev: what the areas are mapped for; its reference goes with the areas
 * @areas: by id; fixed at registration
 * @nr_areas: how many
 * @free_lock: protects @free_areas, @nr_free and the areas' free lists
 * @free_areas: areas that have free chunks
 * @nr_free: free chunks in all areas
 * @copy_reserve: free chunks that the NIC does not get, for the copy fallback
 * @nr_lent: pages of the kernel that the NIC got for want of chunks
 * @refill: the ring of what the user gives back
 * @refill_region: its memory
 * @rbuf: the ring of what was received, if the ifq has %ZCRX_REG_RBUF
 * @rbuf_region: its memory
 * @closed: the ring goes away, nothing is received any more. uring_lock.
 * @copy: the chunk that copied bytes go to. uring_lock.
 * @counters: uring_lock
 */
struct zcrx_ifq {
	refcount_t		refs;
	u32			id;
	u32			flags;
	unsigned int		chunk_shift;

	u32			rxq;
	struct net_device	*netdev;
	struct device		*dev;

	struct zcrx_area	**areas;
	u32			nr_areas;

	struct zcrx_refill	refill;
	struct zcrx_region	refill_region;

	spinlock_t		free_lock ____cacheline_aligned_in_smp;
	struct list_head	free_areas;
	u32			nr_free;
	u32			copy_reserve;
	atomic64_t		nr_lent;

	struct zcrx_rbuf	rbuf ____cacheline_aligned_in_smp;
	struct zcrx_region	rbuf_region;
	bool			closed;
	struct zcrx_copy	copy;
	struct zcrx_counters	counters;
};

static inline bool zcrx_ifq_has_rbuf(const struct zcrx_ifq *ifq)
{
	return ifq->flags & ZCRX_REG_RBUF;
}

struct zcrx_ifq *zcrx_ifq_find(struct io_ring_ctx *ctx, u32 id);
void zcrx_ifq_detach(struct zcrx_ifq *ifq);
void zcrx_ifq_put(struct zcrx_ifq *ifq);

#endif /* IOU_ZCRX_IFQ_H */
