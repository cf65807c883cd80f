// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free page filter: what can fail in its ioctls does fail, and what can be slow
 * is slow.
 *
 * Every allocation and every copy from and to user memory that an ioctl makes is
 * made to fail, one after the other (/proc/self/task/TID/fail-nth); signals come
 * in every chunk; the memory of bitmaps comes late, from a userfaultfd, and
 * things happen meanwhile: the VM is used, the epoch ends, memory goes away,
 * processes are killed.
 *
 * After each of these the error is one that the header has, no write is missing
 * in the log, and the VM works.  Nothing fails in a kernel without
 * CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC and CONFIG_FAULT_INJECTION_USERCOPY, or where
 * debugfs does not make them fail for tasks that ask for it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fpr_arch.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "userfaultfd_util.h"
#include "fpr_harness.h"
#include "fpr_util.h"

/* Pages of a chunk of the filter, whose bitmap fills one page of user memory. */
#define CHUNK		32768u
#define NR_CHUNKS	3u
#define RANGE_SIZE	(NR_CHUNKS * CHUNK * PAGE)
#define CHUNK_WORDS	(CHUNK / 64)

/* At the beginning of each chunk there is a slot. */
#define FIRST_SLOT	10
#define SLOT_PAGES	192u
#define SLOT_WORDS	(SLOT_PAGES / 64)
/* One that comes and goes. */
#define SPARE_SLOT	20
#define SPARE_GPA	(GPA + 1024 * PAGE)

/* More points than any call has in which something can fail. */
#define MAX_POINTS	1000
#define MAX_ERRNO	134

/* A bitmap over one slot; all slots have the same pages written and reported. */
struct pages {
	uint64_t word[SLOT_WORDS];
};

/* Written before ARM, and between ARM and SET. */
static const struct pages before = { { ~0ull, ~0ull, ~0ull } };
static const struct pages between = { { 0xff0ull << 32, 0xff, 0 } };
static const struct pages after = { { 1ull << 63, 1ull << 63, 0xf0 } };
static const struct pages reported = { { ~0ull << 16, ~0ull, 0xff } };

/* What the guest does next, in all slots. */
static struct {
	struct pages pages;
	uint64_t value;
} todo;

static void guest_write_slot(uint64_t gpa)
{
	unsigned int page;

	for (page = 0; page < SLOT_PAGES; page++) {
		if (todo.pages.word[page / 64] >> page % 64 & 1)
			WRITE_ONCE(*(uint64_t *)(gpa + page * PAGE), todo.value);
	}
}

static void guest_code(void)
{
	unsigned int i;

	for (;;) {
		for (i = 0; i < NR_CHUNKS; i++)
			guest_write_slot(GPA + i * CHUNK * PAGE);
		GUEST_SYNC(0);
	}
}

static struct pages and_not(const struct pages *a, const struct pages *b)
{
	struct pages r;
	unsigned int i;

	for (i = 0; i < SLOT_WORDS; i++)
		r.word[i] = a->word[i] & ~b->word[i];
	return r;
}

static struct pages pages_or(const struct pages *a, const struct pages *b)
{
	struct pages r;
	unsigned int i;

	for (i = 0; i < SLOT_WORDS; i++)
		r.word[i] = a->word[i] | b->word[i];
	return r;
}

FIXTURE(faults)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	char *mem;
	uint64_t *report;
	uint64_t *confirmed;
	uint64_t epoch;
	/* Files of this task: the next failure, and whether all allocations fail. */
	int fail_nth;
	int make_it_fail;
};

FIXTURE_VARIANT(faults)
{
	uint64_t manual_protect;
};

FIXTURE_VARIANT_ADD(faults, auto_clear)
{
};

FIXTURE_VARIANT_ADD(faults, manual_protect)
{
	.manual_protect = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE,
};

static void *new_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(p != MAP_FAILED, "mmap: %s", strerror(errno));
	return p;
}

