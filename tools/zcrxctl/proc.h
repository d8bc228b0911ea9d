/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* The ifqs that are found in /proc */
#ifndef ZCRXCTL_PROC_H
#define ZCRXCTL_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "fdinfo.h"

/**
 * struct holder - a file by which a process has an ifq
 * @pid: the process
 * @fd: its file descriptor
 * @id: zcrx_id in that io_uring, 0 if it is an exported file
 * @exported: it is one, and no io_uring
 * @name: of the process
 */
struct holder {
	pid_t		pid;
	int		fd;
	unsigned int	id;
	bool		exported;
	char		name[16];
};

/**
 * struct proc_ifq - a line of a file that a process has open
 * @info: the line
 * @holder: whose
 * @ring: a number that this io_uring has alone, or 0
 * @is_here: the process is in our network namespace
 * @when: it was read, in seconds
 */
struct proc_ifq {
	struct fdinfo	info;
	struct holder	holder;
	ino_t		ring;
	bool		is_here;
	double		when;
};

struct proc_ifqs {
	struct proc_ifq	*list;
	size_t		nr;
};

const char *proc_root(void);
double proc_now(void);
bool proc_has_process(pid_t pid);
bool proc_is_here(pid_t pid);
void proc_clean_name(char name[16]);
bool proc_has_file(const struct holder *holder, ino_t ring);
void proc_find(struct proc_ifqs *ifqs);

#endif
