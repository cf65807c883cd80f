// SPDX-License-Identifier: GPL-2.0-only
/* Pages that the guest tells when it is asked. */
#include <unistd.h>

#include "guest_owner.h"
#include "source_guest.h"
#include "stop.h"

/* An endpoint stays its owner's, so a later round would fail in the same way. */
static enum fpr_status check_owner(const struct source_guest *guest, const struct vm *vm)
{
	if (guest->trust)
		return FPR_OK;
	return guest->is_open ? guest_owner_check_peer(&guest->endpoint, guest->link.fd, vm) :
				guest_owner_check_cid(&guest->endpoint, vm);
}

static enum fpr_status prepare(void *opaque, const struct filter *filter,
			       struct filter_round *round)
{
	struct source_guest *guest = opaque;
	enum fpr_status status;

	guest->link.name = guest->endpoint.name;
	status = filter_check(filter);
	if (!status)
		status = check_owner(guest, &filter->vm);
	round->lasting = status && !stop_signal;
	if (status)
		return status;
	status = guest_endpoint_open(&guest->endpoint, guest->limits.timeout_s, &guest->link.fd);
	round->lasting = status == FPR_USAGE;
	if (status)
		return status;
	guest->is_open = true;
	status = check_owner(guest, &filter->vm);
	round->lasting = status;
	return status;
}

static enum fpr_status take(void *opaque, const struct filter *filter, struct filter_round *round)
{
	struct source_guest *guest = opaque;
	struct received_report *report = &guest->report;
	enum fpr_status status;

	(void)filter;
	/* After ARM, and before the guest looks for free pages. */
	if (guest->watch)
		log_watch_begin(guest->watch);
	status = receive_report(report, &guest->link, round->range.epoch, &guest->limits,
				&round->lasting);
	round->range.report = report->bits;
	round->range.size = report->end * (uint64_t)sysconf(_SC_PAGESIZE);
	round->nr_pages = report->nr_pages;
	round->nr_reported = report->nr_free;
	round->response_bytes = report->bytes;
	if (!status && guest->confirmed)
		status = confirmed_file_begin(guest->confirmed, &round->range, report->nr_pages);
	return status;
}

static enum fpr_status finish(void *opaque, enum fpr_status status)
{
	struct source_guest *guest = opaque;

	receive_release(&guest->report);
	if (guest->is_open)
		close(guest->link.fd);
	guest->is_open = false;
	return status;
}

const struct filter_source guest_source = {
	.prepare = prepare,
	.take = take,
	.finish = finish,
};
