// SPDX-License-Identifier: GPL-2.0-only
/*
 * fprctl report --serve: answers requests for as long as it runs
 *
 * A virtio-serial port stays while hosts come and go: it hangs up while no host has it
 * open, which is how a migration looks from here.  What was half read or half
 * written belongs to the host before, and is forgotten.
 *
 * At a vsock any program of the host can connect, and a host that was restored from a
 * snapshot leaves connections behind that nobody will ever use or close.  So no client can
 * keep the others waiting: they are answered in turn, one answer each; one that says nothing
 * for a while goes; so does one that takes its answer slowly while another waits; and where
 * there are too many, the one that has been silent for longest.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "endpoint.h"
#include "send_report.h"
#include "serve.h"
#include "uevents.h"
#include "wire.h"

/* How often a port is found without a host before a response is given up. */
#define HANG_UP_TRIES	4

/* Connections that are open at a time, and how long one may say nothing. */
#define CLIENTS_MAX	8
#define SILENCE_US	10000000u

/* The major number of /dev/null and its like, at whose other end no host ever is. */
#define MEMORY_MAJOR	1

/*
 * What the thread that answers writes to for a report, but for the bitmap.  Such pages are in the guest's next
 * snapshot, so these are two: one has what the C library keeps at the end of a thread's stack, some 2400 bytes, and the
 * beginning of what is sent, and the one before has the stack as far as it is used.  What is never used takes no memory.
 */
#define STACK_BYTES	((256u << 10) + 2560)
static struct {
	uint8_t stack[STACK_BYTES];
	uint8_t sent[SEND_BYTES];
} thread_data __attribute__((aligned(4096)));

/* What became of waiting for the host. */
enum event {
	EVENT_READY,	/* it can be read or written, as was asked for */
	EVENT_REQUEST,
	EVENT_HUNG_UP,
	EVENT_GONE,	/* the connection or the port is no more */
};

/* A connection, or the port, from which requests come. */
struct client {
	int fd;
	struct wire_request request;	/* as far as it was read */
	enum wire_status kind;		/* of the request that is to be answered */
	enum event event;		/* the last one */
	uint64_t heard_us;		/* when it last said or took something */
};

struct server {
	const struct endpoint *endpoint;
	struct free_source *source;
	bool is_port;		/* a port, which stays while hosts come and go */
	int listener;		/* or -1 */
	struct client *client;	/* the one that is answered now */
	size_t nr_clients;
	struct client clients[CLIENTS_MAX];	/* the one to be answered next comes first */
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
 * A port that hung up is always "ready", so poll() cannot wait for the next host.
 * The port's driver sends SIGIO; the time limit is for those that don't.
 *
 * The signal is asked for here alone.  Else one came with each request, and what sending it writes to,
 * three pages, is in the guest's next snapshot.  A host that comes just before is not
 * announced, but its request is.
 *
 * @port: or -1
 */
static void wait_for_host(int port)
{
	const struct timespec second = { .tv_sec = 1 };
	sigset_t none;

	sigemptyset(&none);
	if (port >= 0)
		fcntl(port, F_SETFL, O_NONBLOCK | O_ASYNC);
	ppoll(NULL, 0, &second, &none);
	if (port >= 0)
		fcntl(port, F_SETFL, O_NONBLOCK);
}

/* Take what came.  Of several requests the last one is answered: nobody waits for the others. */
static enum event read_request(struct client *client)
{
	enum event event = EVENT_READY;
	enum wire_status status;
	uint8_t data[256];
	size_t at, used;
	ssize_t n;

