// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Requests, rings and areas of all kinds: however little room there is, and
 * however a request ends, no byte is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "loopback.h"
#include "neighbour.h"
#include "nic.h"
#include "probe.h"
#include "proc.h"
#include "receiver.h"

#define AREA_SIZE	(8 << 20)
#define NR_CHUNKS	(AREA_SIZE / NIC_PAGE)
#define WRITE_SIZE	(64 << 10)
#define TIMEOUT_S	120

FIXTURE(rings)
{
	struct receiver r;
	__u64 bytes;
	struct neighbour neighbour;
};

FIXTURE_VARIANT(rings)
{
	enum receiver_mode mode;
};

FIXTURE_VARIANT_ADD(rings, rbuf) { .mode = RECV_RBUF };
FIXTURE_VARIANT_ADD(rings, oneshot) { .mode = RECV_RBUF_ONESHOT };
FIXTURE_VARIANT_ADD(rings, cqe32) { .mode = RECV_CQE32 };

FIXTURE_SETUP(rings)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	receiver_prepare(&self->r, variant->mode, AREA_SIZE);
	self->bytes = nic.bytes / 8;
}

FIXTURE_TEARDOWN(rings)
{
	neighbour_end(&self->neighbour);
	nic_steer(nic.rxq);
}

static void connect_flows(struct __test_metadata *_metadata,
			  FIXTURE_DATA(rings) *self, unsigned int nr_flows)
{
	struct receiver *r = &self->r;

	ASSERT_EQ(0, receiver_register(r));
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, nr_flows,
				     self->bytes / nr_flows, WRITE_SIZE))
		TH_LOG("%s", r->why);
}

static void finish_flows(struct __test_metadata *_metadata,
			 FIXTURE_DATA(rings) *self)
{
	struct receiver *r = &self->r;

	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
}

/* Receives some flows to their ends. */
static void receive_all(struct __test_metadata *_metadata,
			FIXTURE_DATA(rings) *self, unsigned int nr_flows)
{
	connect_flows(_metadata, self, nr_flows);
	finish_flows(_metadata, self);
}

/* The kernel allocates the memory of the rings. */
TEST_F_TIMEOUT(rings, kernel_memory, TIMEOUT_S)
{
	struct ifq_args *args = &self->r.args;
	void *p;

	args->refill.user_addr = 0;
	args->refill.flags = 0;
	args->rbuf.user_addr = 0;
	args->rbuf.flags = 0;
	receive_all(_metadata, self, 2);

	/* Nothing is behind other offsets. */
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		 self->r.ring.fd, args->refill.mmap_offset + (1 << 16));
	EXPECT_EQ(MAP_FAILED, p);
}

/* The memory of one ring of an ifq is where its id says, and nowhere behind. */
static void check_mmap_offset(struct __test_metadata *_metadata,
			      const struct ifq *ifq,
			      const struct io_uring_region_desc *desc,
			      __u64 offset)
{
	offset += (__u64)ifq->id << IORING_OFF_ZCRX_SHIFT;
	EXPECT_EQ(offset, desc->mmap_offset);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, desc->size + 4096,
				   PROT_READ | PROT_WRITE, MAP_SHARED,
				   ifq->ring->fd, offset));
}

static void add_ifq(struct __test_metadata *_metadata, struct receiver *r,
		    const struct uring *ring)
{
	ifq_args_use_kernel_memory(&r->args);
	ASSERT_EQ(0, receiver_register_with(r, ring));
	check_mmap_offset(_metadata, &r->ifq, &r->args.refill,
			  IORING_MAP_OFF_ZCRX_REGION);
	if (r->ifq.has_rbuf)
		check_mmap_offset(_metadata, &r->ifq, &r->args.rbuf,
				  IORING_MAP_OFF_RBUF_REGION);
}

/*
 * One ring has an ifq without a NIC, and one for each of two queues. Each has
 * rings of its own, and receives what requests with its number ask for.
 */
TEST_F_TIMEOUT(rings, several_ifqs, TIMEOUT_S)
{
	const unsigned int rxqs[] = { nic.rxq, nic.rxq, nic.rxq ? 0 : 1 };
	static struct receiver rs[ARRAY_SIZE(rxqs)];
	struct ifq_stats stats;
	struct uring ring;
	unsigned int i;

	if (nic.nr_rxqs < 2)
		SKIP(return, "needs two receive queues");
	ASSERT_EQ(0, uring_init(&ring, self->r.ring_flags, RECEIVER_ENTRIES));
	for (i = 0; i < ARRAY_SIZE(rs); i++) {
		receiver_prepare(&rs[i], variant->mode, AREA_SIZE);
		rs[i].args.reg.if_rxq = rxqs[i];
		if (!i)
			ifq_args_set_nodev(&rs[i].args);
		add_ifq(_metadata, &rs[i], &ring);
		EXPECT_EQ(i, rs[i].ifq.id);
	}

	for (i = 0; i < ARRAY_SIZE(rs); i++) {
		ASSERT_TRUE(nic_steer(rxqs[i]));
		ASSERT_TRUE(receiver_connect(&rs[i], nic.remote_v4, 1,
					     self->bytes, WRITE_SIZE))
			TH_LOG("%s", rs[i].why);
		ASSERT_TRUE(receiver_run(&rs[i], 0)) TH_LOG("%s", rs[i].why);
		ASSERT_TRUE(receiver_finish(&rs[i])) TH_LOG("%s", rs[i].why);
	}

	for (i = 0; i < ARRAY_SIZE(rs); i++) {
		ASSERT_TRUE(receiver_check_counters(&rs[i]))
			TH_LOG("%s", rs[i].why);
		ASSERT_TRUE(ifq_read_stats(&rs[i].ifq, &stats));
		EXPECT_EQ(!i, !stats.zc_bytes);
		EXPECT_EQ(!i, !!stats.copied_foreign);
	}
}

static void set_area(struct ifq_args *args, unsigned int idx, size_t nr_chunks)
{
	size_t size = nr_chunks * nic.chunk;

	ifq_args_set_area(args, idx, receiver_mmap(size), size);
}

/*
 * The first area is so small that the NIC has all of it, and something of others,
 * before anything comes.
 */
