// SPDX-License-Identifier: GPL-2.0-only
/* A bitmap of pages from a file, in either of the two formats. */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "bitmap_reader.h"

#define WORD		sizeof(uint64_t)
#define WORD_PAGES	(8 * WORD)

/* Behind BITMAP_ANY, in the order of enum bitmap_format. */
static const char * const format_names[] = { "raw", "report" };

#define NR_FORMATS	(sizeof(format_names) / sizeof(format_names[0]))

const char *bitmap_format_name(enum bitmap_format format)
{
	return format_names[format - BITMAP_RAW];
}

enum fpr_status bitmap_parse_format(const char *option, const char *text,
				    enum bitmap_format *format)
{
	size_t i;

	*format = BITMAP_ANY;
	if (!text)
		return FPR_OK;
	for (i = 0; i < NR_FORMATS; i++) {
		if (!strcmp(text, format_names[i])) {
			*format = BITMAP_RAW + i;
			return FPR_OK;
		}
	}
	warnx("%s %s: give raw or report", option, text);
	return FPR_USAGE;
}

/* Zeroed memory takes none until it is written to, so what is known is asked for at once. */
static enum fpr_status make_room(struct bitmap *bitmap, size_t *room, uint64_t nr_pages)
{
	size_t len = (size_t)((nr_pages + WORD_PAGES - 1) / WORD_PAGES * WORD);
	uint8_t *bits;

	if (!len)
		len = WORD;
	if (bitmap->bits && len <= *room)
		return FPR_OK;
	if (bitmap->bits && len < 2 * *room)
		len = 2 * *room;
	bits = bitmap->bits ? realloc(bitmap->bits, len) : calloc(len, 1);
	if (!bits) {
		warn("a bitmap of %llu pages", (unsigned long long)nr_pages);
		return FPR_ERROR;
	}
	if (bitmap->bits)
		memset(bits + *room, 0, len - *room);
	bitmap->bits = bits;
	*room = len;
	return FPR_OK;
}

static enum fpr_status read_chunks(struct bitmap *bitmap, struct bitmap_reader *reader)
{
	struct bitmap_chunk chunk;
	enum fpr_status status;
	uint64_t end;
	size_t room = 0;

	for (;;) {
		status = bitmap_reader_next(reader, &chunk);
		if (status)
			return status;
		end = chunk.bits ? chunk.first + WIRE_CHUNK_PAGES : reader->nr_pages;
		if (reader->knows_span && end < reader->nr_pages)
			end = reader->nr_pages;
		status = make_room(bitmap, &room, end);
		if (status || !chunk.bits)
			return status;
		memcpy(bitmap->bits + chunk.first / 8, chunk.bits, WIRE_CHUNK_BYTES);
	}
}

enum fpr_status bitmap_read(struct bitmap *bitmap, struct report_source *source,
			    enum bitmap_format format)
{
	struct bitmap_reader reader;
	enum fpr_status status;

	*bitmap = (struct bitmap) { 0 };
	status = bitmap_reader_open(&reader, source, format, false);
	if (!status)
		status = read_chunks(bitmap, &reader);
	bitmap->format = reader.format;
	bitmap->tag = reader.tag;
	bitmap->nr_pages = reader.nr_pages;
	bitmap->len = (size_t)((reader.nr_pages + WORD_PAGES - 1) / WORD_PAGES * WORD);
	bitmap_reader_close(&reader);
	if (status)
		bitmap_release(bitmap);
	return status;
}

void bitmap_release(struct bitmap *bitmap)
{
	free(bitmap->bits);
	bitmap->bits = NULL;
}

enum fpr_status bitmap_cut(struct bitmap *bitmap, uint64_t pages)
{
	uint64_t has = bitmap->len * 8;
	size_t i = (size_t)(pages / 8);

	if (pages > has || has - pages >= WORD_PAGES) {
		warnx("--size: %llu pages, but the bitmap has %llu: only pages of its last 64-bit word can be cut off",
		      (unsigned long long)pages, (unsigned long long)has);
		return FPR_ERROR;
	}
	if (pages % 8)
		bitmap->bits[i++] &= (uint8_t)((1U << pages % 8) - 1);
	memset(bitmap->bits + i, 0, bitmap->len - i);
	bitmap->nr_pages = pages;
	return FPR_OK;
}

uint64_t bitmap_count(const struct bitmap *bitmap)
{
	return wire_count_all(bitmap->bits, bitmap->len);
}
