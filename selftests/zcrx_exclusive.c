// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A bound queue, and other uses of its NIC that don't go with it: whoever comes
 * second is refused. An errno says so and, where netlink carries it, a text that
 * names what is in the way. Nothing changes by that, and connections go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <linux/rtnetlink.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "netlink.h"
#include "nic.h"
#include "proc.h"
#include "receiver.h"

#define AREA_SIZE	(8 << 20)
#define WRITE_SIZE	(64 << 10)
#define PROGRESS	(256 << 10)
#define PROGRESS_LIMIT	(64 << 20)
#define DMABUF_SIZE	(8 << 20)
#define XSK_SIZE	(256 << 10)
#define XSK_FRAME	4096
#define XSK_ENTRIES	64
#define PATIENCE_MS	5000
#define STALL_S		60
#define LOAD_TRIES	1000
#define TIMEOUT_S	300

/* Other sizes than NIC_RX_RING, and an MTU that every driver can do XDP with */
#define OTHER_RX_RING	512
#define SMALL_MTU	1500

/* Of <linux/netdev.h>, which distributions have without them */
#define NETDEV_CMD_BIND_RX		13
#define NETDEV_A_QUEUE_ID		1
#define NETDEV_A_QUEUE_TYPE		3
#define NETDEV_A_DMABUF_IFINDEX		1
#define NETDEV_A_DMABUF_QUEUES		2
#define NETDEV_A_DMABUF_FD		3
#define NETDEV_QUEUE_TYPE_RX		0

/* Of <linux/uio.h> and others, as above: TCP whose payload is in a DMA buffer */
#ifndef MSG_SOCK_DEVMEM
#define MSG_SOCK_DEVMEM			0x2000000
#endif
#ifndef SO_DEVMEM_LINEAR
#define SO_DEVMEM_LINEAR		78
#define SO_DEVMEM_DMABUF		79
#define SO_DEVMEM_DONTNEED		80
#endif
#define DEVMEM_MAX_TOKENS		128

struct devmem_cmsg {
	__u64	offset;
	__u32	size;
	__u32	token;
	__u32	dmabuf_id;
	__u32	flags;
};

struct devmem_tokens {
	__u32	start;
	__u32	count;
};

/**
 * struct use - another use of the NIC
 * @begin: have it so; returns 0, or a negative error
 * @end: undo that; returns whether it worked
 * @lacks: what it needs and is not there, or NULL; may be NULL itself
 * @error: of @begin while the queue is bound; 0 if it does no harm
 * @text: what the text to that has in it, if it comes by netlink
 * @bind_error: of binding the queue meanwhile; 0 if it depends on the NIC
 * @small_mtu: not with the largest MTU
 */
struct use {
	int		(*begin)(struct netlink *nl);
	bool		(*end)(struct netlink *nl);
	const char	*(*lacks)(void);
	int		error;
	const char	*text;
	int		bind_error;
	bool		small_mtu;
};

/*
 * Messages
 */

static int begin_link(struct netlink *nl, __u16 type, union netlink_message *m)
{
	int ret = netlink_open(nl, NETLINK_ROUTE);
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh;

	if (ret)
		return ret;
	nlh = mnl_nlmsg_put_header(m);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = nic_ifindex();

	return 0;
}

/*
 * What must not change, as netlink shows it
 */

struct settings {
	size_t	size;
	char	bytes[2048];
};

static int keep(struct settings *s, const void *from, size_t size)
{
	if (size > sizeof(s->bytes) - s->size)
		return MNL_CB_ERROR;
	memcpy(s->bytes + s->size, from, size);
	s->size += size;

	return MNL_CB_OK;
}

static int keep_all(const struct nlmsghdr *nlh, void *data)
{
	return keep(data, mnl_nlmsg_get_payload(nlh),
		    mnl_nlmsg_get_payload_len(nlh));
}

