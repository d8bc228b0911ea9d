// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Why a queue can't be registered. The kernel gives an errno, which may stand for
 * several things.
 */
#include <errno.h>
#include <liburing-zcrx.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "ring.h"

/* Of an interface, or what stands for it */
#define NAME_SIZE	32

static const char *name_of(const struct zcrx_params *params,
			   char name[NAME_SIZE])
{
	if (params->flags & ZCRX_ABI_REG_NODEV)
		return "lo";
	if (!if_indextoname(params->if_idx, name))
		snprintf(name, NAME_SIZE, "interface %u", params->if_idx);

	return name;
}

static bool has_large_chunks(const struct zcrx_params *params)
{
	return params->chunk_size != ZCRX_CHUNK_BY_MTU &&
	       params->chunk_size > (unsigned int)sysconf(_SC_PAGESIZE);
}

/* The program's fault, unless the kernel does not know what it asks for. */
static int explain_invalid(const struct io_uring *ring,
			   const struct zcrx_params *params)
{
	int has = zcrx_probe_ring(ring->ring_fd);

	if (!has)
		return zcrx_fail(-EINVAL, "this kernel has no zero-copy receive, boot one that has");
	if (has > 0 && !(has & ZCRX_HAS_RBUF) && params->rbuf_entries)
		return zcrx_fail(-EINVAL, "this kernel has no rbuf ring, boot one that has, or do without: rbuf_entries 0");

	return zcrx_fail(-EINVAL, "a flag of the ring, a number of entries, the size or alignment of an area, or on mainline the queue's number is not as zcrx_register(3) wants it");
}

static int explain_unsupported(const struct zcrx_params *params,
			       const char *name)
{
	return zcrx_fail(-EOPNOTSUPP, "the driver of %s has no zero-copy receive%s, or headers are not split: zcrxctl doctor %s tells, zcrxctl setup %s splits them",
			 name,
			 has_large_chunks(params) ? " in such chunks" : "",
			 name, name);
}

static int explain_range(const struct zcrx_params *params, const char *name)
{
	return zcrx_fail(-ERANGE, "%s has no receive queue %u: ethtool -l %s tells how many it has, counted from 0%s",
			 name, params->rxq, name,
			 has_large_chunks(params) ?
			 "; or the memory can't be in such chunks: take huge pages" :
			 "");
}

static int explain_memory(const struct zcrx_area *areas, unsigned int nr_areas,
			  const char *name)
{
	size_t size = 0;
	unsigned int i;

	for (i = 0; i < nr_areas; i++)
		size += areas[i].size;

	return zcrx_fail(-ENOMEM, "%zu bytes of memory can't be pinned for %s: raise ulimit -l, or ask for less",
			 size, name);
}

/**
 * zcrx_register_explain() - say why a queue can't be registered
 * @ring: the ring
 * @params: what was wanted
 * @areas: memory
 * @nr_areas: their number
 * @err: what came of it
 *
 * Return: @err, with a sentence.
 */
int zcrx_register_explain(const struct io_uring *ring,
			  const struct zcrx_params *params,
			  const struct zcrx_area *areas, unsigned int nr_areas,
			  int err)
{
	char buf[NAME_SIZE];
	const char *name = name_of(params, buf);

	switch (err) {
	case -EPERM:
		return zcrx_fail(err, "zero copy on %s needs CAP_NET_ADMIN: run as root",
				 name);
	case -ENODEV:
		return zcrx_fail(err, "there is no network interface with index %u: ip link shows those that there are",
				 params->if_idx);
	case -ENETDOWN:
		return zcrx_fail(err, "%s is down: ip link set %s up", name,
				 name);
	case -EBUSY:
		return zcrx_fail(err, "XDP or AF_XDP is in use on %s: zcrxctl doctor %s says how to take it off",
				 name, name);
	case -EEXIST:
		return zcrx_fail(err, "receive queue %u of %s is in use by another program: take another one; or the ring is another task's",
				 params->rxq, name);
	case -EFAULT:
		return zcrx_fail(err, "memory of an area for %s is not mapped, or can't be written to",
				 name);
	case -ENOMEM:
		return explain_memory(areas, nr_areas, name);
	case -EINVAL:
		return explain_invalid(ring, params);
	case -EOPNOTSUPP:
		return explain_unsupported(params, name);
	case -ERANGE:
		return explain_range(params, name);
	}

	return zcrx_fail(err, "can't register a queue of %s: %s", name,
			 strerror(-err));
}
