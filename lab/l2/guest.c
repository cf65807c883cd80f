// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of the guest that the lab migrates.
 *
 * Reads from the kernel's command line lab_workload=idle|freed|frag|churn|forks|
 * disk|net|pressure, or the name of a program of l2/programs, lab_mib=MIB, the guest's memory, lab_report=yes if it is to
 * report its free pages at REPORT_PORT, or the path of a UART or vsock:any:PORT to report
 * them there, and lab_modules=NAME,... to load first.  For
 * 1024 MiB (sizes scale with lab_mib) it keeps 100 MiB of random data, verifies it
 * every second, and besides
 *
 *   idle	does nothing more
 *   freed	has filled 600 MiB and freed them, down to the last block
 *   frag	has filled 600 MiB and freed seven of every eight 4 KiB pages
 *   churn	fills and frees 100 MiB again and again
 *   forks	has FORKS processes at a time, each of which fills 8 MiB and ends
 *		after about 100 ms
 *   disk	keeps 100 MiB that it has read from a disk, and exchanges them all
 *		the time
 *   net		receives frames and leaves them in the kernel until the next check
 *   pressure	fills 600 MiB when it is told to
 *   server, database, build, managed
 *		run a program that nobody here wrote, see l2/programs
 *
 * It talks with the host in lines over LAB_PORT.  The port outlives a migration:
 * the destination's host end is opened again, and what the guest says while no
 * host listens is dropped.  It is a UART, for what the lab itself takes of the
 * guest's memory is sent in every mode, and blurs what the modes differ in: a
 * virtio-serial device and its port have 8 MiB of buffers with some QEMUs.
 *
 *   guest says		when
 *   ready WORKLOAD	the workload is in its steady state
 *   beat N wrong=W	every second: N-th check of the 100 MiB; W counts the
 *			wrong pages ever found by any check
 *   fatal WHY		it gives up and powers off
 *
 *   host says		guest answers
 *   needed TAG		needed TAG BYTES: memory that is not free
 *   wallclock TAG	wallclock TAG ADDRESS: where KVM itself writes the time
 *			when a vCPU's state is loaded; 0: nowhere
 *   free TAG		free TAG NOW LOWEST: bytes that are free in the buddy
 *			allocator, and the fewest since this was asked last
 *   work TAG		work TAG LOOPS MS AGENT: units of work that the workload
 *			has done, the time in ms, and the CPU time in us that
 *			the reporter has taken, since it began
 *   map TAG		map TAG ADDRESS: where it has left a map of its
 *			free pages, see guest_free_map.h
 *   press TAG		nothing: the workload pressure fills its memory
 *   press-hinted TAG	nothing: it does so as soon as half of what is free was
 *			hinted away
 *   verify TAG		verify TAG pages=P wrong=W total=T [first=...]: all
 *			live pages were checked now, W of P are wrong; T counts
 *			as in a beat, and first names the first one ever found
 *   crash		nothing: the kernel panics, and stays so
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest_disk.h"
#include "guest_free_map.h"
#include "guest_memory.h"
#include "guest_net.h"
#include "guest_program.h"

#define LAB_PORT "/dev/ttyS1"
#define REPORT_PORT "fpr.report"
#define PORT_PATH_LEN 80
#define MSR_KVM_WALL_CLOCK_NEW 0x4b564d00
#define MIB_PAGES (1024UL * 1024 / GUEST_PAGE_SIZE)
/* Churn looks at the port once for so many pages. */
#define CHURN_STEP MIB_PAGES
#define LINE_MAX_LEN 256
/* How often the free memory is looked at. */
#define SAMPLE_MS 20
/* How many processes of the workload forks live at a time, and for how long. */
#define FORKS 8
#define FORK_MS 100
/* The argument by which this program knows that it is one of them. */
#define FORK_ARGUMENT "fill"
/* As in packaging/fpr-guest-dkms/fpr-report.service */
#define REPORTER_NICE (-20)
/* Each trim lowers what the lists may hold by an eighth. */
#define TRIMS 64

struct guest {
	int port;
	char input[LINE_MAX_LEN];
	size_t input_len;
	struct page_buffer keep;
	struct page_buffer work;	/* npages is 0 if there is none */
	bool churning;
	size_t churned;			/* pages filled in this turn */
	bool reading;			/* it reads its disk */
	unsigned int forks;		/* how many to keep alive */
	unsigned int forked;		/* how many are alive */
	uint64_t loops;			/* pages churned, processes ended, chunks read */
	pid_t reporter;			/* 0 if there is none */
	uint64_t lowest_free;		/* bytes */
	uint64_t beats;
	int64_t next_beat_ms;
	struct verify_result total;
};

