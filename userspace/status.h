/* SPDX-License-Identifier: GPL-2.0-only */
/* What fprctl exits with, and its functions return. */
#ifndef FPRCTL_STATUS_H
#define FPRCTL_STATUS_H

/*
 * Exit statuses, documented in --help.  Whoever returns one of the errors has
 * already said on stderr, on one line, what was wrong and what to do.
 */
enum fpr_status {
	FPR_OK		= 0,
	FPR_ERROR	= 1,
	FPR_USAGE	= 2,
	FPR_NO_FILTER	= 3,
	FPR_STALE	= 4,	/* nothing was lost: arm again and take a new report */
	FPR_EXEC	= 125,	/* any of them, where the status is a command's own */
};

#endif
