// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What an application is told meanwhile, and what it can do: events,
 * statistics, areas added under traffic.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "admin.h"
#include "kselftest_harness.h"
#include "nic.h"
#include "proc.h"
#include "receiver.h"
#include "refusals.h"

/* More than the NIC and connections with small buffers can hold */
#define NR_CHUNKS	2048
#define AREA_SIZE	(NR_CHUNKS * NIC_PAGE)
#define SMALL_BUFFER	(128 << 10)
#define ENTRIES		1024
#define WRITE_SIZE	(64 << 10)
#define TIMEOUT_S	120
#define MAX_AREAS	IFQ_MAX_AREAS

/* Events come a little later than what they tell of. */
#define SETTLE_MS	300

#define MASK(_type)	(1U << ZCRX_EVENT_##_type)
#define ALL_EVENTS	(MASK(ALLOC_FAIL) | MASK(COPY) | \
			 MASK(STATE_COPY) | MASK(STATE_ON) | MASK(UNBOUND))

#define PLAIN_DEFER	(IORING_SETUP_SINGLE_ISSUER | \
			 IORING_SETUP_DEFER_TASKRUN)

FIXTURE(events)
{
	struct receiver r;
	__u64 area_size;
};

FIXTURE_VARIANT(events)
{
	enum receiver_mode	mode;
	__u32			ring_flags;
};

FIXTURE_VARIANT_ADD(events, rbuf)
{
	.mode = RECV_RBUF,
};

FIXTURE_VARIANT_ADD(events, rbuf_defer)
{
	.mode = RECV_RBUF, .ring_flags = PLAIN_DEFER,
};

FIXTURE_VARIANT_ADD(events, cqe32)
{
	.mode = RECV_CQE32, .ring_flags = URING_CQE32_FLAGS,
};

FIXTURE_SETUP(events)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	receiver_prepare(&self->r, variant->mode, AREA_SIZE);
	self->area_size = self->r.args.areas[0].len;
	self->r.ring_flags = variant->ring_flags;
	self->r.rcvbuf = SMALL_BUFFER;
	ifq_args_set_events(&self->r.args, RECEIVER_EVENT, ALL_EVENTS);
}

FIXTURE_TEARDOWN(events)
{
}

/* Without a NIC everything is copied, and nothing depends on its ring. */
static void open_nodev(struct __test_metadata *_metadata,
		       FIXTURE_DATA(events) *self)
{
	ifq_args_set_nodev(&self->r.args);
	ASSERT_EQ(0, receiver_register(&self->r));
}

static void receive_flow(struct __test_metadata *_metadata,
			 struct receiver *r, __u64 bytes)
{
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, bytes, WRITE_SIZE))
		TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_keep(r, SETTLE_MS)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_release(r)) TH_LOG("%s", r->why);
}

/* One event of a type, however often it happens, until it is armed again. */
TEST_F_TIMEOUT(events, copy, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	unsigned int i;

	open_nodev(_metadata, self);
	EXPECT_EQ(-EINVAL, ifq_arm_event(&r->ifq, ZCRX_EVENT_COPY));
	for (i = 1; i <= 3; i++) {
		receive_flow(_metadata, r, 1 << 20);
		EXPECT_EQ(i, r->nr_events[ZCRX_EVENT_COPY]);
		receive_flow(_metadata, r, 1 << 20);
		EXPECT_EQ(i, r->nr_events[ZCRX_EVENT_COPY]);
		EXPECT_EQ(0, ifq_arm_event(&r->ifq, ZCRX_EVENT_COPY));
		EXPECT_EQ(-EINVAL, ifq_arm_event(&r->ifq, ZCRX_EVENT_COPY));
	}
	EXPECT_EQ(0, r->nr_events[ZCRX_EVENT_ALLOC_FAIL]);
	EXPECT_EQ(0, r->nr_events[ZCRX_EVENT_STATE_COPY]);
	EXPECT_EQ(0, r->nr_events[ZCRX_EVENT_STATE_ON]);
}

/* Nothing is given back until there is nothing left, again and again. */
TEST_F_TIMEOUT(events, alloc_fail, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	unsigned int i;

	r->args.areas[0].len = 64 * nic.chunk;
	r->hold = ~0U;
	open_nodev(_metadata, self);
	EXPECT_EQ(-EINVAL, ifq_arm_event(&r->ifq, ZCRX_EVENT_ALLOC_FAIL));
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, FLOW_ENDLESS,
				     WRITE_SIZE)) TH_LOG("%s", r->why);
	for (i = 1; i <= 2; i++) {
		ASSERT_TRUE(receiver_run(r, r->bytes + 4 * 64 * nic.chunk))
			TH_LOG("%s", r->why);
		ASSERT_TRUE(receiver_keep(r, SETTLE_MS)) TH_LOG("%s", r->why);
		EXPECT_EQ(i, r->nr_events[ZCRX_EVENT_ALLOC_FAIL]);
		/* Nothing moves now, so it can't fail right away. */
		EXPECT_EQ(0, ifq_arm_event(&r->ifq, ZCRX_EVENT_ALLOC_FAIL));
		EXPECT_EQ(-EINVAL, ifq_arm_event(&r->ifq,
						 ZCRX_EVENT_ALLOC_FAIL));
		ASSERT_TRUE(receiver_release(r)) TH_LOG("%s", r->why);
	}
}

