// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <stdio.h>

#include "numbers.h"

/* In thousandths, rounded down: all means all. */
static int64_t permille(int64_t zero_copied, int64_t copied)
{
	return (int64_t)(1000.0 * zero_copied / (zero_copied + copied));
}

/**
 * share_text() - how much was zero-copied?
 * @text: set: per cent, or "-" if nothing was received
 * @zero_copied: bytes
 * @copied: bytes
 */
void share_text(char text[SHARE_SIZE], int64_t zero_copied, int64_t copied)
{
	int64_t share;

	if (zero_copied + copied <= 0) {
		snprintf(text, SHARE_SIZE, "-");
		return;
	}
	share = permille(zero_copied, copied);
	snprintf(text, SHARE_SIZE, "%d.%d %%", (int)(share / 10),
		 (int)(share % 10));
}

/**
 * share_json() - how much was zero-copied?
 * @zero_copied: bytes
 * @copied: bytes
 *
 * Return: from 0 to 1, or null if nothing was received.
 */
struct json_object *share_json(int64_t zero_copied, int64_t copied)
{
	if (zero_copied + copied <= 0)
		return NULL;

	return json_object_new_double((double)zero_copied /
				      (double)(zero_copied + copied));
}

/**
 * print_json() - print an object, and let it go
 * @json: it
 * @flags: of json-c
 */
void print_json(struct json_object *json, int flags)
{
	puts(json_object_to_json_string_ext(json, flags));
	fflush(stdout);
	json_object_put(json);
}
