// SPDX-License-Identifier: GPL-2.0
/* Tests of how a frame is told that was split where its payload begins
 *
 * If it was split anywhere else, headers would be taken for payload, or payload
 * that a process can change would be parsed.
 */

#include <kunit/test.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <net/ip.h>

#include "igb.h"

/**
 * struct igb_split_case - a frame, and where it was split
 * @name: of the case
 * @proto: EtherType
 * @vlan: EtherType of a tag before it, 0 for none
 * @l4: protocol after IP's header
 * @ip_options: bytes
 * @frag_off: IPv4's field, host order
 * @doff: TCP's header, in words; 0 for 5
 * @no_doff: TCP's header says that it is none
 * @beyond: so many bytes after the headers were still taken for them, or before
 *	    their end no more
 * @split: whether payload may stay where it is
 */
struct igb_split_case {
	const char	*name;
	u16		proto;
	u16		vlan;
	u8		l4;
	u8		ip_options;
	u16		frag_off;
	u8		doff;
	bool		no_doff;
	int		beyond;
	bool		split;
};

#define IGB_SPLIT_V4	.proto = ETH_P_IP, .l4 = IPPROTO_TCP
#define IGB_SPLIT_V6	.proto = ETH_P_IPV6, .l4 = IPPROTO_TCP

static const struct igb_split_case igb_split_cases[] = {
	{ "IPv4", IGB_SPLIT_V4, .split = true },
	{ "IPv6", IGB_SPLIT_V6, .split = true },
	{ "TCP options", IGB_SPLIT_V4, .doff = 8, .split = true },
	{ "longest TCP header", IGB_SPLIT_V6, .doff = 15, .split = true },
	{ "IP options", IGB_SPLIT_V4, .ip_options = 40, .split = true },
	{ "VLAN", IGB_SPLIT_V4, .vlan = ETH_P_8021Q, .split = true },
	{ "VLAN, IPv6", IGB_SPLIT_V6, .vlan = ETH_P_8021Q, .split = true },
	{ "don't fragment", IGB_SPLIT_V4, .frag_off = IP_DF, .split = true },

	{ "before TCP", IGB_SPLIT_V4, .beyond = -(int)sizeof(struct tcphdr) },
	{ "before TCP, IPv6", IGB_SPLIT_V6,
	  .beyond = -(int)sizeof(struct tcphdr) },
	{ "before TCP's options", IGB_SPLIT_V4, .doff = 8, .beyond = -12 },
	{ "within TCP's options", IGB_SPLIT_V6, .doff = 8, .beyond = -4 },
	{ "a byte too early", IGB_SPLIT_V4, .beyond = -1 },
	{ "a byte too late", IGB_SPLIT_V4, .beyond = 1 },
	{ "too late, IPv6", IGB_SPLIT_V6, .doff = 8, .beyond = 12 },
	{ "too late, VLAN", IGB_SPLIT_V4, .vlan = ETH_P_8021Q, .beyond = 4 },
	{ "no TCP header", IGB_SPLIT_V4, .no_doff = true },
	{ "first fragment", IGB_SPLIT_V4, .frag_off = IP_MF },
	{ "last fragment", IGB_SPLIT_V4, .frag_off = 100 },
	{ "UDP", .proto = ETH_P_IP, .l4 = IPPROTO_UDP },
	{ "IPv6 extension header", .proto = ETH_P_IPV6, .l4 = NEXTHDR_HOP },
	{ "IPv6 fragment", .proto = ETH_P_IPV6, .l4 = NEXTHDR_FRAGMENT },
	{ "ARP", .proto = ETH_P_ARP, .l4 = IPPROTO_TCP },
	{ "QinQ", IGB_SPLIT_V4, .vlan = ETH_P_8021AD },
};

KUNIT_ARRAY_PARAM_DESC(igb_split, igb_split_cases, name);

static void *igb_split_put_ethernet(const struct igb_split_case *sc, u8 *data)
{
	struct vlan_ethhdr *eth = (void *)data;

	if (!sc->vlan) {
		eth->h_vlan_proto = htons(sc->proto);
		return data + ETH_HLEN;
	}
	eth->h_vlan_proto = htons(sc->vlan);
	eth->h_vlan_encapsulated_proto = htons(sc->proto);
	return data + VLAN_ETH_HLEN;
}

static void *igb_split_put_ip(const struct igb_split_case *sc, void *data)
{
	struct ipv6hdr *ip6 = data;
	struct iphdr *ip = data;

	if (sc->proto == ETH_P_IPV6) {
		ip6->version = 6;
		ip6->nexthdr = sc->l4;
		return data + sizeof(*ip6);
	}
	ip->version = 4;
	ip->ihl = (sizeof(*ip) + sc->ip_options) / 4;
	ip->protocol = sc->l4;
	ip->frag_off = htons(sc->frag_off);
	return data + sizeof(*ip) + sc->ip_options;
}

static void *igb_split_put_tcp(const struct igb_split_case *sc, void *data)
{
	unsigned int doff = sc->doff ?: sizeof(struct tcphdr) / 4;
	struct tcphdr *th = data;

	th->doff = sc->no_doff ? 0 : doff;
	return data + doff * 4;
}

static void igb_split(struct kunit *test)
{
	const struct igb_split_case *sc = test->param_value;
	u8 *data = kunit_kzalloc(test, IGB_RX_HDR_LEN, GFP_KERNEL);
	unsigned int len;
	void *end;

	KUNIT_ASSERT_NOT_NULL(test, data);
	end = igb_split_put_ethernet(sc, data);
	end = igb_split_put_ip(sc, end);
	end = igb_split_put_tcp(sc, end);
	len = (u8 *)end - data + sc->beyond;

	KUNIT_EXPECT_EQ(test, igb_zcrx_is_split(data, len), sc->split);
}

/* Frames that the NIC takes for nothing that it knows */
static void igb_split_nothing(struct kunit *test)
{
	u8 *data = kunit_kzalloc(test, IGB_RX_HDR_LEN, GFP_KERNEL);
	unsigned int len;

	KUNIT_ASSERT_NOT_NULL(test, data);
	for (len = 0; len <= IGB_RX_HDR_LEN; len++)
		KUNIT_EXPECT_FALSE(test, igb_zcrx_is_split(data, len));
}

static struct kunit_case igb_zcrx_cases[] = {
	KUNIT_CASE_PARAM(igb_split, igb_split_gen_params),
	KUNIT_CASE(igb_split_nothing),
	{}
};

static struct kunit_suite igb_zcrx_suite = {
	.name		= "igb_zcrx",
	.test_cases	= igb_zcrx_cases,
};

kunit_test_suite(igb_zcrx_suite);
