// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Receive the connection that is stdin, in the best way there is: queue < /dev/tcp/HOST/PORT | sha256sum */
#include <err.h>
#include <errno.h>
#include <liburing-zcrx.h>
#include <stdio.h>

int main(void)
{
	struct zcrx_queue_opts opts;
	struct zcrx_queue *queue;
	struct zcrx_buf bufs[64];
	struct zcrx_conn *conn;
	int n, i;

	zcrx_queue_opts_init(&opts);
	opts.fd = 0;			/* or opts.ifname = "eth0" */
	if (zcrx_queue_open(&queue, &opts) || zcrx_conn_add(queue, 0, NULL, &conn) < 0)
		errx(1, "%s", zcrx_error());
	warnx("back end %s. %s", zcrx_queue_backend(queue), zcrx_queue_why(queue));
	do {
		n = zcrx_receive(queue, bufs, 64, -1);
		if (n < 0 && n != -EINTR)
			errx(1, "%s", zcrx_error());
		for (i = 0; i < n && bufs[i].data; i++)
			fwrite(bufs[i].data, 1, bufs[i].len, stdout);
		zcrx_release(queue, bufs, n > 0 ? n : 0);
	} while (n < 0 || i == n);
	return zcrx_queue_close(queue) || bufs[i].res;
}
