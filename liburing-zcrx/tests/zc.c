// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Queue objects that do not copy, against kernels in memory: what they do when,
 * and what they do with a kernel that refuses.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../src/clock.h"
#include "../src/syscall.h"
#include "fake_ring.h"
#include "ktap.h"

#define CHUNK	4096
#define WAIT_MS	2000

static struct zcrx_queue *queue;
static struct zcrx_conn *conn;
static int fd;

/* A queue without a NIC */
static int open_on_lo(const char *backend)
{
	struct zcrx_queue_opts opts;

	zcrx_queue_opts_init(&opts);
	opts.ifname = "lo";
	opts.backend = backend;
	opts.mem_size = 64 * CHUNK;

	return zcrx_queue_open(&queue, &opts);
}

/* The same, with a connection */
static bool open_queue(enum fake_kind kind, const char *backend)
{
	fake_ring_reset(kind);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!open_on_lo(backend) &&
	    !zcrx_conn_add(queue, fd, NULL, &conn))
		return true;
	printf("# %s\n", zcrx_error());

	return false;
}

static void close_queue(void)
{
	EXPECT(!zcrx_queue_close(queue));
	close(fd);
}

/* Is it given back to the kernel? */
static bool is_back(__u64 off)
{
	struct zcrx_abi_rqe rqe;

	return fake_take(&rqe) && rqe.off == off;
}

static bool is_back_soon(__u64 off)
{
	int64_t end = zcrx_clock() + WAIT_MS;

	while (zcrx_clock() < end) {
		if (is_back(off))
			return true;
		usleep(1000);
	}

	return false;
}

/*
 * Other threads release
 */

static struct zcrx_buf buf;
static bool came_back;

static void *release_while_asleep(void *arg)
{
	while (!__atomic_load_n(&fake_ring.waiting, __ATOMIC_ACQUIRE))
		usleep(1000);
	zcrx_release(queue, &buf, 1);
	came_back = is_back_soon(0);
	zcrx_queue_wake(queue);
	return arg;
}

/* The NIC may have no other chunk, and then nothing else wakes the owner. */
static void owner_asleep(void)
{
	struct zcrx_buf none;
	pthread_t thread;

	EXPECT(open_queue(FAKE_MAINLINE, "cqe32"));
	EXPECT(fake_ring_receive(fd, 0, 100));
	EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1 && buf.len == 100);
	EXPECT(!pthread_create(&thread, NULL, release_while_asleep, NULL));
	EXPECT(zcrx_receive(queue, &none, 1, -1) == 0);
	pthread_join(thread, NULL);
	EXPECT(came_back);
	close_queue();
}

static void *release(void *arg)
{
	zcrx_release(queue, &buf, 1);
	return arg;
}

/* There is always more to tell of, and what was released is not kept for that. */
static void owner_busy(void)
{
	struct zcrx_buf more;
	pthread_t thread;

	EXPECT(open_queue(FAKE_MAINLINE, "cqe32"));
	EXPECT(fake_ring_receive(fd, 0, 100));
	EXPECT(fake_ring_receive(fd, CHUNK, 100));
	EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1);
	EXPECT(!pthread_create(&thread, NULL, release, NULL));
	pthread_join(thread, NULL);
	EXPECT(zcrx_receive(queue, &more, 1, WAIT_MS) == 1 && more.data);
	EXPECT(is_back(0));
	close_queue();
}

/*
 * The kernel has no chunk to copy to
 */

/* Mainline is told to look for what was given back, then asked for more. */
static void out_of_chunks(void)
{
	struct zcrx_buf none;

	EXPECT(open_queue(FAKE_MAINLINE, "cqe32"));
	EXPECT(fake_ring_receive(fd, CHUNK, 100));
	EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1);
	fake_ring.no_time = true;
	EXPECT(fake_ring_end(fd, -ENOMEM));
	EXPECT(zcrx_receive(queue, &none, 1, 0) == 0);
	EXPECT(!fake_ring_receive(fd, 0, 100));
	fake.nr_calls = 0;
	zcrx_release(queue, &buf, 1);
	EXPECT(zcrx_receive(queue, &none, 1, 0) == 0);
	EXPECT(fake.nr_calls == 1 && fake.opcode == ZCRX_REGISTER_CTRL &&
	       fake.ctrl.op == ZCRX_ABI_CTRL_FLUSH_RQ);
	EXPECT(is_back(CHUNK));
	EXPECT(fake_ring_receive(fd, 0, 100));
	close_queue();
}