static struct guest guest = { .port = -1 };

/* Sends one line; it is dropped if no host listens or the host is too slow. */
__attribute__((format(printf, 1, 2)))
static void say(const char *fmt, ...)
{
	char line[LINE_MAX_LEN];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (len > (int)sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	if (write(guest.port, line, len) < 0 && errno != EAGAIN)
		perror("lab: write to the port");
}

__attribute__((noreturn))
static void give_up(const char *what)
{
	int err = errno;

	fprintf(stderr, "lab: fatal: %s: %s\n", what, strerror(err));
	if (guest.port >= 0)
		say("fatal %s: %s", what, strerror(err));
	/* The host runs QEMU with -no-reboot, which makes this an exit. */
	reboot(RB_AUTOBOOT);
	_exit(1);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void mount_kernel_filesystems(void)
{
	static const char * const types[][2] = {
		{ "proc", "/proc" },
		{ "sysfs", "/sys" },
		{ "devtmpfs", "/dev" },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		mkdir(types[i][1], 0755);
		if (mount(types[i][0], types[i][1], types[i][0], 0, NULL))
			give_up(types[i][1]);
	}
}

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		give_up(path);
	close(fd);
}

/* Names of modules with commas between them; not const, as strtok() wants it. */
static void load_modules(char *names)
{
	char path[PORT_PATH_LEN];

	for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
		snprintf(path, sizeof(path), "/%s.ko", name);
		load_module(path);
	}
}

/* The device of the port that sysfs knows by @port, a name and a newline. */
static bool find_port(const char *port, char *path, size_t size)
{
	char name[64];
	bool is_it = false;
	glob_t found;
	FILE *f;

	if (glob("/sys/class/virtio-ports/*/name", 0, NULL, &found))
		return false;
	for (size_t i = 0; i < found.gl_pathc && !is_it; i++) {
		f = fopen(found.gl_pathv[i], "r");
		if (!f)
			continue;
		is_it = fgets(name, sizeof(name), f) && !strcmp(name, port) &&
			sscanf(found.gl_pathv[i],
			       "/sys/class/virtio-ports/%31[^/]", name) == 1;
		if (is_it)
			snprintf(path, size, "/dev/%s", name);
		fclose(f);
	}
	globfree(&found);
	return is_it;
}

static void wait_for_port(const char *port, char *path, size_t size)
{
	int64_t deadline = now_ms() + 20000;

	/* The device names its ports some time after its driver was bound. */
	while (!find_port(port, path, size)) {
		if (now_ms() > deadline)
			give_up("a virtio-serial port is missing");
		usleep(10000);
	}
}

/* Nothing that passes is a control character, and nothing is echoed. */
static int open_uart(const char *path)
{
	struct termios settings;
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || tcgetattr(fd, &settings))
		give_up(path);
	cfmakeraw(&settings);
	settings.c_cflag |= CLOCAL;
	if (tcsetattr(fd, TCSANOW, &settings))
		give_up(path);
	return fd;
}

static pid_t spawn(char *const argv[])
{
	char *const no_environment[] = { NULL };
	pid_t pid;

	errno = posix_spawn(&pid, argv[0], NULL, NULL, argv, no_environment);
	if (errno)
		give_up(argv[0]);
	return pid;
}

/*
 * Starts fprctl, which answers the host's requests for free pages.  A UART is opened here, too,
 * and stays open: whoever opens it first throws away what came before, and that may be a request.
 */
static void start_reporter(const char *where)
{
	char path[PORT_PATH_LEN];
	char *argv[] = { "/fprctl", "report", "--serve", path, NULL };

	load_module("/fpr_guest.ko");
	if (where[0] == '/') {
		snprintf(path, sizeof(path), "%s", where);
		open_uart(path);
	} else if (!strncmp(where, "vsock:", strlen("vsock:"))) {
		snprintf(path, sizeof(path), "%s", where);
	} else {
		wait_for_port(REPORT_PORT "\n", path, sizeof(path));
	}
	guest.reporter = spawn(argv);
	if (setpriority(PRIO_PROCESS, guest.reporter, REPORTER_NICE))
		give_up("priority of the reporter");
}

/* The sum of all numbers that follow @key at the start of a line of @file. */
static uint64_t sum_of_lines(const char *file, const char *key)
{
	char line[LINE_MAX_LEN], format[64];
	uint64_t value, sum = 0;
	FILE *f = fopen(file, "r");

	if (!f)
		give_up(file);
	snprintf(format, sizeof(format), " %s %%" SCNu64, key);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, format, &value) == 1)
			sum += value;
	}
	fclose(f);
	return sum;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		give_up(path);
	close(fd);
}

