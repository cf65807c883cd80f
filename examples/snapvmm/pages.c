// SPDX-License-Identifier: GPL-2.0-only
/* Sets of the guest's pages: which the next snapshot has to hold. */
#include <stdbool.h>
#include <string.h>

#include "checked.h"
#include "pages.h"

void pages_create(struct pages *pages, const struct vm *vm)
{
	pages->words = (vm_pages(vm) + 63) / 64;
	pages->bits = checked_calloc(pages->words, sizeof(*pages->bits));
	pages->log = checked_calloc(pages->words, sizeof(*pages->log));
}

void pages_add_dirty(struct pages *pages, const struct vm *vm)
{
	size_t i;

	vm_take_dirty_log(vm, pages->log);
	for (i = 0; i < pages->words; i++)
		pages->bits[i] |= pages->log[i];
}

/* A page is the same as itself moved by a byte only if all its bytes are the same. */
static bool is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE_BYTES - 1);
}

void pages_find_used(struct pages *pages, const struct vm *vm)
{
	size_t page;

	pages_clear(pages);
	for (page = 0; page < vm_pages(vm); page++) {
		if (!is_zero(vm->memory + page * PAGE_BYTES))
			pages->bits[page / 64] |= 1ULL << page % 64;
	}
}

void pages_fill(struct pages *pages, const struct vm *vm)
{
	size_t page;

	for (page = 0; page < vm_pages(vm); page++)
		pages->bits[page / 64] |= 1ULL << page % 64;
}

void pages_clear(struct pages *pages)
{
	memset(pages->bits, 0, pages->words * sizeof(*pages->bits));
}

static bool has(const struct pages *pages, size_t page)
{
	return pages->bits[page / 64] >> page % 64 & 1;
}

struct extent *pages_extents(const struct pages *pages, size_t *nr)
{
	struct extent *extents = NULL;
	size_t room = 0;
	size_t page;

	*nr = 0;
	for (page = 0; page < pages->words * 64; page++) {
		if (!has(pages, page))
			continue;
		if (page && has(pages, page - 1)) {
			extents[*nr - 1].nr++;
			continue;
		}
		if (*nr == room) {
			size_t more_room = room ? 2 * room : 64;
			struct extent *more = realloc(extents, more_room * sizeof(*extents));

			if (!more)
				err(1, "memory");
			extents = more;
			room = more_room;
		}
		extents[(*nr)++] = (struct extent) { .first = page, .nr = 1 };
	}
	return extents;
}
