// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Queue objects, over loopback: queue [BACKEND], "copy" if not given. The
 * others need a kernel that has them, and CAP_NET_ADMIN; they are tested
 * without a NIC.
 */
#include <errno.h>
#include <liburing-zcrx.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* With sanitizers, or in a VM, on a machine that has other work */
#define KTAP_TIME_LIMIT	240
#define KTAP_STOP	true

#include "ktap.h"
#include "stream.h"

#define BATCH		64
#define NR_THREADS	4
#define SMALL_MEM	((size_t)1 << 20)
#define WAIT_MS		20000
#define KIB		((size_t)1024)

static const char *backend = "copy";
static struct zcrx_queue_opts opts;
static struct zcrx_queue *queue;
static struct stream streams[STREAM_MAX];
static struct zcrx_conn *conns[STREAM_MAX];
static unsigned int nr_streams;

static bool is_copy(void)
{
	return !strcmp(backend, "copy");
}

static void reset_opts(void)
{
	zcrx_queue_opts_init(&opts);
	opts.backend = backend;
	opts.ifname = is_copy() ? NULL : "lo";
}

/* A queue with connections to receive from, as opts say */
static bool open_with(unsigned int nr)
{
	unsigned int i;

	nr_streams = nr;
	if (zcrx_queue_open(&queue, &opts) || !stream_connect(streams, nr)) {
		printf("# %s\n", zcrx_error());
		return false;
	}
	for (i = 0; i < nr; i++) {
		if (zcrx_conn_add(queue, streams[i].fd, &streams[i],
				  &conns[i])) {
			printf("# %s\n", zcrx_error());
			return false;
		}
	}

	return true;
}

static void close_with_all(void)
{
	if (zcrx_queue_close(queue)) {
		printf("# %s\n", zcrx_error());
		ktap_failed = true;
	}
	stream_close(streams, nr_streams);
	while (wait(NULL) > 0)
		;
}

/* The next buffers, checked; how many, or -1 */
static int next_bufs(struct zcrx_buf *bufs, unsigned int max)
{
	int n = zcrx_receive(queue, bufs, max, WAIT_MS), i;

	if (n <= 0) {
		printf("# nothing comes: %d\n", n);
		return -1;
	}
	for (i = 0; i < n; i++) {
		struct stream *s = bufs[i].tag;

		if (bufs[i].conn != conns[s - streams])
			return -1;
		if (!bufs[i].data) {
			s->ends++;
			s->res = bufs[i].res;
		} else if (!bufs[i].len || bufs[i].res || s->ends ||
			   !stream_check(s, bufs[i].data, bufs[i].len)) {
			printf("# wrong bytes, stream %u at %zu\n", s->seed,
			       s->pos);
			return -1;
		}
	}

	return n;
}

static unsigned int nr_ended(void)
{
	unsigned int nr = 0, i;

	for (i = 0; i < nr_streams; i++)
		nr += !!streams[i].ends;

	return nr;
}

/* All streams had so many bytes, and ended once and well. */
static bool all_complete(size_t bytes)
{
	unsigned int i;

	for (i = 0; i < nr_streams; i++) {
		if (streams[i].pos == bytes && streams[i].ends == 1 &&
		    !streams[i].res)
			continue;
		printf("# stream %u: %zu bytes, %u ends, the last one %d\n", i,
		       streams[i].pos, streams[i].ends, streams[i].res);
		return false;
	}

	return true;
}

/* Receive the rest, give back at once. */
static bool receive_all(void)
{
	struct zcrx_buf bufs[BATCH];
	int n;

	while (nr_ended() < nr_streams) {
		n = next_bufs(bufs, BATCH);
		if (n < 0)
			return false;
		zcrx_release(queue, bufs, (unsigned int)n);
	}

	return true;
}

static void bytes_of(unsigned int nr, size_t bytes, size_t write_size)
{
	EXPECT(open_with(nr));
	stream_send(streams, nr, bytes, write_size);
	EXPECT(receive_all());
	EXPECT(all_complete(bytes));
	close_with_all();
}

static void one(void)
{
	reset_opts();
	EXPECT(zcrx_queue_open(&queue, &opts) == 0);
	EXPECT(!strcmp(zcrx_queue_backend(queue), backend));
	EXPECT(!*zcrx_queue_why(queue) == !strcmp(backend, "rbuf"));
	EXPECT(!zcrx_queue_close(queue));
	bytes_of(1, 32 * KIB * KIB + 1, 64 * KIB);
}

static void sixteen(void)
{
	reset_opts();
	bytes_of(16, 2 * KIB * KIB + 7, 64 * KIB);
}

static void many(void)
{
	reset_opts();
	bytes_of(256, 128 * KIB, 5000);
}

static void thousands(void)
{
	struct rlimit limit, more;

	EXPECT(!getrlimit(RLIMIT_NOFILE, &limit));
	more.rlim_cur = 2 * STREAM_MAX + 64;
	more.rlim_max = limit.rlim_max > more.rlim_cur ? limit.rlim_max :
							 more.rlim_cur;
	if (setrlimit(RLIMIT_NOFILE, &more))
		SKIP("needs more open files");
	reset_opts();
	bytes_of(STREAM_MAX, 20 * KIB, 7000);
	EXPECT(!setrlimit(RLIMIT_NOFILE, &limit));
}

static void small_pieces(void)
{
	reset_opts();
	bytes_of(4, 20000, 13);
}

