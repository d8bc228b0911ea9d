// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <libgen.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin.h"
#include "nic.h"
#include "proc.h"

#define MAX_ADDRS	8

/* What a ring may be set to without a change of anything else */
#define OTHER_RX_RING	512

/* Either of them fits to the network, and makes the driver start anew. */
#define SMALL_MTU	1500
#define LARGE_MTU	9000

/* How long a NIC takes to come back */
#define BACK_MS		20000

/* How everything was: addresses with their prefix lengths */
static struct {
	unsigned int	mtu;
	char		device[PATH_MAX];
	char		driver[PATH_MAX];
	unsigned int	nr_addrs;
	char		addrs[MAX_ADDRS][INET6_ADDRSTRLEN + 4];
} was;

/* A process whose network namespace has the NIC */
static pid_t keeper;

static unsigned int prefix_len(const struct sockaddr *netmask)
{
	const struct sockaddr_in6 *sin6 = (const void *)netmask;
	const struct sockaddr_in *sin = (const void *)netmask;
	bool v6 = netmask->sa_family == AF_INET6;
	const unsigned char *mask;
	unsigned int i, len = 0;

	mask = v6 ? (const void *)&sin6->sin6_addr :
		    (const void *)&sin->sin_addr;
	for (i = 0; i < (v6 ? sizeof(sin6->sin6_addr) : sizeof(sin->sin_addr));
	     i++)
		len += __builtin_popcount(mask[i]);

	return len;
}

static void save_addr(const struct ifaddrs *ifa)
{
	const struct sockaddr_in6 *sin6 = (void *)ifa->ifa_addr;
	const struct sockaddr_in *sin = (void *)ifa->ifa_addr;
	char *text = was.addrs[was.nr_addrs];

	if (sin6->sin6_family == AF_INET6) {
		if (IN6_IS_ADDR_LINKLOCAL(&sin6->sin6_addr))
			return;
		inet_ntop(AF_INET6, &sin6->sin6_addr, text, INET6_ADDRSTRLEN);
	} else if (sin->sin_family == AF_INET) {
		inet_ntop(AF_INET, &sin->sin_addr, text, INET6_ADDRSTRLEN);
	} else {
		return;
	}
	sprintf(text + strlen(text), "/%u", prefix_len(ifa->ifa_netmask));
	was.nr_addrs++;
}

static bool save_addrs(void)
{
	struct ifaddrs *list, *ifa;

	was.nr_addrs = 0;
	if (getifaddrs(&list))
		return false;
	for (ifa = list; ifa && was.nr_addrs < MAX_ADDRS; ifa = ifa->ifa_next)
		if (ifa->ifa_addr && !strcmp(ifa->ifa_name, nic.name))
			save_addr(ifa);
	freeifaddrs(list);

	return true;
}

/**
 * admin_save() - remember how the NIC is set up
 *
 * To be called before anything else here.
 *
 * Return: whether it worked.
 */
bool admin_save(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/net/%s/device", nic.name);
	if (!realpath(path, was.device))
		return false;
	strcat(path, "/driver");
	if (!realpath(path, was.driver))
		return false;
	was.mtu = nic_mtu();

	return was.mtu && save_addrs();
}

/**
 * admin_restore_addrs() - give the interface its addresses
 *
 * An MTU of less than 1280 takes those of IPv6, unbinding takes all.
 */
void admin_restore_addrs(void)
{
	unsigned int i;

	for (i = 0; i < was.nr_addrs; i++)
		nic_run("ip addr replace %s dev %s %s", was.addrs[i], nic.name,
			strchr(was.addrs[i], ':') ? "nodad" : "");
}

/**
 * admin_renew_addrs() - take the addresses away and give them back, and with them
 *			 routes that there was no memory for
 */
void admin_renew_addrs(void)
{
	unsigned int i;

	for (i = 0; i < was.nr_addrs; i++)
		nic_run("ip addr del %s dev %s", was.addrs[i], nic.name);
	admin_restore_addrs();
}

/*
 * System calls, not programs: these take longer to start than what they do.
 */

static bool nic_ioctl(unsigned long cmd, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret;

	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", nic.name);
	ret = ioctl(fd, cmd, ifr);
	close(fd);

	return !ret;
}

/**
 * admin_set_up() - take the interface up or down
 * @up: or not
 *
 * Return: whether it worked. The link comes later.
 */
bool admin_set_up(bool up)
{
	struct ifreq ifr = {};

	if (!nic_ioctl(SIOCGIFFLAGS, &ifr))
		return false;
	ifr.ifr_flags &= ~IFF_UP;
	if (up)
		ifr.ifr_flags |= IFF_UP;

	return nic_ioctl(SIOCSIFFLAGS, &ifr);
}

static bool set_mtu(unsigned int mtu)
{
	struct ifreq ifr = { .ifr_mtu = mtu };

	return nic_ioctl(SIOCSIFMTU, &ifr);
}

static bool set_queues(unsigned int nr)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { .ifr_data = (void *)&channels };

	if (!nic_ioctl(SIOCETHTOOL, &ifr))
		return false;
	channels.cmd = ETHTOOL_SCHANNELS;
	channels.combined_count = nr;

	return nic_ioctl(SIOCETHTOOL, &ifr);
}

/* The one is known later that there is no link, the other that there is. */
static bool has_link(void)
{
	struct ifreq ifr = {};

	return nic_has_carrier() && nic_ioctl(SIOCGIFFLAGS, &ifr) &&
	       ifr.ifr_flags & IFF_RUNNING;
}

/* Packets that are sent without a link are lost, and come again late only. */
static bool wait_for_link(void)
{
	unsigned int ms;

	for (ms = 0; ms < BACK_MS && !has_link(); ms += 10)
		proc_sleep_ms(10);

	return has_link();
}

