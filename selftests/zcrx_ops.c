// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What an administrator does to the interface under traffic is refused or
 * carried over: the queue stays bound, connections go on, in place where they
 * come to the queue, and bytes stay right.
 */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "admin.h"
#include "kselftest_harness.h"
#include "nic.h"
#include "proc.h"
#include "receiver.h"

#define AREA_SIZE	(16 << 20)
#define WRITE_SIZE	(64 << 10)
#define PROGRESS	(256 << 10)
#define PATIENCE_S	40
#define TIMEOUT_S	600

/**
 * struct report - what the receiving process tells
 * @bytes: received
 * @in_place: of these, without a copy; all of them where nothing is bound
 * @failed: it has given up
 * @why: what went wrong
 */
struct report {
	volatile __u64	bytes;
	volatile __u64	in_place;
	volatile bool	failed;
	char		why[256];
};

FIXTURE(ops)
{
	struct report *report;
	pid_t pid;
};

FIXTURE_VARIANT(ops)
{
	bool bound;
};

FIXTURE_VARIANT_ADD(ops, plain) { .bound = false };
FIXTURE_VARIANT_ADD(ops, bound) { .bound = true };

static void receive_bound(struct report *report)
{
	struct receiver r;

	if (receiver_open(&r, RECV_RBUF, AREA_SIZE) &&
	    receiver_connect(&r, nic.remote_v4, 2, FLOW_ENDLESS, WRITE_SIZE)) {
		while (receiver_run(&r, r.bytes + 1)) {
			report->bytes = r.bytes;
			report->in_place = r.bytes - r.copied;
		}
	}
	strcpy(report->why, r.why);
}

static void receive_plain(struct report *report)
{
	static char buf[WRITE_SIZE];
	struct flow flow;
	ssize_t n;

	if (flow_connect(&flow, nic.remote_v4, FLOW_ENDLESS, WRITE_SIZE)) {
		strcpy(report->why, "can't connect to the peer");
		return;
	}
	while ((n = recv(flow.fd, buf, sizeof(buf), 0)) > 0) {
		if (!flow_receive(&flow, buf, n))
			break;
		report->bytes = flow.got;
		report->in_place = flow.got;
	}
	snprintf(report->why, sizeof(report->why), "%s after %llu bytes",
		 n > 0 ? "wrong bytes" : "connection ended", flow.got);
}

/* Never returns: whoever started it ends it. */
static void receive(struct report *report, bool bound)
{
	if (bound)
		receive_bound(report);
	else
		receive_plain(report);
	report->failed = true;
	pause();
	_exit(1);
}

/* Does the connection go on? One of the report's numbers says so. */
static bool progresses(struct report *report, volatile __u64 *number)
{
	__u64 goal = *number + PROGRESS;
	int i;

	for (i = 0; i < PATIENCE_S * 20 && !report->failed; i++) {
		if (*number >= goal)
			return true;
		proc_sleep_ms(50);
	}
	if (!report->failed)
		snprintf(report->why, sizeof(report->why),
			 "no progress in %d s after %llu bytes, %llu of them in place",
			 PATIENCE_S, report->bytes, report->in_place);

	return false;
}

#define ASSERT_PROGRESS(_fmt, ...)					\
	ASSERT_TRUE(progresses(self->report, &self->report->in_place))	\
		TH_LOG(_fmt ": %s", ##__VA_ARGS__, self->report->why)

/* Where packets may come to another queue */
#define ASSERT_ANY_PROGRESS(_fmt, ...)					\
	ASSERT_TRUE(progresses(self->report, &self->report->bytes))	\
		TH_LOG(_fmt ": %s", ##__VA_ARGS__, self->report->why)

FIXTURE_SETUP(ops)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	self->report = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->report);

	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		receive(self->report, variant->bound);
	ASSERT_PROGRESS("before anything was done");
}

FIXTURE_TEARDOWN(ops)
{
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
	munmap(self->report, 4096);
	nic_steer(nic.rxq);
}

TEST_F_TIMEOUT(ops, down_up, TIMEOUT_S)
{
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(nic_run("ip link set %s down", nic.name));
		proc_sleep_ms(i * 100);
		ASSERT_TRUE(nic_run("ip link set %s up", nic.name));
		ASSERT_PROGRESS("down and up, round %d", i);
	}
}

TEST_F_TIMEOUT(ops, ring_sizes, TIMEOUT_S)
{
	static const unsigned int sizes[] = { 80, 256, 1024, 4096, 128, 512 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		EXPECT_TRUE(nic_run("ethtool -G %s rx %u tx %u", nic.name,
				    sizes[i], sizes[i]))
			TH_LOG("ring size %u", sizes[i]);
		ASSERT_PROGRESS("ring size %u", sizes[i]);
	}
	nic_run("ethtool -G %s rx 1024 tx 256", nic.name);
}

