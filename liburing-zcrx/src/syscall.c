// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "syscall.h"

/* They return a negative errno, as liburing does. */

int zcrx_sys_setup(unsigned int entries, struct io_uring_params *params)
{
	int ret = (int)syscall(__NR_io_uring_setup, entries, params);

	return ret < 0 ? -errno : ret;
}

int zcrx_sys_register(int fd, unsigned int opcode, void *arg,
		      unsigned int nr_args)
{
	int ret = (int)syscall(__NR_io_uring_register, fd, opcode, arg,
			       nr_args);

	return ret < 0 ? -errno : ret;
}

int zcrx_sys_map_ring(int fd, size_t size, uint64_t offset, void **mem)
{
	*mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, fd, (off_t)offset);

	return *mem == MAP_FAILED ? -errno : 0;
}
