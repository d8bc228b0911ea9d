// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * zcrx-bench-recv - receive TCP connections, one after the other, in a chosen
 * way
 *
 * The sender measures: it knows when it has sent everything, and sees the
 * connection closed when everything has been received.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "receiver.h"

static const struct receiver *const receivers[] = {
	&recv_receiver,
	&trunc_receiver,
	&uring_receiver,
	&cqe32_receiver,
	&rbuf_receiver,
	&rbuf16k_receiver,
};

#define NR_RECEIVERS	(sizeof(receivers) / sizeof(receivers[0]))

static void usage(FILE *to)
{
	size_t i;

	fprintf(to, "usage: zcrx-bench-recv --mode MODE --port PORT [--connections N] [--ifname IFACE --queue QUEUE]\n\n"
		"Receives N connections (default 1) on PORT, one after the other, and prints\n"
		"the number of bytes of each. The zero-copy modes bind queue QUEUE of IFACE.\n\n"
		"modes:");
	for (i = 0; i < NR_RECEIVERS; i++)
		fprintf(to, " %s", receivers[i]->name);
	fprintf(to, "\n");
}

static const struct receiver *find_receiver(const char *name)
{
	size_t i;

	for (i = 0; i < NR_RECEIVERS; i++)
		if (!strcmp(receivers[i]->name, name))
			return receivers[i];
	return NULL;
}

static int listen_at(unsigned int port)
{
	struct sockaddr_in6 addr = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
	};
	int one = 1;
	int fd;

	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 8)) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

static int serve_one(const struct receiver *r, int listener)
{
	struct bench_count count = { 0 };
	int fd, ret;

	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		return -errno;
	ret = r->receive(fd, &count);
	close(fd);
	if (ret)
		return ret;
	printf("mode=%s bytes=%llu zc_bytes=%llu copied_bytes=%llu\n", r->name,
	       count.bytes, count.zc_bytes, count.copied_bytes);
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "mode", required_argument, NULL, 'm' },
		{ "port", required_argument, NULL, 'p' },
		{ "connections", required_argument, NULL, 'c' },
		{ "ifname", required_argument, NULL, 'i' },
		{ "queue", required_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	const struct receiver *r = NULL;
	struct bench_nic nic = { 0 };
	unsigned int port = 0, connections = 1;
	int opt, listener, ret;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'm':
			r = find_receiver(optarg);
			break;
		case 'p':
			port = strtoul(optarg, NULL, 10);
			break;
		case 'c':
			connections = strtoul(optarg, NULL, 10);
			break;
		case 'i':
			nic.ifname = optarg;
			break;
		case 'q':
			nic.rxq = strtoul(optarg, NULL, 10);
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (!r || !port || optind != argc) {
		usage(stderr);
		return 2;
	}

	ret = r->setup(&nic);
	if (ret) {
		fprintf(stderr, "zcrx-bench-recv: cannot set up mode %s: %s\n",
			r->name, strerror(-ret));
		return 1;
	}
	listener = listen_at(port);
	if (listener < 0) {
		fprintf(stderr, "zcrx-bench-recv: cannot listen on port %u: %s\n",
			port, strerror(-listener));
		return 1;
	}
	while (connections--) {
		ret = serve_one(r, listener);
		if (ret) {
			fprintf(stderr, "zcrx-bench-recv: receiving failed: %s\n",
				strerror(-ret));
			return 1;
		}
	}
	return 0;
}
