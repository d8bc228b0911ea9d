// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Sending what was received, over loopback: relay [BACKEND], "copy" if not given,
 * as queue.c. Streams come from a process, go through the queue, and are checked
 * by a thread.
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <liburing-zcrx.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define KTAP_TIME_LIMIT	240
#define KTAP_STOP	true

#include "ktap.h"
#include "stream.h"

#define MAX_RELAYS	64
#define BATCH		64
#define WAIT_MS		20000
#define KIB		((size_t)1024)

/**
 * struct relay - a stream that comes and goes
 * @in: comes by; its peer sends
 * @far: goes by; its fd is the checker's, its peer is sent on
 * @conn: of in
 * @out: of far
 * @ended: the end of out has been told
 * @res: how
 */
struct relay {
	struct stream		*in;
	struct stream		*far;
	struct zcrx_conn	*conn;
	struct zcrx_out		*out;
	bool			ended;
	int			res;
};

static const char *backend = "copy";
static struct zcrx_queue_opts opts;
static struct zcrx_queue *queue;
static struct stream ins[MAX_RELAYS], fars[MAX_RELAYS];
static struct relay relays[MAX_RELAYS];
static unsigned int nr_relays, nr_ended;

static void reset_opts(void)
{
	zcrx_queue_opts_init(&opts);
	opts.backend = backend;
	opts.ifname = strcmp(backend, "copy") ? "lo" : NULL;
}

static bool add(struct relay *relay)
{
	if (zcrx_conn_add(queue, relay->in->fd, relay, &relay->conn) >= 0 &&
	    zcrx_out_add(queue, relay->far->peer, relay, &relay->out) >= 0)
		return true;
	printf("# %s\n", zcrx_error());

	return false;
}

static bool open_relays(unsigned int nr)
{
	unsigned int i;

	nr_relays = nr;
	nr_ended = 0;
	memset(relays, 0, sizeof(relays));
	if (zcrx_queue_open(&queue, &opts) || !stream_connect(ins, nr) ||
	    !stream_connect(fars, nr)) {
		printf("# %s\n", zcrx_error());
		return false;
	}
	for (i = 0; i < nr; i++) {
		relays[i].in = &ins[i];
		relays[i].far = &fars[i];
		if (!add(&relays[i]))
			return false;
	}

	return true;
}

static void close_relays(void)
{
	unsigned int i;

	EXPECT(!zcrx_queue_close(queue));
	stream_close(ins, nr_relays);
	for (i = 0; i < nr_relays; i++)
		close(fars[i].peer);
	while (wait(NULL) > 0)
		;
}

/* What has come goes, or back if there is no way to go. */
static void pass_on(const struct zcrx_buf *buf)
{
	struct relay *relay = buf->tag;

	if (!buf->conn) {
		relay->ended = true;
		relay->res = buf->res;
		nr_ended++;
	} else if (!buf->data) {
		zcrx_out_finish(relay->out);
	} else if (zcrx_send(relay->out, buf, 0, buf->len)) {
		zcrx_release(queue, buf, 1);
	}
}

/* How many buffers, or a negative errno */
static int pass_on_next(int timeout_ms)
{
	struct zcrx_buf bufs[BATCH];
	int n = zcrx_receive(queue, bufs, BATCH, timeout_ms), i;

	for (i = 0; i < n; i++)
		pass_on(&bufs[i]);

	return n;
}

static bool pass_all_on(void)
{
	while (nr_ended < nr_relays) {
		if (pass_on_next(WAIT_MS) > 0)
			continue;
		printf("# nothing comes: %u of %u have ended\n", nr_ended,
		       nr_relays);
		return false;
	}

	return true;
}

/*
 * The checker
 */

static pthread_t checker;
static struct stream *check_first;
static unsigned int check_nr;
static size_t check_bytes;

/* Reads what a socket has; false at its end. */
static bool check_some(struct stream *s)
{
	static char data[256 << 10];
	ssize_t n = recv(s->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0 && !stream_check(s, data, (size_t)n))
		s->res = -EBADMSG;
	if (n < 0 && errno != EAGAIN)
		s->res = -errno;
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return true;
	s->ends++;

	return false;
}

static void *check(void *arg)
{
	struct pollfd fds[MAX_RELAYS];
	unsigned int left = check_nr, i;

	for (i = 0; i < check_nr; i++)
		fds[i] = (struct pollfd) { check_first[i].fd, POLLIN, 0 };
	while (left && poll(fds, check_nr, WAIT_MS) > 0) {
		for (i = 0; i < check_nr; i++) {
			if (!fds[i].revents || check_some(&check_first[i]))
				continue;
			close(fds[i].fd);
			fds[i].fd = -1;
			left--;
		}
	}

	return arg;
}

static bool start_check(struct stream *first, unsigned int nr, size_t bytes)
{
	check_first = first;
	check_nr = nr;
	check_bytes = bytes;

	return !pthread_create(&checker, NULL, check, NULL);
}

