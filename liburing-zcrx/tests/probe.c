// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The probe tells the truth about every kind of kernel.
 */
#include <errno.h>
#include <unistd.h>

#include "fake.h"
#include "ktap.h"

static void ours(void)
{
	fake_reset(FAKE_OURS);
	EXPECT(zcrx_probe() == (ZCRX_HAS_CQE32 | ZCRX_HAS_RBUF));
	fake.privileged = false;
	EXPECT(zcrx_probe() == -EPERM);
}

static void mainline(void)
{
	static const enum fake_kind kinds[] = { FAKE_MAINLINE,
						FAKE_OLD_MAINLINE };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		fake_reset(kinds[i]);
		EXPECT(zcrx_probe() == ZCRX_HAS_CQE32);
		fake.privileged = false;
		EXPECT(zcrx_probe() == -EPERM);
	}
}

static void none(void)
{
	fake_reset(FAKE_NONE);
	EXPECT(zcrx_probe() == 0);
	fake.privileged = false;
	EXPECT(zcrx_probe() == 0);
	fake_reset(FAKE_ENOSYS);
	EXPECT(zcrx_probe() == -ENOSYS);
}

static void no_leak(void)
{
	int before = dup(0), after;

	close(before);
	fake_reset(FAKE_OURS);
	zcrx_probe();
	after = dup(0);
	close(after);
	EXPECT(before == after);
}

static const struct ktap_case cases[] = {
	{ "this kernel", ours },
	{ "a mainline kernel", mainline },
	{ "a kernel without", none },
	{ "no file left open", no_leak },
};

int main(void)
{
	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
