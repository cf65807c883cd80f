/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What qemu/migration/free-page-dropped.c needs of QEMU's headers, as qemu_dropped_test.c plays it
 */
#ifndef QEMU_DROPPED_TEST_H
#define QEMU_DROPPED_TEST_H

#include "qemu_test.h"

#define QEMU_VERSION_MAJOR 10
#define QEMU_VERSION_MINOR 2

#define TARGET_PAGE_BITS 12

typedef struct AccelState AccelState;
typedef struct { uint64_t value; } Stat64;

#define stat64_get(s) ((s)->value)
#define stat64_set(s, n) ((void)((s)->value = (n)))
#define stat64_add(s, n) ((void)((s)->value += (n)))

extern struct MigrationStats {
	Stat64 dropped_page_requests;
} mig_stats;

typedef struct RAMBlock {
	const char *idstr;
	ram_addr_t used_length;
	ram_addr_t max_length;
	size_t page_size;
	unsigned long *bmap;
	unsigned long *dropped;
} RAMBlock;

static inline int qemu_target_page_bits(void)
{
	return TARGET_PAGE_BITS;
}

static inline size_t qemu_target_page_size(void)
{
	return 1ul << TARGET_PAGE_BITS;
}

static inline size_t qemu_ram_pagesize(RAMBlock *rb)
{
	return rb->page_size;
}

static inline void trace_free_page_dropped_request(const char *block_id, unsigned long page)
{
}

bool migrate_postcopy_ram(void);
int foreach_not_ignored_block(int (*func)(RAMBlock *rb, void *opaque), void *opaque);

#endif
