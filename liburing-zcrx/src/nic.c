// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Take a queue of a NIC, and give it back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "liburing-zcrx.h"
#include "nic_impl.h"

/**
 * zcrx_nic_ifindex() - which interface?
 * @nic: the queue
 *
 * Return: its index.
 */
unsigned int zcrx_nic_ifindex(const struct zcrx_nic *nic)
{
	return nic->ifindex;
}

/**
 * zcrx_nic_rxq() - which queue?
 * @nic: the queue
 *
 * Return: its number, counted from 0.
 */
unsigned int zcrx_nic_rxq(const struct zcrx_nic *nic)
{
	return nic->rec->queue;
}

/**
 * zcrx_nic_name() - which interface?
 * @nic: the queue
 *
 * Return: its name when the queue was set up; valid as long as @nic is.
 */
const char *zcrx_nic_name(const struct zcrx_nic *nic)
{
	return nic->name;
}

static void fill_in(struct zcrx_owners *owners, const struct zcrx_nic *nic)
{
	memset(owners, 0, sizeof(*owners));
	owners->ifindex = nic->ifindex;
	owners->name = nic->name;
	owners->dir = nic->dir;
	owners->own = nic->rec;
}

/**
 * zcrx_nic_lock() - lock the NIC
 * @nic: the queue
 * @owners: filled in, without others; zcrx_owners_end() unlocks
 *
 * Return: 0 or a negative errno, with a sentence.
 */
int zcrx_nic_lock(const struct zcrx_nic *nic, struct zcrx_owners *owners)
{
	fill_in(owners, nic);

	return zcrx_owners_lock(owners);
}

/* The same, and see who else has queues of it */
static int lock_and_load(const struct zcrx_nic *nic, struct zcrx_owners *owners)
{
	fill_in(owners, nic);

	return zcrx_owners_begin(owners);
}

static bool is_free(const struct zcrx_owners *owners,
		    const struct zcrx_queues *queues, unsigned int queue)
{
	return queues->provider[queue] == ZCRX_PROVIDER_NONE &&
	       !zcrx_owners_find(owners, queue);
}

static int check_queue(const struct zcrx_owners *owners,
		       const struct zcrx_queues *queues, unsigned int queue)
{
	const struct zcrx_record *rec = zcrx_owners_find(owners, queue);

	if (queue >= queues->nr)
		return zcrx_fail(-ERANGE, "%s has no receive queue %u: it has %u, counted from 0",
				 owners->name, queue, queues->nr);
	if (rec && rec->why)
		return zcrx_fail(rec->err, "%s", rec->why);
	if (rec && rec->kept)
		return zcrx_fail(-EBUSY, "receive queue %u of %s is kept for a program that finds it set up: take another one, or zcrxctl reset %s",
				 queue, owners->name, owners->name);
	if (rec)
		return zcrx_fail(-EBUSY, "receive queue %u of %s is process %d's: take another one",
				 queue, owners->name, (int)rec->pid);
	if (!is_free(owners, queues, queue))
		return zcrx_fail(-EBUSY, "receive queue %u of %s is in use by another program's memory: take another one",
				 queue, owners->name);

	return queue;
}

/* The last one that is free, and one must be left for everybody else. */
static int pick_queue(const struct zcrx_owners *owners,
		      const struct zcrx_queues *queues)
{
	unsigned int nr_free = 0, i;
	int queue = -1;

	if (queues->nr == 1)
		return zcrx_fail(-ENOSPC, "%s has one receive queue, and zero copy takes one away from everybody else: ethtool -L %s combined 2, or ask for queue 0 by its number, which all connections then share",
				 owners->name, owners->name);
	for (i = 0; i < queues->nr; i++) {
		if (is_free(owners, queues, i)) {
			queue = i;
			nr_free++;
		}
	}
	if (nr_free < 2)
		return zcrx_fail(-ENOSPC, "all but one of the %u receive queues of %s are taken: ethtool -L %s combined N makes more, if it has them",
				 queues->nr, owners->name, owners->name);

	return queue;
}

static int choose_queue(struct zcrx_nic *nic, const struct zcrx_owners *owners,
			int rxq)
{
	struct zcrx_queues queues;
	int ret = zcrx_owners_queues(nic->ifindex, &queues);

	if (ret)
		return zcrx_fail(ret, "receive queues of %s are not known: %s",
				 nic->name, zcrx_hw_said(ret));
	nic->single = queues.nr == 1;

	return rxq < 0 ? pick_queue(owners, &queues) :
			 check_queue(owners, &queues, rxq);
}

