// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM_FPR_ARM and KVM_FPR_SET_BITMAP cost beside KVM_CLEAR_DIRTY_LOG.
 *
 * Run where the clock counts instructions ("lab/run --icount"): then a
 * nanosecond of CLOCK_MONOTONIC_RAW is an instruction of the only CPU, those
 * of kernel threads that an ioctl waits for included.  Prints NAME=VALUE, and
 * for what was repeated NAME=VALUE,VALUE,...; every figure is of one ioctl over
 * the whole slot.
 *
 * The log is manually protected and initially set, as QEMU has it.  Before
 * every repeat the same state is made again, and looked at: what the dirty log
 * says, and by what size of pages the slot is mapped.
 *
 * 4k_all	mapped by 4KiB, all writable, all dirty
 * 4k_1pct	mapped by 4KiB; a hundredth, at random places, was written since
 *		the last CLEAR and is writable and dirty, the rest is neither
 * thp_all	mapped by 2MiB, all writable, all dirty: logging was just
 *		switched on.  CLEAR splits huge pages at once (eager_page_split),
 *		ARM leaves it to the first write to each
 * thp_1pct	as 4k_1pct, but the host's memory is in huge pages.  A dirty log
 *		with clear bits has had its CLEAR, so they are mapped by 4KiB
 *
 * arm_start_4k and arm_start_thp are as 4k_all and thp_all, but three quarters of the
 * memory are candidates: what a VMM does at a migration's start, where one without the
 * filter has a CLEAR of all pages before it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "fpr_arch.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "fpr_util.h"

#define SLOT		10
/* From GPA, 1 GiB would reach the APIC's pages. */
#define BENCH_GPA	0x100000000ul
#define HUGE_PAGES	512u
#define MAX_PAGES	262144u
#define WORDS(npages)	((npages) / 64)
/* Each of two instructions; shorter than the timer's period. */
#define CLOCK_LOOPS	500000ul

static unsigned int npages = 65536;
static unsigned int repeats = 5;
static bool small_only;

/* The pages that the guest writes next. */
static uint64_t to_write[WORDS(MAX_PAGES)];

static uint64_t all[WORDS(MAX_PAGES)];
static uint64_t hundredth[WORDS(MAX_PAGES)];
static uint64_t quarter[WORDS(MAX_PAGES)];
static uint64_t three_quarters[WORDS(MAX_PAGES)];
static uint64_t none[WORDS(MAX_PAGES)];

struct bench {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	char *mem;
};

static void guest_code(void)
{
	uint64_t i;

	for (;;) {
		for (i = 0; i < npages; i++) {
			if (to_write[i / 64] >> (i % 64) & 1)
				WRITE_ONCE(*(uint64_t *)(BENCH_GPA + i * PAGE), i);
		}
		GUEST_SYNC(0);
	}
}

static uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void print_figures(const char *name, const uint64_t *took)
{
	unsigned int i;

	printf("%s=", name);
	for (i = 0; i < repeats; i++)
		printf("%s%lu", i ? "," : "", took[i]);
	printf("\n");
}

static size_t bitmap_bytes(void)
{
	return npages / 8;
}

/* How many of the clock's nanoseconds a known number of instructions takes. */
static void check_clock(void)
{
	uint64_t took[repeats], start;
	unsigned int i;

	for (i = 0; i < repeats; i++) {
		start = clock_now();
		fpr_count_down(CLOCK_LOOPS);
		took[i] = clock_now() - start;
	}
	printf("clock_instructions=%lu\n", 2 * CLOCK_LOOPS);
	print_figures("clock_ns", took);
}

static void set_logging(struct bench *b, bool on)
{
	vm_set_user_memory_region(b->vm, SLOT, on ? KVM_MEM_LOG_DIRTY_PAGES : 0,
				  BENCH_GPA, npages * PAGE, b->mem);
}

static void make_vm(struct bench *b, int advice)
{
	const size_t size = npages * PAGE, align = HUGE_PAGES * PAGE;
	char *mem;

	b->vm = __vm_create_with_one_vcpu(&b->vcpu, npages, guest_code);
	vm_enable_cap(b->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
		      KVM_DIRTY_LOG_INITIALLY_SET);

	mem = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, "mmap of guest memory");
	b->mem = (char *)align_up((uintptr_t)mem, align);
	TEST_ASSERT(!madvise(b->mem, size, advice), "madvise(%d)", advice);
	memset(b->mem, 1, size);

	set_logging(b, false);
	virt_map(b->vm, BENCH_GPA, BENCH_GPA, npages);
	sync_global_to_guest(b->vm, npages);
}

static void guest_write(struct bench *b, const uint64_t *pages)
{
	struct ucall uc;

	memcpy(to_write, pages, bitmap_bytes());
	sync_global_to_guest(b->vm, to_write);
	vcpu_run(b->vcpu);
	TEST_ASSERT(get_ucall(b->vcpu, &uc) == UCALL_SYNC,
		    "the guest stopped unexpectedly");
}

