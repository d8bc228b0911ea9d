/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* Patience that ends at a time, however long the waiting takes. */
#ifndef ZCRX_CLOCK_H
#define ZCRX_CLOCK_H

#include <stdint.h>
#include <time.h>

#define ZCRX_PAUSE_NS	10000000L

/* In milliseconds, and nobody sets it */
static inline int64_t zcrx_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void zcrx_pause(void)
{
	const struct timespec pause = { .tv_nsec = ZCRX_PAUSE_NS };

	nanosleep(&pause, NULL);
}

#endif
