// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Sending what was received, against a kernel in memory: what is submitted when,
 * and when a buffer goes back.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../src/clock.h"
#include "fake_ring.h"
#include "ktap.h"

#define CHUNK		4096
#define LEN		100
#define WAIT_MS		2000
#define NR_BUFS		8
#define NR_OUTS		80
#define NR_PIECES	(64 * 16)	/* of 64 chunks */
#define NR_SOCKS	(NR_PIECES / 64 + 1)

/* What liburing 2.3 does not know */
#define REPORT_USAGE	(1U << 3)
#define ZC_COPIED	((int)(1U << 31))

static struct zcrx_queue *queue;
static struct zcrx_conn *conn;
static struct zcrx_out *out;
static struct zcrx_buf buf, bufs[NR_BUFS];
static int fd;		/* received from */
static int out_fd;	/* sent on, but by nobody */
static int far_fd;	/* the other end of that */

static bool no_memory;

void *__wrap_reallocarray(void *ptr, size_t nr, size_t size);
void *__real_reallocarray(void *ptr, size_t nr, size_t size);

void *__wrap_reallocarray(void *ptr, size_t nr, size_t size)
{
	return no_memory ? NULL : __real_reallocarray(ptr, nr, size);
}

static bool open_queue(size_t budget)
{
	struct zcrx_queue_opts opts;
	int fds[2];

	fake_ring_reset(FAKE_MAINLINE);
	no_memory = false;
	zcrx_queue_opts_init(&opts);
	opts.ifname = "lo";
	opts.backend = "cqe32";
	opts.mem_size = 64 * CHUNK;
	opts.conn_budget = budget;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return false;
	out_fd = fds[0];
	far_fd = fds[1];
	if (!zcrx_queue_open(&queue, &opts) &&
	    !zcrx_conn_add(queue, fd, NULL, &conn))
		return true;
	printf("# %s\n", zcrx_error());

	return false;
}

/* With an out, whose tag is its address */
static bool open_with_out(void)
{
	if (!open_queue(16 * CHUNK))
		return false;

	return !zcrx_out_add(queue, out_fd, &out, &out);
}

static void close_queue(void)
{
	EXPECT(!zcrx_queue_close(queue));
	close(fd);
	close(out_fd);
	close(far_fd);
}

/* Buffers of LEN bytes, in a chunk each from @first on */
static bool receive(struct zcrx_buf *to, unsigned int first, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (!fake_ring_receive(fd, (first + i) * CHUNK, LEN))
			return false;
	if (zcrx_receive(queue, to, nr, WAIT_MS) != (int)nr)
		return false;
	for (i = 0; i < nr; i++)
		if (to[i].len != LEN)
			return false;

	return true;
}

/* The queue does what there is, and has nothing to tell. */
static bool settle(void)
{
	struct zcrx_buf none;

	return zcrx_receive(queue, &none, 1, 0) == 0;
}

static bool is_back(__u64 off)
{
	struct zcrx_abi_rqe rqe;

	return fake_take(&rqe) && rqe.off == off;
}

static bool none_is_back(void)
{
	struct zcrx_abi_rqe rqe;

	return !fake_take(&rqe);
}

/* Are these bytes being sent? */
static bool sends(const void *data, __u32 len)
{
	const struct fake_send *send = fake_ring_sends(out_fd);

	return send && send->data == data && send->len == len;
}

/* Submits the first, which the socket takes. Returns what its notification names. */
static __u64 take_one(int res)
{
	const struct fake_send *send;
	__u64 user_data;

	if (!settle())
		return 0;
	send = fake_ring_sends(out_fd);
	if (!send)
		return 0;
	user_data = send->user_data;
	fake_ring_sent(out_fd, res);

	return settle() ? user_data : 0;
}

static bool ended_with(int res)
{
	struct zcrx_buf end;

	return zcrx_receive(queue, &end, 1, WAIT_MS) == 1 && !end.data &&
	       !end.conn && end.tag == &out && end.res == res;
}

