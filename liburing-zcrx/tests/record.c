// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Records of what is to be put back: whole ones come back as they were, others
 * not at all, and an owner's death is seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing-zcrx.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../src/nic_record.h"
#include "flow_of.h"
#include "ktap.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static const uint32_t table[] = { 0, 0, 1, 1, 2, 2, 3, 3 };

static struct zcrx_record *full_record(void)
{
	struct zcrx_record *rec = zcrx_record_new("eth0", 3);
	struct zcrx_flow flow;

	rec->split = 1;
	rec->threshold = 256;
	rec->filters_off = true;
	strcpy(rec->device, "0000:01:00.0");
	zcrx_record_set_table(rec, table, ARRAY_SIZE(table));
	rec->moved[2] = 1;
	rec->moved[7] = 1;
	rec->context = true;
	flow = flow_of("192.0.2.1", 5201, "192.0.2.2", 40000);
	zcrx_record_add_rule(rec, &flow);
	flow = flow_of("::", 0, "2001:db8::2", 443);
	zcrx_record_add_rule(rec, &flow);

	return rec;
}

static const char full_text[] =
	"zcrx-nic 1\ninterface eth0\npid 4711\nqueue 3\nsplit 1\n"
	"device 0000:01:00.0\nthreshold 256\nfilters-off\n"
	"table 0 0 1 1 2 2 3 3\nmoved 2 7\ncontext\n"
	"rule 192.0.2.1 5201 192.0.2.2 40000\nrule :: 0 2001:db8::2 443\nend\n";

/* Memory that there is not */
static bool no_memory;

void *__wrap_realloc(void *old, size_t size);
void *__real_realloc(void *old, size_t size);

void *__wrap_realloc(void *old, size_t size)
{
	return no_memory ? NULL : __real_realloc(old, size);
}

static int parse(const char *text)
{
	char *copy = strdup(text);
	struct zcrx_record *rec = NULL;
	int ret = zcrx_record_parse(copy, &rec);

	if (!ret)
		zcrx_record_free(rec);
	free(copy);

	return ret;
}

static bool parses(const char *text)
{
	return !parse(text);
}

static void there_and_back(void)
{
	struct zcrx_record *rec = full_record(), *again;
	char *text, *text_again;

	rec->pid = 4711;
	text = zcrx_record_print(rec);
	EXPECT(text && !strcmp(text, full_text));
	EXPECT(!zcrx_record_parse(text, &again));
	EXPECT(!again->alive && again->lock == -1);
	text_again = zcrx_record_print(again);
	EXPECT(text_again && !strcmp(text_again, full_text));
	zcrx_record_free(rec);
	zcrx_record_free(again);
	free(text);
	free(text_again);
}

static void least(void)
{
	EXPECT(parses("zcrx-nic 1\ninterface eth0\nqueue 0\nend\n"));
}

/* Without its last byte it may be whole, but it does not say so. */
static void truncated(void)
{
	char text[sizeof(full_text)];
	size_t len;

	for (len = 0; len < sizeof(full_text) - 1; len++) {
		memcpy(text, full_text, len);
		text[len] = '\0';
		EXPECT(!parses(text));
	}
}

