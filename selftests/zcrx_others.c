// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What arrives at the bound queue and is not for the ifq, or not as it should
 * be: everybody gets the right bytes, in whatever way he asks for them.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "capture.h"
#include "datagram.h"
#include "kselftest_harness.h"
#include "loopback.h"
#include "nic.h"
#include "plain.h"
#include "proc.h"
#include "receiver.h"
#include "sockmap.h"

/*
 * Chunks last for all that the NIC has room for, the receiver holds and sockets
 * queue: hardly a packet comes in a page of the kernel, which shows nothing.
 */
#define AREA_SIZE	(32 << 20)
#define HOLD		512
#define WRITE_SIZE	(128 << 10)
#define TIMEOUT_S	300

/* Of so many packets one may have come in such a page. */
#define PACKETS_PER_LENT	16

/* Expects NULL, otherwise says what is wrong */
#define EXPECT_RIGHT(_call)						\
	do {								\
		const char *_why = (_call);				\
									\
		EXPECT_TRUE(!_why) TH_LOG("%s: %s", #_call, _why);	\
	} while (0)

#define EXPECT_RECEIVER(_r, _call) EXPECT_TRUE(_call) TH_LOG("%s", (_r)->why)
#define ASSERT_RECEIVER(_r, _call) ASSERT_TRUE(_call) TH_LOG("%s", (_r)->why)

/* Some tests take long where bytes are expensive: there, nic.bytes is small. */
static bool be_quick(void)
{
	return nic.bytes < 16 << 20;
}

static unsigned long long read_number(const char *command)
{
	unsigned long long number = 0;
	FILE *f = popen(command, "r");

	if (!f || fscanf(f, "%llu", &number) != 1)
		number = 0;
	if (f)
		pclose(f);

	return number;
}

/* What the driver counts of the bound queue, if it does */
static unsigned long long queue_counter(const char *name)
{
	char command[128];

	snprintf(command, sizeof(command),
		 "ethtool -S %s | sed -n 's/ *rx_queue_%u_%s: //p'",
		 nic.name, nic.rxq, name);

	return read_number(command);
}

/* When the queue was bound */
static unsigned long long packets_before;

/*
 * A program that receives both ways uses RECV_CQE32: with DEFER_TASKRUN, io_uring
 * has no reason to interrupt its system calls.
 */
#define SETUP_RECEIVER(_r, _mode)					\
	do {								\
		if (!nic.remote_v4)					\
			SKIP(return, "REMOTE_V4 is not set: name the peer"); \
		ASSERT_TRUE(receiver_open(_r, _mode, AREA_SIZE))	\
			TH_LOG("%s", (_r)->why);			\
		(_r)->hold = HOLD;					\
		packets_before = queue_counter("packets");		\
	} while (0)

/* What came has come by the bound queue, and in its chunks. */
static void close_receiver(struct __test_metadata *_metadata,
			   struct receiver *r)
{
	unsigned long long packets = queue_counter("packets") - packets_before;
	struct ifq_stats stats = {};

	EXPECT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_LE(PACKETS_PER_LENT * stats.lent_pages, packets)
		TH_LOG("%llu pages lent for %llu packets", stats.lent_pages,
		       packets);
	if (packets_before && _metadata->exit_code != KSFT_SKIP)
		EXPECT_LT(0, packets);
	receiver_close(r);
}

/*
 * Other sockets' flows
 */

FIXTURE(plain)
{
	struct receiver r;
};

FIXTURE_VARIANT(plain)
{
	const struct plain_way *way;
};

FIXTURE_VARIANT_ADD(plain, recv) { .way = &plain_recv };
FIXTURE_VARIANT_ADD(plain, recvmsg) { .way = &plain_recvmsg };
FIXTURE_VARIANT_ADD(plain, readv) { .way = &plain_readv };
FIXTURE_VARIANT_ADD(plain, msg_trunc) { .way = &plain_trunc };
FIXTURE_VARIANT_ADD(plain, msg_sock_devmem) { .way = &plain_devmem };
FIXTURE_VARIANT_ADD(plain, msg_waitall) { .way = &plain_waitall };
FIXTURE_VARIANT_ADD(plain, msg_peek) { .way = &plain_peek };
FIXTURE_VARIANT_ADD(plain, tcp_zerocopy) { .way = &plain_zerocopy };
FIXTURE_VARIANT_ADD(plain, io_uring) { .way = &plain_io_uring };
FIXTURE_VARIANT_ADD(plain, tls) { .way = &plain_tls };

FIXTURE_SETUP(plain)
{
	if (variant->way == &plain_tls && !plain_has_tls())
		SKIP(return, "there is no CONFIG_TLS");
	SETUP_RECEIVER(&self->r, RECV_CQE32);
}

/* Of what is received, only the kernel's own pages may be mapped. */
FIXTURE_TEARDOWN(plain)
{
	struct ifq_stats stats = {};

	ifq_read_stats(&self->r.ifq, &stats);
	EXPECT_LE(plain_mapped_bytes(), nic.chunk * stats.lent_pages);
	close_receiver(_metadata, &self->r);
}

TEST_F_TIMEOUT(plain, v4, TIMEOUT_S)
{
	EXPECT_RIGHT(plain_receive(variant->way, nic.remote_v4, nic.bytes / 8,
				   WRITE_SIZE, ""));
}

TEST_F_TIMEOUT(plain, v6, TIMEOUT_S)
{
	if (!nic.remote_v6)
		SKIP(return, "REMOTE_V6 is not set");
	EXPECT_RIGHT(plain_receive(variant->way, nic.remote_v6, nic.bytes / 8,
				   WRITE_SIZE, ""));
}

/* Writes that fit to nothing */
TEST_F_TIMEOUT(plain, pieces, TIMEOUT_S)
{
	EXPECT_RIGHT(plain_receive(variant->way, nic.remote_v4, nic.bytes / 64,
				   1009, ""));
	EXPECT_RIGHT(plain_receive(variant->way, nic.remote_v4, nic.bytes / 64,
				   5003, ""));
}

/* While the ifq's own flow has the queue's chunks come round */
TEST_F_TIMEOUT(plain, beside, TIMEOUT_S)
{
	struct flow flow;

	ASSERT_RECEIVER(&self->r,
			receiver_connect(&self->r, nic.remote_v4, 1,
					 FLOW_ENDLESS, WRITE_SIZE));
	ASSERT_EQ(0, plain_connect(variant->way, &flow, nic.remote_v4,
				   nic.bytes / 32, WRITE_SIZE));
	EXPECT_RECEIVER(&self->r,
			receiver_run(&self->r, self->r.bytes + nic.bytes / 8));
	EXPECT_RIGHT(plain_read_all(&flow, variant->way));
	flow_close(&flow);
	EXPECT_RECEIVER(&self->r,
			receiver_run(&self->r, self->r.bytes + nic.bytes / 8));
}

/*
 * What is moved on without being looked at. It must last, whatever the queue
 * receives next.
 */

/* As many bytes are under way at once, at most */
#define KEPT		(512 << 10)

FIXTURE(onward)
{
	struct receiver r;
	struct flow flow;
	int pipe[2];
	int file;
	int tx;
	int rx;
	size_t kept;
};

FIXTURE_SETUP(onward)
{
	SETUP_RECEIVER(&self->r, RECV_CQE32);
	ASSERT_EQ(0, pipe2(self->pipe, O_CLOEXEC));
	ASSERT_LE(KEPT, fcntl(self->pipe[1], F_SETPIPE_SZ, 2 * KEPT));
	self->file = syscall(__NR_memfd_create, "onward", MFD_CLOEXEC);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, loopback_connect(&self->tx, &self->rx, 8 * KEPT));
	plain_set_timeout(self->tx);
	plain_set_timeout(self->rx);

	ASSERT_RECEIVER(&self->r,
			receiver_connect(&self->r, nic.remote_v4, 1,
					 FLOW_ENDLESS, WRITE_SIZE));
	ASSERT_EQ(0, flow_connect(&self->flow, nic.remote_v4, nic.bytes / 16,
				  WRITE_SIZE));
	plain_set_timeout(self->flow.fd);
}

