// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The library's side of the rings, against the other side.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "ktap.h"

#define CHUNK		4096
#define NR_CHUNKS	64
#define NR_ENTRIES	16

#define CQE32_RING	(IORING_SETUP_SINGLE_ISSUER | \
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQE32)

/* Positions that wrap around soon */
#define NEAR_WRAP	(UINT32_MAX - 5)

static struct io_uring ring = { .ring_fd = 42, .enter_ring_fd = 42 };
static struct zcrx_area areas[2];
static struct zcrx_ifq ifq;

static bool set_up(enum fake_kind kind, unsigned int rbuf_entries)
{
	struct zcrx_params params = {
		.refill_entries	= NR_ENTRIES,
		.rbuf_entries	= rbuf_entries,
	};

	fake_reset(kind);
	fake.ring_flags = CQE32_RING;
	if (zcrx_register(&ring, &params, areas, rbuf_entries ? 2 : 1, &ifq))
		return false;
	fake_start_at(&ifq, NEAR_WRAP);

	return true;
}

static void rbuf_read(void)
{
	struct zcrx_rbuf_cqe cqe = { .len = 1 };
	const struct zcrx_rbuf_cqe *e;
	unsigned int i, nr, round;

	EXPECT(set_up(FAKE_OURS, NR_ENTRIES));
	EXPECT(!zcrx_rbuf_peek(&ifq) && !zcrx_rbuf_read(&ifq, 0));

	for (round = 0; round < 5; round++) {
		for (i = 0; i < NR_ENTRIES; i++) {
			cqe.off = round * NR_ENTRIES + i;
			EXPECT(fake_post(&cqe));
		}
		EXPECT(!fake_post(&cqe));
		EXPECT(zcrx_rbuf_peek(&ifq) == NR_ENTRIES);

		/* Reading does not release. */
		zcrx_for_each_rbuf(&ifq, nr, e)
			EXPECT(e->off == round * NR_ENTRIES + nr);
		EXPECT(nr == NR_ENTRIES);
		EXPECT(!fake_post(&cqe));

		zcrx_rbuf_release(&ifq, 3);
		EXPECT(zcrx_rbuf_peek(&ifq) == NR_ENTRIES - 3);
		EXPECT(zcrx_rbuf_read(&ifq, 0)->off == round * NR_ENTRIES + 3);
		zcrx_rbuf_release(&ifq, NR_ENTRIES - 3);
		EXPECT(!zcrx_rbuf_read(&ifq, 0));
	}
	zcrx_unregister(&ifq);
}

/* What comes in during the loop is part of it. */
static void rbuf_for_each_grows(void)
{
	struct zcrx_rbuf_cqe cqe = { .len = 1 };
	const struct zcrx_rbuf_cqe *e;
	unsigned int nr;

	EXPECT(set_up(FAKE_OURS, NR_ENTRIES));
	EXPECT(fake_post(&cqe));
	zcrx_for_each_rbuf(&ifq, nr, e)
		fake_post(&cqe);
	EXPECT(nr == NR_ENTRIES);
	zcrx_unregister(&ifq);
}

static void rbuf_bytes(void)
{
	struct zcrx_rbuf_cqe cqe = {
		.off = 8192 + 7, .len = 5, .region = 1, .tag = 77,
	};
	const struct zcrx_rbuf_cqe *e;

	EXPECT(set_up(FAKE_OURS, NR_ENTRIES));
	EXPECT(fake_post(&cqe));
	e = zcrx_rbuf_read(&ifq, 0);
	EXPECT(e && e->tag == 77);
	EXPECT(zcrx_rbuf_off(e) == (1ULL << 48 | 8199));
	EXPECT(zcrx_rbuf_data(&ifq, e) == (char *)areas[1].addr + 8199);
	EXPECT(zcrx_data(&ifq, zcrx_rbuf_off(e)) == zcrx_rbuf_data(&ifq, e));
	zcrx_unregister(&ifq);
}

