// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * zcrxd and its clients, on a kernel and a NIC in memory: who gets what, and who
 * gets nothing. In the end the NIC is as it was. As root, to be other users.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../liburing-zcrx/src/clock.h"
#include "../../../liburing-zcrx/src/share.h"
#include "../../../liburing-zcrx/tests/fake_nic.h"
#include "../../../liburing-zcrx/tests/fake_ring.h"
#include "../../../liburing-zcrx/tests/ktap.h"
#include "../../../liburing-zcrx/tests/stream.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define WAIT_MS		10000

/* Users and groups that every Debian has */
#define ALLOWED		2	/* bin */
#define OTHER		3	/* sys */
#define OUTSIDER	65534	/* nobody */
#define GROUP		13	/* proxy */

/* From here on there are users of user namespaces. */
#define FIRST_SUBUID	100000

#define RULES		"allow eth0 bin sys @proxy\n"

int zcrxd_main(int argc, char **argv);

static char dir[] = "/tmp/zcrxd-XXXXXX";
static char config_path[64], socket_path[64], log_path[64];
static struct fake_settings found;
static pid_t daemon_pid;

/*
 * The daemon
 */

static bool write_config(const char *text)
{
	FILE *f = fopen(config_path, "w");

	return f && fputs(text, f) >= 0 && !fclose(f);
}

static void be_daemon(bool by_systemd)
{
	char *argv[] = { "zcrxd", "--config", config_path, "--socket",
			 socket_path, NULL };

	if (!freopen(log_path, "w", stderr))
		_exit(3);
	setvbuf(stderr, NULL, _IONBF, 0);
	if (by_systemd) {
		char pid[16];

		snprintf(pid, sizeof(pid), "%d", (int)getpid());
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", "1", 1);
	}
	alarm(KTAP_TIME_LIMIT);
	fake_ring_reset(FAKE_OURS);
	optind = 1;
	exit(zcrxd_main(5, argv));
}

static bool is_old(const struct stat *st, const struct stat *old)
{
	return st->st_ctim.tv_sec == old->st_ctim.tv_sec &&
	       st->st_ctim.tv_nsec == old->st_ctim.tv_nsec;
}

/* Another one than before, and for everybody */
static bool socket_is_there(const struct stat *old)
{
	int64_t end = zcrx_clock() + WAIT_MS;
	struct stat st;

	while (zcrx_clock() < end) {
		if (!stat(socket_path, &st) && !is_old(&st, old) &&
		    (st.st_mode & 0777) == 0666)
			return true;
		zcrx_pause();
	}

	return false;
}

/* What a case that failed has left */
static void kill_daemon(void)
{
	if (daemon_pid > 0 && !waitpid(daemon_pid, NULL, WNOHANG)) {
		kill(daemon_pid, SIGKILL);
		waitpid(daemon_pid, NULL, 0);
	}
}

static bool start(const char *config)
{
	struct stat old = { .st_size = 0 };

	kill_daemon();
	stat(socket_path, &old);
	fake_nic_reset();
	fake_nic->has_rules = true;
	found = fake_nic->set;
	fflush(stdout);
	if (!write_config(config))
		return false;
	daemon_pid = fork();
	if (!daemon_pid)
		be_daemon(false);

	return socket_is_there(&old);
}

static bool as_found(void)
{
	return !memcmp(&found, &fake_nic->set, sizeof(found)) &&
	       !fake_nic_nr_records();
}

static bool as_found_soon(void)
{
	int64_t end = zcrx_clock() + WAIT_MS;

	while (!as_found() && zcrx_clock() < end)
		zcrx_pause();

	return as_found();
}

static bool stop(void)
{
	int status = -1;

	kill(daemon_pid, SIGTERM);

	return waitpid(daemon_pid, &status, 0) == daemon_pid && !status &&
	       access(socket_path, F_OK) && as_found();
}

static bool log_says(const char *what)
{
	int64_t end = zcrx_clock() + WAIT_MS;
	char text[16384];
	size_t len;
	FILE *f;

	do {
		f = fopen(log_path, "r");
		if (!f)
			return false;
		len = fread(text, 1, sizeof(text) - 1, f);
		text[len] = '\0';
		fclose(f);
		if (strstr(text, what))
			return true;
		zcrx_pause();
	} while (zcrx_clock() < end);
	printf("# no \"%s\" in: %s\n", what, text);

	return false;
}

/*
 * Clients: processes of other users, which tell how it went, and wait.
 */

/**
 * struct result - what a client got
 * @ret: by zcrx_import()
 * @added: by zcrx_conn_add()
 * @why: the sentence
 */
