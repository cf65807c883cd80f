/* SPDX-License-Identifier: GPL-2.0-only */
/* A bitmap in either format, read a chunk at a time: what it takes does not grow with it. */
#ifndef FPRCTL_BITMAP_READER_H
#define FPRCTL_BITMAP_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bitmap.h"
#include "report_source.h"
#include "wire.h"

/**
 * struct bitmap_chunk - pages of a bitmap
 * @first: the first one, a multiple of WIRE_CHUNK_PAGES
 * @bits: WIRE_CHUNK_BYTES, of which some bit is set; none behind the bitmap's end
 */
struct bitmap_chunk {
	uint64_t first;
	const uint8_t *bits;
};

/**
 * struct bitmap_reader - a bitmap, half read
 * @source: where it comes from
 * @format: how it is written, never BITMAP_ANY
 * @tag: the epoch that a report is for, else 0
 * @nr_pages: pages that it is about, where @knows_span, else known at the end
 * @knows_span: true of files and reports
 * @file_bytes: its length in the file, as far as it was read
 *
 * All other fields are bitmap_reader_*()'s own.
 */
struct bitmap_reader {
	struct report_source *source;
	enum bitmap_format format;
	uint64_t tag;
	uint64_t nr_pages;
	bool knows_span;
	uint64_t file_bytes;

	off_t begin;		/* where a file began, or -1: it cannot be read again */
	int copy;		/* what was read so far of what cannot, or -1 */
	uint8_t *data;		/* from @at to @len: read and not looked at */
	size_t at;
	size_t len;
	bool ended;
	uint64_t next;		/* raw: the page of the next chunk */
	uint8_t *chunk;		/* raw: the current one */
	struct wire_decoder decoder;
	struct bitmap_chunk found;
};

/**
 * bitmap_reader_open - begin to read
 * @source: from report_open() and the like; the reader ends it
 * @format: BITMAP_ANY: what begins as a report is one, all else is raw
 * @again: bitmap_reader_rewind() will be called
 *
 * The first bytes are read.  What begins neither as a report nor may be a bitmap is refused.
 */
enum fpr_status bitmap_reader_open(struct bitmap_reader *reader, struct report_source *source,
				   enum bitmap_format format, bool again);

/**
 * bitmap_reader_next - the next chunk in which a page is named
 * @chunk: out: valid until the next call; at the end @bits is NULL
 *
 * Only at the end it is known that all of it was right.
 */
enum fpr_status bitmap_reader_next(struct bitmap_reader *reader, struct bitmap_chunk *chunk);

/** bitmap_reader_rewind - begin again; it was read to its end */
enum fpr_status bitmap_reader_rewind(struct bitmap_reader *reader);

/** bitmap_reader_close - end it, whether bitmap_reader_open() succeeded or not */
void bitmap_reader_close(struct bitmap_reader *reader);

#endif
