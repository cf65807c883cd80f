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
 *
 * A flat snapshot is two files.  The first is as above, without extents and pages, and has
 * another magic number.  The other, whose name is that of the first with FLAT_SUFFIX, is as
 * long as the guest's memory and has each page at its address.  A full one has all pages; an
 * incremental one is sparse, and what it has no data for is in a file before it.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdint.h>

#include "lazy.h"
#include "pages.h"
#include "state.h"
#include "vm.h"

#define SNAPSHOT_MAGIC	"SNAPVMM1"
#define FLAT_MAGIC	"SNAPVMMF"
#define FLAT_SUFFIX	".mem"

/**
 * struct snapshot_header - how a file begins
 * @magic:	SNAPSHOT_MAGIC or FLAT_MAGIC
 * @id:		a random number
 * @parent:	the id of the file that has to be loaded before this one, 0 if none
 * @bytes:	the size of the guest's memory
 * @nr_extents:	how many there are
 * @nr_pages:	how many pages this file has, or the flat one beside it
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

/* Which file to write. */
enum snapshot_kind {
	SNAPSHOT_NEXT,	/* the next one of the chain */
	SNAPSHOT_FULL,	/* a flat one of all pages, with which another chain begins */
	SNAPSHOT_DIFF,	/* a flat one, the next of a chain that was begun */
};

/*
 * Writes a snapshot.  -1 with errno if that fails; what it would have held will then be in
 * the one that is written next.
 */
int snapshot_write(struct chain *chain, const struct vm *vm, enum snapshot_kind kind,
		   const char *path, struct snapshot_size *size);

/* The size of the guest's memory in the file at @path; ends the program on failure. */
uint64_t snapshot_memory(const char *path);

/*
 * Loads the next file of a chain; ends the program on failure.  With @lazy, which only a flat
 * one can be, its pages are loaded when they are needed.
 */
void snapshot_read(struct chain *chain, const struct vm *vm, const char *path,
		   struct lazy *lazy);

#endif /* SNAPSHOT_H */
