// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A queue that one process sets up, and another one receives by; both on kernels
 * and a NIC in memory. In the end the NIC is as it was, whatever the other one
 * did, and the exporter has no file more than before.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../src/clock.h"
#include "../src/share.h"
#include "fake_nic.h"
#include "fake_ring.h"
#include "ktap.h"
#include "stream.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define CHUNK		4096
#define MEM_SIZE	(64 * CHUNK)
#define WAIT_MS		10000
#define QUEUE		3	/* the one that is picked */

/* Exit status of the exporter */
enum {
	SERVED,
	REFUSED,
	LEFT_FILES,
	EITHER,		/* of the first two */
};

static struct fake_settings found;
static enum fake_kind kind;
static bool by_rss;
static int ret_allow;
static const char *ifname;
static pid_t exporter;
static int sock;

static unsigned int nr_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);

	return nr;
}

/*
 * The exporter
 */

static int allow(struct zcrx_grant *grant, void *arg)
{
	if (arg != &ret_allow || grant->opts.rxq != -1 || grant->opts.fd != -1)
		abort();
	if (!grant->opts.ifname)
		grant->opts.ifname = FAKE_NAME;
	grant->by_rss = by_rss;
	if (ret_allow)
		snprintf(grant->why, sizeof(grant->why), "%s is not for you",
			 grant->opts.ifname);

	return ret_allow;
}

static void be_exporter(int fd)
{
	unsigned int before;
	int ret;

	alarm(KTAP_TIME_LIMIT);
	fake_ring_reset(kind);
	before = nr_files();
	ret = zcrx_export(fd, allow, &ret_allow);
	/* The fake kernel has one of the rings' memory. */
	if (fake.rings_fd)
		close(fake.rings_fd);
	if (nr_files() != before)
		_exit(LEFT_FILES);
	_exit(ret ? REFUSED : SERVED);
}

static void begin(enum fake_kind which)
{
	fake_nic_reset();
	fake_nic->has_rules = true;
	found = fake_nic->set;
	kind = which;
	by_rss = false;
	ret_allow = 0;
	ifname = FAKE_NAME;
}

static bool start(void)
{
	int socks[2];

	fflush(stdout);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return false;
	exporter = fork();
	if (!exporter) {
		close(socks[0]);
		be_exporter(socks[1]);
	}
	close(socks[1]);
	sock = socks[0];
	fake_ring_reset(kind);
	fake.privileged = false;

	return exporter > 0;
}

static bool as_found(void)
{
	return !memcmp(&found, &fake_nic->set, sizeof(found)) &&
	       !fake_nic_nr_records();
}

static bool exporter_ends(int status)
{
	int real = -1;

	if (waitpid(exporter, &real, 0) != exporter)
		return false;
	if (!WIFEXITED(real))
		return false;
	real = WEXITSTATUS(real);

	return (real == status || (status == EITHER && real <= REFUSED)) &&
	       as_found();
}

/*
 * The importer
 */

static struct zcrx_queue *queue;
static struct zcrx_conn *conn;
static struct zcrx_buf buf;
static struct stream streams[2];

static void init_opts(struct zcrx_queue_opts *opts)
{
	zcrx_queue_opts_init(opts);
	opts->ifname = ifname;
	opts->mem_size = MEM_SIZE;
}

static bool says(int ret)
{
	if (ret)
		printf("# %d: %s\n", ret, zcrx_error());

	return !ret;
}

static bool import(void)
{
	struct zcrx_queue_opts opts;

	init_opts(&opts);

	return start() && says(zcrx_import(&queue, sock, &opts));
}

static bool import_and_connect(unsigned int nr)
{
	return import() && stream_connect(streams, nr);
}

static int add(unsigned int i)
{
	return zcrx_conn_add(queue, streams[i].fd, &streams[i], &conn);
}

static void disconnect(unsigned int nr)
{
	unsigned int i;

	stream_close(streams, nr);
	for (i = 0; i < nr; i++)
		close(streams[i].peer);
}

static bool close_queue(void)
{
	return says(zcrx_queue_close(queue)) && exporter_ends(SERVED);
}

