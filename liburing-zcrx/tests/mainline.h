/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Names that the headers of newer versions of liburing declare: the library's
 * own header has to stand beside them. Only the names matter here. With such a
 * version, the real ones are used.
 */
#ifndef ZCRX_TEST_MAINLINE_H
#define ZCRX_TEST_MAINLINE_H

#include <liburing.h>

/* Older than? 2.3 does not say which version it is. */
#ifndef IO_URING_CHECK_VERSION
#define IO_URING_CHECK_VERSION(major, minor)	1
#endif

/* The declarations begin with 2.9. */
#if IO_URING_CHECK_VERSION(2, 9)
#define IORING_ZCRX_AREA_SHIFT		48
#define IORING_ZCRX_AREA_MASK		(~0ULL << IORING_ZCRX_AREA_SHIFT)

enum { IORING_MEM_REGION_TYPE_USER = 1 };
enum { IORING_ZCRX_AREA_DMABUF = 1 };
enum { ZCRX_REG_IMPORT = 1, ZCRX_REG_NODEV = 2 };
enum { ZCRX_FEATURE_RX_PAGE_SIZE = 1, ZCRX_FEATURE_EVENT = 2 };
enum zcrx_ctrl_op {
	ZCRX_CTRL_FLUSH_RQ, ZCRX_CTRL_EXPORT, ZCRX_CTRL_ARM_EVENT,
	ZCRX_CTRL_ADD_AREA,
};

struct io_uring_region_desc { __u64 user_addr; };
struct io_uring_zcrx_rqe { __u64 off; };
struct io_uring_zcrx_cqe { __u64 off; };
struct io_uring_zcrx_offsets { __u32 head; };
struct io_uring_zcrx_area_reg { __u64 addr; };
struct io_uring_zcrx_ifq_reg { __u32 if_idx; };
struct zcrx_ctrl { __u32 zcrx_id; };
struct zcrx_event_desc { __u64 user_data; };
struct zcrx_stats { __u64 copy_count; };
#endif

#endif