/* What was not asked for is not told, and can't be armed. */
TEST_F_TIMEOUT(events, mask, TIMEOUT_S)
{
	static const __u32 types[] = {
		ZCRX_EVENT_COPY, ZCRX_EVENT_STATE_COPY, ZCRX_EVENT_UNBOUND,
		2, 15, 19, 31, 32, 33, 1000, ~0U,
	};
	struct zcrx_ctrl ctrl = {
		.op			= ZCRX_CTRL_ARM_EVENT,
		.zc_arm_event.event_type = ZCRX_EVENT_COPY,
	};
	struct receiver *r = &self->r;
	unsigned int i;

	r->args.events.type_mask = MASK(ALLOC_FAIL) | MASK(STATE_ON);
	open_nodev(_metadata, self);
	receive_flow(_metadata, r, 1 << 20);
	for (i = 0; i < RECEIVER_MAX_EVENTS; i++)
		EXPECT_EQ(0, r->nr_events[i]);
	for (i = 0; i < ARRAY_SIZE(types); i++)
		EXPECT_EQ(-EINVAL, ifq_arm_event(&r->ifq, types[i]))
			TH_LOG("type %u", types[i]);

	ctrl.zc_arm_event.__resv[0] = 1;
	EXPECT_EQ(-EINVAL, uring_register(&r->ring, REGISTER_ZCRX_CTRL, &ctrl,
					  0));
}

TEST_F_TIMEOUT(events, no_description, TIMEOUT_S)
{
	struct receiver *r = &self->r;

	r->args.reg.event_desc = 0;
	open_nodev(_metadata, self);
	receive_flow(_metadata, r, 1 << 20);
	EXPECT_EQ(0, r->nr_events[ZCRX_EVENT_COPY]);
	EXPECT_EQ(-EINVAL, ifq_arm_event(&r->ifq, ZCRX_EVENT_COPY));
}

TEST_F_TIMEOUT(events, stats, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;
	unsigned int i;

	ifq_args_use_kernel_memory(&r->args);
	open_nodev(_metadata, self);
	EXPECT_EQ(0, r->ifq.stats->copy_count);
	EXPECT_EQ(0, r->ifq.stats->copy_bytes);
	for (i = 0; i < 2; i++) {
		receive_flow(_metadata, r, 1 << 20);
		ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
		EXPECT_EQ(r->bytes, ifq_stats_copied(&stats));
		EXPECT_EQ(r->bytes, r->ifq.stats->copy_bytes);
		EXPECT_EQ(r->nr_pieces, r->ifq.stats->copy_count);
	}
}

/* On the NIC: of what is not copied nothing is counted. */
TEST_F_TIMEOUT(events, stats_in_place, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;

	ASSERT_EQ(0, receiver_register(r));
	receive_flow(_metadata, r, nic.bytes / 8);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_LT(0, stats.zc_bytes);
	EXPECT_EQ(ifq_stats_copied(&stats), r->ifq.stats->copy_bytes);
	if (variant->mode != RECV_CQE32) {
		EXPECT_EQ(r->copied, r->ifq.stats->copy_bytes);
		EXPECT_EQ(r->nr_copied, r->ifq.stats->copy_count);
	}
	EXPECT_EQ(!!ifq_stats_copied(&stats), r->nr_events[ZCRX_EVENT_COPY]);
}

/* The numbers are the kernel's: what we write there counts for nothing. */
TEST_F_TIMEOUT(events, stats_overwritten, TIMEOUT_S)
{
	struct receiver *r = &self->r;

	open_nodev(_metadata, self);
	receive_flow(_metadata, r, 1 << 20);
	memset((void *)r->ifq.stats, 0xff, sizeof(*r->ifq.stats));
	receive_flow(_metadata, r, 1 << 20);
	EXPECT_EQ(r->bytes, r->ifq.stats->copy_bytes);
	EXPECT_EQ(r->nr_pieces, r->ifq.stats->copy_count);
}

/*
 * The area runs dry, and is filled again
 */

/*
 * What sockets and the NIC still have of the area comes first, and is no sign that
 * the NIC gets chunks again.
 */
static void run_to_on(struct __test_metadata *_metadata, struct receiver *r,
		      __u64 limit)
{
	__u64 end = r->bytes + limit;
	struct ifq_stats stats;

	do {
		ASSERT_GT(end, r->bytes) TH_LOG("the NIC gets no chunks");
		ASSERT_TRUE(receiver_run(r, r->bytes + 1)) TH_LOG("%s", r->why);
		ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	} while (stats.copying);
}

/*
 * Each flow comes to its end: events are armed while nothing happens that should
 * be told.
 */