struct result {
	int	ret;
	int	added;
	char	why[256];
};

/**
 * struct client - what a client asks for, and what comes of it
 * @uid: it is
 * @gid: likewise
 * @ifname: it asks for
 * @mem_size: likewise
 * @connects: it adds a connection
 * @pid: its process
 * @go: end that tells it to go
 * @result: what it got
 */
struct client {
	uid_t		uid;
	gid_t		gid;
	const char	*ifname;
	size_t		mem_size;
	bool		connects;
	pid_t		pid;
	int		go;
	struct result	result;
};

static int connect_to_daemon(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_path);
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr))) {
		close(sock);
		return -1;
	}

	return sock;
}

static bool become(uid_t uid, gid_t gid)
{
	return !setgroups(1, &gid) && !setresgid(OUTSIDER, OUTSIDER, OUTSIDER) &&
	       !setresuid(uid, uid, uid);
}

static void be_client(const struct client *c, int tell, int go)
{
	struct result result = { .ret = 0 };
	struct zcrx_queue *queue = NULL;
	struct zcrx_queue_opts opts;
	struct zcrx_conn *conn;
	struct stream stream;
	char byte;

	alarm(KTAP_TIME_LIMIT);
	fake_ring_reset(FAKE_OURS);
	fake.privileged = false;
	zcrx_queue_opts_init(&opts);
	opts.ifname = c->ifname;
	opts.mem_size = c->mem_size;
	if (!become(c->uid, c->gid))
		_exit(2);
	result.ret = zcrx_import(&queue, connect_to_daemon(), &opts);
	if (queue && c->connects && stream_connect(&stream, 1))
		result.added = zcrx_conn_add(queue, stream.fd, NULL, &conn);
	snprintf(result.why, sizeof(result.why), "%s", zcrx_error());
	if (write(tell, &result, sizeof(result)) < 0 ||
	    read(go, &byte, 1) < 0)
		_exit(3);
	_exit(zcrx_queue_close(queue) ? 4 : 0);
}

/* Returns what it got. */
static int ask(struct client *c)
{
	int tell[2], go[2];

	fflush(stdout);
	if (pipe(tell) || pipe(go))
		return 1;
	c->pid = fork();
	if (!c->pid) {
		close(go[1]);
		be_client(c, tell[1], go[0]);
	}
	close(tell[1]);
	close(go[0]);
	c->go = go[1];
	if (read(tell[0], &c->result, sizeof(c->result)) !=
	    sizeof(c->result))
		c->result.ret = 1;
	close(tell[0]);
	if (c->result.ret)
		printf("# %d: %s\n", c->result.ret, c->result.why);

	return c->result.ret;
}

static bool ends(struct client *c)
{
	int status = -1;

	close(c->go);

	return waitpid(c->pid, &status, 0) == c->pid && !status;
}

static bool refused(struct client *c, int ret, const char *why)
{
	int real = ask(c);

	return ends(c) && real == ret && strstr(c->result.why, why);
}

/*
 * Rules
 */

static void allowed(void)
{
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER, .ifname = "eth0",
			    .connects = true };

	EXPECT(start(RULES));
	EXPECT(!ask(&c) && !c.result.added);
	EXPECT(fake_nic->set.split == ZCRX_SPLIT_ON && !fake_nic_count(3));
	EXPECT(fake_nic->set.rules[0].used);
	EXPECT(ends(&c) && as_found_soon());
	EXPECT(log_says("user bin") && log_says("put back"));
	EXPECT(stop());
}

static void by_group(void)
{
	struct client c = { .uid = OUTSIDER, .gid = GROUP };

	EXPECT(start(RULES));
	EXPECT(!ask(&c) && !fake_nic_count(3));
	EXPECT(ends(&c) && stop());
}

/* Who is in a group may be as many others as it likes. */
static void no_user(void)
{
	struct client c = { .uid = FIRST_SUBUID, .gid = GROUP };

	EXPECT(start(RULES));
	EXPECT(refused(&c, -EACCES, "user 100000"));
	EXPECT(stop() && !fake_nic->nr_steps);
}

static void outsiders(void)
{
	struct client c = { .uid = OUTSIDER, .gid = OUTSIDER };

	EXPECT(start(RULES));
	c.ifname = "eth0";
	EXPECT(refused(&c, -EACCES, "user nobody to receive by eth0"));
	c.ifname = NULL;
	EXPECT(refused(&c, -EACCES, "user nobody"));
	EXPECT(!fake_nic->nr_steps);
	EXPECT(log_says("nobody") && stop());
}

