/* SPDX-License-Identifier: GPL-2.0-only */
/* Two bitmaps, read side by side. */
#ifndef FPRCTL_BITMAP_PAIR_H
#define FPRCTL_BITMAP_PAIR_H

#include <stdbool.h>

#include "bitmap_reader.h"

/**
 * struct bitmap_pair - two bitmaps, half read
 * @reader: both, opened by the caller, who closes them
 * @chunk: what was read of each
 * @taken: @chunk was given away, or none was read yet
 */
struct bitmap_pair {
	struct bitmap_reader *reader[2];
	struct bitmap_chunk chunk[2];
	bool taken[2];
};

/**
 * struct bitmap_pair_chunk - the same pages of both
 * @first: the first one, a multiple of WIRE_CHUNK_PAGES
 * @bits: WIRE_CHUNK_BYTES of each
 */
struct bitmap_pair_chunk {
	uint64_t first;
	const uint8_t *bits[2];
};

/** bitmap_pair_init - begin with the first chunk of both */
void bitmap_pair_init(struct bitmap_pair *pair, struct bitmap_reader *a, struct bitmap_reader *b);

/**
 * bitmap_pair_next - the next chunk in which either names a page
 * @chunk: out: valid until the next call
 * @more: out: false at the end of both
 */
enum fpr_status bitmap_pair_next(struct bitmap_pair *pair, struct bitmap_pair_chunk *chunk,
				 bool *more);

#endif
