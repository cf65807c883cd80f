// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls of the free page filter, and what their errors mean. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/kvm_fpr.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clock.h"
#include "filter.h"
#include "stop.h"

/* Cause and remedy of every error in linux/kvm_fpr.h but EFAULT, which fprctl gives no reason for. */
static const struct {
	int err;
	enum fpr_status status;
	const char *text;
} reasons[] = {
	{ EIO, FPR_ERROR,
	  "the VM is dead: its process ended or KVM gave it up" },
	{ EPERM, FPR_ERROR,
	  "not permitted: run fprctl with CAP_SYS_ADMIN in the initial user namespace, or let the VM's owner enable KVM_FPR_CAP_FOREIGN" },
	{ EOPNOTSUPP, FPR_ERROR,
	  "the VM's memory is private or encrypted, or on arm64 it is protected or has EL2: the filter cannot be used with it" },
	{ ENXIO, FPR_ERROR,
	  "the VM uses a dirty ring: the filter needs dirty bitmaps" },
	{ EINVAL, FPR_ERROR,
	  "the kernel refused an argument: kernel and fprctl may be of different versions" },
	{ ESTALE, FPR_STALE,
	  "the epoch is over, as another ARM or a DISARM came: arm again and take a new report" },
	{ ENOMEM, FPR_ERROR,
	  "the kernel has no memory for it: try again" },
	{ ENOTTY, FPR_NO_FILTER,
	  "this kernel has no free page filter: load the modules of kvm-fpr" },
	{ EINTR, FPR_ERROR,
	  "stopped by a signal: nothing was taken out of the dirty log" },
};

/* Again after each signal, but for one that is to end fprctl; -1 with EINTR then. */
static int call(int vm_fd, unsigned long request, void *arg)
{
	int r;

	do
		r = ioctl(vm_fd, request, arg);
	while (r && errno == EINTR && !stop_signal);
	return r;
}

static void on_alarm(int number)
{
	(void)number;
}

/* The same.  ARM may wait for as long as a vCPU waits for its memory, but not without a word. */
static int call_arm(int vm_fd, struct kvm_fpr_arm *arm)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	struct stop_notice notice = {
		.name = "arm",
		.what = "a vCPU whose memory does not come",
	};
	uint64_t began_us = clock_us();
	int r;

	sigaction(SIGALRM, &action, NULL);
	alarm(STOP_NOTICE_S);
	do {
		r = ioctl(vm_fd, KVM_FPR_ARM, arm);
		if (r && errno == EINTR)
			stop_notice_since(&notice, began_us);
	} while (r && errno == EINTR && !stop_signal);
	alarm(0);
	return r;
}

/* Says what went wrong with the ioctl @name; errno is its error. */
static enum fpr_status explain(const struct filter *filter, const char *name)
{
	size_t i;

	if (errno == EIO && !filter->probed) {
		warnx("%s: the VM is dead or this kernel has no free page filter: run fprctl with access to /dev/kvm to know",
		      name);
		return FPR_ERROR;
	}
	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].err == errno) {
			warnx("%s: %s", name, reasons[i].text);
			return reasons[i].status;
		}
	}
	warn("%s", name);
	return FPR_ERROR;
}

int filter_probe(uint32_t *flags)
{
	int fd, mask, saved;

	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	mask = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_FREE_PAGE_FILTER);
	saved = errno;
	close(fd);
	errno = saved;
	if (mask < 0)
		return -1;
	*flags = (uint32_t)mask;
	return 0;
}

enum fpr_status filter_open(struct filter *filter, const char *vm)
{
	enum fpr_status status;

	*filter = (struct filter) { 0 };
	status = vm_open(vm, &filter->vm);
	if (status)
		return status;
	filter->probed = !filter_probe(&filter->flags);
	if (filter->probed && !filter->flags) {
		errno = ENOTTY;
		return explain(filter, "/dev/kvm");
	}
	return FPR_OK;
}

enum fpr_status filter_check_confirm(const struct filter *filter)
{
	if (!filter->probed || filter->flags & KVM_FPR_CAP_CONFIRM)
		return FPR_OK;
	warnx("--confirmed: this kernel does not tell the confirmed pages: leave the option out");
	return FPR_ERROR;
}

enum fpr_status filter_arm(const struct filter *filter, uint64_t *epoch,
			   uint64_t *us)
{
	struct kvm_fpr_arm arm = { 0 };
	uint64_t start = clock_us();

	if (call_arm(filter->vm.fd, &arm))
		return explain(filter, "arm");
	*us = clock_us() - start;
	*epoch = arm.epoch;
	return FPR_OK;
}

/* Done, or -1 with errno; EINTR: a signal came before it was done. */
static int arm_all(int vm_fd, struct kvm_fpr_arm *arm)
{
	while (arm->size) {
		if (stop_signal) {
			errno = EINTR;
			return -1;
		}
		if (call_arm(vm_fd, arm))
			return -1;
	}
	return 0;
}

