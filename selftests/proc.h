/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * This process: what it has pinned, what it may, what it hands to others; and how
 * its kernel was booted.
 */
#ifndef ZCRX_SELFTEST_PROC_H
#define ZCRX_SELFTEST_PROC_H

#include <stdbool.h>
#include <sys/types.h>

long proc_pinned_kib(void);
long proc_mem_available_kib(void);
void proc_close_files(void);
int proc_drop_capability(unsigned int cap);
int proc_become_nobody(void);
int proc_send_fds(int sock, const int *fds, unsigned int nr);
int proc_receive_fds(int sock, int *fds, unsigned int nr);
pid_t proc_start_peer(void);
void proc_kill(pid_t pid);
void proc_sleep_ms(unsigned int ms);
bool proc_booted_with(const char *pattern);
bool proc_bounces(void);

#endif
