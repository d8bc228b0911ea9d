// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Have a socket's packets come to the queue: by a filter, by a filter and an
 * RSS context, or else by way of the RSS table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "nic_impl.h"
#include "nic_rss.h"

#define MIN_FDS		64

static struct zcrx_steered *find_steered(const struct zcrx_nic *nic, int fd)
{
	return fd >= 0 && (unsigned int)fd < nic->nr_fds ? nic->steered[fd] :
							   NULL;
}

/* They may be there, but switched off. */
static bool filters_are_off(const struct zcrx_nic *nic)
{
	bool available, on;

	return !zcrx_hw_ntuple(nic->ifindex, &available, &on) && available &&
	       !on;
}

/*
 * Filters
 */

/* No other filter of that kind is any better. */
static bool is_for_good(int err)
{
	return err == -EOPNOTSUPP || err == -EINVAL || err == -EPERM;
}

static int refuse_rule(struct zcrx_nic *nic, const struct zcrx_flow *flow,
		       int err)
{
	zcrx_record_del_rule(nic->rec, flow);
	zcrx_record_save_rule(nic->dir, nic->rec, flow);
	if (is_for_good(err))
		nic->no_rules = true;

	return zcrx_fail(err, "%s refuses a filter for packets to TCP port %u: %s",
			 nic->name, ntohs(flow->dport), strerror(-err));
}

/*
 * Nobody else has a filter that leads to our queue? As long as there are as many as
 * we have left, all need not be looked at again.
 */
static bool is_alone(struct zcrx_nic *nic)
{
	int nr = zcrx_hw_nr_rules(nic->ifindex);

	if (nr >= 0 && nr == nic->nr_rules)
		return true;
	if (zcrx_hw_nr_rules_to(nic->ifindex, &nic->target) !=
	    (int)nic->rec->nr_rules)
		nr = -1;
	nic->nr_rules = nr;

	return nr >= 0;
}

static void count_rules(struct zcrx_nic *nic, int change)
{
	if (nic->nr_rules >= 0)
		nic->nr_rules += change;
}

static bool is_others(struct zcrx_nic *nic, const struct zcrx_flow *flow)
{
	unsigned int location;

	return !is_alone(nic) &&
	       !zcrx_hw_find_rule(nic->ifindex, flow, &nic->target, &location);
}

static int make_rule(struct zcrx_nic *nic, const struct zcrx_flow *flow)
{
	unsigned int location;
	int ret;

	if (zcrx_record_add_rule(nic->rec, flow))
		return zcrx_fail(-ENOMEM, "no memory to steer a connection");
	ret = zcrx_record_save_rule(nic->dir, nic->rec, flow);
	if (ret) {
		zcrx_record_del_rule(nic->rec, flow);
		return ret;
	}
	ret = zcrx_hw_add_rule(nic->ifindex, flow, &nic->target, &location);
	if (ret)
		return refuse_rule(nic, flow, ret);
	zcrx_record_find_rule(nic->rec, flow)->location = location;
	count_rules(nic, 1);

	return 0;
}

/* One that is there already is another socket's, or somebody else's. */
static int add_rule(struct zcrx_nic *nic, const struct zcrx_flow *flow,
		    bool *ours)
{
	struct zcrx_rule *rule = zcrx_record_find_rule(nic->rec, flow);
	int ret = 0;

	if (*ours)
		return 0;
	if (rule)
		rule->nr_users++;
	else if (is_others(nic, flow))
		return 0;
	else
		ret = make_rule(nic, flow);
	*ours = !ret;

	return ret;
}

/* One that was made before there was a context goes to the queue. */
static int del_rule(struct zcrx_nic *nic, const struct zcrx_owners *owners,
		    const struct zcrx_flow *flow, bool *ours)
{
	const struct zcrx_target queue = { .queue = owners->own->queue };
	struct zcrx_rule *rule = zcrx_record_find_rule(owners->own, flow);
	int ret;

	if (rule->nr_users > 1) {
		rule->nr_users--;
		*ours = false;
		return 0;
	}
	ret = zcrx_owners_delete_rule(owners, rule, &nic->target);
	if (!ret && nic->target.context)
		ret = zcrx_owners_delete_rule(owners, rule, &queue);
	if (ret < 0)
		return ret;
	count_rules(nic, -ret);
	zcrx_record_del_rule(owners->own, flow);
	*ours = false;

	return zcrx_record_save_rule(owners->dir, owners->own, flow);
}

