// SPDX-License-Identifier: GPL-2.0-only
/* What KVM's debugfs says of a VM. */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli.h"
#include "kvm_debugfs.h"

/* "THREAD-FD", as KVM names the directory of a VM. */
static bool parse_name(const char *name, uint64_t *thread, uint64_t *fd)
{
	const char *rest;

	return !cli_number(name, &rest, thread) && *rest == '-' &&
	       !cli_number(rest + 1, NULL, fd);
}

static bool has_fd(const struct proc_vms *vm, uint64_t fd)
{
	size_t i;

	for (i = 0; i < vm->nr; i++) {
		if ((uint64_t)vm->fd[i] == fd)
			return true;
	}
	return false;
}

static bool has_thread(pid_t pid, uint64_t thread)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%llu", pid, (unsigned long long)thread);
	return !access(path, F_OK);
}

static bool is_vm(const char *name, pid_t pid, const struct proc_vms *vm)
{
	uint64_t thread, fd;

	return parse_name(name, &thread, &fd) && has_fd(vm, fd) && has_thread(pid, thread);
}

int kvm_debugfs_open(pid_t pid, const struct proc_vms *vm)
{
	DIR *dir = opendir(KVM_DEBUGFS);
	struct dirent *entry;
	int top, fd = -1;

	if (!dir)
		return -1;
	top = dirfd(dir);
	while (top >= 0 && fd < 0 && (entry = readdir(dir))) {
		if (is_vm(entry->d_name, pid, vm))
			fd = openat(top, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	closedir(dir);
	if (fd < 0)
		errno = ESRCH;
	return fd;
}

enum fpr_status kvm_debugfs_explain(const char *vm)
{
	if (errno == EACCES || errno == EPERM)
		warnx("not permitted to read " KVM_DEBUGFS ": run as root");
	else if (errno == ENOENT)
		warnx(KVM_DEBUGFS " does not exist: mount debugfs, and load kvm");
	else if (errno == ESRCH)
		warnx("%s: not in " KVM_DEBUGFS ", where KVM names a VM after the thread and the descriptor that created it: give the process that did, if it still has both",
		      vm);
	else
		warn(KVM_DEBUGFS);
	return FPR_ERROR;
}

bool kvm_debugfs_read(int dir, const char *name, uint64_t *value)
{
	char text[32];
	const char *end;
	ssize_t len;
	int fd;

	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return false;
	text[len] = '\0';
	return !cli_number(text, &end, value) && (*end == '\n' || !*end);
}
