/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is said on stderr, one line each.
 *
 * It is said with the functions of <err.h>, which are defined here: names that come from
 * elsewhere may hold what a terminal would obey, and that is escaped.
 */
#ifndef FPRCTL_MESSAGE_H
#define FPRCTL_MESSAGE_H

#include <stdbool.h>

/**
 * message_say_once - from now on leave out a line that is the same as the one before
 * @once: false: say every line again
 */
void message_say_once(bool once);

/** message_left_out - how many were, since this was last called; forgets the line before */
unsigned int message_left_out(void);

#endif
