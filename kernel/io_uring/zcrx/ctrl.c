// SPDX-License-Identifier: GPL-2.0
/* IORING_REGISTER_ZCRX_CTRL: operations on a registered ifq */

#include <linux/io_uring.h>
#include <linux/io_uring_types.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "ifq.h"
#include "recv.h"
#include "zcrx.h"

static bool args_are_zero(const struct zcrx_ctrl *ctrl)
{
	return !memchr_inv(ctrl->args, 0, sizeof(ctrl->args));
}

static int ctrl_flush(struct zcrx_ifq *ifq, const struct zcrx_ctrl *ctrl)
{
	if (!args_are_zero(ctrl))
		return -EINVAL;

	zcrx_refill_flush(ifq);
	return 0;
}

/* A request that finds no room again asks for another kick. */
static int ctrl_resume(struct io_ring_ctx *ctx, struct zcrx_ifq *ifq,
		       const struct zcrx_ctrl *ctrl)
{
	if (!zcrx_ifq_has_rbuf(ifq) || !args_are_zero(ctrl))
		return -EINVAL;

	zcrx_refill_flush(ifq);
	zcrx_rbuf_clear_need_kick(&ifq->rbuf);
	zcrx_recv_wake(ctx, ifq);
	return 0;
}

/**
 * io_zcrx_ctrl() - IORING_REGISTER_ZCRX_CTRL
 * @ctx: the ring, with uring_lock held
 * @arg: struct zcrx_ctrl of user space
 *
 * Return: 0; -ENXIO if there is no such ifq, -EOPNOTSUPP if there is no such
 * operation, -EINVAL for other wrong arguments, -EFAULT.
 */
int io_zcrx_ctrl(struct io_ring_ctx *ctx, void __user *arg)
{
	struct zcrx_ctrl ctrl;
	struct zcrx_ifq *ifq;

	if (copy_from_user(&ctrl, arg, sizeof(ctrl)))
		return -EFAULT;
	if (memchr_inv(ctrl.__resv, 0, sizeof(ctrl.__resv)))
		return -EINVAL;
	ifq = zcrx_ifq_find(ctx, ctrl.zcrx_id);
	if (!ifq)
		return -ENXIO;

	switch (ctrl.op) {
	case ZCRX_CTRL_FLUSH_RQ:
		return ctrl_flush(ifq, &ctrl);
	case ZCRX_CTRL_RESUME:
		return ctrl_resume(ctx, ifq, &ctrl);
	}
	return -EOPNOTSUPP;
}
