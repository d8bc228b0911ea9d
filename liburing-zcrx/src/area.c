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
#define HUGE_SIZE	((size_t)1 << HUGE_SHIFT)

static void *map(size_t size, int flags)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

/* The kernel uses its own huge pages where they fit, if it is asked to. */
static void *map_for_thp(size_t size)
{
	uint8_t *addr = map(size + HUGE_SIZE, 0), *start;

	if (addr == MAP_FAILED)
		return addr;
	start = addr + (-(uintptr_t)addr & (HUGE_SIZE - 1));
	if (start != addr)
		munmap(addr, start - addr);
	munmap(start + size, addr + HUGE_SIZE - start);
	madvise(start, size, MADV_HUGEPAGE);

	return start;
}

static void *map_area(size_t size, unsigned int flags)
{
	if (flags & ZCRX_AREA_HUGE)
		return map(size, MAP_HUGETLB | HUGE_SHIFT << MAP_HUGE_SHIFT);

	return flags & ZCRX_AREA_THP ? map_for_thp(size) : map(size, 0);
}

/**
 * zcrx_area_alloc() - allocate memory to receive into
 * @area: filled in
 * @size: in bytes, rounded up to whole pages
 * @flags: ZCRX_AREA_HUGE, ZCRX_AREA_THP or 0
 *
 * Return: 0; -EINVAL; -ENOMEM, with ZCRX_AREA_HUGE also for want of huge pages.
 */
int zcrx_area_alloc(struct zcrx_area *area, size_t size, unsigned int flags)
{
	size_t page_size = flags & ZCRX_AREA_HUGE ? HUGE_SIZE :
			   (size_t)sysconf(_SC_PAGESIZE);
	void *addr;

	if (!size || (flags && flags != ZCRX_AREA_HUGE &&
		      flags != ZCRX_AREA_THP))
		return -EINVAL;

	if (size > SIZE_MAX - 2 * HUGE_SIZE)
		return -ENOMEM;
	size = (size + page_size - 1) & ~(page_size - 1);

	addr = map_area(size, flags);
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
