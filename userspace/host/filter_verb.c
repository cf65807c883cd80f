// SPDX-License-Identifier: GPL-2.0-only
/* fprctl filter: a round with one of the sources, or one after the other with a guest. */
#include <err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bitmap.h"
#include "clock.h"
#include "kvm_debugfs.h"
#include "message.h"
#include "snapshot_round.h"
#include "source_file.h"
#include "source_guest.h"
#include "source_pagemap.h"
#include "stop.h"
#include "verbs.h"
#include "vm.h"

/* Bytes of the largest bitmap that is taken. */
#define MAX_MAP_BYTES		((size_t)(BITMAP_MAX_PAGES / 8))

/* An error that comes round after round was said once; say how often it came. */
static void say_left_out(const struct source_guest *guest)
{
	unsigned int nr = message_left_out();

	if (nr)
		warnx("%s: that went on for %u more rounds, and is over",
		      guest->endpoint.name, nr);
}

/* Wait until the next round begins. Return: FPR_OK, or an error where there is none. */
static enum fpr_status wait_for_round(uint64_t when_us)
{
	if (stop_wait(-1, 0, when_us) != STOP_PROCESS_ENDED)
		return FPR_OK;
	filter_say_gone();
	return FPR_ERROR;
}

/* Do one round after the other, until a signal or a lasting error. */
static enum fpr_status watch(const struct cli_args *args, const struct filter *filter,
			     struct source_guest *guest, uint64_t watch_s)
{
	struct filter_round round = { 0 };
	enum fpr_status status = FPR_OK;
	uint64_t start, epoch = 0;

	message_say_once(true);
	while (!stop_signal) {
		start = clock_us();
		round = (struct filter_round) { 0 };
		status = filter_round_run(filter, &guest_source, guest, &round);
		if (!status) {
			say_left_out(guest);
			filter_round_print(stdout, &round, args->option[OPT_JSON], true);
		}
		/* Where this round began no epoch, the one of the round before is still current. */
		if (round.range.epoch)
			epoch = status ? 0 : round.range.epoch;
		/* main() says what is wrong with stdout. */
		if (round.lasting || fflush(stdout))
			break;
		status = wait_for_round(start + watch_s * 1000000);
		if (status)
			break;
	}
	if (epoch)
		filter_abandon(filter, epoch);
	/* A signal does not hide a lasting error. */
	return stop_signal && !round.lasting ? FPR_OK : status;
}

static enum fpr_status parse_guest(const struct cli_args *args, struct source_guest *guest)
{
	enum fpr_status status;

	if (!args->option[OPT_GUEST]) {
		warnx("filter: give --guest ENDPOINT, where to ask the guest");
		return FPR_USAGE;
	}
	guest->trust = args->option[OPT_TRUST_ENDPOINT];
	status = guest_endpoint_parse(&guest->endpoint, args->option[OPT_GUEST]);
	return status ? status : receive_limits_parse(&guest->limits, args);
}

/* The rounds of --watch belong to no snapshot. */
static enum fpr_status parse_watch(const struct cli_args *args, uint64_t *watch_s)
{
	enum fpr_status status = cli_seconds("--watch", args->option[OPT_WATCH], watch_s);

	if (status || !*watch_s || (!args->option[OPT_CONFIRMED] && !args->command))
		return status;
	warnx("filter: %s belongs to one snapshot: leave out --watch",
	      args->command ? "--exec" : "--confirmed");
	return FPR_USAGE;
}

static enum fpr_status check_confirmed(const struct cli_args *args)
{
	const char *path = args->option[OPT_CONFIRMED];

	if (!path)
		return FPR_OK;
	if (args->command && outfile_is_stdout(path)) {
		warnx("--confirmed %s: what the command of --exec prints goes there: give a file", path);
		return FPR_USAGE;
	}
	return confirmed_file_check(path);
}

/* Where the confirmed pages go, and what tells whether they are disposable. */
static enum fpr_status open_confirmed(const struct cli_args *args, const struct filter *filter,
				      struct snapshot_round *snapshot, struct source_guest *guest)
{
	enum fpr_status status;

	snapshot->confirmed.path = args->option[OPT_CONFIRMED];
	if (!snapshot->confirmed.path)
		return FPR_OK;
	guest->confirmed = &snapshot->confirmed;
	status = filter_check_confirm(filter);
	if (status || args->option[OPT_TRUST_LOG])
		return status;
	guest->watch = &snapshot->watch;
	snapshot->watched = true;
	return log_watch_open(&snapshot->watch, &filter->vm, args->operand[0]);
}

