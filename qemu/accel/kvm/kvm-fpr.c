/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM's free page filter, for the memory of this machine
 *
 * SET and everything that follows from it is one critical section under the
 * lock of the memory slots, because of three others that run under it:
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
#include "qemu/range.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "system/kvm_fpr.h"

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

/* Slots of all address spaces that overlap a range, each looked for once */
typedef struct KVMFprSlots {
    hwaddr start;
    hwaddr end;
    GPtrArray *slots;
} KVMFprSlots;

static void kvm_fpr_collect_slot(KVMSlot *slot, void *opaque)
{
    KVMFprSlots *range = opaque;

    if (slot->start_addr < range->end &&
        slot->start_addr + slot->memory_size > range->start) {
        g_ptr_array_add(range->slots, slot);
    }
}

typedef struct KVMFprAliasCheck {
    const KVMSlot *slot;
    bool aliased;
} KVMFprAliasCheck;

static void kvm_fpr_check_alias(KVMSlot *other, void *opaque)
{
    KVMFprAliasCheck *check = opaque;
    const KVMSlot *slot = check->slot;

    if ((ranges_overlap(slot->start_addr, slot->memory_size,
                        other->start_addr, other->memory_size) ||
         ranges_overlap(slot->ram_start_offset, slot->memory_size,
                        other->ram_start_offset, other->memory_size)) &&
        (slot->start_addr - slot->ram_start_offset !=
         other->start_addr - other->ram_start_offset ||
         other->flags & KVM_MEM_READONLY)) {
        check->aliased = true;
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
static bool kvm_fpr_slot_usable(KVMState *s, const KVMSlot *slot)
{
    KVMFprAliasCheck check = { .slot = slot };

    if (!slot->dirty_bmap || !(slot->flags & KVM_MEM_LOG_DIRTY_PAGES) ||
        !kvm_fpr_slot_is_ram(slot)) {
        return false;
    }
    kvm_fpr_foreach_slot(s, kvm_fpr_check_alias, &check);
    return !check.aliased;
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
    unsigned long start, end, last;

    if (!slot->dirty_bmap || from >= to) {
        return;
    }
    last = (to - gpa) / psize;
    for (start = find_next_bit(confirmed, last, (from - gpa) / psize);
         start < last; start = find_next_bit(confirmed, last, end)) {
        end = find_next_zero_bit(confirmed, last, start);
        bitmap_clear(slot->dirty_bmap,
                     (gpa + start * psize - slot->start_addr) / psize,
                     end - start);
    }
}

/* Called with the memory slots locked */
static int kvm_fpr_set_slot(KVMState *s, KVMSlot *slot, KVMFprReport *report,
                            const GPtrArray *range, KVMFprDropFunc *drop)
{
    size_t psize = qemu_real_host_page_size();
    hwaddr start = MAX(report->base + report->first * psize, slot->start_addr);
    hwaddr end = MIN(report->base + report->end * psize,
                     slot->start_addr + slot->memory_size);
    unsigned long npages = (end - start) / psize;
    struct kvm_fpr_bitmap arg = {};
    int ret;

    bitmap_copy_with_src_offset(report->part, report->free,
                                (start - report->base) / psize, npages);
    if (bitmap_empty(report->part, npages) || !kvm_fpr_slot_usable(s, slot)) {
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

    for (unsigned int i = 0; i < range->len; i++) {
        kvm_fpr_forget(g_ptr_array_index(range, i), start, report->confirmed,
                       npages);
    }
    drop(slot->ram + (start - slot->start_addr), report->confirmed, npages);
    return 0;
}

const char *kvm_fpr_blocked(void)
{
    if (!kvm_enabled()) {
        return "the accelerator is not KVM";
    }
    if (kvm_dirty_ring_enabled()) {
        return "KVM's dirty ring is in use";
    }
    if (HOST_BIG_ENDIAN) {
        /* The kernel's bitmaps are little-endian, QEMU's are not. */
        return "the host is big-endian";
    }
    if (!(kvm_vm_check_extension(kvm_state, KVM_CAP_FREE_PAGE_FILTER) &
          KVM_FPR_CAP_CONFIRM)) {
        return "the kernel has no free page filter";
    }
    return NULL;
}

int kvm_fpr_arm(uint64_t *epoch)
{
    struct kvm_fpr_arm arg = {};
    int ret = kvm_vm_ioctl(kvm_state, KVM_FPR_ARM, &arg);

    *epoch = ret ? 0 : arg.epoch;
    return ret;
}

int kvm_fpr_set_bitmap(KVMFprReport *report, KVMFprDropFunc *drop)
{
    KVMState *s = kvm_state;
    size_t psize = qemu_real_host_page_size();
    g_autoptr(GPtrArray) slots = g_ptr_array_new();
    KVMFprSlots range = {
        .start = report->base + report->first * psize,
        .end = report->base + report->end * psize,
        .slots = slots,
    };
    int ret = 0;

    RCU_READ_LOCK_GUARD();
    kvm_slots_lock();
    kvm_fpr_foreach_slot(s, kvm_fpr_collect_slot, &range);
    for (unsigned int i = 0; i < slots->len; i++) {
        KVMSlot *slot = g_ptr_array_index(slots, i);

        if (slot->as_id == KVM_FPR_AS) {
            int err = kvm_fpr_set_slot(s, slot, report, slots, drop);

            /* A slot that is newer than the epoch does not spoil the others. */
            ret = err ?: ret;
        }
    }
    kvm_slots_unlock();

    return ret;
}

void kvm_fpr_disarm(uint64_t epoch)
{
    struct kvm_fpr_disarm arg = { .epoch = epoch };

    /* ESTALE, if another agent's ARM has ended the epoch, is fine, too. */
    kvm_vm_ioctl(kvm_state, KVM_FPR_DISARM, &arg);
}
