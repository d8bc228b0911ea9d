// SPDX-License-Identifier: GPL-2.0
/* IORING_REGISTER_QUERY: what this kernel can do, asked without a ring */

#include <linux/io_uring.h>
#include <linux/io_uring_types.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <uapi/linux/io_uring/query.h>

#include "io_uring.h"
#include "query.h"
#include "zcrx/zcrx.h"

union io_query_data {
	struct io_uring_query_opcode		opcode;
	struct io_uring_query_scq		scq;
	struct io_uring_query_zcrx		zcrx;
	struct io_uring_query_zcrx_event	zcrx_event;
};

static size_t query_opcode(struct io_uring_query_opcode *q)
{
	q->nr_request_opcodes = IORING_OP_LAST;
	q->nr_register_opcodes = IORING_REGISTER_LAST;
	q->feature_flags = IO_RING_FEATURES;
	q->ring_setup_flags = IO_RING_SETUP_FLAGS;
	q->enter_flags = IO_RING_ENTER_FLAGS;
	q->sqe_flags = SQE_VALID_FLAGS;
	q->nr_query_opcodes = __IO_URING_QUERY_MAX;
	return sizeof(*q);
}

static size_t query_scq(struct io_uring_query_scq *q)
{
	q->hdr_size = sizeof(struct io_rings);
	q->hdr_alignment = SMP_CACHE_BYTES;
	return sizeof(*q);
}

/* Returns how many bytes the answer has, or -EOPNOTSUPP. */
static ssize_t answer(u32 op, union io_query_data *data)
{
	switch (op) {
	case IO_URING_QUERY_OPCODES:
		return query_opcode(&data->opcode);
	case IO_URING_QUERY_ZCRX:
		return io_zcrx_query(&data->zcrx);
	case IO_URING_QUERY_SCQ:
		return query_scq(&data->scq);
	case IO_URING_QUERY_ZCRX_EVENT:
		return io_zcrx_query_event(&data->zcrx_event);
	}
	return -EOPNOTSUPP;
}

static bool hdr_is_valid(const struct io_uring_query_hdr *hdr)
{
	return hdr->size && !hdr->result &&
	       !memchr_inv(hdr->__resv, 0, sizeof(hdr->__resv));
}

static int query_one(struct io_uring_query_hdr __user *arg, u64 *next)
{
	struct io_uring_query_hdr hdr;
	union io_query_data data = {};
	void __user *buf;
	size_t size = 0;
	ssize_t ret;

	if (copy_from_user(&hdr, arg, sizeof(hdr)))
		return -EFAULT;
	if (hdr.size > PAGE_SIZE)
		return -E2BIG;

	ret = answer(hdr.query_op, &data);
	if (ret >= 0 && !hdr_is_valid(&hdr))
		ret = -EINVAL;
	if (ret >= 0)
		size = min_t(size_t, ret, hdr.size);
	buf = u64_to_user_ptr(hdr.query_data);
	if (copy_to_user(buf, &data, size) ||
	    clear_user(buf + size, hdr.size - size))
		return -EFAULT;

	hdr.result = min_t(ssize_t, ret, 0);
	hdr.size = size;
	if (copy_to_user(arg, &hdr, sizeof(hdr)))
		return -EFAULT;
	*next = hdr.next_entry;
	return 0;
}

/**
 * io_query() - IORING_REGISTER_QUERY
 * @arg: struct io_uring_query_hdr of user space, the first of a chain
 * @nr_args: 0
 *
 * Return: 0; -EINVAL for @nr_args, -E2BIG for a buffer of more than a page,
 * -EFAULT; -EINTR if the caller is killed: a chain may have no end.
 */
int io_query(void __user *arg, unsigned int nr_args)
{
	u64 next = (u64)(uintptr_t)arg;
	int ret = nr_args ? -EINVAL : 0;

	while (next && !ret) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		ret = query_one(u64_to_user_ptr(next), &next);
	}
	return ret;
}
