// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * zcrx-sink: receive TCP connections in place, print the SHA-256 of each.
 *
 * Shows both forms of completions, several connections on one ifq, and an
 * application that keeps buffers for a while and gives them back in any order.
 * "lo" does without a NIC, on kernels that have that: then everything is copied.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <liburing-zcrx.h>
#include <net/if.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listen.h"

#define ENTRIES		4096
#define MAX_HOLD	65536
#define MAX_HELD	(MAX_HOLD + ENTRIES)
#define MAX_FLOWS	64

struct flow {
	int		fd;
	EVP_MD_CTX	*sha;
	uint64_t	bytes;
	bool		rearm;
};

struct options {
	const char	*ifname;
	unsigned int	rxq;
	unsigned int	port;
	unsigned int	nr_flows;
	unsigned int	hold;
	size_t		area_size;
	unsigned int	area_flags;
	bool		cqe32;
};

static struct io_uring ring;
static struct zcrx_ifq ifq;
static struct flow flows[MAX_FLOWS];
static unsigned int nr_ended;
static bool must_restart;

/* Buffers that have been used, and are kept for a while */
static __u64 held[MAX_HELD];
static unsigned int nr_held;

static void check(int ret, const char *what)
{
	if (ret < 0)
		errx(1, "%s: %s", what, strerror(-ret));
}

/* Give held buffers back, in random order. */
static void give_back(unsigned int keep)
{
	unsigned int nr, victim;

	if (nr_held <= keep)
		return;

	for (nr = zcrx_refill_reserve(&ifq, nr_held - keep); nr; nr--) {
		victim = (unsigned int)random() % nr_held;
		zcrx_refill_write(&ifq, held[victim]);
		held[victim] = held[--nr_held];
	}
	zcrx_refill_submit(&ifq);
}

static void use(struct flow *flow, __u64 off, __u32 len)
{
	EVP_DigestUpdate(flow->sha, zcrx_data(&ifq, off), len);
	flow->bytes += len;
	held[nr_held++] = off;
}

static void start(struct flow *flow)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	zcrx_prep_recv_multishot(sqe, &ifq, flow->fd, 0, flow - flows);
	io_uring_sqe_set_data(sqe, flow);
	flow->rearm = false;
}

/* A request has ended. Its last buffers may still be in the rbuf ring. */
static void end(struct flow *flow, int res)
{
	/* With 32-byte CQEs, running out of CQEs or chunks ends a request. */
	if (res == -ENOSPC || res == -ENOMEM) {
		flow->rearm = must_restart = true;
		return;
	}
	check(res, "receive");
	nr_ended++;
}

static void read_cqes(bool cqe32)
{
	struct io_uring_cqe *cqe;
	unsigned int head, nr = 0;
	struct flow *flow;

	io_uring_for_each_cqe(&ring, head, cqe) {
		if (nr_held == MAX_HELD)
			break;
		flow = io_uring_cqe_get_data(cqe);
		if (cqe32 && zcrx_cqe32_has_data(cqe))
			use(flow, zcrx_cqe32_off(cqe), (__u32)cqe->res);
		else if (!(cqe->flags & IORING_CQE_F_MORE))
			end(flow, cqe->res);
		nr++;
	}
	io_uring_cq_advance(&ring, nr);
}

static void read_rbufs(void)
{
	const struct zcrx_rbuf_cqe *buf;
	unsigned int nr;

	zcrx_for_each_rbuf(&ifq, nr, buf) {
		if (nr_held == MAX_HELD)
			break;
		use(&flows[buf->tag], zcrx_rbuf_off(buf), buf->len);
	}
	zcrx_rbuf_release(&ifq, nr);
}

static void receive_rbuf(const struct options *opt)
{
	while (nr_ended < opt->nr_flows || zcrx_rbuf_peek(&ifq)) {
		check(zcrx_submit_and_wait(&ifq), "wait");
		read_cqes(false);
		read_rbufs();
		give_back(opt->hold);

		if (zcrx_needs_kick(&ifq)) {
			give_back(0);
			check(zcrx_resume(&ifq), "resume");
		}
	}
}

/* Go on with what has ended for want of CQEs or chunks. */
static void restart(const struct options *opt)
{
	unsigned int i;

	give_back(0);
	/* Kernels that do not know this do it by themselves. */
	zcrx_resume(&ifq);
	for (i = 0; i < opt->nr_flows; i++)
		if (flows[i].rearm)
			start(&flows[i]);
	must_restart = false;
}

static void receive_cqe32(const struct options *opt)
{
	while (nr_ended < opt->nr_flows) {
		check(zcrx_submit_and_wait(&ifq), "wait");
		read_cqes(true);
		give_back(opt->hold);
		if (must_restart)
			restart(opt);
	}
}

