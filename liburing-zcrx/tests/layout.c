// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The interface in numbers, written down independently of the header. It
 * compiles, or it does not.
 */
#include <liburing-zcrx.h>

#define AT(type, field, off) \
	_Static_assert(offsetof(struct type, field) == (off), \
		       #type "." #field " is at " #off)
#define SIZE(type, size) \
	_Static_assert(sizeof(struct type) == (size), \
		       #type " takes " #size " bytes")

SIZE(zcrx_abi_rqe, 16);
AT(zcrx_abi_rqe, off, 0);
AT(zcrx_abi_rqe, len, 8);
AT(zcrx_abi_rqe, pad, 12);

SIZE(zcrx_abi_cqe, 16);
AT(zcrx_abi_cqe, off, 0);

SIZE(zcrx_abi_region_desc, 64);
AT(zcrx_abi_region_desc, user_addr, 0);
AT(zcrx_abi_region_desc, size, 8);
AT(zcrx_abi_region_desc, flags, 16);
AT(zcrx_abi_region_desc, id, 20);
AT(zcrx_abi_region_desc, mmap_offset, 24);

SIZE(zcrx_abi_offsets, 32);
AT(zcrx_abi_offsets, head, 0);
AT(zcrx_abi_offsets, tail, 4);
AT(zcrx_abi_offsets, rqes, 8);

SIZE(zcrx_abi_area_reg, 48);
AT(zcrx_abi_area_reg, addr, 0);
AT(zcrx_abi_area_reg, len, 8);
AT(zcrx_abi_area_reg, rq_area_token, 16);
AT(zcrx_abi_area_reg, flags, 24);
AT(zcrx_abi_area_reg, dmabuf_fd, 28);

SIZE(zcrx_abi_ifq_reg, 96);
AT(zcrx_abi_ifq_reg, if_idx, 0);
AT(zcrx_abi_ifq_reg, if_rxq, 4);
AT(zcrx_abi_ifq_reg, rq_entries, 8);
AT(zcrx_abi_ifq_reg, flags, 12);
AT(zcrx_abi_ifq_reg, area_ptr, 16);
AT(zcrx_abi_ifq_reg, region_ptr, 24);
AT(zcrx_abi_ifq_reg, offsets, 32);
AT(zcrx_abi_ifq_reg, zcrx_id, 64);
AT(zcrx_abi_ifq_reg, rx_buf_len, 68);
AT(zcrx_abi_ifq_reg, event_desc, 72);
AT(zcrx_abi_ifq_reg, ext_ptr, 80);

SIZE(zcrx_abi_ctrl, 72);
AT(zcrx_abi_ctrl, zcrx_id, 0);
AT(zcrx_abi_ctrl, op, 4);
AT(zcrx_abi_ctrl, zc_export.zcrx_fd, 24);
AT(zcrx_abi_ctrl, zc_flush, 24);
AT(zcrx_abi_ctrl, zc_arm_event.event_type, 24);
AT(zcrx_abi_ctrl, zc_add_area.area_ptr, 24);

SIZE(zcrx_abi_event_desc, 96);
AT(zcrx_abi_event_desc, user_data, 0);
AT(zcrx_abi_event_desc, type_mask, 8);
AT(zcrx_abi_event_desc, flags, 12);
AT(zcrx_abi_event_desc, stats_offset, 16);

SIZE(zcrx_abi_stats, 16);
AT(zcrx_abi_stats, copy_count, 0);
AT(zcrx_abi_stats, copy_bytes, 8);

SIZE(zcrx_rbuf_cqe, 16);
AT(zcrx_rbuf_cqe, off, 0);
AT(zcrx_rbuf_cqe, len, 4);
AT(zcrx_rbuf_cqe, region, 8);
AT(zcrx_rbuf_cqe, sock, 10);
AT(zcrx_rbuf_cqe, flags, 11);
AT(zcrx_rbuf_cqe, tag, 12);

SIZE(zcrx_rbuf_rqe, 16);
AT(zcrx_rbuf_rqe, off, 0);
AT(zcrx_rbuf_rqe, len, 4);
AT(zcrx_rbuf_rqe, region, 8);
AT(zcrx_rbuf_rqe, pad, 10);
AT(zcrx_rbuf_rqe, pad2, 12);

AT(zcrx_rbuf_hdr, producer, 0);
AT(zcrx_rbuf_hdr, consumer, 64);
AT(zcrx_rbuf_hdr, zc_bytes, 128);

/* The library's own, on amd64: programs that were compiled before must run. */
SIZE(zcrx_area, 16);
AT(zcrx_area, addr, 0);
AT(zcrx_area, size, 8);

SIZE(zcrx_params, 24);
AT(zcrx_params, if_idx, 0);
AT(zcrx_params, rxq, 4);
AT(zcrx_params, chunk_size, 8);
AT(zcrx_params, refill_entries, 12);
AT(zcrx_params, rbuf_entries, 16);
AT(zcrx_params, flags, 20);

SIZE(zcrx_ifq, 128);
AT(zcrx_ifq, refill.khead, 0);
AT(zcrx_ifq, refill.ktail, 8);
AT(zcrx_ifq, refill.rqes, 16);
AT(zcrx_ifq, refill.nr_entries, 24);
AT(zcrx_ifq, refill.head, 28);
AT(zcrx_ifq, refill.tail, 32);
AT(zcrx_ifq, rbuf.hdr, 40);
AT(zcrx_ifq, rbuf.cqes, 48);
AT(zcrx_ifq, rbuf.nr_entries, 56);
AT(zcrx_ifq, rbuf.producer, 60);
AT(zcrx_ifq, rbuf.consumer, 64);
AT(zcrx_ifq, area_addrs, 72);
AT(zcrx_ifq, id, 80);
AT(zcrx_ifq, ring, 88);
AT(zcrx_ifq, mem, 96);
AT(zcrx_ifq, mem_size, 104);
AT(zcrx_ifq, rbuf_mem, 112);
AT(zcrx_ifq, rbuf_mem_size, 120);

SIZE(zcrx_counters, 24);
AT(zcrx_counters, zc_bytes, 0);
AT(zcrx_counters, copied_bytes, 8);
AT(zcrx_counters, pauses, 16);

SIZE(zcrx_queue_opts, 72);
AT(zcrx_queue_opts, size, 0);
AT(zcrx_queue_opts, ifname, 8);
AT(zcrx_queue_opts, fd, 16);
AT(zcrx_queue_opts, backend, 24);
AT(zcrx_queue_opts, rxq, 32);
AT(zcrx_queue_opts, mem, 40);
AT(zcrx_queue_opts, mem_size, 48);
AT(zcrx_queue_opts, conn_budget, 56);
AT(zcrx_queue_opts, chunk_size, 64);

SIZE(zcrx_buf, 40);
AT(zcrx_buf, data, 0);
AT(zcrx_buf, len, 8);
AT(zcrx_buf, res, 12);
AT(zcrx_buf, id, 16);
AT(zcrx_buf, conn, 24);
AT(zcrx_buf, tag, 32);

SIZE(zcrx_out_counters, 16);
AT(zcrx_out_counters, zc_bytes, 0);
AT(zcrx_out_counters, copied_bytes, 8);

AT(zcrx_grant, by_rss, 0);
AT(zcrx_grant, why, 4);
AT(zcrx_grant, opts, 264);

_Static_assert(ZCRX_OP_RECV_ZC == 58, "opcode");
_Static_assert(ZCRX_ABI_AREA_SHIFT == 48, "area id");
_Static_assert(ZCRX_ABI_MEM_REGION_TYPE_USER == 1, "region flag");
_Static_assert(ZCRX_ABI_MAP_OFF_ZCRX_REGION == 0x30000000, "mmap offset");
_Static_assert(ZCRX_ABI_REG_RBUF == 1 << 16, "flag");
_Static_assert(ZCRX_ABI_REG_IMPORT == 1, "flag");
_Static_assert(ZCRX_ABI_REG_NODEV == 2, "flag");
_Static_assert(ZCRX_ABI_REG_MANUAL_RESUME == 1 << 18, "flag");
_Static_assert(ZCRX_ABI_CTRL_FLUSH_RQ == 0, "control operation");
_Static_assert(ZCRX_ABI_CTRL_EXPORT == 1, "control operation");
_Static_assert(ZCRX_ABI_CTRL_ARM_EVENT == 2, "control operation");
_Static_assert(ZCRX_ABI_CTRL_ADD_AREA == 3, "control operation");
_Static_assert(ZCRX_ABI_CTRL_RESUME == 64, "control operation");
_Static_assert(ZCRX_ABI_EVENT_ALLOC_FAIL == 0, "event");
_Static_assert(ZCRX_ABI_EVENT_COPY == 1, "event");
_Static_assert(ZCRX_ABI_EVENT_STATE_COPY == 16, "event");

int main(void)
{
	return 0;
}
