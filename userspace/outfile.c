// SPDX-License-Identifier: GPL-2.0-only
/* A file that appears whole or not at all. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "outfile.h"

static bool is_stdout(const char *path)
{
	return !strcmp(path, "-");
}

enum fpr_status outfile_check(const char *path)
{
	struct stat st;

	/* A rename would replace a device or a link, not write to it. */
	if (!is_stdout(path) && !lstat(path, &st) && !S_ISREG(st.st_mode)) {
		warnx("%s: not a regular file: give a file to make or replace, or - for stdout",
		      path);
		return FPR_ERROR;
	}
	return FPR_OK;
}

/* The name of a temporary file in the directory of @path. */
static char *temporary_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	int dir_len = slash ? (int)(slash + 1 - path) : 0;
	char *name;

	if (asprintf(&name, "%.*s.%s.XXXXXX", dir_len, path, path + dir_len) < 0)
		err(FPR_ERROR, "%s", path);
	return name;
}

enum fpr_status outfile_open(struct outfile *out, const char *path, size_t len)
{
	int r;

	*out = (struct outfile) { .path = path, .fd = STDOUT_FILENO };
	if (is_stdout(path))
		return FPR_OK;

	out->tmp = temporary_name(path);
	out->fd = mkostemp(out->tmp, O_CLOEXEC);
	if (out->fd < 0) {
		warn("%s: cannot make a file beside it", path);
		free(out->tmp);
		out->tmp = NULL;
		return FPR_ERROR;
	}
	/* A full disk shows now, before anything has been done. */
	r = posix_fallocate(out->fd, 0, (off_t)len);
	if (r && r != EOPNOTSUPP && r != EINVAL) {
		warnx("%s: %s", path, strerror(r));
		outfile_abandon(out);
		return FPR_ERROR;
	}
	return FPR_OK;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

enum fpr_status outfile_commit(struct outfile *out, const void *data, size_t len)
{
	if (write_all(out->fd, data, len) ||
	    (out->tmp && rename(out->tmp, out->path))) {
		warn("%s", out->path);
		outfile_abandon(out);
		return FPR_ERROR;
	}
	if (out->tmp) {
		close(out->fd);
		free(out->tmp);
	}
	return FPR_OK;
}

void outfile_abandon(struct outfile *out)
{
	if (!out->tmp)
		return;
	close(out->fd);
	unlink(out->tmp);
	free(out->tmp);
	out->tmp = NULL;
}