TEST_F_TIMEOUT(events, states, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;
	unsigned int i;

	ASSERT_EQ(0, receiver_register(r));
	for (i = 1; i <= 2; i++) {
		EXPECT_EQ(i - 1, r->nr_events[ZCRX_EVENT_STATE_ON]);
		EXPECT_EQ(i - 1, r->nr_events[ZCRX_EVENT_STATE_COPY]);
		ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1,
					     4 * self->area_size, WRITE_SIZE))
			TH_LOG("%s", r->why);
		ASSERT_TRUE(receiver_run_to_copy(r, 2 * self->area_size))
			TH_LOG("%s", r->why);
		ASSERT_TRUE(receiver_keep(r, SETTLE_MS)) TH_LOG("%s", r->why);
		EXPECT_EQ(i, r->nr_events[ZCRX_EVENT_STATE_COPY]);
		EXPECT_EQ(i, r->nr_events[ZCRX_EVENT_ALLOC_FAIL]);

		r->hold = 64;
		ASSERT_TRUE(receiver_release(r)) TH_LOG("%s", r->why);
		run_to_on(_metadata, r, self->area_size);
		ASSERT_TRUE(receiver_run_in_place(r, 1 << 20, self->area_size))
			TH_LOG("%s", r->why);

		ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
		EXPECT_EQ(0, ifq_flush(&r->ifq));
		ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
		ASSERT_FALSE(stats.copying);
		EXPECT_EQ(i, r->nr_events[ZCRX_EVENT_STATE_COPY]);
		EXPECT_EQ(i, r->nr_events[ZCRX_EVENT_ALLOC_FAIL]);
		EXPECT_EQ(i, r->nr_events[ZCRX_EVENT_STATE_ON]);

		EXPECT_EQ(0, ifq_arm_event(&r->ifq, ZCRX_EVENT_ALLOC_FAIL));
		EXPECT_EQ(0, ifq_arm_event(&r->ifq, ZCRX_EVENT_STATE_COPY));
		EXPECT_EQ(0, ifq_arm_event(&r->ifq, ZCRX_EVENT_STATE_ON));
	}
}

#define NR_HOGS		8
#define HOG_BUFFER	(8 << 20)
/* The NIC itself wants less. */
#define HOGGED_AREA	((NIC_RX_RING + 256) * nic.chunk)
#define DRY		(MASK(ALLOC_FAIL) | MASK(STATE_COPY))
#define PATIENCE_MS	20000

/* Connections of others through our queue, which nobody reads from */
static void connect_hogs(struct __test_metadata *_metadata, struct flow *hogs)
{
	const int size = HOG_BUFFER;
	unsigned int i;

	for (i = 0; i < NR_HOGS; i++) {
		ASSERT_EQ(0, flow_connect(&hogs[i], nic.remote_v4, FLOW_ENDLESS,
					  WRITE_SIZE));
		ASSERT_EQ(0, setsockopt(hogs[i].fd, SOL_SOCKET, SO_RCVBUFFORCE,
					&size, sizeof(size)));
	}
}

static void close_hogs(struct flow *hogs)
{
	unsigned int i;

	for (i = 0; i < NR_HOGS; i++)
		flow_close(&hogs[i]);
}

/* Sleeps until the events in @mask have been told, each of them once. */
static __u32 sleep_for_events(struct uring *ring, __u32 mask)
{
	struct io_uring_cqe cqe;
	__u64 extra[2];
	__u32 seen = 0;

	while ((seen & mask) != mask) {
		if (uring_enter(ring, 1, 20000))
			return seen;
		while (uring_pop(ring, &cqe, extra)) {
			if (cqe.user_data != RECEIVER_EVENT)
				continue;
			if (seen & 1U << cqe.res)
				return 0;
			seen |= 1U << cqe.res;
		}
	}

	return seen;
}

/*
 * The ring sleeps, without any request, while others fill its area: what the
 * NIC's interrupt finds out gets to the ring.
 */
TEST_F_TIMEOUT(events, asleep, TIMEOUT_S)
{
	struct flow hogs[NR_HOGS] = {};
	struct receiver *r = &self->r;

	r->args.areas[0].len = HOGGED_AREA;
	ASSERT_EQ(0, receiver_register(r));
	connect_hogs(_metadata, hogs);
	EXPECT_EQ(DRY, DRY & sleep_for_events(&r->ring, DRY));
	close_hogs(hogs);
	EXPECT_EQ(MASK(STATE_ON), sleep_for_events(&r->ring, MASK(STATE_ON)));
}

static bool wait_for_copy_state(const struct ifq *ifq)
{
	struct ifq_stats stats;
	unsigned int ms;

	for (ms = 0; ms < PATIENCE_MS; ms += 10) {
		if (ifq_read_stats(ifq, &stats) && stats.copying)
			return true;
		proc_sleep_ms(10);
	}

	return false;
}

/*
 * What happened and was not told yet, since only the task can post, is told
 * before its type can be armed again: no two events become one.
 */
