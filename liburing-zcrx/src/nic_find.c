// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Which interface do a socket's packets come through, or which one could?
 */
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "nic_hw.h"
#include "nic_record.h"

/* VLANs in VLANs end here. */
#define MAX_DEPTH	8

static bool same_address(const struct sockaddr *a,
			 const struct sockaddr_storage *b)
{
	struct sockaddr_in6 v6a, v6b;
	struct sockaddr_in v4a, v4b;

	if (!a || a->sa_family != b->ss_family)
		return false;
	if (a->sa_family == AF_INET) {
		memcpy(&v4a, a, sizeof(v4a));
		memcpy(&v4b, b, sizeof(v4b));
		return v4a.sin_addr.s_addr == v4b.sin_addr.s_addr;
	}
	memcpy(&v6a, a, sizeof(v6a));
	memcpy(&v6b, b, sizeof(v6b));

	return IN6_ARE_ADDR_EQUAL(&v6a.sin6_addr, &v6b.sin6_addr) &&
	       (!v6b.sin6_scope_id || v6a.sin6_scope_id == v6b.sin6_scope_id);
}

/* An address may have a label: the interface's name, a colon, and more. */
static unsigned int find_by_address(const struct sockaddr_storage *addr)
{
	struct ifaddrs *list, *ifa;
	unsigned int ifindex = 0;

	if (getifaddrs(&list))
		return 0;
	for (ifa = list; ifa && !ifindex; ifa = ifa->ifa_next) {
		if (!same_address(ifa->ifa_addr, addr))
			continue;
		ifa->ifa_name[strcspn(ifa->ifa_name, ":")] = '\0';
		ifindex = if_nametoindex(ifa->ifa_name);
	}
	freeifaddrs(list);

	return ifindex;
}

static bool is_any(const struct sockaddr_storage *addr)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	if (addr->ss_family == AF_INET) {
		memcpy(&v4, addr, sizeof(v4));
		return v4.sin_addr.s_addr == htonl(INADDR_ANY);
	}
	memcpy(&v6, addr, sizeof(v6));

	return IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr);
}

static int set_name(char ifname[IFNAMSIZ], unsigned int ifindex)
{
	struct zcrx_link link = { .lower = 0 };
	unsigned int depth;

	for (depth = 0; depth < MAX_DEPTH; depth++) {
		if (zcrx_hw_link(ifindex, &link) || !link.lower)
			break;
		ifindex = link.lower;
	}
	if (!if_indextoname(ifindex, ifname))
		return zcrx_fail(-ENODEV, "network interface %u is gone", ifindex);

	return 0;
}

/**
 * zcrx_nic_index() - the index of an interface
 * @ifname: its name
 *
 * Return: the index; -ENODEV, with a sentence: there is no such interface.
 */
int zcrx_nic_index(const char *ifname)
{
	unsigned int ifindex = if_nametoindex(ifname);

	if (!ifindex)
		return zcrx_fail(-ENODEV, "there is no network interface %s: ip link shows those that there are",
				 ifname);

	return ifindex;
}

/**
 * zcrx_nic_named() - the interface that has the packets of one
 * @ifname: set to its name; of a VLAN, that of the interface below
 * @name: name of the one
 *
 * Return: 0; -ENODEV, with a sentence: there is no such interface.
 */
int zcrx_nic_named(char ifname[IFNAMSIZ], const char *name)
{
	int ifindex = zcrx_nic_index(name);

	return ifindex < 0 ? ifindex : set_name(ifname, ifindex);
}

/*
 * Any
 */

static bool has_spare_queue(const struct zcrx_nic_info *info)
{
	unsigned int nr = 0, i;

	for (i = 0; i < info->nr_queues; i++)
		nr += !info->queues[i].provider &&
		      (!info->queues[i].pid || info->queues[i].stale);

	return nr >= 2;
}

static bool can_zero_copy(const char *ifname)
{
	struct zcrx_nic_info info;
	bool can;

	if (zcrx_nic_describe(ifname, &info))
		return false;
	can = info.up && !info.loopback && has_spare_queue(&info) &&
	      (info.split == ZCRX_SPLIT_ON ||
	       info.can_switch_split == ZCRX_YES);
	zcrx_nic_info_free(&info);

	return can;
}

/* Index of the @nr-th one that can, counted from 0; or 0 */
static unsigned int find_able(unsigned int nr)
{
	struct if_nameindex *list = if_nameindex(), *this;
	unsigned int ifindex = 0;

	if (!list)
		return 0;
	for (this = list; this->if_index && !ifindex; this++)
		if (can_zero_copy(this->if_name) && !nr--)
			ifindex = this->if_index;
	if_freenameindex(list);

	return ifindex;
}

