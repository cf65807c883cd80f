// SPDX-License-Identifier: GPL-2.0-only
/* fprctl bitmap: look at files with bitmaps, convert and compare them. */
#include <err.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitmap.h"
#include "outfile.h"
#include "result.h"
#include "verbs.h"

static enum fpr_status read_file(struct bitmap *bitmap, const char *path,
				 const struct cli_args *args)
{
	struct report_source source;
	enum bitmap_format format;
	enum fpr_status status;

	status = bitmap_parse_format("--from", args->option[OPT_FROM], &format);
	if (!status)
		status = report_open(&source, path);
	return status ? status : bitmap_read(bitmap, &source, format);
}

/* The next range of pages that are named, if there is one from @*first on. */
static bool next_range(const struct bitmap *bitmap, uint64_t *first, uint64_t *end)
{
	*first = bitmap_find(bitmap, *first, true);
	*end = bitmap_find(bitmap, *first, false);
	return *first < *end;
}

static void count_ranges(const struct bitmap *bitmap, uint64_t *nr, uint64_t *longest)
{
	uint64_t first = 0, end;

	*nr = *longest = 0;
	for (; next_range(bitmap, &first, &end); first = end) {
		*nr += 1;
		if (end - first > *longest)
			*longest = end - first;
	}
}

static void print_ranges(const struct bitmap *bitmap, const char *label)
{
	uint64_t first = 0, end;

	for (; next_range(bitmap, &first, &end); first = end)
		printf("%s: pages 0x%llx to 0x%llx\n", label, (unsigned long long)first,
		       (unsigned long long)end - 1);
}

/* Pairs of the first page and the number of pages. */
static struct json_object *ranges_json(const struct bitmap *bitmap)
{
	struct json_object *pair, *ranges = json_object_new_array();
	uint64_t first = 0, end;

	for (; next_range(bitmap, &first, &end); first = end) {
		pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_uint64(first));
		json_object_array_add(pair, json_object_new_uint64(end - first));
		json_object_array_add(ranges, pair);
	}
	return ranges;
}

static void print_info(const struct bitmap *bitmap, const struct cli_args *args)
{
	struct result results[] = {
		{ "format", "format", .text = bitmap_format_name(bitmap->format) },
		{ "file_bytes", "file", "bytes", bitmap->file_bytes },
		{ "spanned_pages", "memory spans", "pages", bitmap->nr_pages },
		{ "free_pages", "free", "pages", bitmap_count(bitmap) },
		{ "ranges_count", "ranges", NULL },
		{ "longest_pages", "longest range", "pages" },
		/* The last one, as it is left out of what has none. */
		{ bitmap->format == BITMAP_REPORT ? "epoch" : NULL, "epoch", NULL, bitmap->tag },
		{ 0 }
	};
	struct json_object *object;

	count_ranges(bitmap, &results[4].value, &results[5].value);
	if (args->option[OPT_JSON]) {
		object = result_json(results);
		if (args->option[OPT_RANGES])
			json_object_object_add(object, "ranges", ranges_json(bitmap));
		result_print_json(stdout, object);
		return;
	}
	result_print(stdout, results, false);
	if (args->option[OPT_RANGES])
		print_ranges(bitmap, "free");
}

static enum fpr_status run_info(const struct cli_args *args)
{
	struct bitmap bitmap;
	enum fpr_status status = read_file(&bitmap, args->operand[0], args);

	if (status)
		return status;
	print_info(&bitmap, args);
	bitmap_release(&bitmap);
	return FPR_OK;
}

static enum fpr_status write_file(const char *path, const void *data, size_t len)
{
	struct outfile out;
	enum fpr_status status = outfile_open(&out, path, len);

	return status ? status : outfile_commit(&out, data, len);
}

static enum fpr_status write_report(const struct bitmap *bitmap, uint64_t tag, const char *path,
				    size_t *len)
{
	enum fpr_status status;
	char *data;

	status = bitmap_encode(bitmap, tag, &data, len);
	if (status)
		return status;
	status = write_file(path, data, *len);
	free(data);
	return status;
}

/* The format to write a bitmap in, and the epoch that it is for. */
static enum fpr_status parse_target(const struct cli_args *args, const struct bitmap *bitmap,
				    enum bitmap_format *to, uint64_t *epoch)
{
	enum fpr_status status;

	status = bitmap_parse_format("--to", args->option[OPT_TO], to);
	if (!status)
		status = cli_epoch(args, epoch);
	if (status)
		return status;
	if (*to == BITMAP_ANY)
		*to = bitmap->format == BITMAP_RAW ? BITMAP_REPORT : BITMAP_RAW;
	if (*epoch && *to == BITMAP_RAW) {
		warnx("bitmap convert: --epoch is for a report: a raw bitmap tells no epoch");
		return FPR_USAGE;
	}
	return FPR_OK;
}

static enum fpr_status convert(const struct bitmap *bitmap, enum bitmap_format to, uint64_t epoch,
			       const struct cli_args *args)
{
	const char *path = args->operand[1];
	size_t len = bitmap->len;
	enum fpr_status status;

	if (to == BITMAP_REPORT)
		status = write_report(bitmap, epoch ? epoch : bitmap->tag, path, &len);
	else
		status = write_file(path, bitmap->bits, len);
	if (!status) {
		const struct result results[] = {
			{ "format", "format", .text = bitmap_format_name(to) },
			{ "file_bytes", "file", "bytes", len },
			{ "spanned_pages", "memory spans", "pages", bitmap->nr_pages },
			{ "free_pages", "free", "pages", bitmap_count(bitmap) },
			{ 0 }
		};

		result_print(outfile_is_stdout(path) ? stderr : stdout, results, args->option[OPT_JSON]);
	}
	return status;
}

