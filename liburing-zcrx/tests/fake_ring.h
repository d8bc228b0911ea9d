/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * An io_uring in memory, one at a time, in place of those functions of liburing
 * that enter the kernel. What comes by a RECV_ZC request is what the test says;
 * polls and timeouts are real. What is sent goes nowhere.
 */
#ifndef ZCRX_TEST_FAKE_RING_H
#define ZCRX_TEST_FAKE_RING_H

#include "fake.h"

/**
 * struct fake_ring - the ring
 * @fd: its file
 * @unknown_flags: of io_uring_setup(), that the kernel does not know
 * @ret_setup: what comes of making the ring
 * @waiting: the owner sleeps in it
 * @nr_work: how often it has to be entered until it has done its work
 * @says_work: it says that it has some, and has none, until it is woken
 * @no_time: no timeout ends, however slow the machine is
 * @ret_submit: what comes of submitting, nothing is taken then
 * @nr_refusals: how often submitting fails with -EAGAIN
 * @nr_cancels: how often cancelling finds a request that a worker has
 * @ret_buffers: what comes of registering buffers
 * @buffers: the first of those that were registered
 * @late_notification: what the notification names that comes when the kernel is
 *		       entered next; 0: none
 */
struct fake_ring {
	int		fd;
	unsigned int	unknown_flags;
	int		ret_setup;
	bool		waiting;
	unsigned int	nr_work;
	bool		says_work;
	bool		no_time;
	int		ret_submit;
	int		nr_refusals;
	int		nr_cancels;
	int		ret_buffers;
	struct iovec	buffers;
	__u64		late_notification;
};

/**
 * struct fake_send - a request to send, as it was submitted
 * @opcode: IORING_OP_SEND or IORING_OP_SEND_ZC
 * @ioprio: flags of io_uring
 * @flags: of sendmsg()
 * @len: how many bytes
 * @data: which
 * @user_data: the library's
 */
struct fake_send {
	__u8		opcode;
	__u16		ioprio;
	__u32		flags;
	__u32		len;
	const void	*data;
	__u64		user_data;
};

extern struct fake_ring fake_ring;

void fake_ring_reset(enum fake_kind kind);
bool fake_ring_receive(int fd, __u64 off, __u32 len);
bool fake_ring_end(int fd, int res);
const struct fake_send *fake_ring_sends(int fd);
bool fake_ring_sent(int fd, int res);
bool fake_ring_notify(__u64 user_data, int res);

#endif
