// SPDX-License-Identifier: GPL-2.0
/*
 * Events: CQEs that tell of what happens to an ifq
 *
 * Whoever raises an event may be a driver's poll, and holds locks. Posting is
 * left to a work item, and from there to the ring's task if the ring is one
 * whose CQEs only its task may post. An event is disarmed when it is raised,
 * so one of a type is under way at most, whatever happens.
 */

#include <linux/io_uring.h>
#include <linux/io_uring_types.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../io_uring.h"
#include "event.h"
#include "ifq.h"
#include "refill.h"

/* What is brought to the ring's task */
struct zcrx_event_req {
	struct file	*file;
	struct zcrx_ifq	*ifq;
};

/* Nothing is posted once the ring is closed. */
static void post_pending(struct zcrx_events *events, struct io_ring_ctx *ctx,
			 void (*post)(struct io_ring_ctx *ctx, u64 user_data,
				      u32 type))
{
	unsigned long pending;
	unsigned int type;

	spin_lock_bh(&events->lock);
	pending = events->ctx ? events->pending : 0;
	events->pending = 0;
	spin_unlock_bh(&events->lock);

	for_each_set_bit(type, &pending, 32)
		post(ctx, events->user_data, type);
}

static void post_in_task(struct io_ring_ctx *ctx, u64 user_data, u32 type)
{
	io_add_aux_cqe(ctx, user_data, type, 0);
}

static void post_from_work(struct io_ring_ctx *ctx, u64 user_data, u32 type)
{
	io_post_aux_cqe(ctx, user_data, type, 0);
}

/* Has a reference of the ring, and one of the ifq */
static void event_task_work(struct io_kiocb *req, struct io_tw_state *ts)
{
	struct zcrx_event_req *er = io_kiocb_to_cmd(req, struct zcrx_event_req);
	struct io_ring_ctx *ctx = req->ctx;
	struct zcrx_ifq *ifq = er->ifq;
	struct zcrx_events *events = &ifq->events;

	/* What is raised from here on is the next request's. */
	spin_lock_bh(&events->lock);
	events->req_queued = false;
	spin_unlock_bh(&events->lock);

	post_pending(events, ctx, post_in_task);
	zcrx_ifq_put(ifq);
	percpu_ref_put(&ctx->refs);
}

/* What overflows is charged to whom the ring belongs, not to the kernel. */
static void post_charged(struct zcrx_events *events, struct io_ring_ctx *ctx)
{
	struct mem_cgroup *old = set_active_memcg(events->memcg);

	post_pending(events, ctx, post_from_work);
	set_active_memcg(old);
}

static void event_work(struct work_struct *work)
{
	struct zcrx_ifq *ifq = container_of(work, struct zcrx_ifq, events.work);
	struct zcrx_events *events = &ifq->events;
	struct io_ring_ctx *ctx;
	bool queue = false;

	/* zcrx_events_close() waits for us before the ring goes. */
	spin_lock_bh(&events->lock);
	ctx = events->ctx;
	if (ctx && events->req && !events->req_queued &&
	    percpu_ref_tryget(&ctx->refs)) {
		refcount_inc(&ifq->refs);
		events->req_queued = true;
		queue = true;
	}
	spin_unlock_bh(&events->lock);

	if (queue)
		io_req_task_work_add_remote(events->req, ctx, 0);
	else if (ctx && !events->req)
		post_charged(events, ctx);
}

/**
 * zcrx_events_init() - no events yet
 * @ifq: new
 */
void zcrx_events_init(struct zcrx_ifq *ifq)
{
	spin_lock_init(&ifq->events.lock);
	INIT_WORK(&ifq->events.work, event_work);
}

/**
 * zcrx_events_check() - are these events that there are?
 * @ctx: the ring that wants them
 * @desc: from user space
 *
 * Return: 0, or -EINVAL; -EBADFD for a ring that is not enabled yet, and has
 * nobody to be told.
 */
int zcrx_events_check(struct io_ring_ctx *ctx, const struct zcrx_event_desc *desc)
{
	if (desc->type_mask & ~ZCRX_EVENT_TYPES ||
	    desc->flags & ~ZCRX_EVENT_DESC_FLAG_STATS ||
	    memchr_inv(desc->__resv, 0, sizeof(desc->__resv)))
		return -EINVAL;
	if (desc->flags & ZCRX_EVENT_DESC_FLAG_STATS) {
		if (!IS_ALIGNED(desc->stats_offset,
				__alignof__(struct zcrx_stats)))
			return -EINVAL;
	} else if (desc->stats_offset) {
		return -EINVAL;
	}
	if (ctx->flags & IORING_SETUP_R_DISABLED)
		return -EBADFD;
	return 0;
}

