// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free page filter: a structured fuzzer of its ioctls.
 *
 * One life after the other: a VM, and threads that do to it for some hundred
 * calls what they draw.  They call the filter with arguments that are valid, a
 * little wrong or senseless, at places that can be read, or not, or not
 * written; create, delete and move memslots, switch logging; get and clear the
 * dirty log; take away the memory under a slot; send each other signals; close
 * the VM's descriptor.  vCPUs write all the time, and at times another process
 * calls, too, and is killed in between.
 *
 * What a thread does follows from the seed, the life's number and the thread's
 * number; how the threads meet does not.
 *
 * A kernel with KASAN and lockdep says what else goes wrong.  What is checked
 * here is cheap:
 *
 * - An error is one that the header has for the call, EINVAL is returned for
 *   what the header forbids and for nothing else, and arguments that were
 *   refused are as they were.
 * - What SET_BITMAP says that it did adds up: confirmed pages are reported ones,
 *   their number is right, and gpa, size and addresses advance together.
 * - Half of the pages of one memslot are in no report.  What is written to them
 *   is never lost, whatever the threads do beside (fpr_stress has the whole
 *   model, of the pages that are reported as well).
 * - After all that the VM works: a last ARM, writes before and after, calls that
 *   are refused, a report, and the log says what it must, bit by bit.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
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
#define NR_THREADS	3
/* The process besides the VM's own draws like one more thread. */
#define FOREIGN		NR_THREADS

/* Pages of a chunk of the filter. */
#define CHUNK		32768u
/* What the guest maps, in pages from GPA: all that follows, ... */
#define NEAR_PAGES	1500u
/* ... and pages on both sides of a chunk's end. */
#define FAR		(CHUNK - 100)
#define FAR_PAGES	200u

/* The slot that no thread changes, at GPA. */
#define WATCH_SLOT	9u
#define WATCH_PAGES	300u
#define WATCH_WORDS	((WATCH_PAGES + 63) / 64)

/* Those that they do change, each with memory of its own. */
#define FIRST_SLOT	10u
#define NR_SLOTS	6u
#define SLOT_PAGES	512u

/* The largest report, and room to misalign it. */
#define MAX_RANGE	(3 * CHUNK)
#define BITMAP_SIZE	(MAX_RANGE / 8 + PAGE)

#define MAX_CALLS	1000u
#define MAX_COMPLAINTS	10
/* Seconds; a thread that is stuck in the kernel for so long wedges the VM. */
#define STUCK		300
#define PROGRESS	10

/* What is called, and the errors that the call may return */

enum call_id {
	ARM, SET_BITMAP, DISARM, CHECK_EXTENSION, ENABLE_CAP, MEMORY_REGION,
	GET_LOG, CLEAR_LOG, KVM_RUN_CALL, NR_CALLS,
};

#define MAX_ERRNO	134

static const struct {
	const char *name;
	unsigned long cmd;
	int errors[8];
} calls[NR_CALLS] = {
	[ARM] = { "KVM_FPR_ARM", KVM_FPR_ARM,
		  { ENXIO, EFAULT, EINVAL, ESTALE, EINTR } },
	[SET_BITMAP] = { "KVM_FPR_SET_BITMAP", KVM_FPR_SET_BITMAP,
			 { ENXIO, EFAULT, EINVAL, ESTALE, EINTR } },
	[DISARM] = { "KVM_FPR_DISARM", KVM_FPR_DISARM,
		     { ENXIO, EFAULT, EINVAL, ESTALE, EINTR } },
	[CHECK_EXTENSION] = { "KVM_CHECK_EXTENSION", KVM_CHECK_EXTENSION },
	[ENABLE_CAP] = { "KVM_ENABLE_CAP", KVM_ENABLE_CAP, { EINVAL } },
	[MEMORY_REGION] = { "KVM_SET_USER_MEMORY_REGION",
			    KVM_SET_USER_MEMORY_REGION, { EINVAL, EEXIST } },
	[GET_LOG] = { "KVM_GET_DIRTY_LOG", KVM_GET_DIRTY_LOG,
		      { ENOENT, EINVAL, EFAULT, ENXIO } },
	[CLEAR_LOG] = { "KVM_CLEAR_DIRTY_LOG", KVM_CLEAR_DIRTY_LOG,
			{ ENOENT, EINVAL, EFAULT, ENXIO } },
	/* EFAULT: the memory under a slot is gone. */
	[KVM_RUN_CALL] = { "KVM_RUN", KVM_RUN, { EINTR, EFAULT } },
};

/* Shared with the other process. */
static struct counts {
	uint64_t results[NR_CALLS][MAX_ERRNO];
	uint64_t lives;
	uint64_t ring_lives;
	uint64_t foreign_lives;
	uint64_t closed_lives;
	uint64_t signals;
	uint64_t memory_changes;
	uint64_t interrupted;
	uint64_t filtered;
	uint64_t confirmed;
	uint64_t checked_pages;
	uint64_t complaints;
} *counts;

static uint64_t add(uint64_t *counter, uint64_t n)
{
	return __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static uint64_t seed;

/* What the guest does: writes at random until it is to stop, then a range. */
static struct orders {
	uint64_t stop;
	uint64_t seed;
	uint64_t first_version;
	uint64_t first;
	uint64_t count;
} orders;

static struct {
	uint64_t number;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct orders *orders;
	/* With a dirty ring: the filter refuses, and no vCPU runs. */
	bool ring;
	/* What the threads call; from some point on another file altogether. */
	int fd;
	bool fd_is_gone;
	/* The last epoch that any of them began. */
	uint64_t epoch;
	bool vcpus_are_late;
	pthread_barrier_t begin;
	char *watch;
	char *memory[NR_SLOTS];
} life;

/* What the watched pages held when they were copied because the log named them. */
static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t copies[WATCH_PAGES];

/* A configuration of a slot that was accepted; threads overwrite each other's. */
static struct kvm_userspace_memory_region known[NR_SLOTS];

/* Memory that ends where nothing can be accessed. */
struct arena {
	char *start;
	char *end;
};

struct fuzzer {
	unsigned int number;
	pthread_t thread;
	uint64_t rng;
	uint64_t last_epoch;
	enum call_id doing;
	uint64_t nr_done;
	/* For the arguments of calls: the same page, once to be read only. */
	struct arena args;
	struct arena read_only;
	struct arena report;
	struct arena confirmed;
	/* A bitmap that cannot be written, and names no page. */
	struct arena zeros;
};

static struct fuzzer fuzzers[NR_THREADS + 1];

static void __printf(2, 3)
complain(const struct fuzzer *f, const char *format, ...)
{
	va_list ap;

	if (add(&counts->complaints, 1) >= MAX_COMPLAINTS)
		return;
	printf("# seed %lu, life %lu, thread %d: ", seed, life.number,
	       f ? (int)f->number : -1);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
}

static bool is_foreign(const struct fuzzer *f)
{
	return f && f->number == FOREIGN;
}

static bool is_listed(enum call_id call, int err)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(calls[call].errors); i++) {
		if (calls[call].errors[i] == err)
			return true;
	}
	return false;
}

