/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM zcrx

#if !defined(_TRACE_ZCRX_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_ZCRX_H

#include <linux/ipv6.h>
#include <linux/tracepoint.h>
#include <linux/types.h>
#include <linux/io_uring/zcrx.h>
#include <net/inet_sock.h>
#include <trace/events/net_probe_common.h>

struct zcrx_ifq;

TRACE_DEFINE_ENUM(IORING_ZCRX_COPY_LINEAR);
TRACE_DEFINE_ENUM(IORING_ZCRX_COPY_PAGE);
TRACE_DEFINE_ENUM(IORING_ZCRX_COPY_FOREIGN);

#define zcrx_show_copy_reason(reason)				\
	__print_symbolic(reason,				\
		{ IORING_ZCRX_COPY_LINEAR,	"linear" },	\
		{ IORING_ZCRX_COPY_PAGE,	"page" },	\
		{ IORING_ZCRX_COPY_FOREIGN,	"foreign" })

/*
 * An ifq is named by its address, and by the interface and receive queue that it
 * has; which ring has it under which number is in the ring's fdinfo.
 */

/* The NIC's page pool gets a batch of chunks: from the refill ring, or free ones */
TRACE_EVENT(zcrx_alloc,

	TP_PROTO(const struct zcrx_ifq *ifq, u32 refilled, u32 fresh),

	TP_ARGS(ifq, refilled, fresh),

	TP_STRUCT__entry(
		__field(const struct zcrx_ifq *, ifq)
		__field(u32, if_idx)
		__field(u32, rxq)
		__field(u32, refilled)
		__field(u32, fresh)
	),

	TP_fast_assign(
		__entry->ifq		= ifq;
		__entry->if_idx		= ifq->if_idx;
		__entry->rxq		= ifq->rxq;
		__entry->refilled	= refilled;
		__entry->fresh		= fresh;
	),

	TP_printk("ifq=%p if_idx=%u rxq=%u refilled=%u fresh=%u",
		  __entry->ifq, __entry->if_idx, __entry->rxq,
		  __entry->refilled, __entry->fresh)
);

/* The NIC's page pool gets a page of the kernel for want of chunks */
TRACE_EVENT(zcrx_lend,

	TP_PROTO(const struct zcrx_ifq *ifq, int lent_now),

	TP_ARGS(ifq, lent_now),

	TP_STRUCT__entry(
		__field(const struct zcrx_ifq *, ifq)
		__field(u32, if_idx)
		__field(u32, rxq)
		__field(int, lent_now)
	),

	TP_fast_assign(
		__entry->ifq		= ifq;
		__entry->if_idx		= ifq->if_idx;
		__entry->rxq		= ifq->rxq;
		__entry->lent_now	= lent_now;
	),

	TP_printk("ifq=%p if_idx=%u rxq=%u lent_now=%d",
		  __entry->ifq, __entry->if_idx, __entry->rxq,
		  __entry->lent_now)
);

/* Entries of the refill ring are taken; some of them may be nonsense */
TRACE_EVENT(zcrx_refill,

	TP_PROTO(const struct zcrx_ifq *ifq, u32 entries, u32 valid),

	TP_ARGS(ifq, entries, valid),

	TP_STRUCT__entry(
		__field(const struct zcrx_ifq *, ifq)
		__field(u32, if_idx)
		__field(u32, rxq)
		__field(u32, entries)
		__field(u32, valid)
	),

	TP_fast_assign(
		__entry->ifq		= ifq;
		__entry->if_idx		= ifq->if_idx;
		__entry->rxq		= ifq->rxq;
		__entry->entries	= entries;
		__entry->valid		= valid;
	),

	TP_printk("ifq=%p if_idx=%u rxq=%u entries=%u valid=%u",
		  __entry->ifq, __entry->if_idx, __entry->rxq,
		  __entry->entries, __entry->valid)
);

/* Of a connection, with both of its ends: the socket is locked */
DECLARE_EVENT_CLASS(zcrx_piece,

	TP_PROTO(const struct zcrx_ifq *ifq, const struct sock *sk, u32 tag,
		 u64 off, u32 len, u32 reason),

	TP_ARGS(ifq, sk, tag, off, len, reason),

	TP_STRUCT__entry(
		__field(const struct zcrx_ifq *, ifq)
		__field(u64, off)
		__field(u32, if_idx)
		__field(u32, rxq)
		__field(u32, tag)
		__field(u32, len)
		__field(u32, reason)
		__array(__u8, saddr, sizeof(struct sockaddr_in6))
		__array(__u8, daddr, sizeof(struct sockaddr_in6))
	),

	TP_fast_assign(
		const struct inet_sock *inet = inet_sk(sk);

		__entry->ifq		= ifq;
		__entry->off		= off;
		__entry->if_idx		= ifq->if_idx;
		__entry->rxq		= ifq->rxq;
		__entry->tag		= tag;
		__entry->len		= len;
		__entry->reason		= reason;

		memset(__entry->saddr, 0, sizeof(struct sockaddr_in6));
		memset(__entry->daddr, 0, sizeof(struct sockaddr_in6));

		TP_STORE_ADDR_PORTS(__entry, inet, sk);
	),

	TP_printk("ifq=%p if_idx=%u rxq=%u tag=%u off=%#llx len=%u src=%pISpc dest=%pISpc reason=%s",
		  __entry->ifq, __entry->if_idx, __entry->rxq, __entry->tag,
		  __entry->off, __entry->len, __entry->saddr, __entry->daddr,
		  zcrx_show_copy_reason(__entry->reason))
);

/* Payload is posted where the NIC wrote it */
DEFINE_EVENT_PRINT(zcrx_piece, zcrx_recv,
	TP_PROTO(const struct zcrx_ifq *ifq, const struct sock *sk, u32 tag,
		 u64 off, u32 len, u32 reason),
	TP_ARGS(ifq, sk, tag, off, len, reason),
	TP_printk("ifq=%p if_idx=%u rxq=%u tag=%u off=%#llx len=%u src=%pISpc dest=%pISpc",
		  __entry->ifq, __entry->if_idx, __entry->rxq, __entry->tag,
		  __entry->off, __entry->len, __entry->saddr, __entry->daddr)
);

/* Payload is posted where it was copied to */
DEFINE_EVENT(zcrx_piece, zcrx_copy,
	TP_PROTO(const struct zcrx_ifq *ifq, const struct sock *sk, u32 tag,
		 u64 off, u32 len, u32 reason),
	TP_ARGS(ifq, sk, tag, off, len, reason)
);

/* What the NIC gets from now on: chunks, or pages of the kernel */
TRACE_EVENT(zcrx_state,

	TP_PROTO(const struct zcrx_ifq *ifq),

	TP_ARGS(ifq),

	TP_STRUCT__entry(
		__field(const struct zcrx_ifq *, ifq)
		__field(u32, if_idx)
		__field(u32, rxq)
		__field(u32, free)
		__field(bool, copy)
	),

	TP_fast_assign(
		__entry->ifq	= ifq;
		__entry->if_idx	= ifq->if_idx;
		__entry->rxq	= ifq->rxq;
		__entry->free	= ifq->nr_free;
		__entry->copy	= ifq->state == ZCRX_COPY;
	),

	TP_printk("ifq=%p if_idx=%u rxq=%u state=%s free=%u",
		  __entry->ifq, __entry->if_idx, __entry->rxq,
		  __entry->copy ? "copy" : "on", __entry->free)
);

#endif /* _TRACE_ZCRX_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
