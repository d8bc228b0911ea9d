/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* All ifqs of the machine that we may see, each once */
#ifndef ZCRXCTL_SURVEY_H
#define ZCRXCTL_SURVEY_H

#include <json-c/json.h>
#include <net/if.h>

#include "proc.h"

/**
 * struct ifq - an ifq
 * @info: what the kernel counts, if there are holders; else interface and queue
 *	  only
 * @ifname: its interface; empty: it has none, or it is not known
 * @descriptors: of its queue, with the NIC; 0: it has none, or is not known
 * @ring: as in struct proc_ifq, of the first holder
 * @when: it was looked at, in seconds
 * @holders: files by which processes have it, none if we may not see them
 * @nr_holders: their number
 */
struct ifq {
	struct fdinfo	info;
	char		ifname[IF_NAMESIZE];
	unsigned int	descriptors;
	ino_t		ring;
	double		when;
	struct holder	*holders;
	size_t		nr_holders;
};

struct survey {
	struct ifq	*ifqs;
	size_t		nr;
};

void survey_make(struct survey *survey);
void survey_free(struct survey *survey);

bool ifq_is_same(const struct ifq *a, const struct ifq *b);
const char *ifq_interface_text(const struct ifq *ifq);
bool ifq_has_process(const struct ifq *ifq, pid_t pid);
struct json_object *ifq_json(const struct ifq *ifq);

#endif
