/* SPDX-License-Identifier: GPL-2.0-only */
/* Options of the free page filter's tests that run for as long as they are told. */
#ifndef FPR_OPTIONS_H
#define FPR_OPTIONS_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The number that an option was given, up to @max; else a complaint, and the end. */
static inline uint64_t parse_number(const char *option, const char *text,
				    uint64_t max)
{
	char *rest;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &rest, 10);
	if (*text < '0' || *text > '9' || *rest || errno || n > max) {
		fprintf(stderr, "%s: %s '%s' is not a number up to %lu\n",
			program_invocation_short_name, option, text, max);
		exit(2);
	}
	return n;
}

/* Words behind the options are not understood. */
static inline void no_more_arguments(int argc, char *argv[], int next)
{
	if (next == argc)
		return;
	fprintf(stderr, "%s: '%s' is not an option; see %s -h\n",
		program_invocation_short_name, argv[next],
		program_invocation_short_name);
	exit(2);
}

#endif /* FPR_OPTIONS_H */