	n = read(client->fd, data, sizeof(data));
	if (!n)
		return EVENT_HUNG_UP;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? EVENT_READY : EVENT_GONE;
	client->heard_us = clock_us();
	for (at = 0; at < (size_t)n; at += used) {
		status = wire_decode_request(&client->request, data + at, (size_t)n - at, &used);
		if (status == WIRE_MORE)
			continue;
		client->kind = status;
		event = EVENT_REQUEST;
	}
	return event;
}

/* What is left of a time; 0 if nothing is, and for poll() rounded up. */
static int ms_left(uint64_t until_us)
{
	uint64_t now = clock_us();

	return now >= until_us ? 0 : (int)((until_us - now + 999) / 1000);
}

/* Whether anybody but the one that is attended to wants something. */
static bool others_wait(const struct server *server)
{
	struct pollfd fds[CLIENTS_MAX + 1];
	nfds_t nr = 0;
	size_t i;

	if (server->listener < 0)
		return false;
	fds[nr++] = (struct pollfd) { .fd = server->listener, .events = POLLIN };
	for (i = 0; i < server->nr_clients; i++) {
		if (&server->clients[i] != server->client)
			fds[nr++] = (struct pollfd) { .fd = server->clients[i].fd, .events = POLLIN };
	}
	return poll(fds, nr, 0) > 0;
}

/*
 * Wait until a request is there, or with POLLOUT until something can be written.
 * @until_us: with a listener, when others have waited long enough
 */
static enum event wait_for(const struct server *server, short events, uint64_t until_us)
{
	struct client *client = server->client;
	struct pollfd pfd = { .fd = client->fd, .events = events | POLLIN };
	int nr;

	nr = poll(&pfd, 1, server->listener < 0 ? -1 : ms_left(until_us));
	if (nr < 0)
		return EVENT_READY;
	if (!nr)
		return EVENT_GONE;
	if (pfd.revents & (POLLERR | POLLNVAL))
		return EVENT_GONE;
	/* Only reading tells a port without a host from one that was unplugged. */
	if (pfd.revents & (POLLIN | POLLHUP))
		return read_request(client);
	return EVENT_READY;
}

/*
 * Wait until something can be written, or nobody waits for this response any more.
 *
 * That a host has come is told apart from what it sends: its request can be there while
 * the port still hangs up.  So a port is given some time.
 */
static enum event wait_to_write(const struct server *server, uint64_t until_us)
{
	int tries = server->is_port ? HANG_UP_TRIES : 1;
	enum event event;

	for (;;) {
		event = wait_for(server, POLLOUT, until_us);
		if (event != EVENT_HUNG_UP || !--tries)
			return event;
		wait_for_host(server->client->fd);
	}
}

/* An answer on its way. */
struct answer {
	struct server *server;
	uint64_t begun_us;
};

/*
 * When a client that takes nothing is given up: it was silent for too long, or it is slow and
 * keeps others waiting.  Even then it gets what it takes without a wait.
 */
static uint64_t patience_ends_us(const struct answer *answer)
{
	uint64_t since = answer->server->client->heard_us;

	if (others_wait(answer->server) && answer->begun_us < since)
		since = answer->begun_us;
	return since + SILENCE_US;
}

static enum fpr_status write_client(void *opaque, const void *data, size_t len)
{
	struct answer *answer = opaque;
	struct server *server = answer->server;
	struct client *client = server->client;
	const char *at = data;
	ssize_t n;

	while (len) {
		n = write(client->fd, at, len);
		if (n > 0) {
			at += n;
			len -= (size_t)n;
			client->heard_us = clock_us();
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			client->event = errno == EPIPE ? EVENT_HUNG_UP : EVENT_GONE;
		else
			client->event = wait_to_write(server, patience_ends_us(answer));
		if (client->event != EVENT_READY)
			return FPR_ERROR;
	}
	return FPR_OK;
}

/* A report that cannot be made is refused; why was said. */
static void answer(struct server *server)
{
	struct answer answer = { .server = server, .begun_us = clock_us() };
	const struct sink sink = { .write = write_client, .opaque = &answer, .buffer = thread_data.sent };
	enum wire_refusal refusal = WIRE_REFUSED_VERSION;
	struct client *client = server->client;
	uint64_t tag = client->request.tag;
	struct send_stats stats;

	client->event = EVENT_READY;
	client->heard_us = answer.begun_us;
	if (client->kind == WIRE_DONE && !free_source_open(server->source, &refusal)) {
		send_report(server->source, tag, &sink, &stats);
		free_source_rest(server->source);
		/* zlib has read the kernel's configuration: give its memory back to the guest. */
		if (server->source->kpageflags)
			malloc_trim(0);
		return;
	}
	send_refusal(server->source, tag, refusal, &sink);
}

static void client_init(struct client *client, int fd)
{
	client->fd = fd;
	client->event = EVENT_READY;
	client->heard_us = clock_us();
	wire_request_init(&client->request);
}

/* Answer until the host hangs up. */
static enum event converse(struct server *server)
{
	struct client *client = server->client;

