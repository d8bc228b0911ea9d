// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Queue objects on a real driver's NIC: opened by the interface's name, received
 * by, and closed, with the NIC as it was. Runs as root in the VM, with zcrx_peer
 * beside it; ../queue-in-vm.
 */
#include <dirent.h>
#include <errno.h>
#include <liburing-zcrx.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define KTAP_TIME_LIMIT	300

#include "../../../selftests/pattern.h"
#include "../../src/nic.h"
#include "../ktap.h"
#include "../owner.h"
#include "guest.h"

#define MANY		32
#define MAX_FLOWS	1024
#define MAX_KEPT	64	/* a budget, and what was under way */
#define BATCH		64
#define WAIT_MS		20000
#define QUIET_MS	3000
#define CHUNK		4096
#define NR_PIECES	4	/* a budget of many connections */
#define MAX_PIECES	8	/* and what was under way */
#define LAST_QUEUE	3

#define KIB		1024U
#define MIB		(1024 * KIB)

/**
 * struct flow - a connection to zcrx_peer
 * @fd: its socket
 * @conn: the same
 * @got: bytes received
 * @nr_kept: buffers that were not released at once, where that is counted
 * @ended: the connection has, well
 */
struct flow {
	int			fd;
	struct zcrx_conn	*conn;
	unsigned int		got;
	unsigned int		nr_kept;
	bool			ended;
};

static struct zcrx_queue *queue;
static struct flow flows[MAX_FLOWS];
static unsigned int nr_flows;
static unsigned int longest;	/* buffer, in bytes */

/* Each connection has a stream of its own. */
static unsigned int seed_of(const struct flow *flow)
{
	return SEED + (unsigned int)(flow - flows);
}

static void init_opts(struct zcrx_queue_opts *opts, const char *backend)
{
	zcrx_queue_opts_init(opts);
	opts->ifname = IFNAME;
	opts->backend = backend;
}

static bool open_by_name(const char *backend)
{
	struct zcrx_queue_opts opts;

	init_opts(&opts, backend);

	return good(zcrx_queue_open(&queue, &opts));
}

/* Connections that are steered to the queue */
static bool add_flows(unsigned int nr, const char *peer)
{
	memset(flows, 0, sizeof(flows));
	for (nr_flows = 0; nr_flows < nr; nr_flows++) {
		struct flow *flow = &flows[nr_flows];

		flow->fd = connect_peer(peer);
		if (flow->fd < 0 ||
		    !good(zcrx_conn_add(queue, flow->fd, flow, &flow->conn)))
			return false;
	}

	return true;
}

static bool request_all(unsigned int bytes)
{
	unsigned int i;

	for (i = 0; i < nr_flows; i++)
		if (!request(flows[i].fd, bytes, seed_of(&flows[i])))
			return false;

	return true;
}

/* The digest behind the bytes is not looked at. */
static bool take(const struct zcrx_buf *buf, unsigned int bytes)
{
	struct flow *flow = buf->tag;
	unsigned int len = buf->len;

	if (!buf->data) {
		flow->ended = !buf->res;
		return flow->ended && flow->got == bytes + PATTERN_DIGEST_SIZE;
	}
	if (len > longest)
		longest = len;
	if (flow->got + len > bytes)
		len = flow->got < bytes ? bytes - flow->got : 0;
	if (!pattern_check(buf->data, len, seed_of(flow), flow->got))
		return false;
	flow->got += buf->len;

	return true;
}

static bool all_have_ended(void)
{
	unsigned int i;

	for (i = 0; i < nr_flows; i++)
		if (!flows[i].ended)
			return false;

	return true;
}

static bool take_all(const struct zcrx_buf *bufs, int nr, unsigned int bytes)
{
	int i;

	for (i = 0; i < nr; i++) {
		if (!take(&bufs[i], bytes)) {
			printf("# wrong bytes, or an early end: %d\n",
			       bufs[i].res);
			return false;
		}
	}
	zcrx_release(queue, bufs, nr);

	return true;
}

static bool receive_all(unsigned int bytes)
{
	struct zcrx_buf bufs[BATCH];
	int n;

	while (!all_have_ended()) {
		n = zcrx_receive(queue, bufs, BATCH, WAIT_MS);
		if (n <= 0) {
			printf("# nothing comes: %d\n", n);
			return false;
		}
		if (!take_all(bufs, n, bytes))
			return false;
	}

	return true;
}