static void garbled(void)
{
	static const char *const bad[] = {
		"", "\n", "end\n", "zcrx-nic 1\n", "zcrx-nic 1\nend\n",
		"zcrx-nic 2\ninterface eth0\nqueue 0\nend\n",
		"zcrx-nic 1\ninterface eth0\nend\n",
		"zcrx-nic 1\nqueue 0\nend\n",
		"zcrx-nic 1\ninterface \nqueue 0\nend\n",
		"zcrx-nic 1\ninterface a-name-that-is-too-long\nqueue 0\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\ndevice \nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue -1\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 65536\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 99999999999999999999\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0 0\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nsplit 256\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nend\nmore\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nwhat\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nwhat 1\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\ntable\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\ntable \nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\ntable 0 x\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\ntable 0  1\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\ntable 0 1\ntable 0 1\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nmoved 0\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\ntable 0 1\nmoved 2\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nrule\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nrule 1.2.3.4 1 1.2.3.4\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nrule 1.2.3.4 1 1.2.3 1\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nrule 1.2.3.4 1 ::1 1\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nrule ::1 1 ::1 65536\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nrule ::1 1 ::1 1 1\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nno-rule ::1 1 ::1 1\nend\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nend\nkept\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nend\nsplit 1\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nend\nrule ::1 1 ::1\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nend\nno-rule ::1 1 ::1\n",
		"zcrx-nic 1\ninterface eth0\nqueue 0\nend\n\n",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parses(bad[i]))
			printf("# taken for a record: %s\n", bad[i]);
		EXPECT(parse(bad[i]) == -EBADMSG);
	}
}

/* Want of memory says nothing about the text. */
static void without_memory(void)
{
	int ret;

	no_memory = true;
	ret = parse(full_text);
	no_memory = false;
	EXPECT(ret == -ENOMEM && parses(full_text));
}

/* Every byte something else: what comes of it does not matter, if it ends. */
static void any_byte(void)
{
	static const char others[] = "\n 0:z\xff";
	char text[sizeof(full_text)];
	size_t at, i;

	for (at = 0; at < sizeof(full_text) - 1; at++) {
		for (i = 0; i < sizeof(others) - 1; i++) {
			memcpy(text, full_text, sizeof(text));
			text[at] = others[i];
			parses(text);
		}
	}
}

static const char least_text[] = "zcrx-nic 1\ninterface eth0\nqueue 0\nend\n";

/* Lines that come after the end, in their order; returns how many filters are left. */
static int nr_rules_after(const char *lines, size_t len)
{
	char text[sizeof(least_text) + 512];
	struct zcrx_record *rec;
	int nr;

	snprintf(text, sizeof(text), "%s%.*s", least_text, (int)len, lines);
	if (zcrx_record_parse(text, &rec))
		return -1;
	nr = rec->nr_rules;
	zcrx_record_free(rec);

	return nr;
}

static void changes(void)
{
	static const struct {
		const char	*lines;
		int		nr;
	} tests[] = {
		{ "", 0 },
		{ "rule ::1 1 ::1 1\n", 1 },
		{ "rule ::1 1 ::1 1\nrule ::1 1 ::1 2\n", 2 },
		{ "rule ::1 1 ::1 1\nrule ::1 1 ::1 1\n", 1 },
		{ "rule ::1 1 ::1 1\nno-rule ::1 1 ::1 1\n", 0 },
		{ "no-rule ::1 1 ::1 1\nrule ::1 1 ::1 1\n", 1 },
		{ "rule ::1 1 ::1 1\nno-rule ::1 1 ::1 1\nrule ::1 1 ::1 1\n", 1 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tests); i++)
		EXPECT(nr_rules_after(tests[i].lines, strlen(tests[i].lines)) ==
		       tests[i].nr);
}

/* Its owner has died of writing: only whole lines count. */
static void torn(void)
{
	static const char lines[] =
		"rule 192.0.2.1 5201 192.0.2.2 40000\nrule ::1 1 ::1 2\n"
		"no-rule 192.0.2.1 5201 192.0.2.2 40000\nno-rule ::1 1 ::1 2\n";
	static const int nr[] = { 0, 1, 2, 1, 0 };
	unsigned int whole = 0;
	size_t len;

	for (len = 0; len < sizeof(lines); len++) {
		whole += len && lines[len - 1] == '\n';
		EXPECT(nr_rules_after(lines, len) == nr[whole]);
	}
	EXPECT(whole == ARRAY_SIZE(nr) - 1);
}

static struct zcrx_flow flow_nr(unsigned int nr)
{
	return flow_of("192.0.2.1", 1 + nr / 50000, "192.0.2.2",
		       1 + nr % 50000);
}

