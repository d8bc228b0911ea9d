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
AT(zcrx_abi_ctrl, args, 24);

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

_Static_assert(ZCRX_OP_RECV_ZC == 58, "opcode");
_Static_assert(ZCRX_ABI_AREA_SHIFT == 48, "area id");
_Static_assert(ZCRX_ABI_MEM_REGION_TYPE_USER == 1, "region flag");
_Static_assert(ZCRX_ABI_MAP_OFF_ZCRX_REGION == 0x30000000, "mmap offset");
_Static_assert(ZCRX_ABI_REG_RBUF == 1 << 16, "flag");
_Static_assert(ZCRX_ABI_CTRL_RESUME == 64, "control operation");

int main(void)
{
	return 0;
}
