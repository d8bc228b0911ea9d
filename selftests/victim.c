// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic.h"
#include "plain.h"
#include "proc.h"
#include "victim.h"

#define WRITE_SIZE	(64 << 10)
#define PROGRESS	(64 << 10)
#define PATIENCE_MS	40000
#define PAUSE_MS	2

/* What it has given back since it counted, and what was posted meanwhile */
#define MAX_UNSEEN	(4 * nic_chunks_size(VICTIM_AREA_SIZE))

/* So many bytes say for sure where in a stream they are. */
#define PLACE_SIZE	64

static bool fail(struct victim *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->why, sizeof(v->why), fmt, ap);
	va_end(ap);

	return false;
}

/*
 * The process
 */

static struct receiver receiver;
static struct victim_report *report;

/*
 * What has been posted up to now is all that will be. A piece that is being read
 * may have been counted or not.
 */
static void close_ring(void)
{
	struct receiver *r = &receiver;
	__u64 posted = 0;

	receiver_close_ring(r);
	report->window = nic_chunks_size(VICTIM_AREA_SIZE);
	if (r->mode != RECV_CQE32) {
		while (ifq_rbuf_available(&r->ifq))
			posted += ifq_rbuf_read(&r->ifq).len;
		report->window = nic.chunk;
	}
	report->bytes = r->flows[0].got + posted;
}

/* At any moment: never returns to what it interrupted. */
static void close_and_wait(int sig)
{
	close_ring();
	report->closed = true;
	for (;;)
		pause();
}

static bool hand_over(int sock, enum victim_kind kind)
{
	int fds[2] = { receiver.flows[0].fd, -1 };
	unsigned int nr = 1;
	bool ok;

	report->flow = receiver.flows[0];
	report->bytes = receiver.bytes;
	report->window = MAX_UNSEEN;
	if (kind != VICTIM_RECEIVES)
		fds[nr++] = ifq_export(&receiver.ifq);
	ok = !proc_send_fds(sock, fds, nr);
	close(sock);
	if (kind != VICTIM_RECEIVES)
		close(fds[1]);
	if (kind == VICTIM_EXPORTED)
		close_ring();

	return ok;
}

/* Never returns: whoever started it ends it. */
static void receive(enum receiver_mode mode, enum victim_kind kind,
		    bool (*before)(void), int sock)
{
	struct receiver *r = &receiver;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGUSR1, close_and_wait);
	if ((!before || before()) &&
	    receiver_open(r, mode, VICTIM_AREA_SIZE) &&
	    receiver_connect(r, nic.remote_v4, 1, FLOW_ENDLESS, WRITE_SIZE) &&
	    receiver_run(r, PROGRESS) && hand_over(sock, kind)) {
		report->ready = true;
		while (kind != VICTIM_EXPORTED &&
		       receiver_run(r, r->bytes + 1)) {
			report->bytes = r->bytes;
			/* The other processes have things to do as well. */
			proc_sleep_ms(PAUSE_MS);
		}
	}
	if (kind != VICTIM_EXPORTED || !report->ready) {
		strcpy(report->why, r->why);
		report->failed = true;
	}
	for (;;)
		pause();
}

/*
 * Whoever has it
 */

static bool wait_for(struct victim *v, const volatile bool *what,
		     const char *name)
{
	unsigned int ms;

	for (ms = 0; ms < PATIENCE_MS && !*what && !v->report->failed; ms++)
		proc_sleep_ms(1);
	if (v->report->failed)
		return fail(v, "%s", v->report->why);

	return *what || fail(v, "not %s in %u s", name, PATIENCE_MS / 1000);
}

static bool take_over(struct victim *v, enum victim_kind kind, int sock)
{
	unsigned int nr = kind == VICTIM_RECEIVES ? 1 : 2;
	int ret, fds[2] = { -1, -1 };

	ret = proc_receive_fds(sock, fds, nr);
	if (ret)
		return fail(v, "no files: %s",
			    v->report->failed ? v->report->why : strerror(-ret));
	v->ifq_fd = fds[1];
	v->conn = v->report->flow;
	v->conn.fd = fds[0];
	v->conn.md = NULL;
	plain_set_timeout(fds[0]);

	return wait_for(v, &v->report->ready, "ready");
}

