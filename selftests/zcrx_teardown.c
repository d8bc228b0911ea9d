// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * An ifq ends while an administrator does something to the NIC: before, between,
 * after, and at the same time. Whoever has seen it end can register the queue at
 * once; connections, and chunks that other sockets hold, live on; nothing stays
 * pinned.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "admin.h"
#include "kselftest_harness.h"
#include "memlock.h"
#include "nic.h"
#include "plain.h"
#include "pools.h"
#include "proc.h"
#include "receiver.h"
#include "victim.h"

#define WRITE_SIZE	(64 << 10)
#define SMALL_AREA	(1 << 20)
#define FLOW_BYTES	(256 << 10)
#define TIMEOUT_S	1200

/* So much fits into a socket that nobody reads. */
#define HELD_BYTES	(24 << 10)
#define MAX_HELD	4

/* Both at the same time means within so many of each other. */
#define RACE_MS		150

/* A page pool looks once a second whether all of its pages have come back. */
#define PATIENCE_MS	10000

static unsigned int random_below(unsigned int n)
{
	unsigned int v = 0;

	return getrandom(&v, sizeof(v), 0) == sizeof(v) ? v % n : 0;
}

static unsigned int number(const char *variable, unsigned int otherwise)
{
	const char *value = getenv(variable);

	return value && *value ? strtoul(value, NULL, 0) : otherwise;
}

/*
 * What stays
 */

static int try_register(enum receiver_mode mode, size_t area_size)
{
	struct receiver r;
	int ret;

	receiver_prepare(&r, mode, area_size);
	ret = receiver_register(&r);
	if (!ret)
		receiver_close_ring(&r);
	ifq_args_free(&r.args);

	return ret;
}

static void expect_memory(struct __test_metadata *_metadata, long available)
{
	long least = available - 3 * (VICTIM_AREA_SIZE >> 10);
	unsigned int ms;

	for (ms = 0; ms < PATIENCE_MS; ms += 50) {
		if (!proc_pinned_kib() && proc_mem_available_kib() > least)
			return;
		proc_sleep_ms(50);
	}
	EXPECT_EQ(0, proc_pinned_kib());
	EXPECT_LT(least, proc_mem_available_kib())
		TH_LOG("memory did not come back");
}

/*
 * Sockets that hold chunks: nobody reads them until all is over.
 */

struct held {
	struct flow	flows[MAX_HELD];
	unsigned int	nr;
};

static bool is_all_there(const struct flow *flow)
{
	int inq, ms;

	for (ms = 0; ms < PATIENCE_MS; ms++) {
		/* The end of the stream counts as a byte. */
		if (!ioctl(flow->fd, FIONREAD, &inq) &&
		    inq >= HELD_BYTES + PATTERN_DIGEST_SIZE)
			return true;
		proc_sleep_ms(1);
	}

	return false;
}

static void hold(struct __test_metadata *_metadata, struct held *held,
		 unsigned int nr)
{
	struct flow *flow;

	for (held->nr = 0; held->nr < nr; held->nr++) {
		flow = &held->flows[held->nr];
		ASSERT_EQ(0, flow_connect(flow, nic.remote_v4, HELD_BYTES,
					  WRITE_SIZE));
		ASSERT_TRUE(is_all_there(flow));
	}
}

/* A ring that was closed just now may still interrupt a system call. */
static ssize_t read_again(struct flow *flow, unsigned char *buf)
{
	ssize_t n;

	do {
		n = plain_recv.read(flow, buf);
	} while (n == -EINTR);

	return n;
}

static void read_held(struct __test_metadata *_metadata, struct held *held)
{
	const struct plain_way way = { .read = read_again };
	const char *wrong;

	while (held->nr) {
		struct flow *flow = &held->flows[--held->nr];

		wrong = plain_read_all(flow, &way);
		EXPECT_EQ(NULL, wrong) TH_LOG("what was held: %s", wrong);
		flow_close(flow);
	}
}

