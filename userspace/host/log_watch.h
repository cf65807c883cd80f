/* SPDX-License-Identifier: GPL-2.0-only */
/* Whether somebody reads a VM's dirty log, as far as that can be seen from outside. */
#ifndef FPRCTL_LOG_WATCH_H
#define FPRCTL_LOG_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

/**
 * struct log_watch - a VM that is watched; all fields are log_watch_*()'s own
 */
struct log_watch {
	int dir;
	uint64_t flushes;
	bool known;
};

/**
 * log_watch_open - find where to look
 * @vm: the VM
 * @name: what names it, see vm_open()
 *
 * KVM counts no readings.  But whoever takes pages out of the log, by GET or CLEAR, protects
 * them again, and KVM then flushes the TLBs, which it counts.  A count that stays the same
 * says that nobody did.  One that grows says nothing: KVM flushes for other reasons, too.
 * Not seen is a GET of a VMM that leaves the taking to a later CLEAR
 * (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2), before that CLEAR.
 *
 * It is an error, which is said, where KVM does not count all flushes, or not for us.
 */
enum fpr_status log_watch_open(struct log_watch *watch, const struct vm *vm, const char *name);

/** log_watch_begin - from now on */
void log_watch_begin(struct log_watch *watch);

/** log_watch_is_unread - whether it is certain that nobody took anything since then */
bool log_watch_is_unread(const struct log_watch *watch);

/** log_watch_close - end it; nothing is done if it is all zero but for a @dir of -1 */
void log_watch_close(struct log_watch *watch);

#endif
