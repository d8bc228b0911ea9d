// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A read() through zero copy. The process has one ring and one ifq, registered
 * before the first stream begins; streams share them, one read at a time.
 *
 * Before, because TCP sizes its window by how much memory the first segments
 * took. Those that come through the registered queue take more, and a window
 * that is too large makes the kernel copy what it has queued.
 *
 * Between two reads no request is pending and no byte is here: what has not been
 * asked for is in its socket. So select() and epoll, and reads by other ways,
 * need nothing of this.
 *
 * A forked child finds no trace of its parent's ring: the memory that it would
 * share is zero or not there, and the file is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing-zcrx.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../../liburing-zcrx/src/nic.h"
#include "../../liburing-zcrx/src/ring.h"
#include "files.h"
#include "receive.h"
#include "setup.h"
#include "where.h"

#define AREA_SIZE	(128 << 20)
#define RBUF_ENTRIES	4096
#define REFILL_ENTRIES	16384

/* Of a process that exits, with a thread that does not leave receive() */
#define EXIT_PATIENCE_S	1

/* So many are copied without holding up other threads. */
#define MAX_PIECES	64

/* user_data of the two kinds of request */
#define DATA_RECV	1
#define DATA_CANCEL	2

/* Refused: it is not plain yet, as nobody has been told why. */
enum mode { MODE_UNTRIED, MODE_ZERO_COPY, MODE_REFUSED, MODE_PLAIN };

/**
 * struct receiver - what a process has, zero in a forked child
 * @lock: of everything here, but of @setup only until the NIC has been set up
 * @steering: of @setup from then on; may take seconds, while others receive. Who
 *	needs both takes @lock first
 * @mode: read without the lock, too
 * @used: something was received
 * @setup: the NIC, if we have set it up
 */
struct receiver {
	pthread_mutex_t		lock;
	pthread_mutex_t		steering;
	enum mode		mode;
	bool			used;
	struct io_uring		ring;
	struct zcrx_area	area;
	struct zcrx_ifq		ifq;
	struct setup		setup;
};

static struct receive_settings settings;
static struct receiver *rx;
static struct nic nic;		/* if_idx is 0 as long as there is none */
static char not_set_up[256];	/* why the NIC was taken as it was, if it was */
static int failure;		/* why zero copy can't be had, a negative errno */
static struct stat first_stderr;
static bool said;

static __thread bool without_signals;

/* Signals and cancellation, as they were before enter() */
struct outside {
	sigset_t	signals;
	int		cancel;
};

/*
 * Setting up
 */

static bool is_file(int fd, const struct stat *file)
{
	struct stat now;

	return !fstat(fd, &now) && now.st_dev == file->st_dev &&
	       now.st_ino == file->st_ino;
}

/*
 * Programs that go to the background may have something else there by now. A
 * socket may be a connection; a pipe that nobody reads, any more or just now, would
 * be a signal, or a wait.
 */
static bool may_say(void)
{
	struct pollfd pollfd = { .fd = STDERR_FILENO, .events = POLLOUT };

	return is_file(STDERR_FILENO, &first_stderr) &&
	       !S_ISSOCK(first_stderr.st_mode) &&
	       poll(&pollfd, 1, 0) == 1 && pollfd.revents == POLLOUT;
}

