// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What the kernel says about itself is true: IORING_REGISTER_QUERY.
 */
#include <errno.h>
#include <linux/io_uring/query.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "ifq.h"
#include "layout.h"
#include "nic.h"
#include "proc.h"
#include "refusals.h"
#include "uring.h"

#define AREA_SIZE	(1 << 20)
#define ENTRIES		256
#define PAGE		4096
#define UNTOUCHED	0xa5

/* Up to the kernel's LISTEN, and RECV_ZC */
#define NR_REQUESTS	59
#define NR_REGISTER	37
#define ALL_SQE_FLAGS	0x7f

#define ALL_REG_FLAGS	(ZCRX_REG_IMPORT | ZCRX_REG_NODEV | ZCRX_REG_RBUF | \
			 ZCRX_REG_SOFT_SPLIT | ZCRX_REG_MANUAL_RESUME)

/* One question, and room for its answer */
struct question {
	struct io_uring_query_hdr hdr;
	union {
		struct io_uring_query_opcode	opcode;
		struct io_uring_query_zcrx	zcrx;
		struct io_uring_query_scq	scq;
		struct io_uring_query_zcrx_event event;
		unsigned char			bytes[PAGE + 8];
	};
};

static const __u32 answer_sizes[] = {
	[IO_URING_QUERY_OPCODES]	= sizeof(struct io_uring_query_opcode),
	[IO_URING_QUERY_ZCRX]		= sizeof(struct io_uring_query_zcrx),
	[IO_URING_QUERY_SCQ]		= sizeof(struct io_uring_query_scq),
	[IO_URING_QUERY_ZCRX_EVENT]	= sizeof(struct io_uring_query_zcrx_event),
};

static void question_init(struct question *q, __u32 op, __u32 size)
{
	memset(q, 0, sizeof(*q));
	memset(q->bytes, UNTOUCHED, sizeof(q->bytes));
	q->hdr.query_op = op;
	q->hdr.query_data = (unsigned long)q->bytes;
	q->hdr.size = size;
}

static bool all_are(const unsigned char *bytes, size_t len, unsigned char value)
{
	while (len--)
		if (*bytes++ != value)
			return false;

	return true;
}

FIXTURE(query)
{
	struct uring ring;
	struct question q[6];
};

FIXTURE_VARIANT(query)
{
	bool has_ring;
};

FIXTURE_VARIANT_ADD(query, no_ring) { .has_ring = false };
FIXTURE_VARIANT_ADD(query, ring) { .has_ring = true };

FIXTURE_SETUP(query)
{
	self->ring.fd = -1;
	if (variant->has_ring)
		ASSERT_EQ(0, uring_init(&self->ring, 0, 64));
}

FIXTURE_TEARDOWN(query)
{
}

static int ask(FIXTURE_DATA(query) *self, struct question *q)
{
	return uring_register(&self->ring, REGISTER_QUERY, &q->hdr, 0);
}

static void ask_one(struct __test_metadata *_metadata,
		    FIXTURE_DATA(query) *self, struct question *q, __u32 op)
{
	question_init(q, op, answer_sizes[op]);
	ASSERT_EQ(0, ask(self, q));
	ASSERT_EQ(0, q->hdr.result);
	ASSERT_EQ(answer_sizes[op], q->hdr.size);
	EXPECT_TRUE(all_are(q->bytes + q->hdr.size, 8, UNTOUCHED));
}

TEST_F(query, opcodes)
{
	struct io_uring_params p = {};
	struct question *q = self->q;
	unsigned int bit;
	int fd;

	ask_one(_metadata, self, q, IO_URING_QUERY_OPCODES);
	EXPECT_EQ(NR_REQUESTS, q->opcode.nr_request_opcodes);
	EXPECT_EQ(NR_REGISTER, q->opcode.nr_register_opcodes);
	EXPECT_EQ(__IO_URING_QUERY_MAX, q->opcode.nr_query_opcodes);
	EXPECT_EQ(ALL_SQE_FLAGS, q->opcode.sqe_flags);
	EXPECT_EQ(IORING_ENTER_GETEVENTS, IORING_ENTER_GETEVENTS &
					  q->opcode.enter_flags);
	EXPECT_EQ(IORING_ENTER_EXT_ARG, IORING_ENTER_EXT_ARG &
					q->opcode.enter_flags);
	EXPECT_EQ(URING_CQE32_FLAGS, URING_CQE32_FLAGS &
				     q->opcode.ring_setup_flags);
	EXPECT_EQ(0, q->opcode.__pad);

	fd = syscall(__NR_io_uring_setup, 4, &p);
	ASSERT_LE(0, fd);
	close(fd);
	EXPECT_EQ(p.features, q->opcode.feature_flags);

	/* What is not there is refused. */
	EXPECT_EQ(0, q->opcode.ring_setup_flags >> 32);
	for (bit = 0; bit < 32; bit++) {
		if (q->opcode.ring_setup_flags & (1ULL << bit))
			continue;
		p = (struct io_uring_params) { .flags = 1U << bit };
		EXPECT_EQ(-1, syscall(__NR_io_uring_setup, 4, &p));
		EXPECT_EQ(EINVAL, errno);
	}
}