TEST_F_TIMEOUT(rings, several_areas, TIMEOUT_S)
{
	struct ifq_args *args = &self->r.args;

	/* Changes nothing, but has an ext struct in all modes. */
	ifq_args_add_flags(args, ZCRX_REG_SOFT_SPLIT);
	args->areas[0].len = 16 * nic.chunk;
	set_area(args, 1, 1);
	set_area(args, 2, 2 * NR_CHUNKS);
	set_area(args, 3, 3);
	self->r.hold = NR_CHUNKS;
	receive_all(_metadata, self, 4);
	EXPECT_EQ(0, args->areas[0].rq_area_token);
	EXPECT_EQ(2ULL << IORING_ZCRX_AREA_SHIFT, args->areas[2].rq_area_token);
	EXPECT_LT(0, self->r.area_bytes[0]);
	EXPECT_LT(0, self->r.area_bytes[2]);
}

TEST_F_TIMEOUT(rings, huge_pages, TIMEOUT_S)
{
	void *area;

	if (nic.chunk > NIC_PAGE)
		SKIP(return, "for chunks of a page: all others are in huge pages");
	area = ifq_mmap_huge(AREA_SIZE);
	if (!area)
		SKIP(return, "can't get huge pages: CONFIG_HUGETLBFS?");
	ifq_args_set_area(&self->r.args, 0, area, AREA_SIZE);
	receive_all(_metadata, self, 2);
}

/* What is posted waits for room, or ends the request. */
TEST_F_TIMEOUT(rings, tiny_completion_ring, TIMEOUT_S)
{
	const int size = 4 << 20;
	struct ifq_stats stats;
	unsigned int i;

	self->r.cq_entries = 64;
	self->r.args.ext.rbuf_entries = variant->mode == RECV_CQE32 ? 0 : 4;
	connect_flows(_metadata, self, 4);
	/* Until there is more in the sockets than room in the ring */
	for (i = 0; i < self->r.nr_flows; i++)
		ASSERT_EQ(0, setsockopt(self->r.flows[i].fd, SOL_SOCKET,
					SO_RCVBUFFORCE, &size, sizeof(size)));
	usleep(500 * 1000);
	finish_flows(_metadata, self);
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &stats));
	if (variant->mode == RECV_CQE32) {
		EXPECT_LT(0, self->r.nr_ended_early);
	} else if (variant->mode == RECV_RBUF) {
		EXPECT_LT(0, stats.pauses);
	}
	EXPECT_EQ(self->r.nr_ended_early, stats.ends);
}

TEST_F_TIMEOUT(rings, tiny_refill_ring, TIMEOUT_S)
{
	self->r.args.reg.rq_entries = 2;
	receive_all(_metadata, self, 2);
}

/* The NIC alone wants more chunks than there are. */
TEST_F_TIMEOUT(rings, tiny_area, TIMEOUT_S)
{
	struct ifq_stats stats;

	self->r.args.areas[0].len = 64 * nic.chunk;
	self->r.hold = 16;
	receive_all(_metadata, self, 4);
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &stats));
	EXPECT_LT(0, stats.lent_pages);
	EXPECT_LT(0, stats.copied_page);
}

TEST_F_TIMEOUT(rings, one_chunk, TIMEOUT_S)
{
	self->r.args.areas[0].len = nic.chunk;
	self->r.hold = 1;
	self->bytes = 1 << 20;
	receive_all(_metadata, self, 1);
}

TEST_F_TIMEOUT(rings, poll_first, TIMEOUT_S)
{
	self->r.ioprio = IORING_RECVSEND_POLL_FIRST;
	receive_all(_metadata, self, 2);
}

TEST_F_TIMEOUT(rings, async, TIMEOUT_S)
{
	self->r.sqe_flags = IOSQE_ASYNC;
	receive_all(_metadata, self, 2);
}

TEST_F_TIMEOUT(rings, fixed_files, TIMEOUT_S)
{
	const struct flow *flows = self->r.flows;
	int fds[2];

	self->r.sqe_flags = IOSQE_FIXED_FILE;
	connect_flows(_metadata, self, 2);
	fds[0] = flows[0].fd;
	fds[1] = flows[1].fd;
	ASSERT_EQ(0, uring_register(&self->r.ring, IORING_REGISTER_FILES, fds,
				    2));
	finish_flows(_metadata, self);
}

