/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The inside of queue objects. All of it is the owner's, but for what other
 * threads release.
 *
 * A *piece* stands for a received buffer, from when the owner learns of it (or,
 * for copying, from when its memory is given to the kernel) until the memory is
 * given back. Pieces are numbered; zcrx_buf.id is the number.
 */
#ifndef ZCRX_QUEUE_H
#define ZCRX_QUEUE_H

#include <liburing-zcrx.h>
#include <sys/types.h>

#define NO_PIECE	UINT32_MAX

#define CQ_ENTRIES	4096

/* user_data of requests that are no connection's */
#define DATA_NONE	0
#define DATA_WAKE	1
#define DATA_RETRY	2
/* In that of a send: all are addresses, but for this bit */
#define DATA_SEND	4

struct zcrx_nic;
struct zcrx_shared;

/**
 * struct zcrx_piece - a received buffer
 * @conn: received from
 * @off: zero copy: what the kernel calls it
 * @left: bytes that have not been released by part
 * @next: in a list of pieces
 */
struct zcrx_piece {
	struct zcrx_conn	*conn;
	__u64			off;
	__u32			left;
	__u32			next;
};

/**
 * enum zcrx_conn_state - what a connection waits for
 * @CONN_ARMED: its request is under way
 * @CONN_READY: for a request, in zcrx_queue.ready
 * @CONN_STARVED: for memory that any connection releases, in zcrx_queue.starved
 * @CONN_DELAYED: for the next DATA_RETRY, in zcrx_queue.delayed
 * @CONN_PAUSED: for what it holds itself
 * @CONN_ENDED: for nothing
 */
enum zcrx_conn_state {
	CONN_ARMED,
	CONN_READY,
	CONN_STARVED,
	CONN_DELAYED,
	CONN_PAUSED,
	CONN_ENDED,
};

/**
 * enum zcrx_end - why a request has ended
 * @END_STREAM: with its connection
 * @END_GOES_ON: for now; the next one can begin
 * @END_STARVED: for want of memory
 * @END_DELAYED: for want of something of the kernel's
 */
enum zcrx_end {
	END_STREAM,
	END_GOES_ON,
	END_STARVED,
	END_DELAYED,
};

/**
 * struct zcrx_conn - a connection
 * @queue: it belongs to
 * @next: in a list of connections
 * @tag: the application's
 * @fd: the application's
 * @slot: index in zcrx_queue.conns
 * @state: what it waits for
 * @removed: by the application; dead when nothing refers to it
 * @nr_held: pieces that have not been released
 * @drained: copying: its socket was left empty
 * @recent_len: zero copy: bytes in recent pieces, in all
 * @allowance: zero copy: bytes that its request may still receive
 * @progress: zero copy: zcrx_queue.progress when its request began
 * @cancel_round: zcrx_queue.round when its request was last cancelled
 * @end_at: rbuf: where in the ring its request ended
 * @end_res: rbuf: how
 */
struct zcrx_conn {
	struct zcrx_queue	*queue;
	struct zcrx_conn	*next;
	void			*tag;
	int			fd;
	unsigned int		slot;
	enum zcrx_conn_state	state;
	bool			removed;
	unsigned int		nr_held;
	bool			drained;
	__u32			recent_len;
	__u32			allowance;
	__u64			progress;
	__u64			cancel_round;
	__u32			end_at;
	int			end_res;
};

struct zcrx_conn_list {
	struct zcrx_conn	*first;
	struct zcrx_conn	*last;
};

/**
 * enum zcrx_out_state - what an out waits for
 * @OUT_IDLE: for the application
 * @OUT_READY: for a request, in zcrx_sends.ready
 * @OUT_BUSY: its request is under way
 * @OUT_DELAYED: for the next DATA_RETRY, in zcrx_sends.delayed
 * @OUT_FLUSHING: for the kernel to be done with the last bytes
 * @OUT_ENDED: to have its end told, in zcrx_sends.ended
 * @OUT_TOLD: for nothing
 */
