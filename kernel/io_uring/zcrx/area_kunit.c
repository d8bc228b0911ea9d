// SPDX-License-Identifier: GPL-2.0
/* Tests of areas and their chunks, and of those who take them */

#include <kunit/test.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sizes.h>

#include "area.h"
#include "copy.h"
#include "ifq.h"
#include "kunit.h"
#include "provider.h"
#include "refill.h"

struct offset_case {
	const char	*name;
	u32		chunk_size;
	u32		nr_chunks;
	u64		second;
	u64		last;
};

static const struct offset_case offset_cases[] = {
	{ "4K",		SZ_4K,	4096,	0x1000,		0xfff000 },
	{ "64K",	SZ_64K,	3,	0x10000,	0x20000 },
	{ "2M",		SZ_2M,	2048,	0x200000,	0xffe00000 },
	{ "1G",		SZ_1G,	64,	0x40000000,	0xfc0000000ULL },
	{ "2G",		SZ_2G,	32,	0x80000000,	0xf80000000ULL },
};

KUNIT_ARRAY_PARAM_DESC(offset, offset_cases, name);

static void area_offset(struct kunit *test)
{
	const struct offset_case *oc = test->param_value;
	struct zcrx_chunk *chunks;

	zcrx_kunit_make_ifq(test, 0, oc->chunk_size);
	/* Where a chunk is doesn't depend on other areas. */
	zcrx_kunit_add_area(test, 1);
	chunks = zcrx_kunit_add_area(test, oc->nr_chunks)->chunks;

	KUNIT_EXPECT_EQ(test, zcrx_chunk_offset(&chunks[0]), 0);
	KUNIT_EXPECT_EQ(test, zcrx_chunk_offset(&chunks[1]), oc->second);
	KUNIT_EXPECT_EQ(test, zcrx_chunk_offset(&chunks[oc->nr_chunks - 1]),
			oc->last);
}

static struct zcrx_chunk *take_chunk(struct kunit *test)
{
	struct zcrx_test *zt = test->priv;
	struct zcrx_chunk *chunk = zcrx_chunk_take_free(zt->ifq);

	KUNIT_ASSERT_NOT_NULL(test, chunk);
	return chunk;
}

static void area_take_all(struct kunit *test)
{
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, 0, SZ_4K);
	struct zcrx_chunk *chunks[5];
	int round, i;

	zcrx_kunit_add_area(test, 3);
	zcrx_kunit_add_area(test, 2);
	zcrx_kunit_expect_free(test, 5);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 5; i++) {
			chunks[i] = take_chunk(test);
			zcrx_kunit_expect_refs(test, chunks[i], 1, 0);
			zcrx_kunit_expect_free(test, 4 - i);
		}
		KUNIT_EXPECT_NULL(test, zcrx_chunk_take_free(ifq));
		zcrx_kunit_expect_free(test, 0);

		/* In an order that is neither of the lists' */
		for (i = 0; i < 5; i++) {
			zcrx_chunk_put(chunks[i * 2 % 5]);
			zcrx_kunit_expect_free(test, i + 1);
		}
	}
}

static void area_leaves_list(struct kunit *test)
{
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, 0, SZ_4K);
	struct zcrx_area *first = zcrx_kunit_add_area(test, 2);
	struct zcrx_area *second = zcrx_kunit_add_area(test, 1);
	struct zcrx_chunk *chunk = take_chunk(test);

	KUNIT_EXPECT_PTR_EQ(test, chunk->area, first);
	KUNIT_EXPECT_PTR_EQ(test, take_chunk(test)->area, first);
	KUNIT_EXPECT_EQ(test, first->first_free, ZCRX_NO_CHUNK);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&ifq->free_areas));

	/* It comes back with one chunk, behind the other one. */
	zcrx_chunk_put(chunk);
	KUNIT_EXPECT_EQ(test, list_count_nodes(&ifq->free_areas), 2);
	KUNIT_EXPECT_PTR_EQ(test, take_chunk(test)->area, second);
	KUNIT_EXPECT_PTR_EQ(test, take_chunk(test), chunk);
	KUNIT_EXPECT_TRUE(test, list_empty(&ifq->free_areas));
}

