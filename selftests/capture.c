// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "capture.h"
#include "nic.h"

/* Ethernet, IPv4, TCP */
#define MIN_HEADERS	(ETH_HLEN + 40)

/* GRO makes frames of up to 64 KiB, of which each must fit in a block. */
#define BLOCK_SIZE	(128 << 10)
#define NR_BLOCKS	64
#define FRAME_SIZE	2048
#define RING_SIZE	(NR_BLOCKS * BLOCK_SIZE)

/* A block that is not full is shown after so long, on slow machines as well. */
#define RETIRE_MS	500
#define PATIENCE_MS	2000

static bool fail(struct capture *c, const char *what)
{
	struct tpacket_stats_v3 stats = {};
	socklen_t len = sizeof(stats);

	getsockopt(c->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len);
	snprintf(c->why, sizeof(c->why), "%s: %u bytes in %u frames, %u frames lost",
		 what, c->nr_seen, c->frames, stats.tp_drops);

	return false;
}

/* Room for everything, however much memory each frame takes */
static bool prepare_recv(struct capture *c)
{
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	int size = 32 * CAPTURE_BYTES;

	return !setsockopt(c->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
			   sizeof(size)) &&
	       !setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
			   sizeof(patience));
}

static bool prepare_ring(struct capture *c)
{
	struct tpacket_req3 req = {
		.tp_block_size		= BLOCK_SIZE,
		.tp_block_nr		= NR_BLOCKS,
		.tp_frame_size		= FRAME_SIZE,
		.tp_frame_nr		= RING_SIZE / FRAME_SIZE,
		.tp_retire_blk_tov	= RETIRE_MS,
	};
	int version = TPACKET_V3;

	if (setsockopt(c->fd, SOL_PACKET, PACKET_VERSION, &version,
		       sizeof(version)) ||
	    setsockopt(c->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)))
		return false;
	c->ring = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		       c->fd, 0);

	return c->ring != MAP_FAILED;
}

/**
 * capture_open() - begin to capture what comes by IPv4
 * @c: filled in
 * @way: how frames will be read
 *
 * Return: whether it worked.
 */
bool capture_open(struct capture *c, enum capture_way way)
{
	struct sockaddr_ll ll = {
		.sll_family	= AF_PACKET,
		.sll_protocol	= htons(ETH_P_IP),
		.sll_ifindex	= nic_ifindex(),
	};

	memset(c, 0, sizeof(*c));
	c->way = way;
	c->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (c->fd < 0 ||
	    !(way == CAPTURE_RING ? prepare_ring(c) : prepare_recv(c)) ||
	    bind(c->fd, (struct sockaddr *)&ll, sizeof(ll)))
		return fail(c, strerror(errno));

	return true;
}

/**
 * capture_stop() - capture nothing more
 * @c: open; what it has got is kept
 *
 * Return: whether it worked.
 */
bool capture_stop(struct capture *c)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &nothing };

	return !setsockopt(c->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
			   sizeof(program));
}

static unsigned short local_port(const struct flow *flow)
{
	struct sockaddr_in addr = {};
	socklen_t len = sizeof(addr);

	getsockname(flow->fd, (struct sockaddr *)&addr, &len);

	return ntohs(addr.sin_port);
}

static bool see(struct capture *c, __u32 off, unsigned int len)
{
	if (off > sizeof(c->seen) || len > sizeof(c->seen) - off)
		return fail(c, "a sequence number that is not in the stream");
	c->frames++;
	for (; len; len--, off++) {
		c->nr_seen += !c->seen[off];
		c->seen[off] = true;
	}

	return true;
}

static bool is_ours(const struct capture *c, const unsigned char *ip,
		    const unsigned char *tcp)
{
	return ip[9] == IPPROTO_TCP && (tcp[2] << 8 | tcp[3]) == c->port;
}

/* Looks at a frame; returns whether it is right, if it is of this flow. */
static bool look_at(struct capture *c, const struct flow *flow,
		    const unsigned char *frame, size_t size)
{
	const unsigned char *ip = frame + ETH_HLEN, *tcp;
	unsigned int doff, len;
	__u32 seq;

	if (size < MIN_HEADERS)
		return true;
	tcp = ip + (ip[0] & 15) * 4;
	if (!is_ours(c, ip, tcp))
		return true;
	len = ip[2] << 8 | ip[3];
	if (size < ETH_HLEN + len)
		return fail(c, "a frame without its end");
	doff = (tcp[12] >> 4) * 4;
	len -= tcp - ip + doff;
	seq = (__u32)tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7];
	if (tcp[13] & TH_SYN)
		c->first = seq + 1;
	if (!len || !c->first)
		return true;
	if (!flow_check(flow, tcp + doff, len, seq - c->first))
		return fail(c, "wrong bytes in a frame");

	return see(c, seq - c->first, len);
}

static bool read_frame(struct capture *c, const struct flow *flow)
{
	static unsigned char frame[BLOCK_SIZE];
	struct sockaddr_ll ll;
	socklen_t len = sizeof(ll);
	ssize_t n = recvfrom(c->fd, frame, sizeof(frame), 0,
			     (struct sockaddr *)&ll, &len);

	if (n < 0)
		return fail(c, strerror(errno));

	return ll.sll_pkttype != PACKET_HOST || look_at(c, flow, frame, n);
}

static bool look_at_block(struct capture *c, const struct flow *flow,
			  const struct tpacket_hdr_v1 *block)
{
	const unsigned char *p = c->ring + c->block * BLOCK_SIZE +
				 block->offset_to_first_pkt;
	const struct tpacket3_hdr *hdr;
	const struct sockaddr_ll *ll;
	unsigned int i;

	for (i = 0; i < block->num_pkts; i++, p += hdr->tp_next_offset) {
		hdr = (const void *)p;
		ll = (const void *)(p + TPACKET_ALIGN(sizeof(*hdr)));
		if (ll->sll_pkttype == PACKET_HOST &&
		    !look_at(c, flow, p + hdr->tp_mac, hdr->tp_snaplen))
			return false;
	}

	return true;
}

static bool read_block(struct capture *c, const struct flow *flow)
{
	struct tpacket_block_desc *desc = c->ring + c->block * BLOCK_SIZE;
	struct tpacket_hdr_v1 *block = &desc->hdr.bh1;
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };

	if (poll(&pfd, 1, PATIENCE_MS) < 1 ||
	    !(__atomic_load_n(&block->block_status, __ATOMIC_ACQUIRE) &
	      TP_STATUS_USER))
		return fail(c, "nothing more in the ring");
	if (!look_at_block(c, flow, block))
		return false;
	__atomic_store_n(&block->block_status, TP_STATUS_KERNEL,
			 __ATOMIC_RELEASE);
	c->block = (c->block + 1) % NR_BLOCKS;

	return true;
}

/**
 * capture_check() - was all of a flow captured?
 * @c: opened before the flow began, which has ended
 * @flow: of CAPTURE_BYTES, by IPv4
 *
 * Return: whether all of it was, and is right.
 */
bool capture_check(struct capture *c, const struct flow *flow)
{
	bool right = true;

	c->port = local_port(flow);
	while (right && c->nr_seen < sizeof(c->seen))
		right = c->way == CAPTURE_RING ? read_block(c, flow) :
						 read_frame(c, flow);

	return right;
}

/**
 * capture_close() - undo capture_open()
 * @c: was opened
 */
void capture_close(struct capture *c)
{
	if (c->ring)
		munmap(c->ring, RING_SIZE);
	close(c->fd);
}