/*
 * Sending
 */

/* Back with the notification, and not before. */
static void held(void)
{
	const struct fake_send *send;
	__u64 id;

	EXPECT(open_with_out());
	EXPECT((__u64)(uintptr_t)fake_ring.buffers.iov_base ==
	       fake.areas[0].addr);
	EXPECT(fake_ring.buffers.iov_len == 64 * CHUNK);
	EXPECT(receive(&buf, 3, 1));
	EXPECT(!zcrx_send(out, &buf, 0, LEN));
	EXPECT(settle());
	send = fake_ring_sends(out_fd);
	EXPECT(send && send->opcode == IORING_OP_SEND_ZC);
	EXPECT(send->data == buf.data && send->len == LEN);
	EXPECT(send->ioprio == (IORING_RECVSEND_FIXED_BUF | REPORT_USAGE));
	EXPECT(send->flags & MSG_NOSIGNAL && send->flags & MSG_WAITALL);
	EXPECT(!(send->flags & MSG_MORE));
	id = send->user_data;
	EXPECT(fake_ring_sent(out_fd, LEN));
	EXPECT(settle() && none_is_back());
	EXPECT(fake_ring_notify(id, 0));
	EXPECT(settle() && is_back(3 * CHUNK) && none_is_back());
	close_queue();
}

/* One at a time, in their order, and the last one says that it is. */
static void order(void)
{
	__u64 ids[3];
	unsigned int i;

	EXPECT(open_with_out());
	EXPECT(receive(bufs, 0, 3));
	EXPECT(!zcrx_send(out, &bufs[1], 0, LEN));
	EXPECT(!zcrx_send(out, &bufs[0], 0, LEN));
	EXPECT(!zcrx_send(out, &bufs[2], 0, LEN));
	EXPECT(settle() && sends(bufs[1].data, LEN));
	EXPECT(fake_ring_sends(out_fd)->flags & MSG_MORE);
	ids[0] = take_one(LEN);
	EXPECT(sends(bufs[0].data, LEN));
	EXPECT(fake_ring_sends(out_fd)->flags & MSG_MORE);
	ids[1] = take_one(LEN);
	EXPECT(sends(bufs[2].data, LEN));
	EXPECT(!(fake_ring_sends(out_fd)->flags & MSG_MORE));
	ids[2] = take_one(LEN);
	EXPECT(none_is_back() && !fake_ring_sends(out_fd));
	for (i = 0; i < 3; i++)
		EXPECT(fake_ring_notify(ids[i], 0));
	EXPECT(settle() && is_back(CHUNK) && is_back(0) && is_back(2 * CHUNK));
	close_queue();
}

/* The rest follows, before the next buffer; all requests hold the buffer. */
static void short_send(void)
{
	__u64 first, rest;

	EXPECT(open_with_out());
	EXPECT(receive(bufs, 0, 2));
	EXPECT(!zcrx_send(out, &bufs[0], 0, LEN));
	EXPECT(!zcrx_send(out, &bufs[1], 0, LEN));
	first = take_one(30);
	EXPECT(first && sends((char *)bufs[0].data + 30, LEN - 30));
	rest = take_one(LEN - 30);
	EXPECT(rest && sends(bufs[1].data, LEN));
	EXPECT(fake_ring_notify(rest, 0));
	EXPECT(settle() && none_is_back());
	EXPECT(fake_ring_notify(first, 0));
	EXPECT(settle() && is_back(0) && none_is_back());
	close_queue();
}

