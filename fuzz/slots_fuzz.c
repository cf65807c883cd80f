// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzes how QEMU hands a report to KVM and drops what KVM confirms: kvm-fpr.c as it is, with
 * memory slots, regions and a KVM that the input makes.
 *
 * What must hold: pages are asked for, dropped, and taken out of the slots' copies of the log just
 * where an oracle that looks at every page and slot says so; and how often slots are looked at does
 * not depend on how scattered the pages are.
 */
#include "qemu_stand_in.h"

#include <errno.h>

#define SMALL_PAGES	192	/* of guest physical address space, and of memory */
#define MAX_SLOTS	12
#define MAX_AS		2
#define BASE		(3 * GiB)

/* QEMU, as kvm-fpr.c sees it */

#define HOST_BIG_ENDIAN			0
#define KVM_FPR_WORDS			(SMALL_PAGES / BITS_PER_LONG)

typedef struct GArray {
	char *data;
	unsigned int len;
	size_t size;
} GArray;

static GArray *g_array_new(bool terminated, bool cleared, size_t size)
{
	GArray *array = calloc(1, sizeof(*array));

	(void)terminated, (void)cleared;
	MUST(array);
	array->data = calloc(1024, size);
	MUST(array->data);
	array->size = size;
	return array;
}

static void append(GArray *array, const void *item)
{
	MUST(array->len < 1024);
	memcpy(array->data + array->len++ * array->size, item, array->size);
}

static void free_array(GArray **array)
{
	free((*array)->data);
	free(*array);
}

#define g_array_append_val(array, item)		append(array, &(item))
#define g_array_index(array, type, i)		(((type *)(void *)(array)->data)[i])
#define g_array_sort_with_data(array, order, opaque) \
	qsort_r((array)->data, (array)->len, (array)->size, order, opaque)
#define g_autoptr(type)			__attribute__((cleanup(free_array))) type *

#define bitmap_zero(map, nr)		memset(map, 0, DIV_ROUND_UP(nr, BITS_PER_LONG) * 8)
#define bitmap_empty(map, nr)		(find_first_bit(map, nr) >= (nr))

static void bitmap_copy_with_src_offset(unsigned long *to, const unsigned long *from,
					unsigned long offset, unsigned long nr)
{
	unsigned long i;

	bitmap_zero(to, nr);
	for (i = find_next_bit(from, offset + nr, offset); i < offset + nr;
	     i = find_next_bit(from, offset + nr, i + 1))
		set_bit(i - offset, to);
}

typedef struct KVMSlot {
	hwaddr start_addr;
	ram_addr_t memory_size;
	void *ram;
	int flags, as_id;
	unsigned long *dirty_bmap;
	ram_addr_t ram_start_offset;
	/* The oracle's */
	unsigned int kind;
	bool fails;
	unsigned long bmap[KVM_FPR_WORDS];
	unsigned long was[KVM_FPR_WORDS];
} KVMSlot;

typedef struct KVMMemoryListener {
	KVMSlot *slots;
	unsigned int nr_slots;
} KVMMemoryListener;

typedef struct KVMState {
	int nr_as;
	struct { KVMMemoryListener *ml; } as[MAX_AS];
} KVMState;

static KVMState state;
static KVMState *kvm_state = &state;

#define kvm_dirty_ring_enabled()	false
#define kvm_vm_check_extension(s, cap)	((void)(s), (void)(cap), 0)

/* What a slot's memory is */
enum { RAM, ROM, ROMD, NOTHING, NR_KINDS };

#define memory_region_is_ram(mr)	((mr)->kind == RAM || (mr)->kind == ROM)
#define memory_region_is_rom(mr)	((mr)->kind == ROM)
#define memory_region_is_romd(mr)	((mr)->kind == ROMD)

