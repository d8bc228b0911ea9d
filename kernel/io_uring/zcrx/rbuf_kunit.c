// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the rbuf ring
 *
 * What the user does is done by the offsets that he is told, without a look at
 * the kernel's end of the ring.
 */

#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/string.h>

#include "ifq.h"
#include "rbuf.h"
#include "region.h"

/**
 * struct test_rbuf - both ends of an rbuf ring
 * @rbuf: the kernel's
 * @offsets: where things are in its memory
 * @hdr: the user's
 * @cqes: the user's
 */
struct test_rbuf {
	struct zcrx_rbuf		rbuf;
	struct io_uring_rbuf_offsets	offsets;
	struct io_uring_rbuf_hdr	*hdr;
	struct io_uring_rbuf_cqe	*cqes;
};

/* Memory that is not new: opening makes an empty ring of it. */
static struct test_rbuf *open_rbuf(struct kunit *test, u32 nr_entries)
{
	size_t size = zcrx_rbuf_size(nr_entries);
	struct zcrx_region region = {};
	struct test_rbuf *tr;

	tr = kunit_kzalloc(test, sizeof(*tr), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, tr);
	region.ptr = kunit_kzalloc(test, size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, region.ptr);
	memset(region.ptr, 0xff, size);
	zcrx_rbuf_open(&tr->rbuf, &region, nr_entries, &tr->offsets);
	tr->hdr = region.ptr + tr->offsets.hdr;
	tr->cqes = region.ptr + tr->offsets.cqes;
	return tr;
}

/* As if so many entries had been posted and read before */
static void start_rbuf_at(struct test_rbuf *tr, u32 index)
{
	tr->rbuf.producer = index;
	tr->rbuf.published = index;
	tr->hdr->producer = index;
	tr->hdr->consumer = index;
}

/* Each field tells which entry it is. */
static struct io_uring_rbuf_cqe make_cqe(u32 nr)
{
	return (struct io_uring_rbuf_cqe) {
		.off	= 0x10000 + nr,
		.len	= 0x20000 + nr,
		.region	= 0x300 + nr,
		.sock	= 0x40 + nr,
		.flags	= IORING_RBUF_CQE_F_COPIED,
		.tag	= 0x50000 + nr,
	};
}

static void post(struct test_rbuf *tr, u32 nr)
{
	struct io_uring_rbuf_cqe cqe = make_cqe(nr);

	zcrx_rbuf_post(&tr->rbuf, &cqe);
}

static bool publish(struct test_rbuf *tr)
{
	static const struct zcrx_counters no_counters;

	return zcrx_rbuf_publish(&tr->rbuf, &no_counters);
}

static void expect_cqe(struct kunit *test, const struct test_rbuf *tr,
		       u32 index, u32 nr)
{
	struct io_uring_rbuf_cqe cqe = make_cqe(nr);

	KUNIT_EXPECT_MEMEQ(test, &tr->cqes[index], &cqe, sizeof(cqe));
}

static void rbuf_layout(struct kunit *test)
{
	struct test_rbuf *tr = open_rbuf(test, 8);
	u32 cqes = tr->offsets.cqes;

	KUNIT_EXPECT_EQ(test, tr->offsets.hdr % 64, 0);
	KUNIT_EXPECT_EQ(test, cqes % 64, 0);
	KUNIT_EXPECT_GE(test, cqes, tr->offsets.hdr + sizeof(*tr->hdr));
	KUNIT_EXPECT_EQ(test, zcrx_rbuf_size(1), cqes + 16);
	KUNIT_EXPECT_EQ(test, zcrx_rbuf_size(32768), cqes + 32768 * 16);
	KUNIT_EXPECT_NULL(test, memchr_inv(tr->hdr, 0, sizeof(*tr->hdr)));
}

struct room_case {
	const char	*name;
	u32		producer;
	u32		consumer;
	bool		room;
};

