/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRXCTL_XDP_H
#define ZCRXCTL_XDP_H

#include <stdbool.h>

int xdp_is_attached(const char *ifname, bool *attached);

#endif
