// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A receiver dies at any moment, under traffic: once its parent knows, the queue
 * can be registered again, at the first attempt.
 */
#include <signal.h>
#include <sys/random.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "memlock.h"
#include "nic.h"
#include "proc.h"
#include "receiver.h"

#define AREA_SIZE	(8 << 20)
#define WRITE_SIZE	(128 << 10)
#define ROUNDS		50	/* if ZCRX_KILLS does not say otherwise */
#define MAX_LIFE_MS	200
#define TIMEOUT_S	7200	/* whoever asks for many rounds has the time */

/* What sockets still hold goes with them, soon. */
#define PATIENCE_MS	10000
#define SETTLE_MS	3000

/* Less than an area, of which none must stay */
#define LOST_KIB	(AREA_SIZE / 2 >> 10)

/* Where a receiver was when it died */
enum progress {
	STARTED,
	REGISTERED,
	RECEIVING,
	FAILED,
};

static unsigned int random_below(unsigned int n)
{
	unsigned int v = 0;

	return getrandom(&v, sizeof(v), 0) == sizeof(v) ? v % n : 0;
}

static unsigned int nr_rounds(void)
{
	const char *value = getenv("ZCRX_KILLS");

	return value && *value ? strtoul(value, NULL, 0) : ROUNDS;
}

/* Receives until it is killed; says in *progress how far it got. */
static void victim(enum receiver_mode mode, unsigned int nr_flows,
		   unsigned int round, volatile enum progress *progress)
{
	struct receiver r;
	int ret;

	receiver_prepare(&r, mode, AREA_SIZE);
	r.ring_flags = receiver_ring_flags(mode, round / 2);
	r.sqe_flags = round % 3 == 2 ? IOSQE_ASYNC : 0;
	ret = receiver_register(&r);
	if (ret) {
		snprintf(r.why, sizeof(r.why), "registration: %s",
			 strerror(-ret));
		goto failed;
	}
	*progress = REGISTERED;
	if (!receiver_connect(&r, nic.remote_v4, nr_flows, FLOW_ENDLESS,
			      WRITE_SIZE) ||
	    !receiver_run(&r, 1))
		goto failed;
	*progress = RECEIVING;
	receiver_run(&r, 0);
failed:
	*progress = FAILED;
	ksft_print_msg("%s\n", r.why);
	_exit(1);
}

FIXTURE(kill)
{
	volatile enum progress *progress;
};

FIXTURE_VARIANT(kill)
{
	enum receiver_mode	mode;
	unsigned int		nr_flows;
};

FIXTURE_VARIANT_ADD(kill, rbuf)
{
	.mode = RECV_RBUF, .nr_flows = 2,
};

FIXTURE_VARIANT_ADD(kill, cqe32)
{
	.mode = RECV_CQE32, .nr_flows = 2,
};

FIXTURE_SETUP(kill)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	self->progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->progress);
}

FIXTURE_TEARDOWN(kill)
{
	munmap((void *)self->progress, 4096);
}

/* A receiver that works, and gets all of its bytes */
static void receive_all(struct __test_metadata *_metadata,
			enum receiver_mode mode)
{
	struct receiver r;

	ASSERT_TRUE(receiver_open(&r, mode, AREA_SIZE)) TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_connect(&r, nic.remote_v4, 1, 4 << 20, WRITE_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_run(&r, 0)) TH_LOG("%s", r.why);
	receiver_close(&r);
}

/* Sum of the numbers in lines of this kind */
static long sum_of(const char *path, const char *fmt)
{
	long sum = 0, number;
	char line[256];
	FILE *f;

	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, fmt, &number) == 1)
			sum += number;
	if (f)
		fclose(f);

	return sum;
}

/*
 * Pages that are free, or would be if somebody needed them: MemAvailable
 * leaves out some of the caches. Each CPU keeps many that were freed, and KASAN
 * keeps slabs in quarantine, and each stack that has allocated or freed
 * something; kmemleak looks for what is lost there.
 */
static long memory_kib(void)
{
	static const char * const of_meminfo[] = {
		"MemFree: %ld", "Active(file): %ld", "Inactive(file): %ld", "Slab: %ld",
	};
	unsigned int i;
	long sum;

	sum = sum_of("/proc/zoneinfo", " count: %ld") * (getpagesize() >> 10) +
	      (sum_of("/sys/kernel/debug/stackdepot/stats",
		      "persistent_bytes: %ld") >> 10);
	for (i = 0; i < ARRAY_SIZE(of_meminfo); i++)
		sum += sum_of("/proc/meminfo", of_meminfo[i]);

	return sum;
}

static void expect_memory(struct __test_metadata *_metadata, long before)
{
	unsigned int ms;
	long lost = 0;

	for (ms = 0; ms < PATIENCE_MS; ms += 200) {
		lost = before - memory_kib();
		if (lost < LOST_KIB)
			break;
		proc_sleep_ms(200);
	}
	EXPECT_LT(lost, LOST_KIB)
		TH_LOG("%ld KiB of memory did not come back", lost);
}

TEST_F_TIMEOUT(kill, storm, TIMEOUT_S)
{
	unsigned int i, ms, receiving = 0, rounds = nr_rounds();
	long before = 0;
	int status;
	pid_t pid;

	for (i = 0; i < rounds; i++) {
		/* The system takes some once, and keeps it: half are for that. */
		if (i == rounds / 2) {
			memlock_wait_uncharged(variant->mode, AREA_SIZE);
			proc_sleep_ms(SETTLE_MS);
			before = memory_kib();
		}
		*self->progress = STARTED;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			victim(variant->mode, variant->nr_flows, i,
			       self->progress);

		/* Let half of them get as far as receiving. */
		if (i % 2)
			for (ms = 0; ms < 20000 &&
			     *self->progress < RECEIVING; ms += 5)
				proc_sleep_ms(5);
		proc_sleep_ms(random_below(MAX_LIFE_MS));
		receiving += *self->progress == RECEIVING;
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("round %u: receiver ended by itself", i);
		}
	}
	TH_LOG("%u of %u were receiving when killed", receiving, i);
	EXPECT_LE(rounds / 2, receiving);

	/* The one after the last works, and nothing of the others stays. */
	receive_all(_metadata, variant->mode);
	EXPECT_EQ(0, memlock_wait_uncharged(variant->mode, AREA_SIZE))
		TH_LOG("what was locked is still charged");
	expect_memory(_metadata, before);
}

ZCRX_TEST_MAIN
