// SPDX-License-Identifier: GPL-2.0-or-later
/* Responses, read: from a guest that may send anything. */
#include <string.h>
#include <zlib.h>

#include "wire.h"

const char *wire_status_text(enum wire_status status)
{
	switch (status) {
	case WIRE_MORE:
		return "it ends too early";
	case WIRE_DONE:
		return "it is complete";
	case WIRE_GARBAGE:
		return "it is no report";
	case WIRE_OTHER_VERSION:
		return "it is of another version of the format";
	case WIRE_OTHER_TAG:
		return "it answers another request";
	case WIRE_OTHER_PAGE_SIZE:
		return "it has another page size";
	case WIRE_CHECKSUM:
		return "a checksum is wrong";
	case WIRE_TOO_MANY_PAGES:
		return "it is about more memory than there is";
	case WIRE_MISPLACED:
		return "a chunk is at a wrong place";
	case WIRE_MALFORMED:
		return "a chunk is malformed";
	case WIRE_MISCOUNTED:
		return "a count is wrong";
	case WIRE_REFUSED:
		return "the guest refuses";
	case WIRE_STOPPED:
		return "it was stopped";
	}
	return "unknown";
}

const char *wire_refusal_text(unsigned int refusal)
{
	switch (refusal) {
	case WIRE_REFUSED_NOT:
		return "not refused";
	case WIRE_REFUSED_VERSION:
		return "it has another version of the format";
	case WIRE_REFUSED_CONTENT:
		return "it needs the content of free pages";
	case WIRE_REFUSED_SOURCE:
		return "it cannot read its free pages";
	}
	return "for a reason that only a newer version knows";
}

uint64_t wire_response_max(uint64_t nr_pages)
{
	uint64_t chunks = nr_pages / WIRE_CHUNK_PAGES + !!(nr_pages % WIRE_CHUNK_PAGES);

	return WIRE_RESPONSE_LEN + chunks * WIRE_CHUNK_MAX + WIRE_END_LEN;
}

static void expect_record(struct wire_decoder *d, enum wire_decoder_state state, size_t need)
{
	d->state = state;
	d->need = need;
}

static void next_record(struct wire_decoder *d)
{
	d->have = 0;
	/* A chunk is longer than an end. */
	expect_record(d, WIRE_IN_RECORD, WIRE_END_LEN);
}

void wire_decoder_init(struct wire_decoder *d, const struct wire_expect *expect)
{
	memset(d, 0, sizeof(*d));
	d->expect = *expect;
	expect_record(d, WIRE_IN_RESPONSE, WIRE_RESPONSE_LEN);
}

/*
 * Whether this is a response to our request at all.  Anything else may be what
 * remains of an earlier one.
 */
static enum wire_status is_our_response(const struct wire_decoder *d)
{
	const uint8_t *record = d->record;

	if (wire_get(record, 4) != WIRE_MAGIC_RESPONSE)
		return WIRE_GARBAGE;
	if (wire_get(record + WIRE_RESPONSE_VERSION, 2) != WIRE_VERSION)
		return WIRE_OTHER_VERSION;
	if (wire_get(record + WIRE_RESPONSE_CRC, 4) != crc32(0, record, WIRE_RESPONSE_CRC))
		return WIRE_CHECKSUM;
	if (!d->expect.any_tag && wire_get(record + WIRE_RESPONSE_TAG, 8) != d->expect.tag)
		return WIRE_OTHER_TAG;
	return WIRE_DONE;
}

/* Drop bytes up to where the next header could begin. */
static enum wire_status skip(struct wire_decoder *d, enum wire_status reason)
{
	const uint8_t first = WIRE_MAGIC_RESPONSE & 0xff;
	size_t n = 1;

	while (n < d->have && d->record[n] != first)
		n++;
	if (n > d->expect.max_skip - d->skipped)
		return reason;
	if (reason != WIRE_GARBAGE)
		d->skipped_for = reason;
	d->skipped += n;
	d->have -= n;
	memmove(d->record, d->record + n, d->have);
	return WIRE_MORE;
}

