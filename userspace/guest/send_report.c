// SPDX-License-Identifier: GPL-2.0-only
/* In the guest: a whole response, from reading the free pages to the last byte. */
#include "free_reader.h"
#include "clock.h"
#include "send_report.h"
#include "wire.h"

/* Records are small: they go to the sink many at a time. */
struct buffer {
	const struct sink *sink;
	uint64_t sent;
	size_t len;
	uint8_t *data;
};

static enum fpr_status flush(struct buffer *buffer)
{
	enum fpr_status status = FPR_OK;

	if (buffer->len)
		status = buffer->sink->write(buffer->sink->opaque, buffer->data, buffer->len);
	buffer->sent += buffer->len;
	buffer->len = 0;
	return status;
}

/* Room for any record at @buffer's end. */
static enum fpr_status make_room(struct buffer *buffer)
{
	return SEND_BYTES - buffer->len < WIRE_CHUNK_MAX ? flush(buffer) : FPR_OK;
}

static enum fpr_status send_window(struct buffer *buffer, struct wire_encoder *encoder,
				   uint64_t first_pfn, const uint8_t *bits, size_t len)
{
	enum fpr_status status;
	size_t at;

	for (at = 0; at < len; at += WIRE_CHUNK_BYTES) {
		status = make_room(buffer);
		if (status)
			return status;
		buffer->len += wire_encode_chunk(encoder, buffer->data + buffer->len,
						 first_pfn + at * 8, bits + at);
	}
	return FPR_OK;
}

static enum fpr_status send_windows(struct buffer *buffer, struct wire_encoder *encoder,
				    struct free_reader *reader)
{
	enum fpr_status status;
	const uint8_t *bits;
	uint64_t pfn = 0;
	size_t len;

	for (;;) {
		status = free_reader_next(reader, &bits, &len);
		if (status || !bits)
			return status;
		status = send_window(buffer, encoder, pfn, bits, len);
		if (status)
			return status;
		pfn += len * 8;
	}
}

/* All of a response, with what a report holds in them. */
static enum fpr_status send_records(struct buffer *buffer, struct wire_encoder *encoder,
				    const struct free_source *source, uint64_t tag)
{
	struct free_reader reader;
	enum fpr_status status;

	status = free_reader_start(&reader, source);
	if (status)
		return status;
	wire_encode_response(encoder, buffer->data, tag, source->bytes * 8, source->page_shift);
	buffer->len = WIRE_RESPONSE_LEN;
	status = send_windows(buffer, encoder, &reader);
	free_reader_stop(&reader);
	if (!status)
		status = make_room(buffer);
	if (status)
		return status;

	wire_encode_end(encoder, buffer->data + buffer->len);
	buffer->len += WIRE_END_LEN;
	return flush(buffer);
}

enum fpr_status send_report(const struct free_source *source, uint64_t tag,
			    const struct sink *sink, struct send_stats *stats)
{
	struct buffer buffer = { .sink = sink, .data = sink->buffer };
	struct wire_encoder encoder;
	uint64_t start = clock_us();
	enum fpr_status status;

	status = send_records(&buffer, &encoder, source, tag);
	if (!status)
		*stats = (struct send_stats) {
			.pages = source->bytes * 8,
			.free = encoder.nr_free,
			.bytes = buffer.sent,
			.us = clock_us() - start,
		};
	return status;
}

enum fpr_status send_refusal(const struct free_source *source, uint64_t tag,
			     enum wire_refusal refusal, const struct sink *sink)
{
	uint8_t record[WIRE_RESPONSE_LEN];

	wire_encode_refusal(record, tag, source->page_shift, refusal);
	return sink->write(sink->opaque, record, sizeof(record));
}
