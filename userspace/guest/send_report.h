/* SPDX-License-Identifier: GPL-2.0-only */
/* In the guest: a whole response, from reading the free pages to the last byte. */
#ifndef FPRCTL_SEND_REPORT_H
#define FPRCTL_SEND_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"
#include "free_source.h"

#define SEND_BYTES	16384

/**
 * struct sink - where a response goes
 * @write: takes all of @data, or says why not
 * @buffer: of SEND_BYTES, for what goes there at a time; of a short response the beginning alone is written to
 */
struct sink {
	enum fpr_status (*write)(void *opaque, const void *data, size_t len);
	void *opaque;
	uint8_t *buffer;
};

struct send_stats {
	uint64_t pages;
	uint64_t free;
	uint64_t bytes;
	uint64_t us;
};

/**
 * send_report - read @source and write the response to @sink
 * @source: open
 * @tag: of the request
 * @stats: out: what was sent
 */
enum fpr_status send_report(const struct free_source *source, uint64_t tag,
			    const struct sink *sink, struct send_stats *stats);

/* send_refusal - answer that there is no report */
enum fpr_status send_refusal(const struct free_source *source, uint64_t tag,
			     enum wire_refusal refusal, const struct sink *sink);

#endif
