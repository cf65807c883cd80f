// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free page filter: take pages that the guest reported free out of the dirty
 * log.
 *
 * A memslot that logs dirty pages gets another bitmap of the same size when it
 * is armed for the first time, the touched bitmap T.  KVM_FPR_ARM zeroes T and
 * protects the pages again, so that from then on every write sets the page's bit
 * in T and then in the dirty bitmap D.  A page that the guest names free after
 * that, and whose bit in T is clear, has a content that nobody needs:
 * KVM_FPR_SET_BITMAP clears its bit in D.  KVM_GET_DIRTY_LOG and
 * KVM_CLEAR_DIRTY_LOG know nothing of all this.
 *
 * D, T and the epoch change under slots_lock, as with the two ioctls above and
 * every change of a memslot; only marking a page (kvm_fpr_touch()) does without.
 * ARM's wait for those who are about to mark one, and all access to the caller's
 * memory, hold no lock.
 *
 * Documentation/virt/kvm/free-page-filter.rst argues why no write is lost.
 */
#include <linux/bitmap.h>
#include <linux/capability.h>
#include <linux/jump_label.h>
#include <linux/kvm_fpr.h>
#include <linux/memcontrol.h>
#include <linux/once.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "kvm_mm.h"

#define CREATE_TRACE_POINTS
#include <trace/events/kvm_fpr.h>

#define FPR_SUPPORTED_FLAGS	(KVM_FPR_CAP_CONFIRM | KVM_FPR_CAP_FOREIGN | \
				 KVM_FPR_CAP_CANDIDATES)

/* Pages of one chunk: slots_lock is released between chunks. */
#define FPR_CHUNK_PAGES		(PAGE_SIZE * BITS_PER_BYTE)
#define FPR_CHUNK_LONGS		(FPR_CHUNK_PAGES / BITS_PER_LONG)
/* Bits of a chunk's bitmap with its spare words, see struct fpr_chunk. */
#define FPR_CHUNK_BITS		(FPR_CHUNK_PAGES + 2 * BITS_PER_LONG)

/* Words of a bitmap worked on between two offers to reschedule. */
#define FPR_RESCHED_LONGS	(SZ_32K / sizeof(long))

/* How long signals leave a drain alone: far longer than it takes if no vCPU waits. */
#define FPR_DRAIN_JIFFIES	HZ

/*
 * Bitmaps over one chunk.  Memslots need not begin at a multiple of
 * BITS_PER_LONG pages from the chunk, so a word of a slot's bitmap can stick
 * out at either end: hence the spare words.
 */
struct fpr_chunk {
	gfn_t start;
	gfn_t end;
	/* From userspace, 0 outside the chunk: the report or the candidates. */
	unsigned long given[FPR_CHUNK_LONGS + 2];
	/* Confirmed by at least one address space. */
	unsigned long agreed[FPR_CHUNK_LONGS + 2];
	/* Given, and mapped by an address space that does not confirm them. */
	unsigned long refused[FPR_CHUNK_LONGS + 2];
};

DEFINE_STATIC_KEY_FALSE(kvm_fpr_used);

/* One counter for all VMs, so that no number is ever used twice. */
static atomic64_t fpr_nr_epochs = ATOMIC64_INIT(0);

/*
 * Epochs are numbered from a random number on.  A migrated guest may still have
 * a report for an epoch of another host, or of this one before KVM was reloaded,
 * which must not be taken for one of ours.  Below 2^52, which JSON can hold.
 */
static u64 fpr_epoch(u64 random, u64 nr)
{
	return (random >> 13) + nr;
}

static u64 fpr_new_epoch(void)
{
	static u64 base;

	get_random_once(&base, sizeof(base));
	return fpr_epoch(base, atomic64_inc_return(&fpr_nr_epochs));
}

static int fpr_check_vm(struct kvm *kvm)
{
	if (!kvm_arch_fpr_supported(kvm))
		return -EOPNOTSUPP;
	if (kvm->dirty_ring_size)
		return -ENXIO;
	return 0;
}

/**
 * kvm_fpr_check_extension - answer to KVM_CHECK_EXTENSION
 * @kvm: the VM that is asked, NULL for the system
 *
 * Return: the mask of supported flags, 0 for a VM that cannot use the filter.
 */
int kvm_fpr_check_extension(struct kvm *kvm)
{
	return kvm && fpr_check_vm(kvm) ? 0 : FPR_SUPPORTED_FLAGS;
}

/**
 * kvm_fpr_enable_cap - let other processes call, or no longer
 * @kvm: the VM
 * @cap: args[0] is KVM_FPR_CAP_FOREIGN or 0
 *
 * Return: 0, -EINVAL for anything else in @cap.
 */
int kvm_fpr_enable_cap(struct kvm *kvm, const struct kvm_enable_cap *cap)
{
	if (cap->flags || cap->args[0] & ~(u64)KVM_FPR_CAP_FOREIGN ||
	    cap->args[1] || cap->args[2] || cap->args[3])
		return -EINVAL;

	WRITE_ONCE(kvm->fpr.foreign, cap->args[0]);
	return 0;
}

/* A holder of the lock may be waiting for whoever calls: signals end it. */
static int fpr_lock(struct kvm *kvm)
{
	return mutex_lock_interruptible(&kvm->slots_lock) ? -ERESTARTSYS : 0;
}

static bool fpr_may_call(struct kvm *kvm)
{
	return kvm->mm == current->mm || READ_ONCE(kvm->fpr.foreign) ||
	       capable(CAP_SYS_ADMIN);
}

/*
 * Whether a report can speak of @slot: it logs dirty pages, and the guest's
 * writes to it are in that log.  A write to read-only memory is MMIO, which a
 * VMM may carry out by changing what lies behind.
 */
