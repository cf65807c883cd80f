/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FPRCTL_FILTER_PAGEMAP_H
#define FPRCTL_FILTER_PAGEMAP_H

#include "cli.h"

/* filter_pagemap_run - fprctl filter --source pagemap: hand over what was never populated */
enum fpr_status filter_pagemap_run(const struct cli_args *args);

#endif
