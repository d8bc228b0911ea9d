// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * client SOCKET IFNAME ADDRESS PORT: receive what somebody sends who listens there,
 * by a queue of zcrxd's; or "client SOCKET IFNAME" to ask for one. Prints the back
 * end, which is the best unless CLIENT_BACKEND names one, and bytes and SHA-256 of
 * what came.
 */
#include <arpa/inet.h>
#include <err.h>
#include <liburing-zcrx.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BATCH	64

static struct zcrx_queue *ask_for_queue(const char *path, const char *ifname)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), ret;
	struct zcrx_queue_opts opts;
	struct zcrx_queue *queue;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)))
		err(1, "%s", path);
	zcrx_queue_opts_init(&opts);
	opts.ifname = ifname;
	opts.backend = getenv("CLIENT_BACKEND");
	ret = zcrx_import(&queue, sock, &opts);
	if (ret)
		errx(-ret, "%s", zcrx_error());

	return queue;
}

static int connect_to(const char *address, const char *port)
{
	struct sockaddr_in addr = {
		.sin_family	= AF_INET,
		.sin_port	= htons((in_port_t)atoi(port)),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &addr.sin_addr);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		err(1, "%s", address);

	return fd;
}

/* False when the connection has ended */
static bool take(struct zcrx_queue *queue, EVP_MD_CTX *digest,
		 unsigned long long *bytes)
{
	struct zcrx_buf bufs[BATCH];
	int n = zcrx_receive(queue, bufs, BATCH, 60000), i;
	bool more = true;

	if (n <= 0)
		errx(1, "nothing comes: %d", n);
	for (i = 0; i < n; i++) {
		if (!bufs[i].data && bufs[i].res)
			errx(1, "the connection: %s", strerror(-bufs[i].res));
		more = more && bufs[i].data;
		EVP_DigestUpdate(digest, bufs[i].data, bufs[i].len);
		*bytes += bufs[i].len;
	}
	zcrx_release(queue, bufs, (unsigned int)n);

	return more;
}

static void receive(struct zcrx_queue *queue, int fd)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned long long bytes = 0;
	struct zcrx_conn *conn;
	unsigned int len, i;
	int ret;

	EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
	ret = zcrx_conn_add(queue, fd, NULL, &conn);
	if (ret)
		errx(1, "%s", zcrx_error());
	/* Tells the peer to begin: it is steered. */
	if (write(fd, "\n", 1) != 1)
		err(1, "write");
	while (take(queue, digest, &bytes))
		;
	EVP_DigestFinal_ex(digest, sum, &len);
	printf("bytes %llu\nsha256 ", bytes);
	for (i = 0; i < len; i++)
		printf("%02x", sum[i]);
	printf("\n");
	EVP_MD_CTX_free(digest);
}

int main(int argc, char **argv)
{
	struct zcrx_queue *queue;
	char *gone;

	if (argc != 3 && argc != 5)
		errx(1, "usage: client SOCKET IFNAME [ADDRESS PORT]");
	queue = ask_for_queue(argv[1], argv[2]);
	printf("uid %d\nbackend %s\n", (int)getuid(),
	       zcrx_queue_backend(queue));
	if (argc == 5)
		receive(queue, connect_to(argv[3], argv[4]));
	fflush(stdout);
	/* Stays, for whoever wants to kill it. */
	gone = getenv("CLIENT_STAYS");
	if (gone)
		pause();
	if (zcrx_queue_close(queue))
		errx(1, "%s", zcrx_error());

	return 0;
}
