// SPDX-License-Identifier: GPL-2.0
/* What the user gives back; memory order and trust: see refill.h */

#include <linux/nospec.h>
#include <net/page_pool/helpers.h>
#include <net/page_pool/memory_provider.h>
#include <trace/events/zcrx.h>

#include "area.h"
#include "ifq.h"
#include "refill.h"

#define ZCRX_REFILL_HEAD	0
#define ZCRX_REFILL_TAIL	ZCRX_REFILL_HDR_ALIGN
#define ZCRX_REFILL_ENTRIES	ZCRX_REFILL_HDR_SIZE

/* Both formats of entries have this size. */
#define ZCRX_REFILL_ENTRY_SIZE	sizeof(struct io_uring_zcrx_rqe)
static_assert(sizeof(struct io_uring_rbuf_rqe) == ZCRX_REFILL_ENTRY_SIZE);

/**
 * zcrx_refill_size() - what a refill ring needs
 * @nr_entries: a power of two
 *
 * Return: in bytes.
 */
size_t zcrx_refill_size(u32 nr_entries)
{
	return ZCRX_REFILL_ENTRIES + nr_entries * ZCRX_REFILL_ENTRY_SIZE;
}

/**
 * zcrx_refill_offsets() - where things are in the region
 * @offsets: filled, for the user
 */
void zcrx_refill_offsets(struct io_uring_zcrx_offsets *offsets)
{
	*offsets = (struct io_uring_zcrx_offsets) {
		.head	= ZCRX_REFILL_HEAD,
		.tail	= ZCRX_REFILL_TAIL,
		.rqes	= ZCRX_REFILL_ENTRIES,
	};
}

/**
 * zcrx_refill_open() - put a ring into a region
 * @refill: the lock is initialised
 * @region: has zcrx_refill_size() bytes
 * @nr_entries: a power of two
 * @offsets: filled, for the user
 */
void zcrx_refill_open(struct zcrx_refill *refill,
		      const struct zcrx_region *region, u32 nr_entries,
		      struct io_uring_zcrx_offsets *offsets)
{
	zcrx_refill_offsets(offsets);

	spin_lock_bh(&refill->lock);
	refill->head = region->ptr + ZCRX_REFILL_HEAD;
	refill->tail = region->ptr + ZCRX_REFILL_TAIL;
	refill->entries = region->ptr + ZCRX_REFILL_ENTRIES;
	refill->mask = nr_entries - 1;
	WRITE_ONCE(*refill->head, 0);
	WRITE_ONCE(*refill->tail, 0);
	refill->open = true;
	spin_unlock_bh(&refill->lock);
}

/**
 * zcrx_refill_close() - the region may go away afterwards
 * @refill: open or not
 */
void zcrx_refill_close(struct zcrx_refill *refill)
{
	spin_lock_bh(&refill->lock);
	refill->open = false;
	spin_unlock_bh(&refill->lock);
}

static struct zcrx_chunk *find_chunk(const struct zcrx_ifq *ifq, u64 area_id,
				     u64 off)
{
	u32 nr_areas = zcrx_ifq_nr_areas(ifq);
	struct zcrx_area *area;
	u64 index;

	if (area_id >= nr_areas)
		return NULL;
	area = ifq->areas[array_index_nospec(area_id, nr_areas)];

	index = off >> ifq->chunk_shift;
	if (index >= area->nr_chunks)
		return NULL;
	return &area->chunks[array_index_nospec(index, area->nr_chunks)];
}

static struct zcrx_chunk *read_rbuf_entry(const struct zcrx_ifq *ifq,
					  const void *entry)
{
	const struct io_uring_rbuf_rqe *rqe = entry;

	if (READ_ONCE(rqe->pad) || READ_ONCE(rqe->pad2))
		return NULL;
	return find_chunk(ifq, READ_ONCE(rqe->region), READ_ONCE(rqe->off));
}

static struct zcrx_chunk *read_mainline_entry(const struct zcrx_ifq *ifq,
					      const void *entry)
{
	const struct io_uring_zcrx_rqe *rqe = entry;
	u64 off = READ_ONCE(rqe->off);

	if (READ_ONCE(rqe->pad))
		return NULL;
	return find_chunk(ifq, off >> IORING_ZCRX_AREA_SHIFT,
			  off & ~IORING_ZCRX_AREA_MASK);
}

