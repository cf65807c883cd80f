// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free page filter: KVM_FPR_ARM, KVM_FPR_SET_BITMAP and KVM_FPR_DISARM.
 *
 * Most cases run in each mode of the dirty log.  The guest writes pages on
 * command; what the dirty log must say afterwards is computed bit by bit.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fpr_arch.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "fpr_harness.h"
#include "fpr_util.h"

#define SLOT		10
#define SLOT2		11
#define SLOT3		12
/* Neither a multiple of 64 pages nor of 8. */
#define NPAGES		333u
/* What the guest maps, and the largest range of a test. */
#define MAX_PAGES	1024u
#define BITMAP_WORDS	(MAX_PAGES / 64)
/* Larger than what KVM keeps in reserve, which a CPU's own log (PML) adds to. */
#define DIRTY_RING	(16 * PAGE)

struct bitmap {
	uint64_t word[BITMAP_WORDS];
};

/* What the guest does next: write to pages [first, first + count). */
static struct {
	uint64_t first;
	uint64_t count;
	uint64_t value;
} todo;

static void guest_code(void)
{
	uint64_t i;

	for (;;) {
		for (i = todo.first; i < todo.first + todo.count; i++)
			WRITE_ONCE(*(uint64_t *)(GPA + i * PAGE), todo.value);
		GUEST_SYNC(0);
	}
}

/* A guest that writes one page again and again, without an exit of its own. */
static void guest_spin(void)
{
	for (;;) {
		WRITE_ONCE(*(uint64_t *)(GPA + todo.first * PAGE), ++todo.value);
		if (!READ_ONCE(todo.count)) {
			GUEST_SYNC(0);
			WRITE_ONCE(todo.count, 1);
		}
	}
}

/* What todo.count says to guest_write_on_order(). */
enum order {
	ORDER_STOP,
	ORDER_WRITE,
	ORDER_LEAVE,
	/* The guest's answer to the first. */
	HAS_STOPPED,
};

/* The same, but it stops and goes on when it is told to, without an exit, too. */
static void guest_write_on_order(void)
{
	for (;;) {
		switch (READ_ONCE(todo.count)) {
		case ORDER_WRITE:
			WRITE_ONCE(*(uint64_t *)(GPA + todo.first * PAGE),
				   ++todo.value);
			break;
		case ORDER_STOP:
			__atomic_store_n(&todo.count, HAS_STOPPED, __ATOMIC_RELEASE);
			break;
		case ORDER_LEAVE:
			GUEST_SYNC(0);
			break;
		}
	}
}

static bool get_bit(const struct bitmap *b, unsigned int n)
{
	return has_bit(b->word, n);
}

static void set_bits(struct bitmap *b, unsigned int first, unsigned int count)
{
	unsigned int i;

	for (i = first; i < first + count; i++)
		b->word[i / 64] |= 1ull << (i % 64);
}

static struct bitmap bits(unsigned int first, unsigned int count)
{
	struct bitmap b = {};

	set_bits(&b, first, count);
	return b;
}

static unsigned int count_bits(const struct bitmap *b)
{
	unsigned int i, n = 0;

	for (i = 0; i < MAX_PAGES; i++)
		n += get_bit(b, i);
	return n;
}

FIXTURE(fpr)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	char *mem;
};

FIXTURE_VARIANT(fpr)
{
	uint64_t manual_protect;
};

FIXTURE_VARIANT_ADD(fpr, auto_clear)
{
};

FIXTURE_VARIANT_ADD(fpr, manual_protect)
{
	.manual_protect = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE,
};

FIXTURE_VARIANT_ADD(fpr, initially_set)
{
	.manual_protect = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
			  KVM_DIRTY_LOG_INITIALLY_SET,
};

/* A slot of @npages pages at page @first of the area that the guest maps. */
static void set_slot(FIXTURE_DATA(fpr) *self, uint32_t slot, uint32_t flags,
		     unsigned int first, unsigned int npages)
{
	vm_set_user_memory_region(self->vm, slot, flags, GPA + first * PAGE,
				  npages * PAGE, self->mem + first * PAGE);
}

