/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IOU_ZCRX_RECV_H
#define IOU_ZCRX_RECV_H

struct io_ring_ctx;
struct zcrx_ifq;

bool zcrx_recv_wake(struct io_ring_ctx *ctx, struct zcrx_ifq *ifq);

#endif /* IOU_ZCRX_RECV_H */