static const struct room_case room_cases[] = {
	{ "empty",			0,		0,		true },
	{ "one left",			7,		0,		true },
	{ "full",			8,		0,		false },
	{ "more than full",		9,		0,		false },
	{ "half the range",		1U << 31,	0,		false },
	{ "one ahead",			100,		101,		false },
	{ "empty at the end",		U32_MAX,	U32_MAX,	true },
	{ "wrapped, one used",		0,		U32_MAX,	true },
	{ "wrapped, one left",		3,		U32_MAX - 3,	true },
	{ "wrapped, full",		4,		U32_MAX - 3,	false },
	{ "wrapped, one ahead",		U32_MAX,	0,		false },
};

KUNIT_ARRAY_PARAM_DESC(room, room_cases, name);

static void rbuf_has_room(struct kunit *test)
{
	const struct room_case *rc = test->param_value;
	struct test_rbuf *tr = open_rbuf(test, 8);

	start_rbuf_at(tr, rc->producer);
	tr->hdr->consumer = rc->consumer;
	KUNIT_EXPECT_EQ(test, zcrx_rbuf_has_room(&tr->rbuf), rc->room);

	/* The kernel's own producer counts. */
	tr->hdr->producer = rc->consumer;
	KUNIT_EXPECT_EQ(test, zcrx_rbuf_has_room(&tr->rbuf), rc->room);
}

/* Room is used by posting, and not by publishing. */
static void rbuf_wraps(struct kunit *test)
{
	u32 start = U32_MAX - 1;
	u32 size, i;

	for (size = 1; size <= 4; size *= 2) {
		struct test_rbuf *tr = open_rbuf(test, size);

		start_rbuf_at(tr, start);
		for (i = 0; i < size; i++) {
			KUNIT_EXPECT_TRUE(test, zcrx_rbuf_has_room(&tr->rbuf));
			post(tr, i);
		}
		KUNIT_EXPECT_FALSE(test, zcrx_rbuf_has_room(&tr->rbuf));
		KUNIT_EXPECT_EQ(test, tr->hdr->producer, start);
		publish(tr);
		KUNIT_EXPECT_FALSE(test, zcrx_rbuf_has_room(&tr->rbuf));
		KUNIT_EXPECT_EQ(test, tr->hdr->producer, start + size);
		for (i = 0; i < size; i++)
			expect_cqe(test, tr, (start + i) % size, i);

		/* The oldest one is read, and written over. */
		tr->hdr->consumer++;
		KUNIT_EXPECT_TRUE(test, zcrx_rbuf_has_room(&tr->rbuf));
		post(tr, size);
		KUNIT_EXPECT_FALSE(test, zcrx_rbuf_has_room(&tr->rbuf));
		publish(tr);
		KUNIT_EXPECT_EQ(test, tr->hdr->producer, start + size + 1);
		for (i = 1; i <= size; i++)
			expect_cqe(test, tr, (start + i) % size, i);
	}
}

static void rbuf_counters(struct kunit *test)
{
	struct zcrx_counters counters = {
		.posted		= 11,
		.zc_bytes	= 22ULL << 32,
		.copies		= 33,
		.copied_bytes	= {
			[IORING_ZCRX_COPY_NONE]		= 44,
			[IORING_ZCRX_COPY_LINEAR]	= 55,
			[IORING_ZCRX_COPY_PAGE]		= U64_MAX,
			[IORING_ZCRX_COPY_FOREIGN]	= 77,
		},
		.pauses		= 88,
	};
	struct test_rbuf *tr = open_rbuf(test, 4);
	struct io_uring_rbuf_hdr *hdr = tr->hdr;

	/* Even if nothing was posted */
	hdr->uflags = IORING_RBUF_U_WAKEUP;
	KUNIT_EXPECT_FALSE(test, zcrx_rbuf_publish(&tr->rbuf, &counters));
	KUNIT_EXPECT_EQ(test, hdr->producer, 0);
	KUNIT_EXPECT_EQ(test, hdr->zc_bytes, 22ULL << 32);
	KUNIT_EXPECT_EQ(test, hdr->pauses, 88);
	KUNIT_EXPECT_MEMEQ(test, hdr->copied_bytes, counters.copied_bytes,
			   4 * sizeof(u64));
	KUNIT_EXPECT_NULL(test, memchr_inv(&hdr->copied_bytes[4], 0,
					   4 * sizeof(u64)));

	counters.zc_bytes++;
	counters.copied_bytes[IORING_ZCRX_COPY_PAGE] = 0;
	counters.pauses++;
	post(tr, 0);
	KUNIT_EXPECT_TRUE(test, zcrx_rbuf_publish(&tr->rbuf, &counters));
	KUNIT_EXPECT_EQ(test, hdr->producer, 1);
	KUNIT_EXPECT_EQ(test, hdr->zc_bytes, (22ULL << 32) + 1);
	KUNIT_EXPECT_EQ(test, hdr->pauses, 89);
	KUNIT_EXPECT_EQ(test, hdr->copied_bytes[2], 0);

	/* Nothing was written that was not posted. */
	expect_cqe(test, tr, 0, 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(&tr->cqes[1], 0xff,
					   3 * sizeof(*tr->cqes)));
	KUNIT_EXPECT_EQ(test, hdr->kflags, 0);
}

