// SPDX-License-Identifier: GPL-2.0-only
/* Writes a file with io_uring, much at a time. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "writer.h"

#define MAX_WRITE	(1UL << 20)

static int open_part(struct writer *writer)
{
	if (asprintf(&writer->part, "%s.part", writer->path) < 0)
		return -1;
	writer->fd = open(writer->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (writer->fd >= 0)
		return 0;
	free(writer->part);
	return -1;
}

/* The file stays incomplete, and goes. */
static int give_up(struct writer *writer, int error)
{
	close(writer->fd);
	unlink(writer->part);
	free(writer->part);
	errno = error;
	return -1;
}

int writer_open(struct writer *writer, const char *path, uint64_t size)
{
	int r;

	*writer = (struct writer) { .path = path };
	if (open_part(writer))
		return -1;
	if (ftruncate(writer->fd, (off_t)size))
		return give_up(writer, errno);
	r = io_uring_queue_init(WRITER_DEPTH, &writer->ring, 0);
	if (r)
		return give_up(writer, -r);
	while (writer->nr_free < WRITER_DEPTH) {
		writer->free[writer->nr_free] = writer->nr_free;
		writer->nr_free++;
	}
	return 0;
}

/* There is always room: the ring has an entry for each write. */
static void submit(struct writer *writer, unsigned int i)
{
	struct pending_write *write = &writer->writes[i];
	struct io_uring_sqe *sqe = io_uring_get_sqe(&writer->ring);

	io_uring_prep_write(sqe, writer->fd, write->data, (unsigned int)write->len, write->at);
	io_uring_sqe_set_data64(sqe, i);
}

/* What a write that came back short left out is written again. */
static void complete(struct writer *writer, unsigned int i, int result)
{
	struct pending_write *write = &writer->writes[i];

	if (result <= 0) {
		writer->error = writer->error ? writer->error : (result ? -result : ENOSPC);
		write->len = 0;
	} else {
		write->data += result;
		write->at += (uint64_t)result;
		write->len -= (size_t)result;
	}
	if (write->len && !writer->error)
		submit(writer, i);
	else
		writer->free[writer->nr_free++] = i;
}

/* Sends what was queued, and waits for one write at least. */
static void wait_for_writes(struct writer *writer)
{
	struct io_uring_cqe *cqe;
	unsigned int i;
	int result, r;

	r = io_uring_submit_and_wait(&writer->ring, 1);
	if (r < 0 && r != -EINTR)
		errx(1, "io_uring: %s", strerror(-r));
	while (!io_uring_peek_cqe(&writer->ring, &cqe)) {
		i = (unsigned int)io_uring_cqe_get_data64(cqe);
		result = cqe->res;
		io_uring_cqe_seen(&writer->ring, cqe);
		complete(writer, i, result);
	}
}

static void add_one(struct writer *writer, const uint8_t *data, size_t len, uint64_t at)
{
	unsigned int i;

	while (!writer->nr_free)
		wait_for_writes(writer);
	i = writer->free[--writer->nr_free];
	writer->writes[i] = (struct pending_write) { data, len, at };
	submit(writer, i);
}

void writer_add(struct writer *writer, const void *data, size_t len, uint64_t at)
{
	const uint8_t *bytes = data;
	size_t done, n;

	for (done = 0; done < len && !writer->error; done += n) {
		n = len - done < MAX_WRITE ? len - done : MAX_WRITE;
		add_one(writer, bytes + done, n, at + done);
	}
}

int writer_finish(struct writer *writer)
{
	while (writer->nr_free < WRITER_DEPTH)
		wait_for_writes(writer);
	io_uring_queue_exit(&writer->ring);
	if (!writer->error && fsync(writer->fd))
		writer->error = errno;
	if (close(writer->fd) && !writer->error)
		writer->error = errno;
	if (!writer->error && rename(writer->part, writer->path))
		writer->error = errno;
	if (writer->error)
		unlink(writer->part);
	free(writer->part);
	errno = writer->error;
	return writer->error ? -1 : 0;
}
