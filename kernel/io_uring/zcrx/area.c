// SPDX-License-Identifier: GPL-2.0
/* Areas of user memory: pinning, DMA mapping, and their chunks' life */

#include <linux/dma-mapping.h>
#include <linux/error-injection.h>
#include <linux/io_uring.h>
#include <linux/io_uring_types.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/user.h>
#include <linux/slab.h>
#include <net/page_pool/helpers.h>
#include <net/page_pool/memory_provider.h>

#include "../io_uring.h"
#include "../memmap.h"
#include "../rsrc.h"
#include "area.h"
#include "ifq.h"
#include "provider.h"

static_assert(sizeof(struct zcrx_chunk) == 64);

/* Keeps what is allocated for an area below the limits of kvmalloc(). */
#define ZCRX_AREA_MAX_SIZE	(64ULL << 30)

#define ZCRX_DMA_ATTRS	(DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_WEAK_ORDERING)

static int area_check(const struct zcrx_ifq *ifq,
		      const struct io_uring_zcrx_area_reg *reg)
{
	if (reg->flags || reg->dmabuf_fd || reg->rq_area_token ||
	    memchr_inv(reg->__resv, 0, sizeof(reg->__resv)))
		return -EINVAL;
	if (!reg->len || !PAGE_ALIGNED(reg->addr) || !PAGE_ALIGNED(reg->len))
		return -EINVAL;
	/* The rbuf ring's offsets have 32 bits. */
	if (reg->len > ZCRX_AREA_MAX_SIZE ||
	    (zcrx_ifq_has_rbuf(ifq) && reg->len > 1ULL << 32))
		return -EINVAL;
	if (!IS_ALIGNED(reg->len, 1UL << ifq->chunk_shift))
		return -EINVAL;
	if (!reg->addr || !access_ok(u64_to_user_ptr(reg->addr), reg->len))
		return -EFAULT;
	return 0;
}

/* The charge lives as long as the area, which outlives its ring if skbs do. */
static int area_charge(struct zcrx_area *area, struct io_ring_ctx *ctx,
		       unsigned long nr_pages)
{
	int ret;

	if (ctx->user) {
		ret = __io_account_mem(ctx->user, nr_pages);
		if (ret)
			return ret;
		area->user = get_uid(ctx->user);
	}
	if (ctx->mm_account) {
		mmgrab(ctx->mm_account);
		area->mm = ctx->mm_account;
		atomic64_add(nr_pages, &area->mm->pinned_vm);
	}
	return 0;
}

static void area_uncharge(struct zcrx_area *area, unsigned long nr_pages)
{
	if (area->user) {
		__io_unaccount_mem(area->user, nr_pages);
		free_uid(area->user);
	}
	if (area->mm) {
		atomic64_sub(nr_pages, &area->mm->pinned_vm);
		mmdrop(area->mm);
	}
}

static int area_pin(struct zcrx_area *area, struct io_ring_ctx *ctx,
		    const struct io_uring_zcrx_area_reg *reg)
{
	unsigned long nr_pages = reg->len >> PAGE_SHIFT;
	struct page **pages;
	int ret;

	ret = area_charge(area, ctx, nr_pages);
	if (ret)
		return ret;

	pages = io_pin_pages(reg->addr, reg->len, &area->nr_pages);
	if (IS_ERR(pages)) {
		area_uncharge(area, nr_pages);
		return PTR_ERR(pages);
	}
	area->pages = pages;
	return 0;
}

static void area_unpin(struct zcrx_area *area)
{
	unpin_user_pages_dirty_lock(area->pages, area->nr_pages, true);
	kvfree(area->pages);
	area_uncharge(area, area->nr_pages);
}

/*
 * For the kernel's readers, too, which take what lies behind a page to be part of
 * the same folio.
 */
static bool chunk_is_contiguous(struct page **pages, unsigned int nr)
{
	unsigned int i;

	for (i = 1; i < nr; i++)
		if (pages[i] != nth_page(pages[0], i) ||
		    page_folio(pages[i]) != page_folio(pages[0]))
			return false;
	return true;
}

static int area_init_chunks(struct zcrx_area *area)
{
	unsigned int order = area->ifq->chunk_shift - PAGE_SHIFT;
	u32 i;

	area->nr_chunks = area->nr_pages >> order;
	area->chunks = kvcalloc(area->nr_chunks, sizeof(*area->chunks),
				GFP_KERNEL_ACCOUNT);
	if (!area->chunks)
		return -ENOMEM;

	for (i = 0; i < area->nr_chunks; i++, cond_resched()) {
		struct zcrx_chunk *chunk = &area->chunks[i];
		struct page **pages = &area->pages[i << order];

		if (!chunk_is_contiguous(pages, 1 << order))
			return -ERANGE;
		chunk->niov.type = NET_IOV_HOST;
		chunk->niov.page = pages[0];
		chunk->area = area;
		chunk->next_free = i + 1;
	}
	area->chunks[area->nr_chunks - 1].next_free = ZCRX_NO_CHUNK;
	return 0;
}

