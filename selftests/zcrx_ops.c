// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What an administrator does to the interface under traffic is refused or
 * carried over: the queue stays bound, connections go on, bytes stay right.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "kselftest_harness.h"
#include "nic.h"
#include "receiver.h"

#define AREA_SIZE	(16 << 20)
#define WRITE_SIZE	(64 << 10)
#define PROGRESS	(256 << 10)
#define PATIENCE_S	40
#define TIMEOUT_S	600

/* What the receiving process tells */
struct report {
	volatile __u64	bytes;
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
		while (receiver_run(&r, r.bytes + 1))
			report->bytes = r.bytes;
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

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

/* Does the connection go on? */
static bool progresses(struct report *report)
{
	__u64 goal = report->bytes + PROGRESS;
	int i;

	for (i = 0; i < PATIENCE_S * 20 && !report->failed; i++) {
		if (report->bytes >= goal)
			return true;
		sleep_ms(50);
	}
	if (!report->failed)
		snprintf(report->why, sizeof(report->why),
			 "no progress in %d s after %llu bytes", PATIENCE_S,
			 report->bytes);

	return false;
}

#define ASSERT_PROGRESS(_fmt, ...)					\
	ASSERT_TRUE(progresses(self->report))				\
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
		sleep_ms(i * 100);
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
		ASSERT_PROGRESS("%u channels", channels[i]);
	}
	EXPECT_TRUE(nic_steer(nic.rxq));
	ASSERT_PROGRESS("%u channels, steered", nic.nr_rxqs);
}

struct addrs {
	unsigned int	nr;
	char		text[8][INET6_ADDRSTRLEN + 4];
};

static void save_addr(struct addrs *addrs, const struct ifaddrs *ifa)
{
	const struct sockaddr_in6 *sin6 = (void *)ifa->ifa_addr;
	const struct sockaddr_in *sin = (void *)ifa->ifa_addr;
	char *text = addrs->text[addrs->nr];
	const unsigned char *mask;
	unsigned int i, size, len = 0;

	if (sin6->sin6_family == AF_INET6) {
		if (IN6_IS_ADDR_LINKLOCAL(&sin6->sin6_addr))
			return;
		inet_ntop(AF_INET6, &sin6->sin6_addr, text, INET6_ADDRSTRLEN);
		sin6 = (void *)ifa->ifa_netmask;
		mask = sin6->sin6_addr.s6_addr;
		size = sizeof(sin6->sin6_addr);
	} else if (sin->sin_family == AF_INET) {
		inet_ntop(AF_INET, &sin->sin_addr, text, INET6_ADDRSTRLEN);
		sin = (void *)ifa->ifa_netmask;
		mask = (void *)&sin->sin_addr;
		size = sizeof(sin->sin_addr);
	} else {
		return;
	}
	for (i = 0; i < size; i++)
		len += __builtin_popcount(mask[i]);
	sprintf(text + strlen(text), "/%u", len);
	addrs->nr++;
}

static void save_addrs(struct addrs *addrs)
{
	struct ifaddrs *list, *ifa;

	addrs->nr = 0;
	if (getifaddrs(&list))
		return;
	for (ifa = list; ifa && addrs->nr < ARRAY_SIZE(addrs->text);
	     ifa = ifa->ifa_next)
		if (ifa->ifa_addr && !strcmp(ifa->ifa_name, nic.name))
			save_addr(addrs, ifa);
	freeifaddrs(list);
}

/* An MTU of less than 1280 takes those of IPv6, unbinding takes all. */
static void restore_addrs(const struct addrs *addrs)
{
	unsigned int i;

	for (i = 0; i < addrs->nr; i++)
		nic_run("ip addr replace %s dev %s %s", addrs->text[i],
			nic.name, strchr(addrs->text[i], ':') ? "nodad" : "");
}

TEST_F_TIMEOUT(ops, mtu, TIMEOUT_S)
{
	static const unsigned int mtus[] = { 68, 576, 1280, 1500, 9000, 9216 };
	unsigned int i, mtu = nic_mtu();
	struct addrs addrs;

	save_addrs(&addrs);
	for (i = 0; i < ARRAY_SIZE(mtus); i++) {
		EXPECT_TRUE(nic_run("ip link set %s mtu %u", nic.name, mtus[i]))
			TH_LOG("MTU %u", mtus[i]);
		sleep_ms(200);
		/* Smaller than what the peer was promised: packets are lost. */
		if (mtus[i] < mtu)
			ASSERT_TRUE(nic_run("ip link set %s mtu %u", nic.name,
					    mtu));
		ASSERT_PROGRESS("MTU %u", mtus[i]);
	}
	EXPECT_TRUE(nic_run("ip link set %s mtu %u", nic.name, mtu));
	restore_addrs(&addrs);
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

TEST_F_TIMEOUT(ops, steering, TIMEOUT_S)
{
	unsigned int i;

	if (nic.nr_rxqs < 2)
		SKIP(return, "needs two receive queues");
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(nic_run("ethtool -X %s equal %u", nic.name,
				    nic.nr_rxqs));
		ASSERT_PROGRESS("all queues, round %u", i);
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
	const char *disruptive = getenv("DISRUPTIVE");
	char path[64], device[PATH_MAX], driver[PATH_MAX];
	unsigned int mtu = nic_mtu();
	struct addrs addrs;
	struct receiver r;
	int i;

	if (disruptive && !strcmp(disruptive, "0"))
		SKIP(return, "DISRUPTIVE=0");
	snprintf(path, sizeof(path), "/sys/class/net/%s/device", nic.name);
	ASSERT_NE(NULL, realpath(path, device));
	strcat(path, "/driver");
	ASSERT_NE(NULL, realpath(path, driver));
	save_addrs(&addrs);

	ASSERT_TRUE(nic_run("echo %s > %s/unbind", basename(device), driver));
	ASSERT_EQ(0, nic_ifindex());
	sleep_ms(500);
	ASSERT_TRUE(nic_run("echo %s > %s/bind", basename(device), driver));
	for (i = 0; i < 100 && !nic_ifindex(); i++)
		sleep_ms(100);
	ASSERT_TRUE(nic_run("ip link set %s mtu %u up", nic.name, mtu));
	restore_addrs(&addrs);
	ASSERT_TRUE(nic_configure());

	ASSERT_TRUE(receiver_open(&r, RECV_RBUF, AREA_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_connect(&r, nic.remote_v4, 2, 1 << 20, WRITE_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_run(&r, 0)) TH_LOG("%s", r.why);
	receiver_close(&r);
}

ZCRX_TEST_MAIN
