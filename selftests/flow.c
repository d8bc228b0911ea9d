// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flow.h"

/* How often to try while the peer is not found, a second apart */
#define ATTEMPTS	10

static int try_to_connect(const struct addrinfo *ai)
{
	int fd, ret = 0;

	fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, ai->ai_addr, ai->ai_addrlen))
		ret = -errno;
	if (ret && fd >= 0)
		close(fd);

	return ret ?: fd;
}

/* Many settings of a NIC cost the link, and ARP gives up before it is back. */
static int connect_to(const char *host, const char *port)
{
	struct addrinfo hints = {
		.ai_socktype	= SOCK_STREAM,
		.ai_flags	= AI_NUMERICHOST | AI_NUMERICSERV,
	};
	struct addrinfo *ai;
	int i, ret = -EINVAL;

	if (getaddrinfo(host, port, &hints, &ai))
		return -EINVAL;
	for (i = 0; i < ATTEMPTS; i++) {
		ret = try_to_connect(ai);
		if (ret != -EHOSTUNREACH)
			break;
		sleep(1);
	}
	freeaddrinfo(ai);

	return ret;
}

static int send_request(int fd, const char *fmt, va_list ap)
{
	char request[128];
	int len;

	if (fd < 0)
		return fd;
	len = vsnprintf(request, sizeof(request), fmt, ap);
	if (send(fd, request, len, MSG_NOSIGNAL) == len)
		return fd;
	close(fd);

	return -ECONNRESET;
}

/* The same for who has no va_list */
static int ask(int fd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fd = send_request(fd, fmt, ap);
	va_end(ap);

	return fd;
}

static const char *usual_port(void)
{
	return getenv("REMOTE_PORT") ?: PATTERN_PORT;
}

/**
 * flow_request() - connect to the peer and ask it for something
 * @host: address of the peer
 * @fmt: the request
 *
 * Return: the socket or a negative error.
 */
int flow_request(const char *host, const char *fmt, ...)
{
	va_list ap;
	int fd;

	va_start(ap, fmt);
	fd = send_request(connect_to(host, usual_port()), fmt, ap);
	va_end(ap);

	return fd;
}

/**
 * flow_connect() - connect to the peer and ask it to send
 * @flow: filled in
 * @host: address of the peer
 * @bytes: how much it is to send
 * @write_size: in pieces of how much
 *
 * Return: 0 or a negative error.
 */
int flow_connect(struct flow *flow, const char *host, __u64 bytes,
		 size_t write_size)
{
	return flow_connect_with(flow, host, bytes, write_size, "");
}

static int ask_for_stream(struct flow *flow, size_t write_size,
			  const char *special)
{
	if (getrandom(&flow->seed, sizeof(flow->seed), 0) < 0)
		return -errno;

	flow->fd = ask(flow->fd, "send %llu %llu %zu %s\n", flow->bytes,
		       flow->seed, write_size, special);
	if (flow->fd < 0)
		return flow->fd;

	flow->md = EVP_MD_CTX_new();
	EVP_DigestInit_ex(flow->md, EVP_sha256(), NULL);

	return 0;
}

static int connect_at(struct flow *flow, const char *host, const char *port,
		      size_t write_size, const char *special)
{
	flow->fd = connect_to(host, port);

	return ask_for_stream(flow, write_size, special);
}

/**
 * flow_begin() - connect to the peer, and ask it for nothing yet
 * @flow: filled in, for flow_ask()
 * @host: address of the peer
 *
 * Return: 0 or a negative error.
 */
int flow_begin(struct flow *flow, const char *host)
{
	memset(flow, 0, sizeof(*flow));
	flow->fd = connect_to(host, usual_port());

	return flow->fd < 0 ? flow->fd : 0;
}

/**
 * flow_ask() - ask the peer to send
 * @flow: after flow_begin(), and what the socket should be like from the first
 *	  byte on
 * @bytes: how much it is to send
 * @write_size: in pieces of how much
 *
 * Return: 0 or a negative error.
 */
int flow_ask(struct flow *flow, __u64 bytes, size_t write_size)
{
	flow->bytes = bytes;

	return ask_for_stream(flow, write_size, "");
}

