// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest's CPU can do
 *
 * What KVM supports, less what has state that a snapshot would have to hold: the
 * extended registers (XSAVE), virtualisation, and all of KVM's paravirtual features
 * but its clock.
 */
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <string.h>

#include "checked.h"
#include "cpuid.h"

#define MAX_ENTRIES	256

/* Leaf 1, ECX */
#define VMX		(1U << 5)
#define FMA		(1U << 12)
#define TSC_DEADLINE	(1U << 24)
#define XSAVE		(1U << 26)
#define OSXSAVE		(1U << 27)
#define AVX		(1U << 28)
#define F16C		(1U << 29)
#define HYPERVISOR	(1U << 31)
/* Leaf 0x80000001, ECX */
#define SVM		(1U << 2)

#define KVM_CLOCK	((1U << KVM_FEATURE_CLOCKSOURCE) | \
			 (1U << KVM_FEATURE_CLOCKSOURCE2) | \
			 (1U << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT))

static void reduce(struct kvm_cpuid_entry2 *entry)
{
	switch (entry->function) {
	case 1:
		entry->ecx &= ~(VMX | FMA | XSAVE | OSXSAVE | AVX | F16C);
		/* KVM leaves these to us: its APIC has the deadline mode. */
		entry->ecx |= TSC_DEADLINE | HYPERVISOR;
		break;
	case 7:		/* mostly what needs extended registers */
	case 0xd:	/* their layout */
	case 0x8000000a:	/* of SVM */
		entry->eax = 0;
		entry->ebx = 0;
		entry->ecx = 0;
		entry->edx = 0;
		break;
	case 0x80000001:
		entry->ecx &= ~SVM;
		break;
	case KVM_CPUID_FEATURES:
		entry->eax &= KVM_CLOCK;
		break;
	default:
		break;
	}
}

void cpuid_set(int kvm, int cpu)
{
	struct kvm_cpuid2 *cpuid;
	unsigned int i;

	cpuid = checked_calloc(1, sizeof(*cpuid) + MAX_ENTRIES * sizeof(cpuid->entries[0]));
	cpuid->nent = MAX_ENTRIES;
	KVM_PASS(kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
	for (i = 0; i < cpuid->nent; i++)
		reduce(&cpuid->entries[i]);
	KVM_PASS(cpu, KVM_SET_CPUID2, cpuid);
	free(cpuid);
}
