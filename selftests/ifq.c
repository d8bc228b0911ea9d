// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ifq.h"

/* Room in front of a ring's entries, whatever the kernel puts there */
#define RING_HEADER	4096

/* How often to look for an ifq in fdinfo, a millisecond apart */
#define READ_ATTEMPTS	100

/* Flags from this bit up need a struct io_uring_zcrx_ext_reg. */
#define FIRST_EXT_FLAG	16

static void *map_zeroed(size_t size, int flags)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | flags,
		       -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/**
 * ifq_mmap() - get zeroed pages
 * @size: in bytes
 *
 * Return: their address, or NULL.
 */
void *ifq_mmap(size_t size)
{
	return map_zeroed(size, 0);
}

/**
 * ifq_mmap_huge() - get zeroed huge pages
 * @size: in bytes, rounded up to theirs
 *
 * Return: their address, or NULL.
 */
void *ifq_mmap_huge(size_t size)
{
	return map_zeroed(size, MAP_HUGETLB);
}

static void args_init_region(struct io_uring_region_desc *desc, __u32 entries)
{
	size_t size = RING_HEADER + entries * sizeof(struct io_uring_zcrx_rqe) +
		      sizeof(struct zcrx_stats);

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

	ifq_args_add_flags(args, ZCRX_REG_RBUF);
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

/**
 * ifq_args_add_flags() - want something more of the ifq
 * @args: initialised
 * @flags: enum io_uring_zcrx_reg_flags
 */
void ifq_args_add_flags(struct ifq_args *args, __u32 flags)
{
	args->reg.flags |= flags;
	if (flags < 1U << FIRST_EXT_FLAG)
		return;
	args->reg.ext_ptr = (unsigned long)&args->ext;
	args->ext.size = sizeof(args->ext);
}

/**
 * ifq_args_set_nodev() - do without a NIC, and with chunks of a page
 * @args: initialised
 */
void ifq_args_set_nodev(struct ifq_args *args)
{
	args->reg.if_idx = 0;
	args->reg.if_rxq = 0;
	args->reg.rx_buf_len = 0;
	ifq_args_add_flags(args, ZCRX_REG_NODEV);
}

/**
 * ifq_args_set_events() - have events posted, and numbers kept behind the
 *			   refill ring's entries
 * @args: initialised
 * @user_data: of the completions
 * @type_mask: which events
 */
void ifq_args_set_events(struct ifq_args *args, __u64 user_data,
			 __u32 type_mask)
{
	args->reg.event_desc = (unsigned long)&args->events;
	args->events.user_data = user_data;
	args->events.type_mask = type_mask;
	args->events.flags = ZCRX_EVENT_DESC_FLAG_STATS;
	args->events.stats_offset = args->refill.size -
				    sizeof(struct zcrx_stats);
}

static void use_kernel_memory(struct io_uring_region_desc *desc)
{
	if (desc->user_addr)
		munmap((void *)(unsigned long)desc->user_addr, desc->size);
	desc->user_addr = 0;
	desc->flags = 0;
}

/**
 * ifq_args_use_kernel_memory() - have the kernel allocate the rings
 * @args: initialised
 */
void ifq_args_use_kernel_memory(struct ifq_args *args)
{
	use_kernel_memory(&args->refill);
	use_kernel_memory(&args->rbuf);
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

static void *map_region(struct ifq *ifq, size_t size, __u64 offset)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       ifq->ring->fd, offset);

	if (p == MAP_FAILED)
		return NULL;
	ifq->maps[ifq->nr_maps++] = (struct ifq_map) { p, size };

	return p;
}

/* Address of a region: the user's memory, or the kernel's, to be mapped. */
static void *region_addr(struct ifq *ifq,
			 const struct io_uring_region_desc *desc)
{
	if (desc->flags & IORING_MEM_REGION_TYPE_USER)
		return (void *)(unsigned long)desc->user_addr;

	return map_region(ifq, desc->size, desc->mmap_offset);
}

static void init_ifq(struct ifq *ifq, struct uring *ring,
		     const struct ifq_args *args)
{
	memset(ifq, 0, sizeof(*ifq));
	ifq->ring = ring;
	ifq->id = args->reg.zcrx_id;
	ifq->has_rbuf = args->reg.flags & ZCRX_REG_RBUF;
}

static void set_refill(struct ifq *ifq, const struct io_uring_zcrx_ifq_reg *reg,
		       void *region)
{
	ifq->refill_uhead = region + reg->offsets.head;
	ifq->refill_utail = region + reg->offsets.tail;
	ifq->refill_rqes = region + reg->offsets.rqes;
	ifq->refill_mask = reg->rq_entries - 1;
	ifq->refill_tail = *ifq->refill_utail;
}

