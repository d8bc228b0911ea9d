// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Whatever runs out: chunks, room in one of the rings, or steering to the right
 * queue. It costs a wait or a copy, never a byte, and the NIC drops nothing.
 */
#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "nic.h"
#include "proc.h"
#include "receiver.h"

/* More than the NIC and connections with small buffers can hold */
#define NR_CHUNKS	2048
#define AREA_SIZE	(NR_CHUNKS * NIC_PAGE)
#define SMALL_BUFFER	(128 << 10)
#define LARGE_BUFFER	(8 << 20)	/* no connection has more */
#define WRITE_SIZE	(64 << 10)
#define TIMEOUT_S	300

/* How long nothing is given back */
#define LONG_MS		10000
#define SHORT_MS	2000

#define STATE_EVENTS	(1U << ZCRX_EVENT_STATE_COPY | \
			 1U << ZCRX_EVENT_STATE_ON)

FIXTURE(dry)
{
	struct receiver r;
	__u64 area_size;
	__u64 flow_size;	/* so that a flow never fits */
	__u64 drops;
};

FIXTURE_VARIANT(dry)
{
	enum receiver_mode	mode;
};

FIXTURE_VARIANT_ADD(dry, rbuf) { .mode = RECV_RBUF };
FIXTURE_VARIANT_ADD(dry, oneshot) { .mode = RECV_RBUF_ONESHOT };
FIXTURE_VARIANT_ADD(dry, cqe32) { .mode = RECV_CQE32 };

FIXTURE_SETUP(dry)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	receiver_prepare(&self->r, variant->mode, AREA_SIZE);
	self->area_size = self->r.args.areas[0].len;
	self->flow_size = self->area_size + LARGE_BUFFER;
	ifq_args_set_events(&self->r.args, RECEIVER_EVENT, STATE_EVENTS);
	self->drops = nic_drops();
}

FIXTURE_TEARDOWN(dry)
{
	EXPECT_EQ(self->drops, nic_drops()) TH_LOG("packets were dropped");
	nic_set_rx_ring(NIC_RX_RING);
	nic_steer(nic.rxq);
}

static void connect_flows(struct __test_metadata *_metadata,
			  struct receiver *r, unsigned int nr, __u64 bytes)
{
	ASSERT_EQ(0, receiver_register(r));
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, nr, bytes, WRITE_SIZE))
		TH_LOG("%s", r->why);
}

static void finish_flows(struct __test_metadata *_metadata, struct receiver *r)
{
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
}

static bool is_copying(struct receiver *r)
{
	struct ifq_stats stats = {};

	return ifq_read_stats(&r->ifq, &stats) && stats.copying;
}

static long long tcp_counter(const char *name)
{
	return nic_read_counter("/proc/net/netstat", "TcpExt:", name);
}

/*
 * Packets that the NIC dropped, for want of memory or descriptors. Not every
 * NIC counts the latter (QEMU's igb doesn't), but what comes behind one has a
 * gap before it.
 */
static __u64 packets_lost(void)
{
	return nic_drops() + tcp_counter("TCPOFOQueue");
}

/* What the NIC has, and what waits in sockets; all of it is charged. */
static unsigned long long most_lent_pages(const struct receiver *r)
{
	unsigned long long pages = NIC_RX_RING;
	socklen_t len = sizeof(int);
	unsigned int i;
	int size;

	for (i = 0; i < r->nr_flows; i++)
		if (!getsockopt(r->flows[i].fd, SOL_SOCKET, SO_RCVBUF, &size,
				&len))
			pages += size / nic.chunk;

	return pages;
}

/*
 * Chunks
 */

/* What has just been read may go with the next packet only. */
static bool lent_pages_return(const struct receiver *r)
{
	struct ifq_stats stats;
	struct flow flow;
	unsigned int i;

	for (i = 0; i < 20; i++) {
		if (ifq_read_stats(&r->ifq, &stats) &&
		    stats.lent_now <= NIC_RX_RING)
			return true;
		if (!flow_connect(&flow, nic.remote_v4, 1, 1))
			flow_close(&flow);
		proc_sleep_ms(100);
	}

	return false;
}