static int del_rules(struct zcrx_nic *nic, const struct zcrx_owners *owners,
		     struct zcrx_steered *steered)
{
	int ret = 0, err;
	unsigned int i;

	for (i = 0; i < steered->nr_flows; i++) {
		if (!steered->ours[i])
			continue;
		err = del_rule(nic, owners, &steered->flows[i],
			       &steered->ours[i]);
		ret = err ? err : ret;
	}

	return ret;
}

static int add_rules(struct zcrx_nic *nic, const struct zcrx_owners *owners,
		     struct zcrx_steered *steered)
{
	struct zcrx_sentence why;
	unsigned int i;
	int ret;

	for (i = 0; i < steered->nr_flows; i++) {
		ret = add_rule(nic, &steered->flows[i], &steered->ours[i]);
		if (ret) {
			zcrx_sentence_keep(&why);
			del_rules(nic, owners, steered);
			zcrx_sentence_restore(&why);
			return ret;
		}
	}

	return 0;
}

/* An RSS context that is all our queue, for a NIC whose filters can't name a
 * queue. One that is there already is the administrator's.
 */
static int make_context(struct zcrx_nic *nic)
{
	int context = zcrx_hw_find_context(nic->ifindex, nic->rec->queue), ret;

	if (context < 0) {
		nic->rec->context = true;
		ret = zcrx_record_save(nic->dir, nic->rec);
		if (ret)
			return ret;
		context = zcrx_hw_add_context(nic->ifindex, nic->rec->queue);
	}
	if (context <= 0) {
		nic->rec->context = false;
		return zcrx_record_save(nic->dir, nic->rec) ?: -EOPNOTSUPP;
	}
	nic->target.context = context;
	nic->nr_rules = -1;
	nic->no_rules = false;

	return 0;
}

static int steer_by_rule(struct zcrx_nic *nic, const struct zcrx_owners *owners,
			 struct zcrx_steered *steered)
{
	int ret;

	if (nic->no_rules)
		return -EOPNOTSUPP;
	ret = add_rules(nic, owners, steered);
	if (!ret || !nic->no_rules || nic->target.context)
		return ret;

	ret = make_context(nic);

	return ret ? ret : add_rules(nic, owners, steered);
}

/*
 * RSS table
 */

static int refuse_connection(const struct zcrx_nic *nic)
{
	if (filters_are_off(nic))
		return zcrx_fail(-EOPNOTSUPP, "connections can't be steered on %s, whose filters are off: ethtool -K %s ntuple on",
				 nic->name, nic->name);

	if (nic->alone)
		return zcrx_fail(-EOPNOTSUPP, "connections can't be steered on %s: it takes no filter for one (ethtool -N), and those that would come along by the RSS table are not to be seen by another process",
				 nic->name);
	if (!nic->readable)
		return zcrx_fail(-EOPNOTSUPP, "connections can't be steered on %s: it takes no filter for one (ethtool -N), and those that would come along by the RSS table could not be read on this kernel",
				 nic->name);

	return zcrx_fail(-EOPNOTSUPP, "connections can't be steered on %s: it takes no filter for one (ethtool -N), and how it spreads them (ethtool -x) is not known",
			 nic->name);
}

static int refuse_port(const struct zcrx_nic *nic)
{
	if (!nic->readable)
		return zcrx_fail(-EOPNOTSUPP, "a port of %s is not steered on this kernel, where recv() could not read its connections: steer each one once it has been accepted",
				 nic->name);
	if (filters_are_off(nic))
		return zcrx_fail(-EOPNOTSUPP, "a port can't be steered on %s, whose filters are off: ethtool -K %s ntuple on, or steer each connection once it has been accepted",
				 nic->name, nic->name);

	return zcrx_fail(-EOPNOTSUPP, "%s takes no filter for a port (ethtool -N): steer each connection once it has been accepted",
			 nic->name);
}

static int hash_flow(const struct zcrx_nic *nic, const struct zcrx_flow *flow,
		     unsigned int *entry)
{
	int ports = zcrx_hw_hashes_ports(nic->ifindex, flow->family);
	struct zcrx_rss *rss = NULL;
	int ret = zcrx_hw_rss(nic->ifindex, &rss);

	if (ret || ports < 0 || !rss->toeplitz ||
	    rss->key_size < ZCRX_KEY_MIN || rss->size != nic->rec->size)
		ret = refuse_connection(nic);
	else
		*entry = zcrx_toeplitz(rss->key, flow, ports) % rss->size;
	free(rss);

	return ret;
}

