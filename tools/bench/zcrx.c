// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Zero copy, with both forms of completions: nobody looks at the payload, as
 * with the other receivers
 */
#include <errno.h>
#include <liburing-zcrx.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "receiver.h"

#define AREA_SIZE	(64 << 20)
#define LARGE_CHUNK	(16 << 10)	/* a frame of MTU 9000 */
#define LARGE_AREA	(128 << 20)
#define RING_ENTRIES	16384

static struct io_uring ring;
static struct zcrx_area area;
static struct zcrx_ifq ifq;

/* @area is allocated, its chunks are pages if @chunk_size is 0. */
static int setup(const struct bench_nic *nic, unsigned int ring_flags,
		 unsigned int rbuf_entries, unsigned int chunk_size)
{
	struct io_uring_params ring_params = {
		.flags = IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
			 ring_flags,
		.cq_entries = RING_ENTRIES,
	};
	struct zcrx_params params = {
		.rxq = nic->rxq,
		.chunk_size = chunk_size,
		.refill_entries = RING_ENTRIES,
		.rbuf_entries = rbuf_entries,
	};
	int ret;

	params.if_idx = nic->ifname ? if_nametoindex(nic->ifname) : 0;
	if (!params.if_idx)
		return -ENODEV;

	ret = io_uring_queue_init_params(8, &ring, &ring_params);
	if (ret)
		return ret;
	return zcrx_register(&ring, &params, &area, 1, &ifq);
}

static int setup_cqe32(const struct bench_nic *nic)
{
	return zcrx_area_alloc(&area, AREA_SIZE, 0) ?:
	       setup(nic, IORING_SETUP_CQE32, 0, 0);
}

static int setup_rbuf(const struct bench_nic *nic)
{
	return zcrx_area_alloc(&area, AREA_SIZE, 0) ?:
	       setup(nic, 0, RING_ENTRIES, 0);
}

static int setup_rbuf16k(const struct bench_nic *nic)
{
	return zcrx_area_alloc(&area, LARGE_AREA, ZCRX_AREA_HUGE) ?:
	       setup(nic, 0, RING_ENTRIES, LARGE_CHUNK);
}

/* A counter in the ifq's line of fdinfo, whatever else is there */
static bool find_counter(const char *line, const char *key,
			 unsigned long long *value)
{
	const char *at = strstr(line, key);

	return at && sscanf(at + strlen(key), "%llu", value) == 1;
}

/* The kernel's counters of the ifq, in both forms of completions. */
static int read_counters(struct bench_count *count)
{
	unsigned long long zc, linear, page, foreign;
	int ret = -ENOENT;
	char path[64], line[512];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ring.ring_fd);
	file = fopen(path, "r");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (find_counter(line, " zc_bytes=", &zc) &&
		    find_counter(line, " copied_linear=", &linear) &&
		    find_counter(line, " copied_page=", &page) &&
		    find_counter(line, " copied_foreign=", &foreign)) {
			count->zc_bytes = zc;
			count->copied_bytes = linear + page + foreign;
			ret = 0;
		}
	}
	fclose(file);
	return ret;
}

static void arm(int fd)
{
	zcrx_prep_recv_multishot(io_uring_get_sqe(&ring), &ifq, fd, 0, 0);
}

/*
 * Takes entries as far as there is room to give them back; when there is none,
 * the kernel is asked to take what is in the refill ring.
 */
static int drain_rbuf(struct bench_count *count)
{
	unsigned int i, ready, nr;

	ready = zcrx_rbuf_peek(&ifq);
	nr = zcrx_refill_reserve(&ifq, ready);
	for (i = 0; i < nr; i++) {
		const struct zcrx_rbuf_cqe *rbuf = zcrx_rbuf_read(&ifq, i);

		count->bytes += rbuf->len;
		zcrx_refill_write(&ifq, zcrx_rbuf_off(rbuf));
	}
	zcrx_refill_submit(&ifq);
	zcrx_rbuf_release(&ifq, nr);
	return ready && !nr ? zcrx_resume(&ifq) : zcrx_kick(&ifq);
}

/*
 * Takes all CQEs. Returns 1 when the request has ended well, 0 when it goes
 * on, or -errno.
 */
static int drain_cqes(int fd, struct bench_count *count)
{
	struct io_uring_cqe *cqe;
	unsigned int head, nr = 0;
	int ret = 0;

	io_uring_for_each_cqe(&ring, head, cqe) {
		nr++;
		if (!ifq.rbuf.hdr && zcrx_cqe32_has_data(cqe)) {
			count->bytes += cqe->res;
			while (!zcrx_refill_reserve(&ifq, 1))
				zcrx_refill_submit(&ifq);
			zcrx_refill_write(&ifq, zcrx_cqe32_off(cqe));
		} else if (cqe->res == -ENOSPC) {
			arm(fd);
		} else if (!(cqe->flags & IORING_CQE_F_MORE)) {
			ret = cqe->res < 0 ? cqe->res : 1;
		}
	}
	io_uring_cq_advance(&ring, nr);
	zcrx_refill_submit(&ifq);
	return ret;
}

static int receive(int fd, struct bench_count *count)
{
	struct bench_count before = { 0 };
	int ret, done;

	ret = read_counters(&before);
	if (ret)
		return ret;

	arm(fd);
	do {
		ret = zcrx_submit_and_wait(&ifq);
		if (ret < 0)
			return ret;
		done = drain_cqes(fd, count);
		if (done < 0)
			return done;
		/* What the request posted comes before its end. */
		while (ifq.rbuf.hdr && zcrx_rbuf_peek(&ifq)) {
			ret = drain_rbuf(count);
			if (ret < 0)
				return ret;
		}
	} while (!done);

	ret = read_counters(count);
	count->zc_bytes -= before.zc_bytes;
	count->copied_bytes -= before.copied_bytes;
	return ret;
}

const struct receiver cqe32_receiver = { "cqe32", setup_cqe32, receive };
const struct receiver rbuf_receiver = { "rbuf", setup_rbuf, receive };
const struct receiver rbuf16k_receiver = { "rbuf16k", setup_rbuf16k, receive };
