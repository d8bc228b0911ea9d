/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* How the kernel lays out what a tracepoint records */
#ifndef ZCRXCTL_FORMAT_H
#define ZCRXCTL_FORMAT_H

#include <stddef.h>

/* Room for the path of a file that format_btf() makes */
#define FORMAT_PATH_SIZE	32

int format_btf(const char *event, char path[FORMAT_PATH_SIZE], char *why,
	       size_t size);

#endif
