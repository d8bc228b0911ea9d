// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The back ends that do not copy: rbuf and cqe32. They differ in how the kernel
 * tells of received buffers.
 *
 * A request is for as many bytes as its connection may hold, in pieces as long as
 * recent ones, so that the kernel stops by itself. What comes in smaller pieces
 * keeps a chunk each, and may reach the budget before: then the request is
 * cancelled.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "error.h"
#include "nic.h"
#include "queue.h"
#include "share.h"

#define RBUF_ENTRIES	4096
#define RBUF_MAX_MEM	((__u64)1 << 32)	/* entries have 32 bits for it */
#define CQ32_ENTRIES	16384
#define MAX_REFILL	32768
#define MAX_PIECES	(1U << 30)
#define MAX_ALLOWANCE	(1U << 30)

#define MEAN_OF		16U	/* pieces of a connection, about */
#define FIRST_MEAN	64U	/* bytes */

/*
 * Buffers for each page that can be told of at a time, if they are small. With
 * none left an rbuf ring keeps the rest; to keep CQEs takes memory, and so it
 * should not happen.
 */
#define RBUF_PER_PAGE	4
#define CQE32_PER_PAGE	16

/*
 * Opening
 */

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int check_kernel(int has, const char *name)
{
	struct utsname system;
	int ret = zcrx_probe();

	if (ret == -EPERM)
		return zcrx_fail(ret, "back end %s needs CAP_NET_ADMIN, and io_uring to be allowed: run as root",
				 name);
	if (ret < 0 && ret != -ENOSYS)
		return zcrx_fail(ret, "what this kernel has for back end %s can't be asked: %s",
				 name, strerror(-ret));
	if (ret > 0 && ret & has)
		return 0;

	uname(&system);
	return zcrx_fail(-EOPNOTSUPP, "kernel %s has no zero-copy receive for back end %s, boot one that has",
			 system.release, name);
}

/* Which interface? */
static int find_nic(char ifname[IFNAMSIZ], const struct zcrx_queue_opts *opts)
{
	if (opts->ifname)
		return zcrx_nic_named(ifname, opts->ifname);
	if (opts->fd >= 0)
		return zcrx_nic_find(ifname, opts->fd);

	return zcrx_nic_any(ifname, 0);
}

/*
 * Connections that will be accepted are steered before they come, where the NIC
 * can; else each is when it is added.
 */
static void steer_listener(struct zcrx_queue *q, int fd)
{
	socklen_t len = sizeof(int);
	int listens;

	if (fd >= 0 &&
	    !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) &&
	    listens)
		zcrx_nic_steer(q->nic, fd);
}

static int open_nic(struct zcrx_queue *q, const char *ifname,
		    const struct zcrx_queue_opts *opts,
		    struct zcrx_params *params)
{
	int ret;

	if (!strcmp(ifname, "lo")) {
		params->flags = ZCRX_ABI_REG_NODEV;
		/* It is the better way to copy. */
		return opts->backend ? 0 :
		       zcrx_fail(-EOPNOTSUPP, "lo is no NIC, what comes by it is copied anyway");
	}
	ret = zcrx_nic_open(&q->nic, ifname, opts->rxq);
	if (ret)
		return ret;
	params->if_idx = zcrx_nic_ifindex(q->nic);
	params->rxq = zcrx_nic_rxq(q->nic);

	return 0;
}

/*
 * After the ring: but mainline unbinds the queue of the NIC later than
 * io_uring_queue_exit() returns. zcrx_nic_close() waits for it.
 */
static void close_nic(struct zcrx_queue *q)
{
	if (q->nic)
		zcrx_nic_close(q->nic);
	q->nic = NULL;
}

/* Here the NIC has been set up, and there are options; else it is as was told. */
static int explain_register(const struct zcrx_queue *q,
			    const struct zcrx_queue_opts *opts, int err)
{
	const char *name = q->nic ? zcrx_nic_name(q->nic) : "lo";

	switch (err) {
	case -EEXIST:
		if (!q->nic)
			break;
		return zcrx_fail(-EBUSY, "receive queue %u of %s is in use by another program: take another one",
				 zcrx_nic_rxq(q->nic), name);
	case -ERANGE:
		if (opts->chunk_size <= page_size())
			break;
		return zcrx_fail(-EOPNOTSUPP, "the memory can't be in chunks of %zu bytes: take huge pages, or smaller chunks",
				 opts->chunk_size);
	case -EOPNOTSUPP:
		if (opts->chunk_size > page_size())
			return zcrx_fail(err, "the driver of %s has no zero-copy receive, or not in chunks of %zu bytes: leave chunk_size 0",
					 name, opts->chunk_size);
		return zcrx_fail(err, "the driver of %s has no zero-copy receive, take a NIC of another kind",
				 name);
	}

	return err;
}

