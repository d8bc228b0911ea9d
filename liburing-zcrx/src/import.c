// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Receive by a queue that another process has set up.
 */
#define _GNU_SOURCE	/* seals of files */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "nic.h"
#include "queue.h"
#include "share.h"

/*
 * With @fds if it is 0, and with @answer->ret, and a sentence, if that is what the
 * exporter says. Other failures leave @answer->ret 0.
 */
static int receive_answer(int sock, struct zcrx_share_answer *answer,
			  int fds[ZCRX_SHARE_MAX_FDS])
{
	int ret = zcrx_share_receive(sock, answer, sizeof(*answer), fds, 0);

	if (!ret && answer->version != ZCRX_SHARE_VERSION) {
		zcrx_share_close_fds(fds);
		ret = -EPROTO;
	}
	if (ret)
		answer->ret = 0;
	if (ret == -EPROTO)
		return zcrx_fail(ret, "what answers is another version of liburing-zcrx, or something else");
	if (ret == -EMFILE)
		return zcrx_fail(ret, "there is no room for the queue's files: raise ulimit -n");
	if (ret == -EAGAIN)
		return zcrx_fail(-ETIMEDOUT, "the process that sets up queues does not answer");
	if (ret)
		return zcrx_fail(ret, "the process that sets up queues is gone: %s",
				 strerror(-ret));
	if (!answer->ret)
		return 0;

	zcrx_share_close_fds(fds);
	answer->text[sizeof(answer->text) - 1] = '\0';

	return zcrx_fail(answer->ret < 0 ? answer->ret : -EPROTO, "%s",
			 answer->text);
}

static int send_request(int sock, const struct zcrx_share_request *request,
			int fd)
{
	int ret = zcrx_share_send(sock, request, sizeof(*request), &fd, fd >= 0,
				  0);

	if (ret)
		return zcrx_fail(ret, "the process that sets up queues can't be asked: %s",
				 strerror(-ret));

	return 0;
}

/**
 * zcrx_import_steer() - have a connection steered to the queue, or not any more
 * @q: an imported queue
 * @fd: its socket
 * @op: ZCRX_SHARE_STEER or ZCRX_SHARE_UNSTEER
 *
 * When it returns from the latter the exporter has let go of the socket. Once an
 * answer is missing there will be none that can be understood: it is not asked
 * any more, but stays connected, since it would take the queue away.
 *
 * Return: 0 or a negative errno, with sentence.
 */
int zcrx_import_steer(struct zcrx_queue *q, int fd, enum zcrx_share_op op)
{
	const struct zcrx_share_request request = {
		.version	= ZCRX_SHARE_VERSION,
		.op		= op,
		.key		= fd,
	};
	struct zcrx_share_answer answer;
	int fds[ZCRX_SHARE_MAX_FDS], ret;

	if (q->exporter_mute)
		return zcrx_fail(-ETIMEDOUT, "the process that sets up queues has not answered before: what comes is copied");
	ret = send_request(q->exporter, &request,
			   op == ZCRX_SHARE_STEER ? fd : -1);
	if (ret)
		return ret;
	ret = receive_answer(q->exporter, &answer, fds);
	if (!ret)
		zcrx_share_close_fds(fds);
	q->exporter_mute = ret && !answer.ret;

	return ret;
}

/*
 * Opening
 */

static int ask(int sock, const struct zcrx_queue_opts *opts)
{
	struct zcrx_share_request request = {
		.version	= ZCRX_SHARE_VERSION,
		.op		= ZCRX_SHARE_OPEN,
		.mem_size	= opts->mem_size,
	};

	int ret = 0;

	if (opts->ifname)
		ret = zcrx_nic_named(request.ifname, opts->ifname);
	else if (opts->fd >= 0)
		ret = zcrx_nic_find(request.ifname, opts->fd);
	if (ret)
		return ret;
	if (opts->backend)
		snprintf(request.backend, sizeof(request.backend), "%s",
			 opts->backend);

	return send_request(sock, &request, -1);
}

