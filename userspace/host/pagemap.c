// SPDX-License-Identifier: GPL-2.0-only
/* Pages of a guest that its host never populated. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pagemap.h"

#define ENTRY		sizeof(uint64_t)
#define NR_ENTRIES	4096

/*
 * Present, swapped or a marker, of a file, a guard, write-protected by a userfaultfd: any
 * of them means that there is, or may be, something.
 */
#define POPULATED	(1ULL << 63 | 1ULL << 62 | 1ULL << 61 | 1ULL << 58 | 1ULL << 57)

#define LOW_MEMORY	(1ULL << 20)

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

enum fpr_status pagemap_open(struct pagemap *pagemap, pid_t pid, const struct guest_map *map)
{
	char path[64];

	*pagemap = (struct pagemap) { .pid = pid, .map = map };
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	pagemap->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (pagemap->fd < 0) {
		warn("%s", path);
		return FPR_ERROR;
	}
	return FPR_OK;
}

void pagemap_close(const struct pagemap *pagemap)
{
	close(pagemap->fd);
}

size_t pagemap_bytes(const struct guest_map *map)
{
	return (size_t)((map->size / page_size() + 63) / 64 * 8);
}

static enum fpr_status read_entries(const struct pagemap *pagemap, uint64_t hva,
				    uint64_t *entries, size_t nr)
{
	ssize_t n = pread(pagemap->fd, entries, nr * ENTRY, (off_t)(hva / page_size() * ENTRY));

	if (n == (ssize_t)(nr * ENTRY))
		return FPR_OK;
	if (n < 0)
		warn("/proc/%d/pagemap", pagemap->pid);
	else
		warnx("/proc/%d/pagemap: it ends at 0x%llx: the process may have ended",
		      pagemap->pid, (unsigned long long)hva);
	return FPR_ERROR;
}

static void add_pages(uint8_t *bits, uint64_t first, const uint64_t *entries, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (!(entries[i] & POPULATED))
			bits[(first + i) / 8] |= (uint8_t)(1u << (first + i) % 8);
	}
}

static enum fpr_status read_range(const struct pagemap *pagemap, const struct guest_range *range,
				  uint8_t *bits)
{
	uint64_t low = range->gpa < LOW_MEMORY ? LOW_MEMORY - range->gpa : 0;
	uint64_t entries[NR_ENTRIES], at, part;
	enum fpr_status status;

	for (at = low; at < range->size; at += part) {
		part = range->size - at;
		if (part > NR_ENTRIES * page_size())
			part = NR_ENTRIES * page_size();
		status = read_entries(pagemap, range->place + at, entries, part / page_size());
		if (status)
			return status;
		add_pages(bits, (range->gpa + at - pagemap->map->gpa) / page_size(), entries,
			  part / page_size());
	}
	return FPR_OK;
}

enum fpr_status pagemap_read(const struct pagemap *pagemap, uint8_t *bits)
{
	enum fpr_status status = FPR_OK;
	size_t i;

	memset(bits, 0, pagemap_bytes(pagemap->map));
	for (i = 0; !status && i < pagemap->map->nr; i++)
		status = read_range(pagemap, &pagemap->map->range[i], bits);
	return status;
}