static int setup_pieces(struct zcrx_queue *q, const struct zcrx_params *params,
			const struct zcrx_queue_opts *opts)
{
	size_t nr = q->area.size / page_size();

	nr *= params->rbuf_entries ? RBUF_PER_PAGE : CQE32_PER_PAGE;
	if (nr > MAX_PIECES)
		nr = MAX_PIECES;

	return zcrx_queue_setup_pieces(q, (unsigned int)nr, params->chunk_size,
				       opts);
}

/* Whoever imports it has pieces, and we have none. */
static int register_ifq(struct zcrx_queue *q, struct zcrx_params *params,
			const struct zcrx_queue_opts *opts)
{
	struct zcrx_ifq *ifq = &q->zc.ifq;
	int ret;

	if (q->shared)
		ret = zcrx_register_to_export(&q->ring, params, &q->area, ifq,
					      &q->shared->sizes);
	else
		ret = zcrx_register(&q->ring, params, &q->area, 1, ifq);
	/* A mainline kernel that has no mode without a NIC */
	if (ret == -EINVAL && params->flags & ZCRX_ABI_REG_NODEV)
		return zcrx_fail(-EOPNOTSUPP, "this kernel has no zero-copy receive without a NIC, name one");
	if (ret)
		return explain_register(q, opts, ret);

	if (q->shared) {
		q->shared->params = *params;
		return 0;
	}
	ret = setup_pieces(q, params, opts);
	if (ret)
		zcrx_unregister(ifq);

	return ret;
}

static int map_area(struct zcrx_queue *q, int fd, size_t size)
{
	void *addr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  0);

	if (addr == MAP_FAILED)
		return zcrx_fail(-errno, "an area of %zu bytes can't be mapped: %s",
				 size, strerror(errno));
	q->own_area = true;
	q->area.addr = addr;
	q->area.size = size;

	return 0;
}

/* Huge pages are slow to send from where there is no rbuf ring: fix_area(). */
static int setup_memory(struct zcrx_queue *q,
			const struct zcrx_queue_opts *opts, bool rbuf)
{
	bool thp = rbuf || opts->chunk_size > page_size();

	if (q->shared)
		return map_area(q, q->shared->mem_fd, opts->mem_size);

	return zcrx_queue_setup_memory(q, opts, thp ? ZCRX_AREA_THP : 0);
}

/* Old kernels know of pages only, and want to be told nothing. */
static unsigned int chunk_size(const struct zcrx_queue_opts *opts, bool rbuf)
{
	if (opts->chunk_size == page_size())
		return 0;
	if (opts->chunk_size)
		return (unsigned int)opts->chunk_size;

	return rbuf ? ZCRX_CHUNK_BY_MTU : 0;
}

static unsigned int refill_entries(const struct zcrx_queue *q)
{
	size_t nr_pages = q->area.size / page_size();

	return nr_pages < MAX_REFILL ? (unsigned int)nr_pages : MAX_REFILL;
}

static int setup_ring(struct zcrx_queue *q, bool rbuf)
{
	q->zc.pending = NO_PIECE;

	return zcrx_queue_setup_ring(q, rbuf ? 0 : IORING_SETUP_CQE32,
				     rbuf ? CQ_ENTRIES : CQ32_ENTRIES);
}

static int open_on(struct zcrx_queue *q, const char *ifname,
		   const struct zcrx_queue_opts *opts,
		   unsigned int rbuf_entries)
{
	struct zcrx_params params = {
		.chunk_size	= chunk_size(opts, rbuf_entries),
		.rbuf_entries	= rbuf_entries,
	};
	int ret;

	ret = setup_ring(q, rbuf_entries);
	if (ret)
		return ret;
	ret = open_nic(q, ifname, opts, &params);
	if (!ret)
		ret = setup_memory(q, opts, rbuf_entries);
	if (!ret) {
		params.refill_entries = refill_entries(q);
		ret = register_ifq(q, &params, opts);
	}
	if (ret) {
		io_uring_queue_exit(&q->ring);
		close_nic(q);
		zcrx_queue_free_memory(q);
		return ret;
	}
	if (q->nic)
		steer_listener(q, opts->fd);

	return 0;
}

