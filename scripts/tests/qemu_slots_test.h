/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What qemu/accel/kvm/kvm-fpr.c needs of QEMU's headers, as qemu_slots_test.c plays it
 */
#ifndef QEMU_SLOTS_TEST_H
#define QEMU_SLOTS_TEST_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <glib.h>
#include <linux/kvm.h>

#define HOST_BIG_ENDIAN 0
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

typedef uint64_t hwaddr;
typedef uint64_t ram_addr_t;

static inline uintptr_t qemu_real_host_page_size(void)
{
	return 4096;
}

static inline bool ranges_overlap(uint64_t first1, uint64_t len1, uint64_t first2, uint64_t len2)
{
	return first1 < first2 + len2 && first2 < first1 + len1;
}

typedef struct MemoryRegion {
	bool ram;
	bool rom;
	bool romd;
} MemoryRegion;

typedef struct KVMSlot {
	hwaddr start_addr;
	ram_addr_t memory_size;
	void *ram;
	int flags;
	unsigned long *dirty_bmap;
	int as_id;
	ram_addr_t ram_start_offset;
} KVMSlot;

typedef struct KVMMemoryListener {
	KVMSlot *slots;
	unsigned int nr_slots_allocated;
} KVMMemoryListener;

typedef struct KVMState {
	int nr_as;
	struct {
		KVMMemoryListener *ml;
	} as[2];
} KVMState;

extern KVMState *kvm_state;

typedef struct AccelState AccelState;

#define KVM_STATE(as) ((void)(as), kvm_state)

#define RCU_READ_LOCK_GUARD() do { } while (0)

bool kvm_dirty_ring_enabled(void);
int kvm_vm_check_extension(KVMState *s, unsigned int extension);
int kvm_vm_ioctl(KVMState *s, unsigned long type, ...);
MemoryRegion *memory_region_from_host(void *host, ram_addr_t *offset);

static inline bool memory_region_is_ram(const MemoryRegion *mr)
{
	return mr->ram;
}

static inline bool memory_region_is_rom(const MemoryRegion *mr)
{
	return mr->rom;
}

static inline bool memory_region_is_romd(const MemoryRegion *mr)
{
	return mr->romd;
}

#endif
