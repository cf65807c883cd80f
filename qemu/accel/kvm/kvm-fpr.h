/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's free page filter
 */

#ifndef KVM_FPR_H
#define KVM_FPR_H

#include "accel/free-page-ops.h"
#include "system/kvm.h"

/* For KVM's AccelClass */
extern const AccelFreePageOps kvm_fpr_ops;

/* What kvm-all.c has for it */

/* Called with the memory slots locked */
typedef int KVMSlotsFunc(KVMState *s, void *opaque);

/**
 * kvm_with_slots_locked: call a function with the memory slots locked
 * @s: KVM's state
 * @func: the function, which must not wait for anybody who has the BQL
 * @opaque: passed to it
 *
 * No slot changes meanwhile, and nobody else reads or clears KVM's dirty log,
 * or the slots' copies of it.  Called with or without the BQL.
 *
 * Returns what @func returns.
 */
int kvm_with_slots_locked(KVMState *s, KVMSlotsFunc *func, void *opaque);

#endif
