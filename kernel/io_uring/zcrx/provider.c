// SPDX-License-Identifier: GPL-2.0
/*
 * The memory provider: an ifq's chunks for the page pool of a NIC's queue
 *
 * A page pool has a reference of the ifq, and with it of the areas, from init
 * to destroy. It may outlive the binding by as long as an skb has a chunk. The
 * NIC writes to the areas from init to stop.
 */

#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/netdev_rx_queue.h>
#include <net/netlink.h>
#include <net/page_pool/helpers.h>
#include <net/page_pool/memory_provider.h>
#include <trace/events/zcrx.h>
#include <uapi/linux/netdev.h>

#include "area.h"
#include "event.h"
#include "ifq.h"
#include "provider.h"

static int zcrx_provider_init(struct page_pool *pool)
{
	struct zcrx_ifq *ifq = pool->mp_priv;

	if (pool->p.dev != ifq->dev || pool->p.dma_dir != DMA_FROM_DEVICE ||
	    !pool->dma_map)
		return -EOPNOTSUPP;
	if (pool->p.order != ifq->chunk_shift - PAGE_SHIFT)
		return -EOPNOTSUPP;

	refcount_inc(&ifq->refs);
	ifq->nr_pools++;
	return 0;
}

static void zcrx_provider_stop(struct page_pool *pool)
{
	struct zcrx_ifq *ifq = pool->mp_priv;

	ASSERT_RTNL();
	ifq->nr_pools--;
	zcrx_ifq_unmap_unused(ifq);
}

static void zcrx_provider_destroy(struct page_pool *pool)
{
	zcrx_ifq_put(pool->mp_priv);
}

/*
 * Bounded by the NIC's descriptors, each of which has one page at most, and
 * what sockets may queue: they are charged for it, as for any driver's pages.
 */
static netmem_ref lend_page(struct zcrx_ifq *ifq, struct page_pool *pool,
			    gfp_t gfp)
{
	netmem_ref netmem = page_pool_provider_lend_page(pool, gfp);

	if (netmem) {
		atomic64_inc(&ifq->nr_lent);
		atomic_inc(&ifq->nr_lent_now);
		trace_zcrx_lend(ifq, atomic_read(&ifq->nr_lent_now));
	}
	return netmem;
}

static bool set_state(struct zcrx_ifq *ifq, enum zcrx_state state)
{
	lockdep_assert_held(&ifq->free_lock);

	if (ifq->state == state)
		return false;
	WRITE_ONCE(ifq->state, state);
	ifq->nr_state_changes++;
	trace_zcrx_state(ifq);
	return true;
}

static void fall_back(struct zcrx_ifq *ifq)
{
	bool changed;

	spin_lock_bh(&ifq->free_lock);
	changed = set_state(ifq, ZCRX_COPY);
	spin_unlock_bh(&ifq->free_lock);

	zcrx_event_raise(ifq, ZCRX_EVENT_ALLOC_FAIL);
	if (changed)
		zcrx_event_raise(ifq, ZCRX_EVENT_STATE_COPY);
}

/**
 * zcrx_provider_resume() - let the NIC have chunks again
 * @ifq: in any state
 * @level: if so many are free
 */
void zcrx_provider_resume(struct zcrx_ifq *ifq, u32 level)
{
	bool changed = false;

	spin_lock_bh(&ifq->free_lock);
	if (ifq->nr_free >= level)
		changed = set_state(ifq, ZCRX_ON);
	spin_unlock_bh(&ifq->free_lock);

	if (changed)
		zcrx_event_raise(ifq, ZCRX_EVENT_STATE_ON);
}

/**
 * zcrx_provider_auto_resume() - chunks have become free
 * @ifq: in any state
 */
void zcrx_provider_auto_resume(struct zcrx_ifq *ifq)
{
	if (likely(READ_ONCE(ifq->state) == ZCRX_ON) ||
	    (ifq->flags & ZCRX_REG_MANUAL_RESUME))
		return;
	zcrx_provider_resume(ifq, READ_ONCE(ifq->resume_level));
}

/*
 * In ZCRX_COPY, what comes back becomes free: payload in pages of the kernel
 * waits for it. With many of them free we are back.
 */
static bool has_chunks(struct zcrx_ifq *ifq)
{
	if (likely(READ_ONCE(ifq->state) == ZCRX_ON))
		return true;

	zcrx_refill_flush_some(ifq);
	return READ_ONCE(ifq->state) == ZCRX_ON;
}

/* What the user gives back goes first: it is warm, and needs no list. */
static netmem_ref zcrx_provider_alloc(struct page_pool *pool, gfp_t gfp)
{
	struct zcrx_ifq *ifq = pool->mp_priv;
	unsigned int nr_refilled;

	if (!has_chunks(ifq))
		return lend_page(ifq, pool, gfp);
	page_pool_provider_reclaim(pool, false);

	zcrx_refill_take(ifq, pool, PP_ALLOC_CACHE_REFILL);
	nr_refilled = pool->alloc.count;
	if (!nr_refilled)
		zcrx_chunks_take_free(ifq, pool, PP_ALLOC_CACHE_REFILL);
	if (!pool->alloc.count) {
		fall_back(ifq);
		page_pool_provider_reclaim(pool, true);
		return lend_page(ifq, pool, gfp);
	}

	trace_zcrx_alloc(ifq, nr_refilled, pool->alloc.count - nr_refilled);
	return page_pool_provider_take(pool);
}

static bool zcrx_provider_release(struct page_pool *pool, netmem_ref netmem)
{
	struct zcrx_ifq *ifq = pool->mp_priv;
	struct net_iov *niov;

	if (!netmem_is_net_iov(netmem)) {
		atomic_dec(&ifq->nr_lent_now);
		return true;
	}

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

/* The device is closed, so it has no page pool any more. */
static void zcrx_provider_uninstall(void *mp_priv, struct netdev_rx_queue *rxq)
{
	struct zcrx_ifq *ifq = mp_priv;

	ASSERT_RTNL();
	ifq->netdev = NULL;
	zcrx_ifq_unmap_unused(ifq);
	memset(&rxq->mp_params, 0, sizeof(rxq->mp_params));
	zcrx_event_raise(ifq, ZCRX_EVENT_UNBOUND);
}

const struct memory_provider_ops zcrx_provider_ops = {
	.init		= zcrx_provider_init,
	.stop		= zcrx_provider_stop,
	.destroy	= zcrx_provider_destroy,
	.alloc_netmems	= zcrx_provider_alloc,
	.release_netmem	= zcrx_provider_release,
	.nl_fill	= zcrx_provider_nl_fill,
	.uninstall	= zcrx_provider_uninstall,
};