static void assert_log(struct bench *b, const uint64_t *want)
{
	static uint64_t log[WORDS(MAX_PAGES)];

	kvm_vm_get_dirty_log(b->vm, SLOT, log);
	TEST_ASSERT(!memcmp(log, want, bitmap_bytes()),
		    "the dirty log is not what the figures are to be of");
}

/* The guest's own program is in a slot of 4KiB pages. */
static void assert_huge(struct bench *b, bool huge)
{
	fpr_assert_huge_pages(b->vm, huge ? npages / HUGE_PAGES : 0);
}

static uint64_t clear(struct bench *b, const uint64_t *pages)
{
	uint64_t start = clock_now();

	kvm_vm_clear_dirty_log(b->vm, SLOT, (void *)pages, 0, npages);
	return clock_now() - start;
}

static uint64_t arm(struct bench *b, struct kvm_fpr_arm *args)
{
	uint64_t start = clock_now();
	int r = __vm_ioctl(b->vm, KVM_FPR_ARM, args);
	uint64_t took = clock_now() - start;

	TEST_ASSERT(!r, "KVM_FPR_ARM: %s", strerror(errno));
	return took;
}

static uint64_t arm_all(struct bench *b, uint64_t *epoch)
{
	struct kvm_fpr_arm args = {};
	uint64_t took = arm(b, &args);

	*epoch = args.epoch;
	return took;
}

/* A report that every page is free. */
static uint64_t set_all(struct bench *b, uint64_t epoch, uint64_t nr_filtered)
{
	static uint64_t confirmed[WORDS(MAX_PAGES)];
	struct kvm_fpr_bitmap set = fpr_set_args(epoch, BENCH_GPA, npages * PAGE, all, confirmed);
	uint64_t start, took;
	int r;

	memset(confirmed, 0, bitmap_bytes());
	start = clock_now();
	r = __vm_ioctl(b->vm, KVM_FPR_SET_BITMAP, &set);
	took = clock_now() - start;
	TEST_ASSERT(!r && !set.size, "KVM_FPR_SET_BITMAP: %s", strerror(errno));
	TEST_ASSERT(set.nr_filtered == nr_filtered && set.nr_confirmed == npages,
		    "%llu pages filtered and %llu confirmed",
		    set.nr_filtered, set.nr_confirmed);
	return took;
}

/* All pages were written and are mapped by 4KiB. */
static void make_all_dirty(struct bench *b)
{
	guest_write(b, all);
	assert_log(b, all);
	assert_huge(b, false);
}

/* All pages are mapped by 4KiB; a hundredth was written since the last CLEAR. */
static void make_hundredth_dirty(struct bench *b)
{
	clear(b, all);
	guest_write(b, hundredth);
	assert_log(b, hundredth);
	assert_huge(b, false);
}

/* All pages are mapped writable by 2MiB, and logging has just begun. */
static void make_huge_dirty(struct bench *b)
{
	set_logging(b, false);
	guest_write(b, all);
	set_logging(b, true);
	assert_log(b, all);
	assert_huge(b, true);
}

static void make_nothing_dirty(struct bench *b)
{
	clear(b, all);
	assert_log(b, none);
}

static void bench_state(struct bench *b, const char *name,
			void (*make_state)(struct bench *b),
			const uint64_t *dirty)
{
	uint64_t cleared[repeats], armed[repeats], epoch;
	char figure[64];
	unsigned int i;

	for (i = 0; i < repeats; i++) {
		make_state(b);
		cleared[i] = clear(b, dirty);
		assert_log(b, none);

		make_state(b);
		armed[i] = arm_all(b, &epoch);
		assert_log(b, dirty);
	}
	snprintf(figure, sizeof(figure), "clear_%s", name);
	print_figures(figure, cleared);
	snprintf(figure, sizeof(figure), "arm_%s", name);
	print_figures(figure, armed);
}

/* What ARM takes even if no page needs to be protected. */
static void bench_arm_nothing(struct bench *b)
{
	uint64_t armed[repeats], epoch;
	unsigned int i;

	for (i = 0; i < repeats; i++) {
		make_nothing_dirty(b);
		armed[i] = arm_all(b, &epoch);
	}
	print_figures("arm_nothing", armed);
}

static void bench_set(struct bench *b)
{
	uint64_t filtered[repeats], clean[repeats], epoch;
	unsigned int i;

	for (i = 0; i < repeats; i++) {
		make_all_dirty(b);
		arm_all(b, &epoch);
		filtered[i] = set_all(b, epoch, npages);
		assert_log(b, none);
		clean[i] = set_all(b, epoch, 0);
	}
	print_figures("set_filtered", filtered);
	print_figures("set_clean", clean);
}

/*
 * What a VMM that filters without these ioctls takes in the place of SET: all pages
 * are in the log, or none.  GET clears nothing, as CLEAR is for that.
 */
