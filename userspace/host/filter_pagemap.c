// SPDX-License-Identifier: GPL-2.0-only
/*
 * fprctl filter --source pagemap: hand over what was never populated.
 *
 * A page of private anonymous memory that the VM's process has neither in memory nor in
 * swap reads as zero.  So the content of a page that is found so after ARM does not matter
 * where its reader has a zero page without being sent one; and if it was written since,
 * that write is in T.  What was found before ARM serves only to arm less.
 */
#include <err.h>
#include <linux/kvm_fpr.h>
#include <stdlib.h>
#include <unistd.h>

#include "bitmap.h"
#include "clock.h"
#include "filter.h"
#include "filter_pagemap.h"
#include "kvm_debugfs.h"
#include "pagemap.h"
#include "result.h"
#include "stop.h"
#include "vm.h"

/* Bits of 16 TiB, as --max-memory has it for reports. */
#define MAX_BYTES	((size_t)512 << 20)

struct pagemap_job {
	struct filter filter;
	struct guest_map map;
	struct pagemap pagemap;
	struct filter_range range;
	uint8_t *bits;
	uint64_t arm_us;
	uint64_t read_us;
	uint64_t set_us;
};

static enum fpr_status parse_options(const struct cli_args *args, struct pagemap_job *job)
{
	enum fpr_status status;

	if (!args->option[OPT_ZERO_DESTINATION]) {
		warnx("filter: --source pagemap loses pages where the destination does not read as zero: give --zero-destination if it does, see fprctl-filter(8)");
		return FPR_USAGE;
	}
	if (!args->option[OPT_MAP]) {
		warnx("filter: --source pagemap needs --map GPA:HVA:SIZE, where the guest's memory is: see fprctl-filter(8)");
		return FPR_USAGE;
	}
	status = guest_map_parse(&job->map, args->option[OPT_MAP]);
	if (!status && pagemap_bytes(&job->map) > MAX_BYTES) {
		warnx("--map: it spans more than 16T");
		status = FPR_USAGE;
	}
	return status;
}

/*
 * In a child that inherited the VM, pagemap is of other memory than the VM's.
 * @thread: out: one that has the memory
 */
static enum fpr_status check_owner(const char *vm, pid_t *thread)
{
	enum fpr_status status;
	struct proc_vms vms;
	pid_t pid;
	int dir;

	status = vm_find(vm, &pid, &vms);
	if (status)
		return status;
	*thread = vms.thread;
	dir = kvm_debugfs_open(pid, &vms);
	proc_vms_release(&vms);
	if (dir < 0)
		return kvm_debugfs_explain(vm);
	close(dir);
	return FPR_OK;
}

static enum fpr_status open_all(const char *vm, struct pagemap_job *job)
{
	enum fpr_status status;
	pid_t thread;

	status = check_owner(vm, &thread);
	if (!status)
		status = filter_open(&job->filter, vm);
	if (!status)
		status = guest_map_check(&job->map, thread);
	if (status)
		return status;
	job->bits = calloc(1, pagemap_bytes(&job->map));
	if (!job->bits) {
		warn("a bitmap");
		return FPR_ERROR;
	}
	return pagemap_open(&job->pagemap, thread, &job->map);
}

static enum fpr_status arm(struct pagemap_job *job)
{
	enum fpr_status status;

	if (!(job->filter.flags & KVM_FPR_FLAG_CANDIDATES))
		return filter_arm(&job->filter, &job->range.epoch, &job->arm_us);
	status = pagemap_read(&job->pagemap, job->bits);
	return status ? status : filter_arm_candidates(&job->filter, &job->range, &stop_signal,
						       &job->arm_us);
}

static enum fpr_status hand_over(struct pagemap_job *job)
{
	uint64_t start = clock_us();
	enum fpr_status status;

	status = pagemap_read(&job->pagemap, job->bits);
	job->read_us = clock_us() - start;
	/* What was read is of the map only if its memory is still as it was found first. */
	if (!status)
		status = guest_map_check(&job->map, job->pagemap.pid);
	/* Also that all the time it was this process. */
	if (!status)
		status = filter_check(&job->filter);
	return status ? status : filter_set(&job->filter, &job->range, &stop_signal, &job->set_us);
}

static void print_result(const struct pagemap_job *job, bool json)
{
	const struct bitmap bitmap = {
		.bits = job->bits,
		.len = pagemap_bytes(&job->map),
	};
	const struct result results[] = {
		{ "epoch", "epoch", NULL, job->range.epoch },
		{ "reported_pages", "never populated", "pages", bitmap_count(&bitmap) },
		{ "filtered_pages", "filtered (each address space counted)", "pages", job->range.nr_filtered },
		{ "confirmed_pages", "confirmed", "pages", job->range.nr_confirmed },
		{ "arm_us", "arm took", "us", job->arm_us },
		{ "report_us", "pagemap took", "us", job->read_us },
		{ "set_us", "set took", "us", job->set_us },
		{ 0 }
	};

	result_print(stdout, results, json);
}

static enum fpr_status run(struct pagemap_job *job)
{
	enum fpr_status status;

	job->range.gpa = job->map.gpa;
	job->range.size = job->map.size;
	job->range.report = job->bits;
	stop_catch();
	status = arm(job);
	if (status)
		return status;
	status = hand_over(job);
	if (status)
		filter_abandon(&job->filter, job->range.epoch);
	return status;
}

enum fpr_status filter_pagemap_run(const struct cli_args *args)
{
	struct pagemap_job job = { .pagemap = { .fd = -1 } };
	enum fpr_status status;

	status = parse_options(args, &job);
	if (!status)
		status = open_all(args->operand[0], &job);
	if (!status)
		status = run(&job);
	if (!status)
		print_result(&job, args->option[OPT_JSON]);
	pagemap_close(&job.pagemap);
	free(job.bits);
	return status;
}
