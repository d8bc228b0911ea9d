// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A program that writes nonsense into the rings it shares with the kernel, and
 * asks for everything at the wrong time, harms itself. Everybody else's bytes
 * stay right, and the kernel lives.
 */
#include <linux/io_uring/query.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "kselftest_harness.h"
#include "fuzz.h"
#include "memlock.h"
#include "neighbour.h"
#include "nic.h"
#include "receiver.h"

/* Larger than what the NIC has room for: much of what comes lies in chunks. */
#define AREA_SIZE	(16 << 20)
#define WRITE_SIZE	(64 << 10)
#define NR_FLOWS	4
#define SECONDS		5
#define PATIENCE_S	200

/* So many rounds with the same ifq, then it is registered anew */
#define EPOCH_ROUNDS	256

#define MORE_SIZE	(4 * nic.chunk)
#define NR_MORE		64
#define MAX_REQUESTS	24
#define MAX_EXPORTED	4

/* Whether registrations may ask for events */
static bool has_events;

/* What is asked for, besides writing into rings */
enum ask {
	ASK_RECV,
	ASK_RECV_WRONG,
	ASK_CANCEL,
	ASK_RESUME,
	ASK_FLUSH,
	ASK_ARM_EVENT,
	ASK_ADD_AREA,
	ASK_EXPORT,
	ASK_IMPORT,
	ASK_RECV_IMPORTED,
	ASK_CTRL_WRONG,
	ASK_CLOSE_EXPORTED,
	ASK_RECONNECT,
	ASK_STATS,
	NR_ASKS,
};

static const char *const ask_names[] = {
	"RECV_ZC", "RECV_ZC gone wrong", "cancel", "resume", "flush",
	"arm event", "add area", "export", "import", "RECV_ZC of an imported ifq",
	"control gone wrong", "close exported", "reconnect", "statistics",
};

/**
 * struct report - what the hostile process has to say
 * @rounds: of the hostile process
 * @entries: written into refill rings and over those of completions
 * @words: heads, tails, flags and counts written into rings
 * @epochs: how often it has registered
 * @bytes: that it received
 * @nr_overlaps: areas added whose memory may have been in one
 * @asked: what came of what it asked for
 * @requests: how its requests ended
 */
struct report {
	unsigned long		rounds;
	unsigned long		entries;
	unsigned long		words;
	unsigned long		epochs;
	unsigned long long	bytes;
	unsigned long		nr_overlaps;
	struct fuzz_counts	asked[NR_ASKS];
	struct fuzz_counts	requests;
};

/**
 * struct hostile - the hostile process
 * @r: its ring, ifq and flows
 * @other: a second ring, which imports
 * @nr_imported: how many ifqs it has
 * @exported: file descriptors of the ifq
 * @nr_exported: their number
 * @more: memory for areas that are added, of each ifq anew: others may hold chunks
 *	  of the last one, which must not be filled by the next
 * @nr_more: how many have been
 * @nr_requests: how many requests have been made for no reason
 * @scribble: write over the areas as well
 * @overlaps: add memory that is in an area, too
 * @report: for who started it
 */
struct hostile {
	struct receiver		r;
	struct uring		other;
	unsigned int		nr_imported;
	int			exported[MAX_EXPORTED];
	unsigned int		nr_exported;
	void			*more;
	unsigned int		nr_more;
	unsigned int		nr_requests;
	bool			scribble;
	bool			overlaps;
	struct report		*report;
};

/*
 * Nonsense in rings
 */

static void nasty_u32_into(volatile __u32 *word, __u32 near,
			   struct report *report)
{
	*word = nasty_u32(near);
	report->words++;
}

static void nasty_u64_into(volatile __u64 *word, struct report *report)
{
	*word = rnd();
	report->words++;
}

