/* SPDX-License-Identifier: GPL-2.0-only */
/* In the guest: where the bitmap of its free pages is read. */
#ifndef FPRCTL_FREE_SOURCE_H
#define FPRCTL_FREE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"
#include "wire.h"

#define FREE_SOURCE_DEVICE	"/dev/fpr_guest"

/**
 * struct free_source - what can be read
 * @path: the device, or whatever holds a bitmap in its format
 * @kpageflags: @path is /proc/kpageflags, one word a page, instead
 * @fd: open, or -1; between reports it is open if it is a device
 * @bytes: of the bitmap, whole 64-bit words
 * @page_shift: log2 of the page size
 */
struct free_source {
	const char *path;
	bool kpageflags;
	int fd;
	uint64_t bytes;
	uint32_t page_shift;
};

/**
 * free_source_choose - take the options --source and --device
 * @name: "device", "kpageflags", or NULL
 * @device: the device's path, or NULL
 */
enum fpr_status free_source_choose(struct free_source *source, const char *name,
				   const char *device);

/**
 * free_source_open - open it and find out its size, as it is now
 * @refusal: out: if it fails, what to answer the host
 */
enum fpr_status free_source_open(struct free_source *source, enum wire_refusal *refusal);

/* free_source_close - whether or not it is open */
void free_source_close(struct free_source *source);

/**
 * free_source_rest - after a report, when there may be another one
 *
 * A device stays open: to open it for each report would write to memory that is in the guest's next
 * snapshot then.  free_source_open() finds out what may have changed.
 */
void free_source_rest(struct free_source *source);

/**
 * free_source_read - read a part of the bitmap
 * @offset: in bytes of the bitmap, whole words like @len
 *
 * Pages that the machine lost since free_source_open() are not free.
 */
enum fpr_status free_source_read(const struct free_source *source, uint8_t *bits,
				 size_t len, uint64_t offset);

#endif
