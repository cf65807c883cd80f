/* SPDX-License-Identifier: GPL-2.0-only */
/* The VMs of a process, as /proc shows them. */
#ifndef FPRCTL_PROC_VMS_H
#define FPRCTL_PROC_VMS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What KVM_CREATE_VM names its file, as a link in /proc/PID/fd shows it. */
#define PROC_VM_LINK	"anon_inode:kvm-vm"

/**
 * struct proc_vms - descriptors of one process that are VMs
 * @thread: one that has them, see proc_thread()
 * @fd: in ascending order
 * @nr: how many
 */
struct proc_vms {
	pid_t thread;
	int *fd;
	size_t nr;
};

/** proc_link_is_vm - 1 if @path, below /proc, is a link to a VM, 0 if not, or -1 with errno */
int proc_link_is_vm(const char *path);

/**
 * proc_thread - a thread of a process that has its descriptors and memory, in /proc/THREAD
 *
 * The process ID is that of the main thread, which may end before the process does.  It has
 * nothing any more then.
 *
 * Return: the main thread where it has not ended, or nothing better is known.
 */
pid_t proc_thread(pid_t pid);

/**
 * proc_vms_read - all of a process
 * @vms: out: to be released if it succeeds
 *
 * Return: 0, or -1 with errno if the process cannot be looked at: EACCES or EPERM, or
 * ESRCH where it has ended, also if its parent has not seen that yet.
 */
int proc_vms_read(struct proc_vms *vms, pid_t pid);

/** proc_for_each - visit all processes; -1 with errno where there is no /proc */
int proc_for_each(void (*visit)(void *opaque, pid_t pid), void *opaque);

/**
 * proc_vms_take_same - move those that are the first one's VM from @vms to @same
 * @same: out: to be released
 *
 * A VM has one struct file however often its descriptor was duplicated.  Where the
 * kernel has no kcmp() each counts as a VM of its own.
 */
void proc_vms_take_same(struct proc_vms *vms, struct proc_vms *same);

void proc_vms_release(struct proc_vms *vms);

#endif
