/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A TCP connection to the peer, over which it sends what pattern.h describes.
 */
#ifndef ZCRX_SELFTEST_FLOW_H
#define ZCRX_SELFTEST_FLOW_H

#include <linux/types.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

#include "pattern.h"

/* So many bytes that no test sees the end */
#define FLOW_ENDLESS	(1ULL << 60)

/**
 * struct flow - one connection
 * @fd: socket
 * @bytes: payload that was asked for
 * @seed: which payload
 * @got: how much of payload and digest has come
 * @md: SHA-256 of the payload so far
 * @digest: what the peer says it should be
 * @eof: the end of the stream has been seen
 */
struct flow {
	int		fd;
	__u64		bytes;
	__u64		seed;
	__u64		got;
	EVP_MD_CTX	*md;
	unsigned char	digest[PATTERN_DIGEST_SIZE];
	bool		eof;
};

int flow_request(const char *host, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int flow_begin(struct flow *flow, const char *host);
int flow_ask(struct flow *flow, __u64 bytes, size_t write_size);
int flow_connect(struct flow *flow, const char *host, __u64 bytes,
		 size_t write_size);
int flow_connect_with(struct flow *flow, const char *host, __u64 bytes,
		      size_t write_size, const char *headers);
int flow_connect_special(struct flow *flow, const char *host, __u64 bytes,
			 size_t write_size, const char *special);
unsigned int flow_queue(const struct flow *flow);
void flow_close(struct flow *flow);
bool flow_check(const struct flow *flow, const void *buf, size_t len,
		__u64 off);
bool flow_receive(struct flow *flow, const void *buf, size_t len);
bool flow_complete(const struct flow *flow);

#endif
