/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRX_NIC_IMPL_H
#define ZCRX_NIC_IMPL_H

#include "nic_owners.h"

enum zcrx_how {
	ZCRX_BY_NOTHING,	/* there is nothing to do */
	ZCRX_BY_RULE,
	ZCRX_BY_ENTRY,
};

/**
 * struct zcrx_steered - a socket whose packets come to the queue
 * @fd: the socket
 * @how: by which means
 * @entry: that of the RSS table
 * @nr_flows: number of filters
 * @flows: what they match
 * @ours: which of them are in our record, and have it as a user
 */
struct zcrx_steered {
	int			fd;
	enum zcrx_how		how;
	unsigned int		entry;
	unsigned int		nr_flows;
	struct zcrx_flow	flows[ZCRX_MAX_FLOWS];
	bool			ours[ZCRX_MAX_FLOWS];
};

/**
 * struct zcrx_nic - a NIC's queue as it has been set up
 * @ifindex: the interface
 * @name: its name
 * @device: address of the NIC on its bus
 * @dir: directory of its records
 * @rec: our record
 * @single: there is no other queue
 * @no_rules: it has refused a filter
 * @nr_rules: filters on the NIC, if only those in our record lead to @target; or -1
 * @readable: what is in chunks can be read by recv() as well
 * @alone: no connections may come to it but those that are steered there
 * @target: where filters send packets
 * @steered: sockets whose packets come to the queue, by their numbers, or NULL
 * @nr_fds: how many numbers there is room for
 */
struct zcrx_nic {
	unsigned int		ifindex;
	char			name[IFNAMSIZ];
	char			device[ZCRX_DEVICE_SIZE];
	int			dir;
	struct zcrx_record	*rec;
	bool			single;
	bool			no_rules;
	int			nr_rules;
	bool			readable;
	bool			alone;
	struct zcrx_target	target;
	struct zcrx_steered	**steered;
	unsigned int		nr_fds;
};

int zcrx_nic_lock(const struct zcrx_nic *nic, struct zcrx_owners *owners);

#endif
