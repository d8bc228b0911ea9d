// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "owner.h"

/**
 * owner_start() - start a process
 * @owner: filled in
 * @own: what it does
 * @rxq: for @own
 *
 * Return: whether it has the queue.
 */
bool owner_start(struct owner *owner, owner_fn own, int rxq)
{
	int ready[2], go[2];
	char c = 'n';

	/* Or both processes print what is in the buffer. */
	fflush(stdout);
	if (pipe(ready) || pipe(go))
		return false;
	owner->pid = fork();
	if (!owner->pid) {
		close(go[1]);
		own(rxq, ready[1], go[0]);
	}
	owner->go = go[1];
	close(go[0]);
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		c = 'n';
	close(ready[0]);

	return c == 'y';
}

/**
 * owner_ends() - have it close its queue, and exit
 * @owner: was started
 *
 * Return: whether it did so, and well.
 */
bool owner_ends(struct owner *owner)
{
	int status;

	if (write(owner->go, "g", 1) != 1 ||
	    waitpid(owner->pid, &status, 0) != owner->pid)
		return false;
	close(owner->go);

	return WIFEXITED(status) && !WEXITSTATUS(status);
}

/**
 * owner_dies() - kill it
 * @owner: was started
 *
 * Return: whether it is gone.
 */
bool owner_dies(struct owner *owner)
{
	kill(owner->pid, SIGKILL);
	close(owner->go);

	return waitpid(owner->pid, NULL, 0) == owner->pid;
}