static void fill_report(uint64_t *report)
{
	unsigned int i;

	for (i = 0; i < NR_CHUNKS; i++)
		memcpy(report + i * CHUNK_WORDS, &reported, sizeof(reported));
}

FIXTURE_SETUP(faults)
{
	unsigned int i;
	uint64_t gpa;

	self->vm = vm_create_with_one_vcpu(&self->vcpu, guest_code);
	if (variant->manual_protect)
		vm_enable_cap(self->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			      variant->manual_protect);
	self->mem = new_memory((NR_CHUNKS + 1) * SLOT_PAGES * PAGE);
	self->report = new_memory(NR_CHUNKS * PAGE);
	self->confirmed = new_memory(NR_CHUNKS * PAGE);
	fill_report(self->report);
	for (i = 0; i < NR_CHUNKS; i++) {
		gpa = GPA + i * CHUNK * PAGE;
		virt_map(self->vm, gpa, gpa, SLOT_PAGES);
		vm_set_user_memory_region(self->vm, FIRST_SLOT + i, LOG, gpa,
					  SLOT_PAGES * PAGE,
					  self->mem + i * SLOT_PAGES * PAGE);
	}
	self->fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
	self->make_it_fail = open("/proc/thread-self/make-it-fail", O_RDWR);
}

FIXTURE_TEARDOWN(faults)
{
	close(self->fail_nth);
	close(self->make_it_fail);
	kvm_vm_free(self->vm);
}

/* What the guest writes it writes whatever fails meanwhile. */
static void guest_write(FIXTURE_DATA(faults) *self, const struct pages *pages)
{
	struct ucall uc;

	todo.pages = *pages;
	todo.value++;
	sync_global_to_guest(self->vm, todo);
	vcpu_run(self->vcpu);
	TEST_ASSERT(get_ucall(self->vcpu, &uc) == UCALL_SYNC,
		    "the guest stopped unexpectedly");
}

/* What a slot's log names, which is cleared, with and without manual protection. */
static struct pages take_log(FIXTURE_DATA(faults) *self, unsigned int slot)
{
	struct pages log = {};

	kvm_vm_get_dirty_log(self->vm, FIRST_SLOT + slot, &log);
	kvm_vm_clear_dirty_log(self->vm, FIRST_SLOT + slot, &log, 0, SLOT_PAGES);
	return log;
}

static void assert_same(const struct pages *is, const struct pages *want,
			const char *what, unsigned int chunk)
{
	unsigned int i;

	for (i = 0; i < SLOT_WORDS; i++)
		TEST_ASSERT(is->word[i] == want->word[i],
			    "%s: word %u of chunk %u is 0x%lx, expected 0x%lx", what, i,
			    chunk, is->word[i], want->word[i]);
}

static void assert_log(FIXTURE_DATA(faults) *self, unsigned int chunk,
		       const struct pages *want)
{
	struct pages log = take_log(self, chunk);

	assert_same(&log, want, "dirty log", chunk);
}

/* The calls; each returns errno. */

static int arm(FIXTURE_DATA(faults) *self)
{
	struct kvm_fpr_arm arm = {};

	return vm_errno(self->vm, KVM_FPR_ARM, &arm);
}

static struct kvm_fpr_arm candidates_args(const void *candidates)
{
	return fpr_arm_args(GPA, RANGE_SIZE, candidates);
}

static int arm_candidates(FIXTURE_DATA(faults) *self)
{
	struct kvm_fpr_arm arm = candidates_args(self->report);

	return vm_errno(self->vm, KVM_FPR_ARM, &arm);
}

static struct kvm_fpr_bitmap set_args(uint64_t epoch, const void *report,
				      void *confirmed)
{
	return fpr_set_args(epoch, GPA, RANGE_SIZE, report, confirmed);
}

