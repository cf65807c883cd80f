// SPDX-License-Identifier: GPL-2.0-only
/* A round: arm, take pages from a source, hand them over, print what became of it. */
#include <linux/kvm_fpr.h>

#include "clock.h"
#include "filter_round.h"
#include "result.h"
#include "stop.h"

static enum fpr_status arm(const struct filter *filter, const struct filter_source *source,
			   void *opaque, struct filter_round *round)
{
	struct filter_range *range = &round->range;
	enum fpr_status status;

	if (!source->candidates || !(filter->flags & KVM_FPR_CAP_CANDIDATES)) {
		status = filter_arm(filter, &range->epoch, &round->arm_us);
	} else {
		status = source->candidates(opaque, round);
		if (!status)
			status = filter_arm_candidates(filter, range, &round->arm_us);
	}
	round->armed = !status;
	round->lasting = status && !stop_signal;
	return status;
}

static enum fpr_status take_and_set(const struct filter *filter,
				    const struct filter_source *source, void *opaque,
				    struct filter_round *round)
{
	uint64_t start = clock_us();
	enum fpr_status status = source->take(opaque, filter, round);

	round->take_us = clock_us() - start;
	return status ? status : filter_set(filter, &round->range, &round->set_us);
}

enum fpr_status filter_round_run(const struct filter *filter, const struct filter_source *source,
				 void *opaque, struct filter_round *round)
{
	enum fpr_status status = FPR_OK;

	stop_catch();
	stop_on_end_of(filter->vm.pidfd);
	if (source->prepare)
		status = source->prepare(opaque, filter, round);
	if (!status && !round->range.epoch)
		status = arm(filter, source, opaque, round);
	if (!status)
		status = take_and_set(filter, source, opaque, round);
	if (source->finish)
		status = source->finish(opaque, status);
	if (status && round->armed)
		filter_abandon(filter, round->range.epoch);
	return status;
}

void filter_round_print(FILE *f, const struct filter_round *round, bool json, bool line)
{
	const struct result all[] = {
		{ "epoch", "epoch", NULL, round->range.epoch },
		{ round->nr_pages ? "spanned_pages" : NULL, "memory spans", "pages",
		  round->nr_pages },
		{ "reported_pages", "reported", "pages", round->nr_reported },
		{ "filtered_pages", "filtered (each address space counted)", "pages",
		  round->range.nr_filtered },
		{ "confirmed_pages", "confirmed", "pages", round->range.nr_confirmed },
		{ round->response_bytes ? "response_bytes" : NULL, "response", "bytes",
		  round->response_bytes },
		{ round->armed ? "arm_us" : NULL, "arm took", "us", round->arm_us },
		{ "report_us", "report took", "us", round->take_us },
		{ "set_us", "set took", "us", round->set_us },
	};
	struct result results[sizeof(all) / sizeof(all[0]) + 1] = { 0 };
	size_t i, n = 0;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].key)
			results[n++] = all[i];
	}
	if (line && !json)
		result_print_line(f, results);
	else
		result_print(f, results, json);
}
