/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's free page filter in a build without KVM
 */

#include "qemu/osdep.h"
#include "system/kvm_fpr.h"

KVMFprBlocked kvm_fpr_blocked(void)
{
    return KVM_FPR_NO_KVM;
}

bool kvm_fpr_can_arm_candidates(void)
{
    return false;
}

int kvm_fpr_arm(uint64_t *epoch, const KVMFprCandidates *candidates)
{
    return -ENOSYS;
}

int kvm_fpr_set_bitmap(KVMFprReport *report, KVMFprDropFunc *drop)
{
    return -ENOSYS;
}

void kvm_fpr_disarm(uint64_t epoch)
{
}
