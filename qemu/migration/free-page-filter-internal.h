/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the free page filter share: see free-page-filter.c for how
 * it works, and include/migration/free-page-filter.h for what others call
 *
 *   free-page-filter.c          users, rounds and epochs; arming; how the guest
 *                               is to be asked
 *   free-page-filter-report.c   what it names, SET, and the drop
 *   free-page-filter-wait.c     waits for reports; who has the bitmap's lock
 *   free-page-filter-blocked.c  why the filter is off, whom that is told, and
 *                               which capabilities and machines are refused
 *   free-page-filter-info.c     counters, query-migrate, periods of dirty rates
 */

#ifndef MIGRATION_FREE_PAGE_FILTER_INTERNAL_H
#define MIGRATION_FREE_PAGE_FILTER_INTERNAL_H

#include "qemu/stats64.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "accel/free-page-ops.h"
#include "migration/free-page-compat.h"
#include "migration/free-page-filter.h"
#include "hw/boards.h"
#include "migration.h"
#include "migration-stats.h"

/*
 * Hints are gathered for an aligned window of guest physical addresses.  They
 * come roughly in the order of addresses, so a window does not change often.
 */
#define FPF_WINDOW_SIZE (1 * GiB)

/* How many rounds are remembered for query-migrate */
#define FPF_MAX_ROUNDS 32

/* The filter is on */
#define FPF_NOT_BLOCKED FREE_PAGE_FILTER_BLOCKED_REASON__MAX

/* What was counted since the migration began */
typedef struct FPFTotals {
    uint64_t asked;
    uint64_t reports;
    uint64_t reported_pages;
    uint64_t dropped_pages;
    uint64_t waited_ms;
} FPFTotals;

/* A period that is judged later */
typedef struct FPFPeriod {
    MigrationPeriod found;
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
    /* For how many ms they are worth waiting for, says who asked last */
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

/* This machine's.  Called by those who know that it is there. */
static inline FreePageFilter *fpf_get(void)
{
    return migrate_get_current()->free_page_filter;
}

/* The accelerator's part of the filter, NULL if it has none */
static inline const AccelFreePageOps *fpf_accel_ops(void)
{
    return ACCEL_GET_CLASS(current_accel())->free_page_ops;
}

/* free-page-filter-report.c */

/* Called with the lock held: what was gathered is not used. */
void fpf_forget_hints(FreePageFilter *fpf);

/* free-page-filter-wait.c */

/**
 * fpf_lock_bitmap: lock the bitmap for SET
 *
 * Called with the lock held, which is not held while this waits.  What was
 * gathered may be of another epoch afterwards, or nothing.
 *
 * Returns whether the bitmap is locked.
 */
bool fpf_lock_bitmap(FreePageFilter *fpf);

/* free-page-filter-blocked.c */

/* For people, NULL for FPF_NOT_BLOCKED */
extern const char *const fpf_blocked_text[];

/* Why the filter is off; called with the BQL held */
FreePageFilterBlockedReason fpf_find_blocked_reason(FreePageFilter *fpf);

/* Warn of a reason that is new; called with the BQL held */
void fpf_warn_blocked(FreePageFilter *fpf, FreePageFilterBlockedReason reason);

/* Management's events of changes; called with the lock held */
void fpf_tell_blocked(FreePageFilter *fpf, FreePageFilterBlockedReason reason);
void fpf_tell_on(FreePageFilter *fpf);

/* Let a migration that is strict fail for this reason, if the guest runs */
void fpf_be_strict(FreePageFilter *fpf, FreePageFilterBlockedReason reason);

/* By the migration thread: it fails now, if it has to */
void fpf_fail_if_strict(FreePageFilter *fpf);

/* free-page-filter-info.c; called with the BQL held */

/* A migration begins. */
void fpf_reset_counters(FreePageFilter *fpf);

/* A round begins. */
void fpf_count_round(FreePageFilter *fpf);

#endif
