// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <err.h>
#include <errno.h>
#include <liburing-zcrx.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

/* A program that was started anew need not wait for what it had before. */
#define QUOTA_MS	2000
#define QUOTA_STEP_MS	10

/**
 * struct service - what there is to know when the client asks
 * @peer: the client
 * @config: the rules
 * @clients: all of them
 * @self: this one
 */
struct service {
	const struct peer	*peer;
	const struct config	*config;
	struct client		*clients;
	struct client		*self;
};

static int client_sock;

/**
 * peer_of() - who has connected?
 * @peer: filled in; the caller frees peer->groups
 * @sock: connection to it
 *
 * Return: true if the kernel tells; its user and groups when it connected.
 */
bool peer_of(struct peer *peer, int sock)
{
	struct ucred cred;
	socklen_t len = sizeof(cred), size = 0;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	/* Tells how much room it takes */
	getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, NULL, &size);
	peer->pid = cred.pid;
	peer->uid = cred.uid;
	peer->groups = malloc(size + sizeof(gid_t));
	if (!peer->groups)
		return false;
	if (size &&
	    getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &size)) {
		free(peer->groups);
		return false;
	}
	peer->nr_groups = size / sizeof(gid_t);
	peer->groups[peer->nr_groups++] = cred.gid;

	return true;
}

static const char *name_of(uid_t uid)
{
	const struct passwd *user = getpwuid(uid);
	static char number[16];

	if (user)
		return user->pw_name;
	snprintf(number, sizeof(number), "%u", uid);

	return number;
}

static unsigned int queues_of_others(const struct service *service)
{
	const struct client *clients = service->clients;
	unsigned int nr = 0, i;

	for (i = 0; i < MAX_CLIENTS; i++)
		if (&clients[i] != service->self &&
		    clients[i].uid == service->self->uid)
			nr += __atomic_load_n(&clients[i].has_queue,
					      __ATOMIC_SEQ_CST);

	return nr;
}

/*
 * Of two that want the last one at the same time each sees the other, or one
 * sees the first: never do both get it.
 */
static bool take_place(const struct service *service)
{
	__atomic_store_n(&service->self->has_queue, 1, __ATOMIC_SEQ_CST);
	if (queues_of_others(service) < service->config->queues)
		return true;
	__atomic_store_n(&service->self->has_queue, 0, __ATOMIC_SEQ_CST);

	return false;
}

static bool wait_for_place(const struct service *service)
{
	long index = service->self - service->clients;
	int ms;

	for (ms = 0; ms < QUOTA_MS; ms += QUOTA_STEP_MS) {
		if (take_place(service))
			return true;
		/* Not all at the same time */
		usleep(QUOTA_STEP_MS * 1000 + (useconds_t)index * 100);
	}

	return false;
}

static int check_memory(struct zcrx_grant *grant, const struct config *config)
{
	if (!grant->opts.mem_size)
		grant->opts.mem_size = config->memory;
	if (grant->opts.mem_size <= config->memory)
		return 0;
	snprintf(grant->why, sizeof(grant->why),
		 "a queue of %zu bytes was asked for, and zcrxd gives %zu at most: ask for less",
		 grant->opts.mem_size, config->memory);

	return -EDQUOT;
}

static int allow(struct zcrx_grant *grant, void *arg)
{
	const struct service *service = arg;
	const struct config *config = service->config;
	const char *ifname = grant->opts.ifname;
	int ret;

	if (!ifname)
		ifname = config_first_for(config, service->peer);
	if (!ifname || !config_allows(config, service->peer, ifname)) {
		snprintf(grant->why, sizeof(grant->why),
			 "zcrxd does not allow user %s to receive by %s: its configuration says who may",
			 name_of(service->peer->uid),
			 ifname ? ifname : "any interface");
		return -EACCES;
	}
	grant->opts.ifname = ifname;
	grant->by_rss = config_has_rss(config, ifname);
	ret = check_memory(grant, config);
	if (ret)
		return ret;
	if (!wait_for_place(service)) {
		snprintf(grant->why, sizeof(grant->why),
			 "user %s has %u queues of zcrxd, which is all that one may have: close one",
			 name_of(service->peer->uid), config->queues);
		return -EDQUOT;
	}
	warnx("user %s, process %d: a queue of %s, %zu bytes",
	      name_of(service->peer->uid), (int)service->peer->pid, ifname,
	      grant->opts.mem_size);

	return 0;
}

/* As if the client had gone: zcrx_export() puts everything back and returns. */
static void stop(int sig)
{
	(void)sig;
	shutdown(client_sock, SHUT_RDWR);
}

/*
 * It ends with the daemon, and by SIGTERM alone: others stay blocked. Ctrl-C is for
 * the daemon, and would end us before the NIC is put back.
 */
static void watch_daemon(pid_t daemon)
{
	/* It comes twice if systemd sends it, too, and NICs are put back then. */
	struct sigaction action = { .sa_handler = stop, .sa_flags = SA_RESTART };
	sigset_t set;

	sigaction(SIGTERM, &action, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != daemon)
		stop(SIGTERM);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/**
 * serve_client() - be the process that serves a client
 * @sock: connection to it
 * @peer: who it is
 * @config: the rules
 * @clients: all clients
 * @self: this one
 * @daemon: the process that has forked
 *
 * With the daemon's signals blocked. Exits when the client is gone, SIGTERM has come, or
 * the daemon is gone.
 */
void serve_client(int sock, const struct peer *peer,
		  const struct config *config, struct client *clients,
		  struct client *self, pid_t daemon)
{
	struct service service = {
		.peer		= peer,
		.config		= config,
		.clients	= clients,
		.self		= self,
	};
	int ret;

	client_sock = sock;
	watch_daemon(daemon);
	ret = zcrx_export(sock, allow, &service);
	if (ret)
		warnx("user %s, process %d: nothing: %s", name_of(peer->uid),
		      (int)peer->pid, zcrx_error());
	else
		warnx("user %s, process %d: its queue is put back",
		      name_of(peer->uid), (int)peer->pid);
	_exit(0);
}
