/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef BENCH_COPY_H
#define BENCH_COPY_H

#define SEND_SIZE	(256 << 10)

/**
 * struct way - a way to receive many connections
 * @name: for the table
 * @set_up: with connected sockets; exits if it fails
 * @receive: so many bytes from all of them together, or a few more; returns how
 *	     many; exits if it fails
 */
struct way {
	const char *name;
	void (*set_up)(unsigned int nr, const int *fds);
	long long (*receive)(long long bytes);
};

extern const struct way epoll_way;
extern const struct way uring_way;
extern const struct way queue_way;

#endif
