// SPDX-License-Identifier: GPL-2.0-only
/* Waiting for what is outside: for as long as is allowed, and not without a word. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "patience.h"

/* No event tells that a FIFO got a reader, so it is opened again and again. */
#define LOOK_AGAIN_US	50000

/*
 * Where poll() says that something can be written, PIPE_BUF bytes can be without waiting.  A
 * descriptor that does not block may be given more: it takes what it can.
 */
#define MAX_BLOCKING	PIPE_BUF
#define MAX_WRITE	((size_t)1 << 20)

void patience_begin(struct patience *patience, const char *name, uint64_t timeout_s)
{
	*patience = (struct patience) {
		.notice = { .name = name },
		.timeout_s = timeout_s,
		.until_us = timeout_s ? clock_us() + timeout_s * 1000000 : UINT64_MAX,
	};
}

static enum fpr_status explain(const struct patience *patience, enum stop_wait end)
{
	const struct stop_notice *notice = &patience->notice;

	switch (end) {
	case STOP_READY:
		return FPR_OK;
	case STOP_TIME_OVER:
		warnx("%s: waited %llu s for %s: give a longer --timeout", notice->name,
		      (unsigned long long)patience->timeout_s, notice->what);
		break;
	case STOP_SIGNALLED:
		warnx("%s: stopped by a signal while waiting for %s", notice->name, notice->what);
		break;
	case STOP_PROCESS_ENDED:
		warnx("%s: the VM is gone: its process has ended", notice->name);
		break;
	}
	return FPR_ERROR;
}

enum fpr_status patience_wait(struct patience *patience, int fd, short events, const char *what)
{
	patience->notice.what = what;
	return explain(patience, stop_wait_noticed(&patience->notice, fd, events,
						   patience->until_us));
}

/* Wait for a moment, or less where the time is over before. */
static enum fpr_status wait_a_moment(struct patience *patience, uint64_t began_us, const char *what)
{
	uint64_t until_us = clock_us() + LOOK_AGAIN_US;
	enum stop_wait end;

	if (until_us >= patience->until_us)
		return patience_wait(patience, -1, 0, what);
	patience->notice.what = what;
	stop_notice_since(&patience->notice, began_us);
	end = stop_wait(-1, 0, until_us);
	return end == STOP_TIME_OVER ? FPR_OK : explain(patience, end);
}

/* ENXIO is the error of a FIFO without a reader, and also of a device that is not there. */
static bool lacks_reader(const char *path)
{
	struct stat st;

	return errno == ENXIO && !stat(path, &st) && S_ISFIFO(st.st_mode);
}

enum fpr_status patience_open(struct patience *patience, const char *path, int *fd)
{
	const uint64_t began_us = clock_us();
	enum fpr_status status = FPR_OK;

	for (;;) {
		*fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
		if (*fd >= 0)
			return FPR_OK;
		if (!lacks_reader(path)) {
			warn("%s", path);
			return FPR_ERROR;
		}
		status = wait_a_moment(patience, began_us, "a reader");
		if (status)
			return status;
	}
}

int patience_write(struct patience *patience, int fd, const void *data, size_t len)
{
	static const char what[] = "a reader to take it";
	const size_t max = fcntl(fd, F_GETFL) & O_NONBLOCK ? MAX_WRITE : MAX_BLOCKING;
	uint64_t began_us = clock_us();
	const char *at = data;
	ssize_t n;

	while (len) {
		if (patience_wait(patience, fd, POLLOUT, what))
			break;
		n = write(fd, at, len < max ? len : max);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -1;
		/* At a port that its host has closed poll() returns at once, but write() takes nothing. */
		if (n < 0 && errno == EAGAIN && wait_a_moment(patience, began_us, what))
			break;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
			began_us = clock_us();
		}
	}
	errno = 0;
	return len ? -1 : 0;
}