__attribute__((format(printf, 1, 2)))
static void say(const char *format, ...)
{
	char text[300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (may_say())
		dprintf(STDERR_FILENO, "%s: %s\n", settings.program, text);
}

#define say_plain(format, ...) \
	do { \
		if (!said) \
			say(format "; receiving by copying", ##__VA_ARGS__); \
		said = true; \
	} while (0)

static void say_loopback(void)
{
	say_plain("lo is no NIC: connect to an address of another interface");
}

static void explain_nic(int err)
{
	if (err == -ENODEV)
		say_plain("there is no interface %s, see ip link", nic.name);
	else
		say_plain("can't tell the interface of the connection (%s), name it with %s",
			  strerror(-err), settings.dev_option);
}

/* Kernels that don't know the rbuf ring find fault with the arguments. */
static void explain_register(int err)
{
	int nr = nic_nr_queues(&nic);
	struct utsname name;

	uname(&name);
	if (!strcmp(nic.name, "lo"))
		say_loopback();
	else if (err == -EINVAL || err == -ENOSYS)
		say_plain("kernel %s has no zero-copy receive with an rbuf ring, boot one that was built with it",
			  name.release);
	else if (err == -EPERM)
		say_plain("zero copy needs CAP_NET_ADMIN, and io_uring to be allowed (sysctl kernel.io_uring_disabled): run as root");
	else if (err == -ENOMEM)
		say_plain("%d MiB for queue %u of %s can't be locked: raise ulimit -l",
			  AREA_SIZE >> 20, nic.rxq, nic.name);
	else if (*not_set_up)
		say_plain("%s", not_set_up);
	else if (nr && nic.rxq >= (unsigned int)nr)
		say_plain("%s has no receive queue %u, only 0 to %d: choose with %s",
			  nic.name, nic.rxq, nr - 1, settings.queue_option);
	else if (err == -EEXIST)
		say_plain("queue %u of %s is in use by another program: choose another with %s",
			  nic.rxq, nic.name, settings.queue_option);
	else if (err == -EOPNOTSUPP)
		say_plain("the driver of %s has no zero-copy receive, take a NIC of another kind",
			  nic.name);
	else
		say_plain("can't register queue %u of %s: %s", nic.rxq,
			  nic.name, strerror(-err));
}

/* Low numbers are the program's: it may count on getting the lowest. */
static void move_ring_up(struct io_uring *ring)
{
	int fd = fcntl(ring->ring_fd, F_DUPFD_CLOEXEC, HIGH_FD);

	if (fd < 0)
		return;
	close(ring->ring_fd);
	ring->ring_fd = fd;
	ring->enter_ring_fd = fd;
}

/* Another thread may fork at any time: what is not for children comes first. */
static int make_ring(void)
{
	int ret = io_uring_queue_init(2, &rx->ring, 0);

	if (ret)
		return ret;
	io_uring_ring_dontfork(&rx->ring);
	move_ring_up(&rx->ring);
	files_keep(FILE_RING, rx->ring.ring_fd);

	return 0;
}

static void drop_ring(void)
{
	files_forget(FILE_RING);
	close(rx->ring.ring_fd);
}

/* What is pinned would be copied by fork(), the whole area. */
static int alloc_area(void)
{
	int ret = zcrx_area_alloc(&rx->area, AREA_SIZE, ZCRX_AREA_THP);

	if (!ret)
		madvise(rx->area.addr, rx->area.size, MADV_DONTFORK);

	return ret;
}

static int register_queue(void)
{
	struct zcrx_params params = {
		.if_idx		= nic.if_idx,
		.rxq		= nic.rxq,
		.chunk_size	= ZCRX_CHUNK_BY_MTU,
		.refill_entries	= REFILL_ENTRIES,
		.rbuf_entries	= RBUF_ENTRIES,
	};
	int ret;

	ret = alloc_area();
	if (ret)
		return ret;
	ret = zcrx_register(&rx->ring, &params, &rx->area, 1, &rx->ifq);
	if (ret)
		zcrx_area_free(&rx->area);
	else
		madvise(rx->ifq.mem, rx->ifq.mem_size, MADV_DONTFORK);

	return ret;
}

/* A NIC that can't be set up may have been, by an administrator. */
static int set_up_nic(void)
{
	int has = zcrx_probe_ring(rx->ring.ring_fd);

	*not_set_up = '\0';
	if (has < 0 || !(has & ZCRX_HAS_RBUF))
		return 0;
	if (!setup_open(&rx->setup, &nic, settings.dev,
			settings.rxq ? (int)nic.rxq : -1))
		return 0;
	snprintf(not_set_up, sizeof(not_set_up), "%s", zcrx_error());

	return zcrx_nic_is_taken(nic.name, nic.rxq) ? -EEXIST : 0;
}

/*
 * Some 20 ms after a ring has gone, the kernel interrupts the threads that used
 * it: they would see EINTR without a signal. So a ring that is of no use loses
 * its file, but not its memory, which keeps it.
 */
static int setup(int fd)
{
	int ret;

	nic.if_idx = 0;
	ret = nic_choose(&nic, settings.dev, settings.rxq, fd);
	if (ret)
		return ret;
	ret = make_ring();
	if (ret)
		return ret;
	ret = set_up_nic();
	if (!ret)
		ret = register_queue();
	if (ret) {
		drop_ring();
		setup_close(&rx->setup);
	}

	return ret;
}

static enum mode get_mode(void)
{
	return __atomic_load_n(&rx->mode, __ATOMIC_RELAXED);
}

static void set_mode(enum mode mode)
{
	__atomic_store_n(&rx->mode, mode, __ATOMIC_RELAXED);
}

static bool is_stream(int fd)
{
	socklen_t len = sizeof(int);
	int type;

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) &&
	       type == SOCK_STREAM;
}

/*
 * As long as nothing is registered: a connection over loopback, unless the NIC was
 * named, or what is no stream. Nothing is tried for it, and it waits for no lock.
 */
static bool decides_nothing(int fd)
{
	return get_mode() == MODE_UNTRIED &&
	       (!is_stream(fd) || (!settings.dev && nic_is_loopback(fd)));
}

static void prepare_locked(int fd)
{
	if (rx->mode != MODE_UNTRIED)
		return;

	failure = setup(fd);
	set_mode(failure ? MODE_REFUSED : MODE_ZERO_COPY);
}

/* Not before something is to be received: perhaps nothing will be. */
static void explain(void)
{
	if (nic.if_idx)
		explain_register(failure);
	else
		explain_nic(failure);
	set_mode(MODE_PLAIN);
}

/*
 * Receiving, under the lock
 */

/*
 * If the file's number has become one of the program's own io_urings, the kernel
 * takes requests of that one.
 */
static int submit_request(void)
{
	int ret = io_uring_submit(&rx->ring);

	if (ret < 0)
		return ret;

	return io_uring_sq_ready(&rx->ring) ? -EBADF : 0;
}

/*
 * Submit, and if that brought nothing, take the request back: the bytes were
 * read by somebody else, and nobody shall wait for new ones here. Returns the
 * number of CQEs to come, or a negative errno.
 */
static int submit(int fd, size_t count)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rx->ring);
	int ret;

	zcrx_prep_recv(sqe, &rx->ifq, fd, count, 0);
	io_uring_sqe_set_data64(sqe, DATA_RECV);
	ret = submit_request();
	if (ret)
		return ret;
	if (io_uring_cq_ready(&rx->ring))
		return 1;

	sqe = io_uring_get_sqe(&rx->ring);
	io_uring_prep_cancel64(sqe, DATA_RECV, 0);
	io_uring_sqe_set_data64(sqe, DATA_CANCEL);
	ret = submit_request();

	return ret ? ret : 2;
}