/* More than there are buckets, deleted in another order */
static void many_rules(void)
{
	struct zcrx_record *rec = zcrx_record_new("eth0", 0);
	const unsigned int nr = 3 * ZCRX_RULE_BUCKETS;
	struct zcrx_flow flow;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		flow = flow_nr(i);
		EXPECT(!zcrx_record_find_rule(rec, &flow));
		EXPECT(!zcrx_record_add_rule(rec, &flow));
	}
	for (i = 0; i < nr; i += 2) {
		flow = flow_nr(i);
		zcrx_record_del_rule(rec, &flow);
	}
	EXPECT(rec->nr_rules == nr / 2);
	for (i = 0; i < nr; i++) {
		flow = flow_nr(i);
		EXPECT(!zcrx_record_find_rule(rec, &flow) == !(i % 2));
	}
	zcrx_record_del_rules(rec);
	flow = flow_nr(1);
	EXPECT(!rec->nr_rules && !zcrx_record_find_rule(rec, &flow));
	zcrx_record_free(rec);
}

/* Flows of peers and ports in a row are found at once. */
static void rules_spread(void)
{
	struct zcrx_record *rec = zcrx_record_new("eth0", 0);
	unsigned int i, nr, len, longest = 0;
	struct zcrx_flow flow;
	char peer[32];

	for (i = 0; i < 6400; i++) {
		snprintf(peer, sizeof(peer), "198.51.100.%u", i / 100);
		flow = flow_of("192.0.2.1", 5201, peer, 40000 + i % 100);
		EXPECT(!zcrx_record_add_rule(rec, &flow));
	}
	for (i = 0; i < ZCRX_RULE_BUCKETS; i++) {
		len = 0;
		for (nr = rec->buckets[i]; nr; nr = rec->rules[nr - 1].next)
			len++;
		longest = len > longest ? len : longest;
	}
	printf("# up to %u in a place\n", longest);
	EXPECT(longest < 16);
	zcrx_record_free(rec);
}

static void rules(void)
{
	struct zcrx_flow a = flow_of("192.0.2.1", 1, "192.0.2.2", 2);
	struct zcrx_flow b = flow_of("192.0.2.1", 1, "192.0.2.2", 3);
	struct zcrx_record *rec = zcrx_record_new("eth0", 0);

	EXPECT(!zcrx_record_add_rule(rec, &a));
	EXPECT(!zcrx_record_add_rule(rec, &b));
	zcrx_record_del_rule(rec, &a);
	EXPECT(!zcrx_record_find_rule(rec, &a) && zcrx_record_find_rule(rec, &b));
	zcrx_record_del_rule(rec, &a);
	zcrx_record_del_rule(rec, &b);
	EXPECT(rec->nr_rules == 0);
	zcrx_record_free(rec);
}

/*
 * Files
 */

static char path[64];

static int make_dir(void)
{
	strcpy(path, "/tmp/zcrx-record-XXXXXX");

	if (!mkdtemp(path))
		return -1;

	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void remove_dir(int dir)
{
	char command[96];

	close(dir);
	snprintf(command, sizeof(command), "rm -r %s", path);
	if (system(command))
		printf("# %s fails\n", command);
}

static void write_file(int dir, const char *name, const char *text, size_t len)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT, 0644);

	if (write(fd, text, len) != (ssize_t)len)
		ktap_failed = true;
	close(fd);
}

