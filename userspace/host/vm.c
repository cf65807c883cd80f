// SPDX-License-Identifier: GPL-2.0-only
/* From the operand VM to a VM's file descriptor. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
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
#include "ptrace_right.h"
#include "stop.h"
#include "vm.h"

static int own_fd_is_vm(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return proc_link_is_vm(path);
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

static enum fpr_status open_process(pid_t pid, struct vm *vm)
{
	vm->pid = pid;
	vm->pidfd = pidfd_open(pid, 0);
	if (vm->pidfd >= 0)
		return FPR_OK;

	if (errno == ESRCH)
		warnx("no process %d: give one that fprctl list shows", pid);
	else if (errno == EINVAL || errno == ENOENT)
		warnx("%d is a thread: give its process", pid);
	else
		warn("process %d", pid);
	return FPR_ERROR;
}

#ifndef PIDFD_THREAD
#define PIDFD_THREAD	O_EXCL
#endif

/* pidfd_getfd(), also where the main thread has ended and the process has not. */
static int get_fd(const struct vm *vm, int fd)
{
	int copy = pidfd_getfd(vm->pidfd, fd, 0);
	int thread_fd, error;
	pid_t thread;

	if (copy >= 0 || errno != ESRCH || stop_process_ended(vm->pidfd))
		return copy;
	thread = proc_thread(vm->pid);
	if (thread == vm->pid) {
		errno = ESRCH;
		return -1;
	}
	thread_fd = pidfd_open(thread, PIDFD_THREAD);
	if (thread_fd < 0) {
		/* EINVAL is what a kernel says that does not know the flag. */
		errno = errno == EINVAL ? EOPNOTSUPP : errno;
		return -1;
	}
	copy = pidfd_getfd(thread_fd, fd, 0);
	error = errno;
	close(thread_fd);
	errno = error;
	return copy;
}

static void explain_get_fd(const struct vm *vm, int fd)
{
	switch (errno) {
	case EPERM:
		warnx("not permitted to take descriptor %d of process %d: %s", fd, vm->pid,
		      ptrace_right_missing(true));
		break;
	case EBADF:
		warnx("process %d has no descriptor %d: see /proc/%d/fd", vm->pid, fd, vm->pid);
		break;
	case ESRCH:
		warnx("process %d has ended", vm->pid);
		break;
	case EOPNOTSUPP:
		warnx("process %d: its main thread has ended, and this kernel gives no descriptor of another thread: use Linux 6.9 or newer, or give fd:FD",
		      vm->pid);
		break;
	default:
		warn("descriptor %d of process %d", fd, vm->pid);
	}
}

/* A copy of the process's descriptor, checked to be a VM. */
static enum fpr_status take_vm(const struct vm *vm, int fd, int *vm_fd)
{
	int copy = get_fd(vm, fd);

