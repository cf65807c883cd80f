/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages that a network device has filled: frames that wait in a socket.  What a frame
 * must hold follows from the number that it begins with, see fprlab/l1/traffic.py.
 */
#ifndef LAB_GUEST_NET_H
#define LAB_GUEST_NET_H

#include <stdbool.h>

#include "guest_memory.h"

/* Begins to receive; false and errno on failure. */
bool net_start(void);

/*
 * Checks every frame that has come, adding to @result as if it were a page.  The
 * frames stay in the kernel's memory, where the device put them, until then.
 */
void net_verify(struct verify_result *result);

#endif /* LAB_GUEST_NET_H */
