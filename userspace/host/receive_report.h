/* SPDX-License-Identifier: GPL-2.0-only */
/* On the host: a whole response, from the request to its end. */
#ifndef FPRCTL_RECEIVE_REPORT_H
#define FPRCTL_RECEIVE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli.h"
#include "status.h"

/**
 * struct guest_link - an open way to a guest
 * @name: for messages
 * @fd: does not block
 */
struct guest_link {
	const char *name;
	int fd;
};

/**
 * struct receive_limits - what a guest, which may send anything, can cost
 * @max_pages: the most pages that its memory may span
 * @timeout_s: from the request to the last byte
 */
struct receive_limits {
	uint64_t max_pages;
	uint64_t timeout_s;
};

#define RECEIVE_MAX_MEMORY_OPTION					\
	{ OPT_MAX_MEMORY, "max-memory", "S", "refuse reports about more memory (default 32T)" }

/** receive_limits_parse - the values of --timeout, else 10 s, and --max-memory */
enum fpr_status receive_limits_parse(struct receive_limits *limits, const struct cli_args *args);

/**
 * struct received_report - a response, complete
 * @bits: bit n says that page n is free; NULL if none is
 * @end: the page behind those that @bits is about
 * @mapped: bytes of @bits
 * @nr_pages: pages that the guest's memory spans
 * @nr_free: pages that it names
 * @bytes: its length
 * @us: how long it took, from the request on
 */
struct received_report {
	uint8_t *bits;
	uint64_t end;
	size_t mapped;
	uint64_t nr_pages;
	uint64_t nr_free;
	uint64_t bytes;
	uint64_t us;
};

/**
 * receive_report - ask a guest for its free pages
 * @tag: of the request
 * @report: out: to be released in any case
 * @lasting: out: on failure, whether it is of no use to ask again
 */
enum fpr_status receive_report(struct received_report *report, const struct guest_link *guest,
			       uint64_t tag, const struct receive_limits *limits,
			       bool *lasting);

/* receive_release - forget a report */
void receive_release(struct received_report *report);

#endif
