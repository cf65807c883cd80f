/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Free page hints and reports that go through KVM's free page filter
 *
 * A guest that hints a page does not promise to keep it free: it may use the
 * page again at any time, without asking.  Here a hint is a report that the
 * page was free at some instant, and KVM says which of the reported pages
 * nobody has written since the epoch began.
 *
 *   bitmap sync         free_page_filter_begin_round() ends the epoch
 *   ARM                 free_page_filter_arm() begins an epoch, and so does
 *                       free_page_filter_arm_for_report(), whichever comes
 *                       first
 *   command id          the guest is asked; every hint that follows the id it
 *                       sends back was made after ARM
 *   hints               free_page_filter_hint() gathers them
 *   SET and drop        free_page_filter_flush() hands them to KVM and takes
 *                       the confirmed pages out of what is to be sent
 *   report              free_page_filter_report() does all that for a part of
 *                       a report that an agent in the guest has made after
 *                       ARM: the epoch's number was in the request.  An epoch
 *                       may have several, and a round several epochs, see
 *                       free_page_filter_ask_again()
 *
 * Why no write is lost:
 *
 * - Writes by the guest since ARM.  KVM does not confirm such a page, or the
 *   write comes after SET and is in the log that the next sync reads.
 * - Writes by devices, vhost and VFIO.  KVM does not see them.  They wait in
 *   ram_list.dirty_memory or a log of their own until a sync merges them into
 *   RAMBlock.bmap, and a page can be dropped from there only in an epoch that
 *   began after the last sync.  Others that read the dirty log meanwhile
 *   (VGA, calc-dirty-rate) only add to ram_list.dirty_memory.
 * - A sync may come while KVM arms in an agent's thread.  Each sync makes a new
 *   round, and whoever arms has the number of one, which nobody gets before its
 *   sync is over.  An epoch is taken for that round or not at all.
 * - The last sync, when the guest is stopped, ends the epoch like any other.
 *   Numbers of its round are not given out, for the guest does not run.
 * - Hints do not say to which epoch they belong, so they are used only in the
 *   epoch that was there when the device armed, and with reports an epoch may
 *   begin in the middle of a round.
 *
 * A confirmed page that stays in the bitmap is only sent for nothing.  So is a
 * hinted page that the guest has zeroed when its driver took it out of the
 * allocator (Linux with init_on_alloc=1): it was written after ARM.
 *
 * How the filter is armed.  KVM protects the pages that it is to track and that
 * are in its dirty log: 44 instructions for a page of 4 KiB, all in one piece
 * with slots_lock held, for which the next reading of the log waits.  The
 * thread of an agent does it with none of our locks.  It tracks all pages where
 * few are dirty, see fpf_wants_candidates(), else those that the guest named
 * free just before.  For hints it is done with the BQL and the lock held, for
 * the command id has to follow at once, and for all pages, for nothing is known
 * of them.
 *
 * Lock order:
 *
 *   BQL
 *     VirtIOBalloon.free_page_lock
 *       FreePageFilter.lock
 *         RAMState.bitmap_mutex
 *           KVM's memory slots (kml_slots_lock)
 *
 * The iothread that receives hints has all but the BQL.  The last two have
 * this order already in a deferred clear of the dirty log.  The migration
 * thread holds the bitmap_mutex for up to MAX_WAIT ms at a time and then takes
 * it again at once, before anybody else can: see free_page_filter_waits().
 * Where the network swallows what it sends, it holds it until TCP gives up.  So
 * nobody waits for the bitmap_mutex with FreePageFilter.lock, for which
 * somebody with the BQL may be waiting: see fpf_lock_bitmap().
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/stats64.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "exec/cpu-common.h"
#include "exec/target_page.h"
#include "hw/boards.h"
#include "hw/qdev-core.h"
#include "qapi/error.h"
#include "qapi/qapi-events-free-page-filter.h"
#include "migration/free-page-compat.h"
#include "migration/free-page-dropped.h"
#include "migration/free-page-filter.h"
#include "migration/misc.h"
#include "migration.h"
#include "migration-stats.h"
#include "accel/free-page-ops.h"
#include "system/runstate.h"
#include "options.h"
#include "qemu-file.h"
#include "ram.h"
#include "trace.h"

/*
 * Hints are gathered for an aligned window of guest physical addresses.  They
 * come roughly in the order of addresses, so a window does not change often.
 */
#define FPF_WINDOW_SIZE (1 * GiB)

/* Hints to gather at most, so that the first ones do not come too late */
#define FPF_MAX_HINTS 8

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
 * An agent is asked for candidates first where more of the memory is dirty than
 * one part in so many.  Arming without takes 44 instructions for each dirty
 * page, and a live one among them that is written before it is sent faults once
 * more, which takes the guest 1,900.  To be asked takes the guest and us about
 * 10 for each page that there is.  With one part in 16 dirty both come to the
 * same where one dirty page in 16 is such a live one.
 */
