/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes a file with io_uring, much at a time. */
#ifndef WRITER_H
#define WRITER_H

#include <liburing.h>
#include <stddef.h>
#include <stdint.h>

#define WRITER_DEPTH	64

/* A write that is under way, less what was done of it. */
struct pending_write {
	const uint8_t *data;
	size_t len;
	uint64_t at;
};

/**
 * struct writer - a file that is being written
 * @ring:	the io_uring
 * @fd:		the file
 * @path:	what it will be called
 * @part:	what it is called until it is complete
 * @error:	the first one there was, 0 if none; the rest is not written then
 * @nr_free:	how many of @writes are not under way
 * @free:	which ones
 * @writes:	all of them
 */
struct writer {
	struct io_uring ring;
	int fd;
	const char *path;
	char *part;
	int error;
	unsigned int nr_free;
	unsigned int free[WRITER_DEPTH];
	struct pending_write writes[WRITER_DEPTH];
};

/*
 * Begins a file of @size bytes, zeros where nothing is written.  0, or -1 with errno, and then
 * there is nothing to finish.
 */
int writer_open(struct writer *writer, const char *path, uint64_t size);

/* Has @len bytes written at offset @at; @data must stay as it is until writer_finish(). */
void writer_add(struct writer *writer, const void *data, size_t len, uint64_t at);

/* 0 once all is on the disk and the file has its name, or -1 with errno, and there is no file. */
int writer_finish(struct writer *writer);

#endif /* WRITER_H */