TEST_F_TIMEOUT(dry, ten_seconds, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	const __u64 lost = packets_lost();
	long long closed = tcp_counter("TCPToZeroWindowAdv");
	struct ifq_stats stats;

	ASSERT_LE(0, closed);
	connect_flows(_metadata, r, 2, self->flow_size);
	ASSERT_TRUE(receiver_keep(r, LONG_MS)) TH_LOG("%s", r->why);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_LT(0, stats.lent_pages);
	EXPECT_LT(0, stats.state_changes);
	EXPECT_LT(0, r->nr_events[ZCRX_EVENT_STATE_COPY]);
	/* It had all that there was, and TCP waited for the rest. */
	EXPECT_GT(self->area_size, r->bytes);
	EXPECT_EQ(0, r->nr_eof);
	EXPECT_TRUE(stats.copying);
	closed = tcp_counter("TCPToZeroWindowAdv") - closed;
	EXPECT_LT(0, closed);
	EXPECT_GE(most_lent_pages(r), stats.lent_now);
	TH_LOG("%llu bytes before that, %llu pages lent, %llu of them still (%llu may be); %lld times a window closed",
	       r->bytes, stats.lent_pages, stats.lent_now, most_lent_pages(r),
	       closed);

	ASSERT_TRUE(receiver_release(r)) TH_LOG("%s", r->why);
	finish_flows(_metadata, r);
	EXPECT_EQ(2 * (self->flow_size + PATTERN_DIGEST_SIZE), r->bytes);
	EXPECT_TRUE(lent_pages_return(r));
	/* On a machine that is busy the NIC runs out of descriptors, too. */
	TH_LOG("%llu packets lost, or behind lost ones", packets_lost() - lost);
}

/* The NIC alone could take all of it eight times. */
TEST_F_TIMEOUT(dry, small_area, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;

	nic_set_rx_ring(4096);
	self->drops = nic_drops();
	r->args.areas[0].len = self->area_size / 4;
	r->hold = 64;
	connect_flows(_metadata, r, 4, nic.bytes / 8);
	ASSERT_TRUE(receiver_keep(r, SHORT_MS)) TH_LOG("%s", r->why);
	EXPECT_TRUE(is_copying(r));
	ASSERT_TRUE(receiver_release(r)) TH_LOG("%s", r->why);
	finish_flows(_metadata, r);

	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_LT(0, stats.lent_pages);
	EXPECT_LT(0, stats.copied_page);
}

/* Back in place without being told to, as often as need be */
TEST_F_TIMEOUT(dry, resumes, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	unsigned int i;

	r->rcvbuf = SMALL_BUFFER;
	r->hold = 64;
	connect_flows(_metadata, r, 1, FLOW_ENDLESS);
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(receiver_run_to_copy(r, self->area_size))
			TH_LOG("%s", r->why);
		ASSERT_TRUE(receiver_release(r)) TH_LOG("%s", r->why);
		ASSERT_TRUE(receiver_run_in_place(r, 2 << 20,
						  2 * self->area_size))
			TH_LOG("%s", r->why);
	}
	/* A request that paused had to be told to go on, and that tells both. */
	if (variant->mode != RECV_RBUF)
		EXPECT_EQ(0, r->nr_kicks);
	EXPECT_EQ(1, r->nr_events[ZCRX_EVENT_STATE_COPY]);
	EXPECT_EQ(1, r->nr_events[ZCRX_EVENT_STATE_ON]);
}