static MemoryRegion *memory_region_from_host(void *host, ram_addr_t *offset);
static int kvm_vm_ioctl(KVMState *s, unsigned long request, void *arg);
static bool ranges_overlap(uint64_t first1, uint64_t len1, uint64_t first2, uint64_t len2);
#define KVM_STATE(as)			((void)(as), kvm_state)

/* The condition of each loop over all slots: counts those that are looked at. */
static unsigned int visit(void);

#define nr_slots_allocated	nr_slots + 0 * visit()
#include "../qemu/accel/kvm/kvm-fpr.c"
#undef nr_slots_allocated

static struct world {
	bool locked;
	unsigned int visits, ioctls;
	uint8_t confirms;
	KVMSlot *asked;			/* whose pages KVM was last asked for */
	unsigned long dropped[MAX_SLOTS][KVM_FPR_WORDS];
} world;

static KVMSlot slots[MAX_AS][MAX_SLOTS];
static KVMMemoryListener listeners[MAX_AS];

int kvm_with_slots_locked(KVMState *s, KVMSlotsFunc *func, void *opaque)
{
	int ret;

	MUST(s == kvm_state && !world.locked);
	world.locked = true;
	ret = func(s, opaque);
	MUST(world.locked);
	world.locked = false;
	return ret;
}

static unsigned int visit(void)
{
	return ++world.visits;
}

static bool ranges_overlap(uint64_t first1, uint64_t len1, uint64_t first2, uint64_t len2)
{
	return first1 < first2 + len2 && first2 < first1 + len1;
}

static MemoryRegion *memory_region_from_host(void *host, ram_addr_t *offset)
{
	static MemoryRegion regions[NR_KINDS];
	unsigned int as, i;

	*offset = 0;
	for (as = 0; as < MAX_AS; as++) {
		for (i = 0; i < listeners[as].nr_slots; i++) {
			if (slots[as][i].ram != host || slots[as][i].kind == NOTHING)
				continue;
			regions[slots[as][i].kind].kind = slots[as][i].kind;
			return &regions[slots[as][i].kind];
		}
	}
	return NULL;
}

static KVMSlot *slot_at(hwaddr gpa)
{
	unsigned int i;

	for (i = 0; i < listeners[0].nr_slots; i++) {
		if (slots[0][i].memory_size && gpa - slots[0][i].start_addr < slots[0][i].memory_size)
			return &slots[0][i];
	}
	return NULL;
}

/* Signals come, and a slot may be newer than the epoch. */
static int kvm_vm_ioctl(KVMState *s, unsigned long request, void *argument)
{
	struct kvm_fpr_bitmap *arg = argument;
	unsigned long *free_pages = (unsigned long *)(uintptr_t)arg->bitmap;
	unsigned long *confirmed = (unsigned long *)(uintptr_t)arg->confirmed;
	unsigned long i, n = arg->size >> HOST_PAGE_SHIFT;
	KVMSlot *slot = slot_at(arg->gpa);

	(void)s;
	MUST(request == KVM_FPR_SET_BITMAP && world.locked);
	MUST(slot && arg->size && arg->gpa + arg->size <= slot->start_addr + slot->memory_size);
	MUST(arg->flags == KVM_FPR_SET_CONFIRM && arg->epoch == 7);
	world.asked = slot;
	if (++world.ioctls % 3 == 0)
		return -EINTR;
	if (slot->fails)
		return -ESTALE;
	/* A signal came in between. */
	if (world.ioctls % 3 == 1 && n > BITS_PER_LONG)
		n = BITS_PER_LONG;
	for (i = 0; i < DIV_ROUND_UP(n, BITS_PER_LONG); i++)
		confirmed[i] = free_pages[i] & ~0ul / 255 * world.confirms;
	arg->nr_confirmed += (uint64_t)bitmap_count_one(confirmed, n);
	arg->gpa += n << HOST_PAGE_SHIFT;
	arg->size -= n << HOST_PAGE_SHIFT;
	arg->bitmap += n / 8;
	arg->confirmed += n / 8;
	return 0;
}