/* The rest may change by itself. */
static int keep_link(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;
	int ret = MNL_CB_OK;
	__u16 type;

	mnl_attr_for_each(attr, nlh, sizeof(struct ifinfomsg)) {
		type = mnl_attr_get_type(attr);
		if (ret == MNL_CB_OK &&
		    (type == IFLA_XDP || type == IFLA_MTU ||
		     type == IFLA_NUM_RX_QUEUES))
			ret = keep(data, attr, attr->nla_len);
	}

	return ret;
}

static int read_ethtool(struct settings *s, __u8 cmd)
{
	union netlink_message m;
	struct netlink nl;
	int ret;

	ret = netlink_begin_ethtool(&nl, cmd, nic.name, &m) ?:
	      netlink_ask(&nl, &m.nlh, keep_all, s);
	netlink_close(&nl);

	return ret;
}

static int read_link(struct settings *s)
{
	union netlink_message m;
	struct netlink nl;
	int ret;

	ret = begin_link(&nl, RTM_GETLINK, &m) ?:
	      netlink_ask(&nl, &m.nlh, keep_link, s);
	netlink_close(&nl);

	return ret;
}

static int open_vfs(int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/net/%s/device/sriov_numvfs",
		 nic.name);

	return open(path, flags | O_CLOEXEC);
}

/* Without virtual functions there may be no such file. */
static int read_vfs(struct settings *s)
{
	char text[16];
	int fd = open_vfs(O_RDONLY);
	ssize_t len;

	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text));
	close(fd);

	return len > 0 && keep(s, text, len) == MNL_CB_OK ? 0 : -EIO;
}

/* Returns 0, or a negative error. */
static int read_settings(struct settings *s)
{
	s->size = 0;

	return read_ethtool(s, ETHTOOL_MSG_RINGS_GET) ?:
	       read_ethtool(s, ETHTOOL_MSG_CHANNELS_GET) ?:
	       read_link(s) ?:
	       read_vfs(s);
}

static bool same_settings(const struct settings *a, const struct settings *b)
{
	return a->size == b->size && !memcmp(a->bytes, b->bytes, a->size);
}

/*
 * Headers not split, alone or together with what would be allowed
 */

static int set_rings(struct netlink *nl, __u8 split, __u32 rx)
{
	union netlink_message m;
	int ret;

	ret = netlink_begin_ethtool(nl, ETHTOOL_MSG_RINGS_SET, nic.name, &m);
	if (ret)
		return ret;
	mnl_attr_put_u8(&m.nlh, ETHTOOL_A_RINGS_TCP_DATA_SPLIT, split);
	mnl_attr_put_u32(&m.nlh, ETHTOOL_A_RINGS_RX, rx);

	return netlink_ask(nl, &m.nlh, NULL, NULL);
}

static int split_off(struct netlink *nl)
{
	return set_rings(nl, ETHTOOL_TCP_DATA_SPLIT_DISABLED, NIC_RX_RING);
}

static int split_auto(struct netlink *nl)
{
	return set_rings(nl, ETHTOOL_TCP_DATA_SPLIT_UNKNOWN, NIC_RX_RING);
}

static int split_off_and_resize(struct netlink *nl)
{
	return set_rings(nl, ETHTOOL_TCP_DATA_SPLIT_DISABLED, OTHER_RX_RING);
}

static bool usual_rings(struct netlink *nl)
{
	return nic_configure();
}

#define SPLIT_USE(_begin) {						\
	.begin		= (_begin),					\
	.end		= usual_rings,					\
	.error		= -EBUSY,					\
	.text		= "tcp-data-split",				\
	.bind_error	= -EOPNOTSUPP,					\
}

static const struct use use_split_off = SPLIT_USE(split_off);
static const struct use use_split_auto = SPLIT_USE(split_auto);
static const struct use use_split_and_size = SPLIT_USE(split_off_and_resize);

/*
 * Fewer queues
 */

static const char *lacks_queue(void)
{
	return nic.rxq ? NULL : "another receive queue before the one to bind";
}

static int set_channels(struct netlink *nl, __u32 nr)
{
	union netlink_message m;
	int ret;

	ret = netlink_begin_ethtool(nl, ETHTOOL_MSG_CHANNELS_SET, nic.name, &m);
	if (ret)
		return ret;
	mnl_attr_put_u32(&m.nlh, ETHTOOL_A_CHANNELS_COMBINED_COUNT, nr);

	return netlink_ask(nl, &m.nlh, NULL, NULL);
}

