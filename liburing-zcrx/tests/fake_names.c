// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What the interfaces of fake_nic.c are called, where they are not to be taken for
 * loopback, in place of the C library's functions
 */
#include <net/if.h>
#include <string.h>

#include "fake_nic.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Loopback has not the index that the NIC goes by. */
static const struct if_nameindex names[] = {
	{ FAKE_IFINDEX, FAKE_NAME },
	{ FAKE_VLAN, "eth0.5" },
	{ FAKE_VLAN + 1, "lo" },
};

unsigned int __wrap_if_nametoindex(const char *name);
char *__wrap_if_indextoname(unsigned int ifindex, char *name);

unsigned int __wrap_if_nametoindex(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i].if_name))
			return names[i].if_index;

	return 0;
}

char *__wrap_if_indextoname(unsigned int ifindex, char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (ifindex == names[i].if_index)
			return strcpy(name, names[i].if_name);

	return NULL;
}
