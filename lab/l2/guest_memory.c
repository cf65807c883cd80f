// SPDX-License-Identifier: GPL-2.0-only
/*
 * Filling, freeing and verifying the lab guest's buffers.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "guest_memory.h"

#define WORDS_PER_PAGE (GUEST_PAGE_SIZE / sizeof(uint64_t))

/* Start of a page's sequence: splitmix64's finisher over what names the page. */
static uint64_t page_state(const struct page_buffer *buf, size_t page)
{
	uint64_t z = buf->seed + ((uint64_t)buf->version[page] << 32 | page);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	/* from 0, xorshift never leaves 0 */
	return (z ^ (z >> 31)) | 1;
}

/* xorshift64: shifts only, because this runs under two levels of emulation. */
static inline uint64_t next_word(uint64_t state)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^ state << 17;
}

static uint64_t *page_address(const struct page_buffer *buf, size_t page)
{
	return buf->base + page * WORDS_PER_PAGE;
}

static bool page_live(const struct page_buffer *buf, size_t page)
{
	return buf->version[page] & 1;
}

bool buffer_create(struct page_buffer *buf, const char *name, size_t npages,
		   uint64_t seed, bool small_pages)
{
	size_t size = npages * GUEST_PAGE_SIZE;

	buf->name = name;
	buf->npages = npages;
	buf->seed = seed;
	buf->version = calloc(npages, sizeof(*buf->version));
	if (!buf->version)
		return false;
	buf->base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (buf->base == MAP_FAILED)
		return false;
	/* A huge page would only be split, not freed, page by page. */
	return !small_pages || !madvise(buf->base, size, MADV_NOHUGEPAGE);
}

void buffer_fill(struct page_buffer *buf, size_t first, size_t n)
{
	for (size_t page = first; page < first + n; page++) {
		uint64_t *words = page_address(buf, page);
		uint64_t state;

		/* A live page becomes live again, with another version. */
		buf->version[page] += 1 + page_live(buf, page);
		state = page_state(buf, page);
		for (size_t i = 0; i < WORDS_PER_PAGE; i++) {
			state = next_word(state);
			words[i] = state;
		}
	}
}

bool buffer_free(struct page_buffer *buf, size_t first, size_t n)
{
	if (madvise(page_address(buf, first), n * GUEST_PAGE_SIZE,
		    MADV_DONTNEED))
		return false;
	for (size_t page = first; page < first + n; page++)
		buf->version[page] += page_live(buf, page);
	return true;
}

static bool page_verify(const struct page_buffer *buf, size_t page,
			struct verify_result *bad)
{
	const uint64_t *words = page_address(buf, page);
	uint64_t state = page_state(buf, page);

	for (size_t i = 0; i < WORDS_PER_PAGE; i++) {
		state = next_word(state);
		if (words[i] == state)
			continue;
		if (!bad->buffer) {
			bad->buffer = buf->name;
			bad->page = page;
			bad->word = i;
			bad->expected = state;
			bad->found = words[i];
		}
		return false;
	}
	return true;
}

void buffer_verify(const struct page_buffer *buf, struct verify_result *result)
{
	for (size_t page = 0; page < buf->npages; page++) {
		if (!page_live(buf, page))
			continue;
		result->pages++;
		result->wrong += !page_verify(buf, page, result);
	}
}
