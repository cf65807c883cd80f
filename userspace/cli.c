// SPDX-License-Identifier: GPL-2.0-only
/* Command line: verbs, options, help and numbers. */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <linux/kvm_fpr.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "wire.h"

#define HELP_WIDTH	78
#define MAX_SECONDS	1000000

/* getopt_long()'s value of a long option: what no short option can be. */
#define OPT_VAL(id)	(256 + (int)(id))

const struct cli_option cli_help_option = {
	OPT_HELP, "help", NULL, "print this help"
};

const struct cli_exit cli_exits[] = {
	{ FPR_OK, "success" },
	{ FPR_ERROR, "an error" },
	{ FPR_USAGE, "wrong usage" },
	{ FPR_NO_FILTER, "a kernel without the filter" },
	{ FPR_STALE, "a stale epoch: arm again" },
	{ 0 }
};

static const struct {
	enum cli_option_id id;
	char letter;
} short_forms[] = {
	{ OPT_ALL, 'a' },
	{ OPT_EPOCH, 'e' },
	{ OPT_GUEST, 'g' },
	{ OPT_HELP, 'h' },
	{ OPT_JSON, 'j' },
	{ OPT_NO_HEADINGS, 'n' },
	{ OPT_OUTPUT, 'o' },
	{ OPT_TIMEOUT, 't' },
	{ OPT_WATCH, 'w' },
};

#define NR_LETTERS	(sizeof(short_forms) / sizeof(short_forms[0]))

char cli_letter(enum cli_option_id id)
{
	size_t i;

	for (i = 0; i < NR_LETTERS; i++) {
		if (short_forms[i].id == id)
			return short_forms[i].letter;
	}
	return 0;
}

static const char *program(void)
{
	return program_invocation_short_name;
}

/* Whether the first word of the verb's name is @group; all are in the group "". */
static bool is_in_group(const struct cli_verb *verb, const char *group)
{
	size_t len = strlen(group);

	return !len || (!strncmp(verb->name, group, len) && verb->name[len] == ' ');
}

/* Prints one word of a synopsis, on a new line if it would not fit. */
static void print_synopsis_word(const char *word, int indent, int *column)
{
	if (*column + 1 + (int)strlen(word) > HELP_WIDTH) {
		printf("\n%*s", indent, "");
		*column = indent;
	}
	*column += printf(" %s", word);
}

static void print_synopsis(const struct cli_verb *verb)
{
	const struct cli_option *opt;
	char word[80];
	int indent, column;

	indent = column = printf("Usage: %s %s", program(), verb->name);
	for (opt = verb->options; opt->name; opt++) {
		if (opt->arg)
			snprintf(word, sizeof(word), "[--%s %s]", opt->name,
				 opt->arg);
		else
			snprintf(word, sizeof(word), "[--%s]", opt->name);
		print_synopsis_word(word, indent, &column);
	}
	if (verb->operands)
		print_synopsis_word(verb->operands, indent, &column);
	putchar('\n');
}

static void print_option(const struct cli_option *opt)
{
	char left[80], letter[] = { '-', cli_letter(opt->id), ',', ' ', '\0' };

	snprintf(left, sizeof(left), "%s--%s %s", letter[1] ? letter : "", opt->name,
		 opt->arg ? opt->arg : "");
	printf("  %-20s %s\n", left, opt->help);
}

static void print_verb_help(const struct cli_verb *verb)
{
	const struct cli_option *opt;

	print_synopsis(verb);
	printf("\n%s.\n\nOptions:\n", verb->summary);
	for (opt = verb->options; opt->name; opt++)
		print_option(opt);
	print_option(&cli_help_option);
	if (verb->details)
		printf("\n%s", verb->details);
	if (verb->examples)
		printf("\nExamples:\n%s", verb->examples);
}

static void print_exits(void)
{
	const struct cli_exit *exit_status;

	puts("\nExit status:");
	for (exit_status = cli_exits; exit_status->meaning; exit_status++)
		printf("  %d  %s\n", exit_status->status, exit_status->meaning);
}

