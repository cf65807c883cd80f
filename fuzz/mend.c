// SPDX-License-Identifier: GPL-2.0-only
/* Makes mutated reports consistent. */
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#include "mend.h"
#include "reference.h"

struct mender {
	unsigned int mend;
	uint64_t tag;
	uint64_t nr_pages;
	uint32_t seed;
	uint32_t nr_chunks;
	uint64_t nr_free;
};

static void mend_header(struct mender *mender, uint8_t *header)
{
	if (mender->mend & MEND_TAG)
		wire_put(header + WIRE_RESPONSE_TAG, 8, mender->tag);
	if (mender->mend & MEND_CHECKSUMS)
		wire_put(header + WIRE_RESPONSE_CRC, 4, crc32(0, header, WIRE_RESPONSE_CRC));
	mender->nr_pages = wire_get(header + WIRE_RESPONSE_NR_PAGES, 8);
	mender->seed = (uint32_t)wire_get(header + WIRE_RESPONSE_CRC, 4);
	mender->nr_chunks = 0;
	mender->nr_free = 0;
}

/* How many pages the payload names, also behind the memory's last one: a lie is consistent. */
static uint32_t free_pages(const struct mender *mender, const uint8_t *record, size_t payload)
{
	static struct reference_chunk chunk;
	unsigned int encoding = (unsigned int)wire_get(record + WIRE_CHUNK_ENCODING, 2);
	uint64_t first_pfn = wire_get(record + WIRE_CHUNK_FIRST_PFN, 8);

	chunk.nr_pages = WIRE_CHUNK_PAGES;
	if (encoding == WIRE_ALL_FREE && first_pfn < mender->nr_pages &&
	    mender->nr_pages - first_pfn < WIRE_CHUNK_PAGES)
		chunk.nr_pages = (uint32_t)(mender->nr_pages - first_pfn);
	reference_payload(&chunk, encoding, record + WIRE_CHUNK_LEN, payload);
	return chunk.nr_free;
}

static void mend_chunk(struct mender *mender, uint8_t *record, size_t payload)
{
	uint64_t first_pfn = wire_get(record + WIRE_CHUNK_FIRST_PFN, 8);
	uint32_t crc;

	if (mender->mend & MEND_PLACES)
		wire_put(record + WIRE_CHUNK_FIRST_PFN, 8, first_pfn / WIRE_CHUNK_PAGES * WIRE_CHUNK_PAGES);
	if (mender->mend & MEND_COUNTS)
		wire_put(record + WIRE_CHUNK_NR_FREE, 4, free_pages(mender, record, payload));
	if (mender->mend & MEND_CHECKSUMS) {
		crc = (uint32_t)crc32(mender->seed, record, WIRE_CHUNK_CRC);
		crc = (uint32_t)crc32(crc, record + WIRE_CHUNK_LEN, (uInt)payload);
		wire_put(record + WIRE_CHUNK_CRC, 4, crc);
	}
	mender->nr_chunks++;
	mender->nr_free += wire_get(record + WIRE_CHUNK_NR_FREE, 4);
}

static void mend_end(const struct mender *mender, uint8_t *record)
{
	if (mender->mend & MEND_COUNTS) {
		wire_put(record + WIRE_END_NR_CHUNKS, 4, mender->nr_chunks);
		wire_put(record + WIRE_END_NR_FREE, 8, mender->nr_free);
	}
	if (mender->mend & MEND_CHECKSUMS)
		wire_put(record + WIRE_END_CRC, 4, crc32(mender->seed, record, WIRE_END_CRC));
}

/* The record at the beginning of @record, if there is one. Returns its length, at least 1. */
static size_t mend_record(struct mender *mender, uint8_t *record, size_t left)
{
	size_t payload;

	if (left >= WIRE_RESPONSE_LEN && !memcmp(record, "FPRR", 4)) {
		mend_header(mender, record);
		return WIRE_RESPONSE_LEN;
	}
	if (left >= WIRE_END_LEN && !memcmp(record, "FPRE", 4)) {
		mend_end(mender, record);
		return WIRE_END_LEN;
	}
	if (left < WIRE_CHUNK_LEN || memcmp(record, "FPRC", 4))
		return 1;
	payload = (size_t)wire_get(record + WIRE_CHUNK_PAYLOAD_LEN, 2);
	if (payload > WIRE_CHUNK_BYTES || payload > left - WIRE_CHUNK_LEN)
		return 1;
	mend_chunk(mender, record, payload);
	return WIRE_CHUNK_LEN + payload;
}

void mend_response(uint8_t *data, size_t len, uint64_t tag, unsigned int mend)
{
	struct mender mender = { .mend = mend, .tag = tag };
	size_t at = 0;

	while (at < len)
		at += mend_record(&mender, data + at, len - at);
}

void mend_requests(uint8_t *data, size_t len)
{
	size_t at = 0;

	while (at + WIRE_REQUEST_LEN <= len) {
		if (memcmp(data + at, "FPRQ", 4)) {
			at++;
			continue;
		}
		wire_put(data + at + WIRE_REQUEST_CRC, 4, crc32(0, data + at, WIRE_REQUEST_CRC));
		at += WIRE_REQUEST_LEN;
	}
}
