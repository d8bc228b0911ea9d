// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Queue objects: opening, closing, and choosing a back end.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"
#include "nic.h"
#include "queue.h"
#include "ring.h"
#include "share.h"

#define SQ_ENTRIES		256
/* Of struct zcrx_queue_opts, in the first version */
#define OPTS_SIZE_0		(offsetof(struct zcrx_queue_opts, conn_budget) + \
				 sizeof(size_t))

#define OWNER_GONE_MS		100	/* to wait for that */
#define CANCEL_MS		1000	/* likewise for workers of io_uring */

#define DEFAULT_MEM_SIZE	((size_t)64 << 20)
#define DEFAULT_CONNS		16	/* can hold their budget at a time */

/* Best first */
static const struct zcrx_backend *const backends[] = {
	&zcrx_backend_rbuf,
	&zcrx_backend_cqe32,
	&zcrx_backend_copy,
};

#define NR_BACKENDS	(sizeof(backends) / sizeof(backends[0]))

/*
 * What back ends need
 */

static int explain_ring(int err)
{
	if (err == -EPERM)
		return zcrx_fail(err, "io_uring is not allowed here, see sysctl kernel.io_uring_disabled, or the sandbox's filter of system calls");
	if (err == -ENOSYS || err == -EINVAL)
		return zcrx_fail(-EOPNOTSUPP, "this kernel's io_uring is too old or switched off, Linux 6.0 is needed");

	return zcrx_fail(err, "can't make an io_uring: %s", strerror(-err));
}

/**
 * zcrx_queue_setup_ring() - make the ring
 * @q: the queue
 * @flags: that the back end needs
 * @cq_entries: size of the completion queue
 *
 * Disabled, for its owner is not known yet. Linux 6.0 has not
 * IORING_SETUP_DEFER_TASKRUN, and older ones not IORING_SETUP_SINGLE_ISSUER.
 *
 * Return: 0 or a negative errno, with sentence.
 */
int zcrx_queue_setup_ring(struct zcrx_queue *q, unsigned int flags,
			  unsigned int cq_entries)
{
	struct io_uring_params params = { .cq_entries = cq_entries };
	int ret;

	flags |= IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED |
		 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG;
	params.flags = flags | IORING_SETUP_DEFER_TASKRUN;
	ret = io_uring_queue_init_params(SQ_ENTRIES, &q->ring, &params);
	if (ret == -EINVAL) {
		params.flags = flags | IORING_SETUP_COOP_TASKRUN;
		ret = io_uring_queue_init_params(SQ_ENTRIES, &q->ring, &params);
	}

	return ret ? explain_ring(ret) : 0;
}

/**
 * zcrx_queue_setup_memory() - take the caller's memory, or allocate some
 * @q: the queue
 * @opts: the caller's
 * @area_flags: of zcrx_area_alloc(), to allocate with
 *
 * Return: 0 or a negative errno, with sentence.
 */
int zcrx_queue_setup_memory(struct zcrx_queue *q,
			    const struct zcrx_queue_opts *opts,
			    unsigned int area_flags)
{
	size_t size = opts->mem_size ? opts->mem_size : DEFAULT_MEM_SIZE;

	q->own_area = !opts->mem;
	if (opts->mem) {
		q->area.addr = opts->mem;
		q->area.size = size;
		return 0;
	}
	if (zcrx_area_alloc(&q->area, size, area_flags))
		return zcrx_fail(-ENOMEM, "no memory for an area of %zu bytes, ask for less",
				 size);

	return 0;
}

/**
 * zcrx_queue_free_memory() - free area and pieces
 * @q: the queue
 */
void zcrx_queue_free_memory(struct zcrx_queue *q)
{
	if (q->own_area && q->area.addr)
		zcrx_area_free(&q->area);
	q->area.addr = NULL;
	free(q->pieces);
	q->pieces = NULL;
}

