/* SPDX-License-Identifier: GPL-2.0-only */
/* The verb table: parsing and help are both made from it. */
#ifndef FPRCTL_CLI_H
#define FPRCTL_CLI_H

#include <stdint.h>

#include "status.h"

#define FPRCTL_VERSION	"0.1"

enum cli_option_id {
	OPT_ALL,
	OPT_CONFIRMED,
	OPT_DEVICE,
	OPT_DRY_RUN,
	OPT_EPOCH,
	OPT_EXEC,
	OPT_FROM,
	OPT_GPA,
	OPT_GUEST,
	OPT_HELP,
	OPT_JSON,
	OPT_MAP,
	OPT_MAX_MEMORY,
	OPT_NO_DIFF,
	OPT_NO_HEADINGS,
	OPT_OUTPUT,
	OPT_PAGES,
	OPT_PROMETHEUS,
	OPT_RANGES,
	OPT_SERVE,
	OPT_SIZE,
	OPT_SOURCE,
	OPT_TIMEOUT,
	OPT_TO,
	OPT_TRUST_ENDPOINT,
	OPT_TRUST_LOG,
	OPT_UNLESS_DATA,
	OPT_WATCH,
	OPT_ZERO_DESTINATION,
	NR_OPTS,
};

struct cli_option {
	enum cli_option_id id;
	const char *name;
	const char *arg;	/* NULL: a switch; "COMMAND...": it takes the rest of the line */
	const char *help;
};

/** cli_letter - the short form of an option, the same for every verb; 0: it has none */
char cli_letter(enum cli_option_id id);

/* Options that several verbs have. */
#define CLI_JSON_OPTION	{ OPT_JSON, "json", NULL, "print one JSON object" }

/* What was given on the command line of one verb. */
struct cli_args {
	const char *option[NR_OPTS];	/* NULL: not given; a switch: its name */
	char **operand;
	int nr_operands;
	char **command;		/* of the option that takes the rest of the line, or NULL */
};

struct cli_verb {
	const char *name;	/* one word, or a group's and its own */
	const char *operands;	/* as the synopsis shows them, or NULL */
	int min_operands;
	int max_operands;
	const char *summary;
	const struct cli_option *options;	/* ends with a NULL name */
	const char *details;	/* or NULL; see Text below */
	const char *examples;	/* lines, each behind two spaces, or NULL */
	const char *notes;	/* for the manual page alone, or NULL */
	enum fpr_status (*run)(const struct cli_args *args);
};

/*
 * Text is in paragraphs with an empty line between.  A line "  TERM  TEXT" is an item
 * of a list, TERM alone one too; lines that are indented more go on with it.
 */

/* Every verb has it, so no verb lists it. */
extern const struct cli_option cli_help_option;

struct cli_exit {
	enum fpr_status status;
	const char *meaning;
};

/* Ends with a NULL meaning. */
extern const struct cli_exit cli_exits[];

/**
 * cli_main - find the verb in @verbs, parse its arguments and run it
 * @verbs: the table, which ends with NULL
 * @about: what the program is, for --help
 */
enum fpr_status cli_main(const struct cli_verb * const *verbs, const char *about, int argc,
			 char **argv);

/**
 * cli_epoch - the value of --epoch
 * @epoch: set to 0 if the option was not given
 */
enum fpr_status cli_epoch(const struct cli_args *args, uint64_t *epoch);

/**
 * cli_bytes - the value of an option that counts bytes of guest memory
 * @name: the option, for the message
 * @text: its value, or NULL if it was not given
 * @bytes: left alone if the option was not given
 *
 * Accepts decimal and 0x numbers with a suffix K, M, G or T, and only
 * multiples of the page size.
 */
enum fpr_status cli_bytes(const char *name, const char *text, uint64_t *bytes);

/**
 * cli_seconds - the value of an option that counts seconds, from 1 on
 * @name: the option, for the message
 * @text: its value, or NULL if it was not given
 * @seconds: left alone if the option was not given
 */
enum fpr_status cli_seconds(const char *name, const char *text, uint64_t *seconds);

/**
 * cli_number - parse a whole string as a decimal or 0x number
 * @end: if not NULL, characters may follow; set to the first of them
 *
 * Return: 0, or -1 if there is no number or it is too large.
 */
int cli_number(const char *text, const char **end, uint64_t *number);

#endif
