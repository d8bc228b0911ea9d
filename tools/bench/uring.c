// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* io_uring's ordinary recv, one request at a time */
#include <errno.h>
#include <liburing.h>

#include "receiver.h"

static char buf[BUF_SIZE];
static struct io_uring ring;

static int setup(const struct bench_nic *nic)
{
	(void)nic;
	return io_uring_queue_init(8, &ring, 0);
}

static int recv_one(int fd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	struct io_uring_cqe *cqe;
	int ret;

	io_uring_prep_recv(sqe, fd, buf, sizeof(buf), 0);
	ret = io_uring_submit_and_wait(&ring, 1);
	if (ret < 0)
		return ret;
	ret = io_uring_peek_cqe(&ring, &cqe);
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return ret;
}

static int receive(int fd, struct bench_count *count)
{
	int n;

	while ((n = recv_one(fd)) > 0)
		count->bytes += n;
	count->copied_bytes = count->bytes;
	return n;
}

const struct receiver uring_receiver = { "uring", setup, receive };
