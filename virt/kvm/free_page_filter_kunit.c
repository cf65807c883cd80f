// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit test of the free page filter: what it does with words of bitmaps, against
 * the same done bit by bit.  Part of free_page_filter.c, whose functions are
 * static.
 */
#include <kunit/test.h>
#include <linux/kthread.h>
#include <linux/prandom.h>

#define FPR_KUNIT_SEED		2024
/* Lengths of memslots, up to one that fills two words at any alignment. */
#define FPR_KUNIT_SLOT_PAGES	(2 * BITS_PER_LONG + 2)
#define FPR_KUNIT_SLOT_LONGS	BITS_TO_LONGS(FPR_KUNIT_SLOT_PAGES)
#define FPR_KUNIT_START		0x123457ul
#define FPR_KUNIT_NR_AS		2
#define FPR_KUNIT_ROUNDS	20000

/* Where a memslot lies: at the chunk's beginning, across it, or across its end. */
enum fpr_kunit_place { FPR_KUNIT_FIRST, FPR_KUNIT_ACROSS, FPR_KUNIT_LAST };

#define FPR_KUNIT_NR_PLACES	3

/* What the filter is given, and what it should make of it. */
struct fpr_kunit_want {
	struct fpr_chunk chunk;
	struct fpr_result result;
	unsigned long dirty[FPR_KUNIT_NR_AS][FPR_KUNIT_SLOT_LONGS];
	unsigned long touched[FPR_KUNIT_NR_AS][FPR_KUNIT_SLOT_LONGS];
};

struct fpr_kunit {
	/* It could not run: it has locks and memslots, and no more. */
	struct kvm *kvm;
	struct kvm_memory_slot slots[FPR_KUNIT_NR_AS];
	struct fpr_chunk chunk;
	struct fpr_result result;
	struct fpr_kunit_want want;
	struct rnd_state rnd;
};

/* One failure tells as much as thousands of the same kind. */
static bool fpr_kunit_failed(struct kunit *test)
{
	return READ_ONCE(test->status) == KUNIT_FAILURE;
}

/* A number from 0 to @n - 1. */
static unsigned long fpr_kunit_below(struct fpr_kunit *k, unsigned long n)
{
	return prandom_u32_state(&k->rnd) % n;
}

static unsigned long fpr_kunit_word(struct fpr_kunit *k)
{
	return prandom_u32_state(&k->rnd) |
	       (u64)prandom_u32_state(&k->rnd) << 32;
}

static void fpr_kunit_words(struct fpr_kunit *k, unsigned long *words, size_t n)
{
	while (n--)
		*words++ = fpr_kunit_word(k);
}

/*
 * Give an address space its only memslot.  The bitmaps are no longer than they have
 * to be, for KASAN to see what goes beyond.
 */
static void fpr_kunit_add_slot(struct kunit *test, int as_id,
			       unsigned long npages)
{
	struct fpr_kunit *k = test->priv;
	struct kvm_memory_slot *slot = &k->slots[as_id];
	struct kvm_memslots *slots = &k->kvm->__memslots[as_id][0];

	*slot = (struct kvm_memory_slot) { .npages = npages, .as_id = as_id };
	slot->dirty_bitmap = kunit_kzalloc(test, kvm_dirty_bitmap_bytes(slot),
					   GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, slot->dirty_bitmap);
	slot->fpr.touched = kunit_kzalloc(test,
					  sizeof(*slot->fpr.touched) +
					  kvm_dirty_bitmap_bytes(slot),
					  GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, slot->fpr.touched);
	rb_link_node(&slot->gfn_node[0], NULL, &slots->gfn_tree.rb_node);
	rb_insert_color(&slot->gfn_node[0], &slots->gfn_tree);
}

static void fpr_kunit_remove_slot(struct kunit *test, int as_id)
{
	struct fpr_kunit *k = test->priv;

	k->kvm->__memslots[as_id][0].gfn_tree = RB_ROOT;
	atomic_long_set(&k->kvm->__memslots[as_id][0].last_used_slot, 0);
	kunit_kfree(test, k->slots[as_id].fpr.touched);
	kunit_kfree(test, k->slots[as_id].dirty_bitmap);
}

/* Put a memslot somewhere, armed there, with any content of the bitmaps. */
static void fpr_kunit_fill_slot(struct fpr_kunit *k, int as_id, gfn_t base)
{
	struct kvm_memory_slot *slot = &k->slots[as_id];
	size_t n = BITS_TO_LONGS(slot->npages);

	slot->base_gfn = base;
	/* All address spaces have the same memory at a gfn. */
	slot->userspace_addr = base << PAGE_SHIFT;
	fpr_kunit_words(k, slot->dirty_bitmap, n);
	fpr_kunit_words(k, slot->fpr.touched->bitmap, n);
	slot->fpr.touched->base_gfn = base;
}

