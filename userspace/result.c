// SPDX-License-Identifier: GPL-2.0-only
/* Results as lines for people or as one JSON object. */
#include <err.h>
#include <json-c/json.h>

#include "status.h"
#include "result.h"

void result_print_json(FILE *f, struct json_object *object)
{
	const char *text;

	text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	if (!text)
		errx(FPR_ERROR, "no memory for the result");
	fprintf(f, "%s\n", text);
	json_object_put(object);
}

static void print_text(FILE *f, const struct result *r)
{
	fprintf(f, "%s: ", r->label);
	if (r->text)
		fputs(r->text, f);
	else
		fprintf(f, "%llu", (unsigned long long)r->value);
	if (r->unit)
		fprintf(f, " %s", r->unit);
}

void result_print_line(FILE *f, const struct result *results)
{
	const struct result *r;

	for (r = results; r->key; r++) {
		print_text(f, r);
		fputs(r[1].key ? ", " : "\n", f);
	}
}

struct json_object *result_json(const struct result *results)
{
	struct json_object *object = json_object_new_object();
	const struct result *r;

	for (r = results; r->key; r++)
		json_object_object_add(object, r->key, r->text ?
				       json_object_new_string(r->text) :
				       json_object_new_uint64(r->value));
	return object;
}

void result_print(FILE *f, const struct result *results, bool json)
{
	const struct result *r;

	if (json) {
		result_print_json(f, result_json(results));
		return;
	}
	for (r = results; r->key; r++) {
		print_text(f, r);
		fputc('\n', f);
	}
}