/*
 * The kernel has work
 */

/* As mainline does, some of it at a time: nobody would tell of the rest. */
static void much_work(void)
{
	EXPECT(open_queue(FAKE_MAINLINE, "cqe32"));
	fake_ring.nr_work = 1000;
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == 0);
	EXPECT(!fake_ring.nr_work);
	close_queue();
}

/* As Linux 7.3 does */
static void only_says_work(void)
{
	EXPECT(open_queue(FAKE_MAINLINE, "cqe32"));
	fake_ring.says_work = true;
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == 0);
	fake_ring.says_work = true;
	EXPECT(zcrx_receive(queue, &buf, 1, 1) == 0);
	close_queue();
}

/*
 * The kernel refuses
 */

/* It may still have the socket, which must not be closed then. */
static void remove_refused(void)
{
	EXPECT(open_queue(FAKE_MAINLINE, "cqe32"));
	fake_ring.ret_submit = -EAGAIN;
	EXPECT(zcrx_conn_remove(conn) == -EAGAIN && *zcrx_error());
	fake_ring.ret_submit = 0;
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == 0);
	/* It goes on, and can be removed later. */
	EXPECT(fake_ring_receive(fd, 0, 100));
	EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1 && buf.len == 100);
	zcrx_release(queue, &buf, 1);
	EXPECT(!zcrx_conn_remove(conn) && !fake_ring_receive(fd, 0, 100));
	close_queue();
}

/* What was not taken is when the owner comes back, who is woken for it. */
static void add_refused(void)
{
	struct pollfd pfd = { .events = POLLIN };

	EXPECT(open_queue(FAKE_MAINLINE, "cqe32"));
	pfd.fd = zcrx_queue_poll_fd(queue);
	EXPECT(!zcrx_conn_remove(conn));
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == 0 && !poll(&pfd, 1, 0));
	fake_ring.ret_submit = -EAGAIN;
	EXPECT(!zcrx_conn_add(queue, fd, NULL, &conn));
	fake_ring.ret_submit = 0;
	EXPECT(poll(&pfd, 1, 0) == 1);
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == 0);
	EXPECT(fake_ring_receive(fd, 0, 100));
	EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1);
	close_queue();
}

/* For want of memory, say; here, a file that can't be polled is in the way. */
static void poll_refused(void)
{
	struct pollfd pfd = { .events = POLLIN };
	int file, ring;

	EXPECT(open_queue(FAKE_MAINLINE, "cqe32"));
	pfd.fd = zcrx_queue_poll_fd(queue);
	file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ring = dup(fake_ring.fd);
	EXPECT(dup2(file, fake_ring.fd) == fake_ring.fd);
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == -EPERM);
	EXPECT(dup2(ring, fake_ring.fd) == fake_ring.fd);
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == 0 && !poll(&pfd, 1, 0));
	close(file);
	close(ring);
	close_queue();
}

/* Memory does not go while a worker of io_uring receives into it. */
static void close_refused(void)
{
	EXPECT(open_queue(FAKE_MAINLINE, "cqe32"));
	fake_ring.nr_cancels = 1 << 20;
	EXPECT(zcrx_queue_close(queue) == -EBUSY && *zcrx_error());
	fake_ring.nr_cancels = 3;
	close_queue();
	EXPECT(!fake_ring.nr_cancels);
}

/*
 * There is no queue
 */

static bool is_sentence(const char *text, const char *words)
{
	return strstr(text, words) && !strchr(text, '\n') &&
	       text[strlen(text) - 1] != '.';
}