/**
 * zcrx_queue_setup_pieces() - allocate them, and count the budget in them
 * @q: the queue, with its memory
 * @nr: how many
 * @piece_size: bytes of the area that each keeps busy
 * @opts: the caller's
 *
 * Return: 0 or a negative errno, with sentence.
 */
int zcrx_queue_setup_pieces(struct zcrx_queue *q, unsigned int nr,
			    unsigned int piece_size,
			    const struct zcrx_queue_opts *opts)
{
	size_t budget = opts->conn_budget;
	unsigned int i;

	q->pieces = calloc(nr, sizeof(*q->pieces));
	if (!q->pieces)
		return zcrx_fail(-ENOMEM, "no memory for %u buffers", nr);
	q->nr_pieces = nr;
	q->free_piece = NO_PIECE;
	for (i = nr; i > 0; i--)
		zcrx_piece_free(q, i - 1);

	if (!budget)
		budget = q->area.size / DEFAULT_CONNS;
	q->piece_size = piece_size;
	q->max_held = budget / piece_size < nr ? budget / piece_size : nr;
	if (!q->max_held)
		q->max_held = 1;

	return 0;
}

/**
 * zcrx_queue_sqe() - get an SQE
 * @q: the queue
 *
 * Return: the SQE, or NULL if the kernel takes none now.
 */
struct io_uring_sqe *zcrx_queue_sqe(struct zcrx_queue *q)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);

	if (!sqe) {
		io_uring_submit(&q->ring);
		sqe = io_uring_get_sqe(&q->ring);
	}

	return sqe;
}

/**
 * zcrx_queue_cancel() - have a request end
 * @q: the queue
 * @user_data: the request's
 *
 * May find the request at work, and fail.
 *
 * Return: false if the kernel takes no SQE now.
 */
bool zcrx_queue_cancel(struct zcrx_queue *q, __u64 user_data)
{
	struct io_uring_sqe *sqe = zcrx_queue_sqe(q);

	if (!sqe)
		return false;
	io_uring_prep_cancel64(sqe, user_data, 0);
	io_uring_sqe_set_data64(sqe, DATA_NONE);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;

	return true;
}

/**
 * zcrx_queue_cancel_now() - have a request let go of its socket
 * @q: the queue
 * @user_data: the request's
 *
 * So that closing the socket closes the connection.
 *
 * Return: false if that can't be now.
 */
bool zcrx_queue_cancel_now(struct zcrx_queue *q, __u64 user_data)
{
	if (!zcrx_queue_cancel(q, user_data))
		return false;
	io_uring_submit_and_get_events(&q->ring);
	q->round++;

	return !io_uring_sq_ready(&q->ring);
}

static __thread pid_t tid;	/* 0: not asked for yet */

/* The child's thread has another one, and is no owner. */
static void forget_thread(void)
{
	tid = 0;
}

static void watch_fork(void)
{
	pthread_atfork(NULL, NULL, forget_thread);
}

/**
 * zcrx_thread() - who calls?
 *
 * Return: the thread.
 */
pid_t zcrx_thread(void)
{
	if (!tid)
		tid = (pid_t)syscall(SYS_gettid);

	return tid;
}

/* A forked child has another copy of the memory that the kernel writes to. */
static int check_process(const struct zcrx_queue *q)
{
	if (q->pid == getpid())
		return 0;

	return zcrx_fail(-EINVAL, "the queue is process %d's, which has forked: open it in the process that uses it",
			 (int)q->pid);
}

static int belongs_to_another(void)
{
	return zcrx_fail(-EINVAL, "the queue belongs to another thread, the first one that used it");
}

/**
 * zcrx_queue_own() - a thread uses the queue
 * @q: the queue
 *
 * Return: 0, or a negative errno, with sentence: it is another's.
 */
