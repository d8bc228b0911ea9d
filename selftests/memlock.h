/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the user is charged for, up to RLIMIT_MEMLOCK, and whether all of it is
 * given back.
 */
#ifndef ZCRX_SELFTEST_MEMLOCK_H
#define ZCRX_SELFTEST_MEMLOCK_H

#include <sys/resource.h>

#include "receiver.h"

void memlock_limit(rlim_t bytes);
int memlock_be_charged(rlim_t limit);
int memlock_try(enum receiver_mode mode, size_t area_size, rlim_t others);
int memlock_wait_uncharged(enum receiver_mode mode, size_t area_size);

#endif
