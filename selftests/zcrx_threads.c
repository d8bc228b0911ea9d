// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * One ifq and four threads: one receives, one gives back, one adds areas, and
 * one looks at counters, and flushes and resumes. The last two have imported the
 * ifq, since a ring for 32-byte completions is for one thread alone.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "nic.h"
#include "proc.h"
#include "receiver.h"

#define NR_FLOWS	RECEIVER_MAX_FLOWS
#define WRITE_SIZE	(128 << 10)
#define NR_CHUNKS	1024
#define AREA_SIZE	(NR_CHUNKS * NIC_PAGE)
#define NR_ADDED	64
#define ADDED_CHUNKS	64
#define TIMEOUT_S	600

/* How many pieces are handed on at once at most */
#define QUEUE_SIZE	16384

/* Whoever gives back has so many of them. */
#define MAX_KEPT	1024

/* If nothing comes for so long, there may be nothing that can come. */
#define IDLE_MS		3

/* How long a page pool may take to go */
#define PATIENCE_MS	10000

/**
 * struct team - what the threads share
 * @r: the receiver; its fields are the receiving thread's, but the refill ring
 * @fd: the ifq, to be imported
 * @queue: pieces, from who receives to who gives back
 * @head: of the queue, the consumer's
 * @tail: of the queue, the producer's
 * @bytes: received so far
 * @stop: all has been received
 * @failed: one of the threads has failed, and @why says why
 * @nr_added: areas
 * @nr_checked: pieces that were right when they were given back
 * @nr_looks: how often there were counters to see
 * @nr_resumes: how often it was resumed
 */
struct team {
	struct receiver		r;
	int			fd;
	struct piece		queue[QUEUE_SIZE];
	unsigned int		head;
	unsigned int		tail;
	__u64			bytes;
	bool			stop;
	bool			failed;
	char			why[256];
	unsigned int		nr_added;
	unsigned int		nr_checked;
	unsigned int		nr_looks;
	unsigned int		nr_resumes;
};

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

static struct team *team;

/* The first one counts. */
static void *fail(const char *what, int ret)
{
	if (!__atomic_exchange_n(&team->failed, true, __ATOMIC_ACQ_REL))
		snprintf(team->why, sizeof(team->why), "%s: %s", what,
			 strerror(-ret));

	return NULL;
}

/*
 * Who receives, and who gives back
 */

static bool hand_on(struct receiver *r, const struct piece *piece)
{
	while (team->tail - load(&team->head) == QUEUE_SIZE) {
		if (load(&team->failed))
			return false;
		sched_yield();
	}
	team->queue[team->tail % QUEUE_SIZE] = *piece;
	store(&team->tail, team->tail + 1);
	store(&team->bytes, r->bytes);

	return !load(&team->failed);
}

struct pile {
	struct piece	pieces[MAX_KEPT];
	unsigned int	nr;
	__u64		rnd;
};

static bool take_one(struct pile *pile)
{
	unsigned int head = team->head;

	if (pile->nr == MAX_KEPT || head == load(&team->tail))
		return false;
	pile->pieces[pile->nr++] = team->queue[head % QUEUE_SIZE];
	store(&team->head, head + 1);

	return true;
}

/* One that comes up, checked once more */
static bool give_back_one(struct pile *pile)
{
	struct receiver *r = &team->r;
	unsigned int i = pattern_word(pile->rnd++, 0) % pile->nr;
	const struct piece *p = &pile->pieces[i];

	if (!flow_check(&r->flows[p->flow], ifq_addr(&r->ifq, p->off), p->len,
			p->stream_off)) {
		fail("a chunk changed while we held it", -EBADMSG);
		return false;
	}
	if (!ifq_give_back(&r->ifq, p->off))
		return false;
	team->nr_checked++;
	pile->pieces[i] = pile->pieces[--pile->nr];

	return true;
}

static void give_back(struct pile *pile, unsigned int keep)
{
	while (pile->nr > keep && give_back_one(pile))
		;
	ifq_refill_submit(&team->r.ifq);
}

static void *refill_thread(void *arg)
{
	static struct pile pile;
	unsigned int idle = 0;

	pile.nr = 0;
	while (!load(&team->failed)) {
		bool stop = load(&team->stop);

		if (take_one(&pile)) {
			idle = 0;
			continue;
		}
		if (stop && !pile.nr)
			break;
		give_back(&pile, stop || idle++ > IDLE_MS ? 0 : MAX_KEPT / 2);
		proc_sleep_ms(1);
	}

	return NULL;
}

/*
 * Who has a ring of his own
 */

struct member {
	struct uring	ring;
	struct ifq_args	args;
	struct ifq	ifq;
};

/* In the thread that uses it; its memory goes with the fixture. */
static struct member *join(void)
{
	struct member *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return fail("memory", -ENOMEM);
	ifq_args_init_import(&m->args, team->fd, team->r.mode != RECV_CQE32);
	ret = uring_init(&m->ring, team->r.ring_flags, 64) ?:
	      uring_register(&m->ring, REGISTER_ZCRX_IFQ, &m->args.reg, 1);
	m->ifq.ring = &m->ring;
	m->ifq.id = m->args.reg.zcrx_id;

	return ret ? fail("import", ret) : m;
}

static void leave(struct member *m)
{
	uring_exit(&m->ring);
	free(m);
}

static bool is_over(void)
{
	return load(&team->stop) || load(&team->failed);
}