/* FreePageDropFunc */
static void drop(void *host, const unsigned long *confirmed, unsigned long npages)
{
	KVMSlot *slot = world.asked;
	unsigned long i, first = ((uintptr_t)host - (uintptr_t)slot->ram) >> HOST_PAGE_SHIFT;

	MUST(world.locked && (first + npages) << HOST_PAGE_SHIFT <= slot->memory_size);
	for (i = find_first_bit(confirmed, npages); i < npages;
	     i = find_next_bit(confirmed, npages, i + 1))
		set_bit(first + i, world.dropped[slot - slots[0]]);
}

/* The oracle */

static bool same_range(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	uint64_t page;

	for (page = a; page < a + alen; page += 1 << HOST_PAGE_SHIFT) {
		if (page >= b && page < b + blen)
			return true;
	}
	return false;
}

static bool agree(const KVMSlot *slot, const KVMSlot *other)
{
	bool touch = same_range(slot->start_addr, slot->memory_size, other->start_addr, other->memory_size) ||
		     same_range(slot->ram_start_offset, slot->memory_size,
				other->ram_start_offset, other->memory_size);

	return !touch || (slot->start_addr - slot->ram_start_offset ==
			  other->start_addr - other->ram_start_offset &&
			  !(other->flags & KVM_MEM_READONLY));
}

static bool usable(const KVMSlot *slot)
{
	unsigned int as, i;

	if (!slot->dirty_bmap || slot->flags != KVM_MEM_LOG_DIRTY_PAGES || slot->kind != RAM)
		return false;
	for (as = 0; as < MAX_AS; as++) {
		for (i = 0; i < listeners[as].nr_slots; i++) {
			if (slots[as][i].memory_size && !agree(slot, &slots[as][i]))
				return false;
		}
	}
	return true;
}

static bool bit(const unsigned long *map, unsigned long nr)
{
	return map[nr / BITS_PER_LONG] >> nr % BITS_PER_LONG & 1;
}

/* Whether KVM confirms a page of the report: its pattern begins again in each slot. */
static bool confirmed_page(const FreePageReport *report, const KVMSlot *slot, unsigned long page)
{
	hwaddr start = MAX(report->base + (report->first << HOST_PAGE_SHIFT), slot->start_addr);
	unsigned long n = page - ((start - report->base) >> HOST_PAGE_SHIFT);

	return page >= report->first && page < report->end && bit(report->free, page) &&
	       world.confirms >> n % 8 & 1 && !slot->fails;
}

static void check_slot(const FreePageReport *report, const KVMSlot *slot, bool may_drop)
{
	unsigned long i, page;

	for (i = 0; i < slot->memory_size >> HOST_PAGE_SHIFT; i++) {
		page = ((slot->start_addr - report->base) >> HOST_PAGE_SHIFT) + i;
		MUST(bit(world.dropped[slot - slots[0]], i) ==
		     (may_drop && confirmed_page(report, slot, page)));
	}
}

/* A page that was dropped is in no slot's copy of the log; every other one is as it was. */
static void check_log(const KVMSlot *slot)
{
	const KVMSlot *owner;
	unsigned long i;
	hwaddr gpa;
	bool gone;

	for (i = 0; slot->dirty_bmap && i < slot->memory_size >> HOST_PAGE_SHIFT; i++) {
		gpa = slot->start_addr + (i << HOST_PAGE_SHIFT);
		owner = slot_at(gpa);
		gone = owner && bit(world.dropped[owner - slots[0]],
				    (gpa - owner->start_addr) >> HOST_PAGE_SHIFT);
		MUST(bit(slot->dirty_bmap, i) == (!gone && bit(slot->was, i)));
	}
}

/* Slots of one address space do not overlap. */
static bool fits(unsigned int as, const KVMSlot *slot)
{
	unsigned int i;

	for (i = 0; i < listeners[as].nr_slots; i++) {
		if (same_range(slot->start_addr, slot->memory_size, slots[as][i].start_addr, slots[as][i].memory_size))
			return false;
	}
	return true;
}

