// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A read() through zero copy. The process has one ring and one ifq, registered
 * before the first stream begins; streams share them, one read at a time.
 *
 * Before, because TCP sizes its window by how much memory the first segments
 * took. Those that come through the registered queue take more, and a window
 * that is too large makes the kernel copy what it has queued.
 */
#include <errno.h>
#include <liburing-zcrx.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "nic.h"
#include "receive.h"

#define AREA_SIZE	(128 << 20)
#define RBUF_ENTRIES	4096
#define REFILL_ENTRIES	16384

enum mode { MODE_UNTRIED, MODE_ZERO_COPY, MODE_PLAIN };

static enum mode mode;
static bool prepared, used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct io_uring ring;
static struct zcrx_area area;
static struct zcrx_ifq ifq;

/* Entries at the head of the rbuf ring that were used, but not given back. */
static unsigned int nr_used;

/*
 * Setting up
 */

__attribute__((format(printf, 1, 2)))
static void say_plain(const char *format, ...)
{
	va_list args;

	fputs("zcrx-iperf3: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("; receiving by copying\n", stderr);
}

static void explain_kernel(int err)
{
	struct utsname name;

	uname(&name);
	if (err == -EPERM)
		say_plain("zero copy needs CAP_NET_ADMIN, and io_uring to be allowed (sysctl kernel.io_uring_disabled): run as root");
	else
		say_plain("kernel %s has no zero-copy receive with an rbuf ring, boot one that was built with it",
			  name.release);
}

static void explain_nic(const struct nic *nic, int err)
{
	if (err == -ENODEV)
		say_plain("there is no interface %s, see ip link", nic->name);
	else
		say_plain("can't tell the interface of the connection (%s), name it with --zcrx-dev",
			  strerror(-err));
}

static void explain_register(const struct nic *nic, int err)
{
	int nr = nic_nr_queues(nic);

	if (!strcmp(nic->name, "lo"))
		say_plain("lo is no NIC: connect to an address of another interface");
	else if (nr && nic->rxq >= (unsigned int)nr)
		say_plain("%s has no receive queue %u, only 0 to %d: choose with --zcrx-queue",
			  nic->name, nic->rxq, nr - 1);
	else if (err == -EPERM)
		say_plain("registering on %s needs CAP_NET_ADMIN: run as root",
			  nic->name);
	else if (err == -EOPNOTSUPP)
		say_plain("header split is off on %s, or its driver has no zero-copy receive: ethtool -G %s tcp-data-split on, or zcrx-split %s on",
			  nic->name, nic->name, nic->name);
	else if (err == -EEXIST)
		say_plain("queue %u of %s is in use by another program: choose another with --zcrx-queue",
			  nic->rxq, nic->name);
	else if (err == -ENOMEM)
		say_plain("%d MiB for queue %u of %s can't be locked: raise ulimit -l",
			  AREA_SIZE >> 20, nic->rxq, nic->name);
	else
		say_plain("can't register queue %u of %s: %s", nic->rxq,
			  nic->name, strerror(-err));
}

static int setup_ring(const struct nic *nic)
{
	struct zcrx_params params = {
		.if_idx		= nic->if_idx,
		.rxq		= nic->rxq,
		.refill_entries	= REFILL_ENTRIES,
		.rbuf_entries	= RBUF_ENTRIES,
	};
	int ret;

	ret = io_uring_queue_init(1, &ring, 0);
	if (ret)
		return ret;
	ret = zcrx_area_alloc(&area, AREA_SIZE, 0);
	if (ret)
		goto err_ring;
	ret = zcrx_register(&ring, &params, &area, 1, &ifq);
	if (ret)
		goto err_area;

	return 0;

err_area:
	zcrx_area_free(&area);
err_ring:
	io_uring_queue_exit(&ring);
	return ret;
}

/* Nothing is said early: perhaps nothing will be received. */
static enum mode setup(int fd, bool early)
{
	struct nic nic = { .if_idx = 0 };
	int ret;

	ret = zcrx_probe();
	if (ret < 0 || !(ret & ZCRX_HAS_RBUF)) {
		if (!early)
			explain_kernel(ret);
		return MODE_PLAIN;
	}
	ret = nic_choose(&nic, fd);
	if (ret) {
		if (!early)
			explain_nic(&nic, ret);
		return MODE_PLAIN;
	}
	ret = setup_ring(&nic);
	if (ret) {
		if (!early)
			explain_register(&nic, ret);
		return MODE_PLAIN;
	}

	return MODE_ZERO_COPY;
}

static void prepare_locked(int fd)
{
	if (prepared)
		return;

	if (mode == MODE_UNTRIED && setup(fd, true) == MODE_ZERO_COPY)
		__atomic_store_n(&mode, MODE_ZERO_COPY, __ATOMIC_RELAXED);
	__atomic_store_n(&prepared, true, __ATOMIC_RELAXED);
}

/*
 * Receiving, under the lock
 */

/* Submit one request and wait for it; there is never a second one. */
static int receive_request(int fd, size_t count, int *res)
{
	struct io_uring_cqe *cqe;
	int ret;

	zcrx_prep_recv(io_uring_get_sqe(&ring), &ifq, fd, count, 0);
	ret = io_uring_submit(&ring);
	if (ret < 0)
		return ret;
	do {
		ret = io_uring_wait_cqe(&ring, &cqe);
	} while (ret == -EINTR);
	if (ret)
		return ret;
	*res = cqe->res;
	io_uring_cqe_seen(&ring, cqe);

	return 0;
}

static void use_bytes(char *buf)
{
	const struct zcrx_rbuf_cqe *rbuf;

	while ((rbuf = zcrx_rbuf_read(&ifq, nr_used))) {
		if (buf) {
			memcpy(buf, zcrx_rbuf_data(&ifq, rbuf), rbuf->len);
			buf += rbuf->len;
		}
		nr_used++;
	}
}

/*
 * As far as there is room in the refill ring. What is left keeps its entry in
 * the rbuf ring until the kernel has made room.
 */
static void give_back(void)
{
	unsigned int nr = zcrx_refill_reserve(&ifq, nr_used), i;

	for (i = 0; i < nr; i++)
		zcrx_refill_write(&ifq, zcrx_rbuf_off(zcrx_rbuf_read(&ifq, i)));
	zcrx_refill_submit(&ifq);
	zcrx_rbuf_release(&ifq, nr);
	nr_used -= nr;
}

static int receive_locked(int fd, char *buf, size_t count)
{
	int ret, res;

	if (mode == MODE_UNTRIED)
		__atomic_store_n(&mode, setup(fd, false), __ATOMIC_RELAXED);
	if (mode == MODE_PLAIN)
		return RECEIVE_PLAIN;

	used = true;
	ret = receive_request(fd, count, &res);
	if (ret) {
		say_plain("io_uring failed: %s", strerror(-ret));
		__atomic_store_n(&mode, MODE_PLAIN, __ATOMIC_RELAXED);
		return RECEIVE_PLAIN;
	}
	use_bytes(buf);
	give_back();
	if (nr_used || res == -ENOBUFS) {
		zcrx_resume(&ifq);
		give_back();
	}
	/* The socket still has what these could not take. */
	if (res == -ENOBUFS || res == -EPROTONOSUPPORT)
		return RECEIVE_PLAIN;

	return res;
}

/**
 * receive_prepare() - register now, if that can be
 * @fd: connected TCP socket, the control connection for example
 *
 * If it can't be, receive() will say why.
 */
void receive_prepare(int fd)
{
	int cancel;

	if (__atomic_load_n(&prepared, __ATOMIC_RELAXED))
		return;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_mutex_lock(&lock);
	prepare_locked(fd);
	pthread_mutex_unlock(&lock);
	pthread_setcancelstate(cancel, NULL);
}

/**
 * receive() - read what a stream's socket holds
 * @fd: connected TCP socket that is readable
 * @buf: where the bytes are wanted, or NULL if nobody will look at them
 * @count: bytes at most
 *
 * Return: number of bytes, 0 at the end of the stream, a negative errno, or
 * RECEIVE_PLAIN.
 */
int receive(int fd, char *buf, size_t count)
{
	int ret, cancel;

	if (__atomic_load_n(&mode, __ATOMIC_RELAXED) == MODE_PLAIN)
		return RECEIVE_PLAIN;

	/* iperf3 cancels its threads, at any instruction. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_mutex_lock(&lock);
	ret = receive_locked(fd, buf, count);
	pthread_mutex_unlock(&lock);
	pthread_setcancelstate(cancel, NULL);

	return ret;
}

/**
 * receive_write_stats() - what the kernel counted, if it received
 * @path: file to write it to
 */
void receive_write_stats(const char *path)
{
	struct zcrx_counters counters;
	FILE *file;

	if (!used)
		return;
	zcrx_read_counters(&ifq, &counters);
	file = fopen(path, "w");
	if (!file) {
		fprintf(stderr, "zcrx-iperf3: can't write %s: %s\n", path,
			strerror(errno));
		return;
	}
	fprintf(file, "zc_bytes=%llu copied_bytes=%llu\n",
		(unsigned long long)counters.zc_bytes,
		(unsigned long long)counters.copied_bytes);
	fclose(file);
}
