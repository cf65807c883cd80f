// SPDX-License-Identifier: GPL-2.0-only
/* What belongs to one snapshot: a round, a command, and the confirmed pages. */
#include <err.h>
#include <stdio.h>

#include "run_command.h"
#include "snapshot_round.h"
#include "stop.h"

/* KVM also flushes for other reasons than a reader, but seldom in every round. */
#define MAX_ROUNDS	5

static enum fpr_status refuse_read(const struct snapshot_round *snapshot)
{
	warnx("%s: not written: in each of %d rounds KVM flushed the guest's TLBs, as it does when somebody reads the dirty log: take snapshots one after the other, or give --trust-log if nobody read it (KSM, NUMA balancing and swapping flush, too)",
	      snapshot->confirmed.path, MAX_ROUNDS);
	return FPR_STALE;
}

/* Do the round again until nobody can have read the log in it. */
static enum fpr_status run_unread(struct snapshot_round *snapshot, const struct filter *filter,
				  const struct filter_source *source, void *opaque,
				  struct filter_round *round)
{
	const struct filter_round first = *round;
	enum fpr_status status;
	int tries;

	for (tries = 0; tries < MAX_ROUNDS; tries++) {
		*round = first;
		status = filter_round_run(filter, source, opaque, round);
		if (status || !snapshot->watched || log_watch_is_unread(&snapshot->watch))
			return status;
		confirmed_file_end(&snapshot->confirmed);
		filter_abandon(filter, round->range.epoch);
	}
	return refuse_read(snapshot);
}

static void print(const struct snapshot_round *snapshot, const struct filter_round *round)
{
	const char *path = snapshot->confirmed.path;

	filter_round_print(path && outfile_is_stdout(path) ? stderr : stdout, round, snapshot->json,
			   false);
}

static enum fpr_status run_snapshot(struct snapshot_round *snapshot, const struct filter *filter,
				    const struct filter_round *round)
{
	if (round->armed)
		filter_abandon(filter, round->range.epoch);
	/* The result comes before the command's output. */
	print(snapshot, round);
	if (fflush(stdout)) {
		warn("stdout");
		return FPR_ERROR;
	}
	if (stop_signal) {
		warnx("%s: stopped by a signal: it was not run", snapshot->command[0]);
		return FPR_ERROR;
	}
	snapshot->command_status = run_command(snapshot->command);
	return FPR_OK;
}

static enum fpr_status keep_confirmed(struct snapshot_round *snapshot)
{
	enum fpr_status status;

	if (!snapshot->confirmed.path)
		return FPR_OK;
	if (snapshot->command_status) {
		warnx("%s: not written, as the command exited with status %d",
		      snapshot->confirmed.path, snapshot->command_status);
		return FPR_OK;
	}
	status = confirmed_file_commit(&snapshot->confirmed);
	if (status && snapshot->command)
		warnx("the command succeeded: do not run it again because of that");
	return status;
}

enum fpr_status snapshot_round_run(struct snapshot_round *snapshot, const struct filter *filter,
				   const struct filter_source *source, void *opaque,
				   struct filter_round *round)
{
	enum fpr_status status = run_unread(snapshot, filter, source, opaque, round);

	if (!status && snapshot->command)
		status = run_snapshot(snapshot, filter, round);
	if (!status) {
		status = keep_confirmed(snapshot);
		if (status && round->armed)
			filter_abandon(filter, round->range.epoch);
	}
	if (!status && !snapshot->command)
		print(snapshot, round);
	confirmed_file_end(&snapshot->confirmed);
	return status;
}