/* With that flag it has to be told, whatever has been given back. */
TEST_F_TIMEOUT(dry, manual_resume, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;
	unsigned int i;
	__u64 zc_bytes;

	if (variant->mode == RECV_RBUF)
		SKIP(return, "for requests that end: one that pauses has to be told itself");
	r->rcvbuf = SMALL_BUFFER;
	r->hold = 64;
	ifq_args_add_flags(&r->args, ZCRX_REG_MANUAL_RESUME);
	connect_flows(_metadata, r, 1, FLOW_ENDLESS);
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(receiver_run_to_copy(r, self->area_size))
			TH_LOG("%s", r->why);
		ASSERT_TRUE(receiver_release(r)) TH_LOG("%s", r->why);
		EXPECT_EQ(0, ifq_flush(&r->ifq));

		/* What the NIC had, and then nothing in place any more */
		ASSERT_TRUE(receiver_run(r, r->bytes + self->area_size))
			TH_LOG("%s", r->why);
		ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
		zc_bytes = stats.zc_bytes;
		ASSERT_TRUE(receiver_run(r, r->bytes + (2 << 20)))
			TH_LOG("%s", r->why);
		ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
		EXPECT_EQ(zc_bytes, stats.zc_bytes);
		EXPECT_TRUE(stats.copying);
		EXPECT_LT(NR_CHUNKS / 2, stats.free);
		EXPECT_EQ(2 * i + 1, stats.state_changes);

		ASSERT_EQ(0, ifq_kick(&r->ifq));
		EXPECT_FALSE(is_copying(r));
		ASSERT_TRUE(receiver_run_in_place(r, 2 << 20,
						  2 * self->area_size))
			TH_LOG("%s", r->why);
	}
	EXPECT_EQ(1, r->nr_events[ZCRX_EVENT_STATE_COPY]);
	EXPECT_EQ(1, r->nr_events[ZCRX_EVENT_STATE_ON]);
}

/* Bytes of all flows, received or not; 0 if one has nothing to receive */
static __u64 bytes_arrived(const struct receiver *r)
{
	__u64 sum = r->bytes;
	unsigned int i;
	int waiting;

	for (i = 0; i < r->nr_flows; i++) {
		if (ioctl(r->flows[i].fd, FIONREAD, &waiting) || !waiting)
			return 0;
		sum += waiting;
	}

	return sum;
}

/*
 * None gets on, though all have something to receive, nor does anything arrive: a
 * request that has paused looks again then, and chunks are all that it wants.
 */
static bool all_pause(struct __test_metadata *_metadata, struct receiver *r)
{
	__u64 arrived = bytes_arrived(r), bytes = r->bytes;

	EXPECT_TRUE(receiver_keep(r, SHORT_MS)) TH_LOG("%s", r->why);

	return arrived && bytes_arrived(r) == arrived && r->bytes == bytes;
}

/* Requests that have paused, and chunks to go on with: nothing goes on. */
TEST_F_TIMEOUT(dry, manual_resume_of_request, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	unsigned int i = 0;
	__u64 bytes;

	if (variant->mode != RECV_RBUF)
		SKIP(return, "for requests that pause");
	ifq_args_add_flags(&r->args, ZCRX_REG_MANUAL_RESUME);
	connect_flows(_metadata, r, 2, self->flow_size);
	while (!all_pause(_metadata, r))
		ASSERT_GT(20, ++i);
	EXPECT_TRUE(ifq_needs_kick(&r->ifq));
	EXPECT_TRUE(is_copying(r));

	bytes = r->bytes;
	r->keep = false;
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
	EXPECT_EQ(0, ifq_flush(&r->ifq));
	ASSERT_TRUE(receiver_keep(r, SHORT_MS)) TH_LOG("%s", r->why);
	EXPECT_EQ(bytes, r->bytes);
	EXPECT_TRUE(is_copying(r));

	ASSERT_TRUE(receiver_release(r)) TH_LOG("%s", r->why);
	finish_flows(_metadata, r);
}

/*
 * Rings
 */

