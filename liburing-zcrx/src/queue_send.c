// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Sending what was received, from where it lies.
 *
 * Each byte of a received buffer has one owner:
 *
 *   the application	from zcrx_receive() until it releases or sends it. If
 *			zcrx_send() fails it keeps the byte.
 *   a sending		from zcrx_send() until a request for it is submitted, and
 *			again if that ends before the byte is sent.
 *   the kernel		from there until the request's notification, the CQE with
 *			IORING_CQE_F_NOTIF: the socket's queue has no copy of the
 *			byte, and TCP may have to send it once more. Nobody writes
 *			to it. A request that has no notification, since it copied
 *			or failed, is over with its only CQE.
 *   the kernel, free	then: the sending gives its bytes back as
 *			zcrx_release_part() does, and with the last byte of the
 *			buffer, whoever had it, the piece goes back to be received
 *			into.
 *
 * A sending counts those who need it: its out's list, as long as there is more of
 * it to send, and each of its requests. Whoever is last frees it. The CQE of a
 * request says by IORING_CQE_F_MORE whether there will be a notification, and is
 * posted first.
 *
 * All that time the piece counts as held by the connection that it was received
 * from. So a connection whose bytes are sent slowly comes to its budget, is not
 * received from, and finds TCP's window closed: a slow receiver slows its sender
 * down, and no one else.
 *
 * One request at a time is under way for an out, since only then the order is
 * certain: of two that wait for room in a socket the second may find it first. A
 * chain of linked requests is in order, too, but with IORING_SETUP_DEFER_TASKRUN
 * the kernel begins one link each time that it is entered, so it saves no system
 * call; and if one fails, or is short, the rest is cancelled. The
 * next request need not wait for the notification of the one before: as soon as
 * the socket has taken all bytes of one, it is the next one's turn.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "error.h"
#include "queue.h"

/* What liburing 2.3 does not know */
#define SEND_ZC_REPORT_USAGE	(1U << 3)
#define NOTIF_USAGE_ZC_COPIED	(1U << 31)

#define MAX_FIXED	((size_t)1 << 30)	/* bytes of a registered buffer */
#define BLOCK_SENDINGS	256

struct zcrx_sending_block {
	struct zcrx_sending_block	*next;
	struct zcrx_sending		sendings[BLOCK_SENDINGS];
};

/*
 * The area as buffers of the ring
 */

static int register_buffers(struct zcrx_queue *q)
{
	size_t nr = (q->area.size - 1) / MAX_FIXED + 1, i;
	struct iovec *iovs = calloc(nr, sizeof(*iovs));
	int ret;

	if (!iovs)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		iovs[i].iov_base = (char *)q->area.addr + i * MAX_FIXED;
		iovs[i].iov_len = i < nr - 1 ? MAX_FIXED :
					       q->area.size - i * MAX_FIXED;
	}
	ret = io_uring_register_buffers(&q->ring, iovs, (unsigned int)nr);
	free(iovs);

	return ret;
}

/*
 * For all outs, with the first one; after a failure, again with the next.
 *
 * Returns 0 or a negative errno, with sentence.
 */
static int fix_area(struct zcrx_queue *q)
{
	int ret;

	if (q->sends.fixed)
		return 0;
	/*
	 * For a packet from a huge page that is registered as such, kernels count
	 * up to all of it, and then few are under way; not those with rbuf rings.
	 */
	if (q->own_area && q->backend != &zcrx_backend_rbuf)
		madvise(q->area.addr, q->area.size, MADV_NOHUGEPAGE);
	ret = register_buffers(q);
	if (ret == -ENOMEM)
		return zcrx_fail(ret, "%zu bytes of memory can't be pinned to send from, so what is sent is copied: raise ulimit -l, or ask for less",
				 q->area.size);
	if (ret)
		return zcrx_fail(ret, "%zu bytes of memory can't be registered to send from, so what is sent is copied: %s",
				 q->area.size, strerror(-ret));
	q->sends.fixed = true;

	return 0;
}

/*
 * No received buffer reaches from one registered buffer into the next: the sizes
 * of both are powers of two, counted from the beginning of the area.
 */