/*
 * A NIC that looks as if it could may not: its driver can't, say, or another
 * process has taken its last queue. If none can, the first one's reason is told.
 */
static int open_another(struct zcrx_queue *q,
			const struct zcrx_queue_opts *opts,
			unsigned int rbuf_entries, int err)
{
	struct zcrx_sentence why;
	char ifname[IFNAMSIZ];
	unsigned int nr;

	zcrx_sentence_keep(&why);
	for (nr = 1; !zcrx_nic_any(ifname, nr); nr++)
		if (!open_on(q, ifname, opts, rbuf_entries))
			return 0;
	zcrx_sentence_restore(&why);

	return err;
}

static int zc_open(struct zcrx_queue *q, const struct zcrx_queue_opts *opts,
		   unsigned int rbuf_entries)
{
	char ifname[IFNAMSIZ];
	int ret;

	ret = find_nic(ifname, opts);
	if (ret)
		return ret;
	ret = open_on(q, ifname, opts, rbuf_entries);
	if (ret && !opts->ifname && opts->fd < 0)
		ret = open_another(q, opts, rbuf_entries, ret);

	return ret;
}

static int rbuf_open(struct zcrx_queue *q, const struct zcrx_queue_opts *opts)
{
	int ret;

	ret = check_kernel(ZCRX_HAS_RBUF, "rbuf");
	if (!ret && opts->mem_size > RBUF_MAX_MEM)
		ret = zcrx_fail(-EOPNOTSUPP, "back end rbuf has no room for %zu bytes of memory, 4 GiB at most",
				opts->mem_size);
	if (!ret)
		ret = zc_open(q, opts, RBUF_ENTRIES);
	if (!ret && !q->shared)
		zcrx_rbuf_prepare_wait(&q->zc.ifq);	/* for ever */

	return ret;
}

static int cqe32_open(struct zcrx_queue *q, const struct zcrx_queue_opts *opts)
{
	int ret = check_kernel(ZCRX_HAS_CQE32, "cqe32");

	return ret ? ret : zc_open(q, opts, 0);
}

static int import_ifq(struct zcrx_queue *q, const struct zcrx_shared *shared,
		      int ifq_fd)
{
	int ret = zcrx_ifq_import(&q->ring, ifq_fd, &shared->params,
				  &shared->sizes, &q->area, &q->zc.ifq);

	if (ret)
		return zcrx_fail(ret, "the queue of another process can't be taken over: %s",
				 strerror(-ret));

	return 0;
}

/**
 * zcrx_zc_import() - receive by an ifq that another process has registered
 * @q: the queue, without a back end
 * @shared: what it is
 * @ifq_fd: the ifq, as a file; the caller's
 * @opts: the caller's
 *
 * Return: 0 or a negative errno, with sentence.
 */
int zcrx_zc_import(struct zcrx_queue *q, const struct zcrx_shared *shared,
		   int ifq_fd, const struct zcrx_queue_opts *opts)
{
	bool rbuf = shared->sizes.rbuf;
	int ret;

	q->backend = rbuf ? &zcrx_backend_rbuf : &zcrx_backend_cqe32;
	ret = setup_ring(q, rbuf);
	if (ret)
		return ret;
	ret = map_area(q, shared->mem_fd, opts->mem_size);
	if (!ret)
		ret = import_ifq(q, shared, ifq_fd);
	if (!ret)
		ret = setup_pieces(q, &shared->params, opts);
	if (ret) {
		io_uring_queue_exit(&q->ring);
		zcrx_unregister(&q->zc.ifq);
		zcrx_queue_free_memory(q);
		return ret;
	}
	if (rbuf)
		zcrx_rbuf_prepare_wait(&q->zc.ifq);	/* for ever */

	return 0;
}

/* Whoever imported it may go on: the queue is ours until he lets go of it. */
static void zc_close(struct zcrx_queue *q)
{
	if (q->shared && q->nic)
		zcrx_nic_wait_unbound(q->nic);
	free(q->zc.kept);
	zcrx_unregister(&q->zc.ifq);
	close_nic(q);
	zcrx_queue_free_memory(q);
}