static void nasty_refill(struct ifq *ifq, struct report *report)
{
	__u32 nr = ifq->refill_mask + 1;
	__u64 *rqe;
	int i;

	/* Entries in both formats: near what could be right, and far off */
	for (i = rnd_below(64); i; i--) {
		rqe = ifq->refill_rqes + rnd_below(nr) * 16;
		if (rnd_below(4)) {
			rqe[0] = rnd_below(2 * ifq->areas[0].len);
			rqe[1] = one_in(8) ? rnd() : 0;
		} else {
			rqe[0] = rnd();
			rqe[1] = rnd();
		}
		/* Of another area */
		if (one_in(4))
			((__u8 *)rqe)[ifq->has_rbuf ? 8 : 6] = rnd_below(80);
		report->entries++;
	}
	if (one_in(8))
		nasty_u32_into(ifq->refill_uhead, 0, report);
	nasty_u32_into(ifq->refill_utail, *(volatile __u32 *)ifq->refill_uhead,
		       report);
}

static void nasty_rbuf(struct ifq *ifq, struct report *report)
{
	volatile struct io_uring_rbuf_hdr *hdr = ifq->hdr;

	if (!hdr)
		return;
	if (one_in(2))
		hdr->consumer = hdr->producer;
	else
		nasty_u32_into(&hdr->consumer, hdr->producer, report);
	nasty_u32_into(&hdr->uflags, 0, report);
	if (!one_in(8))
		return;
	nasty_u32_into(&hdr->producer, hdr->producer, report);
	nasty_u32_into(&hdr->kflags, 0, report);
	nasty_u64_into(&hdr->zc_bytes, report);
	nasty_u64_into(&hdr->pauses, report);
	nasty_u64_into(&hdr->copied_bytes[rnd_below(8)], report);
	memset((void *)&ifq->cqes[rnd_below(ifq->rbuf_mask + 1)], rnd(),
	       sizeof(*ifq->cqes));
	report->entries++;
}

/* A completion queue that looks full, or empty, or neither; true if it does */
static bool nasty_cq(struct uring *ring, struct report *report)
{
	if (!one_in(64))
		return false;
	report->words++;
	__atomic_store_n(ring->cq_head, nasty_u32(*ring->cq_tail),
			 __ATOMIC_RELEASE);

	return true;
}

static void scribble(struct hostile *h)
{
	struct ifq *ifq = &h->r.ifq;

	/* Write over what we hold, and over what we don't. */
	if (h->scribble)
		memset((char *)ifq_addr(ifq, 0) +
		       rnd_below(ifq->areas[0].len - 64), 0x5a, 64);
}

/*
 * Requests
 */

static struct io_uring_sqe *request(struct hostile *h, struct uring *ring,
				    __u32 ifq, unsigned int i)
{
	struct io_uring_sqe *sqe = uring_sqe(ring);

	sqe->opcode = OP_RECV_ZC;
	sqe->fd = h->r.flows[i].fd;
	sqe->splice_fd_in = ifq;
	sqe->user_data = i;
	sqe->ioprio = IORING_RECV_MULTISHOT;

	return sqe;
}

/* Each of them looks again whenever its socket's state changes. */
static bool too_many_requests(struct hostile *h)
{
	return h->nr_requests++ >= MAX_REQUESTS;
}

static struct io_uring_sqe *a_request(struct hostile *h, struct uring *ring,
				      __u32 ifq)
{
	return request(h, ring, ifq, rnd_below(h->r.nr_flows));
}

static int ask_recv(struct hostile *h)
{
	if (too_many_requests(h))
		return -EBUSY;
	a_request(h, &h->r.ring, h->r.ifq.id);

	return 0;
}

static int ask_recv_wrong(struct hostile *h)
{
	int nr = 1 + rnd_below(2);
	struct io_uring_sqe *sqe;
	__u8 flags, *bytes;
	size_t off;
	__u32 word;

	if (too_many_requests(h))
		return -EBUSY;
	sqe = a_request(h, &h->r.ring, h->r.ifq.id);
	bytes = (void *)sqe;
	while (nr--) {
		off = 4 * (1 + rnd_below(sizeof(*sqe) / 4 - 1));
		memcpy(&word, bytes + off, sizeof(word));
		word = nasty_u32(word);
		memcpy(bytes + off, &word, sizeof(word));
	}
	if (one_in(4))
		sqe->ioprio = nasty_u32(sqe->ioprio);
	if (one_in(4)) {
		flags = rnd();
		/* Nothing would ever run after a request that doesn't end. */
		sqe->flags = flags & ~IOSQE_IO_DRAIN;
	}

	return 0;
}

