// SPDX-License-Identifier: GPL-2.0-only
/* Free page filter, x86's part. */
#include <linux/kvm_fpr.h>

#include "free_page_filter_compat.h"
#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/mmutrace.h"
#include "mmu/spte.h"
#include "mmu/tdp_iter.h"

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

#ifdef CONFIG_X86_64

/* Pages protected between two offers to reschedule and to let go of mmu_lock. */
#define FPR_PROTECT_PAGES	(SZ_8M / PAGE_SIZE)

/* Part of a memslot, in pages from the slot's beginning. */
struct fpr_range {
	struct kvm_memory_slot *slot;
	unsigned long first;
	unsigned long end;
};

/* The part of @range that an SPTE for @gfn at @level maps. */
static struct fpr_range fpr_range_of_spte(const struct fpr_range *range,
					  gfn_t gfn, int level)
{
	gfn_t base = range->slot->base_gfn;

	return (struct fpr_range) {
		.slot = range->slot,
		.first = max(gfn, base + range->first) - base,
		.end = min(gfn + KVM_PAGES_PER_HPAGE(level), base + range->end) - base,
	};
}

/* What is to be protected of word @i of the bitmaps, and in @range. */
static unsigned long fpr_range_word(const struct fpr_range *range,
				    unsigned long i)
{
	unsigned long mask = kvm_fpr_tracked_word(range->slot, i);

	if (i == BIT_WORD(range->first))
		mask &= BITMAP_FIRST_WORD_MASK(range->first);
	if (i == BIT_WORD(range->end - 1))
		mask &= BITMAP_LAST_WORD_MASK(range->end);
	return mask;
}

static bool fpr_range_is_tracked(const struct fpr_range *range)
{
	unsigned long i;

	for (i = BIT_WORD(range->first); i <= BIT_WORD(range->end - 1); i++) {
		if (fpr_range_word(range, i))
			return true;
	}
	return false;
}

/*
 * Clears @bit, which is set in @old, of a leaf SPTE as the TDP MMU does under
 * the read side of mmu_lock: CPUs, the lockless fault handler and other holders
 * of the lock may change it meanwhile.  Of what handle_changed_spte() keeps
 * books of only the page's dirty state can change by that, if @bit is what
 * tells it.  On failure @old is what the SPTE was changed to.
 */
static bool fpr_try_clear_bit(int as_id, gfn_t gfn, int level,
			      tdp_ptep_t sptep, u64 *old, u64 bit)
{
	u64 new = *old & ~bit;

	if (!try_cmpxchg64(rcu_dereference(sptep), old, new))
		return false;

	trace_kvm_tdp_mmu_spte_changed(as_id, gfn, level, *old, new);
	fpr_spte_loses_bit(*old, bit);
	return true;
}

static void fpr_protect_4k(int as_id, gfn_t gfn, tdp_ptep_t sptep, u64 bit)
{
	u64 old = kvm_tdp_mmu_read_spte(sptep);

	while (is_shadow_present_pte(old) && old & bit) {
		if (fpr_try_clear_bit(as_id, gfn, PG_LEVEL_4K, sptep, &old, bit))
			break;
	}
}

/* Protects pages of @range that the page table of 4KiB SPTEs below @iter maps. */
static void fpr_protect_table(const struct tdp_iter *iter,
			      const struct fpr_range *range, u64 bit)
{
	tdp_ptep_t table = spte_to_child_pt(iter->old_spte, iter->level);
	gfn_t base = range->slot->base_gfn;
	unsigned long i, mask;
	gfn_t gfn;

	for (i = BIT_WORD(range->first); i <= BIT_WORD(range->end - 1); i++) {
		for (mask = fpr_range_word(range, i); mask; mask &= mask - 1) {
			gfn = base + i * BITS_PER_LONG + __ffs(mask);
			fpr_protect_4k(iter->as_id, gfn, table + (gfn - iter->gfn), bit);
		}
	}
}

static void fpr_protect_root(struct kvm *kvm, struct kvm_mmu_page *root,
			     const struct fpr_range *range)
{
	gfn_t base = range->slot->base_gfn;
	struct fpr_range part;
	struct tdp_iter iter;
	u64 bit;

	/* With PML the CPU itself logs writes to a page that is not dirty. */
	bit = fpr_cpu_logs_writes(kvm, root) ? shadow_dirty_mask : PT_WRITABLE_MASK;

	fpr_for_each_pte(iter, kvm, root, PG_LEVEL_2M, base + range->first,
			 base + range->end) {
retry:
		if (!is_shadow_present_pte(iter.old_spte))
			continue;

		part = fpr_range_of_spte(range, iter.gfn, iter.level);
		if (!is_last_spte(iter.old_spte, iter.level)) {
			if (iter.level == PG_LEVEL_2M)
				fpr_protect_table(&iter, &part, bit);
			continue;
		}

		/* The log is by 4KiB: the first write is to split the page. */
		if (!(iter.old_spte & PT_WRITABLE_MASK) ||
		    !fpr_range_is_tracked(&part))
			continue;
		if (!fpr_try_clear_bit(iter.as_id, iter.gfn, iter.level, iter.sptep,
				       &iter.old_spte, PT_WRITABLE_MASK))
			goto retry;
	}
}

/*
 * Roots and page tables can go away while mmu_lock is only held for reading,
 * but not their memory before RCU's read section ends; that a page table is not
 * linked any more does no harm, its SPTEs are not present.  What is mapped
 * meanwhile is mapped by fault handlers that set T.
 */
static void fpr_protect_range(struct kvm *kvm, const struct fpr_range *range)
{
	struct kvm_mmu_page *root;

	lockdep_assert_held_read(&kvm->mmu_lock);

	rcu_read_lock();
	list_for_each_entry_rcu(root, &kvm->arch.tdp_mmu_roots, link) {
		if (!root->role.invalid &&
		    kvm_mmu_page_as_id(root) == range->slot->as_id)
			fpr_protect_root(kvm, root, range);
	}
	rcu_read_unlock();
}

/*
 * Does what kvm_fpr_protect_dirty() does, with the page tables looked up once
 * for 512 pages instead of 64, and with vCPUs allowed to handle faults
 * meanwhile: only the fault handlers that ARM has waited for could map a page
 * writable and not leave its bit in T.
 */
static void fpr_protect_tdp(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct fpr_range range = { .slot = slot };

	read_lock(&kvm->mmu_lock);
	for (; range.first < slot->npages; range.first = range.end) {
		range.end = min(range.first + FPR_PROTECT_PAGES, slot->npages);
		fpr_protect_range(kvm, &range);
		cond_resched_rwlock_read(&kvm->mmu_lock);
	}
	read_unlock(&kvm->mmu_lock);
}

#else

static void fpr_protect_tdp(struct kvm *kvm, struct kvm_memory_slot *slot)
{
}

#endif /* CONFIG_X86_64 */

/* Shadow page tables, nested guests' as well, are left to KVM's own functions. */
void kvm_arch_fpr_protect_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	lockdep_assert_held(&kvm->slots_lock);

	if (kvm_memslots_have_rmaps(kvm))
		kvm_fpr_protect_dirty(kvm, slot);
	else
		fpr_protect_tdp(kvm, slot);
}
