/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What qemu/accel/kvm/kvm-fpr.c needs of QEMU's headers, as qemu_slots_test.c plays it
 */
#ifndef QEMU_SLOTS_TEST_H
#define QEMU_SLOTS_TEST_H

#include <errno.h>
#include <linux/kvm.h>
#include "qemu_test.h"

#define HOST_BIG_ENDIAN 0

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