static uint64_t percpu_pages(void)
{
	return sum_of_lines("/proc/zoneinfo", "count:");
}

/*
 * Empties the allocator's per-CPU lists, where a random part of what was freed
 * last stays, huge pages too, which no hint reaches.  The kernel trims them about
 * once a second, but not on an idle CPU, and not below a threshold: lower that,
 * trim, and restore it.
 */
static void trim_percpu_lists(void)
{
	static const char threshold[] =
		"/proc/sys/vm/percpu_pagelist_high_fraction";

	write_file(threshold, "1000000");
	for (int i = 0; i < TRIMS; i++)
		write_file("/proc/sys/vm/stat_refresh", "1");
	write_file(threshold, "0");
}

/*
 * What isn't free: all memory that there is, with the kernel's image and its
 * array of struct page, which MemTotal leaves out; less MemFree, and less the
 * pages that wait on the per-CPU lists, which are as free but not counted there.
 */
static uint64_t needed_bytes(void)
{
	uint64_t present = sum_of_lines("/proc/zoneinfo", "present");
	uint64_t buddy = sum_of_lines("/proc/meminfo", "MemFree:") * 1024;

	return (present - percpu_pages()) * GUEST_PAGE_SIZE - buddy;
}

/* Guest physical address of KVM's struct pvclock_wall_clock, 0 if not in use. */
static uint64_t wall_clock(void)
{
	uint64_t address = 0;
	int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		give_up("/dev/cpu/0/msr");
	/* Fails without KVM, which has no such register then. */
	if (pread(fd, &address, sizeof(address), MSR_KVM_WALL_CLOCK_NEW) !=
	    sizeof(address))
		address = 0;
	close(fd);
	return address;
}

static uint64_t free_bytes(void)
{
	struct sysinfo info;

	if (sysinfo(&info))
		give_up("sysinfo");
	return (uint64_t)info.freeram * info.mem_unit;
}

static void sample_free(void)
{
	uint64_t bytes = free_bytes();

	if (bytes < guest.lowest_free)
		guest.lowest_free = bytes;
}

static void say_free(const char *tag)
{
	sample_free();
	say("free %s %" PRIu64 " %" PRIu64, tag, free_bytes(), guest.lowest_free);
	guest.lowest_free = UINT64_MAX;
}

/* CPU time of the reporter, in microseconds. */
static uint64_t reporter_us(void)
{
	uint64_t ns = 0;
	char path[64];
	FILE *f;

	if (!guest.reporter)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/schedstat", guest.reporter);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%" SCNu64, &ns) != 1)
		give_up(path);
	fclose(f);
	return ns / 1000;
}

static void say_work(const char *tag)
{
	say("work %s %" PRIu64 " %" PRId64 " %" PRIu64, tag, guest.loops + program_loops(), now_ms(),
	    reporter_us());
}

static void say_free_map(const char *tag)
{
	uint64_t address;

	if (!free_map(&address))
		give_up("map of free pages");
	say("map %s %" PRIu64, tag, address);
}

static void account(const struct verify_result *result)
{
	uint64_t pages = guest.total.pages + result->pages;
	uint64_t wrong = guest.total.wrong + result->wrong;

	if (!guest.total.buffer)
		guest.total = *result;
	guest.total.pages = pages;
	guest.total.wrong = wrong;
}

static void verify_all(const char *tag)
{
	const struct verify_result *total = &guest.total;
	struct verify_result result = { 0 };
	char first[LINE_MAX_LEN / 2] = "";

	buffer_verify(&guest.keep, &result);
	buffer_verify(&guest.work, &result);
	disk_verify(&result);
	net_verify(&result);
	if (!program_verify(&result))
		give_up("verify: the program");
	account(&result);
	if (total->buffer)
		snprintf(first, sizeof(first),
			 " first=%s:page=%zu:word=%zu:expected=%016" PRIx64
			 ":found=%016" PRIx64, total->buffer, total->page,
			 total->word, total->expected, total->found);
	say("verify %s pages=%" PRIu64 " wrong=%" PRIu64 " total=%" PRIu64
	    "%s", tag, result.pages, result.wrong, total->wrong, first);
}

static void crash(void)
{
	write_file("/proc/sys/kernel/panic", "0");
	write_file("/proc/sysrq-trigger", "c");
}