#define FPF_FEW_DIRTY 16

/*
 * Nor without candidates where more is dirty than so much: 12 million
 * instructions in one piece, for pages of 4 KiB.
 */
#define FPF_MAX_DIRTY (1 * GiB)

/* How many rounds are remembered for query-migrate */
#define FPF_MAX_ROUNDS 32

/* The filter is on */
#define FPF_NOT_BLOCKED FREE_PAGE_FILTER_BLOCKED_REASON__MAX

static const char *const fpf_blocked_text[] = {
    [FREE_PAGE_FILTER_BLOCKED_REASON_CAPABILITY] =
        "the migration capability free-page-filter is not set",
    [FREE_PAGE_FILTER_BLOCKED_REASON_NO_REPORTER] =
        "there is no free-page-agent object, and no balloon with "
        "free-page-filter=on",
    [FREE_PAGE_FILTER_BLOCKED_REASON_NO_KVM] = "the accelerator is not KVM",
    [FREE_PAGE_FILTER_BLOCKED_REASON_HOST] = "the host is big-endian",
    [FREE_PAGE_FILTER_BLOCKED_REASON_NO_KERNEL_SUPPORT] =
        "the kernel has no free page filter",
    [FREE_PAGE_FILTER_BLOCKED_REASON_DIRTY_RING] =
        "KVM's dirty ring is in use",
    [FREE_PAGE_FILTER_BLOCKED_REASON_CONFIDENTIAL_GUEST] =
        "the guest is confidential",
    [FREE_PAGE_FILTER_BLOCKED_REASON_IOMMU] =
        "the device is behind an IOMMU",
    [FREE_PAGE_FILTER_BLOCKED_REASON_PAGE_POISON] =
        "the guest relies on what its free pages hold, "
        "free page hints are refused",
    [FREE_PAGE_FILTER_BLOCKED_REASON_ARM_FAILED] = "KVM_FPR_ARM failed",
    [FPF_NOT_BLOCKED] = NULL,
};

/* What was counted since the migration began */
typedef struct FPFTotals {
    uint64_t asked;
    uint64_t reports;
    uint64_t reported_pages;
    uint64_t dropped_pages;
    uint64_t waited_ms;
} FPFTotals;

/* What bitmap syncs found in a period, and how much was sent in it */
typedef struct FPFPeriod {
    uint64_t dirty_pages;
    uint64_t bytes;
    int64_t ms;
    /* How many pages had been dropped when the sync began that ended it */
    uint64_t dropped_pages;
} FPFPeriod;

/*
 * The state of the filter, which the migration's object owns.  It is there as
 * long as that is, also while no migration goes on: users come and go at any
 * time, hints come at any time, and query-migrate tells of the last migration.
 *
 * Each user holds a reference to the migration's object, from
 * free_page_filter_enable() to free_page_filter_disable().  When QEMU exits,
 * migration_shutdown() gives up its own before user_creatable_cleanup() deletes
 * the objects, and a device's iothread may run until the process ends.
 *
 * Nobody can enable the filter before there is that object.  Devices are
 * created later.  Objects of the command line are created before it, for it
 * checks the capabilities against the memory backends.  So they wait until the
 * machine is ready, see fpa_machine_done(): no migration begins before that, in
 * neither direction, and no snapshot is loaded.
 */
struct FreePageFilter {
    /*
     * How many devices and objects use the filter.  Written with the BQL
     * held, before one sends hints or reports and after it has stopped.
     */
    unsigned int users;
    /* The same: why it was last warned that the filter is off */
    FreePageFilterBlockedReason warned;

    /* Protects what follows, up to the counters */
    QemuMutex lock;
    QemuCond report_done;
    /* Changes when a bitmap sync begins; not 0 in a migration */
    uint64_t round;
    /* The round for which KVM arms at the moment, without the lock, or 0 */
    uint64_t arming;
    /* Reports that were asked for in this epoch and have not ended */
    unsigned int outstanding;
    /* When the last one of them was asked for */
    int64_t asked_ms;
    /* For how many ms they are worth waiting for */
    uint32_t wait_first_ms;
    uint32_t wait_last_ms;
    /* A report was waited for and did not come in time, and none has since */
    bool late;
    /* How many pages had been dropped when the last report ended */
    uint64_t accounted_pages;
    /* Hints are used as without the filter */
    bool stock;
    /* 0: no epoch, hints are ignored */
    uint64_t epoch;
    /* Only pages that were named before it can be confirmed in this epoch. */
    bool partial;
    /* The epoch in which the device's hints are used */
    uint64_t hint_epoch;
    unsigned int nr_hints;
    FreePageReport report;