static void print_verbs(const struct cli_verb * const *verbs, const char *group)
{
	const struct cli_verb *verb;

	puts("\nVerbs:");
	for (; (verb = *verbs); verbs++) {
		if (is_in_group(verb, group))
			printf("  %-15s %s\n", verb->name, verb->summary);
	}
}

static void print_help(const struct cli_verb * const *verbs, const char *about)
{
	printf("Usage: %s VERB [ARGUMENT]...\n"
	       "       %s VERB --help | help VERB\n"
	       "       %s --help | --version\n"
	       "\n%s", program(), program(), program(), about);
	print_verbs(verbs, "");
	print_exits();
}

static void print_group_help(const struct cli_verb * const *verbs, const char *group)
{
	printf("Usage: %s %s VERB [ARGUMENT]...\n"
	       "       %s %s VERB --help\n", program(), group, program(), group);
	print_verbs(verbs, group);
}

static enum fpr_status usage_error(const struct cli_verb *verb, const char *what,
				   const char *text)
{
	warnx("%s%s: see '%s %s --help'", what, text, program(), verb->name);
	return FPR_USAGE;
}

static void fill_long_options(const struct cli_verb *verb, struct option *opts)
{
	const struct cli_option *opt;
	size_t n = 0;

	for (opt = verb->options; opt->name; opt++)
		opts[n++] = (struct option) {
			.name = opt->name,
			.has_arg = opt->arg ? required_argument : no_argument,
			.val = OPT_VAL(opt->id),
		};
	opts[n] = (struct option) {
		.name = cli_help_option.name,
		.val = OPT_VAL(cli_help_option.id),
	};
}

/* getopt_long() names a bad short option in optopt, a bad long one not at all. */
static enum fpr_status bad_option(const struct cli_verb *verb, char **argv)
{
	char short_option[] = { '-', (char)optopt, '\0' };

	if (optopt >= OPT_VAL(0))
		return usage_error(verb, "this option takes no argument: ",
				   argv[optind - 1]);
	if (optopt)
		return usage_error(verb, "unknown option ", short_option);
	return usage_error(verb, "unknown or ambiguous option ", argv[optind - 1]);
}

static bool takes_rest(const struct cli_option *opt)
{
	size_t len = opt->arg ? strlen(opt->arg) : 0;

	return len > 3 && !strcmp(opt->arg + len - 3, "...");
}

/*
 * Takes a command from the end of the line, with the option in front of it, before anything
 * looks for options there.
 */
static enum fpr_status take_command(const struct cli_verb *verb, int *argc, char **argv,
				    struct cli_args *args)
{
	const struct cli_option *opt = verb->options;
	int i;

	while (opt->name && !takes_rest(opt))
		opt++;
	for (i = 1; opt->name && i < *argc; i++) {
		if (strncmp(argv[i], "--", 2) || strcmp(argv[i] + 2, opt->name))
			continue;
		args->command = argv + i + 1;
		if (i + 1 == *argc)
			return usage_error(verb, "an argument is missing after ", argv[i]);
		args->option[opt->id] = argv[i + 1];
		*argc = i;
	}
	return FPR_OK;
}

/* The letters for getopt_long(): ":h", and those of the verb's options. */
static void fill_letters(const struct cli_verb *verb, char *text)
{
	const struct cli_option *opt;

	*text++ = ':';
	*text++ = cli_letter(OPT_HELP);
	for (opt = verb->options; opt->name; opt++) {
		if (!cli_letter(opt->id))
			continue;
		*text++ = cli_letter(opt->id);
		if (opt->arg)
			*text++ = ':';
	}
	*text = '\0';
}

static const struct cli_option *option_of(const struct cli_verb *verb, char letter)
{
	const struct cli_option *opt = verb->options;

	while (opt->name && cli_letter(opt->id) != letter)
		opt++;
	return opt->name ? opt : &cli_help_option;
}