static void set_rbuf(struct ifq *ifq, const struct io_uring_zcrx_ext_reg *ext,
		     void *region)
{
	ifq->hdr = region + ext->rbuf_offsets.hdr;
	ifq->cqes = region + ext->rbuf_offsets.cqes;
	ifq->rbuf_mask = ext->rbuf_entries - 1;
	ifq->consumer = ifq->hdr->consumer;
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

	init_ifq(ifq, ring, args);
	memcpy(ifq->areas, args->areas, sizeof(ifq->areas));

	region = region_addr(ifq, &args->refill);
	if (!region)
		return -errno;
	set_refill(ifq, reg, region);
	if (reg->event_desc)
		ifq->stats = region + args->events.stats_offset;
	if (!ifq->has_rbuf)
		return 0;

	region = region_addr(ifq, &args->rbuf);
	if (!region)
		return -errno;
	set_rbuf(ifq, &args->ext, region);

	return 0;
}

/**
 * ifq_args_init_import() - arguments to import an ifq with
 * @args: filled in
 * @fd: what ifq_export() returned
 * @rbuf: the ifq has an rbuf ring
 */
void ifq_args_init_import(struct ifq_args *args, int fd, bool rbuf)
{
	memset(args, 0, sizeof(*args));
	args->reg.if_idx = fd;
	ifq_args_add_flags(args, ZCRX_REG_IMPORT);
	if (rbuf)
		ifq_args_add_flags(args, ZCRX_REG_RBUF);
}

static size_t region_size(size_t entries_offset, __u32 nr_entries)
{
	/* Entries of both rings, in all formats */
	size_t size = entries_offset + nr_entries * 16UL;

	return (size + 4095) & ~4095UL;
}

/**
 * ifq_import() - import an ifq whose rings the kernel allocated
 * @ifq: filled in
 * @ring: to register with
 * @args: from ifq_args_init_import(); what the kernel returns is there afterwards
 * @exported: knows where the areas are mapped in this process
 *
 * Return: 0 or a negative error.
 */
int ifq_import(struct ifq *ifq, struct uring *ring, struct ifq_args *args,
	       const struct ifq *exported)
{
	struct io_uring_zcrx_ifq_reg *reg = &args->reg;
	struct io_uring_zcrx_ext_reg *ext = &args->ext;
	__u64 id_offset;
	void *region;
	int ret;

	ret = uring_register(ring, REGISTER_ZCRX_IFQ, reg, 1);
	if (ret)
		return ret;

	init_ifq(ifq, ring, args);
	memcpy(ifq->areas, exported->areas, sizeof(ifq->areas));
	id_offset = (__u64)ifq->id << IORING_OFF_ZCRX_SHIFT;

	region = map_region(ifq, region_size(reg->offsets.rqes, reg->rq_entries),
			    IORING_MAP_OFF_ZCRX_REGION + id_offset);
	if (!region)
		return -errno;
	set_refill(ifq, reg, region);
	if (!ifq->has_rbuf)
		return 0;

	region = map_region(ifq, region_size(ext->rbuf_offsets.cqes,
					     ext->rbuf_entries),
			    IORING_MAP_OFF_RBUF_REGION + id_offset);
	if (!region)
		return -errno;
	set_rbuf(ifq, ext, region);

	return 0;
}

/**
 * ifq_unmap() - unmap rings that the kernel allocated
 * @ifq: not to be used any more
 *
 * While they are mapped the io_uring is not closed, whatever close() is told.
 */
