/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* Who may have what: /etc/zcrxd.conf, which zcrxd(8) describes */
#ifndef ZCRXD_CONFIG_H
#define ZCRXD_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * struct rule - somebody may use an interface
 * @next: in the file
 * @ifname: the interface
 * @is_group: @id is a group's
 * @id: of the user
 */
struct rule {
	struct rule	*next;
	char		ifname[IFNAMSIZ];
	bool		is_group;
	unsigned int	id;
};

/**
 * struct rss - an interface whose RSS table may steer
 * @next: in the file
 * @ifname: the interface
 */
struct rss {
	struct rss	*next;
	char		ifname[IFNAMSIZ];
};

/**
 * struct config - what the file says
 * @rules: in the order of the file
 * @rss: likewise
 * @queues: that a user may have at a time
 * @memory: bytes of a queue
 */
struct config {
	struct rule	*rules;
	struct rss	*rss;
	unsigned int	queues;
	size_t		memory;
};

/**
 * struct peer - who has connected
 * @pid: its process
 * @uid: its user
 * @nr_groups: number of its groups
 * @groups: them
 */
struct peer {
	pid_t		pid;
	uid_t		uid;
	unsigned int	nr_groups;
	gid_t		*groups;
};

bool config_read(struct config *config, const char *path);
void config_free(struct config *config);
const char *config_first_for(const struct config *config,
			     const struct peer *peer);
bool config_allows(const struct config *config, const struct peer *peer,
		   const char *ifname);
bool config_has_rss(const struct config *config, const char *ifname);

#endif
