// SPDX-License-Identifier: GPL-2.0-only
/* The tables for bash from the verb table. */
#include <stdio.h>
#include <string.h>

#include "doc.h"
#include "../verbs.h"

/* The first word of a name, or all of it. */
static size_t first_word(const char *name)
{
	return strcspn(name, " ");
}

static int is_first_of_group(size_t i)
{
	const char *name = fprctl_verbs[i]->name;
	size_t len = first_word(name);

	return !i || first_word(fprctl_verbs[i - 1]->name) != len ||
	       strncmp(fprctl_verbs[i - 1]->name, name, len);
}

static void print_verbs(void)
{
	const struct cli_verb *verb;
	size_t i;

	printf("_fprctl_verbs='");
	for (i = 0; (verb = fprctl_verbs[i]); i++) {
		if (is_first_of_group(i))
			printf("%.*s ", (int)first_word(verb->name), verb->name);
	}
	puts("help --help --version'");
}

/* Groups stand together in the table. */
static void print_groups(void)
{
	const struct cli_verb *verb;
	size_t i;

	puts("declare -gA _fprctl_groups=(");
	for (i = 0; (verb = fprctl_verbs[i]); i++) {
		size_t len = first_word(verb->name);

		if (!verb->name[len])
			continue;
		if (is_first_of_group(i))
			printf("\t[%.*s]='", (int)len, verb->name);
		printf("%s ", verb->name + len + 1);
		if (!fprctl_verbs[i + 1] || is_first_of_group(i + 1))
			puts("--help'");
	}
	puts(")");
}

static void print_options(void)
{
	const struct cli_verb *verb;
	const struct cli_option *opt;
	size_t i;

	puts("declare -gA _fprctl_options=(");
	for (i = 0; (verb = fprctl_verbs[i]); i++) {
		printf("\t['%s']='", verb->name);
		for (opt = verb->options; opt->name; opt++)
			printf("--%s ", opt->name);
		printf("--%s'\n", cli_help_option.name);
	}
	puts(")");
}

static void print_arguments(void)
{
	const struct cli_verb *verb;
	const struct cli_option *opt;
	size_t i;

	puts("declare -gA _fprctl_arguments=(");
	for (i = 0; (verb = fprctl_verbs[i]); i++) {
		for (opt = verb->options; opt->name; opt++) {
			if (!opt->arg)
				continue;
			printf("\t['%s --%s']='%s'\n", verb->name, opt->name, opt->arg);
			if (cli_letter(opt->id))
				printf("\t['%s -%c']='%s'\n", verb->name, cli_letter(opt->id), opt->arg);
		}
	}
	puts(")");
}

/* Without what says that one may be left out. */
static void print_operands(void)
{
	const struct cli_verb *verb;
	const char *c;
	size_t i;

	puts("declare -gA _fprctl_operands=(");
	for (i = 0; (verb = fprctl_verbs[i]); i++) {
		if (!verb->operands)
			continue;
		printf("\t['%s']='", verb->name);
		for (c = verb->operands; *c; c++) {
			if (!strchr("[]", *c))
				putchar(*c);
		}
		puts("'");
	}
	puts(")");
}

void doc_print_completion(void)
{
	puts("# shellcheck shell=bash\n"
	     "# bash completion of fprctl. The tables are made from its verb table by fprctl-doc.");
	print_verbs();
	print_groups();
	print_options();
	print_arguments();
	print_operands();
}
