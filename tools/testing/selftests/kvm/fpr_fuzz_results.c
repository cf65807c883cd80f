// SPDX-License-Identifier: GPL-2.0-only
/* Free page filter, the fuzzer: what came of it, for people and in JSON. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fpr_fuzz.h"
#include "kselftest.h"
#include "test_util.h"

static uint64_t sum_of_calls(enum call_id call)
{
	uint64_t sum = 0;
	int err;

	for (err = 0; err < MAX_ERRNO; err++)
		sum += counts->results[call][err];
	return sum;
}

uint64_t all_calls(void)
{
	uint64_t sum = 0;
	enum call_id call;

	for (call = 0; call < NR_CALLS; call++)
		sum += sum_of_calls(call);
	return sum;
}

static void print_table(void)
{
	enum call_id call;
	int err;

	for (call = 0; call < NR_CALLS; call++) {
		printf("# %-28s %9lu:", call_name(call), sum_of_calls(call));
		for (err = 0; err < MAX_ERRNO; err++) {
			if (counts->results[call][err])
				printf(" %s %lu", err ? strerrorname_np(err) : "ok",
				       counts->results[call][err]);
		}
		printf("\n");
	}
}

static void print_counts(void)
{
	ksft_print_msg("lives %lu (%lu with a dirty ring, %lu with another process, %lu closed)\n",
		       counts->lives, counts->ring_lives, counts->foreign_lives,
		       counts->closed_lives);
	ksft_print_msg("signals %lu (%lu calls interrupted), memory changes %lu\n",
		       counts->signals, counts->interrupted, counts->memory_changes);
	ksft_print_msg("filtered %lu, confirmed %lu, checked %lu pages\n",
		       counts->filtered, counts->confirmed, counts->checked_pages);
}

void print_results(void)
{
	print_table();
	print_counts();
}

static void write_calls(FILE *file)
{
	const char *separator;
	enum call_id call;
	int err;

	for (call = 0; call < NR_CALLS; call++) {
		fprintf(file, "%s\n    \"%s\": {", call ? "," : "", call_name(call));
		separator = "";
		for (err = 0; err < MAX_ERRNO; err++) {
			if (!counts->results[call][err])
				continue;
			fprintf(file, "%s\"%s\": %lu", separator,
				err ? strerrorname_np(err) : "ok",
				counts->results[call][err]);
			separator = ", ";
		}
		fprintf(file, "}");
	}
}

void write_json(const char *path, unsigned int seconds)
{
	FILE *file = fopen(path, "w");

	TEST_ASSERT(file, "%s: %s", path, strerror(errno));
	fprintf(file, "{\n  \"seed\": %lu,\n  \"seconds\": %u,\n  \"lives\": %lu,\n",
		seed, seconds, counts->lives);
	fprintf(file, "  \"dirty_ring_lives\": %lu,\n  \"foreign_lives\": %lu,\n",
		counts->ring_lives, counts->foreign_lives);
	fprintf(file, "  \"closed_lives\": %lu,\n", counts->closed_lives);
	fprintf(file, "  \"signals\": %lu,\n  \"interrupted\": %lu,\n",
		counts->signals, counts->interrupted);
	fprintf(file, "  \"filtered\": %lu,\n  \"confirmed\": %lu,\n",
		counts->filtered, counts->confirmed);
	fprintf(file, "  \"checked_pages\": %lu,\n  \"complaints\": %lu,\n  \"calls\": {",
		counts->checked_pages, counts->complaints);
	write_calls(file);
	fprintf(file, "\n  }\n}\n");
	TEST_ASSERT(!fclose(file), "%s: %s", path, strerror(errno));
}
