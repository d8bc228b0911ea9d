// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Queues of a real driver's NIC: set up, used, put back. Runs as root in the
 * VM, with zcrx_peer beside it; scripts/tests/nic-in-vm.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing-zcrx.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* The VM is slow, and starts hundreds of programs. */
#define KTAP_TIME_LIMIT	800

#include "../../../selftests/pattern.h"
#include "../../src/nic.h"
#include "../ktap.h"
#include "../owner.h"
#include "guest.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define BYTES		(16U << 20)

/*
 * Steps: each change of the NIC or of a record has one before and one after it,
 * and so has registering the queue.
 */

static unsigned int steps_to_live;

static void step(void)
{
	if (steps_to_live && !--steps_to_live)
		kill(getpid(), SIGKILL);
}

int __wrap_renameat(int old_dir, const char *old, int new_dir, const char *new);
int __real_renameat(int old_dir, const char *old, int new_dir, const char *new);
int __wrap_unlinkat(int dir, const char *name, int flags);
int __real_unlinkat(int dir, const char *name, int flags);
int __wrap_zcrx_hw_set_split(unsigned int ifindex, unsigned int split,
				 int thresh);
int __real_zcrx_hw_set_split(unsigned int ifindex, unsigned int split,
				 int thresh);
int __wrap_zcrx_hw_set_rss(unsigned int ifindex, const uint32_t *table,
			   unsigned int size);
int __real_zcrx_hw_set_rss(unsigned int ifindex, const uint32_t *table,
			   unsigned int size);

int __wrap_zcrx_register(struct io_uring *ring, struct zcrx_params *params,
			 const struct zcrx_area *areas, unsigned int nr_areas,
			 struct zcrx_ifq *ifq);
int __real_zcrx_register(struct io_uring *ring, struct zcrx_params *params,
			 const struct zcrx_area *areas, unsigned int nr_areas,
			 struct zcrx_ifq *ifq);

int __wrap_renameat(int old_dir, const char *old, int new_dir, const char *new)
{
	int ret;

	step();
	ret = __real_renameat(old_dir, old, new_dir, new);
	step();

	return ret;
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
	int ret;

	step();
	ret = __real_unlinkat(dir, name, flags);
	step();

	return ret;
}

int __wrap_zcrx_hw_set_split(unsigned int ifindex, unsigned int split,
				 int thresh)
{
	int ret;

	step();
	ret = __real_zcrx_hw_set_split(ifindex, split, thresh);
	step();

	return ret;
}

int __wrap_zcrx_hw_set_rss(unsigned int ifindex, const uint32_t *table,
			   unsigned int size)
{
	int ret;

	step();
	ret = __real_zcrx_hw_set_rss(ifindex, table, size);
	step();

	return ret;
}

int __wrap_zcrx_register(struct io_uring *ring, struct zcrx_params *params,
			 const struct zcrx_area *areas, unsigned int nr_areas,
			 struct zcrx_ifq *ifq)
{
	int ret;

	step();
	ret = __real_zcrx_register(ring, params, areas, nr_areas, ifq);
	step();

	return ret;
}

/*
 * A receiver
 */

/* The bytes, and the digest behind them, by the ordinary way */
static bool receive_plainly(int fd, unsigned int bytes)
{
	static unsigned char buf[65536];
	unsigned int got = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		got += n;

	return !n && got == bytes + PATTERN_DIGEST_SIZE;
}

/**
 * struct receiver - a queue that is in use
 * @ring: the io_uring
 * @area: memory
 * @ifq: the queue
 */
struct receiver {
	struct io_uring		ring;
	struct zcrx_area	area;
	struct zcrx_ifq		ifq;
};

static int receiver_start(struct receiver *r, const struct zcrx_nic *nic)
{
	struct zcrx_params params = {
		.if_idx		= zcrx_nic_ifindex(nic),
		.rxq		= zcrx_nic_rxq(nic),
		.refill_entries	= 8192,
		.rbuf_entries	= 4096,
	};
	int ret = io_uring_queue_init(8, &r->ring, 0);

	if (ret)
		return ret;
	ret = zcrx_area_alloc(&r->area, 32 << 20, 0);
	if (!ret)
		ret = zcrx_register(&r->ring, &params, &r->area, 1, &r->ifq);

	return ret;
}

static void receiver_stop(struct receiver *r)
{
	io_uring_queue_exit(&r->ring);
	zcrx_unregister(&r->ifq);
	zcrx_area_free(&r->area);
}

