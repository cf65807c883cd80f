// SPDX-License-Identifier: GPL-2.0-only
/* A file that appears whole or not at all. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "durable.h"
#include "outfile.h"

#define MODE_BITS	0777
#define MAX_WRITE	((size_t)1 << 30)

static const int ending_signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

#define NR_SIGNALS	(sizeof(ending_signals) / sizeof(ending_signals[0]))

/* What a signal that ends fprctl removes, or NULL. */
static const char *volatile unfinished;

bool outfile_is_stdout(const char *path)
{
	return !strcmp(path, "-") || !strcmp(path, "/dev/stdout");
}

static enum fpr_status refuse_terminal(const char *path)
{
	warnx("%s: is a terminal, and what would be written is binary: give a file or a pipe",
	      path);
	return FPR_ERROR;
}

/* FIFOs are not opened here: closing one again would be the end for its reader. */
static bool is_terminal(const char *path)
{
	struct stat st;
	bool is;
	int fd;

	if (stat(path, &st) || !S_ISCHR(st.st_mode))
		return false;
	fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	is = isatty(fd);
	close(fd);
	return is;
}

/* Whether @path takes bytes as they come, and must not be replaced by a file. */
static bool is_stream(const char *path)
{
	struct stat st;

	return !stat(path, &st) && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode));
}

enum fpr_status outfile_check(const char *path)
{
	struct stat st;

	if (outfile_is_stdout(path))
		return isatty(STDOUT_FILENO) ? refuse_terminal("stdout") : FPR_OK;
	if (is_stream(path))
		return is_terminal(path) ? refuse_terminal(path) : FPR_OK;
	/* A rename would replace a link, not what it leads to. */
	if (!lstat(path, &st) && !S_ISREG(st.st_mode)) {
		warnx("%s: not a regular file: give a file to make or replace, a FIFO, a character device or - for stdout",
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

/* Then the process ends as it would have without this handler. */
static void remove_unfinished(int number)
{
	if (unfinished)
		unlink(unfinished);
	signal(number, SIG_DFL);
	raise(number);
}

/* Signals that are ignored stay so, and handlers that are there already stay. */
static void catch_ends(void)
{
	struct sigaction ours = { .sa_handler = remove_unfinished }, now;
	size_t i;

	for (i = 0; i < NR_SIGNALS; i++) {
		if (!sigaction(ending_signals[i], NULL, &now) && now.sa_handler == SIG_DFL)
			sigaction(ending_signals[i], &ours, NULL);
	}
	/* Without the signal, write() returns the error where the file is larger than is allowed. */
	signal(SIGXFSZ, SIG_IGN);
}

/* No signal comes between making the file and knowing that it is there. */
static int make_temporary(char *name)
{
	sigset_t ends, before;
	size_t i;
	int fd;

	sigemptyset(&ends);
	for (i = 0; i < NR_SIGNALS; i++)
		sigaddset(&ends, ending_signals[i]);
	sigprocmask(SIG_BLOCK, &ends, &before);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0) {
		unfinished = name;
		catch_ends();
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return fd;
}

/* Whoever could read the old file can read the new one; one that is new stays private. */
static int take_over(const struct outfile *out)
{
	struct stat st;

	if (stat(out->path, &st))
		return 0;
	/* Where only root could change the owner, the new file keeps ours. */
	if (fchown(out->fd, st.st_uid, st.st_gid) && errno != EPERM)
		return -1;
	return fchmod(out->fd, st.st_mode & MODE_BITS);
}

static enum fpr_status fail(struct outfile *out)
{
	warn("%s", out->path);
	outfile_abandon(out);
	return FPR_ERROR;
}

static enum fpr_status open_stream(struct outfile *out)
{
	enum fpr_status status = patience_open(&out->patience, out->path, &out->fd);

	if (status) {
		out->fd = STDOUT_FILENO;
		return status;
	}
	/* Without the signal, write() returns the error where the reader has gone. */
	signal(SIGPIPE, SIG_IGN);
	return FPR_OK;
}

enum fpr_status outfile_open(struct outfile *out, const char *path, size_t len,
			     uint64_t timeout_s)
{
	*out = (struct outfile) { .path = path, .fd = STDOUT_FILENO };
	patience_begin(&out->patience, outfile_is_stdout(path) ? "stdout" : path, timeout_s);
	if (outfile_is_stdout(path))
		return FPR_OK;
	if (is_stream(path))
		return open_stream(out);

	out->tmp = temporary_name(path);
	out->fd = make_temporary(out->tmp);
	if (out->fd < 0) {
		warn("%s: cannot make a file beside it", path);
		free(out->tmp);
		out->tmp = NULL;
		return FPR_ERROR;
	}
	/* So a full disk is an error now, before anything has been done. */
	if (len)
		errno = posix_fallocate(out->fd, 0, (off_t)len);
	if (len && errno && errno != EOPNOTSUPP && errno != EINVAL)
		return fail(out);
	return FPR_OK;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len < MAX_WRITE ? len : MAX_WRITE);

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

enum fpr_status outfile_write(struct outfile *out, const void *data, size_t len)
{
	if (out->tmp ? write_all(out->fd, data, len) :
		       patience_write(&out->patience, out->fd, data, len)) {
		if (!errno) {
			outfile_abandon(out);
			return FPR_ERROR;
		}
		return fail(out);
	}
	out->len += len;
	return FPR_OK;
}

enum fpr_status outfile_skip(struct outfile *out, uint64_t len)
{
	static const char zeros[4096];
	enum fpr_status status = FPR_OK;
	uint64_t part;

	if (out->tmp) {
		if (lseek(out->fd, (off_t)len, SEEK_CUR) < 0)
			return fail(out);
		out->len += len;
		return FPR_OK;
	}
	for (; !status && len; len -= part) {
		part = len < sizeof(zeros) ? len : sizeof(zeros);
		status = outfile_write(out, zeros, (size_t)part);
	}
	return status;
}

static enum fpr_status put_in_place(struct outfile *out)
{
	/* What was skipped last is no part of the file yet. */
	if (ftruncate(out->fd, (off_t)out->len) || take_over(out) || fsync(out->fd) ||
	    rename(out->tmp, out->path))
		return fail(out);
	unfinished = NULL;
	close(out->fd);
	free(out->tmp);
	out->tmp = NULL;
	if (durable_name(out->path)) {
		warn("%s: it is in place, but may not be after a crash", out->path);
		return FPR_ERROR;
	}
	return FPR_OK;
}

enum fpr_status outfile_commit(struct outfile *out, const void *data, size_t len)
{
	enum fpr_status status = outfile_write(out, data, len);

	if (status)
		return status;
	if (out->tmp)
		return put_in_place(out);
	if (out->fd != STDOUT_FILENO && close(out->fd)) {
		warn("%s", out->path);
		return FPR_ERROR;
	}
	return FPR_OK;
}

void outfile_abandon(struct outfile *out)
{
	if (out->fd != STDOUT_FILENO)
		close(out->fd);
	out->fd = STDOUT_FILENO;
	if (!out->tmp)
		return;
	unlink(out->tmp);
	unfinished = NULL;
	free(out->tmp);
	out->tmp = NULL;
}
