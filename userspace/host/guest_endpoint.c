// SPDX-License-Identifier: GPL-2.0-only
/* On the host: the ways to a guest. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "guest_endpoint.h"

#define UNIX		"unix:"
#define VSOCK_UNIX	"vsock-unix:"

/* "OK " and a number of 32 bits, with room for what is quoted if it is neither. */
#define ANSWER_MAX	80

/* Takes a path of @len characters. */
static enum fpr_status set_socket(struct guest_endpoint *guest, const char *path, size_t len)
{
	if (len && len < sizeof(guest->socket)) {
		memcpy(guest->socket, path, len);
		return FPR_OK;
	}
	warnx("%s: give %s, where PATH has 1 to %zu characters", guest->name,
	      guest->is_vsock_unix ? "vsock-unix:PATH:PORT" : "unix:PATH",
	      sizeof(guest->socket) - 1);
	return FPR_USAGE;
}

static enum fpr_status parse_vsock_unix(struct guest_endpoint *guest)
{
	const char *path = guest->name + strlen(VSOCK_UNIX);
	const char *colon = strrchr(path, ':');
	uint64_t port;

	guest->is_vsock_unix = true;
	if (!colon || cli_number(colon + 1, NULL, &port) || port >= UINT_MAX) {
		warnx("%s: give vsock-unix:PATH:PORT with the port at which the guest listens, such as vsock-unix:/run/vm.vsock:999",
		      guest->name);
		return FPR_USAGE;
	}
	guest->port = (unsigned int)port;
	return set_socket(guest, path, (size_t)(colon - path));
}

enum fpr_status guest_endpoint_parse(struct guest_endpoint *guest, const char *name)
{
	*guest = (struct guest_endpoint) { .name = name };
	if (!strncmp(name, UNIX, strlen(UNIX)))
		return set_socket(guest, name + strlen(UNIX), strlen(name) - strlen(UNIX));
	if (!strncmp(name, VSOCK_UNIX, strlen(VSOCK_UNIX)))
		return parse_vsock_unix(guest);
	if (endpoint_parse(&guest->endpoint, name) ||
	    (guest->endpoint.is_vsock && guest->endpoint.cid == VMADDR_CID_ANY)) {
		warnx("%s: give vsock:CID:PORT with the guest's CID, such as vsock:3:999", name);
		return FPR_USAGE;
	}
	return FPR_OK;
}

static enum fpr_status open_socket(const struct guest_endpoint *guest, int *fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, guest->socket, strlen(guest->socket));
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0) {
		warn("%s", guest->name);
		return FPR_ERROR;
	}
	if (!connect(*fd, (struct sockaddr *)&address, sizeof(address)))
		return FPR_OK;
	if (errno == EAGAIN)
		warnx("%s: others are connected and wait there: end them", guest->name);
	else if (errno == ENOENT)
		warnx("%s: there is no such socket: give the path that the VMM listens at", guest->name);
	else if (errno == ECONNREFUSED)
		warnx("%s: nothing listens there: is it left over from a VM that has ended, or no socket?",
		      guest->name);
	else
		warn("%s: cannot connect", guest->name);
	close(*fd);
	return FPR_ERROR;
}

/* Whether a line of the VMM says that the guest is connected: "OK NUMBER". */
static bool is_ok(const char *line)
{
	uint64_t number;

	return !strncmp(line, "OK ", 3) && !cli_number(line + 3, NULL, &number);
}

/*
 * Reads one line, and nothing of what follows, which is the guest's.  @line: ANSWER_MAX + 1
 * bytes; what is longer is cut there.
 */
static enum fpr_status read_answer(const struct guest_endpoint *guest, int fd,
				   struct patience *patience, char *line)
{
	enum fpr_status status;
	size_t len = 0;
	ssize_t n;

	while (len < ANSWER_MAX) {
		status = patience_wait(patience, fd, POLLIN, "the whole answer to CONNECT");
		if (status)
			return status;
		n = read(fd, line + len, 1);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0) {
			warnx("%s: closed instead of an answer to CONNECT: does the guest listen at port %u?",
			      guest->name, guest->port);
			return FPR_ERROR;
		}
		if (line[len] == '\n')
			break;
		/* A NUL would end the line for who looks at it. */
		if (!line[len])
			line[len] = '?';
		len++;
	}
	line[len] = '\0';
	return FPR_OK;
}

/*
 * As Firecracker, Cloud Hypervisor and vhost-device-vsock have it: whoever connects says to
 * which port, is told so in one line, and has the stream from there on.
 */
static enum fpr_status connect_port(const struct guest_endpoint *guest, int fd,
				    struct patience *patience)
{
	char request[32], line[ANSWER_MAX + 1];
	enum fpr_status status;
	int len;

	len = snprintf(request, sizeof(request), "CONNECT %u\n", guest->port);
	/* A socket that was just connected has room for that. */
	if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
		warn("%s: cannot ask for port %u", guest->name, guest->port);
		return FPR_ERROR;
	}
	status = read_answer(guest, fd, patience, line);
	if (!status && !is_ok(line)) {
		warnx("%s: the answer to CONNECT is not OK and a number, but '%s'", guest->name, line);
		status = FPR_ERROR;
	}
	return status;
}

static enum fpr_status open_vsock_unix(const struct guest_endpoint *guest, uint64_t timeout_s,
				       int *fd)
{
	enum fpr_status status = open_socket(guest, fd);
	struct patience patience;

	if (status)
		return status;
	patience_begin(&patience, guest->name, timeout_s);
	status = connect_port(guest, *fd, &patience);
	if (status)
		close(*fd);
	return status;
}

static enum fpr_status open_vsock(const struct guest_endpoint *guest, uint64_t timeout_s, int *fd)
{
	struct patience patience;

	patience_begin(&patience, guest->name, timeout_s);
	return endpoint_connect(&guest->endpoint, &patience, fd);
}

static enum fpr_status check_device(const char *path)
{
	struct stat st;

	if (stat(path, &st)) {
		warn("%s: give unix:PATH, vsock:CID:PORT, vsock-unix:PATH:PORT or a character device", path);
		return FPR_ERROR;
	}
	if (S_ISCHR(st.st_mode))
		return FPR_OK;
	if (S_ISSOCK(st.st_mode))
		warnx("%s: is a socket: give unix:%s", path, path);
	else
		warnx("%s: not a character device: give one, unix:PATH or vsock:CID:PORT", path);
	return FPR_USAGE;
}

static enum fpr_status open_device(const struct guest_endpoint *guest, int *fd)
{
	enum fpr_status status = check_device(guest->name);

	if (status)
		return status;
	*fd = open(guest->name, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (*fd < 0) {
		warn("%s", guest->name);
		return FPR_ERROR;
	}
	endpoint_make_raw(*fd);
	return FPR_OK;
}

enum fpr_status guest_endpoint_open(const struct guest_endpoint *guest, uint64_t timeout_s, int *fd)
{
	if (guest->is_vsock_unix)
		return open_vsock_unix(guest, timeout_s, fd);
	if (*guest->socket)
		return open_socket(guest, fd);
	if (guest->endpoint.is_vsock)
		return open_vsock(guest, timeout_s, fd);
	return open_device(guest, fd);
}
