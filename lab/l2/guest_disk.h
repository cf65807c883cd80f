/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages that a disk has filled, which is to say its device and not the CPU: half of
 * them are the page cache's, which nobody writes between the end of their last use
 * and the device's write, and half are read past it into memory of our own.  What a
 * page must hold follows from its place on the disk, see fprlab/l1/disk_content.py.
 */
#ifndef LAB_GUEST_DISK_H
#define LAB_GUEST_DISK_H

#include <stdbool.h>
#include <stddef.h>

#include "guest_memory.h"

/* Opens the disk and reads about @npages of it; false and errno on failure. */
bool disk_start(size_t npages);

/* Frees some pages and reads others, which are checked; false and errno. */
bool disk_step(struct verify_result *result);

/* Checks every page that was read and is kept, adding to @result. */
void disk_verify(struct verify_result *result);

#endif /* LAB_GUEST_DISK_H */
