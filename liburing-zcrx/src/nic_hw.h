/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the kernel is asked about a NIC, and told to change; nic_netlink.c and
 * nic_ethtool.c. Functions return 0 or more, or a negative errno, without a
 * sentence.
 */
#ifndef ZCRX_NIC_HW_H
#define ZCRX_NIC_HW_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "nic.h"
#include "nic_flow.h"

/* Of a device's address on its bus, PCI or another one */
#define ZCRX_DEVICE_SIZE	64

/* Of a kernel or driver that does not tell the number of its RSS contexts */
#define ZCRX_MAX_CONTEXTS	64

/**
 * struct zcrx_link - an interface
 * @mtu: in bytes
 * @flags: IFF_UP and others
 * @lower: of a VLAN the interface below, or 0
 * @device: address on the bus, empty if there is none or it is not told
 */
struct zcrx_link {
	unsigned int	mtu;
	unsigned int	flags;
	unsigned int	lower;
	char		device[ZCRX_DEVICE_SIZE];
};

/**
 * struct zcrx_rings - descriptor rings
 * @rx: receive descriptors of a queue
 * @rx_max: the most there can be
 * @split: header split
 * @threshold: its threshold, -1 if there is none
 */
struct zcrx_rings {
	unsigned int		rx;
	unsigned int		rx_max;
	enum zcrx_split_state	split;
	int			threshold;
};

/**
 * struct zcrx_rss - how flows are spread over queues
 * @toeplitz: by Toeplitz' hash, of the packet as it is
 * @key_size: bytes of @key that there are; 0: the driver does not tell
 * @key: key of the hash
 * @size: entries of @table
 * @table: queue numbers
 */
struct zcrx_rss {
	bool		toeplitz;
	unsigned int	key_size;
	uint8_t		key[52];
	unsigned int	size;
	uint32_t	table[];
};

/**
 * struct zcrx_queues - receive queues
 * @providers_known: whether the kernel tells them
 * @nr: number of queues
 * @provider: enum zcrx_provider of each
 */
struct zcrx_queues {
	bool		providers_known;
	unsigned int	nr;
	uint8_t		provider[1024];
};

/**
 * struct zcrx_target - where a filter sends packets
 * @context: to an RSS context, or 0:
 * @queue: to a queue
 */
struct zcrx_target {
	unsigned int	context;
	unsigned int	queue;
};

int zcrx_hw_link(unsigned int ifindex, struct zcrx_link *link);
int zcrx_hw_route(const struct sockaddr_storage *remote,
		  const struct sockaddr_storage *local);

int zcrx_hw_queues(unsigned int ifindex, struct zcrx_queues *queues);
unsigned int zcrx_hw_nr_rings(unsigned int ifindex);

int zcrx_hw_rings(unsigned int ifindex, struct zcrx_rings *rings);
int zcrx_hw_set_split(unsigned int ifindex, unsigned int split, int threshold);
int zcrx_hw_try_split(unsigned int ifindex);

int zcrx_hw_ntuple(unsigned int ifindex, bool *available, bool *on);
int zcrx_hw_set_ntuple(unsigned int ifindex, bool on);
bool zcrx_hw_has_arfs(void);

int zcrx_hw_driver(unsigned int ifindex, char driver[32]);

int zcrx_hw_rss(unsigned int ifindex, struct zcrx_rss **rssp);
int zcrx_hw_set_rss(unsigned int ifindex, const uint32_t *table,
		    unsigned int size);
int zcrx_hw_hashes_ports(unsigned int ifindex, int family);

int zcrx_hw_nr_rules(unsigned int ifindex);
int zcrx_hw_find_rule(unsigned int ifindex, const struct zcrx_flow *flow,
		      const struct zcrx_target *target, unsigned int *location);
bool zcrx_hw_is_rule_at(unsigned int ifindex, const struct zcrx_flow *flow,
			const struct zcrx_target *target, unsigned int location);
int zcrx_hw_nr_rules_to(unsigned int ifindex, const struct zcrx_target *target);
int zcrx_hw_add_rule(unsigned int ifindex, const struct zcrx_flow *flow,
		     const struct zcrx_target *target, unsigned int *location);
int zcrx_hw_del_rule(unsigned int ifindex, unsigned int location);

bool zcrx_hw_has_contexts(unsigned int ifindex);
int zcrx_hw_find_context(unsigned int ifindex, unsigned int queue);
int zcrx_hw_add_context(unsigned int ifindex, unsigned int queue);
int zcrx_hw_del_context(unsigned int ifindex, unsigned int context);

/* What the kernel said about the last refusal in this thread, if by netlink */
const char *zcrx_hw_said(int err);

#endif