static bool is_right(const unsigned char *data, unsigned int len,
		     unsigned int at)
{
	unsigned int i;

	for (i = 0; i < len && at + i < BYTES; i++)
		if (data[i] != pattern_byte(SEED, at + i))
			return false;

	return true;
}

/* Returns how many bytes came, 0 if one was wrong. */
static unsigned int receive(struct receiver *r, int fd)
{
	const struct zcrx_rbuf_cqe *buf;
	unsigned int got = 0, nr;
	bool right = true;

	do {
		zcrx_prep_recv(io_uring_get_sqe(&r->ring), &r->ifq, fd, 0, 0);
		io_uring_submit_and_wait(&r->ring, 1);
		zcrx_for_each_rbuf(&r->ifq, nr, buf) {
			right = right && is_right(zcrx_rbuf_data(&r->ifq, buf),
						  buf->len, got);
			got += buf->len;
			while (zcrx_refill(&r->ifq, zcrx_rbuf_off(buf)))
				if (zcrx_resume(&r->ifq))
					return 0;
		}
		zcrx_rbuf_release(&r->ifq, nr);
		io_uring_cq_advance(&r->ring, 1);
	} while (nr);

	return right ? got : 0;
}

/*
 * One process
 */

static void open_and_close(void)
{
	struct zcrx_nic *nic;

	EXPECT(good(zcrx_nic_open(&nic, IFNAME, -1)));
	EXPECT(zcrx_nic_rxq(nic) == 3 && has_queue(3));
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

static void with_ring(void)
{
	static struct receiver r;
	struct zcrx_nic_info info;
	struct zcrx_nic *nic;

	EXPECT(good(zcrx_nic_open(&nic, IFNAME, 2)));
	EXPECT(!receiver_start(&r, nic));
	EXPECT(good(zcrx_nic_describe(IFNAME, &info)));
	EXPECT(info.nr_queues == 4 && info.queues_known);
	EXPECT(info.queues[2].provider == ZCRX_PROVIDER_IO_URING);
	EXPECT(info.queues[2].pid == getpid() && !info.queues[2].stale);
	EXPECT(!info.queues[3].provider && !info.queues[3].pid);
	zcrx_nic_info_free(&info);
	receiver_stop(&r);
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

static void description(void)
{
	struct zcrx_nic_info info;

	EXPECT(good(zcrx_nic_describe(IFNAME, &info)));
	EXPECT(!strcmp(info.driver, "igb") && info.up && !info.loopback);
	EXPECT(info.mtu == strtoul(getenv("ZCRX_VM_MTU"), NULL, 10));
	EXPECT(info.split == ZCRX_SPLIT_OFF);
	EXPECT(info.can_switch_split == ZCRX_YES && info.split_threshold == -1);
	EXPECT(info.rx_ring == 256 && info.rx_ring_max == 4096);
	EXPECT(info.rss_size == 128 && info.rss_toeplitz && !info.rss_contexts);
	EXPECT(info.rss_key_size >= 40);
	zcrx_nic_info_free(&info);
	EXPECT(good(zcrx_nic_describe("lo", &info)));
	EXPECT(info.loopback && info.can_switch_split == ZCRX_NO);
	zcrx_nic_info_free(&info);
	EXPECT(as_found());
}

static void refusals(void)
{
	struct zcrx_nic *nic;

	EXPECT(zcrx_nic_open(&nic, "eth9", -1) == -ENODEV);
	EXPECT(strstr(zcrx_error(), "eth9"));
	EXPECT(zcrx_nic_open(&nic, IFNAME, 4) == -ERANGE);
	EXPECT(zcrx_nic_open(&nic, "lo", 0) == -EOPNOTSUPP);
	EXPECT(strstr(zcrx_error(), "lo "));
	EXPECT(zcrx_nic_open(&nic, "lo", -1) == -EOPNOTSUPP);
	EXPECT(strstr(zcrx_error(), "split headers"));
	EXPECT(as_found());
}

static int refused_without_privilege(void)
{
	struct zcrx_nic *nic;
	int status = 1;
	pid_t pid = fork();

	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(2);
		_exit(zcrx_nic_open(&nic, IFNAME, -1) != -EACCES ||
		      !strstr(zcrx_error(), "run as root"));
	}
	waitpid(pid, &status, 0);

	return status;
}

static void without_privilege(void)
{
	EXPECT(!refused_without_privilege());
	EXPECT(as_found());
}

static void finding(void)
{
	static const char *const peers[] = { "ZCRX_VM_PEER4", "ZCRX_VM_PEER6" };
	char ifname[IFNAMSIZ];
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(peers); i++) {
		fd = connect_peer(peers[i]);
		EXPECT(fd >= 0);
		EXPECT(good(zcrx_nic_find(ifname, fd)));
		EXPECT(!strcmp(ifname, IFNAME));
		close(fd);
	}
	fd = bound_listener("ZCRX_VM_GUEST4");
	EXPECT(good(zcrx_nic_find(ifname, fd)) && !strcmp(ifname, IFNAME));
	close(fd);
	fd = bound_listener(NULL);
	EXPECT(good(zcrx_nic_find(ifname, fd)) && !strcmp(ifname, IFNAME));
	close(fd);
	EXPECT(good(zcrx_nic_any(ifname, 0)) && !strcmp(ifname, IFNAME));
	EXPECT(as_found());
}

