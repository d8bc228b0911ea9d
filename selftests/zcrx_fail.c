// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The kernel runs out of memory, or can't reach the user's, at each place where
 * it may come to that, one at a time until none is left: in registration, receive,
 * teardown and restarts. What fails says so and leaves nothing behind; the queue
 * can be registered again at once, and bytes are right.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/io_uring/query.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "admin.h"
#include "faults.h"
#include "kselftest_harness.h"
#include "memlock.h"
#include "netlink.h"
#include "nic.h"
#include "plain.h"
#include "proc.h"
#include "receiver.h"

#define PAGE		4096
#define AREA_SIZE	(1 << 20)
#define SMALL_AREA	(64 << 10)
#define RINGS_SIZE	(256 << 10)
#define ENTRIES		1024
#define WRITE_SIZE	(16 << 10)
#define FLOW_BYTES	(64 << 10)
#define RECEIVE_BYTES	(256 << 10)
#define TIMEOUT_S	600

/* Each descriptor takes memory, which may fail. */
#define RX_RING		80

/* No operation comes to so many places: it would never end. */
#define MAX_PLACES	3000
#define FIRST_PLACES	32
#define PLACES_STEP	16

/* How often to see that traffic flows, or that it works next time: takes time */
#define TRAFFIC_EVERY	16
#define RETRY_EVERY	4

/* A page pool looks once a second whether all of its pages have come back. */
#define PATIENCE_MS	10000

/* If they have by then, and the area has not, a page pool goes on with it. */
#define RELEASE_MS	1000
#define RELEASE_LATE_MS	2500

/* What a NIC that got no memory may need to try again, and TCP, too */
#define STALL_MS	20000

/* Of places, only each so many-th is tried: ZCRX_FAIL_EVERY. */
static unsigned int places_every = 1;

/* What happens at which place, which one that is, and how often it mattered */
struct tally {
	enum faults_kind	kind;
	unsigned int		place;
	unsigned int		nr;
	unsigned int		failed;
};

/* Want of memory, and an address that can't be reached */
static bool is_fault(int ret)
{
	return ret == -ENOMEM || ret == -EFAULT;
}

/* One of these sizes */
static bool is_pinned_or(size_t size, size_t other, unsigned int patience_ms)
{
	unsigned int ms;
	size_t pinned;

	for (ms = 0;; ms += 20) {
		pinned = (size_t)proc_pinned_kib() << 10;
		if (pinned == size || pinned == other)
			return true;
		if (ms >= patience_ms)
			return false;
		proc_sleep_ms(20);
	}
}

static bool is_pinned(size_t size, unsigned int patience_ms)
{
	return is_pinned_or(size, size, patience_ms);
}

/* Charged for all that is pinned, with room for two ifqs: not for what leaks. */
static void prepare(struct __test_metadata *_metadata)
{
	ASSERT_TRUE(faults_open());
	ASSERT_EQ(0, memlock_be_charged(2 * (AREA_SIZE + SMALL_AREA +
					     RINGS_SIZE)));
}

static struct tally begin(enum faults_kind kind)
{
	return (struct tally) { .kind = kind, .place = 1, .nr = 1 };
}

/* Without memory from some place on, it is all the same after the first ones. */
static bool next_place(struct __test_metadata *_metadata, struct tally *tally)
{
	bool step = tally->kind == FAULTS_FROM && tally->place > FIRST_PLACES;

	tally->place += (step ? PLACES_STEP : 1) * places_every;
	tally->nr++;
	EXPECT_GT(MAX_PLACES * places_every, tally->place);

	return _metadata->exit_code == KSFT_PASS;
}

/*
 * At the end: faults were there, and what looks for leaks still does. A fault in
 * a receive may do no harm at all.
 */
static void check_tally(struct __test_metadata *_metadata,
			const struct tally *tally)
{
	TH_LOG("%u places up to %u, %s; %u mattered", tally->nr - 1,
	       tally->place - 1,
	       tally->kind == FAULTS_ONE ? "one at a time" :
					   "and all from there on",
	       tally->failed);
	EXPECT_LT(1, tally->place);
	EXPECT_FALSE(faults_spoil_kmemleak());
}

/* And they did harm at some of the places, if all were tried. */
static void check_failures(struct __test_metadata *_metadata,
			   const struct tally *tally)
{
	check_tally(_metadata, tally);
	if (places_every == 1)
		EXPECT_LT(0, tally->failed);
}

/*
 * An area may be late to go: when its page pool next looks. Before that, only so
 * many more can be registered.
 */
static void expect_released(struct __test_metadata *_metadata,
			    const struct tally *tally)
{
	EXPECT_TRUE(is_pinned(0, PATIENCE_MS))
		TH_LOG("place %u: %ld KiB stay pinned", tally->place,
		       proc_pinned_kib());
}

/* So many bytes of a new connection, all right */
static void receive_flow(struct __test_metadata *_metadata, struct receiver *r)
{
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, FLOW_BYTES,
				     WRITE_SIZE))
		TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
	receiver_disconnect(r);
}

/* Somebody new has the queue. */
static void use_queue(struct __test_metadata *_metadata,
		      enum receiver_mode mode)
{
	struct receiver r;

	ASSERT_TRUE(receiver_open(&r, mode, AREA_SIZE)) TH_LOG("%s", r.why);
	receive_flow(_metadata, &r);
	receiver_close(&r);
}

/*
 * Registration
 */

FIXTURE(registration)
{
	struct receiver r;
	struct ifq_args args;
	size_t size;
};

typedef FIXTURE_DATA(registration) registration_data;

