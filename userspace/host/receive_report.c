// SPDX-License-Identifier: GPL-2.0-only
/* On the host: a whole response, from the request to its end. */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bitmap.h"
#include "clock.h"
#include "receive_report.h"
#include "stop.h"
#include "wire.h"

#define DEFAULT_TIMEOUT_S	10
#define DEFAULT_MAX_MEMORY	BITMAP_MAX_BYTES

struct receiver {
	const struct guest_link *guest;
	const struct receive_limits *limits;
	struct received_report *report;
	struct wire_decoder decoder;
	uint64_t until_us;
	uint64_t taken;		/* bytes, with what was skipped */
	struct stop_notice notice;
	bool lasting;
};

enum fpr_status receive_limits_parse(struct receive_limits *limits, const struct cli_args *args)
{
	const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t max_memory = DEFAULT_MAX_MEMORY;
	enum fpr_status status;

	limits->timeout_s = DEFAULT_TIMEOUT_S;
	status = cli_seconds("--timeout", args->option[OPT_TIMEOUT], &limits->timeout_s);
	if (!status)
		status = cli_bytes("--max-memory", args->option[OPT_MAX_MEMORY], &max_memory);
	/* Guests round up, too. */
	limits->max_pages = (max_memory / page_size + 63) / 64 * 64;
	if (!status && !max_memory) {
		warnx("--max-memory %s: a guest has at least one page",
		      args->option[OPT_MAX_MEMORY]);
		status = FPR_USAGE;
	}
	return status;
}

/*
 * As the header says, but pages of it that no chunk is about take no memory.  The header
 * was checked against the limit before.
 */
static int map_bits(struct received_report *report, uint64_t nr_pages)
{
	uint64_t chunks = (nr_pages + WIRE_CHUNK_PAGES - 1) / WIRE_CHUNK_PAGES;
	void *bits;

	report->mapped = (size_t)chunks * WIRE_CHUNK_BYTES;
	bits = mmap(NULL, report->mapped, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bits == MAP_FAILED) {
		warn("a bitmap of %llu pages: give a smaller --max-memory to refuse such guests",
		     (unsigned long long)nr_pages);
		return -1;
	}
	report->bits = bits;
	return 0;
}

static int take_chunk(void *opaque, uint64_t first_pfn, uint32_t nr_pages, const uint8_t *bits)
{
	struct receiver *receiver = opaque;
	struct received_report *report = receiver->report;

	if (!report->bits && map_bits(report, receiver->decoder.nr_pages))
		return -1;
	memcpy(report->bits + first_pfn / 8, bits, WIRE_CHUNK_BYTES);
	report->end = first_pfn + nr_pages;
	return 0;
}

static void say_time_over(const struct receiver *receiver)
{
	unsigned long long seconds = receiver->limits->timeout_s;
	const struct wire_decoder *decoder = &receiver->decoder;

	if (decoder->state != WIRE_IN_RESPONSE)
		warnx("%s: the guest's report is not complete after %llu s: give a longer --timeout",
		      receiver->guest->name, seconds);
	else if (decoder->skipped_for)
		warnx("%s: no answer in %llu s, only another: %s", receiver->guest->name,
		      seconds, wire_status_text(decoder->skipped_for));
	else
		warnx("%s: no answer in %llu s: is fprctl report --serve running in the guest, and nobody else connected?",
		      receiver->guest->name, seconds);
}

static enum fpr_status wait_for(struct receiver *receiver, short events)
{
	switch (stop_wait_noticed(&receiver->notice, receiver->guest->fd, events,
				  receiver->until_us)) {
	case STOP_READY:
		return FPR_OK;
	case STOP_TIME_OVER:
		say_time_over(receiver);
		break;
	case STOP_SIGNALLED:
		warnx("%s: stopped by a signal: nothing was filtered", receiver->guest->name);
		break;
	case STOP_PROCESS_ENDED:
		warnx("%s: the VM is gone: its process has ended", receiver->guest->name);
		receiver->lasting = true;
		break;
	}
	return FPR_ERROR;
}

