// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Which NIC a queue is opened on, and what is steered to it at once; kernels and
 * NICs are in memory. In the end each NIC is as it was.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fake_nic.h"
#include "fake_ring.h"
#include "ktap.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define MEM_SIZE	(64 * 4096)
#define QUEUE		3	/* the one that is picked */

static const struct if_nameindex names[] = {
	{ FAKE_IFINDEX, FAKE_NAME },
	{ FAKE_TWIN, "eth1" },
	{ FAKE_VLAN, "eth0.5" },
};

static struct fake_settings found;
static struct zcrx_queue_opts opts;
static struct zcrx_queue *queue;

unsigned int __wrap_if_nametoindex(const char *name);
unsigned int __real_if_nametoindex(const char *name);
char *__wrap_if_indextoname(unsigned int ifindex, char *name);
struct if_nameindex *__wrap_if_nameindex(void);

unsigned int __wrap_if_nametoindex(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i].if_name))
			return names[i].if_index;

	/* That of loopback, which is the first one's as well */
	return __real_if_nametoindex(name);
}

char *__wrap_if_indextoname(unsigned int ifindex, char *name)
{
	return strcpy(name, names[ifindex - 1].if_name);
}

/* if_freenameindex() is the C library's. */
struct if_nameindex *__wrap_if_nameindex(void)
{
	struct if_nameindex *list = calloc(ARRAY_SIZE(names) + 1, sizeof(*list));
	unsigned int i;

	for (i = 0; list && i < ARRAY_SIZE(names); i++) {
		list[i].if_index = names[i].if_index;
		list[i].if_name = strdup(names[i].if_name);
	}

	return list;
}

static void begin(enum fake_kind kind)
{
	fake_ring_reset(kind);
	fake_nic_reset();
	fake_nic->has_rules = true;
	fake_nic->twin = true;
	found = fake_nic->set;
	zcrx_queue_opts_init(&opts);
	opts.mem_size = MEM_SIZE;
}

static bool as_found(void)
{
	return !memcmp(&found, &fake_nic->set, sizeof(found)) &&
	       !fake_nic_nr_records();
}

static bool says(int ret)
{
	if (ret)
		printf("# %d: %s\n", ret, zcrx_error());

	return !ret;
}

/* Did it become a queue of that interface? */
static bool opens(const char *backend, unsigned int ifindex)
{
	if (!says(zcrx_queue_open(&queue, &opts)))
		return false;
	if (!strcmp(zcrx_queue_backend(queue), backend) &&
	    fake.reg.if_idx == ifindex && fake.reg.if_rxq == QUEUE &&
	    fake_nic->set.split == ZCRX_SPLIT_ON && !fake_nic_count(QUEUE))
		return true;
	printf("# %s of interface %u: %s\n", zcrx_queue_backend(queue),
	       fake.reg.if_idx, zcrx_queue_why(queue));

	return false;
}

static bool closes(void)
{
	return says(zcrx_queue_close(queue)) && as_found();
}

/*
 * By a socket
 */

/* Bound to loopback's address, or to none; the port is the kernel's choice. */
static int listener(in_addr_t address, in_port_t *port)
{
	struct sockaddr_in addr = {
		.sin_family	 = AF_INET,
		.sin_addr.s_addr = htonl(address),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);

	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len))
		return -1;
	*port = addr.sin_port;

	return fd;
}

/* What it will accept is steered already. */
static void by_listener(void)
{
	const struct fake_rule *rule = &fake_nic->set.rules[0];
	in_port_t port;

	begin(FAKE_OURS);
	opts.fd = listener(INADDR_LOOPBACK, &port);
	EXPECT(opts.fd >= 0 && opens("rbuf", FAKE_IFINDEX));
	EXPECT(fake_nic_nr_rules() == 1 && rule->used && rule->target.queue == QUEUE);
	EXPECT(rule->flow.dport == port && !rule->flow.sport);
	EXPECT(closes() && !fake_nic_nr_rules());
	close(opts.fd);
}

/* The NIC is named, and the socket is there to be steered. */
static void by_name_and_listener(void)
{
	in_port_t port;

	begin(FAKE_OURS);
	opts.ifname = "eth1";
	opts.fd = listener(INADDR_ANY, &port);
	EXPECT(opts.fd >= 0 && opens("rbuf", FAKE_TWIN));
	EXPECT(fake_nic_nr_rules() == 1 && fake_nic->set.rules[0].flow.dport == port);
	EXPECT(closes());
	close(opts.fd);
}