static void other_interface(void)
{
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER, .ifname = "lo" };

	EXPECT(start(RULES));
	EXPECT(refused(&c, -EACCES, "user bin to receive by lo"));
	EXPECT(stop() && !fake_nic->nr_steps);
}

static void no_rules(void)
{
	struct client c = { .uid = 0, .gid = 0, .ifname = "eth0" };

	EXPECT(start("# allow eth0 bin\n\n"));
	EXPECT(refused(&c, -EACCES, "root"));
	EXPECT(stop() && !fake_nic->nr_steps);
}

static void rss(void)
{
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER, .connects = true };

	EXPECT(start(RULES));
	fake_nic->has_rules = false;
	EXPECT(!ask(&c) && c.result.added == 1 &&
	       strstr(c.result.why, "RSS table"));
	EXPECT(ends(&c) && as_found_soon());
	EXPECT(write_config(RULES "rss eth0\n"));
	kill(daemon_pid, SIGHUP);
	EXPECT(!ask(&c) && !c.result.added && fake_nic_count(3) == 1);
	EXPECT(ends(&c) && stop());
}

static void new_rules(void)
{
	struct client c = { .uid = OUTSIDER, .gid = OUTSIDER };

	EXPECT(start(RULES));
	EXPECT(write_config("allow eth0 nobody\nallow eth0 no-such-user\n"));
	kill(daemon_pid, SIGHUP);
	EXPECT(log_says("zcrxd.conf:2: there is no user no-such-user"));
	EXPECT(log_says("stay as they were"));
	EXPECT(refused(&c, -EACCES, "nobody"));
	EXPECT(write_config("allow eth0 nobody\n"));
	kill(daemon_pid, SIGHUP);
	EXPECT(!ask(&c));
	EXPECT(ends(&c) && stop());
}

static void wrong_rules(void)
{
	static const struct {
		const char *text, *why;
	} wrong[] = {
		{ "allow\n", "1: allow takes" },
		{ "\nallow eth0\n", "2: allow takes" },
		{ "allow eth0 @no-such-group\n", "no group no-such-group" },
		{ "allow interface-too-long bin\n", "interface-too-long" },
		{ "rss\n", "interface is missing" },
		{ "rss eth0 eth1\n", "too much in this line: eth1" },
		{ "queues 0\n", "not a number" },
		{ "queues 65\n", "more queues" },
		{ "memory 1\n", "not whole pages" },
		{ "memory 4X\n", "not a number: 4X" },
		{ "memory 99999999999G\n", "too much" },
		{ "deny eth0 bin\n", "neither allow nor rss" },
	};
	unsigned int i;
	int status;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT(write_config(wrong[i].text));
		fflush(stdout);
		daemon_pid = fork();
		if (!daemon_pid)
			be_daemon(false);
		EXPECT(waitpid(daemon_pid, &status, 0) == daemon_pid);
		EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 1);
		EXPECT(log_says(wrong[i].why));
	}
	EXPECT(access(socket_path, F_OK));
}

/*
 * Bounds
 */

static void memory(void)
{
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER,
			    .mem_size = (1 << 20) + 4096 };

	EXPECT(start(RULES "memory 1M\n"));
	EXPECT(refused(&c, -EDQUOT, "ask for less"));
	EXPECT(!fake_nic->nr_steps);
	c.mem_size = 1 << 20;
	EXPECT(!ask(&c) && ends(&c));
	c.mem_size = 0;
	EXPECT(!ask(&c) && ends(&c) && stop());
}

static void queues(void)
{
	struct client first = { .uid = ALLOWED, .gid = OUTSIDER };
	struct client more = first, other = { .uid = OTHER, .gid = OUTSIDER };

	EXPECT(start(RULES));
	EXPECT(!ask(&first));
	EXPECT(refused(&more, -EDQUOT, "bin has 1 queues"));
	EXPECT(!ask(&other) && !fake_nic_count(2) && !fake_nic_count(3));
	EXPECT(ends(&other));
	/* Anew at once */
	EXPECT(ends(&first) && !ask(&more));
	EXPECT(ends(&more) && stop());
}

/* The NIC's are as many. */
static void several(void)
{
	struct client c[4] = { { .uid = ALLOWED, .gid = OUTSIDER } };
	unsigned int i;

	EXPECT(start(RULES "queues 4\n"));
	for (i = 0; i < 4; i++) {
		c[i] = c[0];
		EXPECT(ask(&c[i]) == (i < 3 ? 0 : -ENOSPC));
	}
	EXPECT(strstr(c[3].result.why, "eth0"));
	/* Later ones have the ends that tell earlier ones to go. */
	for (i = 4; i > 0; i--)
		EXPECT(ends(&c[i - 1]));
	EXPECT(stop());
}

