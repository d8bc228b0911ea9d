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
 * @cq_entries: size of its completion queue
 * @sqe_flags: for requests
 * @ioprio: for requests, on top of what @mode needs
 * @args: what the ifq is registered with
 * @ifq: the ifq
 * @flows: connections
 * @nr_flows: their number
 * @nr_eof: how many of them have ended
 * @ended: by flow: its request has ended, with this result
 * @held: pieces not yet given back
 * @nr_held: their number
 * @size_held: room for how many
 * @refill_full: some of them should have been given back, but found no room
 * @hold: give back half of the pieces when there are so many
 * @bytes: received in all
 * @copied: of these, bytes that the kernel says it copied (rbuf only)
 * @cancelled: the first flow's request is about to be cancelled
 * @nr_ended_early: how often a request ended for want of room (cqe32 only)
 * @rnd: state for random order
 * @why: what went wrong
 */
struct receiver {
	enum receiver_mode	mode;
	struct uring		ring;
	__u32			cq_entries;
	__u8			sqe_flags;
	__u16			ioprio;
	struct ifq_args		args;
	struct ifq		ifq;
	struct flow		flows[RECEIVER_MAX_FLOWS];
	unsigned int		nr_flows;
	unsigned int		nr_eof;
	struct {
		bool		now;
		int		res;
	} ended[RECEIVER_MAX_FLOWS];
	struct piece		*held;
	unsigned int		nr_held;
	unsigned int		size_held;
	bool			refill_full;
	unsigned int		hold;
	__u64			bytes;
	__u64			copied;
	bool			cancelled;
	unsigned int		nr_ended_early;
	__u64			rnd;
	char			why[256];
};

#define RECEIVER_ENTRIES	4096

void receiver_prepare(struct receiver *r, enum receiver_mode mode,
		      size_t area_size);
int receiver_register(struct receiver *r);
bool receiver_open(struct receiver *r, enum receiver_mode mode,
		   size_t area_size);
bool receiver_connect(struct receiver *r, const char *host, unsigned int nr,
		      __u64 bytes, size_t write_size);
bool receiver_run(struct receiver *r, __u64 bytes);
bool receiver_finish(struct receiver *r);
void receiver_close(struct receiver *r);

#endif