/* Who receives may see it before we return. */
static int add_area(struct member *m, unsigned int id)
{
	struct io_uring_zcrx_area_reg *area = &team->r.ifq.areas[id];
	const size_t size = ADDED_CHUNKS * nic.chunk;
	struct io_uring_zcrx_area_reg arg = {
		.addr	= (unsigned long)receiver_mmap(size),
		.len	= size,
	};
	int ret;

	*area = arg;
	ret = ifq_add_area(&m->ifq, &arg);
	if (!ret && arg.rq_area_token != (__u64)id << IORING_ZCRX_AREA_SHIFT)
		ret = -EBADMSG;

	return ret;
}

/* Large chunks hold more, and all of them are to come round. */
static __u64 all_bytes(void)
{
	return nic_chunks_size(nic.bytes);
}

static void *area_thread(void *arg)
{
	struct member *m = join();
	unsigned int id;
	int ret;

	if (!m)
		return NULL;
	for (id = 1; id <= NR_ADDED; id++) {
		while (load(&team->bytes) < all_bytes() / (NR_ADDED + 1) * id &&
		       !is_over())
			proc_sleep_ms(1);
		if (load(&team->failed))
			break;
		ret = add_area(m, id);
		if (ret) {
			fail("another area", ret);
			break;
		}
		team->nr_added++;
	}
	leave(m);

	return NULL;
}

/* A ring that is in use shows nothing. */
static void look(const struct member *m)
{
	struct ifq_stats stats;

	team->nr_looks += ifq_read_stats(&team->r.ifq, &stats);
	team->nr_looks += ifq_read_stats(&m->ifq, &stats);
}

static void *control_thread(void *arg)
{
	struct member *m = join();
	unsigned int round = 0;
	int ret = 0;

	if (!m)
		return NULL;
	while (!is_over()) {
		look(m);
		ret = ifq_flush(&m->ifq);
		if (ret) {
			fail("flush", ret);
			break;
		}
		ret = round++ % 4 ? 0 : ifq_kick(&m->ifq);
		if (ret && ret != -EAGAIN) {
			fail("resume", ret);
			break;
		}
		team->nr_resumes += !ret;
		proc_sleep_ms(1);
	}
	leave(m);

	return NULL;
}

/*
 * All of them
 */

static void *(*const threads[])(void *arg) = {
	refill_thread,
	area_thread,
	control_thread,
};

FIXTURE(threads)
{
	pthread_t ids[ARRAY_SIZE(threads)];
};

FIXTURE_VARIANT(threads)
{
	enum receiver_mode mode;
};

FIXTURE_VARIANT_ADD(threads, rbuf) { .mode = RECV_RBUF };
FIXTURE_VARIANT_ADD(threads, cqe32) { .mode = RECV_CQE32 };

FIXTURE_SETUP(threads)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	team = calloc(1, sizeof(*team));
	ASSERT_NE(NULL, team);
}

FIXTURE_TEARDOWN(threads)
{
	free(team);
}

static unsigned int count_used(void)
{
	unsigned int i, nr = 0;

	for (i = 1; i <= NR_ADDED; i++)
		nr += team->r.area_bytes[i] > 0;

	return nr;
}

static bool wait_unpinned(void)
{
	unsigned int ms;

	for (ms = 0; ms < PATIENCE_MS && proc_pinned_kib(); ms += 50)
		proc_sleep_ms(50);

	return !proc_pinned_kib();
}

TEST_F_TIMEOUT(threads, sha256, TIMEOUT_S)
{
	struct receiver *r = &team->r;
	struct ifq_stats stats;
	unsigned int i;
	bool ok;

	ASSERT_TRUE(receiver_open(r, variant->mode, AREA_SIZE))
		TH_LOG("%s", r->why);
	r->hand_on = hand_on;
	r->poll = true;
	team->fd = ifq_export(&r->ifq);
	ASSERT_LE(0, team->fd);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		ASSERT_EQ(0, pthread_create(&self->ids[i], NULL, threads[i],
					    NULL));

	ok = receiver_connect(r, nic.remote_v4, NR_FLOWS,
			      all_bytes() / NR_FLOWS, WRITE_SIZE) &&
	     receiver_run(r, 0);
	EXPECT_TRUE(ok) TH_LOG("%s", r->why);
	store(&team->stop, true);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(self->ids[i], NULL);
	ASSERT_FALSE(team->failed) TH_LOG("%s", team->why);
	ASSERT_TRUE(ok);

	/* Everything was handed on and given back, and nothing more. */
	EXPECT_EQ(r->nr_pieces, team->nr_checked);
	ASSERT_EQ(0, ifq_flush(&r->ifq));
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(0, stats.held);
	EXPECT_EQ(0, stats.invalid_refills);
	EXPECT_EQ(NR_ADDED, team->nr_added);
	EXPECT_EQ(NR_CHUNKS + NR_ADDED * ADDED_CHUNKS, stats.chunks);
	EXPECT_LT(0, count_used());
	EXPECT_LT(0, team->nr_looks);
	EXPECT_LT(0, team->nr_resumes);
	TH_LOG("%u areas used, %u looks, %u resumes, %llu pauses, %llu state changes, %llu of %llu bytes in place",
	       count_used(), team->nr_looks, team->nr_resumes, stats.pauses,
	       stats.state_changes, stats.zc_bytes, r->bytes);

	close(team->fd);
	receiver_close(r);
	EXPECT_TRUE(wait_unpinned());
}

ZCRX_TEST_MAIN
