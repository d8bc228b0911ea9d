// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * RSS and filters by ethtool's ioctl, with the kernel's side played here: the
 * VM's NIC has neither filters nor RSS contexts.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../src/nic_hw.h"
#include "flow_of.h"
#include "ktap.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define IFINDEX		1
#define SIZE		8
#define KEY_SIZE	40
#define CONTEXTS	4
#define RULES		4
#define XFRM		(offsetof(struct ethtool_rxfh, hfunc) + 1)

/**
 * struct driver - the kernel's side
 * @key_size: of the key that it tells
 * @xfrm: it transforms what is hashed, and that must not change
 * @fields: what it hashes
 * @has_context: table of each RSS context that there is; 0 is the main one
 * @table: their entries
 * @no_contexts: there can't be any but the main one
 * @grows: there is no table at first
 * @nr_calls: how often it has been asked for RSS
 * @no_rules: there can't be filters
 * @picks_location: the driver chooses where a filter goes
 * @has_rule: at which locations there are filters
 * @rule: the filters
 */
static struct driver {
	unsigned int		key_size;
	__u8			xfrm;
	__u64			fields;
	bool			has_context[CONTEXTS];
	__u32			table[CONTEXTS][SIZE];
	bool			no_contexts;
	bool			grows;
	unsigned int		nr_calls;
	bool			no_rules;
	bool			picks_location;
	bool			has_rule[RULES];
	struct ethtool_rxnfc	rule[RULES];
} driver;

static void begin(void)
{
	unsigned int i;

	memset(&driver, 0, sizeof(driver));
	driver.key_size = KEY_SIZE;
	driver.fields = RXH_IP_SRC | RXH_IP_DST | RXH_L4_B_0_1 | RXH_L4_B_2_3;
	driver.has_context[0] = true;
	for (i = 0; i < SIZE; i++)
		driver.table[0][i] = i / 2;
}

static int get_rss(struct ethtool_rxfh *rxfh)
{
	unsigned int i;

	driver.nr_calls++;
	if (rxfh->rss_context && driver.no_contexts)
		return -EOPNOTSUPP;
	if (driver.grows && driver.nr_calls == 1)
		return 0;
	if (rxfh->rss_context >= CONTEXTS ||
	    !driver.has_context[rxfh->rss_context])
		return -ENOENT;
	if (!rxfh->indir_size) {
		rxfh->indir_size = SIZE;
		rxfh->key_size = driver.key_size;
		return 0;
	}
	if (rxfh->indir_size != SIZE || rxfh->key_size != driver.key_size)
		return -EINVAL;
	rxfh->hfunc = 1;
	((__u8 *)rxfh)[XFRM] = driver.xfrm;
	memcpy(rxfh->rss_config, driver.table[rxfh->rss_context],
	       SIZE * sizeof(__u32));
	for (i = 0; i < rxfh->key_size; i++)
		((__u8 *)(rxfh->rss_config + SIZE))[i] = i;

	return 0;
}

static int new_context(void)
{
	unsigned int i;

	for (i = 1; i < CONTEXTS; i++)
		if (!driver.has_context[i])
			break;

	return i == CONTEXTS ? -ENOSPC : (int)i;
}

static int set_rss(struct ethtool_rxfh *rxfh)
{
	int context = rxfh->rss_context;
	unsigned int i;

	if (((__u8 *)rxfh)[XFRM] != driver.xfrm || rxfh->key_size ||
	    rxfh->hfunc)
		return -EINVAL;
	if (rxfh->rss_context && driver.no_contexts)
		return -EOPNOTSUPP;
	if (rxfh->rss_context == ETH_RXFH_CONTEXT_ALLOC)
		context = new_context();
	if (context < 0)
		return context;
	rxfh->rss_context = context;
	driver.has_context[context] = rxfh->indir_size || !context;
	for (i = 0; i < SIZE; i++)
		driver.table[context][i] = rxfh->indir_size ?
					   rxfh->rss_config[i] : i % 4;

	return 0;
}

static unsigned int count_rules(void)
{
	unsigned int nr = 0, i;

	for (i = 0; i < RULES; i++)
		nr += driver.has_rule[i];

	return nr;
}

static int list_rules(struct ethtool_rxnfc *nfc)
{
	unsigned int nr = 0, i;

	nfc->data = RULES;
	for (i = 0; i < RULES; i++) {
		if (!driver.has_rule[i])
			continue;
		if (nr == nfc->rule_cnt)
			return -EMSGSIZE;
		nfc->rule_locs[nr++] = i;
	}
	nfc->rule_cnt = nr;

	return 0;
}

