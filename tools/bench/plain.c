// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* recv(), with the payload copied out and, for a lower bound, without */
#include <errno.h>
#include <sys/socket.h>

#include "receiver.h"

static char buf[BUF_SIZE];

static int setup(const struct bench_nic *nic)
{
	(void)nic;
	return 0;
}

static int drain(int fd, int flags, struct bench_count *count)
{
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), flags)) > 0)
		count->bytes += n;
	return n < 0 ? -errno : 0;
}

static int receive(int fd, struct bench_count *count)
{
	int ret = drain(fd, 0, count);

	count->copied_bytes = count->bytes;
	return ret;
}

static int receive_trunc(int fd, struct bench_count *count)
{
	return drain(fd, MSG_TRUNC, count);
}

const struct receiver recv_receiver = { "recv", setup, receive };
const struct receiver trunc_receiver = { "trunc", setup, receive_trunc };
