/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A process that receives through an ifq until that is taken from it, one way or
 * another. Its connection, and what else it hands over, live on.
 */
#ifndef ZCRX_SELFTEST_VICTIM_H
#define ZCRX_SELFTEST_VICTIM_H

#include <stdbool.h>
#include <sys/types.h>

#include "flow.h"
#include "receiver.h"

#define VICTIM_AREA_SIZE	(8 << 20)

/* What it is like when victim_start() returns */
enum victim_kind {
	/* It receives. */
	VICTIM_RECEIVES,
	/* It has no ring any more. There is a file, which we have. */
	VICTIM_EXPORTED,
	/* It receives, and we have the file. */
	VICTIM_SHARES,
};

/*
 * What it tells, in memory that we share: @bytes is how much has been posted to
 * it, and not yet more than @window more.
 */
struct victim_report {
	volatile bool		ready;
	volatile bool		closed;
	volatile bool		failed;
	volatile __u64		bytes;
	volatile __u64		window;
	struct flow		flow;
	char			why[256];
};

/**
 * struct victim - the process, and what we have of it
 * @pid: the process, or 0
 * @report: what it tells
 * @conn: its connection
 * @ifq_fd: its ifq, if it exported that, or -1
 * @why: what is wrong
 */
struct victim {
	pid_t			pid;
	struct victim_report	*report;
	struct flow		conn;
	int			ifq_fd;
	char			why[320];
};

bool victim_start(struct victim *v, enum receiver_mode mode,
		  enum victim_kind kind, bool (*before)(void));
bool victim_progresses(struct victim *v);
bool victim_close_ring(struct victim *v);
void victim_kill(struct victim *v);
void victim_close_export(struct victim *v);
bool victim_read_on(struct victim *v, size_t bytes);
void victim_end(struct victim *v);

#endif
