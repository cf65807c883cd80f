/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The format of reports once more, for comparison: written from its description in
 * Documentation/protocol.rst, for a message that is there as a whole,
 * page by page and with an array of pages where the real decoder has bits.
 */
#ifndef FUZZ_REFERENCE_H
#define FUZZ_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

/* How a message ends, as far as its receiver acts on it. */
enum reference_end {
	REFERENCE_CUT,		/* more would have to come */
	REFERENCE_WHOLE,
	REFERENCE_REFUSED,
	REFERENCE_WRONG,
};

#define REFERENCE_MAX_CHUNKS	64

/* One chunk; @free has an element for each page. */
struct reference_chunk {
	uint64_t first_pfn;
	uint32_t nr_pages;
	uint32_t nr_free;
	bool free[WIRE_CHUNK_PAGES];
};

/**
 * struct reference - what a message says
 * @found: it has a header that answers the request
 * @start: bytes in front of that header
 * @length: bytes from there to where it was known how it ends
 * @nr_chunks: those that were right, also if it ended wrong; no more than fit are looked at
 */
struct reference {
	enum reference_end end;
	bool found;
	size_t start;
	size_t length;
	unsigned int refusal;
	uint64_t nr_pages;
	uint64_t nr_free;
	unsigned int nr_chunks;
	struct reference_chunk chunk[REFERENCE_MAX_CHUNKS];
};

/* reference_decode - what @data says to a receiver that accepts @expect */
void reference_decode(struct reference *reference, const struct wire_expect *expect,
		      const uint8_t *data, size_t len);

/**
 * reference_payload - the pages that a payload names, of the first @chunk->nr_pages
 *
 * Sets @free and @nr_free. Return: whether it is as described.
 */
bool reference_payload(struct reference_chunk *chunk, unsigned int encoding,
		       const uint8_t *payload, size_t len);

/**
 * reference_bits - a chunk's pages as the decoder hands them over and the encoder takes them
 * @bits: WIRE_CHUNK_BYTES
 * @behind: what the bits behind the last page are: 0 or 0xff
 */
void reference_bits(const struct reference_chunk *chunk, uint8_t *bits, uint8_t behind);

#endif
