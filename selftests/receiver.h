/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Receives flows through an ifq, checks every byte where it lies, and gives
 * chunks back late and out of order, after having checked them once more.
 */
#ifndef ZCRX_SELFTEST_RECEIVER_H
#define ZCRX_SELFTEST_RECEIVER_H

#include <linux/types.h>
#include <stdbool.h>

#include "flow.h"
#include "ifq.h"
#include "uring.h"

#define RECEIVER_MAX_FLOWS	8

/* Completions with this user_data are not the receiver's. */
#define RECEIVER_NOT_MINE	1000

/* These are events of the ifq. */
#define RECEIVER_EVENT		1001

/* From here on they are somebody else's: see struct receiver. */
#define RECEIVER_OTHERS		(1U << 16)
#define RECEIVER_MAX_EVENTS	32

/* How completions come, and with which kind of request */
enum receiver_mode {
	RECV_RBUF,
	RECV_RBUF_ONESHOT,
	RECV_CQE32,
};

/* A received buffer that has not been given back */
struct piece {
	__u64		off;
	__u64		stream_off;
	__u32		len;
	unsigned int	flow;
};

/**
 * struct receiver - a ring, its ifq, and connections
 * @mode: how to receive
 * @ring: the io_uring
 * @ring_flags: to set it up with
 * @cq_entries: size of its completion queue
 * @sqe_flags: for requests; fixed files have the numbers of their flows
 * @ioprio: for requests, on top of what @mode needs
 * @args: what the ifq is registered with
 * @ifq: the ifq
 * @rcvbuf: how much a connection may hold, if not what the system's settings say
 * @flows: connections
 * @nr_flows: their number
 * @requests: where requests go: to @ring, or to another one...
 * @requests_id: ...which knows the ifq by this name
 * @nr_eof: how many of them have ended
 * @end_res: what a request says at the end of its flow: 0, or an error, and then
 *	     no digest has come
 * @ended: by flow: its request has ended, with this result; or earlier, for
 *	   want of room or memory, and is to be made again
 * @held: pieces not yet given back
 * @nr_held: their number
 * @size_held: room for how many
 * @refill_full: some of them should have been given back, but found no room
 * @hold: give back half of the pieces when there are so many
 * @release_each: entry of the rbuf ring before its piece may be given back, so
 *	that whoever is killed leaves none that was
 * @keep: give nothing back, and leave requests alone that have ended
 * @hand_on: has somebody else check a piece once more, and give it back; or NULL
 * @other: takes completions of requests that are not the receiver's
 * @leave_cqes: don't look at the completion ring (rbuf only)
 * @poll: somebody else may be woken by what is for us
 * @bytes: received in all
 * @area_bytes: by area
 * @nr_pieces: in so many pieces
 * @copied: of @bytes, what the kernel says it copied (rbuf only)
 * @copied_for: of @copied, by enum io_uring_zcrx_copy_reason
 * @nr_copied: in so many pieces
 * @nr_chunk_uses: how many chunks the pieces filled, if all is copied
 * @last_off: end of the last piece
 * @cancelled: the first flow's request is about to be cancelled
 * @starved: the kernel gets no memory where it can't wait for it, and requests
 *	may end for that
 * @stalled: receiver_run() gave up, since nothing came
 * @nr_ended_early: how often a request ended for want of room, or of memory
 * @early_res: what the first of these said
 * @nr_kicks: how often the kernel wanted to be kicked
 * @nr_events: of the ifq, by type
 * @rnd: state for random order
 * @why: what went wrong
 */
struct receiver {
	enum receiver_mode	mode;
	struct uring		ring;
	__u32			ring_flags;
	__u32			cq_entries;
	__u8			sqe_flags;
	__u16			ioprio;
	struct ifq_args		args;
	struct ifq		ifq;
	int			rcvbuf;
	struct flow		flows[RECEIVER_MAX_FLOWS];
	unsigned int		nr_flows;
	struct uring		*requests;
	__u32			requests_id;
	unsigned int		nr_eof;
	int			end_res;
	struct {
		bool		now;
		bool		early;
		int		res;
	} ended[RECEIVER_MAX_FLOWS];
	struct piece		*held;
	unsigned int		nr_held;
	unsigned int		size_held;
	bool			refill_full;
	unsigned int		hold;
	bool			release_each;
	bool			keep;
	bool			(*hand_on)(struct receiver *r,
					   const struct piece *piece);
	bool			(*other)(struct receiver *r,
					 const struct io_uring_cqe *cqe);
	bool			leave_cqes;
	bool			poll;
	__u64			bytes;
	__u64			area_bytes[IFQ_MAX_AREAS];
	unsigned int		nr_pieces;
	__u64			copied;
	__u64			copied_for[IORING_ZCRX_COPY_NR];
	unsigned int		nr_copied;
	unsigned int		nr_chunk_uses;
	__u64			last_off;
	bool			cancelled;
	bool			starved;
	bool			stalled;
	unsigned int		nr_ended_early;
	int			early_res;
	unsigned int		nr_kicks;
	unsigned int		nr_events[RECEIVER_MAX_EVENTS];
	__u64			rnd;
	char			why[256];
};

#define RECEIVER_ENTRIES	4096
#define RECEIVER_RING_KINDS	4

__u32 receiver_ring_flags(enum receiver_mode mode, unsigned int nr);
void *receiver_mmap(size_t size);
int receiver_memfd(size_t size);
void receiver_prepare(struct receiver *r, enum receiver_mode mode,
		      size_t area_size);
int receiver_register(struct receiver *r);
int receiver_register_with(struct receiver *r, const struct uring *ring);
int receiver_import(struct receiver *r, enum receiver_mode mode, int fd,
		    const struct ifq *exported);
bool receiver_open(struct receiver *r, enum receiver_mode mode,
		   size_t area_size);
bool receiver_connect(struct receiver *r, const char *host, unsigned int nr,
		      __u64 bytes, size_t write_size);
bool receiver_connect_with(struct receiver *r, const char *host,
			   unsigned int nr, __u64 bytes, size_t write_size,
			   const char *headers);
void receiver_add_flow(struct receiver *r, const struct flow *flow);
bool receiver_run(struct receiver *r, __u64 bytes);
bool receiver_poll(struct receiver *r);
bool receiver_keep(struct receiver *r, unsigned int ms);
bool receiver_release(struct receiver *r);
bool receiver_run_to_copy(struct receiver *r, __u64 bytes);
bool receiver_run_in_place(struct receiver *r, __u64 bytes, __u64 limit);
bool receiver_finish(struct receiver *r);
bool receiver_give_back_all(struct receiver *r);
bool receiver_check_counters(struct receiver *r);
void receiver_disconnect(struct receiver *r);
void receiver_close_ring(struct receiver *r);
void receiver_close(struct receiver *r);

#endif
