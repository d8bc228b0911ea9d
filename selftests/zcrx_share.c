// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * One ifq in several rings and processes: exported, handed on, imported. It
 * lives, and has the NIC's queue, until the last ring and file are gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring/query.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "nic.h"
#include "proc.h"
#include "receiver.h"
#include "refusals.h"

#define AREA_SIZE	(8 << 20)
#define WRITE_SIZE	(64 << 10)
#define FLOW_BYTES	(1 << 20)
#define TIMEOUT_S	120
#define BUSY_MS		20000
#define PAGE		4096

/*
 * @r: who registers
 * @area_fd: its area, as a file
 * @fd: the ifq, as a file
 */
FIXTURE(share)
{
	struct receiver r;
	int area_fd;
	int fd;
};

FIXTURE_VARIANT(share)
{
	enum receiver_mode	mode;
	bool			nodev;
};

FIXTURE_VARIANT_ADD(share, rbuf)
{
	.mode = RECV_RBUF,
};

FIXTURE_VARIANT_ADD(share, cqe32)
{
	.mode = RECV_CQE32,
};

FIXTURE_VARIANT_ADD(share, nodev_rbuf)
{
	.mode = RECV_RBUF, .nodev = true,
};

FIXTURE_VARIANT_ADD(share, nodev_cqe32)
{
	.mode = RECV_CQE32, .nodev = true,
};

FIXTURE_SETUP(share)
{
	struct ifq_args *args = &self->r.args;
	void *area;

	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	if (variant->nodev && nic.chunk > NIC_PAGE)
		SKIP(return, "for chunks of a page: without a NIC there are no others");
	self->fd = -1;
	receiver_prepare(&self->r, variant->mode, AREA_SIZE);
	self->area_fd = receiver_memfd(args->areas[0].len);
	ASSERT_LE(0, self->area_fd);
	area = mmap((void *)(unsigned long)args->areas[0].addr,
		    args->areas[0].len, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, self->area_fd, 0);
	ASSERT_NE(MAP_FAILED, area);
	memcpy(self->r.ifq.areas, args->areas, sizeof(args->areas));
	ifq_args_use_kernel_memory(args);
	if (variant->nodev)
		ifq_args_set_nodev(args);
}

FIXTURE_TEARDOWN(share)
{
}

static void register_and_export(struct __test_metadata *_metadata,
				FIXTURE_DATA(share) *self)
{
	ASSERT_EQ(0, receiver_register(&self->r));
	self->fd = ifq_export(&self->r.ifq);
	ASSERT_LE(0, self->fd);
}

/* Is the queue free? Without a NIC, anything is. */
static int try_register(enum receiver_mode mode)
{
	struct receiver r;
	int ret;

	receiver_prepare(&r, mode, 1 << 20);
	ret = receiver_register(&r);
	if (!ret)
		receiver_close_ring(&r);
	ifq_args_free(&r.args);

	return ret;
}

#define EXPECT_BUSY() EXPECT_EQ(variant->nodev ? 0 : -EEXIST,		\
				try_register(variant->mode))

#define EXPECT_FREE() EXPECT_EQ(0, try_register(variant->mode))

#define ASSERT_RECEIVES(_r)						\
	ASSERT_TRUE(receive_flows(_r)) TH_LOG("%s", (_r)->why)

static bool receive_flows(struct receiver *r)
{
	if (!receiver_connect(r, nic.remote_v4, 2, FLOW_BYTES, WRITE_SIZE) ||
	    !receiver_run(r, 0) || !receiver_finish(r))
		return false;
	receiver_disconnect(r);

	return true;
}

/* Another ring has given back meanwhile. */
static void take_turns(struct receiver *next, const struct receiver *last)
{
	next->ifq.refill_tail = last->ifq.refill_tail;
	next->ifq.consumer = last->ifq.consumer;
}

/*
 * Export, import
 */

/* The lowest descriptor that is not in use */
static int next_fd(void)
{
	int fd = dup(STDOUT_FILENO);

	close(fd);

	return fd;
}