static void create_vm(FIXTURE_DATA(fpr) *self, uint64_t manual_protect)
{
	self->vm = vm_create_with_one_vcpu(&self->vcpu, guest_code);
	if (manual_protect)
		vm_enable_cap(self->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			      manual_protect);

	self->mem = mmap(NULL, MAX_PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(self->mem != MAP_FAILED, "mmap of guest memory");
	virt_map(self->vm, GPA, GPA, MAX_PAGES);
	set_slot(self, SLOT, LOG, 0, NPAGES);
}

static void free_vm(FIXTURE_DATA(fpr) *self)
{
	kvm_vm_free(self->vm);
	munmap(self->mem, MAX_PAGES * PAGE);
}

FIXTURE_SETUP(fpr)
{
	create_vm(self, variant->manual_protect);
}

FIXTURE_TEARDOWN(fpr)
{
	free_vm(self);
}

static void guest_write(FIXTURE_DATA(fpr) *self, unsigned int first,
			unsigned int count)
{
	struct ucall uc;

	todo.first = first;
	todo.count = count;
	todo.value++;
	sync_global_to_guest(self->vm, todo);
	vcpu_run(self->vcpu);
	TEST_ASSERT(get_ucall(self->vcpu, &uc) == UCALL_SYNC,
		    "the guest stopped unexpectedly");
}

static struct bitmap get_log(FIXTURE_DATA(fpr) *self, uint32_t slot)
{
	struct bitmap b = {};

	kvm_vm_get_dirty_log(self->vm, slot, &b);
	return b;
}

static int arm_fd(int fd, uint64_t *epoch)
{
	struct kvm_fpr_arm arm = {};
	int r = ioctl(fd, KVM_FPR_ARM, &arm);

	*epoch = arm.epoch;
	return r ? errno : 0;
}

static uint64_t arm(FIXTURE_DATA(fpr) *self)
{
	return fpr_arm(self->vm);
}

static struct kvm_fpr_arm candidates_args(const struct bitmap *candidates)
{
	return fpr_arm_args(GPA, MAX_PAGES * PAGE, candidates);
}

/* Returns errno of KVM_FPR_ARM, 0 for success. */
static int try_arm(FIXTURE_DATA(fpr) *self, struct kvm_fpr_arm *args)
{
	return vm_errno(self->vm, KVM_FPR_ARM, args);
}

static uint64_t arm_candidates(FIXTURE_DATA(fpr) *self,
			       const struct bitmap *candidates)
{
	struct kvm_fpr_arm args = candidates_args(candidates);
	int err = try_arm(self, &args);

	TEST_ASSERT(!err, "KVM_FPR_ARM: %s", strerror(err));
	TEST_ASSERT(args.epoch && !args.size, "epoch %llu, 0x%llx bytes left",
		    args.epoch, args.size);
	return args.epoch;
}

static struct kvm_fpr_bitmap set_args(uint64_t epoch,
				      const struct bitmap *report,
				      struct bitmap *confirmed,
				      unsigned int npages)
{
	return fpr_set_args(epoch, GPA, npages * PAGE, report, confirmed);
}

/* Returns errno of KVM_FPR_SET_BITMAP, 0 for success. */
static int try_set(FIXTURE_DATA(fpr) *self, struct kvm_fpr_bitmap *set)
{
	return vm_errno(self->vm, KVM_FPR_SET_BITMAP, set);
}

/* Hands over a report for the first @npages pages, returns what is confirmed. */
static struct bitmap set_n(FIXTURE_DATA(fpr) *self, uint64_t epoch,
			   const struct bitmap *report, unsigned int npages,
			   uint64_t *nr_filtered)
{
	struct bitmap confirmed = {};
	struct kvm_fpr_bitmap set = set_args(epoch, report, &confirmed, npages);
	int err = try_set(self, &set);

	TEST_ASSERT(!err, "KVM_FPR_SET_BITMAP: %s", strerror(err));
	TEST_ASSERT(!set.size, "0x%llx bytes were left", set.size);
	TEST_ASSERT(set.gpa == GPA + npages * PAGE, "gpa 0x%llx", set.gpa);
	TEST_ASSERT(set.nr_confirmed == count_bits(&confirmed),
		    "%llu pages confirmed, the bitmap has %u",
		    set.nr_confirmed, count_bits(&confirmed));
	if (nr_filtered)
		*nr_filtered = set.nr_filtered;
	return confirmed;
}

static struct bitmap set(FIXTURE_DATA(fpr) *self, uint64_t epoch,
			 const struct bitmap *report, uint64_t *nr_filtered)
{
	return set_n(self, epoch, report, NPAGES, nr_filtered);
}

static void assert_same(const struct bitmap *is, const struct bitmap *want,
			const char *what)
{
	unsigned int i;

	for (i = 0; i < MAX_PAGES; i++)
		TEST_ASSERT(get_bit(is, i) == get_bit(want, i),
			    "%s: page %u is %d, expected %d", what, i,
			    get_bit(is, i), get_bit(want, i));
}

#define assert_log(self, slot, want)					\
do {									\
	struct bitmap __log = get_log(self, slot);			\
									\
	assert_same(&__log, want, "dirty log");				\
} while (0)

static struct bitmap and_not(struct bitmap a, const struct bitmap *b)
{
	unsigned int i;

	for (i = 0; i < BITMAP_WORDS; i++)
		a.word[i] &= ~b->word[i];
	return a;
}

TEST(probe)
{
	struct kvm_vm *vm = vm_create_barebones();
	const int flags = KVM_FPR_CAP_CONFIRM | KVM_FPR_CAP_FOREIGN |
			  KVM_FPR_CAP_CANDIDATES;

	ASSERT_EQ(flags, kvm_check_cap(KVM_CAP_FREE_PAGE_FILTER));
	ASSERT_EQ(flags, vm_check_cap(vm, KVM_CAP_FREE_PAGE_FILTER));
	kvm_vm_free(vm);
}

TEST(struct_sizes)
{
	ASSERT_EQ(64, sizeof(struct kvm_fpr_arm));
	ASSERT_EQ(8, offsetof(struct kvm_fpr_arm, epoch));
	ASSERT_EQ(40, offsetof(struct kvm_fpr_arm, reserved));
	ASSERT_EQ(96, sizeof(struct kvm_fpr_bitmap));
	ASSERT_EQ(8, offsetof(struct kvm_fpr_bitmap, epoch));
	ASSERT_EQ(64, offsetof(struct kvm_fpr_bitmap, reserved));
	ASSERT_EQ(32, sizeof(struct kvm_fpr_disarm));
	ASSERT_EQ(8, offsetof(struct kvm_fpr_disarm, epoch));
	ASSERT_EQ(16, offsetof(struct kvm_fpr_disarm, reserved));
	/* The size is part of an ioctl's number. */
	ASSERT_EQ(0xc040aef0, KVM_FPR_ARM);
	ASSERT_EQ(0xc060aef1, KVM_FPR_SET_BITMAP);
	ASSERT_EQ(0x4020aef2, KVM_FPR_DISARM);
}

TEST_F(fpr, drops_what_is_free_and_untouched)
{
	struct bitmap report = bits(10, 150), all = bits(0, NPAGES);
	struct bitmap confirmed, want;
	uint64_t epoch, nr_filtered;

	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	confirmed = set(self, epoch, &report, &nr_filtered);
	assert_same(&confirmed, &report, "confirmed");
	ASSERT_EQ(150, nr_filtered);

	want = and_not(all, &report);
	assert_log(self, SLOT, &want);
}

TEST_F(fpr, arm_leaves_the_log_as_it_is)
{
	struct bitmap want = bits(0, NPAGES);

	guest_write(self, 0, NPAGES);
	arm(self);
	assert_log(self, SLOT, &want);
}

TEST_F(fpr, written_between_arm_and_set_stays)
{
	struct bitmap report = bits(10, 150), all = bits(0, NPAGES);
	struct bitmap touched = bits(60, 9), dropped, confirmed, want;
	uint64_t epoch;

	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	guest_write(self, 60, 9);
	confirmed = set(self, epoch, &report, NULL);

	dropped = and_not(report, &touched);
	assert_same(&confirmed, &dropped, "confirmed");
	want = and_not(all, &dropped);
	assert_log(self, SLOT, &want);
}

TEST_F(fpr, written_after_set_comes_back)
{
	struct bitmap all = bits(0, NPAGES), want = bits(64, 70);
	uint64_t epoch;

	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	set(self, epoch, &all, NULL);
	guest_write(self, 64, 70);
	assert_log(self, SLOT, &want);
}

TEST_F(fpr, two_reports_of_one_epoch)
{
	struct bitmap all = bits(0, NPAGES), half = bits(0, 100), confirmed, want;
	uint64_t epoch;

	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	set(self, epoch, &half, NULL);
	guest_write(self, 50, 100);
	confirmed = set(self, epoch, &all, NULL);

	want = bits(0, 50);
	set_bits(&want, 150, NPAGES - 150);
	assert_same(&confirmed, &want, "confirmed");
	want = bits(50, 100);
	assert_log(self, SLOT, &want);
}

/* GET and CLEAR take bits of D away; T must go on telling what was written. */
TEST_F(fpr, get_and_clear_between_arm_and_set)
{
	struct bitmap all = bits(0, NPAGES), log, want, confirmed;
	uint64_t epoch, nr_filtered;

	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	guest_write(self, 5, 1);

	log = get_log(self, SLOT);
	assert_same(&log, &all, "dirty log");
	if (variant->manual_protect)
		kvm_vm_clear_dirty_log(self->vm, SLOT, &log, 0, NPAGES);

	confirmed = set(self, epoch, &all, &nr_filtered);
	ASSERT_EQ(0, nr_filtered);
	want = bits(0, NPAGES);
	want.word[0] &= ~(1ull << 5);
	assert_same(&confirmed, &want, "confirmed");

	/* Nothing is lost afterwards either. */
	guest_write(self, 5, 2);
	want = bits(5, 2);
	assert_log(self, SLOT, &want);
}

TEST_F(fpr, one_page_slot)
{
	struct bitmap report = bits(0, MAX_PAGES), want = bits(500, 1), none = {};
	struct bitmap confirmed;
	uint64_t epoch;

	set_slot(self, SLOT2, LOG, 500, 1);
	guest_write(self, 500, 1);
	epoch = arm(self);
	confirmed = set_n(self, epoch, &report, MAX_PAGES, NULL);
	ASSERT_EQ(1, get_bit(&confirmed, 500));
	ASSERT_EQ(0, get_bit(&confirmed, 499));
	ASSERT_EQ(0, get_bit(&confirmed, 501));
	assert_log(self, SLOT2, &none);

	want = bits(0, 1);
	guest_write(self, 500, 1);
	assert_log(self, SLOT2, &want);
}

/*
 * Ranges at random places over three slots, a hole and a slot without logging,
 * against the same arithmetic done bit by bit.
 */
TEST_F(fpr, ranges_over_slots_and_holes)
{
	/* First page, number of pages, logging; slots 10, 11, 12 and 13. */
	static const unsigned int slots[][3] = {
		{ 0, NPAGES, 1 }, { 346, 70, 1 }, { 416, 129, 0 }, { 545, 200, 1 },
	};
	struct bitmap logging = {}, dirty, report, confirmed, want_confirmed, log;
	unsigned int i, s, n, first, count, round, page;
	struct kvm_fpr_bitmap args;
	uint64_t epoch;

	for (s = 0; s < ARRAY_SIZE(slots); s++) {
		set_slot(self, SLOT + s, slots[s][2] ? LOG : 0, slots[s][0],
			 slots[s][1]);
		if (slots[s][2])
			set_bits(&logging, slots[s][0], slots[s][1]);
	}

	srandom(1);
	for (round = 0; round < 60; round++) {
		for (s = 0; s < ARRAY_SIZE(slots); s++)
			guest_write(self, slots[s][0], slots[s][1]);
		dirty = logging;
		epoch = arm(self);
		page = random() % NPAGES;
		guest_write(self, page, 1);

		first = random() % MAX_PAGES;
		count = 1 + random() % (MAX_PAGES - first);
		/* Bits behind the range are to be ignored. */
		for (i = 0; i < BITMAP_WORDS; i++)
			report.word[i] = (uint64_t)random() << 32 ^ random() << 11 ^ random();
		memset(&confirmed, 0, sizeof(confirmed));
		memset(&want_confirmed, 0, sizeof(want_confirmed));
		for (n = 0; n < count; n++) {
			if (get_bit(&report, n) && first + n != page &&
			    get_bit(&logging, first + n)) {
				set_bits(&want_confirmed, n, 1);
				dirty.word[(first + n) / 64] &= ~(1ull << ((first + n) % 64));
			}
		}

		args = set_args(epoch, &report, &confirmed, count);
		args.gpa += first * PAGE;
		ASSERT_EQ(0, try_set(self, &args));
		assert_same(&confirmed, &want_confirmed, "confirmed");

		for (s = 0; s < ARRAY_SIZE(slots); s++) {
			if (!slots[s][2])
				continue;
			log = get_log(self, SLOT + s);
			for (n = 0; n < slots[s][1]; n++)
				ASSERT_EQ(get_bit(&dirty, slots[s][0] + n), get_bit(&log, n)) {
					TH_LOG("round %u: pages %u + %u, slot %u, page %u",
					       round, first, count, s, n);
				}
			if (variant->manual_protect)
				kvm_vm_clear_dirty_log(self->vm, SLOT + s, &log, 0,
						       slots[s][1]);
		}
	}
}

/* Without KVM_FPR_SET_CONFIRM the log is filtered all the same. */
TEST_F(fpr, without_write_back)
{
	struct bitmap all = bits(0, NPAGES), none = {};
	struct kvm_fpr_bitmap args;

	guest_write(self, 0, NPAGES);
	args = set_args(arm(self), &all, NULL, NPAGES);
	ASSERT_EQ(0, try_set(self, &args));
	ASSERT_EQ(NPAGES, args.nr_filtered);
	ASSERT_EQ(NPAGES, args.nr_confirmed);
	assert_log(self, SLOT, &none);
}

/* A report that is refused must leave every page in the log. */
#define assert_refused(self, err, args)					\
do {									\
	struct bitmap __all = bits(0, NPAGES);				\
									\
	ASSERT_EQ(err, try_set(self, args));				\
	assert_log(self, SLOT, &__all);					\
	guest_write(self, 0, NPAGES);					\
} while (0)

TEST_F(fpr, stale_epoch)
{
	struct bitmap all = bits(0, NPAGES), confirmed;
	struct kvm_fpr_bitmap args;
	struct kvm_fpr_disarm disarm = {};
	uint64_t old, epoch;

	guest_write(self, 0, NPAGES);
	old = arm(self);
	epoch = arm(self);
	ASSERT_LT(old, epoch);

	args = set_args(old, &all, &confirmed, NPAGES);
	assert_refused(self, ESTALE, &args);
	args = set_args(epoch + 1, &all, &confirmed, NPAGES);
	assert_refused(self, ESTALE, &args);

	/* Only the epoch that is named ends. */
	disarm.epoch = old;
	ASSERT_EQ(-1, __vm_ioctl(self->vm, KVM_FPR_DISARM, &disarm));
	ASSERT_EQ(ESTALE, errno);
	disarm.epoch = epoch;
	ASSERT_EQ(0, __vm_ioctl(self->vm, KVM_FPR_DISARM, &disarm));
	args = set_args(epoch, &all, &confirmed, NPAGES);
	assert_refused(self, ESTALE, &args);

	epoch = arm(self);
	disarm.epoch = 0;
	ASSERT_EQ(0, __vm_ioctl(self->vm, KVM_FPR_DISARM, &disarm));
	ASSERT_EQ(0, __vm_ioctl(self->vm, KVM_FPR_DISARM, &disarm));
	args = set_args(epoch, &all, &confirmed, NPAGES);
	assert_refused(self, ESTALE, &args);
}

/* Numbers of another host's, or of KVM before it was loaded again, are no good. */
TEST_F(fpr, epochs_begin_anywhere)
{
	uint64_t epoch = arm(self);

	/* Fails once in a million by chance. */
	ASSERT_LT(1ull << 32, epoch);
	ASSERT_LT(epoch, 1ull << 52);
	ASSERT_LT(epoch, arm(self));
}

TEST_F(fpr, slot_without_logging)
{
	struct bitmap all = bits(0, NPAGES), confirmed;
	struct kvm_fpr_bitmap args;

	set_slot(self, SLOT, 0, 0, NPAGES);
	args = set_args(arm(self), &all, &confirmed, NPAGES);
	ASSERT_EQ(ESTALE, try_set(self, &args));
}

/*
 * Writes to read-only memory are MMIO, so no log has them: firmware's variables
 * may have changed since ARM although nobody touched their pages.
 */
TEST_F(fpr, readonly_slot)
{
	struct bitmap report = bits(0, MAX_PAGES), all = bits(0, NPAGES), confirmed, want;
	struct kvm_fpr_bitmap args;
	uint64_t epoch;

	set_slot(self, SLOT2, LOG | KVM_MEM_READONLY, 400, 64);
	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	confirmed = set_n(self, epoch, &report, MAX_PAGES, NULL);
	assert_same(&confirmed, &all, "confirmed");
	/* Of a log that begins with all pages set, all are there. */
	want = variant->manual_protect & KVM_DIRTY_LOG_INITIALLY_SET ?
	       bits(0, 64) : bits(0, 0);
	assert_log(self, SLOT2, &want);

	/* Alone, it is as if there were no slot that logs. */
	args = set_args(epoch, &report, &confirmed, 64);
	args.gpa += 400 * PAGE;
	ASSERT_EQ(0, try_set(self, &args));
	ASSERT_EQ(0, args.nr_confirmed);
}

/* What another address space maps read-only is confirmed in none. */
TEST_F(fpr, readonly_in_another_address_space)
{
	struct bitmap all = bits(0, NPAGES), readonly = bits(40, 20), confirmed, want;
	uint64_t epoch;

	if (kvm_check_cap(KVM_CAP_MULTI_ADDRESS_SPACE) < 2)
		SKIP(return, "KVM has one address space only");

	set_slot(self, AS1 | SLOT, LOG | KVM_MEM_READONLY, 40, 20);
	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	confirmed = set(self, epoch, &all, NULL);
	want = and_not(all, &readonly);
	assert_same(&confirmed, &want, "confirmed");
	assert_log(self, SLOT, &readonly);
}

/*
 * A report speaks of what address space 0 maps: another one may have other memory
 * at the same gfn, or memory where that has none, as SMM does.
 */
TEST_F(fpr, memory_of_another_address_space)
{
	struct bitmap report = bits(0, MAX_PAGES), other = bits(40, 20), confirmed, want;
	struct bitmap hidden = variant->manual_protect & KVM_DIRTY_LOG_INITIALLY_SET ?
			       bits(0, 20) : bits(0, 0);
	uint64_t epoch;

	if (kvm_check_cap(KVM_CAP_MULTI_ADDRESS_SPACE) < 2)
		SKIP(return, "KVM has one address space only");

	vm_set_user_memory_region(self->vm, AS1 | SLOT, LOG, GPA + 40 * PAGE, 20 * PAGE,
				  self->mem + 500 * PAGE);
	set_slot(self, AS1 | SLOT2, LOG, 600, 20);
	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	confirmed = set_n(self, epoch, &report, MAX_PAGES, NULL);

	report = bits(0, NPAGES);
	want = and_not(report, &other);
	assert_same(&confirmed, &want, "confirmed");
	assert_log(self, SLOT, &other);
	assert_log(self, AS1 | SLOT, &hidden);
	assert_log(self, AS1 | SLOT2, &hidden);
}

/* Nothing is confirmed there, and that is no error unless the epoch is wrong. */
TEST_F(fpr, range_without_slots)
{
	struct bitmap all = bits(0, NPAGES), confirmed = all, none = {};
	struct kvm_fpr_bitmap args = set_args(arm(self), &all, &confirmed, NPAGES);

	args.gpa = GPA + MAX_PAGES * PAGE;
	ASSERT_EQ(0, try_set(self, &args));
	assert_same(&confirmed, &none, "confirmed");

	args = set_args(args.epoch + 1, &all, &confirmed, NPAGES);
	args.gpa = GPA + MAX_PAGES * PAGE;
	ASSERT_EQ(ESTALE, try_set(self, &args));
}

/* Logging off and on again: a fresh T over pages that were not protected. */
TEST_F(fpr, logging_switched_off_and_on)
{
	struct bitmap all = bits(0, NPAGES), confirmed;
	struct kvm_fpr_bitmap args;

	args = set_args(arm(self), &all, &confirmed, NPAGES);
	set_slot(self, SLOT, 0, 0, NPAGES);
	guest_write(self, 0, NPAGES);
	ASSERT_EQ(ESTALE, try_set(self, &args));
	set_slot(self, SLOT, LOG, 0, NPAGES);
	guest_write(self, 0, NPAGES);
	assert_refused(self, ESTALE, &args);
}

TEST_F(fpr, slot_deleted_and_created)
{
	struct bitmap all = bits(0, NPAGES), confirmed;
	struct kvm_fpr_bitmap args;

	args = set_args(arm(self), &all, &confirmed, NPAGES);
	set_slot(self, SLOT, 0, 0, 0);
	ASSERT_EQ(ESTALE, try_set(self, &args));
	set_slot(self, SLOT, LOG, 0, NPAGES);
	guest_write(self, 0, NPAGES);
	assert_refused(self, ESTALE, &args);
}

/* A slot that came after ARM does not take part; the one beside it does. */
TEST_F(fpr, slot_created_beside)
{
	struct bitmap report = bits(0, MAX_PAGES), want, log, confirmed;
	uint64_t epoch;

	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	set_slot(self, SLOT2, LOG, 400, 64);
	guest_write(self, 400, 64);
	confirmed = set_n(self, epoch, &report, MAX_PAGES, NULL);

	want = bits(0, NPAGES);
	assert_same(&confirmed, &want, "confirmed");
	log = get_log(self, SLOT2);
	ASSERT_EQ(64, count_bits(&log));
}

TEST_F(fpr, slot_moved)
{
	struct bitmap report = bits(0, MAX_PAGES), confirmed = {}, log;
	struct kvm_fpr_bitmap args;

	guest_write(self, 0, NPAGES);
	args = set_args(arm(self), &report, &confirmed, MAX_PAGES);
	vm_set_user_memory_region(self->vm, SLOT, LOG, GPA + 400 * PAGE,
				  NPAGES * PAGE, self->mem);
	ASSERT_EQ(ESTALE, try_set(self, &args));
	log = get_log(self, SLOT);
	ASSERT_EQ(NPAGES, count_bits(&log));
}

/* What is written while the slot is elsewhere is touched all the same. */
TEST_F(fpr, slot_moved_and_back)
{
	struct bitmap all = bits(0, NPAGES), written = bits(20, 30), want, confirmed;
	uint64_t epoch;

	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	vm_set_user_memory_region(self->vm, SLOT, LOG, GPA + 400 * PAGE,
				  NPAGES * PAGE, self->mem);
	guest_write(self, 420, 30);
	set_slot(self, SLOT, LOG, 0, NPAGES);
	confirmed = set(self, epoch, &all, NULL);

	want = and_not(all, &written);
	assert_same(&confirmed, &want, "confirmed");
	assert_log(self, SLOT, &written);
}

/* What two address spaces map is confirmed and filtered only if both agree. */
TEST_F(fpr, address_spaces_agree)
{
	struct bitmap all = bits(0, NPAGES), refused, want, confirmed;
	/* The slot logs from when all its pages are clean, or all dirty. */
	uint64_t dirty_in_as1 = variant->manual_protect &
				KVM_DIRTY_LOG_INITIALLY_SET ? 100 - 3 : 0;
	uint64_t epoch, nr_filtered;

	if (kvm_check_cap(KVM_CAP_MULTI_ADDRESS_SPACE) < 2)
		SKIP(return, "KVM has one address space only");

	set_slot(self, AS1 | SLOT, LOG, 0, 100);
	set_slot(self, AS1 | SLOT2, 0, 200, 10);
	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	guest_write(self, 50, 3);
	confirmed = set(self, epoch, &all, &nr_filtered);

	refused = bits(200, 10);
	set_bits(&refused, 50, 3);
	want = and_not(all, &refused);
	assert_same(&confirmed, &want, "confirmed");
	assert_log(self, SLOT, &refused);
	ASSERT_EQ(NPAGES - 13, nr_filtered - dirty_in_as1);
}

/*
 * Memory that is mapped by huge pages when logging is switched on, and then
 * stays writable with KVM_DIRTY_LOG_INITIALLY_SET: ARM must protect it.
 */
TEST_F(fpr, huge_pages)
{
	const unsigned int n = MAX_PAGES;
	struct bitmap report = bits(0, n), confirmed, want;
	size_t huge = 2ul << 20;
	uint64_t epoch;
	char *area, *mem;

	area = mmap(NULL, 3 * huge, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	mem = (char *)(((uintptr_t)area + huge - 1) & ~(huge - 1));
	ASSERT_EQ(0, madvise(mem, 2 * huge, MADV_HUGEPAGE));
	memset(mem, 1, 2 * huge);

	set_slot(self, SLOT, 0, 0, 0);
	vm_set_user_memory_region(self->vm, SLOT, 0, GPA, n * PAGE, mem);
	guest_write(self, 0, n);
	vm_set_user_memory_region(self->vm, SLOT, LOG, GPA, n * PAGE, mem);
	guest_write(self, 0, n);

	epoch = arm(self);
	guest_write(self, 7, 1);
	guest_write(self, 700, 3);
	confirmed = set_n(self, epoch, &report, n, NULL);

	want = bits(7, 1);
	set_bits(&want, 700, 3);
	assert_log(self, SLOT, &want);
	want = and_not(report, &want);
	assert_same(&confirmed, &want, "confirmed");
	munmap(area, 3 * huge);
}

/*
 * Few dirty pages in a large slot: ARM looks them up instead of walking over
 * everything, and pages that GET or CLEAR protected must stay so.
 */
TEST_F(fpr, few_dirty_pages)
{
	struct bitmap all = bits(0, NPAGES), want = bits(3, 1), confirmed, log;
	uint64_t epoch;

	guest_write(self, 0, NPAGES);
	log = get_log(self, SLOT);
	if (variant->manual_protect)
		kvm_vm_clear_dirty_log(self->vm, SLOT, &log, 0, NPAGES);
	guest_write(self, 3, 2);

	epoch = arm(self);
	guest_write(self, 3, 1);
	guest_write(self, 200, 1);
	confirmed = set(self, epoch, &all, NULL);

	set_bits(&want, 200, 1);
	assert_log(self, SLOT, &want);
	want = and_not(all, &want);
	assert_same(&confirmed, &want, "confirmed");
}

TEST_F(fpr, candidates)
{
	struct bitmap report = bits(0, MAX_PAGES), candidates = bits(70, 140);
	struct bitmap all = bits(0, NPAGES), touched = bits(100, 3), want, confirmed;
	uint64_t epoch;

	/* Pages outside of memslots and behind the slot are of no consequence. */
	set_bits(&candidates, NPAGES - 5, 64);
	guest_write(self, 0, NPAGES);
	epoch = arm_candidates(self, &candidates);
	guest_write(self, 100, 3);
	guest_write(self, 300, 3);
	confirmed = set_n(self, epoch, &report, MAX_PAGES, NULL);

	want = bits(70, 140);
	set_bits(&want, NPAGES - 5, 5);
	want = and_not(want, &touched);
	assert_same(&confirmed, &want, "confirmed");
	want = and_not(all, &want);
	assert_log(self, SLOT, &want);
}

/* Reads one of a vCPU's binary stats. */
static uint64_t vcpu_stat(struct kvm_vcpu *vcpu, const char *name)
{
	int i, fd = vcpu_get_stats_fd(vcpu);
	struct kvm_stats_header header;
	struct kvm_stats_desc *all, *desc;
	uint64_t value = 0;
	bool found = false;

	read_stats_header(fd, &header);
	all = read_stats_descriptors(fd, &header);
	for (i = 0; i < header.num_desc && !found; i++) {
		desc = get_stats_descriptor(all, i, &header);
		found = !strcmp(desc->name, name);
		if (found)
			read_stat_data(fd, &header, desc, &value, 1);
	}
	free(all);
	close(fd);
	TEST_ASSERT(found, "KVM has no vCPU stat %s", name);
	return value;
}

/*
 * Intel's page modification logging: a write takes no fault, and is marked when the vCPU
 * leaves the guest.
 */
static bool cpu_logs_writes(void)
{
#ifdef __x86_64__
	return host_cpu_is_intel && get_kvm_intel_param_bool("pml");
#else
	return false;
#endif
}

/* Page faults that the guest takes for writing to @count pages. */
static uint64_t faults_of_write(FIXTURE_DATA(fpr) *self, unsigned int first,
				unsigned int count)
{
	uint64_t faults, before = vcpu_stat(self->vcpu, FPR_STAT_FAULTS);

	guest_write(self, first, count);
	faults = vcpu_stat(self->vcpu, FPR_STAT_FAULTS) - before;
	return faults > fpr_stat_others(count) ? faults : 0;
}

TEST_F(fpr, only_candidates_are_protected)
{
	struct bitmap candidates = bits(0, 100), all = bits(0, NPAGES), none = {};
	struct bitmap confirmed;
	uint64_t epoch, faults;

	guest_write(self, 0, NPAGES);
	if (faults_of_write(self, 0, NPAGES))
		SKIP(return, "this MMU takes faults for writable pages, too");

	/* To see that what follows can fail.  A CPU that logs writes takes no faults. */
	arm(self);
	faults = faults_of_write(self, 0, NPAGES);
	ASSERT_EQ(cpu_logs_writes(), !faults);
	ASSERT_TRUE(!faults || faults >= NPAGES);

	epoch = arm_candidates(self, &candidates);
	ASSERT_EQ(0, faults_of_write(self, 100, NPAGES - 100));
	confirmed = set(self, epoch, &all, NULL);
	assert_same(&confirmed, &candidates, "confirmed");

	ASSERT_LE(faults ? 100 : 0, faults_of_write(self, 0, 100));
	confirmed = set(self, epoch, &all, NULL);
	assert_same(&confirmed, &none, "confirmed");
	assert_log(self, SLOT, &all);
}

/* Pages whose bitmap has the size of a page: KVM's chunk. */
#define CHUNK		(8 * PAGE * PAGE)

/* A range of two chunks around the slot of which the second cannot be read. */
struct two_chunks {
	struct kvm_fpr_arm args;
	char *bitmap;
};

static struct two_chunks two_chunks(void)
{
	struct two_chunks two;

	two.bitmap = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(two.bitmap != MAP_FAILED, "mmap of two pages");
	memset(two.bitmap, 0xff, 2 * PAGE);
	TEST_ASSERT(!mprotect(two.bitmap + PAGE, PAGE, PROT_NONE), "mprotect");
	two.args = (struct kvm_fpr_arm) {
		.flags = KVM_FPR_ARM_CANDIDATES,
		.gpa = GPA,
		.size = 2 * CHUNK,
		.candidates = (uintptr_t)two.bitmap,
	};
	return two;
}

/* Does the first chunk of @two and makes the second one readable. */
#define begin_two_chunks(self, two)					\
do {									\
	ASSERT_EQ(EFAULT, try_arm(self, &(two)->args));			\
	ASSERT_EQ(GPA + CHUNK, (two)->args.gpa);			\
	ASSERT_EQ(CHUNK, (two)->args.size);				\
	ASSERT_EQ((uintptr_t)(two)->bitmap + PAGE, (two)->args.candidates); \
	ASSERT_NE(0, (two)->args.epoch);				\
	ASSERT_EQ(0, mprotect((two)->bitmap, 2 * PAGE, PROT_READ));	\
} while (0)

TEST_F(fpr, candidates_in_two_calls)
{
	struct bitmap all = bits(0, NPAGES), want = bits(9, 1), confirmed;
	struct two_chunks two = two_chunks();
	struct kvm_fpr_bitmap args;
	uint64_t before;

	guest_write(self, 0, NPAGES);
	before = arm(self);
	begin_two_chunks(self, &two);

	/* Neither epoch is one in between. */
	args = set_args(before, &all, &confirmed, NPAGES);
	ASSERT_EQ(ESTALE, try_set(self, &args));
	args = set_args(two.args.epoch, &all, &confirmed, NPAGES);
	ASSERT_EQ(ESTALE, try_set(self, &args));

	ASSERT_EQ(0, try_arm(self, &two.args));
	ASSERT_EQ(0, two.args.size);
	ASSERT_EQ(0, args.nr_filtered);
	guest_write(self, 9, 1);
	confirmed = set(self, two.args.epoch, &all, NULL);
	want = and_not(all, &want);
	assert_same(&confirmed, &want, "confirmed");
}

TEST_F(fpr, candidates_overtaken)
{
	struct kvm_fpr_disarm disarm = {};
	struct two_chunks two = two_chunks();

	begin_two_chunks(self, &two);
	arm(self);
	ASSERT_EQ(ESTALE, try_arm(self, &two.args));

	two = two_chunks();
	begin_two_chunks(self, &two);
	disarm.epoch = two.args.epoch;
	ASSERT_EQ(0, __vm_ioctl(self->vm, KVM_FPR_DISARM, &disarm));
	ASSERT_EQ(ESTALE, try_arm(self, &two.args));

	/* An epoch that began is not one to go on with. */
	two = two_chunks();
	begin_two_chunks(self, &two);
	ASSERT_EQ(0, try_arm(self, &two.args));
	two.args.gpa = GPA;
	two.args.size = PAGE;
	ASSERT_EQ(ESTALE, try_arm(self, &two.args));
}

/* Slots that change between the calls do not take part. */
TEST_F(fpr, slots_change_between_candidates)
{
	struct bitmap report = bits(0, MAX_PAGES), want = bits(600, 32), confirmed;
	struct two_chunks two = two_chunks();

	set_slot(self, SLOT2, LOG, 400, 64);
	set_slot(self, SLOT3, LOG, 600, 32);
	begin_two_chunks(self, &two);
	set_slot(self, SLOT, 0, 0, NPAGES);
	set_slot(self, SLOT, LOG, 0, NPAGES);
	set_slot(self, SLOT2, LOG, 500, 0);
	vm_set_user_memory_region(self->vm, SLOT2, LOG, GPA + 500 * PAGE,
				  64 * PAGE, self->mem + 500 * PAGE);
	guest_write(self, 0, NPAGES);
	ASSERT_EQ(0, try_arm(self, &two.args));

	confirmed = set_n(self, two.args.epoch, &report, MAX_PAGES, NULL);
	assert_same(&confirmed, &want, "confirmed");
}

/*
 * A timer's signal is for the thread that calls the filter.  While that is still in the
 * handler of the one before, another thread gets it, and it would end a vCPU's wait.
 */
static void *run_vcpu(void *vcpu)
{
	sigset_t timer;

	sigemptyset(&timer);
	sigaddset(&timer, SIGALRM);
	TEST_ASSERT(!pthread_sigmask(SIG_BLOCK, &timer, NULL), "pthread_sigmask");
	vcpu_run(vcpu);
	return NULL;
}

/* Waits until the guest has written to the page with @version. */
static void wait_for_write(uint64_t *version)
{
	uint64_t before = READ_ONCE(*version);

	while (READ_ONCE(*version) == before)
		;
}

/* If CPUs have logs of their own, GETs until @page is there; a number ends what is lost. */
static bool comes_back(FIXTURE_DATA(fpr) *self, unsigned int page)
{
	unsigned int tries = cpu_logs_writes() ? 30000 : 1;
	struct bitmap log;

	do {
		log = get_log(self, SLOT);
		if (get_bit(&log, page))
			return true;
		usleep(1000);
	} while (--tries);
	return false;
}

/*
 * A vCPU that does not leave the guest while ARM runs, with a writable
 * translation in its TLB: after ARM its writes must be seen.  In a CPU's own log
 * they may still be on their way to T when SET comes, but then the page, whose
 * bit SET took out of D, comes back.
 */
TEST_F(fpr, vcpu_runs_through_arm)
{
	struct bitmap all = bits(0, NPAGES), confirmed, log;
	uint64_t *version = (void *)(self->mem + 7 * PAGE);
	uint64_t epoch, *count;
	unsigned int round;
	pthread_t thread;

	todo.first = 7;
	todo.count = 1;
	todo.value = 0;
	sync_global_to_guest(self->vm, todo);
	count = addr_gva2hva(self->vm, (uintptr_t)&todo.count);
	vcpu_arch_set_entry_point(self->vcpu, guest_spin);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_vcpu, self->vcpu));

	for (round = 0; round < 50; round++) {
		epoch = arm(self);
		wait_for_write(version);
		confirmed = set(self, epoch, &all, NULL);
		if (get_bit(&confirmed, 7)) {
			ASSERT_TRUE(cpu_logs_writes() && comes_back(self, 7)) {
				TH_LOG("round %u", round);
			}
		}
		set_bits(&confirmed, 7, 1);
		assert_same(&confirmed, &all, "confirmed");
	}
	wait_for_write(version);
	WRITE_ONCE(*count, 0);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	log = get_log(self, SLOT);
	ASSERT_EQ(1, get_bit(&log, 7));
}

