/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IOU_ZCRX_PROVIDER_H
#define IOU_ZCRX_PROVIDER_H

#include <linux/types.h>

struct memory_provider_ops;
struct zcrx_ifq;

extern const struct memory_provider_ops zcrx_provider_ops;

void zcrx_provider_resume(struct zcrx_ifq *ifq, u32 level);
void zcrx_provider_auto_resume(struct zcrx_ifq *ifq);

#endif /* IOU_ZCRX_PROVIDER_H */
