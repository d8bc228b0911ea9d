// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* zcrxctl top: what happens at each ifq, second by second */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "commands.h"
#include "grow.h"
#include "numbers.h"
#include "survey.h"

#define CLEAR_SCREEN	"\033[H\033[J"
#define MB		1e6

/**
 * struct interval - what an ifq did between two surveys
 * @ifq: as it is now
 * @seconds: how long, 0: it was not there before
 * @grown: by how much each value has
 * @copied: bytes
 */
struct interval {
	const struct ifq	*ifq;
	double			seconds;
	int64_t			grown[FDINFO_NR_VALUES];
	int64_t			copied;
};

static const struct ifq *find_ifq(const struct survey *survey,
				  const struct ifq *ifq)
{
	size_t i;

	for (i = 0; i < survey->nr; i++)
		if (ifq_is_same(&survey->ifqs[i], ifq))
			return &survey->ifqs[i];

	return NULL;
}

/* An io_uring that is busy for long does not show its ifqs: they are as before. */
static void keep_busy(struct survey *before, struct survey *after)
{
	struct ifq *ifq;
	size_t i;

	for (i = 0; i < before->nr; i++) {
		ifq = &before->ifqs[i];
		if (!ifq->nr_holders || find_ifq(after, ifq) ||
		    !proc_has_file(&ifq->holders[0], ifq->ring))
			continue;
		after->ifqs = grow(after->ifqs, after->nr, sizeof(*ifq));
		after->ifqs[after->nr++] = *ifq;
		*ifq = (struct ifq){ .nr_holders = 0 };
	}
}

static void measure(struct interval *interval, const struct survey *before,
		    const struct ifq *ifq)
{
	const struct ifq *old = find_ifq(before, ifq);
	int i;

	*interval = (struct interval){ .ifq = ifq };
	/* A file that was closed, and made anew under the same number */
	if (!old || old->info.values[FDINFO_ZC_BYTES] >
	    ifq->info.values[FDINFO_ZC_BYTES] ||
	    fdinfo_copied(&old->info) > fdinfo_copied(&ifq->info))
		return;
	interval->seconds = ifq->when - old->when;
	for (i = 0; i < FDINFO_NR_VALUES; i++)
		interval->grown[i] = ifq->info.values[i] - old->info.values[i];
	interval->copied = fdinfo_copied(&ifq->info) - fdinfo_copied(&old->info);
}

static double per_second(const struct interval *interval, int64_t amount)
{
	return interval->seconds > 0 ? amount / interval->seconds : 0;
}

/* With the NIC, its page pool and sockets: a piece counts as a chunk of its own. */
static int64_t chunks_elsewhere(const struct fdinfo *info)
{
	int64_t nr = info->values[FDINFO_CHUNKS] - info->values[FDINFO_FREE] -
		     info->values[FDINFO_HELD];

	return nr > 0 ? nr : 0;
}

static void print_header(void)
{
	printf("%-10s %5s %7s %-15s %-7s %7s %7s  %7s %7s %7s  %7s %7s %8s  %6s %7s\n",
	       "INTERFACE", "QUEUE", "PID", "PROCESS", "STATE", "Gb/s", "ZERO-C.",
	       "LINEAR", "PAGE", "FOREIGN", "FREE", "HELD", "NIC,SOCK",
	       "PAUSES", "CHANGES");
}

static void print_received(const struct interval *interval)
{
	const int64_t *grown = interval->grown;
	int64_t received = grown[FDINFO_ZC_BYTES] + interval->copied;
	char share[SHARE_SIZE];

	share_text(share, grown[FDINFO_ZC_BYTES], interval->copied);
	printf("%7.3f %7s  %7.2f %7.2f %7.2f",
	       per_second(interval, received * 8) / 1e9, share,
	       per_second(interval, grown[FDINFO_COPIED_LINEAR]) / MB,
	       per_second(interval, grown[FDINFO_COPIED_PAGE]) / MB,
	       per_second(interval, grown[FDINFO_COPIED_FOREIGN]) / MB);
}

