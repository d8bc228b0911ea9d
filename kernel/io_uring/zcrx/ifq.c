// SPDX-License-Identifier: GPL-2.0
/*
 * Interface queues: registration, the binding to a NIC's queue, and teardown
 *
 * An ifq comes with IORING_REGISTER_ZCRX_IFQ and goes in three steps:
 *
 *  io_zcrx_close()	the ring's last file is closed: nothing is received any
 *			more, all that the user held is taken back, and the queue
 *			is the NIC's again before close() returns
 *  io_zcrx_free()	the ring's requests are gone: the rings' memory goes
 *  zcrx_ifq_put()	the last page pool with chunks in flight is gone: the
 *			areas go
 */

#include <linux/capability.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/io_uring.h>
#include <linux/io_uring_types.h>
#include <linux/log2.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/rtnetlink.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <net/page_pool/types.h>
#include <net/rxq_provider.h>

#include "area.h"
#include "ifq.h"
#include "provider.h"
#include "zcrx.h"

#define ZCRX_MAX_IFQS		1024
#define ZCRX_MAX_AREAS		1024
#define ZCRX_MAX_ENTRIES	32768
#define ZCRX_MAX_COPY_RESERVE	64

/* What has flags from this bit up has an io_uring_zcrx_ext_reg. */
#define ZCRX_EXT_FLAGS		GENMASK(31, 16)

/**
 * struct zcrx_registration - the arguments of a registration, copied once
 * @reg: the main one
 * @ext: zero if there is none
 * @region: of the refill ring
 * @rbuf_region: zero if there is none
 * @nr_areas: at @reg.area_ptr
 */
struct zcrx_registration {
	struct io_uring_zcrx_ifq_reg	reg;
	struct io_uring_zcrx_ext_reg	ext;
	struct io_uring_region_desc	region;
	struct io_uring_region_desc	rbuf_region;
	u32				nr_areas;
};

static int check_flags(struct io_ring_ctx *ctx,
		       const struct io_uring_zcrx_ifq_reg *reg)
{
	if (reg->flags & ~ZCRX_REG_RBUF)
		return -EINVAL;
	if (!(reg->flags & ZCRX_REG_RBUF) &&
	    (!(ctx->flags & IORING_SETUP_DEFER_TASKRUN) ||
	     !(ctx->flags & IORING_SETUP_CQE32)))
		return -EINVAL;
	/* Programs for mainline use the struct again, with what came back. */
	if (reg->event_desc || reg->zcrx_id || reg->__resv)
		return -EINVAL;
	if (!(reg->flags & ZCRX_EXT_FLAGS) && reg->ext_ptr)
		return -EINVAL;
	if (reg->rx_buf_len && (reg->rx_buf_len < PAGE_SIZE ||
				!is_power_of_2(reg->rx_buf_len)))
		return -EINVAL;
	return 0;
}

static int check_ext(const struct io_uring_zcrx_ext_reg *ext, u32 flags)
{
	if (ext->size != sizeof(*ext) || ext->__resv0 ||
	    memchr_inv(ext->__resv, 0, sizeof(ext->__resv)) ||
	    memchr_inv(&ext->rbuf_offsets, 0, sizeof(ext->rbuf_offsets)))
		return -EINVAL;
	if (ext->nr_areas > ZCRX_MAX_AREAS)
		return -EINVAL;
	if (!(flags & ZCRX_REG_RBUF) && (ext->rbuf_entries || ext->rbuf_region_ptr))
		return -EINVAL;
	return 0;
}

static int round_entries(struct io_ring_ctx *ctx, u32 *nr)
{
	if (!*nr)
		return -EINVAL;
	if (*nr > ZCRX_MAX_ENTRIES) {
		if (!(ctx->flags & IORING_SETUP_CLAMP))
			return -EINVAL;
		*nr = ZCRX_MAX_ENTRIES;
	}
	*nr = roundup_pow_of_two(*nr);
	return 0;
}

