// SPDX-License-Identifier: GPL-2.0
/* The ring of received pieces; memory order and trust: see rbuf.h */

#include <linux/compiler.h>
#include <linux/string.h>
#include <asm/barrier.h>

#include "ifq.h"
#include "rbuf.h"

#define ZCRX_RBUF_HDR	0
#define ZCRX_RBUF_CQES	256

static_assert(sizeof(struct io_uring_rbuf_hdr) <= ZCRX_RBUF_CQES);
static_assert(IORING_ZCRX_COPY_NR <=
	      ARRAY_SIZE(((struct io_uring_rbuf_hdr *)0)->copied_bytes));

/**
 * zcrx_rbuf_size() - what an rbuf ring needs
 * @nr_entries: a power of two
 *
 * Return: in bytes.
 */
size_t zcrx_rbuf_size(u32 nr_entries)
{
	return ZCRX_RBUF_CQES + nr_entries * sizeof(struct io_uring_rbuf_cqe);
}

/**
 * zcrx_rbuf_offsets() - where things are in the region
 * @offsets: filled, for the user
 */
void zcrx_rbuf_offsets(struct io_uring_rbuf_offsets *offsets)
{
	offsets->hdr = ZCRX_RBUF_HDR;
	offsets->cqes = ZCRX_RBUF_CQES;
}

/**
 * zcrx_rbuf_open() - put a ring into a region
 * @rbuf: zeroed
 * @region: has zcrx_rbuf_size() bytes
 * @nr_entries: a power of two
 * @offsets: filled, for the user
 */
void zcrx_rbuf_open(struct zcrx_rbuf *rbuf, const struct zcrx_region *region,
		    u32 nr_entries, struct io_uring_rbuf_offsets *offsets)
{
	zcrx_rbuf_offsets(offsets);

	rbuf->hdr = region->ptr + ZCRX_RBUF_HDR;
	rbuf->cqes = region->ptr + ZCRX_RBUF_CQES;
	rbuf->mask = nr_entries - 1;
	memset(rbuf->hdr, 0, sizeof(*rbuf->hdr));
}

/**
 * zcrx_rbuf_has_room() - can one more entry be posted?
 * @rbuf: under the ifq's lock
 *
 * Return: true if it can.
 */
bool zcrx_rbuf_has_room(const struct zcrx_rbuf *rbuf)
{
	/* (A) of rbuf.h */
	u32 used = rbuf->producer - smp_load_acquire(&rbuf->hdr->consumer);

	return used <= rbuf->mask;
}

/**
 * zcrx_rbuf_post() - write an entry
 * @rbuf: has room; under the ifq's lock
 * @cqe: what to write
 *
 * The user sees it after zcrx_rbuf_publish().
 */
void zcrx_rbuf_post(struct zcrx_rbuf *rbuf, const struct io_uring_rbuf_cqe *cqe)
{
	rbuf->cqes[rbuf->producer++ & rbuf->mask] = *cqe;
}

/**
 * zcrx_rbuf_publish() - show the user what was posted
 * @rbuf: under the ifq's lock
 * @counters: shown as well
 *
 * Return: true if the user had seen everything before, or has yet to learn that
 * a kick is needed, and wants to be woken.
 */
bool zcrx_rbuf_publish(struct zcrx_rbuf *rbuf,
		       const struct zcrx_counters *counters)
{
	struct io_uring_rbuf_hdr *hdr = rbuf->hdr;
	u32 before = rbuf->published;
	bool kick;
	int i;

	WRITE_ONCE(hdr->zc_bytes, counters->zc_bytes);
	WRITE_ONCE(hdr->pauses, counters->pauses);
	for (i = 0; i < IORING_ZCRX_COPY_NR; i++)
		WRITE_ONCE(hdr->copied_bytes[i], counters->copied_bytes[i]);

	if (rbuf->producer == before && !rbuf->kick_untold)
		return false;

	kick = rbuf->kick_untold;
	rbuf->kick_untold = false;
	rbuf->published = rbuf->producer;
	smp_store_release(&hdr->producer, rbuf->producer);	/* (B) */

	/* Pairs with the user's, between storing the consumer and sleeping. */
	smp_mb();
	return (READ_ONCE(hdr->uflags) & IORING_RBUF_U_WAKEUP) &&
	       (kick || READ_ONCE(hdr->consumer) == before);
}

static void set_kflags(struct zcrx_rbuf *rbuf, u32 kflags)
{
	rbuf->kflags = kflags;
	WRITE_ONCE(rbuf->hdr->kflags, kflags);

	/* Pairs with the user's, between giving back and looking at kflags. */
	smp_mb();
}

/**
 * zcrx_rbuf_set_need_kick() - tell the user that receiving pauses
 * @rbuf: under the ifq's lock
 *
 * Look for room and chunks once more afterwards.
 */
void zcrx_rbuf_set_need_kick(struct zcrx_rbuf *rbuf)
{
	if (!(rbuf->kflags & IORING_RBUF_K_NEED_KICK))
		rbuf->kick_untold = true;
	set_kflags(rbuf, rbuf->kflags | IORING_RBUF_K_NEED_KICK);
}

/**
 * zcrx_rbuf_clear_need_kick() - the user has kicked
 * @rbuf: under the ifq's lock
 */
void zcrx_rbuf_clear_need_kick(struct zcrx_rbuf *rbuf)
{
	rbuf->kick_untold = false;
	set_kflags(rbuf, rbuf->kflags & ~IORING_RBUF_K_NEED_KICK);
}