static bool fpr_can_arm(const struct kvm_memory_slot *slot)
{
	return slot->dirty_bitmap && !(slot->flags & KVM_MEM_READONLY);
}

/*
 * Whether T of @slot has all writes since the last ARM began, and has them for the
 * gfns of the slot now.  ARM gives every slot a T that can have one, and T is freed
 * when logging ends.  So a slot has none if it was created, or its logging switched
 * on, after ARM.  A slot that has moved keeps T, but a gfn in a report now means
 * another page of that slot.
 */
static bool fpr_takes_part(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	lockdep_assert_held(&kvm->slots_lock);

	return slot->fpr.touched && slot->fpr.touched->base_gfn == slot->base_gfn;
}

/* Every memslot of every address space; the caller holds slots_lock. */
#define fpr_for_each_memslot(kvm, as_id, bkt, slot)			\
	for (as_id = 0; as_id < kvm_arch_nr_memslot_as_ids(kvm); as_id++) \
		kvm_for_each_memslot(slot, bkt, __kvm_memslots(kvm, as_id))

/* The same, of one range of gfns; @iter is struct kvm_memslot_iter. */
#define fpr_for_each_memslot_in_range(kvm, as_id, iter, start, end)	\
	for (as_id = 0; as_id < kvm_arch_nr_memslot_as_ids(kvm); as_id++) \
		kvm_for_each_memslot_in_gfn_range(iter,			\
						  __kvm_memslots(kvm, as_id), \
						  start, end)

static void fpr_fill_touched(struct kvm_memory_slot *slot, unsigned long word)
{
	unsigned long *touched = slot->fpr.touched->bitmap;
	unsigned long i;

	for (i = 0; i < BITS_TO_LONGS(slot->npages); i++) {
		WRITE_ONCE(touched[i], word);
		if (!(i % FPR_RESCHED_LONGS))
			cond_resched();
	}
}

/**
 * kvm_fpr_yield - let others have mmu_lock if they want it
 * @kvm: the VM, whose mmu_lock is held for writing
 *
 * The TLBs are flushed before: others rely on what an SPTE says once the lock is free,
 * and that of a huge page may have lost more than its dirty status.
 */
void kvm_fpr_yield(struct kvm *kvm)
{
#ifdef KVM_HAVE_MMU_RWLOCK
	if (!need_resched() && !rwlock_needbreak(&kvm->mmu_lock))
		return;
	kvm_flush_remote_tlbs(kvm);
	cond_resched_rwlock_write(&kvm->mmu_lock);
#else
	if (!need_resched() && !spin_needbreak(&kvm->mmu_lock))
		return;
	kvm_flush_remote_tlbs(kvm);
	cond_resched_lock(&kvm->mmu_lock);
#endif
}

/**
 * kvm_fpr_protect_dirty - protect the pages of a slot that are in D, not in T
 * @kvm: the VM
 * @slot: the memslot, which logs dirty pages
 *
 * A page whose bit in D is clear is protected already: GET, CLEAR and
 * SET_BITMAP leave no writable page behind without its bit.  A fault handler
 * that made a page writable and has not set its bit in D yet either sets the
 * bit in T later, or was waited for (see fpr_finish_epoch()).  A page whose
 * bit in T is set is not filtered, whatever is written to it.
 *
 * Context: slots_lock held, mmu_lock not.  The caller flushes the TLBs; what was
 * protected before mmu_lock was yielded in between has been flushed.
 */
void kvm_fpr_protect_dirty(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	unsigned long i, mask;

	lockdep_assert_held(&kvm->slots_lock);

	KVM_MMU_LOCK(kvm);
	for (i = 0; i < BITS_TO_LONGS(slot->npages); i++) {
		mask = kvm_fpr_tracked_word(slot, i);
		/* Architectures use __ffs() on the mask. */
		if (mask)
			kvm_arch_mmu_enable_log_dirty_pt_masked(kvm, slot,
								i * BITS_PER_LONG,
								mask);
		kvm_fpr_yield(kvm);
	}
	KVM_MMU_UNLOCK(kvm);
}

/* Reports of @epoch are taken, candidates for @arming; 0 for none. */
static void fpr_set_epoch(struct kvm *kvm, u64 epoch, u64 arming)
{
	lockdep_assert_held(&kvm->slots_lock);

	kvm->fpr.epoch = epoch;
	kvm->fpr.arming = arming;
	kvm->stat.generic.fpr.armed = !!epoch;
}

/*
 * From here on, what is allocated and accounted is charged to the VM, whoever
 * calls.  Returns the argument for fpr_charge_caller().
 */
static struct mem_cgroup *fpr_charge_vm(struct kvm *kvm)
{
	return set_active_memcg(get_mem_cgroup_from_mm(kvm->mm));
}

static void fpr_charge_caller(struct mem_cgroup *before)
{
	mem_cgroup_put(set_active_memcg(before));
}

/*
 * An ARM that fails is better than a VM that is killed for its memory.  vmalloc()
 * hands such a flag on for the pages, though not for the few page tables.
 */
static struct kvm_fpr_touched *fpr_alloc_touched(struct kvm_memory_slot *slot)
{
	struct kvm_fpr_touched *touched;

