// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A record in memory, and as text; nic_record.h shows the form.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nic_record.h"

#define FIRST_LINE	"zcrx-nic 1"

/* More than any NIC has, and little enough to be allocated without a thought */
#define MAX_TABLE	65536
#define MAX_QUEUE	65535

/**
 * zcrx_record_new() - a record of this process
 * @ifname: name of the interface
 * @queue: the queue
 *
 * Return: the record, with nothing to be put back yet, or NULL: no memory.
 */
struct zcrx_record *zcrx_record_new(const char *ifname, unsigned int queue)
{
	struct zcrx_record *rec = calloc(1, sizeof(*rec));

	if (!rec)
		return NULL;
	strncpy(rec->ifname, ifname, sizeof(rec->ifname) - 1);
	rec->pid = getpid();
	rec->queue = queue;
	rec->threshold = -1;
	rec->lock = -1;
	rec->alive = true;

	return rec;
}

/**
 * zcrx_record_free() - free a record in memory
 * @rec: the record, or NULL; its file stays, without our lock
 */
void zcrx_record_free(struct zcrx_record *rec)
{
	if (!rec)
		return;
	if (rec->lock >= 0)
		close(rec->lock);
	free(rec->table);
	free(rec->moved);
	free(rec->rules);
	free(rec->why);
	free(rec);
}

/**
 * zcrx_record_set_table() - note the RSS table as it was
 * @rec: the record, without a table so far
 * @table: queue numbers; NULL: all 0
 * @size: entries, 0 if there is no table
 *
 * Return: 0 or -ENOMEM.
 */
int zcrx_record_set_table(struct zcrx_record *rec, const uint32_t *table,
			  unsigned int size)
{
	rec->table = calloc(size + 1, sizeof(*table));
	rec->moved = calloc(size + 1, 1);
	if (!rec->table || !rec->moved)
		return -ENOMEM;
	if (table)
		memcpy(rec->table, table, size * sizeof(*table));
	rec->size = size;

	return 0;
}

/*
 * Filters
 */

static uint32_t mix(uint32_t hash, uint32_t word)
{
	hash = (hash ^ word) * 0x9e3779b1;

	return hash ^ hash >> 15;
}

/* Neighbours differ in few bits, and in network order those are the upper ones. */
static unsigned int bucket_of(const struct zcrx_flow *flow)
{
	uint32_t hash = mix(0, (uint32_t)flow->sport << 16 | flow->dport);
	unsigned int i;

	for (i = 0; i < 4; i++) {
		hash = mix(hash, flow->src.s6_addr32[i]);
		hash = mix(hash, flow->dst.s6_addr32[i]);
	}

	return (mix(hash, 0) >> 16) % ZCRX_RULE_BUCKETS;
}

/* Where the number of a filter is; 0 is there if there is none. */
static unsigned int *find_number(struct zcrx_record *rec,
				 const struct zcrx_flow *flow)
{
	unsigned int *nr = &rec->buckets[bucket_of(flow)];

	while (*nr && !zcrx_flow_equal(&rec->rules[*nr - 1].flow, flow))
		nr = &rec->rules[*nr - 1].next;

	return nr;
}

/**
 * zcrx_record_find_rule() - has the owner made a filter?
 * @rec: the owner's record
 * @flow: what it matches
 *
 * Return: the filter, until others are noted or forgotten; or NULL.
 */
struct zcrx_rule *zcrx_record_find_rule(struct zcrx_record *rec,
					const struct zcrx_flow *flow)
{
	unsigned int nr = *find_number(rec, flow);

	return nr ? &rec->rules[nr - 1] : NULL;
}

/**
 * zcrx_record_add_rule() - note a filter
 * @rec: record of who makes it, for one socket, and has none for
 * @flow: what it matches
 *
 * Return: 0 or -ENOMEM.
 */
