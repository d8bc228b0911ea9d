// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * To be preloaded into iperf3: stands in for the functions of libiperf that
 * read from a connection, and looks on as it begins to use one.
 *
 * Until 3.15, one thread calls Nread() for the sockets that select() found
 * readable. From 3.17 on, each stream has a thread that calls
 * Nread_no_select() and may block in it. The control connection is read with
 * Nread() in all versions.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "receive.h"

/* What libiperf returns for an error that ends the stream */
#define NET_HARDERROR	(-2)

#define PLUGIN_EXPORT	__attribute__((visibility("default")))

typedef int nread_fn(int fd, char *buf, size_t count, int prot);
typedef int nwrite_fn(int fd, const char *buf, size_t count, int prot);

PLUGIN_EXPORT nread_fn Nread, Nread_no_select;
PLUGIN_EXPORT nwrite_fn Nwrite;

static nread_fn *libiperf_nread, *libiperf_nread_no_select;
static nwrite_fn *libiperf_nwrite;
static bool keep_bytes, may_receive;

/*
 * iperf3 maps the buffers of its streams. What it reads from the control
 * connection goes to the stack, a few bytes, and to the heap, whose blocks
 * never begin on a page.
 */
static bool is_stream(const char *buf, size_t count, int prot)
{
	size_t page_size = sysconf(_SC_PAGESIZE);

	return prot == SOCK_STREAM && count >= page_size &&
	       !((uintptr_t)buf & (page_size - 1));
}

static int read_stream(nread_fn *plain, int fd, char *buf, size_t count,
		       int prot)
{
	const struct iovec iov = { .iov_base = buf, .iov_len = count };
	int ret = receive(fd, keep_bytes ? &iov : NULL, count);

	if (ret == RECEIVE_PLAIN)
		return plain(fd, buf, count, prot);
	if (ret < 0) {
		errno = -ret;
		return NET_HARDERROR;
	}

	return ret;
}

int Nread(int fd, char *buf, size_t count, int prot)
{
	if (!is_stream(buf, count, prot)) {
		if (may_receive && prot == SOCK_STREAM)
			receive_prepare(fd);
		return libiperf_nread(fd, buf, count, prot);
	}

	return read_stream(libiperf_nread, fd, buf, count, prot);
}

/*
 * A client's first call is this one, with the control connection, and the first for
 * each stream: it says which test that belongs to.
 */
int Nwrite(int fd, const char *buf, size_t count, int prot)
{
	if (may_receive && prot == SOCK_STREAM && !is_stream(buf, count, prot))
		receive_prepare(fd);

	return libiperf_nwrite(fd, buf, count, prot);
}

int Nread_no_select(int fd, char *buf, size_t count, int prot)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	if (!is_stream(buf, count, prot))
		return libiperf_nread_no_select(fd, buf, count, prot);

	/* iperf3 itself keeps those that it knows away from this thread. */
	receive_without_signals();

	/* Not while other streams wait for the ring, and where a thread can
	 * be cancelled.
	 */
	if (poll(&pollfd, 1, -1) < 0)
		return errno == EINTR ? 0 : NET_HARDERROR;

	return read_stream(libiperf_nread_no_select, fd, buf, count, prot);
}

/*
 * Is it -F, also among other options of one letter, or --file, also shortened?
 * Taking something else for it costs a copy, no more.
 */
static bool is_file_option(const char *arg)
{
	if (!strncmp(arg, "--", 2))
		return !strncmp(arg, "--fi", 4);

	return arg[0] == '-' && strchr(arg, 'F');
}

/*
 * Is it -s, -R, --server, --reverse or --bidir, likewise? Taking something else
 * for one of them registers a queue that nothing will be received from.
 */
static bool is_receive_option(const char *arg)
{
	if (!strncmp(arg, "--", 2))
		return !strncmp(arg, "--se", 4) || !strncmp(arg, "--re", 4) ||
		       !strncmp(arg, "--bid", 5);

	return arg[0] == '-' && strpbrk(arg, "sR");
}

__attribute__((constructor))
static void plugin_init(int argc, char **argv)
{
	const struct receive_settings settings = {
		.program	= "zcrx-iperf3",
		.dev_option	= "--zcrx-dev",
		.queue_option	= "--zcrx-queue",
		.dev		= getenv("ZCRX_IPERF3_DEV"),
		.rxq		= getenv("ZCRX_IPERF3_QUEUE"),
		.stats		= getenv("ZCRX_IPERF3_STATS"),
	};
	int i;

	receive_init(&settings);
	libiperf_nread = (nread_fn *)dlsym(RTLD_NEXT, "Nread");
	libiperf_nread_no_select =
		(nread_fn *)dlsym(RTLD_NEXT, "Nread_no_select");
	libiperf_nwrite = (nwrite_fn *)dlsym(RTLD_NEXT, "Nwrite");
	for (i = 1; i < argc; i++) {
		keep_bytes |= is_file_option(argv[i]);
		may_receive |= is_receive_option(argv[i]);
	}
}

__attribute__((destructor))
static void plugin_exit(void)
{
	receive_exit();
}
