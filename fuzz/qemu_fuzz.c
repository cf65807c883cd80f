// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzes what QEMU does with a guest's reports and hints: free-page-agent.c and
 * free-page-filter*.c as they are, with a migration, a chardev, KVM and guest memory that
 * the input makes do anything.
 *
 * What must hold: KVM gets, in the current epoch alone and with the bitmap locked, pages
 * that the guest named in it, and all of them once a report was right to its end; an agent's
 * thread arms without any lock, with candidates just those of the last answer, and an epoch
 * that a sync overtook is none; what is dropped lies within a block; the guest sees whole
 * requests and nothing else; no wait is longer than asked for, and none holds a lock;
 * management is told of changes, and of nothing else, and what is counted by rounds adds up;
 * without the capability there is no epoch, no request in a migration and no wait, and a migration
 * fails by the filter only where it is strict.
 */
#include "qemu_stand_in.h"

#include "mend.h"
#include "reference.h"

#include "../qemu/migration/free-page-candidates.c"
#include "../qemu/migration/free-page-filter.c"
#include "../qemu/migration/free-page-filter-blocked.c"
#include "../qemu/migration/free-page-filter-info.c"
#include "../qemu/migration/free-page-filter-report.c"
#include "../qemu/migration/free-page-filter-wait.c"

static bool checked_report(uint64_t epoch, hwaddr gpa, const unsigned long *free_pages,
			   unsigned long npages);
static int64_t checked_done(uint64_t round, bool complete);
static bool checked_begin(FreePageCandidates *candidates);
static void checked_add(FreePageCandidates *candidates, uint64_t first, uint64_t npages,
			const unsigned long *bits);

#define free_page_filter_report(...)		checked_report(__VA_ARGS__)
#define free_page_filter_report_done(...)	checked_done(__VA_ARGS__)
#define free_page_candidates_begin(...)		checked_begin(__VA_ARGS__)
#define free_page_candidates_add(...)		checked_add(__VA_ARGS__)
#include "../qemu/migration/free-page-budget.c"
#include "../qemu/migration/free-page-agent.c"
#undef free_page_filter_report
#undef free_page_filter_report_done
#undef free_page_candidates_begin
#undef free_page_candidates_add

#define WINDOW_PAGES	(FPF_WINDOW_SIZE >> HOST_PAGE_SHIFT)
#define MAX_NAMED	64
#define MAX_CHUNKS	256
#define WAIT_MS		300
#define THRESHOLD	(1 << 20)	/* bytes, as little as lets the guest be stopped */

/* What the input can make happen. */
enum op {
	OP_SYNC,	/* a bitmap sync: the epoch ends, and the agent is asked */
	OP_RAW,		/* bytes come */
	OP_RESPONSE,	/* bytes come, and are made an answer to the last request */
	OP_EVENT,	/* the peer goes or comes */
	OP_SETTING,	/* what works, and what does not */
	OP_HINT,
	OP_FLUSH,
	OP_WAIT,
	OP_END,		/* the migration ends, users come and go, and it may begin again */
	OP_TIMER,	/* the agent has rested */
	OP_WORK,	/* the object's thread gets its turn */
	OP_BUSY,	/* somebody else has the bitmap for a while */
	NR_OPS,
};

#define NOTHING_TOLD	FREE_PAGE_FILTER_STATE__MAX

/* What can happen while a report waits for the bitmap, or KVM arms: the filter's lock is not held. */
enum { NOTHING, EPOCH_ENDS, NEXT_EPOCH, HURRY, NR_MEANWHILE };

/* Where the guest has memory, and what it spans. */
#define RAM_END			(64 * GiB)

/* Part of an answer that was asked for before an epoch */
struct chunk {
	uint64_t first, npages;
	unsigned long bits[WIRE_CHUNK_PAGES / BITS_PER_LONG];
};

/* Pages that the guest named in this epoch. */
struct named {
	hwaddr gpa;
	unsigned long npages;
	bool is_hint;		/* all of them, and a part may be left out */
	unsigned long bits[WIRE_CHUNK_PAGES / BITS_PER_LONG];
};

static struct world {
	/* Settings, from the input */
	bool not_running, closed, arm_fails, set_fails, blocked, cancelled, opaque_blocks;
	bool little_left, much_dirty;
	bool off, strict;	/* the capabilities, which a migration keeps */
	uint8_t write_limit;
	uint8_t old_files;	/* which blocks are files that had content */
	uint8_t confirms;	/* which pages KVM confirms, a pattern of 8 */

	uint64_t epoch, last_epoch;	/* KVM's */
	bool bql, device;		/* it is held; the balloon's device arms */
	int64_t now_ms, excluded_ms, pass_ms;
	bool bitmap_locked;
	bool incoming;
	bool early;		/* the machine is not ready yet */
	bool migrating;
	bool has_to_fail, failed;	/* the migration, by the filter */
	FreePageFilterBlockedReason fail_reason;
	bool waits_unplug;		/* the migration, for the guest to let go of a device */
	bool no_balloon, no_object;	/* users that are gone */
	uint8_t busy;			/* tries to lock it that fail */
	uint8_t meanwhile;		/* enum, what happens in the last of them */
	bool hurried;
	uint8_t request[WIRE_REQUEST_LEN];
	size_t requested;		/* bytes of it that were written */
	NotifierWithReturn *notifier;
	Notifier *machine_done;
	uint64_t nr_syncs;
	FreePageFilterState told, told_agent;	/* the last events, NOTHING_TOLD without one */
	FreePageFilterBlockedReason told_reason;
	bool told_off;			/* in this migration, if only for a while */
	unsigned int nr_named;
	struct named named[MAX_NAMED];
	unsigned int nr_dropped;
	unsigned int nr_chunks;
	struct chunk chunks[MAX_CHUNKS];
} world;

