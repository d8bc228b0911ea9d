/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _NET_RXQ_PROVIDER_H
#define _NET_RXQ_PROVIDER_H

struct net_device;
struct pp_memory_provider_params;

int netdev_rxq_provider_check(struct net_device *dev, unsigned int rxq_idx);
int netdev_rxq_provider_bind(struct net_device *dev, unsigned int rxq_idx,
			     const struct pp_memory_provider_params *params);
int netdev_rxq_provider_unbind(struct net_device *dev, unsigned int rxq_idx,
			       const struct pp_memory_provider_params *params);

#endif /* _NET_RXQ_PROVIDER_H */
