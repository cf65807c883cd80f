// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free page filter: does it ever lose a write?
 *
 * vCPUs write at random pages while other threads do all that KVM allows at the
 * same time: agents arm the filter and hand over reports, a sender gets and
 * clears the dirty log and copies what it says, and a changer switches logging,
 * deletes, adds and moves memslots and has KVM's mappings taken away.
 *
 * How a lost write is known.  Whatever a vCPU writes is a version: a number that
 * is written once and never again.  An agent makes its reports from memory
 * itself: it reads the version that a page holds, at an instant after ARM has
 * returned, and calls the page free at that instant.  What the page held then
 * may be lost; whatever is written to it later may not.  The sender plays a
 * migration's part: a page's copy is made only after the dirty log named the
 * page, and not before its bit was cleared.  From time to time all threads stop,
 * the log is fetched once more, and what it names is copied.  Now every page of
 * a slot that logs must be equal to its copy, except where it still holds the
 * version that an agent read for a report that KVM then confirmed: since
 * versions never come twice, nobody wrote that page since it was free.  Any
 * other page that differs was written after it was free, and the log did not
 * say so.
 *
 * Nothing else is taken for a loss or excused:
 *
 * - A write that found no memslot left the guest as KVM_EXIT_MMIO and never
 *   reached memory.  Memory is what counts, not what a vCPU meant to write.
 * - Where KVM drops the dirty bitmap (a slot is deleted, its logging switched
 *   off), all pages of the slot are to be copied once it logs again.  A move
 *   keeps the bitmap and excuses nothing.
 * - Only what KVM confirmed is excused, not what was reported.
 * - A report speaks of gfns.  One that was read while a slot was elsewhere than
 *   at ARM would speak of other pages once the slot is back, and KVM cannot
 *   know; agents name no pages of a slot that moved between ARM and the reading.
 *
 * In half of the rounds the agents are part of a VMM that knows the filter: it
 * drops confirmed pages also from its own sets, in one critical section with
 * SET_BITMAP that excludes the sender's GET and CLEAR.  In the others they are
 * strangers to the sender and share no lock with it.
 */
#include <linux/compiler.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fpr_arch.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "fpr_options.h"
#include "fpr_random.h"
#include "fpr_util.h"

#define NR_VCPUS	2
/* Two, for the ARM of one to come between ARM and SET of the other. */
#define NR_AGENTS	2

#define HUGE		(2ul << 20)
/* What the guest maps: all places of all slots, and holes between them. */
#define AREA_PAGES	2304u
#define AREA_WORDS	(AREA_PAGES / 64)

#define OVERLAY_SLOT	(AS1 | 10)

#define MAX_SHIFT	21u
#define ROUNDS_PER_VM	20
/* Seconds; a round takes a tenth of one, and with KASAN on a busy machine some. */
#define ROUND_LIMIT	120
/* How many times the time that was asked for a slow machine may take. */
#define MAX_TIMES	10u

#define MAX_COMPLAINTS	5

/* What is counted; every field is added to by several threads. */
static struct {
	uint64_t rounds;
	uint64_t arms;
	uint64_t candidate_arms;
	uint64_t disarms;
	uint64_t sets;
	uint64_t stale;
	uint64_t reported;
	uint64_t confirmed;
	uint64_t touched;
	uint64_t filtered;
	uint64_t dropped;
	uint64_t writes;
	uint64_t mmio;
	uint64_t changes;
	uint64_t moves;
	uint64_t zaps;
	uint64_t copied;
	uint64_t verified;
	uint64_t left_out;
	uint64_t lost;
	uint64_t stale_taken;
} counts;

#define count(what, n)	__atomic_fetch_add(&counts.what, n, __ATOMIC_RELAXED)

/* What the guest reads, and the writes it counts.  One copy in each VM. */
struct orders {
	uint64_t stop;
	uint64_t seed;
	uint64_t first_version;
	/* How long a vCPU waits between its writes, and how long it bursts. */
	uint64_t pause_log;
	uint64_t burst_log;
	/* One of so many writes begins a burst. */
	uint64_t burst_one_in;
	uint64_t hot[8];
	uint64_t writes[NR_VCPUS];
};

static struct orders orders;

/*
 * A burst stays on one page or goes round a few, so that a page is written from
 * before an ARM until after the SET without an exit in between.
 */
static uint64_t guest_burst(uint64_t *rng, uint64_t version)
{
	unsigned int n = skewed(rng, orders.burst_log), span = 1 + below(rng, 3), i;
	uint64_t page = below(rng, AREA_PAGES - 3);

	if (one_in(rng, 2))
		page = orders.hot[below(rng, ARRAY_SIZE(orders.hot))];

	for (i = 0; i < n && !READ_ONCE(orders.stop); i++) {
		version += 256;
		WRITE_ONCE(*(uint64_t *)(GPA + (page + i % span) * PAGE), version);
	}
	return version;
}

