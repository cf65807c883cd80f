// SPDX-License-Identifier: GPL-2.0-only
/* What time it is, for durations and deadlines. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

/*
 * By a system call: the vDSO's two page tables serve nothing else, and a processor that looks
 * something up in page tables may write to them.  In a guest that is two pages more in a snapshot.
 */

uint64_t clock_us(void)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}