int zcrx_queue_own(struct zcrx_queue *q)
{
	int ret;

	if (q->owned) {
		if (q->owner == zcrx_thread())
			return 0;
		return check_process(q) ?: belongs_to_another();
	}
	ret = check_process(q);
	if (ret)
		return ret;

	/* liburing 2.3 has a function for it, but does not export it. */
	ret = zcrx_ring_register(&q->ring, IORING_REGISTER_ENABLE_RINGS, NULL,
				 0);
	if (ret < 0)
		return zcrx_fail(ret, "can't enable the io_uring: %s",
				 strerror(-ret));
	q->owner = zcrx_thread();
	q->owned = true;
	zcrx_queue_arm_wake(q);

	return 0;
}

/*
 * Opening
 */

/* Programs may be older than the library, or newer if they ask for nothing new. */
static int copy_opts(struct zcrx_queue_opts *opts,
		     const struct zcrx_queue_opts *from)
{
	size_t i;

	if (from->size < OPTS_SIZE_0)
		return zcrx_fail(-EINVAL, "size of struct zcrx_queue_opts is %zu, not %zu: use zcrx_queue_opts_init()",
				 from->size, sizeof(*opts));
	for (i = sizeof(*opts); i < from->size; i++)
		if (((const char *)from)[i])
			return zcrx_fail(-E2BIG, "struct zcrx_queue_opts of %zu bytes asks for what this version of the library does not know",
					 from->size);
	zcrx_queue_opts_init(opts);
	memcpy(opts, from,
	       from->size < sizeof(*opts) ? from->size : sizeof(*opts));

	return 0;
}

static int check_opts(const struct zcrx_queue_opts *opts)
{
	size_t page_mask = (size_t)sysconf(_SC_PAGESIZE) - 1;
	size_t size = opts->mem_size ? opts->mem_size : DEFAULT_MEM_SIZE;

	if (opts->mem && (!opts->mem_size || (uintptr_t)opts->mem & page_mask))
		return zcrx_fail(-EINVAL, "memory of the caller's must be page aligned, and have a size");
	if (opts->ifname && (strlen(opts->ifname) >= IFNAMSIZ ||
			     !if_nametoindex(opts->ifname)))
		return zcrx_fail(-ENODEV, "there is no interface \"%s\": ip link shows those that there are",
				 opts->ifname);
	if (opts->mem_size & page_mask)
		return zcrx_fail(-EINVAL, "%zu bytes of memory are not whole pages",
				 opts->mem_size);
	if (opts->chunk_size &&
	    (opts->chunk_size <= page_mask || opts->chunk_size > UINT_MAX ||
	     opts->chunk_size & (opts->chunk_size - 1)))
		return zcrx_fail(-EINVAL, "chunks of %zu bytes are no power of two, from a page on",
				 opts->chunk_size);
	if (opts->chunk_size && size % opts->chunk_size)
		return zcrx_fail(-EINVAL, "%zu bytes of memory are not whole chunks of %zu bytes",
				 size, opts->chunk_size);

	return 0;
}

/**
 * zcrx_queue_take_opts() - check and complete what the caller asks for
 * @opts: filled in
 * @from: the caller's, or NULL
 *
 * Return: 0 or a negative errno, with sentence.
 */
int zcrx_queue_take_opts(struct zcrx_queue_opts *opts,
			 const struct zcrx_queue_opts *from)
{
	int ret = 0;

	if (from)
		ret = copy_opts(opts, from);
	else
		zcrx_queue_opts_init(opts);

	return ret ? ret : check_opts(opts);
}

static const struct zcrx_backend *find_backend(const char *name)
{
	size_t i;

	for (i = 0; i < NR_BACKENDS; i++)
		if (!strcmp(backends[i]->name, name))
			return backends[i];

	return NULL;
}

static int open_backend(struct zcrx_queue *q,
			const struct zcrx_backend *backend,
			const struct zcrx_queue_opts *opts)
{
	memset(&q->zc, 0, sizeof(q->zc));
	q->backend = backend;
	return backend->open(q, opts);
}