/**
 * zcrx_area_create() - pin user memory and cut it into chunks
 * @ifq: whose area it will be
 * @ctx: the ring, whose user is charged
 * @reg: from user space
 *
 * Return: the area, all of whose chunks are in its free list, which nobody knows
 * yet; -EINVAL for wrong arguments, -EFAULT if the memory is not mapped writable,
 * -ERANGE if it is not contiguous enough for the chunks' size, -ENOMEM.
 */
struct zcrx_area *zcrx_area_create(struct zcrx_ifq *ifq, struct io_ring_ctx *ctx,
				   const struct io_uring_zcrx_area_reg *reg)
{
	struct zcrx_area *area;
	int ret;

	ret = area_check(ifq, reg);
	if (ret)
		return ERR_PTR(ret);

	area = kzalloc(sizeof(*area), GFP_KERNEL_ACCOUNT);
	if (!area)
		return ERR_PTR(-ENOMEM);
	area->ifq = ifq;

	ret = area_pin(area, ctx, reg);
	if (ret)
		goto err_free;
	ret = area_init_chunks(area);
	if (ret)
		goto err_unpin;

	return area;

err_unpin:
	kvfree(area->chunks);
	area_unpin(area);
err_free:
	kfree(area);
	return ERR_PTR(ret);
}

/**
 * zcrx_area_destroy() - let the user's memory go
 * @area: not mapped for DMA, and nobody uses a chunk of it
 */
void zcrx_area_destroy(struct zcrx_area *area)
{
	kvfree(area->chunks);
	area_unpin(area);
	kfree(area);
}

static int area_set_dma_addrs(struct zcrx_area *area)
{
	size_t size = 1UL << area->ifq->chunk_shift;
	struct scatterlist *sg;
	unsigned int i;
	u32 nr = 0;

	for_each_sgtable_dma_sg(&area->sgt, sg, i) {
		dma_addr_t addr = sg_dma_address(sg);
		size_t left = sg_dma_len(sg);

		cond_resched();
		for (; left >= size && nr < area->nr_chunks; left -= size) {
			struct net_iov *niov = &area->chunks[nr++].niov;

			if (page_pool_provider_set_dma_addr(niov, addr))
				return -ERANGE;
			addr += size;
		}
		if (left)
			return -ERANGE;
	}
	return nr == area->nr_chunks ? 0 : -ERANGE;
}

/**
 * zcrx_area_dma_map() - let a device write to an area
 * @area: not mapped
 * @dev: the NIC
 *
 * Once for all: who hands a chunk to the device or takes it back syncs it, as
 * page pools and their drivers do.
 *
 * Return: 0, -ERANGE if a chunk is not contiguous for the device, -EOPNOTSUPP if
 * it takes no pieces of that size, -ENOMEM, or why the device can't.
 */
