/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Zero-copy receive: what the rest of io_uring calls
 *
 * Locks, outermost first:
 *
 *  uring_lock		a ring's requests, and which ifqs it has
 *  RTNL		the binding to the NIC, and adding areas
 *  a socket's lock	its receive queue
 *  zcrx_ifq.lock	posting of received pieces, the copy fallback's chunk,
 *			counters, which rings have the ifq. Whoever has it never
 *			waits for user space.
 *  zcrx_refill.lock	the kernel's end of the refill ring (bottom halves off)
 *  ptr_ring locks	of page pools
 *  zcrx_ifq.free_lock	free lists, and the state (bottom halves off)
 *  zcrx_events.lock	what to tell the user (bottom halves off)
 *
 * A driver's page pool asks for memory in softirq context and takes the last
 * four only. io_zcrx_close() takes RTNL without uring_lock. Under an ifq's lock,
 * another ring's uring_lock is only tried.
 */
#ifndef IOU_ZCRX_H
#define IOU_ZCRX_H

struct io_kiocb;
struct io_ring_ctx;
struct io_uring_query_zcrx;
struct io_uring_query_zcrx_event;
struct io_uring_sqe;
struct seq_file;
struct vm_area_struct;

#ifdef CONFIG_IO_URING_ZCRX

int io_register_zcrx_ifq(struct io_ring_ctx *ctx, void __user *arg);
int io_zcrx_ctrl(struct io_ring_ctx *ctx, void __user *arg);
int io_zcrx_mmap(struct io_ring_ctx *ctx, struct vm_area_struct *vma);
void *io_zcrx_mmap_ptr(struct io_ring_ctx *ctx, loff_t offset);
void io_zcrx_show_fdinfo(struct io_ring_ctx *ctx, struct seq_file *m);
ssize_t io_zcrx_query(struct io_uring_query_zcrx *q);
ssize_t io_zcrx_query_event(struct io_uring_query_zcrx_event *q);
void io_zcrx_close(struct io_ring_ctx *ctx);
void io_zcrx_free(struct io_ring_ctx *ctx);

int io_recvzc_prep(struct io_kiocb *req, const struct io_uring_sqe *sqe);
int io_recvzc(struct io_kiocb *req, unsigned int issue_flags);

#else

static inline int io_register_zcrx_ifq(struct io_ring_ctx *ctx, void __user *arg)
{
	return -EOPNOTSUPP;
}

static inline int io_zcrx_ctrl(struct io_ring_ctx *ctx, void __user *arg)
{
	return -EOPNOTSUPP;
}

static inline int io_zcrx_mmap(struct io_ring_ctx *ctx,
			       struct vm_area_struct *vma)
{
	return -EINVAL;
}

static inline void *io_zcrx_mmap_ptr(struct io_ring_ctx *ctx, loff_t offset)
{
	return ERR_PTR(-EINVAL);
}

static inline void io_zcrx_show_fdinfo(struct io_ring_ctx *ctx,
				       struct seq_file *m)
{
}

static inline ssize_t io_zcrx_query(struct io_uring_query_zcrx *q)
{
	return -EOPNOTSUPP;
}

static inline ssize_t
io_zcrx_query_event(struct io_uring_query_zcrx_event *q)
{
	return -EOPNOTSUPP;
}

static inline void io_zcrx_close(struct io_ring_ctx *ctx)
{
}

static inline void io_zcrx_free(struct io_ring_ctx *ctx)
{
}

#endif /* CONFIG_IO_URING_ZCRX */

#endif /* IOU_ZCRX_H */
