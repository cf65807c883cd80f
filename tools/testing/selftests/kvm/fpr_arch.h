/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the free page filter have to know of the architecture.
 */
#ifndef SELFTEST_KVM_FPR_ARCH_H
#define SELFTEST_KVM_FPR_ARCH_H

#include "kvm_util.h"
#include "fpr_util.h"
#include "processor.h"
#include "ucall_common.h"

#ifdef __x86_64__

/* A vCPU's stat that counts the faults of the guest. */
#define FPR_STAT_FAULTS		"pf_taken"

/* So many of them are none, at most, where the guest writes @pages. */
static inline uint64_t fpr_stat_others(unsigned int pages)
{
	return 0;
}

/* Where the guest is, for messages. */
static inline uint64_t fpr_guest_pc(struct kvm_vcpu *vcpu)
{
	struct kvm_regs regs;

	vcpu_regs_get(vcpu, &regs);
	return regs.rip;
}

/* Two instructions for each of @loops. */
static inline void fpr_count_down(uint64_t loops)
{
	asm volatile("1: dec %0; jnz 1b" : "+r" (loops) : : "cc");
}

/* How many huge pages KVM maps, which must be @want. */
static inline void fpr_assert_huge_pages(struct kvm_vm *vm, uint64_t want)
{
	uint64_t is = fpr_vm_stat(vm, "pages_2m");

	TEST_ASSERT(is == want, "%lu huge pages are mapped, not %lu", is, want);
}

#elif defined(__aarch64__)

/* There is one of all exits only. */
#define FPR_STAT_FAULTS		"exits"

/* An interrupt makes the guest exit now and then, but not for every fourth page. */
static inline uint64_t fpr_stat_others(unsigned int pages)
{
	return pages / 4;
}

static inline uint64_t fpr_guest_pc(struct kvm_vcpu *vcpu)
{
	uint64_t pc;
	struct kvm_one_reg reg = {
		.id = ARM64_CORE_REG(regs.pc),
		.addr = (uintptr_t)&pc,
	};

	vcpu_ioctl(vcpu, KVM_GET_ONE_REG, &reg);
	return pc;
}

static inline void fpr_count_down(uint64_t loops)
{
	asm volatile("1: subs %0, %0, #1; b.ne 1b" : "+r" (loops) : : "cc");
}

/* KVM does not say. */
static inline void fpr_assert_huge_pages(struct kvm_vm *vm, uint64_t want)
{
}

#endif

#endif /* SELFTEST_KVM_FPR_ARCH_H */
