// SPDX-License-Identifier: GPL-2.0-only
/* Free page filter, arm64's part. */
#include <linux/kvm_fpr.h>

/*
 * The host cannot copy the memory of a protected guest.  If a guest has guests of
 * its own, KVM write-protects their shadow page tables, too, but flushes the TLBs
 * for the VMID of the guest alone: a nested guest may go on writing through a stale
 * translation.
 */
bool kvm_arch_fpr_supported(struct kvm *kvm)
{
	return !kvm_arch_has_private_mem(kvm) &&
	       !kvm_vm_is_protected(kvm) &&
	       !test_bit(KVM_ARM_VCPU_HAS_EL2, kvm->arch.vcpu_features);
}