static bool close_flows(void)
{
	bool closed = good(zcrx_queue_close(queue));
	unsigned int i;

	for (i = 0; i < nr_flows; i++)
		close(flows[i].fd);
	nr_flows = 0;

	return closed;
}

static bool close_all(void)
{
	return close_flows() && as_found();
}

static unsigned long long zc_bytes_of(const char *fdinfo)
{
	unsigned long long bytes = 0;
	char line[1024], *at;
	FILE *f = fopen(fdinfo, "r");

	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, " zc_bytes=");
		if (at)
			bytes += strtoull(at + strlen(" zc_bytes="), NULL, 10);
	}
	if (f)
		fclose(f);

	return bytes;
}

/* In place, by all queues of this process; the kernel tells in fdinfo. */
static unsigned long long zc_bytes(void)
{
	DIR *dir = opendir("/proc/self/fdinfo");
	unsigned long long bytes = 0;
	struct dirent *entry;
	char path[320];

	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%s",
			 entry->d_name);
		bytes += zc_bytes_of(path);
	}
	if (dir)
		closedir(dir);

	return bytes;
}

/*
 * Receiving
 */

/* Of @nr connections, all that can be is in place. */
static void in_place(const char *backend, unsigned int nr, unsigned int bytes,
		     const char *peer)
{
	unsigned long long packets, in_place;
	unsigned int i;

	EXPECT(open_by_name(backend));
	EXPECT(has_queue(LAST_QUEUE));
	EXPECT(add_flows(nr, peer));
	EXPECT(entries_of(LAST_QUEUE) > 0);
	packets = packets_of(LAST_QUEUE);
	for (i = 0; i < nr; i++)
		EXPECT(make_room(flows[i].fd, bytes));
	EXPECT(request_all(bytes));
	EXPECT(receive_all(bytes));
	EXPECT(packets_of(LAST_QUEUE) > packets);
	in_place = zc_bytes();
	printf("# %llu bytes in place, of %llu\n", in_place,
	       (unsigned long long)nr * bytes);
	EXPECT(in_place >= (unsigned long long)nr * bytes / 100 * 95);
	EXPECT(close_all());
}

static void rbuf_v4(void)
{
	in_place("rbuf", 1, 8 * MIB, "ZCRX_VM_PEER4");
}

static void rbuf_v6(void)
{
	in_place("rbuf", 1, 8 * MIB, "ZCRX_VM_PEER6");
}

static void rbuf_many(void)
{
	in_place("rbuf", MANY, 256 * KIB, "ZCRX_VM_PEER4");
}

static bool buffers_have(const char *backend, size_t chunk_size,
			 unsigned int least, unsigned int most)
{
	struct zcrx_queue_opts opts;

	init_opts(&opts, backend);
	opts.chunk_size = chunk_size;
	longest = 0;
	if (!good(zcrx_queue_open(&queue, &opts)) ||
	    !add_flows(1, "ZCRX_VM_PEER4") || !request_all(MIB) ||
	    !receive_all(MIB) || !close_flows())
		return false;
	printf("# %s, %zu asked for, up to %u bytes in a buffer\n", backend,
	       chunk_size, longest);

	return longest >= least && longest <= most;
}

/* A packet of the MTU of 9000 is one buffer, or several of a page. */
static void chunk_sizes(void)
{
	struct zcrx_queue_opts opts;

	EXPECT(buffers_have("rbuf", 0, 2 * CHUNK, 4 * CHUNK));
	EXPECT(buffers_have("rbuf", CHUNK, CHUNK, CHUNK));
	EXPECT(buffers_have("rbuf", 2 * CHUNK, 2 * CHUNK, 2 * CHUNK));
	EXPECT(buffers_have("cqe32", 0, CHUNK, CHUNK));
	EXPECT(buffers_have("cqe32", 4 * CHUNK, 2 * CHUNK, 4 * CHUNK));

	/* Of 64 MiB, large ones would leave others less than half. */
	EXPECT(!system("ethtool -G eth0 rx 4096"));
	EXPECT(buffers_have("rbuf", 0, CHUNK, CHUNK));
	EXPECT(!system("ethtool -G eth0 rx 256"));

	init_opts(&opts, "rbuf");
	opts.chunk_size = 64 * KIB;
	EXPECT(zcrx_queue_open(&queue, &opts) == -EOPNOTSUPP);
	EXPECT(strstr(zcrx_error(), "chunks of 65536 bytes"));
	EXPECT(as_found());
}

static void cqe32_v4(void)
{
	in_place("cqe32", 1, 8 * MIB, "ZCRX_VM_PEER4");
}

