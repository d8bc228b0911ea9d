// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <linux/net_tstamp.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "plain.h"
#include "uring.h"

static ssize_t result(ssize_t ret)
{
	return ret < 0 ? -errno : ret;
}

/*
 * recv()
 */

static ssize_t recv_read(struct flow *flow, unsigned char *buf)
{
	return result(recv(flow->fd, buf, PLAIN_SIZE, 0));
}

const struct plain_way plain_recv = { .read = recv_read };

/*
 * readv(), into pieces whose sizes fit to nothing
 */

#define NR_PIECES	7

static void cut(struct iovec *iov, unsigned char *buf)
{
	static const unsigned int sizes[NR_PIECES] = {
		1, 777, 4096, 13, 1449, 65537, 3,
	};
	unsigned int i;

	for (i = 0; i < NR_PIECES; i++) {
		iov[i].iov_base = buf;
		iov[i].iov_len = sizes[i];
		buf += sizes[i];
	}
}

static ssize_t readv_read(struct flow *flow, unsigned char *buf)
{
	struct iovec iov[NR_PIECES];

	cut(iov, buf);

	return result(readv(flow->fd, iov, NR_PIECES));
}

const struct plain_way plain_readv = { .read = readv_read };

/*
 * recvmsg() with what the kernel has to say of the bytes: when they came, and
 * how many more are there
 */

static unsigned int nr_stamps;

static bool ask_for_stamps(int fd)
{
	int stamps = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

	return !setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps,
			   sizeof(stamps));
}

/* A datagram from the socket to itself: did it get a stamp? */
static bool echo_has_stamp(int fd)
{
	char control[256];
	struct msghdr msg = {
		.msg_control	= control,
		.msg_controllen	= sizeof(control),
	};

	return !send(fd, NULL, 0, 0) && !recvmsg(fd, &msg, 0) &&
	       msg.msg_controllen;
}

/*
 * The kernel begins to stamp packets a while after the first socket asked for it,
 * and may have received a whole flow by then. Returns a socket that has it go on,
 * or -1.
 */
static int start_stamps(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	unsigned int tries;
	int fd;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	plain_set_timeout(fd);
	if (!bind(fd, (struct sockaddr *)&addr, len) &&
	    !getsockname(fd, (struct sockaddr *)&addr, &len) &&
	    !connect(fd, (struct sockaddr *)&addr, len) && ask_for_stamps(fd)) {
		for (tries = 0; tries < PLAIN_STALL_S * 100; tries++) {
			if (echo_has_stamp(fd))
				return fd;
			usleep(10000);
		}
	}
	close(fd);

	return -1;
}

static bool recvmsg_open(struct flow *flow)
{
	static int stamped = -1;
	int on = 1;

	nr_stamps = 0;
	if (stamped < 0)
		stamped = start_stamps();

	return stamped >= 0 && ask_for_stamps(flow->fd) &&
	       !setsockopt(flow->fd, IPPROTO_TCP, TCP_INQ, &on, sizeof(on));
}

static bool stamp_is_right(const struct cmsghdr *cmsg)
{
	struct timespec stamps[3];
	struct timespec now;

	memcpy(stamps, CMSG_DATA(cmsg), sizeof(stamps));
	clock_gettime(CLOCK_REALTIME, &now);
	nr_stamps++;

	return stamps[0].tv_sec <= now.tv_sec &&
	       stamps[0].tv_sec > now.tv_sec - 2 * PLAIN_STALL_S;
}

/* The end of the stream may count as a byte. */
static bool inq_is_right(const struct flow *flow, const struct cmsghdr *cmsg)
{
	int inq, later;

	memcpy(&inq, CMSG_DATA(cmsg), sizeof(inq));
	if (ioctl(flow->fd, FIONREAD, &later))
		return false;

	return inq >= 0 && inq <= later + 1;
}

