/* SPDX-License-Identifier: GPL-2.0-only */
/* Sets of the guest's pages: which the next snapshot has to hold. */
#ifndef PAGES_H
#define PAGES_H

#include <stdint.h>

#include "vm.h"

/* So many pages, one after another. */
struct extent {
	uint64_t first;
	uint64_t nr;
};

/**
 * struct pages - a set of pages
 * @words:	length of @bits
 * @bits:	one a page
 * @log:	room for a dirty log
 */
struct pages {
	size_t words;
	uint64_t *bits;
	uint64_t *log;
};

/* The empty set. */
void pages_create(struct pages *pages, const struct vm *vm);

/* Adds what was written since this was asked last. */
void pages_add_dirty(struct pages *pages, const struct vm *vm);

/* Makes it the pages that hold something. */
void pages_find_used(struct pages *pages, const struct vm *vm);

/* Makes it all pages there are. */
void pages_fill(struct pages *pages, const struct vm *vm);

void pages_clear(struct pages *pages);

/*
 * The set as extents, and how many they are, in @nr: the caller's to free. Ends the program if
 * there is no memory.
 */
struct extent *pages_extents(const struct pages *pages, size_t *nr);

#endif /* PAGES_H */
