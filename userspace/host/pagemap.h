/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages of a guest that its host never populated. */
#ifndef FPRCTL_PAGEMAP_H
#define FPRCTL_PAGEMAP_H

#include <stdint.h>
#include <sys/types.h>

#include "status.h"
#include "guest_map.h"

/**
 * struct pagemap - what is read, and where
 * @pid: the process
 * @fd: its pagemap
 * @map: checked by guest_map_check()
 */
struct pagemap {
	pid_t pid;
	int fd;
	const struct guest_map *map;
};

enum fpr_status pagemap_open(struct pagemap *pagemap, pid_t pid, const struct guest_map *map);

void pagemap_close(const struct pagemap *pagemap);

/** pagemap_bytes - of a bitmap of the map's span, in whole 64-bit words */
size_t pagemap_bytes(const struct guest_map *map);

/**
 * pagemap_read - find the pages that are populated nowhere, in memory or swap, now
 * @bits: pagemap_bytes() of them, bit n for page n of the map's span
 *
 * Never named are the pages below 1 MiB, which PC firmware maps in other ways.
 */
enum fpr_status pagemap_read(const struct pagemap *pagemap, uint8_t *bits);

#endif
