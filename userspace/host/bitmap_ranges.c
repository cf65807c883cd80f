// SPDX-License-Identifier: GPL-2.0-only
/* Ranges of pages that follow each other in a bitmap. */
#include <stdbool.h>

#include "bitmap_ranges.h"
#include "wire.h"

#define WORD_PAGES	64
#define ALL_PAGES	UINT64_MAX

static void close_range(struct bitmap_ranges *ranges, uint64_t end)
{
	if (!ranges->open)
		return;
	if (ranges->open > ranges->longest)
		ranges->longest = ranges->open;
	if (ranges->each)
		ranges->each(ranges->opaque, end - ranges->open, ranges->open);
	ranges->open = 0;
}

/* Whether more than @longest pages follow each other in a word. */
static bool has_longer(uint64_t word, uint64_t longest)
{
	uint64_t have = 1;

	if (longest >= WORD_PAGES)
		return false;
	/* Bit n of @word: so many pages from page n on are named. */
	for (; 2 * have <= longest + 1; have *= 2)
		word &= word >> have;
	return (word & word >> (longest + 1 - have)) != 0;
}

/* Each range that ends in the word, one after the other. */
static void list_word(struct bitmap_ranges *ranges, uint64_t page, uint64_t word)
{
	uint64_t left = word, at = 0, gap, len;

	while (left) {
		gap = (uint64_t)__builtin_ctzll(left);
		if (gap)
			close_range(ranges, page + at);
		left >>= gap;
		at += gap;
		/* Not all are named, so there is an end. */
		len = (uint64_t)__builtin_ctzll(~left);
		ranges->nr += !ranges->open;
		ranges->open += len;
		left >>= len;
		at += len;
	}
	if (at < WORD_PAGES)
		close_range(ranges, page + at);
}

/* The same, where nobody wants to know each: no work for each. */
static void measure_word(struct bitmap_ranges *ranges, uint64_t page, uint64_t word)
{
	uint64_t begins = word & ~(word << 1 | (ranges->open != 0));

	ranges->nr += wire_count(begins);
	ranges->open += (uint64_t)__builtin_ctzll(~word);
	close_range(ranges, page);
	while (has_longer(word, ranges->longest))
		ranges->longest++;
	ranges->open = (uint64_t)__builtin_clzll(~word);
}

static void add_word(struct bitmap_ranges *ranges, uint64_t page, uint64_t word)
{
	if (!word) {
		close_range(ranges, page);
		return;
	}
	if (word == ALL_PAGES) {
		ranges->nr += !ranges->open;
		ranges->open += WORD_PAGES;
		ranges->nr_pages += WORD_PAGES;
		return;
	}
	ranges->nr_pages += wire_count(word);
	if (ranges->each)
		list_word(ranges, page, word);
	else
		measure_word(ranges, page, word);
}

void bitmap_ranges_add(struct bitmap_ranges *ranges, uint64_t first, const uint8_t *bits)
{
	uint32_t n;

	if (first != ranges->next)
		close_range(ranges, ranges->next);
	for (n = 0; n < WIRE_CHUNK_PAGES; n += WORD_PAGES)
		add_word(ranges, first + n, wire_word(bits + n / 8));
	ranges->next = first + WIRE_CHUNK_PAGES;
}

void bitmap_ranges_end(struct bitmap_ranges *ranges)
{
	close_range(ranges, ranges->next);
}