static int fixed_index(const struct zcrx_queue *q, const char *data)
{
	return (int)((size_t)(data - (const char *)q->area.addr) / MAX_FIXED);
}

static bool is_in_area(const struct zcrx_queue *q, const void *data)
{
	return (uintptr_t)data - (uintptr_t)q->area.addr < q->area.size;
}

/*
 * Lists of outs
 */

static void push(struct zcrx_out_list *list, struct zcrx_out *out)
{
	out->next = NULL;
	if (list->first)
		list->last->next = out;
	else
		list->first = out;
	list->last = out;
}

static struct zcrx_out *pop(struct zcrx_out_list *list)
{
	struct zcrx_out *out = list->first;

	if (out)
		list->first = out->next;

	return out;
}

static void out_ready(struct zcrx_out *out)
{
	out->state = OUT_READY;
	push(&out->queue->sends.ready, out);
}

/* To be told; but if nobody wants to know, out_is_told() is next. */
static void out_end(struct zcrx_out *out, int res)
{
	out->state = OUT_ENDED;
	out->res = res;
	push(&out->queue->sends.ended, out);
}

static void bury_if_unused(struct zcrx_out *out)
{
	if (out->removed && out->state == OUT_TOLD && !out->nr_sendings)
		push(&out->queue->sends.dead, out);
}

static void out_is_told(struct zcrx_out *out)
{
	out->state = OUT_TOLD;
	bury_if_unused(out);
}

/*
 * Sendings
 */

static bool add_sendings(struct zcrx_sends *sends)
{
	struct zcrx_sending_block *block = malloc(sizeof(*block));
	unsigned int i;

	if (!block)
		return false;
	block->next = sends->blocks;
	sends->blocks = block;
	for (i = 0; i < BLOCK_SENDINGS; i++) {
		block->sendings[i].next = sends->unused;
		sends->unused = &block->sendings[i];
	}

	return true;
}

static struct zcrx_sending *sending_alloc(struct zcrx_sends *sends)
{
	struct zcrx_sending *s;

	if (!sends->unused && !add_sendings(sends))
		return NULL;
	s = sends->unused;
	sends->unused = s->next;

	return s;
}

static void give_back(struct zcrx_queue *q, const struct zcrx_sending *s)
{
	if (!zcrx_piece_put(&q->pieces[s->id], s->len))
		return;
	zcrx_queue_release_piece(q, s->id);
	q->sends.gave_back = true;
}

/* Somebody does not need it any more. */
static void sending_put(struct zcrx_sending *s)
{
	struct zcrx_out *out = s->out;
	struct zcrx_queue *q = out->queue;

	if (--s->refs)
		return;
	if (s->copied)
		out->counters.copied_bytes += s->sent;
	else
		out->counters.zc_bytes += s->sent;
	give_back(q, s);
	s->next = q->sends.unused;
	q->sends.unused = s;

	if (!--out->nr_sendings && out->state == OUT_FLUSHING)
		out_end(out, 0);
	bury_if_unused(out);
}

static void drop_first(struct zcrx_out *out)
{
	struct zcrx_sending *s = out->first;

	out->first = s->next;
	sending_put(s);
}

static void drop_all(struct zcrx_out *out)
{
	while (out->first)
		drop_first(out);
}

/*
 * Requests
 */

/* The socket has all there is: its peer is to know that nothing follows. */
static void finish(struct zcrx_out *out)
{
	if (shutdown(out->fd, SHUT_WR))
		out_end(out, -errno);
	else if (out->nr_sendings)
		out->state = OUT_FLUSHING;
	else
		out_end(out, 0);
}

static void prep(struct io_uring_sqe *sqe, struct zcrx_out *out)
{
	struct zcrx_sending *s = out->first;
	int flags = MSG_NOSIGNAL | MSG_WAITALL | (s->next ? MSG_MORE : 0);
	const char *data = s->data + s->sent;

	if (out->way == WAY_COPY)
		io_uring_prep_send(sqe, out->fd, data, s->len - s->sent, flags);
	else
		io_uring_prep_send_zc_fixed(sqe, out->fd, data,
					    s->len - s->sent, flags,
					    out->way == WAY_REPORT ?
					    SEND_ZC_REPORT_USAGE : 0,
					    fixed_index(out->queue, data));
	io_uring_sqe_set_data64(sqe, (uintptr_t)s | DATA_SEND);
	s->refs++;
	out->state = OUT_BUSY;
}

