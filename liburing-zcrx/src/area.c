// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Memory to receive into.
 */
#include <errno.h>
#include <liburing-zcrx.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_SHIFT	21

/**
 * zcrx_area_alloc() - allocate memory to receive into
 * @area: filled in
 * @size: in bytes, rounded up to whole pages
 * @flags: ZCRX_AREA_HUGE or 0
 *
 * Return: 0; -EINVAL; -ENOMEM, also for want of huge pages.
 */
int zcrx_area_alloc(struct zcrx_area *area, size_t size, unsigned int flags)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	int map_flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *addr;

	if (!size || flags & ~ZCRX_AREA_HUGE)
		return -EINVAL;

	if (flags & ZCRX_AREA_HUGE) {
		page_size = (size_t)1 << HUGE_SHIFT;
		map_flags |= MAP_HUGETLB | HUGE_SHIFT << MAP_HUGE_SHIFT;
	}
	if (size > SIZE_MAX - page_size)
		return -ENOMEM;
	size = (size + page_size - 1) & ~(page_size - 1);

	addr = mmap(NULL, size, PROT_READ | PROT_WRITE, map_flags, -1, 0);
	if (addr == MAP_FAILED)
		return -errno;
	area->addr = addr;
	area->size = size;

	return 0;
}

/**
 * zcrx_area_free() - free what zcrx_area_alloc() allocated
 * @area: the area
 *
 * A kernel that still receives into it has its own reference on the memory.
 */
void zcrx_area_free(struct zcrx_area *area)
{
	munmap(area->addr, area->size);
	area->addr = NULL;
	area->size = 0;
}
