/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * TCP connections over loopback that carry a known stream, sent by a process of
 * its own, and checked byte by byte.
 */
#ifndef ZCRX_TEST_STREAM_H
#define ZCRX_TEST_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define STREAM_MAX	2048

/**
 * struct stream - a connection
 * @fd: of the receiving end
 * @peer: of the sending end
 * @seed: which stream it is
 * @pos: how much has been checked
 * @ends: how often its end was told
 * @res: how it ended
 * @held: bytes that the test keeps
 */
struct stream {
	int		fd;
	int		peer;
	unsigned int	seed;
	size_t		pos;
	unsigned int	ends;
	int		res;
	size_t		held;
};

bool stream_connect(struct stream *s, unsigned int nr);
void stream_close(struct stream *s, unsigned int nr);
pid_t stream_send(const struct stream *s, unsigned int nr, size_t bytes,
		  size_t write_size);
bool stream_check(struct stream *s, const void *data, size_t len);

#endif
