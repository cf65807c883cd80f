// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free page filter: what ARM protects, in memslots that begin and end anywhere
 * and span several page tables, mapped by 4KiB, by 2MiB and not at all.
 *
 * A model with a byte for each page says what the dirty log and the confirmed
 * bitmap must be.  A page that ARM failed to protect shows as confirmed although
 * it was written.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fpr_arch.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "fpr_harness.h"
#include "fpr_util.h"

#define SLOT		10
#define MAX_PAGES	4096u
#define WORDS		(MAX_PAGES / 64)
#define ROUNDS		12

/* A page for each bit; the slot's first page is @first. */
static uint64_t to_write[WORDS];
static unsigned int first, npages;

static bool dirty[MAX_PAGES];
static bool touched[MAX_PAGES];

static void guest_code(void)
{
	unsigned int i;

	for (;;) {
		for (i = 0; i < npages; i++) {
			if (to_write[i / 64] >> (i % 64) & 1)
				WRITE_ONCE(*(uint64_t *)(GPA + (first + i) * PAGE), i);
		}
		GUEST_SYNC(0);
	}
}

/* Bits of pages of the slot: none, all, few, many, or a run. */
static void choose_pages(uint64_t *pages)
{
	unsigned int kind = random() % 5, start = random() % npages, i;
	unsigned int length = 1 + random() % (npages - start);
	bool in;

	memset(pages, 0, WORDS * 8);
	for (i = 0; i < npages; i++) {
		in = kind == 1 || (kind == 2 && !(random() % 100)) ||
		     (kind == 3 && random() % 100) ||
		     (kind == 4 && i >= start && i < start + length);
		pages[i / 64] |= (uint64_t)in << (i % 64);
	}
}

FIXTURE(walk)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	char *mem;
};

FIXTURE_VARIANT(walk)
{
	uint64_t initially_set;
	int advice;
};

FIXTURE_VARIANT_ADD(walk, small)
{
	.advice = MADV_NOHUGEPAGE,
};

FIXTURE_VARIANT_ADD(walk, huge)
{
	.advice = MADV_HUGEPAGE,
};

FIXTURE_VARIANT_ADD(walk, small_initially_set)
{
	.initially_set = KVM_DIRTY_LOG_INITIALLY_SET,
	.advice = MADV_NOHUGEPAGE,
};

FIXTURE_VARIANT_ADD(walk, huge_initially_set)
{
	.initially_set = KVM_DIRTY_LOG_INITIALLY_SET,
	.advice = MADV_HUGEPAGE,
};

FIXTURE_SETUP(walk)
{
	const size_t size = MAX_PAGES * PAGE, align = 512 * PAGE;
	char *mem;

	self->vm = __vm_create_with_one_vcpu(&self->vcpu, MAX_PAGES, guest_code);
	vm_enable_cap(self->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | variant->initially_set);
	mem = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, "mmap of guest memory");
	self->mem = (char *)align_up((uintptr_t)mem, align);
	TEST_ASSERT(!madvise(self->mem, size, variant->advice), "madvise");
	memset(self->mem, 1, size);
	virt_map(self->vm, GPA, GPA, MAX_PAGES);
}

FIXTURE_TEARDOWN(walk)
{
	kvm_vm_free(self->vm);
}

static void set_slot(FIXTURE_DATA(walk) *self, bool exists, bool log)
{
	vm_set_user_memory_region(self->vm, SLOT, log ? KVM_MEM_LOG_DIRTY_PAGES : 0,
				  GPA + first * PAGE, exists ? npages * PAGE : 0,
				  self->mem + first * PAGE);
}

static void guest_write(FIXTURE_DATA(walk) *self)
{
	unsigned int i;
	struct ucall uc;

	choose_pages(to_write);
	for (i = 0; i < npages; i++) {
		dirty[i] |= has_bit(to_write, i);
		touched[i] |= has_bit(to_write, i);
	}
	sync_global_to_guest(self->vm, first);
	sync_global_to_guest(self->vm, npages);
	sync_global_to_guest(self->vm, to_write);
	vcpu_run(self->vcpu);
	TEST_ASSERT(get_ucall(self->vcpu, &uc) == UCALL_SYNC,
		    "the guest stopped unexpectedly");
}

static void check_log(FIXTURE_DATA(walk) *self)
{
	uint64_t log[WORDS] = {};
	unsigned int i;

	kvm_vm_get_dirty_log(self->vm, SLOT, log);
	for (i = 0; i < npages; i++)
		TEST_ASSERT(has_bit(log, i) == dirty[i],
			    "dirty log: page %u of %u+%u is %d", i, first, npages,
			    has_bit(log, i));
}

static void clear(FIXTURE_DATA(walk) *self)
{
	uint64_t pages[WORDS];
	unsigned int i;

	choose_pages(pages);
	for (i = 0; i < npages; i++)
		dirty[i] &= !has_bit(pages, i);
	kvm_vm_clear_dirty_log(self->vm, SLOT, pages, 0, npages);
}

static uint64_t arm(FIXTURE_DATA(walk) *self)
{
	memset(touched, 0, sizeof(touched));
	return fpr_arm(self->vm);
}

static void report(FIXTURE_DATA(walk) *self, uint64_t epoch)
{
	uint64_t pages[WORDS], confirmed[WORDS] = {};
	struct kvm_fpr_bitmap args = fpr_set_args(epoch, GPA + first * PAGE, npages * PAGE,
						  pages, confirmed);
	unsigned int i;

	choose_pages(pages);
	vm_ioctl(self->vm, KVM_FPR_SET_BITMAP, &args);
	for (i = 0; i < npages; i++) {
		TEST_ASSERT(has_bit(confirmed, i) == (has_bit(pages, i) && !touched[i]),
			    "confirmed: page %u of %u+%u is %d", i, first, npages,
			    has_bit(confirmed, i));
		dirty[i] &= !has_bit(confirmed, i);
	}
}

TEST_F(walk, arm_protects_every_page)
{
	unsigned int round, step;
	uint64_t epoch;

	srandom(1);
	for (round = 0; round < ROUNDS; round++) {
		first = random() % (MAX_PAGES - 1);
		npages = 1 + random() % (MAX_PAGES - first);

		/* Mapped without logging first, by huge pages where that can be. */
		set_slot(self, true, false);
		guest_write(self);
		set_slot(self, true, true);
		memset(dirty, !!variant->initially_set, sizeof(dirty));
		for (step = 0; step < 4; step++) {
			guest_write(self);
			if (random() % 2)
				clear(self);
			if (random() % 2)
				guest_write(self);
			epoch = arm(self);
			check_log(self);
			guest_write(self);
			report(self, epoch);
			check_log(self);
			guest_write(self);
			check_log(self);
		}
		set_slot(self, false, false);
	}
}

int main(int argc, char *argv[])
{
	return test_harness_run(argc, argv);
}