static void guest_pause(uint64_t *rng)
{
	unsigned int i, n = skewed(rng, orders.pause_log);

	for (i = 0; i < n; i++)
		barrier();
}

/* Versions of the two vCPUs differ in the lowest byte, and are never 0. */
static void guest_code(uint64_t id)
{
	uint64_t rng = orders.seed + id, version = orders.first_version + id + 1;

	for (;;) {
		while (!READ_ONCE(orders.stop)) {
			version += 256;
			WRITE_ONCE(*(uint64_t *)(GPA + below(&rng, AREA_PAGES) * PAGE),
				   version);
			if (one_in(&rng, orders.burst_one_in))
				version = guest_burst(&rng, version);
			guest_pause(&rng);
		}
		orders.writes[id] = (version - orders.first_version) / 256;
		GUEST_SYNC(0);
	}
}

/*
 * A memslot.  A gfn never belongs to two of them, wherever they move; sizes are
 * multiples of nothing, and one can hold a huge page.
 */
struct slot {
	const uint32_t id;
	const unsigned int home;
	const unsigned int npages;

	char *mapping;
	char *mem;

	/* Where it is, in pages from GPA.  Changed under both locks below. */
	unsigned int base;
	unsigned int moves;
	bool present;
	bool logging;

	/* The sender's, under log_lock: what is to be copied, ... */
	uint64_t pending[AREA_WORDS];
	/* ... and what of it GET has named and CLEAR has not yet cleared. */
	uint64_t gotten[AREA_WORDS];
	/* The versions that were copied; only the sender writes them. */
	uint64_t copy[AREA_PAGES];
	/* The versions that the agents read for reports that were confirmed. */
	uint64_t freed[NR_AGENTS][AREA_PAGES];
};

static struct slot slots[] = {
	{ .id = 10, .home = 3, .npages = 333 },
	{ .id = 11, .home = 400, .npages = 70 },
	{ .id = 12, .home = 512, .npages = 1000 },
	{ .id = 13, .home = 1700, .npages = 501 },
};

#define for_each_slot(s) for (s = slots; s < slots + ARRAY_SIZE(slots); s++)

/* Of the slots: the sets of the sender, and with them whether a slot logs. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
/* Of the slots: where they are.  Taken inside log_lock. */
static pthread_rwlock_t place_lock = PTHREAD_RWLOCK_INITIALIZER;

/* Held over each change of the slots, for as long as it takes.  Outside the two. */
static pthread_mutex_t change_lock = PTHREAD_MUTEX_INITIALIZER;
/* The slot that a slot of the other address space lies over, under change_lock. */
static struct slot *overlaid;

