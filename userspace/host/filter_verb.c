// SPDX-License-Identifier: GPL-2.0-only
/* fprctl filter: arm, take a report, hand it over; here, one that the guest is asked for. */
#include <err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bitmap.h"
#include "clock.h"
#include "filter.h"
#include "filter_file.h"
#include "filter_pagemap.h"
#include "guest_endpoint.h"
#include "guest_owner.h"
#include "kvm_debugfs.h"
#include "message.h"
#include "receive_report.h"
#include "result.h"
#include "stop.h"
#include "verbs.h"
#include "vm.h"

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

static enum fpr_status run_filter(const struct cli_args *args)
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

static const struct cli_option filter_options[] = {
	{ OPT_SOURCE, "source", "guest|pagemap|FILE", "what tells the pages (default guest)" },
	{ OPT_GUEST, "guest", "ENDPOINT", "where the guest answers" },
	{ OPT_TRUST_ENDPOINT, "trust-endpoint", NULL, "also where it looks like another VM's" },
	{ OPT_WATCH, "watch", "SECONDS", "ask again every SECONDS, until a signal comes" },
	{ OPT_TIMEOUT, "timeout", "SECONDS", "how long to wait for the report (default 10)" },
	{ OPT_MAX_MEMORY, "max-memory", "S", "refuse reports about more memory (default 16T)" },
	{ OPT_EPOCH, "epoch", "N", "FILE was made in epoch N" },
	BITMAP_FROM_OPTION,
	{ OPT_MAP, "map", "GPA:HVA:SIZE", "for pagemap: where memory is; several with commas" },
	{ OPT_ZERO_DESTINATION, "zero-destination", NULL, "for pagemap: what is not sent reads as zero" },
	CLI_JSON_OPTION,
	{ 0 }
};

const struct cli_verb filter_verb = {
	.name = "filter",
	.operands = "VM",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Drop a guest's free pages from its dirty log",
	.options = filter_options,
	.run = run_filter,
	.details =
"Begins an epoch, takes a report, and hands it over when all of it has come and\n"
"is right. Else the epoch ends, and nothing is dropped. The source is one of\n"
"  guest    the guest is asked, where fprctl report --serve answers\n"
"  pagemap  pages that the host never populated; the guest is not asked. Where\n"
"           that is safe is in the NOTES of the manual page\n"
"  FILE     a bitmap in either format of fprctl bitmap; - is stdin\n"
"\n"
"ENDPOINT is one of\n"
"  unix:PATH        a socket, such as that of QEMU's chardev of a virtserialport\n"
"  vsock:CID:PORT   the guest's CID, and where fprctl report listens there\n"
"  the path of a character device, such as a pty of QEMU\n"
"The answer of another VM's guest would lose pages. So a socket is refused\n"
"that was made by a process with another VM, and a CID that another VM's process\n"
"has on its command line, or that is not the one which this VM's process names.\n"
"Not known is this of a character device, of a socket that libvirt or another\n"
"program made for QEMU, of a VMM that names no guest-cid, and of processes that\n"
"cannot be looked at: there it is for the caller to know.\n"
"\n"
"--watch prints one line, or object, for each round. A round that fails because\n"
"the guest is away, late or wrong, or another ended the epoch, is one line on\n"
"stderr. It ends, and its epoch with it, on SIGINT and SIGTERM with status 0,\n"
"and with an error where no later round can do better: the VM is gone, the guest\n"
"refuses, its pages have another size, or its memory exceeds --max-memory. That\n"
"the VM is gone is noticed at once, unless it is an inherited descriptor.\n"
"\n"
"A guest may send what it likes. It costs at most the time of --timeout, and one\n"
"bit a page of --max-memory.\n"
"\n"
"FILE must be younger than its epoch. A report that was asked for tells which\n"
"that is (fprctl report --epoch); for anything else --epoch does. Without both,\n"
"FILE must be a FIFO or a pipe, and is read after arming, as by set-bitmap.\n"
"\n"
VM_HELP,
	.notes =
"pagemap names the pages that the process of the VM has neither in memory nor in\n"
"swap, as /proc/PID/pagemap tells after the epoch began. Such a page reads as\n"
"zero. Nothing is lost only if whoever gets no copy of it has a page of zeros in\n"
"its place. That holds\n"
"  in the first pass of a migration to a destination whose memory is fresh;\n"
"  for the first snapshot of a VM, into files that read as zero where nothing was\n"
"    written.\n"
"It does not hold later: a page that was sent, and that the host has taken back\n"
"since (a balloon, free page reporting, virtio-mem, a reset), reads as zero here and\n"
"as what was sent there, and a guest may rely on the zeros. Nor does it hold\n"
"where the destination has an older copy of the memory. So pagemap is used only\n"
"with --zero-destination, and not with --watch.\n"
"\n"
"It does not see pages that the guest has freed, for the host keeps them populated.\n"
"\n"
"KVM does not tell where a VM's memory is; --map does, in ranges of guest-physical\n"
"address, address in the VM's process, and bytes. A wrong --map loses pages.\n"
"QEMU tells both: 'info mtree -f' in its monitor the guest-physical ranges of RAM,\n"
"'gpa2hva ADDRESS' where such a range begins in QEMU. Pages below 1 MiB are never\n"
"named. Ranges are refused that are not private anonymous memory, as\n"
"with memory-backend-file and memory-backend-memfd, or that a userfaultfd serves,\n"
"for there a page that is not populated may hold something; and so is a process\n"
"that is not known as the VM's own (" KVM_DEBUGFS ").\n",
	.examples =
"  fprctl filter 4321 --guest unix:/run/vm/report.sock --json\n"
"  fprctl filter 4321 --guest vsock:3:999 --watch 5\n"
"  fprctl filter 4321 --source report\n"
"  fprctl filter 4321 --source pagemap --zero-destination \\\n"
"  --map 1M:0x7f1200100000:1023M\n",
};