/*
 * What all of the tests have
 */

/**
 * struct scene - who is there
 * @v: receives, until its ifq ends
 * @held: other sockets
 * @mode: how to receive
 * @available: memory at the beginning, in KiB
 * @disturbed: the NIC may not be as it was
 */
struct scene {
	struct victim		v;
	struct held		held;
	enum receiver_mode	mode;
	long			available;
	bool			disturbed;
};

static void init_victim(struct victim *v)
{
	v->conn.fd = -1;
	v->ifq_fd = -1;
}

static void setup_scene(struct __test_metadata *_metadata, struct scene *s)
{
	init_victim(&s->v);
	ASSERT_TRUE(admin_save());
	s->available = proc_mem_available_kib();
	s->disturbed = true;
}

#define SETUP_SCENE(_s)							\
	do {								\
		if (!nic.remote_v4)					\
			SKIP(return, "REMOTE_V4 is not set: name the peer"); \
		setup_scene(_metadata, _s);				\
	} while (0)

static void end_scene(struct scene *s)
{
	if (!s->disturbed)
		return;
	victim_end(&s->v);
	admin_restore();
}

/* A page pool goes when all of its chunks, and of the pages it lent, are back. */
static void expect_no_pool(struct __test_metadata *_metadata)
{
	struct pools pools;

	EXPECT_EQ(0, pools_wait_gone(&pools, PATIENCE_MS))
		TH_LOG("%u page pools are left, %u without a queue, which miss %llu chunks or pages",
		       pools.nr, pools.nr_detached, pools.nr_missing);
}

/* Nothing is left to be undone if all went well. */
static void expect_clean(struct __test_metadata *_metadata, struct scene *s)
{
	victim_end(&s->v);
	EXPECT_EQ(0, memlock_wait_uncharged(RECV_RBUF, VICTIM_AREA_SIZE))
		TH_LOG("what was locked is still charged");
	expect_memory(_metadata, s->available);
	expect_no_pool(_metadata);
	s->disturbed = _metadata->exit_code != KSFT_PASS;
}

/* Somebody new has the queue. */
static void use_queue(struct __test_metadata *_metadata,
		      enum receiver_mode mode)
{
	struct ifq_stats stats;
	struct receiver r;

