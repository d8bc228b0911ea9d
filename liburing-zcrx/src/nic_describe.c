// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What a NIC can, and how it is set up; nothing is changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "nic_owners.h"

static void describe_split(unsigned int ifindex, struct zcrx_nic_info *info)
{
	struct zcrx_rings rings;
	int ret = zcrx_hw_rings(ifindex, &rings);

	info->split = rings.split;
	info->split_threshold = rings.threshold;
	info->rx_ring = rings.rx;
	info->rx_ring_max = rings.rx_max;
	if (ret)
		return;

	ret = zcrx_hw_try_split(ifindex);
	if (!ret)
		info->can_switch_split = ZCRX_YES;
	else if (ret == -EPERM)
		info->can_switch_split = ZCRX_NOT_KNOWN;
}

static void describe_ntuple(unsigned int ifindex, struct zcrx_nic_info *info)
{
	bool available;

	if (zcrx_hw_ntuple(ifindex, &available, &info->ntuple_on))
		info->ntuple_available = ZCRX_NOT_KNOWN;
	else
		info->ntuple_available = available ? ZCRX_YES : ZCRX_NO;
}

static int describe_rss(unsigned int ifindex, struct zcrx_nic_info *info)
{
	struct zcrx_rss *rss;
	int ret = zcrx_hw_rss(ifindex, &rss);

	if (ret)
		return ret == -ENOMEM ? ret : 0;
	info->rss_contexts = zcrx_hw_has_contexts(ifindex);
	info->rss_toeplitz = rss->toeplitz;
	info->rss_key_size = rss->key_size;
	memcpy(info->rss_key, rss->key, sizeof(info->rss_key));
	info->rss_table = calloc(rss->size, sizeof(*rss->table));
	if (info->rss_table) {
		memcpy(info->rss_table, rss->table,
		       rss->size * sizeof(*rss->table));
		info->rss_size = rss->size;
	}
	free(rss);

	return info->rss_table ? 0 : -ENOMEM;
}

static int describe_queues(unsigned int ifindex, struct zcrx_nic_info *info)
{
	struct zcrx_queues queues;
	int ret = zcrx_owners_queues(ifindex, &queues);
	unsigned int i;

	if (ret)
		return ret;
	info->queues_known = queues.providers_known;
	info->queues = calloc(queues.nr, sizeof(*info->queues));
	if (!info->queues)
		return -ENOMEM;
	info->nr_queues = queues.nr;
	for (i = 0; i < queues.nr; i++)
		info->queues[i].provider = queues.provider[i];

	return 0;
}

static void describe_owner(struct zcrx_nic_queue *queue,
			   const struct zcrx_record *rec)
{
	queue->pid = rec->pid;
	queue->stale = !rec->alive;
	queue->kept = rec->kept;
	queue->nr_filters = rec->nr_rules;
	queue->has_context = rec->context;
}

static int describe_owners(unsigned int ifindex, struct zcrx_nic_info *info)
{
	int dir = zcrx_record_dir(ifindex, false), ret;
	struct zcrx_records recs;
	unsigned int i;

	if (zcrx_record_hides(dir))
		return 0;
	if (dir < 0)
		return dir;
	ret = zcrx_records_load(dir, NULL, &recs);
	close(dir);
	if (ret)
		return ret;
	for (i = 0; i < recs.nr; i++)
		if (recs.list[i]->queue < info->nr_queues)
			describe_owner(&info->queues[recs.list[i]->queue],
				       recs.list[i]);
	zcrx_records_free(&recs);

	return 0;
}

static int describe(unsigned int ifindex, struct zcrx_nic_info *info)
{
	struct zcrx_link link;
	int ret = zcrx_hw_link(ifindex, &link);

	if (ret)
		return ret;
	info->up = link.flags & IFF_UP;
	info->loopback = link.flags & IFF_LOOPBACK;
	info->mtu = link.mtu;
	zcrx_hw_driver(ifindex, info->driver);
	describe_split(ifindex, info);
	describe_ntuple(ifindex, info);
	ret = describe_rss(ifindex, info);
	if (!ret)
		ret = describe_queues(ifindex, info);
	if (!ret)
		ret = describe_owners(ifindex, info);

	return ret;
}

/**
 * zcrx_nic_describe() - what can a NIC, and how is it set up?
 * @ifname: name of the interface
 * @info: filled in; zcrx_nic_info_free() frees what it points to
 *
 * Return: 0 or a negative errno, with a sentence and nothing to be freed.
 */
int zcrx_nic_describe(const char *ifname, struct zcrx_nic_info *info)
{
	unsigned int ifindex = if_nametoindex(ifname);
	int ret;

	memset(info, 0, sizeof(*info));
	if (!ifindex)
		return zcrx_fail(-ENODEV, "there is no network interface %s: ip link shows those that there are",
				 ifname);
	ret = describe(ifindex, info);
	if (ret) {
		zcrx_nic_info_free(info);
		return zcrx_fail(ret, "%s does not say what it is: %s", ifname,
				 strerror(-ret));
	}

	return 0;
}

/**
 * zcrx_nic_info_free() - free what zcrx_nic_describe() allocated
 * @info: the description
 */
void zcrx_nic_info_free(struct zcrx_nic_info *info)
{
	free(info->rss_table);
	free(info->queues);
	memset(info, 0, sizeof(*info));
}
