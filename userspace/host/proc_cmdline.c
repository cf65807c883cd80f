// SPDX-License-Identifier: GPL-2.0-only
/* The command line of a process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc_cmdline.h"

struct proc_cmdline proc_cmdline_read(pid_t pid)
{
	struct proc_cmdline cmdline = { 0 };
	size_t room = 0;
	char path[64];
	ssize_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	f = fopen(path, "re");
	if (!f)
		return cmdline;
	/* The delimiter 255 is no byte of it, so this reads all. */
	len = getdelim(&cmdline.text, &room, 0xff, f);
	if (len > 0)
		cmdline.len = (size_t)len;
	fclose(f);
	return cmdline;
}

const char *proc_cmdline_next(const struct proc_cmdline *cmdline, const char *word)
{
	const char *next = word ? word + strlen(word) + 1 : cmdline->text;

	return cmdline->len && next < cmdline->text + cmdline->len ? next : NULL;
}