/* Whether what the guest wrote to page 7 last, before it is stopped here, is lost. */
static bool loses_write(FIXTURE_DATA(fpr) *self, uint64_t *order, uint64_t epoch)
{
	struct bitmap all = bits(0, NPAGES), confirmed;

	wait_for_write((void *)(self->mem + 7 * PAGE));
	WRITE_ONCE(*order, ORDER_STOP);
	while (READ_ONCE(*order) != HAS_STOPPED)
		;
	confirmed = set(self, epoch, &all, NULL);
	return get_bit(&confirmed, 7) && !comes_back(self, 7);
}

/*
 * The same, of a vCPU that does not write the page again: what it wrote after ARM
 * is either known to SET, or in the CPU's own log, from where it comes back.
 */
TEST_F(fpr, vcpu_writes_after_arm_and_stops)
{
	uint64_t *version = (void *)(self->mem + 7 * PAGE);
	uint64_t epoch, *order;
	unsigned int round;
	bool lost = false;
	pthread_t thread;

	todo.first = 7;
	todo.count = ORDER_WRITE;
	todo.value = 0;
	sync_global_to_guest(self->vm, todo);
	order = addr_gva2hva(self->vm, (uintptr_t)&todo.count);
	vcpu_arch_set_entry_point(self->vcpu, guest_write_on_order);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_vcpu, self->vcpu));

	for (round = 0; round < 20 && !lost; round++) {
		WRITE_ONCE(*order, ORDER_WRITE);
		wait_for_write(version);
		epoch = arm(self);
		lost = loses_write(self, order, epoch);
	}
	WRITE_ONCE(*order, ORDER_LEAVE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_FALSE(lost);
}

