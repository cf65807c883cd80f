/* SPDX-License-Identifier: GPL-2.0-only */
/* A report that names whole ranges of memory. */
#ifndef FPRCTL_RANGES_REPORT_H
#define FPRCTL_RANGES_REPORT_H

#include "status.h"

/**
 * ranges_report_make - write one into a file without a name
 * @text: the ranges, "GPA:SIZE" with commas between
 * @fd: out: to read it from its beginning; it takes 24 bytes for 128 MiB of memory
 */
enum fpr_status ranges_report_make(const char *text, int *fd);

#endif
