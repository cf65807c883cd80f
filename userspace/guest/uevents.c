// SPDX-License-Identifier: GPL-2.0-only
/* In the guest: whether a device may have come. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "uevents.h"

/* The multicast group of what the kernel itself sends. */
#define KERNEL_GROUP	1

/* Nobody else sends it. */
#define SIGNAL		SIGUSR1

static int events = -1;
static volatile sig_atomic_t came = 1;

static void on_event(int number)
{
	(void)number;
	came = 1;
}

/* The kernel sends nothing to a network namespace that is of another user namespace than its own. */
static bool gets_events(void)
{
	int user = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	int net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int owner = net < 0 ? -1 : ioctl(net, NS_GET_USERNS);
	struct stat a, b;
	bool same;

	same = user >= 0 && owner >= 0 && !fstat(user, &a) && !fstat(owner, &b) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
	close(owner);
	close(net);
	close(user);
	return same;
}

static bool set_up_signal(int fd)
{
	const struct f_owner_ex owner = { .type = F_OWNER_TID, .pid = gettid() };
	struct sigaction action = { .sa_handler = on_event, .sa_flags = SA_RESTART };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGNAL);
	return !sigaction(SIGNAL, &action, NULL) && !pthread_sigmask(SIG_UNBLOCK, &set, NULL) &&
	       !fcntl(fd, F_SETSIG, SIGNAL) && !fcntl(fd, F_SETOWN_EX, &owner) &&
	       !fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
}

void uevents_watch(void)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP };
	int fd;

	if (!gets_events())
		return;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (fd < 0)
		return;
	if (set_up_signal(fd) && !bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		events = fd;
	else
		close(fd);
}

bool uevents_came(void)
{
	char event[64];	/* its beginning, which nobody reads */
	ssize_t n;

	if (events < 0)
		return true;
	if (!came)
		return false;
	/* What comes from here on sets it again. */
	came = 0;
	do
		n = recv(events, event, sizeof(event), 0);
	while (n >= 0 || errno == EINTR || errno == ENOBUFS);
	return true;
}
