// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * How the NIC reaches an area: directly, through an IOMMU (boot with
 * "intel_iommu=on iommu.strict=1"), or by bounce buffers ("swiotlb=65536,force").
 * Bytes are right in all cases, and no mapping is left behind.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "nic.h"
#include "proc.h"
#include "receiver.h"

/* More than the ring of the queue had before, of whose buffers it takes the place */
#define AREA_SIZE	(32 << 20)
#define LEEWAY		(AREA_SIZE / 2)

#define WRITE_SIZE	(128 << 10)
#define NR_FLOWS	4
#define TIMEOUT_S	300

#define SWIOTLB		"/sys/kernel/debug/swiotlb/"
#define SLAB_SIZE	2048

/* How long what is on its way may keep its bounce buffer */
#define PATIENCE_MS	5000

/*
 * For receiver_prepare(): an area of so many bytes, whatever the size of its
 * chunks. Bounce buffers are few.
 */
static size_t in_pages(size_t bytes)
{
	return bytes / (nic.chunk / NIC_PAGE);
}

/* The first word of a file */
static bool read_word(const char *path, char word[64])
{
	FILE *f = fopen(path, "r");
	bool ok;

	if (!f)
		return false;
	ok = fscanf(f, "%63s", word) == 1;
	fclose(f);

	return ok;
}

/* Memory for bounce buffers, in bytes: all of it, or what is in use. -1: none */
static long long swiotlb(const char *what)
{
	char path[64], word[64];

	snprintf(path, sizeof(path), SWIOTLB "io_tlb_%s", what);

	return read_word(path, word) ? atoll(word) * SLAB_SIZE : -1;
}

static bool swiotlb_used_at_most(long long bytes)
{
	struct timespec ts = { .tv_nsec = 10000000 };
	int i;

	for (i = 0; i < PATIENCE_MS / 10; i++) {
		if (swiotlb("used") <= bytes)
			return true;
		nanosleep(&ts, NULL);
	}

	return false;
}

/* The IOMMU translates, if the kernel was told so. */
TEST(iommu)
{
	const char *expected = "DMA-FQ";
	char path[64], type[64];

	if (proc_booted_with("iommu.strict=1"))
		expected = "DMA";
	snprintf(path, sizeof(path), "/sys/class/net/%s/device/iommu_group/type",
		 nic.name);
	if (!read_word(path, type))
		strcpy(type, "none");
	if (proc_booted_with("intel_iommu=on"))
		EXPECT_STREQ(expected, type);
	TH_LOG("domain of the NIC: %s", type);
}

FIXTURE(dma)
{
	struct receiver r;
	bool bounces;
	long long used;
};

FIXTURE_VARIANT(dma)
{
	enum receiver_mode mode;
};

FIXTURE_VARIANT_ADD(dma, rbuf) { .mode = RECV_RBUF };
FIXTURE_VARIANT_ADD(dma, cqe32) { .mode = RECV_CQE32 };

FIXTURE_SETUP(dma)
{
	if (access(SWIOTLB, F_OK))
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	self->used = swiotlb("used");
	self->bounces = proc_bounces();
	if (self->bounces)
		ASSERT_LT(0, self->used);
}

FIXTURE_TEARDOWN(dma)
{
}

/* Whatever lies between, chunks have what was sent, and mappings go. */
TEST_F_TIMEOUT(dma, sha256, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats;

	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	ASSERT_TRUE(receiver_open(r, variant->mode, in_pages(AREA_SIZE)))
		TH_LOG("%s", r->why);
	if (self->bounces)
		EXPECT_LE(self->used + LEEWAY, swiotlb("used"));

	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, NR_FLOWS,
				     nic.bytes / NR_FLOWS, WRITE_SIZE))
		TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_LT(r->bytes / 4, stats.zc_bytes);
	TH_LOG("%llu of %llu bytes in place, bounce buffers: %lld bytes before, %lld with the area",
	       stats.zc_bytes, r->bytes, self->used, swiotlb("used"));

	receiver_close(r);
	EXPECT_TRUE(swiotlb_used_at_most(self->used + LEEWAY))
		TH_LOG("%lld bytes of bounce buffers were in use, now it is %lld",
		       self->used, swiotlb("used"));
}

/*
 * An area for which there are not enough bounce buffers is refused, and takes
 * none.
 */
TEST_F_TIMEOUT(dma, no_room, TIMEOUT_S)
{
	long long size = self->bounces ? swiotlb("nslabs") : 2 * AREA_SIZE;
	struct receiver *r = &self->r;
	int i;

	for (i = 0; i < 3; i++) {
		receiver_prepare(r, variant->mode, in_pages(size));
		if (self->bounces) {
			EXPECT_EQ(-EIO, receiver_register(r));
			ifq_args_free(&r->args);
		} else {
			EXPECT_EQ(0, receiver_register(r));
			receiver_close(r);
		}
		EXPECT_TRUE(swiotlb_used_at_most(self->used + LEEWAY));
	}
}

#define TRACEFS		"/sys/kernel/tracing/"
#define HUGE_PAGE	(2ULL << 20)

