// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Where the NIC puts what: all of it in place when header split and steering
 * are right, and the right bytes for everybody when they are not.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "capture.h"
#include "kselftest_harness.h"
#include "nic.h"
#include "probe.h"
#include "receiver.h"

#define AREA_SIZE	(32 << 20)
#define CHUNK		4096
#define WRITE_SIZE	(128 << 10)
#define TIMEOUT_S	300

/*
 * The one function through which a CPU writes to a chunk. Each call fills at
 * most one.
 */
#define COPY_FUNCTION	"zcrx_copy_piece"

/* A queue that is not the one under test */
static unsigned int other_rxq(void)
{
	return nic.rxq ? 0 : 1;
}

FIXTURE(steer)
{
	struct receiver r;
};

FIXTURE_VARIANT(steer)
{
	enum receiver_mode mode;
};

FIXTURE_VARIANT_ADD(steer, rbuf) { .mode = RECV_RBUF };
FIXTURE_VARIANT_ADD(steer, cqe32) { .mode = RECV_CQE32 };

FIXTURE_SETUP(steer)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	ASSERT_TRUE(receiver_open(&self->r, variant->mode, AREA_SIZE))
		TH_LOG("%s", self->r.why);
}

FIXTURE_TEARDOWN(steer)
{
	receiver_close(&self->r);
	nic_steer(nic.rxq);
}

/* A socket whose buffer is full copies what waits in it to linear memory. */
static long long packets_collapsed(void)
{
	return nic_read_counter("/proc/net/netstat", "TcpExt:",
				"TCPRcvCollapsed");
}

/*
 * At most 1 % is copied, of a flow by IPv4 and then one by IPv6. The kernel's
 * counters say so, and so does a kprobe: every byte that a CPU puts into an area
 * goes through COPY_FUNCTION, a function of its own in another file than its
 * callers, at most a chunk a call. So the number of calls bounds what can have
 * been copied, whatever was counted. "elsewhere", below, shows that the probe
 * sees copies.
 */
TEST_F_TIMEOUT(steer, in_place, TIMEOUT_S)
{
	const long long collapsed = packets_collapsed();
	struct ifq_stats stats;
	__u64 copied;
	long hits;

	if (nic_mtu() < 9000)
		SKIP(return, "for an MTU of 9000: that is promised");
	if (!probe_start(COPY_FUNCTION)) {
		probe_stop();
		SKIP(return, "can't count calls of " COPY_FUNCTION ": no CONFIG_KPROBE_EVENTS?");
	}
	/* With this, the completion ring and the socket, the area can't run dry. */
	self->r.hold = AREA_SIZE / CHUNK / 8;
	EXPECT_TRUE(receiver_connect(&self->r, nic.remote_v4, 1, nic.bytes / 2,
				     WRITE_SIZE)) TH_LOG("%s", self->r.why);
	EXPECT_TRUE(receiver_run(&self->r, 0)) TH_LOG("%s", self->r.why);
	if (nic.remote_v6) {
		EXPECT_TRUE(receiver_connect(&self->r, nic.remote_v6, 1,
					     nic.bytes / 2, WRITE_SIZE))
			TH_LOG("%s", self->r.why);
		EXPECT_TRUE(receiver_run(&self->r, 0))
			TH_LOG("%s", self->r.why);
	}
	hits = probe_hits();
	probe_stop();

	ASSERT_TRUE(receiver_check_counters(&self->r)) TH_LOG("%s", self->r.why);
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &stats));
	copied = ifq_stats_copied(&stats);
	EXPECT_LE(copied * 100, self->r.bytes);
	ASSERT_LE(0, hits);
	EXPECT_LE(hits * CHUNK * 100ULL, self->r.bytes);
	TH_LOG("%llu bytes in place; copied: %llu linear, %llu from pages, in %ld calls; %llu pages lent; %lld packets collapsed",
	       stats.zc_bytes, stats.copied_linear, stats.copied_page, hits,
	       stats.lent_pages, packets_collapsed() - collapsed);
}

