// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "uring.h"

#define SQ_ENTRIES	64

/**
 * uring_init() - set up an io_uring
 * @ring: filled in
 * @flags: IORING_SETUP_*
 * @cq_entries: size of the completion queue
 *
 * Return: 0 or a negative error.
 */
int uring_init(struct uring *ring, __u32 flags, __u32 cq_entries)
{
	struct io_uring_params p = {
		.flags		= flags | IORING_SETUP_CQSIZE,
		.cq_entries	= cq_entries,
	};
	size_t cq_size;

	memset(ring, 0, sizeof(*ring));
	ring->fd = syscall(__NR_io_uring_setup, SQ_ENTRIES, &p);
	if (ring->fd < 0)
		return -errno;

	cq_size = sizeof(struct io_uring_cqe) << !!(flags & IORING_SETUP_CQE32);
	ring->rings_size = p.cq_off.cqes + p.cq_entries * cq_size;
	if (p.sq_off.array + p.sq_entries * sizeof(__u32) > ring->rings_size)
		ring->rings_size = p.sq_off.array + p.sq_entries * sizeof(__u32);
	ring->sqes_size = p.sq_entries * sizeof(struct io_uring_sqe);
	ring->rings = mmap(NULL, ring->rings_size, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_POPULATE, ring->fd,
			   IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, ring->sqes_size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	if (ring->rings == MAP_FAILED || ring->sqes == MAP_FAILED) {
		close(ring->fd);
		return -ENOMEM;
	}

	ring->flags = p.flags;
	ring->sq_mask = p.sq_entries - 1;
	ring->cq_mask = p.cq_entries - 1;
	ring->sq_tail = ring->rings + p.sq_off.tail;
	ring->sq_array = ring->rings + p.sq_off.array;
	ring->sq_flags = ring->rings + p.sq_off.flags;
	ring->cq_head = ring->rings + p.cq_off.head;
	ring->cq_tail = ring->rings + p.cq_off.tail;
	ring->cqes = ring->rings + p.cq_off.cqes;

	return 0;
}

/**
 * uring_exit() - undo uring_init()
 * @ring: the ring
 */
void uring_exit(struct uring *ring)
{
	munmap(ring->sqes, ring->sqes_size);
	munmap(ring->rings, ring->rings_size);
	close(ring->fd);
}

/**
 * uring_sqe() - get a cleared SQE, to be submitted by the next uring_enter()
 * @ring: the ring
 *
 * Return: the SQE.
 */
struct io_uring_sqe *uring_sqe(struct uring *ring)
{
	__u32 idx;

	if (ring->to_submit > ring->sq_mask)
		uring_enter(ring, 0, 0);

	idx = (*ring->sq_tail + ring->to_submit++) & ring->sq_mask;
	ring->sq_array[idx] = idx;
	memset(&ring->sqes[idx], 0, sizeof(ring->sqes[idx]));

	return &ring->sqes[idx];
}

static bool uring_cq_empty(const struct uring *ring)
{
	return __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) ==
	       *ring->cq_head;
}

/**
 * uring_enter() - submit, and wait for completions
 * @ring: the ring
 * @wait_nr: how many completions to wait for
 * @timeout_ms: how long
 *
 * Return: 0, -ETIME, -EINTR, or another negative error.
 */
int uring_enter(struct uring *ring, unsigned int wait_nr, int timeout_ms)
{
	struct __kernel_timespec ts = {
		.tv_sec		= timeout_ms / 1000,
		.tv_nsec	= timeout_ms % 1000 * 1000000LL,
	};
	struct io_uring_getevents_arg arg = {
		.ts = (unsigned long)&ts,
	};
	unsigned int flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
	unsigned int nr = ring->to_submit;
	int ret;

	/* Instead of looking at IORING_SQ_NEED_WAKEUP, which takes a barrier */
	if (ring->flags & IORING_SETUP_SQPOLL)
		flags |= IORING_ENTER_SQ_WAKEUP;
	__atomic_store_n(ring->sq_tail, *ring->sq_tail + nr, __ATOMIC_RELEASE);
	ring->to_submit = 0;
	ret = syscall(__NR_io_uring_enter, ring->fd, nr, wait_nr, flags, &arg,
		      sizeof(arg));
	if (ret >= 0 || !uring_cq_empty(ring))
		return 0;

	return -errno;
}

/**
 * uring_pop() - take the oldest completion
 * @ring: the ring
 * @cqe: filled in
 * @extra: second half of a 32-byte CQE
 *
 * Return: whether there was one.
 */
bool uring_pop(struct uring *ring, struct io_uring_cqe *cqe, __u64 extra[2])
{
	unsigned int shift = !!(ring->flags & IORING_SETUP_CQE32);
	const struct io_uring_cqe *src;
	__u32 head = *ring->cq_head;

	if (uring_cq_empty(ring))
		return false;

	src = &ring->cqes[(head & ring->cq_mask) << shift];
	*cqe = *src;
	memset(extra, 0, 2 * sizeof(extra[0]));
	if (shift)
		memcpy(extra, src + 1, sizeof(*src));
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);

	return true;
}

/**
 * uring_register() - io_uring_register(2)
 * @ring: the ring
 * @op: IORING_REGISTER_*
 * @arg: argument
 * @nr_args: number of them
 *
 * Return: what the system call returns, or a negative error.
 */
int uring_register(const struct uring *ring, unsigned int op, void *arg,
		   unsigned int nr_args)
{
	int ret = syscall(__NR_io_uring_register, ring->fd, op, arg, nr_args);

	return ret < 0 ? -errno : ret;
}

/**
 * uring_has_recv_zc() - does the running kernel know IORING_OP_RECV_ZC?
 *
 * Return: what its probe says.
 */
bool uring_has_recv_zc(void)
{
	const unsigned int nr_ops = OP_RECV_ZC + 1;
	struct io_uring_probe *probe;
	struct uring ring;
	bool has = false;

	if (uring_init(&ring, 0, 2 * SQ_ENTRIES))
		return false;

	probe = calloc(1, sizeof(*probe) + nr_ops * sizeof(probe->ops[0]));
	if (probe && !uring_register(&ring, IORING_REGISTER_PROBE, probe, nr_ops))
		has = probe->ops_len >= nr_ops &&
		      probe->ops[OP_RECV_ZC].flags & IO_URING_OP_SUPPORTED;
	free(probe);
	uring_exit(&ring);

	return has;
}