static void cqe32_v6(void)
{
	in_place("cqe32", 1, 8 * MIB, "ZCRX_VM_PEER6");
}

static void cqe32_many(void)
{
	in_place("cqe32", MANY, 256 * KIB, "ZCRX_VM_PEER4");
}

/* With nothing else said: the best back end, on the NIC */
static bool opens_best(const struct zcrx_queue_opts *opts)
{
	return good(zcrx_queue_open(&queue, opts)) &&
	       !strcmp(zcrx_queue_backend(queue), "rbuf") &&
	       !*zcrx_queue_why(queue) && has_queue(LAST_QUEUE);
}

static void by_socket(void)
{
	struct flow *flow = &flows[0];
	struct zcrx_queue_opts opts;

	memset(flows, 0, sizeof(flows));
	flow->fd = connect_peer("ZCRX_VM_PEER4");
	nr_flows = 1;
	EXPECT(flow->fd >= 0);
	zcrx_queue_opts_init(&opts);
	opts.fd = flow->fd;
	EXPECT(opens_best(&opts));
	EXPECT(good(zcrx_conn_add(queue, flow->fd, flow, &flow->conn)));
	EXPECT(request_all(MIB));
	EXPECT(receive_all(MIB));
	EXPECT(close_all());
}

static void by_listener(void)
{
	static const char *const addresses[] = { "ZCRX_VM_GUEST4", NULL };
	struct zcrx_queue_opts opts;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		zcrx_queue_opts_init(&opts);
		opts.fd = bound_listener(addresses[i]);
		EXPECT(opts.fd >= 0);
		EXPECT(opens_best(&opts));
		EXPECT(close_all());
		close(opts.fd);
	}
}

static void by_nothing(void)
{
	EXPECT(opens_best(NULL));
	EXPECT(add_flows(1, "ZCRX_VM_PEER4"));
	EXPECT(request_all(MIB));
	EXPECT(receive_all(MIB));
	EXPECT(close_all());
}

/* Chunks run out, held by sockets of connections that take turns. */
static void little_memory(const char *backend)
{
	const unsigned int bytes = 512 * KIB;
	struct zcrx_queue_opts opts;

	init_opts(&opts, backend);
	opts.mem_size = 1 * MIB;
	EXPECT(good(zcrx_queue_open(&queue, &opts)));
	EXPECT(add_flows(8, "ZCRX_VM_PEER4"));
	EXPECT(request_all(bytes));
	EXPECT(receive_all(bytes));
	EXPECT(close_all());
}

static void rbuf_little_memory(void)
{
	little_memory("rbuf");
}

static void cqe32_little_memory(void)
{
	little_memory("cqe32");
}

/*
 * Nothing of the first connection is released at first. It pauses at its budget,
 * and what its socket has received stays in chunks: there are enough for others.
 */
static void slow_consumer(const char *backend)
{
	static struct zcrx_buf kept[MAX_KEPT];
	const unsigned int bytes = MIB;
	unsigned int nr_kept = 0;
	struct zcrx_queue_opts opts;
	struct zcrx_buf buf;

	init_opts(&opts, backend);
	opts.mem_size = 1 * MIB;
	EXPECT(good(zcrx_queue_open(&queue, &opts)));
	EXPECT(add_flows(4, "ZCRX_VM_PEER4"));
	EXPECT(request_all(bytes));
	while (!flows[1].ended || !flows[2].ended || !flows[3].ended) {
		EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1);
		EXPECT(take(&buf, bytes));
		if (buf.tag != &flows[0]) {
			zcrx_release(queue, &buf, 1);
			continue;
		}
		EXPECT(nr_kept < MAX_KEPT);
		kept[nr_kept++] = buf;
	}
	printf("# %u buffers kept, %u bytes\n", nr_kept, flows[0].got);
	EXPECT(nr_kept && flows[0].got < bytes);
	zcrx_release(queue, kept, nr_kept);
	EXPECT(receive_all(bytes));
	EXPECT(close_all());
}

static void rbuf_slow_consumer(void)
{
	slow_consumer("rbuf");
}

static void cqe32_slow_consumer(void)
{
	slow_consumer("cqe32");
}

/*
 * A thousand connections
 */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double add_flow(struct flow *flow)
{
	double start;

	flow->fd = connect_peer("ZCRX_VM_PEER4");
	start = now();
	if (flow->fd < 0 ||
	    !good(zcrx_conn_add(queue, flow->fd, flow, &flow->conn)))
		return -1;
	nr_flows++;

	return now() - start;
}

