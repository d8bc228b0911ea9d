// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What the kernel shows of an ifq to those who don't own it: netlink dumps of
 * queues and page pools, tracepoints, fdinfo.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include "kselftest_harness.h"
#include "netlink.h"
#include "nic.h"
#include "pools.h"
#include "proc.h"
#include "receiver.h"

#define AREA_SIZE	(8 << 20)
#define WRITE_SIZE	(64 << 10)
#define BYTES		(4 << 20)
#define TIMEOUT_S	120
#define POOL_MS		10000
#define TRACEFS		"/sys/kernel/tracing/"

/* Of <linux/netdev.h>, which distributions have without them */
#define NETDEV_CMD_QUEUE_GET		10
#define NETDEV_A_QUEUE_ID		1
#define NETDEV_A_QUEUE_IFINDEX		2
#define NETDEV_A_QUEUE_TYPE		3
#define NETDEV_A_QUEUE_IO_URING		6
#define NETDEV_QUEUE_TYPE_RX		0

/*
 * Netlink
 */

/**
 * struct queues - receive queues of the NIC with io_uring's memory
 * @nr: their number
 * @rxq: the last of them
 */
struct queues {
	unsigned int	nr;
	__u32		rxq;
};

static int count_queue(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attrs[16] = {}, *attr;
	struct queues *queues = data;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(attr) < ARRAY_SIZE(attrs))
			attrs[mnl_attr_get_type(attr)] = attr;

	if (!attrs[NETDEV_A_QUEUE_IO_URING] || !attrs[NETDEV_A_QUEUE_IFINDEX] ||
	    mnl_attr_get_u32(attrs[NETDEV_A_QUEUE_IFINDEX]) != nic_ifindex())
		return MNL_CB_OK;
	if (mnl_attr_get_u32(attrs[NETDEV_A_QUEUE_TYPE]) !=
	    NETDEV_QUEUE_TYPE_RX)
		return MNL_CB_ERROR;
	queues->rxq = mnl_attr_get_u32(attrs[NETDEV_A_QUEUE_ID]);
	queues->nr++;

	return MNL_CB_OK;
}

/* Returns 0, or a negative error. */
static int dump_queues(struct queues *queues)
{
	struct nlmsghdr *nlh;
	struct netlink nl;
	char buf[256];
	int family, ret;

	memset(queues, 0, sizeof(*queues));
	ret = netlink_open(&nl, NETLINK_GENERIC);
	if (ret)
		return ret;
	family = netlink_family(&nl, "netdev");
	if (family < 0) {
		ret = family;
	} else {
		nlh = netlink_put_genl(buf, family, NLM_F_DUMP,
				       NETDEV_CMD_QUEUE_GET);
		ret = netlink_ask(&nl, nlh, count_queue, queues);
	}
	netlink_close(&nl);

	return ret;
}

/*
 * Tracepoints
 */

static bool write_tracefs(const char *name, const char *text)
{
	char path[128];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), TRACEFS "%s", name);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);

	return ok;
}

/* What was traced, with @words in the line: how often, and how many bytes where
 * there are bytes
 */
struct traced {
	const char		*event;
	const char		*words;
	unsigned int		nr;
	unsigned long long	bytes;
};

static bool read_trace(struct traced *traced, unsigned int nr)
{
	FILE *f = fopen(TRACEFS "trace", "r");
	char line[512], *p;
	unsigned int i, len;

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		for (i = 0; i < nr; i++) {
			if (!strstr(line, traced[i].event) ||
			    (traced[i].words &&
			     !strstr(line, traced[i].words)))
				continue;
			traced[i].nr++;
			p = strstr(line, " len=");
			if (p && sscanf(p, " len=%u", &len) == 1)
				traced[i].bytes += len;
		}
	}
	fclose(f);

	return true;
}

FIXTURE(observe)
{
	struct receiver r;
};

FIXTURE_VARIANT(observe)
{
	enum receiver_mode mode;
};

FIXTURE_VARIANT_ADD(observe, rbuf) { .mode = RECV_RBUF };
FIXTURE_VARIANT_ADD(observe, cqe32) { .mode = RECV_CQE32 };

FIXTURE_SETUP(observe)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	receiver_prepare(&self->r, variant->mode, AREA_SIZE);
}

FIXTURE_TEARDOWN(observe)
{
	receiver_close(&self->r);
}

