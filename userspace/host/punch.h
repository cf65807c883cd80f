/* SPDX-License-Identifier: GPL-2.0-only */
/* Taking pages out of a file that holds a guest's memory. */
#ifndef FPRCTL_PUNCH_H
#define FPRCTL_PUNCH_H

#include <stdbool.h>
#include <stdint.h>

#include "bitmap_reader.h"
#include "file_data.h"
#include "guest_map.h"

/**
 * struct punch - what is done, and what came of it
 * @memory: the file, opened for writing but for @dry_run
 * @diff: what it must not be done to: pages that this file has data for; its @fd is -1 where
 *	  there is none
 * @map: where in both files the guest's memory is
 * @dry_run: only count
 * @nr_named: out: pages that were named
 * @nr_kept: out: of those, left alone for @diff
 * @nr_empty: out: of those, had no data
 * @nr_punched: out: of those, taken out, or to be
 *
 * All other fields are punch_pages()'s own.
 */
struct punch {
	struct file_data memory;
	struct file_data diff;
	struct guest_map map;
	bool dry_run;
	uint64_t nr_named;
	uint64_t nr_kept;
	uint64_t nr_empty;
	uint64_t nr_punched;

	enum fpr_status status;
	bool check_only;
};

/**
 * punch_check - read all pages and find out whether each has a place
 * @pages: what to take out; read to its end
 *
 * Nothing is changed.
 */
enum fpr_status punch_check(struct punch *punch, struct bitmap_reader *pages);

/**
 * punch_pages - do it, page by page in ascending order
 * @pages: passed punch_check(), and was rewound
 *
 * A page that was taken out reads as zeros.  Whatever ends it half way, a signal that
 * stop_catch() was called for included, only such pages are gone that are named, and it
 * can be done again.
 */
enum fpr_status punch_pages(struct punch *punch, struct bitmap_reader *pages);

#endif
