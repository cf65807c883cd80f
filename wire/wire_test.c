// SPDX-License-Identifier: GPL-2.0-only
/*
 * The wire format's encoder against its decoder, and the decoder against messages
 * that no encoder of ours would write.  Prints TAP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "wire.h"

#define TAG		0x1122334455667788u
#define PAGE_SHIFT	12
#define MAX_CHUNKS	8
#define MAX_MESSAGE	(WIRE_RESPONSE_LEN + MAX_CHUNKS * WIRE_CHUNK_MAX + WIRE_END_LEN)

struct message {
	size_t len;
	uint8_t data[2 * MAX_MESSAGE];
};

/* What a decoder handed over. */
struct taken {
	unsigned int chunks;
	uint32_t last_nr_pages;
	uint8_t bits[MAX_CHUNKS * WIRE_CHUNK_BYTES];
};

static const struct wire_expect expect = {
	.tag = TAG,
	.page_shift = PAGE_SHIFT,
	.max_pages = MAX_CHUNKS * WIRE_CHUNK_PAGES,
};

static struct wire_decoder decoder;
static struct taken taken;
static int number, failures, failed_line;

#define CHECK(condition)						\
	do {								\
		if (!(condition) && !failed_line)			\
			failed_line = __LINE__;				\
	} while (0)

static int take(void *opaque, uint64_t first_pfn, uint32_t nr_pages, const uint8_t *bits)
{
	struct taken *into = opaque;

	into->chunks++;
	into->last_nr_pages = nr_pages;
	memcpy(into->bits + first_pfn / 8, bits, WIRE_CHUNK_BYTES);
	return 0;
}

static enum wire_status decode_as(const struct wire_expect *as, const uint8_t *data, size_t len)
{
	memset(&taken, 0, sizeof(taken));
	wire_decoder_init(&decoder, as);
	return wire_decode(&decoder, data, len, NULL, take, &taken);
}

static enum wire_status decode(const struct message *message)
{
	return decode_as(&expect, message->data, message->len);
}

static void encode(struct message *message, const uint8_t *bits, uint64_t nr_pages)
{
	struct wire_encoder encoder;
	uint64_t pfn;

	wire_encode_response(&encoder, message->data, TAG, nr_pages, PAGE_SHIFT);
	message->len = WIRE_RESPONSE_LEN;
	for (pfn = 0; pfn < nr_pages; pfn += WIRE_CHUNK_PAGES)
		message->len += wire_encode_chunk(&encoder, message->data + message->len,
						  pfn, bits + pfn / 8);
	wire_encode_end(&encoder, message->data + message->len);
	message->len += WIRE_END_LEN;
}

/* Runs of random lengths around @scale pages. */
static void fill_random(uint8_t *bits, uint32_t nr_pages, unsigned int scale)
{
	uint32_t n, left = 0;
	unsigned int free = 0;

	memset(bits, 0, MAX_CHUNKS * WIRE_CHUNK_BYTES);
	for (n = 0; n < nr_pages; n++) {
		if (!left) {
			left = 1 + (uint32_t)rand() % (2 * scale);
			free = !free;
		}
		left--;
		bits[n / 8] |= (uint8_t)(free << n % 8);
	}
}

static uint8_t bits[MAX_CHUNKS * WIRE_CHUNK_BYTES];
static struct message message, crafted;

static void round_trip(uint32_t nr_pages)
{
	encode(&message, bits, nr_pages);
	CHECK(decode(&message) == WIRE_DONE);
	CHECK(!memcmp(taken.bits, bits, sizeof(bits)));
	CHECK(message.len <= wire_response_max(nr_pages));
	CHECK(decoder.tag == TAG && decoder.nr_pages == nr_pages);
}

static void random_bitmaps(void)
{
	static const unsigned int scales[] = { 1, 2, 7, 64, 1000, 50000 };
	static const uint32_t sizes[] = { 64, 4096, 32704, 32768, 32832, 100032, 262144 };
	unsigned int i, j;

	for (i = 0; i < sizeof(scales) / sizeof(scales[0]); i++) {
		for (j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
			fill_random(bits, sizes[j], scales[i]);
			round_trip(sizes[j]);
		}
	}
}