/* To two sockets, and some of it to none: back with the last part. */
static void parts(void)
{
	struct zcrx_out *other;
	__u64 first, second;
	int fds[2];

	EXPECT(open_with_out());
	EXPECT(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	EXPECT(!zcrx_out_add(queue, fds[0], &other, &other));
	EXPECT(receive(&buf, 0, 1));
	EXPECT(!zcrx_send(out, &buf, 0, 10));
	EXPECT(!zcrx_send(other, &buf, 40, 60));
	first = take_one(10);
	EXPECT(first && fake_ring_notify(first, 0));
	EXPECT(settle() && none_is_back());
	zcrx_release_part(queue, &buf, 10, 30);
	EXPECT(none_is_back());
	EXPECT(fake_ring_sends(fds[0])->data == (char *)buf.data + 40);
	second = fake_ring_sends(fds[0])->user_data;
	EXPECT(fake_ring_sent(fds[0], 60) && settle() && none_is_back());
	EXPECT(fake_ring_notify(second, 0));
	EXPECT(settle() && is_back(0));
	close(fds[0]);
	close(fds[1]);
	close_queue();
}

static void *release_rest(void *arg)
{
	unsigned int i;

	for (i = 0; i < NR_BUFS; i++)
		zcrx_release_part(queue, &bufs[i], 10, LEN - 10);

	return arg;
}

/* How many are back soon, while the owner does what there is */
static unsigned int wait_for_back(unsigned int nr)
{
	int64_t end = zcrx_clock() + WAIT_MS;
	struct zcrx_abi_rqe rqe;
	unsigned int back = 0;

	while (back < nr && settle() && zcrx_clock() < end)
		while (fake_take(&rqe))
			back++;

	return back;
}

/*
 * Another thread has the rest: back once, by whoever is the last. Nothing but the
 * queue orders the two threads until then.
 */
static void parts_of_a_thread(void)
{
	pthread_t thread;
	__u64 id;
	int i;

	EXPECT(open_with_out());
	EXPECT(receive(bufs, 0, NR_BUFS));
	for (i = 0; i < NR_BUFS; i++)
		EXPECT(!zcrx_send(out, &bufs[i], 0, 10));
	EXPECT(!pthread_create(&thread, NULL, release_rest, NULL));
	for (i = 0; i < NR_BUFS; i++) {
		id = take_one(10);
		EXPECT(id && fake_ring_notify(id, 0));
	}
	EXPECT(wait_for_back(NR_BUFS) == NR_BUFS);
	pthread_join(thread, NULL);
	EXPECT(settle() && none_is_back());
	close_queue();
}

/* What is being sent is not received into, nor is the connection received from. */
static void budget(void)
{
	__u64 id;
	int i;

	EXPECT(open_queue(4 * CHUNK));
	EXPECT(!zcrx_out_add(queue, out_fd, &out, &out));
	EXPECT(receive(bufs, 0, 4));
	for (i = 0; i < 4; i++)
		EXPECT(!zcrx_send(out, &bufs[i], 0, LEN));
	id = take_one(LEN);
	EXPECT(id && settle());
	EXPECT(!fake_ring_receive(fd, 5 * CHUNK, LEN));
	EXPECT(fake_ring_notify(id, 0));
	EXPECT(settle() && is_back(0));
	EXPECT(fake_ring_receive(fd, 5 * CHUNK, LEN));
	EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1);
	close_queue();
}

/* Whoever sends and then sleeps in poll() is not let sleep. */
static void polled(void)
{
	struct pollfd pfd = { .events = POLLIN };

	EXPECT(open_with_out());
	pfd.fd = zcrx_queue_poll_fd(queue);
	EXPECT(receive(&buf, 0, 1));
	EXPECT(settle() && !poll(&pfd, 1, 0));
	EXPECT(!zcrx_send(out, &buf, 0, LEN));
	EXPECT(poll(&pfd, 1, 0) == 1);
	EXPECT(take_one(LEN) && !poll(&pfd, 1, 0));
	EXPECT(!zcrx_out_remove(out));
	EXPECT(poll(&pfd, 1, 0) == 1);
	close_queue();
}

/*
 * Counting, and other ways to send
 */

static bool counted(unsigned long long zc, unsigned long long copied)
{
	struct zcrx_out_counters counters;

	zcrx_out_read_counters(out, &counters);
	if (counters.zc_bytes == zc && counters.copied_bytes == copied)
		return true;
	printf("# %llu without a copy, %llu copied\n", counters.zc_bytes,
	       counters.copied_bytes);

	return false;
}

