// SPDX-License-Identifier: GPL-2.0-only
/* Responses, written. */
#include <string.h>
#include <zlib.h>

#include "wire.h"

/* Runs as they are written, as long as they are shorter than the bitmap. */
struct runs {
	uint8_t *out;
	size_t len;
	bool too_long;
};

static void put_response(uint8_t *out, enum wire_refusal status, uint64_t tag,
			 uint64_t nr_pages, uint32_t page_shift)
{
	wire_put(out, 4, WIRE_MAGIC_RESPONSE);
	wire_put(out + WIRE_RESPONSE_VERSION, 2, WIRE_VERSION);
	wire_put(out + WIRE_RESPONSE_STATUS, 2, status);
	wire_put(out + WIRE_RESPONSE_TAG, 8, tag);
	wire_put(out + WIRE_RESPONSE_NR_PAGES, 8, nr_pages);
	wire_put(out + WIRE_RESPONSE_PAGE_SHIFT, 4, page_shift);
	wire_put(out + WIRE_RESPONSE_CRC, 4, crc32(0, out, WIRE_RESPONSE_CRC));
}

void wire_encode_response(struct wire_encoder *encoder, uint8_t *out, uint64_t tag,
			  uint64_t nr_pages, uint32_t page_shift)
{
	put_response(out, WIRE_REFUSED_NOT, tag, nr_pages, page_shift);
	*encoder = (struct wire_encoder) {
		.nr_pages = nr_pages,
		.seed = (uint32_t)wire_get(out + WIRE_RESPONSE_CRC, 4),
	};
}

void wire_encode_refusal(uint8_t *out, uint64_t tag, uint32_t page_shift,
			 enum wire_refusal refusal)
{
	put_response(out, refusal, tag, 0, page_shift);
}

/* The 64 pages from @n on; those from @nr on are not free. */
static uint64_t pages_at(const uint8_t *bits, uint32_t n, uint32_t nr)
{
	uint64_t word = wire_word(bits + n / 8);

	return nr - n < 64 ? word & ((UINT64_C(1) << (nr - n)) - 1) : word;
}

static void put_run(struct runs *runs, uint32_t length)
{
	/* Three bytes at most. */
	if (runs->len + 3 > WIRE_CHUNK_BYTES) {
		runs->too_long = true;
		return;
	}
	for (; length >= 0x80; length >>= 7)
		runs->out[runs->len++] = (uint8_t)(length | 0x80);
	runs->out[runs->len++] = (uint8_t)length;
}

/*
 * Free pages, and edges: pages of which the one before is not of the same kind.  In front
 * of the first page and behind the last one nothing is free.
 */
static void count(const uint8_t *bits, uint32_t nr, uint32_t *free, uint32_t *edges)
{
	uint64_t word, before = 0;
	uint32_t n;

	*free = *edges = 0;
	for (n = 0; n < nr; n += 64) {
		word = pages_at(bits, n, nr);
		/* All as the page before is what there is most of. */
		if (word == 0 - before) {
			*free += (uint32_t)before * 64;
			continue;
		}
		*free += wire_count(word);
		*edges += wire_count(word ^ (word << 1 | before));
		before = word >> 63;
	}
	*edges += (uint32_t)before;
}

/* A run ends at each edge. The used pages behind the last free one are not written. */
static void put_runs(struct runs *runs, const uint8_t *bits, uint32_t nr)
{
	uint64_t word, edges, before = 0;
	uint32_t n, edge, at = 0;

	for (n = 0; n < nr && !runs->too_long; n += 64) {
		word = pages_at(bits, n, nr);
		for (edges = word ^ (word << 1 | before); edges; edges &= edges - 1) {
			edge = n + (uint32_t)__builtin_ctzll(edges);
			put_run(runs, edge - at);
			at = edge;
		}
		before = word >> 63;
	}
	if (before)
		put_run(runs, nr - at);
}

/* A bitmap must not name pages behind the memory's last one. */
static void put_bitmap(uint8_t *out, const uint8_t *bits, uint32_t nr)
{
	memset(out, 0, WIRE_CHUNK_BYTES);
	memcpy(out, bits, nr / 8);
	if (nr % 8)
		out[nr / 8] = (uint8_t)(bits[nr / 8] & ((1u << nr % 8) - 1));
}

size_t wire_encode_chunk(struct wire_encoder *encoder, uint8_t *out, uint64_t first_pfn,
			 const uint8_t *bits)
{
	uint64_t left = encoder->nr_pages - first_pfn;
	uint32_t nr = left < WIRE_CHUNK_PAGES ? (uint32_t)left : WIRE_CHUNK_PAGES;
	struct runs runs = { .out = out + WIRE_CHUNK_LEN };
	enum wire_encoding encoding = WIRE_RUNS;
	uint32_t free, edges, crc;

	count(bits, nr, &free, &edges);
	if (!free)
		return 0;
	if (free == nr) {
		encoding = WIRE_ALL_FREE;
	} else {
		/* A run takes a byte or more: of so many it is known before they are written. */
		runs.too_long = edges >= WIRE_CHUNK_BYTES;
		if (!runs.too_long)
			put_runs(&runs, bits, nr);
		if (runs.too_long) {
			encoding = WIRE_BITMAP;
			put_bitmap(runs.out, bits, nr);
			runs.len = WIRE_CHUNK_BYTES;
		}
	}
	wire_put(out, 4, WIRE_MAGIC_CHUNK);
	wire_put(out + WIRE_CHUNK_ENCODING, 2, encoding);
	wire_put(out + WIRE_CHUNK_PAYLOAD_LEN, 2, runs.len);
	wire_put(out + WIRE_CHUNK_FIRST_PFN, 8, first_pfn);
	wire_put(out + WIRE_CHUNK_NR_FREE, 4, free);
	crc = (uint32_t)crc32(encoder->seed, out, WIRE_CHUNK_CRC);
	crc = (uint32_t)crc32(crc, runs.out, (uInt)runs.len);
	wire_put(out + WIRE_CHUNK_CRC, 4, crc);

	encoder->nr_chunks++;
	encoder->nr_free += free;
	return WIRE_CHUNK_LEN + runs.len;
}

void wire_encode_end(const struct wire_encoder *encoder, uint8_t *out)
{
	wire_put(out, 4, WIRE_MAGIC_END);
	wire_put(out + WIRE_END_NR_CHUNKS, 4, encoder->nr_chunks);
	wire_put(out + WIRE_END_NR_FREE, 8, encoder->nr_free);
	wire_put(out + WIRE_END_CRC, 4, crc32(encoder->seed, out, WIRE_END_CRC));
}
