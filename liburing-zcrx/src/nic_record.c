// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Records as files, and who holds them; nic_record.h tells how it works.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "nic_record.h"

#define RUN_DIR		"/run/zcrx"
#define NAME_PREFIX	"queue-"
#define NEW_SUFFIX	".new"

/* SO_NETNS_COOKIE, newer than some distributions' headers */
#define NETNS_COOKIE	71

/* A lock is held while a NIC is being set up: moments */
#define LOCK_PATIENCE_MS	10000

/* A record of a large RSS table and thousands of filters is within this. */
#define MAX_SIZE	(16 << 20)

/* So many filters that have gone, beside those that are there, bother nobody. */
#define MAX_GONE	1000

/* Who makes a directory may find it removed at once, but not for ever. */
#define DIR_TRIES	100

static int make_dir(const char *path, mode_t mode)
{
	if (!mkdir(path, mode) || errno == EEXIST)
		return 0;

	return zcrx_fail(-errno, "%s, where settings that are to be put back are recorded, can't be made: %s",
			 path, errno == EACCES ? "run as root" : strerror(errno));
}

/* Who may open it may lock it, and so block everybody. */
static int check_dir(int dir, const char *path)
{
	struct stat st;

	if (fstat(dir, &st))
		return zcrx_fail(-errno, "%s can't be looked at: %s", path,
				 strerror(errno));
	if ((st.st_uid && st.st_uid != geteuid()) || st.st_mode & 077)
		return zcrx_fail(-EACCES, "%s is open to others than root: run as root, and remove it if no program uses the NIC",
				 path);

	return 0;
}

static int open_dir(const char *path)
{
	int dir, ret;

	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return zcrx_fail(-errno, "%s can't be opened: %s", path,
				 errno == EACCES ? "run as root" :
						   strerror(errno));
	ret = check_dir(dir, path);
	if (ret)
		close(dir);

	return ret ? ret : dir;
}

/**
 * zcrx_record_open_dir() - open a directory of records
 * @path: its path
 * @create: make it if there is none
 *
 * Return: file descriptor, or a negative errno, with a sentence; -ENOENT: there
 * is none; -EACCES: it is root's, or others may open it, too.
 */
int zcrx_record_open_dir(const char *path, bool create)
{
	unsigned int i;
	int ret;

	if (!create)
		return open_dir(path);
	for (i = 0; i < DIR_TRIES; i++) {
		ret = make_dir(path, 0700);
		if (!ret)
			ret = open_dir(path);
		if (ret != -ENOENT)
			break;
	}

	return ret;
}

/**
 * zcrx_netns_cookie() - which network namespace is it?
 * @fd: a socket
 * @cookie: set; unlike the number of its inode, it is never used again
 *
 * Return: 0 or a negative errno, with a sentence.
 */
int zcrx_netns_cookie(int fd, uint64_t *cookie)
{
	socklen_t len = sizeof(*cookie);

	if (getsockopt(fd, SOL_SOCKET, NETNS_COOKIE, cookie, &len))
		return zcrx_fail(-EOPNOTSUPP, "the network namespace is not known: Linux 5.14 or newer tells it: %s",
				 strerror(errno));

	return 0;
}

/**
 * zcrx_netns_own_cookie() - which network namespace are we in?
 * @cookie: set; this thread's
 *
 * Return: 0 or a negative errno, with a sentence.
 */
int zcrx_netns_own_cookie(uint64_t *cookie)
{
	int fd, ret;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return zcrx_fail(-errno, "the network namespace is not known: %s",
				 strerror(errno));
	ret = zcrx_netns_cookie(fd, cookie);
	close(fd);

	return ret;
}

/**
 * zcrx_record_hides() - are there no records that we might see?
 * @err: what zcrx_record_dir() or zcrx_record_open_dir() returned
 *
 * Return: true if there is no directory, only root may know, or there can't be one.
 */
