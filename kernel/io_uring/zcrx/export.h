/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IOU_ZCRX_EXPORT_H
#define IOU_ZCRX_EXPORT_H

struct zcrx_ctrl_export;
struct zcrx_ifq;

int zcrx_export(struct zcrx_ifq *ifq, struct zcrx_ctrl_export __user *arg);
struct zcrx_ifq *zcrx_import(int fd);

#endif /* IOU_ZCRX_EXPORT_H */
