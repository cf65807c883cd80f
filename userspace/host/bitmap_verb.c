// SPDX-License-Identifier: GPL-2.0-only
/* fprctl bitmap: look at files with bitmaps, convert and compare them. */
#include <err.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bitmap_input.h"
#include "bitmap_pair.h"
#include "bitmap_ranges.h"
#include "bitmap_writer.h"
#include "outfile.h"
#include "result.h"
#include "verbs.h"

/* Pages of two bitmaps. */
struct comparison {
	uint64_t only[2];
	uint64_t both;
};

/* Where ranges are listed. */
struct list {
	bool json;
	const char *label;
	const char *separator;
};

static enum fpr_status measure(struct bitmap_input *input, struct bitmap_ranges *ranges)
{
	struct bitmap_chunk chunk;
	enum fpr_status status;

	for (;;) {
		status = bitmap_reader_next(&input->reader, &chunk);
		if (status)
			return status;
		if (!chunk.bits)
			break;
		bitmap_ranges_add(ranges, chunk.first, chunk.bits);
	}
	bitmap_ranges_end(ranges);
	return FPR_OK;
}

/* In JSON, pairs of the first page and the number of pages. */
static void list_range(void *opaque, uint64_t first, uint64_t nr)
{
	struct list *list = opaque;

	if (list->json)
		printf("%s[%llu,%llu]", list->separator, (unsigned long long)first,
		       (unsigned long long)nr);
	else
		printf("%s: pages 0x%llx to 0x%llx\n", list->label, (unsigned long long)first,
		       (unsigned long long)(first + nr - 1));
	list->separator = ",";
}

/* The lists follow in the same object, however long they are. */
static void print_results(const struct result *results, const struct cli_args *args)
{
	struct json_object *object;
	const char *text;

	if (!args->option[OPT_JSON] || !args->option[OPT_RANGES]) {
		result_print(stdout, results, args->option[OPT_JSON]);
		return;
	}
	object = result_json(results);
	text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	/* Without the brace that ends it. */
	printf("%.*s", (int)strlen(text) - 1, text);
	json_object_put(object);
}

static void begin_list(struct list *list, const struct cli_args *args, const char *key,
		       const char *label)
{
	*list = (struct list) { .json = args->option[OPT_JSON], .label = label, .separator = "" };
	if (list->json)
		printf(",\"%s\":[", key);
}

static void end_list(const struct list *list)
{
	if (list->json)
		printf("]");
}

static void end_lists(const struct cli_args *args)
{
	if (args->option[OPT_JSON])
		puts("}");
}

static enum fpr_status print_ranges(struct bitmap_input *input, const struct cli_args *args)
{
	struct list list;
	struct bitmap_ranges ranges = { .each = list_range, .opaque = &list };
	enum fpr_status status = bitmap_reader_rewind(&input->reader);

	if (status)
		return status;
	begin_list(&list, args, "ranges", "free");
	status = measure(input, &ranges);
	end_list(&list);
	end_lists(args);
	return status;
}

static void print_info(const struct bitmap_reader *reader, const struct bitmap_ranges *ranges,
		       const struct cli_args *args)
{
	const struct result results[] = {
		{ "format", "format", .text = bitmap_format_name(reader->format) },
		{ "file_bytes", "file", "bytes", reader->file_bytes },
		{ "spanned_pages", "memory spans", "pages", reader->nr_pages },
		{ "free_pages", "free", "pages", ranges->nr_pages },
		{ "ranges_count", "ranges", NULL, ranges->nr },
		{ "longest_pages", "longest range", "pages", ranges->longest },
		/* The last one, as it is left out of what has none. */
		{ reader->format == BITMAP_REPORT ? "epoch" : NULL, "epoch", NULL, reader->tag },
		{ 0 }
	};

	print_results(results, args);
}

static enum fpr_status run_info(const struct cli_args *args)
{
	struct bitmap_ranges ranges = { 0 };
	enum fpr_status status;
	struct bitmap_input input;

