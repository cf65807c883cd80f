/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that the free page filter dropped, in a migration that may switch to
 * postcopy: see free-page-dropped.h
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/rcu.h"
#include "qemu/stats64.h"
#include "exec/cpu-common.h"
#include "exec/target_page.h"
#include "migration/free-page-dropped.h"
#include "migration.h"
#include "migration-stats.h"
#include "options.h"
#include "ram.h"
#include "trace.h"

void free_page_dropped_prepare(RAMBlock *rb)
{
    if (migrate_postcopy_ram() && !rb->dropped) {
        rb->dropped = bitmap_new(rb->max_length >> qemu_target_page_bits());
    }
}

static bool has_larger_pages(RAMBlock *rb)
{
    return qemu_ram_pagesize(rb) != qemu_target_page_size();
}

void free_page_dropped_synced(RAMBlock *rb)
{
    if (rb->dropped) {
        bitmap_andnot(rb->dropped, rb->dropped, rb->bmap,
                      rb->used_length >> qemu_target_page_bits());
    }
}

void free_page_dropped_switch(RAMBlock *rb)
{
    const unsigned long npages = rb->used_length >> qemu_target_page_bits();
    unsigned long start, end;

    if (!rb->dropped || !has_larger_pages(rb)) {
        return;
    }
    /* The caller adds the rest of each page: none is sent in part. */
    for (start = find_first_bit(rb->dropped, npages); start < npages;
         start = find_next_bit(rb->dropped, npages, end)) {
        end = find_next_zero_bit(rb->dropped, npages, start);
        ram_bitmap_add(rb, start, end - start);
    }
}

void free_page_dropped_recover(RAMBlock *rb)
{
    /* Of larger pages, those that were not received are sent as a whole. */
    if (rb->dropped && !has_larger_pages(rb)) {
        bitmap_andnot(rb->bmap, rb->bmap, rb->dropped,
                      rb->used_length >> qemu_target_page_bits());
    }
}

void free_page_dropped_request(RAMBlock *rb, unsigned long page)
{
    if (!rb->dropped || !test_bit(page, rb->dropped)) {
        return;
    }
    stat64_add(&mig_stats.dropped_page_requests, 1);
    trace_free_page_dropped_request(rb->idstr, page);
    ram_bitmap_add(rb, page, 1);
}

bool free_page_dropped_take(RAMBlock *rb, unsigned long page)
{
    return rb->dropped && test_bit(page, rb->dropped) &&
           bitmap_test_and_clear_atomic(rb->dropped, page, 1);
}

static int free_page_dropped_free(RAMBlock *rb, void *opaque)
{
    g_clear_pointer(&rb->dropped, g_free);
    return 0;
}

void free_page_dropped_cleanup(void)
{
    foreach_not_ignored_block(free_page_dropped_free, NULL);
}
