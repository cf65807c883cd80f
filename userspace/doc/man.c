// SPDX-License-Identifier: GPL-2.0-only
/* Manual pages from the verb table. */
#include <ctype.h>
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "doc.h"
#include "../verbs.h"

void doc_page_name(char *name, const char *verb)
{
	char *space;

	snprintf(name, DOC_NAME_MAX, "fprctl-%s", verb);
	while ((space = strchr(name, ' ')))
		*space = '-';
}

static void put_text(FILE *f, const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!i && (text[i] == '.' || text[i] == '\''))
			fputs("\\&", f);
		if (text[i] == '\\')
			fputs("\\e", f);
		else if (text[i] == '-')
			fputs("\\-", f);
		else
			fputc(text[i], f);
	}
}

static void put_string(FILE *f, const char *text)
{
	put_text(f, text, strlen(text));
}

static void put_bold(FILE *f, const char *text, size_t len)
{
	fputs("\\fB", f);
	put_text(f, text, len);
	fputs("\\fR", f);
}

static void put_line(FILE *f, const char *text, size_t len)
{
	put_text(f, text, len);
	fputc('\n', f);
}

/* Where a term ends, or the line. */
static size_t term_len(const char *line, size_t len)
{
	size_t i;

	for (i = 0; i + 1 < len; i++) {
		if (line[i] == ' ' && line[i + 1] == ' ')
			return i;
	}
	return len;
}

/* An item of a list, without its indentation. */
static void put_item(FILE *f, const char *line, size_t len)
{
	size_t term = term_len(line, len);
	size_t text = term;

	if (term == len) {
		fputs(".IP \\(bu 2\n", f);
		put_line(f, line, len);
		return;
	}
	while (text < len && line[text] == ' ')
		text++;
	fputs(".TP\n", f);
	put_bold(f, line, term);
	fputc('\n', f);
	put_line(f, line + text, len - text);
}

/* Text of the table, see cli.h. */
static void put_details(FILE *f, const char *text)
{
	bool in_list = false;
	size_t len, indent;

	for (; *text; text += len + 1) {
		len = strcspn(text, "\n");
		indent = strspn(text, " ");
		if (!len || (!indent && in_list)) {
			fputs(".PP\n", f);
			in_list = false;
		}
		if (indent == 2) {
			put_item(f, text + indent, len - indent);
			in_list = true;
		} else if (len) {
			put_line(f, text + indent, len - indent);
		}
	}
}

static void put_examples(FILE *f, const char *text)
{
	size_t len, indent;

	fputs(".SH EXAMPLES\n.nf\n", f);
	for (; *text; text += len + 1) {
		len = strcspn(text, "\n");
		indent = len < 2 ? len : 2;
		put_line(f, text + indent, len - indent);
	}
	fputs(".fi\n", f);
}

static void put_option_name(FILE *f, const struct cli_option *opt)
{
	fputs("\\fB\\-\\-", f);
	put_string(f, opt->name);
	fputs("\\fR", f);
	if (opt->arg) {
		fputs(" \\fI", f);
		put_string(f, opt->arg);
		fputs("\\fR", f);
	}
}

static void put_synopsis(FILE *f, const struct cli_verb *verb)
{
	const struct cli_option *opt;

	fputs(".SH SYNOPSIS\n.nh\n\\fBfprctl ", f);
	put_string(f, verb->name);
	fputs("\\fR\n", f);
	for (opt = verb->options; opt->name; opt++) {
		fputs("[", f);
		put_option_name(f, opt);
		fputs("]\n", f);
	}
	if (verb->operands) {
		fputs("\\fI", f);
		put_string(f, verb->operands);
		fputs("\\fR\n", f);
	}
	fputs(".hy\n", f);
}

static void put_option(FILE *f, const struct cli_option *opt)
{
	fputs(".TP\n", f);
	if (cli_letter(opt->id))
		fprintf(f, "\\fB\\-%c\\fR, ", cli_letter(opt->id));
	put_option_name(f, opt);
	fputc('\n', f);
	put_line(f, opt->help, strlen(opt->help));
}