static int check_link(struct zcrx_nic *nic)
{
	struct zcrx_link link;
	int ret = zcrx_hw_link(nic->ifindex, &link);

	if (ret)
		return zcrx_fail(ret, "interface %s does not say what it is: %s",
				 nic->name, zcrx_hw_said(ret));
	if (!(link.flags & IFF_UP))
		return zcrx_fail(-ENETDOWN, "%s is down: ip link set %s up",
				 nic->name, nic->name);
	memcpy(nic->device, link.device, sizeof(nic->device));

	return 0;
}

/*
 * What igb calls filters knows no ports (igb_add_ethtool_nfc_entry() in Linux),
 * and its link goes down for the switch. That of mlx5 is for accelerated RFS only
 * (set_feature_arfs()): it takes filters all the same.
 */
static bool is_for_filters(const struct zcrx_nic *nic)
{
	char driver[32];

	return zcrx_hw_driver(nic->ifindex, driver) ||
	       (strcmp(driver, "igb") && strcmp(driver, "mlx5_core"));
}

/*
 * Can filters be had by being switched on? Those that are there already don't
 * need it, RFS would make some to our queue, and with one queue there is nothing
 * to steer.
 */
static bool wants_filters(const struct zcrx_nic *nic)
{
	bool available, on;

	if (nic->single || zcrx_hw_ntuple(nic->ifindex, &available, &on) ||
	    !available || on)
		return false;

	return is_for_filters(nic) && !zcrx_hw_has_arfs() &&
	       zcrx_hw_nr_rules(nic->ifindex) <= 0;
}

/* How was it before anybody came? */
static int note_originals(const struct zcrx_nic *nic,
			  const struct zcrx_owners *owners,
			  const struct zcrx_rings *rings)
{
	const struct zcrx_record *other = zcrx_owners_any(owners);
	struct zcrx_record *rec = nic->rec;
	struct zcrx_rss *rss;
	int ret;

	if (other) {
		rec->split = other->split;
		rec->threshold = other->threshold;
		rec->filters_off = other->filters_off;
		return zcrx_record_set_table(rec, other->table, other->size);
	}
	rec->split = rings->split == ZCRX_SPLIT_NOT_KNOWN ? ZCRX_SPLIT_AUTO :
							    rings->split;
	rec->threshold = rings->threshold;
	rec->filters_off = wants_filters(nic);
	ret = zcrx_hw_rss(owners->ifindex, &rss);
	if (ret == -EOPNOTSUPP)
		return zcrx_record_set_table(rec, NULL, 0);
	if (ret)
		return ret;
	ret = zcrx_record_set_table(rec, rss->table, rss->size);
	free(rss);

	return ret;
}

static int refused_split(const struct zcrx_nic *nic, int err)
{
	if (err == -EPERM)
		return zcrx_fail(err, "header split of %s can't be switched on: run as root, or with CAP_NET_ADMIN",
				 nic->name);
	if (err == -EOPNOTSUPP)
		return zcrx_fail(err, "%s can't split headers, which zero copy needs: %s",
				 nic->name, zcrx_hw_said(err));

	return zcrx_fail(err, "%s refuses to split headers, which zero copy needs: %s",
			 nic->name, zcrx_hw_said(err));
}

/* A NIC that can't split need not be told what else it lacks. */
static int check_split(const struct zcrx_nic *nic, struct zcrx_rings *rings)
{
	int ret = zcrx_hw_rings(nic->ifindex, rings);

	if (!ret && rings->split != ZCRX_SPLIT_ON)
		ret = zcrx_hw_try_split(nic->ifindex);

	return ret ? refused_split(nic, ret) : 0;
}

static int split_headers(const struct zcrx_nic *nic,
			 const struct zcrx_rings *rings)
{
	int threshold = rings->threshold < 0 ? -1 : 0, ret;

	if (rings->split == ZCRX_SPLIT_ON && rings->threshold <= 0)
		return 0;
	ret = zcrx_hw_set_split(nic->ifindex, ZCRX_SPLIT_ON, threshold);

	return ret ? refused_split(nic, ret) : 0;
}

/* From the record on, there is something to put back. */
static int change_settings(struct zcrx_nic *nic, struct zcrx_owners *owners,
			   const struct zcrx_rings *rings)
{
	int ret = split_headers(nic, rings);

	if (!ret)
		ret = zcrx_owners_apply_rss(owners, NULL);
	/* If it refuses, whoever wants to steer a connection is told. */
	if (!ret && nic->rec->filters_off)
		zcrx_hw_set_ntuple(nic->ifindex, true);

	return ret;
}

