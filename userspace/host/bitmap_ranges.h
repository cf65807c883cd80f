/* SPDX-License-Identifier: GPL-2.0-only */
/* Ranges of pages that follow each other in a bitmap. */
#ifndef FPRCTL_BITMAP_RANGES_H
#define FPRCTL_BITMAP_RANGES_H

#include <stdint.h>

/**
 * struct bitmap_ranges - ranges in what was looked at so far
 * @nr: how many
 * @longest: pages of the longest
 * @nr_pages: pages of all
 * @each: called for each with its first page and how many it has, once its end was seen; or NULL
 * @opaque: for @each
 *
 * All other fields are bitmap_ranges_*()'s own.
 */
struct bitmap_ranges {
	uint64_t nr;
	uint64_t longest;
	uint64_t nr_pages;
	void (*each)(void *opaque, uint64_t first, uint64_t nr);
	void *opaque;
	uint64_t next;		/* the page behind what was looked at */
	uint64_t open;		/* pages just in front of @next that are named */
};

/**
 * bitmap_ranges_add - look at a chunk
 * @first: behind the one before; between them nothing is named
 * @bits: WIRE_CHUNK_BYTES
 */
void bitmap_ranges_add(struct bitmap_ranges *ranges, uint64_t first, const uint8_t *bits);

/** bitmap_ranges_end - nothing follows */
void bitmap_ranges_end(struct bitmap_ranges *ranges);

#endif
