/* SPDX-License-Identifier: GPL-2.0-only */
/* Where the guest's memory lies elsewhere, in the process that runs it or in a file, as the user says. */
#ifndef FPRCTL_GUEST_MAP_H
#define FPRCTL_GUEST_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "status.h"

#define GUEST_MAP_MAX	64

/**
 * struct guest_range - memory that is in one piece here and there
 * @gpa: guest-physical address
 * @place: address in the process, or offset in the file
 * @size: in bytes
 */
struct guest_range {
	uint64_t gpa;
	uint64_t place;
	uint64_t size;
};

/**
 * struct guest_map - all that was given
 * @range: overlap neither there nor here
 * @nr: at least one
 * @gpa: the lowest one
 * @size: from there to the end of the highest one
 */
struct guest_map {
	struct guest_range range[GUEST_MAP_MAX];
	size_t nr;
	uint64_t gpa;
	uint64_t size;
};

/**
 * guest_map_parse - ranges, with commas between
 * @option: for messages
 * @form: the order of a range's numbers, of which there are two or three: GPA and SIZE, and
 *	what @place is called.  Without that, it is the same as @gpa.
 */
enum fpr_status guest_map_parse(struct guest_map *map, const char *option, const char *form,
				const char *text);

/**
 * guest_map_check - refuse, in a process, memory in which a page that is in no page table may hold something
 * @pid: the process
 *
 * That is a file's, shared memory, and memory that a userfaultfd serves.
 */
enum fpr_status guest_map_check(const struct guest_map *map, pid_t pid);

#endif
