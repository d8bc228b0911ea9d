// SPDX-License-Identifier: GPL-2.0
/* What /proc/PID/fdinfo says of ifqs, for rings and exported files */

#include <linux/io_uring_types.h>
#include <linux/seq_file.h>

#include "ifq.h"
#include "member.h"
#include "zcrx.h"

/* Others may change it meanwhile; nothing but what is shown depends on it. */
#define PEEK(_x)	data_race(READ_ONCE(_x))

static const char *state_name(const struct zcrx_ifq *ifq)
{
	if (ifq->flags & ZCRX_REG_NODEV)
		return "nodev";
	if (!READ_ONCE(ifq->netdev))
		return "unbound";
	return READ_ONCE(ifq->state) == ZCRX_COPY ? "copy" : "on";
}

/**
 * zcrx_ifq_show() - an ifq and its counters
 * @ifq: any
 * @id: what the ifq is called there
 * @m: where to
 *
 * Without the ifq's locks: figures that change under way may not add up.
 */
void zcrx_ifq_show(const struct zcrx_ifq *ifq, u32 id, struct seq_file *m)
{
	const struct zcrx_counters *c = &ifq->counters;
	u64 taken = PEEK(ifq->refill.nr_taken);
	u64 posted = PEEK(c->posted);

	seq_printf(m, "zcrx-%u: if_idx=%u rxq=%u state=%s areas=%u chunks=%u free=%u held=%llu",
		   id, ifq->if_idx, ifq->rxq, state_name(ifq), zcrx_ifq_nr_areas(ifq),
		   PEEK(ifq->nr_chunks), PEEK(ifq->nr_free),
		   posted - min(posted, taken));
	seq_printf(m, " lent_pages=%llu lent_now=%d invalid_refills=%llu pauses=%llu ends=%llu state_changes=%llu",
		   atomic64_read(&ifq->nr_lent), atomic_read(&ifq->nr_lent_now),
		   PEEK(ifq->refill.nr_invalid), PEEK(c->pauses), PEEK(c->ends),
		   PEEK(ifq->nr_state_changes));
	seq_printf(m, " zc_bytes=%llu copies=%llu copied_linear=%llu copied_page=%llu copied_foreign=%llu\n",
		   PEEK(c->zc_bytes), PEEK(c->copies),
		   PEEK(c->copied_bytes[IORING_ZCRX_COPY_LINEAR]),
		   PEEK(c->copied_bytes[IORING_ZCRX_COPY_PAGE]),
		   PEEK(c->copied_bytes[IORING_ZCRX_COPY_FOREIGN]));
}

/**
 * io_zcrx_show_fdinfo() - a ring's ifqs and their counters
 * @ctx: the ring, with uring_lock held
 * @m: where to
 */
void io_zcrx_show_fdinfo(struct io_ring_ctx *ctx, struct seq_file *m)
{
	struct zcrx_member *member;
	unsigned long id;

	xa_for_each(&ctx->zcrx_members, id, member)
		zcrx_ifq_show(member->ifq, id, m);
}
