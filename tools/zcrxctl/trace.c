// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* zcrxctl trace: a line for each piece that is copied */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "events.h"
#include "grow.h"
#include "load.h"
#include "numbers.h"
#include "survey.h"
#include "trace.skel.h"

#define NS		1000000000LL
#define WAIT_MS		1000

/* An IPv6 address in brackets, a colon, and a port */
#define END_SIZE	(INET6_ADDRSTRLEN + 10)

/**
 * struct tracer - what is traced
 * @bpf: the program that does it
 * @json: print JSON
 * @left: how many to print, 0: without end
 * @nr_lost: how many could not be, so far
 * @started: when the machine was, in nanoseconds since 1970
 */
struct tracer {
	struct trace_bpf	*bpf;
	bool			json;
	unsigned int		left;
	uint64_t		nr_lost;
	int64_t			started;
};

static const char *reason_word(uint32_t reason)
{
	static const char * const words[] = {
		[IORING_ZCRX_COPY_LINEAR]	= "linear",
		[IORING_ZCRX_COPY_PAGE]		= "page",
		[IORING_ZCRX_COPY_FOREIGN]	= "foreign",
	};

	if (reason < sizeof(words) / sizeof(words[0]) && words[reason])
		return words[reason];

	return "unknown";
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);

	return ts.tv_sec * NS + ts.tv_nsec;
}

/* An interface of another network namespace may have the index of one of ours. */
static const char *name_interface(const struct copy *copy,
				  char name[IF_NAMESIZE])
{
	if (!copy->if_idx || !proc_is_here(copy->pid))
		return NULL;

	return if_indextoname(copy->if_idx, name);
}

/* Of a connection; IPv4 is that also by a socket of IPv6. The port is in the same
 * place in both.
 */
static void name_end(char text[END_SIZE], const __u8 *address)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	memcpy(&v6, address, sizeof(v6));
	memcpy(&v4, address, sizeof(v4));
	if (v6.sin6_family == AF_INET) {
		inet_ntop(AF_INET, &v4.sin_addr, ip, sizeof(ip));
	} else if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
		inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], ip, sizeof(ip));
	} else {
		inet_ntop(AF_INET6, &v6.sin6_addr, ip, sizeof(ip));
		snprintf(text, END_SIZE, "[%s]:%u", ip, ntohs(v6.sin6_port));
		return;
	}
	snprintf(text, END_SIZE, "%s:%u", ip, ntohs(v4.sin_port));
}

static void print_header(void)
{
	printf("%-15s %-15s %5s %7s %-15s %7s %-7s  %s\n", "TIME", "INTERFACE",
	       "QUEUE", "PID", "PROCESS", "BYTES", "REASON", "CONNECTION");
}

static void print_copy(const struct tracer *tracer, const struct copy *copy)
{
	char ifname[IF_NAMESIZE], from[END_SIZE], to[END_SIZE];
	int64_t when = tracer->started + copy->when;
	char clock[16], queue[12] = "-";
	time_t seconds = when / NS;
	struct tm tm;

	strftime(clock, sizeof(clock), "%T", localtime_r(&seconds, &tm));
	if (copy->if_idx)
		snprintf(queue, sizeof(queue), "%u", copy->rxq);
	name_end(from, copy->from);
	name_end(to, copy->to);
	printf("%s.%06d %-15s %5s %7u %-15.15s %7u %-7s  %s -> %s\n", clock,
	       (int)(when % NS / 1000), name_interface(copy, ifname) ?: "-",
	       queue, copy->pid, copy->name, copy->len,
	       reason_word(copy->reason), from, to);
}

static void add_string(struct json_object *json, const char *key,
		       const char *text)
{
	json_object_object_add(json, key, !text ? NULL :
			       json_object_new_string(text));
}

static void print_copy_json(const struct tracer *tracer,
			    const struct copy *copy)
{
	char ifname[IF_NAMESIZE], from[END_SIZE], to[END_SIZE];
	struct json_object *json = json_object_new_object();
	double when = (double)(tracer->started + copy->when) / NS;

	name_end(from, copy->from);
	name_end(to, copy->to);
	json_object_object_add(json, "time", json_object_new_double(when));
	add_string(json, "interface", name_interface(copy, ifname));
	json_object_object_add(json, "queue", !copy->if_idx ? NULL :
			       json_object_new_int64(copy->rxq));
	json_object_object_add(json, "pid", json_object_new_int64(copy->pid));
	add_string(json, "name", copy->name);
	json_object_object_add(json, "tag", json_object_new_int64(copy->tag));
	json_object_object_add(json, "bytes", json_object_new_int64(copy->len));
	add_string(json, "reason", reason_word(copy->reason));
	add_string(json, "from", from);
	add_string(json, "to", to);
	print_json(json, JSON_C_TO_STRING_PLAIN);
}

static int on_copy(void *data, void *record, size_t size)
{
	struct copy copy = *(const struct copy *)record;
	struct tracer *tracer = data;

	(void)size;
	proc_clean_name(copy.name);
	if (tracer->json)
		print_copy_json(tracer, &copy);
	else
		print_copy(tracer, &copy);

	return tracer->left && !--tracer->left ? -ECANCELED : 0;
}

static void tell_lost(struct tracer *tracer)
{
	uint64_t nr = tracer->bpf->bss->nr_lost;

	if (nr > tracer->nr_lost)
		warnx("%" PRIu64 " copies are left out: too many at once",
		      nr - tracer->nr_lost);
	tracer->nr_lost = nr;
}

static int follow(struct tracer *tracer)
{
	struct ring_buffer *buffer;
	int ret;

	buffer = ring_buffer__new(bpf_map__fd(tracer->bpf->maps.copies),
				  on_copy, tracer, NULL);
	if (!buffer)
		err(STATUS_MISSING, "cannot read from BPF");
	do {
		ret = ring_buffer__poll(buffer, WAIT_MS);
		fflush(stdout);
		tell_lost(tracer);
	} while (ret >= 0 || ret == -EINTR);
	ring_buffer__free(buffer);

	return ret;
}

static int trace(struct tracer *tracer)
{
	int ret;

	tracer->started = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
	if (!tracer->json) {
		print_header();
		fflush(stdout);
	}
	ret = follow(tracer);
	if (ret == -ECANCELED)
		return STATUS_OK;
	warnx("reading from BPF failed: %s", strerror(-ret));

	return STATUS_MISSING;
}

/**
 * trace_copies() - zcrxctl trace
 * @options: of the command line
 *
 * Return: exit status.
 */
int trace_copies(const struct options *options)
{
	struct tracer tracer = {
		.bpf	= grow(NULL, 0, sizeof(*tracer.bpf)),
		.json	= options->json,
		.left	= options->count,
	};
	char why[LOAD_WHY_SIZE] = "no memory";
	int status = STATUS_MISSING;

	if (!trace_bpf__create_skeleton(tracer.bpf) &&
	    !load_programs(tracer.bpf->skeleton, why))
		status = trace(&tracer);
	else
		warnx("copies can't be traced: %s", why);
	trace_bpf__destroy(tracer.bpf);

	return status;
}
