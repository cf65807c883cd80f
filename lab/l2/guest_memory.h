/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Buffers of random pages that can be checked at any time: what a page must
 * hold follows from its buffer's seed, its index and its version alone.
 */
#ifndef LAB_GUEST_MEMORY_H
#define LAB_GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_PAGE_SIZE 4096UL

/**
 * struct page_buffer - a mapping of pages with known content
 * @name:	what a report calls the buffer
 * @base:	the mapping
 * @npages:	its size
 * @seed:	makes its content differ from every other buffer's
 * @version:	one counter a page, counted up by each fill and by each free:
 *		odd says the page is live, and no two fills of a page write
 *		the same content, so an old copy of it is found out
 */
struct page_buffer {
	const char *name;
	uint64_t *base;
	size_t npages;
	uint64_t seed;
	uint32_t *version;
};

/**
 * struct verify_result - what verifying found, added up over buffers
 * @pages:	live pages that were looked at
 * @wrong:	pages among them that hold something else than was written
 * @buffer:	name of the buffer with the first wrong page, NULL if none
 * @page:	that page's index in the buffer
 * @word:	index of the page's first wrong 64-bit word
 * @expected:	what was written there
 * @found:	what is there
 */
struct verify_result {
	uint64_t pages;
	uint64_t wrong;
	const char *buffer;
	size_t page;
	size_t word;
	uint64_t expected;
	uint64_t found;
};

/* Maps @npages pages, none of them live; false and errno on failure. */
bool buffer_create(struct page_buffer *buf, const char *name, size_t npages,
		   uint64_t seed, bool small_pages);

/* Writes new content to @n pages from @first and makes them live. */
void buffer_fill(struct page_buffer *buf, size_t first, size_t n);

/* Gives @n live pages from @first back to the kernel; false and errno. */
bool buffer_free(struct page_buffer *buf, size_t first, size_t n);

/* Checks every word of every live page, adding to @result. */
void buffer_verify(const struct page_buffer *buf, struct verify_result *result);

#endif /* LAB_GUEST_MEMORY_H */
