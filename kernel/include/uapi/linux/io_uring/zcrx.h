/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * Zero-copy receive over io_uring: the interface between kernel and user space.
 *
 * An *ifq* (interface queue) binds an io_uring instance to a hardware receive
 * queue of a NIC. Memory that the application registers (*areas*, each cut
 * into *chunks* of one size) is filled by the NIC with TCP payload. The
 * application learns where its bytes are from completions, reads them in
 * place, and gives every completion back through the *refill ring*.
 *
 * All integers are in native byte order. Fields named resv or pad are zero in
 * both directions. The first part is the interface of the mainline kernel; the
 * second, whose flags start at bit 16, is particular to this implementation.
 */
#ifndef _UAPI_LINUX_IO_URING_ZCRX_H
#define _UAPI_LINUX_IO_URING_ZCRX_H

#include <linux/types.h>

/*
 * Part 1: mainline
 */

/* Bits of a buffer offset above this one hold the area's id. */
#define IORING_ZCRX_AREA_SHIFT	48
#define IORING_ZCRX_AREA_MASK	(~(((__u64)1 << IORING_ZCRX_AREA_SHIFT) - 1))

/* Offset to mmap a refill region that the kernel allocated. */
#define IORING_MAP_OFF_ZCRX_REGION	0x30000000ULL
#define IORING_OFF_ZCRX_SHIFT		16

/**
 * struct io_uring_zcrx_rqe - entry of the refill ring
 * @off: any offset within the chunk that is given back, area id in the upper
 *	 bits
 * @len: ignored
 * @pad: zero, or else the entry is skipped
 */
struct io_uring_zcrx_rqe {
	__u64	off;
	__u32	len;
	__u32	pad;
};

/**
 * struct io_uring_zcrx_cqe - second half of the 32-byte CQE of a received buffer
 * @off: offset of the bytes in their area, area id in the upper bits
 * @pad: zero
 */
struct io_uring_zcrx_cqe {
	__u64	off;
	__u64	pad;
};

/* io_uring_region_desc.flags: the memory is the user's, at user_addr */
enum {
	IORING_MEM_REGION_TYPE_USER		= 1,
};

/**
 * struct io_uring_region_desc - memory shared between kernel and user space
 * @user_addr: address of the user's memory (%IORING_MEM_REGION_TYPE_USER)
 * @size: in bytes, whole pages
 * @flags: %IORING_MEM_REGION_TYPE_USER, or 0: the kernel allocates
 * @id: zero
 * @mmap_offset: in: zero; out: where to mmap memory that the kernel allocated
 */
struct io_uring_region_desc {
	__u64	user_addr;
	__u64	size;
	__u32	flags;
	__u32	id;
	__u64	mmap_offset;
	__u64	__resv[4];
};

/**
 * struct io_uring_zcrx_offsets - where things are in the refill region
 * @head: the kernel's consumer index (u32), free running
 * @tail: the user's producer index (u32), free running
 * @rqes: the array of entries
 */
struct io_uring_zcrx_offsets {
	__u32	head;
	__u32	tail;
	__u32	rqes;
	__u32	__resv;
	__u64	__resv2[2];
};

/**
 * struct io_uring_zcrx_area_reg - one area of user memory
 * @addr: page aligned address
 * @len: in bytes, whole pages
 * @rq_area_token: in: zero; out: the area's id, shifted by
 *		   %IORING_ZCRX_AREA_SHIFT
 * @flags: zero
 * @dmabuf_fd: zero
 */
struct io_uring_zcrx_area_reg {
	__u64	addr;
	__u64	len;
	__u64	rq_area_token;
	__u32	flags;
	__u32	dmabuf_fd;
	__u64	__resv[2];
};

