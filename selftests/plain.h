/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Receives flows as any program does, which knows nothing of ifqs, in all ways
 * that there are.
 */
#ifndef ZCRX_SELFTEST_PLAIN_H
#define ZCRX_SELFTEST_PLAIN_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "flow.h"

/* Nothing for so long is a failure: TCP may wait as long as the link was down. */
#define PLAIN_STALL_S	60

/* The most that is read at once */
#define PLAIN_SIZE	(256 << 10)

/**
 * struct plain_way - a way to receive
 * @open: prepare a socket; NULL if nothing is to be done
 * @read: take the next bytes: returns their number, 0 at the end, or -errno
 * @close: check what can be checked at the end only, and clean up; or NULL
 * @special: what the peer is to do for it, as in pattern.h, or NULL
 */
struct plain_way {
	bool	(*open)(struct flow *flow);
	ssize_t	(*read)(struct flow *flow, unsigned char *buf);
	bool	(*close)(struct flow *flow);
	const char *special;
};

extern const struct plain_way plain_recv;
extern const struct plain_way plain_recvmsg;
extern const struct plain_way plain_readv;
extern const struct plain_way plain_trunc;
extern const struct plain_way plain_devmem;
extern const struct plain_way plain_waitall;
extern const struct plain_way plain_peek;
extern const struct plain_way plain_zerocopy;
extern const struct plain_way plain_io_uring;
extern const struct plain_way plain_tls;

__u64 plain_mapped_bytes(void);
bool plain_has_tls(void);
void plain_set_timeout(int fd);
int plain_connect(const struct plain_way *way, struct flow *flow,
		  const char *host, __u64 bytes, size_t write_size);
const char *plain_read_all(struct flow *flow, const struct plain_way *way);
const char *plain_receive(const struct plain_way *way, const char *host,
			  __u64 bytes, size_t write_size, const char *headers);

#endif
