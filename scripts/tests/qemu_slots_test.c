// SPDX-License-Identifier: GPL-2.0-only
/*
 * qemu/accel/kvm/kvm-fpr.c with many memory slots in each of two address spaces, a KVM that confirms every page it is
 * asked for, and a report of every other page.  scripts/tests/qemu_slots_test builds and runs it; prints results of
 * TAP.  With a number of slots as an argument it only hands over such a report of 1 GiB, for callgrind to count.
 */
#include "qemu/osdep.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "qemu/bitmap.h"
#include "system/kvm_int.h"
#include "accel/kvm/kvm-fpr.h"
#include <linux/kvm_fpr.h>

#define PAGE 4096ul
#define PAGES (1ul << 18)	/* a window of reports: 1 GiB */
#define BASE (4ul << 30)
#define MAX_SLOTS 600
#define RAM ((char *)0x100000000000)	/* nobody looks into it */

static KVMMemoryListener listeners[2];
static KVMState state = { .as = { { &listeners[0] }, { &listeners[1] } } };
KVMState *kvm_state = &state;

static MemoryRegion region = { .ram = true };
static bool locked;
static unsigned long *unsent;	/* pages of RAM */
static unsigned int nr_calls;
static int number;
static bool failed;

int kvm_with_slots_locked(KVMState *s, KVMSlotsFunc *func, void *opaque)
{
	int ret;

	assert(!locked);
	locked = true;
	ret = func(s, opaque);
	locked = false;
	return ret;
}

bool kvm_dirty_ring_enabled(void)
{
	return false;
}

int kvm_vm_check_extension(KVMState *s, unsigned int extension)
{
	return KVM_FPR_CAP_CONFIRM;
}

MemoryRegion *memory_region_from_host(void *host, ram_addr_t *offset)
{
	return &region;
}

/* Is interrupted once in each call, and then confirms all. */
int kvm_vm_ioctl(KVMState *s, unsigned long type, ...)
{
	struct kvm_fpr_bitmap *arg;
	va_list args;

	va_start(args, type);
	arg = va_arg(args, struct kvm_fpr_bitmap *);
	va_end(args);
	assert(type == KVM_FPR_SET_BITMAP && locked);
	if (nr_calls++ % 2 == 0)
		return -EINTR;
	bitmap_copy((unsigned long *)(uintptr_t)arg->confirmed, (unsigned long *)(uintptr_t)arg->bitmap,
		    arg->size / PAGE);
	arg->size = 0;
	return 0;
}

/* As QEMU's does with small pages */
static void drop(void *host, const unsigned long *confirmed, unsigned long npages)
{
	assert(locked);
	free_page_clear_map(unsent, ((char *)host - RAM) / PAGE, confirmed, 0, npages, NULL);
}

static void add_slot(int as_id, uint64_t page, uint64_t npages)
{
	KVMMemoryListener *listener = &listeners[as_id];
	KVMSlot *slot = &listener->slots[listener->nr_slots_allocated++];

	*slot = (KVMSlot) {
		.start_addr = BASE + page * PAGE,
		.memory_size = npages * PAGE,
		.ram = RAM + page * PAGE,
		.ram_start_offset = page * PAGE,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
		.as_id = as_id,
		.dirty_bmap = g_malloc0(BITS_TO_LONGS(npages) * sizeof(long)),
	};
	bitmap_set(slot->dirty_bmap, 0, npages);
}

/* Both address spaces get so many slots, and everything is dirty. */
static void fill(unsigned int nr_slots)
{
	state.nr_as = 2;
	bitmap_set(unsent, 0, PAGES);
	for (int as_id = 0; as_id < 2; as_id++) {
		KVMMemoryListener *listener = &listeners[as_id];

		while (listener->nr_slots_allocated)
			g_free(listener->slots[--listener->nr_slots_allocated].dirty_bmap);
		for (unsigned int i = 0; i < nr_slots; i++) {
			unsigned long first = PAGES * i / nr_slots, end = PAGES * (i + 1) / nr_slots;

			add_slot(as_id, first, end - first);
		}
	}
}

static bool is_free(unsigned long page)
{
	return page % 2 == 0;
}

static int report(unsigned long first, unsigned long end)
{
	FreePageReport report = {
		.base = BASE, .first = first, .end = end,
		.free = bitmap_new(PAGES), .part = bitmap_new(PAGES), .confirmed = bitmap_new(PAGES),
	};
	int ret;

	for (unsigned long i = first; i < end; i++)
		if (is_free(i))
			set_bit(i, report.free);
	ret = kvm_fpr_ops.set_bitmap(NULL, &report, drop);
	g_free(report.free);
	g_free(report.part);
	g_free(report.confirmed);
	return ret;
}

/* Whether all slots' copies of the log and what is to be sent lack the free pages of [first, end), and no other */
static bool only(unsigned long first, unsigned long end)
{
	unsigned long nr_seen = 0;

	for (int as_id = 0; as_id < 2; as_id++)
		for (unsigned int i = 0; i < listeners[as_id].nr_slots_allocated; i++) {
			KVMSlot *slot = &listeners[as_id].slots[i];

			for (unsigned long n = 0; n < slot->memory_size / PAGE; n++, nr_seen++) {
				unsigned long page = slot->ram_start_offset / PAGE + n;
				bool left = !(page >= first && page < end && is_free(page));

				if (test_bit(n, slot->dirty_bmap) != left || test_bit(page, unsent) != left) {
					printf("# page %lu, slot %u of address space %d\n", page, i, as_id);
					return false;
				}
			}
		}
	return nr_seen == 2 * PAGES;
}

static void check(bool good, const char *name)
{
	failed |= !good;
	printf("%sok %d - %s\n", good ? "" : "not ", ++number, name);
}

int main(int argc, char **argv)
{
	for (int as_id = 0; as_id < 2; as_id++)
		listeners[as_id].slots = g_new0(KVMSlot, MAX_SLOTS);
	unsent = bitmap_new(PAGES);
	if (argc > 1) {
		fill(atoi(argv[1]));
		return report(0, PAGES);
	}

	fill(1);
	check(!report(0, PAGES) && only(0, PAGES),
	      "what is confirmed leaves the copies of the log and what is to be sent");
	fill(MAX_SLOTS);
	check(!report(0, PAGES) && only(0, PAGES), "so it does with many slots");
	fill(10);
	check(!report(77, 200077) && only(77, 200077), "so it does for a part of the slots, and words");
	return failed;
}