/**
 * struct io_uring_zcrx_ifq_reg - argument of IORING_REGISTER_ZCRX_IFQ
 * @if_idx: interface index
 * @if_rxq: index of the receive queue
 * @rq_entries: in: wanted entries of the refill ring; out: rounded up to a
 *		power of two
 * @flags: enum io_uring_zcrx_reg_flags
 * @area_ptr: struct io_uring_zcrx_area_reg, or an array of them (see
 *	      struct io_uring_zcrx_ext_reg)
 * @region_ptr: struct io_uring_region_desc: memory of the refill ring
 * @offsets: out
 * @zcrx_id: in: zero; out: names the ifq in this ring
 * @rx_buf_len: in: wanted chunk size in bytes, 0 for a page; out: the size
 * @event_desc: struct zcrx_event_desc, or 0
 * @ext_ptr: struct io_uring_zcrx_ext_reg if @flags has one of the flags from
 *	     bit 16 up, zero otherwise
 *
 * With %ZCRX_REG_IMPORT, @if_idx is the file descriptor of an ifq that was
 * exported, and everything else but @flags and @ext_ptr is zero; what is marked
 * with "out", and @rq_entries, comes back.
 */
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
	__u64	ext_ptr;
	__u64	__resv;
};

/**
 * enum zcrx_event_type - what an application can be told
 * @ZCRX_EVENT_ALLOC_FAIL: the NIC or the copy fallback wanted a chunk, and
 *			   none was free
 * @ZCRX_EVENT_COPY: payload was copied
 * @ZCRX_EVENT_STATE_COPY: the NIC gets pages of the kernel from now on, whose
 *			   payload is copied (particular to this
 *			   implementation, as the following ones)
 * @ZCRX_EVENT_STATE_ON: the NIC gets chunks again
 * @ZCRX_EVENT_UNBOUND: the NIC is gone; what comes by other ways is copied
 *
 * An event is a CQE in the ring that registered the ifq, with the type as its
 * res. One of a type is posted, and the next one after %ZCRX_CTRL_ARM_EVENT.
 */
enum zcrx_event_type {
	ZCRX_EVENT_ALLOC_FAIL	= 0,
	ZCRX_EVENT_COPY		= 1,
	ZCRX_EVENT_STATE_COPY	= 16,
	ZCRX_EVENT_STATE_ON	= 17,
	ZCRX_EVENT_UNBOUND	= 18,
};

/* Flags of struct zcrx_event_desc: stats_offset is valid */
enum {
	ZCRX_EVENT_DESC_FLAG_STATS	= 1U << 0,
};

/**
 * struct zcrx_event_desc - which events to post
 * @user_data: of the CQEs
 * @type_mask: bits 1 << enum zcrx_event_type
 * @flags: %ZCRX_EVENT_DESC_FLAG_STATS or 0
 * @stats_offset: where in the refill region the kernel shall keep a
 *		  struct zcrx_stats, behind the entries and aligned to 8; zero
 *		  without the flag
 */
struct zcrx_event_desc {
	__u64	user_data;
	__u32	type_mask;
	__u32	flags;
	__u64	stats_offset;
	__u64	__resv[9];
};

/**
 * struct zcrx_stats - written by the kernel
 * @copy_count: how many pieces were copied
 * @copy_bytes: their bytes
 */
struct zcrx_stats {
	__u64	copy_count;
	__u64	copy_bytes;
};

/* io_uring_query_zcrx.features */
enum {
	/* io_uring_zcrx_ifq_reg.rx_buf_len */
	ZCRX_FEATURE_RX_PAGE_SIZE	= 1U << 0,
	/* io_uring_zcrx_ifq_reg.event_desc */
	ZCRX_FEATURE_EVENT		= 1U << 1,
};

/*
 * Part 2: this implementation
 */

/* Offset to mmap an rbuf region that the kernel allocated. */
#define IORING_MAP_OFF_RBUF_REGION	0x38000000ULL

/**
 * enum io_uring_zcrx_reg_flags - flags of an ifq
 * @ZCRX_REG_IMPORT: use an ifq that was exported (mainline)
 * @ZCRX_REG_NODEV: no NIC, everything is copied (mainline)
 * @ZCRX_REG_RBUF: received buffers go to an rbuf ring; the io_uring needs
 *		   neither DEFER_TASKRUN nor CQE32; running out pauses
 * @ZCRX_REG_SOFT_SPLIT: accept a driver that splits headers in software
 * @ZCRX_REG_MANUAL_RESUME: after falling back to copying, stay there until
 *			    told to resume
 */