struct MigrationStats mig_stats;
static FreePageAgent object;
static MigrationState state = { .threshold_size = THRESHOLD };
static FreePageFilter *filter;
AddressSpace address_space_memory;
static MachineState machine;
MachineState *current_machine = &machine;

/* Memory: one block with small and one with large pages, and a hole between. */
static unsigned long small_bmap[1 << 10], large_bmap[1 << 13];
static MemoryRegion ram, nvdimm = { .nonvolatile = true };
static RAMBlock blocks[] = {
	{ "small", &ram, 0, small_bmap, 64ull << 20, 4096, 0, false },
	{ "large", &ram, 0, large_bmap, 1536ull << 20, 2 << 20, 1ull << 29, false },
	{ "ignored", &ram, 0, small_bmap, 64ull << 20, 4096, 8ull << 30, true },
	{ "nobmap", &ram, 0, NULL, 64ull << 20, 4096, 9ull << 30, false },
	{ "pmem", &ram, RAM_PMEM, small_bmap, 64ull << 20, 4096, 10ull << 30, false },
	{ "nvdimm", &nvdimm, 0, small_bmap, 64ull << 20, 4096, 11ull << 30, false },
};

#define NR_BLOCKS	(sizeof(blocks) / sizeof(blocks[0]))
/* Where memory is in this process: nobody looks there. */
#define HOST_BASE	(1ull << 40)

/* QEMU, as the two files see it */

Chardev *qemu_chr_find(const char *name)
{
	(void)name;
	return (Chardev *)&world;
}

bool qemu_chr_has_feature(Chardev *chr, int feature)
{
	(void)chr, (void)feature;
	return true;
}

bool qemu_chr_fe_init(CharFrontend *fe, Chardev *chr, Error **errp)
{
	(void)fe, (void)chr, (void)errp;
	return true;
}

void qemu_chr_fe_deinit(CharFrontend *fe, bool del)
{
	(void)fe, (void)del;
}

bool qemu_chr_fe_backend_open(CharFrontend *fe)
{
	(void)fe;
	return !world.closed;
}

/* The agent's end: requests for the current epoch, one after the other. */
int qemu_chr_fe_write(CharFrontend *fe, const uint8_t *data, int len)
{
	struct wire_request request;
	size_t used;
	int n = MIN(len, world.write_limit);

	(void)fe;
	MUST(len > 0 && (size_t)len == WIRE_REQUEST_LEN - world.requested);
	if (!n)
		return -1;
	memcpy(world.request + world.requested, data, (size_t)n);
	world.requested += (size_t)n;
	if (world.requested == WIRE_REQUEST_LEN) {
		wire_request_init(&request);
		MUST(wire_decode_request(&request, world.request, WIRE_REQUEST_LEN, &used) == WIRE_DONE);
		MUST(request.tag <= world.last_epoch);
		MUST(!world.off || !request.tag);
		world.requested = 0;
	}
	return n;
}

void qemu_chr_fe_set_handlers(CharFrontend *fe, int (*can_read)(void *),
			      void (*read)(void *, const uint8_t *, int),
			      void (*event)(void *, QEMUChrEvent), void *change, void *opaque,
			      GMainContext *context, bool set_open)
{
	(void)fe, (void)change, (void)context, (void)set_open;
	MUST(can_read == fpa_can_read && read == fpa_read && event == fpa_event);
	MUST(opaque == &object);
}

IOThread *iothread_create(const char *name, Error **errp)
{
	(void)name, (void)errp;
	return (IOThread *)&world;
}

GMainContext *iothread_get_g_main_context(IOThread *thread)
{
	(void)thread;
	return NULL;
}

AioContext *iothread_get_aio_context(IOThread *thread)
{
	(void)thread;
	return NULL;
}

/* It would wait for a report that waits for the bitmap. */
void iothread_stop(IOThread *thread)
{
	(void)thread;
	/* Before the machine is ready it waits for nothing. */
	MUST(world.early || filter->hurry);
}

/* With a hole that takes whole chunks: what is named there is no candidate. */
void flatview_for_each_range(FlatView *view, flatview_cb *cb, void *opaque)
{
	const MemoryRegion region = { .ram_block = &world }, device = {};

	(void)view;
	cb(0, 3 * GiB, &region, 0, opaque);
	cb(3 * GiB, GiB, &device, 0, opaque);
	cb(4 * GiB, RAM_END - 4 * GiB, &region, 0, opaque);
}

void iothread_destroy(IOThread *thread)
{
	(void)thread;
}

void precopy_add_notifier(NotifierWithReturn *n)
{
	world.notifier = n;
}

void precopy_remove_notifier(NotifierWithReturn *n)
{
	MUST(world.notifier == n);
	world.notifier = NULL;
}

bool phase_check(int phase)
{
	MUST(phase == PHASE_MACHINE_READY);
	return !world.early;
}

bool runstate_is_running(void)
{
	return !world.not_running;
}

bool runstate_check(int state)
{
	MUST(state == RUN_STATE_INMIGRATE);
	return world.incoming;
}

bool migrate_postcopy_ram(void)
{
	return false;
}

bool migrate_ram_is_ignored(RAMBlock *rb)
{
	return rb->ignored;
}

uint64_t migrate_downtime_limit(void)
{
	return WAIT_MS;
}

int foreach_not_ignored_block(int (*func)(RAMBlock *rb, void *opaque), void *opaque)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < NR_BLOCKS && !ret; i++) {
		blocks[i].had_content = world.old_files & 1 << i;
		if (!blocks[i].ignored)
			ret = func(&blocks[i], opaque);
	}
	return ret;
}

