// SPDX-License-Identifier: GPL-2.0-only
/* The format of reports once more, for comparison. */
#include <string.h>
#include <zlib.h>

#include "reference.h"

#define VARINT_MAX_BYTES	3

static bool name_page(struct reference_chunk *chunk, uint64_t page)
{
	if (page >= chunk->nr_pages)
		return false;
	chunk->free[page] = true;
	chunk->nr_free++;
	return true;
}

static bool all_pages(struct reference_chunk *chunk, size_t len)
{
	uint32_t page;

	for (page = 0; page < chunk->nr_pages; page++)
		name_page(chunk, page);
	return !len;
}

static bool pages_of_runs(struct reference_chunk *chunk, const uint8_t *payload, size_t len)
{
	uint64_t page = 0, run;
	unsigned int nr_runs = 0, bytes;
	size_t at = 0;

	while (at < len) {
		run = 0;
		for (bytes = 0; ; bytes++) {
			if (at + bytes == len || bytes == VARINT_MAX_BYTES)
				return false;
			run += (uint64_t)(payload[at + bytes] % 128) << (7 * bytes);
			if (payload[at + bytes] < 128)
				break;
		}
		/* A last group of 0 could have been left out. */
		if (bytes && !payload[at + bytes])
			return false;
		if (!run && nr_runs)
			return false;
		if (page + run > chunk->nr_pages)
			return false;
		at += bytes + 1;
		for (; run; run--, page++) {
			if (nr_runs % 2)
				name_page(chunk, page);
		}
		nr_runs++;
	}
	return nr_runs && nr_runs % 2 == 0;
}

static bool pages_of_bitmap(struct reference_chunk *chunk, const uint8_t *payload, size_t len)
{
	uint64_t page;

	if (len != WIRE_CHUNK_BYTES)
		return false;
	for (page = 0; page < WIRE_CHUNK_PAGES; page++) {
		if (payload[page / 8] >> page % 8 & 1 && !name_page(chunk, page))
			return false;
	}
	return true;
}

bool reference_payload(struct reference_chunk *chunk, unsigned int encoding,
		       const uint8_t *payload, size_t len)
{
	memset(chunk->free, 0, sizeof(chunk->free));
	chunk->nr_free = 0;
	switch (encoding) {
	case 1:
		return all_pages(chunk, len);
	case 2:
		return pages_of_runs(chunk, payload, len);
	case 3:
		return pages_of_bitmap(chunk, payload, len);
	}
	return false;
}

void reference_bits(const struct reference_chunk *chunk, uint8_t *bits, uint8_t behind)
{
	uint32_t page;

	memset(bits, behind, WIRE_CHUNK_BYTES);
	for (page = 0; page < chunk->nr_pages; page++) {
		if (chunk->free[page])
			bits[page / 8] |= (uint8_t)(1 << page % 8);
		else
			bits[page / 8] &= (uint8_t)~(1 << page % 8);
	}
}

static bool answers(const struct wire_expect *expect, const uint8_t *header)
{
	return !memcmp(header, "FPRR", 4) && wire_get(header + 4, 2) == 1 &&
	       wire_get(header + 28, 4) == crc32(0, header, 28) &&
	       (expect->any_tag || wire_get(header + 8, 8) == expect->tag);
}

/* The first header that answers, no further than may be skipped. */
static const uint8_t *find_header(const struct wire_expect *expect, const uint8_t *data,
				  size_t len)
{
	size_t at;

	for (at = 0; at <= expect->max_skip && at + WIRE_RESPONSE_LEN <= len; at++) {
		if (answers(expect, data + at))
			return data + at;
	}
	return NULL;
}

/* Returns the chunk's length, 0 if it is cut or wrong. */
static size_t take_chunk(struct reference *reference, const uint8_t *record, size_t len,
			 uint32_t seed)
{
	struct reference_chunk *chunk = &reference->chunk[reference->nr_chunks];
	size_t payload;
	uint32_t crc;

	reference->end = REFERENCE_CUT;
	if (len < WIRE_CHUNK_LEN)
		return 0;
	payload = (size_t)wire_get(record + 6, 2);
	if (payload <= WIRE_CHUNK_BYTES && len < WIRE_CHUNK_LEN + payload)
		return 0;

	reference->end = REFERENCE_WRONG;
	if (payload > WIRE_CHUNK_BYTES)
		return 0;
	crc = (uint32_t)crc32(crc32(seed, record, 20), record + 24, (uInt)payload);
	chunk->first_pfn = wire_get(record + 8, 8);
	if (wire_get(record + 20, 4) != crc || chunk->first_pfn % WIRE_CHUNK_PAGES ||
	    chunk->first_pfn >= reference->nr_pages ||
	    (reference->nr_chunks && chunk->first_pfn <= chunk[-1].first_pfn))
		return 0;
	chunk->nr_pages = WIRE_CHUNK_PAGES;
	if (chunk->first_pfn + chunk->nr_pages > reference->nr_pages)
		chunk->nr_pages = (uint32_t)(reference->nr_pages - chunk->first_pfn);
	if (!reference_payload(chunk, (unsigned int)wire_get(record + 4, 2), record + 24, payload) ||
	    !chunk->nr_free || chunk->nr_free != wire_get(record + 16, 4))
		return 0;
	reference->nr_free += chunk->nr_free;
	reference->nr_chunks++;
	return WIRE_CHUNK_LEN + payload;
}

static bool is_right_end(const struct reference *reference, const uint8_t *record, uint32_t seed)
{
	return wire_get(record + 16, 4) == crc32(seed, record, 16) &&
	       wire_get(record + 4, 4) == reference->nr_chunks &&
	       wire_get(record + 8, 8) == reference->nr_free;
}

static void take_records(struct reference *reference, const uint8_t *record, size_t len,
			 uint32_t seed)
{
	size_t at = 0, chunk;

	for (; ; at += chunk) {
		reference->end = REFERENCE_CUT;
		if (len - at < WIRE_END_LEN || reference->nr_chunks == REFERENCE_MAX_CHUNKS)
			return;
		if (memcmp(record + at, "FPRC", 4))
			break;
		chunk = take_chunk(reference, record + at, len - at, seed);
		if (!chunk)
			return;
	}
	reference->end = REFERENCE_WRONG;
	if (memcmp(record + at, "FPRE", 4) || !is_right_end(reference, record + at, seed))
		return;
	reference->end = REFERENCE_WHOLE;
	reference->length = WIRE_RESPONSE_LEN + at + WIRE_END_LEN;
}

void reference_decode(struct reference *reference, const struct wire_expect *expect,
		      const uint8_t *data, size_t len)
{
	const uint8_t *header = find_header(expect, data, len);

	reference->end = REFERENCE_CUT;
	reference->found = header;
	reference->start = header ? (size_t)(header - data) : 0;
	reference->length = WIRE_RESPONSE_LEN;
	reference->refusal = 0;
	reference->nr_pages = 0;
	reference->nr_free = 0;
	reference->nr_chunks = 0;
	if (!header)
		return;

	reference->refusal = (unsigned int)wire_get(header + 6, 2);
	reference->nr_pages = wire_get(header + 16, 8);
	if (reference->refusal)
		reference->end = REFERENCE_REFUSED;
	else if (wire_get(header + 24, 4) != expect->page_shift ||
		 reference->nr_pages > expect->max_pages)
		reference->end = REFERENCE_WRONG;
	else
		take_records(reference, header + WIRE_RESPONSE_LEN,
			     len - reference->start - WIRE_RESPONSE_LEN,
			     (uint32_t)wire_get(header + 28, 4));
}
