/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the kernel records of a piece that it posts: the tracepoints zcrx_recv and
 * zcrx_copy, which have one layout. Where each member really is libbpf puts into
 * the program when it is loaded (CO-RE), as format.c tells it.
 */
#ifndef ZCRXCTL_RECORD_BPF_H
#define ZCRXCTL_RECORD_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "events.h"

struct zcrx_copy {
	__u64	ifq;
	__u64	off;
	__u32	if_idx;
	__u32	rxq;
	__u32	tag;
	__u32	len;
	__u32	reason;
	__u8	saddr[EVENT_ADDRESS];
	__u8	daddr[EVENT_ADDRESS];
} __attribute__((preserve_access_index));

#endif
