/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FPRCTL_REPORT_VERB_H
#define FPRCTL_REPORT_VERB_H

#include "cli.h"

/* fprctl report: in the guest, tell the host which pages are free. */
enum fpr_status report_run(const struct cli_args *args);

#endif
