// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Reads from TCP sockets in all ways, and says line by line what came of it:
 * "NAME: RESULT...". The lines must be the same whatever receives. With a NAME as
 * its argument, just that. With leave-child or family, it says nothing.
 *
 * Reads of less than 4 KiB are made as they are: so most have room for more.
 *
 * Compiled with _FORTIFY_SOURCE, so that the functions for that are called, too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Seconds for everything, enough for a slow machine */
#define TIME_LIMIT	100
#define MS		1000
#define STREAM_BYTES	1000000
#define BLOCK		5000

/* Both ends of a connection, and what is read from it */
struct pair {
	int	fd;
	int	peer;
};

static char buf[65536];

static void begin(const char *name)
{
	printf("%s:", name);
}

static void end(void)
{
	printf("\n");
	fflush(stdout);
}

/* A call's result; bytes that were read, if there are some to show */
static void show(ssize_t ret, const char *bytes)
{
	if (ret < 0)
		printf(" %s", strerrorname_np(errno));
	else
		printf(" %zd", ret);
	if (ret > 0 && bytes)
		printf("(%.*s)", (int)ret, bytes);
}

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_on(struct sockaddr *addr, socklen_t *len)
{
	int fd = socket(addr->sa_family, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, addr, *len) || listen(fd, 1) ||
	    getsockname(fd, addr, len))
		die("listen");

	return fd;
}

static struct pair connect_to(struct sockaddr *addr, socklen_t len)
{
	int listener = listen_on(addr, &len);
	struct pair pair;

	pair.fd = socket(addr->sa_family, SOCK_STREAM, 0);
	if (connect(pair.fd, addr, len))
		die("connect");
	pair.peer = accept(listener, NULL, NULL);
	if (pair.peer < 0)
		die("accept");
	close(listener);

	return pair;
}

static struct pair make_pair(void)
{
	struct sockaddr_in addr = {
		.sin_family		= AF_INET,
		.sin_addr.s_addr	= htonl(INADDR_LOOPBACK),
	};

	return connect_to((struct sockaddr *)&addr, sizeof(addr));
}

static void close_pair(struct pair *pair)
{
	close(pair->fd);
	close(pair->peer);
}

static void put(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		die("send");
}

/* Bytes sent over loopback are there when send() returns, or soon after. */
static void await(int fd, int bytes)
{
	int there = 0, i;

	for (i = 0; i < 1000 && there < bytes; i++) {
		ioctl(fd, FIONREAD, &there);
		usleep(there < bytes ? MS : 0);
	}
}

static struct pair pair_with(const char *text)
{
	struct pair pair = make_pair();

	put(pair.peer, text);
	await(pair.fd, (int)strlen(text));

	return pair;
}

static unsigned char pattern(size_t pos)
{
	return pos ^ pos >> 8 ^ pos >> 16;
}

static struct pair pair_with_blocks(int nr)
{
	struct pair pair = make_pair();
	char block[BLOCK];
	int i;

	for (i = 0; i < BLOCK; i++)
		block[i] = pattern(i);
	for (i = 0; i < nr; i++)
		if (send(pair.peer, block, BLOCK, MSG_NOSIGNAL) != BLOCK)
			die("send");
	await(pair.fd, nr * BLOCK);

	return pair;
}

/* A read of a block */
static void show_block(ssize_t ret)
{
	ssize_t i = 0;

	while (i < ret && (unsigned char)buf[i] == pattern(i))
		i++;
	show(ret, NULL);
	if (i < ret)
		printf(" wrong at %zd", i);
}

