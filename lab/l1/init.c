// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of the lab's host (L1), started by lab/run from an initramfs.
 *
 * Loads modules, makes the machine's own root, shared read-only over 9p, its
 * root, runs one command there, reports on virtio-serial ports and powers off.
 * lab/run says what to do in /config: NUL-terminated KEY=VALUE records, see
 * parse_record(). Where it names no directory that is shared (an emulator that
 * has no 9p), the root is the initramfs.
 *
 * Ports, apart from the console so that nothing else can write into them; virtio's,
 * or serial ports that /config names and that go one way only:
 *   fpr.data  what the command prints (with a terminal: also what is typed)
 *   fpr.ctl   lines. To lab/run: "run", and in the end one of
 *             "exit STATUS BYTES", "timeout BYTES", "fail MESSAGE", where BYTES
 *             were sent on fpr.data. From lab/run: "winsize ROWS COLS", "end"
 *             when the time limit is reached, and "done" once it has all the bytes.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define NEW_ROOT	"/newroot"
#define KEEP		"/keep"
#define PORT_WAIT_MS	120000

struct module {
	char *path;
	bool kvm;		/* unloaded in the end */
	unsigned int cpu;	/* CPU_* it is for */
	bool loaded;
};

enum { CPU_ANY, CPU_SVM, CPU_VMX };

/* Directories that get a tmpfs: the root itself is read-only. */
static const struct {
	const char *path, *options;
} scratch[] = {
	{ "/tmp",     "mode=1777" },
	{ "/var/tmp", "mode=1777" },
	{ "/run",     "mode=0755" },
	{ "/root",    "mode=0700" },
};

static struct config {
	struct module modules[64];
	size_t nr_modules;
	char *keeps[16];	/* to stay visible although below a scratch directory */
	size_t nr_keeps;
	char *args[4096];
	size_t nr_args;
	char *env[1024];
	size_t nr_env;
	char *out;		/* shared read-write, NULL without shares */
	char *ctl, *data;	/* serial ports, NULL for virtio's */
	char *cwd;
	struct winsize tty;	/* rows 0: no terminal */
} config;

static int data_fd = -1, ctl_fd = -1;
static unsigned long long data_bytes;

/*
 * One line to the kernel's log. Not by stdio, which fails on /dev/kmsg because it
 * cannot seek there.
 */
static void write_log(const char *line)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	/* Before /dev is there, the console. */
	if (write(fd < 0 ? STDERR_FILENO : fd, line, strlen(line)) < 0)
		return;	/* nowhere to complain */
	if (fd >= 0)
		close(fd);
}

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	write_log(line);
}

static void __attribute__((noreturn)) power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)	/* PID 1 must not return; lab/run's time limit ends this */
		pause();
}

/* "cannot ..." to lab/run and to the log, and the end. */
static void __attribute__((format(printf, 1, 2), noreturn)) die(const char *format, ...)
{
	char what[900];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	say("lab: cannot %s\n", what);
	if (ctl_fd >= 0)
		dprintf(ctl_fd, "fail cannot %s\n", what);
	power_off();
}

static void write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			die("write to a port of lab/run: %m");
		}
		buf += n;
		len -= n;
	}
}

/* Configuration */

static void append(char **list, size_t *nr, size_t max, char *value)
{
	if (*nr + 1 >= max)	/* execve() wants a NULL behind the last */
		die("start: too many arguments or variables (%zu)", max);
	list[(*nr)++] = value;
}

static void add_module(char *path, bool kvm, unsigned int cpu)
{
	if (config.nr_modules == ARRAY_SIZE(config.modules))
		die("start: more than %zu modules", ARRAY_SIZE(config.modules));
	config.modules[config.nr_modules++] = (struct module) {
		.path = path, .kvm = kvm, .cpu = cpu,
	};
}

