/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's free page filter, for the memory of this machine
 *
 * SET and everything that follows from it is one critical section under the
 * lock of the memory slots, by kvm_with_slots_locked(), because of three others
 * that run under it:
 *
 * - KVM_CLEAR_DIRTY_LOG, which QEMU defers until a page is sent, clears what
 *   KVMSlot.dirty_bmap names.  A confirmed page that is used again has its bit
 *   in KVM's log set again, and a CLEAR that still names the page would wipe
 *   it.  So the page leaves dirty_bmap before a CLEAR can run.  The bit is not
 *   needed there: ARM has protected the page and SET has cleared it, which is
 *   all that a CLEAR would do.
 * - KVM_GET_DIRTY_LOG fills dirty_bmap.
 * - The slots change.  KVM confirms nothing in a slot that is newer than the
 *   epoch, and slots that existed all the time have always mapped the same
 *   guest physical addresses to the same memory; so the slots as they are now
 *   say where the pages are that the guest had in mind when it reported them.
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "accel/free-page-ops.h"
#include "kvm-fpr.h"

#include <linux/kvm.h>
#include <linux/kvm_fpr.h>

/* The address space that vCPUs, and so a guest's reports, normally refer to */
#define KVM_FPR_AS 0

typedef void KVMFprSlotFunc(KVMSlot *slot, void *opaque);

/* Called with the memory slots locked */
static void kvm_fpr_foreach_slot(KVMState *s, KVMFprSlotFunc *func,
                                 void *opaque)
{
    for (int as_id = 0; as_id < s->nr_as; as_id++) {
        KVMMemoryListener *kml = s->as[as_id].ml;

        for (unsigned int i = 0; kml && i < kml->nr_slots_allocated; i++) {
            if (kml->slots[i].memory_size) {
                func(&kml->slots[i], opaque);
            }
        }
    }
}

/* Bytes [start, end) of some address space */
typedef struct KVMFprRange {
    uint64_t start;
    uint64_t end;
} KVMFprRange;

static bool kvm_fpr_touches(const KVMFprRange *range, uint64_t start,
                            uint64_t size)
{
    return start < range->end && start + size > range->start;
}

static void kvm_fpr_extend(KVMFprRange *range, uint64_t start, uint64_t size)
{
    range->start = MIN(range->start, start);
    range->end = MAX(range->end, start + size);
}

typedef struct KVMFprSlot {
    KVMSlot *slot;
    bool aliased;
} KVMFprSlot;

/* What a report is about.  All slots are looked at twice for each report. */
typedef struct KVMFprScope {
    KVMFprRange report;
    /* All addresses, and all of RAM, of the slots that the report is about */
    KVMFprRange gpa;
    KVMFprRange ram;
    /* KVMFprSlot: those slots, and others in these ranges */
    GArray *slots;
    /* Those before this one end below the addresses that SET has reached. */
    unsigned int first;
} KVMFprScope;

static bool kvm_fpr_in_report(const KVMFprScope *scope, const KVMSlot *slot)
{
    return slot->as_id == KVM_FPR_AS &&
           kvm_fpr_touches(&scope->report, slot->start_addr, slot->memory_size);
}

static void kvm_fpr_extend_scope(KVMSlot *slot, void *opaque)
{
    KVMFprScope *scope = opaque;

    if (kvm_fpr_in_report(scope, slot)) {
        kvm_fpr_extend(&scope->gpa, slot->start_addr, slot->memory_size);
        kvm_fpr_extend(&scope->ram, slot->ram_start_offset, slot->memory_size);
    }
}

static void kvm_fpr_collect_slot(KVMSlot *slot, void *opaque)
{
    KVMFprScope *scope = opaque;
    KVMFprSlot item = { .slot = slot };

    if (kvm_fpr_touches(&scope->gpa, slot->start_addr, slot->memory_size) ||
        kvm_fpr_touches(&scope->ram, slot->ram_start_offset,
                        slot->memory_size)) {
        g_array_append_val(scope->slots, item);
    }
}

typedef uint64_t KVMFprPlace(const KVMSlot *slot);

static uint64_t kvm_fpr_gpa(const KVMSlot *slot)
{
    return slot->start_addr;
}

static uint64_t kvm_fpr_ram(const KVMSlot *slot)
{
    return slot->ram_start_offset;
}

static int kvm_fpr_compare(const void *a, const void *b, void *opaque)
{
    const KVMFprSlot *first = a, *second = b;
    KVMFprPlace *place = opaque;
    uint64_t pa = place(first->slot), pb = place(second->slot);

    return pa < pb ? -1 : pa > pb;
}

/*
 * Sort the slots by where they are, and compare every two that overlap there.
 * Slots beside each other are not compared, however many there are.
 */
