// SPDX-License-Identifier: GPL-2.0-only
/* On the host: the ways to a guest. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest_endpoint.h"

static enum fpr_status parse_socket(struct guest_endpoint *guest)
{
	size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

	guest->socket = guest->name + strlen("unix:");
	if (*guest->socket && strlen(guest->socket) <= max)
		return FPR_OK;
	warnx("%s: give unix:PATH, where PATH has 1 to %zu characters", guest->name, max);
	return FPR_USAGE;
}

enum fpr_status guest_endpoint_parse(struct guest_endpoint *guest, const char *name)
{
	*guest = (struct guest_endpoint) { .name = name };
	if (!strncmp(name, "unix:", strlen("unix:")))
		return parse_socket(guest);
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

static enum fpr_status open_vsock(const struct guest_endpoint *guest, int *fd)
{
	enum fpr_status status = endpoint_connect(&guest->endpoint, fd);

	if (!status)
		fcntl(*fd, F_SETFL, O_NONBLOCK);
	return status;
}

static enum fpr_status check_device(const char *path)
{
	struct stat st;

	if (stat(path, &st)) {
		warn("%s: give unix:PATH, vsock:CID:PORT or a character device", path);
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

enum fpr_status guest_endpoint_open(const struct guest_endpoint *guest, int *fd)
{
	if (guest->socket)
		return open_socket(guest, fd);
	if (guest->endpoint.is_vsock)
		return open_vsock(guest, fd);
	return open_device(guest, fd);
}
