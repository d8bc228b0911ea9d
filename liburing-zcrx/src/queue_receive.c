// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The owner's loop: take what was released, tell what has come, begin requests,
 * and sleep when there is nothing of it.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>

#include "clock.h"
#include "error.h"
#include "queue.h"

/*
 * Until memory may be back that the application has not, but sockets have:
 * longer and longer, while nothing comes
 */
#define MIN_RETRY_MS	1
#define MAX_RETRY_MS	64

/* For work that it says it has, the kernel is entered so often before it gets some */
#define MAX_LOOKS	8

/**
 * zcrx_queue_deliver() - tell of a received buffer
 * @q: the queue
 * @conn: received from
 * @id: piece that stands for it
 * @data: its bytes
 * @len: their number
 * @buf: filled in
 *
 * Return: how many buffers were filled in, 0 or 1.
 */
unsigned int zcrx_queue_deliver(struct zcrx_queue *q, struct zcrx_conn *conn,
				__u32 id, void *data, unsigned int len,
				struct zcrx_buf *buf)
{
	struct zcrx_piece *piece = &q->pieces[id];

	q->retry_ms = MIN_RETRY_MS;
	piece->conn = conn;
	piece->left = len;
	conn->nr_held++;
	q->nr_out++;
	if (conn->removed) {
		zcrx_queue_release_piece(q, id);
		return 0;
	}

	*buf = (struct zcrx_buf) {
		.data	= data,
		.len	= len,
		.id	= id,
		.conn	= conn,
		.tag	= conn->tag,
	};

	return 1;
}

/**
 * zcrx_queue_arm_wake() - have releases of other threads end the owner's sleep
 * @q: the queue
 *
 * Each write to the eventfd makes a CQE. Its counter is of no interest.
 */
void zcrx_queue_arm_wake(struct zcrx_queue *q)
{
	struct io_uring_sqe *sqe = zcrx_queue_sqe(q);

	q->wake_armed = sqe;
	if (!sqe)	/* Before sleeping, it is tried again. */
		return;
	io_uring_prep_poll_multishot(sqe, q->wake_fd, POLLIN);
	io_uring_sqe_set_data64(sqe, DATA_WAKE);
}

static bool wants_retry(struct zcrx_queue *q)
{
	return q->delayed.first || q->sends.delayed.first ||
	       (q->backend->wants_retry && q->backend->wants_retry(q));
}

/*
 * Memory that sockets had comes back when they are read, or closed, and nobody
 * tells of it. A request, and no timeout of the sleep, for poll() to end by it.
 */
static void arm_retry(struct zcrx_queue *q)
{
	struct io_uring_sqe *sqe;

	if (q->retry_armed || !wants_retry(q))
		return;
	sqe = zcrx_queue_sqe(q);
	if (!sqe)
		return;
	if (!q->retry_ms)
		q->retry_ms = MIN_RETRY_MS;
	q->retry_time.tv_nsec = q->retry_ms * 1000000LL;
	io_uring_prep_timeout(sqe, &q->retry_time, 0, 0);
	io_uring_sqe_set_data64(sqe, DATA_RETRY);
	q->retry_armed = true;
	if (q->retry_ms < MAX_RETRY_MS)
		q->retry_ms *= 2;
}

static void retry(struct zcrx_queue *q)
{
	q->retry_armed = false;
	zcrx_conn_retry_delayed(q);
	zcrx_out_retry_delayed(q);
	if (q->backend->retry)
		q->backend->retry(q);
}

/**
 * zcrx_queue_cqe_conn() - which connection's is a CQE?
 * @q: the queue
 * @cqe: the CQE
 *
 * Return: the connection, or NULL if it is none's, and has been dealt with.
 */