static void record(struct fuzzer *f, enum call_id call, int err)
{
	add(&counts->results[call][err < MAX_ERRNO ? err : MAX_ERRNO - 1], 1);
	/* The descriptor is closed, or another process is sent away. */
	if (READ_ONCE(life.fd_is_gone) && (err == ENOTTY || err == EBADF))
		return;
	if (is_foreign(f) && err == (call > DISARM ? EIO : EPERM))
		return;
	if (!is_listed(call, err))
		complain(f, "%s: errno %d (%s) is not documented", calls[call].name,
			 err, strerror(err));
}

static int do_call(struct fuzzer *f, enum call_id call, void *args)
{
	int err;

	f->doing = call;
	err = ioctl(life.fd, calls[call].cmd, args) < 0 ? errno : 0;
	record(f, call, err);
	return err;
}

/* The guest */

static void guest_write(uint64_t page, uint64_t version)
{
	WRITE_ONCE(*(uint64_t *)(GPA + page * PAGE), version);
}

static uint64_t guest_draw_page(uint64_t *rng)
{
	switch (below(rng, 4)) {
	case 0:
		return FAR + below(rng, FAR_PAGES);
	case 1:
		return below(rng, NEAR_PAGES);
	default:
		return below(rng, WATCH_PAGES);
	}
}

/* No version is written twice; those of the vCPUs differ in the lowest byte. */
static void guest_code(uint64_t id)
{
	uint64_t rng = orders.seed + id, version = orders.first_version + id + 1, i;

	for (;;) {
		while (!READ_ONCE(orders.stop)) {
			version += 256;
			guest_write(guest_draw_page(&rng), version);
		}
		for (i = 0; i < READ_ONCE(orders.count); i++) {
			version += 256;
			guest_write(READ_ONCE(orders.first) + i, version);
		}
		GUEST_SYNC(0);
	}
}

/* Memory */

static void *map(size_t size, int protection)
{
	void *p = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(p != MAP_FAILED, "mmap: %s", strerror(errno));
	return p;
}

static struct arena new_arena(size_t size)
{
	char *start = map(size + PAGE, PROT_READ | PROT_WRITE);

	TEST_ASSERT(!mprotect(start + size, PAGE, PROT_NONE), "mprotect");
	return (struct arena) { start, start + size };
}

/* The page of @arena once more, to be read only. */
static struct arena read_only_alias(struct arena *arena)
{
	int fd = kvm_memfd_alloc(PAGE, false);
	char *alias = map(2 * PAGE, PROT_NONE);

