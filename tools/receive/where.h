/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRX_TOOLS_WHERE_H
#define ZCRX_TOOLS_WHERE_H

#include <net/if.h>
#include <stdbool.h>

/**
 * struct nic - where to register
 * @name: of the interface
 * @if_idx: its index
 * @rxq: index of the receive queue
 */
struct nic {
	char		name[IF_NAMESIZE];
	unsigned int	if_idx;
	unsigned int	rxq;
};

bool nic_is_loopback(int fd);
int nic_choose(struct nic *nic, const char *name, const char *rxq, int fd);
int nic_nr_queues(const struct nic *nic);

#endif