static const struct {
	const char *name;
	uint64_t manual_protect;
} modes[] = {
	{ "auto-clear", 0 },
	{ "manual-protect", KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
	{ "initially-set", KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
			   KVM_DIRTY_LOG_INITIALLY_SET },
};

/* The VM of this round, and what is drawn for it. */
static struct {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct orders *orders;
	unsigned int number;
	unsigned int mode;
	bool huge;
} now;

enum changes {
	/* Slots stay as they are, only mappings are zapped. */
	STILL,
	/* The same, but all logging is new before the first ARM. */
	RENEWING,
	/* Slots move, too: no log is lost. */
	MOVING,
	/* Slots come and go, too. */
	CHANGING,
};

static struct {
	bool stop;
	/* The round ends with so many reports, 0: when its time is over. */
	int reports;
	bool aware;
	bool second_as;
	enum changes changes;
} round;

static bool round_is_over(void)
{
	return READ_ONCE(round.stop);
}

/* The vCPUs first: what they write later could hide a loss. */
static void end_round(void)
{
	WRITE_ONCE(now.orders->stop, 1);
	WRITE_ONCE(round.stop, true);
}

static bool has_candidates;
static bool has_second_as;

static bool manual(void)
{
	return modes[now.mode].manual_protect;
}

/* So that threads meet in ever new ways. */
static void nap(uint64_t *rng)
{
	switch (below(rng, 4)) {
	case 0:
		break;
	case 1:
		sched_yield();
		break;
	default:
		usleep(skewed(rng, 12));
	}
}

static uint64_t read_version(const struct slot *s, unsigned int page)
{
	return READ_ONCE(*(uint64_t *)(s->mem + page * PAGE));
}

static unsigned int nr_words(const struct slot *s)
{
	return (s->npages + 63) / 64;
}

/* The bits of word @i of a slot's bitmap that stand for pages. */
static uint64_t valid_bits(const struct slot *s, unsigned int i)
{
	unsigned int n = s->npages - i * 64;

	return n < 64 ? (1ull << n) - 1 : ~0ull;
}

static bool take_bit(uint64_t *bitmap, unsigned int n)
{
	uint64_t bit = 1ull << (n % 64), old = bitmap[n / 64];

	bitmap[n / 64] = old & ~bit;
	return old & bit;
}

/* What changes the slots: the changer, and at times an agent */

static void set_region(uint32_t id, uint32_t flags, unsigned int base,
		       unsigned int npages, void *mem)
{
	int r = __vm_set_user_memory_region(now.vm, id, flags, GPA + base * PAGE,
					    npages * PAGE, mem);

	TEST_ASSERT(!r, "slot 0x%x, flags %u, %u pages at page %u: %s", id, flags,
		    npages, base, strerror(errno));
}

static void set_slot(struct slot *s, bool present, bool logging,
		     unsigned int base)
{
	bool same_log = s->logging && logging;
	unsigned int i;

	pthread_mutex_lock(&log_lock);
	pthread_rwlock_wrlock(&place_lock);

	set_region(s->id, logging ? LOG : 0, base, present ? s->npages : 0, s->mem);
	s->moves += base != s->base;
	s->base = base;
	s->present = present;
	s->logging = logging;

	/* What is named from now on is in a new bitmap. */
	for (i = 0; !same_log && i < nr_words(s); i++) {
		s->gotten[i] = 0;
		s->pending[i] = logging ? valid_bits(s, i) : 0;
	}

	pthread_rwlock_unlock(&place_lock);
	pthread_mutex_unlock(&log_lock);
	count(changes, 1);
}

static void remove_overlay(void)
{
	if (overlaid)
		set_region(OVERLAY_SLOT, 0, 0, 0, NULL);
	overlaid = NULL;
}

/* The same memory at the same gfns, as it is for a guest without SMRAM. */
static void add_overlay(uint64_t *rng, struct slot *s)
{
	unsigned int first = below(rng, s->npages);
	unsigned int npages = 1 + below(rng, s->npages - first);

	remove_overlay();
	set_region(OVERLAY_SLOT, one_in(rng, 3) ? 0 : LOG, s->base + first, npages,
		   s->mem + first * PAGE);
	overlaid = s;
	count(changes, 1);
}

/* The overlay does not come along: it would map the memory at other gfns. */
static void move_slot(uint64_t *rng, struct slot *s)
{
	unsigned int base = s->home;

	if (s->base == s->home)
		base += 1 + below(rng, MAX_SHIFT);
	if (overlaid == s)
		remove_overlay();
	set_slot(s, true, s->logging, base);
	count(moves, 1);
}

/*
 * Has KVM take away its mappings of a part of the slot, with no other effect:
 * the next write to each page takes the long way through the fault handler.
 */
static void zap_mappings(uint64_t *rng, const struct slot *s)
{
	unsigned int first = 0, npages = s->npages;
	char *mem;

	/* Parts would break up the host's huge pages for good. */
	if (!now.huge) {
		first = below(rng, npages);
		npages = 1 + below(rng, npages - first);
	}
	mem = s->mem + first * PAGE;
	TEST_ASSERT(!mprotect(mem, npages * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) &&
		    !mprotect(mem, npages * PAGE, PROT_READ | PROT_WRITE),
		    "mprotect: %s", strerror(errno));
	count(zaps, 1);
}

static void change_or_lose_log(uint64_t *rng, struct slot *s)
{
	if (!s->present)
		set_slot(s, true, !one_in(rng, 4), s->base);
	else if (round.second_as && one_in(rng, 2))
		add_overlay(rng, s);
	else if (one_in(rng, 2))
		set_slot(s, true, !s->logging, s->base);
	else
		set_slot(s, false, false, s->base);
}

/* A slot that does not log is not verified. */
static void restore_slots(uint64_t *rng)
{
	struct slot *s;

	for_each_slot(s) {
		if (!s->logging && !one_in(rng, 8))
			set_slot(s, true, true, s->base);
	}
}

static void change_something(uint64_t *rng, struct slot *s)
{
	pthread_mutex_lock(&change_lock);
	if (round.changes == CHANGING && one_in(rng, 4))
		change_or_lose_log(rng, s);
	else if (round.changes >= MOVING && s->present && one_in(rng, 4))
		move_slot(rng, s);
	else
		zap_mappings(rng, s);
	pthread_mutex_unlock(&change_lock);
}

static void change(uint64_t *rng)
{
	while (!round_is_over()) {
		change_something(rng, &slots[below(rng, ARRAY_SIZE(slots))]);
		nap(rng);
	}
	pthread_mutex_lock(&change_lock);
	remove_overlay();
	if (one_in(rng, 2))
		restore_slots(rng);
	pthread_mutex_unlock(&change_lock);
}

/* The sender */

/* KVM_GET_DIRTY_LOG, merged; the caller holds log_lock. */
static void get_log(struct slot *s)
{
	uint64_t log[AREA_WORDS] = {};
	struct kvm_dirty_log args = { .slot = s->id, .dirty_bitmap = log };
	unsigned int i;
	int err;

	if (!s->logging)
		return;

	err = vm_errno(now.vm, KVM_GET_DIRTY_LOG, &args);
	TEST_ASSERT(!err, "KVM_GET_DIRTY_LOG: %s", strerror(err));
	for (i = 0; i < nr_words(s); i++) {
		s->pending[i] |= log[i];
		if (manual())
			s->gotten[i] |= log[i];
	}
}

/* KVM_CLEAR_DIRTY_LOG of some words; the caller holds log_lock. */
static void clear_log(struct slot *s, unsigned int first, unsigned int count,
		      uint64_t mask)
{
	uint64_t bits[AREA_WORDS];
	struct kvm_clear_dirty_log args = {
		.slot = s->id,
		.first_page = first * 64,
		.num_pages = count * 64,
		.dirty_bitmap = bits,
	};
	unsigned int i;
	int err;

	if (!s->logging)
		return;

	if (first + count == nr_words(s))
		args.num_pages = s->npages - args.first_page;
	for (i = 0; i < count; i++) {
		bits[i] = s->gotten[first + i] & mask;
		s->gotten[first + i] &= ~mask;
	}
	err = vm_errno(now.vm, KVM_CLEAR_DIRTY_LOG, &args);
	TEST_ASSERT(!err, "KVM_CLEAR_DIRTY_LOG: %s", strerror(err));
}

static void clear_some(uint64_t *rng, struct slot *s)
{
	unsigned int first = below(rng, nr_words(s));

	pthread_mutex_lock(&log_lock);
	clear_log(s, first, 1 + below(rng, nr_words(s) - first),
		  one_in(rng, 2) ? ~0ull : random_u64(rng));
	pthread_mutex_unlock(&log_lock);
}

static void copy_pages(struct slot *s, unsigned int word, uint64_t bits)
{
	unsigned int page;

	for (; bits; bits &= bits - 1) {
		page = word * 64 + __builtin_ctzll(bits);
		s->copy[page] = read_version(s, page);
		count(copied, 1);
	}
}

/* Copies some of what is pending and cleared, or else needed no CLEAR. */
static void copy_some(uint64_t *rng, struct slot *s)
{
	uint64_t bits;
	unsigned int i;

	for (i = 0; i < nr_words(s) && !round_is_over(); i++) {
		if (one_in(rng, 4))
			continue;
		pthread_mutex_lock(&log_lock);
		bits = s->pending[i] & ~s->gotten[i];
		s->pending[i] &= ~bits;
		pthread_mutex_unlock(&log_lock);
		copy_pages(s, i, bits);
	}
}

static void send(uint64_t *rng)
{
	struct slot *s;

	while (!round_is_over()) {
		s = &slots[below(rng, ARRAY_SIZE(slots))];
		pthread_mutex_lock(&log_lock);
		get_log(s);
		pthread_mutex_unlock(&log_lock);
		if (manual()) {
			nap(rng);
			clear_some(rng, s);
		}
		copy_some(rng, s);
		nap(rng);
	}
}

/* The agents */

struct agent {
	unsigned int id;
	/* What the last ARM returned, 0 if another one may have ended it. */
	uint64_t epoch;
	/* An epoch that is over for certain, or 0. */
	uint64_t stale_epoch;
	/* How often the slots had moved before ARM. */
	unsigned int moves[ARRAY_SIZE(slots)];

	/* A report of @npages from page @first of the area on. */
	unsigned int first;
	unsigned int npages;
	uint64_t report[AREA_WORDS];
	uint64_t confirmed[AREA_WORDS];
	/* The page that each bit stands for, and what it held when it was free. */
	struct {
		struct slot *slot;
		unsigned int page;
		uint64_t version;
	} named[AREA_PAGES];
};

static struct agent agents[NR_AGENTS];

static void remember_places(struct agent *a)
{
	unsigned int i;

	pthread_rwlock_rdlock(&place_lock);
	for (i = 0; i < ARRAY_SIZE(slots); i++)
		a->moves[i] = slots[i].moves;
	pthread_rwlock_unlock(&place_lock);
}

static void end_epoch(struct agent *a)
{
	if (a->epoch)
		a->stale_epoch = a->epoch;
	a->epoch = 0;
}

/* Candidates for the whole area; the call is done once nothing is left of it. */
static int arm_candidates(uint64_t *rng, struct kvm_fpr_arm *arm)
{
	uint64_t candidates[AREA_WORDS];
	unsigned int i;
	int err;

	for (i = 0; i < AREA_WORDS; i++)
		candidates[i] = random_u64(rng) | random_u64(rng);
	*arm = fpr_arm_args(GPA, AREA_PAGES * PAGE, candidates);

	do {
		err = vm_errno(now.vm, KVM_FPR_ARM, arm);
	} while (!err && arm->size);
	count(candidate_arms, !err);
	return err;
}

/* False if another agent got in between. */
static bool arm(uint64_t *rng, struct agent *a)
{
	struct kvm_fpr_arm arm = {};
	int err;

	remember_places(a);
	if (has_candidates && one_in(rng, 3))
		err = arm_candidates(rng, &arm);
	else
		err = vm_errno(now.vm, KVM_FPR_ARM, &arm);
	if (err == ESTALE) {
		a->epoch = 0;
		return false;
	}
	TEST_ASSERT(!err, "KVM_FPR_ARM: %s", strerror(err));

	end_epoch(a);
	a->epoch = arm.epoch;
	count(arms, 1);
	return true;
}

static void disarm(uint64_t *rng, struct agent *a)
{
	struct kvm_fpr_disarm disarm = { .epoch = one_in(rng, 2) ? a->epoch : 0 };
	int err = vm_errno(now.vm, KVM_FPR_DISARM, &disarm);

	if (!err) {
		count(disarms, 1);
		end_epoch(a);
		return;
	}
	TEST_ASSERT(err == ESTALE && disarm.epoch, "KVM_FPR_DISARM: %s",
		    strerror(err));
	a->epoch = 0;
}

/* The instant at which the page is free. */
static void name_page(struct agent *a, struct slot *s, unsigned int page)
{
	unsigned int bit = s->base + page - a->first;

	a->named[bit].slot = s;
	a->named[bit].page = page;
	a->named[bit].version = read_version(s, page);
	a->report[bit / 64] |= 1ull << (bit % 64);
}

static void name_pages(uint64_t *rng, struct agent *a, struct slot *s,
		       unsigned int percent)
{
	unsigned int page;

	for (page = 0; page < s->npages; page++) {
		if (s->base + page >= a->first &&
		    s->base + page < a->first + a->npages &&
		    (percent == 100 || below(rng, 100) < percent))
			name_page(a, s, page);
	}
}

static void take_report(uint64_t *rng, struct agent *a)
{
	unsigned int percent = one_in(rng, 2) ? 100 : 1 + below(rng, 100);
	struct slot *s;

	a->first = one_in(rng, 2) ? 0 : below(rng, AREA_PAGES);
	a->npages = AREA_PAGES - a->first;
	if (one_in(rng, 2))
		a->npages = 1 + below(rng, a->npages);
	memset(a->report, 0, sizeof(a->report));

	for_each_slot(s) {
		pthread_rwlock_rdlock(&place_lock);
		if (s->present && s->moves == a->moves[s - slots])
			name_pages(rng, a, s, percent);
		pthread_rwlock_unlock(&place_lock);
	}
}

/* What an aware VMM does in one critical section with SET_BITMAP. */
static void drop_confirmed(struct agent *a)
{
	unsigned int i;

	for (i = 0; i < a->npages; i++) {
		if (!has_bit(a->confirmed, i))
			continue;
		count(dropped, take_bit(a->named[i].slot->pending, a->named[i].page));
		take_bit(a->named[i].slot->gotten, a->named[i].page);
	}
}

static int set_bitmap(struct agent *a, uint64_t epoch)
{
	struct kvm_fpr_bitmap set = fpr_set_args(epoch, GPA + a->first * PAGE, a->npages * PAGE,
						 a->report, a->confirmed);
	int err = vm_errno(now.vm, KVM_FPR_SET_BITMAP, &set);

	if (err)
		return err;

	TEST_ASSERT(!set.size, "KVM_FPR_SET_BITMAP left 0x%llx bytes", set.size);
	count(sets, 1);
	count(filtered, set.nr_filtered);
	count(confirmed, set.nr_confirmed);
	return 0;
}

static void account_report(struct agent *a)
{
	unsigned int i;

	for (i = 0; i < a->npages; i++) {
		bool confirmed = has_bit(a->confirmed, i);

		if (!has_bit(a->report, i)) {
			TEST_ASSERT(!confirmed, "a page was confirmed unasked");
			continue;
		}
		count(reported, 1);
		count(touched, !confirmed);
		if (confirmed)
			a->named[i].slot->freed[a->id][a->named[i].page] =
				a->named[i].version;
	}
}

static void hand_over(struct agent *a)
{
	bool aware = round.aware;
	int err;

	if (aware)
		pthread_mutex_lock(&log_lock);
	err = set_bitmap(a, a->epoch);
	if (!err && __atomic_sub_fetch(&round.reports, 1, __ATOMIC_RELAXED) == 0)
		end_round();
	if (!err && aware)
		drop_confirmed(a);
	if (aware)
		pthread_mutex_unlock(&log_lock);

	if (err == ESTALE) {
		count(stale, 1);
		return;
	}
	TEST_ASSERT(!err, "KVM_FPR_SET_BITMAP: %s", strerror(err));
	account_report(a);
}

static void hand_over_stale(struct agent *a)
{
	int err;

	if (!a->stale_epoch)
		return;
	err = set_bitmap(a, a->stale_epoch);
	if (err == ESTALE) {
		count(stale, 1);
		return;
	}
	count(stale_taken, 1);
	ksft_print_msg("epoch %lu was over, but its report got errno %d, not ESTALE\n",
		       a->stale_epoch, err);
}

/*
 * A move between a report's reading and SET, when its gfns are other pages: the
 * changer hits that moment too seldom where it shares a CPU with the agent.
 */
static void move_under_report(uint64_t *rng)
{
	struct slot *s = &slots[below(rng, ARRAY_SIZE(slots))];

	pthread_mutex_lock(&change_lock);
	if (s->present)
		move_slot(rng, s);
	pthread_mutex_unlock(&change_lock);
}

/*
 * Slots get their T at the first ARM, while vCPUs fault on each page: the changer
 * hits that moment too seldom.  Once in a round, for all pages are to be copied then,
 * which hides what was lost before.
 */
static void renew_logs(void)
{
	struct slot *s;

	pthread_mutex_lock(&change_lock);
	for_each_slot(s) {
		if (!s->present)
			continue;
		set_slot(s, true, false, s->base);
		set_slot(s, true, true, s->base);
	}
	pthread_mutex_unlock(&change_lock);
}

static void run_agent(uint64_t *rng, struct agent *a)
{
	if (round.changes == RENEWING && !a->id) {
		nap(rng);
		renew_logs();
	}
	while (!round_is_over()) {
		if (arm(rng, a)) {
			do {
				nap(rng);
				take_report(rng, a);
				if (round.changes >= MOVING && one_in(rng, 4))
					move_under_report(rng);
				nap(rng);
				hand_over(a);
			} while (!round_is_over() && one_in(rng, 2));
		}
		if (one_in(rng, 16))
			disarm(rng, a);
		if (one_in(rng, 8))
			hand_over_stale(a);
		nap(rng);
	}
}

/* The guest hangs, or does what its program does not: say where. */
static void give_up(struct kvm_vcpu *vcpu)
{
	printf("Bail out! vCPU %u does not end at pc 0x%lx, after exit %s, in round %lu\n",
	       vcpu->id, fpr_guest_pc(vcpu), exit_reason_str(vcpu->run->exit_reason),
	       counts.rounds);
	fflush(stdout);
	_exit(KSFT_FAIL);
}

static void run_vcpu(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	for (;;) {
		/* Only where a round hangs does a signal come. */
		if (__vcpu_run(vcpu)) {
			TEST_ASSERT(errno == EINTR, "KVM_RUN: %s", strerror(errno));
			give_up(vcpu);
		}
		/* First, for on arm64 a ucall is MMIO, too. */
		if (get_ucall(vcpu, &uc) == UCALL_SYNC)
			return;
		if (vcpu->run->exit_reason != KVM_EXIT_MMIO)
			give_up(vcpu);
		count(mmio, 1);
	}
}

/* Threads, which live as long as the program and meet at the ends of rounds. */

enum role { VCPU, AGENT, SENDER, CHANGER };

struct worker {
	enum role role;
	unsigned int number;
	uint64_t rng;
	pthread_t thread;
	bool working;
};

static struct worker workers[] = {
	{ VCPU, 0 }, { VCPU, 1 }, { AGENT, 0 }, { AGENT, 1 }, { SENDER }, { CHANGER },
};

static pthread_barrier_t begin, end;

static void work(struct worker *w)
{
	switch (w->role) {
	case VCPU:
		return run_vcpu(now.vcpus[w->number]);
	case AGENT:
		return run_agent(&w->rng, &agents[w->number]);
	case SENDER:
		return send(&w->rng);
	case CHANGER:
		return change(&w->rng);
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		pthread_barrier_wait(&begin);
		WRITE_ONCE(w->working, true);
		work(w);
		WRITE_ONCE(w->working, false);
		pthread_barrier_wait(&end);
	}
	return NULL;
}

static void interrupt_vcpu(int sig)
{
}

/* A thread that never comes back must not look like a long test. */
static void round_hangs(int sig)
{
	static const char * const names[] = { "vCPU", "agent", "sender", "changer" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		if (!workers[i].working)
			continue;
		dprintf(STDOUT_FILENO, "# %s %u has not ended\n",
			names[workers[i].role], workers[i].number);
		if (workers[i].role == VCPU)
			pthread_kill(workers[i].thread, SIGUSR1);
	}
	/* What a vCPU has to say is more than that. */
	sleep(2);
	dprintf(STDOUT_FILENO, "Bail out! round %lu hangs\n", counts.rounds);
	_exit(KSFT_FAIL);
}

static void start_workers(uint64_t *rng)
{
	unsigned int i;
	int err;

	signal(SIGALRM, round_hangs);
	signal(SIGUSR1, interrupt_vcpu);
	pthread_barrier_init(&begin, NULL, ARRAY_SIZE(workers) + 1);
	pthread_barrier_init(&end, NULL, ARRAY_SIZE(workers) + 1);
	for (i = 0; i < NR_AGENTS; i++)
		agents[i].id = i;
	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		workers[i].rng = random_u64(rng);
		err = pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
		TEST_ASSERT(!err, "pthread_create: %s", strerror(err));
	}
}