/* Less memory than connections could use: they take turns. */
static void little_memory(void)
{
	reset_opts();
	opts.mem_size = 128 * KIB;
	bytes_of(32, 256 * KIB, 64 * KIB);
}

static void little_budget(void)
{
	reset_opts();
	opts.conn_budget = 1;
	bytes_of(8, 256 * KIB, 64 * KIB);
}

static void own_memory(void)
{
	void *mem = NULL;

	reset_opts();
	EXPECT(!posix_memalign(&mem, 4096, SMALL_MEM));
	opts.mem = mem;
	opts.mem_size = SMALL_MEM;
	bytes_of(2, 2 * KIB * KIB, 64 * KIB);
	free(mem);
}

/* Keeps half of the memory, and gives back any of what it keeps. */
static void out_of_order(void)
{
	struct zcrx_buf kept[BATCH];
	unsigned int nr = 0, victim;

	reset_opts();
	opts.mem_size = 2 * BATCH * 128 * KIB;
	opts.conn_budget = opts.mem_size;
	EXPECT(open_with(4));
	stream_send(streams, 4, 2 * KIB * KIB, 32 * KIB);
	while (nr_ended() < 4) {
		EXPECT(next_bufs(&kept[nr], 1) == 1);
		if (++nr < BATCH)
			continue;
		victim = (unsigned int)random() % BATCH;
		zcrx_release(queue, &kept[victim], 1);
		kept[victim] = kept[--nr];
	}
	EXPECT(all_complete(2 * KIB * KIB));
	zcrx_release(queue, kept, nr);
	close_with_all();
}

/*
 * Threads that release
 */

static struct {
	pthread_mutex_t	lock;
	pthread_cond_t	cond;
	struct zcrx_buf	bufs[4096];
	unsigned int	nr;
	bool		parts;
	bool		done;
} work = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.cond = PTHREAD_COND_INITIALIZER,
};

static void put_work(const struct zcrx_buf *bufs, unsigned int nr)
{
	pthread_mutex_lock(&work.lock);
	memcpy(&work.bufs[work.nr], bufs, nr * sizeof(*bufs));
	work.nr += nr;
	pthread_cond_broadcast(&work.cond);
	pthread_mutex_unlock(&work.lock);
}

/* Newest first, a few at a time */
static unsigned int get_work(struct zcrx_buf *bufs, unsigned int max)
{
	unsigned int n;

	pthread_mutex_lock(&work.lock);
	while (!work.nr && !work.done)
		pthread_cond_wait(&work.cond, &work.lock);
	n = work.nr < max ? work.nr : max;
	work.nr -= n;
	memcpy(bufs, &work.bufs[work.nr], n * sizeof(*bufs));
	pthread_mutex_unlock(&work.lock);

	return n;
}

/* Writes to all bytes: they are the application's. */
static void release_parts(const struct zcrx_buf *buf)
{
	size_t half = buf->len / 2, third = buf->len / 3;

	if (!buf->data)
		return;
	memset(buf->data, 0, buf->len);
	zcrx_release_part(queue, buf, half, buf->len - half);
	zcrx_release_part(queue, buf, 0, third);
	if (half > third)
		zcrx_release_part(queue, buf, third, half - third);
}

static void *release_work(void *arg)
{
	struct zcrx_buf bufs[8];
	unsigned int n, i;

	(void)arg;
	while ((n = get_work(bufs, 8))) {
		if (!work.parts)
			zcrx_release(queue, bufs, n);
		else
			for (i = 0; i < n; i++)
				release_parts(&bufs[i]);
	}

	return NULL;
}

/* Little memory, so that the owner often sleeps until a thread wakes it. */
static void release_by_threads(bool parts)
{
	pthread_t threads[NR_THREADS];
	struct zcrx_buf bufs[BATCH];
	int n, i;

	reset_opts();
	opts.mem_size = SMALL_MEM;
	opts.conn_budget = SMALL_MEM / 4;
	EXPECT(open_with(8));
	stream_send(streams, 8, 2 * KIB * KIB, 16 * KIB);
	work.done = false;
	work.parts = parts;
	for (i = 0; i < NR_THREADS; i++)
		EXPECT(!pthread_create(&threads[i], NULL, release_work, NULL));
	while (nr_ended() < 8) {
		n = next_bufs(bufs, BATCH);
		EXPECT(n > 0);
		put_work(bufs, (unsigned int)n);
	}
	pthread_mutex_lock(&work.lock);
	work.done = true;
	pthread_cond_broadcast(&work.cond);
	pthread_mutex_unlock(&work.lock);
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	EXPECT(all_complete(2 * KIB * KIB));
	close_with_all();
}

static void threads(void)
{
	release_by_threads(false);
}

static void parts_by_threads(void)
{
	release_by_threads(true);
}

static void parts(void)
{
	struct zcrx_buf bufs[BATCH];
	int n, i;

	reset_opts();
	opts.mem_size = SMALL_MEM;
	EXPECT(open_with(2));
	stream_send(streams, 2, 4 * KIB * KIB, 64 * KIB);
	while (nr_ended() < 2) {
		n = next_bufs(bufs, BATCH);
		EXPECT(n > 0);
		for (i = 0; i < n; i++)
			release_parts(&bufs[i]);
	}
	EXPECT(all_complete(4 * KIB * KIB));
	close_with_all();
}

/*
 * Connection 0 gets back nothing until the others have ended. It never holds
 * more than its budget, and what was under way when it got there.
 */
