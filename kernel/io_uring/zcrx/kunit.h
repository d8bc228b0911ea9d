/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of areas and of the refill ring share
 *
 * Areas are made by hand and have no memory: no test looks into a chunk. What
 * the user does to a ring is done by the offsets that he is told, without a
 * look at the kernel's end of it.
 */
#ifndef IOU_ZCRX_KUNIT_H
#define IOU_ZCRX_KUNIT_H

#include <linux/types.h>
#include <net/page_pool/types.h>

struct kunit;
struct zcrx_area;
struct zcrx_chunk;
struct zcrx_ifq;

/**
 * struct zcrx_test - what a test has, and the user's end of the refill ring
 * @ifq: NULL if there is none yet
 * @pool: asks for memory, and has a cache for it
 * @head: shared
 * @tail: shared
 * @entries: shared
 * @mask: number of entries - 1
 * @cached_tail: the user's own
 */
struct zcrx_test {
	struct zcrx_ifq		*ifq;
	struct page_pool	pool;
	u32			*head;
	u32			*tail;
	void			*entries;
	u32			mask;
	u32			cached_tail;
};

int zcrx_kunit_init(struct kunit *test);
void zcrx_kunit_exit(struct kunit *test);

struct zcrx_ifq *zcrx_kunit_make_ifq(struct kunit *test, u32 flags,
				     u32 chunk_size);
struct zcrx_area *zcrx_kunit_add_area(struct kunit *test, u32 nr_chunks);
void zcrx_kunit_hold_all(struct kunit *test);

void zcrx_kunit_open_refill(struct kunit *test, u32 nr_entries);
void zcrx_kunit_give_entry(struct kunit *test, const void *rqe);
void zcrx_kunit_give_offset(struct kunit *test, u32 area_id, u64 off);
void zcrx_kunit_give(struct kunit *test, const struct zcrx_chunk *chunk);

void zcrx_kunit_expect_free(struct kunit *test, u32 expected);
void zcrx_kunit_expect_refs(struct kunit *test, struct zcrx_chunk *chunk,
			    long refs, int user_refs);
void zcrx_kunit_expect_cached(struct kunit *test, u32 index,
			      struct zcrx_chunk *chunk);
void zcrx_kunit_expect_refill(struct kunit *test, u32 taken, u32 invalid,
			      u32 head);

#endif /* IOU_ZCRX_KUNIT_H */
