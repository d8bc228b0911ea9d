// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A kernel with zero-copy receive for zcrx-run.so, on any host: it takes the place
 * of io_uring's system calls, together with the one that the library is tested
 * with. It receives by copying, in small pieces, and is often short of memory.
 *
 * The ring's file is a socket with a name. So the queue is taken as long as anybody
 * has that file. A queue's number that is not 0 is the error of registering it, but
 * for 200, which breaks down in use. $ZCRX_RUN_FAKE is a file that gets a line for
 * each attempt.
 */
#include <errno.h>
#include <liburing-zcrx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../../liburing-zcrx/tests/fake.h"

/* This request's completion is lost, its bytes are not. */
#define LOST_REQUEST	9
#define LOSING_QUEUE	200

#define CHUNK_SIZE	4096
#define MAX_CHUNKS	32768
#define NR_SQES		2
#define NR_CQES		4

/* What a ring consists of, and what waits in it */
static struct {
	unsigned int		sq_head, sq_tail, cq_head, cq_tail;
	struct io_uring_sqe	sqes[NR_SQES];
	struct io_uring_cqe	cqes[NR_CQES];
	struct stat		file;
	bool			waits;
	__u64			waiting;	/* its user_data */
} uring;

static unsigned int nr_requests;
static bool loses;
static bool taken[MAX_CHUNKS];
static unsigned int last_chunk;

int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring,
			       unsigned int flags);
int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap___io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **cqe,
			      unsigned int submit, unsigned int wait_nr,
			      sigset_t *mask);

static void fail(const char *what)
{
	dprintf(STDERR_FILENO, "fake: %s\n", what);
	abort();
}

/*
 * Registering
 */

static void count_attempt(void)
{
	const char *path = getenv("ZCRX_RUN_FAKE");
	FILE *file = path ? fopen(path, "a") : NULL;

	if (!file)
		return;
	fprintf(file, "pid %d\n", getpid());
	fclose(file);
}

static int register_error(int fd)
{
	const struct sockaddr_un name = { .sun_family = AF_UNIX,
					  .sun_path = "\0zcrx-run-fake" };
	const char *rxq = getenv("ZCRX_RUN_QUEUE");

	count_attempt();
	loses = rxq && atoi(rxq) == LOSING_QUEUE;
	if (rxq && atoi(rxq) && !loses)
		return -atoi(rxq);

	return bind(fd, (const struct sockaddr *)&name, sizeof(name)) ? -EEXIST : 0;
}

int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring,
			       unsigned int flags)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || entries != NR_SQES || flags)
		fail("queue_init");
	memset(&uring, 0, sizeof(uring));
	memset(taken, 0, sizeof(taken));
	memset(ring, 0, sizeof(*ring));
	fstat(fd, &uring.file);
	ring->ring_fd = ring->enter_ring_fd = fd;
	ring->sq.khead = &uring.sq_head;
	ring->sq.ktail = &uring.sq_tail;
	ring->sq.sqes = uring.sqes;
	ring->sq.ring_mask = NR_SQES - 1;
	ring->sq.ring_entries = NR_SQES;
	ring->cq.khead = &uring.cq_head;
	ring->cq.ktail = &uring.cq_tail;
	ring->cq.cqes = uring.cqes;
	ring->cq.ring_mask = NR_CQES - 1;
	ring->cq.ring_entries = NR_CQES;

	fake_reset(FAKE_OURS);
	fake.register_err = register_error(fd);

	return 0;
}

/*
 * Receiving
 */

static void take_back(void)
{
	struct zcrx_rbuf_rqe rqe;

	while (fake_take(&rqe)) {
		if (!taken[rqe.off / CHUNK_SIZE])
			fail("given back twice");
		taken[rqe.off / CHUNK_SIZE] = false;
	}
}

/* Returns where to, or -ENOBUFS. */
static long find_chunk(void)
{
	unsigned int nr = fake.areas[0].len / CHUNK_SIZE, i;

	for (i = 0; i < nr; i++) {
		last_chunk = (last_chunk + 1) % nr;
		if (!taken[last_chunk])
			return (long)last_chunk * CHUNK_SIZE;
	}

	return -ENOBUFS;
}

/* One piece; returns its length, 0 at the end, or a negative errno. */
static int receive_piece(int fd, unsigned int len)
{
	struct zcrx_rbuf_cqe cqe = { .flags = 0 };
	unsigned int room = 1000 + fake.producer % 3000;
	long off = find_chunk(), ret;

	if (off < 0)
		return (int)off;
	ret = syscall(SYS_recvfrom, fd, fake.areas[0].addr + off,
		      len < room ? len : room, MSG_DONTWAIT, NULL, NULL);
	if (ret <= 0)
		return ret ? -errno : 0;

	cqe.off = (__u32)off;
	cqe.len = (__u32)ret;
	if (!fake_post(&cqe))
		fail("no room");
	taken[off / CHUNK_SIZE] = true;
	fake.rbuf_hdr->copied_bytes[0] += ret;

	return (int)ret;
}

/* None or one for some requests, so that all parts of a program meet that */
static unsigned int room(void)
{
	switch (nr_requests++ % 7) {
	case 2: return 0;
	case 4: return 1;
	default: return fake.rbuf_mask + 1 -
			(fake.producer - fake.rbuf_hdr->consumer);
	}
}

static int receive_pieces(int fd, unsigned int len)
{
	unsigned int done = 0, left;
	int ret = -ENOBUFS;

	take_back();
	for (left = room(); left && done < len; left--) {
		ret = receive_piece(fd, len - done);
		if (ret <= 0)
			break;
		done += ret;
	}

	return done ? (int)done : ret;
}

/*
 * Requests
 */

static void post_cqe(__u64 user_data, int res)
{
	uring.cqes[uring.cq_tail++ % NR_CQES] =
		(struct io_uring_cqe){ .user_data = user_data, .res = res };
}

static void cancel(const struct io_uring_sqe *sqe)
{
	if (uring.waits)
		post_cqe(uring.waiting, -ECANCELED);
	post_cqe(sqe->user_data, uring.waits ? 0 : -ENOENT);
	uring.waits = false;
}

static void receive_request(const struct io_uring_sqe *sqe)
{
	int ret = receive_pieces(sqe->fd, sqe->len);

	if (uring.waits)
		fail("a second request");
	if (loses && nr_requests == LOST_REQUEST)
		return;
	uring.waits = ret == -EAGAIN;
	uring.waiting = sqe->user_data;
	if (!uring.waits)
		post_cqe(sqe->user_data, ret);
}

/* To another io_uring, this would mean its own SQEs: as if there were none. */
int __wrap_io_uring_submit(struct io_uring *ring)
{
	const struct io_uring_sqe *sqe;
	struct stat file;
	int nr = 0;

	if (fstat(ring->ring_fd, &file))
		return -errno;
	if (file.st_ino != uring.file.st_ino)
		return 0;
	for (; uring.sq_head != ring->sq.sqe_tail; nr++) {
		sqe = &uring.sqes[uring.sq_head++ % NR_SQES];
		if (sqe->opcode == ZCRX_OP_RECV_ZC)
			receive_request(sqe);
		else
			cancel(sqe);
	}

	return nr;
}

/* Called when there is no CQE: none will come, and no signal is let in. */
int __wrap___io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **cqe,
			      unsigned int submit, unsigned int wait_nr,
			      sigset_t *mask)
{
	(void)ring;
	(void)cqe;
	(void)submit;
	(void)wait_nr;
	(void)mask;
	if (!loses)
		fail("waits for ever");

	return -EIO;
}
