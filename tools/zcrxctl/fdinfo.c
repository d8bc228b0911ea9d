// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fdinfo.h"

const struct fdinfo_name fdinfo_names[FDINFO_NR_VALUES] = {
	[FDINFO_AREAS]		= { "areas", "areas" },
	[FDINFO_CHUNKS]		= { "chunks", "chunks in all areas" },
	[FDINFO_FREE]		= { "free", "chunks that nobody has" },
	[FDINFO_HELD]		= { "held", "pieces that the application holds" },
	[FDINFO_LENT_PAGES]	= { "lent_pages", "pages of the kernel lent to the NIC" },
	[FDINFO_LENT_NOW]	= { "lent_now", "of them not yet back" },
	[FDINFO_INVALID_REFILLS] = { "invalid_refills", "refills that gave nothing back" },
	[FDINFO_PAUSES]		= { "pauses", "pauses for want of ring space or chunks" },
	[FDINFO_ENDS]		= { "ends", "requests ended for want of these" },
	[FDINFO_STATE_CHANGES]	= { "state_changes", "changes between on and copy" },
	[FDINFO_ZC_BYTES]	= { "zc_bytes", "bytes zero-copied" },
	[FDINFO_COPIES]		= { "copies", "pieces copied" },
	[FDINFO_COPIED_LINEAR]	= { "copied_linear", "bytes copied: lay beside the headers" },
	[FDINFO_COPIED_PAGE]	= { "copied_page", "bytes copied: in pages of the kernel" },
	[FDINFO_COPIED_FOREIGN]	= { "copied_foreign", "bytes copied: in another ifq's chunks" },
};

/* What comes after " KEY=", or NULL */
static const char *find_key(const char *line, const char *key)
{
	size_t len = strlen(key);
	const char *at;

	for (at = strchr(line, ' '); at; at = strchr(at + 1, ' '))
		if (!strncmp(at + 1, key, len) && at[1 + len] == '=')
			return at + 2 + len;

	return NULL;
}

static bool read_value(const char *line, const char *key, int64_t *value)
{
	const char *text = find_key(line, key);
	char *end;

	if (!text)
		return false;
	*value = strtoll(text, &end, 10);

	return end != text;
}

/**
 * fdinfo_parse() - read an ifq's line
 * @line: a line of fdinfo
 * @info: filled in
 *
 * Keys that are not known are passed over.
 *
 * Return: whether it is an ifq's, with all that is known of one.
 */
bool fdinfo_parse(const char *line, struct fdinfo *info)
{
	const char *state = find_key(line, "state");
	int64_t if_idx, rxq;
	int i;

	if (sscanf(line, "zcrx-%u:", &info->id) != 1 || !state ||
	    sscanf(state, "%15s", info->state) != 1 ||
	    !read_value(line, "if_idx", &if_idx) ||
	    !read_value(line, "rxq", &rxq))
		return false;
	info->if_idx = if_idx;
	info->rxq = rxq;
	for (i = 0; i < FDINFO_NR_VALUES; i++)
		if (!read_value(line, fdinfo_names[i].key, &info->values[i]))
			return false;

	return true;
}

/**
 * fdinfo_is_bound() - has it a NIC's queue?
 * @info: the ifq
 *
 * Return: whether it has.
 */
bool fdinfo_is_bound(const struct fdinfo *info)
{
	return !strcmp(info->state, "on") || !strcmp(info->state, "copy");
}

/**
 * fdinfo_state_words() - what its state means
 * @info: the ifq
 *
 * Return: in words.
 */
const char *fdinfo_state_words(const struct fdinfo *info)
{
	static const char * const words[][2] = {
		{ "on", "on: the NIC fills chunks" },
		{ "copy", "copy: the areas ran dry, and the NIC fills pages of the kernel" },
		{ "nodev", "nodev: registered without a NIC, everything is copied" },
		{ "unbound", "unbound: the NIC or its driver is gone; register anew" },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(info->state, words[i][0]))
			return words[i][1];

	return info->state;
}

/**
 * fdinfo_copied() - how many bytes were copied, for whatever reason?
 * @info: the ifq
 *
 * Return: their number.
 */
int64_t fdinfo_copied(const struct fdinfo *info)
{
	return info->values[FDINFO_COPIED_LINEAR] +
	       info->values[FDINFO_COPIED_PAGE] +
	       info->values[FDINFO_COPIED_FOREIGN];
}
