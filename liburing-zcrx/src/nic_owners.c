// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Header split, filters and the RSS table belong to all owners of queues of a
 * NIC. The former two are on as long as there is one. The RSS table is composed,
 * of what it was before the first one came and of what each of them wants. The
 * last one to go puts all three back.
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
#include "nic_owners.h"
#include "nic_rss.h"

/* The kernel may give a queue back a moment after its ring was closed. */
#define UNBOUND_PATIENCE_MS	1000

/* The file descriptor keeps its number: others have a copy of that. */
static int reopen(const struct zcrx_owners *owners)
{
	int dir = zcrx_record_dir(owners->ifindex, true), ret = 0;

	if (dir < 0)
		return dir;
	if (dup3(dir, owners->dir, O_CLOEXEC) < 0)
		ret = zcrx_fail(-errno, "records of %s can't be opened: %s",
				owners->name, strerror(errno));
	close(dir);

	return ret;
}

/**
 * zcrx_owners_lock() - lock a NIC, and see nobody
 * @owners: filled in, with no @others
 *
 * Return: 0 or a negative errno, with a sentence.
 */
int zcrx_owners_lock(const struct zcrx_owners *owners)
{
	int ret;

	while ((ret = zcrx_record_lock(owners->dir, owners->name)) == -ESTALE) {
		ret = reopen(owners);
		if (ret)
			break;
	}

	return ret;
}

/**
 * zcrx_owners_load() - see who else has queues of a NIC
 * @owners: as of zcrx_owners_lock(); zcrx_owners_end() forgets them
 *
 * Return: 0 or a negative errno, with a sentence; -EBADMSG: a record is
 * garbled, and so nobody knows what there is to be put back.
 */
int zcrx_owners_load(struct zcrx_owners *owners)
{
	int ret = zcrx_records_load(owners->dir, owners->own, &owners->others);

	if (!ret && *owners->others.garbled)
		ret = zcrx_fail(-EBADMSG, "record %s of %s in /run/zcrx is garbled, or a newer version's: look at header split (ethtool -g) and the RSS table (ethtool -x) yourself, then delete it",
				owners->others.garbled, owners->name);

	return ret;
}

/**
 * zcrx_owners_begin() - lock a NIC, and see who has queues of it
 * @owners: filled in, with no @others
 *
 * Return: as zcrx_owners_load().
 */
int zcrx_owners_begin(struct zcrx_owners *owners)
{
	int ret = zcrx_owners_lock(owners);

	if (ret)
		return ret;
	zcrx_records_sweep(owners->dir);
	ret = zcrx_owners_load(owners);
	if (ret)
		zcrx_owners_end(owners);

	return ret;
}

/**
 * zcrx_owners_end() - unlock it
 * @owners: as of zcrx_owners_begin(), or of zcrx_owners_lock()
 */
