/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pages that an agent in the guest named free before the filter was armed
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/rcu.h"
#include "migration/free-page-candidates.h"
#include "migration/free-page-compat.h"

/* Pages [@first, @end) of the guest's address space */
typedef struct FPCRange {
    uint64_t first;
    uint64_t end;
    /* How many pages of memory there are in it, and where the last one ends */
    uint64_t ram_pages;
    uint64_t ram_end;
} FPCRange;

/* flatview_cb */
static bool fpc_count(Int128 start, Int128 len, const MemoryRegion *mr,
                      hwaddr offset_in_region, void *opaque)
{
    const size_t psize = qemu_real_host_page_size();
    FPCRange *range = opaque;
    uint64_t first, end;

    if (!mr->ram_block || mr->ram_device) {
        return false;
    }
    first = MAX(int128_get64(start) / psize, range->first);
    end = DIV_ROUND_UP(int128_get64(int128_add(start, len)), psize);
    end = MIN(end, range->end);
    if (first < end) {
        range->ram_pages += end - first;
        range->ram_end = MAX(range->ram_end, end);
    }
    return false;
}

/* Look how much memory there is in a range. */
static FPCRange fpc_range(uint64_t first, uint64_t end)
{
    FPCRange range = { first, end };

    RCU_READ_LOCK_GUARD();
    flatview_for_each_range(address_space_to_flatview(&address_space_memory),
                            fpc_count, &range);
    return range;
}

uint64_t free_page_ram_span(uint64_t *ram_pages)
{
    const FPCRange range = fpc_range(0, UINT64_MAX);

    if (ram_pages) {
        *ram_pages = range.ram_pages;
    }
    return ROUND_UP(range.ram_end, BITS_PER_LONG);
}

bool free_page_candidates_begin(FreePageCandidates *candidates)
{
    uint64_t ram_pages, npages = free_page_ram_span(&ram_pages);

    if (!npages || npages / FREE_PAGE_CANDIDATES_MAX_SPAN > ram_pages) {
        return false;
    }
    /* No page of it is there before its first bit is set. */
    candidates->bits = bitmap_try_new(npages);
    candidates->npages = npages;
    return candidates->bits;
}

void free_page_candidates_add(FreePageCandidates *candidates, uint64_t first,
                              uint64_t npages, const unsigned long *bits)
{
    const uint64_t end = MIN(first + npages, candidates->npages);

    /* Memory may have been added, or moved, since it began. */
    if (first >= end || !fpc_range(first, end).ram_pages) {
        return;
    }
    memcpy(candidates->bits + first / BITS_PER_LONG, bits,
           DIV_ROUND_UP(end - first, BITS_PER_LONG) * sizeof(long));
    if (!candidates->end) {
        candidates->first = first;
    }
    candidates->first = MIN(candidates->first, first);
    candidates->end = MAX(candidates->end, end);
}

FreePageMap free_page_candidates_get(const FreePageCandidates *candidates)
{
    const uint64_t first = candidates->first;

    /* One page of which nothing is said, where nothing is free */
    return (FreePageMap) {
        .base = first * qemu_real_host_page_size(),
        .npages = MAX(candidates->end - first, 1),
        .bits = candidates->bits + first / BITS_PER_LONG,
    };
}

void free_page_candidates_end(FreePageCandidates *candidates)
{
    g_free(candidates->bits);
    *candidates = (FreePageCandidates) {};
}
