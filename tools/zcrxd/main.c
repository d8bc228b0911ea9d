// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* zcrxd - set up NICs for zero-copy receive by ordinary users' processes */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

#define STATUS_USAGE	2
#define FIRST_FD	3	/* of those that systemd passes on */
#define BACKLOG		16
#define SPARE		4	/* clients of a user, or of all strangers, without a queue */
#define STOP_MS		5000

static const char help[] =
	"usage: zcrxd [--config FILE] [--socket PATH]\n"
	"\n"
	"  -c, --config FILE  who may have what (/etc/zcrxd.conf)\n"
	"  -s, --socket PATH  where clients connect (/run/zcrxd.socket); systemd's, if\n"
	"                     it has started zcrxd for one\n"
	"  -h, --help         print this\n"
	"\n"
	"See zcrxd(8).\n";

/**
 * struct daemon - all there is
 * @config_path: the file of rules
 * @path: of the socket, or NULL: it is systemd's
 * @config: the rules
 * @sock: where clients connect
 * @signals: signalfd
 * @clients: MAX_CLIENTS, shared with their processes
 * @stopping: by SIGTERM
 */
struct daemon {
	const char	*config_path;
	const char	*path;
	struct config	config;
	int		sock;
	int		signals;
	struct client	*clients;
	bool		stopping;
};

/*
 * Clients
 */

static struct client *free_slot(const struct daemon *d)
{
	unsigned int i;

	for (i = 0; i < MAX_CLIENTS; i++)
		if (!d->clients[i].pid)
			return &d->clients[i];

	return NULL;
}

/*
 * Nobody can keep others out by connecting all the time: not as a user, and not as
 * the many that one may be in a user namespace, whom no rule is for.
 */
static bool has_room(const struct daemon *d, uid_t uid, bool stranger)
{
	unsigned int max = stranger ? SPARE : d->config.queues + SPARE;
	unsigned int nr = 0, i;

	for (i = 0; i < MAX_CLIENTS; i++)
		nr += d->clients[i].pid && (stranger ? d->clients[i].stranger :
						       d->clients[i].uid == uid);

	return nr < max;
}

static void begin_to_serve(struct daemon *d, struct client *client, int sock,
			   const struct peer *peer, bool stranger)
{
	pid_t daemon = getpid(), pid;

	client->uid = peer->uid;
	client->stranger = stranger;
	client->has_queue = 0;
	pid = fork();
	if (!pid) {
		close(d->sock);
		close(d->signals);
		serve_client(sock, peer, &d->config, d->clients, client,
			     daemon);
	}
	if (pid < 0)
		warn("can't serve process %d", (int)peer->pid);
	else
		client->pid = pid;
}

static void accept_client(struct daemon *d)
{
	int sock = accept4(d->sock, NULL, NULL, SOCK_CLOEXEC);
	struct client *client = free_slot(d);
	struct peer peer;
	bool stranger;

	if (sock < 0)
		return;
	if (client && peer_of(&peer, sock)) {
		stranger = !config_first_for(&d->config, &peer);
		if (has_room(d, peer.uid, stranger))
			begin_to_serve(d, client, sock, &peer, stranger);
		free(peer.groups);
	}
	close(sock);
}

static void reap(struct daemon *d)
{
	unsigned int i;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		for (i = 0; i < MAX_CLIENTS; i++) {
			if (d->clients[i].pid != pid)
				continue;
			d->clients[i].has_queue = 0;
			d->clients[i].pid = 0;
		}
	}
}

static unsigned int signal_clients(const struct daemon *d, int sig)
{
	unsigned int nr = 0, i;

	for (i = 0; i < MAX_CLIENTS; i++)
		if (d->clients[i].pid > 0 && !kill(d->clients[i].pid, sig))
			nr++;

	return nr;
}

/* A client that does not let go of its queue is left with it. */
static void stop_clients(struct daemon *d)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	unsigned int left = signal_clients(d, SIGTERM), ms;

	for (ms = 0; left && ms < STOP_MS; ms += 10) {
		nanosleep(&pause, NULL);
		reap(d);
		left = signal_clients(d, 0);
	}
	if (!left)
		return;
	warnx("%u clients keep their queues: what is left of them is put back by the next queue of the interface",
	      left);
	signal_clients(d, SIGKILL);
}