static int check_opts(const struct zcrx_queue_opts *opts)
{
	if (opts->mem)
		return zcrx_fail(-EINVAL, "memory of the caller's can't be used by another process's queue: leave mem NULL");
	if (opts->rxq >= 0)
		return zcrx_fail(-EINVAL, "a receive queue is picked by the process that sets it up: leave rxq -1");
	if (opts->chunk_size)
		return zcrx_fail(-EINVAL, "the size of chunks is chosen by the process that sets the queue up: leave chunk_size 0");
	if (opts->backend && strlen(opts->backend) > 7)
		return zcrx_fail(-EINVAL, "there is no back end \"%s\", only rbuf and cqe32",
				 opts->backend);

	return 0;
}

/* Memory that goes away under our feet would kill us. */
static bool stays(int fd, __u64 size)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && seals & F_SEAL_SHRINK && !fstat(fd, &st) &&
	       (__u64)st.st_size >= size;
}

static int check_answer(const struct zcrx_share_answer *answer,
			const int fds[ZCRX_SHARE_MAX_FDS])
{
	__u64 page_mask = (__u64)sysconf(_SC_PAGESIZE) - 1;

	if (fds[0] >= 0 && fds[1] >= 0 && stays(fds[0], answer->mem_size) &&
	    answer->mem_size && !(answer->mem_size & page_mask) &&
	    answer->chunk_size && answer->chunk_size <= answer->mem_size)
		return 0;

	return zcrx_fail(-EPROTO, "what the process that sets up queues has sent is no queue");
}

static int take_over(struct zcrx_queue *q,
		     const struct zcrx_share_answer *answer,
		     const int fds[ZCRX_SHARE_MAX_FDS],
		     const struct zcrx_queue_opts *opts)
{
	const struct zcrx_shared shared = {
		.mem_fd			= fds[0],
		.params.refill_entries	= answer->refill_entries,
		.params.rbuf_entries	= !!answer->rbuf_size,
		.params.chunk_size	= answer->chunk_size,
		.sizes.refill		= answer->refill_size,
		.sizes.rbuf		= answer->rbuf_size,
	};
	struct zcrx_queue_opts granted = *opts;

	granted.mem_size = answer->mem_size;
	memcpy(q->why, answer->text, sizeof(q->why));
	q->why[sizeof(q->why) - 1] = '\0';

	return zcrx_zc_import(q, &shared, fds[1], &granted);
}

static int import(struct zcrx_queue **queue,
		  const struct zcrx_share_answer *answer,
		  const int fds[ZCRX_SHARE_MAX_FDS],
		  const struct zcrx_queue_opts *opts)
{
	struct zcrx_queue *q;
	int ret = check_answer(answer, fds);

	if (!ret)
		ret = zcrx_queue_new(&q);
	if (ret)
		return ret;
	ret = take_over(q, answer, fds, opts);
	if (ret) {
		zcrx_queue_free(q);
		return ret;
	}
	*queue = q;

	return 0;
}

/**
 * zcrx_import() - open a queue that another process sets up
 * @queue: filled in; NULL on failure
 * @sock: SOCK_SEQPACKET of AF_UNIX, connected to that process, which calls
 *	  zcrx_export(); then the queue's, and closed with it; on failure it stays
 *	  the caller's
 * @opts: what kind of queue, without mem and rxq; NULL: let the others choose
 *
 * Waits for the other process as long as SO_RCVTIMEO of @sock says, and so does
 * zcrx_conn_add().
 *
 * Return: 0 or a negative errno; zcrx_error() tells why.
 */
int zcrx_import(struct zcrx_queue **queue, int sock,
		const struct zcrx_queue_opts *opts)
{
	int fds[ZCRX_SHARE_MAX_FDS], ret;
	struct zcrx_share_answer answer;
	struct zcrx_queue_opts o;

	*queue = NULL;
	ret = zcrx_queue_take_opts(&o, opts);
	if (!ret)
		ret = check_opts(&o);
	if (!ret)
		ret = zcrx_share_check(sock);
	if (!ret)
		ret = ask(sock, &o);
	if (!ret)
		ret = receive_answer(sock, &answer, fds);
	if (ret)
		return ret;
	ret = import(queue, &answer, fds, &o);
	zcrx_share_close_fds(fds);
	if (!ret)
		(*queue)->exporter = sock;

	return ret;
}