static bool no_rules_soon(void)
{
	int64_t end = zcrx_clock() + WAIT_MS;

	while (fake_nic_nr_rules() && zcrx_clock() < end)
		zcrx_pause();

	return !fake_nic_nr_rules();
}

/* Is it memory of the exporter's? */
static bool is_shared(const void *addr)
{
	unsigned long from, to;
	bool shared = false;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &from, &to) == 2 &&
		    (unsigned long)addr >= from && (unsigned long)addr < to)
			shared = strstr(line, "rw-s") &&
				 strstr(line, "memfd:zcrx-area");
	if (f)
		fclose(f);

	return shared;
}

static bool is_back(__u64 off)
{
	struct zcrx_abi_rqe rqe;

	return fake_take(&rqe) && rqe.off == off;
}

/*
 * Receiving
 */

static void receive_rbuf(void)
{
	struct zcrx_rbuf_cqe cqe = { .off = 5 * CHUNK, .len = 100 };

	begin(FAKE_OURS);
	EXPECT(import_and_connect(1));
	EXPECT(!strcmp(zcrx_queue_backend(queue), "rbuf"));
	EXPECT(!*zcrx_queue_why(queue));
	EXPECT(fake_nic->set.split == ZCRX_SPLIT_ON && !fake_nic_count(QUEUE));
	EXPECT(says(add(0)));
	EXPECT(fake_post(&cqe));
	EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1 && buf.len == 100);
	EXPECT(buf.tag == &streams[0] && is_shared(buf.data));
	zcrx_release(queue, &buf, 1);
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == 0);
	EXPECT(is_back(5 * CHUNK));
	EXPECT(close_queue());
	disconnect(1);
}

static void *release(void *arg)
{
	zcrx_release(queue, &buf, 1);

	return arg;
}

/* While the owner looks for more */
static bool is_back_soon(__u64 off)
{
	int64_t end = zcrx_clock() + WAIT_MS;
	struct zcrx_buf none;

	while (zcrx_receive(queue, &none, 1, 0) == 0 && zcrx_clock() < end)
		if (is_back(off))
			return true;

	return false;
}

/* Nothing but the queue orders the two threads until it is back. */
static void release_by_thread(void)
{
	struct zcrx_rbuf_cqe cqe = { .off = 5 * CHUNK, .len = 100 };
	pthread_t thread;

	begin(FAKE_OURS);
	EXPECT(import_and_connect(1));
	EXPECT(says(add(0)));
	EXPECT(fake_post(&cqe));
	EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1);
	EXPECT(!pthread_create(&thread, NULL, release, NULL));
	EXPECT(is_back_soon(5 * CHUNK));
	pthread_join(thread, NULL);
	EXPECT(close_queue());
	disconnect(1);
}

static void receive_cqe32(void)
{
	begin(FAKE_MAINLINE);
	EXPECT(import_and_connect(1));
	EXPECT(!strcmp(zcrx_queue_backend(queue), "cqe32"));
	EXPECT(strstr(zcrx_queue_why(queue), "rbuf"));
	EXPECT(says(add(0)));
	EXPECT(fake_ring_receive(streams[0].fd, CHUNK, 100));
	EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1 && buf.len == 100);
	EXPECT(is_shared(buf.data));
	zcrx_release(queue, &buf, 1);
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == 0);
	EXPECT(is_back(CHUNK));
	EXPECT(close_queue());
	disconnect(1);
}

/* Neither interface nor memory are named: the exporter's choice */
static void choose_nothing(void)
{
	begin(FAKE_OURS);
	EXPECT(start() && says(zcrx_import(&queue, sock, NULL)));
	EXPECT(!fake_nic_count(QUEUE));
	EXPECT(close_queue());
}

static void without_nic(void)
{
	struct zcrx_queue_opts opts;

	begin(FAKE_OURS);
	EXPECT(start() && stream_connect(streams, 1));
	init_opts(&opts);
	opts.ifname = "lo";
	opts.backend = "rbuf";
	EXPECT(says(zcrx_import(&queue, sock, &opts)));
	EXPECT(says(add(0)) && as_found());
	EXPECT(says(zcrx_conn_remove(conn)));
	EXPECT(close_queue());
	disconnect(1);
}

/*
 * Steering
 */

