/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The free page filter: what is counted, by migration, round and period
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/stats64.h"
#include "qemu/timer.h"
#include "migration-stats.h"
#include "free-page-filter-internal.h"

void fpf_reset_counters(FreePageFilter *fpf)
{
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

void fpf_count_round(FreePageFilter *fpf)
{
    fpf->rounds[fpf->nr_rounds++ % FPF_MAX_ROUNDS] = fpf_totals(fpf);
}

void free_page_filter_end_period(MigrationPeriod *period)
{
    FreePageFilter *fpf = fpf_get();
    const FPFPeriod last = fpf->period;
    uint64_t dropped;

    if (!stat64_get(&fpf->epochs)) {
        return;
    }

    /* The sync that is just over ended the epoch: nothing was dropped since. */
    dropped = stat64_get(&fpf->dropped_pages);
    fpf->period = (FPFPeriod) {
        .found = *period,
        .dropped_pages = dropped,
    };
    if (!last.found.ms) {
        /* What this one found may all be free. */
        period->dirty_pages = 0;
        return;
    }
    dropped -= last.dropped_pages;
    *period = last.found;
    period->dirty_pages -= MIN(dropped, period->dirty_pages);
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
    info->requested_pages = stat64_get(&mig_stats.dropped_page_requests);
    for (uint64_t n = fpf->nr_rounds;
         n && n + FPF_MAX_ROUNDS > fpf->nr_rounds; n--) {
        QAPI_LIST_PREPEND(info->rounds, fpf_round_info(fpf, n, &now));
    }
    info->has_blocked_reason = blocked != FPF_NOT_BLOCKED;
    info->blocked_reason = info->has_blocked_reason ? blocked : 0;
    info->blocked_text = g_strdup(fpf_blocked_text[blocked]);
    return info;
}
