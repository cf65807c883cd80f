/* SPDX-License-Identifier: GPL-2.0-only */
/* Another command, run to its end. */
#ifndef FPRCTL_RUN_COMMAND_H
#define FPRCTL_RUN_COMMAND_H

/**
 * run_command - run it with our descriptors 0 to 2
 * @argv: ends with NULL; the first is looked for in PATH
 *
 * SIGINT and SIGTERM, where stop_catch() was called, are sent on to it.
 *
 * Return: its status as a shell has it: 128 and the signal's number if one ended it, 127 if
 * there is no such command, 126 if it cannot be run, which is said.
 */
int run_command(char **argv);

#endif