int zcrx_area_dma_map(struct zcrx_area *area, struct device *dev)
{
	size_t chunk_size = 1UL << area->ifq->chunk_shift;
	unsigned int max_seg;
	int ret;

	/* No segment ends within a chunk. */
	max_seg = ALIGN_DOWN(dma_get_max_seg_size(dev), chunk_size);
	if (!max_seg)
		return -EOPNOTSUPP;
	ret = sg_alloc_table_from_pages_segment(&area->sgt, area->pages,
						area->nr_pages, 0,
						(size_t)area->nr_pages << PAGE_SHIFT,
						max_seg, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;

	ret = dma_map_sgtable(dev, &area->sgt, DMA_FROM_DEVICE, ZCRX_DMA_ATTRS);
	if (ret)
		goto err_free;
	ret = area_set_dma_addrs(area);
	if (ret)
		goto err_unmap;
	area->mapped = true;
	return 0;

err_unmap:
	dma_unmap_sgtable(dev, &area->sgt, DMA_FROM_DEVICE, ZCRX_DMA_ATTRS);
err_free:
	sg_free_table(&area->sgt);
	return ret;
}
ALLOW_ERROR_INJECTION(zcrx_area_dma_map, ERRNO);

/**
 * zcrx_area_dma_unmap() - undo zcrx_area_dma_map()
 * @area: no page pool of the device may use it any more; may be not mapped
 * @dev: the NIC
 */
void zcrx_area_dma_unmap(struct zcrx_area *area, struct device *dev)
{
	if (!area->mapped)
		return;

	area->mapped = false;
	dma_unmap_sgtable(dev, &area->sgt, DMA_FROM_DEVICE, ZCRX_DMA_ATTRS);
	sg_free_table(&area->sgt);
}

/**
 * zcrx_chunk_offset() - where a chunk is in its area
 * @chunk: any chunk
 *
 * Return: in bytes.
 */
u64 zcrx_chunk_offset(const struct zcrx_chunk *chunk)
{
	const struct zcrx_area *area = chunk->area;

	return (u64)(chunk - area->chunks) << area->ifq->chunk_shift;
}

static struct zcrx_chunk *pop_free(struct zcrx_ifq *ifq)
{
	struct zcrx_chunk *chunk;
	struct zcrx_area *area;

	lockdep_assert_held(&ifq->free_lock);

	area = list_first_entry(&ifq->free_areas, struct zcrx_area, free_node);
	chunk = &area->chunks[area->first_free];
	area->first_free = chunk->next_free;
	if (area->first_free == ZCRX_NO_CHUNK)
		list_del(&area->free_node);
	ifq->nr_free--;
	return chunk;
}

/**
 * zcrx_chunk_take_free() - take a chunk for the copy fallback
 * @ifq: whose
 *
 * Return: a chunk with one reference, the caller's; NULL if none is free.
 */
struct zcrx_chunk *zcrx_chunk_take_free(struct zcrx_ifq *ifq)
{
	struct zcrx_chunk *chunk = NULL;

	spin_lock_bh(&ifq->free_lock);
	if (ifq->nr_free)
		chunk = pop_free(ifq);
	spin_unlock_bh(&ifq->free_lock);

	if (chunk)
		page_pool_fragment_netmem(zcrx_chunk_netmem(chunk), 1);
	return chunk;
}

/**
 * zcrx_chunks_take_free() - give free chunks to a page pool
 * @ifq: whose
 * @pool: asks for memory
 * @nr: how many at most; what is left for the copy fallback stays
 */
void zcrx_chunks_take_free(struct zcrx_ifq *ifq, struct page_pool *pool,
			   unsigned int nr)
{
	spin_lock_bh(&ifq->free_lock);
	while (nr-- && ifq->nr_free > ifq->copy_reserve)
		page_pool_provider_put_new(pool, &pop_free(ifq)->niov);
	spin_unlock_bh(&ifq->free_lock);
}

/**
 * zcrx_chunk_free() - put a chunk on its area's free list
 * @chunk: belongs to no page pool, and nobody has a reference
 */
void zcrx_chunk_free(struct zcrx_chunk *chunk)
{
	struct zcrx_area *area = chunk->area;
	struct zcrx_ifq *ifq = area->ifq;

	spin_lock_bh(&ifq->free_lock);
	if (area->first_free == ZCRX_NO_CHUNK)
		list_add_tail(&area->free_node, &ifq->free_areas);
	chunk->next_free = area->first_free;
	area->first_free = chunk - area->chunks;
	ifq->nr_free++;
	spin_unlock_bh(&ifq->free_lock);

	zcrx_provider_auto_resume(ifq);
}

/**
 * zcrx_chunk_put() - drop a reference
 * @chunk: the caller has a reference
 */
void zcrx_chunk_put(struct zcrx_chunk *chunk)
{
	netmem_ref netmem = zcrx_chunk_netmem(chunk);
	struct page_pool *pool = chunk->niov.pp;

	if (!page_pool_is_last_ref(netmem))
		return;

	if (!pool)
		zcrx_chunk_free(chunk);
	else if (READ_ONCE(chunk->area->ifq->state) == ZCRX_COPY)
		page_pool_provider_return(pool, &chunk->niov);
	else
		page_pool_put_unrefed_netmem(pool, netmem, -1, false);
}

/**
 * zcrx_chunk_get_for_user() - take a reference for a piece to be posted
 * @chunk: the caller has a reference
 */
void zcrx_chunk_get_for_user(struct zcrx_chunk *chunk)
{
	page_pool_ref_netmem(zcrx_chunk_netmem(chunk));
	/* Whoever drops the user's reference finds it counted. */
	smp_mb__before_atomic();
	atomic_inc(&chunk->user_refs);
}

/**
 * zcrx_chunk_drop_user() - one piece less is with the user
 * @chunk: any chunk
 *
 * Return: true if the user held one: the caller has its reference now.
 */
bool zcrx_chunk_drop_user(struct zcrx_chunk *chunk)
{
	return atomic_add_unless(&chunk->user_refs, -1, 0);
}

/**
 * zcrx_area_drop_users() - take back all pieces that the user holds
 * @area: any area
 */
void zcrx_area_drop_users(struct zcrx_area *area)
{
	u32 i;

	for (i = 0; i < area->nr_chunks; i++, cond_resched())
		while (zcrx_chunk_drop_user(&area->chunks[i]))
			zcrx_chunk_put(&area->chunks[i]);
}
