// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free page filter: a structured fuzzer of its ioctls.
 *
 * One life after the other: a VM, and threads that do to it for some hundred
 * calls what they draw.  They call the filter with arguments that are valid, a
 * little wrong or senseless, at places that can be read, or not, or not
 * written; create, delete and move memslots, switch logging; get and clear the
 * dirty log; take away the memory under a slot; send each other signals; close
 * the VM's descriptor.  vCPUs write all the time, and at times another process
 * calls, too, and is killed in between.
 *
 * What a thread does follows from the seed, the life's number and the thread's
 * number; how the threads meet does not.
 *
 * A kernel with KASAN and lockdep says what else goes wrong.  What is checked
 * here is cheap:
 *
 * - An error is one that the header has for the call, EINVAL is returned for
 *   what the header forbids and for nothing else, and arguments that were
 *   refused are as they were.
 * - What SET_BITMAP says that it did adds up: confirmed pages are reported ones,
 *   their number is right, and gpa, size and addresses advance together.
 * - Half of the pages of one memslot are in no report.  What is written to them
 *   is never lost, whatever the threads do beside (fpr_stress has the whole
 *   model, of the pages that are reported as well).
 * - After all that the VM works: a last ARM, writes before and after, calls that
 *   are refused, a report, and the log says what it must, bit by bit.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fpr_arch.h"
#include "fpr_fuzz.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "fpr_options.h"
#include "fpr_random.h"

#define MAX_CALLS	1000u
/* Seconds; a thread that is stuck in the kernel for so long wedges the VM. */
#define STUCK		300
#define PROGRESS	10

struct counts *counts;
uint64_t seed;
struct life life;
struct fuzzer fuzzers[NR_THREADS + 1];

/* What the guest does: writes at random until it is to stop, then a range. */
static struct orders {
	uint64_t stop;
	uint64_t seed;
	uint64_t first_version;
	uint64_t first;
	uint64_t count;
} orders;

/* The guest */

static void guest_write(uint64_t page, uint64_t version)
{
	WRITE_ONCE(*(uint64_t *)(GPA + page * PAGE), version);
}

static uint64_t guest_draw_page(uint64_t *rng)
{
	switch (below(rng, 4)) {
	case 0:
		return FAR + below(rng, FAR_PAGES);
	case 1:
		return below(rng, NEAR_PAGES);
	default:
		return below(rng, WATCH_PAGES);
	}
}

/* No version is written twice; those of the vCPUs differ in the lowest byte. */
static void guest_code(uint64_t id)
{
	uint64_t rng = orders.seed + id, version = orders.first_version + id + 1, i;

	for (;;) {
		while (!READ_ONCE(orders.stop)) {
			version += 256;
			guest_write(guest_draw_page(&rng), version);
		}
		for (i = 0; i < READ_ONCE(orders.count); i++) {
			version += 256;
			guest_write(READ_ONCE(orders.first) + i, version);
		}
		GUEST_SYNC(0);
	}
}

/* The threads */

/* Choices of a thread are the seed's and the life's, however long it took. */
static void begin_fuzzing(struct fuzzer *f)
{
	uint64_t mixed = new_random_state(seed);

	mixed = new_random_state(mixed + life.number);
	f->rng = new_random_state(mixed + f->number);
}

static void *fuzzer_main(void *arg)
{
	struct fuzzer *f = arg;
	unsigned int n = 1 + below(&f->rng, MAX_CALLS);

	pthread_barrier_wait(&life.begin);
	while (n-- && !READ_ONCE(life.fd_is_gone))
		fuzz_once(f);
	return NULL;
}

/* A process that got the descriptor, with or without rights of its own. */
static pid_t start_foreign(uint64_t *rng)
{
	bool may_call = one_in(rng, 2);
	struct fuzzer *f = &fuzzers[FOREIGN];
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (pid)
		return pid;
	if (!may_call && setresuid(65534, 65534, 65534))
		_exit(1);
	for (;;) {
		fuzz_once(f);
		usleep(skewed(&f->rng, 14));
	}
}

static void end_foreign(pid_t pid)
{
	kill(pid, SIGKILL);
	TEST_ASSERT(waitpid(pid, NULL, 0) == pid, "waitpid: %s", strerror(errno));
}

/* The vCPU ended in a way that its program does not have. */
static void complain_of_vcpu(struct kvm_vcpu *vcpu)
{
	complain(NULL, "vCPU %u does not end as it should, exit %s at pc 0x%lx", vcpu->id,
		 exit_reason_str(vcpu->run->exit_reason), fpr_guest_pc(vcpu));
}