int zcrx_record_add_rule(struct zcrx_record *rec, const struct zcrx_flow *flow)
{
	unsigned int *first = &rec->buckets[bucket_of(flow)];
	struct zcrx_rule *rules;

	rules = realloc(rec->rules, (rec->nr_rules + 1) * sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	rec->rules = rules;
	rules[rec->nr_rules++] = (struct zcrx_rule) {
		.flow		= *flow,
		.nr_users	= 1,
		.next		= *first,
	};
	*first = rec->nr_rules;

	return 0;
}

/**
 * zcrx_record_del_rule() - forget a filter
 * @rec: record of who has made it
 * @flow: what it matches; nothing happens if there is none
 *
 * The last one takes its place.
 */
void zcrx_record_del_rule(struct zcrx_record *rec, const struct zcrx_flow *flow)
{
	unsigned int *at = find_number(rec, flow), nr = *at;
	struct zcrx_rule *rule, *last;

	if (!nr)
		return;
	rule = &rec->rules[nr - 1];
	*at = rule->next;
	last = &rec->rules[rec->nr_rules - 1];
	if (rule != last) {
		*find_number(rec, &last->flow) = nr;
		*rule = *last;
	}
	rec->nr_rules--;
}

/**
 * zcrx_record_del_rules() - forget all filters
 * @rec: record of who has made them
 */
void zcrx_record_del_rules(struct zcrx_record *rec)
{
	memset(rec->buckets, 0, sizeof(rec->buckets));
	rec->nr_rules = 0;
}

/*
 * Writing
 */

static void print_table(FILE *out, const struct zcrx_record *rec)
{
	unsigned int i;
	bool any = false;

	if (!rec->size)
		return;
	fputs("table", out);
	for (i = 0; i < rec->size; i++) {
		fprintf(out, " %u", rec->table[i]);
		any = any || rec->moved[i];
	}
	fputs(any ? "\nmoved" : "", out);
	for (i = 0; any && i < rec->size; i++)
		if (rec->moved[i])
			fprintf(out, " %u", i);
	fputc('\n', out);
}

/**
 * zcrx_record_print_rule() - a filter as a line
 * @line: set to the line, with a newline
 * @flow: what the filter matches
 * @there: it has come, or else it has gone
 */
void zcrx_record_print_rule(char line[ZCRX_RULE_SIZE],
			    const struct zcrx_flow *flow, bool there)
{
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];

	inet_ntop(flow->family, &flow->src, src, sizeof(src));
	inet_ntop(flow->family, &flow->dst, dst, sizeof(dst));
	snprintf(line, ZCRX_RULE_SIZE, "%s %s %u %s %u\n",
		 there ? "rule" : "no-rule", src, ntohs(flow->sport), dst,
		 ntohs(flow->dport));
}

static void print_rules(FILE *out, const struct zcrx_record *rec)
{
	char line[ZCRX_RULE_SIZE];
	unsigned int i;

	for (i = 0; i < rec->nr_rules; i++) {
		zcrx_record_print_rule(line, &rec->rules[i].flow, true);
		fputs(line, out);
	}
}

/**
 * zcrx_record_print() - a record as text
 * @rec: the record
 *
 * Return: the text, to be freed, or NULL: no memory.
 */
char *zcrx_record_print(const struct zcrx_record *rec)
{
	char *text = NULL;
	size_t size;
	FILE *out;

	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	fprintf(out, FIRST_LINE "\ninterface %s\npid %d\nqueue %u\nsplit %u\n",
		rec->ifname, (int)rec->pid, rec->queue, rec->split);
	if (*rec->device)
		fprintf(out, "device %s\n", rec->device);
	if (rec->threshold >= 0)
		fprintf(out, "threshold %d\n", rec->threshold);
	if (rec->filters_off)
		fputs("filters-off\n", out);
	print_table(out, rec);
	if (rec->context)
		fputs("context\n", out);
	print_rules(out, rec);
	if (rec->kept)
		fputs("kept\n", out);
	fputs("end\n", out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}

	return text;
}

/*
 * Reading
 */

/* Reads a number, and moves on to what follows it. */
static bool read_number(char **at, unsigned long max, unsigned long *value)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*value = strtoul(*at, &end, 10);
	if (errno || *value > max || (*end && *end != ' '))
		return false;
	*at = *end ? end + 1 : end;

	return true;
}

static bool parse_number(char *word, unsigned long max, unsigned long *value)
{
	return read_number(&word, max, value) && !*word;
}

static unsigned int count_words(const char *line)
{
	unsigned int nr = 1;

	for (; *line; line++)
		nr += *line == ' ';

	return nr;
}

static int parse_table(struct zcrx_record *rec, char *line)
{
	unsigned int size = count_words(line), i;
	unsigned long queue;

	if (rec->table || size > MAX_TABLE)
		return -EBADMSG;
	if (zcrx_record_set_table(rec, NULL, size))
		return -ENOMEM;
	for (i = 0; i < size; i++) {
		if (!read_number(&line, MAX_QUEUE, &queue))
			return -EBADMSG;
		rec->table[i] = queue;
	}

	return *line ? -EBADMSG : 0;
}

static bool parse_moved(struct zcrx_record *rec, char *line)
{
	unsigned long i;

	if (!rec->size)
		return false;
	while (*line) {
		if (!read_number(&line, rec->size - 1, &i))
			return false;
		rec->moved[i] = 1;
	}

	return true;
}

static bool parse_end(int family, char *address, char *port,
		      struct in6_addr *ip, in_port_t *port_number)
{
	unsigned long number;

	if (inet_pton(family, address, ip) != 1 ||
	    !parse_number(port, USHRT_MAX, &number))
		return false;
	*port_number = htons(number);

	return true;
}