	TEST_ASSERT(mmap(arena->start, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == arena->start &&
		    mmap(alias, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == alias,
		    "mmap of a memfd");
	close(fd);
	return (struct arena) { alias, alias + PAGE };
}

static void new_fuzzer(struct fuzzer *f, unsigned int number)
{
	f->number = number;
	f->args = new_arena(PAGE);
	f->read_only = read_only_alias(&f->args);
	f->report = new_arena(BITMAP_SIZE);
	f->confirmed = new_arena(BITMAP_SIZE);
	f->zeros = new_arena(PAGE);
	TEST_ASSERT(!mprotect(f->zeros.start, PAGE, PROT_READ), "mprotect");
}

static uint64_t bad_address(uint64_t *rng, const struct arena *arena)
{
	switch (below(rng, 4)) {
	case 0:
		return 0;
	case 1:
		return 1ull << 63 | random_u64(rng) >> 1;
	case 2:
		return 1ull << 47;
	default:
		return (uintptr_t)arena->end;
	}
}

/* Where arguments lie. */
enum place { GOOD, READ_ONLY, UNREADABLE };

static void *put_args(struct fuzzer *f, const void *args, size_t size,
		      enum place *place)
{
	size_t off = one_in(&f->rng, 4) ? below(&f->rng, 64) : 0;

	*place = GOOD;
	memcpy(f->args.start + off, args, size);
	switch (below(&f->rng, 32)) {
	case 0:
		*place = UNREADABLE;
		return (void *)bad_address(&f->rng, &f->args);
	case 1:
		*place = UNREADABLE;
		return f->args.end - 1 - below(&f->rng, size - 1);
	case 2:
		*place = READ_ONLY;
		return f->read_only.start + off;
	case 3:
		memcpy(f->args.end - size, args, size);
		return f->args.end - size;
	default:
		return f->args.start + off;
	}
}

/* A call of the filter; on return @args are what the caller then has. */
static int call_filter(struct fuzzer *f, enum call_id call, void *args, size_t size,
		       enum place *place)
{
	void *where = put_args(f, args, size, place);
	int err = do_call(f, call, where);

	if (*place == GOOD)
		memcpy(args, where, size);
	return err;
}

/* Choices */

/* One field that was right is no longer, perhaps. */
static void spoil(uint64_t *rng, void *args, size_t size)
{
	uint64_t *word = (uint64_t *)args + below(rng, size / sizeof(*word));

	switch (below(rng, 6)) {
	case 0:
		*word ^= 1ull << below(rng, 64);
		break;
	case 1:
		*word = 0;
		break;
	case 2:
		*word = ~0ull << skewed(rng, 6);
		break;
	case 3:
		*word += 1;
		break;
	case 4:
		*word -= 1;
		break;
	default:
		*word = random_u64(rng);
		break;
	}
}

static void draw_range(uint64_t *rng, __u64 *gpa, __u64 *size)
{
	unsigned int first, npages;

	switch (below(rng, 5)) {
	case 0:
		first = 0;
		npages = NEAR_PAGES;
		break;
	case 1:
		first = below(rng, NEAR_PAGES);
		npages = 1 + skewed(rng, 10);
		break;
	case 2:
		first = FAR - 64 + below(rng, FAR_PAGES + 64);
		npages = 1 + skewed(rng, 8);
		break;
	case 3:
		first = skewed(rng, 8);
		npages = CHUNK - 2 + below(rng, 4);
		break;
	default:
		first = skewed(rng, 8);
		npages = 1 + below(rng, MAX_RANGE);
		break;
	}
	*gpa = GPA + first * PAGE;
	*size = npages * PAGE;
}

static size_t bitmap_bytes(uint64_t size)
{
	return (size / PAGE + 63) / 64 * 8;
}

static void draw_bits(uint64_t *rng, char *start, size_t bytes)
{
	uint64_t *word = (uint64_t *)start, *end = word + bytes / 8;
	unsigned int kind = below(rng, 4);

	for (; word < end; word++) {
		if (kind == 0)
			*word = ~0ull;
		else if (kind == 1)
			*word = random_u64(rng);
		else if (kind == 2)
			*word = one_in(rng, 64) ? 1ull << below(rng, 64) : 0;
		else
			*word = ~0ull << below(rng, 64);
	}
}

/* The address of a bitmap in @arena, or one that is no good. */
static uint64_t draw_address(struct fuzzer *f, const struct arena *arena,
			     size_t bytes, bool *wild)
{
	*wild = false;
	switch (below(&f->rng, 24)) {
	case 0:
		*wild = true;
		return bad_address(&f->rng, arena);
	case 1:
		*wild = true;
		return (uintptr_t)arena->end - 1 - below(&f->rng, bytes);
	case 2:
		*wild = true;
		return (uintptr_t)f->zeros.start;
	case 3:
		return (uintptr_t)arena->start + below(&f->rng, 8);
	default:
		return (uintptr_t)arena->start;
	}
}

static bool is_watched(unsigned int page)
{
	return page % 2 == 0;
}

/* Takes the watched pages out of a report in @f's memory. */
static void spare_watched(struct fuzzer *f, uint64_t gpa, uint64_t report)
{
	uint64_t page, bit;
	char *byte;

	for (page = 0; page < WATCH_PAGES; page++) {
		if (!is_watched(page) || GPA / PAGE + page < gpa / PAGE)
			continue;
		bit = GPA / PAGE + page - gpa / PAGE;
		byte = (char *)report + bit / 8;
		if (byte >= f->report.start && byte < f->report.end)
			*byte &= ~(1 << bit % 8);
	}
}

static uint64_t draw_epoch(uint64_t *rng)
{
	uint64_t epoch = READ_ONCE(life.epoch);

	switch (below(rng, 16)) {
	case 0:
		return epoch - 1;
	case 1:
		return epoch + 1;
	case 2:
		return 0;
	case 3:
		return random_u64(rng);
	default:
		return epoch;
	}
}

/* What the header says of arguments */

static bool is_zero(const __u64 *reserved, unsigned int n)
{
	while (n--) {
		if (reserved[n])
			return false;
	}
	return true;
}

static bool is_range(uint64_t gpa, uint64_t size)
{
	return size && !(gpa % PAGE) && !(size % PAGE) && gpa + size > gpa;
}

static bool is_valid_arm(const struct kvm_fpr_arm *arm)
{
	if (arm->flags & ~KVM_FPR_ARM_CANDIDATES || arm->pad ||
	    !is_zero(arm->reserved, ARRAY_SIZE(arm->reserved)))
		return false;
	if (!arm->flags)
		return !arm->epoch && !arm->gpa && !arm->size && !arm->candidates;
	return is_range(arm->gpa, arm->size);
}

static bool is_valid_set(const struct kvm_fpr_bitmap *set)
{
	return !(set->flags & ~KVM_FPR_SET_CONFIRM) && !set->pad && set->epoch &&
	       is_zero(set->reserved, ARRAY_SIZE(set->reserved)) &&
	       is_range(set->gpa, set->size) &&
	       !!set->flags == !!set->confirmed;
}

static bool is_valid_disarm(const struct kvm_fpr_disarm *disarm)
{
	return !disarm->flags && !disarm->pad &&
	       is_zero(disarm->reserved, ARRAY_SIZE(disarm->reserved));
}

/*
 * The errors that are checked before anything else, in their order: false if
 * there must be one, or was.
 */
static bool passes(struct fuzzer *f, enum call_id call, int err, bool valid,
		   enum place place)
{
	int want = 0;

	if (READ_ONCE(life.fd_is_gone) || (is_foreign(f) && err == EPERM))
		return false;
	if (life.ring)
		want = ENXIO;
	else if (place == UNREADABLE)
		want = EFAULT;
	else if (!valid)
		want = EINVAL;
	else if (place == READ_ONLY && call != DISARM)
		want = EFAULT;

	if (want ? err != want : err == EINVAL || err == ENXIO)
		complain(f, "%s: errno %d, not %d, for %s arguments at place %d",
			 calls[call].name, err, want, valid ? "valid" : "invalid", place);
	return !want;
}

/* Whether @after may differ from @before. */
static bool has_changed_nothing(int err)
{
	return err == EINVAL || err == ENXIO || err == EPERM || err == EINTR;
}

static void check_unchanged(struct fuzzer *f, enum call_id call, int err,
			    const void *before, const void *after, size_t size)
{
	if (has_changed_nothing(err) && memcmp(before, after, size))
		complain(f, "%s: errno %d, and the arguments have changed",
			 calls[call].name, err);
}

/* The filter's ioctls */

static void check_epoch(struct fuzzer *f, const struct kvm_fpr_arm *arm)
{
	if (arm->epoch <= f->last_epoch || arm->epoch >> 52)
		complain(f, "epoch %llu after %lu", arm->epoch, f->last_epoch);
	f->last_epoch = arm->epoch;
	WRITE_ONCE(life.epoch, arm->epoch);
}

static struct kvm_fpr_arm draw_arm(struct fuzzer *f, bool *wild)
{
	struct kvm_fpr_arm arm = {};
	size_t bytes;

	*wild = false;
	if (one_in(&f->rng, 2)) {
		arm.flags = KVM_FPR_ARM_CANDIDATES;
		draw_range(&f->rng, &arm.gpa, &arm.size);
		bytes = bitmap_bytes(arm.size);
		draw_bits(&f->rng, f->report.start, bytes + 8);
		arm.candidates = draw_address(f, &f->report, bytes, wild);
		if (one_in(&f->rng, 8))
			arm.epoch = draw_epoch(&f->rng);
	}
	if (one_in(&f->rng, 4)) {
		spoil(&f->rng, &arm, sizeof(arm));
		*wild = true;
	}
	return arm;
}

/* One call; true if it is to be called again with what it left. */
static bool arm_once(struct fuzzer *f, struct kvm_fpr_arm *arm, bool wild)
{
	struct kvm_fpr_arm before = *arm;
	enum place place;
	int err;

	err = call_filter(f, ARM, arm, sizeof(*arm), &place);
	check_unchanged(f, ARM, err, &before, arm, sizeof(*arm));
	if (!passes(f, ARM, err, is_valid_arm(&before), place) || place != GOOD)
		return false;

	if (arm->gpa - before.gpa != before.size - arm->size)
		complain(f, "ARM left gpa 0x%llx and size 0x%llx of 0x%llx and 0x%llx",
			 arm->gpa, arm->size, before.gpa, before.size);
	if (err && err != EINTR && !before.flags)
		complain(f, "ARM without candidates: errno %d", err);
	if (err == EFAULT && !wild)
		complain(f, "ARM: EFAULT, and all is there");
	if (!err && !arm->size)
		check_epoch(f, arm);
	add(&counts->interrupted, !err && arm->size);
	return !err && arm->size;
}

static void fuzz_arm(struct fuzzer *f)
{
	bool wild;
	struct kvm_fpr_arm arm = draw_arm(f, &wild);
	bool go_on = !one_in(&f->rng, 4);

	while (arm_once(f, &arm, wild) && go_on)
		;
}

static struct kvm_fpr_bitmap draw_set(struct fuzzer *f, bool *wild)
{
	struct kvm_fpr_bitmap set = { .epoch = draw_epoch(&f->rng) };
	bool wild_confirmed = false;
	size_t bytes;

	draw_range(&f->rng, &set.gpa, &set.size);
	bytes = bitmap_bytes(set.size);
	draw_bits(&f->rng, f->report.start, bytes + 8);
	set.bitmap = draw_address(f, &f->report, bytes, wild);
	if (!one_in(&f->rng, 3)) {
		set.flags = KVM_FPR_SET_CONFIRM;
		set.confirmed = draw_address(f, &f->confirmed, bytes, &wild_confirmed);
		*wild |= wild_confirmed;
	}
	if (one_in(&f->rng, 4)) {
		uint64_t report = set.bitmap, confirmed = set.confirmed;

		spoil(&f->rng, &set, sizeof(set));
		/* Senseless addresses could be those of something else of ours. */
		set.bitmap = report;
		set.confirmed = confirmed;
		*wild = true;
	}
	spare_watched(f, set.gpa, set.bitmap);
	return set;
}

static void check_confirmed(struct fuzzer *f, const struct kvm_fpr_bitmap *before,
			    const struct kvm_fpr_bitmap *after)
{
	const uint8_t *report = (uint8_t *)before->bitmap;
	const uint8_t *confirmed = (uint8_t *)before->confirmed;
	uint64_t npages = (before->size - after->size) / PAGE, nr = 0, i;

	for (i = 0; before->flags && i < bitmap_bytes(npages * PAGE); i++) {
		if (confirmed[i] & ~report[i])
			complain(f, "SET_BITMAP confirmed page %lu unasked", i * 8);
		nr += __builtin_popcount(confirmed[i]);
	}
	if (before->flags && after->nr_confirmed - before->nr_confirmed != nr)
		complain(f, "SET_BITMAP says %llu pages confirmed, the bitmap %lu",
			 after->nr_confirmed - before->nr_confirmed, nr);
	if (before->bitmap + bitmap_bytes(npages * PAGE) != after->bitmap)
		complain(f, "SET_BITMAP left bitmap 0x%llx of 0x%llx after %lu pages",
			 after->bitmap, before->bitmap, npages);
	add(&counts->filtered, after->nr_filtered - before->nr_filtered);
	add(&counts->confirmed, after->nr_confirmed - before->nr_confirmed);
}

static bool set_once(struct fuzzer *f, struct kvm_fpr_bitmap *set, bool wild)
{
	struct kvm_fpr_bitmap before = *set;
	enum place place;
	int err;

	err = call_filter(f, SET_BITMAP, set, sizeof(*set), &place);
	check_unchanged(f, SET_BITMAP, err, &before, set, sizeof(*set));
	if (!passes(f, SET_BITMAP, err, is_valid_set(&before), place) || place != GOOD)
		return false;

	if (set->gpa - before.gpa != before.size - set->size)
		complain(f, "SET_BITMAP left gpa 0x%llx and size 0x%llx of 0x%llx and 0x%llx",
			 set->gpa, set->size, before.gpa, before.size);
	if (err == EFAULT && !wild)
		complain(f, "SET_BITMAP: EFAULT, and all is there");
	if (!err && !wild)
		check_confirmed(f, &before, set);
	add(&counts->interrupted, !err && set->size);
	return !err && set->size;
}

static void fuzz_set(struct fuzzer *f)
{
	bool wild;
	struct kvm_fpr_bitmap set = draw_set(f, &wild);
	bool go_on = !one_in(&f->rng, 4);

	while (set_once(f, &set, wild) && go_on)
		;
}

static void fuzz_disarm(struct fuzzer *f)
{
	struct kvm_fpr_disarm disarm = { .epoch = draw_epoch(&f->rng) }, before;
	enum place place;
	int err;

	if (one_in(&f->rng, 3))
		spoil(&f->rng, &disarm, sizeof(disarm));
	before = disarm;
	err = call_filter(f, DISARM, &disarm, sizeof(disarm), &place);
	if (memcmp(&before, &disarm, sizeof(disarm)))
		complain(f, "DISARM has changed its arguments");
	if (passes(f, DISARM, err, is_valid_disarm(&before), place) &&
	    err == ESTALE && !before.epoch)
		complain(f, "DISARM of any epoch: ESTALE");
}

static void fuzz_check_extension(struct fuzzer *f)
{
	int want = KVM_FPR_CAP_CONFIRM | KVM_FPR_CAP_FOREIGN | KVM_FPR_CAP_CANDIDATES;
	int flags;

	f->doing = CHECK_EXTENSION;
	flags = ioctl(life.fd, KVM_CHECK_EXTENSION, KVM_CAP_FREE_PAGE_FILTER);
	record(f, CHECK_EXTENSION, flags < 0 ? errno : 0);
	if (flags >= 0 && flags != (life.ring ? 0 : want))
		complain(f, "the capability is %d", flags);
}

/* Who may call; or what is no capability of the filter's */
static void fuzz_enable_cap(struct fuzzer *f)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_FREE_PAGE_FILTER };
	bool valid;
	int err;

