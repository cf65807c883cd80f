/* SPDX-License-Identifier: GPL-2.0-only */
/* On the host: the ways to a guest. */
#ifndef FPRCTL_GUEST_ENDPOINT_H
#define FPRCTL_GUEST_ENDPOINT_H

#include <stdint.h>
#include <sys/un.h>

#include "endpoint.h"

/* What guest_endpoint_parse() takes, for --help. */
#define GUEST_ENDPOINT_HELP						\
"ENDPOINT is one of\n"							\
"  unix:PATH        a socket, such as that of QEMU's chardev of a virtserialport\n" \
"  vsock:CID:PORT   the guest's CID, and where fprctl report listens there\n" \
"  vsock-unix:PATH:PORT   the same, where the VMM gives the guest's vsock as a\n" \
"                   unix socket, as Firecracker and Cloud Hypervisor do\n"	\
"  the path of a character device, such as a pty of QEMU\n"

/**
 * struct guest_endpoint - one way
 * @name: as it was given
 * @socket: path of a unix socket, or ""
 * @is_vsock_unix: @socket leads to the guest's vsock, and to all of its ports
 * @port: of @is_vsock_unix
 * @endpoint: a vsock or a character device, if it is no unix socket
 */
struct guest_endpoint {
	const char *name;
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
	bool is_vsock_unix;
	unsigned int port;
	struct endpoint endpoint;
};

/**
 * guest_endpoint_parse - "unix:PATH", "vsock-unix:PATH:PORT", "vsock:CID:PORT" or the path of
 *			  a character device
 */
enum fpr_status guest_endpoint_parse(struct guest_endpoint *guest, const char *name);

/**
 * guest_endpoint_open - get at the guest, if it is there
 * @timeout_s: what a VMM may take to answer that gives the guest's vsock as a unix socket
 * @fd: out: does not block
 *
 * Return: FPR_USAGE where the name cannot be right, so that it is no use to try again.
 */
enum fpr_status guest_endpoint_open(const struct guest_endpoint *guest, uint64_t timeout_s,
				    int *fd);

#endif
