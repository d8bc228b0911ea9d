// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The other end of the tests: runs on another machine (or in another network
 * namespace), accepts TCP connections, and sends what they ask for. What it
 * understands is described in pattern.h.
 *
 *	zcrx_peer [PORT]
 */
#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flow.h"
#include "pattern.h"

#define MAX_WRITE	(1 << 18)
#define MAX_DATAGRAM	65507
#define MAX_FETCHED	256
#define MAX_OPTIONS	40
#define MAX_EXTENSION	256

/* Between datagrams, so that a slow machine gets most of them */
#define PAUSE_US	2000

/* A network may lose datagrams, but not each time. */
#define TRIES		5
#define LATE_MS		1000

/* For the second connection of one that asked for a port, and for what is sent to
 * be acknowledged
 */
#define PATIENCE_S	60

/* An option that everybody has to skip (RFC 4727) */
#define IPV6_SKIPPED	0x1e

/* Records of TLS 1.2 (RFC 5246, 6.2) with AES-GCM (RFC 5288) */
#define TLS_DATA	23
#define TLS_MAX_DATA	(1 << 14)
#define TLS_SALT	4
#define TLS_NONCE	8
#define TLS_TAG		16
#define TLS_HEADER	5
#define TLS_PREFIX	(TLS_HEADER + TLS_NONCE)
#define TLS_AAD		(TLS_NONCE + TLS_HEADER)

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

/* A stream, and what is special about it */
struct stream {
	__u64		bytes;
	__u64		seed;
	unsigned int	write_size;
	char		special[8];
	__u64		at;
	EVP_MD_CTX	*md;
	EVP_CIPHER_CTX	*cipher;
	__u64		nr_records;
};

static bool is_special(const struct stream *s, const char *special)
{
	return !strcmp(s->special, special);
}

static void put_number(unsigned char *p, __u64 number, unsigned int len)
{
	while (len--) {
		p[len] = number;
		number >>= 8;
	}
}

static void put_header(unsigned char *p, size_t len)
{
	p[0] = TLS_DATA;
	put_number(p + 1, 0x303, 2);
	put_number(p + 3, len, 2);
}

/* The number of the record is part of its nonce, and of what the tag is about. */
static bool encrypt(struct stream *s, const unsigned char *buf, size_t len,
		    unsigned char *record)
{
	unsigned char nonce[TLS_SALT + TLS_NONCE], aad[TLS_AAD];
	unsigned char *out = record + TLS_PREFIX;
	int n;

	memcpy(nonce, PATTERN_TLS_SALT, TLS_SALT);
	put_number(nonce + TLS_SALT, s->nr_records, TLS_NONCE);
	put_number(aad, s->nr_records++, TLS_NONCE);
	put_header(aad + TLS_NONCE, len);
	put_header(record, TLS_NONCE + len + TLS_TAG);
	memcpy(record + TLS_HEADER, nonce + TLS_SALT, TLS_NONCE);

	return EVP_EncryptInit_ex(s->cipher, EVP_aes_128_gcm(), NULL,
				  (const unsigned char *)PATTERN_TLS_KEY,
				  nonce) &&
	       EVP_EncryptUpdate(s->cipher, NULL, &n, aad, sizeof(aad)) &&
	       EVP_EncryptUpdate(s->cipher, out, &n, buf, len) &&
	       EVP_EncryptFinal_ex(s->cipher, out + len, &n) &&
	       EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_GET_TAG, TLS_TAG,
				   out + len);
}

static bool send_records(int fd, struct stream *s, const unsigned char *buf,
			 size_t len)
{
	static unsigned char record[TLS_PREFIX + TLS_MAX_DATA + TLS_TAG];
	size_t n;

	for (; len; buf += n, len -= n) {
		n = len < TLS_MAX_DATA ? len : TLS_MAX_DATA;
		if (!encrypt(s, buf, n, record) ||
		    !send_all(fd, record, TLS_PREFIX + n + TLS_TAG))
			return false;
	}

	return true;
}

/* As it is, or in records */
static bool send_plain_or_not(int fd, struct stream *s,
			      const unsigned char *buf, size_t len)
{
	return s->cipher ? send_records(fd, s, buf, len) :
			   send_all(fd, buf, len);
}

