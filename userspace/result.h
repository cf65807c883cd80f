/* SPDX-License-Identifier: GPL-2.0-only */
/* Results as lines for people or as one JSON object. */
#ifndef FPRCTL_RESULT_H
#define FPRCTL_RESULT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* One number or text; an array of them ends with a NULL key. */
struct result {
	const char *key;	/* the JSON key */
	const char *label;
	const char *unit;	/* or NULL */
	uint64_t value;
	const char *text;	/* in place of @value, or NULL */
};

/** result_print - print all of @results, one a line or as JSON */
void result_print(FILE *f, const struct result *results, bool json);

/** result_print_line - print all of @results on one line */
void result_print_line(FILE *f, const struct result *results);

struct json_object;

/** result_json - @results as a new object */
struct json_object *result_json(const struct result *results);

/** result_print_json - print @object on a line of its own and release it */
void result_print_json(FILE *f, struct json_object *object);

#endif
