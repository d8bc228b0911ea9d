// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Without a NIC: everything is copied, from whatever interface it came, and
 * copies share chunks.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>

#include "kselftest_harness.h"
#include "ifq.h"
#include "nic.h"
#include "proc.h"
#include "receiver.h"
#include "refusals.h"

#define AREA_SIZE	(4 << 20)
#define CHUNK		4096
#define ENTRIES		1024
#define MAX_IFQS	1024
#define WRITE_SIZE	(64 << 10)
#define TIMEOUT_S	120
#define LOOPBACK	"127.0.0.1"

static void prepare(struct receiver *r, enum receiver_mode mode, size_t size)
{
	receiver_prepare(r, mode, size);
	ifq_args_set_nodev(&r->args);
}

FIXTURE(nodev)
{
	struct receiver r;
	pid_t peer;
	const char *host;
};

FIXTURE_VARIANT(nodev)
{
	enum receiver_mode	mode;
	bool			loopback;
};

#define NODEV_VARIANT(_name, _mode, _loopback)				\
	FIXTURE_VARIANT_ADD(nodev, _name)				\
	{								\
		.mode = _mode, .loopback = _loopback,			\
	}

NODEV_VARIANT(nic_rbuf, RECV_RBUF, false);
NODEV_VARIANT(nic_oneshot, RECV_RBUF_ONESHOT, false);
NODEV_VARIANT(nic_cqe32, RECV_CQE32, false);
NODEV_VARIANT(loopback_rbuf, RECV_RBUF, true);
NODEV_VARIANT(loopback_oneshot, RECV_RBUF_ONESHOT, true);
NODEV_VARIANT(loopback_cqe32, RECV_CQE32, true);

FIXTURE_SETUP(nodev)
{
	self->host = variant->loopback ? LOOPBACK : nic.remote_v4;
	if (!self->host)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	if (variant->loopback) {
		self->peer = proc_start_peer();
		if (self->peer == -ENOENT)
			SKIP(return, "zcrx_peer is neither beside this program nor in PATH");
		ASSERT_LE(0, self->peer);
	}
	prepare(&self->r, variant->mode, AREA_SIZE);
}

FIXTURE_TEARDOWN(nodev)
{
	proc_kill(self->peer);
}

/* Receives some flows to their ends. */
static void receive_all(struct __test_metadata *_metadata,
			FIXTURE_DATA(nodev) *self, unsigned int nr_flows,
			__u64 bytes, size_t write_size)
{
	struct receiver *r = &self->r;

	ASSERT_EQ(0, receiver_register(r));
	ASSERT_TRUE(receiver_connect(r, self->host, nr_flows, bytes / nr_flows,
				     write_size)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
}

TEST_F_TIMEOUT(nodev, sha256, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;

	receive_all(_metadata, self, 4, nic.bytes / 2, WRITE_SIZE);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(0, stats.zc_bytes);
	EXPECT_EQ(0, stats.copied_foreign);
	EXPECT_EQ(r->bytes, ifq_stats_copied(&stats));
	EXPECT_EQ(0, stats.lent_pages);
	EXPECT_EQ(0, stats.invalid_refills);
	if (variant->mode != RECV_CQE32)
		EXPECT_EQ(r->bytes, r->copied);

	/* All is back, but for the chunk that is being filled. */
	ASSERT_EQ(0, ifq_flush(&r->ifq));
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(AREA_SIZE / CHUNK, stats.chunks);
	EXPECT_LE(stats.chunks - 1, stats.free);
	EXPECT_EQ(0, stats.held);
}

/* All that the entries of the refill ring say is done when there is need to. */
TEST_F_TIMEOUT(nodev, refill_when_needed, TIMEOUT_S)
{
	struct receiver *r = &self->r;

	r->args.areas[0].len = 64 * CHUNK;
	r->hold = 4;
	receive_all(_metadata, self, 1, 1 << 20, WRITE_SIZE);
	/* In a megabyte, at most an area's worth of it was never needed again. */
	EXPECT_LT((1 << 20) / CHUNK / 2,
		  __atomic_load_n(r->ifq.refill_uhead, __ATOMIC_ACQUIRE));
}

TEST_F_TIMEOUT(nodev, flush, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats before, after;
	__u32 head;

	ASSERT_EQ(0, receiver_register(r));
	ASSERT_TRUE(receiver_connect(r, self->host, 1, AREA_SIZE / 4, CHUNK))
		TH_LOG("%s", r->why);
	r->hold = ~0U;
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	EXPECT_EQ(0, *r->ifq.refill_uhead);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &before));
	EXPECT_LE(AREA_SIZE / 4 / CHUNK, before.held);

	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
	ASSERT_EQ(0, ifq_flush(&r->ifq));
	head = __atomic_load_n(r->ifq.refill_uhead, __ATOMIC_ACQUIRE);
	EXPECT_EQ(r->ifq.refill_tail, head);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &after));
	EXPECT_EQ(0, after.held);
	EXPECT_LE(before.free + AREA_SIZE / 4 / CHUNK, after.free);
}

