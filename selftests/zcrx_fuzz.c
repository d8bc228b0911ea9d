// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Arguments that are nearly right. Registrations, operations on an ifq, and
 * queries are made with every word of their structs at every boundary, with the
 * structs at the end of mapped memory, and with all of that at random. Most of it
 * is refused; whatever it was, nothing is left when the rings are closed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/io_uring/query.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "fuzz.h"
#include "ifq.h"
#include "memlock.h"
#include "neighbour.h"
#include "nic.h"
#include "proc.h"
#include "uring.h"

#define PAGE		4096UL
#define MAX_AREAS	4
#define MAX_PARTS	8
#define PART_SIZE	256
#define NR_RINGS	2
#define MAX_EXPORTED	8

/* Of an mmap offset, what is the same for both kinds of regions */
#define ZCRX_OFFSETS	(~(IORING_MAP_OFF_ZCRX_REGION ^ \
			   IORING_MAP_OFF_RBUF_REGION) & 0xf8000000)

/* A ring gets so many calls, and then a new one takes its place. */
#define STAGE_CALLS	128
/* Rings go in the background: look for what they left after so many. */
#define STAGES_PER_CHECK	4
/* At random, one of so many stages is about the NIC, and so is the first one. */
#define NIC_STAGE	3
/* Its queue has one ifq at a time: so many calls later there are new rings. */
#define NIC_CALLS	16

/*
 * Each ifq on the NIC stops the queue for a while, when it comes and when it
 * goes. So of each word only so many values are tried there, or one more, and of
 * the places at the end of memory only each so many-th.
 */
#define NIC_VALUES	2
#define NIC_STEP	16

/* Of the cases at random, zcrx_hostile does half; others are in a race. */
#define CALLS	(fuzz_cases() / 2)
#define RACES	(CALLS / 4)

enum shape {
	REGISTER_RBUF,
	REGISTER_CQE32,
	IMPORT,
	FLUSH,
	RESUME,
	EXPORT,
	ARM_EVENT,
	ADD_AREA,
	QUERY_ONE,
	QUERY_CHAIN,
	NR_SHAPES,
};

static const char *const shape_names[] = {
	"register rbuf", "register cqe32", "import", "flush", "resume",
	"export", "arm event", "add area", "query", "queries",
};

/**
 * struct part - one struct of a call
 * @size: in bytes
 * @at: where the kernel will find it
 * @parent: the part that has its address, -1 for the argument itself
 * @ptr: where in the parent
 * @words: its contents
 * @bytes: the same
 */
struct part {
	size_t		size;
	__u64		at;
	int		parent;
	size_t		ptr;
	union {
		__u64	words[PART_SIZE / 8];
		__u8	bytes[PART_SIZE];
	};
};

/**
 * struct call - a call of io_uring_register(), which has not been made
 * @shape: what it is made from
 * @ring: index of the ring
 * @fd: the file descriptor
 * @op: of io_uring_register()
 * @nr_args: its last argument
 * @nr_parts: number of structs
 * @parts: the structs, the argument first
 */
struct call {
	enum shape	shape;
	unsigned int	ring;
	int		fd;
	unsigned int	op;
	unsigned int	nr_args;
	unsigned int	nr_parts;
	struct part	parts[MAX_PARTS];
};

/* The rings that are in use, what they have, and for how many calls more */
static struct {
	struct uring	rings[NR_RINGS];
	unsigned int	nr_ifqs[NR_RINGS];
	int		exported[MAX_EXPORTED];
	unsigned int	nr_exported;
	unsigned int	calls_left;
	unsigned int	calls_bound;
	bool		open;
	bool		nic;
} stage;

static struct fuzz_counts counts[NR_SHAPES], mmaps;
static unsigned long nr_stages, nr_nic_stages, nr_bound_stages;

/* Nothing optional is left out. */
static bool complete;

/* A process that writes over the structs while the kernel reads them */
static pid_t racer;

/*
 * Memory for structs: two pages before a hole, one before a page that is
 * read-only, and a hole again. Written through another mapping.
 */
enum {
	VIEW_PLAIN	= 0,
	VIEW_HOLE	= 2,
	VIEW_MIXED	= 3,
	VIEW_READONLY	= 4,
	VIEW_PAGES	= 6,
};

static const int view_to_file[VIEW_PAGES] = { 0, 1, -1, 2, 3, -1 };

static __u8 *view, *view_rw;

/* What there may be at a time, with what has not gone yet; some want more. */
#define LOCKED_MAX	(64UL << 20)

/* Memory to receive into, with holes around it, and for rings */
#define POOL_PAGES	512
#define HOLE_PAGES	256
#define RINGS_PAGES	64

static __u8 *pool, *rings_pool, *one_page, *text_page;

static void *map(size_t size, int prot, int flags, int fd, off_t off)
{
	void *p = mmap(NULL, size, prot, flags, fd, off);

	return p == MAP_FAILED ? NULL : p;
}

