/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the peer sends: for every request of the form
 *
 *	send BYTES SEED WRITE_SIZE\n
 *
 * BYTES bytes of the pseudo-random stream that SEED names, in writes of
 * WRITE_SIZE bytes, the SHA-256 of these bytes, and then the end of the
 * stream. Any piece of the stream can be computed without what comes before
 * it, so that a receiver can check bytes where they lie, at any time.
 *
 *	send BYTES SEED WRITE_SIZE urgent AT\n
 *	send BYTES SEED WRITE_SIZE inline AT\n
 *	send BYTES SEED WRITE_SIZE reset\n
 *	send BYTES SEED WRITE_SIZE tls\n
 *
 * is the same, but for one thing: between the first AT bytes and the rest there is
 * an urgent byte, PATTERN_URGENT, that is not of the stream; or the byte behind
 * the first AT is urgent; or, once all bytes have been acknowledged, the
 * connection is reset, in place of digest and end; or everything is in records of
 * TLS 1.2, AES-128-GCM, with the keys below, as after a handshake.
 *
 *	listen HEADERS SIZE\n
 *
 * is answered with the number of a port and the end of the stream. What the next
 * connection to this port asks for comes with SIZE bytes more, a multiple of 8,
 * in front of the TCP header of every packet. HEADERS says what: "options" of
 * IPv4, at most 40 bytes, or "hopopts" or "dstopts", extension headers of IPv6,
 * at most 256.
 *
 *	udp PORT COUNT SIZE SEED\n
 *
 * asks for COUNT datagrams of SIZE bytes to this port of the address that asks,
 * and then the end of the stream. Datagram i has what a stream has from byte
 * i * SIZE on.
 *
 *	fetch HOST BYTES WRITE_SIZE\n
 *	fetch-udp HOST COUNT SIZE\n
 *
 * has the peer ask another one, for a stream or for datagrams, at most 256, and
 * answer "right\n" if it got what it should. For datagrams that were lost it asks
 * again, a few times.
 */
#ifndef ZCRX_SELFTEST_PATTERN_H
#define ZCRX_SELFTEST_PATTERN_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define PATTERN_DIGEST_SIZE	32
#define PATTERN_PORT		"4155"
#define PATTERN_URGENT		'!'

#define PATTERN_TLS_KEY		"zcrx_peer's key"	/* and the NUL: 16 bytes */
#define PATTERN_TLS_SALT	"zcrx"

/* The idx-th 8 bytes of a stream (the mixing function of SplitMix64) */
static inline __u64 pattern_word(__u64 seed, __u64 idx)
{
	__u64 z = seed + (idx + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;

	return z ^ (z >> 31);
}

static inline unsigned char pattern_byte(__u64 seed, __u64 off)
{
	return pattern_word(seed, off / 8) >> (off % 8 * 8);
}

static inline void pattern_fill(unsigned char *buf, size_t len, __u64 seed,
				__u64 off)
{
	size_t i = 0;

	for (; i < len && (off + i) % 8; i++)
		buf[i] = pattern_byte(seed, off + i);
	for (; i + 8 <= len; i += 8) {
		__u64 word = pattern_word(seed, (off + i) / 8);

		memcpy(buf + i, &word, sizeof(word));
	}
	for (; i < len; i++)
		buf[i] = pattern_byte(seed, off + i);
}

static inline bool pattern_check(const unsigned char *buf, size_t len,
				 __u64 seed, __u64 off)
{
	size_t i = 0;

	for (; i < len && (off + i) % 8; i++)
		if (buf[i] != pattern_byte(seed, off + i))
			return false;
	for (; i + 8 <= len; i += 8) {
		__u64 word = pattern_word(seed, (off + i) / 8);

		if (memcmp(buf + i, &word, sizeof(word)))
			return false;
	}
	for (; i < len; i++)
		if (buf[i] != pattern_byte(seed, off + i))
			return false;

	return true;
}

#endif
