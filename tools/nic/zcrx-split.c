// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * zcrx-split - set a NIC's header split
 *
 * What "ethtool -G IFACE tcp-data-split on" does, for machines whose ethtool
 * only shows the setting (6.1, Debian 12). Nothing is recorded to be put back:
 * that is zcrxctl setup.
 */
#include <err.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "nic_hw.h"

#define USAGE	"usage: zcrx-split IFACE on|off|auto\n"

static const char help[] =
	USAGE
	"\n"
	"Sets header split of the NIC IFACE.\n"
	"\n"
	"  on          payload of TCP and its headers go to different buffers\n"
	"  off         they stay together\n"
	"  auto        the driver decides\n"
	"  -h, --help  print this\n"
	"\n"
	"Exit status: 0 it is set; 1 it is not; 2 wrong arguments. See zcrx-split(8).\n";

static int parse_split(const char *word)
{
	if (!strcmp(word, "auto"))
		return ZCRX_SPLIT_AUTO;
	if (!strcmp(word, "off"))
		return ZCRX_SPLIT_OFF;
	if (!strcmp(word, "on"))
		return ZCRX_SPLIT_ON;

	return -1;
}

int main(int argc, char **argv)
{
	int split = argc == 3 ? parse_split(argv[2]) : -1, ret;
	unsigned int ifindex;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(help, stdout);
		return 0;
	}
	if (split < 0) {
		fputs(USAGE, stderr);
		return 2;
	}
	ifindex = if_nametoindex(argv[1]);
	if (!ifindex)
		errx(1, "there is no network interface %s: ip link shows those that there are",
		     argv[1]);
	ret = zcrx_hw_set_split(ifindex, split, -1);
	if (ret)
		errx(1, "cannot set header split of %s to %s: %s", argv[1],
		     argv[2], zcrx_hw_said(ret));

	return 0;
}