static void parse_record(char *key)
{
	char *value = strchr(key, '=');

	if (!value)
		die("read /config: no '=' in '%s'", key);
	*value++ = '\0';

	if (!strcmp(key, "module"))
		add_module(value, false, CPU_ANY);
	else if (!strcmp(key, "kvm-module"))
		add_module(value, true, CPU_ANY);
	else if (!strcmp(key, "svm-module"))
		add_module(value, true, CPU_SVM);
	else if (!strcmp(key, "vmx-module"))
		add_module(value, true, CPU_VMX);
	else if (!strcmp(key, "keep"))
		append(config.keeps, &config.nr_keeps, ARRAY_SIZE(config.keeps), value);
	else if (!strcmp(key, "arg"))
		append(config.args, &config.nr_args, ARRAY_SIZE(config.args), value);
	else if (!strcmp(key, "env"))
		append(config.env, &config.nr_env, ARRAY_SIZE(config.env), value);
	else if (!strcmp(key, "out"))
		config.out = value;
	else if (!strcmp(key, "ctl"))
		config.ctl = value;
	else if (!strcmp(key, "data"))
		config.data = value;
	else if (!strcmp(key, "cwd"))
		config.cwd = value;
	else if (!strcmp(key, "tty"))
		sscanf(value, "%hu %hu", &config.tty.ws_row, &config.tty.ws_col);
	else
		die("read /config: unknown key '%s'", key);
}

static void read_config(void)
{
	struct stat st;
	char *buf;
	ssize_t n;
	int fd;

	fd = open("/config", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		die("open /config: %m");
	buf = malloc(st.st_size + 1);
	if (!buf)
		die("read /config: %m");
	n = read(fd, buf, st.st_size);
	if (n != st.st_size)
		die("read /config: %zd of %lld bytes", n, (long long)st.st_size);
	buf[n] = '\0';
	close(fd);

	for (char *p = buf, *next; p < buf + n; p = next) {
		next = p + strlen(p) + 1;
		parse_record(p);
	}
	if (!config.nr_args || !config.cwd)
		die("read /config: arg and cwd are needed");
}

/* CPUs */

/*
 * The kernel was told to start the first one only (see lab/run). Another has a
 * file "online" that the first one lacks.
 */
static void start_cpus(void)
{
	char path[64];

	for (unsigned int cpu = 1;; cpu++) {
		int fd;

		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/online", cpu);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			return;
		if (fd < 0 || write(fd, "1", 1) != 1)
			die("start CPU %u: %m", cpu);
		close(fd);
	}
}

/* Modules */

static unsigned int cpu_virtualization(void)
{
#ifdef __x86_64__
	unsigned int eax, ebx, ecx, edx;

	if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & (1 << 2)))
		return CPU_SVM;
	if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & (1 << 5)))
		return CPU_VMX;
#endif
	return CPU_ANY;
}

/* The kernel's name of a module is its file's, with underscores. */
static void module_name(const char *path, char *name, size_t size)
{
	const char *base = strrchr(path, '/');

	snprintf(name, size, "%s", base ? base + 1 : path);
	name[strcspn(name, ".")] = '\0';
	for (char *p = name; *p; p++)
		if (*p == '-')
			*p = '_';
}

/* Those that the kernel's command line has for it, NAME.PARAMETER=VALUE, as modprobe does. */
static void module_parameters(const char *name, char *parameters, size_t size)
{
	size_t len = strlen(name), used = 0;
	char line[4096] = "";
	FILE *f;

	parameters[0] = '\0';
	f = fopen("/proc/cmdline", "re");
	if (!f || !fgets(line, sizeof(line), f))
		die("read /proc/cmdline: %m");
	fclose(f);
	for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
		if (strncmp(word, name, len) || word[len] != '.')
			continue;
		used += snprintf(parameters + used, size - used, "%s ", word + len + 1);
		if (used >= size)
			die("load %s: too many parameters", name);
	}
}

