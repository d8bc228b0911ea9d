// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A program written for the mainline kernel: its declarations, 32-byte
 * completions, memory of the rings from the kernel. It knows of nothing that is
 * particular to this implementation, and must work.
 */
#include <errno.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "flow.h"
#include "mainline.h"
#include "nic.h"
#include "uring.h"

#define AREA_SIZE	(16 << 20)
#define CHUNK		4096
#define ENTRIES		8192
#define REGION_SIZE	(ENTRIES * sizeof(struct io_uring_zcrx_rqe) + 8192)
#define STATS_OFFSET	(REGION_SIZE - sizeof(struct zcrx_stats))
#define WRITE_SIZE	(64 << 10)
#define TIMEOUT_S	120
#define WAIT_MS		60000

/*
 * An area that is less than the NIC has room for, in a small ring, so that it takes
 * another one at once; when that is added; and a flow that shows both.
 */
#define SMALL_AREA	(64 * CHUNK)
#define SMALL_RX_RING	128
#define GROWS_AT	(1 << 20)
#define GROWN_BYTES	(4 << 20)

/* user_data */
#define REQUEST		1
#define EVENT		2

/* Memory to receive into, and how much has been */
struct area {
	char	*addr;
	size_t	size;
	__u64	bytes;
};

/**
 * struct program - one io_uring of such a program
 * @ring: it
 * @id: of its ifq
 * @areas: what it receives into; the second one is added on the way
 * @nr_areas: how many the kernel has
 * @region: of the refill ring
 * @region_size: in bytes
 * @head: the kernel's
 * @tail: ours, as the kernel sees it
 * @rqes: entries
 * @mask: their number - 1
 * @nr_events: how often we were told that something was copied
 * @bytes: received
 */
struct program {
	struct uring			ring;
	__u32				id;
	struct area			areas[2];
	unsigned int			nr_areas;
	char				*region;
	size_t				region_size;
	__u32				*head;
	__u32				*tail;
	struct io_uring_zcrx_rqe	*rqes;
	__u32				mask;
	unsigned int			nr_events;
	__u64				bytes;
};

FIXTURE(mainline)
{
	struct program p;
	struct flow flow;
};

FIXTURE_VARIANT(mainline)
{
	bool nodev;
};

FIXTURE_VARIANT_ADD(mainline, nic) { .nodev = false };
FIXTURE_VARIANT_ADD(mainline, nodev) { .nodev = true };

static bool map_region(struct program *p,
		       const struct io_uring_zcrx_ifq_reg *reg, size_t size)
{
	__u64 offset = MAP_OFF_ZCRX_REGION +
		       ((__u64)reg->zcrx_id << MAP_ZCRX_SHIFT);
	char *region;

	region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      p->ring.fd, offset);
	if (region == MAP_FAILED)
		return false;
	p->id = reg->zcrx_id;
	p->region = region;
	p->region_size = size;
	p->head = (__u32 *)(region + reg->offsets.head);
	p->tail = (__u32 *)(region + reg->offsets.tail);
	p->rqes = (struct io_uring_zcrx_rqe *)(region + reg->offsets.rqes);
	p->mask = reg->rq_entries - 1;

	return true;
}

static bool map_area(struct area *area, size_t size)
{
	area->size = size;
	area->addr = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return area->addr != MAP_FAILED;
}

static void register_ifq(struct __test_metadata *_metadata, struct program *p,
			 bool nodev, size_t area_size)
{
	struct io_uring_zcrx_area_reg area = { .len = area_size };
	struct io_uring_region_desc region = { .size = REGION_SIZE };
	struct zcrx_event_desc events = {
		.user_data	= EVENT,
		.type_mask	= 1 << ZCRX_EVENT_COPY,
		.flags		= ZCRX_EVENT_STATS,
		.stats_offset	= STATS_OFFSET,
	};
	struct io_uring_zcrx_ifq_reg reg = {
		.rq_entries	= ENTRIES,
		.area_ptr	= (unsigned long)&area,
		.region_ptr	= (unsigned long)&region,
		.event_desc	= (unsigned long)&events,
	};

	if (nodev) {
		reg.flags = ZCRX_REG_NODEV;
	} else {
		reg.if_idx = nic_ifindex();
		reg.if_rxq = nic.rxq;
	}
	ASSERT_TRUE(map_area(&p->areas[0], area_size));
	area.addr = (unsigned long)p->areas[0].addr;
	ASSERT_EQ(0, uring_init(&p->ring, URING_CQE32_FLAGS, ENTRIES));
	ASSERT_EQ(0, uring_register(&p->ring, REGISTER_ZCRX_IFQ, &reg, 1));
	p->nr_areas = 1;
	EXPECT_EQ(0, area.rq_area_token);
	EXPECT_EQ(CHUNK, reg.rx_buf_len);
	EXPECT_EQ(ENTRIES, reg.rq_entries);
	EXPECT_EQ(MAP_OFF_ZCRX_REGION, region.mmap_offset);
	ASSERT_TRUE(map_region(p, &reg, REGION_SIZE));
}