static bool send_range(int fd, struct stream *s, __u64 off, __u64 end)
{
	static unsigned char buf[MAX_WRITE];
	size_t n;

	for (; off < end; off += n) {
		n = end - off < s->write_size ? end - off : s->write_size;
		pattern_fill(buf, n, s->seed, off);
		EVP_DigestUpdate(s->md, buf, n);
		if (!send_plain_or_not(fd, s, buf, n))
			return false;
	}

	return true;
}

static bool send_urgent(int fd, struct stream *s)
{
	unsigned char byte = PATTERN_URGENT;

	if (is_special(s, "inline")) {
		byte = pattern_byte(s->seed, s->at++);
		EVP_DigestUpdate(s->md, &byte, 1);
	}

	return send(fd, &byte, 1, MSG_OOB | MSG_NOSIGNAL) == 1;
}

static bool send_bytes(int fd, struct stream *s)
{
	if (!is_special(s, "urgent") && !is_special(s, "inline"))
		return send_range(fd, s, 0, s->bytes);

	return s->at < s->bytes && send_range(fd, s, 0, s->at) &&
	       send_urgent(fd, s) && send_range(fd, s, s->at, s->bytes);
}

/* What has not been acknowledged by then would be thrown away. */
static void reset(int fd)
{
	struct linger linger = { .l_onoff = 1 };
	int ms, unsent = 1;

	for (ms = 0; ms < PATIENCE_S * 1000 && unsent; ms += 10) {
		usleep(10 * 1000);
		if (ioctl(fd, SIOCOUTQ, &unsent))
			return;
	}
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void send_stream(int fd, struct stream *s)
{
	unsigned char digest[PATTERN_DIGEST_SIZE];
	bool sent;

	s->md = EVP_MD_CTX_new();
	EVP_DigestInit_ex(s->md, EVP_sha256(), NULL);
	if (is_special(s, "tls"))
		s->cipher = EVP_CIPHER_CTX_new();
	sent = send_bytes(fd, s);
	EVP_DigestFinal_ex(s->md, digest, NULL);
	EVP_MD_CTX_free(s->md);

	if (sent && is_special(s, "reset"))
		reset(fd);
	else if (sent)
		send_plain_or_not(fd, s, digest, sizeof(digest));
	EVP_CIPHER_CTX_free(s->cipher);
}

/* Options: one that does nothing, and a record of the route */
static bool set_options(int fd, unsigned int size)
{
	unsigned char opt[MAX_OPTIONS] = {
		IPOPT_NOP, IPOPT_RR, size - 1, IPOPT_MINOFF,
	};

	return size <= sizeof(opt) &&
	       !setsockopt(fd, IPPROTO_IP, IP_OPTIONS, opt, size);
}

/* An extension header: its length in units of 8 bytes, and one option */
static bool set_extension(int fd, int optname, unsigned int size)
{
	unsigned char ext[MAX_EXTENSION] = {
		0, size / 8 - 1, IPV6_SKIPPED, size - 4,
	};

	return size <= sizeof(ext) &&
	       !setsockopt(fd, IPPROTO_IPV6, optname, ext, size);
}

/*
 * Connections inherit extension headers from the socket that listens, and only
 * so count them in the size of a segment. Options are for the connection.
 */
static bool set_headers(int fd, const char *kind, unsigned int size,
			bool connected)
{
	if (size < 8 || size % 8)
		return false;
	if (!strcmp(kind, "options"))
		return !connected || set_options(fd, size);
	if (!strcmp(kind, "hopopts"))
		return connected || set_extension(fd, IPV6_HOPOPTS, size);
	if (!strcmp(kind, "dstopts"))
		return connected || set_extension(fd, IPV6_DSTOPTS, size);

	return false;
}

static void serve(int fd);

static void serve_with_headers(int conn, const char *kind, unsigned int size)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);
	int fd = listen_on("0");

	if (fd < 0 || !set_headers(fd, kind, size, false) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len))
		return;
	dprintf(conn, "%u", ntohs(addr.sin6_port));
	shutdown(conn, SHUT_WR);

	alarm(PATIENCE_S);
	conn = accept(fd, NULL, NULL);
	alarm(0);
	if (conn >= 0 && set_headers(conn, kind, size, true))
		serve(conn);
}