bool zcrx_record_hides(int err)
{
	return err == -ENOENT || err == -EACCES || err == -EOPNOTSUPP;
}

/**
 * zcrx_record_dir() - open the directory of an interface
 * @ifindex: index of the interface, in this thread's network namespace
 * @create: make it if there is none
 *
 * Return: as zcrx_record_open_dir(); -EOPNOTSUPP: the kernel is too old.
 */
int zcrx_record_dir(unsigned int ifindex, bool create)
{
	uint64_t cookie;
	char path[64];
	int ret = zcrx_netns_own_cookie(&cookie);

	if (!ret && create)
		ret = make_dir(RUN_DIR, 0755);
	if (ret)
		return ret;
	snprintf(path, sizeof(path), RUN_DIR "/%llu-%u",
		 (unsigned long long)cookie, ifindex);

	return zcrx_record_open_dir(path, create);
}

/**
 * zcrx_record_remove_dir() - remove a directory if there is no record in it
 * @dir: the directory, locked
 *
 * Who waits for the lock is told -ESTALE by zcrx_record_lock().
 */
void zcrx_record_remove_dir(int dir)
{
	char link[48], path[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", dir);
	len = readlink(link, path, sizeof(path) - 1);
	if (len <= 0)
		return;
	path[len] = '\0';
	unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

static int check_linked(int dir, const char *ifname)
{
	struct stat st;

	if (!fstat(dir, &st) && st.st_nlink)
		return 0;
	flock(dir, LOCK_UN);

	return zcrx_fail(-ESTALE, "records of %s are elsewhere by now", ifname);
}

/**
 * zcrx_record_lock() - keep others from setting up an interface
 * @dir: directory of the interface
 * @ifname: for the sentence
 *
 * Return: 0 or a negative errno, with a sentence; -ESTALE: the directory has
 * been removed, and is to be opened anew.
 */
int zcrx_record_lock(int dir, const char *ifname)
{
	int64_t deadline = zcrx_clock() + LOCK_PATIENCE_MS;

	while (flock(dir, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return zcrx_fail(-errno, "records of %s can't be locked: %s",
					 ifname, strerror(errno));
		if (zcrx_clock() >= deadline)
			return zcrx_fail(-EBUSY, "another process has been setting up %s for 10 seconds and more: end it, or try again",
					 ifname);
		zcrx_pause();
	}

	return check_linked(dir, ifname);
}

/**
 * zcrx_record_unlock() - let others set up the interface
 * @dir: directory of the interface, locked
 */
void zcrx_record_unlock(int dir)
{
	flock(dir, LOCK_UN);
}

static int write_all(int fd, const char *text)
{
	size_t len = strlen(text);
	ssize_t n;

	while (len) {
		n = write(fd, text, len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n < 0)
			continue;
		text += n;
		len -= n;
	}

	return 0;
}

/* Writes a new file, and locks it before anybody can see it by its name. */
static int write_new(int dir, const char *name, const char *text)
{
	int fd, ret;

	unlinkat(dir, name, 0);
	fd = openat(dir, name,
		    O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ret = write_all(fd, text);
	if (!ret && flock(fd, LOCK_EX | LOCK_NB))
		ret = -errno;
	if (ret) {
		close(fd);
		return ret;
	}

	return fd;
}

/**
 * zcrx_record_save() - write a record, which becomes this process'
 * @dir: directory of the interface, locked
 * @rec: the record
 *
 * What the file held before stays in it until all is written.
 *
 * Return: 0 or a negative errno, with a sentence.
 */
int zcrx_record_save(int dir, struct zcrx_record *rec)
{
	char name[32], new[40], *text = zcrx_record_print(rec);
	int fd, ret = 0;

	snprintf(name, sizeof(name), NAME_PREFIX "%u", rec->queue);
	snprintf(new, sizeof(new), "%s" NEW_SUFFIX, name);
	fd = text ? write_new(dir, new, text) : -ENOMEM;
	free(text);
	if (fd >= 0 && renameat(dir, new, dir, name)) {
		ret = -errno;
		close(fd);
	}
	if (fd < 0)
		ret = fd;
	if (ret) {
		unlinkat(dir, new, 0);
		return zcrx_fail(ret, "what is to be put back of queue %u of %s can't be recorded in " RUN_DIR ": %s",
				 rec->queue, rec->ifname,
				 ret == -EACCES ? "run as root" : strerror(-ret));
	}
	if (rec->lock >= 0)
		close(rec->lock);
	rec->lock = fd;
	rec->nr_gone = 0;
	rec->torn = false;

	return 0;
}

/*
 * Not if somebody has taken the file for nobody's, and deleted it; nor if the
 * program has closed it, for the number is another file's then.
 */
static bool is_in_place(int dir, const struct zcrx_record *rec)
{
	struct stat ours, there;
	char name[32];

	snprintf(name, sizeof(name), NAME_PREFIX "%u", rec->queue);

	return !fstat(rec->lock, &ours) &&
	       !fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static bool can_append(int dir, const struct zcrx_record *rec)
{
	return !rec->torn && rec->nr_gone <= rec->nr_rules + MAX_GONE &&
	       is_in_place(dir, rec);
}

static int append(struct zcrx_record *rec, const char *line)
{
	int ret = write_all(rec->lock, line);

	rec->torn = ret;

	return ret;
}

/**
 * zcrx_record_save_rule() - write that a filter has come, or gone
 * @dir: directory of the interface, locked
 * @rec: the record, this process', with the filter or without it
 * @flow: what the filter matches
 *
 * As zcrx_record_save(), but a line is enough, as a rule.
 *
 * Return: 0 or a negative errno, with a sentence.
 */
int zcrx_record_save_rule(int dir, struct zcrx_record *rec,
			  const struct zcrx_flow *flow)
{
	bool there = zcrx_record_find_rule(rec, flow);
	char line[ZCRX_RULE_SIZE];

	rec->nr_gone += !there;
	zcrx_record_print_rule(line, flow, there);
	if (can_append(dir, rec) && !append(rec, line))
		return 0;

	return zcrx_record_save(dir, rec);
}

/**
 * zcrx_record_remove() - all is put back: forget a record
 * @dir: directory of the interface, locked
 * @rec: the record, one's own or a dead owner's
 *
 * Return: 0 or a negative errno, with a sentence.
 */
int zcrx_record_remove(int dir, struct zcrx_record *rec)
{
	char name[32];

	snprintf(name, sizeof(name), NAME_PREFIX "%u", rec->queue);
	if (unlinkat(dir, name, 0) && errno != ENOENT)
		return zcrx_fail(-errno, "the record of queue %u of %s can't be removed: %s",
				 rec->queue, rec->ifname, strerror(errno));

	return 0;
}

static int read_text(int fd, char *text, size_t size)
{
	ssize_t n = read(fd, text, size);

	if (n < 0)
		return -errno;
	text[n] = '\0';

	return (size_t)n != size || strlen(text) != size ? -EBADMSG : 0;
}

static int read_all(int fd, char **textp)
{
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > MAX_SIZE)
		return -EBADMSG;
	*textp = malloc(st.st_size + 1);
	if (!*textp)
		return -ENOMEM;
	ret = read_text(fd, *textp, st.st_size);
	if (ret)
		free(*textp);

	return ret;
}

/* A record's file without a lock is a dead owner's. */
static bool has_owner(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB))
		return true;
	flock(fd, LOCK_UN);

	return false;
}

static unsigned int queue_of(const char *name)
{
	return strtoul(name + strlen(NAME_PREFIX), NULL, 10);
}

static int load_fd(int fd, const char *name, struct zcrx_record **recp)
{
	char *text = NULL;
	int ret = read_all(fd, &text);

	if (ret)
		return ret;
	ret = zcrx_record_parse(text, recp);
	free(text);
	if (ret)
		return ret;
	if ((*recp)->queue != queue_of(name)) {
		zcrx_record_free(*recp);
		return -EBADMSG;
	}
	(*recp)->alive = (*recp)->kept || has_owner(fd);

	return 1;
}

/* 1: a record; 0: there is none; -EBADMSG: that is none; or another negative
 * errno: it can't be told.
 */
static int load(int dir, const char *name, struct zcrx_record **recp)
{
	int fd, ret;

	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ELOOP)
		return -EBADMSG;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	ret = load_fd(fd, name, recp);
	close(fd);

	return ret;
}

static bool is_named(const char *name, const char *suffix)
{
	char exact[32];

	if (strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)))
		return false;
	snprintf(exact, sizeof(exact), NAME_PREFIX "%u%s", queue_of(name),
		 suffix);

	return !strcmp(name, exact);
}

