/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What went wrong, as a sentence; zcrx_error() of liburing-zcrx.h tells it. */
#ifndef ZCRX_ERROR_H
#define ZCRX_ERROR_H

/**
 * struct zcrx_sentence - what went wrong, kept over what may go wrong after it
 * @text: the sentence
 */
struct zcrx_sentence {
	char text[256];
};

void zcrx_sentence_keep(struct zcrx_sentence *kept);
void zcrx_sentence_restore(const struct zcrx_sentence *kept);

int zcrx_fail(int err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