FIXTURE_VARIANT(registration)
{
	enum receiver_mode	mode;
	bool			nodev;
	bool			kernel_memory;
};

FIXTURE_VARIANT_ADD(registration, rbuf) { .mode = RECV_RBUF };
FIXTURE_VARIANT_ADD(registration, cqe32) {
	.mode = RECV_CQE32, .kernel_memory = true,
};
FIXTURE_VARIANT_ADD(registration, nodev_rbuf) {
	.mode = RECV_RBUF, .nodev = true, .kernel_memory = true,
};
FIXTURE_VARIANT_ADD(registration, nodev_cqe32) {
	.mode = RECV_CQE32, .nodev = true,
};

/* With all that a registration can ask for */
FIXTURE_SETUP(registration)
{
	struct receiver *r = &self->r;

	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	prepare(_metadata);
	receiver_prepare(r, variant->mode, AREA_SIZE);
	self->size = AREA_SIZE;
	ifq_args_set_events(&r->args, RECEIVER_EVENT,
			    1 << ZCRX_EVENT_ALLOC_FAIL | 1 << ZCRX_EVENT_COPY);
	if (variant->mode != RECV_CQE32) {
		ifq_args_set_area(&r->args, 1, ifq_mmap(SMALL_AREA), SMALL_AREA);
		self->size += SMALL_AREA;
	}
	if (variant->nodev)
		ifq_args_set_nodev(&r->args);
	if (variant->kernel_memory)
		ifq_args_use_kernel_memory(&r->args);
	self->args = r->args;
	EXPECT_EQ(0, proc_pinned_kib());
}

FIXTURE_TEARDOWN(registration)
{
}

static void open_ring(struct __test_metadata *_metadata, struct receiver *r)
{
	ASSERT_EQ(0, uring_init(&r->ring, r->ring_flags, r->cq_entries));
}

/* On failure, r.ifq has a ring if the kernel did its part. */
static int register_ifq(registration_data *self)
{
	struct receiver *r = &self->r;
	int ret;

	/* All but the pointers is the kernel's to change. */
	r->args = self->args;
	r->ifq.ring = NULL;
	ret = ifq_register(&r->ifq, &r->ring, &r->args);
	r->requests_id = r->ifq.id;

	return ret;
}

/*
 * If memory has run out for good, the queue may be given back without being
 * restarted: then the area goes with the next restart.
 */
static void expect_unpinned(struct __test_metadata *_metadata,
			    registration_data *self, const struct tally *tally)
{
	size_t other = tally->kind == FAULTS_FROM ? self->size : 0;

	EXPECT_TRUE(is_pinned_or(0, other, PATIENCE_MS))
		TH_LOG("place %u: %ld KiB stay pinned", tally->place,
		       proc_pinned_kib());
}

/*
 * Nothing is there, and the ring can register it. Only without its rings mapped,
 * an ifq is of no use: it goes with the ring.
 */
static void expect_nothing(struct __test_metadata *_metadata,
			   registration_data *self, const struct tally *tally)
{
	struct receiver *r = &self->r;

	if (r->ifq.ring) {
		receiver_close_ring(r);
		open_ring(_metadata, r);
	}
	expect_unpinned(_metadata, self, tally);
}

static void register_again(struct __test_metadata *_metadata,
			   registration_data *self)
{
	ASSERT_EQ(0, register_ifq(self));
	EXPECT_EQ(0, self->r.ifq.id);
	EXPECT_TRUE(is_pinned(self->size, PATIENCE_MS))
		TH_LOG("%ld KiB are pinned", proc_pinned_kib());
}

/* Nothing but the end of the ring ends an ifq. */
static void end_ifq(struct __test_metadata *_metadata, registration_data *self,
		    const struct tally *tally)
{
	struct receiver *r = &self->r;

	receiver_close_ring(r);
	expect_released(_metadata, tally);
	open_ring(_metadata, r);
}

/* Returns whether there was a place to fail. */
static bool registration_fails(struct __test_metadata *_metadata,
			       registration_data *self, struct tally *tally)
{
	bool retry = tally->nr % RETRY_EVERY == 0, hit;
	int ret;

	faults_arm(tally->kind, tally->place);
	ret = register_ifq(self);
	hit = !faults_disarm();
	if (ret) {
		tally->failed++;
		EXPECT_TRUE(hit && is_fault(ret))
			TH_LOG("place %u: %d", tally->place, ret);
		expect_nothing(_metadata, self, tally);
		if (!retry)
			return hit;
		register_again(_metadata, self);
	}
	if (!hit || tally->nr % TRAFFIC_EVERY == 0)
		receive_flow(_metadata, &self->r);
	end_ifq(_metadata, self, tally);

	return hit;
}

static void fail_registration(struct __test_metadata *_metadata,
			      registration_data *self, enum faults_kind kind)
{
	struct tally tally = begin(kind);

	open_ring(_metadata, &self->r);
	while (registration_fails(_metadata, self, &tally) &&
	       next_place(_metadata, &tally))
		;
	check_failures(_metadata, &tally);
}

TEST_F_TIMEOUT(registration, one, TIMEOUT_S)
{
	fail_registration(_metadata, self, FAULTS_ONE);
}

TEST_F_TIMEOUT(registration, all, TIMEOUT_S)
{
	fail_registration(_metadata, self, FAULTS_FROM);
}

/*
 * Other system calls
 */

FIXTURE(call)
{
	struct receiver r;
	struct ifq_stats stats;
	struct io_uring_zcrx_area_reg area;
	struct ifq_args import;
	struct uring importer;
	int exported;
	unsigned int nr_files;
	int fdinfo;
	void *map;
};