TEST_F_TIMEOUT(events, untold, TIMEOUT_S)
{
	struct flow hogs[NR_HOGS] = {};
	struct receiver *r = &self->r;

	if (!(variant->ring_flags & IORING_SETUP_DEFER_TASKRUN))
		SKIP(return, "for rings whose task posts");
	r->args.areas[0].len = HOGGED_AREA;
	ASSERT_EQ(0, receiver_register(r));
	connect_hogs(_metadata, hogs);
	ASSERT_TRUE(wait_for_copy_state(&r->ifq));
	EXPECT_EQ(-EINVAL, ifq_arm_event(&r->ifq, ZCRX_EVENT_STATE_COPY));
	EXPECT_EQ(DRY, DRY & sleep_for_events(&r->ring, DRY));
	EXPECT_EQ(0, ifq_arm_event(&r->ifq, ZCRX_EVENT_STATE_COPY));
	close_hogs(hogs);
}

/*
 * There is no room in the completion ring: an event waits for that
 */

#define SMALL_CQ	64

static void fill_cq(struct __test_metadata *_metadata, struct uring *ring)
{
	unsigned int i;

	ASSERT_EQ(SMALL_CQ - 1, ring->cq_mask);
	for (i = 0; i < SMALL_CQ; i++) {
		struct io_uring_sqe *sqe = uring_sqe(ring);

		sqe->opcode = IORING_OP_NOP;
		sqe->user_data = RECEIVER_NOT_MINE;
	}
	ASSERT_EQ(0, uring_enter(ring, SMALL_CQ, PATIENCE_MS));
	ASSERT_EQ(SMALL_CQ, *ring->cq_tail - *ring->cq_head);
}

/* What the kernel could not post is kept, and it says so. */
static bool wait_for_overflow(struct uring *ring)
{
	unsigned int ms;

	for (ms = 0; ms < PATIENCE_MS; ms += 10) {
		if (__atomic_load_n(ring->sq_flags, __ATOMIC_ACQUIRE) &
		    IORING_SQ_CQ_OVERFLOW)
			return true;
		/* Where it takes the task to post */
		uring_enter(ring, 0, 0);
		proc_sleep_ms(10);
	}

	return false;
}

/* Everything that was there is still there. */
static void empty_cq(struct __test_metadata *_metadata, struct uring *ring)
{
	struct io_uring_cqe cqe;
	__u64 extra[2];
	unsigned int i;

	for (i = 0; i < SMALL_CQ; i++) {
		ASSERT_TRUE(uring_pop(ring, &cqe, extra));
		EXPECT_EQ(RECEIVER_NOT_MINE, cqe.user_data);
	}
	EXPECT_FALSE(uring_pop(ring, &cqe, extra));
}

/* Events of the NIC's interrupt */
TEST_F_TIMEOUT(events, cq_full, TIMEOUT_S)
{
	struct flow hogs[NR_HOGS] = {};
	struct receiver *r = &self->r;

	r->args.areas[0].len = HOGGED_AREA;
	r->cq_entries = SMALL_CQ;
	ASSERT_EQ(0, receiver_register(r));
	fill_cq(_metadata, &r->ring);
	connect_hogs(_metadata, hogs);
	EXPECT_TRUE(wait_for_overflow(&r->ring));
	empty_cq(_metadata, &r->ring);
	EXPECT_EQ(DRY, DRY & sleep_for_events(&r->ring, DRY));
	EXPECT_EQ(0, ifq_arm_event(&r->ifq, ZCRX_EVENT_STATE_COPY));
	close_hogs(hogs);
}

/* An event of a request that needs no CQE to receive, and the request's end */
TEST_F_TIMEOUT(events, cq_full_with_request, TIMEOUT_S)
{
	struct receiver *r = &self->r;

	if (variant->mode == RECV_CQE32)
		SKIP(return, "for the rbuf ring");
	r->cq_entries = SMALL_CQ;
	open_nodev(_metadata, self);
	fill_cq(_metadata, &r->ring);
	r->leave_cqes = true;
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, 1 << 20, WRITE_SIZE))
		TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, (1 << 20) + PATTERN_DIGEST_SIZE))
		TH_LOG("%s", r->why);
	EXPECT_TRUE(wait_for_overflow(&r->ring));
	EXPECT_EQ(SMALL_CQ, *r->ring.cq_tail - *r->ring.cq_head);

	r->leave_cqes = false;
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_keep(r, SETTLE_MS)) TH_LOG("%s", r->why);
	EXPECT_EQ(1, r->nr_events[ZCRX_EVENT_COPY]);
}

/*
 * The event alone wakes a ring that waits, with a request that posts no CQE for
 * what it receives.
 */
TEST_F_TIMEOUT(events, asleep_with_request, TIMEOUT_S)
{
	struct receiver *r = &self->r;

	if (variant->mode == RECV_CQE32)
		SKIP(return, "for the rbuf ring");
	open_nodev(_metadata, self);
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, FLOW_ENDLESS,
				     WRITE_SIZE)) TH_LOG("%s", r->why);
	EXPECT_EQ(MASK(COPY), sleep_for_events(&r->ring, MASK(COPY)));
	ASSERT_TRUE(receiver_run(r, 1 << 20)) TH_LOG("%s", r->why);
}

