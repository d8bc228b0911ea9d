// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * storage: receive TCP connections, write each to a file, or onto a disk, from
 * where it arrived.
 *
 *	storage IFNAME PORT FILE...
 *
 * The memory of the queue is also registered with a second ring, which writes
 * from it with O_DIRECT. The NIC puts payload there and the disk takes it from
 * there. In between are blocks: a direct write begins and ends with a block of the
 * file, and in memory with a multiple of what the device asks for. TCP does not
 * know of that. So, of a buffer that was received,
 *
 *	file	| block | block | block | block | block | block |
 *	buffer	    <================================>
 *	write	|join   |       in place        |join   |
 *
 * the whole blocks are written in place if they are aligned in memory, too. The
 * ends are joined with those of its neighbours by copying, as is all that is not
 * aligned. What was copied for which reason is told at the end.
 *
 * How much that is depends on where segments end. Those of 8948 bytes (MTU 9000)
 * move each chunk's place in the file by 8948 bytes, and so each chunk has ends to
 * be copied. Hence the peer is asked for segments of a page, and chunks are pages:
 * then pages of the stream are chunks of the memory, and nothing need be copied as
 * long as the peer does not send shorter ones on the way. It does where its window
 * ends inside a page, mostly at a multiple of 128 bytes, after which files with
 * blocks of 512 bytes fare better than those with blocks of a page. The first window
 * is 65535 bytes, an odd number: ten segments, with which senders begin, have to fit
 * into it. So they are of one page, and not of two.
 *
 * A FILE may be a block device that nothing else uses: a disk, or a part of one.
 * It is overwritten from its beginning to the end of the last byte's block; how
 * many bytes were received is told at the end, and nowhere on the disk.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <liburing-zcrx.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "listen.h"

#define PAGE		4096U
#define MEM_SIZE	(32U << 20)
#define NR_BUFS		64
#define NR_WRITES	64
#define STAGE_SIZE	(32U << 10)	/* whole blocks */
#define MAX_FILES	(NR_WRITES / 2)	/* each may keep a write */

/* Registered buffers of the ring that writes */
#define MEM		0
#define STAGE		1

/* Headers of IPv6 and TCP, and the timestamps in each segment */
#define TIMESTAMPS	12U
#define HEADERS		(40U + 20U + TIMESTAMPS)

/* pos: of what comes next. block, align: what the file and its device ask for. */
struct file {
	const char	*name;
	bool		disk;
	int		fd;
	int		sock;
	int		res;
	uint64_t	pos;
	size_t		block;
	size_t		align;
	struct write	*staged;	/* ends at pos; always, inside a block */
	uint64_t	in_place;
	uint64_t	joined;
	uint64_t	misaligned;
};

/* Of a buffer's bytes, which is released when they are written, or of copied ones */
struct write {
	struct write	*next;
	struct file	*file;
	struct zcrx_buf	buf;
	char		*stage;
	char		*data;
	uint64_t	pos;
	size_t		len;
};

static struct zcrx_queue *queue;
static struct io_uring ring;
static bool fixed;		/* buffers are registered */
static bool polled;		/* a request waits for the queue */
static struct write writes[NR_WRITES];
static struct write *free_writes;
static unsigned int nr_writing;
static struct file files[MAX_FILES];
static unsigned int nr_files, nr_open;

static void check(int ret, const char *what)
{
	if (ret < 0)
		errx(1, "%s: %s", what, strerror(-ret));
}

/*
 * Writing
 */

static struct io_uring_sqe *get_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe) {
		check(io_uring_submit(&ring), "submit");
		sqe = io_uring_get_sqe(&ring);
	}

	return sqe;
}

/*
 * Where pages are registered, disks of Linux 6.12 want whole blocks in each, and
 * refuse a block that begins in one page and ends in the next (EINVAL). Where they
 * are not, only the sum has to be of whole blocks.
 */
static bool blocks_in_pages(const struct write *w)
{
	size_t block = w->file->block;

	return block <= PAGE && !((uintptr_t)w->data & (block - 1));
}

static void start_write(struct write *w)
{
	struct io_uring_sqe *sqe = get_sqe();

	if (fixed && blocks_in_pages(w))
		io_uring_prep_write_fixed(sqe, w->file->fd, w->data, w->len,
					  w->pos, w->buf.data ? MEM : STAGE);
	else
		io_uring_prep_write(sqe, w->file->fd, w->data, w->len, w->pos);
	io_uring_sqe_set_data(sqe, w);
	nr_writing++;
}

static void end_write(struct write *w, int res)
{
	nr_writing--;
	if (res <= 0)
		errx(1, "%s: %s", w->file->name,
		     res ? strerror(-res) : "no room");

	w->data += res;
	w->pos += res;
	w->len -= res;
	if (w->len) {
		start_write(w);
		return;
	}
	zcrx_release(queue, &w->buf, 1);
	w->next = free_writes;
	free_writes = w;
}

