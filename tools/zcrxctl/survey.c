// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The kernel tells an ifq's processes, counters, interface and queue in one
 * place (fdinfo), and which queues have one in another (netlink), also where we
 * may not see the process.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grow.h"
#include "nic_hw.h"
#include "numbers.h"
#include "survey.h"

/**
 * struct bound - a receive queue that has an ifq
 * @if_idx: index of its interface
 * @queue: its number
 * @found: the ifq is one of those found in /proc
 */
struct bound {
	unsigned int	if_idx;
	unsigned int	queue;
	bool		found;
};

struct bounds {
	struct bound	*list;
	size_t		nr;
};

static void add_bounds_of(struct bounds *bounds, unsigned int if_idx)
{
	static struct zcrx_queues queues;
	struct bound *bound;
	unsigned int i;

	/* Kernels that don't tell have no ifqs that are shown. */
	if (zcrx_hw_queues(if_idx, &queues))
		return;
	for (i = 0; i < queues.nr; i++) {
		if (queues.provider[i] != ZCRX_PROVIDER_IO_URING)
			continue;
		bounds->list = grow(bounds->list, bounds->nr, sizeof(*bound));
		bound = &bounds->list[bounds->nr++];
		bound->if_idx = if_idx;
		bound->queue = i;
	}
}

static void find_bounds(struct bounds *bounds)
{
	struct if_nameindex *nics = if_nameindex(), *nic;

	if (!nics)
		err(1, "cannot list the network interfaces");
	for (nic = nics; nic->if_index; nic++)
		add_bounds_of(bounds, nic->if_index);
	if_freenameindex(nics);
}

static struct bound *find_bound(const struct bounds *bounds,
				const struct fdinfo *info)
{
	size_t i;

	for (i = 0; i < bounds->nr; i++)
		if (bounds->list[i].if_idx == info->if_idx &&
		    bounds->list[i].queue == info->rxq)
			return &bounds->list[i];

	return NULL;
}

/* An interface that is down does not. */
static bool tells_queues(unsigned int if_idx)
{
	static struct zcrx_queues queues;

	return !zcrx_hw_queues(if_idx, &queues) && queues.nr;
}

/*
 * By the name that it has now. If it has gone to another network namespace,
 * another one may have its index here, which tells queues, but no such ifq.
 */
static void find_interface(struct ifq *ifq, const struct bounds *bounds,
			   const struct proc_ifq *found)
{
	const struct fdinfo *info = &found->info;
	struct zcrx_rings rings;
	struct bound *bound;

	if (!fdinfo_is_bound(info) || !found->is_here)
		return;
	bound = find_bound(bounds, info);
	if (bound)
		bound->found = true;
	else if (tells_queues(info->if_idx))
		return;
	if_indextoname(info->if_idx, ifq->ifname);
	if (!zcrx_hw_rings(info->if_idx, &rings))
		ifq->descriptors = rings.rx;
}

/* A queue has one ifq, and an io_uring has one of a number. */
static bool is_the_same(const struct ifq *a, const struct ifq *b)
{
	if (*a->ifname && !strcmp(a->ifname, b->ifname) &&
	    a->info.rxq == b->info.rxq)
		return true;

	return a->ring && a->ring == b->ring && a->info.id == b->info.id;
}

static struct ifq *add_ifq(struct survey *survey, const struct ifq *ifq)
{
	survey->ifqs = grow(survey->ifqs, survey->nr, sizeof(*ifq));
	survey->ifqs[survey->nr] = *ifq;

	return &survey->ifqs[survey->nr++];
}

static struct ifq *find_or_add_ifq(struct survey *survey,
				   const struct ifq *ifq)
{
	size_t i;

	for (i = 0; i < survey->nr; i++)
		if (is_the_same(&survey->ifqs[i], ifq))
			return &survey->ifqs[i];

	return add_ifq(survey, ifq);
}

static void add_found(struct survey *survey, const struct bounds *bounds,
		      const struct proc_ifq *found)
{
	struct ifq new = {
		.info	= found->info,
		.ring	= found->ring,
		.when	= found->when,
	};
	struct ifq *ifq;

	find_interface(&new, bounds, found);
	ifq = find_or_add_ifq(survey, &new);
	ifq->holders = grow(ifq->holders, ifq->nr_holders,
			    sizeof(*ifq->holders));
	ifq->holders[ifq->nr_holders++] = found->holder;
}

