// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What a NIC can do, and how it is set up */
#include <errno.h>
#include <limits.h>
#include <liburing-zcrx.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "nic.h"
#include "xdp.h"

/* Fewer lose packets in bursts. */
#define ENOUGH_DESCRIPTORS	1024
/* With a chunk of 16 KiB each they take half of it. */
#define MANY_DESCRIPTORS	2048
#define QUEUE_MEM		(64 << 20)

/* IP and TCP, with timestamps */
#define HEADERS			52

/* The driver that can, in our kernel */
#define OUR_DRIVER		"igb"

/* No NIC has it. */
#define NO_QUEUE		INT_MAX

static unsigned int nr_with(const struct zcrx_nic_info *info,
			    enum zcrx_provider provider)
{
	unsigned int i, nr = 0;

	for (i = 0; i < info->nr_queues; i++)
		nr += info->queues[i].provider == provider;

	return nr;
}

static int register_no_queue(struct io_uring *ring, unsigned int ifindex)
{
	struct zcrx_params params = {
		.if_idx		= ifindex,
		.rxq		= NO_QUEUE,
		.refill_entries	= 1,
	};
	struct zcrx_area area;
	struct zcrx_ifq ifq;
	int ret;

	ret = zcrx_area_alloc(&area, sysconf(_SC_PAGESIZE), 0);
	if (ret)
		return ret;
	ret = zcrx_register(ring, &params, &area, 1, &ifq);
	zcrx_area_free(&area);

	return ret;
}

/*
 * The kernel looks at the driver first (-EOPNOTSUPP), and then at the number of
 * the queue (-ERANGE), so that no queue is disturbed.
 */
static int ask_kernel(const char *ifname)
{
	struct io_uring ring;
	int ret;

	ret = io_uring_queue_init(1, &ring, IORING_SETUP_SINGLE_ISSUER |
				  IORING_SETUP_DEFER_TASKRUN |
				  IORING_SETUP_CQE32);
	if (ret)
		return ret;
	ret = register_no_queue(&ring, if_nametoindex(ifname));
	io_uring_queue_exit(&ring);

	return ret;
}

/*
 * -EOPNOTSUPP: the driver can't; -ERANGE: it can; -ENODATA: there is nobody to
 * ask; others: not known
 */
static int ask_driver(const char *ifname, const struct zcrx_nic_info *nic,
		      const struct kernel_can *can)
{
	if (nr_with(nic, ZCRX_PROVIDER_IO_URING))
		return -ERANGE;
	if (!can->zcrx)
		return -ENODATA;

	return ask_kernel(ifname);
}

static void check_driver(struct checks *checks, const char *ifname,
			 const struct zcrx_nic_info *nic,
			 const struct kernel_can *can)
{
	const char *driver = *nic->driver ? nic->driver : "(none)";
	const char *name = "driver";

	switch (ask_driver(ifname, nic, can)) {
	case -ERANGE:
		check(checks, name, CHECK_OK,
		      "driver %s can give a queue the program's memory",
		      driver);
		break;
	case -EOPNOTSUPP:
		check(checks, name, CHECK_MISSING,
		      "driver %s can't give a queue the program's memory",
		      driver);
		check_mend(checks, "use another NIC: on Linux 6.12 with the patches of liburing-zcrx, one with driver %s",
			   OUR_DRIVER);
		break;
	case -ENODATA:
		check(checks, name, CHECK_UNKNOWN,
		      "driver %s: only a kernel with zero-copy receive tells whether it can give a queue the program's memory",
		      driver);
		break;
	default:
		check(checks, name, CHECK_UNKNOWN,
		      "driver %s: only root can see whether it can give a queue the program's memory",
		      driver);
		check_mend(checks, "sudo zcrxctl doctor %s", ifname);
	}
}

static void check_link(struct checks *checks, const char *ifname,
		       const struct zcrx_nic_info *nic)
{
	if (nic->up) {
		check(checks, "link", CHECK_OK, "the interface is up");
		return;
	}
	check(checks, "link", CHECK_MISSING, "the interface is down");
	check_mend(checks, "ip link set dev %s up", ifname);
}

static void check_split(struct checks *checks, const char *ifname,
			const struct zcrx_nic_info *nic)
{
	const char *name = "header-split";

	if (nic->split == ZCRX_SPLIT_ON) {
		check(checks, name, CHECK_OK, "header split is on");
	} else if (nic->can_switch_split == ZCRX_NO) {
		check(checks, name, CHECK_MISSING,
		      "header split is off, and driver %s can't switch it on",
		      nic->driver);
		check_mend(checks, "use another NIC, or a kernel whose driver can");
	} else if (nic->can_switch_split == ZCRX_NOT_KNOWN) {
		check(checks, name, CHECK_MISSING,
		      "header split is off, and only root can see whether it can be on");
		check_mend(checks, "sudo zcrxctl doctor %s", ifname);
	} else {
		check(checks, name, CHECK_MISSING,
		      "header split is off: queue objects, zcrx_queue_open(3), zcrx-run and zcrx-iperf3 switch it on themselves, other programs do not");
		check_mend(checks, "ethtool -G %s tcp-data-split on, or zcrx-split %s on where ethtool can't",
			   ifname, ifname);
	}
	if (nic->split_threshold <= 0)
		return;
	check(checks, "split-threshold", CHECK_MISSING,
	      "payload up to %d bytes is not split off", nic->split_threshold);
	check_mend(checks, "ethtool -G %s hds-thresh 0", ifname);
}