static void bench_get(struct bench *b)
{
	static uint64_t log[WORDS(MAX_PAGES)];
	uint64_t full[repeats], empty[repeats], start;
	unsigned int i;

	for (i = 0; i < repeats; i++) {
		make_all_dirty(b);
		start = clock_now();
		kvm_vm_get_dirty_log(b->vm, SLOT, log);
		full[i] = clock_now() - start;

		make_nothing_dirty(b);
		start = clock_now();
		kvm_vm_get_dirty_log(b->vm, SLOT, log);
		empty[i] = clock_now() - start;
	}
	print_figures("get_full", full);
	print_figures("get_empty", empty);
}

static bool has_candidates(void)
{
	return kvm_check_cap(KVM_CAP_FREE_PAGE_FILTER) & KVM_FPR_CAP_CANDIDATES;
}

/* Everything is dirty, and remains so. */
static uint64_t arm_candidates(struct bench *b, const uint64_t *candidates)
{
	struct kvm_fpr_arm args = fpr_arm_args(BENCH_GPA, npages * PAGE, candidates);
	uint64_t took = arm(b, &args);

	TEST_ASSERT(!args.size, "0x%llx bytes were left", args.size);
	assert_log(b, all);
	return took;
}

/* The candidates are what CLEAR is compared over. */
static void bench_candidates(struct bench *b)
{
	uint64_t cleared[repeats], armed[repeats];
	unsigned int i;

	if (!has_candidates())
		return;

	for (i = 0; i < repeats; i++) {
		make_all_dirty(b);
		cleared[i] = clear(b, quarter);

		make_all_dirty(b);
		armed[i] = arm_candidates(b, quarter);
	}
	print_figures("clear_candidates", cleared);
	print_figures("arm_candidates", armed);
}

static void bench_start(struct bench *b, const char *figure,
			void (*make_state)(struct bench *b))
{
	uint64_t armed[repeats];
	unsigned int i;

	if (!has_candidates())
		return;

	for (i = 0; i < repeats; i++) {
		make_state(b);
		armed[i] = arm_candidates(b, three_quarters);
	}
	print_figures(figure, armed);
}

/* Sets @count different runs of @run pages each, at random multiples of it. */
static void choose_pages(uint64_t *pages, unsigned int count, unsigned int run)
{
	unsigned int first, i;

	while (count) {
		first = random() % (npages / run) * run;
		if (pages[first / 64] >> (first % 64) & 1)
			continue;
		for (i = first; i < first + run; i++)
			pages[i / 64] |= 1ull << (i % 64);
		count--;
	}
}

static void choose_all_pages(void)
{
	memset(all, 0xff, bitmap_bytes());
	srandom(1);
	choose_pages(hundredth, npages / 100, 1);
	choose_pages(quarter, npages / HUGE_PAGES / 4, HUGE_PAGES);
	choose_pages(three_quarters, npages / HUGE_PAGES / 4 * 3, HUGE_PAGES);
	printf("pages=%u\n", npages);
	printf("pages_1pct=%u\n", npages / 100);
	printf("pages_candidates=%u\n", npages / HUGE_PAGES / 4 * HUGE_PAGES);
}

static void bench_small_pages(void)
{
	struct bench b;

	make_vm(&b, MADV_NOHUGEPAGE);
	set_logging(&b, true);
	bench_state(&b, "4k_all", make_all_dirty, all);
	bench_state(&b, "4k_1pct", make_hundredth_dirty, hundredth);
	bench_arm_nothing(&b);
	bench_set(&b);
	bench_get(&b);
	bench_candidates(&b);
	bench_start(&b, "arm_start_4k", make_all_dirty);
	kvm_vm_free(b.vm);
}

static void bench_huge_pages(void)
{
	struct bench b;

	make_vm(&b, MADV_HUGEPAGE);
	bench_state(&b, "thp_all", make_huge_dirty, all);
	bench_start(&b, "arm_start_thp", make_huge_dirty);
	guest_write(&b, all);
	bench_state(&b, "thp_1pct", make_hundredth_dirty, hundredth);
	kvm_vm_free(b.vm);
}

static void help(const char *name)
{
	printf("usage: %s [-m MIB] [-r REPEATS] [-s]\n"
	       " -m: size of the memslot, a multiple of 8 up to %u (default %u)\n"
	       " -r: how often every figure is taken (default %u)\n"
	       " -s: no figures of huge pages, which shadow paging does not map here\n",
	       name, MAX_PAGES / 256, npages / 256, repeats);
}

int main(int argc, char *argv[])
{
	int opt;

	while ((opt = getopt(argc, argv, "hm:r:s")) != -1) {
		switch (opt) {
		case 'm':
			npages = atoi_positive("Size", optarg) * 256;
			break;
		case 'r':
			repeats = atoi_positive("Repeats", optarg);
			break;
		case 's':
			small_only = true;
			break;
		default:
			help(argv[0]);
			return opt == 'h' ? 0 : 2;
		}
	}
	TEST_ASSERT(npages <= MAX_PAGES && !(npages % (4 * HUGE_PAGES)),
		    "%u MiB is not a multiple of 8 up to %u", npages / 256,
		    MAX_PAGES / 256);
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_FREE_PAGE_FILTER));

	choose_all_pages();
	check_clock();
	bench_small_pages();
	if (!small_only)
		bench_huge_pages();
	return 0;
}