/*
 * Loop
 */

static void read_config_again(struct daemon *d)
{
	struct config config;

	if (!config_read(&config, d->config_path)) {
		warnx("the rules stay as they were");
		return;
	}
	config_free(&d->config);
	d->config = config;
}

static void take_signal(struct daemon *d)
{
	struct signalfd_siginfo info;

	if (read(d->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		reap(d);
	else if (info.ssi_signo == SIGHUP)
		read_config_again(d);
	else
		d->stopping = true;
}

static void run(struct daemon *d)
{
	struct pollfd pfds[2] = {
		{ .fd = d->signals, .events = POLLIN },
		{ .events = POLLIN },
	};

	while (!d->stopping) {
		/* With no room for more they wait. */
		pfds[1].fd = free_slot(d) ? d->sock : -1;
		if (poll(pfds, 2, -1) < 0 && errno != EINTR)
			err(1, "poll");
		/* First: who connects after SIGHUP finds the new rules. */
		if (pfds[0].revents)
			take_signal(d);
		else if (pfds[1].fd >= 0 && pfds[1].revents)
			accept_client(d);
	}
}

/*
 * Start
 */

/* See sd_listen_fds(3) */
static bool has_systemd_socket(void)
{
	const char *pid = getenv("LISTEN_PID"), *nr = getenv("LISTEN_FDS");
	int listens = 0, type = 0;
	socklen_t len = sizeof(int);

	if (!pid || !nr || atoi(pid) != getpid())
		return false;
	if (atoi(nr) != 1 ||
	    getsockopt(FIRST_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) ||
	    getsockopt(FIRST_FD, SOL_SOCKET, SO_TYPE, &type, &len) ||
	    !listens || type != SOCK_SEQPACKET)
		errx(1, "zcrxd takes one socket of systemd's, with ListenSequentialPacket=");

	return true;
}

/* Of a zcrxd that was killed */
static void remove_old(const char *path)
{
	struct stat st;

	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
}

/* Anybody may connect: the rules say who gets something. */
static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		errx(1, "%s: too long for a socket", path);
	strcpy(addr.sun_path, path);
	remove_old(path);
	if (sock < 0 || bind(sock, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(sock, BACKLOG) || chmod(path, 0666))
		err(1, "%s", path);

	return sock;
}

static void block_signals(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_SETMASK, &set, NULL);
	d->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (d->signals < 0)
		err(1, "signalfd");
}

/* For a client's process, which keeps the sockets that it steers. */
static void allow_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void start(struct daemon *d)
{
	allow_files();
	if (!config_read(&d->config, d->config_path))
		exit(1);
	d->clients = mmap(NULL, MAX_CLIENTS * sizeof(*d->clients),
			  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);
	if (d->clients == MAP_FAILED)
		err(1, "no memory for clients");
	block_signals(d);
	if (has_systemd_socket()) {
		d->sock = FIRST_FD;
		d->path = NULL;
	} else {
		d->sock = listen_at(d->path);
	}
}

static void parse_options(int argc, char **argv, struct daemon *d)
{
	static const struct option names[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "socket", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:s:h", names, NULL)) != -1) {
		switch (c) {
		case 'c':
			d->config_path = optarg;
			break;
		case 's':
			d->path = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			exit(0);
		default:
			exit(STATUS_USAGE);
		}
	}
	if (optind < argc)
		errx(STATUS_USAGE, "zcrxd takes no argument %s: zcrxd --help tells what it takes",
		     argv[optind]);
}

int main(int argc, char **argv)
{
	struct daemon d = {
		.config_path	= "/etc/zcrxd.conf",
		.path		= "/run/zcrxd.socket",
	};

	parse_options(argc, argv, &d);
	start(&d);
	run(&d);
	stop_clients(&d);
	if (d.path)
		unlink(d.path);
	config_free(&d.config);

	return 0;
}
