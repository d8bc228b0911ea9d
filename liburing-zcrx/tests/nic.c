// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Queues of a NIC set up by one or several processes, which may die at any
 * step: in the end the NIC is as it was found.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing-zcrx.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"
#include "fake_nic.h"
#include "ktap.h"
#include "owner.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static struct fake_settings found;

static bool resets(void)
{
	int ret = zcrx_nic_reset(FAKE_NAME);

	if (ret)
		printf("# %d: %s\n", ret, zcrx_error());

	return !ret;
}

static void begin(void)
{
	fake_reset(FAKE_OURS);
	fake_nic_reset();
	found = fake_nic->set;
}

static bool as_found(void)
{
	return !memcmp(&found, &fake_nic->set, sizeof(found)) &&
	       !fake_nic_nr_records();
}

/* A record that nobody knows how to read; the directory stays till it goes. */
static const char newer[] = "zcrx-nic 2\ninterface lo\nqueue 3\nend\n";

static bool record_is(unsigned int queue, const char *text)
{
	char now[4096];

	return fake_nic_read_record(queue, now, sizeof(now)) &&
	       !strcmp(now, text);
}

/* A refusal is a sentence that names the interface, and all is as it was. */
static bool refused(int ret, int expected)
{
	if (ret != expected)
		printf("# %d: %s\n", ret, zcrx_error());

	return ret == expected && strstr(zcrx_error(), FAKE_NAME) && as_found();
}

/* An administrator's */
static bool adds_rule(const struct zcrx_flow *flow,
		      const struct zcrx_target *target)
{
	unsigned int at;

	return !zcrx_hw_add_rule(FAKE_IFINDEX, flow, target, &at);
}

static int open_nic(int rxq)
{
	struct zcrx_nic *nic;

	return zcrx_nic_open(&nic, FAKE_NAME, rxq);
}

/*
 * One process
 */

static void open_and_close(void)
{
	struct zcrx_nic *nic;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(zcrx_nic_rxq(nic) == 3 && zcrx_nic_ifindex(nic) == FAKE_IFINDEX);
	EXPECT(!strcmp(zcrx_nic_name(nic), FAKE_NAME));
	EXPECT(fake_nic->set.split == ZCRX_SPLIT_ON && !fake_nic_count(3));
	zcrx_nic_close(nic);
	EXPECT(as_found());
	zcrx_nic_close(NULL);
}

static void named_queue(void)
{
	struct zcrx_nic *nic;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 1));
	EXPECT(zcrx_nic_rxq(nic) == 1 && !fake_nic_count(1));
	EXPECT(open_nic(1) == -EBUSY && strstr(zcrx_error(), FAKE_NAME));
	zcrx_nic_close(nic);
	EXPECT(as_found());
	EXPECT(refused(open_nic(FAKE_QUEUES), -ERANGE));
}

static void bound_queue(void)
{
	struct zcrx_nic *nic;

	begin();
	fake_nic->provider[3] = ZCRX_PROVIDER_DMABUF;
	EXPECT(refused(open_nic(3), -EBUSY));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(zcrx_nic_rxq(nic) == 2);
	fake_nic->provider[3] = ZCRX_PROVIDER_NONE;
	zcrx_nic_close(nic);
	EXPECT(as_found());
	fake_nic->provider[3] = ZCRX_PROVIDER_XSK;
	EXPECT(refused(open_nic(3), -EBUSY));
}

static void single_queue(void)
{
	struct zcrx_nic *nic;

	fake_nic_reset();
	fake_nic->nr_queues = 1;
	memset(fake_nic->set.table, 0, sizeof(fake_nic->set.table));
	found = fake_nic->set;
	EXPECT(refused(open_nic(-1), -ENOSPC));
	EXPECT(strstr(zcrx_error(), "ethtool -L"));
	EXPECT(strstr(zcrx_error(), "queue 0 by its number"));
	fake_nic->ret_split = -EOPNOTSUPP;
	EXPECT(refused(open_nic(-1), -EOPNOTSUPP));
	EXPECT(strstr(zcrx_error(), "can't split headers"));
	fake_nic->ret_split = 0;
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 0));
	EXPECT(fake_nic->set.split == ZCRX_SPLIT_ON);
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

/* One queue is left for everybody else. */
static void too_many(void)
{
	struct zcrx_nic *nic[FAKE_QUEUES];
	unsigned int i;

	begin();
	for (i = 0; i < FAKE_QUEUES - 1; i++)
		EXPECT(!zcrx_nic_open(&nic[i], FAKE_NAME, -1));
	EXPECT(fake_nic_count(0) == FAKE_SIZE);
	EXPECT(open_nic(-1) == -ENOSPC && strstr(zcrx_error(), FAKE_NAME));
	for (i = 0; i < FAKE_QUEUES - 1; i++)
		zcrx_nic_close(nic[i]);
	EXPECT(as_found());
}

static void refusals(void)
{
	struct zcrx_nic *nic;

	begin();
	EXPECT(zcrx_nic_open(&nic, "no-such-nic", -1) == -ENODEV);
	EXPECT(strstr(zcrx_error(), "no-such-nic"));
	fake_nic->ret_split = -EOPNOTSUPP;
	EXPECT(refused(open_nic(-1), -EOPNOTSUPP));
	fake_nic->ret_split = -EPERM;
	EXPECT(refused(open_nic(-1), -EPERM));
	fake_nic->ret_split = -EIO;
	EXPECT(refused(open_nic(-1), -EIO));
	EXPECT(strstr(zcrx_error(), "refuses to split headers"));
	fake_nic->ret_split = 0;
	fake_nic->ret_rss = -EIO;
	EXPECT(refused(open_nic(-1), -EIO));
	fake_nic->ret_rss = 0;
	fake_nic->down = true;
	EXPECT(refused(open_nic(-1), -ENETDOWN));
	fake_nic->gone = true;
	EXPECT(refused(open_nic(-1), -ENODEV));
}

static void without_rss(void)
{
	struct zcrx_nic *nic;

	begin();
	fake_nic->has_rss = false;
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

static void threshold(void)
{
	struct zcrx_nic *nic;

	fake_nic_reset();
	fake_nic->set.split = ZCRX_SPLIT_ON;
	fake_nic->set.threshold = 256;
	found = fake_nic->set;
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(fake_nic->set.threshold == 0);
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

/* The interface is renamed, or unregistered, meanwhile. */
static void interface_goes(void)
{
	struct zcrx_nic *nic;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	fake_nic->gone = true;
	zcrx_nic_close(nic);
	EXPECT(fake_nic_nr_records() == 0);
}

/* A table that the NIC can't have any more, since it has fewer queues */
static void fewer_queues(void)
{
	struct zcrx_nic *nic;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 0));
	fake_nic->nr_queues = 2;
	zcrx_nic_close(nic);
	EXPECT(fake_nic->set.split == ZCRX_SPLIT_OFF && !fake_nic_nr_records());
	EXPECT(fake_nic_count(0) == FAKE_SIZE / 2);
}

static bool has_settings_of(unsigned int queue)
{
	return fake_nic->set.split == ZCRX_SPLIT_ON && !fake_nic_count(queue) &&
	       fake_nic_nr_records();
}

