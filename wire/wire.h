/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wire format of free page reports: what guest and host say to each other.
 *
 * Documentation/protocol.rst describes it.  QEMU compiles this
 * and wire_*.c as they are: plain C11 and zlib's crc32(), nothing else of ours,
 * no globals and no allocation.
 */
#ifndef FPR_WIRE_H
#define FPR_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION		1

/* The first four bytes of every record, as a little-endian number. */
#define WIRE_MAGIC_REQUEST	0x51525046u	/* FPRQ */
#define WIRE_MAGIC_RESPONSE	0x52525046u	/* FPRR */
#define WIRE_MAGIC_CHUNK	0x43525046u	/* FPRC */
#define WIRE_MAGIC_END		0x45525046u	/* FPRE */

/* Bytes of the records; a payload follows that of a chunk. */
#define WIRE_REQUEST_LEN	20
#define WIRE_RESPONSE_LEN	32
#define WIRE_CHUNK_LEN		24
#define WIRE_END_LEN		20

#define WIRE_CHUNK_PAGES	32768u
#define WIRE_CHUNK_BYTES	(WIRE_CHUNK_PAGES / 8)
#define WIRE_CHUNK_MAX		(WIRE_CHUNK_LEN + WIRE_CHUNK_BYTES)

/* How a chunk names its free pages. */
enum wire_encoding {
	WIRE_ALL_FREE	= 1,	/* no payload */
	WIRE_RUNS	= 2,	/* lengths of runs, used and free in turn */
	WIRE_BITMAP	= 3,	/* WIRE_CHUNK_BYTES, bit n for page n */
};

/* Why a guest does not report, in the response's status. */
enum wire_refusal {
	WIRE_REFUSED_NOT	= 0,
	WIRE_REFUSED_VERSION	= 1,	/* the request is of another version */
	WIRE_REFUSED_CONTENT	= 2,	/* the guest needs what free pages hold */
	WIRE_REFUSED_SOURCE	= 3,	/* the guest cannot read its free pages */
};

/* What the decoders return; errors are below zero and stay. */
enum wire_status {
	WIRE_MORE	= 0,	/* all data was taken, it is not the end */
	WIRE_DONE	= 1,
	WIRE_GARBAGE	= -1,
	WIRE_OTHER_VERSION = -2,
	WIRE_OTHER_TAG	= -3,
	WIRE_OTHER_PAGE_SIZE = -4,
	WIRE_CHECKSUM	= -5,
	WIRE_TOO_MANY_PAGES = -6,
	WIRE_MISPLACED	= -7,
	WIRE_MALFORMED	= -8,
	WIRE_MISCOUNTED	= -9,
	WIRE_REFUSED	= -10,
	WIRE_STOPPED	= -11,
};

/* wire_status_text - say it; WIRE_MORE is taken as an end that came too early */
const char *wire_status_text(enum wire_status status);

/* wire_refusal_text - why the guest refused, for any number */
const char *wire_refusal_text(unsigned int refusal);

/**
 * struct wire_expect - what the receiver of a response accepts
 * @tag: the tag of its request
 * @any_tag: take whatever tag there is, as in a file
 * @page_shift: log2 of the page size
 * @max_pages: the most pages that the guest's memory may span
 * @max_skip: the most bytes in front of the header: what remains of earlier
 *	responses.  0: data that begins with anything else is an error.
 */
struct wire_expect {
	uint64_t tag;
	bool any_tag;
	uint32_t page_shift;
	uint64_t max_pages;
	uint64_t max_skip;
};

enum wire_decoder_state {
	WIRE_IN_RESPONSE,	/* the header, or what stands in front of it */
	WIRE_IN_RECORD,		/* a chunk or the end, as far as both are alike */
	WIRE_IN_CHUNK,
	WIRE_IN_PAYLOAD,
	WIRE_ENDED,
};

