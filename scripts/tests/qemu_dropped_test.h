/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What qemu/migration/free-page-dropped.c needs of QEMU's headers, as qemu_dropped_test.c plays it
 */
#ifndef QEMU_DROPPED_TEST_H
#define QEMU_DROPPED_TEST_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <glib.h>

#define QEMU_VERSION_MAJOR 10
#define QEMU_VERSION_MINOR 2
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define QEMU_ALIGN_DOWN(n, m) ((n) / (m) * (m))
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ctzl __builtin_ctzl
#define clzl __builtin_clzl
#define ctpopl __builtin_popcountl
#define smp_mb() __sync_synchronize()
#define qatomic_or(p, n) ((void)__sync_fetch_and_or(p, n))
#define qatomic_and(p, n) ((void)__sync_fetch_and_and(p, n))
#define qatomic_fetch_and(p, n) __sync_fetch_and_and(p, n)
#define qatomic_xchg(p, n) __atomic_exchange_n(p, n, __ATOMIC_SEQ_CST)

#define TARGET_PAGE_BITS 12

typedef uint64_t hwaddr;
typedef uint64_t ram_addr_t;
typedef struct AccelState AccelState;
typedef struct { uint64_t value; } Stat64;

#define stat64_get(s) ((s)->value)
#define stat64_set(s, n) ((void)((s)->value = (n)))
#define stat64_add(s, n) ((void)((s)->value += (n)))

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
