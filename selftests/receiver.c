// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "nic.h"
#include "receiver.h"

/* Nothing for so long is a failure, even after an outage on a slow machine. */
#define STALL_MS	60000

/* How often to look whether the kernel has made room in the refill ring */
#define REFILL_POLL_MS	5

static bool fail(struct receiver *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);

	return false;
}

/* Bytes that have arrived, but have not been received */
static __u64 bytes_waiting(const struct receiver *r)
{
	__u64 sum = 0;
	unsigned int i;
	int bytes;

	for (i = 0; i < r->nr_flows; i++)
		if (!ioctl(r->flows[i].fd, FIONREAD, &bytes))
			sum += bytes;

	return sum;
}

static bool fail_stalled(struct receiver *r)
{
	struct ifq_stats s = {};

	r->stalled = true;
	ifq_read_stats(&r->ifq, &s);

	return fail(r, "nothing received for %d s: %u of %u flows ended, %llu bytes so far, %llu wait in sockets, %u pieces held; kernel: chunks=%llu free=%llu state=%s held=%llu lent=%llu pauses=%llu",
		    STALL_MS / 1000, r->nr_eof, r->nr_flows, r->bytes,
		    bytes_waiting(r), r->nr_held, s.chunks, s.free,
		    s.copying ? "copy" : "on", s.held, s.lent_pages, s.pauses);
}

/**
 * receiver_ring_flags() - set up an io_uring of another kind
 * @mode: how to receive: with 32-byte completions there is one kind only
 * @nr: which kind, of RECEIVER_RING_KINDS; or more, and they come round
 *
 * Return: for the receiver's ring_flags, between receiver_prepare() and
 * receiver_register().
 */
__u32 receiver_ring_flags(enum receiver_mode mode, unsigned int nr)
{
	static const __u32 kinds[RECEIVER_RING_KINDS] = {
		0,
		IORING_SETUP_SQPOLL,
		IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};

	if (mode == RECV_CQE32)
		return URING_CQE32_FLAGS;

	return kinds[nr % RECEIVER_RING_KINDS];
}

static void init(struct receiver *r, enum receiver_mode mode)
{
	memset(r, 0, sizeof(*r));
	r->mode = mode;
	r->ring_flags = receiver_ring_flags(mode, 0);
	r->cq_entries = RECEIVER_ENTRIES;
	r->requests = &r->ring;
	r->last_off = ~0ULL;
	if (getrandom(&r->rnd, sizeof(r->rnd), 0) < 0)
		r->rnd = 1;
}

/**
 * receiver_mmap() - get zeroed memory that has room for chunks
 * @size: in bytes, a multiple of theirs; each that is larger than a page is
 *	  within a huge page
 *
 * Return: its address, or NULL.
 */
void *receiver_mmap(size_t size)
{
	return nic.chunk > NIC_PAGE ? ifq_mmap_huge(size) : ifq_mmap(size);
}

/**
 * receiver_memfd() - have a file of such memory
 * @size: in bytes, a multiple of 2 MiB
 *
 * Return: its descriptor, or a negative error.
 */
int receiver_memfd(size_t size)
{
	int fd = memfd_create("area", MFD_CLOEXEC | (nic.chunk > NIC_PAGE ?
						     MFD_HUGETLB : 0));

	return fd < 0 || ftruncate(fd, size) ? -errno : fd;
}

static void use_large_chunks(struct receiver *r, size_t area_size)
{
	size_t size = nic_chunks_size(area_size);

	munmap((void *)(unsigned long)r->args.areas[0].addr, area_size);
	ifq_args_set_area(&r->args, 0, receiver_mmap(size), size);
	r->args.reg.rx_buf_len = nic.chunk;
}

/**
 * receiver_prepare() - say what to register
 * @r: filled in
 * @mode: how to receive
 * @area_size: of the one area, if its chunks are pages; with larger ones it
 *	       has as many of them
 */
