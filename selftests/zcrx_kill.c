// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A receiver dies at any moment, under traffic: once its parent knows, the queue
 * can be registered again, at the first attempt.
 */
#include <signal.h>
#include <sys/random.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "nic.h"
#include "proc.h"
#include "receiver.h"

#define AREA_SIZE	(8 << 20)
#define WRITE_SIZE	(128 << 10)
#define ROUNDS		50	/* if ZCRX_KILLS does not say otherwise */
#define MAX_LIFE_MS	200
#define TIMEOUT_S	7200	/* whoever asks for many rounds has the time */

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
		   volatile enum progress *progress)
{
	struct receiver r;

	if (!receiver_open(&r, mode, AREA_SIZE))
		goto failed;
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

TEST_F_TIMEOUT(kill, storm, TIMEOUT_S)
{
	unsigned int i, ms, receiving = 0, rounds = nr_rounds();
	long before, after;
	struct receiver r;
	int status;
	pid_t pid;

	before = proc_mem_available_kib();
	for (i = 0; i < rounds; i++) {
		*self->progress = STARTED;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			victim(variant->mode, variant->nr_flows,
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

	/* The one after the last works, and gets all of its bytes. */
	ASSERT_TRUE(receiver_open(&r, variant->mode, AREA_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_connect(&r, nic.remote_v4, 1, 4 << 20, WRITE_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_run(&r, 0)) TH_LOG("%s", r.why);
	receiver_close(&r);

	/* What sockets still held goes with them; areas must not stay. */
	for (i = 0; i < 50; i++) {
		after = proc_mem_available_kib();
		if (after > before - 4 * (AREA_SIZE >> 10))
			break;
		proc_sleep_ms(200);
	}
	EXPECT_LT(before - 4 * (AREA_SIZE >> 10), after)
		TH_LOG("%ld KiB of memory did not come back", before - after);
}

ZCRX_TEST_MAIN
