// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../src/clock.h"
#include "fake_ring.h"

#define SQ_ENTRIES	64
#define CQ_ENTRIES	256
#define MAX_REQUESTS	256

/**
 * struct request - one that is under way
 * @used: there is one
 * @opcode: what it does
 * @fd: whom with
 * @user_data: the library's
 * @until: when a timeout ends, as by zcrx_clock()
 * @send: if that is what it does
 * @notifies: a send that has ended, but for its notification
 */
struct request {
	bool			used;
	__u8			opcode;
	int			fd;
	__u64			user_data;
	int64_t			until;
	struct fake_send	send;
	bool			notifies;
};

struct fake_ring fake_ring;

static struct request requests[MAX_REQUESTS];
static struct io_uring_sqe sqes[SQ_ENTRIES];
static struct io_uring_cqe *cqes;
static bool has_eventfd;
static unsigned int sq_head, sq_flags, cq_head, cq_tail;

void fake_ring_reset(enum fake_kind kind)
{
	fake_reset(kind);
	memset(&fake_ring, 0, sizeof(fake_ring));
}

int io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
			       struct io_uring_params *p)
{
	(void)entries;
	if (fake_ring.ret_setup)
		return fake_ring.ret_setup;
	if (p->flags & fake_ring.unknown_flags)
		return -EINVAL;
	memset(requests, 0, sizeof(requests));
	has_eventfd = false;
	sq_head = sq_flags = cq_head = cq_tail = 0;
	cqes = calloc(2 * CQ_ENTRIES, sizeof(*cqes));

	memset(ring, 0, sizeof(*ring));
	ring->flags = fake.ring_flags = p->flags;
	fake_ring.fd = eventfd(0, EFD_CLOEXEC);
	ring->ring_fd = ring->enter_ring_fd = fake_ring.fd;
	ring->sq.khead = &sq_head;
	ring->sq.kflags = &sq_flags;
	ring->sq.sqes = sqes;
	ring->sq.ring_mask = SQ_ENTRIES - 1;
	ring->sq.ring_entries = SQ_ENTRIES;
	ring->cq.khead = &cq_head;
	ring->cq.ktail = &cq_tail;
	ring->cq.cqes = cqes;
	ring->cq.ring_mask = CQ_ENTRIES - 1;
	ring->cq.ring_entries = CQ_ENTRIES;

	return 0;
}

void io_uring_queue_exit(struct io_uring *ring)
{
	free(cqes);
	close(ring->ring_fd);
}

/*
 * Completions
 */

static void post(__u64 user_data, int res, __u32 flags, __u64 off)
{
	bool is_large = fake.ring_flags & IORING_SETUP_CQE32;
	struct io_uring_cqe *cqe;

	cqe = &cqes[(cq_tail & (CQ_ENTRIES - 1)) << is_large];
	cqe->user_data = user_data;
	cqe->res = res;
	cqe->flags = flags;
	if (is_large)
		((struct zcrx_abi_cqe *)(cqe + 1))->off = off;
	__atomic_store_n(&cq_tail, cq_tail + 1, __ATOMIC_RELEASE);
}

static struct request *receiver(int fd)
{
	unsigned int i;

	for (i = 0; i < MAX_REQUESTS; i++)
		if (requests[i].used && requests[i].opcode == ZCRX_OP_RECV_ZC &&
		    requests[i].fd == fd)
			return &requests[i];

	return NULL;
}

/* Tell of received bytes by a CQE; false if nobody asks for them. */
bool fake_ring_receive(int fd, __u64 off, __u32 len)
{
	const struct request *request = receiver(fd);

	if (request)
		post(request->user_data, (int)len, IORING_CQE_F_MORE, off);

	return request;
}

/* End a socket's request; false if there is none. */
bool fake_ring_end(int fd, int res)
{
	struct request *request = receiver(fd);

	if (!request)
		return false;
	request->used = false;
	post(request->user_data, res, 0, 0);

	return true;
}

static bool is_send(const struct request *request)
{
	return request->opcode == IORING_OP_SEND ||
	       request->opcode == IORING_OP_SEND_ZC;
}

