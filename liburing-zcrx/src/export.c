// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Set a queue up for another process, which receives by it.
 *
 * The exporter keeps each socket that is steered: as long as it is connected
 * nobody else has its addresses, and its packets are the importer's. When it is
 * not any more the kernel says so (EPOLLHUP), and the steering ends. If it is
 * connected anew at once there is no EPOLLHUP left to be seen: that is looked for
 * every second.
 */
#define _GNU_SOURCE	/* memfd_create(), seals, fallocate() */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "nic.h"
#include "nic_flow.h"
#include "nic_record.h"
#include "queue.h"
#include "share.h"

#define REQUEST_MS	5000	/* until the first word */
#define MAX_STEERED	4096
#define SWEEP_MS	1000
#define DEFAULT_MEM	((size_t)64 << 20)

/**
 * struct steered - a socket of the importer's that is steered to the queue
 * @fd: ours of it
 * @key: what the importer calls it
 */
struct steered {
	int	fd;
	int	key;
};

/**
 * struct export - a queue that another process receives by
 * @sock: connection to it
 * @epoll: of @sock, and of the sockets
 * @queue: the queue
 * @shared: what it is
 * @steered: the sockets
 * @nr_steered: their number
 * @swept: when they were last looked at, by zcrx_clock()
 */
struct export {
	int			sock;
	int			epoll;
	struct zcrx_queue	*queue;
	struct zcrx_shared	shared;
	struct steered		*steered;
	unsigned int		nr_steered;
	int64_t			swept;
};

/*
 * Answers. Who does not read them is not waited for.
 */

static int answer(int sock, int ret, const char *why)
{
	struct zcrx_share_answer msg = {
		.version	= ZCRX_SHARE_VERSION,
		.ret		= ret,
	};

	if (ret)
		snprintf(msg.text, sizeof(msg.text), "%s", why);

	return zcrx_share_send(sock, &msg, sizeof(msg), NULL, 0, MSG_DONTWAIT);
}

/* Why is for both: the caller of zcrx_export(), and the other process. */
static int refuse(int sock, int ret)
{
	answer(sock, ret, zcrx_error());

	return ret;
}

static int explain_export(int err)
{
	/* Control operations, or this one, are not known. */
	if (err == -EINVAL || err == -EOPNOTSUPP)
		return zcrx_fail(-EOPNOTSUPP, "this kernel can't pass a queue on to another process, boot one that can");

	return zcrx_fail(err, "a queue can't be passed on to another process: %s",
			 strerror(-err));
}

static int send_queue(const struct export *x)
{
	const struct zcrx_shared *shared = &x->shared;
	struct zcrx_share_answer msg = {
		.version	= ZCRX_SHARE_VERSION,
		.mem_size	= x->queue->area.size,
		.refill_size	= shared->sizes.refill,
		.rbuf_size	= shared->sizes.rbuf,
		.refill_entries	= shared->params.refill_entries,
		.chunk_size	= shared->params.chunk_size,
	};
	int fds[2] = { shared->mem_fd }, ret;

	fds[1] = zcrx_ifq_export(&x->queue->zc.ifq);
	if (fds[1] < 0)
		return explain_export(fds[1]);
	snprintf(msg.text, sizeof(msg.text), "%s", zcrx_queue_why(x->queue));
	ret = zcrx_share_send(x->sock, &msg, sizeof(msg), fds, 2, MSG_DONTWAIT);
	close(fds[1]);
	if (ret)
		return zcrx_fail(ret, "the other process has gone, or takes no queue: %s",
				 strerror(-ret));

	return 0;
}

/*
 * Steering
 */

static struct steered *find_steered(struct export *x, int key)
{
	unsigned int i;

	for (i = 0; i < x->nr_steered; i++)
		if (x->steered[i].key == key)
			return &x->steered[i];

	return NULL;
}

/* The importer may go on to have the socket, and so would the epoll. */
static void forget(struct export *x, struct steered *steered)
{
	epoll_ctl(x->epoll, EPOLL_CTL_DEL, steered->fd, NULL);
	close(steered->fd);
	*steered = x->steered[--x->nr_steered];
}

