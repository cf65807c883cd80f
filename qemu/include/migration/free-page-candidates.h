/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pages that an agent in the guest named free before the filter was armed
 *
 * Only pages that the next report names can be dropped, and almost all of those
 * are free already when it is asked for.  So the agent is asked first in no
 * epoch, and what it names is all that need be tracked in the next one: live
 * pages are not protected, and no write to them faults.  What was freed between
 * the two answers is dropped in a later epoch.
 *
 * Nothing rests on what the guest says here.  It is a bit for each page, in
 * parts that have memory of the guest's, whatever the guest names.
 */

#ifndef MIGRATION_FREE_PAGE_CANDIDATES_H
#define MIGRATION_FREE_PAGE_CANDIDATES_H

#include "accel/free-page-ops.h"

/*
 * Where the guest's addresses span more than so many times its memory, their
 * bits would take too long to go through.
 */
#define FREE_PAGE_CANDIDATES_MAX_SPAN 64

/**
 * struct FreePageCandidates - all zero while none are gathered
 * @bits: a bit for each page of the guest's address space
 * @npages: so many bits
 * @first: the first page of those that were named, in whole pieces
 * @end: the page after the last one
 */
typedef struct FreePageCandidates {
    unsigned long *bits;
    uint64_t npages;
    uint64_t first;
    uint64_t end;
} FreePageCandidates;

/**
 * free_page_ram_span: how many pages the guest's memory spans at most
 * @ram_pages: receives how many it has, or NULL
 *
 * Pages of the host's page size, rounded up to 64; ROM counts, too.
 */
uint64_t free_page_ram_span(uint64_t *ram_pages);

/**
 * free_page_candidates_begin: gather candidates, where none are gathered yet
 *
 * Returns false if that takes too much memory or time.
 */
bool free_page_candidates_begin(FreePageCandidates *candidates);

/**
 * free_page_candidates_add: pages that the guest named
 * @first: the first of them, a multiple of 64
 * @npages: so many
 * @bits: a bit for each, none behind them in the last word
 *
 * Only between free_page_candidates_begin() and free_page_candidates_end().
 * What lies in no memory of the guest's is left out.
 */
void free_page_candidates_add(FreePageCandidates *candidates, uint64_t first,
                              uint64_t npages, const unsigned long *bits);

/**
 * free_page_candidates_get: what was gathered, for
 *                           free_page_filter_arm_for_report()
 */
FreePageMap free_page_candidates_get(const FreePageCandidates *candidates);

/**
 * free_page_candidates_end: forget them; those that were got are invalid then
 */
void free_page_candidates_end(FreePageCandidates *candidates);

#endif