void ifq_unmap(struct ifq *ifq)
{
	while (ifq->nr_maps) {
		struct ifq_map *map = &ifq->maps[--ifq->nr_maps];

		munmap(map->addr, map->size);
	}
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
 * ifq_rbuf_may_sleep() - ask for a CQE when there is something to do
 * @ifq: the ifq
 *
 * Return: whether the rbuf ring is still empty, and nothing has paused.
 */
bool ifq_rbuf_may_sleep(struct ifq *ifq)
{
	__atomic_store_n(&ifq->hdr->uflags, IORING_RBUF_U_WAKEUP,
			 __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);

	return !ifq_rbuf_available(ifq) && !ifq_needs_kick(ifq);
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

static int ctrl(struct ifq *ifq, struct zcrx_ctrl *ctrl)
{
	ctrl->zcrx_id = ifq->id;

	return uring_register(ifq->ring, REGISTER_ZCRX_CTRL, ctrl, 0);
}

/**
 * ifq_kick() - have requests go on that paused
 * @ifq: the ifq
 *
 * Return: 0 or a negative error.
 */
int ifq_kick(struct ifq *ifq)
{
	return ctrl(ifq, &(struct zcrx_ctrl) { .op = ZCRX_CTRL_RESUME });
}

/**
 * ifq_flush() - have the kernel take what is in the refill ring
 * @ifq: the ifq
 *
 * Return: 0 or a negative error.
 */
int ifq_flush(struct ifq *ifq)
{
	return ctrl(ifq, &(struct zcrx_ctrl) { .op = ZCRX_CTRL_FLUSH_RQ });
}

/**
 * ifq_export() - make a file to be imported
 * @ifq: the ifq
 *
 * Return: its descriptor or a negative error.
 */
int ifq_export(struct ifq *ifq)
{
	struct zcrx_ctrl arg = { .op = ZCRX_CTRL_EXPORT };

	return ctrl(ifq, &arg) ?: (int)arg.zc_export.zcrx_fd;
}

/**
 * ifq_arm_event() - be told the next event of a type
 * @ifq: the ifq
 * @type: enum zcrx_event_type
 *
 * Return: 0 or a negative error.
 */
int ifq_arm_event(struct ifq *ifq, __u32 type)
{
	return ctrl(ifq, &(struct zcrx_ctrl) {
		.op			= ZCRX_CTRL_ARM_EVENT,
		.zc_arm_event.event_type = type,
	});
}

/**
 * ifq_add_area() - one more area
 * @ifq: the ifq
 * @area: argument of the system call
 *
 * Who receives must be able to tell where the area is: put it into ifq->areas
 * before.
 *
 * Return: 0 or a negative error.
 */
int ifq_add_area(struct ifq *ifq, struct io_uring_zcrx_area_reg *area)
{
	return ctrl(ifq, &(struct zcrx_ctrl) {
		.op			= ZCRX_CTRL_ADD_AREA,
		.zc_add_area.area_ptr	= (unsigned long)area,
	});
}

/* Where a counter is in struct ifq_stats */
static const struct {
	const char	*name;
	size_t		offset;
} counters[] = {
#define COUNTER(_name) { #_name "=", offsetof(struct ifq_stats, _name) }
	COUNTER(if_idx),
	COUNTER(rxq),
	COUNTER(areas),
	COUNTER(chunks),
	COUNTER(free),
	COUNTER(held),
	COUNTER(lent_pages),
	COUNTER(lent_now),
	COUNTER(invalid_refills),
	COUNTER(pauses),
	COUNTER(ends),
	COUNTER(state_changes),
	COUNTER(zc_bytes),
	COUNTER(copies),
	COUNTER(copied_linear),
	COUNTER(copied_page),
	COUNTER(copied_foreign),
#undef COUNTER
};

#define NR_COUNTERS	(sizeof(counters) / sizeof(counters[0]))

static bool set_counter(struct ifq_stats *stats, const char *word)
{
	unsigned int i;

	for (i = 0; i < NR_COUNTERS; i++) {
		size_t len = strlen(counters[i].name);

		if (strncmp(word, counters[i].name, len))
			continue;
		*(unsigned long long *)((char *)stats + counters[i].offset) =
			strtoull(word + len, NULL, 10);
		return true;
	}

	return false;
}

/* All of it, whatever else may be there */
static bool parse_stats(struct ifq_stats *stats, char *line)
{
	unsigned int nr = 0;
	char *word, *save;

	for (word = strtok_r(line, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save)) {
		nr += set_counter(stats, word);
		if (!strncmp(word, "state=", 6))
			snprintf(stats->state, sizeof(stats->state), "%s",
				 word + 6);
	}
	stats->copying = !strcmp(stats->state, "copy");

	return *stats->state && nr == NR_COUNTERS;
}

static bool try_to_read_stats(int fd, __u32 id, struct ifq_stats *stats)
{
	char path[64], prefix[32], line[1024];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	snprintf(prefix, sizeof(prefix), "zcrx-%u:", id);
	f = fopen(path, "r");
	if (!f)
		return false;

	memset(stats, 0, sizeof(*stats));
	while (!found && fgets(line, sizeof(line), f))
		found = !strncmp(line, prefix, strlen(prefix)) &&
			parse_stats(stats, line + strlen(prefix));
	fclose(f);

	return found;
}

/**
 * ifq_read_stats_of() - read what a file shows of an ifq
 * @fd: an io_uring, or what ifq_export() returned
 * @id: what the ifq is called there
 * @stats: filled in
 *
 * An io_uring shows nothing while it is busy, as one with SQPOLL may be.
 *
 * Return: whether it was there.
 */
bool ifq_read_stats_of(int fd, __u32 id, struct ifq_stats *stats)
{
	unsigned int i;

	for (i = 0; i < READ_ATTEMPTS; i++) {
		if (try_to_read_stats(fd, id, stats))
			return true;
		usleep(1000);
	}

	return false;
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
	return ifq_read_stats_of(ifq->ring->fd, ifq->id, stats);
}