enum zcrx_out_state {
	OUT_IDLE,
	OUT_READY,
	OUT_BUSY,
	OUT_DELAYED,
	OUT_FLUSHING,
	OUT_ENDED,
	OUT_TOLD,
};

/**
 * enum zcrx_way - how an out sends, best first
 * @WAY_REPORT: without a copy, and the kernel reports if it had to copy
 * @WAY_ZC: without a copy; Linux before 6.2
 * @WAY_COPY: by copying
 */
enum zcrx_way {
	WAY_REPORT,
	WAY_ZC,
	WAY_COPY,
};

/**
 * struct zcrx_sending - what one zcrx_send() has been given
 * @out: sent on
 * @next: in zcrx_out.first or zcrx_sends.unused
 * @data: the bytes
 * @len: their number
 * @sent: how many the socket has taken
 * @id: piece that they are of
 * @refs: who needs it: the list of its out, and each of its requests until the
 *	  kernel is done with it
 * @copied: not all went without a copy
 */
struct zcrx_sending {
	struct zcrx_out		*out;
	struct zcrx_sending	*next;
	char			*data;
	__u32			len;
	__u32			sent;
	__u32			id;
	unsigned int		refs;
	bool			copied;
};

/**
 * struct zcrx_out - a socket to send on
 * @queue: it belongs to
 * @next: in a list of outs
 * @next_all: in zcrx_sends.all
 * @prev_all: what points to it there
 * @tag: the application's
 * @fd: the application's
 * @state: what it waits for
 * @way: it sends by
 * @finishing: nothing more will be given to it
 * @removed: by the application; dead when nothing refers to it
 * @res: how it ended
 * @first: to be sent, in this order; while OUT_BUSY, the first is being sent
 * @last: of them
 * @nr_sendings: those that the kernel is not done with, and these
 * @counters: of those that it is done with
 */
struct zcrx_out {
	struct zcrx_queue		*queue;
	struct zcrx_out			*next;
	struct zcrx_out			*next_all;
	struct zcrx_out			**prev_all;
	void				*tag;
	int				fd;
	enum zcrx_out_state		state;
	enum zcrx_way			way;
	bool				finishing;
	bool				removed;
	int				res;
	struct zcrx_sending		*first;
	struct zcrx_sending		*last;
	unsigned int			nr_sendings;
	struct zcrx_out_counters	counters;
};

struct zcrx_out_list {
	struct zcrx_out	*first;
	struct zcrx_out	*last;
};

struct zcrx_sending_block;

/**
 * struct zcrx_sends - a queue's outs
 * @fixed: the area is registered as buffers of the ring
 * @gave_back: pieces, and the back end has not been told to flush
 * @notified: whom the last CQE was a notification for; NULL: it was none
 * @was_copied: what that was taken for
 * @unused: sendings
 * @blocks: of sendings
 * @all: outs
 * @ready: outs to begin a request for
 * @delayed: outs to try again after a while
 * @ended: outs whose end is to be told
 * @dead: outs to free when the application asks for more: until then it may use
 *	  them; in the three lists before, removed ones are on their way to this one
 */
struct zcrx_sends {
	bool				fixed;
	bool				gave_back;
	const struct zcrx_out		*notified;
	bool				was_copied;
	struct zcrx_sending		*unused;
	struct zcrx_sending_block	*blocks;
	struct zcrx_out			*all;
	struct zcrx_out_list		ready;
	struct zcrx_out_list		delayed;
	struct zcrx_out_list		ended;
	struct zcrx_out_list		dead;
};