struct zcrx_conn *zcrx_queue_cqe_conn(struct zcrx_queue *q,
				      const struct io_uring_cqe *cqe)
{
	if (!(cqe->flags & IORING_CQE_F_NOTIF))
		q->sends.notified = NULL;
	switch (cqe->user_data) {
	case DATA_NONE:
		return NULL;
	case DATA_WAKE:
		if (!(cqe->flags & IORING_CQE_F_MORE))
			zcrx_queue_arm_wake(q);
		return NULL;
	case DATA_RETRY:
		retry(q);
		return NULL;
	}
	if (cqe->user_data & DATA_SEND) {
		zcrx_out_complete(cqe);
		return NULL;
	}

	return (struct zcrx_conn *)(uintptr_t)cqe->user_data;
}

/*
 * Sleeping
 */

/*
 * If the kernel has taken SQEs it returns their number, even if a signal has
 * ended the wait. But without one it waits for a CQE, unless it has taken only
 * some of them.
 */
static int submit_and_wait(struct zcrx_queue *q)
{
	int ret = io_uring_submit_and_wait(&q->ring, 1);

	if (ret > 0 && !io_uring_cq_ready(&q->ring) &&
	    !io_uring_sq_ready(&q->ring))
		return -EINTR;

	return ret;
}

static int enter(struct zcrx_queue *q, int timeout_ms)
{
	struct __kernel_timespec ts = {
		.tv_sec		= timeout_ms / 1000,
		.tv_nsec	= timeout_ms % 1000 * 1000000LL,
	};
	struct io_uring_cqe *cqe;
	int ret;

	q->round++;
	ret = zcrx_poll_drain(q);
	if (ret)
		return ret;
	if (!timeout_ms)
		return io_uring_submit_and_get_events(&q->ring);
	if (timeout_ms < 0)
		return submit_and_wait(q);

	/* By itself, so as not to hide how the wait ends */
	if (io_uring_sq_ready(&q->ring)) {
		ret = io_uring_submit(&q->ring);
		if (ret < 0)
			return ret;
	}

	return io_uring_submit_and_wait_timeout(&q->ring, &cqe, 1, &ts, NULL);
}

/*
 * Nobody is to be woken if nobody waits for memory.
 *
 * Returns false if something has been released.
 */
static bool fall_asleep(struct zcrx_queue *q)
{
	if (!q->nr_waiting && !q->wants_release)
		return true;

	__atomic_store_n(&q->asleep, true, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);		/* B */

	return __atomic_load_n(&q->released, __ATOMIC_RELAXED) == NO_PIECE;
}

static bool is_woken(const struct zcrx_queue *q)
{
	return __atomic_load_n(&q->woken, __ATOMIC_ACQUIRE);
}

static int wait_for_work(struct zcrx_queue *q, int timeout_ms)
{
	int ret;

	if (q->backend->prepare_wait(q) || !fall_asleep(q) || is_woken(q))
		timeout_ms = 0;
	if (!q->wake_armed)
		zcrx_queue_arm_wake(q);
	arm_retry(q);

	ret = enter(q, timeout_ms);
	if (ret == -ETIME || ret == -EBUSY || ret == -EAGAIN)
		return 0;

	return ret < 0 ? ret : 0;
}

/*
 * The kernel does only some of it at a time, and tells of new work only; mainline
 * not even of that while there is some.
 *
 * It may also say that it has some, and have none, until it gets some: it says so
 * after the work can be seen, and so done. Linux 7.3 often does. That gives it some
 * costs a poll() which ends for nothing.
 */
static bool kernel_has_work(struct zcrx_queue *q, unsigned int *nr_looks)
{
	if (!(__atomic_load_n(q->ring.sq.kflags, __ATOMIC_RELAXED) &
	      IORING_SQ_TASKRUN))
		return false;
	if (!(++*nr_looks % MAX_LOOKS))
		zcrx_queue_wake_owner(q);

	return true;
}

