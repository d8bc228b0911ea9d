// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <linux/genetlink.h>
#include <string.h>

#include "netlink.h"
#include "pools.h"
#include "proc.h"

/* Of <linux/netdev.h>, which distributions have without them */
#define NETDEV_CMD_PAGE_POOL_GET	5
#define NETDEV_A_PAGE_POOL_ID		1
#define NETDEV_A_PAGE_POOL_INFLIGHT	4
#define NETDEV_A_PAGE_POOL_DETACH_TIME	6
#define NETDEV_A_PAGE_POOL_IO_URING	8

#define MAX_ATTR			16

#define POLL_MS				50

/* A number has as many bytes as it needs. */
static unsigned long long read_uint(const struct nlattr *attr)
{
	if (mnl_attr_get_payload_len(attr) == sizeof(__u64))
		return mnl_attr_get_u64(attr);

	return mnl_attr_get_u32(attr);
}

static int count_pool(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attrs[MAX_ATTR] = {}, *attr;
	struct pools *pools = data;
	unsigned long long id;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(attr) < MAX_ATTR)
			attrs[mnl_attr_get_type(attr)] = attr;

	if (!attrs[NETDEV_A_PAGE_POOL_IO_URING])
		return MNL_CB_OK;
	if (!attrs[NETDEV_A_PAGE_POOL_ID] || !attrs[NETDEV_A_PAGE_POOL_INFLIGHT])
		return MNL_CB_ERROR;
	id = read_uint(attrs[NETDEV_A_PAGE_POOL_ID]);
	if (id > pools->newest)
		pools->newest = id;
	pools->nr++;
	if (attrs[NETDEV_A_PAGE_POOL_DETACH_TIME]) {
		pools->nr_detached++;
		pools->nr_missing += read_uint(attrs[NETDEV_A_PAGE_POOL_INFLIGHT]);
	}

	return MNL_CB_OK;
}

/**
 * pools_read() - look at page pools
 * @pools: filled in
 *
 * Those of an interface that is no more are shown as the loopback interface's.
 *
 * Return: 0 or a negative error.
 */
int pools_read(struct pools *pools)
{
	struct nlmsghdr *nlh;
	struct netlink nl;
	char buf[256];
	int ret;

	memset(pools, 0, sizeof(*pools));
	ret = netlink_open(&nl, NETLINK_GENERIC);
	if (ret)
		return ret;
	ret = netlink_family(&nl, "netdev");
	if (ret >= 0) {
		nlh = netlink_put_genl(buf, ret, NLM_F_DUMP,
				       NETDEV_CMD_PAGE_POOL_GET);
		ret = netlink_ask(&nl, nlh, count_pool, pools);
	}
	netlink_close(&nl);

	return ret;
}

/**
 * pools_wait_gone() - wait until there is none
 * @pools: what there was last
 * @ms: how long; a pool looks once a second whether it has everything
 *
 * Return: 0, -ETIME, or another negative error.
 */
int pools_wait_gone(struct pools *pools, unsigned int ms)
{
	unsigned int waited;
	int ret;

	for (waited = 0;; waited += POLL_MS) {
		ret = pools_read(pools);
		if (ret || !pools->nr)
			return ret;
		if (waited >= ms)
			return -ETIME;
		proc_sleep_ms(POLL_MS);
	}
}
