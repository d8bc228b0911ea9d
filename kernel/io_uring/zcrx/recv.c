// SPDX-License-Identifier: GPL-2.0
/*
 * IORING_OP_RECV_ZC: from a socket's receive queue to completions
 *
 * Payload in a chunk of the ifq is posted where it is, anything else is copied
 * to a chunk first. In the task that owns the ring or its SQPOLL thread, under
 * the ring's uring_lock, and under the ifq's lock, since other rings may have
 * it, too.
 */

#include <linux/file.h>
#include <linux/io_uring.h>
#include <linux/io_uring_types.h>
#include <linux/net.h>
#include <linux/security.h>
#include <linux/skbuff.h>
#include <net/page_pool/helpers.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <trace/events/zcrx.h>

#include "../io_uring.h"
#include "../poll.h"
#include "area.h"
#include "ifq.h"
#include "member.h"
#include "recv.h"
#include "zcrx.h"

/* A multishot request gives others a turn after so many bytes. */
#define ZCRX_MULTISHOT_BATCH	SZ_1M

/**
 * struct zcrx_recv - a request
 * @file: the socket
 * @ifq: lives as long as the ring, and so longer than the request
 * @left: bytes to receive, if there is a limit
 * @tag: the user's, for the rbuf ring
 * @flags: IORING_RECV_MULTISHOT, IORING_RECVSEND_POLL_FIRST
 * @limited: there is a limit
 * @paused: it found no room when it was last issued
 */
struct zcrx_recv {
	struct file	*file;
	struct zcrx_ifq	*ifq;
	u32		left;
	u32		tag;
	u16		flags;
	bool		limited;
	bool		paused;
};

/**
 * struct zcrx_batch - what one look at a socket's receive queue does
 * @req: the request
 * @ifq: its ifq
 * @sk: the socket, locked
 * @done: bytes posted
 * @error: why it stopped: -ENOBUFS without room for a completion, -ENOMEM
 *	without a chunk, -EFAULT for memory that can't be read, -ECANCELED if
 *	the ring closes, -EPROTONOSUPPORT if the socket is not plain TCP; or 0
 */
struct zcrx_batch {
	struct io_kiocb	*req;
	struct zcrx_ifq	*ifq;
	struct sock	*sk;
	size_t		done;
	int		error;
};

int io_recvzc_prep(struct io_kiocb *req, const struct io_uring_sqe *sqe)
{
	struct zcrx_recv *zr = io_kiocb_to_cmd(req, struct zcrx_recv);
	u64 addr3 = READ_ONCE(sqe->addr3);

	if (sqe->addr || sqe->addr2 || sqe->msg_flags || sqe->buf_index ||
	    sqe->__pad2[0])
		return -EINVAL;

	zr->ifq = zcrx_ifq_find(req->ctx, READ_ONCE(sqe->zcrx_ifq_idx));
	if (!zr->ifq)
		return -EINVAL;

	zr->flags = READ_ONCE(sqe->ioprio);
	if (zr->flags & ~(IORING_RECV_MULTISHOT | IORING_RECVSEND_POLL_FIRST))
		return -EINVAL;
	if (!zcrx_ifq_has_rbuf(zr->ifq) &&
	    (addr3 || !(zr->flags & IORING_RECV_MULTISHOT)))
		return -EINVAL;
	if (upper_32_bits(addr3))
		return -EINVAL;

	zr->tag = addr3;
	zr->left = READ_ONCE(sqe->len);
	zr->limited = zr->left;
	zr->paused = false;
	if (zr->flags & IORING_RECV_MULTISHOT)
		req->flags |= REQ_F_APOLL_MULTISHOT;
	return 0;
}

static bool post_rbuf(struct zcrx_batch *b, struct zcrx_chunk *chunk, u32 off,
		      u32 len, enum io_uring_zcrx_copy_reason reason)
{
	const struct zcrx_recv *zr = io_kiocb_to_cmd(b->req, struct zcrx_recv);
	struct io_uring_rbuf_cqe cqe = {
		.off	= zcrx_chunk_offset(chunk) + off,
		.len	= len,
		.region	= chunk->area->id,
		.sock	= zr->tag,
		.flags	= reason << IORING_RBUF_CQE_REASON_SHIFT,
		.tag	= zr->tag,
	};

	if (reason)
		cqe.flags |= IORING_RBUF_CQE_F_COPIED;
	zcrx_rbuf_post(&b->ifq->rbuf, &cqe);
	return true;
}

