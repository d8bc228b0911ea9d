// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* zcrxctl trace: tells of each piece that is copied */
#include "record.bpf.h"

const char _license[] SEC("license") = "Dual MIT/GPL";

#define BUFFER_SIZE	(1 << 20)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, BUFFER_SIZE);
} copies SEC(".maps");

/* For which there was no room */
__u64 nr_lost;

SEC("tp/zcrx/zcrx_copy")
int trace_copy(struct zcrx_copy *record)
{
	struct copy *copy = bpf_ringbuf_reserve(&copies, sizeof(*copy), 0);

	if (!copy) {
		__sync_fetch_and_add(&nr_lost, 1);
		return 0;
	}
	copy->when = bpf_ktime_get_ns();
	copy->if_idx = record->if_idx;
	copy->rxq = record->rxq;
	copy->pid = bpf_get_current_pid_tgid() >> 32;
	copy->tag = record->tag;
	copy->len = record->len;
	copy->reason = record->reason;
	bpf_get_current_comm(copy->name, sizeof(copy->name));
	bpf_core_read(copy->to, sizeof(copy->to), &record->saddr);
	bpf_core_read(copy->from, sizeof(copy->from), &record->daddr);
	bpf_ringbuf_submit(copy, 0);

	return 0;
}