/* A chunk of @npages with any report. */
static void fpr_kunit_fill_chunk(struct fpr_kunit *k, unsigned long npages)
{
	fpr_init_chunk(&k->chunk, gfn_to_gpa(FPR_KUNIT_START),
		       (u64)npages << PAGE_SHIFT);
	fpr_kunit_words(k, k->chunk.given + 1, BITS_TO_LONGS(npages));
	bitmap_clear(k->chunk.given + 1, npages,
		     round_up(npages, BITS_PER_LONG) - npages);
}

/* A slot and a chunk whose distance is @align, but for whole words. */
static void fpr_kunit_fill(struct fpr_kunit *k, enum fpr_kunit_place place,
			   unsigned long align)
{
	unsigned long npages = k->slots[0].npages;
	unsigned long length;
	long delta = align;

	if (place == FPR_KUNIT_LAST) {
		length = FPR_CHUNK_PAGES;
		delta += FPR_CHUNK_PAGES - 2 * BITS_PER_LONG;
	} else {
		if (place == FPR_KUNIT_ACROSS && npages + align > BITS_PER_LONG)
			delta -= BITS_PER_LONG;
		length = max(delta, 0) + 1 +
			 fpr_kunit_below(k, FPR_KUNIT_SLOT_PAGES);
	}
	fpr_kunit_fill_chunk(k, length);
	fpr_kunit_fill_slot(k, 0, FPR_KUNIT_START + delta);
}

/* Begin with what there is before; the oracle then changes it. */
static void fpr_kunit_snapshot(struct fpr_kunit *k)
{
	const struct kvm_memory_slot *slot;
	int as_id;
	size_t n;

	k->want.chunk = k->chunk;
	k->result = (struct fpr_result) {};
	k->want.result = k->result;
	for (as_id = 0; as_id < FPR_KUNIT_NR_AS; as_id++) {
		if (kvm_memslots_empty(&k->kvm->__memslots[as_id][0]))
			continue;
		slot = &k->slots[as_id];
		n = BITS_TO_LONGS(slot->npages) * sizeof(long);
		memcpy(k->want.dirty[as_id], slot->dirty_bitmap, n);
		memcpy(k->want.touched[as_id], slot->fpr.touched->bitmap, n);
	}
}

static bool fpr_kunit_as_wanted(struct fpr_kunit *k)
{
	const struct kvm_memory_slot *slot;
	int as_id;
	size_t n;

	for (as_id = 0; as_id < FPR_KUNIT_NR_AS; as_id++) {
		if (kvm_memslots_empty(&k->kvm->__memslots[as_id][0]))
			continue;
		slot = &k->slots[as_id];
		n = BITS_TO_LONGS(slot->npages) * sizeof(long);
		if (memcmp(k->want.dirty[as_id], slot->dirty_bitmap, n) ||
		    memcmp(k->want.touched[as_id], slot->fpr.touched->bitmap, n))
			return false;
	}
	return !memcmp(&k->want.chunk, &k->chunk, sizeof(k->chunk)) &&
	       !memcmp(&k->want.result, &k->result, sizeof(k->result));
}

/* The bit of page @i of @slot in the chunk's bitmaps, 0 if it is not there. */
static unsigned long fpr_kunit_bit(const struct fpr_kunit *k,
				   const struct kvm_memory_slot *slot,
				   unsigned long i)
{
	gfn_t gfn = slot->base_gfn + i;

	if (gfn < k->chunk.start || gfn >= k->chunk.end)
		return 0;
	return BITS_PER_LONG + gfn - k->chunk.start;
}

static void fpr_kunit_want_filtered(struct fpr_kunit *k, int as_id,
				    bool takes_part)
{
	const struct kvm_memory_slot *slot = &k->slots[as_id];
	struct fpr_kunit_want *want = &k->want;
	unsigned long i, bit;

	for (i = 0; i < slot->npages; i++) {
		bit = fpr_kunit_bit(k, slot, i);
		if (!bit || !test_bit(bit, want->chunk.given))
			continue;
		if (takes_part && !test_bit(i, want->touched[as_id])) {
			__set_bit(bit, want->chunk.agreed);
			want->result.nr_filtered +=
				__test_and_clear_bit(i, want->dirty[as_id]);
			continue;
		}
		__set_bit(bit, want->chunk.refused);
		want->result.nr_touched += takes_part;
	}
}