enum fpr_status filter_arm_candidates(const struct filter *filter, struct filter_range *range,
				      uint64_t *us)
{
	struct kvm_fpr_arm arm = {
		.flags = KVM_FPR_ARM_CANDIDATES,
		.gpa = range->gpa,
		.size = range->size,
		.candidates = (uintptr_t)range->report,
	};
	uint64_t start = clock_us();
	enum fpr_status status = FPR_OK;

	if (arm_all(filter->vm.fd, &arm)) {
		status = explain(filter, "arm");
		if (arm.epoch)
			filter_abandon(filter, arm.epoch);
	}
	*us = clock_us() - start;
	range->epoch = arm.epoch;
	return status;
}

enum fpr_status filter_disarm(const struct filter *filter, uint64_t epoch,
			      uint64_t *us)
{
	struct kvm_fpr_disarm disarm = { .epoch = epoch };
	uint64_t start = clock_us();

	if (call(filter->vm.fd, KVM_FPR_DISARM, &disarm)) {
		if (errno == ESTALE) {
			warnx("disarm: %llu is not the VM's current epoch: leave out --epoch to end whichever there is",
			      (unsigned long long)epoch);
			return FPR_STALE;
		}
		return explain(filter, "disarm");
	}
	*us = clock_us() - start;
	return FPR_OK;
}

void filter_say_gone(void)
{
	warnx("filter: the VM is gone: its process has ended");
}

enum fpr_status filter_check(const struct filter *filter)
{
	/* One that never is: all that can be wrong with the VM is found first. */
	struct kvm_fpr_disarm disarm = { .epoch = UINT64_MAX };

	if (stop_process_ended(filter->vm.pidfd)) {
		filter_say_gone();
		return FPR_ERROR;
	}
	if (call(filter->vm.fd, KVM_FPR_DISARM, &disarm) && errno != ESTALE)
		return explain(filter, "filter");
	return FPR_OK;
}

void filter_abandon(const struct filter *filter, uint64_t epoch)
{
	struct kvm_fpr_disarm disarm = { .epoch = epoch };
	int r;

	/* Also after a signal that ends fprctl. */
	do
		r = ioctl(filter->vm.fd, KVM_FPR_DISARM, &disarm);
	while (r && errno == EINTR);
}

/* Done, or -1 with errno; EINTR: a signal came before it was done. */
static int set_all(int vm_fd, struct kvm_fpr_bitmap *set)
{
	while (set->size) {
		if (stop_signal) {
			errno = EINTR;
			return -1;
		}
		if (call(vm_fd, KVM_FPR_SET_BITMAP, set))
			return -1;
	}
	return 0;
}

/*
 * Whether an epoch is current, after SET returned ESTALE.  SET returns that for a current
 * epoch, too: where memslots in the range log dirty pages, but none did when it began.
 */
static bool is_current(const struct filter *filter, uint64_t epoch)
{
	const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t nothing = 0;
	/* A range behind all memory, and no page of it. */
	struct kvm_fpr_bitmap set = {
		.epoch = epoch,
		.gpa = UINT64_MAX - 2 * page_size + 1,
		.size = page_size,
		.bitmap = (uintptr_t)&nothing,
	};
	struct kvm_fpr_disarm disarm = { .epoch = epoch };

	if (!call(filter->vm.fd, KVM_FPR_SET_BITMAP, &set))
		return true;
	/*
	 * Either the epoch is over, or no memslot at all takes part in it.  In the latter case
	 * it can never confirm a page, as memslots join only at ARM: nothing is lost by ending it.
	 */
	return errno == ESTALE && !call(filter->vm.fd, KVM_FPR_DISARM, &disarm);
}

static enum fpr_status explain_set(const struct filter *filter, uint64_t epoch)
{
	if (errno != ESTALE)
		return explain(filter, "set-bitmap");
	if (is_current(filter, epoch)) {
		warnx("set-bitmap: no memory in the range logs dirty pages since the epoch began: start the migration, or what else switches that on, then arm again and take a new report");
		return FPR_STALE;
	}
	errno = ESTALE;
	return explain(filter, "set-bitmap");
}

enum fpr_status filter_set(const struct filter *filter, struct filter_range *range, uint64_t *us)
{
	struct kvm_fpr_bitmap set = {
		.flags = range->confirmed ? KVM_FPR_SET_CONFIRM : 0,
		.epoch = range->epoch,
		.gpa = range->gpa,
		.size = range->size,
		.bitmap = (uintptr_t)range->report,
		.confirmed = (uintptr_t)range->confirmed,
	};
	uint64_t start = clock_us();
	int r = set_all(filter->vm.fd, &set);

	*us = clock_us() - start;
	range->nr_filtered = set.nr_filtered;
	range->nr_confirmed = set.nr_confirmed;
	if (!r)
		return FPR_OK;

	if (errno == EINTR) {
		warnx("set-bitmap: stopped by a signal at gpa 0x%llx: what lies beyond stays in the dirty log",
		      (unsigned long long)set.gpa);
		return FPR_ERROR;
	}
	return explain_set(filter, range->epoch);
}