/* Nobody looks at the rbuf ring for seconds, or at the 32-byte completions. */
TEST_F_TIMEOUT(dry, completions_unread, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;

	r->cq_entries = 64;
	r->args.ext.rbuf_entries = variant->mode == RECV_CQE32 ? 0 : 64;
	connect_flows(_metadata, r, 2, nic.bytes / 8);
	uring_enter(&r->ring, 1, SHORT_MS);
	proc_sleep_ms(SHORT_MS);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_GE(64ULL * nic.chunk, stats.zc_bytes + ifq_stats_copied(&stats));
	if (variant->mode == RECV_RBUF) {
		EXPECT_LT(0, stats.pauses);
		EXPECT_EQ(r->ifq.hdr->pauses, stats.pauses);
		EXPECT_TRUE(ifq_needs_kick(&r->ifq));
	}

	finish_flows(_metadata, r);
	if (variant->mode == RECV_CQE32) {
		EXPECT_LT(0, r->nr_ended_early);
		EXPECT_EQ(-ENOSPC, r->early_res);
	} else if (variant->mode == RECV_RBUF) {
		EXPECT_EQ(0, r->nr_ended_early);
		EXPECT_LT(0, r->nr_kicks);
	}
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(r->nr_ended_early, stats.ends);
}

/*
 * The completion queue is full of something else: wake-ups find no room, what
 * was received is in the rbuf ring all the same.
 */
TEST_F_TIMEOUT(dry, completion_queue_full, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct io_uring_sqe *sqe;
	unsigned int i;

	if (variant->mode != RECV_RBUF)
		SKIP(return, "for wake-ups of the rbuf ring");
	r->cq_entries = 64;
	connect_flows(_metadata, r, 2, nic.bytes / 8);
	for (i = 0; i < 100; i++) {
		sqe = uring_sqe(&r->ring);
		sqe->opcode = IORING_OP_NOP;
		sqe->user_data = RECEIVER_NOT_MINE;
	}
	r->leave_cqes = true;
	ASSERT_TRUE(receiver_run(r, nic.bytes / 8)) TH_LOG("%s", r->why);
	EXPECT_NE(0, *r->ring.sq_flags & IORING_SQ_CQ_OVERFLOW);
	r->leave_cqes = false;
	finish_flows(_metadata, r);
}

/* There is no room to give back, until the kernel makes some. */
TEST_F_TIMEOUT(dry, refill_ring_full, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;

	r->args.reg.rq_entries = 64;
	connect_flows(_metadata, r, 2, 12 << 20);
	ASSERT_TRUE(receiver_keep(r, SHORT_MS)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_release(r)) TH_LOG("%s", r->why);
	EXPECT_TRUE(r->refill_full);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);

	/* And all of it was right, and taken. */
	do {
		ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
		ASSERT_EQ(0, ifq_flush(&r->ifq));
	} while (r->nr_held);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(0, stats.held);
	EXPECT_EQ(0, stats.invalid_refills);
}

/*
 * Queues
 */

#define MAX_QUEUES	4
#define FLOWS_EACH	2
#define ROUND_BYTES	(256 << 10)

static bool steer_to_all(unsigned int nr)
{
	return nic_run("ethtool -X %s equal %u", nic.name, nr);
}

/* What tells through which queue the last packet came; 0 if nothing does */
static int incoming_id(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	socklen_t len = sizeof(int);
	int id = 0;

	if (poll(&pfd, 1, 10000) != 1)
		return 0;
	getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &len);

	return id;
}

/* With all steered to one queue, it is that. */
static int id_of_queue(unsigned int rxq)
{
	struct flow flow;
	int id;

	if (!nic_steer(rxq) ||
	    flow_connect(&flow, nic.remote_v4, 1, WRITE_SIZE))
		return 0;
	id = incoming_id(flow.fd);
	flow_close(&flow);

	return id;
}

/* Connects until each receiver has flows that come through its own queue. */
static bool connect_to_queues(struct receiver *rs, const int *ids,
			      unsigned int nr, __u64 bytes)
{
	unsigned int tries, left = nr * FLOWS_EACH, i;
	const int size = SMALL_BUFFER;
	struct flow flow;
	int id;

	for (tries = 0; left && tries < 100; tries++) {
		if (flow_connect(&flow, nic.remote_v4, bytes, WRITE_SIZE))
			return false;
		id = incoming_id(flow.fd);
		for (i = 0; i < nr; i++)
			if (ids[i] == id && rs[i].nr_flows < FLOWS_EACH)
				break;
		if (i < nr) {
			setsockopt(flow.fd, SOL_SOCKET, SO_RCVBUF, &size,
				   sizeof(size));
			receiver_add_flow(&rs[i], &flow);
			left--;
		} else {
			flow_close(&flow);
		}
	}

	return !left;
}

