/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Areas, and the chunks that they are cut into
 *
 * A chunk is free, or it belongs to a page pool, or to the copy fallback. Who
 * uses it is counted in its net_iov's pp_ref_count: the driver, each skb, the
 * copy fallback, and each piece that the user holds. When the last reference
 * goes, the chunk returns to its page pool if it has one, and is free if not, or
 * if it is the user's that went while the ifq is in ZCRX_COPY.
 *
 * user_refs says how many of the references are the user's. What the user
 * gives back counts only against it, so a refill entry for a chunk that he
 * does not hold does nothing. It is incremented before the user learns of the
 * piece.
 */
#ifndef IOU_ZCRX_AREA_H
#define IOU_ZCRX_AREA_H

#include <linux/atomic.h>
#include <linux/scatterlist.h>
#include <net/netmem.h>

struct device;
struct io_ring_ctx;
struct io_uring_zcrx_area_reg;
struct page_pool;
struct zcrx_ifq;

#define ZCRX_NO_CHUNK	U32_MAX

/**
 * struct zcrx_chunk - the kernel's record of a chunk: one cache line
 * @niov: what page pools and skbs know
 * @area: where it is
 * @user_refs: pieces of it that the user holds
 * @next_free: index of the next chunk in the area's free list
 */
struct zcrx_chunk {
	struct net_iov		niov;
	struct zcrx_area	*area;
	atomic_t		user_refs;
	u32			next_free;
};

/**
 * struct zcrx_area - registered user memory
 * @ifq: whose
 * @id: index in the ifq's areas, if it is there
 * @nr_chunks: how many
 * @chunks: their records
 * @free_node: in zcrx_ifq.free_areas if there is a free chunk
 * @first_free: index of the first free chunk, or %ZCRX_NO_CHUNK
 * @pages: pinned
 * @nr_pages: how many
 * @user: charged with them, NULL if nobody is
 * @mm: likewise
 * @sgt: for DMA
 * @mapped: zcrx_ifq.dev can write to it. RTNL.
 */
struct zcrx_area {
	struct zcrx_ifq		*ifq;
	u32			id;
	u32			nr_chunks;
	struct zcrx_chunk	*chunks;

	struct list_head	free_node;
	u32			first_free;

	struct page		**pages;
	int			nr_pages;
	struct user_struct	*user;
	struct mm_struct	*mm;
	struct sg_table		sgt;
	bool			mapped;
};

static inline struct zcrx_chunk *zcrx_chunk_of(struct net_iov *niov)
{
	return container_of(niov, struct zcrx_chunk, niov);
}

static inline netmem_ref zcrx_chunk_netmem(struct zcrx_chunk *chunk)
{
	return net_iov_to_netmem(&chunk->niov);
}

struct zcrx_area *zcrx_area_create(struct zcrx_ifq *ifq, struct io_ring_ctx *ctx,
				   const struct io_uring_zcrx_area_reg *reg);
void zcrx_area_destroy(struct zcrx_area *area);
int zcrx_area_dma_map(struct zcrx_area *area, struct device *dev);
void zcrx_area_dma_unmap(struct zcrx_area *area, struct device *dev);
u64 zcrx_chunk_offset(const struct zcrx_chunk *chunk);

struct zcrx_chunk *zcrx_chunk_take_free(struct zcrx_ifq *ifq);
void zcrx_chunks_take_free(struct zcrx_ifq *ifq, struct page_pool *pool,
			   unsigned int nr);
void zcrx_chunk_free(struct zcrx_chunk *chunk);

void zcrx_chunk_put(struct zcrx_chunk *chunk);
void zcrx_chunk_get_for_user(struct zcrx_chunk *chunk);
bool zcrx_chunk_drop_user(struct zcrx_chunk *chunk);
void zcrx_area_drop_users(struct zcrx_area *area);

#endif /* IOU_ZCRX_AREA_H */
