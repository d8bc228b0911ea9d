/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
#ifndef ZCRXCTL_GROW_H
#define ZCRXCTL_GROW_H

#include <err.h>
#include <stdlib.h>
#include <string.h>

/**
 * grow() - make room for one more in a list
 * @list: of @nr elements, allocated, or NULL
 * @nr: how many there are
 * @size: of an element
 *
 * Return: the list, with a zeroed element at its end.
 */
static inline void *grow(void *list, size_t nr, size_t size)
{
	char *grown = reallocarray(list, nr + 1, size);

	if (!grown)
		err(1, "no memory");
	memset(grown + nr * size, 0, size);

	return grown;
}

#endif
