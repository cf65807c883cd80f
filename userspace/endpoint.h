/* SPDX-License-Identifier: GPL-2.0-only */
/* Ways between a guest and its host: a vsock, or a path. */
#ifndef FPRCTL_ENDPOINT_H
#define FPRCTL_ENDPOINT_H

#include <stdbool.h>

#include "patience.h"
#include "status.h"

/**
 * struct endpoint - one way
 * @name: as it was given
 * @is_vsock: @cid and @port; else @name is a path
 */
struct endpoint {
	const char *name;
	bool is_vsock;
	unsigned int cid;
	unsigned int port;
};

/**
 * endpoint_parse - "vsock:CID:PORT", where CID may be "any" or "host", or a path
 *
 * Return: 0, or -1 where what follows "vsock:" is wrong, and nothing was said.
 */
int endpoint_parse(struct endpoint *endpoint, const char *name);

/* endpoint_connect - connect to a vsock; @fd: out: does not block */
enum fpr_status endpoint_connect(const struct endpoint *endpoint, struct patience *patience,
				 int *fd);

/* endpoint_listen - wait for connections at a vsock; @fd: out */
enum fpr_status endpoint_listen(const struct endpoint *endpoint, int *fd);

/* endpoint_make_raw - a terminal would echo what it gets, and change some of its bytes */
void endpoint_make_raw(int fd);

#endif
