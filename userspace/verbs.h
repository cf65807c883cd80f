/* SPDX-License-Identifier: GPL-2.0-only */
/* All that fprctl can do: what help, manual pages and completion are made from. */
#ifndef FPRCTL_VERBS_H
#define FPRCTL_VERBS_H

#include "cli.h"

/* Ends with a NULL name. */
extern const struct cli_verb fprctl_verbs[];

/* What fprctl is. */
extern const char fprctl_about[];

/* How its verbs are used together; in the form of a verb's examples. */
extern const char fprctl_examples[];

#endif