static enum fpr_status run_convert(const struct cli_args *args)
{
	enum fpr_status status;
	enum bitmap_format to;
	struct bitmap bitmap;
	uint64_t epoch;

	status = outfile_check(args->operand[1]);
	if (!status)
		status = read_file(&bitmap, args->operand[0], args);
	if (status)
		return status;
	status = parse_target(args, &bitmap, &to, &epoch);
	if (!status)
		status = convert(&bitmap, to, epoch, args);
	bitmap_release(&bitmap);
	return status;
}

/* What @a names and @b does not. */
static struct bitmap difference(const struct bitmap *a, const struct bitmap *b)
{
	struct bitmap only = { .len = a->len, .nr_pages = a->nr_pages };
	uint64_t word;
	size_t i;

	only.bits = calloc(a->len ? a->len : 1, 1);
	if (!only.bits)
		err(FPR_ERROR, "the difference");
	for (i = 0; i < a->len / sizeof(word); i++) {
		word = bitmap_word(a, i) & ~bitmap_word(b, i);
		/* What is the same takes no memory. */
		if (word)
			memcpy(only.bits + i * sizeof(word), &word, sizeof(word));
	}
	return only;
}

static void print_diff(const struct bitmap *a, const struct bitmap *only_a,
		       const struct bitmap *only_b, const struct cli_args *args)
{
	uint64_t nr_a = bitmap_count(only_a);
	const struct result results[] = {
		{ "first_only_pages", "only in the first", "pages", nr_a },
		{ "second_only_pages", "only in the second", "pages", bitmap_count(only_b) },
		{ "both_pages", "in both", "pages", bitmap_count(a) - nr_a },
		{ 0 }
	};
	struct json_object *object;

	if (args->option[OPT_JSON]) {
		object = result_json(results);
		if (args->option[OPT_RANGES]) {
			json_object_object_add(object, "first_only_ranges", ranges_json(only_a));
			json_object_object_add(object, "second_only_ranges", ranges_json(only_b));
		}
		result_print_json(stdout, object);
		return;
	}
	result_print(stdout, results, false);
	if (args->option[OPT_RANGES]) {
		print_ranges(only_a, "only in the first");
		print_ranges(only_b, "only in the second");
	}
}

static void diff(const struct bitmap *a, const struct bitmap *b, const struct cli_args *args)
{
	struct bitmap only_a = difference(a, b);
	struct bitmap only_b = difference(b, a);

	print_diff(a, &only_a, &only_b, args);
	bitmap_release(&only_a);
	bitmap_release(&only_b);
}

static enum fpr_status run_diff(const struct cli_args *args)
{
	enum fpr_status status;
	struct bitmap a, b;

	status = read_file(&a, args->operand[0], args);
	if (status)
		return status;
	status = read_file(&b, args->operand[1], args);
	if (!status) {
		diff(&a, &b, args);
		bitmap_release(&b);
	}
	bitmap_release(&a);
	return status;
}

#define RANGES_OPTION	{ OPT_RANGES, "ranges", NULL, "list the ranges of pages, too" }

static const struct cli_option bitmap_info_options[] = {
	BITMAP_FROM_OPTION,
	RANGES_OPTION,
	CLI_JSON_OPTION,
	{ 0 }
};

const struct cli_verb bitmap_info_verb = {
	.name = "bitmap info",
	.operands = "FILE",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Say what a file with a bitmap of free pages names",
	.options = bitmap_info_options,
	.run = run_info,
	.details =
BITMAP_FORMATS_HELP
"\n"
"In JSON a range is the number of its first page and how many pages it has.\n",
	.examples =
"  fprctl bitmap info report\n"
"  fprctl bitmap info confirmed --ranges --json\n",
};

static const struct cli_option bitmap_convert_options[] = {
	BITMAP_FROM_OPTION,
	{ OPT_TO, "to", "raw|report", "the format to write (default: the other one)" },
	{ OPT_EPOCH, "epoch", "N", "the epoch that a report is for (default: unchanged)" },
	CLI_JSON_OPTION,
	{ 0 }
};

const struct cli_verb bitmap_convert_verb = {
	.name = "bitmap convert",
	.operands = "FILE TO",
	.min_operands = 2,
	.max_operands = 2,
	.summary = "Write a bitmap in the other format",
	.options = bitmap_convert_options,
	.run = run_convert,
	.details =
BITMAP_FORMATS_HELP
"\n"
"TO is a file, made or replaced when all went well; a FIFO or a device, which\n"
"gets bytes as they come; or - for stdout, and the result goes to stderr then.\n",
	.examples =
"  fprctl bitmap convert report bitmap\n"
"  fprctl bitmap convert --to report --epoch 12 bitmap report\n",
};

static const struct cli_option bitmap_diff_options[] = {
	BITMAP_FROM_OPTION,
	RANGES_OPTION,
	CLI_JSON_OPTION,
	{ 0 }
};

const struct cli_verb bitmap_diff_verb = {
	.name = "bitmap diff",
	.operands = "FILE FILE",
	.min_operands = 2,
	.max_operands = 2,
	.summary = "Say in which pages two bitmaps differ",
	.options = bitmap_diff_options,
	.run = run_diff,
	.details =
"Pages behind the end of a bitmap are not named by it. The exit status tells\n"
"errors alone, not whether the bitmaps differ.\n"
"\n"
BITMAP_FORMATS_HELP,
	.examples =
"  fprctl bitmap diff report confirmed\n"
"  fprctl bitmap diff monday tuesday --ranges\n",
};
