/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Zero-copy receive as the headers of the mainline kernel declare it, for a
 * program that knows nothing else: written down once more, and not taken from
 * the header of the kernel under test, so that a change there is seen. In a kernel
 * tree <linux/io_uring.h> would include that one: to be included before it.
 */
#ifndef ZCRX_SELFTEST_MAINLINE_H
#define ZCRX_SELFTEST_MAINLINE_H

#include <linux/types.h>

/* As if the kernel's own header had been included */
#define _LINUX_IO_URING_ZCRX_H

#define IORING_ZCRX_AREA_SHIFT		48
#define IORING_ZCRX_AREA_MASK		(~0ULL << IORING_ZCRX_AREA_SHIFT)

/* Where a refill region is mapped that the kernel allocated */
#define MAP_OFF_ZCRX_REGION		0x30000000ULL
#define MAP_ZCRX_SHIFT			16

enum { ZCRX_REG_IMPORT = 1, ZCRX_REG_NODEV = 2 };
enum { ZCRX_EVENT_ALLOC_FAIL, ZCRX_EVENT_COPY };
enum {
	ZCRX_CTRL_FLUSH_RQ,
	ZCRX_CTRL_EXPORT,
	ZCRX_CTRL_ARM_EVENT,
	ZCRX_CTRL_ADD_AREA,
};

/* Flag of struct zcrx_event_desc */
#define ZCRX_EVENT_STATS		1

struct io_uring_zcrx_rqe {
	__u64	off;
	__u32	len;
	__u32	pad;
};

struct io_uring_region_desc {
	__u64	user_addr;
	__u64	size;
	__u32	flags;
	__u32	id;
	__u64	mmap_offset;
	__u64	resv[4];
};

struct io_uring_zcrx_offsets {
	__u32	head;
	__u32	tail;
	__u32	rqes;
	__u32	resv;
	__u64	resv2[2];
};

struct io_uring_zcrx_area_reg {
	__u64	addr;
	__u64	len;
	__u64	rq_area_token;
	__u32	flags;
	__u32	dmabuf_fd;
	__u64	resv[2];
};

struct io_uring_zcrx_ifq_reg {
	__u32	if_idx;
	__u32	if_rxq;
	__u32	rq_entries;
	__u32	flags;
	__u64	area_ptr;
	__u64	region_ptr;
	struct io_uring_zcrx_offsets offsets;
	__u32	zcrx_id;
	__u32	rx_buf_len;
	__u64	event_desc;
	__u64	resv[2];
};

struct zcrx_event_desc {
	__u64	user_data;
	__u32	type_mask;
	__u32	flags;
	__u64	stats_offset;
	__u64	resv[9];
};

struct zcrx_stats {
	__u64	copy_count;
	__u64	copy_bytes;
};

/* With the first word of what an operation takes or returns */
struct zcrx_ctrl {
	__u32	zcrx_id;
	__u32	op;
	__u64	resv[2];
	union {
		__u32	arg;
		__u64	area_ptr;
		__u64	resv2[6];
	};
};

_Static_assert(sizeof(struct io_uring_zcrx_rqe) == 16, "rqe");
_Static_assert(sizeof(struct io_uring_region_desc) == 64, "region");
_Static_assert(sizeof(struct io_uring_zcrx_area_reg) == 48, "area");
_Static_assert(sizeof(struct io_uring_zcrx_ifq_reg) == 96, "ifq");
_Static_assert(sizeof(struct zcrx_event_desc) == 96, "events");
_Static_assert(sizeof(struct zcrx_ctrl) == 72, "ctrl");

#endif