TEST_F(query, register_opcodes)
{
	struct question *q = self->q;
	unsigned int op;

	if (!variant->has_ring)
		SKIP(return, "for a ring");
	ask_one(_metadata, self, q, IO_URING_QUERY_OPCODES);
	for (op = q->opcode.nr_register_opcodes; op < 64; op++)
		EXPECT_EQ(-EINVAL, uring_register(&self->ring, op, NULL, 0));
}

TEST_F(query, request_opcodes)
{
	const unsigned int nr_ops = NR_REQUESTS + 4;
	struct question *q = self->q;
	struct io_uring_probe *probe;
	struct uring ring;

	ask_one(_metadata, self, q, IO_URING_QUERY_OPCODES);
	probe = calloc(1, sizeof(*probe) + nr_ops * sizeof(probe->ops[0]));
	ASSERT_NE(NULL, probe);
	ASSERT_EQ(0, uring_init(&ring, 0, 64));
	ASSERT_EQ(0, uring_register(&ring, IORING_REGISTER_PROBE, probe,
				    nr_ops));
	EXPECT_EQ(probe->last_op + 1, (int)q->opcode.nr_request_opcodes);
	uring_exit(&ring);
	free(probe);
}

TEST_F(query, zcrx)
{
	struct question *q = self->q;
	struct ifq_args args;
	struct uring ring;
	struct ifq ifq;

	ask_one(_metadata, self, q, IO_URING_QUERY_ZCRX);
	EXPECT_EQ(ALL_REG_FLAGS, q->zcrx.register_flags);
	EXPECT_EQ(0, q->zcrx.area_flags);
	EXPECT_EQ(4, q->zcrx.nr_ctrl_opcodes);
	EXPECT_EQ(ZCRX_FEATURE_RX_PAGE_SIZE | ZCRX_FEATURE_EVENT,
		  q->zcrx.features);
	EXPECT_LT(0, q->zcrx.rq_hdr_alignment);
	EXPECT_EQ(0, q->zcrx.rq_hdr_alignment & (q->zcrx.rq_hdr_alignment - 1));
	EXPECT_EQ(0, q->zcrx.__resv);

	/* A refill region of just that size will do. */
	ASSERT_EQ(0, uring_init(&ring, URING_CQE32_FLAGS, 64));
	ifq_args_init(&args, 0, 0, false, AREA_SIZE, ENTRIES);
	ifq_args_set_nodev(&args);
	args.refill.size = q->zcrx.rq_hdr_size + ENTRIES * 16;
	args.refill.size = (args.refill.size + PAGE - 1) & -PAGE;
	ASSERT_EQ(0, ifq_register(&ifq, &ring, &args));
	EXPECT_EQ(q->zcrx.rq_hdr_size, args.reg.offsets.rqes);
	uring_exit(&ring);
}

/* One flag alone, on the NIC or without, as it needs to be */
static int register_with(__u32 flag, bool cqe32)
{
	struct ifq_args args;
	struct uring ring;
	struct ifq ifq;
	int ret;

	ret = uring_init(&ring, cqe32 ? URING_CQE32_FLAGS : 0, 64);
	if (ret)
		return ret;
	ifq_args_init(&args, nic_ifindex(), nic.rxq,
		      flag == ZCRX_REG_RBUF, AREA_SIZE, ENTRIES);
	if (flag == ZCRX_REG_NODEV)
		ifq_args_set_nodev(&args);
	else
		ifq_args_add_flags(&args, flag);
	ret = ifq_register(&ifq, &ring, &args);
	uring_exit(&ring);
	ifq_args_free(&args);

	return ret;
}

static int import_one(void)
{
	struct ifq_args args, import;
	struct uring ring, other;
	struct ifq ifq, imported;
	int fd, ret;

	ifq_args_init(&args, 0, 0, false, AREA_SIZE, ENTRIES);
	ifq_args_set_nodev(&args);
	ifq_args_use_kernel_memory(&args);
	if (uring_init(&ring, URING_CQE32_FLAGS, 64) ||
	    uring_init(&other, URING_CQE32_FLAGS, 64) ||
	    ifq_register(&ifq, &ring, &args))
		return -EIO;
	fd = ifq_export(&ifq);
	if (fd < 0)
		return fd;
	ifq_args_init_import(&import, fd, false);
	ret = ifq_import(&imported, &other, &import, &ifq);
	close(fd);

	return ret;
}

