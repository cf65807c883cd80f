// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages are free, as the allocator's lists say.
 *
 * A page is named only if it was in a free list while that list's lock was held.
 * Why that makes its content disposable, case by case:
 *
 *  - In the buddy lists (zone->lock): a block is free as long as its head has
 *    PageBuddy, and its order is in page_private.  Both change under the lock only.
 *    Reading them without it can name the tail of a block that was just split and
 *    handed out, which was never free at that instant; so nothing is.
 *  - In the lists of a CPU (pcp->lock): freed as far as the rest of the kernel knows,
 *    kept for the next allocation on that CPU.
 *  - Isolated (MIGRATE_ISOLATE: memory going offline, alloc_contig_range()):
 *    still in a free list, still without an owner.  Who isolated it takes it out
 *    of the list before using it.
 *  - Poisoned by a memory failure: taken out of the lists, so not named.  Named before
 *    that, nobody will ever read it.
 *  - Held by a balloon, being reported to the host (page reporting), on their way
 *    between two lists, not accepted yet (confidential guests), reserved, or in a
 *    hole: in no list, so not named.
 *
 * Memory hotplug.  The rwsem below is held for reading while struct pages are looked
 * at.  MEM_OFFLINE is announced when the sections are offline, so that
 * pfn_to_online_page() leaves them out, and before their struct pages go: our notifier
 * waits for who found them online.  Zones get and lose their per-CPU lists between
 * the announcements before and after a change, and all that time these lists are left
 * alone.  A change that began before this module was loaded has announced its beginning
 * already, but its end still comes, and with it what keeps the struct pages.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/cpumask.h>
#include <linux/ktime.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/percpu.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "free_bitmap.h"

#ifndef CONFIG_SPARSEMEM_VMEMMAP
#error "needs struct pages in one array: a kernel with CONFIG_SPARSEMEM_VMEMMAP"
#endif

/*
 * Pages for which zone->lock is held at a time: a pageblock, but no more than what
 * has its struct pages as a whole or not at all.
 */
#define STEP	min_t(unsigned long, pageblock_nr_pages, PAGES_PER_SUBSECTION)

/* A walk through the lists of a CPU: how often it gives way, and where it ends then. */
#define PCP_POLITE_TRIES	4
#define PCP_MAX_PAGES		65536

static unsigned long zone_lock_ns_max;
module_param(zone_lock_ns_max, ulong, 0600);
MODULE_PARM_DESC(zone_lock_ns_max, "longest time that zone->lock was held; write 0 to start again");

static unsigned long pcp_lock_ns_max;
module_param(pcp_lock_ns_max, ulong, 0600);
MODULE_PARM_DESC(pcp_lock_ns_max, "longest time that the lock of a CPU's lists was held; write 0 to start again");

static DECLARE_RWSEM(hotplug_sem);
static bool hotplug_changing;	/* under hotplug_sem */

static int hotplug_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	bool changing;

	switch (action) {
	case MEM_GOING_ONLINE:
	case MEM_GOING_OFFLINE:
		changing = true;
		break;
	case MEM_ONLINE:
	case MEM_CANCEL_ONLINE:
	case MEM_OFFLINE:
	case MEM_CANCEL_OFFLINE:
		changing = false;
		break;
	default:
		return NOTIFY_DONE;
	}
	down_write(&hotplug_sem);
	hotplug_changing = changing;
	up_write(&hotplug_sem);
	return NOTIFY_OK;
}

static struct notifier_block hotplug_nb = {
	.notifier_call = hotplug_notify,
};

int free_bitmap_init(void)
{
	return register_memory_notifier(&hotplug_nb);
}

void free_bitmap_exit(void)
{
	unregister_memory_notifier(&hotplug_nb);
}

static void note_max(unsigned long *max, u64 start)
{
	unsigned long ns = ktime_get_mono_fast_ns() - start;
	unsigned long old = READ_ONCE(*max);

	while (ns > old && !try_cmpxchg(max, &old, ns))
		;
}

unsigned long free_bitmap_end(void)
{
	unsigned long end = 0;
	struct zone *zone;
	int nid, i;

	for_each_online_node(nid) {
		for (i = 0; i < MAX_NR_ZONES; i++) {
			zone = &NODE_DATA(nid)->node_zones[i];
			if (populated_zone(zone))
				end = max(end, zone_end_pfn(zone));
		}
	}
	return end;
}

/* What of a block lies outside the window is left out. */
static void mark(struct free_window *window, unsigned long pfn, unsigned int order)
{
	unsigned long first = max(pfn, window->first);
	unsigned long end = min(pfn + (1UL << order), window->end);

	if (!order && first < end)
		__set_bit(pfn - window->first, window->bits);
	else if (first < end)
		bitmap_set(window->bits, first - window->first, end - first);
}

static unsigned int free_order(struct page *page)
{
	return page_private(page);
}

/*
 * The end of the free block that begins before @pfn and reaches beyond it, or @pfn.
 * A block of order n begins at a multiple of 2^n, which leaves few places for its head.
 */
static unsigned long end_of_block_before(struct zone *zone, unsigned long pfn)
{
	unsigned long head_pfn;
	struct page *head;
	unsigned int order;

	for (order = 1; order <= MAX_PAGE_ORDER; order++) {
		head_pfn = round_down(pfn, 1UL << order);
		if (head_pfn == pfn)
			continue;
		head = pfn_to_online_page(head_pfn);
		if (head && page_zone(head) == zone && PageBuddy(head) &&
		    free_order(head) >= order)
			return head_pfn + (1UL << free_order(head));
	}
	return pfn;
}