static ssize_t recvmsg_read(struct flow *flow, unsigned char *buf)
{
	union {
		char		buf[256];
		struct cmsghdr	align;
	} control;
	struct iovec iov[NR_PIECES];
	struct msghdr msg = {
		.msg_iov	= iov,
		.msg_iovlen	= NR_PIECES,
		.msg_control	= &control,
		.msg_controllen	= sizeof(control),
	};
	unsigned int nr_inq = 0;
	struct cmsghdr *cmsg;
	ssize_t n;

	cut(iov, buf);
	n = recvmsg(flow->fd, &msg, 0);
	if (n <= 0)
		return result(n);
	if (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))
		return -EBADMSG;
	for (cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg)) {
		if (cmsg->cmsg_level == SOL_SOCKET &&
		    cmsg->cmsg_type == SCM_TIMESTAMPING &&
		    !stamp_is_right(cmsg))
			return -EBADMSG;
		if (cmsg->cmsg_level == IPPROTO_TCP &&
		    cmsg->cmsg_type == TCP_CM_INQ) {
			nr_inq++;
			if (!inq_is_right(flow, cmsg))
				return -EBADMSG;
		}
	}

	return nr_inq == 1 ? n : -EBADMSG;
}

/* Packets that came before recvmsg_open() have no stamp. */
static bool recvmsg_close(struct flow *flow)
{
	return nr_stamps > 0;
}

const struct plain_way plain_recvmsg = {
	.open	= recvmsg_open,
	.read	= recvmsg_read,
	.close	= recvmsg_close,
};

/*
 * MSG_TRUNC: every other time the bytes are thrown away, and nothing is written
 */

#define TRUNC_SIZE	5000
#define UNTOUCHED	0xa5

static ssize_t trunc_read(struct flow *flow, unsigned char *buf)
{
	static unsigned char untouched[TRUNC_SIZE];
	static unsigned int turn;
	ssize_t n;

	if (turn++ % 2 || flow->got + TRUNC_SIZE > flow->bytes)
		return result(recv(flow->fd, buf, TRUNC_SIZE, 0));

	memset(untouched, UNTOUCHED, TRUNC_SIZE);
	memset(buf, UNTOUCHED, TRUNC_SIZE);
	n = recv(flow->fd, buf, TRUNC_SIZE, MSG_TRUNC);
	if (n <= 0)
		return result(n);
	if (memcmp(buf, untouched, TRUNC_SIZE))
		return -EBADMSG;
	/* As if they had been read; the next ones are, and tell. */
	pattern_fill(buf, n, flow->seed, flow->got);

	return n;
}

const struct plain_way plain_trunc = { .read = trunc_read };

/*
 * MSG_SOCK_DEVMEM: an area is no device's memory. Bytes are copied, and nothing is
 * said to be where it can't be read.
 */

#ifndef MSG_SOCK_DEVMEM
#define MSG_SOCK_DEVMEM	0x2000000
#endif

static ssize_t devmem_read(struct flow *flow, unsigned char *buf)
{
	struct iovec iov = { .iov_base = buf, .iov_len = PLAIN_SIZE };
	char control[256];
	struct msghdr msg = {
		.msg_iov	= &iov,
		.msg_iovlen	= 1,
		.msg_control	= control,
		.msg_controllen	= sizeof(control),
	};
	ssize_t n = recvmsg(flow->fd, &msg, MSG_SOCK_DEVMEM);

	if (n >= 0 && msg.msg_controllen) {
		ksft_print_msg("MSG_SOCK_DEVMEM gave %zu bytes of control\n",
			       msg.msg_controllen);
		return -EBADMSG;
	}

	return result(n);
}

const struct plain_way plain_devmem = { .read = devmem_read };

/*
 * MSG_WAITALL: less than asked for comes at the end only
 */

#define WAITALL_SIZE	100003

static ssize_t waitall_read(struct flow *flow, unsigned char *buf)
{
	__u64 left = flow->bytes + PATTERN_DIGEST_SIZE - flow->got;
	ssize_t n = recv(flow->fd, buf, WAITALL_SIZE, MSG_WAITALL);

	if (n >= 0 && (__u64)n != (left < WAITALL_SIZE ? left : WAITALL_SIZE)) {
		ksft_print_msg("MSG_WAITALL gave %zd bytes\n", n);
		return -EBADMSG;
	}

	return result(n);
}

const struct plain_way plain_waitall = { .read = waitall_read };

/*
 * MSG_PEEK: looks at bytes that stay. Half of them are taken, and the others
 * looked at once more.
 */

#define PEEK_SIZE	(64 << 10)