/**
 * zcrx_nic_any() - an interface that can do zero copy, as far as it looks
 * @ifname: set to its name
 * @nr: which of them, counted from 0
 *
 * Return: 0; -ENODEV, with a sentence: there is none, or no more.
 */
int zcrx_nic_any(char ifname[IFNAMSIZ], unsigned int nr)
{
	unsigned int ifindex = find_able(nr);

	if (!ifindex)
		return zcrx_fail(-ENODEV, "no network interface can do zero copy: that takes one that is up, has a receive queue to spare, and lets header split be switched on (by root)");

	return set_name(ifname, ifindex);
}

/*
 * Taken
 */

/* What can't be read is somebody's. */
static bool is_taken(const struct zcrx_records *recs, unsigned int rxq)
{
	bool taken = *recs->garbled;
	unsigned int i;

	for (i = 0; i < recs->nr; i++) {
		if (!recs->list[i]->kept)
			taken = true;
		else if (recs->list[i]->queue == rxq)
			return false;
	}

	return taken;
}

/**
 * zcrx_nic_is_taken() - is a NIC that zcrx_nic_open() refused in others' hands?
 * @ifname: name of the interface
 * @rxq: the queue that would be used as it is
 *
 * They have set the NIC up, and the last of them puts it back. The queue may be
 * one that an owner has not registered yet: it looks free, and is not. What is
 * kept is there to be used.
 *
 * Return: true if the queue is not to be used, also if records can't be read now;
 * false if it may have been prepared by an administrator, also if only root may
 * know of others.
 */
bool zcrx_nic_is_taken(const char *ifname, unsigned int rxq)
{
	unsigned int ifindex = if_nametoindex(ifname);
	int dir = zcrx_record_dir(ifindex, false);
	struct zcrx_records recs;
	bool taken;

	if (dir < 0)
		return !zcrx_record_hides(dir);
	taken = zcrx_records_load(dir, NULL, &recs) || is_taken(&recs, rxq);
	zcrx_records_free(&recs);
	close(dir);

	return taken;
}

/*
 * Of a socket
 */

static int find_of_listener(char ifname[IFNAMSIZ],
			    const struct sockaddr_storage *local)
{
	unsigned int ifindex;

	if (!is_any(local)) {
		ifindex = find_by_address(local);
		return ifindex ? set_name(ifname, ifindex) :
			zcrx_fail(-EADDRNOTAVAIL, "no network interface has the address that the socket is bound to");
	}
	ifindex = find_able(0);
	if (!ifindex || find_able(1))
		return zcrx_fail(-EADDRNOTAVAIL, "the socket is bound to no address, and %s: name one, or bind the socket to its address",
				 ifindex ? "several network interfaces can do zero copy" :
					   "no network interface can do zero copy");

	return set_name(ifname, ifindex);
}

static int find_of_connection(char ifname[IFNAMSIZ], int fd,
			      const struct sockaddr_storage *local)
{
	struct sockaddr_storage remote;
	int ret = zcrx_socket_name(fd, true, &remote);

	if (ret)
		return ret;
	ret = zcrx_hw_route(&remote, local);
	if (ret < 0)
		return zcrx_fail(ret, "there is no route to the peer of socket %d: %s",
				 fd, zcrx_hw_said(ret));

	return set_name(ifname, ret);
}

/* The interface that a socket is bound to, or the link-local peer's, or 0 */
static unsigned int fixed_interface(int fd,
				    const struct sockaddr_storage *local)
{
	struct sockaddr_in6 v6;
	socklen_t len = sizeof(int);
	int ifindex = 0;

	if (!getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &ifindex, &len) &&
	    ifindex)
		return ifindex;
	memcpy(&v6, local, sizeof(v6));

	return local->ss_family == AF_INET6 ? v6.sin6_scope_id : 0;
}

/**
 * zcrx_nic_find() - the interface that a socket's packets come through
 * @ifname: set to its name; of a VLAN, that of the interface below
 * @fd: a connected or a listening TCP socket
 *
 * Of a connection: by the route to the peer. Of a listener: by the address that
 * it is bound to, or else the only interface that can do zero copy.
 *
 * Return: 0 or a negative errno, with a sentence; -EADDRNOTAVAIL: a listener's
 * can't be told.
 */
int zcrx_nic_find(char ifname[IFNAMSIZ], int fd)
{
	struct sockaddr_storage local;
	int listens = zcrx_socket_listens(fd), ifindex, ret;

	if (listens < 0)
		return listens;
	ret = zcrx_socket_name(fd, false, &local);
	if (ret)
		return ret;
	ifindex = fixed_interface(fd, &local);
	if (ifindex)
		return set_name(ifname, ifindex);

	return listens ? find_of_listener(ifname, &local) :
			 find_of_connection(ifname, fd, &local);
}
