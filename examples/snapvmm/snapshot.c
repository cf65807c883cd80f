// SPDX-License-Identifier: GPL-2.0-only
/* Snapshot files: writing and reading. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "checked.h"
#include "flat_data.h"
#include "snapshot.h"
#include "writer.h"

#define STATE_AT	sizeof(struct snapshot_header)
#define EXTENTS_AT	(STATE_AT + sizeof(struct machine_state))

static uint64_t pages_at(uint64_t nr_extents)
{
	uint64_t end = EXTENTS_AT + nr_extents * sizeof(struct extent);

	return (end + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

static bool is_flat(const struct snapshot_header *header)
{
	return !memcmp(header->magic, FLAT_MAGIC, sizeof(header->magic));
}

/* Of the file itself; a flat one's pages are not in it. */
static uint64_t file_bytes(const struct snapshot_header *header)
{
	uint64_t pages = is_flat(header) ? 0 : header->nr_pages;

	return pages_at(header->nr_extents) + pages * PAGE_BYTES;
}

static uint64_t new_id(void)
{
	uint64_t id = 0;

	while (!id) {
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			err(1, "getrandom");
	}
	return id;
}

static struct snapshot_header make_header(uint64_t parent, const struct vm *vm, bool flat,
					  const struct extent *extents, size_t nr)
{
	struct snapshot_header header = {
		.id = new_id(),
		.parent = parent,
		.bytes = vm->bytes,
		.nr_extents = flat ? 0 : nr,
	};
	size_t i;

	memcpy(header.magic, flat ? FLAT_MAGIC : SNAPSHOT_MAGIC, sizeof(header.magic));
	for (i = 0; i < nr; i++)
		header.nr_pages += extents[i].nr;
	return header;
}

static int write_file(const struct chain *chain, const struct vm *vm, const char *path,
		      const struct snapshot_header *header, const struct extent *extents)
{
	uint64_t at = pages_at(header->nr_extents);
	struct writer writer;
	size_t i, len;

	if (writer_open(&writer, path, file_bytes(header)))
		return -1;
	writer_add(&writer, header, sizeof(*header), 0);
	writer_add(&writer, &chain->state, sizeof(chain->state), STATE_AT);
	writer_add(&writer, extents, header->nr_extents * sizeof(*extents), EXTENTS_AT);
	for (i = 0; i < header->nr_extents; i++) {
		len = extents[i].nr * PAGE_BYTES;
		writer_add(&writer, vm->memory + extents[i].first * PAGE_BYTES, len, at);
		at += len;
	}
	return writer_finish(&writer);
}

static char *flat_path(const char *path)
{
	char *flat;

	if (asprintf(&flat, "%s" FLAT_SUFFIX, path) < 0)
		err(1, "memory");
	return flat;
}

/* The flat file comes first: one without the other is no snapshot, and goes. */
static int write_flat(const struct chain *chain, const struct vm *vm, const char *path,
		      const struct snapshot_header *header, const struct extent *extents,
		      size_t nr)
{
	char *flat = flat_path(path);
	struct writer writer;
	size_t i;
	int r;

	r = writer_open(&writer, flat, vm->bytes);
	if (!r) {
		for (i = 0; i < nr; i++)
			writer_add(&writer, vm->memory + extents[i].first * PAGE_BYTES,
				   extents[i].nr * PAGE_BYTES, extents[i].first * PAGE_BYTES);
		r = writer_finish(&writer);
	}
	if (!r) {
		r = write_file(chain, vm, path, header, extents);
		if (r)
			unlink(flat);
	}
	free(flat);
	return r;
}

static void choose_pages(struct chain *chain, const struct vm *vm, enum snapshot_kind kind)
{
	pages_add_dirty(&chain->pages, vm);
	if (kind == SNAPSHOT_FULL)
		pages_fill(&chain->pages, vm);
	else if (!chain->last)
		pages_find_used(&chain->pages, vm);
}

/*
 * The log forgets what it was asked for, so it is kept until the file is complete.  All that was
 * ever written is in the first one, which needs no log.
 */