static int insert_rule(struct ethtool_rxnfc *nfc)
{
	unsigned int at = nfc->fs.location;

	if (driver.picks_location != (at == RX_CLS_LOC_ANY))
		return -EINVAL;
	if (driver.picks_location)
		for (at = 0; at < RULES && driver.has_rule[at]; at++)
			;
	if (at >= RULES)
		return -ENOSPC;
	driver.rule[at] = *nfc;
	nfc->fs.location = at;
	driver.rule[at].fs.location = at;
	driver.has_rule[at] = true;

	return 0;
}

static int do_rules(struct ethtool_rxnfc *nfc)
{
	unsigned int at = nfc->fs.location;

	if (driver.no_rules)
		return -EOPNOTSUPP;
	switch (nfc->cmd) {
	case ETHTOOL_GRXCLSRLCNT:
		nfc->rule_cnt = count_rules();
		nfc->data = driver.picks_location ? RX_CLS_LOC_SPECIAL : 0;
		return 0;
	case ETHTOOL_GRXCLSRLALL:
		return list_rules(nfc);
	case ETHTOOL_SRXCLSRLINS:
		return insert_rule(nfc);
	}
	if (at >= RULES || !driver.has_rule[at])
		return -ENOENT;
	if (nfc->cmd == ETHTOOL_SRXCLSRLDEL)
		driver.has_rule[at] = false;
	else
		*nfc = driver.rule[at];

	return 0;
}

static int do_ethtool(void *arg)
{
	__u32 cmd;

	memcpy(&cmd, arg, sizeof(cmd));
	switch (cmd) {
	case ETHTOOL_GRSSH:
		return get_rss(arg);
	case ETHTOOL_SRSSH:
		return set_rss(arg);
	case ETHTOOL_GRXRINGS:
		((struct ethtool_rxnfc *)arg)->data = 4;
		return 0;
	case ETHTOOL_GRXFH:
		((struct ethtool_rxnfc *)arg)->data = driver.fields;
		return driver.fields ? 0 : -EOPNOTSUPP;
	case ETHTOOL_GDRVINFO:
		strcpy(((struct ethtool_drvinfo *)arg)->driver, "played");
		return 0;
	}

	return do_rules(arg);
}

int __wrap_ioctl(int fd, unsigned long cmd, ...);

int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	struct ifreq *ifr;
	va_list args;
	int ret;

	(void)fd;
	va_start(args, cmd);
	ifr = va_arg(args, struct ifreq *);
	va_end(args);
	ret = cmd == SIOCETHTOOL ? do_ethtool(ifr->ifr_data) : -ENOTTY;
	if (!ret)
		return 0;
	errno = -ret;

	return -1;
}

/*
 * Cases
 */

static void rss(void)
{
	uint32_t table[SIZE] = { 3, 3, 3, 3, 0, 0, 0, 0 };
	struct zcrx_rss *got;

	begin();
	EXPECT(zcrx_hw_nr_rings(IFINDEX) == 4);
	EXPECT(!zcrx_hw_rss(IFINDEX, &got));
	EXPECT(got->toeplitz && got->size == SIZE && got->table[7] == 3);
	EXPECT(got->key_size == KEY_SIZE && got->key[39] == 39);
	free(got);
	EXPECT(!zcrx_hw_set_rss(IFINDEX, table, SIZE));
	EXPECT(!memcmp(driver.table[0], table, sizeof(table)));
	EXPECT(!zcrx_hw_set_rss(IFINDEX, NULL, 0));
	EXPECT(driver.table[0][5] == 1);
}

/* A table that comes between two questions is not in the second answer. */
static void growing_table(void)
{
	struct zcrx_rss *got;

	begin();
	driver.grows = true;
	EXPECT(zcrx_hw_rss(IFINDEX, &got) == -EAGAIN);
	EXPECT(!zcrx_hw_rss(IFINDEX, &got) && got->size == SIZE);
	free(got);
}

/* It stays what it is, and its hash is not ours. */
static void transformed_input(void)
{
	uint32_t table[SIZE] = { 1 };
	struct zcrx_rss *got;

	begin();
	driver.xfrm = 1;
	EXPECT(!zcrx_hw_rss(IFINDEX, &got) && !got->toeplitz);
	free(got);
	EXPECT(!zcrx_hw_set_rss(IFINDEX, table, SIZE));
}

