/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's free page filter (linux/kvm_fpr.h), for the memory of this machine
 */

#ifndef SYSTEM_KVM_FPR_H
#define SYSTEM_KVM_FPR_H

#include "qemu/bitmap.h"
#include "exec/hwaddr.h"

/**
 * KVMFprReport: a report of free pages and what became of it
 *
 * All bitmaps have a bit for each page of the host's page size.
 *
 * @epoch: the epoch in which the report was taken
 * @base: guest physical address of bit 0
 * @first: the first bit of the report
 * @end: the bit after the last one of the report
 * @free: the pages that are reported free
 * @part: scratch space, as large as @free
 * @confirmed: scratch space, as large as @free
 * @nr_filtered: the number of pages that left KVM's dirty log is added to it
 * @nr_confirmed: the number of pages that KVM confirmed is added to it
 */
typedef struct KVMFprReport {
    uint64_t epoch;
    hwaddr base;
    unsigned long first;
    unsigned long end;
    unsigned long *free;
    unsigned long *part;
    unsigned long *confirmed;
    uint64_t nr_filtered;
    uint64_t nr_confirmed;
} KVMFprReport;

/*
 * Bit n of @confirmed is the page at @host + n pages of the host's page size.
 * All of them lie in one block of RAM.  Called with KVM's memory slots locked.
 */
typedef void KVMFprDropFunc(void *host, const unsigned long *confirmed,
                            unsigned long npages);

/**
 * kvm_fpr_clear_pages: clear what one bitmap names in another one
 * @map: the bitmap that is changed
 * @first: its bit for the first page
 * @pages: the bitmap that names pages; NULL for all of them
 * @from: its bit for the first page
 * @npages: number of pages
 * @gone: a bitmap of @map's shape, in which the bits are set that were set in
 *        @map; may be NULL
 *
 * This goes word by word, however scattered the pages are.  Returns how many
 * bits were set in @map.
 */
static inline unsigned long kvm_fpr_clear_pages(unsigned long *map,
                                                unsigned long first,
                                                const unsigned long *pages,
                                                unsigned long from,
                                                unsigned long npages,
                                                unsigned long *gone)
{
    unsigned long cleared = 0, len;

    for (unsigned long n = 0; n < npages; n += len) {
        unsigned long to_bit = (first + n) % BITS_PER_LONG;
        unsigned long bit = (from + n) % BITS_PER_LONG;
        unsigned long at = BIT_WORD(first + n);
        unsigned long bits = pages ? pages[BIT_WORD(from + n)] >> bit : ~0UL;

        len = MIN(npages - n, BITS_PER_LONG - MAX(to_bit, bit));
        bits = (bits & BITMAP_LAST_WORD_MASK(len)) << to_bit & map[at];
        map[at] ^= bits;
        if (gone) {
            gone[at] |= bits;
        }
        cleared += ctpopl(bits);
    }
    return cleared;
}

/* Why this machine cannot use the filter */
typedef enum KVMFprBlocked {
    KVM_FPR_NOT_BLOCKED,
    KVM_FPR_NO_KVM,
    KVM_FPR_DIRTY_RING,
    /* The kernel's bitmaps are little-endian, QEMU's are not. */
    KVM_FPR_BIG_ENDIAN,
    KVM_FPR_NO_KERNEL_SUPPORT,
} KVMFprBlocked;

/**
 * kvm_fpr_blocked: why this machine cannot use the filter, if it cannot
 */
KVMFprBlocked kvm_fpr_blocked(void);

/**
 * KVMFprCandidates: the pages that are worth tracking in an epoch
 *
 * @base: guest physical address of bit 0
 * @npages: number of pages, at least 1, of the host's page size
 * @bits: a bit for each of them
 */
typedef struct KVMFprCandidates {
    hwaddr base;
    uint64_t npages;
    const unsigned long *bits;
} KVMFprCandidates;

/**
 * kvm_fpr_can_arm_candidates: whether kvm_fpr_arm() can be passed candidates
 */
bool kvm_fpr_can_arm_candidates(void);

/**
 * kvm_fpr_arm: begin an epoch
 * @epoch: receives its number
 * @candidates: no other pages can be confirmed in it; NULL: all of them can
 *
 * Takes time for each page that is tracked and in KVM's dirty log, and waits
 * for vCPUs that handle a fault.  May be called with or without the BQL.
 *
 * Returns 0 or a negative errno; with @candidates -ESTALE where another call
 * has begun an epoch, or ended them all, meanwhile.
 */
int kvm_fpr_arm(uint64_t *epoch, const KVMFprCandidates *candidates);

/**
 * kvm_fpr_set_bitmap: hand over a report of free pages
 * @report: the report; its counters are updated
 * @drop: called for the confirmed pages before anything else can look at, or
 *        clear, the dirty log
 *
 * Returns 0 or a negative errno.  Pages for which @drop was not called are to
 * be treated as if they had not been reported.
 */
int kvm_fpr_set_bitmap(KVMFprReport *report, KVMFprDropFunc *drop);

/**
 * kvm_fpr_disarm: end an epoch
 * @epoch: its number
 */
void kvm_fpr_disarm(uint64_t epoch);

#endif
