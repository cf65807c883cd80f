// SPDX-License-Identifier: GPL-2.0-only
/* Confirmed pages of a round, kept as a report. */
#include <err.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confirmed_file.h"

enum fpr_status confirmed_file_check(const char *path)
{
	enum fpr_status status = outfile_check(path);
	struct stat st;

	if (status || outfile_is_stdout(path) || lstat(path, &st) || !S_ISREG(st.st_mode))
		return status;
	warnx("--confirmed %s: it is there already, with the pages of another round: give a new name for each",
	      path);
	return FPR_ERROR;
}

/* Pages of it that no page is confirmed in take no memory. */
static enum fpr_status map_bits(struct confirmed_file *file, uint64_t pages)
{
	uint64_t chunks = (pages + WIRE_CHUNK_PAGES - 1) / WIRE_CHUNK_PAGES;

	file->len = (size_t)chunks * WIRE_CHUNK_BYTES;
	if (!file->len)
		return FPR_OK;
	file->bits = mmap(NULL, file->len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (file->bits != MAP_FAILED)
		return FPR_OK;
	file->bits = NULL;
	warn("%s: confirmed pages", file->path);
	return FPR_ERROR;
}

enum fpr_status confirmed_file_begin(struct confirmed_file *file, struct filter_range *range,
				     uint64_t nr_pages)
{
	enum fpr_status status;

	status = map_bits(file, range->size / (uint64_t)sysconf(_SC_PAGESIZE));
	if (!status)
		status = bitmap_writer_open(&file->writer, file->path, BITMAP_REPORT, range->epoch,
					    nr_pages, 0);
	range->confirmed = file->bits;
	return status;
}

enum fpr_status confirmed_file_commit(struct confirmed_file *file)
{
	const uint8_t *bits = file->bits;
	enum fpr_status status = FPR_OK;
	size_t at;

	for (at = 0; !status && at < file->len; at += WIRE_CHUNK_BYTES)
		status = bitmap_writer_add(&file->writer, at * 8, bits + at);
	return status ? status : bitmap_writer_commit(&file->writer);
}

void confirmed_file_end(struct confirmed_file *file)
{
	bitmap_writer_close(&file->writer);
	if (file->bits)
		munmap(file->bits, file->len);
	file->bits = NULL;
}
