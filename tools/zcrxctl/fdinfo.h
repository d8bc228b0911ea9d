/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* An ifq's line in /proc/PID/fdinfo */
#ifndef ZCRXCTL_FDINFO_H
#define ZCRXCTL_FDINFO_H

#include <stdbool.h>
#include <stdint.h>

enum fdinfo_value {
	FDINFO_AREAS,
	FDINFO_CHUNKS,
	FDINFO_FREE,
	FDINFO_HELD,
	FDINFO_LENT_PAGES,
	FDINFO_LENT_NOW,
	FDINFO_INVALID_REFILLS,
	FDINFO_PAUSES,
	FDINFO_ENDS,
	FDINFO_STATE_CHANGES,
	FDINFO_ZC_BYTES,
	FDINFO_COPIES,
	FDINFO_COPIED_LINEAR,
	FDINFO_COPIED_PAGE,
	FDINFO_COPIED_FOREIGN,
	FDINFO_NR_VALUES,
};

/**
 * struct fdinfo_name - what a value is called
 * @key: by the kernel, and in JSON
 * @words: by people
 */
struct fdinfo_name {
	const char	*key;
	const char	*words;
};

extern const struct fdinfo_name fdinfo_names[FDINFO_NR_VALUES];

/**
 * struct fdinfo - an ifq, as the kernel tells it
 * @id: zcrx_id in its io_uring
 * @if_idx: index that the interface had when it was registered, 0: no NIC
 * @rxq: receive queue
 * @state: the kernel's word
 * @values: each enum fdinfo_value
 */
struct fdinfo {
	unsigned int	id;
	unsigned int	if_idx;
	unsigned int	rxq;
	char		state[16];
	int64_t		values[FDINFO_NR_VALUES];
};

bool fdinfo_parse(const char *line, struct fdinfo *info);
bool fdinfo_is_bound(const struct fdinfo *info);
const char *fdinfo_state_words(const struct fdinfo *info);
int64_t fdinfo_copied(const struct fdinfo *info);

#endif
