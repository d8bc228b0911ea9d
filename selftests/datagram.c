// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "datagram.h"
#include "flow.h"
#include "nic.h"
#include "plain.h"

/* How long to wait for more when the peer has sent all */
#define LATE_MS		1000

static bool fail(struct datagrams *d, const char *what, unsigned int n)
{
	snprintf(d->why, sizeof(d->why), "%s %u (size %u, seed %llu, %u of %u received)",
		 what, n, d->size, d->seed, d->nr_got, d->count);

	return false;
}

static bool want_info(int fd, bool v6)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)))
		return false;
	if (v6)
		return !setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on,
				   sizeof(on));

	return !setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
}

/**
 * datagrams_open() - make a socket for datagrams
 * @d: filled in
 * @v6: they will come by IPv6
 * @size: of each
 * @count: how many to ask for
 *
 * Return: whether it worked.
 */
bool datagrams_open(struct datagrams *d, bool v6, unsigned int size,
		    unsigned int count)
{
	struct sockaddr_in6 addr = { .sin6_family = v6 ? AF_INET6 : AF_INET };
	socklen_t len = v6 ? sizeof(addr) : sizeof(struct sockaddr_in);
	int rcvbuf = 32 << 20;

	memset(d, 0, sizeof(*d));
	d->size = size;
	d->count = count;
	if (getrandom(&d->seed, sizeof(d->seed), 0) < 0)
		return fail(d, "no seed", 0);
	d->fd = socket(addr.sin6_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (d->fd < 0)
		return fail(d, "no socket", 0);
	if (setsockopt(d->fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf,
		       sizeof(rcvbuf)) ||
	    !want_info(d->fd, v6) ||
	    bind(d->fd, (struct sockaddr *)&addr, len) ||
	    getsockname(d->fd, (struct sockaddr *)&addr, &len))
		return fail(d, "socket: error", errno);
	/* At the same place in both kinds of address */
	d->port = ntohs(addr.sin6_port);

	return true;
}

/* Ancillary data: when did it come, and by which interface? */
static bool info_is_right(struct msghdr *msg)
{
	unsigned int ifindex = 0;
	struct timespec now, ts = {};
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level == SOL_SOCKET &&
		    cmsg->cmsg_type == SO_TIMESTAMPNS)
			memcpy(&ts, CMSG_DATA(cmsg), sizeof(ts));
		if (cmsg->cmsg_level == IPPROTO_IP &&
		    cmsg->cmsg_type == IP_PKTINFO)
			ifindex = ((struct in_pktinfo *)CMSG_DATA(cmsg))->ipi_ifindex;
		if (cmsg->cmsg_level == IPPROTO_IPV6 &&
		    cmsg->cmsg_type == IPV6_PKTINFO)
			ifindex = ((struct in6_pktinfo *)CMSG_DATA(cmsg))->ipi6_ifindex;
	}

	clock_gettime(CLOCK_REALTIME, &now);

	return ifindex == nic_ifindex() && ts.tv_sec <= now.tv_sec &&
	       ts.tv_sec > now.tv_sec - 2 * PLAIN_STALL_S;
}

/* Which one is it? Nobody says, but its bytes. They come in order. */
static bool identify(struct datagrams *d, const unsigned char *buf,
		     unsigned int len)
{
	unsigned int i;

	for (i = 0; i < d->count; i++) {
		if (d->got[i] ||
		    !pattern_check(buf, len, d->seed, (__u64)i * d->size))
			continue;
		d->got[i] = true;
		d->nr_got++;
		return true;
	}

	return fail(d, "a datagram of wrong bytes, its length", len);
}

