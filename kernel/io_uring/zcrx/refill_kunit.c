// SPDX-License-Identifier: GPL-2.0
/* Tests of the refill ring, and of who gets what the user gives back */

#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/sizes.h>

#include "area.h"
#include "ifq.h"
#include "kunit.h"
#include "refill.h"

/* As many entries as refill.c looks at under its lock */
#define REFILL_BATCH	256

struct test_format {
	const char	*name;
	u32		flags;
};

static const struct test_format formats[] = {
	{ "mainline",	0 },
	{ "rbuf",	ZCRX_REG_RBUF },
};

KUNIT_ARRAY_PARAM_DESC(format, formats, name);

static void expect_all_held(struct kunit *test)
{
	struct zcrx_test *zt = test->priv;
	struct zcrx_area *area;
	u32 id, i;

	for (id = 0; id < zt->ifq->nr_areas; id++) {
		area = zt->ifq->areas[id];
		for (i = 0; i < area->nr_chunks; i++)
			zcrx_kunit_expect_refs(test, &area->chunks[i], 1, 1);
	}
	zcrx_kunit_expect_free(test, 0);
}

/* Areas of 4 and 2 chunks, all of which the user holds */
static struct zcrx_area **make_held(struct kunit *test, u32 flags,
				    u32 nr_entries)
{
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, flags, SZ_4K);

	zcrx_kunit_add_area(test, 4);
	zcrx_kunit_add_area(test, 2);
	zcrx_kunit_open_refill(test, nr_entries);
	zcrx_kunit_hold_all(test);
	expect_all_held(test);
	return ifq->areas;
}

static void refill_layout(struct kunit *test)
{
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, 0, SZ_4K);
	struct io_uring_zcrx_offsets offs;

	/* Each side has a cache line, and the entries have theirs. */
	zcrx_refill_offsets(&offs);
	KUNIT_EXPECT_GE(test, abs_diff(offs.head, offs.tail), 64);
	KUNIT_EXPECT_GE(test, offs.rqes, max(offs.head, offs.tail) + 64);
	KUNIT_EXPECT_EQ(test, offs.rqes % 64, 0);
	KUNIT_EXPECT_EQ(test, zcrx_refill_size(8), offs.rqes + 8 * 16);
	KUNIT_EXPECT_EQ(test, zcrx_refill_size(32768), offs.rqes + 32768 * 16);

	/* Whatever was there, the ring is empty. */
	zcrx_kunit_open_refill(test, 8);
	zcrx_kunit_expect_refill(test, 0, 0, 0);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 0, 0, 0);
}

static void refill_right(struct kunit *test)
{
	const struct test_format *format = test->param_value;
	struct zcrx_area **areas = make_held(test, format->flags, 8);
	struct zcrx_ifq *ifq = areas[0]->ifq;

	/* Any offset in a chunk is right. */
	zcrx_kunit_give_offset(test, 1, 2 * SZ_4K - 1);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 1, 0, 1);
	zcrx_kunit_expect_free(test, 1);
	zcrx_kunit_expect_refs(test, &areas[1]->chunks[1], 1, 0);
	KUNIT_EXPECT_EQ(test, areas[1]->first_free, 1);

	/* Nothing is taken again. */
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 1, 0, 1);

	zcrx_kunit_give_offset(test, 0, 3 * SZ_4K + 1234);
	zcrx_kunit_give_offset(test, 0, 0);
	zcrx_kunit_give_offset(test, 1, 1);
	zcrx_kunit_give_offset(test, 0, 3 * SZ_4K - 1);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 5, 0, 5);
	zcrx_kunit_expect_free(test, 5);
	zcrx_kunit_expect_refs(test, &areas[0]->chunks[1], 1, 1);
}

static void refill_twice(struct kunit *test)
{
	const struct test_format *format = test->param_value;
	struct zcrx_area **areas = make_held(test, format->flags, 8);
	struct zcrx_chunk *chunk = &areas[0]->chunks[2];
	struct zcrx_ifq *ifq = areas[0]->ifq;

	/* In one batch, and in a later one */
	zcrx_kunit_give(test, chunk);
	zcrx_kunit_give(test, chunk);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 1, 1, 2);
	zcrx_kunit_expect_free(test, 1);

	zcrx_kunit_give(test, chunk);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 1, 2, 3);
	zcrx_kunit_expect_free(test, 1);

	/* Someone else has it now. */
	KUNIT_EXPECT_PTR_EQ(test, zcrx_chunk_take_free(ifq), chunk);
	zcrx_kunit_give(test, chunk);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 1, 3, 4);
	zcrx_kunit_expect_refs(test, chunk, 1, 0);
	zcrx_kunit_expect_free(test, 0);
}