static void load_modules(void)
{
	unsigned int cpu = cpu_virtualization();

	for (size_t i = 0; i < config.nr_modules; i++) {
		char name[64], parameters[1024];
		struct module *m = &config.modules[i];
		int fd;

		if (m->kvm && cpu == CPU_ANY)
			die("load %s: this CPU has neither SVM nor VMX", m->path);
		if (m->cpu != CPU_ANY && m->cpu != cpu)
			continue;
		fd = open(m->path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			die("open module %s: %m", m->path);
		module_name(m->path, name, sizeof(name));
		module_parameters(name, parameters, sizeof(parameters));
		if (syscall(SYS_finit_module, fd, parameters, 0) && errno != EEXIST)
			die("load module %s: %m", m->path);
		close(fd);
		unlink(m->path);	/* the initramfs is memory */
		m->loaded = true;
	}
}

/*
 * Nothing runs any more, so KVM must be unloadable; if not, a VM's reference has
 * leaked. Unloading also lets the slab caches complain about leaked objects.
 */
static void unload_kvm(void)
{
	char name[64];

	for (size_t i = config.nr_modules; i--;) {
		struct module *m = &config.modules[i];

		if (!m->kvm || !m->loaded)
			continue;
		module_name(m->path, name, sizeof(name));
		if (syscall(SYS_delete_module, name, O_NONBLOCK))
			say("WARNING: module %s cannot be unloaded after the run: %m\n", name);
	}
}

/* Ports */

static int open_port(const char *name)
{
	char path[PATH_MAX], line[64];
	struct dirent *entry;
	int fd = -1;
	DIR *dir;
	FILE *f;

	dir = opendir("/sys/class/virtio-ports");
	if (!dir)
		return -1;
	while (fd < 0 && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(line, sizeof(line), f)) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			if (!strcmp(line, name))
				fd = open(path, O_RDWR | O_CLOEXEC);
		}
		fclose(f);
	}
	closedir(dir);
	return fd;
}

/* Ports appear by a message from the device, maybe only now. */
static int wait_for_port(const char *name)
{
	for (int ms = 0; ms < PORT_WAIT_MS; ms += 10) {
		int fd = open_port(name);

		if (fd >= 0)
			return fd;
		usleep(10000);
	}
	die("find the virtio-serial port %s", name);
}

/* As it is, at the highest speed that a serial port has. */
static int open_serial(const char *path)
{
	struct termios t;
	int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || tcgetattr(fd, &t))
		die("open %s: %m", path);
	cfmakeraw(&t);
	cfsetspeed(&t, B115200);
	t.c_cflag |= CLOCAL;
	if (tcsetattr(fd, TCSANOW, &t))
		die("set up %s: %m", path);
	return fd;
}

static void open_ports(void)
{
	if (config.data) {
		ctl_fd = open_serial(config.ctl);
		data_fd = open_serial(config.data);
	} else {
		ctl_fd = wait_for_port("fpr.ctl");
		data_fd = wait_for_port("fpr.data");
	}
}

/* Mounts */

static void do_mount(const char *source, const char *target, const char *type,
		     unsigned long flags, const char *options)
{
	if (mount(source, target, type, flags, options))
		die("mount %s on %s: %m", source, target);
}

static void make_dir(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		die("make directory %s: %m", path);
}

static void make_dirs(const char *path)
{
	char partial[PATH_MAX];

	for (const char *p = path + 1; (p = strchr(p, '/')); p++) {
		snprintf(partial, sizeof(partial), "%.*s", (int)(p - path), path);
		make_dir(partial);
	}
	make_dir(path);
}

static void mount_early(void)
{
	make_dir("/proc");
	make_dir("/sys");
	do_mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
	do_mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	do_mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static bool below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/';
}

static bool below_scratch(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(scratch); i++)
		if (below(path, scratch[i].path))
			return true;
	return false;
}

/*
 * The checkout and the cache may well live below /root or /tmp: they are set
 * aside, the scratch directories are mounted, and they are put back.
 */
static void mount_scratch(void)
{
	char aside[PATH_MAX], path[PATH_MAX];

	make_dir(KEEP);
	for (size_t i = 0; i < config.nr_keeps; i++) {
		if (!below_scratch(config.keeps[i]))
			continue;
		snprintf(aside, sizeof(aside), KEEP "/%zu", i);
		snprintf(path, sizeof(path), NEW_ROOT "%s", config.keeps[i]);
		make_dir(aside);
		do_mount(path, aside, NULL, MS_BIND, NULL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(scratch); i++) {
		snprintf(path, sizeof(path), NEW_ROOT "%s", scratch[i].path);
		do_mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, scratch[i].options);
	}
	for (size_t i = 0; i < config.nr_keeps; i++) {
		if (!below_scratch(config.keeps[i]))
			continue;
		snprintf(aside, sizeof(aside), KEEP "/%zu", i);
		snprintf(path, sizeof(path), NEW_ROOT "%s", config.keeps[i]);
		make_dirs(path);
		do_mount(aside, path, NULL, MS_MOVE, NULL);
	}
}

