/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * What a kernel's io_uring can do: argument of IORING_REGISTER_QUERY, which
 * needs no ring (file descriptor -1, nr_args 0).
 */
#ifndef _UAPI_LINUX_IO_URING_QUERY_H
#define _UAPI_LINUX_IO_URING_QUERY_H

#include <linux/types.h>

/**
 * struct io_uring_query_hdr - one question; they can be chained
 * @next_entry: address of the next one, or 0
 * @query_data: address of the struct that belongs to @query_op
 * @query_op: enum io_uring_query_op
 * @size: in: bytes at @query_data, 1 to a page; out: how many of them were
 *	  written, the rest is zeroed
 * @result: in: zero; out: 0, or a negative errno: -EOPNOTSUPP for a question
 *	    that this kernel doesn't know, -EINVAL for a wrong header; @size is
 *	    0 then, and the next question is answered
 */
struct io_uring_query_hdr {
	__u64	next_entry;
	__u64	query_data;
	__u32	query_op;
	__u32	size;
	__s32	result;
	__u32	__resv[3];
};

/**
 * enum io_uring_query_op - what can be asked
 * @IO_URING_QUERY_OPCODES: struct io_uring_query_opcode
 * @IO_URING_QUERY_ZCRX: struct io_uring_query_zcrx
 * @IO_URING_QUERY_SCQ: struct io_uring_query_scq
 * @IO_URING_QUERY_ZCRX_EVENT: struct io_uring_query_zcrx_event
 */
enum io_uring_query_op {
	IO_URING_QUERY_OPCODES		= 0,
	IO_URING_QUERY_ZCRX		= 1,
	IO_URING_QUERY_SCQ		= 2,
	IO_URING_QUERY_ZCRX_EVENT	= 3,

	__IO_URING_QUERY_MAX,
};

/**
 * struct io_uring_query_opcode - io_uring as a whole
 * @nr_request_opcodes: requests have numbers below this one
 * @nr_register_opcodes: operations of io_uring_register() likewise
 * @feature_flags: IORING_FEAT_*
 * @ring_setup_flags: IORING_SETUP_*
 * @enter_flags: IORING_ENTER_*
 * @sqe_flags: IOSQE_*
 * @nr_query_opcodes: numbers of enum io_uring_query_op are below this one
 */
struct io_uring_query_opcode {
	__u32	nr_request_opcodes;
	__u32	nr_register_opcodes;
	__u64	feature_flags;
	__u64	ring_setup_flags;
	__u64	enter_flags;
	__u64	sqe_flags;
	__u32	nr_query_opcodes;
	__u32	__pad;
};

/**
 * struct io_uring_query_zcrx - zero-copy receive
 * @register_flags: enum io_uring_zcrx_reg_flags
 * @area_flags: of struct io_uring_zcrx_area_reg
 * @nr_ctrl_opcodes: mainline's operations of IORING_REGISTER_ZCRX_CTRL have
 *		     numbers below this one
 * @features: ZCRX_FEATURE_*
 * @rq_hdr_size: what the refill region has before its entries, in bytes
 * @rq_hdr_alignment: in bytes
 */
struct io_uring_query_zcrx {
	__u64	register_flags;
	__u64	area_flags;
	__u32	nr_ctrl_opcodes;
	__u32	features;
	__u32	rq_hdr_size;
	__u32	rq_hdr_alignment;
	__u64	__resv;
};

/**
 * struct io_uring_query_scq - the part of the rings' memory before the CQEs
 * @hdr_size: in bytes
 * @hdr_alignment: in bytes
 */
struct io_uring_query_scq {
	__u64	hdr_size;
	__u64	hdr_alignment;
};

/**
 * struct io_uring_query_zcrx_event - events of zero-copy receive
 * @event_flags: bits 1 << enum zcrx_event_type
 * @stats_size: of struct zcrx_stats
 * @stats_off_alignment: of zcrx_event_desc.stats_offset, in bytes
 */
struct io_uring_query_zcrx_event {
	__u32	event_flags;
	__u32	stats_size;
	__u32	stats_off_alignment;
	__u32	__resv0;
	__u64	__resv[4];
};

#endif