static void fpr_kunit_want_refused(struct fpr_kunit *k, int as_id,
				   bool takes_part)
{
	const struct kvm_memory_slot *slot = &k->slots[as_id];
	struct fpr_kunit_want *want = &k->want;
	unsigned long i, bit;

	for (i = 0; i < slot->npages; i++) {
		bit = fpr_kunit_bit(k, slot, i);
		if (!bit || !test_bit(bit, want->chunk.given))
			continue;
		if (takes_part && !test_bit(i, want->touched[as_id]))
			continue;
		__set_bit(bit, want->chunk.refused);
		want->result.nr_touched += takes_part;
	}
}

static void fpr_kunit_want_candidates(struct fpr_kunit *k, int as_id,
				      bool takes_part)
{
	const struct kvm_memory_slot *slot = &k->slots[as_id];
	unsigned long i, bit;

	for (i = 0; takes_part && i < slot->npages; i++) {
		bit = fpr_kunit_bit(k, slot, i);
		if (bit && test_bit(bit, k->want.chunk.given))
			__clear_bit(i, k->want.touched[as_id]);
	}
}

/* One of the filter's functions, and the oracle for it. */
struct fpr_kunit_op {
	void (*run)(struct fpr_kunit *k);
	void (*want)(struct fpr_kunit *k, int as_id, bool takes_part);
};

static void fpr_kunit_one(struct kunit *test, const struct fpr_kunit_op *op,
			  bool takes_part)
{
	struct fpr_kunit *k = test->priv;

	k->slots[0].fpr.touched->base_gfn = k->slots[0].base_gfn + !takes_part;
	fpr_kunit_snapshot(k);
	op->want(k, 0, takes_part);

	mutex_lock(&k->kvm->slots_lock);
	op->run(k);
	mutex_unlock(&k->kvm->slots_lock);

	KUNIT_EXPECT_TRUE_MSG(test, fpr_kunit_as_wanted(k),
			      "%lu pages from %lld on, of a chunk of %lld",
			      k->slots[0].npages,
			      k->slots[0].base_gfn - k->chunk.start,
			      k->chunk.end - k->chunk.start);
}

/* Every alignment, length and place; for some, a slot that has moved. */
static void fpr_kunit_sweep(struct kunit *test, const struct fpr_kunit_op *op)
{
	unsigned long align, npages, place;
	struct fpr_kunit *k = test->priv;

	for (npages = 1; npages <= FPR_KUNIT_SLOT_PAGES; npages++) {
		if (fpr_kunit_failed(test))
			return;
		fpr_kunit_add_slot(test, 0, npages);
		for (align = 0; align < BITS_PER_LONG; align++) {
			for (place = 0; place < FPR_KUNIT_NR_PLACES; place++) {
				fpr_kunit_fill(k, place, align);
				fpr_kunit_one(test, op, fpr_kunit_below(k, 8));
			}
		}
		fpr_kunit_remove_slot(test, 0);
		cond_resched();
	}
}

static void fpr_kunit_run_filter(struct fpr_kunit *k)
{
	fpr_filter_slot(k->kvm, &k->slots[0], &k->chunk, &k->result);
}

static void fpr_kunit_filter(struct kunit *test)
{
	fpr_kunit_sweep(test, &(struct fpr_kunit_op) {
		fpr_kunit_run_filter, fpr_kunit_want_filtered,
	});
}

static void fpr_kunit_run_refuse(struct fpr_kunit *k)
{
	fpr_refuse_slot(k->kvm, &k->slots[0], &k->chunk, &k->result);
}

static void fpr_kunit_refuse(struct kunit *test)
{
	fpr_kunit_sweep(test, &(struct fpr_kunit_op) {
		fpr_kunit_run_refuse, fpr_kunit_want_refused,
	});
}

static void fpr_kunit_run_candidates(struct fpr_kunit *k)
{
	fpr_add_candidates(k->kvm, &k->chunk);
}

static void fpr_kunit_candidates(struct kunit *test)
{
	fpr_kunit_sweep(test, &(struct fpr_kunit_op) {
		fpr_kunit_run_candidates, fpr_kunit_want_candidates,
	});
}

/* All that was given is refused. */
static void fpr_kunit_run_restore(struct fpr_kunit *k)
{
	bitmap_copy(k->chunk.refused, k->chunk.given, FPR_CHUNK_BITS);
	fpr_restore_chunk(k->kvm, &k->chunk);
}

static void fpr_kunit_want_restored(struct fpr_kunit *k, int as_id,
				    bool takes_part)
{
	const struct kvm_memory_slot *slot = &k->slots[as_id];
	struct fpr_kunit_want *want = &k->want;
	unsigned long i, bit;

	bitmap_copy(want->chunk.refused, want->chunk.given, FPR_CHUNK_BITS);
	for (i = 0; takes_part && i < slot->npages; i++) {
		bit = fpr_kunit_bit(k, slot, i);
		if (bit && test_bit(bit, want->chunk.given))
			__set_bit(i, want->dirty[as_id]);
	}
}

