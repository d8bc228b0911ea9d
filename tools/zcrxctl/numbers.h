/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* Figures, for people and for programs */
#ifndef ZCRXCTL_NUMBERS_H
#define ZCRXCTL_NUMBERS_H

#include <json-c/json.h>
#include <stdint.h>

/* Room for the text of a share */
#define SHARE_SIZE	16

void share_text(char text[SHARE_SIZE], int64_t zero_copied, int64_t copied);
struct json_object *share_json(int64_t zero_copied, int64_t copied);
void print_json(struct json_object *json, int flags);

#endif
