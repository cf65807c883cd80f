// SPDX-License-Identifier: GPL-2.0-only
/* fprctl stats: what KVM tells of one VM and its filter. */
#include <err.h>
#include <unistd.h>

#include "kvm_debugfs.h"
#include "result.h"
#include "verbs.h"
#include "vm.h"
#include "vm_stats.h"

static enum fpr_status read_stats(const char *text, struct vm_stats *stats)
{
	enum fpr_status status;
	struct proc_vms vm;
	pid_t pid;
	int dir;

	status = vm_find(text, &pid, &vm);
	if (status)
		return status;
	dir = kvm_debugfs_open(pid, &vm);
	proc_vms_release(&vm);
	if (dir < 0)
		return kvm_debugfs_explain(text);
	if (vm_stats_read(dir, stats)) {
		warnx("%s: KVM counts nothing for the filter: load the modules of kvm-fpr", text);
		status = FPR_NO_FILTER;
	}
	close(dir);
	return status;
}

static enum fpr_status run(const struct cli_args *args)
{
	struct vm_stats stats = { 0 };
	enum fpr_status status = read_stats(args->operand[0], &stats);

	if (!status) {
		const struct result results[] = {
			{ "armed", "armed", NULL, stats.armed },
			{ "logging_memslots", "logging", "memslots", stats.logging },
			{ "mapped_pages", "mapped", "pages", stats.mapped },
			{ "epochs", "epochs begun", NULL, stats.epochs },
			{ "reported_pages", "reported", "pages", stats.reported },
			{ "touched_pages", "touched", "pages", stats.touched },
			{ "filtered_pages", "filtered", "pages", stats.filtered },
			{ "confirmed_pages", "confirmed", "pages", stats.confirmed },
			{ 0 }
		};

		result_print(stdout, results, args->option[OPT_JSON]);
	}
	return status;
}

static const struct cli_option stats_options[] = { CLI_JSON_OPTION, { 0 } };

const struct cli_verb stats_verb = {
	.name = "stats",
	.operands = "VM",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Print what KVM tells of a VM and its filter",
	.options = stats_options,
	.run = run,
	.details =
"It is read in " KVM_DEBUGFS ", which takes root. Now:\n"
"  armed          1 if there is an epoch whose reports are taken, else 0\n"
"  logging        memslots that log dirty pages\n"
"  mapped         pages of 4 KiB that KVM has mapped for the guest\n"
"Since the VM's beginning:\n"
"  epochs begun   how often the VM was armed\n"
"  reported       pages that reports named, each once a report\n"
"  touched        of those, pages written since ARM or no candidates\n"
"  filtered       pages that were dropped from the dirty log\n"
"  confirmed      pages whose content was disposable\n"
"\n"
"VM is PID or PID:FD, of the process that made the VM; see fprctl list.\n",
	.examples =
"  fprctl stats 4321 --json\n",
};