/* A table of the user's would be in the way, too. */
static int fewer_channels(struct netlink *nl)
{
	int ret;

	nic_run("ethtool -X %s default", nic.name);
	ret = set_channels(nl, nic.rxq);
	if (ret)
		nic_steer(nic.rxq);

	return ret;
}

static bool usual_channels(struct netlink *nl)
{
	netlink_close(nl);

	return !set_channels(nl, nic.nr_rxqs) && nic_steer(nic.rxq);
}

static const struct use use_fewer_channels = {
	.begin		= fewer_channels,
	.end		= usual_channels,
	.lacks		= lacks_queue,
	.error		= -EINVAL,
	.text		= "memory provider",
	.bind_error	= -ERANGE,
};

/*
 * XDP
 */

/* Returns a file, or a negative error. */
static int load_xdp(void)
{
	static const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type	= BPF_PROG_TYPE_XDP,
		.insns		= (unsigned long)pass,
		.insn_cnt	= ARRAY_SIZE(pass),
		.license	= (unsigned long)"Dual MIT/GPL",
	};
	int fd, tries = LOAD_TRIES;

	/* The verifier gives up if it sees a signal, or task work of io_uring. */
	do {
		fd = syscall(__NR_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	} while (fd < 0 && errno == EAGAIN && --tries);

	return fd < 0 ? -errno : fd;
}

static const char *lacks_bpf(void)
{
	int fd = load_xdp();

	if (fd < 0)
		return "CONFIG_BPF_SYSCALL";
	close(fd);

	return NULL;
}

static int set_xdp(struct netlink *nl, int fd, __u32 flags)
{
	union netlink_message m;
	struct nlattr *nest;
	int ret;

	ret = begin_link(nl, RTM_SETLINK, &m);
	if (ret)
		return ret;
	nest = mnl_attr_nest_start(&m.nlh, IFLA_XDP);
	mnl_attr_put_u32(&m.nlh, IFLA_XDP_FD, fd);
	mnl_attr_put_u32(&m.nlh, IFLA_XDP_FLAGS, flags);
	mnl_attr_nest_end(&m.nlh, nest);

	return netlink_ask(nl, &m.nlh, NULL, NULL);
}

static int attach_xdp(struct netlink *nl, __u32 flags)
{
	int fd = load_xdp(), ret;

	if (fd < 0)
		return fd;
	ret = set_xdp(nl, fd, flags);
	close(fd);

	return ret;
}

static bool detach_xdp(struct netlink *nl, __u32 flags)
{
	netlink_close(nl);

	return !set_xdp(nl, -1, flags);
}

static int attach_native(struct netlink *nl)
{
	return attach_xdp(nl, XDP_FLAGS_DRV_MODE);
}

static bool detach_native(struct netlink *nl)
{
	return detach_xdp(nl, XDP_FLAGS_DRV_MODE);
}

static int attach_generic(struct netlink *nl)
{
	return attach_xdp(nl, XDP_FLAGS_SKB_MODE);
}

static bool detach_generic(struct netlink *nl)
{
	return detach_xdp(nl, XDP_FLAGS_SKB_MODE);
}

static const struct use use_native_xdp = {
	.begin		= attach_native,
	.end		= detach_native,
	.lacks		= lacks_bpf,
	.error		= -EBUSY,
	.text		= "memory provider",
	.bind_error	= -EBUSY,
	.small_mtu	= true,
};

static const struct use use_generic_xdp = {
	.begin		= attach_generic,
	.end		= detach_generic,
	.lacks		= lacks_bpf,
	.error		= -EBUSY,
	.text		= "memory provider",
	.bind_error	= -EBUSY,
};

/*
 * Memory of a DMA buffer for the same queue
 */

static const char *lacks_udmabuf(void)
{
	return access("/dev/udmabuf", F_OK) ? "CONFIG_UDMABUF" : NULL;
}