static int receive_request(int fd, size_t count, int *res)
{
	int nr = submit(fd, count), ret;
	struct io_uring_cqe *cqe;

	for (; nr > 0; nr--) {
		do {
			ret = io_uring_wait_cqe(&rx->ring, &cqe);
		} while (ret == -EINTR);
		if (ret)
			return ret;
		if (cqe->user_data == DATA_RECV)
			*res = cqe->res;
		io_uring_cqe_seen(&rx->ring, cqe);
	}

	return nr;
}

/* Where the next bytes go */
struct sink {
	const struct iovec	*iov;
	size_t			off;
};

static void copy_out(struct sink *sink, const char *data, size_t len)
{
	while (len) {
		size_t room = sink->iov->iov_len - sink->off;
		size_t nr = len < room ? len : room;

		memcpy((char *)sink->iov->iov_base + sink->off, data, nr);
		data += nr;
		len -= nr;
		sink->off += nr;
		if (nr == room)
			*sink = (struct sink){ .iov = sink->iov + 1 };
	}
}

/* What requests brought, oldest first, as far as it has not been given back */
struct pieces {
	unsigned int		nr;
	struct zcrx_rbuf_cqe	cqes[MAX_PIECES];
};

/* Returns the number of bytes. */
static size_t take(struct pieces *pieces)
{
	const struct zcrx_rbuf_cqe *cqe;
	unsigned int nr = 0;
	size_t sum = 0;

	while (nr < MAX_PIECES && (cqe = zcrx_rbuf_read(&rx->ifq, nr))) {
		pieces->cqes[nr++] = *cqe;
		sum += cqe->len;
	}
	zcrx_rbuf_release(&rx->ifq, nr);
	pieces->nr = nr;

	return sum;
}

static void use(const struct pieces *pieces, struct sink *sink)
{
	const struct zcrx_rbuf_cqe *cqe = pieces->cqes;

	for (; sink->iov && cqe < pieces->cqes + pieces->nr; cqe++)
		copy_out(sink, zcrx_rbuf_data(&rx->ifq, cqe), cqe->len);
}

