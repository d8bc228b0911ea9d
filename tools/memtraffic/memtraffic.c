// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * memtraffic - QEMU TCG plugin: what does the guest's code cost?
 *
 * Counts executed guest instructions and the bytes that the CPU loads and
 * stores; DMA is not the CPU and is not counted. Neither depends on the speed
 * of the host or on what else runs there.
 *
 *	qemu-system-x86_64 -accel tcg -plugin memtraffic.so,socket=PATH ...
 *
 * Whoever connects to the socket gets one line with the counts since power-on,
 * "insn=N load=N store=N", and is disconnected. Sampling before and after a
 * piece of work, and at two sizes of it, gives the cost of the work alone.
 *
 * Did the CPU look at what it received, or copy it? Send it bytes of 0xa0 to
 * 0xaf and nothing else. With "marks=on" the line ends with "marked=N", the
 * bytes in loads of such bytes alone. There is no copy without a load, wherever
 * the bytes are and whoever loads them. Loads of one or two bytes count if a
 * string instruction makes them: other data often looks so in small pieces, and
 * nobody copies much by those.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "qemu-plugin.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/* Written by the vCPU only, and read by the reporting thread. */
struct counts {
	uint64_t insn;
	uint64_t load;
	uint64_t store;
	uint64_t marked;
};

static struct qemu_plugin_scoreboard *board;
static qemu_plugin_u64 insns, loads, stores, marked;
static bool marks;

static void count_load(unsigned int vcpu, qemu_plugin_meminfo_t info,
		       uint64_t vaddr, void *udata)
{
	struct counts *c = qemu_plugin_scoreboard_find(board, vcpu);

	(void)vaddr;
	(void)udata;
	c->load += 1ULL << qemu_plugin_mem_size_shift(info);
}

/* Are all bytes of a value marks? ones: a value of its size, each byte 1. */
static bool is_marked(uint64_t value, uint64_t ones)
{
	return (value & (0xf0 * ones)) == 0xa0 * ones;
}

static bool loads_marks(qemu_plugin_meminfo_t info)
{
	qemu_plugin_mem_value value = qemu_plugin_mem_get_value(info);
	const uint64_t ones = 0x0101010101010101;

	switch (value.type) {
	case QEMU_PLUGIN_MEM_VALUE_U8:
		return is_marked(value.data.u8, 0x01);
	case QEMU_PLUGIN_MEM_VALUE_U16:
		return is_marked(value.data.u16, 0x0101);
	case QEMU_PLUGIN_MEM_VALUE_U32:
		return is_marked(value.data.u32, 0x01010101);
	case QEMU_PLUGIN_MEM_VALUE_U64:
		return is_marked(value.data.u64, ones);
	case QEMU_PLUGIN_MEM_VALUE_U128:
		return is_marked(value.data.u128.low, ones) &&
		       is_marked(value.data.u128.high, ones);
	}
	return false;
}

/* udata: the smallest size in which marks count */
static void count_marked_load(unsigned int vcpu, qemu_plugin_meminfo_t info,
			      uint64_t vaddr, void *udata)
{
	struct counts *c = qemu_plugin_scoreboard_find(board, vcpu);
	uint64_t size = 1ULL << qemu_plugin_mem_size_shift(info);

	(void)vaddr;
	c->load += size;
	if (size >= (uintptr_t)udata && loads_marks(info))
		c->marked += size;
}

static void count_store(unsigned int vcpu, qemu_plugin_meminfo_t info,
			uint64_t vaddr, void *udata)
{
	struct counts *c = qemu_plugin_scoreboard_find(board, vcpu);

	(void)vaddr;
	(void)udata;
	c->store += 1ULL << qemu_plugin_mem_size_shift(info);
}

/*
 * An inline add is many times cheaper than a callback, but its addend is fixed
 * at translation, when QEMU does not tell the size of the access. For the
 * string instructions that copy and fill, which make up most of the traffic
 * and access as little as a byte at a time, the encoding tells it, in every
 * mode of the CPU. Returns 0 for any other instruction.
 */
static unsigned int string_access_size(const struct qemu_plugin_insn *insn)
{
	unsigned char code[15];
	size_t len = qemu_plugin_insn_data(insn, code, sizeof(code));
	size_t i = 0;

	if (len && (code[0] == 0xf2 || code[0] == 0xf3))
		i++;
	if (len == i + 1 && (code[i] == 0xa4 || code[i] == 0xaa))
		return 1;	/* movsb, stosb */
	if (len == i + 2 && code[i] == 0x48 &&
	    (code[i + 1] == 0xa5 || code[i + 1] == 0xab))
		return 8;	/* movsq, stosq: REX.W exists in 64-bit mode only */
	return 0;
}

