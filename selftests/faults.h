/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Faults on demand, with the kernel's fault injection: allocations of slab
 * objects and pages fail, copies from and to user space, and functions.
 */
#ifndef ZCRX_SELFTEST_FAULTS_H
#define ZCRX_SELFTEST_FAULTS_H

#include <stdbool.h>

/* What fails */
enum faults_kind {
	/* One thing, the n-th of all that could. */
	FAULTS_ONE,
	/* The n-th, and each allocation after it: memory has run out. */
	FAULTS_FROM,
};

const char *faults_setup(void);
bool faults_open(void);
void faults_arm(enum faults_kind kind, unsigned int n);
unsigned int faults_disarm(void);
bool faults_start_everywhere(unsigned int percent);
unsigned int faults_stop_everywhere(void);
const char *faults_refuse_function(const char *function);
bool faults_start_function(const char *function, int error, unsigned int after);
bool faults_stop_function(void);
bool faults_spoil_kmemleak(void);

#endif
