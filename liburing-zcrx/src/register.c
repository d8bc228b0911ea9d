// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Registration: memory for the rings, the system call, and where the kernel
 * put things. Of an ifq that is exported the kernel allocates the rings: who
 * imports it maps them, and maps the area, which is a file.
 */
#include <errno.h>
#include <liburing-zcrx.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "nic.h"
#include "ring.h"
#include "syscall.h"

/* Bounds the arithmetic; the kernel's limit is lower. */
#define MAX_ENTRIES	(1U << 24)

/* Entries of all rings have this size. */
#define ENTRY_SIZE	16

/* Flags from here on need struct zcrx_abi_ext_reg. */
#define EXT_FLAGS	0xffff0000U

/* The arguments of the system call; they point to each other. */
struct registration {
	struct zcrx_abi_ifq_reg		reg;
	struct zcrx_abi_ext_reg		ext;
	struct zcrx_abi_region_desc	refill;
	struct zcrx_abi_region_desc	rbuf;
	struct zcrx_abi_area_reg	*areas;
};

static __u64 to_u64(const void *p)
{
	return (uintptr_t)p;
}

static void *from_u64(__u64 v)
{
	return (void *)(uintptr_t)v;
}

static unsigned int round_up_pow2(unsigned int n)
{
	unsigned int p = 1;

	while (p < n)
		p <<= 1;

	return p;
}

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t round_up_page(size_t n)
{
	return (n + page_size() - 1) & ~(page_size() - 1);
}

/* A page in front of the entries is more than any kernel's ring head takes. */
static size_t ring_size(unsigned int nr_entries)
{
	return round_up_page(1) +
	       round_up_page((size_t)round_up_pow2(nr_entries) * ENTRY_SIZE);
}

static void size_rings(struct zcrx_ring_sizes *sizes,
		       const struct zcrx_params *params)
{
	sizes->refill = ring_size(params->refill_entries);
	sizes->rbuf = params->rbuf_entries ? ring_size(params->rbuf_entries) :
					     0;
}

static void set_region(struct zcrx_abi_region_desc *desc, void *addr,
		       size_t size)
{
	desc->user_addr = to_u64(addr);
	desc->size = size;
	desc->flags = ZCRX_ABI_MEM_REGION_TYPE_USER;
}

static int check_params(const struct zcrx_params *params, unsigned int nr_areas)
{
	if (!nr_areas || !params->refill_entries)
		return zcrx_fail(-EINVAL, "there must be an area, and a refill ring with entries");
	if (params->refill_entries > MAX_ENTRIES ||
	    params->rbuf_entries > MAX_ENTRIES)
		return zcrx_fail(-EINVAL, "a ring has at most 32768 entries");

	/* Mainline's registration has room for one area. */
	if (!params->rbuf_entries &&
	    (nr_areas > 1 || params->flags & ZCRX_ABI_REG_RBUF))
		return zcrx_fail(-EINVAL, "without an rbuf ring there can be one area: set rbuf_entries");

	return 0;
}

