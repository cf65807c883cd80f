/* SPDX-License-Identifier: GPL-2.0-only */
/* Documents that are made from the verb table. */
#ifndef FPRCTL_DOC_H
#define FPRCTL_DOC_H

#include <stddef.h>

/* Room for the longest name of a page or of a verb's words. */
#define DOC_NAME_MAX	80

/**
 * doc_page_name - the name of a verb's manual page, such as "fprctl-bitmap-info"
 * @name: out: DOC_NAME_MAX bytes
 */
void doc_page_name(char *name, const char *verb);

/* doc_write_pages - write all manual pages to a directory */
void doc_write_pages(const char *dir);

/* doc_print_completion - print the tables that doc/completion.bash goes by */
void doc_print_completion(void);

#endif
