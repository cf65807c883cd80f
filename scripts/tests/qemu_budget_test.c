// SPDX-License-Identifier: GPL-2.0-only
/*
 * How often QEMU asks the guest's agent, as qemu/migration/free-page-budget.c decides: whole migrations with agents
 * that cost and win so much.  scripts/tests/qemu_budget_test builds and runs it; prints TAP.
 */
#include <stdio.h>

#include "qemu/osdep.h"
#include "migration/free-page-budget.h"

#define INTERVAL_MS 50

/* A migration, and an agent that answers each request after so long, with a report that wins so much */
struct scene {
	int64_t length_ms;
	int64_t round_ms;	/* between two bitmap syncs */
	int64_t cost_ms;
	int64_t won_ms;
	int64_t won_at_first_ms;
};

struct outcome {
	int after_syncs;	/* reports */
	int between;
	int64_t spent_ms;	/* by the agent, measured here */
	int64_t shortest_pause_ms;
};

static int number;
static int failed;

static void check(bool good, const char *name, const struct outcome *outcome)
{
	if (!good)
		printf("# %d reports after syncs, %d between, %lld ms in all, %lld ms apart at least\n",
		       outcome->after_syncs, outcome->between, (long long)outcome->spent_ms,
		       (long long)outcome->shortest_pause_ms);
	failed |= !good;
	printf("%sok %d - %s\n", good ? "" : "not ", ++number, name);
}

/* Millisecond by millisecond, as free-page-agent.c does it. */
static struct outcome migrate(const struct scene *scene)
{
	int64_t begun = 1000000, end = begun + scene->length_ms;
	int64_t answer = 0, again = 0, asked = 0;
	bool after_sync = false;
	struct outcome outcome = { .shortest_pause_ms = INT64_MAX };
	FreePageBudget budget;

	free_page_budget_begin(&budget, begun);
	for (int64_t now = begun; now < end; now++) {
		bool sync = (now - begun) % scene->round_ms == 0;
		bool ask = sync && free_page_budget_after_sync(&budget, now);

		if (now == answer) {
			bool first = !outcome.spent_ms;

			free_page_budget_spend(&budget, after_sync, now - asked,
					       first ? scene->won_at_first_ms : scene->won_ms);
			outcome.spent_ms += now - asked;
			again = free_page_budget_again(&budget, now, INTERVAL_MS);
			outcome.shortest_pause_ms = MIN(outcome.shortest_pause_ms, again - now);
			answer = 0;
		}
		if (ask && answer) {
			/* The newer request ends the older one's answer. */
			free_page_budget_spend(&budget, after_sync, now - asked, 0);
			outcome.spent_ms += now - asked;
		}
		if (ask || (again && now == again && !answer)) {
			outcome.after_syncs += ask;
			outcome.between += !ask;
			after_sync = ask;
			asked = now;
			answer = now + MAX(scene->cost_ms, 1);
			again = 0;
		}
	}
	return outcome;
}

/* Percent of the migration, without the first report */
static double share(const struct scene *scene, const struct outcome *outcome)
{
	return 100.0 * (outcome->spent_ms - scene->cost_ms) / scene->length_ms;
}

int main(void)
{
	const struct scene useless = { 60000, 200, 40, 0, 0 };
	const struct scene slow = { 60000, 100, 250, 0, 1000 };
	const struct scene paying = { 20000, 500, 40, 100, 1000 };
	const struct scene long_round = { 60000, 60000, 20, 500, 1000 };
	const struct scene long_useless = { 60000, 60000, 20, 5, 1000 };
	const struct scene useless_between = { 60000, 20000, 250, 0, 1000 };
	const struct scene fast = { 60000, 60000, 1, 50, 1000 };
	struct outcome outcome;
	FreePageBudget budget;

	puts("1..11");
	outcome = migrate(&useless);
	check(outcome.after_syncs >= 1, "the agent is asked after the first sync", &outcome);
	check(share(&useless, &outcome) <= FREE_PAGE_BUDGET_PERCENT,
	      "reports that win nothing take 3 % at most, however short the rounds are", &outcome);
	outcome = migrate(&slow);
	check(share(&slow, &outcome) <= FREE_PAGE_BUDGET_PERCENT,
	      "an agent that is slower than the rounds takes 3 % at most", &outcome);
	outcome = migrate(&paying);
	check(outcome.after_syncs == 40, "where a report wins more than it costs, there is one after each sync",
	      &outcome);
	outcome = migrate(&useless);
	check(outcome.after_syncs >= 20, "yet the agent is asked from time to time, for that may change", &outcome);
	outcome = migrate(&useless_between);
	check(outcome.after_syncs >= 2 && outcome.between > 0,
	      "reports within a round that win nothing do not keep the agent from being asked after the next sync",
	      &outcome);
	outcome = migrate(&long_round);
	check(outcome.between > 40 && share(&long_round, &outcome) <= FREE_PAGE_BUDGET_PERCENT,
	      "in a long round the agent is asked again, and takes 3 % at most", &outcome);
	outcome = migrate(&long_useless);
	check(outcome.between > 0 && outcome.between < 25,
	      "it is asked less often where that wins less than it costs", &outcome);
	outcome = migrate(&fast);
	check(outcome.between > 1000 && outcome.shortest_pause_ms == INTERVAL_MS,
	      "an agent that costs next to nothing is asked as often as was set", &outcome);

	free_page_budget_begin(&budget, 0);
	for (int i = 0; i < 1000; i++)
		free_page_budget_spend(&budget, false, 0, 0);
	check(free_page_budget_again(&budget, 1000000, 10000) == 1000000 + 10000 * FREE_PAGE_BUDGET_MAX_PAUSES,
	      "a pause does not grow without end", &outcome);
	free_page_budget_spend(&budget, false, 1, 1);
	check(free_page_budget_again(&budget, 1000000, 10000) == 1000000 + 10000,
	      "after a report that was worth it pauses are short again", &outcome);
	return failed;
}