/* Until the guest has done what it was told. */
static void *run_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;
	int err;

	for (;;) {
		err = __vcpu_run(vcpu) ? errno : 0;
		record(NULL, KVM_RUN_CALL, err);
		if (READ_ONCE(life.vcpus_are_late) && err)
			break;
		/* Before the look at MMIO, for on arm64 a ucall is that, too. */
		if (!err && get_ucall(vcpu, &uc) == UCALL_SYNC)
			return NULL;
		if (err == EFAULT)
			usleep(100);
		else if (!err && vcpu->run->exit_reason != KVM_EXIT_MMIO)
			break;
	}
	complain_of_vcpu(vcpu);
	return NULL;
}

static bool join(pthread_t thread)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += STUCK;
	return !pthread_timedjoin_np(thread, NULL, &limit);
}

/* The kernel's log gets the stacks of all blocked tasks, and of all CPUs. */
static void show_stacks(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY);

	if (fd < 0 || write(fd, "w", 1) != 1 || write(fd, "l", 1) != 1)
		perror("/proc/sysrq-trigger");
}

static void __noreturn bail_out(const char *who, unsigned int number,
				const char *where)
{
	printf("Bail out! seed %lu, life %lu: %s %u is stuck in %s\n", seed, life.number,
	       who, number, where);
	show_stacks();
	_exit(KSFT_FAIL);
}

/* A slow machine is none that hangs: what counts is whether anything was done. */
static void join_fuzzer(struct fuzzer *f)
{
	uint64_t nr_done;

	do {
		nr_done = READ_ONCE(f->nr_done);
		if (join(f->thread))
			return;
	} while (READ_ONCE(f->nr_done) != nr_done);
	bail_out("thread", f->number, call_name(f->doing));
}

static void start_thread(pthread_t *thread, void *(*main)(void *), void *arg)
{
	int err = pthread_create(thread, NULL, main, arg);

	TEST_ASSERT(!err, "pthread_create: %s", strerror(err));
}

/* Waits for vCPUs that are to end; one that does not is asked by a signal. */
static void join_vcpus(pthread_t *threads)
{
	struct timespec limit;
	unsigned int i;

	for (i = 0; i < NR_VCPUS; i++) {
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec += STUCK;
		if (!pthread_timedjoin_np(threads[i], NULL, &limit))
			continue;
		WRITE_ONCE(life.vcpus_are_late, true);
		pthread_kill(threads[i], SIGUSR1);
		if (!join(threads[i]))
			bail_out("vCPU", i, "KVM_RUN");
	}
}

/* A life */

static void set_region(uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size,
		       void *memory)
{
	int r = __vm_set_user_memory_region(life.vm, slot, flags, gpa, size, memory);

	TEST_ASSERT(!r, "slot 0x%x: %s", slot, strerror(errno));
}

static void create_vm(uint64_t *rng)
{
	unsigned int i;

	life.ring = one_in(rng, 16) && kvm_has_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL);
	if (life.ring) {
		life.vm = vm_create_barebones();
		vm_enable_dirty_ring(life.vm, 4096 * sizeof(struct kvm_dirty_gfn));
		add(&counts->ring_lives, 1);
		return;
	}
	life.vm = vm_create_with_vcpus(NR_VCPUS, guest_code, life.vcpus);
	for (i = 0; i < NR_VCPUS; i++)
		vcpu_args_set(life.vcpus[i], 1, (uint64_t)i);
	virt_map(life.vm, GPA, GPA, NEAR_PAGES);
	virt_map(life.vm, GPA + FAR * PAGE, GPA + FAR * PAGE, FAR_PAGES);
	life.orders = addr_gva2hva(life.vm, (uintptr_t)&orders);
	life.orders->stop = 0;
	life.orders->seed = random_u64(rng) | 1ull << 62;
	life.orders->first_version = life.number << 40;
	life.orders->count = 0;
}

static void begin_life(uint64_t *rng)
{
	unsigned int i;

	create_vm(rng);
	vm_enable_cap(life.vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, below(rng, 2) * 3);
	life.watch = map(WATCH_PAGES * PAGE, PROT_READ | PROT_WRITE);
	for (i = 0; i < NR_SLOTS; i++)
		life.memory[i] = map(SLOT_PAGES * PAGE, PROT_READ | PROT_WRITE);
	forget_slots();
	set_region(WATCH_SLOT, LOG, GPA, WATCH_PAGES * PAGE, life.watch);
	life.fd = dup(life.vm->fd);
	life.fd_is_gone = false;
	life.epoch = 1;
	life.vcpus_are_late = false;
}