	cap.args[0] = one_in(&f->rng, 2) ? KVM_FPR_CAP_FOREIGN : 0;
	if (one_in(&f->rng, 8))
		cap.flags = 1 << below(&f->rng, 32);
	if (one_in(&f->rng, 2))
		spoil(&f->rng, cap.args, sizeof(cap.args));

	valid = !cap.flags && !(cap.args[0] & ~(__u64)KVM_FPR_CAP_FOREIGN) &&
		!cap.args[1] && !cap.args[2] && !cap.args[3];
	err = do_call(f, ENABLE_CAP, &cap);
	if (!is_foreign(f) && !READ_ONCE(life.fd_is_gone) && !err != valid)
		complain(f, "KVM_ENABLE_CAP: errno %d for %s arguments", err,
			 valid ? "valid" : "invalid");
}

/* What happens to memslots and their logs beside */

static uint32_t draw_flags(uint64_t *rng)
{
	switch (below(rng, 16)) {
	case 0:
		return 1u << below(rng, 32);
	case 1:
		return LOG | KVM_MEM_READONLY;
	case 2:
	case 3:
		return 0;
	default:
		return LOG;
	}
}

static uint64_t draw_place(uint64_t *rng)
{
	unsigned int page = one_in(rng, 3) ? FAR + below(rng, FAR_PAGES) :
			    WATCH_PAGES - 10 + below(rng, NEAR_PAGES - WATCH_PAGES);

	return GPA + page * PAGE;
}