/* As long as it is steered it is kept. */
static int let_go(struct export *x, struct steered *steered)
{
	int ret = zcrx_nic_unsteer(x->queue->nic, steered->fd);

	if (!ret)
		forget(x, steered);

	return ret;
}

static int check_namespace(int fd)
{
	uint64_t theirs, ours;
	int ret = zcrx_netns_cookie(fd, &theirs);

	if (!ret)
		ret = zcrx_netns_own_cookie(&ours);
	if (!ret && theirs != ours)
		ret = zcrx_fail(-EXDEV, "the connection is of another network namespace than the interface");

	return ret;
}

/*
 * Its addresses are to be its own: connected, and in the network namespace that
 * the NIC is in. A port is not, since what comes to it on other addresses may be
 * for others.
 */
static int check_socket(int fd, const char *ifname)
{
	struct sockaddr_storage peer;
	int ret = zcrx_socket_listens(fd);

	if (ret > 0)
		return zcrx_fail(-EOPNOTSUPP, "a port of %s is not steered for another process: add each connection once it has been accepted",
				 ifname);
	if (!ret)
		ret = zcrx_socket_name(fd, true, &peer);

	return ret ? ret : check_namespace(fd);
}

static int note_steered(struct export *x, int key, int fd)
{
	struct epoll_event event = { .data.fd = fd };
	struct steered *list;

	if (x->nr_steered == MAX_STEERED)
		return zcrx_fail(-ENOSPC, "no more than %u connections are steered for another process",
				 MAX_STEERED);
	list = reallocarray(x->steered, x->nr_steered + 1, sizeof(*list));
	if (!list)
		return zcrx_fail(-ENOMEM, "no memory to steer a connection");
	x->steered = list;
	/* EPOLLHUP is always told. */
	if (epoll_ctl(x->epoll, EPOLL_CTL_ADD, fd, &event))
		return zcrx_fail(-errno, "a connection can't be watched: %s",
				 strerror(errno));
	list[x->nr_steered++] = (struct steered) { .fd = fd, .key = key };

	return 0;
}

static int do_steer(struct export *x, int key, int fd)
{
	struct steered *old = find_steered(x, key);
	struct zcrx_nic *nic = x->queue->nic;
	int ret = check_socket(fd, zcrx_nic_name(nic));

	if (!ret && old)
		ret = let_go(x, old);
	if (!ret)
		ret = zcrx_nic_steer(nic, fd);
	if (ret)
		return ret;
	ret = note_steered(x, key, fd);
	if (ret) {
		struct zcrx_sentence why;

		zcrx_sentence_keep(&why);
		zcrx_nic_unsteer(nic, fd);
		zcrx_sentence_restore(&why);
	}

	return ret;
}

/* Takes @fd, and keeps it if it is steered: without a NIC it need not be. */
static int steer(struct export *x, int key, int fd)
{
	int ret = x->queue->nic ? do_steer(x, key, fd) : 0;

	if (ret || !x->queue->nic)
		close(fd);

	return ret;
}

/* An importer may say so twice, or when the connection has ended by itself. */
static int unsteer(struct export *x, int key)
{
	struct steered *steered = find_steered(x, key);

	return steered ? let_go(x, steered) : 0;
}

static int connection_ended(struct export *x, int fd)
{
	unsigned int i;

	for (i = 0; i < x->nr_steered; i++)
		if (x->steered[i].fd == fd)
			return let_go(x, &x->steered[i]);

	return 0;
}

/* Are they the connections that were steered? */
static int sweep(struct export *x)
{
	unsigned int i = 0;
	int ret = 0;

	x->swept = zcrx_clock();
	while (!ret && i < x->nr_steered) {
		if (zcrx_nic_is_steered(x->queue->nic, x->steered[i].fd))
			i++;
		else
			ret = let_go(x, &x->steered[i]);
	}

	return ret;
}

/*
 * Requests
 */

static int bad_request(void)
{
	return zcrx_fail(-EPROTO, "what the other process says is no request of this version of liburing-zcrx");
}

