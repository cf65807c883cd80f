// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free page filter, the fuzzer: calls are drawn and made, and what each of them
 * returns is checked.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fpr_fuzz.h"
#include "fpr_random.h"
#include "kvm_util.h"
#include "test_util.h"

#define MAX_COMPLAINTS	10

/* What is called, and the errors that the call may return. */
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

/* What the watched pages held when they were copied because the log named them. */
static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t copies[WATCH_PAGES];

/* A configuration of a slot that was accepted; threads overwrite each other's. */
static struct kvm_userspace_memory_region known[NR_SLOTS];

const char *call_name(enum call_id call)
{
	return calls[call].name;
}

void complain(const struct fuzzer *f, const char *format, ...)
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

void record(struct fuzzer *f, enum call_id call, int err)
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

int do_call(struct fuzzer *f, enum call_id call, void *args)
{
	int err;

	f->doing = call;
	err = ioctl(life.fd, calls[call].cmd, args) < 0 ? errno : 0;
	record(f, call, err);
	return err;
}

/* Memory */

void *map(size_t size, int protection)
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

void new_fuzzer(struct fuzzer *f, unsigned int number)
{
	f->number = number;
	f->args = new_arena(PAGE);
	f->read_only = read_only_alias(&f->args);
	f->report = new_arena(BITMAP_SIZE);
	f->confirmed = new_arena(BITMAP_SIZE);
	f->zeros = new_arena(PAGE);
	TEST_ASSERT(!mprotect(f->zeros.start, PAGE, PROT_READ), "mprotect");
}

uint64_t bad_address(uint64_t *rng, const struct arena *arena)
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

void draw_bits(uint64_t *rng, char *start, size_t bytes)
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

void check_epoch(struct fuzzer *f, const struct kvm_fpr_arm *arm)
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

void sync_watched(struct fuzzer *f, uint64_t *named)
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

void fuzz_once(struct fuzzer *f)
{
	unsigned int n = below(&f->rng, sum_of_weights()), i;

	for (i = 0; n >= actions[i].weight; i++)
		n -= actions[i].weight;
	if (actions[i].foreign || !is_foreign(f))
		actions[i].fuzz(f);
	WRITE_ONCE(f->nr_done, f->nr_done + 1);
}

void check_watched(void)
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

void forget_slots(void)
{
	memset(known, 0, sizeof(known));
	memset(copies, 0, sizeof(copies));
}
