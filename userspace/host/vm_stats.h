/* SPDX-License-Identifier: GPL-2.0-only */
/* What KVM tells of a VM and its filter. */
#ifndef FPRCTL_VM_STATS_H
#define FPRCTL_VM_STATS_H

#include <stdint.h>

/**
 * struct vm_stats - as they are now, from @epochs on counted since the VM began
 * @armed: 1 if there is a current epoch, else 0
 * @logging: memslots that log dirty pages
 * @mapped: pages in the page tables that KVM keeps for the guest
 * @epochs: that began
 * @reported: pages named by reports
 * @touched: of those, written since ARM or no candidates
 * @filtered: taken out of the dirty log
 * @confirmed: content disposable
 */
struct vm_stats {
	uint64_t armed;
	uint64_t logging;
	uint64_t mapped;
	uint64_t epochs;
	uint64_t reported;
	uint64_t touched;
	uint64_t filtered;
	uint64_t confirmed;
};

/**
 * vm_stats_read - read all of them
 * @dir: from kvm_debugfs_open()
 *
 * Return: 0, or -1 where KVM does not count for the filter.
 */
int vm_stats_read(int dir, struct vm_stats *stats);

#endif