/* Our flow in an ordinary queue: copied, and right. */
TEST_F_TIMEOUT(steer, elsewhere, TIMEOUT_S)
{
	struct ifq_stats stats;
	bool probing;
	long hits;

	if (nic.nr_rxqs < 2)
		SKIP(return, "needs two receive queues");
	ASSERT_TRUE(nic_steer(other_rxq()));
	probing = probe_start(COPY_FUNCTION);
	EXPECT_TRUE(receiver_connect(&self->r, nic.remote_v4, 1, nic.bytes / 4,
				     WRITE_SIZE)) TH_LOG("%s", self->r.why);
	EXPECT_TRUE(receiver_run(&self->r, 0)) TH_LOG("%s", self->r.why);
	hits = probe_hits();
	probe_stop();

	ASSERT_TRUE(receiver_check_counters(&self->r)) TH_LOG("%s", self->r.why);
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &stats));
	EXPECT_EQ(0, stats.zc_bytes);
	EXPECT_EQ(self->r.bytes, stats.copied_linear + stats.copied_page);
	/* One chunk after the other is filled; the last one is not full. */
	EXPECT_LE(10ULL * (self->r.nr_chunk_uses - 1) * nic.chunk,
		  11 * self->r.bytes);
	if (probing)
		EXPECT_LE((long)(self->r.bytes / CHUNK), hits);
}

/*
 * Steering changes under way: some is copied, nothing is lost. There is more to
 * send than the sockets take in before it changes for the first time.
 */
TEST_F_TIMEOUT(steer, moving, TIMEOUT_S)
{
	struct ifq_stats stats;
	unsigned int i;

	if (nic.nr_rxqs < 2)
		SKIP(return, "needs two receive queues");
	ASSERT_TRUE(receiver_connect(&self->r, nic.remote_v4, 4,
				     nic.bytes / 4, WRITE_SIZE))
		TH_LOG("%s", self->r.why);
	for (i = 1; i <= 8; i++) {
		ASSERT_TRUE(receiver_run(&self->r, i * nic.bytes / 10))
			TH_LOG("%s", self->r.why);
		ASSERT_TRUE(nic_steer(i % 2 ? other_rxq() : nic.rxq));
	}
	ASSERT_TRUE(receiver_run(&self->r, 0)) TH_LOG("%s", self->r.why);

	ASSERT_TRUE(receiver_check_counters(&self->r)) TH_LOG("%s", self->r.why);
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &stats));
	EXPECT_LT(0, stats.zc_bytes);
	EXPECT_LT(0, stats.copied_page + stats.copied_linear);
}

/* Packets of IP that came to the host, several frames in one of them or not */
static long long packets_in(void)
{
	return nic_read_counter("/proc/net/snmp", "Ip:", "InReceives");
}

/* How many of them for a flow of ours? */
static long long receive_flow(struct __test_metadata *_metadata,
			      struct receiver *r, __u64 bytes)
{
	const long long before = packets_in();

	EXPECT_TRUE(receiver_connect(r, nic.remote_v4, 1, bytes, WRITE_SIZE))
		TH_LOG("%s", r->why);
	EXPECT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);

	return packets_in() - before;
}

/*
 * Without GRO each frame is a packet by itself, as with GRO it would not be: in
 * place all the same.
 */