void receiver_prepare(struct receiver *r, enum receiver_mode mode,
		      size_t area_size)
{
	init(r, mode);
	r->hold = area_size / NIC_PAGE / 2;
	ifq_args_init(&r->args, nic_ifindex(), nic.rxq, mode != RECV_CQE32,
		      area_size, RECEIVER_ENTRIES);
	if (nic.chunk > NIC_PAGE)
		use_large_chunks(r, area_size);
}

/**
 * receiver_register() - set up the ring and register its ifq, once
 * @r: prepared
 *
 * Return: 0, or what one of the two system calls returns.
 */
int receiver_register(struct receiver *r)
{
	struct uring ring;
	int ret;

	ret = uring_init(&ring, r->ring_flags, r->cq_entries);
	if (ret)
		return ret;
	ret = receiver_register_with(r, &ring);
	if (ret)
		uring_exit(&ring);

	return ret;
}

/**
 * receiver_register_with() - register the ifq with a ring that is there
 * @r: prepared
 * @ring: set up as @r needs it; several receivers may have it, one at a time
 *
 * Return: 0, or what the system call returns.
 */
int receiver_register_with(struct receiver *r, const struct uring *ring)
{
	int ret;

	r->ring = *ring;
	ret = ifq_register(&r->ifq, &r->ring, &r->args);
	r->requests_id = r->ifq.id;

	return ret;
}

/**
 * receiver_import() - set up the ring and import an ifq of one area
 * @r: filled in
 * @mode: how to receive, as that of the ifq
 * @fd: what ifq_export() returned
 * @exported: knows where the area is mapped in this process
 *
 * Return: 0, or what one of the system calls returns.
 */
int receiver_import(struct receiver *r, enum receiver_mode mode, int fd,
		    const struct ifq *exported)
{
	int ret;

	init(r, mode);
	r->hold = exported->areas[0].len / nic.chunk / 2;
	ifq_args_init_import(&r->args, fd, mode != RECV_CQE32);
	ret = uring_init(&r->ring, r->ring_flags, r->cq_entries);
	if (ret)
		return ret;
	ret = ifq_import(&r->ifq, &r->ring, &r->args, exported);
	if (ret)
		uring_exit(&r->ring);
	r->requests_id = r->ifq.id;

	return ret;
}

/**
 * receiver_open() - both of the above
 * @r: filled in
 * @mode: how to receive
 * @area_size: of the one area
 *
 * Return: whether it worked.
 */
bool receiver_open(struct receiver *r, enum receiver_mode mode,
		   size_t area_size)
{
	int ret;

	receiver_prepare(r, mode, area_size);
	ret = receiver_register(r);

	return !ret || fail(r, "registration: %s", strerror(-ret));
}

/* All 32 bits are in use. */
static __u32 flow_tag(unsigned int flow)
{
	return (flow + 1) * 0x9e3779b1U;
}

/* The flow with a tag, or none of them */
static unsigned int tagged_flow(const struct receiver *r, __u32 tag)
{
	unsigned int i;

	for (i = 0; i < r->nr_flows && flow_tag(i) != tag; i++)
		;

	return i;
}

static void arm(struct receiver *r, unsigned int i)
{
	struct io_uring_sqe *sqe = uring_sqe(r->requests);

	sqe->opcode = OP_RECV_ZC;
	sqe->flags = r->sqe_flags;
	sqe->fd = r->sqe_flags & IOSQE_FIXED_FILE ? (int)i :
						    r->flows[i].fd;
	sqe->splice_fd_in = r->requests_id;
	sqe->user_data = i;
	if (r->mode != RECV_CQE32)
		sqe->addr3 = flow_tag(i);
	sqe->ioprio = r->ioprio;
	if (r->mode != RECV_RBUF_ONESHOT)
		sqe->ioprio |= IORING_RECV_MULTISHOT;
}

/**
 * receiver_connect() - add flows
 * @r: open
 * @host: address of the peer
 * @nr: how many flows
 * @bytes: each one's
 * @write_size: how the peer writes
 *
 * Return: whether it worked.
 */
