// SPDX-License-Identifier: GPL-2.0
/*
 * Binding a memory provider to a receive queue
 *
 * A queue has at most one provider. While it is bound, the queue's page pools
 * come to use it when they are created, if the driver makes them for buffers of
 * its order; XDP programs and AF_XDP without copies are kept away from the device,
 * and the queue can't be removed by lowering the number of channels: all of them
 * look at the queue's mp_params, which RTNL protects.
 */

#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/netdev_queues.h>
#include <net/netdev_rx_queue.h>
#include <net/page_pool/memory_provider.h>
#include <net/rxq_provider.h>

#include "dev.h"

static bool headers_are_split(struct net_device *dev)
{
	struct kernel_ethtool_ringparam kernel_param = {};
	struct ethtool_ringparam param = {};

	if (!dev->ethtool_ops->get_ringparam)
		return false;

	dev->ethtool_ops->get_ringparam(dev, &param, &kernel_param, NULL);
	return kernel_param.tcp_data_split == ETHTOOL_TCP_DATA_SPLIT_ENABLED;
}

static int rxq_check_device(struct net_device *dev)
{
	/* A device that resumes may make its rings without RTNL. */
	if (!netif_running(dev) || !netif_device_present(dev))
		return -ENETDOWN;
	if (!headers_are_split(dev))
		return -EOPNOTSUPP;
	if (dev_xdp_prog_count(dev))
		return -EBUSY;
	return 0;
}

static int rxq_check_queue(const struct netdev_rx_queue *rxq)
{
	if (rxq->mp_params.mp_ops)
		return -EEXIST;
#ifdef CONFIG_XDP_SOCKETS
	if (rxq->pool)
		return -EBUSY;
#endif
	return 0;
}

/**
 * netdev_rxq_provider_check() - can a receive queue have a provider?
 * @dev: the queue's device
 * @rxq_idx: the queue
 *
 * The caller holds RTNL.
 *
 * Return: 0; -ERANGE if there is no such queue, -EEXIST if it has a provider,
 * -EBUSY if it is used by XDP or AF_XDP, -ENETDOWN if the device is down or
 * suspended, -EOPNOTSUPP if the driver can't, or does not split headers.
 */
int netdev_rxq_provider_check(struct net_device *dev, unsigned int rxq_idx)
{
	ASSERT_RTNL();

	/* So that asking for a queue that no NIC has tells of the driver. */
	if (!dev->queue_mgmt_ops)
		return -EOPNOTSUPP;
	if (rxq_idx >= dev->real_num_rx_queues)
		return -ERANGE;
	return rxq_check_queue(__netif_get_rx_queue(dev, rxq_idx)) ?:
	       rxq_check_device(dev);
}

/**
 * netdev_rxq_provider_bind() - let a receive queue take memory from a provider
 * @dev: the queue's device
 * @rxq_idx: the queue
 * @params: the provider, copied. Until netdev_rxq_provider_unbind() or its
 *	uninstall() operation it can be asked for memory; page pools may keep
 *	it for longer, from init() to destroy().
 *
 * Restarts the queue. The caller holds RTNL.
 *
 * Return: 0, what netdev_rxq_provider_check() returns, -EOPNOTSUPP if the driver
 * did not use the provider, or why the queue couldn't be restarted.
 */
int netdev_rxq_provider_bind(struct net_device *dev, unsigned int rxq_idx,
			     const struct pp_memory_provider_params *params)
{
	struct netdev_rx_queue *rxq;
	int err;

	err = netdev_rxq_provider_check(dev, rxq_idx);
	if (err)
		return err;

	rxq = __netif_get_rx_queue(dev, rxq_idx);
	rxq->mp_params = *params;
	err = netdev_rx_queue_restart(dev, rxq_idx);
	if (err)
		memset(&rxq->mp_params, 0, sizeof(rxq->mp_params));

	/* Its page pools are not made for one. */
	return err == -ENODATA ? -EOPNOTSUPP : err;
}

/**
 * netdev_rxq_provider_unbind() - take a provider off a receive queue
 * @dev: the queue's device
 * @rxq_idx: the queue
 * @params: as given to netdev_rxq_provider_bind()
 *
 * Restarts the queue if the device is up. The caller holds RTNL. The queue has
 * no provider afterwards, and can get another one, whatever is returned.
 *
 * Return: 0, or why the queue couldn't be restarted, which is logged, too: then
 * the page pool that it has goes on with the provider until the next restart.
 */
int netdev_rxq_provider_unbind(struct net_device *dev, unsigned int rxq_idx,
			       const struct pp_memory_provider_params *params)
{
	struct netdev_rx_queue *rxq = __netif_get_rx_queue(dev, rxq_idx);
	int err;

	ASSERT_RTNL();

	if (WARN_ON_ONCE(rxq->mp_params.mp_priv != params->mp_priv))
		return -EINVAL;

	memset(&rxq->mp_params, 0, sizeof(rxq->mp_params));
	if (!netif_running(dev))
		return 0;

	err = netdev_rx_queue_restart(dev, rxq_idx);
	if (err)
		netdev_err(dev, "receive queue %u keeps the memory of its provider until it is restarted: error %d\n",
			   rxq_idx, err);
	return err;
}