/* The balloon's driver takes what it hints, and gives back what is filled here. */
static void press(bool hinted)
{
	uint64_t before = free_bytes();

	while (hinted && free_bytes() > before / 2)
		sched_yield();
	buffer_fill(&guest.work, 0, guest.work.npages);
}

static void handle_line(const char *line)
{
	char tag[32];

	if (sscanf(line, "needed %31s", tag) == 1)
		say("needed %s %" PRIu64, tag, needed_bytes());
	else if (sscanf(line, "wallclock %31s", tag) == 1)
		say("wallclock %s %" PRIu64, tag, wall_clock());
	else if (sscanf(line, "free %31s", tag) == 1)
		say_free(tag);
	else if (sscanf(line, "work %31s", tag) == 1)
		say_work(tag);
	else if (sscanf(line, "map %31s", tag) == 1)
		say_free_map(tag);
	/* A space in a format stands for none, too: the longer word comes first. */
	else if (sscanf(line, "press-hinted %31s", tag) == 1)
		press(true);
	else if (sscanf(line, "press %31s", tag) == 1)
		press(false);
	else if (sscanf(line, "verify %31s", tag) == 1)
		verify_all(tag);
	else if (!strncmp(line, "crash", strlen("crash")))
		crash();
	else
		say("unknown %s", line);
}

static void handle_input(void)
{
	ssize_t n = read(guest.port, guest.input + guest.input_len,
			 sizeof(guest.input) - 1 - guest.input_len);
	char *end;

	if (n <= 0)
		return;
	guest.input_len += n;
	guest.input[guest.input_len] = '\0';
	while ((end = strchr(guest.input, '\n'))) {
		*end++ = '\0';
		handle_line(guest.input);
		guest.input_len -= end - guest.input;
		memmove(guest.input, end, guest.input_len + 1);
	}
	/* A line that long is no command. */
	if (guest.input_len == sizeof(guest.input) - 1)
		guest.input_len = 0;
}

static void beat(void)
{
	struct verify_result result = { 0 };

	buffer_verify(&guest.keep, &result);
	net_verify(&result);
	account(&result);
	say("beat %" PRIu64 " wrong=%" PRIu64, ++guest.beats,
	    guest.total.wrong);
	guest.next_beat_ms = now_ms() + 1000;
}

/* A part of a turn: fills the next pages, or frees all if there are none. */
static void churn_step(void)
{
	size_t n = guest.work.npages - guest.churned;

	if (!n) {
		if (!buffer_free(&guest.work, 0, guest.work.npages))
			give_up("churn: free");
		guest.churned = 0;
		return;
	}
	if (n > CHURN_STEP)
		n = CHURN_STEP;
	buffer_fill(&guest.work, guest.churned, n);
	guest.churned += n;
	guest.loops += n;
}

static void start_idle(size_t mib)
{
	(void)mib;
}

static void start_freed(size_t mib)
{
	size_t npages = 600 * mib * MIB_PAGES / 1024;

	if (!buffer_create(&guest.work, "freed", npages, 2ULL << 56, false))
		give_up("freed: map");
	buffer_fill(&guest.work, 0, npages);
	if (!buffer_free(&guest.work, 0, npages))
		give_up("freed: free");
	trim_percpu_lists();
}

static void start_frag(size_t mib)
{
	size_t npages = 600 * mib * MIB_PAGES / 1024;

	if (!buffer_create(&guest.work, "frag", npages, 3ULL << 56, true))
		give_up("frag: map");
	buffer_fill(&guest.work, 0, npages);
	/* The first page of every eight stays. */
	for (size_t page = 0; page + 8 <= npages; page += 8) {
		if (!buffer_free(&guest.work, page + 1, 7))
			give_up("frag: free");
	}
}

static void start_churn(size_t mib)
{
	size_t npages = 100 * mib * MIB_PAGES / 1024;

	if (!buffer_create(&guest.work, "churn", npages, 4ULL << 56, false))
		give_up("churn: map");
	guest.churning = true;
	/* One turn, so that "ready" is said of a steady state. */
	do {
		churn_step();
	} while (guest.churned);
}

/* The program of each process of the workload forks. */
__attribute__((noreturn))
static void fill_and_end(void)
{
	struct page_buffer buffer;
	int64_t end = now_ms() + FORK_MS;

	if (!buffer_create(&buffer, "fork", 8 * MIB_PAGES,
			   5ULL << 56 | (uint64_t)getpid() << 32, false))
		_exit(1);
	buffer_fill(&buffer, 0, buffer.npages);
	while (now_ms() < end)
		usleep(1000);
	_exit(0);
}

