// SPDX-License-Identifier: GPL-2.0-only
/* The VMs of this machine, as far as they can be seen. */
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "kvm_debugfs.h"
#include "proc_cmdline.h"
#include "proc_vms.h"
#include "vm_list.h"

/* Of kernel threads and of threads that have ended there is none. */
static bool read_memory(pid_t thread, uint64_t *kib)
{
	char path[64], line[256];
	bool found = false;
	const char *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", thread);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "VmRSS:", 6))
			found = !cli_number(line + 6 + strspn(line + 6, " \t"), &end, kib);
	}
	fclose(f);
	return found;
}

/* Up to @size - 1 characters; what a terminal would obey is left out. */
static void copy_shown(char *to, size_t size, const char *from, size_t len)
{
	size_t i;

	for (i = 0; i < size - 1 && i < len; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[i] = '\0';
}

/* 0, or -1 if the process has ended. */
static int read_program(pid_t thread, char *program)
{
	char path[64], target[PATH_MAX + 1];
	const char *base;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/exe", thread);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0) {
		program[0] = '\0';
		return errno == ENOENT || errno == ESRCH ? -1 : 0;
	}
	target[len] = '\0';
	base = strrchr(target, '/');
	base = base ? base + 1 : target;
	copy_shown(program, VM_PROGRAM_MAX, base, strlen(base));
	return 0;
}

/* The value of "-name NAME,..." or "-name guest=NAME,...". */
static void read_name(pid_t thread, char *name)
{
	struct proc_cmdline cmdline = proc_cmdline_read(thread);
	const char *word = NULL, *guest;

	do
		word = proc_cmdline_next(&cmdline, word);
	while (word && strcmp(word, "-name") && strcmp(word, "--name"));
	word = word ? proc_cmdline_next(&cmdline, word) : NULL;
	if (word) {
		guest = strstr(word, "guest=");
		if (guest && (guest == word || guest[-1] == ','))
			word = guest + strlen("guest=");
		copy_shown(name, VM_NAME_MAX, word, strcspn(word, ","));
	}
	free(cmdline.text);
}

static void read_stats(struct vm_entry *entry, const struct proc_vms *vm)
{
	int dir = kvm_debugfs_open(entry->pid, vm);

	if (dir < 0)
		return;
	entry->knows_stats = !vm_stats_read(dir, &entry->stats);
	close(dir);
}

static void add_vm(struct vm_list *list, pid_t pid, const struct proc_vms *vm)
{
	struct vm_entry *grown, entry = { .pid = pid, .fd = vm->fd[0] };

	if (read_program(vm->thread, entry.program))
		return;
	read_name(vm->thread, entry.name);
	entry.knows_memory = read_memory(vm->thread, &entry.memory_kib);
	read_stats(&entry, vm);

	grown = realloc(list->vm, (list->nr + 1) * sizeof(*grown));
	if (!grown)
		err(FPR_ERROR, "list of VMs");
	list->vm = grown;
	list->vm[list->nr++] = entry;
}

static void add_process(void *opaque, pid_t pid)
{
	struct vm_list *list = opaque;
	struct proc_vms vms, same;
	uint64_t memory;

	if (proc_vms_read(&vms, pid)) {
		/* Without memory there is no VM either. */
		if ((errno == EACCES || errno == EPERM) && read_memory(proc_thread(pid), &memory))
			list->nr_hidden++;
		return;
	}
	while (vms.nr) {
		proc_vms_take_same(&vms, &same);
		add_vm(list, pid, &same);
		proc_vms_release(&same);
	}
	proc_vms_release(&vms);
}

static int compare_entries(const void *a, const void *b)
{
	const struct vm_entry *x = a, *y = b;

	return x->pid != y->pid ? x->pid - y->pid : x->fd - y->fd;
}

enum fpr_status vm_list_read(struct vm_list *list)
{
	*list = (struct vm_list) { 0 };
	if (proc_for_each(add_process, list)) {
		warn("/proc");
		return FPR_ERROR;
	}
	if (list->nr)
		qsort(list->vm, list->nr, sizeof(*list->vm), compare_entries);
	return FPR_OK;
}

void vm_list_say_hidden(const struct vm_list *list)
{
	if (list->nr_hidden)
		warnx("processes that cannot be looked at and may have VMs: %zu: it takes CAP_SYS_PTRACE in their user namespace to see all",
		      list->nr_hidden);
}

void vm_list_release(struct vm_list *list)
{
	free(list->vm);
	*list = (struct vm_list) { 0 };
}
