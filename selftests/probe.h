/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Count the calls of a kernel function with a kprobe event. The function is
 * entered or it is not: this owes nothing to the counters of the code under
 * test.
 */
#ifndef ZCRX_SELFTEST_PROBE_H
#define ZCRX_SELFTEST_PROBE_H

#include <stdbool.h>

bool probe_start(const char *function);
void probe_stop(void);
long probe_hits(void);

#endif