static int add(struct zcrx_records *recs, struct zcrx_record *rec)
{
	struct zcrx_record **list;

	list = realloc(recs->list, (recs->nr + 1) * sizeof(*list));
	if (!list) {
		zcrx_record_free(rec);
		return zcrx_fail(-ENOMEM, "no memory for records of a NIC");
	}
	recs->list = list;
	list[recs->nr++] = rec;

	return 0;
}

static int load_one(int dir, const char *name, struct zcrx_records *recs)
{
	struct zcrx_record *rec;
	int ret = load(dir, name, &rec);

	if (ret > 0)
		return add(recs, rec);
	if (ret == -EBADMSG) {
		snprintf(recs->garbled, sizeof(recs->garbled), "%.31s", name);
		return 0;
	}

	return ret ? zcrx_fail(ret, "record %s in " RUN_DIR " can't be read: %s",
			       name, strerror(-ret)) : 0;
}

/* The directory may have been removed meanwhile: no records. */
static int load_all(DIR *d, int dir, const struct zcrx_record *own,
		    struct zcrx_records *recs)
{
	struct dirent *entry;
	int ret = 0;

	while (!ret && (errno = 0, entry = readdir(d)))
		if (is_named(entry->d_name, "") &&
		    !(own && own->queue == queue_of(entry->d_name)))
			ret = load_one(dir, entry->d_name, recs);
	if (!ret && errno && errno != ENOENT)
		ret = zcrx_fail(-errno, "records in " RUN_DIR " can't be read: %s",
				strerror(errno));

