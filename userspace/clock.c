// SPDX-License-Identifier: GPL-2.0-only
/* What time it is, for durations and deadlines. */
#include <time.h>

#include "clock.h"

uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}