static void odd_number_of_pages(void)
{
	fill_random(bits, WIRE_CHUNK_PAGES + 13, 3);
	round_trip(WIRE_CHUNK_PAGES + 13);
	CHECK(taken.last_nr_pages == 13);
	/* What the encoder is given behind the last page is not sent. */
	memset(bits, 0xff, sizeof(bits));
	encode(&message, bits, 21);
	CHECK(decode(&message) == WIRE_DONE && decoder.nr_free == 21);
	CHECK(taken.bits[2] == 0x1f && !taken.bits[3]);
}

static void cheap_extremes(void)
{
	memset(bits, 0, sizeof(bits));
	round_trip(MAX_CHUNKS * WIRE_CHUNK_PAGES);
	CHECK(message.len == WIRE_RESPONSE_LEN + WIRE_END_LEN);
	memset(bits, 0xff, sizeof(bits));
	round_trip(MAX_CHUNKS * WIRE_CHUNK_PAGES);
	CHECK(message.len == WIRE_RESPONSE_LEN + MAX_CHUNKS * WIRE_CHUNK_LEN + WIRE_END_LEN);
	/* At worst a bitmap. */
	memset(bits, 0x55, sizeof(bits));
	round_trip(MAX_CHUNKS * WIRE_CHUNK_PAGES);
	CHECK(message.len == wire_response_max(MAX_CHUNKS * WIRE_CHUNK_PAGES));
}

static void small_message(void)
{
	fill_random(bits, 2 * WIRE_CHUNK_PAGES, 3000);
	encode(&message, bits, 2 * WIRE_CHUNK_PAGES);
}

static void cut_anywhere(void)
{
	size_t part, at, used;
	enum wire_status status;

	small_message();
	for (part = 1; part < message.len; part++) {
		memset(&taken, 0, sizeof(taken));
		wire_decoder_init(&decoder, &expect);
		for (at = 0, status = WIRE_MORE; at < message.len; at += used) {
			size_t len = message.len - at < part ? message.len - at : part;

			CHECK(status == WIRE_MORE);
			status = wire_decode(&decoder, message.data + at, len, &used,
					     take, &taken);
			CHECK(used == len);
		}
		CHECK(status == WIRE_DONE && !memcmp(taken.bits, bits, sizeof(bits)));
	}
}

static void truncated(void)
{
	size_t len;

	small_message();
	for (len = 0; len < message.len; len++)
		CHECK(decode_as(&expect, message.data, len) == WIRE_MORE);
}

/*
 * No chunk is handed over that was not sent, and the end is never found right.  A length
 * that grew makes the decoder wait for more, which is no end either.
 */
static void flipped(void)
{
	size_t at;
	int bit;

	small_message();
	for (at = 0; at < message.len; at++) {
		for (bit = 0; bit < 8; bit++) {
			message.data[at] ^= (uint8_t)(1 << bit);
			CHECK(decode(&message) != WIRE_DONE);
			CHECK(!taken.chunks || !memcmp(taken.bits, bits, WIRE_CHUNK_BYTES));
			message.data[at] ^= (uint8_t)(1 << bit);
		}
	}
	CHECK(decode(&message) == WIRE_DONE);
}

static void trailing_data(void)
{
	size_t used;

	small_message();
	wire_decoder_init(&decoder, &expect);
	CHECK(wire_decode(&decoder, message.data, sizeof(message.data), &used, take,
			  &taken) == WIRE_DONE);
	CHECK(used == message.len);
	CHECK(wire_decode(&decoder, message.data, 100, &used, take, &taken) == WIRE_DONE);
	CHECK(!used);
}

static void errors_stay(void)
{
	size_t used;

	small_message();
	message.data[WIRE_RESPONSE_LEN] ^= 1;
	CHECK(decode(&message) == WIRE_GARBAGE);
	CHECK(wire_decode(&decoder, message.data, 100, &used, take, &taken) == WIRE_GARBAGE);
	CHECK(!used);
}