/**
 * zcrx_out_arm_all() - begin requests of the outs that are ready
 * @q: the queue
 *
 * In most cases they have ended when that returns, and the next ones can begin.
 *
 * Return: true if there are some that the kernel has taken.
 */
bool zcrx_out_arm_all(struct zcrx_queue *q)
{
	struct zcrx_sends *sends = &q->sends;
	struct io_uring_sqe *sqe;
	bool any = false;

	while (sends->ready.first) {
		if (sends->ready.first->removed) {
			out_is_told(pop(&sends->ready));
			continue;
		}
		sqe = zcrx_queue_sqe(q);
		if (!sqe)
			break;
		prep(sqe, pop(&sends->ready));
		any = true;
	}

	return any && io_uring_submit(&q->ring) > 0;
}

/**
 * zcrx_out_retry_delayed() - it is time for those that are delayed
 * @q: the queue
 */
void zcrx_out_retry_delayed(struct zcrx_queue *q)
{
	struct zcrx_out *out;

	while ((out = pop(&q->sends.delayed)))
		out_ready(out);
}

/* The socket has taken some. */
static void sent(struct zcrx_out *out)
{
	if (out->first->sent == out->first->len)
		drop_first(out);

	if (out->first)
		out_ready(out);
	else if (out->finishing)
		finish(out);
	else
		out->state = OUT_IDLE;
}

/* There are sockets that can't, and kernels that don't know a flag. */
static bool try_next_way(struct zcrx_out *out, int res)
{
	if (out->way == WAY_COPY || (res != -EOPNOTSUPP && res != -EINVAL))
		return false;
	out->way++;

	return true;
}

/* It has taken nothing. */
static void not_sent(struct zcrx_out *out, int res)
{
	/* Cancelled, but not removed: the call that removes had to fail. */
	if (res == -ECANCELED || try_next_way(out, res)) {
		out_ready(out);
	} else if (res == -EINTR || res == -EAGAIN || res == -ENOMEM ||
		   res == -ENOBUFS) {
		out->state = OUT_DELAYED;
		push(&out->queue->sends.delayed, out);
	} else {
		drop_all(out);
		/* Something was to be sent. */
		out_end(out, res ? res : -EPIPE);
	}
}

static void request_ended(struct zcrx_sending *s, int res)
{
	struct zcrx_out *out = s->out;

	if (res > 0) {
		s->sent += (__u32)res;
		s->copied |= out->way == WAY_COPY;
	}
	if (out->removed) {
		drop_all(out);
		out_is_told(out);
	} else if (res > 0) {
		sent(out);
	} else {
		not_sent(out, res);
	}
}

/*
 * From Linux 6.10 on TCP joins what several requests send: their notifications
 * follow each other in the CQ, and all but the first one say that it was copied,
 * whether it was or not. The first one is right.
 */
static bool was_copied(const struct zcrx_out *out,
		       const struct io_uring_cqe *cqe)
{
	struct zcrx_sends *sends = &out->queue->sends;
	bool copied = (__u32)cqe->res & NOTIF_USAGE_ZC_COPIED;

	if (sends->notified != out || !copied)
		sends->was_copied = copied;
	sends->notified = out;

	return sends->was_copied;
}

/* A notification of a request that has sent nothing says copied, too. */
static void notified(struct zcrx_sending *s, const struct io_uring_cqe *cqe)
{
	if (s->sent && was_copied(s->out, cqe))
		s->copied = true;
}

/**
 * zcrx_out_complete() - deal with a CQE of a send
 * @cqe: the CQE
 */
void zcrx_out_complete(const struct io_uring_cqe *cqe)
{
	struct zcrx_sending *s = (struct zcrx_sending *)(uintptr_t)
				 (cqe->user_data & ~(__u64)DATA_SEND);

	if (cqe->flags & IORING_CQE_F_NOTIF)
		notified(s, cqe);
	else
		request_ended(s, cqe->res);
	if (!(cqe->flags & IORING_CQE_F_MORE))
		sending_put(s);
}