typedef FIXTURE_DATA(call) call_data;

/* A system call, what is to be done before it, and after it whatever it said */
FIXTURE_VARIANT(call)
{
	int	(*run)(call_data *self);
	bool	(*before)(call_data *self);
	bool	(*after)(call_data *self, int ret);
	bool	nodev;
	bool	kernel_memory;
};

static unsigned int count_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);

	return nr;
}

static bool before_export(call_data *self)
{
	self->nr_files = count_files();

	return true;
}

static int run_export(call_data *self)
{
	self->exported = ifq_export(&self->r.ifq);

	return self->exported < 0 ? self->exported : 0;
}

static bool after_export(call_data *self, int ret)
{
	if (!ret)
		close(self->exported);

	return count_files() == self->nr_files;
}

FIXTURE_VARIANT_ADD(call, export) {
	.before = before_export, .run = run_export, .after = after_export,
};

static bool before_import(call_data *self)
{
	self->exported = ifq_export(&self->r.ifq);
	ifq_args_init_import(&self->import, self->exported, true);

	return self->exported >= 0 && !uring_init(&self->importer, 0, ENTRIES);
}

static int run_import(call_data *self)
{
	return uring_register(&self->importer, REGISTER_ZCRX_IFQ,
			      &self->import.reg, 1);
}

static bool after_import(call_data *self, int ret)
{
	uring_exit(&self->importer);
	close(self->exported);

	return ret || self->import.reg.rq_entries == self->r.args.reg.rq_entries;
}

FIXTURE_VARIANT_ADD(call, import) {
	.before = before_import, .run = run_import, .after = after_import,
};

static bool before_add_area(call_data *self)
{
	memlock_limit(RLIM_INFINITY);
	memset(&self->area, 0, sizeof(self->area));
	self->area.addr = (unsigned long)ifq_mmap(SMALL_AREA);
	self->area.len = SMALL_AREA;

	return self->area.addr && ifq_read_stats(&self->r.ifq, &self->stats);
}

static int run_add_area(call_data *self)
{
	return ifq_add_area(&self->r.ifq, &self->area);
}

/* It is there as a whole or not at all. */
static bool after_add_area(call_data *self, int ret)
{
	struct ifq *ifq = &self->r.ifq;
	unsigned long long chunks = self->stats.chunks;

	if (ret) {
		munmap((void *)(unsigned long)self->area.addr, SMALL_AREA);
	} else {
		ifq->areas[self->area.rq_area_token >> IORING_ZCRX_AREA_SHIFT] =
			self->area;
		chunks += SMALL_AREA / PAGE;
	}

	return ifq_read_stats(ifq, &self->stats) &&
	       self->stats.chunks == chunks &&
	       proc_pinned_kib() == (long)(chunks * PAGE / 1024);
}

FIXTURE_VARIANT_ADD(call, add_area) {
	.before = before_add_area, .run = run_add_area, .after = after_add_area,
};

/* Without a NIC all is copied, and told when it was armed. */
static int run_arm_event(call_data *self)
{
	return ifq_arm_event(&self->r.ifq, ZCRX_EVENT_COPY);
}

FIXTURE_VARIANT_ADD(call, arm_event) { .run = run_arm_event, .nodev = true };

static int run_flush(call_data *self)
{
	return ifq_flush(&self->r.ifq);
}

FIXTURE_VARIANT_ADD(call, flush) { .run = run_flush };

static int run_resume(call_data *self)
{
	return ifq_kick(&self->r.ifq);
}

FIXTURE_VARIANT_ADD(call, resume) { .run = run_resume };

static int run_query(call_data *self)
{
	struct io_uring_query_zcrx_event event;
	struct io_uring_query_zcrx zcrx;
	struct io_uring_query_hdr hdrs[2] = {
		{
			.query_op	= IO_URING_QUERY_ZCRX,
			.query_data	= (unsigned long)&zcrx,
			.size		= sizeof(zcrx),
			.next_entry	= (unsigned long)&hdrs[1],
		}, {
			.query_op	= IO_URING_QUERY_ZCRX_EVENT,
			.query_data	= (unsigned long)&event,
			.size		= sizeof(event),
		},
	};

	return uring_register(&self->r.ring, REGISTER_QUERY, hdrs, 0) ?:
	       hdrs[0].result ?: hdrs[1].result;
}

FIXTURE_VARIANT_ADD(call, query) { .run = run_query };

static int run_mmap(call_data *self)
{
	const struct io_uring_region_desc *desc = &self->r.args.rbuf;

	self->map = mmap(NULL, desc->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->r.ring.fd, desc->mmap_offset);

	return self->map == MAP_FAILED ? -errno : 0;
}

static bool after_mmap(call_data *self, int ret)
{
	const struct ifq_map *mine = &self->r.ifq.maps[1];

	if (ret)
		return true;
	ret = memcmp(self->map, mine->addr, mine->size);

	return !munmap(self->map, self->r.args.rbuf.size) && !ret;
}

FIXTURE_VARIANT_ADD(call, mmap) {
	.run = run_mmap, .after = after_mmap, .kernel_memory = true,
};

static bool before_fdinfo(call_data *self)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->r.ring.fd);
	self->fdinfo = open(path, O_RDONLY | O_CLOEXEC);

	return self->fdinfo >= 0;
}

static int run_fdinfo(call_data *self)
{
	static char text[2 * PAGE];

	return read(self->fdinfo, text, sizeof(text)) < 0 ? -errno : 0;
}

