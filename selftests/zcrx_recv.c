// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What is received is what was sent, in order, exactly once, and stays so until
 * it is given back.
 */
#include "kselftest_harness.h"
#include "nic.h"
#include "receiver.h"

#define AREA_SIZE	(16 << 20)
#define WRITE_SIZE	(128 << 10)
#define TIMEOUT_S	300

FIXTURE(recv)
{
	struct receiver r;
};

FIXTURE_VARIANT(recv)
{
	bool			v6;
	enum receiver_mode	mode;
	unsigned int		nr_flows;
	__u32			ring_flags;
};

#define RECV_VARIANT(_name, _v6, _mode, _nr_flows)			\
	FIXTURE_VARIANT_ADD(recv, _name)				\
	{								\
		.v6 = _v6, .mode = _mode, .nr_flows = _nr_flows,	\
	}

RECV_VARIANT(v4_rbuf_1, false, RECV_RBUF, 1);
RECV_VARIANT(v4_rbuf_8, false, RECV_RBUF, 8);
RECV_VARIANT(v4_cqe32_1, false, RECV_CQE32, 1);
RECV_VARIANT(v4_cqe32_8, false, RECV_CQE32, 8);
RECV_VARIANT(v4_oneshot_1, false, RECV_RBUF_ONESHOT, 1);
RECV_VARIANT(v4_oneshot_8, false, RECV_RBUF_ONESHOT, 8);
RECV_VARIANT(v6_rbuf_1, true, RECV_RBUF, 1);
RECV_VARIANT(v6_rbuf_8, true, RECV_RBUF, 8);
RECV_VARIANT(v6_cqe32_1, true, RECV_CQE32, 1);
RECV_VARIANT(v6_cqe32_8, true, RECV_CQE32, 8);

/* An rbuf ring in an io_uring of another kind, and a small flow */
#define RING_VARIANT(_name, _ring_flags)				\
	FIXTURE_VARIANT_ADD(recv, _name)				\
	{								\
		.mode = RECV_RBUF, .nr_flows = 1,			\
		.ring_flags = _ring_flags,				\
	}

RING_VARIANT(sqpoll, IORING_SETUP_SQPOLL);
RING_VARIANT(coop_taskrun, IORING_SETUP_COOP_TASKRUN);
RING_VARIANT(defer_taskrun, IORING_SETUP_SINGLE_ISSUER |
	     IORING_SETUP_DEFER_TASKRUN);
RING_VARIANT(big_cqes, IORING_SETUP_CQE32);

FIXTURE_SETUP(recv)
{
	const char *host = variant->v6 ? nic.remote_v6 : nic.remote_v4;
	__u64 bytes = nic.bytes / variant->nr_flows;

	if (!host)
		SKIP(return, "%s is not set: name the peer",
		     variant->v6 ? "REMOTE_V6" : "REMOTE_V4");
	receiver_prepare(&self->r, variant->mode, AREA_SIZE);
	if (variant->ring_flags) {
		self->r.ring_flags = variant->ring_flags;
		bytes /= 8;
	}
	ASSERT_EQ(0, receiver_register(&self->r));
	ASSERT_TRUE(receiver_connect(&self->r, host, variant->nr_flows, bytes,
				     WRITE_SIZE))
		TH_LOG("%s", self->r.why);
}

FIXTURE_TEARDOWN(recv)
{
	receiver_close(&self->r);
}

TEST_F_TIMEOUT(recv, sha256, TIMEOUT_S)
{
	struct ifq_stats stats;

	ASSERT_TRUE(receiver_run(&self->r, 0)) TH_LOG("%s", self->r.why);
	ASSERT_TRUE(receiver_finish(&self->r)) TH_LOG("%s", self->r.why);

	ASSERT_TRUE(receiver_check_counters(&self->r)) TH_LOG("%s", self->r.why);
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &stats));
	EXPECT_EQ(0, stats.invalid_refills);
	EXPECT_EQ(self->r.nr_ended_early, stats.ends);
	TH_LOG("%llu bytes in place, %llu copied, %llu pauses, %u early ends",
	       stats.zc_bytes, ifq_stats_copied(&stats), stats.pauses,
	       self->r.nr_ended_early);
}

ZCRX_TEST_MAIN
