// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Is the user charged for nothing any more that was registered? For whoever runs
 * the tests, as the same user, when they have ended.
 *
 *	zcrx_charges
 */
#include <stdio.h>
#include <string.h>

#include "memlock.h"
#include "nic.h"

#define AREA_SIZE	(4 << 20)

int main(void)
{
	int ret;

	/* That has no queue to be registered. */
	nic.name = "lo";
	ret = memlock_be_charged(RLIM_INFINITY);
	if (!ret)
		ret = memlock_wait_uncharged(RECV_RBUF, AREA_SIZE);
	if (!ret)
		return 0;
	printf("# a registration is refused that has just enough of RLIMIT_MEMLOCK: %s\n",
	       strerror(-ret));

	return 1;
}
