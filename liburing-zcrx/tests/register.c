// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What the library asks of the kernel, and what it makes of the answer.
 */
#include <errno.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>

#include "fake.h"
#include "ktap.h"

#define CQE32_RING	(IORING_SETUP_SINGLE_ISSUER | \
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQE32)

static struct io_uring ring = { .ring_fd = 42, .enter_ring_fd = 42 };
static struct zcrx_area areas[2];
static struct zcrx_ifq ifq;

static struct zcrx_params rbuf_params(void)
{
	return (struct zcrx_params) {
		.if_idx		= 3,
		.rxq		= 7,
		.chunk_size	= 8192,
		.refill_entries	= 100,
		.rbuf_entries	= 33,
	};
}

static struct zcrx_params by_mtu_params(const char *ifname)
{
	struct zcrx_params params = rbuf_params();

	params.if_idx = if_nametoindex(ifname);
	params.chunk_size = ZCRX_CHUNK_BY_MTU;

	return params;
}

static void register_rbuf(void)
{
	struct zcrx_params params = rbuf_params();
	const struct zcrx_abi_ifq_reg *reg = &fake.reg;

	fake_reset(FAKE_OURS);
	EXPECT(!zcrx_register(&ring, &params, areas, 2, &ifq));

	EXPECT(fake.fd == 42 && fake.opcode == 32);
	EXPECT(reg->if_idx == 3 && reg->if_rxq == 7 && reg->rx_buf_len == 8192);
	EXPECT(reg->flags == 1 << 16);
	EXPECT(reg->rq_entries == 100 && fake.ext.rbuf_entries == 33);
	EXPECT(fake.ext.nr_areas == 2);
	EXPECT(fake.areas[0].addr == (uintptr_t)areas[0].addr);
	EXPECT(fake.areas[1].addr == (uintptr_t)areas[1].addr);
	EXPECT(fake.areas[1].len == areas[1].size);

	EXPECT(params.refill_entries == 128 && params.rbuf_entries == 64);
	EXPECT(params.chunk_size == 8192);
	EXPECT(ifq.id == 5);
	EXPECT(ifq.refill.nr_entries == 128 && ifq.rbuf.nr_entries == 64);
	EXPECT(ifq.rbuf.hdr == fake.rbuf_hdr);
	EXPECT(ifq.rbuf.cqes == fake.rbuf_cqes);
	EXPECT(zcrx_data(&ifq, 17) == (char *)areas[0].addr + 17);
	EXPECT(zcrx_data(&ifq, 1ULL << 48 | 17) == (char *)areas[1].addr + 17);
	zcrx_unregister(&ifq);
}

static void register_cqe32(void)
{
	struct zcrx_params params = { .if_idx = 3, .refill_entries = 64 };

	fake_reset(FAKE_MAINLINE);
	fake.ring_flags = CQE32_RING;
	EXPECT(!zcrx_register(&ring, &params, areas, 1, &ifq));
	EXPECT(!fake.reg.flags && !fake.reg.ext_ptr);
	EXPECT(!ifq.rbuf.hdr);
	EXPECT(params.chunk_size == 4096 && !params.rbuf_entries);
	EXPECT(!zcrx_needs_kick(&ifq));
	EXPECT(!zcrx_kick(&ifq) && fake.nr_calls == 1);
	zcrx_unregister(&ifq);
}

/* lo has an MTU of 64 KiB. */
static void chunk_by_mtu(void)
{
	static const int errs[] = { -EOPNOTSUPP, -ERANGE };
	struct zcrx_params params;
	unsigned int i;

	fake_reset(FAKE_OURS);
	fake.max_chunk = 65536;
	params = by_mtu_params("lo");
	EXPECT(!zcrx_register(&ring, &params, areas, 1, &ifq));
	EXPECT(params.chunk_size == 65536 && fake.nr_calls == 1);
	zcrx_unregister(&ifq);

	for (i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
		fake_reset(FAKE_OURS);
		fake.chunk_err = errs[i];
		params = by_mtu_params("lo");
		EXPECT(!zcrx_register(&ring, &params, areas, 1, &ifq));
		EXPECT(params.chunk_size == 4096 && fake.nr_calls == 2);
		zcrx_unregister(&ifq);
	}

	/* Other errors are the caller's at once, as are larger chunks by number. */
	fake.chunk_err = -ENOMEM;
	params = by_mtu_params("lo");
	EXPECT(zcrx_register(&ring, &params, areas, 1, &ifq) == -ENOMEM);
	EXPECT(params.chunk_size == ZCRX_CHUNK_BY_MTU && fake.nr_calls == 3);
	fake.chunk_err = -ERANGE;
	params.chunk_size = 65536;
	EXPECT(zcrx_register(&ring, &params, areas, 1, &ifq) == -ERANGE);
	EXPECT(fake.nr_calls == 4);

	/* Nothing to ask: there is no interface. */
	params = by_mtu_params("nosuch0");
	EXPECT(!zcrx_register(&ring, &params, areas, 1, &ifq));
	EXPECT(params.chunk_size == 4096 && fake.nr_calls == 5);
	zcrx_unregister(&ifq);
}