static void cqe32_bytes(void)
{
	__u64 memory[4] = { 0 };
	struct io_uring_cqe *cqe = (struct io_uring_cqe *)memory;
	struct zcrx_abi_cqe *zcrx = (struct zcrx_abi_cqe *)&memory[2];

	cqe->res = 100;
	cqe->flags = IORING_CQE_F_MORE;
	zcrx->off = 4100;

	EXPECT(set_up(FAKE_MAINLINE, 0));
	EXPECT(zcrx_cqe32_has_data(cqe));
	EXPECT(zcrx_cqe32_off(cqe) == 4100);
	EXPECT(zcrx_cqe32_data(&ifq, cqe) == (char *)areas[0].addr + 4100);
	cqe->flags = 0;
	EXPECT(!zcrx_cqe32_has_data(cqe));
	cqe->res = -ENOSPC;
	EXPECT(!zcrx_cqe32_has_data(cqe));
	zcrx_unregister(&ifq);
}

static void refill_rbuf_format(void)
{
	struct zcrx_rbuf_rqe rqe;

	EXPECT(set_up(FAKE_OURS, NR_ENTRIES));
	EXPECT(!zcrx_refill(&ifq, 1ULL << 48 | 0xfffff123));
	EXPECT(fake_take(&rqe) && !fake_take(&rqe));
	EXPECT(rqe.off == 0xfffff123 && rqe.region == 1);
	EXPECT(!rqe.len && !rqe.pad && !rqe.pad2);
	zcrx_unregister(&ifq);
}

static void refill_mainline_format(void)
{
	struct zcrx_abi_rqe rqe;

	EXPECT(set_up(FAKE_MAINLINE, 0));
	EXPECT(!zcrx_refill(&ifq, 0x123456789abcULL));
	EXPECT(fake_take(&rqe) && !fake_take(&rqe));
	EXPECT(rqe.off == 0x123456789abcULL && !rqe.len && !rqe.pad);
	zcrx_unregister(&ifq);
}

static void refill_batch(void)
{
	struct zcrx_rbuf_rqe rqe;
	unsigned int i;

	EXPECT(set_up(FAKE_OURS, NR_ENTRIES));
	EXPECT(zcrx_refill_reserve(&ifq, 5) == 5);
	for (i = 0; i < 5; i++)
		zcrx_refill_write(&ifq, i * CHUNK);
	EXPECT(!fake_take(&rqe));
	zcrx_refill_submit(&ifq);
	for (i = 0; i < 5; i++)
		EXPECT(fake_take(&rqe) && rqe.off == i * CHUNK);
	EXPECT(!fake_take(&rqe));
	zcrx_unregister(&ifq);
}

static void refill_full(void)
{
	struct zcrx_rbuf_rqe rqe;
	unsigned int i;

	EXPECT(set_up(FAKE_OURS, NR_ENTRIES));
	EXPECT(zcrx_refill_reserve(&ifq, UINT32_MAX) == NR_ENTRIES);
	for (i = 0; i < NR_ENTRIES; i++)
		EXPECT(!zcrx_refill(&ifq, i));
	EXPECT(zcrx_refill(&ifq, 99) == -EAGAIN);
	EXPECT(!zcrx_refill_reserve(&ifq, 1));

	EXPECT(fake_take(&rqe) && !rqe.off);
	EXPECT(zcrx_refill_reserve(&ifq, 2) == 1);
	EXPECT(!zcrx_refill(&ifq, NR_ENTRIES));
	EXPECT(zcrx_refill(&ifq, 99) == -EAGAIN);
	for (i = 1; i <= NR_ENTRIES; i++)
		EXPECT(fake_take(&rqe) && rqe.off == i);
	zcrx_unregister(&ifq);
}

static void wait_handshake(void)
{
	struct zcrx_rbuf_cqe cqe = { .len = 1 };

	EXPECT(set_up(FAKE_OURS, NR_ENTRIES));
	EXPECT(zcrx_rbuf_prepare_wait(&ifq));
	ifq.rbuf.hdr->kflags = ZCRX_RBUF_K_NEED_KICK;
	EXPECT(!zcrx_rbuf_prepare_wait(&ifq));
	ifq.rbuf.hdr->kflags = 0;
	EXPECT(fake.rbuf_hdr->uflags == ZCRX_RBUF_U_WAKEUP);
	EXPECT(fake_post(&cqe));
	EXPECT(!zcrx_rbuf_prepare_wait(&ifq));
	zcrx_rbuf_release(&ifq, 1);
	EXPECT(zcrx_rbuf_prepare_wait(&ifq));
	zcrx_rbuf_finish_wait(&ifq);
	EXPECT(!fake.rbuf_hdr->uflags);
	zcrx_unregister(&ifq);
}