/* TCP has joined requests, and only the first one's notification tells how. */
static void joined(void)
{
	__u64 ids[5];
	int i;

	EXPECT(open_with_out());
	EXPECT(receive(bufs, 0, 6));
	for (i = 0; i < 5; i++)
		EXPECT(!zcrx_send(out, &bufs[i], 0, LEN));
	for (i = 0; i < 5; i++)
		ids[i] = take_one(LEN);
	EXPECT(fake_ring_notify(ids[0], 0));
	EXPECT(fake_ring_notify(ids[2], ZC_COPIED));
	EXPECT(fake_ring_notify(ids[1], ZC_COPIED));
	EXPECT(settle() && counted(3 * LEN, 0));

	/* What does not follow the others at once is not of them. */
	EXPECT(fake_ring_receive(fd, 6 * CHUNK, LEN));
	EXPECT(fake_ring_notify(ids[3], ZC_COPIED));
	EXPECT(fake_ring_notify(ids[4], ZC_COPIED));
	EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1);
	EXPECT(settle() && counted(3 * LEN, 2 * LEN));
	close_queue();
}

static void counters(void)
{
	__u64 ids[2];

	EXPECT(open_with_out());
	EXPECT(receive(bufs, 0, 2));
	EXPECT(!zcrx_send(out, &bufs[0], 0, LEN));
	EXPECT(!zcrx_send(out, &bufs[1], 0, LEN - 1));
	ids[0] = take_one(LEN);
	ids[1] = take_one(LEN - 1);
	EXPECT(ids[0] && ids[1] && counted(0, 0));
	EXPECT(fake_ring_notify(ids[0], ZC_COPIED));
	EXPECT(settle() && counted(0, LEN));
	EXPECT(fake_ring_notify(ids[1], 0));
	EXPECT(settle() && counted(LEN - 1, LEN));
	close_queue();
}

/* An old kernel knows no report, then the socket can't without a copy. */
static void next_ways(void)
{
	__u64 ids[2];

	EXPECT(open_with_out());
	EXPECT(receive(&buf, 0, 1));
	EXPECT(!zcrx_send(out, &buf, 0, LEN));
	ids[0] = take_one(-EINVAL);
	EXPECT(ids[0] && sends(buf.data, LEN));
	EXPECT(fake_ring_sends(out_fd)->opcode == IORING_OP_SEND_ZC);
	EXPECT(fake_ring_sends(out_fd)->ioprio == IORING_RECVSEND_FIXED_BUF);
	ids[1] = take_one(-EOPNOTSUPP);
	EXPECT(ids[1] && sends(buf.data, LEN));
	EXPECT(fake_ring_sends(out_fd)->opcode == IORING_OP_SEND);
	EXPECT(!fake_ring_sends(out_fd)->ioprio);
	EXPECT(fake_ring_notify(ids[0], 0) && fake_ring_notify(ids[1], 0));
	EXPECT(settle() && none_is_back());
	EXPECT(take_one(LEN) && is_back(0) && counted(0, LEN));

	/* It is remembered, and then an error is one. */
	EXPECT(receive(&buf, 1, 1));
	EXPECT(!zcrx_send(out, &buf, 0, LEN));
	EXPECT(settle() && sends(buf.data, LEN));
	EXPECT(fake_ring_sends(out_fd)->opcode == IORING_OP_SEND);
	EXPECT(fake_ring_sent(out_fd, -EINVAL));
	EXPECT(ended_with(-EINVAL) && is_back(CHUNK));
	close_queue();
}