static bool after_fdinfo(call_data *self, int ret)
{
	return !close(self->fdinfo);
}

FIXTURE_VARIANT_ADD(call, fdinfo) {
	.before = before_fdinfo, .run = run_fdinfo, .after = after_fdinfo,
};

FIXTURE_SETUP(call)
{
	struct receiver *r = &self->r;

	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	prepare(_metadata);
	receiver_prepare(r, RECV_RBUF, AREA_SIZE);
	ifq_args_set_events(&r->args, RECEIVER_EVENT, 1 << ZCRX_EVENT_COPY);
	if (variant->nodev)
		ifq_args_set_nodev(&r->args);
	if (variant->kernel_memory)
		ifq_args_use_kernel_memory(&r->args);
	ASSERT_EQ(0, receiver_register(r));
	receive_flow(_metadata, r);
}

FIXTURE_TEARDOWN(call)
{
	receiver_close(&self->r);
}

static bool call_fails(struct __test_metadata *_metadata, call_data *self,
		       const FIXTURE_VARIANT(call) *variant, struct tally *tally)
{
	bool hit;
	int ret;

	if (variant->before)
		ASSERT_TRUE(variant->before(self));
	faults_arm(tally->kind, tally->place);
	ret = variant->run(self);
	hit = !faults_disarm();
	if (ret) {
		tally->failed++;
		EXPECT_TRUE(hit && is_fault(ret))
			TH_LOG("place %u: %d", tally->place, ret);
	}
	if (variant->after)
		EXPECT_TRUE(variant->after(self, ret))
			TH_LOG("place %u", tally->place);
	if (!hit || variant->nodev || tally->nr % TRAFFIC_EVERY == 0)
		receive_flow(_metadata, &self->r);

	return hit;
}

static void fail_call(struct __test_metadata *_metadata, call_data *self,
		      const FIXTURE_VARIANT(call) *variant,
		      enum faults_kind kind)
{
	struct tally tally = begin(kind);

	while (call_fails(_metadata, self, variant, &tally) &&
	       next_place(_metadata, &tally))
		;
	check_failures(_metadata, &tally);
}

TEST_F_TIMEOUT(call, one, TIMEOUT_S)
{
	fail_call(_metadata, self, variant, FAULTS_ONE);
}

TEST_F_TIMEOUT(call, all, TIMEOUT_S)
{
	fail_call(_metadata, self, variant, FAULTS_FROM);
}

/*
 * Receive: requests may end, and are made again.
 */

FIXTURE(receive)
{
	struct receiver r;
	struct flow flow;
	unsigned int to_submit;
	bool requested;
	int error;
	unsigned int nr_errors;
};

FIXTURE_VARIANT(receive)
{
	enum receiver_mode mode;
};

FIXTURE_VARIANT_ADD(receive, rbuf) { .mode = RECV_RBUF };
FIXTURE_VARIANT_ADD(receive, oneshot) { .mode = RECV_RBUF_ONESHOT };
FIXTURE_VARIANT_ADD(receive, cqe32) { .mode = RECV_CQE32 };

typedef FIXTURE_DATA(receive) receive_data;

FIXTURE_SETUP(receive)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	prepare(_metadata);
}

FIXTURE_TEARDOWN(receive)
{
	faults_stop_everywhere();
}

/* Nobody looks at what is returned before enter(). */
static struct io_uring_sqe *request(receive_data *self)
{
	struct uring *ring = &self->r.ring;
	struct io_uring_sqe *sqe = uring_sqe(ring);

	sqe->opcode = OP_RECV_ZC;
	sqe->fd = self->flow.fd;
	sqe->splice_fd_in = self->r.ifq.id;
	/* There is more to it if it has to wait. */
	sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
	if (self->r.mode != RECV_RBUF_ONESHOT)
		sqe->ioprio |= IORING_RECV_MULTISHOT;
	/* What is not taken at once must stay. */
	ring->to_submit = 0;
	__atomic_store_n(ring->sq_tail, *ring->sq_tail + 1, __ATOMIC_RELEASE);
	self->to_submit = 1;
	self->requested = true;

	return sqe;
}

static int enter(receive_data *self)
{
	struct __kernel_timespec ts = { .tv_nsec = 200 * 1000000L };
	struct io_uring_getevents_arg arg = { .ts = (unsigned long)&ts };
	struct receiver *r = &self->r;
	bool wait = r->mode == RECV_CQE32 || ifq_rbuf_may_sleep(&r->ifq);
	int ret;

	ret = syscall(__NR_io_uring_enter, r->ring.fd, self->to_submit, wait,
		      IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg,
		      sizeof(arg));
	if (ret < 0)
		return -errno;
	self->to_submit -= ret;

	return 0;
}

static bool may_be_tried_again(int error)
{
	return is_fault(error) || error == -EAGAIN || error == -ECANCELED ||
	       error == -ENOBUFS || error == -ENOSPC || error == -ETIME ||
	       error == -EBUSY || error == -EINTR;
}

static bool take_piece(receive_data *self, __u64 off, __u32 len)
{
	struct ifq *ifq = &self->r.ifq;

	return flow_receive(&self->flow, ifq_addr(ifq, off), len) &&
	       ifq_give_back(ifq, off);
}

static bool take_rbufs(receive_data *self)
{
	struct ifq *ifq = &self->r.ifq;

	while (ifq_rbuf_available(ifq)) {
		struct io_uring_rbuf_cqe cqe = ifq_rbuf_read(ifq);

		if (!take_piece(self, cqe.off, cqe.len))
			return false;
	}
	ifq_rbuf_release(ifq);
	ifq_refill_submit(ifq);

	return !ifq_needs_kick(ifq) || !ifq_kick(ifq);
}