/**
 * flow_connect_special() - the same, with one thing that is special
 * @flow: filled in
 * @host: address of the peer
 * @bytes: how much it is to send
 * @write_size: in pieces of how much
 * @special: what, as in pattern.h
 *
 * Return: 0 or a negative error.
 */
int flow_connect_special(struct flow *flow, const char *host, __u64 bytes,
			 size_t write_size, const char *special)
{
	memset(flow, 0, sizeof(*flow));
	flow->bytes = bytes;

	return connect_at(flow, host, usual_port(), write_size, special);
}

static bool ask_for_port(const char *host, const char *headers, char port[8])
{
	int fd = flow_request(host, "listen %s\n", headers);
	ssize_t n;

	if (fd < 0)
		return false;
	n = recv(fd, port, 7, MSG_WAITALL);
	close(fd);

	return n > 0;
}

/**
 * flow_connect_with() - the same, with more in front of the TCP header
 * @flow: filled in
 * @host: address of the peer
 * @bytes: how much it is to send
 * @write_size: in pieces of how much
 * @headers: what, as in pattern.h, or ""
 *
 * Return: 0 or a negative error.
 */
int flow_connect_with(struct flow *flow, const char *host, __u64 bytes,
		      size_t write_size, const char *headers)
{
	const char *port = usual_port();
	char special_port[8] = "";

	memset(flow, 0, sizeof(*flow));
	flow->bytes = bytes;
	if (*headers) {
		if (!ask_for_port(host, headers, special_port))
			return -EPROTO;
		port = special_port;
	}

	return connect_at(flow, host, port, write_size, "");
}

/**
 * flow_queue() - by which receive queue does a flow come?
 * @flow: the flow
 *
 * Return: a number for the queue that its last packet came by, another one for
 * each; 0 if the kernel doesn't say.
 */
unsigned int flow_queue(const struct flow *flow)
{
	unsigned int id = 0;
	socklen_t len = sizeof(id);

	getsockopt(flow->fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &len);

	return id;
}

/**
 * flow_close() - undo flow_connect()
 * @flow: the flow
 */
void flow_close(struct flow *flow)
{
	close(flow->fd);
	EVP_MD_CTX_free(flow->md);
}

/**
 * flow_check() - are these the bytes that the peer sends at this place?
 * @flow: the flow
 * @buf: bytes
 * @len: their number
 * @off: of the first one in the stream
 *
 * Return: whether they are; those of the digest are not looked at.
 */
bool flow_check(const struct flow *flow, const void *buf, size_t len, __u64 off)
{
	if (off >= flow->bytes)
		return true;
	if (len > flow->bytes - off)
		len = flow->bytes - off;

	return pattern_check(buf, len, flow->seed, off);
}

/**
 * flow_receive() - take the next bytes of the stream
 * @flow: the flow
 * @buf: bytes
 * @len: their number
 *
 * Return: whether they are right, as far as can be said of a piece.
 */
bool flow_receive(struct flow *flow, const void *buf, size_t len)
{
	const unsigned char *p = buf;
	size_t n = 0;

	if (!flow_check(flow, buf, len, flow->got))
		return false;
	if (len > flow->bytes + PATTERN_DIGEST_SIZE - flow->got)
		return false;

	if (flow->got < flow->bytes) {
		n = flow->bytes - flow->got < len ? flow->bytes - flow->got :
						    len;
		/* An endless stream has no digest to compare with. */
		if (flow->bytes != FLOW_ENDLESS)
			EVP_DigestUpdate(flow->md, p, n);
	}
	if (len > n)
		memcpy(flow->digest + (flow->got + n - flow->bytes), p + n,
		       len - n);
	flow->got += len;

	return true;
}

/**
 * flow_complete() - has all come, and is its SHA-256 the peer's?
 * @flow: the flow; takes no more bytes after this
 *
 * Return: whether it is so.
 */
bool flow_complete(const struct flow *flow)
{
	unsigned char digest[PATTERN_DIGEST_SIZE];

	if (flow->got != flow->bytes + PATTERN_DIGEST_SIZE)
		return false;
	EVP_DigestFinal_ex(flow->md, digest, NULL);

	return !memcmp(digest, flow->digest, sizeof(digest));
}