/* Too much to be pinned: copied, and said so. */
static void not_registered(void)
{
	struct zcrx_out *other;

	EXPECT(open_queue(0));
	fake_ring.ret_buffers = -ENOMEM;
	EXPECT(zcrx_out_add(queue, out_fd, &out, &out) == 1);
	EXPECT(strstr(zcrx_error(), "ulimit -l"));
	fake_ring.ret_buffers = -EBUSY;
	EXPECT(zcrx_out_add(queue, out_fd, &other, &other) == 1);
	EXPECT(strstr(zcrx_error(), strerror(EBUSY)));
	EXPECT(receive(&buf, 0, 1));
	EXPECT(!zcrx_send(out, &buf, 0, LEN));
	EXPECT(settle() && sends(buf.data, LEN));
	EXPECT(fake_ring_sends(out_fd)->opcode == IORING_OP_SEND);
	EXPECT(take_one(LEN) && is_back(0) && counted(0, LEN));
	close_queue();
}

/*
 * Failing
 */

/* All that waits goes back; what the kernel may still look at, later. */
static void failed(void)
{
	__u64 first, second;

	EXPECT(open_with_out());
	EXPECT(receive(bufs, 0, 4));
	EXPECT(!zcrx_send(out, &bufs[0], 0, LEN));
	EXPECT(!zcrx_send(out, &bufs[1], 0, LEN));
	EXPECT(!zcrx_send(out, &bufs[2], 0, LEN));
	first = take_one(LEN);
	second = fake_ring_sends(out_fd)->user_data;
	EXPECT(fake_ring_sent(out_fd, -EPIPE));
	EXPECT(ended_with(-EPIPE));
	EXPECT(is_back(2 * CHUNK) && none_is_back());
	EXPECT(fake_ring_notify(second, ZC_COPIED));
	EXPECT(settle() && is_back(CHUNK) && none_is_back());
	EXPECT(fake_ring_notify(first, 0));
	EXPECT(settle() && is_back(0));

	/* Told once; from here on buffers stay the caller's. */
	EXPECT(zcrx_send(out, &bufs[3], 0, LEN) == -EPIPE);
	EXPECT(strstr(zcrx_error(), strerror(EPIPE)));
	EXPECT(!zcrx_out_finish(out) && settle());
	zcrx_release(queue, &bufs[3], 1);
	EXPECT(is_back(3 * CHUNK));
	EXPECT(!zcrx_out_remove(out) && settle());
	close_queue();
}

/* For want of the kernel's memory: it waits, and tries again. */
static void delayed(void)
{
	__u64 id;

	EXPECT(open_with_out());
	EXPECT(receive(&buf, 0, 1));
	EXPECT(!zcrx_send(out, &buf, 0, LEN));
	id = take_one(-ENOMEM);
	EXPECT(id && !fake_ring_sends(out_fd));
	EXPECT(fake_ring_notify(id, ZC_COPIED));
	usleep(5000);
	EXPECT(settle() && sends(buf.data, LEN) && none_is_back());
	/* Nothing was copied, either. */
	id = take_one(LEN);
	EXPECT(id && fake_ring_notify(id, 0));
	EXPECT(settle() && is_back(0) && counted(LEN, 0));
	close_queue();
}

/* More outs than there is room for in the SQ, of a kernel that takes none at first. */
static void full_sq(void)
{
	static struct zcrx_out *outs[NR_OUTS];
	int fds[NR_OUTS], i;

	EXPECT(open_queue(64 * CHUNK));
	EXPECT(receive(&buf, 0, 1));
	for (i = 0; i < NR_OUTS; i++) {
		fds[i] = dup(out_fd);
		EXPECT(!zcrx_out_add(queue, fds[i], NULL, &outs[i]));
		EXPECT(!zcrx_send(outs[i], &buf, i, 1));
	}
	/* One is removed before it has its turn. */
	EXPECT(!zcrx_out_remove(outs[NR_OUTS - 1]));
	fake_ring.nr_refusals = 5;
	EXPECT(settle() && !fake_ring.nr_refusals);
	for (i = 0; i < NR_OUTS - 1; i++)
		EXPECT(fake_ring_sends(fds[i]) &&
		       fake_ring_sends(fds[i])->data == (char *)buf.data + i);
	EXPECT(!fake_ring_sends(fds[NR_OUTS - 1]));
	close_queue();
	for (i = 0; i < NR_OUTS; i++)
		close(fds[i]);
}

