/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Sockets in a map of BPF, where a program decides what becomes of what they
 * receive.
 */
#ifndef ZCRX_SELFTEST_SOCKMAP_H
#define ZCRX_SELFTEST_SOCKMAP_H

#include <linux/types.h>

/* What the program says of each packet */
enum sockmap_verdict {
	/* The socket that received it has it. */
	SOCKMAP_PASS,
	/* The second socket in the map sends it. */
	SOCKMAP_SEND,
	/* The second socket in the map has it, as if it had received it. */
	SOCKMAP_REDIRECT,
};

int sockmap_create(void);
int sockmap_attach(int map, enum sockmap_verdict verdict);
int sockmap_add(int map, __u32 key, int sock);

#endif