/* Whose process we may not see */
static void add_hidden(struct survey *survey, const struct bound *bound)
{
	struct ifq ifq = {
		.info	= { .if_idx = bound->if_idx, .rxq = bound->queue },
	};

	if_indextoname(bound->if_idx, ifq.ifname);
	add_ifq(survey, &ifq);
}

/**
 * survey_make() - look at all ifqs
 * @survey: filled in; survey_free() frees it
 */
void survey_make(struct survey *survey)
{
	struct bounds bounds = { .nr = 0 };
	struct proc_ifqs found;
	size_t i;

	*survey = (struct survey){ .nr = 0 };
	proc_find(&found);
	find_bounds(&bounds);
	for (i = 0; i < found.nr; i++)
		add_found(survey, &bounds, &found.list[i]);
	for (i = 0; i < bounds.nr; i++)
		if (!bounds.list[i].found)
			add_hidden(survey, &bounds.list[i]);
	free(found.list);
	free(bounds.list);
}

/**
 * survey_free() - free what survey_make() allocated
 * @survey: it
 */
void survey_free(struct survey *survey)
{
	size_t i;

	for (i = 0; i < survey->nr; i++)
		free(survey->ifqs[i].holders);
	free(survey->ifqs);
	*survey = (struct survey){ .nr = 0 };
}

/**
 * ifq_is_same() - are they the same, at two times?
 * @a: one
 * @b: the other
 *
 * Return: whether a process has both by the same file.
 */
bool ifq_is_same(const struct ifq *a, const struct ifq *b)
{
	const struct holder *x, *y;
	size_t i, j;

	for (i = 0; i < a->nr_holders; i++) {
		for (j = 0; j < b->nr_holders; j++) {
			x = &a->holders[i];
			y = &b->holders[j];
			if (x->pid == y->pid && x->fd == y->fd &&
			    x->id == y->id && x->exported == y->exported)
				return true;
		}
	}

	return false;
}

/**
 * ifq_interface_text() - whose queue has it?
 * @ifq: it
 *
 * Return: name of the interface, or "-".
 */
const char *ifq_interface_text(const struct ifq *ifq)
{
	return *ifq->ifname ? ifq->ifname : "-";
}

/**
 * ifq_has_process() - has a process this ifq?
 * @ifq: it
 * @pid: the process
 *
 * Return: whether it has.
 */
bool ifq_has_process(const struct ifq *ifq, pid_t pid)
{
	size_t i;

	for (i = 0; i < ifq->nr_holders; i++)
		if (ifq->holders[i].pid == pid)
			return true;

	return false;
}

static struct json_object *holder_json(const struct holder *holder)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "pid", json_object_new_int(holder->pid));
	json_object_object_add(json, "name",
			       json_object_new_string(holder->name));
	json_object_object_add(json, "fd", json_object_new_int(holder->fd));
	json_object_object_add(json, "zcrx_id", holder->exported ? NULL :
			       json_object_new_int64(holder->id));

	return json;
}

static void add_counters(struct json_object *json, const struct fdinfo *info)
{
	int64_t zero_copied = info->values[FDINFO_ZC_BYTES];
	int i;

	for (i = 0; i < FDINFO_NR_VALUES; i++)
		json_object_object_add(json, fdinfo_names[i].key,
				       json_object_new_int64(info->values[i]));
	json_object_object_add(json, "zero_copied_share",
			       share_json(zero_copied, fdinfo_copied(info)));
}

/**
 * ifq_json() - an ifq in JSON
 * @ifq: it
 *
 * Return: an object of the caller's.
 */
struct json_object *ifq_json(const struct ifq *ifq)
{
	struct json_object *json = json_object_new_object();
	struct json_object *holders = json_object_new_array();
	const char *state = ifq->nr_holders ? ifq->info.state : NULL;
	bool has_queue = !state || fdinfo_is_bound(&ifq->info);
	size_t i;

	for (i = 0; i < ifq->nr_holders; i++)
		json_object_array_add(holders, holder_json(&ifq->holders[i]));
	json_object_object_add(json, "interface", !*ifq->ifname ? NULL :
			       json_object_new_string(ifq->ifname));
	json_object_object_add(json, "queue", !has_queue ? NULL :
			       json_object_new_int64(ifq->info.rxq));
	json_object_object_add(json, "state", !state ? NULL :
			       json_object_new_string(state));
	json_object_object_add(json, "processes", holders);
	if (state)
		add_counters(json, &ifq->info);

	return json;
}