TEST_F(share, export)
{
	struct zcrx_ctrl ctrl = { .op = ZCRX_CTRL_EXPORT };
	int other, next;

	register_and_export(_metadata, self);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
	other = ifq_export(&self->r.ifq);
	EXPECT_LE(0, other);
	EXPECT_NE(self->fd, other);
	next = next_fd();

	ctrl.zc_export.__resv[0] = 1;
	EXPECT_EQ(-EINVAL, uring_register(&self->r.ring, REGISTER_ZCRX_CTRL,
					  &ctrl, 0));
	EXPECT_EQ(next, next_fd());
}

/* A descriptor that can't be returned does not stay. */
TEST_F(share, export_read_only)
{
	struct zcrx_ctrl *ctrl = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int next;

	ASSERT_NE(MAP_FAILED, ctrl);
	register_and_export(_metadata, self);
	next = next_fd();

	ctrl->op = ZCRX_CTRL_EXPORT;
	ASSERT_EQ(0, mprotect(ctrl, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, uring_register(&self->r.ring, REGISTER_ZCRX_CTRL,
					  ctrl, 0));
	EXPECT_EQ(next, next_fd());

	close(self->fd);
	receiver_close_ring(&self->r);
	EXPECT_FREE();
}

TEST_F(share, import)
{
	const struct ifq_args *args = &self->r.args;
	struct receiver other;
	void *p;

	register_and_export(_metadata, self);
	ASSERT_EQ(0, receiver_import(&other, variant->mode, self->fd,
				     &self->r.ifq));
	EXPECT_EQ(0, other.args.reg.zcrx_id);
	EXPECT_EQ(args->reg.rq_entries, other.args.reg.rq_entries);
	EXPECT_EQ(nic.chunk, other.args.reg.rx_buf_len);
	EXPECT_EQ(0, memcmp(&args->reg.offsets, &other.args.reg.offsets,
			    sizeof(args->reg.offsets)));
	if (variant->mode != RECV_CQE32) {
		EXPECT_EQ(1, other.args.ext.nr_areas);
		EXPECT_EQ(args->ext.rbuf_entries, other.args.ext.rbuf_entries);
		EXPECT_EQ(0, memcmp(&args->ext.rbuf_offsets,
				    &other.args.ext.rbuf_offsets,
				    sizeof(args->ext.rbuf_offsets)));
		EXPECT_EQ(sizeof(args->ext), other.args.ext.size);
		*(volatile __u32 *)&self->r.ifq.hdr->uflags = 1U << 31;
		EXPECT_EQ(1U << 31, *(volatile __u32 *)&other.ifq.hdr->uflags);
	}

	/* It is the same memory. */
	EXPECT_NE(self->r.ifq.refill_utail, other.ifq.refill_utail);
	*(volatile __u32 *)self->r.ifq.refill_utail = 7;
	EXPECT_EQ(7, *(volatile __u32 *)other.ifq.refill_utail);

	/* And there is no other. */
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, other.ring.fd,
		 IORING_MAP_OFF_ZCRX_REGION + (1 << IORING_OFF_ZCRX_SHIFT));
	EXPECT_EQ(MAP_FAILED, p);
}

TEST_F(share, import_of_several_areas)
{
	struct ifq_args import;
	struct uring ring;
	struct ifq ifq;

	if (variant->mode == RECV_CQE32)
		SKIP(return, "for ZCRX_REG_RBUF: several areas");
	ifq_args_set_area(&self->r.args, 1, receiver_mmap(nic.chunk),
			  nic.chunk);
	ifq_args_set_area(&self->r.args, 2, receiver_mmap(nic.chunk),
			  nic.chunk);
	register_and_export(_metadata, self);
	ASSERT_EQ(0, uring_init(&ring, 0, 64));
	ifq_args_init_import(&import, self->fd, true);
	ASSERT_EQ(0, ifq_import(&ifq, &ring, &import, &self->r.ifq));
	EXPECT_EQ(3, import.ext.nr_areas);
}

