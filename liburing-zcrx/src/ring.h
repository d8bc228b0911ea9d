/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRX_RING_H
#define ZCRX_RING_H

#include <stddef.h>

struct io_uring;
struct zcrx_area;
struct zcrx_ifq;
struct zcrx_params;

/**
 * struct zcrx_ring_sizes - memory of an ifq's rings
 * @refill: in bytes
 * @rbuf: likewise, 0: there is no rbuf ring
 */
struct zcrx_ring_sizes {
	size_t	refill;
	size_t	rbuf;
};

int zcrx_probe_ring(int fd);
int zcrx_ring_register(const struct io_uring *ring, unsigned int opcode,
		       void *arg, unsigned int nr_args);
int zcrx_register_explain(const struct io_uring *ring,
			  const struct zcrx_params *params,
			  const struct zcrx_area *areas, unsigned int nr_areas,
			  int err);
int zcrx_register_to_export(struct io_uring *ring, struct zcrx_params *params,
			    const struct zcrx_area *area, struct zcrx_ifq *ifq,
			    struct zcrx_ring_sizes *sizes);
int zcrx_ifq_export(const struct zcrx_ifq *ifq);
int zcrx_ifq_import(struct io_uring *ring, int fd,
		    const struct zcrx_params *params,
		    const struct zcrx_ring_sizes *sizes,
		    const struct zcrx_area *area, struct zcrx_ifq *ifq);

#endif
