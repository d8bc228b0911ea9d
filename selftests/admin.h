/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What an administrator does to the NIC under test, in two steps: something
 * becomes different, and then it is as it was.
 */
#ifndef ZCRX_SELFTEST_ADMIN_H
#define ZCRX_SELFTEST_ADMIN_H

#include <stdbool.h>

/**
 * struct admin_event - something that an administrator does
 * @begin: first step; returns whether it worked
 * @end: second step
 * @down: in between, the interface is down
 * @gone: in between, there is no such interface
 * @refused: @begin is refused while the last queue is bound
 * @unbinds: it takes the queue away from an ifq for good
 */
struct admin_event {
	bool	(*begin)(void);
	bool	(*end)(void);
	bool	down;
	bool	gone;
	bool	refused;
	bool	unbinds;
};

extern const struct admin_event admin_down;
extern const struct admin_event admin_rings;
extern const struct admin_event admin_more_queues;
extern const struct admin_event admin_fewer_queues;
extern const struct admin_event admin_mtu;
extern const struct admin_event admin_driver;
extern const struct admin_event admin_netns;

bool admin_save(void);
bool admin_restore(void);
void admin_restore_addrs(void);
void admin_renew_addrs(void);
bool admin_set_up(bool up);
bool admin_may_unbind(void);
bool admin_unbind(void);
bool admin_bind(void);
bool admin_enter_namespace(void);
void admin_leave_namespace(void);

#endif
