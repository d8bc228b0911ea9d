/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What examples of manual pages take for granted. They declare the rest. */
#include <err.h>
#include <errno.h>
#include <liburing-zcrx.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct io_uring ring;
static struct zcrx_ifq ifq;
static struct io_uring_cqe *cqe;
static struct zcrx_queue *queue;
static pthread_t owner;
static __u64 held[64];
static unsigned int nr_held, nr, i;
static int fd, from, listener, sock, to;

/* The application's */
static void *client;
static struct {
	int		fd;
	unsigned int	index;
} *conn;

#define consume(...)	((void)(__VA_ARGS__))
void finished(void *data, int res);
void give_back_all(__u64 (*what)[64]);
int receive_by_copying(int fd);