/* A child that sends words, one each 100 ms */
static pid_t send_later(int fd, const char *const *words)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	for (; *words; words++) {
		usleep(100 * MS);
		put(fd, *words);
	}
	_exit(0);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void limit_waiting(int fd, int ms)
{
	struct timeval limit = { .tv_sec = ms / 1000,
				 .tv_usec = ms % 1000 * MS };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* Since @start, has a call waited so long? */
static void show_time(double start, int ms)
{
	printf(" %s", now() - start > (ms - 10) / 1e3 ? "in time" : "too early");
}

/*
 * Waiting
 */

static void sleep_in_epoll(int epfd)
{
	struct epoll_event event;
	double start = now();

	show(epoll_wait(epfd, &event, 1, 300), NULL);
	show_time(start, 300);
}

/* What the first connection and the first read bring about interrupts nothing. */
static void first_waits(void)
{
	struct pair pair = make_pair();
	int epfd = epoll_create1(0);
	double start = now();

	limit_waiting(pair.fd, 300);
	show(recv(pair.fd, buf, sizeof(buf), 0), buf);
	show_time(start, 300);
	sleep_in_epoll(epfd);
	put(pair.peer, "first");
	show(recv(pair.fd, buf, sizeof(buf), 0), buf);
	sleep_in_epoll(epfd);
	close(epfd);
	close_pair(&pair);
}

static void blocks(void)
{
	struct pair pair = make_pair();
	pid_t pid = send_later(pair.peer, (const char *[]){ "late", NULL });

	show(read(pair.fd, buf, sizeof(buf)), buf);
	waitpid(pid, NULL, 0);
	close_pair(&pair);
}

static void nonblocking(void)
{
	struct pair pair = make_pair();

	fcntl(pair.fd, F_SETFL, O_NONBLOCK);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	show(recv(pair.fd, buf, sizeof(buf), 0), buf);
	put(pair.peer, "now");
	await(pair.fd, 3);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	close_pair(&pair);
}

static void dontwait(void)
{
	struct pair pair = make_pair();

	show(recv(pair.fd, buf, sizeof(buf), MSG_DONTWAIT), buf);
	put(pair.peer, "now");
	await(pair.fd, 3);
	show(recv(pair.fd, buf, sizeof(buf), MSG_DONTWAIT), buf);
	show(recv(pair.fd, buf, sizeof(buf), MSG_DONTWAIT), buf);
	close_pair(&pair);
}

static void peeks(void)
{
	struct pair pair = pair_with("peeked");

	show(recv(pair.fd, buf, 4, MSG_PEEK), buf);
	show(recv(pair.fd, buf, sizeof(buf), MSG_PEEK), buf);
	show(recv(pair.fd, buf, sizeof(buf), 0), buf);
	close_pair(&pair);
}

static void waits_for_all(void)
{
	struct pair pair = make_pair();
	pid_t pid = send_later(pair.peer,
			       (const char *[]){ "one", "two", "three", NULL });

	show(recv(pair.fd, buf, 9, MSG_WAITALL), buf);
	show(recv(pair.fd, buf, 2, MSG_WAITALL), buf);
	waitpid(pid, NULL, 0);
	close_pair(&pair);
}

static void truncates(void)
{
	struct pair pair = pair_with("thrown away, and kept");

	strcpy(buf, "untouched");
	show(recv(pair.fd, buf, 13, MSG_TRUNC), NULL);
	printf(" %s", buf);
	show(recv(pair.fd, buf, sizeof(buf), 0), buf);
	close_pair(&pair);
}

static void times_out(void)
{
	struct pair pair = make_pair();
	double start = now();

	limit_waiting(pair.fd, 200);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	show_time(start, 200);
	put(pair.peer, "then");
	show(read(pair.fd, buf, sizeof(buf)), buf);
	close_pair(&pair);
}

static void low_water(void)
{
	struct pair pair = make_pair();
	int mark = 6;
	pid_t pid;

	setsockopt(pair.fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
	pid = send_later(pair.peer, (const char *[]){ "abc", "def", NULL });
	show(read(pair.fd, buf, sizeof(buf)), buf);
	waitpid(pid, NULL, 0);
	put(pair.peer, "g");
	await(pair.fd, 1);
	show(recv(pair.fd, buf, sizeof(buf), MSG_DONTWAIT), buf);
	close_pair(&pair);
}

/* It comes only as what came before is read. */
static void low_water_beyond_buffer(void)
{
	struct pair pair = make_pair();
	int mark = 12 * BLOCK, size = 1;	/* as small as can be */
	static char bytes[12 * BLOCK];
	double start = now();

	setsockopt(pair.fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
	setsockopt(pair.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	limit_waiting(pair.fd, 10000);
	if (send(pair.peer, bytes, mark, MSG_DONTWAIT) != mark)
		die("send");
	show(read(pair.fd, buf, sizeof(buf)), NULL);
	printf(" %s", now() - start < 9 ? "soon" : "too late");
	close_pair(&pair);
}

/*
 * The end, and errors
 */

static void end_of_stream(void)
{
	struct pair pair = pair_with("last");

	shutdown(pair.peer, SHUT_WR);
	show(read(pair.fd, buf, 3), buf);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	show(recv(pair.fd, buf, sizeof(buf), MSG_DONTWAIT), buf);
	close_pair(&pair);
}

static void shut_down(void)
{
	struct pair pair = pair_with("before");

	shutdown(pair.fd, SHUT_RD);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	close_pair(&pair);
}

static void reset(void)
{
	struct linger linger = { .l_onoff = 1 };
	struct pair pair = make_pair();

	setsockopt(pair.peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(pair.peer);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	close(pair.fd);
}

static void wrong_arguments(void)
{
	struct pair pair = pair_with("kept");
	struct iovec iov = { .iov_base = buf, .iov_len = SSIZE_MAX };
	struct iovec iovs[2] = { iov, iov };
	volatile int wrong_nr = -1;
	int fds[2], fd, no_fd = 99;
	char *nowhere = NULL;

	show(read(no_fd, buf, sizeof(buf)), buf);
	show(recv(pair.fd, nowhere, sizeof(buf), 0), buf);
	show(readv(pair.fd, iovs, 2), buf);
	show(readv(pair.fd, iovs, wrong_nr), buf);
	show(readv(pair.fd, iovs, 0), buf);
	show(read(pair.fd, buf, 0), buf);
	show(recv(pair.fd, buf, sizeof(buf), 0), buf);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	show(read(fd, buf, sizeof(buf)), buf);
	close(fd);
	if (pipe(fds))
		die("pipe");
	show(recv(fds[0], buf, sizeof(buf), 0), buf);
	close(fds[0]);
	close(fds[1]);
	close_pair(&pair);
}

static void keeps_errno(void)
{
	struct pair pair = pair_with("x");

	errno = EXDEV;
	show(read(pair.fd, buf, sizeof(buf)), buf);
	printf(" %s", strerrorname_np(errno));
	close_pair(&pair);
}

/*
 * Parts, and readiness
 */

static void parts(void)
{
	struct pair pair = pair_with_blocks(3);
	int i, left;

	for (i = 0; i < 3; i++) {
		show_block(read(pair.fd, buf, BLOCK));
		ioctl(pair.fd, FIONREAD, &left);
		printf(" left %d", left);
	}
	close_pair(&pair);
}

static int ready_by_select(int fd)
{
	struct timeval limit = { .tv_sec = 0 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);

	return select(fd + 1, &set, NULL, NULL, &limit);
}

static void small_reads(void)
{
	struct pair pair = pair_with("0123456789");

	show(read(pair.fd, buf, 4), buf);
	show(recv(pair.fd, buf, 4095, 0), buf);
	close_pair(&pair);
}

/* What is there comes by one read: programs take less for the end of it. */
static void all_at_once(void)
{
	struct iovec iov[2] = {
		{ .iov_base = buf, .iov_len = 7000 },
		{ .iov_base = buf + 7000, .iov_len = sizeof(buf) - 7000 },
	};
	struct pair pair = make_pair();
	char sent[20000];
	size_t i;

	for (i = 0; i < sizeof(sent); i++)
		sent[i] = pattern(i);
	for (i = 0; i < 8; i++) {
		if (send(pair.peer, sent, sizeof(sent), 0) != sizeof(sent))
			die("send");
		await(pair.fd, sizeof(sent));
		memset(buf, 0, sizeof(sent));
		show(readv(pair.fd, iov, 2), NULL);
		printf(" %s", memcmp(buf, sent, sizeof(sent)) ? "wrong" : "right");
	}
	close_pair(&pair);
}

static void readiness(void)
{
	struct pair pair = pair_with_blocks(2);
	struct pollfd pollfd = { .fd = pair.fd, .events = POLLIN };
	struct epoll_event event = { .events = EPOLLIN };
	int epfd = epoll_create1(0), i;

	epoll_ctl(epfd, EPOLL_CTL_ADD, pair.fd, &event);
	for (i = 0; i < 3; i++) {
		printf(" %d%d%d", poll(&pollfd, 1, 0), ready_by_select(pair.fd),
		       epoll_wait(epfd, &event, 1, 0));
		show_block(recv(pair.fd, buf, BLOCK, MSG_DONTWAIT));
	}
	close(epfd);
	close_pair(&pair);
}

static void edges(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct pair pair = pair_with_blocks(2);
	int epfd = epoll_create1(0), i;

	epoll_ctl(epfd, EPOLL_CTL_ADD, pair.fd, &event);
	for (i = 0; i < 2; i++) {
		printf(" %d", epoll_wait(epfd, &event, 1, 1000));
		while (recv(pair.fd, buf, BLOCK, MSG_DONTWAIT) > 0)
			;
		show(-1, NULL);
		printf(" %d", epoll_wait(epfd, &event, 1, 0));
		put(pair.peer, "d");
		await(pair.fd, 1);
	}
	close(epfd);
	close_pair(&pair);
}

static void urgent(void)
{
	struct pair pair = pair_with("ab");
	int i;

	send(pair.peer, "c", 1, MSG_OOB);
	put(pair.peer, "de");
	await(pair.fd, 5);
	for (i = 0; i < 3; i++)
		show(recv(pair.fd, buf, sizeof(buf), MSG_DONTWAIT), buf);
	show(recv(pair.fd, buf, 1, MSG_OOB), buf);
	close_pair(&pair);
}

/*
 * All functions
 */

static void vectors(void)
{
	struct pair pair = pair_with("onethreefive");
	char a[3], b[5], c[BLOCK];
	struct iovec iov[4] = {
		{ .iov_base = a, .iov_len = sizeof(a) },
		{ .iov_base = NULL, .iov_len = 0 },
		{ .iov_base = b, .iov_len = sizeof(b) },
		{ .iov_base = c, .iov_len = sizeof(c) },
	};

	show(readv(pair.fd, iov, 4), NULL);
	printf(" %.3s %.5s %.4s", a, b, c);
	close_pair(&pair);
}

static void show_message(const struct pair *pair, struct msghdr *msg, int flags)
{
	put(pair->peer, "ab");
	await(pair->fd, 2);
	show(recvmsg(pair->fd, msg, flags), buf);
	printf(" name %u control %zu flags %#x", msg->msg_namelen,
	       msg->msg_controllen, msg->msg_flags);
}

static void messages(void)
{
	struct pair pair = make_pair();
	struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_flags = 99,
			      .msg_namelen = 9, .msg_controllen = 8 };
	struct sockaddr_in addr;
	char control[64];

	show_message(&pair, &msg, 0);
	msg.msg_control = control;
	msg.msg_controllen = sizeof(control);
	show_message(&pair, &msg, MSG_DONTWAIT);
	msg.msg_name = &addr;
	msg.msg_namelen = sizeof(addr);
	show_message(&pair, &msg, 0);
	show_message(&pair, &msg, MSG_CMSG_CLOEXEC);
	show(recvmsg(pair.fd, &msg, MSG_DONTWAIT), buf);
	close_pair(&pair);
}

static void addresses(void)
{
	struct pair pair = pair_with_blocks(2);
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	show_block(recvfrom(pair.fd, buf, BLOCK, 0, NULL, NULL));
	show_block(recvfrom(pair.fd, buf, BLOCK, 0, (struct sockaddr *)&addr,
			    &len));
	printf(" %u", len);
	close_pair(&pair);
}

/* Into an object whose size is known, as much as only the program knows */
static void fortified(void)
{
	struct pair pair = pair_with_blocks(3);
	volatile size_t count = BLOCK;

	show_block(read(pair.fd, buf, count));
	show_block(recv(pair.fd, buf, count, 0));
	show_block(recvfrom(pair.fd, buf, count, 0, NULL, NULL));
	close_pair(&pair);
}

static void with_stdio(void)
{
	struct pair pair = pair_with_blocks(1);
	FILE *file;

	put(pair.peer, "a line\nand more");
	show_block(read(pair.fd, buf, BLOCK));
	file = fdopen(dup(pair.fd), "r");
	if (!file || !fgets(buf, sizeof(buf), file))
		die("fgets");
	printf(" %.6s", buf);
	fclose(file);
	put(pair.peer, "!");
	await(pair.fd, 1);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	close_pair(&pair);
}

static void ipv6(void)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6,
				     .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct pair pair;

	if (access("/proc/net/if_inet6", R_OK))
		return;
	pair = connect_to((struct sockaddr *)&addr, sizeof(addr));
	put(pair.peer, "six");
	show(read(pair.fd, buf, sizeof(buf)), buf);
	close_pair(&pair);
}

/*
 * Descriptors
 */

static void duplicates(void)
{
	struct pair pair = pair_with_blocks(2);
	int fd = dup(pair.fd);

	show_block(read(fd, buf, BLOCK));
	close(pair.fd);
	show_block(read(fd, buf, BLOCK));
	close(fd);
	close(pair.peer);
}

static void socket_of_other_kind(int number, int domain, int type)
{
	int fds[2];

	if (socketpair(domain, type, 0, fds) || dup2(fds[0], number) < 0)
		die("socketpair");
	put(fds[1], "unix");
	show(read(number, buf, sizeof(buf)), buf);
	show(recv(number, buf, sizeof(buf), MSG_DONTWAIT), buf);
	close(fds[0]);
	close(fds[1]);
}

/* The same number, which was TCP, is something else each time. */
static void numbers_change(void)
{
	struct pair pair = pair_with("tcp"), next;
	int number = pair.fd, fds[2];

	show(read(number, buf, sizeof(buf)), buf);
	if (pipe(fds) || dup2(fds[0], number) < 0 || write(fds[1], "pipe", 4) < 0)
		die("pipe");
	show(read(number, buf, sizeof(buf)), buf);
	close(fds[0]);
	close(fds[1]);
	socket_of_other_kind(number, AF_UNIX, SOCK_STREAM);
	socket_of_other_kind(number, AF_UNIX, SOCK_DGRAM);
	next = pair_with("again");
	dup2(next.fd, number);
	show(read(number, buf, sizeof(buf)), buf);
	close(next.fd);
	close(next.peer);
	close_pair(&pair);
}

static void read_one_more(void)
{
	struct pair pair = pair_with("still");

	show(read(pair.fd, buf, sizeof(buf)), buf);
	show(close_range(pair.fd, pair.fd, 0), NULL);
	show(read(pair.fd, buf, sizeof(buf)), NULL);
	close(pair.peer);
}

/* What programs do that go to the background, in all ways */
static void all_closed(void)
{
	struct pair pair = pair_with("before");
	int fd;

	show(read(pair.fd, buf, sizeof(buf)), buf);
	for (fd = 3; fd < 1024; fd++)
		close(fd);
	show(close(700), NULL);
	read_one_more();
	show(close_range(3, UINT_MAX, 0), NULL);
	read_one_more();
	closefrom(3);
	read_one_more();
	closefrom(600);
	show(close_range(9, 3, 0), NULL);
}

/* A number that was not open to the program is that of an io_uring of its own. */
static void numbers_taken(void)
{
	struct io_uring_params params = { .flags = 0 };
	int ring = syscall(SYS_io_uring_setup, 1, &params), fd, nr = 0;
	struct pair pair = pair_with("beside");

	for (fd = 100; fd < 1024; fd++)
		dup2(ring, fd);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	for (fd = 100; fd < 1024; fd++)
		nr += !close(fd);
	printf(" closed %d", nr);
	close(ring);
	close_pair(&pair);
}

/* The lowest number that is free is the one that a program gets. */
static void lowest_number(void)
{
	struct pair pair = pair_with("x");
	int before = dup(0), after;

	close(before);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	after = dup(0);
	close(after);
	printf(" %s", before == after ? "same" : "taken");
	printf(" %s", pair.peer == pair.fd + 1 ? "next" : "taken");
	close_pair(&pair);
}

/*
 * Processes, threads, signals
 */

static void forks(void)
{
	struct pair pair = pair_with_blocks(3), other = pair_with("child alone");
	pid_t pid;

	show_block(read(pair.fd, buf, BLOCK));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		show_block(read(pair.fd, buf, BLOCK));
		show(read(other.fd, buf, sizeof(buf)), buf);
		fflush(stdout);
		exit(0);
	}
	waitpid(pid, NULL, 0);
	show_block(read(pair.fd, buf, BLOCK));
	close_pair(&pair);
	close_pair(&other);
}

static void executes(void)
{
	struct pair pair = pair_with_blocks(1);
	pid_t pid;

	put(pair.peer, "cat");
	show_block(read(pair.fd, buf, BLOCK));
	printf(" ");
	fflush(stdout);
	shutdown(pair.peer, SHUT_WR);
	pid = vfork();
	if (!pid) {
		dup2(pair.fd, 0);
		execlp("cat", "cat", NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	close_pair(&pair);
}

/* Whoever is connected to a program does not get what we have to say. */
static void stderr_is_socket(void)
{
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		die("socketpair");
	pid = fork();
	if (!pid) {
		dup2(fds[1], STDERR_FILENO);
		execl("/proc/self/exe", "semantics", "family", NULL);
		_exit(1);
	}
	close(fds[1]);
	waitpid(pid, NULL, 0);
	show(recv(fds[0], buf, sizeof(buf), 0), buf);
	close(fds[0]);
}

static void *send_stream(void *arg)
{
	const struct pair *pair = arg;
	char block[5000];
	size_t pos = 0, i;

	while (pos < STREAM_BYTES) {
		for (i = 0; i < sizeof(block); i++)
			block[i] = pattern(pos + i);
		if (send(pair->peer, block, sizeof(block), MSG_NOSIGNAL) !=
		    sizeof(block))
			break;
		pos += sizeof(block);
	}
	shutdown(pair->peer, SHUT_WR);

	return NULL;
}

static ssize_t read_somehow(int fd, char *to, size_t room, unsigned int *seed)
{
	size_t count = 1 + rand_r(seed) % room;
	struct iovec iov[2] = {
		{ .iov_base = to, .iov_len = count / 2 },
		{ .iov_base = to + count / 2, .iov_len = count - count / 2 },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	switch (rand_r(seed) % 7) {
	case 0: return read(fd, to, count);
	case 1: return recvmsg(fd, &msg, 0);
	case 2: return readv(fd, iov, 2);
	case 3: return recv(fd, to, count % 2000 + 1, MSG_WAITALL);
	case 4: recv(fd, to, count, MSG_PEEK);
		return recv(fd, to, count, 0);
	case 5: return recvfrom(fd, to, count, 0, NULL, NULL);
	default: return recv(fd, to, count % 100 + 1, 0);
	}
}

/* Returns how many bytes came, wrong ones not counted. */
static size_t receive_stream(int fd, unsigned int seed)
{
	size_t pos = 0, good = 0;
	char block[40000];
	ssize_t ret, i;

	while ((ret = read_somehow(fd, block, sizeof(block), &seed)) > 0) {
		for (i = 0; i < ret; i++)
			good += (unsigned char)block[i] == pattern(pos + i);
		pos += ret;
	}

	return ret ? 0 : good;
}

static void *one_stream(void *arg)
{
	struct pair pair = make_pair();
	pthread_t sender;
	size_t good;

	pthread_create(&sender, NULL, send_stream, &pair);
	good = receive_stream(pair.fd, (uintptr_t)arg);
	pthread_join(sender, NULL);
	close_pair(&pair);

	return (void *)good;
}

static void stream(void)
{
	printf(" %zu", (size_t)one_stream((void *)1));
}

static void threads(void)
{
	pthread_t thread[4];
	void *good;
	size_t i;

	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, one_stream, (void *)(i + 2));
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], &good);
		printf(" %zu", (size_t)good);
	}
}

static void *count_bytes(void *arg)
{
	const struct pair *pair = arg;
	char block[BLOCK];
	size_t sum = 0;
	ssize_t ret;

	while ((ret = read(pair->fd, block, sizeof(block))) > 0)
		sum += ret;

	return (void *)sum;
}

static void shared_socket(void)
{
	struct pair pair = make_pair();
	pthread_t sender, thread[3];
	size_t sum = 0, i;
	void *part;

	pthread_create(&sender, NULL, send_stream, &pair);
	for (i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, count_bytes, &pair);
	for (i = 0; i < 3; i++) {
		pthread_join(thread[i], &part);
		sum += (size_t)part;
	}
	pthread_join(sender, NULL);
	printf(" %zu", sum);
	close_pair(&pair);
}

/* Memory that is not there until the file is closed; returns that, or -1. */
static int make_slow(void *mem, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range	= { .start = (uintptr_t)mem, .len = size },
		.mode	= UFFDIO_REGISTER_MODE_MISSING,
	};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api) &&
	    !ioctl(uffd, UFFDIO_REGISTER, &reg))
		return uffd;

	return -1;
}