static void save_and_remove(void)
{
	struct zcrx_record *rec = full_record();
	struct zcrx_records recs;
	int dir = make_dir();

	EXPECT(dir >= 0);
	EXPECT(!zcrx_record_save(dir, rec));
	EXPECT(!zcrx_record_save(dir, rec));
	EXPECT(!zcrx_records_load(dir, NULL, &recs));
	EXPECT(recs.nr == 1 && recs.list[0]->alive && recs.list[0]->queue == 3);
	zcrx_records_free(&recs);
	EXPECT(!zcrx_record_remove(dir, rec));
	EXPECT(!zcrx_records_load(dir, NULL, &recs));
	EXPECT(recs.nr == 0 && !*recs.garbled);
	zcrx_records_free(&recs);
	zcrx_record_free(rec);
	remove_dir(dir);
}

/* How many filters has the record in its file? */
static int nr_rules_in(int dir)
{
	struct zcrx_records recs;
	int nr = -1;

	if (zcrx_records_load(dir, NULL, &recs))
		return -1;
	if (recs.nr == 1 && recs.list[0]->alive && !*recs.garbled)
		nr = recs.list[0]->nr_rules;
	zcrx_records_free(&recs);

	return nr;
}

static bool save_new(int dir, struct zcrx_record *rec, unsigned int nr)
{
	struct zcrx_flow flow = flow_nr(nr);

	return !zcrx_record_add_rule(rec, &flow) &&
	       !zcrx_record_save_rule(dir, rec, &flow);
}

static bool save_gone(int dir, struct zcrx_record *rec, unsigned int nr)
{
	struct zcrx_flow flow = flow_nr(nr);

	zcrx_record_del_rule(rec, &flow);

	return !zcrx_record_save_rule(dir, rec, &flow);
}

static void append(void)
{
	struct zcrx_record *rec = zcrx_record_new("eth0", 3);
	int dir = make_dir();
	struct stat before, after;

	EXPECT(dir >= 0 && !zcrx_record_save(dir, rec));
	EXPECT(!fstatat(dir, "queue-3", &before, 0));
	EXPECT(save_new(dir, rec, 1) && nr_rules_in(dir) == 1);
	EXPECT(save_new(dir, rec, 2) && nr_rules_in(dir) == 2);
	EXPECT(save_gone(dir, rec, 1) && nr_rules_in(dir) == 1);
	EXPECT(!fstatat(dir, "queue-3", &after, 0));
	EXPECT(before.st_ino == after.st_ino);

	/* It is there all the same, and still locked. */
	EXPECT(!unlinkat(dir, "queue-3", 0));
	EXPECT(save_new(dir, rec, 3) && nr_rules_in(dir) == 2);
	EXPECT(save_new(dir, rec, 4) && nr_rules_in(dir) == 3);
	zcrx_record_free(rec);
	remove_dir(dir);
}

/* The number of its file is another one's by now. */
static void append_elsewhere(void)
{
	struct zcrx_record *rec = zcrx_record_new("eth0", 3);
	int dir = make_dir(), other;
	struct stat st;

	EXPECT(dir >= 0 && !zcrx_record_save(dir, rec));
	other = openat(dir, "other", O_RDWR | O_CREAT, 0600);
	EXPECT(other >= 0 && dup2(other, rec->lock) == rec->lock);
	EXPECT(save_new(dir, rec, 1) && nr_rules_in(dir) == 1);
	EXPECT(!fstat(other, &st) && !st.st_size);
	close(other);
	zcrx_record_free(rec);
	remove_dir(dir);
}

/* What has gone does not fill the file. */
static void append_for_long(void)
{
	struct zcrx_record *rec = zcrx_record_new("eth0", 3);
	int dir = make_dir();
	struct stat st;
	off_t most = 0;
	unsigned int i;

	EXPECT(dir >= 0 && !zcrx_record_save(dir, rec));
	EXPECT(save_new(dir, rec, 0));
	for (i = 1; i < 5000; i++) {
		EXPECT(save_new(dir, rec, i) && save_gone(dir, rec, i));
		EXPECT(!fstatat(dir, "queue-3", &st, 0));
		most = st.st_size > most ? st.st_size : most;
	}
	EXPECT(most > 50000 && most < 200000 && nr_rules_in(dir) == 1);
	zcrx_record_free(rec);
	remove_dir(dir);
}

