/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a report of free pages comes from, and when it may be read. */
#ifndef FPRCTL_REPORT_SOURCE_H
#define FPRCTL_REPORT_SOURCE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "status.h"
#include "patience.h"

/**
 * struct report_source - where bytes come from
 * @name: a file, "-", or the command
 * @command: NULL: not a command
 * @fd: -1: opened by report_begin()
 * @timeout_s: set by the caller before report_begin(): how long all of it may take; 0:
 *	as long as it takes
 * @pid: the command's, while it runs, else 0
 * @patience: with which it is waited for
 */
struct report_source {
	const char *name;
	const char *command;
	int fd;
	uint64_t timeout_s;
	pid_t pid;
	struct patience patience;
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

/** report_begin - open it, or start the command; ended by report_end() in any case */
enum fpr_status report_begin(struct report_source *source);

/**
 * report_some - wait for the next bytes and read them
 * @n: out: how many, 0 at the end
 *
 * What a command wrote before it failed is refused: the end is an error then.
 */
enum fpr_status report_some(struct report_source *source, void *data, size_t size, size_t *n);

/** report_end - close it; a command that still runs is ended and not waited for */
void report_end(struct report_source *source);

#endif