struct reader {
	int		fd;
	char		*to;
	ssize_t		ret;
	pthread_t	thread;
};

static void *read_block(void *arg)
{
	struct reader *reader = arg;

	reader->ret = read(reader->fd, reader->to, BLOCK);

	return NULL;
}

/* Returns false if it has not read after some seconds. */
static bool has_read(const struct reader *reader, int seconds)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += seconds;

	return !pthread_timedjoin_np(reader->thread, NULL, &limit);
}

/* A thread that has to wait for its memory does not hold up another one. */
static void slow_memory(void)
{
	size_t size = 2 * sysconf(_SC_PAGESIZE);
	char *slow = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pair first = pair_with_blocks(1), second = pair_with_blocks(1);
	struct reader reader = { .fd = first.fd, .to = slow };
	struct reader other = { .fd = second.fd, .to = buf };
	int uffd = make_slow(slow, size);
	struct uffd_msg msg;
	bool done;

	pthread_create(&reader.thread, NULL, read_block, &reader);
	if (uffd >= 0 && read(uffd, &msg, sizeof(msg)) < 0)
		die("userfaultfd");
	pthread_create(&other.thread, NULL, read_block, &other);
	done = has_read(&other, 3);
	printf(" %s", done ? "goes on" : "waits");
	close(uffd);
	pthread_join(reader.thread, NULL);
	if (!done)
		pthread_join(other.thread, NULL);
	show(reader.ret, NULL);
	show_block(other.ret);
	munmap(slow, size);
	close_pair(&first);
	close_pair(&second);
}

