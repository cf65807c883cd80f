/* SPDX-License-Identifier: GPL-2.0-only */
/* The VMs of this machine, as far as they can be seen. */
#ifndef FPRCTL_VM_LIST_H
#define FPRCTL_VM_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "status.h"
#include "vm_stats.h"

#define VM_PROGRAM_MAX	64
#define VM_NAME_MAX	64

/**
 * struct vm_entry - a VM and a process that has it
 * @pid: the process
 * @fd: the first descriptor that it has of the VM
 * @program: base name of the program, "" where that is not known
 * @name: what QEMU's option -name calls the VM, as libvirt gives it, too; "" without one
 * @knows_memory: @memory_kib is known
 * @memory_kib: the process's resident memory
 * @knows_stats: @stats are known
 * @stats: what the filter has counted
 */
struct vm_entry {
	pid_t pid;
	int fd;
	char program[VM_PROGRAM_MAX];
	char name[VM_NAME_MAX];
	bool knows_memory;
	uint64_t memory_kib;
	bool knows_stats;
	struct vm_stats stats;
};

/**
 * struct vm_list - what there is
 * @vm: by process and descriptor, in ascending order
 * @nr: how many
 * @nr_hidden: processes whose descriptors cannot be looked at
 */
struct vm_list {
	struct vm_entry *vm;
	size_t nr;
	size_t nr_hidden;
};

/**
 * vm_list_read - look at all processes
 * @list: out: to be released if it succeeds
 *
 * Those that end meanwhile are left out.
 */
enum fpr_status vm_list_read(struct vm_list *list);

/** vm_list_say_hidden - say that it may not be all, if that is so */
void vm_list_say_hidden(const struct vm_list *list);

void vm_list_release(struct vm_list *list);

#endif
