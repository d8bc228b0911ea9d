// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * tensors: receive shards of tensors from many senders into one region of huge
 * pages, use them there in several threads, and give them back in any order.
 *
 *	tensors IFNAME PORT SENDERS
 *
 * Each sender connects once and sends shards, one behind the other:
 *
 *	struct header, in network byte order	then its bytes
 *
 * The main thread receives. It follows each stream from shard to shard and hands
 * pieces, which are parts of received buffers, to the consumers; one shard's all to
 * the same, in order. A consumer gives a piece back when it has used it: buffers
 * that are all one piece many at a time, others by part, as several threads may
 * have parts of one. "Use" is SHA-256 here. A program that feeds a GPU would
 * register the region with it once, and copy from there.
 *
 * Who is slow holds up nobody else for long: a sender has a budget of the region,
 * and a consumer's ring of pieces is short.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <liburing-zcrx.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "listen.h"

#define REGION_SIZE	(64U << 20)
#define NR_BUFS		64
#define NR_CONSUMERS	3
#define NR_PIECES	256U		/* of a consumer's ring */
#define BATCH		32U
#define MAX_SENDERS	1024

struct header {
	uint32_t	tensor;
	uint32_t	index;
	uint64_t	bytes;
};

/* The main thread's until it has handed over its last piece */
struct shard {
	struct header	header;
	struct consumer	*consumer;
	EVP_MD_CTX	*sha;
};

/* data: of buf, len bytes from off on */
struct piece {
	struct shard	*shard;
	struct zcrx_buf	buf;
	unsigned int	off;
	unsigned int	len;
	bool		last;
};

struct sender {
	int		fd;
	struct header	header;
	size_t		header_len;	/* received of it */
	struct shard	*shard;
	uint64_t	left;		/* to come of the shard */
};

/* A ring of pieces, from the main thread to the consumer, under lock */
struct consumer {
	pthread_t	thread;
	pthread_mutex_t	lock;
	pthread_cond_t	changed;
	struct piece	pieces[NR_PIECES];
	unsigned int	head;
	unsigned int	tail;
	bool		closed;
};

static struct zcrx_queue *queue;
static struct consumer consumers[NR_CONSUMERS];
static struct sender senders[MAX_SENDERS];
static unsigned int nr_senders;

/*
 * Consumers
 */

static void put(struct consumer *c, const struct piece *piece)
{
	pthread_mutex_lock(&c->lock);
	while (c->tail - c->head == NR_PIECES)
		pthread_cond_wait(&c->changed, &c->lock);
	c->pieces[c->tail++ % NR_PIECES] = *piece;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

/* Waits for some; returns their number, 0 when there will be none any more. */
static unsigned int get(struct consumer *c, struct piece *pieces)
{
	unsigned int nr;

	pthread_mutex_lock(&c->lock);
	while (c->tail == c->head && !c->closed)
		pthread_cond_wait(&c->changed, &c->lock);
	for (nr = 0; nr < BATCH && c->tail != c->head; nr++)
		pieces[nr] = c->pieces[c->head++ % NR_PIECES];
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);

	return nr;
}

static void complete(struct shard *shard)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned int i, len;

	EVP_DigestFinal_ex(shard->sha, digest, &len);
	for (i = 0; i < len; i++)
		sprintf(&hex[2 * i], "%02x", digest[i]);
	printf("tensor %" PRIu32 " shard %" PRIu32 " %" PRIu64 " %s\n",
	       shard->header.tensor, shard->header.index, shard->header.bytes,
	       hex);
	EVP_MD_CTX_free(shard->sha);
	free(shard);
}

static void use(const struct piece *piece)
{
	if (piece->len)
		EVP_DigestUpdate(piece->shard->sha,
				 (char *)piece->buf.data + piece->off,
				 piece->len);
	if (piece->last)
		complete(piece->shard);
}

static void *consume(void *arg)
{
	struct consumer *c = arg;
	struct piece pieces[BATCH];
	struct zcrx_buf whole[BATCH];
	unsigned int nr, nr_whole, i;

	while ((nr = get(c, pieces)) > 0) {
		for (i = nr_whole = 0; i < nr; i++) {
			use(&pieces[i]);
			if (pieces[i].len == pieces[i].buf.len)
				whole[nr_whole++] = pieces[i].buf;
			else if (pieces[i].len)
				zcrx_release_part(queue, &pieces[i].buf,
						  pieces[i].off, pieces[i].len);
		}
		zcrx_release(queue, whole, nr_whole);
	}

	return NULL;
}

static void start_consumers(void)
{
	unsigned int i;

	for (i = 0; i < NR_CONSUMERS; i++) {
		pthread_mutex_init(&consumers[i].lock, NULL);
		pthread_cond_init(&consumers[i].changed, NULL);
		if (pthread_create(&consumers[i].thread, NULL, consume,
				   &consumers[i]))
			errx(1, "can't start a thread");
	}
}

static void stop_consumers(void)
{
	unsigned int i;

	for (i = 0; i < NR_CONSUMERS; i++) {
		pthread_mutex_lock(&consumers[i].lock);
		consumers[i].closed = true;
		pthread_cond_signal(&consumers[i].changed);
		pthread_mutex_unlock(&consumers[i].lock);
		pthread_join(consumers[i].thread, NULL);
	}
}