static void cancelled(void)
{
	struct pair pair = make_pair(), next = pair_with("after");
	pthread_t thread;
	void *result;

	pthread_create(&thread, NULL, count_bytes, &pair);
	usleep(100 * MS);
	pthread_cancel(thread);
	pthread_join(thread, &result);
	printf(" %s", result == PTHREAD_CANCELED ? "cancelled" : "went on");
	show(read(next.fd, buf, sizeof(buf)), buf);
	close_pair(&pair);
	close_pair(&next);
}

static sigjmp_buf jump;
static struct pair handled;

static void on_signal(int signum)
{
	char block[BLOCK];

	if (signum == SIGUSR2)
		siglongjmp(jump, 1);
	if (signum == SIGUSR1 && read(handled.fd, block, BLOCK) == BLOCK)
		printf(" in handler");
}

/* A signal comes after 100 ms. */
static pid_t signal_later(int signum, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
	pid_t pid;

	sigaction(signum, &action, NULL);
	pid = fork();
	if (pid)
		return pid;
	usleep(100 * MS);
	kill(getppid(), signum);
	_exit(0);
}

static void interrupted(void)
{
	struct pair pair = make_pair();
	pid_t pid, sender;

	handled = pair_with_blocks(2);
	pid = signal_later(SIGUSR1, 0);
	show(read(pair.fd, buf, sizeof(buf)), buf);
	waitpid(pid, NULL, 0);
	pid = signal_later(SIGUSR1, SA_RESTART);
	sender = send_later(pair.peer, (const char *[]){ "", "", "late", NULL });
	show(read(pair.fd, buf, sizeof(buf)), buf);
	waitpid(pid, NULL, 0);
	waitpid(sender, NULL, 0);
	close_pair(&handled);
	close_pair(&pair);
}

