/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What zcrxctl doctor finds */
#ifndef ZCRXCTL_CHECKS_H
#define ZCRXCTL_CHECKS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "nic.h"

enum check_status {
	CHECK_OK,
	CHECK_NOTE,		/* works, and could be better */
	CHECK_UNKNOWN,
	CHECK_MISSING,
};

/**
 * struct check - a finding
 * @about: interface, or "kernel"
 * @name: short, for programs
 * @status: whether zero copy works with it
 * @text: what it is
 * @mend: command or setting that mends it, or empty
 */
struct check {
	char			about[16];
	const char		*name;
	enum check_status	status;
	char			text[160];
	char			mend[160];
};

struct checks {
	struct check	*list;
	size_t		nr;
	const char	*about;		/* of the next one */
};

/* What doctor_kernel() learned that matters for NICs */
struct kernel_can {
	bool	zcrx;
	bool	rbuf;
};

void check(struct checks *checks, const char *name, enum check_status status,
	   const char *format, ...) __attribute__((format(printf, 4, 5)));
void check_mend(struct checks *checks, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
unsigned int checks_missing(const struct checks *checks, const char *about);

bool nic_has_filters(const struct zcrx_nic_info *nic);

void doctor_kernel(struct checks *checks, struct kernel_can *can);
int doctor_nic(struct checks *checks, const char *ifname,
	       const struct kernel_can *can);

#endif