TEST_F(query, register_flags)
{
	struct question *q = self->q;
	unsigned int bit;
	__u32 flag;

	ask_one(_metadata, self, q, IO_URING_QUERY_ZCRX);
	EXPECT_EQ(0, q->zcrx.register_flags >> 32);
	for (bit = 0; bit < 32; bit++) {
		flag = 1U << bit;
		if (!(q->zcrx.register_flags & flag)) {
			EXPECT_EQ(-EINVAL, register_with(flag, true))
				TH_LOG("flag %u", bit);
		} else if (flag == ZCRX_REG_IMPORT) {
			EXPECT_EQ(0, import_one());
		} else {
			EXPECT_EQ(0, register_with(flag, flag != ZCRX_REG_RBUF))
				TH_LOG("flag %u", bit);
		}
	}
}

TEST_F(query, scq)
{
	struct io_uring_params p = { .flags = IORING_SETUP_CQE32 };
	struct question *q = self->q;
	int fd;

	ask_one(_metadata, self, q, IO_URING_QUERY_SCQ);
	fd = syscall(__NR_io_uring_setup, 4, &p);
	ASSERT_LE(0, fd);
	close(fd);
	EXPECT_EQ(p.cq_off.cqes, q->scq.hdr_size);
	EXPECT_LT(0, q->scq.hdr_alignment);
	EXPECT_EQ(0, q->scq.hdr_size % q->scq.hdr_alignment);
}

TEST_F(query, zcrx_event)
{
	struct question *q = self->q;

	ask_one(_metadata, self, q, IO_URING_QUERY_ZCRX_EVENT);
	EXPECT_EQ(1U << ZCRX_EVENT_ALLOC_FAIL | 1U << ZCRX_EVENT_COPY |
		  1U << ZCRX_EVENT_STATE_COPY | 1U << ZCRX_EVENT_STATE_ON |
		  1U << ZCRX_EVENT_UNBOUND, q->event.event_flags);
	EXPECT_EQ(sizeof(struct zcrx_stats), q->event.stats_size);
	EXPECT_EQ(8, q->event.stats_off_alignment);
	EXPECT_EQ(0, q->event.__resv0);
	EXPECT_EQ(0, q->event.__resv[0]);
	EXPECT_EQ(0, q->event.__resv[3]);
}

/* A program with a smaller or larger struct gets what it knows, or zeroes. */
TEST_F(query, sizes)
{
	const __u32 sizes[] = { 1, 4, 7, 8, 16, 40, 41, 48, 64, 1000, PAGE };
	struct question *q = self->q, *whole = self->q + 1;
	__u32 op, size, want;
	unsigned int i;

	for (op = 0; op < ARRAY_SIZE(answer_sizes); op++) {
		ask_one(_metadata, self, whole, op);
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			size = sizes[i];
			want = size < answer_sizes[op] ? size : answer_sizes[op];
			question_init(q, op, size);
			ASSERT_EQ(0, ask(self, q));
			EXPECT_EQ(0, q->hdr.result);
			EXPECT_EQ(want, q->hdr.size);
			EXPECT_EQ(0, memcmp(q->bytes, whole->bytes, want));
			EXPECT_TRUE(all_are(q->bytes + want, size - want, 0))
				TH_LOG("operation %u, size %u", op, size);
			EXPECT_TRUE(all_are(q->bytes + size, 8, UNTOUCHED))
				TH_LOG("operation %u, size %u", op, size);
		}
	}
}

/* Several questions in one call; one that the kernel doesn't know is no harm. */
TEST_F(query, chain)
{
	const __u32 ops[] = {
		IO_URING_QUERY_ZCRX, 4, IO_URING_QUERY_SCQ,
		IO_URING_QUERY_OPCODES, ~0U, IO_URING_QUERY_ZCRX_EVENT,
	};
	struct question *q = self->q;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		question_init(&q[i], ops[i], 64);
		if (i)
			q[i - 1].hdr.next_entry = (unsigned long)&q[i].hdr;
	}
	ASSERT_EQ(0, ask(self, q));
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		bool known = ops[i] < __IO_URING_QUERY_MAX;

		EXPECT_EQ(known ? 0 : -EOPNOTSUPP, q[i].hdr.result)
			TH_LOG("entry %u", i);
		EXPECT_EQ(known ? answer_sizes[ops[i]] : 0, q[i].hdr.size)
			TH_LOG("entry %u", i);
	}
	EXPECT_EQ(4, q[0].zcrx.nr_ctrl_opcodes);
	EXPECT_EQ(NR_REQUESTS, q[3].opcode.nr_request_opcodes);
	EXPECT_EQ(8, q[5].event.stats_off_alignment);
}

