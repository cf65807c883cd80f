/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FPRCTL_SERVE_H
#define FPRCTL_SERVE_H

#include "endpoint.h"
#include "free_source.h"

/**
 * serve - answer requests until a signal ends the process
 * @endpoint: a vsock to listen at, or the path of a port
 *
 * Return: only if it cannot begin.
 */
enum fpr_status serve(const struct endpoint *endpoint, struct free_source *source);

#endif
