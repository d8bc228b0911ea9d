/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Page pools of io_uring's memory, as netlink shows them.
 */
#ifndef ZCRX_SELFTEST_POOLS_H
#define ZCRX_SELFTEST_POOLS_H

/**
 * struct pools - all of the network namespace
 * @nr: their number
 * @newest: number of the one that was made last; each has the next number
 * @nr_detached: those whose queue has another one by now, or none: what they still
 *		 miss keeps them
 * @nr_missing: how many chunks, and pages, the latter miss
 */
struct pools {
	unsigned int		nr;
	unsigned long long	newest;
	unsigned int		nr_detached;
	unsigned long long	nr_missing;
};

int pools_read(struct pools *pools);
int pools_wait_gone(struct pools *pools, unsigned int ms);

#endif