static int ask_cancel(struct hostile *h)
{
	struct io_uring_sqe *sqe = uring_sqe(&h->r.ring);

	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->addr = rnd_below(NR_FLOWS + 1);
	sqe->user_data = RECEIVER_NOT_MINE;
	switch (rnd_below(4)) {
	case 0:
		sqe->cancel_flags = IORING_ASYNC_CANCEL_ALL;
		break;
	case 1:
		sqe->cancel_flags = IORING_ASYNC_CANCEL_FD;
		sqe->fd = h->r.flows[rnd_below(h->r.nr_flows)].fd;
		break;
	case 2:
		sqe->cancel_flags = IORING_ASYNC_CANCEL_ANY;
		break;
	}

	return 0;
}

static int ask_recv_imported(struct hostile *h)
{
	struct io_uring_sqe *sqe;

	if (!h->nr_imported)
		return -ENOENT;
	if (too_many_requests(h))
		return -EBUSY;
	sqe = a_request(h, &h->other, rnd_below(h->nr_imported));
	if (one_in(2))
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	if (one_in(2))
		sqe->len = rnd_below(1 << 16);

	return uring_enter(&h->other, 0, 0);
}

/*
 * Operations
 */

/*
 * Memory that is in two areas is filled twice at a time: that harms flows of
 * others as scribbling does.
 */
static int ask_add_area(struct hostile *h)
{
	unsigned int slot = h->overlaps ? rnd_below(NR_MORE) : h->nr_more;
	struct io_uring_zcrx_area_reg area = { .len = MORE_SIZE };
	int ret;

	if (h->nr_more == NR_MORE)
		return -ENOSPC;
	area.addr = (unsigned long)h->more + slot * MORE_SIZE;
	ret = ifq_add_area(&h->r.ifq, &area);
	if (ret)
		return ret;
	h->nr_more++;
	h->report->nr_overlaps += h->overlaps;

	return 0;
}

static int ask_export(struct hostile *h)
{
	int fd;

	if (h->nr_exported == MAX_EXPORTED)
		return -EMFILE;
	fd = ifq_export(&h->r.ifq);
	if (fd >= 0)
		h->exported[h->nr_exported++] = fd;

	return fd;
}

static int ask_import(struct hostile *h)
{
	struct ifq_args args;
	int ret;

	if (!h->nr_exported)
		return -EBADF;
	ifq_args_init_import(&args, h->exported[rnd_below(h->nr_exported)],
			     (h->r.mode == RECV_RBUF) ^ one_in(8));
	ret = uring_register(&h->other, REGISTER_ZCRX_IFQ, &args.reg, 1);
	if (!ret)
		h->nr_imported = args.reg.zcrx_id + 1;

	return ret;
}

static int ask_ctrl_wrong(struct hostile *h)
{
	struct zcrx_ctrl ctrl = {
		.zcrx_id	= h->r.ifq.id,
		.op		= one_in(5) ? ZCRX_CTRL_RESUME : rnd_below(4),
	};
	__u32 *words = (void *)&ctrl;
	size_t i = rnd_below(sizeof(ctrl) / 4);
	int ret;

	words[i] = nasty_u32(words[i]);
	ret = uring_register(&h->r.ring, REGISTER_ZCRX_CTRL, &ctrl, 0);
	if (!ret && ctrl.op == ZCRX_CTRL_EXPORT)
		close(ctrl.zc_export.zcrx_fd);

	return ret;
}

static int ask_close_exported(struct hostile *h)
{
	if (!h->nr_exported)
		return -EBADF;

	return close(h->exported[--h->nr_exported]);
}

