// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CLEAR_DIRTY_LOG of 64 pages that two huge pages map: a write to any of them
 * must be in the next log.
 *
 * With KVM_DIRTY_LOG_INITIALLY_SET huge pages stay writable until CLEAR.  Unless
 * eager_page_split splits them then, KVM has to protect each of the two.  Run
 * once with the parameter off: with it on nothing is seen of it.
 */
#include <string.h>
#include <sys/mman.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "kvm_test_harness.h"

/* Seconds: with shadow page tables, in an emulator that is busy, 30 may be short. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300

#define SLOT		10
#define PAGE		4096ul
#define HUGE_PAGES	512u
#define NR_HUGE		4u
/* The guest maps this much; the memslot begins before the second huge page. */
#define GPA		0x100000000ul
#define WORDS		(NR_HUGE * HUGE_PAGES / 64)

static uint64_t page_to_write;

static void guest_code(void)
{
	uint64_t i;

	for (;;) {
		if (page_to_write)
			WRITE_ONCE(*(uint64_t *)(GPA + page_to_write * PAGE), 1);
		else
			for (i = HUGE_PAGES; i < NR_HUGE * HUGE_PAGES; i++)
				WRITE_ONCE(*(uint64_t *)(GPA + i * PAGE), 1);
		GUEST_SYNC(0);
	}
}

static void guest_write(struct kvm_vcpu *vcpu, uint64_t page)
{
	struct ucall uc;

	page_to_write = page;
	sync_global_to_guest(vcpu->vm, page_to_write);
	vcpu_run(vcpu);
	TEST_ASSERT(get_ucall(vcpu, &uc) == UCALL_SYNC, "the guest stopped unexpectedly");
}

/*
 * A memslot whose page @before is the first of a huge page: clears the first 64
 * pages of the log, writes page @page of the slot and looks for it.
 */
static bool is_logged(char *mem, unsigned int before, unsigned int page)
{
	const unsigned int first = 2 * HUGE_PAGES - before;
	const unsigned int npages = NR_HUGE * HUGE_PAGES - first;
	uint64_t log[WORDS] = {}, word = ~0ull;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm = __vm_create_with_one_vcpu(&vcpu, NR_HUGE * HUGE_PAGES, guest_code);
	vm_enable_cap(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	virt_map(vm, GPA, GPA, NR_HUGE * HUGE_PAGES);

	/* Pages in front of the slot would be MMIO; the guest's loop begins there. */
	vm_set_user_memory_region(vm, SLOT + 1, 0, GPA + HUGE_PAGES * PAGE,
				  (first - HUGE_PAGES) * PAGE, mem + HUGE_PAGES * PAGE);
	vm_set_user_memory_region(vm, SLOT, 0, GPA + first * PAGE, npages * PAGE,
				  mem + first * PAGE);
	guest_write(vcpu, 0);
	vm_set_user_memory_region(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA + first * PAGE,
				  npages * PAGE, mem + first * PAGE);

	kvm_vm_clear_dirty_log(vm, SLOT, &word, 0, 64);
	guest_write(vcpu, first + page);
	kvm_vm_get_dirty_log(vm, SLOT, log);
	kvm_vm_free(vm);
	return log[page / 64] >> (page % 64) & 1;
}

/* Where the boundary between two huge pages lies in the 64 pages. */
TEST(write_after_clear_is_logged)
{
	static const unsigned int places[] = { 1, 32, 62, 63 };
	const size_t size = NR_HUGE * HUGE_PAGES * PAGE, align = HUGE_PAGES * PAGE;
	unsigned int i, before, lost = 0;
	char *area, *mem;

	area = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	mem = (char *)align_up((uintptr_t)area, align);
	ASSERT_EQ(0, madvise(mem, size, MADV_HUGEPAGE));
	memset(mem, 1, size);

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		before = places[i];
		if (is_logged(mem, before, before) && is_logged(mem, before, 63))
			continue;
		TH_LOG("a write was lost where %u of 64 pages lie before the boundary", before);
		lost++;
	}
	munmap(area, size + align);
	ASSERT_EQ(0, lost);
}

int main(int argc, char *argv[])
{
	return test_harness_run(argc, argv);
}
