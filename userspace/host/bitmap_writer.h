/* SPDX-License-Identifier: GPL-2.0-only */
/* A bitmap in either format, written a chunk at a time. */
#ifndef FPRCTL_BITMAP_WRITER_H
#define FPRCTL_BITMAP_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitmap.h"
#include "outfile.h"
#include "wire.h"

/**
 * struct bitmap_writer - a bitmap, half written
 * @nr_free: pages that it names so far
 *
 * All other fields are bitmap_writer_*()'s own.
 */
struct bitmap_writer {
	struct outfile out;
	enum bitmap_format format;
	uint64_t nr_pages;
	uint64_t nr_free;
	uint64_t next;		/* raw: the page behind what was written */
	struct wire_encoder encoder;
	uint8_t *data;		/* to be written */
	size_t len;
};

/**
 * bitmap_writer_open - begin to write
 * @path: passed outfile_check()
 * @format: BITMAP_RAW or BITMAP_REPORT
 * @tag: the epoch that a report is for
 * @nr_pages: pages that it is about
 * @timeout_s: how long whoever reads it from a FIFO may take, or 0
 */
enum fpr_status bitmap_writer_open(struct bitmap_writer *writer, const char *path,
				   enum bitmap_format format, uint64_t tag, uint64_t nr_pages,
				   uint64_t timeout_s);

/**
 * bitmap_writer_add - write the next chunk
 * @first: its first page, a multiple of WIRE_CHUNK_PAGES, behind the chunk before
 * @bits: WIRE_CHUNK_BYTES; those behind the last page are ignored
 */
enum fpr_status bitmap_writer_add(struct bitmap_writer *writer, uint64_t first,
				  const uint8_t *bits);

/** bitmap_writer_commit - put it in place */
enum fpr_status bitmap_writer_commit(struct bitmap_writer *writer);

/** bitmap_writer_print - say what was written, on stderr if it went to stdout */
void bitmap_writer_print(const struct bitmap_writer *writer, bool json);

/** bitmap_writer_close - forget it, if it is not in place; to be called in any case */
void bitmap_writer_close(struct bitmap_writer *writer);

#endif