/* Chunks are pages there, which the kernel does not say. */
static void register_old_mainline(void)
{
	struct zcrx_params params = { .if_idx = 3, .refill_entries = 64 };

	fake_reset(FAKE_OLD_MAINLINE);
	fake.ring_flags = CQE32_RING;
	EXPECT(!zcrx_register(&ring, &params, areas, 1, &ifq));
	EXPECT(params.chunk_size == 4096);
	EXPECT(zcrx_resume(&ifq) == -EINVAL);
	zcrx_unregister(&ifq);
	params.chunk_size = 8192;
	EXPECT(zcrx_register(&ring, &params, areas, 1, &ifq) == -EINVAL);
	params.if_idx = if_nametoindex("lo");
	params.chunk_size = ZCRX_CHUNK_BY_MTU;
	EXPECT(!zcrx_register(&ring, &params, areas, 1, &ifq));
	EXPECT(params.chunk_size == 4096);
	zcrx_unregister(&ifq);
}

/* liburing can do without the file descriptor. */
static void registered_ring(void)
{
	struct io_uring reg_ring = { .ring_fd = -1, .enter_ring_fd = 2 };
	struct zcrx_params params = rbuf_params();

	fake_reset(FAKE_OURS);
	EXPECT(!zcrx_register(&reg_ring, &params, areas, 1, &ifq));
	EXPECT(fake.fd == 2 && fake.opcode == (32 | 1U << 31));
	zcrx_unregister(&ifq);
}

/* A sentence is left, with these words. */
static bool is_told(const char *words)
{
	const char *text = zcrx_error();

	if (strstr(text, words) && !strchr(text, '\n') &&
	    text[strlen(text) - 1] != '.')
		return true;
	printf("# not \"%s\": %s\n", words, text);

	return false;
}

static int try_params(const struct zcrx_params *wanted, unsigned int nr_areas)
{
	struct zcrx_params params = *wanted;
	int ret = zcrx_register(&ring, &params, areas, nr_areas, &ifq);

	if (ret && memcmp(&params, wanted, sizeof(params)))
		return 1;
	if (ret && (ifq.mem || ifq.area_addrs))
		return 2;
	if (!ret)
		zcrx_unregister(&ifq);

	return ret;
}

static void wrong_arguments(void)
{
	struct zcrx_params p;

	fake_reset(FAKE_OURS);
	p = rbuf_params();
	EXPECT(try_params(&p, 0) == -EINVAL && is_told("an area"));
	p.refill_entries = 0;
	EXPECT(try_params(&p, 1) == -EINVAL && is_told("a refill ring"));
	p.refill_entries = UINT32_MAX;
	EXPECT(try_params(&p, 1) == -EINVAL && is_told("at most 32768"));
	p = rbuf_params();
	p.rbuf_entries = 1U << 31;
	EXPECT(try_params(&p, 1) == -EINVAL);
	p.rbuf_entries = 0;
	EXPECT(try_params(&p, 2) == -EINVAL && is_told("set rbuf_entries"));
	p.flags = ZCRX_ABI_REG_RBUF;
	EXPECT(try_params(&p, 1) == -EINVAL);
	EXPECT(!fake.nr_calls);

	/* These are for the kernel to refuse. */
	p = rbuf_params();
	p.rbuf_entries = 65536;
	EXPECT(try_params(&p, 1) == -EINVAL && fake.nr_calls);
	fake.nr_calls = 0;
	p = rbuf_params();
	p.flags = ZCRX_ABI_REG_SOFT_SPLIT;
	EXPECT(try_params(&p, 1) == -EINVAL && fake.nr_calls);
	EXPECT(is_told("zcrx_register(3)"));
}

/*
 * What the kernel says is what the caller gets, with the way out, and nothing is
 * left.
 */