static bool map_view(void)
{
	int fd = memfd_create("structs", MFD_CLOEXEC);
	unsigned int i;
	int prot;

	if (fd < 0 || ftruncate(fd, 4 * PAGE))
		return false;
	view_rw = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	view = map(VIEW_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	if (!view_rw || !view)
		return false;
	for (i = 0; i < VIEW_PAGES; i++) {
		if (view_to_file[i] < 0)
			continue;
		prot = PROT_READ | (i == VIEW_READONLY ? 0 : PROT_WRITE);
		if (mmap(view + i * PAGE, PAGE, prot, MAP_SHARED | MAP_FIXED,
			 fd, view_to_file[i] * PAGE) == MAP_FAILED)
			return false;
	}
	close(fd);

	return true;
}

/* One page of memory at sixteen addresses in a row */
static bool map_one_page(void)
{
	int fd = memfd_create("page", MFD_CLOEXEC);
	unsigned int i;

	one_page = map(16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || ftruncate(fd, PAGE) || !one_page)
		return false;
	for (i = 0; i < 16; i++)
		if (mmap(one_page + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			return false;
	close(fd);

	return true;
}

/* The NIC writes to areas: what is behind them must be nobody else's memory. */
static bool map_pool(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;

	pool = map((POOL_PAGES + 2 * HOLE_PAGES) * PAGE, PROT_NONE, flags, -1,
		   0);
	if (!pool)
		return false;
	pool += HOLE_PAGES * PAGE;

	return mmap(pool, POOL_PAGES * PAGE, PROT_READ | PROT_WRITE,
		    flags | MAP_POPULATE | MAP_FIXED, -1, 0) == pool;
}

/*
 * What is mapped from now on is below a hole: an area that is longer than its memory
 * would reach into pages that the harness shares with us, for the NIC to write to.
 */
static bool map_hole(void)
{
	return map(HOLE_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
}

static bool map_memory(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;

	if (!map_hole())
		return false;
	rings_pool = map(RINGS_PAGES * PAGE, PROT_READ | PROT_WRITE, flags, -1,
			 0);
	text_page = (__u8 *)((unsigned long)map_memory & ~(PAGE - 1));

	return rings_pool && map_pool() && map_view() && map_one_page();
}

/*
 * Calls that are right
 */

static struct part *add_part(struct call *c, const void *data, size_t size,
			     int parent, size_t ptr)
{
	struct part *p = &c->parts[c->nr_parts++];

	p->size = size;
	p->parent = parent;
	p->ptr = ptr;
	memcpy(p->bytes, data, size);

	return p;
}

static struct io_uring_region_desc a_region(size_t size)
{
	struct io_uring_region_desc desc = {
		.size = (size + PAGE - 1) & ~(PAGE - 1),
	};
	__u64 pages = desc.size / PAGE;

	if (one_in(2))
		return desc;
	desc.flags = IORING_MEM_REGION_TYPE_USER;
	desc.user_addr = (unsigned long)rings_pool +
			 rnd_below(RINGS_PAGES - pages) * PAGE;

	return desc;
}

/* Everything that can be mapped, and some of what can't */
static __u64 odd_memory(void)
{
	const void *const memory[] = {
		view, view + VIEW_READONLY * PAGE, view + VIEW_HOLE * PAGE,
		view + VIEW_MIXED * PAGE, one_page, text_page, rings_pool,
		stage.rings[0].rings, stage.rings[1].sqes, view_rw,
	};

	return (unsigned long)memory[rnd_below(ARRAY_SIZE(memory))];
}

static struct io_uring_zcrx_area_reg an_area(size_t chunk_size)
{
	__u64 chunks = 1 + rnd_below(4);
	struct io_uring_zcrx_area_reg area = {
		.len	= chunks * chunk_size,
	};

	area.addr = (unsigned long)pool;
	area.addr += rnd_below(POOL_PAGES - area.len / PAGE) * PAGE;

	return area;
}

static void add_areas(struct call *c, unsigned int nr, size_t chunk_size)
{
	struct io_uring_zcrx_area_reg areas[MAX_AREAS];
	unsigned int i;

	for (i = 0; i < nr; i++)
		areas[i] = an_area(chunk_size);
	add_part(c, areas, nr * sizeof(areas[0]), 0,
		 offsetof(struct io_uring_zcrx_ifq_reg, area_ptr));
}

static size_t add_event(struct call *c, __u32 entries)
{
	struct zcrx_event_desc desc = {
		.user_data	= rnd(),
		.type_mask	= 1U << ZCRX_EVENT_ALLOC_FAIL |
				  1U << ZCRX_EVENT_COPY,
	};

	if (complete || one_in(2)) {
		desc.flags = ZCRX_EVENT_DESC_FLAG_STATS;
		desc.stats_offset = PAGE + entries * 16;
	}
	if (one_in(2))
		desc.type_mask |= 1U << ZCRX_EVENT_STATE_COPY |
				  1U << ZCRX_EVENT_STATE_ON;
	add_part(c, &desc, sizeof(desc), 0,
		 offsetof(struct io_uring_zcrx_ifq_reg, event_desc));

	return PAGE + sizeof(struct zcrx_stats);
}

static void add_ext(struct call *c, __u32 nr_areas, __u32 rbuf_entries)
{
	struct io_uring_zcrx_ext_reg ext = {
		.size		= sizeof(ext),
		.nr_areas	= nr_areas,
		.rbuf_entries	= rbuf_entries,
	};
	struct io_uring_region_desc region;
	int idx = c->nr_parts;

	add_part(c, &ext, sizeof(ext), 0,
		 offsetof(struct io_uring_zcrx_ifq_reg, ext_ptr));
	if (!rbuf_entries)
		return;
	region = a_region(PAGE + rbuf_entries * 16);
	add_part(c, &region, sizeof(region), idx,
		 offsetof(struct io_uring_zcrx_ext_reg, rbuf_region_ptr));
}

static __u32 ext_flags(bool rbuf)
{
	__u32 flags = rbuf ? ZCRX_REG_RBUF : 0;

	if (complete || one_in(4))
		flags |= ZCRX_REG_MANUAL_RESUME;

	return flags;
}

static void build_registration(struct call *c, bool rbuf)
{
	__u32 entries = 1U << rnd_below(8);
	struct io_uring_zcrx_ifq_reg reg = {
		.rq_entries	= entries,
		.flags		= ext_flags(rbuf),
	};
	struct io_uring_region_desc region;
	size_t size = 256 + entries * 16;
	__u32 nr_areas = 1;
	__u32 buf_len = 0;

	if (stage.nic) {
		reg.if_idx = nic_ifindex();
		reg.if_rxq = nic.rxq;
		buf_len = one_in(4) ? PAGE : 0;
		reg.rx_buf_len = buf_len;
	} else {
		reg.flags |= ZCRX_REG_NODEV;
	}

	c->op = REGISTER_ZCRX_IFQ;
	c->nr_args = 1;
	add_part(c, &reg, sizeof(reg), -1, 0);
	if (reg.flags & (ZCRX_REG_RBUF | ZCRX_REG_MANUAL_RESUME)) {
		nr_areas += complete ? 1 : rnd_below(MAX_AREAS);
		add_ext(c, nr_areas, rbuf ? 1U << rnd_below(8) : 0);
	}
	add_areas(c, nr_areas, buf_len ?: PAGE);
	if (complete || one_in(2))
		size += add_event(c, entries);
	region = a_region(size);
	add_part(c, &region, sizeof(region), 0,
		 offsetof(struct io_uring_zcrx_ifq_reg, region_ptr));
}

static void build_import(struct call *c)
{
	bool rbuf = complete || !c->ring || one_in(4);
	struct io_uring_zcrx_ifq_reg reg = {
		.flags	= ZCRX_REG_IMPORT | (rbuf ? ZCRX_REG_RBUF : 0),
		.if_idx	= -1,
	};

	if (stage.nr_exported)
		reg.if_idx = stage.exported[rnd_below(stage.nr_exported)];
	c->op = REGISTER_ZCRX_IFQ;
	c->nr_args = 1;
	add_part(c, &reg, sizeof(reg), -1, 0);
	if (rbuf)
		add_ext(c, 0, 0);
}

static void build_ctrl(struct call *c, __u32 op)
{
	struct zcrx_ctrl ctrl = {
		.zcrx_id	= rnd_below(stage.nr_ifqs[c->ring] + 1),
		.op		= op,
	};
	struct io_uring_zcrx_area_reg area = an_area(PAGE);

	if (complete || one_in(2))
		ctrl.zcrx_id = 0;
	c->op = REGISTER_ZCRX_CTRL;
	c->nr_args = 0;
	if (op == ZCRX_CTRL_ARM_EVENT)
		ctrl.zc_arm_event.event_type = one_in(2) ? rnd_below(2) :
							   16 + rnd_below(2);
	add_part(c, &ctrl, sizeof(ctrl), -1, 0);
	if (op == ZCRX_CTRL_ADD_AREA)
		add_part(c, &area, sizeof(area), 0,
			 offsetof(struct zcrx_ctrl, zc_add_area.area_ptr));
}

static void build_query(struct call *c, unsigned int nr)
{
	struct io_uring_query_hdr hdr = {};
	static const __u8 data[PART_SIZE];
	int idx, parent = -1;

	c->op = REGISTER_QUERY;
	c->nr_args = 0;
	if (one_in(2))
		c->fd = -1;
	while (nr--) {
		hdr.query_op = rnd_below(5);
		hdr.size = complete ? 48 : 1 + rnd_below(64);
		idx = c->nr_parts;
		add_part(c, &hdr, sizeof(hdr), parent,
			 offsetof(struct io_uring_query_hdr, next_entry));
		add_part(c, data, hdr.size, idx,
			 offsetof(struct io_uring_query_hdr, query_data));
		parent = idx;
	}
}

/* One that can have it; of an operation, one that has an ifq */
static unsigned int ring_for(enum shape shape)
{
	unsigned int ring = rnd_below(NR_RINGS);

	if (shape < IMPORT)
		return shape == REGISTER_CQE32;
	if (shape != IMPORT && !stage.nr_ifqs[ring])
		return !ring;

	return ring;
}

static void build(struct call *c, enum shape shape)
{
	memset(c, 0, sizeof(*c));
	c->shape = shape;
	c->ring = ring_for(shape);
	c->fd = stage.rings[c->ring].fd;

	switch (shape) {
	case REGISTER_RBUF:
	case REGISTER_CQE32:
		build_registration(c, shape == REGISTER_RBUF);
		break;
	case IMPORT:
		build_import(c);
		break;
	case FLUSH:
		build_ctrl(c, ZCRX_CTRL_FLUSH_RQ);
		break;
	case RESUME:
		build_ctrl(c, ZCRX_CTRL_RESUME);
		break;
	case EXPORT:
		build_ctrl(c, ZCRX_CTRL_EXPORT);
		break;
	case ARM_EVENT:
		build_ctrl(c, ZCRX_CTRL_ARM_EVENT);
		break;
	case ADD_AREA:
		build_ctrl(c, ZCRX_CTRL_ADD_AREA);
		break;
	case QUERY_ONE:
	case QUERY_CHAIN:
		build_query(c, shape == QUERY_ONE ? 1 : 2);
		break;
	case NR_SHAPES:
		break;
	}
}

/*
 * Where their structs are
 */

static __u64 view_end(unsigned int page)
{
	return (unsigned long)view + page * PAGE;
}

static void place(struct call *c)
{
	unsigned int i;

	for (i = 0; i < c->nr_parts; i++) {
		struct part *p = &c->parts[i];

		/* Slots of 512 bytes, so that none is in another's */
		p->at = (unsigned long)view + 512 * i + rnd_below(32) * 8;
	}
}

/* The kernel finds @mapped bytes of the part before a hole. */
static void place_before_hole(struct part *p, size_t mapped)
{
	p->at = view_end(VIEW_HOLE) - mapped;
}

/* The kernel can write @writable bytes of the part, and read the rest. */
static void place_before_readonly(struct part *p, size_t writable)
{
	p->at = view_end(VIEW_READONLY) - writable;
}

static void misplace(struct call *c)
{
	struct part *p = &c->parts[rnd_below(c->nr_parts)];
	struct part *other = &c->parts[rnd_below(c->nr_parts)];

	switch (rnd_below(6)) {
	case 0:
		place_before_hole(p, p->size);
		break;
	case 1:
		place_before_hole(p, rnd_below(p->size));
		break;
	case 2:
		place_before_readonly(p, rnd_below(p->size));
		break;
	case 3:
		p->at += rnd_below(8);
		break;
	case 4:
		p->at = nasty_address();
		break;
	default:
		p->at = other->at + rnd_below(17) * 8 - 64;
	}
}

/* Parts have their children's addresses. */
static void link_parts(struct call *c)
{
	unsigned int i;

	for (i = 1; i < c->nr_parts; i++) {
		const struct part *p = &c->parts[i];

		memcpy(c->parts[p->parent].bytes + p->ptr, &p->at,
		       sizeof(p->at));
	}
}

/* As much as fits into the memory that is there */
static void store_part(const struct part *p)
{
	__u64 off = p->at - (unsigned long)view;
	size_t i;

	for (i = 0; i < p->size; i++, off++)
		if (off < VIEW_PAGES * PAGE && view_to_file[off / PAGE] >= 0)
			view_rw[view_to_file[off / PAGE] * PAGE + off % PAGE] =
				p->bytes[i];
}

/*
 * The calls
 */

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);

	return nr;
}

static int highest_ring_fd(void)
{
	return stage.rings[0].fd > stage.rings[1].fd ? stage.rings[0].fd :
						       stage.rings[1].fd;
}

/* In a race the number may be any by now, and the operation another one. */
static void keep_exported(int fd)
{
	if (racer && (fd <= highest_ring_fd() || fcntl(fd, F_GETFD) < 0))
		return;
	if (stage.nr_exported < MAX_EXPORTED)
		stage.exported[stage.nr_exported++] = fd;
	else if (!racer)
		close(fd);
}

static void note_ifq(unsigned int ring)
{
	stage.nr_ifqs[ring]++;
	if (stage.nic && stage.calls_left > stage.calls_bound)
		stage.calls_left = stage.calls_bound;
}

static void note_success(const struct call *c)
{
	const struct zcrx_ctrl *ctrl = (void *)(unsigned long)c->parts[0].at;

	if (c->op == REGISTER_ZCRX_IFQ)
		note_ifq(c->ring);
	else if (c->op == REGISTER_ZCRX_CTRL && ctrl->op == ZCRX_CTRL_EXPORT)
		keep_exported(ctrl->zc_export.zcrx_fd);
}

static int make_call(const struct call *c)
{
	unsigned int i;
	int ret;

	memset(view_rw, 0, 4 * PAGE);
	for (i = 0; i < c->nr_parts; i++)
		store_part(&c->parts[i]);
	ret = syscall(__NR_io_uring_register, c->fd, c->op, c->parts[0].at,
		      c->nr_args);
	ret = ret < 0 ? -errno : ret;
	if (!ret)
		note_success(c);
	stage.calls_left--;

	return ret;
}

/* A case */
static int issue(const struct call *c)
{
	int ret = make_call(c);

	fuzz_count(&counts[c->shape], ret);

	return ret;
}

/* A call with nothing wrong, and no case */
static int call_plainly(enum shape shape)
{
	struct call c;

	build(&c, shape);
	place(&c);
	link_parts(&c);

	return make_call(&c);
}

/*
 * Stages
 */

static __u32 some_flags(bool cqe32)
{
	static const __u32 plain[] = {
		0, IORING_SETUP_CLAMP, IORING_SETUP_SQPOLL, IORING_SETUP_IOPOLL,
		IORING_SETUP_CQE32, IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_R_DISABLED, URING_CQE32_FLAGS,
	};
	static const __u32 on_top[] = {
		0, IORING_SETUP_CLAMP, IORING_SETUP_R_DISABLED,
		IORING_SETUP_IOPOLL, IORING_SETUP_TASKRUN_FLAG,
	};

	if (cqe32)
		return URING_CQE32_FLAGS | on_top[rnd_below(ARRAY_SIZE(on_top))];

	return plain[rnd_below(ARRAY_SIZE(plain))];
}

static bool stage_open(bool nic_stage, bool odd_rings)
{
	unsigned int i;

	memset(&stage, 0, sizeof(stage));
	stage.open = true;
	stage.nic = nic_stage;
	stage.calls_left = STAGE_CALLS;
	stage.calls_bound = odd_rings ? NIC_CALLS : 1;
	for (i = 0; i < NR_RINGS; i++)
		if (uring_init(&stage.rings[i],
			       odd_rings && one_in(2) ? some_flags(i) :
			       i ? URING_CQE32_FLAGS : 0, 64))
			return false;

	return true;
}

/* What most operations need: an ifq, and a file descriptor for it */
static void stage_furnish(void)
{
	call_plainly(complete || one_in(2) ? REGISTER_RBUF : REGISTER_CQE32);
	call_plainly(EXPORT);
}

/* All of a ring, or those on a NIC only */
static unsigned int nr_ifqs_shown(const struct uring *ring, bool nic)
{
	unsigned int nr = 0;
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ring->fd);
	f = fopen(path, "r");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		nr += !strncmp(line, "zcrx-", 5) &&
		      !(nic && strstr(line, "state=nodev"));
	fclose(f);

	return nr;
}

static void close_exported(void)
{
	if (racer) {
		close_range(highest_ring_fd() + 1, ~0U, 0);
		stage.nr_exported = 0;
	}
	while (stage.nr_exported)
		close(stage.exported[--stage.nr_exported]);
}

/* A ring that is busy shows nothing: look again. */
static bool has_what_it_should(unsigned int ring)
{
	int i;

	for (i = 0; i < 1000; i++) {
		if (nr_ifqs_shown(&stage.rings[ring], false) ==
		    stage.nr_ifqs[ring])
			return true;
		usleep(1000);
	}

	return false;
}

/* The rings have what was registered, and nothing else. */
static bool stage_is_right(void)
{
	return has_what_it_should(0) && has_what_it_should(1);
}

static bool stage_is_bound(void)
{
	return nr_ifqs_shown(&stage.rings[0], true) ||
	       nr_ifqs_shown(&stage.rings[1], true);
}

static void stage_close(void)
{
	unsigned int first = rnd_below(NR_RINGS);
	unsigned int i;

	if (one_in(2))
		close_exported();
	for (i = 0; i < NR_RINGS; i++)
		uring_exit(&stage.rings[(first + i) % NR_RINGS]);
	close_exported();
	stage.open = false;
}

static bool unpinned_soon(void)
{
	int i;

	for (i = 0; i < 2000; i++) {
		if (!proc_pinned_kib())
			return true;
		usleep(10 * 1000);
	}

	return false;
}

/*
 * Tests
 */

FIXTURE(calls)
{
	unsigned long		nr_cases;
	int			nr_fds;
	bool			nic;
	struct neighbour	neighbour;
};

FIXTURE_SETUP(calls)
{
	TH_LOG("ZCRX_FUZZ_SEED=%llu", fuzz_seed());
	fuzz_begin(0);
	fuzz_overlaps(true);
	ASSERT_EQ(0, memlock_be_charged(LOCKED_MAX));
	if (nic.rxq && nic.remote_v4)
		ASSERT_TRUE(neighbour_start_plain(&self->neighbour));
	ASSERT_TRUE(map_memory());
	self->nr_fds = open_fds();
	ASSERT_TRUE(unpinned_soon());
}

/*
 * A queue that is restarted some 50 times a second drops most of what comes by it,
 * and TCP waits longer each time: for a case of that kind, all of the neighbour's
 * flows come by the other queue.
 */
static void keep_neighbour_away(struct __test_metadata *_metadata,
				const struct neighbour *n)
{
	if (n->pid)
		ASSERT_TRUE(nic_steer(nic.rxq - 1));
}

/* Whatever was tried, others' flows went on all the time. */
static void check_neighbour(struct __test_metadata *_metadata,
			    struct neighbour *n)
{
	const struct neighbour_report *report = n->report;

	EXPECT_TRUE(neighbour_gets_on(n));
	EXPECT_TRUE(neighbour_end(n));
	TH_LOG("%lu flows of a neighbour were right, and %lu by the queue under test complete",
	       report->nr_right, report->nr_unchecked);
	nic_steer(nic.rxq);
}

static void check_charges(struct __test_metadata *_metadata)
{
	EXPECT_EQ(0, memlock_wait_uncharged(RECV_RBUF, POOL_PAGES * PAGE))
		TH_LOG("what was locked is still charged");
}

FIXTURE_TEARDOWN(calls)
{
	unsigned int i;

	fuzz_overlaps(false);
	if (self->neighbour.pid)
		check_neighbour(_metadata, &self->neighbour);
	if (!stage.open)
		check_charges(_metadata);
	for (i = 0; i < NR_SHAPES; i++)
		if (fuzz_total(&counts[i]))
			TH_LOG("%s: %s", shape_names[i],
			       fuzz_describe(&counts[i]));
	if (fuzz_total(&mmaps))
		TH_LOG("mmap: %s", fuzz_describe(&mmaps));
	TH_LOG("%lu cases with %lu pairs of rings, %lu of them on the NIC, which %lu got",
	       self->nr_cases, nr_stages, nr_nic_stages, nr_bound_stages);
}

static void stop_racer(void)
{
	if (!racer)
		return;
	kill(racer, SIGSTOP);
	waitpid(racer, NULL, WUNTRACED);
}

static void continue_racer(void)
{
	if (racer)
		kill(racer, SIGCONT);
}

/* At once after the last close(), without waiting for anything */
static void check_queue_is_free(struct __test_metadata *_metadata)
{
	stop_racer();
	/* What has just been closed may be charged a little longer. */
	memlock_limit(RLIM_INFINITY);
	ASSERT_TRUE(stage_open(true, false));
	EXPECT_EQ(0, call_plainly(REGISTER_RBUF)) {
		TH_LOG("the queue can't be registered again");
	}
	EXPECT_TRUE(stage_is_right());
	stage_close();
	memlock_limit(LOCKED_MAX);
	continue_racer();
}

static void end_stage(struct __test_metadata *_metadata,
		      FIXTURE_DATA(calls) *self)
{
	bool was_nic = stage.nic;

	EXPECT_TRUE(stage_is_right()) {
		TH_LOG("a call that failed left an ifq, or one that succeeded did not");
	}
	nr_bound_stages += stage_is_bound();
	stage_close();
	EXPECT_EQ(self->nr_fds, open_fds());
	if (was_nic)
		check_queue_is_free(_metadata);
	if (nr_stages % STAGES_PER_CHECK == 0)
		EXPECT_TRUE(unpinned_soon())
			TH_LOG("%ld KiB stay pinned", proc_pinned_kib());
}

/* Makes room for one more call. A NIC's queue is left to the cases. */
static void need_stage(struct __test_metadata *_metadata,
		       FIXTURE_DATA(calls) *self, bool on_nic, bool odd_rings,
		       bool furnish)
{
	if (stage.open && stage.calls_left)
		return;
	if (stage.open)
		end_stage(_metadata, self);
	ASSERT_TRUE(stage_open(on_nic, odd_rings));
	nr_stages++;
	nr_nic_stages += on_nic;
	if (!on_nic && (furnish || one_in(2)))
		stage_furnish();
}

static void finish_stages(struct __test_metadata *_metadata,
			  FIXTURE_DATA(calls) *self)
{
	if (stage.open)
		end_stage(_metadata, self);
	EXPECT_TRUE(unpinned_soon())
		TH_LOG("%ld KiB stay pinned", proc_pinned_kib());
	check_queue_is_free(_metadata);
	EXPECT_EQ(self->nr_fds, open_fds());
}

/*
 * Every value
 */

static const __u32 values32[] = {
	0, 1, 2, 3, 7, PAGE - 1, PAGE, PAGE + 1, 1023, 1024, 1025, 32767, 32768,
	32769, 65535, 65536, ~0U >> 1, 1U << 31, ~0U - 1, ~0U,
};

static const __u64 values64[] = {
	0, 1, 8, PAGE - 1, PAGE, PAGE + 1, (1ULL << 31), ~0U, 1ULL << 32,
	(1ULL << 32) + PAGE, (1ULL << 36) + PAGE, (1ULL << 47) - PAGE,
	(1ULL << 47) - 8, 1ULL << 47, 1ULL << 48, 0xffff888000000000,
	1ULL << 63, -PAGE, ~7ULL, ~0ULL,
};

/* All values above, one more, one less, and any bit the other way */
#define NR_VALUES32	(ARRAY_SIZE(values32) + 3)
#define NR_VALUES64	(ARRAY_SIZE(values64) + 3)

static void set_u32(struct part *p, size_t off, unsigned int nr)
{
	__u32 value;

	memcpy(&value, p->bytes + off, sizeof(value));
	switch (nr) {
	case 0:
		value++;
		break;
	case 1:
		value--;
		break;
	case 2:
		value ^= 1U << rnd_below(32);
		break;
	default:
		value = values32[nr - 3];
	}
	memcpy(p->bytes + off, &value, sizeof(value));
}

static void set_u64(struct part *p, size_t off, unsigned int nr)
{
	__u64 *word = &p->words[off / 8];

	switch (nr) {
	case 0:
		(*word)++;
		break;
	case 1:
		(*word)--;
		break;
	case 2:
		*word ^= 1ULL << rnd_below(64);
		break;
	default:
		*word = values64[nr - 3];
	}
}

/* Sizes of the structs of a call that leaves nothing out */
static void outline(struct call *c, enum shape shape)
{
	complete = true;
	build(c, shape);
}

/* One more case: a call of which nothing is wrong yet */
static void next_case(struct __test_metadata *_metadata,
		      FIXTURE_DATA(calls) *self, struct call *c,
		      enum shape shape)
{
	fuzz_begin(self->nr_cases++);
	need_stage(_metadata, self, self->nic, false, shape >= IMPORT);
	build(c, shape);
	place(c);
	link_parts(c);
}

/* Of what is tried in turn, each so many-th is */
static unsigned int turn_step(void)
{
	const char *every = getenv("ZCRX_FUZZ_EVERY");

	return every ? atoi(every) ?: 1 : 1;
}

static unsigned int value_step(bool nic, unsigned int nr_values)
{
	return turn_step() * (nic ? nr_values / NIC_VALUES : 1);
}

static void values_of_word(struct __test_metadata *_metadata,
			   FIXTURE_DATA(calls) *self, enum shape shape,
			   unsigned int part, size_t off)
{
	unsigned int step = value_step(self->nic, NR_VALUES32);
	struct call c;
	unsigned int i;

	for (i = rnd_below(step); i < NR_VALUES32; i += step) {
		next_case(_metadata, self, &c, shape);
		set_u32(&c.parts[part], off, i);
		issue(&c);
	}
	if (off % 8)
		return;
	step = value_step(self->nic, NR_VALUES64);
	for (i = rnd_below(step); i < NR_VALUES64; i += step) {
		next_case(_metadata, self, &c, shape);
		set_u64(&c.parts[part], off, i);
		issue(&c);
	}
}

static void values_of_shape(struct __test_metadata *_metadata,
			    FIXTURE_DATA(calls) *self, enum shape shape)
{
	unsigned int i;
	struct call c;
	size_t off;

	outline(&c, shape);
	for (i = 0; i < c.nr_parts; i++)
		for (off = 0; off < c.parts[i].size; off += 4)
			values_of_word(_metadata, self, shape, i, off);
	end_stage(_metadata, self);
}

TEST_F_TIMEOUT(calls, every_value, 900)
{
	enum shape shape;

	for (shape = 0; shape < NR_SHAPES; shape++)
		values_of_shape(_metadata, self, shape);
	finish_stages(_metadata, self);
}

/* Of the structs by which a NIC's queue is registered */
TEST_F_TIMEOUT(calls, values_on_nic, 900)
{
	enum shape shape;

	self->nic = true;
	keep_neighbour_away(_metadata, &self->neighbour);
	for (shape = 0; shape < IMPORT; shape++)
		values_of_shape(_metadata, self, shape);
	finish_stages(_metadata, self);
	EXPECT_LT(0, nr_bound_stages);
}

/*
 * Every place at the end of memory
 */

/* What a query wants to know is not looked at if there is no such thing. */
static bool must_fault(const struct call *c)
{
	return c->shape != QUERY_ONE && c->shape != QUERY_CHAIN;
}

static void ends_of_part(struct __test_metadata *_metadata,
			 FIXTURE_DATA(calls) *self, enum shape shape,
			 unsigned int part)
{
	size_t mapped, step = turn_step() * (self->nic ? NIC_STEP : 1);
	struct call c;
	int ret, right;

	next_case(_metadata, self, &c, shape);
	mapped = rnd_below(step);
	right = issue(&c);
	if (shape < IMPORT)
		EXPECT_EQ(0, right);
	for (; mapped < c.parts[part].size; mapped += step) {
		next_case(_metadata, self, &c, shape);
		place_before_hole(&c.parts[part], mapped);
		link_parts(&c);
		ret = issue(&c);
		if (must_fault(&c))
			EXPECT_EQ(-EFAULT, ret)
				TH_LOG("%s: %zu bytes of struct %u are mapped",
				       shape_names[shape], mapped, part);

		next_case(_metadata, self, &c, shape);
		place_before_readonly(&c.parts[part], mapped);
		link_parts(&c);
		ret = issue(&c);
		EXPECT_TRUE(ret == -EFAULT || ret == right)
			TH_LOG("%s: %zu bytes of struct %u are writable: %d, not %d",
			       shape_names[shape], mapped, part, ret, right);
	}
}

static void ends_of_shape(struct __test_metadata *_metadata,
			  FIXTURE_DATA(calls) *self, enum shape shape)
{
	unsigned int i;
	struct call c;

	outline(&c, shape);
	for (i = 0; i < c.nr_parts; i++)
		ends_of_part(_metadata, self, shape, i);
	end_stage(_metadata, self);
}

TEST_F_TIMEOUT(calls, end_of_memory, 900)
{
	enum shape shape;

	for (shape = 0; shape < NR_SHAPES; shape++)
		ends_of_shape(_metadata, self, shape);
	finish_stages(_metadata, self);
}

TEST_F_TIMEOUT(calls, end_of_memory_on_nic, 900)
{
	enum shape shape;

	self->nic = true;
	keep_neighbour_away(_metadata, &self->neighbour);
	for (shape = 0; shape < IMPORT; shape++)
		ends_of_shape(_metadata, self, shape);
	finish_stages(_metadata, self);
	EXPECT_LT(0, nr_bound_stages);
}

static struct part *find_ext(struct call *c)
{
	unsigned int i;

	for (i = 0; i < c->nr_parts; i++)
		if (c->parts[i].ptr ==
		    offsetof(struct io_uring_zcrx_ifq_reg, ext_ptr))
			break;

	return &c->parts[i];
}

/* The struct says how long it is, and no more of it than that is mapped. */
static void every_ext_size(struct __test_metadata *_metadata,
			   FIXTURE_DATA(calls) *self)
{
	const size_t right = sizeof(struct io_uring_zcrx_ext_reg);
	struct io_uring_zcrx_ext_reg *ext;
	struct part *p;
	struct call c;
	__u32 size;
	int ret;

	complete = true;
	for (size = 0; size <= PART_SIZE; size++) {
		next_case(_metadata, self, &c, REGISTER_RBUF);
		p = find_ext(&c);
		ext = (void *)p->bytes;
		ext->size = size;
		p->size = size;
		place_before_hole(p, size);
		link_parts(&c);
		ret = issue(&c);
		EXPECT_TRUE(size == right ? !ret :
			    ret == -EINVAL || ret == -EFAULT)
			TH_LOG("size %u: %d", size, ret);
	}
	end_stage(_metadata, self);
}

TEST_F_TIMEOUT(calls, ext_size, 300)
{
	every_ext_size(_metadata, self);
	self->nic = true;
	keep_neighbour_away(_metadata, &self->neighbour);
	every_ext_size(_metadata, self);
	finish_stages(_metadata, self);
	EXPECT_LT(0, nr_bound_stages);
}

/*
 * Cases at random
 */

static enum shape some_shape(void)
{
	static const enum shape often[] = {
		REGISTER_RBUF, REGISTER_RBUF, REGISTER_CQE32, REGISTER_CQE32,
		IMPORT, EXPORT, ADD_AREA,
	};

	return one_in(2) ? often[rnd_below(ARRAY_SIZE(often))] :
			   rnd_below(NR_SHAPES);
}

static void set_word(struct part *p)
{
	size_t off = rnd_below((p->size + 3) / 4) * 4;
	__u32 value;

	if (off % 8 == 0 && one_in(3)) {
		p->words[off / 8] = nasty_u64(p->words[off / 8]);
		return;
	}
	memcpy(&value, p->bytes + off, sizeof(value));
	value = nasty_u32(value);
	memcpy(p->bytes + off, &value, sizeof(value));
}

/* Receive into, or keep a ring in, something else than ordinary memory. */
static void set_memory(struct call *c)
{
	struct part *p = &c->parts[rnd_below(c->nr_parts)];

	/* The address comes first both in areas and in descriptions of
	 * regions.
	 */
	if (c->shape < IMPORT && p->parent >= 0)
		p->words[0] = odd_memory();
}

static void spoil(struct call *c)
{
	unsigned int nr = one_in(4) ? rnd_below(5) : rnd_below(3);

	while (nr--)
		set_word(&c->parts[rnd_below(c->nr_parts)]);
	if (one_in(8))
		set_memory(c);
	if (one_in(64))
		c->fd = one_in(2) ? -1 : STDOUT_FILENO;
	if (one_in(64))
		c->nr_args = nasty_u32(c->nr_args);
	if (one_in(64))
		c->op = REGISTER_ZCRX_IFQ + rnd_below(6);
}

static void issue_at_random(void)
{
	struct call c;

	build(&c, some_shape());
	if (one_in(8)) {
		c.ring = rnd_below(NR_RINGS);
		c.fd = stage.rings[c.ring].fd;
	}
	place(&c);
	if (one_in(5))
		misplace(&c);
	link_parts(&c);
	spoil(&c);
	issue(&c);
}

/* The rings' memory, at all offsets that might lead to some */
static void mmap_at_random(void)
{
	const struct uring *ring = &stage.rings[rnd_below(NR_RINGS)];
	__u64 off = one_in(2) ? IORING_MAP_OFF_ZCRX_REGION :
				IORING_MAP_OFF_RBUF_REGION;
	size_t size = (1 + rnd_below(4)) * PAGE;
	__u8 *p;

	off += rnd_below(8) << IORING_OFF_ZCRX_SHIFT;
	if (one_in(4))
		off = nasty_u64(off) & ~(PAGE - 1);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, off);
	fuzz_count(&mmaps, p == MAP_FAILED ? -errno : 0);
	if (p == MAP_FAILED)
		return;
	/* The io_uring's own rings can be mapped with nothing behind them. */
	if ((off & ZCRX_OFFSETS) == IORING_MAP_OFF_ZCRX_REGION)
		p[rnd_below(size)] = rnd();
	munmap(p, size);
}

