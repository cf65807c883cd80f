/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages that a file tells, or the output of a command. */
#ifndef FPRCTL_SOURCE_FILE_H
#define FPRCTL_SOURCE_FILE_H

#include "bitmap.h"
#include "filter_round.h"
#include "outfile.h"

/**
 * struct source_file - what to read, and how it is to be understood
 * @path: a file, or "-"; NULL if there is a @command
 * @command: of the shell, whose output is read
 * @format: BITMAP_ANY where it is to be looked at
 * @gpa: where a raw bitmap begins
 * @size: bytes of memory, to cut the last word, or 0
 * @timeout_s: how long to wait for it, or 0
 * @confirmed_path: NULL, or where the bitmap of confirmed pages goes, "-" for stdout
 *
 * The rest is the source's own.
 */
struct source_file {
	const char *path;
	const char *command;
	enum bitmap_format format;
	uint64_t gpa;
	uint64_t size;
	uint64_t timeout_s;
	const char *confirmed_path;

	struct report_source source;
	struct bitmap bitmap;
	bool is_read;
	void *confirmed;
	struct outfile out;
};

/**
 * source_file_open - open it, and read what need not be younger than a later call
 * @epoch: in: from the user, or 0; out: what the file says, or 0 if it is read after arming
 *
 * A bitmap that is older than its epoch loses pages.  So a file is taken if it names its
 * epoch, as a report does that was asked for, or if the user does; and if neither does, only
 * what can be read after ARM alone.
 *
 * source_file_release() ends it in any case.
 */
enum fpr_status source_file_open(struct source_file *file, uint64_t *epoch);

void source_file_release(struct source_file *file);

/* Its @opaque is a struct source_file that was opened. */
extern const struct filter_source file_source;

#endif
