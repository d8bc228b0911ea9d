/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRXCTL_COMMANDS_H
#define ZCRXCTL_COMMANDS_H

#include <stdbool.h>

/* Exit statuses */
#define STATUS_OK	0
#define STATUS_MISSING	1
#define STATUS_USAGE	2

/**
 * struct options - of the command line
 * @json: print JSON
 * @count: how often, 0: for ever
 * @what: argument of the command, or NULL
 * @queue: a receive queue, -1: any
 */
struct options {
	bool		json;
	unsigned int	count;
	const char	*what;
	int		queue;
};

/* Each returns the exit status. */
int list_ifqs(const struct options *options);
int show_ifqs(const struct options *options);
int watch_ifqs(const struct options *options);
int trace_copies(const struct options *options);
int doctor(const struct options *options);
int setup_nic(const struct options *options);
int reset_nics(const struct options *options);

#endif