/* The system's key, which has 52 bytes, if any driver has asked for it */
static void no_key(void)
{
	struct zcrx_rss *got;

	begin();
	driver.key_size = 0;
	EXPECT(!zcrx_hw_rss(IFINDEX, &got));
	EXPECT(got->key_size == 52 || got->key_size == 0);
	free(got);
}

static void hashed_fields(void)
{
	begin();
	EXPECT(zcrx_hw_hashes_ports(IFINDEX, AF_INET) == 1);
	driver.fields = RXH_IP_SRC | RXH_IP_DST;
	EXPECT(zcrx_hw_hashes_ports(IFINDEX, AF_INET6) == 0);
	driver.fields = RXH_IP_SRC;
	EXPECT(zcrx_hw_hashes_ports(IFINDEX, AF_INET) == -EOPNOTSUPP);
	driver.fields = 0;
	EXPECT(zcrx_hw_hashes_ports(IFINDEX, AF_INET) == 1);
}

static void contexts(void)
{
	begin();
	EXPECT(zcrx_hw_has_contexts(IFINDEX));
	EXPECT(zcrx_hw_find_context(IFINDEX, 3) == -ENOENT);
	EXPECT(zcrx_hw_add_context(IFINDEX, 2) == 1);
	EXPECT(zcrx_hw_add_context(IFINDEX, 3) == 2);
	EXPECT(zcrx_hw_find_context(IFINDEX, 3) == 2);
	EXPECT(!zcrx_hw_del_context(IFINDEX, 1));
	EXPECT(zcrx_hw_find_context(IFINDEX, 2) == -ENOENT);
	EXPECT(zcrx_hw_find_context(IFINDEX, 3) == 2);
	EXPECT(zcrx_hw_add_context(IFINDEX, 2) == 1);
	EXPECT(zcrx_hw_add_context(IFINDEX, 1) == 3);
	EXPECT(zcrx_hw_add_context(IFINDEX, 0) == -ENOSPC);

	begin();
	driver.no_contexts = true;
	EXPECT(!zcrx_hw_has_contexts(IFINDEX));
	driver.nr_calls = 0;
	EXPECT(zcrx_hw_find_context(IFINDEX, 0) == -ENOENT);
	EXPECT(driver.nr_calls == 1);
	EXPECT(zcrx_hw_add_context(IFINDEX, 0) == -EOPNOTSUPP);
}

static const struct zcrx_target to_queue = { .queue = 3 };
static const struct zcrx_target to_context = { .context = 2, .queue = 3 };

static void rule_v4(void)
{
	struct zcrx_flow flow = flow_of("192.0.2.1", 5201, "192.0.2.2", 40000);
	const struct ethtool_rx_flow_spec *fs = &driver.rule[RULES - 1].fs;
	unsigned int at;

	begin();
	EXPECT(zcrx_hw_find_rule(IFINDEX, &flow, &to_queue, &at) == -ENOENT);
	EXPECT(!zcrx_hw_nr_rules_to(IFINDEX, &to_queue));
	EXPECT(!zcrx_hw_add_rule(IFINDEX, &flow, &to_queue, &at));
	EXPECT(at == RULES - 1 && zcrx_hw_nr_rules_to(IFINDEX, &to_queue) == 1);
	EXPECT(zcrx_hw_is_rule_at(IFINDEX, &flow, &to_queue, at));
	EXPECT(!zcrx_hw_is_rule_at(IFINDEX, &flow, &to_queue, 0));
	EXPECT(!zcrx_hw_is_rule_at(IFINDEX, &flow, &to_queue, ~0U));
	EXPECT(fs->flow_type == TCP_V4_FLOW && fs->ring_cookie == 3);
	EXPECT(fs->h_u.tcp_ip4_spec.ip4src == inet_addr("192.0.2.1"));
	EXPECT(fs->h_u.tcp_ip4_spec.ip4dst == inet_addr("192.0.2.2"));
	EXPECT(fs->h_u.tcp_ip4_spec.psrc == htons(5201));
	EXPECT(fs->h_u.tcp_ip4_spec.pdst == htons(40000));
	EXPECT(fs->m_u.tcp_ip4_spec.ip4src == 0xffffffff);
	EXPECT(fs->m_u.tcp_ip4_spec.psrc == 0xffff);
	EXPECT(!fs->m_u.tcp_ip4_spec.tos);
	EXPECT(!zcrx_hw_find_rule(IFINDEX, &flow, &to_queue, &at));
	EXPECT(at == RULES - 1 && !zcrx_hw_del_rule(IFINDEX, at));
	EXPECT(zcrx_hw_find_rule(IFINDEX, &flow, &to_queue, &at) == -ENOENT);
}