/*
 * Mark the free blocks of @zone from @pfn up to @end, or up to a page of another zone.
 * Return: where to go on, behind @pfn, and behind @end if the last block goes on there.
 */
static unsigned long mark_zone_step(struct free_window *window, struct zone *zone,
				    unsigned long pfn, unsigned long end)
{
	unsigned long flags, block_end;
	struct page *page;
	u64 start;

	spin_lock_irqsave(&zone->lock, flags);
	start = ktime_get_mono_fast_ns();

	block_end = end_of_block_before(zone, pfn);
	if (block_end > pfn) {
		bitmap_set(window->bits, pfn - window->first,
			   min(block_end, window->end) - pfn);
		pfn = block_end;
	}
	while (pfn < end) {
		page = pfn_to_page(pfn);
		if (page_zone(page) != zone)
			break;
		if (!PageBuddy(page)) {
			pfn++;
			continue;
		}
		mark(window, pfn, free_order(page));
		pfn += 1UL << free_order(page);
	}

	note_max(&zone_lock_ns_max, start);
	spin_unlock_irqrestore(&zone->lock, flags);
	return pfn;
}

/* The same for one step, whatever zones it is of.  Return: where to go on. */
static unsigned long mark_step(struct free_window *window, unsigned long pfn)
{
	unsigned long end = min(round_down(pfn, STEP) + STEP, window->end);

	if (!pfn_to_online_page(pfn))
		return end;
	while (pfn < end)
		pfn = mark_zone_step(window, page_zone(pfn_to_page(pfn)), pfn, end);
	return pfn;
}

static int mark_buddy_lists(struct free_window *window)
{
	unsigned long pfn = window->first, end;

	while (pfn < window->end) {
		if (fatal_signal_pending(current))
			return -EINTR;
		end = min(SECTION_ALIGN_UP(pfn + 1), window->end);
		down_read(&hotplug_sem);
		while (pfn < end) {
			pfn = mark_step(window, pfn);
			cond_resched();
		}
		up_read(&hotplug_sem);
	}
	return 0;
}

/* The order of the pages in a list of struct per_cpu_pages. */
static unsigned int pcp_order(unsigned int list)
{
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	if (list >= NR_LOWORDER_PCP_LISTS)
		return HPAGE_PMD_ORDER;
#endif
	return list / MIGRATE_PCPTYPES;
}

/*
 * -EAGAIN: something else wants to run, and @polite is set.  -EIO: the lists are not what
 * they are taken for.
 */
static int mark_locked_pcp(struct free_window *window, struct per_cpu_pages *pcp, bool polite)
{
	struct page *page;
	unsigned int i;
	int count = 0;

	for (i = 0; i < NR_PCP_LISTS; i++) {
		list_for_each_entry(page, &pcp->lists[i], pcp_list) {
			if (polite && need_resched())
				return -EAGAIN;
			if (count >= PCP_MAX_PAGES)
				return 0;
			mark(window, page_to_pfn(page), pcp_order(i));
			count += 1 << pcp_order(i);
		}
	}
	/*
	 * Which list has which order is the allocator's own affair.  A kernel that
	 * changed it shows here, before anything that was marked has left this module.
	 */
	return count == pcp->count ? 0 : -EIO;
}

static int mark_pcp_once(struct free_window *window, struct per_cpu_pages *pcp, bool polite)
{
	unsigned long flags;
	u64 start;
	int r;

	pcp_lock(pcp, &flags);
	start = ktime_get_mono_fast_ns();
	r = mark_locked_pcp(window, pcp, polite);
	note_max(&pcp_lock_ns_max, start);
	pcp_unlock(pcp, flags);
	return r;
}

/*
 * The lists can be long, and a walk cannot be resumed: they may be others then.  With the
 * lock held this CPU runs nothing else, and that CPU's allocations go by the zone's
 * lists.  So a walk that keeps something waiting is begun again after it, a few times.
 */
static int mark_pcp(struct free_window *window, struct per_cpu_pages *pcp)
{
	int tries = PCP_POLITE_TRIES;
	int r;

	/* Without the lock it may be out of date, as the lists will be anyway. */
	if (!READ_ONCE(pcp->count))
		return 0;

	while ((r = mark_pcp_once(window, pcp, tries > 0)) == -EAGAIN) {
		cond_resched();
		tries--;
	}
	if (r)
		pr_err_once("the lists of free pages per CPU are not as expected: this kernel needs a newer module\n");
	return r;
}

static int mark_zone_pcp_lists(struct free_window *window, struct zone *zone)
{
	int cpu, r;

	/* Of a CPU that is offline they are there, and empty. */
	for_each_possible_cpu(cpu) {
		r = mark_pcp(window, per_cpu_ptr(zone->per_cpu_pageset, cpu));
		if (r)
			return r;
		cond_resched();
	}
	return 0;
}

static bool zone_meets(struct zone *zone, struct free_window *window)
{
	return populated_zone(zone) && zone->zone_start_pfn < window->end &&
	       zone_end_pfn(zone) > window->first;
}

static int mark_pcp_lists(struct free_window *window)
{
	struct zone *zone;
	int nid, i, r = 0;

	down_read(&hotplug_sem);
	for_each_online_node(nid) {
		for (i = 0; i < MAX_NR_ZONES && !r && !hotplug_changing; i++) {
			zone = &NODE_DATA(nid)->node_zones[i];
			if (zone_meets(zone, window))
				r = mark_zone_pcp_lists(window, zone);
		}
	}
	up_read(&hotplug_sem);
	return r;
}

int free_bitmap_fill(struct free_window *window)
{
	int r = mark_buddy_lists(window);

	return r ? r : mark_pcp_lists(window);
}