/*
 * One after the other
 */

/* A query that is followed by itself must not keep a process from dying. */
TEST_F_TIMEOUT(calls, query_without_end, 60)
{
	int i, status;
	struct call c;
	pid_t pid;

	complete = true;
	ASSERT_TRUE(stage_open(false, false));
	build(&c, QUERY_ONE);
	place(&c);
	link_parts(&c);
	memcpy(c.parts[0].bytes + offsetof(struct io_uring_query_hdr, next_entry),
	       &c.parts[0].at, sizeof(c.parts[0].at));

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		issue(&c);
		_exit(0);
	}
	sleep(1);
	kill(pid, SIGKILL);
	for (i = 0; i < 100 && waitpid(pid, &status, WNOHANG) != pid; i++)
		usleep(100 * 1000);
	EXPECT_GT(100, i);
	finish_stages(_metadata, self);
}

/*
 * At random, and in a race
 */

/* Of the registrations so many in a hundred are to succeed, if there were a hundred. */
#define MIN_SUCCESS	5

static void check_mix(struct __test_metadata *_metadata,
		      unsigned long nr_cases)
{
	unsigned long all = fuzz_total(&counts[REGISTER_RBUF]) +
			    fuzz_total(&counts[REGISTER_CQE32]);
	unsigned long ok = counts[REGISTER_RBUF].ok + counts[REGISTER_CQE32].ok;

	TH_LOG("%lu of %lu registrations succeeded", ok, all);
	if (all >= 100)
		EXPECT_LE(MIN_SUCCESS * all, 100 * ok);
	/* The first stage is on the NIC, if it is a whole one. */
	if (nr_cases >= STAGE_CALLS)
		EXPECT_LT(0, nr_bound_stages)
			TH_LOG("nothing at random was right for the NIC");
}