static bool post_cqe32(struct zcrx_batch *b, struct zcrx_chunk *chunk, u32 off,
		       u32 len)
{
	u64 token = (u64)chunk->area->id << IORING_ZCRX_AREA_SHIFT;

	return io_req_post_cqe32(b->req, len, IORING_CQE_F_MORE,
				 token + zcrx_chunk_offset(chunk) + off, 0);
}

static void count_piece(struct zcrx_batch *b, u64 off, u32 len,
			enum io_uring_zcrx_copy_reason reason)
{
	const struct zcrx_recv *zr = io_kiocb_to_cmd(b->req, struct zcrx_recv);
	struct zcrx_counters *counters = &b->ifq->counters;

	counters->posted++;
	if (!reason) {
		counters->zc_bytes += len;
		trace_zcrx_recv(b->ifq, b->sk, zr->tag, off, len, reason);
		return;
	}

	counters->copies++;
	counters->copied_bytes[reason] += len;
	trace_zcrx_copy(b->ifq, b->sk, zr->tag, off, len, reason);
	zcrx_stats_update(b->ifq);
	zcrx_event_raise(b->ifq, ZCRX_EVENT_COPY);
}

/* The caller has a reference of the chunk, and looked for room. */
static bool post_piece(struct zcrx_batch *b, struct zcrx_chunk *chunk, u32 off,
		       u32 len, enum io_uring_zcrx_copy_reason reason)
{
	bool posted;

	zcrx_chunk_get_for_user(chunk);
	posted = zcrx_ifq_has_rbuf(b->ifq) ?
		 post_rbuf(b, chunk, off, len, reason) :
		 post_cqe32(b, chunk, off, len);
	if (!posted) {
		/* A hostile user may have given back what he never got. */
		if (zcrx_chunk_drop_user(chunk))
			zcrx_chunk_put(chunk);
		b->error = -ENOBUFS;
		return false;
	}

	count_piece(b, zcrx_chunk_offset(chunk) + off, len, reason);
	b->done += len;
	return true;
}

static bool may_pause(const struct zcrx_batch *b)
{
	const struct zcrx_recv *zr = io_kiocb_to_cmd(b->req, struct zcrx_recv);

	return zcrx_ifq_has_rbuf(b->ifq) && (zr->flags & IORING_RECV_MULTISHOT);
}

/* It has run out of something that the user can give it. */
static bool lacks_room(const struct zcrx_batch *b)
{
	return b->error == -ENOBUFS || b->error == -ENOMEM;
}

static bool pauses(const struct zcrx_batch *b)
{
	return lacks_room(b) && may_pause(b);
}

/* With CQE32, room is found out by posting. */
static bool have_room(struct zcrx_batch *b)
{
	struct zcrx_ifq *ifq = b->ifq;

	if (!zcrx_ifq_has_rbuf(ifq) || zcrx_rbuf_has_room(&ifq->rbuf))
		return true;
	if (may_pause(b)) {
		zcrx_rbuf_set_need_kick(&ifq->rbuf);
		if (zcrx_rbuf_has_room(&ifq->rbuf))
			return true;
	}
	b->error = -ENOBUFS;
	return false;
}

static bool have_chunk(struct zcrx_batch *b)
{
	struct zcrx_ifq *ifq = b->ifq;

	if (zcrx_copy_prepare(ifq))
		return true;
	if (may_pause(b)) {
		zcrx_rbuf_set_need_kick(&ifq->rbuf);
		if (zcrx_copy_prepare(ifq))
			return true;
	}
	b->error = -ENOMEM;
	return false;
}

static u32 recv_by_copy(struct zcrx_batch *b, const void *src, u32 len,
			enum io_uring_zcrx_copy_reason reason)
{
	struct zcrx_copy *copy = &b->ifq->copy;
	u32 done = 0;

	while (done < len && have_room(b) && have_chunk(b)) {
		u32 n = zcrx_copy_piece(b->ifq, src + done, len - done);

		if (!post_piece(b, copy->chunk, copy->used - n, n, reason)) {
			copy->used -= n;
			break;
		}
		done += n;
	}
	return done;
}

/* The chunk that a fragment is in, if it is one of this ifq. */
static struct zcrx_chunk *frag_chunk(const struct zcrx_batch *b,
				     const skb_frag_t *frag)
{
	struct net_iov *niov = skb_frag_net_iov(frag);
	struct zcrx_chunk *chunk;

	/* The only net_iovs of host memory are chunks. */
	if (!niov || niov->type != NET_IOV_HOST)
		return NULL;
	chunk = zcrx_chunk_of(niov);
	return chunk->area->ifq == b->ifq ? chunk : NULL;
}

