/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Registrations with one argument that is wrong: for programs that use the
 * kernel's harness.
 */
#ifndef ZCRX_SELFTEST_REFUSALS_H
#define ZCRX_SELFTEST_REFUSALS_H

#include "ifq.h"
#include "proc.h"
#include "uring.h"

/* An address below what anybody may map */
#define NOWHERE		0x1000

/* One argument that is wrong, and what the kernel says to it */
struct refusal {
	const char	*what;
	size_t		offset;
	size_t		size;
	__u64		value;
	int		err;
	int		or_err;
};

#define REFUSED_OR(_field, _value, _err, _or_err) {			\
	.what	= #_field " = " #_value,				\
	.offset	= offsetof(struct ifq_args, _field),			\
	.size	= sizeof(((struct ifq_args *)0)->_field),		\
	.value	= (_value),						\
	.err	= (_err),						\
	.or_err	= (_or_err),						\
}

#define REFUSED(_field, _value, _err)	REFUSED_OR(_field, _value, _err, _err)

static inline void check_refusals(struct __test_metadata *_metadata,
				  const struct uring *ring,
				  struct ifq_args *args,
				  const struct refusal *refusals,
				  unsigned int nr)
{
	long pinned = proc_pinned_kib();
	struct ifq_args good, spoilt;
	unsigned int i;
	int ret;

	for (i = 0; i < nr; i++) {
		const struct refusal *rf = &refusals[i];

		/* The pointers in it point into *args: spoil that. */
		memcpy(&good, args, sizeof(good));
		memcpy((char *)args + rf->offset, &rf->value, rf->size);
		memcpy(&spoilt, args, sizeof(spoilt));
		ret = uring_register(ring, REGISTER_ZCRX_IFQ, &args->reg, 1);
		EXPECT_EQ(0, memcmp(args, &spoilt, sizeof(spoilt)))
			TH_LOG("%s: the arguments have changed", rf->what);
		memcpy(args, &good, sizeof(good));

		EXPECT_TRUE(ret == rf->err || ret == rf->or_err)
			TH_LOG("%s: got %d, want %d", rf->what, ret, rf->err);
		EXPECT_EQ(pinned, proc_pinned_kib())
			TH_LOG("%s: memory stays pinned", rf->what);
	}
}

#endif