/**
 * struct wire_decoder - a response, half read; about 8 KiB, nothing behind it
 * @expect: from wire_decoder_init()
 * @status: the last one returned
 * @state: what @record holds the beginning of
 * @skipped: bytes in front of the header
 * @skipped_for: why the last header that was skipped did not do, or 0
 * @refusal: an enum wire_refusal, or what a newer guest says, after WIRE_REFUSED
 * @tag: from the header
 * @nr_pages: from the header: pages that the guest's memory spans
 * @next_pfn: where the next chunk may begin
 * @nr_chunks: seen so far
 * @nr_free: pages seen so far
 * @seed: the header's checksum, with which all later ones begin
 * @have: bytes in @record
 * @need: bytes in @record that are needed to go on
 * @record: the current record as it came
 * @bits: the current chunk's bitmap
 */
struct wire_decoder {
	struct wire_expect expect;
	enum wire_status status;
	enum wire_decoder_state state;
	uint64_t skipped;
	enum wire_status skipped_for;
	unsigned int refusal;
	uint64_t tag;
	uint64_t nr_pages;
	uint64_t next_pfn;
	uint32_t nr_chunks;
	uint64_t nr_free;
	uint32_t seed;
	size_t have;
	size_t need;
	uint8_t record[WIRE_CHUNK_MAX];
	_Alignas(8) uint8_t bits[WIRE_CHUNK_BYTES];
};

/**
 * typedef wire_chunk_fn - take one chunk that was found right
 * @first_pfn: its first page, a multiple of WIRE_CHUNK_PAGES
 * @nr_pages: WIRE_CHUNK_PAGES, or what the last chunk of the memory has
 * @bits: WIRE_CHUNK_BYTES, aligned to 8: bit n % 8 of byte n / 8 says that page
 *	@first_pfn + n is free.  Bits from @nr_pages on are clear.
 *
 * Return: other than 0 to stop decoding with WIRE_STOPPED.
 */
typedef int (*wire_chunk_fn)(void *opaque, uint64_t first_pfn, uint32_t nr_pages,
			     const uint8_t *bits);

/* wire_decoder_init - expect a response from its beginning */
void wire_decoder_init(struct wire_decoder *decoder, const struct wire_expect *expect);

/**
 * wire_decode - take the next part of a response
 * @data: any number of bytes, cut anywhere
 * @used: NULL, or out: bytes taken, fewer than @len only if it is over
 * @take: called for each chunk, in ascending order, once its checksum was right
 *
 * Return: WIRE_MORE, WIRE_DONE once the end was right, or an error.
 */
enum wire_status wire_decode(struct wire_decoder *decoder, const void *data, size_t len,
			     size_t *used, wire_chunk_fn take, void *opaque);

/* wire_response_max - bytes of the longest response about @nr_pages pages */
uint64_t wire_response_max(uint64_t nr_pages);

/**
 * struct wire_encoder - a response, half written
 *
 * All its fields are wire_encode_*()'s own.
 */
struct wire_encoder {
	uint64_t nr_pages;
	uint32_t nr_chunks;
	uint64_t nr_free;
	uint32_t seed;
};

/**
 * wire_encode_response - begin a response
 * @out: WIRE_RESPONSE_LEN bytes
 */
void wire_encode_response(struct wire_encoder *encoder, uint8_t *out, uint64_t tag,
			  uint64_t nr_pages, uint32_t page_shift);

/**
 * wire_encode_refusal - a whole response that says why there is no report
 * @out: WIRE_RESPONSE_LEN bytes
 */
void wire_encode_refusal(uint8_t *out, uint64_t tag, uint32_t page_shift,
			 enum wire_refusal refusal);

/**
 * wire_encode_chunk - the next chunk, if anything in it is free
 * @out: WIRE_CHUNK_MAX bytes
 * @first_pfn: above that of the chunk before it, below the number of pages
 * @bits: WIRE_CHUNK_BYTES; those behind the guest's last page are ignored
 *
 * Return: bytes written to @out, 0 if nothing is free.
 */
size_t wire_encode_chunk(struct wire_encoder *encoder, uint8_t *out, uint64_t first_pfn,
			 const uint8_t *bits);