/* If the kernel has not taken what was given back before, it is told to. */
static void give_back(const struct pieces *pieces)
{
	unsigned int i;
	__u64 off;

	for (i = 0; i < pieces->nr; i++) {
		off = zcrx_rbuf_off(&pieces->cqes[i]);
		if (!zcrx_refill(&rx->ifq, off))
			continue;
		zcrx_resume(&rx->ifq);
		zcrx_refill(&rx->ifq, off);
	}
}

/* All but the last ones are used; seldom there are so many. */
static size_t take_all(struct pieces *pieces, struct sink *sink)
{
	size_t sum = take(pieces);

	while (pieces->nr == MAX_PIECES) {
		use(pieces, sink);
		give_back(pieces);
		sum += take(pieces);
	}

	return sum;
}

/* The socket still has what these could not take. */
static bool left_alone(int res)
{
	return res == -ENOBUFS || res == -EPROTONOSUPPORT || res == -ECANCELED;
}

static int receive_locked(int fd, size_t count, struct pieces *pieces,
			  struct sink *sink)
{
	int ret, res = -ECANCELED;
	size_t used;

	prepare_locked(fd);
	if (rx->mode == MODE_REFUSED)
		explain();
	if (rx->mode != MODE_ZERO_COPY)
		return RECEIVE_PLAIN;

	rx->used = true;
	ret = receive_request(fd, count, &res);
	if (ret) {
		say_plain("io_uring failed: %s", strerror(-ret));
		set_mode(MODE_PLAIN);
	}
	used = take_all(pieces, sink);
	if (used)
		return (int)used;
	if (res == -ENOBUFS)
		zcrx_resume(&rx->ifq);

	return left_alone(res) ? RECEIVE_PLAIN : res;
}

/* Faults are left to the program. */
static void block_signals(sigset_t *before)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	sigset_t set;
	size_t i;

	sigfillset(&set);
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&set, faults[i]);
	pthread_sigmask(SIG_BLOCK, &set, before);
}

/*
 * Nobody comes back from a signal's handler to a lock that is held, or jumps out
 * of it; iperf3 cancels its threads, at any instruction.
 */
static void shut_out(struct outside *outside)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &outside->cancel);
	if (!without_signals)
		block_signals(&outside->signals);
}

static void enter(struct outside *outside)
{
	shut_out(outside);
	pthread_mutex_lock(&rx->lock);
}

static void restore(const struct outside *outside)
{
	if (!without_signals)
		pthread_sigmask(SIG_SETMASK, &outside->signals, NULL);
	pthread_setcancelstate(outside->cancel, NULL);
}

static void leave(const struct outside *outside)
{
	pthread_mutex_unlock(&rx->lock);
	restore(outside);
}

/* A child finds what its parent did, but the queue may have become free. */
static void after_fork(void)
{
	files_close_all();
	if (failure && failure != -EEXIST)
		set_mode(MODE_REFUSED);
}

/* Programs write over their environment, to change how ps shows them. */
static const char *keep(const char *text)
{
	return text ? strdup(text) : NULL;
}

static void keep_settings(const struct receive_settings *with)
{
	settings = *with;
	settings.dev = keep(with->dev);
	settings.rxq = keep(with->rxq);
	settings.stats = keep(with->stats);
}

/**
 * receive_init() - to be called first, once
 * @with: settings
 */
