// SPDX-License-Identifier: GPL-2.0-only
/*
 * The map of free pages, from /proc/kpageflags.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest_free_map.h"
#include "guest_memory.h"

#define MAP_PAGES (GUEST_PAGE_SIZE / sizeof(uint64_t))
#define WORDS_AT_ONCE 8192
/* Linux: Documentation/admin-guide/mm/pagemap.rst */
#define KPF_BUDDY (1ULL << 10)
#define PM_PFN ((1ULL << 55) - 1)

static uint64_t flags[WORDS_AT_ONCE];

/* The guest has no swap, so what was written to once stays in memory. */
static void *new_pages(size_t npages)
{
	void *pages = mmap(NULL, npages * GUEST_PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return pages == MAP_FAILED ? NULL : pages;
}

static bool find_pages(const void *pages, uint64_t *addresses, size_t npages)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t size = npages * sizeof(*addresses);
	bool found;

	if (fd < 0)
		return false;
	found = pread(fd, addresses, size, (uintptr_t)pages / GUEST_PAGE_SIZE * sizeof(*addresses)) == size;
	close(fd);
	for (size_t i = 0; i < npages; i++)
		addresses[i] = (addresses[i] & PM_PFN) * GUEST_PAGE_SIZE;
	return found;
}

static bool fill_map(uint8_t *map, size_t size)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	size_t frame = 0;
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = read(fd, flags, sizeof(flags))) > 0) {
		for (size_t i = 0; i < n / sizeof(*flags) && frame / 8 < size; i++, frame++) {
			if (flags[i] & KPF_BUDDY)
				map[frame / 8] |= 1 << frame % 8;
		}
	}
	close(fd);
	return !n;
}

bool free_map(uint64_t *address)
{
	void *map = new_pages(MAP_PAGES), *index = new_pages(1);

	return map && index && fill_map(map, MAP_PAGES * GUEST_PAGE_SIZE) &&
		find_pages(map, index, MAP_PAGES) && find_pages(index, address, 1);
}