static void set_up(const struct options *opt, struct zcrx_area *area)
{
	struct io_uring_params ring_params = {
		.flags		= IORING_SETUP_SINGLE_ISSUER |
				  IORING_SETUP_DEFER_TASKRUN |
				  IORING_SETUP_CQSIZE,
		.cq_entries	= ENTRIES,
	};
	bool nodev = !strcmp(opt->ifname, "lo");
	struct zcrx_params params = {
		.if_idx		= nodev ? 0 : if_nametoindex(opt->ifname),
		.rxq		= opt->rxq,
		.chunk_size	= ZCRX_CHUNK_BY_MTU,
		.flags		= nodev ? ZCRX_ABI_REG_NODEV : 0,
		.refill_entries	= ENTRIES,
		.rbuf_entries	= opt->cqe32 ? 0 : ENTRIES,
	};

	if (!nodev && !params.if_idx)
		errx(1, "there is no network interface %s: ip link shows those that there are",
		     opt->ifname);
	if (opt->cqe32)
		ring_params.flags |= IORING_SETUP_CQE32;
	check(io_uring_queue_init_params(MAX_FLOWS, &ring, &ring_params),
	      "set up an io_uring");
	check(zcrx_area_alloc(area, opt->area_size, opt->area_flags),
	      "allocate the area");
	if (zcrx_register(&ring, &params, area, 1, &ifq))
		errx(1, "%s", zcrx_error());
}

static void accept_flows(const struct options *opt)
{
	int fd = listen_on(opt->port, MAX_FLOWS);
	unsigned int i;

	for (i = 0; i < opt->nr_flows; i++) {
		flows[i].fd = accept(fd, NULL, NULL);
		if (flows[i].fd < 0)
			err(1, "accept");
		flows[i].sha = EVP_MD_CTX_new();
		EVP_DigestInit_ex(flows[i].sha, EVP_sha256(), NULL);
		start(&flows[i]);
	}
	close(fd);
}

static void report(const struct options *opt)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct zcrx_counters counters;
	unsigned int i, j, len;

	for (i = 0; i < opt->nr_flows; i++) {
		EVP_DigestFinal_ex(flows[i].sha, digest, &len);
		for (j = 0; j < len; j++)
			printf("%02x", digest[j]);
		printf("  %" PRIu64 "\n", flows[i].bytes);
	}
	if (opt->cqe32)
		return;

	zcrx_read_counters(&ifq, &counters);
	printf("zc_bytes=%llu copied_bytes=%llu pauses=%llu\n",
	       counters.zc_bytes, counters.copied_bytes, counters.pauses);
}

static void usage(void)
{
	fputs("usage: zcrx-sink [-3] [-n FLOWS] [-l BUFFERS] [-a MIB] [-H] IFNAME QUEUE PORT\n"
	      "  -3          32-byte CQEs instead of the rbuf ring\n"
	      "  -n FLOWS    connections to accept (1)\n"
	      "  -l BUFFERS  give back late: keep so many (0)\n"
	      "  -a MIB      size of the area (16)\n"
	      "  -H          huge pages\n"
	      "IFNAME lo with QUEUE 0 is for trying it without a NIC: everything is copied\n", stderr);
	exit(2);
}

static void parse(struct options *opt, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "3n:l:a:H")) != -1) {
		switch (c) {
		case '3':
			opt->cqe32 = true;
			break;
		case 'n':
			opt->nr_flows = strtoul(optarg, NULL, 0);
			break;
		case 'l':
			opt->hold = strtoul(optarg, NULL, 0);
			break;
		case 'a':
			opt->area_size = strtoul(optarg, NULL, 0) << 20;
			break;
		case 'H':
			opt->area_flags = ZCRX_AREA_HUGE;
			break;
		default:
			usage();
		}
	}
	if (argc - optind != 3 || !opt->nr_flows || opt->nr_flows > MAX_FLOWS ||
	    opt->hold > MAX_HOLD)
		usage();
	opt->ifname = argv[optind];
	opt->rxq = strtoul(argv[optind + 1], NULL, 0);
	opt->port = strtoul(argv[optind + 2], NULL, 0);
}

int main(int argc, char **argv)
{
	struct options opt = { .nr_flows = 1, .area_size = 16 << 20 };
	struct zcrx_area area;

	parse(&opt, argc, argv);
	set_up(&opt, &area);
	accept_flows(&opt);
	if (opt.cqe32)
		receive_cqe32(&opt);
	else
		receive_rbuf(&opt);
	report(&opt);

	io_uring_queue_exit(&ring);
	zcrx_unregister(&ifq);
	zcrx_area_free(&area);

	return 0;
}
