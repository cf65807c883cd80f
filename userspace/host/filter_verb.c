// SPDX-License-Identifier: GPL-2.0-only
/* fprctl filter: arm, take a report, hand it over; here, one that the guest is asked for. */
#include <err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "filter.h"
#include "filter_file.h"
#include "filter_pagemap.h"
#include "filter_verb.h"
#include "guest_endpoint.h"
#include "guest_owner.h"
#include "message.h"
#include "receive_report.h"
#include "result.h"
#include "stop.h"

#define DEFAULT_TIMEOUT_S	10
#define DEFAULT_MAX_MEMORY	(16ULL << 40)

/* Everything that filter was asked for, and the epoch that it has to end. */
struct filter_job {
	struct filter filter;
	struct guest_endpoint guest;
	bool trust_endpoint;
	struct receive_limits limits;
	uint64_t watch_s;	/* 0: once */
	bool json;
	uint64_t epoch;		/* 0: none */
};

struct filter_round {
	struct filter_range range;
	struct received_report report;
	uint64_t arm_us;
	uint64_t set_us;
	bool lasting;		/* it failed, and so will the next one */
};

static enum fpr_status parse_limits(const struct cli_args *args, struct receive_limits *limits)
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

static enum fpr_status parse_options(const struct cli_args *args, struct filter_job *job)
{
	const char *guest = args->option[OPT_GUEST];
	enum fpr_status status;

	if (!guest) {
		warnx("filter: give --guest ENDPOINT, where to ask the guest");
		return FPR_USAGE;
	}
	job->json = args->option[OPT_JSON];
	job->trust_endpoint = args->option[OPT_TRUST_ENDPOINT];
	status = guest_endpoint_parse(&job->guest, guest);
	if (!status)
		status = parse_limits(args, &job->limits);
	if (!status)
		status = cli_seconds("--watch", args->option[OPT_WATCH], &job->watch_s);
	return status;
}

static void end_epoch(struct filter_job *job)
{
	if (job->epoch)
		filter_abandon(&job->filter, job->epoch);
	job->epoch = 0;
}

static enum fpr_status arm(struct filter_job *job, struct filter_round *round)
{
	enum fpr_status status;

	status = filter_arm(&job->filter, &round->range.epoch, &round->arm_us);
	if (status)
		round->lasting = true;
	else
		job->epoch = round->range.epoch;
	return status;
}

static enum fpr_status hand_over(const struct filter_job *job, struct filter_round *round)
{
	struct filter_range *range = &round->range;

	range->report = round->report.bits;
	range->size = round->report.end * (uint64_t)sysconf(_SC_PAGESIZE);
	return filter_set(&job->filter, range, &stop_signal, &round->set_us);
}

static enum fpr_status filter_once(struct filter_job *job, struct filter_round *round,
				   const struct guest_link *guest)
{
	enum fpr_status status = arm(job, round);

	if (status)
		return status;
	status = receive_report(&round->report, guest, job->epoch, &job->limits,
				&round->lasting);
	if (!status)
		status = hand_over(job, round);
	receive_release(&round->report);
	if (status)
		end_epoch(job);
	return status;
}

/* Whose the endpoint is cannot become another in a later round that does better. */
static enum fpr_status open_guest(const struct filter_job *job, int *fd, bool *lasting)
{
	enum fpr_status status = FPR_OK;

	*lasting = true;
	if (!job->trust_endpoint)
		status = guest_owner_check_cid(&job->guest, &job->filter.vm);
	if (status)
		return status;
	status = guest_endpoint_open(&job->guest, fd);
	if (status) {
		*lasting = status == FPR_USAGE;
		return status;
	}
	if (!job->trust_endpoint)
		status = guest_owner_check_peer(&job->guest, *fd, &job->filter.vm);
	if (status)
		close(*fd);
	else
		*lasting = false;
	return status;
}

/* ARM comes last of what can fail early: it ends another's epoch and costs the guest faults. */
static enum fpr_status run_round(struct filter_job *job, struct filter_round *round)
{
	struct guest_link guest = { .name = job->guest.name };
	enum fpr_status status;

	*round = (struct filter_round) { 0 };
	status = filter_check(&job->filter);
	if (status) {
		round->lasting = true;
		return status;
	}
	status = open_guest(job, &guest.fd, &round->lasting);
	if (status)
		return status;
	status = filter_once(job, round, &guest);
	close(guest.fd);
	return status;
}

