// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "grow.h"
#include "proc.h"

/*
 * While an io_uring is busy, its fdinfo leaves ifqs out. Those that have none
 * look the same, and cost as many passes.
 */
#define PASSES		40
#define PASS_NS		2000000

/**
 * struct file - a file that may have ifqs
 * @holder: whose
 * @ring: as in struct proc_ifq
 * @is_here: likewise
 * @done: its ifqs are known
 */
struct file {
	struct holder	holder;
	ino_t		ring;
	bool		is_here;
	bool		done;
};

struct files {
	struct file	*list;
	size_t		nr;
};

/**
 * proc_root() - where is /proc?
 *
 * Return: a directory; another one in tests.
 */
const char *proc_root(void)
{
	return getenv("ZCRXCTL_PROC") ?: "/proc";
}

/* Fails for a process that is gone, or is none of ours to look at. */
static ino_t inode_of(pid_t pid, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%d/%s", proc_root(), pid, name);

	return stat(path, &st) ? 0 : st.st_ino;
}

static ino_t our_netns(void)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/self/ns/net", proc_root());

	return stat(path, &st) ? 0 : st.st_ino;
}

/**
 * proc_has_process() - is there such a process?
 * @pid: its number
 *
 * Return: whether there is.
 */
bool proc_has_process(pid_t pid)
{
	return inode_of(pid, "");
}

/**
 * proc_is_here() - is a process in our network namespace?
 * @pid: the process
 *
 * Return: whether it is known to be.
 */
bool proc_is_here(pid_t pid)
{
	ino_t netns = our_netns();

	return netns && inode_of(pid, "ns/net") == netns;
}

/**
 * proc_clean_name() - make the name of a process fit for a terminal
 * @name: whatever the process calls itself; control characters become "?"
 */
void proc_clean_name(char name[16])
{
	for (; *name; name++)
		if (iscntrl((unsigned char)*name))
			*name = '?';
}

static void read_name(pid_t pid, char name[16])
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%d/comm", proc_root(), pid);
	file = fopen(path, "r");
	if (!file)
		return;
	if (fscanf(file, "%15[^\n]", name) != 1)
		name[0] = '\0';
	fclose(file);
	proc_clean_name(name);
}

/* An io_uring, or an ifq's exported file */
static bool has_ifqs(const struct holder *holder, bool *exported)
{
	char path[PATH_MAX], target[64];
	ssize_t len;

	snprintf(path, sizeof(path), "%s/%d/fd/%d", proc_root(), holder->pid,
		 holder->fd);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = '\0';
	*exported = !strcmp(target, "anon_inode:[zcrx]");

	return *exported || !strcmp(target, "anon_inode:[io_uring]");
}

/* An io_uring has an inode of its own; exported files share one. */
static ino_t ring_of(const struct holder *holder)
{
	char name[32];

	if (holder->exported)
		return 0;
	snprintf(name, sizeof(name), "fd/%d", holder->fd);

	return inode_of(holder->pid, name);
}

/**
 * proc_has_file() - has a process still the file?
 * @holder: the process, and the file as it was
 * @ring: as it was, too
 *
 * Return: whether it has; another one can have got its number.
 */
bool proc_has_file(const struct holder *holder, ino_t ring)
{
	bool exported;

	return has_ifqs(holder, &exported) && exported == holder->exported &&
	       ring_of(holder) == ring;
}

static void add_file(struct files *files, pid_t pid, int fd, ino_t netns)
{
	struct file file = { .holder = { .pid = pid, .fd = fd } };

	if (!has_ifqs(&file.holder, &file.holder.exported))
		return;
	read_name(pid, file.holder.name);
	file.ring = ring_of(&file.holder);
	file.is_here = inode_of(pid, "ns/net") == netns;
	files->list = grow(files->list, files->nr, sizeof(file));
	files->list[files->nr++] = file;
}

static void find_files_of(struct files *files, pid_t pid, ino_t netns)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%d/fd", proc_root(), pid);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			add_file(files, pid, atoi(entry->d_name), netns);
	closedir(dir);
}

static void find_files(struct files *files)
{
	ino_t netns = our_netns();
	struct dirent *entry;
	DIR *dir = opendir(proc_root());

	if (!dir)
		err(1, "cannot read %s", proc_root());
	while ((entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			find_files_of(files, atoi(entry->d_name), netns);
	closedir(dir);
}

/**
 * proc_now() - what time is it?
 *
 * Return: seconds, since some time in the past.
 */
double proc_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void add_ifq(struct proc_ifqs *ifqs, const struct file *file,
		    const struct fdinfo *info)
{
	struct proc_ifq *ifq;

	ifqs->list = grow(ifqs->list, ifqs->nr, sizeof(*ifq));
	ifq = &ifqs->list[ifqs->nr++];
	ifq->info = *info;
	ifq->holder = file->holder;
	ifq->holder.id = info->id;
	ifq->ring = file->ring;
	ifq->is_here = file->is_here;
	ifq->when = proc_now();
}

static void read_file(struct proc_ifqs *ifqs, struct file *file)
{
	char path[PATH_MAX], *line = NULL;
	struct fdinfo info;
	size_t size = 0;
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%d/fdinfo/%d", proc_root(),
		 file->holder.pid, file->holder.fd);
	stream = fopen(path, "r");
	if (!stream) {
		file->done = true;
		return;
	}
	while (getline(&line, &size, stream) > 0) {
		if (!fdinfo_parse(line, &info))
			continue;
		add_ifq(ifqs, file, &info);
		file->done = true;
	}
	free(line);
	fclose(stream);
}

/* Returns whether there is something to read again. */
static bool read_files(struct proc_ifqs *ifqs, struct files *files)
{
	bool again = false;
	size_t i;

	for (i = 0; i < files->nr; i++) {
		if (!files->list[i].done)
			read_file(ifqs, &files->list[i]);
		again |= !files->list[i].done;
	}

	return again;
}

static int compare(const void *a, const void *b)
{
	const struct holder *x = &((const struct proc_ifq *)a)->holder;
	const struct holder *y = &((const struct proc_ifq *)b)->holder;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	if (x->fd != y->fd)
		return x->fd < y->fd ? -1 : 1;

	return x->id < y->id ? -1 : x->id > y->id;
}

/**
 * proc_find() - find the ifqs of all processes that we may look at
 * @ifqs: filled in, by process, file and number
 *
 * One that several files have comes several times.
 */
void proc_find(struct proc_ifqs *ifqs)
{
	const struct timespec pause = { .tv_nsec = PASS_NS };
	struct files files = { .nr = 0 };
	int pass;

	*ifqs = (struct proc_ifqs){ .nr = 0 };
	find_files(&files);
	for (pass = 0; read_files(ifqs, &files) && pass < PASSES; pass++)
		nanosleep(&pause, NULL);
	free(files.list);
	if (ifqs->nr)
		qsort(ifqs->list, ifqs->nr, sizeof(*ifqs->list), compare);
}