/* TLBs are flushed where there is something to protect, and only there. */
TEST_F(fpr, tlbs_are_flushed_if_need_be)
{
	struct bitmap log;
	uint64_t flushes;

	guest_write(self, 0, NPAGES);
	log = get_log(self, SLOT);
	if (variant->manual_protect)
		kvm_vm_clear_dirty_log(self->vm, SLOT, &log, 0, NPAGES);
	flushes = fpr_vm_stat(self->vm, "remote_tlb_flush_requests");
	arm(self);
	ASSERT_EQ(flushes, fpr_vm_stat(self->vm, "remote_tlb_flush_requests"));

	guest_write(self, 3, 1);
	flushes = fpr_vm_stat(self->vm, "remote_tlb_flush_requests");
	arm(self);
	ASSERT_LT(flushes, fpr_vm_stat(self->vm, "remote_tlb_flush_requests"));
}

#define assert_stats(self, armed, reported, touched, filtered, confirmed) \
do {									\
	ASSERT_EQ(armed, fpr_vm_stat((self)->vm, "fpr_epochs_armed"));	\
	ASSERT_EQ(reported, fpr_vm_stat((self)->vm, "fpr_pages_reported")); \
	ASSERT_EQ(touched, fpr_vm_stat((self)->vm, "fpr_pages_touched")); \
	ASSERT_EQ(filtered, fpr_vm_stat((self)->vm, "fpr_pages_filtered")); \
	ASSERT_EQ(confirmed, fpr_vm_stat((self)->vm, "fpr_pages_confirmed")); \
} while (0)