/* Until something was written, or the queue has something to tell. */
static void wait_for_ring(void)
{
	int ret = io_uring_submit_and_wait(&ring, 1);
	struct io_uring_cqe *cqe;
	unsigned int head, nr = 0;

	if (ret != -EINTR)
		check(ret, "wait");
	io_uring_for_each_cqe(&ring, head, cqe) {
		if (cqe->user_data)
			end_write(io_uring_cqe_get_data(cqe), cqe->res);
		else
			polled = false;
		nr++;
	}
	io_uring_cq_advance(&ring, nr);
}

static struct write *get_write(struct file *file)
{
	struct write *w;

	while (!free_writes)
		wait_for_ring();
	w = free_writes;
	free_writes = w->next;

	w->file = file;
	w->buf.data = NULL;
	w->data = w->stage;
	w->pos = file->pos;
	w->len = 0;

	return w;
}

/*
 * From the stream to blocks
 */

static void write_staged(struct file *file)
{
	if (file->staged)
		start_write(file->staged);
	file->staged = NULL;
}

static void copy(struct file *file, const char *data, size_t len)
{
	struct write *w;
	size_t n;

	for (; len; len -= n, data += n) {
		if (!file->staged)
			file->staged = get_write(file);
		w = file->staged;
		n = len < STAGE_SIZE - w->len ? len : STAGE_SIZE - w->len;
		memcpy(w->stage + w->len, data, n);
		w->len += n;
		file->pos += n;
		if (w->len == STAGE_SIZE)
			write_staged(file);
	}
}

static void write_in_place(struct file *file, const struct zcrx_buf *buf)
{
	size_t head = -file->pos & (file->block - 1);
	size_t whole = (buf->len - head) & ~(file->block - 1);
	char *data = buf->data;
	struct write *w;

	copy(file, data, head);
	write_staged(file);
	w = get_write(file);
	w->buf = *buf;
	w->data = data + head;
	w->len = whole;
	file->pos += whole;
	file->in_place += whole;
	/* Before the write starts: the buffer goes when that has ended. */
	copy(file, data + head + whole, buf->len - head - whole);
	start_write(w);
}

static void use(struct file *file, const struct zcrx_buf *buf)
{
	size_t head = -file->pos & (file->block - 1), len = buf->len, whole;

	if (head > len)
		head = len;
	whole = (len - head) & ~(file->block - 1);
	file->joined += len - whole;
	if (whole && !(((uintptr_t)buf->data + head) & (file->align - 1))) {
		write_in_place(file, buf);
		return;
	}
	file->misaligned += whole;
	copy(file, buf->data, len);
	zcrx_release(queue, buf, 1);
}

/* The last block is written as a whole; what is too much of a file is cut off later. */
static void end(struct file *file, int res)
{
	struct write *w = file->staged;
	size_t pad = -file->pos & (file->block - 1);

	file->res = res;
	nr_open--;
	if (!w)
		return;
	memset(w->stage + w->len, 0, pad);
	w->len += pad;
	write_staged(file);
}

static void receive(void)
{
	struct zcrx_buf bufs[NR_BUFS];
	int n, i;

	while ((n = zcrx_receive(queue, bufs, NR_BUFS, 0)) != 0) {
		if (n < 0 && n != -EINTR)
			errx(1, "%s", zcrx_error());
		for (i = 0; i < n; i++) {
			if (bufs[i].data)
				use(bufs[i].tag, &bufs[i]);
			else
				end(bufs[i].tag, bufs[i].res);
		}
	}
}

/* What the queue polls is in the ring: one place to wait for both. */
static void poll_queue(void)
{
	struct io_uring_sqe *sqe;

	if (polled)
		return;
	sqe = get_sqe();
	io_uring_prep_poll_add(sqe, zcrx_queue_poll_fd(queue), POLLIN);
	sqe->user_data = 0;
	polled = true;
}

/*
 * Setting up
 */

static void open_file(struct file *file, const char *name)
{
	struct statx stx;
	struct stat st;
	int how;

	file->name = name;
	file->disk = !stat(name, &st) && S_ISBLK(st.st_mode);
	/* O_EXCL without O_CREAT: a disk that is mounted is refused. */
	how = file->disk ? O_EXCL : O_CREAT | O_TRUNC;
	file->fd = open(name, O_WRONLY | O_DIRECT | how, 0666);
	if (file->fd < 0 && errno == EINVAL)
		errx(1, "%s: its file system has no O_DIRECT, take another one",
		     name);
	if (file->fd < 0 || statx(file->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN,
				  &stx))
		err(1, "%s", name);

	/* What does not tell (disks before Linux 6.1, some file systems) takes pages. */
	file->block = PAGE;
	file->align = PAGE;
	if (stx.stx_mask & STATX_DIOALIGN && stx.stx_dio_offset_align) {
		file->block = stx.stx_dio_offset_align;
		file->align = stx.stx_dio_mem_align;
	}
	if (file->block > STAGE_SIZE)
		errx(1, "%s: blocks of %zu bytes, more than %u", name,
		     file->block, STAGE_SIZE);
}

