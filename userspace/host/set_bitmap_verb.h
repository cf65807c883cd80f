/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FPRCTL_SET_BITMAP_VERB_H
#define FPRCTL_SET_BITMAP_VERB_H

#include "cli.h"

/* fprctl set-bitmap: arm, take a report, hand it over. */
enum fpr_status set_bitmap_verb_run(const struct cli_args *args);

#endif