static void rule_v6(void)
{
	struct zcrx_flow flow = flow_of("::", 0, "2001:db8::2", 443);
	const struct ethtool_rx_flow_spec *fs = &driver.rule[RULES - 1].fs;
	unsigned int at;

	begin();
	EXPECT(!zcrx_hw_add_rule(IFINDEX, &flow, &to_context, &at));
	EXPECT(fs->flow_type == (TCP_V6_FLOW | FLOW_RSS) && !fs->ring_cookie);
	EXPECT(driver.rule[RULES - 1].rss_context == 2);
	EXPECT(!memcmp(fs->h_u.tcp_ip6_spec.ip6dst, &flow.dst, 16));
	EXPECT(!fs->m_u.tcp_ip6_spec.ip6src[0] && !fs->m_u.tcp_ip6_spec.psrc);
	EXPECT(fs->m_u.tcp_ip6_spec.ip6dst[3] == 0xffffffff);
	EXPECT(fs->m_u.tcp_ip6_spec.pdst == 0xffff);
	EXPECT(zcrx_hw_find_rule(IFINDEX, &flow, &to_queue, &at) == -ENOENT);
	EXPECT(!zcrx_hw_find_rule(IFINDEX, &flow, &to_context, &at));
	EXPECT(!zcrx_hw_is_rule_at(IFINDEX, &flow, &to_queue, at));
	EXPECT(zcrx_hw_is_rule_at(IFINDEX, &flow, &to_context, at));
	EXPECT(!zcrx_hw_nr_rules_to(IFINDEX, &to_queue));
	EXPECT(zcrx_hw_nr_rules_to(IFINDEX, &to_context) == 1);
}

/* The administrator's are found by nobody, and keep their places. */
static void rule_locations(void)
{
	struct zcrx_flow flow = flow_of("192.0.2.1", 1, "192.0.2.2", 1);
	unsigned int i, k, at;

	for (i = 0; i < 2; i++) {
		begin();
		driver.picks_location = i;
		driver.has_rule[1] = true;
		for (k = 1; k < RULES; k++) {
			flow.sport = k;
			EXPECT(!zcrx_hw_add_rule(IFINDEX, &flow, &to_queue, &at));
			EXPECT(zcrx_hw_is_rule_at(IFINDEX, &flow, &to_queue, at));
		}
		flow.sport = k;
		EXPECT(zcrx_hw_add_rule(IFINDEX, &flow, &to_queue, &at) == -ENOSPC);
		flow.sport = 2;
		EXPECT(!zcrx_hw_find_rule(IFINDEX, &flow, &to_queue, &at));
		EXPECT(at == 2);
	}
}

static void no_rules(void)
{
	struct zcrx_flow flow = flow_of("192.0.2.1", 1, "192.0.2.2", 1);
	unsigned int at;

	begin();
	driver.no_rules = true;
	EXPECT(zcrx_hw_find_rule(IFINDEX, &flow, &to_queue, &at) == -ENOENT);
	EXPECT(zcrx_hw_add_rule(IFINDEX, &flow, &to_queue, &at) == -EOPNOTSUPP);
	EXPECT(!zcrx_hw_is_rule_at(IFINDEX, &flow, &to_queue, 0));
	EXPECT(zcrx_hw_nr_rules_to(IFINDEX, &to_queue) == -EOPNOTSUPP);
}

static void no_interface(void)
{
	struct zcrx_rss *got;
	char name[32];

	begin();
	EXPECT(!zcrx_hw_driver(IFINDEX, name) && !strcmp(name, "played"));
	EXPECT(zcrx_hw_driver(0x7fffffff, name) == -ENODEV);
	EXPECT(zcrx_hw_rss(0x7fffffff, &got) == -ENODEV);
}

static const struct ktap_case cases[] = {
	{ "RSS table and key", rss },
	{ "RSS table that grows", growing_table },
	{ "RSS of a transformed input", transformed_input },
	{ "RSS without a key", no_key },
	{ "hashed fields", hashed_fields },
	{ "RSS contexts", contexts },
	{ "filter of a connection", rule_v4 },
	{ "filter of a listener, to an RSS context", rule_v6 },
	{ "places of filters", rule_locations },
	{ "no filters", no_rules },
	{ "no interface", no_interface },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