static ssize_t peek_read(struct flow *flow, unsigned char *buf)
{
	static unsigned char peeked[PEEK_SIZE];
	ssize_t n;

	n = recv(flow->fd, peeked, PEEK_SIZE, MSG_PEEK);
	if (n <= 0)
		return result(n);
	if (!flow_check(flow, peeked, n, flow->got))
		return -EBADMSG;
	n = recv(flow->fd, buf, (n + 1) / 2, 0);
	if (n > 0 && memcmp(buf, peeked, n))
		return -EBADMSG;

	return result(n);
}

const struct plain_way plain_peek = { .read = peek_read };

/*
 * TCP_ZEROCOPY_RECEIVE: pages of the stack are mapped, what can't be is copied
 */

#define MAP_SIZE	(128 << 10)
#define COPY_SIZE	(32 << 10)

static struct {
	unsigned char	*map;
	unsigned int	len;
	__u64		off;
} mapped;

static __u64 mapped_bytes;

static bool zerocopy_open(struct flow *flow)
{
	memset(&mapped, 0, sizeof(mapped));
	mapped.map = mmap(NULL, MAP_SIZE, PROT_READ, MAP_SHARED, flow->fd, 0);

	return mapped.map != MAP_FAILED;
}

/* What was mapped last must be there still, whatever the queue did since. */
static bool mapping_is_right(const struct flow *flow)
{
	return flow_check(flow, mapped.map, mapped.len, mapped.off);
}

static ssize_t zerocopy_read(struct flow *flow, unsigned char *buf)
{
	static unsigned char copy[COPY_SIZE];
	struct pollfd pfd = { .fd = flow->fd, .events = POLLIN };
	struct tcp_zerocopy_receive zc = {
		.address		= (unsigned long)mapped.map,
		.length			= MAP_SIZE,
		.copybuf_address	= (unsigned long)copy,
		.copybuf_len		= COPY_SIZE,
	};
	socklen_t len = sizeof(zc);
	ssize_t n;

	if (!mapping_is_right(flow))
		return -EBADMSG;
	if (poll(&pfd, 1, PLAIN_STALL_S * 1000) < 1)
		return -ETIME;
	if (getsockopt(flow->fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len)) {
		/* That is the end of the stream: recv() tells if it is true. */
		if (errno == EIO)
			return result(recv(flow->fd, buf, 1, MSG_DONTWAIT));
		return -errno;
	}
	if (zc.err)
		return zc.err;
	if (zc.length > MAP_SIZE || zc.copybuf_len < 0 ||
	    zc.copybuf_len > COPY_SIZE)
		return -EBADMSG;

	mapped.len = zc.length;
	mapped.off = flow->got;
	mapped_bytes += zc.length;
	memcpy(buf, mapped.map, zc.length);
	memcpy(buf + zc.length, copy, zc.copybuf_len);
	n = zc.length + zc.copybuf_len;
	if (n)
		return n;

	return result(recv(flow->fd, buf, zc.recv_skip_hint ?: PLAIN_SIZE,
			   MSG_DONTWAIT));
}

static bool zerocopy_close(struct flow *flow)
{
	bool right = mapping_is_right(flow);

	munmap(mapped.map, MAP_SIZE);

	return right;
}

const struct plain_way plain_zerocopy = {
	.open	= zerocopy_open,
	.read	= zerocopy_read,
	.close	= zerocopy_close,
};

/**
 * plain_mapped_bytes() - how much has come as mapped pages?
 *
 * Return: in bytes, of all flows.
 */
__u64 plain_mapped_bytes(void)
{
	return mapped_bytes;
}

/*
 * io_uring, the ordinary kind
 */

static struct uring uring;

static bool io_uring_open(struct flow *flow)
{
	return !uring_init(&uring, 0, 128);
}

static ssize_t io_uring_read(struct flow *flow, unsigned char *buf)
{
	struct io_uring_sqe *sqe = uring_sqe(&uring);
	struct io_uring_cqe cqe;
	__u64 extra[2];
	int ret;

	sqe->opcode = IORING_OP_RECV;
	sqe->fd = flow->fd;
	sqe->addr = (unsigned long)buf;
	sqe->len = PLAIN_SIZE;
	ret = uring_enter(&uring, 1, PLAIN_STALL_S * 1000);
	if (ret)
		return ret;

	return uring_pop(&uring, &cqe, extra) ? cqe.res : -ETIME;
}

static bool io_uring_close(struct flow *flow)
{
	uring_exit(&uring);

	return true;
}

