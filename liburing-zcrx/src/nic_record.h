/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What is to be put back, kept where it outlives the process.
 *
 * Each interface has a directory /run/zcrx/COOKIE-IFINDEX, with the cookie of
 * its network namespace, and each queue that somebody has set up a file in it.
 * A record is written before what it tells of is done, and removed when all is
 * put back. Its owner holds a lock on it, which the kernel drops when the last
 * process that has it ends: a record without a lock is a dead owner's, unless it
 * is kept. A lock on the directory serialises owners. The directory goes with
 * the last record, under that lock.
 *
 * Filters come and go by the thousand. What has become of one since the record
 * was written is a line behind its end, and takes as long however many there are:
 * written before the filter is made, or after it was deleted. A line without its
 * newline was not written whole, and does not count. Now and then the
 * record is written anew, without what has gone.
 *
 *	zcrx-nic 1
 *	interface eth0		for people, as the pid
 *	pid 4711
 *	queue 3
 *	split 1			header split as it was, ethtool's number
 *	device 0000:01:00.0	where the NIC is, if it is somewhere
 *	threshold 0		its threshold, unless there is none
 *	filters-off		so they were
 *	table 0 0 1 1 2 2 3 3	RSS table as it was
 *	moved 1 17		entries of it that steer to the queue
 *	context			a further RSS table was made, all the queue
 *	rule 192.0.2.1 5201 192.0.2.2 40000
 *				a filter was made: source and destination
 *	kept			stays without an owner, till it is reset
 *	end
 *	rule 192.0.2.1 5201 192.0.2.2 40001
 *				one more
 *	no-rule 192.0.2.1 5201 192.0.2.2 40000
 *				one less
 */
#ifndef ZCRX_NIC_RECORD_H
#define ZCRX_NIC_RECORD_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "nic_flow.h"
#include "nic_hw.h"

/* Of a line about a filter, with newline and zero */
#define ZCRX_RULE_SIZE		128

/* 65536 at most: so many bits has the hash */
#define ZCRX_RULE_BUCKETS	4096

/**
 * struct zcrx_rule - a filter that an owner has made
 * @flow: what it matches
 * @nr_users: sockets of the owner that need it
 * @location: its place on the NIC, as far as is known
 * @next: the next one in its bucket, counted from 1, or 0
 */
struct zcrx_rule {
	struct zcrx_flow	flow;
	unsigned int		nr_users;
	unsigned int		location;
	unsigned int		next;
};

/**
 * struct zcrx_record - what one owner of a queue has to put back
 * @ifname: name of the interface when it began
 * @device: address of the NIC on its bus, empty if it has none
 * @pid: the owner's
 * @queue: the queue
 * @split: header split as it was before the first owner came, ethtool's number
 * @threshold: likewise its threshold, -1 if there is none
 * @filters_off: filters were off before the first owner came, who switched them on
 * @size: entries of the RSS table, 0 if there is none
 * @table: RSS table as it was before the first owner came
 * @moved: which entries of it this owner has moved to the queue, a byte each
 * @context: the owner made an RSS context
 * @rules: the owner made these filters
 * @nr_rules: their number
 * @buckets: the first of each, counted from 1, or 0
 * @nr_gone: lines of the file that tell of filters that have gone
 * @torn: the file may end with part of a line
 * @kept: is in force without an owner, as if one lived
 * @lock: file with the owner's lock, -1 if it is somebody else's
 * @alive: the owner lives, or none is needed
 * @err: why a dead owner's record could not go, and counts as alive
 * @why: likewise, as a sentence
 */
struct zcrx_record {
	char			ifname[IFNAMSIZ];
	char			device[ZCRX_DEVICE_SIZE];
	pid_t			pid;
	unsigned int		queue;
	unsigned int		split;
	int			threshold;
	bool			filters_off;
	unsigned int		size;
	uint32_t		*table;
	uint8_t			*moved;
	bool			context;
	struct zcrx_rule	*rules;
	unsigned int		nr_rules;
	unsigned int		buckets[ZCRX_RULE_BUCKETS];
	unsigned int		nr_gone;
	bool			torn;
	bool			kept;
	int			lock;
	bool			alive;
	int			err;
	char			*why;
};

/**
 * struct zcrx_records - all records of an interface
 * @list: them
 * @nr: their number
 * @garbled: name of a file that is none, empty if all are
 */
struct zcrx_records {
	struct zcrx_record	**list;
	unsigned int		nr;
	char			garbled[32];
};

int zcrx_netns_cookie(int fd, uint64_t *cookie);
int zcrx_netns_own_cookie(uint64_t *cookie);
bool zcrx_record_hides(int err);
int zcrx_record_dir(unsigned int ifindex, bool create);
int zcrx_record_open_dir(const char *path, bool create);
void zcrx_record_remove_dir(int dir);
int zcrx_record_lock(int dir, const char *ifname);
void zcrx_record_unlock(int dir);

struct zcrx_record *zcrx_record_new(const char *ifname, unsigned int queue);
void zcrx_record_free(struct zcrx_record *rec);
int zcrx_record_set_table(struct zcrx_record *rec, const uint32_t *table,
			  unsigned int size);
int zcrx_record_add_rule(struct zcrx_record *rec, const struct zcrx_flow *flow);
void zcrx_record_del_rule(struct zcrx_record *rec,
			  const struct zcrx_flow *flow);
void zcrx_record_del_rules(struct zcrx_record *rec);
struct zcrx_rule *zcrx_record_find_rule(struct zcrx_record *rec,
					const struct zcrx_flow *flow);

void zcrx_record_print_rule(char line[ZCRX_RULE_SIZE],
			    const struct zcrx_flow *flow, bool there);
char *zcrx_record_print(const struct zcrx_record *rec);
int zcrx_record_parse(char *text, struct zcrx_record **recp);

int zcrx_record_save(int dir, struct zcrx_record *rec);
int zcrx_record_save_rule(int dir, struct zcrx_record *rec,
			  const struct zcrx_flow *flow);
int zcrx_record_remove(int dir, struct zcrx_record *rec);
void zcrx_records_sweep(int dir);
int zcrx_records_load(int dir, const struct zcrx_record *own,
		      struct zcrx_records *recs);
void zcrx_records_free(struct zcrx_records *recs);

#endif