static bool write_file(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX + 16];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = write(fd, text, strlen(text)) > 0;
	close(fd);

	return ok;
}

static bool bring_up(void)
{
	if (!set_mtu(was.mtu) || !admin_set_up(true))
		return false;
	admin_restore_addrs();

	return true;
}

static bool wait_back(void)
{
	unsigned int ms;

	for (ms = 0; ms < BACK_MS && !nic_ifindex(); ms += 10)
		proc_sleep_ms(10);

	return nic_ifindex();
}

/*
 * Down and up
 */

static bool down(void)
{
	return admin_set_up(false);
}

static bool up(void)
{
	return admin_set_up(true) && wait_for_link();
}

const struct admin_event admin_down = {
	.begin	= down,
	.end	= up,
	.down	= true,
};

/*
 * Other sizes of rings
 */

static bool other_rings(void)
{
	nic_set_rx_ring(OTHER_RX_RING);

	return true;
}

static bool usual_rings(void)
{
	nic_set_rx_ring(NIC_RX_RING);

	return wait_for_link();
}

const struct admin_event admin_rings = {
	.begin	= other_rings,
	.end	= usual_rings,
};

/*
 * More queues, or fewer: no queue can go to which the user spreads flows, and the
 * driver spreads them anew.
 */

static bool spread_as_usual(void)
{
	return nic.nr_rxqs == 1 || nic_run("ethtool -X %s default", nic.name);
}

static bool more_queues(void)
{
	return set_queues(nic.nr_rxqs + 1);
}

static bool fewer_queues(void)
{
	return spread_as_usual() && set_queues(nic.rxq ?: 1);
}

static bool usual_queues(void)
{
	return spread_as_usual() && set_queues(nic.nr_rxqs) &&
	       nic_steer(nic.rxq) && wait_for_link();
}

const struct admin_event admin_more_queues = {
	.begin	= more_queues,
	.end	= usual_queues,
};

const struct admin_event admin_fewer_queues = {
	.begin		= fewer_queues,
	.end		= usual_queues,
	.refused	= true,
};

/*
 * Another MTU
 */

static bool other_mtu(void)
{
	return set_mtu(was.mtu > SMALL_MTU ? SMALL_MTU : LARGE_MTU);
}

static bool usual_mtu(void)
{
	return set_mtu(was.mtu) && wait_for_link();
}

const struct admin_event admin_mtu = {
	.begin	= other_mtu,
	.end	= usual_mtu,
};

/*
 * The driver leaves the device, and takes it again.
 */

/**
 * admin_may_unbind() - whether tests may take the driver from the device
 *
 * Return: false if DISRUPTIVE=0 is in the environment.
 */
bool admin_may_unbind(void)
{
	const char *disruptive = getenv("DISRUPTIVE");

	return !disruptive || strcmp(disruptive, "0");
}

/**
 * admin_unbind() - take the driver from the device
 *
 * Return: whether it worked.
 */
bool admin_unbind(void)
{
	return write_file(was.driver, "unbind", basename(was.device)) &&
	       !nic_ifindex();
}

/**
 * admin_bind() - give the driver the device, and set it up
 *
 * Return: whether it worked.
 */
bool admin_bind(void)
{
	return write_file(was.driver, "bind", basename(was.device)) &&
	       wait_back() && bring_up() && nic_configure() && wait_for_link();
}

const struct admin_event admin_driver = {
	.begin		= admin_unbind,
	.end		= admin_bind,
	.gone		= true,
	.unbinds	= true,
};

/*
 * The NIC goes to a network namespace, which goes.
 */

static void keep_namespace(int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Nothing of what the parent has open is kept open here. */
	dup2(ready, STDIN_FILENO);
	proc_close_files();
	if (!unshare(CLONE_NEWNET) && write(STDIN_FILENO, "", 1) == 1)
		pause();
	_exit(1);
}

static bool start_keeper(void)
{
	int ready[2];
	bool ok;
	char c;

	if (pipe(ready))
		return false;
	keeper = fork();
	if (!keeper)
		keep_namespace(ready[1]);
	close(ready[1]);
	ok = read(ready[0], &c, 1) == 1;
	close(ready[0]);

	return ok;
}

static bool move_away(void)
{
	return start_keeper() &&
	       nic_run("ip link set %s netns %d", nic.name, keeper) && !nic_ifindex();
}

/**
 * admin_enter_namespace() - go to where admin_netns has put the NIC
 *
 * For another process than that which has put it there. The NIC is set up.
 *
 * Return: whether it worked.
 */
bool admin_enter_namespace(void)
{
	char path[64];
	int fd, ret;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", keeper);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ret = setns(fd, CLONE_NEWNET);
	close(fd);

	return !ret && bring_up() && nic_configure() && wait_for_link();
}

/**
 * admin_leave_namespace() - leave the NIC to whoever has entered its namespace
 */
void admin_leave_namespace(void)
{
	proc_kill(keeper);
	keeper = 0;
}

/* Once nobody is there any more */
static bool delete_namespace(void)
{
	admin_leave_namespace();

	return wait_back() && bring_up() && wait_for_link();
}

const struct admin_event admin_netns = {
	.begin	= move_away,
	.end	= delete_namespace,
	.gone	= true,
};

/*
 * Whatever was done
 */

/**
 * admin_restore() - have the NIC as it was, whatever was done
 *
 * Return: whether it worked.
 */
bool admin_restore(void)
{
	admin_leave_namespace();
	if (!nic_ifindex() && !admin_bind() && !wait_back())
		return false;

	return bring_up() && usual_queues() && nic_configure() &&
	       wait_for_link();
}