static bool request_ends(receive_data *self, int res)
{
	self->requested = false;
	if (res < 0) {
		self->error = res;
		self->nr_errors++;
		return may_be_tried_again(res);
	}
	self->flow.eof = !res;

	return !res || self->r.mode == RECV_RBUF_ONESHOT;
}

static bool take_cqes(receive_data *self)
{
	struct io_uring_cqe cqe;
	__u64 extra[2];

	while (uring_pop(&self->r.ring, &cqe, extra)) {
		if (!(cqe.flags & IORING_CQE_F_MORE)) {
			if (!request_ends(self, cqe.res))
				return false;
		} else if (self->r.mode == RECV_CQE32) {
			if (!take_piece(self, extra[0], cqe.res))
				return false;
		}
	}
	ifq_refill_submit(&self->r.ifq);

	return true;
}

static bool take(receive_data *self)
{
	return take_cqes(self) &&
	       (self->r.mode == RECV_CQE32 || take_rbufs(self));
}

static void receive_faulty(struct __test_metadata *_metadata,
			   receive_data *self, unsigned int *left)
{
	int ret;

	if (!self->requested)
		request(self);
	if (*left)
		faults_arm(FAULTS_ONE, *left);
	ret = enter(self);
	if (*left)
		*left = faults_disarm();
	if (ret && ret != -ETIME) {
		self->error = ret;
		self->nr_errors++;
	}
	ASSERT_TRUE(!ret || may_be_tried_again(ret)) TH_LOG("enter: %d", ret);
	ASSERT_TRUE(take(self)) TH_LOG("wrong bytes, or error %d", self->error);
}

static void open_flow(struct __test_metadata *_metadata, receive_data *self,
		      enum receiver_mode mode)
{
	ASSERT_TRUE(receiver_open(&self->r, mode, AREA_SIZE))
		TH_LOG("%s", self->r.why);
	ASSERT_EQ(0, flow_connect(&self->flow, nic.remote_v4, RECEIVE_BYTES,
				  WRITE_SIZE));
}

static void receive_rest(struct __test_metadata *_metadata, receive_data *self,
			 unsigned int place, unsigned int *left)
{
	struct flow *flow = &self->flow;
	unsigned int tries = 0;
	__u64 got = flow->got;

	while (!flow->eof) {
		receive_faulty(_metadata, self, left);
		tries = flow->got == got ? tries + 1 : 0;
		got = flow->got;
		ASSERT_GT(STALL_MS / 200, tries)
			TH_LOG("place %u: nothing comes after byte %llu, last error %d",
			       place, got, self->error);
	}
	EXPECT_TRUE(flow_complete(flow));
	flow_close(flow);
	receiver_close(&self->r);
}

/*
 * Receives a flow with a fault, wherever that is, through a new ring: an old one
 * keeps memory for requests. Returns whether it came to the fault.
 */
static bool receive_fails(struct __test_metadata *_metadata,
			  receive_data *self, enum receiver_mode mode,
			  struct tally *tally)
{
	unsigned int before = self->nr_errors;
	unsigned int left = tally->place;

	open_flow(_metadata, self, mode);
	receive_rest(_metadata, self, tally->place, &left);
	expect_released(_metadata, tally);
	tally->failed += self->nr_errors != before;

	return !left;
}

TEST_F_TIMEOUT(receive, one, TIMEOUT_S)
{
	struct tally tally = begin(FAULTS_ONE);

	while (receive_fails(_metadata, self, variant->mode, &tally) &&
	       next_place(_metadata, &tally))
		;
	check_tally(_metadata, &tally);
}

/* Waits for the end of a request while there is no memory for its poll. */
static void expect_cancelled(struct __test_metadata *_metadata,
			     receive_data *self)
{
	unsigned int none = 0, before = self->nr_errors, tries;

	ASSERT_TRUE(faults_start_everywhere(100));
	for (tries = 0; tries < STALL_MS / 200; tries++) {
		receive_faulty(_metadata, self, &none);
		if (self->nr_errors != before)
			break;
	}
	faults_stop_everywhere();
	EXPECT_EQ(before + 1, self->nr_errors);
	EXPECT_EQ(-ECANCELED, self->error);
}

/*
 * io_uring does not wait for memory for a poll that stays. A request that gets none
 * goes to a worker, which tries once more, and cancels it: a RECV_ZC as well as a
 * multishot RECV. Made again, it goes on.
 */
TEST_F_TIMEOUT(receive, no_poll, TIMEOUT_S)
{
	struct io_uring_sqe *sqe;
	unsigned int none = 0;

	open_flow(_metadata, self, variant->mode);
	sqe = request(self);
	sqe->opcode = IORING_OP_RECV;
	sqe->ioprio |= IORING_RECV_MULTISHOT;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->splice_fd_in = 0;
	expect_cancelled(_metadata, self);
	request(self);
	expect_cancelled(_metadata, self);
	receive_rest(_metadata, self, 0, &none);
}

/*
 * Interrupts, and whoever else can't wait for memory, get none, now and then.
 */

FIXTURE(everywhere)
{
	struct receiver r;
};

FIXTURE_VARIANT(everywhere)
{
	enum receiver_mode	mode;
	size_t			area_size;
	unsigned int		percent;
};