    /* The migration thread has unlocked the bitmap_mutex for a while */
    QemuCond gave_way;
    /* A SET is over, or was given up; how often that was */
    QemuCond flushed;
    unsigned int nr_flushed;
    /* Nobody waits for the bitmap_mutex, see free_page_filter_hurry() */
    bool hurry;
    /* What was told of this migration */
    bool told_on;
    FreePageFilterBlockedReason told_blocked;
    /*
     * How many wait for the bitmap_mutex, or have it, for SET.  Atomic,
     * written with the lock held.
     */
    unsigned int flushing;

    /* The migration thread's own: no page was sent yet */
    bool first;
    /* The same: until when SET has to wait for it, by get_clock() */
    int64_t send_until;
    /* The same: the last round has begun */
    bool last_round;

    /*
     * Written with the BQL held: the totals at the beginnings of the last
     * rounds of a migration, and how many rounds it had.
     */
    uint64_t nr_rounds;
    FPFTotals rounds[FPF_MAX_ROUNDS];
    /* The same: the last period, which is judged when the next one ends */
    FPFPeriod period;

    /*
     * Atomic: why the migration thread has to let the migration fail,
     * FPF_NOT_BLOCKED if it has not
     */
    FreePageFilterBlockedReason failed;

    /* Atomic, for query-migrate, which should not wait for the lock */
    FreePageFilterBlockedReason blocked;
    int64_t setup_time;
    Stat64 epochs;
    Stat64 asked;
    Stat64 reports;
    Stat64 discarded_reports;
    Stat64 first_report_ms;
    Stat64 waited_ms;
    Stat64 reported_pages;
    Stat64 filtered_pages;
    Stat64 confirmed_pages;
    Stat64 dropped_pages;
};

FreePageFilter *free_page_filter_new(void)
{
    FreePageFilter *fpf = g_new0(FreePageFilter, 1);

    qemu_mutex_init(&fpf->lock);
    qemu_cond_init(&fpf->report_done);
    qemu_cond_init(&fpf->gave_way);
    qemu_cond_init(&fpf->flushed);
    fpf->warned = FPF_NOT_BLOCKED;
    fpf->failed = FPF_NOT_BLOCKED;
    fpf->blocked = FPF_NOT_BLOCKED;
    return fpf;
}

void free_page_filter_free(FreePageFilter *fpf)
{
    assert(!fpf->users);
    qemu_cond_destroy(&fpf->flushed);
    qemu_cond_destroy(&fpf->gave_way);
    qemu_cond_destroy(&fpf->report_done);
    qemu_mutex_destroy(&fpf->lock);
    g_free(fpf);
}

/* This machine's.  Called by those who know that it is there. */
static FreePageFilter *fpf_get(void)
{
    return migrate_get_current()->free_page_filter;
}

bool free_page_filter_wanted(void)
{
    MigrationState *s = migrate_get_current();

    return s->capabilities[MIGRATION_CAPABILITY_FREE_PAGE_FILTER];
}

static bool fpf_is_strict(void)
{
    MigrationState *s = migrate_get_current();

    return s->capabilities[MIGRATION_CAPABILITY_FREE_PAGE_FILTER_STRICT];
}

/* The accelerator's part of the filter, NULL if it has none */
static const AccelFreePageOps *fpf_accel_ops(void)
{
    return ACCEL_GET_CLASS(current_accel())->free_page_ops;
}

/* Why there is no filter for this machine, whatever the migration's settings */
static FreePageFilterBlockedReason fpf_find_machine_reason(void)
{
    const AccelFreePageOps *ops = fpf_accel_ops();

    if (!ops) {
        return FREE_PAGE_FILTER_BLOCKED_REASON_NO_KVM;
    }
    switch (ops->blocked(current_accel())) {
    case ACCEL_FREE_PAGE_DIRTY_RING:
        return FREE_PAGE_FILTER_BLOCKED_REASON_DIRTY_RING;
    case ACCEL_FREE_PAGE_BIG_ENDIAN:
        return FREE_PAGE_FILTER_BLOCKED_REASON_HOST;
    case ACCEL_FREE_PAGE_NO_KERNEL_SUPPORT:
        return FREE_PAGE_FILTER_BLOCKED_REASON_NO_KERNEL_SUPPORT;
    case ACCEL_FREE_PAGE_NOT_BLOCKED:
        break;
    }
    if (current_machine->cgs) {
        return FREE_PAGE_FILTER_BLOCKED_REASON_CONFIDENTIAL_GUEST;
    }
    return FPF_NOT_BLOCKED;
}

/*
 * Called with the BQL held.  What cannot be set together with the capability
 * is not looked for: see free_page_filter_check_caps().
 */
