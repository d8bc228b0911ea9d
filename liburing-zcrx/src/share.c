// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Messages between exporter and importer, with files.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "share.h"

/* Aligned as a control message is */
union control {
	struct cmsghdr	hdr;
	char		buf[CMSG_SPACE(ZCRX_SHARE_MAX_FDS * sizeof(int))];
};

/**
 * zcrx_share_check() - can messages be sent and received by a socket?
 * @sock: the socket
 *
 * Return: 0 or a negative errno, with a sentence.
 */
int zcrx_share_check(int sock)
{
	int domain, type;
	socklen_t len = sizeof(int);

	if (getsockopt(sock, SOL_SOCKET, SO_DOMAIN, &domain, &len) ||
	    getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &len))
		return zcrx_fail(-errno, "file descriptor %d is not a socket",
				 sock);
	if (domain != AF_UNIX || type != SOCK_SEQPACKET)
		return zcrx_fail(-EINVAL, "socket %d can't pass on a queue: that takes AF_UNIX and SOCK_SEQPACKET",
				 sock);

	return 0;
}

/**
 * zcrx_share_send() - send a message
 * @sock: where to
 * @msg: what
 * @size: of it
 * @fds: files, which stay the caller's
 * @nr_fds: their number
 * @flags: MSG_DONTWAIT or 0
 *
 * Return: 0 or a negative errno.
 */
int zcrx_share_send(int sock, const void *msg, size_t size, const int *fds,
		    unsigned int nr_fds, int flags)
{
	struct iovec iov = { .iov_base = (void *)msg, .iov_len = size };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control = { .buf = "" };
	ssize_t ret;

	if (nr_fds) {
		hdr.msg_control = &control;
		hdr.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.hdr), fds, nr_fds * sizeof(int));
	}
	do {
		ret = sendmsg(sock, &hdr, flags | MSG_NOSIGNAL);
	} while (ret < 0 && errno == EINTR);

	return ret < 0 ? -errno : 0;
}

/**
 * zcrx_share_close_fds() - close what came with a message
 * @fds: -1 where there is none
 */
void zcrx_share_close_fds(int fds[ZCRX_SHARE_MAX_FDS])
{
	unsigned int i;

	for (i = 0; i < ZCRX_SHARE_MAX_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Those that there is no room for are closed by the kernel. */
static void take_fds(struct msghdr *hdr, int fds[ZCRX_SHARE_MAX_FDS])
{
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(hdr); cmsg; cmsg = CMSG_NXTHDR(hdr, cmsg))
		if (cmsg->cmsg_level == SOL_SOCKET &&
		    cmsg->cmsg_type == SCM_RIGHTS)
			memcpy(fds, CMSG_DATA(cmsg),
			       cmsg->cmsg_len - CMSG_LEN(0));
}

/**
 * zcrx_share_receive() - receive a message
 * @sock: where from
 * @msg: filled in
 * @size: of it
 * @fds: files that came with it, the caller's, -1 where there is none
 * @flags: MSG_DONTWAIT or 0
 *
 * Return: 0, or a negative errno, with @fds empty; -ECONNRESET: there will be no
 * more; -EPROTO: a message of another size; -EMFILE: this process can't have its
 * files.
 */
int zcrx_share_receive(int sock, void *msg, size_t size,
		       int fds[ZCRX_SHARE_MAX_FDS], int flags)
{
	struct iovec iov = { .iov_base = msg, .iov_len = size };
	union control control;
	struct msghdr hdr = {
		.msg_iov	= &iov,
		.msg_iovlen	= 1,
		.msg_control	= &control,
		.msg_controllen	= sizeof(control),
	};
	ssize_t ret;

	memset(fds, -1, ZCRX_SHARE_MAX_FDS * sizeof(*fds));
	do {
		ret = recvmsg(sock, &hdr, flags | MSG_CMSG_CLOEXEC);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	if (!ret)
		return -ECONNRESET;

	take_fds(&hdr, fds);
	if ((size_t)ret != size || hdr.msg_flags & MSG_TRUNC)
		ret = -EPROTO;
	else if (hdr.msg_flags & MSG_CTRUNC && fds[ZCRX_SHARE_MAX_FDS - 1] < 0)
		ret = -EMFILE;
	else
		return 0;
	zcrx_share_close_fds(fds);
	memset(fds, -1, ZCRX_SHARE_MAX_FDS * sizeof(*fds));

	return ret;
}
