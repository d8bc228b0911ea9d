// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sockmap.h"

#define NR_SOCKS	2
#define LOAD_TRIES	1000

static int bpf(int cmd, union bpf_attr *attr)
{
	int ret = syscall(__NR_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : ret;
}

/**
 * sockmap_create() - make a map for two sockets
 *
 * Return: its file or a negative error.
 */
int sockmap_create(void)
{
	return bpf(BPF_MAP_CREATE, &(union bpf_attr) {
		.map_type	= BPF_MAP_TYPE_SOCKMAP,
		.key_size	= sizeof(__u32),
		.value_size	= sizeof(int),
		.max_entries	= NR_SOCKS,
	});
}

/* The verifier gives up if it sees a signal, or task work of io_uring. */
static int load(const struct bpf_insn *insns, unsigned int nr)
{
	union bpf_attr attr = {
		.prog_type	= BPF_PROG_TYPE_SK_SKB,
		.insns		= (unsigned long)insns,
		.insn_cnt	= nr,
		.license	= (unsigned long)"Dual MIT/GPL",
	};
	int fd, tries = LOAD_TRIES;

	do {
		fd = bpf(BPF_PROG_LOAD, &attr);
	} while (fd == -EAGAIN && --tries);

	return fd;
}

#define MOVE(_reg, _value) {						\
	.code	= BPF_ALU64 | BPF_MOV | BPF_K,				\
	.dst_reg = (_reg),						\
	.imm	= (_value),						\
}

#define EXIT { .code = BPF_JMP | BPF_EXIT }

static int load_pass(void)
{
	const struct bpf_insn insns[] = { MOVE(BPF_REG_0, SK_PASS), EXIT };

	return load(insns, sizeof(insns) / sizeof(insns[0]));
}

/* return bpf_sk_redirect_map(skb, map, 1, flags); */
static int load_redirect(int map, __u64 flags)
{
	const struct bpf_insn insns[] = {
		{
			.code		= BPF_LD | BPF_DW | BPF_IMM,
			.dst_reg	= BPF_REG_2,
			.src_reg	= BPF_PSEUDO_MAP_FD,
			.imm		= map,
		},
		{},
		MOVE(BPF_REG_3, 1),
		MOVE(BPF_REG_4, flags),
		{
			.code		= BPF_JMP | BPF_CALL,
			.imm		= BPF_FUNC_sk_redirect_map,
		},
		EXIT,
	};

	return load(insns, sizeof(insns) / sizeof(insns[0]));
}

/**
 * sockmap_attach() - have a program look at what the map's sockets receive
 * @map: without sockets so far
 * @verdict: what it says
 *
 * Return: 0 or a negative error.
 */
int sockmap_attach(int map, enum sockmap_verdict verdict)
{
	union bpf_attr attr = {
		.target_fd	= map,
		.attach_type	= BPF_SK_SKB_VERDICT,
	};
	int prog, ret;

	if (verdict == SOCKMAP_PASS)
		prog = load_pass();
	else
		prog = load_redirect(map, verdict == SOCKMAP_SEND ?
					  0 : BPF_F_INGRESS);
	if (prog < 0)
		return prog;
	attr.attach_bpf_fd = prog;
	ret = bpf(BPF_PROG_ATTACH, &attr);
	close(prog);

	return ret;
}

/**
 * sockmap_add() - put a socket into the map, by which it gets other functions
 * @map: the map
 * @key: its place there: 0 or 1
 * @sock: connected TCP
 *
 * Return: 0 or a negative error.
 */
int sockmap_add(int map, __u32 key, int sock)
{
	return bpf(BPF_MAP_UPDATE_ELEM, &(union bpf_attr) {
		.map_fd	= map,
		.key	= (unsigned long)&key,
		.value	= (unsigned long)&sock,
	});
}
