// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <dirent.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kselftest.h"
#include "nic.h"
#include "proc.h"
#include "uring.h"

/* For all areas that a test has at a time */
#define MAX_HUGE_PAGES	256

/* Who does without nic_setup() has chunks of a page. */
struct nic nic = { .chunk = NIC_PAGE };

static pid_t main_pid;
static unsigned int old_rx_ring;

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/**
 * nic_run() - run a command
 * @fmt: it, for the shell
 *
 * Return: whether it succeeded.
 */
bool nic_run(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = sprintf(cmd, "exec >/dev/null 2>&1; ");
	vsnprintf(cmd + len, sizeof(cmd) - len, fmt, ap);
	va_end(ap);

	return system(cmd) == 0;
}

/**
 * nic_set_split() - set header split
 * @setting: "on", "off" or "auto"
 *
 * Return: whether it worked. ethtool before 6.10 can't: then zcrx-split does.
 */
bool nic_set_split(const char *setting)
{
	return nic_run("ethtool -G %s tcp-data-split %s", nic.name, setting) ||
	       nic_run("zcrx-split %s %s", nic.name, setting);
}

/**
 * nic_steer() - have all flows arrive at one queue
 * @rxq: the queue
 *
 * Return: whether it worked.
 */
bool nic_steer(unsigned int rxq)
{
	return nic.nr_rxqs == 1 ||
	       nic_run("ethtool -X %s start %u equal 1", nic.name, rxq);
}

static bool ring_ioctl(__u32 cmd, struct ethtool_ringparam *ring)
{
	struct ifreq ifr = { .ifr_data = (void *)ring };
	int fd, ret;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", nic.name);
	ring->cmd = cmd;
	ret = ioctl(fd, SIOCETHTOOL, &ifr);
	close(fd);

	return !ret;
}

/**
 * nic_set_rx_ring() - set how many packets the NIC has room for
 * @size: in descriptors; fewer if the NIC has no more
 *
 * Return: whether it worked.
 */
bool nic_set_rx_ring(unsigned int size)
{
	struct ethtool_ringparam ring;

	if (!ring_ioctl(ETHTOOL_GRINGPARAM, &ring))
		return false;
	if (!old_rx_ring)
		old_rx_ring = ring.rx_pending;
	ring.rx_pending = size < ring.rx_max_pending ? size :
						       ring.rx_max_pending;

	return ring_ioctl(ETHTOOL_SRINGPARAM, &ring);
}

/**
 * nic_has_carrier() - is there one?
 *
 * Return: whether there is; true if nobody knows: in a network namespace that is not
 * ours, /sys does not show the interface.
 */
bool nic_has_carrier(void)
{
	bool carrier = true;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/carrier", nic.name);
	f = fopen(path, "r");
	if (f) {
		carrier = fgetc(f) == '1';
		fclose(f);
	}

	return carrier;
}

static __u64 read_statistic(const char *name)
{
	unsigned long long value = 0;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s",
		 nic.name, name);
	f = fopen(path, "r");
	if (f && fscanf(f, "%llu", &value) != 1)
		value = 0;
	if (f)
		fclose(f);

	return value;
}

/* What a driver calls a packet that it had no memory for */
static bool counts_drops(const char *name)
{
	return !strcmp(name, "rx_no_buffer_count") ||
	       !strcmp(name, "rx_missed_errors") ||
	       !strcmp(name, "rx_fifo_errors") ||
	       (!strncmp(name, "rx_queue_", 9) && strstr(name, "drops")) ||
	       strstr(name, "alloc_failed");
}

static __u64 driver_drops(void)
{
	char line[256], name[128];
	unsigned long long value;
	__u64 sum = 0;
	FILE *f;

	snprintf(line, sizeof(line), "ethtool -S %s", nic.name);
	f = popen(line, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " %127[^:]: %llu", name, &value) == 2 &&
		    counts_drops(name))
			sum += value;
	if (f)
		pclose(f);

	return sum;
}

/**
 * nic_drops() - how many packets have been dropped for want of memory?
 *
 * Return: sum of what driver and kernel count; a packet may be counted twice.
 */
__u64 nic_drops(void)
{
	return driver_drops() + read_statistic("rx_dropped") +
	       read_statistic("rx_missed_errors") +
	       read_statistic("rx_fifo_errors") +
	       read_statistic("rx_over_errors");
}

/**
 * nic_read_counter() - a counter of TCP or IP
 * @path: of /proc/net/snmp and the like
 * @group: what its lines begin with
 * @name: which one
 *
 * Return: the counter, or -1.
 */
long long nic_read_counter(const char *path, const char *group,
			   const char *name)
{
	char names[4096], values[4096], *n, *v, *n_pos, *v_pos;
	long long value = -1;
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		return -1;
	/* Two lines a group: names and values, with the group's before them */
	while (fgets(names, sizeof(names), f) &&
	       fgets(values, sizeof(values), f)) {
		n = strtok_r(names, " \n", &n_pos);
		v = strtok_r(values, " \n", &v_pos);
		if (!n || strcmp(n, group))
			continue;
		while (n && v && strcmp(n, name)) {
			n = strtok_r(NULL, " \n", &n_pos);
			v = strtok_r(NULL, " \n", &v_pos);
		}
		if (n && v)
			value = atoll(v);
	}
	fclose(f);

	return value;
}