static void mount_root(void)
{
	char path[PATH_MAX];

	make_dir(NEW_ROOT);
	/*
	 * Nothing in L1 can write it, so what L1 has read may be kept for good:
	 * what L0 changes during the run need not be seen.
	 */
	do_mount("fpr.root", NEW_ROOT, "9p", MS_RDONLY | MS_NOATIME,
		 "trans=virtio,version=9p2000.L,msize=512000,cache=loose,access=any");
	mount_scratch();
	/* Written through at once: L0 reads it while L1 runs. */
	snprintf(path, sizeof(path), NEW_ROOT "%s", config.out);
	do_mount("fpr.out", path, "9p", MS_NOATIME,
		 "trans=virtio,version=9p2000.L,msize=512000,cache=mmap,access=any");

	do_mount("/dev", NEW_ROOT "/dev", NULL, MS_MOVE, NULL);
	do_mount("/proc", NEW_ROOT "/proc", NULL, MS_MOVE, NULL);
	do_mount("/sys", NEW_ROOT "/sys", NULL, MS_MOVE, NULL);
	if (chdir(NEW_ROOT))
		die("enter the shared root: %m");
	do_mount(".", "/", NULL, MS_MOVE, NULL);
	if (chroot(".") || chdir("/"))
		die("change the root: %m");
}

static void make_link(const char *target, const char *path)
{
	if (symlink(target, path) && errno != EEXIST)
		die("link %s: %m", path);
}

static void bring_lo_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 && errno == ENOSYS)
		return;	/* this kernel has no network at all */
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr))
		die("bring the interface lo up: %m");
	close(fd);
}

/* What udev and an init system would have done. */
static void finish_system(void)
{
	make_dir("/dev/shm");
	make_dir("/dev/pts");
	do_mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	do_mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		 "mode=0620,ptmxmode=0666,gid=5");
	do_mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	make_link("/proc/self/fd", "/dev/fd");
	make_link("fd/0", "/dev/stdin");
	make_link("fd/1", "/dev/stdout");
	make_link("fd/2", "/dev/stderr");
	sethostname("lab", 3);
	bring_lo_up();
}

/* The command */

static void __attribute__((noreturn)) exec_command(int in, int out, bool tty)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (tty)
		ioctl(in, TIOCSCTTY, 0);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	if (chdir(config.cwd)) {
		dprintf(STDERR_FILENO, "lab: cannot enter %s in L1: %m\n", config.cwd);
		_exit(125);
	}
	environ = config.env;
	execvp(config.args[0], config.args);
	dprintf(STDERR_FILENO, "lab: cannot run %s in L1: %m\n", config.args[0]);
	_exit(errno == ENOENT ? 127 : 126);
}

