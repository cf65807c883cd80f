// SPDX-License-Identifier: GPL-2.0-only
/* Free page filter, arm64's part. */
#include <linux/kvm_fpr.h>

/*
 * The memory of a protected guest is not the host's to copy.  Of a guest that has
 * guests of its own KVM write-protects their shadow page tables, too, but flushes
 * the TLBs of the guest's own VMID only: a nested one may go on writing through
 * what its TLB has.
 */
bool kvm_arch_fpr_supported(struct kvm *kvm)
{
	return !kvm_arch_has_private_mem(kvm) &&
	       !kvm_vm_is_protected(kvm) &&
	       !test_bit(KVM_ARM_VCPU_HAS_EL2, kvm->arch.vcpu_features);
}
