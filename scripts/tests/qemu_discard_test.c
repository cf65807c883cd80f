// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether a function of QEMU's migration/ram.c, which scripts/tests/qemu_series_test takes out of the patched source,
 * changes the bitmaps and the number of their pages with the bitmap's lock held.
 */
#include "../../fuzz/qemu_stand_in.h"

typedef struct RAMState {
	QemuMutex bitmap_mutex;
	uint64_t migration_dirty_pages;
} RAMState;

#define PAGES		100
#define DISCARDED	7	/* in each block */

static RAMState state = { .migration_dirty_pages = PAGES };
static RAMBlock blocks[3];
/* The number that whoever has the lock next must find */
static uint64_t left = PAGES;

static inline QemuMutex *take(QemuMutex *lock)
{
	MUST(lock == &state.bitmap_mutex && state.migration_dirty_pages == left);
	return stand_in_lock(lock);
}

static inline void give_up(QemuMutex **lock)
{
	left = state.migration_dirty_pages;
	stand_in_unlock(lock);
}

static uint64_t ramblock_dirty_bitmap_clear_discarded_pages(RAMBlock *rb)
{
	(void)rb;
	MUST(state.bitmap_mutex.held);
	return DISCARDED;
}

#define RAMBLOCK_FOREACH_NOT_IGNORED(rb)	for ((rb) = blocks; (rb) < blocks + 3; (rb)++)
#define stand_in_lock(lock)			take(lock)
#define stand_in_unlock				give_up
#define qemu_mutex_lock(lock)			((void)take(lock))
#define qemu_mutex_unlock(lock)			give_up(&(QemuMutex *){ lock })

#include "function.c"

int main(void)
{
	migration_bitmap_clear_discarded_pages(&state);
	MUST(!state.bitmap_mutex.held);
	MUST(state.migration_dirty_pages == PAGES - 3 * DISCARDED && left == state.migration_dirty_pages);
	return 0;
}
