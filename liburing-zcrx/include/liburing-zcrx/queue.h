/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Queue objects: receive TCP connections in the best way that a machine has,
 * through the same few calls. Three back ends:
 *
 *   rbuf	zero copy, received buffers in an rbuf ring
 *   cqe32	zero copy, as the mainline kernel has it
 *   copy	recv() into buffers of the queue; Linux 6.0, no privilege
 *
 * Received buffers belong to the application until it releases them, in any
 * order, as a whole or in parts, from any thread. A connection that holds its
 * budget of them is not received from until some come back; what is sent to it
 * waits in its socket.
 *
 * Instead of being released a buffer can be sent, to any socket and without a
 * copy: then it comes back when the kernel is done with it.
 *
 * A queue belongs to the first thread that adds a connection or receives. That
 * thread adds, removes, receives, sends and closes. Others only release and wake,
 * and what they release is chained to a stack that the owner empties:
 *
 *   any thread					owner
 *     WRITE:   next of each piece		TAKE:  stack  EXCHANGE.acq (A)
 *     SUBMIT:  stack  CAS.rel (A)		READ:  next of each piece
 *
 *   any thread					owner
 *     SUBMIT:  stack				asleep = true
 *     MB (B)					MB (B)
 *     asleep? then wake			stack empty? then sleep
 *
 * (A) orders what a thread did with the bytes, and its writes of next, before
 * the owner gives the memory to the kernel. Nothing is taken off the stack but
 * all of it, so that an entry which comes back meanwhile does no harm. By (B)
 * either the owner sees what was released, or the thread sees that it has to
 * wake; it does so only if somebody may wait for memory: without copying that may
 * be the NIC. The owner's own releases take no atomic operation.
 */
#ifndef LIBURING_ZCRX_QUEUE_H
#define LIBURING_ZCRX_QUEUE_H

#include <stddef.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zcrx_queue;
struct zcrx_conn;
struct zcrx_out;

/**
 * struct zcrx_queue_opts - what kind of queue to open
 * @size: of the struct, in bytes
 * @ifname: interface that the connections come by, of a VLAN the one below is
 *	    taken; "lo" for zero copy's calls without a NIC, where everything is
 *	    copied; or NULL
 * @fd: a connected or listening socket, to find the interface by; or -1
 * @backend: "rbuf", "cqe32" or "copy"; NULL for the best that can be had
 * @rxq: receive queue of the NIC; -1: the library picks one
 * @mem: memory to receive into, page aligned, the caller's; in use until all
 *	 sockets that were received from have been drained or closed; NULL: the
 *	 library allocates
 * @mem_size: in bytes, whole pages; 0 for 64 MiB
 * @conn_budget: bytes of that memory that a connection may hold, counted in
 *		 whole buffers; 0 for a sixteenth of it
 * @chunk_size: bytes that the NIC gets in one piece, a power of two, from a page
 *		on; 0: the library chooses
 */
struct zcrx_queue_opts {
	size_t		size;
	const char	*ifname;
	int		fd;
	const char	*backend;
	int		rxq;
	void		*mem;
	size_t		mem_size;
	size_t		conn_budget;
	size_t		chunk_size;
};

/**
 * struct zcrx_buf - what was received from a connection
 * @data: the bytes, to read and to write until they are released or sent; NULL:
 *	  the connection has ended
 * @len: their number
 * @res: 0; of a connection that has ended by an error, a negative errno
 * @id: the library's
 * @conn: the connection; NULL: nothing was received, an out has ended
 * @tag: as given to zcrx_conn_add() or zcrx_out_add()
 */
struct zcrx_buf {
	void			*data;
	unsigned int		len;
	int			res;
	unsigned int		id;
	struct zcrx_conn	*conn;
	void			*tag;
};

/**
 * struct zcrx_out_counters - how bytes were sent that the kernel is done with
 * @zc_bytes: from where they had been received
 * @copied_bytes: by copying them, whatever the reason
 */
struct zcrx_out_counters {
	unsigned long long	zc_bytes;
	unsigned long long	copied_bytes;
};

/**
 * zcrx_queue_opts_init() - let the library choose everything
 * @opts: filled in
 */
static inline void zcrx_queue_opts_init(struct zcrx_queue_opts *opts)
{
	memset(opts, 0, sizeof(*opts));
	opts->size = sizeof(*opts);
	opts->fd = -1;
	opts->rxq = -1;
}

/**
 * struct zcrx_grant - what another process asks for, and what it gets
 * @by_rss: connections may also be steered by the RSS table, which brings those
 *	    of others, whose bytes the other process can read and change then
 * @why: a sentence, if it is refused
 * @opts: ifname NULL: any interface; backend NULL: the best; mem_size; to be
 *	  changed as it is granted. Stays the last one, to which more is added
 */
struct zcrx_grant {
	int			by_rss;
	char			why[256];
	struct zcrx_queue_opts	opts;
};

int zcrx_queue_open(struct zcrx_queue **queue,
		    const struct zcrx_queue_opts *opts);
int zcrx_queue_close(struct zcrx_queue *queue);

int zcrx_export(int sock, int (*allow)(struct zcrx_grant *grant, void *arg),
		void *arg);
int zcrx_import(struct zcrx_queue **queue, int sock,
		const struct zcrx_queue_opts *opts);

const char *zcrx_queue_backend(const struct zcrx_queue *queue);
const char *zcrx_queue_why(const struct zcrx_queue *queue);
int zcrx_queue_poll_fd(struct zcrx_queue *queue);

int zcrx_conn_add(struct zcrx_queue *queue, int fd, void *tag,
		  struct zcrx_conn **conn);
int zcrx_conn_remove(struct zcrx_conn *conn);

void zcrx_queue_wake(struct zcrx_queue *queue);

int zcrx_receive(struct zcrx_queue *queue, struct zcrx_buf *bufs,
		 unsigned int nr, int timeout_ms);
void zcrx_release(struct zcrx_queue *queue, const struct zcrx_buf *bufs,
		  unsigned int nr);
void zcrx_release_part(struct zcrx_queue *queue, const struct zcrx_buf *buf,
		       size_t off, size_t len);

int zcrx_out_add(struct zcrx_queue *queue, int fd, void *tag,
		 struct zcrx_out **out);
int zcrx_send(struct zcrx_out *out, const struct zcrx_buf *buf, size_t off,
	      size_t len);
int zcrx_out_finish(struct zcrx_out *out);
int zcrx_out_remove(struct zcrx_out *out);
void zcrx_out_read_counters(const struct zcrx_out *out,
			    struct zcrx_out_counters *counters);

#ifdef __cplusplus
}
#endif

#endif