static int ask_reconnect(struct hostile *h)
{
	struct flow *flow = &h->r.flows[rnd_below(h->r.nr_flows)];

	if (!one_in(16))
		return -EAGAIN;
	if (one_in(2))
		shutdown(flow->fd, SHUT_RDWR);
	flow_close(flow);

	return flow_connect(flow, nic.remote_v4, FLOW_ENDLESS, WRITE_SIZE);
}

static int ask_stats(struct hostile *h)
{
	struct ifq_stats stats;

	return ifq_read_stats(&h->r.ifq, &stats) ? 0 : -ENOENT;
}

static int ask(struct hostile *h, enum ask what)
{
	switch (what) {
	case ASK_RECV:
		return ask_recv(h);
	case ASK_RECV_WRONG:
		return ask_recv_wrong(h);
	case ASK_CANCEL:
		return ask_cancel(h);
	case ASK_RESUME:
		return ifq_kick(&h->r.ifq);
	case ASK_FLUSH:
		return ifq_flush(&h->r.ifq);
	case ASK_ARM_EVENT:
		return ifq_arm_event(&h->r.ifq, rnd_below(2) + 16 * rnd_below(2));
	case ASK_ADD_AREA:
		return ask_add_area(h);
	case ASK_EXPORT:
		return ask_export(h);
	case ASK_IMPORT:
		return ask_import(h);
	case ASK_RECV_IMPORTED:
		return ask_recv_imported(h);
	case ASK_CTRL_WRONG:
		return ask_ctrl_wrong(h);
	case ASK_CLOSE_EXPORTED:
		return ask_close_exported(h);
	case ASK_RECONNECT:
		return ask_reconnect(h);
	case ASK_STATS:
		return ask_stats(h);
	case NR_ASKS:
		break;
	}

	return -EINVAL;
}

/*
 * The hostile process
 */

static void reap(struct hostile *h, struct uring *ring)
{
	struct io_uring_cqe cqe;
	__u64 extra[2];

	while (uring_pop(ring, &cqe, extra)) {
		if (cqe.flags & IORING_CQE_F_MORE ||
		    cqe.user_data >= h->r.nr_flows)
			continue;
		fuzz_count(&h->report->requests, cqe.res);
		if (ring == &h->r.ring)
			request(h, ring, h->r.ifq.id, cqe.user_data);
	}
}

/* Nobody knows what has ended. */
static void forget_completions(struct hostile *h)
{
	struct uring *ring = &h->r.ring;
	unsigned int i;

	__atomic_store_n(ring->cq_head, *ring->cq_tail, __ATOMIC_RELEASE);
	for (i = 0; i < h->r.nr_flows; i++)
		request(h, ring, h->r.ifq.id, i);
}

static void one_round(struct hostile *h)
{
	enum ask what;
	bool nonsense;
	int i;

	nasty_refill(&h->r.ifq, h->report);
	nasty_rbuf(&h->r.ifq, h->report);
	nonsense = nasty_cq(&h->r.ring, h->report);
	for (i = rnd_below(4); i; i--) {
		what = rnd_below(NR_ASKS);
		fuzz_count(&h->report->asked[what], ask(h, what));
	}
	if (one_in(4))
		ifq_kick(&h->r.ifq);
	/* Now and then give the network time. */
	uring_enter(&h->r.ring, one_in(8), 5);
	uring_enter(&h->other, 0, 0);
	if (nonsense)
		forget_completions(h);
	reap(h, &h->r.ring);
	reap(h, &h->other);
	scribble(h);
}

/* A registration of any kind, as long as it is a right one */
static void vary(struct hostile *h)
{
	struct ifq_args *args = &h->r.args;

	args->reg.rq_entries = RECEIVER_ENTRIES >> rnd_below(10);
	if (args->ext.rbuf_entries)
		args->ext.rbuf_entries = RECEIVER_ENTRIES >> rnd_below(10);
	h->r.cq_entries = RECEIVER_ENTRIES >> rnd_below(6);
	if (!has_events)
		return;

	ifq_args_set_events(args, RECEIVER_EVENT,
			    1U << ZCRX_EVENT_ALLOC_FAIL |
			    1U << ZCRX_EVENT_COPY |
			    1U << ZCRX_EVENT_STATE_COPY |
			    1U << ZCRX_EVENT_STATE_ON);
	if (one_in(2))
		ifq_args_add_flags(args, ZCRX_REG_MANUAL_RESUME);
	if (one_in(2))
		ifq_args_use_kernel_memory(args);
	if (one_in(4))
		ifq_args_set_nodev(args);
}