/*
 * Hostile clients
 */

/* Processes that serve clients, -1 if the kernel does not tell */
static int nr_served(void)
{
	char path[64];
	int nr = 0, pid;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", daemon_pid,
		 daemon_pid);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fscanf(f, "%d", &pid) == 1)
		nr++;
	fclose(f);

	return nr;
}

/* Connect a hundred times, as @nr users from @first on, and say nothing. */
static void be_silent(uid_t first, unsigned int nr, int ready)
{
	gid_t gid = GROUP;
	unsigned int i;

	if (setgroups(1, &gid))
		_exit(1);
	for (i = 0; i < 100; i++) {
		if (seteuid(first + i % nr))
			_exit(1);
		connect_to_daemon();
		if (seteuid(0))
			_exit(1);
	}
	if (write(ready, "y", 1) != 1)
		_exit(1);
	pause();
}

/* Nobody else is kept out, and the group makes no difference. */
static bool harmless(uid_t first, unsigned int nr, int max_served)
{
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER };
	int ready[2], served;
	char byte;
	pid_t pid;
	bool ok;

	if (pipe(ready))
		return false;
	pid = fork();
	if (!pid)
		be_silent(first, nr, ready[1]);
	close(ready[1]);
	ok = read(ready[0], &byte, 1) == 1 && !ask(&c);
	served = nr_served();
	ok = ends(&c) && ok && served <= max_served;
	kill(pid, SIGKILL);
	close(ready[0]);

	return waitpid(pid, NULL, 0) == pid && ok;
}

/* A user who may have a queue, and four more connections */
static void silent(void)
{
	EXPECT(start(RULES));
	EXPECT(harmless(OUTSIDER, 1, 1 + 1 + 4) && stop());
}

/* All the users that somebody may be, who have four together */
static void silent_crowd(void)
{
	EXPECT(start(RULES));
	EXPECT(harmless(FIRST_SUBUID, 100, 1 + 4) && stop());
}

static void garbage(void)
{
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER };
	int fds[ZCRX_SHARE_MAX_FDS], sock, i;
	struct zcrx_share_answer answer;

	EXPECT(start(RULES));
	/* No more than a user may have at a time, if they are slow to go */
	for (i = 0; i < 4; i++) {
		sock = connect_to_daemon();
		EXPECT(!zcrx_share_send(sock, RULES, 8, &sock, 1, 0));
		EXPECT(!zcrx_share_receive(sock, &answer, sizeof(answer), fds,
					   0));
		EXPECT(answer.ret == -EPROTO && *answer.text && fds[0] < 0);
		close(sock);
	}
	EXPECT(!fake_nic->nr_steps);
	EXPECT(!ask(&c) && ends(&c) && stop());
}

static void dies(void)
{
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER, .connects = true };

	EXPECT(start(RULES));
	EXPECT(!ask(&c) && !c.result.added);
	kill(c.pid, SIGKILL);
	EXPECT(!ends(&c) && as_found_soon());
	EXPECT(!ask(&c) && ends(&c) && stop());
}

static void never_reads(void)
{
	struct zcrx_share_request request = {
		.version	= ZCRX_SHARE_VERSION,
		.op		= ZCRX_SHARE_OPEN,
	};
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER };
	int sock, i, ret = 0;

	EXPECT(start("allow eth0 root bin\n"));
	sock = connect_to_daemon();
	for (i = 0; i < 100000 && !ret; i++) {
		ret = zcrx_share_send(sock, &request, sizeof(request), NULL, 0,
				      0);
		request.op = ZCRX_SHARE_UNSTEER;
	}
	EXPECT(ret && as_found_soon());
	close(sock);
	EXPECT(!ask(&c) && ends(&c) && stop());
}

/*
 * The daemon ends
 */

static void stopped(void)
{
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER, .connects = true };

	EXPECT(start(RULES));
	EXPECT(!ask(&c) && !c.result.added);
	EXPECT(stop());
	EXPECT(ends(&c));
}

/* By Ctrl-C, which is for the clients' processes, too: they put the NIC back. */
static void interrupted(void)
{
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER, .connects = true };
	int status = -1;

	EXPECT(start(RULES) && !setpgid(daemon_pid, daemon_pid));
	EXPECT(!ask(&c) && !c.result.added);
	kill(-daemon_pid, SIGINT);
	EXPECT(waitpid(daemon_pid, &status, 0) == daemon_pid && !status);
	EXPECT(as_found() && ends(&c));
}

