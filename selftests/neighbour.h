/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A process that receives by the same NIC, whatever the test does meanwhile: it
 * must get its bytes.
 */
#ifndef ZCRX_SELFTEST_NEIGHBOUR_H
#define ZCRX_SELFTEST_NEIGHBOUR_H

#include <stdbool.h>
#include <sys/types.h>

#include "flow.h"

/* Nothing for so long is a failure. */
#define NEIGHBOUR_STALL_S	60

/*
 * What it tells, in memory that we share: how many flows it received and found
 * right, how many came by the queue under test and were not looked at, and how
 * many bytes lay in chunks of another ifq.
 */
struct neighbour_report {
	volatile unsigned long		nr_right;
	volatile unsigned long		nr_unchecked;
	volatile unsigned long long	foreign_bytes;
};

/**
 * struct neighbour - the process, and what we have of it
 * @pid: the process, or 0
 * @report: what it tells
 */
struct neighbour {
	pid_t			pid;
	struct neighbour_report	*report;
};

bool neighbour_start_plain(struct neighbour *n);
bool neighbour_start_receiver(struct neighbour *n);
bool neighbour_gets_on(const struct neighbour *n);
bool neighbour_end(struct neighbour *n);

bool neighbour_receive(struct flow *flow, bool check);

#endif