/* The user's three pieces go, and what an skb has of the chunk stays. */
static void refill_pieces(struct kunit *test)
{
	const struct test_format *format = test->param_value;
	struct zcrx_area **areas = make_held(test, format->flags, 8);
	struct zcrx_chunk *chunk = &areas[1]->chunks[0];
	struct zcrx_ifq *ifq = areas[0]->ifq;
	u32 i;

	for (i = 0; i < 3; i++)
		zcrx_chunk_get_for_user(chunk);
	KUNIT_EXPECT_TRUE(test, zcrx_chunk_drop_user(chunk));

	zcrx_kunit_give_offset(test, 1, 0);
	zcrx_kunit_give_offset(test, 1, 100);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 2, 0, 2);
	zcrx_kunit_expect_refs(test, chunk, 2, 1);

	zcrx_kunit_give_offset(test, 1, 200);
	zcrx_kunit_give_offset(test, 1, 300);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 3, 1, 4);
	zcrx_kunit_expect_refs(test, chunk, 1, 0);
	zcrx_kunit_expect_free(test, 0);
	zcrx_chunk_put(chunk);
	zcrx_kunit_expect_free(test, 1);
}

/* Nothing happens but that it is counted, and the next entry is taken. */
static void expect_wrong(struct kunit *test, u32 flags, const void *rqe)
{
	struct zcrx_area **areas = make_held(test, flags, 8);
	struct zcrx_ifq *ifq = areas[0]->ifq;

	zcrx_kunit_give_entry(test, rqe);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 0, 1, 1);
	expect_all_held(test);

	zcrx_kunit_give_entry(test, rqe);
	zcrx_kunit_give(test, &areas[0]->chunks[0]);
	zcrx_kunit_give_entry(test, rqe);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 1, 3, 4);
	zcrx_kunit_expect_free(test, 1);
}

struct mainline_case {
	const char			*name;
	struct io_uring_zcrx_rqe	rqe;
};

#define AREA(id)	((u64)(id) << IORING_ZCRX_AREA_SHIFT)

static const struct mainline_case mainline_cases[] = {
	{ "next area",		{ .off = AREA(2) } },
	{ "area 256",		{ .off = AREA(256) } },
	{ "area's top bit",	{ .off = AREA(0x8000) } },
	{ "highest area",	{ .off = AREA(U16_MAX) } },
	{ "past the end",	{ .off = 4 * SZ_4K } },
	{ "past the 2nd's end",	{ .off = AREA(1) | 2 * SZ_4K } },
	{ "offset's bit 32",	{ .off = 1ULL << 32 } },
	{ "past 64 GiB",	{ .off = 64ULL << 30 } },
	{ "offset's bit 44",	{ .off = AREA(1) | 1ULL << 44 } },
	{ "offset's top bit",	{ .off = AREA(1) | 1ULL << 47 } },
	{ "highest offset",	{ .off = AREA(1) - 1 } },
	{ "pad 1",		{ .pad = 1 } },
	{ "pad's top bit",	{ .pad = 1U << 31 } },
};

KUNIT_ARRAY_PARAM_DESC(mainline, mainline_cases, name);

static void refill_wrong_mainline(struct kunit *test)
{
	const struct mainline_case *mc = test->param_value;

	expect_wrong(test, 0, &mc->rqe);
}

struct rbuf_case {
	const char			*name;
	struct io_uring_rbuf_rqe	rqe;
};

static const struct rbuf_case rbuf_cases[] = {
	{ "next area",		{ .region = 2 } },
	{ "area 256",		{ .region = 256 } },
	{ "area's top bit",	{ .region = 0x8000 } },
	{ "highest area",	{ .region = U16_MAX } },
	{ "past the end",	{ .off = 4 * SZ_4K } },
	{ "past the 2nd's end",	{ .region = 1, .off = 2 * SZ_4K } },
	{ "offset's top bit",	{ .region = 1, .off = 1U << 31 } },
	{ "highest offset",	{ .off = U32_MAX } },
	{ "pad 1",		{ .pad = 1 } },
	{ "pad's top bit",	{ .pad = 0x8000 } },
	{ "pad2 1",		{ .pad2 = 1 } },
	{ "pad2's top bit",	{ .pad2 = 1U << 31 } },
};

