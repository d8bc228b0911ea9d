/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRX_TEST_FLOW_OF_H
#define ZCRX_TEST_FLOW_OF_H

#include <arpa/inet.h>
#include <string.h>

#include "../src/nic_flow.h"

/* A flow whose addresses and ports can be read */
static inline struct zcrx_flow flow_of(const char *src, int sport,
				       const char *dst, int dport)
{
	struct zcrx_flow flow = { .family = AF_INET };

	if (strchr(src, ':'))
		flow.family = AF_INET6;
	inet_pton(flow.family, src, &flow.src);
	inet_pton(flow.family, dst, &flow.dst);
	flow.sport = htons(sport);
	flow.dport = htons(dport);

	return flow;
}

#endif