/* Two rings have the ifq: the one that is told, and another one. */
static void register_and_import(struct __test_metadata *_metadata,
				struct receiver *r, struct receiver *other)
{
	int fd;

	ifq_args_use_kernel_memory(&r->args);
	ASSERT_EQ(0, receiver_register(r));
	fd = ifq_export(&r->ifq);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, receiver_import(other, r->mode, fd, &r->ifq));
	close(fd);
}

static void run_dry(struct __test_metadata *_metadata, struct receiver *r,
		    __u64 limit)
{
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, FLOW_ENDLESS,
				     WRITE_SIZE)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run_to_copy(r, limit)) TH_LOG("%s", r->why);
}

/* The ring that is told is gone: nobody is. */
TEST_F_TIMEOUT(events, ring_gone, TIMEOUT_S)
{
	struct receiver *r = &self->r, other;

	register_and_import(_metadata, r, &other);
	receiver_close_ring(r);
	run_dry(_metadata, &other, 2 * self->area_size);
	ASSERT_TRUE(receiver_keep(&other, 1000)) TH_LOG("%s", other.why);
	ASSERT_TRUE(receiver_release(&other)) TH_LOG("%s", other.why);
	ASSERT_TRUE(receiver_run_in_place(&other, 1 << 20,
					  4 * self->area_size))
		TH_LOG("%s", other.why);
	EXPECT_EQ(0, other.nr_events[ZCRX_EVENT_STATE_COPY]);
	EXPECT_EQ(-EINVAL, ifq_arm_event(&other.ifq, ZCRX_EVENT_STATE_COPY));
}

/* Who made the request has another ring: what its ifq has to tell comes to ours. */
TEST_F_TIMEOUT(events, other_ring, TIMEOUT_S)
{
	const __u32 told = MASK(STATE_COPY) | MASK(COPY);
	struct receiver *r = &self->r, other;

	register_and_import(_metadata, r, &other);
	run_dry(_metadata, &other, 2 * self->area_size);
	EXPECT_EQ(told, told & sleep_for_events(&r->ring, told));
	ASSERT_TRUE(receiver_keep(&other, SETTLE_MS)) TH_LOG("%s", other.why);
	EXPECT_EQ(0, other.nr_events[ZCRX_EVENT_STATE_COPY]);
	EXPECT_EQ(0, other.nr_events[ZCRX_EVENT_COPY]);
	receiver_close(&other);
}

/* The NIC goes. When it comes again, all that it brings us is copied. */
TEST_F_TIMEOUT(events, unbound, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;
	__u64 in_place;

	if (!admin_may_unbind())
		SKIP(return, "DISRUPTIVE=0");
	ASSERT_EQ(0, receiver_register(r));
	receive_flow(_metadata, r, 1 << 20);
	EXPECT_EQ(0, r->nr_events[ZCRX_EVENT_UNBOUND]);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	in_place = stats.zc_bytes;

	ASSERT_TRUE(admin_save());
	ASSERT_TRUE(admin_unbind());
	ASSERT_TRUE(receiver_keep(r, SETTLE_MS)) TH_LOG("%s", r->why);
	EXPECT_EQ(1, r->nr_events[ZCRX_EVENT_UNBOUND]);

	ASSERT_TRUE(admin_bind());
	receive_flow(_metadata, r, 1 << 20);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(in_place, stats.zc_bytes);
	EXPECT_EQ(1, r->nr_events[ZCRX_EVENT_UNBOUND]);
}

/* Another program, which knows nothing of the ring but has it open */
static void register_and_exec(struct receiver *r)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!receiver_register(r) && !fcntl(r->ring.fd, F_SETFD, 0))
		execlp("sleep", "sleep", "60", NULL);
	_exit(1);
}

/* Who would be told runs another program by then. */
TEST_F_TIMEOUT(events, other_program, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	int pipe_fds[2], status;
	char byte;
	pid_t pid;

	if (!admin_may_unbind())
		SKIP(return, "DISRUPTIVE=0");
	ASSERT_TRUE(admin_save());
	ASSERT_EQ(0, pipe2(pipe_fds, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		register_and_exec(r);
	close(pipe_fds[1]);
	ASSERT_EQ(0, read(pipe_fds[0], &byte, 1));
	close(pipe_fds[0]);
	/* Its ring is not closed: the queue is still taken. */
	ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
	ASSERT_EQ(-EEXIST, receiver_register(r));

	ASSERT_TRUE(admin_unbind());
	proc_sleep_ms(SETTLE_MS);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	ASSERT_TRUE(admin_bind());
	proc_kill(pid);

	receiver_prepare(r, variant->mode, AREA_SIZE);
	r->ring_flags = variant->ring_flags;
	ASSERT_EQ(0, receiver_register(r));
	receive_flow(_metadata, r, 1 << 20);
}

/*
 * Areas
 */

/* An area that is too small, and then another one */
TEST_F_TIMEOUT(events, add_area, TIMEOUT_S)
{
	struct io_uring_zcrx_area_reg area = {
		.len	= self->area_size,
		.addr	= (unsigned long)receiver_mmap(self->area_size),
	};
	struct receiver *r = &self->r;
	struct ifq_stats stats;

	r->args.areas[0].len = 256 * nic.chunk;
	r->hold = 64;
	ASSERT_EQ(0, receiver_register(r));
	r->ifq.areas[1] = area;
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 2, FLOW_ENDLESS,
				     WRITE_SIZE)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 4 << 20)) TH_LOG("%s", r->why);
	EXPECT_EQ(0, r->area_bytes[1]);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(256, stats.chunks);
	EXPECT_LT(0, stats.lent_pages);

	ASSERT_EQ(0, ifq_add_area(&r->ifq, &area));
	EXPECT_EQ(1ULL << IORING_ZCRX_AREA_SHIFT, area.rq_area_token);
	ASSERT_TRUE(receiver_run_in_place(r, 4 << 20, 2 * self->area_size))
		TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
	EXPECT_LT(2 << 20, r->area_bytes[1]);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(256 + NR_CHUNKS, stats.chunks);
	EXPECT_EQ(0, stats.invalid_refills);
}