static void add_slot(struct input *input)
{
	unsigned int what = (unsigned int)input_number(input, 1), as = what & 1;
	unsigned int i, n = listeners[as].nr_slots;
	unsigned long first = input_number(input, 1) % SMALL_PAGES;
	unsigned long pages = 1 + input_number(input, 1) % (SMALL_PAGES - first);
	unsigned long offset = input_number(input, 1) % SMALL_PAGES;
	KVMSlot *slot = &slots[as][n];

	memset(slot, 0, sizeof(*slot));
	slot->as_id = (int)as;
	slot->start_addr = BASE + (first << HOST_PAGE_SHIFT);
	slot->memory_size = pages << HOST_PAGE_SHIFT;
	/* Most memory is at the same distance from its address. */
	slot->ram_start_offset = (what & 2 ? offset : first) << HOST_PAGE_SHIFT;
	slot->flags = (what & 4 ? 0 : KVM_MEM_LOG_DIRTY_PAGES) | (what & 8 ? KVM_MEM_READONLY : 0);
	slot->kind = what & 16 ? (what >> 5) % NR_KINDS : RAM;
	slot->fails = (what & 0xf0) == 0xe0;
	slot->ram = (void *)(uintptr_t)((1ull << 40) + (((uint64_t)as * MAX_SLOTS + n) << 32));
	if (n == MAX_SLOTS || !fits(as, slot))
		return;
	if ((what & 0xf0) != 0xc0)
		slot->dirty_bmap = slot->bmap;
	for (i = 0; i < KVM_FPR_WORDS; i++)
		slot->bmap[i] = ~0ul / 0xff * (uint8_t)(what ^ 0x5a);
	memcpy(slot->was, slot->bmap, sizeof(slot->was));
	listeners[as].nr_slots++;
}

static void set_up(void)
{
	unsigned int as;

	memset(&world, 0, sizeof(world));
	state.nr_as = MAX_AS;
	for (as = 0; as < MAX_AS; as++) {
		listeners[as] = (KVMMemoryListener){ .slots = slots[as] };
		state.as[as].ml = &listeners[as];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned long free_pages[KVM_FPR_WORDS], part[KVM_FPR_WORDS], confirmed[KVM_FPR_WORDS];
	struct input input = { data, size };
	FreePageReport report = { .epoch = 7, .base = BASE, .free = free_pages, .part = part,
				.confirmed = confirmed };
	unsigned int i, nr = (unsigned int)input_number(&input, 1) % (2 * MAX_SLOTS), all;

	set_up();
	world.confirms = (uint8_t)input_number(&input, 1);
	for (i = 0; i < nr; i++)
		add_slot(&input);
	report.first = input_number(&input, 1) % SMALL_PAGES;
	report.end = report.first + 1 + input_number(&input, 1) % (SMALL_PAGES - report.first);
	for (i = 0; i < KVM_FPR_WORDS; i++)
		free_pages[i] = input_number(&input, 8);
	bitmap_clear(free_pages, 0, report.first);
	bitmap_clear(free_pages, report.end, SMALL_PAGES - report.end);
	all = listeners[0].nr_slots + listeners[1].nr_slots;

	kvm_fpr_ops.set_bitmap(current_accel(), &report, drop);

	MUST(!world.locked);
	for (i = 0; i < listeners[0].nr_slots; i++)
		check_slot(&report, &slots[0][i], usable(&slots[0][i]));
	for (i = 0; i < listeners[0].nr_slots; i++)
		check_log(&slots[0][i]);
	for (i = 0; i < listeners[1].nr_slots; i++)
		check_log(&slots[1][i]);
	/* All of them twice, however many it is about and however many runs it has. */
	MUST(world.visits <= (all + MAX_AS) * 2);
	return 0;
}