static int read_ext(struct zcrx_registration *r, struct io_ring_ctx *ctx)
{
	struct io_uring_zcrx_ext_reg *ext = &r->ext;
	int ret;

	if (copy_from_user(ext, u64_to_user_ptr(r->reg.ext_ptr), sizeof(*ext)))
		return -EFAULT;
	ret = check_ext(ext, r->reg.flags);
	if (ret)
		return ret;

	r->nr_areas = ext->nr_areas ?: 1;
	if (!(r->reg.flags & ZCRX_REG_RBUF))
		return 0;
	if (copy_from_user(&r->rbuf_region, u64_to_user_ptr(ext->rbuf_region_ptr),
			   sizeof(r->rbuf_region)))
		return -EFAULT;
	return round_entries(ctx, &ext->rbuf_entries);
}

static int read_registration(struct zcrx_registration *r,
			     struct io_ring_ctx *ctx, void __user *arg)
{
	int ret;

	if (copy_from_user(&r->reg, arg, sizeof(r->reg)))
		return -EFAULT;
	ret = check_flags(ctx, &r->reg) ?: round_entries(ctx, &r->reg.rq_entries);
	if (ret)
		return ret;
	if (copy_from_user(&r->region, u64_to_user_ptr(r->reg.region_ptr),
			   sizeof(r->region)))
		return -EFAULT;

	r->nr_areas = 1;
	if (r->reg.flags & ZCRX_EXT_FLAGS)
		return read_ext(r, ctx);
	return 0;
}

static int write_tokens(const struct zcrx_registration *r)
{
	struct io_uring_zcrx_area_reg __user *areas;
	u32 i;

	areas = u64_to_user_ptr(r->reg.area_ptr);
	for (i = 0; i < r->nr_areas; i++)
		if (put_user((u64)i << IORING_ZCRX_AREA_SHIFT,
			     &areas[i].rq_area_token))
			return -EFAULT;
	return 0;
}

static int write_registration(const struct zcrx_registration *r,
			      void __user *arg)
{
	if (copy_to_user(arg, &r->reg, sizeof(r->reg)))
		return -EFAULT;
	if (copy_to_user(u64_to_user_ptr(r->reg.region_ptr), &r->region,
			 sizeof(r->region)))
		return -EFAULT;
	if ((r->reg.flags & ZCRX_REG_RBUF) &&
	    copy_to_user(u64_to_user_ptr(r->ext.rbuf_region_ptr),
			 &r->rbuf_region, sizeof(r->rbuf_region)))
		return -EFAULT;
	if ((r->reg.flags & ZCRX_EXT_FLAGS) &&
	    copy_to_user(u64_to_user_ptr(r->reg.ext_ptr), &r->ext,
			 sizeof(r->ext)))
		return -EFAULT;
	return write_tokens(r);
}

static struct zcrx_ifq *alloc_ifq(const struct zcrx_registration *r)
{
	u32 chunk_size = r->reg.rx_buf_len ?: PAGE_SIZE;
	struct zcrx_ifq *ifq;

	ifq = kzalloc(sizeof(*ifq), GFP_KERNEL_ACCOUNT);
	if (!ifq)
		return NULL;
	ifq->areas = kcalloc(r->nr_areas, sizeof(*ifq->areas),
			     GFP_KERNEL_ACCOUNT);
	if (!ifq->areas) {
		kfree(ifq);
		return NULL;
	}

	refcount_set(&ifq->refs, 1);
	spin_lock_init(&ifq->free_lock);
	spin_lock_init(&ifq->refill.lock);
	INIT_LIST_HEAD(&ifq->free_areas);
	ifq->flags = r->reg.flags;
	ifq->chunk_shift = ilog2(chunk_size);
	return ifq;
}

