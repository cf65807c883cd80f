/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The free page filter: waits for reports, and turns at the lock of the bitmap
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/stats64.h"
#include "qemu/timer.h"
#include "exec/cpu-common.h"
#include "migration/free-page-dropped.h"
#include "migration.h"
#include "options.h"
#include "ram.h"
#include "trace.h"
#include "free-page-filter-internal.h"

/*
 * Where a sync leaves less than so many times of what can be sent while the
 * guest stands still, a report takes a good part of the round to come, and what
 * it leaves may be little enough.
 */
#define FPF_NEAR 4

/* How soon a wait for a report notices that the migration was cancelled */
#define FPF_WAIT_STEP_MS 50

/* How soon SET tries again to lock the bitmap */
#define FPF_TRY_MS 5

/*
 * Called with the lock held, which is not held while this waits: whoever has
 * the BQL may want it, and the bitmap is not to be had while the migration
 * thread cannot send.  What was gathered may be of another epoch afterwards, or
 * nothing.  Returns whether the bitmap is locked.
 */
bool fpf_lock_bitmap(FreePageFilter *fpf)
{
    /* There is a bitmap for as long as there are hints, all of this epoch. */
    while (fpf->nr_hints) {
        if (ram_bitmap_trylock()) {
            return true;
        }
        if (fpf->hurry) {
            fpf_forget_hints(fpf);
            return false;
        }
        qemu_cond_timedwait(&fpf->gave_way, &fpf->lock, FPF_TRY_MS);
    }
    return false;
}

void free_page_filter_hurry(bool hurry)
{
    FreePageFilter *fpf = fpf_get();

    QEMU_LOCK_GUARD(&fpf->lock);
    fpf->hurry = hurry;
    qemu_cond_broadcast(&fpf->gave_way);
}

bool free_page_filter_waits(void)
{
    FreePageFilter *fpf = fpf_get();

    return qatomic_read(&fpf->flushing) && get_clock() >= fpf->send_until;
}

/* Wait until one SET had its turn, or no SET wants one any more. */
static void fpf_give_way(FreePageFilter *fpf)
{
    int64_t end, start = get_clock();
    unsigned int nr_flushed;

    WITH_QEMU_LOCK_GUARD(&fpf->lock) {
        nr_flushed = fpf->nr_flushed;
        qemu_cond_signal(&fpf->gave_way);
        while (fpf->flushing && nr_flushed == fpf->nr_flushed) {
            qemu_cond_wait(&fpf->flushed, &fpf->lock);
        }
    }
    end = get_clock();
    fpf->send_until = end + (end - start);
}

/* Called by the migration thread with the lock held, but not with the BQL */
static void fpf_wait_reports(FreePageFilter *fpf, uint32_t ms)
{
    int64_t start = qemu_clock_get_ms(QEMU_CLOCK_REALTIME), now = start;
    MigrationState *s = migrate_get_current();

    while (fpf->outstanding && now < start + ms &&
           s->state == MIGRATION_STATUS_ACTIVE) {
        qemu_cond_timedwait(&fpf->report_done, &fpf->lock,
                            MIN(start + ms - now, FPF_WAIT_STEP_MS));
        now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    }
    fpf->late |= fpf->outstanding > 0;
    migration_exclude_from_bandwidth(now - start);
    stat64_add(&fpf->waited_ms, now - start);
    trace_free_page_filter_wait(fpf->epoch, now - start, fpf->outstanding);
}

void free_page_filter_before_pages(void)
{
    FreePageFilter *fpf = fpf_get();

    fpf_fail_if_strict(fpf);
    if (free_page_filter_waits()) {
        fpf_give_way(fpf);
    }
    if (!fpf->first) {
        return;
    }

    fpf->first = false;
    QEMU_LOCK_GUARD(&fpf->lock);
    fpf_wait_reports(fpf, fpf->wait_first_ms);
}

uint64_t free_page_filter_pending_exact(uint64_t remaining)
{
    FreePageFilter *fpf = fpf_get();
    MigrationState *s = migrate_get_current();
    uint64_t threshold = s->threshold_size;

    fpf_fail_if_strict(fpf);
    /* In postcopy, too, this is called, and no report comes any more. */
    if (!fpf->users || s->state != MIGRATION_STATUS_ACTIVE ||
        fpf->last_round || !remaining || remaining >= FPF_NEAR * threshold) {
        return remaining;
    }

    QEMU_LOCK_GUARD(&fpf->lock);
    if (!fpf->wait_last_ms) {
        return remaining;
    }
    /* Rounds may be short and many: do not wait in each of them for nothing. */
    if (!fpf->late) {
        fpf_wait_reports(fpf, fpf->wait_last_ms);
    }
    remaining = ram_bytes_remaining();
    if (remaining && remaining <= threshold) {
        /* As long as it could take with the guest stopped, but no longer */
        fpf->last_round = true;
        migration_request_pass(migrate_downtime_limit());
    }
    return remaining;
}
