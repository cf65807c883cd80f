// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzes wire/wire_*.c: what decodes must decode to what the description of the
 * format says (reference.c), in whatever pieces it comes, and what was encoded to what
 * it was made from.
 */
#include <string.h>
#include <zlib.h>

#include "input.h"
#include "mend.h"
#include "reference.h"

#define MAX_CHUNKS	4	/* that are encoded */

enum what {
	DECODE_RESPONSE,
	DECODE_REQUESTS,
	ENCODE,
	NR_WHATS,
};

/* The chunks that a decoder handed over, compared one by one. */
struct taken {
	const struct reference *reference;
	unsigned int nr_chunks;
};

static struct reference expected;

static int compare_chunk(void *opaque, uint64_t first_pfn, uint32_t nr_pages, const uint8_t *bits)
{
	struct taken *taken = opaque;
	const struct reference_chunk *chunk = &taken->reference->chunk[taken->nr_chunks];
	uint8_t want[WIRE_CHUNK_BYTES];

	MUST(taken->nr_chunks < taken->reference->nr_chunks);
	MUST((uintptr_t)bits % 8 == 0);
	MUST(first_pfn == chunk->first_pfn && nr_pages == chunk->nr_pages);
	reference_bits(chunk, want, 0);
	MUST(!memcmp(bits, want, sizeof(want)));
	taken->nr_chunks++;
	return 0;
}

/* Feeds it in pieces, each in memory of its own, for the sanitizer to see its ends. */
static enum wire_status decode_pieces(struct wire_decoder *decoder, const uint8_t *data, size_t len,
				      uint32_t cuts, size_t *taken_bytes, struct taken *taken)
{
	struct input input = { data, len };
	enum wire_status status = WIRE_MORE;
	uint8_t *piece;
	size_t cut, used;

	*taken_bytes = 0;
	while (input.len && status == WIRE_MORE) {
		cut = input_cut(&cuts, input.len);
		piece = input_copy(&input, &cut);
		status = wire_decode(decoder, piece, cut, &used, compare_chunk, taken);
		MUST(used == cut || (used < cut && status != WIRE_MORE));
		*taken_bytes += used;
		free(piece);
	}
	return status;
}

static enum reference_end end_of(enum wire_status status)
{
	switch (status) {
	case WIRE_MORE:
		return REFERENCE_CUT;
	case WIRE_DONE:
		return REFERENCE_WHOLE;
	case WIRE_REFUSED:
		return REFERENCE_REFUSED;
	default:
		return REFERENCE_WRONG;
	}
}

/* Data without a header is skipped, and an error only when it is more than may be skipped. */
static void check_nothing_found(const struct wire_decoder *decoder, enum wire_status status, size_t len)
{
	switch (status) {
	case WIRE_MORE:
		MUST(len <= decoder->expect.max_skip || len - decoder->expect.max_skip < WIRE_RESPONSE_LEN);
		break;
	case WIRE_GARBAGE:
	case WIRE_OTHER_VERSION:
	case WIRE_CHECKSUM:
	case WIRE_OTHER_TAG:
		MUST(len >= WIRE_RESPONSE_LEN);
		break;
	default:
		MUST(false); /* a status that belongs behind a header */
	}
	MUST(decoder->skipped <= decoder->expect.max_skip);
}

static void decode_once(const struct wire_expect *expect, const uint8_t *data, size_t len, uint32_t cuts)
{
	static struct wire_decoder decoder;
	struct taken taken = { .reference = &expected };
	enum wire_status status;
	size_t used;

	wire_decoder_init(&decoder, expect);
	status = decode_pieces(&decoder, data, len, cuts, &used, &taken);
	if (!expected.found) {
		check_nothing_found(&decoder, status, len);
		return;
	}
	MUST(end_of(status) == expected.end);
	MUST(taken.nr_chunks == expected.nr_chunks && decoder.nr_free == expected.nr_free);
	MUST(decoder.skipped == expected.start);
	if (status == WIRE_MORE)
		return;
	MUST(used - decoder.skipped <= wire_response_max(expect->max_pages));
	/* Errors stay, and nothing more is taken. */
	MUST(wire_decode(&decoder, data, len, &used, compare_chunk, &taken) == status && !used);
	if (status == WIRE_REFUSED)
		MUST(decoder.refusal == expected.refusal && *wire_refusal_text(decoder.refusal));
	MUST(strcmp(wire_status_text(status), "unknown"));
}

/* Encodes what @expected says and checks that it is decoded so. */
static void encode_expected(const struct wire_expect *expect, uint8_t behind)
{
	static uint8_t message[WIRE_RESPONSE_LEN + REFERENCE_MAX_CHUNKS * WIRE_CHUNK_MAX + WIRE_END_LEN];
	static struct wire_decoder decoder;
	struct taken taken = { .reference = &expected };
	uint8_t *bits = malloc(WIRE_CHUNK_BYTES), *out = malloc(WIRE_CHUNK_MAX);
	struct wire_encoder encoder;
	size_t len = WIRE_RESPONSE_LEN, chunk, used;
	unsigned int i;

	MUST(bits && out);
	wire_encode_response(&encoder, message, expect->tag, expected.nr_pages, expect->page_shift);
	for (i = 0; i < expected.nr_chunks; i++) {
		reference_bits(&expected.chunk[i], bits, behind);
		chunk = wire_encode_chunk(&encoder, out, expected.chunk[i].first_pfn, bits);
		MUST(chunk && chunk <= WIRE_CHUNK_MAX);
		memcpy(message + len, out, chunk);
		len += chunk;
	}
	wire_encode_end(&encoder, message + len);
	len += WIRE_END_LEN;
	MUST(len <= wire_response_max(expected.nr_pages));
	/* The encoder leaves runs for a bitmap up to two bytes too early. */
	if (expected.length)
		MUST(len <= expected.length + 2 * (size_t)expected.nr_chunks);

	wire_decoder_init(&decoder, expect);
	MUST(wire_decode(&decoder, message, len, &used, compare_chunk, &taken) == WIRE_DONE);
	MUST(used == len && taken.nr_chunks == expected.nr_chunks);
	free(bits);
	free(out);
}

