// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzes userspace/host/receive_report.c, by which fprctl asks a guest: whatever comes, in
 * whatever pieces, and however it ends, only a whole report is taken, and the memory for it
 * is what the pages that it names need.
 *
 * The guest, the clock's end and the bitmap's memory are this file's.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "input.h"
#include "mend.h"
#include "reference.h"

#include "clock.h"
#include "stop.h"

static ssize_t guest_read(int fd, void *data, size_t len);
static ssize_t guest_write(int fd, const void *data, size_t len);
static void *map_heap(size_t len);
static void unmap_heap(void *data);

#define read(fd, data, len)			guest_read(fd, data, len)
#define write(fd, data, len)			guest_write(fd, data, len)
#define mmap(at, len, prot, flags, fd, off)	map_heap(len)
#define munmap(data, len)			unmap_heap(data)
/* What it says to the user is not looked at. */
#define warn(...)				((void)snprintf(NULL, 0, __VA_ARGS__))
#define warnx(...)				((void)snprintf(NULL, 0, __VA_ARGS__))
#include "../userspace/host/receive_report.c" /* NOLINT(bugprone-suspicious-include): as it is */
#undef read
#undef write

#define MAX_PAGES	(16 * WIRE_CHUNK_PAGES)


/* The guest's side. */
static struct guest {
	struct input events;
	struct input data;
	uint8_t request[WIRE_REQUEST_LEN];
	size_t requested;
	size_t mapped;
} guest;

/* The file parses two options, too, which is not what is fuzzed. */
enum fpr_status cli_bytes(const char *name, const char *text, uint64_t *bytes)
{
	(void)name, (void)text, (void)bytes;
	abort();
}

enum fpr_status cli_seconds(const char *name, const char *text, uint64_t *seconds)
{
	(void)name, (void)text, (void)seconds;
	abort();
}

uint64_t clock_us(void)
{
	return 0;
}

enum stop_wait stop_wait(int fd, short events, uint64_t until_us)
{
	(void)fd, (void)events, (void)until_us;
	switch (input_number(&guest.events, 1)) {
	case 0xff:
		return STOP_TIME_OVER;
	case 0xfe:
		return STOP_SIGNALLED;
	}
	return STOP_READY;
}

enum stop_wait stop_wait_noticed(struct stop_notice *notice, int fd, short events,
				 uint64_t until_us)
{
	(void)notice;
	return stop_wait(fd, events, until_us);
}

/* True with errno if this one fails. */
static bool fails(uint64_t event)
{
	switch (event) {
	case 0xf0:
		errno = EAGAIN;
		return true;
	case 0xf1:
		errno = EIO;
		return true;
	case 0xf2:
		errno = EINVAL;
		return true;
	}
	return false;
}

static ssize_t guest_read(int fd, void *data, size_t len)
{
	uint64_t event = input_number(&guest.events, 1);
	uint8_t *part;

	(void)fd;
	MUST(guest.requested == WIRE_REQUEST_LEN);
	if (fails(event))
		return -1;
	/* Nothing said: all there is, and then the end. */
	if (event && len > event)
		len = event;
	part = input_copy(&guest.data, &len);
	memcpy(data, part, len);
	free(part);
	return (ssize_t)len;
}

static ssize_t guest_write(int fd, const void *data, size_t len)
{
	uint64_t event = input_number(&guest.events, 1);

	(void)fd;
	MUST(len && len <= WIRE_REQUEST_LEN - guest.requested);
	if (fails(event))
		return -1;
	if (event && len > event)
		len = event;
	memcpy(guest.request + guest.requested, data, len);
	guest.requested += len;
	return (ssize_t)len;
}

/* From the heap, where the sanitizer sees its ends. */
static void *map_heap(size_t len)
{
	MUST(!guest.mapped && len <= MAX_PAGES / 8);
	guest.mapped = len;
	return calloc(1, len);
}

static void unmap_heap(void *data)
{
	guest.mapped = 0;
	free(data);
}

/* A whole report names what the reference says, and no other page. */
static void check_report(const struct received_report *report, const struct reference *expected)
{
	const struct reference_chunk *chunk;
	uint8_t want[WIRE_CHUNK_BYTES];
	uint64_t nr_free = 0;
	size_t i;

	MUST(expected->end == REFERENCE_WHOLE);
	MUST(report->nr_pages == expected->nr_pages && report->nr_free == expected->nr_free);
	MUST(report->bytes == expected->length);
	MUST(!report->bits == !expected->nr_free && report->mapped == guest.mapped);
	MUST(report->end <= report->nr_pages && report->end <= 8 * report->mapped);
	for (i = 0; i < expected->nr_chunks; i++) {
		chunk = &expected->chunk[i];
		reference_bits(chunk, want, 0);
		MUST(report->bits && chunk->first_pfn / 8 + sizeof(want) <= report->mapped);
		MUST(!memcmp(report->bits + chunk->first_pfn / 8, want, sizeof(want)));
	}
	for (i = 0; i < report->mapped; i++)
		nr_free += (unsigned int)__builtin_popcount(report->bits[i]);
	MUST(nr_free == expected->nr_free);
}

static void check_request(uint64_t tag)
{
	struct wire_request request;
	size_t used;

	wire_request_init(&request);
	MUST(wire_decode_request(&request, guest.request, guest.requested, &used) == WIRE_DONE);
	MUST(request.tag == tag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct reference expected;
	const struct guest_link link = { .name = "guest" };
	const struct receive_limits limits = { .max_pages = MAX_PAGES, .timeout_s = 1 };
	struct input input = { data, size };
	uint64_t tag = 1 + input_number(&input, 1);
	unsigned int mend = (unsigned int)input_number(&input, 1);
	struct received_report report;
	enum fpr_status status;
	size_t nr_events = input_number(&input, 1), len;
	uint8_t *events, *message;
	struct wire_expect expect = {
		.tag = tag,
		.page_shift = 12,
		.max_pages = MAX_PAGES,
		.max_skip = 2 * wire_response_max(MAX_PAGES),
	};
	bool lasting;

	events = input_copy(&input, &nr_events);
	len = input.len;
	message = input_copy(&input, &len);
	mend_response(message, len, tag, mend);
	reference_decode(&expected, &expect, message, len);

	guest = (struct guest) { .events = { events, nr_events }, .data = { message, len } };
	status = receive_report(&report, &link, tag, &limits, &lasting);
	if (!status) {
		check_request(tag);
		MUST(!lasting);
		check_report(&report, &expected);
	}
	receive_release(&report);
	MUST(!guest.mapped);
	free(events);
	free(message);
	return 0;
}