static bool refused(const char *backend, int err, const char *words)
{
	int ret = open_on_lo(backend);

	if (ret == err && !queue && is_sentence(zcrx_error(), words))
		return true;
	printf("# %s: %d: %s\n", backend, ret, zcrx_error());

	return false;
}

/* What comes instead if the application leaves the choice to the library */
static bool copies(const char *words)
{
	bool good = !open_on_lo(NULL) &&
		    !strcmp(zcrx_queue_backend(queue), "copy") &&
		    is_sentence(zcrx_queue_why(queue), words);

	return !zcrx_queue_close(queue) && good;
}

static void no_privilege(void)
{
	fake_ring_reset(FAKE_OURS);
	fake.privileged = false;
	EXPECT(refused("rbuf", -EPERM, "run as root"));
	EXPECT(refused("cqe32", -EPERM, "CAP_NET_ADMIN"));
	EXPECT(copies("run as root"));
}

static void old_kernels(void)
{
	fake_ring_reset(FAKE_NONE);
	EXPECT(refused("rbuf", -EOPNOTSUPP, "has no zero-copy receive"));
	EXPECT(refused("cqe32", -EOPNOTSUPP, "boot one that has"));
	EXPECT(copies("has no zero-copy receive"));
	fake_ring_reset(FAKE_MAINLINE);
	EXPECT(refused("rbuf", -EOPNOTSUPP, "back end rbuf"));
	/* Its zero copy takes a NIC. */
	fake_ring_reset(FAKE_OLD_MAINLINE);
	EXPECT(refused("cqe32", -EOPNOTSUPP, "name one"));
}

/* Linux 6.0, which copies, and those before it */
static void oldest_kernels(void)
{
	fake_ring_reset(FAKE_NONE);
	fake_ring.unknown_flags = IORING_SETUP_DEFER_TASKRUN;
	EXPECT(!open_on_lo("copy"));
	EXPECT(fake.ring_flags & IORING_SETUP_COOP_TASKRUN);
	EXPECT(!zcrx_queue_close(queue));
	fake_ring.unknown_flags |= IORING_SETUP_SINGLE_ISSUER;
	EXPECT(refused("copy", -EOPNOTSUPP, "Linux 6.0 is needed"));
	fake_ring_reset(FAKE_ENOSYS);
	fake_ring.ret_setup = -ENOSYS;
	EXPECT(refused("rbuf", -EOPNOTSUPP, "has no zero-copy receive"));
	EXPECT(refused("copy", -EOPNOTSUPP, "Linux 6.0 is needed"));
	EXPECT(refused(NULL, -EOPNOTSUPP, "Linux 6.0 is needed"));
}

static void no_io_uring(void)
{
	fake_ring_reset(FAKE_OURS);
	fake_ring.ret_setup = -EPERM;
	EXPECT(refused("copy", -EPERM, "kernel.io_uring_disabled"));
}

static void not_registered(void)
{
	fake_ring_reset(FAKE_OURS);
	fake.register_err = -ENOMEM;
	EXPECT(refused("rbuf", -ENOMEM, "ulimit -l"));
	fake.register_err = -EIO;
	EXPECT(refused("rbuf", -EIO, strerror(EIO)));
}

static const struct ktap_case cases[] = {
	{ "released by another thread, the owner asleep", owner_asleep },
	{ "released by another thread, the owner busy", owner_busy },
	{ "no chunk to copy to", out_of_chunks },
	{ "the kernel has much work", much_work },
	{ "the kernel only says that it has work", only_says_work },
	{ "removing is refused", remove_refused },
	{ "adding is refused", add_refused },
	{ "polling is refused", poll_refused },
	{ "closing is refused, then waits", close_refused },
	{ "no privilege", no_privilege },
	{ "kernels that are too old for zero copy", old_kernels },
	{ "kernels that can just copy, and older ones", oldest_kernels },
	{ "io_uring is not allowed", no_io_uring },
	{ "the kernel does not register it", not_registered },
};

int main(void)
{
	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