static void hold_budget(size_t budget, size_t under_way)
{
	const size_t bytes = 16 * KIB * KIB;
	struct zcrx_buf kept[4096], buf;
	unsigned int nr = 0;

	reset_opts();
	opts.mem_size = 32 * KIB * KIB;
	opts.conn_budget = budget;
	EXPECT(open_with(4));
	stream_send(streams, 4, bytes, 64 * KIB);
	while (nr_ended() < 3) {
		EXPECT(next_bufs(&buf, 1) == 1);
		EXPECT(!streams[0].ends);
		if (buf.tag != &streams[0]) {
			zcrx_release(queue, &buf, 1);
			continue;
		}
		EXPECT(nr < 4096);
		kept[nr++] = buf;
	}
	printf("# %zu bytes were held in %u buffers, of a budget of %zu\n",
	       streams[0].pos, nr, budget);
	EXPECT(nr);
	EXPECT(streams[0].pos <= budget + under_way);
	/* Nothing more comes, and then everything. */
	while (zcrx_receive(queue, &buf, 1, 50) == 1 && nr < 4096) {
		EXPECT(stream_check(&streams[0], buf.data, buf.len));
		kept[nr++] = buf;
	}
	EXPECT(streams[0].pos <= budget + under_way);
	zcrx_release(queue, kept, nr);
	EXPECT(receive_all());
	EXPECT(all_complete(bytes));
	close_with_all();
}

static void slow_consumer(void)
{
	hold_budget(512 * KIB, 0);
}

/* Enough to receive several buffers at once */
static void slow_large_consumer(void)
{
	hold_budget(4 * KIB * KIB, is_copy() ? 4 * KIB * KIB : 0);
}

/*
 * A piece keeps a chunk busy, however short it is. A request is for bytes: if TCP
 * merges what is sent at first, and later less of it, more of them are under way.
 */
static void slow_consumer_of_little(void)
{
	const size_t chunk = is_copy() ? 128 * KIB : 4096;
	struct zcrx_buf kept[4096];
	unsigned int nr = 0;
	int n;

	reset_opts();
	opts.mem_size = 128 * chunk;
	if (!is_copy())
		opts.mem_size = 4096 * chunk;
	opts.conn_budget = 64 * chunk;
	EXPECT(open_with(1));
	stream_send(streams, 1, 400000, 100);
	while ((n = zcrx_receive(queue, &kept[nr], BATCH, 300)) > 0)
		for (; n; n--, nr++) {
			EXPECT(nr < 4000);
			/* Comes last */
			if (!kept[nr].data) {
				streams[0].ends++;
				break;
			}
			EXPECT(stream_check(&streams[0], kept[nr].data,
					    kept[nr].len));
		}
	printf("# %zu bytes were held in %u buffers, of a budget of 64\n",
	       streams[0].pos, nr);
	EXPECT(nr <= 8 * 64);
	zcrx_release(queue, kept, nr);
	EXPECT(receive_all());
	EXPECT(all_complete(400000));
	close_with_all();
}

/* All of the memory is held: nothing comes, until some is released. */
static void all_held(void)
{
	struct zcrx_buf kept[4096];
	unsigned int nr = 0;
	int n;

	reset_opts();
	opts.mem_size = 256 * KIB;
	opts.conn_budget = 256 * KIB;
	EXPECT(open_with(4));
	stream_send(streams, 4, KIB * KIB, 64 * KIB);
	while ((n = zcrx_receive(queue, &kept[nr], 64, 200)) > 0) {
		for (; n; n--, nr++)
			EXPECT(stream_check(kept[nr].tag, kept[nr].data,
					    kept[nr].len));
		EXPECT(nr < 4000);
	}
	EXPECT(!n && nr);
	zcrx_release(queue, kept, nr);
	EXPECT(receive_all());
	EXPECT(all_complete(KIB * KIB));
	close_with_all();
}

/*
 * More pieces come back at once than the refill ring has entries, one for each page
 * of memory. All of them do, or there would soon be none left.
 */
static void refill_full(void)
{
	const unsigned int nr_pages = 32;
	struct zcrx_buf kept[64];
	unsigned int round, nr, i;
	unsigned char byte = 0;

	if (is_copy() || !(zcrx_probe() & ZCRX_HAS_RBUF))
		SKIP("for refill rings, and kernels whose copies share pages");
	reset_opts();
	opts.mem_size = nr_pages * 4 * KIB;
	opts.conn_budget = opts.mem_size;
	EXPECT(open_with(4));
	for (round = 0; round < 20; round++) {
		for (nr = 0; nr < 2 * nr_pages; nr++) {
			byte++;
			EXPECT(send(streams[nr % 4].peer, &byte, 1, 0) == 1);
			EXPECT(zcrx_receive(queue, &kept[nr], 1, WAIT_MS) == 1);
			EXPECT(kept[nr].len == 1 &&
			       *(unsigned char *)kept[nr].data == byte);
		}
		zcrx_release(queue, kept, nr);
	}
	for (i = 0; i < 4; i++)
		close(streams[i].peer);
	EXPECT(receive_all());
	close_with_all();
}

/*
 * Ends
 */

