// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "neighbour.h"
#include "nic.h"
#include "proc.h"
#include "receiver.h"

#define AREA_SIZE	(4 << 20)
#define WRITE_SIZE	(64 << 10)
#define FLOW_BYTES	(128 << 10)
#define NR_FLOWS	4

/* Who only reads leaves the processor to the test as well. */
#define PAUSE_MS	20

static void give_up(const char *why)
{
	ksft_print_msg("neighbour: %s\n", why);
	_exit(1);
}

/**
 * neighbour_receive() - receive a flow as any program does
 * @flow: connected; closed afterwards by who called
 * @check: if not, any bytes are right
 *
 * Return: whether it is right, and complete.
 */
bool neighbour_receive(struct flow *flow, bool check)
{
	const struct timeval limit = { .tv_sec = NEIGHBOUR_STALL_S };
	static char buf[WRITE_SIZE];
	ssize_t n;

	setsockopt(flow->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	errno = 0;
	while ((n = recv(flow->fd, buf, sizeof(buf), 0)) > 0) {
		if (check && !flow_receive(flow, buf, n))
			return false;
		if (!check)
			flow->got += n;
	}

	return !n && (check ? flow_complete(flow) :
		      flow->got == flow->bytes + PATTERN_DIGEST_SIZE);
}

static int connect_flow(struct flow *flow)
{
	return flow_connect(flow, nic.remote_v4, FLOW_BYTES, WRITE_SIZE);
}

/* Has the other queue: nobody else's memory comes there. Never returns */
static void receive_plain(struct neighbour_report *report, unsigned int avoid)
{
	struct receiver r;
	struct flow flow;
	bool check;
	int ret;

	nic.rxq--;
	if (!receiver_open(&r, RECV_RBUF, AREA_SIZE))
		give_up(r.why);
	for (;;) {
		ret = connect_flow(&flow);
		if (ret)
			give_up(strerror(-ret));
		check = flow_queue(&flow) != avoid;
		if (!neighbour_receive(&flow, check))
			give_up(errno ? strerror(errno) : "wrong bytes");
		if (check)
			report->nr_right++;
		else
			report->nr_unchecked++;
		flow_close(&flow);
		proc_sleep_ms(PAUSE_MS);
	}
}

/* Never returns */
static void receive_by_ifq(struct neighbour_report *report)
{
	struct ifq_stats stats;
	struct receiver r;

	nic.rxq--;
	for (;;) {
		if (!receiver_open(&r, RECV_RBUF, AREA_SIZE) ||
		    !receiver_connect(&r, nic.remote_v4, NR_FLOWS, FLOW_BYTES,
				      WRITE_SIZE) ||
		    !receiver_run(&r, 0) || !receiver_finish(&r))
			give_up(r.why);
		if (ifq_read_stats(&r.ifq, &stats))
			report->foreign_bytes += stats.copied_foreign;
		report->nr_right += NR_FLOWS;
		receiver_close(&r);
	}
}

/* Flows come by the queue under test and the one before it. */
static bool spread(void)
{
	return nic_run("ethtool -X %s start %u equal 2", nic.name, nic.rxq - 1);
}

/* Returns true in both processes; in the new one, @n has no pid. */
static bool start(struct neighbour *n)
{
	n->report = mmap(NULL, sizeof(*n->report), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n->report == MAP_FAILED || !spread())
		return false;
	n->pid = fork();
	if (!n->pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);

	return n->pid >= 0;
}

static bool is_alive(const struct neighbour *n)
{
	return !waitpid(n->pid, NULL, WNOHANG);
}

/**
 * neighbour_gets_on() - does it still receive, and the right bytes?
 * @n: was started
 *
 * Return: whether it does.
 */
bool neighbour_gets_on(const struct neighbour *n)
{
	unsigned long right = n->report->nr_right;
	unsigned int ms;

	for (ms = 0; ms < NEIGHBOUR_STALL_S * 1000 && is_alive(n); ms += 5) {
		if (n->report->nr_right > right)
			return true;
		proc_sleep_ms(5);
	}

	return false;
}

/**
 * neighbour_start_plain() - start one that receives as any program does
 * @n: filled in
 *
 * Half of its flows come by the queue under test, where any memory may be that
 * the test has named: only the others' bytes are looked at. Before, all flows
 * have to come there; afterwards, nic_steer() is to be called.
 *
 * Return: whether it was started, and receives.
 */
bool neighbour_start_plain(struct neighbour *n)
{
	unsigned int queue;
	struct flow flow;

	if (connect_flow(&flow))
		return false;
	queue = flow_queue(&flow);
	flow_close(&flow);
	if (!queue || !start(n))
		return false;
	if (!n->pid)
		receive_plain(n->report, queue);

	return neighbour_gets_on(n);
}

/**
 * neighbour_start_receiver() - start one with an ifq on the queue before
 * @n: filled in
 *
 * Half of its flows come by the queue under test, in chunks that are not its
 * own. Afterwards, nic_steer() is to be called.
 *
 * Return: whether it was started.
 */
bool neighbour_start_receiver(struct neighbour *n)
{
	if (!start(n))
		return false;
	if (!n->pid)
		receive_by_ifq(n->report);

	return true;
}

/**
 * neighbour_end() - end it
 * @n: was started, or has no pid
 *
 * Return: whether it lived.
 */
bool neighbour_end(struct neighbour *n)
{
	bool lived = !n->pid || is_alive(n);

	if (lived)
		proc_kill(n->pid);
	n->pid = 0;

	return lived;
}
