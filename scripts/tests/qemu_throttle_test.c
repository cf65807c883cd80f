// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether QEMU throttles a guest for pages that were free: what migration/ram.c has of it, which
 * scripts/tests/qemu_series_test takes out of the patched source, with free-page-filter*.c as they are.
 */
#include "../../fuzz/qemu_stand_in.h"

#include "../../qemu/migration/free-page-filter.c"
#include "../../qemu/migration/free-page-filter-blocked.c"
#include "../../qemu/migration/free-page-filter-info.c"
#include "../../qemu/migration/free-page-filter-report.c"
#include "../../qemu/migration/free-page-filter-wait.c"

#define TARGET_PAGE_SIZE	4096
#define SENT			1000	/* pages in each round */

typedef struct RAMState {
	QemuMutex bitmap_mutex;
	int64_t time_last_bitmap_sync;
	uint64_t bytes_xfer_prev;
	uint64_t num_dirty_pages_period;
	int dirty_rate_high_cnt;
	uint64_t target_page_count, target_page_count_prev;
	uint64_t xbzrle_cache_miss_prev, xbzrle_pages_prev, xbzrle_bytes_prev;
} RAMState;

static struct { uint64_t cache_miss, pages, bytes; double cache_miss_rate, encoding_rate; } xbzrle_counters;
struct MigrationStats mig_stats;
static uint64_t written, sent;
static int64_t now_ms;
static unsigned int nr_throttled;
static FreePageFilter *filter;

/* What these parts of QEMU call */

int64_t qemu_clock_get_ms(int clock)
{
	(void)clock;
	return now_ms;
}

uint64_t migration_transferred_bytes(void)
{
	return sent * TARGET_PAGE_SIZE;
}

static void ramblock_sync_dirty_bitmap(RAMState *rs, RAMBlock *rb)
{
	(void)rb;
	rs->num_dirty_pages_period += written;
	written = 0;
}

static void mig_throttle_guest_down(uint64_t bytes_dirty_period, uint64_t bytes_dirty_threshold)
{
	MUST(bytes_dirty_period > bytes_dirty_threshold);
	nr_throttled++;
}

static void migration_dirty_limit_guest(void)
{
	MUST(0);
}

static uint64_t migrate_throttle_trigger_threshold(void)
{
	return 50;
}

/* What keeps the filter off: nothing here */

MachineState *current_machine = &(MachineState) {};

static AccelFreePageBlocked accel_blocked(AccelState *as)
{
	(void)as;
	return ACCEL_FREE_PAGE_NOT_BLOCKED;
}

MigrationState *migrate_get_current(void)
{
	static MigrationState state = { .capabilities = { [MIGRATION_CAPABILITY_FREE_PAGE_FILTER] = true } };

	state.free_page_filter = filter;
	return &state;
}

bool runstate_is_running(void)
{
	return true;
}

bool migrate_postcopy_ram(void)
{
	return false;
}

void free_page_dropped_synced(RAMBlock *rb)
{
	(void)rb;
}

void qapi_event_send_free_page_filter(FreePageFilterState state, bool has_blocked_reason,
				      FreePageFilterBlockedReason blocked_reason,
				      const char *blocked_text, const char *agent)
{
	(void)state, (void)has_blocked_reason, (void)blocked_reason, (void)blocked_text, (void)agent;
}

static void accel_disarm(AccelState *as, uint64_t epoch)
{
	(void)as, (void)epoch;
}

AccelClass accel_class = {
	.free_page_ops = &(AccelFreePageOps) { .blocked = accel_blocked, .disarm = accel_disarm },
};

#define RAMBLOCK_FOREACH_NOT_IGNORED(rb)		for ((rb) = NULL; !(rb); (rb) = (RAMBlock *)&mig_stats)
#define WITH_RCU_READ_LOCK_GUARD()
#define migrate_auto_converge()				true
#define migrate_dirty_limit()				false
#define migrate_xbzrle()				false
#define migrate_events()				false
#define qapi_event_send_migration_pass(generation)	((void)(generation))
#define memory_global_dirty_log_sync(last_stage)	((void)(last_stage))
#define memory_global_after_dirty_log_sync()		((void)0)
#define trace_migration_bitmap_sync_start()		((void)0)
#define trace_migration_bitmap_sync_end(pages)		((void)(pages))
#define trace_migration_throttle()			((void)0)
#define ram_bytes_remaining()				0

#include "function.c"

/*
 * A migration of so many rounds, of @ms each. In each the guest writes @dirty pages, of which @free are free at its
 * end and are dropped in the next one. In the first one all memory is sent, but what is free there.
 */
static void migrate(unsigned int rounds, unsigned int ms, uint64_t dirty, uint64_t free_pages)
{
	RAMState rs = {};
	unsigned int i;

	nr_throttled = 0;
	written = sent = 0;
	now_ms += 10000;
	free_page_filter_setup();
	for (i = 0; i < rounds; i++) {
		migration_bitmap_sync(&rs, false);
		if (filter->users) {
			stat64_add(&filter->epochs, 1);
			stat64_add(&filter->dropped_pages, i ? free_pages : 100000);
		}
		now_ms += ms;
		sent += SENT;
		written += dirty;
	}
}

/* Pages that the guest writes in a second, as query-migrate says */
static uint64_t rate(void)
{
	return mig_stats.dirty_pages_rate.value;
}

int main(void)
{
	filter = free_page_filter_new();

	/* Without the filter all is as it was. */
	migrate(10, 2000, 900, 0);
	MUST(nr_throttled == 4 && rate() == 450);
	migrate(10, 2000, 400, 0);
	MUST(nr_throttled == 0 && rate() == 200);

	/* With it a guest that frees what it writes is not throttled, and one that does not is, a period later. */
	filter->users = 1;
	migrate(10, 2000, 900, 600);
	MUST(nr_throttled == 0 && rate() == 150);
	migrate(10, 2000, 900, 0);
	MUST(nr_throttled == 4 && rate() == 450);
	migrate(5, 2000, 900, 300);
	MUST(nr_throttled == 1 && rate() == 300);

	/* Nor where rounds are shorter than a period. */
	migrate(40, 300, 900, 600);
	MUST(nr_throttled == 0 && rate() == 1000);
	migrate(40, 300, 900, 300);
	MUST(nr_throttled > 0 && rate() == 2000);

	/* More may be dropped than was found, for all memory is to be sent at first. */
	migrate(10, 2000, 900, 10000);
	MUST(nr_throttled == 0 && rate() == 0);
	return 0;
}