KUNIT_ARRAY_PARAM_DESC(rbuf, rbuf_cases, name);

static void refill_wrong_rbuf(struct kunit *test)
{
	const struct rbuf_case *rc = test->param_value;

	expect_wrong(test, ZCRX_REG_RBUF, &rc->rqe);
}

/* Every id, and one more */
static void refill_most_areas(struct kunit *test)
{
	const struct test_format *format = test->param_value;
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, format->flags, SZ_4K);
	u32 last = ZCRX_MAX_AREAS - 1;
	u32 id;

	for (id = 0; id < ZCRX_MAX_AREAS; id++)
		zcrx_kunit_add_area(test, 1);
	zcrx_kunit_open_refill(test, ZCRX_MAX_AREAS);
	zcrx_kunit_hold_all(test);

	zcrx_kunit_give_offset(test, last, 0);
	zcrx_kunit_give_offset(test, last + 1, 0);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 1, 1, 2);
	zcrx_kunit_expect_refs(test, &ifq->areas[last]->chunks[0], 1, 0);

	for (id = 0; id < last; id++)
		zcrx_kunit_give_offset(test, id, 0);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, ZCRX_MAX_AREAS, 1, ZCRX_MAX_AREAS + 1);
	zcrx_kunit_expect_free(test, ZCRX_MAX_AREAS);
}

/* 4 GiB, which is all that 32 bits of an offset reach, or 64 GiB */
static void refill_largest_area(struct kunit *test)
{
	const struct test_format *format = test->param_value;
	u32 nr = format->flags & ZCRX_REG_RBUF ? 4 : 64;
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, format->flags, SZ_1G);
	struct zcrx_area *area = zcrx_kunit_add_area(test, nr);
	u64 half = (u64)nr << 29;

	zcrx_kunit_open_refill(test, 4);
	zcrx_kunit_hold_all(test);
	zcrx_kunit_give_offset(test, 0, half - 1);
	zcrx_kunit_give_offset(test, 0, half);
	zcrx_kunit_give_offset(test, 0, 2 * half - 1);
	zcrx_refill_flush(ifq);

	zcrx_kunit_expect_refill(test, 3, 0, 3);
	zcrx_kunit_expect_free(test, 3);
	zcrx_kunit_expect_refs(test, &area->chunks[nr / 2 - 1], 1, 0);
	zcrx_kunit_expect_refs(test, &area->chunks[nr / 2], 1, 0);
	zcrx_kunit_expect_refs(test, &area->chunks[nr - 1], 1, 0);
}

struct tail_case {
	const char	*name;
	u32		tail;
	u32		rest;	/* of entries for a second time */
};

static const struct tail_case tail_cases[] = {
	{ "full",		8,		0 },
	{ "one too many",	9,		1 },
	{ "two rings",		16,		8 },
	{ "far ahead",		1U << 31,	8 },
	{ "one behind",		U32_MAX,	8 },
};

KUNIT_ARRAY_PARAM_DESC(tail, tail_cases, name);

/* A ring's worth is taken, and another one when asked again. */
static void refill_far_tail(struct kunit *test)
{
	const struct tail_case *tc = test->param_value;
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, ZCRX_REG_RBUF, SZ_4K);
	struct zcrx_area *area = zcrx_kunit_add_area(test, 9);
	struct zcrx_test *zt = test->priv;
	u32 i;

	zcrx_kunit_open_refill(test, 8);
	zcrx_kunit_hold_all(test);
	for (i = 0; i < 8; i++)
		zcrx_kunit_give(test, &area->chunks[i]);
	zt->cached_tail = tc->tail;
	*zt->tail = tc->tail;

	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 8, 0, 8);
	zcrx_kunit_expect_free(test, 8);
	/* This one knows no other limit below that of a batch. */
	zcrx_refill_flush_some(ifq);
	zcrx_kunit_expect_refill(test, 8, tc->rest, 8 + tc->rest);
	zcrx_kunit_expect_free(test, 8);
	zcrx_kunit_expect_refs(test, &area->chunks[8], 1, 1);
}

