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
 * The iothread that receives hints has all but the BQL, and who has the BQL may
 * wait for its free_page_lock, as without the filter.  The last two have this
 * order already in a deferred clear of the dirty log.  The migration thread
 * holds the bitmap_mutex for up to MAX_WAIT ms at a time and then takes it
 * again at once, before anybody else can: see free_page_filter_waits().  Where
 * the network swallows what it sends, it holds it until TCP gives up.  So
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
#include "migration.h"
#include "options.h"
#include "ram.h"
#include "trace.h"
#include "free-page-filter-internal.h"

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
        qatomic_cmpxchg(&fpf->failed,
                        FREE_PAGE_FILTER_BLOCKED_REASON_NO_REPORTER,
                        FPF_NOT_BLOCKED);
    }
}

/* Whether a migration has begun that may still be filtered */
static bool fpf_is_filtering(void)
{
    switch (migrate_get_current()->state) {
    case MIGRATION_STATUS_SETUP:
    /* After its setup it waits here until the guest has let go of a device. */
    case MIGRATION_STATUS_WAIT_UNPLUG:
    case MIGRATION_STATUS_ACTIVE:
        return true;
    default:
        return false;
    }
}

/*
 * Called with the BQL and the lock held, when the last user is gone.  A
 * migration that goes on does without the filter from here, or fails.
 */
static void fpf_switch_off(FreePageFilter *fpf)
{
    FreePageFilterBlockedReason reason;

    if (!fpf_is_filtering()) {
        return;
    }
    reason = fpf_find_blocked_reason(fpf);
    qatomic_set(&fpf->blocked, reason);
    fpf_tell_blocked(fpf, reason);
    fpf_be_strict(fpf, reason);
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
            fpf_switch_off(fpf);
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
    fpf_reset_counters(fpf);
    qatomic_set(&fpf->blocked, fpf_find_blocked_reason(fpf));
    if (fpf->users || free_page_filter_wanted()) {
        fpf_warn_blocked(fpf, fpf->blocked);
        QEMU_LOCK_GUARD(&fpf->lock);
        fpf_tell_blocked(fpf, fpf->blocked);
        fpf_be_strict(fpf, fpf->blocked);
    }
}

void free_page_filter_begin_round(void)
{
    free_page_filter_end_epoch();
    fpf_count_round(fpf_get());
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
