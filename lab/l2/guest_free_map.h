/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A map of the pages that are free in the buddy allocator, left in memory for the host to read.
 */
#ifndef LAB_GUEST_FREE_MAP_H
#define LAB_GUEST_FREE_MAP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Makes the map, and tells in *@address the guest physical address of a page of 512 words: the
 * addresses of the map's pages, in order; 0 is one without a bit. In the map bit n is page frame n.
 * False and errno.
 */
bool free_map(uint64_t *address);

#endif /* LAB_GUEST_FREE_MAP_H */