FIXTURE_VARIANT_ADD(everywhere, in_place) {
	.mode = RECV_RBUF, .area_size = 8 << 20, .percent = 30,
};
FIXTURE_VARIANT_ADD(everywhere, in_place_cqe32) {
	.mode = RECV_CQE32, .area_size = 8 << 20, .percent = 30,
};
/* There are not enough chunks for all descriptors: the NIC gets pages. */
FIXTURE_VARIANT_ADD(everywhere, dry) {
	.mode = RECV_RBUF, .area_size = RX_RING / 2 * PAGE, .percent = 30,
};

FIXTURE_SETUP(everywhere)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	ASSERT_TRUE(receiver_open(&self->r, variant->mode, variant->area_size))
		TH_LOG("%s", self->r.why);
	ASSERT_TRUE(receiver_connect(&self->r, nic.remote_v4, 2, nic.bytes / 2,
				     WRITE_SIZE))
		TH_LOG("%s", self->r.why);
}

FIXTURE_TEARDOWN(everywhere)
{
	faults_stop_everywhere();
	receiver_close(&self->r);
}

/*
 * TCP waits twice as long each time that it has no memory for an ACK, or gets
 * none, up to TCP_RTO_MAX, two minutes. So nothing may come for longer than
 * receiver_run() waits, and then all of it has to.
 */
static bool run_patiently(struct receiver *r)
{
	unsigned int tries = 3;
	bool ok;

	do {
		r->stalled = false;
		ok = receiver_run(r, 0);
	} while (!ok && r->stalled && --tries);

	return ok;
}

TEST_F_TIMEOUT(everywhere, traffic, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	unsigned int nr_faults;
	bool ok;

	r->starved = true;
	ASSERT_TRUE(faults_start_everywhere(variant->percent));
	ok = receiver_run(r, nic.bytes / 4 * 3);
	nr_faults = faults_stop_everywhere();
	TH_LOG("%u faults, %llu bytes meanwhile; %u requests made again, the first for %d",
	       nr_faults, r->bytes, r->nr_ended_early, r->early_res);
	ASSERT_TRUE(ok || r->stalled) TH_LOG("%s", r->why);
	EXPECT_LT(20, nr_faults);
	ASSERT_TRUE(run_patiently(r)) TH_LOG("%s", r->why);
	EXPECT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
	EXPECT_FALSE(faults_spoil_kmemleak());
}

/*
 * Teardown: it can't fail. If the queue can't be restarted, its page pool goes on
 * with the area, and the area stays, until the next restart.
 */

FIXTURE(teardown)
{
	struct receiver r;
};

FIXTURE_VARIANT(teardown)
{
	enum receiver_mode	mode;
	enum faults_kind	kind;
	bool			export;
};

FIXTURE_VARIANT_ADD(teardown, one) {
	.mode = RECV_RBUF, .kind = FAULTS_ONE,
};
FIXTURE_VARIANT_ADD(teardown, all) {
	.mode = RECV_CQE32, .kind = FAULTS_FROM,
};
FIXTURE_VARIANT_ADD(teardown, exported_all) {
	.mode = RECV_RBUF, .kind = FAULTS_FROM, .export = true,
};

FIXTURE_SETUP(teardown)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	ASSERT_TRUE(admin_save());
	prepare(_metadata);
}

FIXTURE_TEARDOWN(teardown)
{
}

/* Returns the last file that has the ifq. */
static int leave_one_file(struct __test_metadata *_metadata, struct receiver *r,
			  bool export)
{
	int fd;

	fd = export ? ifq_export(&r->ifq) :
		      fcntl(r->ring.fd, F_DUPFD_CLOEXEC, 0);
	ASSERT_LE(0, fd);
	receiver_close_ring(r);

	return fd;
}

static void start_traffic(struct __test_metadata *_metadata, struct receiver *r)
{
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, FLOW_ENDLESS,
				     WRITE_SIZE))
		TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, FLOW_BYTES)) TH_LOG("%s", r->why);
}

static void expect_plain(struct __test_metadata *_metadata)
{
	const char *wrong = plain_receive(&plain_recv, nic.remote_v4,
					  FLOW_BYTES, WRITE_SIZE, "");

	EXPECT_EQ(NULL, wrong) TH_LOG("%s", wrong);
}

static void restart_nic(struct __test_metadata *_metadata)
{
	ASSERT_TRUE(admin_down.begin());
	ASSERT_TRUE(admin_down.end());
	admin_restore_addrs();
}

/* One way or another */
static void restart_queue(struct __test_metadata *_metadata,
			  enum receiver_mode mode, bool whole_nic)
{
	expect_plain(_metadata);
	if (whole_nic)
		restart_nic(_metadata);
	else
		use_queue(_metadata, mode);
	EXPECT_TRUE(is_pinned(0, PATIENCE_MS))
		TH_LOG("%ld KiB stay pinned after %s", proc_pinned_kib(),
		       whole_nic ? "down and up" : "the next one");
}

static bool teardown_fails(struct __test_metadata *_metadata,
			   struct receiver *r,
			   const FIXTURE_VARIANT(teardown) *variant,
			   struct tally *tally)
{
	bool traffic = tally->nr % TRAFFIC_EVERY == 0, hit;
	int fd;

	ASSERT_TRUE(receiver_open(r, variant->mode, AREA_SIZE))
		TH_LOG("%s", r->why);
	if (traffic)
		start_traffic(_metadata, r);
	fd = leave_one_file(_metadata, r, variant->export);
	faults_arm(variant->kind, tally->place);
	close(fd);
	hit = !faults_disarm();
	receiver_disconnect(r);
	ifq_args_free(&r->args);
	free(r->held);

