# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# Make the library's copy of the kernel's <linux/io_uring/zcrx.h>: its names,
# under a prefix that the headers of neither kernel nor liburing use. Those may
# declare mainline's part of the interface, in any version of it.
#
s/_UAPI_LINUX_IO_URING_ZCRX_H/LIBURING_ZCRX_ABI_H/
s/\b\(struct\|enum\|union\) zcrx_/\1 zcrx_abi_/g
s/\bZCRX_/ZCRX_ABI_/g
s/\bio_uring_rbuf_/zcrx_rbuf_/g
s/\bIORING_RBUF_/ZCRX_RBUF_/g
s/\bio_uring_\(zcrx_\)\?/zcrx_abi_/g
s/\bIORING_\(ZCRX_\)\?/ZCRX_ABI_/g
1a\
/* Generated from kernel/include/uapi/linux/io_uring/zcrx.h by src/abi.sed */
