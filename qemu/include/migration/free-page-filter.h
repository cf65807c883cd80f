/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Free page hints and reports that go through KVM's free page filter
 *
 * The migration capability free-page-filter switches it on.  Unless that is set
 * and a device or object has called free_page_filter_enable(), no function does
 * anything that QEMU does not do without the filter.
 */

#ifndef MIGRATION_FREE_PAGE_FILTER_H
#define MIGRATION_FREE_PAGE_FILTER_H

#include "exec/hwaddr.h"
#include "monitor/monitor.h"
#include "qapi/qapi-types-free-page-filter.h"
#include "accel/free-page-ops.h"

struct MigrationPeriod;

/* Of this machine's filter; the migration's object owns it. */
typedef struct FreePageFilter FreePageFilter;

/**
 * free_page_filter_new: the state of a filter that nobody uses
 *
 * Called when the migration's object is made.  All other functions of this file
 * are about the state that migrate_get_current() has.
 */
FreePageFilter *free_page_filter_new(void);

/**
 * free_page_filter_free: the migration's object is gone, and so are all users
 */
void free_page_filter_free(FreePageFilter *fpf);

/**
 * free_page_filter_wanted: whether the capability free-page-filter is set
 *
 * It does not change while a migration goes on.
 */
bool free_page_filter_wanted(void);

/* For the device that receives hints */

/**
 * free_page_filter_enable: one more device or object uses the filter
 *
 * Called with the BQL held, before it calls any of the others, and not before
 * there is the migration's object.  Takes a reference to that.
 */
void free_page_filter_enable(void);

/**
 * free_page_filter_disable: a device or object that has enabled it is gone
 *
 * Ends the epoch if it was the last one; a migration that goes on does without
 * the filter from here, or fails if it is strict.  Called with the BQL held.
 * Releases the reference to the migration's object.
 */
void free_page_filter_disable(void);

/**
 * free_page_filter_arm: begin an epoch, before the guest is asked for hints
 * @gpa: whether the device's addresses are guest physical addresses
 * @poison: whether the guest relies on what free pages hold
 *
 * Called with the BQL held and the guest running.  Returns false if the guest
 * must not be asked.  Where the filter is off it may be asked, for hints that
 * are used as without the filter.
 */
bool free_page_filter_arm(bool gpa, bool poison);

/**
 * free_page_filter_hint: pages that the guest reported free in this epoch
 * @gpa: guest physical address of the first page
 * @size: size of the pages in bytes
 *
 * Returns false if the filter is blocked and the device should use the hint
 * as it would without the filter.
 */
bool free_page_filter_hint(hwaddr gpa, hwaddr size);

/**
 * free_page_filter_flush: no more hints are waiting, use those that came
 */
void free_page_filter_flush(void);

/* For the object that receives reports */

/**
 * struct FreePageAsk - how the guest is to be asked for a report
 * @round: the round that it is for, 0 if it must not be asked
 * @epoch: to be asked for in this epoch, 0 if it has yet to begin
 * @candidates: where it has, it is worth asking for candidates first
 */
typedef struct FreePageAsk {
    uint64_t round;
    uint64_t epoch;
    bool candidates;
} FreePageAsk;

/**
 * free_page_filter_begin_report: a bitmap sync is over, a report is wanted
 * @wait_first_ms: how long a report is worth waiting for before the first page
 *                 is sent
 * @wait_last_ms: the same before it is decided whether the guest is stopped
 *
 * Called with the BQL held and the guest running.  Both waits are for all that
 * the report takes, candidates and arming included.
 */
FreePageAsk free_page_filter_begin_report(uint32_t wait_first_ms,
                                          uint32_t wait_last_ms);

/**
 * free_page_filter_ask_again: another report is wanted in the same round
 *
 * What the guest has freed since the last one, and not written since an epoch
 * began, need not be sent in this round either.  The same epoch serves, if it
 * tracks all pages: like the first one, the report is asked for after ARM and
 * the last bitmap sync.  If it tracks candidates alone another one is begun in
 * the same round.
 *
 * Called with the guest running.  Its round is 0 if there is no epoch, or if so
 * little is left that a sync is near.
 */
FreePageAsk free_page_filter_ask_again(void);

/**
 * free_page_filter_arm_for_report: begin an epoch
 * @round: from free_page_filter_begin_report() or free_page_filter_ask_again()
 * @candidates: the only pages that can be dropped in it; NULL: all of them can
 *
 * Called without the BQL and without any lock that is held with it, for it may
 * take long.  Returns the epoch's number, or 0 if the round is over or arming
 * has failed: a report is to be given up then.  An epoch that another user has
 * begun in this round may be returned.
 */
uint64_t free_page_filter_arm_for_report(uint64_t round,
                                         const FreePageMap *candidates);

/**
 * free_page_filter_report: pages that the guest reported free
 * @epoch: the epoch in which the report was asked for
 * @gpa: guest physical address of the first page; the pages lie within an
 *       aligned GiB
 * @free: a bit for each page of the host's page size
 * @npages: number of pages
 *
 * Not to be called with the BQL held: it waits for those who send pages, though
 * without a lock that anybody with the BQL waits for.  They may be dropped only
 * when the report has ended.  Returns false if the epoch is over.
 */
bool free_page_filter_report(uint64_t epoch, hwaddr gpa,
                             const unsigned long *free, unsigned long npages);