/* All have come, each byte, and then an end. */
static bool end_check(void)
{
	bool right = true;
	unsigned int i;

	pthread_join(checker, NULL);
	for (i = 0; i < check_nr; i++) {
		const struct stream *s = &check_first[i];

		if (s->pos == check_bytes && s->ends == 1 && !s->res)
			continue;
		printf("# stream %u: %zu bytes, %u ends, %d\n", i, s->pos,
		       s->ends, s->res);
		right = false;
	}

	return right;
}

/* The kernel is done with every byte, once, and says how it was sent. */
static bool all_counted(size_t bytes)
{
	struct zcrx_out_counters counters;
	unsigned int i;

	for (i = 0; i < nr_relays; i++) {
		zcrx_out_read_counters(relays[i].out, &counters);
		if (relays[i].ended && !relays[i].res &&
		    counters.zc_bytes + counters.copied_bytes == bytes)
			continue;
		printf("# out %u: %llu and %llu bytes, %d\n", i,
		       counters.zc_bytes, counters.copied_bytes,
		       relays[i].res);
		return false;
	}

	return true;
}

/*
 * Relaying
 */

static void bytes_of(unsigned int nr, size_t bytes, size_t write_size)
{
	EXPECT(open_relays(nr));
	stream_send(ins, nr, bytes, write_size);
	EXPECT(start_check(fars, nr, bytes));
	EXPECT(pass_all_on());
	EXPECT(all_counted(bytes));
	EXPECT(end_check());
	close_relays();
}

static void one(void)
{
	reset_opts();
	bytes_of(1, 32 * KIB * KIB + 1, 64 * KIB);
}

static void many(void)
{
	reset_opts();
	bytes_of(MAX_RELAYS, 256 * KIB + 3, 9000);
}

static void small_pieces(void)
{
	reset_opts();
	bytes_of(4, 20000, 13);
}

static void little_memory(void)
{
	reset_opts();
	opts.mem_size = 256 * KIB;
	bytes_of(16, 512 * KIB, 64 * KIB);
}

static void nothing(void)
{
	reset_opts();
	bytes_of(2, 0, 1);
}

/* In poll() only, which ends for notifications, too. */
static void polled(void)
{
	struct pollfd pfd = { .events = POLLIN };
	int n;

	reset_opts();
	opts.mem_size = 1024 * KIB;
	opts.conn_budget = 128 * KIB;
	EXPECT(open_relays(4));
	pfd.fd = zcrx_queue_poll_fd(queue);
	stream_send(ins, 4, 4096 * KIB, 64 * KIB);
	EXPECT(start_check(fars, 4, 4096 * KIB));
	while (nr_ended < 4) {
		EXPECT(poll(&pfd, 1, WAIT_MS / 2) == 1);
		while ((n = pass_on_next(0)) > 0)
			;
		EXPECT(!n);
	}
	EXPECT(all_counted(4096 * KIB));
	EXPECT(end_check());
	close_relays();
}

/*
 * Nobody reads stream 0 until the others are through: its budget leaves them
 * memory, and it loses nothing.
 */
static void slow_receiver(void)
{
	const size_t bytes = 16 * KIB * KIB;
	int n;

	reset_opts();
	opts.mem_size = 4 * KIB * KIB;
	opts.conn_budget = 1024 * KIB;
	EXPECT(open_relays(4));
	stream_send(ins, 4, bytes, 64 * KIB);
	EXPECT(start_check(fars + 1, 3, bytes));
	while (nr_ended < 3)
		EXPECT(pass_on_next(WAIT_MS) > 0 && !relays[0].ended);
	EXPECT(end_check());
	while ((n = pass_on_next(200)) > 0)
		;
	EXPECT(!n && !relays[0].ended);
	EXPECT(start_check(fars, 1, bytes));
	EXPECT(pass_all_on());
	EXPECT(all_counted(bytes));
	EXPECT(end_check());
	close_relays();
}

/*
 * What is under way is charged as what it is: kernels count far more for a packet
 * from a registered huge page, and the socket is full with a few.
 */
static void full_socket(void)
{
	const size_t bytes = 16 * KIB * KIB;
	__u32 mem[SK_MEMINFO_VARS];
	socklen_t len = sizeof(mem);
	int unsent;

	reset_opts();
	EXPECT(open_relays(1));
	stream_send(ins, 1, bytes, 64 * KIB);
	while (pass_on_next(300) > 0)
		;
	EXPECT(!getsockopt(fars[0].peer, SOL_SOCKET, SO_MEMINFO, mem, &len));
	EXPECT(!ioctl(fars[0].peer, SIOCOUTQ, &unsent));
	printf("# %u bytes of memory for %d bytes\n",
	       mem[SK_MEMINFO_WMEM_QUEUED], unsent);
	EXPECT(mem[SK_MEMINFO_WMEM_QUEUED] < 2 * unsent + 256 * KIB);
	EXPECT(start_check(fars, 1, bytes));
	EXPECT(pass_all_on());
	EXPECT(end_check());
	close_relays();
}

