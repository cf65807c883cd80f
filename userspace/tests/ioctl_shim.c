// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded into fprctl-dynamic: the filter's ioctls without a kernel that has
 * them.  A memfd named "kvm-vm" is a VM, and its content is the bitmap of
 * pages touched since ARM.  Arguments are checked as the kernel does.
 *
 * The environment says what else happens:
 *
 * SHIM_KVM	error of open("/dev/kvm")
 * SHIM_MASK	answer to KVM_CHECK_EXTENSION, default 3
 * SHIM_ARM	error of KVM_FPR_ARM; or "sleep": take a while; or with candidates a number
 *		of pages to do at the first call, and with "+SIGTERM" a signal then, or
 *		"wait": for a file with the name of SHIM_LOG and ".go"; or "EINTR/N":
 *		that error, N times; or "EINTR+SIGTERM": that error, and a signal before;
 *		or "pause": at the first call, a wait that any signal ends
 * SHIM_DISARM	error of KVM_FPR_DISARM, also in the last two forms
 * SHIM_SET	what each call of KVM_FPR_SET_BITMAP does, separated by commas:
 *		a number of pages to do, the same and a signal ("64+SIGTERM"),
 *		or an error; after the last one calls do all there is
 * SHIM_LOG	file to which each ioctl is appended
 * SHIM_PROC	in place of /proc, as recorded.  A file in place of a directory is one that
 *		may not be looked at, as is one in place of a link; links with the same inode are descriptors of the
 *		same file, as kcmp() tells.
 * SHIM_SYS	in place of /sys
 * SHIM_GETFD	error of pidfd_getfd()
 * SHIM_YAMA	in place of /proc/sys/kernel/yama/ptrace_scope
 * SHIM_RELEASE	in place of the kernel's release, for uname()
 * SHIM_VSOCK	a path: a vsock is a UNIX socket there
 */
#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/kvm_fpr.h>
#include <signal.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <linux/vm_sockets.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FIRST_EPOCH	7
#define PAGE		4096
#define VM_MEMFD	"/memfd:kvm-vm (deleted)"
#define VM_LINK		"anon_inode:kvm-vm"

/* One that was begun before, too, for who was told its number. */
static __u64 current_epoch = FIRST_EPOCH;

static void note(const char *format, ...)
{
	const char *path = getenv("SHIM_LOG");
	va_list args;
	FILE *f;

	f = path ? fopen(path, "a") : NULL;
	if (!f)
		return;
	va_start(args, format);
	vfprintf(f, format, args);
	va_end(args);
	fclose(f);
}

/* -1 with the errno of that name, 0 if there is no name. */
static int fail_as(const char *name)
{
	int e;

	if (!name)
		return 0;
	for (e = 1; e < 200; e++) {
		const char *known = strerrorname_np(e);

		if (known && !strcmp(known, name)) {
			errno = e;
			return -1;
		}
	}
	abort();
}

/* The same for "NAME/N", the first N times, and "NAME+SIGTERM"; @times: how often that came. */
static int fail_for_a_while(const char *text, unsigned int *times)
{
	char name[32];
	size_t len;

	if (!text)
		return 0;
	len = strcspn(text, "/+");
	if (text[len] == '/' && (*times)++ >= strtoul(text + len + 1, NULL, 10))
		return 0;
	if (text[len] == '+')
		raise(SIGTERM);
	snprintf(name, sizeof(name), "%.*s", (int)len, text);
	return fail_as(name);
}

static bool begins_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

/* Where @path is to be looked for; @room: PATH_MAX bytes. */
static const char *place(const char *path, char *room)
{
	const char *proc = getenv("SHIM_PROC"), *sys = getenv("SHIM_SYS");
	const char *root = NULL;

	/* What fprctl looks up of itself is not recorded. */
	if (!strcmp(path, "/proc") ||
	    (begins_with(path, "/proc/") && isdigit((unsigned char)path[6])))
		root = proc;
	else if (!strcmp(path, "/proc/sys/kernel/yama/ptrace_scope") && getenv("SHIM_YAMA"))
		return getenv("SHIM_YAMA");
	else if (begins_with(path, "/sys/"))
		root = sys;
	if (!root)
		return path;
	/* Behind "/proc" or "/sys". */
	snprintf(room, PATH_MAX, "%s%s", root, path + (root == proc ? 5 : 4));
	return room;
}