/*
 * Two threads: the kernel fills chunks that it owns with a number and posts
 * them; the application checks the number, scribbles over it, and gives the
 * chunk back, late and in random order.
 */

#define NR_POSTS	200000U

static bool owned[NR_CHUNKS];

static void kernel_collect(void)
{
	struct zcrx_rbuf_rqe rqe;

	while (fake_take(&rqe)) {
		if (owned[rqe.off / CHUNK])
			abort();
		owned[rqe.off / CHUNK] = true;
	}
}

static void *kernel_thread(void *arg)
{
	char *area = areas[0].addr;
	unsigned int nr = 0, i = 0;

	(void)arg;
	memset(owned, true, sizeof(owned));
	while (nr < NR_POSTS) {
		struct zcrx_rbuf_cqe cqe = { .len = sizeof(nr), .tag = nr };

		kernel_collect();
		i = (i + 1) % NR_CHUNKS;
		if (!owned[i]) {
			sched_yield();
			continue;
		}
		cqe.off = i * CHUNK;
		memcpy(area + cqe.off, &nr, sizeof(nr));
		if (!fake_post(&cqe)) {
			sched_yield();
			continue;
		}
		owned[i] = false;
		nr++;
	}

	return NULL;
}

static __u64 held[NR_CHUNKS];
static unsigned int nr_held;

static void user_give_back(unsigned int keep)
{
	unsigned int nr, victim;

	if (nr_held <= keep)
		return;
	for (nr = zcrx_refill_reserve(&ifq, nr_held - keep); nr; nr--) {
		victim = (unsigned int)random() % nr_held;
		zcrx_refill_write(&ifq, held[victim]);
		held[victim] = held[--nr_held];
	}
	zcrx_refill_submit(&ifq);
}

static void two_threads(void)
{
	unsigned int done = 0, nr, value, keep;
	const struct zcrx_rbuf_cqe *e;
	bool in_order = true;
	pthread_t kernel;

	EXPECT(set_up(FAKE_OURS, NR_ENTRIES));
	nr_held = 0;
	EXPECT(!pthread_create(&kernel, NULL, kernel_thread, NULL));
	while (done < NR_POSTS) {
		zcrx_for_each_rbuf(&ifq, nr, e) {
			memcpy(&value, zcrx_rbuf_data(&ifq, e), sizeof(value));
			in_order &= value == done + nr && e->tag == value;
			memset(zcrx_rbuf_data(&ifq, e), 0xff, sizeof(value));
			held[nr_held++] = zcrx_rbuf_off(e);
		}
		done += nr;
		zcrx_rbuf_release(&ifq, nr);
		keep = (unsigned int)random() % NR_CHUNKS;
		user_give_back(keep);
		if (!nr)
			sched_yield();
	}
	pthread_join(kernel, NULL);
	EXPECT(in_order);
	zcrx_unregister(&ifq);
}

static const struct ktap_case cases[] = {
	{ "rbuf: read and release", rbuf_read },
	{ "rbuf: entries that come while reading", rbuf_for_each_grows },
	{ "rbuf: where the bytes are", rbuf_bytes },
	{ "cqe32: where the bytes are", cqe32_bytes },
	{ "refill: entries for an rbuf ring", refill_rbuf_format },
	{ "refill: mainline's entries", refill_mainline_format },
	{ "refill: a batch", refill_batch },
	{ "refill: full", refill_full },
	{ "wake-up flag", wait_handshake },
	{ "kernel and application at once", two_threads },
};

int main(void)
{
	if (zcrx_area_alloc(&areas[0], NR_CHUNKS * CHUNK, 0) ||
	    zcrx_area_alloc(&areas[1], NR_CHUNKS * CHUNK, 0))
		return 1;

	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
