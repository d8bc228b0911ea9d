// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What the running kernel can do, and lets this user do */
#include <errno.h>
#include <liburing-zcrx.h>
#include <linux/capability.h>
#include <linux/io_uring/query.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "checks.h"

#define REGISTER_QUERY	35

/* An area that descriptors and sockets leave something of */
#define LOCKED_MIB	16

static bool has_capability(unsigned int capability)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return false;

	return data[capability / 32].effective & (1U << capability % 32);
}

static int try_io_uring(void)
{
	struct io_uring ring;
	int ret = io_uring_queue_init(1, &ring, 0);

	if (!ret)
		io_uring_queue_exit(&ring);

	return ret;
}

/* Does not need any privilege; kernels before 6.18 don't know it. */
static int query_zcrx(struct io_uring_query_zcrx *zcrx)
{
	struct io_uring_query_hdr hdr = {
		.query_data	= (uintptr_t)zcrx,
		.query_op	= IO_URING_QUERY_ZCRX,
		.size		= sizeof(*zcrx),
	};

	if (syscall(SYS_io_uring_register, -1, REGISTER_QUERY, &hdr, 0) < 0)
		return -errno;

	return hdr.result;
}

static void find_zcrx(struct kernel_can *can, int probed)
{
	struct io_uring_query_zcrx zcrx = { .register_flags = 0 };

	if (!query_zcrx(&zcrx)) {
		can->zcrx = true;
		can->rbuf = zcrx.register_flags & ZCRX_ABI_REG_RBUF;
		return;
	}
	can->zcrx = probed > 0 || probed == -EPERM;
	can->rbuf = probed > 0 && probed & ZCRX_HAS_RBUF;
}

static void check_io_uring(struct checks *checks, int error)
{
	const char *name = "io-uring";

	switch (error) {
	case 0:
		check(checks, name, CHECK_OK, "io_uring can be used");
		break;
	case -ENOSYS:
		check(checks, name, CHECK_MISSING, "the kernel has no io_uring");
		check_mend(checks, "boot a kernel with CONFIG_IO_URING=y");
		break;
	case -EPERM:
		check(checks, name, CHECK_MISSING,
		      "io_uring is forbidden, by kernel.io_uring_disabled or by the container");
		check_mend(checks, "sysctl -w kernel.io_uring_disabled=0; in a container, allow io_uring_setup in its seccomp profile");
		break;
	default:
		check(checks, name, CHECK_MISSING,
		      "an io_uring cannot be made: %s", strerror(-error));
		check_mend(checks, "raise ulimit -n, or ulimit -l on an old kernel");
	}
}

/* @error: of making an io_uring, without which only newer kernels tell it */
static void check_zcrx(struct checks *checks, const struct kernel_can *can,
		       int error)
{
	const char *name = "zcrx";
	struct utsname uts;

	uname(&uts);
	if (!can->zcrx && error && error != -ENOSYS) {
		check(checks, name, CHECK_UNKNOWN,
		      "Linux %.64s tells whether it has zero-copy receive only where an io_uring can be made",
		      uts.release);
	} else if (!can->zcrx) {
		check(checks, name, CHECK_MISSING,
		      "Linux %.64s has no zero-copy receive", uts.release);
		check_mend(checks, "boot Linux 6.12 with the patches of liburing-zcrx, or 6.15 and later, with CONFIG_IO_URING_ZCRX=y");
	} else if (can->rbuf) {
		check(checks, name, CHECK_OK,
		      "zero-copy receive, with rbuf ring and 32-byte CQEs");
	} else {
		check(checks, name, CHECK_OK,
		      "zero-copy receive, with 32-byte CQEs");
	}
}

static void check_privilege(struct checks *checks, bool refused)
{
	const char *name = "privilege";

	if (has_capability(CAP_NET_ADMIN) && !refused && !geteuid()) {
		check(checks, name, CHECK_OK,
		      "this user may set NICs up and register queues");
		return;
	}
	if (has_capability(CAP_NET_ADMIN) && !refused) {
		check(checks, name, CHECK_NOTE,
		      "this user may register queues, but only root sets NICs up, with records in /run/zcrx");
		check_mend(checks, "be root, or have queues set up by zcrxctl setup");
		return;
	}
	check(checks, name, CHECK_MISSING,
	      "registering a queue takes CAP_NET_ADMIN, outside of user namespaces");
	check_mend(checks, "be root, or use zcrxd(8), or setcap cap_net_admin+ep PROGRAM for queues that zcrxctl setup has set up");
}

static void check_locked_memory(struct checks *checks)
{
	const char *name = "locked-memory";
	struct rlimit limit;

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (has_capability(CAP_IPC_LOCK) || limit.rlim_cur == RLIM_INFINITY) {
		check(checks, name, CHECK_OK,
		      "areas may be of any size: no limit to locked memory");
		return;
	}
	if (limit.rlim_cur >= (rlim_t)LOCKED_MIB << 20) {
		check(checks, name, CHECK_OK,
		      "%llu MiB may be locked, areas are part of it",
		      (unsigned long long)limit.rlim_cur >> 20);
		return;
	}
	check(checks, name, CHECK_MISSING,
	      "only %llu KiB may be locked, an area takes %d MiB and more",
	      (unsigned long long)limit.rlim_cur >> 10, LOCKED_MIB);
	check_mend(checks, "ulimit -l unlimited, after \"USER - memlock unlimited\" in /etc/security/limits.conf; systemd: LimitMEMLOCK=infinity");
}

/**
 * doctor_kernel() - look at the kernel
 * @checks: gets what is found
 * @can: set
 */
void doctor_kernel(struct checks *checks, struct kernel_can *can)
{
	int made = try_io_uring();
	int probed = made ? 0 : zcrx_probe();

	*can = (struct kernel_can){ .zcrx = false };
	find_zcrx(can, probed);
	check_io_uring(checks, made);
	check_zcrx(checks, can, made);
	check_privilege(checks, probed == -EPERM);
	check_locked_memory(checks);
}
