/* SPDX-License-Identifier: GPL-2.0-only */
/* On the host: whose guest it is that answers at an endpoint. */
#ifndef FPRCTL_GUEST_OWNER_H
#define FPRCTL_GUEST_OWNER_H

#include "guest_endpoint.h"
#include "vm.h"

/**
 * guest_owner_check_cid - refuse a vsock that is known not to be that VM's
 *
 * Known is what a process with a VM has on its command line, as QEMU's has guest-cid.
 * Other endpoints are let pass.
 */
enum fpr_status guest_owner_check_cid(const struct guest_endpoint *guest, const struct vm *vm);

/**
 * guest_owner_check_peer - refuse a unix socket that is known to be another VM's
 * @fd: connected
 *
 * Known is the process that made the socket.  One without a VM, such as libvirt, made it
 * for any VM; one that cannot be looked at is let pass, and so is every other endpoint.
 */
enum fpr_status guest_owner_check_peer(const struct guest_endpoint *guest, int fd,
				       const struct vm *vm);

#endif