static void errors(void)
{
	static const struct {
		int		err;
		const char	*words;
	} expected[] = {
		{ -EPERM, "zero copy on lo needs CAP_NET_ADMIN: run as root" },
		{ -ENODEV, "no network interface with index 1: ip link" },
		{ -ENETDOWN, "ip link set lo up" },
		{ -EBUSY, "zcrxctl doctor lo" },
		{ -EEXIST, "queue 7 of lo is in use by another program: take" },
		{ -EFAULT, "is not mapped" },
		{ -ENOMEM, "1048576 bytes of memory can't be pinned for lo" },
		{ -EOPNOTSUPP, "zero-copy receive, or headers are not split" },
		{ -ERANGE, "lo has no receive queue 7: ethtool -l lo" },
		{ -EIO, "can't register a queue of lo: Input/output" },
	};
	struct zcrx_params p = rbuf_params();
	unsigned int i;

	fake_reset(FAKE_OURS);
	p.if_idx = if_nametoindex("lo");
	p.chunk_size = 0;
	for (i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		fake.register_err = expected[i].err;
		EXPECT(try_params(&p, 1) == expected[i].err);
		EXPECT(is_told(expected[i].words));
	}
	p.chunk_size = 8192;
	fake.register_err = -EOPNOTSUPP;
	EXPECT(try_params(&p, 1) == -EOPNOTSUPP && is_told("such chunks"));
	fake.register_err = -ERANGE;
	EXPECT(try_params(&p, 1) == -ERANGE && is_told("take huge pages"));
	p.if_idx = UINT32_MAX;
	EXPECT(try_params(&p, 1) == -ERANGE);
	EXPECT(is_told("interface 4294967295 has no receive queue"));
}

static void old_kernels(void)
{
	struct zcrx_params p = rbuf_params();

	fake_reset(FAKE_NONE);
	EXPECT(try_params(&p, 1) == -EINVAL);
	EXPECT(is_told("no zero-copy receive, boot one that has"));
	fake_reset(FAKE_MAINLINE);
	fake.ring_flags = CQE32_RING;
	EXPECT(try_params(&p, 1) == -EINVAL && is_told("rbuf_entries 0"));
	/* The ring is not as it should be. */
	fake.ring_flags = 0;
	p.rbuf_entries = 0;
	EXPECT(try_params(&p, 1) == -EINVAL && is_told("a flag of the ring"));
}

/* The sizes of rings that fit a page, just do, and just do not. */
static void ring_sizes(void)
{
	struct zcrx_params p = rbuf_params();

	fake_reset(FAKE_OURS);
	for (p.rbuf_entries = 1; p.rbuf_entries <= 1025; p.rbuf_entries++) {
		p.refill_entries = p.rbuf_entries;
		EXPECT(!try_params(&p, 1));
	}
	p.refill_entries = p.rbuf_entries = 32768;
	EXPECT(!try_params(&p, 1));
}

static void resume(void)
{
	struct zcrx_params params = rbuf_params();

	fake_reset(FAKE_OURS);
	EXPECT(!zcrx_register(&ring, &params, areas, 1, &ifq));
	EXPECT(!zcrx_kick(&ifq) && fake.nr_calls == 1);
	fake.rbuf_hdr->kflags = ZCRX_RBUF_K_NEED_KICK;
	EXPECT(zcrx_needs_kick(&ifq));
	EXPECT(!zcrx_kick(&ifq) && fake.nr_calls == 2);
	EXPECT(fake.opcode == 36 && fake.fd == 42);
	EXPECT(fake.ctrl.zcrx_id == 5 && fake.ctrl.op == 64);
	zcrx_unregister(&ifq);

	fake_reset(FAKE_MAINLINE);
	fake.ring_flags = CQE32_RING;
	params.rbuf_entries = 0;
	EXPECT(!zcrx_register(&ring, &params, areas, 1, &ifq));
	EXPECT(!zcrx_resume(&ifq));
	EXPECT(fake.opcode == 36 && fake.ctrl.zcrx_id == 5 && !fake.ctrl.op);
	zcrx_unregister(&ifq);
}

static void counters(void)
{
	struct zcrx_params params = rbuf_params();
	struct zcrx_counters c;

	fake_reset(FAKE_OURS);
	EXPECT(!zcrx_register(&ring, &params, areas, 1, &ifq));
	fake.rbuf_hdr->zc_bytes = 1ULL << 40;
	fake.rbuf_hdr->copied_bytes[ZCRX_ABI_COPY_LINEAR] = 3;
	fake.rbuf_hdr->copied_bytes[ZCRX_ABI_COPY_FOREIGN] = 4;
	fake.rbuf_hdr->pauses = 9;
	zcrx_read_counters(&ifq, &c);
	EXPECT(c.zc_bytes == 1ULL << 40 && c.copied_bytes == 7 && c.pauses == 9);
	zcrx_unregister(&ifq);
}

