// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * zcrx-split - set a NIC's header split
 *
 * What "ethtool -G IFACE tcp-data-split on" does, for machines whose ethtool
 * only shows the setting (6.1, Debian 12).
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

union msg {
	struct nlmsghdr nlh;
	char bytes[8192];
};

static void msg_init(union msg *m, int type, int cmd)
{
	struct genlmsghdr *genl;

	mnl_nlmsg_put_header(m);
	m->nlh.nlmsg_type = type;
	m->nlh.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	genl = mnl_nlmsg_put_extra_header(&m->nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = 1;
}

static int say_text(const struct nlattr *attr, void *data)
{
	(void)data;
	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
		fprintf(stderr, "zcrx-split: the kernel says: %s\n",
			mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

/* Ends the conversation: errno is the kernel's answer. */
static int on_ack(const struct nlmsghdr *nlh, void *data)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);
	size_t skip = sizeof(*err);

	(void)data;
	if (!err->error)
		return MNL_CB_STOP;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += mnl_nlmsg_get_payload_len(&err->msg);
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS)
		mnl_attr_parse(nlh, skip, say_text, NULL);
	errno = -err->error;
	return MNL_CB_ERROR;
}

/* Sends m and hears the answers out; reply is called for what is not an ack. */
static int msg_talk(struct mnl_socket *sock, union msg *m, mnl_cb_t reply,
		    void *data)
{
	static mnl_cb_t ctl[NLMSG_MIN_TYPE] = { [NLMSG_ERROR] = on_ack };
	int ret;

	if (mnl_socket_sendto(sock, m, m->nlh.nlmsg_len) < 0)
		return -1;
	do {
		ret = mnl_socket_recvfrom(sock, m, sizeof(*m));
		if (ret > 0)
			ret = mnl_cb_run2(m, ret, 0, 0, reply, data, ctl,
					  NLMSG_MIN_TYPE);
	} while (ret > MNL_CB_STOP);
	return ret;
}

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

static int set_split(struct mnl_socket *sock, const char *ifname, int split)
{
	struct nlattr *header;
	int family = 0;
	union msg m;

	msg_init(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	mnl_attr_put_strz(&m.nlh, CTRL_ATTR_FAMILY_NAME, ETHTOOL_GENL_NAME);
	if (msg_talk(sock, &m, on_family, &family) < 0)
		return -1;

	msg_init(&m, family, ETHTOOL_MSG_RINGS_SET);
	header = mnl_attr_nest_start(&m.nlh, ETHTOOL_A_RINGS_HEADER);
	mnl_attr_put_strz(&m.nlh, ETHTOOL_A_HEADER_DEV_NAME, ifname);
	mnl_attr_nest_end(&m.nlh, header);
	mnl_attr_put_u8(&m.nlh, ETHTOOL_A_RINGS_TCP_DATA_SPLIT, split);
	return msg_talk(sock, &m, NULL, NULL);
}

static int parse_split(const char *word)
{
	if (!strcmp(word, "auto"))
		return ETHTOOL_TCP_DATA_SPLIT_UNKNOWN;
	if (!strcmp(word, "off"))
		return ETHTOOL_TCP_DATA_SPLIT_DISABLED;
	if (!strcmp(word, "on"))
		return ETHTOOL_TCP_DATA_SPLIT_ENABLED;
	return -1;
}

int main(int argc, char **argv)
{
	int split = argc == 3 ? parse_split(argv[2]) : -1;
	struct mnl_socket *sock;
	int one = 1;

	if (split < 0 || strlen(argv[1]) >= IFNAMSIZ) {
		fprintf(stderr, "usage: zcrx-split IFACE on|off|auto\n");
		return 2;
	}

	sock = mnl_socket_open(NETLINK_GENERIC);
	if (!sock || mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		perror("zcrx-split: cannot talk to the kernel by netlink");
		return 1;
	}
	mnl_socket_setsockopt(sock, NETLINK_EXT_ACK, &one, sizeof(one));
	if (set_split(sock, argv[1], split) < 0) {
		fprintf(stderr, "zcrx-split: cannot set header split of %s to %s: %s\n",
			argv[1], argv[2], strerror(errno));
		return 1;
	}
	mnl_socket_close(sock);
	return 0;
}
