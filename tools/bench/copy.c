// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * zcrx-bench-copy - is the back end that copies as good as the best plain ways
 * to receive? Over loopback, on this machine, side by side.
 *
 * A sender on one CPU, a receiver on another, processes of their own for each
 * run. Runs alternate between the ways, and what is told are medians of several
 * rounds: throughput, the receiver's CPU time, and how they compare within a
 * round. Nobody looks at the payload.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "copy.h"

#define MAX_ROUNDS	64
#define WARM_UP_BYTES	(32LL << 20)	/* first touches memory */
#define MIN_THROUGHPUT	0.85	/* of --check, loose: machines have other work */
#define MAX_CPU		1.25

static const struct way *const ways[] = { &epoll_way, &uring_way, &queue_way };
static const unsigned int conns[] = { 1, 16, 256 };

#define NR_WAYS		(sizeof(ways) / sizeof(ways[0]))
#define NR_CONNS	(sizeof(conns) / sizeof(conns[0]))
#define OURS		(NR_WAYS - 1)

struct result {
	double	gbps;
	double	cpu;		/* seconds per gigabyte */
	double	gbps_ratio;	/* ours to this one */
	double	cpu_ratio;
};

static unsigned int nr_rounds = 15;
static long long run_bytes = 256LL << 20;
static struct result results[NR_CONNS][NR_WAYS];

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double cpu_time(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_utime.tv_usec / 1e6 +
	       usage.ru_stime.tv_sec + usage.ru_stime.tv_usec / 1e6;
}

/*
 * Connections: made beforehand, inherited by both processes
 */

static void connect_pair(int listener, struct sockaddr_in *addr, int *in,
			 int *out)
{
	*out = socket(AF_INET, SOCK_STREAM, 0);
	if (*out < 0 || connect(*out, (struct sockaddr *)addr, sizeof(*addr)))
		err(1, "can't connect over loopback");
	*in = accept(listener, NULL, NULL);
	if (*in < 0)
		err(1, "can't accept over loopback");
}

static void connect_pairs(unsigned int nr, int *in, int *out)
{
	struct sockaddr_in addr = {
		.sin_family	 = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	unsigned int i;

	if (listener < 0 ||
	    bind(listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(listener, 8) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len))
		err(1, "can't listen at loopback");
	for (i = 0; i < nr; i++)
		connect_pair(listener, &addr, &in[i], &out[i]);
	close(listener);
}

static void close_all(unsigned int nr, const int *fds)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		close(fds[i]);
}

/*
 * The sender: as much as each connection takes, in turn
 */

static void send_all(unsigned int nr, const int *fds)
{
	struct epoll_event event = { .events = EPOLLOUT }, events[64];
	static char payload[SEND_SIZE];
	long long left = WARM_UP_BYTES + run_bytes;
	int epfd = epoll_create1(0), i, n;
	ssize_t sent;

	for (i = 0; i < (int)nr; i++) {
		event.data.fd = fds[i];
		fcntl(fds[i], F_SETFL, O_NONBLOCK);
		epoll_ctl(epfd, EPOLL_CTL_ADD, fds[i], &event);
	}
	while (left) {
		n = epoll_wait(epfd, events, 64, -1);
		for (i = 0; i < n && left; i++) {
			sent = send(events[i].data.fd, payload,
				    left < SEND_SIZE ? left : SEND_SIZE, 0);
			if (sent > 0)
				left -= sent;
		}
	}
}

static pid_t start_sender(unsigned int nr, const int *in, const int *out)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "can't start a sender");
	if (pid)
		return pid;
	close_all(nr, in);
	pin(0);
	send_all(nr, out);
	/* Connections stay open until all has been received. */
	pause();
	_exit(0);
}

/*
 * The receiver
 */

static void receive(const struct way *way, unsigned int nr, const int *in,
		    struct result *result)
{
	double start, cpu, gb;
	long long early;

	pin(1);
	way->set_up(nr, in);
	early = way->receive(WARM_UP_BYTES);
	start = now();
	cpu = cpu_time();
	gb = way->receive(WARM_UP_BYTES + run_bytes - early) / 1e9;
	result->gbps = 8 * gb / (now() - start);
	result->cpu = (cpu_time() - cpu) / gb;
}

static void run(const struct way *way, unsigned int nr, struct result *result)
{
	int in[256], out[256], status;
	pid_t sender, receiver;

	connect_pairs(nr, in, out);
	receiver = fork();
	if (receiver < 0)
		err(1, "can't start a receiver");
	if (!receiver) {
		close_all(nr, out);
		receive(way, nr, in, result);
		_exit(0);
	}
	sender = start_sender(nr, in, out);
	close_all(nr, in);
	close_all(nr, out);
	waitpid(receiver, &status, 0);
	kill(sender, SIGKILL);
	waitpid(sender, NULL, 0);
	if (status)
		errx(1, "the receiver \"%s\" failed", way->name);
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *values, unsigned int nr)
{
	qsort(values, nr, sizeof(*values), compare);
	return nr % 2 ? values[nr / 2] :
			(values[nr / 2 - 1] + values[nr / 2]) / 2;
}

