// SPDX-License-Identifier: GPL-2.0-only
/*
 * qemu/migration/free-page-dropped.c in migrations that the test plays, with random steps: a guest that writes and
 * frees, syncs, drops, pages that are sent; then postcopy with requests, and interruptions in which what was sent last
 * is lost.  scripts/tests/qemu_dropped_test builds and runs it, also with a rule of the file left out.
 *
 * What must hold: the guest finds at the destination what it needs; a request for a page that is not there is answered,
 * and no page comes twice; a page of a block of large pages comes as a whole; what comes of a dropped page is zeros.
 */
#include "qemu/osdep.h"
#include <stdio.h>
#include <stdlib.h>

#include "qemu/bitmap.h"
#include "migration/free-page-dropped.h"

#define PAGES 192ul	/* of the target's size, in the block */
#define LARGE 8ul	/* of these in a page of a block of large pages */
#define MAX_REQUESTS 64

#define MUST(condition)									\
	do {										\
		if (!(condition)) {							\
			fprintf(stderr, "seed %u: %s\n", seed, #condition);		\
			exit(1);							\
		}									\
	} while (0)

static unsigned int seed;
static bool postcopy_ram;
static RAMBlock block = { .idstr = "ram", .used_length = PAGES << TARGET_PAGE_BITS,
			  .max_length = PAGES << TARGET_PAGE_BITS };
static unsigned long bmap[PAGES / 64], received[PAGES / 64], is_dirty[PAGES / 64];
/* Which content a page has: 0 is zeros. */
static unsigned int source[PAGES], destination[PAGES], contents;
static bool needed[PAGES];
/* Pages of the block's own size. */
static bool present[PAGES];
/* Dropped, and not written since, when the guest was stopped. */
static bool was_dropped[PAGES];
static unsigned long dirty_pages, ratio, nr_requests, nr_zeros, nr_lost;
static unsigned long requests[MAX_REQUESTS];
/* What is sent now gets lost. */
static bool losing;
struct MigrationStats mig_stats;

bool migrate_postcopy_ram(void)
{
	return postcopy_ram;
}

int foreach_not_ignored_block(int (*func)(RAMBlock *rb, void *opaque), void *opaque)
{
	return func(&block, opaque);
}

/* The functions of patches/qemu that change what is to be sent */

uint64_t ram_bitmap_drop(RAMBlock *rb, unsigned long start, unsigned long npages, const unsigned long *which)
{
	uint64_t dropped;

	free_page_dropped_prepare(rb);
	dropped = free_page_clear_map(rb->bmap, start, which, 0, npages, rb->dropped);
	dirty_pages -= dropped;
	return dropped;
}

void ram_bitmap_add(RAMBlock *rb, unsigned long start, unsigned long npages)
{
	for (unsigned long page = start; page < start + npages; page++)
		dirty_pages += !test_and_set_bit(page, rb->bmap);
}

static unsigned long any(unsigned long below)
{
	return (unsigned long)rand() % below;
}

static void start_guest(void)
{
	for (unsigned long page = 0; page < PAGES; page++) {
		source[page] = any(4) ? ++contents : 0;
		needed[page] = source[page] && any(2);
		destination[page] = 0;
		present[page] = was_dropped[page] = false;
	}
	bitmap_zero(received, PAGES);
	bitmap_zero(is_dirty, PAGES);
	bitmap_fill(bmap, PAGES);
	block.bmap = bmap;
	dirty_pages = PAGES;
	nr_requests = 0;
	losing = false;
}

static void write_page(unsigned long page)
{
	source[page] = ++contents;
	needed[page] = true;
	set_bit(page, is_dirty);
}

/* A report names a page of the block's, in which nothing is needed or was written since the last sync. */
static void drop(unsigned long first)
{
	for (unsigned long page = first; page < first + ratio; page++) {
		if (needed[page] || test_bit(page, is_dirty))
			return;
	}
	ram_bitmap_drop(&block, first, ratio, NULL);
}

static void sync_bitmap(void)
{
	for (unsigned long page = 0; page < PAGES; page++) {
		if (test_and_clear_bit(page, is_dirty))
			ram_bitmap_add(&block, page, 1);
	}
	free_page_dropped_synced(&block);
}

/* As ram_save_target_page() does.  Returns what comes. */
static unsigned int take(unsigned long page)
{
	clear_bit(page, bmap);
	dirty_pages--;
	if (!free_page_dropped_take(&block, page))
		return source[page];
	nr_zeros++;
	return 0;
}

static void send_in_precopy(unsigned long page)
{
	if (!test_bit(page, bmap))
		return;
	destination[page] = take(page);
	MUST(destination[page] == source[page]);
	set_bit(page, received);
	present[page / ratio] = true;
	/* A transparent huge page brings a neighbour, of zeros. */
	if (ratio == 1 && any(2))
		present[page ^ 1] = true;
}

/* The guest stands still: as postcopy_each_ram_send_discard() does. */
static void switch_to_postcopy(void)
{
	sync_bitmap();
	for (unsigned long page = 0; page < PAGES; page++)
		was_dropped[page] = block.dropped && test_bit(page, block.dropped);
	free_page_dropped_switch(&block);
	for (unsigned long first = 0; first < PAGES; first += ratio) {
		if (find_next_bit(bmap, first + ratio, first) >= first + ratio)
			continue;
		ram_bitmap_add(&block, first, ratio);
		bitmap_clear(received, first, ratio);
		present[first / ratio] = false;
	}
}

/* As ram_save_host_page() does, and the destination. */
static void send_in_postcopy(unsigned long page)
{
	const unsigned long first = page / ratio * ratio;
	unsigned int content[LARGE];

	for (page = first; page < first + ratio; page++) {
		MUST(test_bit(page, bmap));
		content[page - first] = take(page);
		MUST(content[page - first] == (was_dropped[page] ? 0 : source[page]) || nr_lost);
	}
	if (losing)
		return;
	MUST(!present[first / ratio]);
	memcpy(&destination[first], content, ratio * sizeof(*content));
	bitmap_set(received, first, ratio);
	present[first / ratio] = true;
}

/* A vCPU that needs a page waits for it, and asks once. */
static void touch(unsigned long page)
{
	for (unsigned long i = 0; i < nr_requests; i++) {
		if (requests[i] / ratio == page / ratio)
			return;
	}
	if (!present[page / ratio] && nr_requests < MAX_REQUESTS)
		requests[nr_requests++] = page / ratio * ratio;
}

static void answer(void)
{
	unsigned long page;
	uint64_t counted;

	if (!nr_requests)
		return;
	page = requests[--nr_requests];
	counted = stat64_get(&mig_stats.dropped_page_requests) + (block.dropped && test_bit(page, block.dropped));
	free_page_dropped_request(&block, page);
	MUST(stat64_get(&mig_stats.dropped_page_requests) == counted);
	if (test_bit(page, bmap))
		send_in_postcopy(page);
	else
		MUST(present[page / ratio] || losing);
}

/* What was sent while the network was gone has not come: the source hears so, and is asked again. */
static void recover(void)
{
	losing = false;
	nr_lost++;
	bitmap_complement(bmap, received, PAGES);
	free_page_dropped_recover(&block);
	dirty_pages = bitmap_count_one(bmap, PAGES);
}

static void play(void)
{
	unsigned long page;

	start_guest();
	stat64_set(&mig_stats.dropped_page_requests, 0);
	for (unsigned long steps = any(400); steps; steps--) {
		page = any(PAGES);
		switch (any(10)) {
		case 0:
			sync_bitmap();
			break;
		case 1 ... 2:
			write_page(page);
			break;
		case 3 ... 5:
			needed[page] = false;
			break;
		case 6 ... 7:
			drop(page / ratio * ratio);
			break;
		default:
			send_in_precopy(page);
		}
	}
	MUST(postcopy_ram || !block.dropped);
	if (postcopy_ram)
		switch_to_postcopy();
	else
		sync_bitmap();
	while (dirty_pages) {
		page = find_next_bit(bmap, PAGES, any(PAGES));
		if (page >= PAGES)
			page = find_first_bit(bmap, PAGES);
		if (!postcopy_ram) {
			send_in_precopy(page);
			continue;
		}
		switch (any(40)) {
		case 0:
			losing = true;
			break;
		case 1 ... 19:
			touch(any(PAGES));
			break;
		case 20 ... 29:
			answer();
			break;
		default:
			send_in_postcopy(page);
		}
		if (losing && (!dirty_pages || !any(4)))
			recover();
	}
	while (nr_requests)
		answer();
	for (page = 0; page < PAGES; page++) {
		MUST(test_bit(page, bmap) == 0);
		MUST(!needed[page] || destination[page] == source[page]);
	}
	free_page_dropped_cleanup();
	MUST(!block.dropped);
}

int main(void)
{
	for (seed = 0; seed < 4000; seed++) {
		srand(seed);
		ratio = seed % 2 ? LARGE : 1;
		postcopy_ram = seed % 8 < 6;
		block.page_size = ratio << TARGET_PAGE_BITS;
		play();
	}
	printf("%lu pages came as zeros, the network was gone %lu times\n", nr_zeros, nr_lost);
	return !nr_zeros || !nr_lost;
}
