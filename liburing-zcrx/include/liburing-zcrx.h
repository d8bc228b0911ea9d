/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * liburing-zcrx: zero-copy receive over io_uring, beside liburing.
 *
 * An ifq binds a ring to a receive queue of a NIC. The NIC writes TCP payload
 * into areas, memory of the application; completions say where it is; each
 * completion is given back through the refill ring when its bytes have been
 * used. Received bytes are named by one number in both completion forms: the
 * *offset* within the area, with the area's number in the bits above
 * ZCRX_ABI_AREA_SHIFT.
 *
 * Functions return 0 or a positive result, or a negative errno. An ifq is
 * used by one thread at a time, the one that uses its ring. See
 * liburing-zcrx(7).
 *
 * The rings shared with the kernel:
 *
 *   refill ring
 *     producer (here)                     consumer (kernel)
 *     RESERVE: head  LOAD.acq  (A)        PEEK:    tail  LOAD.acq  (B)
 *              room = size - (tail-head)  READ:    entries
 *     WRITE:   entries                    RELEASE: head  STORE.rel (A)
 *     SUBMIT:  tail  STORE.rel (B)
 *
 *   rbuf ring
 *     producer (kernel)                   consumer (here)
 *     RESERVE: consumer LOAD.acq  (A)     PEEK:    producer LOAD.acq  (B)
 *     WRITE:   entries                    READ:    entries
 *     SUBMIT:  producer STORE.rel (B)     RELEASE: consumer STORE.rel (A)
 *
 * (A) orders the consumer's reads of entries before the producer's writes of
 * new ones into the same slots. (B) orders the producer's writes of entries
 * before the consumer's reads of them. In the refill ring, (A) and (B) order
 * in the same way what happens to the bytes: whoever owns them has finished
 * before the other begins.
 *
 * Nobody sleeps on the other's last word: each side stores, then a full
 * barrier, then loads what the other one stores.
 *
 *   wake-up    here:   uflags = WAKEUP      kernel: producer, kflags
 *                      MB (C)                       MB (C)
 *                      both unchanged?              WAKEUP, and all was seen?
 *                      then wait for a CQE          then post a CQE
 *
 *   kick       kernel: kflags = NEED_KICK   here:   consumer, refill tail
 *                      MB (D)                       MB (D)
 *                      still no room?               NEED_KICK?
 *                      then pause                   then resume
 */
#ifndef LIBURING_ZCRX_H
#define LIBURING_ZCRX_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <liburing-zcrx/abi.h>
#include <liburing-zcrx/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/* IORING_OP_RECV_ZC, which liburing before 2.10 does not know */
#define ZCRX_OP_RECV_ZC		58

/* zcrx_area_alloc(): take huge pages of 2 MiB, from the system's pool */
#define ZCRX_AREA_HUGE		(1U << 0)
/* zcrx_area_alloc(): ask for such pages, as far as the kernel has some itself */
#define ZCRX_AREA_THP		(1U << 1)

/* Chunks that have room for a packet, or pages where these can't be had */
#define ZCRX_CHUNK_BY_MTU	1U

/* zcrx_probe() */
#define ZCRX_HAS_CQE32		(1U << 0)
#define ZCRX_HAS_RBUF		(1U << 1)

/**
 * struct zcrx_area - memory to receive into
 * @addr: page aligned
 * @size: in bytes, whole pages
 */
struct zcrx_area {
	void	*addr;
	size_t	size;
};

/**
 * struct zcrx_params - what to register
 * @if_idx: index of the network interface, see if_nametoindex(3)
 * @rxq: index of its receive queue
 * @chunk_size: in: bytes that the NIC gets in one piece, a power of two; 0: a
 *		page; or ZCRX_CHUNK_BY_MTU; out: what it is
 * @refill_entries: in: size of the refill ring; out: rounded up to a power of
 *		    two
 * @rbuf_entries: in: size of the rbuf ring, 0 to get a 32-byte CQE for each
 *		  buffer instead; out: rounded up to a power of two
 * @flags: further ones of enum zcrx_abi_reg_flags
 */