static enum wire_status take_response(struct wire_decoder *d)
{
	enum wire_status status = is_our_response(d);

	if (status != WIRE_DONE)
		return skip(d, status);

	d->refusal = (unsigned int)wire_get(d->record + WIRE_RESPONSE_STATUS, 2);
	if (d->refusal)
		return WIRE_REFUSED;
	if (wire_get(d->record + WIRE_RESPONSE_PAGE_SHIFT, 4) != d->expect.page_shift)
		return WIRE_OTHER_PAGE_SIZE;
	d->nr_pages = wire_get(d->record + WIRE_RESPONSE_NR_PAGES, 8);
	if (d->nr_pages > d->expect.max_pages)
		return WIRE_TOO_MANY_PAGES;
	d->tag = wire_get(d->record + WIRE_RESPONSE_TAG, 8);
	d->seed = (uint32_t)wire_get(d->record + WIRE_RESPONSE_CRC, 4);
	next_record(d);
	return WIRE_MORE;
}

static enum wire_status take_end(struct wire_decoder *d)
{
	if (wire_get(d->record + WIRE_END_CRC, 4) != crc32(d->seed, d->record, WIRE_END_CRC))
		return WIRE_CHECKSUM;
	if (wire_get(d->record + WIRE_END_NR_CHUNKS, 4) != d->nr_chunks ||
	    wire_get(d->record + WIRE_END_NR_FREE, 8) != d->nr_free)
		return WIRE_MISCOUNTED;
	d->state = WIRE_ENDED;
	return WIRE_DONE;
}

static enum wire_status take_record(struct wire_decoder *d)
{
	switch (wire_get(d->record, 4)) {
	case WIRE_MAGIC_END:
		return take_end(d);
	case WIRE_MAGIC_CHUNK:
		expect_record(d, WIRE_IN_CHUNK, WIRE_CHUNK_LEN);
		return WIRE_MORE;
	}
	return WIRE_GARBAGE;
}

/* The chunk's own numbers are not used before its checksum is known to be right. */
static enum wire_status take_chunk(struct wire_decoder *d)
{
	size_t payload = (size_t)wire_get(d->record + WIRE_CHUNK_PAYLOAD_LEN, 2);

	if (payload > WIRE_CHUNK_BYTES)
		return WIRE_MALFORMED;
	expect_record(d, WIRE_IN_PAYLOAD, WIRE_CHUNK_LEN + payload);
	return WIRE_MORE;
}

/* @nr is not 0. */
static void set_bits(uint8_t *bits, uint32_t first, uint32_t nr)
{
	uint32_t last = first + nr - 1, byte = first / 8;
	uint8_t head = (uint8_t)(0xff << first % 8), tail = (uint8_t)(0xff >> (7 - last % 8));

	if (byte == last / 8) {
		bits[byte] |= head & tail;
		return;
	}
	bits[byte++] |= head;
	memset(bits + byte, 0xff, last / 8 - byte);
	bits[last / 8] |= tail;
}

/* Whether no bit from @nr on is set. */
static bool ends_at(const uint8_t *bits, uint32_t nr)
{
	uint32_t n = nr / 8;

	if (nr % 8 && bits[n++] >> nr % 8)
		return false;
	while (n < WIRE_CHUNK_BYTES) {
		if (bits[n++])
			return false;
	}
	return true;
}

/* The next number at *@at, or -1: cut off, too long or not in its shortest form. */
static int32_t get_varint(const uint8_t *payload, size_t len, size_t *at)
{
	uint32_t value = 0;
	unsigned int shift;
	uint8_t byte;

	for (shift = 0; shift <= 14 && *at < len; shift += 7) {
		byte = payload[(*at)++];
		value |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return byte || !shift ? (int32_t)value : -1;
	}
	return -1;
}