/*
 * Requests
 */

static int zc_check_socket(int fd)
{
	socklen_t len = sizeof(int);
	int protocol;

	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len))
		return zcrx_fail(-errno, "can't tell the protocol of socket %d",
				 fd);
	if (protocol != IPPROTO_TCP)
		return zcrx_fail(-EPROTONOSUPPORT, "socket %d is not TCP, use back end copy",
				 fd);

	return 0;
}

/* A moving average, which does not become 0: below MEAN_OF, nothing leaves. */
static void count_len(struct zcrx_conn *conn, __u32 len)
{
	conn->recent_len += len - conn->recent_len / MEAN_OF;
}

/*
 * The budget is in pieces, and a request is for bytes: as many as so many pieces
 * have, if they are as long as those before were. At first they are thought to
 * be short, for one request.
 */
static __u32 allowance(struct zcrx_conn *conn)
{
	const struct zcrx_queue *q = conn->queue;
	__u32 mean;
	__u64 bytes;

	if (!conn->recent_len)
		conn->recent_len = MEAN_OF * FIRST_MEAN;
	mean = conn->recent_len / MEAN_OF;
	bytes = (__u64)(q->max_held - conn->nr_held) * (mean ? mean : 1);

	return bytes < MAX_ALLOWANCE ? (__u32)bytes : MAX_ALLOWANCE;
}

static void zc_prep(struct io_uring_sqe *sqe, struct zcrx_conn *conn)
{
	conn->allowance = allowance(conn);
	conn->progress = conn->queue->progress;
	zcrx_prep_recv_multishot(sqe, &conn->queue->zc.ifq, conn->fd,
				 conn->allowance, conn->slot);
}

/* If memory has come back since the request began, there is no need to wait. */
static enum zcrx_end why_ended(const struct zcrx_conn *conn, int res)
{
	switch (res) {
	case 0:
		return conn->allowance ? END_STREAM : END_GOES_ON;
	case -ENOMEM:
		return conn->progress == conn->queue->progress ? END_STARVED :
								 END_GOES_ON;
	case -ENOSPC:
	case -ECANCELED:
		return END_GOES_ON;
	}

	return END_STREAM;
}

static unsigned int end_request(struct zcrx_conn *conn, int res,
				struct zcrx_buf *buf)
{
	return zcrx_conn_ended(conn, res, why_ended(conn, res), buf);
}

/* Tell of @len bytes at @off. */
static unsigned int deliver(struct zcrx_queue *q, struct zcrx_conn *conn,
			    __u64 off, __u32 len, struct zcrx_buf *buf)
{
	__u32 id = zcrx_piece_alloc(q);
	unsigned int n;

	q->pieces[id].off = off;
	conn->allowance -= len;
	count_len(conn, len);
	n = zcrx_queue_deliver(q, conn, id, zcrx_data(&q->zc.ifq, off), len,
			       buf);
	if (conn->allowance)
		zcrx_conn_limit(conn);

	return n;
}

/*
 * Received buffers, by CQE
 *
 * If there is no piece for one, it is taken off the ring all the same, with those
 * behind it: among them may be the notification of a send, which has the piece.
 * Its connection is not received from any more until there are pieces.
 */

static bool must_keep(const struct zcrx_queue *q)
{
	return q->zc.nr_kept || q->free_piece == NO_PIECE;
}

/* Makes room where those were that have been told. */
static void forget_told(struct zcrx_zc *zc)
{
	zc->nr_kept -= zc->first_kept;
	memmove(zc->kept, zc->kept + zc->first_kept,
		zc->nr_kept * sizeof(*zc->kept));
	zc->first_kept = 0;
}

static bool make_room(struct zcrx_zc *zc)
{
	unsigned int max = zc->max_kept ? 2 * zc->max_kept : CQ32_ENTRIES;
	struct zcrx_kept *kept;

	if (zc->nr_kept < zc->max_kept)
		return true;
	if (zc->first_kept > zc->max_kept / 2) {
		forget_told(zc);
		return true;
	}
	kept = reallocarray(zc->kept, max, sizeof(*kept));
	if (!kept)
		return false;
	zc->kept = kept;
	zc->max_kept = max;

	return true;
}