/* Each piece twice, to a NIC that wants chunks: half of it is counted as invalid. */
TEST_F_TIMEOUT(rings, give_back_twice, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;
	unsigned int nr;

	ASSERT_EQ(0, receiver_register(r));
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, 1 << 20, WRITE_SIZE))
		TH_LOG("%s", r->why);
	r->hold = ~0U;
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	nr = r->nr_held;
	ASSERT_TRUE(receiver_give_back_all(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(0, stats.invalid_refills);
	EXPECT_EQ(0, stats.held);
	ASSERT_TRUE(receiver_give_back_all(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(nr, stats.invalid_refills);
	EXPECT_EQ(0, stats.held);

	/* Nothing is in two places now. */
	r->nr_held = 0;
	receiver_disconnect(r);
	r->hold = 64;
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 4, self->bytes / 4,
				     WRITE_SIZE)) TH_LOG("%s", r->why);
	finish_flows(_metadata, self);
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(nr, stats.invalid_refills);
}

/*
 * Who polls the rbuf ring needs neither completions nor system calls: only the
 * end of the request is posted. All fits into area and ring, so that nothing
 * pauses, however slow we are.
 */
static void poll_rbuf(struct __test_metadata *_metadata, __u32 ring_flags)
{
	static struct receiver r;

	receiver_prepare(&r, RECV_RBUF, 2 * AREA_SIZE);
	r.ring_flags = ring_flags;
	r.hold = 64;
	ASSERT_EQ(0, receiver_register(&r));
	ASSERT_TRUE(receiver_connect(&r, nic.remote_v4, 1, 2 << 20, WRITE_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_poll(&r)) TH_LOG("%s", r.why);
	EXPECT_EQ(0, r.ifq.hdr->uflags);
	EXPECT_EQ(0, r.nr_kicks);
	EXPECT_EQ(1, *r.ring.cq_tail);
	ASSERT_TRUE(receiver_check_counters(&r)) TH_LOG("%s", r.why);
	receiver_close(&r);

	/* And who wants to be woken is. */
	receiver_prepare(&r, RECV_RBUF, 2 * AREA_SIZE);
	r.ring_flags = ring_flags;
	ASSERT_EQ(0, receiver_register(&r));
	ASSERT_TRUE(receiver_connect(&r, nic.remote_v4, 1, 2 << 20, WRITE_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_run(&r, 0)) TH_LOG("%s", r.why);
	EXPECT_LT(1, *r.ring.cq_tail);
	receiver_close(&r);
}

TEST_F_TIMEOUT(rings, polls, TIMEOUT_S)
{
	if (variant->mode != RECV_RBUF)
		SKIP(return, "for the rbuf ring");
	/* The SQPOLL thread receives, or whoever interrupts us. */
	poll_rbuf(_metadata, IORING_SETUP_SQPOLL);
	poll_rbuf(_metadata, 0);
}

/* Waits for one completion; returns its result. */
static int wait_cqe(struct uring *ring, __u64 user_data)
{
	struct io_uring_cqe cqe;
	__u64 extra[2];

	for (;;) {
		while (uring_pop(ring, &cqe, extra))
			if (cqe.user_data == user_data &&
			    !(cqe.flags & IORING_CQE_F_MORE))
				return cqe.res;
		if (uring_enter(ring, 1, 10000))
			return -ETIME;
	}
}

/* A request for so many bytes takes no more from the socket. */
TEST_F_TIMEOUT(rings, len, TIMEOUT_S)
{
	const __u32 len = 100001;
	struct receiver *r = &self->r;
	struct ifq_stats stats;
	static char buf[1 << 16];
	struct io_uring_sqe *sqe;
	struct flow flow;
	ssize_t n;
	int res;

	ASSERT_EQ(0, receiver_register(r));
	ASSERT_EQ(0, flow_connect(&flow, nic.remote_v4, 1 << 20, WRITE_SIZE));
	sqe = uring_sqe(&r->ring);
	sqe->opcode = OP_RECV_ZC;
	sqe->fd = flow.fd;
	sqe->user_data = 7;
	sqe->len = len;
	if (variant->mode != RECV_RBUF_ONESHOT)
		sqe->ioprio = IORING_RECV_MULTISHOT;
	res = wait_cqe(&r->ring, 7);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	flow.got = stats.zc_bytes + stats.copied_linear + stats.copied_page +
		   stats.copied_foreign;
	if (variant->mode == RECV_RBUF_ONESHOT) {
		EXPECT_EQ((int)flow.got, res);
		EXPECT_LT(0, res);
		EXPECT_GE(len, flow.got);
	} else {
		EXPECT_EQ(0, res);
		EXPECT_EQ(len, flow.got);
	}

	/* The rest is still there, from exactly that byte on. */
	while ((n = recv(flow.fd, buf, sizeof(buf), 0)) > 0) {
		ASSERT_TRUE(flow_check(&flow, buf, n, flow.got));
		flow.got += n;
	}
	EXPECT_EQ(flow.bytes + PATTERN_DIGEST_SIZE, flow.got);
	flow_close(&flow);
}

/* A request that is cancelled takes nothing with it. */
TEST_F_TIMEOUT(rings, cancel, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct io_uring_sqe *sqe;
	unsigned int i;

	ASSERT_EQ(0, receiver_register(r));
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, self->bytes,
				     WRITE_SIZE)) TH_LOG("%s", r->why);
	for (i = 1; i < 8; i++) {
		ASSERT_TRUE(receiver_run(r, i * self->bytes / 16))
			TH_LOG("%s", r->why);
		r->cancelled = true;
		sqe = uring_sqe(&r->ring);
		sqe->opcode = IORING_OP_ASYNC_CANCEL;
		sqe->addr = 0;
		sqe->user_data = RECEIVER_NOT_MINE;
	}
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
}

/* So much fits into a socket that nobody reads. */
#define SMALL_FLOW	(24 << 10)
#define PATIENCE_MS	20000

/* Ours to receive, once the socket is in the state that is asked for: or at once */
static void add_special_flow(struct __test_metadata *_metadata,
			     struct receiver *r, const struct flow *flow,
			     short state)
{
	struct pollfd pfd = { .fd = flow->fd, .events = state };

	if (state) {
		ASSERT_EQ(1, poll(&pfd, 1, PATIENCE_MS));
		ASSERT_TRUE(pfd.revents & state);
	}
	receiver_add_flow(r, flow);
}

/*
 * A byte is urgent: recv(MSG_OOB) has it, and RECV_ZC passes it over, as recv()
 * does, whether it is there before or comes while we receive.
 */
TEST_F_TIMEOUT(rings, urgent, TIMEOUT_S)
{
	static const char *const specials[] = {
		"urgent 0", "urgent 1", "urgent 12345", "urgent 24575",
	};
	struct receiver *r = &self->r;
	struct flow flow;
	unsigned int i;
	char byte;

	ASSERT_EQ(0, receiver_register(r));
	for (i = 0; i < ARRAY_SIZE(specials); i++) {
		ASSERT_EQ(0, flow_connect_special(&flow, nic.remote_v4,
						  SMALL_FLOW, WRITE_SIZE,
						  specials[i]));
		add_special_flow(_metadata, r, &flow, POLLPRI);
		EXPECT_EQ(1, recv(flow.fd, &byte, 1, MSG_OOB));
		EXPECT_EQ(PATTERN_URGENT, byte);
		ASSERT_TRUE(receiver_run(r, 0))
			TH_LOG("%s: %s", specials[i], r->why);
		EXPECT_EQ(-1, recv(flow.fd, &byte, 1, MSG_OOB));
		EXPECT_EQ(EINVAL, errno);

		ASSERT_EQ(0, flow_connect_special(&flow, nic.remote_v4, 1 << 20,
						  WRITE_SIZE, specials[i]));
		add_special_flow(_metadata, r, &flow, 0);
		ASSERT_TRUE(receiver_run(r, 0))
			TH_LOG("%s: %s", specials[i], r->why);
	}
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
}

/* With SO_OOBINLINE it is a byte like any other. */
TEST_F_TIMEOUT(rings, urgent_inline, TIMEOUT_S)
{
	static const char *const specials[] = {
		"inline 0", "inline 1", "inline 12345", "inline 24575",
	};
	struct receiver *r = &self->r;
	const int on = 1;
	struct flow flow;
	unsigned int i;

	ASSERT_EQ(0, receiver_register(r));
	for (i = 0; i < 2 * ARRAY_SIZE(specials); i++) {
		const char *special = specials[i / 2];
		bool waits = i % 2;

		ASSERT_EQ(0, flow_connect_special(&flow, nic.remote_v4, waits ?
						  SMALL_FLOW : 1 << 20,
						  WRITE_SIZE, special));
		ASSERT_EQ(0, setsockopt(flow.fd, SOL_SOCKET, SO_OOBINLINE, &on,
					sizeof(on)));
		add_special_flow(_metadata, r, &flow, waits ? POLLPRI : 0);
		ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s: %s", special, r->why);
	}
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
}

/*
 * The peer resets the connection: all that it had sent before comes, then the
 * error, once, and then nothing, as by recv().
 */
TEST_F_TIMEOUT(rings, reset, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct flow flow;
	unsigned int i;
	char byte;

	r->end_res = -ECONNRESET;
	ASSERT_EQ(0, receiver_register(r));
	for (i = 0; i < 4; i++) {
		bool waits = i % 2;

		ASSERT_EQ(0, flow_connect_special(&flow, nic.remote_v4, waits ?
						  SMALL_FLOW : 1 << 20,
						  WRITE_SIZE, "reset"));
		add_special_flow(_metadata, r, &flow, waits ? POLLHUP : 0);
		ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
		EXPECT_EQ(0, recv(flow.fd, &byte, 1, 0));
	}
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
}

/*
 * What other people do to the socket, or to its options: connections that end
 * here are within this machine, so that it is known what comes when.
 */

/* So long nothing comes */
#define IDLE_MS		300

/* For a request to be waiting */
#define SETTLE_MS	20

#define LOW_WATER	10000

/* Requests that have ended are made again, and wait. */
static void settle(struct __test_metadata *_metadata, struct receiver *r,
		   unsigned int ms)
{
	ASSERT_TRUE(receiver_keep(r, ms)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_release(r)) TH_LOG("%s", r->why);
}

/* A flow from ourselves, and a request that waits for it; returns its other end. */
static int wait_for_ourselves(struct __test_metadata *_metadata,
			      struct receiver *r, __u64 bytes)
{
	struct flow flow;
	int tx;

	tx = loopback_flow(&flow, bytes);
	ASSERT_LE(0, tx);
	receiver_add_flow(r, &flow);
	settle(_metadata, r, SETTLE_MS);

	return tx;
}

static bool set_low_water(const struct flow *flow, int bytes)
{
	return !setsockopt(flow->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes,
			   sizeof(bytes));
}

/*
 * SO_RCVLOWAT: a request that waits sleeps on while there is less, as poll() does.
 * Then it takes all there is, and in the end what is left.
 */
TEST_F_TIMEOUT(rings, low_water, TIMEOUT_S)
{
	const struct flow *flow = &self->r.flows[0];
	struct receiver *r = &self->r;
	__u64 off = 0;
	int tx, i;

	ASSERT_EQ(0, receiver_register(r));
	tx = wait_for_ourselves(_metadata, r, 3 * LOW_WATER - 1);
	ASSERT_TRUE(set_low_water(flow, LOW_WATER));
	for (i = 0; i < 2; i++, off += LOW_WATER) {
		ASSERT_TRUE(loopback_send(flow, tx, off, LOW_WATER - 1));
		settle(_metadata, r, IDLE_MS);
		EXPECT_EQ(off, r->bytes);
		ASSERT_TRUE(loopback_send(flow, tx, off + LOW_WATER - 1, 1));
		ASSERT_TRUE(receiver_run(r, off + LOW_WATER))
			TH_LOG("%s", r->why);
		settle(_metadata, r, SETTLE_MS);
	}
	ASSERT_TRUE(loopback_send(flow, tx, off, LOW_WATER - 1));
	ASSERT_TRUE(loopback_finish(flow, tx));
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	close(tx);
}

/* More than the socket had room for, of a flow that lies in chunks */
TEST_F_TIMEOUT(rings, low_water_in_place, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;
	struct flow flow;

	ASSERT_EQ(0, receiver_register(r));
	ASSERT_EQ(0, flow_begin(&flow, nic.remote_v4));
	ASSERT_TRUE(set_low_water(&flow, 300001));
	ASSERT_EQ(0, flow_ask(&flow, self->bytes, WRITE_SIZE));
	receiver_add_flow(r, &flow);
	finish_flows(_metadata, self);
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_LT(0, stats.zc_bytes);
}

/* Each time that a request looks, it comes by here. */
#define RECV_FUNCTION	"io_recvzc"

/* One that does not sleep does so thousands of times. */
#define FEW_LOOKS	50

/* Never returns: a peer that lets us wait */
static void send_late(const struct flow *flow, int tx)
{
	proc_sleep_ms(IDLE_MS);
	_exit(loopback_send(flow, tx, 0, flow->bytes) &&
	      loopback_finish(flow, tx) ? 0 : 1);
}

/* Stamps of what we send go to the socket's error queue, what comes has some, too. */
static bool ask_for_stamps(int fd)
{
	const int stamps = SOF_TIMESTAMPING_RX_SOFTWARE |
			   SOF_TIMESTAMPING_TX_SOFTWARE |
			   SOF_TIMESTAMPING_SOFTWARE;

	return !setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps,
			   sizeof(stamps));
}

