// SPDX-License-Identifier: GPL-2.0
/* The tracepoints of include/trace/events/zcrx.h */

#include "ifq.h"

#define CREATE_TRACE_POINTS
#include <trace/events/zcrx.h>