/**
 * struct zcrx_backend - a way to receive
 * @name: of it
 * @open: make ring and memory for it; on failure everything is undone
 * @close: after the ring is gone
 * @check_socket: can it be received from? 0 or a negative errno, with sentence
 * @prep: fill in a connection's request, all but user_data
 * @read: tell what has come; returns the number of buffers
 * @give_back: a piece to the kernel, if it can be
 * @flush: what was given back is for the kernel to see
 * @nr_chances: how many starved connections can be tried now? May ask the kernel
 * @prepare_wait: before sleeping; true if there is something to read already
 * @wants_retry: may memory come back that nobody tells of? NULL: never
 * @retry: it may have
 */
struct zcrx_backend {
	const char	*name;
	int		(*open)(struct zcrx_queue *q,
				const struct zcrx_queue_opts *opts);
	void		(*close)(struct zcrx_queue *q);
	int		(*check_socket)(int fd);
	void		(*prep)(struct io_uring_sqe *sqe,
				struct zcrx_conn *conn);
	unsigned int	(*read)(struct zcrx_queue *q, struct zcrx_buf *bufs,
				unsigned int nr);
	void		(*give_back)(struct zcrx_queue *q, __u32 id);
	void		(*flush)(struct zcrx_queue *q);
	unsigned int	(*nr_chances)(struct zcrx_queue *q);
	bool		(*prepare_wait)(struct zcrx_queue *q);
	bool		(*wants_retry)(struct zcrx_queue *q);
	void		(*retry)(struct zcrx_queue *q);
};

/**
 * struct zcrx_copy - the back end that copies
 * @br: ring of buffers for the kernel
 * @nr_entries: its size
 * @nr_posted: how many buffers are in it
 * @recent_len: bytes that recent ones were filled with, in all
 * @in_demand: requests to go until there are thought to be enough buffers
 */
struct zcrx_copy {
	struct io_uring_buf_ring	*br;
	unsigned int			nr_entries;
	unsigned int			nr_posted;
	unsigned int			recent_len;
	unsigned int			in_demand;
};

/**
 * struct zcrx_kept - a CQE that waits for a piece, or for one that does
 * @conn: whose it is
 * @off: where the bytes are
 * @res: their number, or how the request ended
 * @has_data: which of it
 */
struct zcrx_kept {
	struct zcrx_conn	*conn;
	__u64			off;
	int			res;
	bool			has_data;
};

/**
 * struct zcrx_zc - the back ends that do not
 * @ifq: as registered
 * @tried_at: zcrx_queue.progress when starved connections were last tried
 * @pending: pieces that the refill ring had no room for
 * @gave_back: something that a paused request may wait for
 * @ending: connections whose last buffers may be in the rbuf ring
 * @kept: cqe32: CQEs that were taken off the ring
 * @first_kept: first of them that has not been told
 * @nr_kept: end of them
 * @max_kept: there is room for
 */
struct zcrx_zc {
	struct zcrx_ifq		ifq;
	__u64			tried_at;
	__u32			pending;
	bool			gave_back;
	struct zcrx_conn_list	ending;
	struct zcrx_kept	*kept;
	unsigned int		first_kept;
	unsigned int		nr_kept;
	unsigned int		max_kept;
};