	if (copy < 0) {
		explain_get_fd(vm, fd);
		return FPR_ERROR;
	}
	if (own_fd_is_vm(copy) != 1) {
		warnx("descriptor %d of process %d is not a KVM VM: see /proc/%d/fd for %s",
		      fd, vm->pid, vm->pid, PROC_VM_LINK);
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

static void refuse_several(pid_t pid, const struct proc_vms *vms)
{
	char *names = NULL;
	size_t len, i;
	FILE *f = open_memstream(&names, &len);

	if (!f)
		err(FPR_ERROR, "list of VMs");
	for (i = 0; i < vms->nr; i++)
		fprintf(f, "%s%d:%d", i ? ", " : "", pid, vms->fd[i]);
	fclose(f);
	warnx("process %d has several VMs: give one of %s", pid, names);
	free(names);
}

/* All of a process, at least one. */
static enum fpr_status read_vms(struct proc_vms *vms, pid_t pid)
{
	if (proc_vms_read(vms, pid)) {
		if (errno == EACCES || errno == EPERM)
			warnx("not permitted to look at the descriptors of process %d: %s", pid,
			      ptrace_right_missing(false));
		else if (errno == ESRCH)
			warnx("process %d has ended: give one that fprctl list shows", pid);
		else if (errno == ENOENT)
			warnx("no process %d: give one that fprctl list shows", pid);
		else
			warn("/proc/%d/fd", pid);
		return FPR_ERROR;
	}
	if (!vms->nr) {
		warnx("process %d has no VM: give one that fprctl list shows", pid);
		return FPR_ERROR;
	}
	return FPR_OK;
}

static enum fpr_status take_only_vm(struct vm *vm, const struct proc_vms *vms)
{
	enum fpr_status status;
	int other;
	size_t i;

	status = take_vm(vm, vms->fd[0], &vm->fd);
	for (i = 1; !status && i < vms->nr; i++) {
		bool same;

		status = take_vm(vm, vms->fd[i], &other);
		if (status)
			break;
		same = is_same_vm(vm->fd, other);
		close(other);
		if (!same) {
			refuse_several(vm->pid, vms);
			status = FPR_ERROR;
		}
	}
	return status;
}

static enum fpr_status only_vm_of(pid_t pid, struct vm *vm)
{
	enum fpr_status status;
	struct proc_vms vms;

	/* Opened first: from here on the pid cannot become another process. */
	status = open_process(pid, vm);
	if (status)
		return status;

	status = read_vms(&vms, pid);
	if (!status) {
		status = take_only_vm(vm, &vms);
		proc_vms_release(&vms);
	}
	return status;
}

static enum fpr_status vm_of(pid_t pid, int fd, struct vm *vm)
{
	enum fpr_status status = open_process(pid, vm);

	return status ? status : take_vm(vm, fd, &vm->fd);
}

static bool process_has_vm(pid_t pid)
{
	struct proc_vms vms;
	bool found;

	/* A process that we cannot look at cannot be meant: its VM would not be ours to take. */
	if (pid == getpid() || proc_vms_read(&vms, pid))
		return false;
	found = vms.nr;
	proc_vms_release(&vms);
	return found;
}

static enum fpr_status bare_number(int number, struct vm *vm)
{
	if (own_fd_is_vm(number) == 1) {
		if (process_has_vm(number)) {
			warnx("%d is a VM's descriptor here and a process with a VM: give fd:%d or pid:%d",
			      number, number, number);
			return FPR_ERROR;
		}
		vm->fd = number;
		return FPR_OK;
	}
	if (number && (!kill(number, 0) || errno == EPERM))
		return only_vm_of(number, vm);
	warnx("%d: there is no such process, and no such descriptor here that is a VM: give a PID that fprctl list shows",
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

/* What the operand VM can be. */
struct vm_name {
	enum { NAME_OWN_FD, NAME_PID, NAME_PID_FD, NAME_BARE } kind;
	int pid;	/* of NAME_BARE: the number */
	int fd;
};

static enum fpr_status parse_name(const char *text, struct vm_name *name)
{
	bool is_pid = !strncmp(text, "pid:", 4);
	const char *end;

	if (!strncmp(text, "fd:", 3)) {
		name->kind = NAME_OWN_FD;
		if (!parse_int(text + 3, NULL, &name->fd))
			return FPR_OK;
	} else if (!parse_int(text + (is_pid ? 4 : 0), &end, &name->pid)) {
		name->kind = *end ? NAME_PID_FD : is_pid ? NAME_PID : NAME_BARE;
		if (*end == ':' && name->pid && !parse_int(end + 1, NULL, &name->fd))
			return FPR_OK;
		if (!*end && (name->pid || !is_pid))
			return FPR_OK;
	}
	warnx("%s: not a VM: give PID, PID:FD, fd:FD or pid:PID", text);
	return FPR_USAGE;
}

enum fpr_status vm_open(const char *text, struct vm *vm)
{
	struct vm_name name;
	enum fpr_status status = parse_name(text, &name);

	*vm = (struct vm) { .fd = -1, .pidfd = -1 };
	if (status)
		return status;
	switch (name.kind) {
	case NAME_OWN_FD:
		return own_vm(name.fd, &vm->fd);
	case NAME_PID:
		return only_vm_of(name.pid, vm);
	case NAME_PID_FD:
		return vm_of(name.pid, name.fd, vm);
	case NAME_BARE:
		break;
	}
	return bare_number(name.pid, vm);
}

/* Leaves in @vms the descriptors of the VM that is @fd, too. */
static enum fpr_status choose_vm(struct proc_vms *vms, pid_t pid, int fd)
{
	struct proc_vms same;
	size_t i;

	while (vms->nr) {
		proc_vms_take_same(vms, &same);
		for (i = 0; i < same.nr; i++) {
			if (same.fd[i] == fd) {
				proc_vms_release(vms);
				*vms = same;
				return FPR_OK;
			}
		}
		proc_vms_release(&same);
	}
	warnx("descriptor %d of process %d is not a KVM VM: see /proc/%d/fd for %s",
	      fd, pid, pid, PROC_VM_LINK);
	return FPR_ERROR;
}

static enum fpr_status choose_only_vm(struct proc_vms *vms, pid_t pid)
{
	struct proc_vms all, same;
	bool is_only;

	proc_vms_take_same(vms, &same);
	is_only = !vms->nr;
	proc_vms_release(vms);
	*vms = same;
	if (is_only)
		return FPR_OK;
	if (!proc_vms_read(&all, pid)) {
		refuse_several(pid, &all);
		proc_vms_release(&all);
	}
	return FPR_ERROR;
}

enum fpr_status vm_find(const char *text, pid_t *pid, struct proc_vms *vm)
{
	struct vm_name name;
	enum fpr_status status = parse_name(text, &name);

	if (status)
		return status;
	if (name.kind == NAME_OWN_FD || (name.kind == NAME_BARE && own_fd_is_vm(name.pid) == 1)) {
		warnx("%s: an inherited descriptor does not tell whose VM it is: give PID or PID:FD",
		      text);
		return FPR_USAGE;
	}
	*pid = name.pid;
	status = read_vms(vm, *pid);
	if (status)
		return status;
	if (name.kind == NAME_PID_FD)
		status = choose_vm(vm, *pid, name.fd);
	else
		status = choose_only_vm(vm, *pid);
	if (status)
		proc_vms_release(vm);
	return status;
}
