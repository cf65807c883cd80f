// SPDX-License-Identifier: GPL-2.0-only
/* fprctl stats: what KVM tells of one VM and its filter. */
#include <err.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm_debugfs.h"
#include "outfile.h"
#include "result.h"
#include "verbs.h"
#include "vm.h"
#include "vm_stats.h"
#include "vm_table.h"

#define DEFAULT_COLUMNS	"pid,fd,armed,memslots,mapped,epochs,reported,touched,filtered,confirmed,name"
#define METRICS_MODE	0644

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

/* Statistics of one VM are lines; those of all VMs are a table. */
static const struct {
	const char *key;
	const char *label;
	const char *unit;
	size_t offset;
} all_stats[] = {
	{ "armed", "armed", NULL, offsetof(struct vm_stats, armed) },
	{ "logging_memslots", "logging", "memslots", offsetof(struct vm_stats, logging) },
	{ "mapped_pages", "mapped", "pages", offsetof(struct vm_stats, mapped) },
	{ "epochs", "epochs begun", NULL, offsetof(struct vm_stats, epochs) },
	{ "reported_pages", "reported", "pages", offsetof(struct vm_stats, reported) },
	{ "touched_pages", "touched", "pages", offsetof(struct vm_stats, touched) },
	{ "filtered_pages", "filtered", "pages", offsetof(struct vm_stats, filtered) },
	{ "confirmed_pages", "confirmed", "pages", offsetof(struct vm_stats, confirmed) },
};

#define NR_STATS	(sizeof(all_stats) / sizeof(all_stats[0]))

static void fill_results(const struct vm_stats *stats, struct result *results)
{
	size_t i;

	for (i = 0; i < NR_STATS; i++)
		results[i] = (struct result) {
			all_stats[i].key, all_stats[i].label, all_stats[i].unit,
			*(const uint64_t *)((const char *)stats + all_stats[i].offset),
		};
}

static enum fpr_status run_one(const struct cli_args *args)
{
	struct result results[NR_STATS + 1] = { 0 };
	struct vm_stats stats = { 0 };
	enum fpr_status status = read_stats(args->operand[0], &stats);

	if (!status) {
		fill_results(&stats, results);
		result_print(stdout, results, args->option[OPT_JSON]);
	}
	return status;
}

static struct json_object *vm_json(const struct vm_entry *vm)
{
	struct result results[NR_STATS + 1] = { 0 };
	struct json_object *object;

	fill_results(&vm->stats, results);
	object = result_json(results);
	json_object_object_add(object, "pid", json_object_new_int(vm->pid));
	json_object_object_add(object, "fd", json_object_new_int(vm->fd));
	json_object_object_add(object, "name", vm->name[0] ?
			       json_object_new_string(vm->name) : NULL);
	return object;
}

static void print_json(const struct vm_list *list)
{
	struct json_object *object = json_object_new_object();
	struct json_object *vms = json_object_new_array();
	size_t i;

	for (i = 0; i < list->nr; i++) {
		if (list->vm[i].knows_stats)
			json_object_array_add(vms, vm_json(&list->vm[i]));
	}
	json_object_object_add(object, "vms", vms);
	json_object_object_add(object, "hidden_processes", json_object_new_uint64(list->nr_hidden));
	result_print_json(stdout, object);
}

/* A label of Prometheus escapes these two characters; the name has no other special ones. */
static void print_label(FILE *f, const char *text)
{
	for (; *text; text++)
		fprintf(f, strchr("\\\"", *text) ? "\\%c" : "%c", *text);
}

static void print_metrics(FILE *f, const struct vm_list *list)
{
	const struct vm_entry *vm;
	size_t i;

	for (i = 0; i < NR_STATS; i++) {
		/* The first ones are states, the others counters. */
		fprintf(f, "# TYPE kvm_fpr_%s %s\n", all_stats[i].key,
			all_stats[i].offset < offsetof(struct vm_stats, epochs) ? "gauge" : "counter");
		for (vm = list->vm; vm < list->vm + list->nr; vm++) {
			if (!vm->knows_stats)
				continue;
			fprintf(f, "kvm_fpr_%s{pid=\"%d\",fd=\"%d\",name=\"", all_stats[i].key,
				vm->pid, vm->fd);
			print_label(f, vm->name);
			fprintf(f, "\"} %llu\n", *(const unsigned long long *)
				((const char *)&vm->stats + all_stats[i].offset));
		}
	}
}