static void fpr_kunit_restore(struct kunit *test)
{
	fpr_kunit_sweep(test, &(struct fpr_kunit_op) {
		fpr_kunit_run_restore, fpr_kunit_want_restored,
	});
}

/* Whether the memslot of @as_id has the gfn. */
static bool fpr_kunit_maps(struct fpr_kunit *k, int as_id, gfn_t gfn)
{
	return gfn >= k->slots[as_id].base_gfn &&
	       gfn < k->slots[as_id].base_gfn + k->slots[as_id].npages;
}

static bool fpr_kunit_refuses(struct fpr_kunit *k, int as_id, gfn_t gfn)
{
	return fpr_kunit_maps(k, as_id, gfn) &&
	       test_bit(gfn - k->slots[as_id].base_gfn, k->want.touched[as_id]);
}

/* Whether address space 1 has memory at the gfn that address space 0 does not show. */
static bool fpr_kunit_hides(struct fpr_kunit *k, gfn_t gfn)
{
	const struct kvm_memory_slot *slot = &k->slots[1];

	return fpr_kunit_maps(k, 1, gfn) &&
	       (!fpr_kunit_maps(k, 0, gfn) ||
		slot->userspace_addr != slot->base_gfn << PAGE_SHIFT);
}

/* A gfn is disposable where nobody refuses, and dirty in all slots if one does. */
static void fpr_kunit_want_both(struct fpr_kunit *k, gfn_t gfn)
{
	unsigned long bit = BITS_PER_LONG + gfn - k->chunk.start;
	struct fpr_kunit_want *want = &k->want;
	bool refused = fpr_kunit_hides(k, gfn);
	int as_id;

	if (!test_bit(bit, k->chunk.given))
		return;

	want->result.nr_reported++;
	for (as_id = 0; as_id < FPR_KUNIT_NR_AS; as_id++) {
		if (!fpr_kunit_refuses(k, as_id, gfn))
			continue;
		refused = true;
		want->result.nr_touched++;
	}
	if (refused) {
		__clear_bit(bit, want->chunk.given);
		return;
	}
	for (as_id = 0; as_id < FPR_KUNIT_NR_AS; as_id++) {
		if (!fpr_kunit_maps(k, as_id, gfn))
			continue;
		want->result.nr_confirmed +=
			!__test_and_set_bit(bit, want->chunk.agreed);
		want->result.nr_filtered +=
			__test_and_clear_bit(gfn - k->slots[as_id].base_gfn,
					     want->dirty[as_id]);
	}
}

static void fpr_kunit_two(struct kunit *test, unsigned long align)
{
	struct fpr_kunit *k = test->priv;
	gfn_t gfn;

	fpr_kunit_fill(k, FPR_KUNIT_FIRST, align);
	fpr_kunit_fill_slot(k, 1, FPR_KUNIT_START + fpr_kunit_below(k, BITS_PER_LONG));
	/* Now and then it is other memory. */
	if (!fpr_kunit_below(k, 4))
		k->slots[1].userspace_addr += PAGE_SIZE;
	fpr_kunit_snapshot(k);
	for (gfn = k->chunk.start; gfn < k->chunk.end; gfn++)
		fpr_kunit_want_both(k, gfn);

	mutex_lock(&k->kvm->slots_lock);
	fpr_filter_chunk(k->kvm, &k->chunk, &k->result);
	mutex_unlock(&k->kvm->slots_lock);

	KUNIT_EXPECT_TRUE_MSG(test, fpr_kunit_as_wanted(k),
			      "%lu pages from %llu on, %lu from %llu on",
			      k->slots[0].npages, k->slots[0].base_gfn,
			      k->slots[1].npages, k->slots[1].base_gfn);
}

/* Two address spaces that map some of a chunk's gfns each. */
static void fpr_kunit_address_spaces(struct kunit *test)
{
	struct fpr_kunit *k = test->priv;
	unsigned long npages, align;

	for (npages = 1; npages <= FPR_KUNIT_SLOT_PAGES; npages++) {
		if (fpr_kunit_failed(test))
			return;
		fpr_kunit_add_slot(test, 0, npages);
		fpr_kunit_add_slot(test, 1, 1 + fpr_kunit_below(k, FPR_KUNIT_SLOT_PAGES));
		for (align = 0; align < BITS_PER_LONG; align++)
			fpr_kunit_two(test, align);
		fpr_kunit_remove_slot(test, 1);
		fpr_kunit_remove_slot(test, 0);
		cond_resched();
	}
}