void receive_init(const struct receive_settings *with)
{
	void *mem = mmap(NULL, sizeof(*rx), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	keep_settings(with);
	fstat(STDERR_FILENO, &first_stderr);
	if (mem == MAP_FAILED)
		return;
	if (madvise(mem, sizeof(*rx), MADV_WIPEONFORK) ||
	    pthread_atfork(NULL, NULL, after_fork)) {
		munmap(mem, sizeof(*rx));
		return;
	}
	rx = mem;	/* zero is an open lock, and MODE_UNTRIED */
}

/**
 * receive_is_plain() - is it known that receive() does nothing?
 *
 * Return: 1 if it is.
 */
int receive_is_plain(void)
{
	return !rx || get_mode() == MODE_PLAIN;
}

static bool is_unprepared(int fd)
{
	enum mode mode = get_mode();

	return mode == MODE_UNTRIED ||
	       (mode == MODE_ZERO_COPY && setup_is_new(&rx->setup, fd));
}

/* Zero copy is to be had, but not for this connection: said once. */
static void steer_locked(int fd)
{
	static bool told;

	if (!setup_steer(&rx->setup, fd) || told)
		return;
	say("%s", zcrx_error());
	told = true;
}

/**
 * receive_reconnect() - a socket is about to be connected, perhaps not for the
 *			 first time
 * @fd: it
 */
void receive_reconnect(int fd)
{
	if (rx)
		setup_forget(&rx->setup, fd);
}

/**
 * receive_prepare() - register now, and steer a connection, if that can be
 * @fd: TCP socket, the control connection for example
 *
 * If the first can't be, receive() will say why.
 *
 * Return: 0 if nothing but that will come of receive().
 */
int receive_prepare(int fd)
{
	struct outside outside;

	if (receive_is_plain() || decides_nothing(fd))
		return 0;
	if (is_unprepared(fd)) {
		enter(&outside);
		prepare_locked(fd);
		pthread_mutex_unlock(&rx->lock);
		pthread_mutex_lock(&rx->steering);
		steer_locked(fd);
		pthread_mutex_unlock(&rx->steering);
		restore(&outside);
	}

	return 1;
}

/**
 * receive_without_signals() - the thread leaves signals to others, for good
 *
 * So receive() need not block them each time.
 */
void receive_without_signals(void)
{
	if (!without_signals)
		block_signals(NULL);
	without_signals = true;
}

/**
 * receive() - read what a stream's socket holds
 * @fd: connected TCP socket that is readable
 * @iov: where the bytes are wanted, or NULL if nobody will look at them
 * @count: bytes at most, as many as @iov has room for
 *
 * Return: number of bytes, 0 at the end of the stream, a negative errno, or
 * RECEIVE_PLAIN.
 */
int receive(int fd, const struct iovec *iov, size_t count)
{
	struct sink sink = { .iov = iov };
	struct outside outside;
	struct pieces pieces;
	int ret;

	if (receive_is_plain())
		return RECEIVE_PLAIN;
	if (decides_nothing(fd)) {
		say_loopback();
		return RECEIVE_PLAIN;
	}

	pieces.nr = 0;
	enter(&outside);
	ret = receive_locked(fd, count, &pieces, &sink);
	if (iov && pieces.nr) {
		pthread_mutex_unlock(&rx->lock);
		use(&pieces, &sink);
		pthread_mutex_lock(&rx->lock);
	}
	give_back(&pieces);
	leave(&outside);

	return ret;
}

static void write_stats(void)
{
	struct zcrx_counters counters;
	FILE *file;

	if (!settings.stats || !rx->used)
		return;
	zcrx_read_counters(&rx->ifq, &counters);
	file = fopen(settings.stats, "a");
	if (!file) {
		say("can't write %s: %s", settings.stats, strerror(errno));
		return;
	}
	fprintf(file, "zc_bytes=%llu copied_bytes=%llu pid=%d\n",
		(unsigned long long)counters.zc_bytes,
		(unsigned long long)counters.copied_bytes, getpid());
	fclose(file);
}

/* A number that is not the ring's any more is left alone. */
static void close_ring(void)
{
	if (!files_has(FILE_RING))
		rx->ring.ring_fd = -1;
	files_forget(FILE_RING);
	io_uring_queue_exit(&rx->ring);
}

/* A thread may be in receive() for good, with a handler that exits above it. */
static bool lock_at_exit(pthread_mutex_t *lock)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += EXIT_PATIENCE_S;

	return !pthread_mutex_timedlock(lock, &until);
}

static void put_nic_back(void)
{
	if (!rx->setup.nic || !lock_at_exit(&rx->steering))
		return;
	close_ring();
	setup_close(&rx->setup);
	pthread_mutex_unlock(&rx->steering);
}

/* From now on, threads that are still there set nothing up. */
static void end(void)
{
	struct outside outside;

	shut_out(&outside);
	if (lock_at_exit(&rx->lock)) {
		set_mode(MODE_PLAIN);
		put_nic_back();
		pthread_mutex_unlock(&rx->lock);
	}
	restore(&outside);
}

/**
 * receive_exit() - to be called last
 *
 * Says what the kernel counted, if it received, and puts the NIC back.
 */
void receive_exit(void)
{
	if (!rx)
		return;
	write_stats();
	end();
}
