// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "xdp.h"

/* All that the kernel tells of an interface */
union message {
	struct nlmsghdr	nlh;
	char		bytes[32768];
};

/*
 * What ip link calls it. Of several, one is in the NIC: the other is found when
 * that one has gone.
 */
static const char *attached_word(unsigned int attached)
{
	switch (attached) {
	case XDP_ATTACHED_NONE:
		return NULL;
	case XDP_ATTACHED_SKB:
		return "xdpgeneric";
	case XDP_ATTACHED_HW:
	case XDP_ATTACHED_MULTI:
		return "xdpoffload";
	default:
		return "xdp";
	}
}

static int on_xdp_attr(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == IFLA_XDP_ATTACHED)
		*(const char **)data = attached_word(mnl_attr_get_u8(attr));

	return MNL_CB_OK;
}

static int on_link_attr(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) != IFLA_XDP)
		return MNL_CB_OK;

	return mnl_attr_parse_nested(attr, on_xdp_attr, data);
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
	return mnl_attr_parse(nlh, sizeof(struct ifinfomsg), on_link_attr,
			      data);
}

static int ask(struct mnl_socket *sock, unsigned int ifindex, const char **word)
{
	static union message message;
	struct ifinfomsg *info;
	int ret;

	mnl_nlmsg_put_header(&message);
	message.nlh.nlmsg_type = RTM_GETLINK;
	message.nlh.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	info = mnl_nlmsg_put_extra_header(&message.nlh, sizeof(*info));
	info->ifi_index = ifindex;
	if (mnl_socket_sendto(sock, &message, message.nlh.nlmsg_len) < 0)
		return -errno;
	do {
		ret = mnl_socket_recvfrom(sock, &message, sizeof(message));
		if (ret > 0)
			ret = mnl_cb_run(&message, ret, 0, 0, on_link, word);
	} while (ret > MNL_CB_STOP);

	return ret < 0 ? -errno : 0;
}

/**
 * xdp_find() - is there an XDP program?
 * @ifname: name of the interface
 * @word: set to what ip link takes it off by, and none of another kind; NULL if
 *	there is none
 *
 * Return: 0 or a negative errno.
 */
int xdp_find(const char *ifname, const char **word)
{
	struct mnl_socket *sock = mnl_socket_open(NETLINK_ROUTE);
	int ret;

	*word = NULL;
	if (!sock)
		return -errno;
	ret = mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno :
	      ask(sock, if_nametoindex(ifname), word);
	mnl_socket_close(sock);

	return ret;
}