static bool has_stamp(int fd)
{
	struct pollfd pfd = { .fd = fd };

	return poll(&pfd, 1, PATIENCE_MS) == 1 && pfd.revents & POLLERR;
}

/* The first one of the error queue */
static bool take_stamp(int fd)
{
	char control[512];
	struct msghdr msg = {
		.msg_control	= control,
		.msg_controllen	= sizeof(control),
	};

	return !recvmsg(fd, &msg, MSG_ERRQUEUE) && msg.msg_controllen;
}

/*
 * SO_TIMESTAMPING: the stamps of bytes that we send wait in the error queue, and
 * poll() says so for ever. A request leaves them there and sleeps as long as there
 * is nothing else.
 */
TEST_F_TIMEOUT(rings, error_queue, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct flow flow;
	int tx, status;
	pid_t pid;

	ASSERT_EQ(0, receiver_register(r));
	tx = loopback_flow(&flow, SMALL_FLOW);
	ASSERT_LE(0, tx);
	ASSERT_TRUE(ask_for_stamps(flow.fd));
	ASSERT_EQ(1, send(flow.fd, "", 1, 0));
	ASSERT_TRUE(has_stamp(flow.fd));
	receiver_add_flow(r, &flow);

	if (!probe_start(RECV_FUNCTION)) {
		probe_stop();
		SKIP(return, "can't count calls of " RECV_FUNCTION ": no CONFIG_KPROBE_EVENTS?");
	}
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		send_late(&flow, tx);
	EXPECT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	EXPECT_GE(FEW_LOOKS, probe_hits());
	probe_stop();
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(take_stamp(r->flows[0].fd));

	ASSERT_EQ(0, flow_begin(&flow, nic.remote_v4));
	ASSERT_TRUE(ask_for_stamps(flow.fd));
	ASSERT_EQ(0, flow_ask(&flow, 1 << 20, WRITE_SIZE));
	receiver_add_flow(r, &flow);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	EXPECT_TRUE(take_stamp(r->flows[1].fd));
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	close(tx);
}