static int record(struct zcrx_nic *nic, struct zcrx_owners *owners, int queue,
		  const struct zcrx_rings *rings)
{
	int ret;

	nic->rec = zcrx_record_new(nic->name, queue);
	ret = nic->rec ? note_originals(nic, owners, rings) : -ENOMEM;
	if (ret)
		return zcrx_fail(ret, "the settings of %s can't be read: %s",
				 nic->name, strerror(-ret));
	memcpy(nic->rec->device, nic->device, sizeof(nic->device));

	return zcrx_record_save(nic->dir, nic->rec);
}

static void give_up(const struct zcrx_nic *nic,
		    const struct zcrx_owners *owners)
{
	struct zcrx_sentence why;

	zcrx_sentence_keep(&why);
	zcrx_owners_put_back(owners, nic->rec);
	zcrx_sentence_restore(&why);
}

static int take_queue(struct zcrx_nic *nic, struct zcrx_owners *owners, int rxq)
{
	struct zcrx_rings rings;
	int queue, ret;

	zcrx_owners_reap(owners);
	ret = check_split(nic, &rings);
	if (ret)
		return ret;
	queue = choose_queue(nic, owners, rxq);
	if (queue < 0)
		return queue;
	ret = record(nic, owners, queue, &rings);
	if (ret)
		return ret;
	owners->own = nic->rec;
	ret = change_settings(nic, owners, &rings);
	if (ret)
		give_up(nic, owners);

	return ret;
}

static void destroy(struct zcrx_nic *nic)
{
	unsigned int i;

	for (i = 0; i < nic->nr_fds; i++)
		free(nic->steered[i]);
	zcrx_record_free(nic->rec);
	if (nic->dir >= 0)
		close(nic->dir);
	free(nic->steered);
	free(nic);
}

static int set_up(struct zcrx_nic *nic, int rxq)
{
	struct zcrx_owners owners;
	int ret = check_link(nic);

	if (ret)
		return ret;
	nic->dir = zcrx_record_dir(nic->ifindex, true);
	if (nic->dir < 0)
		return nic->dir;
	ret = lock_and_load(nic, &owners);
	if (ret)
		return ret;
	ret = take_queue(nic, &owners, rxq);
	zcrx_owners_end(&owners);
	if (!ret)
		nic->target.queue = nic->rec->queue;

	return ret;
}

/* By everybody if the kernel has the rbuf ring, by RECV_ZC alone on mainline */
static bool chunks_are_readable(void)
{
	int has = zcrx_probe();

	return has > 0 && has & ZCRX_HAS_RBUF;
}

static int open_queue(struct zcrx_nic **nicp, const char *ifname, int rxq)
{
	int ifindex = zcrx_nic_index(ifname), ret;
	struct zcrx_nic *nic;

	if (ifindex < 0)
		return ifindex;
	nic = calloc(1, sizeof(*nic));
	if (!nic)
		return zcrx_fail(-ENOMEM, "no memory to set up %s", ifname);
	nic->ifindex = ifindex;
	nic->dir = -1;
	strncpy(nic->name, ifname, sizeof(nic->name) - 1);
	ret = set_up(nic, rxq);
	if (ret) {
		destroy(nic);
		return ret;
	}
	*nicp = nic;

	return 0;
}

/**
 * zcrx_nic_open() - set up a receive queue for zero copy
 * @nicp: set
 * @ifname: name of the interface
 * @rxq: the queue, or -1: whichever is best
 *
 * From then on the queue is ours: it is recorded, header split is on, filters are
 * if they can be, and RSS sends nothing to it. What processes that have died left
 * is put back before.
 *
 * Return: 0 or a negative errno, with a sentence and all as it was; -ENODEV: no
 * such interface; -ENETDOWN: it is down; -ERANGE: it has no such queue; -EBUSY:
 * that is taken; -ENOSPC: it has none to spare; -EOPNOTSUPP: it can't split
 * headers; -EACCES, -EPERM: no privilege; -EBADMSG: a record is garbled.
 */
int zcrx_nic_open(struct zcrx_nic **nicp, const char *ifname, int rxq)
{
	int ret = open_queue(nicp, ifname, rxq);

	if (!ret)
		(*nicp)->readable = chunks_are_readable();

	return ret;
}

/**
 * zcrx_nic_open_readable() - the same, on a kernel known to have the rbuf ring
 * @nicp: set
 * @ifname: name of the interface
 * @rxq: the queue, or -1: whichever is best
 *
 * Asking that makes a ring, whose end interrupts system calls of this thread.
 *
 * Return: as zcrx_nic_open().
 */
