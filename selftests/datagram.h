/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Datagrams and echoes from the peer, whose bytes are known.
 */
#ifndef ZCRX_SELFTEST_DATAGRAM_H
#define ZCRX_SELFTEST_DATAGRAM_H

#include <linux/types.h>
#include <netinet/in.h>
#include <stdbool.h>

#define DATAGRAM_MAX_COUNT	256
#define DATAGRAM_MAX_SIZE	65507

/**
 * struct datagrams - datagrams of one size
 * @fd: socket
 * @port: where they come
 * @seed: of the stream that they are pieces of
 * @size: of each one
 * @count: how many the peer is to send
 * @nr_got: how many came
 * @got: which
 * @why: what went wrong
 */
struct datagrams {
	int		fd;
	unsigned short	port;
	__u64		seed;
	unsigned int	size;
	unsigned int	count;
	unsigned int	nr_got;
	bool		got[DATAGRAM_MAX_COUNT];
	char		why[128];
};

bool datagrams_open(struct datagrams *d, bool v6, unsigned int size,
		    unsigned int count);
bool datagrams_receive(struct datagrams *d, const char *host);
void datagrams_close(struct datagrams *d);

bool echo_allow(void);
void echo_disallow(void);
const char *echo(const char *host, unsigned int size);

#endif
