// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* memfd_create() */
#endif
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../src/syscall.h"
#include "fake.h"

/* Not where the real kernel has them: the library must ask. */
#define REFILL_HEAD	192
#define REFILL_TAIL	320
#define REFILL_RQES	512
#define RBUF_HDR	128
#define RBUF_CQES	1024

#define MAX_ENTRIES	32768

#define ID		5U

/* Rings of the kernel's, as a file that processes share: struct rings first */
#define RINGS_MAGIC	0x5a435258
#define RINGS_REFILL	4096
#define RINGS_RBUF	(1 << 20)
#define RINGS_SIZE	(2 << 20)

struct rings {
	__u32	magic;
	__u32	refill_entries;
	__u32	rbuf_entries;
};

struct fake fake;

void fake_reset(enum fake_kind kind)
{
	memset(&fake, 0, sizeof(fake));
	fake.kind = kind;
	fake.privileged = true;
	fake.max_chunk = 16384;
	fake.chunk_err = -EOPNOTSUPP;
}

/*
 * System calls
 */

int zcrx_sys_setup(unsigned int entries, struct io_uring_params *params)
{
	(void)entries;
	(void)params;
	if (fake.kind == FAKE_ENOSYS)
		return -ENOSYS;

	return eventfd(0, EFD_CLOEXEC);
}

static int fake_probe(struct io_uring_probe *probe, unsigned int nr)
{
	unsigned int nr_ops = fake.kind == FAKE_NONE ? 58 : 59, i;

	if (nr > nr_ops)
		nr = nr_ops;
	probe->last_op = nr_ops - 1;
	probe->ops_len = nr;
	for (i = 0; i < nr; i++) {
		probe->ops[i].op = i;
		probe->ops[i].flags = IO_URING_OP_SUPPORTED;
	}

	return 0;
}

static unsigned int round_up_pow2(unsigned int n)
{
	while (n & (n - 1))
		n += n & -n;

	return n;
}

static bool readable(__u64 ptr)
{
	return ptr && ptr < UINT64_MAX - 4096;
}

static int check_region(const struct zcrx_abi_region_desc *desc, size_t need)
{
	if (desc->flags & ~ZCRX_ABI_MEM_REGION_TYPE_USER || desc->id ||
	    desc->mmap_offset)
		return -EINVAL;
	if (desc->user_addr % 4096 || desc->size % 4096 || desc->size < need)
		return -EINVAL;
	if (!desc->flags)
		return desc->user_addr ? -EINVAL : 0;

	return desc->user_addr ? 0 : -EFAULT;
}

static struct rings *make_rings(void)
{
	struct rings *rings;

	fake.rings_fd = memfd_create("fake", MFD_CLOEXEC);
	if (ftruncate(fake.rings_fd, RINGS_SIZE))
		return NULL;
	rings = mmap(NULL, RINGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		     fake.rings_fd, 0);
	rings->magic = RINGS_MAGIC;

	return rings;
}

/* Where a ring is: the caller's memory, or ours */
static char *memory_of(const struct zcrx_abi_region_desc *desc, size_t at,
		       __u32 nr_entries)
{
	static struct rings *rings;

	if (desc->flags)
		return (char *)(uintptr_t)desc->user_addr;
	if (at == RINGS_REFILL) {
		rings = make_rings();
		rings->refill_entries = nr_entries;
	} else {
		rings->rbuf_entries = nr_entries;
	}

	return (char *)rings + at;
}

static int register_refill(struct zcrx_abi_ifq_reg *reg)
{
	struct zcrx_abi_region_desc *desc = (void *)(uintptr_t)reg->region_ptr;
	int ret;

	reg->rq_entries = round_up_pow2(reg->rq_entries);
	ret = check_region(desc, REFILL_RQES + reg->rq_entries * 16);
	if (ret)
		return ret;

	reg->offsets.head = REFILL_HEAD;
	reg->offsets.tail = REFILL_TAIL;
	reg->offsets.rqes = REFILL_RQES;
	fake.refill = memory_of(desc, RINGS_REFILL, reg->rq_entries);
	fake.refill_mask = reg->rq_entries - 1;

	return 0;
}

