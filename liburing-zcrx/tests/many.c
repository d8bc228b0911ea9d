// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What it costs to steer a connection, and to steer it no more, does not depend on
 * how many there are, nor on how many another owner has. The NIC is one that agrees
 * to each filter: it is the library that is timed, and what it reads and writes of
 * records is counted. The NIC is not to be searched. Times are told, not judged.
 */
#include <errno.h>
#include <liburing-zcrx.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "fake.h"
#include "fake_nic.h"
#include "ktap.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define MOST		10000
#define OTHERS		1000
#define SAMPLE		5

/* A record's line, with a few bytes to spare */
#define LINE		100

static const unsigned int numbers[] = { 10, 1000, MOST };

static int fds[MOST];

/*
 * Counting
 */

static unsigned long long nr_read;

ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __real_read(int fd, void *buf, size_t len);

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
	nr_read += len;

	return __real_read(fd, buf, len);
}

/* What is to be deleted is there, and in its place. */
static bool deletes;
static int nr_rules;
static unsigned int nr_searches;

int __wrap_zcrx_hw_nr_rules(unsigned int ifindex);
int __wrap_zcrx_hw_nr_rules_to(unsigned int ifindex,
			       const struct zcrx_target *target);
bool __wrap_zcrx_hw_is_rule_at(unsigned int ifindex,
			       const struct zcrx_flow *flow,
			       const struct zcrx_target *target,
			       unsigned int location);
int __wrap_zcrx_hw_find_rule(unsigned int ifindex, const struct zcrx_flow *flow,
			     const struct zcrx_target *target,
			     unsigned int *location);
int __wrap_zcrx_hw_add_rule(unsigned int ifindex, const struct zcrx_flow *flow,
			    const struct zcrx_target *target,
			    unsigned int *location);
int __wrap_zcrx_hw_del_rule(unsigned int ifindex, unsigned int location);

int __wrap_zcrx_hw_nr_rules(unsigned int ifindex)
{
	(void)ifindex;

	return nr_rules;
}

/* Asked for by an owner that has none */
int __wrap_zcrx_hw_nr_rules_to(unsigned int ifindex,
			       const struct zcrx_target *target)
{
	(void)ifindex;
	(void)target;
	nr_searches++;

	return 0;
}

bool __wrap_zcrx_hw_is_rule_at(unsigned int ifindex,
			       const struct zcrx_flow *flow,
			       const struct zcrx_target *target,
			       unsigned int location)
{
	(void)ifindex;
	(void)flow;
	(void)target;
	(void)location;

	return deletes;
}

int __wrap_zcrx_hw_find_rule(unsigned int ifindex, const struct zcrx_flow *flow,
			     const struct zcrx_target *target,
			     unsigned int *location)
{
	(void)ifindex;
	(void)flow;
	(void)target;
	(void)location;
	nr_searches++;

	return -ENOENT;
}

int __wrap_zcrx_hw_add_rule(unsigned int ifindex, const struct zcrx_flow *flow,
			    const struct zcrx_target *target,
			    unsigned int *location)
{
	(void)ifindex;
	(void)flow;
	(void)target;
	*location = nr_rules++;

	return 0;
}

int __wrap_zcrx_hw_del_rule(unsigned int ifindex, unsigned int location)
{
	(void)ifindex;
	(void)location;
	nr_rules--;

	return 0;
}

/*
 * Connections
 */

static int bound_listener(struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(*addr);

	if (bind(fd, (struct sockaddr *)addr, len) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)addr, &len))
		return -1;

	return fd;
}

/* The other end has gone, and the addresses are still known. */
static int half_connection(int listener, const struct sockaddr_in *addr)
{
	int theirs = socket(AF_INET, SOCK_STREAM, 0), ours = -1;

	if (!connect(theirs, (const struct sockaddr *)addr, sizeof(*addr)))
		ours = accept(listener, NULL, NULL);
	close(theirs);

	return ours;
}

static bool open_all(void)
{
	struct sockaddr_in addr = {
		.sin_family	 = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int listener = bound_listener(&addr);
	unsigned int i;

	for (i = 0; i < MOST; i++) {
		fds[i] = half_connection(listener, &addr);
		if (fds[i] < 0)
			return false;
	}
	close(listener);

	return true;
}

static bool may_open_all(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;

	return limit.rlim_max > MOST + 20 && !setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * Measuring
 */

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *us)
{
	qsort(us, SAMPLE, sizeof(*us), compare);

	return us[SAMPLE / 2];
}

static bool steer(struct zcrx_nic *nic, unsigned int from, unsigned int to)
{
	for (; from < to; from++)
		if (zcrx_nic_steer(nic, fds[from]))
			return false;

	return true;
}

/* The last ones of so many; returns bytes for each, and far too many if the NIC was
 * searched for filters.
 */
static unsigned long long measure(struct zcrx_nic *nic, unsigned int nr,
				  const char *what,
				  int (*change)(struct zcrx_nic *, int))
{
	unsigned long long bytes;
	double us[SAMPLE], start;
	unsigned int i;

	nr_read = 0;
	nr_searches = 0;
	fake_nic->nr_written = 0;
	for (i = 0; i < SAMPLE; i++) {
		start = now_us();
		if (change(nic, fds[nr - SAMPLE + i]))
			return -1ULL;
		us[i] = now_us() - start;
	}
	bytes = (nr_read + fake_nic->nr_written) / SAMPLE;
	printf("# %5u connections: one %s in %.1f us, %llu bytes\n", nr, what,
	       median(us), bytes);

	return nr_searches ? -1ULL : bytes;
}

static void same_cost(void)
{
	struct zcrx_nic *nic, *other;
	unsigned int i, nr = 0;

	if (!may_open_all())
		SKIP("ulimit -n is too low");
	fake_reset(FAKE_OURS);
	fake_nic_reset();
	fake_nic->has_rules = true;
	EXPECT(open_all() && !zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(!zcrx_nic_open(&other, FAKE_NAME, -1));
	EXPECT(steer(other, 0, OTHERS));
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		EXPECT(steer(nic, nr, numbers[i] - SAMPLE));
		nr = numbers[i];
		EXPECT(measure(nic, nr, "added", zcrx_nic_steer) < LINE);
		deletes = true;
		EXPECT(measure(nic, nr, "removed", zcrx_nic_unsteer) < LINE);
		deletes = false;
		EXPECT(steer(nic, nr - SAMPLE, nr));
	}
	zcrx_nic_close(other);
	zcrx_nic_close(nic);
	EXPECT(!fake_nic_nr_records());
}

static const struct ktap_case cases[] = {
	{ "steering costs the same however many there are", same_cost },
};

int main(void)
{
	int ret;

	fake_nic_init();
	ret = ktap_run(cases, ARRAY_SIZE(cases));
	fake_nic_exit();

	return ret;
}