/* The peer has nothing more to send, but still receives. */
TEST_F_TIMEOUT(rings, half_closed_by_peer, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	char byte = 0;
	int tx;

	ASSERT_EQ(0, receiver_register(r));
	tx = wait_for_ourselves(_metadata, r, SMALL_FLOW);
	ASSERT_TRUE(loopback_send(&r->flows[0], tx, 0, SMALL_FLOW));
	ASSERT_TRUE(loopback_finish(&r->flows[0], tx));
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);

	ASSERT_EQ(1, send(r->flows[0].fd, "!", 1, 0));
	EXPECT_EQ(1, recv(tx, &byte, 1, 0));
	EXPECT_EQ('!', byte);
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	close(tx);
}

/*
 * We have nothing more to send: all comes, also if the connection has ended
 * meanwhile, with everything still in the socket.
 */
TEST_F_TIMEOUT(rings, half_closed_by_us, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct flow flow;
	unsigned int i;

	ASSERT_EQ(0, receiver_register(r));
	for (i = 0; i < 4; i++) {
		bool waits = i % 2;

		ASSERT_EQ(0, flow_connect(&flow, nic.remote_v4, waits ?
					  SMALL_FLOW : 1 << 20, WRITE_SIZE));
		ASSERT_EQ(0, shutdown(flow.fd, SHUT_WR));
		add_special_flow(_metadata, r, &flow, waits ? POLLHUP : 0);
		ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	}
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
}

/* We want nothing more: a request that waits has come to the end. */
TEST_F_TIMEOUT(rings, shut_down_by_us, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	int tx;

	ASSERT_EQ(0, receiver_register(r));
	tx = wait_for_ourselves(_metadata, r, SMALL_FLOW);
	ASSERT_EQ(0, shutdown(r->flows[0].fd, SHUT_RD));
	EXPECT_EQ(0, wait_cqe(&r->ring, 0));
	EXPECT_EQ(1, send(r->flows[0].fd, "!", 1, 0));
	close(tx);
}

static struct io_uring_sqe *recv_request(struct receiver *r, int fd, __u8 flags)
{
	struct io_uring_sqe *sqe = uring_sqe(&r->ring);

	sqe->opcode = OP_RECV_ZC;
	sqe->fd = fd;
	sqe->splice_fd_in = r->ifq.id;
	sqe->flags = flags;
	if (r->mode != RECV_RBUF_ONESHOT)
		sqe->ioprio = IORING_RECV_MULTISHOT;

	return sqe;
}

/* The results of a request and of its timeout, in whatever order they come */
static void wait_linked(struct __test_metadata *_metadata, struct uring *ring,
			__s32 res[2])
{
	struct io_uring_cqe cqe;
	unsigned int nr = 0;
	__u64 extra[2];

	while (nr < 2) {
		ASSERT_EQ(0, uring_enter(ring, 1, PATIENCE_MS));
		while (uring_pop(ring, &cqe, extra)) {
			ASSERT_GT(2, cqe.user_data);
			res[cqe.user_data] = cqe.res;
			nr++;
		}
	}
}

/*
 * A request waits no longer than its timeout, also if it begins in a worker. But a
 * multishot one does not begin there: io_uring only arms its poll.
 */
TEST_F_TIMEOUT(rings, link_timeout, TIMEOUT_S)
{
	struct __kernel_timespec ts = { .tv_nsec = SETTLE_MS * 1000000 };
	const unsigned int nr = variant->mode == RECV_RBUF_ONESHOT ? 2 : 1;
	static const __u8 flags[] = { 0, IOSQE_ASYNC };
	struct receiver *r = &self->r;
	struct io_uring_sqe *sqe;
	struct flow flow;
	__s32 res[2];
	unsigned int i;
	int tx;

	ASSERT_EQ(0, receiver_register(r));
	tx = loopback_flow(&flow, SMALL_FLOW);
	ASSERT_LE(0, tx);
	for (i = 0; i < nr; i++) {
		recv_request(r, flow.fd, IOSQE_IO_LINK | flags[i]);
		sqe = uring_sqe(&r->ring);
		sqe->opcode = IORING_OP_LINK_TIMEOUT;
		sqe->addr = (unsigned long)&ts;
		sqe->len = 1;
		sqe->user_data = 1;
		wait_linked(_metadata, &r->ring, res);
		EXPECT_EQ(-ECANCELED, res[0]);
		EXPECT_EQ(-ETIME, res[1]);
	}
	flow_close(&flow);
	close(tx);
}