MigrationState *migrate_get_current(void)
{
	/* Nobody asks for it before it is there, or once it is gone. */
	MUST(state.references);
	state.state = world.cancelled || !world.migrating ? 0 :
		      world.waits_unplug ? MIGRATION_STATUS_WAIT_UNPLUG : MIGRATION_STATUS_ACTIVE;
	state.capabilities[MIGRATION_CAPABILITY_FREE_PAGE_FILTER] = !world.off;
	state.capabilities[MIGRATION_CAPABILITY_FREE_PAGE_FILTER_STRICT] = world.strict;
	state.to_dst_file = (QEMUFile *)&world;
	return &state;
}

static void create_migration(void)
{
	filter = free_page_filter_new();
	state.free_page_filter = filter;
	state.references = 1;
}

void object_ref(Object *obj)
{
	MUST(obj == OBJECT(&state) && state.references);
	state.references++;
}

void object_unref(Object *obj)
{
	MUST(obj == OBJECT(&state) && state.references);
	if (--state.references)
		return;
	free_page_filter_free(filter);
	state.free_page_filter = filter = NULL;
}

/* When the machine is ready, which is after there is a migration */

void qemu_add_machine_init_done_notifier(Notifier *n)
{
	MUST(!world.machine_done);
	world.machine_done = n;
	if (!world.early)
		n->notify(n, NULL);
}

void qemu_remove_machine_init_done_notifier(Notifier *n)
{
	MUST(world.machine_done == n);
	world.machine_done = NULL;
}

/* Once, of a migration that is strict and goes on, and for a reason that was told. */
void qemu_file_set_error_obj(QEMUFile *f, int ret, Error *err)
{
	(void)err;
	MUST(f == (QEMUFile *)&world && ret < 0);
	MUST(world.strict && !world.off && !world.cancelled && !world.not_running);
	MUST(world.told == FREE_PAGE_FILTER_STATE_BLOCKED || world.told_off);
	world.failed = true;
}

int64_t qemu_clock_get_ms(int clock)
{
	(void)clock;
	return world.now_ms;
}

uint64_t ram_bytes_remaining(void)
{
	return world.little_left ? THRESHOLD - 1 : THRESHOLD + 1;
}

uint64_t ram_bytes_total(void)
{
	return world.much_dirty ? THRESHOLD : 2 * FPF_FEW_DIRTY * THRESHOLD;
}

bool bql_locked(void)
{
	return world.bql;
}

void migration_request_pass(int64_t ms)
{
	MUST(ms == WAIT_MS && world.little_left);
	world.pass_ms = ms;
}

void migration_exclude_from_bandwidth(int64_t ms)
{
	MUST(ms >= 0);
	world.excluded_ms += ms;
}

int64_t get_clock(void)
{
	return world.now_ms * 1000000;
}

/* Another thread was in SET, see wait_for_report(). */
void qemu_cond_wait(QemuCond *cond, QemuMutex *lock)
{
	MUST(cond == &filter->flushed && lock == &filter->lock && lock->held && filter->flushing);
	filter->flushing--;
	filter->nr_flushed++;
}

/* The device has the BQL. */
static bool device_arms(bool poison)
{
	bool armed, bql = world.bql;

	world.bql = world.device = true;
	armed = free_page_filter_arm(true, poison);
	world.bql = bql;
	world.device = false;
	return armed;
}

/* What others do when they get the lock. */
static void have_lock(QemuMutex *lock)
{
	uint8_t meanwhile = world.meanwhile;

	if (world.busy || !meanwhile)
		return;
	world.meanwhile = NOTHING;
	qemu_mutex_unlock(lock);
	if (meanwhile == HURRY) {
		world.busy = UINT8_MAX;
		world.hurried = true;
		free_page_filter_hurry(true);
	} else {
		free_page_filter_end_epoch();
		if (meanwhile == NEXT_EPOCH)
			device_arms(false);
	}
	qemu_mutex_lock(lock);
}

/* What others do while an agent's thread is in KVM. */
static void arm_meanwhile(void)
{
	uint8_t meanwhile = world.meanwhile;

	if (!meanwhile)
		return;
	world.meanwhile = NOTHING;
	/* In this round the device does not arm, or it would end the epoch that begins. */
	if (meanwhile == HURRY)
		MUST(device_arms(false) == filter->stock);
	else
		free_page_filter_end_epoch();
	if (meanwhile == NEXT_EPOCH)
		device_arms(false);
}

/* It may end before its time. */
void qemu_cond_timedwait(QemuCond *cond, QemuMutex *lock, int ms)
{
	MUST(lock->held && ms > 0 && ms <= FPF_WAIT_STEP_MS);
	/* Nobody who wants the object's lock, or the bitmap, has to wait. */
	MUST(!object.lock.held && !world.bitmap_locked);
	world.now_ms += 1 + (ms - 1) / 2;
	if (cond == &filter->gave_way)
		have_lock(lock);
}

RAMBlock *qemu_ram_block_from_host(void *host, bool round, ram_addr_t *offset)
{
	hwaddr gpa = (uintptr_t)host - HOST_BASE;
	size_t i;

	MUST(!round);
	for (i = 0; i < NR_BLOCKS; i++) {
		if (gpa >= blocks[i].gpa && gpa - blocks[i].gpa < blocks[i].used_length) {
			*offset = gpa - blocks[i].gpa;
			return &blocks[i];
		}
	}
	return NULL;
}

size_t qemu_ram_pagesize(RAMBlock *rb)
{
	return rb->page_size;
}

bool ram_bitmap_trylock(void)
{
	/* Without an epoch there may be no bitmap. */
	MUST(!world.bitmap_locked && world.epoch);
	if (world.busy && world.busy--)
		return false;
	world.bitmap_locked = true;
	return true;
}

void ram_bitmap_unlock(void)
{
	MUST(world.bitmap_locked);
	world.bitmap_locked = false;
}