static u32 recv_frag(struct zcrx_batch *b, const skb_frag_t *frag, u32 off,
		     u32 len)
{
	struct zcrx_chunk *chunk = frag_chunk(b, frag);
	const void *addr;

	if (chunk) {
		if (!have_room(b) ||
		    !post_piece(b, chunk, skb_frag_off(frag) + off, len,
				IORING_ZCRX_COPY_NONE))
			return 0;
		return len;
	}

	addr = skb_frag_address_safe(frag);
	if (!addr) {
		b->error = -EFAULT;
		return 0;
	}
	return recv_by_copy(b, addr + off, len,
			    skb_frag_is_net_iov(frag) ? IORING_ZCRX_COPY_FOREIGN :
							IORING_ZCRX_COPY_PAGE);
}

/* Bytes [offset, offset + len) of an skb; returns how many were posted. */
static u32 recv_range(struct zcrx_batch *b, const struct sk_buff *skb,
		      u32 offset, u32 len)
{
	const struct skb_shared_info *shinfo = skb_shinfo(skb);
	u32 headlen = skb_headlen(skb);
	const struct sk_buff *iter;
	u32 done = 0, n;
	int i;

	if (offset < headlen) {
		n = min(headlen - offset, len);
		done = recv_by_copy(b, skb->data + offset, n,
				    IORING_ZCRX_COPY_LINEAR);
		offset = headlen;
	}
	offset -= headlen;

	for (i = 0; i < shinfo->nr_frags && done < len && !b->error; i++) {
		const skb_frag_t *frag = &shinfo->frags[i];
		u32 size = skb_frag_size(frag);

		if (offset < size) {
			n = min(size - offset, len - done);
			done += recv_frag(b, frag, offset, n);
			offset = size;
		}
		offset -= size;
	}

	for (iter = shinfo->frag_list; iter && done < len && !b->error;
	     iter = iter->next) {
		if (offset < iter->len) {
			n = min(iter->len - offset, len - done);
			done += recv_range(b, iter, offset, n);
			offset = iter->len;
		}
		offset -= iter->len;
	}
	return done;
}

/* sk_read_actor_t; called again even after it has returned too little */
static int recv_skb(read_descriptor_t *desc, struct sk_buff *skb,
		    unsigned int offset, size_t len)
{
	struct zcrx_batch *b = desc->arg.data;
	u32 done;

	if (b->error)
		return 0;
	done = recv_range(b, skb, offset, min(len, desc->count));
	desc->count -= done;
	return done;
}

/*
 * Reading stops at an urgent byte. Like recv(), leave it out unless it is meant
 * to be in the stream. Returns true if there may be more behind it.
 */
static bool pass_urgent_mark(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);

	if (likely(!tp->urg_data) || tp->urg_seq != tp->copied_seq ||
	    !before(tp->copied_seq, tp->rcv_nxt))
		return false;

	if (!sock_flag(sk, SOCK_URGINLINE))
		WRITE_ONCE(tp->copied_seq, tp->copied_seq + 1);
	WRITE_ONCE(tp->urg_data, 0);
	tcp_fast_path_check(sk);
	return true;
}

/* With nothing left to read; an error is told only once */
static int sock_status(struct sock *sk)
{
	if (sk->sk_err)
		return sock_error(sk);
	if ((sk->sk_shutdown & RCV_SHUTDOWN) || sock_flag(sk, SOCK_DONE))
		return 0;
	if (sk->sk_state == TCP_CLOSE)
		return -ENOTCONN;
	return -EAGAIN;
}

static void show_batch(struct zcrx_batch *b)
{
	const struct zcrx_recv *zr = io_kiocb_to_cmd(b->req, struct zcrx_recv);
	struct zcrx_ifq *ifq = b->ifq;

	/* A request that completes wakes the user by that. Without room in the
	 * CQ there are CQEs to see, and the user is awake.
	 */
	if (zcrx_ifq_has_rbuf(ifq) &&
	    zcrx_rbuf_publish(&ifq->rbuf, &ifq->counters) &&
	    (zr->flags & IORING_RECV_MULTISHOT))
		io_req_post_cqe(b->req, b->done, IORING_CQE_F_MORE);
}

