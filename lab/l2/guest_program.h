/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Workloads that are programs which nobody here wrote: l2/programs/NAME starts and drives
 * one of Debian's, and checks its data when it is asked to.
 */
#ifndef LAB_GUEST_PROGRAM_H
#define LAB_GUEST_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest_memory.h"

/*
 * Starts /programs/@name in a guest with @mib MiB of memory, and waits until it is in its steady
 * state; false and errno.
 */
bool program_start(const char *name, size_t mib);

/*
 * Waits until it has checked all its data, adding to @result, whose units are pages' worth of data.
 * Does nothing when no program was started. False and errno if it has ended.
 */
bool program_verify(struct verify_result *result);

/* How many units of work it has done; 0 when no program was started. */
uint64_t program_loops(void);

#endif /* LAB_GUEST_PROGRAM_H */