static FreePageFilterBlockedReason fpf_find_blocked_reason(FreePageFilter *fpf)
{
    FreePageFilterBlockedReason reason;

    if (!free_page_filter_wanted()) {
        return FREE_PAGE_FILTER_BLOCKED_REASON_CAPABILITY;
    }
    reason = fpf_find_machine_reason();
    if (reason != FPF_NOT_BLOCKED) {
        return reason;
    }
    if (!fpf->users) {
        return FREE_PAGE_FILTER_BLOCKED_REASON_NO_REPORTER;
    }
    return FPF_NOT_BLOCKED;
}

/*
 * Whether the machine is looked at.  What its command line sets is not refused:
 * a machine has to start wherever its files are, and does without the filter.
 * Nor is what the destination sets, for it need not have what the source needs.
 * The one that is on already is not either, or nothing else could be set where
 * it came with a migration to a host without the kernel's part.
 */
static bool fpf_checks_machine(const bool *old_caps)
{
    return phase_check(PHASE_MACHINE_READY) &&
           !runstate_check(RUN_STATE_INMIGRATE) &&
           !old_caps[MIGRATION_CAPABILITY_FREE_PAGE_FILTER];
}

bool free_page_filter_check_caps(const bool *old_caps, const bool *new_caps,
                                 Error **errp)
{
    static const MigrationCapability others[] = {
        /* Both sides run the guest, and would differ in its free pages. */
        MIGRATION_CAPABILITY_X_COLO,
        /* KVM logs nothing, so it cannot say what was written. */
        MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT,
    };
    FreePageFilterBlockedReason reason;

    if (!new_caps[MIGRATION_CAPABILITY_FREE_PAGE_FILTER]) {
        if (new_caps[MIGRATION_CAPABILITY_FREE_PAGE_FILTER_STRICT]) {
            error_setg(errp, "Capability 'free-page-filter-strict' requires "
                       "capability 'free-page-filter'");
            return false;
        }
        return true;
    }
    for (int i = 0; i < ARRAY_SIZE(others); i++) {
        if (new_caps[others[i]]) {
            error_setg(errp, "Capability 'free-page-filter' is not compatible "
                       "with capability '%s'",
                       MigrationCapability_str(others[i]));
            return false;
        }
    }
    if (fpf_checks_machine(old_caps)) {
        reason = fpf_find_machine_reason();
        if (reason != FPF_NOT_BLOCKED) {
            error_setg(errp, "Capability 'free-page-filter' cannot be set: %s",
                       fpf_blocked_text[reason]);
            return false;
        }
    }
    return true;
}

/* Called with the BQL held.  Every reason is told once, not in every round. */
static void fpf_warn_blocked(FreePageFilter *fpf,
                             FreePageFilterBlockedReason reason)
{
    if (reason != FPF_NOT_BLOCKED && reason != fpf->warned) {
        warn_report("free-page-filter has no effect: %s",
                    fpf_blocked_text[reason]);
        fpf->warned = reason;
    }
}

/* Called with the lock held: every change in a migration is told. */
static void fpf_tell_blocked(FreePageFilter *fpf,
                             FreePageFilterBlockedReason reason)
{
    if (reason != FPF_NOT_BLOCKED && reason != fpf->told_blocked) {
        fpf->told_blocked = reason;
        fpf->told_on = false;
        qapi_event_send_free_page_filter(FREE_PAGE_FILTER_STATE_BLOCKED, true,
                                         reason, fpf_blocked_text[reason],
                                         NULL);
    }
}

/*
 * A migration that is strict fails where the filter is off.  While the guest
 * does not run nothing need be filtered: that goes for savevm's snapshots, too.
 */
static void fpf_be_strict(FreePageFilter *fpf,
                          FreePageFilterBlockedReason reason)
{
    if (reason != FPF_NOT_BLOCKED && fpf_is_strict() && runstate_is_running()) {
        qatomic_set(&fpf->failed, reason);
    }
}

/*
 * Called by the migration thread, which alone may let the migration fail: it
 * knows that the destination has not begun to run the guest.  In postcopy,
 * where it may have, an error would not bring the guest back.
 */
static void fpf_fail_if_strict(FreePageFilter *fpf)
{
    MigrationState *s = migrate_get_current();
    FreePageFilterBlockedReason reason = qatomic_read(&fpf->failed);
    Error *err = NULL;

    if (reason == FPF_NOT_BLOCKED || s->state != MIGRATION_STATUS_ACTIVE) {
        return;
    }
    qatomic_set(&fpf->failed, FPF_NOT_BLOCKED);
    error_setg(&err, "free-page-filter-strict: the free page filter is off: %s",
               fpf_blocked_text[reason]);
    qemu_file_set_error_obj(s->to_dst_file, -EOPNOTSUPP, err);
}