static void steer(void)
{
	begin(FAKE_OURS);
	EXPECT(import_and_connect(2));
	EXPECT(says(add(0)) && says(add(1)));
	EXPECT(fake_nic_nr_rules() == 2);
	EXPECT(fake_nic->set.rules[1].target.queue == QUEUE);
	EXPECT(says(zcrx_conn_remove(conn)) && fake_nic_nr_rules() == 1);
	EXPECT(close_queue());
	disconnect(2);
}

/* When removing returns, nobody but us has the socket. */
static void closing_closes(void)
{
	struct pollfd pfd = { .events = POLLIN };

	begin(FAKE_OURS);
	EXPECT(import_and_connect(1));
	EXPECT(says(add(0)) && says(zcrx_conn_remove(conn)));
	close(streams[0].fd);
	pfd.fd = streams[0].peer;
	EXPECT(poll(&pfd, 1, 0) == 1);
	EXPECT(close_queue());
	close(streams[0].peer);
}

/* Its addresses may be another one's from then on. */
static void connection_ends(void)
{
	begin(FAKE_OURS);
	EXPECT(import_and_connect(2));
	EXPECT(says(add(0)) && says(add(1)) && fake_nic_nr_rules() == 2);
	shutdown(streams[0].fd, SHUT_RDWR);
	close(streams[0].peer);
	shutdown(streams[1].fd, SHUT_RDWR);
	close(streams[1].peer);
	EXPECT(no_rules_soon());
	/* Ended already; and a number that is used again */
	EXPECT(says(zcrx_conn_remove(conn)));
	stream_close(streams, 2);
	EXPECT(stream_connect(streams, 1) && says(add(0)) && fake_nic_nr_rules() == 1);
	EXPECT(close_queue());
	disconnect(1);
}

