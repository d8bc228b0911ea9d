// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Header split and the RSS table belong to all owners of queues of a NIC.
 * Header split is on as long as there is one. The RSS table is composed, of
 * what it was before the first one came and of what each of them wants. The
 * last one to go puts both back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "nic_owners.h"
#include "nic_rss.h"

/* The kernel may give a queue back a moment after its ring was closed. */
#define UNBOUND_TRIES		100
#define UNBOUND_PAUSE_NS	10000000L

static void drop_own(struct zcrx_owners *owners)
{
	struct zcrx_records *recs = &owners->others;
	unsigned int i;

	for (i = 0; i < recs->nr; i++) {
		if (recs->list[i]->queue != owners->own->queue)
			continue;
		zcrx_record_free(recs->list[i]);
		recs->list[i] = recs->list[--recs->nr];
		return;
	}
}

/**
 * zcrx_owners_begin() - lock a NIC, and see who has queues of it
 * @owners: filled in but for @others
 *
 * Return: 0 or a negative errno, with a sentence.
 */
int zcrx_owners_begin(struct zcrx_owners *owners)
{
	int ret = zcrx_record_lock(owners->dir, owners->name);

	if (ret)
		return ret;
	ret = zcrx_records_load(owners->dir, &owners->others);
	if (ret) {
		zcrx_record_unlock(owners->dir);
		return ret;
	}
	if (owners->own)
		drop_own(owners);

	return 0;
}

/**
 * zcrx_owners_end() - unlock it
 * @owners: as of zcrx_owners_begin()
 */
void zcrx_owners_end(struct zcrx_owners *owners)
{
	zcrx_records_free(&owners->others);
	zcrx_record_unlock(owners->dir);
}

/**
 * zcrx_owners_queues() - which receive queues are there?
 * @ifindex: the interface
 * @queues: filled in, on every kernel
 *
 * Return: 0 or a negative errno.
 */
int zcrx_owners_queues(unsigned int ifindex, struct zcrx_queues *queues)
{
	int ret = zcrx_hw_queues(ifindex, queues);

	if (ret && ret != -EOPNOTSUPP)
		return ret;
	if (!queues->nr)
		queues->nr = zcrx_hw_nr_rings(ifindex);
	if (queues->nr > sizeof(queues->provider))
		queues->nr = sizeof(queues->provider);

	return 0;
}

/**
 * zcrx_owners_find() - who else has a queue?
 * @owners: as of zcrx_owners_begin()
 * @queue: the queue
 *
 * Return: a record, or NULL.
 */
const struct zcrx_record *zcrx_owners_find(const struct zcrx_owners *owners,
					   unsigned int queue)
{
	unsigned int i;

	for (i = 0; i < owners->others.nr; i++)
		if (owners->others.list[i]->queue == queue)
			return owners->others.list[i];

	return NULL;
}

/**
 * zcrx_owners_any() - who knows how the NIC was before anybody came?
 * @owners: as of zcrx_owners_begin()
 *
 * Return: record of a living owner other than us, or NULL.
 */
const struct zcrx_record *zcrx_owners_any(const struct zcrx_owners *owners)
{
	unsigned int i;

	for (i = 0; i < owners->others.nr; i++)
		if (owners->others.list[i]->alive)
			return owners->others.list[i];

	return NULL;
}

static bool is_bound(const struct zcrx_owners *owners, unsigned int queue)
{
	struct zcrx_queues queues;

	return !zcrx_hw_queues(owners->ifindex, &queues) && queue < queues.nr &&
	       queues.provider[queue] != ZCRX_PROVIDER_NONE;
}

/**
 * zcrx_owners_wait_unbound() - wait until the kernel has given a queue back
 * @owners: as of zcrx_owners_begin()
 * @queue: its ring has been closed
 *
 * Return: whether it has.
 */
bool zcrx_owners_wait_unbound(const struct zcrx_owners *owners,
			      unsigned int queue)
{
	const struct timespec pause = { .tv_nsec = UNBOUND_PAUSE_NS };
	unsigned int i;

	for (i = 0; i < UNBOUND_TRIES; i++) {
		if (!is_bound(owners, queue))
			return true;
		nanosleep(&pause, NULL);
	}

	return false;
}

