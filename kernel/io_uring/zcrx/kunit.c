// SPDX-License-Identifier: GPL-2.0
/* What the tests of areas and of the refill ring share */

#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/string.h>

#include "area.h"
#include "ifq.h"
#include "kunit.h"
#include "refill.h"
#include "region.h"

/**
 * zcrx_kunit_init() - a suite's init: makes a struct zcrx_test
 * @test: has it as priv
 *
 * Return: 0 or -ENOMEM.
 */
int zcrx_kunit_init(struct kunit *test)
{
	test->priv = kunit_kzalloc(test, sizeof(struct zcrx_test), GFP_KERNEL);
	return test->priv ? 0 : -ENOMEM;
}

/**
 * zcrx_kunit_exit() - a suite's exit: puts the ifq
 * @test: its memory, and so the areas, go afterwards
 */
void zcrx_kunit_exit(struct kunit *test)
{
	struct zcrx_test *zt = test->priv;

	if (!zt || !zt->ifq)
		return;
	zt->ifq->nr_areas = 0;
	zcrx_ifq_put(zt->ifq);
}

static void *alloc(struct kunit *test, size_t size)
{
	void *ptr = kunit_kzalloc(test, size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ptr);
	return ptr;
}

/**
 * zcrx_kunit_make_ifq() - make the test's ifq
 * @test: has none yet
 * @flags: enum io_uring_zcrx_reg_flags
 * @chunk_size: in bytes
 *
 * Return: the ifq.
 */
struct zcrx_ifq *zcrx_kunit_make_ifq(struct kunit *test, u32 flags,
				     u32 chunk_size)
{
	struct zcrx_test *zt = test->priv;

	zt->ifq = zcrx_ifq_alloc(flags, chunk_size);
	KUNIT_ASSERT_NOT_NULL(test, zt->ifq);
	return zt->ifq;
}

/**
 * zcrx_kunit_add_area() - add an area without memory to the ifq
 * @test: has an ifq
 * @nr_chunks: all of them are free
 *
 * As zcrx_area_create() and publish_area() do, without the reserves.
 *
 * Return: the area.
 */
struct zcrx_area *zcrx_kunit_add_area(struct kunit *test, u32 nr_chunks)
{
	struct zcrx_area *area = alloc(test, sizeof(*area));
	struct zcrx_test *zt = test->priv;
	struct zcrx_ifq *ifq = zt->ifq;
	u32 i;

	KUNIT_ASSERT_LT(test, ifq->nr_areas, ZCRX_MAX_AREAS);
	area->ifq = ifq;
	area->nr_chunks = nr_chunks;
	area->chunks = alloc(test, nr_chunks * sizeof(*area->chunks));
	for (i = 0; i < nr_chunks; i++) {
		area->chunks[i].niov.type = NET_IOV_HOST;
		area->chunks[i].area = area;
		area->chunks[i].next_free = i + 1;
	}
	area->chunks[nr_chunks - 1].next_free = ZCRX_NO_CHUNK;

	area->id = ifq->nr_areas;
	ifq->areas[ifq->nr_areas++] = area;
	list_add_tail(&area->free_node, &ifq->free_areas);
	ifq->nr_chunks += nr_chunks;
	ifq->nr_free += nr_chunks;
	return area;
}

/**
 * zcrx_kunit_hold_all() - give the user one piece of each free chunk
 * @test: nothing is free then, and nobody else has these chunks
 */
void zcrx_kunit_hold_all(struct kunit *test)
{
	struct zcrx_test *zt = test->priv;
	struct zcrx_chunk *chunk;

	while ((chunk = zcrx_chunk_take_free(zt->ifq))) {
		zcrx_chunk_get_for_user(chunk);
		zcrx_chunk_put(chunk);
	}
	KUNIT_ASSERT_EQ(test, zt->ifq->nr_free, 0);
}

/**
 * zcrx_kunit_open_refill() - open the refill ring
 * @test: has an ifq
 * @nr_entries: a power of two
 *
 * The memory is not new: opening makes an empty ring of it.
 */
void zcrx_kunit_open_refill(struct kunit *test, u32 nr_entries)
{
	size_t size = zcrx_refill_size(nr_entries);
	struct io_uring_zcrx_offsets offsets;
	struct zcrx_test *zt = test->priv;
	struct zcrx_region region = {};

	region.ptr = alloc(test, size);
	memset(region.ptr, 0xff, size);
	zcrx_refill_open(&zt->ifq->refill, &region, nr_entries, &offsets);
	zt->head = region.ptr + offsets.head;
	zt->tail = region.ptr + offsets.tail;
	zt->entries = region.ptr + offsets.rqes;
	zt->mask = nr_entries - 1;
}

/**
 * zcrx_kunit_give_entry() - put an entry into the refill ring
 * @test: has the ring open
 * @rqe: in either format: both have the same size
 */
