// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What netlink tells and sets: links and routes, header split, queues and who
 * provides their memory.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nic_hw.h"

/* One message of a dump, of whatever kind, is within this. */
#define BUFFER_SIZE	32768

/* Newer than the headers of the distributions that we build on */
#define RINGS_HDS_THRESH	17
#define PARENT_DEV_NAME		56

/* Family "netdev", Linux 6.8, and what has been added to it */
enum {
	NETDEV_QUEUE_GET	= 10,
};

enum {
	QUEUE_ID		= 1,
	QUEUE_IFINDEX		= 2,
	QUEUE_TYPE		= 3,
	QUEUE_DMABUF		= 5,
	QUEUE_IO_URING		= 6,
	QUEUE_XSK		= 7,
	QUEUE_ATTR_MAX		= QUEUE_XSK,
};

#define QUEUE_TYPE_RX		0

/**
 * struct talk - a conversation with the kernel
 * @sock: netlink socket
 * @nlh: the request, in @buf
 * @buf: request, then reply
 */
struct talk {
	struct mnl_socket	*sock;
	struct nlmsghdr		*nlh;
	char			buf[BUFFER_SIZE];
};

static __thread char said[128];

/**
 * zcrx_hw_said() - why has the kernel refused?
 * @err: negative errno of the last function of this file in this thread
 *
 * Return: what the kernel said, or else what the errno is called.
 */
const char *zcrx_hw_said(int err)
{
	return *said ? said : strerror(-err);
}

static struct talk *talk_new(int bus)
{
	struct talk *talk = malloc(sizeof(*talk));
	int one = 1;

	*said = '\0';
	if (!talk)
		return NULL;
	talk->sock = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!talk->sock) {
		free(talk);
		return NULL;
	}
	if (mnl_socket_bind(talk->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(talk->sock);
		free(talk);
		return NULL;
	}
	mnl_socket_setsockopt(talk->sock, NETLINK_EXT_ACK, &one, sizeof(one));

	return talk;
}

static void talk_free(struct talk *talk)
{
	mnl_socket_close(talk->sock);
	free(talk);
}

static void *talk_request(struct talk *talk, unsigned int type,
			  unsigned int flags, size_t header)
{
	talk->nlh = mnl_nlmsg_put_header(talk->buf);
	talk->nlh->nlmsg_type = type;
	talk->nlh->nlmsg_flags = NLM_F_REQUEST | flags;

	return mnl_nlmsg_put_extra_header(talk->nlh, header);
}

static int keep_message(const struct nlattr *attr, void *data)
{
	(void)data;
	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		snprintf(said, sizeof(said), "%s", mnl_attr_get_str(attr));

	return MNL_CB_OK;
}

/* The end of an answer: errno is what the kernel says. */
static int on_error(const struct nlmsghdr *nlh, void *data)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);
	size_t skip = sizeof(*err);

	(void)data;
	if (!err->error)
		return MNL_CB_STOP;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += mnl_nlmsg_get_payload_len(&err->msg);
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS)
		mnl_attr_parse(nlh, skip, keep_message, NULL);
	errno = -err->error;

	return MNL_CB_ERROR;
}

static int on_done(const struct nlmsghdr *nlh, void *data)
{
	const int *err = mnl_nlmsg_get_payload(nlh);

	(void)data;
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*err) || *err >= 0)
		return MNL_CB_STOP;
	errno = -*err;

	return MNL_CB_ERROR;
}

/* Sends the request, and hears the answer out. */
static int talk_run(struct talk *talk, mnl_cb_t reply, void *data)
{
	static const mnl_cb_t ctl[NLMSG_MIN_TYPE] = {
		[NLMSG_ERROR]	= on_error,
		[NLMSG_DONE]	= on_done,
	};
	int ret;

	*said = '\0';
	if (mnl_socket_sendto(talk->sock, talk->nlh, talk->nlh->nlmsg_len) < 0)
		return -errno;
	do {
		ret = mnl_socket_recvfrom(talk->sock, talk->buf,
					  sizeof(talk->buf));
		if (ret > 0)
			ret = mnl_cb_run2(talk->buf, ret, 0, 0, reply, data,
					  (mnl_cb_t *)ctl, NLMSG_MIN_TYPE);
	} while (ret > MNL_CB_STOP);

	return ret < 0 ? -errno : 0;
}