enum io_uring_zcrx_reg_flags {
	ZCRX_REG_IMPORT		= 1U << 0,
	ZCRX_REG_NODEV		= 1U << 1,

	ZCRX_REG_RBUF		= 1U << 16,
	ZCRX_REG_SOFT_SPLIT	= 1U << 17,
	ZCRX_REG_MANUAL_RESUME	= 1U << 18,
};

/**
 * struct io_uring_rbuf_offsets - where things are in the rbuf region
 * @hdr: struct io_uring_rbuf_hdr
 * @cqes: the array of struct io_uring_rbuf_cqe
 */
struct io_uring_rbuf_offsets {
	__u32	hdr;
	__u32	cqes;
	__u64	__resv;
};

/**
 * struct io_uring_zcrx_ext_reg - further arguments of a registration
 * @size: of this struct, in bytes
 * @nr_areas: in: entries of the array at io_uring_zcrx_ifq_reg.area_ptr, 0 for
 *	      1; out with %ZCRX_REG_IMPORT: how many there are
 * @rbuf_entries: in: wanted entries of the rbuf ring (%ZCRX_REG_RBUF only);
 *		  out: rounded up to a power of two
 * @rbuf_region_ptr: struct io_uring_region_desc: memory of the rbuf ring
 * @rbuf_offsets: out
 *
 * With %ZCRX_REG_IMPORT, all but @size is zero before.
 */
struct io_uring_zcrx_ext_reg {
	__u32	size;
	__u32	nr_areas;
	__u32	rbuf_entries;
	__u32	__resv0;
	__u64	rbuf_region_ptr;
	struct io_uring_rbuf_offsets rbuf_offsets;
	__u64	__resv[3];
};

/**
 * struct io_uring_rbuf_cqe - entry of the rbuf ring: received bytes
 * @off: in bytes within the area
 * @len: in bytes, never 0
 * @region: number of the area
 * @sock: low 8 bits of @tag
 * @flags: enum io_uring_rbuf_cqe_flags, copy reason in the upper 4 bits
 * @tag: what the request's SQE carries in its lower 32 bits of addr3
 */
struct io_uring_rbuf_cqe {
	__u32	off;
	__u32	len;
	__u16	region;
	__u8	sock;
	__u8	flags;
	__u32	tag;
};

/**
 * struct io_uring_rbuf_rqe - entry of the refill ring of an ifq with RBUF
 * @off: any offset within the chunk that is given back
 * @len: ignored
 * @region: number of the area
 * @pad: zero, or else the entry is skipped
 * @pad2: zero, or else the entry is skipped
 */
struct io_uring_rbuf_rqe {
	__u32	off;
	__u32	len;
	__u16	region;
	__u16	pad;
	__u32	pad2;
};

/* io_uring_rbuf_cqe.flags: the bytes were copied; why is in the upper bits */
enum io_uring_rbuf_cqe_flags {
	IORING_RBUF_CQE_F_COPIED	= 1U << 0,
};

#define IORING_RBUF_CQE_REASON_SHIFT	4

/**
 * enum io_uring_zcrx_copy_reason - why payload was copied
 * @IORING_ZCRX_COPY_NONE: it was not
 * @IORING_ZCRX_COPY_LINEAR: it lay beside the headers in the linear part
 * @IORING_ZCRX_COPY_PAGE: it lay in kernel memory: the NIC delivered to an
 *			   ordinary queue, the area had run dry, or the driver
 *			   had moved it there, since the NIC had not split the
 *			   frame right behind TCP's header
 * @IORING_ZCRX_COPY_FOREIGN: it lay in a chunk of another ifq
 * @IORING_ZCRX_COPY_NR: number of reasons, and of counters
 */
enum io_uring_zcrx_copy_reason {
	IORING_ZCRX_COPY_NONE,
	IORING_ZCRX_COPY_LINEAR,
	IORING_ZCRX_COPY_PAGE,
	IORING_ZCRX_COPY_FOREIGN,
	IORING_ZCRX_COPY_NR,
};

/* io_uring_rbuf_hdr.kflags, written by the kernel */
enum io_uring_rbuf_kflags {
	/* Receiving paused: no room in the rbuf ring, or no chunk to copy to.
	 * Consume and refill, then kick with ZCRX_CTRL_RESUME.
	 */
	IORING_RBUF_K_NEED_KICK		= 1U << 0,
};

