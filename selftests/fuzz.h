/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Chance that can be repeated, values that programs get wrong, and counting what
 * came of it. The environment says how much: ZCRX_FUZZ_CASES, ZCRX_FUZZ_SEED.
 */
#ifndef ZCRX_SELFTEST_FUZZ_H
#define ZCRX_SELFTEST_FUZZ_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#define FUZZ_NR_ERRNOS	256

/**
 * struct fuzz_counts - what came of calls
 * @ok: how many succeeded
 * @errnos: how many failed, by error
 */
struct fuzz_counts {
	unsigned long	ok;
	unsigned long	errnos[FUZZ_NR_ERRNOS];
};

void fuzz_setup(const char *name);
__u64 fuzz_seed(void);
unsigned long fuzz_cases(void);
int fuzz_timeout(void);
void fuzz_begin(unsigned long nr);
bool fuzz_debugs_dma(void);
void fuzz_overlaps(bool overlaps);
__u64 rnd(void);
__u64 rnd_below(__u64 limit);
bool one_in(unsigned int n);
__u32 nasty_u32(__u32 near);
__u64 nasty_u64(__u64 near);
__u64 nasty_address(void);
void fuzz_count(struct fuzz_counts *counts, int ret);
unsigned long fuzz_total(const struct fuzz_counts *counts);
const char *fuzz_describe(const struct fuzz_counts *counts);

#endif