TEST_F_TIMEOUT(steer, no_gro, TIMEOUT_S)
{
	const __u64 bytes = nic.bytes / 4;
	long long with_gro, without;
	struct ifq_stats stats;

	self->r.hold = AREA_SIZE / CHUNK / 8;
	with_gro = receive_flow(_metadata, &self->r, bytes);
	ASSERT_TRUE(nic_run("ethtool -K %s gro off", nic.name));
	without = receive_flow(_metadata, &self->r, bytes);
	EXPECT_TRUE(nic_run("ethtool -K %s gro on", nic.name));

	EXPECT_LE((long long)bytes / nic_mtu(), without);
	EXPECT_LT(with_gro, without);
	ASSERT_TRUE(receiver_check_counters(&self->r)) TH_LOG("%s", self->r.why);
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &stats));
	EXPECT_LE(ifq_stats_copied(&stats) * 10, self->r.bytes);
	TH_LOG("%lld packets with GRO, %lld without; %llu bytes in place, copied: %llu linear, %llu from pages",
	       with_gro, without, stats.zc_bytes, stats.copied_linear,
	       stats.copied_page);
}

/* Small writes make small packets. */
TEST_F_TIMEOUT(steer, small_writes, TIMEOUT_S)
{
	ASSERT_TRUE(receiver_connect(&self->r, nic.remote_v4, 2, 1 << 20, 100))
		TH_LOG("%s", self->r.why);
	ASSERT_TRUE(receiver_run(&self->r, 0)) TH_LOG("%s", self->r.why);
	ASSERT_TRUE(receiver_check_counters(&self->r)) TH_LOG("%s", self->r.why);
}

/*
 * Senders that write single bytes and have TCP_NODELAY set: what is copied
 * shares chunks; in place, each segment has one to itself. Some bytes gather
 * before the NIC, hence several flows: each begins with segments of one byte.
 */
static void receive_single_bytes(struct __test_metadata *_metadata,
				 struct receiver *r, struct ifq_stats *stats)
{
	r->hold = RECEIVER_ENTRIES / 2;
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 4, 16 << 10, 1))
		TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, stats));
	TH_LOG("%llu bytes, %llu of them in place, in %u pieces and %u chunks",
	       r->bytes, stats->zc_bytes, r->nr_pieces, r->nr_chunk_uses);
}

TEST_F_TIMEOUT(steer, single_bytes, TIMEOUT_S)
{
	struct ifq_stats stats;

	receive_single_bytes(_metadata, &self->r, &stats);
	EXPECT_LT(0, stats.zc_bytes);
}

TEST_F_TIMEOUT(steer, single_bytes_elsewhere, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;

	if (nic.nr_rxqs < 2)
		SKIP(return, "needs two receive queues");
	ASSERT_TRUE(nic_steer(other_rxq()));
	receive_single_bytes(_metadata, r, &stats);
	EXPECT_EQ(0, stats.zc_bytes);
	/* The last one is not full. */
	EXPECT_LE(10ULL * (r->nr_chunk_uses - 1) * nic.chunk, 11 * r->bytes);
	/* With a chunk each, it would take more than twice as many. */
	EXPECT_LT(2 * r->nr_chunk_uses, r->nr_pieces);
}

#define NO_VLAN	"VLAN_ID, VLAN_LOCAL_V4 and VLAN_REMOTE_V4 don't name the peer in a VLAN"

static void receive_in_vlan(struct __test_metadata *_metadata,
			    struct receiver *r, const char *remote)
{
	EXPECT_TRUE(receiver_connect(r, remote, 1, 4 << 20, WRITE_SIZE))
		TH_LOG("%s", r->why);
	EXPECT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	EXPECT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	nic_del_vlan();
}

/* The tag is taken out before headers are split, or it is part of them. */
TEST_F_TIMEOUT(steer, vlan, TIMEOUT_S)
{
	const char *remote = nic_add_vlan();
	struct ifq_stats stats;

	if (!remote)
		SKIP(return, NO_VLAN);
	receive_in_vlan(_metadata, &self->r, remote);
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &stats));
	EXPECT_LT(0, stats.zc_bytes);
}

