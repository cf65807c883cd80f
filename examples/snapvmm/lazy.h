/* SPDX-License-Identifier: GPL-2.0-only */
/* A guest's pages, read from flat files when they are needed, by a thread. */
#ifndef LAZY_H
#define LAZY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "vm.h"

/**
 * struct lazy - a memory that is loaded while the guest runs
 * @vm:		whose memory it is
 * @fd:		its userfaultfd
 * @file:	for each page the descriptor of the last file that has it, 0 if none has
 * @thread:	what loads
 * @loaded:	how many pages were read from files
 */
struct lazy {
	const struct vm *vm;
	int fd;
	int *file;
	pthread_t thread;
	atomic_ullong loaded;
};

/* For the memory of @vm, of which nothing was touched yet; ends the program on failure. */
void lazy_create(struct lazy *lazy, const struct vm *vm);

/* The file @fd, which stays open, has the bytes from @at to @end, newer than what was added. */
void lazy_add(struct lazy *lazy, int fd, uint64_t at, uint64_t end);

/* From now on pages are loaded, or are zeros where no file has them. */
void lazy_start(struct lazy *lazy);

/* How many pages were read from files so far. */
uint64_t lazy_loaded(const struct lazy *lazy);

#endif /* LAZY_H */