/* What the user writes to the kernel's fields is not read. */
static void rbuf_fields_are_ours(struct kunit *test)
{
	struct test_rbuf *tr = open_rbuf(test, 4);
	struct io_uring_rbuf_hdr *hdr = tr->hdr;

	post(tr, 0);
	memset(hdr, 0xff, offsetof(struct io_uring_rbuf_hdr, consumer));
	hdr->zc_bytes = 1234;
	publish(tr);
	KUNIT_EXPECT_EQ(test, hdr->producer, 1);
	KUNIT_EXPECT_EQ(test, hdr->zc_bytes, 0);

	/* Nor when it is about waking up */
	hdr->uflags = IORING_RBUF_U_WAKEUP;
	hdr->consumer = 1;
	hdr->producer = 77;
	post(tr, 1);
	KUNIT_EXPECT_TRUE(test, publish(tr));
	hdr->producer = 0;
	hdr->consumer = 0;
	post(tr, 2);
	KUNIT_EXPECT_FALSE(test, publish(tr));
	KUNIT_EXPECT_EQ(test, hdr->producer, 3);
}

struct wake_case {
	const char	*name;
	u32		uflags;
	u32		before;		/* published */
	u32		consumer;
	u32		nr;		/* posted then */
	bool		kick;
	bool		wake;
};

#define WAKEUP	IORING_RBUF_U_WAKEUP

static const struct wake_case wake_cases[] = {
	{ "first batch",	WAKEUP,	0, 0, 3,	false, true },
	{ "has read all",	WAKEUP,	5, 5, 1,	false, true },
	{ "reads still",	WAKEUP,	5, 4, 1,	false, false },
	{ "full",		WAKEUP,	5, 1, 4,	false, false },
	{ "not wanted",		0,	5, 5, 1,	false, false },
	{ "unknown flags",	~WAKEUP, 5, 5, 1,	false, false },
	{ "all flags",		U32_MAX, 5, 5, 1,	false, true },
	{ "nothing new",	WAKEUP,	5, 5, 0,	false, false },
	{ "one ahead",		WAKEUP,	5, 6, 1,	false, false },
	{ "far ahead",		WAKEUP,	5, 1U << 31, 1,	false, false },
	{ "at 2^32",		WAKEUP,	U32_MAX, U32_MAX, 1, false, true },
	{ "kick",		WAKEUP,	5, 5, 0,	true, true },
	{ "kick, reads still",	WAKEUP,	5, 4, 0,	true, true },
	{ "kick, more to read",	WAKEUP,	5, 4, 1,	true, true },
	{ "kick, nonsense",	WAKEUP,	5, 6, 0,	true, true },
	{ "kick, not wanted",	0,	5, 5, 1,	true, false },
	{ "kick, unknown flags", ~WAKEUP, 5, 5, 0,	true, false },
};

KUNIT_ARRAY_PARAM_DESC(wake, wake_cases, name);

static void rbuf_wakes(struct kunit *test)
{
	const struct wake_case *wc = test->param_value;
	struct test_rbuf *tr = open_rbuf(test, 8);
	u32 i;

	start_rbuf_at(tr, wc->before);
	tr->hdr->consumer = wc->consumer;
	tr->hdr->uflags = wc->uflags;
	for (i = 0; i < wc->nr; i++)
		post(tr, i);
	if (wc->kick)
		zcrx_rbuf_set_need_kick(&tr->rbuf);

	KUNIT_EXPECT_EQ(test, publish(tr), wc->wake);
	KUNIT_EXPECT_EQ(test, tr->hdr->producer, wc->before + wc->nr);

	/* Once */
	KUNIT_EXPECT_FALSE(test, publish(tr));
	KUNIT_EXPECT_EQ(test, tr->hdr->producer, wc->before + wc->nr);
	KUNIT_EXPECT_EQ(test, tr->hdr->uflags, wc->uflags);
	KUNIT_EXPECT_EQ(test, tr->hdr->consumer, wc->consumer);
}