static int create_areas(struct zcrx_ifq *ifq, struct io_ring_ctx *ctx,
			const struct zcrx_registration *r)
{
	struct io_uring_zcrx_area_reg __user *user_areas;
	u32 i;

	user_areas = u64_to_user_ptr(r->reg.area_ptr);
	for (i = 0; i < r->nr_areas; i++) {
		struct io_uring_zcrx_area_reg area_reg;
		struct zcrx_area *area;

		if (copy_from_user(&area_reg, &user_areas[i], sizeof(area_reg)))
			return -EFAULT;
		area = zcrx_area_create(ifq, ctx, &area_reg);
		if (IS_ERR(area))
			return PTR_ERR(area);
		ifq->areas[ifq->nr_areas++] = area;
	}

	ifq->copy_reserve = clamp(ifq->nr_free / 4, 1, ZCRX_MAX_COPY_RESERVE);
	return 0;
}

static int create_rings(struct zcrx_ifq *ifq, struct io_ring_ctx *ctx,
			struct zcrx_registration *r)
{
	u64 mmap_id = (u64)ifq->id << IORING_OFF_ZCRX_SHIFT;
	int ret;

	ret = zcrx_region_create(&ifq->refill_region, ctx, &r->region,
				 zcrx_refill_size(r->reg.rq_entries),
				 IORING_MAP_OFF_ZCRX_REGION + mmap_id);
	if (ret)
		return ret;
	zcrx_refill_open(&ifq->refill, &ifq->refill_region, r->reg.rq_entries,
			 &r->reg.offsets);

	if (!zcrx_ifq_has_rbuf(ifq))
		return 0;

	ret = zcrx_region_create(&ifq->rbuf_region, ctx, &r->rbuf_region,
				 zcrx_rbuf_size(r->ext.rbuf_entries),
				 IORING_MAP_OFF_RBUF_REGION + mmap_id);
	if (ret)
		return ret;
	zcrx_rbuf_open(&ifq->rbuf, &ifq->rbuf_region, r->ext.rbuf_entries,
		       &r->ext.rbuf_offsets);
	return 0;
}

static void dma_unmap_areas(struct zcrx_ifq *ifq, u32 nr)
{
	while (nr--)
		zcrx_area_dma_unmap(ifq->areas[nr], ifq->dev);
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
			dma_unmap_areas(ifq, i);
			return ret;
		}
	}
	return 0;
}

static int bind_netdev(struct zcrx_ifq *ifq, struct net_device *netdev, u32 rxq)
{
	struct pp_memory_provider_params params = {
		.mp_ops		= &zcrx_provider_ops,
		.mp_priv	= ifq,
	};
	int ret;

	if (!netdev->dev.parent)
		return -EOPNOTSUPP;
	ret = dma_map_areas(ifq, netdev->dev.parent);
	if (ret)
		return ret;

	ifq->rxq = rxq;

	rtnl_lock();
	ret = netdev_rxq_provider_bind(netdev, rxq, &params, NULL);
	if (!ret)
		ifq->netdev = netdev;
	rtnl_unlock();
	if (ret)
		dma_unmap_areas(ifq, ifq->nr_areas);
	return ret;
}

static int bind_ifq(struct zcrx_ifq *ifq,
		    const struct io_uring_zcrx_ifq_reg *reg)
{
	struct net_device *netdev;
	netdevice_tracker tracker;
	int ret;

	netdev = netdev_get_by_index(current->nsproxy->net_ns, reg->if_idx,
				     &tracker, GFP_KERNEL_ACCOUNT);
	if (!netdev)
		return -ENODEV;

	/* From here on, uninstall() tells when the netdev goes. */
	ret = bind_netdev(ifq, netdev, reg->if_rxq);
	netdev_put(netdev, &tracker);
	return ret;
}

/**
 * zcrx_ifq_detach() - the NIC does not use the areas any more
 * @ifq: its page pools are destroyed, though chunks may still be in flight
 *
 * RTNL is held.
 */
void zcrx_ifq_detach(struct zcrx_ifq *ifq)
{
	/* Chunks in flight may just be synced for the device. */
	if (dma_dev_need_sync(ifq->dev))
		synchronize_net();
	dma_unmap_areas(ifq, ifq->nr_areas);
	ifq->netdev = NULL;
}