/* Who imports can't map memory that is another user's. */
TEST_F(share, import_of_user_memory)
{
	struct receiver *r = &self->r;
	struct ifq_args import;
	struct uring ring;
	void *p;

	receiver_prepare(r, variant->mode, AREA_SIZE);
	if (variant->nodev)
		ifq_args_set_nodev(&r->args);
	register_and_export(_metadata, self);
	ASSERT_EQ(0, uring_init(&ring, r->ring_flags, 64));
	ifq_args_init_import(&import, self->fd, variant->mode != RECV_CQE32);
	ASSERT_EQ(0, uring_register(&ring, REGISTER_ZCRX_IFQ, &import.reg, 1));
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
		 IORING_MAP_OFF_ZCRX_REGION);
	EXPECT_EQ(MAP_FAILED, p);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
		 IORING_MAP_OFF_RBUF_REGION);
	EXPECT_EQ(MAP_FAILED, p);
}

static const struct refusal refusals[] = {
	REFUSED(reg.if_idx, 1000000, -EBADF),
	REFUSED(reg.if_idx, ~0U, -EBADF),
	REFUSED(reg.if_rxq, 1, -EINVAL),
	REFUSED(reg.rq_entries, 1024, -EINVAL),
	REFUSED(reg.area_ptr, NOWHERE, -EINVAL),
	REFUSED(reg.region_ptr, NOWHERE, -EINVAL),
	REFUSED(reg.offsets.head, 1, -EINVAL),
	REFUSED(reg.offsets.tail, 1, -EINVAL),
	REFUSED(reg.offsets.rqes, 1, -EINVAL),
	REFUSED(reg.offsets.__resv, 1, -EINVAL),
	REFUSED(reg.offsets.__resv2[1], 1, -EINVAL),
	REFUSED(reg.zcrx_id, 1, -EINVAL),
	REFUSED(reg.rx_buf_len, PAGE, -EINVAL),
	REFUSED(reg.event_desc, NOWHERE, -EINVAL),
	REFUSED(reg.__resv, 1, -EINVAL),
};

static const struct refusal refusals_cqe32[] = {
	REFUSED(reg.flags, ZCRX_REG_IMPORT | ZCRX_REG_NODEV, -EINVAL),
	REFUSED(reg.flags, ZCRX_REG_IMPORT | 1U << 2, -EINVAL),
	REFUSED(reg.ext_ptr, NOWHERE, -EINVAL),
};

static const struct refusal refusals_rbuf[] = {
	REFUSED(reg.flags, ZCRX_REG_IMPORT | ZCRX_REG_RBUF | ZCRX_REG_NODEV,
		-EINVAL),
	REFUSED(reg.flags,
		ZCRX_REG_IMPORT | ZCRX_REG_RBUF | ZCRX_REG_SOFT_SPLIT, -EINVAL),
	REFUSED(reg.flags,
		ZCRX_REG_IMPORT | ZCRX_REG_RBUF | ZCRX_REG_MANUAL_RESUME,
		-EINVAL),
	REFUSED(reg.ext_ptr, 0, -EFAULT),
	REFUSED(reg.ext_ptr, NOWHERE, -EFAULT),
	REFUSED(ext.size, 0, -EINVAL),
	REFUSED(ext.size, sizeof(struct io_uring_zcrx_ext_reg) - 1, -EINVAL),
	REFUSED(ext.size, sizeof(struct io_uring_zcrx_ext_reg) + 8, -EINVAL),
	REFUSED(ext.nr_areas, 1, -EINVAL),
	REFUSED(ext.rbuf_entries, 4096, -EINVAL),
	REFUSED(ext.rbuf_region_ptr, NOWHERE, -EINVAL),
	REFUSED(ext.rbuf_offsets.hdr, 1, -EINVAL),
	REFUSED(ext.rbuf_offsets.cqes, 1, -EINVAL),
	REFUSED(ext.__resv0, 1, -EINVAL),
	REFUSED(ext.__resv[0], 1, -EINVAL),
	REFUSED(ext.__resv[2], 1, -EINVAL),
};