/* Whether a read() or write() that failed is to be tried again. */
static bool must_wait(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static enum fpr_status send_request(struct receiver *receiver, uint64_t tag)
{
	uint8_t request[WIRE_REQUEST_LEN];
	enum fpr_status status;
	size_t sent = 0;
	ssize_t n;

	wire_encode_request(request, tag);
	while (sent < sizeof(request)) {
		status = wait_for(receiver, POLLOUT);
		if (status)
			return status;
		n = write(receiver->guest->fd, request + sent, sizeof(request) - sent);
		if (n >= 0) {
			sent += (size_t)n;
		} else if (!must_wait()) {
			warn("%s: cannot ask the guest", receiver->guest->name);
			return FPR_ERROR;
		}
	}
	return FPR_OK;
}

/* Says why the response is not used; sets whether the next one will be no better. */
static enum fpr_status refuse(struct receiver *receiver, enum wire_status status)
{
	const struct wire_decoder *decoder = &receiver->decoder;
	const char *name = receiver->guest->name;

	switch (status) {
	case WIRE_REFUSED:
		warnx("%s: the guest refuses: %s", name, wire_refusal_text(decoder->refusal));
		/* Its module may yet be loaded. */
		receiver->lasting = decoder->refusal != WIRE_REFUSED_SOURCE;
		break;
	case WIRE_TOO_MANY_PAGES:
		warnx("%s: the guest says that its memory spans %llu pages: that is more than --max-memory",
		      name, (unsigned long long)decoder->nr_pages);
		receiver->lasting = true;
		break;
	case WIRE_STOPPED:	/* take_chunk() said why */
		break;
	case WIRE_OTHER_PAGE_SIZE:
		receiver->lasting = true;
		/* fallthrough */
	default:
		warnx("%s: the guest's report cannot be used: %s", name, wire_status_text(status));
	}
	return FPR_ERROR;
}

/* What read() returned instead of data. */
static enum fpr_status say_closed(const struct receiver *receiver, ssize_t n)
{
	const char *name = receiver->guest->name;

	/* EIO: what a terminal says. */
	if (n < 0 && errno != EIO && errno != ECONNRESET)
		warn("%s: cannot read the guest's report", name);
	else if (receiver->decoder.state == WIRE_IN_RESPONSE)
		warnx("%s: closed without an answer: is another connection open, or does the VM end?",
		      name);
	else
		warnx("%s: closed in the middle of the guest's report", name);
	return FPR_ERROR;
}

static enum fpr_status receive(struct receiver *receiver)
{
	enum wire_status state = WIRE_MORE;
	enum fpr_status status;
	uint8_t data[65536];
	size_t used;
	ssize_t n;

	while (state == WIRE_MORE) {
		status = wait_for(receiver, POLLIN);
		if (status)
			return status;
		n = read(receiver->guest->fd, data, sizeof(data));
		if (n < 0 && must_wait())
			continue;
		if (n <= 0)
			return say_closed(receiver, n);
		state = wire_decode(&receiver->decoder, data, (size_t)n, &used, take_chunk,
				    receiver);
		receiver->taken += used;
	}
	return state == WIRE_DONE ? FPR_OK : refuse(receiver, state);
}

/*
 * What may stand in front of the answer: the rest of a response that was given up, and one
 * that came too late.
 */
static uint64_t longest_leftover(const struct receive_limits *limits)
{
	return 2 * wire_response_max(limits->max_pages);
}

enum fpr_status receive_report(struct received_report *report, const struct guest_link *guest,
			       uint64_t tag, const struct receive_limits *limits, bool *lasting)
{
	const struct wire_expect expect = {
		.tag = tag,
		.page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE)),
		.max_pages = limits->max_pages,
		.max_skip = longest_leftover(limits),
	};
	uint64_t start = clock_us();
	struct receiver receiver = {
		.guest = guest,
		.limits = limits,
		.report = report,
		.until_us = start + limits->timeout_s * 1000000,
		.notice = { .name = guest->name, .what = "the guest's report" },
	};
	enum fpr_status status;

	*report = (struct received_report) { 0 };
	wire_decoder_init(&receiver.decoder, &expect);
	status = send_request(&receiver, tag);
	if (!status)
		status = receive(&receiver);
	*lasting = receiver.lasting;
	report->nr_pages = receiver.decoder.nr_pages;
	report->nr_free = receiver.decoder.nr_free;
	report->bytes = receiver.taken - receiver.decoder.skipped;
	report->us = clock_us() - start;
	return status;
}

void receive_release(struct received_report *report)
{
	if (report->bits)
		munmap(report->bits, report->mapped);
	report->bits = NULL;
}
