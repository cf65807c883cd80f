/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control of the measurements: the filter made of upstream's ioctls alone
 */

#ifndef KVM_FPR_VMM_H
#define KVM_FPR_VMM_H

#include "system/kvm_int.h"
#include <linux/kvm_fpr.h>

/**
 * kvm_fpr_vmm: whether the control takes the place of KVM's filter
 *
 * It does if the variable KVM_FPR_VMM is in QEMU's environment.
 */
bool kvm_fpr_vmm(void);

/**
 * kvm_fpr_vmm_works: whether this machine can use the control
 *
 * Warns if it cannot, and says why.
 */
bool kvm_fpr_vmm_works(void);

/**
 * kvm_fpr_vmm_arm: begin an epoch
 * @epoch: receives its number
 *
 * Returns 0 or a negative errno.
 */
int kvm_fpr_vmm_arm(uint64_t *epoch);

/**
 * kvm_fpr_vmm_set: find which pages of a report were not written in its epoch
 * @slot: all of the report lies in it
 * @arg: as for KVM_FPR_SET_BITMAP with KVM_FPR_SET_CONFIRM
 *
 * Called with the memory slots locked.  Returns 0; -ESTALE if the epoch is over
 * or the slot is newer than it; or another negative errno.
 */
int kvm_fpr_vmm_set(const KVMSlot *slot, struct kvm_fpr_bitmap *arg);

#endif