static void too_many_pages(void)
{
	struct wire_expect few = expect;

	small_message();
	few.max_pages = 2 * WIRE_CHUNK_PAGES - 1;
	CHECK(decode_as(&few, message.data, message.len) == WIRE_TOO_MANY_PAGES);
	few.max_pages++;
	CHECK(decode_as(&few, message.data, message.len) == WIRE_DONE);
}

static void other_page_size(void)
{
	struct wire_expect other = expect;

	small_message();
	other.page_shift = 16;
	CHECK(decode_as(&other, message.data, message.len) == WIRE_OTHER_PAGE_SIZE);
}

static void other_tag(void)
{
	struct wire_expect other = expect;

	small_message();
	other.tag++;
	CHECK(decode_as(&other, message.data, message.len) == WIRE_OTHER_TAG);
	other.any_tag = true;
	CHECK(decode_as(&other, message.data, message.len) == WIRE_DONE);
	CHECK(decoder.tag == TAG);
}

/* Crafted messages: right checksums over wrong content. */

static uint32_t seed;

static void craft_begin(uint64_t nr_pages)
{
	struct wire_encoder encoder;

	wire_encode_response(&encoder, crafted.data, TAG, nr_pages, PAGE_SHIFT);
	crafted.len = WIRE_RESPONSE_LEN;
	seed = encoder.seed;
}

static void craft_chunk(uint64_t first_pfn, unsigned int encoding, const void *payload,
			size_t len, uint32_t nr_free)
{
	uint8_t *out = crafted.data + crafted.len;
	unsigned long crc;

	wire_put(out, 4, WIRE_MAGIC_CHUNK);
	wire_put(out + WIRE_CHUNK_ENCODING, 2, encoding);
	wire_put(out + WIRE_CHUNK_PAYLOAD_LEN, 2, len);
	wire_put(out + WIRE_CHUNK_FIRST_PFN, 8, first_pfn);
	wire_put(out + WIRE_CHUNK_NR_FREE, 4, nr_free);
	crc = crc32(seed, out, WIRE_CHUNK_CRC);
	if (len) {
		memcpy(out + WIRE_CHUNK_LEN, payload, len);
		crc = crc32(crc, payload, (uInt)len);
	}
	wire_put(out + WIRE_CHUNK_CRC, 4, crc);
	crafted.len += WIRE_CHUNK_LEN + len;
}

static enum wire_status craft_end(uint32_t nr_chunks, uint64_t nr_free)
{
	const struct wire_encoder encoder = {
		.nr_chunks = nr_chunks,
		.nr_free = nr_free,
		.seed = seed,
	};

	wire_encode_end(&encoder, crafted.data + crafted.len);
	crafted.len += WIRE_END_LEN;
	return decode(&crafted);
}

static enum wire_status one_chunk(uint64_t nr_pages, unsigned int encoding,
				  const void *payload, size_t len, uint32_t nr_free)
{
	craft_begin(nr_pages);
	craft_chunk(0, encoding, payload, len, nr_free);
	return craft_end(1, nr_free);
}

static enum wire_status two_chunks(uint64_t first, uint64_t second)
{
	craft_begin(4 * WIRE_CHUNK_PAGES);
	craft_chunk(first, WIRE_ALL_FREE, NULL, 0, WIRE_CHUNK_PAGES);
	craft_chunk(second, WIRE_ALL_FREE, NULL, 0, WIRE_CHUNK_PAGES);
	return craft_end(2, 2 * WIRE_CHUNK_PAGES);
}

static void misplaced(void)
{
	const uint64_t chunk = WIRE_CHUNK_PAGES;

	CHECK(two_chunks(0, chunk) == WIRE_DONE);
	CHECK(two_chunks(0, 3 * chunk) == WIRE_DONE);
	CHECK(two_chunks(chunk, 0) == WIRE_MISPLACED);
	CHECK(two_chunks(chunk, chunk) == WIRE_MISPLACED);
	CHECK(two_chunks(0, chunk + 64) == WIRE_MISPLACED);
	CHECK(two_chunks(0, 4 * chunk) == WIRE_MISPLACED);
	CHECK(two_chunks(0, -chunk) == WIRE_MISPLACED);
}