	ASSERT_TRUE(receiver_open(&r, mode, VICTIM_AREA_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_connect(&r, nic.remote_v4, 1, FLOW_BYTES,
				     WRITE_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_run(&r, 0)) TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_finish(&r)) TH_LOG("%s", r.why);
	ASSERT_TRUE(ifq_read_stats(&r.ifq, &stats));
	EXPECT_LT(FLOW_BYTES / 2, stats.zc_bytes);
	receiver_close(&r);
}

/*
 * One end, one event, in all orders
 */

/* How an ifq ends, and a socket with chunks of it */
enum end {
	END_CLOSE,
	END_KILL,
	END_EXPORT,
	END_HELD,
};

/* When, as seen from the event's two steps */
enum order {
	BEFORE,
	BETWEEN,
	AFTER,
	DURING,
	NR_ORDERS,
};

static const char *const order_names[NR_ORDERS] = {
	[BEFORE]	= "before",
	[BETWEEN]	= "between",
	[AFTER]		= "after",
	[DURING]	= "during",
};

FIXTURE(teardown)
{
	struct scene s;
};

FIXTURE_VARIANT(teardown)
{
	const struct admin_event *event;
	unsigned int nr;
	enum end end;
};

#define VARIANTS(_nr, _event)						\
	FIXTURE_VARIANT_ADD(teardown, _event ## _close)			\
	{								\
		.event = &admin_ ## _event, .nr = _nr, .end = END_CLOSE, \
	};								\
	FIXTURE_VARIANT_ADD(teardown, _event ## _kill)			\
	{								\
		.event = &admin_ ## _event, .nr = _nr, .end = END_KILL,	\
	};								\
	FIXTURE_VARIANT_ADD(teardown, _event ## _export)		\
	{								\
		.event = &admin_ ## _event, .nr = _nr, .end = END_EXPORT, \
	}

VARIANTS(0, down);
VARIANTS(1, rings);
VARIANTS(2, more_queues);
VARIANTS(3, fewer_queues);
VARIANTS(4, mtu);
VARIANTS(5, driver);
VARIANTS(6, netns);

static bool has_event(const struct admin_event *event)
{
	if (event == &admin_more_queues || event == &admin_fewer_queues)
		return nic.nr_rxqs > 1;
	if (event == &admin_driver)
		return admin_may_unbind();

	return true;
}

FIXTURE_SETUP(teardown)
{
	if (!has_event(variant->event))
		SKIP(return, "needs two receive queues, or DISRUPTIVE=0");
	SETUP_SCENE(&self->s);
}

FIXTURE_TEARDOWN(teardown)
{
	end_scene(&self->s);
}

static void end(struct __test_metadata *_metadata, struct scene *s,
		enum end how)
{
	struct victim *v = &s->v;

	switch (how) {
	case END_CLOSE:
		ASSERT_TRUE(victim_close_ring(v)) TH_LOG("%s", v->why);
		break;
	case END_KILL:
		victim_kill(v);
		break;
	case END_EXPORT:
		victim_close_export(v);
		break;
	case END_HELD:
		read_held(_metadata, &s->held);
		break;
	}
}

/* The first step is refused if that is what it is like. */
static void begin(struct __test_metadata *_metadata,
		  const struct admin_event *event, bool bound)
{
	ASSERT_EQ(!bound || !event->refused, event->begin());
}

/* In the middle of an event, what does somebody get who wants the queue? */
static int expected(const struct admin_event *event)
{
	if (event->gone)
		return -ENODEV;

	return event->down ? -ENETDOWN : 0;
}

static void expect_progress(struct __test_metadata *_metadata,
			    struct victim *v, enum end how)
{
	if (how != END_EXPORT)
		ASSERT_TRUE(victim_progresses(v)) TH_LOG("%s", v->why);
}

/* Never returns */
static void run_event(const struct admin_event *event, int ready)
{
	bool ok;

	dup2(ready, STDIN_FILENO);
	proc_close_files();
	if (write(STDIN_FILENO, "", 1) != 1)
		_exit(1);
	ok = event->begin() || event->refused;
	proc_sleep_ms(random_below(RACE_MS));
	_exit(ok && event->end() ? 0 : 1);
}

static void end_during(struct __test_metadata *_metadata, struct scene *s,
		       const struct admin_event *event, enum end how)
{
	int ready[2], status;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		run_event(event, ready[1]);
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);

	proc_sleep_ms(random_below(RACE_MS));
	end(_metadata, s, how);
	/* Whatever the NIC is like now, nobody has the queue. */
	EXPECT_NE(-EEXIST, try_register(s->mode, SMALL_AREA));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status) TH_LOG("what is done meanwhile has failed");
}

static void end_in_order(struct __test_metadata *_metadata, struct scene *s,
			 const struct admin_event *event, enum end how,
			 enum order order)
{
	switch (order) {
	case BEFORE:
		end(_metadata, s, how);
		EXPECT_EQ(0, try_register(s->mode, SMALL_AREA));
		begin(_metadata, event, false);
		ASSERT_TRUE(event->end());
		break;
	case BETWEEN:
		begin(_metadata, event, true);
		end(_metadata, s, how);
		EXPECT_EQ(expected(event),
			  try_register(s->mode, SMALL_AREA));
		ASSERT_TRUE(event->end());
		break;
	case AFTER:
		begin(_metadata, event, true);
		ASSERT_TRUE(event->end());
		EXPECT_EQ(event->unbinds ? 0 : -EEXIST,
			  try_register(s->mode, SMALL_AREA));
		expect_progress(_metadata, &s->v, how);
		end(_metadata, s, how);
		break;
	default:
		end_during(_metadata, s, event, how);
		break;
	}
}

static void run_case(struct __test_metadata *_metadata, struct scene *s,
		     const struct admin_event *event, enum end how,
		     enum order order)
{
	struct victim *v = &s->v;

	ASSERT_TRUE(victim_start(v, s->mode, how == END_EXPORT ?
				 VICTIM_EXPORTED : VICTIM_RECEIVES, NULL))
		TH_LOG("%s", v->why);
	hold(_metadata, &s->held, 1);
	expect_progress(_metadata, v, how);
	end_in_order(_metadata, s, event, how, order);
	use_queue(_metadata, s->mode);
	read_held(_metadata, &s->held);
	EXPECT_TRUE(victim_read_on(v, FLOW_BYTES)) TH_LOG("%s", v->why);
	victim_end(v);
}

TEST_F_TIMEOUT(teardown, orders, TIMEOUT_S)
{
	unsigned int i, rounds = number("ZCRX_ROUNDS", 0);
	struct scene *s = &self->s;

	for (i = 0; i < NR_ORDERS * (rounds ?: 1) &&
	     _metadata->exit_code == KSFT_PASS; i++) {
		enum order order = i % NR_ORDERS;

		/* There is not always the time for all of them. */
		if (!rounds && order != (variant->nr + variant->end) % NR_ORDERS)
			continue;
		s->mode = (i / 2 + i / NR_ORDERS + variant->end) % 2 ?
			  RECV_CQE32 : RECV_RBUF;
		run_case(_metadata, s, variant->event, variant->end, order);
		if (_metadata->exit_code != KSFT_PASS)
			TH_LOG("it ended %s the event, %s", order_names[order],
			       s->mode == RECV_RBUF ? "rbuf" : "cqe32");
	}
	expect_clean(_metadata, s);
}

/*
 * One mode, one end
 */

FIXTURE(single)
{
	struct scene s;
};

FIXTURE_VARIANT(single)
{
	enum receiver_mode mode;
};

FIXTURE_VARIANT_ADD(single, rbuf) { .mode = RECV_RBUF };
FIXTURE_VARIANT_ADD(single, cqe32) { .mode = RECV_CQE32 };

FIXTURE_SETUP(single)
{
	SETUP_SCENE(&self->s);
	self->s.mode = variant->mode;
}

FIXTURE_TEARDOWN(single)
{
	end_scene(&self->s);
}

/* What sockets hold is missing in a page pool that has no queue any more. */
static void expect_pool_waits(struct __test_metadata *_metadata)
{
	struct pools pools;

	ASSERT_EQ(0, pools_read(&pools));
	EXPECT_LE(1, pools.nr_detached);
	EXPECT_LE(MAX_HELD, pools.nr_missing);
}

/* Sockets hold chunks for long, while the ring and even the driver go. */
TEST_F_TIMEOUT(single, hold_long, TIMEOUT_S)
{
	const size_t less = nic_chunks_size(VICTIM_AREA_SIZE) - NIC_PAGE;
	unsigned int ms = number("ZCRX_HOLD_S", 2) * 500;
	struct scene *s = &self->s;

	ASSERT_TRUE(victim_start(&s->v, s->mode, VICTIM_RECEIVES, NULL))
		TH_LOG("%s", s->v.why);
	hold(_metadata, &s->held, MAX_HELD);
	victim_end(&s->v);
	use_queue(_metadata, s->mode);
	proc_sleep_ms(ms);

	/* The area is there, and paid for, since sockets have chunks of it. */
	EXPECT_EQ(-ENOMEM, memlock_try(s->mode, SMALL_AREA, less));
	expect_pool_waits(_metadata);
	ASSERT_TRUE(admin_unbind());
	proc_sleep_ms(ms);
	ASSERT_TRUE(admin_bind());
	EXPECT_EQ(-ENOMEM, memlock_try(s->mode, SMALL_AREA, less));
	expect_pool_waits(_metadata);
	use_queue(_metadata, s->mode);

	read_held(_metadata, &s->held);
	expect_clean(_metadata, s);
}

/*
 * The ifq was made in a network namespace, which goes.
 */

static void start_inside(struct __test_metadata *_metadata, struct victim *v,
			 enum receiver_mode mode, enum victim_kind kind)
{
	ASSERT_TRUE(admin_netns.begin());
	ASSERT_TRUE(victim_start(v, mode, kind, admin_enter_namespace))
		TH_LOG("%s", v->why);
	admin_leave_namespace();
	/* A socket would keep the namespace. */
	close(v->conn.fd);
	v->conn.fd = -1;
	EXPECT_EQ(0, nic_ifindex());
}

/* Who has the queue, in the namespace of a process? */
static int try_register_at(pid_t pid, enum receiver_mode mode)
{
	char path[64];
	int fd, status;
	pid_t child;

	child = fork();
	if (!child) {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, CLONE_NEWNET))
			_exit(255);
		_exit(-try_register(mode, SMALL_AREA));
	}
	waitpid(child, &status, 0);

	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

/* Back in our namespace, the NIC is anybody's. */
static void expect_back(struct __test_metadata *_metadata, struct scene *s)
{
	use_queue(_metadata, s->mode);
	expect_clean(_metadata, s);
}

TEST_F_TIMEOUT(single, netns_close, TIMEOUT_S)
{
	struct scene *s = &self->s;
	struct victim *v = &s->v;

	start_inside(_metadata, v, s->mode, VICTIM_RECEIVES);
	EXPECT_EQ(-EEXIST, try_register_at(v->pid, s->mode));
	ASSERT_TRUE(victim_close_ring(v)) TH_LOG("%s", v->why);
	EXPECT_EQ(0, try_register_at(v->pid, s->mode));
	victim_kill(v);
	ASSERT_TRUE(admin_netns.end());
	expect_back(_metadata, s);
}

TEST_F_TIMEOUT(single, netns_kill, TIMEOUT_S)
{
	struct scene *s = &self->s;
	struct victim *v = &s->v;

	start_inside(_metadata, v, s->mode, VICTIM_RECEIVES);
	ASSERT_TRUE(victim_progresses(v)) TH_LOG("%s", v->why);
	victim_kill(v);
	ASSERT_TRUE(admin_netns.end());
	expect_back(_metadata, s);
}

/* The ifq goes on with the queue, wherever the NIC is. */
TEST_F_TIMEOUT(single, netns_export, TIMEOUT_S)
{
	struct scene *s = &self->s;
	struct victim *v = &s->v;

	start_inside(_metadata, v, s->mode, VICTIM_EXPORTED);
	victim_kill(v);
	ASSERT_TRUE(admin_netns.end());
	EXPECT_EQ(-EEXIST, try_register(s->mode, SMALL_AREA));
	hold(_metadata, &s->held, 1);
	victim_close_export(v);
	EXPECT_EQ(0, try_register(s->mode, SMALL_AREA));
	read_held(_metadata, &s->held);
	expect_back(_metadata, s);
}

/*
 * All that ends an ifq, and much that an administrator does, in an order that a
 * number decides
 */

#define PLANS_PER_ROUND	3
#define MIN_EVENTS	2
#define MAX_EVENTS	4

static const struct {
	const struct admin_event	*event;
	const char			*name;
} all_events[] = {
	{ &admin_down,		"down" },
	{ &admin_rings,		"rings" },
	{ &admin_more_queues,	"more_queues" },
	{ &admin_fewer_queues,	"fewer_queues" },
	{ &admin_mtu,		"mtu" },
	{ &admin_driver,	"driver" },
	{ &admin_netns,		"netns" },
};

#define NR_EVENTS	ARRAY_SIZE(all_events)

static const char *const end_names[] = {
	[END_CLOSE]	= "close",
	[END_KILL]	= "kill",
	[END_EXPORT]	= "export",
	[END_HELD]	= "held",
};

/* The ring's, the exported file's, that of sockets which hold chunks */
#define NR_ENDS		3

/**
 * struct plan - what happens, step by step
 * @seed: decides all of it
 * @nr_drawn: so many random numbers have been made of it
 * @mode: how the victim receives
 * @order: permutation of all events, of which the first ones happen
 * @nr_steps: two for each of them
 * @ends: what else happens, in this order if before the same step
 * @before: by @ends: before which step; or @nr_steps for at the end
 */
struct plan {
	__u64			seed;
	__u64			nr_drawn;
	enum receiver_mode	mode;
	unsigned int		order[NR_EVENTS];
	unsigned int		nr_steps;
	enum end		ends[NR_ENDS];
	unsigned int		before[NR_ENDS];
};

static unsigned int draw(struct plan *plan, unsigned int n)
{
	return pattern_word(plan->seed, plan->nr_drawn++) % n;
}

static void make_plan(struct plan *plan, __u64 seed)
{
	unsigned int i, other;

	memset(plan, 0, sizeof(*plan));
	plan->seed = seed;
	plan->mode = draw(plan, 2) ? RECV_CQE32 : RECV_RBUF;
	for (i = 0; i < NR_EVENTS; i++) {
		other = draw(plan, i + 1);
		plan->order[i] = plan->order[other];
		plan->order[other] = i;
	}
	plan->nr_steps = 2 * (MIN_EVENTS +
			      draw(plan, MAX_EVENTS - MIN_EVENTS + 1));

	other = draw(plan, NR_ENDS);
	plan->ends[other] = draw(plan, 2) ? END_KILL : END_CLOSE;
	plan->ends[(other + 1) % NR_ENDS] = END_EXPORT;
	plan->ends[(other + 2) % NR_ENDS] = END_HELD;
	for (i = 0; i < NR_ENDS; i++)
		plan->before[i] = draw(plan, plan->nr_steps + 1);
}

/* Events with what happens in between in brackets */
static void describe_plan(const struct plan *plan, char *text, size_t size)
{
	unsigned int step, i;
	FILE *f = fmemopen(text, size, "w");

	fprintf(f, "%s:", plan->mode == RECV_RBUF ? "rbuf" : "cqe32");
	for (step = 0; step <= plan->nr_steps; step++) {
		for (i = 0; i < NR_ENDS; i++)
			if (plan->before[i] == step)
				fprintf(f, " %s", end_names[plan->ends[i]]);
		if (step % 2)
			fprintf(f, " )");
		else if (step < plan->nr_steps)
			fprintf(f, " %s (",
				all_events[plan->order[step / 2]].name);
	}
	fclose(f);
}

/* What is left of the ifq */
struct left {
	bool	ring;
	bool	file;
	bool	queue;
};

static void end_before(struct __test_metadata *_metadata, struct scene *s,
		       const struct plan *plan, unsigned int step,
		       struct left *left)
{
	unsigned int i;