static void run_at_random(struct __test_metadata *_metadata,
			  FIXTURE_DATA(calls) *self, unsigned long nr)
{
	while (self->nr_cases < nr) {
		fuzz_begin(self->nr_cases++);
		need_stage(_metadata, self, nr_stages % NIC_STAGE == 0, true,
			   one_in(2));
		if (one_in(20))
			mmap_at_random();
		else
			issue_at_random();
	}
	finish_stages(_metadata, self);
	check_mix(_metadata, nr);
}

TEST_F_TIMEOUT(calls, at_random, fuzz_timeout())
{
	keep_neighbour_away(_metadata, &self->neighbour);
	run_at_random(_metadata, self, CALLS - RACES);
}

/*
 * Never returns. With pauses, or on a slow machine nothing is left that would be
 * right in any call.
 */
static void race(void)
{
	__u64 *words = (void *)view_rw;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		__u64 *word = &words[rnd_below(4 * PAGE / 8)];

		*word = nasty_u64(*word);
		if (one_in(256))
			usleep(rnd_below(20000));
	}
}

/* What the kernel has checked must be what it uses. Not to be repeated exactly */
TEST_F_TIMEOUT(calls, in_a_race, fuzz_timeout())
{
	keep_neighbour_away(_metadata, &self->neighbour);
	racer = fork();
	ASSERT_LE(0, racer);
	if (!racer)
		race();
	run_at_random(_metadata, self, RACES);
	kill(racer, SIGKILL);
	waitpid(racer, NULL, 0);
}

int main(int argc, char **argv)
{
	nic_setup();
	fuzz_setup("zcrx_fuzz");

	return test_harness_run(argc, argv);
}
