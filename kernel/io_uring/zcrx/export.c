// SPDX-License-Identifier: GPL-2.0
/*
 * Files that stand for an ifq
 *
 * Whoever has such a file can receive through the ifq with a ring of its own.
 * The file is a user of the ifq, as a ring is.
 */

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/io_uring/zcrx.h>
#include <linux/uaccess.h>

#include "export.h"
#include "ifq.h"

static int export_release(struct inode *inode, struct file *file)
{
	struct zcrx_ifq *ifq = file->private_data;

	zcrx_ifq_put_user(ifq);
	zcrx_ifq_put(ifq);
	return 0;
}

/* The file has no number for it. */
static void export_show_fdinfo(struct seq_file *m, struct file *file)
{
	zcrx_ifq_show(file->private_data, 0, m);
}

static const struct file_operations export_fops = {
	.owner		= THIS_MODULE,
	.release	= export_release,
	.show_fdinfo	= export_show_fdinfo,
};

/**
 * zcrx_export() - make a file of an ifq
 * @ifq: has a user who does not go meanwhile
 * @arg: of user space, gets the file descriptor
 *
 * Return: 0, -EMFILE, -ENFILE, -ENOMEM, or -EFAULT; then there is no file.
 */
int zcrx_export(struct zcrx_ifq *ifq, struct zcrx_ctrl_export __user *arg)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	zcrx_ifq_get_user(ifq);
	file = anon_inode_getfile("[zcrx]", &export_fops, ifq, 0);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		zcrx_ifq_put_user(ifq);
		zcrx_ifq_put(ifq);
		return PTR_ERR(file);
	}
	if (put_user((u32)fd, &arg->zcrx_fd)) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return 0;
}

/**
 * zcrx_import() - the ifq behind a file
 * @fd: from user space
 *
 * Return: the ifq, of which the caller is a user and has a reference; -EBADF
 * if there is no such file, -EINVAL if it is of another kind.
 */
struct zcrx_ifq *zcrx_import(int fd)
{
	struct file *file = fget(fd);
	struct zcrx_ifq *ifq = ERR_PTR(-EINVAL);

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op == &export_fops) {
		ifq = file->private_data;
		zcrx_ifq_get_user(ifq);
	}
	fput(file);
	return ifq;
}
