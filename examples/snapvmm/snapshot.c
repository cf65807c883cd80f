// SPDX-License-Identifier: GPL-2.0-only
/* Snapshot files: writing and reading. */
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "checked.h"
#include "snapshot.h"
#include "writer.h"

#define STATE_AT	sizeof(struct snapshot_header)
#define EXTENTS_AT	(STATE_AT + sizeof(struct machine_state))

static uint64_t pages_at(uint64_t nr_extents)
{
	uint64_t end = EXTENTS_AT + nr_extents * sizeof(struct extent);

	return (end + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

static uint64_t file_bytes(const struct snapshot_header *header)
{
	return pages_at(header->nr_extents) + header->nr_pages * PAGE_BYTES;
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

static struct snapshot_header make_header(const struct chain *chain, const struct vm *vm,
					  const struct extent *extents, size_t nr)
{
	struct snapshot_header header = {
		.magic = SNAPSHOT_MAGIC,
		.id = new_id(),
		.parent = chain->last,
		.bytes = vm->bytes,
		.nr_extents = nr,
	};
	size_t i;

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

/*
 * The log forgets what it was asked for, so it is kept until the file is complete.  All that was
 * ever written is in the first one, which needs no log.
 */
int snapshot_write(struct chain *chain, const struct vm *vm, const char *path,
		   struct snapshot_size *size)
{
	struct snapshot_header header;
	struct extent *extents;
	size_t nr;
	int r;

	pages_add_dirty(&chain->pages, vm);
	if (!chain->last)
		pages_find_used(&chain->pages, vm);
	extents = pages_extents(&chain->pages, &nr);
	header = make_header(chain, vm, extents, nr);
	r = write_file(chain, vm, path, &header, extents);
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
	if (memcmp(header.magic, SNAPSHOT_MAGIC, sizeof(header.magic)))
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

void snapshot_read(struct chain *chain, const struct vm *vm, const char *path)
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
	read_pages(fd, path, &header, vm);
	close(fd);
	chain->last = header.id;
}
