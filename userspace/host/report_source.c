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
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report_source.h"

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

/* A directory can be opened, but not read. */
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
	/* Opening a FIFO does not wait for its writer: report_some() does, with a limit. */
	source->fd = open(source->name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (source->fd < 0) {
		warn("%s", source->name);
		return FPR_ERROR;
	}
	fcntl(source->fd, F_SETFL, 0);
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

static enum fpr_status start_command(struct report_source *source)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)source->command, NULL };
	posix_spawn_file_actions_t actions;
	int pipe_fd[2], r;

	if (pipe2(pipe_fd, O_CLOEXEC)) {
		warn("pipe");
		return FPR_ERROR;
	}
	/* A caller may have left SIGCHLD ignored, and then the status would be lost. */
	signal(SIGCHLD, SIG_DFL);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], STDOUT_FILENO);
	r = posix_spawn(&source->pid, "/bin/sh", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipe_fd[1]);
	if (r) {
		close(pipe_fd[0]);
		source->pid = 0;
		warnx("/bin/sh: %s", strerror(r));
		return FPR_ERROR;
	}
	source->fd = pipe_fd[0];
	return FPR_OK;
}

static enum fpr_status check_exit(const char *command, int status)
{
	if (WIFSIGNALED(status)) {
		warnx("'%s' was killed by signal %d: its report is not used",
		      command, WTERMSIG(status));
		return FPR_ERROR;
	}
	if (WEXITSTATUS(status)) {
		warnx("'%s' exited with status %d: its report is not used",
		      command, WEXITSTATUS(status));
		return FPR_ERROR;
	}
	return FPR_OK;
}

/* The command may run on after it has closed its output. */
static enum fpr_status wait_command(struct report_source *source)
{
	int pidfd = (int)syscall(SYS_pidfd_open, source->pid, 0);
	enum fpr_status status = FPR_OK;
	int ended = 0;

	if (pidfd >= 0) {
		status = patience_wait(&source->patience, pidfd, POLLIN,
				       "the end of the command");
		close(pidfd);
	}
	if (status)
		return status;
	while (waitpid(source->pid, &ended, 0) < 0) {
		if (errno != EINTR) {
			warn("%s", source->name);
			return FPR_ERROR;
		}
	}
	source->pid = 0;
	return check_exit(source->name, ended);
}

enum fpr_status report_begin(struct report_source *source)
{
	patience_begin(&source->patience, source->name, source->timeout_s);
	if (source->command)
		return start_command(source);
	return source->fd < 0 ? open_late(source) : FPR_OK;
}

enum fpr_status report_some(struct report_source *source, void *data, size_t size, size_t *n)
{
	enum fpr_status status;
	ssize_t r;

	*n = 0;
	do {
		status = patience_wait(&source->patience, source->fd, POLLIN, "the bitmap");
		if (status)
			return status;
		r = read(source->fd, data, size);
	} while (r < 0 && errno == EINTR);
	if (r < 0) {
		warn("%s", source->name);
		return FPR_ERROR;
	}
	*n = (size_t)r;
	return !r && source->pid ? wait_command(source) : FPR_OK;
}

void report_end(struct report_source *source)
{
	if (source->fd > STDIN_FILENO)
		close(source->fd);
	source->fd = -1;
	if (source->pid)
		kill(source->pid, SIGTERM);
	source->pid = 0;
}