/*
 * Generic netlink
 */

static int on_family_attr(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
		*(int *)data = mnl_attr_get_u16(attr);

	return MNL_CB_OK;
}

static int on_family(const struct nlmsghdr *nlh, void *data)
{
	return mnl_attr_parse(nlh, sizeof(struct genlmsghdr), on_family_attr,
			      data);
}

static void genl_request(struct talk *talk, int family, int cmd,
			 unsigned int flags)
{
	struct genlmsghdr *genl;

	genl = talk_request(talk, family, flags, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = 1;
}

/* -EOPNOTSUPP: this kernel does not have it. */
static int genl_new(const char *name, int cmd, unsigned int flags,
		    struct talk **talkp)
{
	struct talk *talk = talk_new(NETLINK_GENERIC);
	int family = 0, ret;

	if (!talk)
		return -errno;
	genl_request(talk, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	mnl_attr_put_strz(talk->nlh, CTRL_ATTR_FAMILY_NAME, name);
	ret = talk_run(talk, on_family, &family);
	if (ret || !family) {
		talk_free(talk);
		return !ret || ret == -ENOENT ? -EOPNOTSUPP : ret;
	}
	genl_request(talk, family, cmd, flags);
	*talkp = talk;

	return 0;
}

static int ethtool_new(unsigned int ifindex, int cmd, struct talk **talkp)
{
	struct nlattr *header;
	int ret = genl_new(ETHTOOL_GENL_NAME, cmd, NLM_F_ACK, talkp);

	if (ret)
		return ret;
	/* The header has the same number in all requests. */
	header = mnl_attr_nest_start((*talkp)->nlh, ETHTOOL_A_RINGS_HEADER);
	mnl_attr_put_u32((*talkp)->nlh, ETHTOOL_A_HEADER_DEV_INDEX, ifindex);
	mnl_attr_nest_end((*talkp)->nlh, header);

	return 0;
}

static int on_ring_attr(const struct nlattr *attr, void *data)
{
	struct zcrx_rings *rings = data;

	switch (mnl_attr_get_type(attr)) {
	case ETHTOOL_A_RINGS_RX:
		rings->rx = mnl_attr_get_u32(attr);
		break;
	case ETHTOOL_A_RINGS_RX_MAX:
		rings->rx_max = mnl_attr_get_u32(attr);
		break;
	case ETHTOOL_A_RINGS_TCP_DATA_SPLIT:
		rings->split = mnl_attr_get_u8(attr);
		break;
	case RINGS_HDS_THRESH:
		rings->threshold = mnl_attr_get_u32(attr);
		break;
	}

	return MNL_CB_OK;
}

static int on_rings(const struct nlmsghdr *nlh, void *data)
{
	return mnl_attr_parse(nlh, sizeof(struct genlmsghdr), on_ring_attr,
			      data);
}

/**
 * zcrx_hw_rings() - how many descriptors, and is header split on?
 * @ifindex: the interface
 * @rings: filled in
 *
 * Return: 0 or a negative errno.
 */
int zcrx_hw_rings(unsigned int ifindex, struct zcrx_rings *rings)
{
	struct talk *talk;
	int ret;

	memset(rings, 0, sizeof(*rings));
	rings->split = ZCRX_SPLIT_NOT_KNOWN;
	rings->threshold = -1;
	ret = ethtool_new(ifindex, ETHTOOL_MSG_RINGS_GET, &talk);
	if (ret)
		return ret;
	ret = talk_run(talk, on_rings, rings);
	talk_free(talk);

	return ret;
}

static int set_rings(unsigned int ifindex, unsigned int split,
		     unsigned int attr, int value)
{
	struct talk *talk;
	int ret = ethtool_new(ifindex, ETHTOOL_MSG_RINGS_SET, &talk);

	if (ret)
		return ret;
	mnl_attr_put_u8(talk->nlh, ETHTOOL_A_RINGS_TCP_DATA_SPLIT, split);
	if (attr)
		mnl_attr_put_u32(talk->nlh, attr, value);
	ret = talk_run(talk, NULL, NULL);
	talk_free(talk);

	return ret;
}

/**
 * zcrx_hw_set_split() - set header split
 * @ifindex: the interface
 * @split: ethtool's number
 * @threshold: its threshold, or -1 where there is none
 *
 * Return: 0 or a negative errno.
 */
int zcrx_hw_set_split(unsigned int ifindex, unsigned int split, int threshold)
{
	return set_rings(ifindex, split, threshold < 0 ? 0 : RINGS_HDS_THRESH,
			 threshold);
}

/**
 * zcrx_hw_try_split() - can header split be switched on?
 * @ifindex: the interface
 *
 * Nothing changes: a ring is asked for that is larger than any. Whether the NIC
 * can split is looked at before, and the driver is called only after that.
 *
 * Return: 0; -EOPNOTSUPP: it can't; or another negative errno: not known.
 */
int zcrx_hw_try_split(unsigned int ifindex)
{
	int ret = set_rings(ifindex, ZCRX_SPLIT_ON, ETHTOOL_A_RINGS_RX, -1);

	return ret == -EINVAL || ret == -ERANGE ? 0 : ret;
}

/*
 * Features
 */

#define NTUPLE		"rx-ntuple-filter"

/**
 * struct ntuple - is the bit of filters in a set of features?
 * @all_count: the set has no mask: bits that it names are in it, whereas in one
 *	       with a mask they have a value
 * @has_name: the bit that is looked at is that of filters
 * @has_value: it has a value
 * @is_set: it is in the set
 */
struct ntuple {
	bool	all_count;
	bool	has_name;
	bool	has_value;
	bool	is_set;
};

static int on_bit_attr(const struct nlattr *attr, void *data)
{
	struct ntuple *ntuple = data;

	switch (mnl_attr_get_type(attr)) {
	case ETHTOOL_A_BITSET_BIT_NAME:
		ntuple->has_name = !strcmp(mnl_attr_get_str(attr), NTUPLE);
		break;
	case ETHTOOL_A_BITSET_BIT_VALUE:
		ntuple->has_value = true;
		break;
	}

	return MNL_CB_OK;
}

static int on_bit(const struct nlattr *attr, void *data)
{
	struct ntuple *ntuple = data;
	int ret;

	ntuple->has_name = false;
	ntuple->has_value = false;
	ret = mnl_attr_parse_nested(attr, on_bit_attr, ntuple);
	if (ntuple->has_name)
		ntuple->is_set = ntuple->all_count || ntuple->has_value;

	return ret;
}

/* The kernel says first whether there is a mask. */
static int on_bitset_attr(const struct nlattr *attr, void *data)
{
	struct ntuple *ntuple = data;

	switch (mnl_attr_get_type(attr)) {
	case ETHTOOL_A_BITSET_NOMASK:
		ntuple->all_count = true;
		break;
	case ETHTOOL_A_BITSET_BITS:
		return mnl_attr_parse_nested(attr, on_bit, ntuple);
	}

	return MNL_CB_OK;
}

/* What the driver can switch, and what is on */
static int on_features_attr(const struct nlattr *attr, void *data)
{
	struct ntuple *sets = data;

	switch (mnl_attr_get_type(attr)) {
	case ETHTOOL_A_FEATURES_HW:
		return mnl_attr_parse_nested(attr, on_bitset_attr, &sets[0]);
	case ETHTOOL_A_FEATURES_ACTIVE:
		return mnl_attr_parse_nested(attr, on_bitset_attr, &sets[1]);
	}

	return MNL_CB_OK;
}

static int on_features(const struct nlmsghdr *nlh, void *data)
{
	return mnl_attr_parse(nlh, sizeof(struct genlmsghdr), on_features_attr,
			      data);
}

/**
 * zcrx_hw_ntuple() - has it filters for single flows?
 * @ifindex: the interface
 * @available: set: it has
 * @on: set: they are on
 *
 * Return: 0 or a negative errno.
 */
int zcrx_hw_ntuple(unsigned int ifindex, bool *available, bool *on)
{
	struct ntuple sets[2] = { { .is_set = false } };
	struct talk *talk;
	int ret = ethtool_new(ifindex, ETHTOOL_MSG_FEATURES_GET, &talk);

	if (ret)
		return ret;
	ret = talk_run(talk, on_features, sets);
	talk_free(talk);
	*on = sets[1].is_set;
	*available = sets[0].is_set || sets[1].is_set;

	return ret;
}

/* What is asked for, of this one bit */
static void put_ntuple(struct nlmsghdr *nlh, bool on)
{
	struct nlattr *wanted, *bits, *bit;

	wanted = mnl_attr_nest_start(nlh, ETHTOOL_A_FEATURES_WANTED);
	bits = mnl_attr_nest_start(nlh, ETHTOOL_A_BITSET_BITS);
	bit = mnl_attr_nest_start(nlh, ETHTOOL_A_BITSET_BITS_BIT);
	mnl_attr_put_strz(nlh, ETHTOOL_A_BITSET_BIT_NAME, NTUPLE);
	if (on)
		mnl_attr_put(nlh, ETHTOOL_A_BITSET_BIT_VALUE, 0, NULL);
	mnl_attr_nest_end(nlh, bit);
	mnl_attr_nest_end(nlh, bits);
	mnl_attr_nest_end(nlh, wanted);
}

static int ask_for_ntuple(unsigned int ifindex, bool on)
{
	struct talk *talk;
	int ret = ethtool_new(ifindex, ETHTOOL_MSG_FEATURES_SET, &talk);

	if (ret)
		return ret;
	put_ntuple(talk->nlh, on);
	ret = talk_run(talk, NULL, NULL);
	talk_free(talk);

	return ret;
}

/**
 * zcrx_hw_set_ntuple() - switch filters for single flows on or off
 * @ifindex: the interface
 * @on: which of it
 *
 * Return: 0; -EOPNOTSUPP: they stay as they are; or another negative errno.
 */
int zcrx_hw_set_ntuple(unsigned int ifindex, bool on)
{
	bool available, is = !on;
	int ret = ask_for_ntuple(ifindex, on);

	if (!ret)
		ret = zcrx_hw_ntuple(ifindex, &available, &is);
	if (ret || is == on)
		return ret;
	/* The kernel keeps it as a wish, to be fulfilled some day: take it back. */
	ask_for_ntuple(ifindex, !on);

	return -EOPNOTSUPP;
}

/*
 * Queues
 */

static int on_queue_attr(const struct nlattr *attr, void *data)
{
	const struct nlattr **attrs = data;

	if (mnl_attr_get_type(attr) <= QUEUE_ATTR_MAX)
		attrs[mnl_attr_get_type(attr)] = attr;

	return MNL_CB_OK;
}

static int on_queue(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attrs[QUEUE_ATTR_MAX + 1] = { NULL };
	struct zcrx_queues *queues = data;
	unsigned int id;

	mnl_attr_parse(nlh, sizeof(struct genlmsghdr), on_queue_attr, attrs);
	if (!attrs[QUEUE_ID] || !attrs[QUEUE_TYPE] ||
	    mnl_attr_get_u32(attrs[QUEUE_TYPE]) != QUEUE_TYPE_RX)
		return MNL_CB_OK;
	id = mnl_attr_get_u32(attrs[QUEUE_ID]);
	if (id >= sizeof(queues->provider))
		return MNL_CB_OK;
	if (id >= queues->nr)
		queues->nr = id + 1;
	if (attrs[QUEUE_IO_URING])
		queues->provider[id] = ZCRX_PROVIDER_IO_URING;
	else if (attrs[QUEUE_DMABUF])
		queues->provider[id] = ZCRX_PROVIDER_DMABUF;
	else if (attrs[QUEUE_XSK])
		queues->provider[id] = ZCRX_PROVIDER_XSK;

	return MNL_CB_OK;
}

/**
 * zcrx_hw_queues() - which receive queues are there?
 * @ifindex: the interface
 * @queues: filled in; none of an interface that is down
 *
 * Return: 0; -EOPNOTSUPP: the kernel does not tell; or another negative errno.
 */
int zcrx_hw_queues(unsigned int ifindex, struct zcrx_queues *queues)
{
	struct talk *talk;
	int ret;

	memset(queues, 0, sizeof(*queues));
	ret = genl_new("netdev", NETDEV_QUEUE_GET, NLM_F_DUMP, &talk);
	if (ret)
		return ret;
	mnl_attr_put_u32(talk->nlh, QUEUE_IFINDEX, ifindex);
	ret = talk_run(talk, on_queue, queues);
	talk_free(talk);
	queues->providers_known = !ret;

	return ret;
}

/*
 * Links and routes
 */

struct vlan {
	unsigned int	link;
	bool		elsewhere;	/* in another network namespace */
	bool		is_vlan;
};

static int on_info_attr(const struct nlattr *attr, void *data)
{
	struct vlan *vlan = data;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
		vlan->is_vlan = !strcmp(mnl_attr_get_str(attr), "vlan");

	return MNL_CB_OK;
}

struct link_reply {
	struct zcrx_link	*link;
	struct vlan		vlan;
};

static int on_link_attr(const struct nlattr *attr, void *data)
{
	struct link_reply *reply = data;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_MTU:
		reply->link->mtu = mnl_attr_get_u32(attr);
		break;
	case IFLA_LINK:
		reply->vlan.link = mnl_attr_get_u32(attr);
		break;
	case PARENT_DEV_NAME:
		snprintf(reply->link->device, sizeof(reply->link->device),
			 "%s", mnl_attr_get_str(attr));
		break;
	case IFLA_LINK_NETNSID:
		reply->vlan.elsewhere = true;
		break;
	case IFLA_LINKINFO:
		return mnl_attr_parse_nested(attr, on_info_attr, &reply->vlan);
	}

	return MNL_CB_OK;
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	struct link_reply *reply = data;

	reply->link->flags = info->ifi_flags;

	return mnl_attr_parse(nlh, sizeof(*info), on_link_attr, reply);
}

/**
 * zcrx_hw_link() - what kind of interface is it?
 * @ifindex: the interface
 * @link: filled in
 *
 * Return: 0 or a negative errno.
 */
int zcrx_hw_link(unsigned int ifindex, struct zcrx_link *link)
{
	struct link_reply reply = { .link = link };
	struct talk *talk = talk_new(NETLINK_ROUTE);
	struct ifinfomsg *info;
	int ret;

	memset(link, 0, sizeof(*link));
	if (!talk)
		return -errno;
	info = talk_request(talk, RTM_GETLINK, NLM_F_ACK, sizeof(*info));
	info->ifi_index = ifindex;
	ret = talk_run(talk, on_link, &reply);
	talk_free(talk);
	if (reply.vlan.is_vlan && !reply.vlan.elsewhere)
		link->lower = reply.vlan.link;

	return ret;
}

static int on_route_attr(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == RTA_OIF)
		*(int *)data = mnl_attr_get_u32(attr);

	return MNL_CB_OK;
}