/**
 * struct zcrx_queue - a queue object
 * @ring: of the back end
 * @backend: the way it receives
 * @copy: the back end's
 * @zc: the back end's
 * @sends: what it sends
 * @nic: NULL: none is set up
 * @shared: it is received by in another process, or NULL
 * @exporter: another process has set it up: connection to it, or -1
 * @exporter_mute: it has not answered
 * @area: memory to receive into
 * @own_area: allocated by the library
 * @why: it is not a better back end
 * @pid: the process that opened it
 * @owned: it has an owner
 * @owner: the thread that adds and receives, as by gettid(): pthread_t is used
 *	   again at once when a thread is gone
 * @pieces: all of them
 * @nr_pieces: their number
 * @free_piece: first in the list of those not in use
 * @nr_out: pieces that the application has
 * @piece_size: bytes of the area that a piece keeps busy
 * @max_held: pieces that a connection may hold
 * @conns: by slot, NULL: free
 * @free_slots: slots that are free
 * @nr_slots: size of both
 * @nr_free_slots: how many of @free_slots are valid
 * @ready: connections to begin a request for
 * @starved: connections that wait for memory, and removed ones
 * @delayed: connections to try again after a while, and removed ones
 * @dead: connections to free when the application asks for more: until then it
 *	  may have their last buffers
 * @nr_starved: those that are starved, and not removed
 * @nr_waiting: those that are starved or paused, and not removed
 * @progress: zero copy: how often memory was given back
 * @round: how often the kernel was entered
 * @wants_release: kernel or back end may wait for memory, beside connections
 * @stuck: there are CQEs, and neither a piece for them nor memory to keep them
 * @wake_armed: a request looks at @wake_fd
 * @retry_armed: a timeout is under way
 * @retry_ms: how long the next one is
 * @retry_time: the same, for the kernel
 * @wake_fd: eventfd, to wake the owner
 * @poll_fd: epoll, for the application to poll
 * @event_fd: eventfd, in it
 * @polled: the application has asked for it
 * @poll_armed: the ring is in it, too
 * @woken: by zcrx_queue_wake(), not told yet
 * @asleep: the owner is, and wants to be woken
 * @released: first in the list of pieces that other threads released
 */
struct zcrx_queue {
	struct io_uring			ring;
	const struct zcrx_backend	*backend;
	union {
		struct zcrx_copy	copy;
		struct zcrx_zc		zc;
	};
	struct zcrx_sends		sends;
	struct zcrx_nic			*nic;
	struct zcrx_shared		*shared;
	int				exporter;
	bool				exporter_mute;
	struct zcrx_area		area;
	bool				own_area;
	char				why[256];

	pid_t				pid;
	bool				owned;
	pid_t				owner;

	struct zcrx_piece		*pieces;
	unsigned int			nr_pieces;
	__u32				free_piece;
	unsigned int			nr_out;
	unsigned int			piece_size;
	unsigned int			max_held;

	struct zcrx_conn		**conns;
	unsigned int			*free_slots;
	unsigned int			nr_slots;
	unsigned int			nr_free_slots;
	struct zcrx_conn_list		ready;
	struct zcrx_conn_list		starved;
	struct zcrx_conn_list		delayed;
	struct zcrx_conn_list		dead;
	unsigned int			nr_starved;
	unsigned int			nr_waiting;
	__u64				progress;
	__u64				round;
	bool				wants_release;
	bool				stuck;
	bool				wake_armed;
	bool				retry_armed;
	unsigned int			retry_ms;
	struct __kernel_timespec	retry_time;

	int				wake_fd;
	int				poll_fd;
	int				event_fd;
	bool				polled;
	bool				poll_armed;
	bool				woken;
	bool				asleep __attribute__((aligned(64)));
	__u32				released;
};

extern const struct zcrx_backend zcrx_backend_rbuf;
extern const struct zcrx_backend zcrx_backend_cqe32;
extern const struct zcrx_backend zcrx_backend_copy;

/* queue.c */
pid_t zcrx_thread(void);
int zcrx_queue_new(struct zcrx_queue **queue);
void zcrx_queue_free(struct zcrx_queue *q);
int zcrx_queue_take_opts(struct zcrx_queue_opts *opts,
			 const struct zcrx_queue_opts *from);
int zcrx_queue_open_shared(struct zcrx_queue **queue,
			   const struct zcrx_queue_opts *opts,
			   struct zcrx_shared *shared);
int zcrx_queue_own(struct zcrx_queue *q);
int zcrx_queue_setup_ring(struct zcrx_queue *q, unsigned int flags,
			  unsigned int cq_entries);
int zcrx_queue_setup_memory(struct zcrx_queue *q,
			    const struct zcrx_queue_opts *opts,
			    unsigned int area_flags);