	/* What sockets have is late to come back. */
	if (is_pinned(0, traffic || !hit ? RELEASE_LATE_MS : RELEASE_MS)) {
		if (traffic || !hit)
			expect_plain(_metadata);
	} else {
		EXPECT_TRUE(hit) TH_LOG("the area stays pinned");
		tally->failed++;
		restart_queue(_metadata, variant->mode, tally->failed % 2);
	}

	return hit;
}

TEST_F_TIMEOUT(teardown, close, TIMEOUT_S)
{
	struct tally tally = begin(variant->kind);

	while (teardown_fails(_metadata, &self->r, variant, &tally) &&
	       next_place(_metadata, &tally))
		;
	check_failures(_metadata, &tally);
	use_queue(_metadata, variant->mode);
}

/*
 * The NIC can't reach an area: without an IOMMU that does not happen by itself.
 */

#define MAP_FUNCTION	"zcrx_area_dma_map"

FIXTURE(dma)
{
	struct receiver r;
	struct ifq_args args;
};

FIXTURE_VARIANT(dma)
{
	unsigned int after;
};

FIXTURE_VARIANT_ADD(dma, first) { .after = 0 };
FIXTURE_VARIANT_ADD(dma, second) { .after = 1 };

FIXTURE_SETUP(dma)
{
	struct receiver *r = &self->r;
	const char *why;

	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	why = faults_refuse_function(MAP_FUNCTION);
	if (why)
		SKIP(return, MAP_FUNCTION "() can't be made to fail %s", why);
	prepare(_metadata);
	receiver_prepare(r, RECV_RBUF, AREA_SIZE);
	ifq_args_set_area(&r->args, 1, ifq_mmap(SMALL_AREA), SMALL_AREA);
	self->args = r->args;
	ASSERT_EQ(0, uring_init(&r->ring, 0, r->cq_entries));
}

FIXTURE_TEARDOWN(dma)
{
	faults_stop_function();
	receiver_close(&self->r);
}

TEST_F(dma, registration)
{
	struct receiver *r = &self->r;

	ASSERT_TRUE(faults_start_function(MAP_FUNCTION, -EIO, variant->after));
	EXPECT_EQ(-EIO, ifq_register(&r->ifq, &r->ring, &r->args));
	EXPECT_TRUE(faults_stop_function());
	EXPECT_EQ(0, proc_pinned_kib());

	r->args = self->args;
	ASSERT_EQ(0, ifq_register(&r->ifq, &r->ring, &r->args));
	receive_flow(_metadata, r);
}

TEST_F(dma, add_area)
{
	struct io_uring_zcrx_area_reg area = { .len = SMALL_AREA };
	struct receiver *r = &self->r;
	long pinned;

	area.addr = (unsigned long)ifq_mmap(SMALL_AREA);
	ASSERT_EQ(0, ifq_register(&r->ifq, &r->ring, &r->args));
	pinned = proc_pinned_kib();
	ASSERT_TRUE(faults_start_function(MAP_FUNCTION, -EIO, 0));
	EXPECT_EQ(-EIO, ifq_add_area(&r->ifq, &area));
	EXPECT_TRUE(faults_stop_function());
	EXPECT_EQ(pinned, proc_pinned_kib());

	ASSERT_EQ(0, ifq_add_area(&r->ifq, &area));
	EXPECT_EQ(2ULL << IORING_ZCRX_AREA_SHIFT, area.rq_area_token);
	r->ifq.areas[2] = area;
	receive_flow(_metadata, r);
}

/*
 * Header split is set together with ring sizes, which need memory: both, or none.
 */

#define OTHER_RX_RING	(RX_RING * 2)

FIXTURE(settings)
{
	struct netlink nl;
};

FIXTURE_SETUP(settings)
{
	ASSERT_TRUE(faults_open());
}

FIXTURE_TEARDOWN(settings)
{
	netlink_close(&self->nl);
	nic_configure();
	nic_set_rx_ring(RX_RING);
}

struct rings {
	__u8	split;
	__u32	rx;
};

static int take_rings(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;
	struct rings *rings = data;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) == ETHTOOL_A_RINGS_TCP_DATA_SPLIT)
			rings->split = mnl_attr_get_u8(attr);
		else if (mnl_attr_get_type(attr) == ETHTOOL_A_RINGS_RX)
			rings->rx = mnl_attr_get_u32(attr);
	}

	return MNL_CB_OK;
}

/* That it was done may be all that could not be told. */
static void expect_both_or_none(struct __test_metadata *_metadata,
				struct netlink *nl, int ret,
				const struct tally *tally)
{
	union netlink_message m;
	struct rings rings = { .rx = 0 };
	bool done;

	ASSERT_EQ(0, netlink_begin_ethtool(nl, ETHTOOL_MSG_RINGS_GET, nic.name, &m));
	ASSERT_EQ(0, netlink_ask(nl, &m.nlh, take_rings, &rings));
	netlink_close(nl);
	done = rings.rx == OTHER_RX_RING;
	EXPECT_TRUE(ret || done);
	EXPECT_EQ(done ? ETHTOOL_TCP_DATA_SPLIT_DISABLED : ETHTOOL_TCP_DATA_SPLIT_ENABLED,
		  rings.split)
		TH_LOG("place %u: %d, %u descriptors", tally->place, ret, rings.rx);
}

/* Returns whether there was a place to fail. */
static bool settings_fail(struct __test_metadata *_metadata, struct netlink *nl,
			  struct tally *tally)
{
	union netlink_message m;
	bool hit;
	int ret;