static enum fpr_status run_guest(const struct cli_args *args, struct snapshot_round *snapshot)
{
	struct filter_round round = { 0 };
	struct source_guest guest = { 0 };
	struct filter filter;
	enum fpr_status status;
	uint64_t watch_s = 0;

	status = parse_guest(args, &guest);
	if (!status)
		status = parse_watch(args, &watch_s);
	if (!status)
		status = check_confirmed(args);
	if (!status)
		status = filter_open(&filter, args->operand[0]);
	if (!status)
		status = open_confirmed(args, &filter, snapshot, &guest);
	if (status)
		return status;
	/* Without the signal, write() returns the error where a guest or a reader has gone. */
	signal(SIGPIPE, SIG_IGN);
	if (watch_s) {
		stop_catch();
		return watch(args, &filter, &guest, watch_s);
	}
	status = snapshot_round_run(snapshot, &filter, &guest_source, &guest, &round);
	log_watch_close(&snapshot->watch);
	return status;
}

static enum fpr_status run_file(const struct cli_args *args, struct snapshot_round *snapshot)
{
	struct source_file file = { .path = args->option[OPT_SOURCE] };
	struct filter_round round = { 0 };
	struct filter filter;
	enum fpr_status status;

	status = cli_epoch(args, &round.range.epoch);
	if (!status)
		status = bitmap_parse_format("--from", args->option[OPT_FROM], &file.format);
	if (!status)
		status = cli_seconds("--timeout", args->option[OPT_TIMEOUT], &file.timeout_s);
	/* The file is read first: it may be wrong, and the VM is then left alone. */
	if (!status)
		status = source_file_open(&file, &round.range.epoch);
	if (!status)
		status = filter_open(&filter, args->operand[0]);
	if (!status)
		status = snapshot_round_run(snapshot, &filter, &file_source, &file, &round);
	source_file_release(&file);
	return status;
}

static enum fpr_status parse_map(const struct cli_args *args, struct guest_map *map)
{
	enum fpr_status status;

	if (!args->option[OPT_ZERO_DESTINATION]) {
		warnx("filter: --source pagemap loses pages where the destination does not read as zero: give --zero-destination if it does, see fprctl-filter(8)");
		return FPR_USAGE;
	}
	if (!args->option[OPT_MAP]) {
		warnx("filter: --source pagemap needs --map GPA:HVA:SIZE, where the guest's memory is: see fprctl-filter(8)");
		return FPR_USAGE;
	}
	status = guest_map_parse(map, "--map", "GPA:HVA:SIZE", args->option[OPT_MAP]);
	if (!status && pagemap_bytes(map) > MAX_MAP_BYTES) {
		warnx("--map: it spans more than 32T");
		status = FPR_USAGE;
	}
	return status;
}

static enum fpr_status run_pagemap(const struct cli_args *args, struct snapshot_round *snapshot)
{
	struct source_pagemap source = { .pagemap = { .fd = -1 } };
	struct filter_round round = { 0 };
	struct filter filter;
	enum fpr_status status;

	status = parse_map(args, &source.map);
	if (!status)
		status = source_pagemap_open(&source, args->operand[0]);
	if (!status)
		status = filter_open(&filter, args->operand[0]);
	if (!status)
		status = snapshot_round_run(snapshot, &filter, &pagemap_source, &source, &round);
	source_pagemap_release(&source);
	return status;
}

/* What each option is for. */
static const struct {
	enum cli_option_id id;
	const char *name;
	const char *source;
	const char *other;	/* another source that it is for, or NULL */
} source_options[] = {
	{ OPT_GUEST, "--guest", "guest" },
	{ OPT_WATCH, "--watch", "guest" },
	{ OPT_TIMEOUT, "--timeout", "guest", "FILE" },
	{ OPT_MAX_MEMORY, "--max-memory", "guest" },
	{ OPT_TRUST_ENDPOINT, "--trust-endpoint", "guest" },
	{ OPT_CONFIRMED, "--confirmed", "guest" },
	{ OPT_TRUST_LOG, "--trust-log", "guest" },
	{ OPT_MAP, "--map", "pagemap" },
	{ OPT_ZERO_DESTINATION, "--zero-destination", "pagemap" },
	{ OPT_EPOCH, "--epoch", "FILE" },
	{ OPT_FROM, "--from", "FILE" },
};