static void miscounted(void)
{
	craft_begin(WIRE_CHUNK_PAGES);
	craft_chunk(0, WIRE_ALL_FREE, NULL, 0, WIRE_CHUNK_PAGES);
	CHECK(craft_end(2, WIRE_CHUNK_PAGES) == WIRE_MISCOUNTED);
	craft_begin(WIRE_CHUNK_PAGES);
	craft_chunk(0, WIRE_ALL_FREE, NULL, 0, WIRE_CHUNK_PAGES);
	CHECK(craft_end(1, WIRE_CHUNK_PAGES - 1) == WIRE_MISCOUNTED);
	CHECK(one_chunk(WIRE_CHUNK_PAGES, WIRE_ALL_FREE, NULL, 0, 1) == WIRE_MISCOUNTED);
	CHECK(one_chunk(WIRE_CHUNK_PAGES, WIRE_RUNS, "\1\1", 2, 2) == WIRE_MISCOUNTED);
	/* The end of one response behind the header of another. */
	craft_begin(WIRE_CHUNK_PAGES);
	seed++;
	CHECK(craft_end(0, 0) == WIRE_CHECKSUM);
}

static void malformed(void)
{
	static uint8_t full[WIRE_CHUNK_BYTES];
	const uint32_t nr = WIRE_CHUNK_PAGES;

	CHECK(one_chunk(nr, 0, NULL, 0, nr) == WIRE_MALFORMED);
	CHECK(one_chunk(nr, 4, NULL, 0, nr) == WIRE_MALFORMED);
	CHECK(one_chunk(nr, WIRE_ALL_FREE, "\1", 1, nr) == WIRE_MALFORMED);
	CHECK(one_chunk(nr, WIRE_BITMAP, "\1", 1, 1) == WIRE_MALFORMED);
	/* Runs: none, used alone, an empty one, cut off, not shortest, too long. */
	CHECK(one_chunk(nr, WIRE_RUNS, "\0\1", 2, 1) == WIRE_DONE);
	CHECK(one_chunk(nr, WIRE_RUNS, NULL, 0, 1) == WIRE_MALFORMED);
	CHECK(one_chunk(nr, WIRE_RUNS, "\1", 1, 1) == WIRE_MALFORMED);
	CHECK(one_chunk(nr, WIRE_RUNS, "\1\0", 2, 1) == WIRE_MALFORMED);
	CHECK(one_chunk(nr, WIRE_RUNS, "\1\1\0\1", 4, 2) == WIRE_MALFORMED);
	CHECK(one_chunk(nr, WIRE_RUNS, "\1\x81", 2, 1) == WIRE_MALFORMED);
	CHECK(one_chunk(nr, WIRE_RUNS, "\1\x81\0", 3, 1) == WIRE_MALFORMED);
	CHECK(one_chunk(nr, WIRE_RUNS, "\0\x80\x80\x02", 4, nr) == WIRE_DONE);
	CHECK(one_chunk(nr, WIRE_RUNS, "\0\x81\x80\x02", 4, nr + 1) == WIRE_MALFORMED);
	CHECK(one_chunk(nr, WIRE_RUNS, "\0\xff\xff\xff\x7f", 5, nr) == WIRE_MALFORMED);
	CHECK(one_chunk(nr, WIRE_RUNS, "\0\xff\xff\xff\xff\xff\xff", 7, nr) == WIRE_MALFORMED);
	/* Behind the last page. */
	memset(full, 0xff, sizeof(full));
	CHECK(one_chunk(nr, WIRE_BITMAP, full, sizeof(full), nr) == WIRE_DONE);
	CHECK(one_chunk(nr - 1, WIRE_BITMAP, full, sizeof(full), nr - 1) == WIRE_MALFORMED);
	CHECK(one_chunk(100, WIRE_RUNS, "\143\1", 2, 1) == WIRE_DONE);
	CHECK(one_chunk(100, WIRE_RUNS, "\143\2", 2, 2) == WIRE_MALFORMED);
}