static unsigned int nr_kept(const struct zcrx_nic_info *nic)
{
	unsigned int i, nr = 0;

	for (i = 0; i < nic->nr_queues; i++)
		nr += nic->queues[i].kept;

	return nr;
}

/* A queue object takes it: what the dead left is put back before. */
static bool is_free(const struct zcrx_nic_queue *queue)
{
	return queue->provider == ZCRX_PROVIDER_NONE &&
	       (!queue->pid || queue->stale);
}

/*
 * How many are free, and the last of them. Without being asked for a number,
 * queue objects take one only if another one is left for everybody else.
 */
static unsigned int find_free(const struct zcrx_nic_info *nic,
			      unsigned int *last)
{
	unsigned int i, nr = 0;

	for (i = 0; i < nic->nr_queues; i++) {
		if (is_free(&nic->queues[i])) {
			*last = i;
			nr++;
		}
	}

	return nr;
}

static void check_queues(struct checks *checks, const char *ifname,
			 const struct zcrx_nic_info *nic)
{
	unsigned int taken = nr_with(nic, ZCRX_PROVIDER_IO_URING) +
			     nr_with(nic, ZCRX_PROVIDER_DMABUF);
	unsigned int last = 0, nr_free = find_free(nic, &last);
	const char *name = "queues";

	if (!nic->up)
		return;
	if (!nr_free) {
		check(checks, name, CHECK_NOTE,
		      "no receive queue is free: %u taken by programs, %u kept by zcrxctl setup",
		      taken, nr_kept(nic));
		check_mend(checks, "zcrxctl list tells by whom; ethtool -L %s combined N makes more queues",
			   ifname);
	} else if (nic->nr_queues == 1) {
		check(checks, name, CHECK_NOTE,
		      "there is one receive queue, for all connections: queue objects take it only when asked for it by its number (rxq 0)");
		check_mend(checks, "ethtool -L %s combined N, on a machine with several CPUs",
			   ifname);
	} else if (nr_free == 1) {
		check(checks, name, CHECK_NOTE,
		      "one of %u receive queues is free, %u kept by zcrxctl setup: queue objects take it only when asked for it by its number (rxq %u)",
		      nic->nr_queues, nr_kept(nic), last);
		check_mend(checks, "zcrxctl list tells who has the others; ethtool -L %s combined N makes more queues",
			   ifname);
	} else {
		check(checks, name, CHECK_OK,
		      "%u receive queues: %u taken by programs, %u kept by zcrxctl setup",
		      nic->nr_queues, taken, nr_kept(nic));
	}
}

/**
 * nic_has_filters() - has a NIC filters that tell connections apart?
 * @nic: it
 *
 * Return: whether it has; those of igb don't know ports.
 */
bool nic_has_filters(const struct zcrx_nic_info *nic)
{
	return nic->ntuple_available == ZCRX_YES &&
	       strcmp(nic->driver, OUR_DRIVER);
}

/*
 * By the RSS table, others' connections come along, which must be able to read
 * what lies in a program's memory: in mainline they are not.
 */
static void check_steering(struct checks *checks, const char *ifname,
			   const struct zcrx_nic_info *nic,
			   const struct kernel_can *can)
{
	const char *name = "steering";

	if (nic->nr_queues <= 1)
		return;
	if (nic_has_filters(nic)) {
		check(checks, name, CHECK_OK,
		      "filters for single flows can steer connections");
	} else if (nic->rss_size && nic->rss_toeplitz && can->rbuf) {
		check(checks, name, CHECK_OK,
		      "the RSS table, %u entries, can steer connections%s",
		      nic->rss_size,
		      nic->rss_contexts ? ", and there are RSS contexts" : "");
	} else {
		check(checks, name, CHECK_NOTE,
		      "connections can't be steered, and come by any queue: those of others are copied");
		check_mend(checks, "ethtool -L %s combined 1, and ask for queue 0 by its number",
			   ifname);
	}
	/* mlx5's switch is for accelerated RFS: it takes filters all the same. */
	if (!nic_has_filters(nic) || nic->ntuple_on ||
	    !strcmp(nic->driver, "mlx5_core"))
		return;
	check(checks, "ntuple", CHECK_NOTE,
	      "filters for single flows are off: queue objects, zcrx-run and zcrx-iperf3 switch them on unless RFS is configured, other programs do not");
	check_mend(checks, "ethtool -K %s ntuple on", ifname);
}

