// SPDX-License-Identifier: GPL-2.0-only
/* fprctl punch: take disposable pages out of a file that holds a guest's memory. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "durable.h"
#include "punch.h"
#include "result.h"
#include "stop.h"
#include "verbs.h"

#define MAP_FORM	"OFFSET:GPA:SIZE"

/*
 * Guests round their last page up to whole words, and the firmware keeps some of the memory's
 * end, which is then no part of what the guest spans.
 */
#define WORD_PAGES	64
#define FIRMWARE_MAX	(UINT64_C(64) << 20)

/* The files that are read, and the options that say what to do with them. */
struct files {
	struct report_source source;
	struct bitmap_reader pages;
	struct punch punch;
};

static enum fpr_status need(const struct cli_args *args, enum cli_option_id id, const char *text)
{
	if (args->option[id])
		return FPR_OK;
	warnx("punch: give %s", text);
	return FPR_USAGE;
}

static enum fpr_status parse_options(const struct cli_args *args, struct guest_map *map,
				     uint64_t *epoch)
{
	enum fpr_status status;

	status = need(args, OPT_PAGES, "--pages FILE, what fprctl filter --confirmed wrote");
	if (!status)
		status = need(args, OPT_MAP, "--map " MAP_FORM ", where in the file the guest's memory is");
	if (!status)
		status = guest_map_parse(map, "--map", MAP_FORM, args->option[OPT_MAP]);
	if (!status)
		status = cli_epoch(args, epoch);
	if (!status && !args->option[OPT_UNLESS_DATA] == !args->option[OPT_NO_DIFF]) {
		warnx("punch: give --unless-data DIFF, the snapshot that followed the pages' epoch, or --no-diff if they are none of its pages already");
		status = FPR_USAGE;
	}
	return status;
}

/* A raw bitmap tells no epoch, so it can be any; so can a report without one. */
static enum fpr_status check_epoch(const struct bitmap_reader *pages, uint64_t epoch)
{
	const char *name = pages->source->name;

	if (pages->format == BITMAP_RAW || !pages->tag) {
		warnx("%s: it tells no epoch, so nobody knows which snapshot it belongs to: give what fprctl filter --confirmed wrote",
		      name);
		return FPR_ERROR;
	}
	if (epoch && epoch != pages->tag) {
		warnx("%s: it is of epoch %llu, not %llu: give the file of the round before that snapshot",
		      name, (unsigned long long)pages->tag, (unsigned long long)epoch);
		return FPR_ERROR;
	}
	return FPR_OK;
}

static enum fpr_status check_guest_size(const struct bitmap_reader *pages,
					const struct guest_map *map)
{
	const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	const uint64_t word = WORD_PAGES * page_size, end = map->gpa + map->size;
	uint64_t span = pages->nr_pages * page_size;

	if (span < end + word && (span >= end || end - span <= FIRMWARE_MAX))
		return FPR_OK;
	warnx("%s: it is of a guest whose memory ends at 0x%llx, and by --map it ends at 0x%llx: give all of this guest's memory, and its own pages",
	      pages->source->name, (unsigned long long)span, (unsigned long long)end);
	return FPR_ERROR;
}

static enum fpr_status check_length(const struct file_data *file, const struct guest_map *map)
{
	const struct guest_range *range;
	uint64_t end;

	for (range = map->range; range < map->range + map->nr; range++) {
		end = range->place + range->size;
		if (end <= file->size)
			continue;
		warnx("%s: it has %llu bytes, and by --map the memory at 0x%llx ends at %llu: give the map of this file",
		      file->name, (unsigned long long)file->size, (unsigned long long)range->gpa,
		      (unsigned long long)end);
		return FPR_ERROR;
	}
	return FPR_OK;
}

/*
 * A lease says whether anybody else has the file open, a VM that runs from it included.  Not
 * every file system has leases, and not everybody gets one: then it is for the caller to know.
 */
static enum fpr_status check_unused(const struct file_data *memory)
{
	struct stat st;