static void payload_too_long(void)
{
	uint8_t *chunk;

	craft_begin(WIRE_CHUNK_PAGES);
	chunk = crafted.data + crafted.len;
	craft_chunk(0, WIRE_ALL_FREE, NULL, 0, WIRE_CHUNK_PAGES);
	wire_put(chunk + WIRE_CHUNK_PAYLOAD_LEN, 2, WIRE_CHUNK_BYTES + 1);
	CHECK(decode(&crafted) == WIRE_MALFORMED);
	wire_put(chunk + WIRE_CHUNK_PAYLOAD_LEN, 2, 0xffff);
	CHECK(decode(&crafted) == WIRE_MALFORMED);
}

static void other_version(void)
{
	small_message();
	wire_put(message.data + WIRE_RESPONSE_VERSION, 2, WIRE_VERSION + 1);
	wire_put(message.data + WIRE_RESPONSE_CRC, 4, crc32(0, message.data, WIRE_RESPONSE_CRC));
	CHECK(decode(&message) == WIRE_OTHER_VERSION);
}

static void refused(void)
{
	wire_encode_refusal(crafted.data, TAG, PAGE_SHIFT, WIRE_REFUSED_CONTENT);
	crafted.len = WIRE_RESPONSE_LEN;
	CHECK(decode(&crafted) == WIRE_REFUSED && decoder.refusal == WIRE_REFUSED_CONTENT);
}

/* What remains of an earlier response, as after a migration, and then ours. */
static void skipped_up_to_a_limit(void)
{
	struct wire_expect patient = expect;
	size_t rest;

	small_message();
	patient.max_skip = MAX_MESSAGE;
	for (rest = 0; rest <= message.len; rest += 7) {
		memcpy(crafted.data, message.data + rest, message.len - rest);
		/* It answered another request. */
		if (!rest) {
			wire_put(crafted.data + WIRE_RESPONSE_TAG, 8, TAG - 1);
			wire_put(crafted.data + WIRE_RESPONSE_CRC, 4,
				 crc32(0, crafted.data, WIRE_RESPONSE_CRC));
		}
		crafted.len = message.len - rest;
		memcpy(crafted.data + crafted.len, message.data, message.len);
		crafted.len += message.len;
		CHECK(decode_as(&patient, crafted.data, crafted.len) == WIRE_DONE);
		CHECK(decoder.skipped == message.len - rest);
		CHECK(decoder.skipped_for == (rest ? WIRE_MORE : WIRE_OTHER_TAG));
		CHECK(!memcmp(taken.bits, bits, sizeof(bits)));

		patient.max_skip = message.len - rest - !!(message.len - rest);
		if (message.len != rest)
			CHECK(decode_as(&patient, crafted.data, crafted.len) < WIRE_MORE);
		patient.max_skip = MAX_MESSAGE;
	}
}

static void endless(void)
{
	struct wire_expect patient = expect;
	enum wire_status status = WIRE_MORE;
	uint64_t total = 0;
	size_t used, i;

	patient.max_skip = 10u << 20;
	wire_decoder_init(&decoder, &patient);
	while (status == WIRE_MORE && total < 2 * patient.max_skip) {
		for (i = 0; i < sizeof(crafted.data); i++)
			crafted.data[i] = (uint8_t)(rand() % 4 ? rand() : 'F');
		status = wire_decode(&decoder, crafted.data, sizeof(crafted.data), &used,
				     take, &taken);
		total += used;
	}
	CHECK(status == WIRE_GARBAGE && decoder.skipped <= patient.max_skip);
	CHECK(total <= patient.max_skip + WIRE_RESPONSE_LEN);
}

static int stop(void *opaque, uint64_t first_pfn, uint32_t nr_pages, const uint8_t *chunk)
{
	(void)opaque, (void)first_pfn, (void)nr_pages, (void)chunk;
	return 1;
}