TEST_F(share, import_refused)
{
	const bool rbuf = variant->mode != RECV_CQE32;
	struct ifq_args import;
	struct uring ring;
	struct ifq ifq;

	register_and_export(_metadata, self);
	ASSERT_EQ(0, uring_init(&ring, self->r.ring_flags, 64));
	ifq_args_init_import(&import, self->fd, rbuf);
	check_refusals(_metadata, &ring, &import, refusals,
		       ARRAY_SIZE(refusals));
	if (rbuf)
		check_refusals(_metadata, &ring, &import, refusals_rbuf,
			       ARRAY_SIZE(refusals_rbuf));
	else
		check_refusals(_metadata, &ring, &import, refusals_cqe32,
			       ARRAY_SIZE(refusals_cqe32));

	/* As if it were of the other kind */
	ifq_args_init_import(&import, self->fd, !rbuf);
	EXPECT_EQ(-EINVAL, uring_register(&ring, REGISTER_ZCRX_IFQ, &import.reg,
					  1));

	/* Nothing is left of all this. */
	ifq_args_init_import(&import, self->fd, rbuf);
	EXPECT_EQ(0, ifq_import(&ifq, &ring, &import, &self->r.ifq));
	EXPECT_EQ(0, ifq.id);
	ifq_unmap(&ifq);
	uring_exit(&ring);
	close(self->fd);
	receiver_close_ring(&self->r);
	EXPECT_FREE();
}

TEST_F(share, import_of_other_files)
{
	struct ifq_args import;
	int pipefd[2], files[5];
	struct uring ring;
	unsigned int i;

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, receiver_register(&self->r));
	ASSERT_EQ(0, uring_init(&ring, self->r.ring_flags, 64));
	files[0] = self->r.ring.fd;
	files[1] = ring.fd;
	files[2] = pipefd[0];
	files[3] = self->area_fd;
	files[4] = socket(AF_INET, SOCK_STREAM, 0);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		ifq_args_init_import(&import, files[i],
				     variant->mode != RECV_CQE32);
		EXPECT_EQ(-EINVAL, uring_register(&ring, REGISTER_ZCRX_IFQ,
						  &import.reg, 1))
			TH_LOG("file %u", i);
	}
}

/* What comes back can't be written: then nothing is imported. */
TEST_F(share, import_read_only)
{
	struct ifq_args *import = ifq_mmap(sizeof(*import));
	struct uring ring;

	ASSERT_NE(NULL, import);
	register_and_export(_metadata, self);
	ASSERT_EQ(0, uring_init(&ring, self->r.ring_flags, 64));
	ifq_args_init_import(import, self->fd, variant->mode != RECV_CQE32);
	ASSERT_EQ(0, mprotect(import, sizeof(*import), PROT_READ));
	EXPECT_EQ(-EFAULT, uring_register(&ring, REGISTER_ZCRX_IFQ,
					  &import->reg, 1));
	close(self->fd);
	receiver_close_ring(&self->r);
	EXPECT_FREE();
}

/*
 * 32-byte completions, posted by the task, in every ring of such an ifq; and never
 * one that polls for completions
 */
TEST_F(share, ring_flags)
{
	static const __u32 flags[] = {
		0,
		IORING_SETUP_CQE32,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		URING_CQE32_FLAGS,
		URING_CQE32_FLAGS | IORING_SETUP_IOPOLL,
	};
	const bool rbuf = variant->mode != RECV_CQE32;
	struct ifq_args import;
	struct uring ring;
	unsigned int i;
	int want;

	register_and_export(_metadata, self);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		want = rbuf || flags[i] == URING_CQE32_FLAGS ? 0 : -EINVAL;
		if (flags[i] & IORING_SETUP_IOPOLL)
			want = -EINVAL;
		ASSERT_EQ(0, uring_init(&ring, flags[i], 64));
		ifq_args_init_import(&import, self->fd, rbuf);
		EXPECT_EQ(want, uring_register(&ring, REGISTER_ZCRX_IFQ,
					       &import.reg, 1))
			TH_LOG("IORING_SETUP flags %#x", flags[i]);
		uring_exit(&ring);
	}
}

