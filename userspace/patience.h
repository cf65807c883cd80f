/* SPDX-License-Identifier: GPL-2.0-only */
/* Waiting for what is outside: for as long as is allowed, and not without a word. */
#ifndef FPRCTL_PATIENCE_H
#define FPRCTL_PATIENCE_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"
#include "stop.h"

/**
 * struct patience - how long to wait for one thing
 * @notice: what is said after 2 s
 * @timeout_s: how long all of it may take; 0: as long as it takes
 * @until_us: when the time is over
 */
struct patience {
	struct stop_notice notice;
	uint64_t timeout_s;
	uint64_t until_us;
};

/** patience_begin - from now on; @name: of what is waited for */
void patience_begin(struct patience *patience, const char *name, uint64_t timeout_s);

/**
 * patience_wait - wait for a descriptor
 * @what: is waited for, for messages
 *
 * What ends it instead is said: the time, a signal that stop_catch() was called for, or the
 * end of the VM.
 */
enum fpr_status patience_wait(struct patience *patience, int fd, short events, const char *what);

/** patience_open - open a device, or a FIFO, whose reader is waited for, to write to it */
enum fpr_status patience_open(struct patience *patience, const char *path, int *fd);

/**
 * patience_write - write all to what takes bytes as they come
 *
 * Return: 0, or -1 with errno; where that is 0, the error was said already.
 */
int patience_write(struct patience *patience, int fd, const void *data, size_t len);

#endif
