/* SPDX-License-Identifier: GPL-2.0-only */
/* What a verb of fprctl bitmap reads. */
#ifndef FPRCTL_BITMAP_INPUT_H
#define FPRCTL_BITMAP_INPUT_H

#include <stdbool.h>

#include "bitmap_reader.h"
#include "cli.h"

/* An operand that is no file. */
#define BITMAP_RANGES		"ranges:"
#define BITMAP_RANGES_FORM	"GPA:SIZE"

#define BITMAP_RANGES_HELP						\
"In place of a FILE, " BITMAP_RANGES BITMAP_RANGES_FORM "[," BITMAP_RANGES_FORM "]... names memory in bytes, as in\n" \
"ranges:0:3G,4G:1G.\n"

/**
 * struct bitmap_input - a file that is read, and where it comes from
 * @reader: to read it with
 */
struct bitmap_input {
	struct report_source source;
	struct bitmap_reader reader;
};

/**
 * bitmap_input_open - begin to read an operand, as the options --from and --timeout have it
 * @operand: a file, "-", or ranges of memory
 * @again: the reader will be rewound
 *
 * bitmap_input_close() ends it in any case.
 */
enum fpr_status bitmap_input_open(struct bitmap_input *input, const char *operand,
				  const struct cli_args *args, bool again);

/**
 * bitmap_input_open_pair - the same for the first two operands
 *
 * bitmap_input_close_pair() ends both in any case.
 */
enum fpr_status bitmap_input_open_pair(struct bitmap_input inputs[2], const struct cli_args *args,
				       bool again);

/**
 * bitmap_input_find_span - let the reader know the bitmap's span
 *
 * A report begins with what is known only at the end of some bitmaps: these are read to
 * their end and rewound.
 */
enum fpr_status bitmap_input_find_span(struct bitmap_input *input);

void bitmap_input_close(struct bitmap_input *input);
void bitmap_input_close_pair(struct bitmap_input inputs[2]);

#endif
