// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <stdarg.h>
#include <stdio.h>

#include "error.h"
#include "liburing-zcrx.h"

static __thread char sentence[256];

/**
 * zcrx_fail() - say what went wrong
 * @err: negative errno
 * @format: the sentence: names the thing, and the way out
 *
 * Return: @err.
 */
int zcrx_fail(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);

	return err;
}

/**
 * zcrx_error() - what went wrong last in this thread
 *
 * Return: a sentence without a full stop, the library's, until the next error
 * of a function that says that it tells why.
 */
const char *zcrx_error(void)
{
	return sentence;
}