struct zcrx_params {
	unsigned int	if_idx;
	unsigned int	rxq;
	unsigned int	chunk_size;
	unsigned int	refill_entries;
	unsigned int	rbuf_entries;
	unsigned int	flags;
};

/* Our side of the refill ring. */
struct zcrx_refill_ring {
	__u32	*khead;
	__u32	*ktail;
	void	*rqes;
	__u32	nr_entries;
	__u32	head;		/* the kernel's, when it last mattered */
	__u32	tail;		/* how far we have written */
};

/* Our side of the rbuf ring. */
struct zcrx_rbuf_ring {
	struct zcrx_rbuf_hdr	*hdr;	/* NULL: there is no rbuf ring */
	struct zcrx_rbuf_cqe	*cqes;
	__u32			nr_entries;
	__u32			producer;	/* the kernel's, as last seen */
	__u32			consumer;	/* how far we have released */
};

/**
 * struct zcrx_ifq - a registered interface queue
 * @refill: to be used through the functions below
 * @rbuf: likewise
 * @area_addrs: address of each area
 * @id: the kernel's name for it, within the ring
 * @ring: registered with
 * @mem: memory of the rings
 * @mem_size: in bytes
 * @rbuf_mem: memory of the rbuf ring, if that is another
 * @rbuf_mem_size: in bytes
 */
struct zcrx_ifq {
	struct zcrx_refill_ring	refill;
	struct zcrx_rbuf_ring	rbuf;
	void			**area_addrs;
	__u32			id;
	struct io_uring		*ring;
	void			*mem;
	size_t			mem_size;
	void			*rbuf_mem;
	size_t			rbuf_mem_size;
};

/**
 * struct zcrx_counters - what the kernel counted
 * @zc_bytes: bytes delivered where the NIC wrote them
 * @copied_bytes: bytes that had to be copied, whatever the reason
 * @pauses: how often receiving paused for want of ring space or chunks
 */
struct zcrx_counters {
	__u64	zc_bytes;
	__u64	copied_bytes;
	__u64	pauses;
};

const char *zcrx_error(void);

int zcrx_probe(void);

int zcrx_area_alloc(struct zcrx_area *area, size_t size, unsigned int flags);
void zcrx_area_free(struct zcrx_area *area);

int zcrx_register(struct io_uring *ring, struct zcrx_params *params,
		  const struct zcrx_area *areas, unsigned int nr_areas,
		  struct zcrx_ifq *ifq);
void zcrx_unregister(struct zcrx_ifq *ifq);

int zcrx_resume(struct zcrx_ifq *ifq);

/*
 * Requests
 */

/**
 * zcrx_prep_recv() - receive what a socket holds, once
 * @sqe: to be filled in; user_data is left alone
 * @ifq: with an rbuf ring
 * @fd: connected TCP socket
 * @len: bytes at most, 0 for no limit
 * @tag: comes back in the rbuf entries
 *
 * Completes with the number of bytes that were posted, 0 at the end of the
 * stream.
 */
static inline void zcrx_prep_recv(struct io_uring_sqe *sqe,
				  const struct zcrx_ifq *ifq, int fd,
				  unsigned int len, __u32 tag)
{
	io_uring_prep_rw(ZCRX_OP_RECV_ZC, sqe, fd, NULL, len, 0);
	sqe->splice_fd_in = (__s32)ifq->id;
	sqe->addr3 = ifq->rbuf.hdr ? tag : 0;
}

/**
 * zcrx_prep_recv_multishot() - receive until the end of the stream
 * @sqe: to be filled in; user_data is left alone
 * @ifq: where to
 * @fd: connected TCP socket
 * @len: bytes in all, 0 for no limit
 * @tag: comes back in the rbuf entries; a 32-byte CQE has its user_data alone
 *
 * Completions have IORING_CQE_F_MORE set. The last one has not: its res is 0,
 * or a negative errno.
 */