	status = bitmap_input_open(&input, args->operand[0], args, args->option[OPT_RANGES]);
	if (!status)
		status = measure(&input, &ranges);
	if (!status) {
		print_info(&input.reader, &ranges, args);
		if (args->option[OPT_RANGES])
			status = print_ranges(&input, args);
	}
	bitmap_input_close(&input);
	return status;
}

/* The format to write a bitmap in, and the epoch that it is for. */
static enum fpr_status parse_target(const struct cli_args *args, const struct bitmap_reader *reader,
				    enum bitmap_format *to, uint64_t *epoch)
{
	enum fpr_status status;

	status = bitmap_parse_format("--to", args->option[OPT_TO], to);
	if (!status)
		status = cli_epoch(args, epoch);
	if (status)
		return status;
	if (*to == BITMAP_ANY)
		*to = reader->format == BITMAP_RAW ? BITMAP_REPORT : BITMAP_RAW;
	if (*epoch && *to == BITMAP_RAW) {
		warnx("bitmap convert: --epoch is for a report: a raw bitmap tells no epoch");
		return FPR_USAGE;
	}
	return FPR_OK;
}

static enum fpr_status copy(struct bitmap_reader *reader, struct bitmap_writer *writer)
{
	struct bitmap_chunk chunk;
	enum fpr_status status;

	for (;;) {
		status = bitmap_reader_next(reader, &chunk);
		if (status)
			return status;
		if (!chunk.bits)
			return bitmap_writer_commit(writer);
		status = bitmap_writer_add(writer, chunk.first, chunk.bits);
		if (status)
			return status;
	}
}

static enum fpr_status convert(struct bitmap_input *input, const struct cli_args *args)
{
	const char *path = args->operand[1];
	struct bitmap_writer writer;
	enum fpr_status status;
	enum bitmap_format to;
	uint64_t epoch;

	status = parse_target(args, &input->reader, &to, &epoch);
	if (!status)
		status = bitmap_input_find_span(input);
	if (status)
		return status;
	if (!epoch)
		epoch = input->reader.tag;
	status = bitmap_writer_open(&writer, path, to, epoch, input->reader.nr_pages,
				    input->source.timeout_s);
	if (!status)
		status = copy(&input->reader, &writer);
	if (!status)
		bitmap_writer_print(&writer, args->option[OPT_JSON]);
	bitmap_writer_close(&writer);
	return status;
}

static enum fpr_status run_convert(const struct cli_args *args)
{
	enum fpr_status status;
	struct bitmap_input input;

	status = outfile_check(args->operand[1]);
	if (status)
		return status;
	status = bitmap_input_open(&input, args->operand[0], args, true);
	if (!status)
		status = convert(&input, args);
	bitmap_input_close(&input);
	return status;
}

static enum fpr_status compare(struct bitmap_input inputs[2], struct comparison *comparison)
{
	struct bitmap_pair_chunk chunk;
	enum fpr_status status;
	struct bitmap_pair pair;
	uint64_t a, b;
	bool more;
	size_t i;

	*comparison = (struct comparison) { 0 };
	bitmap_pair_init(&pair, &inputs[0].reader, &inputs[1].reader);
	for (;;) {
		status = bitmap_pair_next(&pair, &chunk, &more);
		if (status || !more)
			return status;
		for (i = 0; i < WIRE_CHUNK_BYTES; i += sizeof(a)) {
			a = wire_word(chunk.bits[0] + i);
			b = wire_word(chunk.bits[1] + i);
			if (a == b) {
				comparison->both += a == UINT64_MAX ? 64 : wire_count(a);
				continue;
			}
			comparison->only[0] += wire_count(a & ~b);
			comparison->only[1] += wire_count(b & ~a);
			comparison->both += wire_count(a & b);
		}
	}
}

