/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A NIC's receive queue, set up for zero copy, and put back as it was.
 *
 * The functions return 0 or a negative errno, and then zcrx_error() says in
 * words what went wrong. One thread at a time uses a struct zcrx_nic; other
 * threads and processes may use other queues of the same NIC.
 */
#ifndef ZCRX_NIC_H
#define ZCRX_NIC_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct zcrx_nic;

/* A directory of records, and a record */
#define ZCRX_NIC_FILES	2

int zcrx_nic_open(struct zcrx_nic **nicp, const char *ifname, int rxq);
int zcrx_nic_open_readable(struct zcrx_nic **nicp, const char *ifname, int rxq);
void zcrx_nic_close(struct zcrx_nic *nic);
int zcrx_nic_keep(struct zcrx_nic *nic);
int zcrx_nic_reset(const char *ifname);

unsigned int zcrx_nic_ifindex(const struct zcrx_nic *nic);
unsigned int zcrx_nic_rxq(const struct zcrx_nic *nic);
const char *zcrx_nic_name(const struct zcrx_nic *nic);

void zcrx_nic_move_files(struct zcrx_nic *nic, int min,
			 int fds[ZCRX_NIC_FILES]);
void zcrx_nic_keep_alone(struct zcrx_nic *nic);
void zcrx_nic_wait_unbound(const struct zcrx_nic *nic);

int zcrx_nic_steer(struct zcrx_nic *nic, int fd);
int zcrx_nic_steer_early(struct zcrx_nic *nic, int fd);
int zcrx_nic_unsteer(struct zcrx_nic *nic, int fd);
bool zcrx_nic_is_steered(const struct zcrx_nic *nic, int fd);

int zcrx_nic_index(const char *ifname);
int zcrx_nic_named(char ifname[IFNAMSIZ], const char *name);
int zcrx_nic_find(char ifname[IFNAMSIZ], int fd);
int zcrx_nic_any(char ifname[IFNAMSIZ], unsigned int nr);
bool zcrx_nic_is_taken(const char *ifname, unsigned int rxq);

/*
 * Description
 */

enum zcrx_answer {
	ZCRX_NO,
	ZCRX_YES,
	ZCRX_NOT_KNOWN,		/* the driver does not tell, or only root */
};

enum zcrx_split_state {
	ZCRX_SPLIT_AUTO,	/* the numbers are ethtool's */
	ZCRX_SPLIT_OFF,
	ZCRX_SPLIT_ON,
	ZCRX_SPLIT_NOT_KNOWN,
};

enum zcrx_provider {
	ZCRX_PROVIDER_NONE,
	ZCRX_PROVIDER_IO_URING,
	ZCRX_PROVIDER_DMABUF,
	ZCRX_PROVIDER_XSK,	/* an AF_XDP socket */
};

/**
 * struct zcrx_nic_queue - a receive queue
 * @provider: where its memory comes from, none if the kernel can't tell
 * @pid: of the process that has set it up, or 0, also if only root may know
 * @stale: that process is gone, and zcrx_nic_reset() has something to do
 * @kept: it is set up to stay so, until zcrx_nic_reset()
 * @nr_filters: filters that were made to lead to it
 * @has_context: likewise an RSS context
 */
struct zcrx_nic_queue {
	enum zcrx_provider	provider;
	pid_t			pid;
	bool			stale;
	bool			kept;
	unsigned int		nr_filters;
	bool			has_context;
};

/**
 * struct zcrx_nic_info - what a NIC can, and how it is set up
 * @driver: its name
 * @up: whether the interface is up
 * @loopback: whether it is one that has no NIC
 * @mtu: in bytes
 * @rx_ring: number of receive descriptors of a queue, 0 if not known
 * @rx_ring_max: the most there can be
 * @split: header split
 * @can_switch_split: whether ethtool can set it
 * @split_threshold: payload up to that many bytes is not split off, -1 if there
 *		     is no such thing
 * @ntuple_available: whether it has filters for single flows
 * @ntuple_on: whether they are on
 * @rss_contexts: whether it has several RSS tables
 * @rss_size: entries of the RSS table, 0 if there is none
 * @rss_table: queue numbers
 * @rss_key_size: bytes of the hash key, 0 if it is not known
 * @rss_key: the key
 * @rss_toeplitz: whether the hash is Toeplitz'
 * @queues_known: whether the kernel tells the providers of queues
 * @nr_queues: number of receive queues
 * @queues: each of them
 */
struct zcrx_nic_info {
	char			driver[32];
	bool			up;
	bool			loopback;
	unsigned int		mtu;
	unsigned int		rx_ring;
	unsigned int		rx_ring_max;
	enum zcrx_split_state	split;
	enum zcrx_answer	can_switch_split;
	int			split_threshold;
	enum zcrx_answer	ntuple_available;
	bool			ntuple_on;
	bool			rss_contexts;
	unsigned int		rss_size;
	uint32_t		*rss_table;
	unsigned int		rss_key_size;
	uint8_t			rss_key[52];
	bool			rss_toeplitz;
	bool			queues_known;
	unsigned int		nr_queues;
	struct zcrx_nic_queue	*queues;
};

unsigned int zcrx_chunk_by_mtu(unsigned int ifindex, size_t mem_size);

int zcrx_nic_describe(const char *ifname, struct zcrx_nic_info *info);
void zcrx_nic_info_free(struct zcrx_nic_info *info);

#endif
