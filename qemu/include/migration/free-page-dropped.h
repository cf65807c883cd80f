/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that the free page filter dropped, in a migration that may switch to
 * postcopy
 *
 * After the switch a vCPU of the destination that touches a page which is not
 * there asks the source for it.  The source sends what is in RAMBlock.bmap and
 * takes every other page for one that it has sent.  A page that was dropped may
 * be neither, and the vCPU would wait until the migration ends.  So
 * RAMBlock.dropped has the pages that left RAMBlock.bmap without being sent.
 *
 * - A page leaves it when a bitmap sync finds the page dirty: then the guest
 *   has written it since, and it is sent as any other page.
 * - The guest stands still before the last sync, which ends the epoch.  So
 *   nobody needs what the pages hold that are left.
 * - If the destination asks for one, it gets a page of zeros, at once.
 * - Others are not sent at all.  They read as zeros when the migration has
 *   ended: a destination that is told of postcopy-ram discards all its memory
 *   before it receives any.  A page that was sent before it was dropped keeps
 *   that older content there, and is not asked for.
 * - After an interruption everything is sent that the destination has not
 *   received, but these pages.  One may be there all the same: a transparent
 *   huge page brings its neighbours, and a page cannot be put where one is.
 * - A block of larger pages than the target's takes whole ones, and never a
 *   second time.  Some of a page may have been sent, and the rest dropped.  So
 *   at the switch all of its pages that have a dropped part are to be sent
 *   again, the dropped parts as zeros.
 *
 * Without postcopy-ram there is no such bitmap, and nothing happens here.
 *
 * Locking: free_page_dropped_prepare(), _synced() and _request() are called
 * with the bitmap locked (ram_bitmap_trylock(), RAMState.bitmap_mutex).
 * free_page_dropped_take() changes bits atomically.  The others are called
 * while nobody else can change the bitmap: at the switch the epoch is over, the
 * guest stands still, and the thread that sends is the caller; after an
 * interruption nothing is sent.  After the switch nothing is called but
 * free_page_dropped_recover(), _take() and _request().
 */

#ifndef MIGRATION_FREE_PAGE_DROPPED_H
#define MIGRATION_FREE_PAGE_DROPPED_H

#include "migration/free-page-compat.h"
#include "accel/free-page-ops.h"

/**
 * free_page_dropped_prepare: pages of a block are about to be dropped
 * @rb: the block
 *
 * With postcopy-ram set it has a bitmap afterwards, where ram_bitmap_drop()
 * puts the pages that it takes out of the set that is still to be sent.
 */
void free_page_dropped_prepare(RAMBlock *rb);

/**
 * free_page_dropped_synced: a bitmap sync has added to what is to be sent
 * @rb: block whose bitmap is up to date
 */
void free_page_dropped_synced(RAMBlock *rb);

/**
 * free_page_dropped_switch: postcopy is about to begin, after the last sync
 * @rb: block of which the destination is not told yet what to discard
 */
void free_page_dropped_switch(RAMBlock *rb);

/**
 * free_page_dropped_recover: postcopy goes on after an interruption
 * @rb: block in whose bitmap is what the destination has not received
 */
void free_page_dropped_recover(RAMBlock *rb);

/**
 * free_page_dropped_request: the destination asks for a page
 * @rb: its block
 * @page: its number in the block
 *
 * A dropped page that is not to be sent is to be sent now.
 */
void free_page_dropped_request(RAMBlock *rb, unsigned long page);

/**
 * free_page_dropped_take: a page is about to be sent
 * @rb: its block
 * @page: its number in the block
 *
 * Returns whether zeros are to be sent in its place.
 */
bool free_page_dropped_take(RAMBlock *rb, unsigned long page);

/**
 * free_page_dropped_cleanup: the migration has ended
 *
 * Called with the BQL held, when nobody sends pages any more.
 */
void free_page_dropped_cleanup(void);

/* What migration/ram.c provides */

/**
 * ram_bitmap_trylock: keep everybody from sending pages and syncing the bitmap
 *
 * Called while a migration is between its setup and its cleanup.  Returns false
 * if somebody is at that.
 */
bool ram_bitmap_trylock(void);
void ram_bitmap_unlock(void);

/**
 * ram_bitmap_drop: take pages out of the set that is still to be sent
 * @rb: block that the migration has a bitmap of
 * @start: first page
 * @npages: number of pages
 * @which: bit n says whether page @start + n is meant; NULL for all of them
 *
 * Called with the bitmap locked.  Returns how many of them were in the set.
 * Those are in RAMBlock.dropped then, if the block has it.
 */
uint64_t ram_bitmap_drop(RAMBlock *rb, unsigned long start,
                         unsigned long npages, const unsigned long *which);

/**
 * ram_bitmap_add: put pages back into that set
 * @rb: block that the migration has a bitmap of
 * @start: first page
 * @npages: number of pages
 *
 * Called with the bitmap locked, or while nobody else can change it.
 */
void ram_bitmap_add(RAMBlock *rb, unsigned long start, unsigned long npages);

#endif
