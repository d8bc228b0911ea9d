// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "format.h"
#include "load.h"

/* The one whose record the programs read */
#define EVENT	"zcrx_copy"

static int load(struct bpf_object_skeleton *skeleton, const char *btf)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf);
	int ret = bpf_object__open_skeleton(skeleton, &opts);

	if (!ret)
		ret = bpf_object__load_skeleton(skeleton);
	if (!ret)
		ret = bpf_object__attach_skeleton(skeleton);

	return ret;
}

/**
 * load_programs() - load BPF programs, and attach them
 * @skeleton: theirs, newly created; destroying it undoes all
 * @why: on failure set to the reason, in words
 *
 * Return: 0 or a negative errno.
 */
int load_programs(struct bpf_object_skeleton *skeleton,
		  char why[LOAD_WHY_SIZE])
{
	char path[FORMAT_PATH_SIZE];
	int btf, ret;

	libbpf_set_print(NULL);
	btf = format_btf(EVENT, path, why, LOAD_WHY_SIZE);
	if (btf < 0)
		return btf;
	ret = load(skeleton, path);
	close(btf);
	if (ret == -EPERM || ret == -EACCES)
		snprintf(why, LOAD_WHY_SIZE,
			 "BPF is for root, or takes CAP_BPF and CAP_PERFMON");
	else if (ret)
		snprintf(why, LOAD_WHY_SIZE,
			 "this kernel can't do it by BPF: %s", strerror(-ret));

	return ret;
}