/*
 * Refill entries that give nothing back
 */

/* Of an ifq with one area, of which the last chunk has never been used */
static const __u64 wrong_offs[] = {
	AREA_SIZE - CHUNK,
	AREA_SIZE,
	AREA_SIZE + CHUNK / 2,
	~IORING_ZCRX_AREA_MASK,
	1ULL << IORING_ZCRX_AREA_SHIFT,
	1024ULL << IORING_ZCRX_AREA_SHIFT,
	IORING_ZCRX_AREA_MASK,
	~0ULL,
};

/* The one that was written last is counted, and that is all it does. */
static void expect_invalid(struct __test_metadata *_metadata,
			   struct receiver *r, const char *what, __u64 off)
{
	struct ifq_stats before, after;

	ASSERT_TRUE(ifq_read_stats(&r->ifq, &before));
	ifq_refill_submit(&r->ifq);
	ASSERT_EQ(0, ifq_flush(&r->ifq));
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &after));
	EXPECT_EQ(before.invalid_refills + 1, after.invalid_refills)
		TH_LOG("%s, offset %#llx", what, off);
	EXPECT_EQ(before.held, after.held)
		TH_LOG("%s, offset %#llx", what, off);
	EXPECT_EQ(before.free, after.free)
		TH_LOG("%s, offset %#llx", what, off);
}

static void *last_entry(const struct ifq *ifq)
{
	return ifq->refill_rqes + ((ifq->refill_tail - 1) & ifq->refill_mask) *
				  sizeof(struct io_uring_zcrx_rqe);
}

/* A piece that is held, and padding that is not 0 */
static void give_back_padded(struct __test_metadata *_metadata,
			     struct receiver *r)
{
	const __u64 off = r->held[0].off;
	struct io_uring_zcrx_rqe *rqe;
	struct io_uring_rbuf_rqe *rbuf_rqe;

	ASSERT_TRUE(ifq_give_back(&r->ifq, off));
	if (!r->ifq.has_rbuf) {
		rqe = last_entry(&r->ifq);
		rqe->pad = 1;
		expect_invalid(_metadata, r, "pad", off);
		return;
	}
	rbuf_rqe = last_entry(&r->ifq);
	rbuf_rqe->pad = 1;
	expect_invalid(_metadata, r, "pad", off);
	ASSERT_TRUE(ifq_give_back(&r->ifq, off));
	rbuf_rqe = last_entry(&r->ifq);
	rbuf_rqe->pad2 = 1;
	expect_invalid(_metadata, r, "pad2", off);
}

static void give_back_nonsense(struct __test_metadata *_metadata,
			       struct receiver *r)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong_offs); i++) {
		ASSERT_TRUE(ifq_give_back(&r->ifq, wrong_offs[i]));
		expect_invalid(_metadata, r, "no such piece", wrong_offs[i]);
	}
	give_back_padded(_metadata, r);
}

