// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The hash is that of the RSS verification suite, and the table suits all.
 */
#include <arpa/inet.h>
#include <string.h>

#include "../src/nic_rss.h"
#include "ktap.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define SIZE		16

static const uint8_t key[ZCRX_KEY_MIN] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
	0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
	0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const struct answer {
	const char	*dst;
	in_port_t	dport;
	const char	*src;
	in_port_t	sport;
	uint32_t	of_addresses;
	uint32_t	of_all;
} answers[] = {
	{ "161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e8fc2, 0x51ccc178 },
	{ "65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718262a, 0xc626b0ea },
	{ "12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0a5de, 0x5c2b394a },
	{ "209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xafc7327f },
	{ "202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d1809c5, 0x10e828a2 },
	{ "3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794,
	  0x2cc18cd5, 0x40207d3d },
	{ "ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230,
	  0x0f0c461c, 0xdde51bbf },
	{ "fe80::200:f8ff:fe21:67cf", 38024,
	  "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, 0x4b61e985, 0x02d1feef },
};

static void known_answers(void)
{
	const struct answer *a;
	struct zcrx_flow flow;

	for (a = answers; a < answers + ARRAY_SIZE(answers); a++) {
		memset(&flow, 0, sizeof(flow));
		flow.family = strchr(a->dst, ':') ? AF_INET6 : AF_INET;
		EXPECT(inet_pton(flow.family, a->src, &flow.src) == 1);
		EXPECT(inet_pton(flow.family, a->dst, &flow.dst) == 1);
		flow.sport = htons(a->sport);
		flow.dport = htons(a->dport);
		EXPECT(zcrx_toeplitz(key, &flow, false) == a->of_addresses);
		EXPECT(zcrx_toeplitz(key, &flow, true) == a->of_all);
	}
}

static unsigned int count(const uint32_t *table, unsigned int queue)
{
	unsigned int nr = 0, i;

	for (i = 0; i < SIZE; i++)
		nr += table[i] == queue;

	return nr;
}

static void in_blocks(uint32_t *table, unsigned int nr_queues)
{
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		table[i] = i * nr_queues / SIZE;
}

static void one_owner(void)
{
	struct zcrx_rss_owner owner = { .queue = 3 };
	uint32_t original[SIZE], table[SIZE];

	in_blocks(original, 4);
	zcrx_rss_compose(table, original, SIZE, 4, &owner, 1);
	EXPECT(count(table, 3) == 0);
	EXPECT(count(table, 0) >= 5 && count(table, 1) >= 5);
	EXPECT(count(table, 2) >= 5);
	EXPECT(!memcmp(table, original, 12 * sizeof(*table)));
}

static void two_owners(void)
{
	struct zcrx_rss_owner owners[] = { { .queue = 0 }, { .queue = 2 } };
	uint32_t original[SIZE], table[SIZE], again[SIZE];

	in_blocks(original, 4);
	zcrx_rss_compose(table, original, SIZE, 4, owners, 2);
	EXPECT(count(table, 1) == 8 && count(table, 3) == 8);

	zcrx_rss_compose(again, original, SIZE, 4, owners, 2);
	EXPECT(!memcmp(again, table, sizeof(table)));
	zcrx_rss_compose(table, original, SIZE, 4, NULL, 0);
	EXPECT(!memcmp(original, table, sizeof(table)));
}

static void moved_entries(void)
{
	uint8_t moved[SIZE] = { [1] = 1, [15] = 1 };
	struct zcrx_rss_owner owner = { .queue = 3, .moved = moved };
	uint32_t original[SIZE], table[SIZE];

	in_blocks(original, 4);
	zcrx_rss_compose(table, original, SIZE, 4, &owner, 1);
	EXPECT(count(table, 3) == 2 && table[1] == 3 && table[15] == 3);
}

/* What an administrator keeps free stays so, unless nothing else is left. */
static void unused_queues(void)
{
	struct zcrx_rss_owner owners[] = { { .queue = 0 }, { .queue = 1 } };
	uint32_t original[SIZE], table[SIZE];

	in_blocks(original, 2);
	zcrx_rss_compose(table, original, SIZE, 4, owners, 1);
	EXPECT(count(table, 1) == SIZE);
	zcrx_rss_compose(table, original, SIZE, 4, owners, 2);
	EXPECT(count(table, 2) + count(table, 3) == SIZE);
}

static void all_owned(void)
{
	struct zcrx_rss_owner owners[] = { { .queue = 0 }, { .queue = 1 } };
	uint32_t original[SIZE], table[SIZE];

	in_blocks(original, 2);
	zcrx_rss_compose(table, original, SIZE, 2, owners, 2);
	EXPECT(!memcmp(original, table, sizeof(table)));

	in_blocks(original, 1);
	zcrx_rss_compose(table, original, SIZE, 1, owners, 1);
	EXPECT(!memcmp(original, table, sizeof(table)));
}

static void default_table(void)
{
	uint32_t table[SIZE];
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		table[i] = i % 3;
	EXPECT(zcrx_rss_is_default(table, SIZE, 3));
	EXPECT(!zcrx_rss_is_default(table, SIZE, 2));
	table[7] = 0;
	EXPECT(!zcrx_rss_is_default(table, SIZE, 3));
}

static const struct ktap_case cases[] = {
	{ "hash: known answers", known_answers },
	{ "table: one owner", one_owner },
	{ "table: two owners, and none", two_owners },
	{ "table: entries that steer", moved_entries },
	{ "table: queues that were unused", unused_queues },
	{ "table: no queue is left", all_owned },
	{ "table: the default one", default_table },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
