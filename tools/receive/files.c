// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Files of which the program knows nothing. It may close them, nonetheless, and
 * have others of their numbers: so each is known by its inode, too.
 *
 * Not in memory that is wiped on fork: a child needs it, to close them.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

static struct {
	int		fd;
	struct stat	file;
} files[NR_FILES] = {
	[FILE_RING]	= { .fd = -1 },
	[FILE_RECORDS]	= { .fd = -1 },
	[FILE_RECORD]	= { .fd = -1 },
};

/**
 * files_keep() - a file is ours
 * @which: the file
 * @fd: its number
 */
void files_keep(enum own_file which, int fd)
{
	files[which].fd = -1;
	fstat(fd, &files[which].file);
	files[which].fd = fd;
}

/**
 * files_forget() - it may be closed
 * @which: the file
 */
void files_forget(enum own_file which)
{
	files[which].fd = -1;
}

/**
 * files_has() - is it still there, of its number?
 * @which: the file
 *
 * Return: whether it is.
 */
bool files_has(enum own_file which)
{
	const struct stat *file = &files[which].file;
	int fd = files[which].fd;
	struct stat now;

	return fd >= 0 && !fstat(fd, &now) && now.st_dev == file->st_dev &&
	       now.st_ino == file->st_ino;
}

/**
 * files_among() - is one of these numbers not the program's?
 * @first: the first of them
 * @last: the last
 *
 * Return: the lowest that is not, or -1.
 */
int files_among(unsigned int first, unsigned int last)
{
	int lowest = -1, fd, i;

	for (i = 0; i < NR_FILES; i++) {
		fd = files[i].fd;
		if (fd < 0 || (unsigned int)fd < first ||
		    (unsigned int)fd > last)
			continue;
		if ((lowest < 0 || fd < lowest) && files_has(i))
			lowest = fd;
	}

	return lowest;
}

/**
 * files_close_all() - they are somebody else's: a forked child's parent
 */
void files_close_all(void)
{
	int fd, i;

	for (i = 0; i < NR_FILES; i++) {
		fd = files_has(i) ? files[i].fd : -1;
		files[i].fd = -1;
		if (fd >= 0)
			close(fd);
	}
}
