// SPDX-License-Identifier: GPL-2.0
/* The copy fallback: payload that is not in a chunk is copied to one */

#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "area.h"
#include "copy.h"
#include "ifq.h"

/**
 * zcrx_copy_prepare() - have room to copy at least one byte
 * @ifq: where to; under its lock
 *
 * Return: false if no chunk is free, and none is in the refill ring.
 */
bool zcrx_copy_prepare(struct zcrx_ifq *ifq)
{
	struct zcrx_copy *copy = &ifq->copy;

	if (copy->chunk && copy->used >> ifq->chunk_shift)
		zcrx_copy_close(ifq);
	if (copy->chunk)
		return true;

	copy->chunk = zcrx_chunk_take_free(ifq);
	if (!copy->chunk) {
		zcrx_refill_flush(ifq);
		copy->chunk = zcrx_chunk_take_free(ifq);
	}
	if (!copy->chunk)
		zcrx_event_raise(ifq, ZCRX_EVENT_ALLOC_FAIL);
	return copy->chunk;
}

/**
 * zcrx_copy_piece() - copy bytes behind those copied before
 * @ifq: where to, zcrx_copy_prepare() was successful; under its lock
 * @src: in kernel memory or a page
 * @len: in bytes, not 0
 *
 * The piece is in ifq->copy.chunk and ends at ifq->copy.used. No other function
 * lets a CPU write to a chunk, and it is not inlined: whoever wants to see
 * copies can count its calls.
 *
 * Return: how many bytes were copied, at least 1.
 */
noinline u32 zcrx_copy_piece(struct zcrx_ifq *ifq, const void *src, u32 len)
{
	struct zcrx_copy *copy = &ifq->copy;
	u32 size = 1U << ifq->chunk_shift;

	len = min(len, size - copy->used);
	memcpy(page_address(copy->chunk->niov.page) + copy->used, src, len);
	copy->used += len;
	return len;
}

/**
 * zcrx_copy_close() - leave the current chunk to the pieces in it
 * @ifq: whose; under its lock
 */
void zcrx_copy_close(struct zcrx_ifq *ifq)
{
	struct zcrx_copy *copy = &ifq->copy;

	if (!copy->chunk)
		return;

	zcrx_chunk_put(copy->chunk);
	copy->chunk = NULL;
	copy->used = 0;
}
