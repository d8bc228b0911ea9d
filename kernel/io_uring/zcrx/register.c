// SPDX-License-Identifier: GPL-2.0
/* IORING_REGISTER_ZCRX_IFQ: a new ifq, or one that was exported */

#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/io_uring_types.h>
#include <linux/log2.h>
#include <linux/pagemap.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "area.h"
#include "export.h"
#include "ifq.h"
#include "member.h"
#include "zcrx.h"

#define ZCRX_MAX_ENTRIES	32768

/* What has flags from this bit up has an io_uring_zcrx_ext_reg. */
#define ZCRX_EXT_FLAGS		GENMASK(31, 16)

/**
 * struct zcrx_registration - the arguments of a registration, copied once
 * @reg: the main one
 * @ext: zero if there is none
 * @region: of the refill ring
 * @rbuf_region: zero if there is none
 * @event_desc: zero if there is none
 * @nr_areas: at @reg.area_ptr
 */
struct zcrx_registration {
	struct io_uring_zcrx_ifq_reg	reg;
	struct io_uring_zcrx_ext_reg	ext;
	struct io_uring_region_desc	region;
	struct io_uring_region_desc	rbuf_region;
	struct zcrx_event_desc		event_desc;
	u32				nr_areas;
};

/* Can requests of the ring receive through an ifq with these flags? */
static bool ring_fits(const struct io_ring_ctx *ctx, u32 flags)
{
	/* Such a ring issues no requests for sockets. */
	if (ctx->flags & IORING_SETUP_IOPOLL)
		return false;
	if (flags & ZCRX_REG_RBUF)
		return true;
	return (ctx->flags & IORING_SETUP_DEFER_TASKRUN) &&
	       (ctx->flags & IORING_SETUP_CQE32);
}

static int check_reg(struct io_ring_ctx *ctx,
		     const struct io_uring_zcrx_ifq_reg *reg)
{
	if (reg->flags & ~ZCRX_REG_FLAGS || !ring_fits(ctx, reg->flags))
		return -EINVAL;
	if (reg->zcrx_id || reg->__resv)
		return -EINVAL;
	if (!(reg->flags & ZCRX_EXT_FLAGS) && reg->ext_ptr)
		return -EINVAL;
	return 0;
}