static void fpr_kunit_check_bits(struct kunit *test, long off)
{
	struct fpr_kunit *k = test->priv;
	unsigned long *bitmap = k->chunk.given, *want = k->want.chunk.given;
	unsigned long i, bit = off + BITS_PER_LONG;
	unsigned long word = 0, more = fpr_kunit_word(k);

	for (i = 0; i < BITS_PER_LONG; i++)
		word |= (unsigned long)test_bit(bit + i, bitmap) << i;
	KUNIT_EXPECT_EQ_MSG(test, fpr_get_bits(bitmap, off), word, "at %ld", off);

	bitmap_copy(want, bitmap, FPR_CHUNK_BITS);
	for (i = 0; i < BITS_PER_LONG; i++) {
		if (more & BIT(i))
			__set_bit(bit + i, want);
	}
	fpr_or_bits(bitmap, off, more);
	KUNIT_EXPECT_TRUE_MSG(test, bitmap_equal(bitmap, want, FPR_CHUNK_BITS),
			      "at %ld", off);
}

/* From a word that ends with the chunk's first bit to one that begins with the last. */
static void fpr_kunit_bits(struct kunit *test)
{
	struct fpr_kunit *k = test->priv;
	long off;

	for (off = 1 - BITS_PER_LONG; off < (long)FPR_CHUNK_PAGES; off++) {
		if (off > BITS_PER_LONG && off < FPR_CHUNK_PAGES - BITS_PER_LONG)
			continue;
		fpr_kunit_words(k, k->chunk.given, ARRAY_SIZE(k->chunk.given));
		fpr_kunit_check_bits(test, off);
	}
}

static void fpr_kunit_filter_words(struct kunit *test)
{
	unsigned long dirty, touched, report, was, confirmed, want_confirmed, i, n;
	struct fpr_kunit *k = test->priv;
	u64 nr, want_nr;

	for (n = 0; n < 1000; n++) {
		dirty = fpr_kunit_word(k);
		was = dirty;
		touched = fpr_kunit_word(k);
		report = fpr_kunit_word(k) & fpr_kunit_word(k);
		want_confirmed = 0;
		want_nr = 0;
		nr = 0;
		for (i = 0; i < BITS_PER_LONG; i++) {
			if (!(report & BIT(i)) || touched & BIT(i))
				continue;
			want_confirmed |= BIT(i);
			want_nr += !!(was & BIT(i));
			was &= ~BIT(i);
		}
		confirmed = fpr_filter_word(&dirty, &touched, report, &nr);
		KUNIT_EXPECT_EQ(test, confirmed, want_confirmed);
		KUNIT_EXPECT_EQ(test, nr, want_nr);
		KUNIT_EXPECT_EQ(test, dirty, was);
	}
}

/* A vCPU that writes some pages of a memslot while they are filtered. */
struct fpr_kunit_writer {
	struct kvm_memory_slot *slot;
	unsigned long pages;
	unsigned int round;
	unsigned int done;
};

static int fpr_kunit_write(void *data)
{
	struct fpr_kunit_writer *w = data;
	unsigned int round = 0;
	unsigned long rest;

	while (!kthread_should_stop()) {
		/* Pairs with the release in fpr_kunit_race_once(). */
		if (smp_load_acquire(&w->round) == round) {
			cond_resched();
			continue;
		}
		round++;
		/* What mark_page_dirty_in_slot() does. */
		for (rest = w->pages; rest; rest &= rest - 1)
			kvm_fpr_mark_dirty(w->slot, __ffs(rest));
		/* Pairs with the acquire in fpr_kunit_race_once(). */
		smp_store_release(&w->done, round);
	}
	return 0;
}

static void fpr_kunit_race_once(struct kunit *test, struct fpr_kunit_writer *w)
{
	unsigned long *dirty = w->slot->dirty_bitmap;
	unsigned long *touched = w->slot->fpr.touched->bitmap;
	struct fpr_kunit *k = test->priv;
	unsigned long i, confirmed;
	u64 nr = 0;

	*dirty = fpr_kunit_word(k);
	*touched = 0;
	w->pages = fpr_kunit_word(k);
	/* Pairs with the acquire in fpr_kunit_write(), and lets it go. */
	smp_store_release(&w->round, w->round + 1);
	for (i = fpr_kunit_below(k, 256); i; i--)
		cpu_relax();
	confirmed = fpr_filter_word(dirty, touched, ~0UL, &nr);
	/* Pairs with the release in fpr_kunit_write(). */
	while (smp_load_acquire(&w->done) != w->round)
		cond_resched();

	/* What was written is dirty, before or after; all else is filtered. */
	KUNIT_EXPECT_EQ(test, *dirty, w->pages);
	KUNIT_EXPECT_EQ(test, *touched, w->pages);
	KUNIT_EXPECT_EQ(test, ~confirmed & ~w->pages, 0);
}

