// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Wrong arguments are refused, each with its error, and leave nothing behind.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "ifq.h"
#include "loopback.h"
#include "nic.h"
#include "plain.h"
#include "pools.h"
#include "proc.h"
#include "refusals.h"
#include "sockmap.h"
#include "uring.h"

#define AREA_SIZE	(1 << 20)
#define ENTRIES		1024
#define PAGE		4096
#define HUGE_PAGE	(2 << 20)
#define GIB		(1ULL << 30)
#define AREA_DMABUF	1

/* In both modes */
static const struct refusal refusals[] = {
	REFUSED(reg.if_idx, 0, -ENODEV),
	REFUSED(reg.if_idx, 0x7fffffff, -ENODEV),
	REFUSED_OR(reg.if_rxq, 1000, -ERANGE, -EINVAL),
	REFUSED_OR(reg.if_rxq, ~0U, -ERANGE, -EINVAL),
	REFUSED(reg.rq_entries, 0, -EINVAL),
	REFUSED(reg.rq_entries, 32769, -EINVAL),
	REFUSED(reg.rq_entries, ~0U, -EINVAL),
	REFUSED(reg.area_ptr, 0, -EFAULT),
	REFUSED(reg.area_ptr, NOWHERE, -EFAULT),
	REFUSED(reg.region_ptr, 0, -EFAULT),
	REFUSED(reg.region_ptr, NOWHERE, -EFAULT),
	REFUSED(reg.zcrx_id, 1, -EINVAL),
	REFUSED(reg.rx_buf_len, 1, -EINVAL),
	REFUSED(reg.rx_buf_len, PAGE / 2, -EINVAL),
	REFUSED(reg.rx_buf_len, PAGE + 1, -EINVAL),
	REFUSED(reg.rx_buf_len, 3 * PAGE, -EINVAL),
	REFUSED(reg.event_desc, NOWHERE, -EFAULT),
	REFUSED(reg.__resv, 1, -EINVAL),

	REFUSED(refill.size, 0, -EINVAL),
	REFUSED(refill.size, PAGE, -EINVAL),
	REFUSED(refill.size, ENTRIES * 16, -EINVAL),
	REFUSED(refill.size, ENTRIES * 16 + PAGE - 1, -EINVAL),
	REFUSED(refill.size, 65536ULL * PAGE, -EINVAL),
	REFUSED_OR(refill.user_addr, 0, -EFAULT, -EINVAL),
	REFUSED(refill.user_addr, NOWHERE, -EFAULT),
	REFUSED(refill.user_addr, -PAGE, -EFAULT),
	REFUSED(refill.user_addr, NOWHERE + 8, -EINVAL),
	REFUSED_OR(refill.flags, 0, -EINVAL, -EFAULT),
	REFUSED(refill.flags, IORING_MEM_REGION_TYPE_USER | 2, -EINVAL),
	REFUSED(refill.flags, IORING_MEM_REGION_TYPE_USER | 1U << 31, -EINVAL),
	REFUSED(refill.id, 1, -EINVAL),
	REFUSED(refill.mmap_offset, PAGE, -EINVAL),
	REFUSED(refill.__resv[0], 1, -EINVAL),
	REFUSED(refill.__resv[3], 1, -EINVAL),

	REFUSED(areas[0].addr, 0, -EFAULT),
	REFUSED(areas[0].addr, NOWHERE, -EFAULT),
	REFUSED(areas[0].addr, NOWHERE + 1, -EINVAL),
	REFUSED_OR(areas[0].len, 0, -EINVAL, -EFAULT),
	REFUSED(areas[0].len, PAGE - 1, -EINVAL),
	REFUSED(areas[0].len, PAGE + 1, -EINVAL),
	REFUSED(areas[0].len, 64 * GIB + PAGE, -EINVAL),
	REFUSED(areas[0].rq_area_token, 1, -EINVAL),
	REFUSED(areas[0].flags, AREA_DMABUF, -EINVAL),
	REFUSED(areas[0].flags, 1U << 31, -EINVAL),
	REFUSED(areas[0].dmabuf_fd, 1, -EINVAL),
	REFUSED(areas[0].__resv[0], 1, -EINVAL),
	REFUSED(areas[0].__resv[1], 1, -EINVAL),
};

static const struct refusal refusals_cqe32[] = {
	REFUSED(reg.flags, ZCRX_REG_IMPORT, -EINVAL),
	REFUSED(reg.flags, ZCRX_REG_NODEV, -EINVAL),
	REFUSED(reg.flags, ZCRX_REG_MANUAL_RESUME, -EFAULT),
	REFUSED(reg.flags, ZCRX_REG_SOFT_SPLIT, -EFAULT),
	REFUSED(reg.flags, 1U << 2, -EINVAL),
	REFUSED(reg.flags, 1U << 15, -EINVAL),
	REFUSED(reg.flags, 1U << 31, -EINVAL),
	REFUSED(reg.ext_ptr, NOWHERE, -EINVAL),
	/* Not too long, but not mapped */
	REFUSED(areas[0].len, 4 * GIB + PAGE, -EFAULT),
};