#define NR_SOURCE_OPTIONS	(sizeof(source_options) / sizeof(source_options[0]))

static bool is_for(size_t i, const char *source)
{
	return !strcmp(source_options[i].source, source) ||
	       (source_options[i].other && !strcmp(source_options[i].other, source));
}

static enum fpr_status check_options(const struct cli_args *args, const char *source)
{
	size_t i;

	for (i = 0; i < NR_SOURCE_OPTIONS; i++) {
		if (args->option[source_options[i].id] && !is_for(i, source)) {
			warnx("filter: %s is for --source %s: leave it out", source_options[i].name,
			      source_options[i].source);
			return FPR_USAGE;
		}
	}
	return FPR_OK;
}

static enum fpr_status run(const struct cli_args *args)
{
	static const struct {
		const char *name;
		enum fpr_status (*run)(const struct cli_args *args,
				       struct snapshot_round *snapshot);
	} sources[] = {
		{ "guest", run_guest },
		{ "pagemap", run_pagemap },
		{ "FILE", run_file },
	};
	struct snapshot_round snapshot = {
		.command = args->command,
		.json = args->option[OPT_JSON],
		.watch = { .dir = -1 },
	};
	const char *name = args->option[OPT_SOURCE];
	enum fpr_status status;
	size_t i = 0;

	while (name && i < 2 && strcmp(name, sources[i].name))
		i++;
	status = check_options(args, sources[i].name);
	if (!status)
		status = sources[i].run(args, &snapshot);
	if (!args->command)
		return status;
	return status ? FPR_EXEC : (enum fpr_status)snapshot.command_status;
}

static const struct cli_option filter_options[] = {
	{ OPT_SOURCE, "source", "guest|pagemap|FILE", "what tells the pages (default guest)" },
	{ OPT_GUEST, "guest", "ENDPOINT", "where the guest answers" },
	{ OPT_TRUST_ENDPOINT, "trust-endpoint", NULL, "also where it looks like another VM's" },
	{ OPT_WATCH, "watch", "SECONDS", "ask again every SECONDS, until a signal comes" },
	{ OPT_TIMEOUT, "timeout", "SECONDS", "how long to wait (default 10, with FILE no limit)" },
	RECEIVE_MAX_MEMORY_OPTION,
	{ OPT_EPOCH, "epoch", "N", "FILE was made in epoch N" },
	BITMAP_FROM_OPTION,
	{ OPT_MAP, "map", "GPA:HVA:SIZE", "for pagemap: where memory is; several with commas" },
	{ OPT_ZERO_DESTINATION, "zero-destination", NULL, "for pagemap: what is not sent reads as zero" },
	{ OPT_CONFIRMED, "confirmed", "FILE", "keep the confirmed pages, for fprctl punch" },
	{ OPT_TRUST_LOG, "trust-log", NULL, "with --confirmed: nobody else reads the dirty log" },
	CLI_JSON_OPTION,
	{ OPT_EXEC, "exec", "COMMAND...", "run it as soon as that is done; last on the line" },
	{ 0 }
};