/* Milliseconds */
static long exporter_cpu_time(void)
{
	struct timespec time = { .tv_sec = 0 };
	clockid_t clock;

	if (!clock_getcpuclockid(exporter, &clock))
		clock_gettime(clock, &time);

	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* The importer may keep the socket: nobody looks at it for that. */
static void ended_socket_is_kept(void)
{
	long before;

	begin(FAKE_OURS);
	EXPECT(import_and_connect(1) && says(add(0)));
	EXPECT(says(zcrx_conn_remove(conn)) && !fake_nic_nr_rules());
	shutdown(streams[0].fd, SHUT_RDWR);
	close(streams[0].peer);
	before = exporter_cpu_time();
	usleep(500000);
	EXPECT(exporter_cpu_time() - before < 100);
	EXPECT(close_queue());
	stream_close(streams, 1);
}

static void once_more(void)
{
	unsigned int i;

	begin(FAKE_OURS);
	EXPECT(import_and_connect(1));
	for (i = 0; i < 3; i++) {
		EXPECT(says(add(0)) && fake_nic_nr_rules() == 1);
		EXPECT(says(zcrx_conn_remove(conn)) && !fake_nic_nr_rules());
	}
	EXPECT(close_queue());
	disconnect(1);
}

static bool connect_anew(int fd, int to)
{
	struct sockaddr any = { .sa_family = AF_UNSPEC };
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	return !listen(to, 1) &&
	       !getsockname(to, (struct sockaddr *)&addr, &len) &&
	       !connect(fd, &any, sizeof(any)) &&
	       !connect(fd, (struct sockaddr *)&addr, len);
}

/* It is not hung up when the exporter gets to look at it. */
static void connected_anew(void)
{
	int other = socket(AF_INET, SOCK_STREAM, 0);
	bool is;

	begin(FAKE_OURS);
	EXPECT(import_and_connect(1));
	EXPECT(says(zcrx_conn_add(queue, streams[0].peer, NULL, &conn)));
	EXPECT(fake_nic_nr_rules() == 1 && !kill(exporter, SIGSTOP));
	is = connect_anew(streams[0].peer, other);
	EXPECT(!kill(exporter, SIGCONT) && is && no_rules_soon());
	EXPECT(close_queue());
	disconnect(1);
	close(other);
}

/* What can't be undone does not stay: the next queue of the NIC undoes it. */
static void filter_stays(void)
{
	int status = -1;

	begin(FAKE_OURS);
	EXPECT(import_and_connect(1) && says(add(0)));
	fake_nic->ret_del_rule = -EIO;
	EXPECT(says(zcrx_conn_remove(conn)));
	EXPECT(waitpid(exporter, &status, 0) == exporter && !status);
	EXPECT(fake_nic_nr_rules() == 1);
	fake_nic->ret_del_rule = 0;
	EXPECT(says(zcrx_queue_close(queue)));
	EXPECT(says(zcrx_nic_reset(FAKE_NAME)) && as_found());
	disconnect(1);
}

static void no_more_files(void)
{
	struct rlimit was, none;

	begin(FAKE_OURS);
	EXPECT(import_and_connect(1));
	EXPECT(!prlimit(exporter, RLIMIT_NOFILE, NULL, &was));
	none = was;
	none.rlim_cur = 3;
	EXPECT(!prlimit(exporter, RLIMIT_NOFILE, &none, NULL));
	EXPECT(add(0) == 1 && strstr(zcrx_error(), "ulimit -n"));
	EXPECT(says(zcrx_conn_remove(conn)) && !fake_nic_nr_rules());
	EXPECT(!prlimit(exporter, RLIMIT_NOFILE, &was, NULL));
	EXPECT(says(add(0)) && fake_nic_nr_rules() == 1);
	EXPECT(close_queue());
	disconnect(1);
}

static void by_filters_only(void)
{
	begin(FAKE_OURS);
	fake_nic->has_rules = false;
	EXPECT(import_and_connect(1));
	EXPECT(add(0) == 1 && strstr(zcrx_error(), "RSS table"));
	EXPECT(!fake_nic_count(QUEUE));
	EXPECT(close_queue());
	disconnect(1);
}

static void by_rss_if_allowed(void)
{
	begin(FAKE_OURS);
	fake_nic->has_rules = false;
	by_rss = true;
	EXPECT(import_and_connect(1));
	EXPECT(says(add(0)) && fake_nic_count(QUEUE) == 1);
	EXPECT(close_queue());
	disconnect(1);
}

static void no_port(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	begin(FAKE_OURS);
	EXPECT(import());
	EXPECT(!bind(fd, (struct sockaddr *)&addr, sizeof(addr)) &&
	       !listen(fd, 1));
	EXPECT(zcrx_conn_add(queue, fd, NULL, &conn) == 1 && !fake_nic_nr_rules());
	EXPECT(strstr(zcrx_error(), "port"));
	EXPECT(close_queue());
	close(fd);
}

static void no_stranger(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	begin(FAKE_OURS);
	EXPECT(import());
	EXPECT(zcrx_conn_add(queue, fd, NULL, &conn) == 1 && !fake_nic_nr_rules());
	EXPECT(strstr(zcrx_error(), "peer"));
	EXPECT(close_queue());
	close(fd);
}

static bool loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int ret = ioctl(fd, SIOCSIFFLAGS, &ifr);

	close(fd);

	return !ret;
}

/* Whoever has a network namespace can be anybody there. */
static bool connect_elsewhere(void)
{
	int fds[ZCRX_SHARE_MAX_FDS], pair[2];
	char c = 'y';

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return false;
	if (!fork()) {
		close(pair[0]);
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) || !loopback_up() ||
		    !stream_connect(streams, 1) ||
		    zcrx_share_send(pair[1], &c, 1, &streams[0].fd, 1, 0))
			_exit(1);
		read(pair[1], &c, 1);
		_exit(0);
	}
	close(pair[1]);
	if (zcrx_share_receive(pair[0], &c, 1, fds, 0)) {
		close(pair[0]);
		return false;
	}
	streams[0].fd = fds[0];
	streams[0].peer = pair[0];	/* lets it go */

	return true;
}

static void no_other_namespace(void)
{
	begin(FAKE_OURS);
	if (!connect_elsewhere())
		SKIP("there can't be another network namespace");
	EXPECT(import());
	EXPECT(add(0) == 1 && !fake_nic_nr_rules());
	EXPECT(strstr(zcrx_error(), "namespace"));
	EXPECT(close_queue());
	disconnect(1);
	EXPECT(wait(NULL) > 0);
}