/* io_uring_rbuf_hdr.uflags, written by the user */
enum io_uring_rbuf_uflags {
	/* Post a CQE when the ring goes from empty to non-empty, or NEED_KICK is
	 * set: in the io_uring of the request that made it so. Whoever shares an
	 * ifq waits in each that has requests. Set this, have a full barrier,
	 * look at producer and kflags once more, and then sleep.
	 */
	IORING_RBUF_U_WAKEUP		= 1U << 0,
};

/**
 * struct io_uring_rbuf_hdr - head of the rbuf region, 64-byte aligned
 * @producer: free-running index, the kernel's
 * @kflags: enum io_uring_rbuf_kflags, the kernel's
 * @consumer: free-running index, the user's
 * @uflags: enum io_uring_rbuf_uflags, the user's
 * @zc_bytes: bytes delivered in place
 * @pauses: how often receiving paused
 * @copied_bytes: bytes copied, by enum io_uring_zcrx_copy_reason
 */
struct io_uring_rbuf_hdr {
	__u32	producer;
	__u32	kflags;
	__u32	__resv0[14];

	__u32	consumer;
	__u32	uflags;
	__u32	__resv1[14];

	__u64	zc_bytes;
	__u64	pauses;
	__u64	__resv2[6];
	__u64	copied_bytes[8];
};

/**
 * enum zcrx_ctrl_op - operations of IORING_REGISTER_ZCRX_CTRL
 * @ZCRX_CTRL_FLUSH_RQ: take back all that is in the refill ring
 * @ZCRX_CTRL_EXPORT: make a file descriptor, to be imported by another ring
 * @ZCRX_CTRL_ARM_EVENT: tell the next event of a type that was told before
 * @ZCRX_CTRL_ADD_AREA: one more area
 * @ZCRX_CTRL_RESUME: flush; look again at requests that paused; if the NIC gets
 *		      pages of the kernel, try chunks again. -EAGAIN if another
 *		      ring that has the ifq was busy, and its requests may be
 *		      paused still
 */
enum zcrx_ctrl_op {
	ZCRX_CTRL_FLUSH_RQ		= 0,
	ZCRX_CTRL_EXPORT		= 1,
	ZCRX_CTRL_ARM_EVENT		= 2,
	ZCRX_CTRL_ADD_AREA		= 3,

	ZCRX_CTRL_RESUME		= 64,
};

/**
 * struct zcrx_ctrl_flush_rq - argument of %ZCRX_CTRL_FLUSH_RQ, %ZCRX_CTRL_RESUME
 */
struct zcrx_ctrl_flush_rq {
	__u64	__resv[6];
};

/**
 * struct zcrx_ctrl_export - argument of %ZCRX_CTRL_EXPORT
 * @zcrx_fd: out: file descriptor, close-on-exec
 */
struct zcrx_ctrl_export {
	__u32	zcrx_fd;
	__u32	__resv[11];
};

/**
 * struct zcrx_ctrl_arm_event - argument of %ZCRX_CTRL_ARM_EVENT
 * @event_type: enum zcrx_event_type
 */
struct zcrx_ctrl_arm_event {
	__u32	event_type;
	__u32	__resv[11];
};

/**
 * struct zcrx_ctrl_add_area - argument of %ZCRX_CTRL_ADD_AREA
 * @area_ptr: struct io_uring_zcrx_area_reg
 */
struct zcrx_ctrl_add_area {
	__u64	area_ptr;
	__u64	__resv[5];
};

/**
 * struct zcrx_ctrl - argument of IORING_REGISTER_ZCRX_CTRL
 * @zcrx_id: the ifq
 * @op: enum zcrx_ctrl_op
 */
struct zcrx_ctrl {
	__u32	zcrx_id;
	__u32	op;
	__u64	__resv[2];
	union {
		struct zcrx_ctrl_export		zc_export;
		struct zcrx_ctrl_flush_rq	zc_flush;
		struct zcrx_ctrl_arm_event	zc_arm_event;
		struct zcrx_ctrl_add_area	zc_add_area;
	};
};

#endif
