// SPDX-License-Identifier: GPL-2.0
/*
 * Rings and their ifqs
 *
 * What a ring has of an ifq goes in two steps:
 *
 *  io_zcrx_close()	the ring's last file is closed: it receives nothing any
 *			more. If nobody else has the ifq, all that users held is
 *			taken back, and the queue is the NIC's again before
 *			close() returns.
 *  io_zcrx_free()	the ring's requests are gone, and the last pointer from
 *			them to the ifq.
 */

#include <linux/io_uring.h>
#include <linux/io_uring_types.h>
#include <linux/slab.h>

#include "event.h"
#include "ifq.h"
#include "member.h"
#include "zcrx.h"

#define ZCRX_MAX_IFQS		1024

/**
 * zcrx_member_create() - let a ring use an ifq
 * @ctx: the ring, with uring_lock held
 * @ifq: the caller is a user of it, and has a reference; both are the member's
 *	if it is created
 *
 * The ring finds the ifq after zcrx_member_publish().
 *
 * Return: the member, -ENOMEM, or -EBUSY if the ring has too many.
 */
struct zcrx_member *zcrx_member_create(struct io_ring_ctx *ctx,
				       struct zcrx_ifq *ifq)
{
	struct zcrx_member *member;
	int ret;

	member = kzalloc(sizeof(*member), GFP_KERNEL_ACCOUNT);
	if (!member)
		return ERR_PTR(-ENOMEM);

	ret = xa_alloc(&ctx->zcrx_members, &member->id, NULL,
		       XA_LIMIT(0, ZCRX_MAX_IFQS - 1), GFP_KERNEL_ACCOUNT);
	if (ret) {
		kfree(member);
		return ERR_PTR(ret);
	}
	INIT_LIST_HEAD(&member->node);
	member->ctx = ctx;
	member->ifq = ifq;
	return member;
}

/**
 * zcrx_member_publish() - requests of the ring can use the ifq from now on
 * @member: new; its ring's uring_lock is held
 */
void zcrx_member_publish(struct zcrx_member *member)
{
	struct zcrx_ifq *ifq = member->ifq;

	mutex_lock(&ifq->lock);
	list_add_tail(&member->node, &ifq->members);
	mutex_unlock(&ifq->lock);

	/* Does not allocate, the entry is reserved. */
	xa_store(&member->ctx->zcrx_members, member->id, member,
		 GFP_KERNEL_ACCOUNT);
}

/**
 * zcrx_member_close() - the ring receives nothing any more
 * @member: published or not
 */
void zcrx_member_close(struct zcrx_member *member)
{
	struct zcrx_ifq *ifq = member->ifq;

	if (member->told)
		zcrx_events_close(ifq);
	mutex_lock(&ifq->lock);
	list_del_init(&member->node);
	mutex_unlock(&ifq->lock);
	zcrx_ifq_put_user(ifq);
}

/**
 * zcrx_member_destroy() - the ring does not know the ifq any more
 * @member: closed, and no request of the ring uses the ifq
 */
void zcrx_member_destroy(struct zcrx_member *member)
{
	xa_erase(&member->ctx->zcrx_members, member->id);
	zcrx_ifq_put(member->ifq);
	kfree(member);
}

/**
 * zcrx_member_find() - what a ring has by a number
 * @ctx: the ring
 * @id: from user space
 *
 * Return: the member, which lives as long as the ring; or NULL.
 */
struct zcrx_member *zcrx_member_find(struct io_ring_ctx *ctx, u32 id)
{
	return xa_load(&ctx->zcrx_members, id);
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
	struct zcrx_member *member = zcrx_member_find(ctx, id);

	return member ? member->ifq : NULL;
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

/**
 * io_zcrx_close() - the last file of a ring is closed
 * @ctx: the ring, without uring_lock; requests may still be there
 */
void io_zcrx_close(struct io_ring_ctx *ctx)
{
	struct zcrx_member *member;
	unsigned long id;

	xa_for_each(&ctx->zcrx_members, id, member)
		zcrx_member_close(member);
}

/**
 * io_zcrx_free() - a ring goes, its requests are gone
 * @ctx: the ring, after io_zcrx_close()
 */
void io_zcrx_free(struct io_ring_ctx *ctx)
{
	struct zcrx_member *member;
	unsigned long id;

	xa_for_each(&ctx->zcrx_members, id, member)
		zcrx_member_destroy(member);
	xa_destroy(&ctx->zcrx_members);
}
