// SPDX-License-Identifier: GPL-2.0-only
/*
 * Upstream's dirty_log_perf_test, which also says what its vCPU's own thread
 * spent in each KVM_RUN (vcpu_run=NANOSECONDS), and how long it ran in all.
 *
 * Its two threads wait for each other by spinning.  On one CPU, and only with
 * one can instructions be counted, the times that it prints itself are those of
 * both threads, rounded to slices of the scheduler; so is that of the whole.
 *
 * With FPR_ARM in the environment KVM_FPR_ARM is called once, after the guest has
 * populated its memory and logging has begun: from then on there is a T to mark.
 */
#include <stdlib.h>
#include <time.h>

#include "kvm_util.h"
#include "test_util.h"
#include "fpr_util.h"

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static uint64_t began;

static void __attribute__((constructor)) begin(void)
{
	began = read_clock(CLOCK_MONOTONIC_RAW);
}

static void __attribute__((destructor)) end(void)
{
	printf("whole_run=%lu\n", read_clock(CLOCK_MONOTONIC_RAW) - began);
}

static int timed_vcpu_run(struct kvm_vcpu *vcpu)
{
	static unsigned int calls;
	uint64_t start;
	int r;

	if (calls++ == 1 && getenv("FPR_ARM"))
		fpr_arm(vcpu->vm);
	start = read_clock(CLOCK_THREAD_CPUTIME_ID);
	r = _vcpu_run(vcpu);

	printf("vcpu_run=%lu\n", read_clock(CLOCK_THREAD_CPUTIME_ID) - start);
	return r;
}

#define _vcpu_run timed_vcpu_run
#include "dirty_log_perf_test.c"