static enum fpr_status parse_options(const struct cli_verb *verb, int argc,
				     char **argv, struct cli_args *args)
{
	char short_options[2 * NR_LETTERS + 2];
	struct option opts[NR_OPTS + 1] = { 0 };
	const struct cli_option *opt;
	int c, index;

	if (take_command(verb, &argc, argv, args))
		return FPR_USAGE;
	fill_long_options(verb, opts);
	fill_letters(verb, short_options);
	opterr = 0;
	while ((c = getopt_long(argc, argv, short_options, opts, &index)) != -1) {
		switch (c) {
		case ':':
			return usage_error(verb, "an argument is missing after ",
					   argv[optind - 1]);
		case '?':
			return bad_option(verb, argv);
		default:
			if (c < OPT_VAL(0)) {
				opt = option_of(verb, (char)c);
				args->option[opt->id] = optarg ? optarg : opt->name;
				break;
			}
			if (takes_rest(&verb->options[index]))
				return usage_error(verb, "in full, and with the command as arguments of its own, give --",
						   opts[index].name);
			args->option[c - OPT_VAL(0)] =
				optarg ? optarg : opts[index].name;
		}
	}
	args->operand = argv + optind;
	args->nr_operands = argc - optind;
	return FPR_OK;
}

/* No name, number or path is empty. */
static enum fpr_status check_empty(const struct cli_verb *verb, const struct cli_args *args)
{
	const struct cli_option *opt;
	int i;

	for (opt = verb->options; opt->name; opt++) {
		if (args->option[opt->id] && !*args->option[opt->id])
			return usage_error(verb, "an empty argument of --", opt->name);
	}
	for (i = 0; i < args->nr_operands; i++) {
		if (!*args->operand[i])
			return usage_error(verb, "an empty operand, give ", verb->operands);
	}
	return FPR_OK;
}

static enum fpr_status check_operands(const struct cli_verb *verb, const struct cli_args *args)
{
	if (args->nr_operands < verb->min_operands)
		return usage_error(verb, "operands are missing, give ",
				   verb->operands);
	if (args->nr_operands > verb->max_operands)
		return usage_error(verb, "one operand too many: ",
				   args->operand[verb->max_operands]);
	return check_empty(verb, args);
}

static enum fpr_status run_verb(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_args args = { 0 };
	enum fpr_status status;

	status = parse_options(verb, argc, argv, &args);
	if (!status && args.option[OPT_HELP]) {
		print_verb_help(verb);
		return FPR_OK;
	}
	if (!status)
		status = check_operands(verb, &args);
	if (status)
		return args.command ? FPR_EXEC : status;
	return verb->run(&args);
}

static bool is_one_of(const char *text, const char *a, const char *b)
{
	return !strcmp(text, a) || !strcmp(text, b);
}

/* How many words at the beginning of @argv are @name, 0 if not all of it is there. */
static int match_name(const char *name, int argc, char **argv)
{
	const char *word = name;
	size_t len;
	int n;

	for (n = 0; n < argc; word++) {
		len = strcspn(word, " ");
		if (strncmp(argv[n], word, len) || argv[n][len])
			return 0;
		n++;
		word += len;
		if (!*word)
			return n;
	}
	return 0;
}

static bool is_group(const struct cli_verb * const *verbs, const char *word)
{
	const struct cli_verb *verb;

	for (; *word && (verb = *verbs); verbs++) {
		if (is_in_group(verb, word))
			return true;
	}
	return false;
}

/* @argv begins with the group's name; none of its verbs follows. */
static enum fpr_status run_group(const struct cli_verb * const *verbs, int argc, char **argv)
{
	if (argc < 2) {
		warnx("a verb is missing after %s: see '%s %s --help'", argv[0], program(),
		      argv[0]);
		return FPR_USAGE;
	}
	if (is_one_of(argv[1], "--help", "-h")) {
		print_group_help(verbs, argv[0]);
		return FPR_OK;
	}
	warnx("unknown verb '%s %s': see '%s %s --help'", argv[0], argv[1], program(),
	      argv[0]);
	return FPR_USAGE;
}

/* fprctl help [VERB]: @argv begins with the verb, or its group. */
static enum fpr_status run_help(const struct cli_verb * const *verbs, const char *about,
				int argc, char **argv)
{
	int i;

	if (!argc) {
		print_help(verbs, about);
		return FPR_OK;
	}
	for (i = 0; verbs[i]; i++) {
		if (match_name(verbs[i]->name, argc, argv) == argc) {
			print_verb_help(verbs[i]);
			return FPR_OK;
		}
	}
	if (argc == 1 && is_group(verbs, argv[0])) {
		print_group_help(verbs, argv[0]);
		return FPR_OK;
	}
	warnx("help: no verb '%s': see '%s --help'", argv[argc - 1], program());
	return FPR_USAGE;
}

