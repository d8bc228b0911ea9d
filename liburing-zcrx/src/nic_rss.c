// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <string.h>

#include "nic_rss.h"

static uint32_t window(const uint8_t *key, unsigned int bit)
{
	const uint8_t *k = key + bit / 8;
	uint64_t w = (uint64_t)k[0] << 32 | (uint32_t)k[1] << 24 | k[2] << 16 |
		     k[3] << 8 | k[4];

	return (uint32_t)(w >> (8 - bit % 8));
}

/* The hash is linear: what comes at @offset adds to the hash of the rest. */
static uint32_t hash_bytes(const uint8_t *key, unsigned int offset,
			   const void *data, unsigned int len)
{
	const uint8_t *bytes = data;
	uint32_t hash = 0;
	unsigned int i;

	for (i = 0; i < len * 8; i++)
		if (bytes[i / 8] & (0x80 >> i % 8))
			hash ^= window(key, offset * 8 + i);

	return hash;
}

/**
 * zcrx_toeplitz() - the hash by which RSS tells flows apart
 * @key: ZCRX_KEY_MIN bytes
 * @flow: a connection
 * @ports: whether the NIC looks at ports
 *
 * Return: the hash.
 */
uint32_t zcrx_toeplitz(const uint8_t *key, const struct zcrx_flow *flow,
		       bool ports)
{
	unsigned int len = flow->family == AF_INET ? 4 : 16;
	uint32_t hash;

	hash = hash_bytes(key, 0, &flow->src, len) ^
	       hash_bytes(key, len, &flow->dst, len);
	if (ports)
		hash ^= hash_bytes(key, 2 * len, &flow->sport, 2) ^
			hash_bytes(key, 2 * len + 2, &flow->dport, 2);

	return hash;
}

static bool is_owned(unsigned int queue, const struct zcrx_rss_owner *owners,
		     unsigned int nr_owners)
{
	unsigned int i;

	for (i = 0; i < nr_owners; i++)
		if (owners[i].queue == queue)
			return true;

	return false;
}

static bool occurs(uint32_t queue, const uint32_t *table, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < size; i++)
		if (table[i] == queue)
			return true;

	return false;
}

/* The next queue after @queue that nobody owns; @queue if there is none */
static uint32_t next_free(uint32_t queue, unsigned int nr_queues,
			  const uint32_t *original, unsigned int size,
			  const struct zcrx_rss_owner *owners,
			  unsigned int nr_owners)
{
	uint32_t any = queue, q = queue;
	unsigned int i;

	for (i = 0; i < nr_queues; i++) {
		q = (q + 1) % nr_queues;
		if (is_owned(q, owners, nr_owners))
			continue;
		if (occurs(q, original, size))
			return q;
		if (any == queue)
			any = q;
	}

	return any;
}

static void move_entries(uint32_t *table, unsigned int size,
			 const struct zcrx_rss_owner *owner)
{
	unsigned int i;

	for (i = 0; owner->moved && i < size; i++)
		if (owner->moved[i])
			table[i] = owner->queue;
}

/**
 * zcrx_rss_compose() - the RSS table that suits all owners of queues
 * @table: filled in
 * @original: as it was without them
 * @size: entries of both
 * @nr_queues: of the NIC
 * @owners: who has a queue
 * @nr_owners: their number
 *
 * Entries of an owned queue are spread over the queues that are nobody's and
 * that the original table uses, or else over those that it does not use. If all
 * queues are owned they stay.
 */
void zcrx_rss_compose(uint32_t *table, const uint32_t *original,
		      unsigned int size, unsigned int nr_queues,
		      const struct zcrx_rss_owner *owners,
		      unsigned int nr_owners)
{
	uint32_t next = nr_queues - 1, q;
	unsigned int i;

	memcpy(table, original, size * sizeof(*table));
	for (i = 0; i < size; i++) {
		if (!is_owned(table[i], owners, nr_owners))
			continue;
		q = next_free(next, nr_queues, original, size, owners,
			      nr_owners);
		if (is_owned(q, owners, nr_owners))
			break;
		table[i] = q;
		next = q;
	}
	for (i = 0; i < nr_owners; i++)
		move_entries(table, size, &owners[i]);
}

/**
 * zcrx_rss_is_default() - is it the table that a reset makes?
 * @table: the table
 * @size: entries
 * @nr_queues: of the NIC
 *
 * Return: whether it is.
 */
bool zcrx_rss_is_default(const uint32_t *table, unsigned int size,
			 unsigned int nr_queues)
{
	unsigned int i;

	for (i = 0; i < size; i++)
		if (table[i] != i % nr_queues)
			return false;

	return true;
}
