/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A client has a process of its own, which sets its queue up: nobody waits for
 * another one's NIC, and what harms one process harms one client.
 */
#ifndef ZCRXD_CLIENT_H
#define ZCRXD_CLIENT_H

#include "config.h"

#define MAX_CLIENTS	64

/**
 * struct client - a client, in memory that all processes share
 * @pid: the process that serves it, 0: none; the daemon's own word
 * @uid: the client's user
 * @stranger: no rule is for it; likewise the daemon's own
 * @has_queue: it counts for that user; written by the process that serves it, and
 *	       by the daemon when that is gone
 */
struct client {
	pid_t	pid;
	uid_t	uid;
	bool	stranger;
	int	has_queue;
};

bool peer_of(struct peer *peer, int sock);
void serve_client(int sock, const struct peer *peer,
		  const struct config *config, struct client *clients,
		  struct client *self, pid_t daemon) __attribute__((noreturn));

#endif