static void kvm_fpr_find_aliases(GArray *slots, KVMFprPlace *place)
{
    g_array_sort_with_data(slots, kvm_fpr_compare, place);
    for (unsigned int i = 0; i < slots->len; i++) {
        KVMFprSlot *a = &g_array_index(slots, KVMFprSlot, i);
        uint64_t end = place(a->slot) + a->slot->memory_size;

        for (unsigned int j = i + 1; j < slots->len; j++) {
            KVMFprSlot *b = &g_array_index(slots, KVMFprSlot, j);
            bool differ = a->slot->start_addr - a->slot->ram_start_offset !=
                          b->slot->start_addr - b->slot->ram_start_offset;

            if (place(b->slot) >= end) {
                break;
            }
            a->aliased |= differ || b->slot->flags & KVM_MEM_READONLY;
            b->aliased |= differ || a->slot->flags & KVM_MEM_READONLY;
        }
    }
}

static bool kvm_fpr_slot_is_ram(const KVMSlot *slot)
{
    ram_addr_t offset;
    MemoryRegion *mr = memory_region_from_host(slot->ram, &offset);

    return mr && memory_region_is_ram(mr) && !memory_region_is_rom(mr) &&
           !memory_region_is_romd(mr);
}

/*
 * A report speaks of the memory that address space 0 has at an address, while
 * KVM filters the page at this address in every address space, and looks for
 * writes nowhere else.  Both is the same thing only if all slots agree which
 * memory is at which address.
 *
 * What a guest writes to read-only memory does not go through KVM: it is
 * ignored, or a device writes it, as pflash does what only SMM may.  KVM
 * cannot say whether it was written, and a guest's OS that called it free would
 * keep it from the destination.  So the guest must be able to write the memory
 * wherever it sees it.
 */
static bool kvm_fpr_slot_usable(const KVMFprSlot *item)
{
    const KVMSlot *slot = item->slot;

    return !item->aliased && slot->dirty_bmap &&
           slot->flags & KVM_MEM_LOG_DIRTY_PAGES &&
           !(slot->flags & KVM_MEM_READONLY) && kvm_fpr_slot_is_ram(slot);
}

/*
 * Called with the memory slots locked: pages leave a slot's copy of the log.
 * Bit n of @confirmed is the page at @gpa + n pages.
 */
static void kvm_fpr_forget(KVMSlot *slot, hwaddr gpa,
                           const unsigned long *confirmed, unsigned long npages)
{
    size_t psize = qemu_real_host_page_size();
    hwaddr from = MAX(gpa, slot->start_addr);
    hwaddr to = MIN(gpa + npages * psize,
                    slot->start_addr + slot->memory_size);

    if (slot->dirty_bmap && from < to) {
        free_page_clear_map(slot->dirty_bmap, (from - slot->start_addr) / psize,
                            confirmed, (from - gpa) / psize,
                            (to - from) / psize, NULL);
    }
}

/* The same in all slots, which are sorted by their addresses */
static void kvm_fpr_forget_all(KVMFprScope *scope, hwaddr gpa,
                               const unsigned long *confirmed,
                               unsigned long npages)
{
    hwaddr end = gpa + npages * qemu_real_host_page_size();
    KVMSlot *slot = g_array_index(scope->slots, KVMFprSlot, scope->first).slot;

    /* One of them has these pages. */
    while (slot->start_addr + slot->memory_size <= gpa) {
        slot = g_array_index(scope->slots, KVMFprSlot, ++scope->first).slot;
    }
    for (unsigned int i = scope->first; i < scope->slots->len; i++) {
        slot = g_array_index(scope->slots, KVMFprSlot, i).slot;
        if (slot->start_addr >= end) {
            break;
        }
        kvm_fpr_forget(slot, gpa, confirmed, npages);
    }
}

/* Called with the memory slots locked */
static int kvm_fpr_set_slot(KVMState *s, KVMFprScope *scope,
                            const KVMFprSlot *item, FreePageReport *report,
                            FreePageDropFunc *drop)
{
    KVMSlot *slot = item->slot;
    size_t psize = qemu_real_host_page_size();
    hwaddr start = MAX(report->base + report->first * psize, slot->start_addr);
    hwaddr end = MIN(report->base + report->end * psize,
                     slot->start_addr + slot->memory_size);
    unsigned long npages = (end - start) / psize;
    struct kvm_fpr_bitmap arg = {};
    int ret;

    bitmap_copy_with_src_offset(report->part, report->free,
                                (start - report->base) / psize, npages);
    if (bitmap_empty(report->part, npages) || !kvm_fpr_slot_usable(item)) {
        return 0;
    }
    bitmap_zero(report->confirmed, npages);

    arg.flags = KVM_FPR_SET_CONFIRM;
    arg.epoch = report->epoch;
    arg.gpa = start;
    arg.size = end - start;
    arg.bitmap = (uintptr_t)report->part;
    arg.confirmed = (uintptr_t)report->confirmed;
    do {
        ret = kvm_vm_ioctl(s, KVM_FPR_SET_BITMAP, &arg);
    } while (ret == -EINTR || (!ret && arg.size));

    report->nr_filtered += arg.nr_filtered;
    report->nr_confirmed += arg.nr_confirmed;
    if (ret) {
        /*
         * What was filtered before the error is still dirty for QEMU and is
         * sent like any other page.
         */
        return ret;
    }

    kvm_fpr_forget_all(scope, start, report->confirmed, npages);
    drop(slot->ram + (start - slot->start_addr), report->confirmed, npages);
    return 0;
}

