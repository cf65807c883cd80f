/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Free page hints that go through KVM's free page filter
 *
 * Every function does nothing unless a device has called
 * free_page_filter_enable().
 */

#ifndef MIGRATION_FREE_PAGE_FILTER_H
#define MIGRATION_FREE_PAGE_FILTER_H

#include "exec/hwaddr.h"
#include "monitor/monitor.h"
#include "qapi/qapi-types-free-page-filter.h"

/* For the device that receives hints */

/**
 * free_page_filter_enable: a device with free-page-filter=on was realized
 *
 * Warns if this machine cannot use the filter.
 */
void free_page_filter_enable(void);
void free_page_filter_disable(void);

/**
 * free_page_filter_arm: begin an epoch, before the guest is asked for hints
 * @gpa: whether the device's addresses are guest physical addresses
 * @poison: whether the guest relies on what free pages hold
 *
 * Called with the BQL held and the guest running.  Returns false if the guest
 * must not be asked.
 */
bool free_page_filter_arm(bool gpa, bool poison);

/**
 * free_page_filter_hint: pages that the guest reported free in this epoch
 * @gpa: guest physical address of the first page
 * @size: size of the pages in bytes
 *
 * Returns false if the filter is blocked and the device should use the hint
 * as it would without the filter.
 */
bool free_page_filter_hint(hwaddr gpa, hwaddr size);

/**
 * free_page_filter_flush: no more hints are waiting, use those that came
 */
void free_page_filter_flush(void);

/* For the migration of RAM; all are called with the BQL held */

/**
 * free_page_filter_setup: a migration begins
 */
void free_page_filter_setup(void);

/**
 * free_page_filter_end_epoch: a bitmap sync begins, or the migration ends
 *
 * Discards the hints that are outstanding and waits until nobody drops pages
 * any more.
 */
void free_page_filter_end_epoch(void);

/* For query-migrate and "info migrate" */

/**
 * free_page_filter_info: the filter's part of query-migrate
 *
 * Returns NULL if no device has the filter on.
 */
FreePageFilterInfo *free_page_filter_info(void);
void hmp_info_free_page_filter(Monitor *mon, const FreePageFilterInfo *info);

/* What migration/ram.c provides for the filter */

/**
 * ram_bitmap_lock: keep everybody from sending pages and syncing the bitmap
 *
 * Called while a migration is between its setup and its cleanup.
 */
void ram_bitmap_lock(void);
void ram_bitmap_unlock(void);

/**
 * ram_bitmap_drop: take pages out of the set that is still to be sent
 * @rb: block that the migration has a bitmap of
 * @start: first page
 * @npages: number of pages
 *
 * Called with the bitmap locked.  Returns how many of them were in the set.
 */
uint64_t ram_bitmap_drop(RAMBlock *rb, unsigned long start,
                         unsigned long npages);

#endif