int snapshot_write(struct chain *chain, const struct vm *vm, enum snapshot_kind kind,
		   const char *path, struct snapshot_size *size)
{
	bool flat = kind != SNAPSHOT_NEXT;
	struct snapshot_header header;
	struct extent *extents;
	size_t nr;
	int r;

	choose_pages(chain, vm, kind);
	extents = pages_extents(&chain->pages, &nr);
	header = make_header(kind == SNAPSHOT_FULL ? 0 : chain->last, vm, flat, extents, nr);
	r = flat ? write_flat(chain, vm, path, &header, extents, nr)
		 : write_file(chain, vm, path, &header, extents);
	free(extents);
	if (r)
		return r;
	pages_clear(&chain->pages);
	chain->last = header.id;
	size->pages = header.nr_pages;
	size->bytes = file_bytes(&header);
	return 0;
}

static void read_at(int fd, const char *path, void *data, size_t len, uint64_t at)
{
	uint8_t *bytes = data;
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pread(fd, bytes + done, len - done, (off_t)(at + done));
		if (n < 0)
			err(1, "%s", path);
		if (!n)
			errx(1, "%s: ends too early: not a snapshot, or not all of one", path);
		done += (size_t)n;
	}
}

static struct snapshot_header read_header(const char *path, int *fd)
{
	struct snapshot_header header;

	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		err(1, "%s", path);
	read_at(*fd, path, &header, sizeof(header), 0);
	if (memcmp(header.magic, SNAPSHOT_MAGIC, sizeof(header.magic)) && !is_flat(&header))
		errx(1, "%s: not a snapshot: give files that \"snapshot\" has written", path);
	if (header.bytes % PAGE_BYTES || header.bytes < MIN_MIB << 20 ||
	    header.bytes > (uint64_t)MAX_MIB << 20 || header.nr_extents > header.bytes / PAGE_BYTES)
		errx(1, "%s: damaged: its header makes no sense", path);
	return header;
}

uint64_t snapshot_memory(const char *path)
{
	int fd;
	struct snapshot_header header = read_header(path, &fd);

	close(fd);
	return header.bytes;
}

/* Ascending and within memory, so that no file can make us write elsewhere. */
static void read_pages(int fd, const char *path, const struct snapshot_header *header,
		       const struct vm *vm)
{
	struct extent *extents = checked_calloc(header->nr_extents + 1, sizeof(*extents));
	uint64_t at = pages_at(header->nr_extents);
	uint64_t end = 0;
	size_t i, len;

	read_at(fd, path, extents, header->nr_extents * sizeof(*extents), EXTENTS_AT);
	for (i = 0; i < header->nr_extents; i++) {
		const struct extent *extent = &extents[i];

		if (extent->first < end || extent->first >= vm_pages(vm) ||
		    extent->nr > vm_pages(vm) - extent->first)
			errx(1, "%s: damaged: it has pages that the guest does not have", path);
		end = extent->first + extent->nr;
		len = extent->nr * PAGE_BYTES;
		read_at(fd, path, vm->memory + extent->first * PAGE_BYTES, len, at);
		at += len;
	}
	free(extents);
}

static void read_flat(const struct vm *vm, const char *path, struct lazy *lazy)
{
	char *flat = flat_path(path);
	struct flat_data data = { .path = flat };

	flat_data_open(&data, vm->bytes);
	while (flat_data_next(&data)) {
		if (lazy)
			lazy_add(lazy, data.fd, data.at, data.end);
		else
			read_at(data.fd, flat, vm->memory + data.at, data.end - data.at, data.at);
	}
	if (!lazy)
		close(data.fd);
	free(flat);
}

void snapshot_read(struct chain *chain, const struct vm *vm, const char *path, struct lazy *lazy)
{
	int fd;
	struct snapshot_header header = read_header(path, &fd);

	if (header.parent != chain->last)
		errx(1, "%s: does not follow the file before it: give all of the chain, in order",
		     path);
	if (header.bytes != vm->bytes)
		errx(1, "%s: is of a guest with other memory", path);
	read_at(fd, path, &chain->state, sizeof(chain->state), STATE_AT);
	if (chain->state.nr_msrs > MAX_MSRS || chain->state.nr_uarts > MAX_LINES)
		errx(1, "%s: damaged: its state makes no sense", path);
	if (lazy && !is_flat(&header))
		errx(1, "%s: --lazy needs flat files, which \"full\" and \"diff\" write", path);
	if (is_flat(&header))
		read_flat(vm, path, lazy);
	else
		read_pages(fd, path, &header, vm);
	close(fd);
	chain->last = header.id;
}
