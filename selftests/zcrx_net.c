// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A network that loses, reorders, duplicates and corrupts, and a NIC whose link
 * goes, that is reset and gets other rings meanwhile: what arrives is right.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "kselftest_harness.h"
#include "nic.h"
#include "receiver.h"

#define AREA_SIZE	(32 << 20)
#define WRITE_SIZE	(128 << 10)
#define NR_FLOWS	4
#define IN_PLACE	(256 << 10)
#define IN_PLACE_LIMIT	(64 << 20)
#define TIMEOUT_S	1800

/*
 * The network
 */

/*
 * What a network does, and by what the receiver's kernel notices. The variable that
 * names the peer behind it ends with _V4 or _V6.
 */
struct impairment {
	const char	*variable;
	const char	*path;
	const char	*group;
	const char	*counter;
	long long	noise;	/* that it may make anyhow */
};

#define SNMP		"/proc/net/snmp", "Tcp:"
#define NETSTAT		"/proc/net/netstat", "TcpExt:"

static const struct impairment loss = {
	"LOSS_REMOTE", NETSTAT, "TCPOFOQueue", 0
};

static const struct impairment reorder = {
	"REORDER_REMOTE", NETSTAT, "TCPOFOQueue", 0
};

/* A sender without anything more to send may repeat what it sent last. */
static const struct impairment duplicate = {
	"DUPLICATE_REMOTE", NETSTAT, "TCPDSACKOldSent", 2 * NR_FLOWS
};

static const struct impairment corrupt = {
	"CORRUPT_REMOTE", SNMP, "InCsumErrors", 0
};

FIXTURE(network)
{
	struct receiver r;
	long long before;
};

FIXTURE_VARIANT(network)
{
	const struct impairment *impairment;
	enum receiver_mode mode;
	bool v6;
};

