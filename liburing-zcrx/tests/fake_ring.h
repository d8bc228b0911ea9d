/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * An io_uring in memory, one at a time, in place of those functions of liburing
 * that enter the kernel. What comes by a RECV_ZC request is what the test says;
 * polls and timeouts are real.
 */
#ifndef ZCRX_TEST_FAKE_RING_H
#define ZCRX_TEST_FAKE_RING_H

#include "fake.h"

/**
 * struct fake_ring - the ring
 * @fd: its file
 * @waiting: the owner sleeps in it
 * @ret_submit: what comes of submitting, nothing is taken then
 * @nr_cancels: how often cancelling finds a request that a worker has
 */
struct fake_ring {
	int	fd;
	bool	waiting;
	int	ret_submit;
	int	nr_cancels;
};

extern struct fake_ring fake_ring;

void fake_ring_reset(enum fake_kind kind);
bool fake_ring_receive(int fd, __u64 off, __u32 len);
bool fake_ring_end(int fd, int res);

#endif
