// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"

static int listen_anywhere(struct sockaddr_in *addr, int buffers)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*addr = (struct sockaddr_in) {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if ((!buffers || !setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffers,
				     sizeof(buffers))) &&
	    !bind(fd, (struct sockaddr *)addr, len) && !listen(fd, 1) &&
	    !getsockname(fd, (struct sockaddr *)addr, &len))
		return fd;
	close(fd);

	return -1;
}

/**
 * loopback_connect() - connect two sockets
 * @tx: the one, to send
 * @rx: the other one, to receive
 * @buffers: how much may be on its way, if not what the system's settings say
 *
 * Return: 0 or a negative error.
 */
int loopback_connect(int *tx, int *rx, int buffers)
{
	struct sockaddr_in addr;
	int listener = listen_anywhere(&addr, buffers), ret = 0;

	*rx = -1;
	*tx = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (buffers)
		setsockopt(*tx, SOL_SOCKET, SO_SNDBUFFORCE, &buffers,
			   sizeof(buffers));
	if (!connect(*tx, (struct sockaddr *)&addr, sizeof(addr)))
		*rx = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (*rx < 0) {
		ret = -errno;
		close(*tx);
	}
	close(listener);

	return ret;
}

/**
 * loopback_flow() - have a flow of which we are the peer
 * @flow: filled in; ends when loopback_finish() says so
 * @bytes: how much will be sent
 *
 * Return: the socket to send by, or a negative error.
 */
int loopback_flow(struct flow *flow, __u64 bytes)
{
	int tx, ret;

	memset(flow, 0, sizeof(*flow));
	flow->bytes = bytes;
	if (getrandom(&flow->seed, sizeof(flow->seed), 0) < 0)
		return -errno;
	ret = loopback_connect(&tx, &flow->fd, 0);
	if (ret)
		return ret;
	flow->md = EVP_MD_CTX_new();
	EVP_DigestInit_ex(flow->md, EVP_sha256(), NULL);

	return tx;
}

#define PIECE	4096

/**
 * loopback_send() - send some of a flow's bytes
 * @flow: the flow
 * @tx: what loopback_flow() returned
 * @off: where in the stream
 * @len: so many, which have to find room if nobody receives
 *
 * Return: whether it worked.
 */
bool loopback_send(const struct flow *flow, int tx, __u64 off, size_t len)
{
	unsigned char buf[PIECE];
	size_t n;

	for (; len; off += n, len -= n) {
		n = len < PIECE ? len : PIECE;
		pattern_fill(buf, n, flow->seed, off);
		if (send(tx, buf, n, MSG_NOSIGNAL) != (ssize_t)n)
			return false;
	}

	return true;
}

/**
 * loopback_finish() - send the digest, and then the end of the stream
 * @flow: the flow
 * @tx: what loopback_flow() returned; it can still receive afterwards
 *
 * Return: whether it worked.
 */
bool loopback_finish(const struct flow *flow, int tx)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char buf[PIECE];
	__u64 off;
	size_t n;

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	for (off = 0; off < flow->bytes; off += n) {
		n = flow->bytes - off < PIECE ? flow->bytes - off : PIECE;
		pattern_fill(buf, n, flow->seed, off);
		EVP_DigestUpdate(md, buf, n);
	}
	EVP_DigestFinal_ex(md, buf, NULL);
	EVP_MD_CTX_free(md);

	return send(tx, buf, PATTERN_DIGEST_SIZE, MSG_NOSIGNAL) ==
	       PATTERN_DIGEST_SIZE && !shutdown(tx, SHUT_WR);
}