uint64_t ram_bitmap_drop(RAMBlock *rb, unsigned long start, unsigned long npages, const unsigned long *which)
{
	unsigned long pages = rb->used_length >> HOST_PAGE_SHIFT;

	MUST(world.bitmap_locked && rb->bmap && !rb->ignored);
	MUST(!(rb->flags & RAM_PMEM) && !rb->mr->nonvolatile);
	MUST(npages && start < pages && npages <= pages - start);
	MUST(start % (rb->page_size >> HOST_PAGE_SHIFT) == 0);
	MUST(npages % (rb->page_size >> HOST_PAGE_SHIFT) == 0);
	MUST(!which || rb->page_size >> HOST_PAGE_SHIFT == 1);
	world.nr_dropped++;
	return free_page_clear_map(rb->bmap, start, which, 0, npages, rb->dropped);
}

/* KVM */

static AccelFreePageBlocked accel_blocked(AccelState *as)
{
	(void)as;
	return world.blocked ? ACCEL_FREE_PAGE_NO_KERNEL_SUPPORT : ACCEL_FREE_PAGE_NOT_BLOCKED;
}

static bool accel_can_arm_candidates(AccelState *as)
{
	(void)as;
	return true;
}

/* The last answer was right to its end, and what it named is what is tracked: where there is memory. */
static void check_candidates(const FreePageMap *candidates)
{
	uint64_t first = candidates->base >> HOST_PAGE_SHIFT, nr_found, nr_named = 0;
	struct chunk *chunk;
	unsigned long i;

	MUST(object.decoder.status == WIRE_DONE && object.decoder.expect.tag == FPA_NO_EPOCH);
	MUST(candidates->npages && first + candidates->npages <= RAM_END >> HOST_PAGE_SHIFT);
	nr_found = (uint64_t)bitmap_count_one(candidates->bits, candidates->npages);
	for (chunk = world.chunks; chunk < world.chunks + world.nr_chunks; chunk++) {
		if (chunk->first >> 18 == 3)
			continue;
		for (i = find_first_bit(chunk->bits, chunk->npages); i < chunk->npages;
		     i = find_next_bit(chunk->bits, chunk->npages, i + 1)) {
			MUST(chunk->first + i - first < candidates->npages);
			MUST(find_next_bit(candidates->bits, candidates->npages, chunk->first + i - first) ==
			     chunk->first + i - first);
			nr_named++;
		}
	}
	MUST(nr_found == nr_named || world.nr_chunks == MAX_CHUNKS);
}

/* The device arms for its hints with the BQL, and the lock, for what follows must not be overtaken. */
static int accel_arm(AccelState *as, uint64_t *epoch, const FreePageMap *candidates)
{
	bool device = world.device;
	uint64_t mine;

	(void)as;
	*epoch = 0;
	MUST(!world.off && !filter->epoch && !object.lock.held && !world.bitmap_locked);
	MUST(device ? !candidates && world.bql && filter->lock.held : !world.bql && !filter->lock.held);
	MUST(device || candidates || !object.candidates.bits);
	if (world.arm_fails)
		return -5;
	if (candidates)
		check_candidates(candidates);
	world.epoch = 0;
	mine = ++world.last_epoch;
	if (!device)
		arm_meanwhile();
	/* Another one began meanwhile. */
	if (mine != world.last_epoch) {
		*epoch = candidates ? 0 : mine;
		return candidates ? -ESTALE : 0;
	}
	world.epoch = mine;
	world.nr_named = 0;
	*epoch = mine;
	return 0;
}

/* One that is over is no error. */
static void accel_disarm(AccelState *as, uint64_t epoch)
{
	(void)as;
	MUST(epoch);
	if (epoch == world.epoch)
		world.epoch = 0;
}

/* Takes @report's pages out of what was named; what is left over was never named. */
static void check_named(const FreePageReport *report)
{
	static unsigned long rest[WINDOW_PAGES / BITS_PER_LONG];
	unsigned long first, i;
	struct named *named;

	memcpy(rest, report->free, sizeof(rest));
	MUST(find_first_bit(rest, WINDOW_PAGES) >= report->first);
	MUST(find_next_bit(rest, WINDOW_PAGES, report->end) == WINDOW_PAGES);
	for (named = world.named; named < world.named + world.nr_named; named++) {
		if (named->gpa - report->base >= FPF_WINDOW_SIZE)
			continue;
		first = (named->gpa - report->base) >> HOST_PAGE_SHIFT;
		if (named->is_hint) {
			bitmap_clear(rest, first, named->npages);
			continue;
		}
		for (i = 0; i < WIRE_CHUNK_PAGES / BITS_PER_LONG; i++)
			rest[first / BITS_PER_LONG + i] &= ~named->bits[i];
		memset(named->bits, 0, sizeof(named->bits));
	}
	MUST(find_first_bit(rest, WINDOW_PAGES) == WINDOW_PAGES);
}

/*
 * Drops what is confirmed, part by part, as kvm-fpr.c does with memory slots: below 16 GiB, and
 * from where the report begins.
 */
static void drop_from_slots(const FreePageReport *report, FreePageDropFunc *drop)
{
	static unsigned long part[WINDOW_PAGES / BITS_PER_LONG];
	hwaddr gpa, start = report->base + (report->first << HOST_PAGE_SHIFT);
	unsigned long first, n;
	size_t i;

	for (i = 0; i < NR_BLOCKS && report->base < 16 * GiB; i++) {
		gpa = MAX(blocks[i].gpa, start);
		if (gpa >= MIN(blocks[i].gpa + blocks[i].used_length, report->base + FPF_WINDOW_SIZE))
			continue;
		/* To the window's end: no more than lies in the block may be dropped. */
		memset(part, 0, sizeof(part));
		first = (gpa - report->base) >> HOST_PAGE_SHIFT;
		for (n = find_next_bit(report->confirmed, report->end, first); n < report->end;
		     n = find_next_bit(report->confirmed, report->end, n + 1))
			set_bit(n - first, part);
		drop((void *)(uintptr_t)(HOST_BASE + gpa), part, WINDOW_PAGES - first);
	}
}

