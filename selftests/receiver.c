// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "nic.h"
#include "receiver.h"

/* Nothing for so long is a failure. */
#define STALL_MS	20000

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

static bool fail_stalled(struct receiver *r)
{
	struct ifq_stats s = {};

	ifq_read_stats(&r->ifq, &s);

	return fail(r, "nothing received for %d s: %u of %u flows ended, %llu bytes so far, %u pieces held; kernel: chunks=%llu free=%llu lent=%llu pauses=%llu",
		    STALL_MS / 1000, r->nr_eof, r->nr_flows, r->bytes,
		    r->nr_held, s.chunks, s.free, s.lent_pages, s.pauses);
}

/**
 * receiver_prepare() - say what to register
 * @r: filled in
 * @mode: how to receive
 * @area_size: of the one area
 */
void receiver_prepare(struct receiver *r, enum receiver_mode mode,
		      size_t area_size)
{
	memset(r, 0, sizeof(*r));
	r->mode = mode;
	r->cq_entries = RECEIVER_ENTRIES;
	r->hold = area_size / 4096 / 2;
	if (getrandom(&r->rnd, sizeof(r->rnd), 0) < 0)
		r->rnd = 1;
	ifq_args_init(&r->args, nic_ifindex(), nic.rxq, mode != RECV_CQE32,
		      area_size, RECEIVER_ENTRIES);
}

/**
 * receiver_register() - set up the ring and register its ifq, once
 * @r: prepared
 *
 * Return: 0, or what one of the two system calls returns.
 */
int receiver_register(struct receiver *r)
{
	int ret;

	ret = uring_init(&r->ring, r->mode == RECV_CQE32 ? URING_CQE32_FLAGS : 0,
			 r->cq_entries);
	if (ret)
		return ret;
	ret = ifq_register(&r->ifq, &r->ring, &r->args);
	if (ret)
		uring_exit(&r->ring);

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

static void arm(struct receiver *r, unsigned int i)
{
	struct io_uring_sqe *sqe = uring_sqe(&r->ring);

	sqe->opcode = OP_RECV_ZC;
	sqe->flags = r->sqe_flags;
	sqe->fd = r->flows[i].fd;
	sqe->splice_fd_in = r->ifq.id;
	sqe->user_data = i;
	if (r->mode != RECV_CQE32)
		sqe->addr3 = i;
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
	int ret;

	while (nr--) {
		if (r->nr_flows == RECEIVER_MAX_FLOWS)
			return fail(r, "too many flows");
		ret = flow_connect(&r->flows[r->nr_flows], host, bytes,
				   write_size);
		if (ret)
			return fail(r, "peer %s: %s", host, strerror(-ret));
		arm(r, r->nr_flows++);
	}

	return true;
}

/*
 * Giving back
 */

static bool give_back(struct receiver *r, unsigned int keep)
{
	r->refill_full = false;
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

static bool hold(struct receiver *r, unsigned int flow, __u64 off, __u32 len)
{
	if (r->nr_held == r->size_held) {
		r->size_held = r->size_held ? 2 * r->size_held : 4096;
		r->held = realloc(r->held, r->size_held * sizeof(*r->held));
		if (!r->held)
			return fail(r, "no memory");
	}
	r->held[r->nr_held++] = (struct piece) {
		.off		= off,
		.stream_off	= r->flows[flow].got,
		.len		= len,
		.flow		= flow,
	};

	return true;
}

/*
 * Receiving
 */

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
	if (!hold(r, flow, off, len))
		return false;
	if (!flow_receive(f, ifq_addr(&r->ifq, off), len))
		return fail(r, "flow %u (seed %llu): wrong bytes in the %u after byte %llu",
			    flow, f->seed, len, f->got);
	r->bytes += len;

	return r->nr_held < r->hold || give_back(r, r->hold / 2);
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
		if (cqe.sock != (__u8)cqe.tag)
			return fail(r, "sock %u is not of tag %u", cqe.sock,
				    cqe.tag);
		off = (__u64)cqe.region << IORING_ZCRX_AREA_SHIFT | cqe.off;
		if (!receive_piece(r, cqe.tag, off, cqe.len))
			return false;
		if (cqe.flags & IORING_RBUF_CQE_F_COPIED)
			r->copied += cqe.len;
	}
	ifq_rbuf_release(&r->ifq);

	return true;
}

static bool receive_cqes(struct receiver *r)
{
	struct io_uring_cqe cqe;
	__u64 extra[2];

	while (uring_pop(&r->ring, &cqe, extra)) {
		if (cqe.user_data == RECEIVER_NOT_MINE)
			continue;
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

static bool request_ended(struct receiver *r, unsigned int i, int res)
{
	struct flow *f = &r->flows[i];

	if (!res) {
		if (!flow_complete(f))
			return fail(r, "flow %u (seed %llu): SHA-256 of the %llu bytes received is not the sender's",
				    i, f->seed, f->got);
		f->eof = true;
		r->nr_eof++;
		return true;
	}

	switch (res) {
	case -ECANCELED:
		if (!r->cancelled)
			break;
		r->cancelled = false;
		arm(r, i);
		return true;
	case -ENOSPC:
	case -ENOMEM:
		if (r->mode != RECV_CQE32)
			break;
		r->nr_ended_early++;
		arm(r, i);
		return give_back(r, 0);
	case -ENOBUFS:
		if (r->mode != RECV_RBUF_ONESHOT)
			break;
		arm(r, i);
		return give_back(r, 0);
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
		if (!r->ended[i].now)
			continue;
		r->ended[i].now = false;
		if (!request_ended(r, i, r->ended[i].res))
			return false;
	}

	return true;
}

static bool resume(struct receiver *r)
{
	int ret;

	if (!ifq_needs_kick(&r->ifq))
		return true;
	if (!give_back(r, r->nr_held / 2))
		return false;
	ret = ifq_kick(&r->ifq);

	return !ret || fail(r, "resume: %s", strerror(-ret));
}

/* Waits for completions: 0, -ETIME, or another negative error. */
static int wait_for_more(struct receiver *r)
{
	bool wait = r->mode == RECV_CQE32 || ifq_rbuf_may_sleep(&r->ifq);
	int ret, ms;

	for (ms = STALL_MS; ms > 0; ms -= REFILL_POLL_MS) {
		ret = uring_enter(&r->ring, wait,
				  r->refill_full ? REFILL_POLL_MS : ms);
		if (ret != -ETIME || !r->refill_full)
			return ret == -EINTR ? 0 : ret;
		/* A request that runs, finds no room and pauses again says so
		 * by the flag only.
		 */
		if (!give_back(r, r->hold / 2) || !resume(r))
			return -EIO;
	}

	return -ETIME;
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
	int ret;

	while (bytes ? r->bytes < bytes : r->nr_eof < r->nr_flows) {
		ret = wait_for_more(r);
		if (ret == -EIO)
			return false;
		if (ret == -ETIME)
			return fail_stalled(r);
		if (ret)
			return fail(r, "io_uring_enter: %s", strerror(-ret));
		if (!receive_cqes(r))
			return false;
		if (r->mode != RECV_CQE32 && !receive_rbuf(r))
			return false;
		if (!receive_ends(r) || !resume(r))
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
 * receiver_close() - undo what was done since receiver_prepare()
 * @r: the receiver
 */
void receiver_close(struct receiver *r)
{
	while (r->nr_flows)
		flow_close(&r->flows[--r->nr_flows]);
	uring_exit(&r->ring);
	ifq_args_free(&r->args);
	free(r->held);
}
