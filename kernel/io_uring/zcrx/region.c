// SPDX-License-Identifier: GPL-2.0
/* Memory of the rings: the user's, or allocated here and mapped by the user */

#include <linux/io_uring.h>
#include <linux/io_uring_types.h>
#include <linux/mm.h>
#include <linux/sched/user.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "../io_uring.h"
#include "../memmap.h"
#include "../rsrc.h"
#include "region.h"

/* struct zcrx_region counts pages in 16 bits, as io_pages_map() does. */
#define ZCRX_REGION_MAX_SIZE	((size_t)USHRT_MAX << PAGE_SHIFT)

static int region_check(const struct io_uring_region_desc *desc, size_t min_size)
{
	if (desc->flags & ~IORING_MEM_REGION_TYPE_USER)
		return -EINVAL;
	if (desc->id || desc->mmap_offset ||
	    memchr_inv(desc->__resv, 0, sizeof(desc->__resv)))
		return -EINVAL;
	if (!desc->size || !PAGE_ALIGNED(desc->size) ||
	    desc->size > ZCRX_REGION_MAX_SIZE || desc->size < min_size)
		return -EINVAL;
	if (!(desc->flags & IORING_MEM_REGION_TYPE_USER))
		return desc->user_addr ? -EINVAL : 0;
	if (!desc->user_addr)
		return -EFAULT;
	if (!PAGE_ALIGNED(desc->user_addr))
		return -EINVAL;
	if (!access_ok(u64_to_user_ptr(desc->user_addr), desc->size))
		return -EFAULT;
	return 0;
}

static void region_uncharge(struct zcrx_region *region, unsigned long nr_pages)
{
	if (!region->user)
		return;
	__io_unaccount_mem(region->user, nr_pages);
	free_uid(region->user);
	region->user = NULL;
}

static int region_charge(struct zcrx_region *region, struct io_ring_ctx *ctx,
			 unsigned long nr_pages)
{
	int ret;

	if (!ctx->user)
		return 0;
	ret = __io_account_mem(ctx->user, nr_pages);
	if (!ret)
		region->user = get_uid(ctx->user);
	return ret;
}

static void *region_map(struct zcrx_region *region,
			struct io_uring_region_desc *desc, u64 mmap_offset)
{
	void *ptr;

	if (desc->flags & IORING_MEM_REGION_TYPE_USER) {
		region->pinned = true;
		return __io_uaddr_map(&region->pages, &region->nr_pages,
				      desc->user_addr, desc->size);
	}

	ptr = io_pages_map(&region->pages, &region->nr_pages, desc->size);
	if (!IS_ERR(ptr))
		desc->mmap_offset = mmap_offset;
	return ptr;
}

/**
 * zcrx_region_create() - get the memory that a descriptor asks for
 * @region: zeroed, filled on success
 * @ctx: the ring, with uring_lock held, whose user is charged
 * @desc: from user space
 * @min_size: what the caller will put there, in bytes
 * @mmap_offset: for @desc, where the user will find memory allocated here
 *
 * Return: 0, -EINVAL for a wrong descriptor or too little memory, -EFAULT if
 * the user's memory is not mapped writable, -ENOMEM.
 */
int zcrx_region_create(struct zcrx_region *region, struct io_ring_ctx *ctx,
		       struct io_uring_region_desc *desc, size_t min_size,
		       u64 mmap_offset)
{
	unsigned long nr_pages = desc->size >> PAGE_SHIFT;
	void *ptr;
	int ret;

	ret = region_check(desc, min_size) ?:
	      region_charge(region, ctx, nr_pages);
	if (ret)
		return ret;

	ptr = region_map(region, desc, mmap_offset);
	if (IS_ERR(ptr)) {
		region_uncharge(region, nr_pages);
		return PTR_ERR(ptr);
	}
	region->ptr = ptr;
	return 0;
}

/**
 * zcrx_region_destroy() - give a region's memory back
 * @region: may be without memory
 */
void zcrx_region_destroy(struct zcrx_region *region)
{
	unsigned int nr_pages = region->nr_pages;

	if (!region->ptr)
		return;

	if (region->pinned) {
		vunmap(region->ptr);
		io_pages_free(&region->pages, nr_pages);
	} else {
		io_pages_unmap(region->ptr, &region->pages, &region->nr_pages,
			       true);
	}
	region_uncharge(region, nr_pages);
	memset(region, 0, sizeof(*region));
}

/**
 * zcrx_region_mmap() - map a region that was allocated here to user space
 * @region: any region
 * @ctx: a ring that has its ifq
 * @vma: where to, not longer than the region
 *
 * Return: 0, -EINVAL if the region is the user's or too short, -ENOMEM.
 */
int zcrx_region_mmap(struct zcrx_region *region, struct io_ring_ctx *ctx,
		     struct vm_area_struct *vma)
{
	unsigned long nr_pages = vma_pages(vma);

	if (region->pinned || !region->ptr || nr_pages > region->nr_pages)
		return -EINVAL;

	return io_uring_mmap_pages(ctx, vma, region->pages, nr_pages);
}