/* Returns 0 with 0 to ZCRX_SHARE_MAX_FDS files, or a negative errno. */
static int next_request(int sock, struct zcrx_share_request *request,
			int fds[ZCRX_SHARE_MAX_FDS])
{
	int ret = zcrx_share_receive(sock, request, sizeof(*request), fds,
				     MSG_DONTWAIT);

	if (!ret && request->version != ZCRX_SHARE_VERSION) {
		zcrx_share_close_fds(fds);
		ret = -EPROTO;
	}

	if (ret == -EMFILE)
		return zcrx_fail(ret, "whoever sets up queues can't have more files: raise its ulimit -n");

	return ret == -EPROTO ? bad_request() : ret;
}

static int do_request(struct export *x,
		      const struct zcrx_share_request *request,
		      int fds[ZCRX_SHARE_MAX_FDS])
{
	if (request->op == ZCRX_SHARE_STEER && fds[0] >= 0 && fds[1] < 0)
		return steer(x, request->key, fds[0]);
	if (request->op == ZCRX_SHARE_UNSTEER && fds[0] < 0)
		return unsteer(x, request->key);
	zcrx_share_close_fds(fds);

	return bad_request();
}

/* Returns 0, or a negative errno: the importer has gone, or is to. */
static int serve_request(struct export *x)
{
	struct zcrx_share_request request;
	int fds[ZCRX_SHARE_MAX_FDS], ret;

	ret = next_request(x->sock, &request, fds);
	if (ret == -EPROTO)
		return refuse(x->sock, ret);
	if (ret && ret != -EMFILE)
		return ret == -EAGAIN ? 0 : ret;
	if (!ret)
		ret = do_request(x, &request, fds);
	/* What can't be undone alone is with all that there is. */
	if (ret == -EPROTO || (ret && request.op == ZCRX_SHARE_UNSTEER))
		return refuse(x->sock, ret);

	return answer(x->sock, ret, zcrx_error());
}

static int serve_event(struct export *x)
{
	struct epoll_event event;
	int nr = epoll_wait(x->epoll, &event, 1,
			    x->nr_steered ? SWEEP_MS : -1);

	if (nr < 0)
		return errno == EINTR ? 0 : -errno;
	if (!nr)
		return 0;
	if (event.data.fd == x->sock)
		return serve_request(x);

	return connection_ended(x, event.data.fd);
}

/* Until the importer has gone */
static void serve(struct export *x)
{
	int ret;

	do {
		ret = serve_event(x);
		if (!ret && zcrx_clock() >= x->swept + SWEEP_MS)
			ret = sweep(x);
	} while (!ret);
}

/*
 * Opening
 */

/* Nobody can make it larger, or smaller under another one's feet. */
static int make_memory(size_t size)
{
	int fd = memfd_create("zcrx-area", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return zcrx_fail(-errno, "can't make a file of memory: %s",
				 strerror(errno));
	if (ftruncate(fd, (off_t)size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		close(fd);
		return zcrx_fail(-ENOMEM, "no memory for an area of %zu bytes, ask for less",
				 size);
	}

	return fd;
}

static int open_epoll(struct export *x)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = x->sock };

	x->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (x->epoll < 0 ||
	    epoll_ctl(x->epoll, EPOLL_CTL_ADD, x->sock, &event))
		return zcrx_fail(-errno, "can't make an epoll: %s",
				 strerror(errno));

	return 0;
}

static int open_queue(struct export *x, const struct zcrx_grant *grant)
{
	struct zcrx_queue_opts opts = grant->opts;
	int ret = open_epoll(x);

	if (ret)
		return ret;
	if (!opts.mem_size)
		opts.mem_size = DEFAULT_MEM;
	x->shared.mem_fd = make_memory(opts.mem_size);
	if (x->shared.mem_fd < 0)
		return x->shared.mem_fd;
	ret = zcrx_queue_open_shared(&x->queue, &opts, &x->shared);
	if (!ret && x->queue->nic && !grant->by_rss)
		zcrx_nic_keep_alone(x->queue->nic);

	return ret;
}

/*
 * Nobody receives into it any more, but the importer may have kept the file, with
 * memory in it that nobody counts as its own. Without a NIC it can't be told
 * whether it still receives.
 */