static uint32_t draw_slot(uint64_t *rng, unsigned int n)
{
	return FIRST_SLOT + n + (one_in(rng, 4) ? AS1 : 0);
}

static struct kvm_userspace_memory_region draw_new_region(uint64_t *rng, unsigned int n)
{
	unsigned int first = below(rng, SLOT_PAGES);

	return (struct kvm_userspace_memory_region) {
		.slot = draw_slot(rng, n),
		.flags = draw_flags(rng),
		.guest_phys_addr = draw_place(rng),
		.memory_size = (1 + below(rng, SLOT_PAGES - first)) * PAGE,
		.userspace_addr = (uintptr_t)life.memory[n] + first * PAGE,
	};
}

/* Nothing that would make the guest write to other memory than the slot's. */
static void spoil_region(uint64_t *rng, struct kvm_userspace_memory_region *region)
{
	switch (below(rng, 6)) {
	case 0:
		region->memory_size += 1 + below(rng, PAGE - 1);
		break;
	case 1:
		region->memory_size = ~0ull << (31 + below(rng, 33));
		break;
	case 2:
		region->guest_phys_addr += 1 + below(rng, PAGE - 1);
		break;
	case 3:
		region->guest_phys_addr = -(PAGE * (1 + below(rng, 4)));
		break;
	case 4:
		region->userspace_addr += 1 + below(rng, PAGE - 1);
		break;
	default:
		region->userspace_addr = 1ull << 63;
		break;
	}
}

static void fuzz_region(struct fuzzer *f)
{
	unsigned int n = below(&f->rng, NR_SLOTS);
	struct kvm_userspace_memory_region region = draw_new_region(&f->rng, n);
	unsigned int what = below(&f->rng, 8);

	if (what < 5 && known[n].memory_size) {
		if (what < 3)
			region.flags = draw_flags(&f->rng);
		/* Moved, or else its logging switched. */
		region.slot = known[n].slot;
		region.memory_size = known[n].memory_size;
		region.userspace_addr = known[n].userspace_addr;
		if (what < 3)
			region.guest_phys_addr = known[n].guest_phys_addr;
		else
			region.flags = known[n].flags;
	} else if (what == 5) {
		region.memory_size = 0;
	} else if (what == 6) {
		spoil_region(&f->rng, &region);
	}
	if (!do_call(f, MEMORY_REGION, &region))
		known[n] = region;
}

/*
 * Memory is taken away, brought back or has its mappings dropped.  It is not left
 * to others: where nothing can be accessed the address stays taken.
 */
static void fuzz_memory(struct fuzzer *f)
{
	unsigned int first = below(&f->rng, SLOT_PAGES);
	unsigned int npages = 1 + below(&f->rng, SLOT_PAGES - first);
	char *start = life.memory[below(&f->rng, NR_SLOTS)] + first * PAGE;
	unsigned int what = below(&f->rng, 4);

	if (what == 0)
		madvise(start, npages * PAGE, MADV_DONTNEED);
	else
		mmap(start, npages * PAGE, what == 1 ? PROT_NONE : PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	add(&counts->memory_changes, 1);
}

/* Of the slots that nobody watches: what is cleared is lost on purpose. */
static void fuzz_get_log(struct fuzzer *f)
{
	struct kvm_dirty_log log = {
		.slot = one_in(&f->rng, 16) ? random_u64(&f->rng) | 1ull << 31 :
			draw_slot(&f->rng, below(&f->rng, NR_SLOTS + 1)),
	};
	bool wild;

	log.dirty_bitmap = (void *)draw_address(f, &f->confirmed, SLOT_PAGES / 8, &wild);
	do_call(f, GET_LOG, &log);
}

static void fuzz_clear_log(struct fuzzer *f)
{
	unsigned int n = below(&f->rng, NR_SLOTS);
	struct kvm_clear_dirty_log log = {
		.slot = known[n].slot ?: draw_slot(&f->rng, n),
		.first_page = below(&f->rng, 4) * 64,
	};
	bool wild;

	/* To the slot's end, or words in its midst. */
	log.num_pages = one_in(&f->rng, 2) ? known[n].memory_size / PAGE - log.first_page :
			below(&f->rng, 4) * 64;
	draw_bits(&f->rng, f->report.start, SLOT_PAGES / 8);
	log.dirty_bitmap = (void *)draw_address(f, &f->report, SLOT_PAGES / 8, &wild);
	if (one_in(&f->rng, 16))
		log.first_page = random_u64(&f->rng);
	if (one_in(&f->rng, 16))
		log.num_pages = random_u64(&f->rng);
	do_call(f, CLEAR_LOG, &log);
}

/* Modes are switched under slots that log, too. */
static void fuzz_log_mode(struct fuzzer *f)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args[0] = below(&f->rng, 4),
	};

	do_call(f, ENABLE_CAP, &cap);
}

static uint64_t read_version(unsigned int page)
{
	return READ_ONCE(*(uint64_t *)(life.watch + page * PAGE));
}

/*
 * The watched slot's log is read, all that it names cleared, and then copied:
 * right with and without manual protection.
 */
static void sync_watched(struct fuzzer *f, uint64_t *named)
{
	struct kvm_dirty_log get = { .slot = WATCH_SLOT, .dirty_bitmap = named };
	struct kvm_clear_dirty_log clear = {
		.slot = WATCH_SLOT, .num_pages = WATCH_PAGES, .dirty_bitmap = named,
	};
	unsigned int page;

	pthread_mutex_lock(&watch_lock);
	if (__vm_ioctl(life.vm, KVM_GET_DIRTY_LOG, &get) ||
	    __vm_ioctl(life.vm, KVM_CLEAR_DIRTY_LOG, &clear))
		complain(f, "the watched slot's log: %s", strerror(errno));
	for (page = 0; page < WATCH_PAGES; page++) {
		if (named[page / 64] >> page % 64 & 1)
			copies[page] = read_version(page);
	}
	pthread_mutex_unlock(&watch_lock);
}

static void fuzz_sync_watched(struct fuzzer *f)
{
	uint64_t named[WATCH_WORDS] = {};

	if (!life.ring)
		sync_watched(f, named);
}

static void fuzz_signal(struct fuzzer *f)
{
	pthread_kill(fuzzers[below(&f->rng, NR_THREADS)].thread, SIGUSR1);
	add(&counts->signals, 1);
}

/* The threads */

static const struct {
	void (*fuzz)(struct fuzzer *f);
	unsigned int weight;
	bool foreign;
} actions[] = {
	{ fuzz_arm, 12, true },
	{ fuzz_set, 24, true },
	{ fuzz_disarm, 2, true },
	{ fuzz_check_extension, 1 },
	{ fuzz_enable_cap, 2, true },
	{ fuzz_region, 16 },
	{ fuzz_memory, 6 },
	{ fuzz_get_log, 8, true },
	{ fuzz_clear_log, 8 },
	{ fuzz_log_mode, 1 },
	{ fuzz_sync_watched, 8 },
	{ fuzz_signal, 12 },
};

