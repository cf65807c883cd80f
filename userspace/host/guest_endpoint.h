/* SPDX-License-Identifier: GPL-2.0-only */
/* On the host: the ways to a guest. */
#ifndef FPRCTL_GUEST_ENDPOINT_H
#define FPRCTL_GUEST_ENDPOINT_H

#include "endpoint.h"

/**
 * struct guest_endpoint - one way
 * @name: as it was given
 * @socket: path of a unix socket, or NULL
 * @endpoint: a vsock or a character device, if it is no unix socket
 */
struct guest_endpoint {
	const char *name;
	const char *socket;
	struct endpoint endpoint;
};

/* guest_endpoint_parse - "unix:PATH", "vsock:CID:PORT" or the path of a character device */
enum fpr_status guest_endpoint_parse(struct guest_endpoint *guest, const char *name);

/**
 * guest_endpoint_open - get at the guest, if it is there
 * @fd: out: does not block
 *
 * Return: FPR_USAGE where the name can not be right, so that it is no use to try again.
 */
enum fpr_status guest_endpoint_open(const struct guest_endpoint *guest, int *fd);

#endif
