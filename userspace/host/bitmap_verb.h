/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FPRCTL_BITMAP_VERB_H
#define FPRCTL_BITMAP_VERB_H

#include "cli.h"

/* bitmap_info_run - fprctl bitmap info */
enum fpr_status bitmap_info_run(const struct cli_args *args);

/* bitmap_convert_run - fprctl bitmap convert */
enum fpr_status bitmap_convert_run(const struct cli_args *args);

/* bitmap_diff_run - fprctl bitmap diff */
enum fpr_status bitmap_diff_run(const struct cli_args *args);

#endif
