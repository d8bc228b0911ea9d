// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream.h"

/* A stream repeats, with a period that no buffer size has. */
#define PERIOD		251U
#define MAX_WRITE	(64U << 10)

static unsigned char pattern[2 * PERIOD + MAX_WRITE];

static const unsigned char *stream_at(const struct stream *s, size_t pos)
{
	size_t i;

	if (!pattern[1])
		for (i = 0; i < sizeof(pattern); i++)
			pattern[i] = (unsigned char)(i % PERIOD);

	return pattern + (pos + s->seed) % PERIOD;
}

static bool connect_one(struct stream *s, int listener,
			const struct sockaddr_in *addr)
{
	int one = 1;

	s->peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->peer < 0 ||
	    connect(s->peer, (const struct sockaddr *)addr, sizeof(*addr)))
		return false;
	setsockopt(s->peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	s->fd = accept(listener, NULL, NULL);

	return s->fd >= 0;
}

/**
 * stream_connect() - make connections
 * @s: filled in
 * @nr: how many
 *
 * Return: true if all are there.
 */
bool stream_connect(struct stream *s, unsigned int nr)
{
	struct sockaddr_in addr = {
		.sin_family	 = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);
	unsigned int i = 0;

	memset(s, 0, nr * sizeof(*s));
	if (listener >= 0 &&
	    !bind(listener, (struct sockaddr *)&addr, sizeof(addr)) &&
	    !listen(listener, 16) &&
	    !getsockname(listener, (struct sockaddr *)&addr, &len))
		for (; i < nr && connect_one(&s[i], listener, &addr); i++)
			s[i].seed = i;
	close(listener);

	return i == nr;
}

/**
 * stream_close() - close the receiving ends
 * @s: connections
 * @nr: how many
 */
void stream_close(struct stream *s, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		close(s[i].fd);
}

/* Sends what fits. Returns false if the receiver is gone. */
static bool send_some(const struct stream *s, size_t *pos, size_t bytes,
		      size_t write_size)
{
	size_t len = bytes - *pos < write_size ? bytes - *pos : write_size;
	ssize_t sent = send(s->peer, stream_at(s, *pos), len,
			    MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent > 0)
		*pos += (size_t)sent;

	return sent > 0;
}

static void send_all(const struct stream *s, unsigned int nr, size_t bytes,
		     size_t write_size)
{
	static struct pollfd fds[STREAM_MAX];
	static size_t pos[STREAM_MAX];
	unsigned int left = nr, i;

	for (i = 0; i < nr; i++) {
		fds[i].fd = s[i].peer;
		fds[i].events = POLLOUT;
		close(s[i].fd);
	}
	while (left) {
		poll(fds, nr, -1);
		for (i = 0; i < nr; i++) {
			if (!fds[i].revents)
				continue;
			if (pos[i] < bytes && fds[i].revents == POLLOUT &&
			    send_some(&s[i], &pos[i], bytes, write_size))
				continue;
			close(fds[i].fd);
			fds[i].fd = -1;
			left--;
		}
	}
}

/**
 * stream_send() - start to send
 * @s: connections, whose sending ends are closed here
 * @nr: how many
 * @bytes: on each of them
 * @write_size: bytes at a time, at most 64 KiB
 *
 * Return: the sending process.
 */
pid_t stream_send(const struct stream *s, unsigned int nr, size_t bytes,
		  size_t write_size)
{
	unsigned int i;
	pid_t pid;

	pid = fork();
	if (!pid) {
		send_all(s, nr, bytes, write_size);
		_exit(0);
	}
	for (i = 0; i < nr; i++)
		close(s[i].peer);

	return pid;
}

/**
 * stream_check() - are these the next bytes of the stream?
 * @s: connection
 * @data: the bytes
 * @len: their number
 *
 * Return: true if they are.
 */
bool stream_check(struct stream *s, const void *data, size_t len)
{
	const char *at = data;
	size_t n;

	for (; len; len -= n, at += n, s->pos += n) {
		n = len < MAX_WRITE ? len : MAX_WRITE;
		if (memcmp(at, stream_at(s, s->pos), n))
			return false;
	}

	return true;
}
