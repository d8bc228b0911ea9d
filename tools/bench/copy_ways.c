// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The ways that zcrx-bench-copy compares. Buffer sizes are those that were best
 * with loopback.
 */
#include <err.h>
#include <liburing-zcrx.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "copy.h"

#define BUF_SIZE	(128 << 10)
#define BATCH		256

/*
 * epoll and recv(): one call for each event, into one buffer for all
 */

static int epfd;
static char *buf;

static void set_up_epoll(unsigned int nr, const int *fds)
{
	struct epoll_event event = { .events = EPOLLIN };
	unsigned int i;

	buf = malloc(BUF_SIZE);
	epfd = epoll_create1(0);
	for (i = 0; i < nr; i++) {
		event.data.fd = fds[i];
		if (epoll_ctl(epfd, EPOLL_CTL_ADD, fds[i], &event))
			err(1, "epoll_ctl");
	}
}

static long long receive_epoll(long long bytes)
{
	long long left = bytes;
	struct epoll_event events[BATCH];
	ssize_t len;
	int n, i;

	while (left > 0) {
		n = epoll_wait(epfd, events, BATCH, -1);
		for (i = 0; i < n; i++) {
			len = recv(events[i].data.fd, buf, BUF_SIZE,
				   MSG_DONTWAIT);
			if (len <= 0)
				err(1, "recv");
			left -= len;
		}
	}

	return bytes - left;
}

/*
 * io_uring's recv: one request for each connection, each with its buffer
 */

static struct io_uring ring;
static char *bufs;
static int *ring_fds;

static void submit_recv(unsigned int i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	io_uring_prep_recv(sqe, ring_fds[i], bufs + (size_t)i * BUF_SIZE,
			   BUF_SIZE, 0);
	io_uring_sqe_set_data64(sqe, i);
}

static void set_up_uring(unsigned int nr, const int *fds)
{
	unsigned int i;

	if (io_uring_queue_init(BATCH, &ring, IORING_SETUP_SINGLE_ISSUER |
				IORING_SETUP_DEFER_TASKRUN))
		errx(1, "can't make an io_uring");
	bufs = malloc((size_t)nr * BUF_SIZE);
	ring_fds = malloc(nr * sizeof(*ring_fds));
	memcpy(ring_fds, fds, nr * sizeof(*ring_fds));
	for (i = 0; i < nr; i++)
		submit_recv(i);
}

static long long receive_uring(long long bytes)
{
	long long left = bytes;
	struct io_uring_cqe *cqe;
	unsigned int head, nr;

	while (left > 0) {
		io_uring_submit_and_wait(&ring, 1);
		nr = 0;
		io_uring_for_each_cqe(&ring, head, cqe) {
			if (cqe->res <= 0)
				errx(1, "recv: %s", strerror(-cqe->res));
			left -= cqe->res;
			submit_recv((unsigned int)cqe->user_data);
			nr++;
		}
		io_uring_cq_advance(&ring, nr);
	}

	return bytes - left;
}

/*
 * A queue
 */

static struct zcrx_queue *queue;

static void set_up_queue(unsigned int nr, const int *fds)
{
	struct zcrx_queue_opts opts;
	struct zcrx_conn *conn;
	unsigned int i;

	zcrx_queue_opts_init(&opts);
	opts.backend = "copy";
	if (zcrx_queue_open(&queue, &opts))
		errx(1, "%s", zcrx_error());
	for (i = 0; i < nr; i++)
		if (zcrx_conn_add(queue, fds[i], NULL, &conn) < 0)
			errx(1, "%s", zcrx_error());
}

static long long receive_queue(long long bytes)
{
	long long left = bytes;
	struct zcrx_buf got[BATCH];
	int n, i;

	while (left > 0) {
		n = zcrx_receive(queue, got, BATCH, -1);
		if (n < 0)
			errx(1, "%s", zcrx_error());
		for (i = 0; i < n; i++) {
			if (!got[i].data)
				errx(1, "recv: %s", strerror(-got[i].res));
			left -= got[i].len;
		}
		zcrx_release(queue, got, n);
	}

	return bytes - left;
}

const struct way epoll_way = { "epoll", set_up_epoll, receive_epoll };
const struct way uring_way = { "uring", set_up_uring, receive_uring };
const struct way queue_way = { "copy", set_up_queue, receive_queue };