/* Start the command; *fd gets what it prints (and takes what is typed). */
static pid_t start_command(int *fd)
{
	bool tty = config.tty.ws_row;
	int in, out;
	pid_t pid;

	if (tty) {
		*fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (*fd < 0 || unlockpt(*fd) || ioctl(*fd, TIOCSWINSZ, &config.tty))
			die("make a terminal: %m");
		in = out = open(ptsname(*fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	} else {
		int fds[2];

		if (pipe2(fds, O_CLOEXEC))
			die("make a pipe: %m");
		*fd = fds[0];
		out = fds[1];
		in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	if (in < 0 || out < 0)
		die("open the command's input: %m");

	pid = fork();
	if (pid < 0)
		die("fork: %m");
	if (!pid)
		exec_command(in, out, tty);
	close(in);
	if (out != in)
		close(out);
	return pid;
}

/* Pass on one piece of what the command printed; false at its end. */
static bool forward_output(int fd)
{
	static char buf[65536];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n <= 0)	/* a terminal without a process gives EIO */
		return n < 0 && errno == EINTR;
	write_all(data_fd, buf, n);
	data_bytes += n;
	return true;
}

static void forward_input(int fd)
{
	char buf[4096];
	ssize_t n = read(data_fd, buf, sizeof(buf));

	if (n > 0)
		write_all(fd, buf, n);
}

/* A line from lab/run; it never sends more than one at a time while we wait. */
static bool read_control(char *line, size_t size)
{
	ssize_t n = read(ctl_fd, line, size - 1);

	if (n <= 0)
		return false;
	line[n] = '\0';
	return true;
}

/* False when the command has to end. */
static bool handle_control(int terminal)
{
	struct winsize size = { };
	char line[128];

	if (!read_control(line, sizeof(line)))
		return true;
	if (sscanf(line, "winsize %hu %hu", &size.ws_row, &size.ws_col) == 2)
		ioctl(terminal, TIOCSWINSZ, &size);
	return !strstr(line, "end\n");
}

/* Reap everything that ended; true when the command is among it. */
static bool reap(pid_t pid, int *status)
{
	bool ended = false;
	pid_t child;
	int s;

	while ((child = waitpid(-1, &s, WNOHANG)) > 0) {
		if (child == pid) {
			*status = s;
			ended = true;
		}
	}
	return ended;
}

static int open_child_signal(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		die("make a signalfd: %m");
	return fd;
}

/* Run the command to its end; false when lab/run's time limit came first. */
static bool run_command(int *status)
{
	enum { OUTPUT, CHILD, CONTROL, INPUT, NR };
	struct pollfd fds[NR];
	struct signalfd_siginfo info;
	bool ended = false, in_time = true;
	int fd, child_fd;
	pid_t pid;

	child_fd = open_child_signal();
	say("lab: running %s\n", config.args[0]);
	dprintf(ctl_fd, "run\n");
	pid = start_command(&fd);
	fds[OUTPUT] = (struct pollfd) { .fd = fd, .events = POLLIN };
	fds[CHILD] = (struct pollfd) { .fd = child_fd, .events = POLLIN };
	fds[CONTROL] = (struct pollfd) { .fd = config.ctl ? -1 : ctl_fd, .events = POLLIN };
	fds[INPUT] = (struct pollfd) {
		.fd = config.tty.ws_row ? data_fd : -1, .events = POLLIN,
	};

	while (!ended && in_time) {
		if (poll(fds, NR, -1) < 0 && errno != EINTR)
			die("poll: %m");
		if (fds[OUTPUT].revents && !forward_output(fd))
			fds[OUTPUT].fd = -1;
		if (fds[INPUT].revents & POLLIN)
			forward_input(fd);
		if (fds[CONTROL].revents & POLLIN)
			in_time = handle_control(fd);
		if (fds[CHILD].revents) {
			while (read(child_fd, &info, sizeof(info)) > 0)
				;
			ended = reap(pid, status);
		}
	}

	/* Whatever it left behind would keep the pipe, out/ and KVM busy. */
	kill(-1, SIGKILL);
	while (fds[OUTPUT].fd >= 0 && forward_output(fd))
		;
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	close(fd);
	return in_time;
}

/* Until lab/run has all the output, QEMU must not go. It goes with lab/run. */
static void wait_for_done(void)
{
	struct pollfd pfd = { .fd = ctl_fd, .events = POLLIN };
	char line[128];

	if (config.ctl) {
		tcdrain(ctl_fd);
		return;
	}
	while (poll(&pfd, 1, -1) > 0)
		if (!read_control(line, sizeof(line)) || strstr(line, "done\n"))
			return;
}

int main(void)
{
	bool in_time;
	int status;

	mount_early();
	read_config();
	open_ports();
	start_cpus();
	load_modules();
	if (config.out)
		mount_root();
	finish_system();

	in_time = run_command(&status);

	unload_kvm();
	sync();
	if (config.out && umount(config.out))
		die("unmount %s: %m", config.out);
	if (config.data)
		tcdrain(data_fd);
	if (!in_time)
		dprintf(ctl_fd, "timeout %llu\n", data_bytes);
	else if (WIFSIGNALED(status))
		dprintf(ctl_fd, "exit %d %llu\n", 128 + WTERMSIG(status), data_bytes);
	else
		dprintf(ctl_fd, "exit %d %llu\n", WEXITSTATUS(status), data_bytes);
	wait_for_done();
	power_off();
}