static void reset(void)
{
	struct linger linger = { .l_onoff = 1 };
	struct zcrx_buf buf;

	reset_opts();
	EXPECT(open_with(2));
	setsockopt(streams[0].peer, SOL_SOCKET, SO_LINGER, &linger,
		   sizeof(linger));
	close(streams[0].peer);
	EXPECT(next_bufs(&buf, 1) == 1);
	EXPECT(buf.tag == &streams[0] && !buf.data && !buf.len);
	EXPECT(buf.res == -ECONNRESET);
	EXPECT(zcrx_receive(queue, &buf, 1, 50) == 0);
	EXPECT(zcrx_conn_remove(conns[0]) == 0);

	close(streams[1].peer);
	EXPECT(next_bufs(&buf, 1) == 1);
	EXPECT(buf.tag == &streams[1] && !buf.data && !buf.res);
	EXPECT(zcrx_receive(queue, &buf, 1, 50) == 0);
	zcrx_release(queue, &buf, 1);
	EXPECT(zcrx_conn_remove(conns[1]) == 0);
	close_with_all();
}

/* A stream that ends where its request does is not taken for more. */
static void ends_at_budget(void)
{
	reset_opts();
	opts.mem_size = SMALL_MEM;
	opts.conn_budget = 64 * KIB;
	bytes_of(1, 16 * KIB, 16 * KIB);
	bytes_of(1, 64 * KIB, 64 * KIB);
	bytes_of(1, 128 * KIB, 64 * KIB);
}

/*
 * One of two is removed while its bytes come; the buffer that it left stays
 * good, and its memory is of use again later.
 */
static void remove_midstream(void)
{
	const size_t bytes = 4 * KIB * KIB;
	struct zcrx_buf first, buf;
	unsigned char byte;

	reset_opts();
	opts.mem_size = SMALL_MEM;
	EXPECT(open_with(2));
	stream_send(streams, 2, bytes, 64 * KIB);
	do {
		EXPECT(next_bufs(&buf, 1) == 1);
		if (buf.tag == &streams[0])
			first = buf;
		else
			zcrx_release(queue, &buf, 1);
	} while (buf.tag != &streams[0]);
	byte = *(unsigned char *)first.data;
	EXPECT(zcrx_conn_remove(conns[0]) == 0);
	close(streams[0].fd);

	while (!streams[1].ends) {
		EXPECT(next_bufs(&buf, 1) == 1);
		EXPECT(buf.tag == &streams[1]);
		EXPECT(*(unsigned char *)first.data == byte);
		zcrx_release(queue, &buf, 1);
	}
	EXPECT(streams[1].pos == bytes && !streams[1].res);
	zcrx_release(queue, &first, 1);
	EXPECT(zcrx_conn_remove(conns[1]) == 0);
	streams[0].fd = -1;
	close_with_all();
}

/* One batch has data and end, and both have the application remove. */
static void remove_twice(void)
{
	struct zcrx_buf bufs[BATCH];
	int n;

	reset_opts();
	EXPECT(open_with(1));
	EXPECT(send(streams[0].peer, "", 1, 0) == 1);
	close(streams[0].peer);
	usleep(100000);
	n = zcrx_receive(queue, bufs, BATCH, WAIT_MS);
	if (n == 1 && bufs[0].data) {
		EXPECT(zcrx_receive(queue, &bufs[1], 1, WAIT_MS) == 1);
		n++;
	}
	EXPECT(n == 2 && bufs[0].data && !bufs[1].data);
	EXPECT(zcrx_conn_remove(bufs[0].conn) == 0);
	zcrx_release(queue, &bufs[0], 1);
	EXPECT(zcrx_conn_remove(bufs[1].conn) == 0);
	zcrx_release(queue, &bufs[1], 1);
	EXPECT(zcrx_conn_remove(bufs[1].conn) == 0);
	EXPECT(zcrx_receive(queue, bufs, BATCH, 0) == 0);
	close_with_all();
}

/*
 * Starved connections are removed, and those that stay have their turn. The
 * removed ones are in front.
 */
static void remove_starved(void)
{
	const size_t bytes = 256 * KIB;
	struct zcrx_buf kept[BATCH];
	unsigned int nr = 0, i;
	int n;

	reset_opts();
	opts.mem_size = 128 * KIB;
	opts.conn_budget = 128 * KIB;
	EXPECT(open_with(24));
	stream_send(streams, 24, bytes, 64 * KIB);
	while (nr < BATCH &&
	       (n = zcrx_receive(queue, &kept[nr], BATCH - nr, 200)) > 0)
		for (; n; n--, nr++)
			EXPECT(stream_check(kept[nr].tag, kept[nr].data,
					    kept[nr].len));
	EXPECT(nr);
	for (i = 0; i < 20; i++) {
		EXPECT(zcrx_conn_remove(conns[i]) == 0);
		close(streams[i].fd);
		streams[i].fd = -1;
	}
	zcrx_release(queue, kept, nr);
	for (i = 0; nr_ended() < 4; i++) {
		n = next_bufs(kept, BATCH);
		EXPECT(n > 0);
		zcrx_release(queue, kept, (unsigned int)n);
	}
	for (i = 20; i < 24; i++)
		EXPECT(streams[i].pos == bytes && !streams[i].res);
	close_with_all();
}

static void add_and_remove_often(void)
{
	unsigned int i;

	reset_opts();
	EXPECT(open_with(1));
	for (i = 0; i < 1000; i++) {
		EXPECT(zcrx_conn_remove(conns[0]) == 0);
		EXPECT(zcrx_conn_add(queue, streams[0].fd, &streams[0],
				     &conns[0]) == 0);
	}
	stream_send(streams, 1, 100 * KIB, 1000);
	EXPECT(receive_all());
	EXPECT(all_complete(100 * KIB));
	close_with_all();
}

