// SPDX-License-Identifier: GPL-2.0-only
/* Taking pages out of a file that holds a guest's memory. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "bitmap_ranges.h"
#include "punch.h"
#include "stop.h"

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static enum fpr_status explain(const struct punch *punch)
{
	const char *name = punch->memory.name;

	if (errno == EOPNOTSUPP)
		warnx("%s: its file system cannot punch holes: nothing was changed; ext4, xfs, btrfs and tmpfs can",
		      name);
	else if (errno == ENOSPC || errno == EDQUOT)
		warnx("%s: the file system is full, and to note where holes are takes some room: %llu pages were punched, make room and do it again",
		      name, (unsigned long long)punch->nr_punched);
	else
		warn("%s: punched %llu pages, then", name, (unsigned long long)punch->nr_punched);
	return FPR_ERROR;
}

static enum fpr_status punch_bytes(struct punch *punch, uint64_t at, uint64_t size)
{
	int r = 0;

	if (stop_signal) {
		warnx("%s: stopped by a signal after %llu pages: nothing is lost, do it again for the rest",
		      punch->memory.name, (unsigned long long)punch->nr_punched);
		return FPR_ERROR;
	}
	if (!punch->dry_run) {
		do
			r = fallocate(punch->memory.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (off_t)at, (off_t)size);
		while (r && errno == EINTR && !stop_signal);
		if (r && errno == EINTR)
			return punch_bytes(punch, at, size);
	}
	if (r)
		return explain(punch);
	punch->nr_punched += size / page_size();
	return FPR_OK;
}

/* Bytes of the files, all of which are named. */
static enum fpr_status punch_place(struct punch *punch, uint64_t at, uint64_t end)
{
	bool in_diff = false, in_memory = false;
	enum fpr_status status = FPR_OK;
	uint64_t until, memory_until;

	for (; !status && at < end; at = until) {
		until = end;
		if (punch->diff.fd >= 0)
			status = file_data_look(&punch->diff, at, &in_diff, &until);
		if (!status)
			status = file_data_look(&punch->memory, at, &in_memory, &memory_until);
		if (status)
			break;
		if (memory_until < until)
			until = memory_until;
		if (end < until)
			until = end;
		if (in_diff)
			punch->nr_kept += (until - at) / page_size();
		else if (!in_memory)
			punch->nr_empty += (until - at) / page_size();
		else
			status = punch_bytes(punch, at, until - at);
	}
	return status;
}

/* The range of the map that begins at or below @gpa and ends above it. */
static const struct guest_range *range_at(const struct guest_map *map, uint64_t gpa)
{
	size_t i;

	for (i = 0; i < map->nr; i++) {
		if (gpa >= map->range[i].gpa && gpa - map->range[i].gpa < map->range[i].size)
			return &map->range[i];
	}
	return NULL;
}

/* Pages that follow each other, in as many places as they have. */
static void take_pages(void *opaque, uint64_t first, uint64_t nr)
{
	uint64_t gpa = first * page_size(), end = gpa + nr * page_size(), at, size;
	const struct guest_range *range;
	struct punch *punch = opaque;

	for (; !punch->status && gpa < end; gpa += size) {
		range = range_at(&punch->map, gpa);
		if (!range) {
			warnx("--map: a page is named at 0x%llx, which has no place: are the pages those of this guest, and all of its memory in the map?",
			      (unsigned long long)gpa);
			punch->status = FPR_ERROR;
			return;
		}
		at = gpa - range->gpa;
		size = range->size - at < end - gpa ? range->size - at : end - gpa;
		if (punch->check_only)
			continue;
		punch->nr_named += size / page_size();
		punch->status = punch_place(punch, range->place + at, range->place + at + size);
	}
}

static enum fpr_status take_all(struct punch *punch, struct bitmap_reader *pages, bool check_only)
{
	struct bitmap_ranges ranges = { .each = take_pages, .opaque = punch };
	struct bitmap_chunk chunk;
	enum fpr_status status;

	punch->check_only = check_only;
	punch->status = FPR_OK;
	do {
		status = bitmap_reader_next(pages, &chunk);
		if (!status && chunk.bits)
			bitmap_ranges_add(&ranges, chunk.first, chunk.bits);
		else if (!status)
			bitmap_ranges_end(&ranges);
		if (!status)
			status = punch->status;
	} while (!status && chunk.bits);
	return status;
}

enum fpr_status punch_check(struct punch *punch, struct bitmap_reader *pages)
{
	return take_all(punch, pages, true);
}

enum fpr_status punch_pages(struct punch *punch, struct bitmap_reader *pages)
{
	return take_all(punch, pages, false);
}
