// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <err.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

#define DEFAULT_QUEUES	1
#define DEFAULT_MEMORY	((size_t)64 << 20)
#define MAX_QUEUES	64
#define BLANKS		" \t\r\n"

/**
 * struct place - where in the file
 * @path: its name
 * @line: number of the line, from 1
 */
struct place {
	const char	*path;
	unsigned int	line;
};

static bool wrong(const struct place *at, const char *what, const char *word)
{
	warnx("%s:%u: %s %s", at->path, at->line, what, word);

	return false;
}

static bool no_memory(void)
{
	warnx("no memory for the rules");

	return false;
}

static bool set_ifname(char ifname[IFNAMSIZ], const struct place *at,
		       const char *word)
{
	if (!word)
		return wrong(at, "an interface is missing", "");
	if (strlen(word) >= IFNAMSIZ)
		return wrong(at, "no interface is named", word);
	strcpy(ifname, word);

	return true;
}

static bool find_who(struct rule *rule, const struct place *at,
		     const char *word)
{
	const struct passwd *user;
	const struct group *group;

	rule->is_group = *word == '@';
	if (rule->is_group) {
		group = getgrnam(word + 1);
		if (!group)
			return wrong(at, "there is no group", word + 1);
		rule->id = group->gr_gid;
		return true;
	}
	user = getpwnam(word);
	if (!user)
		return wrong(at, "there is no user", word);
	rule->id = user->pw_uid;

	return true;
}

static bool add_rule(struct config *config, const struct place *at,
		     const char *ifname, const char *who)
{
	struct rule **end = &config->rules, *rule = calloc(1, sizeof(*rule));

	if (!rule)
		return no_memory();
	while (*end)
		end = &(*end)->next;
	*end = rule;

	return set_ifname(rule->ifname, at, ifname) && find_who(rule, at, who);
}

static bool parse_allow(struct config *config, const struct place *at,
			char **rest)
{
	const char *ifname = strtok_r(NULL, BLANKS, rest);
	const char *who = strtok_r(NULL, BLANKS, rest);

	if (!who)
		return wrong(at, "allow takes an interface, and users or @groups",
			     "");
	for (; who; who = strtok_r(NULL, BLANKS, rest))
		if (!add_rule(config, at, ifname, who))
			return false;

	return true;
}

static bool parse_rss(struct config *config, const struct place *at,
		      char **rest)
{
	struct rss *rss = calloc(1, sizeof(*rss));

	if (!rss)
		return no_memory();
	rss->next = config->rss;
	config->rss = rss;

	return set_ifname(rss->ifname, at, strtok_r(NULL, BLANKS, rest));
}

/* A number, with its unit if it has one */
static bool parse_number(unsigned long *number, const struct place *at,
			 const char *word, const char *units)
{
	const char *unit;
	char *end;

	if (!word || *word < '1' || *word > '9')
		return wrong(at, "not a number from 1:", word ? word : "");
	errno = 0;
	*number = strtoul(word, &end, 10);
	if (errno)
		return wrong(at, "too much:", word);
	if (!*end)
		return true;
	unit = strchr(units, *end);
	if (!unit || end[1])
		return wrong(at, "not a number:", word);
	for (; unit >= units; unit--) {
		if (*number > SIZE_MAX >> 10)
			return wrong(at, "too much:", word);
		*number <<= 10;
	}

	return true;
}

static bool parse_queues(struct config *config, const struct place *at,
			 char **rest)
{
	unsigned long queues;
	const char *word = strtok_r(NULL, BLANKS, rest);

	if (!parse_number(&queues, at, word, ""))
		return false;
	if (queues > MAX_QUEUES)
		return wrong(at, "more queues than there can be:", word);
	config->queues = (unsigned int)queues;

	return true;
}

static bool parse_memory(struct config *config, const struct place *at,
			 char **rest)
{
	unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE), memory;
	const char *word = strtok_r(NULL, BLANKS, rest);

	if (!parse_number(&memory, at, word, "KMG"))
		return false;
	if (memory % page)
		return wrong(at, "not whole pages:", word);
	config->memory = memory;

	return true;
}