/* Trying again in vain does not count. A one-shot request ends well with bytes. */
static void count_shortage(struct zcrx_batch *b)
{
	struct zcrx_recv *zr = io_kiocb_to_cmd(b->req, struct zcrx_recv);
	bool paused = pauses(b);

	if (paused && (!zr->paused || b->done))
		b->ifq->counters.pauses++;
	else if (!paused && lacks_room(b) &&
		 (!b->done || (zr->flags & IORING_RECV_MULTISHOT)))
		b->ifq->counters.ends++;
	zr->paused = paused;
}

/* Both locks are held. */
static int read_queue(struct zcrx_batch *b, size_t limit)
{
	const struct zcrx_recv *zr = io_kiocb_to_cmd(b->req, struct zcrx_recv);
	read_descriptor_t desc = {
		.arg.data	= b,
		.count		= limit,
	};
	struct sock *sk = b->sk;
	int ret;

	do {
		ret = tcp_read_sock(sk, &desc, recv_skb);
	} while (ret >= 0 && desc.count && !b->error && pass_urgent_mark(sk));

	if (ret < 0)
		return ret;
	if (desc.count && !b->error &&
	    (!b->done || (zr->flags & IORING_RECV_MULTISHOT)))
		return sock_status(sk);
	return 1;
}

/*
 * Returns 1 if there may be more to read, -EAGAIN if not yet; 0 at the end of
 * the stream, or the socket's error. Not if b->error is set. A request that
 * completes with what it has got leaves end and error to the next one.
 *
 * The socket's lock first: another user of the socket may hold it for as long as
 * a page fault takes, and must not keep the ifq from others meanwhile.
 */
static int recv_batch(struct zcrx_batch *b, size_t limit)
{
	struct zcrx_ifq *ifq = b->ifq;
	struct sock *sk = b->sk;
	int ret = 0;

	lock_sock(sk);
	mutex_lock(&ifq->lock);
	if (ifq->closed || percpu_ref_is_dying(&b->req->ctx->refs))
		b->error = -ECANCELED;
	else if (READ_ONCE(sk->sk_prot)->recvmsg != tcp_recvmsg)
		b->error = -EPROTONOSUPPORT;
	else
		ret = read_queue(b, limit);
	count_shortage(b);
	show_batch(b);
	mutex_unlock(&ifq->lock);
	release_sock(sk);
	return ret;
}

static int finish(struct io_kiocb *req, int res, unsigned int issue_flags)
{
	if (res < 0)
		req_set_fail(req);
	io_req_set_res(req, res, 0);
	return issue_flags & IO_URING_F_MULTISHOT ? IOU_STOP_MULTISHOT : IOU_OK;
}

/*
 * The rest waits for the poll that is armed, or that -EAGAIN arms. It stays, for
 * one-shot requests, too: armed anew after each event that brought nothing to
 * receive, it would find what poll() tells of for ever, an entry of the error
 * queue, ready at once, and again. Not from the beginning: a worker arms the poll
 * of such a request and does no more, be it a socket or not.
 */
static int wait_for_more(struct io_kiocb *req, unsigned int issue_flags)
{
	if (issue_flags & IO_URING_F_MULTISHOT)
		return IOU_ISSUE_SKIP_COMPLETE;

	req->flags |= REQ_F_APOLL_MULTISHOT;
	return -EAGAIN;
}

static int recv_once(struct io_kiocb *req, struct sock *sk,
		     unsigned int issue_flags)
{
	struct zcrx_recv *zr = io_kiocb_to_cmd(req, struct zcrx_recv);
	struct zcrx_batch b = { .req = req, .ifq = zr->ifq, .sk = sk };
	int ret;

	ret = recv_batch(&b, min_t(u32, zr->limited ? zr->left : INT_MAX,
				   INT_MAX));
	if (b.done)
		return finish(req, b.done, issue_flags);
	if (b.error)
		return finish(req, b.error == -ENOMEM ? -ENOBUFS : b.error,
			      issue_flags);
	if (ret == -EAGAIN)
		return wait_for_more(req, issue_flags);
	return finish(req, ret, issue_flags);
}

static int stop_or_pause(struct zcrx_batch *b, unsigned int issue_flags)
{
	if (pauses(b))
		return wait_for_more(b->req, issue_flags);
	return finish(b->req, b->error == -ENOBUFS ? -ENOSPC : b->error,
		      issue_flags);
}

