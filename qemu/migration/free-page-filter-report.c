/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The free page filter: what the guest names is gathered, handed to KVM, and
 * dropped where KVM confirms it
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "qemu/stats64.h"
#include "qemu/timer.h"
#include "exec/cpu-common.h"
#include "exec/target_page.h"
#include "migration/free-page-dropped.h"
#include "migration/misc.h"
#include "migration.h"
#include "options.h"
#include "ram.h"
#include "trace.h"
#include "free-page-filter-internal.h"

/* Hints to gather at most, so that the first ones do not come too late */
#define FPF_MAX_HINTS 8

/* Called with the lock held */
void fpf_forget_hints(FreePageFilter *fpf)
{
    FreePageReport *report = &fpf->report;

    if (fpf->nr_hints) {
        bitmap_clear(report->free, report->first, report->end - report->first);
        fpf->nr_hints = 0;
    }
}

/*
 * A dropped page may be one that was never sent.  It has to read as zero then,
 * or the guest would see whose memory it was before.
 */
static bool fpf_may_drop(RAMBlock *rb)
{
    /* Without a bitmap: shared with the destination, or not migrated at all */
    return rb->bmap && !migrate_ram_is_ignored(rb) &&
           !memory_region_is_nonvolatile(rb->mr) && !(rb->flags & RAM_PMEM);
}

/*
 * Tell of all confirmed pages: also those that are not in the bitmap, or that
 * stay there, will differ on the destination if the write that made them differ
 * is one that the filter took out of KVM's log.
 */
static void fpf_trace_drop(RAMBlock *rb, ram_addr_t offset,
                           const unsigned long *confirmed, unsigned long npages)
{
    const size_t psize = qemu_real_host_page_size();
    const int page_bits = qemu_target_page_bits();
    unsigned long start, end;

    for (start = find_first_bit(confirmed, npages); start < npages;
         start = find_next_bit(confirmed, npages, end)) {
        end = find_next_zero_bit(confirmed, npages, start);
        trace_free_page_filter_drop(rb->idstr,
                                    (offset + start * psize) >> page_bits,
                                    (end - start) * psize >> page_bits);
    }
}

/* A page of the block's is dropped if all of the host's pages in it may be. */
static uint64_t fpf_drop_whole(RAMBlock *rb, ram_addr_t offset,
                               const unsigned long *confirmed,
                               unsigned long npages)
{
    const size_t psize = qemu_real_host_page_size();
    const int page_bits = qemu_target_page_bits();
    const size_t size = qemu_ram_pagesize(rb);
    const ram_addr_t end = offset + npages * psize;
    uint64_t dropped = 0;

    for (ram_addr_t at = ROUND_UP(offset, size); at + size <= end; at += size) {
        unsigned long last = (at + size - offset) / psize;

        if (find_next_zero_bit(confirmed, last, (at - offset) / psize) < last) {
            continue;
        }
        dropped += ram_bitmap_drop(rb, at >> page_bits, size >> page_bits,
                                   NULL);
    }
    return dropped;
}

/*
 * FreePageDropFunc, called with the bitmap locked, in an RCU critical section.
 * It serves the migration that goes on, as does the bitmap.
 */
static void fpf_drop(void *host, const unsigned long *confirmed,
                     unsigned long npages)
{
    FreePageFilter *fpf = fpf_get();
    const size_t psize = qemu_real_host_page_size();
    const int page_bits = qemu_target_page_bits();
    uint64_t dropped;
    ram_addr_t offset;
    RAMBlock *rb = qemu_ram_block_from_host(host, false, &offset);

    if (!rb || !fpf_may_drop(rb) || offset >= rb->used_length) {
        return;
    }
    npages = MIN(npages, (rb->used_length - offset) / psize);
    if (trace_event_get_state_backends(TRACE_FREE_PAGE_FILTER_DROP)) {
        fpf_trace_drop(rb, offset, confirmed, npages);
    }
    if (qemu_ram_pagesize(rb) == psize && psize >> page_bits == 1) {
        dropped = ram_bitmap_drop(rb, offset >> page_bits, npages, confirmed);
    } else {
        dropped = fpf_drop_whole(rb, offset, confirmed, npages);
    }
    stat64_add(&fpf->dropped_pages, dropped);
}

/* Called with the lock and the bitmap locked */
static void fpf_set(FreePageFilter *fpf)
{
    FreePageReport *report = &fpf->report;
    int ret;

    report->epoch = fpf->epoch;
    report->nr_filtered = 0;
    report->nr_confirmed = 0;

    ret = fpf_accel_ops()->set_bitmap(current_accel(), report, fpf_drop);
    trace_free_page_filter_set(report->epoch, fpf->nr_hints,
                               report->nr_filtered, report->nr_confirmed, ret);
    stat64_add(&fpf->filtered_pages, report->nr_filtered);
    stat64_add(&fpf->confirmed_pages, report->nr_confirmed);
    fpf_forget_hints(fpf);
}

/*
 * Called with the lock held, which may be given up meanwhile: the epoch may be
 * over then.
 */
static void fpf_flush(FreePageFilter *fpf)
{
    if (!fpf->nr_hints) {
        return;
    }

    qatomic_set(&fpf->flushing, fpf->flushing + 1);
    /* For those who send pages, SET and the drop are one step. */
    if (fpf_lock_bitmap(fpf)) {
        fpf_set(fpf);
        ram_bitmap_unlock();
    }
    qatomic_set(&fpf->flushing, fpf->flushing - 1);
    fpf->nr_flushed++;
    qemu_cond_signal(&fpf->flushed);
}

