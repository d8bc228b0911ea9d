// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Which packets are for a socket?
 */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "nic_flow.h"

/* A socket for both families sees IPv4 addresses as ::ffff:a.b.c.d. */
static void unmap_v4(struct sockaddr_storage *addr)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	memcpy(&v6, addr, sizeof(v6));
	if (addr->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
		return;
	v4.sin_port = v6.sin6_port;
	memcpy(&v4.sin_addr, &v6.sin6_addr.s6_addr[12], sizeof(v4.sin_addr));
	memcpy(addr, &v4, sizeof(v4));
}

/**
 * zcrx_socket_name() - one of the two addresses of a TCP socket
 * @fd: the socket
 * @remote: the other end's
 * @addr: filled in; an IPv4 address is AF_INET
 *
 * Return: 0 or a negative errno, with a sentence.
 */
int zcrx_socket_name(int fd, bool remote, struct sockaddr_storage *addr)
{
	socklen_t len = sizeof(*addr);
	int ret;

	memset(addr, 0, sizeof(*addr));
	ret = remote ? getpeername(fd, (struct sockaddr *)addr, &len) :
		       getsockname(fd, (struct sockaddr *)addr, &len);
	if (ret)
		return zcrx_fail(-errno, "file descriptor %d has no %s address: %s",
				 fd, remote ? "peer's" : "local", strerror(errno));
	if (addr->ss_family != AF_INET && addr->ss_family != AF_INET6)
		return zcrx_fail(-EAFNOSUPPORT, "socket %d is neither of IPv4 nor of IPv6",
				 fd);
	unmap_v4(addr);

	return 0;
}

/**
 * zcrx_socket_listens() - is it a listening TCP socket?
 * @fd: the socket
 *
 * Return: 1 or 0, or a negative errno, with a sentence: it is not TCP.
 */
int zcrx_socket_listens(int fd)
{
	int listens = 0, protocol = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len))
		return zcrx_fail(-errno, "file descriptor %d is no socket: %s",
				 fd, strerror(errno));
	if (protocol != IPPROTO_TCP)
		return zcrx_fail(-EPROTONOSUPPORT, "socket %d is not TCP", fd);
	len = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len))
		return zcrx_fail(-errno, "socket %d does not say what it is: %s",
				 fd, strerror(errno));

	return listens;
}

static void set_end(const struct sockaddr_storage *addr, struct in6_addr *ip,
		    in_port_t *port)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	if (addr->ss_family == AF_INET) {
		memcpy(&v4, addr, sizeof(v4));
		memcpy(ip, &v4.sin_addr, sizeof(v4.sin_addr));
		*port = v4.sin_port;
	} else {
		memcpy(&v6, addr, sizeof(v6));
		*ip = v6.sin6_addr;
		*port = v6.sin6_port;
	}
}

/* Does a listener bound to [::] take IPv4 as well? */
static bool takes_v4(int fd, const struct zcrx_flow *flow)
{
	int only = 1;
	socklen_t len = sizeof(only);

	return flow->family == AF_INET6 &&
	       IN6_IS_ADDR_UNSPECIFIED(&flow->dst) &&
	       !getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) && !only;
}

/**
 * zcrx_flows_of_socket() - the packets that are for a socket
 * @fd: a connected or a listening TCP socket
 * @flows: filled in
 *
 * Return: their number, or a negative errno, with a sentence.
 */
int zcrx_flows_of_socket(int fd, struct zcrx_flow flows[ZCRX_MAX_FLOWS])
{
	struct sockaddr_storage addr;
	int listens, ret;

	memset(flows, 0, ZCRX_MAX_FLOWS * sizeof(*flows));
	listens = zcrx_socket_listens(fd);
	if (listens < 0)
		return listens;

	ret = zcrx_socket_name(fd, false, &addr);
	if (ret)
		return ret;
	flows->family = addr.ss_family;
	set_end(&addr, &flows->dst, &flows->dport);
	if (listens && takes_v4(fd, flows)) {
		flows[1].family = AF_INET;
		flows[1].dport = flows->dport;
		return 2;
	}
	if (listens)
		return 1;

	ret = zcrx_socket_name(fd, true, &addr);
	if (ret)
		return ret;
	set_end(&addr, &flows->src, &flows->sport);

	return 1;
}

/**
 * zcrx_flow_of_connecting() - the packets that will be for a socket
 * @fd: a TCP socket, whose connect() is under way
 * @flow: filled in
 *
 * SO_PEERNAME tells the peer before getpeername() does, of no other length.
 *
 * Return: 1, or a negative errno, with a sentence; -ENOTCONN: it is not.
 */
int zcrx_flow_of_connecting(int fd, struct zcrx_flow *flow)
{
	struct sockaddr_storage local, peer = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(local);
	int ret = zcrx_socket_listens(fd);

	memset(flow, 0, sizeof(*flow));
	if (ret < 0)
		return ret;
	if (getsockname(fd, (struct sockaddr *)&local, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &peer, &len))
		return zcrx_fail(-errno, "socket %d is not connected: %s", fd,
				 strerror(errno));
	unmap_v4(&local);
	unmap_v4(&peer);
	flow->family = local.ss_family;
	set_end(&local, &flow->dst, &flow->dport);
	set_end(&peer, &flow->src, &flow->sport);

	return 1;
}

/**
 * zcrx_flow_is_connection() - are both ends known?
 * @flow: the flow
 *
 * Return: true for a connection, false for what comes to a listener.
 */
bool zcrx_flow_is_connection(const struct zcrx_flow *flow)
{
	return flow->sport != 0;
}

/**
 * zcrx_flow_equal() - are they the same?
 * @a: one
 * @b: the other
 *
 * Return: whether they are.
 */
bool zcrx_flow_equal(const struct zcrx_flow *a, const struct zcrx_flow *b)
{
	return a->family == b->family && a->sport == b->sport &&
	       a->dport == b->dport && IN6_ARE_ADDR_EQUAL(&a->src, &b->src) &&
	       IN6_ARE_ADDR_EQUAL(&a->dst, &b->dst);
}
