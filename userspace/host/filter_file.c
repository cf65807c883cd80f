// SPDX-License-Identifier: GPL-2.0-only
/*
 * fprctl filter --source FILE: hand over what a file says.
 *
 * A bitmap that is older than its epoch loses pages.  So a file is taken if it names its
 * epoch, as a report does that was asked for, or if the user does; and if neither does,
 * only what can be read after ARM alone.
 */
#include <err.h>
#include <linux/kvm_fpr.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bitmap.h"
#include "filter.h"
#include "filter_file.h"
#include "result.h"
#include "stop.h"

struct file_job {
	struct filter filter;
	struct report_source source;
	enum bitmap_format format;
	struct bitmap bitmap;
	struct filter_range range;
	bool armed;		/* here, rather than by the caller */
	uint64_t arm_us;
	uint64_t set_us;
};

/* What will be the same whenever it is read. */
static bool is_stored(const char *path)
{
	struct stat st;

	if (strcmp(path, "-") ? stat(path, &st) : fstat(STDIN_FILENO, &st))
		return false;
	return S_ISREG(st.st_mode);
}

/* The epoch is what the file, the user, or both say. */
static enum fpr_status agree_on_epoch(struct file_job *job)
{
	uint64_t *epoch = &job->range.epoch;
	uint64_t tag = job->bitmap.tag;

	if (!*epoch)
		*epoch = tag;
	if (!*epoch) {
		warnx("%s: it tells no epoch, and a regular file may be older than any: arm first, take the bitmap and give --epoch",
		      job->source.name);
		return FPR_ERROR;
	}
	if (tag && tag != *epoch) {
		warnx("%s: it is for epoch %llu, not %llu: take a new report",
		      job->source.name, (unsigned long long)tag, (unsigned long long)*epoch);
		return FPR_STALE;
	}
	return FPR_OK;
}

static enum fpr_status read_stored(struct file_job *job)
{
	enum fpr_status status = report_open(&job->source, job->source.name);

	if (!status)
		status = bitmap_read(&job->bitmap, &job->source, job->format);
	return status ? status : agree_on_epoch(job);
}

static enum fpr_status arm_and_read(struct file_job *job)
{
	enum fpr_status status;

	/* Asked before too: to arm would end another's epoch in vain. */
	status = report_check_fresh(&job->source);
	if (!status)
		status = filter_arm(&job->filter, &job->range.epoch, &job->arm_us);
	if (status)
		return status;
	job->armed = true;
	status = report_check_fresh(&job->source);
	if (!status)
		status = bitmap_read(&job->bitmap, &job->source, job->format);
	return status ? status : agree_on_epoch(job);
}

static enum fpr_status hand_over(struct file_job *job)
{
	const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	struct filter_range *range = &job->range;

	if (!job->bitmap.nr_pages) {
		warnx("%s: it is about no memory", job->source.name);
		return FPR_ERROR;
	}
	range->report = job->bitmap.bits;
	range->size = job->bitmap.nr_pages * page_size;
	stop_catch();
	return filter_set(&job->filter, range, &stop_signal, &job->set_us);
}

static void print_result(const struct file_job *job, bool json)
{
	const struct filter_range *range = &job->range;
	const struct result results[] = {
		{ "epoch", "epoch", NULL, range->epoch },
		{ "spanned_pages", "memory spans", "pages", job->bitmap.nr_pages },
		{ "reported_pages", "reported", "pages", bitmap_count(&job->bitmap) },
		{ "filtered_pages", "filtered (each address space counted)", "pages", range->nr_filtered },
		{ "confirmed_pages", "confirmed", "pages", range->nr_confirmed },
		{ "set_us", "set took", "us", job->set_us },
		/* The last one, as it is left out where nothing was armed. */
		{ job->armed ? "arm_us" : NULL, "arm took", "us", job->arm_us },
		{ 0 }
	};

	result_print(stdout, results, json);
}

enum fpr_status filter_file_run(const struct cli_args *args)
{
	struct file_job job = { .source = { .name = args->option[OPT_SOURCE] } };
	enum fpr_status status;
	bool stored;

	status = cli_epoch(args, &job.range.epoch);
	if (!status)
		status = bitmap_parse_format("--from", args->option[OPT_FROM], &job.format);
	if (status)
		return status;
	stored = job.range.epoch || is_stored(job.source.name);
	/* What is wrong with the file is found before the VM is looked for. */
	status = stored ? read_stored(&job) : report_open_fresh(&job.source, job.source.name);
	if (!status)
		status = filter_open(&job.filter, args->operand[0]);
	if (!status && !stored)
		status = arm_and_read(&job);
	if (!status)
		status = hand_over(&job);
	if (!status)
		print_result(&job, args->option[OPT_JSON]);
	else if (job.armed)
		filter_abandon(&job.filter, job.range.epoch);
	bitmap_release(&job.bitmap);
	return status;
}