static int check_entry(const struct zcrx_owners *owners, unsigned int entry)
{
	const struct zcrx_record *rec;
	unsigned int i;

	for (i = 0; i < owners->others.nr; i++) {
		rec = owners->others.list[i];
		if (rec->alive && entry < rec->size && rec->moved[entry])
			return zcrx_fail(-EBUSY, "a connection can't be told from one of process %d's by the RSS table of %s: its bytes will be copied",
					 (int)rec->pid, owners->name);
	}

	return 0;
}

/* The NIC has not done it: it is not to be recorded either. */
static void turn_back(const struct zcrx_owners *owners, unsigned int entry)
{
	struct zcrx_record *rec = owners->own;
	struct zcrx_sentence why;

	zcrx_sentence_keep(&why);
	rec->moved[entry] = !rec->moved[entry];
	zcrx_record_save(owners->dir, rec);
	zcrx_sentence_restore(&why);
}

static int set_entry(const struct zcrx_owners *owners, unsigned int entry,
		     bool moved)
{
	struct zcrx_record *rec = owners->own;
	int ret;

	rec->moved[entry] = moved;
	ret = zcrx_record_save(owners->dir, rec);
	if (!ret)
		ret = zcrx_owners_apply_rss(owners, NULL);
	if (ret)
		turn_back(owners, entry);

	return ret;
}

static int steer_by_entry(const struct zcrx_nic *nic,
			  struct zcrx_owners *owners,
			  struct zcrx_steered *steered)
{
	int ret;

	if (!zcrx_flow_is_connection(steered->flows))
		return refuse_port(nic);
	/* Other connections come along. */
	if (!nic->readable || nic->alone)
		return refuse_connection(nic);
	ret = hash_flow(nic, steered->flows, &steered->entry);
	if (!ret)
		ret = zcrx_owners_load(owners);
	if (!ret)
		ret = check_entry(owners, steered->entry);
	if (!ret && !nic->rec->moved[steered->entry])
		ret = set_entry(owners, steered->entry, true);

	return ret;
}

static bool is_needed(const struct zcrx_nic *nic,
		      const struct zcrx_steered *leaving)
{
	const struct zcrx_steered *steered;
	unsigned int i;

	for (i = 0; i < nic->nr_fds; i++) {
		steered = nic->steered[i];
		if (steered && steered != leaving &&
		    steered->how == ZCRX_BY_ENTRY &&
		    steered->entry == leaving->entry)
			return true;
	}

	return false;
}

static int unsteer_entry(const struct zcrx_nic *nic, struct zcrx_owners *owners,
			 const struct zcrx_steered *leaving)
{
	int ret;

	if (is_needed(nic, leaving))
		return 0;
	ret = zcrx_owners_load(owners);

	return ret ? ret : set_entry(owners, leaving->entry, false);
}

/*
 * Sockets
 */

/* Without a filter. If there is none only now, that is all there is to say. */
static bool tries_entry(const struct zcrx_nic *nic, bool is_connection)
{
	return nic->no_rules ||
	       (nic->readable && !nic->alone && is_connection);
}

static int steer_flows(struct zcrx_nic *nic, struct zcrx_steered *steered)
{
	bool is_connection = zcrx_flow_is_connection(steered->flows);
	struct zcrx_owners owners;
	int ret;

	if (!nic->readable && !is_connection)
		return refuse_port(nic);
	ret = zcrx_nic_lock(nic, &owners);
	if (ret)
		return ret;
	steered->how = ZCRX_BY_RULE;
	ret = steer_by_rule(nic, &owners, steered);
	if (ret && tries_entry(nic, is_connection)) {
		steered->how = ZCRX_BY_ENTRY;
		ret = steer_by_entry(nic, &owners, steered);
	}
	zcrx_owners_end(&owners);

	return ret;
}

static bool make_room(struct zcrx_nic *nic, unsigned int fd)
{
	unsigned int nr = nic->nr_fds ? nic->nr_fds : MIN_FDS;
	struct zcrx_steered **list;

	if (fd < nic->nr_fds)
		return true;
	while (nr <= fd)
		nr *= 2;
	/* Of a large one most is never touched. */
	list = calloc(nr, sizeof(*list));
	if (!list)
		return false;
	if (nic->nr_fds)
		memcpy(list, nic->steered, nic->nr_fds * sizeof(*list));
	free(nic->steered);
	nic->steered = list;
	nic->nr_fds = nr;

	return true;
}