static void print_interval(const struct interval *interval)
{
	const struct ifq *ifq = interval->ifq;
	const int64_t *values = ifq->info.values;
	char queue[12] = "-";

	if (fdinfo_is_bound(&ifq->info))
		snprintf(queue, sizeof(queue), "%u", ifq->info.rxq);
	printf("%-10s %5s %7d %-15s %-7s ", ifq_interface_text(ifq), queue,
	       ifq->holders[0].pid, ifq->holders[0].name, ifq->info.state);
	print_received(interval);
	printf("  %7" PRId64 " %7" PRId64 " %8" PRId64 "  %6" PRId64 " %7" PRId64 "\n",
	       values[FDINFO_FREE], values[FDINFO_HELD],
	       chunks_elsewhere(&ifq->info), values[FDINFO_PAUSES],
	       values[FDINFO_STATE_CHANGES]);
}

static void add_rate(struct json_object *json, const char *key,
		     const struct interval *interval, int64_t amount)
{
	json_object_object_add(json, key, !interval->seconds ? NULL :
		json_object_new_double(per_second(interval, amount)));
}

static struct json_object *interval_json(const struct interval *interval)
{
	struct json_object *json = ifq_json(interval->ifq);
	const int64_t *grown = interval->grown;

	json_object_object_add(json, "elsewhere", json_object_new_int64(
			       chunks_elsewhere(&interval->ifq->info)));
	json_object_object_add(json, "seconds",
			       json_object_new_double(interval->seconds));
	add_rate(json, "bytes_per_second", interval,
		 grown[FDINFO_ZC_BYTES] + interval->copied);
	json_object_object_add(json, "zero_copied_share_now",
			       share_json(grown[FDINFO_ZC_BYTES],
					  interval->copied));
	add_rate(json, "copied_linear_per_second", interval,
		 grown[FDINFO_COPIED_LINEAR]);
	add_rate(json, "copied_page_per_second", interval,
		 grown[FDINFO_COPIED_PAGE]);
	add_rate(json, "copied_foreign_per_second", interval,
		 grown[FDINFO_COPIED_FOREIGN]);

	return json;
}

static void print_survey_json(const struct survey *before,
			      const struct survey *after)
{
	struct json_object *json = json_object_new_object();
	struct json_object *ifqs = json_object_new_array();
	struct interval interval;
	size_t i;

	for (i = 0; i < after->nr; i++) {
		if (!after->ifqs[i].nr_holders)
			continue;
		measure(&interval, before, &after->ifqs[i]);
		json_object_array_add(ifqs, interval_json(&interval));
	}
	json_object_object_add(json, "ifqs", ifqs);
	print_json(json, JSON_C_TO_STRING_PLAIN);
}

static void print_survey(const struct survey *before,
			 const struct survey *after)
{
	struct interval interval;
	size_t i, nr = 0;

	if (isatty(STDOUT_FILENO))
		fputs(CLEAR_SCREEN, stdout);
	print_header();
	for (i = 0; i < after->nr; i++) {
		if (!after->ifqs[i].nr_holders)
			continue;
		measure(&interval, before, &after->ifqs[i]);
		print_interval(&interval);
		nr++;
	}
	if (!nr)
		printf("no ifqs\n");
	printf("LINEAR, PAGE, FOREIGN: MB/s copied, by reason; FREE, HELD, NIC,SOCK: chunks\n");
	fflush(stdout);
}

/**
 * watch_ifqs() - zcrxctl top
 * @options: of the command line
 *
 * Return: exit status.
 */
int watch_ifqs(const struct options *options)
{
	struct survey before, after;
	unsigned int i;

	survey_make(&before);
	for (i = 0; !options->count || i < options->count; i++) {
		sleep(1);
		survey_make(&after);
		keep_busy(&before, &after);
		if (options->json)
			print_survey_json(&before, &after);
		else
			print_survey(&before, &after);
		survey_free(&before);
		before = after;
	}
	survey_free(&before);

	return STATUS_OK;
}
