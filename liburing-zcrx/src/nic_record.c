// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Records as files, and who holds them; nic_record.h tells how it works.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "nic_record.h"

#define RUN_DIR		"/run/zcrx"
#define NAME_PREFIX	"queue-"
#define NEW_SUFFIX	".new"

/* A lock is held while a NIC is being set up: moments */
#define LOCK_TRIES	1000
#define LOCK_PAUSE_NS	10000000L

/* A record of a large RSS table and thousands of filters is within this. */
#define MAX_SIZE	(16 << 20)

static int make_dir(const char *path)
{
	if (!mkdir(path, 0755) || errno == EEXIST)
		return 0;

	return zcrx_fail(-errno, "%s, where settings that are to be put back are recorded, can't be made: %s",
			 path, errno == EACCES ? "run as root" : strerror(errno));
}

/**
 * zcrx_record_dir() - open the directory of an interface
 * @ifindex: index of the interface, in this thread's network namespace
 * @create: make it if there is none
 *
 * Return: file descriptor, or a negative errno, with a sentence; -ENOENT: there
 * is none.
 */
int zcrx_record_dir(unsigned int ifindex, bool create)
{
	char path[64];
	struct stat ns;
	int ret;

	if (stat("/proc/thread-self/ns/net", &ns))
		return zcrx_fail(-errno, "the network namespace is not known: %s: is /proc mounted?",
				 strerror(errno));
	snprintf(path, sizeof(path), RUN_DIR "/%llu-%u",
		 (unsigned long long)ns.st_ino, ifindex);
	if (create) {
		ret = make_dir(RUN_DIR);
		if (!ret)
			ret = make_dir(path);
		if (ret)
			return ret;
	}
	ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret < 0)
		return zcrx_fail(-errno, "%s can't be opened: %s", path,
				 strerror(errno));

	return ret;
}

/**
 * zcrx_record_lock() - keep others from setting up an interface
 * @dir: directory of the interface
 * @ifname: for the sentence
 *
 * Return: 0 or a negative errno, with a sentence.
 */
int zcrx_record_lock(int dir, const char *ifname)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	unsigned int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (!flock(dir, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return zcrx_fail(-errno, "records of %s can't be locked: %s",
					 ifname, strerror(errno));
		nanosleep(&pause, NULL);
	}

	return zcrx_fail(-EBUSY, "another process has been setting up %s for 10 seconds and more: end it, or try again",
			 ifname);
}

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
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
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

	return 0;
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

static char *read_all(int fd)
{
	struct stat st;
	char *text;
	ssize_t n;

	if (fstat(fd, &st) || st.st_size > MAX_SIZE)
		return NULL;
	text = malloc(st.st_size + 1);
	if (!text)
		return NULL;
	n = read(fd, text, st.st_size);
	if (n != st.st_size || memchr(text, '\0', n)) {
		free(text);
		return NULL;
	}
	text[n] = '\0';

	return text;
}

/* A record's file without a lock is a dead owner's. */
static bool has_owner(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB))
		return true;
	flock(fd, LOCK_UN);

	return false;
}

static unsigned long queue_of(const char *name)
{
	return strtoul(name + strlen(NAME_PREFIX), NULL, 10);
}

static struct zcrx_record *load(int dir, const char *name)
{
	struct zcrx_record *rec = NULL;
	char *text;
	int fd;

	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	text = read_all(fd);
	if (text)
		rec = zcrx_record_parse(text);
	free(text);
	if (rec)
		rec->alive = has_owner(fd);
	close(fd);
	if (rec && rec->queue != queue_of(name)) {
		zcrx_record_free(rec);
		return NULL;
	}

	return rec;
}

static bool is_record(const char *name)
{
	size_t len = strlen(NAME_PREFIX);

	return !strncmp(name, NAME_PREFIX, len) &&
	       strspn(name + len, "0123456789") == strlen(name + len);
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

static int load_all(DIR *d, int dir, struct zcrx_records *recs)
{
	struct zcrx_record *rec;
	struct dirent *entry;
	int ret = 0;

	while (!ret && (entry = readdir(d))) {
		if (!is_record(entry->d_name))
			continue;
		rec = load(dir, entry->d_name);
		if (rec)
			ret = add(recs, rec);
		else
			snprintf(recs->garbled, sizeof(recs->garbled), "%.31s",
				 entry->d_name);
	}

	return ret;
}

/**
 * zcrx_records_load() - read all records of an interface
 * @dir: its directory, locked, or else they may change meanwhile
 * @recs: filled in
 *
 * Return: 0 or a negative errno, with a sentence. What is no record is left
 * out, and named in @recs.
 */
int zcrx_records_load(int dir, struct zcrx_records *recs)
{
	int fd, ret;
	DIR *d;

	memset(recs, 0, sizeof(*recs));
	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		ret = -errno;
		if (fd >= 0)
			close(fd);
		return zcrx_fail(ret, "records in " RUN_DIR " can't be read: %s",
				 strerror(-ret));
	}
	ret = load_all(d, dir, recs);
	closedir(d);
	if (ret)
		zcrx_records_free(recs);

	return ret;
}

void zcrx_records_free(struct zcrx_records *recs)
{
	unsigned int i;

	for (i = 0; i < recs->nr; i++)
		zcrx_record_free(recs->list[i]);
	free(recs->list);
	memset(recs, 0, sizeof(*recs));
}