/* What @steered has the flows of */
static int steer_socket(struct zcrx_nic *nic, struct zcrx_steered *steered)
{
	struct zcrx_steered *kept;
	int ret = 0;

	if (find_steered(nic, steered->fd))
		ret = zcrx_nic_unsteer(nic, steered->fd);
	if (ret)
		return ret;
	kept = malloc(sizeof(*kept));
	if (!kept || !make_room(nic, steered->fd)) {
		free(kept);
		return zcrx_fail(-ENOMEM, "no memory to steer a connection");
	}
	ret = nic->single ? 0 : steer_flows(nic, steered);
	if (ret) {
		free(kept);
		return ret;
	}
	*kept = *steered;
	nic->steered[steered->fd] = kept;

	return 0;
}

/**
 * zcrx_nic_steer() - have a socket's packets come to the queue
 * @nic: the queue
 * @fd: a connected TCP socket, or a listening one, for all connections to its
 *	port
 *
 * Until zcrx_nic_unsteer(), also if the socket is closed. A socket that is told
 * again counts once. Where the RSS table is used, a connection's packets come
 * along with those of others that have the same entry: not on a kernel where
 * others could not read them, nor is a listening socket steered there.
 *
 * Return: 0 or a negative errno, with a sentence; bytes will be copied then.
 * -EOPNOTSUPP: the NIC has no means to that; -EBUSY: another process has it.
 */
int zcrx_nic_steer(struct zcrx_nic *nic, int fd)
{
	struct zcrx_steered steered = { .fd = fd };
	int ret = zcrx_flows_of_socket(fd, steered.flows);

	if (ret < 0)
		return ret;
	steered.nr_flows = ret;

	return steer_socket(nic, &steered);
}

/**
 * zcrx_nic_steer_early() - the same, also before connect() has succeeded
 * @nic: the queue
 * @fd: a TCP socket that is connected, or whose connect() is under way
 *
 * Return: as zcrx_nic_steer(); -ENOTCONN: it is neither.
 */
int zcrx_nic_steer_early(struct zcrx_nic *nic, int fd)
{
	struct zcrx_steered steered = { .fd = fd };
	int ret = zcrx_flow_of_connecting(fd, steered.flows);

	if (ret < 0)
		return ret;
	steered.nr_flows = ret;

	return steer_socket(nic, &steered);
}

static int undo(struct zcrx_nic *nic, struct zcrx_steered *steered)
{
	struct zcrx_owners owners;
	int ret = zcrx_nic_lock(nic, &owners);

	if (ret)
		return ret;
	if (steered->how == ZCRX_BY_RULE)
		ret = del_rules(nic, &owners, steered);
	else
		ret = unsteer_entry(nic, &owners, steered);
	zcrx_owners_end(&owners);

	return ret;
}

/**
 * zcrx_nic_unsteer() - undo zcrx_nic_steer()
 * @nic: the queue
 * @fd: what was given then; it may have been closed
 *
 * Return: 0; -ENOENT, with a sentence: it was not steered; or another negative
 * errno, with a sentence: it still is, and a second try may do.
 */
int zcrx_nic_unsteer(struct zcrx_nic *nic, int fd)
{
	struct zcrx_steered *steered = find_steered(nic, fd);
	int ret;

	if (!steered)
		return zcrx_fail(-ENOENT, "socket %d is not steered to queue %u of %s",
				 fd, nic->rec->queue, nic->name);
	ret = steered->how == ZCRX_BY_NOTHING ? 0 : undo(nic, steered);
	if (ret)
		return ret;
	nic->steered[fd] = NULL;
	free(steered);

	return 0;
}

/**
 * zcrx_nic_is_steered() - is a socket still the connection that was steered?
 * @nic: the queue
 * @fd: what was given to zcrx_nic_steer(), and is open
 *
 * Return: false if it listens, is not connected, or is another connection by now.
 */
bool zcrx_nic_is_steered(const struct zcrx_nic *nic, int fd)
{
	const struct zcrx_steered *steered = find_steered(nic, fd);
	struct zcrx_flow flows[ZCRX_MAX_FLOWS];

	return steered && zcrx_flows_of_socket(fd, flows) == 1 &&
	       zcrx_flow_is_connection(flows) &&
	       zcrx_flow_equal(flows, steered->flows);
}