const struct plain_way plain_io_uring = {
	.open	= io_uring_open,
	.read	= io_uring_read,
	.close	= io_uring_close,
};

/*
 * TLS: the kernel decrypts
 */

static bool tls_open(struct flow *flow)
{
	struct tls12_crypto_info_aes_gcm_128 crypto = {
		.info.version		= TLS_1_2_VERSION,
		.info.cipher_type	= TLS_CIPHER_AES_GCM_128,
		.key			= PATTERN_TLS_KEY,
	};

	memcpy(crypto.salt, PATTERN_TLS_SALT, sizeof(crypto.salt));

	return !setsockopt(flow->fd, IPPROTO_TCP, TCP_ULP, "tls",
			   sizeof("tls")) &&
	       !setsockopt(flow->fd, SOL_TLS, TLS_RX, &crypto, sizeof(crypto));
}

/**
 * plain_has_tls() - can plain_tls be tried?
 *
 * Return: whether the kernel has TLS.
 */
bool plain_has_tls(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	ret = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls"));
	close(fd);

	/* Without a connection it says no in any case. */
	return !ret || errno == ENOTCONN;
}

/* A whole record is decrypted to where it is wanted, a part of one is not. */
static ssize_t tls_read(struct flow *flow, unsigned char *buf)
{
	static unsigned int turn;

	return result(recv(flow->fd, buf, turn++ % 2 ? PLAIN_SIZE : 5000, 0));
}

const struct plain_way plain_tls = {
	.open		= tls_open,
	.read		= tls_read,
	.special	= "tls",
};

/*
 * All of a flow
 */

/**
 * plain_connect() - ask the peer for a flow that can be received in such a way
 * @way: the way
 * @flow: filled in
 * @host: address of the peer
 * @bytes: how much it is to send
 * @write_size: in pieces of how much
 *
 * Return: 0 or a negative error.
 */
int plain_connect(const struct plain_way *way, struct flow *flow,
		  const char *host, __u64 bytes, size_t write_size)
{
	return flow_connect_special(flow, host, bytes, write_size,
				    way->special ?: "");
}

/**
 * plain_set_timeout() - have a socket that stalls fail
 * @fd: the socket
 */
void plain_set_timeout(int fd)
{
	struct timeval tv = { .tv_sec = PLAIN_STALL_S };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static char why[256];

static const char *fail(const struct flow *flow, const char *what)
{
	snprintf(why, sizeof(why), "%s after %llu of %llu bytes (seed %llu)",
		 what, flow->got, flow->bytes, flow->seed);

	return why;
}

/**
 * plain_read_all() - receive what is left of a flow
 * @flow: the flow
 * @way: how
 *
 * Return: NULL, or what is wrong.
 */
const char *plain_read_all(struct flow *flow, const struct plain_way *way)
{
	static unsigned char buf[PLAIN_SIZE];
	const char *wrong = NULL;
	ssize_t n;

	plain_set_timeout(flow->fd);
	if (way->open && !way->open(flow))
		return fail(flow, strerror(errno));

	while (!wrong && (n = way->read(flow, buf)) != 0) {
		if (n < 0)
			wrong = fail(flow, strerror(-n));
		else if (!flow_receive(flow, buf, n))
			wrong = fail(flow, "wrong bytes");
	}
	if (!wrong && !flow_complete(flow))
		wrong = fail(flow, "the end, or the wrong SHA-256,");
	if (way->close && !way->close(flow) && !wrong)
		wrong = fail(flow, "what came with the bytes is wrong");

	return wrong;
}

/**
 * plain_receive() - receive a flow
 * @way: how
 * @host: address of the peer
 * @bytes: how much it is to send
 * @write_size: in pieces of how much
 * @headers: with what in front, as in pattern.h
 *
 * Return: NULL, or what is wrong.
 */
const char *plain_receive(const struct plain_way *way, const char *host,
			  __u64 bytes, size_t write_size, const char *headers)
{
	const char *wrong;
	struct flow flow;
	int ret;

	if (*headers)
		ret = flow_connect_with(&flow, host, bytes, write_size,
					headers);
	else
		ret = plain_connect(way, &flow, host, bytes, write_size);
	if (ret)
		return fail(&flow, strerror(-ret));
	wrong = plain_read_all(&flow, way);
	flow_close(&flow);

	return wrong;
}