static const struct {
	const char	*name;
	bool		(*parse)(struct config *config, const struct place *at,
				 char **rest);
} words[] = {
	{ "allow", parse_allow },
	{ "rss", parse_rss },
	{ "queues", parse_queues },
	{ "memory", parse_memory },
};

static bool parse_line(struct config *config, const struct place *at,
		       char *line)
{
	char *rest = NULL, *word, *comment = strchr(line, '#');
	size_t i;

	if (comment)
		*comment = '\0';
	word = strtok_r(line, BLANKS, &rest);
	if (!word)
		return true;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(words[i].name, word))
			break;
	if (i == sizeof(words) / sizeof(words[0]))
		return wrong(at, "neither allow nor rss, queues, memory:",
			     word);
	if (!words[i].parse(config, at, &rest))
		return false;
	word = strtok_r(NULL, BLANKS, &rest);

	return !word || wrong(at, "too much in this line:", word);
}

/**
 * config_read() - read the file
 * @config: filled in
 * @path: of the file
 *
 * Return: true; or false, with a sentence on stderr, and @config empty.
 */
bool config_read(struct config *config, const char *path)
{
	struct place at = { .path = path };
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	bool good = f;

	memset(config, 0, sizeof(*config));
	config->queues = DEFAULT_QUEUES;
	config->memory = DEFAULT_MEMORY;
	if (!f) {
		warn("%s", path);
		return false;
	}
	while (good && getline(&line, &size, f) >= 0) {
		at.line++;
		good = parse_line(config, &at, line);
	}
	if (good && ferror(f)) {
		warn("%s", path);
		good = false;
	}
	free(line);
	fclose(f);
	if (!good)
		config_free(config);

	return good;
}

/**
 * config_free() - free what config_read() allocated
 * @config: what it filled in
 */
void config_free(struct config *config)
{
	struct rule *rule;
	struct rss *rss;

	while ((rule = config->rules)) {
		config->rules = rule->next;
		free(rule);
	}
	while ((rss = config->rss)) {
		config->rss = rss->next;
		free(rss);
	}
}

/*
 * A group is for users that the system knows: its members can have others, of user
 * namespaces, as many as they like, who would have queues each.
 */
static bool is_for(const struct rule *rule, const struct peer *peer)
{
	unsigned int i;

	if (!rule->is_group)
		return rule->id == peer->uid;
	for (i = 0; i < peer->nr_groups; i++)
		if (rule->id == peer->groups[i])
			return getpwuid(peer->uid);

	return false;
}

/**
 * config_first_for() - which interface is for somebody who names none?
 * @config: the rules
 * @peer: who asks
 *
 * Return: its name, the rules', or NULL.
 */
const char *config_first_for(const struct config *config,
			     const struct peer *peer)
{
	const struct rule *rule;

	for (rule = config->rules; rule; rule = rule->next)
		if (is_for(rule, peer))
			return rule->ifname;

	return NULL;
}

/**
 * config_allows() - may somebody use an interface?
 * @config: the rules
 * @peer: who asks
 * @ifname: name of the interface
 *
 * Return: true if a rule says so.
 */
bool config_allows(const struct config *config, const struct peer *peer,
		   const char *ifname)
{
	const struct rule *rule;

	for (rule = config->rules; rule; rule = rule->next)
		if (!strcmp(rule->ifname, ifname) && is_for(rule, peer))
			return true;

	return false;
}

/**
 * config_has_rss() - may the RSS table of an interface steer?
 * @config: the rules
 * @ifname: name of the interface
 *
 * Return: true if the file says so.
 */
bool config_has_rss(const struct config *config, const char *ifname)
{
	const struct rss *rss;

	for (rss = config->rss; rss; rss = rss->next)
		if (!strcmp(rss->ifname, ifname))
			return true;

	return false;
}
