/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What a packet socket sees of a flow. It gets whole frames: the payload of each
 * one is somewhere in the stream, at the place that its sequence number says,
 * and together they are all of it.
 */
#ifndef ZCRX_SELFTEST_CAPTURE_H
#define ZCRX_SELFTEST_CAPTURE_H

#include <linux/types.h>
#include <stdbool.h>

#include "flow.h"

/* What the flow is to have */
#define CAPTURE_BYTES	(1024 << 10)

enum capture_way {
	/* The socket has frames, in the memory they came in, until then. */
	CAPTURE_RECV,
	/* They are copied into a ring at once, as for tcpdump. */
	CAPTURE_RING,
};

/**
 * struct capture - a packet socket, and what it saw of a flow
 * @fd: the socket
 * @way: how frames are read
 * @ring: shared with the kernel
 * @block: of the ring, which comes next
 * @port: ours
 * @first: sequence number of the stream's first byte; 0 if not known yet
 * @frames: so many had payload
 * @seen: which bytes of the stream
 * @nr_seen: their number
 * @why: what went wrong
 */
struct capture {
	int			fd;
	enum capture_way	way;
	void			*ring;
	unsigned int		block;
	unsigned short		port;
	__u32			first;
	unsigned int		frames;
	bool			seen[CAPTURE_BYTES + PATTERN_DIGEST_SIZE];
	unsigned int		nr_seen;
	char			why[128];
};

bool capture_open(struct capture *c, enum capture_way way);
bool capture_stop(struct capture *c);
bool capture_check(struct capture *c, const struct flow *flow);
void capture_close(struct capture *c);

#endif
