// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * NICs are not set up yet: none can be opened.
 */
#include <errno.h>

#include "error.h"
#include "nic.h"

static int no_nic(void)
{
	return zcrx_fail(-EOPNOTSUPP,
			 "NICs can't be set up by this version, use \"lo\"");
}

int zcrx_nic_find(char ifname[IFNAMSIZ], int fd)
{
	(void)ifname;
	(void)fd;
	return no_nic();
}

int zcrx_nic_any(char ifname[IFNAMSIZ])
{
	(void)ifname;
	return no_nic();
}

int zcrx_nic_open(struct zcrx_nic **nic, const char *ifname, int rxq)
{
	(void)nic;
	(void)ifname;
	(void)rxq;
	return no_nic();
}

void zcrx_nic_close(struct zcrx_nic *nic)
{
	(void)nic;
}

const char *zcrx_nic_name(const struct zcrx_nic *nic)
{
	(void)nic;
	return "";
}

unsigned int zcrx_nic_ifindex(const struct zcrx_nic *nic)
{
	(void)nic;
	return 0;
}

unsigned int zcrx_nic_rxq(const struct zcrx_nic *nic)
{
	(void)nic;
	return 0;
}

int zcrx_nic_steer(struct zcrx_nic *nic, int fd)
{
	(void)nic;
	(void)fd;
	return no_nic();
}

int zcrx_nic_unsteer(struct zcrx_nic *nic, int fd)
{
	(void)nic;
	(void)fd;
	return no_nic();
}