/* All receivers by turns, until they have so many bytes each */
static bool run_all(struct receiver *rs, unsigned int nr, __u64 bytes)
{
	bool more = true;
	unsigned int i;
	__u64 goal;

	while (more) {
		more = false;
		for (i = 0; i < nr; i++) {
			if (rs[i].bytes >= bytes)
				continue;
			goal = rs[i].bytes + ROUND_BYTES;
			if (!receiver_run(&rs[i], goal < bytes ? goal : bytes)) {
				ksft_print_msg("queue %u: %s\n", i, rs[i].why);
				return false;
			}
			more = true;
		}
	}

	return true;
}

/*
 * One ifq a queue, with flows of its own; then they move to other queues, again
 * and again. A chunk of another ifq is not ours: copied.
 */
TEST_F_TIMEOUT(dry, queues, TIMEOUT_S)
{
	const unsigned int nr = nic.nr_rxqs < MAX_QUEUES ? nic.nr_rxqs :
							   MAX_QUEUES;
	static struct receiver rs[MAX_QUEUES];
	const __u64 bytes = 16 << 20;
	struct ifq_stats stats;
	int ids[MAX_QUEUES];
	unsigned int i;

	if (nr < 2)
		SKIP(return, "needs two receive queues");
	for (i = 0; i < nr; i++) {
		ids[i] = id_of_queue(i);
		ASSERT_LT(0, ids[i]);
	}
	for (i = 0; i < nr; i++) {
		receiver_prepare(&rs[i], variant->mode, AREA_SIZE);
		rs[i].args.reg.if_rxq = i;
		/* What is still to come must not be there already. */
		if (variant->mode != RECV_CQE32)
			rs[i].args.ext.rbuf_entries = 256 * NIC_PAGE /
						      nic.chunk;
		ASSERT_EQ(0, receiver_register(&rs[i]));
	}
	ASSERT_TRUE(steer_to_all(nr));
	ASSERT_TRUE(connect_to_queues(rs, ids, nr, bytes / FLOWS_EACH));

	/* Each in its own queue: nothing is anybody else's. */
	ASSERT_TRUE(run_all(rs, nr, bytes / 4));
	for (i = 0; i < nr; i++) {
		ASSERT_TRUE(ifq_read_stats(&rs[i].ifq, &stats));
		EXPECT_EQ(0, stats.copied_foreign);
		EXPECT_LT(bytes / 8, stats.zc_bytes);
	}

	for (i = 0; i <= 2 * nr; i++) {
		ASSERT_TRUE(i % 3 == 2 ? steer_to_all(nr) : nic_steer(i % nr));
		ASSERT_TRUE(run_all(rs, nr, bytes / 4 +
				    (i + 1) * bytes / (4 * nr + 4)));
	}
	for (i = 0; i < nr; i++) {
		ASSERT_TRUE(receiver_run(&rs[i], 0)) TH_LOG("%s", rs[i].why);
		ASSERT_TRUE(receiver_finish(&rs[i])) TH_LOG("%s", rs[i].why);
		ASSERT_TRUE(receiver_check_counters(&rs[i]))
			TH_LOG("%s", rs[i].why);
		ASSERT_TRUE(ifq_read_stats(&rs[i].ifq, &stats));
		TH_LOG("queue %u: %llu bytes in place, %llu of other ifqs, %llu of pages, %llu others",
		       i, stats.zc_bytes, stats.copied_foreign,
		       stats.copied_page, stats.copied_linear);
		EXPECT_LT(0, stats.copied_foreign);
		receiver_close(&rs[i]);
	}
}

ZCRX_TEST_MAIN