/* Each piece, once more than it was received: what is counted, and what is not */
TEST_F_TIMEOUT(nodev, give_back_twice, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats held, once, twice, end;
	unsigned int nr;

	ASSERT_EQ(0, receiver_register(r));
	ASSERT_TRUE(receiver_connect(r, self->host, 1, AREA_SIZE / 16, CHUNK))
		TH_LOG("%s", r->why);
	r->hold = ~0U;
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	nr = r->nr_held;
	give_back_nonsense(_metadata, r);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &held));
	EXPECT_EQ(nr, held.held);

	ASSERT_TRUE(receiver_give_back_all(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &once));
	EXPECT_EQ(held.invalid_refills, once.invalid_refills);
	EXPECT_EQ(0, once.held);

	/* Nothing has come since: the bytes are what they were. */
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
	ASSERT_EQ(0, ifq_flush(&r->ifq));
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &twice));
	EXPECT_EQ(once.invalid_refills + nr, twice.invalid_refills);
	EXPECT_EQ(0, twice.held);
	EXPECT_EQ(once.free, twice.free);

	/* All chunks come round: none has been lost, or become free twice. */
	receiver_disconnect(r);
	r->hold = AREA_SIZE / CHUNK / 2;
	ASSERT_TRUE(receiver_connect(r, self->host, 4, AREA_SIZE / 2,
				     WRITE_SIZE)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
	ASSERT_EQ(0, ifq_flush(&r->ifq));
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &end));
	EXPECT_EQ(twice.invalid_refills, end.invalid_refills);
	EXPECT_EQ(0, end.held);
	EXPECT_LE(end.chunks - 1, end.free);
}

/*
 * Twice the area, and nothing given back: an error with 32-byte completions, a
 * pause with the rbuf ring. Then everything is given back, and goes on.
 */
