// SPDX-License-Identifier: GPL-2.0
/*
 * The memory provider: an ifq's chunks for the page pool of a NIC's queue
 *
 * A page pool has a reference of the ifq, and with it of the areas, from init
 * to destroy. It may outlive the binding by as long as an skb has a chunk.
 */

#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/netdev_rx_queue.h>
#include <net/netlink.h>
#include <net/page_pool/helpers.h>
#include <net/page_pool/memory_provider.h>
#include <uapi/linux/netdev.h>

#include "area.h"
#include "ifq.h"
#include "provider.h"

static int zcrx_provider_init(struct page_pool *pool)
{
	struct zcrx_ifq *ifq = pool->mp_priv;

	if (pool->p.dev != ifq->dev || pool->p.dma_dir != DMA_FROM_DEVICE)
		return -EOPNOTSUPP;
	if (pool->p.order != ifq->chunk_shift - PAGE_SHIFT)
		return -EOPNOTSUPP;

	refcount_inc(&ifq->refs);
	return 0;
}

static void zcrx_provider_destroy(struct page_pool *pool)
{
	zcrx_ifq_put(pool->mp_priv);
}

static netmem_ref lend_page(struct zcrx_ifq *ifq, struct page_pool *pool,
			    gfp_t gfp)
{
	netmem_ref netmem = page_pool_provider_lend_page(pool, gfp);

	if (netmem)
		atomic64_inc(&ifq->nr_lent);
	return netmem;
}

/* What the user gives back goes first: it is warm, and needs no list. */
static netmem_ref zcrx_provider_alloc(struct page_pool *pool, gfp_t gfp)
{
	struct zcrx_ifq *ifq = pool->mp_priv;

	zcrx_refill_take(ifq, pool, PP_ALLOC_CACHE_REFILL);
	if (!pool->alloc.count)
		zcrx_chunks_take_free(ifq, pool, PP_ALLOC_CACHE_REFILL);
	if (!pool->alloc.count)
		return lend_page(ifq, pool, gfp);

	return page_pool_provider_take(pool);
}

static bool zcrx_provider_release(struct page_pool *pool, netmem_ref netmem)
{
	struct net_iov *niov;

	if (!netmem_is_net_iov(netmem))
		return true;

	niov = netmem_to_net_iov(netmem);
	page_pool_provider_forget(niov);
	zcrx_chunk_free(zcrx_chunk_of(niov));
	return false;
}

static int zcrx_provider_nl_fill(void *mp_priv, struct sk_buff *rsp,
				 struct netdev_rx_queue *rxq)
{
	int type = rxq ? NETDEV_A_QUEUE_IO_URING : NETDEV_A_PAGE_POOL_IO_URING;
	struct nlattr *nest;

	nest = nla_nest_start(rsp, type);
	if (!nest)
		return -EMSGSIZE;

	nla_nest_end(rsp, nest);
	return 0;
}

/* The device is closed, so no page pool of it uses the mapping any more. */
static void zcrx_provider_uninstall(void *mp_priv, struct netdev_rx_queue *rxq)
{
	struct zcrx_ifq *ifq = mp_priv;

	ASSERT_RTNL();
	zcrx_ifq_detach(ifq);
	memset(&rxq->mp_params, 0, sizeof(rxq->mp_params));
}

const struct memory_provider_ops zcrx_provider_ops = {
	.init		= zcrx_provider_init,
	.destroy	= zcrx_provider_destroy,
	.alloc_netmems	= zcrx_provider_alloc,
	.release_netmem	= zcrx_provider_release,
	.nl_fill	= zcrx_provider_nl_fill,
	.uninstall	= zcrx_provider_uninstall,
};