/* It is part of them. */
TEST_F_TIMEOUT(steer, vlan_unstripped, TIMEOUT_S)
{
	const char *remote = nic_add_vlan();
	struct ifq_stats stats;

	if (!remote)
		SKIP(return, NO_VLAN);
	EXPECT_TRUE(nic_run("ethtool -K %s rxvlan off", nic.name));
	receive_in_vlan(_metadata, &self->r, remote);
	EXPECT_TRUE(nic_run("ethtool -K %s rxvlan on", nic.name));
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &stats));
	TH_LOG("%llu bytes in place, %llu copied", stats.zc_bytes,
	       ifq_stats_copied(&stats));
}

static long long packets_reassembled(void)
{
	return nic_read_counter("/proc/net/snmp", "Ip:", "ReasmOKs");
}

/*
 * Our flow comes in fragments of IP, which the NIC does not split: of all but
 * small segments nothing stays in place.
 */
TEST_F_TIMEOUT(steer, fragments, TIMEOUT_S)
{
	const char *remote = getenv("FRAGMENT_REMOTE_V4");
	long long reassembled = packets_reassembled();
	struct receiver *r = &self->r;
	struct ifq_stats stats;

	if (!remote || !*remote)
		SKIP(return, "FRAGMENT_REMOTE_V4 does not name the peer");
	ASSERT_TRUE(receiver_connect(r, remote, 1, 4 << 20, WRITE_SIZE))
		TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	reassembled = packets_reassembled() - reassembled;
	EXPECT_LT((long long)r->bytes / 2 / nic_mtu(), reassembled);
	EXPECT_LT(stats.zc_bytes * 10, r->bytes);
	TH_LOG("%llu bytes in place, %llu copied; %lld packets in fragments",
	       stats.zc_bytes, ifq_stats_copied(&stats), reassembled);
}

/* Our flow in the queue of another ifq: its chunks are not ours, copied. */
TEST_F_TIMEOUT(steer, other_ifq, TIMEOUT_S)
{
	struct ifq_stats stats;
	struct receiver other;

	if (nic.nr_rxqs < 2)
		SKIP(return, "needs two receive queues");
	receiver_prepare(&other, variant->mode, AREA_SIZE);
	other.args.reg.if_rxq = other_rxq();
	ASSERT_EQ(0, receiver_register(&other));

	ASSERT_TRUE(receiver_connect(&other, nic.remote_v4, 1, nic.bytes / 8,
				     WRITE_SIZE)) TH_LOG("%s", other.why);
	ASSERT_TRUE(receiver_run(&other, 0)) TH_LOG("%s", other.why);
	ASSERT_TRUE(receiver_check_counters(&other)) TH_LOG("%s", other.why);
	ASSERT_TRUE(ifq_read_stats(&other.ifq, &stats));
	EXPECT_LT(0, stats.copied_foreign);
	receiver_close(&other);
}

/*
 * Somebody else's connections in our queue
 */

static bool plain_recv(struct flow *flow, int flags)
{
	static unsigned char buf[WRITE_SIZE];
	ssize_t n;

	for (;;) {
		if (flags & MSG_PEEK) {
			n = recv(flow->fd, buf, sizeof(buf) / 2, MSG_PEEK);
			if (n > 0 && !flow_check(flow, buf, n, flow->got))
				return false;
		}
		n = recv(flow->fd, buf, sizeof(buf), flags & ~MSG_PEEK);
		if (n <= 0)
			return !n && flow_complete(flow);
		if (!flow_receive(flow, buf, n))
			return false;
	}
}

/* What splice() puts in a pipe must last, whatever the queue does next. */
static bool plain_splice(struct flow *flow)
{
	static unsigned char buf[1 << 16];
	ssize_t n, got;
	int p[2];

	if (pipe(p))
		return false;
	fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
	while (flow->got < flow->bytes + PATTERN_DIGEST_SIZE) {
		n = splice(flow->fd, NULL, p[1], NULL, 1 << 16, SPLICE_F_MOVE);
		if (n <= 0)
			return false;
		/* Let packets come that might overwrite it. */
		usleep(200);
		for (; n > 0; n -= got) {
			got = read(p[0], buf, sizeof(buf));
			if (got <= 0 || !flow_receive(flow, buf, got))
				return false;
		}
	}
	close(p[0]);
	close(p[1]);

	return flow_complete(flow);
}

