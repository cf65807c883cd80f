// SPDX-License-Identifier: GPL-2.0-only
/* Two bitmaps, read side by side. */
#include "bitmap_pair.h"

static const uint8_t none[WIRE_CHUNK_BYTES];

void bitmap_pair_init(struct bitmap_pair *pair, struct bitmap_reader *a, struct bitmap_reader *b)
{
	*pair = (struct bitmap_pair) { .reader = { a, b }, .taken = { true, true } };
}

static enum fpr_status read_ahead(struct bitmap_pair *pair)
{
	enum fpr_status status = FPR_OK;
	int i;

	for (i = 0; !status && i < 2; i++) {
		if (pair->taken[i])
			status = bitmap_reader_next(pair->reader[i], &pair->chunk[i]);
		pair->taken[i] = false;
	}
	return status;
}

enum fpr_status bitmap_pair_next(struct bitmap_pair *pair, struct bitmap_pair_chunk *chunk,
				 bool *more)
{
	enum fpr_status status = read_ahead(pair);
	int i;

	*chunk = (struct bitmap_pair_chunk) { .first = UINT64_MAX };
	*more = false;
	if (status)
		return status;
	for (i = 0; i < 2; i++) {
		if (pair->chunk[i].bits && pair->chunk[i].first < chunk->first) {
			chunk->first = pair->chunk[i].first;
			*more = true;
		}
	}
	for (i = 0; i < 2; i++) {
		pair->taken[i] = pair->chunk[i].bits && pair->chunk[i].first == chunk->first;
		chunk->bits[i] = pair->taken[i] ? pair->chunk[i].bits : none;
	}
	return FPR_OK;
}
