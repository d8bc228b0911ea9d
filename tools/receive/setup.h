/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRX_TOOLS_SETUP_H
#define ZCRX_TOOLS_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "where.h"

struct zcrx_nic;

/* Sockets of higher numbers are not steered. */
#define SETUP_MAX_FD	4096

/**
 * struct setup - a NIC that has been set up
 * @nic: its queue, NULL if there is none
 * @dev: interface that the user has named, or NULL
 * @netns: cookie of the NIC's network namespace
 * @steered: by the number of a socket, the cookie of the one that was steered
 */
struct setup {
	struct zcrx_nic	*nic;
	const char	*dev;
	uint64_t	netns;
	uint64_t	steered[SETUP_MAX_FD];
};

int setup_open(struct setup *setup, struct nic *nic, const char *dev, int rxq);
void setup_close(struct setup *setup);
bool setup_is_new(const struct setup *setup, int fd);
int setup_steer(struct setup *setup, int fd);
void setup_forget(struct setup *setup, int fd);

#endif