static void close_with_held(void)
{
	struct zcrx_buf bufs[BATCH];

	reset_opts();
	opts.mem_size = SMALL_MEM;
	EXPECT(open_with(16));
	stream_send(streams, 16, KIB * KIB, 64 * KIB);
	EXPECT(next_bufs(bufs, BATCH) > 0);
	close_with_all();
}

/*
 * Waiting
 */

static void on_alarm(int sig)
{
	(void)sig;
}

/* A call that a signal ends after a while */
static int receive_until_signal(int timeout_ms)
{
	const struct itimerval soon = { .it_value.tv_usec = 300000 };
	struct sigaction action = { .sa_handler = on_alarm }, before;
	struct itimerval timer;
	struct zcrx_buf buf;
	int ret;

	/* The alarm that ends the whole test comes back afterwards. */
	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &soon, &timer);
	ret = zcrx_receive(queue, &buf, 1, timeout_ms);
	sigaction(SIGALRM, &before, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);

	return ret;
}

/* The first call submits requests, and is interrupted as any other. */
static void signals(void)
{
	int timeout_ms;

	for (timeout_ms = -1; timeout_ms <= 5000; timeout_ms += 5001) {
		reset_opts();
		EXPECT(zcrx_queue_open(&queue, &opts) == 0);
		EXPECT(receive_until_signal(timeout_ms) == -EINTR);
		EXPECT(receive_until_signal(timeout_ms) == -EINTR);
		EXPECT(!zcrx_queue_close(queue));
	}
}

static void timeouts(void)
{
	struct zcrx_buf buf;

	reset_opts();
	EXPECT(open_with(1));
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == 0);
	EXPECT(zcrx_receive(queue, &buf, 1, 20) == 0);
	EXPECT(zcrx_receive(queue, &buf, 0, 0) == -EINVAL);
	EXPECT(receive_until_signal(-1) == -EINTR);
	EXPECT(receive_until_signal(5000) == -EINTR);
	close_with_all();
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* A poll() that nobody ends may find at its end what was there all the time. */
static bool poll_in_time(struct pollfd *pfd)
{
	int64_t end = now_ms() + WAIT_MS / 2;

	return poll(pfd, 1, WAIT_MS) == 1 && now_ms() < end;
}

static void *wake_later(void *arg)
{
	usleep(*(unsigned int *)arg);
	zcrx_queue_wake(queue);
	return NULL;
}

/* The call that waits returns, or else the next one, and none after that. */
static void wakes(void)
{
	struct pollfd pfd = { .events = POLLIN };
	unsigned int late = 200000, i;
	struct zcrx_buf buf;
	pthread_t thread;

	reset_opts();
	EXPECT(open_with(1));
	for (i = 0; i < 3; i++) {
		zcrx_queue_wake(queue);
		zcrx_queue_wake(queue);
		EXPECT(zcrx_receive(queue, &buf, 1, -1) == 0);
		EXPECT(receive_until_signal(-1) == -EINTR);
		EXPECT(!pthread_create(&thread, NULL, wake_later, &late));
		EXPECT(zcrx_receive(queue, &buf, 1, i ? -1 : WAIT_MS) == 0);
		pthread_join(thread, NULL);
	}

	pfd.fd = zcrx_queue_poll_fd(queue);
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == 0);
	EXPECT(poll(&pfd, 1, 0) == 0);
	EXPECT(!pthread_create(&thread, NULL, wake_later, &late));
	EXPECT(poll_in_time(&pfd));
	pthread_join(thread, NULL);
	EXPECT(zcrx_receive(queue, &buf, 1, -1) == 0);
	close_with_all();
}

/* It sleeps when the byte comes, and has nothing else to wake it. */
static void poll_fd_idle(void)
{
	struct pollfd pfd = { .events = POLLIN };
	struct zcrx_buf buf;
	unsigned int i;
	pid_t pid;

	reset_opts();
	EXPECT(open_with(1));
	pfd.fd = zcrx_queue_poll_fd(queue);
	for (i = 0; i < 3; i++) {
		EXPECT(zcrx_receive(queue, &buf, 1, 0) == 0);
		pid = fork();
		if (!pid) {
			usleep(200000);
			_exit(send(streams[0].peer, "", 1, 0) != 1);
		}
		EXPECT(poll_in_time(&pfd));
		EXPECT(next_bufs(&buf, 1) == 1);
		zcrx_release(queue, &buf, 1);
		waitpid(pid, NULL, 0);
		streams[0].pos = 0;
	}
	close(streams[0].peer);
	close_with_all();
}