static void vlan(void)
{
	char ifname[IFNAMSIZ];
	int fd;

	EXPECT(!system("ip link add zcrx5 link " IFNAME " type vlan id 5 && "
		       "ip addr add 198.51.100.2/24 dev zcrx5 && "
		       "ip link set zcrx5 up"));
	setenv("VLAN4", "198.51.100.2", 1);
	fd = bound_listener("VLAN4");
	EXPECT(good(zcrx_nic_find(ifname, fd)) && !strcmp(ifname, IFNAME));
	close(fd);
	EXPECT(good(zcrx_nic_named(ifname, "zcrx5")) && !strcmp(ifname, IFNAME));
	EXPECT(good(zcrx_nic_named(ifname, IFNAME)) && !strcmp(ifname, IFNAME));
	EXPECT(!system("ip link del zcrx5"));
	EXPECT(as_found());
}

/*
 * Steering
 */

static void steered(const char *peer)
{
	static struct receiver r;
	struct zcrx_counters counters;
	unsigned long long before;
	struct zcrx_nic *nic;
	int fd;

	EXPECT(good(zcrx_nic_open(&nic, IFNAME, -1)));
	EXPECT(!receiver_start(&r, nic));
	fd = connect_peer(peer);
	EXPECT(fd >= 0);
	EXPECT(good(zcrx_nic_steer(nic, fd)));
	EXPECT(entries_of(3) == 1);
	before = packets_of(3);
	EXPECT(make_room(fd, BYTES) && request(fd, BYTES, SEED));
	EXPECT(receive(&r, fd) == BYTES + PATTERN_DIGEST_SIZE);
	zcrx_read_counters(&r.ifq, &counters);
	printf("# %llu bytes in place, %llu copied\n",
	       (unsigned long long)counters.zc_bytes,
	       (unsigned long long)counters.copied_bytes);
	EXPECT(counters.zc_bytes >= BYTES / 100 * 99);
	EXPECT(packets_of(3) - before > 1000);
	close(fd);
	EXPECT(good(zcrx_nic_unsteer(nic, fd)) && entries_of(3) == 0);
	receiver_stop(&r);
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

static void steered_v4(void)
{
	steered("ZCRX_VM_PEER4");
}

static void steered_v6(void)
{
	steered("ZCRX_VM_PEER6");
}

/* Connections that nobody steers stay away, and those that somebody did, do so
 * when he is done.
 */
static void kept_away(void)
{
	unsigned long long before;
	struct zcrx_nic *nic;
	unsigned int i;
	int fd;

	EXPECT(good(zcrx_nic_open(&nic, IFNAME, -1)));
	before = packets_of(3);
	for (i = 0; i < 16; i++) {
		fd = connect_peer("ZCRX_VM_PEER4");
		EXPECT(fd >= 0);
		if (i & 1) {
			EXPECT(good(zcrx_nic_steer(nic, fd)));
			EXPECT(good(zcrx_nic_unsteer(nic, fd)));
		}
		EXPECT(request(fd, 65536, SEED) && receive_plainly(fd, 65536));
		close(fd);
	}
	EXPECT(packets_of(3) == before);
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

static void many_connections(void)
{
	unsigned long long before;
	struct zcrx_nic *nic;
	int fds[64];
	unsigned int i;

	EXPECT(good(zcrx_nic_open(&nic, IFNAME, -1)));
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = connect_peer("ZCRX_VM_PEER4");
		EXPECT(fds[i] >= 0 && good(zcrx_nic_steer(nic, fds[i])));
	}
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		before = packets_of(3);
		EXPECT(request(fds[i], 65536, SEED));
		EXPECT(receive_plainly(fds[i], 65536));
		EXPECT(packets_of(3) > before);
		close(fds[i]);
	}
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		EXPECT(good(zcrx_nic_unsteer(nic, fds[i])));
	EXPECT(entries_of(3) == 0);
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

static void listener(void)
{
	int fd = bound_listener(NULL);
	struct zcrx_nic *nic;

	EXPECT(fd >= 0 && good(zcrx_nic_open(&nic, IFNAME, -1)));
	EXPECT(zcrx_nic_steer(nic, fd) == -EOPNOTSUPP);
	EXPECT(strstr(zcrx_error(), IFNAME));
	zcrx_nic_close(nic);
	close(fd);
	EXPECT(as_found());
}

/*
 * Several processes
 */

static void own(int rxq, int ready, int go)
{
	static struct receiver r;
	struct zcrx_nic *nic;
	char c = 'y';

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!good(zcrx_nic_open(&nic, IFNAME, rxq)) || receiver_start(&r, nic))
		c = 'n';
	if (write(ready, &c, 1) != 1 || c == 'n' || read(go, &c, 1) != 1)
		_exit(1);
	receiver_stop(&r);
	zcrx_nic_close(nic);
	_exit(0);
}