static int accel_set_bitmap(AccelState *as, FreePageReport *report, FreePageDropFunc *drop)
{
	unsigned long i;

	(void)as;
	MUST(world.bitmap_locked);
	MUST(report->epoch && report->epoch == world.epoch);
	MUST(report->base % FPF_WINDOW_SIZE == 0);
	MUST(report->first < report->end && report->end <= WINDOW_PAGES);
	check_named(report);
	if (world.set_fails)
		return -116;
	for (i = 0; i < WINDOW_PAGES / BITS_PER_LONG; i++)
		report->confirmed[i] = report->free[i] & ~0ul / 255 * world.confirms;
	drop_from_slots(report, drop);
	report->nr_confirmed += (uint64_t)bitmap_count_one(report->confirmed, WINDOW_PAGES);
	return 0;
}

static const AccelFreePageOps accel_ops = {
	.blocked = accel_blocked,
	.can_arm_candidates = accel_can_arm_candidates,
	.arm = accel_arm,
	.set_bitmap = accel_set_bitmap,
	.disarm = accel_disarm,
};

AccelClass accel_class = { .free_page_ops = &accel_ops };

/* What the report's object tells the filter */

static struct named *name_pages(hwaddr gpa, unsigned long npages)
{
	struct named *named = &world.named[world.nr_named++];

	memset(named, 0, sizeof(*named));
	named->gpa = gpa;
	named->npages = npages;
	return named;
}

static bool checked_report(uint64_t epoch, hwaddr gpa, const unsigned long *free_pages,
			   unsigned long npages)
{
	struct named *named;

	MUST(!object.lock.held);
	MUST(epoch == object.epoch && (!epoch || epoch == object.decoder.expect.tag));
	MUST(gpa % (WIRE_CHUNK_PAGES << HOST_PAGE_SHIFT) == 0);
	MUST(npages && npages <= WIRE_CHUNK_PAGES);
	/* More were named than are kept here: this epoch is of no more use. */
	if (epoch == world.epoch && world.nr_named == MAX_NAMED)
		free_page_filter_end_epoch();
	if (epoch && epoch == world.epoch) {
		named = name_pages(gpa, npages);
		memcpy(named->bits, free_pages, sizeof(named->bits));
	}
	return free_page_filter_report(epoch, gpa, free_pages, npages);
}

/* All was handed over, and the wait for it is over. */
static int64_t checked_done(uint64_t round, bool complete)
{
	int64_t won = free_page_filter_report_done(round, complete);
	unsigned int i;

	MUST(round && !object.lock.held && won >= 0);
	if (round != filter->round || !filter->epoch)
		return won;
	MUST(!filter->nr_hints);
	/* Who is in a hurry gives up what it cannot hand over: it is sent. */
	if (filter->hurry)
		return won;
	for (i = 0; i < world.nr_named; i++)
		MUST(find_first_bit(world.named[i].bits, WIRE_CHUNK_PAGES) == WIRE_CHUNK_PAGES);
	return won;
}

static bool checked_begin(FreePageCandidates *candidates)
{
	MUST(world.much_dirty && !world.bql);
	world.nr_chunks = 0;
	return free_page_candidates_begin(candidates);
}

/* Whatever the answer to a request of no epoch names */
static void checked_add(FreePageCandidates *candidates, uint64_t first, uint64_t npages,
			const unsigned long *bits)
{
	struct chunk *chunk = &world.chunks[world.nr_chunks];

	MUST(object.round && !object.epoch && object.decoder.expect.tag == FPA_NO_EPOCH);
	if (world.nr_chunks < MAX_CHUNKS) {
		world.nr_chunks++;
		chunk->first = first;
		chunk->npages = npages;
		memcpy(chunk->bits, bits, sizeof(chunk->bits));
	}
	free_page_candidates_add(candidates, first, npages, bits);
}

/* Ops */

static void work(void)
{
	if (world.no_object || !object.work->pending)
		return;
	object.work->pending = false;
	/* What a peer that has gone was asked is no matter of the next one. */
	if (object.new_peer)
		world.requested = 0;
	object.work->run(object.work->opaque);
}

static void feed(struct input *input, bool mended)
{
	unsigned int mend = mended ? (unsigned int)input_number(input, 1) : 0;
	uint32_t cuts = (uint32_t)input_number(input, 2);
	size_t len = (size_t)input_number(input, 2), cut;
	uint8_t *data = input_copy(input, &len), *piece;
	struct input pieces = { data, len };

	if (mended)
		mend_response(data, len, object.decoder.expect.tag, mend);
	while (pieces.len) {
		cut = input_cut(&cuts, pieces.len);
		cut = MIN(cut, (size_t)fpa_can_read(&object));
		piece = input_copy(&pieces, &cut);
		fpa_read(&object, piece, (int)cut);
		free(piece);
	}
	free(data);
}

/* A period is judged once, when the next one ends, and has no more pages than were found in it. */
static void end_period(uint64_t found)
{
	static uint64_t before;
	MigrationPeriod period = { .dirty_pages = found, .bytes = 1 + found, .ms = 1000 + (int64_t)found };
	bool armed = stat64_get(&filter->epochs), judged = armed && filter->period.found.ms;

	free_page_filter_end_period(&period);
	MUST(armed || period.dirty_pages == found);
	MUST(!armed || period.dirty_pages <= (judged ? before : 0));
	/* They are those of one and the same period. */
	MUST(period.bytes == 1 + (judged ? before : found) && period.ms == 999 + (int64_t)period.bytes);
	before = found;
}

