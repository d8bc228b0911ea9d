/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A TCP connection within this machine, both ends of which the test has: it decides
 * what is sent when.
 */
#ifndef ZCRX_SELFTEST_LOOPBACK_H
#define ZCRX_SELFTEST_LOOPBACK_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "flow.h"

int loopback_connect(int *tx, int *rx, int buffers);
int loopback_flow(struct flow *flow, __u64 bytes);
bool loopback_send(const struct flow *flow, int tx, __u64 off, size_t len);
bool loopback_finish(const struct flow *flow, int tx);

#endif
