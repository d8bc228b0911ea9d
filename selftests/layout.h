/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The interface's numbers and layouts, written down once more: programs have been
 * compiled with them. A header of the kernel that says anything else does not
 * compile with this one.
 */
#ifndef ZCRX_SELFTEST_LAYOUT_H
#define ZCRX_SELFTEST_LAYOUT_H

#include <assert.h>
#include <linux/io_uring/query.h>
#include <linux/io_uring/zcrx.h>
#include <stddef.h>

#define NUMBER(_name, _value)						\
	static_assert((_name) == (_value), #_name)

#define SIZE(_struct, _size)						\
	static_assert(sizeof(struct _struct) == (_size), #_struct)

#define FIELD(_struct, _field, _offset, _size)				\
	static_assert(offsetof(struct _struct, _field) == (_offset) &&	\
		      sizeof(((struct _struct *)0)->_field) == (_size), \
		      #_struct "." #_field)

/*
 * Mainline
 */

NUMBER(IORING_ZCRX_AREA_SHIFT, 48);
NUMBER(IORING_ZCRX_AREA_MASK, 0xffff000000000000);
NUMBER(IORING_MAP_OFF_ZCRX_REGION, 0x30000000);
NUMBER(IORING_OFF_ZCRX_SHIFT, 16);
NUMBER(IORING_MEM_REGION_TYPE_USER, 1);
NUMBER(ZCRX_REG_IMPORT, 1);
NUMBER(ZCRX_REG_NODEV, 2);
NUMBER(ZCRX_FEATURE_RX_PAGE_SIZE, 1);
NUMBER(ZCRX_FEATURE_EVENT, 2);
NUMBER(ZCRX_EVENT_ALLOC_FAIL, 0);
NUMBER(ZCRX_EVENT_COPY, 1);
NUMBER(ZCRX_EVENT_DESC_FLAG_STATS, 1);
NUMBER(ZCRX_CTRL_FLUSH_RQ, 0);
NUMBER(ZCRX_CTRL_EXPORT, 1);
NUMBER(ZCRX_CTRL_ARM_EVENT, 2);
NUMBER(ZCRX_CTRL_ADD_AREA, 3);
NUMBER(IO_URING_QUERY_OPCODES, 0);
NUMBER(IO_URING_QUERY_ZCRX, 1);
NUMBER(IO_URING_QUERY_SCQ, 2);
NUMBER(IO_URING_QUERY_ZCRX_EVENT, 3);

SIZE(io_uring_zcrx_rqe, 16);
FIELD(io_uring_zcrx_rqe, off, 0, 8);
FIELD(io_uring_zcrx_rqe, len, 8, 4);
FIELD(io_uring_zcrx_rqe, pad, 12, 4);

SIZE(io_uring_zcrx_cqe, 16);
FIELD(io_uring_zcrx_cqe, off, 0, 8);
FIELD(io_uring_zcrx_cqe, pad, 8, 8);

SIZE(io_uring_region_desc, 64);
FIELD(io_uring_region_desc, user_addr, 0, 8);
FIELD(io_uring_region_desc, size, 8, 8);
FIELD(io_uring_region_desc, flags, 16, 4);
FIELD(io_uring_region_desc, id, 20, 4);
FIELD(io_uring_region_desc, mmap_offset, 24, 8);
FIELD(io_uring_region_desc, __resv, 32, 32);

SIZE(io_uring_zcrx_offsets, 32);
FIELD(io_uring_zcrx_offsets, head, 0, 4);
FIELD(io_uring_zcrx_offsets, tail, 4, 4);
FIELD(io_uring_zcrx_offsets, rqes, 8, 4);
FIELD(io_uring_zcrx_offsets, __resv, 12, 4);
FIELD(io_uring_zcrx_offsets, __resv2, 16, 16);

SIZE(io_uring_zcrx_area_reg, 48);
FIELD(io_uring_zcrx_area_reg, addr, 0, 8);
FIELD(io_uring_zcrx_area_reg, len, 8, 8);
FIELD(io_uring_zcrx_area_reg, rq_area_token, 16, 8);
FIELD(io_uring_zcrx_area_reg, flags, 24, 4);
FIELD(io_uring_zcrx_area_reg, dmabuf_fd, 28, 4);
FIELD(io_uring_zcrx_area_reg, __resv, 32, 16);

SIZE(io_uring_zcrx_ifq_reg, 96);
FIELD(io_uring_zcrx_ifq_reg, if_idx, 0, 4);
FIELD(io_uring_zcrx_ifq_reg, if_rxq, 4, 4);
FIELD(io_uring_zcrx_ifq_reg, rq_entries, 8, 4);
FIELD(io_uring_zcrx_ifq_reg, flags, 12, 4);
FIELD(io_uring_zcrx_ifq_reg, area_ptr, 16, 8);
FIELD(io_uring_zcrx_ifq_reg, region_ptr, 24, 8);
FIELD(io_uring_zcrx_ifq_reg, offsets, 32, 32);
FIELD(io_uring_zcrx_ifq_reg, zcrx_id, 64, 4);
FIELD(io_uring_zcrx_ifq_reg, rx_buf_len, 68, 4);
FIELD(io_uring_zcrx_ifq_reg, event_desc, 72, 8);
/* Mainline has two reserved words here. */
FIELD(io_uring_zcrx_ifq_reg, ext_ptr, 80, 8);
FIELD(io_uring_zcrx_ifq_reg, __resv, 88, 8);

SIZE(zcrx_event_desc, 96);
FIELD(zcrx_event_desc, user_data, 0, 8);
FIELD(zcrx_event_desc, type_mask, 8, 4);
FIELD(zcrx_event_desc, flags, 12, 4);
FIELD(zcrx_event_desc, stats_offset, 16, 8);
FIELD(zcrx_event_desc, __resv, 24, 72);

SIZE(zcrx_stats, 16);
FIELD(zcrx_stats, copy_count, 0, 8);
FIELD(zcrx_stats, copy_bytes, 8, 8);

SIZE(zcrx_ctrl, 72);
FIELD(zcrx_ctrl, zcrx_id, 0, 4);
FIELD(zcrx_ctrl, op, 4, 4);
FIELD(zcrx_ctrl, __resv, 8, 16);
FIELD(zcrx_ctrl, zc_export, 24, 48);
FIELD(zcrx_ctrl, zc_export.zcrx_fd, 24, 4);
FIELD(zcrx_ctrl, zc_flush, 24, 48);
FIELD(zcrx_ctrl, zc_arm_event, 24, 48);
FIELD(zcrx_ctrl, zc_arm_event.event_type, 24, 4);
FIELD(zcrx_ctrl, zc_add_area, 24, 48);
FIELD(zcrx_ctrl, zc_add_area.area_ptr, 24, 8);

SIZE(io_uring_query_hdr, 40);
FIELD(io_uring_query_hdr, next_entry, 0, 8);
FIELD(io_uring_query_hdr, query_data, 8, 8);
FIELD(io_uring_query_hdr, query_op, 16, 4);
FIELD(io_uring_query_hdr, size, 20, 4);
FIELD(io_uring_query_hdr, result, 24, 4);
FIELD(io_uring_query_hdr, __resv, 28, 12);

SIZE(io_uring_query_opcode, 48);
FIELD(io_uring_query_opcode, nr_request_opcodes, 0, 4);
FIELD(io_uring_query_opcode, nr_register_opcodes, 4, 4);
FIELD(io_uring_query_opcode, feature_flags, 8, 8);
FIELD(io_uring_query_opcode, ring_setup_flags, 16, 8);
FIELD(io_uring_query_opcode, enter_flags, 24, 8);
FIELD(io_uring_query_opcode, sqe_flags, 32, 8);
FIELD(io_uring_query_opcode, nr_query_opcodes, 40, 4);
FIELD(io_uring_query_opcode, __pad, 44, 4);

SIZE(io_uring_query_zcrx, 40);
FIELD(io_uring_query_zcrx, register_flags, 0, 8);
FIELD(io_uring_query_zcrx, area_flags, 8, 8);
FIELD(io_uring_query_zcrx, nr_ctrl_opcodes, 16, 4);
FIELD(io_uring_query_zcrx, features, 20, 4);
FIELD(io_uring_query_zcrx, rq_hdr_size, 24, 4);
FIELD(io_uring_query_zcrx, rq_hdr_alignment, 28, 4);
FIELD(io_uring_query_zcrx, __resv, 32, 8);

SIZE(io_uring_query_scq, 16);
FIELD(io_uring_query_scq, hdr_size, 0, 8);
FIELD(io_uring_query_scq, hdr_alignment, 8, 8);

SIZE(io_uring_query_zcrx_event, 48);
FIELD(io_uring_query_zcrx_event, event_flags, 0, 4);
FIELD(io_uring_query_zcrx_event, stats_size, 4, 4);
FIELD(io_uring_query_zcrx_event, stats_off_alignment, 8, 4);
FIELD(io_uring_query_zcrx_event, __resv0, 12, 4);
FIELD(io_uring_query_zcrx_event, __resv, 16, 32);

/*
 * This implementation
 */

NUMBER(IORING_MAP_OFF_RBUF_REGION, 0x38000000);
NUMBER(ZCRX_REG_RBUF, 0x10000);
NUMBER(ZCRX_REG_SOFT_SPLIT, 0x20000);
NUMBER(ZCRX_REG_MANUAL_RESUME, 0x40000);
NUMBER(ZCRX_EVENT_STATE_COPY, 16);
NUMBER(ZCRX_EVENT_STATE_ON, 17);
NUMBER(ZCRX_EVENT_UNBOUND, 18);
NUMBER(ZCRX_CTRL_RESUME, 64);
NUMBER(IORING_RBUF_CQE_F_COPIED, 1);
NUMBER(IORING_RBUF_CQE_REASON_SHIFT, 4);
NUMBER(IORING_ZCRX_COPY_NONE, 0);
NUMBER(IORING_ZCRX_COPY_LINEAR, 1);
NUMBER(IORING_ZCRX_COPY_PAGE, 2);
NUMBER(IORING_ZCRX_COPY_FOREIGN, 3);
NUMBER(IORING_RBUF_K_NEED_KICK, 1);
NUMBER(IORING_RBUF_U_WAKEUP, 1);

SIZE(io_uring_zcrx_ext_reg, 64);
FIELD(io_uring_zcrx_ext_reg, size, 0, 4);
FIELD(io_uring_zcrx_ext_reg, nr_areas, 4, 4);
FIELD(io_uring_zcrx_ext_reg, rbuf_entries, 8, 4);
FIELD(io_uring_zcrx_ext_reg, __resv0, 12, 4);
FIELD(io_uring_zcrx_ext_reg, rbuf_region_ptr, 16, 8);
FIELD(io_uring_zcrx_ext_reg, rbuf_offsets, 24, 16);
FIELD(io_uring_zcrx_ext_reg, __resv, 40, 24);

SIZE(io_uring_rbuf_offsets, 16);
FIELD(io_uring_rbuf_offsets, hdr, 0, 4);
FIELD(io_uring_rbuf_offsets, cqes, 4, 4);
FIELD(io_uring_rbuf_offsets, __resv, 8, 8);

SIZE(io_uring_rbuf_cqe, 16);
FIELD(io_uring_rbuf_cqe, off, 0, 4);
FIELD(io_uring_rbuf_cqe, len, 4, 4);
FIELD(io_uring_rbuf_cqe, region, 8, 2);
FIELD(io_uring_rbuf_cqe, sock, 10, 1);
FIELD(io_uring_rbuf_cqe, flags, 11, 1);
FIELD(io_uring_rbuf_cqe, tag, 12, 4);

SIZE(io_uring_rbuf_rqe, 16);
FIELD(io_uring_rbuf_rqe, off, 0, 4);
FIELD(io_uring_rbuf_rqe, len, 4, 4);
FIELD(io_uring_rbuf_rqe, region, 8, 2);
FIELD(io_uring_rbuf_rqe, pad, 10, 2);
FIELD(io_uring_rbuf_rqe, pad2, 12, 4);

SIZE(io_uring_rbuf_hdr, 256);
FIELD(io_uring_rbuf_hdr, producer, 0, 4);
FIELD(io_uring_rbuf_hdr, kflags, 4, 4);
FIELD(io_uring_rbuf_hdr, consumer, 64, 4);
FIELD(io_uring_rbuf_hdr, uflags, 68, 4);
FIELD(io_uring_rbuf_hdr, zc_bytes, 128, 8);
FIELD(io_uring_rbuf_hdr, pauses, 136, 8);
FIELD(io_uring_rbuf_hdr, copied_bytes, 192, 64);

#undef NUMBER
#undef SIZE
#undef FIELD

#endif