/* Every third one is cut: the kernel says how long it was. */
static bool receive_one(struct datagrams *d)
{
	static unsigned char buf[DATAGRAM_MAX_SIZE];
	unsigned int len = d->nr_got % 3 || d->size < 100 ? d->size :
							   d->size - 7;
	union {
		char		buf[256];
		struct cmsghdr	align;
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = {
		.msg_iov	= &iov,
		.msg_iovlen	= 1,
		.msg_control	= &control,
		.msg_controllen	= sizeof(control),
	};
	ssize_t n = recvmsg(d->fd, &msg, MSG_TRUNC | MSG_DONTWAIT);

	if (n < 0)
		return fail(d, "recvmsg: error", errno);
	if ((size_t)n != d->size || !!(msg.msg_flags & MSG_TRUNC) != (len < d->size))
		return fail(d, "a datagram of wrong length", n);
	if (!info_is_right(&msg))
		return fail(d, "wrong interface or time of datagram", d->nr_got);

	return identify(d, buf, len);
}

/**
 * datagrams_receive() - have the peer send them
 * @d: open
 * @host: address of the peer
 *
 * Some may be lost.
 *
 * Return: whether those that came are right.
 */
bool datagrams_receive(struct datagrams *d, const char *host)
{
	int conn = flow_request(host, "udp %u %u %u %llu\n", d->port, d->count,
				d->size, d->seed);
	struct pollfd pfd[] = {
		{ .fd = d->fd, .events = POLLIN },
		{ .fd = conn, .events = POLLIN },
	};
	int timeout = PLAIN_STALL_S * 1000;
	bool right = true;

	if (conn < 0)
		return fail(d, "peer: error", -conn);
	while (right && d->nr_got < d->count && poll(pfd, 2, timeout) > 0) {
		if (pfd[0].revents)
			right = receive_one(d);
		if (pfd[1].revents) {
			/* It has sent all. */
			pfd[1].fd = -1;
			timeout = LATE_MS;
		}
	}
	close(conn);

	return right;
}

/**
 * datagrams_close() - undo datagrams_open()
 * @d: the datagrams
 */
void datagrams_close(struct datagrams *d)
{
	close(d->fd);
}

/*
 * Echo
 */

#define PING_RANGE	"/proc/sys/net/ipv4/ping_group_range"
#define ECHO_TRIES	3

static bool write_range(const char *range)
{
	int fd = open(PING_RANGE, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, range, strlen(range)) > 0;
	close(fd);

	return ok;
}

/**
 * echo_allow() - let root have sockets for echoes
 *
 * Return: whether it worked.
 */
bool echo_allow(void)
{
	return write_range("0 0");
}

/**
 * echo_disallow() - back to the kernel's default
 */
void echo_disallow(void)
{
	write_range("1 0");
}

/* Socket, connected to the host: the kernel does checksums and identifiers. */
static int echo_socket(const char *host, bool *v6)
{
	struct addrinfo hints = {
		.ai_socktype	= SOCK_DGRAM,
		.ai_flags	= AI_NUMERICHOST,
	};
	int fd, buf = 1 << 20;
	struct addrinfo *ai;

	if (getaddrinfo(host, NULL, &hints, &ai))
		return -1;
	*v6 = ai->ai_family == AF_INET6;
	fd = socket(ai->ai_family, SOCK_DGRAM | SOCK_CLOEXEC,
		    *v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen)) {
		close(fd);
		fd = -1;
	}
	freeaddrinfo(ai);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buf, sizeof(buf));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buf, sizeof(buf));

	return fd;
}

/* -ETIME if nothing came, 0 if it is right */
static int echo_once(int fd, bool v6, unsigned int size, __u64 seed)
{
	static unsigned char buf[sizeof(struct icmphdr) + DATAGRAM_MAX_SIZE];
	const unsigned int len = sizeof(struct icmphdr) + size;
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct icmphdr head = {
		.type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO,
		.un.echo.sequence = htons(size),
	};
	ssize_t n;

	memcpy(buf, &head, sizeof(head));
	pattern_fill(buf + sizeof(head), size, seed, 0);
	if (send(fd, buf, len, 0) != (ssize_t)len)
		return -errno;
	memset(buf, 0, sizeof(buf));

	if (poll(&pfd, 1, LATE_MS) < 1)
		return -ETIME;
	n = recv(fd, buf, sizeof(buf), 0);
	if (n < 0)
		return -errno;
	memcpy(&head, buf, sizeof(head));
	if (n != (ssize_t)len ||
	    head.type != (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) ||
	    head.un.echo.sequence != htons(size) ||
	    !pattern_check(buf + sizeof(head), size, seed, 0))
		return -EBADMSG;

	return 0;
}

/**
 * echo() - have the peer's kernel send back what it gets
 * @host: address of the peer
 * @size: of the payload
 *
 * Return: NULL, or what is wrong.
 */
const char *echo(const char *host, unsigned int size)
{
	static char why[128];
	unsigned int try;
	int fd, ret;
	__u64 seed;
	bool v6;

	fd = echo_socket(host, &v6);
	if (fd < 0 || getrandom(&seed, sizeof(seed), 0) < 0)
		return "no socket for echoes";
	for (try = 0; try < ECHO_TRIES; try++) {
		ret = echo_once(fd, v6, size, seed);
		if (ret != -ETIME)
			break;
	}
	close(fd);
	if (!ret)
		return NULL;
	snprintf(why, sizeof(why), "%s, echo of %u bytes: %s", host, size,
		 strerror(-ret));

	return why;
}