static AccelFreePageBlocked kvm_fpr_blocked(AccelState *as)
{
    if (kvm_dirty_ring_enabled()) {
        return ACCEL_FREE_PAGE_DIRTY_RING;
    }
    if (HOST_BIG_ENDIAN) {
        return ACCEL_FREE_PAGE_BIG_ENDIAN;
    }
    if (!(kvm_vm_check_extension(KVM_STATE(as), KVM_CAP_FREE_PAGE_FILTER) &
          KVM_FPR_CAP_CONFIRM)) {
        return ACCEL_FREE_PAGE_NO_KERNEL_SUPPORT;
    }
    return ACCEL_FREE_PAGE_NOT_BLOCKED;
}

static bool kvm_fpr_can_arm_candidates(AccelState *as)
{
    return kvm_vm_check_extension(KVM_STATE(as), KVM_CAP_FREE_PAGE_FILTER) &
           KVM_FPR_CAP_CANDIDATES;
}

static int kvm_fpr_arm(AccelState *as, uint64_t *epoch,
                       const FreePageMap *candidates)
{
    struct kvm_fpr_arm arg = {};
    int ret;

    if (candidates) {
        arg.flags = KVM_FPR_ARM_CANDIDATES;
        arg.gpa = candidates->base;
        arg.size = candidates->npages * qemu_real_host_page_size();
        arg.candidates = (uintptr_t)candidates->bits;
    }
    /* A signal interrupts it, and it goes on. */
    do {
        ret = kvm_vm_ioctl(KVM_STATE(as), KVM_FPR_ARM, &arg);
    } while (ret == -EINTR || (!ret && arg.size));

    *epoch = ret ? 0 : arg.epoch;
    return ret;
}

typedef struct KVMFprSet {
    FreePageReport *report;
    FreePageDropFunc *drop;
} KVMFprSet;

/* KVMSlotsFunc */
static int kvm_fpr_set_locked(KVMState *s, void *opaque)
{
    const KVMFprSet *set = opaque;
    const FreePageReport *report = set->report;
    size_t psize = qemu_real_host_page_size();
    g_autoptr(GArray) slots = g_array_new(false, false, sizeof(KVMFprSlot));
    KVMFprScope scope = {
        .report = {
            report->base + report->first * psize,
            report->base + report->end * psize,
        },
        .gpa = { UINT64_MAX, 0 },
        .ram = { UINT64_MAX, 0 },
        .slots = slots,
    };
    int ret = 0;

    kvm_fpr_foreach_slot(s, kvm_fpr_extend_scope, &scope);
    kvm_fpr_foreach_slot(s, kvm_fpr_collect_slot, &scope);
    kvm_fpr_find_aliases(slots, kvm_fpr_ram);
    kvm_fpr_find_aliases(slots, kvm_fpr_gpa);
    for (unsigned int i = 0; i < slots->len; i++) {
        KVMFprSlot *item = &g_array_index(slots, KVMFprSlot, i);

        if (kvm_fpr_in_report(&scope, item->slot)) {
            int err = kvm_fpr_set_slot(s, &scope, item, set->report, set->drop);

            /* A slot that is newer than the epoch does not spoil the others. */
            ret = err ?: ret;
        }
    }
    return ret;
}

static int kvm_fpr_set_bitmap(AccelState *as, FreePageReport *report,
                              FreePageDropFunc *drop)
{
    KVMFprSet set = { report, drop };

    RCU_READ_LOCK_GUARD();
    return kvm_with_slots_locked(KVM_STATE(as), kvm_fpr_set_locked, &set);
}

static void kvm_fpr_disarm(AccelState *as, uint64_t epoch)
{
    struct kvm_fpr_disarm arg = { .epoch = epoch };

    /* ESTALE, if another agent's ARM has ended the epoch, is fine, too. */
    kvm_vm_ioctl(KVM_STATE(as), KVM_FPR_DISARM, &arg);
}

const AccelFreePageOps kvm_fpr_ops = {
    .blocked = kvm_fpr_blocked,
    .can_arm_candidates = kvm_fpr_can_arm_candidates,
    .arm = kvm_fpr_arm,
    .set_bitmap = kvm_fpr_set_bitmap,
    .disarm = kvm_fpr_disarm,
};