static void fuzz_response(struct input *input)
{
	uint64_t tag = input_number(input, 1);
	unsigned int mend = (unsigned int)input_number(input, 1);
	uint32_t cuts = (uint32_t)input_number(input, 4);
	unsigned int limits = (unsigned int)input_number(input, 1);
	size_t len = input->len;
	struct wire_expect expect = {
		.tag = tag,
		.any_tag = limits & 1,
		.page_shift = 12,
		.max_pages = limits & 2 ? UINT64_MAX >> 12 : 16 * WIRE_CHUNK_PAGES,
		.max_skip = limits & 4 ? (limits & 8 ? UINT64_MAX : limits) : 0,
	};
	uint8_t *data = input_copy(input, &len);

	mend_response(data, len, tag, mend);
	reference_decode(&expected, &expect, data, len);
	/* It did not look further. */
	if (expected.nr_chunks < REFERENCE_MAX_CHUNKS) {
		decode_once(&expect, data, len, 0);
		decode_once(&expect, data, len, cuts);
		if (expected.end == REFERENCE_WHOLE)
			encode_expected(&expect, 0xff);
	}
	free(data);
}

/* The requests in @data, found by looking at each place. */
static unsigned int find_requests(const uint8_t *data, size_t len, uint64_t *tags, unsigned int max)
{
	unsigned int nr = 0;
	size_t at = 0;

	while (at + WIRE_REQUEST_LEN <= len && nr < max) {
		if (memcmp(data + at, "FPRQ", 4) ||
		    wire_get(data + at + 16, 4) != crc32(0, data + at, 16)) {
			at++;
			continue;
		}
		tags[nr++] = wire_get(data + at + 8, 8);
		at += WIRE_REQUEST_LEN;
	}
	return nr;
}

static void fuzz_requests(struct input *input)
{
	uint32_t cuts = (uint32_t)input_number(input, 4);
	bool mended = input_number(input, 1) & 1;
	uint64_t tags[256];
	struct wire_request request;
	unsigned int nr, seen = 0;
	size_t len = input->len, at, used, cut;
	struct input pieces;
	uint8_t *data = input_copy(input, &len), *piece;

	if (mended)
		mend_requests(data, len);
	nr = find_requests(data, len, tags, 256);
	wire_request_init(&request);
	for (pieces = (struct input) { data, len }; pieces.len && nr < 256; free(piece)) {
		cut = input_cut(&cuts, pieces.len);
		piece = input_copy(&pieces, &cut);
		for (at = 0; at < cut; at += used) {
			if (wire_decode_request(&request, piece + at, cut - at, &used) == WIRE_MORE) {
				MUST(used == cut - at);
				continue;
			}
			MUST(seen < nr && request.tag == tags[seen]);
			seen++;
		}
	}
	MUST(nr == 256 || seen == nr);
	free(data);
}

/* Pages from runs of numbers, or from bits as they are. */
static void invent_chunk(struct reference_chunk *chunk, struct input *input, bool as_runs)
{
	uint64_t run = 0;
	uint32_t page;
	bool is_free = true;

	chunk->nr_free = 0;
	memset(chunk->free, 0, sizeof(chunk->free));
	for (page = 0; page < chunk->nr_pages; page++) {
		if (as_runs && !run--) {
			is_free = !is_free;
			run = input_number(input, 1);
			/* Some are long. */
			run = run < 200 ? run : (run - 199) * 600;
		} else if (!as_runs) {
			if (page % 8 == 0)
				run = input_number(input, 1);
			is_free = run >> page % 8 & 1;
		}
		chunk->free[page] = is_free;
		chunk->nr_free += is_free;
	}
}

static void fuzz_encoder(struct input *input)
{
	unsigned int kind = (unsigned int)input_number(input, 1);
	const struct wire_expect expect = {
		.tag = input_number(input, 8),
		.page_shift = 12,
		.max_pages = UINT64_MAX,
	};
	uint64_t first_pfn;
	struct reference_chunk *chunk;

	memset(&expected, 0, offsetof(struct reference, chunk));
	expected.nr_pages = input_number(input, 4) % (MAX_CHUNKS * WIRE_CHUNK_PAGES + 1);
	for (first_pfn = 0; first_pfn < expected.nr_pages; first_pfn += WIRE_CHUNK_PAGES) {
		chunk = &expected.chunk[expected.nr_chunks];
		chunk->first_pfn = first_pfn;
		chunk->nr_pages = expected.nr_pages - first_pfn < WIRE_CHUNK_PAGES ?
				  (uint32_t)(expected.nr_pages - first_pfn) : WIRE_CHUNK_PAGES;
		invent_chunk(chunk, input, kind >> expected.nr_chunks & 1);
		expected.nr_free += chunk->nr_free;
		/* The encoder leaves the others out, too. */
		expected.nr_chunks += !!chunk->nr_free;
	}
	encode_expected(&expect, kind & 0x80 ? 0xff : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };

	switch (input_number(&input, 1) % NR_WHATS) {
	case DECODE_RESPONSE:
		fuzz_response(&input);
		break;
	case DECODE_REQUESTS:
		fuzz_requests(&input);
		break;
	case ENCODE:
		fuzz_encoder(&input);
		break;
	}
	return 0;
}