/* Without filters, or where recv() could not read them: each when it is added */
static void listener_is_not_steered(void)
{
	in_port_t port;

	begin(FAKE_OURS);
	fake_nic->has_rules = false;
	opts.fd = listener(INADDR_LOOPBACK, &port);
	EXPECT(opts.fd >= 0 && opens("rbuf", FAKE_IFINDEX));
	EXPECT(closes());
	close(opts.fd);
	begin(FAKE_MAINLINE);
	opts.fd = listener(INADDR_LOOPBACK, &port);
	EXPECT(opens("cqe32", FAKE_IFINDEX) && !fake_nic_nr_rules());
	EXPECT(closes());
	close(opts.fd);
}

static void which_nic_listens(void)
{
	in_port_t port;

	begin(FAKE_OURS);
	opts.backend = "rbuf";
	opts.fd = listener(INADDR_ANY, &port);
	EXPECT(zcrx_queue_open(&queue, &opts) == -EADDRNOTAVAIL && !queue);
	EXPECT(strstr(zcrx_error(), "several"));
	fake_nic->twin = false;
	EXPECT(opens("rbuf", FAKE_IFINDEX) && fake_nic_nr_rules() == 1);
	EXPECT(closes());
	close(opts.fd);
}

/*
 * By its name
 */

static void vlan(void)
{
	begin(FAKE_OURS);
	opts.ifname = "eth0.5";
	EXPECT(opens("rbuf", FAKE_IFINDEX) && !*zcrx_queue_why(queue));
	EXPECT(closes());
}

/*
 * By nothing
 */

static void any(void)
{
	begin(FAKE_OURS);
	EXPECT(opens("rbuf", FAKE_IFINDEX) && !*zcrx_queue_why(queue));
	EXPECT(closes());
}

/* The first one can't after all, for reasons that don't show before. */
static void another(void)
{
	static const int errs[] = { -EOPNOTSUPP, -EEXIST, -ENOMEM };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(errs); i++) {
		begin(FAKE_OURS);
		fake.register_err = errs[i];
		fake.err_ifindex = FAKE_IFINDEX;
		EXPECT(opens("rbuf", FAKE_TWIN) && !*zcrx_queue_why(queue));
		EXPECT(closes());
	}
	begin(FAKE_MAINLINE);
	fake.register_err = -EOPNOTSUPP;
	fake.err_ifindex = FAKE_IFINDEX;
	EXPECT(opens("cqe32", FAKE_TWIN));
	EXPECT(closes());
}

/* What is told is why it is not the first one. */
static void none(void)
{
	begin(FAKE_OURS);
	fake.register_err = -EOPNOTSUPP;
	opts.backend = "rbuf";
	EXPECT(zcrx_queue_open(&queue, &opts) == -EOPNOTSUPP && !queue);
	EXPECT(strstr(zcrx_error(), "driver of " FAKE_NAME " has no"));
	EXPECT(fake.reg.if_idx == FAKE_TWIN && as_found());
	opts.backend = NULL;
	EXPECT(says(zcrx_queue_open(&queue, &opts)) && as_found());
	EXPECT(!strcmp(zcrx_queue_backend(queue), "copy"));
	EXPECT(strstr(zcrx_queue_why(queue), "driver of " FAKE_NAME " has no"));
	EXPECT(closes());
}

/* Who names one wants that one. */
static void no_other(void)
{
	in_port_t port;

	begin(FAKE_OURS);
	fake.register_err = -EOPNOTSUPP;
	fake.err_ifindex = FAKE_IFINDEX;
	opts.backend = "rbuf";
	opts.ifname = FAKE_NAME;
	EXPECT(zcrx_queue_open(&queue, &opts) == -EOPNOTSUPP && as_found());
	opts.ifname = NULL;
	opts.fd = listener(INADDR_LOOPBACK, &port);
	EXPECT(opts.fd >= 0);
	EXPECT(zcrx_queue_open(&queue, &opts) == -EOPNOTSUPP && as_found());
	close(opts.fd);
}

static const struct ktap_case cases[] = {
	{ "by a listening socket", by_listener },
	{ "by an interface, and a listening socket", by_name_and_listener },
	{ "a listening socket that is not steered", listener_is_not_steered },
	{ "a listening socket of any interface", which_nic_listens },
	{ "an interface that is a VLAN", vlan },
	{ "any interface", any },
	{ "any interface, and the first one can't", another },
	{ "any interface, and none can", none },
	{ "a certain interface that can't", no_other },
};

int main(void)
{
	int ret;

	fake_nic_init();
	ret = ktap_run(cases, ARRAY_SIZE(cases));
	fake_nic_exit();

	return ret;
}