/* The next entry's chunk, if the user held it: then its reference is ours. */
static struct zcrx_chunk *next_chunk(struct zcrx_ifq *ifq)
{
	struct zcrx_refill *refill = &ifq->refill;
	u32 index = refill->cached_head++ & refill->mask;
	const void *entry = refill->entries + index * ZCRX_REFILL_ENTRY_SIZE;
	struct zcrx_chunk *chunk;

	chunk = zcrx_ifq_has_rbuf(ifq) ? read_rbuf_entry(ifq, entry) :
					 read_mainline_entry(ifq, entry);
	if (!chunk || !zcrx_chunk_drop_user(chunk)) {
		refill->nr_invalid++;
		return NULL;
	}
	refill->nr_taken++;
	return chunk;
}

static u32 nr_entries(const struct zcrx_refill *refill)
{
	/* (C) of refill.h */
	u32 nr = smp_load_acquire(refill->tail) - refill->cached_head;

	return min(nr, refill->mask + 1);
}

/* The user may write over the entries that were read. */
static void release_entries(struct zcrx_ifq *ifq, u32 nr, u64 nr_taken_before)
{
	struct zcrx_refill *refill = &ifq->refill;

	smp_store_release(refill->head, refill->cached_head);	/* (D) */
	if (nr)
		trace_zcrx_refill(ifq, nr, refill->nr_taken - nr_taken_before);
}

/*
 * Looks at some entries, whatever is in them: the lock is not held for longer
 * than that takes, and a ring full of nonsense doesn't stop a driver's poll.
 */
#define ZCRX_REFILL_BATCH	256U

/**
 * zcrx_refill_take() - give a page pool the chunks that the user gave back
 * @ifq: whose ring
 * @pool: asks for memory; its cache may have some, if a chunk that was given back
 *	meanwhile came from it
 * @nr: fill the cache to so many at most
 *
 * Chunks that came from another page pool, or the copy fallback, go there.
 * There may be more in the ring.
 */
void zcrx_refill_take(struct zcrx_ifq *ifq, struct page_pool *pool,
		      unsigned int nr)
{
	struct zcrx_refill *refill = &ifq->refill;
	u32 left, max;
	u64 taken;

	spin_lock_bh(&refill->lock);
	if (!refill->open)
		goto out;

	taken = refill->nr_taken;
	max = min(nr_entries(refill), ZCRX_REFILL_BATCH);
	for (left = max; left && pool->alloc.count < nr; left--) {
		struct zcrx_chunk *chunk = next_chunk(ifq);

		if (!chunk)
			continue;
		if (chunk->niov.pp != pool)
			zcrx_chunk_put(chunk);
		else if (page_pool_is_last_ref(zcrx_chunk_netmem(chunk)))
			page_pool_provider_put_back(pool, &chunk->niov);
	}
	release_entries(ifq, max - left, taken);
out:
	spin_unlock_bh(&refill->lock);
}

/* Returns how many of @max entries were taken. */
static u32 flush_batch(struct zcrx_ifq *ifq, u32 max)
{
	struct zcrx_refill *refill = &ifq->refill;
	u32 nr = 0, i;
	u64 taken;

	spin_lock_bh(&refill->lock);
	if (!refill->open)
		goto out;

	taken = refill->nr_taken;
	nr = min3(nr_entries(refill), max, ZCRX_REFILL_BATCH);
	for (i = 0; i < nr; i++) {
		struct zcrx_chunk *chunk = next_chunk(ifq);

		if (chunk)
			zcrx_chunk_put(chunk);
	}
	release_entries(ifq, nr, taken);
out:
	spin_unlock_bh(&refill->lock);
	return nr;
}

/**
 * zcrx_refill_flush_some() - take a batch of what is in the ring
 * @ifq: whose ring
 *
 * The chunks go where they came from, or are free. Does not sleep.
 */
void zcrx_refill_flush_some(struct zcrx_ifq *ifq)
{
	flush_batch(ifq, ZCRX_REFILL_BATCH);
}

/**
 * zcrx_refill_flush() - take what is in the ring
 * @ifq: whose ring
 *
 * As zcrx_refill_flush_some(), but all of it: a ring's worth of entries at most,
 * however fast the user adds more. May sleep.
 */
void zcrx_refill_flush(struct zcrx_ifq *ifq)
{
	u32 left = ifq->refill.mask + 1;
	u32 nr;

	do {
		nr = flush_batch(ifq, left);
		left -= nr;
		cond_resched();
	} while (nr && left);
}
