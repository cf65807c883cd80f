/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FPRCTL_STATS_VERB_H
#define FPRCTL_STATS_VERB_H

#include "cli.h"

/* stats_run - fprctl stats */
enum fpr_status stats_run(const struct cli_args *args);

#endif