/* Used and free in turn; only the first may be 0, and the last one is free. */
static bool decode_runs(uint8_t *bits, uint32_t nr, const uint8_t *payload, size_t len)
{
	uint32_t n = 0;
	bool free = false;
	size_t at = 0;

	while (at < len) {
		bool first = !at;
		int32_t run = get_varint(payload, len, &at);

		if (run < 0 || (!run && !first) || (uint32_t)run > nr - n)
			return false;
		if (free)
			set_bits(bits, n, (uint32_t)run);
		n += (uint32_t)run;
		free = !free;
	}
	return len && !free;
}

/* Bits from @nr on are left clear, or the payload is refused. */
static bool decode_payload(struct wire_decoder *d, uint32_t nr)
{
	const uint8_t *payload = d->record + WIRE_CHUNK_LEN;
	size_t len = d->need - WIRE_CHUNK_LEN;

	memset(d->bits, 0, sizeof(d->bits));
	switch (wire_get(d->record + WIRE_CHUNK_ENCODING, 2)) {
	case WIRE_ALL_FREE:
		set_bits(d->bits, 0, nr);
		return !len;
	case WIRE_RUNS:
		return decode_runs(d->bits, nr, payload, len);
	case WIRE_BITMAP:
		if (len != sizeof(d->bits))
			return false;
		memcpy(d->bits, payload, len);
		return ends_at(d->bits, nr);
	}
	return false;
}

static enum wire_status take_payload(struct wire_decoder *d, wire_chunk_fn take, void *opaque)
{
	uint64_t first_pfn = wire_get(d->record + WIRE_CHUNK_FIRST_PFN, 8);
	uint32_t nr = WIRE_CHUNK_PAGES, nr_free;
	uint32_t crc;

	crc = (uint32_t)crc32(d->seed, d->record, WIRE_CHUNK_CRC);
	crc = (uint32_t)crc32(crc, d->record + WIRE_CHUNK_LEN, (uInt)(d->need - WIRE_CHUNK_LEN));
	if (crc != wire_get(d->record + WIRE_CHUNK_CRC, 4))
		return WIRE_CHECKSUM;
	if (first_pfn % WIRE_CHUNK_PAGES || first_pfn < d->next_pfn || first_pfn >= d->nr_pages)
		return WIRE_MISPLACED;
	if (d->nr_pages - first_pfn < nr)
		nr = (uint32_t)(d->nr_pages - first_pfn);
	if (!decode_payload(d, nr))
		return WIRE_MALFORMED;
	nr_free = (uint32_t)wire_count_all(d->bits, WIRE_CHUNK_BYTES);
	if (!nr_free || nr_free != wire_get(d->record + WIRE_CHUNK_NR_FREE, 4))
		return WIRE_MISCOUNTED;

	d->next_pfn = first_pfn + nr;
	d->nr_chunks++;
	d->nr_free += nr_free;
	if (take(opaque, first_pfn, nr, d->bits))
		return WIRE_STOPPED;
	next_record(d);
	return WIRE_MORE;
}

static enum wire_status advance(struct wire_decoder *d, wire_chunk_fn take, void *opaque)
{
	switch (d->state) {
	case WIRE_IN_RESPONSE:
		return take_response(d);
	case WIRE_IN_RECORD:
		return take_record(d);
	case WIRE_IN_CHUNK:
		return take_chunk(d);
	case WIRE_IN_PAYLOAD:
		return take_payload(d, take, opaque);
	case WIRE_ENDED:
		break;
	}
	return WIRE_DONE;
}

enum wire_status wire_decode(struct wire_decoder *d, const void *data, size_t len,
			     size_t *used, wire_chunk_fn take, void *opaque)
{
	const uint8_t *in = data;
	size_t at = 0, part;

	while (d->status == WIRE_MORE) {
		part = d->need - d->have;
		if (part > len - at)
			part = len - at;
		memcpy(d->record + d->have, in + at, part);
		d->have += part;
		at += part;
		if (d->have < d->need)
			break;
		d->status = advance(d, take, opaque);
	}
	if (used)
		*used = at;
	return d->status;
}
