// SPDX-License-Identifier: GPL-2.0-only
/* What a verb of fprctl bitmap reads. */
#include <string.h>

#include "bitmap_input.h"
#include "ranges_report.h"

/* Ranges are made a report, so that nobody else has to know of them. */
static enum fpr_status open_source(struct report_source *source, const char *operand,
				   enum bitmap_format *format)
{
	if (strncmp(operand, BITMAP_RANGES, strlen(BITMAP_RANGES)))
		return report_open(source, operand);
	*format = BITMAP_REPORT;
	*source = (struct report_source) { .name = operand };
	return ranges_report_make(operand + strlen(BITMAP_RANGES), &source->fd);
}

/* From now on it can be closed. */
static void init(struct bitmap_input *input)
{
	*input = (struct bitmap_input) { .source = { .fd = -1 }, .reader.source = &input->source,
					 .reader.copy = -1 };
}

enum fpr_status bitmap_input_open(struct bitmap_input *input, const char *operand,
				  const struct cli_args *args, bool again)
{
	enum bitmap_format format;
	enum fpr_status status;

	init(input);
	status = bitmap_parse_format("--from", args->option[OPT_FROM], &format);
	if (!status)
		status = open_source(&input->source, operand, &format);
	if (!status)
		status = cli_seconds("--timeout", args->option[OPT_TIMEOUT],
				     &input->source.timeout_s);
	return status ? status : bitmap_reader_open(&input->reader, &input->source, format, again);
}

enum fpr_status bitmap_input_open_pair(struct bitmap_input inputs[2], const struct cli_args *args,
				       bool again)
{
	enum fpr_status status = bitmap_input_open(&inputs[0], args->operand[0], args, again);

	if (status)
		init(&inputs[1]);
	return status ? status : bitmap_input_open(&inputs[1], args->operand[1], args, again);
}

enum fpr_status bitmap_input_find_span(struct bitmap_input *input)
{
	struct bitmap_chunk chunk;
	enum fpr_status status;

	if (input->reader.knows_span)
		return FPR_OK;
	do
		status = bitmap_reader_next(&input->reader, &chunk);
	while (!status && chunk.bits);
	return status ? status : bitmap_reader_rewind(&input->reader);
}

void bitmap_input_close(struct bitmap_input *input)
{
	bitmap_reader_close(&input->reader);
}

void bitmap_input_close_pair(struct bitmap_input inputs[2])
{
	bitmap_input_close(&inputs[1]);
	bitmap_input_close(&inputs[0]);
}
