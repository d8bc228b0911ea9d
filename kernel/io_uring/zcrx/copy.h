/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IOU_ZCRX_COPY_H
#define IOU_ZCRX_COPY_H

#include <linux/types.h>

struct zcrx_chunk;
struct zcrx_ifq;

/**
 * struct zcrx_copy - the chunk that copied bytes go to
 * @chunk: the copy fallback has a reference; NULL if there is none yet
 * @used: bytes of it
 *
 * Pieces are packed: each begins where the one before ended.
 */
struct zcrx_copy {
	struct zcrx_chunk	*chunk;
	u32			used;
};

bool zcrx_copy_prepare(struct zcrx_ifq *ifq);
u32 zcrx_copy_piece(struct zcrx_ifq *ifq, const void *src, u32 len);
void zcrx_copy_close(struct zcrx_ifq *ifq);

#endif /* IOU_ZCRX_COPY_H */
