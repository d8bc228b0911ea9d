// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Which queue of which interface? What the user asks for, or else the last
 * queue of the interface that has the connection's local address.
 */
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../liburing-zcrx/src/nic.h"
#include "where.h"

/* A listener for both families sees IPv4 addresses as ::ffff:a.b.c.d. */
static void unmap_v4(struct sockaddr_storage *addr)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)addr;
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	if (v6->sin6_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		return;
	memcpy(&v4.sin_addr, &v6->sin6_addr.s6_addr[12], sizeof(v4.sin_addr));
	memcpy(addr, &v4, sizeof(v4));
}

static bool is_loopback(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)addr;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)addr;

	if (v4->sin_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> IN_CLASSA_NSHIFT ==
		       IN_LOOPBACKNET;
	return v6->sin6_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)b;
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in *b4 = (const struct sockaddr_in *)b;

	if (!a || a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a->sa_family == AF_INET6 &&
	       IN6_ARE_ADDR_EQUAL(&a6->sin6_addr, &b6->sin6_addr) &&
	       a6->sin6_scope_id == b6->sin6_scope_id;
}

static int local_address(int fd, struct sockaddr_storage *addr)
{
	socklen_t len = sizeof(*addr);

	addr->ss_family = AF_UNSPEC;
	if (getsockname(fd, (struct sockaddr *)addr, &len))
		return -errno;
	unmap_v4(addr);

	return 0;
}

static int find_by_address(struct nic *nic, int fd)
{
	struct sockaddr_storage addr;
	struct ifaddrs *list, *ifa;
	int ret;

	ret = local_address(fd, &addr);
	if (ret)
		return ret;
	if (getifaddrs(&list))
		return -errno;
	for (ifa = list; ifa; ifa = ifa->ifa_next) {
		if (same_address(ifa->ifa_addr, (struct sockaddr *)&addr)) {
			snprintf(nic->name, sizeof(nic->name), "%s", ifa->ifa_name);
			break;
		}
	}
	freeifaddrs(list);

	return ifa ? 0 : -EADDRNOTAVAIL;
}

/**
 * nic_nr_queues() - how many receive queues has an interface?
 * @nic: the interface
 *
 * Return: their number, 0 if it is not known.
 */
int nic_nr_queues(const struct nic *nic)
{
	char path[64];
	struct dirent *entry;
	int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/net/%s/queues", nic->name);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		nr += !strncmp(entry->d_name, "rx-", 3);
	closedir(dir);

	return nr;
}

/**
 * nic_is_loopback() - is a connection over loopback?
 * @fd: the connection
 *
 * Return: true if its local address is one of loopback's.
 */
bool nic_is_loopback(int fd)
{
	struct sockaddr_storage addr;

	return !local_address(fd, &addr) && is_loopback(&addr);
}

/**
 * nic_choose() - where to register
 * @nic: filled in, the name first
 * @name: of the interface, or NULL for the one that has the connection's address
 * @rxq: number of the queue, or NULL for the last
 * @fd: the connection
 *
 * Of a VLAN, it is the interface below.
 *
 * Return: 0; -ENODEV: there is no interface of that name; -EADDRNOTAVAIL: no
 * interface has the connection's address; or another negative errno.
 */
int nic_choose(struct nic *nic, const char *name, const char *rxq, int fd)
{
	char below[IFNAMSIZ];
	int ret, nr;

	if (name) {
		snprintf(nic->name, sizeof(nic->name), "%s", name);
	} else {
		ret = find_by_address(nic, fd);
		if (ret)
			return ret;
	}
	ret = zcrx_nic_named(below, nic->name);
	if (ret)
		return ret;
	memcpy(nic->name, below, sizeof(nic->name));
	nic->if_idx = if_nametoindex(nic->name);
	if (!nic->if_idx)
		return -ENODEV;

	if (rxq) {
		nic->rxq = strtoul(rxq, NULL, 10);
	} else {
		nr = nic_nr_queues(nic);
		nic->rxq = nr ? nr - 1 : 0;
	}

	return 0;
}
