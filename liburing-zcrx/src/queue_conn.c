// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Connections of a queue. Each has one request under way, or waits: for its
 * turn, for memory, or for what it holds itself.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "error.h"
#include "nic.h"
#include "queue.h"
#include "share.h"

#define MIN_SLOTS	64

/**
 * zcrx_conn_push() - append to a list
 * @list: the list
 * @conn: in no list
 */
void zcrx_conn_push(struct zcrx_conn_list *list, struct zcrx_conn *conn)
{
	conn->next = NULL;
	if (list->first)
		list->last->next = conn;
	else
		list->first = conn;
	list->last = conn;
}

/**
 * zcrx_conn_pop() - take the first of a list
 * @list: the list
 *
 * Return: the connection, or NULL.
 */
struct zcrx_conn *zcrx_conn_pop(struct zcrx_conn_list *list)
{
	struct zcrx_conn *conn = list->first;

	if (conn)
		list->first = conn->next;

	return conn;
}

static void conn_bury_if_unused(struct zcrx_conn *conn)
{
	if (!conn->removed || conn->state != CONN_ENDED || conn->nr_held)
		return;

	zcrx_conn_push(&conn->queue->dead, conn);
}

/**
 * zcrx_conn_free_dead() - free those that nothing refers to any more
 * @q: the queue; the application has dealt with all buffers that it was told of
 */
void zcrx_conn_free_dead(struct zcrx_queue *q)
{
	struct zcrx_conn *conn;

	while ((conn = zcrx_conn_pop(&q->dead))) {
		q->conns[conn->slot] = NULL;
		q->free_slots[q->nr_free_slots++] = conn->slot;
		free(conn);
	}
}

/**
 * zcrx_conn_free_all() - free what is left of them
 * @q: the queue, with its ring gone
 */
void zcrx_conn_free_all(struct zcrx_queue *q)
{
	unsigned int i;

	for (i = 0; i < q->nr_slots; i++)
		free(q->conns[i]);
	free(q->conns);
	free(q->free_slots);
}

/* What does a connection without a request wait for? */
static void conn_wait(struct zcrx_conn *conn, enum zcrx_end end)
{
	struct zcrx_queue *q = conn->queue;

	if (zcrx_conn_at_budget(conn)) {
		conn->state = CONN_PAUSED;
		q->nr_waiting++;
	} else if (end == END_DELAYED) {
		conn->state = CONN_DELAYED;
		zcrx_conn_push(&q->delayed, conn);
	} else if (end == END_STARVED) {
		conn->state = CONN_STARVED;
		q->nr_waiting++;
		q->nr_starved++;
		zcrx_conn_push(&q->starved, conn);
	} else {
		conn->state = CONN_READY;
		zcrx_conn_push(&q->ready, conn);
	}
}

static void conn_end(struct zcrx_conn *conn)
{
	conn->state = CONN_ENDED;
	conn_bury_if_unused(conn);
}

static void conn_ready(struct zcrx_conn *conn)
{
	conn->state = CONN_READY;
	zcrx_conn_push(&conn->queue->ready, conn);
}

/*
 * As many as may find memory; others would only fail again. Removed ones are
 * not counted.
 */
static void feed_starved(struct zcrx_queue *q)
{
	unsigned int nr = q->backend->nr_chances(q);
	struct zcrx_conn *conn;

	while (q->starved.first && (nr || q->starved.first->removed)) {
		conn = zcrx_conn_pop(&q->starved);
		if (conn->removed) {
			conn_end(conn);
			continue;
		}
		nr--;
		q->nr_waiting--;
		q->nr_starved--;
		conn_ready(conn);
	}
}

/**
 * zcrx_conn_retry_delayed() - it is time for those that are delayed
 * @q: the queue
 */
void zcrx_conn_retry_delayed(struct zcrx_queue *q)
{
	struct zcrx_conn *conn;

	while ((conn = zcrx_conn_pop(&q->delayed)))
		conn_ready(conn);
}

