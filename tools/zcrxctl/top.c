// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * zcrxctl top: what happens at each ifq, second by second
 *
 * What each receives is counted by BPF, since fdinfo says nothing while an
 * io_uring is busy. Without BPF, it is what fdinfo's counters have grown by; how
 * things stand comes from there in any case.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "commands.h"
#include "counts.h"
#include "grow.h"
#include "numbers.h"
#include "survey.h"

#define CLEAR_SCREEN	"\033[H\033[J"
#define MB		1e6

/**
 * struct sample - all ifqs at a time
 * @survey: as fdinfo has them
 * @counts: as BPF has them
 */
struct sample {
	struct survey	survey;
	struct counts	counts;
};

/**
 * struct interval - what an ifq did between two samples
 * @ifq: as it is now
 * @by_bpf: counted by BPF, else by fdinfo
 * @seconds: how long, 0: it was not there before
 * @grown: by how much each value has; by BPF, those of what it received only
 * @copied: bytes
 */
struct interval {
	const struct ifq	*ifq;
	bool			by_bpf;
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

static bool measure_by_bpf(struct interval *interval,
			   const struct sample *before,
			   const struct sample *after)
{
	const struct counted *now = counts_find(&after->counts, interval->ifq);
	int64_t *grown = interval->grown;
	struct count old;

	if (!now)
		return false;
	old = counts_at(&before->counts, now->address);
	interval->seconds = after->counts.when - before->counts.when;
	grown[FDINFO_ZC_BYTES] = now->count.zc_bytes - old.zc_bytes;
	grown[FDINFO_COPIES] = now->count.copies - old.copies;
	grown[FDINFO_COPIED_LINEAR] = now->count.copied[IORING_ZCRX_COPY_LINEAR] -
				      old.copied[IORING_ZCRX_COPY_LINEAR];
	grown[FDINFO_COPIED_PAGE] = now->count.copied[IORING_ZCRX_COPY_PAGE] -
				    old.copied[IORING_ZCRX_COPY_PAGE];
	grown[FDINFO_COPIED_FOREIGN] = now->count.copied[IORING_ZCRX_COPY_FOREIGN] -
				       old.copied[IORING_ZCRX_COPY_FOREIGN];
	interval->copied = grown[FDINFO_COPIED_LINEAR] +
			   grown[FDINFO_COPIED_PAGE] +
			   grown[FDINFO_COPIED_FOREIGN];

	return true;
}

static void measure_by_fdinfo(struct interval *interval,
			      const struct survey *before)
{
	const struct ifq *ifq = interval->ifq, *old = find_ifq(before, ifq);
	int i;

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

static void measure(struct interval *interval, const struct sample *before,
		    const struct sample *after, const struct ifq *ifq)
{
	*interval = (struct interval){ .ifq = ifq };
	interval->by_bpf = measure_by_bpf(interval, before, after);
	if (!interval->by_bpf)
		measure_by_fdinfo(interval, &before->survey);
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

/*
 * The kernel tells only those two together. A driver keeps all descriptors of a
 * queue filled, each with a chunk, or with a page when there are no chunks.
 */
static bool split_elsewhere(const struct ifq *ifq, int64_t *nic, int64_t *sockets)
{
	int64_t elsewhere = chunks_elsewhere(&ifq->info);
	int64_t filled = ifq->descriptors - ifq->info.values[FDINFO_LENT_NOW];

	if (fdinfo_is_bound(&ifq->info) && !ifq->descriptors)
		return false;
	if (filled < 0)
		filled = 0;
	*nic = filled < elsewhere ? filled : elsewhere;
	*sockets = elsewhere - *nic;

	return true;
}

/* Each ifq begins with state on. */
static int64_t times_to_copy(const struct fdinfo *info)
{
	return (info->values[FDINFO_STATE_CHANGES] + 1) / 2;
}

static int64_t times_to_on(const struct fdinfo *info)
{
	return info->values[FDINFO_STATE_CHANGES] / 2;
}

static void print_header(void)
{
	printf("%-10s %5s %7s %-15s %-7s %7s %7s  %7s %7s %7s %7s  %7s %7s %7s %7s  %6s %7s %5s\n",
	       "INTERFACE", "QUEUE", "PID", "PROCESS", "STATE", "Gb/s", "ZERO-C.",
	       "COPIES", "LINEAR", "PAGE", "FOREIGN", "FREE", "HELD", "NIC",
	       "SOCKETS", "PAUSES", "TO-COPY", "TO-ON");
}

static void print_received(const struct interval *interval)
{
	const int64_t *grown = interval->grown;
	int64_t received = grown[FDINFO_ZC_BYTES] + interval->copied;
	char share[SHARE_SIZE];

	share_text(share, grown[FDINFO_ZC_BYTES], interval->copied);
	printf("%7.3f %7s  %7.0f %7.2f %7.2f %7.2f",
	       per_second(interval, received * 8) / 1e9, share,
	       per_second(interval, grown[FDINFO_COPIES]),
	       per_second(interval, grown[FDINFO_COPIED_LINEAR]) / MB,
	       per_second(interval, grown[FDINFO_COPIED_PAGE]) / MB,
	       per_second(interval, grown[FDINFO_COPIED_FOREIGN]) / MB);
}

static void print_chunks(const struct ifq *ifq)
{
	const int64_t *values = ifq->info.values;
	int64_t nic, sockets;

	printf("  %7" PRId64 " %7" PRId64, values[FDINFO_FREE], values[FDINFO_HELD]);
	if (split_elsewhere(ifq, &nic, &sockets))
		printf(" %7" PRId64 " %7" PRId64, nic, sockets);
	else
		printf(" %7s %7s", "-", "-");
}

static void print_interval(const struct interval *interval)
{
	const struct ifq *ifq = interval->ifq;
	char queue[12] = "-";

	if (fdinfo_is_bound(&ifq->info))
		snprintf(queue, sizeof(queue), "%u", ifq->info.rxq);
	printf("%-10s %5s %7d %-15s %-7s ", ifq_interface_text(ifq), queue,
	       ifq->holders[0].pid, ifq->holders[0].name, ifq->info.state);
	print_received(interval);
	print_chunks(ifq);
	printf("  %6" PRId64 " %7" PRId64 " %5" PRId64 "\n",
	       ifq->info.values[FDINFO_PAUSES], times_to_copy(&ifq->info),
	       times_to_on(&ifq->info));
}

static void add_rate(struct json_object *json, const char *key,
		     const struct interval *interval, int64_t amount)
{
	json_object_object_add(json, key, !interval->seconds ? NULL :
		json_object_new_double(per_second(interval, amount)));
}

static void add_chunks(struct json_object *json, const struct ifq *ifq)
{
	int64_t nic, sockets;
	bool known = split_elsewhere(ifq, &nic, &sockets);

	json_object_object_add(json, "elsewhere", json_object_new_int64(
			       chunks_elsewhere(&ifq->info)));
	json_object_object_add(json, "in_nic", !known ? NULL :
			       json_object_new_int64(nic));
	json_object_object_add(json, "in_sockets", !known ? NULL :
			       json_object_new_int64(sockets));
}

static void add_states(struct json_object *json, const struct fdinfo *info)
{
	json_object_object_add(json, "to_copy",
			       json_object_new_int64(times_to_copy(info)));
	json_object_object_add(json, "to_on",
			       json_object_new_int64(times_to_on(info)));
}

static struct json_object *interval_json(const struct interval *interval)
{
	struct json_object *json = ifq_json(interval->ifq);
	const int64_t *grown = interval->grown;

	json_object_object_add(json, "counted_by", json_object_new_string(
			       interval->by_bpf ? "bpf" : "fdinfo"));
	add_chunks(json, interval->ifq);
	json_object_object_add(json, "seconds",
			       json_object_new_double(interval->seconds));
	add_rate(json, "bytes_per_second", interval,
		 grown[FDINFO_ZC_BYTES] + interval->copied);
	json_object_object_add(json, "zero_copied_share_now",
			       share_json(grown[FDINFO_ZC_BYTES],
					  interval->copied));
	add_rate(json, "copies_per_second", interval, grown[FDINFO_COPIES]);
	add_rate(json, "copied_linear_per_second", interval,
		 grown[FDINFO_COPIED_LINEAR]);
	add_rate(json, "copied_page_per_second", interval,
		 grown[FDINFO_COPIED_PAGE]);
	add_rate(json, "copied_foreign_per_second", interval,
		 grown[FDINFO_COPIED_FOREIGN]);
	add_states(json, &interval->ifq->info);

	return json;
}

static void print_sample_json(const struct sample *before,
			      const struct sample *after)
{
	const struct survey *survey = &after->survey;
	struct json_object *json = json_object_new_object();
	struct json_object *ifqs = json_object_new_array();
	struct interval interval;
	size_t i;

	for (i = 0; i < survey->nr; i++) {
		if (!survey->ifqs[i].nr_holders)
			continue;
		measure(&interval, before, after, &survey->ifqs[i]);
		json_object_array_add(ifqs, interval_json(&interval));
	}
	json_object_object_add(json, "ifqs", ifqs);
	print_json(json, JSON_C_TO_STRING_PLAIN);
}

static void print_sample(const struct sample *before,
			 const struct sample *after)
{
	const struct survey *survey = &after->survey;
	struct interval interval;
	size_t i, nr = 0;

	if (isatty(STDOUT_FILENO))
		fputs(CLEAR_SCREEN, stdout);
	print_header();
	for (i = 0; i < survey->nr; i++) {
		if (!survey->ifqs[i].nr_holders)
			continue;
		measure(&interval, before, after, &survey->ifqs[i]);
		print_interval(&interval);
		nr++;
	}
	if (!nr)
		puts(geteuid() ? "no ifqs of this user: root sees all" : "no ifqs");
	printf("COPIES: pieces/s; LINEAR, PAGE, FOREIGN: MB/s copied, by reason; FREE to SOCKETS: chunks; PAUSES to TO-ON: so far\n");
	fflush(stdout);
}

static void take_sample(struct sample *sample, struct counts_bpf *bpf)
{
	survey_make(&sample->survey);
	counts_read(bpf, &sample->counts);
}

static void free_sample(struct sample *sample)
{
	survey_free(&sample->survey);
	counts_free(&sample->counts);
}

static void watch(const struct options *options, struct counts_bpf *bpf)
{
	struct sample before, after;
	unsigned int i;

	take_sample(&before, bpf);
	for (i = 0; !options->count || i < options->count; i++) {
		sleep(1);
		take_sample(&after, bpf);
		keep_busy(&before.survey, &after.survey);
		if (options->json)
			print_sample_json(&before, &after);
		else
			print_sample(&before, &after);
		free_sample(&before);
		before = after;
	}
	free_sample(&before);
}

/**
 * watch_ifqs() - zcrxctl top
 * @options: of the command line
 *
 * Return: exit status.
 */
int watch_ifqs(const struct options *options)
{
	char why[LOAD_WHY_SIZE];
	struct counts_bpf *bpf = counts_start(why);

	if (!bpf)
		warnx("counting without BPF, by /proc/PID/fdinfo: %s", why);
	watch(options, bpf);
	counts_stop(bpf);

	return STATUS_OK;
}