	for (;;) {
		if (client->event == EVENT_READY)
			client->event = wait_for(server, 0, 0);
		if (client->event == EVENT_REQUEST)
			answer(server);	/* the next request may have come meanwhile */
		if (client->event == EVENT_HUNG_UP || client->event == EVENT_GONE)
			return client->event;
	}
}

/* A unix socket, at which another program listens; it is not waited for until that accepts. */
static int connect_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* What a path is, if no host can ever be at its other end; else NULL. */
static const char *not_a_port(const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return "a file";
	if (S_ISDIR(st->st_mode))
		return "a directory";
	if (S_ISFIFO(st->st_mode))
		return "a FIFO, which has one direction";
	if (S_ISCHR(st->st_mode) && major(st->st_rdev) == MEMORY_MAJOR)
		return "a device without another end";
	return S_ISCHR(st->st_mode) || S_ISSOCK(st->st_mode) ? NULL : "not a character device";
}

/* -1 with errno, which is EINVAL for what is no port. */
static int open_port(struct server *server, const char *path)
{
	struct stat st;
	int fd;

	if (stat(path, &st))
		return -1;
	if (not_a_port(&st)) {
		errno = EINVAL;
		return -1;
	}
	server->is_port = S_ISCHR(st.st_mode);
	if (!server->is_port)
		return connect_unix(path);
	fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0) {
		fcntl(fd, F_SETOWN, getpid());
		endpoint_make_raw(fd);
	}
	return fd;
}

static enum fpr_status explain_port(const char *path)
{
	int error = errno;
	struct stat st;