bool receiver_connect(struct receiver *r, const char *host, unsigned int nr,
		      __u64 bytes, size_t write_size)
{
	return receiver_connect_with(r, host, nr, bytes, write_size, "");
}

/**
 * receiver_connect_with() - add flows with more in front of the TCP header
 * @r: open
 * @host: address of the peer
 * @nr: how many flows
 * @bytes: each one's
 * @write_size: how the peer writes
 * @headers: what, as in pattern.h
 *
 * Return: whether it worked.
 */
bool receiver_connect_with(struct receiver *r, const char *host,
			   unsigned int nr, __u64 bytes, size_t write_size,
			   const char *headers)
{
	struct flow *flow;
	int ret;

	while (nr--) {
		if (r->nr_flows == RECEIVER_MAX_FLOWS)
			return fail(r, "too many flows");
		flow = &r->flows[r->nr_flows];
		ret = flow_connect_with(flow, host, bytes, write_size, headers);
		if (ret)
			return fail(r, "peer %s: %s", host, strerror(-ret));
		if (r->rcvbuf && setsockopt(flow->fd, SOL_SOCKET, SO_RCVBUF,
					    &r->rcvbuf, sizeof(r->rcvbuf)))
			return fail(r, "SO_RCVBUF: %s", strerror(errno));
		arm(r, r->nr_flows++);
	}

	return true;
}

/**
 * receiver_add_flow() - add a flow that is connected already
 * @r: open, with room for it
 * @flow: nothing has been received; belongs to @r afterwards
 */
void receiver_add_flow(struct receiver *r, const struct flow *flow)
{
	r->flows[r->nr_flows] = *flow;
	arm(r, r->nr_flows++);
}

/*
 * Giving back
 */

static bool give_back(struct receiver *r, unsigned int keep)
{
	r->refill_full = false;
	if (r->keep || r->hand_on)
		return true;
	while (r->nr_held > keep) {
		unsigned int i = pattern_word(r->rnd++, 0) % r->nr_held;
		const struct piece *p = &r->held[i];

		if (!flow_check(&r->flows[p->flow], ifq_addr(&r->ifq, p->off),
				p->len, p->stream_off))
			return fail(r, "flow %u, byte %llu: a chunk changed while we held it",
				    p->flow, p->stream_off);
		if (!ifq_give_back(&r->ifq, p->off)) {
			r->refill_full = true;
			break;
		}
		r->held[i] = r->held[--r->nr_held];
	}
	ifq_refill_submit(&r->ifq);

	return true;
}

/* What has been received last */
static bool hold(struct receiver *r, unsigned int flow, __u64 off, __u32 len)
{
	const struct piece piece = {
		.off		= off,
		.stream_off	= r->flows[flow].got - len,
		.len		= len,
		.flow		= flow,
	};

	if (r->hand_on)
		return r->hand_on(r, &piece);
	if (r->nr_held == r->size_held) {
		r->size_held = r->size_held ? 2 * r->size_held : 4096;
		r->held = realloc(r->held, r->size_held * sizeof(*r->held));
		if (!r->held)
			return fail(r, "no memory");
	}
	r->held[r->nr_held++] = piece;

	return true;
}

/*
 * Receiving
 */

/* What is copied goes into one chunk after the other, each to its end. */
static void count_piece(struct receiver *r, __u64 off, __u32 len)
{
	const __u64 chunk_mask = ~(__u64)(r->args.reg.rx_buf_len - 1);

	if ((off ^ (r->last_off - 1)) & chunk_mask || off < r->last_off)
		r->nr_chunk_uses++;
	r->last_off = off + len;
	r->nr_pieces++;
	r->area_bytes[off >> IORING_ZCRX_AREA_SHIFT] += len;
	r->bytes += len;
}

