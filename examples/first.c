// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Receive the connection that is stdin, in place: first eth0 1 < /dev/tcp/HOST/PORT | sha256sum */
#include <error.h>
#include <liburing-zcrx.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct zcrx_params params = { .refill_entries = 32768, .rbuf_entries = 4096 };
	const struct zcrx_rbuf_cqe *buf;
	struct zcrx_area area;
	struct io_uring ring;
	struct zcrx_ifq ifq;
	unsigned int nr;
	int ret;

	if (argc != 3)
		error(2, 0, "usage: first IFNAME QUEUE < /dev/tcp/HOST/PORT");
	params.if_idx = if_nametoindex(argv[1]);
	params.rxq = atoi(argv[2]);
	ret = io_uring_queue_init(8, &ring, 0);
	ret = ret ?: zcrx_area_alloc(&area, 16 << 20, 0);
	ret = ret ?: zcrx_register(&ring, &params, &area, 1, &ifq);
	if (ret)
		error(1, -ret, "can't receive from queue %s of %s", argv[2], argv[1]);
	do {
		zcrx_prep_recv(io_uring_get_sqe(&ring), &ifq, 0, 0, 0);
		io_uring_submit_and_wait(&ring, 1);
		zcrx_for_each_rbuf(&ifq, nr, buf) {
			fwrite(zcrx_rbuf_data(&ifq, buf), 1, buf->len, stdout);
			zcrx_refill(&ifq, zcrx_rbuf_off(buf));
		}
		zcrx_rbuf_release(&ifq, nr);
		io_uring_cq_advance(&ring, 1);
	} while (nr);
}
