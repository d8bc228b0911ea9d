/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rbuf ring: the kernel produces, the user consumes
 *
 *	kernel (zcrx_ifq.lock)			user (one thread at a time)
 *
 *	load consumer	 (A)			load producer	 (C)
 *	write entries				read entries
 *	store producer	 (B)			store consumer	 (D)
 *
 * (B) is a store-release that pairs with the load-acquire (C): the user sees
 * whole entries. (D) is a store-release that pairs with the load-acquire (A): the
 * kernel does not overwrite an entry that the user has yet to read.
 *
 * Two more exchanges need a full barrier on both sides between a store and a
 * load, so that at least one side sees what the other stored:
 *
 *  - waking up: the kernel stores the producer and kflags, and then loads uflags
 *    and the consumer; the user stores the consumer and uflags, and then loads
 *    the producer and kflags before it sleeps.
 *  - pausing: the kernel stores kflags and then looks for room and chunks again;
 *    the user stores the consumer, or the refill ring's tail, and then loads
 *    kflags.
 *
 * The user may write anything anywhere. The kernel keeps its own producer and
 * never reads back what it stored; a consumer that makes no sense leaves no room.
 */
#ifndef IOU_ZCRX_RBUF_H
#define IOU_ZCRX_RBUF_H

#include <linux/types.h>

struct io_uring_rbuf_cqe;
struct io_uring_rbuf_hdr;
struct io_uring_rbuf_offsets;
struct zcrx_counters;
struct zcrx_region;

/**
 * struct zcrx_rbuf - the kernel's end of an rbuf ring
 * @hdr: shared
 * @cqes: shared
 * @mask: number of entries - 1
 * @producer: the kernel's own; ahead of the shared one while a batch is posted
 * @published: what was stored last to the shared one
 * @kflags: the kernel's own
 * @kick_untold: who sleeps has yet to be woken for %IORING_RBUF_K_NEED_KICK
 */
struct zcrx_rbuf {
	struct io_uring_rbuf_hdr	*hdr;
	struct io_uring_rbuf_cqe	*cqes;
	u32				mask;
	u32				producer;
	u32				published;
	u32				kflags;
	bool				kick_untold;
};

size_t zcrx_rbuf_size(u32 nr_entries);
void zcrx_rbuf_offsets(struct io_uring_rbuf_offsets *offsets);
void zcrx_rbuf_open(struct zcrx_rbuf *rbuf, const struct zcrx_region *region,
		    u32 nr_entries, struct io_uring_rbuf_offsets *offsets);
bool zcrx_rbuf_has_room(const struct zcrx_rbuf *rbuf);
void zcrx_rbuf_post(struct zcrx_rbuf *rbuf, const struct io_uring_rbuf_cqe *cqe);
bool zcrx_rbuf_publish(struct zcrx_rbuf *rbuf,
		       const struct zcrx_counters *counters);
void zcrx_rbuf_set_need_kick(struct zcrx_rbuf *rbuf);
void zcrx_rbuf_clear_need_kick(struct zcrx_rbuf *rbuf);

#endif /* IOU_ZCRX_RBUF_H */