static inline void zcrx_prep_recv_multishot(struct io_uring_sqe *sqe,
					    const struct zcrx_ifq *ifq, int fd,
					    unsigned int len, __u32 tag)
{
	zcrx_prep_recv(sqe, ifq, fd, len, tag);
	sqe->ioprio = IORING_RECV_MULTISHOT;
}

/*
 * Received bytes
 */

/**
 * zcrx_data() - where bytes are
 * @ifq: received by
 * @off: their offset
 *
 * Return: their address.
 */
static inline void *zcrx_data(const struct zcrx_ifq *ifq, __u64 off)
{
	char *addr = (char *)ifq->area_addrs[off >> ZCRX_ABI_AREA_SHIFT];

	return addr + (off & ~ZCRX_ABI_AREA_MASK);
}

/**
 * zcrx_rbuf_peek() - PEEK: how many entries of the rbuf ring are there?
 * @ifq: with an rbuf ring
 *
 * Return: their number, counted from the last release.
 */
static inline unsigned int zcrx_rbuf_peek(struct zcrx_ifq *ifq)
{
	struct zcrx_rbuf_ring *rbuf = &ifq->rbuf;

	rbuf->producer = __atomic_load_n(&rbuf->hdr->producer,
					 __ATOMIC_ACQUIRE);	/* B */

	return rbuf->producer - rbuf->consumer;
}

/**
 * zcrx_rbuf_read() - READ an entry of the rbuf ring
 * @ifq: with an rbuf ring
 * @idx: which one, counted from the last release
 *
 * Return: the entry, in place until it is released, or NULL if there is none.
 */
static inline const struct zcrx_rbuf_cqe *
zcrx_rbuf_read(struct zcrx_ifq *ifq, unsigned int idx)
{
	struct zcrx_rbuf_ring *rbuf = &ifq->rbuf;

	if (idx >= rbuf->producer - rbuf->consumer &&
	    idx >= zcrx_rbuf_peek(ifq))
		return NULL;

	return &rbuf->cqes[(rbuf->consumer + idx) & (rbuf->nr_entries - 1)];
}

/**
 * zcrx_rbuf_release() - RELEASE entries of the rbuf ring to the kernel
 * @ifq: with an rbuf ring
 * @nr: how many, oldest first
 *
 * This is about entries. The bytes go back by the refill ring.
 */
static inline void zcrx_rbuf_release(struct zcrx_ifq *ifq, unsigned int nr)
{
	struct zcrx_rbuf_ring *rbuf = &ifq->rbuf;

	rbuf->consumer += nr;
	__atomic_store_n(&rbuf->hdr->consumer, rbuf->consumer,
			 __ATOMIC_RELEASE);			/* A */
}

/**
 * zcrx_for_each_rbuf() - read all entries of the rbuf ring
 * @ifq: with an rbuf ring
 * @nr: unsigned int, afterwards the number to release
 * @rbuf: const struct zcrx_rbuf_cqe *, the entry
 */
#define zcrx_for_each_rbuf(ifq, nr, rbuf) \
	for ((nr) = 0; ((rbuf) = zcrx_rbuf_read(ifq, nr)) != NULL; (nr)++)

/**
 * zcrx_rbuf_off() - what an entry announces
 * @rbuf: entry of the rbuf ring
 *
 * Return: offset of its bytes.
 */
static inline __u64 zcrx_rbuf_off(const struct zcrx_rbuf_cqe *rbuf)
{
	return (__u64)rbuf->region << ZCRX_ABI_AREA_SHIFT | rbuf->off;
}

/**
 * zcrx_rbuf_data() - where the bytes of an entry are
 * @ifq: received by
 * @rbuf: entry of the rbuf ring
 *
 * Return: their address.
 */
static inline void *zcrx_rbuf_data(const struct zcrx_ifq *ifq,
				   const struct zcrx_rbuf_cqe *rbuf)
{
	return (char *)ifq->area_addrs[rbuf->region] + rbuf->off;
}

