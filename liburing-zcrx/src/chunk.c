// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * How large chunks should be, where the caller leaves it to the library.
 */
#include <unistd.h>

#include "nic.h"
#include "nic_hw.h"

#define HEADERS		40		/* of IPv4 and TCP, without options */
#define MAX_CHUNK	(1U << 16)	/* no packet is larger */

/* Each descriptor has one: half of the memory is for sockets and the program. */
static bool descriptors_fit(unsigned int ifindex, size_t chunk_size,
			    size_t mem_size)
{
	struct zcrx_rings rings;

	return zcrx_hw_rings(ifindex, &rings) ||
	       (uint64_t)rings.rx * chunk_size <= mem_size / 2;
}

/**
 * zcrx_chunk_by_mtu() - what has room for a packet's payload
 * @ifindex: the interface
 * @mem_size: bytes of all areas
 *
 * A packet in several pieces costs more.
 *
 * Return: size in bytes, or 0 for a page, also where that would leave too few
 *	   chunks.
 */
unsigned int zcrx_chunk_by_mtu(unsigned int ifindex, size_t mem_size)
{
	unsigned int size = (unsigned int)sysconf(_SC_PAGESIZE);
	struct zcrx_link link;

	if (zcrx_hw_link(ifindex, &link) || link.mtu <= size + HEADERS)
		return 0;
	while (size < link.mtu - HEADERS && size < MAX_CHUNK)
		size *= 2;

	return descriptors_fit(ifindex, size, mem_size) ? size : 0;
}
