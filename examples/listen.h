/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* The socket that the examples accept their connections from. */
#ifndef EXAMPLES_LISTEN_H
#define EXAMPLES_LISTEN_H

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

/* A socket that listens, for IPv6 and IPv4; ends the program if it can't be. */
static inline int listen_on(unsigned int port, int backlog)
{
	struct sockaddr_in6 addr = {};
	int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1;

	addr.sin6_family = AF_INET6;
	addr.sin6_port = htons((uint16_t)port);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, backlog))
		err(1, "listen on port %u", port);

	return fd;
}

#endif