/* With an ext struct, and still without an rbuf ring */
static const struct refusal refusals_ext[] = {
	REFUSED(ext.size, 0, -EINVAL),
	REFUSED(ext.nr_areas, 1025, -EINVAL),
	REFUSED(ext.rbuf_entries, 1, -EINVAL),
	REFUSED(ext.__resv0, 1, -EINVAL),
	REFUSED(ext.rbuf_region_ptr, NOWHERE, -EINVAL),
	REFUSED(ext.rbuf_offsets.cqes, 1, -EINVAL),
	REFUSED(ext.__resv[2], 1, -EINVAL),
};

static const struct refusal refusals_rbuf[] = {
	REFUSED(reg.flags, ZCRX_REG_RBUF | ZCRX_REG_IMPORT, -EINVAL),
	REFUSED(reg.flags, ZCRX_REG_RBUF | ZCRX_REG_NODEV, -EINVAL),
	REFUSED(reg.flags, ZCRX_REG_RBUF | 1U << 2, -EINVAL),
	REFUSED(reg.flags, ZCRX_REG_RBUF | 1U << 19, -EINVAL),
	REFUSED(reg.flags, ZCRX_REG_RBUF | 1U << 31, -EINVAL),
	REFUSED(reg.ext_ptr, 0, -EFAULT),
	REFUSED(reg.ext_ptr, NOWHERE, -EFAULT),

	REFUSED(ext.size, 0, -EINVAL),
	REFUSED(ext.size, 8, -EINVAL),
	REFUSED(ext.size, sizeof(struct io_uring_zcrx_ext_reg) - 1, -EINVAL),
	REFUSED(ext.size, sizeof(struct io_uring_zcrx_ext_reg) + 8, -EINVAL),
	REFUSED(ext.nr_areas, 1025, -EINVAL),
	REFUSED(ext.nr_areas, ~0U, -EINVAL),
	REFUSED(ext.rbuf_entries, 0, -EINVAL),
	REFUSED(ext.rbuf_entries, 32769, -EINVAL),
	REFUSED(ext.rbuf_entries, ~0U, -EINVAL),
	REFUSED(ext.__resv0, 1, -EINVAL),
	REFUSED(ext.rbuf_region_ptr, 0, -EFAULT),
	REFUSED(ext.rbuf_region_ptr, NOWHERE, -EFAULT),
	REFUSED(ext.rbuf_offsets.hdr, 1, -EINVAL),
	REFUSED(ext.rbuf_offsets.cqes, 1, -EINVAL),
	REFUSED(ext.rbuf_offsets.__resv, 1, -EINVAL),
	REFUSED(ext.__resv[0], 1, -EINVAL),
	REFUSED(ext.__resv[2], 1, -EINVAL),

	REFUSED(rbuf.size, 0, -EINVAL),
	REFUSED(rbuf.size, PAGE, -EINVAL),
	REFUSED(rbuf.size, ENTRIES * 16, -EINVAL),
	REFUSED(rbuf.size, 65536ULL * PAGE, -EINVAL),
	REFUSED_OR(rbuf.user_addr, 0, -EFAULT, -EINVAL),
	REFUSED(rbuf.user_addr, NOWHERE, -EFAULT),
	REFUSED(rbuf.user_addr, -PAGE, -EFAULT),
	REFUSED_OR(rbuf.flags, 0, -EINVAL, -EFAULT),
	REFUSED(rbuf.flags, IORING_MEM_REGION_TYPE_USER | 2, -EINVAL),
	REFUSED(rbuf.id, 1, -EINVAL),
	REFUSED(rbuf.mmap_offset, PAGE, -EINVAL),
	REFUSED(rbuf.__resv[0], 1, -EINVAL),

	/* Offsets have 32 bits. */
	REFUSED(areas[0].len, 4 * GIB + PAGE, -EINVAL),
	REFUSED(areas[0].len, 4 * GIB, -EFAULT),
};

FIXTURE(args)
{
	struct uring ring;
	struct ifq ifq;
	struct ifq_args args;
};

FIXTURE_VARIANT(args)
{
	bool rbuf;
};

FIXTURE_VARIANT_ADD(args, rbuf) { .rbuf = true };
FIXTURE_VARIANT_ADD(args, cqe32) { .rbuf = false };

FIXTURE_SETUP(args)
{
	ASSERT_EQ(0, uring_init(&self->ring,
				variant->rbuf ? 0 : URING_CQE32_FLAGS, 64));
	ifq_args_init(&self->args, nic_ifindex(), nic.rxq, variant->rbuf,
		      AREA_SIZE, ENTRIES);
}

FIXTURE_TEARDOWN(args)
{
	ifq_args_free(&self->args);
	uring_exit(&self->ring);
}

