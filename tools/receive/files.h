/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRX_TOOLS_FILES_H
#define ZCRX_TOOLS_FILES_H

#include <stdbool.h>

/* A file descriptor that programs don't count on being free */
#define HIGH_FD		500

enum own_file {
	FILE_RING,
	FILE_RECORDS,	/* directory of what is to be put back, and our record */
	FILE_RECORD,
	NR_FILES,
};

void files_keep(enum own_file which, int fd);
void files_forget(enum own_file which);
bool files_has(enum own_file which);
int files_among(unsigned int first, unsigned int last);
void files_close_all(void);

#endif
