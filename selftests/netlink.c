// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <stdio.h>

#include "netlink.h"

/**
 * netlink_open() - open a socket
 * @nl: the socket
 * @bus: NETLINK_GENERIC or NETLINK_ROUTE
 *
 * Return: 0, or a negative error.
 */
int netlink_open(struct netlink *nl, int bus)
{
	int one = 1, ret;

	nl->text[0] = 0;
	nl->sock = mnl_socket_open(bus);
	if (!nl->sock)
		return -errno;
	mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &one, sizeof(one));
	if (!mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID))
		return 0;
	ret = -errno;
	netlink_close(nl);

	return ret;
}

/**
 * netlink_close() - undo netlink_open(), if that has worked
 * @nl: the socket
 */
void netlink_close(struct netlink *nl)
{
	if (nl->sock)
		mnl_socket_close(nl->sock);
	nl->sock = NULL;
}

/**
 * netlink_put_genl() - begin a message of generic netlink
 * @buf: room for it
 * @family: by netlink_family()
 * @flags: NLM_F_..., on top of NLM_F_REQUEST
 * @cmd: the family's command
 *
 * Return: the message, to which attributes can be added.
 */
struct nlmsghdr *netlink_put_genl(void *buf, int family, __u16 flags, __u8 cmd)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = family;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = 1;

	return nlh;
}

static int take_text(const struct nlattr *attr, void *data)
{
	struct netlink *nl = data;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
		snprintf(nl->text, sizeof(nl->text), "%s",
			 mnl_attr_get_str(attr));

	return MNL_CB_OK;
}

/* Returns the error that an answer is, 0 for success, or 1 if it is no error. */
static int take_error(struct netlink *nl, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);
	size_t skip = sizeof(*err);

	if (nlh->nlmsg_type != NLMSG_ERROR)
		return 1;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += mnl_nlmsg_get_payload_len(&err->msg);
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS)
		mnl_attr_parse(nlh, skip, take_text, nl);

	return err->error;
}

/* One datagram of answers. Returns as take_error(), 1 if there is more to come */
static int take_answers(struct netlink *nl, const char *buf, int len,
			mnl_cb_t cb, void *data)
{
	const struct nlmsghdr *nlh = (const void *)buf;
	int ret;

	for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		if (nlh->nlmsg_type == NLMSG_DONE)
			return *(int *)mnl_nlmsg_get_payload(nlh);
		ret = take_error(nl, nlh);
		if (ret <= 0)
			return ret;
		if (cb && cb(nlh, data) == MNL_CB_ERROR)
			return -EBADMSG;
	}

	return 1;
}

/**
 * netlink_ask() - send a message and take the answers
 * @nl: the socket
 * @nlh: a message with NLM_F_ACK, or NLM_F_DUMP
 * @cb: called with each answer that is no error, or NULL
 * @data: for @cb
 *
 * Return: 0, or what the kernel says.
 */
int netlink_ask(struct netlink *nl, const struct nlmsghdr *nlh, mnl_cb_t cb,
		void *data)
{
	static char buf[1 << 16];
	int len, ret;

	nl->text[0] = 0;
	if (mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(nl->sock, buf, sizeof(buf));
		if (len < 0)
			return -errno;
		ret = take_answers(nl, buf, len, cb, data);
	} while (ret > 0);

	return ret;
}

static int take_family(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
			*(int *)data = mnl_attr_get_u16(attr);

	return MNL_CB_OK;
}

/**
 * netlink_family() - find a family of generic netlink
 * @nl: a socket of NETLINK_GENERIC
 * @name: the family's
 *
 * Return: its number, or a negative error.
 */
int netlink_family(struct netlink *nl, const char *name)
{
	char buf[256];
	struct nlmsghdr *nlh;
	int ret, family = -ENOENT;

	nlh = netlink_put_genl(buf, GENL_ID_CTRL, NLM_F_ACK,
			       CTRL_CMD_GETFAMILY);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, name);
	ret = netlink_ask(nl, nlh, take_family, &family);

	return ret ?: family;
}

/**
 * netlink_begin_genl() - open a socket, and begin a request that is answered
 * @nl: the socket
 * @family: name of the family
 * @cmd: its command
 * @m: the request, to which attributes can be added
 *
 * Return: 0, or a negative error; netlink_close() is for the caller to call.
 */
int netlink_begin_genl(struct netlink *nl, const char *family, __u8 cmd,
		       union netlink_message *m)
{
	int ret = netlink_open(nl, NETLINK_GENERIC);

	if (ret)
		return ret;
	ret = netlink_family(nl, family);
	if (ret < 0)
		return ret;
	netlink_put_genl(m, ret, NLM_F_ACK, cmd);

	return 0;
}

/**
 * netlink_begin_ethtool() - the same, of ethtool's
 * @nl: the socket
 * @cmd: ETHTOOL_MSG_...
 * @ifname: the device, which all messages have at the same place
 * @m: the request
 *
 * Return: as netlink_begin_genl().
 */
int netlink_begin_ethtool(struct netlink *nl, __u8 cmd, const char *ifname,
			  union netlink_message *m)
{
	int ret = netlink_begin_genl(nl, ETHTOOL_GENL_NAME, cmd, m);
	struct nlattr *nest;

	if (ret)
		return ret;
	nest = mnl_attr_nest_start(&m->nlh, ETHTOOL_A_RINGS_HEADER);
	mnl_attr_put_strz(&m->nlh, ETHTOOL_A_HEADER_DEV_NAME, ifname);
	mnl_attr_nest_end(&m->nlh, nest);

	return 0;
}
