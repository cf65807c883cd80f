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

int kvm_fpr_arm(uint64_t *epoch)
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