/*
 * Batches of each size, the last of which fills the ring, end at 2^32 exactly
 * and beyond. What the user writes to the head is neither read nor left.
 */
static void refill_wraps(struct kunit *test)
{
	const struct test_format *format = test->param_value;
	struct zcrx_area **areas = make_held(test, format->flags, 4);
	struct zcrx_ifq *ifq = areas[0]->ifq;
	struct zcrx_test *zt = test->priv;
	u32 start, batch, i;
	u32 nr = 0;

	for (start = U32_MAX - 9; start; start++) {
		u32 head = start;

		/* As if so many entries had been given and taken before */
		ifq->refill.cached_head = start;
		zt->cached_tail = start;
		*zt->head = start;
		*zt->tail = start;

		for (batch = 0; batch < 12; batch++) {
			zcrx_refill_flush(ifq);
			zcrx_kunit_expect_refill(test, nr, 0, head);
			for (i = 0; i <= batch % 4; i++)
				zcrx_kunit_give(test, &areas[0]->chunks[i]);
			*zt->head = head - 1;
			nr += i;
			head += i;
			zcrx_refill_flush(ifq);
			zcrx_kunit_expect_refill(test, nr, 0, head);
			zcrx_kunit_expect_free(test, i);
			zcrx_kunit_hold_all(test);
			expect_all_held(test);
		}
	}
}

/* Before it is open, and when it is closed */
static void refill_not_open(struct kunit *test)
{
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, ZCRX_REG_RBUF, SZ_4K);
	struct zcrx_area *area = zcrx_kunit_add_area(test, 1);
	struct zcrx_test *zt = test->priv;

	zcrx_kunit_hold_all(test);
	zcrx_refill_flush(ifq);
	zcrx_refill_flush_some(ifq);
	zcrx_refill_take(ifq, &zt->pool, 4);
	zcrx_refill_close(&ifq->refill);

	zcrx_kunit_open_refill(test, 4);
	zcrx_kunit_give(test, &area->chunks[0]);
	zcrx_refill_close(&ifq->refill);
	zcrx_refill_flush(ifq);
	zcrx_refill_flush_some(ifq);
	zcrx_refill_take(ifq, &zt->pool, 4);
	zcrx_kunit_expect_refill(test, 0, 0, 0);
	expect_all_held(test);
}

/* More than two batches, and the ring is larger. */
static void refill_batches(struct kunit *test)
{
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, ZCRX_REG_RBUF, SZ_4K);
	u32 nr = 2 * REFILL_BATCH + 88;
	struct zcrx_area *area = zcrx_kunit_add_area(test, nr);
	u32 i;

	zcrx_kunit_open_refill(test, 4 * REFILL_BATCH);
	zcrx_kunit_hold_all(test);
	for (i = 0; i < nr; i++)
		zcrx_kunit_give(test, &area->chunks[i]);

	zcrx_refill_flush_some(ifq);
	zcrx_kunit_expect_refill(test, REFILL_BATCH, 0, REFILL_BATCH);
	zcrx_kunit_expect_free(test, REFILL_BATCH);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, nr, 0, nr);
	zcrx_kunit_expect_free(test, nr);

	/* Wrong entries count, too. */
	for (i = 0; i < REFILL_BATCH + 1; i++)
		zcrx_kunit_give_offset(test, 1, 0);
	zcrx_refill_flush_some(ifq);
	zcrx_kunit_expect_refill(test, nr, REFILL_BATCH, nr + REFILL_BATCH);
}