/**
 * zcrx_out_tell_ends() - tell which outs have ended
 * @q: the queue
 * @bufs: filled in
 * @nr: how many there is room for
 *
 * Return: how many were filled in.
 */
unsigned int zcrx_out_tell_ends(struct zcrx_queue *q, struct zcrx_buf *bufs,
				unsigned int nr)
{
	struct zcrx_out *out;
	unsigned int n = 0;

	while (n < nr && (out = pop(&q->sends.ended))) {
		if (!out->removed)
			bufs[n++] = (struct zcrx_buf) {
				.res	= out->res,
				.id	= NO_PIECE,
				.tag	= out->tag,
			};
		out_is_told(out);
	}

	return n;
}

/*
 * Adding and removing
 */

static void out_free(struct zcrx_out *out)
{
	*out->prev_all = out->next_all;
	if (out->next_all)
		out->next_all->prev_all = out->prev_all;
	free(out);
}

/**
 * zcrx_out_free_dead() - free those that nothing refers to any more
 * @q: the queue; the application has dealt with all buffers that it was told of
 */
void zcrx_out_free_dead(struct zcrx_queue *q)
{
	struct zcrx_out *out;

	while ((out = pop(&q->sends.dead)))
		out_free(out);
}

/**
 * zcrx_out_free_all() - free what is left of outs and sendings
 * @q: the queue, with its ring gone
 */
void zcrx_out_free_all(struct zcrx_queue *q)
{
	struct zcrx_sends *sends = &q->sends;
	struct zcrx_sending_block *block;

	while (sends->all)
		out_free(sends->all);
	while ((block = sends->blocks)) {
		sends->blocks = block->next;
		free(block);
	}
}

static struct zcrx_out *out_alloc(struct zcrx_queue *q)
{
	struct zcrx_out *out = calloc(1, sizeof(*out));

	if (!out) {
		zcrx_fail(-ENOMEM, "no memory for an out");
		return NULL;
	}
	out->queue = q;
	out->next_all = q->sends.all;
	out->prev_all = &q->sends.all;
	if (out->next_all)
		out->next_all->prev_all = &out->next_all;
	q->sends.all = out;

	return out;
}

/**
 * zcrx_out_add() - prepare to send what is received
 * @queue: that it is received by, the caller's own
 * @fd: connected stream socket, stays the caller's, and open until removed; may
 *	be a connection of the queue as well
 * @tag: comes back when the out has ended
 * @out: filled in
 *
 * Return: 0; 1: what is sent will be copied, since the memory can't be registered;
 * or a negative errno; zcrx_error() tells why of both.
 */
int zcrx_out_add(struct zcrx_queue *queue, int fd, void *tag,
		 struct zcrx_out **out)
{
	struct zcrx_out *new;
	int ret;

	ret = zcrx_queue_own(queue);
	if (!ret)
		ret = zcrx_check_stream(fd);
	if (ret)
		return ret;
	new = out_alloc(queue);
	if (!new)
		return -ENOMEM;

	new->tag = tag;
	new->fd = fd;
	new->way = fix_area(queue) ? WAY_COPY : WAY_REPORT;
	*out = new;

	return new->way == WAY_COPY;
}

static bool has_ended(const struct zcrx_out *out)
{
	return out->state == OUT_ENDED || out->state == OUT_TOLD;
}

/* Does it take more to send? 0 or a negative errno, with sentence. */
static int check_open(const struct zcrx_out *out)
{
	if (out->removed || out->finishing)
		return zcrx_fail(-EINVAL, "socket %d is finished or removed, nothing more is sent on it",
				 out->fd);
	if (has_ended(out))
		return zcrx_fail(out->res, "sending on socket %d has failed: %s",
				 out->fd, strerror(-out->res));

	return 0;
}

static int check_part(const struct zcrx_queue *q, const struct zcrx_buf *buf,
		      size_t off, size_t len)
{
	if (off > buf->len || len > buf->len - off)
		return zcrx_fail(-EINVAL, "a buffer of %u bytes has not %zu bytes at %zu",
				 buf->len, len, off);
	if (len && !is_in_area(q, buf->data))
		return zcrx_fail(-EINVAL, "the buffer was received by another queue than the one that is to send it");

	return 0;
}

