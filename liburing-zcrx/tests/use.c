// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* A user of the header, as C and as C++: every function once */
#ifdef WITH_MAINLINE
#include "mainline.h"
#endif
#include <liburing-zcrx.h>
#include <stdio.h>

static void use_rbuf(struct zcrx_ifq *ifq, struct io_uring_sqe *sqe)
{
	const struct zcrx_rbuf_cqe *buf;
	unsigned int nr;

	zcrx_prep_recv(sqe, ifq, 0, 0, 1);
	zcrx_submit_and_wait(ifq);
	zcrx_for_each_rbuf(ifq, nr, buf) {
		zcrx_rbuf_data(ifq, buf);
		zcrx_refill(ifq, zcrx_rbuf_off(buf));
	}
	zcrx_rbuf_release(ifq, nr);
	zcrx_kick(ifq);
	zcrx_resume(ifq);
	if (!zcrx_rbuf_prepare_wait(ifq))
		zcrx_rbuf_finish_wait(ifq);
}

static void use_cqe32(struct zcrx_ifq *ifq, struct io_uring_cqe *cqe)
{
	if (!zcrx_cqe32_has_data(cqe) || !zcrx_cqe32_data(ifq, cqe))
		return;
	if (zcrx_refill_reserve(ifq, 1))
		zcrx_refill_write(ifq, zcrx_cqe32_off(cqe));
	zcrx_refill_submit(ifq);
}

static void use_queue(struct zcrx_queue_opts *opts)
{
	struct zcrx_out_counters counters;
	struct zcrx_queue *queue;
	struct zcrx_conn *conn;
	struct zcrx_out *out;
	struct zcrx_buf buf;

	if (zcrx_queue_open(&queue, opts) ||
	    zcrx_conn_add(queue, 0, NULL, &conn)) {
		puts(zcrx_error());
		return;
	}
	zcrx_queue_backend(queue);
	zcrx_queue_why(queue);
	zcrx_queue_poll_fd(queue);
	zcrx_queue_wake(queue);
	if (zcrx_receive(queue, &buf, 1, 0) > 0 && buf.data) {
		zcrx_release_part(queue, &buf, 0, buf.len / 2);
		zcrx_release(queue, &buf, 1);
	}
	if (zcrx_out_add(queue, 0, NULL, &out) >= 0) {
		zcrx_send(out, &buf, 0, buf.len);
		zcrx_out_finish(out);
		zcrx_out_read_counters(out, &counters);
		zcrx_out_remove(out);
	}
	zcrx_conn_remove(conn);
	zcrx_queue_close(queue);
}

static int allow(struct zcrx_grant *grant, void *arg)
{
	(void)arg;
	grant->by_rss = 0;

	return 0;
}

static void use_another_process(int sock)
{
	struct zcrx_queue *queue;

	if (zcrx_export(sock, allow, NULL) ||
	    zcrx_import(&queue, sock, NULL))
		puts(zcrx_error());
}

int main(int argc, char **argv)
{
	struct zcrx_params params = { 0, 0, 0, 64, 64, 0 };
	struct zcrx_queue_opts opts;
	struct zcrx_counters counters;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct zcrx_area area;
	struct io_uring ring;
	struct zcrx_ifq ifq;

	(void)argv;
	zcrx_queue_opts_init(&opts);
	if (argc == 1)
		return zcrx_probe() < -4095;

	use_queue(&opts);
	use_another_process(0);
	if (zcrx_area_alloc(&area, 4096, ZCRX_AREA_HUGE) ||
	    io_uring_queue_init(8, &ring, 0) ||
	    zcrx_register(&ring, &params, &area, 1, &ifq))
		return 1;
	sqe = io_uring_get_sqe(&ring);
	zcrx_prep_recv_multishot(sqe, &ifq, 0, 0, 0);
	use_rbuf(&ifq, sqe);
	if (!io_uring_peek_cqe(&ring, &cqe))
		use_cqe32(&ifq, cqe);
	zcrx_read_counters(&ifq, &counters);
	io_uring_queue_exit(&ring);
	zcrx_unregister(&ifq);
	zcrx_area_free(&area);

	return 0;
}