/* What one names and the other does not. */
static void subtract(const struct bitmap_pair_chunk *chunk, int side, uint8_t *bits)
{
	const uint8_t *minuend = chunk->bits[side], *other = chunk->bits[!side];
	size_t i;

	for (i = 0; i < WIRE_CHUNK_BYTES; i++)
		bits[i] = (uint8_t)(minuend[i] & ~other[i]);
}

static enum fpr_status list_side(struct bitmap_input inputs[2], int side, struct list *list)
{
	struct bitmap_ranges ranges = { .each = list_range, .opaque = list };
	uint8_t bits[WIRE_CHUNK_BYTES];
	struct bitmap_pair_chunk chunk;
	enum fpr_status status;
	struct bitmap_pair pair;
	bool more;

	status = bitmap_reader_rewind(&inputs[0].reader);
	if (!status)
		status = bitmap_reader_rewind(&inputs[1].reader);
	bitmap_pair_init(&pair, &inputs[0].reader, &inputs[1].reader);
	while (!status) {
		status = bitmap_pair_next(&pair, &chunk, &more);
		if (status || !more)
			break;
		subtract(&chunk, side, bits);
		bitmap_ranges_add(&ranges, chunk.first, bits);
	}
	bitmap_ranges_end(&ranges);
	return status;
}

static enum fpr_status list_differences(struct bitmap_input inputs[2], const struct cli_args *args)
{
	static const struct {
		const char *key;
		const char *label;
	} sides[] = {
		{ "first_only_ranges", "only in the first" },
		{ "second_only_ranges", "only in the second" },
	};
	enum fpr_status status = FPR_OK;
	struct list list;
	int side;

	for (side = 0; !status && side < 2; side++) {
		begin_list(&list, args, sides[side].key, sides[side].label);
		status = list_side(inputs, side, &list);
		end_list(&list);
	}
	end_lists(args);
	return status;
}

static enum fpr_status diff(struct bitmap_input inputs[2], const struct cli_args *args, bool *differ)
{
	struct comparison comparison;
	enum fpr_status status = compare(inputs, &comparison);
	const struct result results[] = {
		{ "first_only_pages", "only in the first", "pages", comparison.only[0] },
		{ "second_only_pages", "only in the second", "pages", comparison.only[1] },
		{ "both_pages", "in both", "pages", comparison.both },
		{ 0 }
	};

	if (status)
		return status;
	*differ = comparison.only[0] || comparison.only[1];
	print_results(results, args);
	return args->option[OPT_RANGES] ? list_differences(inputs, args) : FPR_OK;
}

/* As diff(1) has them. */
#define DIFFER	FPR_ERROR
#define TROUBLE	FPR_USAGE

static enum fpr_status run_diff(const struct cli_args *args)
{
	bool differ = false;
	struct bitmap_input inputs[2];
	enum fpr_status status;

	status = bitmap_input_open_pair(inputs, args, args->option[OPT_RANGES]);
	if (!status)
		status = diff(inputs, args, &differ);
	bitmap_input_close_pair(inputs);
	if (status)
		return TROUBLE;
	return differ ? DIFFER : FPR_OK;
}

#define RANGES_OPTION	{ OPT_RANGES, "ranges", NULL, "list the ranges of pages, too" }

static const struct cli_option bitmap_info_options[] = {
	BITMAP_FROM_OPTION,
	RANGES_OPTION,
	BITMAP_TIMEOUT_OPTION,
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
	BITMAP_TIMEOUT_OPTION,
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
	BITMAP_TIMEOUT_OPTION,
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
"Pages behind the end of a bitmap are not named by it. The exit status is as\n"
"that of diff(1): 0 where both name the same pages, 1 where they differ, 2 after\n"
"an error.\n"
"\n"
BITMAP_FORMATS_HELP,
	.examples =
"  fprctl bitmap diff report confirmed\n"
"  fprctl bitmap diff monday tuesday --ranges\n",
};
