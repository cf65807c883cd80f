/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What belongs to one snapshot: a round, the command that takes it, and the pages that
 * were confirmed before it.
 */
#ifndef FPRCTL_SNAPSHOT_ROUND_H
#define FPRCTL_SNAPSHOT_ROUND_H

#include "confirmed_file.h"
#include "filter_round.h"
#include "log_watch.h"

/**
 * struct snapshot_round - what the caller wants
 * @command: what is run as soon as the report was handed over, or NULL
 * @command_status: out: what it exited with
 * @confirmed: its @path is NULL where nobody wants the pages
 * @watch: finds out whether the log was read, if @watched
 * @json: print one object
 */
struct snapshot_round {
	char **command;
	int command_status;
	struct confirmed_file confirmed;
	struct log_watch watch;
	bool watched;
	bool json;
};

/**
 * snapshot_round_run - do the round, print what came of it, run the command, keep the pages
 *
 * Confirmed pages are disposable only if nobody read the log between ARM and SET, for what
 * a device wrote to a page in between is in that reader's file, and in no later one.  Where
 * that is watched, a round in which it may have happened is done again, a few times.  The
 * file of the pages appears last, and only if the command succeeded: it is there for no
 * snapshot that is not.
 *
 * With a command the epoch has ended when that begins: no report outlives its reading of
 * the log.
 */
enum fpr_status snapshot_round_run(struct snapshot_round *snapshot, const struct filter *filter,
				   const struct filter_source *source, void *opaque,
				   struct filter_round *round);

#endif
