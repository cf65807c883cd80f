// SPDX-License-Identifier: GPL-2.0-only
/* SIGINT and SIGTERM, for who has something to undo before it ends. */
#include <poll.h>
#include <time.h>

#include "clock.h"
#include "stop.h"

volatile sig_atomic_t stop_signal;

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

/* @unblocked: the signals are let in during the wait only, else one could just miss it. */
static enum stop_wait wait_unblocked(struct pollfd *pfd, uint64_t until_us,
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
		if (ppoll(pfd, 1, &left, unblocked) > 0)
			return STOP_READY;
	}
}

enum stop_wait stop_wait(int fd, short events, uint64_t until_us)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	sigset_t stops, before;
	enum stop_wait end;

	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	sigprocmask(SIG_BLOCK, &stops, &before);
	end = wait_unblocked(&pfd, until_us, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return end;
}