static void jumps_out(void)
{
	struct pair pair = make_pair();
	pid_t pid = signal_later(SIGUSR2, SA_NODEFER);

	if (!sigsetjmp(jump, 1))
		show(read(pair.fd, buf, sizeof(buf)), buf);
	else
		printf(" jumped");
	waitpid(pid, NULL, 0);
	put(pair.peer, "after");
	show(read(pair.fd, buf, sizeof(buf)), buf);
	close_pair(&pair);
}

static const struct {
	const char	*name;
	void		(*run)(void);
} cases[] = {
	{ "waiting after the first connection", first_waits },
	{ "blocks until there is something", blocks },
	{ "O_NONBLOCK", nonblocking },
	{ "MSG_DONTWAIT", dontwait },
	{ "MSG_PEEK", peeks },
	{ "MSG_WAITALL", waits_for_all },
	{ "MSG_TRUNC", truncates },
	{ "SO_RCVTIMEO", times_out },
	{ "SO_RCVLOWAT", low_water },
	{ "SO_RCVLOWAT beyond SO_RCVBUF", low_water_beyond_buffer },
	{ "end of stream", end_of_stream },
	{ "shutdown by oneself", shut_down },
	{ "connection reset", reset },
	{ "wrong arguments", wrong_arguments },
	{ "errno is kept", keeps_errno },
	{ "reads of a part", parts },
	{ "small reads", small_reads },
	{ "all that is there", all_at_once },
	{ "poll, select, epoll", readiness },
	{ "edge-triggered epoll", edges },
	{ "urgent data", urgent },
	{ "readv", vectors },
	{ "recvmsg", messages },
	{ "recvfrom", addresses },
	{ "_FORTIFY_SOURCE", fortified },
	{ "stdio beside read", with_stdio },
	{ "IPv6", ipv6 },
	{ "dup and close", duplicates },
	{ "a number that changes its meaning", numbers_change },
	{ "the lowest free number", lowest_number },
	{ "fork", forks },
	{ "exec", executes },
	{ "stderr is a socket", stderr_is_socket },
	{ "a stream", stream },
	{ "streams in threads", threads },
	{ "threads that share a socket", shared_socket },
	{ "a thread whose memory is slow", slow_memory },
	{ "a cancelled thread", cancelled },
	{ "signals", interrupted },
	{ "a jump out of a handler", jumps_out },
	{ "all descriptors closed", all_closed },
	{ "numbers that the program takes", numbers_taken },
};

/* Ends, and leaves a child that reads nothing */
static int leave_child(void)
{
	struct pair pair = pair_with("x");

	if (read(pair.fd, buf, sizeof(buf)) != 1)
		return 1;
	if (!fork()) {
		alarm(TIME_LIMIT);
		pause();
	}

	return 0;
}

/* Reads, and so do its child and the child's child. */
static int read_in_family(int generations)
{
	struct pair pair = pair_with("x");
	int status = 0;

	if (read(pair.fd, buf, sizeof(buf)) != 1)
		return 1;
	close_pair(&pair);
	if (generations == 1)
		return 0;
	if (!fork())
		return read_in_family(generations - 1);
	wait(&status);

	return status != 0;
}

int main(int argc, char **argv)
{
	size_t i;

	alarm(TIME_LIMIT);
	if (argc > 1 && !strcmp(argv[1], "leave-child"))
		return leave_child();
	if (argc > 1 && !strcmp(argv[1], "family"))
		return read_in_family(3);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (argc > 1 && strcmp(argv[1], cases[i].name))
			continue;
		begin(cases[i].name);
		cases[i].run();
		end();
	}

	return 0;
}