static void close_ring(struct program *p)
{
	munmap(p->region, p->region_size);
	uring_exit(&p->ring);
}

static int ctrl(struct program *p, struct zcrx_ctrl *ctrl)
{
	ctrl->zcrx_id = p->id;

	return uring_register(&p->ring, REGISTER_ZCRX_CTRL, ctrl, 0);
}

static bool refill(struct program *p, __u64 off, __u32 len)
{
	__u32 tail = *p->tail;

	if (tail - __atomic_load_n(p->head, __ATOMIC_ACQUIRE) > p->mask &&
	    ctrl(p, &(struct zcrx_ctrl) { .op = ZCRX_CTRL_FLUSH_RQ }))
		return false;
	p->rqes[tail & p->mask] = (struct io_uring_zcrx_rqe) {
		.off	= off,
		.len	= len,
	};
	__atomic_store_n(p->tail, tail + 1, __ATOMIC_RELEASE);

	return true;
}

static void request(struct program *p, const struct flow *flow)
{
	struct io_uring_sqe *sqe = uring_sqe(&p->ring);

	sqe->opcode = OP_RECV_ZC;
	sqe->fd = flow->fd;
	sqe->splice_fd_in = p->id;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->user_data = REQUEST;
}

static bool take_piece(struct program *p, struct flow *flow, __u64 off,
		       int len)
{
	__u64 at = off & ~IORING_ZCRX_AREA_MASK;
	__u64 id = off >> IORING_ZCRX_AREA_SHIFT;
	struct area *area;

	if (id >= p->nr_areas)
		return false;
	area = &p->areas[id];
	if (len <= 0 || at + len > area->size)
		return false;
	p->bytes += len;
	area->bytes += len;

	return flow_receive(flow, area->addr + at, len) && refill(p, off, len);
}

/* What a completion says: 1 at the end of the stream, or a negative error */
static int take_cqe(struct program *p, struct flow *flow,
		    const struct io_uring_cqe *cqe, const __u64 *extra)
{
	if (cqe->user_data == EVENT) {
		p->nr_events++;
		return cqe->res == ZCRX_EVENT_COPY && !cqe->flags ? 0 :
								    -EPROTO;
	}
	if (cqe->flags & IORING_CQE_F_MORE)
		return !extra[1] && take_piece(p, flow, extra[0], cqe->res) ?
		       0 : -EBADMSG;
	if (!cqe->res)
		return flow_complete(flow) ? 1 : -EBADMSG;
	/* For want of room in the queue, or of chunks: once more */
	if (cqe->res != -ENOSPC && cqe->res != -ENOMEM)
		return cqe->res;
	request(p, flow);

	return 0;
}

/* While chunks of the first one are under way */
static int add_area(struct program *p)
{
	struct io_uring_zcrx_area_reg area = {
		.addr	= (unsigned long)p->areas[1].addr,
		.len	= p->areas[1].size,
	};
	struct zcrx_ctrl add = {
		.op		= ZCRX_CTRL_ADD_AREA,
		.area_ptr	= (unsigned long)&area,
	};
	int ret = ctrl(p, &add);

	if (ret)
		return ret;
	p->nr_areas = 2;

	return area.rq_area_token == 1ULL << IORING_ZCRX_AREA_SHIFT ? 0 :
								      -EPROTO;
}

static bool wants_area(const struct program *p)
{
	return p->areas[1].size && p->nr_areas == 1 && p->bytes >= GROWS_AT;
}

/* Returns 0 if all came, and was right. */
static int receive(struct program *p, struct flow *flow)
{
	struct io_uring_cqe cqe;
	__u64 extra[2];
	int ret = 0;

	request(p, flow);
	while (!ret) {
		ret = uring_enter(&p->ring, 1, WAIT_MS);
		while (!ret && uring_pop(&p->ring, &cqe, extra))
			ret = take_cqe(p, flow, &cqe, extra);
		if (!ret && wants_area(p))
			ret = add_area(p);
	}

	return ret < 0 ? ret : 0;
}

static void receive_flow(struct __test_metadata *_metadata, struct program *p,
			 struct flow *flow, __u64 bytes)
{
	ASSERT_EQ(0, flow_connect(flow, nic.remote_v4, bytes, WRITE_SIZE));
	ASSERT_EQ(0, receive(p, flow)) TH_LOG("after %llu bytes", flow->got);
	flow_close(flow);
}

