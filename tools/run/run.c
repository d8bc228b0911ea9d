// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * To be preloaded into any program: stands in for the functions of the C library
 * that read from a file descriptor. From a TCP socket it reads through zero copy,
 * and copies the bytes to where they are wanted.
 *
 * A call that zero copy can't serve, and one that does not look like a common
 * read, is made as it is. So nothing need be known of what the program does
 * between two calls: see receive.c, which holds no byte back.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "files.h"
#include "receive.h"

/* What the kernel reads at once, at most */
#define MAX_COUNT	0x7ffff000

/* Reads of less cost more through zero copy than the bytes are worth. */
#define MIN_COUNT	4096

/* Flags that zero copy can obey */
#define KNOWN_FLAGS	(MSG_DONTWAIT | MSG_NOSIGNAL)

#define RUN_EXPORT	__attribute__((visibility("default")))

typedef ssize_t read_fn(int fd, void *buf, size_t count);
typedef ssize_t recv_fn(int fd, void *buf, size_t count, int flags);
typedef ssize_t recvfrom_fn(int fd, void *buf, size_t count, int flags,
			    __SOCKADDR_ARG addr, socklen_t *addr_len);
typedef ssize_t recvmsg_fn(int fd, struct msghdr *msg, int flags);
typedef ssize_t readv_fn(int fd, const struct iovec *iov, int nr);
typedef int connect_fn(int fd, __CONST_SOCKADDR_ARG addr, socklen_t addr_len);
typedef int close_fn(int fd);
typedef int close_range_fn(unsigned int first, unsigned int last, int flags);
typedef void closefrom_fn(int first);
typedef ssize_t read_chk_fn(int fd, void *buf, size_t count, size_t size);
typedef ssize_t recv_chk_fn(int fd, void *buf, size_t count, size_t size,
			    int flags);
typedef ssize_t recvfrom_chk_fn(int fd, void *buf, size_t count, size_t size,
				int flags, __SOCKADDR_ARG addr,
				socklen_t *addr_len);

RUN_EXPORT read_fn read;
RUN_EXPORT recv_fn recv;
RUN_EXPORT recvfrom_fn recvfrom;
RUN_EXPORT recvmsg_fn recvmsg;
RUN_EXPORT readv_fn readv;
RUN_EXPORT connect_fn connect;
RUN_EXPORT close_fn close;
RUN_EXPORT close_range_fn close_range;
RUN_EXPORT closefrom_fn closefrom;
RUN_EXPORT read_chk_fn __read_chk;
RUN_EXPORT recv_chk_fn __recv_chk;
RUN_EXPORT recvfrom_chk_fn __recvfrom_chk;

/*
 * The real ones. Other libraries may read before we have looked for them:
 * memory allocators, which dlsym() would call again.
 */

static ssize_t early_read(int fd, void *buf, size_t count)
{
	return syscall(SYS_read, fd, buf, count);
}

static ssize_t early_recvfrom(int fd, void *buf, size_t count, int flags,
			      __SOCKADDR_ARG addr, socklen_t *addr_len)
{
	return syscall(SYS_recvfrom, fd, buf, count, flags, addr.__sockaddr__,
		       addr_len);
}

static ssize_t early_recv(int fd, void *buf, size_t count, int flags)
{
	return syscall(SYS_recvfrom, fd, buf, count, flags, NULL, NULL);
}

static ssize_t early_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return syscall(SYS_recvmsg, fd, msg, flags);
}

static ssize_t early_readv(int fd, const struct iovec *iov, int nr)
{
	return syscall(SYS_readv, fd, iov, nr);
}

static int early_connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t addr_len)
{
	return syscall(SYS_connect, fd, addr.__sockaddr__, addr_len);
}

static int early_close(int fd)
{
	return syscall(SYS_close, fd);
}

static int early_close_range(unsigned int first, unsigned int last, int flags)
{
	return syscall(SYS_close_range, first, last, flags);
}

static void early_closefrom(int first)
{
	early_close_range(first < 0 ? 0 : first, UINT_MAX, 0);
}

static struct {
	read_fn		*read;
	recv_fn		*recv;
	recvfrom_fn	*recvfrom;
	recvmsg_fn	*recvmsg;
	readv_fn	*readv;
	connect_fn	*connect;
	close_fn	*close;
	close_range_fn	*close_range;
	closefrom_fn	*closefrom;
} real = {
	.read		= early_read,
	.recv		= early_recv,
	.recvfrom	= early_recvfrom,
	.recvmsg	= early_recvmsg,
	.readv		= early_readv,
	.connect	= early_connect,
	.close		= early_close,
	.close_range	= early_close_range,
	.closefrom	= early_closefrom,
};

