/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which free pages nobody has written, as an accelerator can tell
 *
 * An accelerator that has a free page filter has AccelFreePageOps in its
 * AccelClass.  KVM has one, see linux/kvm_fpr.h.
 */

#ifndef ACCEL_FREE_PAGE_OPS_H
#define ACCEL_FREE_PAGE_OPS_H

#include "qemu/accel.h"
#include "qemu/bitmap.h"
#include "exec/hwaddr.h"

/**
 * FreePageReport: a report of free pages and what became of it
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
 * @nr_filtered: the number of pages that left the dirty log is added to it
 * @nr_confirmed: the number of pages that were confirmed is added to it
 */
typedef struct FreePageReport {
    uint64_t epoch;
    hwaddr base;
    unsigned long first;
    unsigned long end;
    unsigned long *free;
    unsigned long *part;
    unsigned long *confirmed;
    uint64_t nr_filtered;
    uint64_t nr_confirmed;
} FreePageReport;

/*
 * Bit n of @confirmed is the page at @host + n pages of the host's page size.
 * All of them lie in one block of RAM.  Called with the accelerator's lock held
 * that protects the dirty log.
 */
typedef void FreePageDropFunc(void *host, const unsigned long *confirmed,
                            unsigned long npages);

/**
 * free_page_clear_map: clear what one bitmap names in another one
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
static inline unsigned long free_page_clear_map(unsigned long *map,
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

/**
 * FreePageMap: pages of the guest
 *
 * @base: guest physical address of bit 0
 * @npages: number of pages, at least 1, of the host's page size
 * @bits: a bit for each of them
 */
typedef struct FreePageMap {
    hwaddr base;
    uint64_t npages;
    const unsigned long *bits;
} FreePageMap;

/* Why the accelerator's filter cannot be used */
typedef enum AccelFreePageBlocked {
    ACCEL_FREE_PAGE_NOT_BLOCKED,
    ACCEL_FREE_PAGE_DIRTY_RING,
    /* The kernel's bitmaps are little-endian, QEMU's are not. */
    ACCEL_FREE_PAGE_BIG_ENDIAN,
    ACCEL_FREE_PAGE_NO_KERNEL_SUPPORT,
} AccelFreePageBlocked;

/**
 * AccelFreePageOps: an accelerator's free page filter
 *
 * All members are there.  They may be called by any thread, with or without the
 * BQL.  Without @blocked being called before, and its answer being
 * ACCEL_FREE_PAGE_NOT_BLOCKED, none of the others is called.
 */
typedef struct AccelFreePageOps {
    /**
     * @blocked: why the filter cannot be used, if it cannot
     */
    AccelFreePageBlocked (*blocked)(AccelState *as);

    /**
     * @can_arm_candidates: whether @arm can be passed candidates
     */
    bool (*can_arm_candidates)(AccelState *as);

    /**
     * @arm: begin an epoch; writes are tracked from now on
     * @epoch: receives its number, or 0
     * @candidates: no other pages can be confirmed in it; NULL: all of them can
     *
     * Takes time for each page that is tracked and in the dirty log, and waits
     * for vCPUs that handle a fault.
     *
     * Returns 0 or a negative errno; with @candidates -ESTALE where another
     * call has begun an epoch, or ended them all, meanwhile.
     */
    int (*arm)(AccelState *as, uint64_t *epoch, const FreePageMap *candidates);

    /**
     * @set_bitmap: find which pages of a report were not written in its epoch
     * @report: the report; its counters are updated
     * @drop: called for the pages that were not, before anything else can look
     *        at, or clear, the dirty log
     *
     * Returns 0 or a negative errno.  Pages for which @drop was not called are
     * to be treated as if they had not been reported.
     */
    int (*set_bitmap)(AccelState *as, FreePageReport *report,
                      FreePageDropFunc *drop);

    /**
     * @disarm: end an epoch
     * @epoch: its number; it may be over
     */
    void (*disarm)(AccelState *as, uint64_t epoch);
} AccelFreePageOps;

#endif