static int open_stats(struct zcrx_ifq *ifq, const struct zcrx_event_desc *desc)
{
	const struct zcrx_region *region = &ifq->refill_region;
	size_t min = zcrx_refill_size(ifq->refill.mask + 1);
	size_t size = (size_t)region->nr_pages << PAGE_SHIFT;

	if (!(desc->flags & ZCRX_EVENT_DESC_FLAG_STATS))
		return 0;
	if (desc->stats_offset < min ||
	    desc->stats_offset > size - sizeof(*ifq->events.stats))
		return -EINVAL;

	ifq->events.stats = region->ptr + desc->stats_offset;
	zcrx_stats_update(ifq);
	return 0;
}

/**
 * zcrx_events_open() - begin to tell
 * @ifq: has its refill ring, and is not bound yet
 * @ctx: the ring to be told
 * @desc: checked
 *
 * Return: 0, -EINVAL if the statistics have no place there, -ENOMEM.
 */
int zcrx_events_open(struct zcrx_ifq *ifq, struct io_ring_ctx *ctx,
		     const struct zcrx_event_desc *desc)
{
	struct zcrx_events *events = &ifq->events;
	struct zcrx_event_req *er;
	struct io_kiocb *req;
	int ret;

	ret = open_stats(ifq, desc);
	if (ret)
		return ret;

	if (ctx->task_complete) {
		req = kmem_cache_alloc(req_cachep,
				       GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!req)
			return -ENOMEM;
		req->ctx = ctx;
		req->task = ctx->submitter_task;
		req->opcode = IORING_OP_NOP;
		req->io_task_work.func = event_task_work;
		er = io_kiocb_to_cmd(req, struct zcrx_event_req);
		er->ifq = ifq;
		events->req = req;
	}
	events->memcg = get_mem_cgroup_from_mm(current->mm);

	spin_lock_bh(&events->lock);
	events->ctx = ctx;
	events->user_data = desc->user_data;
	events->wanted = desc->type_mask;
	events->armed = desc->type_mask;
	spin_unlock_bh(&events->lock);
	return 0;
}

/**
 * zcrx_events_close() - stop telling the ring, which goes away
 * @ifq: zcrx_events_open() was successful
 */
void zcrx_events_close(struct zcrx_ifq *ifq)
{
	struct zcrx_events *events = &ifq->events;

	spin_lock_bh(&events->lock);
	events->ctx = NULL;
	events->armed = 0;
	spin_unlock_bh(&events->lock);

	cancel_work_sync(&events->work);
}

/**
 * zcrx_events_destroy() - free what zcrx_events_open() allocated
 * @ifq: goes; nobody has a reference, so its request is not under way
 */
void zcrx_events_destroy(struct zcrx_ifq *ifq)
{
	/* Adding task work looks at requests that have been run. */
	if (ifq->events.req)
		kfree_rcu(ifq->events.req, rcu_head);
	mem_cgroup_put(ifq->events.memcg);
}

/**
 * zcrx_event_raise() - something has happened
 * @ifq: to whom
 * @type: what
 *
 * In any context but hard interrupts.
 */
void zcrx_event_raise(struct zcrx_ifq *ifq, enum zcrx_event_type type)
{
	struct zcrx_events *events = &ifq->events;

	if (likely(!(READ_ONCE(events->armed) & BIT(type))))
		return;

	spin_lock_bh(&events->lock);
	if (events->armed & BIT(type)) {
		events->armed &= ~BIT(type);
		events->pending |= BIT(type);
		queue_work(system_wq, &events->work);
	}
	spin_unlock_bh(&events->lock);
}

/**
 * zcrx_event_arm() - tell the next event of a type
 * @ifq: any
 * @type: from user space
 *
 * Return: 0, or -EINVAL if there is no such event, or none was told since the
 * type was armed.
 */
int zcrx_event_arm(struct zcrx_ifq *ifq, u32 type)
{
	struct zcrx_events *events = &ifq->events;
	int ret = -EINVAL;

	if (type >= 32)
		return -EINVAL;

	spin_lock_bh(&events->lock);
	if (events->ctx && (events->wanted & BIT(type)) &&
	    !((events->armed | events->pending) & BIT(type))) {
		events->armed |= BIT(type);
		ret = 0;
	}
	spin_unlock_bh(&events->lock);
	return ret;
}

/**
 * zcrx_stats_update() - show the user what was copied
 * @ifq: under its lock, or new
 *
 * The user may write there, too: nothing of it is read back.
 */
void zcrx_stats_update(struct zcrx_ifq *ifq)
{
	const struct zcrx_counters *counters = &ifq->counters;
	struct zcrx_stats *stats = ifq->events.stats;
	u64 bytes = 0;
	int i;

	if (!stats)
		return;
	for (i = 0; i < IORING_ZCRX_COPY_NR; i++)
		bytes += counters->copied_bytes[i];
	WRITE_ONCE(stats->copy_count, counters->copies);
	WRITE_ONCE(stats->copy_bytes, bytes);
}