/* At times the VM goes away over memory that is gone already. */
static void end_life(uint64_t *rng)
{
	bool memory_first = one_in(rng, 2);
	unsigned int i;

	for (i = 0; memory_first && i < NR_SLOTS; i++)
		munmap(life.memory[i], SLOT_PAGES * PAGE);
	close(life.fd);
	kvm_vm_free(life.vm);
	for (i = 0; !memory_first && i < NR_SLOTS; i++)
		munmap(life.memory[i], SLOT_PAGES * PAGE);
	munmap(life.watch, WATCH_PAGES * PAGE);
	add(&counts->lives, 1);
	life.number++;
}

/* The descriptor becomes that of another file, in the middle of everything. */
static void close_descriptor(uint64_t *rng)
{
	int other = open("/dev/null", O_RDWR);

	usleep(below(rng, 100000));
	WRITE_ONCE(life.fd_is_gone, true);
	dup2(other, life.fd);
	close(other);
	add(&counts->closed_lives, 1);
}

static void bring_memory_back(void)
{
	unsigned int i;

	for (i = 0; i < NR_SLOTS; i++)
		mmap(life.memory[i], SLOT_PAGES * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void run_threads(uint64_t *rng)
{
	bool foreign = one_in(rng, 4), close = one_in(rng, 8);
	pthread_t vcpus[NR_VCPUS];
	pid_t pid = 0;
	unsigned int i;

	pthread_barrier_init(&life.begin, NULL, NR_THREADS + 1);
	for (i = 0; i <= FOREIGN; i++)
		begin_fuzzing(&fuzzers[i]);
	if (foreign)
		pid = start_foreign(rng);
	for (i = 0; i < NR_THREADS; i++)
		start_thread(&fuzzers[i].thread, fuzzer_main, &fuzzers[i]);
	for (i = 0; i < NR_VCPUS && !life.ring; i++)
		start_thread(&vcpus[i], run_vcpu, life.vcpus[i]);
	pthread_barrier_wait(&life.begin);

	if (close)
		close_descriptor(rng);
	for (i = 0; i < NR_THREADS; i++)
		join_fuzzer(&fuzzers[i]);
	if (foreign) {
		end_foreign(pid);
		add(&counts->foreign_lives, 1);
	}
	bring_memory_back();
	if (!life.ring) {
		WRITE_ONCE(life.orders->stop, 1);
		join_vcpus(vcpus);
	}
	pthread_barrier_destroy(&life.begin);
}

/* The last check: nobody else does anything. */

static void write_pages(unsigned int first, unsigned int npages)
{
	WRITE_ONCE(life.orders->first, first);
	WRITE_ONCE(life.orders->count, npages);
	run_vcpu(life.vcpus[0]);
}

static void delete_second_space(void)
{
	unsigned int n;

	for (n = 0; n < NR_SLOTS; n++) {
		struct kvm_userspace_memory_region region = {
			.slot = AS1 | (FIRST_SLOT + n),
		};

		__vm_ioctl(life.vm, KVM_SET_USER_MEMORY_REGION, &region);
	}
}

/* A call of each kind that must fail, whatever the VM's state. */
static void call_wrongly(struct fuzzer *f)
{
	struct kvm_fpr_arm arm = { .reserved = { 0, 1 } };
	struct kvm_fpr_bitmap set = {
		.epoch = life.epoch,
		.gpa = GPA,
		.size = NEAR_PAGES * PAGE,
		.bitmap = bad_address(&f->rng, &f->report) ?: 8,
	};
	struct kvm_fpr_bitmap stale = set;
	struct kvm_fpr_disarm disarm = { .epoch = life.epoch + 1 };

	stale.epoch--;
	memset(f->report.start, 0xff, BITMAP_SIZE);
	stale.bitmap = (uintptr_t)f->report.start;
	if (do_call(f, ARM, &arm) != EINVAL || do_call(f, SET_BITMAP, &set) != EFAULT ||
	    do_call(f, SET_BITMAP, &stale) != ESTALE ||
	    do_call(f, DISARM, &disarm) != ESTALE)
		complain(f, "a call that must fail did not, or with another error");
}

static bool in_range(unsigned int page, unsigned int first, unsigned int npages)
{
	return page >= first && page < first + npages;
}

static void check_last_log(struct fuzzer *f, unsigned int first, unsigned int npages,
			   unsigned int again, unsigned int nr_again)
{
	const uint64_t *report = (uint64_t *)f->report.start;
	uint64_t named[WATCH_WORDS] = {};
	unsigned int page;
	bool is, want;

	sync_watched(f, named);
	for (page = 0; page < WATCH_PAGES; page++) {
		is = named[page / 64] >> page % 64 & 1;
		want = in_range(page, again, nr_again) ||
		       (in_range(page, first, npages) &&
			!(report[page / 64] >> page % 64 & 1));
		if (is != want)
			complain(f, "page %u is %s in the last log", page,
				 want ? "not" : "still");
	}
	add(&counts->checked_pages, WATCH_PAGES);
}

static void check_that_it_works(struct fuzzer *f)
{
	unsigned int first = below(&f->rng, WATCH_PAGES / 2), npages = 1 + below(&f->rng, 150);
	unsigned int again = below(&f->rng, WATCH_PAGES / 2), nr_again = 1 + below(&f->rng, 150);
	struct kvm_fpr_bitmap set = { .gpa = GPA, .size = WATCH_PAGES * PAGE };
	struct kvm_fpr_arm arm = {};
	uint64_t named[WATCH_WORDS] = {};

	delete_second_space();
	sync_watched(f, named);
	write_pages(first, npages);
	if (do_call(f, ARM, &arm))
		complain(f, "the last ARM failed");
	check_epoch(f, &arm);
	write_pages(again, nr_again);
	call_wrongly(f);

	draw_bits(&f->rng, f->report.start, sizeof(named));
	set.epoch = arm.epoch;
	set.bitmap = (uintptr_t)f->report.start;
	if (do_call(f, SET_BITMAP, &set) || set.size)
		complain(f, "the last SET_BITMAP failed");
	check_last_log(f, first, npages, again, nr_again);
}

static void live(uint64_t *rng)
{
	begin_life(rng);
	run_threads(rng);
	if (!life.ring)
		check_watched();
	if (!life.ring && !life.fd_is_gone)
		check_that_it_works(&fuzzers[0]);
	end_life(rng);
}

/* All lives */

static void show_progress(time_t begin)
{
	static time_t shown;
	time_t now = time(NULL);

	if (now < shown + PROGRESS)
		return;
	shown = now;
	ksft_print_msg("%ld s: %lu lives, %lu calls, %lu complaints\n", (long)(now - begin),
		       counts->lives, all_calls(), counts->complaints);
}

/* What it takes, @nr_lives or seconds; returns the seconds. */
static unsigned int run(unsigned int seconds, uint64_t nr_lives)
{
	time_t begin = time(NULL);
	uint64_t rng;

	do {
		rng = new_random_state(seed + (life.number << 32));
		live(&rng);
		show_progress(begin);
	} while (!counts->complaints &&
		 (nr_lives ? counts->lives < nr_lives : time(NULL) < begin + seconds));
	return time(NULL) - begin;
}

static void ignore_signal(int sig)
{
}

static void prepare(void)
{
	struct sigaction action = { .sa_handler = ignore_signal };
	unsigned int i;

	sigaction(SIGUSR1, &action, NULL);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(counts != MAP_FAILED, "mmap: %s", strerror(errno));
	for (i = 0; i <= FOREIGN; i++)
		new_fuzzer(&fuzzers[i], i);
}

static void print_help(const char *name)
{
	printf("usage: %s [-s SEED] [-t SECONDS] [-l LIFE] [-n LIVES] [-j FILE]\n"
	       "  -s  repeat the choices of a run (not its timing); printed by every run\n"
	       "  -t  how long to run, 30 unless given\n"
	       "  -l  the number of the first life, to repeat one\n"
	       "  -n  how many lives, instead of seconds\n"
	       "  -j  write the counts to a file, in JSON\n", name);
}

int main(int argc, char *argv[])
{
	unsigned int seconds = 30;
	const char *json = NULL;
	uint64_t nr_lives = 0;
	int option;

	seed = draw_seed();
	while ((option = getopt(argc, argv, "s:t:l:n:j:h")) != -1) {
		switch (option) {
		case 's':
			seed = parse_number("-s", optarg, UINT32_MAX);
			break;
		case 't':
			seconds = parse_number("-t", optarg, 1000000);
			break;
		case 'l':
			life.number = parse_number("-l", optarg, UINT32_MAX);
			break;
		case 'n':
			nr_lives = parse_number("-n", optarg, UINT32_MAX);
			break;
		case 'j':
			json = optarg;
			break;
		case 'h':
			print_help(argv[0]);
			return 0;
		default:
			return 2;
		}
	}
	no_more_arguments(argc, argv, optind);
	setvbuf(stdout, NULL, _IOLBF, 0);

	ksft_print_header();
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_FREE_PAGE_FILTER),
		       "this KVM has no free page filter");
	ksft_set_plan(2);
	ksft_print_msg("seed %lu, %u seconds\n", seed, seconds);
	prepare();
	seconds = run(seconds, nr_lives);
	print_results();
	if (json)
		write_json(json, seconds);
	ksft_test_result(!counts->complaints, "all is as the header says\n");
	/* Else the first result says little. */
	ksft_test_result(counts->filtered && counts->confirmed && counts->checked_pages &&
			 counts->results[SET_BITMAP][ESTALE],
			 "pages were filtered, and reports refused\n");
	ksft_finished();
}