static int recv_multishot(struct io_kiocb *req, struct sock *sk,
			  unsigned int issue_flags)
{
	struct zcrx_recv *zr = io_kiocb_to_cmd(req, struct zcrx_recv);
	struct zcrx_batch b = { .req = req, .ifq = zr->ifq, .sk = sk };
	u32 limit = ZCRX_MULTISHOT_BATCH;
	int ret;

	if (zr->limited)
		limit = min(limit, zr->left);
	ret = recv_batch(&b, limit);
	if (zr->limited)
		zr->left -= b.done;
	if (b.error)
		return stop_or_pause(&b, issue_flags);

	if (zr->limited && !zr->left)
		return finish(req, 0, issue_flags);
	if (ret == -EAGAIN)
		return wait_for_more(req, issue_flags);
	if (ret <= 0)
		return finish(req, ret, issue_flags);
	return issue_flags & IO_URING_F_MULTISHOT ? IOU_REQUEUE : -EAGAIN;
}

/* As for recv(); nobody looks into the message, which there is none of. */
static int may_receive(struct socket *sock, const struct zcrx_recv *zr)
{
	struct msghdr msg = {};

	return security_socket_recvmsg(sock, &msg,
				       zr->limited ? zr->left : INT_MAX, 0);
}

/* Workers don't post: wait for data here, and go back to the task. */
static int leave_worker(struct io_kiocb *req, unsigned int issue_flags)
{
	if (issue_flags & IO_URING_F_NONBLOCK)
		return wait_for_more(req, issue_flags);

	req->flags &= ~REQ_F_FORCE_ASYNC;
	io_req_task_queue(req);
	return IOU_ISSUE_SKIP_COMPLETE;
}

int io_recvzc(struct io_kiocb *req, unsigned int issue_flags)
{
	struct zcrx_recv *zr = io_kiocb_to_cmd(req, struct zcrx_recv);
	struct socket *sock = sock_from_file(req->file);
	struct sock *sk;
	int ret;

	if (!sock)
		return finish(req, -ENOTSOCK, issue_flags);
	sk = sock->sk;
	if (!sk_is_tcp(sk))
		return finish(req, -EPROTONOSUPPORT, issue_flags);

	if (issue_flags & IO_URING_F_IOWQ)
		return leave_worker(req, issue_flags);
	if (!(req->flags & REQ_F_POLLED) &&
	    (zr->flags & IORING_RECVSEND_POLL_FIRST))
		return wait_for_more(req, issue_flags);

	ret = may_receive(sock, zr);
	if (ret)
		return finish(req, ret, issue_flags);
	if (zr->flags & IORING_RECV_MULTISHOT)
		return recv_multishot(req, sk, issue_flags);
	return recv_once(req, sk, issue_flags);
}

static void wake_bucket(struct hlist_head *list, struct zcrx_ifq *ifq)
{
	struct io_kiocb *req;

	hlist_for_each_entry(req, list, hash_node) {
		struct zcrx_recv *zr = io_kiocb_to_cmd(req, struct zcrx_recv);

		if (req->opcode == IORING_OP_RECV_ZC && zr->ifq == ifq)
			io_poll_retry(req);
	}
}

/* With uring_lock held */
static void wake_ring(struct io_ring_ctx *ctx, struct zcrx_ifq *ifq)
{
	unsigned int i;

	lockdep_assert_held(&ctx->uring_lock);

	for (i = 0; i < 1U << ctx->cancel_table.hash_bits; i++) {
		struct io_hash_bucket *hb = &ctx->cancel_table.hbs[i];

		spin_lock(&hb->lock);
		wake_bucket(&hb->list, ifq);
		spin_unlock(&hb->lock);
		wake_bucket(&ctx->cancel_table_locked.hbs[i].list, ifq);
		cond_resched();
	}
}

/**
 * zcrx_recv_wake() - let the requests that wait on their socket look again
 * @ctx: the ring of whoever asks, with uring_lock held
 * @ifq: of which requests; under its lock
 *
 * A paused request looks like one that waits for data, and is found where polls
 * are found to be cancelled. Waking its socket instead would cost the number of
 * requests squared: each of them wakes up with each.
 *
 * Return: false if another ring that has the ifq was busy, and may still have
 * paused requests. Waiting for its uring_lock could last for ever: its owner may
 * be about to do the same with us.
 */
bool zcrx_recv_wake(struct io_ring_ctx *ctx, struct zcrx_ifq *ifq)
{
	struct zcrx_member *member;
	bool all = true;

	lockdep_assert_held(&ifq->lock);

	list_for_each_entry(member, &ifq->members, node) {
		if (member->ctx == ctx) {
			wake_ring(ctx, ifq);
		} else if (mutex_trylock(&member->ctx->uring_lock)) {
			wake_ring(member->ctx, ifq);
			mutex_unlock(&member->ctx->uring_lock);
		} else {
			all = false;
		}
	}
	return all;
}
