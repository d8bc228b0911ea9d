/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IOU_ZCRX_MEMBER_H
#define IOU_ZCRX_MEMBER_H

#include <linux/types.h>

struct io_ring_ctx;
struct zcrx_ifq;

/**
 * struct zcrx_member - a ring that has an ifq: registered or imported it
 * @node: in zcrx_ifq.members, from zcrx_member_publish() to zcrx_member_close()
 * @ctx: the ring
 * @id: names the ifq in it
 * @registered: it registered the ifq
 * @told: it gets the ifq's events
 * @ifq: a user of it until zcrx_member_close(), and a reference until the end
 */
struct zcrx_member {
	struct list_head	node;
	struct io_ring_ctx	*ctx;
	u32			id;
	bool			registered;
	bool			told;
	struct zcrx_ifq		*ifq;
};

struct zcrx_member *zcrx_member_create(struct io_ring_ctx *ctx,
				       struct zcrx_ifq *ifq);
void zcrx_member_publish(struct zcrx_member *member);
void zcrx_member_close(struct zcrx_member *member);
void zcrx_member_destroy(struct zcrx_member *member);
struct zcrx_member *zcrx_member_find(struct io_ring_ctx *ctx, u32 id);
struct zcrx_ifq *zcrx_ifq_find(struct io_ring_ctx *ctx, u32 id);

#endif /* IOU_ZCRX_MEMBER_H */