/*
 * Receiving
 */

TEST_F_TIMEOUT(share, receive, TIMEOUT_S)
{
	struct receiver other;
	struct ifq_stats stats;
	unsigned int i;

	register_and_export(_metadata, self);
	ASSERT_EQ(0, receiver_import(&other, variant->mode, self->fd,
				     &self->r.ifq));
	for (i = 0; i < 3; i++) {
		take_turns(&other, &self->r);
		ASSERT_RECEIVES(&other);
		take_turns(&self->r, &other);
		ASSERT_RECEIVES(&self->r);
	}

	/* Counters are the ifq's, and both rings show them. */
	ASSERT_TRUE(ifq_read_stats(&self->r.ifq, &stats));
	EXPECT_EQ(self->r.bytes + other.bytes,
		  stats.zc_bytes + ifq_stats_copied(&stats));
	ASSERT_TRUE(ifq_read_stats(&other.ifq, &stats));
	EXPECT_EQ(self->r.bytes + other.bytes,
		  stats.zc_bytes + ifq_stats_copied(&stats));
	if (!variant->nodev)
		EXPECT_LT(0, stats.zc_bytes);
}

/* A ring's thread that waits for the end of its one request */
struct waiter {
	struct uring	*ring;
	int		res;
};

static void *wait_for_end(void *arg)
{
	struct waiter *w = arg;
	struct io_uring_cqe cqe;
	__u64 extra[2];

	for (;;) {
		uring_enter(w->ring, 1, 100);
		while (uring_pop(w->ring, &cqe, extra)) {
			if (cqe.flags & IORING_CQE_F_MORE)
				continue;
			w->res = cqe.res;
			return NULL;
		}
	}
}

/*
 * Two rings, each with a thread, post to the one rbuf ring at the same time.
 * Only one of them kicks.
 */
TEST_F_TIMEOUT(share, at_the_same_time, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct waiter waiter = { .res = 1 };
	const __u64 bytes = 8 * FLOW_BYTES;
	struct ifq_args import;
	struct uring ring;
	pthread_t thread;
	struct ifq ifq;

	if (variant->mode == RECV_CQE32)
		SKIP(return, "for the rbuf ring");
	/* Now and then it is full. */
	r->args.ext.rbuf_entries = 128;
	register_and_export(_metadata, self);
	ASSERT_EQ(0, uring_init(&ring, 0, 64));
	ifq_args_init_import(&import, self->fd, true);
	ASSERT_EQ(0, ifq_import(&ifq, &ring, &import, &r->ifq));
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, bytes, WRITE_SIZE))
		TH_LOG("%s", r->why);
	r->requests = &ring;
	r->requests_id = ifq.id;
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, bytes, WRITE_SIZE))
		TH_LOG("%s", r->why);

	waiter.ring = &ring;
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_end, &waiter));
	r->poll = true;
	ASSERT_TRUE(receiver_run(r, 2 * (bytes + PATTERN_DIGEST_SIZE)))
		TH_LOG("%s", r->why);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, waiter.res);
	EXPECT_TRUE(flow_complete(&r->flows[1]));
	r->nr_eof++;
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
}