TEST_F_TIMEOUT(nodev, twice_the_area, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;

	r->args.areas[0].len = 64 * CHUNK;
	ASSERT_EQ(0, receiver_register(r));
	ASSERT_TRUE(receiver_connect(r, self->host, 1, 2 * 64 * CHUNK,
				     WRITE_SIZE)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_keep(r, 2000)) TH_LOG("%s", r->why);
	EXPECT_GE(64 * CHUNK, r->bytes);
	EXPECT_LT(32 * CHUNK, r->bytes);
	EXPECT_EQ(variant->mode == RECV_RBUF, ifq_needs_kick(&r->ifq));
	switch (variant->mode) {
	case RECV_RBUF:
		EXPECT_EQ(0, r->nr_ended_early);
		break;
	case RECV_RBUF_ONESHOT:
		EXPECT_EQ(1, r->nr_ended_early);
		EXPECT_EQ(-ENOBUFS, r->early_res);
		break;
	case RECV_CQE32:
		EXPECT_EQ(1, r->nr_ended_early);
		EXPECT_EQ(-ENOMEM, r->early_res);
		break;
	}
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(r->nr_ended_early, stats.ends);
	ASSERT_TRUE(receiver_release(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
}

/*
 * A sender that writes single bytes and has TCP_NODELAY set: its bytes share
 * chunks, in the steady state as in the beginning. Where the NIC is slower than
 * the sender, bytes gather before it: that would say nothing.
 */
static void receive_packed(struct __test_metadata *_metadata,
			   FIXTURE_DATA(nodev) *self,
			   const FIXTURE_VARIANT(nodev) *variant,
			   unsigned int nr_flows)
{
	struct receiver *r = &self->r;

	if (!variant->loopback)
		SKIP(return, "for the loopback interface");
	r->cq_entries = 32768;
	r->hold = 4096;
	receive_all(_metadata, self, nr_flows, nic.bytes / 256, 1);
	TH_LOG("%llu bytes in %u pieces and %u chunks", r->bytes, r->nr_pieces,
	       r->nr_chunk_uses);
	/* The last one is not full. */
	EXPECT_LE(10ULL * (r->nr_chunk_uses - 1) * CHUNK, 11 * r->bytes);
	EXPECT_LT(r->bytes / 8, r->nr_pieces);
}

TEST_F_TIMEOUT(nodev, single_bytes, TIMEOUT_S)
{
	receive_packed(_metadata, self, variant, 1);
}

TEST_F_TIMEOUT(nodev, single_bytes_of_several, TIMEOUT_S)
{
	receive_packed(_metadata, self, variant, 4);
}

/*
 * Arguments
 */

static const struct refusal refusals[] = {
	REFUSED(reg.if_idx, 1, -EINVAL),
	REFUSED(reg.if_idx, ~0U, -EINVAL),
	REFUSED(reg.if_rxq, 1, -EINVAL),
	REFUSED(reg.if_rxq, ~0U, -EINVAL),
	REFUSED(reg.rx_buf_len, 2 * CHUNK, -EOPNOTSUPP),
	REFUSED(reg.rx_buf_len, 1 << 20, -EOPNOTSUPP),
	REFUSED(reg.rx_buf_len, 1U << 31, -EOPNOTSUPP),
	REFUSED_OR(reg.rx_buf_len, 1, -EINVAL, -EOPNOTSUPP),
	REFUSED_OR(reg.rx_buf_len, CHUNK / 2, -EINVAL, -EOPNOTSUPP),
	REFUSED_OR(reg.rx_buf_len, 3 * CHUNK, -EINVAL, -EOPNOTSUPP),
	REFUSED(reg.rq_entries, 0, -EINVAL),
	REFUSED(reg.area_ptr, NOWHERE, -EFAULT),
	REFUSED(areas[0].addr, NOWHERE, -EFAULT),
	REFUSED(areas[0].len, CHUNK + 1, -EINVAL),
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
	ifq_args_init(&self->args, 0, 0, variant->rbuf, AREA_SIZE, ENTRIES);
	ifq_args_set_nodev(&self->args);
}

FIXTURE_TEARDOWN(args)
{
	uring_exit(&self->ring);
}

TEST_F(args, refused)
{
	check_refusals(_metadata, &self->ring, &self->args, refusals,
		       ARRAY_SIZE(refusals));
	EXPECT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_EQ(0, self->ifq.id);
	EXPECT_EQ(AREA_SIZE / 1024, proc_pinned_kib());
}

TEST_F(args, accepted)
{
	struct io_uring_zcrx_ifq_reg *reg = &self->args.reg;

	reg->rx_buf_len = CHUNK;
	ASSERT_EQ(0, ifq_register(&self->ifq, &self->ring, &self->args));
	EXPECT_EQ(CHUNK, reg->rx_buf_len);
	EXPECT_EQ(ENTRIES, reg->rq_entries);
}

/* There is no queue that could be bound already. */
TEST_F(args, several)
{
	struct ifq_args args;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		ifq_args_init(&args, 0, 0, variant->rbuf, AREA_SIZE, ENTRIES);
		ifq_args_set_nodev(&args);
		ASSERT_EQ(0, ifq_register(&self->ifq, &self->ring, &args));
		EXPECT_EQ(i, self->ifq.id);
	}
	EXPECT_EQ(4 * AREA_SIZE / 1024, proc_pinned_kib());
}

/*
 * As many as an io_uring can have, each with one chunk. An imported one counts,
 * too.
 */
TEST_F_TIMEOUT(args, too_many, TIMEOUT_S)
{
	struct ifq_args args;
	unsigned int i;
	int fd, ret = 0;

	for (i = 0; i <= MAX_IFQS; i++) {
		ifq_args_init(&args, 0, 0, variant->rbuf, CHUNK, ENTRIES);
		ifq_args_set_nodev(&args);
		ret = ifq_register(&self->ifq, &self->ring, &args);
		if (ret)
			break;
		ASSERT_EQ(i, self->ifq.id);
	}
	EXPECT_EQ(MAX_IFQS, i);
	EXPECT_EQ(-EBUSY, ret);
	EXPECT_EQ(MAX_IFQS * CHUNK / 1024, proc_pinned_kib());

	fd = ifq_export(&self->ifq);
	ASSERT_LE(0, fd);
	ifq_args_init_import(&args, fd, variant->rbuf);
	EXPECT_EQ(-EBUSY, uring_register(&self->ring, REGISTER_ZCRX_IFQ,
					 &args.reg, 1));
	close(fd);
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

ZCRX_TEST_MAIN
