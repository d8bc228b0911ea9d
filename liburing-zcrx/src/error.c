// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <stdarg.h>
#include <stdio.h>

#include "error.h"
#include "liburing-zcrx.h"

static __thread struct zcrx_sentence sentence;

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
	vsnprintf(sentence.text, sizeof(sentence.text), format, args);
	va_end(args);

	return err;
}

/**
 * zcrx_sentence_keep() - before undoing, which may fail, too
 * @kept: set to what went wrong last in this thread
 */
void zcrx_sentence_keep(struct zcrx_sentence *kept)
{
	*kept = sentence;
}

/**
 * zcrx_sentence_restore() - what is told is what went wrong first
 * @kept: as of zcrx_sentence_keep()
 */
void zcrx_sentence_restore(const struct zcrx_sentence *kept)
{
	sentence = *kept;
}

/**
 * zcrx_error() - what went wrong last in this thread
 *
 * Return: a sentence without a full stop, the library's, until the next error
 * of a function that says that it tells why.
 */
const char *zcrx_error(void)
{
	return sentence.text;
}
