// SPDX-License-Identifier: GPL-2.0-only
/* From the operand VM to a VM's file descriptor. */
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli.h"
#include "vm.h"

/* What KVM_CREATE_VM names its file, as a link in /proc/PID/fd shows it. */
#define VM_LINK		"anon_inode:kvm-vm"

/* Descriptors of one process that are VMs. */
struct vm_list {
	int *fd;
	size_t nr;
};

/* 1 if @path, below /proc, is a link to a VM, 0 if not, or -1 with errno. */
static int is_vm_link(const char *path)
{
	char target[sizeof(VM_LINK) + 1];
	ssize_t len = readlink(path, target, sizeof(target));

	if (len < 0)
		return -1;
	return len == sizeof(VM_LINK) - 1 && !memcmp(target, VM_LINK, (size_t)len);
}

static int own_fd_is_vm(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return is_vm_link(path);
}

/* -1 with errno if the process can not be looked at. */
static int list_vms(pid_t pid, struct vm_list *list)
{
	char path[64 + NAME_MAX];
	struct dirent *entry;
	int *grown;
	DIR *dir;

	*list = (struct vm_list) { 0 };
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -1;

	while ((entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, entry->d_name);
		/* A descriptor that was closed meanwhile is not a VM. */
		if (is_vm_link(path) != 1)
			continue;
		grown = realloc(list->fd, (list->nr + 1) * sizeof(*grown));
		if (!grown)
			err(FPR_ERROR, "list of descriptors");
		list->fd = grown;
		list->fd[list->nr++] = atoi(entry->d_name);
	}
	closedir(dir);
	return 0;
}

static enum fpr_status own_vm(int fd, int *vm_fd)
{
	int is_vm = own_fd_is_vm(fd);

	if (is_vm < 0) {
		if (errno == ENOENT)
			warnx("fd:%d: not an open descriptor: pass it on, as in '%d<&...'",
			      fd, fd);
		else
			warn("/proc/self/fd/%d", fd);
		return FPR_ERROR;
	}
	if (!is_vm) {
		warnx("fd:%d: not a KVM VM: give the descriptor that KVM_CREATE_VM returned",
		      fd);
		return FPR_ERROR;
	}
	*vm_fd = fd;
	return FPR_OK;
}

static enum fpr_status open_process(pid_t pid, int *pidfd)
{
	*pidfd = pidfd_open(pid, 0);
	if (*pidfd >= 0)
		return FPR_OK;

	if (errno == ESRCH)
		warnx("no process %d: give the pid of a process that has a VM", pid);
	else if (errno == EINVAL || errno == ENOENT)
		warnx("%d is a thread: give its process", pid);
	else
		warn("process %d", pid);
	return FPR_ERROR;
}

/* A copy of the process's descriptor, checked to be a VM. */
static enum fpr_status take_vm(pid_t pid, int pidfd, int fd, int *vm_fd)
{
	int copy = pidfd_getfd(pidfd, fd, 0);

	if (copy < 0) {
		switch (errno) {
		case EPERM:
			warnx("not permitted to take descriptor %d of process %d: run as root, it needs the right to ptrace the process",
			      fd, pid);
			break;
		case EBADF:
			warnx("process %d has no descriptor %d: see /proc/%d/fd",
			      pid, fd, pid);
			break;
		case ESRCH:
			warnx("process %d has ended", pid);
			break;
		default:
			warn("descriptor %d of process %d", fd, pid);
		}
		return FPR_ERROR;
	}
	if (own_fd_is_vm(copy) != 1) {
		warnx("descriptor %d of process %d is not a KVM VM: see /proc/%d/fd for %s",
		      fd, pid, pid, VM_LINK);
		close(copy);
		return FPR_ERROR;
	}
	*vm_fd = copy;
	return FPR_OK;
}

/*
 * A VM has one struct file however often its descriptor was duplicated.  Where
 * the kernel has no kcmp() they count as different: better to ask than to
 * apply a report to the wrong VM.
 */
static bool is_same_vm(int a, int b)
{
	return !syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b);
}

