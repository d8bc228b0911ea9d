// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The other end of the tests: runs on another machine (or in another network
 * namespace), accepts TCP connections, and sends what they ask for. What it
 * understands is described in pattern.h.
 *
 *	zcrx_peer [PORT]
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pattern.h"

#define MAX_WRITE	(1 << 18)

static int listen_on(const char *port)
{
	struct addrinfo hints = {
		.ai_family	= AF_INET6,
		.ai_socktype	= SOCK_STREAM,
		.ai_flags	= AI_PASSIVE | AI_NUMERICSERV,
	};
	struct addrinfo *ai;
	int fd, off = 0, on = 1;

	if (getaddrinfo(NULL, port, &hints, &ai))
		return -1;

	fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, 128)) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(ai);

	return fd;
}

static bool send_all(int fd, const unsigned char *buf, size_t len)
{
	ssize_t n;

	for (; len; buf += n, len -= n) {
		n = send(fd, buf, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}

	return true;
}

static void send_stream(int fd, __u64 bytes, __u64 seed, size_t write_size)
{
	static unsigned char buf[MAX_WRITE];
	unsigned char digest[PATTERN_DIGEST_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	__u64 off;
	size_t n;

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	for (off = 0; off < bytes; off += n) {
		n = bytes - off < write_size ? bytes - off : write_size;
		pattern_fill(buf, n, seed, off);
		EVP_DigestUpdate(md, buf, n);
		if (!send_all(fd, buf, n))
			break;
	}
	EVP_DigestFinal_ex(md, digest, NULL);
	EVP_MD_CTX_free(md);

	if (off >= bytes)
		send_all(fd, digest, sizeof(digest));
}

static void serve(int fd)
{
	unsigned long long bytes, seed;
	unsigned int write_size;
	int on = 1;
	FILE *in;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	in = fdopen(fd, "r");
	if (in && fscanf(in, "send %llu %llu %u", &bytes, &seed,
			 &write_size) == 3 &&
	    write_size > 0 && write_size <= MAX_WRITE)
		send_stream(fd, bytes, seed, write_size);
}

int main(int argc, char **argv)
{
	const char *port = argc > 1 ? argv[1] : PATTERN_PORT;
	int fd = listen_on(port), conn;

	if (fd < 0) {
		fprintf(stderr, "zcrx_peer: can't listen on port %s: %m; is another one running?\n",
			port);
		return 1;
	}

	/* Nobody waits for the processes that serve. */
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		conn = accept(fd, NULL, NULL);
		if (conn < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			perror("zcrx_peer: accept");
			return 1;
		}
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(fd);
			serve(conn);
			_exit(0);
		}
		close(conn);
	}
}