static unsigned long long newest_pool(struct __test_metadata *_metadata)
{
	struct pools pools;

	EXPECT_EQ(0, pools_read(&pools));

	return pools.newest;
}

/* Registers with a ring of its own; returns the number of the page pool. */
static unsigned long long register_once(struct __test_metadata *_metadata,
					FIXTURE_DATA(args) *self,
					bool rbuf)
{
	struct ifq_args args = self->args;
	unsigned long long pool;
	struct uring ring;
	unsigned int ms;

	ASSERT_EQ(0, uring_init(&ring, rbuf ? 0 : URING_CQE32_FLAGS, 64));
	EXPECT_EQ(0, ifq_register(&self->ifq, &ring, &self->args));
	pool = newest_pool(_metadata);
	uring_exit(&ring);
	memcpy(&self->args, &args, sizeof(args));
	for (ms = 0; ms < 5000 && proc_pinned_kib(); ms += 10)
		proc_sleep_ms(10);

	return pool;
}

TEST_F(args, refused)
{
	check_refusals(_metadata, &self->ring, &self->args, refusals,
		       ARRAY_SIZE(refusals));
	if (variant->rbuf) {
		check_refusals(_metadata, &self->ring, &self->args,
			       refusals_rbuf, ARRAY_SIZE(refusals_rbuf));
	} else {
		check_refusals(_metadata, &self->ring, &self->args,
			       refusals_cqe32, ARRAY_SIZE(refusals_cqe32));
		ifq_args_add_flags(&self->args, ZCRX_REG_SOFT_SPLIT);
		check_refusals(_metadata, &self->ring, &self->args,
			       refusals_ext, ARRAY_SIZE(refusals_ext));
	}

	/* Nothing is left of all this. */
	EXPECT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_EQ(0, self->ifq.id);
	EXPECT_EQ(AREA_SIZE / 1024, proc_pinned_kib());
}

TEST_F(args, accepted)
{
	struct io_uring_zcrx_ifq_reg *reg = &self->args.reg;

	reg->rq_entries = ENTRIES - 100;
	reg->offsets.__resv = ~0U;
	reg->offsets.__resv2[1] = ~0ULL;
	if (variant->rbuf)
		self->args.ext.rbuf_entries = ENTRIES / 2 + 1;
	ASSERT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_EQ(0, reg->offsets.__resv);
	EXPECT_EQ(0, reg->offsets.__resv2[1]);
	EXPECT_EQ(ENTRIES, reg->rq_entries);
	EXPECT_EQ(variant->rbuf ? ENTRIES : 0, self->args.ext.rbuf_entries);
	EXPECT_EQ(0, reg->zcrx_id);
	EXPECT_EQ(PAGE, reg->rx_buf_len);
	EXPECT_EQ(0, self->args.areas[0].rq_area_token);
	EXPECT_NE(reg->offsets.head, reg->offsets.tail);
	EXPECT_LE(reg->offsets.rqes + ENTRIES * 16, self->args.refill.size);
	EXPECT_EQ(0, reg->offsets.rqes % 16);
}

TEST_F(args, clamp)
{
	struct io_uring_zcrx_ifq_reg *reg = &self->args.reg;
	struct io_uring_zcrx_ext_reg *ext = &self->args.ext;
	struct uring ring;

	ASSERT_EQ(0, uring_init(&ring, IORING_SETUP_CLAMP |
				(variant->rbuf ? 0 : URING_CQE32_FLAGS), 64));
	ifq_args_free(&self->args);
	ifq_args_init(&self->args, nic_ifindex(), nic.rxq, variant->rbuf,
		      AREA_SIZE, 32768);
	reg->rq_entries = 100000;
	if (variant->rbuf)
		ext->rbuf_entries = ~0U;
	EXPECT_EQ(0, ifq_register(&self->ifq, &ring, &self->args));
	EXPECT_EQ(32768, reg->rq_entries);
	EXPECT_EQ(variant->rbuf ? 32768 : 0, ext->rbuf_entries);
	uring_exit(&ring);
}

TEST_F(args, bound_already)
{
	struct uring other;
	int ret;

	ASSERT_EQ(0, uring_init(&other, self->ring.flags, 64));
	ASSERT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));

	self->args.reg.offsets = (struct io_uring_zcrx_offsets) {};
	self->args.ext.rbuf_offsets = (struct io_uring_rbuf_offsets) {};
	ret = uring_register(&other, REGISTER_ZCRX_IFQ, &self->args.reg, 1);
	EXPECT_EQ(-EEXIST, ret);
	ret = uring_register(&self->ring, REGISTER_ZCRX_IFQ, &self->args.reg, 1);
	EXPECT_EQ(-EEXIST, ret);
	EXPECT_EQ(AREA_SIZE / 1024, proc_pinned_kib());
	uring_exit(&other);
}