TEST_F(query, refused)
{
	struct question *q = self->q;

#define EXPECT_REFUSED(_err, _field, _value) do {			\
	question_init(q, IO_URING_QUERY_ZCRX, sizeof(q->zcrx));		\
	q->_field = (_value);						\
	EXPECT_EQ(_err, ask(self, q))					\
		TH_LOG(#_field " = " #_value);				\
	EXPECT_TRUE(all_are(q->bytes, sizeof(q->bytes), UNTOUCHED))	\
		TH_LOG(#_field " = " #_value);				\
} while (0)

	EXPECT_REFUSED(-E2BIG, hdr.size, PAGE + 1);
	EXPECT_REFUSED(-E2BIG, hdr.size, ~0U);
	EXPECT_REFUSED(-EFAULT, hdr.query_data, 0);
	EXPECT_REFUSED(-EFAULT, hdr.query_data, NOWHERE);

	question_init(q, IO_URING_QUERY_ZCRX, sizeof(q->zcrx));
	EXPECT_EQ(-EINVAL, uring_register(&self->ring, REGISTER_QUERY, q, 1));
	EXPECT_EQ(-EFAULT, uring_register(&self->ring, REGISTER_QUERY,
					  (void *)NOWHERE, 0));
}

/* A wrong header is told in the header, and the next one is answered. */
TEST_F(query, wrong_header)
{
	struct question *q = self->q;

#define EXPECT_WRONG(_field, _value) do {				\
	question_init(q, IO_URING_QUERY_ZCRX, sizeof(q->zcrx));		\
	question_init(q + 1, IO_URING_QUERY_ZCRX, sizeof(q->zcrx));	\
	q->hdr.next_entry = (unsigned long)&q[1].hdr;			\
	q->_field = (_value);						\
	EXPECT_EQ(0, ask(self, q)) TH_LOG(#_field " = " #_value);	\
	EXPECT_EQ(-EINVAL, q->hdr.result)				\
		TH_LOG(#_field " = " #_value);				\
	EXPECT_EQ(0, q->hdr.size);					\
	EXPECT_EQ(0, q[1].hdr.result);					\
	EXPECT_EQ(4, q[1].zcrx.nr_ctrl_opcodes);			\
} while (0)

	EXPECT_WRONG(hdr.size, 0);
	EXPECT_WRONG(hdr.result, 1);
	EXPECT_WRONG(hdr.result, -EINVAL);
	EXPECT_WRONG(hdr.__resv[0], 1);
	EXPECT_WRONG(hdr.__resv[2], 1);
}

/* The first one has been answered by then. */
TEST_F(query, next_entry_nowhere)
{
	struct question *q = self->q;

	question_init(q, IO_URING_QUERY_ZCRX, sizeof(q->zcrx));
	q->hdr.next_entry = NOWHERE;
	EXPECT_EQ(-EFAULT, ask(self, q));
	EXPECT_EQ(4, q->zcrx.nr_ctrl_opcodes);
}

TEST_F(query, read_only)
{
	struct question *q = mmap(NULL, sizeof(*q), PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, q);
	question_init(q, IO_URING_QUERY_ZCRX, sizeof(q->zcrx));
	ASSERT_EQ(0, mprotect(q, sizeof(*q), PROT_READ));
	EXPECT_EQ(-EFAULT, ask(self, q));
}

/* Whoever asks for ever can be killed. */
TEST_F(query, cycle)
{
	struct question *q = self->q;
	int status, ms;
	pid_t pid;

	question_init(&q[0], IO_URING_QUERY_ZCRX, sizeof(q->zcrx));
	question_init(&q[1], IO_URING_QUERY_SCQ, sizeof(q->scq));
	q[0].hdr.next_entry = (unsigned long)&q[1].hdr;
	q[1].hdr.next_entry = (unsigned long)&q[0].hdr;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		ask(self, q);
		_exit(0);
	}
	proc_sleep_ms(300);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	for (ms = 0; ms < 5000; ms += 10) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return;
		proc_sleep_ms(10);
	}
	ASSERT_TRUE(false) TH_LOG("still there 5 s after SIGKILL");
}

ZCRX_TEST_MAIN