/* Header split is on, and recorded to be switched off, but that is all. */
static bool split_alone_is_left(void)
{
	struct fake_settings set = fake_nic->set;

	set.split = found.split;

	return fake_nic->set.split == ZCRX_SPLIT_ON && fake_nic_nr_records() &&
	       !memcmp(&found, &set, sizeof(found));
}

/* Its ring is still open: header split is put back later */
static void closed_too_early(void)
{
	struct zcrx_nic *nic;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	fake_nic->provider[3] = ZCRX_PROVIDER_IO_URING;
	zcrx_nic_close(nic);
	EXPECT(split_alone_is_left());
	EXPECT(zcrx_nic_reset(FAKE_NAME) == -EBUSY);
	EXPECT(strstr(zcrx_error(), "in use") && split_alone_is_left());
	EXPECT(open_nic(3) == -EBUSY && strstr(zcrx_error(), "is gone"));
	fake_nic->provider[3] = ZCRX_PROVIDER_NONE;
	EXPECT(resets() && as_found());
}

/* It is waited for without the lock: others go on meanwhile. */
static void close_waits(void)
{
	struct zcrx_nic *nic, *other;
	int status;
	pid_t pid;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	fake_nic->provider[3] = ZCRX_PROVIDER_IO_URING;
	pid = fork();
	if (!pid) {
		alarm(60);
		usleep(50000);
		status = zcrx_nic_open(&other, FAKE_NAME, 1) != 0;
		fake_nic->provider[3] = ZCRX_PROVIDER_NONE;
		zcrx_nic_close(other);
		_exit(status);
	}
	zcrx_nic_close(nic);
	EXPECT(waitpid(pid, &status, 0) == pid && !status);
	EXPECT(as_found());
}

/* Who can't tell whether a queue is bound must not take it for free. */
static void queues_not_told(void)
{
	struct zcrx_nic *nic;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	fake_nic->ret_queues = -ENOBUFS;
	zcrx_nic_close(nic);
	EXPECT(split_alone_is_left());
	fake_nic->ret_queues = 0;
	EXPECT(resets() && as_found());

	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	fake_nic->ret_queues = -EOPNOTSUPP;
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

/*
 * Records
 */

/* Nobody sets anything up over what nobody can read. */
static void newer_record(void)
{
	struct zcrx_nic_info info;

	begin();
	EXPECT(fake_nic_write_record(3, newer));
	EXPECT(open_nic(3) == -EBADMSG && open_nic(1) == -EBADMSG);
	EXPECT(strstr(zcrx_error(), "queue-3"));
	EXPECT(strstr(zcrx_error(), FAKE_NAME));
	EXPECT(zcrx_nic_reset(FAKE_NAME) == -EBADMSG && record_is(3, newer));
	EXPECT(!zcrx_nic_describe(FAKE_NAME, &info));
	zcrx_nic_info_free(&info);
	EXPECT(!memcmp(&found, &fake_nic->set, sizeof(found)));
	fake_nic_delete_record(3);
	EXPECT(resets() && as_found());
}

/* A record without its owner is left for the next one. */
static void close_is_refused(void)
{
	struct zcrx_nic *nic;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 1));
	EXPECT(fake_nic_write_record(3, newer));
	zcrx_nic_close(nic);
	EXPECT(has_settings_of(1) && fake_nic_nr_records() == 2);
	fake_nic_delete_record(3);
	EXPECT(resets() && as_found());
}

