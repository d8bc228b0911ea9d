// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Has every page pool of io_uring's memory gone, and so got back all that it had
 * lent? For whoever runs the tests, when they have ended.
 *
 *	zcrx_pools
 */
#include <stdio.h>
#include <string.h>

#include "pools.h"

/* What was closed just now is on its way. */
#define PATIENCE_MS	30000

int main(void)
{
	struct pools pools;
	int ret;

	ret = pools_wait_gone(&pools, PATIENCE_MS);
	if (!ret)
		return 0;
	printf("# %u page pools are left, %u without a queue, which miss %llu chunks or pages: %s\n",
	       pools.nr, pools.nr_detached, pools.nr_missing, strerror(-ret));

	return 1;
}