/**
 * zcrx_conn_arm_all() - begin requests of the connections that are ready
 * @q: the queue
 */
void zcrx_conn_arm_all(struct zcrx_queue *q)
{
	struct io_uring_sqe *sqe;
	struct zcrx_conn *conn;

	if (q->starved.first)
		feed_starved(q);
	while (q->ready.first) {
		if (q->ready.first->removed) {
			conn_end(zcrx_conn_pop(&q->ready));
			continue;
		}
		sqe = zcrx_queue_sqe(q);
		if (!sqe)
			return;
		conn = zcrx_conn_pop(&q->ready);
		conn->state = CONN_ARMED;
		q->backend->prep(sqe, conn);
		io_uring_sqe_set_data(sqe, conn);
	}
}

/**
 * zcrx_conn_cancel() - end a connection's request
 * @conn: the connection
 *
 * May find the request at work, and fail; so it is called again in the next
 * round if that goes on.
 */
void zcrx_conn_cancel(struct zcrx_conn *conn)
{
	struct zcrx_queue *q = conn->queue;

	if (conn->state != CONN_ARMED || conn->cancel_round == q->round)
		return;
	if (zcrx_queue_cancel(q, (uintptr_t)conn))
		conn->cancel_round = q->round;
}

/**
 * zcrx_conn_limit() - end a connection's request if it has received enough
 * @conn: the connection, whose request goes on
 */
void zcrx_conn_limit(struct zcrx_conn *conn)
{
	if (conn->removed || zcrx_conn_at_budget(conn))
		zcrx_conn_cancel(conn);
}

/**
 * zcrx_conn_ended() - a connection's request has ended
 * @conn: the connection
 * @res: of the last CQE
 * @end: why
 * @buf: to tell the end of the connection
 *
 * Return: how many buffers were filled in, 0 or 1.
 */
unsigned int zcrx_conn_ended(struct zcrx_conn *conn, int res,
			     enum zcrx_end end, struct zcrx_buf *buf)
{
	if (conn->removed) {
		conn_end(conn);
		return 0;
	}
	if (end != END_STREAM) {
		conn_wait(conn, end);
		return 0;
	}

	conn->state = CONN_ENDED;
	*buf = (struct zcrx_buf) {
		.res	= res,
		.id	= NO_PIECE,
		.conn	= conn,
		.tag	= conn->tag,
	};

	return 1;
}

/**
 * zcrx_conn_released() - a connection holds a piece less
 * @conn: the connection
 */
void zcrx_conn_released(struct zcrx_conn *conn)
{
	conn->nr_held--;
	if (conn->state == CONN_PAUSED) {
		conn->queue->nr_waiting--;
		conn_wait(conn, END_GOES_ON);
	}
	conn_bury_if_unused(conn);
}

/*
 * Adding and removing
 */

static int add_slots(struct zcrx_queue *q)
{
	unsigned int nr = q->nr_slots ? 2 * q->nr_slots : MIN_SLOTS, i;
	struct zcrx_conn **conns;
	unsigned int *free_slots;

	conns = reallocarray(q->conns, nr, sizeof(*conns));
	if (!conns)
		return -ENOMEM;
	q->conns = conns;
	free_slots = reallocarray(q->free_slots, nr, sizeof(*free_slots));
	if (!free_slots)
		return -ENOMEM;
	q->free_slots = free_slots;

	for (i = nr; i > q->nr_slots; i--) {
		conns[i - 1] = NULL;
		free_slots[q->nr_free_slots++] = i - 1;
	}
	q->nr_slots = nr;

	return 0;
}

/**
 * zcrx_check_stream() - is it a socket of a stream?
 * @fd: a file descriptor
 *
 * Return: 0 or a negative errno, with sentence.
 */