static void receive(struct __test_metadata *_metadata, struct receiver *r)
{
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, BYTES, WRITE_SIZE))
		TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
}

/*
 * A queue and its page pool are marked from registration to close. The pool may
 * last a little longer, until all memory is back.
 */
TEST_F_TIMEOUT(observe, netlink, TIMEOUT_S)
{
	struct queues queues;
	struct pools pools;

	ASSERT_EQ(0, dump_queues(&queues));
	EXPECT_EQ(0, queues.nr);
	EXPECT_EQ(0, pools_wait_gone(&pools, POOL_MS));

	ASSERT_EQ(0, receiver_register(&self->r));
	ASSERT_EQ(0, dump_queues(&queues));
	EXPECT_EQ(1, queues.nr);
	EXPECT_EQ(nic.rxq, queues.rxq);
	ASSERT_EQ(0, pools_read(&pools));
	EXPECT_EQ(1, pools.nr);
	EXPECT_EQ(0, pools.nr_detached);
	receive(_metadata, &self->r);

	uring_exit(&self->r.ring);
	ASSERT_EQ(0, dump_queues(&queues));
	EXPECT_EQ(0, queues.nr);
	EXPECT_EQ(0, pools_wait_gone(&pools, POOL_MS));
	ASSERT_EQ(0, uring_init(&self->r.ring, 0, 64));
}

/* Each byte that is counted was traced, and the other way round. */
TEST_F_TIMEOUT(observe, tracepoints, TIMEOUT_S)
{
	char words[64];
	struct traced traced[] = {
		{ " zcrx_recv: " }, { " zcrx_copy: " }, { " zcrx_alloc: " },
		{ " zcrx_refill: " }, { " zcrx_lend: " }, { " zcrx_state: " },
		{ " zcrx_copy: ", "reason=linear\n" },
		{ " zcrx_copy: ", "reason=page\n" },
		{ " zcrx_copy: ", "reason=foreign\n" },
		{ " zcrx_recv: ", words }, { " zcrx_copy: ", words },
	};
	static struct receiver nodev;
	struct ifq_stats stats, others, later;

	if (access(TRACEFS "trace", F_OK))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	if (access(TRACEFS "events/zcrx/enable", F_OK))
		SKIP(return, "no tracepoints: CONFIG_FTRACE?");
	ASSERT_TRUE(write_tracefs("buffer_size_kb", "8192"));
	ASSERT_TRUE(write_tracefs("trace", "\n"));
	ASSERT_TRUE(write_tracefs("events/zcrx/enable", "1"));
	/* An area that runs dry */
	self->r.args.areas[0].len = 64 * 4096;
	self->r.hold = 16;
	EXPECT_EQ(0, receiver_register(&self->r));
	receive(_metadata, &self->r);
	/* And another ifq, for which its chunks are foreign */
	receiver_prepare(&nodev, variant->mode, AREA_SIZE);
	ifq_args_set_nodev(&nodev.args);
	EXPECT_EQ(0, receiver_register(&nodev));
	receive(_metadata, &nodev);
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &stats));
	ASSERT_TRUE(ifq_read_stats(&nodev.ifq, &others));
	receiver_close(&nodev);
	ASSERT_TRUE(write_tracefs("events/zcrx/enable", "0"));
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &later));

	snprintf(words, sizeof(words), " dest=%s:", nic.remote_v4);
	ASSERT_TRUE(read_trace(traced, ARRAY_SIZE(traced)));
	EXPECT_EQ(stats.zc_bytes, traced[0].bytes);
	EXPECT_EQ(ifq_stats_copied(&stats) + ifq_stats_copied(&others),
		  traced[1].bytes);
	EXPECT_EQ(stats.copies + others.copies, traced[1].nr);
	EXPECT_EQ(stats.copied_linear + others.copied_linear, traced[6].bytes);
	EXPECT_EQ(stats.copied_page + others.copied_page, traced[7].bytes);
	EXPECT_EQ(others.copied_foreign, traced[8].bytes);
	EXPECT_EQ(traced[0].nr, traced[9].nr);
	EXPECT_EQ(traced[1].nr, traced[10].nr);
	TH_LOG("%llu bytes linear, %llu page, %llu foreign", traced[6].bytes,
	       traced[7].bytes, traced[8].bytes);
	EXPECT_LT(0, traced[0].nr);
	EXPECT_LT(0, traced[1].nr);
	EXPECT_LT(0, traced[2].nr);
	EXPECT_LT(0, traced[3].nr);
	/* The NIC may still be asking for memory meanwhile. */
	EXPECT_LE(stats.lent_pages, traced[4].nr);
	EXPECT_GE(later.lent_pages, traced[4].nr);
	EXPECT_LE(stats.state_changes, traced[5].nr);
	EXPECT_GE(later.state_changes, traced[5].nr);
	write_tracefs("buffer_size_kb", "1408");
}

