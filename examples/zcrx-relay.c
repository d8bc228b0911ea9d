// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * zcrx-relay: pass TCP connections on to another host, in both directions.
 *
 * Nothing is copied on the way: what the NIC has written into the queue's memory
 * is sent from there, and received into again when the other end has it. Shows a
 * queue in an event loop, and how ends, errors and slow receivers are passed on.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <liburing-zcrx.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH	64

struct pair;

/* A socket: what comes by it goes out of the other one of its pair. */
struct side {
	int			fd;
	struct zcrx_conn	*conn;
	struct zcrx_out		*out;
	struct side		*other;
	struct pair		*pair;
};

struct pair {
	struct side	client;
	struct side	target;
	int		nr_sent;	/* directions that are through */
	bool		closed;
	struct pair	*next_closed;
};

static struct zcrx_queue *queue;
static struct addrinfo *target;
static struct zcrx_out_counters total;
static struct pair *closed;
static unsigned long nr_accepted, nr_closed, nr_broken;
static bool full;		/* of open files */
static volatile sig_atomic_t stopped;

static void count(const struct zcrx_out *out)
{
	struct zcrx_out_counters counters;

	zcrx_out_read_counters(out, &counters);
	total.zc_bytes += counters.zc_bytes;
	total.copied_bytes += counters.copied_bytes;
}

static void close_side(struct side *side)
{
	count(side->out);
	if (zcrx_conn_remove(side->conn) || zcrx_out_remove(side->out))
		errx(1, "%s", zcrx_error());
	close(side->fd);
	full = false;
}

/* The batch that is being dealt with may have more of it, so it is freed later. */
static void close_pair(struct pair *pair)
{
	close_side(&pair->client);
	close_side(&pair->target);
	pair->closed = true;
	pair->next_closed = closed;
	closed = pair;
	nr_closed++;
}

/* What has come to an end too early must not look as if it were complete. */
static void break_pair(struct pair *pair)
{
	const struct linger reset = { .l_onoff = 1 };

	setsockopt(pair->client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(pair->target.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close_pair(pair);
	nr_broken++;
}

static void pass_on(const struct zcrx_buf *buf)
{
	struct side *side = buf->tag;

	if (buf->data) {
		/* From now on it is the library's, if it takes it. */
		if (zcrx_send(side->other->out, buf, 0, buf->len))
			zcrx_release(queue, buf, 1);
	} else if (side->pair->closed) {
		return;
	} else if (buf->res) {
		break_pair(side->pair);
	} else if (buf->conn) {
		zcrx_out_finish(side->other->out);
	} else if (++side->pair->nr_sent == 2) {
		close_pair(side->pair);
	}
}

static void free_closed(void)
{
	struct pair *pair;

	while ((pair = closed)) {
		closed = pair->next_closed;
		free(pair);
	}
}

/* All that there is to do, without waiting for more. */
static void pass_all_on(void)
{
	struct zcrx_buf bufs[BATCH];
	int n, i;

	while ((n = zcrx_receive(queue, bufs, BATCH, 0)) > 0) {
		for (i = 0; i < n; i++)
			pass_on(&bufs[i]);
		free_closed();
	}
	if (n && n != -EINTR)
		errx(1, "%s", zcrx_error());
}

static void add_side(struct side *side, struct side *other, struct pair *pair,
		     int fd)
{
	/* Small pieces are passed on at once, too. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	side->fd = fd;
	side->other = other;
	side->pair = pair;
	if (zcrx_conn_add(queue, fd, side, &side->conn) < 0 ||
	    zcrx_out_add(queue, fd, side, &side->out) < 0)
		errx(1, "%s", zcrx_error());
}

/* Others wait meanwhile: a relay for many would not block here. */
static int connect_to_target(void)
{
	int fd = socket(target->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && !connect(fd, target->ai_addr, target->ai_addrlen))
		return fd;
	warn("connect to the target");
	if (fd >= 0)
		close(fd);

	return -1;
}

static void accept_one(int listener)
{
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC), fd;
	struct pair *pair;

	if (client < 0) {	/* gone already; or it waits for others to go */
		full = errno == EMFILE || errno == ENFILE;
		return;
	}
	nr_accepted++;
	fd = connect_to_target();
	if (fd < 0) {
		nr_closed++;
		nr_broken++;
		close(client);
		return;
	}
	pair = calloc(1, sizeof(*pair));
	if (!pair)
		err(1, "a connection");
	add_side(&pair->client, &pair->target, pair, client);
	add_side(&pair->target, &pair->client, pair, fd);
}

/* For @max connections; 0: for ever, or until a signal. */
static void relay(int listener, unsigned long max)
{
	struct pollfd fds[] = {
		{ .fd = zcrx_queue_poll_fd(queue), .events = POLLIN },
		{ .fd = listener, .events = POLLIN },
	};
	sigset_t none;

	sigemptyset(&none);
	for (;;) {
		pass_all_on();
		fds[1].fd = full || (max && nr_accepted == max) ? -1 : listener;
		if (stopped || (max && nr_closed == max))
			return;
		/* Signals come here, and nowhere else. */
		if (ppoll(fds, 2, NULL, &none) > 0 && fds[1].revents)
			accept_one(listener);
	}
}

static void on_signal(int sig)
{
	stopped = sig;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGINT);
	sigaddset(&action.sa_mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &action.sa_mask, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int listen_on(const char *port)
{
	struct sockaddr_in6 addr = {
		.sin6_family	= AF_INET6,
		.sin6_port	= htons((uint16_t)strtoul(port, NULL, 0)),
	};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, SOMAXCONN))
		err(1, "listen on port %s", port);

	return fd;
}

static void usage(void)
{
	fputs("usage: zcrx-relay [-b BACKEND] [-i IFNAME] [-n CONNECTIONS] PORT HOST TARGETPORT\n"
	      "  -b BACKEND      rbuf, cqe32 or copy (the best that there is)\n"
	      "  -i IFNAME       that connections come by (the first that can do it)\n"
	      "  -n CONNECTIONS  end when so many have ended (when told to by a signal)\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct zcrx_queue_opts opts;
	unsigned long max = 0;
	int c, ret, listener;

	zcrx_queue_opts_init(&opts);
	while ((c = getopt(argc, argv, "b:i:n:")) != -1) {
		switch (c) {
		case 'b':
			opts.backend = optarg;
			break;
		case 'i':
			opts.ifname = optarg;
			break;
		case 'n':
			max = strtoul(optarg, NULL, 0);
			break;
		default:
			usage();
		}
	}
	if (argc - optind != 3)
		usage();

	ret = getaddrinfo(argv[optind + 1], argv[optind + 2], &hints, &target);
	if (ret)
		errx(1, "%s: %s", argv[optind + 1], gai_strerror(ret));
	catch_signals();
	if (zcrx_queue_open(&queue, &opts))
		errx(1, "%s", zcrx_error());
	listener = listen_on(argv[optind]);
	warnx("back end %s. %s", zcrx_queue_backend(queue), zcrx_queue_why(queue));

	relay(listener, max);
	if (zcrx_queue_close(queue))
		errx(1, "%s", zcrx_error());
	printf("connections=%lu broken=%lu zc_bytes=%llu copied_bytes=%llu\n",
	       nr_closed, nr_broken, total.zc_bytes, total.copied_bytes);

	return 0;
}