/* Once more at once: the last close() gives the queue back. */
TEST_F(args, again_after_close)
{
	struct ifq_args args = self->args;
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, ifq_register(&self->ifq, &self->ring,
					  &self->args));
		uring_exit(&self->ring);
		memcpy(&self->args, &args, sizeof(args));
		ASSERT_EQ(0, uring_init(&self->ring, variant->rbuf ? 0 :
					URING_CQE32_FLAGS, 64));
	}
}

TEST_F(args, nr_args)
{
	EXPECT_EQ(-EINVAL, uring_register(&self->ring, REGISTER_ZCRX_IFQ,
					  &self->args.reg, 0));
	EXPECT_EQ(-EINVAL, uring_register(&self->ring, REGISTER_ZCRX_IFQ,
					  &self->args.reg, 2));
	EXPECT_EQ(-EINVAL, uring_register(&self->ring, REGISTER_ZCRX_IFQ,
					  NULL, 1));
	EXPECT_EQ(-EFAULT, uring_register(&self->ring, REGISTER_ZCRX_IFQ,
					  (void *)NOWHERE, 1));
}

/* What the kernel returns can't be written: then nothing is registered. */
TEST_F(args, read_only_struct)
{
	struct io_uring_zcrx_ifq_reg *reg;

	reg = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, reg);
	*reg = self->args.reg;
	ASSERT_EQ(0, mprotect(reg, PAGE, PROT_READ));

	EXPECT_EQ(-EFAULT, uring_register(&self->ring, REGISTER_ZCRX_IFQ, reg,
					  1));
	EXPECT_EQ(0, proc_pinned_kib());
	EXPECT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	munmap(reg, PAGE);
}

/* An argument that the kernel writes to, and where its address is */
struct part {
	const char	*what;
	size_t		pointer;
	size_t		offset;
	size_t		size;
};

#define PART(_pointer, _part) {						\
	.what		= #_part,					\
	.pointer	= offsetof(struct ifq_args, _pointer),		\
	.offset		= offsetof(struct ifq_args, _part),		\
	.size		= sizeof(((struct ifq_args *)0)->_part),	\
}

static const struct part parts[] = {
	PART(reg.region_ptr, refill),
	PART(reg.area_ptr, areas[0]),
	PART(reg.ext_ptr, ext),
	/* With an rbuf ring only */
	PART(ext.rbuf_region_ptr, rbuf),
};

/* A registration that has this part of its arguments where it can't be written */
static int register_read_only(FIXTURE_DATA(args) *self, const struct part *part)
{
	struct ifq_args args = self->args;
	void *page = ifq_mmap(PAGE);
	__u64 addr = (unsigned long)page;
	int ret;

	memcpy(page, (char *)&args + part->offset, part->size);
	mprotect(page, PAGE, PROT_READ);
	memcpy((char *)&self->args + part->pointer, &addr, sizeof(addr));
	ret = uring_register(&self->ring, REGISTER_ZCRX_IFQ, &self->args.reg, 1);
	memcpy(&self->args, &args, sizeof(args));
	munmap(page, PAGE);

	return ret;
}

/* One part after the other: the queue is not even restarted. */
TEST_F(args, read_only_parts)
{
	unsigned int i, nr = ARRAY_SIZE(parts) - !variant->rbuf;
	unsigned long long pool, step;

	/* Changes nothing, but has an ext struct in either mode. */
	ifq_args_add_flags(&self->args, ZCRX_REG_SOFT_SPLIT);
	/* Ordinary queues of the NIC may have page pools, too. */
	pool = register_once(_metadata, self, variant->rbuf);
	step = register_once(_metadata, self, variant->rbuf) - pool;
	for (i = 0; i < nr; i++) {
		EXPECT_EQ(-EFAULT, register_read_only(self, &parts[i]))
			TH_LOG("%s", parts[i].what);
		EXPECT_EQ(0, proc_pinned_kib()) TH_LOG("%s", parts[i].what);
	}
	EXPECT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_EQ(pool + 2 * step, newest_pool(_metadata));
	EXPECT_EQ(0, self->ifq.id);
	EXPECT_EQ(AREA_SIZE / 1024, proc_pinned_kib());
}

