/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a report of free pages comes from, and when it may be read. */
#ifndef FPRCTL_REPORT_SOURCE_H
#define FPRCTL_REPORT_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

struct report_source {
	const char *name;	/* a file, "-", or the command */
	const char *command;	/* NULL: not a command */
	int fd;			/* -1: opened by report_read_bytes() */
};

struct report {
	unsigned char *bits;
	size_t len;
};

/**
 * report_open - prepare to read a report that may be of any age
 * @path: a file, or "-"
 */
enum fpr_status report_open(struct report_source *source, const char *path);

/**
 * report_open_fresh - prepare to read a report that must be younger than now
 * @path: a file, or "-"
 *
 * Refuses what can only be older.
 */
enum fpr_status report_open_fresh(struct report_source *source, const char *path);

/** report_exec - prepare to read a report from a shell command not yet run */
void report_exec(struct report_source *source, const char *command);

/**
 * report_check_fresh - refuse a source in which a report is waiting already
 *
 * For a report that must be younger than this call.
 */
enum fpr_status report_check_fresh(const struct report_source *source);

/**
 * report_read_bytes - read all of a source, in whatever format it is
 *
 * What a command wrote before it failed is refused.
 */
enum fpr_status report_read_bytes(struct report_source *source, struct report *report);

/**
 * report_check_words - refuse what is no bitmap in whole 64-bit words
 * @name: of the source, for the message
 */
enum fpr_status report_check_words(const char *name, const struct report *report);

#endif