/* Starts a process for each one that has ended. */
static void keep_forks(void)
{
	char *argv[] = { "/init", FORK_ARGUMENT, NULL };

	while (guest.forked && waitpid(-1, NULL, WNOHANG) > 0) {
		guest.forked--;
		guest.loops++;
	}
	for (; guest.forked < guest.forks; guest.forked++)
		spawn(argv);
}

static void start_forks(size_t mib)
{
	(void)mib;
	guest.forks = FORKS;
	/* Some turns, so that "ready" is said of a steady state. */
	for (int64_t end = now_ms() + 10 * FORK_MS; now_ms() < end; usleep(1000))
		keep_forks();
}

static void start_disk(size_t mib)
{
	if (!disk_start(100 * mib * MIB_PAGES / 1024))
		give_up("disk: start");
	guest.reading = true;
}

static void read_disk(void)
{
	struct verify_result result = { 0 };

	if (!disk_step(&result))
		give_up("disk: read");
	account(&result);
	guest.loops++;
}

static void start_net(size_t mib)
{
	(void)mib;
	if (!net_start())
		give_up("net: start");
}

static void start_pressure(size_t mib)
{
	struct page_buffer *buf = &guest.work;
	size_t npages = 600 * mib * MIB_PAGES / 1024;

	/* Linux leaves huge pages off in a guest this small. */
	write_file("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	/*
	 * No huge page is found among the small free pieces that no hint takes: so the
	 * driver has to give blocks back from the first one on.  And the kernel allocates
	 * nothing for itself there: a write that is lost is one to the buffer.
	 */
	if (!buffer_create(buf, "pressure", npages, 6ULL << 56, false) ||
	    madvise(buf->base, npages * GUEST_PAGE_SIZE, MADV_HUGEPAGE))
		give_up("pressure: map");
	buffer_fill(buf, 0, npages);
	if (!buffer_free(buf, 0, npages))
		give_up("pressure: free");
	trim_percpu_lists();
}

static void start_workload(const char *name, size_t mib)
{
	static const struct {
		const char *name;
		void (*start)(size_t mib);
	} workloads[] = {
		{ "idle", start_idle },
		{ "freed", start_freed },
		{ "frag", start_frag },
		{ "churn", start_churn },
		{ "forks", start_forks },
		{ "disk", start_disk },
		{ "net", start_net },
		{ "pressure", start_pressure },
	};
	static const char * const programs[] = { "server", "database", "build", "managed" };
	size_t npages = 100 * mib * MIB_PAGES / 1024;

	if (!buffer_create(&guest.keep, "keep", npages, 1ULL << 56, false))
		give_up("keep: map");
	buffer_fill(&guest.keep, 0, npages);
	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		if (strcmp(workloads[i].name, name))
			continue;
		workloads[i].start(mib);
		say("ready %s", name);
		return;
	}
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (strcmp(programs[i], name))
			continue;
		if (!program_start(name, mib))
			give_up(name);
		say("ready %s", name);
		return;
	}
	errno = EINVAL;
	give_up("lab_workload");
}

static int64_t time_to_wait(void)
{
	int64_t wait = guest.next_beat_ms - now_ms();

	if (guest.churning || guest.reading)
		return 0;
	if (guest.forks)
		return 1;
	return wait < SAMPLE_MS ? wait : SAMPLE_MS;
}

int main(int argc, char **argv)
{
	/* What the kernel doesn't know on its command line, init's environment is. */
	const char *workload = getenv("lab_workload");
	const char *mib = getenv("lab_mib");
	const char *report = getenv("lab_report");
	char *modules = getenv("lab_modules");

	if (argc == 2 && !strcmp(argv[1], FORK_ARGUMENT) && getpid() != 1)
		fill_and_end();

	guest.lowest_free = UINT64_MAX;
	mount_kernel_filesystems();
	load_module("/virtio_balloon.ko");
	load_module("/msr.ko");
	if (modules)
		load_modules(modules);
	guest.port = open_uart(LAB_PORT);
	if (report)
		start_reporter(report);
	start_workload(workload ? workload : "", mib ? strtoul(mib, NULL, 10) : 0);

	for (;;) {
		struct pollfd pfd = { .fd = guest.port, .events = POLLIN };

		if (now_ms() >= guest.next_beat_ms) {
			beat();
			continue;
		}
		sample_free();
		if (poll(&pfd, 1, time_to_wait()) > 0)
			handle_input();
		if (guest.churning)
			churn_step();
		if (guest.reading)
			read_disk();
		if (guest.forks)
			keep_forks();
	}
}