/*
 * RSS
 */

static bool stays(const struct zcrx_record *rec,
		  const struct zcrx_record *leaving)
{
	return rec && rec != leaving && rec->alive;
}

static int compose(const struct zcrx_owners *owners,
		   const struct zcrx_record *leaving,
		   const struct zcrx_record *original, uint32_t *table)
{
	const struct zcrx_records *recs = &owners->others;
	const struct zcrx_record *rec;
	struct zcrx_rss_owner *list;
	unsigned int nr = 0, i;

	list = calloc(recs->nr + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (i = 0; i <= recs->nr; i++) {
		rec = i < recs->nr ? recs->list[i] : owners->own;
		if (!stays(rec, leaving) || rec->size != original->size)
			continue;
		list[nr].queue = rec->queue;
		list[nr++].moved = rec->moved;
	}
	zcrx_rss_compose(table, original->table, original->size,
			 zcrx_hw_nr_rings(owners->ifindex), list, nr);
	free(list);

	return 0;
}

static bool is_table(unsigned int ifindex, const uint32_t *table,
		     unsigned int size)
{
	struct zcrx_rss *rss;
	bool is;

	if (zcrx_hw_rss(ifindex, &rss))
		return false;
	is = rss->size == size &&
	     !memcmp(rss->table, table, size * sizeof(*table));
	free(rss);

	return is;
}

static int refused(const struct zcrx_owners *owners, const char *what, int err,
		   const char *why)
{
	return zcrx_fail(err, "%s of %s can't be set: %s", what, owners->name,
			 err == -EPERM ? "run as root, or with CAP_NET_ADMIN" :
					 why);
}

/**
 * zcrx_owners_apply_rss() - set the RSS table to what suits all owners
 * @owners: as of zcrx_owners_begin()
 * @leaving: one who does not count, or NULL
 *
 * Return: 0 or a negative errno, with a sentence.
 */
int zcrx_owners_apply_rss(const struct zcrx_owners *owners,
			  const struct zcrx_record *leaving)
{
	const struct zcrx_record *original = leaving ? leaving : owners->own;
	uint32_t *table;
	int ret;

	if (!original->size)
		return 0;
	table = calloc(original->size, sizeof(*table));
	ret = table ? compose(owners, leaving, original, table) : -ENOMEM;
	if (!ret && !is_table(owners->ifindex, table, original->size))
		ret = zcrx_hw_set_rss(owners->ifindex, table, original->size);
	free(table);

	return ret ? refused(owners, "the RSS table", ret, strerror(-ret)) : 0;
}

/*
 * Putting back
 */

/* A default table is reset, so that it is not taken for an administrator's. One
 * that the NIC refuses by now, having fewer queues, too.
 */
static int put_table_back(const struct zcrx_owners *owners,
			  const struct zcrx_record *rec)
{
	unsigned int nr = zcrx_hw_nr_rings(owners->ifindex);
	int ret = -EINVAL;

	if (!rec->size || is_table(owners->ifindex, rec->table, rec->size))
		return 0;
	if (!zcrx_rss_is_default(rec->table, rec->size, nr))
		ret = zcrx_hw_set_rss(owners->ifindex, rec->table, rec->size);
	if (ret == -EINVAL)
		ret = zcrx_hw_set_rss(owners->ifindex, NULL, 0);

	return ret ? refused(owners, "the RSS table", ret, strerror(-ret)) : 0;
}

static int put_split_back(const struct zcrx_owners *owners,
			  const struct zcrx_record *rec)
{
	struct zcrx_rings rings;
	int ret = zcrx_hw_rings(owners->ifindex, &rings);

	if (!ret && rings.split == rec->split &&
	    rings.threshold == rec->threshold)
		return 0;
	if (!ret)
		ret = zcrx_hw_set_split(owners->ifindex, rec->split,
					rec->threshold);

	if (ret)
		return refused(owners, "header split", ret, zcrx_hw_said(ret));

	return 0;
}

static int delete_rules(const struct zcrx_owners *owners,
			const struct zcrx_record *rec,
			const struct zcrx_target *target)
{
	unsigned int location, i;
	int ret;

	for (i = 0; i < rec->nr_rules; i++) {
		ret = zcrx_hw_find_rule(owners->ifindex, &rec->rules[i], target,
					&location);
		if (!ret)
			ret = zcrx_hw_del_rule(owners->ifindex, location);
		if (ret && ret != -ENOENT)
			return zcrx_fail(ret, "a filter of %s can't be deleted: %s: see ethtool -n %s",
					 owners->name, strerror(-ret),
					 owners->name);
	}

	return 0;
}

static int delete_filters(const struct zcrx_owners *owners,
			  const struct zcrx_record *rec)
{
	struct zcrx_target target = { .queue = rec->queue };
	int ret = delete_rules(owners, rec, &target), context;

	if (ret || !rec->context)
		return ret;
	context = zcrx_hw_find_context(owners->ifindex, rec->queue);
	if (context < 0)
		return 0;
	target.context = context;
	ret = delete_rules(owners, rec, &target);
	if (ret)
		return ret;
	ret = zcrx_hw_del_context(owners->ifindex, context);

	return ret ? refused(owners, "an RSS context", ret, strerror(-ret)) : 0;
}

static bool is_last(const struct zcrx_owners *owners,
		    const struct zcrx_record *leaving)
{
	unsigned int i;

	for (i = 0; i < owners->others.nr; i++)
		if (stays(owners->others.list[i], leaving))
			return false;

	return !stays(owners->own, leaving);
}

static int put_settings_back(const struct zcrx_owners *owners,
			     struct zcrx_record *leaving)
{
	int ret = delete_filters(owners, leaving), err;

	if (is_last(owners, leaving)) {
		err = put_table_back(owners, leaving);
		ret = ret ? ret : err;
		err = put_split_back(owners, leaving);
	} else {
		err = zcrx_owners_apply_rss(owners, leaving);
	}

	return ret ? ret : err;
}

/**
 * zcrx_owners_put_back() - an owner goes
 * @owners: as of zcrx_owners_begin()
 * @leaving: our own record, or a dead owner's
 *
 * Return: 0, and there is no record any more; or a negative errno, with a
 * sentence.
 */
int zcrx_owners_put_back(const struct zcrx_owners *owners,
			 struct zcrx_record *leaving)
{
	struct zcrx_link link;
	int ret = 0;

	if (zcrx_hw_link(owners->ifindex, &link) != -ENODEV)
		ret = put_settings_back(owners, leaving);

	return ret ? ret : zcrx_record_remove(owners->dir, leaving);
}

/* One whose queue is still bound lives on, as somebody who has its ring. */
static int judge(const struct zcrx_owners *owners, struct zcrx_record *rec)
{
	if (rec->alive || zcrx_owners_wait_unbound(owners, rec->queue))
		return 0;
	rec->alive = true;

	return zcrx_fail(-EBUSY, "queue %u of %s is in use though process %d, which has set it up, is gone: end the process that has its io_uring",
			 rec->queue, owners->name, (int)rec->pid);
}

/**
 * zcrx_owners_reap() - put back what dead owners left
 * @owners: as of zcrx_owners_begin(); who has been put back goes
 *
 * Return: 0, or the first of several negative errnos, with the last one's
 * sentence: then one at least is left, and counts as alive.
 */
int zcrx_owners_reap(struct zcrx_owners *owners)
{
	struct zcrx_records *recs = &owners->others;
	int ret = 0, err;
	unsigned int i;

	for (i = 0; i < recs->nr; i++) {
		err = judge(owners, recs->list[i]);
		ret = ret ? ret : err;
	}
	for (i = 0; i < recs->nr; ) {
		err = recs->list[i]->alive ? 0 :
		      zcrx_owners_put_back(owners, recs->list[i]);
		ret = ret ? ret : err;
		if (recs->list[i]->alive || err) {
			recs->list[i++]->alive = true;
			continue;
		}
		zcrx_record_free(recs->list[i]);
		recs->list[i] = recs->list[--recs->nr];
	}

	return ret;
}