/* size: of each access of a string instruction, 0 for any other */
static void instrument_loads(struct qemu_plugin_insn *insn, unsigned int size)
{
	if (marks)
		qemu_plugin_register_vcpu_mem_cb(insn, count_marked_load,
						 QEMU_PLUGIN_CB_NO_REGS,
						 QEMU_PLUGIN_MEM_R,
						 (void *)(uintptr_t)(size ? 1 : 4));
	else if (size)
		qemu_plugin_register_vcpu_mem_inline_per_vcpu(insn,
			QEMU_PLUGIN_MEM_R, QEMU_PLUGIN_INLINE_ADD_U64,
			loads, size);
	else
		qemu_plugin_register_vcpu_mem_cb(insn, count_load,
						 QEMU_PLUGIN_CB_NO_REGS,
						 QEMU_PLUGIN_MEM_R, NULL);
}

static void instrument_stores(struct qemu_plugin_insn *insn, unsigned int size)
{
	if (size)
		qemu_plugin_register_vcpu_mem_inline_per_vcpu(insn,
			QEMU_PLUGIN_MEM_W, QEMU_PLUGIN_INLINE_ADD_U64,
			stores, size);
	else
		qemu_plugin_register_vcpu_mem_cb(insn, count_store,
						 QEMU_PLUGIN_CB_NO_REGS,
						 QEMU_PLUGIN_MEM_W, NULL);
}

/*
 * Loads and stores are registered apart, so that an atomic read-modify-write
 * counts as both.
 */
static void instrument_insn(struct qemu_plugin_insn *insn)
{
	unsigned int size = string_access_size(insn);

	instrument_loads(insn, size);
	instrument_stores(insn, size);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb);
	size_t i;

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb,
			QEMU_PLUGIN_INLINE_ADD_U64, insns, n);
	for (i = 0; i < n; i++)
		instrument_insn(qemu_plugin_tb_get_insn(tb, i));
}

static void *report(void *arg)
{
	int listener = (int)(intptr_t)arg;

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			perror("memtraffic: accept");
			return NULL;
		}
		dprintf(fd, "insn=%llu load=%llu store=%llu",
			(unsigned long long)qemu_plugin_u64_sum(insns),
			(unsigned long long)qemu_plugin_u64_sum(loads),
			(unsigned long long)qemu_plugin_u64_sum(stores));
		if (marks)
			dprintf(fd, " marked=%llu",
				(unsigned long long)qemu_plugin_u64_sum(marked));
		dprintf(fd, "\n");
		close(fd);
	}
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		fprintf(stderr, "memtraffic: socket path is longer than %zu characters, choose a shorter one: %s\n",
			sizeof(addr.sun_path) - 1, path);
		return -1;
	}
	strcpy(addr.sun_path, path);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, 8)) {
		fprintf(stderr, "memtraffic: cannot listen at %s: %s\n", path,
			strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static int start_reporter(const char *path)
{
	sigset_t all, old;
	pthread_t thread;
	int fd, err;

	fd = listen_at(path);
	if (fd < 0)
		return -1;

	/* QEMU's own threads are the ones to take QEMU's signals. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, report, (void *)(intptr_t)fd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		fprintf(stderr, "memtraffic: cannot start a thread: %s\n",
			strerror(err));
		close(fd);
		return -1;
	}
	pthread_detach(thread);
	return 0;
}

static const char *parse(int argc, char **argv)
{
	const char *path = NULL;
	int i;

	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "socket=", 7))
			path = argv[i] + 7;
		else if (!strcmp(argv[i], "marks=on"))
			marks = true;
		else
			return NULL;
	}

	return path;
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info,
			int argc, char **argv)
{
	const char *path = parse(argc, argv);

	if (strcmp(info->target_name, "x86_64") || !info->system_emulation) {
		fprintf(stderr, "memtraffic: counts for qemu-system-x86_64 only, not %s\n",
			info->target_name);
		return -1;
	}
	if (!path) {
		fprintf(stderr, "memtraffic: say where to report: -plugin memtraffic.so,socket=PATH[,marks=on]\n");
		return -1;
	}

	board = qemu_plugin_scoreboard_new(sizeof(struct counts));
	insns = (qemu_plugin_u64){ board, offsetof(struct counts, insn) };
	loads = (qemu_plugin_u64){ board, offsetof(struct counts, load) };
	stores = (qemu_plugin_u64){ board, offsetof(struct counts, store) };
	marked = (qemu_plugin_u64){ board, offsetof(struct counts, marked) };

	if (start_reporter(path))
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