static bool trace_iommu(bool on)
{
	if (access(TRACEFS "trace", F_OK))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);

	return nic_run("echo %d > " TRACEFS "events/iommu/map/enable", on);
}

/* What the IOMMU maps so that its own huge pages can do it, in bytes */
static unsigned long long huge_mappings(void)
{
	FILE *f = fopen(TRACEFS "trace", "r");
	unsigned long long iova, addr, size, sum = 0;
	const char *event;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		event = strstr(line, "iova=");
		if (event && sscanf(event, "iova=%llx - %*x paddr=%llx size=%llu",
				    &iova, &addr, &size) == 3 &&
		    !((iova | addr) % HUGE_PAGE))
			sum += size / HUGE_PAGE * HUGE_PAGE;
	}
	if (f)
		fclose(f);

	return sum;
}

/* An area of huge pages is mapped as such, not page by page. */
TEST_F_TIMEOUT(dma, huge_pages, TIMEOUT_S)
{
	struct receiver *r = &self->r;

	if (!proc_booted_with("intel_iommu=on"))
		SKIP(return, "for an IOMMU");
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	receiver_prepare(r, variant->mode, in_pages(HUGE_PAGE));
	ifq_args_set_area(&r->args, 0, ifq_mmap_huge(AREA_SIZE), AREA_SIZE);
	ASSERT_NE(0, r->args.areas[0].addr);
	ASSERT_TRUE(trace_iommu(true));
	EXPECT_EQ(0, receiver_register(r));
	EXPECT_TRUE(trace_iommu(false));
	EXPECT_EQ(AREA_SIZE, huge_mappings());
	EXPECT_TRUE(nic_run("echo > " TRACEFS "trace"));

	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, nic.bytes / 4,
				     WRITE_SIZE)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
	receiver_close(r);
}

/* So little is left of the bounce buffers, at least. */
#define LEFT		(256 << 10)

/* Less than the NIC has descriptors for, and how long nothing is given back */
#define DRY_AREA	(2 << 20)
#define DRY_MS		2000

/* Areas take what is there of the bounce buffers, from large to small. */
static void take_bounce_buffers(struct receiver *ballast)
{
	struct io_uring_zcrx_area_reg area;
	size_t size = AREA_SIZE;

	while (size >= LEFT) {
		area = (struct io_uring_zcrx_area_reg) { .len = size };
		if (swiotlb("nslabs") - swiotlb("used") >=
		    (long long)(size + LEFT)) {
			area.addr = (unsigned long)receiver_mmap(size);
			if (!ifq_add_area(&ballast->ifq, &area))
				continue;
			munmap((void *)(unsigned long)area.addr, size);
		}
		size /= 2;
	}
}

static long long alloc_failures(void)
{
	char command[128];
	long long nr = -1;
	FILE *f;

	snprintf(command, sizeof(command),
		 "ethtool -S %s | sed -n 's/ *rx_queue_%u_alloc_failed: //p'",
		 nic.name, nic.rxq);
	f = popen(command, "r");
	if (f && fscanf(f, "%lld", &nr) != 1)
		nr = -1;
	if (f)
		pclose(f);

	return nr;
}

/*
 * The area is dry, and there are hardly any bounce buffers for pages of the kernel,
 * nor for what is sent. When there are some again everything goes on.
 */
TEST_F_TIMEOUT(dma, no_room_for_pages, TIMEOUT_S)
{
	static struct receiver ballast;
	struct receiver *r = &self->r;
	struct ifq_stats stats;
	long long failed;

	if (!self->bounces)
		SKIP(return, "for bounce buffers");
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	if (nic.nr_rxqs < 2)
		SKIP(return, "needs two receive queues");
	ASSERT_TRUE(receiver_open(r, variant->mode, in_pages(DRY_AREA)))
		TH_LOG("%s", r->why);
	failed = alloc_failures();
	ASSERT_LE(0, failed);
	/* Before there is nothing left to send a SYN with, or to ask for a MAC address */
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, NR_FLOWS,
				     nic.bytes / 8 / NR_FLOWS, WRITE_SIZE))
		TH_LOG("%s", r->why);
	receiver_prepare(&ballast, variant->mode, in_pages(AREA_SIZE));
	ballast.args.reg.if_rxq = nic.rxq ? 0 : 1;
	ASSERT_EQ(0, receiver_register(&ballast));
	take_bounce_buffers(&ballast);

	ASSERT_TRUE(receiver_keep(r, DRY_MS)) TH_LOG("%s", r->why);
	ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
	EXPECT_TRUE(stats.copying);
	failed = alloc_failures() - failed;
	EXPECT_LT(0, failed);
	TH_LOG("no memory %lld times, %llu pages lent, %lld bytes of bounce buffers left",
	       failed, stats.lent_pages, swiotlb("nslabs") - swiotlb("used"));

	receiver_close(&ballast);
	ASSERT_TRUE(receiver_release(r)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	ASSERT_TRUE(receiver_finish(r)) TH_LOG("%s", r->why);
	receiver_close(r);
	EXPECT_TRUE(swiotlb_used_at_most(self->used + LEEWAY));
}

ZCRX_TEST_MAIN