static void both_orders(void)
{
	struct owner a, b;
	int last;

	for (last = 0; last < 2; last++) {
		EXPECT(owner_start(&a, own, 1) && owner_start(&b, own, -1));
		EXPECT(has_queue(1) && has_queue(3) && entries_of(2) > 0);
		EXPECT(owner_ends(last ? &a : &b));
		EXPECT(has_queue(last ? 3 : 1) && entries_of(last ? 1 : 3) > 0);
		EXPECT(owner_ends(last ? &b : &a) && as_found());
	}
}

/* With its ring open: what it left is put back as soon as the queue is free. */
static void death_in_use(void)
{
	struct owner a, b;

	EXPECT(owner_start(&a, own, 1) && owner_dies(&a));
	EXPECT(good(zcrx_nic_reset(IFNAME)) && as_found());

	EXPECT(owner_start(&a, own, 1) && owner_start(&b, own, 2) &&
	       owner_dies(&a));
	EXPECT(good(zcrx_nic_reset(IFNAME)));
	EXPECT(has_queue(2) && entries_of(1) > 0);
	EXPECT(owner_start(&a, own, 1) && owner_dies(&b) && owner_ends(&a));
	EXPECT(good(zcrx_nic_reset(IFNAME)) && as_found());
}

/* Of a queue object, with a connection that comes, goes, and comes again */
static void setup_in_full(int fd)
{
	struct zcrx_queue_opts opts;
	struct zcrx_queue *queue;
	struct zcrx_conn *conn;

	zcrx_queue_opts_init(&opts);
	opts.ifname = IFNAME;
	opts.backend = "rbuf";
	opts.rxq = 3;
	if (!good(zcrx_queue_open(&queue, &opts)) ||
	    !good(zcrx_conn_add(queue, fd, NULL, &conn)) ||
	    !good(zcrx_conn_remove(conn)) ||
	    !good(zcrx_conn_add(queue, fd, NULL, &conn)) ||
	    !good(zcrx_queue_close(queue)))
		_exit(1);
	_exit(0);
}

static bool die_at_step(unsigned int nr, int fd)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		steps_to_live = nr;
		setup_in_full(fd);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status))
		ktap_failed = true;

	return WIFSIGNALED(status);
}

static bool resets(void)
{
	return !system("zcrxctl reset " IFNAME " > /dev/null");
}

static void death_at_every_step(void)
{
	int fd = connect_peer("ZCRX_VM_PEER4");
	unsigned int nr = 0;

	EXPECT(fd >= 0);
	while (die_at_step(++nr, fd))
		EXPECT(resets() && as_found());
	EXPECT(as_found());
	printf("# %u steps\n", nr - 1);
	EXPECT(nr > 20);
	close(fd);
}

/* What the other one has set up stays, to the last entry of the RSS table. */
static void death_beside_another(void)
{
	int fd = connect_peer("ZCRX_VM_PEER4");
	unsigned int nr = 0;
	struct owner other;

	EXPECT(fd >= 0 && owner_start(&other, own, 1));
	EXPECT(has_queue(1) && entries_of(3) > 0 && note_meanwhile());
	while (die_at_step(++nr, fd))
		EXPECT(resets() && as_meanwhile());
	EXPECT(nr > 20 && as_meanwhile());
	EXPECT(owner_ends(&other) && as_found());
	close(fd);
}

