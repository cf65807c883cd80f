// SPDX-License-Identifier: GPL-2.0-only
/* fprctl list: the VMs of this machine. */
#include <err.h>
#include <json-c/json.h>
#include <stdio.h>

#include "kvm_debugfs.h"
#include "result.h"
#include "verbs.h"
#include "vm_list.h"

#define NUMBER_MAX	24

/* @text has room for NUMBER_MAX characters. */
static const char *known(char *text, bool is_known, uint64_t value)
{
	if (!is_known)
		return "-";
	snprintf(text, NUMBER_MAX, "%llu", (unsigned long long)value);
	return text;
}

static const char *logging(const struct vm_entry *vm)
{
	if (!vm->knows_stats)
		return "-";
	return vm->stats.logging ? "on" : "off";
}

static const char *armed(const struct vm_entry *vm)
{
	if (!vm->knows_stats)
		return "-";
	return vm->stats.armed ? "yes" : "no";
}

static void print_table(const struct vm_list *list, bool headings)
{
	char memory[NUMBER_MAX], filtered[NUMBER_MAX];
	const struct vm_entry *vm;

	if (headings)
		printf("%7s %4s %-20s %10s %-7s %-5s %10s\n", "PID", "FD", "PROGRAM", "MEMORY/MiB",
		       "LOGGING", "ARMED", "FILTERED");
	for (vm = list->vm; vm < list->vm + list->nr; vm++)
		printf("%7d %4d %-20s %10s %-7s %-5s %10s\n", vm->pid, vm->fd,
		       vm->program[0] ? vm->program : "-",
		       known(memory, vm->knows_memory, vm->memory_kib / 1024), logging(vm),
		       armed(vm),
		       known(filtered, vm->knows_stats, vm->stats.filtered));
}

static struct json_object *number_json(bool is_known, uint64_t value)
{
	return is_known ? json_object_new_uint64(value) : NULL;
}

static struct json_object *vm_json(const struct vm_entry *vm)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "pid", json_object_new_int(vm->pid));
	json_object_object_add(object, "fd", json_object_new_int(vm->fd));
	json_object_object_add(object, "program", vm->program[0] ?
			       json_object_new_string(vm->program) : NULL);
	json_object_object_add(object, "memory_bytes",
			       number_json(vm->knows_memory, vm->memory_kib * 1024));
	json_object_object_add(object, "logging", vm->knows_stats ?
			       json_object_new_boolean(vm->stats.logging) : NULL);
	json_object_object_add(object, "armed", vm->knows_stats ?
			       json_object_new_boolean(vm->stats.armed) : NULL);
	json_object_object_add(object, "epochs", number_json(vm->knows_stats, vm->stats.epochs));
	json_object_object_add(object, "filtered_pages",
			       number_json(vm->knows_stats, vm->stats.filtered));
	return object;
}

static void print_json(const struct vm_list *list)
{
	struct json_object *object = json_object_new_object();
	struct json_object *vms = json_object_new_array();
	const struct vm_entry *vm;

	for (vm = list->vm; vm < list->vm + list->nr; vm++)
		json_object_array_add(vms, vm_json(vm));
	json_object_object_add(object, "vms", vms);
	json_object_object_add(object, "hidden_processes", json_object_new_uint64(list->nr_hidden));
	result_print_json(stdout, object);
}

static enum fpr_status run(const struct cli_args *args)
{
	struct vm_list list;
	enum fpr_status status = vm_list_read(&list);

	if (status)
		return status;
	if (args->option[OPT_JSON]) {
		print_json(&list);
	} else {
		print_table(&list, !args->option[OPT_NO_HEADINGS]);
		if (list.nr_hidden)
			warnx("processes that cannot be looked at and may have VMs: %zu: it takes CAP_SYS_PTRACE in their user namespace to see all",
			      list.nr_hidden);
	}
	/* Nothing was found, but that there is nothing was not found either. */
	if (!list.nr && list.nr_hidden)
		status = FPR_ERROR;
	vm_list_release(&list);
	return status;
}

static const struct cli_option list_options[] = {
	{ OPT_NO_HEADINGS, "no-headings", NULL, "leave out the line above the columns" },
	CLI_JSON_OPTION,
	{ 0 }
};

const struct cli_verb list_verb = {
	.name = "list",
	.summary = "List the VMs of this machine",
	.options = list_options,
	.run = run,
	.details =
"PID and FD name a VM to the other verbs. MEMORY is the resident memory of the\n"
"process, LOGGING whether any of the VM's memslots logs dirty pages, ARMED\n"
"whether there is an epoch whose reports are taken, FILTERED how many pages were\n"
"dropped from the dirty log since the VM began. These three are read in\n"
KVM_DEBUGFS ". What is not known is shown as -, or null in JSON.\n"
"\n"
"A process that inherited or was given a VM is listed like the one that made it,\n"
"but without these three.\n"
"\n"
"Looking at other users' processes needs the right to ptrace them. Processes\n"
"that cannot be looked at are counted, on stderr or as hidden_processes.\n",
	.examples =
"  fprctl list\n"
"  fprctl list --json | jq '.vms[] | select(.logging).pid'\n",
};