static bool parse_flow(struct zcrx_flow *flow, char *line)
{
	int family = strchr(line, ':') ? AF_INET6 : AF_INET;
	char *word[4], *rest = NULL;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		word[i] = strtok_r(i ? NULL : line, " ", &rest);
		if (!word[i])
			return false;
	}
	memset(flow, 0, sizeof(*flow));
	flow->family = family;

	return !*rest &&
	       parse_end(family, word[0], word[1], &flow->src, &flow->sport) &&
	       parse_end(family, word[2], word[3], &flow->dst, &flow->dport);
}

/* Told twice, it is one filter. */
static int parse_rule(struct zcrx_record *rec, char *line)
{
	struct zcrx_flow flow;

	if (!parse_flow(&flow, line))
		return -EBADMSG;

	return zcrx_record_find_rule(rec, &flow) ? 0 :
						   zcrx_record_add_rule(rec, &flow);
}

static int parse_no_rule(struct zcrx_record *rec, char *line)
{
	struct zcrx_flow flow;

	if (!parse_flow(&flow, line))
		return -EBADMSG;
	zcrx_record_del_rule(rec, &flow);

	return 0;
}

static bool parse_name(char *name, size_t size, const char *word)
{
	if (!*word || strlen(word) >= size)
		return false;
	strcpy(name, word);

	return true;
}

static bool parse_single(struct zcrx_record *rec, const char *key, char *word)
{
	unsigned long value;

	if (!parse_number(word, INT_MAX, &value))
		return false;
	if (!strcmp(key, "pid"))
		rec->pid = value;
	else if (!strcmp(key, "queue") && value <= MAX_QUEUE)
		rec->queue = value;
	else if (!strcmp(key, "split") && value <= UCHAR_MAX)
		rec->split = value;
	else if (!strcmp(key, "threshold"))
		rec->threshold = value;
	else
		return false;

	return true;
}

static bool parse_value(struct zcrx_record *rec, const char *key, char *value)
{
	if (!strcmp(key, "interface"))
		return parse_name(rec->ifname, sizeof(rec->ifname), value);
	if (!strcmp(key, "device"))
		return parse_name(rec->device, sizeof(rec->device), value);
	if (!strcmp(key, "moved"))
		return parse_moved(rec, value);

	return parse_single(rec, key, value);
}

static bool parse_word(struct zcrx_record *rec, const char *line)
{
	if (!strcmp(line, "filters-off"))
		rec->filters_off = true;
	else if (!strcmp(line, "context"))
		rec->context = true;
	else if (!strcmp(line, "kept"))
		rec->kept = true;
	else
		return false;

	return true;
}

static int parse_line(struct zcrx_record *rec, char *line)
{
	char *value = strchr(line, ' ');

	if (!value)
		return parse_word(rec, line) ? 0 : -EBADMSG;
	*value++ = '\0';
	if (!strcmp(line, "table"))
		return parse_table(rec, value);
	if (!strcmp(line, "rule"))
		return parse_rule(rec, value);

	return parse_value(rec, line, value) ? 0 : -EBADMSG;
}

static int parse_change(struct zcrx_record *rec, char *line)
{
	char *value = strchr(line, ' ');

	if (!value)
		return -EBADMSG;
	*value++ = '\0';
	if (!strcmp(line, "rule"))
		return parse_rule(rec, value);
	if (!strcmp(line, "no-rule"))
		return parse_no_rule(rec, value);

	return -EBADMSG;
}

/* What follows the last newline is no line. */
static int parse_changes(struct zcrx_record *rec, char *text)
{
	char *rest = text, *line;
	int ret = 0;

	while (!ret && (line = strsep(&rest, "\n")) && rest)
		ret = parse_change(rec, line);

	return ret;
}

static int parse_lines(struct zcrx_record *rec, char *text)
{
	char *rest = text, *line = strsep(&rest, "\n");
	int ret;

	if (strcmp(line, FIRST_LINE))
		return -EBADMSG;
	while ((line = strsep(&rest, "\n")) && strcmp(line, "end")) {
		ret = parse_line(rec, line);
		if (ret)
			return ret;
	}
	if (!line || !rest || !*rec->ifname || rec->queue == UINT_MAX)
		return -EBADMSG;

	return parse_changes(rec, rest);
}

/**
 * zcrx_record_parse() - a record from its text
 * @text: the text; gets changed
 * @recp: set to the record
 *
 * Return: 0; -EBADMSG: the text is not that of a whole record; or -ENOMEM.
 */
int zcrx_record_parse(char *text, struct zcrx_record **recp)
{
	struct zcrx_record *rec = zcrx_record_new("", UINT_MAX);
	int ret;

	if (!rec)
		return -ENOMEM;
	rec->alive = false;
	ret = parse_lines(rec, text);
	if (ret)
		zcrx_record_free(rec);
	else
		*recp = rec;

	return ret;
}