	for (i = 0; i < NR_ENDS; i++) {
		if (plan->before[i] != step)
			continue;
		end(_metadata, s, plan->ends[i]);
		if (plan->ends[i] == END_EXPORT)
			left->file = false;
		else if (plan->ends[i] != END_HELD)
			left->ring = false;
	}
}

static void do_step(struct __test_metadata *_metadata, struct scene *s,
		    const struct plan *plan, unsigned int step,
		    struct left *left)
{
	const struct admin_event *event =
		all_events[plan->order[step / 2]].event;

	if (!has_event(event))
		return;
	if (step % 2 == 0) {
		begin(_metadata, event,
		      left->queue && (left->ring || left->file));
		left->queue &= !event->unbinds;
		return;
	}
	ASSERT_TRUE(event->end());
	if (left->ring)
		ASSERT_TRUE(victim_progresses(&s->v)) TH_LOG("%s", s->v.why);
}

static void run_plan(struct __test_metadata *_metadata, struct scene *s,
		     const struct plan *plan)
{
	struct left left = { true, true, true };
	unsigned int step;

	s->mode = plan->mode;
	ASSERT_TRUE(victim_start(&s->v, s->mode, VICTIM_SHARES, NULL))
		TH_LOG("%s", s->v.why);
	hold(_metadata, &s->held, 2);
	for (step = 0; step < plan->nr_steps; step++) {
		end_before(_metadata, s, plan, step, &left);
		do_step(_metadata, s, plan, step, &left);
	}
	end_before(_metadata, s, plan, step, &left);

	use_queue(_metadata, s->mode);
	EXPECT_TRUE(victim_read_on(&s->v, FLOW_BYTES)) TH_LOG("%s", s->v.why);
	victim_end(&s->v);
}

FIXTURE(shuffled)
{
	struct scene s;
};

FIXTURE_SETUP(shuffled)
{
	SETUP_SCENE(&self->s);
}

FIXTURE_TEARDOWN(shuffled)
{
	end_scene(&self->s);
}

static __u64 first_seed(void)
{
	const char *value = getenv("ZCRX_SEED");

	return value && *value ? strtoull(value, NULL, 0) :
				 random_below(UINT_MAX);
}

TEST_F_TIMEOUT(shuffled, orders, TIMEOUT_S)
{
	unsigned int i, nr = PLANS_PER_ROUND * number("ZCRX_ROUNDS", 1);
	struct scene *s = &self->s;
	__u64 seed = first_seed();
	struct plan plan;
	char text[256];

	for (i = 0; i < nr && _metadata->exit_code == KSFT_PASS; i++) {
		make_plan(&plan, seed + i);
		describe_plan(&plan, text, sizeof(text));
		TH_LOG("ZCRX_SEED=%llu: %s", plan.seed, text);
		run_plan(_metadata, s, &plan);
	}
	expect_clean(_metadata, s);
}

/*
 * Two ifqs on two queues: one ends, or the NIC changes and one ends meanwhile. The
 * other one goes on.
 */

/* So often a flow may come by the wrong one of two queues. */
#define MAX_TRIES	32

FIXTURE(pair)
{
	struct scene s;
	struct victim other;
};

FIXTURE_VARIANT(pair)
{
	const struct admin_event *event;	/* or NULL */
	enum end end;
	enum receiver_mode mode;
};

#define PAIR_VARIANT(_name, _event, _end, _mode)			\
	FIXTURE_VARIANT_ADD(pair, _name)				\
	{								\
		.event = _event, .end = _end, .mode = _mode,		\
	}

PAIR_VARIANT(kill, NULL, END_KILL, RECV_RBUF);
PAIR_VARIANT(down, &admin_down, END_KILL, RECV_CQE32);
PAIR_VARIANT(rings, &admin_rings, END_CLOSE, RECV_RBUF);
PAIR_VARIANT(more_queues, &admin_more_queues, END_KILL, RECV_RBUF);
PAIR_VARIANT(driver, &admin_driver, END_CLOSE, RECV_CQE32);

FIXTURE_SETUP(pair)
{
	init_victim(&self->other);
	if (nic.nr_rxqs < 2 || !has_event(variant->event))
		SKIP(return, "needs two receive queues, or DISRUPTIVE=0");
	SETUP_SCENE(&self->s);
	self->s.mode = variant->mode;
}

FIXTURE_TEARDOWN(pair)
{
	victim_end(&self->other);
	end_scene(&self->s);
}

static unsigned int other_rxq(void)
{
	return nic.rxq ? nic.rxq - 1 : 1;
}

/* In the process of who is to have it */
static bool take_other_queue(void)
{
	nic.rxq = other_rxq();

	return true;
}

static int try_register_other(enum receiver_mode mode)
{
	unsigned int rxq = nic.rxq;
	int ret;

	nic.rxq = other_rxq();
	ret = try_register(mode, SMALL_AREA);
	nic.rxq = rxq;

	return ret;
}

static bool spread(void)
{
	return nic_run("ethtool -X %s start %u equal 2", nic.name,
		       nic.rxq ? nic.rxq - 1 : 0);
}

/* While all flows come by the queue that is to be known */
static unsigned int name_queue(void)
{
	unsigned int queue;
	struct flow flow;

	if (flow_connect(&flow, nic.remote_v4, 1, 1))
		return 0;
	queue = flow_queue(&flow);
	flow_close(&flow);

	return queue;
}

/* One whose flow comes by its own queue; where, is chance. */
static void start_apart(struct __test_metadata *_metadata, struct victim *v,
			enum receiver_mode mode, unsigned int queue, bool other)
{
	unsigned int i;