/*
 * Two vCPUs that write neighbouring pages: a bit of T that one of them lost for the
 * other would be a write that SET_BITMAP does not see.
 */
static void fpr_kunit_touch_once(struct kunit *test, struct fpr_kunit_writer *w)
{
	unsigned long *touched = w->slot->fpr.touched->bitmap;
	struct fpr_kunit *k = test->priv;
	unsigned long rest;
	bool done;

	*touched = 0;
	w->pages = fpr_kunit_word(k);
	/* Pairs with the acquire in fpr_kunit_write(), and lets it go. */
	smp_store_release(&w->round, w->round + 1);
	/* Again and again, so that they meet. */
	do {
		for (rest = ~w->pages; rest; rest &= rest - 1)
			kvm_fpr_touch(w->slot, __ffs(rest));
		cond_resched();
		/* Pairs with the release in fpr_kunit_write(). */
		done = smp_load_acquire(&w->done) == w->round;
	} while (!done);

	KUNIT_EXPECT_EQ(test, *touched, ~0UL);
}

static void fpr_kunit_with_writer(struct kunit *test,
				  void (*once)(struct kunit *test,
					       struct fpr_kunit_writer *w))
{
	struct fpr_kunit *k = test->priv;
	struct fpr_kunit_writer w = { .slot = &k->slots[0] };
	struct task_struct *task;
	int i;

	if (num_online_cpus() == 1)
		kunit_skip(test, "needs two CPUs");