/*
 * Refusals
 */

static bool refused(int ret, const char *why)
{
	struct zcrx_queue_opts opts;
	int real;

	init_opts(&opts);
	if (!start())
		return false;
	real = zcrx_import(&queue, sock, &opts);
	if (real != ret || !strstr(zcrx_error(), why) || queue)
		printf("# %d: %s\n", real, zcrx_error());
	close(sock);

	return real == ret && strstr(zcrx_error(), why) && !queue &&
	       exporter_ends(REFUSED);
}

static void not_allowed(void)
{
	begin(FAKE_OURS);
	ret_allow = -EACCES;
	EXPECT(refused(-EACCES, FAKE_NAME " is not for you"));
	/* Who may have the NIC may have its VLANs, and nobody else. */
	ifname = "eth0.5";
	EXPECT(refused(-EACCES, FAKE_NAME " is not for you"));
	EXPECT(!fake_nic->nr_steps);
}

static void refusals(void)
{
	begin(FAKE_OURS);
	fake_nic->ret_split = -EOPNOTSUPP;
	EXPECT(refused(-EOPNOTSUPP, FAKE_NAME));
	fake_nic->ret_split = 0;
	fake_nic->down = true;
	EXPECT(refused(-ENETDOWN, FAKE_NAME));
	fake_nic->down = false;
	fake_nic->nr_queues = 1;
	EXPECT(refused(-ENOSPC, FAKE_NAME));
	fake_nic->nr_queues = FAKE_QUEUES;
	kind = FAKE_NONE;
	EXPECT(refused(-EOPNOTSUPP, "no zero-copy receive"));
}

/* Kernels that have zero copy, and can't pass it on */
static void old_kernel(void)
{
	begin(FAKE_OLD_MAINLINE);
	EXPECT(refused(-EOPNOTSUPP, "can't pass a queue on"));
}

static void wrong_opts(void)
{
	struct zcrx_queue_opts opts;

	begin(FAKE_OURS);
	EXPECT(start());
	init_opts(&opts);
	opts.rxq = 1;
	EXPECT(zcrx_import(&queue, sock, &opts) == -EINVAL && !queue);
	init_opts(&opts);
	opts.mem = (void *)4096;
	EXPECT(zcrx_import(&queue, sock, &opts) == -EINVAL && !queue);
	init_opts(&opts);
	opts.chunk_size = 4096;
	EXPECT(zcrx_import(&queue, sock, &opts) == -EINVAL && !queue);
	init_opts(&opts);
	opts.backend = "no-such-back-end";
	EXPECT(zcrx_import(&queue, sock, &opts) == -EINVAL && !queue);
	init_opts(&opts);
	opts.backend = "copy";
	EXPECT(zcrx_import(&queue, sock, &opts) == -EOPNOTSUPP && !queue);
	close(sock);
	EXPECT(exporter_ends(REFUSED));
}

static void wrong_sockets(void)
{
	int file = open("/dev/null", O_RDWR | O_CLOEXEC), pair[2];

	begin(FAKE_OURS);
	EXPECT(zcrx_import(&queue, file, NULL) == -ENOTSOCK);
	EXPECT(zcrx_export(file, allow, &ret_allow) == -ENOTSOCK);
	EXPECT(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	EXPECT(zcrx_import(&queue, pair[0], NULL) == -EINVAL);
	EXPECT(zcrx_export(pair[1], allow, &ret_allow) == -EINVAL);
	close(pair[0]);
	close(pair[1]);
	close(file);
}

/*
 * Hostile importers
 */

static bool answered(int ret)
{
	int fds[ZCRX_SHARE_MAX_FDS] = { -1, -1 };
	struct zcrx_share_answer answer;
	struct timeval limit = { .tv_sec = 10 };

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));

	return !zcrx_share_receive(sock, &answer, sizeof(answer), fds, 0) &&
	       answer.ret == ret && *answer.text && fds[0] < 0;
}

/* Told why, in one sentence, and that is all there is */
static bool turned_away(const void *msg, size_t size, const int *fds,
			unsigned int nr_fds)
{
	bool ok;

	ok = start() && !zcrx_share_send(sock, msg, size, fds, nr_fds, 0) &&
	     answered(-EPROTO) && exporter_ends(REFUSED) &&
	     !fake_nic->nr_steps;
	close(sock);

	return ok;
}

