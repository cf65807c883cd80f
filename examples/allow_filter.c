// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lets other processes use the free page filter on the VMs of a program that has never
 * heard of it:
 *
 *   LD_PRELOAD=/path/to/allow_filter.so PROGRAM...
 *
 * Each VM that the program makes gets KVM_FPR_CAP_FOREIGN.  Only the owner of a VM can
 * give it, so it has to come from inside the program.  It then takes no CAP_SYS_ADMIN
 * to filter that VM's dirty log, but it still takes the VM's descriptor: the right to
 * ptrace the program, or to be given the descriptor.
 */
#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <linux/kvm.h>
#include <linux/kvm_fpr.h>
#include <stdarg.h>

typedef int (*ioctl_fn)(int fd, unsigned long request, void *arg);

int ioctl(int fd, unsigned long request, ...);

/* Where there is no filter, the program runs as it would without us. */
static void allow(ioctl_fn real, int vm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_FREE_PAGE_FILTER,
		.args = { KVM_FPR_CAP_FOREIGN },
	};
	int saved = errno;

	if (real(vm, KVM_ENABLE_CAP, &cap))
		warn("allow_filter: others may not use the filter on this VM");
	errno = saved;
}

int ioctl(int fd, unsigned long request, ...)
{
	static ioctl_fn real;
	va_list ap;
	void *arg;
	int r;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "ioctl");
	r = real(fd, request, arg);
	if (request == KVM_CREATE_VM && r >= 0)
		allow(real, r);
	return r;
}