static void refill_take(struct kunit *test)
{
	const struct test_format *format = test->param_value;
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, format->flags, SZ_4K);
	struct zcrx_chunk *chunks = zcrx_kunit_add_area(test, 3)->chunks;
	struct zcrx_test *zt = test->priv;
	struct page_pool *pool = &zt->pool;
	struct zcrx_area *copied;
	u32 i;

	/* The pool gave these to its driver, and the user got them. */
	zcrx_chunks_take_free(ifq, pool, 3);
	KUNIT_ASSERT_EQ(test, pool->alloc.count, 3);
	pool->alloc.count = 0;
	for (i = 0; i < 3; i++) {
		zcrx_chunk_get_for_user(&chunks[i]);
		zcrx_chunk_put(&chunks[i]);
	}
	copied = zcrx_kunit_add_area(test, 1);
	zcrx_kunit_open_refill(test, 8);
	zcrx_kunit_hold_all(test);
	expect_all_held(test);

	zcrx_kunit_give(test, &chunks[2]);
	zcrx_kunit_give(test, &copied->chunks[0]);
	zcrx_kunit_give(test, &chunks[2]);
	zcrx_kunit_give(test, &chunks[0]);

	/* The pool has enough before the ring is empty. */
	zcrx_refill_take(ifq, pool, 0);
	zcrx_kunit_expect_refill(test, 0, 0, 0);
	zcrx_refill_take(ifq, pool, 1);
	zcrx_kunit_expect_refill(test, 1, 0, 1);
	zcrx_refill_take(ifq, pool, 1);
	zcrx_kunit_expect_refill(test, 1, 0, 1);

	/* What was copied goes to the free list, and the rest to the pool. */
	zcrx_refill_take(ifq, pool, 64);
	zcrx_kunit_expect_refill(test, 3, 1, 4);
	KUNIT_EXPECT_EQ(test, copied->first_free, 0);
	zcrx_kunit_expect_free(test, 1);

	/* As long as the user has another piece, the pool doesn't get it. */
	zcrx_chunk_get_for_user(&chunks[1]);
	zcrx_kunit_give(test, &chunks[1]);
	zcrx_refill_take(ifq, pool, 64);
	zcrx_kunit_expect_refill(test, 4, 1, 5);
	zcrx_kunit_expect_refs(test, &chunks[1], 1, 1);
	KUNIT_EXPECT_EQ(test, pool->alloc.count, 2);
	zcrx_kunit_give(test, &chunks[1]);
	zcrx_refill_take(ifq, pool, 64);
	zcrx_kunit_expect_refill(test, 5, 1, 6);

	KUNIT_EXPECT_EQ(test, pool->alloc.count, 3);
	zcrx_kunit_expect_cached(test, 0, &chunks[2]);
	zcrx_kunit_expect_cached(test, 1, &chunks[0]);
	zcrx_kunit_expect_cached(test, 2, &chunks[1]);
}

/*
 * Nonsense doesn't stop a driver's poll for longer than a batch. All is
 * nonsense if there is no area.
 */
static void refill_take_batch(struct kunit *test)
{
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, ZCRX_REG_RBUF, SZ_4K);
	struct zcrx_test *zt = test->priv;
	u32 i;

	zcrx_kunit_open_refill(test, 2 * REFILL_BATCH);
	for (i = 0; i < REFILL_BATCH + 1; i++)
		zcrx_kunit_give_offset(test, 0, 0);
	zcrx_refill_take(ifq, &zt->pool, 64);
	zcrx_kunit_expect_refill(test, 0, REFILL_BATCH, REFILL_BATCH);
	zcrx_refill_take(ifq, &zt->pool, 64);
	zcrx_kunit_expect_refill(test, 0, REFILL_BATCH + 1, REFILL_BATCH + 1);
	KUNIT_EXPECT_EQ(test, zt->pool.alloc.count, 0);
}

static struct kunit_case refill_cases[] = {
	KUNIT_CASE(refill_layout),
	KUNIT_CASE_PARAM(refill_right, format_gen_params),
	KUNIT_CASE_PARAM(refill_twice, format_gen_params),
	KUNIT_CASE_PARAM(refill_pieces, format_gen_params),
	KUNIT_CASE_PARAM(refill_wrong_mainline, mainline_gen_params),
	KUNIT_CASE_PARAM(refill_wrong_rbuf, rbuf_gen_params),
	KUNIT_CASE_PARAM(refill_most_areas, format_gen_params),
	KUNIT_CASE_PARAM(refill_largest_area, format_gen_params),
	KUNIT_CASE_PARAM(refill_far_tail, tail_gen_params),
	KUNIT_CASE_PARAM(refill_wraps, format_gen_params),
	KUNIT_CASE(refill_not_open),
	KUNIT_CASE(refill_batches),
	KUNIT_CASE_PARAM(refill_take, format_gen_params),
	KUNIT_CASE(refill_take_batch),
	{}
};

static struct kunit_suite refill_suite = {
	.name		= "zcrx_refill",
	.init		= zcrx_kunit_init,
	.exit		= zcrx_kunit_exit,
	.test_cases	= refill_cases,
};

kunit_test_suite(refill_suite);