/*
 * Which calls are served
 */

static int socket_option(int fd, int option)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) ? -1 : value;
}

/*
 * Asked each time, as descriptors come and go. MPTCP has another number; what else
 * has this one, raw sockets for example, is refused by receive_prepare() or by the
 * kernel.
 */
static bool is_tcp(int fd)
{
	return socket_option(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

/*
 * A call that waits for more than a byte makes room for them as it reads. One that
 * peeks does not, and may wait for ever.
 */
static bool waits_for_many(int fd, int flags)
{
	return !(flags & MSG_DONTWAIT) && socket_option(fd, SO_RCVLOWAT) > 1;
}

/* Bytes that an iovec has room for, 0 if there is something wrong with it. */
static size_t room_of(const struct iovec *iov, size_t nr)
{
	size_t sum = 0, i;

	if (!iov || nr > IOV_MAX)
		return 0;
	for (i = 0; i < nr; i++) {
		if (iov[i].iov_len > MAX_COUNT - sum ||
		    (iov[i].iov_len && !iov[i].iov_base))
			return 0;
		sum += iov[i].iov_len;
	}

	return sum;
}

/*
 * Waits as the program's call would: as long, with the same end and the same
 * errors. Takes no byte, and copies none. Returns how many that call would read,
 * which ends where there is urgent data. Sockets that want to copy are not plain
 * TCP, but something on top of it, and say EFAULT.
 */
static ssize_t wait_for_bytes(int fd, size_t count, int flags)
{
	ssize_t ret = real.recv(fd, NULL, count, flags | MSG_PEEK | MSG_TRUNC);

	return ret < 0 && errno == EFAULT ? RECEIVE_PLAIN : ret;
}

/* The buffer that a position in an iovec is in, from there on */
static struct iovec buffer_at(const struct iovec *iov, size_t pos)
{
	while (pos >= iov->iov_len)
		pos -= iov++->iov_len;

	return (struct iovec){ .iov_base = (char *)iov->iov_base + pos,
			       .iov_len = iov->iov_len - pos };
}

/*
 * The bytes that were there, and that zero copy had no room for. A program may
 * wait for new ones after a read that was too short.
 */
static size_t read_rest(int fd, const struct iovec *iov, size_t done,
			size_t count)
{
	struct iovec to;
	ssize_t ret;

	while (done < count) {
		to = buffer_at(iov, done);
		if (to.iov_len > count - done)
			to.iov_len = count - done;
		ret = real.recv(fd, to.iov_base, to.iov_len, MSG_DONTWAIT);
		if (ret <= 0)
			break;
		done += ret;
	}

	return done;
}

/* Returns what the program's call shall return, or RECEIVE_PLAIN. */
static ssize_t receive_tcp(int fd, const struct iovec *iov, size_t count,
			   int flags)
{
	ssize_t there, ret;

	if (!receive_prepare(fd) || waits_for_many(fd, flags))
		return RECEIVE_PLAIN;
	there = wait_for_bytes(fd, count, flags);
	if (there <= 0)
		return there;
	ret = receive(fd, iov, there);
	if (ret < 0 && ret != RECEIVE_PLAIN) {
		errno = -ret;
		return -1;
	}

	return ret > 0 ? (ssize_t)read_rest(fd, iov, ret, there) : ret;
}

/* The same; errno changes only with an error that the program is told. */
static ssize_t try_receive(int fd, const struct iovec *iov, size_t nr, int flags)
{
	int saved = errno;
	ssize_t ret = RECEIVE_PLAIN;
	size_t count;

	if (receive_is_plain() || flags & ~KNOWN_FLAGS)
		return RECEIVE_PLAIN;

	count = room_of(iov, nr);
	if (count >= MIN_COUNT && is_tcp(fd))
		ret = receive_tcp(fd, iov, count, flags);
	if (ret != -1)
		errno = saved;

	return ret;
}

static ssize_t try_receive_buf(int fd, void *buf, size_t count, int flags)
{
	const struct iovec iov = { .iov_base = buf, .iov_len = count };

	return try_receive(fd, &iov, 1, flags);
}

/*
 * What the program calls
 */

ssize_t read(int fd, void *buf, size_t count)
{
	ssize_t ret = try_receive_buf(fd, buf, count, 0);

	return ret == RECEIVE_PLAIN ? real.read(fd, buf, count) : ret;
}

ssize_t recv(int fd, void *buf, size_t count, int flags)
{
	ssize_t ret = try_receive_buf(fd, buf, count, flags);

	return ret == RECEIVE_PLAIN ? real.recv(fd, buf, count, flags) : ret;
}

/* Who wants an address gets the kernel's answer. */
ssize_t recvfrom(int fd, void *buf, size_t count, int flags,
		 __SOCKADDR_ARG addr, socklen_t *addr_len)
{
	ssize_t ret = RECEIVE_PLAIN;

	if (!addr.__sockaddr__)
		ret = try_receive_buf(fd, buf, count, flags);
	if (ret != RECEIVE_PLAIN)
		return ret;

	return real.recvfrom(fd, buf, count, flags, addr, addr_len);
}

/* And who wants control messages, timestamps for example */
ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t ret = RECEIVE_PLAIN;

	if (msg && !msg->msg_name && !(msg->msg_control && msg->msg_controllen))
		ret = try_receive(fd, msg->msg_iov, msg->msg_iovlen, flags);
	if (ret == RECEIVE_PLAIN)
		return real.recvmsg(fd, msg, flags);
	if (ret >= 0) {
		msg->msg_flags = 0;
		msg->msg_controllen = 0;
	}

	return ret;
}

ssize_t readv(int fd, const struct iovec *iov, int nr)
{
	ssize_t ret = RECEIVE_PLAIN;

	if (nr > 0)
		ret = try_receive(fd, iov, nr, 0);

	return ret == RECEIVE_PLAIN ? real.readv(fd, iov, nr) : ret;
}

/* The first segments shall find the queue registered: see receive.c. */
int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t addr_len)
{
	int ret, saved;

	receive_reconnect(fd);
	ret = real.connect(fd, addr, addr_len);
	saved = errno;
	if ((!ret || errno == EINPROGRESS) && !receive_is_plain() && is_tcp(fd))
		receive_prepare(fd);
	errno = saved;

	return ret;
}

