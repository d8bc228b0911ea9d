/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IOU_ZCRX_PROVIDER_H
#define IOU_ZCRX_PROVIDER_H

struct memory_provider_ops;

extern const struct memory_provider_ops zcrx_provider_ops;

#endif /* IOU_ZCRX_PROVIDER_H */
