/* SPDX-License-Identifier: GPL-2.0-only */
/* Calls that can fail only if the program cannot go on. */
#ifndef CHECKED_H
#define CHECKED_H

#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static inline int checked_ioctl(int fd, unsigned long request, uintptr_t arg, const char *name)
{
	int r = ioctl(fd, request, arg);

	if (r < 0)
		err(1, "%s", name);
	return r;
}

/* Where @arg is a number, and where it is a structure. */
#define KVM_DO(fd, request, arg)	checked_ioctl(fd, request, arg, #request)
#define KVM_PASS(fd, request, arg)	checked_ioctl(fd, request, (uintptr_t)(arg), #request)

static inline void *checked_calloc(size_t nr, size_t size)
{
	void *p = calloc(nr, size);

	if (!p)
		err(1, "memory");
	return p;
}

#endif /* CHECKED_H */
