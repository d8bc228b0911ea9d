// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Preloaded to storage: files with blocks of 512 bytes, on a device that takes
 * addresses aligned to 4, as NVMe does. tmpfs does not mind how it is written to.
 */
#define _GNU_SOURCE
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int statx(int dir, const char *path, int flags, unsigned int mask,
	  struct statx *stx)
{
	int ret = (int)syscall(SYS_statx, dir, path, flags, mask, stx);

	stx->stx_mask |= STATX_DIOALIGN;
	stx->stx_dio_offset_align = 512;
	stx->stx_dio_mem_align = 4;

	return ret;
}