/*
 * From streams to pieces
 */

static struct shard *new_shard(const struct header *header)
{
	struct shard *shard = malloc(sizeof(*shard));

	if (!shard)
		errx(1, "no memory");
	shard->header.tensor = be32toh(header->tensor);
	shard->header.index = be32toh(header->index);
	shard->header.bytes = be64toh(header->bytes);
	shard->consumer = &consumers[(shard->header.tensor +
				      shard->header.index) % NR_CONSUMERS];
	shard->sha = EVP_MD_CTX_new();
	EVP_DigestInit_ex(shard->sha, EVP_sha256(), NULL);

	return shard;
}

/* Takes bytes of a header; returns their number. */
static unsigned int take_header(struct sender *s, const struct zcrx_buf *buf,
				unsigned int off)
{
	unsigned int len = sizeof(s->header) - s->header_len;

	if (len > buf->len - off)
		len = buf->len - off;
	memcpy((char *)&s->header + s->header_len, (char *)buf->data + off, len);
	zcrx_release_part(queue, buf, off, len);
	s->header_len += len;
	if (s->header_len == sizeof(s->header)) {
		s->header_len = 0;
		s->shard = new_shard(&s->header);
		s->left = s->shard->header.bytes;
	}

	return len;
}

/* Hands over what a buffer has of a shard; returns the number of bytes. */
static unsigned int hand_over(struct sender *s, const struct zcrx_buf *buf,
			      unsigned int off)
{
	struct piece piece = { .shard = s->shard, .buf = *buf, .off = off };

	piece.len = s->left < buf->len - off ? s->left : buf->len - off;
	s->left -= piece.len;
	piece.last = !s->left;
	if (piece.last)
		s->shard = NULL;
	put(piece.shard->consumer, &piece);

	return piece.len;
}

static void take(struct sender *s, const struct zcrx_buf *buf)
{
	unsigned int off = 0;

	while (off < buf->len || (s->shard && !s->left)) {
		if (s->shard)
			off += hand_over(s, buf, off);
		else
			off += take_header(s, buf, off);
	}
}

static void check_end(const struct sender *s, int res)
{
	if (res)
		errx(1, "a sender failed: %s", strerror(-res));
	if (s->shard)
		errx(1, "a sender ended before tensor %" PRIu32 " shard %" PRIu32 " was complete",
		     s->shard->header.tensor, s->shard->header.index);
	if (s->header_len)
		errx(1, "a sender ended inside a header");
}

static void receive(void)
{
	struct zcrx_buf bufs[NR_BUFS];
	unsigned int nr_ended = 0;
	int n, i;

	while (nr_ended < nr_senders) {
		n = zcrx_receive(queue, bufs, NR_BUFS, -1);
		if (n < 0 && n != -EINTR)
			errx(1, "%s", zcrx_error());
		for (i = 0; i < n; i++) {
			if (bufs[i].data) {
				take(bufs[i].tag, &bufs[i]);
				continue;
			}
			check_end(bufs[i].tag, bufs[i].res);
			nr_ended++;
		}
	}
}

/*
 * Setting up
 */

static void alloc_region(struct zcrx_area *region)
{
	int ret = zcrx_area_alloc(region, REGION_SIZE, ZCRX_AREA_HUGE);

	if (ret) {
		warnx("no huge pages (sysctl vm.nr_hugepages=%u makes some), taking small ones",
		      REGION_SIZE >> 21);
		ret = zcrx_area_alloc(region, REGION_SIZE, 0);
	}
	if (ret)
		errx(1, "region of %u bytes: %s", REGION_SIZE, strerror(-ret));
}

static void open_queue(const char *ifname, const struct zcrx_area *region)
{
	struct zcrx_queue_opts opts;

	zcrx_queue_opts_init(&opts);
	opts.ifname = ifname;
	opts.mem = region->addr;
	opts.mem_size = region->size;
	opts.conn_budget = region->size / nr_senders;
	if (zcrx_queue_open(&queue, &opts))
		errx(1, "%s", zcrx_error());
	warnx("back end %s. %s", zcrx_queue_backend(queue),
	      zcrx_queue_why(queue));
}

static void accept_senders(unsigned int port)
{
	int listener = listen_on(port, MAX_SENDERS);
	struct zcrx_conn *conn;
	unsigned int i;

	for (i = 0; i < nr_senders; i++) {
		senders[i].fd = accept(listener, NULL, NULL);
		if (senders[i].fd < 0)
			err(1, "accept");
		if (zcrx_conn_add(queue, senders[i].fd, &senders[i], &conn) < 0)
			errx(1, "%s", zcrx_error());
	}
	close(listener);
}

int main(int argc, char **argv)
{
	struct zcrx_area region;

	if (argc == 4)
		nr_senders = strtoul(argv[3], NULL, 0);
	if (!nr_senders || nr_senders > MAX_SENDERS)
		errx(2, "usage: tensors IFNAME PORT SENDERS   (up to %d)",
		     MAX_SENDERS);
	alloc_region(&region);
	open_queue(argv[1], &region);
	start_consumers();
	accept_senders(strtoul(argv[2], NULL, 0));
	receive();
	stop_consumers();
	if (zcrx_queue_close(queue))
		errx(1, "%s", zcrx_error());

	return 0;
}
