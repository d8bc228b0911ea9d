// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flow.h"

static int connect_to(const char *host)
{
	const char *port = getenv("REMOTE_PORT") ?: PATTERN_PORT;
	struct addrinfo hints = {
		.ai_socktype	= SOCK_STREAM,
		.ai_flags	= AI_NUMERICHOST | AI_NUMERICSERV,
	};
	struct addrinfo *ai;
	int fd, ret = 0;

	if (getaddrinfo(host, port, &hints, &ai))
		return -EINVAL;

	fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, ai->ai_addr, ai->ai_addrlen))
		ret = -errno;
	freeaddrinfo(ai);
	if (ret && fd >= 0)
		close(fd);

	return ret ?: fd;
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
	char request[128];
	int len;

	memset(flow, 0, sizeof(*flow));
	flow->bytes = bytes;
	if (getrandom(&flow->seed, sizeof(flow->seed), 0) < 0)
		return -errno;

	flow->fd = connect_to(host);
	if (flow->fd < 0)
		return flow->fd;

	len = snprintf(request, sizeof(request), "send %llu %llu %zu\n",
		       bytes, flow->seed, write_size);
	if (send(flow->fd, request, len, MSG_NOSIGNAL) != len) {
		close(flow->fd);
		return -ECONNRESET;
	}

	flow->md = EVP_MD_CTX_new();
	EVP_DigestInit_ex(flow->md, EVP_sha256(), NULL);

	return 0;
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
