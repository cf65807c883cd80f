/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Free page filter: what Linux 6.12 has otherwise than the newer versions that
 * it is built for.  Where names alone differ, our code has the newer ones.
 */
#ifndef __KVM_X86_FREE_PAGE_FILTER_COMPAT_H
#define __KVM_X86_FREE_PAGE_FILTER_COMPAT_H

#include <linux/version.h>

#include "mmu/mmu_internal.h"
#include "mmu/spte.h"
#include "mmu/tdp_iter.h"

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)

/* Whether the CPU itself logs the writes of the guest through @root. */
static inline bool fpr_cpu_logs_writes(struct kvm *kvm,
				       struct kvm_mmu_page *root)
{
	return kvm_x86_ops.cpu_dirty_log_size && kvm_ad_enabled() &&
	       !kvm_mmu_page_ad_need_write_protect(root);
}

/* The bit of @spte, a leaf, that tells that its page was written, is cleared. */
static inline void fpr_spte_loses_bit(u64 spte, u64 bit)
{
	if (bit == (spte_shadow_dirty_mask(spte) ?: PT_WRITABLE_MASK))
		kvm_set_pfn_dirty(spte_to_pfn(spte));
}

#define fpr_for_each_pte(iter, kvm, root, min_level, start, end)	\
	for_each_tdp_pte_min_level(iter, root, min_level, start, end)

#else

static inline bool fpr_cpu_logs_writes(struct kvm *kvm,
				       struct kvm_mmu_page *root)
{
	return kvm->arch.cpu_dirty_log_size && kvm_ad_enabled &&
	       !kvm_mmu_page_ad_need_write_protect(kvm, root);
}

/* The page's folio was marked dirty when the SPTE was made. */
static inline void fpr_spte_loses_bit(u64 spte, u64 bit)
{
}

#define fpr_for_each_pte	for_each_tdp_pte_min_level

#endif

#endif /* __KVM_X86_FREE_PAGE_FILTER_COMPAT_H */
