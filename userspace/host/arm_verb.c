// SPDX-License-Identifier: GPL-2.0-only
/* fprctl arm and disarm: begin an epoch, and end it. */
#include <stddef.h>

#include "filter.h"
#include "result.h"
#include "verbs.h"
#include "vm.h"

static enum fpr_status run_arm(const struct cli_args *args)
{
	struct result results[] = {
		{ "epoch", "epoch", NULL, 0 },
		{ "arm_us", "arm took", "us", 0 },
		{ 0 }
	};
	struct filter filter;
	enum fpr_status status;

	status = filter_open(&filter, args->operand[0]);
	if (!status)
		status = filter_arm(&filter, &results[0].value,
				    &results[1].value);
	if (!status)
		result_print(stdout, results, args->option[OPT_JSON]);
	return status;
}

static const struct cli_option arm_options[] = { CLI_JSON_OPTION, { 0 } };

const struct cli_verb arm_verb = {
	.name = "arm",
	.operands = "VM",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Begin an epoch of a VM and print its number",
	.options = arm_options,
	.run = run_arm,
	.details =
"Only a report taken after this returned may be handed over with the epoch's\n"
"number. An earlier epoch of the VM ends.\n"
"\n"
VM_HELP,
	.examples =
"  fprctl arm 4321            the VM of process 4321\n"
"  fprctl arm 4321:12         its descriptor 12\n"
"  fprctl arm fd:3 --json     an inherited descriptor\n",
};

static enum fpr_status run_disarm(const struct cli_args *args)
{
	struct result results[] = {
		{ "disarm_us", "disarm took", "us", 0 },
		{ 0 }
	};
	struct filter filter;
	enum fpr_status status;
	uint64_t epoch;

	status = cli_epoch(args, &epoch);
	if (!status)
		status = filter_open(&filter, args->operand[0]);
	if (!status)
		status = filter_disarm(&filter, epoch, &results[0].value);
	if (!status)
		result_print(stdout, results, args->option[OPT_JSON]);
	return status;
}

static const struct cli_option disarm_options[] = {
	{ OPT_EPOCH, "epoch", "N", "end it only if it is epoch N" },
	CLI_JSON_OPTION,
	{ 0 }
};

const struct cli_verb disarm_verb = {
	.name = "disarm",
	.operands = "VM",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "End a VM's epoch: its reports are refused from now on",
	.options = disarm_options,
	.run = run_disarm,
	.details = VM_HELP,
	.examples =
"  fprctl disarm 4321\n"
"  fprctl disarm 4321 --epoch 12\n",
};
