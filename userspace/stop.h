/* SPDX-License-Identifier: GPL-2.0-only */
/* What ends fprctl while it waits: SIGINT, SIGTERM, and the end of the VM that it works for. */
#ifndef FPRCTL_STOP_H
#define FPRCTL_STOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* The signal that came, or 0. */
extern volatile sig_atomic_t stop_signal;

/* stop_catch - from now on these signals set @stop_signal instead of ending fprctl */
void stop_catch(void);

/**
 * stop_on_end_of - from now on the end of this process ends every wait
 * @pidfd: or -1
 */
void stop_on_end_of(int pidfd);

/** stop_process_ended - whether the process has ended; false for -1, where that is not known */
bool stop_process_ended(int pidfd);

/* What ended a wait. */
enum stop_wait {
	STOP_READY,
	STOP_TIME_OVER,
	STOP_SIGNALLED,
	STOP_PROCESS_ENDED,
};

/**
 * stop_wait - wait for a descriptor until @until_us, a signal, or the end of the process
 *	       of stop_on_end_of()
 * @fd: or -1 to wait for the time alone
 * @events: as for poll()
 * @until_us: time of clock_us()
 */
enum stop_wait stop_wait(int fd, short events, uint64_t until_us);

/* What takes longer, in seconds, is said. */
#define STOP_NOTICE_S	2

/**
 * struct stop_notice - what is said on stderr, once, where a wait takes long
 * @name: the file or endpoint that is waited for
 * @what: what of it is waited for, as "a reader"
 * @said: it was said
 */
struct stop_notice {
	const char *name;
	const char *what;
	bool said;
};

/** stop_notice_since - say it, if that began so long ago; @began_us: time of clock_us() */
void stop_notice_since(struct stop_notice *notice, uint64_t began_us);

/** stop_wait_noticed - as stop_wait(), but after that time it says what it waits for */
enum stop_wait stop_wait_noticed(struct stop_notice *notice, int fd, short events,
				 uint64_t until_us);

#endif
