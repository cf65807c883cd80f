/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads the bitmap of free pages in windows, several at a time. */
#ifndef FPRCTL_FREE_READER_H
#define FPRCTL_FREE_READER_H

#include <liburing.h>
#include <stdbool.h>

#include "free_source.h"

#define FREE_READER_SLOTS	4

/**
 * struct free_reader - windows being read ahead
 * @source: what is read
 * @window: bytes of all windows but the last
 * @nr_windows: how many there are
 * @next: the window that free_reader_next() returns next
 * @submitted: windows whose reading began
 * @ring_works: they are read by io_uring, or else when they are asked for
 * @ring: valid if @ring_works
 * @bits: window n is in slot n % FREE_READER_SLOTS
 * @result: of the slot's read, as io_uring has it
 * @busy: the slot's read has not ended
 */
struct free_reader {
	const struct free_source *source;
	size_t window;
	uint64_t nr_windows;
	uint64_t next;
	uint64_t submitted;
	bool ring_works;
	struct io_uring ring;
	uint8_t *bits[FREE_READER_SLOTS];
	int result[FREE_READER_SLOTS];
	bool busy[FREE_READER_SLOTS];
};

/**
 * free_reader_start - begin to read
 * @source: open
 */
enum fpr_status free_reader_start(struct free_reader *reader,
				  const struct free_source *source);

/**
 * free_reader_next - wait for the next window
 * @bits: out: valid until the next call; NULL behind the last window
 * @len: out: a multiple of WIRE_CHUNK_BYTES, except for the last window
 *
 * Behind @len there is zeroed room up to a multiple of WIRE_CHUNK_BYTES.
 */
enum fpr_status free_reader_next(struct free_reader *reader, const uint8_t **bits,
				 size_t *len);

/* free_reader_stop - wait for what is being read, and release everything */
void free_reader_stop(struct free_reader *reader);

#endif
