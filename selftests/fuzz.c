// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <unistd.h>

#include "kselftest.h"
#include "fuzz.h"
#include "pattern.h"

#define DEFAULT_CASES	8000
#define MOST_PER_LINE	10000

#define DEBUGFS		"/sys/kernel/debug"
#define DMA_DEBUG	DEBUGFS "/dma-api/"

static __u64 seed;
static __u64 state;
static char prefix[64];
static int kmsg = -1;

/**
 * fuzz_cases() - how many cases at random the tests do together
 *
 * Return: the number.
 */
unsigned long fuzz_cases(void)
{
	const char *value = getenv("ZCRX_FUZZ_CASES");

	return value && *value ? strtoul(value, NULL, 0) : DEFAULT_CASES;
}

/**
 * fuzz_timeout() - when a test that does a share of fuzz_cases() hangs
 *
 * Return: in seconds, several times what a kernel full of checks needs when it is
 * emulated.
 */
int fuzz_timeout(void)
{
	return 300 + fuzz_cases() / 20;
}

/**
 * fuzz_seed() - what all chance begins with
 *
 * Return: the seed, by which the same can be done once more.
 */
__u64 fuzz_seed(void)
{
	return seed;
}

static void to_kernel_log(unsigned long nr)
{
	char line[128];
	int len;

	if (kmsg < 0)
		return;
	len = snprintf(line, sizeof(line), "%s: seed %llu, case %lu\n", prefix,
		       seed, nr);
	if (write(kmsg, line, len) != len)
		kmsg = -1;
}

/* Not so often that it would drive a splat out of the kernel's log */
static unsigned long cases_per_line(void)
{
	unsigned long share = fuzz_cases() / 16;

	return share < MOST_PER_LINE ? share ?: 1 : MOST_PER_LINE;
}

/* How far it got */
static void tell(unsigned long nr)
{
	if (nr % cases_per_line())
		return;
	ksft_print_msg("%s: case %lu\n", prefix, nr);
	to_kernel_log(nr);
}

/**
 * fuzz_setup() - before the first case
 * @name: of the test, for the kernel's log
 */
void fuzz_setup(const char *name)
{
	const char *value = getenv("ZCRX_FUZZ_SEED");

	snprintf(prefix, sizeof(prefix), "%s", name);
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (value && *value)
		seed = strtoull(value, NULL, 0);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = 1;
	ksft_print_msg("%s: ZCRX_FUZZ_SEED=%llu\n", name, seed);
}

/**
 * fuzz_begin() - the next case
 * @nr: its number
 *
 * All chance within it follows from seed and number, whatever the kernel did to
 * those before.
 */
void fuzz_begin(unsigned long nr)
{
	state = pattern_word(seed, nr);
	tell(nr);
}

/**
 * fuzz_debugs_dma() - whether the kernel has DMA debugging, and it is on
 *
 * Of memory that is mapped twice it finds neither mapping (__hash_bucket_find() in
 * kernel/dma/debug.c). It warns of a sync without one, and searches all of its
 * lists before: with much traffic, a CPU that is emulated does nothing else.
 *
 * Return: true if so.
 */
bool fuzz_debugs_dma(void)
{
	char disabled = 'Y';
	FILE *f;

	if (access(DEBUGFS "/bdi", F_OK))
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	f = fopen(DMA_DEBUG "disabled", "r");
	if (f) {
		disabled = fgetc(f);
		fclose(f);
	}

	return disabled == 'N';
}

/**
 * fuzz_overlaps() - whether memory may be in several areas at a time
 * @overlaps: if so, DMA debugging looks away
 */
void fuzz_overlaps(bool overlaps)
{
	FILE *f;

	if (!fuzz_debugs_dma())
		return;
	f = fopen(DMA_DEBUG "driver_filter", "w");
	if (!f)
		return;
	/* It speaks of this driver only, or of all. */
	fputs(overlaps ? "none\n" : "\n", f);
	fclose(f);
}

/**
 * rnd() - chance
 *
 * Return: any number.
 */
__u64 rnd(void)
{
	return pattern_word(state++, 0);
}

/**
 * rnd_below() - chance
 * @limit: not 0
 *
 * Return: any number below it.
 */
__u64 rnd_below(__u64 limit)
{
	return rnd() % limit;
}

/**
 * one_in() - chance
 * @n: not 0
 *
 * Return: true once in so many times.
 */
bool one_in(unsigned int n)
{
	return !rnd_below(n);
}

/**
 * nasty_u32() - a value that may be a wrong one
 * @near: a right one
 *
 * Return: the value.
 */
__u32 nasty_u32(__u32 near)
{
	static const __u32 values[] = {
		0, 1, ~0U, ~0U - 1, 1U << 31, ~0U >> 1, 4095, 4096, 4097,
		32768, 32769, 65535, 65536,
	};

	switch (rnd_below(5)) {
	case 0:
		return near + rnd_below(64);
	case 1:
		return near - rnd_below(64);
	case 2:
		return near ^ 1U << rnd_below(32);
	case 3:
		return values[rnd_below(ARRAY_SIZE(values))];
	default:
		return rnd();
	}
}

/**
 * nasty_address() - a pointer to nothing
 *
 * Return: the address.
 */
__u64 nasty_address(void)
{
	static const __u64 values[] = {
		0, 8, 0x1000, ~0ULL, ~7ULL, 1ULL << 63,
		/* Where user space ends, and addresses that don't exist begin */
		(1ULL << 47) - 4096, (1ULL << 47) - 8, 1ULL << 47,
		/* The kernel's memory and program, and vsyscall */
		0xffff888000000000, 0xffffffff81000000, 0xffffffffff600000,
	};

	return values[rnd_below(ARRAY_SIZE(values))];
}

/**
 * nasty_u64() - a value that may be a wrong one
 * @near: a right one
 *
 * Return: the value.
 */
__u64 nasty_u64(__u64 near)
{
	switch (rnd_below(6)) {
	case 0:
		return near + rnd_below(64) - 32;
	case 1:
		return near ^ 1ULL << rnd_below(64);
	case 2:
		return nasty_address();
	case 3:
		return 1ULL << rnd_below(64);
	case 4:
		return nasty_u32(near);
	default:
		return rnd();
	}
}

/**
 * fuzz_count() - count a call
 * @counts: where
 * @ret: not negative, or an error
 */
void fuzz_count(struct fuzz_counts *counts, int ret)
{
	if (ret >= 0)
		counts->ok++;
	else
		counts->errnos[-ret < FUZZ_NR_ERRNOS ? -ret : 0]++;
}

/**
 * fuzz_total() - how many calls were counted
 * @counts: where
 *
 * Return: the number.
 */
unsigned long fuzz_total(const struct fuzz_counts *counts)
{
	unsigned long sum = counts->ok;
	unsigned int i;

	for (i = 0; i < FUZZ_NR_ERRNOS; i++)
		sum += counts->errnos[i];

	return sum;
}

/**
 * fuzz_describe() - what came of the calls, in words
 * @counts: of calls
 *
 * Return: the words, until the next call.
 */
const char *fuzz_describe(const struct fuzz_counts *counts)
{
	static char text[1024];
	unsigned int i;
	int len;

	len = snprintf(text, sizeof(text), "%lu calls, %lu ok",
		       fuzz_total(counts), counts->ok);
	for (i = 0; i < FUZZ_NR_ERRNOS && len < (int)sizeof(text); i++)
		if (counts->errnos[i])
			len += snprintf(text + len, sizeof(text) - len,
					", %lu %s", counts->errnos[i],
					strerrorname_np(i) ?: "unknown error");

	return text;
}
