/* SPDX-License-Identifier: GPL-2.0-only */
/* A file that appears whole or not at all. */
#ifndef FPRCTL_OUTFILE_H
#define FPRCTL_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "patience.h"
#include "status.h"

/**
 * struct outfile - a file that is being written
 * @path: where it appears; "-" or "/dev/stdout": stdout
 * @tmp: the file beside @path that becomes it, or NULL where @path takes bytes as they come
 * @fd: what is written to
 * @patience: with which a reader is waited for
 * @len: bytes written, those that were skipped included
 */
struct outfile {
	const char *path;
	char *tmp;
	int fd;
	struct patience patience;
	uint64_t len;
};

/** outfile_is_stdout - whether @path is stdout, so that results belong on stderr */
bool outfile_is_stdout(const char *path);

/**
 * outfile_check - refuse early what outfile_open() could not write to
 *
 * Taken are regular files, which are replaced, new names, character devices, FIFOs and
 * stdout, but no terminal: what is written is binary.
 */
enum fpr_status outfile_check(const char *path);

/**
 * outfile_open - begin a file
 * @path: passed outfile_check()
 * @len: make room for so many bytes, where that is known; else 0
 * @timeout_s: how long a FIFO or device may take, or 0
 *
 * Until outfile_commit() or outfile_abandon(), signals that end fprctl remove what there
 * is of a regular file, unless the caller has handlers of its own.  There may be only one
 * such file at a time.
 */
enum fpr_status outfile_open(struct outfile *out, const char *path, size_t len,
			     uint64_t timeout_s);

/** outfile_write - write on; @out is closed if that fails */
enum fpr_status outfile_write(struct outfile *out, const void *data, size_t len);

/** outfile_skip - write zeros, which take no room in a regular file; closes as outfile_write() */
enum fpr_status outfile_skip(struct outfile *out, uint64_t len);

/**
 * outfile_commit - write the last bytes and put the file in place
 *
 * A file that is replaced leaves its owner and mode to the new one.  Once this succeeded
 * a crash of the machine finds the new file there.  @out is closed in any case.
 */
enum fpr_status outfile_commit(struct outfile *out, const void *data, size_t len);

/** outfile_abandon - leave @path as it was */
void outfile_abandon(struct outfile *out);

#endif