/* One that begins in a worker is refused there, and does not wait. */
TEST_F_TIMEOUT(rings, async_refused, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	int udp, event;

	if (variant->mode != RECV_RBUF_ONESHOT)
		SKIP(return, "for one-shot requests");
	ASSERT_EQ(0, receiver_register(r));
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	event = eventfd(0, EFD_NONBLOCK);
	recv_request(r, udp, IOSQE_ASYNC);
	EXPECT_EQ(-EPROTONOSUPPORT, wait_cqe(&r->ring, 0));
	recv_request(r, event, IOSQE_ASYNC);
	EXPECT_EQ(-ENOTSOCK, wait_cqe(&r->ring, 0));
	close(udp);
	close(event);
}

/*
 * Files, by the same io_uring and from where the bytes lie
 */

/* So many pieces may be on their way. */
#define MAX_IN_FILE	16384

/* Where a flow's bytes are in the file */
#define FILE_OFF(_piece)	((__u64)(_piece)->flow << 32 | (_piece)->stream_off)

/* What a chunk has in it until its bytes are read back */
#define WIPED		0xa5

/**
 * struct file_io - pieces that are written to a file, wiped, and read back to
 *		    where they lay
 * @fd: the file
 * @fixed: the area is registered for it
 * @pieces: on their way
 * @read: by pieces: they have been written
 * @unused: indices of pieces of which there is none
 * @nr_unused: their number
 * @nr_right: so many have come back
 */
static struct file_io {
	int		fd;
	bool		fixed;
	struct piece	pieces[MAX_IN_FILE];
	bool		read[MAX_IN_FILE];
	unsigned int	unused[MAX_IN_FILE];
	unsigned int	nr_unused;
	unsigned int	nr_right;
} file_io;

static bool file_fail(struct receiver *r, const char *what, int res)
{
	snprintf(r->why, sizeof(r->why), "%s: %d", what, res);

	return false;
}

static void file_request(struct receiver *r, unsigned int i, __u8 opcode)
{
	struct io_uring_sqe *sqe = uring_sqe(&r->ring);
	const struct piece *piece = &file_io.pieces[i];

	sqe->opcode = opcode;
	sqe->fd = file_io.fd;
	sqe->off = FILE_OFF(piece);
	sqe->addr = (unsigned long)ifq_addr(&r->ifq, piece->off);
	sqe->len = piece->len;
	sqe->user_data = RECEIVER_OTHERS + i;
}

static bool file_write(struct receiver *r, const struct piece *piece)
{
	unsigned int i;

	if (!file_io.nr_unused)
		return file_fail(r, "too many pieces in the file", MAX_IN_FILE);
	i = file_io.unused[--file_io.nr_unused];
	file_io.pieces[i] = *piece;
	file_io.read[i] = false;
	file_request(r, i, file_io.fixed ? IORING_OP_WRITE_FIXED :
					   IORING_OP_WRITE);

	return true;
}

static bool file_give_back(struct receiver *r, unsigned int i)
{
	const struct piece *piece = &file_io.pieces[i];

	if (!ifq_give_back(&r->ifq, piece->off) &&
	    (ifq_flush(&r->ifq) || !ifq_give_back(&r->ifq, piece->off)))
		return file_fail(r, "the refill ring is full", i);
	ifq_refill_submit(&r->ifq);
	file_io.unused[file_io.nr_unused++] = i;
	file_io.nr_right++;

	return true;
}

static bool file_done(struct receiver *r, const struct io_uring_cqe *cqe)
{
	unsigned int i = cqe->user_data - RECEIVER_OTHERS;
	const struct piece *piece = &file_io.pieces[i];
	void *bytes = ifq_addr(&r->ifq, piece->off);

	if (cqe->res != (int)piece->len)
		return file_fail(r, file_io.read[i] ? "read" : "write", cqe->res);
	if (!file_io.read[i]) {
		file_io.read[i] = true;
		memset(bytes, WIPED, piece->len);
		file_request(r, i, file_io.fixed ? IORING_OP_READ_FIXED :
						   IORING_OP_READ);
		return true;
	}
	if (!flow_check(&r->flows[piece->flow], bytes, piece->len,
			piece->stream_off))
		return file_fail(r, "the file has other bytes", i);

	return file_give_back(r, i);
}

static void open_file(struct __test_metadata *_metadata, struct receiver *r,
		      bool fixed)
{
	struct iovec iov = {
		.iov_base	= ifq_addr(&r->ifq, 0),
		.iov_len	= r->args.areas[0].len,
	};
	unsigned int i;

	file_io.fd = memfd_create("pieces", MFD_CLOEXEC);
	ASSERT_LE(0, file_io.fd);
	file_io.fixed = fixed;
	if (fixed)
		ASSERT_EQ(0, uring_register(&r->ring, IORING_REGISTER_BUFFERS,
					    &iov, 1));
	for (i = 0; i < MAX_IN_FILE; i++)
		file_io.unused[i] = i;
	file_io.nr_unused = MAX_IN_FILE;
	file_io.nr_right = 0;
	r->hand_on = file_write;
	r->other = file_done;
}

static void receive_to_file(struct __test_metadata *_metadata,
			    FIXTURE_DATA(rings) *self, bool fixed)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;
	unsigned int ms;

	connect_flows(_metadata, self, 4);
	open_file(_metadata, r, fixed);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	for (ms = 0; ms < PATIENCE_MS && file_io.nr_unused < MAX_IN_FILE;
	     ms += SETTLE_MS)
		ASSERT_TRUE(receiver_keep(r, SETTLE_MS)) TH_LOG("%s", r->why);
	EXPECT_EQ(r->nr_pieces, file_io.nr_right);
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	ASSERT_EQ(0, ifq_flush(&r->ifq));
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_LT(0, stats.zc_bytes);
	EXPECT_EQ(0, stats.held);
	EXPECT_EQ(0, stats.invalid_refills);
	close(file_io.fd);
}

TEST_F_TIMEOUT(rings, file, TIMEOUT_S)
{
	receive_to_file(_metadata, self, false);
}

/* The area is pinned twice, for the NIC and for the files. */
TEST_F_TIMEOUT(rings, file_fixed, TIMEOUT_S)
{
	receive_to_file(_metadata, self, true);
}

