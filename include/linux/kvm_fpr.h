/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Free page filter: what the rest of KVM calls, and what an architecture may
 * provide.  See Documentation/virt/kvm/free-page-filter.rst.
 */
#ifndef __KVM_FPR_H
#define __KVM_FPR_H

#include <linux/bitops.h>
#include <linux/jump_label.h>
#include <linux/kvm_host.h>
#include <uapi/linux/kvm_fpr.h>

#ifdef CONFIG_KVM_FREE_PAGE_FILTER

/**
 * struct kvm_fpr_touched - T of a memslot: the pages written since it was armed
 * @base_gfn:	where the memslot lay when it was armed last; under slots_lock
 * @slot:	until it is published: the memslot that it is for
 * @next:	until it is published: the next one that waits for that
 * @bitmap:	a bit for each page of the memslot
 */
struct kvm_fpr_touched {
	gfn_t base_gfn;
	struct kvm_memory_slot *slot;
	struct kvm_fpr_touched *next;
	unsigned long bitmap[];
};

/* On while the host has a VM that was armed, for which kvm_fpr_touch() looks for T. */
DECLARE_STATIC_KEY_FALSE(kvm_fpr_used);

/* Dirty pages of word @i of an armed @slot's bitmaps that can still be filtered. */
static inline unsigned long
kvm_fpr_tracked_word(const struct kvm_memory_slot *slot, unsigned long i)
{
	return READ_ONCE(slot->dirty_bitmap[i]) &
	       ~READ_ONCE(slot->fpr.touched->bitmap[i]);
}

/*
 * Record a write to page @rel_gfn of @slot, before the page's dirty bit is
 * set: KVM_FPR_SET_BITMAP clears dirty bits first and then looks again at the
 * touched bits, so of a write that happens meanwhile one or the other side
 * sees the mark.
 *
 * The caller is within kvm->srcu.  ARM waits for those who found no T just before
 * it was published, or did not look for one just before the key was on, as it does
 * for those who marked T before it was zeroed.
 */
static inline void kvm_fpr_touch(const struct kvm_memory_slot *slot,
				 unsigned long rel_gfn)
{
	struct kvm_fpr_touched *touched;

	/* Where nobody arms, this is all that it costs: no branch. */
	if (!static_branch_unlikely(&kvm_fpr_used))
		return;

	/* Pairs with the release in fpr_publish(): the bitmap is zeroed. */
	touched = READ_ONCE(slot->fpr.touched);
	if (!touched)
		return;
	set_bit_le(rel_gfn, touched->bitmap);
	/* Pairs with atomic_long_fetch_andnot() in fpr_filter_word(). */
	smp_mb__after_atomic();
}

/* Called when the memslot @old becomes @new; either may be NULL. */
static inline void kvm_fpr_prepare_memslot(const struct kvm_memory_slot *old,
					   struct kvm_memory_slot *new)
{
	if (old && new && new->flags & KVM_MEM_LOG_DIRTY_PAGES)
		new->fpr = old->fpr;
}

void kvm_fpr_free_memslot(struct kvm_memory_slot *slot);
void kvm_fpr_destroy_vm(struct kvm *kvm);

/* Called under slots_lock when a memslot began to log dirty pages, or ended it. */
static inline void kvm_fpr_account_logging(struct kvm *kvm)
{
	lockdep_assert_held(&kvm->slots_lock);

	kvm->stat.generic.fpr.memslots_logging =
		atomic_read(&kvm->nr_memslots_dirty_logging);
}

static inline bool kvm_fpr_is_ioctl(unsigned int ioctl)
{
	return ioctl == KVM_FPR_ARM || ioctl == KVM_FPR_SET_BITMAP ||
	       ioctl == KVM_FPR_DISARM;
}

long kvm_fpr_ioctl(struct kvm *kvm, unsigned int ioctl, void __user *argp);
int kvm_fpr_check_extension(struct kvm *kvm);
int kvm_fpr_enable_cap(struct kvm *kvm, const struct kvm_enable_cap *cap);

/**
 * kvm_fpr_protect_dirty - protect the pages of a slot that are in D, not in T
 * @kvm: the VM
 * @slot: the memslot, which is armed
 *
 * Context: slots_lock held, mmu_lock not.  The caller flushes the TLBs.
 */
void kvm_fpr_protect_dirty(struct kvm *kvm, struct kvm_memory_slot *slot);

/* Between steps of what protects pages with mmu_lock held for writing. */
void kvm_fpr_yield(struct kvm *kvm);

/*
 * Whether the dirty log of @kvm says all that there is to know of its memory.  Each
 * architecture that selects KVM_FREE_PAGE_FILTER says so itself.
 */
bool kvm_arch_fpr_supported(struct kvm *kvm);

#ifdef CONFIG_HAVE_KVM_ARCH_FPR_PROTECT
/*
 * Make the next write to a page of @slot known to the dirty log where
 * kvm_fpr_tracked_word() has the page; the bitmaps stay as they are.  The caller
 * holds slots_lock and flushes the TLBs.
 */
void kvm_arch_fpr_protect_slot(struct kvm *kvm, struct kvm_memory_slot *slot);
#else
static inline void kvm_arch_fpr_protect_slot(struct kvm *kvm,
					     struct kvm_memory_slot *slot)
{
	kvm_fpr_protect_dirty(kvm, slot);
}
#endif

#else /* !CONFIG_KVM_FREE_PAGE_FILTER */

static inline unsigned long
kvm_fpr_tracked_word(const struct kvm_memory_slot *slot, unsigned long i)
{
	return 0;
}

static inline void kvm_fpr_touch(const struct kvm_memory_slot *slot,
				 unsigned long rel_gfn)
{
}

static inline void kvm_fpr_prepare_memslot(const struct kvm_memory_slot *old,
					   struct kvm_memory_slot *new)
{
}

static inline void kvm_fpr_free_memslot(struct kvm_memory_slot *slot)
{
}

static inline void kvm_fpr_destroy_vm(struct kvm *kvm)
{
}

static inline void kvm_fpr_account_logging(struct kvm *kvm)
{
}

static inline bool kvm_fpr_is_ioctl(unsigned int ioctl)
{
	return false;
}

static inline long kvm_fpr_ioctl(struct kvm *kvm, unsigned int ioctl,
				 void __user *argp)
{
	return -ENOTTY;
}

static inline int kvm_fpr_check_extension(struct kvm *kvm)
{
	return 0;
}

static inline int kvm_fpr_enable_cap(struct kvm *kvm,
				     const struct kvm_enable_cap *cap)
{
	return -EINVAL;
}

#endif /* CONFIG_KVM_FREE_PAGE_FILTER */

/*
 * Mark page @rel_gfn of @slot dirty, which has a dirty bitmap: T, and then D.  Where
 * the dirty ring has the place of D there is no T.
 */
static inline void kvm_fpr_mark_dirty(const struct kvm_memory_slot *slot,
				      unsigned long rel_gfn)
{
	kvm_fpr_touch(slot, rel_gfn);
	set_bit_le(rel_gfn, slot->dirty_bitmap);
}

#endif /* __KVM_FPR_H */