static int on_route(const struct nlmsghdr *nlh, void *data)
{
	return mnl_attr_parse(nlh, sizeof(struct rtmsg), on_route_attr, data);
}

static void put_address(struct nlmsghdr *nlh, int type,
			const struct sockaddr_storage *addr,
			unsigned char *bits)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	if (addr->ss_family == AF_INET) {
		memcpy(&v4, addr, sizeof(v4));
		mnl_attr_put(nlh, type, sizeof(v4.sin_addr), &v4.sin_addr);
		*bits = 32;
	} else {
		memcpy(&v6, addr, sizeof(v6));
		mnl_attr_put(nlh, type, sizeof(v6.sin6_addr), &v6.sin6_addr);
		*bits = 128;
	}
}

/**
 * zcrx_hw_route() - by which interface is a peer reached?
 * @remote: the peer
 * @local: our address, of the same family
 *
 * Return: its index, or a negative errno.
 */
int zcrx_hw_route(const struct sockaddr_storage *remote,
		  const struct sockaddr_storage *local)
{
	struct talk *talk = talk_new(NETLINK_ROUTE);
	struct rtmsg *rt;
	int ifindex = 0, ret;

	if (!talk)
		return -errno;
	rt = talk_request(talk, RTM_GETROUTE, NLM_F_ACK, sizeof(*rt));
	rt->rtm_family = remote->ss_family;
	put_address(talk->nlh, RTA_DST, remote, &rt->rtm_dst_len);
	put_address(talk->nlh, RTA_SRC, local, &rt->rtm_src_len);
	ret = talk_run(talk, on_route, &ifindex);
	talk_free(talk);
	if (ret)
		return ret;

	return ifindex ? ifindex : -ENETUNREACH;
}