static bool keep(struct zcrx_queue *q, const struct zcrx_kept *event)
{
	q->stuck = !make_room(&q->zc);
	if (q->stuck)
		return false;
	q->zc.kept[q->zc.nr_kept++] = *event;
	if (event->has_data)
		zcrx_conn_cancel(event->conn);

	return true;
}

static unsigned int tell(struct zcrx_queue *q, const struct zcrx_kept *event,
			 struct zcrx_buf *buf)
{
	if (event->has_data)
		return deliver(q, event->conn, event->off, (__u32)event->res,
			       buf);

	return end_request(event->conn, event->res, buf);
}

static unsigned int tell_kept(struct zcrx_queue *q, struct zcrx_buf *bufs,
			      unsigned int nr)
{
	struct zcrx_zc *zc = &q->zc;
	unsigned int n = 0;

	while (zc->first_kept < zc->nr_kept && n < nr &&
	       q->free_piece != NO_PIECE)
		n += tell(q, &zc->kept[zc->first_kept++], &bufs[n]);
	if (zc->first_kept == zc->nr_kept)
		zc->first_kept = zc->nr_kept = 0;

	return n;
}

static unsigned int cqe32_read(struct zcrx_queue *q, struct zcrx_buf *bufs,
			       unsigned int nr)
{
	unsigned int n = tell_kept(q, bufs, nr), head, seen = 0;
	struct io_uring_cqe *cqe;
	struct zcrx_kept event;

	q->stuck = false;
	io_uring_for_each_cqe(&q->ring, head, cqe) {
		if (n == nr)
			break;
		event.conn = zcrx_queue_cqe_conn(q, cqe);
		event.has_data = zcrx_cqe32_has_data(cqe);
		event.off = event.has_data ? zcrx_cqe32_off(cqe) : 0;
		event.res = cqe->res;
		if (event.conn && must_keep(q)) {
			if (!keep(q, &event))
				break;
		} else if (event.conn) {
			n += tell(q, &event, &bufs[n]);
		}
		seen++;
	}
	io_uring_cq_advance(&q->ring, seen);

	return n;
}

/*
 * Received buffers, by the rbuf ring
 */

/* What a request has posted is in the ring before its last CQE. */
static void read_ends(struct zcrx_queue *q)
{
	struct zcrx_ifq *ifq = &q->zc.ifq;
	unsigned int head, seen = 0;
	struct io_uring_cqe *cqe;
	struct zcrx_conn *conn;

	io_uring_for_each_cqe(&q->ring, head, cqe) {
		seen++;
		conn = zcrx_queue_cqe_conn(q, cqe);
		if (!conn || cqe->flags & IORING_CQE_F_MORE)
			continue;
		conn->end_at = ifq->rbuf.consumer + zcrx_rbuf_peek(ifq);
		conn->end_res = cqe->res;
		zcrx_conn_push(&q->zc.ending, conn);
	}
	io_uring_cq_advance(&q->ring, seen);
}

static bool has_ended(const struct zcrx_conn *conn, __u32 consumer)
{
	return (__s32)(consumer - conn->end_at) >= 0;
}

static unsigned int rbuf_read(struct zcrx_queue *q, struct zcrx_buf *bufs,
			      unsigned int nr)
{
	struct zcrx_conn_list *ending = &q->zc.ending;
	struct zcrx_ifq *ifq = &q->zc.ifq;
	const struct zcrx_rbuf_cqe *rbuf;
	unsigned int seen = 0, n = 0;
	struct zcrx_conn *conn;

	read_ends(q);
	while (n < nr) {
		if (ending->first &&
		    has_ended(ending->first, ifq->rbuf.consumer + seen)) {
			conn = zcrx_conn_pop(ending);
			n += end_request(conn, conn->end_res, &bufs[n]);
			continue;
		}
		if (q->free_piece == NO_PIECE)
			break;
		rbuf = zcrx_rbuf_read(ifq, seen);
		if (!rbuf)
			break;
		n += deliver(q, q->conns[rbuf->tag], zcrx_rbuf_off(rbuf),
			     rbuf->len, &bufs[n]);
		seen++;
	}
	if (seen) {
		zcrx_rbuf_release(ifq, seen);
		q->zc.gave_back = true;
	}

	return n;
}

/*
 * Giving back
 */