static unsigned int sum_of_weights(void)
{
	unsigned int i, sum = 0;

	for (i = 0; i < ARRAY_SIZE(actions); i++)
		sum += actions[i].weight;
	return sum;
}

static void fuzz_once(struct fuzzer *f)
{
	unsigned int n = below(&f->rng, sum_of_weights()), i;

	for (i = 0; n >= actions[i].weight; i++)
		n -= actions[i].weight;
	if (actions[i].foreign || !is_foreign(f))
		actions[i].fuzz(f);
	WRITE_ONCE(f->nr_done, f->nr_done + 1);
}

/* Choices of a thread are the seed's and the life's, however long it took. */
static void begin_fuzzing(struct fuzzer *f)
{
	uint64_t mixed = new_random_state(seed);

	mixed = new_random_state(mixed + life.number);
	f->rng = new_random_state(mixed + f->number);
}

static void *fuzzer_main(void *arg)
{
	struct fuzzer *f = arg;
	unsigned int n = 1 + below(&f->rng, MAX_CALLS);

	pthread_barrier_wait(&life.begin);
	while (n-- && !READ_ONCE(life.fd_is_gone))
		fuzz_once(f);
	return NULL;
}

/* A process that got the descriptor, with or without rights of its own. */
static pid_t start_foreign(uint64_t *rng)
{
	bool may_call = one_in(rng, 2);
	struct fuzzer *f = &fuzzers[FOREIGN];
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (pid)
		return pid;
	if (!may_call && setresuid(65534, 65534, 65534))
		_exit(1);
	for (;;) {
		fuzz_once(f);
		usleep(skewed(&f->rng, 14));
	}
}

static void end_foreign(pid_t pid)
{
	kill(pid, SIGKILL);
	TEST_ASSERT(waitpid(pid, NULL, 0) == pid, "waitpid: %s", strerror(errno));
}

/* The vCPU ended in a way that its program does not have. */
static void complain_of_vcpu(struct kvm_vcpu *vcpu)
{
	complain(NULL, "vCPU %u does not end as it should, exit %s at pc 0x%lx", vcpu->id,
		 exit_reason_str(vcpu->run->exit_reason), fpr_guest_pc(vcpu));
}

/* Until the guest has done what it was told. */
static void *run_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;
	int err;

	for (;;) {
		err = __vcpu_run(vcpu) ? errno : 0;
		record(NULL, KVM_RUN_CALL, err);
		if (READ_ONCE(life.vcpus_are_late) && err)
			break;
		/* Before the look at MMIO, for on arm64 a ucall is that, too. */
		if (!err && get_ucall(vcpu, &uc) == UCALL_SYNC)
			return NULL;
		if (err == EFAULT)
			usleep(100);
		else if (!err && vcpu->run->exit_reason != KVM_EXIT_MMIO)
			break;
	}
	complain_of_vcpu(vcpu);
	return NULL;
}

static bool join(pthread_t thread)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += STUCK;
	return !pthread_timedjoin_np(thread, NULL, &limit);
}

/* The kernel's log gets the stacks of all blocked tasks, and of all CPUs. */
static void show_stacks(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY);

	if (fd < 0 || write(fd, "w", 1) != 1 || write(fd, "l", 1) != 1)
		perror("/proc/sysrq-trigger");
}

static void __noreturn bail_out(const char *who, unsigned int number,
				const char *where)
{
	printf("Bail out! seed %lu, life %lu: %s %u is stuck in %s\n", seed, life.number,
	       who, number, where);
	show_stacks();
	_exit(KSFT_FAIL);
}

/* A slow machine is none that hangs: what counts is whether anything was done. */
static void join_fuzzer(struct fuzzer *f)
{
	uint64_t nr_done;

	do {
		nr_done = READ_ONCE(f->nr_done);
		if (join(f->thread))
			return;
	} while (READ_ONCE(f->nr_done) != nr_done);
	bail_out("thread", f->number, calls[f->doing].name);
}

static void start_thread(pthread_t *thread, void *(*main)(void *), void *arg)
{
	int err = pthread_create(thread, NULL, main, arg);

	TEST_ASSERT(!err, "pthread_create: %s", strerror(err));
}

/* Waits for vCPUs that are to end; one that does not is asked by a signal. */
static void join_vcpus(pthread_t *threads)
{
	struct timespec limit;
	unsigned int i;

	for (i = 0; i < NR_VCPUS; i++) {
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec += STUCK;
		if (!pthread_timedjoin_np(threads[i], NULL, &limit))
			continue;
		WRITE_ONCE(life.vcpus_are_late, true);
		pthread_kill(threads[i], SIGUSR1);
		if (!join(threads[i]))
			bail_out("vCPU", i, "KVM_RUN");
	}
}

/* A life */

static void set_region(uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size,
		       void *memory)
{
	int r = __vm_set_user_memory_region(life.vm, slot, flags, gpa, size, memory);

	TEST_ASSERT(!r, "slot 0x%x: %s", slot, strerror(errno));
}

static void create_vm(uint64_t *rng)
{
	unsigned int i;

	life.ring = one_in(rng, 16) && kvm_has_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL);
	if (life.ring) {
		life.vm = vm_create_barebones();
		vm_enable_dirty_ring(life.vm, 4096 * sizeof(struct kvm_dirty_gfn));
		add(&counts->ring_lives, 1);
		return;
	}
	life.vm = vm_create_with_vcpus(NR_VCPUS, guest_code, life.vcpus);
	for (i = 0; i < NR_VCPUS; i++)
		vcpu_args_set(life.vcpus[i], 1, (uint64_t)i);
	virt_map(life.vm, GPA, GPA, NEAR_PAGES);
	virt_map(life.vm, GPA + FAR * PAGE, GPA + FAR * PAGE, FAR_PAGES);
	life.orders = addr_gva2hva(life.vm, (uintptr_t)&orders);
	life.orders->stop = 0;
	life.orders->seed = random_u64(rng) | 1ull << 62;
	life.orders->first_version = life.number << 40;
	life.orders->count = 0;
}

static void begin_life(uint64_t *rng)
{
	unsigned int i;

	create_vm(rng);
	vm_enable_cap(life.vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, below(rng, 2) * 3);
	life.watch = map(WATCH_PAGES * PAGE, PROT_READ | PROT_WRITE);
	for (i = 0; i < NR_SLOTS; i++)
		life.memory[i] = map(SLOT_PAGES * PAGE, PROT_READ | PROT_WRITE);
	memset(known, 0, sizeof(known));
	memset(copies, 0, sizeof(copies));
	set_region(WATCH_SLOT, LOG, GPA, WATCH_PAGES * PAGE, life.watch);
	life.fd = dup(life.vm->fd);
	life.fd_is_gone = false;
	life.epoch = 1;
	life.vcpus_are_late = false;
}

