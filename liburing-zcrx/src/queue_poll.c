// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What the application polls: an epoll with the ring in it and an eventfd that
 * is registered with the ring, since neither does on all kernels.
 *
 * With IORING_SETUP_DEFER_TASKRUN what is to be done for a request waits for its
 * owner to enter the kernel. On many kernels (6.18) that ends no poll() of the
 * ring that has begun before, but is signalled to the eventfd. On others (6.12.117)
 * it ends the poll(), but the eventfd is signalled once and never again: so is it
 * on all from 6.10 on, when one eventfd follows from another. Hence who releases
 * writes to it directly.
 *
 * Both are edge-triggered, and the owner takes the edges before it enters the
 * kernel. What comes after that ends poll(); what stays in the ring does not.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "error.h"
#include "queue.h"

static int add(const struct zcrx_queue *q, int fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	return epoll_ctl(q->poll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/**
 * zcrx_poll_open() - make the file descriptor
 * @q: the queue
 *
 * The first poll() ends at once: nobody knows what was before.
 *
 * Return: 0 or a negative errno, with sentence; zcrx_poll_close() undoes.
 */
int zcrx_poll_open(struct zcrx_queue *q)
{
	int ret;

	q->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	q->event_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = q->poll_fd < 0 || q->event_fd < 0 ? -errno :
						  add(q, q->event_fd);
	if (ret)
		return zcrx_fail(ret, "can't make an epoll with an eventfd: %s",
				 strerror(-ret));

	return 0;
}

/**
 * zcrx_poll_close() - close the file descriptor
 * @q: the queue
 */
void zcrx_poll_close(struct zcrx_queue *q)
{
	if (q->event_fd >= 0)
		close(q->event_fd);
	if (q->poll_fd >= 0)
		close(q->poll_fd);
}

/* From here on the kernel has more to do for each completion. */
static int arm(struct zcrx_queue *q)
{
	int ret = io_uring_register_eventfd(&q->ring, q->event_fd);

	if (ret)
		return ret;
	ret = add(q, q->ring.ring_fd);
	if (ret)
		io_uring_unregister_eventfd(&q->ring);
	q->poll_armed = !ret;

	return ret;
}

/**
 * zcrx_poll_drain() - what comes from here on ends poll()
 * @q: the queue, the caller's own; the kernel is entered next
 *
 * Return: 0 or a negative errno.
 */
int zcrx_poll_drain(struct zcrx_queue *q)
{
	struct epoll_event events[2];
	int ret;

	if (!__atomic_load_n(&q->polled, __ATOMIC_RELAXED))
		return 0;
	ret = q->poll_armed ? 0 : arm(q);
	if (ret)
		return ret;

	return epoll_wait(q->poll_fd, events, 2, 0) < 0 ? -errno : 0;
}

/**
 * zcrx_poll_wake() - have poll() end
 * @q: the queue
 */
void zcrx_poll_wake(struct zcrx_queue *q)
{
	uint64_t one = 1;

	if (__atomic_load_n(&q->polled, __ATOMIC_RELAXED))
		(void)!write(q->event_fd, &one, sizeof(one));
}

/**
 * zcrx_queue_poll_fd() - wait for a queue by poll() and the like
 * @queue: the queue
 *
 * Once zcrx_receive() has returned 0 the file descriptor becomes readable when
 * there is something for it to do.
 *
 * Return: the file descriptor, the queue's.
 */
int zcrx_queue_poll_fd(struct zcrx_queue *queue)
{
	__atomic_store_n(&queue->polled, true, __ATOMIC_RELAXED);

	return queue->poll_fd;
}