/* As fpf_tell_blocked(), of a filter that is in use */
static void fpf_tell_on(FreePageFilter *fpf)
{
    if (!fpf->told_on) {
        fpf->told_on = true;
        fpf->told_blocked = FPF_NOT_BLOCKED;
        qapi_event_send_free_page_filter(FREE_PAGE_FILTER_STATE_ON, false, 0,
                                         NULL, NULL);
    }
}

/* Called with the lock held */
static void fpf_forget_hints(FreePageFilter *fpf)
{
    FreePageReport *report = &fpf->report;

    if (fpf->nr_hints) {
        bitmap_clear(report->free, report->first, report->end - report->first);
        fpf->nr_hints = 0;
    }
}

/* Called with the lock held */
static void fpf_disarm(FreePageFilter *fpf)
{
    fpf_forget_hints(fpf);
    if (fpf->epoch) {
        fpf_accel_ops()->disarm(current_accel(), fpf->epoch);
        fpf->epoch = 0;
    }
}

/* Called with the lock held.  What KVM arms now, without it, comes too late. */
static void fpf_end_round(FreePageFilter *fpf)
{
    fpf_disarm(fpf);
    fpf->round++;
    fpf->outstanding = 0;
    qemu_cond_signal(&fpf->report_done);
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
    /*
     * What the last sync left is what a stopped guest is expected to wait for.
     * All that is dropped is part of it, for only a sync adds to the bitmap.
     */
    stat64_add(&mig_stats.dirty_bytes_last_sync, -(dropped << page_bits));
}

/*
 * Called with the lock held, which is not held while this waits: whoever has
 * the BQL may want it, and the bitmap is not to be had while the migration
 * thread cannot send.  What was gathered may be of another epoch afterwards, or
 * nothing.  Returns whether the bitmap is locked.
 */
static bool fpf_lock_bitmap(FreePageFilter *fpf)
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

void free_page_filter_enable(void)
{
    FreePageFilter *fpf = fpf_get();
    const long npages = FPF_WINDOW_SIZE / qemu_real_host_page_size();

    object_ref(OBJECT(migrate_get_current()));
    WITH_QEMU_LOCK_GUARD(&fpf->lock) {
        if (!fpf->users++) {
            fpf->report.free = bitmap_new(npages);
            fpf->report.part = bitmap_new(npages);
            fpf->report.confirmed = bitmap_new(npages);
        }
    }
    /* It is the first one, perhaps, and a migration may go on. */
    if (fpf->blocked == FREE_PAGE_FILTER_BLOCKED_REASON_NO_REPORTER) {
        qatomic_set(&fpf->blocked, FPF_NOT_BLOCKED);
    }
}

void free_page_filter_disable(void)
{
    FreePageFilter *fpf = fpf_get();

    WITH_QEMU_LOCK_GUARD(&fpf->lock) {
        assert(fpf->users);
        if (!--fpf->users) {
            fpf_end_round(fpf);
            g_clear_pointer(&fpf->report.free, g_free);
            g_clear_pointer(&fpf->report.part, g_free);
            g_clear_pointer(&fpf->report.confirmed, g_free);
        }
    }
    object_unref(OBJECT(migrate_get_current()));
}

/* Called with the lock held */
static void fpf_arm_failed(FreePageFilter *fpf, int err)
{
    warn_report_once("free-page-filter has no effect: "
                     "KVM_FPR_ARM failed (%s)", strerror(err));
    qatomic_set(&fpf->blocked, FREE_PAGE_FILTER_BLOCKED_REASON_ARM_FAILED);
    fpf_tell_blocked(fpf, FREE_PAGE_FILTER_BLOCKED_REASON_ARM_FAILED);
    fpf_be_strict(fpf, FREE_PAGE_FILTER_BLOCKED_REASON_ARM_FAILED);
}

/*
 * Called with the lock held, when KVM has armed, or failed to, after that round
 * had begun.  Returns whether there is an epoch now.
 */
static bool fpf_begin_epoch(FreePageFilter *fpf, uint64_t round, uint64_t epoch,
                            bool partial, int ret)
{
    if (round != fpf->round) {
        /* The sync has merged what devices wrote, which T does not have. */
        if (!ret) {
            fpf_accel_ops()->disarm(current_accel(), epoch);
        }
        return false;
    }
    /* Another user of KVM's filter came between, and may do so again. */
    if (ret == -ESTALE) {
        return false;
    }
    if (ret) {
        fpf_arm_failed(fpf, -ret);
        return false;
    }
    fpf->epoch = epoch;
    fpf->partial = partial;
    stat64_add(&fpf->epochs, 1);
    fpf_tell_on(fpf);
    return true;
}

