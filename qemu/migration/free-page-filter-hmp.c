/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's free page filter in "info migrate"
 */

#include "qemu/osdep.h"
#include "monitor/monitor.h"
#include "migration/free-page-filter.h"

void hmp_info_free_page_filter(Monitor *mon, const FreePageFilterInfo *info)
{
    const FreePageFilterRoundList *rounds;

    if (info->has_blocked_reason) {
        monitor_printf(mon, "free page filter: off (%s)\n",
                       info->blocked_text);
    }
    monitor_printf(mon, "free page filter epochs: %" PRIu64 "\n",
                   info->epochs);
    monitor_printf(mon, "free page filter reports: %" PRIu64
                   " (discarded: %" PRIu64 ")\n",
                   info->reports, info->discarded_reports);
    if (info->has_first_report_ms) {
        monitor_printf(mon, "free page filter first report: %" PRIu64 " ms\n",
                       info->first_report_ms);
    }
    monitor_printf(mon, "free page filter waited for reports: %" PRIu64
                   " ms\n", info->waited_ms);
    monitor_printf(mon, "free page filter reported: %" PRIu64 " pages\n",
                   info->reported_pages);
    monitor_printf(mon, "free page filter filtered: %" PRIu64 " pages\n",
                   info->filtered_pages);
    monitor_printf(mon, "free page filter confirmed: %" PRIu64 " pages\n",
                   info->confirmed_pages);
    monitor_printf(mon, "free page filter dropped: %" PRIu64 " pages\n",
                   info->dropped_pages);
    monitor_printf(mon, "free page filter requested: %" PRIu64 " pages\n",
                   info->requested_pages);
    for (rounds = info->rounds; rounds; rounds = rounds->next) {
        const FreePageFilterRound *round = rounds->value;

        monitor_printf(mon, "free page filter round %" PRIu64 ": asked %" PRIu64
                       ", reports %" PRIu64 ", reported %" PRIu64
                       " pages, dropped %" PRIu64 " pages, waited %" PRIu64
                       " ms\n", round->round, round->asked, round->reports,
                       round->reported_pages, round->dropped_pages,
                       round->waited_ms);
    }
}
