/* SPDX-License-Identifier: GPL-2.0-only */
/* A bitmap of pages from a file, in either of the two formats. */
#ifndef FPRCTL_BITMAP_H
#define FPRCTL_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"
#include "report_source.h"

/* Options and help of the verbs that read one. */
#define BITMAP_FROM_OPTION						\
	{ OPT_FROM, "from", "raw|report", "the format that is read (default: looked at)" }

#define BITMAP_TIMEOUT_OPTION						\
	{ OPT_TIMEOUT, "timeout", "SECONDS", "how long to wait for all of it (default: no limit)" }

#define BITMAP_FORMATS_HELP							\
"FILE, or - for stdin, is in one of two formats:\n"			\
"  raw      64-bit little-endian words, bit n for page n, as the kernel's\n" \
"           bitmaps\n"							\
"  report   what fprctl report writes; it names its epoch and has checksums\n" \
"Without --from a file that begins as a report does is one, or is refused.\n"

/* The most guest memory that anything here takes a bitmap of, in pages of 4 KiB or larger ones. */
#define BITMAP_MAX_BYTES	(UINT64_C(32) << 40)
#define BITMAP_MAX_PAGES	(BITMAP_MAX_BYTES >> 12)

enum bitmap_format {
	BITMAP_ANY,
	BITMAP_RAW,	/* 64-bit little-endian words */
	BITMAP_REPORT,	/* a response in the wire format */
};

/**
 * struct bitmap - what a file says of its pages
 * @bits: bit n % 8 of byte n / 8 is page n
 * @len: bytes of @bits, whole 64-bit words
 * @nr_pages: pages that it is about, up to 63 fewer than @bits has bits
 * @format: how it was written, never BITMAP_ANY
 * @tag: the epoch that a report is for, else 0
 */
struct bitmap {
	uint8_t *bits;
	size_t len;
	uint64_t nr_pages;
	enum bitmap_format format;
	uint64_t tag;
};

/** bitmap_format_name - as it is written on the command line */
const char *bitmap_format_name(enum bitmap_format format);

/**
 * bitmap_parse_format - the value of an option that names a format
 * @option: for the message
 * @text: NULL: the option was not given, which is BITMAP_ANY
 */
enum fpr_status bitmap_parse_format(const char *option, const char *text,
				    enum bitmap_format *format);

/**
 * bitmap_read - read all of @source
 * @format: BITMAP_ANY: what begins as a report is one, all else is raw
 * @bitmap: out: to be released if it succeeds
 */
enum fpr_status bitmap_read(struct bitmap *bitmap, struct report_source *source,
			    enum bitmap_format format);

void bitmap_release(struct bitmap *bitmap);

/**
 * bitmap_cut - make it end after @pages pages
 *
 * Only pages of its last word may be cut off.  Bits behind them are cleared.
 */
enum fpr_status bitmap_cut(struct bitmap *bitmap, uint64_t pages);

/** bitmap_count - how many pages it names */
uint64_t bitmap_count(const struct bitmap *bitmap);

#endif