/* A VM of its own for some rounds */

static void new_memory(struct slot *s)
{
	size_t size = s->npages * PAGE + HUGE;

	s->mapping = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(s->mapping != MAP_FAILED, "mmap: %s", strerror(errno));
	s->mem = (char *)(((uintptr_t)s->mapping + HUGE - 1) & ~(HUGE - 1));
	if (madvise(s->mapping, size, now.huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		now.huge = false;
	memset(s->mem, 0, s->npages * PAGE);
}

/* Everything of a slot is new, as is its memory. */
static void new_slot(struct slot *s)
{
	new_memory(s);
	memset(s->copy, 0, sizeof(s->copy));
	memset(s->freed, 0, sizeof(s->freed));
	s->logging = false;
	s->base = s->home;
	set_slot(s, true, false, s->home);
	set_slot(s, true, true, s->home);
}

static void new_vm(uint64_t *rng)
{
	struct slot *s;
	unsigned int i;

	now.mode = now.number % ARRAY_SIZE(modes);
	now.huge = one_in(rng, 2);
	now.vm = vm_create_with_vcpus(NR_VCPUS, guest_code, now.vcpus);
	for (i = 0; i < NR_VCPUS; i++)
		vcpu_args_set(now.vcpus[i], 1, (uint64_t)i);
	if (manual())
		vm_enable_cap(now.vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			      modes[now.mode].manual_protect);
	virt_map(now.vm, GPA, GPA, AREA_PAGES);
	for_each_slot(s)
		new_slot(s);

	now.orders = addr_gva2hva(now.vm, (uintptr_t)&orders);
	now.orders->seed = random_u64(rng) | 1ull << 62;
	now.orders->first_version = (uint64_t)now.number << 40;
}

static void free_vm(void)
{
	struct slot *s;
	unsigned int i;

	for (i = 0; i < NR_VCPUS; i++)
		count(writes, now.orders->writes[i]);
	for (i = 0; i < NR_AGENTS; i++)
		end_epoch(&agents[i]);
	kvm_vm_free(now.vm);
	for_each_slot(s)
		munmap(s->mapping, s->npages * PAGE + HUGE);
	now.number++;
}

/* Rounds */

static void draw_round(uint64_t *rng)
{
	unsigned int i;

	round.stop = false;
	round.reports = one_in(rng, 4) ? 0 : 1 + below(rng, 8);
	round.aware = one_in(rng, 2);
	round.second_as = has_second_as && one_in(rng, 4);
	round.changes = below(rng, CHANGING + 1);
	/* What KVM confirms is not copied then, and is written for a while. */
	if (round.changes == RENEWING) {
		round.aware = true;
		round.reports = 0;
	}

	now.orders->stop = 0;
	now.orders->pause_log = 2 + below(rng, 14);
	now.orders->burst_log = 4 + below(rng, 14);
	now.orders->burst_one_in = 1 << below(rng, 8);
	for (i = 0; i < ARRAY_SIZE(orders.hot); i++)
		now.orders->hot[i] = below(rng, AREA_PAGES - 3);
}

/*
 * The last GET.  In the manual modes the bits are left uncleared at times: the
 * copies then count, but the pages are still to be sent.
 */
static void finish_log(uint64_t *rng, struct slot *s)
{
	bool leave = manual() && one_in(rng, 2);
	unsigned int i;

	get_log(s);
	if (manual() && !leave)
		clear_log(s, 0, nr_words(s), ~0ull);
	for (i = 0; i < nr_words(s); i++) {
		copy_pages(s, i, s->pending[i]);
		if (!leave)
			s->pending[i] = 0;
	}
}

static void complain(const struct slot *s, unsigned int page, uint64_t seed)
{
	if (counts.lost > MAX_COMPLAINTS)
		return;
	ksft_print_msg("lost: page %u of slot %u holds version 0x%lx\n",
		       page, s->id, read_version(s, page));
	ksft_print_msg("  the copy is 0x%lx; free were 0x%lx and 0x%lx\n",
		       s->copy[page], s->freed[0][page], s->freed[1][page]);
	ksft_print_msg("  seed %lu, round %lu, VM %u: %s, %s pages, %s VMM, changes %d%s\n",
		       seed, counts.rounds, now.number, modes[now.mode].name,
		       now.huge ? "huge" : "small", round.aware ? "aware" : "unaware",
		       round.changes, round.second_as ? ", two address spaces" : "");
}

static void verify_page(struct slot *s, unsigned int page, uint64_t seed)
{
	uint64_t version = read_version(s, page);

	count(verified, 1);
	if (version == s->copy[page])
		return;
	if (version == s->freed[0][page] || version == s->freed[1][page]) {
		count(left_out, 1);
		return;
	}
	count(lost, 1);
	complain(s, page, seed);
}

static void verify(uint64_t *rng, uint64_t seed)
{
	struct slot *s;
	unsigned int page;

	for_each_slot(s) {
		if (!s->logging)
			continue;
		finish_log(rng, s);
		for (page = 0; page < s->npages; page++)
			verify_page(s, page, seed);
	}
}

static void run_round(uint64_t *rng, uint64_t seed)
{
	unsigned int ms;

	draw_round(rng);
	alarm(ROUND_LIMIT);
	pthread_barrier_wait(&begin);
	for (ms = 20 + below(rng, 100); ms && !round_is_over(); ms--)
		usleep(1000);
	end_round();
	pthread_barrier_wait(&end);
	alarm(0);
	count(rounds, 1);
	verify(rng, seed);
}

static bool failed(void)
{
	return counts.lost || counts.stale_taken;
}

/* Else that nothing was lost says nothing. */
static bool saw_enough(void)
{
	return counts.filtered && counts.confirmed && counts.touched &&
	       counts.stale && counts.left_out;
}

static bool goes_on(time_t start, unsigned int seconds)
{
	time_t passed = time(NULL) - start;

	if (failed())
		return false;
	return passed < seconds ||
	       (!saw_enough() && passed / MAX_TIMES < seconds);
}

static void run(uint64_t seed, unsigned int seconds)
{
	uint64_t rng = new_random_state(seed);
	time_t start = time(NULL);
	unsigned int i;

	/* Every seed begins with another mode. */
	now.number = below(&rng, ARRAY_SIZE(modes));
	start_workers(&rng);
	do {
		new_vm(&rng);
		for (i = 0; i < ROUNDS_PER_VM && goes_on(start, seconds); i++)
			run_round(&rng, seed);
		free_vm();
	} while (goes_on(start, seconds));
}

static void print_counts(void)
{
	ksft_print_msg("rounds %lu, writes %lu (%lu found no slot)\n",
		       counts.rounds, counts.writes, counts.mmio);
	ksft_print_msg("slot changes %lu (%lu moves), zaps %lu\n",
		       counts.changes, counts.moves, counts.zaps);
	ksft_print_msg("arms %lu (%lu with candidates), disarms %lu\n",
		       counts.arms, counts.candidate_arms, counts.disarms);
	ksft_print_msg("sets %lu, filtered %lu, stale refusals %lu\n",
		       counts.sets, counts.filtered, counts.stale);
	ksft_print_msg("reported %lu, confirmed %lu, refused %lu, dropped %lu\n",
		       counts.reported, counts.confirmed, counts.touched,
		       counts.dropped);
	ksft_print_msg("pages copied %lu, verified %lu, left out %lu, lost %lu\n",
		       counts.copied, counts.verified, counts.left_out, counts.lost);
}

static void print_help(const char *name)
{
	printf("usage: %s [-s SEED] [-t SECONDS]\n"
	       "  -s  repeat the choices of a run (not its timing); printed by every run\n"
	       "  -t  how long to run, 30 unless given; longer, up to %u times, until pages\n"
	       "      were filtered and others refused\n", name, MAX_TIMES);
}

int main(int argc, char *argv[])
{
	uint64_t seed = draw_seed();
	unsigned int seconds = 30;
	int option, flags;

	while ((option = getopt(argc, argv, "s:t:h")) != -1) {
		switch (option) {
		case 's':
			seed = parse_number("-s", optarg, UINT64_MAX - 1);
			break;
		case 't':
			seconds = parse_number("-t", optarg, 1000000);
			break;
		case 'h':
			print_help(argv[0]);
			return 0;
		default:
			return 2;
		}
	}
	no_more_arguments(argc, argv, optind);

	ksft_print_header();
	flags = kvm_check_cap(KVM_CAP_FREE_PAGE_FILTER);
	__TEST_REQUIRE(flags, "this KVM has no free page filter");
	has_candidates = flags & KVM_FPR_CAP_CANDIDATES;
	has_second_as = kvm_check_cap(KVM_CAP_MULTI_ADDRESS_SPACE) > 1;

	ksft_set_plan(3);
	ksft_print_msg("seed %lu, %u seconds\n", seed, seconds);
	run(seed, seconds);
	print_counts();
	ksft_test_result(!counts.lost, "no write is lost\n");
	ksft_test_result(!counts.stale_taken, "no report is taken after its epoch\n");
	ksft_test_result(saw_enough(), "pages were filtered, and others refused\n");
	ksft_finished();
}
