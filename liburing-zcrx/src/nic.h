/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A NIC that is set up for zero copy: a receive queue of it that is kept for
 * us, and what steers connections there.
 */
#ifndef ZCRX_NIC_H
#define ZCRX_NIC_H

#include <net/if.h>

struct zcrx_nic;

int zcrx_nic_find(char ifname[IFNAMSIZ], int fd);
int zcrx_nic_any(char ifname[IFNAMSIZ]);

int zcrx_nic_open(struct zcrx_nic **nic, const char *ifname, int rxq);
void zcrx_nic_close(struct zcrx_nic *nic);

const char *zcrx_nic_name(const struct zcrx_nic *nic);
unsigned int zcrx_nic_ifindex(const struct zcrx_nic *nic);
unsigned int zcrx_nic_rxq(const struct zcrx_nic *nic);

int zcrx_nic_steer(struct zcrx_nic *nic, int fd);
int zcrx_nic_unsteer(struct zcrx_nic *nic, int fd);

#endif