/* Says how long it takes to add one more, of more and more. */
static bool add_thousand(void)
{
	double sum = 0, took;
	unsigned int i;

	memset(flows, 0, sizeof(flows));
	for (i = nr_flows = 0; i < MAX_FLOWS; i++) {
		took = add_flow(&flows[i]);
		if (took < 0)
			return false;
		sum += took;
		if (i + 1 == 10 || i + 1 == 100 || i + 1 == MAX_FLOWS)
			printf("# %u connections added, %.0f us each\n", i + 1,
			       1e6 * sum / (i + 1));
	}

	return true;
}

/* Until no connection goes on */
static bool keep_all(struct zcrx_buf *kept, unsigned int *nr,
		     unsigned int bytes)
{
	struct flow *flow;
	int n, i;

	for (*nr = 0; *nr + BATCH <= MAX_FLOWS * MAX_PIECES; *nr += n) {
		n = zcrx_receive(queue, kept + *nr, BATCH, QUIET_MS);
		if (n <= 0)
			return !n;
		for (i = 0; i < n; i++) {
			flow = kept[*nr + i].tag;
			flow->nr_kept++;
			if (!take(&kept[*nr + i], bytes))
				return false;
		}
	}

	return false;
}

/* Each has its budget while nothing is released; then all go on to their end. */
static void thousand(const char *backend)
{
	static struct zcrx_buf kept[MAX_FLOWS * MAX_PIECES];
	const unsigned int bytes = 32 * KIB;
	struct rlimit files = { MAX_FLOWS + 64, MAX_FLOWS + 64 };
	struct zcrx_queue_opts opts;
	unsigned int nr, i;
	double start = now();

	EXPECT(!setrlimit(RLIMIT_NOFILE, &files));
	init_opts(&opts, backend);
	opts.conn_budget = NR_PIECES * CHUNK;
	opts.chunk_size = CHUNK;
	EXPECT(good(zcrx_queue_open(&queue, &opts)));
	EXPECT(add_thousand());
	EXPECT(request_all(bytes));
	EXPECT(keep_all(kept, &nr, bytes));
	for (i = 0; i < nr_flows; i++)
		EXPECT(flows[i].nr_kept >= NR_PIECES &&
		       flows[i].nr_kept <= MAX_PIECES && flows[i].got < bytes);
	zcrx_release(queue, kept, nr);
	EXPECT(receive_all(bytes));
	printf("# %u buffers kept; %llu bytes in place, of %u; %.0f s\n", nr,
	       zc_bytes(), nr_flows * bytes, now() - start);
	EXPECT(zc_bytes() >= nr_flows * bytes / 10 * 9);
	EXPECT(close_all());
}

static void rbuf_thousand(void)
{
	thousand("rbuf");
}

static void cqe32_thousand(void)
{
	thousand("cqe32");
}

/* The owner sleeps in poll() only. */
static void polled(const char *backend)
{
	const unsigned int bytes = 2 * MIB;
	struct pollfd pfd = { .events = POLLIN };
	struct zcrx_buf bufs[BATCH];
	int n;

	EXPECT(open_by_name(backend));
	EXPECT(add_flows(2, "ZCRX_VM_PEER4"));
	pfd.fd = zcrx_queue_poll_fd(queue);
	EXPECT(request_all(bytes));
	while (!all_have_ended()) {
		EXPECT(poll(&pfd, 1, WAIT_MS) == 1);
		while ((n = zcrx_receive(queue, bufs, BATCH, 0)) > 0)
			EXPECT(take_all(bufs, n, bytes));
		EXPECT(!n);
	}
	EXPECT(close_all());
}

static void rbuf_polled(void)
{
	polled("rbuf");
}

static void cqe32_polled(void)
{
	polled("cqe32");
}

/* Somebody else has steered it to his queue: what comes is copied. */
static void not_steered(void)
{
	struct flow *flow = &flows[0];
	struct zcrx_nic *other;

	memset(flows, 0, sizeof(flows));
	flow->fd = connect_peer("ZCRX_VM_PEER4");
	nr_flows = 1;
	EXPECT(flow->fd >= 0);
	EXPECT(good(zcrx_nic_open(&other, IFNAME, 1)));
	EXPECT(good(zcrx_nic_steer(other, flow->fd)));
	EXPECT(open_by_name("rbuf"));
	EXPECT(zcrx_conn_add(queue, flow->fd, flow, &flow->conn) == 1);
	printf("# %s\n", zcrx_error());
	EXPECT(strstr(zcrx_error(), IFNAME));
	EXPECT(request_all(MIB));
	EXPECT(receive_all(MIB));
	zcrx_nic_close(other);
	EXPECT(close_all());
}

