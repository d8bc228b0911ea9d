// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * zcrx-split - set a NIC's header split
 *
 * What "ethtool -G IFACE tcp-data-split on" does, for machines whose ethtool
 * only shows the setting (6.1, Debian 12).
 */
#include <errno.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct msg {
	struct nlmsghdr nlh;
	struct genlmsghdr genl;
	char attrs[4096];
};

static void msg_init(struct msg *m, int family, int cmd)
{
	memset(m, 0, sizeof(*m));
	m->nlh.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	m->nlh.nlmsg_type = family;
	m->nlh.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	m->genl.cmd = cmd;
	m->genl.version = 1;
}

static struct nlattr *msg_put(struct msg *m, int type, const void *data,
			      size_t len)
{
	struct nlattr *attr = (void *)((char *)m + m->nlh.nlmsg_len);

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + len;
	memcpy((char *)attr + NLA_HDRLEN, data, len);
	m->nlh.nlmsg_len += NLA_ALIGN(attr->nla_len);
	return attr;
}

static const struct nlattr *attr_find(const void *start, int len, int type)
{
	const struct nlattr *attr = start;

	while (len >= NLA_HDRLEN && attr->nla_len >= NLA_HDRLEN &&
	       attr->nla_len <= len) {
		if ((attr->nla_type & NLA_TYPE_MASK) == type)
			return attr;
		len -= NLA_ALIGN(attr->nla_len);
		attr = (const void *)((const char *)attr +
				      NLA_ALIGN(attr->nla_len));
	}
	return NULL;
}

/* The kernel's own words on why it refused, or NULL. */
static const char *ack_text(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *err = NLMSG_DATA(nlh);
	const struct nlattr *attr;
	size_t skip = sizeof(*err);

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(err->msg.nlmsg_len) - sizeof(err->msg);
	attr = attr_find((const char *)err + skip,
			 (int)(NLMSG_PAYLOAD(nlh, 0) - skip), NLMSGERR_ATTR_MSG);
	return attr ? (const char *)attr + NLA_HDRLEN : NULL;
}

/*
 * Sends m and receives up to the acknowledgment. What answers it before that,
 * one message in each datagram, stands in m. Returns 0 or -errno.
 */
static int msg_talk(int fd, struct msg *m)
{
	union {
		struct nlmsghdr nlh;
		char bytes[8192];
	} in;

	if (send(fd, m, m->nlh.nlmsg_len, 0) < 0)
		return -errno;

	for (;;) {
		const struct nlmsgerr *err = NLMSG_DATA(&in.nlh);
		ssize_t len = recv(fd, &in, sizeof(in), 0);

		if (len < 0)
			return -errno;
		if (in.nlh.nlmsg_type == NLMSG_ERROR) {
			const char *text = ack_text(&in.nlh);

			if (err->error && text)
				fprintf(stderr, "zcrx-split: the kernel says: %s\n",
					text);
			return err->error;
		}
		if ((size_t)len <= sizeof(*m))
			memcpy(m, &in, len);
	}
}

static int ethtool_family(int fd)
{
	const struct nlattr *attr;
	struct msg m;
	__u16 id;
	int ret;

	msg_init(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	msg_put(&m, CTRL_ATTR_FAMILY_NAME, ETHTOOL_GENL_NAME,
		sizeof(ETHTOOL_GENL_NAME));
	ret = msg_talk(fd, &m);
	if (ret)
		return ret;
	attr = attr_find(m.attrs, m.nlh.nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN),
			 CTRL_ATTR_FAMILY_ID);
	if (!attr)
		return -ENOENT;
	memcpy(&id, (const char *)attr + NLA_HDRLEN, sizeof(id));
	return id;
}

static int set_split(int fd, const char *ifname, __u8 split)
{
	struct nlattr *header;
	struct msg m;
	int family = ethtool_family(fd);

	if (family < 0)
		return family;
	msg_init(&m, family, ETHTOOL_MSG_RINGS_SET);
	header = msg_put(&m, ETHTOOL_A_RINGS_HEADER | NLA_F_NESTED, NULL, 0);
	msg_put(&m, ETHTOOL_A_HEADER_DEV_NAME, ifname, strlen(ifname) + 1);
	header->nla_len = (char *)&m + m.nlh.nlmsg_len - (char *)header;
	msg_put(&m, ETHTOOL_A_RINGS_TCP_DATA_SPLIT, &split, sizeof(split));
	return msg_talk(fd, &m);
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
	int one = 1;
	int fd, ret;

	if (split < 0) {
		fprintf(stderr, "usage: zcrx-split IFACE on|off|auto\n");
		return 2;
	}
	if (strlen(argv[1]) >= IFNAMSIZ) {
		fprintf(stderr, "zcrx-split: not an interface name: %s\n",
			argv[1]);
		return 2;
	}

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (fd < 0) {
		perror("zcrx-split: netlink");
		return 1;
	}
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	ret = set_split(fd, argv[1], split);
	close(fd);
	if (ret) {
		fprintf(stderr, "zcrx-split: cannot set header split of %s to %s: %s\n",
			argv[1], argv[2], strerror(-ret));
		return 1;
	}
	return 0;
}