	if (error == EINVAL && !stat(path, &st) && not_a_port(&st))
		warnx("%s is %s: --serve takes a port of virtio-serial, a terminal or a socket, or vsock:any:PORT",
		      path, not_a_port(&st));
	else if (error == EAGAIN)
		warnx("%s: others are connected and wait there: end them", path);
	else
		warnx("%s: %s: give the virtio-serial port to serve", path, strerror(error));
	return FPR_ERROR;
}

static void serve_port(struct server *server, const char *path)
{
	int fd = server->client->fd;

	for (;;) {
		while (fd >= 0) {
			client_init(server->client, fd);
			if (converse(server) == EVENT_HUNG_UP && server->is_port) {
				wait_for_host(fd);
				continue;
			}
			warnx("%s is gone: waiting for it to come back", path);
			close(fd);
			fd = -1;
		}
		wait_for_host(-1);
		fd = open_port(server, path);
	}
}

/* No client is left at @i; those behind it move up. */
static void forget_client(struct server *server, size_t i)
{
	memmove(&server->clients[i], &server->clients[i + 1],
		(server->nr_clients - i - 1) * sizeof(server->clients[0]));
	server->nr_clients--;
}

static void drop_client(struct server *server, size_t i)
{
	close(server->clients[i].fd);
	forget_client(server, i);
}

static size_t longest_silent(const struct server *server)
{
	size_t i, found = 0;

	for (i = 1; i < server->nr_clients; i++) {
		if (server->clients[i].heard_us < server->clients[found].heard_us)
			found = i;
	}
	return found;
}

static void drop_silent(struct server *server)
{
	uint64_t now = clock_us();
	size_t i = 0;

	while (i < server->nr_clients) {
		if (server->clients[i].event == EVENT_READY &&
		    now - server->clients[i].heard_us >= SILENCE_US)
			drop_client(server, i);
		else
			i++;
	}
}

static void accept_client(struct server *server)
{
	int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		/* Nobody is there any more, or descriptors are short, which takes time. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			wait_for_host(-1);
		return;
	}
	if (server->nr_clients == CLIENTS_MAX)
		drop_client(server, longest_silent(server));
	client_init(&server->clients[server->nr_clients++], fd);
}

/*
 * Read what the client at @i says and give it one answer.  It goes to the end of the queue then.
 *
 * Return: whether there was anything to do; it is another client that is at @i then, or none.
 */
static bool attend(struct server *server, size_t i)
{
	struct client *client = &server->clients[i], moved;

	if (client->event == EVENT_READY)
		client->event = read_request(client);
	if (client->event == EVENT_READY)
		return false;
	server->client = client;
	if (client->event == EVENT_REQUEST)
		answer(server);
	if (client->event == EVENT_HUNG_UP || client->event == EVENT_GONE) {
		drop_client(server, i);
		return true;
	}
	moved = *client;
	forget_client(server, i);
	server->clients[server->nr_clients++] = moved;
	return true;
}

/* Wait until a client or a new one wants something, or one has been silent for too long. */
static bool wait_for_clients(const struct server *server)
{
	struct pollfd fds[CLIENTS_MAX + 1] = { { .fd = server->listener, .events = POLLIN } };
	int timeout = -1;
	size_t i;

	for (i = 0; i < server->nr_clients; i++) {
		fds[i + 1] = (struct pollfd) { .fd = server->clients[i].fd, .events = POLLIN };
		if (server->clients[i].event != EVENT_READY)
			timeout = 0;	/* its next request came during its answer */
	}
	if (timeout && server->nr_clients)
		timeout = ms_left(server->clients[longest_silent(server)].heard_us + SILENCE_US);
	poll(fds, server->nr_clients + 1, timeout);
	return fds[0].revents;
}

static void serve_connections(struct server *server)
{
	size_t i;

	for (;;) {
		if (wait_for_clients(server))
			accept_client(server);
		drop_silent(server);
		/* One answer, then look again who waits. */
		for (i = 0; i < server->nr_clients && !attend(server, i); i++)
			;
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

/* On stderr, which in a service is the journal. */
static void say_once(const struct server *server, const struct endpoint *endpoint)
{
	warnx("serving %s: requests are answered from %s", endpoint->name, server->source->path);
}

static enum fpr_status open_vsock(struct server *server, const struct endpoint *endpoint)
{
	enum fpr_status status = endpoint_listen(endpoint, &server->listener);

	if (!status)
		fcntl(server->listener, F_SETFL, O_NONBLOCK);
	return status;
}

static enum fpr_status open_first_port(struct server *server, const struct endpoint *endpoint)
{
	server->client = &server->clients[0];
	server->client->fd = open_port(server, endpoint->name);
	return server->client->fd < 0 ? explain_port(endpoint->name) : FPR_OK;
}

/* What it writes to is on this thread's stack. */
static void *serve_always(void *opaque)
{
	struct server server = *(const struct server *)opaque;
	struct free_source source = *server.source;

	server.source = &source;
	uevents_watch();
	if (server.endpoint->is_vsock) {
		serve_connections(&server);
	} else {
		server.client = &server.clients[0];
		serve_port(&server, server.endpoint->name);
	}
	return NULL;
}

/*
 * In a thread with its stack among the program's data, where it also has errno and the like.  The stack that
 * the kernel gives a program, and the heap, with what the first thread has of these, are far from all else: that
 * is four page tables and a page or two that the guest writes to for each report, and that are in
 * its next snapshot.  The first thread waits.
 */
static void serve_nearby(struct server *server)
{
	pthread_attr_t attr;
	pthread_t thread;

	mallopt(M_ARENA_MAX, 1);	/* not another heap: of this one, malloc_trim() gives all back */
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, thread_data.stack, sizeof(thread_data.stack));
	if (!pthread_create(&thread, &attr, serve_always, server))
		pthread_join(thread, NULL);
	else
		serve_always(server);
}

enum fpr_status serve(const struct endpoint *endpoint, struct free_source *source)
{
	struct server server = { .endpoint = endpoint, .source = source, .listener = -1 };
	enum fpr_status status = check_source(source);

	if (status)
		return status;
	set_up_signals();
	status = endpoint->is_vsock ? open_vsock(&server, endpoint) : open_first_port(&server, endpoint);
	if (status)
		return status;
	say_once(&server, endpoint);
	serve_nearby(&server);
	return FPR_OK;
}