TEST_F_TIMEOUT(events, add_area_for_copies, TIMEOUT_S)
{
	struct io_uring_zcrx_area_reg area = {
		.len	= 64 * nic.chunk,
		.addr	= (unsigned long)receiver_mmap(64 * nic.chunk),
	};
	struct receiver *r = &self->r;

	r->args.areas[0].len = nic.chunk;
	open_nodev(_metadata, self);
	r->hold = 1;
	r->ifq.areas[1] = area;
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, 1 << 20, WRITE_SIZE))
		TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 4 * nic.chunk)) TH_LOG("%s", r->why);
	ASSERT_EQ(0, ifq_add_area(&r->ifq, &area));
	r->hold = 32;
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	EXPECT_LT(512 << 10, r->area_bytes[1]);
}

/* The same page again and again, for 16 chunks */
static __u64 scattered_memory(struct __test_metadata *_metadata)
{
	int fd = memfd_create("page", MFD_CLOEXEC);
	char *p = ifq_mmap(16 * nic.chunk);
	unsigned int off;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, NIC_PAGE));
	for (off = 0; off < 16 * nic.chunk; off += NIC_PAGE)
		ASSERT_NE(MAP_FAILED, mmap(p + off, NIC_PAGE,
					   PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_FIXED, fd, 0));
	close(fd);

	return (unsigned long)p;
}