static void close_queue(struct export *x)
{
	bool unused = x->queue && x->queue->nic;
	size_t size = unused ? x->queue->area.size : 0;

	zcrx_queue_close(x->queue);
	if (unused)
		fallocate(x->shared.mem_fd,
			  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  (off_t)size);
}

static void close_all(struct export *x)
{
	struct steered *last;

	while (x->nr_steered) {
		last = &x->steered[x->nr_steered - 1];
		zcrx_nic_unsteer(x->queue->nic, last->fd);
		forget(x, last);
	}
	free(x->steered);
	close_queue(x);
	if (x->shared.mem_fd >= 0)
		close(x->shared.mem_fd);
	if (x->epoll >= 0)
		close(x->epoll);
}

static int wait_for_request(int sock)
{
	struct pollfd pfd = { .fd = sock, .events = POLLIN };
	int ret;

	do {
		ret = poll(&pfd, 1, REQUEST_MS);
	} while (ret < 0 && errno == EINTR);
	if (ret == 1)
		return 0;

	return zcrx_fail(-ETIMEDOUT, "the other process has not asked for anything in %u seconds",
			 REQUEST_MS / 1000);
}

/* It gets into sentences, and so into logs. */
static bool is_word(const char *word, size_t size)
{
	size_t len = strnlen(word, size), i;

	for (i = 0; i < len; i++)
		if ((unsigned char)word[i] <= ' ' || strchr("/:\x7f", word[i]))
			return false;

	return len < size;
}

static int read_wish(int sock, struct zcrx_share_request *request)
{
	int fds[ZCRX_SHARE_MAX_FDS], ret;

	ret = wait_for_request(sock);
	if (ret)
		return ret;
	ret = next_request(sock, request, fds);
	if (ret == -EPROTO)
		return ret;
	if (ret)
		return zcrx_fail(ret, "the other process has gone without asking for anything");
	if (request->op == ZCRX_SHARE_OPEN && fds[0] < 0 && !request->pad &&
	    is_word(request->backend, sizeof(request->backend)) &&
	    is_word(request->ifname, sizeof(request->ifname)))
		return 0;
	zcrx_share_close_fds(fds);

	return bad_request();
}

static int ask(struct zcrx_grant *grant,
	       const struct zcrx_share_request *request,
	       int (*allow)(struct zcrx_grant *grant, void *arg), void *arg)
{
	int ret;

	memset(grant, 0, sizeof(*grant));
	zcrx_queue_opts_init(&grant->opts);
	grant->opts.ifname = *request->ifname ? request->ifname : NULL;
	grant->opts.backend = *request->backend ? request->backend : NULL;
	grant->opts.mem_size = request->mem_size;
	ret = allow(grant, arg);
	if (ret)
		return zcrx_fail(ret, "%s", grant->why);

	return 0;
}

/**
 * zcrx_export() - set a queue up for another process, which receives by it
 * @sock: SOCK_SEQPACKET of AF_UNIX, connected to that process, which calls
 *	  zcrx_import(); stays the caller's
 * @allow: told what is asked for, to change and to grant it: 0; or a negative
 *	   errno with a sentence in @grant->why
 * @arg: for @allow
 *
 * Returns when the other process has closed its queue, or is gone, and has let
 * go of the NIC's; everything is as it was then. shutdown() of @sock has the same
 * effect as if it had closed the connection. Takes a thread for itself.
 *
 * Return: 0; or a negative errno if the other process got nothing, which has been
 * told why, as has zcrx_error().
 */
int zcrx_export(int sock, int (*allow)(struct zcrx_grant *grant, void *arg),
		void *arg)
{
	struct export x = { .sock = sock, .epoll = -1, .shared.mem_fd = -1 };
	struct zcrx_share_request request;
	struct zcrx_grant grant;
	int ret;

	ret = zcrx_share_check(sock);
	if (ret)
		return ret;
	ret = read_wish(sock, &request);
	if (!ret)
		ret = ask(&grant, &request, allow, arg);
	if (ret)
		return refuse(sock, ret);
	ret = open_queue(&x, &grant);
	if (!ret)
		ret = send_queue(&x);
	if (ret)
		refuse(sock, ret);
	else
		serve(&x);
	close_all(&x);

	return ret;
}
