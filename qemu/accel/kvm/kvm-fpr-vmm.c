/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control of the measurements: the filter made of upstream's ioctls alone
 *
 * ARM: after a bitmap sync, KVM_CLEAR_DIRTY_LOG of all that KVM_GET_DIRTY_LOG
 * has returned and QEMU would clear only before it sends the page.  All of
 * these pages are write-protected now.
 *
 * SET: a KVM_GET_DIRTY_LOG for ourselves.  It shows every page that was written
 * since ARM, for with the manual protection of the log it clears nothing, so
 * the next sync sees the same and more.  A page that was reported and is not in
 * it is confirmed.  It shows also what was written between the sync and ARM;
 * such a page is not confirmed, which is safe.
 *
 * A write is not lost, for the same reason as in any other round: KVM marks a
 * page whose CLEAR is over before, or together with, a write to it (CLEAR holds
 * mmu_lock for both the bit and the SPTE).  If the mark comes after our GET, the
 * next sync sees it and the page is sent.
 *
 * This file is not in the series for upstream.
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "kvm-fpr.h"
#include "kvm-fpr-vmm.h"

/* A slot that was armed, as it was then */
typedef struct KVMFprArmed {
    uint64_t epoch;
    hwaddr start_addr;
    ram_addr_t memory_size;
    void *ram;
} KVMFprArmed;

/* Protected by the lock of the memory slots */
static uint64_t last_epoch;
/* KVMFprArmed by the slot's number, with its address space */
static GHashTable *armed;

bool kvm_fpr_vmm(void)
{
    return g_getenv("KVM_FPR_VMM");
}

bool kvm_fpr_vmm_works(void)
{
    /* Of the two flags the second comes with the first alone. */
    if (kvm_state->manual_dirty_log_protect & KVM_DIRTY_LOG_INITIALLY_SET) {
        return true;
    }
    warn_report_once("KVM_FPR_VMM has no effect: KVM_GET_DIRTY_LOG clears the "
                     "log, or a new slot's log is empty");
    return false;
}

static uint32_t kvm_fpr_vmm_number(const KVMSlot *slot)
{
    return slot->slot | slot->as_id << 16;
}

/* Called with the memory slots locked */
static int kvm_fpr_vmm_clear(const KVMSlot *slot)
{
    struct kvm_clear_dirty_log log = {
        .slot = kvm_fpr_vmm_number(slot),
        .num_pages = slot->memory_size / qemu_real_host_page_size(),
        .dirty_bitmap = slot->dirty_bmap,
    };
    int ret = kvm_vm_ioctl(kvm_state, KVM_CLEAR_DIRTY_LOG, &log);

    if (!ret) {
        bitmap_zero(slot->dirty_bmap, log.num_pages);
    }
    return ret;
}

/* Called with the memory slots locked */
static int kvm_fpr_vmm_arm_slot(const KVMSlot *slot)
{
    KVMFprArmed *item;

    if (!slot->memory_size || !slot->dirty_bmap ||
        !(slot->flags & KVM_MEM_LOG_DIRTY_PAGES)) {
        return 0;
    }
    item = g_new(KVMFprArmed, 1);
    *item = (KVMFprArmed) {
        last_epoch, slot->start_addr, slot->memory_size, slot->ram,
    };
    g_hash_table_insert(armed, GUINT_TO_POINTER(kvm_fpr_vmm_number(slot)),
                        item);
    return kvm_fpr_vmm_clear(slot);
}

/* KVMSlotsFunc */
static int kvm_fpr_vmm_arm_locked(KVMState *s, void *opaque)
{
    uint64_t *epoch = opaque;
    int ret = 0;

    if (!armed) {
        armed = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    }
    g_hash_table_remove_all(armed);
    last_epoch++;
    for (int as_id = 0; as_id < s->nr_as && !ret; as_id++) {
        KVMMemoryListener *kml = s->as[as_id].ml;

        for (unsigned int i = 0;
             kml && i < kml->nr_slots_allocated && !ret; i++) {
            ret = kvm_fpr_vmm_arm_slot(&kml->slots[i]);
        }
    }
    *epoch = ret ? 0 : last_epoch;
    return ret;
}

int kvm_fpr_vmm_arm(uint64_t *epoch)
{
    return kvm_with_slots_locked(kvm_state, kvm_fpr_vmm_arm_locked, epoch);
}

/*
 * A slot that was deleted and created again has all pages in its log, for QEMU
 * sets KVM_DIRTY_LOG_INITIALLY_SET, or is another one by its place.
 */
static bool kvm_fpr_vmm_is_armed(const KVMSlot *slot, uint64_t epoch)
{
    const KVMFprArmed *item =
        g_hash_table_lookup(armed, GUINT_TO_POINTER(kvm_fpr_vmm_number(slot)));

    return item && item->epoch == epoch &&
           item->start_addr == slot->start_addr &&
           item->memory_size == slot->memory_size && item->ram == slot->ram;
}

int kvm_fpr_vmm_set(const KVMSlot *slot, struct kvm_fpr_bitmap *arg)
{
    const size_t psize = qemu_real_host_page_size();
    const unsigned long first = (arg->gpa - slot->start_addr) / psize;
    const unsigned long npages = arg->size / psize;
    const unsigned long *reported = (void *)(uintptr_t)arg->bitmap;
    unsigned long *confirmed = (void *)(uintptr_t)arg->confirmed;
    g_autofree unsigned long *dirty = NULL, *touched = NULL;
    struct kvm_dirty_log log = {};
    int ret;

    if (!kvm_fpr_vmm_is_armed(slot, arg->epoch)) {
        return -ESTALE;
    }
    dirty = bitmap_new(slot->memory_size / psize);
    touched = bitmap_new(npages);
    log.slot = kvm_fpr_vmm_number(slot);
    log.dirty_bitmap = dirty;
    ret = kvm_vm_ioctl(kvm_state, KVM_GET_DIRTY_LOG, &log);
    if (ret) {
        return ret;
    }

    bitmap_copy_with_src_offset(touched, dirty, first, npages);
    bitmap_andnot(confirmed, reported, touched, npages);
    arg->nr_confirmed += bitmap_count_one(confirmed, npages);
    arg->size = 0;
    return 0;
}