static void unbind_ifq(struct zcrx_ifq *ifq)
{
	struct pp_memory_provider_params params = { .mp_priv = ifq };

	rtnl_lock();
	if (ifq->netdev) {
		/* If this fails a page pool goes on with the areas: they stay
		 * mapped until it is gone, which may be after its device if an
		 * skb has a chunk until then.
		 */
		if (!netdev_rxq_provider_unbind(ifq->netdev, ifq->rxq, &params))
			zcrx_ifq_detach(ifq);
		ifq->netdev = NULL;
	}
	rtnl_unlock();
}

static void free_ifq(struct zcrx_ifq *ifq)
{
	u32 i;

	if (ifq->dev)
		dma_unmap_areas(ifq, ifq->nr_areas);
	for (i = 0; i < ifq->nr_areas; i++)
		zcrx_area_destroy(ifq->areas[i]);
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

/* Everything comes back that comes back without waiting. */
static void close_ifq(struct zcrx_ifq *ifq)
{
	u32 i;

	ifq->closed = true;
	zcrx_refill_close(&ifq->refill);
	zcrx_copy_close(ifq);
	for (i = 0; i < ifq->nr_areas; i++)
		zcrx_area_drop_users(ifq->areas[i]);
}

static void release_ifq(struct zcrx_ifq *ifq, struct io_ring_ctx *ctx)
{
	zcrx_region_destroy(&ifq->refill_region, ctx);
	zcrx_region_destroy(&ifq->rbuf_region, ctx);
	zcrx_ifq_put(ifq);
}

/**
 * io_register_zcrx_ifq() - IORING_REGISTER_ZCRX_IFQ
 * @ctx: the ring, with uring_lock held
 * @arg: struct io_uring_zcrx_ifq_reg of user space
 *
 * Return: 0 or an error of the interface's description; then nothing stays.
 */
int io_register_zcrx_ifq(struct io_ring_ctx *ctx, void __user *arg)
{
	struct zcrx_registration r = {};
	struct zcrx_ifq *ifq;
	int ret;

	if (!capable(CAP_NET_ADMIN))
		return -EPERM;
	ret = read_registration(&r, ctx, arg);
	if (ret)
		return ret;

	ifq = alloc_ifq(&r);
	if (!ifq)
		return -ENOMEM;
	ret = xa_alloc(&ctx->zcrx_ifqs, &ifq->id, NULL,
		       XA_LIMIT(0, ZCRX_MAX_IFQS - 1), GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_put;

	ret = create_areas(ifq, ctx, &r);
	if (ret)
		goto err_erase;
	ret = create_rings(ifq, ctx, &r);
	if (ret)
		goto err_close;
	ret = bind_ifq(ifq, &r.reg);
	if (ret)
		goto err_close;

	r.reg.zcrx_id = ifq->id;
	r.reg.rx_buf_len = 1U << ifq->chunk_shift;
	ret = write_registration(&r, arg);
	if (ret)
		goto err_close;

	/* Does not allocate, the entry is reserved. */
	xa_store(&ctx->zcrx_ifqs, ifq->id, ifq, GFP_KERNEL_ACCOUNT);
	return 0;

err_close:
	close_ifq(ifq);
	unbind_ifq(ifq);
err_erase:
	xa_erase(&ctx->zcrx_ifqs, ifq->id);
err_put:
	release_ifq(ifq, ctx);
	return ret;
}

/**
 * zcrx_ifq_find() - an ifq by its number
 * @ctx: the ring
 * @id: from user space
 *
 * Return: the ifq, which lives as long as the ring; or NULL.
 */
struct zcrx_ifq *zcrx_ifq_find(struct io_ring_ctx *ctx, u32 id)
{
	return xa_load(&ctx->zcrx_ifqs, id);
}

static struct zcrx_region *find_region(struct io_ring_ctx *ctx, loff_t offset)
{
	u32 id = (offset & ~IORING_OFF_MMAP_MASK) >> IORING_OFF_ZCRX_SHIFT;
	struct zcrx_ifq *ifq = zcrx_ifq_find(ctx, id);

	if (!ifq)
		return NULL;
	if ((offset & IORING_OFF_MMAP_MASK) == IORING_MAP_OFF_RBUF_REGION)
		return &ifq->rbuf_region;
	return &ifq->refill_region;
}

/**
 * io_zcrx_mmap_ptr() - kernel address of what an mmap offset means
 * @ctx: the ring
 * @offset: in the ranges of the refill and rbuf regions
 *
 * Return: the address, or ERR_PTR(-EINVAL).
 */
void *io_zcrx_mmap_ptr(struct io_ring_ctx *ctx, loff_t offset)
{
	struct zcrx_region *region = find_region(ctx, offset);

	if (!region || !region->ptr)
		return ERR_PTR(-EINVAL);
	return region->ptr;
}

/**
 * io_zcrx_mmap() - map a ring's memory to user space
 * @ctx: the ring
 * @vma: with an offset in the ranges of the refill and rbuf regions
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int io_zcrx_mmap(struct io_ring_ctx *ctx, struct vm_area_struct *vma)
{
	struct zcrx_region *region;

	region = find_region(ctx, (loff_t)vma->vm_pgoff << PAGE_SHIFT);
	if (!region)
		return -EINVAL;
	return zcrx_region_mmap(region, ctx, vma);
}

static void show_ifq(struct zcrx_ifq *ifq, struct seq_file *m)
{
	const struct zcrx_counters *c = &ifq->counters;
	u32 i, nr_chunks = 0;

	for (i = 0; i < ifq->nr_areas; i++)
		nr_chunks += ifq->areas[i]->nr_chunks;

	seq_printf(m, "zcrx-%u: rxq=%u chunks=%u free=%u lent_pages=%llu invalid_refills=%llu pauses=%llu zc_bytes=%llu copied_linear=%llu copied_page=%llu copied_foreign=%llu\n",
		   ifq->id, ifq->rxq, nr_chunks, READ_ONCE(ifq->nr_free),
		   atomic64_read(&ifq->nr_lent),
		   READ_ONCE(ifq->refill.nr_invalid), c->pauses, c->zc_bytes,
		   c->copied_bytes[IORING_ZCRX_COPY_LINEAR],
		   c->copied_bytes[IORING_ZCRX_COPY_PAGE],
		   c->copied_bytes[IORING_ZCRX_COPY_FOREIGN]);
}

/**
 * io_zcrx_show_fdinfo() - a ring's ifqs and their counters
 * @ctx: the ring, with uring_lock held
 * @m: where to
 */
void io_zcrx_show_fdinfo(struct io_ring_ctx *ctx, struct seq_file *m)
{
	struct zcrx_ifq *ifq;
	unsigned long id;

	xa_for_each(&ctx->zcrx_ifqs, id, ifq)
		show_ifq(ifq, m);
}

/**
 * io_zcrx_close() - the last file of a ring is closed
 * @ctx: the ring, without uring_lock; requests may still be there
 */
void io_zcrx_close(struct io_ring_ctx *ctx)
{
	struct zcrx_ifq *ifq;
	unsigned long id;

	mutex_lock(&ctx->uring_lock);
	xa_for_each(&ctx->zcrx_ifqs, id, ifq)
		close_ifq(ifq);
	mutex_unlock(&ctx->uring_lock);

	xa_for_each(&ctx->zcrx_ifqs, id, ifq)
		unbind_ifq(ifq);
}

/**
 * io_zcrx_free() - a ring goes, its requests are gone
 * @ctx: the ring, after io_zcrx_close()
 */
void io_zcrx_free(struct io_ring_ctx *ctx)
{
	struct zcrx_ifq *ifq;
	unsigned long id;

	xa_for_each(&ctx->zcrx_ifqs, id, ifq)
		release_ifq(ifq, ctx);
	xa_destroy(&ctx->zcrx_ifqs);
}
