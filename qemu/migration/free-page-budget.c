/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often an agent in the guest is asked for its free pages
 */

#include "qemu/osdep.h"
#include "migration/free-page-budget.h"

void free_page_budget_begin(FreePageBudget *budget, int64_t now_ms)
{
    *budget = (FreePageBudget) { .begun_ms = now_ms, .pauses = 1 };
}

void free_page_budget_spend(FreePageBudget *budget, bool after_sync,
                            int64_t cost_ms, int64_t won_ms)
{
    /* A request may be answered within the same millisecond. */
    cost_ms = MAX(cost_ms, 1);
    budget->spent_ms += cost_ms;
    budget->last_ms = cost_ms;
    if (after_sync) {
        budget->syncs = won_ms >= cost_ms ? 0 :
                        MIN(MAX(budget->syncs * 4, 1),
                            FREE_PAGE_BUDGET_MAX_SYNCS);
        budget->syncs_left = budget->syncs;
    } else {
        budget->pauses = won_ms >= cost_ms ? 1 :
                         MIN(budget->pauses * 2, FREE_PAGE_BUDGET_MAX_PAUSES);
    }
}

/* When there is budget for another report like the last one */
static int64_t free_page_budget_due(const FreePageBudget *budget)
{
    return budget->begun_ms + (budget->spent_ms + budget->last_ms) * 100 /
                              FREE_PAGE_BUDGET_PERCENT;
}

bool free_page_budget_after_sync(FreePageBudget *budget, int64_t now_ms)
{
    if (budget->asked && budget->syncs_left &&
        now_ms < free_page_budget_due(budget)) {
        budget->syncs_left--;
        return false;
    }
    budget->asked = true;
    return true;
}

int64_t free_page_budget_again(const FreePageBudget *budget, int64_t now_ms,
                               uint32_t interval_ms)
{
    return MAX(now_ms + (int64_t)interval_ms * budget->pauses,
               free_page_budget_due(budget));
}