/*
 * Called with the BQL and the lock held: all pages are tracked.  An epoch that
 * has begun since the last sync serves hints and reports alike.
 */
static bool fpf_arm_for_hints(FreePageFilter *fpf)
{
    int64_t start = get_clock();
    uint64_t epoch;
    int ret;

    if (fpf->epoch) {
        return true;
    }
    /*
     * Without users nothing ends an epoch, and nothing can be gathered.  Where
     * an agent's thread arms already, the one would end the other's epoch, and
     * waiting for it takes as long as it takes.  The agent names more.
     */
    if (!fpf->users || fpf->arming == fpf->round) {
        return false;
    }
    ret = fpf_accel_ops()->arm(current_accel(), &epoch, NULL);
    trace_free_page_filter_arm(epoch, 0, get_clock() - start, ret);
    return fpf_begin_epoch(fpf, fpf->round, epoch, false, ret);
}

/* The same by an agent's thread, with the lock, which is not held meanwhile */
static bool fpf_arm_unlocked(FreePageFilter *fpf, uint64_t round,
                             const FreePageMap *candidates)
{
    int64_t start = get_clock();
    uint64_t epoch;
    int ret;

    fpf_disarm(fpf);
    fpf->arming = round;
    qemu_mutex_unlock(&fpf->lock);

    ret = fpf_accel_ops()->arm(current_accel(), &epoch, candidates);
    trace_free_page_filter_arm(epoch, candidates ? candidates->npages : 0,
                               get_clock() - start, ret);

    qemu_mutex_lock(&fpf->lock);
    /* Another thread may arm for the next round by now. */
    if (fpf->arming == round) {
        fpf->arming = 0;
    }
    return fpf_begin_epoch(fpf, round, epoch, candidates, ret);
}

bool free_page_filter_arm(bool gpa, bool poison)
{
    FreePageFilter *fpf = fpf_get();
    FreePageFilterBlockedReason reason = fpf_find_blocked_reason(fpf);
    /* What keeps this device out keeps no object out. */
    bool others = reason == FPF_NOT_BLOCKED && fpf->users > 1;

    if (reason == FPF_NOT_BLOCKED && poison) {
        reason = FREE_PAGE_FILTER_BLOCKED_REASON_PAGE_POISON;
    } else if (reason == FPF_NOT_BLOCKED && !gpa) {
        reason = FREE_PAGE_FILTER_BLOCKED_REASON_IOMMU;
    }
    fpf_warn_blocked(fpf, reason);

    QEMU_LOCK_GUARD(&fpf->lock);
    /* Where an agent is asked the filter is on, whatever keeps a device out. */
    if (!others || !stat64_get(&fpf->asked)) {
        qatomic_set(&fpf->blocked, reason);
        fpf_tell_blocked(fpf, reason);
    }
    if (!others) {
        fpf_be_strict(fpf, reason);
    }
    /* A destination would wait for what stock hints took out of the bitmap. */
    fpf->stock = reason != FPF_NOT_BLOCKED && !migrate_postcopy_ram() &&
                !(poison && free_page_filter_wanted());
    if (reason != FPF_NOT_BLOCKED) {
        return fpf->stock;
    }
    if (!fpf_arm_for_hints(fpf)) {
        return false;
    }
    fpf->hint_epoch = fpf->epoch;
    return true;
}

/* Called with the lock held */
static void fpf_expect_report(FreePageFilter *fpf)
{
    fpf->outstanding++;
    fpf->asked_ms = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    stat64_add(&fpf->asked, 1);
}

/*
 * Called with the lock held, in a migration.  Whether so much is dirty that it
 * is worth asking for candidates, see FPF_FEW_DIRTY.
 */
static bool fpf_wants_candidates(void)
{
    return ram_bytes_remaining() > MIN(ram_bytes_total() / FPF_FEW_DIRTY,
                                       FPF_MAX_DIRTY) &&
           fpf_accel_ops()->can_arm_candidates(current_accel());
}

/*
 * Called with the lock held.  Another epoch in the same round is worth its
 * while if this one tracks but a part of the pages.  Nobody may wait for a
 * report in it, though, but who asks; and hints would be of no use any more.
 */
static bool fpf_may_arm_again(FreePageFilter *fpf)
{
    return fpf->partial && fpf->outstanding <= 1 &&
           fpf->hint_epoch != fpf->epoch;
}

