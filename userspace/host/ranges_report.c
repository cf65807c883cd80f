// SPDX-License-Identifier: GPL-2.0-only
/* A report that names whole ranges of memory. */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bitmap.h"
#include "bitmap_input.h"
#include "guest_map.h"
#include "ranges_report.h"
#include "wire.h"

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Names the pages from @begin to @end, of a chunk. */
static void name_pages(uint8_t *bits, uint64_t begin, uint64_t end)
{
	while (begin < end) {
		if (!(begin % 8) && end - begin >= 8) {
			bits[begin / 8] = 0xff;
			begin += 8;
		} else {
			bits[begin / 8] |= (uint8_t)(1U << begin % 8);
			begin++;
		}
	}
}

/* What the ranges have of the chunk that begins with page @first. */
static void fill_chunk(const struct guest_map *map, uint64_t first, uint8_t *bits)
{
	uint64_t begin, end;
	size_t i;

	memset(bits, 0, WIRE_CHUNK_BYTES);
	for (i = 0; i < map->nr; i++) {
		begin = map->range[i].gpa / page_size();
		end = begin + map->range[i].size / page_size();
		if (begin >= first + WIRE_CHUNK_PAGES || end <= first)
			continue;
		begin = begin > first ? begin - first : 0;
		end = end - first < WIRE_CHUNK_PAGES ? end - first : WIRE_CHUNK_PAGES;
		name_pages(bits, begin, end);
	}
}

static void write_report(const struct guest_map *map, FILE *f)
{
	uint64_t first, nr_pages = (map->gpa + map->size) / page_size();
	uint8_t out[WIRE_CHUNK_MAX], bits[WIRE_CHUNK_BYTES];
	struct wire_encoder encoder;

	wire_encode_response(&encoder, out, 0, nr_pages, (uint32_t)__builtin_ctzl(page_size()));
	fwrite(out, WIRE_RESPONSE_LEN, 1, f);
	for (first = 0; first < nr_pages; first += WIRE_CHUNK_PAGES) {
		fill_chunk(map, first, bits);
		fwrite(out, wire_encode_chunk(&encoder, out, first, bits), 1, f);
	}
	wire_encode_end(&encoder, out);
	fwrite(out, WIRE_END_LEN, 1, f);
}

/* The descriptor stays when @f is closed. */
static enum fpr_status open_memory(int *fd, FILE **f)
{
	int copy;

	*fd = memfd_create("ranges", MFD_CLOEXEC);
	copy = *fd < 0 ? -1 : dup(*fd);
	*f = copy < 0 ? NULL : fdopen(copy, "w");
	if (*f)
		return FPR_OK;
	warn("ranges");
	if (copy >= 0)
		close(copy);
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return FPR_ERROR;
}

enum fpr_status ranges_report_make(const char *text, int *fd)
{
	struct guest_map map;
	enum fpr_status status;
	FILE *f;

	*fd = -1;
	status = guest_map_parse(&map, BITMAP_RANGES, BITMAP_RANGES_FORM, text);
	if (!status && map.gpa + map.size > BITMAP_MAX_BYTES) {
		warnx(BITMAP_RANGES "%s: beyond 32T", text);
		status = FPR_USAGE;
	}
	if (!status)
		status = open_memory(fd, &f);
	if (status)
		return status;
	write_report(&map, f);
	if (ferror(f) | fclose(f) || lseek(*fd, 0, SEEK_SET)) {
		warn("ranges");
		close(*fd);
		*fd = -1;
		return FPR_ERROR;
	}
	return FPR_OK;
}
