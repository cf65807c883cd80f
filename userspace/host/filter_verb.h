/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FPRCTL_FILTER_VERB_H
#define FPRCTL_FILTER_VERB_H

#include "cli.h"

/* fprctl filter: arm, ask the guest, hand over what it says. */
enum fpr_status filter_verb_run(const struct cli_args *args);

#endif
