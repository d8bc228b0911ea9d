/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * All who have a queue of a NIC, and what their wishes make of its settings.
 */
#ifndef ZCRX_NIC_OWNERS_H
#define ZCRX_NIC_OWNERS_H

#include "nic_hw.h"
#include "nic_record.h"

/**
 * struct zcrx_owners - the owners of queues of a NIC, while it is locked
 * @ifindex: the interface
 * @name: its name, for sentences
 * @dir: directory of its records
 * @own: our own record, or NULL
 * @others: all other records
 */
struct zcrx_owners {
	unsigned int		ifindex;
	const char		*name;
	int			dir;
	struct zcrx_record	*own;
	struct zcrx_records	others;
};

int zcrx_owners_lock(const struct zcrx_owners *owners);
int zcrx_owners_load(struct zcrx_owners *owners);
int zcrx_owners_begin(struct zcrx_owners *owners);
void zcrx_owners_end(struct zcrx_owners *owners);

int zcrx_owners_queues(unsigned int ifindex, struct zcrx_queues *queues);
const struct zcrx_record *zcrx_owners_find(const struct zcrx_owners *owners,
					   unsigned int queue);
const struct zcrx_record *zcrx_owners_any(const struct zcrx_owners *owners);
bool zcrx_owners_is_bound(unsigned int ifindex, unsigned int queue);
void zcrx_owners_wait_unbound(unsigned int ifindex, unsigned int queue);
int zcrx_owners_delete_rule(const struct zcrx_owners *owners,
			    const struct zcrx_rule *rule,
			    const struct zcrx_target *target);
int zcrx_owners_apply_rss(const struct zcrx_owners *owners,
			  const struct zcrx_record *leaving);
int zcrx_owners_put_back(const struct zcrx_owners *owners,
			 struct zcrx_record *leaving);
void zcrx_owners_leave_bound(const struct zcrx_owners *owners, bool readable);
void zcrx_owners_end_kept(struct zcrx_owners *owners);
int zcrx_owners_reap(struct zcrx_owners *owners);

#endif
