/* SPDX-License-Identifier: GPL-2.0-only */
/* What the free page filter's tests share: places, and the arguments of its ioctls. */
#ifndef FPR_UTIL_H
#define FPR_UTIL_H

#include <errno.h>
#include <linux/kvm_fpr.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm_util.h"
#include "test_util.h"

#define PAGE		4096ul
/* Where the tests' memory begins: behind the VM's own, and before the APIC's pages. */
#define GPA		0xc0000000ul
#define LOG		KVM_MEM_LOG_DIRTY_PAGES
/* In a slot's number, the address space that x86 uses for SMM. */
#define AS1		0x10000u

/* errno of an ioctl of the VM, 0 for success. */
#define vm_errno(vm, cmd, arg)	(__vm_ioctl(vm, cmd, arg) ? errno : 0)

static inline bool has_bit(const uint64_t *bitmap, unsigned int n)
{
	return bitmap[n / 64] >> (n % 64) & 1;
}

/* Reads one of a VM's binary stats, which it must have. */
static inline uint64_t fpr_vm_stat(struct kvm_vm *vm, const char *name)
{
	uint64_t value;

#ifdef vm_get_stat
	/* Newer libraries make a string of what that macro is given. */
	kvm_get_stat(&vm->stats, name, &value, 1);
#else
	__vm_get_stat(vm, name, &value, 1);
#endif
	return value;
}

/* KVM_FPR_ARM of the whole log, which must succeed; returns the epoch. */
static inline uint64_t fpr_arm(struct kvm_vm *vm)
{
	struct kvm_fpr_arm args = {};

	vm_ioctl(vm, KVM_FPR_ARM, &args);
	TEST_ASSERT(args.epoch, "KVM_FPR_ARM returned epoch 0");
	return args.epoch;
}

/* Of KVM_FPR_ARM: @candidates has a bit for each page of the range. */
static inline struct kvm_fpr_arm fpr_arm_args(uint64_t gpa, uint64_t size,
					      const void *candidates)
{
	return (struct kvm_fpr_arm) {
		.flags = KVM_FPR_ARM_CANDIDATES,
		.gpa = gpa,
		.size = size,
		.candidates = (uintptr_t)candidates,
	};
}

/* Of KVM_FPR_SET_BITMAP: a report for the range; @confirmed may be NULL. */
static inline struct kvm_fpr_bitmap fpr_set_args(uint64_t epoch, uint64_t gpa,
						 uint64_t size, const void *report,
						 void *confirmed)
{
	return (struct kvm_fpr_bitmap) {
		.flags = confirmed ? KVM_FPR_SET_CONFIRM : 0,
		.epoch = epoch,
		.gpa = gpa,
		.size = size,
		.bitmap = (uintptr_t)report,
		.confirmed = (uintptr_t)confirmed,
	};
}

#endif /* FPR_UTIL_H */