/**
 * nic_ifindex() - index of the interface, which may come anew
 *
 * Return: the index, or 0.
 */
unsigned int nic_ifindex(void)
{
	return if_nametoindex(nic.name);
}

/**
 * nic_mtu() - MTU of the interface
 *
 * Return: the MTU, or 0.
 */
unsigned int nic_mtu(void)
{
	struct ifreq ifr = {};
	int fd, ret;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", nic.name);
	ret = ioctl(fd, SIOCGIFMTU, &ifr);
	close(fd);

	return ret ? 0 : ifr.ifr_mtu;
}

#define VLAN_IFACE	"zcrx_vlan"

/**
 * nic_add_vlan() - set up the VLAN that the environment names
 *
 * Return: address of the peer in it, or NULL: nothing is named, or that did not
 * work.
 */
const char *nic_add_vlan(void)
{
	const char *id = env("VLAN_ID"), *local = env("VLAN_LOCAL_V4");
	const char *remote = env("VLAN_REMOTE_V4");

	if (!id || !local || !remote)
		return NULL;
	if (nic_run("ip link add link %s name " VLAN_IFACE " type vlan id %s",
		    nic.name, id) &&
	    nic_run("ip addr add %s dev " VLAN_IFACE, local) &&
	    nic_run("ip link set " VLAN_IFACE " up"))
		return remote;
	nic_del_vlan();

	return NULL;
}

/**
 * nic_del_vlan() - undo nic_add_vlan()
 */
void nic_del_vlan(void)
{
	nic_run("ip link del " VLAN_IFACE);
}

static unsigned int count_rxqs(void)
{
	unsigned int nr = 0;
	struct dirent *e;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/net/%s/queues", nic.name);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((e = readdir(dir)))
		nr += !strncmp(e->d_name, "rx-", 3);
	closedir(dir);

	return nr;
}

#define HUGE_PAGES	"/proc/sys/vm/nr_overcommit_hugepages"

static unsigned int old_huge_pages;
static bool may_have_huge_pages;

/* The system makes them when a test wants some, and takes them apart again. */
static void allow_huge_pages(void)
{
	FILE *f = fopen(HUGE_PAGES, "r");
	bool known = f && fscanf(f, "%u", &old_huge_pages) == 1;

	if (f)
		fclose(f);
	may_have_huge_pages = known && nic_run("echo %u > " HUGE_PAGES,
					       old_huge_pages + MAX_HUGE_PAGES);
}

static void nic_restore(void)
{
	if (getpid() != main_pid)
		return;
	if (nic.nr_rxqs > 1)
		nic_run("ethtool -X %s default", nic.name);
	nic_set_rx_ring(old_rx_ring);
	nic_set_split("auto");
	if (may_have_huge_pages)
		nic_run("echo %u > " HUGE_PAGES, old_huge_pages);
}

/**
 * nic_configure() - set ring size, header split and steering
 *
 * Return: whether it worked.
 */
bool nic_configure(void)
{
	nic_set_rx_ring(NIC_RX_RING);

	return nic_set_split("on") && nic_steer(nic.rxq);
}

/*
 * What is registered is charged to the user only for who has no CAP_IPC_LOCK, so
 * that it is seen in the end whether all of it has been given back.
 */
static void be_charged(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) ||
	    proc_drop_capability(CAP_IPC_LOCK))
		ksft_exit_skip("RLIMIT_MEMLOCK can't be lifted: this takes root\n");
}

/**
 * nic_setup() - read the environment, and set up the NIC until the process exits
 *
 * Exits if that can't be done: the tests are skipped then.
 */
void nic_setup(void)
{
	nic.name = env("NETIF");
	if (!nic.name)
		ksft_exit_skip("NETIF is not set: name the interface to test\n");
	if (!nic_ifindex())
		ksft_exit_skip("there is no interface %s\n", nic.name);
	if (!uring_has_recv_zc())
		ksft_exit_skip("the running kernel has no IORING_OP_RECV_ZC\n");

	nic.remote_v4 = env("REMOTE_V4");
	nic.remote_v6 = env("REMOTE_V6");
	nic.bytes = strtoull(env("ZCRX_MIB") ?: "64", NULL, 0) << 20;
	if (env("ZCRX_CHUNK"))
		nic.chunk = strtoul(env("ZCRX_CHUNK"), NULL, 0);
	nic.nr_rxqs = count_rxqs();
	nic.rxq = env("ZCRX_RXQ") ? strtoul(env("ZCRX_RXQ"), NULL, 0) :
				    nic.nr_rxqs - 1;

	be_charged();
	main_pid = getpid();
	atexit(nic_restore);
	allow_huge_pages();
	if (nic.chunk > NIC_PAGE && !may_have_huge_pages)
		ksft_exit_skip("no huge pages for chunks of %u bytes: CONFIG_HUGETLBFS?\n",
			       nic.chunk);
	if (!nic_configure())
		ksft_exit_skip("%s can't split headers, or neither ethtool (6.10 or later) nor zcrx-split is there to tell it to; or ethtool -X can't steer flows to its queue %u\n",
			       nic.name, nic.rxq);
}