static void stopped(void)
{
	size_t used;

	small_message();
	wire_decoder_init(&decoder, &expect);
	CHECK(wire_decode(&decoder, message.data, message.len, &used, stop,
			  NULL) == WIRE_STOPPED);
}

static void requests(void)
{
	uint8_t data[3 * WIRE_REQUEST_LEN];
	struct wire_request request;
	size_t used, rest, at;
	int bit;

	/* Behind any part of another one. */
	for (rest = 0; rest < WIRE_REQUEST_LEN; rest++) {
		wire_encode_request(data, 1);
		wire_encode_request(data + rest, TAG);
		wire_encode_request(data + rest + WIRE_REQUEST_LEN, 2);
		wire_request_init(&request);
		CHECK(wire_decode_request(&request, data, sizeof(data), &used) == WIRE_DONE);
		CHECK(used == rest + WIRE_REQUEST_LEN && request.tag == TAG);
		CHECK(wire_decode_request(&request, data + used, WIRE_REQUEST_LEN,
					  &used) == WIRE_DONE);
		CHECK(request.tag == 2);
	}
	wire_encode_request(data, TAG);
	for (at = 0; at < WIRE_REQUEST_LEN; at++) {
		for (bit = 0; bit < 8; bit++) {
			data[at] ^= (uint8_t)(1 << bit);
			wire_request_init(&request);
			CHECK(wire_decode_request(&request, data, WIRE_REQUEST_LEN,
						  &used) == WIRE_MORE);
			data[at] ^= (uint8_t)(1 << bit);
		}
	}
	wire_put(data + WIRE_REQUEST_VERSION, 2, 7);
	wire_put(data + WIRE_REQUEST_CRC, 4, crc32(0, data, WIRE_REQUEST_CRC));
	CHECK(wire_decode_request(&request, data, WIRE_REQUEST_LEN,
				  &used) == WIRE_OTHER_VERSION);
	CHECK(request.tag == TAG);
}

static void texts(void)
{
	int status;

	for (status = WIRE_STOPPED; status <= WIRE_DONE; status++)
		CHECK(strcmp(wire_status_text((enum wire_status)status), "unknown"));
	CHECK(strlen(wire_refusal_text(12345)) > 0);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "random bitmaps come back as they were", random_bitmaps },
	{ "a memory that ends within a chunk, and within a byte", odd_number_of_pages },
	{ "all used and all free cost nearly nothing, the worst a bitmap", cheap_extremes },
	{ "cut anywhere it decodes the same", cut_anywhere },
	{ "truncated at any byte it is not complete", truncated },
	{ "each flipped bit is found", flipped },
	{ "what follows the end is left alone", trailing_data },
	{ "errors stay", errors_stay },
	{ "more pages than the limit are refused", too_many_pages },
	{ "another page size is refused", other_page_size },
	{ "another tag is refused, unless any will do", other_tag },
	{ "descending, overlapping, unaligned and far chunks are refused", misplaced },
	{ "wrong counts are refused", miscounted },
	{ "malformed payloads are refused", malformed },
	{ "a payload that is too long is refused before it comes", payload_too_long },
	{ "another version is refused", other_version },
	{ "a refusal is understood", refused },
	{ "the rest of an earlier response is skipped, up to a limit", skipped_up_to_a_limit },
	{ "endless garbage ends", endless },
	{ "the receiver can stop", stopped },
	{ "requests are found behind anything, and no others", requests },
	{ "every status has a text", texts },
};

#define NR_TESTS	(sizeof(tests) / sizeof(tests[0]))

int main(void)
{
	size_t i;

	printf("1..%zu\n", NR_TESTS);
	for (i = 0; i < NR_TESTS; i++) {
		failed_line = 0;
		tests[i].run();
		if (failed_line)
			printf("# line %d\n", failed_line);
		printf("%sok %d - %s\n", failed_line ? "not " : "", ++number, tests[i].name);
		failures += !!failed_line;
	}
	return !!failures;
}
