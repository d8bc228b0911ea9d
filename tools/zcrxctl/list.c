// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* zcrxctl list: a line for each ifq; zcrxctl show: all that is known of them */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "numbers.h"
#include "survey.h"

/* Whom the user wants to see: a process, an interface, or everybody */
struct selection {
	pid_t		pid;
	const char	*ifname;
};

static void say_who_is_seen(void)
{
	if (geteuid())
		fprintf(stderr, "zcrxctl: other users' processes are not shown: root sees all\n");
}

static void print_line(const struct ifq *ifq)
{
	const struct fdinfo *info = &ifq->info;
	char share[SHARE_SIZE], queue[12] = "-";

	if (!ifq->nr_holders || fdinfo_is_bound(info))
		snprintf(queue, sizeof(queue), "%u", info->rxq);
	printf("%-15s %5s ", ifq_interface_text(ifq), queue);
	if (!ifq->nr_holders) {
		printf("%7s %-15s %-7s %8s %11s\n", "-", "-", "-", "-", "-");
		return;
	}
	share_text(share, info->values[FDINFO_ZC_BYTES], fdinfo_copied(info));
	printf("%7d %-15s %-7s %8" PRId64 " %11s\n", ifq->holders[0].pid,
	       ifq->holders[0].name, info->state, info->values[FDINFO_CHUNKS],
	       share);
}

static void print_further_holder(const struct holder *holder)
{
	printf("%-15s %5s %7d %-15s\n", "", "", holder->pid, holder->name);
}

static void print_list(const struct survey *survey)
{
	const struct ifq *ifq;
	size_t i, j;

	if (!survey->nr) {
		printf("no ifqs\n");
		return;
	}
	printf("%-15s %5s %7s %-15s %-7s %8s %11s\n", "INTERFACE", "QUEUE",
	       "PID", "PROCESS", "STATE", "CHUNKS", "ZERO-COPIED");
	for (i = 0; i < survey->nr; i++) {
		ifq = &survey->ifqs[i];
		print_line(ifq);
		for (j = 1; j < ifq->nr_holders; j++)
			if (ifq->holders[j].pid != ifq->holders[j - 1].pid)
				print_further_holder(&ifq->holders[j]);
	}
}

static bool is_selected(const struct ifq *ifq, const struct selection *wanted)
{
	if (wanted->pid)
		return ifq_has_process(ifq, wanted->pid);
	if (wanted->ifname)
		return !strcmp(ifq->ifname, wanted->ifname);

	return true;
}

static void print_survey_json(const struct survey *survey,
			      const struct selection *wanted)
{
	struct json_object *json = json_object_new_object();
	struct json_object *ifqs = json_object_new_array();
	size_t i;

	for (i = 0; i < survey->nr; i++)
		if (is_selected(&survey->ifqs[i], wanted))
			json_object_array_add(ifqs,
					      ifq_json(&survey->ifqs[i]));
	json_object_object_add(json, "ifqs", ifqs);
	print_json(json, JSON_C_TO_STRING_PRETTY);
}

/**
 * list_ifqs() - zcrxctl list
 * @options: of the command line
 *
 * Return: exit status.
 */
int list_ifqs(const struct options *options)
{
	const struct selection everybody = { .pid = 0 };
	struct survey survey;

	say_who_is_seen();
	survey_make(&survey);
	if (options->json)
		print_survey_json(&survey, &everybody);
	else
		print_list(&survey);
	survey_free(&survey);

	return STATUS_OK;
}

static void print_title(const struct ifq *ifq)
{
	const struct holder *holder;
	size_t i;

	if (ifq->nr_holders && !fdinfo_is_bound(&ifq->info))
		printf("no queue\n");
	else if (*ifq->ifname)
		printf("%s queue %u\n", ifq->ifname, ifq->info.rxq);
	else
		printf("queue %u of an interface that is not here\n",
		       ifq->info.rxq);
	for (i = 0; i < ifq->nr_holders; i++) {
		holder = &ifq->holders[i];
		printf("  %-42s %s, pid %d, fd %d", "process", holder->name,
		       holder->pid, holder->fd);
		if (holder->exported)
			printf(", exported file\n");
		else
			printf(", zcrx_id %u\n", holder->id);
	}
}

static void print_ifq(const struct ifq *ifq)
{
	const struct fdinfo *info = &ifq->info;
	char share[SHARE_SIZE];
	int i;

	print_title(ifq);
	if (!ifq->nr_holders) {
		printf("  %-42s root may see it, if it is in this PID namespace\n",
		       "process");
		return;
	}
	printf("  %-42s %s\n", "state", fdinfo_state_words(info));
	for (i = 0; i < FDINFO_NR_VALUES; i++)
		printf("  %-42s %" PRId64 "\n", fdinfo_names[i].words,
		       info->values[i]);
	share_text(share, info->values[FDINFO_ZC_BYTES], fdinfo_copied(info));
	printf("  %-42s %s\n", "share zero-copied", share);
}

static int print_selected(const struct survey *survey,
			  const struct selection *wanted, bool json)
{
	size_t i, nr = 0;

	for (i = 0; i < survey->nr; i++) {
		if (!is_selected(&survey->ifqs[i], wanted))
			continue;
		if (!json && nr)
			printf("\n");
		if (!json)
			print_ifq(&survey->ifqs[i]);
		nr++;
	}
	if (json)
		print_survey_json(survey, wanted);

	return nr;
}

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

/* Says what is wrong if there is no such thing. */
static bool select_by(const char *what, struct selection *wanted)
{
	if (!what)
		return true;
	if (is_number(what)) {
		wanted->pid = strtoul(what, NULL, 10);
		if (wanted->pid > 0 && proc_has_process(wanted->pid))
			return true;
		warnx("there is no process %s: zcrxctl list shows those that have ifqs",
		      what);
		return false;
	}
	wanted->ifname = what;
	if (if_nametoindex(what))
		return true;
	warnx("there is no network interface %s: ip link shows those that there are",
	      what);

	return false;
}

/**
 * show_ifqs() - zcrxctl show
 * @options: of the command line
 *
 * Return: exit status.
 */
int show_ifqs(const struct options *options)
{
	struct selection wanted = { .pid = 0 };
	struct survey survey;
	int nr;

	if (!select_by(options->what, &wanted))
		return STATUS_USAGE;
	say_who_is_seen();
	survey_make(&survey);
	nr = print_selected(&survey, &wanted, options->json);
	survey_free(&survey);
	if (nr)
		return STATUS_OK;
	if (options->what)
		warnx("%s has no ifq that you may see: zcrxctl list shows all that you may",
		      options->what);
	else if (!options->json)
		printf("no ifqs\n");

	return options->what ? STATUS_MISSING : STATUS_OK;
}
