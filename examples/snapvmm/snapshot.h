/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Snapshot files
 *
 * A snapshot is one file, or a chain of files: the first holds every page that is not
 * zero, each later one the pages that were written since the one before.  A file is
 *
 *   struct snapshot_header
 *   struct machine_state
 *   struct extent, nr_extents of them, ascending
 *   zeros up to a multiple of the page size
 *   the extents' pages
 *
 * in the byte order of the machine.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdint.h>

#include "pages.h"
#include "state.h"
#include "vm.h"

#define SNAPSHOT_MAGIC	"SNAPVMM1"

/**
 * struct snapshot_header - how a file begins
 * @magic:	SNAPSHOT_MAGIC
 * @id:		a random number
 * @parent:	the id of the file that has to be loaded before this one, 0 if none
 * @bytes:	the size of the guest's memory
 * @nr_extents:	how many there are
 * @nr_pages:	how many pages they have
 */
struct snapshot_header {
	char magic[8];
	uint64_t id;
	uint64_t parent;
	uint64_t bytes;
	uint64_t nr_extents;
	uint64_t nr_pages;
};

/**
 * struct chain - the files that belong together
 * @last:	the id of the last one, 0 if there is none yet
 * @pages:	what the next one has to hold
 * @state:	what was saved or loaded last
 */
struct chain {
	uint64_t last;
	struct pages pages;
	struct machine_state state;
};

/* What was written. */
struct snapshot_size {
	uint64_t pages;
	uint64_t bytes;
};

/*
 * Writes the chain's next file.  -1 with errno if that fails; what it would have held
 * will then be in the one that is written next.
 */
int snapshot_write(struct chain *chain, const struct vm *vm, const char *path,
		   struct snapshot_size *size);

/* The size of the guest's memory in the file at @path; ends the program on failure. */
uint64_t snapshot_memory(const char *path);

/* Loads the next file of a chain; ends the program on failure. */
void snapshot_read(struct chain *chain, const struct vm *vm, const char *path);

#endif /* SNAPSHOT_H */