static bool receive_piece(struct receiver *r, unsigned int flow, __u64 off,
			  __u32 len)
{
	struct flow *f = &r->flows[flow];
	__u64 area = off >> IORING_ZCRX_AREA_SHIFT;
	__u64 area_off = off & ~IORING_ZCRX_AREA_MASK;

	if (flow >= r->nr_flows)
		return fail(r, "completion for flow %u of %u", flow,
			    r->nr_flows);
	if (area >= IFQ_MAX_AREAS || !len ||
	    area_off + len > r->ifq.areas[area].len)
		return fail(r, "completion outside the area: off %#llx len %u",
			    off, len);
	if (!flow_receive(f, ifq_addr(&r->ifq, off), len))
		return fail(r, "flow %u (seed %llu): wrong bytes in the %u after byte %llu",
			    flow, f->seed, len, f->got);
	count_piece(r, off, len);
	if (!hold(r, flow, off, len))
		return false;

	return r->nr_held < r->hold || give_back(r, r->hold / 2);
}

/* Copied or not, and why */
static bool count_reason(struct receiver *r,
			 const struct io_uring_rbuf_cqe *cqe)
{
	unsigned int reason = cqe->flags >> IORING_RBUF_CQE_REASON_SHIFT;
	__u8 copied = cqe->flags & ~(reason << IORING_RBUF_CQE_REASON_SHIFT);

	if (copied != (reason ? IORING_RBUF_CQE_F_COPIED : 0) ||
	    reason >= IORING_ZCRX_COPY_NR)
		return fail(r, "a piece has flags %#x", cqe->flags);
	if (!copied)
		return true;
	r->copied += cqe->len;
	r->copied_for[reason] += cqe->len;
	r->nr_copied++;

	return true;
}

static bool receive_rbuf(struct receiver *r)
{
	__u32 nr = ifq_rbuf_available(&r->ifq);
	struct io_uring_rbuf_cqe cqe;
	__u64 off;

	if (nr > r->ifq.rbuf_mask + 1)
		return fail(r, "rbuf ring claims %u entries", nr);

	while (nr--) {
		cqe = ifq_rbuf_read(&r->ifq);
		if (r->release_each)
			ifq_rbuf_release(&r->ifq);
		if (cqe.sock != (__u8)cqe.tag)
			return fail(r, "sock %#x is not of tag %#x", cqe.sock,
				    cqe.tag);
		if (!count_reason(r, &cqe))
			return false;
		off = (__u64)cqe.region << IORING_ZCRX_AREA_SHIFT | cqe.off;
		if (!receive_piece(r, tagged_flow(r, cqe.tag), off, cqe.len))
			return false;
	}
	ifq_rbuf_release(&r->ifq);

	return true;
}

static bool receive_event(struct receiver *r, const struct io_uring_cqe *cqe)
{
	if (cqe->res < 0 || cqe->res >= RECEIVER_MAX_EVENTS || cqe->flags)
		return fail(r, "event %d with flags %#x", cqe->res, cqe->flags);
	r->nr_events[cqe->res]++;

	return true;
}

static bool receive_cqes(struct receiver *r)
{
	struct io_uring_cqe cqe;
	__u64 extra[2];

	while (!r->leave_cqes && uring_pop(&r->ring, &cqe, extra)) {
		if (cqe.user_data == RECEIVER_NOT_MINE)
			continue;
		if (cqe.user_data == RECEIVER_EVENT) {
			if (!receive_event(r, &cqe))
				return false;
			continue;
		}
		if (cqe.user_data >= RECEIVER_OTHERS && r->other) {
			if (!r->other(r, &cqe))
				return false;
			continue;
		}
		if (cqe.user_data >= r->nr_flows)
			return fail(r, "completion for flow %llu of %u",
				    cqe.user_data, r->nr_flows);
		if (!(cqe.flags & IORING_CQE_F_MORE)) {
			r->ended[cqe.user_data].now = true;
			r->ended[cqe.user_data].res = cqe.res;
			continue;
		}
		if (r->mode == RECV_RBUF_ONESHOT)
			return fail(r, "one-shot request says that there is more");
		if (r->mode != RECV_CQE32)
			continue;
		if (extra[1])
			return fail(r, "pad of a completion is %#llx", extra[1]);
		if (!receive_piece(r, cqe.user_data, extra[0], cqe.res))
			return false;
	}

	return true;
}