int zcrx_queue_setup_pieces(struct zcrx_queue *q, unsigned int nr,
			    unsigned int piece_size,
			    const struct zcrx_queue_opts *opts);
void zcrx_queue_free_memory(struct zcrx_queue *q);
struct io_uring_sqe *zcrx_queue_sqe(struct zcrx_queue *q);
bool zcrx_queue_cancel(struct zcrx_queue *q, __u64 user_data);
bool zcrx_queue_cancel_now(struct zcrx_queue *q, __u64 user_data);

/* queue_zc.c */
int zcrx_zc_import(struct zcrx_queue *q, const struct zcrx_shared *shared,
		   int ifq_fd, const struct zcrx_queue_opts *opts);

/* queue_conn.c */
void zcrx_conn_push(struct zcrx_conn_list *list, struct zcrx_conn *conn);
struct zcrx_conn *zcrx_conn_pop(struct zcrx_conn_list *list);
void zcrx_conn_arm_all(struct zcrx_queue *q);
void zcrx_conn_retry_delayed(struct zcrx_queue *q);
void zcrx_conn_cancel(struct zcrx_conn *conn);
void zcrx_conn_limit(struct zcrx_conn *conn);
unsigned int zcrx_conn_ended(struct zcrx_conn *conn, int res,
			     enum zcrx_end end, struct zcrx_buf *buf);
void zcrx_conn_released(struct zcrx_conn *conn);
void zcrx_conn_free_dead(struct zcrx_queue *q);
void zcrx_conn_free_all(struct zcrx_queue *q);
int zcrx_check_stream(int fd);

/* queue_receive.c */
unsigned int zcrx_queue_deliver(struct zcrx_queue *q, struct zcrx_conn *conn,
				__u32 id, void *data, unsigned int len,
				struct zcrx_buf *buf);
struct zcrx_conn *zcrx_queue_cqe_conn(struct zcrx_queue *q,
				      const struct io_uring_cqe *cqe);
void zcrx_queue_arm_wake(struct zcrx_queue *q);

/* queue_poll.c */
int zcrx_poll_open(struct zcrx_queue *q);
void zcrx_poll_close(struct zcrx_queue *q);
int zcrx_poll_drain(struct zcrx_queue *q);
void zcrx_poll_wake(struct zcrx_queue *q);

/* queue_send.c */
bool zcrx_out_arm_all(struct zcrx_queue *q);
void zcrx_out_retry_delayed(struct zcrx_queue *q);
void zcrx_out_complete(const struct io_uring_cqe *cqe);
unsigned int zcrx_out_tell_ends(struct zcrx_queue *q, struct zcrx_buf *bufs,
				unsigned int nr);
void zcrx_out_free_dead(struct zcrx_queue *q);
void zcrx_out_free_all(struct zcrx_queue *q);

/* queue_release.c */
void zcrx_queue_wake_owner(struct zcrx_queue *q);
void zcrx_queue_flush_own(struct zcrx_queue *q);
void zcrx_queue_take_released(struct zcrx_queue *q);
void zcrx_queue_release_piece(struct zcrx_queue *q, __u32 id);

static inline void zcrx_piece_free(struct zcrx_queue *q, __u32 id)
{
	q->pieces[id].next = q->free_piece;
	q->free_piece = id;
}

static inline __u32 zcrx_piece_alloc(struct zcrx_queue *q)
{
	__u32 id = q->free_piece;

	if (id != NO_PIECE)
		q->free_piece = q->pieces[id].next;

	return id;
}

/* Bytes of a piece are given back; true if these were the last ones. */
static inline bool zcrx_piece_put(struct zcrx_piece *piece, __u32 len)
{
	return !__atomic_sub_fetch(&piece->left, len, __ATOMIC_ACQ_REL);
}

static inline bool zcrx_conn_at_budget(const struct zcrx_conn *conn)
{
	return conn->nr_held >= conn->queue->max_held;
}

#endif
