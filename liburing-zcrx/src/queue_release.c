// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Giving buffers back: directly by the owner, through a stack by other threads.
 * The ordering is explained in liburing-zcrx/queue.h.
 */
#include <stdint.h>
#include <unistd.h>

#include "queue.h"

/**
 * zcrx_queue_release_piece() - give a piece back to the kernel
 * @q: the queue
 * @id: the piece
 */
void zcrx_queue_release_piece(struct zcrx_queue *q, __u32 id)
{
	struct zcrx_conn *conn = q->pieces[id].conn;

	q->backend->give_back(q, id);
	q->nr_out--;
	zcrx_conn_released(conn);
}

/**
 * zcrx_queue_take_released() - take what other threads have released
 * @q: the queue
 *
 * For the kernel at once: the owner may have buffers to tell of for long, while
 * the NIC is short of chunks.
 */
void zcrx_queue_take_released(struct zcrx_queue *q)
{
	__u32 id, next;

	if (__atomic_load_n(&q->released, __ATOMIC_RELAXED) == NO_PIECE)
		return;

	id = __atomic_exchange_n(&q->released, NO_PIECE,
				 __ATOMIC_ACQUIRE);		/* A */
	for (; id != NO_PIECE; id = next) {
		next = q->pieces[id].next;
		zcrx_queue_release_piece(q, id);
	}
	q->backend->flush(q);
}

/**
 * zcrx_queue_wake_owner() - give the kernel a CQE to post, and have poll() end
 * @q: the queue
 *
 * From any thread. Fails only if the counter is full, and the owner is woken
 * anyway.
 */
void zcrx_queue_wake_owner(struct zcrx_queue *q)
{
	uint64_t one = 1;

	(void)!write(q->wake_fd, &one, sizeof(one));
	zcrx_poll_wake(q);
}

static void wake(struct zcrx_queue *q)
{
	if (!__atomic_load_n(&q->asleep, __ATOMIC_RELAXED) ||
	    !__atomic_exchange_n(&q->asleep, false, __ATOMIC_RELAXED))
		return;
	zcrx_queue_wake_owner(q);
}

/**
 * zcrx_queue_wake() - have zcrx_receive() return
 * @queue: the queue
 *
 * From any thread. The call that waits, or else the next one, returns 0 when
 * there are no buffers to tell of. Several calls before that count once.
 */
void zcrx_queue_wake(struct zcrx_queue *queue)
{
	__atomic_store_n(&queue->woken, true, __ATOMIC_RELEASE);
	zcrx_queue_wake_owner(queue);
}

static void push_released(struct zcrx_queue *q, __u32 first, __u32 last)
{
	__u32 head = __atomic_load_n(&q->released, __ATOMIC_RELAXED);

	do {
		q->pieces[last].next = head;
	} while (!__atomic_compare_exchange_n(&q->released, &head, first, true,
					      __ATOMIC_RELEASE,	/* A */
					      __ATOMIC_RELAXED));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);		/* B */
	wake(q);
}

/**
 * zcrx_queue_flush_own() - the owner has released pieces outside of zcrx_receive()
 * @q: the queue
 *
 * It may sleep in poll() next, and is woken at once then.
 */
void zcrx_queue_flush_own(struct zcrx_queue *q)
{
	q->backend->flush(q);
	wake(q);
}

static void release_own(struct zcrx_queue *q, const struct zcrx_buf *bufs,
			unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (bufs[i].data)
			zcrx_queue_release_piece(q, bufs[i].id);
	zcrx_queue_flush_own(q);
}

static void release_others(struct zcrx_queue *q, const struct zcrx_buf *bufs,
			   unsigned int nr)
{
	__u32 first = NO_PIECE, last = NO_PIECE;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!bufs[i].data)
			continue;
		if (first == NO_PIECE)
			last = bufs[i].id;
		q->pieces[bufs[i].id].next = first;
		first = bufs[i].id;
	}
	if (first != NO_PIECE)
		push_released(q, first, last);
}

/**
 * zcrx_release() - give buffers back
 * @queue: that they were received by
 * @bufs: the buffers, of any connections; those without data are skipped
 * @nr: their number
 *
 * From any thread, in any order, each once. Nobody looks at their bytes any
 * more.
 */
void zcrx_release(struct zcrx_queue *queue, const struct zcrx_buf *bufs,
		  unsigned int nr)
{
	if (queue->owner == zcrx_thread())
		release_own(queue, bufs, nr);
	else
		release_others(queue, bufs, nr);
}

/**
 * zcrx_release_part() - give a part of a buffer back
 * @queue: that it was received by
 * @buf: the buffer
 * @off: where the part begins, in bytes from buf->data: not looked at, since only
 *	 whole buffers go back; for a back end that may give back less
 * @len: its length in bytes
 *
 * From any thread. Each byte once; the buffer goes back when all of its bytes
 * have been released, and is not released as a whole then.
 */
void zcrx_release_part(struct zcrx_queue *queue, const struct zcrx_buf *buf,
		       size_t off, size_t len)
{
	(void)off;	/* Only counted, by len */
	if (len && zcrx_piece_put(&queue->pieces[buf->id], (__u32)len))
		zcrx_release(queue, buf, 1);
}
