/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What KVM's debugfs says of a VM.
 *
 * KVM_GET_STATS_FD would say the same, but only to the process that runs the VM.
 */
#ifndef FPRCTL_KVM_DEBUGFS_H
#define FPRCTL_KVM_DEBUGFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "status.h"
#include "proc_vms.h"

#define KVM_DEBUGFS	"/sys/kernel/debug/kvm"

/**
 * kvm_debugfs_open - the directory of a VM
 * @pid: the process that created it
 * @vm: its descriptors there
 *
 * KVM names it after the thread and the descriptor: it is not found, with ESRCH, where
 * that thread has ended or that descriptor was closed, and not in a process that only
 * inherited the VM.
 *
 * Return: a descriptor, or -1 with errno.
 */
int kvm_debugfs_open(pid_t pid, const struct proc_vms *vm);

/**
 * kvm_debugfs_explain - say why kvm_debugfs_open() failed; errno is its error
 * @vm: what names the VM, for the message
 *
 * Return: FPR_ERROR.
 */
enum fpr_status kvm_debugfs_explain(const char *vm);

/**
 * kvm_debugfs_read - one number
 * @dir: from kvm_debugfs_open()
 *
 * Return: whether it is there.
 */
bool kvm_debugfs_read(int dir, const char *name, uint64_t *value);

#endif
