/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of fpr_fuzz: fpr_fuzz.c has the lives, their threads and guests, and
 * what is looked at in the end; fpr_fuzz_calls.c draws calls, makes them, and
 * checks what each of them returns; fpr_fuzz_results.c shows what came of it.
 */
#ifndef FPR_FUZZ_H
#define FPR_FUZZ_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* What is called */
enum call_id {
	ARM, SET_BITMAP, DISARM, CHECK_EXTENSION, ENABLE_CAP, MEMORY_REGION,
	GET_LOG, CLEAR_LOG, KVM_RUN_CALL, NR_CALLS,
};

#define MAX_ERRNO	134

/* How often what happened; shared with the other process. */
extern struct counts {
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

static inline uint64_t add(uint64_t *counter, uint64_t n)
{
	return __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

extern uint64_t seed;

/* What is going on now. */
extern struct life {
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

extern struct fuzzer fuzzers[NR_THREADS + 1];

/* Memory that nothing was written to yet. */
void *map(size_t size, int protection);

/* Prepares what a thread draws with. */
void new_fuzzer(struct fuzzer *f, unsigned int number);

/* Forgets the slots of the life before, and what was copied of their memory. */
void forget_slots(void);

/* Draws one call, makes it and checks it. */
void fuzz_once(struct fuzzer *f);

/* Makes a call with these arguments and counts it; returns 0 or its errno. */
int do_call(struct fuzzer *f, enum call_id call, void *args);

/* Counts a call, and looks whether it may fail with @err; @f may be NULL. */
void record(struct fuzzer *f, enum call_id call, int err);

/* Looks at the epoch that an ARM began, and remembers it. */
void check_epoch(struct fuzzer *f, const struct kvm_fpr_arm *arm);

/* An address where nothing is, such as the end of @arena. */
uint64_t bad_address(uint64_t *rng, const struct arena *arena);

void draw_bits(uint64_t *rng, char *start, size_t bytes);

/*
 * The watched slot's log is read into @named, all that it names cleared, and then
 * copied: right with and without manual protection.
 */
void sync_watched(struct fuzzer *f, uint64_t *named);

/* What was written to pages that are in no report must have been copied. */
void check_watched(void);

/* Says what is wrong, a few times; @f may be NULL. */
void __printf(2, 3) complain(const struct fuzzer *f, const char *format, ...);

const char *call_name(enum call_id call);

uint64_t all_calls(void);
void print_results(void);
void write_json(const char *path, unsigned int seconds);

#endif /* FPR_FUZZ_H */
