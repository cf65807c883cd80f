/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FPRCTL_CLOCK_H
#define FPRCTL_CLOCK_H

#include <stdint.h>

/* clock_us - microseconds of a clock that nobody sets */
uint64_t clock_us(void);

#endif
