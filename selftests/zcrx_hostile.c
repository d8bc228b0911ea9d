// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A program that writes nonsense into the rings it shares with the kernel harms
 * itself. Everybody else's bytes stay right, and the kernel lives.
 */
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "kselftest_harness.h"
#include "nic.h"
#include "receiver.h"

#define AREA_SIZE	(4 << 20)
#define WRITE_SIZE	(64 << 10)
#define SECONDS		5

static __u64 rnd_state;

static __u64 rnd(void)
{
	return pattern_word(rnd_state++, 0);
}

static __u32 nasty_u32(__u32 near)
{
	static const __u32 values[] = {
		0, 1, ~0U, 1U << 31, ~0U >> 1, 4095, 4096, 4097, 65536,
	};

	switch (rnd() % 4) {
	case 0:
		return near + rnd() % 64;
	case 1:
		return near - rnd() % 64;
	case 2:
		return values[rnd() % ARRAY_SIZE(values)];
	default:
		return rnd();
	}
}

static void nasty_refill(struct ifq *ifq)
{
	__u32 nr = ifq->refill_mask + 1;
	__u64 *rqe;
	int i;

	/* Entries in both formats: near what could be right, and far off */
	for (i = rnd() % 64; i; i--) {
		rqe = ifq->refill_rqes + rnd() % nr * 16;
		if (rnd() % 4) {
			rqe[0] = rnd() % (2 * AREA_SIZE);
			rqe[1] = rnd() % 8 ? 0 : rnd();
		} else {
			rqe[0] = rnd();
			rqe[1] = rnd();
		}
	}
	if (rnd() % 8 == 0)
		*(volatile __u32 *)ifq->refill_uhead = nasty_u32(0);
	*(volatile __u32 *)ifq->refill_utail =
		nasty_u32(*(volatile __u32 *)ifq->refill_uhead);
}

static void nasty_rbuf(struct ifq *ifq)
{
	volatile struct io_uring_rbuf_hdr *hdr = ifq->hdr;

	if (!hdr)
		return;
	hdr->consumer = nasty_u32(hdr->producer);
	hdr->uflags = nasty_u32(0);
	if (rnd() % 8)
		return;
	hdr->producer = nasty_u32(hdr->producer);
	hdr->kflags = nasty_u32(0);
	hdr->zc_bytes = rnd();
	hdr->pauses = rnd();
	hdr->copied_bytes[rnd() % 8] = rnd();
	memset((void *)&ifq->cqes[rnd() % (ifq->rbuf_mask + 1)], rnd(),
	       sizeof(*ifq->cqes));
}

/* Never returns */
static void hostile(enum receiver_mode mode, bool scribble)
{
	struct io_uring_cqe cqe;
	struct receiver r;
	__u64 extra[2];

	if (!receiver_open(&r, mode, AREA_SIZE) ||
	    !receiver_connect(&r, nic.remote_v4, 4, FLOW_ENDLESS, WRITE_SIZE)) {
		ksft_print_msg("%s\n", r.why);
		_exit(1);
	}
	for (;;) {
		nasty_refill(&r.ifq);
		nasty_rbuf(&r.ifq);
		uring_enter(&r.ring, 0, 0);
		if (rnd() % 4 == 0)
			ifq_kick(&r.ifq);
		while (uring_pop(&r.ring, &cqe, extra)) {
			if (cqe.flags & IORING_CQE_F_MORE ||
			    cqe.user_data >= r.nr_flows)
				continue;
			*uring_sqe(&r.ring) = (struct io_uring_sqe) {
				.opcode		= OP_RECV_ZC,
				.fd		= r.flows[cqe.user_data].fd,
				.splice_fd_in	= r.ifq.id,
				.user_data	= cqe.user_data,
				.ioprio		= IORING_RECV_MULTISHOT,
			};
		}
		/* Write over what we hold, and over what we don't. */
		if (!scribble)
			continue;
		memset((char *)ifq_addr(&r.ifq, 0) + rnd() % (AREA_SIZE - 64),
		       0x5a, 64);
	}
}

FIXTURE(hostile)
{
	pid_t pid;
};

FIXTURE_VARIANT(hostile)
{
	enum receiver_mode	mode;
	bool			scribble;
};

FIXTURE_VARIANT_ADD(hostile, rbuf)
{
	.mode = RECV_RBUF,
};

FIXTURE_VARIANT_ADD(hostile, cqe32)
{
	.mode = RECV_CQE32,
};

FIXTURE_VARIANT_ADD(hostile, rbuf_scribble)
{
	.mode = RECV_RBUF, .scribble = true,
};

FIXTURE_SETUP(hostile)
{
	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	ASSERT_EQ(sizeof(rnd_state),
		  getrandom(&rnd_state, sizeof(rnd_state), 0));
	TH_LOG("seed %llu", rnd_state);

	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		hostile(variant->mode, variant->scribble);
}

FIXTURE_TEARDOWN(hostile)
{
	kill(self->pid, SIGKILL);
}

static bool plain_recv(struct flow *flow, bool check)
{
	static char buf[WRITE_SIZE];
	ssize_t n;

	while ((n = recv(flow->fd, buf, sizeof(buf), 0)) > 0) {
		if (check && !flow_receive(flow, buf, n))
			return false;
		if (!check)
			flow->got += n;
	}

	return !n && (check ? flow_complete(flow) :
		      flow->got == flow->bytes + PATTERN_DIGEST_SIZE);
}

/*
 * Other people's flows come in through the queue of the hostile program, and
 * leave its chunks when they are read. Whatever it gives back in the meantime,
 * these chunks are not filled again. What it writes into its own memory is
 * another matter: then the others' flows go on, with whatever bytes.
 */
TEST_F_TIMEOUT(hostile, others, 300)
{
	time_t end = time(NULL) + SECONDS;
	struct receiver r;
	struct flow flow;
	int status;

	while (time(NULL) < end) {
		ASSERT_EQ(0, flow_connect(&flow, nic.remote_v4, 256 << 10,
					  WRITE_SIZE));
		ASSERT_TRUE(plain_recv(&flow, !variant->scribble))
			TH_LOG("wrong after %llu bytes", flow.got);
		flow_close(&flow);
	}

	ASSERT_EQ(0, waitpid(self->pid, &status, WNOHANG))
		TH_LOG("the hostile process ended by itself");
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));

	ASSERT_TRUE(receiver_open(&r, variant->mode, AREA_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_connect(&r, nic.remote_v4, 4, 1 << 20, WRITE_SIZE))
		TH_LOG("%s", r.why);
	ASSERT_TRUE(receiver_run(&r, 0)) TH_LOG("%s", r.why);
	receiver_close(&r);
}

ZCRX_TEST_MAIN