void zcrx_kunit_give_entry(struct kunit *test, const void *rqe)
{
	size_t size = sizeof(struct io_uring_zcrx_rqe);
	struct zcrx_test *zt = test->priv;
	u32 index = zt->cached_tail++ & zt->mask;

	memcpy(zt->entries + index * size, rqe, size);
	*zt->tail = zt->cached_tail;
}

/**
 * zcrx_kunit_give_offset() - give back what is at an offset
 * @test: has the ring open
 * @area_id: of an area, or not
 * @off: in the area, or not
 *
 * The entry has the ifq's format, and a length that nobody looks at.
 */
void zcrx_kunit_give_offset(struct kunit *test, u32 area_id, u64 off)
{
	struct io_uring_zcrx_rqe mainline_rqe = {
		.off	= (u64)area_id << IORING_ZCRX_AREA_SHIFT | off,
		.len	= U32_MAX,
	};
	struct io_uring_rbuf_rqe rbuf_rqe = {
		.off	= off,
		.len	= U32_MAX,
		.region	= area_id,
	};
	struct zcrx_test *zt = test->priv;

	if (zcrx_ifq_has_rbuf(zt->ifq))
		zcrx_kunit_give_entry(test, &rbuf_rqe);
	else
		zcrx_kunit_give_entry(test, &mainline_rqe);
}

/**
 * zcrx_kunit_give() - give back a chunk, by its first byte
 * @test: has the ring open
 * @chunk: any chunk
 */
void zcrx_kunit_give(struct kunit *test, const struct zcrx_chunk *chunk)
{
	zcrx_kunit_give_offset(test, chunk->area->id, zcrx_chunk_offset(chunk));
}

/* Finds cycles and chunks that don't exist as well. */
static u32 area_nr_free(const struct zcrx_area *area)
{
	u32 i = area->first_free;
	u32 nr = 0;

	while (i < area->nr_chunks && nr <= area->nr_chunks) {
		i = area->chunks[i].next_free;
		nr++;
	}
	return i == ZCRX_NO_CHUNK ? nr : U32_MAX;
}

/**
 * zcrx_kunit_expect_free() - so many chunks are free, and all lists are right
 * @test: has an ifq
 * @expected: in all areas
 */
void zcrx_kunit_expect_free(struct kunit *test, u32 expected)
{
	struct zcrx_test *zt = test->priv;
	struct zcrx_area *area;
	u32 nr = 0;

	list_for_each_entry(area, &zt->ifq->free_areas, free_node) {
		KUNIT_EXPECT_NE(test, area->first_free, ZCRX_NO_CHUNK);
		nr += area_nr_free(area);
	}
	KUNIT_EXPECT_EQ(test, nr, expected);
	KUNIT_EXPECT_EQ(test, zt->ifq->nr_free, expected);
}

/**
 * zcrx_kunit_expect_refs() - who has a chunk
 * @test: goes on if it is not so
 * @chunk: any chunk; one that is free has still the count of its last reference
 * @refs: all references
 * @user_refs: the user's
 */
void zcrx_kunit_expect_refs(struct kunit *test, struct zcrx_chunk *chunk,
			    long refs, int user_refs)
{
	KUNIT_EXPECT_EQ(test, atomic_long_read(&chunk->niov.pp_ref_count),
			refs);
	KUNIT_EXPECT_EQ(test, atomic_read(&chunk->user_refs), user_refs);
}

/**
 * zcrx_kunit_expect_cached() - the page pool's cache has a chunk
 * @test: goes on if it is not so
 * @index: where in the cache
 * @chunk: expected there, and nobody else has it
 */
void zcrx_kunit_expect_cached(struct kunit *test, u32 index,
			      struct zcrx_chunk *chunk)
{
	struct zcrx_test *zt = test->priv;

	KUNIT_EXPECT_EQ(test,
			(__force unsigned long)zt->pool.alloc.cache[index],
			(__force unsigned long)zcrx_chunk_netmem(chunk));
	KUNIT_EXPECT_PTR_EQ(test, chunk->niov.pp, &zt->pool);
	zcrx_kunit_expect_refs(test, chunk, 1, 0);
}

/**
 * zcrx_kunit_expect_refill() - what was made of the refill ring's entries
 * @test: has the ring open
 * @taken: pieces that were given back
 * @invalid: entries that gave nothing back
 * @head: the shared one
 */
void zcrx_kunit_expect_refill(struct kunit *test, u32 taken, u32 invalid,
			      u32 head)
{
	struct zcrx_test *zt = test->priv;
	struct zcrx_refill *refill = &zt->ifq->refill;

	KUNIT_EXPECT_EQ(test, refill->nr_taken, taken);
	KUNIT_EXPECT_EQ(test, refill->nr_invalid, invalid);
	KUNIT_EXPECT_EQ(test, *zt->head, head);
	KUNIT_EXPECT_EQ(test, *zt->tail, zt->cached_tail);
}
