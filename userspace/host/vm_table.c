// SPDX-License-Identifier: GPL-2.0-only
/* VMs as a table. */
#include <err.h>
#include <stdio.h>
#include <string.h>

#include "vm_table.h"

#define TEXT_MAX	(VM_PROGRAM_MAX + VM_NAME_MAX)

/**
 * struct vm_column - one column
 * @name: on the command line
 * @heading: above it
 * @width: below 0: from the left
 * @text: what it says of a VM, in TEXT_MAX bytes; "": that is not known
 * @stat: in its place, where in struct vm_stats its number is
 */
struct vm_column {
	const char *name;
	const char *heading;
	int width;
	void (*text)(const struct vm_entry *vm, char *text);
	size_t stat;
};

static void pid_text(const struct vm_entry *vm, char *text)
{
	snprintf(text, TEXT_MAX, "%d", vm->pid);
}

static void fd_text(const struct vm_entry *vm, char *text)
{
	snprintf(text, TEXT_MAX, "%d", vm->fd);
}

static void program_text(const struct vm_entry *vm, char *text)
{
	snprintf(text, TEXT_MAX, "%s", vm->program);
}

static void name_text(const struct vm_entry *vm, char *text)
{
	snprintf(text, TEXT_MAX, "%s", vm->name);
}

static void memory_text(const struct vm_entry *vm, char *text)
{
	if (vm->knows_memory)
		snprintf(text, TEXT_MAX, "%llu", (unsigned long long)vm->memory_kib / 1024);
}

static void logging_text(const struct vm_entry *vm, char *text)
{
	if (vm->knows_stats)
		snprintf(text, TEXT_MAX, "%s", vm->stats.logging ? "on" : "off");
}

static void armed_text(const struct vm_entry *vm, char *text)
{
	if (vm->knows_stats)
		snprintf(text, TEXT_MAX, "%s", vm->stats.armed ? "yes" : "no");
}

#define STAT(name, heading, field)	\
	{ name, heading, 10, NULL, offsetof(struct vm_stats, field) }

static const struct vm_column columns[] = {
	{ "pid", "PID", 7, pid_text },
	{ "fd", "FD", 4, fd_text },
	{ "program", "PROGRAM", -20, program_text },
	{ "memory", "MEMORY/MiB", 10, memory_text },
	{ "logging", "LOGGING", -7, logging_text },
	{ "armed", "ARMED", -5, armed_text },
	STAT("memslots", "MEMSLOTS", logging),
	STAT("mapped", "MAPPED", mapped),
	STAT("epochs", "EPOCHS", epochs),
	STAT("reported", "REPORTED", reported),
	STAT("touched", "TOUCHED", touched),
	STAT("filtered", "FILTERED", filtered),
	STAT("confirmed", "CONFIRMED", confirmed),
	{ "name", "NAME", -20, name_text },
};

#define NR_COLUMNS	(sizeof(columns) / sizeof(columns[0]))

static const struct vm_column *find_column(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < NR_COLUMNS; i++) {
		if (strlen(columns[i].name) == len && !strncmp(columns[i].name, name, len))
			return &columns[i];
	}
	return NULL;
}

enum fpr_status vm_table_parse(struct vm_table *table, const char *names)
{
	size_t len;

	table->nr = 0;
	for (;; names += len + 1) {
		len = strcspn(names, ",");
		if (table->nr == VM_TABLE_MAX) {
			warnx("--output: more than %d columns", VM_TABLE_MAX);
			return FPR_USAGE;
		}
		table->column[table->nr] = find_column(names, len);
		if (!table->column[table->nr++]) {
			warnx("--output: no column '%.*s': see --help for their names", (int)len, names);
			return FPR_USAGE;
		}
		if (!names[len])
			return FPR_OK;
	}
}

/* The last column is not padded. */
static void print_cell(const struct vm_table *table, size_t i, const char *text)
{
	int width = table->column[i]->width;

	if (i + 1 == table->nr && width < 0)
		width = 0;
	printf("%s%*s", i ? " " : "", width, text);
}

static void print_row(const struct vm_table *table, const struct vm_entry *vm)
{
	const struct vm_column *column;
	char text[TEXT_MAX];
	size_t i;

	for (i = 0; i < table->nr; i++) {
		column = table->column[i];
		text[0] = '\0';
		if (column->text)
			column->text(vm, text);
		else if (vm->knows_stats)
			snprintf(text, sizeof(text), "%llu", *(const unsigned long long *)
				 ((const char *)&vm->stats + column->stat));
		print_cell(table, i, text[0] ? text : "-");
	}
	putchar('\n');
}

void vm_table_print(const struct vm_table *table, const struct vm_list *list, bool headings)
{
	size_t i;

	for (i = 0; headings && i < table->nr; i++)
		print_cell(table, i, table->column[i]->heading);
	if (headings)
		putchar('\n');
	for (i = 0; i < list->nr; i++)
		print_row(table, &list->vm[i]);
}
