/* SPDX-License-Identifier: GPL-2.0-only */
/* A round: arm, take pages from a source, hand them over, print what became of it. */
#ifndef FPRCTL_FILTER_ROUND_H
#define FPRCTL_FILTER_ROUND_H

#include <stdio.h>

#include "filter.h"

/**
 * struct filter_round - what is done, and what came of it
 * @range: @epoch: in: the one that the caller has, or 0 to begin one; out: the one that it was
 * @armed: out: the round began its epoch
 * @nr_pages: set by the source: pages that the memory spans, or 0
 * @nr_reported: set by the source
 * @response_bytes: set by the source: what the guest sent, or 0
 * @arm_us: out: how long ARM took
 * @take_us: out: how long the source took, from ARM on
 * @set_us: out: how long SET took
 * @lasting: out: it failed, and so will the next one
 */
struct filter_round {
	struct filter_range range;
	bool armed;
	uint64_t nr_pages;
	uint64_t nr_reported;
	uint64_t response_bytes;
	uint64_t arm_us;
	uint64_t take_us;
	uint64_t set_us;
	bool lasting;
};

/**
 * struct filter_source - what tells the pages; all functions say what is wrong
 * @prepare: before ARM, which ends another's epoch and costs the guest faults: what can fail
 *	     early; or NULL
 * @candidates: before ARM, where the kernel knows candidates: sets @range but for the epoch
 *		to the pages that are worth tracking; or NULL
 * @take: sets @range to the pages that were free at some instant after ARM
 * @finish: undoes all of the above in any case; @status is what came of the round, and is
 *	    returned unless this fails; or NULL
 */
struct filter_source {
	enum fpr_status (*prepare)(void *opaque, const struct filter *filter,
				   struct filter_round *round);
	enum fpr_status (*candidates)(void *opaque, struct filter_round *round);
	enum fpr_status (*take)(void *opaque, const struct filter *filter,
				struct filter_round *round);
	enum fpr_status (*finish)(void *opaque, enum fpr_status status);
};

/**
 * filter_round_run - do it
 * @opaque: for the functions of @source
 *
 * An epoch that the round began goes on if all went well, and has ended otherwise; one that
 * the caller had goes on in any case.  From now on SIGINT and SIGTERM set stop_signal, and
 * the end of the VM's process ends every wait.
 */
enum fpr_status filter_round_run(const struct filter *filter, const struct filter_source *source,
				 void *opaque, struct filter_round *round);

/** filter_round_print - say what came of one that went well; @line: without --json in one line */
void filter_round_print(FILE *f, const struct filter_round *round, bool json, bool line);

#endif