FreePageAsk free_page_filter_begin_report(uint32_t wait_first_ms,
                                          uint32_t wait_last_ms)
{
    FreePageFilter *fpf = fpf_get();
    FreePageFilterBlockedReason reason = fpf_find_blocked_reason(fpf);

    qatomic_set(&fpf->blocked, reason);
    fpf_warn_blocked(fpf, reason);
    fpf_be_strict(fpf, reason);

    QEMU_LOCK_GUARD(&fpf->lock);
    fpf_tell_blocked(fpf, reason);
    if (reason != FPF_NOT_BLOCKED || !fpf->users) {
        return (FreePageAsk) {};
    }
    fpf_expect_report(fpf);
    fpf->wait_first_ms = wait_first_ms;
    fpf->wait_last_ms = wait_last_ms;
    return (FreePageAsk) {
        .round = fpf->round,
        .epoch = fpf->epoch,
        .candidates = !fpf->epoch && fpf_wants_candidates(),
    };
}

FreePageAsk free_page_filter_ask_again(void)
{
    FreePageFilter *fpf = fpf_get();
    bool again;

    QEMU_LOCK_GUARD(&fpf->lock);
    /* The next sync is near, and what it finds should be asked for at once. */
    if (!fpf->epoch ||
        ram_bytes_remaining() <= migrate_get_current()->threshold_size) {
        return (FreePageAsk) {};
    }
    fpf_expect_report(fpf);
    again = fpf_may_arm_again(fpf);
    return (FreePageAsk) {
        .round = fpf->round,
        .epoch = again ? 0 : fpf->epoch,
        .candidates = again && fpf_wants_candidates(),
    };
}

