// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pattern.h"
#include "proc.h"

#define NOBODY		65534
#define MAX_FDS		8
#define PEER_START_MS	5000

/* A line "NAME: NUMBER kB" of a file, or -1 */
static long read_kib(const char *path, const char *name)
{
	FILE *f = fopen(path, "r");
	size_t len = strlen(name);
	char line[128];
	long kib = -1;

	while (f && kib < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			kib = atol(line + len + 1);
	if (f)
		fclose(f);

	return kib;
}

/**
 * proc_pinned_kib() - pages that are pinned for us for long
 *
 * Return: in KiB, or -1.
 */
long proc_pinned_kib(void)
{
	return read_kib("/proc/self/status", "VmPin");
}

/**
 * proc_mem_available_kib() - memory that there is for all
 *
 * Return: in KiB, or -1.
 */
long proc_mem_available_kib(void)
{
	return read_kib("/proc/meminfo", "MemAvailable");
}

/**
 * proc_close_files() - close what was inherited, but stdin, stdout and stderr
 */
void proc_close_files(void)
{
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
}

/**
 * proc_drop_capability() - do without a capability
 * @cap: which
 *
 * Return: 0 or a negative error.
 */
int proc_drop_capability(unsigned int cap)
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &hdr, data))
		return -errno;
	data[cap / 32].effective &= ~(1U << cap % 32);

	return syscall(SYS_capset, &hdr, data) ? -errno : 0;
}

/**
 * proc_become_nobody() - have another user's id, and no capability
 *
 * Return: 0 or a negative error.
 */
int proc_become_nobody(void)
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[2] = {};

	if (setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY) ||
	    syscall(SYS_capset, &hdr, none))
		return -errno;

	return 0;
}

/* Room for the descriptors of a message */
union fd_message {
	struct cmsghdr	hdr;
	char		room[CMSG_SPACE(MAX_FDS * sizeof(int))];
};

/**
 * proc_send_fds() - hand files to another process
 * @sock: a unix socket
 * @fds: their descriptors
 * @nr: their number
 *
 * Return: 0 or a negative error.
 */
int proc_send_fds(int sock, const int *fds, unsigned int nr)
{
	union fd_message control = {
		.hdr.cmsg_len	= CMSG_LEN(nr * sizeof(int)),
		.hdr.cmsg_level	= SOL_SOCKET,
		.hdr.cmsg_type	= SCM_RIGHTS,
	};
	struct iovec iov = { .iov_base = "", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov	= &iov,
		.msg_iovlen	= 1,
		.msg_control	= &control,
		.msg_controllen	= CMSG_SPACE(nr * sizeof(int)),
	};

	memcpy(CMSG_DATA(&control.hdr), fds, nr * sizeof(int));

	return sendmsg(sock, &msg, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/**
 * proc_receive_fds() - the other end of proc_send_fds()
 * @sock: a unix socket
 * @fds: filled in
 * @nr: how many are expected
 *
 * Return: 0 or a negative error.
 */
int proc_receive_fds(int sock, int *fds, unsigned int nr)
{
	union fd_message control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov	= &iov,
		.msg_iovlen	= 1,
		.msg_control	= &control,
		.msg_controllen	= sizeof(control),
	};

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -EPIPE;
	if (!msg.msg_controllen ||
	    control.hdr.cmsg_len != CMSG_LEN(nr * sizeof(int)))
		return -EPROTO;
	memcpy(fds, CMSG_DATA(&control.hdr), nr * sizeof(int));

	return 0;
}

static bool loopback_answers(void)
{
	const char *port = getenv("REMOTE_PORT") ?: PATTERN_PORT;
	struct sockaddr_in addr = {
		.sin_family		= AF_INET,
		.sin_port		= htons(atoi(port)),
		.sin_addr.s_addr	= htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answers;

	answers = !connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	close(fd);

	return answers;
}

/* Never returns */
static void run_peer(void)
{
	char self[PATH_MAX] = "", path[2 * PATH_MAX];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0) {
		snprintf(path, sizeof(path), "%s:%s", dirname(self),
			 getenv("PATH") ?: "");
		setenv("PATH", path, 1);
	}
	execlp("zcrx_peer", "zcrx_peer",
	       getenv("REMOTE_PORT") ?: PATTERN_PORT, NULL);
	_exit(127);
}

/**
 * proc_start_peer() - have a peer on this machine, to be found at 127.0.0.1
 *
 * The program is beside ours or in PATH.
 *
 * Return: the process, to be ended by proc_kill(); 0 if there is a peer already,
 * or a negative error.
 */
pid_t proc_start_peer(void)
{
	unsigned int ms;
	pid_t pid;

	if (loopback_answers())
		return 0;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		run_peer();

	for (ms = 0; ms < PEER_START_MS; ms += 10) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return -ENOENT;
		if (loopback_answers())
			return pid;
		proc_sleep_ms(10);
	}
	proc_kill(pid);

	return -ETIME;
}

/**
 * proc_kill() - end a process, at once, and wait until it is gone
 * @pid: it; nothing is done if that isn't one
 */
void proc_kill(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/**
 * proc_sleep_ms() - sleep
 * @ms: for so long
 */
void proc_sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

/**
 * proc_booted_with() - is there such a word in the kernel's command line?
 * @pattern: the word, with wildcards
 *
 * Return: whether there is.
 */
bool proc_booted_with(const char *pattern)
{
	char word[256];
	bool found = false;
	FILE *f;

	f = fopen("/proc/cmdline", "r");
	if (!f)
		return false;
	while (!found && fscanf(f, "%255s", word) == 1)
		found = !fnmatch(pattern, word, 0);
	fclose(f);

	return found;
}

/**
 * proc_bounces() - does all of DMA go through bounce buffers?
 *
 * Return: whether the kernel was booted so.
 */
bool proc_bounces(void)
{
	return proc_booted_with("swiotlb=force") ||
	       proc_booted_with("swiotlb=*,force");
}