static void sync_bitmap(struct input *input)
{
	uint64_t how = input_number(input, 1);
	PrecopyNotifyData data = { .reason = PRECOPY_NOTIFY_AFTER_BITMAP_SYNC };

	/* Rounds last for longer than it takes to have a budget again. */
	world.now_ms += 1000;
	world.bql = true;
	/* Every sync ends the epoch. The object copes with one that does not, once it has asked. */
	if (how == 0xff) {
		world.bql = false;
		work();
	} else {
		free_page_filter_begin_round();
		world.nr_syncs++;
		end_period(how);
	}
	if (how == 0xfe)
		data.reason = PRECOPY_NOTIFY_SETUP;
	world.notifier->notify(world.notifier, &data, NULL);
	world.bql = false;
	/* Where the filter is off, a sync is none of the object's business. */
	MUST(!world.off || (!object.migrating && !object.wanted.round));
	if (how != 0x40)
		work();
	MUST(!object.epoch || object.decoder.expect.tag == object.epoch);
}

static void set_up(struct input *input)
{
	uint64_t settings = input_number(input, 1);

	world.not_running = settings & 1;
	world.closed = settings & 2;
	world.arm_fails = settings & 4;
	world.set_fails = settings & 8;
	world.blocked = settings & 16;
	world.cancelled = settings & 32;
	world.little_left = settings & 128;
	world.write_limit = settings & 64 ? (uint8_t)input_number(input, 1) : 255;
	world.confirms = (uint8_t)input_number(input, 1);
	/* By the same byte, so that inputs of the corpus go on meaning what they did. */
	world.much_dirty = !(world.confirms & 1);
}

static void hint(struct input *input)
{
	hwaddr gpa = input_number(input, 5), size = input_number(input, 4);
	struct named *named;
	hwaddr end;

	/*
	 * As the balloon's device does, an epoch may begin here.  An odd size stands for a guest
	 * that poisons its free pages.
	 */
	if (!device_arms(size & 1) || filter->stock) {
		/* Without the capability hints are what they are in stock QEMU, come what may. */
		MUST(!world.off || (filter->stock && !free_page_filter_hint(gpa, size)));
		return;
	}
	if (world.nr_named + 8 > MAX_NAMED)
		free_page_filter_end_epoch();
	for (end = gpa; filter->epoch && end < gpa + size; ) {
		hwaddr rest = FPF_WINDOW_SIZE - end % FPF_WINDOW_SIZE;
		hwaddr len = MIN(rest, gpa + size - end);
		hwaddr first = ROUND_UP(end, 4096), last = QEMU_ALIGN_DOWN(end + len, 4096);

		if (last > first) {
			named = name_pages(first, (last - first) >> HOST_PAGE_SHIFT);
			named->is_hint = true;
		}
		end += len;
	}
	free_page_filter_hint(gpa, size);
}

/*
 * All that the filter may do with what is left is to look at it again after a report, and to
 * ask for one more pass, once, when it is so little that the guest could be stopped.
 */
static void ask_for_last_round(uint64_t left)
{
	bool begun = filter->last_round;
	uint64_t exact = free_page_filter_pending_exact(left);

	MUST(exact == left || (left && left < FPF_NEAR * THRESHOLD && exact == ram_bytes_remaining()));
	MUST(!world.pass_ms || !begun);
	MUST(!world.pass_ms == (begun || !filter->last_round));
	world.pass_ms = 0;
}

static void wait_for_report(struct input *input)
{
	uint64_t how = input_number(input, 1);
	bool late = filter->late;
	int64_t start = world.now_ms, excluded = world.excluded_ms;

	if (how & 1) {
		/* As if another thread were at that point: nobody may be waited for twice. */
		filter->flushing = !!(how & 2);
		free_page_filter_before_pages();
		filter->flushing = 0;
	} else {
		ask_for_last_round(input_number(input, 3));
		MUST(!late || world.now_ms == start);
	}
	MUST(world.now_ms - start <= WAIT_MS);
	/* Before any more pages are sent. */
	MUST(!world.has_to_fail || world.failed || world.cancelled || !world.migrating || world.not_running);
	MUST(!world.off || world.now_ms == start);
	/* For the bandwidth, that time has not passed. */
	MUST(world.now_ms - start == world.excluded_ms - excluded);
}

/*
 * Only in an epoch that goes on, and not before the agent has answered and rested. Another epoch
 * begins only if this one tracks a part of memory, and hints are of none before.
 */
static void ask_again(void)
{
	uint64_t epoch = filter->epoch;
	bool again = filter->partial && filter->hint_epoch != epoch;

	if (!object.again->pending)
		return;
	MUST(!object.expecting && object.again->expires_ms >= object.asked_ms + object.interval_ms);
	MUST(!object.round && !object.epoch);
	object.again->pending = false;
	object.again->expired(object.again->opaque);
	MUST(!object.round || (epoch && !world.little_left));
	MUST(!object.round || object.epoch == filter->epoch || (again && object.candidates.bits));
	MUST(filter->epoch == epoch || again);
}

/* Of the device's, but not of an epoch in which it has armed: they may have been made before that. */
static void hint_late(void)
{
	unsigned int before = filter->nr_hints;

	if (filter->stock || !filter->epoch || filter->hint_epoch == filter->epoch)
		return;
	free_page_filter_hint(GiB, 64 << HOST_PAGE_SHIFT);
	MUST(filter->nr_hints == before);
}

/* The agent owes an answer for too long, if the clock says so. */
static void find_silence(void)
{
	if (!object.silence->pending || world.now_ms < object.silence->expires_ms)
		return;
	MUST(object.owes);
	object.silence->pending = false;
	object.silence->expired(object.silence->opaque);
}

