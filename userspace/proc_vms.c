// SPDX-License-Identifier: GPL-2.0-only
/* The VMs of a process, as /proc shows them. */
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli.h"
#include "fprctl.h"
#include "proc_vms.h"

int proc_link_is_vm(const char *path)
{
	char target[sizeof(PROC_VM_LINK) + 1];
	ssize_t len = readlink(path, target, sizeof(target));

	if (len < 0)
		return -1;
	return len == sizeof(PROC_VM_LINK) - 1 && !memcmp(target, PROC_VM_LINK, (size_t)len);
}

static void add_fd(struct proc_vms *vms, int fd)
{
	int *grown = realloc(vms->fd, (vms->nr + 1) * sizeof(*grown));

	if (!grown)
		err(FPR_ERROR, "list of descriptors");
	vms->fd = grown;
	vms->fd[vms->nr++] = fd;
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int proc_vms_read(struct proc_vms *vms, pid_t pid)
{
	char path[64 + NAME_MAX];
	struct dirent *entry;
	DIR *dir;

	*vms = (struct proc_vms) { 0 };
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -1;

	while ((entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, entry->d_name);
		/* A descriptor that was closed meanwhile is not a VM. */
		if (proc_link_is_vm(path) == 1)
			add_fd(vms, atoi(entry->d_name));
	}
	closedir(dir);
	if (vms->nr)
		qsort(vms->fd, vms->nr, sizeof(*vms->fd), compare_fds);
	return 0;
}

int proc_for_each(void (*visit)(void *opaque, pid_t pid), void *opaque)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	uint64_t pid;

	if (!dir)
		return -1;
	while ((entry = readdir(dir))) {
		if (!cli_number(entry->d_name, NULL, &pid))
			visit(opaque, (pid_t)pid);
	}
	closedir(dir);
	return 0;
}

void proc_vms_take_same(struct proc_vms *vms, pid_t pid, struct proc_vms *same)
{
	size_t i, nr = vms->nr;

	*same = (struct proc_vms) { 0 };
	vms->nr = 0;
	for (i = 0; i < nr; i++) {
		int fd = vms->fd[i];

		if (!i || !syscall(SYS_kcmp, pid, pid, KCMP_FILE, same->fd[0], fd))
			add_fd(same, fd);
		else
			vms->fd[vms->nr++] = fd;
	}
}

void proc_vms_release(struct proc_vms *vms)
{
	free(vms->fd);
	*vms = (struct proc_vms) { 0 };
}
