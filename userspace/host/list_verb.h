/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FPRCTL_LIST_VERB_H
#define FPRCTL_LIST_VERB_H

#include "cli.h"

/* list_run - fprctl list */
enum fpr_status list_run(const struct cli_args *args);

#endif