/* Each event is a change, and in a migration. */
void qapi_event_send_free_page_filter(FreePageFilterState state, bool has_blocked_reason,
				      FreePageFilterBlockedReason blocked_reason,
				      const char *blocked_text, const char *agent)
{
	MUST(object.lock.held == !!agent);
	MUST(has_blocked_reason == (state == FREE_PAGE_FILTER_STATE_BLOCKED));
	MUST(has_blocked_reason == !!blocked_text);
	switch (state) {
	case FREE_PAGE_FILTER_STATE_ON:
		MUST(!agent && world.epoch && world.told != state);
		world.told = state;
		break;
	case FREE_PAGE_FILTER_STATE_BLOCKED:
		MUST(!agent && blocked_reason == filter->blocked);
		MUST(world.told != state || world.told_reason != blocked_reason);
		/* What keeps the balloon out keeps no object out that is there. */
		MUST(blocked_reason != FREE_PAGE_FILTER_BLOCKED_REASON_PAGE_POISON ||
		     !stat64_get(&filter->asked) || world.no_object);
		MUST(world.off == (blocked_reason == FREE_PAGE_FILTER_BLOCKED_REASON_CAPABILITY));
		world.told = state;
		world.told_reason = blocked_reason;
		world.told_off = true;
		/* What keeps the balloon out does not always keep all of them out. */
		if (world.strict && !world.has_to_fail &&
		    blocked_reason != FREE_PAGE_FILTER_BLOCKED_REASON_PAGE_POISON) {
			world.has_to_fail = true;
			world.fail_reason = blocked_reason;
		}
		break;
	case FREE_PAGE_FILTER_STATE_AGENT_SILENT:
		MUST(agent && object.migrating && world.told_agent != state);
		MUST(object.owes || world.closed);
		world.told_agent = state;
		break;
	case FREE_PAGE_FILTER_STATE_AGENT_BACK:
		MUST(agent && object.migrating && !object.owes);
		MUST(world.told_agent == FREE_PAGE_FILTER_STATE_AGENT_SILENT);
		world.told_agent = state;
		break;
	case FREE_PAGE_FILTER_STATE__MAX:
		MUST(0);
	}
}

/* The rounds that are remembered are the last ones, and no more happened in them than in all. */
static void check_rounds(FreePageFilterInfo *info)
{
	uint64_t n = MIN(world.nr_syncs, FPF_MAX_ROUNDS), number = world.nr_syncs - n;
	FreePageFilterRoundList *link, *next;
	FreePageFilterRound sum = {};

	for (link = info->rounds; link; link = next, n--) {
		MUST(n && link->value->round == ++number);
		sum.reports += link->value->reports;
		sum.reported_pages += link->value->reported_pages;
		sum.dropped_pages += link->value->dropped_pages;
		sum.waited_ms += link->value->waited_ms;
		MUST(link->value->reports <= link->value->asked);
		next = link->next;
		free(link->value);
		free(link);
	}
	MUST(!n);
	/* Whatever the input does before the first sync is of no round. */
	MUST(sum.reports <= info->reports && sum.reported_pages <= info->reported_pages);
	MUST(sum.dropped_pages <= info->dropped_pages && sum.waited_ms <= info->waited_ms);
}

static void begin_migration(void)
{
	world.told = NOTHING_TOLD;
	world.told_off = false;
	world.has_to_fail = false;
	world.failed = false;
	world.nr_syncs = 0;
	world.migrating = true;
	free_page_filter_setup();
}

/* What is refused, and what is not: the capabilities are bits of a number. */
static void set_capabilities(struct input *input)
{
	uint64_t how = input_number(input, 1);
	bool old_caps[MIGRATION_CAPABILITY__MAX], new_caps[MIGRATION_CAPABILITY__MAX];
	bool refused, filter, machine_refuses;
	int i;

	for (i = 0; i < MIGRATION_CAPABILITY__MAX; i++)
		new_caps[i] = how & 1 << i;
	memcpy(old_caps, migrate_get_current()->capabilities, sizeof(old_caps));
	world.early = how & 0x10;
	world.incoming = how & 0x20;
	machine.cgs = how & 0x40 ? &world : NULL;
	refused = !free_page_filter_check_caps(old_caps, new_caps, NULL);
	filter = new_caps[MIGRATION_CAPABILITY_FREE_PAGE_FILTER];
	machine_refuses = (world.blocked || machine.cgs) && world.off && !world.early && !world.incoming;
	MUST(refused == (filter ? new_caps[MIGRATION_CAPABILITY_X_COLO] ||
				  new_caps[MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT] || machine_refuses :
				  new_caps[MIGRATION_CAPABILITY_FREE_PAGE_FILTER_STRICT]));
	world.early = false;
	machine.cgs = NULL;
	if (refused)
		return;
	world.off = !filter;
	world.strict = new_caps[MIGRATION_CAPABILITY_FREE_PAGE_FILTER_STRICT];
}

/* For want of one a migration need not fail any more. */
static void reporter_came(void)
{
	if (world.fail_reason == FREE_PAGE_FILTER_BLOCKED_REASON_NO_REPORTER)
		world.has_to_fail = false;
}

static void plug_object(void)
{
	static char name[] = "agent";

	memset(&object, 0, sizeof(object));
	fpa_init(OBJECT(&object));
	object.wait_first_ms = WAIT_MS;
	fpa_set_chardev(OBJECT(&object), name, NULL);
	fpa_complete((UserCreatable *)&object, NULL);
	/* The agent has answered. */
	object.owes = false;
	world.told_agent = NOTHING_TOLD;
	world.no_object = false;
	reporter_came();
}

