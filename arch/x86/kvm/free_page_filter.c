// SPDX-License-Identifier: GPL-2.0-only
/* Free page filter, x86's part. */
#include <linux/kvm_fpr.h>

#include "lapic.h"
#include "mmu.h"

/*
 * Memory that is encrypted or private can not be copied by page content, and
 * its hypervisor-side log is not the whole truth.  A guest with SEV alone runs
 * in a VM of the default type; KVM marks it only by inhibiting APICv.
 */
bool kvm_arch_fpr_supported(struct kvm *kvm)
{
	return !kvm_arch_has_private_mem(kvm) &&
	       kvm->arch.vm_type == KVM_X86_DEFAULT_VM &&
	       !test_bit(APICV_INHIBIT_REASON_SEV,
			 &kvm->arch.apicv_inhibit_reasons);
}

/*
 * One walk over the slot, as when its logging is switched on; the TDP MMU does
 * it under the read side of mmu_lock and yields.  With PML the CPU logs writes
 * to 4KiB pages whose dirty bit is clear; huge pages are write-protected, for
 * the log is kept per 4KiB.
 */
void kvm_arch_fpr_protect_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	int level = PG_LEVEL_4K;

	if (kvm_x86_ops.cpu_dirty_log_size) {
		kvm_mmu_slot_leaf_clear_dirty(kvm, slot);
		level = PG_LEVEL_2M;
	}
	kvm_mmu_slot_remove_write_access(kvm, slot, level);
}
