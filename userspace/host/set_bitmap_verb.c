// SPDX-License-Identifier: GPL-2.0-only
/* fprctl set-bitmap: arm, take a bitmap or a report, hand it over. */
#include <err.h>
#include <linux/kvm_fpr.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bitmap.h"
#include "filter.h"
#include "outfile.h"
#include "result.h"
#include "stop.h"
#include "verbs.h"
#include "vm.h"

/* Everything that set-bitmap was asked for, and what it has so far. */
struct set_bitmap {
	struct filter filter;
	struct report_source source;
	enum bitmap_format format;
	struct bitmap bitmap;
	struct filter_range range;
	const char *confirmed_path;	/* NULL: not wanted */
	uint64_t size;			/* 0: as large as what is read */
	bool armed;			/* here, rather than by the caller */
	uint64_t arm_us;
	uint64_t set_us;
};

static enum fpr_status open_source(const struct cli_args *args,
				   struct set_bitmap *set)
{
	const char *command = args->option[OPT_EXEC];
	const char *path = args->nr_operands > 1 ? args->operand[1] : NULL;

	if (!command == !path) {
		warnx("set-bitmap: give %s as the source of the bitmap",
		      command ? "--exec or FILE, not both," : "FILE, - or --exec COMMAND");
		return FPR_USAGE;
	}
	if (command) {
		report_exec(&set->source, command);
		return FPR_OK;
	}
	return set->range.epoch ? report_open(&set->source, path) :
				  report_open_fresh(&set->source, path);
}

static enum fpr_status parse_options(const struct cli_args *args,
				     struct set_bitmap *set)
{
	enum fpr_status status;

	status = cli_epoch(args, &set->range.epoch);
	if (!status)
		status = cli_bytes("--gpa", args->option[OPT_GPA],
				   &set->range.gpa);
	if (!status)
		status = cli_bytes("--size", args->option[OPT_SIZE], &set->size);
	if (!status && args->option[OPT_SIZE] && !set->size) {
		warnx("--size %s: a range has at least one page",
		      args->option[OPT_SIZE]);
		status = FPR_USAGE;
	}
	if (!status)
		status = bitmap_parse_format("--from", args->option[OPT_FROM], &set->format);
	set->confirmed_path = args->option[OPT_CONFIRMED];
	if (!status && set->confirmed_path)
		status = outfile_check(set->confirmed_path);
	return status;
}

static enum fpr_status open_vm(const struct cli_args *args,
			       struct set_bitmap *set)
{
	enum fpr_status status = filter_open(&set->filter, args->operand[0]);

	if (!status && set->confirmed_path && set->filter.probed &&
	    !(set->filter.flags & KVM_FPR_FLAG_CONFIRM)) {
		warnx("--confirmed: this kernel does not tell the confirmed pages: leave the option out");
		status = FPR_ERROR;
	}
	return status;
}

/* Begins an epoch, unless the caller has one. */
static enum fpr_status arm(struct set_bitmap *set)
{
	enum fpr_status status;

	if (set->range.epoch)
		return FPR_OK;
	set->armed = true;
	/* Asked before too: to arm would end another's epoch in vain. */
	status = report_check_fresh(&set->source);
	if (!status)
		status = filter_arm(&set->filter, &set->range.epoch, &set->arm_us);
	return status ? status : report_check_fresh(&set->source);
}

/* A report names its epoch and begins at the guest's first page; a raw bitmap says neither. */
static enum fpr_status check_report(const struct set_bitmap *set)
{
	const struct bitmap *bitmap = &set->bitmap;

	if (bitmap->format != BITMAP_REPORT)
		return FPR_OK;
	if (set->range.gpa) {
		warnx("--gpa 0x%llx: %s is a report, which says itself where its pages are: leave --gpa out",
		      (unsigned long long)set->range.gpa, set->source.name);
		return FPR_ERROR;
	}
	if (bitmap->tag && bitmap->tag != set->range.epoch) {
		warnx("%s: it is for epoch %llu, not %llu: take a new report", set->source.name,
		      (unsigned long long)bitmap->tag, (unsigned long long)set->range.epoch);
		return FPR_STALE;
	}
	return FPR_OK;
}

static enum fpr_status read_bitmap(struct set_bitmap *set)
{
	const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	struct filter_range *range = &set->range;
	struct bitmap *bitmap = &set->bitmap;
	enum fpr_status status;

	status = bitmap_read(bitmap, &set->source, set->format);
	if (!status)
		status = check_report(set);
	if (!status && set->size)
		status = bitmap_cut(bitmap, set->size / page_size);
	if (status)
		return status;

