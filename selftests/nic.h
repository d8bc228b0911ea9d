/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The NIC under test and the peer, as the environment names them: NETIF,
 * REMOTE_V4, REMOTE_V6 as for all tests of drivers; and REMOTE_PORT of the
 * peer, ZCRX_RXQ (receive queue to use), ZCRX_MIB (how much to receive),
 * ZCRX_CHUNK (chunks of how many bytes), VLAN_ID, VLAN_LOCAL_V4 (with prefix
 * length), VLAN_REMOTE_V4 (the peer in a VLAN).
 */
#ifndef ZCRX_SELFTEST_NIC_H
#define ZCRX_SELFTEST_NIC_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * struct nic - what the tests run on
 * @name: of the interface
 * @nr_rxqs: number of its receive queues
 * @rxq: the one to bind
 * @remote_v4: the peer's address, or NULL
 * @remote_v6: the peer's address, or NULL
 * @bytes: how much a test is to receive
 * @chunk: size of the receivers' chunks, in bytes
 */
struct nic {
	const char	*name;
	unsigned int	nr_rxqs;
	unsigned int	rxq;
	const char	*remote_v4;
	const char	*remote_v6;
	__u64		bytes;
	unsigned int	chunk;
};

extern struct nic nic;

#define NIC_PAGE	4096U

/* Enough for what arrives while a slow machine looks elsewhere */
#define NIC_RX_RING	1024

/* How large are as many chunks as there are pages in so many bytes? */
static inline size_t nic_chunks_size(size_t bytes)
{
	return bytes / NIC_PAGE * nic.chunk;
}

void nic_setup(void);
bool nic_configure(void);
unsigned int nic_ifindex(void);
bool nic_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool nic_set_split(const char *setting);
bool nic_steer(unsigned int rxq);
bool nic_set_rx_ring(unsigned int size);
bool nic_has_carrier(void);
__u64 nic_drops(void);
long long nic_read_counter(const char *path, const char *group,
			   const char *name);
unsigned int nic_mtu(void);
const char *nic_add_vlan(void);
void nic_del_vlan(void);

/* To be used instead of TEST_HARNESS_MAIN */
#define ZCRX_TEST_MAIN						\
	int main(int argc, char **argv)				\
	{							\
		nic_setup();					\
		return test_harness_run(argc, argv);		\
	}

#endif