	for (i = 0; i < MAX_TRIES; i++) {
		ASSERT_TRUE(victim_start(v, mode, VICTIM_RECEIVES,
					 other ? take_other_queue : NULL))
			TH_LOG("%s", v->why);
		if ((flow_queue(&v->conn) != queue) == other)
			return;
		victim_end(v);
	}
	ASSERT_LT(i, MAX_TRIES) TH_LOG("all flows come by the same queue");
}

static void start_pair(struct __test_metadata *_metadata, struct scene *s,
		       struct victim *other)
{
	unsigned int queue = name_queue();

	ASSERT_NE(0, queue) TH_LOG("SO_INCOMING_NAPI_ID: CONFIG_NET_RX_BUSY_POLL?");
	ASSERT_TRUE(spread());
	start_apart(_metadata, &s->v, s->mode, queue, false);
	start_apart(_metadata, other, s->mode == RECV_RBUF ? RECV_CQE32 :
		    RECV_RBUF, queue, true);
	ASSERT_TRUE(victim_progresses(&s->v)) TH_LOG("%s", s->v.why);
	ASSERT_TRUE(victim_progresses(other)) TH_LOG("%s", other->why);
}

/* One has ended, and reads on; somebody new has its queue, but not the other's. */
static void expect_apart(struct __test_metadata *_metadata, struct scene *s,
			 struct victim *other, bool unbound)
{
	ASSERT_TRUE(spread());
	ASSERT_TRUE(victim_progresses(other)) TH_LOG("%s", other->why);
	EXPECT_TRUE(victim_read_on(&s->v, FLOW_BYTES)) TH_LOG("%s", s->v.why);
	EXPECT_EQ(unbound ? 0 : -EEXIST, try_register_other(s->mode));
	ASSERT_TRUE(nic_steer(nic.rxq));
	use_queue(_metadata, s->mode);
	ASSERT_TRUE(victim_progresses(other)) TH_LOG("%s", other->why);
}

TEST_F_TIMEOUT(pair, one_ends, TIMEOUT_S)
{
	const struct admin_event *event = variant->event;
	struct scene *s = &self->s;
	struct victim *other = &self->other;

	start_pair(_metadata, s, other);
	if (event)
		begin(_metadata, event, true);
	end(_metadata, s, variant->end);
	EXPECT_EQ(event ? expected(event) : 0,
		  try_register(s->mode, SMALL_AREA));
	if (event)
		ASSERT_TRUE(event->end());
	expect_apart(_metadata, s, other, event && event->unbinds);

	ASSERT_TRUE(victim_close_ring(other)) TH_LOG("%s", other->why);
	EXPECT_EQ(0, try_register_other(s->mode));
	EXPECT_TRUE(victim_read_on(other, FLOW_BYTES)) TH_LOG("%s", other->why);
	victim_end(other);
	expect_clean(_metadata, s);
}

ZCRX_TEST_MAIN
