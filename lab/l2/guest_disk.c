// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeping pages that a disk has filled, and exchanging them all the time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest_disk.h"

#define DISK "/dev/vda"
#define WORDS_PER_PAGE (GUEST_PAGE_SIZE / sizeof(uint64_t))
/* What is read at once */
#define CHUNK_PAGES 64UL
#define CHUNK_SIZE (CHUNK_PAGES * GUEST_PAGE_SIZE)
/* As fprlab/l1/disk_content.py has them */
#define WORD_FACTOR 0x9e3779b97f4a7c15ULL
#define PAGE_FACTOR 0xbf58476d1ce4e5b9ULL

/**
 * struct slot - a chunk of the disk in memory
 * @address:	where it is; it moves with the chunk in the page cache's mapping
 * @chunk:	the chunk's number
 * @cached:	the pages are the page cache's
 * @live:	it was read
 */
struct slot {
	uint64_t *address;
	size_t chunk;
	bool cached;
	bool live;
};

static struct {
	int cached_fd;
	int direct_fd;
	uint64_t *cache;	/* the mapping of the whole disk */
	size_t nchunks;
	struct slot *slots;
	size_t nslots;
	uint64_t random;
} disk;

static uint64_t next_random(void)
{
	disk.random ^= disk.random << 13;
	disk.random ^= disk.random >> 7;
	return disk.random ^= disk.random << 17;
}

static void chunk_verify(const struct slot *slot, struct verify_result *result)
{
	const uint64_t *word = slot->address;

	for (size_t page = 0; page < CHUNK_PAGES; page++) {
		uint64_t number = slot->chunk * CHUNK_PAGES + page;
		bool wrong = false;

		for (size_t i = 0; i < WORDS_PER_PAGE; i++, word++) {
			uint64_t expected = i * WORD_FACTOR ^
					    (number + 1) * PAGE_FACTOR;

			if (*word == expected)
				continue;
			wrong = true;
			if (result->buffer)
				continue;
			result->buffer = slot->cached ? "disk-cached" :
							"disk-direct";
			result->page = number;
			result->word = i;
			result->expected = expected;
			result->found = *word;
		}
		result->pages++;
		result->wrong += wrong;
	}
}

/* Gives the slot's pages back to the kernel. */
static bool slot_free(struct slot *slot)
{
	if (!slot->live)
		return true;
	slot->live = false;
	if (madvise(slot->address, CHUNK_SIZE, MADV_DONTNEED))
		return false;
	if (!slot->cached)
		return true;
	errno = posix_fadvise(disk.cached_fd, slot->chunk * CHUNK_SIZE,
			      CHUNK_SIZE, POSIX_FADV_DONTNEED);
	return !errno;
}

/* Each slot has chunks of its own, so that no two share pages of the cache. */
static bool slot_read(struct slot *slot)
{
	size_t turns = disk.nchunks / disk.nslots;
	ssize_t n;

	slot->chunk = slot - disk.slots + disk.nslots * (next_random() % turns);
	if (slot->cached) {
		/* The device writes when the pages are looked at, at the latest. */
		slot->address = disk.cache +
				slot->chunk * CHUNK_PAGES * WORDS_PER_PAGE;
		n = readahead(disk.cached_fd, slot->chunk * CHUNK_SIZE,
			      CHUNK_SIZE) ? -1 : (ssize_t)CHUNK_SIZE;
	} else {
		n = pread(disk.direct_fd, slot->address, CHUNK_SIZE,
			  slot->chunk * CHUNK_SIZE);
	}
	if (n >= 0 && n != CHUNK_SIZE)
		errno = EIO;
	slot->live = n == CHUNK_SIZE;
	return slot->live;
}

bool disk_step(struct verify_result *result)
{
	struct slot *slot = &disk.slots[next_random() % disk.nslots];

	/* Not the same pages at once: they would come back from the CPU's own list. */
	if (!slot_free(slot))
		return false;
	slot = &disk.slots[next_random() % disk.nslots];
	if (!slot_free(slot) || !slot_read(slot))
		return false;
	chunk_verify(slot, result);
	return true;
}

void disk_verify(struct verify_result *result)
{
	for (size_t i = 0; i < disk.nslots; i++) {
		if (disk.slots[i].live)
			chunk_verify(&disk.slots[i], result);
	}
}

static bool open_disk(void)
{
	uint64_t size;

	disk.cached_fd = open(DISK, O_RDONLY | O_CLOEXEC);
	disk.direct_fd = open(DISK, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (disk.cached_fd < 0 || disk.direct_fd < 0 ||
	    ioctl(disk.cached_fd, BLKGETSIZE64, &size))
		return false;
	disk.nchunks = size / CHUNK_SIZE;
	disk.cache = mmap(NULL, size, PROT_READ, MAP_SHARED, disk.cached_fd, 0);
	if (disk.cache == MAP_FAILED)
		return false;
	/* Chunks are read as a whole, and nothing beside them. */
	return !madvise(disk.cache, size, MADV_RANDOM) &&
	       !posix_fadvise(disk.cached_fd, 0, 0, POSIX_FADV_RANDOM);
}

static bool slot_create(struct slot *slot, bool cached)
{
	slot->cached = cached;
	if (cached)
		return true;
	slot->address = mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return slot->address != MAP_FAILED;
}

bool disk_start(size_t npages)
{
	if (!open_disk())
		return false;
	disk.random = 1;
	disk.nslots = npages / CHUNK_PAGES;
	disk.slots = calloc(disk.nslots, sizeof(*disk.slots));
	if (!disk.slots)
		return false;
	errno = ENOSPC;
	if (disk.nchunks < 2 * disk.nslots)
		return false;
	for (size_t i = 0; i < disk.nslots; i++) {
		if (!slot_create(&disk.slots[i], i % 2) ||
		    !slot_read(&disk.slots[i]))
			return false;
	}
	return true;
}
