/* SPDX-License-Identifier: GPL-2.0-only */
/* In the guest: whether a device may have come. */
#ifndef FPRCTL_UEVENTS_H
#define FPRCTL_UEVENTS_H

#include <stdbool.h>

/**
 * uevents_watch - have this thread told of the kernel's events about devices
 *
 * By a signal, which is handled before the thread is back from a system call.  So it knows of all
 * that were sent before, and to find out that there was none it neither calls the kernel nor writes
 * to memory: in a virtual machine what is written is in its next snapshot.
 */
void uevents_watch(void);

/**
 * uevents_came - whether there was any event since this was asked last
 *
 * Return: also true the first time, and always where events cannot be watched.
 */
bool uevents_came(void);

#endif