/* Fewer queues than the bound one needs are refused. */
TEST_F_TIMEOUT(ops, channels, TIMEOUT_S)
{
	const unsigned int channels[] = { 1, 8, 3, 5, nic.nr_rxqs };
	unsigned int i;
	bool ok;

	if (nic.nr_rxqs < 2)
		SKIP(return, "needs two receive queues");
	/* While the indirection table is the user's, queues in it must stay. */
	nic_run("ethtool -X %s default", nic.name);
	for (i = 0; i < ARRAY_SIZE(channels); i++) {
		ok = nic_run("ethtool -L %s combined %u", nic.name,
			     channels[i]);
		EXPECT_EQ(!variant->bound || channels[i] > nic.rxq, ok)
			TH_LOG("%u channels", channels[i]);
		ASSERT_ANY_PROGRESS("%u channels", channels[i]);
	}
	EXPECT_TRUE(nic_steer(nic.rxq));
	ASSERT_PROGRESS("%u channels, steered", nic.nr_rxqs);
}

TEST_F_TIMEOUT(ops, mtu, TIMEOUT_S)
{
	static const unsigned int mtus[] = { 68, 576, 1280, 1500, 9000, 9216 };
	unsigned int i, mtu = nic_mtu();

	ASSERT_TRUE(admin_save());
	for (i = 0; i < ARRAY_SIZE(mtus); i++) {
		EXPECT_TRUE(nic_run("ip link set %s mtu %u", nic.name, mtus[i]))
			TH_LOG("MTU %u", mtus[i]);
		proc_sleep_ms(200);
		/* Smaller than what the peer was promised: packets are lost. */
		if (mtus[i] < mtu)
			ASSERT_TRUE(nic_run("ip link set %s mtu %u", nic.name,
					    mtu));
		ASSERT_PROGRESS("MTU %u", mtus[i]);
	}
	EXPECT_TRUE(nic_run("ip link set %s mtu %u", nic.name, mtu));
	admin_restore_addrs();
	ASSERT_PROGRESS("MTU %u again", mtu);
}

/* What the queue was bound for can't be taken away. */
TEST_F_TIMEOUT(ops, header_split, TIMEOUT_S)
{
	EXPECT_EQ(!variant->bound, nic_set_split("off"));
	ASSERT_PROGRESS("tcp-data-split off");
	nic_set_split("auto");
	ASSERT_PROGRESS("tcp-data-split auto");
	EXPECT_TRUE(nic_set_split("on"));
	ASSERT_PROGRESS("tcp-data-split on");
}

/* Packets of several frames, and of one, mixed in the sockets' queues */
TEST_F_TIMEOUT(ops, gro, TIMEOUT_S)
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(nic_run("ethtool -K %s gro off", nic.name));
		ASSERT_PROGRESS("without GRO, round %u", i);
		ASSERT_TRUE(nic_run("ethtool -K %s gro on", nic.name));
		ASSERT_PROGRESS("with GRO, round %u", i);
	}
}

TEST_F_TIMEOUT(ops, steering, TIMEOUT_S)
{
	unsigned int i;

	if (nic.nr_rxqs < 2)
		SKIP(return, "needs two receive queues");
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(nic_run("ethtool -X %s equal %u", nic.name,
				    nic.nr_rxqs));
		ASSERT_ANY_PROGRESS("all queues, round %u", i);
		ASSERT_TRUE(nic_steer(nic.rxq));
		ASSERT_PROGRESS("one queue, round %u", i);
	}
}

/* A VLAN comes and goes, with a connection through the bound queue. */
TEST_F_TIMEOUT(ops, vlan, TIMEOUT_S)
{
	const char *remote = nic_add_vlan();
	static char buf[WRITE_SIZE];
	struct flow flow;
	ssize_t n;

	if (!remote)
		SKIP(return, "VLAN_ID, VLAN_LOCAL_V4 and VLAN_REMOTE_V4 don't name the peer in a VLAN");
	EXPECT_EQ(0, flow_connect(&flow, remote, 4 << 20, WRITE_SIZE)) {
		nic_del_vlan();
		return;
	}
	while ((n = recv(flow.fd, buf, sizeof(buf), 0)) > 0)
		if (!flow_receive(&flow, buf, n))
			break;
	EXPECT_TRUE(flow_complete(&flow))
		TH_LOG("wrong after %llu bytes", flow.got);
	flow_close(&flow);
	ASSERT_PROGRESS("with a VLAN");
	nic_del_vlan();
	ASSERT_PROGRESS("after the VLAN");
}

/*
 * The NIC goes, with the queue bound and packets in flight, and comes again: a
 * new ifq can be registered while the ring of the old one is still there.
 */
TEST_F_TIMEOUT(ops, unbind, TIMEOUT_S)
{
	struct receiver r;

	if (!admin_may_unbind())
		SKIP(return, "DISRUPTIVE=0");
	ASSERT_TRUE(admin_save());
	ASSERT_TRUE(admin_unbind());
	proc_sleep_ms(500);
	ASSERT_TRUE(admin_bind());

	ASSERT_TRUE(receiver_open(&r, RECV_RBUF, AREA_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_connect(&r, nic.remote_v4, 2, 1 << 20, WRITE_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_run(&r, 0)) TH_LOG("%s", r.why);
	receiver_close(&r);
}

ZCRX_TEST_MAIN
