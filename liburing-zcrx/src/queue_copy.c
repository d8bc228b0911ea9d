// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The back end that copies: multishot recv() into provided buffers.
 *
 * Buffers are large, so that what a busy socket holds fits in one. Few are
 * given to the kernel at a time, those that were used last first, so that it
 * goes on writing where the CPU's cache is. A request that finds none ends, and
 * another one is begun when there are some again, as a recv() loop does each
 * time.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "error.h"
#include "queue.h"

#define BUF_SIZE	(128U << 10)
#define MIN_BUF_SIZE	4096U
#define MIN_BUFS	16U		/* if they can be smaller */
#define MAX_BUFS	32768U		/* a ring's limit */
#define HOT_BYTES	(512U << 10)	/* a CPU's cache has room for */
#define DEMAND_BYTES	(384U << 10)	/* if all are used all the time */
#define MIN_POSTED	2U
#define MEAN_OF		16U	/* buffers, about */
#define DEMAND_LASTS	1024U		/* requests */
#define GROUP		0

/* Buffers that a multishot request may use before it can be stopped */
#define MULTISHOT_BUFS	32U

static void *buf_addr(const struct zcrx_queue *q, __u32 id)
{
	return (char *)q->area.addr + (size_t)id * q->piece_size;
}

/* As many as have the hot bytes, if they are filled as those before were */
static unsigned int nr_wanted(const struct zcrx_copy *copy)
{
	unsigned int bytes = copy->in_demand ? DEMAND_BYTES : HOT_BYTES;
	unsigned int nr = MEAN_OF * bytes / copy->recent_len;

	return nr > MIN_POSTED ? nr : MIN_POSTED;
}

static void post(struct zcrx_queue *q)
{
	struct zcrx_copy *copy = &q->copy;
	int mask = io_uring_buf_ring_mask(copy->nr_entries), nr = 0;
	unsigned int wanted = nr_wanted(copy);
	__u32 id;

	while (copy->nr_posted < wanted) {
		id = zcrx_piece_alloc(q);
		if (id == NO_PIECE)
			break;
		io_uring_buf_ring_add(copy->br, buf_addr(q, id), q->piece_size,
				      (unsigned short)id, mask, nr++);
		copy->nr_posted++;
	}
	if (nr)
		io_uring_buf_ring_advance(copy->br, nr);
}

/* A moving average, which does not become 0: below MEAN_OF, nothing leaves. */
static void count_len(struct zcrx_copy *copy, unsigned int len)
{
	copy->recent_len += len - copy->recent_len / MEAN_OF;
}

static size_t ring_size(const struct zcrx_copy *copy)
{
	return copy->nr_entries * sizeof(struct io_uring_buf);
}

