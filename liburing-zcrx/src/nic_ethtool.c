// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What ethtool's ioctl tells and sets: RSS, filters, the driver's name. By
 * netlink, RSS can be set since Linux 6.17 only, and filters not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "nic_hw.h"

static int ethtool(unsigned int ifindex, void *arg)
{
	struct ifreq ifr = { .ifr_data = arg };
	int fd, ret = 0;

	if (!if_indextoname(ifindex, ifr.ifr_name))
		return -ENODEV;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCETHTOOL, &ifr))
		ret = -errno;
	close(fd);

	return ret;
}

/**
 * zcrx_hw_driver() - whose is it?
 * @ifindex: the interface
 * @driver: set to the driver's name
 *
 * Return: 0 or a negative errno.
 */
int zcrx_hw_driver(unsigned int ifindex, char driver[32])
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	int ret = ethtool(ifindex, &info);

	if (!ret)
		snprintf(driver, 32, "%.31s", info.driver);

	return ret;
}

/**
 * zcrx_hw_nr_rings() - how many receive queues has it, up or down?
 * @ifindex: the interface
 *
 * Return: their number, 1 at least: that of a driver that does not tell.
 */
unsigned int zcrx_hw_nr_rings(unsigned int ifindex)
{
	struct ethtool_rxnfc nfc = { .cmd = ETHTOOL_GRXRINGS };

	return ethtool(ifindex, &nfc) || !nfc.data ? 1 : nfc.data;
}

/*
 * RSS
 */

/* Bit of hfunc: the kernel gives its name in a string set only. */
#define HASH_TOEPLITZ	1

/* The byte after hfunc transforms the input, where the kernel's headers have a
 * name for it.
 */
#define INPUT_XFRM	(offsetof(struct ethtool_rxfh, hfunc) + 1)

static struct ethtool_rxfh *alloc_rxfh(__u32 cmd, unsigned int context,
				       unsigned int size, unsigned int key_size)
{
	struct ethtool_rxfh *rxfh;

	rxfh = calloc(1, sizeof(*rxfh) + size * sizeof(__u32) + key_size);
	if (rxfh) {
		rxfh->cmd = cmd;
		rxfh->rss_context = context;
		rxfh->indir_size = size;
		rxfh->key_size = key_size;
	}

	return rxfh;
}

static int get_rxfh(unsigned int ifindex, unsigned int context,
		    struct ethtool_rxfh **rxfhp)
{
	struct ethtool_rxfh sizes = {
		.cmd		= ETHTOOL_GRSSH,
		.rss_context	= context,
	};
	int ret = ethtool(ifindex, &sizes);

	if (ret)
		return ret;
	*rxfhp = alloc_rxfh(ETHTOOL_GRSSH, context, sizes.indir_size,
			    sizes.key_size);
	if (!*rxfhp)
		return -ENOMEM;
	ret = ethtool(ifindex, *rxfhp);
	/* What has grown since then is not in the reply. */
	if (!ret && ((*rxfhp)->indir_size != sizes.indir_size ||
		     (*rxfhp)->key_size != sizes.key_size))
		ret = -EAGAIN;
	if (ret)
		free(*rxfhp);

	return ret;
}