static const struct zcrx_share_request good_request = {
	.version	= ZCRX_SHARE_VERSION,
	.op		= ZCRX_SHARE_OPEN,
	.ifname		= FAKE_NAME,
};

static void garbage(void)
{
	struct zcrx_share_request request;
	int files[2] = { STDIN_FILENO, STDERR_FILENO };

	begin(FAKE_OURS);
	EXPECT(turned_away("GET / HTTP/1.0\r\n\r\n", 18, NULL, 0));
	memset(&request, 0xff, sizeof(request));
	EXPECT(turned_away(&request, sizeof(request), NULL, 0));
	EXPECT(turned_away(&request, sizeof(request), files, 2));
	request = good_request;
	EXPECT(turned_away(&request, sizeof(request) - 1, NULL, 0));
	EXPECT(turned_away(&request, sizeof(request), files, 1));
	request.version++;
	EXPECT(turned_away(&request, sizeof(request), files, 2));
	request = good_request;
	request.op = ZCRX_SHARE_STEER;
	EXPECT(turned_away(&request, sizeof(request), files, 1));
	request = good_request;
	memset(request.ifname, 'x', sizeof(request.ifname));
	EXPECT(turned_away(&request, sizeof(request), NULL, 0));
	request = good_request;
	memset(request.backend, 'x', sizeof(request.backend));
	EXPECT(turned_away(&request, sizeof(request), NULL, 0));
}

/* What means another interface somewhere, or another line in a log */
static void no_names(void)
{
	static const char *const names[] = {
		"eth0/../lo", "/", "eth0:1", "eth0\nroot", "eth0 ", "\033[2J",
		"eth0\x7f",
	};
	struct zcrx_share_request request;
	unsigned int i;

	begin(FAKE_OURS);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		request = good_request;
		snprintf(request.ifname, sizeof(request.ifname), "%s",
			 names[i]);
		EXPECT(turned_away(&request, sizeof(request), NULL, 0));
	}
	request = good_request;
	snprintf(request.backend, sizeof(request.backend), "a\nb");
	EXPECT(turned_away(&request, sizeof(request), NULL, 0));
}

/* Later, with a queue */
static void garbage_later(void)
{
	struct zcrx_share_request request = good_request;
	int files[2] = { STDIN_FILENO, STDERR_FILENO };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		begin(FAKE_OURS);
		EXPECT(import());
		request.op = i < 2 ? ZCRX_SHARE_STEER : ZCRX_SHARE_OPEN;
		EXPECT(!zcrx_share_send(sock, &request,
					sizeof(request) - (i == 3), files,
					i == 1 ? 2 : 0, 0));
		EXPECT(answered(-EPROTO) && exporter_ends(SERVED));
		EXPECT(says(zcrx_queue_close(queue)));
	}
}

/* What is no socket is not steered, and that is all. */
static void wrong_file(void)
{
	struct zcrx_share_request request = good_request;
	int file = STDERR_FILENO;

	begin(FAKE_OURS);
	EXPECT(import());
	request.op = ZCRX_SHARE_STEER;
	EXPECT(!zcrx_share_send(sock, &request, sizeof(request), &file, 1, 0));
	EXPECT(answered(-ENOTSOCK));
	EXPECT(close_queue());
}

static void says_nothing(void)
{
	begin(FAKE_OURS);
	EXPECT(start());
	close(sock);
	EXPECT(exporter_ends(REFUSED));
	EXPECT(start());
	EXPECT(answered(-ETIMEDOUT) && exporter_ends(REFUSED));
	close(sock);
	EXPECT(!fake_nic->nr_steps);
}

static void never_reads(void)
{
	struct zcrx_share_request request = good_request;
	unsigned int i;
	int ret = 0;

	begin(FAKE_OURS);
	EXPECT(import());
	request.op = ZCRX_SHARE_UNSTEER;
	for (i = 0; i < 100000 && !ret; i++)
		ret = zcrx_share_send(sock, &request, sizeof(request), NULL, 0,
				      0);
	EXPECT(ret == -EPIPE || ret == -ECONNRESET);
	EXPECT(exporter_ends(SERVED));
	EXPECT(says(zcrx_queue_close(queue)));
}