static int set(FIXTURE_DATA(faults) *self)
{
	struct kvm_fpr_bitmap set = set_args(self->epoch, self->report, NULL);

	return vm_errno(self->vm, KVM_FPR_SET_BITMAP, &set);
}

static int set_and_confirm(FIXTURE_DATA(faults) *self)
{
	struct kvm_fpr_bitmap set = set_args(self->epoch, self->report, self->confirmed);

	return vm_errno(self->vm, KVM_FPR_SET_BITMAP, &set);
}

static int disarm(FIXTURE_DATA(faults) *self)
{
	struct kvm_fpr_disarm disarm = {};

	return vm_errno(self->vm, KVM_FPR_DISARM, &disarm);
}

static int enable_cap(FIXTURE_DATA(faults) *self)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_FREE_PAGE_FILTER, .args[0] = KVM_FPR_CAP_FOREIGN,
	};

	return vm_errno(self->vm, KVM_ENABLE_CAP, &cap);
}

static int set_spare_slot(FIXTURE_DATA(faults) *self, uint64_t size)
{
	void *mem = self->mem + NR_CHUNKS * SLOT_PAGES * PAGE;

	return __vm_set_user_memory_region(self->vm, SPARE_SLOT, LOG, SPARE_GPA, size,
					   mem) ? errno : 0;
}

static int add_slot(FIXTURE_DATA(faults) *self)
{
	return set_spare_slot(self, SLOT_PAGES * PAGE);
}

/* ARM of a memslot that has no T. */
static int add_and_arm(FIXTURE_DATA(faults) *self)
{
	return add_slot(self) ?: arm(self);
}

/* Of no page: all are to stay in the log. */
static int clear_none(FIXTURE_DATA(faults) *self)
{
	struct pages none = {};
	struct kvm_clear_dirty_log clear = {
		.slot = FIRST_SLOT,
		.num_pages = SLOT_PAGES,
		.dirty_bitmap = &none,
	};

	return vm_errno(self->vm, KVM_CLEAR_DIRTY_LOG, &clear);
}

/* Makes a report due: pages written before ARM, and again since. */
static void prepare(FIXTURE_DATA(faults) *self)
{
	struct kvm_fpr_arm arm = {};
	unsigned int i;

	guest_write(self, &before);
	vm_ioctl(self->vm, KVM_FPR_ARM, &arm);
	self->epoch = arm.epoch;
	guest_write(self, &between);
	for (i = 0; i < NR_CHUNKS; i++)
		memset(self->confirmed + i * CHUNK_WORDS, 0xa5, sizeof(struct pages));
}

static struct pages confirmed_in(FIXTURE_DATA(faults) *self, unsigned int chunk)
{
	struct pages p;

	memcpy(&p, self->confirmed + chunk * CHUNK_WORDS, sizeof(p));
	return p;
}

/* The whole way, of which nothing may be left out. */
static void assert_vm_works(FIXTURE_DATA(faults) *self)
{
	struct pages dropped = and_not(&reported, &between), confirmed;
	struct pages want = and_not(&before, &dropped);
	unsigned int i;

	prepare(self);
	TEST_ASSERT(!set_and_confirm(self), "KVM_FPR_SET_BITMAP: %s", strerror(errno));
	for (i = 0; i < NR_CHUNKS; i++) {
		confirmed = confirmed_in(self, i);
		assert_same(&confirmed, &dropped, "confirmed", i);
		assert_log(self, i, &want);
	}
}

/* What the log must say where the report was taken, and where it was not. */
static struct pages filtered_log(void)
{
	struct pages dropped = and_not(&reported, &between);
	struct pages left = and_not(&before, &dropped);

	return pages_or(&left, &after);
}

/* Failures, one after the other */

static bool can_fail(FIXTURE_DATA(faults) *self)
{
	return self->fail_nth >= 0 && !access("/sys/kernel/debug/failslab", F_OK);
}