/*
 * For want of room: the request can be made again after giving back. Or for want
 * of memory to wait with: io_uring hands a request that gets no poll to a worker,
 * which tries once more, and then cancels it.
 */
static bool may_end_early(const struct receiver *r, int res)
{
	if (res == -ECANCELED && r->starved)
		return true;

	switch (r->mode) {
	case RECV_CQE32:
		return res == -ENOSPC || res == -ENOMEM;
	case RECV_RBUF_ONESHOT:
		return res == -ENOBUFS;
	default:
		return false;
	}
}

static bool request_ended(struct receiver *r, unsigned int i, int res)
{
	struct flow *f = &r->flows[i];

	if (res == r->end_res) {
		if (res ? f->got != f->bytes : !flow_complete(f))
			return fail(r, "flow %u (seed %llu): the %llu bytes received, or their SHA-256, are not the sender's",
				    i, f->seed, f->got);
		f->eof = true;
		r->nr_eof++;
		return true;
	}

	if (res == -ECANCELED && r->cancelled) {
		r->cancelled = false;
		arm(r, i);
		return true;
	}
	if (may_end_early(r, res)) {
		if (!r->nr_ended_early++)
			r->early_res = res;
		r->ended[i].early = true;
		return true;
	}
	if (res > 0 && r->mode == RECV_RBUF_ONESHOT) {
		arm(r, i);
		return true;
	}

	return fail(r, "flow %u: request ended after %llu bytes: %s", i, f->got,
		    res < 0 ? strerror(-res) : "unexpected result");
}

/* What has been posted comes before the end of the request that posted it. */
static bool receive_ends(struct receiver *r)
{
	unsigned int i;

	for (i = 0; i < r->nr_flows; i++) {
		if (r->ended[i].now) {
			r->ended[i].now = false;
			if (!request_ended(r, i, r->ended[i].res))
				return false;
		}
		if (r->ended[i].early && !r->keep) {
			r->ended[i].early = false;
			arm(r, i);
			if (!give_back(r, 0))
				return false;
		}
	}

	return true;
}

static bool resume(struct receiver *r)
{
	int ret;

	if (r->keep || !ifq_needs_kick(&r->ifq))
		return true;
	r->nr_kicks++;
	if (!give_back(r, r->nr_held / 2))
		return false;
	do {
		ret = ifq_kick(&r->ifq);
	} while (ret == -EAGAIN);

	return !ret || fail(r, "resume: %s", strerror(-ret));
}

/* What has come so far */
static bool receive(struct receiver *r)
{
	return receive_cqes(r) &&
	       (r->mode == RECV_CQE32 || receive_rbuf(r)) &&
	       receive_ends(r) && resume(r);
}

/* Waits for completions: 0, -ETIME, or another negative error. */
static int wait_for_more(struct receiver *r)
{
	bool wait = r->mode == RECV_CQE32 || ifq_rbuf_may_sleep(&r->ifq);
	int ret, ms;

	for (ms = STALL_MS; ms > 0; ms -= REFILL_POLL_MS) {
		bool poll = r->refill_full || r->poll;

		ret = uring_enter(&r->ring, wait, poll ? REFILL_POLL_MS : ms);
		if (ret != -ETIME || !poll)
			return ret == -EINTR ? 0 : ret;
		if (r->poll && r->mode != RECV_CQE32 &&
		    ifq_rbuf_available(&r->ifq))
			return 0;
		/* A request that runs, finds no room and pauses again says so
		 * by the flag only.
		 */
		if (!give_back(r, r->hold / 2) || !resume(r))
			return -EIO;
	}

	return -ETIME;
}

static bool wait_and_receive(struct receiver *r)
{
	int ret = wait_for_more(r);

	if (ret == -EIO)
		return false;
	if (ret == -ETIME)
		return fail_stalled(r);
	if (ret)
		return fail(r, "io_uring_enter: %s", strerror(-ret));

	return receive(r);
}

/**
 * receiver_run() - receive
 * @r: with connections
 * @bytes: until so many have come in all, or 0 for until the end of all flows
 *
 * Return: whether all is right so far.
 */