#define NETWORK_VARIANTS(_what, _v6_mode)				\
	FIXTURE_VARIANT_ADD(network, _what ## _rbuf)			\
	{								\
		.impairment = &_what, .mode = RECV_RBUF,		\
	};								\
	FIXTURE_VARIANT_ADD(network, _what ## _cqe32)			\
	{								\
		.impairment = &_what, .mode = RECV_CQE32,		\
	};								\
	FIXTURE_VARIANT_ADD(network, _what ## _v6)			\
	{								\
		.impairment = &_what, .mode = _v6_mode, .v6 = true,	\
	}

NETWORK_VARIANTS(loss, RECV_RBUF);
NETWORK_VARIANTS(reorder, RECV_CQE32);
NETWORK_VARIANTS(duplicate, RECV_RBUF);
NETWORK_VARIANTS(corrupt, RECV_CQE32);

static long long count(const struct impairment *impairment)
{
	return nic_read_counter(impairment->path, impairment->group,
				impairment->counter);
}

FIXTURE_SETUP(network)
{
	const char *remote;
	char variable[32];

	if (variant->v6 && !nic.remote_v6)
		SKIP(return, "REMOTE_V6 is not set");
	snprintf(variable, sizeof(variable), "%s_V%d",
		 variant->impairment->variable, variant->v6 ? 6 : 4);
	remote = getenv(variable);
	if (!remote || !*remote)
		SKIP(return, "%s is not set: name the peer behind such a network",
		     variable);
	self->before = count(variant->impairment);
	ASSERT_LE(0, self->before);
	ASSERT_TRUE(receiver_open(&self->r, variant->mode, AREA_SIZE))
		TH_LOG("%s", self->r.why);
	ASSERT_TRUE(receiver_connect(&self->r, remote, NR_FLOWS,
				     nic.bytes / NR_FLOWS, WRITE_SIZE))
		TH_LOG("%s", self->r.why);
}

FIXTURE_TEARDOWN(network)
{
	receiver_close(&self->r);
}

TEST_F_TIMEOUT(network, sha256, TIMEOUT_S)
{
	struct ifq_stats stats;
	long long times;

	ASSERT_TRUE(receiver_run(&self->r, 0)) TH_LOG("%s", self->r.why);
	ASSERT_TRUE(receiver_finish(&self->r)) TH_LOG("%s", self->r.why);

	times = count(variant->impairment) - self->before;
	EXPECT_LT(variant->impairment->noise, times)
		TH_LOG("the network is all right");
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &stats));
	/* TCP itself copies, when it has more than it has room for. */
	EXPECT_LT(self->r.bytes / 8, stats.zc_bytes);
	TH_LOG("%s %lld, %llu bytes in place, copied: linear %llu page %llu foreign %llu",
	       variant->impairment->counter, times, stats.zc_bytes,
	       stats.copied_linear, stats.copied_page, stats.copied_foreign);
}

/*
 * The NIC
 */

/* One disturbance for so many bytes, but no less than some */
#define BYTES_PER_ROUND	(32ULL << 20)
#define MIN_ROUNDS	4

/* For the driver to see that the carrier has gone, or is back */
#define CARRIER_MS	10000

/* What receiving and disturbing process tell each other */
struct shared {
	volatile __u64		bytes;	/* that every flow has received */
	volatile bool		stop;
	volatile bool		failed;
	volatile unsigned int	rounds;
};

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

static bool flap(unsigned int round)
{
	if (!nic_run("ip link set %s down", nic.name))
		return false;
	sleep_ms(round % 4 * 50);

	return nic_run("ip link set %s up", nic.name);
}

/* The link of the other end goes, and comes back, by a command of the environment's. */
static bool set_carrier(const char *on_or_off)
{
	return nic_run("%s %s", getenv("ZCRX_CARRIER"), on_or_off);
}

static bool wait_carrier(bool carrier)
{
	unsigned int ms;

	for (ms = 0; ms < CARRIER_MS && nic_has_carrier() != carrier; ms += 10)
		sleep_ms(10);

	return nic_has_carrier() == carrier;
}

static bool unplug(unsigned int round)
{
	bool gone = set_carrier("off") && wait_carrier(false);

	sleep_ms(round % 4 * 50);

	return set_carrier("on") && wait_carrier(true) && gone;
}

static bool resize(unsigned int round)
{
	static const unsigned int sizes[] = { 80, 4096, 128, 1024, 256, 2048 };
	unsigned int size = sizes[(round - 1) % ARRAY_SIZE(sizes)];

	return nic_run("ethtool -G %s rx %u tx %u", nic.name, size, size);
}

static bool reset(unsigned int round)
{
	return nic_run("ethtool -r %s", nic.name);
}

FIXTURE(disturbed)
{
	struct receiver r;
	struct shared *shared;
	unsigned int rounds;
	__u64 bytes;		/* of a flow */
	pid_t pid;
};

FIXTURE_VARIANT(disturbed)
{
	bool (*disturb)(unsigned int round);
	enum receiver_mode mode;
};

#define DISTURBED_VARIANTS(_what)					\
	FIXTURE_VARIANT_ADD(disturbed, _what ## _rbuf)			\
	{								\
		.disturb = _what, .mode = RECV_RBUF,			\
	};								\
	FIXTURE_VARIANT_ADD(disturbed, _what ## _cqe32)			\
	{								\
		.disturb = _what, .mode = RECV_CQE32,			\
	}

DISTURBED_VARIANTS(flap);
DISTURBED_VARIANTS(unplug);
DISTURBED_VARIANTS(resize);
DISTURBED_VARIANTS(reset);

/*
 * Disturbs evenly over what is to be received, and then exits. Every flow must
 * have got on meanwhile: a sender that waits longer after each of its attempts
 * would fall asleep if all of them came while the link is gone.
 */
static void disturb(struct shared *shared, unsigned int rounds, __u64 bytes,
		    bool (*disturbance)(unsigned int round))
{
	pid_t parent = getppid();
	unsigned int i;

	for (i = 1; i <= rounds && !shared->failed; i++) {
		while (shared->bytes < bytes / (rounds + 1) * i) {
			if (shared->stop || getppid() != parent)
				_exit(0);
			sleep_ms(1);
		}
		if (disturbance(i))
			shared->rounds++;
		else
			shared->failed = true;
	}
	_exit(0);
}

FIXTURE_SETUP(disturbed)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	if (variant->disturb == unplug && !getenv("ZCRX_CARRIER"))
		SKIP(return, "ZCRX_CARRIER is not set: name what takes the carrier");
	self->rounds = nic.bytes / BYTES_PER_ROUND;
	if (self->rounds < MIN_ROUNDS)
		self->rounds = MIN_ROUNDS;
	self->bytes = nic.bytes / NR_FLOWS;
	self->shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->shared);

	/* A process that has nothing of what is registered below */
	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		disturb(self->shared, self->rounds, self->bytes,
			variant->disturb);

	ASSERT_TRUE(receiver_open(&self->r, variant->mode, AREA_SIZE))
		TH_LOG("%s", self->r.why);
	ASSERT_TRUE(receiver_connect(&self->r, nic.remote_v4, NR_FLOWS,
				     self->bytes, WRITE_SIZE))
		TH_LOG("%s", self->r.why);
}

FIXTURE_TEARDOWN(disturbed)
{
	/* It is not killed: it would leave the interface down. */
	self->shared->stop = true;
	waitpid(self->pid, NULL, 0);
	receiver_close(&self->r);
	munmap(self->shared, 4096);
	nic_run("ethtool -G %s tx 256", nic.name);
	nic_configure();
}

static __u64 received_by_all(const struct receiver *r)
{
	__u64 bytes = r->flows[0].got;
	unsigned int i;

	for (i = 1; i < r->nr_flows; i++)
		if (r->flows[i].got < bytes)
			bytes = r->flows[i].got;

	return bytes;
}

TEST_F_TIMEOUT(disturbed, sha256, TIMEOUT_S)
{
	struct receiver *r = &self->r;

	while (received_by_all(r) < self->bytes) {
		ASSERT_TRUE(receiver_run(r, r->bytes + 1))
			TH_LOG("after %u rounds: %s", self->shared->rounds,
			       r->why);
		self->shared->bytes = received_by_all(r);
	}
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);

	waitpid(self->pid, NULL, 0);
	EXPECT_FALSE(self->shared->failed) TH_LOG("the NIC, or ZCRX_CARRIER, refused");
	EXPECT_EQ(self->rounds, self->shared->rounds);

	/* The queue is still one for zero copy. */
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, FLOW_ENDLESS,
				     WRITE_SIZE)) TH_LOG("%s", r->why);
	EXPECT_TRUE(receiver_run_in_place(r, IN_PLACE, IN_PLACE_LIMIT))
		TH_LOG("%s", r->why);
}

ZCRX_TEST_MAIN
