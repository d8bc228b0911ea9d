/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IOU_ZCRX_REGION_H
#define IOU_ZCRX_REGION_H

#include <linux/types.h>

struct io_ring_ctx;
struct io_uring_region_desc;
struct page;
struct user_struct;
struct vm_area_struct;

/**
 * struct zcrx_region - memory of a ring that is shared with user space
 * @ptr: where the kernel has it, contiguous; NULL if there is none
 * @pages: its pages
 * @nr_pages: how many
 * @pinned: the pages are the user's
 * @user: charged with them, NULL if nobody is
 *
 * Belongs to an ifq. User space may write to it at any time, whatever the
 * kernel thinks is there.
 */
struct zcrx_region {
	void			*ptr;
	struct page		**pages;
	unsigned short		nr_pages;
	bool			pinned;
	struct user_struct	*user;
};

int zcrx_region_create(struct zcrx_region *region, struct io_ring_ctx *ctx,
		       struct io_uring_region_desc *desc, size_t min_size,
		       u64 mmap_offset);
void zcrx_region_destroy(struct zcrx_region *region);
int zcrx_region_mmap(struct zcrx_region *region, struct io_ring_ctx *ctx,
		     struct vm_area_struct *vma);

#endif /* IOU_ZCRX_REGION_H */