static void start_failing(FIXTURE_DATA(faults) *self, unsigned int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", nth);

	TEST_ASSERT(pwrite(self->fail_nth, text, n, 0) == n, "fail-nth: %s",
		    strerror(errno));
}

/* Whether it came so far.  To ask and to stop can fail as well. */
static bool stop_failing(FIXTURE_DATA(faults) *self)
{
	char text[16] = {};
	bool failed = pread(self->fail_nth, text, sizeof(text) - 1, 0) > 0 &&
		      !atoi(text);

	while (pwrite(self->fail_nth, "0", 1, 0) != 1)
		TEST_ASSERT(errno == EFAULT, "fail-nth: %s", strerror(errno));
	return failed;
}

/* A call, and the errors that failures lead to. */
struct swept {
	const char *name;
	int (*call)(FIXTURE_DATA(faults) *self);
	int errors[2];
	/* Without any memory. */
	int starved;
};

static void assert_error(const struct swept *swept, unsigned int nth, int err)
{
	TEST_ASSERT(!err || err == swept->errors[0] || err == swept->errors[1],
		    "%s, failure %u: errno %d (%s)", swept->name, nth, err, strerror(err));
}

/*
 * A report of the epoch that there was before the call: it is taken or it is
 * stale; after a call that found no memory it is taken.
 */
static bool report_is_taken(FIXTURE_DATA(faults) *self, const struct swept *swept, int err)
{
	int late = set(self);

	TEST_ASSERT(!late || (late == ESTALE && err != ENOMEM),
		    "SET_BITMAP after %s, which returned errno %d: %s", swept->name, err,
		    strerror(late));
	return !late;
}

static void assert_nothing_lost(FIXTURE_DATA(faults) *self, bool filtered)
{
	struct pages want = filtered ? filtered_log() : before;
	unsigned int i;

	for (i = 0; i < NR_CHUNKS; i++)
		assert_log(self, i, &want);
}

/* After a call that may have failed, which @err says. */
static void assert_consistent(FIXTURE_DATA(faults) *self, const struct swept *swept, int err)
{
	bool taken = report_is_taken(self, swept, err);

	guest_write(self, &after);
	assert_nothing_lost(self, taken);
	set_spare_slot(self, 0);
}

/* Whether the @nth point was reached, and what the call returned. */
static bool fail_once(FIXTURE_DATA(faults) *self, const struct swept *swept,
		      unsigned int nth, int *err)
{
	bool failed;

	prepare(self);
	start_failing(self, nth);
	*err = swept->call(self);
	failed = stop_failing(self);
	assert_error(swept, nth, *err);

	assert_consistent(self, swept, *err);
	return failed;
}

static void sweep(FIXTURE_DATA(faults) *self, const struct swept *swept)
{
	unsigned int nr[MAX_ERRNO + 1] = {}, nth;
	int err;

	for (nth = 1; fail_once(self, swept, nth, &err); nth++) {
		nr[err]++;
		TEST_ASSERT(nth < MAX_POINTS, "%s has no end", swept->name);
	}
	TEST_ASSERT(nth > 1, "%s has nothing that fails", swept->name);
	TEST_ASSERT(!err, "%s: %s, and nothing failed", swept->name, strerror(err));
	printf("# %s: %u failures, ok %u, ENOMEM %u, EFAULT %u\n", swept->name, nth - 1,
	       nr[0], nr[ENOMEM], nr[EFAULT]);
	assert_vm_works(self);
}

static const struct swept all_swept[] = {
	{ "ARM", arm, { EFAULT } },
	/* One failure is not enough where vmalloc is tried as well. */
	{ "ARM with candidates", arm_candidates, { EFAULT, ENOMEM }, ENOMEM },
	{ "SET_BITMAP", set, { EFAULT, ENOMEM }, ENOMEM },
	{ "SET_BITMAP with confirmed", set_and_confirm, { EFAULT, ENOMEM }, ENOMEM },
	{ "DISARM", disarm, { EFAULT } },
	{ "ENABLE_CAP", enable_cap, { EFAULT } },
	{ "CLEAR_DIRTY_LOG", clear_none, { EFAULT } },
	{ "a slot that logs", add_slot, { EFAULT, ENOMEM }, ENOMEM },
	{ "ARM of a slot that logs", add_and_arm, { EFAULT, ENOMEM }, ENOMEM },
};

