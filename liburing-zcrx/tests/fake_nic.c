// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../src/nic_record.h"
#include "../src/nic_rss.h"
#include "fake_nic.h"

struct fake_nic *fake_nic;

static char dir_path[] = "/tmp/zcrx-nic-XXXXXX";
static unsigned int steps_to_live;
static uint8_t key[ZCRX_KEY_MIN];

void fake_nic_init(void)
{
	unsigned int i;

	fake_nic = mmap(NULL, sizeof(*fake_nic), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fake_nic == MAP_FAILED || !mkdtemp(dir_path)) {
		perror("fake_nic_init");
		exit(1);
	}
	for (i = 0; i < sizeof(key); i++)
		key[i] = i * 37 + 11;
}

/* Like igb: a table in blocks, which is not what the kernel calls default */
void fake_nic_reset(void)
{
	unsigned int i;

	memset(fake_nic, 0, sizeof(*fake_nic));
	fake_nic->nr_queues = FAKE_QUEUES;
	fake_nic->has_rss = true;
	fake_nic->set.split = ZCRX_SPLIT_OFF;
	fake_nic->set.threshold = -1;
	strcpy(fake_nic->device, "0000:01:00.0");
	for (i = 0; i < FAKE_SIZE; i++)
		fake_nic->set.table[i] = i * FAKE_QUEUES / FAKE_SIZE;
}

void fake_nic_exit(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir_path);
	if (system(command))
		printf("# %s fails\n", command);
}

unsigned int fake_nic_count(unsigned int queue)
{
	unsigned int nr = 0, i;

	for (i = 0; i < FAKE_SIZE; i++)
		nr += fake_nic->set.table[i] == queue;

	return nr;
}

/* Another process may be at it. */
unsigned int fake_nic_nr_rules(void)
{
	unsigned int nr = 0, i;

	for (i = 0; i < FAKE_RULES; i++)
		nr += __atomic_load_n(&fake_nic->set.rules[i].used,
				      __ATOMIC_ACQUIRE);

	return nr;
}

/* With what somebody was about to write */
unsigned int fake_nic_nr_records(void)
{
	unsigned int nr = 0;
	struct dirent *e;
	DIR *d = opendir(dir_path);

	while (d && (e = readdir(d)))
		nr += e->d_name[0] != '.';
	if (d)
		closedir(d);

	return nr;
}

bool fake_nic_has_dir(void)
{
	return !access(dir_path, F_OK);
}

static char *path_of(unsigned int queue)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/queue-%u", dir_path, queue);

	return path;
}

/* Nobody's, as a dead owner's */
bool fake_nic_write_record(unsigned int queue, const char *text)
{
	FILE *f;

	mkdir(dir_path, 0700);
	f = fopen(path_of(queue), "w");
	if (!f)
		return false;
	fputs(text, f);

	return !fclose(f);
}

bool fake_nic_read_record(unsigned int queue, char *text, size_t size)
{
	FILE *f = fopen(path_of(queue), "r");
	size_t len;

	if (!f)
		return false;
	len = fread(text, 1, size - 1, f);
	text[len] = '\0';

	return !fclose(f);
}

void fake_nic_delete_record(unsigned int queue)
{
	unlink(path_of(queue));
}

/*
 * Steps
 */

void fake_nic_die_at(unsigned int nr)
{
	steps_to_live = nr;
}

static void step(void)
{
	__atomic_add_fetch(&fake_nic->nr_steps, 1, __ATOMIC_RELAXED);
	if (steps_to_live && !--steps_to_live)
		kill(getpid(), SIGKILL);
}

int __wrap_zcrx_record_dir(unsigned int ifindex, bool create);
int __wrap_renameat(int old_dir, const char *old, int new_dir, const char *new);
int __wrap_unlinkat(int dir, const char *name, int flags);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
int __real_renameat(int old_dir, const char *old, int new_dir, const char *new);
int __real_unlinkat(int dir, const char *name, int flags);
ssize_t __real_write(int fd, const void *buf, size_t len);