enum fpr_status cli_main(const struct cli_verb * const *verbs, const char *about,
			 int argc, char **argv)
{
	const struct cli_verb *verb;
	int i, words;

	if (argc < 2) {
		warnx("a verb is missing: see '%s --help'", program());
		return FPR_USAGE;
	}
	if (is_one_of(argv[1], "--help", "-h")) {
		print_help(verbs, about);
		return FPR_OK;
	}
	if (is_one_of(argv[1], "--version", "-V")) {
		printf("fprctl %s (capability 0x%x, reports %d)\n", FPRCTL_VERSION,
		       KVM_CAP_FREE_PAGE_FILTER, WIRE_VERSION);
		return FPR_OK;
	}
	if (!strcmp(argv[1], "help"))
		return run_help(verbs, about, argc - 2, argv + 2);
	for (i = 0; (verb = verbs[i]); i++) {
		words = match_name(verb->name, argc - 1, argv + 1);
		if (words)
			return run_verb(verb, argc - words, argv + words);
	}
	if (is_group(verbs, argv[1]))
		return run_group(verbs, argc - 1, argv + 1);
	warnx("unknown %s '%s': see '%s --help'",
	      argv[1][0] == '-' ? "option" : "verb", argv[1], program());
	return FPR_USAGE;
}

int cli_number(const char *text, const char **end, uint64_t *number)
{
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	char *stop;

	/* strtoull() itself would accept spaces and a sign. */
	if (!isdigit((unsigned char)text[0]))
		return -1;

	errno = 0;
	*number = strtoull(text, &stop, base);
	if (errno || (!end && *stop))
		return -1;
	if (end)
		*end = stop;
	return 0;
}

/* The power of two that a suffix stands for, or -1. */
static int suffix_shift(const char *suffix)
{
	static const char letters[] = "KMGT";
	const char *letter;

	if (!*suffix)
		return 0;
	letter = strchr(letters, toupper((unsigned char)suffix[0]));
	if (!letter || suffix[1])
		return -1;
	return 10 * (int)(letter - letters + 1);
}

enum fpr_status cli_epoch(const struct cli_args *args, uint64_t *epoch)
{
	const char *text = args->option[OPT_EPOCH];

	*epoch = 0;
	if (!text)
		return FPR_OK;
	if (cli_number(text, NULL, epoch) || !*epoch) {
		warnx("--epoch %s: not an epoch: give the number that arm printed",
		      text);
		return FPR_USAGE;
	}
	return FPR_OK;
}

enum fpr_status cli_bytes(const char *name, const char *text, uint64_t *bytes)
{
	const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	const char *suffix;
	uint64_t number;
	int shift;

	if (!text)
		return FPR_OK;
	if (cli_number(text, &suffix, &number) ||
	    (shift = suffix_shift(suffix)) < 0) {
		warnx("%s %s: not a number of bytes: give for example 0x100000, 4096K or 1G",
		      name, text);
		return FPR_USAGE;
	}
	if (number > UINT64_MAX >> shift) {
		warnx("%s %s: too large: guest addresses have 64 bits",
		      name, text);
		return FPR_USAGE;
	}
	number <<= shift;
	if (number % page_size) {
		warnx("%s %s: not a multiple of the page size, %llu",
		      name, text, (unsigned long long)page_size);
		return FPR_USAGE;
	}
	*bytes = number;
	return FPR_OK;
}

enum fpr_status cli_seconds(const char *name, const char *text, uint64_t *seconds)
{
	if (!text)
		return FPR_OK;
	if (cli_number(text, NULL, seconds) || !*seconds || *seconds > MAX_SECONDS) {
		warnx("%s %s: give a number of seconds, from 1 to %d", name, text, MAX_SECONDS);
		return FPR_USAGE;
	}
	return FPR_OK;
}