TEST_F(args, read_only_area)
{
	void *area = mmap(NULL, AREA_SIZE, PROT_READ,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct io_uring_zcrx_area_reg *reg = &self->args.areas[0];
	__u64 old = reg->addr;

	ASSERT_NE(MAP_FAILED, area);
	reg->addr = (unsigned long)area;
	EXPECT_EQ(-EFAULT, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_EQ(0, proc_pinned_kib());
	reg->addr = old;
	munmap(area, AREA_SIZE);
}

TEST_F(args, hole_in_area)
{
	unsigned long addr = self->args.areas[0].addr;

	ASSERT_EQ(0, munmap((void *)(addr + AREA_SIZE / 2), PAGE));
	EXPECT_EQ(-EFAULT, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_EQ(0, proc_pinned_kib());
}

/* As many areas as there can be, however completions come; or none of them */
TEST_F(args, most_areas)
{
	struct ifq_args *args = &self->args;
	char *area = ifq_mmap(IFQ_MAX_AREAS * PAGE);
	struct ifq_stats stats;
	__u64 i;

	/* Changes nothing, but has an ext struct in either mode. */
	ifq_args_add_flags(args, ZCRX_REG_SOFT_SPLIT);
	for (i = 0; i < IFQ_MAX_AREAS; i++)
		ifq_args_set_area(args, i, area + i * PAGE, PAGE);
	args->areas[IFQ_MAX_AREAS - 1].addr = NOWHERE;
	EXPECT_EQ(-EFAULT, ifq_register(&self->ifq, &self->ring, args));
	EXPECT_EQ(0, proc_pinned_kib());

	args->areas[IFQ_MAX_AREAS - 1].addr = (unsigned long)area +
					      (IFQ_MAX_AREAS - 1) * PAGE;
	ASSERT_EQ(0, ifq_register(&self->ifq, &self->ring, args));
	for (i = 0; i < IFQ_MAX_AREAS; i++)
		EXPECT_EQ(i << IORING_ZCRX_AREA_SHIFT,
			  args->areas[i].rq_area_token);
	EXPECT_EQ(IFQ_MAX_AREAS * PAGE / 1024, proc_pinned_kib());
	ASSERT_TRUE(ifq_read_stats(&self->ifq, &stats));
	EXPECT_EQ(IFQ_MAX_AREAS, stats.areas);
	EXPECT_EQ(IFQ_MAX_AREAS, stats.chunks);
}

/* One page of memory, again and again: never contiguous */
TEST_F(args, chunks_not_contiguous)
{
	unsigned long addr = self->args.areas[0].addr;
	int fd = memfd_create("page", 0);
	unsigned long off;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	for (off = 0; off < AREA_SIZE; off += PAGE)
		ASSERT_NE(MAP_FAILED, mmap((void *)(addr + off), PAGE,
					   PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_FIXED, fd, 0));
	self->args.reg.rx_buf_len = 2 * PAGE;
	EXPECT_EQ(-ERANGE, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_EQ(0, proc_pinned_kib());
	close(fd);
}

/* Contiguous memory is not enough: the driver must take such buffers, too. */
TEST_F(args, chunks_too_large_for_driver)
{
	struct ifq_stats stats;
	void *area = ifq_mmap_huge(HUGE_PAGE);

	if (!area)
		SKIP(return, "can't get a huge page: CONFIG_HUGETLBFS?");
	ifq_args_set_area(&self->args, 0, area, HUGE_PAGE);
	self->args.reg.rx_buf_len = 64 << 10;
	EXPECT_EQ(-EOPNOTSUPP, ifq_register(&self->ifq, &self->ring,
					    &self->args));
	EXPECT_EQ(0, proc_pinned_kib());

	/* Nothing else is wrong with it: igb takes a frame's size, rounded up. */
	self->args.reg.rx_buf_len = 16 << 10;
	EXPECT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_EQ(16 << 10, self->args.reg.rx_buf_len);
	ASSERT_TRUE(ifq_read_stats(&self->ifq, &stats));
	EXPECT_EQ(HUGE_PAGE >> 14, stats.chunks);
}

TEST_F(args, other_device)
{
	self->args.reg.if_idx = if_nametoindex("lo");
	self->args.reg.if_rxq = 0;
	EXPECT_EQ(-EOPNOTSUPP, ifq_register(&self->ifq, &self->ring,
					    &self->args));
	EXPECT_EQ(0, proc_pinned_kib());
}

TEST_F(args, header_split_off)
{
	ASSERT_TRUE(nic_set_split("off"));
	EXPECT_EQ(-EOPNOTSUPP, ifq_register(&self->ifq, &self->ring,
					    &self->args));
	EXPECT_EQ(0, proc_pinned_kib());
	ASSERT_TRUE(nic_set_split("on"));
	EXPECT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
}

TEST_F(args, no_capability)
{
	ASSERT_EQ(0, proc_drop_capability(CAP_NET_ADMIN));
	EXPECT_EQ(-EPERM, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_EQ(0, proc_pinned_kib());
}

/* All capabilities, but those of a user namespace of our own */
TEST_F(args, user_namespace)
{
	if (unshare(CLONE_NEWUSER))
		SKIP(return, "no user namespace: %s; CONFIG_USER_NS?",
		     strerror(errno));
	EXPECT_EQ(-EPERM, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_EQ(0, proc_pinned_kib());
}

/* The interface is in another network namespace than ours. */
TEST_F(args, net_namespace)
{
	if (unshare(CLONE_NEWNET))
		SKIP(return, "no network namespace: %s; CONFIG_NET_NS?",
		     strerror(errno));
	EXPECT_EQ(-ENODEV, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_EQ(0, proc_pinned_kib());
}

/*
 * The limit has room for one registration, not for one and a page: refused
 * ones must not take any of it, nor those that have been undone.
 */
/* Page pools, and with them areas, may take a moment to go, also those of others. */
static int register_patiently(FIXTURE_DATA(args) *self)
{
	int ret = ifq_register(&self->ifq, &self->ring, &self->args);
	unsigned int i;

	for (i = 0; i < 100 && ret == -ENOMEM; i++) {
		usleep(50 * 1000);
		ret = ifq_register(&self->ifq, &self->ring, &self->args);
	}

	return ret;
}

TEST_F(args, memlock)
{
	struct ifq_args *args = &self->args, old;
	struct rlimit limit;
	int i;

	limit.rlim_cur = AREA_SIZE + args->refill.size + args->rbuf.size;
	limit.rlim_max = limit.rlim_cur;
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, proc_drop_capability(CAP_IPC_LOCK));

	/* Who is charged is decided when the ring is set up. */
	uring_exit(&self->ring);
	ASSERT_EQ(0, uring_init(&self->ring,
				variant->rbuf ? 0 : URING_CQE32_FLAGS, 64));
	memcpy(&old, args, sizeof(old));

	for (i = 0; i < 20; i++) {
		args->reg.if_rxq = 1000;
		ASSERT_NE(0, ifq_register(&self->ifq, &self->ring, args));
		args->reg.if_rxq = nic.rxq;
	}
	ASSERT_EQ(0, register_patiently(self));
	memcpy(args, &old, sizeof(old));
	uring_exit(&self->ring);

	ASSERT_EQ(0, uring_init(&self->ring,
				variant->rbuf ? 0 : URING_CQE32_FLAGS, 64));
	EXPECT_EQ(0, register_patiently(self));
	uring_exit(&self->ring);
	memcpy(args, &old, sizeof(old));

	limit.rlim_cur -= PAGE;
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, uring_init(&self->ring,
				variant->rbuf ? 0 : URING_CQE32_FLAGS, 64));
	EXPECT_EQ(-ENOMEM, ifq_register(&self->ifq, &self->ring, args));
}

static int ctrl_errno(FIXTURE_DATA(args) *self, struct zcrx_ctrl *ctrl)
{
	return uring_register(&self->ring, REGISTER_ZCRX_CTRL, ctrl, 0);
}

/* Operations of io_uring_register() that this kernel does not offer */
TEST_F(args, unknown_operations)
{
	__u64 buf[16] = {};

	EXPECT_EQ(-EINVAL, uring_register(&self->ring, REGISTER_RESIZE_RINGS,
					  buf, 1));
	EXPECT_EQ(-EINVAL, uring_register(&self->ring, REGISTER_MEM_REGION,
					  buf, 1));
	EXPECT_EQ(-EINVAL, uring_register(&self->ring, REGISTER_ZCRX_CTRL + 1,
					  buf, 1));
}

TEST_F(args, ctrl)
{
	static const __u32 ops[] = {
		ZCRX_CTRL_FLUSH_RQ, ZCRX_CTRL_EXPORT, ZCRX_CTRL_ARM_EVENT,
		ZCRX_CTRL_ADD_AREA, ZCRX_CTRL_RESUME,
	};
	static const __u32 unknown_ops[] = { 4, 63, 65, 1000, ~0U };
	struct zcrx_ctrl ctrl = { .op = ZCRX_CTRL_RESUME };
	__u64 *args = (__u64 *)&ctrl.zc_flush;
	unsigned int i;

	/* No such ifq yet */
	EXPECT_EQ(-ENXIO, ctrl_errno(self, &ctrl));
	ASSERT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	for (i = 0; i < ARRAY_SIZE(unknown_ops); i++) {
		ctrl.op = unknown_ops[i];
		EXPECT_EQ(-EOPNOTSUPP, ctrl_errno(self, &ctrl))
			TH_LOG("operation %u", ctrl.op);
	}

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		ctrl = (struct zcrx_ctrl) { .op = ops[i] };
		ctrl.zcrx_id = 1;
		EXPECT_EQ(-ENXIO, ctrl_errno(self, &ctrl));
		ctrl.zcrx_id = 0;
		ctrl.__resv[1] = 1;
		EXPECT_EQ(-EINVAL, ctrl_errno(self, &ctrl));
		ctrl.__resv[1] = 0;
		args[5] = 1;
		EXPECT_EQ(-EINVAL, ctrl_errno(self, &ctrl))
			TH_LOG("operation %u", ctrl.op);
		args[5] = 0;
	}

	/* The last one of these, with nothing wrong */
	EXPECT_EQ(0, ctrl_errno(self, &ctrl));
	EXPECT_EQ(0, ifq_flush(&self->ifq));
	EXPECT_EQ(-EINVAL, uring_register(&self->ring, REGISTER_ZCRX_CTRL,
					  &ctrl, 1));
	EXPECT_EQ(-EFAULT, ctrl_errno(self, (void *)NOWHERE));
}

/*
 * 32-byte completions, posted by the task: anything less is refused. A ring that
 * polls for completions has no requests for sockets, whatever it posts.
 */
TEST(ring_flags)
{
	static const struct {
		__u32	flags;
		bool	rbuf;
	} kinds[] = {
		{ 0 },
		{ IORING_SETUP_CQE32 },
		{ IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN },
		{ URING_CQE32_FLAGS | IORING_SETUP_IOPOLL },
		{ IORING_SETUP_IOPOLL, true },
		{ URING_CQE32_FLAGS | IORING_SETUP_IOPOLL, true },
	};
	struct ifq_args args;
	struct uring ring;
	struct ifq ifq;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		ifq_args_init(&args, nic_ifindex(), nic.rxq, kinds[i].rbuf,
			      AREA_SIZE, ENTRIES);
		ASSERT_EQ(0, uring_init(&ring, kinds[i].flags, 64));
		EXPECT_EQ(-EINVAL, ifq_register(&ifq, &ring, &args))
			TH_LOG("IORING_SETUP flags %#x", kinds[i].flags);
		uring_exit(&ring);
		ifq_args_free(&args);
	}
}

/*
 * RECV_ZC
 */

static int recv_zc(FIXTURE_DATA(args) *self, const struct io_uring_sqe *sqe)
{
	struct io_uring_cqe cqe;
	__u64 extra[2];
	int ret;

	*uring_sqe(&self->ring) = *sqe;
	ret = uring_enter(&self->ring, 1, 5000);
	if (ret)
		return ret;
	if (!uring_pop(&self->ring, &cqe, extra))
		return 1;

	return cqe.flags & IORING_CQE_F_MORE ? 2 : cqe.res;
}

TEST_F(args, recv_zc)
{
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
	int packet = socket(AF_PACKET, SOCK_RAW, 0);
	int netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	int local[2], pipefd[2];
	struct io_uring_sqe good, sqe;
	unsigned int bit;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, local));
	ASSERT_EQ(0, pipe(pipefd));
	good = (struct io_uring_sqe) {
		.opcode		= OP_RECV_ZC,
		.fd		= tcp,
		.ioprio		= IORING_RECV_MULTISHOT,
	};

	/* No ifq yet */
	EXPECT_EQ(-EINVAL, recv_zc(self, &good));
	ASSERT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	/* Nothing is wrong with the arguments, only with the socket. */
	EXPECT_EQ(-ENOTCONN, recv_zc(self, &good));

#define EXPECT_REFUSED(_err, _field, _value) do {			\
	sqe = good;							\
	sqe._field = (_value);						\
	EXPECT_EQ(_err, recv_zc(self, &sqe))				\
		TH_LOG(#_field " = " #_value);				\
} while (0)

	EXPECT_REFUSED(-EBADF, fd, 1000000);
	EXPECT_REFUSED(-EBADF, fd, -1);
	EXPECT_REFUSED(-ENOTSOCK, fd, pipefd[0]);
	EXPECT_REFUSED(-ENOTSOCK, fd, self->ring.fd);
	EXPECT_REFUSED(-EPROTONOSUPPORT, fd, udp);
	EXPECT_REFUSED(-EPROTONOSUPPORT, fd, raw);
	EXPECT_REFUSED(-EPROTONOSUPPORT, fd, packet);
	EXPECT_REFUSED(-EPROTONOSUPPORT, fd, netlink);
	EXPECT_REFUSED(-EPROTONOSUPPORT, fd, local[0]);
	EXPECT_REFUSED(-EINVAL, splice_fd_in, 1);
	EXPECT_REFUSED(-EINVAL, splice_fd_in, -1);
	EXPECT_REFUSED(-EINVAL, addr, NOWHERE);
	EXPECT_REFUSED(-EINVAL, addr, 1ULL << 63);
	EXPECT_REFUSED(-EINVAL, addr2, 1);
	EXPECT_REFUSED(-EINVAL, addr2, 1ULL << 63);
	/* MSG_WAITALL, MSG_DONTWAIT and MSG_PEEK are among them. */
	for (bit = 0; bit < 32; bit++)
		EXPECT_REFUSED(-EINVAL, msg_flags, 1U << bit);
	EXPECT_REFUSED(-EINVAL, buf_index, 1);
	EXPECT_REFUSED(-EINVAL, buf_index, 0xffff);
	EXPECT_REFUSED(-EINVAL, __pad2[0], 1);
	EXPECT_REFUSED(-EINVAL, __pad2[0], 1ULL << 63);
	EXPECT_REFUSED(-EOPNOTSUPP, flags, IOSQE_BUFFER_SELECT);
	EXPECT_REFUSED(-EBADF, flags, IOSQE_FIXED_FILE);
	/* MULTISHOT and POLL_FIRST are the lowest two. */
	for (bit = 2; bit < 16; bit++)
		EXPECT_REFUSED(-EINVAL, ioprio, good.ioprio | 1U << bit);
	EXPECT_REFUSED(-EINVAL, addr3, variant->rbuf ? 1ULL << 32 : 1);
	if (!variant->rbuf)
		EXPECT_REFUSED(-EINVAL, ioprio, 0);

	/* A socket that listens has no bytes. */
	ASSERT_EQ(0, listen(tcp, 1));
	EXPECT_EQ(-ENOTCONN, recv_zc(self, &good));

	close(tcp);
	close(udp);
	close(raw);
	close(packet);
	close(netlink);
	close(local[0]);
	close(local[1]);
	close(pipefd[0]);
	close(pipefd[1]);
}

#define WAITING	64

/* TCP, but somebody else decides what is received: nothing is taken from it. */
TEST_F(args, recv_zc_sockmap)
{
	struct io_uring_sqe sqe = {
		.opcode		= OP_RECV_ZC,
		.ioprio		= IORING_RECV_MULTISHOT,
	};
	int map = sockmap_create(), tx, rx;
	char buf[2 * WAITING] = {};

	if (map < 0)
		SKIP(return, "no sockmap: %s; CONFIG_BPF_SYSCALL?",
		     strerror(-map));
	ASSERT_EQ(0, loopback_connect(&tx, &rx, 0));
	ASSERT_EQ(WAITING, send(tx, buf, WAITING, 0));
	sqe.fd = rx;
	ASSERT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	ASSERT_EQ(0, sockmap_add(map, 0, rx));
	EXPECT_EQ(-EPROTONOSUPPORT, recv_zc(self, &sqe));
	close(map);
	EXPECT_EQ(WAITING, recv(rx, buf, sizeof(buf), 0));
	close(rx);
	close(tx);
}

/* Nor are records that the kernel is to decrypt. */
TEST_F(args, recv_zc_tls)
{
	struct io_uring_sqe sqe = {
		.opcode		= OP_RECV_ZC,
		.ioprio		= IORING_RECV_MULTISHOT,
	};
	struct flow flow;
	int tx;

	if (!plain_has_tls())
		SKIP(return, "there is no CONFIG_TLS");
	ASSERT_EQ(0, loopback_connect(&tx, &flow.fd, 0));
	ASSERT_TRUE(plain_tls.open(&flow));
	ASSERT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	sqe.fd = flow.fd;
	EXPECT_EQ(-EPROTONOSUPPORT, recv_zc(self, &sqe));
	close(flow.fd);
	close(tx);
}

/*
 * The cgroup that is charged
 */

#define CGROUP_ROOT	"/sys/fs/cgroup"
#define CGROUP		CGROUP_ROOT "/zcrx_args"
#define LARGE_AREA	(32 << 20)

/* Less than the kernel's record of a chunk, more than page tables for it and such */
#define CHUNK_RECORD	32

static bool enter_cgroup(void)
{
	return nic_run("echo +memory > " CGROUP_ROOT "/cgroup.subtree_control") &&
	       nic_run("mkdir " CGROUP) &&
	       nic_run("echo %d > " CGROUP "/cgroup.procs", getpid());
}

static void leave_cgroup(void)
{
	nic_run("echo %d > " CGROUP_ROOT "/cgroup.procs", getpid());
	nic_run("rmdir " CGROUP);
}

/* What the cgroup is charged for, of one kind, in bytes; or -1 */
static long long cgroup_memory(const char *kind)
{
	char name[64];
	long long value, found = -1;
	FILE *f = fopen(CGROUP "/memory.stat", "r");

	while (f && found < 0 && fscanf(f, "%63s %lld", name, &value) == 2)
		if (!strcmp(name, kind))
			found = value;
	if (f)
		fclose(f);

	return found;
}

/* What is freed is uncharged a little later. */
static bool kernel_memory_falls_to(long long limit)
{
	unsigned int i;

	for (i = 0; i < 200 && cgroup_memory("kernel") > limit; i++)
		usleep(50 * 1000);

	return cgroup_memory("kernel") <= limit;
}

/* An area that nobody has touched, and what the kernel needs for its chunks */
TEST_F_TIMEOUT(args, memcg, 120)
{
	const long long for_chunks = LARGE_AREA / PAGE * CHUNK_RECORD;
	void *area = mmap(NULL, LARGE_AREA, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long long anon, kernel;

	ASSERT_NE(MAP_FAILED, area);
	ifq_args_set_area(&self->args, 0, area, LARGE_AREA);
	if (!enter_cgroup()) {
		leave_cgroup();
		SKIP(return, "no cgroup2 with memory in " CGROUP_ROOT);
	}
	anon = cgroup_memory("anon");
	kernel = cgroup_memory("kernel");
	EXPECT_LE(0, kernel);

	EXPECT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_LE(anon + LARGE_AREA, cgroup_memory("anon"));
	EXPECT_LE(kernel + for_chunks, cgroup_memory("kernel"));

	uring_exit(&self->ring);
	EXPECT_TRUE(kernel_memory_falls_to(kernel + for_chunks / 2));
	leave_cgroup();
	ASSERT_EQ(0, uring_init(&self->ring,
				variant->rbuf ? 0 : URING_CQE32_FLAGS, 64));
}

ZCRX_TEST_MAIN