static void give_up(const char *what)
{
	ksft_print_msg("hostile process: %s\n", what);
	_exit(1);
}

static void begin_epoch(struct hostile *h, enum receiver_mode mode)
{
	int ret;

	h->more = receiver_mmap(NR_MORE * MORE_SIZE);
	receiver_prepare(&h->r, mode, AREA_SIZE);
	vary(h);
	ret = receiver_register(&h->r);
	if (ret)
		give_up(strerror(-ret));
	if (!receiver_connect(&h->r, nic.remote_v4, NR_FLOWS, FLOW_ENDLESS,
			      WRITE_SIZE))
		give_up(h->r.why);
	ret = uring_init(&h->other, mode == RECV_CQE32 ? URING_CQE32_FLAGS : 0,
			 64);
	if (ret)
		give_up(strerror(-ret));
	h->report->epochs++;
}

static void count_bytes(struct hostile *h)
{
	struct ifq_stats s = {};

	ifq_read_stats(&h->r.ifq, &s);
	h->report->bytes += s.zc_bytes + ifq_stats_copied(&s);
}

static void end_epoch(struct hostile *h)
{
	bool other_first = one_in(2);

	count_bytes(h);
	if (other_first)
		uring_exit(&h->other);
	while (h->nr_exported)
		close(h->exported[--h->nr_exported]);
	receiver_close(&h->r);
	if (!other_first)
		uring_exit(&h->other);
	munmap(h->more, NR_MORE * MORE_SIZE);
	h->nr_more = 0;
	h->nr_requests = 0;
	h->nr_imported = 0;
}

/* Never returns */
static void hostile(struct report *report, enum receiver_mode mode,
		    bool scribble)
{
	struct hostile h = {
		.scribble	= scribble,
		.overlaps	= scribble && !fuzz_debugs_dma(),
		.report		= report,
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	begin_epoch(&h, mode);
	for (;;) {
		fuzz_begin(report->rounds++);
		if (report->rounds % EPOCH_ROUNDS == 0) {
			end_epoch(&h);
			begin_epoch(&h, mode);
		}
		one_round(&h);
	}
}

/*
 * The test
 */

FIXTURE(hostile)
{
	struct report		*report;
	pid_t			pid;
	struct neighbour	neighbour;
};

FIXTURE_VARIANT(hostile)
{
	enum receiver_mode	mode;
	bool			scribble;
};

FIXTURE_VARIANT_ADD(hostile, rbuf)
{
	.mode = RECV_RBUF,
};

FIXTURE_VARIANT_ADD(hostile, cqe32)
{
	.mode = RECV_CQE32,
};

FIXTURE_VARIANT_ADD(hostile, rbuf_scribble)
{
	.mode = RECV_RBUF, .scribble = true,
};

#define NR_VARIANTS	3

/* Does the kernel say that it has what comes with events? */
static bool detect_events(void)
{
	struct io_uring_query_zcrx zcrx = {};
	struct io_uring_query_hdr hdr = {
		.query_op	= IO_URING_QUERY_ZCRX,
		.query_data	= (unsigned long)&zcrx,
		.size		= sizeof(zcrx),
	};
	struct uring none = { .fd = -1 };

	return !uring_register(&none, REGISTER_QUERY, &hdr, 0) &&
	       !hdr.result && zcrx.features & ZCRX_FEATURE_EVENT;
}

FIXTURE_SETUP(hostile)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	TH_LOG("ZCRX_FUZZ_SEED=%llu", fuzz_seed());
	fuzz_begin(0);
	has_events = detect_events();
	self->report = mmap(NULL, sizeof(*self->report), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->report);

	/*
	 * Neighbours do not share their own bytes, but the flows' way. What comes
	 * to memory that is written over is not theirs.
	 */
	if (nic.rxq)
		ASSERT_TRUE(variant->scribble ?
			    neighbour_start_plain(&self->neighbour) :
			    neighbour_start_receiver(&self->neighbour));
	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		hostile(self->report, variant->mode, variant->scribble);
}

