// SPDX-License-Identifier: GPL-2.0-only
/* fprctl list: the VMs of this machine. */
#include <json-c/json.h>
#include <stdio.h>

#include "kvm_debugfs.h"
#include "result.h"
#include "verbs.h"
#include "vm_list.h"
#include "vm_table.h"

#define DEFAULT_COLUMNS	"pid,fd,program,memory,logging,armed,filtered,name"

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
	json_object_object_add(object, "name", vm->name[0] ?
			       json_object_new_string(vm->name) : NULL);
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
	const char *columns = args->option[OPT_OUTPUT];
	struct vm_table table;
	struct vm_list list;
	enum fpr_status status;

	status = vm_table_parse(&table, columns ? columns : DEFAULT_COLUMNS);
	if (!status)
		status = vm_list_read(&list);
	if (status)
		return status;
	if (args->option[OPT_JSON]) {
		print_json(&list);
	} else {
		vm_table_print(&table, &list, !args->option[OPT_NO_HEADINGS]);
		vm_list_say_hidden(&list);
	}
	/* No VM was seen, but hidden processes may have some. */
	if (!list.nr && list.nr_hidden)
		status = FPR_ERROR;
	vm_list_release(&list);
	return status;
}

static const struct cli_option list_options[] = {
	{ OPT_OUTPUT, "output", "COLUMNS", "the columns of the table, in their order" },
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
"taken out of the dirty log since the VM began. These three are read in\n"
KVM_DEBUGFS ". NAME is what the process has on its command line\n"
"behind -name, as QEMU has it and libvirt gives it.\n"
"\n"
VM_TABLE_HELP
"In JSON, which has the same objects whatever --output says, it is null.\n"
"\n"
"A process that inherited or was given a VM is listed like the one that made it,\n"
"but without these three.\n"
"\n"
"Looking at other users' processes needs the right to ptrace them. Processes\n"
"that cannot be looked at are counted, on stderr or as hidden_processes.\n",
	.examples =
"  fprctl list\n"
"  fprctl list --output name,pid --no-headings\n"
"  fprctl list --json | jq '.vms[] | select(.logging).pid'\n",
};
