/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef BENCH_RECEIVER_H
#define BENCH_RECEIVER_H

#define BUF_SIZE	(256 << 10)

/* What the zero-copy receivers need; the others ignore it. */
struct bench_nic {
	const char *ifname;
	unsigned int rxq;
};

/* Of a connection: all its bytes, and those that went with or without a copy. */
struct bench_count {
	unsigned long long bytes;
	unsigned long long zc_bytes;
	unsigned long long copied_bytes;
};

/**
 * struct receiver - one way to receive
 * @name: for the command line
 * @setup: before the first connection; 0 or -errno
 * @receive: everything from a connected socket, up to its end; 0 or -errno
 */
struct receiver {
	const char *name;
	int (*setup)(const struct bench_nic *nic);
	int (*receive)(int fd, struct bench_count *count);
};

extern const struct receiver recv_receiver;
extern const struct receiver trunc_receiver;
extern const struct receiver uring_receiver;
extern const struct receiver cqe32_receiver;
extern const struct receiver rbuf_receiver;
extern const struct receiver rbuf16k_receiver;

#endif