static struct request *sender(int fd)
{
	unsigned int i;

	for (i = 0; i < MAX_REQUESTS; i++)
		if (requests[i].used && is_send(&requests[i]) &&
		    !requests[i].notifies && requests[i].fd == fd)
			return &requests[i];

	return NULL;
}

/* What is being sent on a socket? NULL: nothing */
const struct fake_send *fake_ring_sends(int fd)
{
	const struct request *request = sender(fd);

	return request ? &request->send : NULL;
}

/* As the kernel does: the notification comes later, or never if it copies. */
static void end_send(struct request *request, int res)
{
	request->notifies = request->opcode == IORING_OP_SEND_ZC;
	request->used = request->notifies;
	post(request->user_data, res,
	     request->notifies ? IORING_CQE_F_MORE : 0, 0);
}

/* The socket has taken it, or not; false if nothing is being sent. */
bool fake_ring_sent(int fd, int res)
{
	struct request *request = sender(fd);

	if (request)
		end_send(request, res);

	return request;
}

/* The kernel is done with it; false if nothing has been sent. */
bool fake_ring_notify(__u64 user_data, int res)
{
	unsigned int i;

	for (i = 0; i < MAX_REQUESTS; i++) {
		if (!requests[i].used || !requests[i].notifies ||
		    requests[i].user_data != user_data)
			continue;
		requests[i].used = false;
		post(user_data, res, IORING_CQE_F_NOTIF, 0);
		return true;
	}

	return false;
}

static void cancel(const struct io_uring_sqe *sqe)
{
	unsigned int i;

	for (i = 0; i < MAX_REQUESTS; i++) {
		if (!requests[i].used || requests[i].notifies ||
		    requests[i].user_data != sqe->addr)
			continue;
		if (is_send(&requests[i])) {
			end_send(&requests[i], -ECANCELED);
			return;
		}
		requests[i].used = false;
		post(requests[i].user_data, -ECANCELED, 0, 0);
		return;
	}
	post(sqe->user_data, -ENOENT, 0, 0);
}

/*
 * Submission
 */

static int64_t end_of(const struct io_uring_sqe *sqe)
{
	const struct __kernel_timespec *ts = (void *)(uintptr_t)sqe->addr;

	return zcrx_clock() + ts->tv_sec * 1000 + ts->tv_nsec / 1000000;
}

static void begin(const struct io_uring_sqe *sqe)
{
	struct request *request = requests;

	while (request->used)
		if (++request == requests + MAX_REQUESTS)
			abort();
	*request = (struct request) {
		.used		= true,
		.opcode		= sqe->opcode,
		.fd		= sqe->fd,
		.user_data	= sqe->user_data,
	};
	request->send = (struct fake_send) {
		.opcode		= sqe->opcode,
		.data		= (const void *)(uintptr_t)sqe->addr,
		.len		= sqe->len,
		.flags		= sqe->msg_flags,
		.ioprio		= sqe->ioprio,
		.user_data	= sqe->user_data,
	};
	if (sqe->opcode == IORING_OP_TIMEOUT)
		request->until = end_of(sqe);
}

static int submit(struct io_uring *ring)
{
	const struct io_uring_sqe *sqe;
	int nr = 0;

	if (fake_ring.ret_submit)
		return fake_ring.ret_submit;
	if (fake_ring.nr_refusals) {
		fake_ring.nr_refusals--;
		return -EAGAIN;
	}
	for (; sq_head != ring->sq.sqe_tail; nr++) {
		sqe = &sqes[sq_head++ & (SQ_ENTRIES - 1)];
		if (sqe->opcode == IORING_OP_ASYNC_CANCEL)
			cancel(sqe);
		else
			begin(sqe);
	}

	return nr;
}

/*
 * Waiting
 */

