/* SPDX-License-Identifier: GPL-2.0-only */
/* The filter's counters of a VM. */
#ifndef FPRCTL_VM_STATS_H
#define FPRCTL_VM_STATS_H

#include <stdint.h>

/**
 * struct vm_stats - all cumulative, but for @mapped
 * @epochs: that began
 * @reported: pages named by reports
 * @touched: of those, written since ARM or no candidates
 * @filtered: taken out of the dirty log
 * @confirmed: content disposable
 * @mapped: now, pages in the page tables that KVM keeps for the guest
 */
struct vm_stats {
	uint64_t epochs;
	uint64_t reported;
	uint64_t touched;
	uint64_t filtered;
	uint64_t confirmed;
	uint64_t mapped;
};

/**
 * vm_stats_read - read all of them
 * @dir: from kvm_debugfs_open()
 *
 * Return: 0, or -1 where KVM does not count for the filter.
 */
int vm_stats_read(int dir, struct vm_stats *stats);

#endif
