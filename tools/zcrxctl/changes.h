/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What has changed of a NIC's settings */
#ifndef ZCRXCTL_CHANGES_H
#define ZCRXCTL_CHANGES_H

#include <json-c/json.h>
#include <stddef.h>

#include "nic.h"

/**
 * struct change - of a setting
 * @setting: what it is called
 * @queue: the receive queue that it belongs to, or -1
 * @text: from what to what
 * @from: as it was, in JSON
 * @to: as it is
 */
struct change {
	const char		*setting;
	int			queue;
	char			text[80];
	struct json_object	*from;
	struct json_object	*to;
};

struct changes {
	struct change	*list;
	size_t		nr;
};

void changes_find(struct changes *changes, const struct zcrx_nic_info *before,
		  const struct zcrx_nic_info *after);
void changes_print(const struct changes *changes);
struct json_object *changes_json(const struct changes *changes);
void changes_free(struct changes *changes);

#endif
