/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Requests to the kernel by netlink, and what it says to those that it refuses.
 */
#ifndef ZCRX_SELFTEST_NETLINK_H
#define ZCRX_SELFTEST_NETLINK_H

#include <libmnl/libmnl.h>
#include <linux/types.h>

/**
 * struct netlink - a socket
 * @sock: libmnl's
 * @text: what the kernel said to the last request, if it refused it
 */
struct netlink {
	struct mnl_socket	*sock;
	char			text[256];
};

/* A request, and room for its attributes */
union netlink_message {
	struct nlmsghdr	nlh;
	char		bytes[1024];
};

int netlink_open(struct netlink *nl, int bus);
void netlink_close(struct netlink *nl);
int netlink_family(struct netlink *nl, const char *name);
struct nlmsghdr *netlink_put_genl(void *buf, int family, __u16 flags, __u8 cmd);
int netlink_begin_genl(struct netlink *nl, const char *family, __u8 cmd,
		       union netlink_message *m);
int netlink_begin_ethtool(struct netlink *nl, __u8 cmd, const char *ifname,
			  union netlink_message *m);
int netlink_ask(struct netlink *nl, const struct nlmsghdr *nlh, mnl_cb_t cb,
		void *data);

#endif
