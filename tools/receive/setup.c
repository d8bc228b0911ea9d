// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Set up the NIC by the library, and have each connection come to the queue.
 *
 * Which connections do is known by the sockets' cookies: what has been closed
 * since, or has become another socket's number, need not be watched. A new socket
 * takes the place of the old one of its number.
 *
 * All but setup_is_new() and setup_forget() are called by one thread at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../../liburing-zcrx/src/nic.h"
#include "../../liburing-zcrx/src/nic_record.h"
#include "files.h"
#include "setup.h"

static void keep_files(const struct setup *setup)
{
	int fds[ZCRX_NIC_FILES];

	zcrx_nic_move_files(setup->nic, HIGH_FD, fds);
	files_keep(FILE_RECORDS, fds[0]);
	files_keep(FILE_RECORD, fds[1]);
}

/*
 * Can it be changed any more? The program may have closed the files all the same,
 * and interfaces have other numbers in the namespace that it has gone to.
 */
static bool is_in_reach(const struct setup *setup)
{
	uint64_t netns;

	return files_has(FILE_RECORDS) && files_has(FILE_RECORD) &&
	       !zcrx_netns_own_cookie(&netns) && netns == setup->netns;
}

/**
 * setup_open() - set up a queue
 * @setup: zero
 * @nic: the interface; the queue's number is filled in
 * @dev: its name, if the user has named it, or NULL
 * @rxq: the queue, or -1: whichever is best
 *
 * The kernel is known to have the rbuf ring.
 *
 * Return: 0 or a negative errno, and zcrx_error() says why.
 */
int setup_open(struct setup *setup, struct nic *nic, const char *dev, int rxq)
{
	struct zcrx_nic *opened;
	int ret = zcrx_netns_own_cookie(&setup->netns);

	if (!ret)
		ret = zcrx_nic_open_readable(&opened, nic->name, rxq);
	if (ret)
		return ret;
	nic->rxq = zcrx_nic_rxq(opened);
	setup->dev = dev;
	__atomic_store_n(&setup->nic, opened, __ATOMIC_RELEASE);
	keep_files(setup);

	return 0;
}

/**
 * setup_close() - put back what setup_open() has changed
 * @setup: the NIC, or nothing; the ring has been closed
 *
 * What is out of reach by now is left to the next who sets the NIC up.
 */
void setup_close(struct setup *setup)
{
	struct zcrx_nic *nic = setup->nic;
	bool in_reach = nic && is_in_reach(setup);

	__atomic_store_n(&setup->nic, NULL, __ATOMIC_RELAXED);
	if (!in_reach)
		return;
	files_forget(FILE_RECORDS);
	files_forget(FILE_RECORD);
	zcrx_nic_close(nic);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);

	return cookie;
}

static bool is_steered(const struct setup *setup, int fd, uint64_t cookie)
{
	return __atomic_load_n(&setup->steered[fd], __ATOMIC_RELAXED) == cookie;
}

/**
 * setup_is_new() - has a socket still to be steered?
 * @setup: the NIC, or nothing
 * @fd: the socket
 *
 * Return: whether setup_steer() has something to do.
 */
bool setup_is_new(const struct setup *setup, int fd)
{
	if (!__atomic_load_n(&setup->nic, __ATOMIC_RELAXED) || fd < 0 ||
	    fd >= SETUP_MAX_FD)
		return false;

	return !is_steered(setup, fd, cookie_of(fd));
}

/* By an interface that was named, anything may come but what is over loopback. */
static bool comes_here(const struct setup *setup, int fd)
{
	uint64_t netns;
	struct nic nic;

	return !zcrx_netns_cookie(fd, &netns) && netns == setup->netns &&
	       !nic_is_loopback(fd) && !nic_choose(&nic, setup->dev, "0", fd) &&
	       nic.if_idx == zcrx_nic_ifindex(setup->nic);
}

/* The library may close the record's file for a new one. */
static int steer(struct setup *setup, int fd)
{
	int ret;

	files_forget(FILE_RECORD);
	ret = zcrx_nic_steer_early(setup->nic, fd);
	keep_files(setup);

	return ret;
}

/**
 * setup_steer() - have a connection's packets come to the queue
 * @setup: the NIC, or nothing
 * @fd: the connection
 *
 * One that can't be steered is received by copying, and not tried again, unless
 * it is not one yet.
 *
 * Return: 0, or a negative errno of one that could not be: zcrx_error() says why.
 */
int setup_steer(struct setup *setup, int fd)
{
	uint64_t cookie;
	int ret = 0;

	if (!setup_is_new(setup, fd))
		return 0;
	cookie = cookie_of(fd);
	if (is_in_reach(setup) && comes_here(setup, fd))
		ret = steer(setup, fd);
	if (ret == -ENOTCONN)
		return 0;
	__atomic_store_n(&setup->steered[fd], cookie, __ATOMIC_RELAXED);

	return ret;
}

/**
 * setup_forget() - a socket may get other addresses
 * @setup: the NIC, or nothing
 * @fd: the socket
 */
void setup_forget(struct setup *setup, int fd)
{
	if (fd >= 0 && fd < SETUP_MAX_FD)
		__atomic_store_n(&setup->steered[fd], 0, __ATOMIC_RELAXED);
}