	range->report = bitmap->bits;
	range->size = bitmap->nr_pages * page_size;
	if (!range->size) {
		warnx("%s: it is about no memory", set->source.name);
		return FPR_ERROR;
	}
	if (range->size > UINT64_MAX - range->gpa) {
		warnx("--gpa 0x%llx: the bitmap reaches beyond the last guest address",
		      (unsigned long long)range->gpa);
		return FPR_ERROR;
	}
	return FPR_OK;
}

static enum fpr_status hand_over(struct set_bitmap *set)
{
	struct filter_range *range = &set->range;
	enum fpr_status status;
	struct outfile out;

	/* Until now a signal ends fprctl; from now on there is something to undo. */
	stop_catch();
	if (!set->confirmed_path)
		return filter_set(&set->filter, range, &stop_signal, &set->set_us);

	/* Zeroed: where the kernel wrote nothing, nothing is confirmed. */
	range->confirmed = calloc(1, set->bitmap.len);
	if (!range->confirmed) {
		warn("confirmed pages");
		return FPR_ERROR;
	}
	status = outfile_open(&out, set->confirmed_path, set->bitmap.len);
	if (!status) {
		status = filter_set(&set->filter, range, &stop_signal, &set->set_us);
		if (status)
			outfile_abandon(&out);
		else
			status = outfile_commit(&out, range->confirmed,
						set->bitmap.len);
	}
	free(range->confirmed);
	return status;
}

static void print_result(const struct set_bitmap *set, bool json)
{
	const struct filter_range *range = &set->range;
	const struct result results[] = {
		{ "epoch", "epoch", NULL, range->epoch },
		{ "reported_pages", "reported", "pages", bitmap_count(&set->bitmap) },
		{ "filtered_pages", "filtered (each address space counted)", "pages", range->nr_filtered },
		{ "confirmed_pages", "confirmed", "pages", range->nr_confirmed },
		{ "set_us", "set took", "us", set->set_us },
		/* The last one, as it is left out where nothing was armed. */
		{ set->armed ? "arm_us" : NULL, "arm took", "us", set->arm_us },
		{ 0 }
	};
	bool to_stdout = set->confirmed_path && outfile_is_stdout(set->confirmed_path);

	result_print(to_stdout ? stderr : stdout, results, json);
}

static enum fpr_status run(const struct cli_args *args)
{
	struct set_bitmap set = { 0 };
	enum fpr_status status;

	status = parse_options(args, &set);
	if (!status)
		status = open_source(args, &set);
	if (!status)
		status = open_vm(args, &set);
	if (!status)
		status = arm(&set);
	if (!status)
		status = read_bitmap(&set);
	if (!status)
		status = hand_over(&set);
	if (!status)
		print_result(&set, args->option[OPT_JSON]);
	bitmap_release(&set.bitmap);
	return status;
}

static const struct cli_option set_bitmap_options[] = {
	{ OPT_EPOCH, "epoch", "N", "the bitmap was taken in epoch N; without it, arm first" },
	BITMAP_FROM_OPTION,
	{ OPT_GPA, "gpa", "A", "guest physical address of the first page (default 0)" },
	{ OPT_SIZE, "size", "S", "bytes of guest memory, to cut the bitmap's last word" },
	{ OPT_CONFIRMED, "confirmed", "FILE", "write the bitmap of confirmed pages, - for stdout" },
	{ OPT_EXEC, "exec", "COMMAND", "take the bitmap from the output of a shell command" },
	CLI_JSON_OPTION,
	{ 0 }
};

const struct cli_verb set_bitmap_verb = {
	.name = "set-bitmap",
	.operands = "VM [FILE|-]",
	.min_operands = 1,
	.max_operands = 2,
	.summary = "Drop from the dirty log what a bitmap says is free",
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
"  a regular file  is always refused.\n"
"With --epoch any file is read, and it is for the caller to know that the\n"
"bitmap was taken in that epoch; a report that names another one is refused.\n"
"\n"
"All is read to its end before any of it is handed over. Confirmed are\n"
"the pages whose content is disposable; --confirmed replaces FILE when all went\n"
"well, and with - the result goes to stderr. It is raw, from --gpa on. Where\n"
"fprctl is stopped half way, the pages done by then stay dropped, which is safe,\n"
"and FILE is left alone.\n"
"\n"
VM_HELP,
	.examples =
"  fprctl set-bitmap 4321 --exec 'ssh guest free-bitmap' --json\n"
"  E=$(fprctl arm 4321 --json | jq .epoch)\n"
"  ssh guest free-bitmap >bitmap\n"
"  fprctl set-bitmap 4321 --epoch $E --confirmed done bitmap\n",
};
