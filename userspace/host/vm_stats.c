// SPDX-License-Identifier: GPL-2.0-only
/* What KVM tells of a VM and its filter. */
#include <stddef.h>

#include "kvm_debugfs.h"
#include "vm_stats.h"

/* As Documentation/virt/kvm/free-page-filter.rst has them. */
static const struct {
	const char *name;
	size_t offset;
} stats_of_filter[] = {
	{ "fpr_armed", offsetof(struct vm_stats, armed) },
	{ "fpr_memslots_logging", offsetof(struct vm_stats, logging) },
	{ "fpr_epochs_armed", offsetof(struct vm_stats, epochs) },
	{ "fpr_pages_reported", offsetof(struct vm_stats, reported) },
	{ "fpr_pages_touched", offsetof(struct vm_stats, touched) },
	{ "fpr_pages_filtered", offsetof(struct vm_stats, filtered) },
	{ "fpr_pages_confirmed", offsetof(struct vm_stats, confirmed) },
};

#define NR_STATS	(sizeof(stats_of_filter) / sizeof(stats_of_filter[0]))

/* Mapped pages by their size, in pages of 4 KiB. */
static const struct {
	const char *name;
	uint64_t pages;
} sizes[] = {
	{ "pages_4k", 1 },
	{ "pages_2m", 512 },
	{ "pages_1g", 512 * 512 },
};

#define NR_SIZES	(sizeof(sizes) / sizeof(sizes[0]))

int vm_stats_read(int dir, struct vm_stats *stats)
{
	uint64_t value;
	size_t i;

	for (i = 0; i < NR_STATS; i++) {
		if (!kvm_debugfs_read(dir, stats_of_filter[i].name, &value))
			return -1;
		*(uint64_t *)((char *)stats + stats_of_filter[i].offset) = value;
	}
	stats->mapped = 0;
	for (i = 0; i < NR_SIZES; i++) {
		if (!kvm_debugfs_read(dir, sizes[i].name, &value))
			return -1;
		stats->mapped += value * sizes[i].pages;
	}
	return 0;
}
