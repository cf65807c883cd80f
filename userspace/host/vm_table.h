/* SPDX-License-Identifier: GPL-2.0-only */
/* VMs as a table. */
#ifndef FPRCTL_VM_TABLE_H
#define FPRCTL_VM_TABLE_H

#include <stdbool.h>

#include "vm_list.h"

#define VM_TABLE_MAX	16

/* The names of all columns, for --help. */
#define VM_TABLE_HELP							\
"COLUMNS are names with commas between: pid, fd, program, memory (in MiB),\n" \
"logging, armed, memslots, mapped, epochs, reported, touched, filtered,\n"	\
"confirmed, name. What is not known is shown as -.\n"

struct vm_column;

/**
 * struct vm_table - the columns of a table, in their order
 */
struct vm_table {
	const struct vm_column *column[VM_TABLE_MAX];
	size_t nr;
};

/** vm_table_parse - the value of --output; @columns: names with commas between */
enum fpr_status vm_table_parse(struct vm_table *table, const char *columns);

/** vm_table_print - on stdout, with a line of headings above it or without */
void vm_table_print(const struct vm_table *table, const struct vm_list *list, bool headings);

#endif
