// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <arpa/inet.h>
#include <liburing-zcrx.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../selftests/pattern.h"
#include "../../src/nic.h"
#include "guest.h"

#define STATE_SIZE	65536

/* What ethtool says */
struct state {
	char text[STATE_SIZE];
};

static struct state found, meanwhile, now;

static bool look(struct state *state)
{
	static const char command[] =
		"for o in x g n k l c; do ethtool -$o " IFNAME " || exit 1; done; "
		"cat /sys/class/net/" IFNAME "/mtu";
	size_t len;
	FILE *f;

	f = popen(command, "r");
	if (!f)
		return false;
	len = fread(state->text, 1, STATE_SIZE - 1, f);
	state->text[len] = '\0';

	return !pclose(f) && len && len < STATE_SIZE - 1;
}

/**
 * note_nic() - remember how the NIC is set up
 *
 * Return: true if ethtool tells.
 */
bool note_nic(void)
{
	return look(&found);
}

/**
 * note_meanwhile() - remember how the NIC is while somebody has a queue of it
 *
 * Return: true if ethtool tells.
 */
bool note_meanwhile(void)
{
	return look(&meanwhile);
}

static bool is_now(const struct state *before)
{
	if (!look(&now))
		return false;
	if (strcmp(before->text, now.text))
		printf("# before: %s\n# after: %s\n", before->text, now.text);

	return !strcmp(before->text, now.text);
}

/**
 * as_meanwhile() - is the NIC as note_meanwhile() found it?
 *
 * Return: true if it is, whoever has queues of it.
 */
bool as_meanwhile(void)
{
	return is_now(&meanwhile);
}

/* Nor what somebody was about to write */
static bool no_records(void)
{
	return !system("! ls /run/zcrx/*/queue-* > /dev/null 2>&1");
}

/**
 * as_found() - is the NIC as note_nic() found it?
 *
 * Return: true if it is, and nobody has a queue of it.
 */
bool as_found(void)
{
	return is_now(&found) && no_records();
}

/**
 * split_is_on() - are headers split?
 *
 * Return: true if they are.
 */
bool split_is_on(void)
{
	struct zcrx_nic_info info;
	bool on;

	if (zcrx_nic_describe(IFNAME, &info))
		return false;
	on = info.split == ZCRX_SPLIT_ON;
	zcrx_nic_info_free(&info);

	return on;
}

/**
 * entries_of() - how much of the RSS table is a queue's?
 * @queue: number of the queue
 *
 * Return: that many entries, -1 if the NIC does not tell.
 */
int entries_of(unsigned int queue)
{
	struct zcrx_nic_info info;
	unsigned int i;
	int nr = 0;

	if (zcrx_nic_describe(IFNAME, &info))
		return -1;
	for (i = 0; i < info.rss_size; i++)
		nr += info.rss_table[i] == queue;
	zcrx_nic_info_free(&info);

	return nr;
}

/**
 * has_queue() - is a queue set up?
 * @queue: number of the queue
 *
 * Return: true if it is, and nothing is steered to it.
 */
bool has_queue(unsigned int queue)
{
	return split_is_on() && entries_of(queue) == 0;
}

/**
 * packets_of() - how many packets has a queue received?
 * @queue: number of the queue
 *
 * Return: their number.
 */
unsigned long long packets_of(unsigned int queue)
{
	unsigned long long nr = 0;
	char command[64];
	FILE *f;

	snprintf(command, sizeof(command),
		 "ethtool -S " IFNAME " | sed -n 's/ *rx_queue_%u_packets: //p'",
		 queue);
	f = popen(command, "r");
	if (!f || fscanf(f, "%llu", &nr) != 1)
		printf("# no statistics of queue %u\n", queue);
	if (f)
		pclose(f);

	return nr;
}

/**
 * good() - did a function of the library succeed? Says why not.
 * @ret: what it returned
 *
 * Return: true if it did.
 */
bool good(int ret)
{
	if (ret)
		printf("# %d: %s\n", ret, zcrx_error());

	return !ret;
}

/**
 * connect_peer() - connect to zcrx_peer
 * @variable: of the environment, has the address
 *
 * Return: the socket, or -1.
 */
int connect_peer(const char *variable)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	const char *host = getenv(variable);
	int fd;

	if (!host || getaddrinfo(host, PATTERN_PORT, &hints, &ai))
		return -1;
	fd = socket(ai->ai_family, ai->ai_socktype, 0);
	if (connect(fd, ai->ai_addr, ai->ai_addrlen)) {
		perror("# connect");
		close(fd);
		fd = -1;
	}
	freeaddrinfo(ai);

	return fd;
}

/**
 * bound_listener() - have a socket listen
 * @variable: of the environment, has the IPv4 address; NULL: any
 *
 * Return: the socket, or -1.
 */
int bound_listener(const char *variable)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (variable)
		inet_pton(AF_INET, getenv(variable), &addr.sin_addr);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1)) {
		close(fd);
		return -1;
	}

	return fd;
}

/**
 * make_room() - let a socket hold all that will come
 * @fd: the socket
 * @bytes: how much that is
 *
 * If a socket is full, since the machine is slow, TCP copies what waits in it.
 *
 * Return: true if that can be.
 */
bool make_room(int fd, unsigned int bytes)
{
	int size = 2 * bytes;

	return !setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}

/**
 * request() - have zcrx_peer send
 * @fd: the socket
 * @bytes: how many; their digest comes behind them
 * @seed: which stream they are of
 *
 * Return: true if that has been asked for.
 */
bool request(int fd, unsigned int bytes, unsigned int seed)
{
	char line[64];
	int len;

	len = snprintf(line, sizeof(line), "send %u %u 65536\n", bytes, seed);

	return send(fd, line, len, MSG_NOSIGNAL) == len;
}