/**
 * zcrx_send() - send a part of a received buffer, and give it back
 * @out: where to, of the caller's own queue
 * @buf: the buffer
 * @off: where the part begins, in bytes from buf->data
 * @len: its length in bytes; all of a buffer: 0 and buf->len
 *
 * Behind what was sent before. The bytes are not to be written to any more, and
 * are released as by zcrx_release_part() when the kernel is done with them, or
 * when the out fails or is removed. The next zcrx_receive() begins with it.
 *
 * Return: 0; or a negative errno, and the bytes are still the caller's to release;
 * zcrx_error() tells why.
 */
int zcrx_send(struct zcrx_out *out, const struct zcrx_buf *buf, size_t off,
	      size_t len)
{
	struct zcrx_queue *q = out->queue;
	struct zcrx_sending *s;
	int ret;

	ret = zcrx_queue_own(q);
	if (!ret)
		ret = check_open(out);
	if (!ret)
		ret = check_part(q, buf, off, len);
	if (ret || !len)
		return ret;
	s = sending_alloc(&q->sends);
	if (!s)
		return zcrx_fail(-ENOMEM, "no memory to send more at a time");

	*s = (struct zcrx_sending) {
		.out	= out,
		.data	= (char *)buf->data + off,
		.len	= (__u32)len,
		.id	= buf->id,
		.refs	= 1,
	};
	if (out->first)
		out->last->next = s;
	else
		out->first = s;
	out->last = s;
	out->nr_sendings++;
	if (out->state == OUT_IDLE) {
		out_ready(out);
		zcrx_poll_wake(q);
	}

	return 0;
}

/**
 * zcrx_out_finish() - nothing more will be sent
 * @out: of the caller's own queue
 *
 * When the socket has taken everything it is shut down for writing. When the
 * kernel is done with everything, zcrx_receive() tells the end. To do so again, or
 * with an out that has failed or was removed, does nothing.
 *
 * Return: 0 or a negative errno; zcrx_error() tells why.
 */
int zcrx_out_finish(struct zcrx_out *out)
{
	int ret;

	ret = zcrx_queue_own(out->queue);
	if (ret || out->finishing || out->removed || has_ended(out))
		return ret;

	out->finishing = true;
	if (out->state == OUT_IDLE) {
		finish(out);
		zcrx_poll_wake(out->queue);
	}

	return 0;
}

/**
 * zcrx_out_remove() - send no more
 * @out: of the caller's own queue; stays valid until the next zcrx_receive(), and
 *	 removing it again does nothing
 *
 * What the socket has not taken yet is not sent, but released: meant for outs that
 * have ended, or sockets that will be closed. What it has taken is still sent, and
 * released when the kernel is done with it.
 *
 * Return: 0 or a negative errno; zcrx_error() tells why.
 */
int zcrx_out_remove(struct zcrx_out *out)
{
	struct zcrx_queue *q = out->queue;
	int ret;

	ret = zcrx_queue_own(q);
	if (ret || out->removed)
		return ret;

	if (out->state == OUT_BUSY &&
	    !zcrx_queue_cancel_now(q, (uintptr_t)out->first | DATA_SEND))
		return zcrx_fail(-EAGAIN, "the kernel takes no request to cancel, receive and try again");
	out->removed = true;
	if (out->state == OUT_IDLE || out->state == OUT_FLUSHING)
		out_is_told(out);
	else if (out->state == OUT_TOLD)
		bury_if_unused(out);
	else if (out->state == OUT_READY || out->state == OUT_DELAYED)
		drop_all(out);
	/* Else what is under way leads on, or the end that is not told. */
	zcrx_queue_flush_own(q);
	zcrx_poll_wake(q);

	return 0;
}

/**
 * zcrx_out_read_counters() - how was it sent?
 * @out: the out
 * @counters: filled in; all that has been sent, once its end has been told
 */
void zcrx_out_read_counters(const struct zcrx_out *out,
			    struct zcrx_out_counters *counters)
{
	*counters = out->counters;
}