/*
 * Rings go with requests in flight: the queue is free at once. Rings of all kinds,
 * before their sockets or after, and requests that a worker has had.
 */
TEST_F_TIMEOUT(rings, close_in_flight, TIMEOUT_S)
{
	const unsigned int nr = 2 * RECEIVER_RING_KINDS;
	struct receiver *r = &self->r;
	unsigned int i;

	for (i = 0; i < 2 * nr; i++) {
		receiver_prepare(r, variant->mode, AREA_SIZE);
		r->ring_flags = receiver_ring_flags(variant->mode, i / 2);
		r->sqe_flags = i < nr ? 0 : IOSQE_ASYNC;
		ASSERT_EQ(0, receiver_register(r)) TH_LOG("round %u", i);
		ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 2, FLOW_ENDLESS,
					     WRITE_SIZE)) TH_LOG("%s", r->why);
		ASSERT_TRUE(receiver_run(r, (i % nr + 1) << 17))
			TH_LOG("%s", r->why);
		/* The ring first: sockets with chunks in them live on. */
		if (i % 2)
			uring_exit(&r->ring);
		else
			receiver_close(r);
	}
}

/*
 * execve()
 */

#define AFTER_EXEC	"after-exec"
#define NOT_RUN		255

/* Receives, and becomes another program meanwhile: see main(). Never returns */
static void receive_and_exec(enum receiver_mode mode, __u32 ring_flags,
			     bool keep)
{
	char rxq[16], mode_arg[16];
	struct receiver r;

	receiver_prepare(&r, mode, AREA_SIZE);
	r.ring_flags = ring_flags;
	if (receiver_register(&r) ||
	    !receiver_connect(&r, nic.remote_v4, 2, FLOW_ENDLESS, WRITE_SIZE) ||
	    !receiver_run(&r, 256 << 10))
		_exit(NOT_RUN);
	if (keep)
		fcntl(r.ring.fd, F_SETFD, 0);
	snprintf(rxq, sizeof(rxq), "%u", nic.rxq);
	snprintf(mode_arg, sizeof(mode_arg), "%u", mode);
	execl("/proc/self/exe", "zcrx_rings", AFTER_EXEC, nic.name, rxq,
	      mode_arg, NULL);
	_exit(NOT_RUN);
}

/* Nothing comes before it in the new program. Returns what the program does. */
static int register_after_exec(char **args)
{
	static struct receiver r;

	nic.name = args[0];
	nic.rxq = atoi(args[1]);
	receiver_prepare(&r, atoi(args[2]), AREA_SIZE);

	return -receiver_register(&r);
}

/*
 * Another program runs: the ring is closed, unless it was meant to stay, and the
 * queue is free at once. When that one has ended it is in any case.
 */
TEST_F_TIMEOUT(rings, exec_in_flight, TIMEOUT_S)
{
	unsigned int i;
	__u32 flags;
	int status;
	pid_t pid;

	for (i = 0; i < 2 * RECEIVER_RING_KINDS; i++) {
		const bool keep = i % 2;

		flags = receiver_ring_flags(variant->mode, i / 2);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			receive_and_exec(variant->mode, flags, keep);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status));
		EXPECT_EQ(keep ? EEXIST : 0, WEXITSTATUS(status))
			TH_LOG("IORING_SETUP flags %#x, kept: %d", flags, keep);
	}
	EXPECT_EQ(0, receiver_register(&self->r));
}

/* Another process has the ring: it holds the queue, until it dies. */
TEST_F_TIMEOUT(rings, last_user, TIMEOUT_S)
{
	struct receiver *r = &self->r, other;
	int status;
	pid_t pid;

	ASSERT_EQ(0, receiver_register(r));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		pause();
		_exit(0);
	}
	uring_exit(&r->ring);
	receiver_prepare(&other, variant->mode, AREA_SIZE);
	EXPECT_EQ(-EEXIST, receiver_register(&other));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, receiver_register(&other));
}

/*
 * Sockets outlive the ring, with chunks in their receive queues: those stay readable
 * and right, whoever has the queue by then, and by the next ifq, too.
 */
TEST_F_TIMEOUT(rings, socket_outlives_ring, TIMEOUT_S)
{
	static char buf[1 << 16];
	struct receiver *r = &self->r, next;
	struct flow flow, by_next;
	struct ifq_stats stats;
	ssize_t n;

	ASSERT_EQ(0, receiver_register(r));
	ASSERT_EQ(0, flow_connect(&flow, nic.remote_v4, 1 << 20, WRITE_SIZE));
	ASSERT_EQ(0, flow_connect(&by_next, nic.remote_v4, 1 << 20,
				  WRITE_SIZE));
	/* Until the receive queues are full */
	usleep(300 * 1000);
	uring_exit(&r->ring);
	ifq_args_free(&r->args);

	receiver_prepare(&next, variant->mode, AREA_SIZE);
	ASSERT_EQ(0, receiver_register(&next));
	ASSERT_TRUE(receiver_connect(&next, nic.remote_v4, 2, 1 << 20,
				     WRITE_SIZE)) TH_LOG("%s", next.why);
	receiver_add_flow(&next, &by_next);
	ASSERT_TRUE(receiver_run(&next, 0)) TH_LOG("%s", next.why);
	ASSERT_TRUE(ifq_read_stats(&next.ifq, &stats));
	EXPECT_LT(0, stats.copied_foreign);

	while ((n = recv(flow.fd, buf, sizeof(buf), 0)) > 0)
		ASSERT_TRUE(flow_receive(&flow, buf, n))
			TH_LOG("wrong after %llu bytes", flow.got);
	EXPECT_TRUE(flow_complete(&flow));
	flow_close(&flow);
}

/*
 * The area's memory is no more where it was, or not there at all: kernel and NIC
 * go on with what was registered. So do others, to whom the kernel copies from
 * there what has come by our queue.
 */

/* So large that the NIC gets chunks only */
#define LARGE_AREA	(2 * AREA_SIZE)
#define OWN_BYTES	(AREA_SIZE / 8)
#define PLAIN_BYTES	(AREA_SIZE / 2)

/*
 * Of the neighbour's bytes, so many are to lie in our area, all of what it receives
 * at once and half of what it does next.
 */
