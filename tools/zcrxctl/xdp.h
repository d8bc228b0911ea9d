/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRXCTL_XDP_H
#define ZCRXCTL_XDP_H

int xdp_find(const char *ifname, const char **word);

#endif
