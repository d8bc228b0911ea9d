// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What the library asks of a ring that has been set up with liburing.
 */
#include <liburing-zcrx.h>

#include "ring.h"
#include "syscall.h"

/* IORING_REGISTER_USE_REGISTERED_RING: the file is an index, since Linux 6.3 */
#define REGISTERED_RING		(1U << 31)

/**
 * zcrx_ring_register() - io_uring_register(2)
 * @ring: the ring; it may have no file descriptor but a registered one
 * @opcode: what
 * @arg: argument
 * @nr_args: number of them
 *
 * Return: what the kernel returns, or a negative errno.
 */
int zcrx_ring_register(const struct io_uring *ring, unsigned int opcode,
		       void *arg, unsigned int nr_args)
{
	if (ring->ring_fd >= 0)
		return zcrx_sys_register(ring->ring_fd, opcode, arg, nr_args);

	return zcrx_sys_register(ring->enter_ring_fd, opcode | REGISTERED_RING,
				 arg, nr_args);
}

/**
 * zcrx_resume() - have the kernel take what was given back, and go on
 * @ifq: the ifq
 *
 * Return: 0 or a negative errno.
 */
int zcrx_resume(struct zcrx_ifq *ifq)
{
	struct zcrx_abi_ctrl ctrl = {
		.zcrx_id	= ifq->id,
		.op		= ifq->rbuf.hdr ? ZCRX_ABI_CTRL_RESUME :
						  ZCRX_ABI_CTRL_FLUSH_RQ,
	};

	return zcrx_ring_register(ifq->ring, ZCRX_REGISTER_CTRL, &ctrl, 0);
}