/* With all file descriptors in use, records can't be read. */
static void unreadable_record(void)
{
	struct rlimit limit, less;
	struct zcrx_nic *nic;
	int fd, ret;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(!getrlimit(RLIMIT_NOFILE, &limit));
	fd = dup(0);
	less = limit;
	less.rlim_cur = fd + 2;
	close(fd);
	EXPECT(!setrlimit(RLIMIT_NOFILE, &less));
	ret = open_nic(3);
	EXPECT(!setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT(ret == -EMFILE && strstr(zcrx_error(), "queue-3"));
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

/* The number of the interface is another NIC's by now. */
static void another_nic(void)
{
	struct zcrx_nic *nic;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	found = fake_nic->set;
	strcpy(fake_nic->device, "0000:02:00.0");
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

/* Whoever has the directory that goes gets the next one, with who is there. */
static void directory_goes(void)
{
	struct zcrx_nic *a, *b;

	begin();
	EXPECT(!zcrx_nic_open(&a, FAKE_NAME, 1));
	EXPECT(!zcrx_nic_open(&b, FAKE_NAME, 2));
	zcrx_nic_close(a);
	EXPECT(fake_nic_has_dir());
	fake_nic_delete_record(2);
	EXPECT(resets() && !fake_nic_has_dir());
	EXPECT(!zcrx_nic_open(&a, FAKE_NAME, 1));
	zcrx_nic_close(b);
	EXPECT(has_settings_of(1));
	zcrx_nic_close(a);
	EXPECT(!fake_nic_nr_records() && !fake_nic_has_dir());
}

/*
 * Errors while undoing
 */

static void first_sentence(void)
{
	begin();
	fake_nic->ret_rss = -EIO;
	fake_nic->ret_split_off = -ENXIO;
	EXPECT(open_nic(3) == -EIO && strstr(zcrx_error(), "the RSS table"));
	fake_nic->ret_rss = 0;
	fake_nic->ret_split_off = 0;
	EXPECT(resets() && as_found());
}

/* Whoever closes because of an error tells of that one. */
static void no_sentence(void)
{
	struct zcrx_nic *nic, *none;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(zcrx_nic_open(&none, "no-such-nic", -1) == -ENODEV);
	fake_nic->ret_split_off = -ENXIO;
	zcrx_nic_close(nic);
	EXPECT(strstr(zcrx_error(), "no-such-nic"));
	fake_nic->ret_split_off = 0;
	EXPECT(resets() && as_found());
}

static void one_sentence(void)
{
	struct zcrx_nic *nic;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	fake_nic->ret_rss = -EIO;
	fake_nic->ret_split_off = -ENXIO;
	zcrx_nic_close(nic);
	EXPECT(zcrx_nic_reset(FAKE_NAME) == -ENXIO);
	EXPECT(strstr(zcrx_error(), "header split"));
	EXPECT(open_nic(3) == -ENXIO && strstr(zcrx_error(), "header split"));
	fake_nic->ret_rss = 0;
	fake_nic->ret_split_off = 0;
	EXPECT(resets() && as_found());
}

static void describe(void)
{
	struct zcrx_nic_info info;
	struct zcrx_nic *nic;
	unsigned int steps;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 2));
	fake_nic->provider[2] = ZCRX_PROVIDER_IO_URING;
	steps = fake_nic->nr_steps;
	EXPECT(!zcrx_nic_describe(FAKE_NAME, &info));
	EXPECT(fake_nic->nr_steps == steps);
	EXPECT(info.up && info.mtu == 9000 && info.rx_ring == 256);
	EXPECT(info.split == ZCRX_SPLIT_ON);
	EXPECT(info.can_switch_split == ZCRX_YES);
	EXPECT(info.nr_queues == FAKE_QUEUES && info.rss_size == FAKE_SIZE);
	EXPECT(info.queues[2].provider == ZCRX_PROVIDER_IO_URING);
	EXPECT(info.queues[2].pid == getpid() && !info.queues[2].stale);
	EXPECT(!info.queues[3].pid && !info.queues[3].provider);
	zcrx_nic_info_free(&info);
	fake_nic->provider[2] = ZCRX_PROVIDER_NONE;
	zcrx_nic_close(nic);
	EXPECT(as_found());
	EXPECT(zcrx_nic_describe("no-such-nic", &info) == -ENODEV);
}

/* Of 256 descriptors each has a chunk, and half of the memory is for others. */
static void chunk_by_mtu(void)
{
	const size_t enough = 2 * 256 * 16384;

	begin();
	EXPECT(zcrx_chunk_by_mtu(FAKE_IFINDEX, enough) == 16384);
	EXPECT(!zcrx_chunk_by_mtu(FAKE_IFINDEX, enough - 4096));
	EXPECT(!zcrx_chunk_by_mtu(FAKE_IFINDEX + 1, enough));
}

/*
 * Kept
 */

static bool is_kept(unsigned int queue)
{
	struct zcrx_nic_info info;
	bool kept;

	if (zcrx_nic_describe(FAKE_NAME, &info))
		return false;
	kept = info.queues[queue].kept && !info.queues[queue].stale &&
	       info.queues[queue].pid == getpid();
	zcrx_nic_info_free(&info);

	return kept && !fake_nic_count(queue) &&
	       fake_nic->set.split == ZCRX_SPLIT_ON;
}

static bool keep(int rxq)
{
	struct zcrx_nic *nic;

	return !zcrx_nic_open(&nic, FAKE_NAME, rxq) && !zcrx_nic_keep(nic);
}

/* Others come and go, and leave it alone; reset does not. */
static void keep_queue(void)
{
	struct zcrx_nic *nic;

	begin();
	EXPECT(keep(-1) && is_kept(3));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(zcrx_nic_rxq(nic) == 2 && is_kept(3));
	zcrx_nic_close(nic);
	EXPECT(is_kept(3));
	EXPECT(open_nic(3) == -EBUSY && strstr(zcrx_error(), "zcrxctl reset"));
	EXPECT(keep(1) && is_kept(3) && is_kept(1));
	EXPECT(resets() && as_found());
}

static void keep_bound(void)
{
	begin();
	EXPECT(keep(1) && keep(2));
	fake_nic->provider[2] = ZCRX_PROVIDER_IO_URING;
	EXPECT(zcrx_nic_reset(FAKE_NAME) == -EBUSY);
	EXPECT(strstr(zcrx_error(), "queue 2 of " FAKE_NAME));
	EXPECT(!is_kept(1) && is_kept(2));
	fake_nic->provider[2] = ZCRX_PROVIDER_NONE;
	EXPECT(resets() && as_found());
}

/* The NIC has gone, and another one has its number. */
static void keep_another_nic(void)
{
	struct zcrx_nic *nic;

	begin();
	strcpy(fake_nic->device, "0000:01:00.0");
	EXPECT(keep(3));
	fake_nic_reset();
	strcpy(fake_nic->device, "0000:02:00.0");
	found = fake_nic->set;
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

/* Records can't be written any more: it is not kept, and can be closed. */
static void keep_refused(void)
{
	struct zcrx_nic *nic;
	struct rlimit limit, none;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	EXPECT(zcrx_nic_keep(nic) < 0);
	setrlimit(RLIMIT_NOFILE, &limit);
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

/*
 * Steering
 */

struct pair {
	int			listener;
	int			ours;
	int			theirs;
	struct zcrx_flow	flow;	/* of what comes to us */
};

static bool pair_open(struct pair *p)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->listener = socket(AF_INET, SOCK_STREAM, 0);
	p->theirs = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(p->listener, (struct sockaddr *)&addr, len) ||
	    listen(p->listener, 1) ||
	    getsockname(p->listener, (struct sockaddr *)&addr, &len) ||
	    connect(p->theirs, (struct sockaddr *)&addr, len))
		return false;
	p->ours = accept(p->listener, NULL, NULL);
	memset(&p->flow, 0, sizeof(p->flow));
	p->flow.family = AF_INET;
	memcpy(&p->flow.src, &addr.sin_addr, 4);
	memcpy(&p->flow.dst, &addr.sin_addr, 4);
	p->flow.dport = addr.sin_port;
	if (getsockname(p->theirs, (struct sockaddr *)&addr, &len))
		return false;
	p->flow.sport = addr.sin_port;

	return p->ours >= 0;
}

static void pair_close(struct pair *p)
{
	close(p->ours);
	close(p->theirs);
	close(p->listener);
}

static void steer_by_rule(void)
{
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	fake_nic->has_rules = true;
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(!zcrx_nic_steer(nic, p.ours) && !zcrx_nic_steer(nic, p.ours));
	EXPECT(fake_nic_nr_rules() == 1 && fake_nic_queue_of(&p.flow) == 3);
	EXPECT(!zcrx_nic_unsteer(nic, p.ours) && !fake_nic_nr_rules());
	EXPECT(zcrx_nic_unsteer(nic, p.ours) == -ENOENT);

	EXPECT(!zcrx_nic_steer(nic, p.listener));
	EXPECT(!zcrx_nic_steer(nic, p.ours));
	EXPECT(fake_nic_nr_rules() == 2);
	close(p.ours);
	EXPECT(!zcrx_nic_unsteer(nic, p.ours) && fake_nic_nr_rules() == 1);
	EXPECT(fake_nic_queue_of(&p.flow) == 3);
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

/* One filter is enough for both, as long as one of them needs it. */
static void steer_twice(void)
{
	struct zcrx_nic *nic;
	struct pair p;
	int other;

	begin();
	fake_nic->has_rules = true;
	EXPECT(pair_open(&p));
	other = dup(p.ours);
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(!zcrx_nic_steer(nic, p.ours) && !zcrx_nic_steer(nic, other));
	EXPECT(fake_nic_nr_rules() == 1);
	EXPECT(!zcrx_nic_unsteer(nic, p.ours) && fake_nic_nr_rules() == 1);
	EXPECT(!zcrx_nic_steer(nic, p.ours) && !zcrx_nic_unsteer(nic, other));
	EXPECT(fake_nic_nr_rules() == 1 && fake_nic_queue_of(&p.flow) == 3);
	EXPECT(!zcrx_nic_unsteer(nic, p.ours) && !fake_nic_nr_rules());
	zcrx_nic_close(nic);
	EXPECT(as_found());
	close(other);
	pair_close(&p);
}

/* Somebody has cleaned up: what is to be put back is recorded anew. */
static void record_is_deleted(void)
{
	struct zcrx_nic *nic;
	char text[4096];
	struct pair p;

	begin();
	fake_nic->has_rules = true;
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(!zcrx_nic_steer(nic, p.ours));
	fake_nic_delete_record(3);
	EXPECT(!zcrx_nic_steer(nic, p.listener));
	EXPECT(fake_nic_read_record(3, text, sizeof(text)));
	EXPECT(strstr(text, "table") && strstr(text, "rule 127.0.0.1 "));
	EXPECT(strstr(text, "rule 0.0.0.0 0 "));
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

static void steer_by_context(void)
{
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	fake_nic->has_rules = true;
	fake_nic->rules_want_context = true;
	fake_nic->has_contexts = true;
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(!zcrx_nic_steer(nic, p.ours));
	EXPECT(!zcrx_nic_steer(nic, p.listener));
	EXPECT(fake_nic_nr_rules() == 2 && fake_nic->set.context_used[1]);
	EXPECT(fake_nic_queue_of(&p.flow) == 3);
	EXPECT(!zcrx_nic_unsteer(nic, p.listener) && fake_nic_nr_rules() == 1);
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

/* The context is an administrator's, and so is one filter to it; others are ours. */
static void context_of_others(void)
{
	struct zcrx_target target = { .context = 1 };
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	fake_nic->has_rules = true;
	fake_nic->rules_want_context = true;
	fake_nic->has_contexts = true;
	fake_nic->set.context_used[1] = true;
	fake_nic->set.context_queue[1] = 3;
	EXPECT(pair_open(&p) && adds_rule(&p.flow, &target));
	found = fake_nic->set;
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(!zcrx_nic_steer(nic, p.listener) && fake_nic_nr_rules() == 2);
	EXPECT(!zcrx_nic_steer(nic, p.ours) && fake_nic_nr_rules() == 2);
	zcrx_nic_close(nic);
	EXPECT(as_found());
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(!zcrx_nic_steer(nic, p.ours) && fake_nic_nr_rules() == 1);
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

/* The first filter went to the queue, the next one had to have a context. */
static void rule_and_context(void)
{
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	fake_nic->has_rules = true;
	fake_nic->has_contexts = true;
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(!zcrx_nic_steer(nic, p.ours));
	fake_nic->rules_want_context = true;
	EXPECT(!zcrx_nic_steer(nic, p.listener) && fake_nic_nr_rules() == 2);
	EXPECT(!zcrx_nic_unsteer(nic, p.ours) && fake_nic_nr_rules() == 1);
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

static void begin_with_filters_off(void)
{
	begin();
	fake_nic->has_rules = true;
	fake_nic->set.filters_off = true;
	found = fake_nic->set;
}

static void filters_off(void)
{
	struct zcrx_nic *nic;
	struct pair p;

	begin_with_filters_off();
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(!zcrx_nic_steer(nic, p.listener) && fake_nic_nr_rules() == 1);
	EXPECT(!fake_nic->set.filters_off);
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

/* They would be forgotten. */
static void filters_of_others(void)
{
	struct zcrx_target target = { .queue = 0 };
	struct zcrx_nic *nic;
	struct pair p;

	begin_with_filters_off();
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(adds_rule(&p.flow, &target));
	zcrx_nic_close(nic);
	EXPECT(!fake_nic->set.filters_off && fake_nic_nr_rules() == 1);
	EXPECT(!zcrx_hw_del_rule(FAKE_IFINDEX, 0));
	fake_nic->set.filters_off = true;
	EXPECT(as_found());
	pair_close(&p);
}

static void filters_stay_off(void)
{
	struct zcrx_nic *nic;
	struct pair p;

	begin_with_filters_off();
	fake_nic->has_arfs = true;
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3) && fake_nic->set.filters_off);
	zcrx_nic_close(nic);
	fake_nic->has_arfs = false;
	fake_nic->ret_ntuple = -EOPNOTSUPP;
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(zcrx_nic_steer(nic, p.listener) == -EOPNOTSUPP);
	EXPECT(strstr(zcrx_error(), "ethtool -K " FAKE_NAME " ntuple on"));
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

/* A filter that can't be deleted can be at a second try. */
static void unsteer_again(void)
{
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	fake_nic->has_rules = true;
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(!zcrx_nic_steer(nic, p.ours));
	fake_nic->ret_del_rule = -EIO;
	EXPECT(zcrx_nic_unsteer(nic, p.ours) == -EIO && fake_nic_nr_rules() == 1);
	EXPECT(zcrx_nic_steer(nic, p.ours) == -EIO);
	fake_nic->ret_del_rule = 0;
	EXPECT(!zcrx_nic_unsteer(nic, p.ours) && !fake_nic_nr_rules());
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

/* An entry that the NIC has not moved is not recorded as moved. */
static void entry_is_refused(void)
{
	char text[4096];
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	fake_nic->ret_rss = -EIO;
	EXPECT(zcrx_nic_steer(nic, p.ours) == -EIO);
	EXPECT(strstr(zcrx_error(), "the RSS table"));
	fake_nic->ret_rss = 0;
	EXPECT(fake_nic_read_record(3, text, sizeof(text)));
	EXPECT(!strstr(text, "moved"));
	EXPECT(!zcrx_nic_steer(nic, p.ours) && fake_nic_count(3) == 1);
	fake_nic->ret_rss = -EIO;
	EXPECT(zcrx_nic_unsteer(nic, p.ours) == -EIO);
	fake_nic->ret_rss = 0;
	EXPECT(fake_nic_read_record(3, text, sizeof(text)));
	EXPECT(strstr(text, "moved"));
	EXPECT(!zcrx_nic_unsteer(nic, p.ours) && !fake_nic_count(3));
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

/* What an administrator has made stays his. */
static void rule_of_others(void)
{
	struct zcrx_target target = { .queue = 3 };
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	fake_nic->has_rules = true;
	EXPECT(pair_open(&p));
	EXPECT(adds_rule(&p.flow, &target));
	found = fake_nic->set;
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(!zcrx_nic_steer(nic, p.ours) && fake_nic_nr_rules() == 1);
	EXPECT(!zcrx_nic_unsteer(nic, p.ours) && fake_nic_nr_rules() == 1);
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

/* So does what he makes meanwhile, though we have seen that there was nothing. */
static void rule_of_others_comes(void)
{
	struct zcrx_target target = { .queue = 3 };
	struct zcrx_nic *nic;
	struct pair p, q;

	begin();
	fake_nic->has_rules = true;
	EXPECT(pair_open(&p) && pair_open(&q));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(!zcrx_nic_steer(nic, p.ours) && fake_nic_nr_rules() == 1);
	EXPECT(adds_rule(&q.flow, &target));
	EXPECT(!zcrx_nic_steer(nic, q.ours) && fake_nic_nr_rules() == 2);
	EXPECT(!zcrx_nic_unsteer(nic, q.ours) && fake_nic_nr_rules() == 2);
	EXPECT(!zcrx_nic_unsteer(nic, p.ours) && fake_nic_nr_rules() == 1);
	EXPECT(!zcrx_nic_steer(nic, q.ours) && fake_nic_nr_rules() == 1);
	zcrx_nic_close(nic);
	EXPECT(fake_nic_nr_rules() == 1);
	pair_close(&p);
	pair_close(&q);
}

/* A filter is found that is not where it was made. */
static void rule_has_moved(void)
{
	struct fake_rule *rules = fake_nic->set.rules;
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	fake_nic->has_rules = true;
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(!zcrx_nic_steer(nic, p.ours) && rules[0].used);
	rules[5] = rules[0];
	rules[0].flow.sport++;
	EXPECT(!zcrx_nic_unsteer(nic, p.ours) && !rules[5].used);
	memset(rules, 0, sizeof(*rules));
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

/* All filters are in use: the RSS table does it. */
static void no_room_for_rules(void)
{
	struct zcrx_target target = { .queue = 0 };
	struct zcrx_flow flow = { .family = AF_INET };
	struct zcrx_nic *nic;
	struct pair p;
	unsigned int i;

	begin();
	fake_nic->has_rules = true;
	for (i = 0; i < FAKE_RULES; i++) {
		flow.dport = i + 1;
		EXPECT(adds_rule(&flow, &target));
	}
	found = fake_nic->set;
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(!zcrx_nic_steer(nic, p.ours));
	EXPECT(fake_nic_queue_of(&p.flow) == 3 && fake_nic_count(3) == 1);
	EXPECT(zcrx_nic_steer(nic, p.listener) == -ENOSPC);
	EXPECT(strstr(zcrx_error(), FAKE_NAME));
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

/* No memory for a filter, say: the RSS table does it, and then filters again. */
static void rule_fails_once(void)
{
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	fake_nic->has_rules = true;
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	fake_nic->ret_add_rule = -ENOMEM;
	EXPECT(zcrx_nic_steer(nic, p.listener) == -ENOMEM);
	EXPECT(!zcrx_nic_steer(nic, p.ours) && fake_nic_count(3) == 1);
	fake_nic->ret_add_rule = 0;
	EXPECT(!zcrx_nic_steer(nic, p.listener) && fake_nic_nr_rules() == 1);
	EXPECT(!zcrx_nic_steer(nic, p.ours) && fake_nic_nr_rules() == 2);
	EXPECT(!fake_nic_count(3));
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

static void steer_by_entry(void)
{
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(fake_nic_queue_of(&p.flow) != 3);
	EXPECT(!zcrx_nic_steer(nic, p.ours) && !zcrx_nic_steer(nic, p.ours));
	EXPECT(fake_nic_queue_of(&p.flow) == 3 && fake_nic_count(3) == 1);
	EXPECT(zcrx_nic_steer(nic, p.listener) == -EOPNOTSUPP);
	EXPECT(strstr(zcrx_error(), FAKE_NAME));
	EXPECT(!zcrx_nic_unsteer(nic, p.ours) && !fake_nic_count(3));
	EXPECT(!zcrx_nic_steer(nic, p.ours));
	zcrx_nic_close(nic);
	EXPECT(as_found());
	EXPECT(refused(open_nic(9), -ERANGE));
	pair_close(&p);
}

/* However many connections have it: neither the NIC nor the record is touched. */
static void entry_is_ours(void)
{
	struct zcrx_nic *nic;
	unsigned int steps;
	struct pair p;
	int other;

	begin();
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(!zcrx_nic_steer(nic, p.ours) && fake_nic_count(3) == 1);
	other = dup(p.ours);
	steps = fake_nic->nr_steps;
	EXPECT(!zcrx_nic_steer(nic, other) && !zcrx_nic_unsteer(nic, other));
	/* Each tries to remove the directory in the end. */
	EXPECT(fake_nic->nr_steps == steps + 2 && fake_nic_count(3) == 1);
	zcrx_nic_close(nic);
	EXPECT(as_found());
	close(other);
	pair_close(&p);
}

/* Nobody else's packets come along, and could not be read. */
static void no_entry_on_mainline(void)
{
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	fake_reset(FAKE_MAINLINE);
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(zcrx_nic_steer(nic, p.ours) == -EOPNOTSUPP);
	EXPECT(strstr(zcrx_error(), FAKE_NAME) &&
	       strstr(zcrx_error(), "the RSS table"));
	EXPECT(!fake_nic_count(3));
	fake_nic->has_rules = true;
	fake_nic->set.filters_off = true;
	found.filters_off = true;
	EXPECT(zcrx_nic_steer(nic, p.ours) == -EOPNOTSUPP);
	EXPECT(strstr(zcrx_error(), "ethtool -K " FAKE_NAME " ntuple on"));
	EXPECT(!fake_nic_count(3));
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

/* A filter for one connection is, but not one for all of a port. */
static void rule_on_mainline(void)
{
	struct zcrx_target target = { .queue = 0 };
	struct zcrx_flow flow = { .family = AF_INET };
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	fake_reset(FAKE_MAINLINE);
	fake_nic->has_rules = true;
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(zcrx_nic_steer(nic, p.listener) == -EOPNOTSUPP && !fake_nic_nr_rules());
	EXPECT(strstr(zcrx_error(), FAKE_NAME) && strstr(zcrx_error(), "accepted"));
	EXPECT(!zcrx_nic_steer(nic, p.ours) && fake_nic_nr_rules() == 1);
	EXPECT(fake_nic_queue_of(&p.flow) == 3);
	zcrx_nic_close(nic);
	EXPECT(as_found());

	while (fake_nic_nr_rules() < FAKE_RULES) {
		flow.dport++;
		EXPECT(adds_rule(&flow, &target));
	}
	found = fake_nic->set;
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(zcrx_nic_steer(nic, p.ours) == -ENOSPC && !fake_nic_count(3));
	EXPECT(strstr(zcrx_error(), "refuses a filter"));
	zcrx_nic_close(nic);
	EXPECT(as_found());
	pair_close(&p);
}

static bool records_steering(unsigned int queue)
{
	char text[4096];

	return fake_nic_read_record(queue, text, sizeof(text)) &&
	       (strstr(text, "moved") || strstr(text, "rule"));
}

/* A forked child has the ring: connections come elsewhere at once. */
static void closed_while_bound(bool has_rules)
{
	struct zcrx_nic *nic, *other;
	struct pair p;

	begin();
	fake_nic->has_rules = has_rules;
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&other, FAKE_NAME, 1));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(!zcrx_nic_steer(nic, p.ours));
	EXPECT(fake_nic_queue_of(&p.flow) == 3 && records_steering(3));
	fake_nic->provider[3] = ZCRX_PROVIDER_IO_URING;
	zcrx_nic_close(nic);
	EXPECT(!fake_nic_nr_rules() && !records_steering(3));
	EXPECT(fake_nic_count(3) && !fake_nic_count(1));
	fake_nic->provider[3] = ZCRX_PROVIDER_NONE;
	EXPECT(resets() && has_settings_of(1));
	zcrx_nic_close(other);
	EXPECT(as_found());
	pair_close(&p);
}

static void bound_by_a_child(void)
{
	closed_while_bound(false);
	closed_while_bound(true);
}

/* Nor does anything else come to the queue that can't be read there. */
static void bound_on_mainline(void)
{
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	fake_reset(FAKE_MAINLINE);
	fake_nic->has_rules = true;
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(!zcrx_nic_steer(nic, p.ours));
	fake_nic->provider[3] = ZCRX_PROVIDER_IO_URING;
	zcrx_nic_close(nic);
	EXPECT(has_settings_of(3) && !fake_nic_nr_rules());
	fake_nic->provider[3] = ZCRX_PROVIDER_NONE;
	EXPECT(resets() && as_found());
	pair_close(&p);
}

/* Two queues can't have the same entry of the table. */
static void entry_of_others(void)
{
	struct zcrx_nic *a, *b;
	struct pair p;

	begin();
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&a, FAKE_NAME, -1));
	EXPECT(!zcrx_nic_open(&b, FAKE_NAME, -1));
	EXPECT(!zcrx_nic_steer(a, p.ours));
	EXPECT(zcrx_nic_steer(b, p.ours) == -EBUSY);
	EXPECT(fake_nic_queue_of(&p.flow) == 3);
	zcrx_nic_close(a);
	EXPECT(fake_nic_queue_of(&p.flow) != 2);
	EXPECT(!zcrx_nic_steer(b, p.ours) && fake_nic_queue_of(&p.flow) == 2);
	zcrx_nic_close(b);
	EXPECT(as_found());
	pair_close(&p);
}

/* To a listener whose queue is full: nobody answers. */
static int connect_to_full(const struct pair *p, int fds[2])
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (listen(p->listener, 0) ||
	    getsockname(p->listener, (struct sockaddr *)&addr, &len) ||
	    connect(fds[0], (struct sockaddr *)&addr, len) ||
	    !connect(fds[1], (struct sockaddr *)&addr, len) ||
	    getsockname(fds[1], (struct sockaddr *)&addr, &len))
		return -1;

	return addr.sin_port;
}

static void steer_early(void)
{
	int tcp = socket(AF_INET, SOCK_STREAM, 0), fds[2], port;
	struct zcrx_flow flow;
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	EXPECT(pair_open(&p));
	port = connect_to_full(&p, fds);
	flow = p.flow;
	flow.sport = p.flow.dport;
	flow.dport = port;
	EXPECT(port > 0 && !zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(zcrx_nic_steer(nic, fds[1]) == -ENOTCONN);
	EXPECT(!zcrx_nic_steer_early(nic, fds[1]));
	EXPECT(fake_nic_queue_of(&flow) == 3);
	EXPECT(!zcrx_nic_unsteer(nic, fds[1]) && fake_nic_queue_of(&flow) != 3);
	EXPECT(!zcrx_nic_steer_early(nic, p.ours));
	EXPECT(fake_nic_queue_of(&p.flow) == 3);
	EXPECT(zcrx_nic_steer_early(nic, tcp) == -ENOTCONN);
	EXPECT(zcrx_nic_steer_early(nic, -1) == -EBADF);
	zcrx_nic_close(nic);
	EXPECT(as_found());
	close(tcp);
	close(fds[0]);
	close(fds[1]);
	pair_close(&p);
}

static void not_for_steering(void)
{
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	struct zcrx_nic *nic;

	begin();
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, -1));
	EXPECT(zcrx_nic_steer(nic, -1) == -EBADF);
	EXPECT(zcrx_nic_steer(nic, udp) == -EPROTONOSUPPORT);
	EXPECT(zcrx_nic_steer(nic, tcp) == -ENOTCONN);
	zcrx_nic_close(nic);
	EXPECT(as_found());
	close(udp);
	close(tcp);
}

/* One that need not ask the kernel makes no ring. */
static void open_readable(void)
{
	struct zcrx_nic *nic;
	struct pair p;

	begin();
	fake_reset(FAKE_ENOSYS);
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open_readable(&nic, FAKE_NAME, -1));
	EXPECT(!zcrx_nic_steer(nic, p.ours));
	EXPECT(fake_nic_queue_of(&p.flow) == 3);
	zcrx_nic_close(nic);
	EXPECT(!fake.nr_calls && as_found());
	EXPECT(zcrx_nic_open_readable(&nic, "no-such-nic", -1) == -ENODEV);
	pair_close(&p);
}

/* Low numbers are free, and the record's lock is where the file has gone. */
static void move_files(void)
{
	int before = dup(0), fds[ZCRX_NIC_FILES], i;
	struct zcrx_nic *nic;
	struct pair p;

	close(before);
	begin();
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	for (i = 0; i < 2; i++) {
		zcrx_nic_move_files(nic, 500, fds);
		EXPECT(fds[0] >= 500 && fds[1] >= 500 && fds[0] != fds[1]);
		EXPECT(fcntl(fds[0], F_GETFD) == FD_CLOEXEC);
		EXPECT(fcntl(fds[1], F_GETFD) == FD_CLOEXEC);
		EXPECT(resets() && open_nic(3) == -EBUSY);
		EXPECT(!zcrx_nic_steer(nic, p.ours));
	}
	zcrx_nic_close(nic);
	EXPECT(as_found());
	EXPECT(fcntl(fds[0], F_GETFD) < 0 && fcntl(fds[1], F_GETFD) < 0);
	pair_close(&p);
	EXPECT(dup(0) == before);
	close(before);
}

/*
 * Several processes
 */

static void own(int rxq, int ready, int go)
{
	struct zcrx_nic *nic;
	char c = zcrx_nic_open(&nic, FAKE_NAME, rxq) ? 'n' : 'y';

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(ready, &c, 1) != 1 || read(go, &c, 1) != 1)
		_exit(1);
	zcrx_nic_close(nic);
	_exit(0);
}

static bool has_queue(unsigned int queue)
{
	return fake_nic->set.split == ZCRX_SPLIT_ON && !fake_nic_count(queue);
}

static void both_orders(void)
{
	struct owner a, b;
	int last;

	for (last = 0; last < 2; last++) {
		begin();
		EXPECT(owner_start(&a, own, 1) && owner_start(&b, own, 2));
		EXPECT(has_queue(1) && has_queue(2));
		EXPECT(owner_ends(last ? &a : &b));
		EXPECT(has_queue(last ? 2 : 1));
		EXPECT(fake_nic_count(last ? 1 : 2));
		EXPECT(resets() && has_queue(last ? 2 : 1));
		EXPECT(owner_ends(last ? &b : &a) && as_found());
	}
}

/* Switched on for the first one, off after the last one */
static void filters_for_two(void)
{
	struct owner a, b;

	begin_with_filters_off();
	EXPECT(owner_start(&a, own, 1) && owner_start(&b, own, 2));
	EXPECT(owner_ends(&a) && !fake_nic->set.filters_off);
	EXPECT(owner_ends(&b) && as_found());
}

static void one_dies(void)
{
	struct owner a, b;
	struct zcrx_nic_info info;

	begin();
	EXPECT(owner_start(&a, own, 1) && owner_start(&b, own, 2));
	EXPECT(owner_dies(&a));
	EXPECT(!zcrx_nic_describe(FAKE_NAME, &info));
	EXPECT(info.queues[1].pid == a.pid && info.queues[1].stale);
	EXPECT(info.queues[2].pid == b.pid && !info.queues[2].stale);
	zcrx_nic_info_free(&info);
	EXPECT(resets());
	EXPECT(fake_nic_count(1) && has_queue(2));
	EXPECT(owner_ends(&b) && as_found());

	EXPECT(owner_start(&a, own, 1) && owner_start(&b, own, 2));
	EXPECT(owner_dies(&a) && owner_dies(&b));
	EXPECT(resets() && as_found());
}

static void become_daemon(int go)
{
	struct zcrx_nic *nic;
	char c;

	if (zcrx_nic_open(&nic, FAKE_NAME, 1))
		_exit(1);
	if (fork())
		_exit(0);
	if (read(go, &c, 1) == 1)
		zcrx_nic_close(nic);
	_exit(0);
}

/* Who has opened is gone, but its child lives and is the owner now. */
static void daemon_lives(void)
{
	int go[2], status;
	pid_t pid;

	begin();
	EXPECT(!prctl(PR_SET_CHILD_SUBREAPER, 1) && !pipe(go));
	pid = fork();
	if (!pid)
		become_daemon(go[0]);
	EXPECT(waitpid(pid, &status, 0) == pid && !status);
	EXPECT(resets() && has_queue(1));
	EXPECT(open_nic(1) == -EBUSY);
	EXPECT(write(go[1], "g", 1) == 1 && wait(&status) > 0 && !status);
	EXPECT(as_found());
	close(go[0]);
	close(go[1]);
}

/* The next to open puts back what the dead one left, and can have its queue. */
static void next_cleans_up(void)
{
	struct owner a, b;

	begin();
	EXPECT(owner_start(&a, own, 1) && owner_dies(&a));
	EXPECT(has_queue(1));
	EXPECT(owner_start(&b, own, 2) && has_queue(2) && fake_nic_count(1));
	EXPECT(owner_start(&a, own, 1));
	EXPECT(owner_ends(&b) && owner_ends(&a) && as_found());
}

static void setup_in_full(const struct pair *p)
{
	struct zcrx_nic *nic;

	if (zcrx_nic_open(&nic, FAKE_NAME, 3) || zcrx_nic_steer(nic, p->ours))
		_exit(2);
	if (fake_nic->has_rules && zcrx_nic_steer(nic, p->listener))
		_exit(3);
	zcrx_nic_unsteer(nic, p->ours);
	if (zcrx_nic_steer(nic, p->ours))
		_exit(4);
	zcrx_nic_close(nic);
	_exit(0);
}

/* As zcrxctl setup does: what is kept is there till somebody resets it. */
static void setup_to_keep(const struct pair *p)
{
	(void)p;
	_exit(!keep(3));
}

/* Returns whether it died of that step, rather than come to its end. */
static bool die_at_step(unsigned int nr, void (*set_up)(const struct pair *p),
			const struct pair *p)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		fake_nic_die_at(nr);
		set_up(p);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status)) {
		printf("# step %u: exit status %d\n", nr, WEXITSTATUS(status));
		ktap_failed = true;
	}

	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void die_at_every_step_of(void (*set_up)(const struct pair *p),
				 bool other_owner)
{
	struct pair p;
	struct owner other;
	unsigned int nr = 1;
	bool died;

	EXPECT(pair_open(&p));
	do {
		if (other_owner)
			EXPECT(owner_start(&other, own, 1));
		died = die_at_step(nr++, set_up, &p);
		EXPECT(resets());
		if (other_owner) {
			EXPECT(has_queue(1) && fake_nic_count(3));
			EXPECT(owner_ends(&other));
		}
		EXPECT(as_found());
	} while (died);
	printf("# %u steps\n", nr - 2);
	EXPECT(nr > 8);
	pair_close(&p);
}

static void die_at_every_step(bool other_owner)
{
	die_at_every_step_of(setup_in_full, other_owner);
}

static void death_with_entries(void)
{
	begin();
	die_at_every_step(false);
	begin();
	die_at_every_step(true);
}

static void death_with_rules(void)
{
	begin();
	fake_nic->has_rules = true;
	die_at_every_step(false);
	die_at_every_step(true);
}

static void death_with_filters_off(void)
{
	begin_with_filters_off();
	die_at_every_step(false);
	die_at_every_step(true);
}

static void death_with_contexts(void)
{
	begin();
	fake_nic->has_rules = true;
	fake_nic->rules_want_context = true;
	fake_nic->has_contexts = true;
	die_at_every_step(false);
	die_at_every_step(true);
}

static void death_with_context_of_others(void)
{
	begin();
	fake_nic->has_rules = true;
	fake_nic->rules_want_context = true;
	fake_nic->has_contexts = true;
	fake_nic->set.context_used[1] = true;
	fake_nic->set.context_queue[1] = 3;
	found = fake_nic->set;
	die_at_every_step(false);
}

static void death_before_kept(void)
{
	begin();
	die_at_every_step_of(setup_to_keep, false);
	die_at_every_step_of(setup_to_keep, true);
}

static unsigned int die_in_reset(unsigned int nr)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		fake_nic_die_at(nr);
		_exit(zcrx_nic_reset(FAKE_NAME) != 0);
	}
	waitpid(pid, &status, 0);

	return WIFSIGNALED(status);
}

/* Who puts back may die, too. */
static void death_in_reset(void)
{
	struct owner a, b;
	unsigned int nr = 1;
	bool died;

	begin();
	do {
		EXPECT(owner_start(&a, own, 1) && owner_start(&b, own, 3));
		EXPECT(owner_dies(&a) && owner_dies(&b));
		died = die_in_reset(nr++);
		EXPECT(resets() && as_found());
	} while (died);
	EXPECT(nr > 4);
}

/* As many as can be at once, again and again */
static void crowd(void)
{
	struct zcrx_nic *nic;
	int status, i, round;

	begin();
	for (i = 0; i < 8; i++) {
		if (fork())
			continue;
		for (round = 0; round < 20; round++) {
			int ret = zcrx_nic_open(&nic, FAKE_NAME, -1);

			if (ret && ret != -ENOSPC)
				_exit(1);
			if (!ret && !has_queue(zcrx_nic_rxq(nic)))
				_exit(2);
			if (!ret)
				zcrx_nic_close(nic);
		}
		_exit(0);
	}
	for (i = 0; i < 8; i++)
		EXPECT(wait(&status) > 0 && !status);
	EXPECT(as_found());
}

/*
 * Two programs that start at once, on a NIC that has a queue for one. A program
 * that can't set the NIC up registers the last queue as it is, unless it is taken,
 * as zcrx-run does.
 */

#define ROUNDS		300

/**
 * struct race - what the two share
 * @nr_here: how many have come to the end of each part of a round
 * @nr_set_up: how many have set up a queue, and registered it
 * @nr_as_it_is: how many have registered one that they have not set up
 * @nr_robbed: how many have set up a queue that another one has registered
 * @nr_other: how many were refused for another reason than that there is no queue
 */
struct race {
	unsigned int	nr_here;
	unsigned int	nr_set_up;
	unsigned int	nr_as_it_is;
	unsigned int	nr_robbed;
	unsigned int	nr_other;
};

static struct race *race;

static void count(unsigned int *nr)
{
	__atomic_add_fetch(nr, 1, __ATOMIC_SEQ_CST);
}

static void meet(unsigned int nr)
{
	count(&race->nr_here);
	while (__atomic_load_n(&race->nr_here, __ATOMIC_SEQ_CST) < nr)
		usleep(50);
}

/* As the kernel does it: one has the queue. */
static bool registers(unsigned int queue)
{
	enum zcrx_provider none = ZCRX_PROVIDER_NONE;

	return __atomic_compare_exchange_n(&fake_nic->provider[queue], &none,
					   ZCRX_PROVIDER_IO_URING, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void unregister(unsigned int queue)
{
	__atomic_store_n(&fake_nic->provider[queue], ZCRX_PROVIDER_NONE,
			 __ATOMIC_SEQ_CST);
}

/* It takes a while to pin memory. */
static void use_set_up(struct zcrx_nic *nic, unsigned int end)
{
	bool has;

	usleep(rand() % 500);
	has = registers(zcrx_nic_rxq(nic));
	count(has ? &race->nr_set_up : &race->nr_robbed);
	meet(end);
	if (has)
		unregister(zcrx_nic_rxq(nic));
	zcrx_nic_close(nic);
}

static void use_as_it_is(unsigned int end)
{
	unsigned int last = fake_nic->nr_queues - 1;
	bool has = !zcrx_nic_is_taken(FAKE_NAME, last) && registers(last);

	if (has)
		count(&race->nr_as_it_is);
	meet(end);
	if (has)
		unregister(last);
}

static void run_rounds(void)
{
	struct zcrx_nic *nic;
	unsigned int i;
	int ret;

	srand(getpid());
	for (i = 0; i < ROUNDS; i++) {
		meet(4 * i + 2);
		ret = zcrx_nic_open(&nic, FAKE_NAME, -1);
		if (ret && ret != -ENOSPC)
			count(&race->nr_other);
		if (ret)
			use_as_it_is(4 * i + 4);
		else
			use_set_up(nic, 4 * i + 4);
	}
}

static void at_once(void)
{
	int status, i;

	begin();
	fake_nic->nr_queues = 2;
	for (i = 0; i < FAKE_SIZE; i++)
		fake_nic->set.table[i] %= 2;
	found = fake_nic->set;
	race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	EXPECT(race != MAP_FAILED);
	for (i = 0; i < 2; i++) {
		if (fork())
			continue;
		run_rounds();
		_exit(0);
	}
	for (i = 0; i < 2; i++)
		EXPECT(wait(&status) > 0 && !status);
	printf("# %u set up, %u as it is, %u robbed, %u for other reasons\n",
	       race->nr_set_up, race->nr_as_it_is, race->nr_robbed,
	       race->nr_other);
	EXPECT(race->nr_set_up == ROUNDS && !race->nr_as_it_is);
	EXPECT(!race->nr_robbed && !race->nr_other && as_found());
	munmap(race, sizeof(*race));
}

/* Somebody's, nobody's, nobody's that is there to be used, and nobody knows whose */
static void taken(void)
{
	struct rlimit limit, none;
	struct zcrx_nic *nic;

	begin();
	EXPECT(!zcrx_nic_is_taken(FAKE_NAME, 3));
	EXPECT(!zcrx_nic_open(&nic, FAKE_NAME, 3));
	EXPECT(zcrx_nic_is_taken(FAKE_NAME, 3));
	EXPECT(zcrx_nic_is_taken(FAKE_NAME, 1));
	EXPECT(keep(1) && !zcrx_nic_is_taken(FAKE_NAME, 1));
	EXPECT(zcrx_nic_is_taken(FAKE_NAME, 3));
	zcrx_nic_close(nic);
	EXPECT(!zcrx_nic_is_taken(FAKE_NAME, 3));
	EXPECT(fake_nic_write_record(2, newer));
	EXPECT(zcrx_nic_is_taken(FAKE_NAME, 3));
	EXPECT(!zcrx_nic_is_taken(FAKE_NAME, 1));
	fake_nic_delete_record(2);

	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	EXPECT(zcrx_nic_is_taken(FAKE_NAME, 3));
	setrlimit(RLIMIT_NOFILE, &limit);
	EXPECT(resets() && as_found());
}

/*
 * Finding
 */

static void find(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	char ifname[IFNAMSIZ];
	struct pair p;

	begin();
	EXPECT(pair_open(&p));
	EXPECT(!zcrx_nic_find(ifname, p.ours) && !strcmp(ifname, FAKE_NAME));
	EXPECT(!zcrx_nic_find(ifname, p.listener));
	EXPECT(!strcmp(ifname, FAKE_NAME));
	EXPECT(zcrx_nic_find(ifname, -1) == -EBADF);
	pair_close(&p);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    listen(fd, 1))
		SKIP("no IPv6");
	EXPECT(!zcrx_nic_find(ifname, fd) && !strcmp(ifname, FAKE_NAME));
	EXPECT(!zcrx_nic_any(ifname, 0) && !strcmp(ifname, FAKE_NAME));
	fake_nic->ret_split = -EOPNOTSUPP;
	EXPECT(zcrx_nic_find(ifname, fd) == -EADDRNOTAVAIL);
	EXPECT(zcrx_nic_any(ifname, 0) == -ENODEV);
	close(fd);
}

static const struct ktap_case cases[] = {
	{ "open and close", open_and_close },
	{ "a queue by its number", named_queue },
	{ "a queue that is bound already", bound_queue },
	{ "a single queue", single_queue },
	{ "as many as there are", too_many },
	{ "refusals", refusals },
	{ "no RSS", without_rss },
	{ "threshold of header split", threshold },
	{ "the interface goes", interface_goes },
	{ "fewer queues", fewer_queues },
	{ "closed too early", closed_too_early },
	{ "closing waits without the lock", close_waits },
	{ "the kernel does not tell of queues", queues_not_told },
	{ "a newer version's record", newer_record },
	{ "closing is refused", close_is_refused },
	{ "a record that can't be read", unreadable_record },
	{ "another NIC has the number", another_nic },
	{ "the directory of records goes", directory_goes },
	{ "the first error is told", first_sentence },
	{ "to close says nothing", no_sentence },
	{ "errno and sentence are of one error", one_sentence },
	{ "description", describe },
	{ "a queue is kept", keep_queue },
	{ "a queue is kept, and bound", keep_bound },
	{ "a queue is kept, and the NIC is another one", keep_another_nic },
	{ "a queue can't be kept", keep_refused },
	{ "steering by filter", steer_by_rule },
	{ "steering by filter: two sockets of a connection", steer_twice },
	{ "steering by filter: the record is deleted", record_is_deleted },
	{ "steering by RSS context", steer_by_context },
	{ "steering: somebody else's RSS context", context_of_others },
	{ "steering: filter, then RSS context", rule_and_context },
	{ "steering: filters are off", filters_off },
	{ "steering: somebody else's filters, which were off", filters_of_others },
	{ "steering: filters stay off", filters_stay_off },
	{ "steering: undone at a second try", unsteer_again },
	{ "steering: the RSS table is refused", entry_is_refused },
	{ "steering: somebody else's filter", rule_of_others },
	{ "steering: somebody else's filter, made meanwhile", rule_of_others_comes },
	{ "steering: a filter has moved", rule_has_moved },
	{ "steering: no room for filters", no_room_for_rules },
	{ "steering: a filter fails once", rule_fails_once },
	{ "steering by RSS table", steer_by_entry },
	{ "steering by an entry that is ours already", entry_is_ours },
	{ "steering: somebody else's entry", entry_of_others },
	{ "steering: not by RSS table on mainline", no_entry_on_mainline },
	{ "steering: on mainline, each connection", rule_on_mainline },
	{ "steering: undone though a child has the ring", bound_by_a_child },
	{ "steering: undone so on mainline", bound_on_mainline },
	{ "steering: not connected yet", steer_early },
	{ "steering: wrong sockets", not_for_steering },
	{ "steering: a kernel that need not be asked", open_readable },
	{ "steering: file descriptors out of the way", move_files },
	{ "two processes, both orders", both_orders },
	{ "two processes, filters that were off", filters_for_two },
	{ "a process dies", one_dies },
	{ "a process becomes a daemon", daemon_lives },
	{ "the next one cleans up", next_cleans_up },
	{ "death at every step, RSS table", death_with_entries },
	{ "death at every step, filters", death_with_rules },
	{ "death at every step, filters that were off", death_with_filters_off },
	{ "death at every step, RSS contexts", death_with_contexts },
	{ "death at every step, somebody else's RSS context",
	  death_with_context_of_others },
	{ "death at every step, a queue that is to be kept", death_before_kept },
	{ "death while putting back", death_in_reset },
	{ "chunks for the MTU", chunk_by_mtu },
	{ "many processes at once", crowd },
	{ "two processes at once, and a queue for one", at_once },
	{ "a queue that is taken", taken },
	{ "interface of a socket", find },
};

int main(void)
{
	int ret;

	fake_nic_init();
	ret = ktap_run(cases, ARRAY_SIZE(cases));
	fake_nic_exit();

	return ret;
}