/**
 * free_page_filter_report_done: a report has ended, or was given up
 * @round: the round that it was for; once for each that was wanted
 * @complete: it was whole and right to its end
 *
 * Returns what it won, if the round is not over: for how many milliseconds the
 * pages would have been sent that were dropped since the report before, hints
 * included; INT64_MAX before it is known how fast pages are sent.
 */
int64_t free_page_filter_report_done(uint64_t round, bool complete);

/**
 * free_page_filter_hurry: whether nobody waits for those who send pages
 *
 * They may be stuck for as long as the network is, and with them the thread
 * that hands over a report.  To be called with true, the BQL held, before such
 * a thread is waited for, and with false afterwards: what is handed over in
 * between is used only if it takes no wait.
 */
void free_page_filter_hurry(bool hurry);

/* For the migration's settings */

/**
 * free_page_filter_check_caps: whether the filter can be used with capabilities
 * @old_caps: those that are set, an array of MIGRATION_CAPABILITY__MAX
 * @new_caps: those that are to be set
 * @errp: receives why not
 *
 * Refuses what can be known before a migration to keep the filter off: other
 * capabilities, and the machine that sets its own at run time.  What is known
 * later becomes a blocked reason, or with free-page-filter-strict lets the
 * migration fail.  Called with the BQL held.  Returns true if they go together.
 */
bool free_page_filter_check_caps(const bool *old_caps, const bool *new_caps,
                                 Error **errp);

/* For the migration of RAM; called with the BQL held, but where it says so */

/**
 * free_page_filter_setup: a migration begins
 *
 * Warns if the filter is off though something could use it, or though its
 * capability is set; with free-page-filter-strict that lets the migration fail.
 */
void free_page_filter_setup(void);

/**
 * free_page_filter_incoming: whether this machine may receive a migration
 *
 * A page that the source drops, and has not sent before, shows what the memory
 * held here.  The source does not tell that it filters, so the capability is to
 * be set on both ends.  In case that was forgotten, this also looks whether the
 * machine has users of the filter, for both ends are mostly started alike.
 *
 * Returns false, with an error, if some of its memory is a file that had
 * content.
 */
bool free_page_filter_incoming(Error **errp);

/**
 * free_page_filter_begin_round: a bitmap sync begins, and with it a round
 *
 * Ends the epoch, as free_page_filter_end_epoch() does.
 */
void free_page_filter_begin_round(void);

/**
 * free_page_filter_end_period: a bitmap sync ends a period of dirty rates
 * @period: what syncs have found in it; receives what is to be judged
 *
 * What a sync finds is known to be dirty, or free, only when the reports that
 * follow have been used.  Until then nothing can be said of the guest: one that
 * frees what it writes must not be throttled for it.  So once the filter was
 * armed in a migration, the period before this one is judged in its place,
 * without the pages that were dropped since it ended.  Of the first one nothing
 * is known, and no page is dirty.
 *
 * A page counts once for each time that a sync finds it, and can be dropped
 * once for each, so no page that is sent is taken for a free one.  What is
 * dropped in the first round, where all pages are to be sent, was found by no
 * sync; that comes before the first period ends.  Called after such a sync and
 * before the guest is asked again.
 */
void free_page_filter_end_period(struct MigrationPeriod *period);

/**
 * free_page_filter_end_epoch: the migration ends
 *
 * Discards the hints that are outstanding and waits until nobody drops pages
 * any more.
 */
void free_page_filter_end_epoch(void);

/**
 * free_page_filter_before_pages: wait, for a bounded time, before sending pages
 *
 * A page that is sent and reported free later need not have been sent.  So this
 * waits for the first report, the first time in a migration, and always for
 * hints and reports that came and are not yet used.  Where the filter is off
 * and free-page-filter-strict is set, the migration gets an error.  Called by
 * the migration thread without the BQL, which the device needs that brings the
 * report, and without the bitmap's lock.
 */
void free_page_filter_before_pages(void);

/**
 * free_page_filter_waits: whether the migration thread should unlock the bitmap
 *
 * Locks are not fair: a thread that unlocks the bitmap and locks it again to
 * send more pages leaves hints and reports waiting for several times as long as
 * it holds it, while pages are sent that they name.  It has to call
 * free_page_filter_before_pages() in between, and loses no more than half of
 * its time by that, however many hints or reports the guest makes.  Called by
 * the migration thread with the bitmap's lock and without the BQL.
 */
bool free_page_filter_waits(void);

/**
 * free_page_filter_pending_exact: one more round before the guest is stopped
 * @remaining: size of the pages that are still to be sent, in bytes
 *
 * The report of the bitmap sync before decides whether so little is left that
 * the guest could be stopped: where that is near, wait for it, for a bounded
 * time.  The first time that it is so little, ask for one more pass.  In it
 * the pages that the report did not drop are sent while the guest still runs,
 * so that it stands still only for what it wrote meanwhile.  This
 * is done once in a migration, for it may be by chance that so little was left.
 * After a report that did not come in time, no report is waited for until one
 * comes in time again.
 * Called like free_page_filter_before_pages(), after a bitmap sync.
 *
 * Returns what is still to be sent now.
 */
uint64_t free_page_filter_pending_exact(uint64_t remaining);

/* For query-migrate and "info migrate" */

/**
 * free_page_filter_info: the filter's part of query-migrate
 *
 * Called with the BQL held.
 * Returns NULL without users of the filter, unless the capability is set.
 */
FreePageFilterInfo *free_page_filter_info(void);
void hmp_info_free_page_filter(Monitor *mon, const FreePageFilterInfo *info);

#endif
