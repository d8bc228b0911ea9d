/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IOU_ZCRX_IFQ_H
#define IOU_ZCRX_IFQ_H

#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/io_uring/zcrx.h>

#include "copy.h"
#include "event.h"
#include "rbuf.h"
#include "refill.h"
#include "region.h"

struct device;
struct io_ring_ctx;
struct io_uring_zcrx_area_reg;
struct net_device;
struct seq_file;
struct zcrx_area;

#define ZCRX_MAX_AREAS		1024

/* All flags of a registration */
#define ZCRX_REG_FLAGS		(ZCRX_REG_IMPORT | ZCRX_REG_NODEV | \
				 ZCRX_REG_RBUF | ZCRX_REG_SOFT_SPLIT | \
				 ZCRX_REG_MANUAL_RESUME)

/**
 * struct zcrx_counters - what an ifq has delivered; protected by its lock
 * @posted: pieces
 * @zc_bytes: in place
 * @copies: pieces that were copied
 * @copied_bytes: their bytes, for each reason
 * @pauses: how often receiving paused for want of ring space or chunks
 * @ends: requests that ended for want of one of these
 */
struct zcrx_counters {
	u64	posted;
	u64	zc_bytes;
	u64	copies;
	u64	copied_bytes[IORING_ZCRX_COPY_NR];
	u64	pauses;
	u64	ends;
};

/**
 * enum zcrx_state - what the NIC gets
 * @ZCRX_ON: chunks
 * @ZCRX_COPY: pages of the kernel, since no chunk was left. Chunks that come
 *	back are free then, for the copy fallback to use.
 */
enum zcrx_state {
	ZCRX_ON,
	ZCRX_COPY,
};

/**
 * struct zcrx_ifq - an interface queue: areas and rings, bound to a NIC's queue
 * @refs: one for each member, from registration or import to io_zcrx_free();
 *	one for each exported file; one for each page pool that takes memory from
 *	here. The last one frees everything.
 * @users: members whose ring is open, and exported files. With the last one
 *	the ifq is closed, and the queue is the NIC's again.
 * @flags: enum io_uring_zcrx_reg_flags
 * @chunk_shift: binary logarithm of the chunks' size in bytes
 * @if_idx: index of the interface when the queue was bound, 0 if there is none
 * @rxq: index of the receive queue
 * @netdev: the NIC; NULL when the queue is not bound (any more). RTNL.
 * @dev: what the areas are mapped for, with a reference; NULL if they are not.
 *	RTNL.
 * @nr_pools: page pools through which it writes to them. RTNL.
 * @areas: by id; room for %ZCRX_MAX_AREAS
 * @nr_areas: how many; only grows, under RTNL, and is stored after the area
 * @free_lock: protects the following members and the areas' free lists
 * @free_areas: areas that have free chunks
 * @nr_chunks: chunks in all areas
 * @nr_free: free chunks in all areas
 * @copy_reserve: free chunks that the NIC does not get, for the copy fallback
 * @resume_level: free chunks that make it worth while to go back to %ZCRX_ON
 * @state: enum zcrx_state; may be read without the lock
 * @nr_state_changes: how often it changed
 * @adding: an area is being added by ZCRX_CTRL_ADD_AREA (bit 0)
 * @nr_lent: pages of the kernel that the NIC got for want of chunks
 * @nr_lent_now: those of them that have not come back
 * @refill: the ring of what the user gives back
 * @refill_region: its memory
 * @lock: protects the following members; see zcrx.h
 * @rbuf: the ring of what was received, if the ifq has %ZCRX_REG_RBUF
 * @rbuf_region: its memory
 * @members: rings that are open
 * @closed: there are no users, nothing is received any more
 * @copy: the chunk that copied bytes go to
 * @counters: of what was delivered
 * @events: what the application is told; has a lock of its own
 */
struct zcrx_ifq {
	refcount_t		refs;
	refcount_t		users;
	u32			flags;
	unsigned int		chunk_shift;

	u32			if_idx;
	u32			rxq;
	struct net_device	*netdev;
	struct device		*dev;
	u32			nr_pools;

	struct zcrx_area	**areas;
	u32			nr_areas;

	struct zcrx_refill	refill;
	struct zcrx_region	refill_region;

	spinlock_t		free_lock ____cacheline_aligned_in_smp;
	struct list_head	free_areas;
	u32			nr_chunks;
	u32			nr_free;
	u32			copy_reserve;
	u32			resume_level;
	enum zcrx_state		state;
	u64			nr_state_changes;
	unsigned long		adding;
	atomic64_t		nr_lent;
	atomic_t		nr_lent_now;

	struct mutex		lock ____cacheline_aligned_in_smp;
	struct zcrx_rbuf	rbuf;
	struct zcrx_region	rbuf_region;
	struct list_head	members;
	bool			closed;
	struct zcrx_copy	copy;
	struct zcrx_counters	counters;

	struct zcrx_events	events;
};

static inline bool zcrx_ifq_has_rbuf(const struct zcrx_ifq *ifq)
{
	return ifq->flags & ZCRX_REG_RBUF;
}

/* Any context; areas up to this number are there. */
static inline u32 zcrx_ifq_nr_areas(const struct zcrx_ifq *ifq)
{
	/* Pairs with the store-release in zcrx_ifq_add_area(). */
	return smp_load_acquire(&ifq->nr_areas);
}

struct zcrx_ifq *zcrx_ifq_alloc(u32 flags, u32 chunk_size);
void zcrx_ifq_put(struct zcrx_ifq *ifq);
void zcrx_ifq_get_user(struct zcrx_ifq *ifq);
void zcrx_ifq_put_user(struct zcrx_ifq *ifq);

int zcrx_ifq_add_area(struct zcrx_ifq *ifq, struct io_ring_ctx *ctx,
		      const struct io_uring_zcrx_area_reg *reg);
int zcrx_check_queue(u32 if_idx, u32 rxq);
int zcrx_ifq_bind(struct zcrx_ifq *ifq, u32 if_idx, u32 rxq);
void zcrx_ifq_unmap_unused(struct zcrx_ifq *ifq);

void zcrx_ifq_show(const struct zcrx_ifq *ifq, u32 id, struct seq_file *m);

#endif /* IOU_ZCRX_IFQ_H */