FIXTURE_TEARDOWN(onward)
{
	flow_close(&self->flow);
	close_receiver(_metadata, &self->r);
}

/* What comes back goes to the NIC first, and is filled twice. */
static bool stir(struct receiver *r)
{
	return receiver_run(r, r->bytes + 2 * NIC_RX_RING * nic.chunk);
}

/* Bytes from the socket to the pipe, 0 at the end; or -errno. */
static ssize_t fill_pipe(struct flow *flow, int fd, size_t room)
{
	size_t filled = 0;
	ssize_t n;

	while (filled < room) {
		n = splice(flow->fd, NULL, fd, NULL, room - filled,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		/* The pipe is full: it has room for so many packets only. */
		if (n < 0 && errno == EAGAIN && filled)
			break;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		filled += n;
	}

	return filled;
}

/* From the pipe to something else, all of it: 0 or -errno */
static int drain_pipe(int from, int to, size_t len)
{
	ssize_t n;

	for (; len; len -= n) {
		n = splice(from, NULL, to, NULL, len, SPLICE_F_MOVE);
		if (n <= 0)
			return n ? -errno : -EPIPE;
	}

	return 0;
}

/* Reads so many bytes of the flow, wherever they have come to */
static bool read_kept(struct flow *flow, int fd, size_t len)
{
	static unsigned char buf[1 << 16];
	ssize_t n;

	for (; len; len -= n) {
		n = read(fd, buf, len < sizeof(buf) ? len : sizeof(buf));
		if (n <= 0 || !flow_receive(flow, buf, n))
			return false;
	}

	return true;
}

static bool not_all(const struct flow *flow)
{
	return flow->got < flow->bytes + PATTERN_DIGEST_SIZE;
}

/* In a pipe */
TEST_F_TIMEOUT(onward, pipe, TIMEOUT_S)
{
	ssize_t n;

	while (not_all(&self->flow)) {
		n = fill_pipe(&self->flow, self->pipe[1], KEPT);
		ASSERT_LT(0, n) TH_LOG("splice: %s", strerror(-n));
		ASSERT_RECEIVER(&self->r, stir(&self->r));
		ASSERT_TRUE(read_kept(&self->flow, self->pipe[0], n))
			TH_LOG("wrong after %llu bytes", self->flow.got);
	}
	EXPECT_TRUE(flow_complete(&self->flow));
}

/* In two pipes: tee() takes a second reference to what lies in the first. */
TEST_F_TIMEOUT(onward, tee, TIMEOUT_S)
{
	struct flow copy;
	ssize_t n, m;
	int p[2];

	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	ASSERT_LE(KEPT, fcntl(p[1], F_SETPIPE_SZ, 2 * KEPT));
	while (not_all(&self->flow)) {
		n = fill_pipe(&self->flow, self->pipe[1], KEPT);
		ASSERT_LT(0, n) TH_LOG("splice: %s", strerror(-n));
		m = tee(self->pipe[0], p[1], n, 0);
		ASSERT_LT(0, m);
		copy = self->flow;
		ASSERT_TRUE(read_kept(&self->flow, self->pipe[0], n))
			TH_LOG("wrong after %llu bytes", self->flow.got);
		ASSERT_RECEIVER(&self->r, stir(&self->r));
		for (; m > 0; m -= n) {
			static unsigned char buf[1 << 16];

			n = read(p[0], buf, (size_t)m < sizeof(buf) ? (size_t)m :
							   sizeof(buf));
			ASSERT_LT(0, n);
			ASSERT_TRUE(flow_check(&copy, buf, n, copy.got));
			copy.got += n;
		}
	}
	EXPECT_TRUE(flow_complete(&self->flow));
}

/* From socket to socket through a pipe: kept in the other one's queue */
TEST_F_TIMEOUT(onward, relay, TIMEOUT_S)
{
	ssize_t n;

	while (not_all(&self->flow)) {
		n = fill_pipe(&self->flow, self->pipe[1], KEPT);
		ASSERT_LT(0, n) TH_LOG("splice: %s", strerror(-n));
		ASSERT_EQ(0, drain_pipe(self->pipe[0], self->tx, n));
		ASSERT_RECEIVER(&self->r, stir(&self->r));
		ASSERT_TRUE(read_kept(&self->flow, self->rx, n))
			TH_LOG("wrong after %llu bytes", self->flow.got);
	}
	EXPECT_TRUE(flow_complete(&self->flow));
}

/* Into a file, and from there by sendfile() */
TEST_F_TIMEOUT(onward, sendfile, TIMEOUT_S)
{
	off_t off = 0;
	ssize_t n, m;

	while (not_all(&self->flow)) {
		n = fill_pipe(&self->flow, self->pipe[1], KEPT);
		ASSERT_LT(0, n) TH_LOG("splice: %s", strerror(-n));
		ASSERT_EQ(0, drain_pipe(self->pipe[0], self->file, n));
		ASSERT_RECEIVER(&self->r, stir(&self->r));
		for (; n > 0; n -= m) {
			m = sendfile(self->tx, self->file, &off, n);
			ASSERT_LT(0, m) TH_LOG("sendfile: %m");
			ASSERT_TRUE(read_kept(&self->flow, self->rx, m))
				TH_LOG("wrong after %llu bytes",
				       self->flow.got);
		}
	}
	EXPECT_TRUE(flow_complete(&self->flow));
}

/*
 * BPF has what the socket receives
 */

/* What waits is kept, whatever the queue receives next. */
#define WAITS_MS	50

/* A flow whose socket is in a map before the first byte comes */
static void connect_in_sockmap(struct __test_metadata *_metadata,
			       struct flow *flow, int map,
			       enum sockmap_verdict verdict, int other)
{
	ASSERT_EQ(0, sockmap_attach(map, verdict));
	ASSERT_EQ(0, flow_begin(flow, nic.remote_v4));
	plain_set_timeout(flow->fd);
	ASSERT_EQ(0, sockmap_add(map, 0, flow->fd));
	ASSERT_EQ(0, sockmap_add(map, 1, other));
	ASSERT_EQ(0, flow_ask(flow, nic.bytes / 32, WRITE_SIZE));
}

/* All of it is to be read from there. */
static void receive_from_sockmap(struct __test_metadata *_metadata,
				 FIXTURE_DATA(onward) *self,
				 enum sockmap_verdict verdict, int other)
{
	int map = sockmap_create();
	struct flow flow;
	ssize_t n;
	int from;

	if (map < 0)
		SKIP(return, "no sockmap: %s; CONFIG_BPF_SYSCALL?",
		     strerror(-map));
	connect_in_sockmap(_metadata, &flow, map, verdict, other);
	from = verdict == SOCKMAP_PASS ? flow.fd : self->rx;
	while (not_all(&flow)) {
		struct pollfd pfd = { .fd = from, .events = POLLIN };
		static unsigned char buf[KEPT];

		ASSERT_EQ(1, poll(&pfd, 1, PLAIN_STALL_S * 1000))
			TH_LOG("nothing after %llu bytes", flow.got);
		proc_sleep_ms(WAITS_MS);
		ASSERT_RECEIVER(&self->r, stir(&self->r));
		n = recv(from, buf, sizeof(buf), 0);
		ASSERT_LT(0, n) TH_LOG("recv: %m");
		ASSERT_TRUE(flow_receive(&flow, buf, n))
			TH_LOG("wrong after %llu bytes", flow.got);
	}
	EXPECT_TRUE(flow_complete(&flow));
	flow_close(&flow);
	close(map);
}

TEST_F_TIMEOUT(onward, sockmap_pass, TIMEOUT_S)
{
	receive_from_sockmap(_metadata, self, SOCKMAP_PASS, self->tx);
}

/* The kernel sends it on, from where it lies. */
TEST_F_TIMEOUT(onward, sockmap_send, TIMEOUT_S)
{
	receive_from_sockmap(_metadata, self, SOCKMAP_SEND, self->tx);
}

TEST_F_TIMEOUT(onward, sockmap_redirect, TIMEOUT_S)
{
	receive_from_sockmap(_metadata, self, SOCKMAP_REDIRECT, self->rx);
}

/*
 * What a packet socket captures, of our flow and of somebody else's. Frames
 * that wait in the socket keep their chunks, whatever the queue receives next.
 */

static struct capture captured;

FIXTURE(capture)
{
	struct receiver r;
};

FIXTURE_VARIANT(capture)
{
	enum capture_way way;
};

FIXTURE_VARIANT_ADD(capture, recv) { .way = CAPTURE_RECV };
FIXTURE_VARIANT_ADD(capture, ring) { .way = CAPTURE_RING };

FIXTURE_SETUP(capture)
{
	SETUP_RECEIVER(&self->r, RECV_CQE32);
	ASSERT_TRUE(capture_open(&captured, variant->way))
		TH_LOG("%s", captured.why);
}

FIXTURE_TEARDOWN(capture)
{
	capture_close(&captured);
	close_receiver(_metadata, &self->r);
}

/* Before the frames are looked at, all chunks that are free come round. */
static void expect_captured(struct __test_metadata *_metadata,
			    struct receiver *r, const struct flow *flow)
{
	ASSERT_TRUE(capture_stop(&captured));
	ASSERT_RECEIVER(r, receiver_connect(r, nic.remote_v4, 1, FLOW_ENDLESS,
					    WRITE_SIZE));
	ASSERT_RECEIVER(r, stir(r));
	EXPECT_TRUE(capture_check(&captured, flow))
		TH_LOG("%s", captured.why);
}

TEST_F_TIMEOUT(capture, ours, TIMEOUT_S)
{
	struct receiver *r = &self->r;

	ASSERT_RECEIVER(r, receiver_connect(r, nic.remote_v4, 1, CAPTURE_BYTES,
					    WRITE_SIZE));
	ASSERT_RECEIVER(r, receiver_run(r, 0));
	expect_captured(_metadata, r, &r->flows[0]);
}

TEST_F_TIMEOUT(capture, plain, TIMEOUT_S)
{
	struct flow flow;

	ASSERT_EQ(0, flow_connect(&flow, nic.remote_v4, CAPTURE_BYTES,
				  WRITE_SIZE));
	EXPECT_RIGHT(plain_read_all(&flow, &plain_recv));
	expect_captured(_metadata, &self->r, &flow);
	flow_close(&flow);
}

/*
 * Not TCP
 */

FIXTURE(other_protocol)
{
	struct receiver r;
	const char *host;
};

FIXTURE_VARIANT(other_protocol)
{
	bool v6;
};

FIXTURE_VARIANT_ADD(other_protocol, v4) { .v6 = false };
FIXTURE_VARIANT_ADD(other_protocol, v6) { .v6 = true };

FIXTURE_SETUP(other_protocol)
{
	self->host = variant->v6 ? nic.remote_v6 : nic.remote_v4;
	if (!self->host)
		SKIP(return, "REMOTE_V6 is not set");
	SETUP_RECEIVER(&self->r, RECV_RBUF);
}

FIXTURE_TEARDOWN(other_protocol)
{
	close_receiver(_metadata, &self->r);
}

/* From those that fit in a header buffer to those of many fragments */
static const unsigned int sizes[] = {
	1, 17, 100, 199, 214, 300, 1400, 1473, 3000, 8000, 9500, 30001, 60000,
};

#define NR_SIZES	(sizeof(sizes) / sizeof(sizes[0]))

/* Names and values are in two lines for each protocol. */
static unsigned long long snmp_counter(const char *protocol, const char *name)
{
	char names[1024], values[1024], *n, *v, *next_n, *next_v;
	unsigned long long value = 0;
	FILE *f;

	f = fopen("/proc/net/snmp", "r");
	while (f && fgets(names, sizeof(names), f) &&
	       fgets(values, sizeof(values), f)) {
		n = strtok_r(names, " \n", &next_n);
		v = strtok_r(values, " \n", &next_v);
		if (!n || strcmp(n, protocol))
			continue;
		for (; n && v; n = strtok_r(NULL, " \n", &next_n),
			       v = strtok_r(NULL, " \n", &next_v))
			if (!strcmp(n, name))
				value = strtoull(v, NULL, 10);
	}
	if (f)
		fclose(f);

	return value;
}

/* What is counted as lost on its way to a socket for datagrams */
static unsigned long long count_losses(bool v6)
{
	if (v6)
		return nic_drops() +
		       read_number("sed -n 's/^Udp6RcvbufErrors *//p' /proc/net/snmp6") +
		       read_number("sed -n 's/^Ip6ReasmFails *//p' /proc/net/snmp6");

	return nic_drops() + snmp_counter("Udp:", "RcvbufErrors") +
	       snmp_counter("Ip:", "ReasmFails");
}

/* So long the kernel waits for the rest of a datagram, and then counts it. */
#define REASSEMBLY_S	65

/* All but some are to come, or to be counted as lost. */
static void receive_datagrams(struct __test_metadata *_metadata,
			      struct datagrams *d, bool v6, unsigned int but)
{
	unsigned long long before = count_losses(v6), lost = 0;
	unsigned int missing, s;

	EXPECT_TRUE(datagrams_receive(d, v6 ? nic.remote_v6 : nic.remote_v4))
		TH_LOG("%s", d->why);
	missing = d->count - d->nr_got;
	for (s = 0; missing > but + lost && s < REASSEMBLY_S; s++) {
		sleep(1);
		lost = count_losses(v6) - before;
	}
	EXPECT_LE(missing, but + lost)
		TH_LOG("%u of %u datagrams of %u bytes, and %llu were lost",
		       d->nr_got, d->count, d->size, lost);
}

TEST_F_TIMEOUT(other_protocol, udp, TIMEOUT_S)
{
	const unsigned int count = be_quick() ? 16 : 64;
	struct datagrams d;
	unsigned int i;

	for (i = 0; i < NR_SIZES; i++) {
		ASSERT_TRUE(datagrams_open(&d, variant->v6, sizes[i], count))
			TH_LOG("%s", d.why);
		receive_datagrams(_metadata, &d, variant->v6, 0);
		datagrams_close(&d);
	}
}

/* The peer's address is asked for anew: that, too, arrives at the queue. */
TEST_F_TIMEOUT(other_protocol, echo, TIMEOUT_S)
{
	unsigned int i;

	ASSERT_TRUE(echo_allow());
	for (i = 0; i < NR_SIZES; i++) {
		EXPECT_TRUE(nic_run("ip neigh flush dev %s", nic.name));
		EXPECT_RIGHT(echo(self->host, sizes[i]));
	}
	echo_disallow();
}

/*
 * Frames that are not split as the others
 */

FIXTURE(frames)
{
	struct receiver r;
};

FIXTURE_SETUP(frames)
{
	SETUP_RECEIVER(&self->r, RECV_RBUF);
}

FIXTURE_TEARDOWN(frames)
{
	nic_run("ethtool -K %s rx on", nic.name);
	close_receiver(_metadata, &self->r);
}

#define ODD_MAX		300
#define ODD_WRITES	64
#define LARGE		(256 << 10)

/* Seven flows of small writes, each with a size of its own, beside a large one */
TEST_F_TIMEOUT(frames, odd_sizes, TIMEOUT_S)
{
	unsigned int size, step = be_quick() ? 5 : 1;
	struct receiver *r = &self->r;
	struct ifq_stats stats;

	for (size = 1; size <= ODD_MAX; ) {
		ASSERT_RECEIVER(r, receiver_connect(r, nic.remote_v4, 1, LARGE,
						    WRITE_SIZE));
		for (; size <= ODD_MAX && r->nr_flows < RECEIVER_MAX_FLOWS;
		     size += step)
			ASSERT_RECEIVER(r, receiver_connect(r, nic.remote_v4, 1,
							    ODD_WRITES * size,
							    size));
		ASSERT_RECEIVER(r, receiver_run(r, 0));
		ASSERT_RECEIVER(r, receiver_finish(r));
		receiver_disconnect(r);
	}
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	TH_LOG("%llu bytes in place, %llu copied from headers, %llu from pages",
	       stats.zc_bytes, stats.copied_linear, stats.copied_page);
}

TEST_F_TIMEOUT(frames, odd_sizes_plain, TIMEOUT_S)
{
	unsigned int size, step = be_quick() ? 5 : 1;
	struct flow large;

	for (size = 1; size <= ODD_MAX; size += step) {
		ASSERT_EQ(0, flow_connect(&large, nic.remote_v4, LARGE,
					  WRITE_SIZE));
		EXPECT_RIGHT(plain_receive(&plain_recv, nic.remote_v4,
					   ODD_WRITES * size, size, ""));
		EXPECT_RIGHT(plain_read_all(&large, &plain_recv));
		flow_close(&large);
	}
}

/* The kernel computes checksums itself. */
TEST_F_TIMEOUT(frames, software_checksum, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct datagrams d;

	if (!nic_run("ethtool -K %s rx off && ethtool -k %s | grep -q '^rx-checksumming: off'",
		     nic.name, nic.name))
		SKIP(return, "%s can't leave checksums to the kernel",
		     nic.name);

	EXPECT_RECEIVER(r, receiver_connect(r, nic.remote_v4, 1, nic.bytes / 16,
					    WRITE_SIZE));
	if (nic.remote_v6)
		EXPECT_RECEIVER(r, receiver_connect(r, nic.remote_v6, 1,
						    nic.bytes / 16,
						    WRITE_SIZE));
	EXPECT_RECEIVER(r, receiver_run(r, 0));
	EXPECT_RIGHT(plain_receive(&plain_recv, nic.remote_v4, nic.bytes / 16,
				   WRITE_SIZE, ""));
	EXPECT_RIGHT(plain_receive(&plain_recv, nic.remote_v4, nic.bytes / 64,
				   101, ""));
	if (nic.remote_v6)
		EXPECT_RIGHT(plain_receive(&plain_recv, nic.remote_v6,
					   nic.bytes / 16, WRITE_SIZE, ""));

	ASSERT_TRUE(datagrams_open(&d, false, 20000, 32)) TH_LOG("%s", d.why);
	receive_datagrams(_metadata, &d, false, 0);
	datagrams_close(&d);
}

/*
 * More in front of the TCP header, which the NIC may take for payload, or not
 * fit in a header buffer
 */

FIXTURE(headers)
{
	struct receiver r;
	const char *host;
};

FIXTURE_VARIANT(headers)
{
	bool		v6;
	const char	*headers;
};

#define HEADERS_VARIANT(_v6, _kind, _size)				\
	FIXTURE_VARIANT_ADD(headers, _kind##_##_size)			\
	{								\
		.v6 = _v6, .headers = #_kind " " #_size,		\
	}

HEADERS_VARIANT(false, options, 8);
HEADERS_VARIANT(false, options, 40);
HEADERS_VARIANT(true, hopopts, 8);
HEADERS_VARIANT(true, hopopts, 64);
HEADERS_VARIANT(true, hopopts, 256);
HEADERS_VARIANT(true, dstopts, 16);
HEADERS_VARIANT(true, dstopts, 160);
HEADERS_VARIANT(true, dstopts, 256);

FIXTURE_SETUP(headers)
{
	self->host = variant->v6 ? nic.remote_v6 : nic.remote_v4;
	if (!self->host)
		SKIP(return, "REMOTE_V6 is not set");
	SETUP_RECEIVER(&self->r, RECV_RBUF);
}

FIXTURE_TEARDOWN(headers)
{
	close_receiver(_metadata, &self->r);
}

TEST_F_TIMEOUT(headers, ours, TIMEOUT_S)
{
	unsigned long long unsplit = queue_counter("unsplit");
	struct receiver *r = &self->r;
	struct ifq_stats stats;

	ASSERT_RECEIVER(r, receiver_connect_with(r, self->host, 2,
						 nic.bytes / 32, WRITE_SIZE,
						 variant->headers));
	ASSERT_RECEIVER(r, receiver_connect_with(r, self->host, 1,
						 nic.bytes / 256, 99,
						 variant->headers));
	ASSERT_RECEIVER(r, receiver_run(r, 0));
	ASSERT_RECEIVER(r, receiver_finish(r));
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	unsplit = queue_counter("unsplit") - unsplit;
	TH_LOG("%llu bytes in place, %llu copied from headers, %llu from pages, %llu frames not split",
	       stats.zc_bytes, stats.copied_linear, stats.copied_page, unsplit);
	/* No driver expects extension headers: it copies the whole frame. */
	if (variant->v6) {
		EXPECT_EQ(0, stats.zc_bytes);
		if (nic_run("ethtool -S %s | grep -q _unsplit", nic.name))
			EXPECT_LT(r->bytes / 2 / nic_mtu(), unsplit);
	} else {
		EXPECT_LT(0, stats.zc_bytes);
	}
}

TEST_F_TIMEOUT(headers, plain, TIMEOUT_S)
{
	EXPECT_RIGHT(plain_receive(&plain_recv, self->host, nic.bytes / 32,
				   WRITE_SIZE, variant->headers));
	EXPECT_RIGHT(plain_receive(&plain_recv, self->host, nic.bytes / 256, 99,
				   variant->headers));
}

/*
 * Netfilter looks at payload.
 */

/* A place in the first segment that rules can name: they reach 255 bytes. */
#define MATCH_OFF	240

FIXTURE(filter)
{
	struct receiver r;
};

FIXTURE_SETUP(filter)
{
	if (!nic_run("nft list ruleset"))
		SKIP(return, "needs nft, and CONFIG_NF_TABLES");
	SETUP_RECEIVER(&self->r, RECV_RBUF);
}

FIXTURE_TEARDOWN(filter)
{
	nic_run("nft delete table inet zcrx");
	close_receiver(_metadata, &self->r);
}

/* The 4 bytes at a place of the stream, as a rule has them */
static __u32 match_value(__u64 seed, __u64 off)
{
	unsigned char buf[4];

	pattern_fill(buf, sizeof(buf), seed, off);

	return (__u32)buf[0] << 24 | buf[1] << 16 | buf[2] << 8 | buf[3];
}

static bool add_rule(const char *proto, unsigned int off, __u32 value,
		     const char *counter, const char *verdict)
{
	return nic_run("nft add counter inet zcrx %s", counter) &&
	       nic_run("nft add rule inet zcrx c meta l4proto %s @ih,%u,32 0x%08x counter name %s %s",
		       proto, off * 8, value, counter, verdict);
}

static unsigned long long rule_hits(const char *counter)
{
	char command[128];

	snprintf(command, sizeof(command),
		 "nft list counter inet zcrx %s | sed -n 's/.*packets \\([0-9]*\\).*/\\1/p'",
		 counter);

	return read_number(command);
}

/* A flow whose bytes are known before it begins */
static bool connect_seeded(struct flow *flow, const char *host, __u64 bytes,
			   __u64 seed)
{
	memset(flow, 0, sizeof(*flow));
	flow->bytes = bytes;
	flow->seed = seed;
	flow->fd = flow_request(host, "send %llu %llu %u\n", bytes, seed,
				WRITE_SIZE);
	if (flow->fd < 0)
		return false;
	flow->md = EVP_MD_CTX_new();
	EVP_DigestInit_ex(flow->md, EVP_sha256(), NULL);

	return true;
}

/* The first segment of the stream matches, and none does what is not in it. */
TEST_F_TIMEOUT(filter, count, TIMEOUT_S)
{
	const char *hosts[] = { nic.remote_v4, nic.remote_v6 };
	const __u64 seed = 0x7a637278;
	unsigned long long i;
	struct flow flow;

	ASSERT_TRUE(nic_run("nft add table inet zcrx"));
	ASSERT_TRUE(nic_run("nft add chain inet zcrx c '{ type filter hook input priority 0; }'"));
	ASSERT_TRUE(add_rule("tcp", 0, match_value(seed, 0), "first",
			     "continue"));
	ASSERT_TRUE(add_rule("tcp", MATCH_OFF, match_value(seed, MATCH_OFF),
			     "inside", "continue"));
	ASSERT_TRUE(add_rule("tcp", MATCH_OFF, ~match_value(seed, MATCH_OFF),
			     "never", "continue"));
	for (i = 1; i <= 2 && hosts[i - 1]; i++) {
		ASSERT_TRUE(connect_seeded(&flow, hosts[i - 1], nic.bytes / 16,
					   seed));
		EXPECT_RIGHT(plain_read_all(&flow, &plain_recv));
		flow_close(&flow);
		EXPECT_LE(i, rule_hits("first"));
		EXPECT_EQ(rule_hits("first"), rule_hits("inside"));
		EXPECT_EQ(0, rule_hits("never"));
	}
}

/* Nothing comes while the first segment is dropped, then everything does. */
TEST_F_TIMEOUT(filter, drop, TIMEOUT_S)
{
	const __u64 seed = 0x64726f70;
	struct flow flow;
	char byte;

	ASSERT_TRUE(nic_run("nft add table inet zcrx"));
	ASSERT_TRUE(nic_run("nft add chain inet zcrx c '{ type filter hook input priority 0; }'"));
	ASSERT_TRUE(add_rule("tcp", MATCH_OFF, match_value(seed, MATCH_OFF),
			     "dropped", "drop"));
	ASSERT_TRUE(connect_seeded(&flow, nic.remote_v4, nic.bytes / 16, seed));
	sleep(1);
	EXPECT_EQ(-1, recv(flow.fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK));
	EXPECT_LE(1, rule_hits("dropped"));
	EXPECT_TRUE(nic_run("nft delete table inet zcrx"));
	EXPECT_RIGHT(plain_read_all(&flow, &plain_recv));
	flow_close(&flow);
}

/* As early as can be, and of datagrams: exactly those that are named */
TEST_F_TIMEOUT(filter, drop_at_ingress, TIMEOUT_S)
{
	const unsigned int count = 16, size = 1000;
	struct datagrams d;

	ASSERT_TRUE(nic_run("nft add table inet zcrx"));
	ASSERT_TRUE(nic_run("nft add chain inet zcrx c '{ type filter hook ingress device %s priority 0; }'",
			    nic.name));
	ASSERT_TRUE(datagrams_open(&d, false, size, count)) TH_LOG("%s", d.why);
	ASSERT_TRUE(add_rule("udp", MATCH_OFF,
			     match_value(d.seed, 3 * size + MATCH_OFF),
			     "no_3", "drop"));
	ASSERT_TRUE(add_rule("udp", MATCH_OFF,
			     match_value(d.seed, 7 * size + MATCH_OFF),
			     "no_7", "drop"));
	receive_datagrams(_metadata, &d, false, 2);
	EXPECT_FALSE(d.got[3]);
	EXPECT_FALSE(d.got[7]);
	EXPECT_EQ(1, rule_hits("no_3"));
	EXPECT_EQ(1, rule_hits("no_7"));
	datagrams_close(&d);
}

/*
 * Forwarding: what the queue receives leaves by another interface.
 */

#define FORWARD_IFACE	"zcrx_fwd"
#define FORWARD_INNER	"zcrx_in"
#define FORWARD_GW_V4	"169.254.77.1"
#define FORWARD_GW_V6	"fe80::77:1"

FIXTURE(forward)
{
	struct receiver r;
	const char *local_v4;
	const char *local_v6;
};

static bool set_forwarding(int on)
{
	return nic_run("echo %d > /proc/sys/net/ipv4/ip_forward", on) &&
	       nic_run("echo %d > /proc/sys/net/ipv6/conf/all/forwarding", on);
}

FIXTURE_SETUP(forward)
{
	self->local_v4 = getenv("FORWARD_LOCAL_V4");
	self->local_v6 = getenv("FORWARD_LOCAL_V6");
	SETUP_RECEIVER(&self->r, RECV_RBUF);
	ASSERT_TRUE(set_forwarding(1));
}

FIXTURE_TEARDOWN(forward)
{
	set_forwarding(0);
	nic_run("ip link del " FORWARD_IFACE);
	close_receiver(_metadata, &self->r);
}

static bool outer_setup(pid_t pid, const char *v4, const char *v6)
{
	return nic_run("ip link add " FORWARD_IFACE " type veth peer name " FORWARD_INNER " netns %d",
		       pid) &&
	       nic_run("ip addr add " FORWARD_GW_V4 "/32 dev " FORWARD_IFACE) &&
	       nic_run("ip addr add " FORWARD_GW_V6 "/64 dev " FORWARD_IFACE " nodad") &&
	       nic_run("ip link set " FORWARD_IFACE " up") &&
	       nic_run("ip route add %s dev " FORWARD_IFACE, v4) &&
	       nic_run("ip route add %s dev " FORWARD_IFACE, v6);
}

static bool inner_setup(const char *v4, const char *v6)
{
	return nic_run("ip link set " FORWARD_INNER " up") &&
	       nic_run("ip addr add %s/32 dev " FORWARD_INNER, v4) &&
	       nic_run("ip addr add %s/128 dev " FORWARD_INNER " nodad", v6) &&
	       nic_run("ip route add default via " FORWARD_GW_V4 " dev " FORWARD_INNER " onlink") &&
	       nic_run("ip route add default via " FORWARD_GW_V6 " dev " FORWARD_INNER);
}

/* Receives in the namespace behind: says nothing if all is right. */
static void receive_behind(int fd, const char *v4, const char *v6)
{
	const char *hosts[] = { nic.remote_v4, nic.remote_v6 }, *why;
	unsigned int i;
	char go;

	if (unshare(CLONE_NEWNET) || write(fd, "", 1) != 1 ||
	    read(fd, &go, 1) != 1 || !inner_setup(v4, v6)) {
		dprintf(fd, "can't set up the namespace");
		return;
	}
	for (i = 0; i < 2 && hosts[i]; i++) {
		why = plain_receive(&plain_recv, hosts[i], nic.bytes / 8,
				    WRITE_SIZE, "");
		if (!why)
			why = plain_receive(&plain_recv, hosts[i],
					    nic.bytes / 256, 99, "");
		if (why)
			dprintf(fd, "%s: %s. ", hosts[i], why);
	}
}

/* To a network namespace, over a pair of virtual interfaces */
TEST_F_TIMEOUT(forward, veth, TIMEOUT_S)
{
	char why[512] = "";
	int fds[2];
	pid_t pid;

	if (!self->local_v4 || !self->local_v6)
		SKIP(return, "FORWARD_LOCAL_V4 and FORWARD_LOCAL_V6 don't name addresses to which the peer has a route by way of this machine");
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(fds[0]);
		receive_behind(fds[1], self->local_v4, self->local_v6);
		_exit(0);
	}
	close(fds[1]);
	ASSERT_EQ(1, read(fds[0], why, 1));
	EXPECT_TRUE(outer_setup(pid, self->local_v4, self->local_v6));
	ASSERT_EQ(1, write(fds[0], "", 1));
	EXPECT_EQ(0, recv(fds[0], why, sizeof(why) - 1, MSG_WAITALL))
		TH_LOG("%s", why);
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	close(fds[0]);
}

/*
 * To a machine behind a second NIC, whose driver transmits from our chunks. It
 * asks the peer, by way of this machine, and says if it got what it should.
 */

FIXTURE(behind)
{
	struct receiver r;
	const char *host;
	const char *behind;
};

FIXTURE_VARIANT(behind)
{
	bool v6;
};

FIXTURE_VARIANT_ADD(behind, v4) { .v6 = false };
FIXTURE_VARIANT_ADD(behind, v6) { .v6 = true };

FIXTURE_SETUP(behind)
{
	self->behind = getenv("FORWARD_REMOTE_V4");
	if (!self->behind)
		SKIP(return, "FORWARD_REMOTE_V4 doesn't name another peer, to be reached by another interface, and which reaches REMOTE_V4 and REMOTE_V6 by way of this machine");
	self->host = variant->v6 ? nic.remote_v6 : nic.remote_v4;
	if (!self->host)
		SKIP(return, "REMOTE_V6 is not set");
	SETUP_RECEIVER(&self->r, RECV_RBUF);
	ASSERT_TRUE(set_forwarding(1));
}

FIXTURE_TEARDOWN(behind)
{
	set_forwarding(0);
	close_receiver(_metadata, &self->r);
}

static unsigned long long count_forwarded(bool v6)
{
	if (v6)
		return read_number("sed -n 's/^Ip6OutForwDatagrams *//p' /proc/net/snmp6");

	return snmp_counter("Ip:", "ForwDatagrams");
}

/* What is asked for, and answered */
static void fetch(struct __test_metadata *_metadata, const char *behind,
		  const char *request)
{
	char answer[16] = "";
	int fd;

	fd = flow_request(behind, "%s\n", request);
	ASSERT_LE(0, fd) TH_LOG("%s: %s", behind, strerror(-fd));
	EXPECT_EQ(6, recv(fd, answer, 6, MSG_WAITALL));
	EXPECT_STREQ("right\n", answer) TH_LOG("%s", request);
	close(fd);
}

/* GRO makes larger packets of it, up to 64 KiB. */
TEST_F_TIMEOUT(behind, stream, TIMEOUT_S)
{
	unsigned long long before = count_forwarded(variant->v6);
	const __u64 bytes = nic.bytes / 4;
	char request[128];

	snprintf(request, sizeof(request), "fetch %s %llu %u", self->host,
		 bytes, WRITE_SIZE);
	fetch(_metadata, self->behind, request);
	EXPECT_LE(bytes >> 16, count_forwarded(variant->v6) - before);
}

/* The large ones come in fragments, which nobody puts together here. */
TEST_F_TIMEOUT(behind, datagrams, TIMEOUT_S)
{
	const unsigned int count = 16, mtu = nic_mtu();
	unsigned long long before;
	char request[128];
	unsigned int i;

	for (i = 0; i < NR_SIZES; i++) {
		before = count_forwarded(variant->v6);
		snprintf(request, sizeof(request), "fetch-udp %s %u %u",
			 self->host, count, sizes[i]);
		fetch(_metadata, self->behind, request);
		EXPECT_LE(count * (sizes[i] / mtu + 1),
			  count_forwarded(variant->v6) - before);
	}
}

/*
 * Queue 0, unless somebody has a reason for another one: what the NIC can't hash
 * arrives there.
 */
int main(int argc, char **argv)
{
	setenv("ZCRX_RXQ", "0", 0);
	nic_setup();

	return test_harness_run(argc, argv);
}