FILE *fopen(const char *path, const char *mode)
{
	FILE *(*next)(const char *, const char *) =
		(FILE *(*)(const char *, const char *))dlsym(RTLD_NEXT, "fopen");
	char room[PATH_MAX];

	return next(place(path, room), mode);
}

DIR *opendir(const char *path)
{
	DIR *(*next)(const char *) = (DIR *(*)(const char *))dlsym(RTLD_NEXT, "opendir");
	char room[PATH_MAX];
	DIR *dir = next(place(path, room));

	if (!dir && errno == ENOTDIR)
		errno = EACCES;
	return dir;
}

int access(const char *path, int mode)
{
	int (*next)(const char *, int) = (int (*)(const char *, int))dlsym(RTLD_NEXT, "access");
	char room[PATH_MAX];

	return next(place(path, room), mode);
}

/* As kcmp() of two descriptors of one process does. */
static long compare_files(long pid, long a, long b)
{
	struct stat stat_a, stat_b;
	char path[64], room[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%ld/fd/%ld", pid, a);
	if (lstat(place(path, room), &stat_a))
		return -1;
	snprintf(path, sizeof(path), "/proc/%ld/fd/%ld", pid, b);
	if (lstat(place(path, room), &stat_b))
		return -1;
	return stat_a.st_ino != stat_b.st_ino;
}

long syscall(long number, ...)
{
	long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	long arg[6];
	va_list args;
	int i;

	va_start(args, number);
	for (i = 0; i < 6; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_kcmp && arg[0] == arg[1] && arg[2] == KCMP_FILE && getenv("SHIM_PROC"))
		return compare_files(arg[0], arg[3], arg[4]);
	return next(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

int pidfd_getfd(int pidfd, int fd, unsigned int flags)
{
	int (*next)(int, int, unsigned int) =
		(int (*)(int, int, unsigned int))dlsym(RTLD_NEXT, "pidfd_getfd");

	return fail_as(getenv("SHIM_GETFD")) ? -1 : next(pidfd, fd, flags);
}

int open(const char *path, int flags, ...)
{
	int (*next)(const char *, int, ...) =
		(int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	char room[PATH_MAX];
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) ? va_arg(args, mode_t) : 0;
	va_end(args);

	if (strcmp(path, "/dev/kvm"))
		return next(place(path, room), flags, mode);
	if (fail_as(getenv("SHIM_KVM")))
		return -1;
	return memfd_create("kvm", MFD_CLOEXEC);
}

ssize_t readlink(const char *path, char *target, size_t size)
{
	ssize_t (*next)(const char *, char *, size_t) =
		(ssize_t (*)(const char *, char *, size_t))dlsym(RTLD_NEXT, "readlink");
	char real[sizeof(VM_MEMFD)], room[PATH_MAX];
	ssize_t len = next(place(path, room), real, sizeof(real));

	if (len != sizeof(VM_MEMFD) - 1 || memcmp(real, VM_MEMFD, (size_t)len)) {
		len = next(place(path, room), target, size);
		if (len < 0 && errno == EINVAL)
			errno = EACCES;
		return len;
	}
	len = sizeof(VM_LINK) - 1;
	if ((size_t)len > size)
		len = (ssize_t)size;
	memcpy(target, VM_LINK, (size_t)len);
	return len;
}

static bool is_zero(const void *p, size_t len)
{
	const unsigned char *byte = p;

	while (len && !*byte) {
		byte++;
		len--;
	}
	return !len;
}

static int invalid(void)
{
	note("invalid\n");
	errno = EINVAL;
	return -1;
}

/* Bit n: page n is a candidate. */
static unsigned char candidates[1 << 20];
static bool has_candidates;

/* Until the test has done what is to happen during ARM. */
static void wait_for_test(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s.go", getenv("SHIM_LOG"));
	while (access(path, F_OK))
		usleep(1000);
}

/* Takes the next part of the candidates. */
static int add_candidates(struct kvm_fpr_arm *arm)
{
	const unsigned char *bits = (const unsigned char *)(uintptr_t)arm->candidates;
	const char *how = getenv("SHIM_ARM");
	__u64 i, page, pages = arm->size / PAGE;
	char *end = NULL;

	note("arm flags=%u epoch=%llu gpa=0x%llx size=0x%llx\n", arm->flags,
	     (unsigned long long)arm->epoch, (unsigned long long)arm->gpa,
	     (unsigned long long)arm->size);
	if (arm->flags != KVM_FPR_ARM_CANDIDATES || arm->pad || !arm->size ||
	    (arm->gpa | arm->size) % PAGE || !is_zero(arm->reserved, sizeof(arm->reserved)) ||
	    (arm->epoch && arm->epoch != current_epoch))
		return invalid();
	if (how && !strcmp(how, "wait")) {
		wait_for_test();
	} else if (how && !arm->epoch) {
		pages = strtoull(how, &end, 10);
		if (end == how)
			return fail_as(how);
	}
	for (i = 0; i < pages; i++) {
		page = arm->gpa / PAGE + i;
		if (page / 8 >= sizeof(candidates))
			abort();
		if (bits[i / 8] & 1U << i % 8)
			candidates[page / 8] |= (unsigned char)(1U << page % 8);
	}
	has_candidates = true;
	arm->epoch = current_epoch;
	arm->gpa += pages * PAGE;
	arm->size -= pages * PAGE;
	arm->candidates += (pages + 63) / 64 * 8;
	if (end && !strcmp(end, "+SIGTERM"))
		raise(SIGTERM);
	return 0;
}

static int arm_vm(struct kvm_fpr_arm *arm)
{
	static __u64 next_epoch = FIRST_EPOCH;
	static unsigned int times;
	const char *how = getenv("SHIM_ARM");

	if (arm->flags)
		return add_candidates(arm);
	note("arm\n");
	if (arm->flags || arm->pad || arm->epoch ||
	    !is_zero(arm->reserved, sizeof(arm->reserved)))
		return invalid();
	if (how && !strcmp(how, "sleep")) {
		usleep(300000);
		how = NULL;
	} else if (how && !strcmp(how, "wait")) {
		wait_for_test();
		how = NULL;
	} else if (how && !strcmp(how, "pause")) {
		how = NULL;
		if (!times++)
			return pause();
	}
	if (fail_for_a_while(how, &times))
		return -1;
	current_epoch = next_epoch++;
	arm->epoch = current_epoch;
	return 0;
}

static int disarm_vm(const struct kvm_fpr_disarm *disarm)
{
	static unsigned int times;

	note("disarm epoch=%llu\n", (unsigned long long)disarm->epoch);
	if (disarm->flags || disarm->pad ||
	    !is_zero(disarm->reserved, sizeof(disarm->reserved)))
		return invalid();
	if (fail_for_a_while(getenv("SHIM_DISARM"), &times))
		return -1;
	return disarm->epoch && disarm->epoch != current_epoch ? fail_as("ESTALE") : 0;
}

/* The next word of SHIM_SET, or NULL. */
static const char *next_step(void)
{
	static char *rest;
	static bool started;

	if (!started) {
		started = true;
		rest = getenv("SHIM_SET");	/* and it is cut up in place */
	}
	return rest ? strsep(&rest, ",") : NULL;
}

static void set_pages(int fd, struct kvm_fpr_bitmap *set, __u64 pages)
{
	const unsigned char *report = (const unsigned char *)(uintptr_t)set->bitmap;
	unsigned char *confirmed = (unsigned char *)(uintptr_t)set->confirmed;
	__u64 i, page;

	for (i = 0; i < pages; i++) {
		unsigned char touched = 0;

		page = set->gpa / PAGE + i;
		if (!(report[i / 8] & 1U << i % 8))
			continue;
		if (pread(fd, &touched, 1, (off_t)(page / 8)) < 0)
			abort();
		if (touched & 1U << page % 8)
			continue;
		if (has_candidates && !(candidates[page / 8] & 1U << page % 8))
			continue;
		set->nr_filtered += 2;	/* as if there were two address spaces */
		set->nr_confirmed++;
		if (confirmed)
			confirmed[i / 8] |= (unsigned char)(1U << i % 8);
	}
	set->gpa += pages * PAGE;
	set->size -= pages * PAGE;
	set->bitmap += (pages + 63) / 64 * 8;
	if (confirmed)
		set->confirmed += (pages + 63) / 64 * 8;
}

static int set_bitmap(int fd, struct kvm_fpr_bitmap *set)
{
	bool confirm = set->flags & KVM_FPR_SET_CONFIRM;
	const char *step = next_step();
	__u64 pages = set->size / PAGE;
	char *end;

	note("set flags=%u epoch=%llu gpa=0x%llx size=0x%llx step=%s\n", set->flags,
	     (unsigned long long)set->epoch, (unsigned long long)set->gpa,
	     (unsigned long long)set->size, step ? step : "all");
	if (set->flags & ~KVM_FPR_SET_CONFIRM || set->pad ||
	    !is_zero(set->reserved, sizeof(set->reserved)) || !set->size ||
	    set->size % PAGE || set->gpa % PAGE ||
	    set->gpa + set->size < set->gpa || confirm != !!set->confirmed)
		return invalid();
	if (set->epoch != current_epoch)
		return fail_as("ESTALE");
	if (!step) {
		set_pages(fd, set, pages);
		return 0;
	}
	pages = strtoull(step, &end, 10);
	if (end == step)
		return fail_as(step);
	set_pages(fd, set, pages);
	if (!strcmp(end, "+SIGTERM"))
		raise(SIGTERM);
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, ...) =
		(int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	const char *mask = getenv("SHIM_MASK");
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);

	switch (request) {
	case KVM_CHECK_EXTENSION:
		if ((uintptr_t)arg != KVM_CAP_FREE_PAGE_FILTER)
			return invalid();
		return mask ? atoi(mask) : 3;
	case KVM_FPR_ARM:
		return arm_vm(arg);
	case KVM_FPR_SET_BITMAP:
		return set_bitmap(fd, arg);
	case KVM_FPR_DISARM:
		return disarm_vm(arg);
	default:	/* of a command that --exec runs */
		return next ? next(fd, request, arg) : invalid();
	}
}

int uname(struct utsname *uts)
{
	int (*next)(struct utsname *) = (int (*)(struct utsname *))dlsym(RTLD_NEXT, "uname");
	const char *release = getenv("SHIM_RELEASE");
	int r = next(uts);

	if (!r && release)
		snprintf(uts->release, sizeof(uts->release), "%s", release);
	return r;
}

int socket(int domain, int type, int protocol)
{
	int (*next)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");

	return next(domain == AF_VSOCK && getenv("SHIM_VSOCK") ? AF_UNIX : domain, type, protocol);
}

int bind(int fd, const struct sockaddr *address, socklen_t len)
{
	int (*next)(int, const struct sockaddr *, socklen_t) =
		(int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind");
	struct sockaddr_un place = { .sun_family = AF_UNIX };

	if (address->sa_family != AF_VSOCK || !getenv("SHIM_VSOCK"))
		return next(fd, address, len);
	snprintf(place.sun_path, sizeof(place.sun_path), "%s", getenv("SHIM_VSOCK"));
	return next(fd, (struct sockaddr *)&place, sizeof(place));
}
