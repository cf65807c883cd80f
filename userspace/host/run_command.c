// SPDX-License-Identifier: GPL-2.0-only
/* Another command, run to its end. */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run_command.h"
#include "stop.h"

#define CANNOT_RUN	126
#define NOT_FOUND	127
#define BY_SIGNAL	128

/* The command gets the signals' defaults. Return: 0 or an errno. */
static int start(char **argv, pid_t *pid)
{
	posix_spawnattr_t attributes;
	sigset_t defaults;
	int r;

	sigemptyset(&defaults);
	sigaddset(&defaults, SIGINT);
	sigaddset(&defaults, SIGTERM);
	sigaddset(&defaults, SIGPIPE);
	/* A caller may have left SIGCHLD ignored, and then the status would be lost. */
	signal(SIGCHLD, SIG_DFL);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	r = posix_spawnp(pid, argv[0], NULL, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	return r;
}

/* Send signals on until the command has ended; without a pidfd, return at once. */
static void send_signals(pid_t pid)
{
	int pidfd = pidfd_open(pid, 0);

	/* The VM may end meanwhile: the command is waited for all the same. */
	stop_on_end_of(-1);
	while (pidfd >= 0 && stop_wait(pidfd, POLLIN, UINT64_MAX) == STOP_SIGNALLED) {
		kill(pid, stop_signal);
		stop_signal = 0;
	}
	if (pidfd >= 0)
		close(pidfd);
}

int run_command(char **argv)
{
	int status, r;
	pid_t pid;

	r = start(argv, &pid);
	if (r) {
		warnx("%s: %s", argv[0], strerror(r));
		return r == ENOENT ? NOT_FOUND : CANNOT_RUN;
	}
	send_signals(pid);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			warn("%s", argv[0]);
			return CANNOT_RUN;
		}
	}
	return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}