/**
 * zcrx_cqe32_has_data() - does a CQE announce bytes?
 * @cqe: of a RECV_ZC request, in a ring without rbuf
 *
 * Return: true if cqe->res bytes are at zcrx_cqe32_off(); false if the
 * request has ended.
 */
static inline bool zcrx_cqe32_has_data(const struct io_uring_cqe *cqe)
{
	return cqe->res > 0 && (cqe->flags & IORING_CQE_F_MORE);
}

/**
 * zcrx_cqe32_off() - what a CQE announces
 * @cqe: for which zcrx_cqe32_has_data() is true
 *
 * Return: offset of its bytes.
 */
static inline __u64 zcrx_cqe32_off(const struct io_uring_cqe *cqe)
{
	return ((const struct zcrx_abi_cqe *)(cqe + 1))->off;
}

/**
 * zcrx_cqe32_data() - where the bytes of a CQE are
 * @ifq: received by
 * @cqe: for which zcrx_cqe32_has_data() is true
 *
 * Return: their address.
 */
static inline void *zcrx_cqe32_data(const struct zcrx_ifq *ifq,
				    const struct io_uring_cqe *cqe)
{
	return zcrx_data(ifq, zcrx_cqe32_off(cqe));
}

/*
 * Giving back
 */

/**
 * zcrx_refill_reserve() - RESERVE entries of the refill ring
 * @ifq: where to give back
 * @nr: how many are wanted
 *
 * Return: how many may be written, at most @nr.
 */
static inline unsigned int zcrx_refill_reserve(struct zcrx_ifq *ifq,
					       unsigned int nr)
{
	struct zcrx_refill_ring *refill = &ifq->refill;
	unsigned int room;

	room = refill->nr_entries - (refill->tail - refill->head);
	if (room < nr) {
		refill->head = __atomic_load_n(refill->khead,
					       __ATOMIC_ACQUIRE);	/* A */
		room = refill->nr_entries - (refill->tail - refill->head);
	}

	return room < nr ? room : nr;
}

/**
 * zcrx_refill_write() - WRITE one reserved entry
 * @ifq: where to give back
 * @off: offset of a completion; nobody looks at its bytes any more
 *
 * Once for each completion, in any order.
 */
static inline void zcrx_refill_write(struct zcrx_ifq *ifq, __u64 off)
{
	struct zcrx_refill_ring *refill = &ifq->refill;
	__u32 idx = refill->tail++ & (refill->nr_entries - 1);

	if (ifq->rbuf.hdr) {
		struct zcrx_rbuf_rqe *rqe = (struct zcrx_rbuf_rqe *)refill->rqes;

		rqe += idx;
		rqe->off = (__u32)off;
		rqe->len = 0;
		rqe->region = (__u16)(off >> ZCRX_ABI_AREA_SHIFT);
		rqe->pad = 0;
		rqe->pad2 = 0;
	} else {
		struct zcrx_abi_rqe *rqe = (struct zcrx_abi_rqe *)refill->rqes;

		rqe += idx;
		rqe->off = off;
		rqe->len = 0;
		rqe->pad = 0;
	}
}

/**
 * zcrx_refill_submit() - SUBMIT what has been written
 * @ifq: where to give back
 */
static inline void zcrx_refill_submit(struct zcrx_ifq *ifq)
{
	__atomic_store_n(ifq->refill.ktail, ifq->refill.tail,
			 __ATOMIC_RELEASE);			/* B */
}

/**
 * zcrx_refill() - give one completion back
 * @ifq: where to give back
 * @off: its offset; nobody looks at its bytes any more
 *
 * Return: 0, or -EAGAIN: the refill ring is full, keep the offset and try
 * again later.
 */
static inline int zcrx_refill(struct zcrx_ifq *ifq, __u64 off)
{
	if (!zcrx_refill_reserve(ifq, 1))
		return -EAGAIN;
	zcrx_refill_write(ifq, off);
	zcrx_refill_submit(ifq);

	return 0;
}