/* Returns a file, or a negative error. */
static int make_dmabuf(void)
{
	struct udmabuf_create create = { .size = DMABUF_SIZE };
	int memfd, dev, ret;

	memfd = memfd_create("dmabuf", MFD_ALLOW_SEALING);
	dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	create.memfd = memfd;
	if (ftruncate(memfd, DMABUF_SIZE) ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		ret = -1;
	else
		ret = ioctl(dev, UDMABUF_CREATE, &create);
	if (ret < 0)
		ret = -errno;
	close(dev);
	close(memfd);

	return ret;
}

static int bind_queue_to(struct netlink *nl, int dmabuf)
{
	union netlink_message m;
	struct nlattr *nest;
	int ret;

	ret = netlink_begin_genl(nl, "netdev", NETDEV_CMD_BIND_RX, &m);
	if (ret)
		return ret;
	mnl_attr_put_u32(&m.nlh, NETDEV_A_DMABUF_IFINDEX, nic_ifindex());
	mnl_attr_put_u32(&m.nlh, NETDEV_A_DMABUF_FD, dmabuf);
	nest = mnl_attr_nest_start(&m.nlh, NETDEV_A_DMABUF_QUEUES);
	mnl_attr_put_u32(&m.nlh, NETDEV_A_QUEUE_ID, nic.rxq);
	mnl_attr_put_u32(&m.nlh, NETDEV_A_QUEUE_TYPE,
			 NETDEV_QUEUE_TYPE_RX);
	mnl_attr_nest_end(&m.nlh, nest);

	return netlink_ask(nl, &m.nlh, NULL, NULL);
}

static int bind_dmabuf(struct netlink *nl)
{
	int fd = make_dmabuf(), ret;

	if (fd < 0)
		return fd;
	ret = bind_queue_to(nl, fd);
	close(fd);

	return ret;
}

/* It lives as long as the socket by which it was made. */
static bool unbind_dmabuf(struct netlink *nl)
{
	netlink_close(nl);

	return true;
}

static const struct use use_dmabuf = {
	.begin		= bind_dmabuf,
	.end		= unbind_dmabuf,
	.lacks		= lacks_udmabuf,
	.error		= -EEXIST,
	.text		= "memory provider",
	.bind_error	= -EEXIST,
};

/*
 * A socket of AF_XDP, with copies: no packet gets there without an XDP program
 */

static int xsk = -1;

static const char *lacks_xdp_sockets(void)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return "CONFIG_XDP_SOCKETS";
	close(fd);

	return NULL;
}

static bool give_memory(int fd)
{
	static const int rings[] = {
		XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING,
	};
	struct xdp_umem_reg reg = {
		.addr		= (unsigned long)ifq_mmap(XSK_SIZE),
		.len		= XSK_SIZE,
		.chunk_size	= XSK_FRAME,
	};
	int entries = XSK_ENTRIES;
	unsigned int i;

	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)))
		return false;
	for (i = 0; i < ARRAY_SIZE(rings); i++)
		if (setsockopt(fd, SOL_XDP, rings[i], &entries,
			       sizeof(entries)))
			return false;

	return true;
}