static void put_options(FILE *f, const struct cli_verb *verb)
{
	const struct cli_option *opt;

	fputs(".SH OPTIONS\n", f);
	for (opt = verb->options; opt->name; opt++)
		put_option(f, opt);
	put_option(f, &cli_help_option);
}

static void put_exits(FILE *f)
{
	const struct cli_exit *status;

	fputs(".SH EXIT STATUS\n", f);
	for (status = cli_exits; status->meaning; status++)
		fprintf(f, ".TP\n\\fB%d\\fR\n%s\n", status->status, status->meaning);
}

static void put_head(FILE *f, const char *page, const char *summary)
{
	const char *c;

	fputs(".\\\" SPDX-License-Identifier: GPL-2.0-only\n"
	      ".\\\" Made from the verb table of fprctl by fprctl-doc.\n.TH ", f);
	for (c = page; *c; c++)
		fputc(toupper((unsigned char)*c), f);
	fprintf(f, " 8 \"\" \"fprctl %s\" \"System administration\"\n.SH NAME\n", FPRCTL_VERSION);
	put_string(f, page);
	fputs(" \\- ", f);
	fputc(tolower((unsigned char)summary[0]), f);
	put_line(f, summary + 1, strlen(summary + 1));
}

static void put_verb_page(FILE *f, const char *page, const struct cli_verb *verb)
{
	put_head(f, page, verb->summary);
	put_synopsis(f, verb);
	fputs(".SH DESCRIPTION\n", f);
	put_string(f, verb->summary);
	fputs(".\n.PP\n", f);
	if (verb->details)
		put_details(f, verb->details);
	put_options(f, verb);
	if (verb->notes) {
		fputs(".SH NOTES\n", f);
		put_details(f, verb->notes);
	}
	if (verb->examples)
		put_examples(f, verb->examples);
	put_exits(f);
	fputs(".SH SEE ALSO\n.BR fprctl (8)\n", f);
}

/* Of all verbs: their pages and what they do. */
static void put_verbs(FILE *f)
{
	char page[DOC_NAME_MAX];
	const struct cli_verb *verb;
	size_t i;

	for (i = 0; (verb = fprctl_verbs[i]); i++) {
		doc_page_name(page, verb->name);
		fputs(".TP\n", f);
		put_bold(f, page, strlen(page));
		fputs("(8)\n", f);
		put_string(f, verb->summary);
		fputs(".\n", f);
	}
}

static void put_main_page(FILE *f, const char *page)
{
	put_head(f, page, "the free page filter of KVM's dirty log");
	fputs(".SH SYNOPSIS\n"
	      "\\fBfprctl\\fR \\fIVERB\\fR [\\fIARGUMENT\\fR]...\n.br\n"
	      "\\fBfprctl\\fR \\fIVERB\\fR \\fB\\-\\-help\\fR\n.br\n"
	      "\\fBfprctl\\fR \\fB\\-\\-help\\fR | \\fB\\-\\-version\\fR\n"
	      ".SH DESCRIPTION\n", f);
	put_details(f, fprctl_about);
	fputs(".SH VERBS\nEach has a page of its own.\n", f);
	put_verbs(f);
	put_examples(f, fprctl_examples);
	put_exits(f);
}

/* Writes a page; @verb: NULL for that of fprctl itself. */
static void write_page(const char *dir, const char *page, const struct cli_verb *verb)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.8", dir, page);
	f = fopen(path, "w");
	if (!f)
		err(FPR_ERROR, "%s", path);
	if (verb)
		put_verb_page(f, page, verb);
	else
		put_main_page(f, page);
	if (ferror(f) | fclose(f))
		err(FPR_ERROR, "%s", path);
}

void doc_write_pages(const char *dir)
{
	char page[DOC_NAME_MAX];
	const struct cli_verb *verb;
	size_t i;

	write_page(dir, "fprctl", NULL);
	for (i = 0; (verb = fprctl_verbs[i]); i++) {
		doc_page_name(page, verb->name);
		write_page(dir, page, verb);
	}
}
