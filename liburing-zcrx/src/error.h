/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What went wrong, as a sentence; zcrx_error() of liburing-zcrx.h tells it. */
#ifndef ZCRX_ERROR_H
#define ZCRX_ERROR_H

int zcrx_fail(int err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
