/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* RSS by arithmetic: which queue gets a flow, and how to have it otherwise. */
#ifndef ZCRX_NIC_RSS_H
#define ZCRX_NIC_RSS_H

#include <stdbool.h>
#include <stdint.h>

#include "nic_flow.h"

/* What Toeplitz' hash needs for two IPv6 addresses and two ports */
#define ZCRX_KEY_MIN	40

/**
 * struct zcrx_rss_owner - what one owner of a queue wants of the RSS table
 * @queue: gets nothing but
 * @moved: these entries, one byte for each entry of the table; NULL: none
 */
struct zcrx_rss_owner {
	unsigned int	queue;
	const uint8_t	*moved;
};

uint32_t zcrx_toeplitz(const uint8_t *key, const struct zcrx_flow *flow,
		       bool ports);
void zcrx_rss_compose(uint32_t *table, const uint32_t *original,
		      unsigned int size, unsigned int nr_queues,
		      const struct zcrx_rss_owner *owners,
		      unsigned int nr_owners);
bool zcrx_rss_is_default(const uint32_t *table, unsigned int size,
			 unsigned int nr_queues);

#endif
