// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "probe.h"

#define TRACEFS		"/sys/kernel/tracing/"
#define EVENT		"zcrx_selftest/probe"

static bool write_file(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | flags);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);

	return ok;
}

/**
 * probe_start() - start counting
 * @function: of the kernel
 *
 * Return: whether the kernel can (CONFIG_KPROBE_EVENTS) and has the function.
 */
bool probe_start(const char *function)
{
	char def[128];

	if (access(TRACEFS "kprobe_events", F_OK))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);

	snprintf(def, sizeof(def), "p:" EVENT " %s\n", function);

	return write_file(TRACEFS "kprobe_events", O_APPEND, def) &&
	       write_file(TRACEFS "events/" EVENT "/enable", 0, "1");
}

/**
 * probe_stop() - stop counting
 */
void probe_stop(void)
{
	write_file(TRACEFS "events/" EVENT "/enable", 0, "0");
	write_file(TRACEFS "kprobe_events", O_APPEND, "-:" EVENT "\n");
}

/**
 * probe_hits() - how often was the function called since probe_start()?
 *
 * Return: the number, or -1.
 */
long probe_hits(void)
{
	FILE *f = fopen(TRACEFS "kprobe_profile", "r");
	long hits = -1, n, missed;
	char line[128], name[64];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %ld %ld", name, &n, &missed) == 3 &&
		    !strcmp(name, "probe"))
			hits = n + missed;
	if (f)
		fclose(f);

	return hits;
}