/* Returns when the next timeout ends. */
static int64_t run_requests(void)
{
	int64_t next = INT64_MAX;
	unsigned int i;
	eventfd_t value;

	if (fake_ring.nr_work)
		fake_ring.nr_work--;
	if (fake_ring.late_notification)
		fake_ring_notify(fake_ring.late_notification, 0);
	fake_ring.late_notification = 0;
	for (i = 0; i < MAX_REQUESTS; i++) {
		struct request *request = &requests[i];

		if (!request->used)
			continue;
		if (request->opcode == IORING_OP_POLL_ADD) {
			if (eventfd_read(request->fd, &value))
				continue;
			fake_ring.says_work = false;
			post(request->user_data, POLLIN, IORING_CQE_F_MORE, 0);
		} else if (request->opcode == IORING_OP_TIMEOUT &&
			   !fake_ring.no_time) {
			if (request->until < next)
				next = request->until;
			if (request->until > zcrx_clock())
				continue;
			request->used = false;
			post(request->user_data, -ETIME, 0, 0);
		}
	}
	sq_flags = fake_ring.nr_work || fake_ring.says_work ?
			   IORING_SQ_TASKRUN : 0;

	return next;
}

static void sleep_until(int64_t until)
{
	struct pollfd fds[MAX_REQUESTS];
	int64_t now = zcrx_clock();
	unsigned int nr = 0, i;

	for (i = 0; i < MAX_REQUESTS; i++)
		if (requests[i].used && requests[i].opcode == IORING_OP_POLL_ADD)
			fds[nr++] = (struct pollfd) { requests[i].fd, POLLIN, 0 };
	__atomic_store_n(&fake_ring.waiting, true, __ATOMIC_RELEASE);
	poll(fds, nr, until == INT64_MAX ? -1 : until > now ? until - now : 0);
	__atomic_store_n(&fake_ring.waiting, false, __ATOMIC_RELEASE);
}

/* For a CQE. Returns whether there is one. */
static bool wait_until(int64_t end)
{
	int64_t next = run_requests();

	while (cq_head == cq_tail && end > zcrx_clock()) {
		sleep_until(next < end ? next : end);
		next = run_requests();
	}

	return cq_head != cq_tail;
}

int io_uring_submit(struct io_uring *ring)
{
	return submit(ring);
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
	int ret = submit(ring);

	run_requests();

	return ret;
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned int wait_nr)
{
	int ret = submit(ring);

	(void)wait_nr;
	wait_until(INT64_MAX);

	return ret;
}

int io_uring_submit_and_wait_timeout(struct io_uring *ring,
				     struct io_uring_cqe **cqe_ptr,
				     unsigned int wait_nr,
				     struct __kernel_timespec *ts,
				     sigset_t *sigmask)
{
	int64_t end = zcrx_clock() + ts->tv_sec * 1000 + ts->tv_nsec / 1000000;
	int ret = submit(ring);

	(void)cqe_ptr;
	(void)wait_nr;
	(void)sigmask;

	return wait_until(end) ? ret : -ETIME;
}

int io_uring_register_eventfd(struct io_uring *ring, int fd)
{
	(void)ring;
	(void)fd;
	if (has_eventfd)
		return -EBUSY;
	has_eventfd = true;

	return 0;
}

int io_uring_unregister_eventfd(struct io_uring *ring)
{
	(void)ring;
	has_eventfd = false;

	return 0;
}

/* What would come into them is not of interest. */
int io_uring_register_buf_ring(struct io_uring *ring,
			       struct io_uring_buf_reg *reg, unsigned int flags)
{
	(void)ring;
	(void)reg;
	(void)flags;

	return 0;
}

int io_uring_register_buffers(struct io_uring *ring, const struct iovec *iovecs,
			      unsigned int nr_iovecs)
{
	(void)ring;
	if (fake_ring.ret_buffers)
		return fake_ring.ret_buffers;
	if (nr_iovecs != 1)
		return -EINVAL;
	fake_ring.buffers = iovecs[0];

	return 0;
}

int io_uring_register_sync_cancel(struct io_uring *ring,
				  struct io_uring_sync_cancel_reg *reg)
{
	(void)ring;
	(void)reg;
	memset(requests, 0, sizeof(requests));
	if (!fake_ring.nr_cancels)
		return 0;
	fake_ring.nr_cancels--;

	return 1;
}

int io_uring_get_events(struct io_uring *ring)
{
	(void)ring;
	run_requests();

	return 0;
}
