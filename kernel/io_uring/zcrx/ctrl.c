// SPDX-License-Identifier: GPL-2.0
/* IORING_REGISTER_ZCRX_CTRL: operations on an ifq that a ring has */

#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/io_uring_types.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "area.h"
#include "export.h"
#include "ifq.h"
#include "member.h"
#include "provider.h"
#include "recv.h"
#include "zcrx.h"

#define is_zero(field)	(!memchr_inv(field, 0, sizeof(field)))

static int ctrl_flush(struct zcrx_ifq *ifq, const struct zcrx_ctrl *ctrl)
{
	if (!is_zero(ctrl->zc_flush.__resv))
		return -EINVAL;

	zcrx_refill_flush(ifq);
	return 0;
}

/* A request that finds no room again asks for another kick. */
static int ctrl_resume(struct io_ring_ctx *ctx, struct zcrx_ifq *ifq,
		       const struct zcrx_ctrl *ctrl)
{
	bool all;

	if (!is_zero(ctrl->zc_flush.__resv))
		return -EINVAL;

	zcrx_refill_flush(ifq);
	if (!(ifq->flags & ZCRX_REG_NODEV))
		zcrx_provider_resume(ifq, 0);
	if (!zcrx_ifq_has_rbuf(ifq))
		return 0;

	mutex_lock(&ifq->lock);
	zcrx_rbuf_clear_need_kick(&ifq->rbuf);
	all = zcrx_recv_wake(ctx, ifq);
	if (!all)
		zcrx_rbuf_set_need_kick(&ifq->rbuf);
	mutex_unlock(&ifq->lock);
	return all ? 0 : -EAGAIN;
}

static int ctrl_export(struct zcrx_ifq *ifq, const struct zcrx_ctrl *ctrl,
		       struct zcrx_ctrl __user *arg)
{
	if (ctrl->zc_export.zcrx_fd || !is_zero(ctrl->zc_export.__resv))
		return -EINVAL;

	return zcrx_export(ifq, &arg->zc_export);
}

static int ctrl_arm_event(struct zcrx_ifq *ifq, const struct zcrx_ctrl *ctrl)
{
	if (!is_zero(ctrl->zc_arm_event.__resv))
		return -EINVAL;

	return zcrx_event_arm(ifq, ctrl->zc_arm_event.event_type);
}

/* An area that is there can't be taken back: the user learns its id before. */
static int add_area(struct io_ring_ctx *ctx, struct zcrx_ifq *ifq,
		    struct io_uring_zcrx_area_reg __user *arg)
{
	u64 token = (u64)ifq->nr_areas << IORING_ZCRX_AREA_SHIFT;
	struct io_uring_zcrx_area_reg reg;
	int ret;

	if (copy_from_user(&reg, arg, sizeof(reg)) ||
	    put_user(token, &arg->rq_area_token))
		return -EFAULT;

	ret = zcrx_ifq_add_area(ifq, ctx, &reg);
	if (ret && put_user(reg.rq_area_token, &arg->rq_area_token))
		return -EFAULT;
	return ret;
}

/*
 * One at a time, for the sake of the id. The other's memory may take long to
 * read, as long as its owner likes: that is nothing to wait for.
 */
static int ctrl_add_area(struct io_ring_ctx *ctx,
			 const struct zcrx_member *member,
			 const struct zcrx_ctrl *ctrl)
{
	struct zcrx_ifq *ifq = member->ifq;
	int ret;

	if (!is_zero(ctrl->zc_add_area.__resv))
		return -EINVAL;
	/* It is for good, and the NIC writes to it: as registering. */
	if (!member->registered && !capable(CAP_NET_ADMIN))
		return -EPERM;
	if (test_and_set_bit_lock(0, &ifq->adding))
		return -EBUSY;

	ret = add_area(ctx, ifq, u64_to_user_ptr(ctrl->zc_add_area.area_ptr));
	clear_bit_unlock(0, &ifq->adding);
	return ret;
}

/**
 * io_zcrx_ctrl() - IORING_REGISTER_ZCRX_CTRL
 * @ctx: the ring, with uring_lock held
 * @arg: struct zcrx_ctrl of user space
 *
 * Return: 0; -ENXIO if there is no such ifq, -EOPNOTSUPP if there is no such
 * operation, -EINVAL for other wrong arguments, -EFAULT; or what the operation
 * returns.
 */
int io_zcrx_ctrl(struct io_ring_ctx *ctx, void __user *arg)
{
	struct zcrx_member *member;
	struct zcrx_ctrl ctrl;
	struct zcrx_ifq *ifq;

	if (copy_from_user(&ctrl, arg, sizeof(ctrl)))
		return -EFAULT;
	if (!is_zero(ctrl.__resv))
		return -EINVAL;
	member = zcrx_member_find(ctx, ctrl.zcrx_id);
	if (!member)
		return -ENXIO;
	ifq = member->ifq;

	switch (ctrl.op) {
	case ZCRX_CTRL_FLUSH_RQ:
		return ctrl_flush(ifq, &ctrl);
	case ZCRX_CTRL_EXPORT:
		return ctrl_export(ifq, &ctrl, arg);
	case ZCRX_CTRL_ARM_EVENT:
		return ctrl_arm_event(ifq, &ctrl);
	case ZCRX_CTRL_ADD_AREA:
		return ctrl_add_area(ctx, member, &ctrl);
	case ZCRX_CTRL_RESUME:
		return ctrl_resume(ctx, ifq, &ctrl);
	}
	return -EOPNOTSUPP;
}