static void print_round(const struct filter_job *job, const struct filter_round *round)
{
	const struct result results[] = {
		{ "epoch", "epoch", NULL, round->range.epoch },
		{ "spanned_pages", "memory spans", "pages", round->report.nr_pages },
		{ "reported_pages", "reported", "pages", round->report.nr_free },
		{ "filtered_pages", "filtered (each address space counted)", "pages", round->range.nr_filtered },
		{ "confirmed_pages", "confirmed", "pages", round->range.nr_confirmed },
		{ "response_bytes", "response", "bytes", round->report.bytes },
		{ "arm_us", "arm took", "us", round->arm_us },
		{ "report_us", "report took", "us", round->report.us },
		{ "set_us", "set took", "us", round->set_us },
		{ 0 }
	};

	if (job->watch_s && !job->json)
		result_print_line(stdout, results);
	else
		result_print(stdout, results, job->json);
}

/* The same error of one round after the other is said once. */
static void say_left_out(const struct filter_job *job)
{
	unsigned int nr = message_left_out();

	if (nr)
		warnx("%s: that was said once, and is over after %u more rounds", job->guest.name, nr);
}

/* Until the next round begins; an error: there is none. */
static enum fpr_status wait_for_round(uint64_t when_us)
{
	if (stop_wait(-1, 0, when_us) != STOP_PROCESS_ENDED)
		return FPR_OK;
	filter_say_gone();
	return FPR_ERROR;
}

/* Until a signal comes or there is no sense in going on. */
static enum fpr_status watch(struct filter_job *job)
{
	struct filter_round round = { 0 };
	enum fpr_status status = FPR_OK;
	uint64_t start;

	message_say_once(true);
	while (!stop_signal) {
		start = clock_us();
		status = run_round(job, &round);
		if (!status) {
			say_left_out(job);
			print_round(job, &round);
		}
		/* main() says what is wrong with stdout. */
		if (round.lasting || fflush(stdout))
			break;
		status = wait_for_round(start + job->watch_s * 1000000);
		if (status)
			break;
	}
	end_epoch(job);
	/* What is wrong for good is said whatever came besides. */
	return stop_signal && !round.lasting ? FPR_OK : status;
}

static enum fpr_status run_once(struct filter_job *job)
{
	struct filter_round round;
	enum fpr_status status = run_round(job, &round);

	if (!status)
		print_round(job, &round);
	return status;
}

static enum fpr_status filter_guest_run(const struct cli_args *args)
{
	struct filter_job job = { 0 };
	enum fpr_status status;

	status = parse_options(args, &job);
	if (!status)
		status = filter_open(&job.filter, args->operand[0]);
	if (status)
		return status;
	stop_catch();
	stop_on_end_of(job.filter.vm.pidfd);
	/* Of a guest or a reader that goes away, write() tells. */
	signal(SIGPIPE, SIG_IGN);
	return job.watch_s ? watch(&job) : run_once(&job);
}

/* What each option is for. */
static const struct {
	enum cli_option_id id;
	const char *name;
	const char *source;
} source_options[] = {
	{ OPT_GUEST, "--guest", "guest" },
	{ OPT_WATCH, "--watch", "guest" },
	{ OPT_TIMEOUT, "--timeout", "guest" },
	{ OPT_MAX_MEMORY, "--max-memory", "guest" },
	{ OPT_TRUST_ENDPOINT, "--trust-endpoint", "guest" },
	{ OPT_MAP, "--map", "pagemap" },
	{ OPT_ZERO_DESTINATION, "--zero-destination", "pagemap" },
	{ OPT_EPOCH, "--epoch", "FILE" },
	{ OPT_FROM, "--from", "FILE" },
};

#define NR_SOURCE_OPTIONS	(sizeof(source_options) / sizeof(source_options[0]))

static enum fpr_status check_options(const struct cli_args *args, const char *source)
{
	size_t i;

	for (i = 0; i < NR_SOURCE_OPTIONS; i++) {
		if (args->option[source_options[i].id] && strcmp(source_options[i].source, source)) {
			warnx("filter: %s is for --source %s: leave it out", source_options[i].name,
			      source_options[i].source);
			return FPR_USAGE;
		}
	}
	return FPR_OK;
}

enum fpr_status filter_verb_run(const struct cli_args *args)
{
	static const struct {
		const char *name;
		enum fpr_status (*run)(const struct cli_args *args);
	} sources[] = {
		{ "guest", filter_guest_run },
		{ "pagemap", filter_pagemap_run },
		{ "FILE", filter_file_run },
	};
	const char *name = args->option[OPT_SOURCE];
	enum fpr_status status;
	size_t i = 0;

	while (name && i < 2 && strcmp(name, sources[i].name))
		i++;
	status = check_options(args, sources[i].name);
	return status ? status : sources[i].run(args);
}