static bool end(pid_t pid)
{
	int status;

	return !pid || (!waitpid(pid, &status, WNOHANG) &&
			!kill(pid, SIGKILL) &&
			waitpid(pid, &status, 0) == pid);
}

FIXTURE_TEARDOWN(hostile)
{
	end(self->pid);
	neighbour_end(&self->neighbour);
	nic_steer(nic.rxq);
}

/* Of the cases at random, zcrx_fuzz does half. */
static unsigned long nr_rounds(void)
{
	return fuzz_cases() / 2 / NR_VARIANTS + 1;
}

static void log_report(struct __test_metadata *_metadata,
		       const struct report *report)
{
	unsigned int i;

	TH_LOG("%lu rounds, %lu entries and %lu words of nonsense, %lu registrations, %llu MiB received, %lu areas added of memory that was in one",
	       report->rounds, report->entries, report->words, report->epochs,
	       report->bytes >> 20, report->nr_overlaps);
	TH_LOG("requests: %s", fuzz_describe(&report->requests));
	for (i = 0; i < NR_ASKS; i++)
		TH_LOG("%s: %s", ask_names[i],
		       fuzz_describe(&report->asked[i]));
}

/* Returns whether the hostile process gets on. */
static bool gets_on(const struct report *report, unsigned long *rounds,
		    time_t *since)
{
	if (report->rounds != *rounds) {
		*rounds = report->rounds;
		*since = time(NULL);
	}

	return time(NULL) < *since + NEIGHBOUR_STALL_S;
}

static void log_file(const char *fmt, pid_t pid)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), fmt, pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		ksft_print_msg("%s: %s", path, line);
	if (f)
		fclose(f);
}

/* Where a process is that does not get on */
static void log_where(pid_t pid)
{
	log_file("/proc/%d/stat", pid);
	log_file("/proc/%d/syscall", pid);
	log_file("/proc/%d/stack", pid);
}

/*
 * Of the neighbour's bytes, so many are to lie in hostile chunks. Where these are
 * written over, so many flows are to come both there and elsewhere.
 */
#define MIN_FOREIGN	(256 << 10)
#define MIN_FLOWS	4

static bool is_between(const struct neighbour_report *report, bool scribble)
{
	if (scribble)
		return report->nr_right >= MIN_FLOWS &&
		       report->nr_unchecked >= MIN_FLOWS;

	return report->foreign_bytes >= MIN_FOREIGN;
}

static bool saw_enough(const struct report *report, const struct neighbour *n,
		       bool scribble)
{
	return report->bytes && (!n->pid || is_between(n->report, scribble));
}

/* On a slow machine, until there is something to judge */
static bool goes_on(const struct report *report, const struct neighbour *n,
		    bool scribble, unsigned long rounds, time_t begin)
{
	time_t now = time(NULL);

	return rounds < nr_rounds() || now < begin + SECONDS ||
	       (!saw_enough(report, n, scribble) && now < begin + PATIENCE_S);
}

static void check_neighbour(struct __test_metadata *_metadata,
			    struct neighbour *n, bool scribble)
{
	const struct neighbour_report *report = n->report;

	EXPECT_TRUE(neighbour_gets_on(n));
	TH_LOG("%lu flows of the neighbour were right, with %llu KiB in hostile chunks, and %lu complete in chunks written over",
	       report->nr_right, report->foreign_bytes >> 10,
	       report->nr_unchecked);
	EXPECT_TRUE(is_between(report, scribble));
	EXPECT_TRUE(neighbour_end(n)) TH_LOG("the neighbour ended by itself");
}

static void check_charges(struct __test_metadata *_metadata,
			  enum receiver_mode mode)
{
	EXPECT_EQ(0, memlock_wait_uncharged(mode, AREA_SIZE))
		TH_LOG("what was locked is still charged");
}