TEST_F(fpr, binary_stats)
{
	struct bitmap report = bits(10, 150), confirmed;
	struct kvm_fpr_bitmap args;
	struct bitmap log;
	uint64_t epoch;

	assert_stats(self, 0, 0, 0, 0, 0);
	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	guest_write(self, 60, 9);
	set(self, epoch, &report, NULL);
	assert_stats(self, 1, 150, 9, 141, 141);

	/* Nothing is left to filter. */
	set(self, epoch, &report, NULL);
	assert_stats(self, 1, 300, 18, 141, 282);

	/* What is refused is not counted. */
	args = set_args(epoch + 1, &report, &confirmed, NPAGES);
	ASSERT_EQ(ESTALE, try_set(self, &args));
	assert_stats(self, 1, 300, 18, 141, 282);
	log = get_log(self, SLOT);
	ASSERT_EQ(NPAGES - 141, count_bits(&log));
}

#define assert_stats_of_now(self, armed, logging)			\
do {									\
	ASSERT_EQ(armed, fpr_vm_stat((self)->vm, "fpr_armed"));	\
	ASSERT_EQ(logging, fpr_vm_stat((self)->vm, "fpr_memslots_logging")); \
} while (0)

TEST_F(fpr, stats_of_the_epoch)
{
	struct kvm_fpr_disarm disarm = {};
	struct two_chunks two = two_chunks();

	assert_stats_of_now(self, 0, 1);
	arm(self);
	assert_stats_of_now(self, 1, 1);

	/* There is none while candidates are still being read. */
	begin_two_chunks(self, &two);
	assert_stats_of_now(self, 0, 1);
	ASSERT_EQ(0, try_arm(self, &two.args));
	assert_stats_of_now(self, 1, 1);

	ASSERT_EQ(0, __vm_ioctl(self->vm, KVM_FPR_DISARM, &disarm));
	assert_stats_of_now(self, 0, 1);
}

TEST_F(fpr, stats_of_logging)
{
	assert_stats_of_now(self, 0, 1);
	set_slot(self, SLOT2, LOG, 400, 64);
	assert_stats_of_now(self, 0, 2);
	set_slot(self, SLOT3, 0, 500, 64);
	assert_stats_of_now(self, 0, 2);
	set_slot(self, SLOT3, LOG, 500, 64);
	assert_stats_of_now(self, 0, 3);

	set_slot(self, SLOT, 0, 0, NPAGES);
	assert_stats_of_now(self, 0, 2);
	set_slot(self, SLOT2, 0, 0, 0);
	assert_stats_of_now(self, 0, 1);
	if (kvm_check_cap(KVM_CAP_MULTI_ADDRESS_SPACE) < 2)
		SKIP(return, "KVM has one address space only");
	set_slot(self, AS1 | SLOT, LOG, 0, NPAGES);
	assert_stats_of_now(self, 0, 2);
}

#define assert_set_errno(self, good, field, value, err)			\
do {									\
	struct kvm_fpr_bitmap __args = (good);				\
									\
	__args.field = (value);						\
	assert_refused(self, err, &__args);				\
} while (0)

TEST_F(fpr, set_bitmap_errors)
{
	struct bitmap all = bits(0, NPAGES), confirmed;
	struct kvm_fpr_bitmap good;
	unsigned int i;
	char *readonly, *hole;

	guest_write(self, 0, NPAGES);
	good = set_args(arm(self), &all, &confirmed, NPAGES);
	hole = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	readonly = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (i = 0; i < 32; i++) {
		if (1u << i != KVM_FPR_SET_CONFIRM)
			assert_set_errno(self, good, flags,
					 good.flags | 1u << i, EINVAL);
	}
	assert_set_errno(self, good, pad, 1, EINVAL);
	for (i = 0; i < ARRAY_SIZE(good.reserved); i++)
		assert_set_errno(self, good, reserved[i], 1ull << 63, EINVAL);
	assert_set_errno(self, good, epoch, 0, EINVAL);
	assert_set_errno(self, good, gpa, GPA + 1, EINVAL);
	assert_set_errno(self, good, gpa, GPA + PAGE / 2, EINVAL);
	assert_set_errno(self, good, gpa, -PAGE, EINVAL);
	assert_set_errno(self, good, size, 0, EINVAL);
	assert_set_errno(self, good, size, PAGE + 8, EINVAL);
	assert_set_errno(self, good, size, -PAGE, EINVAL);
	assert_set_errno(self, good, flags, 0, EINVAL);
	assert_set_errno(self, good, confirmed, 0, EINVAL);

	assert_set_errno(self, good, bitmap, 0, EFAULT);
	assert_set_errno(self, good, bitmap, (uintptr_t)hole, EFAULT);
	assert_set_errno(self, good, bitmap, -PAGE, EFAULT);
	assert_set_errno(self, good, confirmed, (uintptr_t)hole, EFAULT);
	assert_set_errno(self, good, confirmed, (uintptr_t)readonly, EFAULT);
	assert_set_errno(self, good, confirmed, -PAGE, EFAULT);

	assert_refused(self, EFAULT, (struct kvm_fpr_bitmap *)NULL);
	assert_refused(self, EFAULT, (struct kvm_fpr_bitmap *)hole);

	/* A structure that cannot be written back. */
	ASSERT_EQ(0, mprotect(readonly, PAGE, PROT_READ | PROT_WRITE));
	memcpy(readonly, &good, sizeof(good));
	ASSERT_EQ(0, mprotect(readonly, PAGE, PROT_READ));
	assert_refused(self, EFAULT, (struct kvm_fpr_bitmap *)readonly);

	/* All of these changed nothing: the epoch still stands. */
	good = set_args(arm(self), &all, &confirmed, NPAGES);
	ASSERT_EQ(0, try_set(self, &good));
	ASSERT_EQ(NPAGES, good.nr_confirmed);
}

TEST_F(fpr, arm_and_disarm_errors)
{
	struct bitmap all = bits(0, NPAGES), confirmed;
	struct kvm_fpr_arm arm_args = {};
	struct kvm_fpr_disarm disarm = {};
	struct kvm_fpr_bitmap args;
	uint64_t epoch = arm(self);
	unsigned int i;
	char *readonly;

#define assert_errno(ioctl, args, err)					\
	ASSERT_EQ(err, __vm_ioctl(self->vm, ioctl, args) ? errno : 0)

	/* KVM_FPR_ARM_CANDIDATES is a flag, but wants candidates. */
	for (i = 0; i < 32; i++) {
		arm_args.flags = 1u << i;
		disarm.flags = 1u << i;
		assert_errno(KVM_FPR_ARM, &arm_args, EINVAL);
		assert_errno(KVM_FPR_DISARM, &disarm, EINVAL);
	}
	arm_args.flags = 0;
	disarm.flags = 0;
	arm_args.pad = 1;
	disarm.pad = 1;
	assert_errno(KVM_FPR_ARM, &arm_args, EINVAL);
	assert_errno(KVM_FPR_DISARM, &disarm, EINVAL);
	arm_args.pad = 0;
	disarm.pad = 0;
	for (i = 0; i < ARRAY_SIZE(arm_args.reserved); i++) {
		arm_args.reserved[i] = 1;
		assert_errno(KVM_FPR_ARM, &arm_args, EINVAL);
		arm_args.reserved[i] = 0;
	}
	for (i = 0; i < ARRAY_SIZE(disarm.reserved); i++) {
		disarm.reserved[i] = 1;
		assert_errno(KVM_FPR_DISARM, &disarm, EINVAL);
		disarm.reserved[i] = 0;
	}
	assert_errno(KVM_FPR_ARM, (struct kvm_fpr_arm *)NULL, EFAULT);
	assert_errno(KVM_FPR_DISARM, (struct kvm_fpr_disarm *)NULL, EFAULT);
	readonly = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_errno(KVM_FPR_ARM, (struct kvm_fpr_arm *)readonly, EFAULT);

	/* None of them ended the epoch. */
	args = set_args(epoch, &all, &confirmed, NPAGES);
	ASSERT_EQ(0, try_set(self, &args));
}

#define assert_arm_errno(self, good, field, value, err)			\
do {									\
	struct kvm_fpr_arm __args = (good);				\
									\
	__args.field = (value);						\
	ASSERT_EQ(err, try_arm(self, &__args));				\
} while (0)

