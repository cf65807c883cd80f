// SPDX-License-Identifier: GPL-2.0-only
/* A bitmap in either format, written a chunk at a time. */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bitmap_writer.h"
#include "result.h"

#define BUFFER_SIZE	((size_t)256 << 10)
#define WORD_BYTES	sizeof(uint64_t)
#define WORD_PAGES	64

static uint64_t raw_bytes(uint64_t nr_pages)
{
	return (nr_pages + WORD_PAGES - 1) / WORD_PAGES * WORD_BYTES;
}

enum fpr_status bitmap_writer_open(struct bitmap_writer *writer, const char *path,
				   enum bitmap_format format, uint64_t tag, uint64_t nr_pages,
				   uint64_t timeout_s)
{
	uint32_t page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	enum fpr_status status;

	*writer = (struct bitmap_writer) { .format = format, .nr_pages = nr_pages };
	writer->data = malloc(BUFFER_SIZE);
	if (!writer->data) {
		warn("buffers");
		return FPR_ERROR;
	}
	status = outfile_open(&writer->out, path, 0, timeout_s);
	if (status || format == BITMAP_RAW)
		return status;
	wire_encode_response(&writer->encoder, writer->data, tag, nr_pages, page_shift);
	writer->len = WIRE_RESPONSE_LEN;
	return FPR_OK;
}

static enum fpr_status flush(struct bitmap_writer *writer)
{
	size_t len = writer->len;

	writer->len = 0;
	return len ? outfile_write(&writer->out, writer->data, len) : FPR_OK;
}

/* Room for any record or chunk behind what is to be written. */
static enum fpr_status make_room(struct bitmap_writer *writer)
{
	return BUFFER_SIZE - writer->len < WIRE_CHUNK_MAX ? flush(writer) : FPR_OK;
}

/* Up to @page nothing is named. */
static enum fpr_status skip_to(struct bitmap_writer *writer, uint64_t page)
{
	enum fpr_status status;

	if (page == writer->next)
		return FPR_OK;
	status = flush(writer);
	if (!status)
		status = outfile_skip(&writer->out, raw_bytes(page) - raw_bytes(writer->next));
	writer->next = page;
	return status;
}

static enum fpr_status add_raw(struct bitmap_writer *writer, uint64_t first, const uint8_t *bits)
{
	uint64_t left = raw_bytes(writer->nr_pages) - first / 8;
	size_t len = left < WIRE_CHUNK_BYTES ? (size_t)left : WIRE_CHUNK_BYTES;
	enum fpr_status status = skip_to(writer, first);

	if (status)
		return status;
	memcpy(writer->data + writer->len, bits, len);
	writer->len += len;
	writer->next = first + len * 8;
	writer->nr_free += wire_count_all(bits, len);
	return FPR_OK;
}

enum fpr_status bitmap_writer_add(struct bitmap_writer *writer, uint64_t first,
				  const uint8_t *bits)
{
	enum fpr_status status = make_room(writer);

	if (status)
		return status;
	if (first >= writer->nr_pages) {
		warnx("%s: what it is made from has grown meanwhile", writer->out.path);
		return FPR_ERROR;
	}
	if (writer->format == BITMAP_RAW)
		return add_raw(writer, first, bits);
	writer->len += wire_encode_chunk(&writer->encoder, writer->data + writer->len, first, bits);
	writer->nr_free = writer->encoder.nr_free;
	return FPR_OK;
}

enum fpr_status bitmap_writer_commit(struct bitmap_writer *writer)
{
	enum fpr_status status = make_room(writer);

	if (!status && writer->format == BITMAP_RAW) {
		status = skip_to(writer, (writer->nr_pages + WORD_PAGES - 1) / WORD_PAGES * WORD_PAGES);
	} else if (!status) {
		wire_encode_end(&writer->encoder, writer->data + writer->len);
		writer->len += WIRE_END_LEN;
	}
	if (!status)
		status = outfile_commit(&writer->out, writer->data, writer->len);
	return status;
}

void bitmap_writer_print(const struct bitmap_writer *writer, bool json)
{
	const struct result results[] = {
		{ "format", "format", .text = bitmap_format_name(writer->format) },
		{ "file_bytes", "file", "bytes", writer->out.len },
		{ "spanned_pages", "memory spans", "pages", writer->nr_pages },
		{ "free_pages", "free", "pages", writer->nr_free },
		{ 0 }
	};

	result_print(outfile_is_stdout(writer->out.path) ? stderr : stdout, results, json);
}

void bitmap_writer_close(struct bitmap_writer *writer)
{
	if (writer->out.tmp)
		outfile_abandon(&writer->out);
	free(writer->data);
	writer->data = NULL;
}