static int register_buffers(struct zcrx_queue *q)
{
	struct zcrx_copy *copy = &q->copy;
	struct io_uring_buf_reg reg = { .bgid = GROUP };
	int ret;

	for (copy->nr_entries = 1; copy->nr_entries < q->nr_pieces; )
		copy->nr_entries *= 2;
	copy->br = mmap(NULL, ring_size(copy), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (copy->br == MAP_FAILED)
		return zcrx_fail(-ENOMEM, "no memory for a ring of %u buffers",
				 copy->nr_entries);
	io_uring_buf_ring_init(copy->br);

	reg.ring_addr = (uintptr_t)copy->br;
	reg.ring_entries = copy->nr_entries;
	ret = io_uring_register_buf_ring(&q->ring, &reg, 0);
	if (ret) {
		munmap(copy->br, ring_size(copy));
		return zcrx_fail(ret, "can't register a ring of %u buffers: %s",
				 copy->nr_entries, strerror(-ret));
	}

	return 0;
}

static unsigned int choose_buf_size(size_t mem_size)
{
	size_t size = BUF_SIZE;

	while (mem_size / size > MAX_BUFS)
		size *= 2;
	while (mem_size / size < MIN_BUFS && size > MIN_BUF_SIZE)
		size /= 2;

	return (unsigned int)size;
}

static int setup_buffers(struct zcrx_queue *q,
			 const struct zcrx_queue_opts *opts)
{
	unsigned int buf_size = choose_buf_size(q->area.size);
	unsigned int nr = (unsigned int)(q->area.size / buf_size);
	int ret;

	ret = zcrx_queue_setup_pieces(q, nr, buf_size, opts);
	if (ret)
		return ret;
	q->copy.recent_len = MEAN_OF * buf_size;
	/* If they can be had: less work for the TLB, and when first touched */
	if (q->own_area)
		madvise(q->area.addr, q->area.size, MADV_HUGEPAGE);

	return register_buffers(q);
}

static int copy_open(struct zcrx_queue *q, const struct zcrx_queue_opts *opts)
{
	int ret;

	ret = zcrx_queue_setup_ring(q, 0, CQ_ENTRIES);
	if (ret)
		return ret;
	ret = zcrx_queue_setup_memory(q, opts, 0);
	if (!ret)
		ret = setup_buffers(q, opts);
	if (ret) {
		io_uring_queue_exit(&q->ring);
		zcrx_queue_free_memory(q);
		return ret;
	}
	post(q);

	return 0;
}

static void copy_close(struct zcrx_queue *q)
{
	munmap(q->copy.br, ring_size(&q->copy));
	zcrx_queue_free_memory(q);
}

static int copy_check_socket(int fd)
{
	(void)fd;
	return 0;
}

/*
 * One buffer at a time near the budget, and while buffers are in demand: then,
 * the first one with a lot to receive would leave none for others.
 */
static bool wants_multishot(struct zcrx_queue *q, const struct zcrx_conn *conn)
{
	if (q->copy.in_demand) {
		q->copy.in_demand--;
		return false;
	}

	return q->max_held - conn->nr_held >= MULTISHOT_BUFS;
}

static void copy_prep(struct io_uring_sqe *sqe, struct zcrx_conn *conn)
{
	io_uring_prep_recv(sqe, conn->fd, NULL, 0, 0);
	if (conn->drained)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	if (wants_multishot(conn->queue, conn))
		sqe->ioprio |= IORING_RECV_MULTISHOT;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
}

static void copy_give_back(struct zcrx_queue *q, __u32 id)
{
	zcrx_piece_free(q, id);
}

static unsigned int take_buffer(struct zcrx_queue *q, struct zcrx_conn *conn,
				__u32 id, int res, struct zcrx_buf *buf)
{
	q->copy.nr_posted--;
	if (res <= 0) {
		zcrx_piece_free(q, id);
		return 0;
	}
	count_len(&q->copy, (unsigned int)res);

	return zcrx_queue_deliver(q, conn, id, buf_addr(q, id),
				  (unsigned int)res, buf);
}

/* Who has had a buffer, and wants more, waits behind those who had none. */
static enum zcrx_end why_ended(const struct zcrx_conn *conn, int res)
{
	switch (res) {
	case -ENOBUFS:
		return END_STARVED;
	case -ENOMEM:
	case -EINTR:
	case -EAGAIN:
		return END_DELAYED;
	}
	if (res > 0 && !conn->drained && conn->queue->nr_starved)
		return END_STARVED;

	return res > 0 || res == -ECANCELED ? END_GOES_ON : END_STREAM;
}

/* Returns the number of buffers that a CQE told of, 0 or 1. */
static unsigned int complete(struct zcrx_queue *q,
			     const struct io_uring_cqe *cqe,
			     struct zcrx_buf *buf)
{
	struct zcrx_conn *conn = zcrx_queue_cqe_conn(q, cqe);
	__u32 id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	unsigned int n = 0;

	if (!conn)
		return 0;

	if (cqe->flags & IORING_CQE_F_BUFFER)
		n = take_buffer(q, conn, id, cqe->res, buf);
	if (cqe->flags & IORING_CQE_F_MORE) {
		zcrx_conn_limit(conn);
		return n;
	}
	if (cqe->res == -ENOBUFS)
		q->copy.in_demand = DEMAND_LASTS;
	conn->drained = cqe->res > 0 &&
			!(cqe->flags & IORING_CQE_F_SOCK_NONEMPTY);

	return n + zcrx_conn_ended(conn, cqe->res,
				   why_ended(conn, cqe->res), buf);
}

static unsigned int copy_read(struct zcrx_queue *q, struct zcrx_buf *bufs,
			      unsigned int nr)
{
	unsigned int head, seen = 0, n = 0;
	struct io_uring_cqe *cqe;

	io_uring_for_each_cqe(&q->ring, head, cqe) {
		if (n == nr)
			break;
		n += complete(q, cqe, &bufs[n]);
		seen++;
	}
	io_uring_cq_advance(&q->ring, seen);

	return n;
}

static unsigned int copy_nr_chances(struct zcrx_queue *q)
{
	return q->copy.nr_posted;
}

/* Who was tried before may have had nothing to receive. */
static bool copy_prepare_wait(struct zcrx_queue *q)
{
	return q->nr_starved && q->copy.nr_posted;
}

const struct zcrx_backend zcrx_backend_copy = {
	.name		= "copy",
	.open		= copy_open,
	.close		= copy_close,
	.check_socket	= copy_check_socket,
	.prep		= copy_prep,
	.read		= copy_read,
	.give_back	= copy_give_back,
	.flush		= post,
	.nr_chances	= copy_nr_chances,
	.prepare_wait	= copy_prepare_wait,
};
