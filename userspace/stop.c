// SPDX-License-Identifier: GPL-2.0-only
/* What ends fprctl while it waits: SIGINT, SIGTERM, and the end of the VM that it works for. */
#include <err.h>
#include <poll.h>
#include <time.h>

#include "clock.h"
#include "stop.h"

#define NOTICE_US	(STOP_NOTICE_S * UINT64_C(1000000))

volatile sig_atomic_t stop_signal;

static int process = -1;

static void on_stop(int number)
{
	stop_signal = number;
}

void stop_catch(void)
{
	struct sigaction action = { .sa_handler = on_stop };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

void stop_on_end_of(int pidfd)
{
	process = pidfd;
}

/* A descriptor of a process can be read when it has ended. */
bool stop_process_ended(int pidfd)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	return poll(&pfd, 1, 0) > 0;
}

/* @unblocked: the signals are let in during the wait only, else one could just miss it. */
static enum stop_wait wait_unblocked(struct pollfd pfd[2], uint64_t until_us,
				     const sigset_t *unblocked)
{
	struct timespec left;
	uint64_t now;

	for (;;) {
		if (stop_signal)
			return STOP_SIGNALLED;
		now = clock_us();
		if (now >= until_us)
			return STOP_TIME_OVER;
		left.tv_sec = (time_t)((until_us - now) / 1000000);
		left.tv_nsec = (long)((until_us - now) % 1000000) * 1000;
		if (ppoll(pfd, 2, &left, unblocked) > 0)
			return pfd[1].revents ? STOP_PROCESS_ENDED : STOP_READY;
	}
}

enum stop_wait stop_wait(int fd, short events, uint64_t until_us)
{
	struct pollfd pfd[] = {
		{ .fd = fd, .events = events },
		{ .fd = process, .events = POLLIN },
	};
	sigset_t stops, before;
	enum stop_wait end;

	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	sigprocmask(SIG_BLOCK, &stops, &before);
	end = wait_unblocked(pfd, until_us, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return end;
}

void stop_notice_since(struct stop_notice *notice, uint64_t began_us)
{
	if (notice->said || clock_us() - began_us < NOTICE_US)
		return;
	warnx("%s: waiting for %s", notice->name, notice->what);
	notice->said = true;
}

enum stop_wait stop_wait_noticed(struct stop_notice *notice, int fd, short events,
				 uint64_t until_us)
{
	uint64_t began_us = clock_us(), silent_until_us = began_us + NOTICE_US;
	enum stop_wait end;

	if (notice->said || until_us <= silent_until_us)
		return stop_wait(fd, events, until_us);
	end = stop_wait(fd, events, silent_until_us);
	if (end != STOP_TIME_OVER)
		return end;
	stop_notice_since(notice, began_us);
	return stop_wait(fd, events, until_us);
}