int __wrap_zcrx_record_dir(unsigned int ifindex, bool create)
{
	(void)ifindex;

	return zcrx_record_open_dir(dir_path, create);
}

int __wrap_renameat(int old_dir, const char *old, int new_dir, const char *new)
{
	step();

	return __real_renameat(old_dir, old, new_dir, new);
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
	step();

	return __real_unlinkat(dir, name, flags);
}

/* A filter's line at the end of a record */
static bool is_line(const char *text, size_t len)
{
	return (len > 5 && !memcmp(text, "rule ", 5)) ||
	       (len > 8 && !memcmp(text, "no-rule ", 8));
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	__atomic_add_fetch(&fake_nic->nr_written, len, __ATOMIC_RELAXED);
	if (is_line(buf, len)) {
		step();
		if (steps_to_live == 1 &&
		    __real_write(fd, buf, len / 2) != (ssize_t)(len / 2))
			return -1;
		step();
	}

	return __real_write(fd, buf, len);
}

/*
 * nic_hw.h
 */

const char *zcrx_hw_said(int err)
{
	return strerror(-err);
}

static bool is_there(unsigned int ifindex)
{
	return !fake_nic->gone &&
	       (ifindex == FAKE_IFINDEX ||
		(fake_nic->twin && ifindex == FAKE_TWIN));
}

int zcrx_hw_link(unsigned int ifindex, struct zcrx_link *link)
{
	memset(link, 0, sizeof(*link));
	if (ifindex == FAKE_VLAN) {
		link->lower = FAKE_IFINDEX;
		return 0;
	}
	if (!is_there(ifindex))
		return -ENODEV;
	link->mtu = 9000;
	link->flags = fake_nic->down ? 0 : IFF_UP;
	strcpy(link->device, fake_nic->device);

	return 0;
}

int zcrx_hw_route(const struct sockaddr_storage *remote,
		  const struct sockaddr_storage *local)
{
	return remote->ss_family == local->ss_family ? FAKE_IFINDEX : -EINVAL;
}

int zcrx_hw_queues(unsigned int ifindex, struct zcrx_queues *queues)
{
	unsigned int i;

	memset(queues, 0, sizeof(*queues));
	if (!is_there(ifindex))
		return -ENODEV;
	if (fake_nic->ret_queues)
		return fake_nic->ret_queues;
	queues->providers_known = true;
	queues->nr = fake_nic->down ? 0 : fake_nic->nr_queues;
	for (i = 0; i < queues->nr; i++)
		queues->provider[i] = fake_nic->provider[i];

	return 0;
}

unsigned int zcrx_hw_nr_rings(unsigned int ifindex)
{
	(void)ifindex;

	return fake_nic->nr_queues;
}

int zcrx_hw_rings(unsigned int ifindex, struct zcrx_rings *rings)
{
	(void)ifindex;
	memset(rings, 0, sizeof(*rings));
	rings->rx = 256;
	rings->rx_max = 4096;
	rings->split = fake_nic->set.split;
	rings->threshold = fake_nic->set.threshold;

	return 0;
}

static bool any_bound(void)
{
	unsigned int i;

	for (i = 0; i < FAKE_QUEUES; i++)
		if (fake_nic->provider[i])
			return true;

	return false;
}

int zcrx_hw_set_split(unsigned int ifindex, unsigned int split, int threshold)
{
	(void)ifindex;
	step();
	if (fake_nic->ret_split)
		return fake_nic->ret_split;
	if (split != ZCRX_SPLIT_ON && fake_nic->ret_split_off)
		return fake_nic->ret_split_off;
	if (split != ZCRX_SPLIT_ON && any_bound())
		return -EBUSY;
	fake_nic->set.split = split;
	if (threshold >= 0)
		fake_nic->set.threshold = threshold;

	return 0;
}

/* Who can't, and who may not, are told before anything is tried. */
int zcrx_hw_try_split(unsigned int ifindex)
{
	(void)ifindex;

	return fake_nic->ret_split == -EOPNOTSUPP ||
	       fake_nic->ret_split == -EPERM ? fake_nic->ret_split : 0;
}

