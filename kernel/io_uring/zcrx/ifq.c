// SPDX-License-Identifier: GPL-2.0
/*
 * Interface queues: their areas, the binding to a NIC's queue, and their end
 *
 * An ifq goes in two steps. With the last user (a ring that is open, or an
 * exported file) it is closed: nothing is received any more, all that user
 * space held is taken back, and the queue is the NIC's again. With the last
 * reference, which may be that of a page pool that has chunks in flight, its
 * memory goes.
 */

#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/io_uring_types.h>
#include <linux/log2.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/page_pool/types.h>
#include <net/rxq_provider.h>

#include "area.h"
#include "ifq.h"
#include "provider.h"

#define ZCRX_MAX_COPY_RESERVE	64U

/**
 * zcrx_ifq_alloc() - an ifq without areas and rings
 * @flags: enum io_uring_zcrx_reg_flags
 * @chunk_size: a power of two, from a page up
 *
 * Return: the ifq, of which the caller is a user and has a reference; or NULL.
 */
struct zcrx_ifq *zcrx_ifq_alloc(u32 flags, u32 chunk_size)
{
	struct zcrx_ifq *ifq;

	ifq = kzalloc(sizeof(*ifq), GFP_KERNEL_ACCOUNT);
	if (!ifq)
		return NULL;
	ifq->areas = kcalloc(ZCRX_MAX_AREAS, sizeof(*ifq->areas),
			     GFP_KERNEL_ACCOUNT);
	if (!ifq->areas) {
		kfree(ifq);
		return NULL;
	}

	refcount_set(&ifq->refs, 1);
	refcount_set(&ifq->users, 1);
	mutex_init(&ifq->lock);
	spin_lock_init(&ifq->free_lock);
	spin_lock_init(&ifq->refill.lock);
	INIT_LIST_HEAD(&ifq->free_areas);
	INIT_LIST_HEAD(&ifq->members);
	zcrx_events_init(ifq);
	ifq->flags = flags;
	ifq->chunk_shift = ilog2(chunk_size);
	return ifq;
}

static void dma_unmap_areas(struct zcrx_ifq *ifq)
{
	u32 i;

	for (i = 0; i < ifq->nr_areas; i++)
		zcrx_area_dma_unmap(ifq->areas[i], ifq->dev);
	put_device(ifq->dev);
	ifq->dev = NULL;
}

static int dma_map_areas(struct zcrx_ifq *ifq, struct device *dev)
{
	u32 i;
	int ret;

	ifq->dev = get_device(dev);
	for (i = 0; i < ifq->nr_areas; i++) {
		ret = zcrx_area_dma_map(ifq->areas[i], dev);
		if (ret) {
			dma_unmap_areas(ifq);
			return ret;
		}
	}
	return 0;
}

/* All of its chunks are free, and whoever wants one may take it. */
static void publish_area(struct zcrx_ifq *ifq, struct zcrx_area *area)
{
	area->id = ifq->nr_areas;
	ifq->areas[area->id] = area;
	/* Pairs with the load-acquire in zcrx_ifq_nr_areas(). */
	smp_store_release(&ifq->nr_areas, area->id + 1);

	spin_lock_bh(&ifq->free_lock);
	list_add_tail(&area->free_node, &ifq->free_areas);
	ifq->nr_chunks += area->nr_chunks;
	ifq->nr_free += area->nr_chunks;
	ifq->copy_reserve = clamp(ifq->nr_chunks / 4, 1,
				  ZCRX_MAX_COPY_RESERVE);
	/* A batch of a page pool, if the areas are large enough for one */
	ifq->resume_level = ifq->copy_reserve +
			    clamp(ifq->nr_chunks / 4, 1, PP_ALLOC_CACHE_REFILL);
	spin_unlock_bh(&ifq->free_lock);

	zcrx_provider_auto_resume(ifq);
}

/* The NIC may go at any time, and takes mappings with it. */
static int map_and_publish_area(struct zcrx_ifq *ifq, struct zcrx_area *area)
{
	int ret = 0;

	ASSERT_RTNL();

	if (ifq->nr_areas == ZCRX_MAX_AREAS)
		return -ENOSPC;
	if (ifq->dev)
		ret = zcrx_area_dma_map(area, ifq->dev);
	if (!ret)
		publish_area(ifq, area);
	return ret;
}

/**
 * zcrx_ifq_add_area() - let an ifq use more memory
 * @ifq: has a user who does not go meanwhile
 * @ctx: the ring whose user is charged
 * @reg: from user space
 *
 * The area's id is the number of areas that there were. One is added at a time,
 * and can't be taken away again.
 *
 * Return: 0, -ENOSPC if there are too many, what zcrx_area_create() returns, or
 * why the NIC can't use it.
 */
int zcrx_ifq_add_area(struct zcrx_ifq *ifq, struct io_ring_ctx *ctx,
		      const struct io_uring_zcrx_area_reg *reg)
{
	struct zcrx_area *area;
	int ret;

	area = zcrx_area_create(ifq, ctx, reg);
	if (IS_ERR(area))
		return PTR_ERR(area);

	rtnl_lock();
	ret = map_and_publish_area(ifq, area);
	rtnl_unlock();
	if (ret)
		zcrx_area_destroy(area);
	return ret;
}

/**
 * zcrx_check_queue() - could an ifq have a receive queue just now?
 * @if_idx: index of the interface, in the network namespace of the caller
 * @rxq: the queue
 *
 * To be asked before memory is pinned for it.
 *
 * Return: 0, -ENODEV if there is no such interface, or what
 * netdev_rxq_provider_check() returns.
 */