/**
 * wire_encode_end - end a response
 * @out: WIRE_END_LEN bytes
 */
void wire_encode_end(const struct wire_encoder *encoder, uint8_t *out);

/**
 * wire_encode_request - ask for a response
 * @out: WIRE_REQUEST_LEN bytes
 * @tag: comes back in the response
 */
void wire_encode_request(uint8_t *out, uint64_t tag);

/**
 * struct wire_request - a request, half read
 * @tag: out: after WIRE_DONE or WIRE_OTHER_VERSION
 */
struct wire_request {
	uint64_t tag;
	size_t have;
	uint8_t record[WIRE_REQUEST_LEN];
};

/* wire_request_init - forget what was read */
void wire_request_init(struct wire_request *request);

/**
 * wire_decode_request - take what came, up to the end of a request
 * @used: out: bytes taken
 *
 * What is no request is skipped: a new host may follow half a request of the
 * one before it.
 *
 * Return: WIRE_MORE, WIRE_DONE or WIRE_OTHER_VERSION, after which the next
 * request may follow.
 */
enum wire_status wire_decode_request(struct wire_request *request, const void *data,
				     size_t len, size_t *used);

/* Little-endian numbers at any address. */

static inline uint64_t wire_get(const uint8_t *p, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | p[bytes];
	return value;
}

static inline void wire_put(uint8_t *p, unsigned int bytes, uint64_t value)
{
	for (; bytes--; value >>= 8)
		*p++ = (uint8_t)value;
}

/* 64 pages of a bitmap: bit n for page n. One load, where the processor can. */
static inline uint64_t wire_word(const uint8_t *p)
{
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
	       (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

/* How many pages a word names; no call, as the compiler's own is where it may not take popcnt. */
static inline uint32_t wire_count(uint64_t word)
{
	word -= word >> 1 & 0x5555555555555555u;
	word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
	return (uint32_t)(word * 0x0101010101010101u >> 56);
}

/* How many pages @bytes of a bitmap name, whole words; most words of most bitmaps are 0 or full. */
static inline uint64_t wire_count_all(const uint8_t *bits, size_t bytes)
{
	uint64_t word, count = 0;
	size_t i;

	for (i = 0; i < bytes; i += 8) {
		word = wire_word(bits + i);
		if (word == UINT64_MAX)
			count += 64;
		else if (word)
			count += wire_count(word);
	}
	return count;
}

/* Places of the fields, each behind the last one's end. */
enum wire_request_field {
	WIRE_REQUEST_VERSION	= 4,	/* u16 */
	WIRE_REQUEST_RESERVED	= 6,	/* u16, 0 */
	WIRE_REQUEST_TAG	= 8,	/* u64 */
	WIRE_REQUEST_CRC	= 16,	/* u32 */
};

enum wire_response_field {
	WIRE_RESPONSE_VERSION	= 4,	/* u16 */
	WIRE_RESPONSE_STATUS	= 6,	/* u16, an enum wire_refusal */
	WIRE_RESPONSE_TAG	= 8,	/* u64 */
	WIRE_RESPONSE_NR_PAGES	= 16,	/* u64 */
	WIRE_RESPONSE_PAGE_SHIFT = 24,	/* u32 */
	WIRE_RESPONSE_CRC	= 28,	/* u32 */
};

enum wire_chunk_field {
	WIRE_CHUNK_ENCODING	= 4,	/* u16 */
	WIRE_CHUNK_PAYLOAD_LEN	= 6,	/* u16 */
	WIRE_CHUNK_FIRST_PFN	= 8,	/* u64 */
	WIRE_CHUNK_NR_FREE	= 16,	/* u32 */
	WIRE_CHUNK_CRC		= 20,	/* u32, payload included */
};

enum wire_end_field {
	WIRE_END_NR_CHUNKS	= 4,	/* u32 */
	WIRE_END_NR_FREE	= 8,	/* u64 */
	WIRE_END_CRC		= 16,	/* u32 */
};

#endif
