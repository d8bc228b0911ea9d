// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ifq.h"

/* Room in front of a ring's entries, whatever the kernel puts there */
#define RING_HEADER	4096

/**
 * ifq_mmap() - get zeroed pages
 * @size: in bytes
 *
 * Return: their address, or NULL.
 */
void *ifq_mmap(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void args_init_region(struct io_uring_region_desc *desc, __u32 entries)
{
	size_t size = RING_HEADER + entries * sizeof(struct io_uring_zcrx_rqe);

	desc->size = (size + 4095) & ~4095UL;
	desc->user_addr = (unsigned long)ifq_mmap(desc->size);
	desc->flags = IORING_MEM_REGION_TYPE_USER;
}

/**
 * ifq_args_init() - arguments of an ordinary registration: user's memory, one
 *		     area, chunks of a page
 * @args: filled in
 * @ifindex: the interface
 * @rxq: its receive queue
 * @rbuf: use an rbuf ring
 * @area_size: in bytes
 * @entries: size of the rings
 */
void ifq_args_init(struct ifq_args *args, unsigned int ifindex,
		   unsigned int rxq, bool rbuf, size_t area_size,
		   __u32 entries)
{
	memset(args, 0, sizeof(*args));
	args->reg.if_idx = ifindex;
	args->reg.if_rxq = rxq;
	args->reg.rq_entries = entries;
	args->reg.area_ptr = (unsigned long)args->areas;
	args->reg.region_ptr = (unsigned long)&args->refill;
	args_init_region(&args->refill, entries);
	ifq_args_set_area(args, 0, ifq_mmap(area_size), area_size);

	if (!rbuf)
		return;

	args->reg.flags = ZCRX_REG_RBUF;
	args->reg.ext_ptr = (unsigned long)&args->ext;
	args->ext.size = sizeof(args->ext);
	args->ext.rbuf_entries = entries;
	args->ext.rbuf_region_ptr = (unsigned long)&args->rbuf;
	args_init_region(&args->rbuf, entries);
}

/**
 * ifq_args_set_area() - say what to receive into
 * @args: initialised
 * @idx: number of the area
 * @addr: its memory
 * @size: in bytes
 */
void ifq_args_set_area(struct ifq_args *args, unsigned int idx, void *addr,
		       size_t size)
{
	args->areas[idx].addr = (unsigned long)addr;
	args->areas[idx].len = size;
	if (idx)
		args->ext.nr_areas = idx + 1;
}

static void unmap(__u64 addr, __u64 size)
{
	if (addr)
		munmap((void *)(unsigned long)addr, size);
}

/**
 * ifq_args_free() - unmap the memory
 * @args: initialised
 */
void ifq_args_free(struct ifq_args *args)
{
	unsigned int i;

	for (i = 0; i < IFQ_MAX_AREAS; i++)
		unmap(args->areas[i].addr, args->areas[i].len);
	unmap(args->refill.user_addr, args->refill.size);
	unmap(args->rbuf.user_addr, args->rbuf.size);
}

/* Address of a region: the user's memory, or the kernel's, to be mapped. */
static void *region_addr(struct ifq *ifq, struct io_uring_region_desc *desc)
{
	void *p;

	if (desc->flags & IORING_MEM_REGION_TYPE_USER)
		return (void *)(unsigned long)desc->user_addr;

	p = mmap(NULL, desc->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		 ifq->ring->fd, desc->mmap_offset);

	return p == MAP_FAILED ? NULL : p;
}

/**
 * ifq_register() - register an interface queue
 * @ifq: filled in
 * @ring: to register with
 * @args: arguments; what the kernel returns is there afterwards
 *
 * Return: 0 or a negative error.
 */
int ifq_register(struct ifq *ifq, struct uring *ring, struct ifq_args *args)
{
	struct io_uring_zcrx_ifq_reg *reg = &args->reg;
	void *region;
	int ret;

	ret = uring_register(ring, REGISTER_ZCRX_IFQ, reg, 1);
	if (ret)
		return ret;

	memset(ifq, 0, sizeof(*ifq));
	ifq->ring = ring;
	ifq->id = reg->zcrx_id;
	ifq->has_rbuf = reg->flags & ZCRX_REG_RBUF;
	memcpy(ifq->areas, args->areas, sizeof(ifq->areas));

	region = region_addr(ifq, &args->refill);
	if (!region)
		return -errno;
	ifq->refill_uhead = region + reg->offsets.head;
	ifq->refill_utail = region + reg->offsets.tail;
	ifq->refill_rqes = region + reg->offsets.rqes;
	ifq->refill_mask = reg->rq_entries - 1;

	if (!ifq->has_rbuf)
		return 0;

	region = region_addr(ifq, &args->rbuf);
	if (!region)
		return -errno;
	ifq->hdr = region + args->ext.rbuf_offsets.hdr;
	ifq->cqes = region + args->ext.rbuf_offsets.cqes;
	ifq->rbuf_mask = args->ext.rbuf_entries - 1;

	return 0;
}

/**
 * ifq_addr() - where received bytes are
 * @ifq: the ifq
 * @off: offset, area id in the upper bits
 *
 * Return: their address.
 */
void *ifq_addr(const struct ifq *ifq, __u64 off)
{
	__u64 area = off >> IORING_ZCRX_AREA_SHIFT;

	off &= ~IORING_ZCRX_AREA_MASK;

	return (void *)(unsigned long)(ifq->areas[area].addr + off);
}

/**
 * ifq_give_back() - write an entry of the refill ring
 * @ifq: the ifq
 * @off: any offset in the chunk, area id in the upper bits
 *
 * The kernel sees it after ifq_refill_submit().
 *
 * Return: whether there was room.
 */
bool ifq_give_back(struct ifq *ifq, __u64 off)
{
	__u32 head = __atomic_load_n(ifq->refill_uhead, __ATOMIC_ACQUIRE);
	__u32 idx = ifq->refill_tail & ifq->refill_mask;

	if (ifq->refill_tail - head > ifq->refill_mask)
		return false;

	if (ifq->has_rbuf) {
		struct io_uring_rbuf_rqe *rqes = ifq->refill_rqes;

		rqes[idx] = (struct io_uring_rbuf_rqe) {
			.off	= off & ~IORING_ZCRX_AREA_MASK,
			.region	= off >> IORING_ZCRX_AREA_SHIFT,
		};
	} else {
		struct io_uring_zcrx_rqe *rqes = ifq->refill_rqes;

		rqes[idx] = (struct io_uring_zcrx_rqe) { .off = off };
	}
	ifq->refill_tail++;

	return true;
}

/**
 * ifq_refill_submit() - show the kernel what was written to the refill ring
 * @ifq: the ifq
 */
void ifq_refill_submit(struct ifq *ifq)
{
	__atomic_store_n(ifq->refill_utail, ifq->refill_tail, __ATOMIC_RELEASE);
}

/**
 * ifq_rbuf_available() - how many entries of the rbuf ring are there to read?
 * @ifq: the ifq
 *
 * Return: their number.
 */
__u32 ifq_rbuf_available(const struct ifq *ifq)
{
	return __atomic_load_n(&ifq->hdr->producer, __ATOMIC_ACQUIRE) -
	       ifq->consumer;
}

/**
 * ifq_rbuf_read() - read the oldest entry of the rbuf ring
 * @ifq: the ifq, with an entry available
 *
 * The kernel may reuse it after ifq_rbuf_release().
 *
 * Return: the entry.
 */
struct io_uring_rbuf_cqe ifq_rbuf_read(struct ifq *ifq)
{
	return ifq->cqes[ifq->consumer++ & ifq->rbuf_mask];
}

/**
 * ifq_rbuf_release() - show the kernel what was read from the rbuf ring
 * @ifq: the ifq
 */
void ifq_rbuf_release(struct ifq *ifq)
{
	__atomic_store_n(&ifq->hdr->consumer, ifq->consumer, __ATOMIC_RELEASE);
}

/**
 * ifq_rbuf_may_sleep() - ask for a CQE when there is something to read
 * @ifq: the ifq
 *
 * Return: whether the rbuf ring is still empty.
 */
bool ifq_rbuf_may_sleep(struct ifq *ifq)
{
	__atomic_store_n(&ifq->hdr->uflags, IORING_RBUF_U_WAKEUP,
			 __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);

	return !ifq_rbuf_available(ifq);
}

/**
 * ifq_needs_kick() - has a request paused?
 * @ifq: the ifq
 *
 * Return: whether the kernel wants ifq_kick(), after something was consumed and
 * given back.
 */
bool ifq_needs_kick(const struct ifq *ifq)
{
	if (!ifq->has_rbuf)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);

	return __atomic_load_n(&ifq->hdr->kflags, __ATOMIC_RELAXED) &
	       IORING_RBUF_K_NEED_KICK;
}