/*
 * Other people's flows come in through the queue of the hostile program, and
 * leave its chunks when they are read. Whatever it gives back in the meantime,
 * these chunks are not filled again. What it writes into its own memory is
 * another matter: then the others' flows go on, with whatever bytes.
 */
TEST_F_TIMEOUT(hostile, others, fuzz_timeout())
{
	time_t begin = time(NULL), since = begin;
	unsigned long rounds = 0, nr_flows = 0;
	struct receiver r;
	struct flow flow;

	while (goes_on(self->report, &self->neighbour, variant->scribble,
		       rounds, begin)) {
		ASSERT_EQ(0, flow_connect(&flow, nic.remote_v4, 256 << 10,
					  WRITE_SIZE));
		ASSERT_TRUE(neighbour_receive(&flow, !variant->scribble)) {
			TH_LOG("wrong after %llu bytes, in round %lu: %s",
			       flow.got, self->report->rounds, strerror(errno));
			log_where(self->pid);
		}
		flow_close(&flow);
		nr_flows++;
		ASSERT_TRUE(gets_on(self->report, &rounds, &since)) {
			TH_LOG("stuck in round %lu", rounds);
			log_where(self->pid);
		}
	}

	log_report(_metadata, self->report);
	TH_LOG("%lu plain flows", nr_flows);
	ASSERT_TRUE(end(self->pid))
		TH_LOG("the hostile process ended by itself");
	self->pid = 0;
	EXPECT_LT(0, self->report->bytes);
	if (self->neighbour.pid)
		check_neighbour(_metadata, &self->neighbour,
				variant->scribble);
	ASSERT_TRUE(nic_steer(nic.rxq));

	ASSERT_TRUE(receiver_open(&r, variant->mode, AREA_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_connect(&r, nic.remote_v4, 4, 1 << 20, WRITE_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_run(&r, 0)) TH_LOG("%s", r.why);
	receiver_close(&r);
	check_charges(_metadata, variant->mode);
}

/* What a system call may take, however many requests there are */
#define MANY		8192
#define MANY_SECONDS	10

/* A connection of this machine with itself, on which nothing is ever sent */
static bool connect_quietly(int fds[2])
{
	struct sockaddr_in addr = {
		.sin_family		= AF_INET,
		.sin_addr.s_addr	= htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);

	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	fds[1] = socket(AF_INET, SOCK_STREAM, 0);

	return !bind(fds[0], (struct sockaddr *)&addr, len) &&
	       !listen(fds[0], 1) &&
	       !getsockname(fds[0], (struct sockaddr *)&addr, &len) &&
	       !connect(fds[1], (struct sockaddr *)&addr, len);
}

/* It must not take the square of their number to wake requests that wait. */
TEST(many_requests)
{
	struct receiver r;
	time_t begin;
	int i, fds[2];

	ASSERT_TRUE(receiver_open(&r, RECV_RBUF, AREA_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(connect_quietly(fds));
	for (i = 0; i < MANY; i++)
		*uring_sqe(&r.ring) = (struct io_uring_sqe) {
			.opcode		= OP_RECV_ZC,
			.fd		= fds[1],
			.splice_fd_in	= r.ifq.id,
			.user_data	= RECEIVER_NOT_MINE,
			.ioprio		= IORING_RECV_MULTISHOT,
		};
	ASSERT_EQ(0, uring_enter(&r.ring, 0, 0));

	begin = time(NULL);
	EXPECT_EQ(0, ifq_kick(&r.ifq));
	EXPECT_GT(begin + MANY_SECONDS, time(NULL))
		TH_LOG("resuming took %ld seconds",
		       (long)(time(NULL) - begin));
	receiver_close(&r);
	close(fds[0]);
	close(fds[1]);
	check_charges(_metadata, RECV_RBUF);
}

int main(int argc, char **argv)
{
	nic_setup();
	fuzz_setup("zcrx_hostile");

	return test_harness_run(argc, argv);
}