/* Never returns: has the lock of a ring until it is killed, by a query without end. */
static void keep_busy(const struct uring *ring)
{
	struct io_uring_query_opcode answer;
	struct io_uring_query_hdr hdr = {
		.query_op	= IO_URING_QUERY_OPCODES,
		.query_data	= (unsigned long)&answer,
		.size		= sizeof(answer),
		.next_entry	= (unsigned long)&hdr,
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	uring_register(ring, REGISTER_QUERY, &hdr, 0);
	_exit(1);
}

/* What may have paused in a ring that is busy asks for another kick. */
TEST_F_TIMEOUT(share, resume_while_busy, TIMEOUT_S)
{
	struct receiver *r = &self->r, other;
	unsigned int ms;
	int ret = 0;
	pid_t pid;

	if (variant->mode == RECV_CQE32)
		SKIP(return, "for the rbuf ring");
	register_and_export(_metadata, self);
	ASSERT_EQ(0, receiver_import(&other, variant->mode, self->fd, &r->ifq));
	ASSERT_EQ(0, ifq_kick(&r->ifq));
	EXPECT_FALSE(ifq_needs_kick(&r->ifq));

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		keep_busy(&other.ring);
	for (ms = 0; ms < BUSY_MS && !ret; ms++) {
		proc_sleep_ms(1);
		ret = ifq_kick(&r->ifq);
	}
	EXPECT_EQ(-EAGAIN, ret);
	EXPECT_TRUE(ifq_needs_kick(&r->ifq));

	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(0, ifq_kick(&r->ifq));
	EXPECT_FALSE(ifq_needs_kick(&r->ifq));
}

/* Never returns: adds an area that takes a while, and is refused in the end. */
static void keep_adding(const struct receiver *exporter, int fd,
			struct io_uring_zcrx_area_reg *area)
{
	struct receiver other;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (receiver_import(&other, exporter->mode, fd, &exporter->ifq))
		_exit(1);
	for (;;)
		ifq_add_area(&other.ifq, area);
}

/* Two rings add an area at the same time: one of them is told to try again. */
TEST_F_TIMEOUT(share, areas_at_the_same_time, TIMEOUT_S)
{
	struct io_uring_zcrx_area_reg area = {
		.addr	= (unsigned long)ifq_mmap(AREA_SIZE),
		.len	= AREA_SIZE,
	};
	struct ifq *ifq = &self->r.ifq;
	unsigned int ms;
	int ret = 0;
	pid_t pid;

	register_and_export(_metadata, self);
	/* Its end is missing. */
	ASSERT_EQ(0, munmap((void *)(unsigned long)area.addr + AREA_SIZE -
			    nic.chunk, nic.chunk));
	EXPECT_EQ(-EFAULT, ifq_add_area(ifq, &area));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		keep_adding(&self->r, self->fd, &area);
	for (ms = 0; ms < BUSY_MS && ret != -EBUSY; ms++) {
		proc_sleep_ms(1);
		ret = ifq_add_area(ifq, &area);
		if (ret != -EBUSY)
			EXPECT_EQ(-EFAULT, ret);
	}
	EXPECT_EQ(-EBUSY, ret);

	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(-EFAULT, ifq_add_area(ifq, &area));
}

/* Never returns: gets an ifq and its area, and may do nothing but receive. */
static void be_nobody(int sock, enum receiver_mode mode)
{
	struct io_uring_zcrx_area_reg more = {
		.addr	= (unsigned long)ifq_mmap(PAGE),
		.len	= PAGE,
	};
	const size_t size = nic_chunks_size(AREA_SIZE);
	struct ifq exported = {};
	struct receiver r = {};
	void *area;
	int fds[2];

	if (proc_become_nobody() || proc_receive_fds(sock, fds, 2))
		_exit(2);
	area = mmap(NULL, size, PROT_READ, MAP_SHARED, fds[1], 0);
	if (area == MAP_FAILED || try_register(mode) != -EPERM)
		_exit(3);
	exported.areas[0].addr = (unsigned long)area;
	exported.areas[0].len = size;
	if (receiver_import(&r, mode, fds[0], &exported) ||
	    ifq_add_area(&r.ifq, &more) != -EPERM)
		_exit(4);
	if (receive_flows(&r))
		_exit(0);
	ksft_print_msg("%s\n", r.why);
	_exit(5);
}

TEST_F_TIMEOUT(share, unprivileged, TIMEOUT_S)
{
	int sock[2], status;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	/* Before there is an ifq: it gets that from nowhere else. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		be_nobody(sock[1], variant->mode);
	close(sock[1]);

	register_and_export(_metadata, self);
	ASSERT_EQ(0, proc_send_fds(sock[0], (int[]) { self->fd, self->area_fd },
				   2));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));

	/* It has given back all, and left all. */
	close(self->fd);
	self->r.ifq.refill_tail = *self->r.ifq.refill_utail;
	if (variant->mode != RECV_CQE32)
		self->r.ifq.consumer = self->r.ifq.hdr->consumer;
	ASSERT_RECEIVES(&self->r);
	receiver_close_ring(&self->r);
	EXPECT_FREE();
}

/*
 * In which order ever: the queue is bound until the last one goes, and free at
 * once then.
 */

TEST_F_TIMEOUT(share, registering_ring_goes_first, TIMEOUT_S)
{
	struct receiver other;

	register_and_export(_metadata, self);
	ASSERT_EQ(0, receiver_import(&other, variant->mode, self->fd,
				     &self->r.ifq));
	close(self->fd);
	ASSERT_TRUE(receiver_connect(&other, nic.remote_v4, 2, 2 * FLOW_BYTES,
				     WRITE_SIZE)) TH_LOG("%s", other.why);
	ASSERT_TRUE(receiver_run(&other, FLOW_BYTES)) TH_LOG("%s", other.why);

	/* Under traffic, and with pieces held by us that the other ring got */
	receiver_close_ring(&self->r);
	EXPECT_BUSY();
	ASSERT_TRUE(receiver_run(&other, 0)) TH_LOG("%s", other.why);
	ASSERT_TRUE(receiver_finish(&other)) TH_LOG("%s", other.why);
	receiver_disconnect(&other);
	ASSERT_RECEIVES(&other);

	receiver_close_ring(&other);
	EXPECT_FREE();
}

static void give_back_unread(struct ifq *ifq)
{
	while (ifq_rbuf_available(ifq))
		ifq_give_back(ifq, ifq_rbuf_read(ifq).off);
	ifq_rbuf_release(ifq);
}

TEST_F_TIMEOUT(share, importing_ring_goes_first, TIMEOUT_S)
{
	struct receiver other;

	register_and_export(_metadata, self);
	ASSERT_EQ(0, receiver_import(&other, variant->mode, self->fd,
				     &self->r.ifq));
	ASSERT_TRUE(receiver_connect(&other, nic.remote_v4, 2, FLOW_ENDLESS,
				     WRITE_SIZE)) TH_LOG("%s", other.why);
	ASSERT_TRUE(receiver_run(&other, FLOW_BYTES)) TH_LOG("%s", other.why);
	receiver_close_ring(&other);
	receiver_disconnect(&other);
	EXPECT_BUSY();

	/* What it held can be given back by us, and what came at its end. */
	take_turns(&self->r, &other);
	while (other.nr_held)
		ASSERT_TRUE(ifq_give_back(&self->r.ifq,
					  other.held[--other.nr_held].off));
	if (variant->mode != RECV_CQE32)
		give_back_unread(&self->r.ifq);
	ASSERT_RECEIVES(&self->r);
	close(self->fd);
	EXPECT_BUSY();
	receiver_close_ring(&self->r);
	EXPECT_FREE();
}

/* With nobody to receive it is bound all the same, and can be used later. */
TEST_F_TIMEOUT(share, file_goes_last, TIMEOUT_S)
{
	struct receiver other;

	register_and_export(_metadata, self);
	ASSERT_RECEIVES(&self->r);
	receiver_close_ring(&self->r);
	EXPECT_BUSY();

	ASSERT_EQ(0, receiver_import(&other, variant->mode, self->fd,
				     &self->r.ifq));
	ASSERT_RECEIVES(&other);
	receiver_close_ring(&other);
	EXPECT_BUSY();
	close(self->fd);
	EXPECT_FREE();
}

TEST_F_TIMEOUT(share, file_in_a_message, TIMEOUT_S)
{
	int sock[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	register_and_export(_metadata, self);
	ASSERT_EQ(0, proc_send_fds(sock[0], &self->fd, 1));
	close(self->fd);
	receiver_close_ring(&self->r);
	EXPECT_BUSY();
	close(sock[0]);
	EXPECT_BUSY();
	close(sock[1]);
	EXPECT_FREE();
}

TEST_F_TIMEOUT(share, exporter_killed, TIMEOUT_S)
{
	struct receiver other;
	int sock[2], status;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		register_and_export(_metadata, self);
		proc_send_fds(sock[1], &self->fd, 1);
		pause();
		_exit(1);
	}

	close(sock[1]);
	ASSERT_EQ(0, proc_receive_fds(sock[0], &self->fd, 1));
	ASSERT_EQ(0, receiver_import(&other, variant->mode, self->fd,
				     &self->r.ifq));
	close(self->fd);
	ASSERT_TRUE(receiver_connect(&other, nic.remote_v4, 2, 2 * FLOW_BYTES,
				     WRITE_SIZE)) TH_LOG("%s", other.why);
	ASSERT_TRUE(receiver_run(&other, FLOW_BYTES)) TH_LOG("%s", other.why);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_BUSY();
	ASSERT_TRUE(receiver_run(&other, 0)) TH_LOG("%s", other.why);
	ASSERT_TRUE(receiver_finish(&other)) TH_LOG("%s", other.why);
	receiver_disconnect(&other);
	ASSERT_RECEIVES(&other);
	receiver_close_ring(&other);
	EXPECT_FREE();
}

/* Never returns; holds few, since what it holds is lost with it. */
static void be_importer(enum receiver_mode mode, int fd,
			const struct ifq *exported)
{
	struct receiver r;

	if (receiver_import(&r, mode, fd, exported))
		_exit(1);
	r.hold = 128;
	r.release_each = true;
	if (receiver_connect(&r, nic.remote_v4, 2, FLOW_ENDLESS, WRITE_SIZE))
		receiver_run(&r, 0);
	_exit(1);
}

TEST_F_TIMEOUT(share, importer_killed, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct ifq_stats stats = {};
	unsigned int i;
	pid_t pid;

	register_and_export(_metadata, self);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		be_importer(variant->mode, self->fd, &r->ifq);
	for (i = 0; i < 2000 && stats.zc_bytes + ifq_stats_copied(&stats) <
	     FLOW_BYTES; i++) {
		ASSERT_TRUE(ifq_read_stats(&r->ifq, &stats));
		proc_sleep_ms(10);
	}
	EXPECT_GT(2000, i);
	proc_kill(pid);

	/* It held some, for good; what it had not read yet goes back. */
	r->ifq.refill_tail = *r->ifq.refill_utail;
	if (variant->mode != RECV_CQE32) {
		r->ifq.consumer = r->ifq.hdr->consumer;
		give_back_unread(&r->ifq);
	}
	ASSERT_RECEIVES(r);
	close(self->fd);
	EXPECT_BUSY();
	receiver_close_ring(r);
	EXPECT_FREE();
}

/* Who imported exports again, and is gone when that is imported. */
TEST_F_TIMEOUT(share, chain, TIMEOUT_S)
{
	struct receiver other, last;
	int fd;

	register_and_export(_metadata, self);
	ASSERT_EQ(0, receiver_import(&other, variant->mode, self->fd,
				     &self->r.ifq));
	close(self->fd);
	receiver_close_ring(&self->r);
	fd = ifq_export(&other.ifq);
	ASSERT_LE(0, fd);
	receiver_close_ring(&other);
	EXPECT_BUSY();

	ASSERT_EQ(0, receiver_import(&last, variant->mode, fd, &self->r.ifq));
	close(fd);
	ASSERT_RECEIVES(&last);
	EXPECT_BUSY();
	receiver_close_ring(&last);
	EXPECT_FREE();
}

ZCRX_TEST_MAIN
