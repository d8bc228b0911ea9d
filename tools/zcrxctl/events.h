/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What BPF programs and zcrxctl tell each other */
#ifndef ZCRXCTL_EVENTS_H
#define ZCRXCTL_EVENTS_H

#include <linux/io_uring/zcrx.h>
#include <linux/types.h>

/* Size of a struct sockaddr_in6, which is larger than a sockaddr_in */
#define EVENT_ADDRESS	28

/**
 * struct count - what an ifq has received since counting began
 * @if_idx: index of its interface, 0 if there is none
 * @rxq: its receive queue
 * @pid: of the process that received last
 * @zc_bytes: in place
 * @copies: pieces copied
 * @copied: their bytes, for each reason
 */
struct count {
	__u32	if_idx;
	__u32	rxq;
	__u32	pid;
	__u32	unused;
	__u64	zc_bytes;
	__u64	copies;
	__u64	copied[IORING_ZCRX_COPY_NR];
};

/**
 * struct copy - a piece that was copied
 * @when: nanoseconds since the machine was started
 * @if_idx: index of the ifq's interface, 0 if there is none
 * @rxq: its receive queue
 * @pid: of the process that received it
 * @tag: of the request
 * @len: bytes
 * @reason: enum io_uring_zcrx_copy_reason
 * @name: of the process
 * @to: a sockaddr, local end of the connection
 * @from: likewise its remote end
 */
struct copy {
	__u64	when;
	__u32	if_idx;
	__u32	rxq;
	__u32	pid;
	__u32	tag;
	__u32	len;
	__u32	reason;
	char	name[16];
	__u8	to[EVENT_ADDRESS];
	__u8	from[EVENT_ADDRESS];
};

#endif
