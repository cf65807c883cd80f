/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Free page filter: what struct kvm and struct kvm_memory_slot hold of it.  It is
 * separate from kvm_fpr.h, which needs both of them.
 */
#ifndef __KVM_FPR_TYPES_H
#define __KVM_FPR_TYPES_H

#include <linux/atomic.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue_types.h>

/**
 * struct kvm_fpr_drain - waits for the readers of kvm->srcu
 * @work:	does the waiting; without a function until the VM is first armed
 * @wait:	where the callers of ARM sleep
 * @wanted:	how many waits were asked for
 * @done:	what @wanted was when the last wait began that has ended
 */
struct kvm_fpr_drain {
	struct work_struct work;
	wait_queue_head_t wait;
	atomic64_t wanted;
	atomic64_t done;
};

/**
 * struct kvm_fpr - the free page filter's state of a VM
 * @epoch:	the current epoch, whose reports are taken; 0 if there is none;
 *		protected by slots_lock
 * @arming:	the epoch that KVM_FPR_ARM has begun and not yet finished, 0 if
 *		none; protected by slots_lock
 * @nr_zeroed:	how often T was zeroed, or bits of it; protected by slots_lock
 * @foreign:	the owner lets other processes call; set and read without a lock
 * @drain:	what ARM waits for
 * @used:	1 from the first KVM_FPR_ARM until the VM is destroyed: the VM counts
 *		in kvm_fpr_used; set and read without a lock
 */
struct kvm_fpr {
	u64 epoch;
	u64 arming;
	u64 nr_zeroed;
	bool foreign;
	struct kvm_fpr_drain drain;
	atomic_t used;
};

#ifdef CONFIG_KVM_FREE_PAGE_FILTER

struct kvm_fpr_touched;

/**
 * struct kvm_fpr_memslot - the free page filter's part of a memslot
 * @touched:	T; NULL until the memslot is armed for the first time, then the
 *		same until logging ends; changed under slots_lock, followed
 *		within kvm->srcu
 */
struct kvm_fpr_memslot {
	struct kvm_fpr_touched *touched;
};

/**
 * struct kvm_fpr_stats - shown as fpr_* among the VM's binary stats
 * @armed:		1 if there is a current epoch, else 0
 * @memslots_logging:	memslots that log dirty pages now
 * @epochs_armed:	KVM_FPR_ARM that completed
 * @pages_reported:	pages that reports of a current epoch named
 * @pages_touched:	of those, pages not confirmed because they were written
 *			after ARM, or were not candidates
 * @pages_filtered:	bits cleared in dirty bitmaps
 * @pages_confirmed:	pages whose content is disposable
 *
 * Pages are counted once for every report; touched and filtered ones once for
 * every address space, too, and so are memslots.  All are written under
 * slots_lock; the filter itself reads none of them.
 */
struct kvm_fpr_stats {
	u64 armed;
	u64 memslots_logging;
	u64 epochs_armed;
	u64 pages_reported;
	u64 pages_touched;
	u64 pages_filtered;
	u64 pages_confirmed;
};

#define KVM_FPR_STATS_DESC(type, stat)					\
{									\
	STATS_DESC_COMMON(KVM_STATS_TYPE_##type, KVM_STATS_UNIT_NONE,	\
			  KVM_STATS_BASE_POW10, 0, 1, 0),		\
	.offset = offsetof(struct kvm_vm_stat, generic.fpr.stat),	\
	.name = "fpr_" #stat,						\
}

/* The last comma is for the descriptors that follow. */
#define KVM_FPR_STATS()							\
	KVM_FPR_STATS_DESC(INSTANT, armed),				\
	KVM_FPR_STATS_DESC(INSTANT, memslots_logging),			\
	KVM_FPR_STATS_DESC(CUMULATIVE, epochs_armed),			\
	KVM_FPR_STATS_DESC(CUMULATIVE, pages_reported),		\
	KVM_FPR_STATS_DESC(CUMULATIVE, pages_touched),		\
	KVM_FPR_STATS_DESC(CUMULATIVE, pages_filtered),		\
	KVM_FPR_STATS_DESC(CUMULATIVE, pages_confirmed),

#else /* !CONFIG_KVM_FREE_PAGE_FILTER */

struct kvm_fpr_memslot {
};

struct kvm_fpr_stats {
};

#define KVM_FPR_STATS()

#endif /* CONFIG_KVM_FREE_PAGE_FILTER */
#endif /* __KVM_FPR_TYPES_H */