static int alloc_rings(struct zcrx_ifq *ifq, struct registration *r,
		       const struct zcrx_params *params)
{
	struct zcrx_ring_sizes sizes;
	char *mem;

	size_rings(&sizes, params);
	mem = mmap(NULL, sizes.refill + sizes.rbuf, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return -errno;
	ifq->mem = mem;
	ifq->mem_size = sizes.refill + sizes.rbuf;

	set_region(&r->refill, mem, sizes.refill);
	if (sizes.rbuf)
		set_region(&r->rbuf, mem + sizes.refill, sizes.rbuf);

	return 0;
}

static int note_areas(struct zcrx_ifq *ifq, const struct zcrx_area *areas,
		      unsigned int nr_areas)
{
	unsigned int i;

	ifq->area_addrs = calloc(nr_areas, sizeof(*ifq->area_addrs));
	if (!ifq->area_addrs)
		return -ENOMEM;
	for (i = 0; i < nr_areas; i++)
		ifq->area_addrs[i] = areas[i].addr;

	return 0;
}

static int copy_areas(struct registration *r, const struct zcrx_area *areas,
		      unsigned int nr_areas)
{
	unsigned int i;

	r->areas = calloc(nr_areas, sizeof(*r->areas));
	if (!r->areas)
		return -ENOMEM;

	for (i = 0; i < nr_areas; i++) {
		r->areas[i].addr = to_u64(areas[i].addr);
		r->areas[i].len = areas[i].size;
	}

	return 0;
}

static size_t total_size(const struct registration *r, unsigned int nr_areas)
{
	size_t size = 0;
	unsigned int i;

	for (i = 0; i < nr_areas; i++)
		size += r->areas[i].len;

	return size;
}

static void fill_args(struct registration *r, const struct zcrx_params *params,
		      unsigned int nr_areas)
{
	struct zcrx_abi_ifq_reg *reg = &r->reg;

	reg->if_idx = params->if_idx;
	reg->if_rxq = params->rxq;
	reg->rq_entries = params->refill_entries;
	reg->flags = params->flags;
	reg->rx_buf_len = params->chunk_size;
	if (reg->rx_buf_len == ZCRX_CHUNK_BY_MTU)
		reg->rx_buf_len = zcrx_chunk_by_mtu(params->if_idx,
						    total_size(r, nr_areas));
	reg->area_ptr = to_u64(r->areas);
	reg->region_ptr = to_u64(&r->refill);
	if (params->rbuf_entries)
		reg->flags |= ZCRX_ABI_REG_RBUF;
	if (!(reg->flags & EXT_FLAGS))
		return;

	reg->ext_ptr = to_u64(&r->ext);
	r->ext.size = sizeof(r->ext);
	r->ext.nr_areas = nr_areas;
	if (!params->rbuf_entries)
		return;

	r->ext.rbuf_entries = params->rbuf_entries;
	r->ext.rbuf_region_ptr = to_u64(&r->rbuf);
}

static void init_refill(struct zcrx_refill_ring *refill,
			const struct registration *r)
{
	char *mem = from_u64(r->refill.user_addr);

	refill->khead = (__u32 *)(mem + r->reg.offsets.head);
	refill->ktail = (__u32 *)(mem + r->reg.offsets.tail);
	refill->rqes = mem + r->reg.offsets.rqes;
	refill->nr_entries = r->reg.rq_entries;
}

static void init_rbuf(struct zcrx_rbuf_ring *rbuf, const struct registration *r)
{
	char *mem = from_u64(r->rbuf.user_addr);

	rbuf->hdr = (struct zcrx_rbuf_hdr *)(mem + r->ext.rbuf_offsets.hdr);
	rbuf->cqes = (struct zcrx_rbuf_cqe *)(mem + r->ext.rbuf_offsets.cqes);
	rbuf->nr_entries = r->ext.rbuf_entries;
}

/* Before the kernel has touched the queue. Old ones do not know of chunk sizes. */
static bool refuses_chunks(int err)
{
	return err == -EOPNOTSUPP || err == -ERANGE || err == -EINVAL;
}

static int call(struct io_uring *ring, struct registration *r,
		const struct zcrx_params *params)
{
	int ret = zcrx_ring_register(ring, ZCRX_REGISTER_IFQ, &r->reg, 1);

	if (params->chunk_size != ZCRX_CHUNK_BY_MTU || !r->reg.rx_buf_len ||
	    !refuses_chunks(ret))
		return ret;
	r->reg.rx_buf_len = 0;

	return zcrx_ring_register(ring, ZCRX_REGISTER_IFQ, &r->reg, 1);
}

/* With its regions set */
static int submit(struct registration *r, struct io_uring *ring,
		  struct zcrx_params *params, const struct zcrx_area *areas,
		  unsigned int nr_areas, struct zcrx_ifq *ifq)
{
	int ret = copy_areas(r, areas, nr_areas);

	if (ret)
		return ret;
	fill_args(r, params, nr_areas);
	ret = call(ring, r, params);
	free(r->areas);
	if (ret < 0)
		return ret;

	ifq->ring = ring;
	ifq->id = r->reg.zcrx_id;
	/* The first mainline kernels know pages only, and do not say so. */
	params->chunk_size = r->reg.rx_buf_len ?: (unsigned int)page_size();
	params->refill_entries = r->reg.rq_entries;
	params->rbuf_entries = r->ext.rbuf_entries;

	return 0;
}

/**
 * zcrx_register() - bind a ring to a receive queue
 * @ring: the ring; stays where it is
 * @params: what is wanted; then, what it is
 * @areas: memory to receive into; the array may go, the memory stays the
 *	   caller's
 * @nr_areas: their number
 * @ifq: filled in
 *
 * Return: 0 or a negative errno, with nothing registered or allocated;
 * zcrx_error() tells why.
 */
int zcrx_register(struct io_uring *ring, struct zcrx_params *params,
		  const struct zcrx_area *areas, unsigned int nr_areas,
		  struct zcrx_ifq *ifq)
{
	struct registration r = { .areas = NULL };
	int ret;

	memset(ifq, 0, sizeof(*ifq));
	ret = check_params(params, nr_areas);
	if (ret)
		return ret;

	ret = alloc_rings(ifq, &r, params);
	if (!ret)
		ret = note_areas(ifq, areas, nr_areas);
	if (!ret)
		ret = submit(&r, ring, params, areas, nr_areas, ifq);
	if (ret) {
		zcrx_unregister(ifq);
		return zcrx_register_explain(ring, params, areas, nr_areas,
					     ret);
	}

	init_refill(&ifq->refill, &r);
	if (params->rbuf_entries)
		init_rbuf(&ifq->rbuf, &r);

	return 0;
}

/**
 * zcrx_register_to_export() - bind a ring to a receive queue, for others to use
 * @ring: the ring; stays where it is
 * @params: what is wanted; then, what it is
 * @area: memory to receive into, the caller's
 * @ifq: filled in, for zcrx_ifq_export() and zcrx_unregister() alone: its rings
 *	 are not mapped
 * @sizes: filled in
 *
 * Return: 0 or a negative errno, with nothing registered; zcrx_error() tells why.
 */
int zcrx_register_to_export(struct io_uring *ring, struct zcrx_params *params,
			    const struct zcrx_area *area, struct zcrx_ifq *ifq,
			    struct zcrx_ring_sizes *sizes)
{
	struct registration r = { .areas = NULL };
	int ret;

	memset(ifq, 0, sizeof(*ifq));
	ret = check_params(params, 1);
	if (ret)
		return ret;
	size_rings(sizes, params);
	r.refill.size = sizes->refill;
	r.rbuf.size = sizes->rbuf;
	ret = submit(&r, ring, params, area, 1, ifq);

	return ret ? zcrx_register_explain(ring, params, area, 1, ret) : 0;
}

/**
 * zcrx_ifq_export() - make a file of an ifq
 * @ifq: the ifq
 *
 * Return: a file descriptor, the caller's, or a negative errno.
 */
int zcrx_ifq_export(const struct zcrx_ifq *ifq)
{
	struct zcrx_abi_ctrl ctrl = {
		.zcrx_id	= ifq->id,
		.op		= ZCRX_ABI_CTRL_EXPORT,
	};
	int ret;

	ret = zcrx_ring_register(ifq->ring, ZCRX_REGISTER_CTRL, &ctrl, 0);

	return ret < 0 ? ret : (int)ctrl.zc_export.zcrx_fd;
}

/* An address, or 0 with @ret a negative errno */
static __u64 map_region(const struct io_uring *ring, size_t size, __u64 offset,
			int *ret)
{
	void *mem = NULL;

	*ret = zcrx_sys_map_ring(ring->ring_fd, size, offset, &mem);

	return *ret ? 0 : to_u64(mem);
}

static int map_rings(struct zcrx_ifq *ifq, struct registration *r,
		     const struct zcrx_ring_sizes *sizes)
{
	__u64 id = (__u64)ifq->id << ZCRX_ABI_OFF_ZCRX_SHIFT;
	int ret;

	r->refill.user_addr = map_region(ifq->ring, sizes->refill,
					 ZCRX_ABI_MAP_OFF_ZCRX_REGION + id,
					 &ret);
	if (ret)
		return ret;
	ifq->mem = from_u64(r->refill.user_addr);
	ifq->mem_size = sizes->refill;
	if (!sizes->rbuf)
		return 0;

	r->rbuf.user_addr = map_region(ifq->ring, sizes->rbuf,
				       ZCRX_ABI_MAP_OFF_RBUF_REGION + id, &ret);
	if (ret)
		return ret;
	ifq->rbuf_mem = from_u64(r->rbuf.user_addr);
	ifq->rbuf_mem_size = sizes->rbuf;

	return 0;
}

static bool fits(size_t size, __u32 offset, __u32 nr_entries)
{
	return nr_entries && !(nr_entries & (nr_entries - 1)) &&
	       offset + (__u64)nr_entries * ENTRY_SIZE <= size;
}

/* Mainline does not tell how many entries there are. */
static int check_rings(struct registration *r, const struct zcrx_params *params,
		       const struct zcrx_ring_sizes *sizes)
{
	r->reg.rq_entries = params->refill_entries;
	if (!fits(sizes->refill, r->reg.offsets.rqes, r->reg.rq_entries) ||
	    (sizes->rbuf && !fits(sizes->rbuf, r->ext.rbuf_offsets.cqes,
				  r->ext.rbuf_entries)))
		return -EPROTO;

	return 0;
}

/**
 * zcrx_ifq_import() - use an ifq that was exported
 * @ring: the ring; stays where it is
 * @fd: the ifq, as a file, which may be closed afterwards
 * @params: what the exporter registered
 * @sizes: what it needs
 * @area: memory of the ifq, mapped by the caller
 * @ifq: filled in; zcrx_unregister() frees
 *
 * Return: 0 or a negative errno; -EPROTO: what the exporter says is not so. In
 * both cases the ring may have the ifq, until it is closed.
 */
int zcrx_ifq_import(struct io_uring *ring, int fd,
		    const struct zcrx_params *params,
		    const struct zcrx_ring_sizes *sizes,
		    const struct zcrx_area *area, struct zcrx_ifq *ifq)
{
	struct registration r = { .areas = NULL };
	int ret;

	memset(ifq, 0, sizeof(*ifq));
	r.reg.if_idx = (__u32)fd;
	r.reg.flags = ZCRX_ABI_REG_IMPORT;
	if (sizes->rbuf) {
		r.reg.flags |= ZCRX_ABI_REG_RBUF;
		r.reg.ext_ptr = to_u64(&r.ext);
		r.ext.size = sizeof(r.ext);
	}
	ret = zcrx_ring_register(ring, ZCRX_REGISTER_IFQ, &r.reg, 1);
	if (ret < 0)
		return ret;

	ifq->ring = ring;
	ifq->id = r.reg.zcrx_id;
	ret = check_rings(&r, params, sizes);
	if (!ret)
		ret = map_rings(ifq, &r, sizes);
	if (!ret)
		ret = note_areas(ifq, area, 1);
	if (ret) {
		zcrx_unregister(ifq);
		return ret;
	}
	init_refill(&ifq->refill, &r);
	if (sizes->rbuf)
		init_rbuf(&ifq->rbuf, &r);

	return 0;
}

/**
 * zcrx_unregister() - free what zcrx_register() allocated
 * @ifq: the ifq, not to be used any more
 *
 * The queue itself goes back to the system when the ring is closed: call
 * io_uring_queue_exit() first.
 */
void zcrx_unregister(struct zcrx_ifq *ifq)
{
	if (ifq->mem)
		munmap(ifq->mem, ifq->mem_size);
	if (ifq->rbuf_mem)
		munmap(ifq->rbuf_mem, ifq->rbuf_mem_size);
	free(ifq->area_addrs);
	memset(ifq, 0, sizeof(*ifq));
}