TEST_F_TIMEOUT(faults, every_failure_of_every_call, 4 * TEST_TIMEOUT_DEFAULT)
{
	unsigned int i;

	if (!can_fail(self))
		SKIP(return, "this kernel injects no faults");
	for (i = 0; i < ARRAY_SIZE(all_swept); i++)
		sweep(self, &all_swept[i]);
}

static void starve(FIXTURE_DATA(faults) *self, bool on)
{
	TEST_ASSERT(pwrite(self->make_it_fail, on ? "1" : "0", 1, 0) == 1,
		    "make-it-fail: %s", strerror(errno));
}

TEST_F(faults, no_memory_at_all)
{
	const struct swept *swept;
	unsigned int i;
	int err;

	if (!can_fail(self))
		SKIP(return, "this kernel injects no faults");
	for (i = 0; i < ARRAY_SIZE(all_swept); i++) {
		swept = &all_swept[i];
		prepare(self);
		starve(self, true);
		err = swept->call(self);
		starve(self, false);
		TEST_ASSERT(err == swept->starved, "%s: errno %d (%s)", swept->name, err,
			    strerror(err));
		assert_consistent(self, swept, err);
	}
	assert_vm_works(self);
}

/* Memory that comes late: page 0 for a call's arguments, then a bitmap. */

#define LATE_PAGES	(1 + NR_CHUNKS)
#define ALL_LATE	((1 << LATE_PAGES) - 1)

static struct {
	char *mem;
	char *content;
	struct uffd_desc *uffd;
	/* Which pages were asked for; one that waits with a signal pending asks again. */
	unsigned int asked;
	/* Called before page @n comes; false if it is not to come. */
	bool (*on_fault)(unsigned int n);
	/* For those. */
	FIXTURE_DATA(faults) *self;
	pthread_t caller;
	int pipe[2];
	int file;
} late;

static int handle_fault(int mode, int uffd, struct uffd_msg *msg)
{
	uint64_t address = msg->arg.pagefault.address & ~(PAGE - 1);
	unsigned int n = (address - (uintptr_t)late.mem) / PAGE;
	struct uffdio_copy copy = {
		.dst = address,
		.src = (uintptr_t)late.content + n * PAGE,
		.len = PAGE,
	};
	struct uffdio_range range = { .start = address, .len = PAGE };

	if (!(late.asked & 1 << n)) {
		late.asked |= 1 << n;
		if (late.on_fault(n))
			return ioctl(uffd, UFFDIO_COPY, &copy);
	}
	return ioctl(uffd, UFFDIO_WAKE, &range);
}

static void begin_late(FIXTURE_DATA(faults) *self, bool (*on_fault)(unsigned int n))
{
	late.mem = new_memory(LATE_PAGES * PAGE);
	late.content = new_memory(LATE_PAGES * PAGE);
	fill_report((uint64_t *)(late.content + PAGE));
	late.asked = 0;
	late.on_fault = on_fault;
	late.self = self;
	late.caller = pthread_self();
	late.uffd = uffd_setup_demand_paging(UFFDIO_REGISTER_MODE_MISSING, 0, late.mem,
					     LATE_PAGES * PAGE, 1, handle_fault);
}

static void end_late(void)
{
	uffd_stop_demand_paging(late.uffd);
}

static void *late_bitmap(void)
{
	return late.mem + PAGE;
}