static void zc_give_back(struct zcrx_queue *q, __u32 id)
{
	struct zcrx_piece *piece = &q->pieces[id];

	if (!zcrx_refill_reserve(&q->zc.ifq, 1)) {
		piece->next = q->zc.pending;
		q->zc.pending = id;
		return;
	}
	zcrx_refill_write(&q->zc.ifq, piece->off);
	q->zc.gave_back = true;
	q->progress++;
	zcrx_piece_free(q, id);
}

/* What the refill ring had no room for before */
static void retry_pending(struct zcrx_queue *q)
{
	__u32 id = q->zc.pending, next;

	q->zc.pending = NO_PIECE;
	for (; id != NO_PIECE; id = next) {
		next = q->pieces[id].next;
		zc_give_back(q, id);
	}
}

static void zc_flush(struct zcrx_queue *q)
{
	zcrx_refill_submit(&q->zc.ifq);
	if (q->zc.pending == NO_PIECE)
		return;

	/* Kernels that do not know this take entries when they need chunks. */
	zcrx_resume(&q->zc.ifq);
	retry_pending(q);
	zcrx_refill_submit(&q->zc.ifq);
}

/* As many as memory was given back for */
static unsigned int zc_nr_chances(struct zcrx_queue *q)
{
	__u64 nr = q->progress - q->zc.tried_at;

	q->zc.tried_at = q->progress;

	return nr < UINT32_MAX ? (unsigned int)nr : UINT32_MAX;
}

/*
 * To copy to, mainline takes chunks that it knows to be free: it looks into the
 * refill ring when the NIC needs some, and when it is told to.
 */
static unsigned int cqe32_nr_chances(struct zcrx_queue *q)
{
	unsigned int nr = zc_nr_chances(q);

	if (nr) {
		zcrx_refill_submit(&q->zc.ifq);
		zcrx_resume(&q->zc.ifq);
	}

	return nr;
}

static bool cqe32_wants_retry(struct zcrx_queue *q)
{
	return q->nr_starved;
}

/* Of a request that could not go on when it was kicked, or was not kicked */
static bool rbuf_wants_retry(struct zcrx_queue *q)
{
	return q->nr_starved || zcrx_needs_kick(&q->zc.ifq);
}

/* How much has come back is not known: all that are starved have a chance. */
static void zc_retry(struct zcrx_queue *q)
{
	q->progress += q->nr_starved ? q->nr_starved : 1;
	q->zc.gave_back = true;
}

/*
 * With all chunks held the NIC drops what comes, and there is no CQE to wake. Nor
 * is there one for what was kept, if it has pieces now.
 */
static bool cqe32_prepare_wait(struct zcrx_queue *q)
{
	q->wants_release = q->nr_out;
	return q->zc.nr_kept && q->free_piece != NO_PIECE;
}

/*
 * A request that pauses while the owner sleeps wakes it, and then waits for what
 * the application holds, so that any release may help; or for what sockets hold,
 * which is what the retry is for.
 */
static bool rbuf_prepare_wait(struct zcrx_queue *q)
{
	struct zcrx_ifq *ifq = &q->zc.ifq;

	q->wants_release = q->nr_out;
	/* MB: C, D. What fails is tried again: gave_back stays. */
	if (!zcrx_needs_kick(ifq) || (q->zc.gave_back && !zcrx_resume(ifq)))
		q->zc.gave_back = false;

	return q->free_piece != NO_PIECE && zcrx_rbuf_peek(ifq);
}

const struct zcrx_backend zcrx_backend_rbuf = {
	.name		= "rbuf",
	.open		= rbuf_open,
	.close		= zc_close,
	.check_socket	= zc_check_socket,
	.prep		= zc_prep,
	.read		= rbuf_read,
	.give_back	= zc_give_back,
	.flush		= zc_flush,
	.nr_chances	= zc_nr_chances,
	.prepare_wait	= rbuf_prepare_wait,
	.wants_retry	= rbuf_wants_retry,
	.retry		= zc_retry,
};

const struct zcrx_backend zcrx_backend_cqe32 = {
	.name		= "cqe32",
	.open		= cqe32_open,
	.close		= zc_close,
	.check_socket	= zc_check_socket,
	.prep		= zc_prep,
	.read		= cqe32_read,
	.give_back	= zc_give_back,
	.flush		= zc_flush,
	.nr_chances	= cqe32_nr_chances,
	.prepare_wait	= cqe32_prepare_wait,
	.wants_retry	= cqe32_wants_retry,
	.retry		= zc_retry,
};
