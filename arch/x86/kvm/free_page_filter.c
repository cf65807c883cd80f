// SPDX-License-Identifier: GPL-2.0-only
/* Free page filter, x86's part. */
#include <linux/kvm_fpr.h>

#include "mmu.h"
#include "mmu/tdp_mmu.h"

/*
 * Memory that is encrypted or private cannot be copied by page content, and
 * its hypervisor-side log is not the whole truth.  A VM of the default type can
 * be encrypted, too, by KVM_SEV_INIT, KVM_SEV_ES_INIT, or by the context of
 * another that was copied or moved to it: the vendor's module knows.
 */
bool kvm_arch_fpr_supported(struct kvm *kvm)
{
	return !kvm_arch_has_private_mem(kvm) &&
	       kvm->arch.vm_type == KVM_X86_DEFAULT_VM &&
	       !(kvm_x86_ops.has_encrypted_mem && kvm_x86_ops.has_encrypted_mem(kvm));
}

/* Shadow page tables, nested guests' as well, are left to KVM's own functions. */
void kvm_arch_fpr_protect_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	lockdep_assert_held(&kvm->slots_lock);

	if (kvm_memslots_have_rmaps(kvm)) {
		kvm_fpr_protect_dirty(kvm, slot);
		return;
	}
	read_lock(&kvm->mmu_lock);
	kvm_tdp_mmu_clear_dirty_tracked(kvm, slot);
	read_unlock(&kvm->mmu_lock);
}
