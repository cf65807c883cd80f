/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FPRCTL_FILTER_FILE_H
#define FPRCTL_FILTER_FILE_H

#include "cli.h"

/* filter_file_run - fprctl filter --source FILE: hand over what a file says */
enum fpr_status filter_file_run(const struct cli_args *args);

#endif