	if (!fstat(memory->fd, &st) && st.st_nlink > 1) {
		warnx("%s: it has %llu names, and another chain may use it by another: give a copy of its own",
		      memory->name, (unsigned long long)st.st_nlink);
		return FPR_ERROR;
	}
	/*
	 * Whoever opens it from now on waits until we are done, but no longer than
	 * /proc/sys/fs/lease-break-time, 45 seconds by default: then the kernel breaks the lease, and
	 * what is left is punched beside the other process.  Nobody needs these pages who goes on
	 * from DIFF or a later snapshot.  The signal that tells us of it would end us.
	 */
	signal(SIGIO, SIG_IGN);
	if (fcntl(memory->fd, F_SETLEASE, F_WRLCK) && errno == EAGAIN) {
		warnx("%s: it is open in another process, and a VM that runs from it may be another's: close it first",
		      memory->name);
		return FPR_ERROR;
	}
	return FPR_OK;
}

static enum fpr_status open_memory(struct punch *punch, const char *name)
{
	enum fpr_status status;

	status = file_data_open(&punch->memory, name, punch->dry_run ? O_RDONLY : O_RDWR);
	if (!status)
		status = check_length(&punch->memory, &punch->map);
	return status ? status : check_unused(&punch->memory);
}

/* To open it would wait for the lease. */
static enum fpr_status check_not_memory(const struct file_data *memory, const char *name)
{
	struct stat a, b;

	if (fstat(memory->fd, &a) || stat(name, &b) || a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return FPR_OK;
	warnx("--unless-data %s: that is MEMORY itself: give the snapshot that followed the pages' epoch",
	      name);
	return FPR_ERROR;
}

/* DIFF must survive a crash in which pages are punched: without it they would be lost. */
static enum fpr_status make_durable(const struct file_data *diff)
{
	if (!fsync(diff->fd) && !durable_name(diff->name))
		return FPR_OK;
	warn("%s: cannot be made durable, so nothing was punched", diff->name);
	return FPR_ERROR;
}

static enum fpr_status open_diff(struct punch *punch, const char *name)
{
	enum fpr_status status;

	if (!name)
		return FPR_OK;
	status = check_not_memory(&punch->memory, name);
	if (!status)
		status = file_data_open(&punch->diff, name, O_RDONLY);
	if (!status)
		status = check_length(&punch->diff, &punch->map);
	return status || punch->dry_run ? status : make_durable(&punch->diff);
}

static enum fpr_status open_files(struct files *files, const struct cli_args *args)
{
	enum fpr_status status;
	uint64_t epoch;

