// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What the running kernel can do, asked without registering anything.
 */
#include <errno.h>
#include <liburing-zcrx.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "ring.h"
#include "syscall.h"

#define NR_OPS		(ZCRX_OP_RECV_ZC + 1)

/* No page of user space is here: the kernel can't read it. */
#define BAD_PTR		(UINT64_MAX - 4095)

/* A flag that no kernel has */
#define UNKNOWN_FLAG	(1U << 31)

static int has_opcode(int fd)
{
	struct io_uring_probe *probe;
	int ret;

	probe = calloc(1, sizeof(*probe) + NR_OPS * sizeof(probe->ops[0]));
	if (!probe)
		return -ENOMEM;
	ret = zcrx_sys_register(fd, IORING_REGISTER_PROBE, probe, NR_OPS);
	if (!ret)
		ret = probe->ops_len >= NR_OPS &&
		      probe->ops[ZCRX_OP_RECV_ZC].flags & IO_URING_OP_SUPPORTED;
	free(probe);

	return ret;
}

static int try_flags(int fd, __u32 flags)
{
	struct zcrx_abi_ifq_reg reg = {
		.rq_entries	= 1,
		.flags		= flags,
		.region_ptr	= BAD_PTR,
	};

	return zcrx_sys_register(fd, ZCRX_REGISTER_IFQ, &reg, 1);
}

/*
 * A kernel that knows the flag goes on to read the description of the region,
 * and fails there. One that does not refuses the flag, or the ring, which is
 * not made for 32-byte CQEs.
 */
static int has_rbuf(int fd)
{
	int ret = try_flags(fd, ZCRX_ABI_REG_RBUF);

	if (ret == -EPERM)
		return ret;

	return ret == -EFAULT &&
	       try_flags(fd, ZCRX_ABI_REG_RBUF | UNKNOWN_FLAG) == -EINVAL;
}

/**
 * zcrx_probe_ring() - zcrx_probe(), asked by a ring that is there
 * @fd: the ring's
 *
 * Return: the same.
 */
int zcrx_probe_ring(int fd)
{
	int ret = has_opcode(fd);

	if (ret <= 0)
		return ret;

	ret = has_rbuf(fd);
	if (ret < 0)
		return ret;

	return ret ? ZCRX_HAS_CQE32 | ZCRX_HAS_RBUF : ZCRX_HAS_CQE32;
}

/**
 * zcrx_probe() - has the running kernel zero-copy receive?
 *
 * Return: ZCRX_HAS_CQE32 and ZCRX_HAS_RBUF, as the case may be, 0 if it has
 * none; -EPERM: it has, but this process lacks CAP_NET_ADMIN, or may not use
 * io_uring; -ENOSYS: no io_uring; or another negative errno.
 */
int zcrx_probe(void)
{
	struct io_uring_params params = { .flags = 0 };
	int fd, ret;

	fd = zcrx_sys_setup(1, &params);
	if (fd < 0)
		return fd;
	ret = zcrx_probe_ring(fd);
	close(fd);

	return ret;
}