uint64_t free_page_filter_arm_for_report(uint64_t round,
                                         const FreePageMap *candidates)
{
    FreePageFilter *fpf = fpf_get();

    /* It takes a while. */
    assert(!bql_locked());

    QEMU_LOCK_GUARD(&fpf->lock);
    if (round != fpf->round || fpf->arming == round) {
        return 0;
    }
    /* One that another user has begun meanwhile serves as well. */
    if (fpf->epoch && !fpf_may_arm_again(fpf)) {
        return fpf->epoch;
    }
    return fpf_arm_unlocked(fpf, round, candidates) ? fpf->epoch : 0;
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
    uint64_t threshold = migrate_get_current()->threshold_size;

    fpf_fail_if_strict(fpf);
    if (!fpf->users || fpf->last_round || !remaining ||
        remaining >= FPF_NEAR * threshold) {
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

void free_page_filter_hurry(bool hurry)
{
    FreePageFilter *fpf = fpf_get();

    QEMU_LOCK_GUARD(&fpf->lock);
    fpf->hurry = hurry;
    qemu_cond_broadcast(&fpf->gave_way);
}

void free_page_filter_setup(void)
{
    FreePageFilter *fpf = fpf_get();

    /* Also without users: the first one may come while the migration lasts. */
    fpf->first = true;
    fpf->send_until = 0;
    fpf->last_round = false;
    WITH_QEMU_LOCK_GUARD(&fpf->lock) {
        fpf->round++;
        fpf->wait_first_ms = 0;
        fpf->wait_last_ms = 0;
        fpf->late = false;
        fpf->accounted_pages = 0;
        fpf->told_on = false;
        fpf->told_blocked = FPF_NOT_BLOCKED;
    }
    qatomic_set(&fpf->failed, FPF_NOT_BLOCKED);
    fpf->nr_rounds = 0;
    fpf->period = (FPFPeriod) {};
    fpf->setup_time = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    stat64_set(&fpf->epochs, 0);
    stat64_set(&fpf->asked, 0);
    stat64_set(&fpf->reports, 0);
    stat64_set(&fpf->discarded_reports, 0);
    stat64_set(&fpf->first_report_ms, 0);
    stat64_set(&fpf->waited_ms, 0);
    stat64_set(&fpf->reported_pages, 0);
    stat64_set(&fpf->filtered_pages, 0);
    stat64_set(&fpf->confirmed_pages, 0);
    stat64_set(&fpf->dropped_pages, 0);
    free_page_dropped_setup();
    qatomic_set(&fpf->blocked, fpf_find_blocked_reason(fpf));
    if (fpf->users || free_page_filter_wanted()) {
        fpf_warn_blocked(fpf, fpf->blocked);
        QEMU_LOCK_GUARD(&fpf->lock);
        fpf_tell_blocked(fpf, fpf->blocked);
        fpf_be_strict(fpf, fpf->blocked);
    }
}

static FPFTotals fpf_totals(FreePageFilter *fpf)
{
    return (FPFTotals) {
        .asked = stat64_get(&fpf->asked),
        .reports = stat64_get(&fpf->reports),
        .reported_pages = stat64_get(&fpf->reported_pages),
        .dropped_pages = stat64_get(&fpf->dropped_pages),
        .waited_ms = stat64_get(&fpf->waited_ms),
    };
}

void free_page_filter_begin_round(void)
{
    FreePageFilter *fpf = fpf_get();

    free_page_filter_end_epoch();
    fpf->rounds[fpf->nr_rounds++ % FPF_MAX_ROUNDS] = fpf_totals(fpf);
}

void free_page_filter_end_period(uint64_t *dirty_pages, uint64_t *bytes_begin,
                                 int64_t *begin_ms, int64_t now_ms)
{
    FreePageFilter *fpf = fpf_get();
    const FPFPeriod last = fpf->period;
    const uint64_t bytes = migration_transferred_bytes();
    uint64_t dropped;

    if (!stat64_get(&fpf->epochs)) {
        return;
    }

    /* The sync that is just over ended the epoch: nothing was dropped since. */
    dropped = stat64_get(&fpf->dropped_pages);
    fpf->period = (FPFPeriod) {
        .dirty_pages = *dirty_pages,
        .bytes = bytes - *bytes_begin,
        .ms = now_ms - *begin_ms,
        .dropped_pages = dropped,
    };
    if (!last.ms) {
        /* What this one found may all be free. */
        *dirty_pages = 0;
        return;
    }
    dropped -= last.dropped_pages;
    *dirty_pages = last.dirty_pages - MIN(dropped, last.dirty_pages);
    *bytes_begin = bytes - last.bytes;
    *begin_ms = now_ms - last.ms;
}

void free_page_filter_end_epoch(void)
{
    FreePageFilter *fpf = fpf_get();

    if (!fpf->users) {
        return;
    }

    QEMU_LOCK_GUARD(&fpf->lock);
    fpf_end_round(fpf);
}

static int fpf_check_incoming(RAMBlock *rb, void *opaque)
{
    Error **errp = opaque;

    if (rb->had_content) {
        error_setg(errp, "free-page-filter: memory '%s' is a file that had "
                   "content, which would show where pages are not sent: delete "
                   "the file before QEMU starts", rb->idstr);
        return -1;
    }
    return 0;
}

bool free_page_filter_incoming(Error **errp)
{
    FreePageFilter *fpf = fpf_get();

    /* A snapshot that is loaded into a running machine has all pages. */
    return !(fpf->users || free_page_filter_wanted()) ||
           !runstate_check(RUN_STATE_INMIGRATE) ||
           !foreach_not_ignored_block(fpf_check_incoming, errp);
}

/* Called with the BQL held; the round with that number is remembered. */
static FreePageFilterRound *fpf_round_info(FreePageFilter *fpf, uint64_t number,
                                           const FPFTotals *now)
{
    const FPFTotals *begin = &fpf->rounds[(number - 1) % FPF_MAX_ROUNDS];
    const FPFTotals *end = number == fpf->nr_rounds ? now :
                           &fpf->rounds[number % FPF_MAX_ROUNDS];
    FreePageFilterRound *info = g_new0(FreePageFilterRound, 1);

    info->round = number;
    info->asked = end->asked - begin->asked;
    info->reports = end->reports - begin->reports;
    info->reported_pages = end->reported_pages - begin->reported_pages;
    info->dropped_pages = end->dropped_pages - begin->dropped_pages;
    info->waited_ms = end->waited_ms - begin->waited_ms;
    return info;
}

FreePageFilterInfo *free_page_filter_info(void)
{
    FreePageFilter *fpf = fpf_get();
    FreePageFilterBlockedReason blocked = qatomic_read(&fpf->blocked);
    const FPFTotals now = fpf_totals(fpf);
    FreePageFilterInfo *info;

    if (!fpf->users && !free_page_filter_wanted()) {
        return NULL;
    }

    info = g_new0(FreePageFilterInfo, 1);
    info->epochs = stat64_get(&fpf->epochs);
    info->reports = now.reports;
    info->discarded_reports = stat64_get(&fpf->discarded_reports);
    info->has_first_report_ms = info->reports;
    info->first_report_ms = stat64_get(&fpf->first_report_ms);
    info->waited_ms = now.waited_ms;
    info->reported_pages = now.reported_pages;
    info->filtered_pages = stat64_get(&fpf->filtered_pages);
    info->confirmed_pages = stat64_get(&fpf->confirmed_pages);
    info->dropped_pages = now.dropped_pages;
    info->requested_pages = free_page_dropped_requests();
    for (uint64_t n = fpf->nr_rounds;
         n && n + FPF_MAX_ROUNDS > fpf->nr_rounds; n--) {
        QAPI_LIST_PREPEND(info->rounds, fpf_round_info(fpf, n, &now));
    }
    info->has_blocked_reason = blocked != FPF_NOT_BLOCKED;
    info->blocked_reason = info->has_blocked_reason ? blocked : 0;
    info->blocked_text = g_strdup(fpf_blocked_text[blocked]);
    return info;
}