/* What is garbled is left to people, and keeps everybody out. */
static void garbled_record(void)
{
	struct zcrx_nic *nic;
	char command[96];

	EXPECT(good(zcrx_nic_open(&nic, IFNAME, 3)));
	snprintf(command, sizeof(command),
		 "echo nonsense > $(ls -d /run/zcrx/*-%u)/queue-2",
		 if_nametoindex(IFNAME));
	EXPECT(!system(command));
	zcrx_nic_close(nic);
	EXPECT(has_queue(3));
	EXPECT(zcrx_nic_reset(IFNAME) == -EBADMSG);
	EXPECT(strstr(zcrx_error(), IFNAME) && strstr(zcrx_error(), "queue-2"));
	EXPECT(zcrx_nic_open(&nic, IFNAME, 1) == -EBADMSG);
	EXPECT(!system("grep -q nonsense /run/zcrx/*/queue-2"));
	EXPECT(!system("grep -q ^device.*: /run/zcrx/*/queue-3"));
	EXPECT(!system("rm /run/zcrx/*/queue-2"));
	EXPECT(good(zcrx_nic_reset(IFNAME)) && as_found());
	EXPECT(system("ls /run/zcrx/* > /dev/null 2>&1"));
}

/*
 * The administrator
 */

static void renamed(void)
{
	struct zcrx_nic *nic;

	EXPECT(good(zcrx_nic_open(&nic, IFNAME, -1)));
	EXPECT(!system("ip link set " IFNAME " down && ip link set " IFNAME
		       " name zcrx9 && ip link set zcrx9 up"));
	zcrx_nic_close(nic);
	EXPECT(!system("ip link set zcrx9 down && "
		       "ip link set zcrx9 name " IFNAME));
	EXPECT(zcrx_nic_open(&nic, IFNAME, -1) == -ENETDOWN);
	EXPECT(strstr(zcrx_error(), "ip link set " IFNAME " up"));
	EXPECT(!system("ip link set " IFNAME " up"));
	EXPECT(as_found());
}

static void own_table(void)
{
	struct zcrx_nic *nic;

	EXPECT(!system("ethtool -X " IFNAME " weight 3 1 0 0"));
	EXPECT(note_nic());
	EXPECT(good(zcrx_nic_open(&nic, IFNAME, 0)));
	EXPECT(entries_of(0) == 0 && entries_of(1) == 128);
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

static void split_was_on(void)
{
	struct zcrx_nic *nic;

	EXPECT(!system("zcrx-split " IFNAME " on"));
	EXPECT(note_nic());
	EXPECT(good(zcrx_nic_open(&nic, IFNAME, -1)));
	zcrx_nic_close(nic);
	EXPECT(split_is_on() && as_found());
	EXPECT(!system("zcrx-split " IFNAME " off"));
}

/* A default table is reset, so that there can be fewer queues afterwards. */
static void single_queue(void)
{
	struct zcrx_nic *nic;

	EXPECT(!system("ethtool -X " IFNAME " default"));
	EXPECT(note_nic());
	EXPECT(good(zcrx_nic_open(&nic, IFNAME, -1)));
	zcrx_nic_close(nic);
	EXPECT(as_found());

	EXPECT(!system("ethtool -L " IFNAME " combined 1"));
	EXPECT(note_nic());
	EXPECT(zcrx_nic_open(&nic, IFNAME, -1) == -ENOSPC);
	EXPECT(strstr(zcrx_error(), "ethtool -L " IFNAME " combined 2"));
	EXPECT(good(zcrx_nic_open(&nic, IFNAME, 0)));
	EXPECT(split_is_on());
	zcrx_nic_close(nic);
	EXPECT(as_found());
}

static const struct ktap_case cases[] = {
	{ "description", description },
	{ "open and close", open_and_close },
	{ "with a ring", with_ring },
	{ "refusals", refusals },
	{ "no privilege", without_privilege },
	{ "interface of a socket", finding },
	{ "interface of a VLAN, and of its socket", vlan },
	{ "IPv4 connection, in place", steered_v4 },
	{ "IPv6 connection, in place", steered_v6 },
	{ "other connections stay away", kept_away },
	{ "many connections", many_connections },
	{ "a listener can't be steered", listener },
	{ "two processes, both orders", both_orders },
	{ "death with the queue in use", death_in_use },
	{ "death at every step", death_at_every_step },
	{ "death beside another process", death_beside_another },
	{ "a garbled record", garbled_record },
	{ "the interface gets another name", renamed },
	{ "an administrator's RSS table", own_table },
	{ "header split was on", split_was_on },
	{ "a single queue", single_queue },
};

int main(void)
{
	if (!note_nic()) {
		printf("1..0 # SKIP ethtool says nothing about " IFNAME "\n");
		return 77;
	}

	return ktap_run(cases, ARRAY_SIZE(cases));
}
