// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <linux/capability.h>

#include "memlock.h"
#include "proc.h"

/* A page pool looks once a second whether all of its pages have come back. */
#define PATIENCE_MS	10000

/**
 * memlock_limit() - bound what this process may have the user be charged for
 * @bytes: so much in all, whoever was charged before
 */
void memlock_limit(rlim_t bytes)
{
	struct rlimit limit = { bytes, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &limit);
}

/**
 * memlock_be_charged() - have the user be charged for what this process pins
 * @limit: so much in all
 *
 * Who has CAP_IPC_LOCK when a ring is set up is charged for nothing.
 *
 * Return: 0 or a negative error.
 */
int memlock_be_charged(rlim_t limit)
{
	memlock_limit(limit);

	return proc_drop_capability(CAP_IPC_LOCK);
}

/**
 * memlock_try() - register, with a limit that leaves room for this
 * @mode: how to receive; without a NIC, which makes no difference here
 * @area_size: of the one area, as receiver_prepare() has it
 * @others: and for so many bytes that have been charged before
 *
 * The ring is closed at once, and the limit is what it was.
 *
 * Return: 0; -ENOMEM if more has been charged; or another negative error.
 */
int memlock_try(enum receiver_mode mode, size_t area_size, rlim_t others)
{
	struct rlimit old;
	struct receiver r;
	int ret;

	getrlimit(RLIMIT_MEMLOCK, &old);
	receiver_prepare(&r, mode, area_size);
	ifq_args_set_nodev(&r.args);
	memlock_limit(r.args.areas[0].len + r.args.refill.size +
		      r.args.rbuf.size + others);
	ret = receiver_register(&r);
	if (!ret)
		receiver_close_ring(&r);
	ifq_args_free(&r.args);
	setrlimit(RLIMIT_MEMLOCK, &old);

	return ret;
}

/**
 * memlock_wait_uncharged() - until nothing is charged any more
 * @mode: how to receive
 * @area_size: of the one area that is registered to find out
 *
 * Return: what memlock_try() returned last.
 */
int memlock_wait_uncharged(enum receiver_mode mode, size_t area_size)
{
	int ret = memlock_try(mode, area_size, 0);
	unsigned int ms;

	for (ms = 0; ms < PATIENCE_MS && ret == -ENOMEM; ms += 50) {
		proc_sleep_ms(50);
		ret = memlock_try(mode, area_size, 0);
	}

	return ret;
}
