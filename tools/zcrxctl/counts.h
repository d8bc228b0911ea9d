/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What ifqs receive, counted by BPF */
#ifndef ZCRXCTL_COUNTS_H
#define ZCRXCTL_COUNTS_H

#include "events.h"
#include "load.h"
#include "survey.h"

/**
 * struct counted - an ifq that has received something
 * @address: the kernel's, to tell it from others
 * @count: what it has received
 */
struct counted {
	__u64		address;
	struct count	count;
};

/**
 * struct counts - of all ifqs
 * @list: them
 * @nr: their number
 * @when: they were read, in seconds
 */
struct counts {
	struct counted	*list;
	size_t		nr;
	double		when;
};

struct counts_bpf;

struct counts_bpf *counts_start(char why[LOAD_WHY_SIZE]);
void counts_stop(struct counts_bpf *bpf);
void counts_read(struct counts_bpf *bpf, struct counts *counts);
void counts_free(struct counts *counts);

const struct counted *counts_find(const struct counts *counts,
				  const struct ifq *ifq);
struct count counts_at(const struct counts *counts, __u64 address);

#endif