TEST_F(fpr, candidates_errors)
{
	struct bitmap all = bits(0, NPAGES), confirmed;
	struct kvm_fpr_arm good = candidates_args(&all), plain = {};
	struct kvm_fpr_bitmap args;
	uint64_t epoch;
	unsigned int i;
	char *hole, *readonly;

	guest_write(self, 0, NPAGES);
	epoch = arm(self);
	hole = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	readonly = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* Without the flag there is nothing to say of candidates. */
	assert_arm_errno(self, plain, epoch, 1, EINVAL);
	assert_arm_errno(self, plain, gpa, GPA, EINVAL);
	assert_arm_errno(self, plain, size, PAGE, EINVAL);
	assert_arm_errno(self, plain, candidates, (uintptr_t)&all, EINVAL);

	for (i = 0; i < 32; i++) {
		if (1u << i != KVM_FPR_ARM_CANDIDATES)
			assert_arm_errno(self, good, flags,
					 good.flags | 1u << i, EINVAL);
	}
	assert_arm_errno(self, good, pad, 1, EINVAL);
	for (i = 0; i < ARRAY_SIZE(good.reserved); i++)
		assert_arm_errno(self, good, reserved[i], 1, EINVAL);
	assert_arm_errno(self, good, gpa, GPA + 1, EINVAL);
	assert_arm_errno(self, good, gpa, -PAGE, EINVAL);
	assert_arm_errno(self, good, size, 0, EINVAL);
	assert_arm_errno(self, good, size, PAGE / 2, EINVAL);
	assert_arm_errno(self, good, size, -PAGE, EINVAL);

	assert_arm_errno(self, good, candidates, 0, EFAULT);
	assert_arm_errno(self, good, candidates, (uintptr_t)hole, EFAULT);
	assert_arm_errno(self, good, candidates, -PAGE, EFAULT);
	memcpy(readonly, &good, sizeof(good));
	ASSERT_EQ(0, mprotect(readonly, PAGE, PROT_READ));
	ASSERT_EQ(EFAULT, try_arm(self, (struct kvm_fpr_arm *)readonly));

	/* An epoch that never was, and one that has begun. */
	assert_arm_errno(self, good, epoch, epoch + 1, ESTALE);
	assert_arm_errno(self, good, epoch, epoch, ESTALE);

	/* None of them ended the epoch. */
	args = set_args(epoch, &all, &confirmed, NPAGES);
	ASSERT_EQ(0, try_set(self, &args));
	ASSERT_EQ(NPAGES, args.nr_confirmed);
}

/* Of several things that are wrong, the first in the document's order is told. */
TEST_F(fpr, order_of_checks)
{
	struct bitmap all = bits(0, NPAGES), confirmed;
	struct kvm_fpr_bitmap args;
	char *hole, *readonly;

	hole = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	readonly = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	args = set_args(arm(self) + 1, &all, &confirmed, NPAGES);

	/* EINVAL before the bitmaps' EFAULT, that before ESTALE. */
	args.bitmap = (uintptr_t)hole;
	args.pad = 1;
	ASSERT_EQ(EINVAL, try_set(self, &args));
	args.pad = 0;
	ASSERT_EQ(EFAULT, try_set(self, &args));
	args.bitmap = (uintptr_t)&all;
	args.confirmed = (uintptr_t)hole;
	ASSERT_EQ(EFAULT, try_set(self, &args));
	args.confirmed = (uintptr_t)&confirmed;
	ASSERT_EQ(ESTALE, try_set(self, &args));

	/* EINVAL before the EFAULT of writing back, that before ESTALE. */
	args.pad = 1;
	memcpy(readonly, &args, sizeof(args));
	ASSERT_EQ(0, mprotect(readonly, PAGE, PROT_READ));
	ASSERT_EQ(EINVAL, try_set(self, (struct kvm_fpr_bitmap *)readonly));
	ASSERT_EQ(0, mprotect(readonly, PAGE, PROT_READ | PROT_WRITE));
	args.pad = 0;
	memcpy(readonly, &args, sizeof(args));
	ASSERT_EQ(0, mprotect(readonly, PAGE, PROT_READ));
	ASSERT_EQ(EFAULT, try_set(self, (struct kvm_fpr_bitmap *)readonly));
}

/* Earlier chunks are done and said to be, where a later one cannot be read. */
TEST_F(fpr, error_in_a_later_chunk)
{
	struct kvm_fpr_bitmap args = {
		.epoch = arm(self),
		.gpa = GPA & ~(CHUNK - 1),
		.size = 2 * CHUNK,
	};
	char *report;

	report = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, report);
	ASSERT_EQ(0, munmap(report + PAGE, PAGE));
	args.bitmap = (uintptr_t)report;

	ASSERT_EQ(EFAULT, try_set(self, &args));
	ASSERT_EQ(CHUNK, args.size);
	ASSERT_EQ((uintptr_t)report + PAGE, args.bitmap);
}

static void set_timer(unsigned int us, unsigned int interval_us)
{
	struct itimerval timer = {
		.it_value = { us / 1000000, us % 1000000 },
		.it_interval = { 0, interval_us },
	};

	TEST_ASSERT(!setitimer(ITIMER_REAL, &timer, NULL), "setitimer");
}

static void take_signals(void (*handler)(int sig))
{
	struct sigaction action = { .sa_handler = handler };

	TEST_ASSERT(!sigaction(SIGALRM, &action, NULL), "sigaction");
}

static void nothing(int sig)
{
}

/* A signal soon, and then one every so many microseconds; 0 for none any more. */
static void send_signals(unsigned int interval_us)
{
	take_signals(nothing);
	set_timer(min(interval_us, 1000u), interval_us);
}

static unsigned int next_signal_us;

static void send_next_signal(int sig)
{
	next_signal_us *= 2;
	set_timer(next_signal_us, 0);
}

/* A signal soon, and each next one after twice the time: they leave any machine time. */
static void send_rarer_signals(void)
{
	take_signals(send_next_signal);
	next_signal_us = 1000;
	set_timer(next_signal_us, 0);
}

/*
 * Signals that come faster than vCPUs can be waited for do not keep ARM from it.
 * A machine that is busy may need more than the second that signals leave ARM.
 */
TEST_F(fpr, signals_faster_than_drains)
{
	unsigned int tries = 0;
	uint64_t epoch;
	int err;

	send_signals(50);
	do {
		err = arm_fd(self->vm->fd, &epoch);
	} while (err == EINTR && ++tries < 3);
	send_signals(0);
	ASSERT_EQ(0, err);
}

/*
 * Signals interrupt ranges of half a TiB; they end all the same, by calling
 * again with the structure as it came back.
 */
TEST_F(fpr, interrupted_by_signals)
{
	const uint64_t size = 1ull << 39;
	const size_t bytes = size / PAGE / 8;
	struct kvm_fpr_bitmap args = { .size = size };
	unsigned int arm_calls = 0, set_calls = 0;
	struct kvm_fpr_arm arm_args = {
		.flags = KVM_FPR_ARM_CANDIDATES,
		.size = size,
	};
	struct bitmap none = {};
	char *report;
	int err;

	report = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, report);
	memset(report + GPA / PAGE / 8, 0xff, MAX_PAGES / 8);
	guest_write(self, 0, NPAGES);

	send_rarer_signals();
	arm_args.candidates = (uintptr_t)report;
	while (arm_args.size) {
		err = try_arm(self, &arm_args);
		ASSERT_TRUE(!err || err == EINTR);
		arm_calls++;
	}
	args.epoch = arm_args.epoch;
	args.bitmap = (uintptr_t)report;
	send_rarer_signals();
	while (args.size) {
		err = try_set(self, &args);
		ASSERT_TRUE(!err || err == EINTR);
		set_calls++;
	}
	send_signals(0);
	munmap(report, bytes);

	ASSERT_LT(1, arm_calls);
	ASSERT_LT(1, set_calls);
	ASSERT_EQ(NPAGES, args.nr_filtered);
	assert_log(self, SLOT, &none);
}

/* A page for a memslot that userfaultfd gives when it is told to; -1 if it cannot. */
static int late_page(char **page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register late = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int uffd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0)
		return -1;
	*page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(*page != MAP_FAILED, "mmap of a page");
	late.range.start = (uintptr_t)*page;
	late.range.len = PAGE;
	TEST_ASSERT(!ioctl(uffd, UFFDIO_API, &api) &&
		    !ioctl(uffd, UFFDIO_REGISTER, &late), "userfaultfd");
	return uffd;
}

/* A vCPU that waits for its memory. */
struct waiting_vcpu {
	pthread_t thread;
	char *page;
	int uffd;
};

/* False if it cannot be made to.  Its page is in no log: for that ARM takes mmu_lock. */
static bool let_vcpu_wait(FIXTURE_DATA(fpr) *self, struct waiting_vcpu *w)
{
	struct pollfd fault = { .events = POLLIN };

	w->uffd = late_page(&w->page);
	if (w->uffd < 0)
		return false;

	vm_set_user_memory_region(self->vm, SLOT2, 0, GPA + 500 * PAGE, PAGE, w->page);
	todo.first = 500;
	todo.count = 1;
	sync_global_to_guest(self->vm, todo);
	TEST_ASSERT(!pthread_create(&w->thread, NULL, run_vcpu, self->vcpu),
		    "pthread_create");
	fault.fd = w->uffd;
	TEST_ASSERT(poll(&fault, 1, -1) == 1 && fault.revents == POLLIN, "poll");
	return true;
}

/* A page of its own, not the zero page: to replace that KVM takes mmu_lock. */
static void end_vcpus_wait(struct waiting_vcpu *w)
{
	static const char zeros[PAGE];
	struct uffdio_copy copy = {
		.dst = (uintptr_t)w->page, .src = (uintptr_t)zeros, .len = PAGE,
	};

	TEST_ASSERT(!ioctl(w->uffd, UFFDIO_COPY, &copy), "UFFDIO_COPY");
	TEST_ASSERT(!pthread_join(w->thread, NULL), "pthread_join");
	close(w->uffd);
}

/*
 * A vCPU that waits for its memory, and nobody else who could bring it: ARM waits for
 * that vCPU, but holds no lock meanwhile, and a signal ends it.
 */
TEST_F(fpr, vcpu_waits_for_its_memory)
{
	struct bitmap all = bits(0, NPAGES), report = bits(0, MAX_PAGES), confirmed;
	struct kvm_fpr_arm args = candidates_args(&report);
	struct waiting_vcpu waiting;
	uint64_t epoch;

	guest_write(self, 0, NPAGES);
	if (!let_vcpu_wait(self, &waiting))
		SKIP(return, "no userfaultfd for faults in the kernel: %s", strerror(errno));

	send_signals(20000);
	ASSERT_EQ(EINTR, arm_fd(self->vm->fd, &epoch));
	/* EINTR where a signal came before anything was done. */
	while (try_arm(self, &args))
		ASSERT_EQ(0, args.epoch);
	send_signals(0);
	/* Signals left the last chunk undone. */
	ASSERT_NE(0, args.epoch);
	ASSERT_NE(0, args.size);
	ASSERT_EQ(0, fpr_vm_stat(self->vm, "fpr_armed"));
	assert_log(self, SLOT, &all);

	end_vcpus_wait(&waiting);
	ASSERT_EQ(0, try_arm(self, &args));
	ASSERT_EQ(0, args.size);
	confirmed = set_n(self, args.epoch, &report, NPAGES, NULL);
	assert_same(&confirmed, &all, "confirmed");
}

