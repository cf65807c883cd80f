// SPDX-License-Identifier: GPL-2.0-only
/* Where a report of free pages comes from, and when it may be read. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report_source.h"
#include "stop.h"

/*
 * 32 TiB of guest memory with pages of 4 KiB.  A source without an end, like
 * /dev/zero, must not take the machine's memory.
 */
#define REPORT_MAX	((size_t)1 << 30)
#define REPORT_FIRST	((size_t)1 << 16)
#define REPORT_WORD	sizeof(uint64_t)

static bool is_stdin(const char *path)
{
	return !strcmp(path, "-");
}

static enum fpr_status refuse_old(const char *name, const char *why)
{
	warnx("%s: %s, so its report is older than the epoch and would lose pages: use --exec, or arm first and give --epoch",
	      name, why);
	return FPR_ERROR;
}

/* It can be opened, but not read. */
static enum fpr_status check_no_directory(const struct report_source *source)
{
	struct stat st;

	if (fstat(source->fd, &st) || !S_ISDIR(st.st_mode))
		return FPR_OK;
	warnx("%s: a directory: give a file with a bitmap or a report", source->name);
	close(source->fd);
	return FPR_ERROR;
}

static enum fpr_status open_now(struct report_source *source)
{
	if (is_stdin(source->name)) {
		source->fd = STDIN_FILENO;
		return FPR_OK;
	}
	source->fd = open(source->name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (source->fd < 0) {
		warn("%s", source->name);
		return FPR_ERROR;
	}
	return check_no_directory(source);
}

enum fpr_status report_open(struct report_source *source, const char *path)
{
	*source = (struct report_source) { .name = path, .fd = -1 };
	return open_now(source);
}

/*
 * A FIFO with a name, rather than a pipe that /dev/fd shows.  Whoever opens a
 * FIFO to write waits there until it has a reader.
 */
static bool is_named_fifo(const char *path, const struct stat *st)
{
	struct statfs fs;

	return !is_stdin(path) && S_ISFIFO(st->st_mode) &&
	       !statfs(path, &fs) && fs.f_type != PIPEFS_MAGIC;
}

static enum fpr_status check_type_fresh(const char *name, const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return refuse_old(name, "a regular file was written before");
	if (S_ISBLK(st->st_mode))
		return refuse_old(name, "a block device was written before");
	return FPR_OK;
}

enum fpr_status report_open_fresh(struct report_source *source, const char *path)
{
	enum fpr_status status;
	struct stat st;

	*source = (struct report_source) { .name = path, .fd = -1 };
	if (is_stdin(path) ? fstat(STDIN_FILENO, &st) : stat(path, &st)) {
		warn("%s", path);
		return FPR_ERROR;
	}
	status = check_type_fresh(path, &st);
	if (status || is_named_fifo(path, &st))
		return status;
	return open_now(source);
}

void report_exec(struct report_source *source, const char *command)
{
	*source = (struct report_source) {
		.name = command, .command = command, .fd = -1
	};
}

enum fpr_status report_check_fresh(const struct report_source *source)
{
	struct pollfd p = { .fd = source->fd, .events = POLLIN };

	if (source->fd < 0)
		return FPR_OK;
	if (poll(&p, 1, 0) < 0) {
		warn("%s", source->name);
		return FPR_ERROR;
	}
	if (p.revents & POLLIN)
		return refuse_old(source->name, "it could be read before the epoch began");
	return FPR_OK;
}

/* Opens what was left until now: it may have been replaced by a file. */
static enum fpr_status open_late(struct report_source *source)
{
	enum fpr_status status = open_now(source);
	struct stat st;

	if (status)
		return status;
	if (fstat(source->fd, &st)) {
		warn("%s", source->name);
		return FPR_ERROR;
	}
	return check_type_fresh(source->name, &st);
}

static enum fpr_status start_command(struct report_source *source, pid_t *pid)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)source->command, NULL };
	posix_spawn_file_actions_t actions;
	int pipe_fd[2], r;

	if (pipe2(pipe_fd, O_CLOEXEC)) {
		warn("pipe");
		return FPR_ERROR;
	}
	/* Were it ignored, as a caller may have left it, the status would be lost. */
	signal(SIGCHLD, SIG_DFL);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], STDOUT_FILENO);
	r = posix_spawn(pid, "/bin/sh", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipe_fd[1]);
	if (r) {
		close(pipe_fd[0]);
		warnx("/bin/sh: %s", strerror(r));
		return FPR_ERROR;
	}
	source->fd = pipe_fd[0];
	return FPR_OK;
}

static enum fpr_status wait_command(const struct report_source *source, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR || stop_signal) {
			warn("%s", source->name);
			return FPR_ERROR;
		}
	}
	if (WIFSIGNALED(status)) {
		warnx("'%s' was killed by signal %d: its report is not used",
		      source->name, WTERMSIG(status));
		return FPR_ERROR;
	}
	if (WEXITSTATUS(status)) {
		warnx("'%s' exited with status %d: its report is not used",
		      source->name, WEXITSTATUS(status));
		return FPR_ERROR;
	}
	return FPR_OK;
}

/* Makes room for more; @size: how much there is. */
static enum fpr_status grow(struct report *report, size_t *size)
{
	size_t bigger = *size ? 2 * *size : REPORT_FIRST;
	unsigned char *bits = realloc(report->bits, bigger);

	if (!bits) {
		warn("report");
		return FPR_ERROR;
	}
	report->bits = bits;
	*size = bigger;
	return FPR_OK;
}

static enum fpr_status read_to_end(const struct report_source *source,
				   struct report *report)
{
	size_t size = 0;
	ssize_t n;

	for (;;) {
		if (report->len > REPORT_MAX) {
			warnx("%s: longer than %zu MiB: hand it over in parts with --gpa",
			      source->name, REPORT_MAX >> 20);
			return FPR_ERROR;
		}
		if (report->len == size && grow(report, &size))
			return FPR_ERROR;
		n = read(source->fd, report->bits + report->len,
			 size - report->len);
		if (n > 0) {
			report->len += (size_t)n;
		} else if (!n) {
			return FPR_OK;
		} else if (errno != EINTR) {
			warn("%s", source->name);
			return FPR_ERROR;
		} else if (stop_signal) {
			warnx("%s: stopped by a signal: nothing was filtered", source->name);
			return FPR_ERROR;
		}
	}
}

enum fpr_status report_check_words(const char *name, const struct report *report)
{
	if (!report->len) {
		warnx("%s: empty: a report has one bit for each page", name);
		return FPR_ERROR;
	}
	if (report->len % REPORT_WORD) {
		warnx("%s: %zu bytes: a report is whole 64-bit words, a multiple of %zu bytes",
		      name, report->len, REPORT_WORD);
		return FPR_ERROR;
	}
	return FPR_OK;
}

static enum fpr_status read_command(struct report_source *source,
				    struct report *report)
{
	enum fpr_status status;
	pid_t pid;

	status = start_command(source, &pid);
	if (status)
		return status;
	status = read_to_end(source, report);
	close(source->fd);
	if (status) {
		/* Its own message would come after ours: it is not waited for. */
		kill(pid, SIGTERM);
		return status;
	}
	return wait_command(source, pid);
}

enum fpr_status report_read_bytes(struct report_source *source, struct report *report)
{
	enum fpr_status status = FPR_OK;

	*report = (struct report) { 0 };
	if (source->command)
		return read_command(source, report);
	if (source->fd < 0)
		status = open_late(source);
	return status ? status : read_to_end(source, report);
}
