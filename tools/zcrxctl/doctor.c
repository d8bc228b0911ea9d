// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* zcrxctl doctor: what is missing for zero copy, and what mends it */
#include <err.h>
#include <liburing-zcrx.h>
#include <limits.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "commands.h"
#include "grow.h"
#include "numbers.h"

#define KERNEL	"kernel"

static const char * const status_words[] = {
	[CHECK_OK]	= "ok",
	[CHECK_NOTE]	= "note",
	[CHECK_UNKNOWN]	= "unknown",
	[CHECK_MISSING]	= "missing",
};

/**
 * check() - note a finding
 * @checks: where
 * @name: short, for programs
 * @status: whether zero copy works with it
 * @format: what it is
 */
void check(struct checks *checks, const char *name, enum check_status status,
	   const char *format, ...)
{
	struct check *new;
	va_list args;

	checks->list = grow(checks->list, checks->nr, sizeof(*new));
	new = &checks->list[checks->nr++];
	snprintf(new->about, sizeof(new->about), "%s", checks->about);
	new->name = name;
	new->status = status;
	va_start(args, format);
	vsnprintf(new->text, sizeof(new->text), format, args);
	va_end(args);
}

/**
 * check_mend() - say what mends what was found last
 * @checks: where it was noted
 * @format: command or setting
 */
void check_mend(struct checks *checks, const char *format, ...)
{
	struct check *last = &checks->list[checks->nr - 1];
	va_list args;

	va_start(args, format);
	vsnprintf(last->mend, sizeof(last->mend), format, args);
	va_end(args);
}

/**
 * checks_missing() - how much is missing?
 * @checks: what was found
 * @about: an interface, or "kernel"
 *
 * Return: how many things.
 */
unsigned int checks_missing(const struct checks *checks, const char *about)
{
	unsigned int nr = 0;
	size_t i;

	for (i = 0; i < checks->nr; i++)
		nr += checks->list[i].status == CHECK_MISSING &&
		      !strcmp(checks->list[i].about, about);

	return nr;
}

static void print_check(const struct check *check)
{
	printf("  %-8s %s\n", status_words[check->status], check->text);
	if (*check->mend)
		printf("  %8s -> %s\n", "", check->mend);
}

static void print_checks(const struct checks *checks)
{
	const char *about = "";
	size_t i;

	for (i = 0; i < checks->nr; i++) {
		if (strcmp(about, checks->list[i].about))
			printf("%s\n", checks->list[i].about);
		about = checks->list[i].about;
		print_check(&checks->list[i]);
	}
}

static struct json_object *check_json(const struct check *check)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "about",
			       json_object_new_string(check->about));
	json_object_object_add(json, "check",
			       json_object_new_string(check->name));
	json_object_object_add(json, "status", json_object_new_string(
			       status_words[check->status]));
	json_object_object_add(json, "text",
			       json_object_new_string(check->text));
	json_object_object_add(json, "mend", !*check->mend ? NULL :
			       json_object_new_string(check->mend));

	return json;
}

static struct json_object *strings_json(char names[][IF_NAMESIZE], size_t nr)
{
	struct json_object *json = json_object_new_array();
	size_t i;

	for (i = 0; i < nr; i++)
		json_object_array_add(json, json_object_new_string(names[i]));

	return json;
}

static void print_checks_json(const struct checks *checks,
			      char works_on[][IF_NAMESIZE], size_t nr)
{
	struct json_object *json = json_object_new_object();
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < checks->nr; i++)
		json_object_array_add(list, check_json(&checks->list[i]));
	json_object_object_add(json, "works", json_object_new_boolean(nr > 0));
	json_object_object_add(json, "works_on", strings_json(works_on, nr));
	json_object_object_add(json, "checks", list);
	print_json(json, JSON_C_TO_STRING_PRETTY |
		   JSON_C_TO_STRING_NOSLASHESCAPE);
}

static void print_verdict(char works_on[][IF_NAMESIZE], size_t nr)
{
	size_t i;

	if (!nr) {
		printf("zero copy does not work yet: see what is missing\n");
		return;
	}
	printf("zero copy works on");
	for (i = 0; i < nr; i++)
		printf(" %s", works_on[i]);
	printf("\n");
}

/* A device on a bus: no bridge, tunnel or the like */
static bool is_nic(const char *ifname)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/class/net/%s/device", ifname);

	return !access(path, F_OK);
}

static void check_nics(struct checks *checks, const struct kernel_can *can)
{
	struct if_nameindex *all = if_nameindex(), *one;
	unsigned int nr = 0;

	if (!all)
		err(STATUS_MISSING, "cannot list the network interfaces");
	for (one = all; one->if_index; one++)
		if (is_nic(one->if_name) &&
		    !doctor_nic(checks, one->if_name, can))
			nr++;
	if_freenameindex(all);
	if (nr)
		return;
	checks->about = KERNEL;
	check(checks, "nic", CHECK_MISSING,
	      "there is no NIC in this network namespace");
	check_mend(checks, "zcrxctl doctor IF looks at any interface");
}

/* The interfaces for which nothing is missing; @names has room for all. */
static size_t find_working(const struct checks *checks,
			   char names[][IF_NAMESIZE])
{
	const char *about = KERNEL;
	size_t i, nr = 0;

	if (checks_missing(checks, KERNEL))
		return 0;
	for (i = 0; i < checks->nr; i++) {
		if (!strcmp(about, checks->list[i].about))
			continue;
		about = checks->list[i].about;
		if (!checks_missing(checks, about))
			snprintf(names[nr++], IF_NAMESIZE, "%s", about);
	}

	return nr;
}

static int print_result(const struct checks *checks, bool json)
{
	char (*works_on)[IF_NAMESIZE] = grow(NULL, checks->nr, IF_NAMESIZE);
	size_t nr = find_working(checks, works_on);

	if (json) {
		print_checks_json(checks, works_on, nr);
	} else {
		print_checks(checks);
		print_verdict(works_on, nr);
	}
	free(works_on);

	return nr ? STATUS_OK : STATUS_MISSING;
}

/**
 * doctor() - zcrxctl doctor
 * @options: of the command line
 *
 * Return: exit status.
 */
int doctor(const struct options *options)
{
	struct checks checks = { .about = KERNEL };
	struct kernel_can can;
	int status;

	doctor_kernel(&checks, &can);
	if (!options->what) {
		check_nics(&checks, &can);
	} else if (doctor_nic(&checks, options->what, &can)) {
		warnx("%s", zcrx_error());
		free(checks.list);
		return STATUS_USAGE;
	}
	status = print_result(&checks, options->json);
	free(checks.list);

	return status;
}