/* Called with the lock held: pages [first, end) of a window were gathered. */
static void fpf_extend(FreePageFilter *fpf, hwaddr base, unsigned long first,
                       unsigned long end, unsigned long npages)
{
    FreePageReport *report = &fpf->report;

    if (!fpf->nr_hints) {
        report->base = base;
        report->first = first;
        report->end = end;
    } else {
        report->first = MIN(report->first, first);
        report->end = MAX(report->end, end);
    }
    fpf->nr_hints++;
    stat64_add(&fpf->reported_pages, npages);
}

/*
 * Called with the lock held, before something of a window is gathered that was
 * reported in this epoch.  Returns false if the epoch is over.
 */
static bool fpf_enter_window(FreePageFilter *fpf, uint64_t epoch, hwaddr base)
{
    while (fpf->nr_hints && base != fpf->report.base) {
        fpf_flush(fpf);
    }
    return epoch && epoch == fpf->epoch;
}

/*
 * Called with the lock held; the range was reported in this epoch and lies
 * within one window.
 */
static void fpf_gather(FreePageFilter *fpf, uint64_t epoch, hwaddr gpa,
                       hwaddr size)
{
    const size_t psize = qemu_real_host_page_size();
    hwaddr base = QEMU_ALIGN_DOWN(gpa, FPF_WINDOW_SIZE);
    /* A page that is free in part is not free. */
    unsigned long first = DIV_ROUND_UP(gpa - base, psize);
    unsigned long end = (gpa - base + size) / psize;

    if (first >= end) {
        return;
    }
    if (!fpf_enter_window(fpf, epoch, base)) {
        return;
    }
    bitmap_set(fpf->report.free, first, end - first);
    fpf_extend(fpf, base, first, end, end - first);
    if (fpf->nr_hints >= FPF_MAX_HINTS) {
        fpf_flush(fpf);
    }
}

bool free_page_filter_report(uint64_t epoch, hwaddr gpa,
                             const unsigned long *free, unsigned long npages)
{
    FreePageFilter *fpf = fpf_get();
    hwaddr base = QEMU_ALIGN_DOWN(gpa, FPF_WINDOW_SIZE);
    unsigned long first = (gpa - base) / qemu_real_host_page_size();

    QEMU_LOCK_GUARD(&fpf->lock);
    if (!fpf_enter_window(fpf, epoch, base)) {
        return false;
    }
    /* Hints may have been gathered there: pages are added only. */
    for (unsigned long i = find_first_bit(free, npages); i < npages;
         i = find_next_bit(free, npages, i + 1)) {
        set_bit(first + i, fpf->report.free);
    }
    fpf_extend(fpf, base, first, first + npages,
               bitmap_count_one(free, npages));
    return true;
}

/*
 * Called with the lock held: for how many ms the pages would have been sent
 * that were dropped since this was called last.
 */
static int64_t fpf_saved_ms(FreePageFilter *fpf)
{
    const uint64_t dropped = stat64_get(&fpf->dropped_pages);
    const uint64_t bytes = (dropped - fpf->accounted_pages) <<
                           qemu_target_page_bits();
    /* 0 before it was measured how fast pages are sent */
    const uint64_t bytes_per_ms = migrate_get_current()->threshold_size /
                                  MAX(migrate_downtime_limit(), 1);

    fpf->accounted_pages = dropped;
    if (!bytes_per_ms) {
        return bytes ? INT64_MAX : 0;
    }
    return bytes / bytes_per_ms;
}

int64_t free_page_filter_report_done(uint64_t round, bool complete)
{
    FreePageFilter *fpf = fpf_get();
    int64_t now;

    QEMU_LOCK_GUARD(&fpf->lock);

    if (round == fpf->round) {
        fpf_flush(fpf);
    }
    if (round != fpf->round) {
        stat64_add(&fpf->discarded_reports, 1);
        return 0;
    }

    if (!complete) {
        stat64_add(&fpf->discarded_reports, 1);
    } else {
        now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
        if (!stat64_get(&fpf->reports)) {
            stat64_set(&fpf->first_report_ms, now - fpf->setup_time);
        }
        stat64_add(&fpf->reports, 1);
        fpf->late &= now - fpf->asked_ms > fpf->wait_last_ms;
    }
    /* Nothing more comes of this one, be it good or bad. */
    fpf->outstanding--;
    qemu_cond_signal(&fpf->report_done);
    return fpf_saved_ms(fpf);
}

bool free_page_filter_hint(hwaddr gpa, hwaddr size)
{
    FreePageFilter *fpf = fpf_get();

    QEMU_LOCK_GUARD(&fpf->lock);
    const uint64_t epoch = fpf->hint_epoch;

    if (fpf->stock) {
        return false;
    }

    while (epoch && epoch == fpf->epoch && size) {
        hwaddr rest = FPF_WINDOW_SIZE - gpa % FPF_WINDOW_SIZE;
        hwaddr len = MIN(size, rest);

        fpf_gather(fpf, epoch, gpa, len);
        gpa += len;
        size -= len;
    }
    return true;
}

void free_page_filter_flush(void)
{
    FreePageFilter *fpf = fpf_get();

    QEMU_LOCK_GUARD(&fpf->lock);
    fpf_flush(fpf);
}