/* A receive queue that was asked for, and that the NIC has not, is a mistake. */
static bool is_wrong_rxq(const struct zcrx_queue_opts *opts, int err)
{
	return opts->rxq >= 0 && (err == -ERANGE || err == -EINVAL);
}

/* Copying takes no other process. */
static int open_best(struct zcrx_queue *q, const struct zcrx_queue_opts *opts)
{
	size_t last = q->shared ? NR_BACKENDS - 2 : NR_BACKENDS - 1, i;
	int ret;

	for (i = 0; ; i++) {
		ret = open_backend(q, backends[i], opts);
		if (!ret || i == last || is_wrong_rxq(opts, ret))
			return ret;
		snprintf(q->why, sizeof(q->why), "%s", zcrx_error());
	}
}

static int open_named(struct zcrx_queue *q, const struct zcrx_queue_opts *opts)
{
	const struct zcrx_backend *backend = find_backend(opts->backend);

	if (!backend)
		return zcrx_fail(-EINVAL, "there is no back end \"%s\", only rbuf, cqe32 and copy",
				 opts->backend);
	if (q->shared && backend == &zcrx_backend_copy)
		return zcrx_fail(-EOPNOTSUPP, "back end copy can't be had from another process: open a queue of your own");
	if (backend != backends[0])
		snprintf(q->why, sizeof(q->why), "%s was asked for",
			 backend->name);

	return open_backend(q, backend, opts);
}

static struct zcrx_queue *queue_alloc(void)
{
	struct zcrx_queue *q = aligned_alloc(64, sizeof(*q));

	if (!q) {
		zcrx_fail(-ENOMEM, "no memory for a queue");
		return NULL;
	}
	memset(q, 0, sizeof(*q));
	q->pid = getpid();
	q->released = NO_PIECE;
	q->exporter = -1;
	q->wake_fd = -1;
	q->poll_fd = -1;
	q->event_fd = -1;

	return q;
}

/**
 * zcrx_queue_free() - free a queue that is closed
 * @q: the queue, without ring, NIC and memory
 */
void zcrx_queue_free(struct zcrx_queue *q)
{
	zcrx_poll_close(q);
	if (q->exporter >= 0)
		close(q->exporter);
	if (q->wake_fd >= 0)
		close(q->wake_fd);
	free(q);
}

static int setup_wake_fd(struct zcrx_queue *q)
{
	q->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->wake_fd < 0)
		return zcrx_fail(-errno, "can't make an eventfd: %s",
				 strerror(errno));

	return zcrx_poll_open(q);
}

/**
 * zcrx_queue_new() - allocate a queue
 * @queue: filled in; it has no back end yet
 *
 * Return: 0 or a negative errno, with sentence.
 */
int zcrx_queue_new(struct zcrx_queue **queue)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int ret;

	pthread_once(&once, watch_fork);
	*queue = queue_alloc();
	if (!*queue)
		return -ENOMEM;
	ret = setup_wake_fd(*queue);
	if (ret)
		zcrx_queue_free(*queue);

	return ret;
}

/**
 * zcrx_queue_open_shared() - open a queue, perhaps for another process
 * @queue: filled in; NULL on failure
 * @opts: the caller's, or NULL
 * @shared: filled in, and kept as long as the queue; or NULL: for this process
 *
 * Return: 0 or a negative errno, with sentence.
 */
int zcrx_queue_open_shared(struct zcrx_queue **queue,
			   const struct zcrx_queue_opts *opts,
			   struct zcrx_shared *shared)
{
	struct zcrx_queue_opts o;
	struct zcrx_queue *q;
	int ret;

	*queue = NULL;
	ret = zcrx_queue_take_opts(&o, opts);
	if (!ret)
		ret = zcrx_queue_new(&q);
	if (ret)
		return ret;
	q->shared = shared;
	ret = o.backend ? open_named(q, &o) : open_best(q, &o);
	if (ret) {
		zcrx_queue_free(q);
		return ret;
	}
	*queue = q;

