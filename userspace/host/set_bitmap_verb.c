// SPDX-License-Identifier: GPL-2.0-only
/* fprctl set-bitmap: a round with a file or a command. */
#include <err.h>
#include <stdio.h>

#include "source_file.h"
#include "verbs.h"
#include "vm.h"

static enum fpr_status choose_source(const struct cli_args *args, struct source_file *file)
{
	file->command = args->option[OPT_EXEC];
	file->path = args->nr_operands > 1 ? args->operand[1] : NULL;
	if (!file->command != !file->path)
		return FPR_OK;
	warnx("set-bitmap: give %s as the source of the bitmap",
	      file->command ? "--exec or FILE, not both," : "FILE, - or --exec COMMAND");
	return FPR_USAGE;
}

static enum fpr_status parse_options(const struct cli_args *args, struct source_file *file,
				     uint64_t *epoch)
{
	enum fpr_status status;

	status = cli_epoch(args, epoch);
	if (!status)
		status = cli_bytes("--gpa", args->option[OPT_GPA], &file->gpa);
	if (!status)
		status = cli_bytes("--size", args->option[OPT_SIZE], &file->size);
	if (!status && args->option[OPT_SIZE] && !file->size) {
		warnx("--size %s: a range has at least one page", args->option[OPT_SIZE]);
		status = FPR_USAGE;
	}
	if (!status)
		status = bitmap_parse_format("--from", args->option[OPT_FROM], &file->format);
	if (!status)
		status = cli_seconds("--timeout", args->option[OPT_TIMEOUT], &file->timeout_s);
	file->confirmed_path = args->option[OPT_CONFIRMED];
	if (!status && file->confirmed_path)
		status = outfile_check(file->confirmed_path);
	return status ? status : choose_source(args, file);
}

static enum fpr_status run(const struct cli_args *args)
{
	struct filter_round round = { 0 };
	struct source_file file = { 0 };
	struct filter filter;
	enum fpr_status status;
	bool to_stdout;

	status = parse_options(args, &file, &round.range.epoch);
	if (!status)
		status = source_file_open(&file, &round.range.epoch);
	if (!status)
		status = filter_open(&filter, args->operand[0]);
	if (!status && file.confirmed_path)
		status = filter_check_confirm(&filter);
	if (!status)
		status = filter_round_run(&filter, &file_source, &file, &round);
	to_stdout = file.confirmed_path && outfile_is_stdout(file.confirmed_path);
	if (!status)
		filter_round_print(to_stdout ? stderr : stdout, &round, args->option[OPT_JSON],
				   false);
	source_file_release(&file);
	return status;
}

static const struct cli_option set_bitmap_options[] = {
	{ OPT_EPOCH, "epoch", "N", "the bitmap was taken in epoch N; without it, arm first" },
	BITMAP_FROM_OPTION,
	{ OPT_GPA, "gpa", "A", "guest physical address of the first page (default 0)" },
	{ OPT_SIZE, "size", "S", "bytes of guest memory, to cut the bitmap's last word" },
	{ OPT_CONFIRMED, "confirmed", "FILE", "write the bitmap of confirmed pages, - for stdout" },
	{ OPT_EXEC, "exec", "COMMAND", "take the bitmap from the output of a shell command" },
	BITMAP_TIMEOUT_OPTION,
	CLI_JSON_OPTION,
	{ 0 }
};

const struct cli_verb set_bitmap_verb = {
	.name = "set-bitmap",
	.operands = "VM [FILE|-]",
	.min_operands = 1,
	.max_operands = 2,
	.summary = "Take out of the dirty log what a bitmap says is free",
	.options = set_bitmap_options,
	.run = run,
	.details =
"FILE, or what COMMAND prints, is in one of two formats:\n"
"  raw      a bitmap in 64-bit little-endian words: bit n says that page n from\n"
"           --gpa on was free at some instant after the epoch began\n"
"  report   what fprctl report writes: it has checksums, may name its epoch, and\n"
"           begins at the guest's first page, so it is refused with --gpa\n"
"Without --from what begins as a report does is one, or is refused.\n"
"Numbers of bytes may be written as 0x100000, 4096K, 1M, 2G or 1T.\n"
"\n"
"What is older than its epoch loses pages: it names pages that the guest has\n"
"written since, unseen. So without --epoch, fprctl arms first and then reads:\n"
"  --exec COMMAND  is started by /bin/sh only after that. If it fails, nothing\n"
"                  is handed over.\n"
"  a FIFO          is opened only after that: 'producer >fifo' waits for it,\n"
"                  unless something else has the FIFO open already.\n"
"  -, a pipe, socket or device   is refused if something can be read from it\n"
"                  before. That is all that can be seen from here: a producer\n"
"                  that was started earlier must itself wait with its bitmap.\n"
"  a regular file  is refused, unless it is a report that names its epoch.\n"
"With --epoch any file is read, and it is for the caller to know that the\n"
"bitmap was taken in that epoch; a report that names another one is refused.\n"
"\n"
"All is read to its end before any of it is handed over. Confirmed are\n"
"the pages whose content is disposable; --confirmed replaces FILE when all went\n"
"well, and with - the result goes to stderr. It is raw, from --gpa on. Where\n"
"fprctl is stopped half way, the pages done by then stay out, which is safe,\n"
"and FILE is left alone. An epoch that was begun here ends if anything fails.\n"
"\n"
VM_HELP,
	.examples =
"  fprctl set-bitmap 4321 --exec 'ssh guest free-bitmap' --json\n"
"  E=$(fprctl arm 4321 --json | jq .epoch)\n"
"  ssh guest free-bitmap >bitmap\n"
"  fprctl set-bitmap 4321 --epoch $E --confirmed done bitmap\n",
};