/* Nothing is left to be done before the application may sleep elsewhere. */
static bool is_settled(struct zcrx_queue *q, unsigned int *nr_looks)
{
	if (io_uring_sq_ready(&q->ring) || !q->wake_armed ||
	    kernel_has_work(q, nr_looks))
		return false;
	if (q->backend->prepare_wait(q))
		return false;
	if (!q->retry_armed && wants_retry(q))
		return false;

	if (!q->nr_waiting && !q->wants_release)
		return true;

	return __atomic_load_n(&q->asleep, __ATOMIC_RELAXED);
}

/* Waits until it is time; *until is 0 before the first time. */
static int ms_left(int timeout_ms, int64_t *until)
{
	int64_t now;

	if (timeout_ms <= 0)
		return timeout_ms;

	now = zcrx_clock();
	if (!*until)
		*until = now + timeout_ms;

	return *until > now ? (int)(*until - now) : 0;
}

/*
 * Sends mostly end as they are submitted. So all that is to be sent is, before
 * more is told of; it may have been told of before.
 */
static unsigned int read_and_send(struct zcrx_queue *q, struct zcrx_buf *bufs,
				  unsigned int nr)
{
	unsigned int n = 0;

	do {
		n += q->backend->read(q, bufs + n, nr - n);
	} while (zcrx_out_arm_all(q) && n < nr);

	return n + zcrx_out_tell_ends(q, bufs + n, nr - n);
}

static unsigned int collect(struct zcrx_queue *q, struct zcrx_buf *bufs,
			    unsigned int nr)
{
	unsigned int n;

	zcrx_queue_take_released(q);
	n = read_and_send(q, bufs, nr);
	/* What was sent goes to the kernel at once, too. */
	if (!n || q->sends.gave_back)
		q->backend->flush(q);
	q->sends.gave_back = false;
	/* If there are some, the next call may know more that has been released. */
	if (!n)
		zcrx_conn_arm_all(q);

	return n;
}

/**
 * zcrx_receive() - what has come from all connections?
 * @queue: the queue, the caller's own
 * @bufs: filled in; those of a connection are in the order of its stream, and
 *	  one without data is its last, told once; so is the end of an out
 * @nr: how many there is room for
 * @timeout_ms: how long to wait for the first one, in milliseconds; 0: not at
 *		all; -1: until there is one
 *
 * Return: the number of buffers; 0: none in that time, or until
 * zcrx_queue_wake(); -EINTR: interrupted by a signal; or another negative errno,
 * and zcrx_error() tells why.
 */
int zcrx_receive(struct zcrx_queue *queue, struct zcrx_buf *bufs,
		 unsigned int nr, int timeout_ms)
{
	unsigned int n, nr_looks = 0;
	bool expired = false, woken;
	int64_t until = 0;
	int ret, left;

	ret = zcrx_queue_own(queue);
	if (ret)
		return ret;
	if (!nr)
		return zcrx_fail(-EINVAL, "no room for a single buffer");
	if (queue->dead.first)
		zcrx_conn_free_dead(queue);
	if (queue->sends.dead.first)
		zcrx_out_free_dead(queue);

	for (;;) {
		n = collect(queue, bufs, nr);
		if (n) {
			__atomic_store_n(&queue->asleep, false,
					 __ATOMIC_RELAXED);
			return (int)n;
		}
		if (queue->stuck)
			return zcrx_fail(-ENOMEM, "no memory to keep more buffers than the queue has room for, release some");
		woken = is_woken(queue);
		if ((expired || woken) && is_settled(queue, &nr_looks)) {
			/* What was done before any wake that this undoes is
			 * for the caller to see.
			 */
			if (woken)
				(void)__atomic_exchange_n(&queue->woken, false,
							  __ATOMIC_ACQUIRE);
			return 0;
		}
		left = woken ? 0 : ms_left(timeout_ms, &until);
		expired = !left;
		ret = wait_for_work(queue, left);
		if (ret)
			return zcrx_fail(ret, "waiting failed: %s",
					 strerror(-ret));
	}
}
