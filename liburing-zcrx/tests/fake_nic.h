/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A NIC in memory, in place of nic_netlink.c and nic_ethtool.c. It goes by the
 * index of the loopback interface, and by its name if the test has no other.
 * Processes share it, and die of it: each change of it or of a record is a step, and
 * so is half a line of a record.
 */
#ifndef ZCRX_TEST_FAKE_NIC_H
#define ZCRX_TEST_FAKE_NIC_H

#include "../src/nic_hw.h"

#ifndef FAKE_NAME
#define FAKE_NAME	"lo"
#endif
#define FAKE_IFINDEX	1
#define FAKE_TWIN	2
#define FAKE_VLAN	3	/* on the first one */
#define FAKE_QUEUES	4
#define FAKE_SIZE	128
#define FAKE_RULES	8
#define FAKE_CONTEXTS	4

struct fake_rule {
	bool			used;
	struct zcrx_flow	flow;
	struct zcrx_target	target;
};

/* What there is to be put back */
struct fake_settings {
	enum zcrx_split_state	split;
	int			threshold;
	bool			filters_off;
	uint32_t		table[FAKE_SIZE];
	struct fake_rule	rules[FAKE_RULES];
	bool			context_used[FAKE_CONTEXTS];
	unsigned int		context_queue[FAKE_CONTEXTS];
};

/**
 * struct fake_nic - the NIC
 * @set: its settings
 * @nr_queues: number of its receive queues
 * @provider: of each queue
 * @down: the interface is
 * @gone: there is none any more
 * @twin: it has another interface, FAKE_TWIN, to which all of this applies as well
 * @has_rss: it has an RSS table
 * @has_contexts: it has several
 * @has_rules: it has filters, and
 * @rules_want_context: they take contexts only
 * @device: its address
 * @nr_steps: changes of it and of records
 * @nr_written: bytes that were written, to records above all
 * @ret_split: what comes of setting header split
 * @ret_split_off: what comes of setting it to anything but on
 * @has_arfs: the kernel is configured for RFS
 * @ret_ntuple: what comes of switching filters on or off
 * @ret_rss: what comes of setting the RSS table
 * @ret_add_rule: what comes of adding a filter
 * @ret_del_rule: what comes of deleting a filter
 * @ret_queues: what comes of asking for queues
 */
struct fake_nic {
	struct fake_settings	set;
	unsigned int		nr_queues;
	enum zcrx_provider	provider[FAKE_QUEUES];
	bool			down;
	bool			gone;
	bool			twin;
	bool			has_rss;
	bool			has_contexts;
	bool			has_rules;
	bool			rules_want_context;
	char			device[ZCRX_DEVICE_SIZE];
	unsigned int		nr_steps;
	unsigned long long	nr_written;
	int			ret_split;
	int			ret_split_off;
	bool			has_arfs;
	int			ret_ntuple;
	int			ret_rss;
	int			ret_add_rule;
	int			ret_del_rule;
	int			ret_queues;
};

extern struct fake_nic *fake_nic;

void fake_nic_init(void);
void fake_nic_reset(void);
void fake_nic_exit(void);

/* The process dies before the nr-th step from here. */
void fake_nic_die_at(unsigned int nr);

unsigned int fake_nic_nr_rules(void);
unsigned int fake_nic_nr_records(void);
bool fake_nic_has_dir(void);
bool fake_nic_write_record(unsigned int queue, const char *text);
bool fake_nic_read_record(unsigned int queue, char *text, size_t size);
void fake_nic_delete_record(unsigned int queue);
unsigned int fake_nic_count(unsigned int queue);
unsigned int fake_nic_queue_of(const struct zcrx_flow *flow);

#endif
