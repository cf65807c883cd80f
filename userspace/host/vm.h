/* SPDX-License-Identifier: GPL-2.0-only */
/* From the operand VM to a VM's file descriptor. */
#ifndef FPRCTL_VM_H
#define FPRCTL_VM_H

#include <sys/types.h>

#include "status.h"
#include "proc_vms.h"

/* Says in --help what vm_open() accepts. */
#define VM_HELP								\
"VM is one of\n"							\
"  PID         the process PID, which has exactly one VM\n"		\
"  PID:FD      descriptor FD of the process PID\n"			\
"  FD          an inherited descriptor of fprctl itself that is a VM\n"	\
"  pid:PID, fd:FD   the same, for scripts that leave no doubt\n"	\
"A bare number is taken as FD if fprctl has that descriptor and it is a VM,\n" \
"else as PID; where both would name a VM it is refused.\n"		\
"Taking another process's descriptor needs the right to ptrace it, and the\n" \
"filter lets in only a caller with CAP_SYS_ADMIN, unless the VM's owner\n" \
"enabled KVM_FPR_CAP_FOREIGN for its VM.\n"

/**
 * struct vm - a VM that was found
 * @fd: its descriptor, in this process
 * @pidfd: the process that it was taken from, or -1 of an inherited descriptor
 * @pid: that process, or 0
 */
struct vm {
	int fd;
	int pidfd;
	pid_t pid;
};

/**
 * vm_find - find the process and the descriptors there that @text names
 * @vm: out: all descriptors of the VM, to be released if it succeeds
 *
 * For what can be learned from /proc alone: nothing is taken from the process.  Of an
 * inherited descriptor it is not known whose VM it is, so that is refused.
 */
enum fpr_status vm_find(const char *text, pid_t *pid, struct proc_vms *vm);

/** vm_open - find the VM that @text names */
enum fpr_status vm_open(const char *text, struct vm *vm);

#endif