/**
 * ifq_kick() - have requests go on that paused
 * @ifq: the ifq
 *
 * Return: 0 or a negative error.
 */
int ifq_kick(struct ifq *ifq)
{
	struct zcrx_ctrl ctrl = {
		.zcrx_id	= ifq->id,
		.op		= ZCRX_CTRL_RESUME,
	};

	return uring_register(ifq->ring, REGISTER_ZCRX_CTRL, &ctrl, 0);
}

/**
 * ifq_read_stats() - read the kernel's counters
 * @ifq: the ifq
 * @stats: filled in
 *
 * Return: whether they were there.
 */
bool ifq_read_stats(const struct ifq *ifq, struct ifq_stats *stats)
{
	char path[64], prefix[32], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ifq->ring->fd);
	snprintf(prefix, sizeof(prefix), "zcrx-%u:", ifq->id);
	f = fopen(path, "r");
	if (!f)
		return false;

	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, prefix, strlen(prefix)))
			continue;
		found = sscanf(line + strlen(prefix),
			       " rxq=%*u chunks=%llu free=%llu lent_pages=%llu invalid_refills=%llu pauses=%llu zc_bytes=%llu copied_linear=%llu copied_page=%llu copied_foreign=%llu",
			       &stats->chunks, &stats->free, &stats->lent_pages,
			       &stats->invalid_refills, &stats->pauses,
			       &stats->zc_bytes, &stats->copied_linear,
			       &stats->copied_page,
			       &stats->copied_foreign) == 9;
	}
	fclose(f);

	return found;
}
