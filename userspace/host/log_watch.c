// SPDX-License-Identifier: GPL-2.0-only
/* Whether somebody reads a VM's dirty log, as far as that can be seen from outside. */
#include <err.h>
#include <string.h>
#include <unistd.h>

#include "kvm_debugfs.h"
#include "log_watch.h"

#define FLUSHES		"remote_tlb_flush_requests"

#if defined(__x86_64__)
#include <cpuid.h>

#define HYPERVISOR_LEAF	0x40000000

/* On Hyper-V KVM may leave flushing to that, and does not count it then. */
static bool flushes_are_counted(void)
{
	unsigned int eax, ebx, ecx, edx;
	char name[12];

	__cpuid(1, eax, ebx, ecx, edx);
	if (!(ecx & (1U << 31)))
		return true;
	__cpuid(HYPERVISOR_LEAF, eax, ebx, ecx, edx);
	memcpy(name, &ebx, 4);
	memcpy(name + 4, &ecx, 4);
	memcpy(name + 8, &edx, 4);
	return memcmp(name, "Microsoft Hv", sizeof(name)) != 0;
}
#else
/* Other architectures flush ranges in ways that KVM does not count. */
static bool flushes_are_counted(void)
{
	return false;
}
#endif

static enum fpr_status refuse(const char *why)
{
	warnx("--confirmed: it cannot be known whether the dirty log is read meanwhile, as %s: give --trust-log if nobody does",
	      why);
	return FPR_ERROR;
}

enum fpr_status log_watch_open(struct log_watch *watch, const struct vm *vm, const char *name)
{
	enum fpr_status status;
	struct proc_vms vms;
	uint64_t count;
	pid_t pid;

	*watch = (struct log_watch) { .dir = -1 };
	if (!flushes_are_counted())
		return refuse("KVM does not count all flushes here");
	if (!vm->pid)
		return refuse("an inherited descriptor does not tell whose VM it is");
	status = vm_find(name, &pid, &vms);
	if (status)
		return status;
	watch->dir = kvm_debugfs_open(pid, &vms);
	proc_vms_release(&vms);
	if (watch->dir < 0)
		return refuse("this VM is not to be seen in " KVM_DEBUGFS);
	if (!kvm_debugfs_read(watch->dir, FLUSHES, &count)) {
		log_watch_close(watch);
		return refuse("KVM does not tell " FLUSHES);
	}
	return FPR_OK;
}

void log_watch_begin(struct log_watch *watch)
{
	watch->known = kvm_debugfs_read(watch->dir, FLUSHES, &watch->flushes);
}

bool log_watch_is_unread(const struct log_watch *watch)
{
	uint64_t now;

	return watch->known && kvm_debugfs_read(watch->dir, FLUSHES, &now) && now == watch->flushes;
}

void log_watch_close(struct log_watch *watch)
{
	if (watch->dir >= 0)
		close(watch->dir);
	watch->dir = -1;
}
