/* SPDX-License-Identifier: GPL-2.0-only */
/* All that fprctl can do: what help, manual pages and completion are made from. */
#ifndef FPRCTL_VERBS_H
#define FPRCTL_VERBS_H

#include "cli.h"

/* Each is in the file of that name, with its help. */
extern const struct cli_verb probe_verb;
extern const struct cli_verb list_verb;
extern const struct cli_verb stats_verb;
extern const struct cli_verb arm_verb;
extern const struct cli_verb set_bitmap_verb;
extern const struct cli_verb disarm_verb;
extern const struct cli_verb filter_verb;
extern const struct cli_verb ping_verb;
extern const struct cli_verb report_verb;
extern const struct cli_verb bitmap_info_verb;
extern const struct cli_verb bitmap_convert_verb;
extern const struct cli_verb bitmap_diff_verb;
extern const struct cli_verb bitmap_and_verb;
extern const struct cli_verb bitmap_andnot_verb;
extern const struct cli_verb bitmap_or_verb;
extern const struct cli_verb punch_verb;

/* Ends with NULL. */
extern const struct cli_verb * const fprctl_verbs[];

/* What fprctl is. */
extern const char fprctl_about[];

/* How its verbs are used together; in the form of a verb's examples. */
extern const char fprctl_examples[];

#endif
