// SPDX-License-Identifier: GPL-2.0-only
/* Free page filter, arm64's part. */
#include <linux/kvm_fpr.h>

#include <asm/kvm_mmu.h>
#include <asm/kvm_pgtable.h>
#include <asm/virt.h>

/* What a visitor returns to end the walk, and not as a failure. */
#define FPR_STEP_DONE	1

/*
 * A step of the walk, in pages from the memslot's beginning.  It lies within what
 * one table of the last level maps, or would map.
 */
struct fpr_step {
	const struct kvm_memory_slot *slot;
	unsigned long first;
	unsigned long end;
};

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

/* The tracked pages of word @i of the memslot's bitmaps that are in @step. */
static unsigned long fpr_step_word(const struct fpr_step *step, unsigned long i)
{
	unsigned long mask = kvm_fpr_tracked_word(step->slot, i);

	if (i == BIT_WORD(step->first))
		mask &= BITMAP_FIRST_WORD_MASK(step->first);
	if (i == BIT_WORD(step->end - 1))
		mask &= BITMAP_LAST_WORD_MASK(step->end);
	return mask;
}

static bool fpr_step_is_tracked(const struct fpr_step *step)
{
	unsigned long i;

	for (i = BIT_WORD(step->first); i <= BIT_WORD(step->end - 1); i++) {
		if (fpr_step_word(step, i))
			return true;
	}
	return false;
}

/*
 * Take a leaf's write permission, as stage2_attr_walker() does where the dirty log
 * write-protects.  What is not valid has none: its bits mean something else.
 *
 * With mmu_lock held for write nobody but the CPUs changes the leaf, and they set
 * no more than its access flag.  If that gets lost, the next access sets it again.
 * To take a permission needs no break-before-make: until the TLBs are flushed a CPU
 * may go on with the old one, and no epoch is current before that.  Neither the
 * caches nor the memory's attributes are concerned.
 */
static void fpr_protect_leaf(kvm_pte_t *ptep)
{
	kvm_pte_t pte = READ_ONCE(*ptep);

	if (kvm_pte_valid(pte) && pte & KVM_PTE_LEAF_ATTR_LO_S2_S2AP_W)
		WRITE_ONCE(*ptep, pte & ~KVM_PTE_LEAF_ATTR_LO_S2_S2AP_W);
}

/* @ptep is the leaf of the first page of @step, in a table of the last level. */
static void fpr_protect_pages(const struct fpr_step *step, kvm_pte_t *ptep)
{
	unsigned long i, mask;

	for (i = BIT_WORD(step->first); i <= BIT_WORD(step->end - 1); i++) {
		for (mask = fpr_step_word(step, i); mask; mask &= mask - 1)
			fpr_protect_leaf(ptep + i * BITS_PER_LONG + __ffs(mask) -
					 step->first);
	}
}

/*
 * Called for the leaf of the first page of a step, and for no other: either it is
 * of a higher level and has all of the step's pages, or it is in the table that has
 * the leaves of all.  From there on the bitmaps lead to the leaves: to have each
 * visited costs several times what is done to it.
 *
 * The log is by pages, so a block is protected if it has any that is tracked.  It
 * is left whole: the first write to it faults, and maps that page alone.  CLEAR may
 * split blocks at once, but only to save the guest these faults.
 */
static int fpr_visit_leaf(const struct kvm_pgtable_visit_ctx *ctx,
			  enum kvm_pgtable_walk_flags visit)
{
	if (ctx->level == KVM_PGTABLE_LAST_LEVEL)
		fpr_protect_pages(ctx->arg, ctx->ptep);
	else
		fpr_protect_leaf(ctx->ptep);
	return FPR_STEP_DONE;
}

static void fpr_protect_step(struct kvm *kvm, struct fpr_step *step)
{
	struct kvm_pgtable *pgt = kvm->arch.mmu.pgt;
	struct kvm_pgtable_walker walker = {
		.cb	= fpr_visit_leaf,
		.arg	= step,
		.flags	= KVM_PGTABLE_WALK_LEAF,
	};

	lockdep_assert_held_write(&kvm->mmu_lock);

	/*
	 * kvm_free_stage2_pgd() has taken it away, with mmu_lock held for write: the
	 * owner's memory is gone, and no vCPU runs any more.  The caller is another
	 * process.
	 */
	if (!pgt)
		return;
	/* There is a leaf for each page of a memslot, valid or not. */
	WARN_ON_ONCE(kvm_pgtable_walk(pgt, gfn_to_gpa(step->slot->base_gfn + step->first),
				      (step->end - step->first) << PAGE_SHIFT,
				      &walker) != FPR_STEP_DONE);
}

/* Where the step ends that begins with page @first of @slot. */
static unsigned long fpr_step_end(const struct kvm_memory_slot *slot,
				  unsigned long first)
{
	gfn_t next = round_up(slot->base_gfn + first + 1, PTRS_PER_PTE);

	return min(next - slot->base_gfn, slot->npages);
}

/*
 * Walk stage 2 once for each table of the last level.  What the dirty log has for
 * masks walks it for 64 pages, and visits the leaves between those of the mask,
 * too.  Pages that are not tracked stay as they are.
 *
 * mmu_lock is held for write, as by KVM itself where it write-protects stage 2.  A
 * guest with EL2 cannot use the filter, so there are no other tables than those of
 * kvm->arch.mmu.  With pKVM the hypervisor may have them, so that is left to KVM's
 * own functions.
 */
void kvm_arch_fpr_protect_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct fpr_step step = { .slot = slot };

	lockdep_assert_held(&kvm->slots_lock);

	if (is_protected_kvm_enabled()) {
		kvm_fpr_protect_dirty(kvm, slot);
		return;
	}

	write_lock(&kvm->mmu_lock);
	for (; step.first < slot->npages; step.first = step.end) {
		step.end = fpr_step_end(slot, step.first);
		if (fpr_step_is_tracked(&step))
			fpr_protect_step(kvm, &step);
		kvm_fpr_yield(kvm);
	}
	write_unlock(&kvm->mmu_lock);
}