FIXTURE_SETUP(mainline)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
}

FIXTURE_TEARDOWN(mainline)
{
}

/* One flow after the other, to its end; all is given back, and taken. */
TEST_F_TIMEOUT(mainline, receives, TIMEOUT_S)
{
	struct program *p = &self->p;
	unsigned int i;

	register_ifq(_metadata, p, variant->nodev, AREA_SIZE);
	for (i = 0; i < 3; i++)
		receive_flow(_metadata, p, &self->flow, nic.bytes / 8);
	EXPECT_EQ(0, ctrl(p, &(struct zcrx_ctrl) { .op = ZCRX_CTRL_FLUSH_RQ }));
	EXPECT_EQ(*p->tail, __atomic_load_n(p->head, __ATOMIC_ACQUIRE));
	close_ring(p);
}

/* Events may come late. */
static void wait_for_events(struct program *p, unsigned int nr)
{
	struct io_uring_cqe cqe;
	__u64 extra[2];

	while (p->nr_events < nr && !uring_enter(&p->ring, 1, 5000))
		while (uring_pop(&p->ring, &cqe, extra))
			p->nr_events += cqe.user_data == EVENT;
}

/* Told once that something was copied, and once more when asked to */
TEST_F_TIMEOUT(mainline, events, TIMEOUT_S)
{
	struct zcrx_ctrl arm = {
		.op	= ZCRX_CTRL_ARM_EVENT,
		.arg	= ZCRX_EVENT_COPY,
	};
	struct program *p = &self->p;
	const struct zcrx_stats *stats;
	unsigned int i;

	if (!variant->nodev)
		SKIP(return, "for copies");
	register_ifq(_metadata, p, variant->nodev, AREA_SIZE);
	EXPECT_EQ(-EINVAL, ctrl(p, &arm));
	stats = (const struct zcrx_stats *)(p->region + STATS_OFFSET);
	for (i = 1; i <= 3; i++) {
		receive_flow(_metadata, p, &self->flow, nic.bytes / 8);
		wait_for_events(p, i);
		EXPECT_EQ(i, p->nr_events);
		EXPECT_EQ(p->bytes, stats->copy_bytes);
		EXPECT_EQ(0, ctrl(p, &arm));
	}
	EXPECT_LT(0, stats->copy_count);
	close_ring(p);
}

/* Another ring has the ifq, and the first one goes. */
TEST_F_TIMEOUT(mainline, exported, TIMEOUT_S)
{
	struct zcrx_ctrl export = { .op = ZCRX_CTRL_EXPORT };
	struct io_uring_zcrx_ifq_reg reg = { .flags = ZCRX_REG_IMPORT };
	struct program *p = &self->p, other = {};

	register_ifq(_metadata, p, variant->nodev, AREA_SIZE);
	receive_flow(_metadata, p, &self->flow, nic.bytes / 8);
	ASSERT_EQ(0, ctrl(p, &export));
	reg.if_idx = export.arg;

	other.areas[0] = p->areas[0];
	other.nr_areas = 1;
	ASSERT_EQ(0, uring_init(&other.ring, URING_CQE32_FLAGS, ENTRIES));
	ASSERT_EQ(0, uring_register(&other.ring, REGISTER_ZCRX_IFQ, &reg, 1));
	EXPECT_EQ(ENTRIES, reg.rq_entries);
	ASSERT_TRUE(map_region(&other, &reg, REGION_SIZE));
	EXPECT_EQ(*p->tail, *other.tail);
	close(export.arg);
	close_ring(p);

	receive_flow(_metadata, &other, &self->flow, nic.bytes / 8);
	close_ring(&other);
}

/* What is added while a flow goes on is used, and given back as the rest is. */
TEST_F_TIMEOUT(mainline, add_area, TIMEOUT_S)
{
	struct program *p = &self->p;

	nic_set_rx_ring(SMALL_RX_RING);
	register_ifq(_metadata, p, variant->nodev, SMALL_AREA);
	ASSERT_TRUE(map_area(&p->areas[1], AREA_SIZE));
	receive_flow(_metadata, p, &self->flow, GROWN_BYTES);
	EXPECT_LE(GROWS_AT, p->areas[0].bytes);
	EXPECT_LE(GROWS_AT, p->areas[1].bytes);
	EXPECT_EQ(0, ctrl(p, &(struct zcrx_ctrl) { .op = ZCRX_CTRL_FLUSH_RQ }));
	EXPECT_EQ(*p->tail, __atomic_load_n(p->head, __ATOMIC_ACQUIRE));
	close_ring(p);
	nic_set_rx_ring(NIC_RX_RING);
}

ZCRX_TEST_MAIN