/**
 * victim_start() - start a process, and have it receive
 * @v: filled in
 * @mode: how to receive
 * @kind: and what then
 * @before: what the process does before anything else; or NULL
 *
 * Return: whether it receives.
 */
bool victim_start(struct victim *v, enum receiver_mode mode,
		  enum victim_kind kind, bool (*before)(void))
{
	int socks[2];
	bool ok;

	memset(v, 0, sizeof(*v));
	v->conn.fd = -1;
	v->ifq_fd = -1;
	v->report = mmap(NULL, sizeof(*v->report), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v->report == MAP_FAILED ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks))
		return fail(v, "%s", strerror(errno));

	report = v->report;
	v->pid = fork();
	if (!v->pid) {
		close(socks[0]);
		receive(mode, kind, before, socks[1]);
	}
	close(socks[1]);
	ok = take_over(v, kind, socks[0]);
	close(socks[0]);

	return ok;
}

/**
 * victim_progresses() - does it go on receiving?
 * @v: it
 *
 * Return: whether it does.
 */
bool victim_progresses(struct victim *v)
{
	__u64 goal = v->report->bytes + PROGRESS;
	unsigned int ms;

	for (ms = 0; ms < PATIENCE_MS && !v->report->failed; ms += 5) {
		if (v->report->bytes >= goal)
			return true;
		proc_sleep_ms(5);
	}
	if (v->report->failed)
		return fail(v, "%s", v->report->why);

	return fail(v, "no progress in %u s after %llu bytes",
		    PATIENCE_MS / 1000, v->report->bytes);
}

/**
 * victim_close_ring() - have it close its ring, whatever it is about
 * @v: receives
 *
 * Return: whether it has closed it.
 */
bool victim_close_ring(struct victim *v)
{
	kill(v->pid, SIGUSR1);

	return wait_for(v, &v->report->closed, "closed");
}

/**
 * victim_kill() - end the process, and wait until it is gone
 * @v: may be gone already
 */
void victim_kill(struct victim *v)
{
	proc_kill(v->pid);
	v->pid = 0;
}

/**
 * victim_close_export() - close the file of the ifq
 * @v: has no ring any more
 */
void victim_close_export(struct victim *v)
{
	close(v->ifq_fd);
	v->ifq_fd = -1;
}

/* Where in the stream is this? */
static bool find_place(const struct victim *v, const unsigned char *buf,
		       __u64 *place)
{
	__u64 first = v->report->bytes, last = first + v->report->window;

	for (*place = first; *place <= last; ++*place)
		if (pattern_byte(v->conn.seed, *place) == *buf &&
		    pattern_check(buf, PLACE_SIZE, v->conn.seed, *place))
			return true;

	return false;
}

/* A ring that was closed just now may still interrupt a system call. */
static int read_full(int fd, unsigned char *buf, size_t size)
{
	ssize_t n;

	while (size) {
		n = recv(fd, buf, size, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EPIPE;
		buf += n;
		size -= n;
	}

	return 0;
}

/**
 * victim_read_on() - read what comes after what it received, as any program does
 * @v: has no ring any more
 * @bytes: how much
 *
 * Return: whether it is the same stream, without a gap.
 */
bool victim_read_on(struct victim *v, size_t bytes)
{
	static unsigned char buf[64 << 10];
	size_t got;
	int ret;

	for (got = 0; got < bytes; got += sizeof(buf)) {
		ret = read_full(v->conn.fd, buf, sizeof(buf));
		if (ret)
			return fail(v, "the connection ended after %zu bytes more: %s",
				    got, strerror(-ret));
		if (!got && !find_place(v, buf, &v->conn.got))
			return fail(v, "what comes next is not in the stream between bytes %llu and %llu",
				    v->report->bytes,
				    v->report->bytes + v->report->window);
		if (!flow_receive(&v->conn, buf, sizeof(buf)))
			return fail(v, "wrong bytes after byte %llu, %zu of the rest",
				    v->conn.got, got);
	}

	return true;
}

/**
 * victim_end() - nothing is left of it
 * @v: in any state
 */
void victim_end(struct victim *v)
{
	victim_kill(v);
	if (v->ifq_fd >= 0)
		close(v->ifq_fd);
	if (v->conn.fd >= 0)
		close(v->conn.fd);
	if (v->report)
		munmap(v->report, sizeof(*v->report));
	memset(v, 0, sizeof(*v));
	v->conn.fd = -1;
	v->ifq_fd = -1;
}