static void area_drop_users(struct kunit *test)
{
	struct zcrx_area *area, *other;

	zcrx_kunit_make_ifq(test, 0, SZ_4K);
	area = zcrx_kunit_add_area(test, 4);
	other = zcrx_kunit_add_area(test, 1);
	zcrx_kunit_hold_all(test);

	/* Three pieces of the first chunk; the third one is in an skb, too. */
	zcrx_chunk_get_for_user(&area->chunks[0]);
	zcrx_chunk_get_for_user(&area->chunks[0]);
	zcrx_chunk_get_for_user(&area->chunks[2]);
	KUNIT_EXPECT_TRUE(test, zcrx_chunk_drop_user(&area->chunks[2]));
	zcrx_kunit_expect_refs(test, &area->chunks[0], 3, 3);
	zcrx_kunit_expect_refs(test, &area->chunks[2], 2, 1);

	zcrx_area_drop_users(area);
	zcrx_kunit_expect_free(test, 3);
	KUNIT_EXPECT_FALSE(test, zcrx_chunk_drop_user(&area->chunks[0]));
	KUNIT_EXPECT_FALSE(test, zcrx_chunk_drop_user(&area->chunks[2]));
	zcrx_kunit_expect_refs(test, &area->chunks[2], 1, 0);
	zcrx_kunit_expect_refs(test, &other->chunks[0], 1, 1);

	zcrx_area_drop_users(area);
	zcrx_kunit_expect_free(test, 3);
	zcrx_chunk_put(&area->chunks[2]);
	zcrx_kunit_expect_free(test, 4);
	zcrx_area_drop_users(other);
	zcrx_kunit_expect_free(test, 5);
}

static void pool_takes_free(struct kunit *test)
{
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, 0, SZ_4K);
	struct zcrx_area *area = zcrx_kunit_add_area(test, 8);
	struct zcrx_test *zt = test->priv;
	struct page_pool *pool = &zt->pool;
	u32 i;

	/* There are fewer than what is left for the copy fallback. */
	ifq->copy_reserve = 9;
	zcrx_chunks_take_free(ifq, pool, 1);
	zcrx_kunit_expect_free(test, 8);

	ifq->copy_reserve = 2;
	zcrx_chunks_take_free(ifq, pool, 0);
	zcrx_kunit_expect_free(test, 8);
	zcrx_chunks_take_free(ifq, pool, 5);
	zcrx_kunit_expect_free(test, 3);
	zcrx_chunks_take_free(ifq, pool, 5);
	zcrx_kunit_expect_free(test, 2);
	zcrx_chunks_take_free(ifq, pool, 5);
	zcrx_kunit_expect_free(test, 2);

	KUNIT_ASSERT_EQ(test, pool->alloc.count, 6);
	for (i = 0; i < 6; i++)
		zcrx_kunit_expect_cached(test, i, &area->chunks[i]);

	KUNIT_EXPECT_NULL(test, take_chunk(test)->niov.pp);
	take_chunk(test);
	zcrx_kunit_expect_free(test, 0);
}

/* In ZCRX_COPY with nothing free */
static struct zcrx_area *make_dry(struct kunit *test, u32 flags)
{
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, flags, SZ_4K);
	struct zcrx_area *area = zcrx_kunit_add_area(test, 8);

	zcrx_kunit_hold_all(test);
	ifq->state = ZCRX_COPY;
	ifq->resume_level = 3;
	return area;
}

static void resume_auto(struct kunit *test)
{
	struct zcrx_area *area = make_dry(test, 0);
	struct zcrx_ifq *ifq = area->ifq;
	u32 i;

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, ifq->state, ZCRX_COPY);
		KUNIT_EXPECT_EQ(test, ifq->nr_state_changes, 0);
		KUNIT_EXPECT_TRUE(test, zcrx_chunk_drop_user(&area->chunks[i]));
		zcrx_chunk_put(&area->chunks[i]);
	}
	KUNIT_EXPECT_EQ(test, ifq->state, ZCRX_ON);
	KUNIT_EXPECT_EQ(test, ifq->nr_state_changes, 1);

	zcrx_area_drop_users(area);
	KUNIT_EXPECT_EQ(test, ifq->state, ZCRX_ON);
	KUNIT_EXPECT_EQ(test, ifq->nr_state_changes, 1);
	zcrx_kunit_expect_free(test, 8);
}

static void resume_manual(struct kunit *test)
{
	struct zcrx_area *area = make_dry(test, ZCRX_REG_MANUAL_RESUME);
	struct zcrx_ifq *ifq = area->ifq;

	zcrx_area_drop_users(area);
	zcrx_kunit_expect_free(test, 8);
	KUNIT_EXPECT_EQ(test, ifq->state, ZCRX_COPY);
	zcrx_provider_resume(ifq, 9);
	KUNIT_EXPECT_EQ(test, ifq->state, ZCRX_COPY);
	KUNIT_EXPECT_EQ(test, ifq->nr_state_changes, 0);

	zcrx_provider_resume(ifq, 8);
	KUNIT_EXPECT_EQ(test, ifq->state, ZCRX_ON);
	zcrx_provider_resume(ifq, 8);
	KUNIT_EXPECT_EQ(test, ifq->nr_state_changes, 1);
}