/* A full file system takes half a line: that is not to be added to. */
static void half_a_line(void)
{
	struct zcrx_record *rec = zcrx_record_new("eth0", 3);
	struct rlimit limit, less;
	int dir = make_dir();
	struct stat st;
	bool saved;

	EXPECT(dir >= 0 && !zcrx_record_save(dir, rec));
	EXPECT(save_new(dir, rec, 1) && !fstatat(dir, "queue-3", &st, 0));
	EXPECT(!getrlimit(RLIMIT_FSIZE, &limit));
	less = limit;
	less.rlim_cur = st.st_size + 10;
	signal(SIGXFSZ, SIG_IGN);
	EXPECT(!setrlimit(RLIMIT_FSIZE, &less));
	saved = save_new(dir, rec, 2);
	EXPECT(!setrlimit(RLIMIT_FSIZE, &limit));
	EXPECT(!saved && strstr(zcrx_error(), "can't be recorded"));
	EXPECT(nr_rules_in(dir) == 1);
	EXPECT(save_gone(dir, rec, 2) && nr_rules_in(dir) == 1);
	EXPECT(save_new(dir, rec, 3) && nr_rules_in(dir) == 2);
	zcrx_record_free(rec);
	remove_dir(dir);
}

/* Whoever has one knows it. */
static void own_left_out(void)
{
	struct zcrx_record *rec = full_record();
	struct zcrx_records recs;
	int dir = make_dir();

	EXPECT(dir >= 0 && !zcrx_record_save(dir, rec));
	rec->queue = 2;
	EXPECT(!zcrx_record_save(dir, rec));
	EXPECT(!zcrx_records_load(dir, rec, &recs));
	EXPECT(recs.nr == 1 && recs.list[0]->queue == 3);
	zcrx_records_free(&recs);
	zcrx_record_free(rec);
	remove_dir(dir);
}

static void death(void)
{
	int dir = make_dir(), ready[2], go[2];
	struct zcrx_records recs;
	pid_t child;
	char c = 0;

	EXPECT(dir >= 0 && !pipe(ready) && !pipe(go));
	child = fork();
	if (!child) {
		struct zcrx_record *rec = full_record();

		c = zcrx_record_save(dir, rec) ? 'n' : 'y';
		if (write(ready[1], &c, 1) == 1)
			pause();
		_exit(0);
	}
	EXPECT(read(ready[0], &c, 1) == 1 && c == 'y');
	EXPECT(!zcrx_records_load(dir, NULL, &recs));
	EXPECT(recs.nr == 1 && recs.list[0]->pid == child);
	EXPECT(recs.list[0]->alive);
	zcrx_records_free(&recs);

	kill(child, SIGKILL);
	EXPECT(waitpid(child, NULL, 0) == child);
	EXPECT(!zcrx_records_load(dir, NULL, &recs));
	EXPECT(recs.nr == 1 && recs.list[0]->pid == child);
	EXPECT(!recs.list[0]->alive);
	zcrx_records_free(&recs);
	remove_dir(dir);
}

/* Beside a whole record there is one of that name, which is none. */
static bool is_garbled(int dir, const char *name)
{
	struct zcrx_records recs;
	bool is;

	if (zcrx_records_load(dir, NULL, &recs))
		return false;
	is = recs.nr == 1 && recs.list[0]->queue == 3 &&
	     !recs.list[0]->alive && !strcmp(recs.garbled, name);
	zcrx_records_free(&recs);

	return is;
}

