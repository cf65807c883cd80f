/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages that were never populated. */
#ifndef FPRCTL_SOURCE_PAGEMAP_H
#define FPRCTL_SOURCE_PAGEMAP_H

#include "filter_round.h"
#include "pagemap.h"

/**
 * struct source_pagemap - where to look
 * @map: from guest_map_parse()
 *
 * The rest is the source's own.
 */
struct source_pagemap {
	struct guest_map map;

	struct pagemap pagemap;
	uint8_t *bits;
};

/**
 * source_pagemap_open - find the memory of a process
 * @vm: what names it
 *
 * source_pagemap_release() ends it in any case.
 */
enum fpr_status source_pagemap_open(struct source_pagemap *source, const char *vm);

void source_pagemap_release(struct source_pagemap *source);

/* Its @opaque is a struct source_pagemap that was opened. */
extern const struct filter_source pagemap_source;

#endif