/* Who slept is woken again only after he has read what woke him. */
static void rbuf_wakes_again(struct kunit *test)
{
	struct test_rbuf *tr = open_rbuf(test, 4);

	tr->hdr->uflags = IORING_RBUF_U_WAKEUP;
	post(tr, 0);
	KUNIT_EXPECT_TRUE(test, publish(tr));
	post(tr, 1);
	KUNIT_EXPECT_FALSE(test, publish(tr));
	tr->hdr->consumer = 1;
	post(tr, 2);
	KUNIT_EXPECT_FALSE(test, publish(tr));
	tr->hdr->consumer = 3;
	post(tr, 3);
	KUNIT_EXPECT_TRUE(test, publish(tr));
}

/* What the user writes to kflags is not read, either. */
static void rbuf_need_kick(struct kunit *test)
{
	struct test_rbuf *tr = open_rbuf(test, 4);
	struct io_uring_rbuf_hdr *hdr = tr->hdr;

	hdr->uflags = IORING_RBUF_U_WAKEUP;
	hdr->kflags = U32_MAX;
	zcrx_rbuf_set_need_kick(&tr->rbuf);
	KUNIT_EXPECT_EQ(test, hdr->kflags, IORING_RBUF_K_NEED_KICK);
	KUNIT_EXPECT_TRUE(test, publish(tr));

	/* It is told, and need not be told again. */
	hdr->kflags = 0;
	zcrx_rbuf_set_need_kick(&tr->rbuf);
	KUNIT_EXPECT_EQ(test, hdr->kflags, IORING_RBUF_K_NEED_KICK);
	KUNIT_EXPECT_FALSE(test, publish(tr));

	hdr->kflags = U32_MAX;
	zcrx_rbuf_clear_need_kick(&tr->rbuf);
	KUNIT_EXPECT_EQ(test, hdr->kflags, 0);
	KUNIT_EXPECT_FALSE(test, publish(tr));

	/* Another pause is, unless it is over before. */
	zcrx_rbuf_set_need_kick(&tr->rbuf);
	KUNIT_EXPECT_EQ(test, hdr->kflags, IORING_RBUF_K_NEED_KICK);
	KUNIT_EXPECT_TRUE(test, publish(tr));
	zcrx_rbuf_clear_need_kick(&tr->rbuf);
	zcrx_rbuf_set_need_kick(&tr->rbuf);
	zcrx_rbuf_set_need_kick(&tr->rbuf);
	zcrx_rbuf_clear_need_kick(&tr->rbuf);
	KUNIT_EXPECT_EQ(test, hdr->kflags, 0);
	KUNIT_EXPECT_FALSE(test, publish(tr));

	/* Clearing what is not set does nothing. */
	zcrx_rbuf_clear_need_kick(&tr->rbuf);
	KUNIT_EXPECT_EQ(test, hdr->kflags, 0);
	KUNIT_EXPECT_FALSE(test, publish(tr));
}

static struct kunit_case rbuf_cases[] = {
	KUNIT_CASE(rbuf_layout),
	KUNIT_CASE_PARAM(rbuf_has_room, room_gen_params),
	KUNIT_CASE(rbuf_wraps),
	KUNIT_CASE(rbuf_counters),
	KUNIT_CASE(rbuf_fields_are_ours),
	KUNIT_CASE_PARAM(rbuf_wakes, wake_gen_params),
	KUNIT_CASE(rbuf_wakes_again),
	KUNIT_CASE(rbuf_need_kick),
	{}
};

static struct kunit_suite rbuf_suite = {
	.name		= "zcrx_rbuf",
	.test_cases	= rbuf_cases,
};

kunit_test_suite(rbuf_suite);