/* The owner sleeps in poll() only, while others or it itself release. */
static void poll_fd(void)
{
	struct pollfd pfd = { .events = POLLIN };
	struct zcrx_buf bufs[BATCH];
	pthread_t thread;
	int n, i;

	reset_opts();
	opts.mem_size = SMALL_MEM;
	opts.conn_budget = SMALL_MEM / 8;
	EXPECT(open_with(4));
	pfd.fd = zcrx_queue_poll_fd(queue);
	work.done = work.parts = false;
	stream_send(streams, 4, 2 * KIB * KIB, 64 * KIB);
	EXPECT(!pthread_create(&thread, NULL, release_work, NULL));
	while (nr_ended() < 4) {
		EXPECT(poll_in_time(&pfd));
		while ((n = zcrx_receive(queue, bufs, BATCH, 0)) > 0) {
			for (i = 0; i < n; i++) {
				struct stream *s = bufs[i].tag;

				s->ends += !bufs[i].data;
				EXPECT(!bufs[i].data ||
				       stream_check(s, bufs[i].data,
						    bufs[i].len));
			}
			put_work(bufs, (unsigned int)n);
		}
		EXPECT(!n);
		/* Some of it here, outside of zcrx_receive() */
		pthread_mutex_lock(&work.lock);
		n = work.nr < BATCH ? (int)work.nr / 2 : BATCH / 2;
		work.nr -= (unsigned int)n;
		memcpy(bufs, &work.bufs[work.nr], (size_t)n * sizeof(*bufs));
		pthread_mutex_unlock(&work.lock);
		zcrx_release(queue, bufs, (unsigned int)n);
	}
	pthread_mutex_lock(&work.lock);
	work.done = true;
	pthread_cond_broadcast(&work.cond);
	pthread_mutex_unlock(&work.lock);
	pthread_join(thread, NULL);
	EXPECT(all_complete(2 * KIB * KIB));
	close_with_all();
}

static void *release_later(void *arg)
{
	struct zcrx_buf *bufs = arg;

	usleep(100000);
	zcrx_release(queue, bufs, work.nr);
	return NULL;
}

/*
 * All that a connection may hold is held, the owner sleeps in poll(), and
 * another thread releases.
 */
static void poll_fd_held(void)
{
	struct pollfd pfd = { .events = POLLIN };
	static struct zcrx_buf kept[4096];
	pthread_t thread;
	unsigned int round, idle;
	int n;

	reset_opts();
	opts.mem_size = SMALL_MEM;
	opts.conn_budget = SMALL_MEM / 8;
	EXPECT(open_with(1));
	pfd.fd = zcrx_queue_poll_fd(queue);
	stream_send(streams, 1, 2 * KIB * KIB, 64 * KIB);
	for (round = 0; round < 4; round++) {
		/* It may become readable for nothing. */
		work.nr = 0;
		for (idle = 0; idle < 10 && poll(&pfd, 1, 300) == 1; idle++) {
			while ((n = zcrx_receive(queue, &kept[work.nr], BATCH,
						 0)) > 0)
				for (idle = 0; n; n--, work.nr++)
					EXPECT(stream_check(&streams[0],
							    kept[work.nr].data,
							    kept[work.nr].len));
			EXPECT(!n && work.nr < 4000);
		}
		EXPECT(work.nr);
		EXPECT(!pthread_create(&thread, NULL, release_later, kept));
		EXPECT(poll_in_time(&pfd));
		pthread_join(thread, NULL);
	}
	work.nr = 0;
	EXPECT(receive_all());
	EXPECT(all_complete(2 * KIB * KIB));
	close_with_all();
}

/* More connections than pieces of memory take turns, and poll() ends for each. */
static void poll_fd_starved(void)
{
	struct pollfd pfd = { .events = POLLIN };
	struct zcrx_buf bufs[BATCH];
	int n, i;

	reset_opts();
	opts.mem_size = 64 * KIB;
	opts.conn_budget = 64 * KIB;
	EXPECT(open_with(16));
	pfd.fd = zcrx_queue_poll_fd(queue);
	stream_send(streams, 16, 256 * KIB, 64 * KIB);
	while (nr_ended() < 16) {
		EXPECT(poll_in_time(&pfd));
		while ((n = zcrx_receive(queue, bufs, BATCH, 0)) > 0) {
			for (i = 0; i < n; i++) {
				struct stream *s = bufs[i].tag;

				s->ends += !bufs[i].data;
				EXPECT(!bufs[i].data ||
				       stream_check(s, bufs[i].data,
						    bufs[i].len));
			}
			zcrx_release(queue, bufs, (unsigned int)n);
		}
		EXPECT(!n);
	}
	EXPECT(all_complete(256 * KIB));
	close_with_all();
}

/*
 * Refusals
 */

static void wrong_arguments(void)
{
	struct zcrx_queue *none;

	reset_opts();
	opts.backend = "fast";
	EXPECT(zcrx_queue_open(&none, &opts) == -EINVAL);
	EXPECT(strstr(zcrx_error(), "\"fast\""));
	reset_opts();
	opts.size = 1;
	EXPECT(zcrx_queue_open(&none, &opts) == -EINVAL);
	EXPECT(strstr(zcrx_error(), "zcrx_queue_opts_init"));
	EXPECT(!none);
	reset_opts();
	opts.mem_size = 4097;
	EXPECT(zcrx_queue_open(&none, &opts) == -EINVAL);
	EXPECT(strstr(zcrx_error(), "4097"));
	reset_opts();
	opts.chunk_size = 2048;
	EXPECT(zcrx_queue_open(&none, &opts) == -EINVAL);
	EXPECT(strstr(zcrx_error(), "2048"));
	opts.chunk_size = 12288;
	EXPECT(zcrx_queue_open(&none, &opts) == -EINVAL);
	opts.chunk_size = 16384;
	opts.mem_size = 5 * 8192;
	EXPECT(zcrx_queue_open(&none, &opts) == -EINVAL);
	EXPECT(strstr(zcrx_error(), "40960"));
	reset_opts();
	opts.ifname = "nosuch0";
	EXPECT(zcrx_queue_open(&none, &opts) == -ENODEV);
	EXPECT(strstr(zcrx_error(), "\"nosuch0\""));
	opts.ifname = "lo-and-more-than-IFNAMSIZ";
	EXPECT(zcrx_queue_open(&none, &opts) == -ENODEV);
	opts.backend = NULL;
	EXPECT(zcrx_queue_open(&none, &opts) == -ENODEV);
	reset_opts();
	opts.mem = &none;
	EXPECT(zcrx_queue_open(&none, &opts) == -EINVAL);
}