/* A SET of which @nr_done chunks were done, and nothing else. */
static void assert_done(FIXTURE_DATA(faults) *self, const struct kvm_fpr_bitmap *set,
			unsigned int nr_done)
{
	struct pages filtered = filtered_log();
	unsigned int i;

	TEST_ASSERT(set->gpa == GPA + nr_done * CHUNK * PAGE &&
		    set->size == (NR_CHUNKS - nr_done) * CHUNK * PAGE,
		    "gpa 0x%llx, size 0x%llx", set->gpa, set->size);
	guest_write(self, &after);
	for (i = 0; i < NR_CHUNKS; i++)
		assert_log(self, i, i < nr_done ? &filtered : &before);
	assert_vm_works(self);
}

static void ignore_signal(int sig)
{
}

static bool send_signal(unsigned int n)
{
	pthread_kill(late.caller, SIGUSR1);
	return true;
}

static void take_signals(void)
{
	struct sigaction action = { .sa_handler = ignore_signal };

	sigaction(SIGUSR1, &action, NULL);
}

/* Where the arguments come late the signal comes before anything is done. */
TEST_F(faults, signal_in_every_chunk_of_set)
{
	struct kvm_fpr_bitmap *set;
	unsigned int i;

	take_signals();
	prepare(self);
	begin_late(self, send_signal);
	set = (void *)late.mem;
	*(struct kvm_fpr_bitmap *)late.content =
		set_args(self->epoch, late_bitmap(), self->confirmed);

	ASSERT_EQ(EINTR, vm_errno(self->vm, KVM_FPR_SET_BITMAP, set));
	for (i = 0; i < NR_CHUNKS; i++) {
		ASSERT_EQ(GPA + i * CHUNK * PAGE, set->gpa);
		ASSERT_EQ(0, vm_errno(self->vm, KVM_FPR_SET_BITMAP, set));
	}
	ASSERT_EQ(ALL_LATE, late.asked);
	assert_done(self, set, NR_CHUNKS);
	end_late();
}

TEST_F(faults, signal_in_every_chunk_of_arm)
{
	struct pages dropped = and_not(&reported, &after), left = and_not(&before, &dropped);
	struct kvm_fpr_arm *arm;
	uint64_t old;
	unsigned int i;

	take_signals();
	prepare(self);
	begin_late(self, send_signal);
	arm = (void *)late.mem;
	*(struct kvm_fpr_arm *)late.content = candidates_args(late_bitmap());

	old = self->epoch;
	ASSERT_EQ(EINTR, vm_errno(self->vm, KVM_FPR_ARM, arm));
	for (i = 0; i < NR_CHUNKS; i++) {
		ASSERT_EQ(GPA + i * CHUNK * PAGE, arm->gpa);
		/* There is no epoch meanwhile. */
		if (i)
			ASSERT_EQ(ESTALE, set(self));
		ASSERT_EQ(0, vm_errno(self->vm, KVM_FPR_ARM, arm));
	}
	ASSERT_EQ(ALL_LATE, late.asked);
	/* Of the last chunk the signal ends the wait only where that takes a second. */
	while (arm->size) {
		ASSERT_EQ(CHUNK * PAGE, arm->size);
		ASSERT_EQ(0, vm_errno(self->vm, KVM_FPR_ARM, arm));
	}
	ASSERT_NE(old, arm->epoch);

	guest_write(self, &after);
	self->epoch = arm->epoch;
	ASSERT_EQ(0, set(self));
	for (i = 0; i < NR_CHUNKS; i++)
		assert_log(self, i, &left);
	end_late();
	assert_vm_works(self);
}

/* All this takes slots_lock: it would never return if a call held that. */
static bool use_vm(unsigned int n)
{
	FIXTURE_DATA(faults) *self = late.self;

	usleep(20000);
	take_log(self, NR_CHUNKS - 1);
	guest_write(self, &before);
	TEST_ASSERT(!add_slot(self), "a slot is created: %s", strerror(errno));
	TEST_ASSERT(!set_spare_slot(self, 0), "and deleted: %s", strerror(errno));
	return true;
}