void zcrx_owners_end(struct zcrx_owners *owners)
{
	zcrx_records_free(&owners->others);
	zcrx_record_remove_dir(owners->dir);
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

/**
 * zcrx_owners_is_bound() - has the kernel still to give a queue back?
 * @ifindex: the interface
 * @queue: the queue
 *
 * Return: whether it has, also if it can't be told by a kernel that could.
 */
bool zcrx_owners_is_bound(unsigned int ifindex, unsigned int queue)
{
	struct zcrx_queues queues;
	int ret = zcrx_hw_queues(ifindex, &queues);

	if (ret)
		return ret != -EOPNOTSUPP && ret != -ENODEV;

	return queue < queues.nr &&
	       queues.provider[queue] != ZCRX_PROVIDER_NONE;
}

static bool wait_until(unsigned int ifindex, unsigned int queue,
		       int64_t deadline)
{
	while (zcrx_owners_is_bound(ifindex, queue)) {
		if (zcrx_clock() >= deadline)
			return false;
		zcrx_pause();
	}

	return true;
}

/**
 * zcrx_owners_wait_unbound() - wait until the kernel has given a queue back
 * @ifindex: the interface, which others may set up meanwhile
 * @queue: its ring has been closed
 */
void zcrx_owners_wait_unbound(unsigned int ifindex, unsigned int queue)
{
	wait_until(ifindex, queue, zcrx_clock() + UNBOUND_PATIENCE_MS);
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

/* Filters that an administrator has made meanwhile would go with the switch. */
static int put_switch_back(const struct zcrx_owners *owners,
			   const struct zcrx_record *rec)
{
	bool available, on;
	int ret;

	if (!rec->filters_off)
		return 0;
	ret = zcrx_hw_nr_rules(owners->ifindex);
	if (ret > 0)
		return 0;
	if (ret == -EOPNOTSUPP || ret == -EINVAL)
		ret = 0;
	if (!ret)
		ret = zcrx_hw_ntuple(owners->ifindex, &available, &on);
	if (!ret && on)
		ret = zcrx_hw_set_ntuple(owners->ifindex, false);

	return ret ? refused(owners, "the switch for filters", ret,
			     zcrx_hw_said(ret)) : 0;
}

/**
 * zcrx_owners_delete_rule() - delete a filter if it is there
 * @owners: as of zcrx_owners_lock()
 * @rule: the filter
 * @target: where it sends what it matches
 *
 * Return: 1: it was there; 0: it was not; or a negative errno, with a sentence.
 */
int zcrx_owners_delete_rule(const struct zcrx_owners *owners,
			    const struct zcrx_rule *rule,
			    const struct zcrx_target *target)
{
	unsigned int location = rule->location;
	int ret = 0;

	if (!zcrx_hw_is_rule_at(owners->ifindex, &rule->flow, target, location))
		ret = zcrx_hw_find_rule(owners->ifindex, &rule->flow, target,
					&location);
	if (!ret)
		ret = zcrx_hw_del_rule(owners->ifindex, location);
	if (ret == -ENOENT)
		return 0;

	return ret ? zcrx_fail(ret, "a filter of %s can't be deleted: %s: see ethtool -n %s",
			       owners->name, strerror(-ret), owners->name) : 1;
}

/* Returns how many there were, or a negative errno. */
static int delete_rules(const struct zcrx_owners *owners,
			const struct zcrx_record *rec,
			const struct zcrx_target *target)
{
	unsigned int i;
	int nr = 0, ret;

	for (i = 0; i < rec->nr_rules; i++) {
		ret = zcrx_owners_delete_rule(owners, &rec->rules[i], target);
		if (ret < 0)
			return ret;
		nr += ret;
	}

	return nr;
}

/* The context that filters name may be an administrator's, and then stays. */
static int delete_filters(const struct zcrx_owners *owners,
			  const struct zcrx_record *rec)
{
	struct zcrx_target target = { .queue = rec->queue };
	int ret = delete_rules(owners, rec, &target), context;

	if (ret < 0)
		return ret;
	if (ret == (int)rec->nr_rules && !rec->context)
		return 0;
	context = zcrx_hw_find_context(owners->ifindex, rec->queue);
	if (context < 0)
		return 0;
	target.context = context;
	ret = delete_rules(owners, rec, &target);
	if (ret < 0 || !rec->context)
		return ret < 0 ? ret : 0;
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

static int put_rss_back(const struct zcrx_owners *owners,
			const struct zcrx_record *leaving)
{
	if (is_last(owners, leaving))
		return put_table_back(owners, leaving);

	return zcrx_owners_apply_rss(owners, leaving);
}

/* All that can be is put back; what is told of is what failed last. */
static int put_settings_back(const struct zcrx_owners *owners,
			     struct zcrx_record *leaving)
{
	int ret = delete_filters(owners, leaving), err;

	err = put_rss_back(owners, leaving);
	ret = err ? err : ret;
	if (is_last(owners, leaving)) {
		err = put_switch_back(owners, leaving);
		ret = err ? err : ret;
		err = put_split_back(owners, leaving);
		ret = err ? err : ret;
	}

	return ret;
}

/* 1: it is; 0: it is gone, and the number may be another one's; or a negative
 * errno.
 */
static int is_same_nic(const struct zcrx_owners *owners,
		       const struct zcrx_record *rec)
{
	struct zcrx_link link;
	int ret = zcrx_hw_link(owners->ifindex, &link);

	if (ret == -ENODEV)
		return 0;
	if (ret)
		return zcrx_fail(ret, "interface %s does not say what it is: %s",
				 owners->name, zcrx_hw_said(ret));

	return !strcmp(link.device, rec->device);
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
	int ret = is_same_nic(owners, leaving);

	if (ret > 0)
		ret = put_settings_back(owners, leaving);

	return ret ? ret : zcrx_record_remove(owners->dir, leaving);
}

/**
 * zcrx_owners_leave_bound() - our queue is nobody's to receive by, but bound
 * @owners: as of zcrx_owners_begin(); our own record stays, for what is left
 * @readable: what comes to the queue can be read all the same
 *
 * Nothing is steered to the queue any more, and if it can be read RSS is as it
 * was. Header split has to wait.
 */
void zcrx_owners_leave_bound(const struct zcrx_owners *owners, bool readable)
{
	struct zcrx_record *rec = owners->own;

	if (is_same_nic(owners, rec) <= 0)
		return;
	if (!delete_filters(owners, rec)) {
		zcrx_record_del_rules(rec);
		rec->context = false;
	}
	if (rec->size)
		memset(rec->moved, 0, rec->size);
	if (readable)
		put_rss_back(owners, rec);
	else
		zcrx_owners_apply_rss(owners, NULL);
	zcrx_record_save(owners->dir, rec);
}

/* It stays, as somebody's who lives, and says why. */
static int keep(struct zcrx_record *rec, int err)
{
	rec->alive = true;
	rec->err = err;
	free(rec->why);
	rec->why = strdup(zcrx_error());

	return err;
}

/* What is kept is so on the NIC that it was set up on. */
static void forget_kept(const struct zcrx_owners *owners,
			struct zcrx_record *rec)
{
	if (rec->kept && !is_same_nic(owners, rec))
		rec->alive = false;
}

static int still_bound(const struct zcrx_owners *owners,
		       const struct zcrx_record *rec)
{
	if (rec->kept)
		return zcrx_fail(-EBUSY, "queue %u of %s, which has been set up to stay so, is in use: end the program that has it",
				 rec->queue, owners->name);

	return zcrx_fail(-EBUSY, "queue %u of %s is in use though process %d, which has set it up, is gone: end the process that has its io_uring",
			 rec->queue, owners->name, (int)rec->pid);
}

/* One whose queue is still bound lives on, as somebody who has its ring. */
static int judge(const struct zcrx_owners *owners, struct zcrx_record *rec,
		 int64_t deadline)
{
	forget_kept(owners, rec);
	if (rec->alive || wait_until(owners->ifindex, rec->queue, deadline))
		return 0;

	return keep(rec, still_bound(owners, rec));
}

static int judge_all(const struct zcrx_owners *owners)
{
	const struct zcrx_records *recs = &owners->others;
	int64_t deadline = zcrx_clock() + UNBOUND_PATIENCE_MS;
	int ret = 0, err;
	unsigned int i;

	for (i = 0; i < recs->nr; i++) {
		err = judge(owners, recs->list[i], deadline);
		ret = err ? err : ret;
	}

	return ret;
}

/**
 * zcrx_owners_end_kept() - what is kept is to be put back, too
 * @owners: as of zcrx_owners_begin(); zcrx_owners_reap() does it
 */
void zcrx_owners_end_kept(struct zcrx_owners *owners)
{
	unsigned int i;

	for (i = 0; i < owners->others.nr; i++)
		if (owners->others.list[i]->kept)
			owners->others.list[i]->alive = false;
}

/**
 * zcrx_owners_reap() - put back what dead owners left
 * @owners: as of zcrx_owners_begin(); who has been put back goes
 *
 * Return: 0, or the last of several negative errnos, with its sentence: then
 * one at least is left, counts as alive, and says why.
 */
int zcrx_owners_reap(struct zcrx_owners *owners)
{
	struct zcrx_records *recs = &owners->others;
	int ret = judge_all(owners), err;
	struct zcrx_record *rec;
	unsigned int i = 0;

	while (i < recs->nr) {
		rec = recs->list[i];
		err = rec->alive ? 0 : zcrx_owners_put_back(owners, rec);
		if (err)
			ret = keep(rec, err);
		if (rec->alive) {
			i++;
			continue;
		}
		zcrx_record_free(rec);
		recs->list[i] = recs->list[--recs->nr];
	}

	return ret;
}
