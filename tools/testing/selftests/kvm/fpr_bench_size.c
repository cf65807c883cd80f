// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM_FPR_ARM and KVM_FPR_SET_BITMAP cost by the size of the memory.
 *
 * Run as fpr_bench is, whose form of figures it prints, on a host with 5 GiB and 46
 * bits of physical addresses ("make bench").  The memslots have up to 24 TiB, in
 * three slots, as large as KVM takes them.  The memory is reserved and nobody touches
 * it, so this is the cost of bitmaps and of looking for pages that could be
 * protected.  All pages are in the dirty log, as at a migration's start.
 *
 * arm_first_*	the first ARM since logging was switched on, which makes T
 * arm_*	the second one
 * set_*	a report that all is free, of one GiB; of at most SETS of them
 * t_bytes_*	by how much the first ARM made vmalloc's memory grow, which has T where
 *		a slot is large
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "fpr_util.h"

#define SLOT		10
#define BASE		0x10000000000ul
#define GIB_PAGES	0x40000ul
/* KVM takes less than 2^31 pages in a slot. */
#define MAX_GIB		8192u
#define SETS		64u

static const unsigned int sizes[] = { 1, 64, 1024, 3 * MAX_GIB };
static unsigned int repeats = 3;

static uint64_t report[GIB_PAGES / 64];
static uint64_t confirmed[GIB_PAGES / 64];

static void guest_code(void)
{
	GUEST_SYNC(0);
}

static uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static uint64_t vmalloc_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	uint64_t kib = 0;
	char line[128];

	TEST_ASSERT(file, "/proc/meminfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), file) &&
	       sscanf(line, "VmallocUsed: %lu", &kib) != 1)
		;
	fclose(file);
	TEST_ASSERT(kib, "/proc/meminfo has no VmallocUsed");
	return kib * 1024;
}

static void print_figures(const char *name, unsigned int gib, const uint64_t *took,
			  unsigned int n)
{
	unsigned int i;

	printf("%s_%u_gib=", name, gib);
	for (i = 0; i < n; i++)
		printf("%s%lu", i ? "," : "", took[i]);
	printf("\n");
}

static void set_slots(struct kvm_vm *vm, char *mem, unsigned int gib, uint32_t flags)
{
	unsigned int first, n;
	uint64_t npages;

	for (first = 0; first < gib; first += n) {
		n = gib - first < MAX_GIB ? gib - first : MAX_GIB;
		npages = n * GIB_PAGES - (n == MAX_GIB);
		vm_set_user_memory_region(vm, SLOT + first / MAX_GIB, flags,
					  BASE + first * GIB_PAGES * PAGE, npages * PAGE,
					  mem + first * GIB_PAGES * PAGE);
	}
}

static uint64_t arm(struct kvm_vm *vm, uint64_t *epoch)
{
	uint64_t start = clock_now();

	*epoch = fpr_arm(vm);
	return clock_now() - start;
}

/* Of the GiB that begins at @first; the last page of a slot is in none. */
static uint64_t set(struct kvm_vm *vm, uint64_t epoch, unsigned int first)
{
	struct kvm_fpr_bitmap args =
		fpr_set_args(epoch, BASE + first * GIB_PAGES * PAGE, GIB_PAGES * PAGE,
			     report, confirmed);
	uint64_t start = clock_now(), took;
	int r;

	r = __vm_ioctl(vm, KVM_FPR_SET_BITMAP, &args);
	took = clock_now() - start;
	TEST_ASSERT(!r && !args.size, "KVM_FPR_SET_BITMAP: %s", strerror(errno));
	TEST_ASSERT(args.nr_filtered >= GIB_PAGES - 1,
		    "%llu pages of a GiB were filtered", args.nr_filtered);
	return took;
}

static void bench_size(unsigned int gib)
{
	const unsigned int sets = gib < SETS ? gib : SETS;
	uint64_t first[repeats], second[repeats], took[repeats * sets];
	uint64_t t_bytes[repeats], before, epoch;
	const size_t size = gib * GIB_PAGES * PAGE;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	unsigned int i, j;
	char *mem;

	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	vm_enable_cap(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
		      KVM_DIRTY_LOG_INITIALLY_SET);
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, "%u GiB cannot be reserved: %s", gib,
		    strerror(errno));
	set_slots(vm, mem, gib, 0);
	vcpu_run(vcpu);

	for (i = 0; i < repeats; i++) {
		set_slots(vm, mem, gib, LOG);
		before = vmalloc_bytes();
		first[i] = arm(vm, &epoch);
		t_bytes[i] = vmalloc_bytes() - before;
		second[i] = arm(vm, &epoch);
		for (j = 0; j < sets; j++)
			took[i * sets + j] = set(vm, epoch, gib / sets * j);
		set_slots(vm, mem, gib, 0);
	}
	print_figures("arm_first", gib, first, repeats);
	print_figures("arm", gib, second, repeats);
	print_figures("set", gib, took, repeats * sets);
	print_figures("t_bytes", gib, t_bytes, repeats);

	kvm_vm_free(vm);
	munmap(mem, size);
}

static void help(const char *name)
{
	printf("usage: %s [-r REPEATS]\n"
	       " -r: how often every figure is taken (default %u)\n", name, repeats);
}

int main(int argc, char *argv[])
{
	unsigned int i;
	int opt;

	while ((opt = getopt(argc, argv, "hr:")) != -1) {
		switch (opt) {
		case 'r':
			repeats = atoi_positive("Repeats", optarg);
			break;
		default:
			help(argv[0]);
			return opt == 'h' ? 0 : 2;
		}
	}
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_FREE_PAGE_FILTER));

	memset(report, 0xff, sizeof(report));
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		bench_size(sizes[i]);
	return 0;
}
