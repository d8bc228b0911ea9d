/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Another process that has a queue of a NIC, and goes when it is told to.
 */
#ifndef ZCRX_TEST_OWNER_H
#define ZCRX_TEST_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * struct owner - the process, and what we have of it
 * @pid: the process
 * @go: end that tells it to go
 */
struct owner {
	pid_t	pid;
	int	go;
};

/*
 * What the process does, and does not return from: opens queue @rxq, writes 'y' to
 * @ready, or 'n' if it can't, and closes the queue when there is a byte at @go.
 */
typedef void (*owner_fn)(int rxq, int ready, int go);

bool owner_start(struct owner *owner, owner_fn own, int rxq);
bool owner_ends(struct owner *owner);
bool owner_dies(struct owner *owner);

#endif