/* The key that the kernel gives to all drivers that ask for one */
static unsigned int read_system_key(uint8_t *key, unsigned int size)
{
	char text[1024];
	unsigned int i;
	ssize_t n;
	int fd;

	fd = open("/proc/sys/net/core/netdev_rss_key", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	for (i = 0; i < size && i * 3 + 1 < (size_t)n; i++)
		if (sscanf(text + i * 3, "%2hhx", &key[i]) != 1)
			break;

	return i;
}

static void set_key(struct zcrx_rss *rss, const struct ethtool_rxfh *rxfh)
{
	const __u8 *key = (const __u8 *)(rxfh->rss_config + rxfh->indir_size);

	rss->key_size = rxfh->key_size;
	if (rss->key_size > sizeof(rss->key))
		rss->key_size = sizeof(rss->key);
	if (rss->key_size)
		memcpy(rss->key, key, rss->key_size);
	else
		rss->key_size = read_system_key(rss->key, sizeof(rss->key));
}

/**
 * zcrx_hw_rss() - how are flows spread over queues?
 * @ifindex: the interface
 * @rssp: set, to be freed
 *
 * Return: 0; -EOPNOTSUPP: they aren't; or another negative errno.
 */
int zcrx_hw_rss(unsigned int ifindex, struct zcrx_rss **rssp)
{
	struct ethtool_rxfh *rxfh;
	struct zcrx_rss *rss;
	int ret = get_rxfh(ifindex, 0, &rxfh);

	if (ret)
		return ret;
	if (!rxfh->indir_size) {
		free(rxfh);
		return -EOPNOTSUPP;
	}
	rss = calloc(1, sizeof(*rss) + rxfh->indir_size * sizeof(*rss->table));
	if (rss) {
		rss->toeplitz = (!rxfh->hfunc || rxfh->hfunc & HASH_TOEPLITZ) &&
				!((const __u8 *)rxfh)[INPUT_XFRM];
		set_key(rss, rxfh);
		rss->size = rxfh->indir_size;
		memcpy(rss->table, rxfh->rss_config,
		       rss->size * sizeof(*rss->table));
	}
	free(rxfh);
	*rssp = rss;

	return rss ? 0 : -ENOMEM;
}

static int set_rxfh(unsigned int ifindex, unsigned int *context,
		    const uint32_t *table, unsigned int size)
{
	struct ethtool_rxfh *now, *rxfh;
	int ret = get_rxfh(ifindex, 0, &now);

	if (ret)
		return ret;
	rxfh = alloc_rxfh(ETHTOOL_SRSSH, *context, size, 0);
	if (!rxfh) {
		free(now);
		return -ENOMEM;
	}
	/* Told to be what it is: "no change" is unknown to kernels before 6.8. */
	((__u8 *)rxfh)[INPUT_XFRM] = ((const __u8 *)now)[INPUT_XFRM];
	free(now);
	if (size)
		memcpy(rxfh->rss_config, table, size * sizeof(*table));
	ret = ethtool(ifindex, rxfh);
	*context = rxfh->rss_context;
	free(rxfh);

	return ret;
}

/**
 * zcrx_hw_set_rss() - set the RSS table
 * @ifindex: the interface
 * @table: queue numbers
 * @size: entries; 0: the default table
 *
 * Return: 0 or a negative errno.
 */
int zcrx_hw_set_rss(unsigned int ifindex, const uint32_t *table,
		    unsigned int size)
{
	unsigned int context = 0;

	return set_rxfh(ifindex, &context, table, size);
}

/**
 * zcrx_hw_hashes_ports() - what of a TCP packet is hashed?
 * @ifindex: the interface
 * @family: AF_INET or AF_INET6
 *
 * Return: 1: addresses and ports, also if the driver does not tell; 0:
 * addresses; -EOPNOTSUPP: something else.
 */
int zcrx_hw_hashes_ports(unsigned int ifindex, int family)
{
	struct ethtool_rxnfc nfc = {
		.cmd		= ETHTOOL_GRXFH,
		.flow_type	= family == AF_INET ? TCP_V4_FLOW : TCP_V6_FLOW,
	};

	if (ethtool(ifindex, &nfc))
		return 1;
	if (nfc.data == (RXH_IP_SRC | RXH_IP_DST))
		return 0;
	if (nfc.data == (RXH_IP_SRC | RXH_IP_DST | RXH_L4_B_0_1 | RXH_L4_B_2_3))
		return 1;

	return -EOPNOTSUPP;
}

/**
 * zcrx_hw_has_contexts() - can there be RSS contexts?
 * @ifindex: the interface
 *
 * Return: whether there can.
 */
bool zcrx_hw_has_contexts(unsigned int ifindex)
{
	struct ethtool_rxfh sizes = {
		.cmd		= ETHTOOL_GRSSH,
		.rss_context	= 1,
	};

	return ethtool(ifindex, &sizes) != -EOPNOTSUPP;
}

static bool all_to_queue(const struct ethtool_rxfh *rxfh, unsigned int queue)
{
	unsigned int i;

	for (i = 0; i < rxfh->indir_size; i++)
		if (rxfh->rss_config[i] != queue)
			return false;

	return rxfh->indir_size > 0;
}

/**
 * zcrx_hw_find_context() - find the RSS context that is all one queue
 * @ifindex: the interface
 * @queue: the queue
 *
 * Return: number of the context, -ENOENT if there is none.
 */
int zcrx_hw_find_context(unsigned int ifindex, unsigned int queue)
{
	struct ethtool_rxfh *rxfh;
	unsigned int context;
	bool found;
	int ret;

	for (context = 1; context < ZCRX_MAX_CONTEXTS; context++) {
		ret = get_rxfh(ifindex, context, &rxfh);
		if (ret == -EOPNOTSUPP)
			break;
		if (ret)
			continue;
		found = all_to_queue(rxfh, queue);
		free(rxfh);
		if (found)
			return context;
	}

	return -ENOENT;
}

/**
 * zcrx_hw_add_context() - make an RSS context that is all one queue
 * @ifindex: the interface
 * @queue: the queue
 *
 * Return: number of the context, or a negative errno.
 */
int zcrx_hw_add_context(unsigned int ifindex, unsigned int queue)
{
	unsigned int context = ETH_RXFH_CONTEXT_ALLOC, i;
	struct zcrx_rss *rss;
	int ret = zcrx_hw_rss(ifindex, &rss);

	if (ret)
		return ret;
	for (i = 0; i < rss->size; i++)
		rss->table[i] = queue;
	ret = set_rxfh(ifindex, &context, rss->table, rss->size);
	free(rss);

	return ret ? ret : (int)context;
}

/**
 * zcrx_hw_del_context() - delete an RSS context
 * @ifindex: the interface
 * @context: number of the context
 *
 * Return: 0 or a negative errno.
 */
int zcrx_hw_del_context(unsigned int ifindex, unsigned int context)
{
	return set_rxfh(ifindex, &context, NULL, 0);
}

/*
 * Filters
 */

static void set_v4(struct ethtool_rx_flow_spec *spec,
		   const struct zcrx_flow *flow)
{
	struct ethtool_tcpip4_spec *v = &spec->h_u.tcp_ip4_spec;
	struct ethtool_tcpip4_spec *mask = &spec->m_u.tcp_ip4_spec;

	spec->flow_type = TCP_V4_FLOW;
	memcpy(&v->ip4src, &flow->src, sizeof(v->ip4src));
	memcpy(&v->ip4dst, &flow->dst, sizeof(v->ip4dst));
	v->psrc = flow->sport;
	v->pdst = flow->dport;
	mask->ip4src = v->ip4src ? 0xffffffff : 0;
	mask->ip4dst = v->ip4dst ? 0xffffffff : 0;
	mask->psrc = v->psrc ? 0xffff : 0;
	mask->pdst = v->pdst ? 0xffff : 0;
}

static void set_v6(struct ethtool_rx_flow_spec *spec,
		   const struct zcrx_flow *flow)
{
	struct ethtool_tcpip6_spec *v = &spec->h_u.tcp_ip6_spec;
	struct ethtool_tcpip6_spec *mask = &spec->m_u.tcp_ip6_spec;

	spec->flow_type = TCP_V6_FLOW;
	memcpy(v->ip6src, &flow->src, sizeof(v->ip6src));
	memcpy(v->ip6dst, &flow->dst, sizeof(v->ip6dst));
	v->psrc = flow->sport;
	v->pdst = flow->dport;
	if (!IN6_IS_ADDR_UNSPECIFIED(&flow->src))
		memset(mask->ip6src, 0xff, sizeof(mask->ip6src));
	if (!IN6_IS_ADDR_UNSPECIFIED(&flow->dst))
		memset(mask->ip6dst, 0xff, sizeof(mask->ip6dst));
	mask->psrc = v->psrc ? 0xffff : 0;
	mask->pdst = v->pdst ? 0xffff : 0;
}

static void set_spec(struct ethtool_rxnfc *nfc, const struct zcrx_flow *flow,
		     const struct zcrx_target *target)
{
	if (flow->family == AF_INET)
		set_v4(&nfc->fs, flow);
	else
		set_v6(&nfc->fs, flow);
	nfc->fs.ring_cookie = target->queue;
	if (target->context) {
		nfc->fs.flow_type |= FLOW_RSS;
		nfc->fs.ring_cookie = 0;
		nfc->rss_context = target->context;
	}
}

static bool same_target(const struct ethtool_rxnfc *a,
			const struct ethtool_rxnfc *b)
{
	return (a->fs.flow_type & FLOW_RSS) == (b->fs.flow_type & FLOW_RSS) &&
	       a->fs.ring_cookie == b->fs.ring_cookie &&
	       (!(a->fs.flow_type & FLOW_RSS) ||
		a->rss_context == b->rss_context);
}

static bool same_rule(const struct ethtool_rxnfc *a,
		      const struct ethtool_rxnfc *b)
{
	return a->fs.flow_type == b->fs.flow_type && same_target(a, b) &&
	       !memcmp(&a->fs.h_u, &b->fs.h_u, sizeof(a->fs.h_u)) &&
	       !memcmp(&a->fs.m_u, &b->fs.m_u, sizeof(a->fs.m_u));
}

static int get_rule(unsigned int ifindex, unsigned int location,
		    struct ethtool_rxnfc *rule)
{
	memset(rule, 0, sizeof(*rule));
	rule->cmd = ETHTOOL_GRXCLSRULE;
	rule->fs.location = location;

	return ethtool(ifindex, rule);
}

/* Where there are filters; data is how many there can be, and a flag. */
static int get_locations(unsigned int ifindex, struct ethtool_rxnfc **nfcp)
{
	struct ethtool_rxnfc count = { .cmd = ETHTOOL_GRXCLSRLCNT }, *nfc;
	int ret = ethtool(ifindex, &count);

	if (ret)
		return ret;
	nfc = calloc(1, sizeof(*nfc) + count.rule_cnt * sizeof(__u32));
	if (!nfc)
		return -ENOMEM;
	nfc->cmd = ETHTOOL_GRXCLSRLALL;
	nfc->rule_cnt = count.rule_cnt;
	ret = ethtool(ifindex, nfc);
	if (ret) {
		free(nfc);
		return ret;
	}
	nfc->data |= count.data & RX_CLS_LOC_SPECIAL;
	*nfcp = nfc;

	return 0;
}

/**
 * zcrx_hw_has_arfs() - may the kernel make filters by itself?
 *
 * Where they are on, accelerated RFS leads flows to the queue that is nearest to
 * their reader (set_rps_cpu() in Linux).
 *
 * Return: whether it is configured for RFS at all.
 */
bool zcrx_hw_has_arfs(void)
{
	unsigned int entries = 0;
	FILE *f = fopen("/proc/sys/net/core/rps_sock_flow_entries", "re");

	if (!f)
		return false;
	if (fscanf(f, "%u", &entries) != 1)
		entries = 0;
	fclose(f);

	return entries;
}

/**
 * zcrx_hw_nr_rules() - how many filters are there?
 * @ifindex: the interface
 *
 * Return: their number or a negative errno.
 */
int zcrx_hw_nr_rules(unsigned int ifindex)
{
	struct ethtool_rxnfc count = { .cmd = ETHTOOL_GRXCLSRLCNT };
	int ret = ethtool(ifindex, &count);

	return ret ? ret : (int)count.rule_cnt;
}

/**
 * zcrx_hw_find_rule() - find a filter
 * @ifindex: the interface
 * @flow: what it matches
 * @target: where it sends that
 * @location: set
 *
 * Return: 0; -ENOENT: there is none, or can't be; or another negative errno.
 */
int zcrx_hw_find_rule(unsigned int ifindex, const struct zcrx_flow *flow,
		      const struct zcrx_target *target, unsigned int *location)
{
	struct ethtool_rxnfc wanted = { .cmd = 0 }, rule, *nfc;
	unsigned int i;
	int ret = get_locations(ifindex, &nfc);

	/* A driver without filters says either. */
	if (ret == -EOPNOTSUPP || ret == -EINVAL)
		return -ENOENT;
	if (ret)
		return ret;
	set_spec(&wanted, flow, target);
	ret = -ENOENT;
	for (i = 0; ret && i < nfc->rule_cnt; i++) {
		if (get_rule(ifindex, nfc->rule_locs[i], &rule) ||
		    !same_rule(&rule, &wanted))
			continue;
		*location = nfc->rule_locs[i];
		ret = 0;
	}
	free(nfc);

	return ret;
}

/**
 * zcrx_hw_is_rule_at() - is a filter in its place?
 * @ifindex: the interface
 * @flow: what it matches
 * @target: where it sends that
 * @location: the place, or any number
 *
 * Return: whether it is.
 */
bool zcrx_hw_is_rule_at(unsigned int ifindex, const struct zcrx_flow *flow,
			const struct zcrx_target *target, unsigned int location)
{
	struct ethtool_rxnfc wanted = { .cmd = 0 }, rule;

	set_spec(&wanted, flow, target);

	return !get_rule(ifindex, location, &rule) && same_rule(&rule, &wanted);
}

/**
 * zcrx_hw_nr_rules_to() - how many filters lead there?
 * @ifindex: the interface
 * @target: where
 *
 * Return: their number or a negative errno.
 */
int zcrx_hw_nr_rules_to(unsigned int ifindex, const struct zcrx_target *target)
{
	const struct zcrx_flow any = { .family = AF_INET };
	struct ethtool_rxnfc wanted = { .cmd = 0 }, rule, *nfc;
	int ret = get_locations(ifindex, &nfc), nr = 0;
	unsigned int i;

	if (ret)
		return ret;
	set_spec(&wanted, &any, target);
	for (i = 0; !ret && i < nfc->rule_cnt; i++) {
		ret = get_rule(ifindex, nfc->rule_locs[i], &rule);
		nr += !ret && same_target(&rule, &wanted);
	}
	free(nfc);

	return ret ? ret : nr;
}

/* The last place that is free: filters of an administrator come before ours. */
static int last_free(const struct ethtool_rxnfc *nfc, __u32 *location)
{
	bool *taken = calloc(nfc->data + 1, sizeof(*taken));
	unsigned int i;

	if (!taken)
		return -ENOMEM;
	for (i = 0; i < nfc->rule_cnt; i++)
		if (nfc->rule_locs[i] < nfc->data)
			taken[nfc->rule_locs[i]] = true;
	for (i = nfc->data; i && taken[i - 1]; i--)
		;
	free(taken);
	*location = i - 1;

	return i ? 0 : -ENOSPC;
}

static int choose_location(unsigned int ifindex, __u32 *location)
{
	struct ethtool_rxnfc *nfc;
	int ret = get_locations(ifindex, &nfc);

	if (ret)
		return ret;
	if (nfc->data & RX_CLS_LOC_SPECIAL)
		*location = RX_CLS_LOC_ANY;
	else
		ret = last_free(nfc, location);
	free(nfc);

	return ret;
}

/**
 * zcrx_hw_add_rule() - add a filter
 * @ifindex: the interface
 * @flow: what it matches
 * @target: where it sends that
 * @location: set to its place
 *
 * Return: 0 or a negative errno.
 */
int zcrx_hw_add_rule(unsigned int ifindex, const struct zcrx_flow *flow,
		     const struct zcrx_target *target, unsigned int *location)
{
	struct ethtool_rxnfc nfc = { .cmd = ETHTOOL_SRXCLSRLINS };
	int ret = choose_location(ifindex, &nfc.fs.location);

	if (ret)
		return ret;
	set_spec(&nfc, flow, target);
	ret = ethtool(ifindex, &nfc);
	*location = nfc.fs.location;

	return ret;
}

/**
 * zcrx_hw_del_rule() - delete a filter
 * @ifindex: the interface
 * @location: as of zcrx_hw_find_rule()
 *
 * Return: 0 or a negative errno.
 */
int zcrx_hw_del_rule(unsigned int ifindex, unsigned int location)
{
	struct ethtool_rxnfc nfc = {
		.cmd		= ETHTOOL_SRXCLSRLDEL,
		.fs.location	= location,
	};

	return ethtool(ifindex, &nfc);
}
