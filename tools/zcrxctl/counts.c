// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <stdio.h>
#include <stdlib.h>

#include "counts.h"
#include "counts.skel.h"
#include "grow.h"

/**
 * counts_start() - count what ifqs receive from now on
 * @why: on failure set to the reason, in words
 *
 * Return: the BPF programs that do, for counts_stop(), or NULL.
 */
struct counts_bpf *counts_start(char why[LOAD_WHY_SIZE])
{
	struct counts_bpf *bpf = grow(NULL, 0, sizeof(*bpf));

	snprintf(why, LOAD_WHY_SIZE, "no memory");
	if (!counts_bpf__create_skeleton(bpf) &&
	    !load_programs(bpf->skeleton, why))
		return bpf;
	counts_bpf__destroy(bpf);

	return NULL;
}

/**
 * counts_stop() - stop counting
 * @bpf: as of counts_start(), or NULL
 */
void counts_stop(struct counts_bpf *bpf)
{
	counts_bpf__destroy(bpf);
}

static void read_one(const struct bpf_map *map, struct counts *counts,
		     __u64 address)
{
	struct counted counted = { .address = address };

	/* Others may have taken its place meanwhile. */
	if (bpf_map__lookup_elem(map, &address, sizeof(address),
				 &counted.count, sizeof(counted.count), 0))
		return;
	counts->list = grow(counts->list, counts->nr, sizeof(counted));
	counts->list[counts->nr++] = counted;
}

/**
 * counts_read() - what has been received so far
 * @bpf: as of counts_start(), or NULL: nothing
 * @counts: filled in; counts_free() frees it
 */
void counts_read(struct counts_bpf *bpf, struct counts *counts)
{
	__u64 address, *last = NULL;

	*counts = (struct counts){ .when = proc_now() };
	if (!bpf)
		return;
	while (!bpf_map__get_next_key(bpf->maps.counts, last, &address,
				      sizeof(address))) {
		read_one(bpf->maps.counts, counts, address);
		last = &address;
	}
}

/**
 * counts_free() - free what counts_read() allocated
 * @counts: it
 */
void counts_free(struct counts *counts)
{
	free(counts->list);
	*counts = (struct counts){ .nr = 0 };
}

static bool may_be(const struct count *count, const struct ifq *ifq)
{
	return count->if_idx == ifq->info.if_idx &&
	       count->rxq == ifq->info.rxq && ifq_has_process(ifq, count->pid);
}

/**
 * counts_find() - what an ifq has received
 * @counts: as of counts_read()
 * @ifq: it
 *
 * The kernel tells the address of an ifq, or else its io_uring, but never both.
 *
 * Return: its count; NULL if it has none, or if several may be its own.
 */
const struct counted *counts_find(const struct counts *counts,
				  const struct ifq *ifq)
{
	const struct counted *found = NULL;
	size_t i;

	for (i = 0; i < counts->nr; i++) {
		if (!may_be(&counts->list[i].count, ifq))
			continue;
		if (found)
			return NULL;
		found = &counts->list[i];
	}

	return found;
}

/**
 * counts_at() - what the ifq at an address had received
 * @counts: as of counts_read()
 * @address: the kernel's
 *
 * Return: its count, nothing if there was none.
 */
struct count counts_at(const struct counts *counts, __u64 address)
{
	size_t i;

	for (i = 0; i < counts->nr; i++)
		if (counts->list[i].address == address)
			return counts->list[i].count;

	return (struct count){ .zc_bytes = 0 };
}
