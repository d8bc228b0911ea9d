/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRX_RING_H
#define ZCRX_RING_H

struct io_uring;

int zcrx_ring_register(const struct io_uring *ring, unsigned int opcode,
		       void *arg, unsigned int nr_args);

#endif