static void refuse_several(pid_t pid, const struct vm_list *list)
{
	char *names = NULL;
	size_t len, i;
	FILE *f = open_memstream(&names, &len);

	if (!f)
		err(FPR_ERROR, "list of VMs");
	for (i = 0; i < list->nr; i++)
		fprintf(f, "%s%d:%d", i ? ", " : "", pid, list->fd[i]);
	fclose(f);
	warnx("process %d has several VMs: give one of %s", pid, names);
	free(names);
}

static enum fpr_status take_only_vm(pid_t pid, int pidfd,
				    const struct vm_list *list, int *vm_fd)
{
	enum fpr_status status;
	int other;
	size_t i;

	if (!list->nr) {
		warnx("process %d has no VM: give the process that runs the guest, or fd:FD",
		      pid);
		return FPR_ERROR;
	}
	status = take_vm(pid, pidfd, list->fd[0], vm_fd);
	for (i = 1; !status && i < list->nr; i++) {
		bool same;

		status = take_vm(pid, pidfd, list->fd[i], &other);
		if (status)
			break;
		same = is_same_vm(*vm_fd, other);
		close(other);
		if (!same) {
			refuse_several(pid, list);
			status = FPR_ERROR;
		}
	}
	return status;
}

static enum fpr_status only_vm_of(pid_t pid, int *vm_fd, int *pidfd)
{
	enum fpr_status status;
	struct vm_list list;

	/* Opened first: from here on the pid can not become another process. */
	status = open_process(pid, pidfd);
	if (status)
		return status;

	if (list_vms(pid, &list)) {
		if (errno == EACCES || errno == EPERM)
			warnx("not permitted to look at the descriptors of process %d: run as root, it needs the right to ptrace the process",
			      pid);
		else
			warn("/proc/%d/fd", pid);
		status = FPR_ERROR;
	} else {
		status = take_only_vm(pid, *pidfd, &list, vm_fd);
		free(list.fd);
	}
	return status;
}

static enum fpr_status vm_of(pid_t pid, int fd, int *vm_fd, int *pidfd)
{
	enum fpr_status status = open_process(pid, pidfd);

	return status ? status : take_vm(pid, *pidfd, fd, vm_fd);
}

static bool process_has_vm(pid_t pid)
{
	struct vm_list list;
	bool found;

	/* One that can not be looked at can not be meant either. */
	if (pid == getpid() || list_vms(pid, &list))
		return false;
	found = list.nr;
	free(list.fd);
	return found;
}

static enum fpr_status bare_number(int number, int *vm_fd, int *pidfd)
{
	if (own_fd_is_vm(number) == 1) {
		if (process_has_vm(number)) {
			warnx("%d is a VM's descriptor here and a process with a VM: give fd:%d or pid:%d",
			      number, number, number);
			return FPR_ERROR;
		}
		*vm_fd = number;
		return FPR_OK;
	}
	if (number && (!kill(number, 0) || errno == EPERM))
		return only_vm_of(number, vm_fd, pidfd);
	warnx("%d: neither a descriptor here that is a VM nor a process: see --help for VM",
	      number);
	return FPR_ERROR;
}

/* @end: as for cli_number(). */
static int parse_int(const char *text, const char **end, int *number)
{
	uint64_t n;

	if (cli_number(text, end, &n) || n > INT_MAX)
		return -1;
	*number = (int)n;
	return 0;
}

enum fpr_status vm_open(const char *text, int *fd, int *pidfd)
{
	bool is_pid = !strncmp(text, "pid:", 4);
	const char *end;
	int pid, number;

	*pidfd = -1;
	if (!strncmp(text, "fd:", 3)) {
		if (!parse_int(text + 3, NULL, &number))
			return own_vm(number, fd);
	} else if (!parse_int(text + (is_pid ? 4 : 0), &end, &pid)) {
		if (*end == ':' && pid && !parse_int(end + 1, NULL, &number))
			return vm_of(pid, number, fd, pidfd);
		if (!*end && is_pid && pid)
			return only_vm_of(pid, fd, pidfd);
		if (!*end && !is_pid)
			return bare_number(pid, fd, pidfd);
	}
	warnx("%s: not a VM: give PID, PID:FD, fd:FD or pid:PID", text);
	return FPR_USAGE;
}
