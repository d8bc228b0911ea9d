// SPDX-License-Identifier: GPL-2.0
/* What IORING_REGISTER_QUERY says of zero-copy receive */

#include <linux/io_uring_types.h>
#include <uapi/linux/io_uring/query.h>

#include "ifq.h"
#include "zcrx.h"

/* Mainline's operations; those particular to us go with the flags. */
#define ZCRX_NR_CTRL_OPS	(ZCRX_CTRL_ADD_AREA + 1)

/**
 * io_zcrx_query() - IO_URING_QUERY_ZCRX
 * @q: zeroed, filled
 *
 * Return: how many bytes of it there are.
 */
ssize_t io_zcrx_query(struct io_uring_query_zcrx *q)
{
	q->register_flags = ZCRX_REG_FLAGS;
	q->nr_ctrl_opcodes = ZCRX_NR_CTRL_OPS;
	q->features = ZCRX_FEATURE_RX_PAGE_SIZE | ZCRX_FEATURE_EVENT;
	q->rq_hdr_size = ZCRX_REFILL_HDR_SIZE;
	q->rq_hdr_alignment = ZCRX_REFILL_HDR_ALIGN;
	return sizeof(*q);
}

/**
 * io_zcrx_query_event() - IO_URING_QUERY_ZCRX_EVENT
 * @q: zeroed, filled
 *
 * Return: how many bytes of it there are.
 */
ssize_t io_zcrx_query_event(struct io_uring_query_zcrx_event *q)
{
	q->event_flags = ZCRX_EVENT_TYPES;
	q->stats_size = sizeof(struct zcrx_stats);
	q->stats_off_alignment = __alignof__(struct zcrx_stats);
	return sizeof(*q);
}