static void unplug_object(void)
{
	world.bql = true;
	fpa_finalize(OBJECT(&object));
	world.bql = false;
	MUST(!world.notifier);
	/* Management knows that the last one is gone. */
	MUST(!filter || filter->users || !world.migrating || world.cancelled ||
	     world.told != FREE_PAGE_FILTER_STATE_ON);
	/* The next object has its own port, and asks that again. */
	world.requested = 0;
	world.no_object = true;
}

static void plug_balloon(void)
{
	free_page_filter_enable();
	reporter_came();
	world.no_balloon = false;
}

static void unplug_balloon(void)
{
	free_page_filter_disable();
	world.no_balloon = true;
}

/* The filter is there as long as anybody uses it, in whatever order they go. */
static void check_users(void)
{
	MUST(filter->users == !world.no_balloon + !world.no_object);
	MUST(!filter->report.free == !filter->users && !filter->report.part == !filter->users &&
	     !filter->report.confirmed == !filter->users);
	MUST(filter->users || !world.epoch);
}

static void end_migration(struct input *input)
{
	PrecopyNotifyData data = { .reason = PRECOPY_NOTIFY_CLEANUP };
	FreePageFilterInfo *info = free_page_filter_info();
	uint64_t how = input_number(input, 1);

	MUST(!info == (world.no_balloon && world.no_object && world.off));
	MUST(!info || !world.off || (!info->epochs && !info->reported_pages && !info->waited_ms && !filter->asked.value));
	if (world.notifier)
		world.notifier->notify(world.notifier, &data, NULL);
	free_page_filter_end_epoch();
	work();
	MUST(world.no_object || (!object.epoch && !object.again->pending));
	MUST(world.no_object || (!object.round && !object.candidates.bits));
	/* A peer that has just come is asked then, too. */
	MUST(world.no_object || (!object.silent && (!object.silence->pending || object.owes)));
	world.told_agent = NOTHING_TOLD;
	if (info) {
		MUST(info->confirmed_pages <= info->reported_pages);
		MUST(info->has_blocked_reason == !!info->blocked_text);
		check_rounds(info);
		free(info->blocked_text);
		free(info);
	}
	/* Devices neither come nor go in a migration, objects do. */
	world.migrating = how & 8;
	world.waits_unplug = how & 0x20;
	if (how & 4)
		(world.no_object ? plug_object : unplug_object)();
	check_users();
	world.waits_unplug = false;
	/* The one that is ignored does not count. */
	world.old_files = how >> 4 & 5;
	world.incoming = how & 0x80;
	MUST(free_page_filter_incoming(NULL) ==
	     ((!filter->users && world.off) || !world.incoming || !(world.old_files & 1)));
	if (how & 8)
		return;
	free_page_filter_end_epoch();
	if (how & 2)
		(world.no_balloon ? plug_balloon : unplug_balloon)();
	check_users();
	if (how & 1) {
		if (how & 2)
			set_capabilities(input);
		begin_migration();
	}
}

/* Whether there is something to do this with. */
static bool possible(enum op op)
{
	switch (op) {
	case OP_SYNC:
	case OP_RAW:
	case OP_RESPONSE:
	case OP_EVENT:
	case OP_TIMER:
	case OP_WORK:
		return !world.no_object;
	case OP_HINT:
	case OP_FLUSH:
		return !world.no_balloon;
	default:
		return true;
	}
}

static void run_op(enum op op, struct input *input)
{
	switch (op) {
	case OP_SYNC:
		sync_bitmap(input);
		break;
	case OP_RAW:
	case OP_RESPONSE:
		feed(input, op == OP_RESPONSE);
		break;
	case OP_EVENT:
		fpa_event(&object, (QEMUChrEvent)(input_number(input, 1) % (CHR_EVENT_CLOSED + 1)));
		work();
		break;
	case OP_SETTING:
		set_up(input);
		break;
	case OP_HINT:
		hint(input);
		break;
	case OP_FLUSH:
		hint_late();
		free_page_filter_flush();
		break;
	case OP_WAIT:
		wait_for_report(input);
		break;
	case OP_END:
		end_migration(input);
		break;
	case OP_TIMER:
		ask_again();
		break;
	case OP_WORK:
		work();
		break;
	case OP_BUSY:
		world.busy = (uint8_t)input_number(input, 1);
		world.meanwhile = (uint8_t)(input_number(input, 1) % NR_MEANWHILE);
		break;
	case NR_OPS:
		break;
	}
	if (world.hurried) {
		world.hurried = false;
		world.busy = 0;
		free_page_filter_hurry(false);
	}
	if (!world.no_object)
		find_silence();
	/* One object has asked once at most, and nobody keeps a lock. */
	MUST(filter->outstanding <= 1 && filter->epoch == world.epoch && !filter->arming);
	MUST(!object.lock.held && !filter->lock.held && !world.bitmap_locked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	enum op op;

	world.nr_named = 0;
	memset(&world, 0, offsetof(struct world, nr_named));
	world.write_limit = 255;
	world.confirms = 255;
	/* As the command line does it: the object comes before the migration's, and may go before it. */
	world.early = true;
	plug_object();
	if (size & 1) {
		unplug_object();
		plug_object();
	}
	MUST(!world.notifier && !state.references);
	create_migration();
	world.early = false;
	world.machine_done->notify(world.machine_done, NULL);
	plug_balloon();
	begin_migration();

	while (input.len) {
		op = (enum op)(input_number(&input, 1) % NR_OPS);
		if (possible(op))
			run_op(op, &input);
	}

	/* When QEMU exits the migration's object is given up first. */
	if (size & 2)
		object_unref(OBJECT(&state));
	if (!world.no_object)
		unplug_object();
	if (!world.no_balloon)
		unplug_balloon();
	if (size & 2) {
		MUST(!filter);
		return 0;
	}
	check_users();
	object_unref(OBJECT(&state));
	MUST(!filter);
	return 0;
}
