/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IOU_ZCRX_EVENT_H
#define IOU_ZCRX_EVENT_H

#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <linux/io_uring/zcrx.h>

struct io_kiocb;
struct io_ring_ctx;
struct mem_cgroup;
struct zcrx_ifq;
struct zcrx_region;

#define ZCRX_EVENT_TYPES	(BIT(ZCRX_EVENT_ALLOC_FAIL) | \
				 BIT(ZCRX_EVENT_COPY) | \
				 BIT(ZCRX_EVENT_STATE_COPY) | \
				 BIT(ZCRX_EVENT_STATE_ON) | \
				 BIT(ZCRX_EVENT_UNBOUND))

/**
 * struct zcrx_events - what the application wants to be told
 * @lock: protects all but @stats (bottom halves off)
 * @ctx: the ring that registered the ifq; NULL if it has closed, or there is
 *	nothing to tell
 * @user_data: of the CQEs
 * @wanted: bits of enum zcrx_event_type that were asked for
 * @armed: those to be told when they happen
 * @pending: happened, and the CQE is yet to be posted
 * @memcg: charged with CQEs that overflow, if @work posts them
 * @work: posts CQEs: what raises an event may be in softirq context
 * @req: brings @pending to the ring's task, if only that may post
 * @req_queued: it is under way
 * @stats: shared with the user; NULL if not wanted. zcrx_ifq.lock.
 */
struct zcrx_events {
	spinlock_t		lock;	/* see above */
	struct io_ring_ctx	*ctx;
	u64			user_data;
	u32			wanted;
	u32			armed;
	u32			pending;
	struct mem_cgroup	*memcg;
	struct work_struct	work;
	struct io_kiocb		*req;
	bool			req_queued;
	struct zcrx_stats	*stats;
};

void zcrx_events_init(struct zcrx_ifq *ifq);
int zcrx_events_check(struct io_ring_ctx *ctx,
		      const struct zcrx_event_desc *desc);
int zcrx_events_open(struct zcrx_ifq *ifq, struct io_ring_ctx *ctx,
		     const struct zcrx_event_desc *desc);
void zcrx_events_close(struct zcrx_ifq *ifq);
void zcrx_events_destroy(struct zcrx_ifq *ifq);

void zcrx_event_raise(struct zcrx_ifq *ifq, enum zcrx_event_type type);
int zcrx_event_arm(struct zcrx_ifq *ifq, u32 type);
void zcrx_stats_update(struct zcrx_ifq *ifq);

#endif /* IOU_ZCRX_EVENT_H */
