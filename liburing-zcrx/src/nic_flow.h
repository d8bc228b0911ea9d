/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRX_NIC_FLOW_H
#define ZCRX_NIC_FLOW_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* A listener for both families has two flows. */
#define ZCRX_MAX_FLOWS	2

/**
 * struct zcrx_flow - TCP packets that arrive, with the sender as source
 * @family: AF_INET or AF_INET6
 * @src: its address, an IPv4 one in the first 4 bytes; all 0: any
 * @dst: likewise ours
 * @sport: its port, in network order; 0: any
 * @dport: ours
 */
struct zcrx_flow {
	int		family;
	struct in6_addr	src;
	struct in6_addr	dst;
	in_port_t	sport;
	in_port_t	dport;
};

int zcrx_socket_name(int fd, bool remote, struct sockaddr_storage *addr);
int zcrx_socket_listens(int fd);
int zcrx_flows_of_socket(int fd, struct zcrx_flow flows[ZCRX_MAX_FLOWS]);
int zcrx_flow_of_connecting(int fd, struct zcrx_flow *flow);
bool zcrx_flow_is_connection(const struct zcrx_flow *flow);
bool zcrx_flow_equal(const struct zcrx_flow *a, const struct zcrx_flow *b);

#endif