	touched = __vmalloc(struct_size(touched, bitmap,
					BITS_TO_LONGS(slot->npages)),
			    GFP_KERNEL_ACCOUNT | __GFP_ZERO |
			    __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	if (touched)
		touched->slot = slot;
	return touched;
}

static void fpr_free_touched(struct kvm_fpr_touched *list)
{
	struct kvm_fpr_touched *touched;

	while (list) {
		touched = list;
		list = touched->next;
		vfree(touched);
	}
}

/* Make a list with a T for each memslot that can be armed and has none; or -ENOMEM. */
static int fpr_alloc_all_touched(struct kvm *kvm, struct kvm_fpr_touched **list)
{
	struct kvm_fpr_touched *touched;
	struct kvm_memory_slot *slot;
	int as_id, bkt;

	fpr_for_each_memslot(kvm, as_id, bkt, slot) {
		if (!fpr_can_arm(slot) || slot->fpr.touched)
			continue;
		touched = fpr_alloc_touched(slot);
		if (!touched) {
			fpr_free_touched(*list);
			return -ENOMEM;
		}
		touched->next = *list;
		*list = touched;
	}
	return 0;
}

/*
 * From the return of this on, and until @kvm is destroyed, whoever marks a page dirty
 * looks for T: every CPU has seen the key change.  What turns it on comes before T is
 * published, and so before the wait of ARM for those who have not looked.
 *
 * Changing a key takes cpus_read_lock(), which is taken outside kvm_lock, and so
 * outside slots_lock.
 */
static void fpr_use(struct kvm *kvm)
{
	if (atomic_read(&kvm->fpr.used))
		return;

	static_branch_inc(&kvm_fpr_used);
	/* Another call may have been faster; each VM counts once. */
	if (atomic_xchg(&kvm->fpr.used, 1))
		static_branch_dec(&kvm_fpr_used);
}

/*
 * From here on whoever marks a page dirty marks T as well.  Those who looked just
 * before, and found no T, are in a read section of kvm->srcu that ARM waits for,
 * and are no different from those who marked T just before it was zeroed.
 */
static void fpr_publish(struct kvm_fpr_touched *list)
{
	for (; list; list = list->next) {
		/* Pairs with READ_ONCE() in kvm_fpr_touch(). */
		smp_store_release(&list->slot->fpr.touched, list);
	}
}

/* Give a T to each memslot that can be armed and has none; or to none, with -ENOMEM. */
static int fpr_give_touched(struct kvm *kvm)
{
	struct kvm_fpr_touched *fresh = NULL;
	struct mem_cgroup *before;
	int r;

	lockdep_assert_held(&kvm->slots_lock);

	before = fpr_charge_vm(kvm);
	r = fpr_alloc_all_touched(kvm, &fresh);
	fpr_charge_caller(before);
	if (!r)
		fpr_publish(fresh);
	return r;
}

/**
 * kvm_fpr_free_memslot - free T of a memslot whose logging ends
 * @slot: the memslot, which nobody can reach any more
 */
void kvm_fpr_free_memslot(struct kvm_memory_slot *slot)
{
	vfree(slot->fpr.touched);
	slot->fpr.touched = NULL;
}

static void fpr_drain_work(struct work_struct *work)
{
	struct kvm *kvm = container_of(work, struct kvm, fpr.drain.work);
	struct kvm_fpr_drain *drain = &kvm->fpr.drain;
	s64 wanted = atomic64_read(&drain->wanted);

	synchronize_srcu_expedited(&kvm->srcu);
	atomic64_set_release(&drain->done, wanted);
	wake_up_all(&drain->wait);
}

/* Called before the first drain: a VM that nobody arms has no work to cancel. */
static void fpr_init_drain(struct kvm *kvm)
{
	struct kvm_fpr_drain *drain = &kvm->fpr.drain;

	lockdep_assert_held(&kvm->slots_lock);

	if (drain->work.func)
		return;
	INIT_WORK(&drain->work, fpr_drain_work);
	init_waitqueue_head(&drain->wait);
}

/*
 * Wait for those who are in a read section of kvm->srcu now.  A vCPU that waits
 * for memory stays in one until the memory comes, which the caller itself may have
 * to provide, or which may never come.  So the caller holds no lock, lets a work
 * item do the waiting, and a signal ends its call.  A signal that does not kill ends
 * it only after FPR_DRAIN_JIFFIES: each call waits for a drain of its own, and would
 * never see one end if signals came faster than drains.
 */
static int fpr_drain(struct kvm *kvm)
{
	struct kvm_fpr_drain *drain = &kvm->fpr.drain;
	s64 ticket = atomic64_inc_return(&drain->wanted);
	long left;

	/* If the work runs already, for earlier callers, it runs once more. */
	queue_work(system_long_wq, &drain->work);
	left = wait_event_killable_timeout(drain->wait,
					   atomic64_read_acquire(&drain->done) >= ticket,
					   FPR_DRAIN_JIFFIES);
	if (left)
		return left < 0 ? left : 0;
	return wait_event_interruptible(drain->wait,
					atomic64_read_acquire(&drain->done) >= ticket);
}

/**
 * kvm_fpr_destroy_vm - end a drain that nobody waits for, and the use of the filter
 * @kvm: the VM, which has no vCPUs any more, before its srcu_struct goes away
 */
void kvm_fpr_destroy_vm(struct kvm *kvm)
{
	if (kvm->fpr.drain.work.func)
		cancel_work_sync(&kvm->fpr.drain.work);
	if (atomic_read(&kvm->fpr.used))
		static_branch_dec(&kvm_fpr_used);
}

/*
 * Flush the CPUs' logs of dirty pages: what they hold from before ARM would
 * count as touched.  One call flushes them for all memslots, on every architecture
 * that has such logs and selects KVM_FREE_PAGE_FILTER.
 */
static void fpr_sync_dirty_logs(struct kvm *kvm)
{
	struct kvm_memory_slot *slot;
	int as_id, bkt;

	fpr_for_each_memslot(kvm, as_id, bkt, slot) {
		if (fpr_can_arm(slot)) {
			kvm_arch_sync_dirty_log(kvm, slot);
			return;
		}
	}
}

/*
 * The first half of ARM, after which reports of no epoch are taken.  On failure
 * nothing has changed.
 */
static int fpr_begin_epoch(struct kvm *kvm, bool candidates, u64 *epoch)
{
	struct kvm_memory_slot *slot;
	int as_id, bkt, r;

	lockdep_assert_held(&kvm->slots_lock);

	r = fpr_give_touched(kvm);
	if (r)
		return r;

	*epoch = fpr_new_epoch();
	fpr_set_epoch(kvm, 0, *epoch);
	fpr_init_drain(kvm);
	fpr_sync_dirty_logs(kvm);

	fpr_for_each_memslot(kvm, as_id, bkt, slot) {
		if (!fpr_can_arm(slot))
			continue;
		fpr_fill_touched(slot, candidates ? ~0UL : 0);
		slot->fpr.touched->base_gfn = slot->base_gfn;
	}
	kvm->fpr.nr_zeroed++;
	return 0;
}

static bool fpr_is_tracked(const struct kvm_memory_slot *slot)
{
	unsigned long i;

	for (i = 0; i < BITS_TO_LONGS(slot->npages); i++) {
		if (kvm_fpr_tracked_word(slot, i))
			return true;
		if (!(i % FPR_RESCHED_LONGS))
			cond_resched();
	}
	return false;
}

/*
 * Protect what the epoch tracks.  The TLBs are flushed if there is any such page,
 * whether or not an SPTE had to be changed.  If KVM made a page old, its SPTE is
 * not writable any more, but what it was before may still be in a TLB.
 */
static void fpr_protect(struct kvm *kvm)
{
	struct kvm_memory_slot *slot;
	struct mem_cgroup *before;
	bool flush = false;
	int as_id, bkt;

	/* Page tables, where huge pages are split. */
	before = fpr_charge_vm(kvm);
	fpr_for_each_memslot(kvm, as_id, bkt, slot) {
		/* Slots can be new or have moved since the epoch was begun. */
		if (!fpr_takes_part(kvm, slot) || !fpr_is_tracked(slot))
			continue;
		kvm_arch_fpr_protect_slot(kvm, slot);
		flush = true;
		cond_resched();
	}
	fpr_charge_caller(before);

	if (flush)
		kvm_flush_remote_tlbs(kvm);
}

/*
 * The second half, without slots_lock.  The order of the steps is what makes the
 * filter safe:
 *
 * - The drain comes between zeroing T and protecting.  A fault handler may
 *   have set a page's bit in T just before it was zeroed, and make the page
 *   writable only after the walk has passed it: D set, T clear, and the next
 *   write would leave no trace in T.  Or it looked for T before there was one, or
 *   did not look because no VM was armed.
 *   Handlers run in a read section of kvm->srcu, and one that begins later sets
 *   the bit in T again.  What a CPU has in a log of its own (page modification
 *   logging) is also marked within kvm->srcu, and must be: a mark in D alone,
 *   made from such a log after the drain by somebody who looked for T before,
 *   would stand for a page that is not protected.
 *   Nor may T be zeroed again after the drain, by a call that goes on with the
 *   same epoch: @nr_zeroed is kvm->fpr.nr_zeroed from before it.
 * - The TLB flush comes before the epoch is the current one, else a stale
 *   translation could be written through.
 *
 * slots_lock is held from the protecting to the flush, as wherever pages are
 * protected for the dirty log.
 */
static int fpr_finish_epoch(struct kvm *kvm, u64 epoch, u64 nr_zeroed,
			    bool candidates)
{
	int r;

	r = fpr_drain(kvm) ?: fpr_lock(kvm);
	if (r)
		return r;

	if (kvm->fpr.arming != epoch) {
		r = -ESTALE;
		goto out_unlock;
	}
	if (kvm->fpr.nr_zeroed != nr_zeroed) {
		fpr_set_epoch(kvm, 0, 0);
		r = -ESTALE;
		goto out_unlock;
	}
	fpr_protect(kvm);
	fpr_set_epoch(kvm, epoch, 0);
	kvm->stat.generic.fpr.epochs_armed++;
	trace_kvm_fpr_arm(kvm, epoch, candidates);
out_unlock:
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/* BITS_PER_LONG bits of a chunk's bitmap from bit @off on; @off > -BITS_PER_LONG. */
static unsigned long fpr_get_bits(const unsigned long *bitmap, long off)
{
	unsigned long bit = off + BITS_PER_LONG;
	unsigned long shift = bit % BITS_PER_LONG;
	unsigned long word = bitmap[BIT_WORD(bit)] >> shift;

	if (shift)
		word |= bitmap[BIT_WORD(bit) + 1] << (BITS_PER_LONG - shift);
	return word;
}

/* Sets bits of a chunk's bitmap, @off as for fpr_get_bits(). */
static void fpr_or_bits(unsigned long *bitmap, long off, unsigned long word)
{
	unsigned long bit = off + BITS_PER_LONG;
	unsigned long shift = bit % BITS_PER_LONG;

	bitmap[BIT_WORD(bit)] |= word << shift;
	if (shift)
		bitmap[BIT_WORD(bit) + 1] |= word >> (BITS_PER_LONG - shift);
}

/* Where in a bitmap of @chunk the word @i of @slot's bitmaps begins. */
static long fpr_word_offset(const struct kvm_memory_slot *slot,
			    const struct fpr_chunk *chunk, unsigned long i)
{
	return slot->base_gfn + i * BITS_PER_LONG - chunk->start;
}

/*
 * Clears in @dirty the pages of @report that are not in @touched, and returns
 * them.  A page that is written while we do so may have had its bit in @dirty
 * set before we cleared it; then its bit in @touched was set earlier still, so
 * the second look sees it and the bit is put back.
 */
static unsigned long fpr_filter_word(unsigned long *dirty,
				     const unsigned long *touched,
				     unsigned long report, u64 *nr_filtered)
{
	unsigned long free, again, old;

	free = report & ~READ_ONCE(*touched);
	/* Nothing to clear: a write that comes now sets a bit that stays. */
	if (!(READ_ONCE(*dirty) & free))
		return free;

	/* A full barrier, which pairs with the one in kvm_fpr_touch(). */
	old = atomic_long_fetch_andnot(free, (atomic_long_t *)dirty);
	again = READ_ONCE(*touched) & free;
	if (again)
		atomic_long_or(again, (atomic_long_t *)dirty);

	*nr_filtered += hweight_long(old & free & ~again);
	return free & ~again;
}

/*
 * What was given for word @i of @slot's bitmaps.  Beyond the chunk it is 0; the
 * last word of a slot may reach beyond the slot.
 */
static unsigned long fpr_given_word(const struct kvm_memory_slot *slot,
				    const struct fpr_chunk *chunk,
				    unsigned long i)
{
	unsigned long word = fpr_get_bits(chunk->given,
					  fpr_word_offset(slot, chunk, i));

	if (i == BIT_WORD(slot->npages - 1))
		word &= BITMAP_LAST_WORD_MASK(slot->npages);
	return word;
}

/* The words of @slot's bitmaps that have pages of @chunk. */
#define fpr_for_each_word(slot, chunk, i)				\
	for (i = BIT_WORD(max((slot)->base_gfn, (chunk)->start) -	\
			  (slot)->base_gfn);				\
	     i <= BIT_WORD(min((slot)->base_gfn + (slot)->npages,	\
			       (chunk)->end) - 1 - (slot)->base_gfn);	\
	     i++)

static void fpr_add_candidates(struct kvm *kvm, const struct fpr_chunk *chunk)
{
	struct kvm_memslot_iter iter;
	struct kvm_memory_slot *slot;
	unsigned long i, word;
	int as_id;

	lockdep_assert_held(&kvm->slots_lock);

	fpr_for_each_memslot_in_range(kvm, as_id, &iter, chunk->start, chunk->end) {
		slot = iter.slot;
		if (!fpr_takes_part(kvm, slot))
			continue;
		fpr_for_each_word(slot, chunk, i) {
			word = fpr_given_word(slot, chunk, i);
			/* Other pages of the word may be touched meanwhile. */
			if (word)
				atomic_long_andnot(word, (atomic_long_t *)
						   &slot->fpr.touched->bitmap[i]);
		}
	}
	kvm->fpr.nr_zeroed++;
}

/* What became of the pages of one chunk of a report. */
struct fpr_result {
	u64 nr_reported;
	u64 nr_touched;
	u64 nr_filtered;
	u64 nr_confirmed;
};

static void fpr_filter_slot(struct kvm *kvm, struct kvm_memory_slot *slot,
			    struct fpr_chunk *chunk, struct fpr_result *result)
{
	bool takes_part = fpr_takes_part(kvm, slot);
	unsigned long i, report, confirmed;
	long off;

	fpr_for_each_word(slot, chunk, i) {
		report = fpr_given_word(slot, chunk, i);
		if (!report)
			continue;

		confirmed = 0;
		if (takes_part) {
			confirmed = fpr_filter_word(&slot->dirty_bitmap[i],
						    &slot->fpr.touched->bitmap[i],
						    report, &result->nr_filtered);
			result->nr_touched += hweight_long(report & ~confirmed);
		}
		off = fpr_word_offset(slot, chunk, i);
		fpr_or_bits(chunk->agreed, off, confirmed);
		fpr_or_bits(chunk->refused, off, report & ~confirmed);
	}
}

static bool fpr_any_takes_part(struct kvm *kvm)
{
	struct kvm_memory_slot *slot;
	int as_id, bkt;

	fpr_for_each_memslot(kvm, as_id, bkt, slot) {
		if (fpr_takes_part(kvm, slot))
			return true;
	}
	return false;
}

/*
 * Whether a report for @epoch can name pages of the range.  A range without any
 * slot that can be armed is no error: it may be the rest of a large one, from where
 * a signal interrupted the call.
 */
static int fpr_check_epoch(struct kvm *kvm, gfn_t start, gfn_t end, u64 epoch)
{
	struct kvm_memslot_iter iter;
	bool logging = false;
	int as_id;

	lockdep_assert_held(&kvm->slots_lock);

	if (kvm->fpr.epoch != epoch)
		return -ESTALE;

	fpr_for_each_memslot_in_range(kvm, as_id, &iter, start, end) {
		if (fpr_takes_part(kvm, iter.slot))
			return 0;
		logging |= fpr_can_arm(iter.slot);
	}
	return !logging && fpr_any_takes_part(kvm) ? 0 : -ESTALE;
}

static void fpr_refuse_slot(struct kvm *kvm, struct kvm_memory_slot *slot,
			    struct fpr_chunk *chunk, struct fpr_result *result)
{
	bool takes_part = fpr_takes_part(kvm, slot);
	unsigned long i, refused;

	fpr_for_each_word(slot, chunk, i) {
		refused = fpr_given_word(slot, chunk, i);
		if (takes_part) {
			refused &= READ_ONCE(slot->fpr.touched->bitmap[i]);
			result->nr_touched += hweight_long(refused);
		}
		if (refused)
			fpr_or_bits(chunk->refused,
				    fpr_word_offset(slot, chunk, i), refused);
	}
}

/*
 * A report speaks of the memory that address space 0 has at a gfn.  Where @slot,
 * of another one, has other memory, or has some where that has none (SMM's, which
 * the guest's system cannot see), the page is not that system's to give away.
 */
static void fpr_refuse_other_memory(struct kvm *kvm, struct kvm_memory_slot *slot,
				    struct fpr_chunk *chunk)
{
	gfn_t end = min(slot->base_gfn + slot->npages, chunk->end);
	gfn_t next, gfn = max(slot->base_gfn, chunk->start);
	struct kvm_memory_slot *seen;

	for (; gfn < end; gfn = next) {
		seen = __gfn_to_memslot(__kvm_memslots(kvm, 0), gfn);
		next = seen ? min(seen->base_gfn + seen->npages, end) : gfn + 1;
		if (!seen || __gfn_to_hva_memslot(seen, gfn) !=
			     __gfn_to_hva_memslot(slot, gfn))
			bitmap_set(chunk->refused,
				   BITS_PER_LONG + gfn - chunk->start, next - gfn);
	}
}

/* Leave out of the report what any address space does not confirm. */
static void fpr_refuse_chunk(struct kvm *kvm, struct fpr_chunk *chunk,
			     struct fpr_result *result)
{
	struct kvm_memslot_iter iter;
	int as_id;

	fpr_for_each_memslot_in_range(kvm, as_id, &iter, chunk->start, chunk->end) {
		fpr_refuse_slot(kvm, iter.slot, chunk, result);
		if (as_id)
			fpr_refuse_other_memory(kvm, iter.slot, chunk);
	}

	bitmap_andnot(chunk->given, chunk->given, chunk->refused,
		      FPR_CHUNK_BITS);
	bitmap_zero(chunk->refused, FPR_CHUNK_BITS);
}

/*
 * A page that was written while it was filtered, in one address space, becomes
 * dirty in all.  In some it may have been clean before, which does no harm; where
 * it was counted as filtered, it stays so.
 */
static void fpr_restore_chunk(struct kvm *kvm, struct fpr_chunk *chunk)
{
	struct kvm_memslot_iter iter;
	struct kvm_memory_slot *slot;
	unsigned long i, refused;
	int as_id;

	if (bitmap_empty(chunk->refused, FPR_CHUNK_BITS))
		return;

	bitmap_copy(chunk->given, chunk->refused, FPR_CHUNK_BITS);
	fpr_for_each_memslot_in_range(kvm, as_id, &iter, chunk->start, chunk->end) {
		slot = iter.slot;
		if (!fpr_takes_part(kvm, slot))
			continue;
		fpr_for_each_word(slot, chunk, i) {
			refused = fpr_given_word(slot, chunk, i);
			if (refused)
				atomic_long_or(refused, (atomic_long_t *)
					       &slot->dirty_bitmap[i]);
		}
	}
}

static bool fpr_has_address_spaces(struct kvm *kvm)
{
	int as_id;

	for (as_id = 1; as_id < kvm_arch_nr_memslot_as_ids(kvm); as_id++) {
		if (!kvm_memslots_empty(__kvm_memslots(kvm, as_id)))
			return true;
	}
	return false;
}

static void fpr_filter_chunk(struct kvm *kvm, struct fpr_chunk *chunk,
			     struct fpr_result *result)
{
	unsigned long npages = chunk->end - chunk->start;
	bool several = fpr_has_address_spaces(kvm);
	struct kvm_memslot_iter iter;
	int as_id;

	lockdep_assert_held(&kvm->slots_lock);

	result->nr_reported = bitmap_weight(chunk->given + 1, npages);
	/*
	 * A gfn that several address spaces map is disposable if all of them
	 * say so, and stays dirty in all of them if not.
	 */
	if (several)
		fpr_refuse_chunk(kvm, chunk, result);

	fpr_for_each_memslot_in_range(kvm, as_id, &iter, chunk->start, chunk->end)
		fpr_filter_slot(kvm, iter.slot, chunk, result);

	bitmap_andnot(chunk->agreed + 1, chunk->agreed + 1, chunk->refused + 1,
		      npages);
	result->nr_confirmed = bitmap_weight(chunk->agreed + 1, npages);
	if (several)
		fpr_restore_chunk(kvm, chunk);
}

static void fpr_account(struct kvm *kvm, const struct fpr_chunk *chunk,
			const struct fpr_result *result)
{
	struct kvm_fpr_stats *stats = &kvm->stat.generic.fpr;

	lockdep_assert_held(&kvm->slots_lock);

	stats->pages_reported += result->nr_reported;
	stats->pages_touched += result->nr_touched;
	stats->pages_filtered += result->nr_filtered;
	stats->pages_confirmed += result->nr_confirmed;
	trace_kvm_fpr_set_bitmap(kvm, kvm->fpr.epoch, chunk->start,
				 chunk->end - chunk->start, result->nr_reported,
				 result->nr_touched, result->nr_filtered,
				 result->nr_confirmed);
}

/* User memory holds bitmaps in whole 64-bit words. */
static size_t fpr_bitmap_bytes(u64 npages)
{
	return DIV_ROUND_UP_ULL(npages, 64) * sizeof(u64);
}

/* Whether a range of guest-physical addresses, in bytes, is one of pages. */
static bool fpr_is_range(u64 gpa, u64 size)
{
	u64 end;

	return size && PAGE_ALIGNED(gpa) && PAGE_ALIGNED(size) &&
	       !check_add_overflow(gpa, size, &end);
}

static bool fpr_is_user_bitmap(u64 bitmap, u64 size)
{
	return access_ok(u64_to_user_ptr(bitmap),
			 fpr_bitmap_bytes(size >> PAGE_SHIFT));
}

/* The first chunk of a range, in bytes, with empty bitmaps. */
static void fpr_init_chunk(struct fpr_chunk *chunk, u64 gpa, u64 size)
{
	memset(chunk, 0, sizeof(*chunk));
	chunk->start = gpa_to_gfn(gpa);
	chunk->end = chunk->start +
		     min(size >> PAGE_SHIFT, (u64)FPR_CHUNK_PAGES);
}

/* The same, with what the caller's bitmap of the range says of it. */
static int fpr_read_chunk(struct fpr_chunk *chunk, u64 gpa, u64 size, u64 bitmap)
{
	unsigned long npages;
	size_t bytes;

	fpr_init_chunk(chunk, gpa, size);
	npages = chunk->end - chunk->start;
	bytes = fpr_bitmap_bytes(npages);
	if (copy_from_user(chunk->given + 1, u64_to_user_ptr(bitmap), bytes))
		return -EFAULT;
	bitmap_clear(chunk->given + 1, npages, bytes * BITS_PER_BYTE - npages);
	return 0;
}

/* What is left of the caller's range behind @chunk, for it to go on with. */
static void fpr_advance_arm(struct kvm_fpr_arm *arm,
			    const struct fpr_chunk *chunk)
{
	u64 npages = chunk->end - chunk->start;

	arm->gpa += npages << PAGE_SHIFT;
	arm->size -= npages << PAGE_SHIFT;
	arm->candidates += fpr_bitmap_bytes(npages);
}

static int fpr_arm_candidates_chunk(struct kvm *kvm, struct kvm_fpr_arm *arm,
				    struct fpr_chunk *chunk)
{
	u64 nr_zeroed;
	bool last;
	int r;

	r = fpr_read_chunk(chunk, arm->gpa, arm->size, arm->candidates) ?:
	    fpr_lock(kvm);
	if (r)
		return r;
	last = chunk->end - chunk->start == arm->size >> PAGE_SHIFT;

	if (!arm->epoch)
		r = fpr_begin_epoch(kvm, true, &arm->epoch);
	else if (kvm->fpr.arming != arm->epoch)
		r = -ESTALE;
	if (!r)
		fpr_add_candidates(kvm, chunk);
	nr_zeroed = kvm->fpr.nr_zeroed;
	mutex_unlock(&kvm->slots_lock);
	if (r)
		return r;

	/* A call that is interrupted here does the last chunk again. */
	if (last)
		r = fpr_finish_epoch(kvm, arm->epoch, nr_zeroed, true);
	if (!r)
		fpr_advance_arm(arm, chunk);
	return r;
}

static int fpr_arm_candidates(struct kvm *kvm, struct kvm_fpr_arm *arm)
{
	struct fpr_chunk *chunk;
	int r = 0;

	chunk = kvmalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return -ENOMEM;

	while (arm->size && !r) {
		r = signal_pending(current) ? -ERESTARTSYS :
		    fpr_arm_candidates_chunk(kvm, arm, chunk);
		cond_resched();
	}

	kvfree(chunk);
	/* The caller has to know of an epoch that was begun. */
	return r == -ERESTARTSYS && arm->epoch ? 0 : r;
}

static int fpr_arm_all(struct kvm *kvm, struct kvm_fpr_arm *arm)
{
	u64 nr_zeroed;
	int r;

	r = fpr_lock(kvm);
	if (r)
		return r;
	r = fpr_begin_epoch(kvm, false, &arm->epoch);
	nr_zeroed = kvm->fpr.nr_zeroed;
	mutex_unlock(&kvm->slots_lock);
	if (!r)
		r = fpr_finish_epoch(kvm, arm->epoch, nr_zeroed, false);
	/* What ended the epoch could also have come as soon as it had begun. */
	if (r == -ESTALE)
		r = 0;
	/* The caller can pass the same structure again. */
	if (r)
		arm->epoch = 0;
	return r;
}

static int fpr_check_arm(const struct kvm_fpr_arm *arm)
{
	if (arm->flags & ~KVM_FPR_ARM_CANDIDATES || arm->pad ||
	    memchr_inv(arm->reserved, 0, sizeof(arm->reserved)))
		return -EINVAL;
	if (!(arm->flags & KVM_FPR_ARM_CANDIDATES))
		return arm->epoch || arm->gpa || arm->size || arm->candidates ?
		       -EINVAL : 0;
	if (!fpr_is_range(arm->gpa, arm->size))
		return -EINVAL;
	return fpr_is_user_bitmap(arm->candidates, arm->size) ? 0 : -EFAULT;
}

static int fpr_ioctl_arm(struct kvm *kvm, struct kvm_fpr_arm __user *argp)
{
	struct kvm_fpr_arm arm;
	int r;

	if (copy_from_user(&arm, argp, sizeof(arm)))
		return -EFAULT;
	r = fpr_check_arm(&arm);
	if (r)
		return r;
	/* An epoch that the caller is not told of must not end another. */
	if (fault_in_writeable((char __user *)argp, sizeof(arm)))
		return -EFAULT;

	/* With an epoch to go on with, the VM has been armed. */
	if (!arm.epoch)
		fpr_use(kvm);
	if (arm.flags & KVM_FPR_ARM_CANDIDATES)
		r = fpr_arm_candidates(kvm, &arm);
	else
		r = fpr_arm_all(kvm, &arm);

	if (copy_to_user(argp, &arm, sizeof(arm)))
		return -EFAULT;
	return r;
}

/* What is left of a report behind @chunk, for the caller to go on with. */
static void fpr_advance_set(struct kvm_fpr_bitmap *set,
			    const struct fpr_chunk *chunk)
{
	u64 npages = chunk->end - chunk->start;

	set->gpa += npages << PAGE_SHIFT;
	set->size -= npages << PAGE_SHIFT;
	set->bitmap += fpr_bitmap_bytes(npages);
	if (set->flags & KVM_FPR_SET_CONFIRM)
		set->confirmed += fpr_bitmap_bytes(npages);
}

/*
 * One chunk of @set, which begins at @set->gpa, of a range of the caller's.
 * User memory is accessed outside slots_lock: a page of it that is slow to come
 * must not hold up the VM.
 */
static int fpr_set_chunk(struct kvm *kvm, struct kvm_fpr_bitmap *set,
			 gfn_t range_start, gfn_t range_end,
			 struct fpr_chunk *chunk)
{
	bool confirm = set->flags & KVM_FPR_SET_CONFIRM;
	struct fpr_result result = {};
	size_t bytes;
	int r;

	r = fpr_read_chunk(chunk, set->gpa, set->size, set->bitmap);
	if (r)
		return r;
	bytes = fpr_bitmap_bytes(chunk->end - chunk->start);

	/* Find a bad address before the dirty log changes, if possible. */
	if (confirm && fault_in_writeable(u64_to_user_ptr(set->confirmed), bytes))
		return -EFAULT;

	r = fpr_lock(kvm);
	if (r)
		return r;
	r = fpr_check_epoch(kvm, range_start, range_end, set->epoch);
	if (!r) {
		fpr_filter_chunk(kvm, chunk, &result);
		fpr_account(kvm, chunk, &result);
	}
	mutex_unlock(&kvm->slots_lock);
	if (r)
		return r;

	set->nr_filtered += result.nr_filtered;
	set->nr_confirmed += result.nr_confirmed;
	/*
	 * If this fails, pages were taken out of the dirty log that the
	 * caller does not know of: it then copies what it would have skipped.
	 */
	if (confirm && copy_to_user(u64_to_user_ptr(set->confirmed),
				    chunk->agreed + 1, bytes))
		return -EFAULT;

	fpr_advance_set(set, chunk);
	return 0;
}

static int fpr_set_range(struct kvm *kvm, struct kvm_fpr_bitmap *set)
{
	gfn_t start = gpa_to_gfn(set->gpa);
	gfn_t end = start + (set->size >> PAGE_SHIFT);
	u64 size = set->size;
	struct fpr_chunk *chunk;
	int r = 0;

	chunk = kvmalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return -ENOMEM;

	while (set->size && !r) {
		r = signal_pending(current) ? -ERESTARTSYS :
		    fpr_set_chunk(kvm, set, start, end, chunk);
		cond_resched();
	}

	kvfree(chunk);
	/* The caller has to know of what was done. */
	return r == -ERESTARTSYS && set->size != size ? 0 : r;
}

static int fpr_check_bitmap(const struct kvm_fpr_bitmap *set)
{
	bool confirm = set->flags & KVM_FPR_SET_CONFIRM;

	/* There is no epoch 0. */
	if (set->flags & ~KVM_FPR_SET_CONFIRM || set->pad || !set->epoch ||
	    memchr_inv(set->reserved, 0, sizeof(set->reserved)))
		return -EINVAL;
	if (!fpr_is_range(set->gpa, set->size) || !!set->confirmed != confirm)
		return -EINVAL;

	if (!fpr_is_user_bitmap(set->bitmap, set->size) ||
	    (confirm && !fpr_is_user_bitmap(set->confirmed, set->size)))
		return -EFAULT;
	return 0;
}

static int fpr_ioctl_set_bitmap(struct kvm *kvm,
				struct kvm_fpr_bitmap __user *argp)
{
	struct kvm_fpr_bitmap set;
	int r;

	if (copy_from_user(&set, argp, sizeof(set)))
		return -EFAULT;
	r = fpr_check_bitmap(&set);
	if (r)
		return r;
	if (fault_in_writeable((char __user *)argp, sizeof(set)))
		return -EFAULT;

	r = fpr_set_range(kvm, &set);
	if (copy_to_user(argp, &set, sizeof(set)))
		return -EFAULT;
	return r;
}

static int fpr_disarm(struct kvm *kvm, u64 epoch)
{
	lockdep_assert_held(&kvm->slots_lock);

	if (epoch && epoch != kvm->fpr.epoch && epoch != kvm->fpr.arming)
		return -ESTALE;

	fpr_set_epoch(kvm, 0, 0);
	trace_kvm_fpr_disarm(kvm, epoch);
	return 0;
}

static int fpr_ioctl_disarm(struct kvm *kvm,
			    struct kvm_fpr_disarm __user *argp)
{
	struct kvm_fpr_disarm disarm;
	int r;

	if (copy_from_user(&disarm, argp, sizeof(disarm)))
		return -EFAULT;
	if (disarm.flags || disarm.pad ||
	    memchr_inv(disarm.reserved, 0, sizeof(disarm.reserved)))
		return -EINVAL;

	r = fpr_lock(kvm);
	if (r)
		return r;
	r = fpr_disarm(kvm, disarm.epoch);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/**
 * kvm_fpr_ioctl - the filter's VM ioctls
 * @kvm: the VM
 * @ioctl: one for which kvm_fpr_is_ioctl() is true
 * @argp: its argument
 *
 * Called by any process that has the VM's descriptor; nothing here touches the
 * owner's memory.
 *
 * Return: 0 or what include/uapi/linux/kvm_fpr.h says.
 */
long kvm_fpr_ioctl(struct kvm *kvm, unsigned int ioctl, void __user *argp)
{
	int r;

	if (kvm->vm_dead)
		return -EIO;
	if (!fpr_may_call(kvm))
		return -EPERM;
	r = fpr_check_vm(kvm);
	if (r)
		return r;

	switch (ioctl) {
	case KVM_FPR_ARM:
		return fpr_ioctl_arm(kvm, argp);
	case KVM_FPR_SET_BITMAP:
		return fpr_ioctl_set_bitmap(kvm, argp);
	case KVM_FPR_DISARM:
		return fpr_ioctl_disarm(kvm, argp);
	default:
		return -ENOTTY;
	}
}

#ifdef CONFIG_KVM_FREE_PAGE_FILTER_KUNIT_TEST
#include "free_page_filter_kunit.c"
#endif
