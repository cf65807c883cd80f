/* SPDX-License-Identifier: GPL-2.0-only */
/* A file that appears whole or not at all. */
#ifndef FPRCTL_OUTFILE_H
#define FPRCTL_OUTFILE_H

#include <stddef.h>

#include "fprctl.h"

struct outfile {
	const char *path;	/* "-": stdout */
	char *tmp;
	int fd;
};

/** outfile_check - refuse early what outfile_open() could not replace */
enum fpr_status outfile_check(const char *path);

/** outfile_open - make room for @len bytes; @path: a file, or "-" */
enum fpr_status outfile_open(struct outfile *out, const char *path, size_t len);

/** outfile_commit - write and put in place; @out is closed in any case */
enum fpr_status outfile_commit(struct outfile *out, const void *data, size_t len);

/** outfile_abandon - leave @path as it was */
void outfile_abandon(struct outfile *out);

#endif