/* It says so, and then lives without an owner. */
static void kept(void)
{
	static const char text[] = "zcrx-nic 1\ninterface eth0\npid 4711\nqueue 3\n"
				   "split 1\nkept\nend\n";
	struct zcrx_records recs;
	int dir = make_dir();
	char *again;

	EXPECT(dir >= 0);
	write_file(dir, "queue-3", text, strlen(text));
	EXPECT(!zcrx_records_load(dir, NULL, &recs) && recs.nr == 1);
	EXPECT(recs.list[0]->kept && recs.list[0]->alive);
	again = zcrx_record_print(recs.list[0]);
	EXPECT(again && !strcmp(again, text));
	free(again);
	zcrx_records_free(&recs);
	remove_dir(dir);
}

static void garbled_files(void)
{
	int dir = make_dir();

	EXPECT(dir >= 0);
	write_file(dir, "queue-3", full_text, sizeof(full_text) - 1);
	EXPECT(is_garbled(dir, ""));
	write_file(dir, "queue-1", full_text, sizeof(full_text) - 1);
	EXPECT(is_garbled(dir, "queue-1") && !unlinkat(dir, "queue-1", 0));
	write_file(dir, "queue-2", full_text, 40);
	EXPECT(is_garbled(dir, "queue-2") && !unlinkat(dir, "queue-2", 0));
	write_file(dir, "queue-5", "a\0b", 3);
	EXPECT(is_garbled(dir, "queue-5") && !unlinkat(dir, "queue-5", 0));
	EXPECT(!mkdirat(dir, "queue-6", 0755));
	EXPECT(is_garbled(dir, "queue-6"));
	EXPECT(!unlinkat(dir, "queue-6", AT_REMOVEDIR));
	EXPECT(!mkfifoat(dir, "queue-7", 0600));
	EXPECT(is_garbled(dir, "queue-7") && !unlinkat(dir, "queue-7", 0));
	EXPECT(!symlinkat("queue-3", dir, "queue-8"));
	EXPECT(is_garbled(dir, "queue-8"));
	remove_dir(dir);
}

/* Names that no record has */
static void other_files(void)
{
	static const char *const names[] = {
		"queue-", "queue-03", "queue-x", "queue-3x", "queue-4.new",
		"queue-4294967299", "else",
	};
	int dir = make_dir();
	unsigned int i;

	EXPECT(dir >= 0);
	write_file(dir, "queue-3", full_text, sizeof(full_text) - 1);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		write_file(dir, names[i], full_text, sizeof(full_text) - 1);
	EXPECT(is_garbled(dir, ""));
	remove_dir(dir);
}