/* At times the VM goes away over memory that is gone already. */
static void end_life(uint64_t *rng)
{
	bool memory_first = one_in(rng, 2);
	unsigned int i;

	for (i = 0; memory_first && i < NR_SLOTS; i++)
		munmap(life.memory[i], SLOT_PAGES * PAGE);
	close(life.fd);
	kvm_vm_free(life.vm);
	for (i = 0; !memory_first && i < NR_SLOTS; i++)
		munmap(life.memory[i], SLOT_PAGES * PAGE);
	munmap(life.watch, WATCH_PAGES * PAGE);
	add(&counts->lives, 1);
	life.number++;
}

/* The descriptor becomes that of another file, in the middle of everything. */
static void close_descriptor(uint64_t *rng)
{
	int other = open("/dev/null", O_RDWR);

	usleep(below(rng, 100000));
	WRITE_ONCE(life.fd_is_gone, true);
	dup2(other, life.fd);
	close(other);
	add(&counts->closed_lives, 1);
}

static void bring_memory_back(void)
{
	unsigned int i;

	for (i = 0; i < NR_SLOTS; i++)
		mmap(life.memory[i], SLOT_PAGES * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void run_threads(uint64_t *rng)
{
	bool foreign = one_in(rng, 4), close = one_in(rng, 8);
	pthread_t vcpus[NR_VCPUS];
	pid_t pid = 0;
	unsigned int i;

	pthread_barrier_init(&life.begin, NULL, NR_THREADS + 1);
	for (i = 0; i <= FOREIGN; i++)
		begin_fuzzing(&fuzzers[i]);
	if (foreign)
		pid = start_foreign(rng);
	for (i = 0; i < NR_THREADS; i++)
		start_thread(&fuzzers[i].thread, fuzzer_main, &fuzzers[i]);
	for (i = 0; i < NR_VCPUS && !life.ring; i++)
		start_thread(&vcpus[i], run_vcpu, life.vcpus[i]);
	pthread_barrier_wait(&life.begin);

	if (close)
		close_descriptor(rng);
	for (i = 0; i < NR_THREADS; i++)
		join_fuzzer(&fuzzers[i]);
	if (foreign) {
		end_foreign(pid);
		add(&counts->foreign_lives, 1);
	}
	bring_memory_back();
	if (!life.ring) {
		WRITE_ONCE(life.orders->stop, 1);
		join_vcpus(vcpus);
	}
	pthread_barrier_destroy(&life.begin);
}

/* What was written to pages that are in no report must have been copied. */
static void check_watched(void)
{
	uint64_t named[WATCH_WORDS] = {}, version;
	unsigned int page;

	sync_watched(NULL, named);
	for (page = 0; page < WATCH_PAGES; page++) {
		version = read_version(page);
		if (is_watched(page) && version != copies[page])
			complain(NULL, "lost: page %u holds version 0x%lx, the copy 0x%lx",
				 page, version, copies[page]);
	}
	add(&counts->checked_pages, WATCH_PAGES / 2);
}

/* The last check: nobody else does anything. */

static void write_pages(unsigned int first, unsigned int npages)
{
	WRITE_ONCE(life.orders->first, first);
	WRITE_ONCE(life.orders->count, npages);
	run_vcpu(life.vcpus[0]);
}

static void delete_second_space(void)
{
	unsigned int n;

	for (n = 0; n < NR_SLOTS; n++) {
		struct kvm_userspace_memory_region region = {
			.slot = AS1 | (FIRST_SLOT + n),
		};

		__vm_ioctl(life.vm, KVM_SET_USER_MEMORY_REGION, &region);
	}
}

/* A call of each kind that must fail, whatever the VM's state. */
static void call_in_vain(struct fuzzer *f)
{
	struct kvm_fpr_arm arm = { .reserved = { 0, 1 } };
	struct kvm_fpr_bitmap set = {
		.epoch = life.epoch,
		.gpa = GPA,
		.size = NEAR_PAGES * PAGE,
		.bitmap = bad_address(&f->rng, &f->report) ?: 8,
	};
	struct kvm_fpr_bitmap stale = set;
	struct kvm_fpr_disarm disarm = { .epoch = life.epoch + 1 };

	stale.epoch--;
	memset(f->report.start, 0xff, BITMAP_SIZE);
	stale.bitmap = (uintptr_t)f->report.start;
	if (do_call(f, ARM, &arm) != EINVAL || do_call(f, SET_BITMAP, &set) != EFAULT ||
	    do_call(f, SET_BITMAP, &stale) != ESTALE ||
	    do_call(f, DISARM, &disarm) != ESTALE)
		complain(f, "a call that must fail did not, or with another error");
}

static bool in_range(unsigned int page, unsigned int first, unsigned int npages)
{
	return page >= first && page < first + npages;
}

static void check_last_log(struct fuzzer *f, unsigned int first, unsigned int npages,
			   unsigned int again, unsigned int nr_again)
{
	const uint64_t *report = (uint64_t *)f->report.start;
	uint64_t named[WATCH_WORDS] = {};
	unsigned int page;
	bool is, want;

	sync_watched(f, named);
	for (page = 0; page < WATCH_PAGES; page++) {
		is = named[page / 64] >> page % 64 & 1;
		want = in_range(page, again, nr_again) ||
		       (in_range(page, first, npages) &&
			!(report[page / 64] >> page % 64 & 1));
		if (is != want)
			complain(f, "page %u is %s in the last log", page,
				 want ? "not" : "still");
	}
	add(&counts->checked_pages, WATCH_PAGES);
}

static void check_that_it_works(struct fuzzer *f)
{
	unsigned int first = below(&f->rng, WATCH_PAGES / 2), npages = 1 + below(&f->rng, 150);
	unsigned int again = below(&f->rng, WATCH_PAGES / 2), nr_again = 1 + below(&f->rng, 150);
	struct kvm_fpr_bitmap set = { .gpa = GPA, .size = WATCH_PAGES * PAGE };
	struct kvm_fpr_arm arm = {};
	uint64_t named[WATCH_WORDS] = {};

	delete_second_space();
	sync_watched(f, named);
	write_pages(first, npages);
	if (do_call(f, ARM, &arm))
		complain(f, "the last ARM failed");
	check_epoch(f, &arm);
	write_pages(again, nr_again);
	call_in_vain(f);

	draw_bits(&f->rng, f->report.start, sizeof(named));
	set.epoch = arm.epoch;
	set.bitmap = (uintptr_t)f->report.start;
	if (do_call(f, SET_BITMAP, &set) || set.size)
		complain(f, "the last SET_BITMAP failed");
	check_last_log(f, first, npages, again, nr_again);
}

static void live(uint64_t *rng)
{
	begin_life(rng);
	run_threads(rng);
	if (!life.ring)
		check_watched();
	if (!life.ring && !life.fd_is_gone)
		check_that_it_works(&fuzzers[0]);
	end_life(rng);
}

/* Results */

static uint64_t sum_of_calls(enum call_id call)
{
	uint64_t sum = 0;
	int err;

	for (err = 0; err < MAX_ERRNO; err++)
		sum += counts->results[call][err];
	return sum;
}

static uint64_t all_calls(void)
{
	uint64_t sum = 0;
	enum call_id call;

	for (call = 0; call < NR_CALLS; call++)
		sum += sum_of_calls(call);
	return sum;
}

static void print_table(void)
{
	enum call_id call;
	int err;

	for (call = 0; call < NR_CALLS; call++) {
		printf("# %-28s %9lu:", calls[call].name, sum_of_calls(call));
		for (err = 0; err < MAX_ERRNO; err++) {
			if (counts->results[call][err])
				printf(" %s %lu", err ? strerrorname_np(err) : "ok",
				       counts->results[call][err]);
		}
		printf("\n");
	}
}

static void print_counts(void)
{
	ksft_print_msg("lives %lu (%lu with a dirty ring, %lu with another process, %lu closed)\n",
		       counts->lives, counts->ring_lives, counts->foreign_lives,
		       counts->closed_lives);
	ksft_print_msg("signals %lu (%lu calls interrupted), memory changes %lu\n",
		       counts->signals, counts->interrupted, counts->memory_changes);
	ksft_print_msg("filtered %lu, confirmed %lu, checked %lu pages\n",
		       counts->filtered, counts->confirmed, counts->checked_pages);
}

static void write_calls(FILE *file)
{
	const char *separator;
	enum call_id call;
	int err;

	for (call = 0; call < NR_CALLS; call++) {
		fprintf(file, "%s\n    \"%s\": {", call ? "," : "", calls[call].name);
		separator = "";
		for (err = 0; err < MAX_ERRNO; err++) {
			if (!counts->results[call][err])
				continue;
			fprintf(file, "%s\"%s\": %lu", separator,
				err ? strerrorname_np(err) : "ok",
				counts->results[call][err]);
			separator = ", ";
		}
		fprintf(file, "}");
	}
}

static void write_json(const char *path, unsigned int seconds)
{
	FILE *file = fopen(path, "w");

	TEST_ASSERT(file, "%s: %s", path, strerror(errno));
	fprintf(file, "{\n  \"seed\": %lu,\n  \"seconds\": %u,\n  \"lives\": %lu,\n",
		seed, seconds, counts->lives);
	fprintf(file, "  \"dirty_ring_lives\": %lu,\n  \"foreign_lives\": %lu,\n",
		counts->ring_lives, counts->foreign_lives);
	fprintf(file, "  \"closed_lives\": %lu,\n", counts->closed_lives);
	fprintf(file, "  \"signals\": %lu,\n  \"interrupted\": %lu,\n",
		counts->signals, counts->interrupted);
	fprintf(file, "  \"filtered\": %lu,\n  \"confirmed\": %lu,\n",
		counts->filtered, counts->confirmed);
	fprintf(file, "  \"checked_pages\": %lu,\n  \"complaints\": %lu,\n  \"calls\": {",
		counts->checked_pages, counts->complaints);
	write_calls(file);
	fprintf(file, "\n  }\n}\n");
	TEST_ASSERT(!fclose(file), "%s: %s", path, strerror(errno));
}

static void show_progress(time_t begin)
{
	static time_t shown;
	time_t now = time(NULL);

	if (now < shown + PROGRESS)
		return;
	shown = now;
	ksft_print_msg("%ld s: %lu lives, %lu calls, %lu complaints\n", (long)(now - begin),
		       counts->lives, all_calls(), counts->complaints);
}

/* What it takes, @nr_lives or seconds; returns the seconds. */
static unsigned int run(unsigned int seconds, uint64_t nr_lives)
{
	time_t begin = time(NULL);
	uint64_t rng;

	do {
		rng = new_random_state(seed + (life.number << 32));
		live(&rng);
		show_progress(begin);
	} while (!counts->complaints &&
		 (nr_lives ? counts->lives < nr_lives : time(NULL) < begin + seconds));
	return time(NULL) - begin;
}

static void ignore_signal(int sig)
{
}

static void prepare(void)
{
	struct sigaction action = { .sa_handler = ignore_signal };
	unsigned int i;

	sigaction(SIGUSR1, &action, NULL);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(counts != MAP_FAILED, "mmap: %s", strerror(errno));
	for (i = 0; i <= FOREIGN; i++)
		new_fuzzer(&fuzzers[i], i);
}

static void print_help(const char *name)
{
	printf("usage: %s [-s SEED] [-t SECONDS] [-l LIFE] [-n LIVES] [-j FILE]\n"
	       "  -s  repeat the choices of a run (not its timing); printed by every run\n"
	       "  -t  how long to run, 30 unless given\n"
	       "  -l  the number of the first life, to repeat one\n"
	       "  -n  how many lives, instead of seconds\n"
	       "  -j  write the counts to a file, in JSON\n", name);
}

int main(int argc, char *argv[])
{
	unsigned int seconds = 30;
	const char *json = NULL;
	uint64_t nr_lives = 0;
	int option;

	seed = draw_seed();
	while ((option = getopt(argc, argv, "s:t:l:n:j:h")) != -1) {
		switch (option) {
		case 's':
			seed = parse_number("-s", optarg, UINT32_MAX);
			break;
		case 't':
			seconds = parse_number("-t", optarg, 1000000);
			break;
		case 'l':
			life.number = parse_number("-l", optarg, UINT32_MAX);
			break;
		case 'n':
			nr_lives = parse_number("-n", optarg, UINT32_MAX);
			break;
		case 'j':
			json = optarg;
			break;
		case 'h':
			print_help(argv[0]);
			return 0;
		default:
			return 2;
		}
	}
	no_more_arguments(argc, argv, optind);
	setvbuf(stdout, NULL, _IOLBF, 0);

	ksft_print_header();
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_FREE_PAGE_FILTER),
		       "this KVM has no free page filter");
	ksft_set_plan(2);
	ksft_print_msg("seed %lu, %u seconds\n", seed, seconds);
	prepare();
	seconds = run(seconds, nr_lives);
	print_table();
	print_counts();
	if (json)
		write_json(json, seconds);
	ksft_test_result(!counts->complaints, "all is as the header says\n");
	/* Else the first result says little. */
	ksft_test_result(counts->filtered && counts->confirmed && counts->checked_pages &&
			 counts->results[SET_BITMAP][ESTALE],
			 "pages were filtered, and reports refused\n");
	ksft_finished();
}