static void killed(void)
{
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER, .connects = true };

	EXPECT(start(RULES));
	EXPECT(!ask(&c));
	kill(daemon_pid, SIGKILL);
	EXPECT(waitpid(daemon_pid, NULL, 0) == daemon_pid);
	EXPECT(as_found_soon() && ends(&c));
	/* Its socket is in nobody's way. */
	EXPECT(!access(socket_path, F_OK) && start(RULES) && !ask(&c));
	EXPECT(ends(&c) && stop());
}

/* A client that keeps the queue does not keep the daemon. */
static void stopped_in_spite(void)
{
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER };
	int status = -1;

	EXPECT(start(RULES));
	EXPECT(!ask(&c));
	fake_nic->provider[3] = ZCRX_PROVIDER_IO_URING;
	kill(daemon_pid, SIGTERM);
	EXPECT(waitpid(daemon_pid, &status, 0) == daemon_pid && !status);
	EXPECT(log_says("1 clients keep their queues") && ends(&c));
	fake_nic->provider[3] = ZCRX_PROVIDER_NONE;
	EXPECT(!zcrx_nic_reset(FAKE_NAME) && as_found());
}

/*
 * systemd
 */

static int listen_as_systemd(int type)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, type, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_path);
	unlink(socket_path);
	if (bind(sock, (struct sockaddr *)&addr, sizeof(addr)) ||
	    chmod(socket_path, 0666) || listen(sock, 4))
		return -1;

	return sock;
}

static bool start_by_systemd(int type)
{
	int sock = listen_as_systemd(type);

	if (sock < 0)
		return false;
	fake_nic_reset();
	found = fake_nic->set;
	fflush(stdout);
	daemon_pid = fork();
	if (!daemon_pid) {
		dup2(sock, 3);
		if (sock != 3)
			close(sock);
		be_daemon(true);
	}
	close(sock);

	return true;
}

static void by_systemd(void)
{
	struct client c = { .uid = ALLOWED, .gid = OUTSIDER };
	int status;

	EXPECT(write_config(RULES) && start_by_systemd(SOCK_SEQPACKET));
	EXPECT(!ask(&c) && ends(&c));
	kill(daemon_pid, SIGTERM);
	EXPECT(waitpid(daemon_pid, &status, 0) == daemon_pid && !status);
	/* It is systemd's. */
	EXPECT(!access(socket_path, F_OK) && as_found());

	EXPECT(start_by_systemd(SOCK_STREAM));
	EXPECT(waitpid(daemon_pid, &status, 0) == daemon_pid);
	EXPECT(WEXITSTATUS(status) == 1);
	EXPECT(log_says("ListenSequentialPacket"));
	unlink(socket_path);
}

static const struct ktap_case cases[] = {
	{ "a user who is allowed", allowed },
	{ "a group that is allowed", by_group },
	{ "a user whom nobody knows, in such a group", no_user },
	{ "users who are not", outsiders },
	{ "another interface", other_interface },
	{ "no rules", no_rules },
	{ "RSS table", rss },
	{ "new rules", new_rules },
	{ "wrong rules", wrong_rules },
	{ "too much memory", memory },
	{ "too many queues", queues },
	{ "as many as the NIC has", several },
	{ "clients that say nothing", silent },
	{ "many users' clients that say nothing", silent_crowd },
	{ "a client that talks garbage", garbage },
	{ "a client that dies", dies },
	{ "a client that never reads", never_reads },
	{ "the daemon is stopped", stopped },
	{ "the daemon is interrupted, with its clients' processes", interrupted },
	{ "the daemon is killed", killed },
	{ "the daemon is stopped, a client keeps its queue", stopped_in_spite },
	{ "started by systemd", by_systemd },
};

int main(void)
{
	char command[64];
	int ret;

	if (geteuid()) {
		printf("1..0 # SKIP not root, who can be other users\n");
		return 77;
	}
	if (!mkdtemp(dir) || chmod(dir, 0755))
		return 1;
	snprintf(config_path, sizeof(config_path), "%s/zcrxd.conf", dir);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", dir);
	snprintf(log_path, sizeof(log_path), "%s/log", dir);
	fake_nic_init();
	ret = ktap_run(cases, ARRAY_SIZE(cases));
	kill_daemon();
	fake_nic_exit();
	snprintf(command, sizeof(command), "rm -rf %s", dir);

	return system(command) ? 1 : ret;
}
