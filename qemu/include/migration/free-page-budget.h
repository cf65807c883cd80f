/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often an agent in the guest is asked for its free pages
 *
 * What a report costs the guest cannot be seen from here; the time from its
 * request to its end can, and bounds it.  What it wins can be seen: pages that
 * need not be sent.
 *
 *  - After the first bitmap sync the agent is asked: that report wins most.
 *  - After a later one it is asked if the last report after a sync won at least
 *    what it cost, or if there is budget for another one like it.  Else a sync
 *    is passed over, or 4, 16... in a row while such reports win too little.
 *  - In between it is asked again only if there is budget for that, and after
 *    a pause, which grows while reports win less than they cost.
 *
 * The budget is FREE_PAGE_BUDGET_PERCENT of the time since the migration began;
 * every report counts.  So where reports are not worth their while they take no
 * more than that, but for the first few, and what is taken beyond it makes the
 * migration shorter by as much.
 */

#ifndef MIGRATION_FREE_PAGE_BUDGET_H
#define MIGRATION_FREE_PAGE_BUDGET_H

#define FREE_PAGE_BUDGET_PERCENT 3

/* How many times as long as at first a pause may get */
#define FREE_PAGE_BUDGET_MAX_PAUSES 64

/* How many syncs may be passed over in a row */
#define FREE_PAGE_BUDGET_MAX_SYNCS 1024

/**
 * struct FreePageBudget - what was spent in a migration; times are milliseconds
 * @begun_ms: when the agent was asked first
 * @spent_ms: from requests to the ends of their reports, in all
 * @last_ms: the same for the last one
 * @pauses: how many times as long as at first the next pause is
 * @syncs: how many syncs are passed over after a report that wins too little
 * @syncs_left: how many still are
 * @asked: the agent was asked in this migration
 */
typedef struct FreePageBudget {
    int64_t begun_ms;
    int64_t spent_ms;
    int64_t last_ms;
    unsigned int pauses;
    unsigned int syncs;
    unsigned int syncs_left;
    bool asked;
} FreePageBudget;

/**
 * free_page_budget_begin: a migration has begun
 */
void free_page_budget_begin(FreePageBudget *budget, int64_t now_ms);

/**
 * free_page_budget_spend: a report has ended, be it good or bad
 * @after_sync: it was asked for because of free_page_budget_after_sync()
 * @cost_ms: time since it was asked for
 * @won_ms: for how long the pages would have been sent that it named
 */
void free_page_budget_spend(FreePageBudget *budget, bool after_sync,
                            int64_t cost_ms, int64_t won_ms);

/**
 * free_page_budget_after_sync: whether to ask after a bitmap sync
 */
bool free_page_budget_after_sync(FreePageBudget *budget, int64_t now_ms);

/**
 * free_page_budget_again: when to ask between two bitmap syncs
 * @now_ms: the last report ended
 * @interval_ms: the shortest pause
 *
 * Returns a time that is later than @now_ms by @interval_ms at least.
 */
int64_t free_page_budget_again(const FreePageBudget *budget, int64_t now_ms,
                               uint32_t interval_ms);

#endif