TEST_F(events, add_area_refused)
{
	struct io_uring_zcrx_area_reg good, area, spoilt, *read_only;
	struct receiver *r = &self->r;
	struct ifq_stats stats;
	long pinned;
	void *p;

	ASSERT_EQ(0, receiver_register(r));
	pinned = proc_pinned_kib();
	good = (struct io_uring_zcrx_area_reg) {
		.len	= 16 * nic.chunk,
		.addr	= (unsigned long)receiver_mmap(16 * nic.chunk),
	};

#define EXPECT_REFUSED(_err, _field, _value) do {			\
	area = good;							\
	area._field = (_value);						\
	spoilt = area;							\
	EXPECT_EQ(_err, ifq_add_area(&r->ifq, &area))			\
		TH_LOG(#_field " = " #_value);				\
	EXPECT_EQ(0, memcmp(&area, &spoilt, sizeof(area)))		\
		TH_LOG(#_field " = " #_value ": it has changed");	\
	EXPECT_EQ(pinned, proc_pinned_kib());				\
} while (0)

	EXPECT_REFUSED(-EFAULT, addr, NOWHERE);
	EXPECT_REFUSED(-EINVAL, addr, good.addr + 1);
	EXPECT_REFUSED(-EINVAL, addr, good.addr + NIC_PAGE / 2);
	EXPECT_REFUSED(-EINVAL, len, 0);
	EXPECT_REFUSED(-EINVAL, len, nic.chunk - 1);
	EXPECT_REFUSED(-EINVAL, len, nic.chunk + 1);
	if (nic.chunk > NIC_PAGE)
		EXPECT_REFUSED(-EINVAL, len, nic.chunk + NIC_PAGE);
	EXPECT_REFUSED(-EINVAL, rq_area_token, 1);
	EXPECT_REFUSED(-EINVAL, flags, 1);
	EXPECT_REFUSED(-EINVAL, flags, 1U << 31);
	EXPECT_REFUSED(-EINVAL, dmabuf_fd, 1);
	EXPECT_REFUSED(-EINVAL, __resv[0], 1);
	EXPECT_REFUSED(-EINVAL, __resv[1], 1);

	EXPECT_EQ(-EFAULT, ifq_add_area(&r->ifq, NULL));
	EXPECT_EQ(-EFAULT, ifq_add_area(&r->ifq, (void *)NOWHERE));

	/* Memory that we may not write, and with a hole */
	p = mmap(NULL, 16 * nic.chunk, PROT_READ,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT_REFUSED(-EFAULT, addr, (unsigned long)p);
	p = ifq_mmap(16 * nic.chunk);
	ASSERT_EQ(0, munmap(p + 15 * nic.chunk, nic.chunk));
	EXPECT_REFUSED(-EFAULT, addr, (unsigned long)p);
	if (nic.chunk > NIC_PAGE)
		EXPECT_REFUSED(-ERANGE, addr, scattered_memory(_metadata));

	/* The token can't be told: then there is no area. */
	read_only = ifq_mmap(NIC_PAGE);
	*read_only = good;
	ASSERT_EQ(0, mprotect(read_only, NIC_PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, ifq_add_area(&r->ifq, read_only));
	EXPECT_EQ(pinned, proc_pinned_kib());

	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(NR_CHUNKS, stats.chunks);
	EXPECT_EQ(0, ifq_add_area(&r->ifq, &good));
	EXPECT_EQ(1ULL << IORING_ZCRX_AREA_SHIFT, good.rq_area_token);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(NR_CHUNKS + 16, stats.chunks);
}

/* What was locked by others before us is unlocked a little later. */
static int register_patiently(struct receiver *r)
{
	unsigned int ms;
	int ret;

	for (ms = 0; ms < PATIENCE_MS; ms += 50) {
		ret = receiver_register(r);
		if (ret != -ENOMEM)
			break;
		proc_sleep_ms(50);
	}

	return ret;
}

/* An area is charged like those before it, if it is accepted. */
TEST_F_TIMEOUT(events, add_area_memlock, TIMEOUT_S)
{
	struct io_uring_zcrx_area_reg area = {
		.addr	= (unsigned long)receiver_mmap(32 * nic.chunk),
		.len	= 17 * nic.chunk,
	};
	struct receiver *r = &self->r;
	struct rlimit limit;
	long pinned;

	ifq_args_set_nodev(&r->args);
	limit.rlim_cur = self->area_size + r->args.refill.size +
			 r->args.rbuf.size + 16 * nic.chunk;
	limit.rlim_max = limit.rlim_cur;
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, proc_drop_capability(CAP_IPC_LOCK));
	ASSERT_EQ(0, register_patiently(r));
	pinned = proc_pinned_kib();

	EXPECT_EQ(-ENOMEM, ifq_add_area(&r->ifq, &area));
	EXPECT_EQ(pinned, proc_pinned_kib());
	area.len = 16 * nic.chunk;
	EXPECT_EQ(0, ifq_add_area(&r->ifq, &area));
	EXPECT_EQ(pinned + 16 * nic.chunk / 1024, proc_pinned_kib());
	area.len = nic.chunk;
	area.rq_area_token = 0;
	EXPECT_EQ(-ENOMEM, ifq_add_area(&r->ifq, &area));
	receive_flow(_metadata, r, 1 << 20);
}

TEST_F_TIMEOUT(events, most_areas, TIMEOUT_S)
{
	struct io_uring_zcrx_area_reg area;
	struct receiver *r = &self->r;
	struct ifq_stats stats;
	char *p = receiver_mmap(MAX_AREAS * nic.chunk);
	long pinned;
	__u64 i, bytes;

	ASSERT_NE(NULL, p);
	r->args.areas[0].len = 64 * nic.chunk;
	ASSERT_EQ(0, receiver_register(r));
	for (i = 1; i < MAX_AREAS; i++) {
		area = (struct io_uring_zcrx_area_reg) {
			.len	= nic.chunk,
			.addr	= (unsigned long)p + i * nic.chunk,
		};
		ASSERT_EQ(0, ifq_add_area(&r->ifq, &area));
		ASSERT_EQ(i << IORING_ZCRX_AREA_SHIFT, area.rq_area_token);
		r->ifq.areas[i] = area;
	}
	pinned = proc_pinned_kib();
	EXPECT_EQ((64 + MAX_AREAS - 1) * nic.chunk / 1024, pinned);

	area.addr = (unsigned long)p;
	area.rq_area_token = 0;
	EXPECT_EQ(-ENOSPC, ifq_add_area(&r->ifq, &area));
	EXPECT_EQ(pinned, proc_pinned_kib());
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(64 + MAX_AREAS - 1, stats.chunks);

	/* And they can be received into. */
	r->hold = 16;
	receive_flow(_metadata, r, 4 << 20);
	for (i = 1, bytes = 0; i < MAX_AREAS; i++)
		bytes += r->area_bytes[i];
	EXPECT_LT(0, bytes);
}

/*
 * Descriptions of events
 */

#define STATS_OFFSET	((ENTRIES + 256) * 16)

static const struct refusal refusals[] = {
	REFUSED(reg.event_desc, NOWHERE, -EFAULT),
	REFUSED(events.type_mask, 1U << 2, -EINVAL),
	REFUSED(events.type_mask, 1U << 15, -EINVAL),
	REFUSED(events.type_mask, 1U << 19, -EINVAL),
	REFUSED(events.type_mask, 1U << 31, -EINVAL),
	REFUSED(events.type_mask, ~0U, -EINVAL),
	/* An offset, and no flag */
	REFUSED(events.flags, 0, -EINVAL),
	REFUSED(events.flags, ZCRX_EVENT_DESC_FLAG_STATS | 2, -EINVAL),
	REFUSED(events.flags, ZCRX_EVENT_DESC_FLAG_STATS | 1U << 31, -EINVAL),
	/* The ring's own, or not aligned, or not in the region */
	REFUSED(events.stats_offset, 0, -EINVAL),
	REFUSED(events.stats_offset, 8, -EINVAL),
	REFUSED(events.stats_offset, ENTRIES * 16, -EINVAL),
	REFUSED(events.stats_offset, STATS_OFFSET + 1, -EINVAL),
	REFUSED(events.stats_offset, STATS_OFFSET + 4, -EINVAL),
	REFUSED(events.stats_offset, 1 << 20, -EINVAL),
	REFUSED(events.stats_offset, ~0ULL, -EINVAL),
	REFUSED(events.stats_offset, ~7ULL, -EINVAL),
	REFUSED(events.stats_offset, 1ULL << 32 | STATS_OFFSET, -EINVAL),
	REFUSED(events.__resv[0], 1, -EINVAL),
	REFUSED(events.__resv[8], 1, -EINVAL),
};

FIXTURE(desc)
{
	struct uring ring;
	struct ifq ifq;
	struct ifq_args args;
};

FIXTURE_VARIANT(desc)
{
	bool rbuf;
	bool nodev;
};

FIXTURE_VARIANT_ADD(desc, rbuf) { .rbuf = true };
FIXTURE_VARIANT_ADD(desc, cqe32) { .rbuf = false };
FIXTURE_VARIANT_ADD(desc, nodev) { .nodev = true };

FIXTURE_SETUP(desc)
{
	ASSERT_EQ(0, uring_init(&self->ring,
				variant->rbuf ? 0 : URING_CQE32_FLAGS, 64));
	ifq_args_init(&self->args, nic_ifindex(), nic.rxq, variant->rbuf,
		      AREA_SIZE, ENTRIES);
	if (variant->nodev)
		ifq_args_set_nodev(&self->args);
	ifq_args_set_events(&self->args, 1, ALL_EVENTS);
}

FIXTURE_TEARDOWN(desc)
{
	uring_exit(&self->ring);
}

static int register_at(FIXTURE_DATA(desc) *self, __u64 stats_offset)
{
	self->args.events.stats_offset = stats_offset;

	return ifq_register(&self->ifq, &self->ring, &self->args);
}

TEST_F(desc, refused)
{
	check_refusals(_metadata, &self->ring, &self->args, refusals,
		       ARRAY_SIZE(refusals));
	EXPECT_EQ(-EINVAL, register_at(self, self->args.refill.size - 8));
	EXPECT_EQ(-EINVAL, register_at(self, self->args.refill.size));
	EXPECT_EQ(0, register_at(self, self->args.refill.size - 16));
	EXPECT_EQ(0, self->ifq.id);
}

/* While a ring is not enabled there is nobody to be told. */
TEST_F(desc, ring_disabled)
{
	struct uring ring;

	ASSERT_EQ(0, uring_init(&ring, self->ring.flags |
				IORING_SETUP_R_DISABLED, 64));
	EXPECT_EQ(-EBADFD, ifq_register(&self->ifq, &ring, &self->args));
	EXPECT_EQ(0, proc_pinned_kib());
	ASSERT_EQ(0, uring_register(&ring, IORING_REGISTER_ENABLE_RINGS, NULL,
				    0));
	EXPECT_EQ(0, ifq_register(&self->ifq, &ring, &self->args));
	EXPECT_EQ(0, self->ifq.id);
	uring_exit(&ring);
}

/* Right behind the last entry */
TEST_F(desc, next_to_entries)
{
	struct ifq_args args = self->args;
	__u64 end;

	ASSERT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	end = self->args.reg.offsets.rqes + ENTRIES * 16;
	uring_exit(&self->ring);
	ASSERT_EQ(0, uring_init(&self->ring,
				variant->rbuf ? 0 : URING_CQE32_FLAGS, 64));
	memcpy(&self->args, &args, sizeof(args));
	EXPECT_EQ(-EINVAL, register_at(self, end - 8));
	EXPECT_EQ(-EINVAL, register_at(self, end - 16));
	EXPECT_EQ(0, register_at(self, end));
}

/* None, all, without numbers */
TEST_F(desc, accepted)
{
	static const __u32 masks[] = { 0, MASK(COPY), ALL_EVENTS };
	struct ifq_args args = self->args;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(masks); i++) {
		self->args.events.type_mask = masks[i];
		self->args.events.flags = 0;
		EXPECT_EQ(0, register_at(self, 0));
		uring_exit(&self->ring);
		ASSERT_EQ(0, uring_init(&self->ring, variant->rbuf ? 0 :
					URING_CQE32_FLAGS, 64));
		memcpy(&self->args, &args, sizeof(args));
	}
}

ZCRX_TEST_MAIN
