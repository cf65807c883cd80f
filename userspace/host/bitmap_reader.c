// SPDX-License-Identifier: GPL-2.0-only
/* A bitmap in either format, read a chunk at a time. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bitmap_reader.h"

#define READ_SIZE	((size_t)256 << 10)
#define WORD		sizeof(uint64_t)
#define RAW_MAX		(BITMAP_MAX_PAGES / 8)

static uint32_t page_shift(void)
{
	return (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
}

/* An unnamed file, which is gone when fprctl ends. */
static int open_copy(void)
{
	const char *dir = getenv("TMPDIR");
	int fd = open(dir && *dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		warn("%s: cannot keep a copy in %s", "TMPDIR", dir && *dir ? dir : "/tmp");
	return fd;
}

static enum fpr_status keep(const struct bitmap_reader *reader, const uint8_t *data, size_t len)
{
	ssize_t n;

	if (reader->copy < 0)
		return FPR_OK;
	for (; len; data += n, len -= (size_t)n) {
		n = write(reader->copy, data, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0) {
			warn("%s: the copy of it in TMPDIR", reader->source->name);
			return FPR_ERROR;
		}
	}
	return FPR_OK;
}

/* Read more, behind the data that was not looked at yet; nothing at the end. */
static enum fpr_status fill(struct bitmap_reader *reader)
{
	enum fpr_status status;
	size_t n;

	if (reader->ended)
		return FPR_OK;
	memmove(reader->data, reader->data + reader->at, reader->len - reader->at);
	reader->len -= reader->at;
	reader->at = 0;
	status = report_some(reader->source, reader->data + reader->len,
			     READ_SIZE - reader->len, &n);
	if (status)
		return status;
	reader->file_bytes += n;
	reader->ended = !n;
	status = keep(reader, reader->data + reader->len, n);
	reader->len += n;
	return status;
}

/* Read until there are so many bytes to look at, or to the end. */
static enum fpr_status have(struct bitmap_reader *reader, size_t bytes)
{
	enum fpr_status status = FPR_OK;

	while (!status && !reader->ended && reader->len - reader->at < bytes)
		status = fill(reader);
	return status;
}

static void start_decoder(struct bitmap_reader *reader)
{
	const struct wire_expect expect = {
		.any_tag = true,
		.page_shift = page_shift(),
		.max_pages = BITMAP_MAX_PAGES,
	};

	wire_decoder_init(&reader->decoder, &expect);
}

static bool begins_as_report(const struct bitmap_reader *reader)
{
	return reader->len >= 4 && wire_get(reader->data, 4) == WIRE_MAGIC_RESPONSE;
}

/* The length of a regular file is known from the beginning. */
static void look_at_file(struct bitmap_reader *reader)
{
	struct stat st;

	reader->begin = -1;
	if (fstat(reader->source->fd, &st) || !S_ISREG(st.st_mode))
		return;
	reader->begin = lseek(reader->source->fd, 0, SEEK_CUR);
	if (reader->begin >= 0 && reader->begin < st.st_size) {
		reader->nr_pages = (uint64_t)(st.st_size - reader->begin) * 8;
		reader->knows_span = true;
	}
}

static enum fpr_status refuse(const struct bitmap_reader *reader, enum wire_status status)
{
	const struct wire_decoder *decoder = &reader->decoder;
	const char *name = reader->source->name;

	if (status == WIRE_REFUSED)
		warnx("%s: not a bitmap: its guest refused: %s", name,
		      wire_refusal_text(decoder->refusal));
	else if (status == WIRE_TOO_MANY_PAGES)
		warnx("%s: it says that the memory spans %llu pages: fprctl takes %llu", name,
		      (unsigned long long)decoder->nr_pages,
		      (unsigned long long)BITMAP_MAX_PAGES);
	else
		warnx("%s: not a whole report: %s: give --from raw if it is a bitmap without a header",
		      name, wire_status_text(status));
	return FPR_ERROR;
}

static int take_chunk(void *opaque, uint64_t first_pfn, uint32_t nr_pages, const uint8_t *bits)
{
	struct bitmap_reader *reader = opaque;

	(void)nr_pages;
	reader->found = (struct bitmap_chunk) { .first = first_pfn, .bits = bits };
	return 0;
}

/* No more than one record at a time, in which there is no more than one chunk. */
static enum fpr_status next_record(struct bitmap_reader *reader, enum wire_status *state)
{
	struct wire_decoder *decoder = &reader->decoder;
	size_t part = decoder->need - decoder->have;
	enum fpr_status status = have(reader, 1);

	if (status)
		return status;
	if (part > reader->len - reader->at)
		part = reader->len - reader->at;
	if (!part)
		return refuse(reader, WIRE_MORE);
	*state = wire_decode(decoder, reader->data + reader->at, part, NULL, take_chunk, reader);
	reader->at += part;
	if (decoder->state != WIRE_IN_RESPONSE) {
		reader->tag = decoder->tag;
		reader->nr_pages = decoder->nr_pages;
		reader->knows_span = true;
	}
	return *state < 0 ? refuse(reader, *state) : FPR_OK;
}

static enum fpr_status read_header(struct bitmap_reader *reader)
{
	enum wire_status state = WIRE_MORE;
	enum fpr_status status = FPR_OK;

	start_decoder(reader);
	while (!status && reader->decoder.state == WIRE_IN_RESPONSE)
		status = next_record(reader, &state);
	return status;
}

static enum fpr_status begin(struct bitmap_reader *reader, enum bitmap_format format)
{
	enum fpr_status status = have(reader, 4);

	if (status)
		return status;
	if (format == BITMAP_ANY)
		format = begins_as_report(reader) ? BITMAP_REPORT : BITMAP_RAW;
	reader->format = format;
	if (format == BITMAP_REPORT)
		return read_header(reader);
	reader->chunk = malloc(WIRE_CHUNK_BYTES);
	if (!reader->chunk) {
		warn("buffers");
		return FPR_ERROR;
	}
	return FPR_OK;
}

enum fpr_status bitmap_reader_open(struct bitmap_reader *reader, struct report_source *source,
				   enum bitmap_format format, bool again)
{
	enum fpr_status status;

	*reader = (struct bitmap_reader) { .source = source, .begin = -1, .copy = -1 };
	status = report_begin(source);
	if (status)
		return status;
	look_at_file(reader);
	reader->data = malloc(READ_SIZE);
	if (!reader->data) {
		warn("buffers");
		return FPR_ERROR;
	}
	if (again && reader->begin < 0) {
		reader->copy = open_copy();
		if (reader->copy < 0)
			return FPR_ERROR;
	}
	return begin(reader, format);
}

static enum fpr_status next_of_report(struct bitmap_reader *reader, struct bitmap_chunk *chunk)
{
	enum wire_status state = reader->decoder.status;
	enum fpr_status status = FPR_OK;

	reader->found.bits = NULL;
	while (!status && state == WIRE_MORE && !reader->found.bits)
		status = next_record(reader, &state);
	*chunk = reader->found;
	if (status || chunk->bits)
		return status;
	status = have(reader, 1);
	if (!status && reader->at < reader->len) {
		warnx("%s: it goes on behind the end of its report: give one report",
		      reader->source->name);
		status = FPR_ERROR;
	}
	return status;
}

static enum fpr_status end_of_raw(struct bitmap_reader *reader)
{
	const char *name = reader->source->name;

	if (!reader->file_bytes) {
		warnx("%s: empty: a bitmap has one bit for each page", name);
		return FPR_ERROR;
	}
	if (reader->file_bytes % WORD) {
		warnx("%s: %llu bytes: a bitmap is whole 64-bit words, a multiple of %zu bytes",
		      name, (unsigned long long)reader->file_bytes, WORD);
		return FPR_ERROR;
	}
	reader->nr_pages = reader->file_bytes * 8;
	return FPR_OK;
}

static bool names_nothing(const uint8_t *bits)
{
	return !bits[0] && !memcmp(bits, bits + 1, WIRE_CHUNK_BYTES - 1);
}

/* The next chunk, which may name no page; @len: out: 0 at the end. */
static enum fpr_status copy_chunk(struct bitmap_reader *reader, size_t *len)
{
	enum fpr_status status = have(reader, WIRE_CHUNK_BYTES);

	if (!status && reader->file_bytes > RAW_MAX) {
		warnx("%s: longer than %llu MiB: hand it over in parts with --gpa",
		      reader->source->name, (unsigned long long)RAW_MAX >> 20);
		status = FPR_ERROR;
	}
	if (status)
		return status;
	*len = reader->len - reader->at;
	if (*len > WIRE_CHUNK_BYTES)
		*len = WIRE_CHUNK_BYTES;
	memcpy(reader->chunk, reader->data + reader->at, *len);
	memset(reader->chunk + *len, 0, WIRE_CHUNK_BYTES - *len);
	reader->at += *len;
	return FPR_OK;
}

static enum fpr_status next_of_raw(struct bitmap_reader *reader, struct bitmap_chunk *chunk)
{
	enum fpr_status status;
	size_t len;

	do {
		status = copy_chunk(reader, &len);
		if (!status && !len)
			status = end_of_raw(reader);
		if (status || !len) {
			chunk->bits = NULL;
			return status;
		}
		*chunk = (struct bitmap_chunk) { .first = reader->next, .bits = reader->chunk };
		reader->next += WIRE_CHUNK_PAGES;
	} while (names_nothing(reader->chunk));
	return FPR_OK;
}

enum fpr_status bitmap_reader_next(struct bitmap_reader *reader, struct bitmap_chunk *chunk)
{
	return reader->format == BITMAP_REPORT ? next_of_report(reader, chunk) :
						 next_of_raw(reader, chunk);
}

enum fpr_status bitmap_reader_rewind(struct bitmap_reader *reader)
{
	off_t to = reader->begin;

	if (reader->copy >= 0) {
		/* From now on the copy is the source. */
		report_end(reader->source);
		reader->source->fd = reader->copy;
		reader->copy = -1;
		reader->begin = to = 0;
	}
	if (lseek(reader->source->fd, to, SEEK_SET) < 0) {
		warn("%s: cannot read it again", reader->source->name);
		return FPR_ERROR;
	}
	reader->at = reader->len = 0;
	reader->file_bytes = reader->next = 0;
	reader->ended = false;
	if (reader->format == BITMAP_REPORT)
		start_decoder(reader);
	return FPR_OK;
}

void bitmap_reader_close(struct bitmap_reader *reader)
{
	if (reader->copy >= 0)
		close(reader->copy);
	report_end(reader->source);
	free(reader->data);
	free(reader->chunk);
	reader->data = reader->chunk = NULL;
}