/* Whoever may look at the process sees the counters, without being root. */
TEST_F_TIMEOUT(observe, fdinfo, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;
	unsigned int areas = 1;

	if (variant->mode == RECV_RBUF)
		ifq_args_set_area(&r->args, areas++, ifq_mmap(AREA_SIZE),
				  AREA_SIZE);
	ASSERT_EQ(0, receiver_register(r));
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_STREQ("on", stats.state);
	EXPECT_EQ(nic_ifindex(), stats.if_idx);
	EXPECT_EQ(nic.rxq, stats.rxq);
	EXPECT_EQ(areas, stats.areas);
	EXPECT_EQ(areas * (AREA_SIZE / 4096), stats.chunks);
	EXPECT_EQ(0, stats.copies);

	receive(_metadata, r);
	ASSERT_EQ(0, ifq_flush(&r->ifq));
	ASSERT_EQ(0, proc_become_nobody());
	/* Changing user makes /proc/self root's. */
	ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1));
	ASSERT_TRUE(receiver_check_counters(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_EQ(areas, stats.areas);
	EXPECT_EQ(0, stats.held);
	EXPECT_EQ(!ifq_stats_copied(&stats), !stats.copies);
	EXPECT_EQ(0, stats.invalid_refills);
}

static void expect_same(struct __test_metadata *_metadata,
			const struct ifq_stats *a, const struct ifq_stats *b)
{
	EXPECT_STREQ(a->state, b->state);
	EXPECT_EQ(a->if_idx, b->if_idx);
	EXPECT_EQ(a->rxq, b->rxq);
	EXPECT_EQ(a->areas, b->areas);
	EXPECT_EQ(a->chunks, b->chunks);
	EXPECT_EQ(a->held, b->held);
	EXPECT_EQ(a->zc_bytes, b->zc_bytes);
	EXPECT_EQ(a->copies, b->copies);
	EXPECT_EQ(ifq_stats_copied(a), ifq_stats_copied(b));
}

/*
 * The file of an ifq that was exported has the line, too, and has it still when
 * the ring is no more. For the file it has no number, whatever the ring has.
 */
TEST_F_TIMEOUT(observe, fdinfo_of_export, TIMEOUT_S)
{
	static struct receiver nodev;
	struct receiver *r = &self->r;
	struct ifq_stats stats, exported;
	int fd;

	receiver_prepare(&nodev, variant->mode, AREA_SIZE);
	ifq_args_set_nodev(&nodev.args);
	ASSERT_EQ(0, receiver_register(&nodev));
	ASSERT_EQ(0, receiver_register_with(r, &nodev.ring));
	EXPECT_EQ(1, r->ifq.id);
	receive(_metadata, r);
	ASSERT_EQ(0, ifq_flush(&r->ifq));

	fd = ifq_export(&r->ifq);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	ASSERT_TRUE(ifq_read_stats_of(fd, 0, &exported));
	expect_same(_metadata, &stats, &exported);
	EXPECT_EQ(nic.rxq, exported.rxq);
	EXPECT_EQ(r->bytes, exported.zc_bytes + ifq_stats_copied(&exported));

	ASSERT_TRUE(ifq_read_stats(&nodev.ifq, &stats));
	EXPECT_STREQ("nodev", stats.state);
	EXPECT_EQ(0, stats.if_idx);
	EXPECT_EQ(1, stats.areas);
	EXPECT_EQ(0, stats.zc_bytes + stats.copies);

	stats = exported;
	uring_exit(&r->ring);
	ASSERT_TRUE(ifq_read_stats_of(fd, 0, &exported));
	expect_same(_metadata, &stats, &exported);
	close(fd);
	ASSERT_EQ(0, uring_init(&r->ring, 0, 64));
}

ZCRX_TEST_MAIN