static void assert_all_dirty(FIXTURE_DATA(faults) *self)
{
	unsigned int i;

	for (i = 0; i < NR_CHUNKS; i++)
		assert_log(self, i, &before);
	assert_vm_works(self);
}

TEST_F(faults, vm_is_used_while_report_comes)
{
	struct kvm_fpr_bitmap set;

	prepare(self);
	begin_late(self, use_vm);
	set = set_args(self->epoch, late_bitmap(), NULL);
	ASSERT_EQ(0, vm_errno(self->vm, KVM_FPR_SET_BITMAP, &set));
	ASSERT_EQ(ALL_LATE & ~1, late.asked);
	end_late();
	ASSERT_EQ(0, set.nr_filtered);
	assert_all_dirty(self);
}

TEST_F(faults, vm_is_used_while_candidates_come)
{
	struct kvm_fpr_arm arm;

	prepare(self);
	begin_late(self, use_vm);
	arm = candidates_args(late_bitmap());
	ASSERT_EQ(0, vm_errno(self->vm, KVM_FPR_ARM, &arm));
	ASSERT_EQ(ALL_LATE & ~1, late.asked);
	end_late();
	assert_all_dirty(self);
}

/* What is confirmed is written where memory comes late as well. */
TEST_F(faults, vm_is_used_while_confirmed_comes)
{
	struct kvm_fpr_bitmap set;

	prepare(self);
	begin_late(self, use_vm);
	set = set_args(self->epoch, self->report, late_bitmap());
	ASSERT_EQ(0, vm_errno(self->vm, KVM_FPR_SET_BITMAP, &set));
	ASSERT_EQ(ALL_LATE & ~1, late.asked);
	end_late();
	ASSERT_EQ(0, set.nr_filtered);
	assert_all_dirty(self);
}

static bool arm_in_second_chunk(unsigned int n)
{
	TEST_ASSERT(n != 2 || !arm(late.self), "KVM_FPR_ARM: %s", strerror(errno));
	return true;
}

TEST_F(faults, epoch_ends_while_report_comes)
{
	struct kvm_fpr_bitmap set;

	prepare(self);
	begin_late(self, arm_in_second_chunk);
	set = set_args(self->epoch, late_bitmap(), NULL);
	ASSERT_EQ(ESTALE, vm_errno(self->vm, KVM_FPR_SET_BITMAP, &set));
	end_late();
	assert_done(self, &set, 1);
}

TEST_F(faults, epoch_ends_while_candidates_come)
{
	struct kvm_fpr_arm arm;

	prepare(self);
	begin_late(self, arm_in_second_chunk);
	arm = candidates_args(late_bitmap());
	ASSERT_EQ(ESTALE, vm_errno(self->vm, KVM_FPR_ARM, &arm));
	end_late();
	assert_all_dirty(self);
}

/* Memory that goes away while a page of it, or of other memory, comes. */

static bool unmap_second_chunk(unsigned int n)
{
	if (n == 2)
		munmap(late.mem + n * PAGE, PAGE);
	return n != 2;
}

TEST_F(faults, report_is_unmapped)
{
	struct kvm_fpr_bitmap set;

	prepare(self);
	begin_late(self, unmap_second_chunk);
	set = set_args(self->epoch, late_bitmap(), NULL);
	ASSERT_EQ(EFAULT, vm_errno(self->vm, KVM_FPR_SET_BITMAP, &set));
	end_late();
	assert_done(self, &set, 1);
}

TEST_F(faults, candidates_are_unmapped)
{
	struct kvm_fpr_arm arm;

	prepare(self);
	begin_late(self, unmap_second_chunk);
	arm = candidates_args(late_bitmap());
	ASSERT_EQ(EFAULT, vm_errno(self->vm, KVM_FPR_ARM, &arm));
	end_late();
	ASSERT_EQ(GPA + CHUNK * PAGE, arm.gpa);
	assert_all_dirty(self);
}