static void check_xdp(struct checks *checks, const char *ifname,
		      const struct zcrx_nic_info *nic)
{
	const char *name = "xdp", *word;

	if (xdp_find(ifname, &word)) {
		check(checks, name, CHECK_UNKNOWN,
		      "is there an XDP program? the kernel does not tell");
	} else if (word) {
		check(checks, name, CHECK_MISSING,
		      "an XDP program is attached");
		check_mend(checks, "ip link set dev %s %s off", ifname, word);
	} else {
		check(checks, name, CHECK_OK, "no XDP program is in the way");
	}
	if (!nr_with(nic, ZCRX_PROVIDER_XSK))
		return;
	check(checks, "af-xdp", CHECK_NOTE,
	      "%u queues have an AF_XDP socket, and are not to be had",
	      nr_with(nic, ZCRX_PROVIDER_XSK));
	check_mend(checks, "end the program that has the AF_XDP socket");
}

static void check_ring(struct checks *checks, const char *ifname,
		       const struct zcrx_nic_info *nic)
{
	const char *name = "ring";
	unsigned int more = nic->rx_ring_max;

	if (!nic->rx_ring) {
		check(checks, name, CHECK_UNKNOWN,
		      "the number of descriptors of a queue is not told");
	} else if (nic->rx_ring >= ENOUGH_DESCRIPTORS || nic->rx_ring == more) {
		check(checks, name, CHECK_OK, "%u descriptors a queue",
		      nic->rx_ring);
	} else {
		check(checks, name, CHECK_NOTE,
		      "%u descriptors a queue: bursts may lose packets",
		      nic->rx_ring);
		check_mend(checks, "ethtool -G %s rx %u", ifname,
			   more > MANY_DESCRIPTORS ? MANY_DESCRIPTORS : more);
	}
}

/* As zcrx_queue_open() decides it for memory of the default size */
static void check_large_chunks(struct checks *checks, const char *ifname,
			       const struct zcrx_nic_info *nic,
			       unsigned int payload)
{
	unsigned int size = zcrx_chunk_by_mtu(if_nametoindex(ifname),
					      QUEUE_MEM);

	if (size) {
		check(checks, "mtu", CHECK_OK,
		      "MTU %u: a packet has %u bytes for a chunk of %u, if the driver has such",
		      nic->mtu, payload, size);
		return;
	}
	check(checks, "mtu", CHECK_NOTE,
	      "MTU %u: a packet has %u bytes for several chunks, since %u descriptors with a larger one each take more than half of 64 MiB",
	      nic->mtu, payload, nic->rx_ring);
	check_mend(checks, "ethtool -G %s rx %u, or have programs take more memory",
		   ifname, MANY_DESCRIPTORS);
}

static void check_mtu(struct checks *checks, const char *ifname,
		      const struct zcrx_nic_info *nic)
{
	unsigned int chunk = sysconf(_SC_PAGESIZE);
	unsigned int payload = nic->mtu > HEADERS ? nic->mtu - HEADERS : 0;

	if (payload > chunk) {
		check_large_chunks(checks, ifname, nic, payload);
		return;
	}
	if (payload >= chunk / 2) {
		check(checks, "mtu", CHECK_OK,
		      "MTU %u: a packet has %u bytes for a chunk of %u",
		      nic->mtu, payload, chunk);
		return;
	}
	check(checks, "mtu", CHECK_NOTE,
	      "MTU %u: a packet fills %u %% of its chunk of %u bytes",
	      nic->mtu, payload * 100 / chunk, chunk);
	check_mend(checks, "ip link set dev %s mtu 9000, where all of the network has it",
		   ifname);
}

static void check_records(struct checks *checks, const char *ifname,
			  const struct zcrx_nic_info *nic)
{
	unsigned int i;

	for (i = 0; i < nic->nr_queues; i++) {
		if (!nic->queues[i].stale)
			continue;
		check(checks, "left-behind", CHECK_NOTE,
		      "queue %u is still set up for process %d, which is gone",
		      i, nic->queues[i].pid);
		check_mend(checks, "zcrxctl reset %s", ifname);
	}
}

/**
 * doctor_nic() - look at a NIC
 * @checks: gets what is found
 * @ifname: name of the interface
 * @can: what the kernel can do
 *
 * Return: 0, or a negative errno, with a sentence of zcrx_error().
 */
int doctor_nic(struct checks *checks, const char *ifname,
	       const struct kernel_can *can)
{
	struct zcrx_nic_info nic;
	int ret = zcrx_nic_describe(ifname, &nic);

	if (ret)
		return ret;
	checks->about = ifname;
	if (nic.loopback) {
		check(checks, "nic", CHECK_MISSING,
		      "loopback has no NIC: everything is copied");
		check_mend(checks, "zcrxctl doctor, which looks at all NICs");
	} else {
		check_driver(checks, ifname, &nic, can);
		check_link(checks, ifname, &nic);
		check_split(checks, ifname, &nic);
		check_queues(checks, ifname, &nic);
		check_steering(checks, ifname, &nic, can);
		check_xdp(checks, ifname, &nic);
		check_ring(checks, ifname, &nic);
		check_mtu(checks, ifname, &nic);
		check_records(checks, ifname, &nic);
	}
	zcrx_nic_info_free(&nic);

	return 0;
}