int zcrx_hw_ntuple(unsigned int ifindex, bool *available, bool *on)
{
	(void)ifindex;
	*available = fake_nic->has_rules;
	*on = fake_nic->has_rules && !fake_nic->set.filters_off;

	return 0;
}

/* What they have matched is forgotten when they are off, as many drivers do. */
int zcrx_hw_set_ntuple(unsigned int ifindex, bool on)
{
	(void)ifindex;
	step();
	if (fake_nic->ret_ntuple)
		return fake_nic->ret_ntuple;
	fake_nic->set.filters_off = !on;
	if (!on)
		memset(fake_nic->set.rules, 0, sizeof(fake_nic->set.rules));

	return 0;
}

bool zcrx_hw_has_arfs(void)
{
	return fake_nic->has_arfs;
}

int zcrx_hw_driver(unsigned int ifindex, char driver[32])
{
	(void)ifindex;
	strcpy(driver, "fake");

	return 0;
}

int zcrx_hw_rss(unsigned int ifindex, struct zcrx_rss **rssp)
{
	struct zcrx_rss *rss;

	(void)ifindex;
	if (!fake_nic->has_rss)
		return -EOPNOTSUPP;
	rss = calloc(1, sizeof(*rss) + sizeof(fake_nic->set.table));
	if (!rss)
		return -ENOMEM;
	rss->toeplitz = true;
	rss->key_size = sizeof(key);
	memcpy(rss->key, key, sizeof(key));
	rss->size = FAKE_SIZE;
	memcpy(rss->table, fake_nic->set.table, sizeof(fake_nic->set.table));
	*rssp = rss;

	return 0;
}

int zcrx_hw_set_rss(unsigned int ifindex, const uint32_t *table,
		    unsigned int size)
{
	unsigned int i;

	(void)ifindex;
	step();
	if (fake_nic->ret_rss)
		return fake_nic->ret_rss;
	if (size && size != FAKE_SIZE)
		return -EINVAL;
	for (i = 0; i < size; i++)
		if (table[i] >= fake_nic->nr_queues)
			return -EINVAL;
	for (i = 0; i < FAKE_SIZE; i++)
		fake_nic->set.table[i] = size ? table[i] :
					 i % fake_nic->nr_queues;

	return 0;
}

int zcrx_hw_hashes_ports(unsigned int ifindex, int family)
{
	(void)ifindex;

	return family == AF_INET;
}

static bool matches(const struct zcrx_flow *rule, const struct zcrx_flow *flow)
{
	static const struct in6_addr any;

	return rule->family == flow->family && rule->dport == flow->dport &&
	       (!rule->sport || rule->sport == flow->sport) &&
	       (!memcmp(&rule->src, &any, sizeof(any)) ||
		!memcmp(&rule->src, &flow->src, sizeof(any))) &&
	       (!memcmp(&rule->dst, &any, sizeof(any)) ||
		!memcmp(&rule->dst, &flow->dst, sizeof(any)));
}

/* Where a packet arrives */
unsigned int fake_nic_queue_of(const struct zcrx_flow *flow)
{
	const struct fake_rule *rule;
	uint32_t hash;
	unsigned int i;

	for (i = 0; i < FAKE_RULES; i++) {
		rule = &fake_nic->set.rules[i];
		if (!rule->used || !matches(&rule->flow, flow))
			continue;
		return rule->target.context ?
		       fake_nic->set.context_queue[rule->target.context] :
		       rule->target.queue;
	}
	hash = zcrx_toeplitz(key, flow, flow->family == AF_INET);

	return fake_nic->set.table[hash % FAKE_SIZE];
}

static bool same_target(const struct zcrx_target *a,
			const struct zcrx_target *b)
{
	return a->context == b->context &&
	       (a->context || a->queue == b->queue);
}