/* The file appears whole, for a collector may read it at any time; it may be another user. */
static enum fpr_status write_metrics(const char *path, const struct vm_list *list)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	enum fpr_status status;
	struct outfile out;

	if (!f)
		err(FPR_ERROR, "%s", path);
	print_metrics(f, list);
	if (fclose(f))
		err(FPR_ERROR, "%s", path);
	status = outfile_open(&out, path, len, 0);
	if (!status && out.tmp)
		fchmod(out.fd, METRICS_MODE);
	if (!status)
		status = outfile_commit(&out, text, len);
	free(text);
	return status;
}

static enum fpr_status run_all(const struct cli_args *args)
{
	const char *columns = args->option[OPT_OUTPUT], *path = args->option[OPT_PROMETHEUS];
	enum fpr_status status;
	struct vm_table table;
	struct vm_list list;

	status = vm_table_parse(&table, columns ? columns : DEFAULT_COLUMNS);
	if (!status && path)
		status = outfile_check(path);
	if (!status)
		status = vm_list_read(&list);
	if (status)
		return status;
	if (path)
		status = write_metrics(path, &list);
	else if (args->option[OPT_JSON])
		print_json(&list);
	else
		vm_table_print(&table, &list, !args->option[OPT_NO_HEADINGS]);
	if (!args->option[OPT_JSON])
		vm_list_say_hidden(&list);
	/* No VM was seen, but hidden processes may have some. */
	if (!status && !list.nr && list.nr_hidden)
		status = FPR_ERROR;
	vm_list_release(&list);
	return status;
}

static enum fpr_status run(const struct cli_args *args)
{
	bool all = args->option[OPT_ALL] || args->option[OPT_PROMETHEUS];

	if (all == args->nr_operands) {
		warnx("stats: give %s", all ? "no VM with --all or --prometheus" : "VM, or --all");
		return FPR_USAGE;
	}
	if (!all && (args->option[OPT_OUTPUT] || args->option[OPT_NO_HEADINGS])) {
		warnx("stats: --output and --no-headings are for the table of --all");
		return FPR_USAGE;
	}
	if (args->option[OPT_PROMETHEUS] && (args->option[OPT_JSON] || args->option[OPT_OUTPUT] ||
					     args->option[OPT_NO_HEADINGS])) {
		warnx("stats: --prometheus has a form of its own: leave out --json, --output and --no-headings");
		return FPR_USAGE;
	}
	return all ? run_all(args) : run_one(args);
}

static const struct cli_option stats_options[] = {
	{ OPT_ALL, "all", NULL, "of all VMs of this machine, one a line" },
	{ OPT_OUTPUT, "output", "COLUMNS", "the columns of that table, in their order" },
	{ OPT_NO_HEADINGS, "no-headings", NULL, "leave out the line above the columns" },
	{ OPT_PROMETHEUS, "prometheus", "FILE", "of all, as metrics for node_exporter, - for stdout" },
	CLI_JSON_OPTION,
	{ 0 }
};

const struct cli_verb stats_verb = {
	.name = "stats",
	.operands = "[VM]",
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
"  filtered       pages that were taken out of the dirty log\n"
"  confirmed      pages whose content was disposable\n"
"\n"
"VM is PID or PID:FD, of the process that made the VM; see fprctl list.\n"
"\n"
VM_TABLE_HELP
"\n"
"--prometheus writes metrics kvm_fpr_..., with the keys that --json has, for the\n"
"textfile collector of node_exporter. FILE is replaced when it is complete, and\n"
"may be read by all. VMs of which KVM tells nothing are left out.\n",
	.examples =
"  fprctl stats 4321 --json\n"
"  fprctl stats --all --output name,filtered\n"
"  fprctl stats --prometheus /var/lib/prometheus/node-exporter/kvm_fpr.prom\n",
};