bool receiver_run(struct receiver *r, __u64 bytes)
{
	while (bytes ? r->bytes < bytes : r->nr_eof < r->nr_flows)
		if (!wait_and_receive(r))
			return false;

	return true;
}

static __u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

/**
 * receiver_poll() - receive until the end of all flows, and never sleep
 * @r: with connections (rbuf only); what wakes must not have been asked for
 *
 * Once requests are submitted there is no system call, unless the kernel wants
 * to be kicked.
 *
 * Return: whether all is right.
 */
bool receiver_poll(struct receiver *r)
{
	__u64 bytes = 0, end = 0;
	int ret;

	ret = uring_enter(&r->ring, 0, 0);
	if (ret)
		return fail(r, "io_uring_enter: %s", strerror(-ret));
	while (r->nr_eof < r->nr_flows) {
		if (!end || r->bytes > bytes) {
			bytes = r->bytes;
			end = now_ms() + STALL_MS;
		}
		if (now_ms() >= end)
			return fail_stalled(r);
		if (!receive(r))
			return false;
	}

	return true;
}

/**
 * receiver_keep() - take what comes and give nothing back
 * @r: with connections
 * @ms: for so long, and then until receiver_release()
 *
 * Return: whether all is right so far.
 */
bool receiver_keep(struct receiver *r, unsigned int ms)
{
	__u64 end = now_ms() + ms;
	int ret;

	r->keep = true;
	while (now_ms() < end) {
		ret = uring_enter(&r->ring, 1, REFILL_POLL_MS);
		if (ret && ret != -ETIME && ret != -EINTR)
			return fail(r, "io_uring_enter: %s", strerror(-ret));
		if (!receive(r))
			return false;
	}

	return true;
}

/**
 * receiver_release() - give back all that was kept
 * @r: after receiver_keep() or receiver_run_to_copy()
 *
 * Return: whether all of it was as it had been received.
 */
bool receiver_release(struct receiver *r)
{
	r->keep = false;

	return give_back(r, 0) && receive_ends(r) && resume(r);
}

static bool read_stats(struct receiver *r, struct ifq_stats *stats)
{
	return ifq_read_stats(&r->ifq, stats) ||
	       fail(r, "fdinfo does not show the ifq");
}

/**
 * receiver_run_to_copy() - receive and give nothing back until the NIC gets
 *			    pages of the kernel, and then until receiver_release()
 * @r: with connections
 * @limit: it should have come to that after so many bytes more
 *
 * Return: whether it came to that, and all is right so far.
 */
bool receiver_run_to_copy(struct receiver *r, __u64 limit)
{
	__u64 end = r->bytes + limit;
	struct ifq_stats before, stats;

	r->keep = true;
	if (!read_stats(r, &before))
		return false;
	for (;;) {
		if (!read_stats(r, &stats))
			return false;
		/* Chunks that nobody has received may have ended it already. */
		if (stats.copying || stats.state_changes != before.state_changes)
			break;
		if (r->bytes >= end)
			return fail(r, "%llu bytes received, and the NIC still gets chunks: %llu are free",
				    r->bytes, stats.free);
		if (!wait_and_receive(r))
			return false;
	}

	return true;
}

/**
 * receiver_run_in_place() - receive until the NIC has put bytes into the area
 * @r: with connections
 * @bytes: so many more
 * @limit: it should have come to that after so many bytes more, however they
 *	   came
 *
 * Return: whether it came to that, and all is right so far.
 */
bool receiver_run_in_place(struct receiver *r, __u64 bytes, __u64 limit)
{
	__u64 end = r->bytes + limit, goal;
	struct ifq_stats stats;

	if (!read_stats(r, &stats))
		return false;
	goal = stats.zc_bytes + bytes;
	while (stats.zc_bytes < goal) {
		if (r->bytes >= end)
			return fail(r, "%llu of %llu bytes more came in place; state=%s, %llu chunks are free",
				    stats.zc_bytes + bytes - goal, limit,
				    stats.copying ? "copy" : "on", stats.free);
		if (!receiver_run(r, r->bytes + (256 << 10)) ||
		    !read_stats(r, &stats))
			return false;
	}

	return true;
}