static int register_rbuf(struct zcrx_abi_ext_reg *ext)
{
	struct zcrx_abi_region_desc *desc;
	char *mem;
	int ret;

	if (ext->size != sizeof(*ext) || !ext->rbuf_entries ||
	    ext->rbuf_entries > MAX_ENTRIES)
		return -EINVAL;
	if (!readable(ext->rbuf_region_ptr))
		return -EFAULT;

	desc = (void *)(uintptr_t)ext->rbuf_region_ptr;
	ext->rbuf_entries = round_up_pow2(ext->rbuf_entries);
	ret = check_region(desc, RBUF_CQES + ext->rbuf_entries * 16);
	if (ret)
		return ret;

	ext->rbuf_offsets.hdr = RBUF_HDR;
	ext->rbuf_offsets.cqes = RBUF_CQES;
	mem = memory_of(desc, RINGS_RBUF, ext->rbuf_entries);
	fake.rbuf_hdr = (void *)(mem + RBUF_HDR);
	fake.rbuf_cqes = (void *)(mem + RBUF_CQES);
	fake.rbuf_mask = ext->rbuf_entries - 1;

	return 0;
}

static unsigned int known_flags(void)
{
	switch (fake.kind) {
	case FAKE_OURS:
		return ZCRX_ABI_REG_NODEV | ZCRX_ABI_REG_RBUF;
	case FAKE_MAINLINE:
		return ZCRX_ABI_REG_NODEV;
	default:
		return 0;
	}
}

static bool is_mainline(void)
{
	return fake.kind == FAKE_MAINLINE || fake.kind == FAKE_OLD_MAINLINE;
}

/* What else is zero */
static bool is_import(const struct zcrx_abi_ifq_reg *reg)
{
	struct zcrx_abi_ifq_reg rest = *reg;

	rest.if_idx = rest.flags = 0;
	rest.ext_ptr = 0;

	return !memcmp(&rest, &(struct zcrx_abi_ifq_reg) { .flags = 0 },
		       sizeof(rest));
}

static void import_rbuf(struct zcrx_abi_ext_reg *ext, struct rings *rings)
{
	char *mem = (char *)rings + RINGS_RBUF;

	ext->rbuf_offsets.hdr = RBUF_HDR;
	ext->rbuf_offsets.cqes = RBUF_CQES;
	ext->rbuf_entries = rings->rbuf_entries;
	ext->nr_areas = 1;
	fake.rbuf_hdr = (void *)(mem + RBUF_HDR);
	fake.rbuf_cqes = (void *)(mem + RBUF_CQES);
	fake.rbuf_mask = rings->rbuf_entries - 1;
}

static int fake_import(struct zcrx_abi_ifq_reg *reg)
{
	struct zcrx_abi_ext_reg *ext = (void *)(uintptr_t)reg->ext_ptr;
	struct rings *rings;

	if (!known_flags() || !is_import(reg))
		return -EINVAL;
	rings = mmap(NULL, RINGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		     reg->if_idx, 0);
	if (rings == MAP_FAILED)
		return errno == EBADF ? -EBADF : -EINVAL;
	if (rings->magic != RINGS_MAGIC ||
	    !(reg->flags & ZCRX_ABI_REG_RBUF) != !rings->rbuf_entries)
		return -EINVAL;

	fake.rings_fd = dup(reg->if_idx);
	fake.refill = (char *)rings + RINGS_REFILL;
	fake.refill_mask = rings->refill_entries - 1;
	reg->zcrx_id = ID;
	reg->offsets.head = REFILL_HEAD;
	reg->offsets.tail = REFILL_TAIL;
	reg->offsets.rqes = REFILL_RQES;
	if (rings->rbuf_entries)
		import_rbuf(ext, rings);

	return 0;
}

static int fake_register(struct zcrx_abi_ifq_reg *reg)
{
	struct zcrx_abi_area_reg *areas = (void *)(uintptr_t)reg->area_ptr;
	struct zcrx_abi_ext_reg *ext = (void *)(uintptr_t)reg->ext_ptr;
	unsigned int nr_areas = 1, need = IORING_SETUP_DEFER_TASKRUN |
					  IORING_SETUP_CQE32;
	int ret;

	if (fake.kind == FAKE_NONE)
		return -EINVAL;
	if (reg->flags & ZCRX_ABI_REG_IMPORT)
		return fake_import(reg);
	if (!fake.privileged)
		return -EPERM;
	if (is_mainline() && (fake.ring_flags & need) != need)
		return -EINVAL;
	if (is_mainline() && !readable(reg->region_ptr))
		return -EFAULT;
	if (reg->flags & ~known_flags())
		return -EINVAL;
	if (!readable(reg->region_ptr))
		return -EFAULT;
	if (!reg->rq_entries || reg->rq_entries > MAX_ENTRIES || reg->zcrx_id ||
	    reg->event_desc || reg->__resv ||
	    !(reg->flags & ZCRX_ABI_REG_RBUF) != !reg->ext_ptr)
		return -EINVAL;
	if (!(reg->flags & ZCRX_ABI_REG_RBUF) &&
	    (fake.ring_flags & need) != need)
		return -EINVAL;

	/* The field was reserved. */
	if (fake.kind == FAKE_OLD_MAINLINE && reg->rx_buf_len)
		return -EINVAL;

	fake.reg = *reg;
	if (reg->ext_ptr) {
		fake.ext = *ext;
		nr_areas = ext->nr_areas;
	}
	memcpy(fake.areas, areas, nr_areas * sizeof(*areas));
	if (reg->rx_buf_len > fake.max_chunk)
		return fake.chunk_err;
	if (fake.register_err &&
	    (!fake.err_ifindex || fake.err_ifindex == reg->if_idx))
		return fake.register_err;

	ret = register_refill(reg);
	if (!ret && reg->flags & ZCRX_ABI_REG_RBUF)
		ret = register_rbuf(ext);
	if (ret)
		return ret;
	reg->zcrx_id = ID;
	if (!reg->rx_buf_len && fake.kind != FAKE_OLD_MAINLINE)
		reg->rx_buf_len = 4096;

	return 0;
}

