/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What an exporter and an importer say to each other, over a SOCK_SEQPACKET
 * connection, a message at a time; each request has an answer:
 *
 *   importer				exporter
 *     OPEN: which interface ...	  what it is, with the area and the ifq,
 *					  as files
 *     STEER: with a socket		  0, keeps it
 *     UNSTEER				  0, has let go of it
 *     closes, or exits			  puts everything back
 *
 * An answer with a negative errno has a sentence and nothing else. The exporter
 * trusts nothing that comes, the importer trusts the exporter.
 */
#ifndef ZCRX_SHARE_H
#define ZCRX_SHARE_H

#include <liburing-zcrx.h>
#include <net/if.h>

#include "ring.h"

/* Anything but this number is another version, or none of ours. */
#define ZCRX_SHARE_VERSION	0x7a637201U

#define ZCRX_SHARE_MAX_FDS	2

enum zcrx_share_op {
	ZCRX_SHARE_OPEN,
	ZCRX_SHARE_STEER,
	ZCRX_SHARE_UNSTEER,
};

/**
 * struct zcrx_share_request - from the importer
 * @version: ZCRX_SHARE_VERSION
 * @op: enum zcrx_share_op
 * @mem_size: OPEN: as struct zcrx_queue_opts has it
 * @key: STEER, UNSTEER: what the importer calls the socket
 * @pad: 0
 * @backend: OPEN: name, or empty
 * @ifname: OPEN: name, or empty
 */
struct zcrx_share_request {
	__u32	version;
	__u32	op;
	__u64	mem_size;
	__s32	key;
	__u32	pad;
	char	backend[8];
	char	ifname[IFNAMSIZ];
};

/**
 * struct zcrx_share_answer - from the exporter
 * @version: ZCRX_SHARE_VERSION
 * @ret: 0 or a negative errno
 * @mem_size: OPEN: size of the area
 * @refill_size: OPEN: memory of the refill ring
 * @rbuf_size: OPEN: memory of the rbuf ring, 0: there is none
 * @refill_entries: OPEN: size of the refill ring
 * @chunk_size: OPEN: in bytes
 * @text: a sentence; OPEN: why it is not a better back end
 */
struct zcrx_share_answer {
	__u32	version;
	__s32	ret;
	__u64	mem_size;
	__u64	refill_size;
	__u64	rbuf_size;
	__u32	refill_entries;
	__u32	chunk_size;
	char	text[256];
};

/**
 * struct zcrx_shared - a queue that is received by in another process
 * @mem_fd: the area, as a file
 * @params: as registered
 * @sizes: of the rings
 */
struct zcrx_shared {
	int			mem_fd;
	struct zcrx_params	params;
	struct zcrx_ring_sizes	sizes;
};

int zcrx_share_check(int sock);
int zcrx_share_send(int sock, const void *msg, size_t size, const int *fds,
		    unsigned int nr_fds, int flags);
int zcrx_share_receive(int sock, void *msg, size_t size,
		       int fds[ZCRX_SHARE_MAX_FDS], int flags);
void zcrx_share_close_fds(int fds[ZCRX_SHARE_MAX_FDS]);

/* import.c */
int zcrx_import_steer(struct zcrx_queue *q, int fd, enum zcrx_share_op op);

#endif
