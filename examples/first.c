// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Receive the connection that is stdin, in place: first eth0 1 < /dev/tcp/HOST/PORT | sha256sum */
#include <error.h>
#include <liburing-zcrx.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct zcrx_params params = { .refill_entries = 32768, .rbuf_entries = 4096,
		.if_idx = if_nametoindex(argv[1] ?: ""), .rxq = atoi(argv[argc - 1]) };
	const struct zcrx_rbuf_cqe *buf;
	struct zcrx_area area;
	struct io_uring ring;
	struct zcrx_ifq ifq;
	unsigned int nr;
	int ret = io_uring_queue_init(8, &ring, 0) ?: zcrx_area_alloc(&area, 16 << 20, 0) ?:
		  zcrx_register(&ring, &params, &area, 1, &ifq);

	if (ret)
		error(1, -ret, "usage: first IFNAME QUEUE < /dev/tcp/HOST/PORT");
	do {
		zcrx_prep_recv(io_uring_get_sqe(&ring), &ifq, 0, 0, 0);
		io_uring_submit_and_wait(&ring, 1);
		zcrx_for_each_rbuf(&ifq, nr, buf) {
			fwrite(zcrx_rbuf_data(&ifq, buf), 1, buf->len, stdout);
			while (zcrx_refill(&ifq, zcrx_rbuf_off(buf))) {
				ret = zcrx_resume(&ifq);
				if (ret)
					error(1, -ret, "the refill ring is full");
			}
		}
		zcrx_rbuf_release(&ifq, nr);
		io_uring_cq_advance(&ring, 1);
	} while (nr);
}