/* A thread that calls ARM. */
struct arming {
	struct kvm_vm *vm;
	struct kvm_fpr_arm args;
	int err;
	pid_t tid;
};

static void *run_arm(void *data)
{
	struct arming *a = data;

	WRITE_ONCE(a->tid, syscall(__NR_gettid));
	a->err = vm_errno(a->vm, KVM_FPR_ARM, &a->args);
	return NULL;
}

/* Whether a thread sleeps, as /proc has it: the state follows the name in brackets. */
static bool is_asleep(pid_t tid)
{
	char path[64], text[256] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "r");
	TEST_ASSERT(file && fgets(text, sizeof(text), file), "%s", path);
	fclose(file);
	return strstr(text, ") D ") || strstr(text, ") S ");
}

/*
 * While the last call for an epoch waits, another one goes on with the same epoch and
 * makes pages candidates that were written meanwhile: nobody has waited for those who
 * wrote them, so the epoch must not begin.
 */
TEST_F(fpr, candidates_overtaken_by_their_own)
{
	struct bitmap all = bits(0, NPAGES), confirmed;
	struct two_chunks two = two_chunks(), other = two_chunks();
	struct arming last = { .vm = self->vm };
	struct waiting_vcpu waiting;
	struct kvm_fpr_bitmap args;
	pthread_t thread;

	guest_write(self, 0, NPAGES);
	if (!let_vcpu_wait(self, &waiting))
		SKIP(return, "no userfaultfd for faults in the kernel: %s", strerror(errno));

	begin_two_chunks(self, &two);
	last.args = two.args;
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_arm, &last));
	while (!READ_ONCE(last.tid) || !is_asleep(last.tid))
		usleep(1000);

	other.args.epoch = two.args.epoch;
	begin_two_chunks(self, &other);
	ASSERT_EQ(two.args.epoch, other.args.epoch);
	end_vcpus_wait(&waiting);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(ESTALE, last.err);

	/* Nor does it begin by the other call, or by the same one again. */
	ASSERT_EQ(ESTALE, try_arm(self, &other.args));
	ASSERT_EQ(ESTALE, try_arm(self, &last.args));
	args = set_args(two.args.epoch, &all, &confirmed, NPAGES);
	ASSERT_EQ(ESTALE, try_set(self, &args));
	ASSERT_EQ(0, fpr_vm_stat(self->vm, "fpr_armed"));
}

/*
 * A memslot is armed for the first time, and gets its T, and while ARM waits for one
 * vCPU another one faults on it for the first time.  ARM does not wait for the second
 * one: if that has found no T, its page must not be writable after ARM.
 */
TEST_F(fpr, vcpu_faults_in_the_first_arm)
{
	struct waiting_vcpu waiting;
	pthread_t arms, writes;
	unsigned int round;

	for (round = 0; round < 5; round++) {
		struct kvm_vcpu *writer = vm_vcpu_add(self->vm, 1, guest_write_on_order);
		uint64_t *order = addr_gva2hva(self->vm, (uintptr_t)&todo.count);
		struct arming first = { .vm = self->vm };
		bool lost;

		/* It has no T, no page is mapped, and the log is empty: none is protected. */
		set_slot(self, SLOT, 0, 0, 0);
		set_slot(self, SLOT, LOG, 0, NPAGES);
		get_log(self, SLOT);
		if (!let_vcpu_wait(self, &waiting))
			SKIP(return, "no userfaultfd for faults in the kernel: %s",
			     strerror(errno));
		ASSERT_EQ(0, pthread_create(&arms, NULL, run_arm, &first));
		while (!READ_ONCE(first.tid) || !is_asleep(first.tid))
			usleep(1000);

		todo.first = 7;
		todo.count = ORDER_WRITE;
		sync_global_to_guest(self->vm, todo);
		ASSERT_EQ(0, pthread_create(&writes, NULL, run_vcpu, writer));
		/* It has hardly faulted later than that; if so, it finds a T. */
		usleep(50000);
		end_vcpus_wait(&waiting);
		ASSERT_EQ(0, pthread_join(arms, NULL));
		ASSERT_EQ(0, first.err);

		wait_for_write((void *)(self->mem + 7 * PAGE));
		lost = loses_write(self, order, first.args.epoch);
		WRITE_ONCE(*order, ORDER_LEAVE);
		ASSERT_EQ(0, pthread_join(writes, NULL));
		ASSERT_FALSE(lost);
		/* The first ARM of a VM, too: until then nobody may have looked for a T. */
		free_vm(self);
		create_vm(self, variant->manual_protect);
	}
}

/* In a child, which is another process to KVM: errno of ARM there. */
static int arm_in_child(int vm_fd, void (*prepare)(void))
{
	uint64_t epoch;
	int status;
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		if (prepare)
			prepare();
		_exit(arm_fd(vm_fd, &epoch));
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && WIFEXITED(status),
		    "the child died");
	return WEXITSTATUS(status);
}

#define NO_RIGHTS	65534

static void drop_rights(void)
{
	if (setgid(NO_RIGHTS) || setuid(NO_RIGHTS))
		_exit(255);
}

/* CAP_SYS_ADMIN, but over the process's own user namespace alone. */
static void enter_user_namespace(void)
{
	drop_rights();
	if (unshare(CLONE_NEWUSER))
		_exit(254);
}

TEST_F(fpr, foreign_caller)
{
	int err;

	if (geteuid())
		SKIP(return, "needs root to tell callers with and without rights apart");

	ASSERT_EQ(0, arm_in_child(self->vm->fd, NULL));
	ASSERT_EQ(EPERM, arm_in_child(self->vm->fd, drop_rights));
	err = arm_in_child(self->vm->fd, enter_user_namespace);
	if (err == 254)
		TH_LOG("no user namespaces here: that caller was not tried");
	else
		ASSERT_EQ(EPERM, err);

	vm_enable_cap(self->vm, KVM_CAP_FREE_PAGE_FILTER, KVM_FPR_CAP_FOREIGN);
	ASSERT_EQ(0, arm_in_child(self->vm->fd, drop_rights));
	vm_enable_cap(self->vm, KVM_CAP_FREE_PAGE_FILTER, 0);
	ASSERT_EQ(EPERM, arm_in_child(self->vm->fd, drop_rights));
}

/* EPERM before ENXIO, that before EFAULT. */
TEST(order_of_first_checks)
{
	struct kvm_vm *vm;
	pid_t pid;
	int status;

	if (geteuid() || (!kvm_has_cap(KVM_CAP_DIRTY_LOG_RING) &&
			  !kvm_has_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL)))
		SKIP(return, "needs root and a dirty ring");

	vm = vm_create_barebones();
	vm_enable_dirty_ring(vm, DIRTY_RING);
	ASSERT_EQ(-1, ioctl(vm->fd, KVM_FPR_ARM, NULL));
	ASSERT_EQ(ENXIO, errno);

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		drop_rights();
		_exit(ioctl(vm->fd, KVM_FPR_ARM, NULL) ? errno : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(EPERM, WEXITSTATUS(status));
	kvm_vm_free(vm);
}

/* The whole of it from outside, where the VM's owner knows nothing. */
TEST_F(fpr, foreign_caller_filters)
{
	struct bitmap all = bits(0, NPAGES), none = {};
	int status;
	pid_t pid;

	guest_write(self, 0, NPAGES);
	vm_enable_cap(self->vm, KVM_CAP_FREE_PAGE_FILTER, KVM_FPR_CAP_FOREIGN);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct kvm_fpr_bitmap args;
		struct bitmap confirmed;
		uint64_t epoch;

		drop_rights();
		if (arm_fd(self->vm->fd, &epoch))
			_exit(1);
		args = set_args(epoch, &all, &confirmed, NPAGES);
		_exit(try_set(self, &args) || args.nr_filtered != NPAGES);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	assert_log(self, SLOT, &none);
}

TEST_F(fpr, enable_cap_errors)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_FREE_PAGE_FILTER };
	unsigned int i;

	cap.flags = 1;
	assert_errno(KVM_ENABLE_CAP, &cap, EINVAL);
	cap.flags = 0;
	for (i = 0; i < 64; i++) {
		cap.args[0] = 1ull << i;
		if (cap.args[0] != KVM_FPR_CAP_FOREIGN)
			assert_errno(KVM_ENABLE_CAP, &cap, EINVAL);
	}
	for (i = 1; i < ARRAY_SIZE(cap.args); i++) {
		memset(cap.args, 0, sizeof(cap.args));
		cap.args[i] = 1;
		assert_errno(KVM_ENABLE_CAP, &cap, EINVAL);
	}
}

#ifdef __x86_64__
/* The 32-bit entry of the kernel, which any process can use. */
static int compat_ioctl(int fd, unsigned int cmd, void *arg)
{
	int r;

	asm volatile("int $0x80" : "=a" (r)
		     : "a" (54), "b" (fd), "c" (cmd), "d" ((uint32_t)(uintptr_t)arg)
		     : "memory", "r8", "r9", "r10", "r11");
	return -r;
}

TEST_F(fpr, compat_ioctl)
{
	struct {
		struct kvm_fpr_arm arm;
		struct kvm_fpr_bitmap set;
		struct bitmap report;
		struct bitmap confirmed;
	} *low;
	int err;

	low = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, low);
	low->report = bits(0, NPAGES);

	guest_write(self, 0, NPAGES);
	err = compat_ioctl(self->vm->fd, KVM_FPR_ARM, &low->arm);
	if (err == ENOSYS)
		SKIP(return, "this kernel has no 32-bit system calls");
	ASSERT_EQ(0, err);
	low->set = set_args(low->arm.epoch, &low->report, &low->confirmed, NPAGES);
	ASSERT_EQ(0, compat_ioctl(self->vm->fd, KVM_FPR_SET_BITMAP, &low->set));
	ASSERT_EQ(NPAGES, low->set.nr_filtered);
	assert_same(&low->confirmed, &low->report, "confirmed");
}

/* Far pages: the last ones of a slot that is so large that ARM needs a while to zero T. */
#define FAR_GPA		0x100000000ul
#define FAR_SLOT_PAGES	262144ul
#define NR_FAR		64u
#define FAR_PAGE(i)	(FAR_GPA + (FAR_SLOT_PAGES - NR_FAR + (i)) * PAGE)

/* A guest that writes far pages up to todo.first, and says how many in todo.value. */
static void guest_write_far(void)
{
	while (todo.value < NR_FAR) {
		if (todo.value < READ_ONCE(todo.first)) {
			WRITE_ONCE(*(uint64_t *)FAR_PAGE(todo.value), 1);
			WRITE_ONCE(todo.value, todo.value + 1);
		}
	}
	GUEST_SYNC(0);
}