/* Of a program that was compiled with another version of the library */
static void opts_of_others(void)
{
	struct {
		struct zcrx_queue_opts	opts;
		size_t			more;
	} larger = { .more = 0 };

	reset_opts();
	larger.opts = opts;
	larger.opts.size = sizeof(larger);
	EXPECT(zcrx_queue_open(&queue, &larger.opts) == 0);
	EXPECT(!zcrx_queue_close(queue));
	larger.more = 1;
	EXPECT(zcrx_queue_open(&queue, &larger.opts) == -E2BIG);
	EXPECT(!queue);
	EXPECT(!zcrx_queue_close(queue));
}

static void wrong_sockets(void)
{
	struct zcrx_conn *conn;
	int udp, file;

	reset_opts();
	EXPECT(open_with(0));
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	file = dup(0);
	EXPECT(zcrx_conn_add(queue, udp, NULL, &conn) == -EPROTONOSUPPORT);
	EXPECT(zcrx_conn_add(queue, -1, NULL, &conn) == -EBADF);
	EXPECT(*zcrx_error());
	close(file);
	close(udp);
	close_with_all();
}

static void *use_foreign(void *arg)
{
	struct zcrx_buf buf;
	int *ret = arg;

	*ret = zcrx_receive(queue, &buf, 1, 0);
	return NULL;
}

static void *close_foreign(void *arg)
{
	int *ret = arg;

	*ret = zcrx_queue_close(queue);
	return NULL;
}

/* Opened here, owned by who uses it first. */
static void owner(void)
{
	struct zcrx_buf buf;
	pthread_t thread;
	int ret = 0;

	reset_opts();
	EXPECT(zcrx_queue_open(&queue, &opts) == 0);
	EXPECT(!pthread_create(&thread, NULL, use_foreign, &ret));
	pthread_join(thread, NULL);
	EXPECT(ret == 0);
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == -EINVAL);
	EXPECT(strstr(zcrx_error(), "another thread"));
	EXPECT(!zcrx_queue_close(queue));

	EXPECT(open_with(1));
	EXPECT(!pthread_create(&thread, NULL, use_foreign, &ret));
	pthread_join(thread, NULL);
	EXPECT(ret == -EINVAL);
	/* While its owner lives it is not closed, and goes on. */
	EXPECT(!pthread_create(&thread, NULL, close_foreign, &ret));
	pthread_join(thread, NULL);
	EXPECT(ret == -EINVAL);
	stream_send(streams, 1, 100 * KIB, 10 * KIB);
	EXPECT(receive_all());
	EXPECT(all_complete(100 * KIB));
	close_with_all();
}

static bool is_parents(int ret)
{
	return ret == -EINVAL && strstr(zcrx_error(), "fork");
}

static int use_in_child(struct zcrx_queue *unused)
{
	struct zcrx_buf buf;
	pthread_t thread;
	int ret = 0;

	if (!is_parents(zcrx_receive(unused, &buf, 1, 0)) ||
	    !is_parents(zcrx_queue_close(unused)))
		return 1;
	if (!is_parents(zcrx_receive(queue, &buf, 1, 0)) ||
	    !is_parents(zcrx_queue_close(queue)))
		return 2;

	/* Its own one is its own thread's. */
	if (zcrx_queue_open(&queue, &opts) || zcrx_receive(queue, &buf, 1, 0) ||
	    pthread_create(&thread, NULL, close_foreign, &ret))
		return 3;
	pthread_join(thread, NULL);
	if (ret != -EINVAL || zcrx_queue_close(queue))
		return 4;

	return 0;
}

/* A child can't use queues of its parent's, in use or not, and they go on. */
static void forked(void)
{
	struct zcrx_queue *unused;
	struct zcrx_buf buf;
	int status;
	pid_t pid;

	reset_opts();
	EXPECT(zcrx_queue_open(&unused, &opts) == 0);
	EXPECT(open_with(1));
	pid = fork();
	if (!pid)
		_exit(use_in_child(unused));
	EXPECT(waitpid(pid, &status, 0) == pid);
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	EXPECT(zcrx_receive(unused, &buf, 1, 0) == 0);
	EXPECT(!zcrx_queue_close(unused));
	stream_send(streams, 1, 100 * KIB, 10 * KIB);
	EXPECT(receive_all());
	EXPECT(all_complete(100 * KIB));
	close_with_all();
}