/*
 * Two processes
 */

/*
 * A connection that no other owner's connection is in the way of: those that
 * have the same entry of the RSS table can't be told apart.
 */
static bool add_own_flow(void)
{
	struct flow *flow = &flows[0];
	unsigned int tries;
	int ret;

	nr_flows = 1;
	for (tries = 0; tries < 8; tries++) {
		memset(flow, 0, sizeof(*flow));
		flow->fd = connect_peer("ZCRX_VM_PEER4");
		if (flow->fd < 0)
			return false;
		ret = zcrx_conn_add(queue, flow->fd, flow, &flow->conn);
		if (ret <= 0)
			return good(ret);
		printf("# %s\n", zcrx_error());
		zcrx_conn_remove(flow->conn);
		close(flow->fd);
	}

	return false;
}

static bool receive_one(unsigned int bytes)
{
	bool all = add_own_flow() && make_room(flows[0].fd, bytes) &&
		   request_all(bytes) && receive_all(bytes) &&
		   good(zcrx_conn_remove(flows[0].conn));

	close(flows[0].fd);

	return all;
}

/* Receives one connection after the other until it is told to go. */
static void receive_on(int rxq, int ready, int go)
{
	struct pollfd pfd = { .fd = go, .events = POLLIN };
	unsigned long long bytes = 0;
	struct zcrx_queue_opts opts;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	init_opts(&opts, "rbuf");
	opts.rxq = rxq;
	if (!good(zcrx_queue_open(&queue, &opts)))
		_exit(1);
	do {
		if (!receive_one(4 * MIB) ||
		    (!bytes && write(ready, "y", 1) != 1))
			_exit(1);
		bytes += 4 * MIB;
	} while (!poll(&pfd, 1, 0));
	if (zc_bytes() < bytes / 100 * 95)
		_exit(2);
	_exit(zcrx_queue_close(queue) != 0);
}

/* Neither disturbs the other's settings when it comes, and when it goes. */
static void two_processes(void)
{
	unsigned long long packets;
	struct owner other;

	EXPECT(owner_start(&other, receive_on, 1));
	EXPECT(open_by_name("rbuf"));
	EXPECT(has_queue(LAST_QUEUE));
	packets = packets_of(1);
	EXPECT(receive_one(8 * MIB));
	EXPECT(packets_of(1) > packets);
	EXPECT(zc_bytes() >= 8ULL * MIB / 100 * 95);
	EXPECT(good(zcrx_queue_close(queue)));
	packets = packets_of(1);
	usleep(500000);
	EXPECT(split_is_on() && packets_of(1) > packets);
	EXPECT(owner_ends(&other));
	EXPECT(as_found());
}

/*
 * Receive queues
 */

static void wrong_queue(void)
{
	static const char *const backends[] = { NULL, "rbuf", "cqe32" };
	struct zcrx_queue_opts opts;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		init_opts(&opts, backends[i]);
		opts.rxq = LAST_QUEUE + 1;
		EXPECT(zcrx_queue_open(&queue, &opts) == -ERANGE);
		EXPECT(!queue && strstr(zcrx_error(), "no receive queue 4"));
		EXPECT(as_found());
	}
}

/* It is the application's to say whether copying does. */
static void queue_in_use(void)
{
	struct zcrx_queue_opts opts;
	struct zcrx_queue *other;

	init_opts(&opts, "cqe32");
	opts.rxq = 1;
	EXPECT(good(zcrx_queue_open(&other, &opts)));
	EXPECT(zcrx_queue_open(&queue, &opts) == -EBUSY);
	EXPECT(strstr(zcrx_error(), "take another one"));
	opts.backend = NULL;
	EXPECT(good(zcrx_queue_open(&queue, &opts)));
	EXPECT(!strcmp(zcrx_queue_backend(queue), "copy"));
	EXPECT(strstr(zcrx_queue_why(queue), "receive queue 1"));
	EXPECT(good(zcrx_queue_close(queue)));

	/* Another one can be had beside it. */
	opts.rxq = -1;
	EXPECT(good(zcrx_queue_open(&queue, &opts)));
	EXPECT(has_queue(1) && has_queue(LAST_QUEUE));
	EXPECT(good(zcrx_queue_close(queue)));
	EXPECT(has_queue(1));
	EXPECT(good(zcrx_queue_close(other)));
	EXPECT(as_found());
}

