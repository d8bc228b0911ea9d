/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRX_IPERF3_RECEIVE_H
#define ZCRX_IPERF3_RECEIVE_H

#include <stddef.h>

/* receive(): read this one with read(2), its bytes are in the socket */
#define RECEIVE_PLAIN	(-4096)

void receive_prepare(int fd);
int receive(int fd, char *buf, size_t count);
void receive_write_stats(const char *path);

#endif
