// SPDX-License-Identifier: GPL-2.0-only
/* Ways between a guest and its host: a vsock, or a path. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"
#include "endpoint.h"

/* Clients that connect while another one is answered wait, and need not try again. */
#define LISTEN_BACKLOG	16

static int parse_cid(const char *text, const char **end, unsigned int *cid)
{
	static const struct {
		const char *name;
		unsigned int cid;
	} names[] = {
		{ "any:", VMADDR_CID_ANY },
		{ "host:", VMADDR_CID_HOST },
	};
	uint64_t number;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strncmp(text, names[i].name, strlen(names[i].name))) {
			*end = text + strlen(names[i].name) - 1;
			*cid = names[i].cid;
			return 0;
		}
	}
	if (cli_number(text, end, &number) || number > UINT_MAX)
		return -1;
	*cid = (unsigned int)number;
	return 0;
}

int endpoint_parse(struct endpoint *endpoint, const char *name)
{
	uint64_t port;
	const char *end;

	*endpoint = (struct endpoint) { .name = name };
	if (strncmp(name, "vsock:", 6))
		return 0;
	if (parse_cid(name + 6, &end, &endpoint->cid) || *end != ':' ||
	    cli_number(end + 1, NULL, &port) || port >= UINT_MAX)
		return -1;
	endpoint->is_vsock = true;
	endpoint->port = (unsigned int)port;
	return 0;
}

static struct sockaddr_vm address_of(const struct endpoint *endpoint)
{
	return (struct sockaddr_vm) {
		.svm_family = AF_VSOCK,
		.svm_cid = endpoint->cid,
		.svm_port = endpoint->port,
	};
}

static enum fpr_status make_socket(const struct endpoint *endpoint, int *fd)
{
	*fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd >= 0)
		return FPR_OK;
	if (errno == EAFNOSUPPORT)
		warnx("%s: this kernel has no vsock: load the module vmw_vsock_virtio_transport",
		      endpoint->name);
	else
		warn("%s", endpoint->name);
	return FPR_ERROR;
}

/* Return: 0, or -1 with errno; where that is 0, the error was said already. */
static int connect_patiently(int fd, const struct sockaddr_vm *address, struct patience *patience)
{
	int error = 0;
	socklen_t len = sizeof(error);

	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		return 0;
	if (errno != EINPROGRESS)
		return -1;
	if (patience_wait(patience, fd, POLLOUT, "a connection")) {
		errno = 0;
		return -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
		return -1;
	errno = error;
	return error ? -1 : 0;
}

enum fpr_status endpoint_connect(const struct endpoint *endpoint, struct patience *patience,
				 int *fd)
{
	struct sockaddr_vm address = address_of(endpoint);
	enum fpr_status status = make_socket(endpoint, fd);

	if (status)
		return status;
	if (connect_patiently(*fd, &address, patience)) {
		if (errno)
			warn("%s: cannot connect, does anything listen there?", endpoint->name);
		close(*fd);
		return FPR_ERROR;
	}
	return FPR_OK;
}

enum fpr_status endpoint_listen(const struct endpoint *endpoint, int *fd)
{
	struct sockaddr_vm address = address_of(endpoint);
	enum fpr_status status = make_socket(endpoint, fd);

	if (status)
		return status;
	if (bind(*fd, (struct sockaddr *)&address, sizeof(address)) || listen(*fd, LISTEN_BACKLOG)) {
		warn("%s: cannot listen", endpoint->name);
		close(*fd);
		return FPR_ERROR;
	}
	return FPR_OK;
}

void endpoint_make_raw(int fd)
{
	struct termios termios;

	if (tcgetattr(fd, &termios))
		return;
	cfmakeraw(&termios);
	tcsetattr(fd, TCSANOW, &termios);
}