static void die_in_the_middle(void)
{
	struct zcrx_buf bufs[BATCH];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!open_by_name("rbuf") || !add_flows(2, "ZCRX_VM_PEER4") ||
	    !request_all(64 * MIB) ||
	    zcrx_receive(queue, bufs, BATCH, WAIT_MS) <= 0)
		_exit(1);
	kill(getpid(), SIGKILL);
}

/* Killed while it receives: the next one has all the NIC, and puts it back. */
static void killed(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		die_in_the_middle();
	EXPECT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	EXPECT(split_is_on() && entries_of(LAST_QUEUE) > 0);
	in_place("rbuf", 1, MIB, "ZCRX_VM_PEER4");
}

/*
 * Refusals
 */

static bool is_sentence(const char *text, const char *words)
{
	bool good = strstr(text, words) && !strchr(text, '\n') &&
		    text[strlen(text) - 1] != '.';

	printf("# %s\n", text);

	return good;
}

/* By each back end that does not copy */
static bool refused(const char *ifname, int err, const char *words)
{
	static const char *const backends[] = { "rbuf", "cqe32" };
	struct zcrx_queue_opts opts;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		init_opts(&opts, backends[i]);
		opts.ifname = ifname;
		if (zcrx_queue_open(&queue, &opts) != err || queue ||
		    !is_sentence(zcrx_error(), words))
			return false;
	}

	return true;
}

/* What comes instead if the application leaves the choice to the library */
static bool copies(const char *words)
{
	bool copied = open_by_name(NULL) &&
		      !strcmp(zcrx_queue_backend(queue), "copy") &&
		      is_sentence(zcrx_queue_why(queue), words) &&
		      add_flows(2, "ZCRX_VM_PEER4") &&
		      request_all(256 * KIB) && receive_all(256 * KIB);

	return close_flows() && copied;
}

static void no_such_interface(void)
{
	EXPECT(refused("eth9", -ENODEV, "\"eth9\""));
	EXPECT(as_found());
}

static void no_privilege(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		status = setgid(65534) || setuid(65534) ||
			 !refused(IFNAME, -EPERM, "run as root") ||
			 !copies("run as root");
		fflush(stdout);
		_exit(status);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	EXPECT(!WEXITSTATUS(status));
	EXPECT(as_found());
}

/* The last case: the NIC is another one from here on. */
static void single_queue(void)
{
	EXPECT(!system("ethtool -X " IFNAME " default"));
	EXPECT(!system("ethtool -L " IFNAME " combined 1"));
	EXPECT(note_nic());
	EXPECT(refused(IFNAME, -ENOSPC, "ethtool -L " IFNAME " combined 2"));
	EXPECT(copies("one receive queue"));
	EXPECT(as_found());
}

static const struct ktap_case cases[] = {
	{ "rbuf, IPv4", rbuf_v4 },
	{ "rbuf, IPv6", rbuf_v6 },
	{ "rbuf, 32 connections", rbuf_many },
	{ "rbuf, little memory", rbuf_little_memory },
	{ "rbuf, a slow consumer does not stop others", rbuf_slow_consumer },
	{ "rbuf, a thousand connections", rbuf_thousand },
	{ "rbuf, by poll()", rbuf_polled },
	{ "chunks of several sizes", chunk_sizes },
	{ "cqe32, IPv4", cqe32_v4 },
	{ "cqe32, IPv6", cqe32_v6 },
	{ "cqe32, 32 connections", cqe32_many },
	{ "cqe32, little memory", cqe32_little_memory },
	{ "cqe32, a slow consumer does not stop others", cqe32_slow_consumer },
	{ "cqe32, a thousand connections", cqe32_thousand },
	{ "cqe32, by poll()", cqe32_polled },
	{ "opened by a socket", by_socket },
	{ "opened by a listening socket", by_listener },
	{ "opened by nothing", by_nothing },
	{ "a connection that can't be steered", not_steered },
	{ "two processes", two_processes },
	{ "a receive queue that is not there", wrong_queue },
	{ "a receive queue that is in use", queue_in_use },
	{ "killed while it receives", killed },
	{ "no such interface", no_such_interface },
	{ "no privilege", no_privilege },
	{ "a NIC with a single queue", single_queue },
};

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	if (!note_nic()) {
		printf("1..0 # SKIP ethtool says nothing about " IFNAME "\n");
		return 77;
	}

	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