int zcrx_nic_open_readable(struct zcrx_nic **nicp, const char *ifname, int rxq)
{
	int ret = open_queue(nicp, ifname, rxq);

	if (!ret)
		(*nicp)->readable = true;

	return ret;
}

static int move_up(int fd, int min)
{
	int moved = fd < min ? fcntl(fd, F_DUPFD_CLOEXEC, min) : -1;

	if (moved < 0)
		return fd;
	close(fd);

	return moved;
}

/**
 * zcrx_nic_move_files() - leave low file descriptors to the program
 * @nic: the queue
 * @min: the lowest that ours may have, unless there are none
 * @fds: set to those that it has until it steers, unsteers, or is closed
 */
void zcrx_nic_move_files(struct zcrx_nic *nic, int min, int fds[ZCRX_NIC_FILES])
{
	fds[0] = nic->dir = move_up(nic->dir, min);
	fds[1] = nic->rec->lock = move_up(nic->rec->lock, min);
}

/**
 * zcrx_nic_close() - put everything back
 * @nic: no more to be used; NULL is fine. The ring that the queue was
 *	 registered with has been closed
 *
 * If the queue is still bound, since a forked child has the ring, say, nothing is
 * steered to it any more. What can't be put back now, header split then, is by the
 * next zcrx_nic_open() or zcrx_nic_reset(): the record stays, without a lock. It
 * says nothing: what is told is why the caller gives up.
 */
void zcrx_nic_close(struct zcrx_nic *nic)
{
	struct zcrx_sentence why;
	struct zcrx_owners owners;

	if (!nic)
		return;
	zcrx_sentence_keep(&why);
	zcrx_owners_wait_unbound(nic->ifindex, nic->rec->queue);
	if (!lock_and_load(nic, &owners)) {
		if (zcrx_owners_is_bound(nic->ifindex, nic->rec->queue))
			zcrx_owners_leave_bound(&owners, nic->readable);
		else
			zcrx_owners_put_back(&owners, nic->rec);
		zcrx_owners_end(&owners);
	}
	zcrx_sentence_restore(&why);
	destroy(nic);
}

/**
 * zcrx_nic_keep() - leave a queue set up, for a program that finds it so
 * @nic: no more to be used, unless this fails
 *
 * It is nobody's then: other owners leave it alone, until zcrx_nic_reset().
 *
 * Return: 0 or a negative errno, with a sentence; zcrx_nic_close() puts it back
 * then, or the next zcrx_nic_open() does.
 */
int zcrx_nic_keep(struct zcrx_nic *nic)
{
	struct zcrx_owners owners;
	int ret = lock_and_load(nic, &owners);

	if (ret)
		return ret;
	nic->rec->kept = true;
	ret = zcrx_record_save(nic->dir, nic->rec);
	zcrx_owners_end(&owners);
	if (ret)
		nic->rec->kept = false;
	else
		destroy(nic);

	return ret;
}

/**
 * zcrx_nic_keep_alone() - the queue is for somebody who may see nothing else
 * @nic: the queue
 *
 * Connections are steered to it by filters only, each for itself.
 */
void zcrx_nic_keep_alone(struct zcrx_nic *nic)
{
	nic->alone = true;
}

/**
 * zcrx_nic_wait_unbound() - wait until nobody uses the queue any more
 * @nic: the queue. The ring that it was registered with has been closed, others
 *	 may have it for as long as they like
 */
void zcrx_nic_wait_unbound(const struct zcrx_nic *nic)
{
	while (zcrx_owners_is_bound(nic->ifindex, nic->rec->queue))
		zcrx_pause();
}

static int reset(struct zcrx_owners *owners)
{
	int ret = zcrx_owners_begin(owners);

	if (ret)
		return ret;
	zcrx_owners_end_kept(owners);
	ret = zcrx_owners_reap(owners);
	zcrx_owners_end(owners);

	return ret;
}

/**
 * zcrx_nic_reset() - put back what is kept, and what the dead left
 * @ifname: name of the interface
 *
 * What living processes have set stays.
 *
 * Return: 0, also if there was nothing to do, or a negative errno, with a
 * sentence; -EBUSY: such a queue is still in use; -EBADMSG: a record is garbled.
 */
int zcrx_nic_reset(const char *ifname)
{
	struct zcrx_owners owners = { .name = ifname };
	int ifindex = zcrx_nic_index(ifname), ret;

	if (ifindex < 0)
		return ifindex;
	owners.ifindex = ifindex;
	owners.dir = zcrx_record_dir(ifindex, false);
	if (owners.dir < 0)
		return owners.dir == -ENOENT ? 0 : owners.dir;
	ret = reset(&owners);
	close(owners.dir);

	return ret;
}
