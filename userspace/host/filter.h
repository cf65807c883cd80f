/* SPDX-License-Identifier: GPL-2.0-only */
/* The ioctls of the free page filter. */
#ifndef FPRCTL_FILTER_H
#define FPRCTL_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"
#include "vm.h"

/**
 * struct filter - a VM and what is known of the kernel's filter
 * @vm: from vm_open()
 * @probed: /dev/kvm could be asked
 * @flags: KVM_FPR_CAP_* that the kernel supports, if @probed
 */
struct filter {
	struct vm vm;
	bool probed;
	uint32_t flags;
};

/**
 * struct filter_range - a report, and what became of it
 * @epoch: from filter_arm()
 * @gpa: where the range begins
 * @size: its size in bytes
 * @report: one bit per page
 * @confirmed: NULL or a buffer of the same size as @report
 * @nr_filtered: out: pages taken out of the dirty log
 * @nr_confirmed: out: pages whose content is disposable
 */
struct filter_range {
	uint64_t epoch;
	uint64_t gpa;
	uint64_t size;
	const void *report;
	void *confirmed;
	uint64_t nr_filtered;
	uint64_t nr_confirmed;
};

/**
 * filter_probe - ask /dev/kvm for the filter
 * @flags: out: the supported KVM_FPR_CAP_*, 0 if there is no filter
 *
 * Return: 0 or -1 with errno, and nothing was said.
 */
int filter_probe(uint32_t *flags);

/**
 * filter_open - prepare for the ioctls on a VM
 * @vm: what names it, see vm_open()
 *
 * A kernel without the filter answers EIO to any ioctl on another process's
 * VM, as for a dead VM: only /dev/kvm tells the difference.  Where it cannot
 * be opened the ioctls are tried all the same.
 */
enum fpr_status filter_open(struct filter *filter, const char *vm);

/** filter_check_confirm - refuse a kernel that is known not to tell the confirmed pages */
enum fpr_status filter_check_confirm(const struct filter *filter);

/*
 * Signals do not end what follows, but for those of stop_catch(), which do so between two calls
 * and while the kernel waits.
 */

/** filter_arm - begin an epoch; @us: out: how long that took */
enum fpr_status filter_arm(const struct filter *filter, uint64_t *epoch,
			   uint64_t *us);

/**
 * filter_arm_candidates - begin an epoch in which only @range->report is tracked
 * @range: @epoch is set
 * @us: out: how long that took
 *
 * The kernel must support KVM_FPR_CAP_CANDIDATES.
 */
enum fpr_status filter_arm_candidates(const struct filter *filter, struct filter_range *range,
				      uint64_t *us);

/** filter_set - hand over a report, in as many calls as it takes; @us: out: how long that took */
enum fpr_status filter_set(const struct filter *filter, struct filter_range *range, uint64_t *us);

/**
 * filter_check - whether the ioctls can do anything for this VM
 *
 * They can where its process has ended, as our descriptor is one of the VM, but to no
 * purpose: that is an error, too.  Nothing is changed by it, whoever has armed the VM.
 */
enum fpr_status filter_check(const struct filter *filter);

/** filter_say_gone - say that the VM's process has ended */
void filter_say_gone(void);

/** filter_disarm - end @epoch, or whichever there is if it is 0 */
enum fpr_status filter_disarm(const struct filter *filter, uint64_t epoch,
			      uint64_t *us);

/** filter_abandon - end @epoch if it is still the VM's; nothing is said */
void filter_abandon(const struct filter *filter, uint64_t epoch);

#endif
