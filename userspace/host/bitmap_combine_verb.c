// SPDX-License-Identifier: GPL-2.0-only
/* fprctl bitmap and, andnot, or: one bitmap out of two. */
#include <err.h>

#include "bitmap_input.h"
#include "bitmap_pair.h"
#include "bitmap_writer.h"
#include "outfile.h"
#include "verbs.h"

typedef uint64_t (*combine_fn)(uint64_t a, uint64_t b);

static uint64_t both(uint64_t a, uint64_t b)
{
	return a & b;
}

static uint64_t first_only(uint64_t a, uint64_t b)
{
	return a & ~b;
}

static uint64_t either(uint64_t a, uint64_t b)
{
	return a | b;
}

/* Return: whether the result names a page. */
static bool combine_chunk(combine_fn combine, const struct bitmap_pair_chunk *chunk, uint8_t *bits)
{
	uint64_t word, any = 0;
	size_t i;

	for (i = 0; i < WIRE_CHUNK_BYTES; i += sizeof(word)) {
		word = combine(wire_word(chunk->bits[0] + i), wire_word(chunk->bits[1] + i));
		wire_put(bits + i, sizeof(word), word);
		any |= word;
	}
	return any;
}

static enum fpr_status combine_all(combine_fn combine, struct bitmap_input inputs[2],
				   struct bitmap_writer *writer)
{
	uint8_t bits[WIRE_CHUNK_BYTES];
	struct bitmap_pair_chunk chunk;
	enum fpr_status status;
	struct bitmap_pair pair;
	bool more;

	bitmap_pair_init(&pair, &inputs[0].reader, &inputs[1].reader);
	for (;;) {
		status = bitmap_pair_next(&pair, &chunk, &more);
		if (!status && !more)
			return bitmap_writer_commit(writer);
		/* Behind the end of the first bitmap only "or" names anything. */
		if (!status && combine_chunk(combine, &chunk, bits))
			status = bitmap_writer_add(writer, chunk.first, bits);
		if (status)
			return status;
	}
}

/* The epoch that all pages of the result are of, where one file may tell none; 0 if there is none. */
static uint64_t epoch_of_all(combine_fn combine, uint64_t a, uint64_t b)
{
	if (combine == both)
		return a ? a : b;
	if (combine == first_only)
		return a;
	return a == b ? a : 0;
}

/* What is made of two epochs' pages is of neither, unless the user knows better. */
static enum fpr_status agree_on_epoch(const struct cli_args *args, combine_fn combine,
				      const struct bitmap_input inputs[2], enum bitmap_format to,
				      uint64_t *epoch)
{
	uint64_t a = inputs[0].reader.tag, b = inputs[1].reader.tag;
	enum fpr_status status = cli_epoch(args, epoch);

	if (status || *epoch)
		return status;
	if (a && b && a != b && to == BITMAP_REPORT) {
		warnx("%s and %s: they are of the epochs %llu and %llu: give --epoch, which the result is for",
		      inputs[0].source.name, inputs[1].source.name, (unsigned long long)a,
		      (unsigned long long)b);
		return FPR_ERROR;
	}
	*epoch = epoch_of_all(combine, a, b);
	return FPR_OK;
}

static enum fpr_status write_combined(const struct cli_args *args, combine_fn combine,
				      struct bitmap_input inputs[2])
{
	uint64_t epoch, span[2];
	struct bitmap_writer writer;
	enum bitmap_format to;
	enum fpr_status status;

	status = bitmap_parse_format("--to", args->option[OPT_TO], &to);
	if (to == BITMAP_ANY)
		to = BITMAP_REPORT;
	if (!status)
		status = agree_on_epoch(args, combine, inputs, to, &epoch);
	if (!status)
		status = bitmap_input_find_span(&inputs[0]);
	if (!status)
		status = bitmap_input_find_span(&inputs[1]);
	if (status)
		return status;
	span[0] = inputs[0].reader.nr_pages;
	span[1] = inputs[1].reader.nr_pages;
	if (combine == either && span[1] > span[0])
		span[0] = span[1];
	status = bitmap_writer_open(&writer, args->operand[2], to, epoch, span[0],
				    inputs[0].source.timeout_s);
	if (!status)
		status = combine_all(combine, inputs, &writer);
	if (!status)
		bitmap_writer_print(&writer, args->option[OPT_JSON]);
	bitmap_writer_close(&writer);
	return status;
}

static enum fpr_status run(const struct cli_args *args, combine_fn combine)
{
	struct bitmap_input inputs[2];
	enum fpr_status status;

	status = outfile_check(args->operand[2]);
	if (status)
		return status;
	status = bitmap_input_open_pair(inputs, args, true);
	if (!status)
		status = write_combined(args, combine, inputs);
	bitmap_input_close_pair(inputs);
	return status;
}

static enum fpr_status run_and(const struct cli_args *args)
{
	return run(args, both);
}

static enum fpr_status run_andnot(const struct cli_args *args)
{
	return run(args, first_only);
}

static enum fpr_status run_or(const struct cli_args *args)
{
	return run(args, either);
}

static const struct cli_option combine_options[] = {
	BITMAP_FROM_OPTION,
	{ OPT_TO, "to", "raw|report", "the format to write (default: report)" },
	{ OPT_EPOCH, "epoch", "N", "the epoch that the result is for" },
	BITMAP_TIMEOUT_OPTION,
	CLI_JSON_OPTION,
	{ 0 }
};

#define COMBINE_HELP							\
"TO is as for fprctl bitmap convert. Where the FILEs are of two epochs, --epoch\n" \
"must say which one a report is for.\n"				\
"\n"									\
BITMAP_RANGES_HELP							\
"\n"									\
BITMAP_FORMATS_HELP

const struct cli_verb bitmap_and_verb = {
	.name = "bitmap and",
	.operands = "FILE FILE TO",
	.min_operands = 3,
	.max_operands = 3,
	.summary = "Write the pages that both bitmaps name",
	.options = combine_options,
	.run = run_and,
	.details =
"The memory that the result is about is that of the first, its epoch that of\n"
"either.\n"
COMBINE_HELP,
	.examples =
"  fprctl bitmap and confirmed ranges:4G:1G confirmed.high\n",
};

const struct cli_verb bitmap_andnot_verb = {
	.name = "bitmap andnot",
	.operands = "FILE FILE TO",
	.min_operands = 3,
	.max_operands = 3,
	.summary = "Write the pages that only the first bitmap names",
	.options = combine_options,
	.run = run_andnot,
	.details =
"The memory that the result is about is that of the first, and so is its epoch.\n"
COMBINE_HELP,
	.examples =
"  fprctl bitmap andnot confirmed diff-pages disposable\n"
"  fprctl bitmap andnot confirmed ranges:0:1M confirmed.ram\n",
};

const struct cli_verb bitmap_or_verb = {
	.name = "bitmap or",
	.operands = "FILE FILE TO",
	.min_operands = 3,
	.max_operands = 3,
	.summary = "Write the pages that either bitmap names",
	.options = combine_options,
	.run = run_or,
	.details =
"The memory that the result is about is that of the larger one. It is of an\n"
"epoch only if both are.\n"
COMBINE_HELP,
	.examples =
"  fprctl bitmap or --to raw written-1 written-2 written\n",
};