/* Resets a connection, though the sending process has the socket as well. */
static bool reset(int fd)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };

	return !connect(fd, &none, sizeof(none));
}

/* The receiver of stream 0 goes away: told, and the others go on. */
static void receiver_gone(void)
{
	const size_t bytes = 16 * KIB * KIB;

	reset_opts();
	opts.mem_size = 4 * KIB * KIB;
	EXPECT(open_relays(4));
	stream_send(ins, 4, bytes, 64 * KIB);
	EXPECT(reset(fars[0].fd));
	close(fars[0].fd);
	EXPECT(start_check(fars + 1, 3, bytes));
	EXPECT(pass_all_on());
	EXPECT(end_check());
	printf("# told %d\n", relays[0].res);
	EXPECT(relays[0].res == -EPIPE || relays[0].res == -ECONNRESET);
	EXPECT(!zcrx_out_remove(relays[0].out));
	EXPECT(!zcrx_conn_remove(relays[0].conn));
	EXPECT(!pass_on_next(0));
	close_relays();
}

/* Removed, with the socket full: it is let go of, and what it had goes back. */
static void removed_when_full(void)
{
	const size_t bytes = 4 * KIB * KIB;

	reset_opts();
	opts.mem_size = 2 * KIB * KIB;
	opts.conn_budget = 2 * KIB * KIB;
	EXPECT(open_relays(2));
	stream_send(ins, 1, bytes, 64 * KIB);
	while (pass_on_next(300) > 0)
		;
	EXPECT(!nr_ended);
	EXPECT(!zcrx_out_remove(relays[0].out));
	EXPECT(!zcrx_conn_remove(relays[0].conn));
	close(fars[0].peer);
	close(fars[0].fd);
	fars[0].peer = dup(0);

	/* With its memory back, there is some for the next one. */
	relays[0].ended = true;
	nr_ended = 1;
	stream_send(ins + 1, 1, bytes, 64 * KIB);
	EXPECT(start_check(fars + 1, 1, bytes));
	EXPECT(pass_all_on());
	EXPECT(end_check());
	close_relays();
}

/*
 * What the socket had taken when the queue was closed arrives, though the memory
 * is gone, and other memory is where it was.
 */
static void closed_in_flight(void)
{
	struct zcrx_queue *next;
	struct stream *far = &fars[0];
	struct pollfd pfd;

	reset_opts();
	opts.mem_size = 2 * KIB * KIB;
	opts.conn_budget = 2 * KIB * KIB;
	EXPECT(open_relays(1));
	stream_send(ins, 1, 4 * KIB * KIB, 64 * KIB);
	while (pass_on_next(300) > 0)
		;
	close_relays();
	EXPECT(!zcrx_queue_open(&next, &opts));
	EXPECT(!zcrx_queue_close(next));
	pfd = (struct pollfd) { far->fd, POLLIN, 0 };
	while (poll(&pfd, 1, WAIT_MS) == 1 && check_some(far))
		;
	printf("# %zu bytes had been taken\n", far->pos);
	EXPECT(far->pos && far->ends == 1 && !far->res);
	close(far->fd);
}

/* A socket that can't do without a copy: the same bytes, copied. */
static void unix_socket(void)
{
	struct zcrx_out_counters counters;
	struct stream far = { .seed = 0 };
	struct zcrx_out *out;
	int fds[2];

	reset_opts();
	EXPECT(open_relays(1));
	EXPECT(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	EXPECT(zcrx_out_add(queue, fds[0], &relays[0], &out) >= 0);
	EXPECT(!zcrx_out_remove(relays[0].out));
	relays[0].out = out;
	far.fd = fds[1];
	stream_send(ins, 1, 1024 * KIB, 64 * KIB);
	EXPECT(start_check(&far, 1, 1024 * KIB));
	EXPECT(pass_all_on());
	EXPECT(end_check());
	zcrx_out_read_counters(out, &counters);
	EXPECT(!counters.zc_bytes && counters.copied_bytes == 1024 * KIB);
	close(fds[0]);
	close(fars[0].fd);
	close_relays();
}

static const struct ktap_case cases[] = {
	{ "1 connection", one },
	{ "64 connections", many },
	{ "small pieces", small_pieces },
	{ "little memory", little_memory },
	{ "nothing but an end", nothing },
	{ "in somebody's event loop", polled },
	{ "a slow receiver does not stop others", slow_receiver },
	{ "a full socket", full_socket },
	{ "a receiver that goes away", receiver_gone },
	{ "removed with a full socket", removed_when_full },
	{ "closed with bytes in flight", closed_in_flight },
	{ "a socket that can't without a copy", unix_socket },
};

int main(int argc, char **argv)
{
	if (argc > 1)
		backend = argv[1];
	signal(SIGPIPE, SIG_IGN);

	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