/* What can't be read is not nobody's. */
static void unreadable(void)
{
	struct rlimit limit, less;
	struct zcrx_records recs;
	int dir = make_dir(), next = dup(0), ret;

	close(next);
	EXPECT(dir >= 0 && !getrlimit(RLIMIT_NOFILE, &limit));
	write_file(dir, "queue-3", full_text, sizeof(full_text) - 1);
	less = limit;
	less.rlim_cur = next + 1;
	EXPECT(!setrlimit(RLIMIT_NOFILE, &less));
	ret = zcrx_records_load(dir, NULL, &recs);
	EXPECT(!setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT(ret == -EMFILE && strstr(zcrx_error(), "queue-3"));

	no_memory = true;
	ret = zcrx_records_load(dir, NULL, &recs);
	no_memory = false;
	EXPECT(ret == -ENOMEM);
	remove_dir(dir);
}

/*
 * Directories
 */

static int open_and_close(const char *name, bool create)
{
	int ret = zcrx_record_open_dir(name, create);

	if (ret < 0)
		return ret;
	close(ret);

	return 0;
}

static void directory(void)
{
	struct stat st;
	int dir = make_dir();
	char sub[80], link[80];

	EXPECT(dir >= 0);
	snprintf(sub, sizeof(sub), "%s/sub", path);
	snprintf(link, sizeof(link), "%s/link", path);
	EXPECT(open_and_close(sub, false) == -ENOENT);
	EXPECT(!open_and_close(sub, true) && !open_and_close(sub, false));
	EXPECT(!stat(sub, &st) && (st.st_mode & 07777) == 0700);
	EXPECT(!symlink(sub, link) && open_and_close(link, false) < 0);

	EXPECT(!chmod(sub, 0755) && open_and_close(sub, true) == -EACCES);
	EXPECT(strstr(zcrx_error(), "run as root"));
	EXPECT(strstr(zcrx_error(), sub) && !chmod(sub, 0700));
	if (!geteuid() && !chown(sub, 65534, 65534))
		EXPECT(open_and_close(sub, false) == -EACCES);
	remove_dir(dir);
}

static void directory_goes(void)
{
	struct zcrx_record *rec = full_record();
	int dir = make_dir();

	EXPECT(dir >= 0 && !zcrx_record_save(dir, rec));
	EXPECT(!zcrx_record_lock(dir, "eth0"));
	zcrx_record_remove_dir(dir);
	EXPECT(!access(path, F_OK) && !zcrx_record_remove(dir, rec));
	zcrx_record_remove_dir(dir);
	EXPECT(access(path, F_OK));
	zcrx_record_unlock(dir);
	EXPECT(zcrx_record_lock(dir, "eth0") == -ESTALE);
	zcrx_record_free(rec);
	close(dir);
}

/* Network namespaces have different ones, which the kernel must tell apart. */
static void directory_of_namespace(void)
{
	int ret = zcrx_record_dir(0x7fffffff, false);

	if (ret == -EOPNOTSUPP)
		SKIP("this kernel does not tell network namespaces apart");
	EXPECT(ret == -ENOENT || ret == -EACCES);
	EXPECT(strstr(zcrx_error(), "-2147483647"));
}

/* What a dead owner began to write is no obstacle. */
static void left_over(void)
{
	struct zcrx_record *rec = full_record();
	struct zcrx_records recs;
	int dir = make_dir();

	EXPECT(dir >= 0);
	write_file(dir, "queue-3.new", full_text, 40);
	EXPECT(!zcrx_record_save(dir, rec));
	EXPECT(!zcrx_records_load(dir, NULL, &recs));
	EXPECT(recs.nr == 1 && !*recs.garbled);
	zcrx_records_free(&recs);

	write_file(dir, "queue-3.new", full_text, 40);
	write_file(dir, "queue-4.new", full_text, 40);
	write_file(dir, "else.new", full_text, 40);
	zcrx_records_sweep(dir);
	EXPECT(faccessat(dir, "queue-3.new", F_OK, 0));
	EXPECT(faccessat(dir, "queue-4.new", F_OK, 0));
	EXPECT(!faccessat(dir, "queue-3", F_OK, 0));
	EXPECT(!faccessat(dir, "else.new", F_OK, 0));
	zcrx_record_free(rec);
	remove_dir(dir);
}

static const struct ktap_case cases[] = {
	{ "text: there and back", there_and_back },
	{ "text: the least there can be", least },
	{ "text: truncated anywhere", truncated },
	{ "text: garbled", garbled },
	{ "text: no memory", without_memory },
	{ "text: any byte another one", any_byte },
	{ "text: filters that come and go", changes },
	{ "text: part of a line", torn },
	{ "rules", rules },
	{ "rules: many", many_rules },
	{ "rules: spread over the table", rules_spread },
	{ "file: saved, saved again, removed", save_and_remove },
	{ "file: appended to", append },
	{ "file: not appended to another one", append_elsewhere },
	{ "file: appended to for long", append_for_long },
	{ "file: half a line", half_a_line },
	{ "file: one's own is left out", own_left_out },
	{ "file: its owner dies", death },
	{ "file: it is kept without its owner", kept },
	{ "file: garbled ones are named", garbled_files },
	{ "file: other names", other_files },
	{ "file: can't be read", unreadable },
	{ "file: left over", left_over },
	{ "directory: root's alone", directory },
	{ "directory: goes with its last record", directory_goes },
	{ "directory: of a network namespace", directory_of_namespace },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