const struct cli_verb filter_verb = {
	.name = "filter",
	.operands = "VM",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Take a guest's free pages out of its dirty log",
	.options = filter_options,
	.run = run,
	.details =
"Begins an epoch, takes a report, and hands it over when all of it has come and\n"
"is right. Else the epoch ends, and the log stays as it is. The source is:\n"
"  guest    the guest is asked, where fprctl report --serve answers\n"
"  pagemap  pages that the host never populated; the guest is not asked. Where\n"
"           that is safe is in the NOTES of the manual page\n"
"  FILE     a bitmap in either format of fprctl bitmap; - is stdin\n"
"\n"
GUEST_ENDPOINT_HELP
"The answer of another VM's guest would lose pages. So a socket is refused\n"
"that was made by a process with another VM, and a CID that another VM's process\n"
"has on its command line, or that is not the one which this VM's process names.\n"
"fprctl cannot know the VM of a character device, of a socket that libvirt or\n"
"another program made for QEMU, of a VMM that names no guest-cid, and of\n"
"processes that it may not look at: there the caller has to know.\n"
"\n"
"--watch prints one line, or object, for each round. A round that fails because\n"
"the guest is away, late or wrong, or another ended the epoch, is one line on\n"
"stderr. It ends, and its epoch with it, on SIGINT and SIGTERM with status 0,\n"
"and with an error where no later round can do better: the VM is gone, the guest\n"
"refuses, its pages have another size, or its memory exceeds --max-memory. That\n"
"the VM is gone is noticed at once, unless it is an inherited descriptor.\n"
"\n"
"--exec runs COMMAND with its arguments, such as one that takes a snapshot, when\n"
"the pages are out of the log, so that the guest has the least time to use them\n"
"again. The epoch has ended then. The exit status is that of COMMAND, 128 and\n"
"the number of the signal that ended it, 127 if there is none, 126 if it cannot\n"
"be run. 125 is a failure of fprctl's own: COMMAND was not run, or it succeeded\n"
"and the confirmed pages could not be written, which stderr says. SIGINT and\n"
"SIGTERM are sent on to COMMAND.\n"
"\n"
"--confirmed keeps pages whose content nobody needed, in a report with the\n"
"epoch, if COMMAND succeeds. FILE must not be there: one that is left from\n"
"another round would be taken for this one's. They are disposable in older\n"
"snapshots only if nobody read the log between the epoch's begin and its end, as\n"
"COMMAND does later; see fprctl-punch(8). KVM does not count readings. It counts\n"
"flushes of the TLBs, and a reading that takes pages out of the log is one. So a\n"
"round in which there was one is done again, up to 5 times; then it is an error.\n"
"Not seen is a VMM that reads the log and clears it later\n"
"(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, as QEMU does): do not punch with its pages.\n"
"--trust-log says that nobody read the log: for a host that flushes all the\n"
"time, or does not tell.\n"
"\n"
"A guest may send what it likes. It costs at most the time of --timeout, and one\n"
"bit a page of --max-memory.\n"
"\n"
"FILE must be younger than its epoch. A report that was asked for tells which\n"
"that is (fprctl report --epoch); for anything else --epoch does. Without both,\n"
"FILE must be a FIFO or a pipe, and is read after arming, as by set-bitmap.\n"
"\n"
VM_HELP,
	.notes =
"pagemap names the pages that the process of the VM has neither in memory nor in\n"
"swap, as /proc/PID/pagemap tells after the epoch began. Such a page reads as\n"
"zero. Nothing is lost only if whoever gets no copy of it has a page of zeros in\n"
"its place. That holds\n"
"  in the first pass of a migration to a destination whose memory is fresh;\n"
"  for the first snapshot of a VM, into files that read as zero where nothing was\n"
"    written.\n"
"It does not hold later: a page that was sent, and that the host has taken back\n"
"since (a balloon, free page reporting, virtio-mem, a reset), reads as zero here and\n"
"as what was sent there, and a guest may rely on the zeros. Nor does it hold\n"
"where the destination has an older copy of the memory. So pagemap is used only\n"
"with --zero-destination, and not with --watch.\n"
"\n"
"It does not see pages that the guest has freed, for the host keeps them populated.\n"
"\n"
"KVM does not tell where a VM's memory is; --map does, in ranges of guest-physical\n"
"address, address in the VM's process, and bytes. A wrong --map loses pages.\n"
"QEMU tells both: 'info mtree -f' in its monitor the guest-physical ranges of RAM,\n"
"'gpa2hva ADDRESS' where such a range begins in QEMU. Pages below 1 MiB are never\n"
"named. Ranges are refused that are not private anonymous memory, as\n"
"with memory-backend-file and memory-backend-memfd, or that a userfaultfd serves,\n"
"for there a page that is not populated may hold something; and so is a process\n"
"that is not known as the VM's own (" KVM_DEBUGFS ").\n",
	.examples =
"  fprctl filter 4321 --guest unix:/run/vm/report.sock --json\n"
"  fprctl filter 4321 --guest vsock:3:999 --watch 5\n"
"  fprctl filter 4321 --guest unix:/run/vm/report.sock --confirmed free.3 \\\n"
"  --exec take-snapshot diff3.mem\n"
"  fprctl filter 4321 --source report\n"
"  fprctl filter 4321 --source pagemap --zero-destination \\\n"
"  --map 1M:0x7f1200100000:1023M\n",
};