/* Before it reads the answer to its first request */
static void never_reads_at_all(void)
{
	begin(FAKE_OURS);
	EXPECT(start());
	EXPECT(!zcrx_share_send(sock, &good_request, sizeof(good_request),
				NULL, 0, 0));
	close(sock);
	EXPECT(exporter_ends(EITHER));
}

static void importer_dies(void)
{
	int ready[2];
	pid_t pid;
	char c;

	begin(FAKE_OURS);
	EXPECT(start() && !pipe(ready));
	pid = fork();
	if (!pid) {
		struct zcrx_queue_opts opts;

		init_opts(&opts);
		if (zcrx_import(&queue, sock, &opts) ||
		    !stream_connect(streams, 1) || add(0) ||
		    write(ready[1], "y", 1) != 1)
			_exit(1);
		pause();
	}
	close(sock);
	close(ready[1]);
	EXPECT(read(ready[0], &c, 1) == 1 && fake_nic_nr_rules() == 1);
	close(ready[0]);
	kill(pid, SIGKILL);
	EXPECT(waitpid(pid, NULL, 0) == pid);
	EXPECT(exporter_ends(SERVED));
}

/* It says goodbye, and keeps the file of the area. */
static void importer_keeps_memory(void)
{
	struct zcrx_share_request request = good_request;
	struct zcrx_share_answer answer;
	int fds[ZCRX_SHARE_MAX_FDS];
	char page[CHUNK] = "";
	struct stat st;

	begin(FAKE_OURS);
	request.mem_size = MEM_SIZE;
	EXPECT(start() && !zcrx_share_send(sock, &request, sizeof(request),
					   NULL, 0, 0));
	EXPECT(!zcrx_share_receive(sock, &answer, sizeof(answer), fds, 0));
	EXPECT(pwrite(fds[0], page, CHUNK, MEM_SIZE - CHUNK) == CHUNK);
	EXPECT(!fstat(fds[0], &st) && st.st_blocks);
	close(fds[1]);
	close(sock);
	EXPECT(exporter_ends(SERVED));
	EXPECT(!fstat(fds[0], &st) && !st.st_blocks && st.st_size == MEM_SIZE);
	close(fds[0]);
}

/*
 * It says goodbye, and keeps the ifq: then it keeps the queue, and nobody else
 * gets that, but nothing is steered to it any more.
 */
static void importer_keeps_ifq(void)
{
	begin(FAKE_OURS);
	EXPECT(import_and_connect(1) && says(add(0)));
	fake_nic->provider[QUEUE] = ZCRX_PROVIDER_IO_URING;
	EXPECT(says(zcrx_queue_close(queue)));
	EXPECT(no_rules_soon());
	/* Longer than a kernel takes */
	usleep(1500000);
	EXPECT(!waitpid(exporter, NULL, WNOHANG));
	EXPECT(!fake_nic_count(QUEUE) && fake_nic_nr_records());
	fake_nic->provider[QUEUE] = ZCRX_PROVIDER_NONE;
	EXPECT(exporter_ends(SERVED));
	disconnect(1);
}

/*
 * Exporters that are not what they should be
 */

/* It was there: what comes is copied. */
static void exporter_dies(void)
{
	begin(FAKE_OURS);
	EXPECT(import_and_connect(1));
	kill(exporter, SIGKILL);
	EXPECT(waitpid(exporter, NULL, 0) == exporter);
	EXPECT(add(0) == 1 && strstr(zcrx_error(), "can't be asked"));
	EXPECT(says(zcrx_queue_close(queue)));
	disconnect(1);
	EXPECT(says(zcrx_nic_reset(FAKE_NAME)) && as_found());
}

static int import_of(const struct zcrx_share_answer *answer, size_t size,
		     const int *fds, unsigned int nr_fds)
{
	int pair[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ||
	    zcrx_share_send(pair[1], answer, size, fds, nr_fds, 0))
		return 0;
	fake_ring_reset(FAKE_OURS);
	ret = zcrx_import(&queue, pair[0], NULL);
	close(pair[0]);
	close(pair[1]);

	return ret;
}

