/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a sparse file has data, in whole pages. */
#ifndef FPRCTL_FILE_DATA_H
#define FPRCTL_FILE_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

/**
 * struct file_data - a regular file
 * @name: as it was given
 * @fd: its descriptor
 * @size: its length in bytes when it was opened
 *
 * All other fields are file_data_*()'s own.
 */
struct file_data {
	const char *name;
	int fd;
	uint64_t size;
	bool is_data;		/* what is known of the bytes from @from to @to */
	uint64_t from;
	uint64_t to;
};

/** file_data_open - open a regular file; @flags: O_RDONLY or O_RDWR */
enum fpr_status file_data_open(struct file_data *file, const char *name, int flags);

/**
 * file_data_look - whether there is data
 * @at: a multiple of the page size
 * @is_data: out: at least one byte of the page at @at has room on the disk
 * @until: out: how far that is so of all pages from there on; a multiple of the page size
 *
 * Where there is none, it reads as zeros.  A file system that does not know holes has
 * data everywhere.
 */
enum fpr_status file_data_look(struct file_data *file, uint64_t at, bool *is_data,
			       uint64_t *until);

/** file_data_close - close it, if it is open */
void file_data_close(struct file_data *file);

#endif