	files->punch.dry_run = args->option[OPT_DRY_RUN];
	status = parse_options(args, &files->punch.map, &epoch);
	if (!status)
		status = report_open(&files->source, args->option[OPT_PAGES]);
	if (!status)
		status = cli_seconds("--timeout", args->option[OPT_TIMEOUT], &files->source.timeout_s);
	if (!status)
		status = bitmap_reader_open(&files->pages, &files->source, BITMAP_ANY, true);
	if (!status)
		status = check_epoch(&files->pages, epoch);
	if (!status)
		status = check_guest_size(&files->pages, &files->punch.map);
	if (!status)
		status = open_memory(&files->punch, args->operand[0]);
	return status ? status : open_diff(&files->punch, args->option[OPT_UNLESS_DATA]);
}

static uint64_t allocated_bytes(const struct file_data *file)
{
	struct stat st;

	return fstat(file->fd, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

static void print_results(const struct files *files, uint64_t before, const struct cli_args *args)
{
	const struct punch *punch = &files->punch;
	uint64_t after = allocated_bytes(&punch->memory);
	const struct result results[] = {
		{ "epoch", "epoch", NULL, files->pages.tag },
		{ "named_pages", "named", "pages", punch->nr_named },
		{ "kept_pages", "kept, as the snapshot has data for them", "pages", punch->nr_kept },
		{ "empty_pages", "without data", "pages", punch->nr_empty },
		{ punch->dry_run ? "punchable_pages" : "punched_pages",
		  punch->dry_run ? "would be punched" : "punched", "pages", punch->nr_punched },
		/* The last one, as it is left out of what changes nothing. */
		{ punch->dry_run ? NULL : "freed_bytes", "freed", "bytes",
		  before > after ? before - after : 0 },
		{ 0 }
	};

	result_print(stdout, results, args->option[OPT_JSON]);
}

static enum fpr_status run(const struct cli_args *args)
{
	struct files files = {
		.source = { .fd = -1 },
		.pages = { .source = &files.source, .copy = -1 },
		.punch = { .memory = { .fd = -1 }, .diff = { .fd = -1 } },
	};
	enum fpr_status status;
	uint64_t before;

	status = open_files(&files, args);
	if (!status)
		status = punch_check(&files.punch, &files.pages);
	if (!status)
		status = bitmap_reader_rewind(&files.pages);
	if (!status) {
		stop_catch();
		before = allocated_bytes(&files.punch.memory);
		status = punch_pages(&files.punch, &files.pages);
		if (!status)
			print_results(&files, before, args);
	}
	bitmap_reader_close(&files.pages);
	file_data_close(&files.punch.memory);
	file_data_close(&files.punch.diff);
	return status;
}

static const struct cli_option punch_options[] = {
	{ OPT_PAGES, "pages", "FILE", "the pages, as fprctl filter --confirmed wrote them" },
	{ OPT_MAP, "map", MAP_FORM, "where memory is in MEMORY; several with commas" },
	{ OPT_UNLESS_DATA, "unless-data", "DIFF", "leave pages alone that this sparse file has" },
	{ OPT_NO_DIFF, "no-diff", NULL, "FILE names none of the snapshot's pages already" },
	{ OPT_EPOCH, "epoch", "N", "refuse FILE if it is of another epoch" },
	{ OPT_DRY_RUN, "dry-run", NULL, "change nothing, say what would be done" },
	BITMAP_TIMEOUT_OPTION,
	CLI_JSON_OPTION,
	{ 0 }
};

const struct cli_verb punch_verb = {
	.name = "punch",
	.operands = "MEMORY",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Free the disk space of a snapshot's disposable pages",
	.options = punch_options,
	.run = run,
	.details =
"MEMORY is a flat file with a guest's memory, an older layer of a chain of\n"
"snapshots or what the chain was merged into. Pages that FILE names, and that\n"
"the snapshot DIFF has not, are deallocated in it and read as zeros from then\n"
"on.\n"
"\n"
"Such a page is disposable only if all of this holds:\n"
"  FILE was written by one fprctl filter, which began and ended after the\n"
"    snapshot before DIFF had read the dirty log and before DIFF did.\n"
"  DIFF is an incremental snapshot, complete, and has all that was written, also\n"
"    by the VMM's devices. A whole snapshot tells nothing of what was written.\n"
"  MEMORY has nothing newer than DIFF, be it a later diff or one that was merged\n"
"    into it: the guest may have used these pages again after DIFF.\n"
"  nobody goes on from an older snapshot than DIFF, in this chain or another\n"
"    that has MEMORY in common: that guest may use these pages.\n"
"  the snapshot's other files are on the disk, and with --no-diff the diff, too:\n"
"    if a crash takes them, no older point is left. DIFF is written there first.\n"
"See the chapter on snapshots in the operator's documentation.\n"
"\n"
"OFFSET is where in MEMORY the memory at the guest-physical address GPA begins,\n"
"and DIFF has it at the same place. The map must have all of the guest's memory.\n"
"Refused are files that are too short, ranges that overlap, FILE without an\n"
"epoch, about another size of memory or with pages outside the map, and MEMORY\n"
"with a second name or that is open elsewhere, where that can be known.\n"
"\n"
"All is looked at before anything is changed. What ends it half way has punched\n"
"some of the pages and no other; it can be done again, also when it was done.\n",
	.examples =
"  fprctl punch base.mem --pages confirmed.3 --map 0:0:512M \\\n"
"  --unless-data diff3.mem --dry-run\n"
"  fprctl punch base.mem --pages confirmed.3 --unless-data diff3.mem \\\n"
"  --map 0:0:3G,3G:4G:1G --json\n",
};
