/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#if !defined(_TRACE_KVM_FPR_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_KVM_FPR_H

#include <linux/kvm_host.h>
#include <linux/tracepoint.h>

/*
 * The caller may be another process than the VM's own, so each event names the
 * VM by its owner's process ID.
 */

TRACE_EVENT(kvm_fpr_arm,
	TP_PROTO(struct kvm *kvm, u64 epoch, bool candidates),
	TP_ARGS(kvm, epoch, candidates),

	TP_STRUCT__entry(
		__field(pid_t, owner)
		__field(u64, epoch)
		__field(bool, candidates)
	),

	TP_fast_assign(
		__entry->owner = kvm->userspace_pid;
		__entry->epoch = epoch;
		__entry->candidates = candidates;
	),

	TP_printk("owner %d epoch %llu of %s", __entry->owner, __entry->epoch,
		  __entry->candidates ? "candidates" : "all pages")
);

/* One chunk of a report. */
TRACE_EVENT(kvm_fpr_set_bitmap,
	TP_PROTO(struct kvm *kvm, u64 epoch, gfn_t gfn, u64 npages,
		 u64 nr_reported, u64 nr_touched, u64 nr_filtered,
		 u64 nr_confirmed),
	TP_ARGS(kvm, epoch, gfn, npages, nr_reported, nr_touched, nr_filtered,
		nr_confirmed),

	TP_STRUCT__entry(
		__field(pid_t, owner)
		__field(u64, epoch)
		__field(gfn_t, gfn)
		__field(u64, npages)
		__field(u64, nr_reported)
		__field(u64, nr_touched)
		__field(u64, nr_filtered)
		__field(u64, nr_confirmed)
	),

	TP_fast_assign(
		__entry->owner = kvm->userspace_pid;
		__entry->epoch = epoch;
		__entry->gfn = gfn;
		__entry->npages = npages;
		__entry->nr_reported = nr_reported;
		__entry->nr_touched = nr_touched;
		__entry->nr_filtered = nr_filtered;
		__entry->nr_confirmed = nr_confirmed;
	),

	TP_printk("owner %d epoch %llu gfn 0x%llx pages %llu reported %llu touched %llu filtered %llu confirmed %llu",
		  __entry->owner, __entry->epoch, __entry->gfn, __entry->npages,
		  __entry->nr_reported, __entry->nr_touched,
		  __entry->nr_filtered, __entry->nr_confirmed)
);

TRACE_EVENT(kvm_fpr_disarm,
	TP_PROTO(struct kvm *kvm, u64 epoch),
	TP_ARGS(kvm, epoch),

	TP_STRUCT__entry(
		__field(pid_t, owner)
		__field(u64, epoch)
	),

	TP_fast_assign(
		__entry->owner = kvm->userspace_pid;
		__entry->epoch = epoch;
	),

	TP_printk("owner %d epoch %llu", __entry->owner, __entry->epoch)
);

#endif /* _TRACE_KVM_FPR_H */

/* Outside the guard above, for define_trace.h reads this file several times. */
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE kvm_fpr
#include <trace/define_trace.h>