int zcrx_sys_map_ring(int fd, size_t size, uint64_t offset, void **mem)
{
	off_t at;

	(void)fd;
	if (offset == ZCRX_ABI_MAP_OFF_ZCRX_REGION +
	    (ID << ZCRX_ABI_OFF_ZCRX_SHIFT))
		at = RINGS_REFILL;
	else if (offset == ZCRX_ABI_MAP_OFF_RBUF_REGION +
		 (ID << ZCRX_ABI_OFF_ZCRX_SHIFT))
		at = RINGS_RBUF;
	else
		return -EINVAL;
	*mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		    fake.rings_fd, at);

	return *mem == MAP_FAILED ? -errno : 0;
}

static int fake_ctrl(struct zcrx_abi_ctrl *ctrl)
{
	fake.ctrl = *ctrl;
	if (ctrl->op == ZCRX_ABI_CTRL_EXPORT)
		ctrl->zc_export.zcrx_fd = dup(fake.rings_fd);

	return 0;
}

int zcrx_sys_register(int fd, unsigned int opcode, void *arg,
		      unsigned int nr_args)
{
	fake.nr_calls++;
	fake.fd = fd;
	fake.opcode = opcode;

	switch (opcode & ~(1U << 31)) {
	case IORING_REGISTER_ENABLE_RINGS:
		return 0;
	case IORING_REGISTER_PROBE:
		return fake_probe(arg, nr_args);
	case ZCRX_REGISTER_IFQ:
		return nr_args == 1 ? fake_register(arg) : -EINVAL;
	case ZCRX_REGISTER_CTRL:
		if (nr_args || fake.kind == FAKE_OLD_MAINLINE)
			return -EINVAL;
		return fake_ctrl(arg);
	default:
		return -EINVAL;
	}
}

/*
 * The kernel's side of the rings
 */

static __u32 *refill_head(void)
{
	return (__u32 *)(fake.refill + REFILL_HEAD);
}

static __u32 *refill_tail(void)
{
	return (__u32 *)(fake.refill + REFILL_TAIL);
}

/*
 * Have all positions begin at @pos: they may wrap around. Entries are rubbish
 * before they are written.
 */
void fake_start_at(struct zcrx_ifq *ifq, __u32 pos)
{
	fake.head = ifq->refill.head = ifq->refill.tail = pos;
	*refill_head() = *refill_tail() = pos;
	memset(fake.refill + REFILL_RQES, 0xff, (fake.refill_mask + 1) * 16);
	if (!fake.rbuf_hdr)
		return;
	fake.producer = ifq->rbuf.producer = ifq->rbuf.consumer = pos;
	fake.rbuf_hdr->producer = fake.rbuf_hdr->consumer = pos;
}

/* Post a received buffer; false if the ring is full. */
bool fake_post(const struct zcrx_rbuf_cqe *cqe)
{
	__u32 consumer = __atomic_load_n(&fake.rbuf_hdr->consumer,
					 __ATOMIC_ACQUIRE);

	if (fake.producer - consumer > fake.rbuf_mask)
		return false;
	fake.rbuf_cqes[fake.producer++ & fake.rbuf_mask] = *cqe;
	__atomic_store_n(&fake.rbuf_hdr->producer, fake.producer,
			 __ATOMIC_RELEASE);

	return true;
}

/* Take an entry of the refill ring, 16 bytes; false if there is none. */
bool fake_take(void *rqe)
{
	__u32 tail = __atomic_load_n(refill_tail(), __ATOMIC_ACQUIRE);

	if (tail == fake.head)
		return false;
	memcpy(rqe, fake.refill + REFILL_RQES +
		    (fake.head++ & fake.refill_mask) * 16, 16);
	__atomic_store_n(refill_head(), fake.head, __ATOMIC_RELEASE);

	return true;
}