int zcrx_check_stream(int fd)
{
	socklen_t len = sizeof(int);
	int type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len))
		return zcrx_fail(-errno, "file descriptor %d is not a socket",
				 fd);
	if (type != SOCK_STREAM)
		return zcrx_fail(-EPROTONOSUPPORT, "socket %d is not of a stream: take a TCP socket",
				 fd);

	return 0;
}

/*
 * What is not steered is received all the same, by copying.
 *
 * Returns 0, or 1 with sentence.
 */
static int steer(struct zcrx_queue *q, int fd)
{
	if (q->exporter >= 0)
		return !!zcrx_import_steer(q, fd, ZCRX_SHARE_STEER);

	return q->nic && zcrx_nic_steer(q->nic, fd);
}

static void unsteer(struct zcrx_queue *q, int fd)
{
	if (q->exporter >= 0)
		zcrx_import_steer(q, fd, ZCRX_SHARE_UNSTEER);
	else if (q->nic)
		zcrx_nic_unsteer(q->nic, fd);
}

/**
 * zcrx_conn_add() - receive from a connection
 * @queue: the queue, the caller's own
 * @fd: connected stream socket, stays the caller's, and open until removed
 * @tag: comes back in each buffer
 * @conn: filled in
 *
 * Return: 0; 1: it could not be steered to the queue, and will be copied; or a
 * negative errno; zcrx_error() tells why of both.
 */
int zcrx_conn_add(struct zcrx_queue *queue, int fd, void *tag,
		  struct zcrx_conn **conn)
{
	struct zcrx_conn *new;
	int ret, not_steered;

	ret = zcrx_queue_own(queue);
	if (!ret)
		ret = zcrx_check_stream(fd);
	if (!ret)
		ret = queue->backend->check_socket(fd);
	if (ret)
		return ret;
	new = calloc(1, sizeof(*new));
	if (!new || (!queue->nr_free_slots && add_slots(queue))) {
		free(new);
		return zcrx_fail(-ENOMEM, "no memory for a connection");
	}

	not_steered = steer(queue, fd);
	new->queue = queue;
	new->tag = tag;
	new->fd = fd;
	new->cancel_round = UINT64_MAX;
	new->slot = queue->free_slots[--queue->nr_free_slots];
	queue->conns[new->slot] = new;
	*conn = new;

	conn_wait(new, END_GOES_ON);
	zcrx_conn_arm_all(queue);
	io_uring_submit(&queue->ring);
	/* What the kernel does not take now, it is given by zcrx_receive(). */
	if (io_uring_sq_ready(&queue->ring))
		zcrx_poll_wake(queue);

	return not_steered;
}

/**
 * zcrx_conn_remove() - receive no more from a connection
 * @conn: the connection, of the caller's own queue; stays valid until the next
 *	  zcrx_receive(), and removing it again does nothing
 *
 * Buffers that have been received stay valid until they are released. What the
 * queue has, and has not told yet, is lost: meant for sockets that will be
 * closed, or have ended.
 *
 * Return: 0 or a negative errno; zcrx_error() tells why.
 */
int zcrx_conn_remove(struct zcrx_conn *conn)
{
	struct zcrx_queue *q = conn->queue;
	int ret;

	ret = zcrx_queue_own(q);
	if (ret || conn->removed)
		return ret;

	if (conn->state == CONN_ARMED &&
	    !zcrx_queue_cancel_now(q, (uintptr_t)conn))
		return zcrx_fail(-EAGAIN, "the kernel takes no request to cancel, receive and try again");
	unsteer(q, conn->fd);
	conn->removed = true;
	if (conn->state == CONN_PAUSED) {
		q->nr_waiting--;
		conn_end(conn);
	} else if (conn->state == CONN_STARVED) {
		/* Stays in the list, but waits for nothing. */
		q->nr_waiting--;
		q->nr_starved--;
	} else {
		conn_bury_if_unused(conn);
	}

	return 0;
}