/**
 * receiver_finish() - give everything back
 * @r: the receiver
 *
 * Return: whether all of it was as it had been received.
 */
bool receiver_finish(struct receiver *r)
{
	return give_back(r, 0);
}

/**
 * receiver_give_back_all() - give everything back, and go on as if it were held
 * @r: the receiver, with room for all of it in the refill ring
 *
 * Return: whether the kernel has taken it.
 */
bool receiver_give_back_all(struct receiver *r)
{
	unsigned int i;
	int ret;

	for (i = 0; i < r->nr_held; i++)
		if (!ifq_give_back(&r->ifq, r->held[i].off))
			return fail(r, "the refill ring is full");
	ifq_refill_submit(&r->ifq);
	ret = ifq_flush(&r->ifq);

	return !ret || fail(r, "flush: %s", strerror(-ret));
}

static bool same(struct receiver *r, const char *what, __u64 got, __u64 header,
		 __u64 fdinfo)
{
	return (got == header && got == fdinfo) ||
	       fail(r, "%s: %llu by completions, %llu in the rbuf header, %llu in fdinfo",
		    what, got, header, fdinfo);
}

static bool check_rbuf_counters(struct receiver *r, const struct ifq_stats *s)
{
	const struct io_uring_rbuf_hdr *hdr = r->ifq.hdr;
	const __u64 *copied = hdr->copied_bytes;

	if (hdr->pauses != s->pauses)
		return fail(r, "%llu pauses in the rbuf header, %llu in fdinfo",
			    hdr->pauses, s->pauses);
	if (r->nr_copied != s->copies)
		return fail(r, "%u pieces were copied, %llu in fdinfo",
			    r->nr_copied, s->copies);

	return same(r, "in place", r->bytes - r->copied, hdr->zc_bytes,
		    s->zc_bytes) &&
	       same(r, "linear", r->copied_for[IORING_ZCRX_COPY_LINEAR],
		    copied[IORING_ZCRX_COPY_LINEAR], s->copied_linear) &&
	       same(r, "page", r->copied_for[IORING_ZCRX_COPY_PAGE],
		    copied[IORING_ZCRX_COPY_PAGE], s->copied_page) &&
	       same(r, "foreign", r->copied_for[IORING_ZCRX_COPY_FOREIGN],
		    copied[IORING_ZCRX_COPY_FOREIGN], s->copied_foreign);
}

/**
 * receiver_check_counters() - do the kernel's counters say what was received?
 * @r: whose flows have ended, and whose ifq nobody else used
 *
 * Return: whether they do, by reason where completions tell it.
 */
bool receiver_check_counters(struct receiver *r)
{
	struct ifq_stats s;

	if (!read_stats(r, &s))
		return false;
	if (r->bytes != s.zc_bytes + ifq_stats_copied(&s))
		return fail(r, "%llu bytes received, %llu in place and %llu copied in fdinfo",
			    r->bytes, s.zc_bytes, ifq_stats_copied(&s));

	return r->mode == RECV_CQE32 || check_rbuf_counters(r, &s);
}

/**
 * receiver_disconnect() - make room for other flows
 * @r: all its flows have ended, and everything has been given back
 */
void receiver_disconnect(struct receiver *r)
{
	while (r->nr_flows)
		flow_close(&r->flows[--r->nr_flows]);
	r->nr_eof = 0;
}

/**
 * receiver_close_ring() - close the ring alone
 * @r: open
 */
void receiver_close_ring(struct receiver *r)
{
	ifq_unmap(&r->ifq);
	uring_exit(&r->ring);
}

/**
 * receiver_close() - undo what was done since receiver_prepare()
 * @r: the receiver
 */
void receiver_close(struct receiver *r)
{
	receiver_disconnect(r);
	receiver_close_ring(r);
	ifq_args_free(&r->args);
	free(r->held);
}
