/* SPDX-License-Identifier: GPL-2.0-only */
/* The right to look at other processes, which the kernel ties to that of ptrace(). */
#ifndef FPRCTL_PTRACE_RIGHT_H
#define FPRCTL_PTRACE_RIGHT_H

#include <stdbool.h>

/**
 * ptrace_right_missing - what stands in the way and what to do, in words for a message
 * @attach: to take a descriptor, for which the kernel wants more than to look at it
 *
 * Return: a text that lives until the next call.
 */
const char *ptrace_right_missing(bool attach);

#endif