	return 0;
}

/**
 * zcrx_queue_open() - open a queue
 * @queue: filled in; NULL on failure
 * @opts: what kind of; NULL: let the library choose everything
 *
 * Return: 0 or a negative errno; zcrx_error() tells why.
 */
int zcrx_queue_open(struct zcrx_queue **queue,
		    const struct zcrx_queue_opts *opts)
{
	return zcrx_queue_open_shared(queue, opts, NULL);
}

/* A thread that has been joined may take a moment to be gone. */
static bool owner_is_gone(const struct zcrx_queue *q)
{
	int ms;

	for (ms = 0; ms < OWNER_GONE_MS; ms++) {
		if (syscall(SYS_tgkill, getpid(), q->owner, 0) &&
		    errno == ESRCH)
			return true;
		usleep(1000);
	}

	return false;
}

/* Returns how many requests there were, or a negative errno. */
static int cancel_once(struct zcrx_queue *q)
{
	struct io_uring_sync_cancel_reg cancel = {
		.fd		= -1,
		.flags		= IORING_ASYNC_CANCEL_ANY,
		.timeout	= { -1, -1 },
	};
	int ret;

	do {
		ret = io_uring_register_sync_cancel(&q->ring, &cancel);
	} while (ret == -EINTR);

	return ret == -ENOENT ? 0 : ret;
}

/* Until there are none: the owner ends some, others a worker that has them. */
static int cancel_all(struct zcrx_queue *q)
{
	int ret, ms;

	for (ms = 0; ms < CANCEL_MS; ms++) {
		ret = cancel_once(q);
		if (ret <= 0)
			return ret;
		io_uring_get_events(&q->ring);
		if (ms)
			usleep(1000);
	}

	return -EBUSY;
}

/*
 * No request may receive into memory that is about to go. Closing the ring
 * cancels as well, but later. Only the owner can cancel; when it exits the
 * kernel does it.
 */
static int cancel_requests(struct zcrx_queue *q)
{
	int ret;

	if (q->owner != zcrx_thread())
		return owner_is_gone(q) ? 0 : belongs_to_another();

	ret = cancel_all(q);
	if (ret)
		return zcrx_fail(ret, "can't cancel the queue's requests: %s",
				 strerror(-ret));

	return 0;
}

/**
 * zcrx_queue_close() - close a queue
 * @queue: the queue; connections, outs and buffers of it are not to be used any
 *	   more; or NULL
 *
 * By its owner, or by anyone when that has exited. Otherwise nothing is freed,
 * since the kernel may write to the memory; nor by a forked child, which would
 * take the NIC away from its parent. Sockets stay open. Calls of zcrx_release()
 * and zcrx_queue_wake() have returned in all threads.
 *
 * Return: 0, or a negative errno, and the queue is as it was; zcrx_error() tells
 * why.
 */
int zcrx_queue_close(struct zcrx_queue *queue)
{
	int ret;

	if (!queue)
		return 0;
	ret = check_process(queue);
	if (!ret && queue->owned)
		ret = cancel_requests(queue);
	if (ret)
		return ret;
	io_uring_queue_exit(&queue->ring);
	queue->backend->close(queue);
	zcrx_out_free_all(queue);
	zcrx_conn_free_all(queue);
	zcrx_queue_free(queue);

	return 0;
}

/*
 * Asking
 */

/**
 * zcrx_queue_backend() - which back end is it?
 * @queue: the queue
 *
 * Return: "rbuf", "cqe32" or "copy".
 */
const char *zcrx_queue_backend(const struct zcrx_queue *queue)
{
	return queue->backend->name;
}

/**
 * zcrx_queue_why() - why is it not a better one?
 * @queue: the queue
 *
 * Return: a sentence without a full stop, the queue's; "" if it is the best.
 */
const char *zcrx_queue_why(const struct zcrx_queue *queue)
{
	return queue->why;
}
