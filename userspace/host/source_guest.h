/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages that the guest tells when it is asked. */
#ifndef FPRCTL_SOURCE_GUEST_H
#define FPRCTL_SOURCE_GUEST_H

#include "confirmed_file.h"
#include "filter_round.h"
#include "guest_endpoint.h"
#include "log_watch.h"
#include "receive_report.h"

/**
 * struct source_guest - where to ask
 * @endpoint: from guest_endpoint_parse()
 * @trust: also where the endpoint is known to be another VM's
 * @limits: what it may cost
 * @confirmed: where the confirmed pages go, or NULL
 * @watch: begun when the guest is asked, or NULL
 *
 * The rest is the source's own.
 */
struct source_guest {
	struct guest_endpoint endpoint;
	bool trust;
	struct receive_limits limits;
	struct confirmed_file *confirmed;
	struct log_watch *watch;

	struct guest_link link;
	bool is_open;
	struct received_report report;
};

/* Its @opaque is a struct source_guest. */
extern const struct filter_source guest_source;

#endif