int zcrx_hw_nr_rules(unsigned int ifindex)
{
	(void)ifindex;

	return fake_nic->has_rules ? (int)fake_nic_nr_rules() : -EOPNOTSUPP;
}

int zcrx_hw_find_rule(unsigned int ifindex, const struct zcrx_flow *flow,
		      const struct zcrx_target *target, unsigned int *location)
{
	const struct fake_rule *rule;
	unsigned int i;

	(void)ifindex;
	for (i = 0; i < FAKE_RULES; i++) {
		rule = &fake_nic->set.rules[i];
		if (!rule->used || !zcrx_flow_equal(&rule->flow, flow) ||
		    !same_target(&rule->target, target))
			continue;
		*location = i;
		return 0;
	}

	return -ENOENT;
}

bool zcrx_hw_is_rule_at(unsigned int ifindex, const struct zcrx_flow *flow,
			const struct zcrx_target *target, unsigned int location)
{
	const struct fake_rule *rule = &fake_nic->set.rules[location];

	(void)ifindex;

	return rule->used && zcrx_flow_equal(&rule->flow, flow) &&
	       same_target(&rule->target, target);
}

int zcrx_hw_nr_rules_to(unsigned int ifindex, const struct zcrx_target *target)
{
	const struct fake_rule *rule;
	unsigned int i;
	int nr = 0;

	(void)ifindex;
	if (!fake_nic->has_rules)
		return -EOPNOTSUPP;
	for (i = 0; i < FAKE_RULES; i++) {
		rule = &fake_nic->set.rules[i];
		nr += rule->used && same_target(&rule->target, target);
	}

	return nr;
}

int zcrx_hw_add_rule(unsigned int ifindex, const struct zcrx_flow *flow,
		     const struct zcrx_target *target, unsigned int *location)
{
	unsigned int i;

	(void)ifindex;
	step();
	if (!fake_nic->has_rules || fake_nic->set.filters_off)
		return -EOPNOTSUPP;
	if (fake_nic->ret_add_rule)
		return fake_nic->ret_add_rule;
	if (fake_nic->rules_want_context && !target->context)
		return -EINVAL;
	for (i = 0; i < FAKE_RULES && fake_nic->set.rules[i].used; i++)
		;
	if (i == FAKE_RULES)
		return -ENOSPC;
	fake_nic->set.rules[i].used = true;
	fake_nic->set.rules[i].flow = *flow;
	fake_nic->set.rules[i].target = *target;
	*location = i;

	return 0;
}

int zcrx_hw_del_rule(unsigned int ifindex, unsigned int location)
{
	(void)ifindex;
	step();
	if (fake_nic->ret_del_rule)
		return fake_nic->ret_del_rule;
	memset(&fake_nic->set.rules[location], 0, sizeof(struct fake_rule));

	return 0;
}

bool zcrx_hw_has_contexts(unsigned int ifindex)
{
	(void)ifindex;

	return fake_nic->has_contexts;
}

int zcrx_hw_find_context(unsigned int ifindex, unsigned int queue)
{
	unsigned int i;

	(void)ifindex;
	for (i = 1; i < FAKE_CONTEXTS; i++)
		if (fake_nic->set.context_used[i] &&
		    fake_nic->set.context_queue[i] == queue)
			return i;

	return -ENOENT;
}

int zcrx_hw_add_context(unsigned int ifindex, unsigned int queue)
{
	unsigned int i;

	(void)ifindex;
	step();
	if (!fake_nic->has_contexts)
		return -EOPNOTSUPP;
	for (i = 1; i < FAKE_CONTEXTS && fake_nic->set.context_used[i]; i++)
		;
	if (i == FAKE_CONTEXTS)
		return -ENOSPC;
	fake_nic->set.context_used[i] = true;
	fake_nic->set.context_queue[i] = queue;

	return i;
}

int zcrx_hw_del_context(unsigned int ifindex, unsigned int context)
{
	(void)ifindex;
	step();
	fake_nic->set.context_used[context] = false;
	fake_nic->set.context_queue[context] = 0;

	return 0;
}