/*
 * Programs that close all numbers, as those do that go to the background, don't
 * mean ours. To them, nothing is open there.
 */

int close(int fd)
{
	if (files_among(fd, fd) < 0)
		return real.close(fd);
	errno = EBADF;

	return -1;
}

int close_range(unsigned int first, unsigned int last, int flags)
{
	int own = files_among(first, last), ret = 0;

	if (own < 0)
		return real.close_range(first, last, flags);
	if ((unsigned int)own > first)
		ret = real.close_range(first, own - 1, flags);
	if (!ret && (unsigned int)own < last)
		ret = close_range(own + 1, last, flags);

	return ret;
}

void closefrom(int first)
{
	if (first < 0)
		first = 0;
	if (files_among(first, UINT_MAX) < 0)
		real.closefrom(first);
	else
		close_range(first, UINT_MAX, 0);
}

/*
 * What it calls if it was compiled with _FORTIFY_SOURCE
 */

static void *real_chk(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

ssize_t __read_chk(int fd, void *buf, size_t count, size_t size)
{
	read_chk_fn *abort_by;

	if (count <= size)
		return read(fd, buf, count);
	abort_by = (read_chk_fn *)real_chk("__read_chk");

	return abort_by(fd, buf, count, size);
}

ssize_t __recv_chk(int fd, void *buf, size_t count, size_t size, int flags)
{
	recv_chk_fn *abort_by;

	if (count <= size)
		return recv(fd, buf, count, flags);
	abort_by = (recv_chk_fn *)real_chk("__recv_chk");

	return abort_by(fd, buf, count, size, flags);
}

ssize_t __recvfrom_chk(int fd, void *buf, size_t count, size_t size, int flags,
		       __SOCKADDR_ARG addr, socklen_t *addr_len)
{
	recvfrom_chk_fn *abort_by;

	if (count <= size)
		return recvfrom(fd, buf, count, flags, addr, addr_len);
	abort_by = (recvfrom_chk_fn *)real_chk("__recvfrom_chk");

	return abort_by(fd, buf, count, size, flags, addr, addr_len);
}

static void find(void *where, const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function)
		*(void **)where = function;
}

__attribute__((constructor))
static void run_init(void)
{
	const struct receive_settings settings = {
		.program	= "zcrx-run",
		.dev_option	= "--dev",
		.queue_option	= "--queue",
		.dev		= getenv("ZCRX_RUN_DEV"),
		.rxq		= getenv("ZCRX_RUN_QUEUE"),
		.stats		= getenv("ZCRX_RUN_STATS"),
	};

	find(&real.read, "read");
	find(&real.recv, "recv");
	find(&real.recvfrom, "recvfrom");
	find(&real.recvmsg, "recvmsg");
	find(&real.readv, "readv");
	find(&real.connect, "connect");
	find(&real.close, "close");
	find(&real.close_range, "close_range");
	find(&real.closefrom, "closefrom");
	receive_init(&settings);
}

__attribute__((destructor))
static void run_exit(void)
{
	receive_exit();
}