/*
 * More small buffers than the queue has pieces: those that wait for some are taken
 * off the CQ.
 */

static struct zcrx_buf kept[NR_PIECES];
static int socks[NR_SOCKS];	/* the last one has had nothing */

/* The first piece is sent. Returns what its notification will name, or 0. */
static __u64 use_all_pieces(void)
{
	unsigned int i;

	if (!open_queue(64 * CHUNK) ||
	    zcrx_out_add(queue, out_fd, &out, &out) || !receive(kept, 0, 1) ||
	    zcrx_send(out, &kept[0], 0, LEN) || !settle())
		return 0;
	for (i = 0; i < NR_SOCKS; i++) {
		struct zcrx_conn *more;

		socks[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (zcrx_conn_add(queue, socks[i], NULL, &more))
			return 0;
	}
	for (i = 1; i < NR_PIECES; i++)
		if (!fake_ring_receive(socks[i / 64], i, 1) ||
		    zcrx_receive(queue, &kept[i], 1, WAIT_MS) != 1)
			return 0;

	return sends(kept[0].data, LEN) ? fake_ring_sends(out_fd)->user_data : 0;
}

static void close_socks(void)
{
	unsigned int i;

	for (i = 0; i < NR_SOCKS; i++)
		close(socks[i]);
	close_queue();
}

/* Is this the next one, and does it come soon? */
static bool next_is(__u32 len, int timeout_ms)
{
	int64_t start = zcrx_clock();

	return zcrx_receive(queue, &buf, 1, timeout_ms) == 1 &&
	       buf.conn == conn && buf.len == len &&
	       zcrx_clock() - start < WAIT_MS / 2;
}

/* What is to free a piece is behind those in the CQ that wait for it. */
static void no_pieces(void)
{
	__u64 id = use_all_pieces();

	EXPECT(id);
	/* Two more, the notification, and an end that does not overtake them */
	EXPECT(fake_ring_receive(fd, CHUNK, 7));
	EXPECT(fake_ring_receive(fd, 2 * CHUNK, 8));
	EXPECT(fake_ring_sent(out_fd, LEN) && fake_ring_notify(id, 0));
	EXPECT(fake_ring_end(fd, -ECONNRESET));
	EXPECT(next_is(7, WAIT_MS) && settle());
	zcrx_release(queue, &buf, 1);
	EXPECT(next_is(8, WAIT_MS));
	zcrx_release(queue, &kept[1], 1);
	EXPECT(next_is(0, WAIT_MS) && buf.res == -ECONNRESET);
	close_socks();
}

/* It comes when the CQ is empty, and nothing else does. */
static void late_notification(void)
{
	__u64 id = use_all_pieces();

	EXPECT(id && fake_ring_receive(fd, CHUNK, 7) && settle());
	EXPECT(fake_ring_sent(out_fd, LEN) && fake_ring_notify(id, 0));
	EXPECT(next_is(7, WAIT_MS));
	close_socks();
}

/* Whoever goes to sleep in poll() next is told, too. */
static void late_notification_polled(void)
{
	__u64 id = use_all_pieces();

	EXPECT(id && fake_ring_receive(fd, CHUNK, 7));
	EXPECT(fake_ring_sent(out_fd, LEN) && settle());
	fake_ring.late_notification = id;
	EXPECT(next_is(7, 0));
	close_socks();
}

/* There are always some that wait, but never many. */
static void pieces_one_by_one(void)
{
	int fds[2], i;

	EXPECT(use_all_pieces());
	fds[0] = fd;
	fds[1] = socks[NR_SOCKS - 1];
	EXPECT(fake_ring_receive(fds[0], CHUNK, 1) && settle());
	EXPECT(fake_ring_receive(fds[1], CHUNK, 1) && settle());
	zcrx_release(queue, &kept[1], 1);
	EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1);
	no_memory = true;
	for (i = 0; i < 20000; i++) {
		zcrx_release(queue, &buf, 1);
		while (!none_is_back())
			;
		EXPECT(zcrx_receive(queue, &buf, 1, WAIT_MS) == 1);
		EXPECT(settle());
		EXPECT(fake_ring_receive(fds[i % 2], CHUNK, 1) && settle());
	}
	close_socks();
}

