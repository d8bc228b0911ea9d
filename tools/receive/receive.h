/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRX_TOOLS_RECEIVE_H
#define ZCRX_TOOLS_RECEIVE_H

#include <stddef.h>
#include <sys/uio.h>

/* receive(): read this one with read(2), its bytes are in the socket */
#define RECEIVE_PLAIN	(-4096)

/**
 * struct receive_settings - what differs between those who use this
 * @program: name that messages begin with
 * @dev_option: how the user names an interface
 * @queue_option: and a queue
 * @dev: interface, NULL for the one that has the connection's address
 * @rxq: number of its queue, NULL for whichever is best
 * @stats: file that gets a line of counters, NULL for none
 */
struct receive_settings {
	const char	*program;
	const char	*dev_option;
	const char	*queue_option;
	const char	*dev;
	const char	*rxq;
	const char	*stats;
};

void receive_init(const struct receive_settings *settings);
void receive_reconnect(int fd);
int receive_prepare(int fd);
int receive_is_plain(void);
void receive_without_signals(void);
int receive(int fd, const struct iovec *iov, size_t count);
void receive_exit(void);

#endif
