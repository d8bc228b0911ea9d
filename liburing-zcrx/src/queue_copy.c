// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The back end that copies: multishot recv() into provided buffers.
 *
 * Buffers are large, so that a system call's worth of data is one buffer. Few
 * are given to the kernel at a time, and those that were used last first: they
 * are in the CPU's cache. If they were too few, more are given from then on.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "error.h"
#include "queue.h"

#define BUF_SIZE	(64U << 10)
#define MAX_BUFS	32768U		/* a ring's limit */
#define FIRST_TARGET	16U
#define GROUP		0

/* Buffers that a multishot request may use before it can be stopped */
#define MULTISHOT_BUFS	32U

static void *buf_addr(const struct zcrx_queue *q, __u32 id)
{
	return (char *)q->area.addr + (size_t)id * q->piece_size;
}

/* Give the kernel as many as it shall have. */
static void post(struct zcrx_queue *q)
{
	struct zcrx_copy *copy = &q->copy;
	int mask = io_uring_buf_ring_mask(copy->nr_entries), nr = 0;
	__u32 id;

	while (copy->nr_posted < copy->target) {
		id = zcrx_piece_alloc(q);
		if (id == NO_PIECE)
			break;
		io_uring_buf_ring_add(copy->br, buf_addr(q, id), q->piece_size,
				      (unsigned short)id, mask, nr++);
		copy->nr_posted++;
	}
	if (!nr)
		return;
	io_uring_buf_ring_advance(copy->br, nr);
	q->progress += (unsigned int)nr;
}

static void post_more(struct zcrx_queue *q)
{
	struct zcrx_copy *copy = &q->copy;

	if (copy->nr_posted == copy->target || q->free_piece == NO_PIECE)
		return;
	if (copy->target <= q->nr_pieces / 2)
		copy->target *= 2;
	post(q);
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

static int setup_buffers(struct zcrx_queue *q,
			 const struct zcrx_queue_opts *opts)
{
	size_t buf_size = BUF_SIZE;
	size_t nr;
	int ret;

	while (q->area.size / buf_size > MAX_BUFS)
		buf_size *= 2;
	nr = q->area.size / buf_size;
	if (!nr)
		return zcrx_fail(-EINVAL, "%zu bytes of memory are too few, back end copy takes %zu at least",
				 q->area.size, buf_size);
	ret = zcrx_queue_setup_pieces(q, (unsigned int)nr,
				      (unsigned int)buf_size, opts);
	if (ret)
		return ret;
	q->copy.target = nr < FIRST_TARGET ? (unsigned int)nr : FIRST_TARGET;

	return register_buffers(q);
}

static int copy_open(struct zcrx_queue *q, const struct zcrx_queue_opts *opts)
{
	int ret;

	ret = zcrx_queue_setup_ring(q, 0, CQ_ENTRIES);
	if (ret)
		return ret;
	ret = zcrx_queue_setup_memory(q, opts);
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

/* Near its budget, a connection is received from one buffer at a time. */
static void copy_prep(struct io_uring_sqe *sqe, struct zcrx_conn *conn)
{
	unsigned int allowance = conn->queue->max_held - conn->nr_held;

	io_uring_prep_recv(sqe, conn->fd, NULL, 0, 0);
	if (allowance >= MULTISHOT_BUFS)
		sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
}

static void copy_give_back(struct zcrx_queue *q, __u32 id)
{
	zcrx_piece_free(q, id);
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

	if (cqe->flags & IORING_CQE_F_BUFFER) {
		q->copy.nr_posted--;
		if (cqe->res > 0)
			n = zcrx_queue_deliver(q, conn, id, buf_addr(q, id),
					       (unsigned int)cqe->res, buf);
		else
			zcrx_piece_free(q, id);
	}
	if (cqe->flags & IORING_CQE_F_MORE) {
		zcrx_conn_limit(conn);
		return n;
	}
	if (cqe->res == -ENOBUFS)
		post_more(q);

	return n + zcrx_conn_ended(conn, cqe->res, cqe->res > 0, buf);
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

static bool copy_prepare_wait(struct zcrx_queue *q)
{
	(void)q;
	return false;
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
	.prepare_wait	= copy_prepare_wait,
};
