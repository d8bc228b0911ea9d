// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "faults.h"

#define DEBUGFS		"/sys/kernel/debug/"
#define SLABS		"/sys/kernel/slab/"
#define FUNCTION	"fail_function/"

/* More faults than any test has time for */
#define MANY		"1000000000"

static pid_t main_pid;

/* Of the thread that opened them */
static int fail_nth_fd = -1;
static int make_it_fail_fd = -1;

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);

	return ok;
}

static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	if (n < 0)
		return false;
	text[n] = 0;

	return true;
}

static bool set(const char *name, const char *value)
{
	char path[256];

	snprintf(path, sizeof(path), DEBUGFS "%s", name);

	return write_text(path, value);
}

static bool get(const char *name, char *value, size_t size)
{
	char path[256];

	snprintf(path, sizeof(path), DEBUGFS "%s", name);

	return read_text(path, value, size);
}

/*
 * Settings, in the order in which they are made: for tasks that want to fail,
 * of which there are none until faults_arm(). They are taken back in the
 * reverse order.
 */
static struct {
	const char	*name;
	const char	*value;
	bool		optional;
	char		old[32];
} settings[] = {
#define SETTING(_name, _value)	{ .name = _name, .value = _value }
#define OF_ALL(_what, ...)						\
	{ .name = _what "/verbose",	.value = "0",	##__VA_ARGS__ }, \
	{ .name = _what "/task-filter",	.value = "Y",	##__VA_ARGS__ }, \
	{ .name = _what "/interval",	.value = "1",	##__VA_ARGS__ }, \
	{ .name = _what "/space",	.value = "0",	##__VA_ARGS__ }, \
	{ .name = _what "/times",	.value = "-1",	##__VA_ARGS__ }

	OF_ALL("failslab"),
	SETTING("failslab/ignore-gfp-wait", "N"),
	SETTING("failslab/cache-filter", "Y"),
	SETTING("failslab/probability", "100"),
	OF_ALL("fail_page_alloc"),
	SETTING("fail_page_alloc/ignore-gfp-wait", "N"),
	SETTING("fail_page_alloc/min-order", "0"),
	SETTING("fail_page_alloc/probability", "100"),
	OF_ALL("fail_usercopy"),
	SETTING("fail_usercopy/probability", "0"),
	OF_ALL("fail_function", .optional = true),
	{ .name = "fail_function/probability", .value = "0", .optional = true },
#undef OF_ALL
#undef SETTING
};

#define NR_SETTINGS	(sizeof(settings) / sizeof(settings[0]))

/*
 * Without objects of its own kmemleak gives up for good, and finds nothing any
 * more.
 */
static bool may_fail(const char *cache)
{
	return cache[0] != '.' && strncmp(cache, "kmemleak_", 9);
}

/* Returns how many caches have it. */
static unsigned int mark_caches(const char *value)
{
	unsigned int nr = 0;
	struct dirent *e;
	char path[512];
	DIR *dir;

	dir = opendir(SLABS);
	if (!dir)
		return 0;
	while ((e = readdir(dir))) {
		snprintf(path, sizeof(path), SLABS "%s/failslab", e->d_name);
		nr += may_fail(e->d_name) && write_text(path, value);
	}
	closedir(dir);

	return nr;
}

static void restore(void)
{
	unsigned int i;

	if (getpid() != main_pid)
		return;
	faults_stop_function();
	for (i = NR_SETTINGS; i--;)
		if (settings[i].old[0])
			set(settings[i].name, settings[i].old);
	mark_caches("0");
}

/**
 * faults_setup() - get ready, until the process exits
 *
 * Return: NULL, or what the kernel lacks.
 */
const char *faults_setup(void)
{
	static char why[160];
	unsigned int i;

	if (access("/proc/self/fail-nth", F_OK))
		return "CONFIG_FAULT_INJECTION";
	if (access(DEBUGFS "failslab", F_OK))
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);

	main_pid = getpid();
	atexit(restore);
	for (i = 0; i < NR_SETTINGS; i++) {
		const char *name = settings[i].name;

		if (get(name, settings[i].old, sizeof(settings[i].old)) &&
		    set(name, settings[i].value))
			continue;
		if (settings[i].optional)
			continue;
		snprintf(why, sizeof(why),
			 "%s in debugfs (CONFIG_FAULT_INJECTION_DEBUG_FS, _USERCOPY, CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC)",
			 name);
		return why;
	}

	return mark_caches("1") ? NULL : "caches that may fail (" SLABS "*/failslab)";
}

/**
 * faults_open() - have faults in this thread
 *
 * To be called before faults_arm(), in each process anew.
 *
 * Return: whether it worked.
 */
bool faults_open(void)
{
	fail_nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	make_it_fail_fd = open("/proc/thread-self/make-it-fail",
			       O_RDWR | O_CLOEXEC);

	return fail_nth_fd >= 0 && make_it_fail_fd >= 0;
}

/* What could fail here does not, or has just done so: that is no harm. */
static void put_number(int fd, unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);
	ssize_t ret = pwrite(fd, text, len, 0);

	(void)ret;
}

/**
 * faults_arm() - have a fault in a system call that this thread makes next
 * @kind: or more of them
 * @n: the n-th thing that can fail does
 */
void faults_arm(enum faults_kind kind, unsigned int n)
{
	if (kind == FAULTS_FROM)
		put_number(make_it_fail_fd, 1);
	put_number(fail_nth_fd, n);
}

/**
 * faults_disarm() - no faults any more
 *
 * Return: 0 if there was one; otherwise how many things more would have had to
 * be tried.
 */
unsigned int faults_disarm(void)
{
	char text[16] = "";
	unsigned int left;

	/* To read it is a thing that can fail, too: the last before the fault. */
	left = pread(fail_nth_fd, text, sizeof(text) - 1, 0) < 0 ?
	       1 : strtoul(text, NULL, 10);
	put_number(fail_nth_fd, 0);
	put_number(make_it_fail_fd, 0);

	return left;
}

static bool set_allocations(const char *name, const char *value)
{
	char path[64];
	bool ok;

	snprintf(path, sizeof(path), "failslab/%s", name);
	ok = set(path, value);
	snprintf(path, sizeof(path), "fail_page_alloc/%s", name);

	return set(path, value) && ok;
}

/**
 * faults_start_everywhere() - fail allocations of whoever can't wait: interrupts
 *			       and those who hold locks
 * @percent: so many of them
 *
 * Return: whether it worked.
 */
bool faults_start_everywhere(unsigned int percent)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", percent);

	return set_allocations("ignore-gfp-wait", "Y") &&
	       set_allocations("probability", text) &&
	       set_allocations("times", MANY) &&
	       set_allocations("task-filter", "N");
}

/**
 * faults_stop_everywhere() - undo faults_start_everywhere()
 *
 * Return: how many allocations have failed.
 */
unsigned int faults_stop_everywhere(void)
{
	char slab[32] = MANY, page[32] = MANY;

	set_allocations("task-filter", "Y");
	get("failslab/times", slab, sizeof(slab));
	get("fail_page_alloc/times", page, sizeof(page));
	set_allocations("times", "-1");
	set_allocations("probability", "100");
	set_allocations("ignore-gfp-wait", "N");

	return 2 * strtol(MANY, NULL, 10) - strtol(slab, NULL, 10) -
	       strtol(page, NULL, 10);
}

/* Does a file have a line with both words? */
static bool has_line(const char *path, const char *word, const char *other)
{
	char line[256];
	bool has = false;
	FILE *f;

	f = fopen(path, "r");
	while (f && !has && fgets(line, sizeof(line), f))
		has = strstr(line, word) && strstr(line, other);
	if (f)
		fclose(f);

	return has;
}

/* Where a breakpoint is needed to get at the function */
static bool is_breakpoint(const char *function)
{
	bool traced;

	set(FUNCTION "inject", function);
	traced = has_line(DEBUGFS "kprobes/list", function, "[FTRACE]");
	set(FUNCTION "inject", "\n");

	return !traced;
}

/**
 * faults_refuse_function() - can't a function of the kernel be made to fail?
 * @function: its name
 *
 * Return: NULL if it can, or why not.
 */
const char *faults_refuse_function(const char *function)
{
	if (!has_line(DEBUGFS FUNCTION "injectable", function, "ERRNO"))
		return "without CONFIG_FAIL_FUNCTION, or ALLOW_ERROR_INJECTION() for it";
	/* Fault injection asks for a random number there: lockdep complains. */
	if (is_breakpoint(function))
		return "without CONFIG_FUNCTION_TRACER: in the handler of a breakpoint, fault injection takes a lock that it must not";

	return NULL;
}

/**
 * faults_start_function() - have a function fail, once, instead of being run
 * @function: one that faults_refuse_function() does not refuse
 * @error: what it returns
 * @after: in so many calls before it does not fail
 *
 * Return: whether it worked.
 */
bool faults_start_function(const char *function, int error, unsigned int after)
{
	char path[128], text[32];

	/* A call takes one from the space as long as there is more than that. */
	snprintf(text, sizeof(text), "%u", after + 1);
	snprintf(path, sizeof(path), FUNCTION "%s/retval", function);
	if (!set(FUNCTION "times", "0") || !set(FUNCTION "space", text) ||
	    !set(FUNCTION "task-filter", "N") ||
	    !set(FUNCTION "inject", function))
		return false;
	snprintf(text, sizeof(text), "%#lx", (unsigned long)error);

	return set(path, text) && set(FUNCTION "probability", "100") &&
	       set(FUNCTION "times", "1");
}

/**
 * faults_stop_function() - no function fails any more
 *
 * Return: whether one did.
 */
bool faults_stop_function(void)
{
	char text[32] = "";
	bool failed;

	failed = get(FUNCTION "times", text, sizeof(text)) &&
		 !strtol(text, NULL, 10);
	set(FUNCTION "probability", "0");
	set(FUNCTION "task-filter", "Y");
	set(FUNCTION "inject", "\n");

	return failed;
}

/**
 * faults_spoil_kmemleak() - has kmemleak given up?
 *
 * Return: true if it is there, and finds nothing any more.
 */
bool faults_spoil_kmemleak(void)
{
	/* It obeys as long as it works; this is how it is anyway. */
	return !access(DEBUGFS "kmemleak", F_OK) && !set("kmemleak", "stack=on");
}
