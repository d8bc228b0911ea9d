/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What the tests in the VM share: its NIC, and connections to zcrx_peer. */
#ifndef ZCRX_TEST_GUEST_H
#define ZCRX_TEST_GUEST_H

#include <stdbool.h>

#define IFNAME	"eth0"
#define SEED	4711

bool note_nic(void);
bool note_meanwhile(void);
bool as_found(void);
bool as_meanwhile(void);
bool split_is_on(void);
int entries_of(unsigned int queue);
bool has_queue(unsigned int queue);
unsigned long long packets_of(unsigned int queue);

bool good(int ret);

int connect_peer(const char *variable);
int bound_listener(const char *variable);
bool make_room(int fd, unsigned int bytes);
bool request(int fd, unsigned int bytes, unsigned int seed);

#endif