static bool copy_prepare(struct zcrx_ifq *ifq)
{
	bool ret;

	mutex_lock(&ifq->lock);
	ret = zcrx_copy_prepare(ifq);
	mutex_unlock(&ifq->lock);
	return ret;
}

static void copy_packs(struct kunit *test)
{
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, 0, SZ_4K);
	struct zcrx_copy *copy = &ifq->copy;
	struct zcrx_chunk *chunk;

	zcrx_kunit_add_area(test, 2);
	KUNIT_EXPECT_TRUE(test, copy_prepare(ifq));
	chunk = copy->chunk;
	KUNIT_ASSERT_NOT_NULL(test, chunk);
	zcrx_kunit_expect_refs(test, chunk, 1, 0);
	KUNIT_EXPECT_EQ(test, copy->used, 0);
	zcrx_kunit_expect_free(test, 1);

	/* There is room for one more byte, and then there is not. */
	zcrx_chunk_get_for_user(chunk);
	copy->used = SZ_4K - 1;
	KUNIT_EXPECT_TRUE(test, copy_prepare(ifq));
	KUNIT_EXPECT_PTR_EQ(test, copy->chunk, chunk);
	KUNIT_EXPECT_EQ(test, copy->used, SZ_4K - 1);
	copy->used = SZ_4K;
	KUNIT_EXPECT_TRUE(test, copy_prepare(ifq));
	KUNIT_EXPECT_PTR_NE(test, copy->chunk, chunk);
	KUNIT_EXPECT_EQ(test, copy->used, 0);
	zcrx_kunit_expect_refs(test, chunk, 1, 1);
	zcrx_kunit_expect_free(test, 0);
}

static void copy_refills(struct kunit *test)
{
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, ZCRX_REG_RBUF, SZ_4K);
	struct zcrx_area *area = zcrx_kunit_add_area(test, 2);

	zcrx_kunit_open_refill(test, 4);
	zcrx_kunit_hold_all(test);
	KUNIT_EXPECT_FALSE(test, copy_prepare(ifq));
	KUNIT_EXPECT_NULL(test, ifq->copy.chunk);

	zcrx_kunit_give(test, &area->chunks[1]);
	KUNIT_EXPECT_TRUE(test, copy_prepare(ifq));
	KUNIT_EXPECT_PTR_EQ(test, ifq->copy.chunk, &area->chunks[1]);
	zcrx_kunit_expect_refill(test, 1, 0, 1);
	zcrx_kunit_expect_free(test, 0);
}

static void last_user_closes(struct kunit *test)
{
	struct zcrx_ifq *ifq = zcrx_kunit_make_ifq(test, ZCRX_REG_RBUF, SZ_4K);
	struct zcrx_area *area = zcrx_kunit_add_area(test, 4);

	zcrx_kunit_add_area(test, 2);
	zcrx_kunit_open_refill(test, 4);
	KUNIT_EXPECT_TRUE(test, copy_prepare(ifq));
	zcrx_kunit_hold_all(test);
	zcrx_kunit_give(test, &area->chunks[1]);

	zcrx_ifq_get_user(ifq);
	zcrx_ifq_put_user(ifq);
	KUNIT_EXPECT_FALSE(test, ifq->closed);
	zcrx_kunit_expect_free(test, 0);
	zcrx_ifq_put(ifq);

	/* All is free, without a look at the ring. */
	zcrx_ifq_put_user(ifq);
	KUNIT_EXPECT_TRUE(test, ifq->closed);
	KUNIT_EXPECT_NULL(test, ifq->copy.chunk);
	zcrx_kunit_expect_free(test, 6);
	zcrx_refill_flush(ifq);
	zcrx_kunit_expect_refill(test, 0, 0, 0);
	zcrx_kunit_expect_free(test, 6);
}

static struct kunit_case area_cases[] = {
	KUNIT_CASE_PARAM(area_offset, offset_gen_params),
	KUNIT_CASE(area_take_all),
	KUNIT_CASE(area_leaves_list),
	KUNIT_CASE(area_drop_users),
	KUNIT_CASE(pool_takes_free),
	KUNIT_CASE(resume_auto),
	KUNIT_CASE(resume_manual),
	KUNIT_CASE(copy_packs),
	KUNIT_CASE(copy_refills),
	KUNIT_CASE(last_user_closes),
	{}
};

static struct kunit_suite area_suite = {
	.name		= "zcrx_area",
	.init		= zcrx_kunit_init,
	.exit		= zcrx_kunit_exit,
	.test_cases	= area_cases,
};

kunit_test_suite(area_suite);