/* Medians over the rounds of one field */
#define MEDIAN(rounds, way, field) ({					\
	double values[MAX_ROUNDS];					\
	unsigned int r;							\
									\
	for (r = 0; r < nr_rounds; r++)					\
		values[r] = (rounds)[r][way].field;			\
	median(values, nr_rounds);					\
})

/* Every way once in each round, and a first round that does not count. */
static void measure(unsigned int c, struct result *shared)
{
	static struct result rounds[MAX_ROUNDS][NR_WAYS];
	struct result *r;
	unsigned int i, w;

	for (i = 0; i <= nr_rounds; i++) {
		r = rounds[i ? i - 1 : 0];
		for (w = 0; w < NR_WAYS; w++) {
			run(ways[w], conns[c], shared);
			r[w] = *shared;
		}
		for (w = 0; w < NR_WAYS; w++) {
			r[w].gbps_ratio = r[OURS].gbps / r[w].gbps;
			r[w].cpu_ratio = r[OURS].cpu / r[w].cpu;
		}
	}
	for (w = 0; w < NR_WAYS; w++) {
		r = &results[c][w];
		r->gbps = MEDIAN(rounds, w, gbps);
		r->cpu = MEDIAN(rounds, w, cpu);
		r->gbps_ratio = MEDIAN(rounds, w, gbps_ratio);
		r->cpu_ratio = MEDIAN(rounds, w, cpu_ratio);
	}
}

/*
 * Telling
 */

static void print_table(void)
{
	unsigned int c, w;

	printf("connections  way      Gb/s  CPU s/GB   copy: throughput  CPU\n");
	for (c = 0; c < NR_CONNS; c++)
		for (w = 0; w < NR_WAYS; w++) {
			printf("%11u  %-5s  %6.1f  %8.4f", conns[c],
			       ways[w]->name, results[c][w].gbps,
			       results[c][w].cpu);
			if (w != OURS)
				printf("   %16.2f %4.2f",
				       results[c][w].gbps_ratio,
				       results[c][w].cpu_ratio);
			printf("\n");
		}
}

static void write_json(const char *path)
{
	FILE *file = fopen(path, "w");
	unsigned int c, w;

	if (!file)
		err(1, "can't write %s", path);
	fprintf(file, "{\"rounds\": %u, \"bytes\": %lld, \"runs\": [", nr_rounds,
		run_bytes);
	for (c = 0; c < NR_CONNS; c++)
		for (w = 0; w < NR_WAYS; w++)
			fprintf(file, "%s\n {\"connections\": %u, \"way\": \"%s\", \"gbps\": %.3f, \"cpu_s_per_gb\": %.5f, \"copy_gbps_ratio\": %.4f, \"copy_cpu_ratio\": %.4f}",
				c || w ? "," : "", conns[c], ways[w]->name,
				results[c][w].gbps, results[c][w].cpu,
				results[c][w].gbps_ratio,
				results[c][w].cpu_ratio);
	fprintf(file, "\n]}\n");
	if (fclose(file))
		err(1, "can't write %s", path);
}

static bool good_enough(void)
{
	unsigned int c, w;

	for (c = 0; c < NR_CONNS; c++)
		for (w = 0; w < OURS; w++)
			if (results[c][w].gbps_ratio < MIN_THROUGHPUT ||
			    results[c][w].cpu_ratio > MAX_CPU)
				return false;

	return true;
}

/* The benchmark itself keeps two CPUs busy. */
static bool has_other_work(void)
{
	double load;

	return getloadavg(&load, 1) == 1 &&
	       load > sysconf(_SC_NPROCESSORS_ONLN) + 1;
}

/* An exit status */
static int check_figures(void)
{
	if (good_enough())
		return 0;
	if (!has_other_work())
		return 1;
	printf("# the machine has too much other work to tell\n");

	return 77;
}

static const char usage[] =
	"usage: zcrx-bench-copy [--rounds N] [--bytes N] [--json FILE] [--check]\n\n"
	"Receives over loopback by epoll and recv(), by io_uring's recv, and by a queue's\n"
	"back end \"copy\", with 1, 16 and 256 connections.\n\n"
	"  --rounds N   medians of so many, up to 64 (15)\n"
	"  --bytes N    of each run (256 MiB)\n"
	"  --json FILE  figures for programs\n"
	"  --check      fail if copy is clearly worse than one of the others; exits with 77\n"
	"               if that may be because the machine has other work\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "json", required_argument, NULL, 'j' },
		{ "check", no_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	const char *json = NULL;
	struct result *shared;
	bool check = false;
	unsigned int c;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'r':
			nr_rounds = strtoul(optarg, NULL, 0);
			break;
		case 'b':
			run_bytes = strtoll(optarg, NULL, 0);
			break;
		case 'j':
			json = optarg;
			break;
		case 'c':
			check = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (optind != argc || !nr_rounds || nr_rounds > MAX_ROUNDS ||
	    run_bytes < 1 << 20) {
		fputs(usage, stderr);
		return 2;
	}

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "no memory");
	for (c = 0; c < NR_CONNS; c++)
		measure(c, shared);
	print_table();
	if (json)
		write_json(json);

	return check ? check_figures() : 0;
}