TEST_F_TIMEOUT(steer, plain_recv, TIMEOUT_S)
{
	struct flow flow;

	ASSERT_EQ(0, flow_connect(&flow, nic.remote_v4, nic.bytes / 4,
				  WRITE_SIZE));
	EXPECT_TRUE(plain_recv(&flow, 0))
		TH_LOG("wrong after %llu bytes", flow.got);
	flow_close(&flow);

	ASSERT_EQ(0, flow_connect(&flow, nic.remote_v4, nic.bytes / 16,
				  WRITE_SIZE));
	EXPECT_TRUE(plain_recv(&flow, MSG_PEEK))
		TH_LOG("wrong after %llu bytes", flow.got);
	flow_close(&flow);
}

/* Each frame by itself */
TEST_F_TIMEOUT(steer, plain_no_gro, TIMEOUT_S)
{
	static const int flags[] = { 0, MSG_PEEK };
	struct flow flow;
	unsigned int i;

	ASSERT_TRUE(nic_run("ethtool -K %s gro off", nic.name));
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(0, flow_connect(&flow, nic.remote_v4, nic.bytes / 16,
					  WRITE_SIZE));
		EXPECT_TRUE(plain_recv(&flow, flags[i]))
			TH_LOG("wrong after %llu bytes", flow.got);
		flow_close(&flow);
	}
	EXPECT_EQ(0, flow_connect(&flow, nic.remote_v4, nic.bytes / 16,
				  WRITE_SIZE));
	EXPECT_TRUE(plain_splice(&flow))
		TH_LOG("wrong after %llu bytes", flow.got);
	flow_close(&flow);
	EXPECT_TRUE(nic_run("ethtool -K %s gro on", nic.name));
}

TEST_F_TIMEOUT(steer, plain_splice, TIMEOUT_S)
{
	struct flow flow;

	ASSERT_EQ(0, flow_connect(&flow, nic.remote_v4, nic.bytes / 16,
				  WRITE_SIZE));
	EXPECT_TRUE(plain_splice(&flow))
		TH_LOG("wrong after %llu bytes", flow.got);
	flow_close(&flow);
}

/*
 * A packet socket
 */

static void expect_captured(struct __test_metadata *_metadata,
			    struct capture *c, const struct flow *flow)
{
	EXPECT_TRUE(capture_check(c, flow)) TH_LOG("%s", c->why);
	capture_close(c);
}

TEST_F_TIMEOUT(steer, capture, TIMEOUT_S)
{
	static struct capture capture;

	ASSERT_TRUE(capture_open(&capture, CAPTURE_RECV))
		TH_LOG("%s", capture.why);
	ASSERT_TRUE(receiver_connect(&self->r, nic.remote_v4, 1,
				     CAPTURE_BYTES, WRITE_SIZE))
		TH_LOG("%s", self->r.why);
	ASSERT_TRUE(receiver_run(&self->r, 0)) TH_LOG("%s", self->r.why);
	expect_captured(_metadata, &capture, &self->r.flows[0]);
}

/* Of somebody else's flow in our queue, too */
TEST_F_TIMEOUT(steer, capture_plain, TIMEOUT_S)
{
	static struct capture capture;
	struct flow flow;

	ASSERT_TRUE(capture_open(&capture, CAPTURE_RECV))
		TH_LOG("%s", capture.why);
	ASSERT_EQ(0, flow_connect(&flow, nic.remote_v4, CAPTURE_BYTES,
				  WRITE_SIZE));
	EXPECT_TRUE(plain_recv(&flow, 0));
	expect_captured(_metadata, &capture, &flow);
	flow_close(&flow);
}

ZCRX_TEST_MAIN