/* Requests are what the kernel's interface says. */
static void requests(void)
{
	struct zcrx_params params = rbuf_params();
	struct io_uring_sqe sqe;

	fake_reset(FAKE_OURS);
	EXPECT(!zcrx_register(&ring, &params, areas, 1, &ifq));

	memset(&sqe, 0, sizeof(sqe));
	sqe.user_data = 99;
	zcrx_prep_recv(&sqe, &ifq, 11, 4096, 0xdeadbeef);
	EXPECT(sqe.opcode == 58 && sqe.fd == 11 && sqe.len == 4096);
	EXPECT(sqe.splice_fd_in == 5 && sqe.addr3 == 0xdeadbeef);
	EXPECT(!sqe.addr && !sqe.off && !sqe.ioprio && !sqe.msg_flags);
	EXPECT(sqe.user_data == 99);

	zcrx_prep_recv_multishot(&sqe, &ifq, 11, 0, 1);
	EXPECT(sqe.ioprio == IORING_RECV_MULTISHOT && !sqe.len);
	zcrx_unregister(&ifq);

	/* Mainline has no tag, and refuses one. */
	fake_reset(FAKE_MAINLINE);
	fake.ring_flags = CQE32_RING;
	params.rbuf_entries = 0;
	EXPECT(!zcrx_register(&ring, &params, areas, 1, &ifq));
	zcrx_prep_recv_multishot(&sqe, &ifq, 11, 0, 1);
	EXPECT(!sqe.addr3);
	zcrx_unregister(&ifq);
}

static void area_alloc(void)
{
	struct zcrx_area area;
	unsigned char *p;

	EXPECT(zcrx_area_alloc(&area, 0, 0) == -EINVAL);
	EXPECT(zcrx_area_alloc(&area, 4096, 1U << 31) == -EINVAL);
	EXPECT(zcrx_area_alloc(&area, SIZE_MAX, 0) == -ENOMEM);
	EXPECT(zcrx_area_alloc(&area, SIZE_MAX / 2, 0) == -ENOMEM);

	EXPECT(!zcrx_area_alloc(&area, 10000, 0));
	EXPECT(area.size == 12288 && !((uintptr_t)area.addr % 4096));
	p = area.addr;
	p[area.size - 1] = 1;
	zcrx_area_free(&area);
	EXPECT(!area.addr && !area.size);
}

/* Whether they are huge is the kernel's affair. */
static void area_alloc_thp(void)
{
	struct zcrx_area area;
	int both = ZCRX_AREA_HUGE | ZCRX_AREA_THP;

	EXPECT(zcrx_area_alloc(&area, 4096, both) == -EINVAL);
	EXPECT(!zcrx_area_alloc(&area, (3 << 20) + 1, ZCRX_AREA_THP));
	EXPECT(area.size == (3 << 20) + 4096);
	EXPECT(!((uintptr_t)area.addr % (2 << 20)));
	memset(area.addr, 1, area.size);
	zcrx_area_free(&area);
}

static void area_alloc_huge(void)
{
	struct zcrx_area area;
	int ret = zcrx_area_alloc(&area, 10000, ZCRX_AREA_HUGE);

	if (ret == -ENOMEM)
		SKIP("no huge pages: set vm.nr_hugepages");
	EXPECT(!ret && area.size == 2 << 20);
	zcrx_area_free(&area);
}

static const struct ktap_case cases[] = {
	{ "register with an rbuf ring", register_rbuf },
	{ "register with 32-byte CQEs", register_cqe32 },
	{ "register with an older mainline kernel", register_old_mainline },
	{ "chunks for the MTU", chunk_by_mtu },
	{ "a ring without a file descriptor", registered_ring },
	{ "wrong arguments", wrong_arguments },
	{ "the kernel's errors", errors },
	{ "kernels that are too old", old_kernels },
	{ "sizes of rings", ring_sizes },
	{ "resume", resume },
	{ "counters", counters },
	{ "requests", requests },
	{ "areas", area_alloc },
	{ "areas of the kernel's huge pages", area_alloc_thp },
	{ "areas of huge pages", area_alloc_huge },
};

int main(void)
{
	if (zcrx_area_alloc(&areas[0], 1 << 20, 0) ||
	    zcrx_area_alloc(&areas[1], 1 << 16, 0))
		return 1;

	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
