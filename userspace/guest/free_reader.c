// SPDX-License-Identifier: GPL-2.0-only
/* Reads the bitmap of free pages in windows, several at a time. */
#include <err.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "free_reader.h"

/*
 * Each read walks the lists of all CPUs, so windows are large, and a bitmap of 4 GiB of
 * memory or less is read at once.  The device returns no more than the upper limit.
 */
#define MIN_WINDOW	((size_t)128 << 10)
#define MAX_WINDOW	((size_t)4 << 20)

/*
 * But what is read is written, here and by the device, and is in the guest's next snapshot.  1 GiB
 * of memory or less takes eight walks at most, and its bitmap is read in single chunks, always
 * to the same place.
 */
#define SMALL_BITMAP	((size_t)32 << 10)
static _Alignas(4096) uint8_t chunk[WIRE_CHUNK_BYTES];

static bool is_small(const struct free_source *source)
{
	return source->bytes <= SMALL_BITMAP;
}

static size_t window_for(const struct free_source *source)
{
	uint64_t bytes = source->bytes, share = bytes / FREE_READER_SLOTS;

	if (is_small(source))
		return WIRE_CHUNK_BYTES;
	if (bytes <= MIN_WINDOW)
		share = bytes;
	else if (share <= MIN_WINDOW)
		return MIN_WINDOW;
	else if (share >= MAX_WINDOW)
		return MAX_WINDOW;
	return (share + WIRE_CHUNK_BYTES - 1) / WIRE_CHUNK_BYTES * WIRE_CHUNK_BYTES;
}

static size_t window_len(const struct free_reader *reader, uint64_t n)
{
	uint64_t left = reader->source->bytes - n * reader->window;

	return left < reader->window ? (size_t)left : reader->window;
}

/* Hand over the reading of windows as far as there are slots. */
static void submit(struct free_reader *reader)
{
	struct io_uring_sqe *sqe;
	size_t slot;
	uint64_t n;
	int r;

	while (reader->submitted < reader->nr_windows &&
	       reader->submitted < reader->next + FREE_READER_SLOTS) {
		n = reader->submitted++;
		slot = n % FREE_READER_SLOTS;
		sqe = io_uring_get_sqe(&reader->ring);
		io_uring_prep_read(sqe, reader->source->fd, reader->bits[slot],
				   (unsigned int)window_len(reader, n), n * reader->window);
		/* The device never waits, it works: at once, and in parallel. */
		io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
		io_uring_sqe_set_data64(sqe, slot);
		reader->busy[slot] = true;
	}
	do
		r = io_uring_submit(&reader->ring);
	while (r == -EINTR || r == -EAGAIN);
	if (r < 0)
		errx(FPR_ERROR, "io_uring: %s", strerror(-r));
}

/* Wait for one window, whichever. */
static void reap(struct free_reader *reader)
{
	struct io_uring_cqe *cqe;
	uint64_t slot;
	int r;

	do
		r = io_uring_wait_cqe(&reader->ring, &cqe);
	while (r == -EINTR);
	if (r)
		errx(FPR_ERROR, "io_uring: %s", strerror(-r));
	slot = io_uring_cqe_get_data64(cqe);
	reader->result[slot] = cqe->res;
	reader->busy[slot] = false;
	io_uring_cqe_seen(&reader->ring, cqe);
}

/* A machine that does not have it, or has it turned off, reads one by one. */
static void start_ring(struct free_reader *reader)
{
	static bool said;
	int r;

	if (reader->nr_windows == 1 || is_small(reader->source) || reader->source->kpageflags)
		return;
	r = io_uring_queue_init(FREE_READER_SLOTS, &reader->ring, 0);
	if (!r) {
		reader->ring_works = true;
		submit(reader);
	} else if (!said) {
		warnx("no io_uring here (%s): reading one part after the other", strerror(-r));
		said = true;
	}
}

enum fpr_status free_reader_start(struct free_reader *reader,
				  const struct free_source *source)
{
	size_t slot;

	*reader = (struct free_reader) { .source = source };
	reader->window = window_for(source);
	reader->nr_windows = (source->bytes + reader->window - 1) / reader->window;
	for (slot = 0; slot < FREE_READER_SLOTS && slot < reader->nr_windows; slot++) {
		reader->bits[slot] = is_small(source) ? chunk : malloc(reader->window);
		if (!reader->bits[slot]) {
			warn("buffers");
			free_reader_stop(reader);
			return FPR_ERROR;
		}
	}
	start_ring(reader);
	return FPR_OK;
}

/* What the ring did not do is done here, with the error if there is one. */
static enum fpr_status finish(struct free_reader *reader, uint64_t n)
{
	size_t slot = n % FREE_READER_SLOTS, done = 0, len = window_len(reader, n);

	if (reader->ring_works) {
		while (reader->busy[slot])
			reap(reader);
		if (reader->result[slot] > 0)
			done = (size_t)reader->result[slot];
	}
	memset(reader->bits[slot] + len, 0, reader->window - len);
	if (done == len)
		return FPR_OK;
	return free_source_read(reader->source, reader->bits[slot] + done, len - done,
				n * reader->window + done);
}

enum fpr_status free_reader_next(struct free_reader *reader, const uint8_t **bits,
				 size_t *len)
{
	enum fpr_status status;
	uint64_t n = reader->next;

	if (n == reader->nr_windows) {
		*bits = NULL;
		return FPR_OK;
	}
	/* The slot of the window before is no longer looked at. */
	if (reader->ring_works)
		submit(reader);
	status = finish(reader, n);
	reader->next++;
	*bits = reader->bits[n % FREE_READER_SLOTS];
	*len = window_len(reader, n);
	return status;
}

void free_reader_stop(struct free_reader *reader)
{
	size_t slot;

	for (slot = 0; slot < FREE_READER_SLOTS; slot++) {
		while (reader->busy[slot])
			reap(reader);
	}
	if (reader->ring_works)
		io_uring_queue_exit(&reader->ring);
	if (is_small(reader->source))
		return;
	for (slot = 0; slot < FREE_READER_SLOTS; slot++)
		free(reader->bits[slot]);
	/* Give the memory back to the guest: the next request may be months away. */
	malloc_trim(0);
}