/*
 * Waiting, and pauses
 */

/**
 * zcrx_rbuf_prepare_wait() - ask for a CQE when there is something to do
 * @ifq: with an rbuf ring, all entries released
 *
 * Return: true if waiting for a CQE is safe; false if there are entries, or
 * receiving has paused, see zcrx_kick().
 */
static inline bool zcrx_rbuf_prepare_wait(struct zcrx_ifq *ifq)
{
	__atomic_store_n(&ifq->rbuf.hdr->uflags, ZCRX_RBUF_U_WAKEUP,
			 __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);		/* C */

	return !zcrx_rbuf_peek(ifq) &&
	       !(__atomic_load_n(&ifq->rbuf.hdr->kflags, __ATOMIC_RELAXED) &
		 ZCRX_RBUF_K_NEED_KICK);
}

/**
 * zcrx_submit_and_wait() - submit requests, and wait for something to do
 * @ifq: any
 *
 * Returns when there are entries in the rbuf ring, or CQEs, or receiving has
 * paused. Does not wait for a CQE if one of the others is so already.
 *
 * Return: 0 or more, or a negative errno, as io_uring_submit_and_wait(3).
 */
static inline int zcrx_submit_and_wait(struct zcrx_ifq *ifq)
{
	if (!ifq->rbuf.hdr || zcrx_rbuf_prepare_wait(ifq))
		return io_uring_submit_and_wait(ifq->ring, 1);

	/* Such a ring does no work unless it is asked to, and the rbuf ring
	 * need never become empty.
	 */
	if (ifq->ring->flags & IORING_SETUP_DEFER_TASKRUN)
		return io_uring_submit_and_get_events(ifq->ring);

	return io_uring_submit(ifq->ring);
}

/**
 * zcrx_rbuf_finish_wait() - ask for no more CQEs: the ring is being polled
 * @ifq: with an rbuf ring
 */
static inline void zcrx_rbuf_finish_wait(struct zcrx_ifq *ifq)
{
	__atomic_store_n(&ifq->rbuf.hdr->uflags, 0, __ATOMIC_RELAXED);
}

/**
 * zcrx_needs_kick() - has receiving paused?
 * @ifq: any
 *
 * To be called after releasing entries and submitting refills.
 *
 * Return: whether it takes zcrx_resume() to go on.
 */
static inline bool zcrx_needs_kick(const struct zcrx_ifq *ifq)
{
	if (!ifq->rbuf.hdr)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);		/* D */

	return __atomic_load_n(&ifq->rbuf.hdr->kflags, __ATOMIC_RELAXED) &
	       ZCRX_RBUF_K_NEED_KICK;
}

/**
 * zcrx_kick() - go on receiving if it has paused
 * @ifq: any; entries were released and refills submitted
 *
 * Return: 0 or a negative errno, see zcrx_resume(3).
 */
static inline int zcrx_kick(struct zcrx_ifq *ifq)
{
	return zcrx_needs_kick(ifq) ? zcrx_resume(ifq) : 0;
}

/**
 * zcrx_read_counters() - what has the kernel counted?
 * @ifq: with an rbuf ring
 * @counters: filled in
 */
static inline void zcrx_read_counters(const struct zcrx_ifq *ifq,
				      struct zcrx_counters *counters)
{
	const struct zcrx_rbuf_hdr *hdr = ifq->rbuf.hdr;
	unsigned int i;

	counters->zc_bytes = __atomic_load_n(&hdr->zc_bytes, __ATOMIC_RELAXED);
	counters->pauses = __atomic_load_n(&hdr->pauses, __ATOMIC_RELAXED);
	counters->copied_bytes = 0;
	for (i = 0; i < sizeof(hdr->copied_bytes) / sizeof(__u64); i++)
		counters->copied_bytes +=
			__atomic_load_n(&hdr->copied_bytes[i],
					__ATOMIC_RELAXED);
}

#ifdef __cplusplus
}
#endif

#endif