/* No memory to keep any is an error, until there are pieces. */
static void no_memory_to_keep(void)
{
	EXPECT(use_all_pieces());
	no_memory = true;
	EXPECT(fake_ring_receive(fd, CHUNK, 7));
	EXPECT(zcrx_receive(queue, &buf, 1, 0) == -ENOMEM);
	EXPECT(strstr(zcrx_error(), "release some"));
	zcrx_release(queue, &kept[1], 1);
	EXPECT(next_is(7, WAIT_MS));
	close_socks();
}

/*
 * Ends
 */

static bool is_shut_down(void)
{
	char byte;

	return recv(far_fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* The peer knows when the socket has all of it, the caller when the kernel is done. */
static void finished(void)
{
	__u64 id;

	EXPECT(open_with_out());
	EXPECT(receive(&buf, 0, 1));
	EXPECT(!zcrx_send(out, &buf, 0, LEN));
	EXPECT(!zcrx_out_finish(out) && !zcrx_out_finish(out));
	EXPECT(zcrx_send(out, &buf, 0, 1) == -EINVAL);
	EXPECT(settle() && !is_shut_down());
	id = take_one(LEN);
	EXPECT(id && is_shut_down());
	EXPECT(fake_ring_notify(id, 0));
	EXPECT(ended_with(0) && is_back(0) && counted(LEN, 0));
	EXPECT(settle() && !zcrx_out_finish(out) && settle());
	EXPECT(!zcrx_out_remove(out));
	close_queue();
}

static void finished_idle(void)
{
	EXPECT(open_with_out());
	EXPECT(!zcrx_out_finish(out) && is_shut_down());
	EXPECT(ended_with(0) && settle());
	EXPECT(!zcrx_out_remove(out) && !zcrx_out_remove(out) && settle());
	EXPECT(!zcrx_out_add(queue, fd, &out, &out));
	EXPECT(!zcrx_out_finish(out));
	EXPECT(ended_with(-ENOTCONN));
	close_queue();
}

/* Nothing of the out is submitted, nor told, and its buffers go back. */
static void removed(void)
{
	__u64 first, second;

	EXPECT(open_with_out());
	EXPECT(receive(bufs, 0, 3));
	EXPECT(!zcrx_send(out, &bufs[0], 0, LEN));
	EXPECT(!zcrx_send(out, &bufs[1], 0, LEN));
	EXPECT(!zcrx_send(out, &bufs[2], 0, LEN));
	first = take_one(LEN);
	second = fake_ring_sends(out_fd)->user_data;
	fake_ring.ret_submit = -EAGAIN;
	EXPECT(zcrx_out_remove(out) == -EAGAIN && *zcrx_error());
	fake_ring.ret_submit = 0;
	EXPECT(settle() && sends(bufs[1].data, LEN));
	EXPECT(!zcrx_out_remove(out));
	EXPECT(!fake_ring_sends(out_fd));
	EXPECT(zcrx_send(out, &bufs[2], 0, 1) == -EINVAL);
	EXPECT(!zcrx_out_remove(out));
	EXPECT(settle() && is_back(2 * CHUNK) && none_is_back());
	/* Of the second there have been two requests. */
	EXPECT(fake_ring_notify(first, 0) && fake_ring_notify(second, 0));
	EXPECT(settle() && is_back(0) && none_is_back());
	EXPECT(fake_ring_notify(second, 0));
	EXPECT(settle() && is_back(CHUNK) && settle());
	close_queue();
}

/* Before anything was submitted */
static void removed_at_once(void)
{
	EXPECT(open_with_out());
	EXPECT(receive(&buf, 0, 1));
	EXPECT(!zcrx_send(out, &buf, 0, LEN));
	EXPECT(!zcrx_out_remove(out) && is_back(0));
	EXPECT(settle() && !fake_ring_sends(out_fd) && settle());

	EXPECT(!zcrx_out_add(queue, out_fd, &out, &out));
	EXPECT(!zcrx_out_finish(out) && !zcrx_out_remove(out));
	EXPECT(settle() && settle());
	close_queue();
}

/* The connection that it came by has gone; it is sent all the same. */
static void source_removed(void)
{
	__u64 id;

	EXPECT(open_with_out());
	EXPECT(receive(&buf, 0, 1));
	EXPECT(!zcrx_send(out, &buf, 0, LEN));
	EXPECT(!zcrx_conn_remove(conn));
	EXPECT(settle() && settle() && sends(buf.data, LEN));
	id = take_one(LEN);
	EXPECT(id && fake_ring_notify(id, 0));
	EXPECT(settle() && is_back(0) && settle());
	close_queue();
}

static void closed(void)
{
	EXPECT(open_with_out());
	EXPECT(receive(bufs, 0, 3));
	EXPECT(!zcrx_send(out, &bufs[0], 0, LEN));
	EXPECT(take_one(LEN));
	EXPECT(!zcrx_send(out, &bufs[1], 0, LEN));
	EXPECT(settle());
	EXPECT(!zcrx_send(out, &bufs[2], 0, LEN));
	close_queue();
}

/*
 * Refusals
 */

static void wrong_arguments(void)
{
	struct zcrx_out *none;
	struct zcrx_buf other;
	char byte;

	EXPECT(open_with_out());
	EXPECT(zcrx_out_add(queue, -1, NULL, &none) == -EBADF);
	EXPECT(receive(&buf, 0, 1));
	EXPECT(zcrx_send(out, &buf, LEN + 1, 0) == -EINVAL);
	EXPECT(zcrx_send(out, &buf, 1, LEN) == -EINVAL);
	EXPECT(strstr(zcrx_error(), "100"));
	EXPECT(zcrx_send(out, &buf, 0, SIZE_MAX) == -EINVAL);
	EXPECT(zcrx_send(out, &buf, LEN, 0) == 0);
	other = buf;
	other.data = &byte;
	EXPECT(zcrx_send(out, &other, 0, 1) == -EINVAL);
	EXPECT(strstr(zcrx_error(), "another queue"));
	/* The end of a connection has nothing to send. */
	other = (struct zcrx_buf) { .conn = conn };
	EXPECT(zcrx_send(out, &other, 0, other.len) == 0);
	EXPECT(settle() && !fake_ring_sends(out_fd) && none_is_back());
	close_queue();
}

static const struct ktap_case cases[] = {
	{ "back when the kernel is done with it", held },
	{ "one at a time, in order", order },
	{ "a short send", short_send },
	{ "parts, to two sockets", parts },
	{ "parts, that another thread releases", parts_of_a_thread },
	{ "what is being sent is in the budget", budget },
	{ "sent before poll()", polled },
	{ "counted", counters },
	{ "counted when TCP joins requests", joined },
	{ "a kernel or a socket that can't", next_ways },
	{ "memory that can't be registered", not_registered },
	{ "a socket that fails", failed },
	{ "a kernel without memory", delayed },
	{ "a full submission queue", full_sq },
	{ "notifications behind what waits for them", no_pieces },
	{ "notifications when nothing else comes", late_notification },
	{ "notifications before poll()", late_notification_polled },
	{ "pieces that come free one by one", pieces_one_by_one },
	{ "no memory for what waits for pieces", no_memory_to_keep },
	{ "finished", finished },
	{ "finished with nothing sent", finished_idle },
	{ "removed while it sends", removed },
	{ "removed before it sends", removed_at_once },
	{ "the connection removed meanwhile", source_removed },
	{ "closed while it sends", closed },
	{ "wrong arguments", wrong_arguments },
};

int main(void)
{
	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
