// SPDX-License-Identifier: GPL-2.0-only
/*
 * fprctl report --serve: answers requests for as long as it runs
 *
 * A virtio-serial port stays while hosts come and go: it hangs up while no host has it
 * open, which is how a migration looks from here.  What was half read or half
 * written belongs to the host before, and is forgotten.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "endpoint.h"
#include "send_report.h"
#include "serve.h"
#include "wire.h"

/* How often a port is found without a host before a response is given up. */
#define HANG_UP_TRIES	4

/* What became of waiting for the host. */
enum event {
	EVENT_READY,	/* it can be read or written, as was asked for */
	EVENT_REQUEST,
	EVENT_HUNG_UP,
	EVENT_GONE,	/* the connection or the port is no more */
};

struct server {
	struct free_source *source;
	int fd;
	bool is_port;		/* it outlives its hosts */
	struct wire_request request;
	enum wire_status kind;	/* of the request that is to be answered */
	enum event event;	/* the last one */
};

/* The signal's only purpose is to end a wait. */
static void on_sigio(int number)
{
	(void)number;
}

static void set_up_signals(void)
{
	struct sigaction action = { .sa_handler = on_sigio };
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGIO, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/*
 * A port that hung up is always "ready", so poll() can not wait for the next host.
 * The port's driver sends SIGIO; the time limit is for those that don't.
 */
static void wait_for_host(void)
{
	const struct timespec second = { .tv_sec = 1 };
	sigset_t none;

	sigemptyset(&none);
	ppoll(NULL, 0, &second, &none);
}

/* Take what came.  Of several requests the last one is answered: nobody waits for the others. */
static enum event read_request(struct server *server)
{
	enum event event = EVENT_READY;
	enum wire_status status;
	uint8_t data[256];
	size_t at, used;
	ssize_t n;

	n = read(server->fd, data, sizeof(data));
	if (!n)
		return EVENT_HUNG_UP;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? EVENT_READY : EVENT_GONE;
	for (at = 0; at < (size_t)n; at += used) {
		status = wire_decode_request(&server->request, data + at, (size_t)n - at, &used);
		if (status == WIRE_MORE)
			continue;
		server->kind = status;
		event = EVENT_REQUEST;
	}
	return event;
}

/* Wait until a request is there, or with POLLOUT until something can be written. */
static enum event wait_for(struct server *server, short events)
{
	struct pollfd pfd = { .fd = server->fd, .events = events | POLLIN };

	if (poll(&pfd, 1, -1) < 0)
		return EVENT_READY;
	if (pfd.revents & (POLLERR | POLLNVAL))
		return EVENT_GONE;
	/* Only reading tells a port without a host from one that was unplugged. */
	if (pfd.revents & (POLLIN | POLLHUP))
		return read_request(server);
	return EVENT_READY;
}

/*
 * Wait until something can be written, or nobody waits for this response any more.
 *
 * That a host has come is told apart from what it sends: its request can be there while
 * the port still hangs up.  So a port is given some time.
 */
static enum event wait_to_write(struct server *server)
{
	int tries = server->is_port ? HANG_UP_TRIES : 1;
	enum event event;

	for (;;) {
		event = wait_for(server, POLLOUT);
		if (event != EVENT_HUNG_UP || !--tries)
			return event;
		wait_for_host();
	}
}

static enum fpr_status write_port(void *opaque, const void *data, size_t len)
{
	struct server *server = opaque;
	const char *at = data;
	ssize_t n;

	while (len) {
		n = write(server->fd, at, len);
		if (n > 0) {
			at += n;
			len -= (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			server->event = errno == EPIPE ? EVENT_HUNG_UP : EVENT_GONE;
		else
			server->event = wait_to_write(server);
		if (server->event != EVENT_READY)
			return FPR_ERROR;
	}
	return FPR_OK;
}

/* A report that can not be made is refused; why was said. */
static void answer(struct server *server)
{
	const struct sink sink = { .write = write_port, .opaque = server };
	enum wire_refusal refusal = WIRE_REFUSED_VERSION;
	uint64_t tag = server->request.tag;
	struct send_stats stats;

	server->event = EVENT_READY;
	if (server->kind == WIRE_DONE && !free_source_open(server->source, &refusal)) {
		send_report(server->source, tag, &sink, &stats);
		free_source_close(server->source);
		/* The next request may be months away. */
		malloc_trim(0);
		return;
	}
	send_refusal(server->source, tag, refusal, &sink);
}

/* Answer until the host hangs up. */
static enum event converse(struct server *server)
{
	wire_request_init(&server->request);
	server->event = EVENT_READY;
	for (;;) {
		if (server->event == EVENT_READY)
			server->event = wait_for(server, 0);
		if (server->event == EVENT_REQUEST)
			answer(server);	/* which may have met the next request */
		if (server->event == EVENT_HUNG_UP || server->event == EVENT_GONE)
			return server->event;
	}
}

static int open_port(const char *path)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0) {
		fcntl(fd, F_SETOWN, getpid());
		fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
		endpoint_make_raw(fd);
	}
	return fd;
}

static void serve_port(struct server *server, const char *path)
{
	for (;;) {
		while (server->fd >= 0 && converse(server) == EVENT_HUNG_UP)
			wait_for_host();
		if (server->fd >= 0) {
			warnx("%s is gone: waiting for it to come back", path);
			close(server->fd);
		}
		wait_for_host();
		server->fd = open_port(path);
	}
}

static void serve_connections(struct server *server, int listener)
{
	for (;;) {
		server->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (server->fd < 0) {
			wait_for_host();
			continue;
		}
		converse(server);
		close(server->fd);
	}
}

/*
 * What is wrong from the beginning is better said now than to each request; but
 * a guest that must not report says so to its host.
 */
static enum fpr_status check_source(struct free_source *source)
{
	enum wire_refusal refusal;

	if (!free_source_open(source, &refusal)) {
		free_source_close(source);
		return FPR_OK;
	}
	return refusal == WIRE_REFUSED_CONTENT ? FPR_OK : FPR_ERROR;
}

enum fpr_status serve(const struct endpoint *endpoint, struct free_source *source)
{
	struct server server = { .source = source };
	enum fpr_status status = check_source(source);
	int listener;

	if (status)
		return status;
	set_up_signals();
	if (endpoint->is_vsock) {
		status = endpoint_listen(endpoint, &listener);
		if (!status)
			serve_connections(&server, listener);
		return status;
	}
	server.is_port = true;
	server.fd = open_port(endpoint->name);
	if (server.fd < 0) {
		warn("%s: give the virtio-serial port to serve", endpoint->name);
		return FPR_ERROR;
	}
	serve_port(&server, endpoint->name);
	return FPR_OK;
}