static void send_datagrams(int conn, unsigned short port, unsigned int count,
			   size_t size, __u64 seed)
{
	static unsigned char buf[MAX_DATAGRAM];
	struct sockaddr_in6 addr;
	socklen_t addrlen = sizeof(addr);
	int fd, val = 1 << 20;
	unsigned int i;

	if (getpeername(conn, (struct sockaddr *)&addr, &addrlen))
		return;
	addr.sin6_port = htons(port);

	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &val, sizeof(val));
	for (i = 0; i < count; i++) {
		pattern_fill(buf, size, seed, (__u64)i * size);
		sendto(fd, buf, size, MSG_NOSIGNAL, (struct sockaddr *)&addr,
		       addrlen);
		usleep(PAUSE_US);
	}
	close(fd);
}

static bool fetch(const char *host, __u64 bytes, size_t write_size)
{
	static unsigned char buf[MAX_WRITE];
	struct flow flow;
	bool right;
	ssize_t n;

	if (flow_connect(&flow, host, bytes, write_size))
		return false;
	do {
		n = recv(flow.fd, buf, sizeof(buf), 0);
	} while (n > 0 && flow_receive(&flow, buf, n));
	right = !n && flow_complete(&flow);
	flow_close(&flow);

	return right;
}

/*
 * Which one is it? Nobody says, but its bytes, and short ones may be alike: first
 * of all one that has not come yet.
 */
static bool mark(bool *got, unsigned int count, const unsigned char *buf,
		 size_t size, __u64 seed)
{
	bool known = false;
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (!pattern_check(buf, size, seed, (__u64)i * size))
			continue;
		known = true;
		if (!got[i]) {
			got[i] = true;
			break;
		}
	}

	return known;
}

/* Takes what comes until nothing does; false if something is wrong. */
static bool receive_datagrams(int fd, bool *got, unsigned int count,
			      size_t size, __u64 seed)
{
	static unsigned char buf[MAX_DATAGRAM];
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	unsigned int left;

	for (left = count; left && poll(&pfd, 1, LATE_MS) > 0; left--)
		if (recv(fd, buf, size, MSG_TRUNC) != (ssize_t)size ||
		    !mark(got, count, buf, size, seed))
			return false;

	return true;
}

static bool fetch_datagrams(const char *host, unsigned int count, size_t size)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };
	bool got[MAX_FETCHED] = {}, right = true;
	socklen_t len = sizeof(addr);
	int fd, conn, try;
	__u64 seed;

	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) ||
	    getrandom(&seed, sizeof(seed), 0) < 0)
		return false;
	for (try = 0; try < TRIES && right && memchr(got, false, count);
	     try++) {
		conn = flow_request(host, "udp %u %u %zu %llu\n",
				    ntohs(addr.sin6_port), count, size, seed);
		right = conn >= 0 &&
			receive_datagrams(fd, got, count, size, seed);
		close(conn);
	}
	close(fd);

	return right && !memchr(got, false, count);
}

static bool parse_stream(const char *line, struct stream *s)
{
	memset(s, 0, sizeof(*s));

	return sscanf(line, "send %llu %llu %u %7s %llu", &s->bytes, &s->seed,
		      &s->write_size, s->special, &s->at) >= 3 &&
	       s->write_size > 0 && s->write_size <= MAX_WRITE;
}

static void serve(int fd)
{
	unsigned int port, count, size;
	unsigned long long bytes, seed;
	char line[128], word[64];
	struct stream stream;
	int on = 1;
	FILE *in;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	in = fdopen(fd, "r");
	if (!in || !fgets(line, sizeof(line), in))
		return;

	if (parse_stream(line, &stream))
		send_stream(fd, &stream);
	else if (sscanf(line, "listen %63s %u", word, &size) == 2)
		serve_with_headers(fd, word, size);
	else if (sscanf(line, "udp %u %u %u %llu", &port, &count, &size,
			&seed) == 4 && size <= MAX_DATAGRAM)
		send_datagrams(fd, port, count, size, seed);
	else if ((sscanf(line, "fetch %63s %llu %u", word, &bytes,
			 &size) == 3 && fetch(word, bytes, size)) ||
		 (sscanf(line, "fetch-udp %63s %u %u", word, &count,
			 &size) == 3 && count <= MAX_FETCHED &&
		  size <= MAX_DATAGRAM && fetch_datagrams(word, count, size)))
		send_all(fd, (const unsigned char *)"right\n", 6);
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