int zcrx_check_queue(u32 if_idx, u32 rxq)
{
	struct net_device *netdev;
	netdevice_tracker tracker;
	int ret;

	netdev = netdev_get_by_index(current->nsproxy->net_ns, if_idx,
				     &tracker, GFP_KERNEL_ACCOUNT);
	if (!netdev)
		return -ENODEV;

	rtnl_lock();
	ret = netdev_rxq_provider_check(netdev, rxq);
	rtnl_unlock();
	netdev_put(netdev, &tracker);
	return ret;
}

static int bind_netdev(struct zcrx_ifq *ifq, struct net_device *netdev, u32 rxq)
{
	struct pp_memory_provider_params params = {
		.mp_ops		= &zcrx_provider_ops,
		.mp_priv	= ifq,
		.order		= ifq->chunk_shift - PAGE_SHIFT,
	};
	int ret;

	ASSERT_RTNL();

	/* First of all: devices that can't may not even be able to do DMA. */
	ret = netdev_rxq_provider_check(netdev, rxq);
	if (ret)
		return ret;
	ret = dma_map_areas(ifq, netdev->dev.parent);
	if (ret)
		return ret;

	ifq->if_idx = netdev->ifindex;
	ifq->rxq = rxq;
	ifq->netdev = netdev;
	ret = netdev_rxq_provider_bind(netdev, rxq, &params);
	if (ret) {
		ifq->netdev = NULL;
		zcrx_ifq_unmap_unused(ifq);
	}
	return ret;
}

/**
 * zcrx_ifq_bind() - give an ifq a NIC's receive queue
 * @ifq: new, has its areas and its refill ring
 * @if_idx: index of the interface, in the network namespace of the caller
 * @rxq: the queue
 *
 * Return: 0, -ENODEV if there is no such interface, what
 * netdev_rxq_provider_bind() returns, or why the NIC can't use the areas.
 */
int zcrx_ifq_bind(struct zcrx_ifq *ifq, u32 if_idx, u32 rxq)
{
	struct net_device *netdev;
	netdevice_tracker tracker;
	int ret;

	netdev = netdev_get_by_index(current->nsproxy->net_ns, if_idx,
				     &tracker, GFP_KERNEL_ACCOUNT);
	if (!netdev)
		return -ENODEV;

	/* From here on, uninstall() tells when the netdev goes. */
	rtnl_lock();
	ret = bind_netdev(ifq, netdev, rxq);
	rtnl_unlock();
	netdev_put(netdev, &tracker);
	return ret;
}

/**
 * zcrx_ifq_unmap_unused() - the NIC may not use the areas any more
 * @ifq: if it is not bound, and has no page pool, its areas are unmapped, though
 *	chunks may still be in flight
 *
 * RTNL is held.
 */
void zcrx_ifq_unmap_unused(struct zcrx_ifq *ifq)
{
	ASSERT_RTNL();

	if (!ifq->dev || ifq->netdev || ifq->nr_pools)
		return;

	/* Chunks in flight may just be synced for the device. */
	if (dma_dev_need_sync(ifq->dev))
		synchronize_net();
	dma_unmap_areas(ifq);
}

/*
 * If the queue can't be restarted, for want of memory, its page pool goes on
 * with the areas, until the queue or the device is stopped.
 */
static void unbind_ifq(struct zcrx_ifq *ifq)
{
	struct pp_memory_provider_params params = { .mp_priv = ifq };
	struct net_device *netdev;

	rtnl_lock();
	netdev = ifq->netdev;
	if (netdev) {
		ifq->netdev = NULL;
		netdev_rxq_provider_unbind(netdev, ifq->rxq, &params);
		zcrx_ifq_unmap_unused(ifq);
	}
	rtnl_unlock();
}

static void free_ifq(struct zcrx_ifq *ifq)
{
	u32 i;

	for (i = 0; i < ifq->nr_areas; i++)
		zcrx_area_destroy(ifq->areas[i]);
	zcrx_region_destroy(&ifq->refill_region);
	zcrx_region_destroy(&ifq->rbuf_region);
	zcrx_events_destroy(ifq);
	kfree(ifq->areas);
	kfree(ifq);
}

/**
 * zcrx_ifq_put() - drop a reference
 * @ifq: gone if it was the last one
 */
void zcrx_ifq_put(struct zcrx_ifq *ifq)
{
	if (refcount_dec_and_test(&ifq->refs))
		free_ifq(ifq);
}

/**
 * zcrx_ifq_get_user() - one more user, with a reference
 * @ifq: has a user who does not go meanwhile
 */
void zcrx_ifq_get_user(struct zcrx_ifq *ifq)
{
	refcount_inc(&ifq->refs);
	refcount_inc(&ifq->users);
}

/* Everything comes back that comes back without waiting. */
static void close_ifq(struct zcrx_ifq *ifq)
{
	u32 i;

	mutex_lock(&ifq->lock);
	ifq->closed = true;
	zcrx_refill_close(&ifq->refill);
	zcrx_copy_close(ifq);
	for (i = 0; i < ifq->nr_areas; i++)
		zcrx_area_drop_users(ifq->areas[i]);
	mutex_unlock(&ifq->lock);
}

/**
 * zcrx_ifq_put_user() - one user less; its reference stays
 * @ifq: closed if it was the last one; RTNL is taken then
 */
void zcrx_ifq_put_user(struct zcrx_ifq *ifq)
{
	if (!refcount_dec_and_test(&ifq->users))
		return;

	close_ifq(ifq);
	unbind_ifq(ifq);
}