static int check_new(const struct io_uring_zcrx_ifq_reg *reg)
{
	if (reg->rx_buf_len && (reg->rx_buf_len < PAGE_SIZE ||
				!is_power_of_2(reg->rx_buf_len)))
		return -EINVAL;
	if (!(reg->flags & ZCRX_REG_NODEV))
		return 0;
	if (reg->if_idx || reg->if_rxq)
		return -EINVAL;
	if (reg->rx_buf_len && reg->rx_buf_len != PAGE_SIZE)
		return -EOPNOTSUPP;
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

static int read_ext(struct zcrx_registration *r)
{
	if (!(r->reg.flags & ZCRX_EXT_FLAGS))
		return 0;
	if (copy_from_user(&r->ext, u64_to_user_ptr(r->reg.ext_ptr),
			   sizeof(r->ext)))
		return -EFAULT;
	return check_ext(&r->ext, r->reg.flags);
}

static int read_rbuf(struct zcrx_registration *r, struct io_ring_ctx *ctx)
{
	if (!(r->reg.flags & ZCRX_REG_RBUF))
		return 0;
	if (copy_from_user(&r->rbuf_region,
			   u64_to_user_ptr(r->ext.rbuf_region_ptr),
			   sizeof(r->rbuf_region)))
		return -EFAULT;
	return round_entries(ctx, &r->ext.rbuf_entries);
}

static int read_event_desc(struct zcrx_registration *r, struct io_ring_ctx *ctx)
{
	if (!r->reg.event_desc)
		return 0;
	if (copy_from_user(&r->event_desc, u64_to_user_ptr(r->reg.event_desc),
			   sizeof(r->event_desc)))
		return -EFAULT;
	return zcrx_events_check(ctx, &r->event_desc);
}

/* All but the areas, of which there may be many */
static int read_registration(struct zcrx_registration *r,
			     struct io_ring_ctx *ctx)
{
	int ret;

	ret = check_new(&r->reg) ?: round_entries(ctx, &r->reg.rq_entries);
	if (ret)
		return ret;
	if (copy_from_user(&r->region, u64_to_user_ptr(r->reg.region_ptr),
			   sizeof(r->region)))
		return -EFAULT;

	ret = read_ext(r) ?: read_rbuf(r, ctx) ?: read_event_desc(r, ctx);
	r->nr_areas = r->ext.nr_areas ?: 1;
	return ret;
}

static bool is_writable(void __user *ptr, size_t size)
{
	return !fault_in_safe_writeable(ptr, size);
}

/*
 * What came of it is written in the end, when the NIC's queue has been restarted.
 * Where that can't be written is refused before; nothing has been changed then.
 */
static int check_writable(const struct zcrx_registration *r, void __user *arg)
{
	const struct io_uring_zcrx_ifq_reg *reg = &r->reg;

	if (!is_writable(arg, sizeof(*reg)) ||
	    !is_writable(u64_to_user_ptr(reg->region_ptr), sizeof(r->region)) ||
	    !is_writable(u64_to_user_ptr(reg->area_ptr),
			 r->nr_areas * sizeof(struct io_uring_zcrx_area_reg)))
		return -EFAULT;
	if ((reg->flags & ZCRX_EXT_FLAGS) &&
	    !is_writable(u64_to_user_ptr(reg->ext_ptr), sizeof(r->ext)))
		return -EFAULT;
	if ((reg->flags & ZCRX_REG_RBUF) &&
	    !is_writable(u64_to_user_ptr(r->ext.rbuf_region_ptr),
			 sizeof(r->rbuf_region)))
		return -EFAULT;
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

static int write_reg_and_ext(const struct zcrx_registration *r, void __user *arg)
{
	if (copy_to_user(arg, &r->reg, sizeof(r->reg)))
		return -EFAULT;
	if ((r->reg.flags & ZCRX_EXT_FLAGS) &&
	    copy_to_user(u64_to_user_ptr(r->reg.ext_ptr), &r->ext,
			 sizeof(r->ext)))
		return -EFAULT;
	return 0;
}

static int write_registration(const struct zcrx_registration *r,
			      void __user *arg)
{
	if (copy_to_user(u64_to_user_ptr(r->reg.region_ptr), &r->region,
			 sizeof(r->region)))
		return -EFAULT;
	if ((r->reg.flags & ZCRX_REG_RBUF) &&
	    copy_to_user(u64_to_user_ptr(r->ext.rbuf_region_ptr),
			 &r->rbuf_region, sizeof(r->rbuf_region)))
		return -EFAULT;
	return write_reg_and_ext(r, arg) ?: write_tokens(r);
}

static int add_areas(struct zcrx_ifq *ifq, struct io_ring_ctx *ctx,
		     const struct zcrx_registration *r)
{
	struct io_uring_zcrx_area_reg __user *user_areas;
	struct io_uring_zcrx_area_reg area_reg;
	int ret;
	u32 i;

	user_areas = u64_to_user_ptr(r->reg.area_ptr);
	for (i = 0; i < r->nr_areas; i++) {
		if (copy_from_user(&area_reg, &user_areas[i], sizeof(area_reg)))
			return -EFAULT;
		ret = zcrx_ifq_add_area(ifq, ctx, &area_reg);
		if (ret)
			return ret;
	}
	return 0;
}

static int create_rings(struct zcrx_ifq *ifq, struct io_ring_ctx *ctx,
			struct zcrx_registration *r, u32 id)
{
	u64 mmap_id = (u64)id << IORING_OFF_ZCRX_SHIFT;
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

/* On failure, what was done goes with the ifq. */
static int furnish(struct zcrx_member *member, struct io_ring_ctx *ctx,
		   struct zcrx_registration *r)
{
	struct zcrx_ifq *ifq = member->ifq;
	const struct io_uring_zcrx_ifq_reg *reg = &r->reg;
	int ret = 0;

	if (!(reg->flags & ZCRX_REG_NODEV))
		ret = zcrx_check_queue(reg->if_idx, reg->if_rxq);
	if (!ret)
		ret = add_areas(ifq, ctx, r) ?:
		      create_rings(ifq, ctx, r, member->id);
	if (!ret && reg->event_desc) {
		ret = zcrx_events_open(ifq, ctx, &r->event_desc);
		member->told = !ret;
	}
	if (!ret && !(reg->flags & ZCRX_REG_NODEV))
		ret = zcrx_ifq_bind(ifq, reg->if_idx, reg->if_rxq);
	return ret;
}

static int register_new(struct zcrx_registration *r, struct io_ring_ctx *ctx,
			void __user *arg)
{
	struct zcrx_member *member;
	struct zcrx_ifq *ifq;
	int ret;

	ret = read_registration(r, ctx) ?: check_writable(r, arg);
	if (ret)
		return ret;

	ifq = zcrx_ifq_alloc(r->reg.flags, r->reg.rx_buf_len ?: PAGE_SIZE);
	if (!ifq)
		return -ENOMEM;
	member = zcrx_member_create(ctx, ifq);
	if (IS_ERR(member)) {
		zcrx_ifq_put_user(ifq);
		zcrx_ifq_put(ifq);
		return PTR_ERR(member);
	}

	member->registered = true;
	ret = furnish(member, ctx, r);
	if (!ret) {
		r->reg.zcrx_id = member->id;
		r->reg.rx_buf_len = 1U << ifq->chunk_shift;
		ret = write_registration(r, arg);
	}
	if (ret) {
		zcrx_member_close(member);
		zcrx_member_destroy(member);
		return ret;
	}
	zcrx_member_publish(member);
	return 0;
}

/* Whoever has the file may use the ifq: no privilege is needed. */
static int check_import(const struct io_uring_zcrx_ifq_reg *reg,
			const struct io_uring_zcrx_ext_reg *ext)
{
	if (reg->flags & ~(ZCRX_REG_IMPORT | ZCRX_REG_RBUF))
		return -EINVAL;
	if (reg->if_rxq || reg->rq_entries || reg->area_ptr ||
	    reg->region_ptr || reg->rx_buf_len || reg->event_desc ||
	    memchr_inv(&reg->offsets, 0, sizeof(reg->offsets)))
		return -EINVAL;
	if (ext->nr_areas || ext->rbuf_entries || ext->rbuf_region_ptr)
		return -EINVAL;
	return 0;
}

static void describe(struct zcrx_registration *r, const struct zcrx_ifq *ifq)
{
	struct io_uring_zcrx_ifq_reg *reg = &r->reg;

	zcrx_refill_offsets(&reg->offsets);
	reg->rq_entries = ifq->refill.mask + 1;
	reg->rx_buf_len = 1U << ifq->chunk_shift;
	if (!zcrx_ifq_has_rbuf(ifq))
		return;
	zcrx_rbuf_offsets(&r->ext.rbuf_offsets);
	r->ext.rbuf_entries = ifq->rbuf.mask + 1;
	r->ext.nr_areas = zcrx_ifq_nr_areas(ifq);
}

static int import(struct zcrx_registration *r, struct io_ring_ctx *ctx,
		  void __user *arg)
{
	struct zcrx_member *member;
	struct zcrx_ifq *ifq;
	int ret;

	ret = read_ext(r) ?: check_import(&r->reg, &r->ext);
	if (ret)
		return ret;
	ifq = zcrx_import(r->reg.if_idx);
	if (IS_ERR(ifq))
		return PTR_ERR(ifq);

	/* Completions come the way that the ifq was made for. */
	ret = -EINVAL;
	if ((r->reg.flags ^ ifq->flags) & ZCRX_REG_RBUF)
		goto err_put;
	member = zcrx_member_create(ctx, ifq);
	ret = PTR_ERR_OR_ZERO(member);
	if (ret)
		goto err_put;

	describe(r, ifq);
	r->reg.zcrx_id = member->id;
	ret = write_reg_and_ext(r, arg);
	if (ret) {
		zcrx_member_close(member);
		zcrx_member_destroy(member);
		return ret;
	}
	zcrx_member_publish(member);
	return 0;

err_put:
	zcrx_ifq_put_user(ifq);
	zcrx_ifq_put(ifq);
	return ret;
}

/**
 * io_register_zcrx_ifq() - IORING_REGISTER_ZCRX_IFQ
 * @ctx: the ring, with uring_lock held
 * @arg: struct io_uring_zcrx_ifq_reg of user space
 *
 * Return: 0 or an error of the interface's description; then nothing stays, but
 * for areas that a page pool still has since the queue could not be restarted
 * without them: they stay until the queue or the device is stopped.
 */
int io_register_zcrx_ifq(struct io_ring_ctx *ctx, void __user *arg)
{
	struct zcrx_registration r = {};
	int ret;

	if (copy_from_user(&r.reg, arg, sizeof(r.reg)))
		return -EFAULT;
	if (!(r.reg.flags & ZCRX_REG_IMPORT) && !capable(CAP_NET_ADMIN))
		return -EPERM;
	ret = check_reg(ctx, &r.reg);
	if (ret)
		return ret;
	if (r.reg.flags & ZCRX_REG_IMPORT)
		return import(&r, ctx, arg);
	return register_new(&r, ctx, arg);
}