/*
 * What a vCPU wrote before ARM is no reason to keep a page, if it has not left the guest
 * since: what its CPU has in a log of its own is marked before T is zeroed.  In such a log,
 * now and then, it may be too late.
 */
TEST(written_just_before_arm)
{
	const unsigned int rounds = NR_FAR / 2;
	uint64_t *first, *value, ones = ~0ull, *log;
	unsigned int round, confirmed = 0;
	struct kvm_fpr_bitmap set;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	pthread_t thread;
	char *mem;

	vm = vm_create_with_one_vcpu(&vcpu, guest_write_far);
	mem = mmap(NULL, FAR_SLOT_PAGES * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, "mmap of guest memory");
	log = calloc(1, FAR_SLOT_PAGES / 8);
	TEST_ASSERT(log, "calloc of a bitmap");
	vm_set_user_memory_region(vm, SLOT, LOG, FAR_GPA, FAR_SLOT_PAGES * PAGE, mem);
	virt_map(vm, FAR_PAGE(0), FAR_PAGE(0), NR_FAR);
	first = addr_gva2hva(vm, (uintptr_t)&todo.first);
	value = addr_gva2hva(vm, (uintptr_t)&todo.value);

	/* Once, for KVM to map the pages: the first fault marks them. */
	*first = NR_FAR;
	*value = 0;
	vcpu_run(vcpu);
	kvm_vm_get_dirty_log(vm, SLOT, log);
	ASSERT_EQ(~0ull, log[FAR_SLOT_PAGES / 64 - 1]);

	*first = 0;
	*value = 0;
	vcpu_arch_set_entry_point(vcpu, guest_write_far);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_vcpu, vcpu));
	for (round = 0; round < rounds; round++) {
		WRITE_ONCE(*first, round + 1);
		while (READ_ONCE(*value) <= round)
			;
		set = fpr_set_args(fpr_arm(vm), FAR_PAGE(0), NR_FAR * PAGE, &ones, log);
		vm_ioctl(vm, KVM_FPR_SET_BITMAP, &set);
		confirmed += has_bit(log, round);
	}
	WRITE_ONCE(*first, NR_FAR);
	ASSERT_EQ(0, pthread_join(thread, NULL));

	ASSERT_LE(cpu_logs_writes() ? rounds / 2 : rounds, confirmed);
	kvm_vm_free(vm);
	munmap(mem, FAR_SLOT_PAGES * PAGE);
	free(log);
}

TEST(private_memory)
{
	struct kvm_vm *vm;
	uint64_t epoch;

	if (!(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM)))
		SKIP(return, "KVM has no VM type with private memory here");

	vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	ASSERT_EQ(0, vm_check_cap(vm, KVM_CAP_FREE_PAGE_FILTER));
	ASSERT_EQ(EOPNOTSUPP, arm_fd(vm->fd, &epoch));
	kvm_vm_free(vm);
}
#endif

TEST(dirty_ring)
{
	struct kvm_vm *vm;
	uint64_t epoch;

	if (!kvm_has_cap(KVM_CAP_DIRTY_LOG_RING) &&
	    !kvm_has_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL))
		SKIP(return, "KVM has no dirty ring here");

	vm = vm_create_barebones();
	vm_enable_dirty_ring(vm, DIRTY_RING);
	ASSERT_EQ(0, vm_check_cap(vm, KVM_CAP_FREE_PAGE_FILTER));
	ASSERT_EQ(ENXIO, arm_fd(vm->fd, &epoch));
	kvm_vm_free(vm);
}

/* Bytes that the cgroup at @dir has of @what, as its memory.stat says. */
static long cgroup_stat(const char *dir, const char *what)
{
	char path[PATH_MAX], name[64];
	long value, found = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (found < 0 && fscanf(f, "%63s %ld", name, &value) == 2) {
		if (!strcmp(name, what))
			found = value;
	}
	fclose(f);
	return found;
}

static bool write_file(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* A cgroup for a VM and one for a stranger, with the caller in the first. */
struct groups {
	char root[32];
	char vm[48];
	char stranger[48];
};

static bool make_groups(struct groups *g)
{
	snprintf(g->root, sizeof(g->root), "/tmp/fpr_test.XXXXXX");
	if (!mkdtemp(g->root))
		return false;
	snprintf(g->vm, sizeof(g->vm), "%s/vm", g->root);
	snprintf(g->stranger, sizeof(g->stranger), "%s/stranger", g->root);
	if (mount("none", g->root, "cgroup2", 0, NULL)) {
		rmdir(g->root);
		return false;
	}
	write_file(g->root, "cgroup.subtree_control", "+memory");
	if ((!mkdir(g->vm, 0700) || errno == EEXIST) &&
	    (!mkdir(g->stranger, 0700) || errno == EEXIST) &&
	    write_file(g->vm, "cgroup.procs", "0") && cgroup_stat(g->vm, "vmalloc") >= 0)
		return true;
	umount(g->root);
	rmdir(g->root);
	return false;
}

static void remove_groups(struct groups *g)
{
	write_file(g->root, "cgroup.procs", "0");
	rmdir(g->vm);
	rmdir(g->stranger);
	umount(g->root);
	rmdir(g->root);
}

struct stranger {
	struct kvm_vm *vm;
	const struct groups *g;
};

static int stranger_arms(void *arg)
{
	struct stranger *stranger = arg;
	uint64_t epoch;

	return write_file(stranger->g->stranger, "cgroup.procs", "0") ?
	       arm_fd(stranger->vm->fd, &epoch) : 255;
}

/* errno of ARM by a process in the other group that shares the VM's memory. */
static int arm_as_stranger(struct kvm_vm *vm, const struct groups *g)
{
	struct stranger stranger = { .vm = vm, .g = g };
	static char stack[1 << 16] __aligned(16);
	int status;
	pid_t pid = clone(stranger_arms, stack + sizeof(stack),
			  CLONE_VM | CLONE_VFORK | SIGCHLD, &stranger);

	TEST_ASSERT(pid >= 0, "clone: %s", strerror(errno));
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "the child died");
	return WEXITSTATUS(status);
}

/* No more than @more bytes than it has now. */
static void limit_group(const struct groups *g, long more)
{
	char path[PATH_MAX], text[32];
	long now;
	FILE *f;

	snprintf(path, sizeof(path), "%s/memory.current", g->vm);
	f = fopen(path, "r");
	TEST_ASSERT(f && fscanf(f, "%ld", &now) == 1, "no %s", path);
	fclose(f);
	snprintf(text, sizeof(text), "%ld", now + more);
	TEST_ASSERT(write_file(g->vm, "memory.max", text), "memory.max: %s", strerror(errno));
}

#define BIG_PAGES	(32ull << 20)
#define BIG_BITMAP	((long)(BIG_PAGES / 8))
/* Smaller than a bitmap, larger than what else there is. */
#define ABOUT(bytes)	((bytes) - BIG_BITMAP / 4)

/*
 * Two bitmaps are charged to the VM's cgroup when logging begins: D and its copy. T is
 * with the first ARM, whoever calls; it stays until logging ends.
 */
TEST(memory_is_charged)
{
	struct kvm_fpr_disarm disarm = {};
	long before, logging, armed;
	struct groups g = {};
	struct kvm_vm *vm;
	void *mem;

	if (geteuid() || !make_groups(&g))
		SKIP(return, "no cgroup2 here that counts vmalloc");

	vm = vm_create_barebones();
	mem = mmap(NULL, BIG_PAGES * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	vm_set_user_memory_region(vm, SLOT, 0, 0, BIG_PAGES * PAGE, mem);
	before = cgroup_stat(g.vm, "vmalloc");
	vm_set_user_memory_region(vm, SLOT, LOG, 0, BIG_PAGES * PAGE, mem);
	logging = cgroup_stat(g.vm, "vmalloc") - before;
	ASSERT_LE(2 * BIG_BITMAP, logging);
	ASSERT_GT(ABOUT(3 * BIG_BITMAP), logging);

	ASSERT_EQ(0, arm_as_stranger(vm, &g));
	armed = cgroup_stat(g.vm, "vmalloc") - before;
	ASSERT_LE(BIG_BITMAP, armed - logging);
	ASSERT_GT(ABOUT(BIG_BITMAP), cgroup_stat(g.stranger, "vmalloc"));
	ASSERT_EQ(0, __vm_ioctl(vm, KVM_FPR_DISARM, &disarm));
	ASSERT_EQ(0, arm_as_stranger(vm, &g));
	ASSERT_EQ(armed, cgroup_stat(g.vm, "vmalloc") - before);

	vm_set_user_memory_region(vm, SLOT, 0, 0, BIG_PAGES * PAGE, mem);
	ASSERT_GT(ABOUT(BIG_BITMAP), cgroup_stat(g.vm, "vmalloc") - before);
	kvm_vm_free(vm);
	remove_groups(&g);
}

/* Where there is no memory for T, ARM changes nothing, and kills nobody. */
TEST(arm_without_memory)
{
	struct bitmap all = bits(0, NPAGES), confirmed;
	struct kvm_fpr_bitmap args;
	struct kvm_vm *vm;
	struct groups g = {};
	uint64_t epoch;
	long before;
	char *mem;

	if (geteuid() || !make_groups(&g))
		SKIP(return, "no cgroup2 here that counts vmalloc");

	vm = vm_create_barebones();
	mem = mmap(NULL, (BIG_PAGES + NPAGES) * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	vm_set_user_memory_region(vm, SLOT, LOG, GPA, NPAGES * PAGE, mem);
	ASSERT_EQ(0, arm_fd(vm->fd, &epoch));
	vm_set_user_memory_region(vm, SLOT2, LOG, 1ull << 36, BIG_PAGES * PAGE,
				  mem + NPAGES * PAGE);
	before = cgroup_stat(g.vm, "vmalloc");
	limit_group(&g, BIG_BITMAP / 2);
	ASSERT_EQ(ENOMEM, arm_as_stranger(vm, &g));
	ASSERT_GT(ABOUT(BIG_BITMAP), cgroup_stat(g.vm, "vmalloc") - before);

	/* The epoch still stands. */
	args = set_args(epoch, &all, &confirmed, NPAGES);
	ASSERT_EQ(0, __vm_ioctl(vm, KVM_FPR_SET_BITMAP, &args));
	ASSERT_EQ(NPAGES, args.nr_confirmed);

	ASSERT_TRUE(write_file(g.vm, "memory.max", "max"));
	ASSERT_EQ(0, arm_as_stranger(vm, &g));
	kvm_vm_free(vm);
	remove_groups(&g);
}

int main(int argc, char *argv[])
{
	return test_harness_run(argc, argv);
}