	fpr_kunit_add_slot(test, 0, BITS_PER_LONG);
	task = kthread_run(fpr_kunit_write, &w, "fpr_kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	for (i = 0; i < FPR_KUNIT_ROUNDS && !fpr_kunit_failed(test); i++)
		once(test, &w);
	kthread_stop(task);
}

static void fpr_kunit_race(struct kunit *test)
{
	fpr_kunit_with_writer(test, fpr_kunit_race_once);
}

static void fpr_kunit_touch_race(struct kunit *test)
{
	fpr_kunit_with_writer(test, fpr_kunit_touch_once);
}

static void fpr_kunit_ranges(struct kunit *test)
{
	const u64 page = PAGE_SIZE, last = -page;

	KUNIT_EXPECT_TRUE(test, fpr_is_range(0, page));
	KUNIT_EXPECT_TRUE(test, fpr_is_range(page, 5 * page));
	KUNIT_EXPECT_TRUE(test, fpr_is_range(0, last));
	KUNIT_EXPECT_TRUE(test, fpr_is_range(last - page, page));

	KUNIT_EXPECT_FALSE(test, fpr_is_range(0, 0));
	KUNIT_EXPECT_FALSE(test, fpr_is_range(last, 0));
	KUNIT_EXPECT_FALSE(test, fpr_is_range(1, page));
	KUNIT_EXPECT_FALSE(test, fpr_is_range(page - 1, page));
	KUNIT_EXPECT_FALSE(test, fpr_is_range(0, 1));
	KUNIT_EXPECT_FALSE(test, fpr_is_range(0, page + 8));
	/* The end would be 0, or beyond. */
	KUNIT_EXPECT_FALSE(test, fpr_is_range(last, page));
	KUNIT_EXPECT_FALSE(test, fpr_is_range(page, last));
	KUNIT_EXPECT_FALSE(test, fpr_is_range(last, last));
}

static void fpr_kunit_bytes(struct kunit *test)
{
	u64 npages, words = 0;

	for (npages = 0; npages <= 1000; npages++) {
		words += npages % 64 == 1;
		KUNIT_EXPECT_EQ(test, fpr_bitmap_bytes(npages), words * 8);
	}
	/* All that a size can be. */
	KUNIT_EXPECT_EQ(test, fpr_bitmap_bytes(U64_MAX >> PAGE_SHIFT),
			BIT_ULL(64 - PAGE_SHIFT - 3));
}

/*
 * A call that is interrupted after any chunk, and made again with what it left
 * behind, says the same of each page as one that is not.
 */
static void fpr_kunit_check_restart(struct kunit *test, u64 npages)
{
	const u64 gpa = gfn_to_gpa(FPR_KUNIT_START), bitmap = 0x10000, other = 0x80000;
	struct kvm_fpr_arm arm = {
		.gpa = gpa, .size = npages << PAGE_SHIFT, .candidates = bitmap,
	};
	struct kvm_fpr_bitmap set = {
		.gpa = gpa, .size = npages << PAGE_SHIFT, .bitmap = bitmap,
	};
	struct kvm_fpr_bitmap confirm = set;
	struct fpr_chunk *chunk = &((struct fpr_kunit *)test->priv)->chunk;
	u64 done, bytes;

	confirm.flags = KVM_FPR_SET_CONFIRM;
	confirm.confirmed = other;
	for (done = 0; done < npages; done = chunk->end - FPR_KUNIT_START) {
		fpr_init_chunk(chunk, set.gpa, set.size);
		KUNIT_ASSERT_EQ(test, chunk->start, FPR_KUNIT_START + done);
		KUNIT_ASSERT_EQ(test, chunk->end - chunk->start,
				min(npages - done, (u64)FPR_CHUNK_PAGES));
		KUNIT_ASSERT_EQ(test, done % 64, 0);
		bytes = done / 64 * 8;
		KUNIT_EXPECT_EQ(test, arm.candidates, bitmap + bytes);
		KUNIT_EXPECT_EQ(test, set.bitmap, bitmap + bytes);
		KUNIT_EXPECT_EQ(test, confirm.confirmed, other + bytes);

		fpr_advance_arm(&arm, chunk);
		fpr_advance_set(&set, chunk);
		fpr_advance_set(&confirm, chunk);
		KUNIT_EXPECT_EQ(test, set.confirmed, 0);
		KUNIT_EXPECT_EQ(test, gpa_to_gfn(set.gpa), chunk->end);
		KUNIT_EXPECT_EQ(test, set.gpa + set.size,
				gpa + (npages << PAGE_SHIFT));
		KUNIT_EXPECT_EQ(test, confirm.gpa, set.gpa);
		KUNIT_EXPECT_EQ(test, confirm.size, set.size);
		KUNIT_EXPECT_EQ(test, arm.gpa, set.gpa);
		KUNIT_EXPECT_EQ(test, arm.size, set.size);
	}
	KUNIT_EXPECT_EQ(test, set.size, 0);
}

static void fpr_kunit_restart(struct kunit *test)
{
	u64 chunks, npages;

	for (chunks = 0; chunks < 4; chunks++) {
		for (npages = 0; npages < 2 * BITS_PER_LONG; npages++) {
			fpr_kunit_check_restart(test, chunks * FPR_CHUNK_PAGES +
						npages);
			fpr_kunit_check_restart(test, (chunks + 1) *
						FPR_CHUNK_PAGES - npages);
		}
	}
}

/* Never 0, never twice, and a number that JSON can hold. */
static void fpr_kunit_epochs(struct kunit *test)
{
	u64 last = 0, epoch;
	int i;

	KUNIT_EXPECT_EQ(test, fpr_epoch(0, 1), 1);
	KUNIT_EXPECT_EQ(test, fpr_epoch(U64_MAX, 1), BIT_ULL(51));
	KUNIT_EXPECT_LT(test, fpr_epoch(U64_MAX, BIT_ULL(51)), BIT_ULL(52));

	for (i = 0; i < 100; i++, last = epoch) {
		epoch = fpr_new_epoch();
		KUNIT_EXPECT_GT(test, epoch, last);
		KUNIT_EXPECT_LT(test, epoch, BIT_ULL(52));
	}
}

/* A slot takes part if it was armed, and if it is still where it was then. */
static void fpr_kunit_takes_part(struct kunit *test)
{
	struct fpr_kunit *k = test->priv;
	struct kvm_memory_slot *slot = &k->slots[0];
	struct kvm_fpr_touched *touched;

	fpr_kunit_add_slot(test, 0, 1);
	fpr_kunit_fill_slot(k, 0, FPR_KUNIT_START);
	mutex_lock(&k->kvm->slots_lock);
	KUNIT_EXPECT_TRUE(test, fpr_takes_part(k->kvm, slot));
	slot->base_gfn++;
	KUNIT_EXPECT_FALSE(test, fpr_takes_part(k->kvm, slot));
	slot->base_gfn--;
	touched = slot->fpr.touched;
	slot->fpr.touched = NULL;
	KUNIT_EXPECT_FALSE(test, fpr_takes_part(k->kvm, slot));
	slot->fpr.touched = touched;
	mutex_unlock(&k->kvm->slots_lock);
}

/* A VM counts once among those for which T is looked for, and no longer than it lives. */
static void fpr_kunit_use(struct kunit *test)
{
	struct fpr_kunit *k = test->priv;
	int count = static_key_count(&kvm_fpr_used.key);

	KUNIT_EXPECT_GT(test, count, 0);
	fpr_use(k->kvm);
	KUNIT_EXPECT_EQ(test, static_key_count(&kvm_fpr_used.key), count);
	kvm_fpr_destroy_vm(k->kvm);
	KUNIT_EXPECT_EQ(test, static_key_count(&kvm_fpr_used.key), count - 1);
	atomic_set(&k->kvm->fpr.used, 0);
	fpr_use(k->kvm);
	KUNIT_EXPECT_EQ(test, static_key_count(&kvm_fpr_used.key), count);
}

/* T follows a memslot while it logs, and no further. */
static void fpr_kunit_prepare(struct kunit *test)
{
	struct kvm_fpr_touched touched;
	struct kvm_memory_slot old = { .fpr.touched = &touched };
	struct kvm_memory_slot new = {};

	kvm_fpr_prepare_memslot(&old, NULL);
	kvm_fpr_prepare_memslot(NULL, &new);
	KUNIT_EXPECT_NULL(test, new.fpr.touched);
	kvm_fpr_prepare_memslot(&old, &new);
	KUNIT_EXPECT_NULL(test, new.fpr.touched);
	new.flags = KVM_MEM_LOG_DIRTY_PAGES;
	kvm_fpr_prepare_memslot(&old, &new);
	KUNIT_EXPECT_PTR_EQ(test, new.fpr.touched, &touched);
}

#ifdef CONFIG_X86
static bool fpr_kunit_is_encrypted(struct kvm *kvm)
{
	return kvm->fpr.epoch;
}

/*
 * The lab can make no encrypted VM of the default type.  Only the vendor's module
 * tells such a VM from others: APICv need not be inhibited.
 */
static void fpr_kunit_encrypted(struct kunit *test)
{
	struct kvm *kvm = ((struct fpr_kunit *)test->priv)->kvm;
	typeof(kvm_x86_ops.has_encrypted_mem) before = kvm_x86_ops.has_encrypted_mem;

	kvm_x86_ops.has_encrypted_mem = NULL;
	KUNIT_EXPECT_EQ(test, kvm_fpr_check_extension(kvm), FPR_SUPPORTED_FLAGS);
	kvm_x86_ops.has_encrypted_mem = fpr_kunit_is_encrypted;
	KUNIT_EXPECT_EQ(test, kvm_fpr_check_extension(kvm), FPR_SUPPORTED_FLAGS);
	kvm->fpr.epoch = 1;
	KUNIT_EXPECT_EQ(test, kvm_fpr_check_extension(kvm), 0);
	KUNIT_EXPECT_EQ(test, kvm_fpr_ioctl(kvm, KVM_FPR_ARM, NULL), -EOPNOTSUPP);
	kvm_x86_ops.has_encrypted_mem = before;
}
#endif

static int fpr_kunit_init(struct kunit *test)
{
	struct fpr_kunit *k;
	int as_id;

	k = kunit_kzalloc(test, sizeof(*k), GFP_KERNEL);
	if (!k)
		return -ENOMEM;
	k->kvm = kunit_kzalloc(test, sizeof(*k->kvm), GFP_KERNEL);
	if (!k->kvm)
		return -ENOMEM;

	mutex_init(&k->kvm->slots_lock);
	for (as_id = 0; as_id < FPR_KUNIT_NR_AS; as_id++)
		rcu_assign_pointer(k->kvm->memslots[as_id],
				   &k->kvm->__memslots[as_id][0]);
	prandom_seed_state(&k->rnd, FPR_KUNIT_SEED);
	fpr_use(k->kvm);
	test->priv = k;
	return 0;
}

static void fpr_kunit_exit(struct kunit *test)
{
	struct fpr_kunit *k = test->priv;

	if (k)
		kvm_fpr_destroy_vm(k->kvm);
}

static struct kunit_case fpr_kunit_cases[] = {
	KUNIT_CASE(fpr_kunit_bits),
	KUNIT_CASE(fpr_kunit_filter_words),
	KUNIT_CASE(fpr_kunit_filter),
	KUNIT_CASE(fpr_kunit_refuse),
	KUNIT_CASE(fpr_kunit_restore),
	KUNIT_CASE(fpr_kunit_candidates),
	KUNIT_CASE(fpr_kunit_address_spaces),
	KUNIT_CASE(fpr_kunit_race),
	KUNIT_CASE(fpr_kunit_touch_race),
	KUNIT_CASE(fpr_kunit_ranges),
	KUNIT_CASE(fpr_kunit_bytes),
	KUNIT_CASE(fpr_kunit_restart),
	KUNIT_CASE(fpr_kunit_epochs),
	KUNIT_CASE(fpr_kunit_takes_part),
	KUNIT_CASE(fpr_kunit_use),
	KUNIT_CASE(fpr_kunit_prepare),
#ifdef CONFIG_X86
	KUNIT_CASE(fpr_kunit_encrypted),
#endif
	{}
};

static struct kunit_suite fpr_kunit_suite = {
	.name = "kvm_fpr",
	.init = fpr_kunit_init,
	.exit = fpr_kunit_exit,
	.test_cases = fpr_kunit_cases,
};

kunit_test_suite(fpr_kunit_suite);
