/* SPDX-License-Identifier: GPL-2.0-only */
/* SIGINT and SIGTERM, for who has something to undo before it ends. */
#ifndef FPRCTL_STOP_H
#define FPRCTL_STOP_H

#include <signal.h>
#include <stdint.h>

/* The signal that came, or 0. */
extern volatile sig_atomic_t stop_signal;

/* stop_catch - from now on these signals set @stop_signal instead of ending fprctl */
void stop_catch(void);

/* What ended a wait. */
enum stop_wait {
	STOP_READY,
	STOP_TIME_OVER,
	STOP_SIGNALLED,
};

/**
 * stop_wait - wait for a descriptor, but neither for long nor in spite of a signal
 * @fd: or -1 to wait for the time alone
 * @events: as for poll()
 * @until_us: time of clock_us()
 */
enum stop_wait stop_wait(int fd, short events, uint64_t until_us);

#endif
