/* SPDX-License-Identifier: GPL-2.0-only */
/* What a crash of the machine must not undo. */
#ifndef FPRCTL_DURABLE_H
#define FPRCTL_DURABLE_H

/** durable_name - have a file's name on the disk, in its directory; -1 with errno */
int durable_name(const char *path);

#endif