static void wrong_answers(void)
{
	struct zcrx_share_answer answer = {
		.version	= ZCRX_SHARE_VERSION,
		.mem_size	= MEM_SIZE,
		.refill_size	= MEM_SIZE,
		.rbuf_size	= MEM_SIZE,
		.refill_entries	= 64,
		.chunk_size	= CHUNK,
	};
	int fds[2] = { memfd_create("a", MFD_CLOEXEC | MFD_ALLOW_SEALING),
		       STDIN_FILENO };

	EXPECT(import_of(&answer, sizeof(answer), NULL, 0) == -EPROTO);
	EXPECT(import_of(&answer, sizeof(answer), fds, 1) == -EPROTO);
	EXPECT(import_of(&answer, 7, fds, 2) == -EPROTO);
	/* Too small; it can become smaller */
	EXPECT(import_of(&answer, sizeof(answer), fds, 2) == -EPROTO);
	EXPECT(!ftruncate(fds[0], MEM_SIZE));
	EXPECT(import_of(&answer, sizeof(answer), fds, 2) == -EPROTO);
	EXPECT(!fcntl(fds[0], F_ADD_SEALS, F_SEAL_SHRINK));
	/* No ifq */
	EXPECT(import_of(&answer, sizeof(answer), fds, 2) == -EINVAL);
	answer.chunk_size = 0;
	EXPECT(import_of(&answer, sizeof(answer), fds, 2) == -EPROTO);
	answer.version++;
	EXPECT(import_of(&answer, sizeof(answer), fds, 2) == -EPROTO);
	EXPECT(strstr(zcrx_error(), "version"));
	close(fds[0]);
}

/* As long as SO_RCVTIMEO says */
static void no_answer(void)
{
	struct timeval limit = { .tv_usec = 100000 };
	int pair[2];

	EXPECT(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	EXPECT(zcrx_import(&queue, pair[0], NULL) == -ETIMEDOUT);
	close(pair[0]);
	close(pair[1]);
}

static const struct ktap_case cases[] = {
	{ "receive by rbuf", receive_rbuf },
	{ "released by another thread", release_by_thread },
	{ "receive by cqe32", receive_cqe32 },
	{ "the exporter chooses", choose_nothing },
	{ "without a NIC", without_nic },
	{ "steering", steer },
	{ "a socket that is removed is closed by close()", closing_closes },
	{ "steering ends with the connection", connection_ends },
	{ "a socket that is kept when its connection has ended", ended_socket_is_kept },
	{ "a socket that is removed, and added again", once_more },
	{ "a socket that is connected anew", connected_anew },
	{ "a filter that can't be deleted", filter_stays },
	{ "the exporter can't have more files", no_more_files },
	{ "steering by filters only", by_filters_only },
	{ "steering by RSS if that is allowed", by_rss_if_allowed },
	{ "no steering of a port", no_port },
	{ "no steering of what is not connected", no_stranger },
	{ "no steering of another network namespace", no_other_namespace },
	{ "not allowed", not_allowed },
	{ "refusals by NIC and kernel", refusals },
	{ "a kernel that can't export", old_kernel },
	{ "wrong options", wrong_opts },
	{ "wrong sockets", wrong_sockets },
	{ "the importer talks garbage", garbage },
	{ "the importer talks garbage later", garbage_later },
	{ "the importer names what is no interface", no_names },
	{ "the importer sends what is no socket", wrong_file },
	{ "the importer says nothing", says_nothing },
	{ "the importer never reads", never_reads },
	{ "the importer goes at once", never_reads_at_all },
	{ "the importer dies", importer_dies },
	{ "the importer keeps the memory", importer_keeps_memory },
	{ "the importer keeps the ifq", importer_keeps_ifq },
	{ "the exporter dies", exporter_dies },
	{ "the exporter sends nonsense", wrong_answers },
	{ "the exporter does not answer", no_answer },
};

int main(void)
{
	int ret;

	fake_nic_init();
	ret = ktap_run(cases, ARRAY_SIZE(cases));
	fake_nic_exit();

	return ret;
}