static bool unmap_confirmed(unsigned int n)
{
	if (n == 2)
		munmap((char *)late.self->confirmed + PAGE, PAGE);
	return true;
}

TEST_F(faults, confirmed_is_unmapped)
{
	struct kvm_fpr_bitmap set;

	prepare(self);
	begin_late(self, unmap_confirmed);
	set = set_args(self->epoch, late_bitmap(), self->confirmed);
	ASSERT_EQ(EFAULT, vm_errno(self->vm, KVM_FPR_SET_BITMAP, &set));
	end_late();
	TEST_ASSERT(mmap((char *)self->confirmed + PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED, "mmap");
	assert_done(self, &set, 1);
}

static bool truncate_file(unsigned int n)
{
	TEST_ASSERT(n != 2 || !ftruncate(late.file, PAGE), "ftruncate");
	return true;
}

/* What userspace gets as SIGBUS. */
TEST_F(faults, confirmed_is_truncated)
{
	struct kvm_fpr_bitmap set;
	void *confirmed;

	late.file = kvm_memfd_alloc(NR_CHUNKS * PAGE, false);
	confirmed = mmap(NULL, NR_CHUNKS * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 late.file, 0);
	ASSERT_NE(MAP_FAILED, confirmed);

	prepare(self);
	begin_late(self, truncate_file);
	set = set_args(self->epoch, late_bitmap(), confirmed);
	ASSERT_EQ(EFAULT, vm_errno(self->vm, KVM_FPR_SET_BITMAP, &set));
	end_late();
	assert_done(self, &set, 1);
}

/* Processes that die in the second chunk, whose memory never comes. */

static bool report_second_chunk(unsigned int n)
{
	if (n != 2)
		return true;
	TEST_ASSERT(write(late.pipe[1], "", 1) == 1, "write to a pipe");
	for (;;)
		pause();
}

static void __noreturn set_for_ever(FIXTURE_DATA(faults) *self)
{
	struct kvm_fpr_bitmap set;

	begin_late(self, report_second_chunk);
	set = set_args(self->epoch, late_bitmap(), self->confirmed);
	vm_errno(self->vm, KVM_FPR_SET_BITMAP, &set);
	_exit(KSFT_FAIL);
}

static void *write_for_ever(void *arg)
{
	for (;;)
		guest_write(arg, &before);
	return NULL;
}

static void kill_in_second_chunk(pid_t pid)
{
	char c;
	int status;

	TEST_ASSERT(read(late.pipe[0], &c, 1) == 1, "read from a pipe");
	TEST_ASSERT(!kill(pid, SIGKILL), "kill");
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status),
		    "the process ended by itself");
}

TEST_F(faults, another_process_is_killed)
{
	struct pages filtered = filtered_log();
	unsigned int i;
	pid_t pid;

	TEST_ASSERT(!pipe(late.pipe), "pipe");
	TEST_ASSERT(!enable_cap(self), "KVM_FPR_CAP_FOREIGN");
	prepare(self);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		set_for_ever(self);
	kill_in_second_chunk(pid);

	guest_write(self, &after);
	for (i = 0; i < NR_CHUNKS; i++)
		assert_log(self, i, i < 1 ? &filtered : &before);
	assert_vm_works(self);
}

/* With a vCPU that writes; nothing is left but the kernel's own checks. */
TEST(owner_is_killed)
{
	FIXTURE_DATA(faults) self = {};
	FIXTURE_VARIANT(faults) variant = {};
	pthread_t vcpu;
	pid_t pid;

	TEST_ASSERT(!pipe(late.pipe), "pipe");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		faults_setup(_metadata, &self, &variant);
		prepare(&self);
		pthread_create(&vcpu, NULL, write_for_ever, &self);
		set_for_ever(&self);
	}
	kill_in_second_chunk(pid);
}

TEST_HARNESS_MAIN
