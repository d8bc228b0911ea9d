// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* zcrxctl top: counts what each ifq receives */
#include "record.bpf.h"

const char _license[] SEC("license") = "Dual MIT/GPL";

/* Those that have received nothing for long go. */
#define MAX_IFQS	4096

/* By an ifq's address, which is one of the kernel's */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_IFQS);
	__type(key, __u64);
	__type(value, struct count);
} counts SEC(".maps");

/* The kernel holds the ifq's lock: nobody else writes to its count. */
static __always_inline struct count *count_of(struct zcrx_copy *record)
{
	const struct count none = { .if_idx = 0 };
	__u64 ifq = record->ifq;
	struct count *count;

	count = bpf_map_lookup_elem(&counts, &ifq);
	if (!count) {
		bpf_map_update_elem(&counts, &ifq, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&counts, &ifq);
	}
	if (!count)
		return 0;
	count->if_idx = record->if_idx;
	count->rxq = record->rxq;
	count->pid = bpf_get_current_pid_tgid() >> 32;

	return count;
}

SEC("tp/zcrx/zcrx_recv")
int count_recv(struct zcrx_copy *record)
{
	struct count *count = count_of(record);

	if (count)
		count->zc_bytes += record->len;

	return 0;
}

SEC("tp/zcrx/zcrx_copy")
int count_copy(struct zcrx_copy *record)
{
	struct count *count = count_of(record);
	__u32 reason = record->reason;

	if (count && reason < IORING_ZCRX_COPY_NR) {
		count->copies++;
		count->copied[reason] += record->len;
	}

	return 0;
}
