/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Free page filter: what the rest of KVM calls, and what an architecture may
 * provide.  See Documentation/virt/kvm/free-page-filter.rst.
 */
#ifndef __KVM_FPR_H
#define __KVM_FPR_H

#include <linux/bitops.h>
#include <linux/kvm_host.h>
#include <uapi/linux/kvm_fpr.h>

/*
 * The epoch that a memslot's touched bitmap began with and the base gfn it had
 * then.  Lies behind the slot's bitmaps; a fresh allocation is zeroed and so
 * belongs to no epoch.  Protected by kvm->slots_lock.
 */
struct kvm_fpr_stamp {
	u64 epoch;
	gfn_t base_gfn;
};

#ifdef CONFIG_KVM_FREE_PAGE_FILTER

/*
 * Bytes to allocate for a memslot that logs dirty pages: the dirty bitmap,
 * KVM's copy buffer, the touched bitmap, and the stamp.
 */
static inline size_t kvm_fpr_alloc_bytes(struct kvm_memory_slot *slot)
{
	return ALIGN(3 * kvm_dirty_bitmap_bytes(slot),
		     __alignof__(struct kvm_fpr_stamp)) +
	       sizeof(struct kvm_fpr_stamp);
}

/* The pages of @slot that were written since the slot was armed. */
static inline unsigned long *
kvm_fpr_touched_bitmap(const struct kvm_memory_slot *slot)
{
	return slot->dirty_bitmap + 2 * BITS_TO_LONGS(slot->npages);
}

/* Dirty pages of word @i of @slot's bitmaps that this epoch can still filter. */
static inline unsigned long
kvm_fpr_tracked_word(const struct kvm_memory_slot *slot, unsigned long i)
{
	return READ_ONCE(slot->dirty_bitmap[i]) &
	       ~READ_ONCE(kvm_fpr_touched_bitmap(slot)[i]);
}

/*
 * Record a write to page @rel_gfn of @slot, before the page's dirty bit is
 * set: KVM_FPR_SET_BITMAP clears dirty bits first and then looks again at the
 * touched bits, so of a write that happens meanwhile one or the other side
 * sees the mark.
 */
static inline void kvm_fpr_touch(const struct kvm_memory_slot *slot,
				 unsigned long rel_gfn)
{
	if (!slot->dirty_bitmap)
		return;

	set_bit_le(rel_gfn, kvm_fpr_touched_bitmap(slot));
	/* Pairs with atomic_long_fetch_andnot() in fpr_filter_word(). */
	smp_mb__after_atomic();
}

/* Called under slots_lock when a memslot began to log dirty pages, or ceased to. */
static inline void kvm_fpr_account_logging(struct kvm *kvm)
{
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

/* Whether the dirty log of @kvm says all that there is to know of its memory. */
bool kvm_arch_fpr_supported(struct kvm *kvm);
/*
 * Make the next write to a page of @slot known to the dirty log where
 * kvm_fpr_tracked_word() has the page; the bitmaps stay as they are.  The caller
 * holds slots_lock and flushes the TLBs.
 */
void kvm_arch_fpr_protect_slot(struct kvm *kvm, struct kvm_memory_slot *slot);
/* The same by architecture-independent means. */
void kvm_fpr_protect_dirty(struct kvm *kvm, struct kvm_memory_slot *slot);

#else /* !CONFIG_KVM_FREE_PAGE_FILTER */

static inline size_t kvm_fpr_alloc_bytes(struct kvm_memory_slot *slot)
{
	return 2 * kvm_dirty_bitmap_bytes(slot);
}

static inline void kvm_fpr_touch(const struct kvm_memory_slot *slot,
				 unsigned long rel_gfn)
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
#endif /* __KVM_FPR_H */