/* Without file descriptors to ask by: that is the reason, and not the kernel. */
static void no_files(void)
{
	struct rlimit limit, less;
	int next = dup(0), ret;

	/* A queue has three files before it asks. */
	close(next);
	EXPECT(!getrlimit(RLIMIT_NOFILE, &limit));
	less = limit;
	less.rlim_cur = (rlim_t)next + 3;
	reset_opts();
	opts.backend = "cqe32";
	EXPECT(!setrlimit(RLIMIT_NOFILE, &less));
	ret = zcrx_queue_open(&queue, &opts);
	EXPECT(!setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT(ret == -EMFILE && strstr(zcrx_error(), strerror(EMFILE)));
}

/* The best that can be had is a copy, which says why, and receives. */
static void be_ordinary(void)
{
	EXPECT(!setgid(65534) && !setuid(65534));
	zcrx_queue_opts_init(&opts);
	EXPECT(open_with(4));
	EXPECT(!strcmp(zcrx_queue_backend(queue), "copy"));
	EXPECT(*zcrx_queue_why(queue));
	printf("# why: %s\n", zcrx_queue_why(queue));
	stream_send(streams, 4, 256 * KIB, 10 * KIB);
	EXPECT(receive_all());
	EXPECT(all_complete(256 * KIB));
	close_with_all();
	opts.backend = "rbuf";
	EXPECT(zcrx_queue_open(&queue, &opts) < 0 && *zcrx_error());
}

static void no_privilege(void)
{
	int status;
	pid_t pid;

	if (getuid())
		SKIP("needs root, to become an ordinary user");
	if (!is_copy())
		SKIP("for back end copy");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		be_ordinary();
		fflush(stdout);
		_exit(ktap_failed);
	}
	EXPECT(waitpid(pid, &status, 0) == pid);
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/*
 * What the running kernel has
 */

static bool error_names_kernel(const char *name)
{
	struct utsname system;
	char sentence[256];

	uname(&system);
	snprintf(sentence, sizeof(sentence),
		 "kernel %s has no zero-copy receive for back end %s, boot one that has",
		 system.release, name);

	return !strcmp(zcrx_error(), sentence);
}

/* Mainline before 7.1 has its zero copy for NICs only. */
static bool opens_if(bool has, const char *name)
{
	int ret;

	reset_opts();
	opts.ifname = "lo";
	opts.backend = name;
	opts.mem_size = SMALL_MEM;
	ret = zcrx_queue_open(&queue, &opts);
	if (!ret)
		return has && !strcmp(zcrx_queue_backend(queue), name) &&
		       !zcrx_queue_close(queue);

	printf("# %s: %s\n", name, zcrx_error());
	return ret == -EOPNOTSUPP &&
	       (has ? !!strstr(zcrx_error(), "without a NIC, name one") :
		      error_names_kernel(name));
}

/*
 * By lo the best is a copy on any kernel. It says why it is not the next better
 * one: lo is the reason if the kernel has that.
 */
static void of_this_kernel(void)
{
	int has = zcrx_probe();

	if (has < 0)
		SKIP("what the kernel has can't be asked");
	printf("# it has rbuf: %d, cqe32: %d\n", !!(has & ZCRX_HAS_RBUF),
	       !!(has & ZCRX_HAS_CQE32));
	EXPECT(opens_if(has & ZCRX_HAS_RBUF, "rbuf"));
	EXPECT(opens_if(has & ZCRX_HAS_CQE32, "cqe32"));

	opts.backend = NULL;
	EXPECT(open_with(4));
	printf("# why: %s\n", zcrx_queue_why(queue));
	EXPECT(!strcmp(zcrx_queue_backend(queue), "copy"));
	EXPECT(strstr(zcrx_queue_why(queue), has ? "lo is no NIC" :
						   "for back end cqe32, boot one"));
	stream_send(streams, 4, 256 * KIB, 10 * KIB);
	EXPECT(receive_all());
	EXPECT(all_complete(256 * KIB));
	close_with_all();
}

static const struct ktap_case cases[] = {
	{ "1 connection", one },
	{ "16 connections", sixteen },
	{ "256 connections", many },
	{ "2048 connections", thousands },
	{ "small pieces", small_pieces },
	{ "little memory", little_memory },
	{ "a budget of one buffer", little_budget },
	{ "memory of the caller's", own_memory },
	{ "released out of order", out_of_order },
	{ "released by 4 threads", threads },
	{ "released in parts", parts },
	{ "released in parts by 4 threads", parts_by_threads },
	{ "a slow consumer does not stop others", slow_consumer },
	{ "nor one with a large budget", slow_large_consumer },
	{ "nor one of short pieces", slow_consumer_of_little },
	{ "all memory held, then released", all_held },
	{ "more pieces than the refill ring has room for", refill_full },
	{ "end and reset are told once", reset },
	{ "an end where the budget is", ends_at_budget },
	{ "removed while bytes come", remove_midstream },
	{ "removed twice", remove_twice },
	{ "removed while starved", remove_starved },
	{ "added and removed often", add_and_remove_often },
	{ "closed with buffers held", close_with_held },
	{ "timeouts and signals", timeouts },
	{ "a signal at the first call", signals },
	{ "woken by another thread", wakes },
	{ "in somebody's event loop, with nothing to do", poll_fd_idle },
	{ "in one, with others that release", poll_fd },
	{ "in one, with all of the budget held", poll_fd_held },
	{ "in one, with too little memory", poll_fd_starved },
	{ "wrong arguments", wrong_arguments },
	{ "arguments of another version", opts_of_others },
	{ "wrong sockets", wrong_sockets },
	{ "belongs to one thread", owner },
	{ "belongs to one process", forked },
	{ "no file descriptors", no_files },
	{ "no privilege", no_privilege },
	{ "what this kernel has", of_this_kernel },
};

int main(int argc, char **argv)
{
	if (argc > 1)
		backend = argv[1];
	signal(SIGPIPE, SIG_IGN);

	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
