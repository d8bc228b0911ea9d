/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* BPF programs at the tracepoints of zero-copy receive */
#ifndef ZCRXCTL_LOAD_H
#define ZCRXCTL_LOAD_H

#include <bpf/libbpf.h>

/* Room for the reason why they can't be loaded */
#define LOAD_WHY_SIZE	128

int load_programs(struct bpf_object_skeleton *skeleton,
		  char why[LOAD_WHY_SIZE]);

#endif