#define MIN_FOREIGN	(768 << 10)
#define MAX_ROUNDS	20

static void start_neighbour(struct __test_metadata *_metadata,
			    FIXTURE_DATA(rings) *self)
{
	if (!nic.rxq)
		return;
	ASSERT_TRUE(neighbour_start_receiver(&self->neighbour));
	ASSERT_TRUE(nic_steer(nic.rxq));
}

/* What comes from now on is right. */
static void check_neighbour(struct __test_metadata *_metadata,
			    FIXTURE_DATA(rings) *self)
{
	struct neighbour *n = &self->neighbour;
	unsigned long long goal;
	unsigned int i;

	if (!n->pid)
		return;
	goal = n->report->foreign_bytes + MIN_FOREIGN;
	for (i = 0; i < MAX_ROUNDS && n->report->foreign_bytes < goal; i++)
		ASSERT_TRUE(neighbour_gets_on(n));
	EXPECT_LE(goal, n->report->foreign_bytes);
	EXPECT_TRUE(neighbour_end(n)) TH_LOG("the neighbour ended by itself");
}

static bool move_area(struct ifq *ifq)
{
	struct io_uring_zcrx_area_reg *area = &ifq->areas[0];
	void *p = (void *)(unsigned long)area->addr;
	const int like = nic.chunk > NIC_PAGE ? MAP_HUGETLB | MAP_NORESERVE : 0;
	void *to = mmap(NULL, area->len, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | like, -1, 0);

	to = mremap(p, area->len, area->len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	area->addr = (unsigned long)to;

	return to != MAP_FAILED;
}

TEST_F_TIMEOUT(rings, area_moved, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	unsigned int i;

	receiver_prepare(r, variant->mode, LARGE_AREA);
	start_neighbour(_metadata, self);
	connect_flows(_metadata, self, 2);
	for (i = 1; i < 8; i++) {
		ASSERT_TRUE(receiver_run(r, i * self->bytes / 8))
			TH_LOG("%s", r->why);
		ASSERT_TRUE(move_area(&r->ifq));
	}
	check_neighbour(_metadata, self);
	finish_flows(_metadata, self);
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
}

/* Maps a file there, or anywhere. */
static bool map_area(struct io_uring_zcrx_area_reg *area, int fd)
{
	void *p = mmap((void *)(unsigned long)area->addr, area->len,
		       PROT_READ | PROT_WRITE,
		       MAP_SHARED | (area->addr ? MAP_FIXED : 0), fd, 0);

	area->addr = (unsigned long)p;

	return p != MAP_FAILED;
}

/* An area that is a file's memory, a flow of ours, and somebody else's */
static void connect_with_file(struct __test_metadata *_metadata,
			      FIXTURE_DATA(rings) *self,
			      enum receiver_mode mode, struct flow *plain,
			      int *fd)
{
	struct receiver *r = &self->r;

	receiver_prepare(r, mode, LARGE_AREA);
	*fd = receiver_memfd(r->args.areas[0].len);
	ASSERT_LE(0, *fd);
	ASSERT_TRUE(map_area(&r->args.areas[0], *fd));
	self->bytes = OWN_BYTES;
	connect_flows(_metadata, self, 1);
	ASSERT_EQ(0, flow_connect(plain, nic.remote_v4, PLAIN_BYTES,
				  WRITE_SIZE));
	ASSERT_TRUE(receiver_run(r, OWN_BYTES / 4)) TH_LOG("%s", r->why);
}

/* Reads on up to this byte, as any program does. */
static bool read_plain(struct flow *flow, __u64 end)
{
	static char buf[1 << 14];
	ssize_t n;

	while (flow->got < end) {
		n = recv(flow->fd, buf, sizeof(buf), 0);
		if (n <= 0 || !flow_receive(flow, buf, n))
			return false;
	}

	return true;
}

/* All of it was in chunks, and is right. */
static void finish_plain(struct __test_metadata *_metadata,
			 const struct ifq *ifq, struct flow *plain)
{
	struct ifq_stats stats;

	ASSERT_TRUE(read_plain(plain, PLAIN_BYTES + PATTERN_DIGEST_SIZE))
		TH_LOG("wrong after %llu bytes", plain->got);
	EXPECT_TRUE(flow_complete(plain));
	flow_close(plain);
	ASSERT_TRUE(ifq_read_stats(ifq, &stats));
	EXPECT_EQ(0, stats.lent_pages);
}

/* What comes while it is not mapped is there when it is again. */
TEST_F_TIMEOUT(rings, area_unmapped, TIMEOUT_S)
{
	struct io_uring_zcrx_area_reg *area = &self->r.ifq.areas[0];
	struct flow plain;
	int fd;

	start_neighbour(_metadata, self);
	connect_with_file(_metadata, self, variant->mode, &plain, &fd);
	ASSERT_TRUE(read_plain(&plain, PLAIN_BYTES / 2));
	ASSERT_EQ(0, munmap((void *)(unsigned long)area->addr, area->len));
	check_neighbour(_metadata, self);
	finish_plain(_metadata, &self->r.ifq, &plain);

	area->addr = 0;
	ASSERT_TRUE(map_area(area, fd));
	finish_flows(_metadata, self);
	ASSERT_TRUE(receiver_check_counters(&self->r))
		TH_LOG("%s", self->r.why);
	close(fd);
}

/* Nobody but the kernel has the pages afterwards: our own bytes are lost. */
TEST_F_TIMEOUT(rings, area_truncated, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct flow plain;
	int fd;

	start_neighbour(_metadata, self);
	connect_with_file(_metadata, self, variant->mode, &plain, &fd);
	ASSERT_TRUE(read_plain(&plain, PLAIN_BYTES / 2));
	ASSERT_EQ(0, ftruncate(fd, 0));
	close(fd);
	check_neighbour(_metadata, self);
	finish_plain(_metadata, &r->ifq, &plain);
	uring_exit(&r->ring);

	receiver_prepare(r, variant->mode, AREA_SIZE);
	self->bytes = OWN_BYTES;
	receive_all(_metadata, self, 2);
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], AFTER_EXEC))
		return register_after_exec(argv + 2);
	nic_setup();

	return test_harness_run(argc, argv);
}
