/* SPDX-License-Identifier: GPL-2.0-only */
/* The command line of a process. */
#ifndef FPRCTL_PROC_CMDLINE_H
#define FPRCTL_PROC_CMDLINE_H

#include <stddef.h>
#include <sys/types.h>

/**
 * struct proc_cmdline - words, each with a NUL behind it
 * @text: the first; to be freed; NULL where it cannot be read
 * @len: of all, with a NUL more behind them
 */
struct proc_cmdline {
	char *text;
	size_t len;
};

/** proc_cmdline_read - of a thread or process; without words where there is none */
struct proc_cmdline proc_cmdline_read(pid_t pid);

/** proc_cmdline_next - the word behind @word, or the first of all for NULL; NULL at the end */
const char *proc_cmdline_next(const struct proc_cmdline *cmdline, const char *word);

#endif
