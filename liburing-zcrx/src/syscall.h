/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The system calls that the library makes. The tests have others.
 */
#ifndef ZCRX_SYSCALL_H
#define ZCRX_SYSCALL_H

#include <stddef.h>
#include <stdint.h>

struct io_uring_params;

/* io_uring_register() opcodes that liburing 2.3 does not know */
#define ZCRX_REGISTER_IFQ	32
#define ZCRX_REGISTER_CTRL	36

int zcrx_sys_setup(unsigned int entries, struct io_uring_params *params);
int zcrx_sys_register(int fd, unsigned int opcode, void *arg,
		      unsigned int nr_args);
int zcrx_sys_map_ring(int fd, size_t size, uint64_t offset, void **mem);

#endif