	return ret;
}

static DIR *open_list(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);

	return d;
}

/**
 * zcrx_records_sweep() - remove what owners began to write when they died
 * @dir: directory of an interface, locked
 */
void zcrx_records_sweep(int dir)
{
	DIR *d = open_list(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (is_named(entry->d_name, NEW_SUFFIX))
			unlinkat(dir, entry->d_name, 0);
	if (d)
		closedir(d);
}

/**
 * zcrx_records_load() - read the records of an interface
 * @dir: its directory, locked, or else they may change meanwhile
 * @own: left out; or NULL
 * @recs: filled in
 *
 * Return: 0 or a negative errno, with a sentence: a record can't be read. What
 * is no record is left out, and named in @recs.
 */
int zcrx_records_load(int dir, const struct zcrx_record *own,
		      struct zcrx_records *recs)
{
	DIR *d = open_list(dir);
	int ret;

	memset(recs, 0, sizeof(*recs));
	if (!d)
		return zcrx_fail(-errno, "records in " RUN_DIR " can't be read: %s",
				 strerror(errno));
	ret = load_all(d, dir, own, recs);
	closedir(d);
	if (ret)
		zcrx_records_free(recs);

	return ret;
}

/**
 * zcrx_records_free() - free what zcrx_records_load() allocated
 * @recs: the records
 */
void zcrx_records_free(struct zcrx_records *recs)
{
	unsigned int i;

	for (i = 0; i < recs->nr; i++)
		zcrx_record_free(recs->list[i]);
	free(recs->list);
	memset(recs, 0, sizeof(*recs));
}
