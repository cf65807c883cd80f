// SPDX-License-Identifier: GPL-2.0-only
/* The VMs of a process, as /proc shows them. */
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli.h"
#include "status.h"
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

static bool is_number(const char *name)
{
	return isdigit((unsigned char)name[0]);
}

/* Whether a thread has a descriptor; true also if it cannot be looked at. */
static bool has_descriptors(pid_t thread)
{
	struct dirent *entry;
	bool found = false;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", thread);
	dir = opendir(path);
	if (!dir)
		return errno == EACCES || errno == EPERM;
	while (!found && (entry = readdir(dir)))
		found = is_number(entry->d_name);
	closedir(dir);
	return found;
}

pid_t proc_thread(pid_t pid)
{
	pid_t thread, found = pid;
	struct dirent *entry;
	char path[64];
	DIR *dir;

	if (has_descriptors(pid))
		return pid;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return pid;
	while (found == pid && (entry = readdir(dir))) {
		thread = atoi(entry->d_name);
		if (thread > 0 && thread != pid && has_descriptors(thread))
			found = thread;
	}
	closedir(dir);
	return found;
}

/* 0 or -1 with errno; @nr: out: descriptors of any kind. */
static int read_fds(struct proc_vms *vms, DIR *dir, size_t *nr)
{
	char path[64 + NAME_MAX];
	struct dirent *entry;
	int is_vm;

	while ((entry = readdir(dir))) {
		if (!is_number(entry->d_name))
			continue;
		++*nr;
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", vms->thread, entry->d_name);
		is_vm = proc_link_is_vm(path);
		/* One that was closed meanwhile is not a VM; of one that is hidden nothing is known. */
		if (is_vm < 0 && (errno == EACCES || errno == EPERM))
			return -1;
		if (is_vm > 0)
			add_fd(vms, atoi(entry->d_name));
	}
	return 0;
}

/* A process without any descriptor is one that has ended, or a thread of the kernel. */
static bool has_ended(pid_t pid)
{
	char path[64], line[256];
	const char *state = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return true;
	/* PID (NAME) STATE, where the name may hold anything. */
	if (fgets(line, sizeof(line), f))
		state = strrchr(line, ')');
	fclose(f);
	return state && (!strncmp(state, ") Z", 3) || !strncmp(state, ") X", 3));
}

int proc_vms_read(struct proc_vms *vms, pid_t pid)
{
	char path[64];
	size_t nr = 0;
	DIR *dir;
	int r;

	*vms = (struct proc_vms) { .thread = proc_thread(pid) };
	snprintf(path, sizeof(path), "/proc/%d/fd", vms->thread);
	dir = opendir(path);
	if (!dir)
		return -1;
	r = read_fds(vms, dir, &nr);
	closedir(dir);
	if (r) {
		proc_vms_release(vms);
		errno = EACCES;
		return -1;
	}
	if (!nr && has_ended(pid)) {
		errno = ESRCH;
		return -1;
	}
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

void proc_vms_take_same(struct proc_vms *vms, struct proc_vms *same)
{
	const pid_t thread = vms->thread;
	size_t i, nr = vms->nr;

	*same = (struct proc_vms) { .thread = thread };
	vms->nr = 0;
	for (i = 0; i < nr; i++) {
		int fd = vms->fd[i];

		if (!i || !syscall(SYS_kcmp, thread, thread, KCMP_FILE, same->fd[0], fd))
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