	ASSERT_TRUE(nic_set_split("on"));
	nic_set_rx_ring(RX_RING);
	ASSERT_EQ(0, netlink_begin_ethtool(nl, ETHTOOL_MSG_RINGS_SET, nic.name, &m));
	mnl_attr_put_u8(&m.nlh, ETHTOOL_A_RINGS_TCP_DATA_SPLIT,
			ETHTOOL_TCP_DATA_SPLIT_DISABLED);
	mnl_attr_put_u32(&m.nlh, ETHTOOL_A_RINGS_RX, OTHER_RX_RING);
	faults_arm(tally->kind, tally->place);
	ret = netlink_ask(nl, &m.nlh, NULL, NULL);
	hit = !faults_disarm();
	netlink_close(nl);
	if (ret) {
		tally->failed++;
		EXPECT_TRUE(hit) TH_LOG("place %u: %d", tally->place, ret);
	}
	expect_both_or_none(_metadata, nl, ret, tally);

	return hit;
}

TEST_F_TIMEOUT(settings, all, TIMEOUT_S)
{
	struct tally tally = begin(FAULTS_FROM);

	while (settings_fail(_metadata, &self->nl, &tally) &&
	       next_place(_metadata, &tally))
		;
	check_failures(_metadata, &tally);
}

/*
 * An administrator has the bound queue restarted. If there is no memory for it, it
 * works when it is tried again. The connection goes on, and in place.
 */

#define IN_PLACE	(64 << 10)
#define IN_PLACE_LIMIT	(16 << 20)
#define SMALL_BUFFER	(128 << 10)
#define QUIET_MS	1000

FIXTURE(restart)
{
	struct receiver r;
};

FIXTURE_VARIANT(restart)
{
	enum receiver_mode	mode;
	enum faults_kind	kind;
	bool			(*before)(void);
	bool			(*run)(const struct tally *tally);
};

/*
 * Afterwards nobody gives anything back, and the sender is told that there is no
 * room: it does not try in vain again and again, each time later, without a link.
 */
static void expect_in_place(struct __test_metadata *_metadata,
			    struct receiver *r)
{
	ASSERT_TRUE(admin_down.end());
	ASSERT_TRUE(receiver_run_in_place(r, IN_PLACE, IN_PLACE_LIMIT))
		TH_LOG("%s", r->why);
	proc_sleep_ms(QUIET_MS);
}

static bool resize(const struct tally *tally)
{
	return nic_set_rx_ring(tally->nr % 2 ? OTHER_RX_RING : RX_RING);
}

static bool go_down(void)
{
	return admin_set_up(false);
}

static bool go_up(const struct tally *tally)
{
	return admin_set_up(true);
}

FIXTURE_VARIANT_ADD(restart, resize_one) {
	.mode = RECV_RBUF, .kind = FAULTS_ONE, .run = resize,
};
FIXTURE_VARIANT_ADD(restart, resize_all) {
	.mode = RECV_CQE32, .kind = FAULTS_FROM, .run = resize,
};
FIXTURE_VARIANT_ADD(restart, up_one) {
	.mode = RECV_CQE32, .kind = FAULTS_ONE, .before = go_down, .run = go_up,
};
FIXTURE_VARIANT_ADD(restart, up_all) {
	.mode = RECV_RBUF, .kind = FAULTS_FROM, .before = go_down, .run = go_up,
};

FIXTURE_SETUP(restart)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	ASSERT_TRUE(admin_save());
	prepare(_metadata);
	receiver_prepare(&self->r, variant->mode, AREA_SIZE);
	self->r.rcvbuf = SMALL_BUFFER;
	ASSERT_EQ(0, receiver_register(&self->r));
	start_traffic(_metadata, &self->r);
	expect_in_place(_metadata, &self->r);
}

FIXTURE_TEARDOWN(restart)
{
	receiver_close(&self->r);
	admin_set_up(true);
	admin_restore_addrs();
	nic_configure();
	nic_set_rx_ring(RX_RING);
}

/* Returns whether there was a place to fail. */
static bool restart_fails(struct __test_metadata *_metadata,
			  struct receiver *r,
			  const FIXTURE_VARIANT(restart) *variant,
			  struct tally *tally)
{
	bool ok, hit;

	if (variant->before)
		ASSERT_TRUE(variant->before());
	faults_arm(tally->kind, tally->place);
	ok = variant->run(tally);
	hit = !faults_disarm();
	if (!ok) {
		tally->failed++;
		EXPECT_TRUE(hit) TH_LOG("place %u", tally->place);
		EXPECT_TRUE(variant->run(tally))
			TH_LOG("place %u, tried again", tally->place);
	}
	if (hit && tally->nr % TRAFFIC_EVERY)
		return true;

	/* IPv4 comes up without a route that it has no memory for. */
	if (variant->before)
		admin_renew_addrs();
	expect_in_place(_metadata, r);

	return hit;
}

TEST_F_TIMEOUT(restart, bound, TIMEOUT_S)
{
	struct tally tally = begin(variant->kind);

	while (restart_fails(_metadata, &self->r, variant, &tally) &&
	       next_place(_metadata, &tally))
		;
	check_failures(_metadata, &tally);
}

int main(int argc, char **argv)
{
	const char *every = getenv("ZCRX_FAIL_EVERY"), *lack;

	if (every && atoi(every) > 0)
		places_every = atoi(every);

	nic_setup();
	lack = faults_setup();
	if (lack)
		ksft_exit_skip("the running kernel has no faults on demand: it lacks %s\n",
			       lack);
	nic_set_rx_ring(RX_RING);

	return test_harness_run(argc, argv);
}