/* One that was closed may be late to let go of the queue. */
static int bind_xsk(int fd)
{
	struct sockaddr_xdp addr = {
		.sxdp_family	= AF_XDP,
		.sxdp_flags	= XDP_COPY,
		.sxdp_ifindex	= nic_ifindex(),
		.sxdp_queue_id	= nic.rxq,
	};
	unsigned int ms;

	for (ms = 0; ms < PATIENCE_MS; ms += 20) {
		if (!bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
			return 0;
		if (errno != EBUSY)
			return -errno;
		proc_sleep_ms(20);
	}

	return -EBUSY;
}

static int open_xsk(struct netlink *nl)
{
	int ret;

	xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	ret = give_memory(xsk) ? bind_xsk(xsk) : -errno;
	if (ret)
		close(xsk);

	return ret;
}

static bool close_xsk(struct netlink *nl)
{
	return !close(xsk);
}

static const struct use use_xsk = {
	.begin		= open_xsk,
	.end		= close_xsk,
	.lacks		= lacks_xdp_sockets,
	.bind_error	= -EBUSY,
};

/*
 * A virtual function, which takes queues away
 */

static const char *lacks_vfs(void)
{
	int fd = open_vfs(O_RDONLY);

	if (fd < 0)
		return "CONFIG_PCI_IOV, or the NIC has no virtual functions";
	close(fd);

	return NULL;
}

static int set_vfs(const char *nr)
{
	int fd = open_vfs(O_WRONLY), ret;

	ret = write(fd, nr, strlen(nr)) < 0 ? -errno : 0;
	close(fd);

	return ret;
}

static int one_vf(struct netlink *nl)
{
	return set_vfs("1");
}

static bool no_vfs(struct netlink *nl)
{
	return !set_vfs("0") && nic_configure();
}

static const struct use use_vf = {
	.begin		= one_vf,
	.end		= no_vfs,
	.lacks		= lacks_vfs,
	.error		= -EBUSY,
};

/*
 * The one, and then the other
 */

FIXTURE(exclusive)
{
	struct receiver r;
	struct netlink nl;
	unsigned int mtu;
	bool begun;
};

FIXTURE_VARIANT(exclusive)
{
	const struct use *use;
};

FIXTURE_VARIANT_ADD(exclusive, split_off) { .use = &use_split_off };
FIXTURE_VARIANT_ADD(exclusive, split_auto) { .use = &use_split_auto };
FIXTURE_VARIANT_ADD(exclusive, split_and_size) { .use = &use_split_and_size };
FIXTURE_VARIANT_ADD(exclusive, fewer_channels) { .use = &use_fewer_channels };
FIXTURE_VARIANT_ADD(exclusive, native_xdp) { .use = &use_native_xdp };
FIXTURE_VARIANT_ADD(exclusive, generic_xdp) { .use = &use_generic_xdp };
FIXTURE_VARIANT_ADD(exclusive, dmabuf) { .use = &use_dmabuf };
FIXTURE_VARIANT_ADD(exclusive, xsk) { .use = &use_xsk };
FIXTURE_VARIANT_ADD(exclusive, vf) { .use = &use_vf };

FIXTURE_SETUP(exclusive)
{
	const struct use *use = variant->use;
	const char *lacks = use->lacks ? use->lacks() : NULL;

	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	if (lacks)
		SKIP(return, "there is no %s", lacks);
	if (use->small_mtu && nic_mtu() > SMALL_MTU) {
		self->mtu = nic_mtu();
		ASSERT_TRUE(nic_run("ip link set %s mtu %u", nic.name,
				    SMALL_MTU));
	}
}

FIXTURE_TEARDOWN(exclusive)
{
	if (self->begun)
		variant->use->end(&self->nl);
	netlink_close(&self->nl);
	if (self->mtu)
		nic_run("ip link set %s mtu %u", nic.name, self->mtu);
}

static void expect_progress(struct __test_metadata *_metadata,
			    struct receiver *r)
{
	ASSERT_TRUE(receiver_run_in_place(r, PROGRESS, PROGRESS_LIMIT))
		TH_LOG("%s", r->why);
}

/* A use that has ended may be late to let go of the queue: AF_XDP is. */
static int open_patiently(struct receiver *r)
{
	unsigned int ms;
	int ret;

	for (ms = 0;; ms += 20) {
		receiver_prepare(r, RECV_RBUF, AREA_SIZE);
		ret = receiver_register(r);
		if (ret)
			ifq_args_free(&r->args);
		if (ret != -EBUSY || ms >= PATIENCE_MS)
			return ret;
		proc_sleep_ms(20);
	}
}

static void receive(struct __test_metadata *_metadata, struct receiver *r)
{
	ASSERT_EQ(0, open_patiently(r));
	ASSERT_TRUE(receiver_connect(r, nic.remote_v4, 1, FLOW_ENDLESS,
				     WRITE_SIZE))
		TH_LOG("%s", r->why);
	expect_progress(_metadata, r);
}

static void expect_refused(struct __test_metadata *_metadata,
			   struct receiver *r, const struct use *use,
			   struct netlink *nl)
{
	int error = use->begin(nl);

	if (!error) {
		expect_progress(_metadata, r);
		use->end(nl);
	}
	ASSERT_EQ(use->error, error) TH_LOG("it says: \"%s\"", nl->text);
	if (use->text)
		EXPECT_NE(NULL, strstr(nl->text, use->text))
			TH_LOG("it says: \"%s\"", nl->text);
}

/* The queue is bound: the other use is refused, or does no harm. */
TEST_F_TIMEOUT(exclusive, refused, TIMEOUT_S)
{
	struct settings before, after;

	receive(_metadata, &self->r);
	ASSERT_EQ(0, read_settings(&before));
	expect_refused(_metadata, &self->r, variant->use, &self->nl);
	ASSERT_EQ(0, read_settings(&after));
	EXPECT_TRUE(same_settings(&before, &after));
	expect_progress(_metadata, &self->r);
	receiver_close(&self->r);
}

static void expect_unbound(struct __test_metadata *_metadata,
			   struct receiver *r, int error)
{
	struct settings before, after;
	int ret;

	ASSERT_EQ(0, read_settings(&before));
	receiver_prepare(r, RECV_RBUF, AREA_SIZE);
	ret = receiver_register(r);
	if (ret)
		ifq_args_free(&r->args);
	else
		receiver_close(r);
	EXPECT_EQ(error, ret);
	EXPECT_EQ(0, proc_pinned_kib());
	ASSERT_EQ(0, read_settings(&after));
	EXPECT_TRUE(same_settings(&before, &after));
}

/* The other use came first: the queue can't be bound, until that has ended. */
TEST_F_TIMEOUT(exclusive, refuses, TIMEOUT_S)
{
	const struct use *use = variant->use;

	ASSERT_EQ(0, use->begin(&self->nl))
		TH_LOG("it says: \"%s\"", self->nl.text);
	self->begun = true;
	if (use->bind_error)
		expect_unbound(_metadata, &self->r, use->bind_error);
	self->begun = false;
	ASSERT_TRUE(use->end(&self->nl))
		TH_LOG("it says: \"%s\"", self->nl.text);
	receive(_metadata, &self->r);
	receiver_close(&self->r);
}

/*
 * A DMA buffer alone: what comes into it can't be read, but by who has mapped it
 */

FIXTURE(dmabuf)
{
	struct receiver r;
	struct netlink nl;
	int fd;
};

FIXTURE_SETUP(dmabuf)
{
	const char *lacks = lacks_udmabuf();

	if (!nic.remote_v4)
		SKIP(return, "REMOTE_V4 is not set: name the peer");
	if (lacks)
		SKIP(return, "there is no %s", lacks);
	self->fd = make_dmabuf();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, bind_queue_to(&self->nl, self->fd))
		TH_LOG("it says: \"%s\"", self->nl.text);
}

