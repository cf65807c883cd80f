// SPDX-License-Identifier: GPL-2.0-only
/* Pages that a file tells, or the output of a command. */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source_file.h"

/* Whether @path is a regular file, whose content does not depend on when it is read. */
static bool is_stored(const char *path)
{
	struct stat st;

	if (strcmp(path, "-") ? stat(path, &st) : fstat(STDIN_FILENO, &st))
		return false;
	return S_ISREG(st.st_mode);
}

/* The file may name an epoch, and so may the user or ARM; where both do, they must agree. */
static enum fpr_status agree_on_epoch(const struct source_file *file, uint64_t *epoch)
{
	uint64_t tag = file->bitmap.tag;

	if (!*epoch)
		*epoch = tag;
	if (!*epoch) {
		warnx("%s: it tells no epoch, and a regular file may be older than any: use --exec, or arm first, take the bitmap and give --epoch",
		      file->source.name);
		return FPR_ERROR;
	}
	if (tag && tag != *epoch) {
		warnx("%s: it is for epoch %llu, not %llu: take a new report", file->source.name,
		      (unsigned long long)tag, (unsigned long long)*epoch);
		return FPR_STALE;
	}
	return FPR_OK;
}

static enum fpr_status read_all(struct source_file *file, uint64_t *epoch)
{
	enum fpr_status status = bitmap_read(&file->bitmap, &file->source, file->format);

	file->is_read = !status;
	return status ? status : agree_on_epoch(file, epoch);
}

static enum fpr_status open_source(struct source_file *file, bool of_any_age)
{
	enum fpr_status status = FPR_OK;

	/* A command is started after ARM, so its report is young enough. */
	if (file->command)
		report_exec(&file->source, file->command);
	else if (of_any_age)
		status = report_open(&file->source, file->path);
	else
		status = report_open_fresh(&file->source, file->path);
	file->source.timeout_s = file->timeout_s;
	return status;
}

enum fpr_status source_file_open(struct source_file *file, uint64_t *epoch)
{
	bool of_any_age = *epoch || (file->path && is_stored(file->path));
	enum fpr_status status = open_source(file, of_any_age);

	return status || file->command || !of_any_age ? status : read_all(file, epoch);
}

void source_file_release(struct source_file *file)
{
	bitmap_release(&file->bitmap);
}

/* Called before ARM, which ends another's epoch, so that this is not done for nothing; and after. */
static enum fpr_status check_fresh(const struct source_file *file, const struct filter_round *round)
{
	if (file->is_read || (round->range.epoch && !round->armed))
		return FPR_OK;
	return report_check_fresh(&file->source);
}

static enum fpr_status prepare(void *opaque, const struct filter *filter,
			       struct filter_round *round)
{
	(void)filter;
	return check_fresh(opaque, round);
}

/* A report names its epoch and begins at the guest's first page; a raw bitmap says neither. */
static enum fpr_status set_range(struct source_file *file, struct filter_range *range)
{
	const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	struct bitmap *bitmap = &file->bitmap;
	enum fpr_status status;

	if (file->gpa && bitmap->format == BITMAP_REPORT) {
		warnx("--gpa 0x%llx: %s is a report, which says itself where its pages are: leave --gpa out",
		      (unsigned long long)file->gpa, file->source.name);
		return FPR_ERROR;
	}
	status = file->size ? bitmap_cut(bitmap, file->size / page_size) : FPR_OK;
	if (status)
		return status;
	range->report = bitmap->bits;
	range->gpa = file->gpa;
	range->size = bitmap->nr_pages * page_size;
	if (!range->size) {
		warnx("%s: it is about no memory", file->source.name);
		return FPR_ERROR;
	}
	if (range->size > UINT64_MAX - range->gpa) {
		warnx("--gpa 0x%llx: the bitmap reaches beyond the last guest address",
		      (unsigned long long)range->gpa);
		return FPR_ERROR;
	}
	return FPR_OK;
}

static enum fpr_status make_room(struct source_file *file, struct filter_range *range)
{
	enum fpr_status status;

	if (!file->confirmed_path)
		return FPR_OK;
	status = outfile_open(&file->out, file->confirmed_path, file->bitmap.len,
			      file->timeout_s);
	if (status)
		return status;
	/* Zeroed: where the kernel writes nothing, no page is confirmed. */
	file->confirmed = calloc(1, file->bitmap.len);
	if (!file->confirmed) {
		warn("confirmed pages");
		outfile_abandon(&file->out);
		return FPR_ERROR;
	}
	range->confirmed = file->confirmed;
	return FPR_OK;
}

static enum fpr_status take(void *opaque, const struct filter *filter, struct filter_round *round)
{
	struct source_file *file = opaque;
	enum fpr_status status = check_fresh(file, round);

	(void)filter;
	if (!status && !file->is_read)
		status = read_all(file, &round->range.epoch);
	if (!status)
		status = set_range(file, &round->range);
	if (!status)
		status = make_room(file, &round->range);
	if (status)
		return status;
	round->nr_pages = file->bitmap.nr_pages;
	round->nr_reported = bitmap_count(&file->bitmap);
	return FPR_OK;
}

static enum fpr_status finish(void *opaque, enum fpr_status status)
{
	struct source_file *file = opaque;

	if (!file->confirmed)
		return status;
	if (status)
		outfile_abandon(&file->out);
	else
		status = outfile_commit(&file->out, file->confirmed, file->bitmap.len);
	free(file->confirmed);
	file->confirmed = NULL;
	return status;
}

const struct filter_source file_source = {
	.prepare = prepare,
	.take = take,
	.finish = finish,
};
