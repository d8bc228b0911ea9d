/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A test program: a list of cases, each a function that returns, or fails by
 * EXPECT(). KTAP on stdout; exit status 0, 1, or 77 if all was skipped.
 */
#ifndef ZCRX_TEST_KTAP_H
#define ZCRX_TEST_KTAP_H

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* For all cases together; seconds, enough for a slow machine */
#ifndef KTAP_TIME_LIMIT
#define KTAP_TIME_LIMIT	120
#endif

/* A case that fails leaves threads or processes: no other one comes after it. */
#ifndef KTAP_STOP
#define KTAP_STOP	false
#endif

struct ktap_case {
	const char	*name;
	void		(*run)(void);
};

static bool ktap_failed;
static const char *ktap_skipped;

#define EXPECT(cond) \
	do { \
		if (!(cond)) { \
			printf("# %s:%d: not so: %s\n", __FILE__, __LINE__, \
			       #cond); \
			ktap_failed = true; \
			return; \
		} \
	} while (0)

#define SKIP(reason) \
	do { \
		ktap_skipped = reason; \
		return; \
	} while (0)

static inline int ktap_run(const struct ktap_case *cases, unsigned int nr)
{
	unsigned int i, nr_failed = 0, nr_skipped = 0;

	alarm(KTAP_TIME_LIMIT);
	printf("KTAP version 1\n1..%u\n", nr);
	fflush(stdout);
	for (i = 0; i < nr; i++) {
		ktap_failed = false;
		ktap_skipped = NULL;
		cases[i].run();
		printf("%sok %u %s", ktap_failed ? "not " : "", i + 1,
		       cases[i].name);
		if (ktap_skipped)
			printf(" # SKIP %s", ktap_skipped);
		printf("\n");
		fflush(stdout);
		nr_failed += ktap_failed;
		nr_skipped += !!ktap_skipped;
		if (ktap_failed && KTAP_STOP) {
			printf("Bail out! It has left threads or processes\n");
			break;
		}
	}
	if (nr_failed)
		return 1;

	return nr_skipped == nr ? 77 : 0;
}

#endif