FIXTURE_TEARDOWN(dmabuf)
{
	receiver_close(&self->r);
	unbind_dmabuf(&self->nl);
	close(self->fd);
}

/* Neither by recv(), nor by an ifq that would copy it. */
TEST_F_TIMEOUT(dmabuf, unreadable, TIMEOUT_S)
{
	struct receiver *r = &self->r;
	struct flow flow;
	char byte;

	receiver_prepare(r, RECV_RBUF, AREA_SIZE);
	ifq_args_set_nodev(&r->args);
	ASSERT_EQ(0, receiver_register(r));
	ASSERT_EQ(0, flow_connect(&flow, nic.remote_v4, FLOW_ENDLESS,
				  WRITE_SIZE));
	EXPECT_EQ(-1, recv(flow.fd, &byte, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	/* Nothing comes of it. */
	flow.bytes = 0;
	r->end_res = -EFAULT;
	receiver_add_flow(r, &flow);
	ASSERT_TRUE(receiver_run(r, 0)) TH_LOG("%s", r->why);
	EXPECT_EQ(0, r->bytes);
}

/**
 * struct devmem - a receiver of what comes into a DMA buffer
 * @flow: its connection
 * @map: the buffer
 * @linear: what came elsewhere
 * @len: how much of that has been looked at
 * @tokens: of pieces in the buffer
 * @nr_tokens: their number
 * @bytes: how much came into the buffer
 */
struct devmem {
	struct flow		flow;
	const char		*map;
	char			linear[16 << 10];
	size_t			len;
	struct devmem_tokens	tokens[DEVMEM_MAX_TOKENS];
	unsigned int		nr_tokens;
	__u64			bytes;
};

static bool take_piece(struct devmem *d, const struct cmsghdr *cmsg)
{
	struct devmem_cmsg piece;
	size_t at = d->len;

	if (cmsg->cmsg_level != SOL_SOCKET)
		return false;
	memcpy(&piece, CMSG_DATA(cmsg), sizeof(piece));
	switch (cmsg->cmsg_type) {
	case SO_DEVMEM_LINEAR:
		d->len += piece.size;
		return d->len <= sizeof(d->linear) &&
		       flow_receive(&d->flow, d->linear + at, piece.size);
	case SO_DEVMEM_DMABUF:
		if (d->nr_tokens == DEVMEM_MAX_TOKENS)
			return false;
		d->tokens[d->nr_tokens++] = (struct devmem_tokens) {
			.start = piece.token, .count = 1,
		};
		d->bytes += piece.size;
		return piece.offset + piece.size <= DMABUF_SIZE &&
		       flow_receive(&d->flow, d->map + piece.offset, piece.size);
	}

	return false;
}

static bool give_back(const struct devmem *d)
{
	return !d->nr_tokens ||
	       setsockopt(d->flow.fd, SOL_SOCKET, SO_DEVMEM_DONTNEED,
			  d->tokens, d->nr_tokens * sizeof(d->tokens[0])) ==
	       (int)d->nr_tokens;
}

/* Returns how many bytes have come, 0 at the end, or a negative error. */
static ssize_t receive_devmem(struct devmem *d)
{
	char control[DEVMEM_MAX_TOKENS * CMSG_SPACE(sizeof(struct devmem_cmsg))];
	struct iovec iov = { d->linear, sizeof(d->linear) };
	struct msghdr msg = {
		.msg_iov	= &iov,
		.msg_iovlen	= 1,
		.msg_control	= control,
		.msg_controllen	= sizeof(control),
	};
	struct cmsghdr *cmsg;
	ssize_t n;

	n = recvmsg(d->flow.fd, &msg, MSG_SOCK_DEVMEM);
	if (n <= 0)
		return n ? -errno : 0;
	d->len = 0;
	d->nr_tokens = 0;
	for (cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg))
		if (!take_piece(d, cmsg))
			return -EBADMSG;
	/* A packet that is no more than its header may hold comes as by recv(). */
	if (!d->len && !d->nr_tokens)
		return flow_receive(&d->flow, d->linear, n) ? n : -EBADMSG;

	return give_back(d) ? n : -EBADF;
}

/* That is TCP's own way to receive into memory of devices: it works as before. */
TEST_F_TIMEOUT(dmabuf, devmem, TIMEOUT_S)
{
	const struct timeval limit = { .tv_sec = STALL_S };
	struct devmem *d = calloc(1, sizeof(*d));
	ssize_t n;

	/* The kernel does not sync such a buffer: what bounces never gets there. */
	if (proc_bounces())
		SKIP(return, "for memory that the NIC itself can reach");
	ASSERT_NE(NULL, d);
	d->map = mmap(NULL, DMABUF_SIZE, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, d->map);
	ASSERT_EQ(0, flow_connect(&d->flow, nic.remote_v4, 4 * DMABUF_SIZE,
				  WRITE_SIZE));
	setsockopt(d->flow.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	do
		n = receive_devmem(d);
	while (n > 0);
	EXPECT_EQ(0, n) TH_LOG("%s after %llu bytes", strerror(-n), d->flow.got);
	EXPECT_TRUE(flow_complete(&d->flow));
	EXPECT_LT(2 * DMABUF_SIZE, d->bytes);
	flow_close(&d->flow);
	munmap((void *)d->map, DMABUF_SIZE);
	free(d);
}

ZCRX_TEST_MAIN