static void ask_for_pages(int listener, const char *ifname)
{
	int mss = PAGE + TIMESTAMPS;
	struct ifreq ifr = {};

	strncpy(ifr.ifr_name, ifname, IFNAMSIZ - 1);
	if (ioctl(listener, SIOCGIFMTU, &ifr))
		err(1, "%s", ifname);
	if (ifr.ifr_mtu < (int)(PAGE + HEADERS))
		return;
	if (setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)))
		err(1, "TCP_MAXSEG");
}

static void set_up(const char *ifname)
{
	struct zcrx_queue_opts opts;
	struct zcrx_area mem, stage;
	struct iovec iov[2];
	unsigned int i;
	int ret;

	check(zcrx_area_alloc(&mem, MEM_SIZE, 0), "memory");
	check(zcrx_area_alloc(&stage, NR_WRITES * STAGE_SIZE, 0), "memory");
	for (i = 0; i < NR_WRITES; i++) {
		writes[i].stage = (char *)stage.addr + i * STAGE_SIZE;
		writes[i].next = free_writes;
		free_writes = &writes[i];
	}

	zcrx_queue_opts_init(&opts);
	opts.ifname = ifname;
	opts.mem = mem.addr;
	opts.mem_size = mem.size;
	opts.conn_budget = mem.size / nr_files;
	opts.chunk_size = PAGE;		/* what packets fill */
	if (zcrx_queue_open(&queue, &opts))
		errx(1, "%s", zcrx_error());
	warnx("back end %s. %s", zcrx_queue_backend(queue),
	      zcrx_queue_why(queue));

	check(io_uring_queue_init(NR_WRITES, &ring, 0), "set up an io_uring");
	iov[MEM] = (struct iovec){ mem.addr, mem.size };
	iov[STAGE] = (struct iovec){ stage.addr, stage.size };
	ret = io_uring_register_buffers(&ring, iov, 2);
	fixed = !ret;
	if (ret)
		warnx("buffers are not registered, each write pins its own: %s",
		      strerror(-ret));
}

static void accept_all(int listener)
{
	struct zcrx_conn *conn;
	unsigned int i;

	for (i = 0; i < nr_files; i++) {
		files[i].sock = accept(listener, NULL, NULL);
		if (files[i].sock < 0)
			err(1, "accept");
		if (zcrx_conn_add(queue, files[i].sock, &files[i], &conn) < 0)
			errx(1, "%s", zcrx_error());
		nr_open++;
	}
	close(listener);
}

/* Those of the kernel, if it received without copying. */
static void print_counters(void)
{
	char line[1024];
	glob_t found;
	FILE *info;
	size_t i;

	if (glob("/proc/self/fdinfo/*", 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++) {
		info = fopen(found.gl_pathv[i], "r");
		while (info && fgets(line, sizeof(line), info))
			if (!strncmp(line, "zcrx-", 5))
				fputs(line, stdout);
		if (info)
			fclose(info);
	}
	globfree(&found);
}

/* Returns 1 if a connection has failed. */
static int finish(struct file *file)
{
	if ((!file->disk && ftruncate(file->fd, (off_t)file->pos)) ||
	    fsync(file->fd) || close(file->fd))
		err(1, "%s", file->name);
	printf("%s: %" PRIu64 " bytes, %" PRIu64 " written in place, %" PRIu64
	       " copied to join blocks of %zu, %" PRIu64
	       " copied for not being aligned to %zu\n",
	       file->name, file->pos, file->in_place, file->joined,
	       file->block, file->misaligned, file->align);
	if (file->res)
		warnx("%s: its connection failed: %s", file->name,
		      strerror(-file->res));

	return !!file->res;
}

int main(int argc, char **argv)
{
	unsigned int i;
	int listener, failed = 0;

	nr_files = argc < 4 ? 0 : argc - 3;
	if (!nr_files || nr_files > MAX_FILES)
		errx(2, "usage: storage IFNAME PORT FILE...   (up to %d files or disks, a connection each; what is there is overwritten)",
		     MAX_FILES);
	for (i = 0; i < nr_files; i++)
		open_file(&files[i], argv[3 + i]);
	set_up(argv[1]);
	listener = listen_on(strtoul(argv[2], NULL, 0), MAX_FILES);
	ask_for_pages(listener, argv[1]);
	accept_all(listener);

	for (receive(); nr_open; receive()) {
		poll_queue();
		wait_for_ring();
	}
	while (nr_writing)
		wait_for_ring();

	print_counters();
	for (i = 0; i < nr_files; i++)
		failed |= finish(&files[i]);
	io_uring_queue_exit(&ring);
	if (zcrx_queue_close(queue))
		errx(1, "%s", zcrx_error());

	return failed;
}
