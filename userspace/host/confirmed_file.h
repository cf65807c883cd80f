/* SPDX-License-Identifier: GPL-2.0-only */
/* Confirmed pages of a round, kept as a report. */
#ifndef FPRCTL_CONFIRMED_FILE_H
#define FPRCTL_CONFIRMED_FILE_H

#include "bitmap_writer.h"
#include "filter.h"

/**
 * struct confirmed_file - where they go
 * @path: a name that is new, a FIFO or device, or "-"
 *
 * All other fields are confirmed_file_*()'s own.
 */
struct confirmed_file {
	const char *path;
	void *bits;
	size_t len;
	struct bitmap_writer writer;
};

/**
 * confirmed_file_check - refuse early what cannot be written to
 *
 * A file that is there is refused, too: it is of another round, and if this one failed it
 * would be taken for this one's.
 */
enum fpr_status confirmed_file_check(const char *path);

/**
 * confirmed_file_begin - make room
 * @range: with its epoch and size; @confirmed is set
 * @nr_pages: pages that the guest's memory spans
 */
enum fpr_status confirmed_file_begin(struct confirmed_file *file, struct filter_range *range,
				     uint64_t nr_pages);

/** confirmed_file_commit - write what filter_set() confirmed, and put the file in place */
enum fpr_status confirmed_file_commit(struct confirmed_file *file);

/** confirmed_file_end - leave no trace of what was begun and is not in place */
void confirmed_file_end(struct confirmed_file *file);

#endif
