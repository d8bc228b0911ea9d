// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changes.h"
#include "grow.h"

static const char * const split_words[] = {
	[ZCRX_SPLIT_AUTO]	= "auto",
	[ZCRX_SPLIT_OFF]	= "off",
	[ZCRX_SPLIT_ON]		= "on",
	[ZCRX_SPLIT_NOT_KNOWN]	= "not known",
};

static struct change *add(struct changes *changes, const char *setting,
			  int queue)
{
	struct change *change;

	changes->list = grow(changes->list, changes->nr, sizeof(*change));
	change = &changes->list[changes->nr++];
	change->setting = setting;
	change->queue = queue;

	return change;
}

static void add_words(struct changes *changes, const char *setting, int queue,
		      const char *from, const char *to)
{
	struct change *change;

	if (!strcmp(from, to))
		return;
	change = add(changes, setting, queue);
	snprintf(change->text, sizeof(change->text), "%s -> %s", from, to);
	change->from = json_object_new_string(from);
	change->to = json_object_new_string(to);
}

static void add_numbers(struct changes *changes, const char *setting,
			int queue, int from, int to)
{
	struct change *change;

	if (from == to)
		return;
	change = add(changes, setting, queue);
	snprintf(change->text, sizeof(change->text), "%d -> %d", from, to);
	change->from = json_object_new_int(from);
	change->to = json_object_new_int(to);
}

/* Rather than on a line for each of its members, of which there are hundreds */
static void print_on_one_line(struct json_object *array)
{
	char *text = strdup(json_object_to_json_string_ext(array,
					JSON_C_TO_STRING_PLAIN));

	if (text)
		json_object_set_serializer(array,
					   json_object_userdata_to_json_string,
					   text, json_object_free_userdata);
}

static struct json_object *table_json(const struct zcrx_nic_info *nic)
{
	struct json_object *json = json_object_new_array();
	unsigned int i;

	for (i = 0; i < nic->rss_size; i++)
		json_object_array_add(json,
				      json_object_new_int64(nic->rss_table[i]));
	print_on_one_line(json);

	return json;
}

static void add_table(struct changes *changes,
		      const struct zcrx_nic_info *before,
		      const struct zcrx_nic_info *after)
{
	struct change *change;
	unsigned int i, nr = 0;

	if (before->rss_size != after->rss_size)
		return;
	for (i = 0; i < after->rss_size; i++)
		nr += before->rss_table[i] != after->rss_table[i];
	if (!nr)
		return;
	change = add(changes, "rss-table", -1);
	snprintf(change->text, sizeof(change->text),
		 "%u of %u entries lead to other queues", nr, after->rss_size);
	change->from = table_json(before);
	change->to = table_json(after);
}

static const char *owner_word(const struct zcrx_nic_queue *queue)
{
	if (queue->kept)
		return "kept";
	if (queue->stale)
		return "left behind";

	return queue->pid ? "taken" : "free";
}

static void add_queue(struct changes *changes, int number,
		      const struct zcrx_nic_queue *before,
		      const struct zcrx_nic_queue *after)
{
	add_words(changes, "queue", number, owner_word(before),
		  owner_word(after));
	add_numbers(changes, "filters", number, before->nr_filters,
		    after->nr_filters);
	add_numbers(changes, "rss-contexts", number, before->has_context,
		    after->has_context);
}

/**
 * changes_find() - compare descriptions of a NIC
 * @changes: filled in; changes_free() frees it
 * @before: as it was
 * @after: as it is
 */
void changes_find(struct changes *changes, const struct zcrx_nic_info *before,
		  const struct zcrx_nic_info *after)
{
	unsigned int i;

	*changes = (struct changes){ .nr = 0 };
	add_words(changes, "header-split", -1, split_words[before->split],
		  split_words[after->split]);
	add_words(changes, "ntuple", -1, before->ntuple_on ? "on" : "off",
		  after->ntuple_on ? "on" : "off");
	add_numbers(changes, "split-threshold", -1, before->split_threshold,
		    after->split_threshold);
	add_table(changes, before, after);
	for (i = 0; i < before->nr_queues && i < after->nr_queues; i++)
		add_queue(changes, i, &before->queues[i], &after->queues[i]);
}

/**
 * changes_print() - a line for each
 * @changes: as of changes_find()
 */
void changes_print(const struct changes *changes)
{
	const struct change *change;
	char name[40];
	size_t i;

	for (i = 0; i < changes->nr; i++) {
		change = &changes->list[i];
		if (change->queue < 0)
			snprintf(name, sizeof(name), "%s", change->setting);
		else
			snprintf(name, sizeof(name), "%s%s %d", change->setting,
				 strcmp(change->setting, "queue") ?
				 " of queue" : "", change->queue);
		printf("  %-26s %s\n", name, change->text);
	}
}

/**
 * changes_json() - in JSON
 * @changes: as of changes_find()
 *
 * Return: an array of the caller's.
 */
struct json_object *changes_json(const struct changes *changes)
{
	struct json_object *list = json_object_new_array(), *json;
	const struct change *change;
	size_t i;

	for (i = 0; i < changes->nr; i++) {
		change = &changes->list[i];
		json = json_object_new_object();
		json_object_object_add(json, "setting",
				       json_object_new_string(change->setting));
		json_object_object_add(json, "queue", change->queue < 0 ? NULL :
				       json_object_new_int(change->queue));
		json_object_object_add(json, "from",
				       json_object_get(change->from));
		json_object_object_add(json, "to", json_object_get(change->to));
		json_object_array_add(list, json);
	}

	return list;
}

/**
 * changes_free() - free what changes_find() allocated
 * @changes: it
 */
void changes_free(struct changes *changes)
{
	size_t i;

	for (i = 0; i < changes->nr; i++) {
		json_object_put(changes->list[i].from);
		json_object_put(changes->list[i].to);
	}
	free(changes->list);
	*changes = (struct changes){ .nr = 0 };
}
